//! The closed loop: an attack changes the data, the model is trained again, contributors are
//! attributed again, exactly and by every method, and the pool is paid out again.
//!
//! An attack is a transformation of a data set and of who owns it. Its gain is what the attacker's
//! names are paid together after it, less what the attacker was paid before, as a share of the
//! pool. The gain under the effects of leaving contributors out is what the attack earns where
//! attribution is exact; what a method adds to that is its own weakness.

use attribench_core::{AccessLevel, Estimate, Row, stream};
use attribench_datasets::{Dataset, DatasetError, ExampleId, Targets};
use ndarray::{Array2, Axis, concatenate};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    pipeline::{ContributorScores, PipelineError, contributor_scores},
    plan::{Plan, Registries},
    progress::Progress,
    statistics::LEVEL,
    store::Store,
};

/// Attacks to be played, and how the pool is paid out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClosedLoop {
    /// Name of the contributor who attacks.
    pub attacker: String,
    /// Payout rules; the first is that of the summary. Parameters may follow a name.
    pub rules: Vec<String>,
    /// Tokens in the pool.
    #[serde(default = "million")]
    pub tokens: u64,
    /// Trainings over which gains are averaged.
    #[serde(default = "three")]
    pub seeds: u64,
    /// Attacks.
    pub attacks: Vec<Attack>,
}

fn million() -> u64 {
    1_000_000
}

fn three() -> u64 {
    3
}

/// What an attacker does to the data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Attack {
    /// Copies own examples under the own name.
    Duplicator {
        /// Copies of each.
        copies: usize,
    },
    /// Deals own examples out over names.
    SybilSplitter {
        /// Names, the own one included.
        names: usize,
    },
    /// Adds examples of noise with labels drawn at random.
    FreeRider {
        /// Examples.
        items: usize,
    },
    /// Turns labels of own examples into others.
    Poisoner {
        /// Share of own examples.
        rate: f64,
    },
    /// Moves own examples away from the mean of all.
    GradientInflator {
        /// Factor on their distance from it.
        scale: f32,
    },
}

impl Attack {
    /// Name in tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Duplicator { .. } => "duplicator",
            Self::SybilSplitter { .. } => "sybil-splitter",
            Self::FreeRider { .. } => "free-rider",
            Self::Poisoner { .. } => "poisoner",
            Self::GradientInflator { .. } => "gradient-inflator",
        }
    }

    /// The data after the attack of contributor `attacker`; further names are appended.
    ///
    /// # Errors
    /// When the attack leaves no data set: numbers beyond what a feature can hold.
    pub fn apply(
        &self,
        data: &Dataset,
        attacker: u32,
        seed: u64,
    ) -> Result<Dataset, ClosedLoopError> {
        let own: Vec<usize> =
            (0..data.len()).filter(|row| data.owners()[*row] == attacker).collect();
        match *self {
            Self::Duplicator { copies } => {
                let rows: Vec<usize> = (0..copies).flat_map(|_| own.iter().copied()).collect();
                Ok(appended(data, &data.select(&rows), attacker)?)
            }
            Self::SybilSplitter { names } => {
                let mut contributors = data.contributors().to_vec();
                let first = contributors.len() as u32;
                let added = (1..names).map(|name| {
                    format!("{} #{}", data.contributors()[attacker as usize], name + 1)
                });
                contributors.extend(added);
                let mut owners = data.owners().to_vec();
                for (at, row) in own.iter().enumerate() {
                    let name = at % names.max(1);
                    if name > 0 {
                        owners[*row] = first + name as u32 - 1;
                    }
                }
                Ok(data.clone().with_owners(owners, contributors)?)
            }
            Self::FreeRider { items } => {
                let rows: Vec<usize> = (0..items).map(|at| at % data.len()).collect();
                let noise = noise_like(&data.select(&rows), data, seed)?;
                Ok(appended(data, &noise, attacker)?)
            }
            Self::Poisoner { rate } => Ok(poisoned(data, &own, rate, seed)?),
            Self::GradientInflator { scale } => {
                let mean = data.features().mean_axis(Axis(0)).expect("there are examples");
                let mut features = data.features().clone();
                for row in own {
                    let moved = (&data.features().row(row) - &mean) * scale + &mean;
                    features.row_mut(row).assign(&moved);
                }
                Ok(data.clone().with_features(features)?)
            }
        }
    }
}

