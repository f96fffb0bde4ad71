//! Mispaid tokens: how much money goes to the wrong contributor under each method.

use attribench_core::Record;

use super::Figure;
use super::forest::{Forest, Order, Panel, draw};
use crate::select::{MISPAID_TOKENS, comparisons, interval_words};

const NAME: &str = "mispaid-tokens";
const TITLE: &str = "Tokens paid to the wrong contributor";

/// Mispaid tokens by method, grouped by access level.
pub(super) fn figure(record: &Record) -> Figure {
    let panels: Vec<Panel> = comparisons(record, MISPAID_TOKENS)
        .into_iter()
        .map(|comparison| Panel {
            heading: comparison.setting.title(),
            axis_title: "mispaid (tokens)".to_owned(),
            ceiling: None,
            comparison,
        })
        .collect();
    if panels.is_empty() {
        let reason = "No row has the metric `mispaid-tokens`, so no money was compared.";
        return Figure::absent(NAME, TITLE, reason);
    }
    let intervals = interval_words(record);
    let caption = format!(
        "Each mark is the sum that a method's scores would pay to someone else than exact scores \
         would; half the sum of absolute differences over contributors. Whiskers are {}. Less is \
         better; the least mispaid stand first within each level of access.",
        intervals
    );
    let zero = "nothing mispaid";
    let forest = Forest { title: TITLE, intervals, zero, order: Order::SmallestFirst, panels };
    Figure::drawn(NAME, TITLE, caption, draw(&forest))
}
