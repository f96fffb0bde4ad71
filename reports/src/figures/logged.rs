//! Accuracy against what was logged of the run: what a network must ask of a trainer.

use attribench_core::{Record, Timing};

use super::Figure;
use super::cost::{Panel, draw, panel, time};
use crate::select::{Comparison, LDS, comparisons, interval_words, value};

/// Metric of the share of steps in a log.
const LOGGED_STEPS: &str = "logged-steps";
/// Metric of the size of a log.
const LOG_BYTES: &str = "log-bytes";
/// Metric of agreement with leaving single examples out.
const LOO: &str = "loo-spearman";

/// A figure for each truth, where methods differ in what was logged for them; else none.
pub(super) fn figures(record: &Record, timings: &[Timing]) -> Vec<Figure> {
    let bytes = record.rows.iter().filter(|row| row.metric == LOG_BYTES);
    let mut sizes: Vec<f64> = bytes.map(|row| row.value.point()).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    if sizes.len() < 2 {
        return Vec::new();
    }
    let of = |metric: &str, name: &str, title: &str, up: &str| {
        let comparison = comparisons(record, metric).into_iter().next()?;
        Some(figure(record, timings, &comparison, (name, title, up)))
    };
    let lds = of(
        LDS,
        "logged-lds",
        "Accuracy against the share of the run that was logged",
        "LDS (rank correlation)",
    );
    let loo = of(
        LOO,
        "logged-leave-one-out",
        "Agreement with leave-one-out against the share of the run that was logged",
        "rank correlation with leave-one-out",
    );
    lds.into_iter().chain(loo).collect()
}

fn figure(
    record: &Record,
    timings: &[Timing],
    comparison: &Comparison,
    (name, title, up): (&str, &str, &str),
) -> Figure {
    let logged = |method: &str, metric: &str| value(record, method, metric).map(|row| row.point());
    let panels = [
        panel(comparison, "share of steps logged", &|method| logged(method, LOGGED_STEPS)),
        panel(comparison, "bytes logged", &|method| logged(method, LOG_BYTES)),
        panel(comparison, "seconds, replay included", &|method| {
            logged(method, LOG_BYTES).and_then(|_| time(timings, method))
        }),
    ];
    let panels: Vec<Panel> = panels.into_iter().filter(|panel| !panel.points.is_empty()).collect();
    let without: Vec<String> = comparison
        .scores
        .iter()
        .filter(|scored| logged(&scored.method, LOG_BYTES).is_none())
        .map(|scored| format!("{} {}", scored.method, crate::number::number(scored.value.point())))
        .collect();
    let beside = if without.is_empty() {
        String::new()
    } else {
        format!(" Methods that need no log reach: {}.", without.join(", "))
    };
    let caption = format!(
        "Up is more accurate ({}); whiskers are {}. Every point is a method that saw of the run \
         what its log keeps: the share of its steps on the left, then the bytes of batches, \
         gradients and parameters, then the time of walking the log, with the replay that stands \
         in for it. The stepped line joins the logs that no smaller one matches.{beside}",
        comparison.setting.title(),
        interval_words(record)
    );
    Figure::drawn(name, title, caption, draw(title, up, &panels))
}