/// Why an attack could not be played.
#[derive(Debug, Error)]
pub enum ClosedLoopError {
    /// Nobody has that name.
    #[error("no contributor is called `{found}` (known: {known})\nhint: name one of them")]
    Attacker {
        /// The name.
        found: String,
        /// Names that are known.
        known: String,
    },
    /// The attack left no data set.
    #[error(transparent)]
    Data(#[from] DatasetError),
    /// The treasury refused.
    #[error("payouts by `{label}` under `{rule}`: {reason}")]
    Payout {
        /// Whose scores.
        label: String,
        /// The rule.
        rule: String,
        /// Why.
        reason: String,
    },
}

/// `more` below `data`, with new ids and one owner.
fn appended(data: &Dataset, more: &Dataset, owner: u32) -> Result<Dataset, DatasetError> {
    let features = concatenate(Axis(0), &[data.features().view(), more.features().view()])
        .expect("both have the same columns");
    let targets = data.targets().followed_by(more.targets());
    let first = data.ids().iter().map(|id| id.0).max().map_or(0, |id| id + 1);
    let ids = (0..more.len() as u32).map(|at| ExampleId(first + at));
    let ids = data.ids().iter().copied().chain(ids).collect();
    let owners = data.owners().iter().copied().chain((0..more.len()).map(|_| owner)).collect();
    Dataset::new(data.name(), features, targets, ids, owners, data.contributors().to_vec())
}

/// Every column of `rows` drawn anew from that column of `data`, every label from all labels: what
/// is left is noise that looks like data one column at a time.
fn noise_like(rows: &Dataset, data: &Dataset, seed: u64) -> Result<Dataset, DatasetError> {
    let mut draws = stream(seed, "free-rider", 0);
    let mut pick = || draws.random_range(0..data.len());
    let features = Array2::from_shape_fn(rows.features().dim(), |(_, column)| {
        data.features()[[pick(), column]]
    });
    let drawn: Vec<usize> = (0..rows.len()).map(|_| pick()).collect();
    let targets = data.targets().select(&drawn);
    let (ids, owners) = (rows.len() as u32, rows.owners().to_vec());
    let ids = (0..ids).map(ExampleId).collect();
    Dataset::new(rows.name(), features, targets, ids, owners, rows.contributors().to_vec())
}

/// The first labels of `own` moved on to the next class or token; values of a regression change
/// their sign.
fn poisoned(data: &Dataset, own: &[usize], rate: f64, seed: u64) -> Result<Dataset, DatasetError> {
    let count = (own.len() as f64 * rate.clamp(0.0, 1.0)).round() as usize;
    let shift = stream(seed, "poisoner", 0).next_u32();
    let targets = match data.targets().clone() {
        Targets::Classes { mut labels, names } => {
            let classes = names.len() as u32;
            for row in &own[..count] {
                let step = if classes > 2 { 1 + shift % (classes - 1) } else { 1 };
                labels[*row] = (labels[*row] + step) % classes.max(1);
            }
            Targets::Classes { labels, names }
        }
        Targets::Values(mut values) => {
            own[..count].iter().for_each(|row| values[*row] = -values[*row]);
            Targets::Values(values)
        }
        // Every token moved on to the next of the vocabulary.
        Targets::Tokens { tokens, vocabulary } => {
            let poisoned = &own[..count];
            let next = |row, token| match poisoned.contains(&row) {
                true => (token + 1) % vocabulary as u32,
                false => token,
            };
            let tokens = tokens.map(|row, _, token| next(row, token));
            Targets::Tokens { tokens, vocabulary }
        }
    };
    Dataset::new(
        data.name(),
        data.features().clone(),
        targets,
        data.ids().to_vec(),
        data.owners().to_vec(),
        data.contributors().to_vec(),
    )
}

/// Gains of one attack under one rule by one attribution, a value a seed.
struct Gains {
    label: String,
    access: Option<AccessLevel>,
    attack: &'static str,
    rule: usize,
    values: Vec<f64>,
}

/// Rows of all attacks, rules and attributions.
pub(crate) fn rows(
    plan: &Plan,
    asked: &ClosedLoop,
    registries: &Registries<'_>,
    store: &Store,
    progress: &dyn Progress,
) -> Result<Vec<Row>, PipelineError> {
    let names = plan.train.contributors();
    let attacker = names.iter().position(|name| *name == asked.attacker).ok_or_else(|| {
        let known = names.join(", ");
        ClosedLoopError::Attacker { found: asked.attacker.clone(), known }
    })? as u32;
    let mut gains: Vec<Gains> = vec![];
    for replica in 0..asked.seeds {
        let mut honest = plan.clone();
        // Only what a closed loop reads is measured, under a training seed of the replica's own.
        honest.spec.truths.value.subsets = None;
        honest.spec.truths.value.leave_one_out = None;
        honest.spec.seed = plan.spec.seed + replica;
        let before = contributor_scores(&honest, store, progress)?;
        for attack in &asked.attacks {
            let mut attacked = honest.clone();
            attacked.train = attack.apply(&honest.train, attacker, honest.spec.seed)?;
            let after = contributor_scores(&attacked, store, progress)?;
            let own = |plan: &Plan| -> Vec<usize> {
                let mine = |name: &str| {
                    name == asked.attacker || name.starts_with(&format!("{} #", asked.attacker))
                };
                let names = plan.train.contributors().iter().enumerate();
                names.filter(|(_, name)| mine(name)).map(|(at, _)| at).collect()
            };
            for (rule, name) in asked.rules.iter().enumerate() {
                let pay = |scores: &ContributorScores, own: &[usize]| {
                    paid(scores, own, name, asked, honest.spec.seed, registries)
                };
                let (first, then) = (pay(&before, &own(&honest))?, pay(&after, &own(&attacked))?);
                for (label, access, share) in &then {
                    let was = first.iter().find(|(known, _, _)| known == label);
                    let Some((_, _, was)) = was else { continue };
                    add(&mut gains, label, *access, attack.name(), rule, share - was);
                }
            }
        }
    }
    Ok(summed_up(plan, asked, &gains))
}

/// Share of the pool that some contributors are paid together, by every attribution.
type PaidShares = Vec<(String, Option<AccessLevel>, f64)>;

fn paid(
    scores: &ContributorScores,
    own: &[usize],
    rule: &str,
    asked: &ClosedLoop,
    seed: u64,
    registries: &Registries<'_>,
) -> Result<PaidShares, ClosedLoopError> {
    let exact = ("leave-contributor-out".to_owned(), None, &scores.exact);
    let methods =
        scores.methods.iter().map(|(label, access, found)| (label.clone(), Some(*access), found));
    let mut shares = vec![];
    for (label, access, found) in [exact].into_iter().chain(methods) {
        let payouts = registries.treasury.settle(rule, found.view(), asked.tokens, seed);
        let payouts = payouts.map_err(|reason| ClosedLoopError::Payout {
            label: label.clone(),
            rule: rule.to_owned(),
            reason,
        })?;
        let sum: u64 = own.iter().map(|at| payouts[*at]).sum();
        shares.push((label, access, sum as f64 / asked.tokens as f64));
    }
    Ok(shares)
}

fn add(
    gains: &mut Vec<Gains>,
    label: &str,
    access: Option<AccessLevel>,
    attack: &'static str,
    rule: usize,
    value: f64,
) {
    let same =
        |known: &&mut Gains| known.label == label && known.attack == attack && known.rule == rule;
    match gains.iter_mut().find(same) {
        Some(known) => known.values.push(value),
        None => {
            let label = label.to_owned();
            gains.push(Gains { label, access, attack, rule, values: vec![value] });
        }
    }
}

fn summed_up(plan: &Plan, asked: &ClosedLoop, gains: &[Gains]) -> Vec<Row> {
    let row = |gain: &Gains, metric: &str, value: Estimate| Row {
        experiment: plan.spec.name.value.clone(),
        dataset: plan.train.name().to_owned(),
        model: plan.spec.model.value.name.clone(),
        method: gain.label.clone(),
        access: gain.access,
        truth: gain.attack.to_owned(),
        metric: metric.to_owned(),
        grain: asked.rules[gain.rule].clone(),
        unit: "share of pool".to_owned(),
        value,
        settings_tried: 1,
    };
    let mut rows: Vec<Row> =
        gains.iter().map(|gain| row(gain, "attack-gain", estimate(&gain.values))).collect();
    let mut labels: Vec<&str> = vec![];
    for gain in gains {
        if !labels.contains(&gain.label.as_str()) {
            labels.push(&gain.label);
        }
    }
    let mean = |gain: &Gains| gain.values.iter().sum::<f64>() / gain.values.len() as f64;
    for label in labels {
        let first = gains.iter().filter(|gain| gain.label == label && gain.rule == 0);
        if let Some(worst) = first.max_by(|a, b| mean(a).total_cmp(&mean(b))) {
            rows.push(row(worst, "largest-attack-gain", estimate(&worst.values)));
        }
    }
    rows
}

/// Quantiles .975 of Student's law for 1, 2, ... degrees of freedom; beyond them 2 is close.
const STUDENT: [f64; 9] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];

