//! What an experiment leaves behind: plain rows that the report reads and nothing else.

use serde::{Deserialize, Serialize};

use crate::{AccessLevel, Estimate};

/// One reported number, with all that is needed to find out what it means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Name of the experiment.
    pub experiment: String,
    /// Data set.
    pub dataset: String,
    /// Model.
    pub model: String,
    /// Method, `truth` for a property of the truth itself, or `run` for one of the training run.
    pub method: String,
    /// What the method may read; absent for truths and runs.
    pub access: Option<AccessLevel>,
    /// The truth that the number is measured against, or `none`.
    pub truth: String,
    /// Metric, for instance `lds`.
    pub metric: String,
    /// What the metric ranges over: `example`, `contributor`, `run`.
    pub grain: String,
    /// Unit of the number: `correlation`, `tokens`, `gradients`, ...
    pub unit: String,
    /// The number.
    pub value: Estimate,
    /// How many settings of the method were tried before this one was reported.
    pub settings_tried: usize,
}

/// One predicted and one true effect, for the scatter of a method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EffectPair {
    /// Method that predicted.
    pub method: String,
    /// Truth that measured.
    pub truth: String,
    /// What was removed: an example id or a contributor's name.
    pub removed: String,
    /// Query id.
    pub query: u32,
    /// Predicted effect, in the unit of the utility.
    pub predicted: f64,
    /// Measured effect, in the unit of the utility.
    pub measured: f64,
}

/// What one contributor is paid by one method's scores, and what the exact scores would pay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Payout {
    /// Method whose scores were paid.
    pub method: String,
    /// What the method may read.
    pub access: AccessLevel,
    /// Payout rule.
    pub rule: String,
    /// Where the exact scores come from: a truth or an exact method.
    pub reference: String,
    /// Contributor.
    pub contributor: String,
    /// Examples that the contributor owns.
    pub examples: usize,
    /// Payout by exact scores, in integer token units.
    pub exact: u64,
    /// Payout by the method's scores, in integer token units.
    pub estimated: u64,
}

/// Wall-clock cost of one stage; kept apart from rows because clocks are never the same twice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Stage: `train`, `truth subset`, `fit grad-dot`, ...
    pub stage: String,
    /// Method, where the stage belongs to one.
    pub method: Option<String>,
    /// Seconds of wall time.
    pub seconds: f64,
}

/// A condition of the specification that was checked after the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The condition as written, for instance `lds(influence) > lds(grad-dot)`.
    pub condition: String,
    /// Whether it held.
    pub held: bool,
    /// The figures that decided.
    pub evidence: String,
}

/// A method that gave no scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Its label.
    pub method: String,
    /// What it may read.
    pub access: AccessLevel,
    /// What it said, with what to do.
    pub reason: String,
}

/// What a setting reached on the tuning queries and subsets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrialOutcome {
    /// Its mean linear datamodelling score there.
    Lds(Estimate),
    /// It gave no scores, for this reason.
    Failed(String),
}

/// One setting of a method that was tried before the reported one was chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Label of the method.
    pub method: String,
    /// All its parameters, as JSON.
    pub parameters: String,
    /// What it reached.
    pub outcome: TrialOutcome,
    /// Whether it is the setting that is reported.
    pub chosen: bool,
}

/// What a value of the game says of one contributor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GameShare {
    /// The value, by its label.
    pub value: String,
    /// Contributor.
    pub contributor: String,
    /// Examples that the contributor owns.
    pub examples: usize,
    /// What the contributor is worth, averaged over queries, in the unit of the utility.
    pub worth: f64,
    /// Its standard error over seeds; none where there is one seed.
    pub standard_error: Option<f64>,
    /// Its share of a pot: worths below zero count as zero.
    pub share: f64,
}

/// How far shares by a sampler are from shares by all coalitions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SamplingError {
    /// The sampler, by its label.
    pub sampler: String,
    /// The exact value that it is held against.
    pub estimates: String,
    /// Coalitions that it was allowed to evaluate.
    pub budget: usize,
    /// Coalitions that it evaluated, averaged over repeats.
    pub evaluations: f64,
    /// Total variation between its shares and the exact ones, averaged over repeats.
    pub share_error: Estimate,
    /// Share of the pool in wrong hands, through the books; none where nobody is paid.
    pub mispaid: Option<Estimate>,
    /// How often the exact value lies within two standard errors; none without errors.
    pub coverage: Option<f64>,
}

/// A contributor's share before and after a manipulation of accounts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manipulated {
    /// The value, by its label.
    pub value: String,
    /// What was done: `split`, `merge`, `copy`.
    pub manipulation: String,
    /// Who did it.
    pub contributor: String,
    /// Share of the pot before, of all who take part.
    pub before: f64,
    /// Share after.
    pub after: f64,
}

