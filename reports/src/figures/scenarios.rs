//! Several runs side by side: what each access buys in every state of a model, and what it costs.

use attribench_core::{Record, Timing};

use super::Figure;
use super::cost::time;
use super::forest::{Forest, Order, Panel, draw};
use crate::number::seconds;
use crate::select::{LDS, ceiling, comparisons, interval_words};

const NAME: &str = "scenarios";
const TITLE: &str = "Accuracy by access, with its cost, in every state of a model";

/// Linear datamodelling scores of methods with the same labels, a panel for each run.
pub(crate) fn figure(runs: &[(&Record, &[Timing])]) -> Figure {
    let panels: Vec<Panel> = runs
        .iter()
        .filter_map(|(record, _)| {
            let mut comparison = comparisons(record, LDS).into_iter().next()?;
            let heading = record.rows.first()?.experiment.clone();
            let axis_title = format!("LDS (rank correlation), by {}", comparison.setting.grain);
            let ceiling = ceiling(record, &comparison.setting);
            for scored in &mut comparison.scores {
                let cost = runs.iter().find_map(|(_, timings)| time(timings, &scored.method));
                if let Some(cost) = cost {
                    scored.method = format!("{}, {}", scored.method, seconds(cost));
                }
            }
            Some(Panel { heading, axis_title, comparison, ceiling })
        })
        .collect();
    let Some((first, _)) = runs.first().filter(|_| !panels.is_empty()) else {
        return Figure::absent(NAME, TITLE, "No run has the metric `lds`.");
    };
    let intervals = interval_words(first);
    let caption = format!(
        "Each panel is a run, each row a method with its label and the seconds that it took in the \
         first run that has it, replay included. Marks are linear datamodelling scores, whiskers \
         {intervals}; methods stand under the least that they must read. Zero is chance."
    );
    let forest =
        Forest { title: TITLE, intervals, zero: "chance", order: Order::LargestFirst, panels };
    Figure::drawn(NAME, TITLE, caption, draw(&forest))
}
