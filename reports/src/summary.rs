//! The short answer for a terminal.

use attribench_core::{AccessLevel, Record};

use crate::number;
use crate::select::{LDS, MISPAID_SHARE, MISPAID_TOKENS, comparisons, methods, value};

const MOST_COLUMNS: usize = 100;
const LONGEST_METHOD: usize = 24;
const GAP: &str = "  ";
/// Metrics of the table, the most telling first; as many as fit are shown.
const METRICS: [&str; 8] = [
    LDS,
    MISPAID_SHARE,
    MISPAID_TOKENS,
    "gradients",
    "contributor-spearman",
    "loo-spearman",
    "calibration-slope",
    "mislabel-auc",
];

/// Metrics of the values and samplers of a game of contributors.
const GAME_METRICS: [&str; 6] = [
    "share-distance",
    "share-error",
    "error-coverage",
    "split-gain",
    "merge-largest-gain",
    "copy-gain",
];

/// Methods and their key metrics with intervals, in aligned columns, at most 100 columns wide; then
/// so the values and samplers of a game of contributors, which score no queries. What did not fit
/// or is not known here is named below the tables.
pub fn summary_table(record: &Record) -> String {
    let (methods, mut values): (Vec<_>, Vec<_>) =
        methods(record).into_iter().partition(|(_, access)| access.is_some());
    // What else has rows without being a method, a round say, is no value of a game.
    let of_game = |name: &str| {
        let mut rows = record.rows.iter().filter(|row| row.method == name);
        rows.any(|row| GAME_METRICS.contains(&row.metric.as_str()))
    };
    values.retain(|(name, _)| of_game(name));
    if methods.is_empty() && values.is_empty() {
        return "no method was measured\n".to_owned();
    }
    let mut text = String::new();
    let mut shown: Vec<&str> = Vec::new();
    if !methods.is_empty() {
        let names = methods.iter().map(|(method, _)| method.as_str()).collect::<Vec<_>>();
        let access = methods.iter().map(|(_, access)| access.map_or("", AccessLevel::title).into());
        let leading = vec![
            column("method", names.iter().map(|method| shortened(method))),
            column("reads", access),
        ];
        text += &aligned(record, &names, leading, &METRICS, &mut shown);
    }
    if !values.is_empty() {
        let names = values.iter().map(|(value, _)| value.as_str()).collect::<Vec<_>>();
        let leading = vec![column("value of the game", names.iter().map(|name| shortened(name)))];
        text += &aligned(record, &names, leading, &GAME_METRICS, &mut shown);
    }
    text + &further(record, &shown)
}

/// One line for each name: the leading columns and as many metrics as fit, which join `shown`.
fn aligned<'a>(
    record: &Record,
    names: &[&str],
    mut columns: Vec<Vec<String>>,
    metrics: &[&'a str],
    shown: &mut Vec<&'a str>,
) -> String {
    let has = |metric: &str| {
        comparisons(record, metric)
            .iter()
            .any(|comparison| names.iter().any(|name| comparison.get(name).is_some()))
    };
    for metric in metrics.iter().copied().filter(|metric| has(metric)) {
        let column = column(metric, names.iter().map(|name| cell(record, name, metric)));
        let width: usize = columns.iter().chain([&column]).map(|column| width(column)).sum();
        if width + GAP.len() * columns.len() <= MOST_COLUMNS {
            columns.push(column);
            shown.push(metric);
        }
    }
    let mut text = String::new();
    for line in 0..=names.len() {
        let cells: Vec<String> = columns
            .iter()
            .map(|column| format!("{:<width$}", column[line], width = width(column)))
            .collect();
        text += cells.join(GAP).trim_end();
        text.push('\n');
    }
    text
}

fn column(heading: &str, cells: impl Iterator<Item = String>) -> Vec<String> {
    std::iter::once(heading.to_owned()).chain(cells).collect()
}

fn width(column: &[String]) -> usize {
    column.iter().map(|cell| cell.chars().count()).max().unwrap_or(0)
}

fn shortened(method: &str) -> String {
    if method.chars().count() <= LONGEST_METHOD {
        return method.to_owned();
    }
    method.chars().take(LONGEST_METHOD - 1).chain(['…']).collect()
}

/// The value in the setting that comes first on the page, so that the two agree.
fn cell(record: &Record, method: &str, metric: &str) -> String {
    let first = comparisons(record, metric).into_iter().next();
    let scored = first.and_then(|comparison| comparison.get(method).map(|scored| scored.value));
    match scored.or_else(|| value(record, method, metric)) {
        Some(value) if metric == MISPAID_SHARE => number::percent_estimate(&value),
        Some(value) => number::estimate(&value),
        None => "-".to_owned(),
    }
}

/// The metrics that the table does not show, on lines of the same width.
fn further(record: &Record, shown: &[&str]) -> String {
    let mut metrics: Vec<&str> = record.rows.iter().map(|row| row.metric.as_str()).collect();
    metrics.sort_unstable();
    metrics.dedup();
    metrics.retain(|metric| !shown.contains(metric));
    if metrics.is_empty() {
        return String::new();
    }
    let mut text = String::new();
    let mut line = "also in rows.csv:".to_owned();
    for (index, metric) in metrics.iter().enumerate() {
        let end = if index + 1 == metrics.len() { "" } else { "," };
        if line.chars().count() + 1 + metric.chars().count() + end.len() > MOST_COLUMNS {
            text += &line;
            text.push('\n');
            line = " ".to_owned();
        }
        line += &format!(" {metric}{end}");
    }
    text + &line + "\n"
}
