//! Damage done on purpose, with an answer key that stays apart from the data.

mod answer_key;
mod duplicates;
mod exchanged_words;
mod feature_noise;
mod label_flips;

pub use answer_key::{AnswerKey, Duplicate, DuplicateKind, Flip};
pub use duplicates::CopyOwner;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::duplicates::Change;
use crate::dataset::{Dataset, DatasetError, ExampleId};
use crate::random::stream;

/// One kind of damage.
///
/// ```yaml
/// - label-flips: { amount: { rate: 0.1 } }
/// - exact-duplicates: { amount: { count: 50 }, owner: other }
/// - near-duplicates: { amount: { count: 50 }, owner: { named: copycat }, noise_sd: 0.05 }
/// - reworded-duplicates: { amount: { count: 50 }, owner: other, rate: 0.3 }
/// - feature-noise: { amount: { rate: 0.2 }, noise_sd: 1.0 }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Corruption {
    /// Random rows get a label drawn uniformly from the other classes.
    LabelFlips {
        /// Rows to flip.
        amount: Amount,
    },
    /// Copies of random rows are appended under new ids, each of another row.
    ExactDuplicates {
        /// Rows to copy.
        amount: Amount,
        /// Who owns the copies.
        owner: CopyOwner,
    },
    /// As exact duplicates, with noise on the features of the copies.
    NearDuplicates {
        /// Rows to copy.
        amount: Amount,
        /// Who owns the copies.
        owner: CopyOwner,
        /// Standard deviation of the noise in a column, in standard deviations of that column.
        noise_sd: f64,
    },
    /// As exact duplicates of texts, with words of the copies exchanged for others as long.
    RewordedDuplicates {
        /// Rows to copy.
        amount: Amount,
        /// Who owns the copies.
        owner: CopyOwner,
        /// Chance of a word to be exchanged, in (0, 1].
        rate: f64,
    },
    /// Random rows get noise on their features.
    FeatureNoise {
        /// Rows to disturb.
        amount: Amount,
        /// Standard deviation of the noise in a column, in standard deviations of that column.
        noise_sd: f64,
    },
}

/// How many rows, absolute or relative to the rows there are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Amount {
    /// That many rows.
    Count(usize),
    /// A rate in [0, 1] of the n rows: rate * n rows, rounded to the nearest whole number.
    Rate(f64),
}

impl Amount {
    fn resolve(self, rows: usize) -> Result<usize, CorruptionError> {
        match self {
            Self::Count(count) if count <= rows => Ok(count),
            Self::Count(found) => Err(CorruptionError::Count { found, rows }),
            Self::Rate(rate) if (0.0..=1.0).contains(&rate) => {
                Ok((rate * rows as f64).round() as usize)
            }
            Self::Rate(found) => Err(CorruptionError::Rate { found }),
        }
    }
}

