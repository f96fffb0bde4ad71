//! Finding rows: which methods there are, what was measured together, which value belongs to whom.

use std::collections::BTreeMap;

use attribench_core::{AccessLevel, Estimate, Record, Row};

/// Metric of linear datamodelling scores.
pub(crate) const LDS: &str = "lds";
/// Metric of the score that the truth reaches against itself.
pub(crate) const LDS_CEILING: &str = "lds-ceiling";
/// Metric of tokens paid to the wrong contributor.
pub(crate) const MISPAID_TOKENS: &str = "mispaid-tokens";
/// Metric of the share of tokens paid to the wrong contributor.
pub(crate) const MISPAID_SHARE: &str = "mispaid-share";

/// Metric of what scores of an arbitrary scale are multiplied by before they pay.
pub(crate) const CALIBRATION_FACTOR: &str = "calibration-factor";
/// Metric of the deviation of an effect that is nothing.
pub(crate) const NOISE_FLOOR: &str = "noise-floor";
/// Metric of measured on predicted effects, of methods whose scores have a unit.
const CALIBRATION_SLOPE: &str = "calibration-slope";

/// What must agree for two numbers of one metric to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub dataset: String,
    pub model: String,
    pub truth: String,
    pub grain: String,
}

impl Setting {
    pub(crate) fn of(row: &Row) -> Self {
        Self {
            dataset: row.dataset.clone(),
            model: row.model.clone(),
            truth: row.truth.clone(),
            grain: row.grain.clone(),
        }
    }

    /// The words that tell this setting from others: truth and grain.
    pub(crate) fn title(&self) -> String {
        format!("truth {}, by {}", self.truth, self.grain)
    }
}

/// A value of a method.
#[derive(Clone, Debug)]
pub(crate) struct Scored {
    pub method: String,
    pub access: Option<AccessLevel>,
    pub value: Estimate,
}

/// All values of one metric in one setting.
#[derive(Clone, Debug)]
pub(crate) struct Comparison {
    pub setting: Setting,
    pub scores: Vec<Scored>,
}

impl Comparison {
    /// The value of a method.
    pub(crate) fn get(&self, method: &str) -> Option<&Scored> {
        self.scores.iter().find(|scored| scored.method == method)
    }
}

/// The comparisons of a metric in the order of their first rows, those by example first: the
/// finest grain is the one that a reader expects when nothing is said.
pub(crate) fn comparisons(record: &Record, metric: &str) -> Vec<Comparison> {
    let mut found: Vec<Comparison> = Vec::new();
    for row in record.rows.iter().filter(|row| row.metric == metric && is_method(row)) {
        let setting = Setting::of(row);
        let scored = Scored { method: row.method.clone(), access: row.access, value: row.value };
        match found.iter_mut().find(|comparison| comparison.setting == setting) {
            Some(comparison) => comparison.scores.push(scored),
            None => found.push(Comparison { setting, scores: vec![scored] }),
        }
    }
    found.sort_by_key(|comparison| comparison.setting.grain != "example");
    found
}

/// Rows of truths, runs and forgeries of a log describe no method.
fn is_method(row: &Row) -> bool {
    row.method != "truth" && row.method != "run" && row.truth != "log"
}

/// The ceiling of a comparison of linear datamodelling scores.
pub(crate) fn ceiling(record: &Record, setting: &Setting) -> Option<Estimate> {
    let ceiling = |row: &&Row| row.metric == LDS_CEILING && Setting::of(row) == *setting;
    record.rows.iter().find(ceiling).map(|row| row.value)
}

/// Every method of the record with its access level, least access first, then in order of rows.
pub(crate) fn methods(record: &Record) -> Vec<(String, Option<AccessLevel>)> {
    let mut found: Vec<(String, Option<AccessLevel>)> = Vec::new();
    let rows = record.rows.iter().filter(|row| is_method(row)).map(|row| (&row.method, row.access));
    let payouts = record.payouts.iter().map(|payout| (&payout.method, Some(payout.access)));
    let effects = record.effects.iter().map(|effect| (&effect.method, None));
    for (method, access) in rows.chain(payouts).chain(effects) {
        match found.iter_mut().find(|(known, _)| known == method) {
            Some((_, known)) => *known = known.or(access),
            None => found.push((method.clone(), access)),
        }
    }
    found.sort_by_key(|(_, access)| (access.is_none(), *access));
    found
}

/// The first value of a metric for a method, whatever the setting; for costs, which have one.
pub(crate) fn value(record: &Record, method: &str, metric: &str) -> Option<Estimate> {
    let matches = |row: &&Row| row.method == method && row.metric == metric;
    record.rows.iter().find(matches).map(|row| row.value)
}

/// Whether the scores of a method are in the unit of the utility: only their size can be compared
/// with measured effects, so only they have a slope of calibration.
pub(crate) fn has_unit(record: &Record, method: &str) -> bool {
    value(record, method, CALIBRATION_SLOPE).is_some()
}

/// Nominal coverages of the intervals of a record, as words for captions.
pub(crate) fn interval_words(record: &Record) -> String {
    let mut levels: Vec<f64> = record
        .rows
        .iter()
        .filter(|row| !row.value.is_exact())
        .map(|row| row.value.level())
        .collect();
    levels.sort_by(f64::total_cmp);
    levels.dedup();
    match levels.as_slice() {
        [] => "no intervals".to_owned(),
        [level] => format!("{} intervals", crate::number::percent(*level)),
        [first, .., last] => format!(
            "intervals of {} to {}",
            crate::number::percent(*first),
            crate::number::percent(*last)
        ),
    }
}

/// How many values were undefined, by metric; only metrics with any.
pub(crate) fn undefined(record: &Record) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for row in record.rows.iter().filter(|row| row.value.undefined() > 0) {
        *counts.entry(row.metric.as_str()).or_insert(0) += row.value.undefined();
    }
    counts
}