/// Mean over seeds with Student's interval; the point alone for one seed.
fn estimate(values: &[f64]) -> Estimate {
    let count = values.len();
    let mean = values.iter().sum::<f64>() / count as f64;
    let half = match count {
        1 => 0.0,
        _ => {
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            let error = (squares / (count - 1) as f64 / count as f64).sqrt();
            STUDENT.get(count - 2).copied().unwrap_or(2.0) * error
        }
    };
    Estimate::new(mean, mean - half, mean + half, LEVEL, count, 0)
}

#[cfg(test)]
mod tests {
    use attribench_datasets::{Dataset, ExampleId, Targets};
    use ndarray::array;

    use super::{Attack, estimate};

    fn data() -> Dataset {
        let labels = Targets::Classes {
            labels: vec![0, 1, 2],
            names: vec!["a".into(), "b".into(), "c".into()],
        };
        let features = array![[0.0f32, 0.0], [3.0, 0.0], [0.0, 6.0]];
        let ids = vec![ExampleId(4), ExampleId(7), ExampleId(5)];
        let people = vec!["ann".into(), "bob".into()];
        Dataset::new("toy", features, labels, ids, vec![0, 1, 1], people).unwrap()
    }

    fn attacked(attack: Attack) -> Dataset {
        attack.apply(&data(), 1, 9).unwrap()
    }

