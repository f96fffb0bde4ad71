//! Labels changed to another class.

use std::collections::BTreeMap;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Amount, AnswerKey, CorruptionError, Flip};
use crate::dataset::{Dataset, Targets};
use crate::random::choose_rows;

pub(super) fn apply(
    data: Dataset,
    amount: Amount,
    stream: &mut ChaCha8Rng,
) -> Result<(Dataset, AnswerKey), CorruptionError> {
    let classes = match data.targets() {
        Targets::Classes { names, .. } => names.len() as u32,
        Targets::Values(_) | Targets::Tokens { .. } => 0,
    };
    let (Targets::Classes { labels, names }, 2..) = (data.targets(), classes) else {
        let name = data.name().to_owned();
        return Err(CorruptionError::Classes { name, classes: classes as usize });
    };
    let (mut labels, names) = (labels.clone(), names.clone());
    let mut flips = BTreeMap::new();
    for row in choose_rows(data.len(), amount.resolve(data.len())?, stream) {
        let from = labels[row];
        // A step of 1 to classes - 1 around the circle of classes reaches each other class once.
        let to = (from + stream.random_range(1..classes)) % classes;
        labels[row] = to;
        flips.insert(data.ids()[row], Flip { from, to });
    }
    let flipped = Dataset::new(
        data.name(),
        data.features().clone(),
        Targets::Classes { labels, names },
        data.ids().to_vec(),
        data.owners().to_vec(),
        data.contributors().to_vec(),
    )?;
    Ok((flipped, AnswerKey::of_flips(flips)))
}