/// Why data could not be corrupted.
#[derive(Debug, Error, PartialEq)]
pub enum CorruptionError {
    /// A rate is out of range.
    #[error("`rate` is {found}\nhint: use a number from 0 to 1")]
    Rate {
        /// The rate asked for.
        found: f64,
    },
    /// A count is out of range.
    #[error("`count` is {found} but there are {rows} rows\nhint: use at most {rows}")]
    Count {
        /// The count asked for.
        found: usize,
        /// Rows there are.
        rows: usize,
    },
    /// A standard deviation is out of range.
    #[error("`noise_sd` is {found}\nhint: use a positive number, such as 0.1")]
    Noise {
        /// The standard deviation asked for.
        found: f64,
    },
    /// Noise is asked for on tokens.
    #[error(
        "`{name}` holds tokens, and noise is for measurements\n\
         hint: copy texts with `reworded-duplicates` or `exact-duplicates`"
    )]
    Tokens {
        /// The data set.
        name: String,
    },
    /// Words are to be exchanged in data that have none.
    #[error("`{name}` holds no text\nhint: use `near-duplicates` with `noise_sd`")]
    NoText {
        /// The data set.
        name: String,
    },
    /// Words are to be exchanged in data whose tokens are longer than a letter.
    #[error("tokens of `{name}` are longer than letters\nhint: use `exact-duplicates`, or bytes")]
    LongTokens {
        /// The data set.
        name: String,
    },
    /// There is no other class to flip to.
    #[error(
        "labels of `{name}` cannot be flipped: it has {classes} classes\n\
         hint: flips need at least 2 classes; use `feature-noise` for real targets, and \
         `reworded-duplicates` for texts"
    )]
    Classes {
        /// The data set.
        name: String,
        /// Its number of classes, 0 for real targets.
        classes: usize,
    },
    /// There is no other contributor to own a copy.
    #[error(
        "copies in `{name}` cannot go to another contributor: there is one\n\
         hint: assign owners first, or use `owner: same` or `owner: {{named: ...}}`"
    )]
    Contributors {
        /// The data set.
        name: String,
    },
    /// New ids would collide with those of the data.
    #[error(
        "new rows would begin at id {first_new_id} but the data go up to {largest}\n\
         hint: begin at `Splits::first_free_id`, which no set of the source uses"
    )]
    Ids {
        /// The first new id asked for.
        first_new_id: ExampleId,
        /// The largest id of the data.
        largest: ExampleId,
    },
    /// There are not enough ids for the new rows.
    #[error("{count} new rows from id {first_new_id} exceed the largest id\nhint: copy fewer rows")]
    TooManyRows {
        /// New rows.
        count: usize,
        /// Their first id.
        first_new_id: ExampleId,
    },
    /// The corrupted data break an invariant of [`Dataset`].
    #[error(transparent)]
    Invalid(#[from] DatasetError),
}

/// Applies corruptions one after the other, each to what the ones before it left.
///
/// New rows are appended and numbered from `first_new_id` on, which must lie above every id of the
/// data; [`crate::Splits::first_free_id`] also lies above those of the queries. The key describes
/// the whole difference between `dataset` and the result. The k-th corruption draws from a random
/// stream of its own.
///
/// # Errors
/// When an amount or a noise is out of range, or a corruption does not fit the data.
pub fn corrupt(
    dataset: &Dataset,
    corruptions: &[Corruption],
    first_new_id: ExampleId,
    seed: u64,
) -> Result<(Dataset, AnswerKey), CorruptionError> {
    if let Some(&largest) = dataset.ids().iter().max()
        && largest >= first_new_id
    {
        return Err(CorruptionError::Ids { first_new_id, largest });
    }
    let mut data = dataset.clone();
    let mut key = AnswerKey::default();
    let mut next_id = first_new_id;
    for (position, corruption) in corruptions.iter().enumerate() {
        let rows_before = data.len();
        let (corrupted, step) = apply(data, corruption, next_id, position, seed)?;
        let new_rows = (corrupted.len() - rows_before) as u32;
        data = corrupted;
        key = key.merge(step);
        next_id = ExampleId(next_id.0 + new_rows);
    }
    Ok((data, key))
}

fn apply(
    data: Dataset,
    corruption: &Corruption,
    next_id: ExampleId,
    position: usize,
    seed: u64,
) -> Result<(Dataset, AnswerKey), CorruptionError> {
    let stream = |kind: &str| stream(seed, &format!("corruption/{position}/{kind}"));
    match corruption {
        Corruption::LabelFlips { amount } => {
            label_flips::apply(data, *amount, &mut stream("label-flips"))
        }
        Corruption::ExactDuplicates { amount, owner } => {
            let copies = duplicates::Copies { amount: *amount, owner, change: Change::None };
            duplicates::apply(data, &copies, next_id, &mut stream("exact-duplicates"))
        }
        Corruption::NearDuplicates { amount, owner, noise_sd } => {
            let change = Change::Noise(*noise_sd);
            let copies = duplicates::Copies { amount: *amount, owner, change };
            duplicates::apply(data, &copies, next_id, &mut stream("near-duplicates"))
        }
        Corruption::RewordedDuplicates { amount, owner, rate } => {
            let copies =
                duplicates::Copies { amount: *amount, owner, change: Change::Words(*rate) };
            duplicates::apply(data, &copies, next_id, &mut stream("reworded-duplicates"))
        }
        Corruption::FeatureNoise { amount, noise_sd } => {
            feature_noise::apply(data, *amount, *noise_sd, &mut stream("feature-noise"))
        }
    }
}
