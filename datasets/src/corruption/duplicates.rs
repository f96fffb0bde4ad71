//! Copies of rows under new ids, exact or with noise.

use ndarray::{Axis, concatenate};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::exchanged_words::exchange_words;
use super::feature_noise::{add_noise, moments_of_measurements};
use super::{Amount, AnswerKey, CorruptionError, Duplicate, DuplicateKind};
use crate::dataset::{Dataset, ExampleId};
use crate::random::choose_rows;

/// Who owns a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CopyOwner {
    /// The owner of the original.
    Same,
    /// Another contributor, each of the others with the same chance.
    Other,
    /// The contributor of this name, who joins the data if new to them.
    Named(String),
}

/// What copies to make.
pub(super) struct Copies<'a> {
    pub(super) amount: Amount,
    pub(super) owner: &'a CopyOwner,
    pub(super) change: Change,
}

/// How copies differ from what they are copies of.
pub(super) enum Change {
    /// Not at all.
    None,
    /// By noise of so many standard deviations of a column.
    Noise(f64),
    /// By this share of their words.
    Words(f64),
}

pub(super) fn apply(
    data: Dataset,
    copies: &Copies<'_>,
    first_new_id: ExampleId,
    stream: &mut ChaCha8Rng,
) -> Result<(Dataset, AnswerKey), CorruptionError> {
    let rows = choose_rows(data.len(), copies.amount.resolve(data.len())?, stream);
    let new_ids = number_copies(first_new_id, rows.len())?;
    let (new_owners, contributors) = choose_owners(&data, &rows, copies.owner, stream)?;
    let mut new_features = data.features().select(Axis(0), &rows);
    let mut new_targets = data.targets().select(&rows);
    let kind = match copies.change {
        Change::None => DuplicateKind::Exact,
        Change::Noise(noise_sd) => {
            let all: Vec<usize> = (0..rows.len()).collect();
            let moments = moments_of_measurements(&data)?;
            add_noise(&mut new_features, &all, &moments, noise_sd, stream)?;
            DuplicateKind::Near
        }
        Change::Words(rate) => {
            (new_features, new_targets) = exchange_words(&data, &rows, rate, stream)?;
            DuplicateKind::Near
        }
    };
    let duplicates = new_ids
        .iter()
        .zip(&rows)
        .map(|(&copy, &row)| (copy, Duplicate { original: data.ids()[row], kind }))
        .collect();
    let features = concatenate![Axis(0), data.features().view(), new_features.view()];
    let targets = data.targets().followed_by(&new_targets);
    let ids = [data.ids(), &new_ids].concat();
    let owners = [data.owners(), &new_owners].concat();
    let corrupted = Dataset::new(data.name(), features, targets, ids, owners, contributors)?;
    Ok((corrupted, AnswerKey::of_duplicates(duplicates)))
}

/// Ids of the copies. One id above the last must exist too, for the corruption that comes next.
fn number_copies(first: ExampleId, count: usize) -> Result<Vec<ExampleId>, CorruptionError> {
    let end = u32::try_from(count).ok().and_then(|count| first.0.checked_add(count));
    let end = end.ok_or(CorruptionError::TooManyRows { count, first_new_id: first })?;
    Ok((first.0..end).map(ExampleId).collect())
}

/// Owners of the copies of `rows`, and the contributors of the data afterwards.
fn choose_owners(
    data: &Dataset,
    rows: &[usize],
    owner: &CopyOwner,
    stream: &mut ChaCha8Rng,
) -> Result<(Vec<u32>, Vec<String>), CorruptionError> {
    let mut contributors = data.contributors().to_vec();
    let count = contributors.len() as u32;
    let originals = rows.iter().map(|&row| data.owners()[row]);
    let owners = match owner {
        CopyOwner::Same => originals.collect(),
        CopyOwner::Other if count < 2 => {
            return Err(CorruptionError::Contributors { name: data.name().to_owned() });
        }
        CopyOwner::Other => {
            originals.map(|original| (original + stream.random_range(1..count)) % count).collect()
        }
        CopyOwner::Named(name) => {
            let known = contributors.iter().position(|contributor| contributor == name);
            let index = known.unwrap_or_else(|| {
                contributors.push(name.clone());
                contributors.len() - 1
            });
            vec![index as u32; rows.len()]
        }
    };
    Ok((owners, contributors))
}