/// A forged history of a recorded run, and what the checks of the log found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForgeryFinding {
    /// Name of the forgery.
    pub forgery: String,
    /// What the forger did.
    pub what: String,
    /// What reading the whole log found, with the public key alone; nothing where it passed.
    pub verify: Option<String>,
    /// Entries that were read for that.
    pub entries_read: u64,
    /// What taking drawn steps again found first.
    pub audit: Option<String>,
    /// Share of audits, each with its own draw, that found it.
    pub audit_share: f64,
    /// Steps that one audit took again, on average.
    pub audit_replayed: f64,
    /// What a comparison with a head that somebody kept found.
    pub diff: Option<String>,
}

/// How alike two methods order the training examples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Labels of the two methods, in the order of the specification.
    pub methods: [String; 2],
    /// Mean over queries of the Spearman correlation between their scores.
    pub correlation: Estimate,
}

/// Utility of one query before the first step of a run and after its last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueryUtility {
    /// Id of the query.
    pub query: u32,
    /// Digest of what the query is: the same in another run that asks the same.
    pub content: String,
    /// Utility before the first step.
    pub start: f64,
    /// Utility after the last step.
    pub end: f64,
}

/// What one model gives queries more than another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UtilityGap {
    /// The one, as `RUN at end`.
    pub more: String,
    /// The other.
    pub than: String,
    /// Mean over queries of the difference of utilities, query by query.
    pub gap: Estimate,
    /// Share of queries to which the one gives more; half of those to which both give the same.
    pub ahead: Estimate,
}

impl UtilityGap {
    /// `ln(p / (1 - p))` of the share `p` of queries at which the one is ahead: its advantage in
    /// the units of utility in which logit choice (McFadden 1974) prefers it with probability `p`.
    /// Nothing where an end of the interval is 0 or 1, as no advantage is large enough for that.
    pub fn log_odds(&self) -> Option<Estimate> {
        let [point, lower, upper] = [self.ahead.point(), self.ahead.lower(), self.ahead.upper()]
            .map(|p| (p / (1.0 - p)).ln());
        let is_known = lower.is_finite() && upper.is_finite();
        let ahead = &self.ahead;
        is_known.then(|| Estimate::new(point, lower, upper, ahead.level(), ahead.n(), 0))
    }
}

/// Everything that an experiment reports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Question, in the words of the specification.
    pub question: String,
    /// Prediction, in the words of the specification.
    pub prediction: String,
    /// All reported numbers.
    pub rows: Vec<Row>,
    /// Predicted against measured effects.
    pub effects: Vec<EffectPair>,
    /// Payouts.
    pub payouts: Vec<Payout>,
    /// Conditions checked.
    pub verdicts: Vec<Verdict>,
    /// Parts of the prediction, checked likewise.
    #[serde(default)]
    pub predicted: Vec<Verdict>,
    /// Methods that gave no scores.
    pub failures: Vec<Failure>,
    /// Settings that were tried, by method.
    pub trials: Vec<Trial>,
    /// Values of the game over contributors.
    #[serde(default)]
    pub game_shares: Vec<GameShare>,
    /// Samplers of that game against all coalitions.
    #[serde(default)]
    pub sampling_errors: Vec<SamplingError>,
    /// Manipulations of accounts in that game.
    #[serde(default)]
    pub manipulated: Vec<Manipulated>,
    /// Forged histories of the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forgeries: Vec<ForgeryFinding>,
    /// Agreement of every two methods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agreements: Vec<Agreement>,
    /// Utilities of the queries, one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query_utilities: Vec<QueryUtility>,
}

#[cfg(test)]
mod tests {
    use super::UtilityGap;
    use crate::Estimate;

    #[test]
    fn an_advantage_is_the_log_odds_of_being_ahead() {
        let ahead = |upper: f64| UtilityGap {
            more: "one".to_owned(),
            than: "other".to_owned(),
            gap: Estimate::new(0.1, 0.0, 0.2, 0.95, 40, 0),
            ahead: Estimate::new(0.75, 0.5, upper, 0.95, 40, 0),
        };
        // Odds of 3 to 1, of 1 to 1 and of 9 to 1.
        let odds = ahead(0.9).log_odds().unwrap();
        for (found, expected) in [(odds.point(), 3.0f64), (odds.lower(), 1.0), (odds.upper(), 9.0)]
        {
            assert!((found - expected.ln()).abs() < 1e-12, "{found} is not ln {expected}");
        }
        assert_eq!(ahead(1.0).log_odds(), None);
    }
}
