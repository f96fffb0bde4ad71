//! The retrofit gap: what accuracy each level of access buys.

use attribench_core::Record;

use super::Figure;
use super::forest::{Forest, Order, Panel, draw};
use crate::select::{LDS, ceiling, comparisons, interval_words};

const NAME: &str = "retrofit-gap";
const TITLE: &str = "The retrofit gap: accuracy by what a method may read";

/// Linear datamodelling score by method, grouped by access level.
pub(super) fn figure(record: &Record) -> Figure {
    let panels: Vec<Panel> = comparisons(record, LDS)
        .into_iter()
        .map(|comparison| Panel {
            heading: comparison.setting.title(),
            axis_title: format!("LDS (rank correlation), by {}", comparison.setting.grain),
            ceiling: ceiling(record, &comparison.setting),
            comparison,
        })
        .collect();
    if panels.is_empty() {
        return Figure::absent(
            NAME,
            TITLE,
            "No row has the metric `lds`, so there is no gap to draw.",
        );
    }
    let ceiling = if panels.iter().any(|panel| panel.ceiling.is_some()) {
        "The vermillion line is the noise ceiling with its interval: the score that retraining \
         itself reaches against other seeds, so that no method is expected to pass it."
    } else {
        "No row has the metric `lds-ceiling`, so how much could be reached is not known."
    };
    let intervals = interval_words(record);
    let caption = format!(
        "Each mark is a method's linear datamodelling score: how well its scores order the \
         outcomes of training on subsets. Whiskers are {}. Methods stand under the least that \
         they must read; further down means that more of the training run had to be kept. Zero \
         is chance. {ceiling}",
        intervals
    );
    let zero = "chance";
    let forest = Forest { title: TITLE, intervals, zero, order: Order::LargestFirst, panels };
    Figure::drawn(NAME, TITLE, caption, draw(&forest))
}