    #[test]
    fn copies_are_appended_under_the_same_owner() {
        let copied = attacked(Attack::Duplicator { copies: 2 });
        assert_eq!(copied.owners(), [0, 1, 1, 1, 1, 1, 1]);
        assert_eq!(copied.features().row(5), data().features().row(1));
        assert_eq!(copied.ids()[3..], [8, 9, 10, 11].map(ExampleId));
    }

    #[test]
    fn names_share_what_one_had() {
        let split = attacked(Attack::SybilSplitter { names: 2 });
        assert_eq!(split.owners(), [0, 1, 2]);
        assert_eq!(split.contributors(), ["ann", "bob", "bob #2"]);
        assert_eq!(split.features(), data().features());
    }

    #[test]
    fn noise_looks_like_data_a_column_at_a_time() {
        let ridden = attacked(Attack::FreeRider { items: 5 });
        assert_eq!(ridden.len(), 8);
        for row in 3..8 {
            assert!([0.0, 3.0].contains(&ridden.features()[[row, 0]]));
            assert!([0.0, 6.0].contains(&ridden.features()[[row, 1]]));
        }
    }

    #[test]
    fn poison_changes_labels_and_inflation_distances() {
        let Targets::Classes { labels, .. } =
            attacked(Attack::Poisoner { rate: 1.0 }).targets().clone()
        else {
            panic!("labels stay labels")
        };
        assert!(labels[0] == 0 && labels[1] != 1 && labels[2] != 2, "{labels:?}");
        // The mean is (1, 2): three times the distance of (3, 0) is (1 + 6, 2 - 6).
        let inflated = attacked(Attack::GradientInflator { scale: 3.0 });
        assert_eq!(inflated.features().row(1).to_vec(), [7.0, -4.0]);
        assert_eq!(inflated.features().row(0).to_vec(), [0.0, 0.0]);
    }

    #[test]
    fn gains_have_students_interval() {
        // Mean 2, deviation 1, three seeds: half width 4.303 / sqrt 3.
        let value = estimate(&[1.0, 2.0, 3.0]);
        assert_eq!(value.point(), 2.0);
        assert!((value.upper() - 2.0 - 4.303 / 3f64.sqrt()).abs() < 1e-12);
        assert_eq!(estimate(&[0.5]).lower(), 0.5);
    }
}
