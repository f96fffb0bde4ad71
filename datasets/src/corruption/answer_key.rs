//! What was done to which example.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::dataset::ExampleId;

/// A label that is not the true one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Flip {
    /// The class in the data before any corruption.
    pub from: u32,
    /// The class in the corrupted data.
    pub to: u32,
}

/// Whether a copy was made with noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DuplicateKind {
    /// All features were copied as they were.
    Exact,
    /// Noise was added to the features of the copy, or some of its words are others.
    Near,
}

/// Where a copy comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Duplicate {
    /// The row that was copied, itself perhaps a copy.
    pub original: ExampleId,
    /// How it was copied.
    pub kind: DuplicateKind,
}

/// What a corruption did, by example id; never part of the data.
///
/// A row that is in none of the lists is as it was before. A copy of a flipped or disturbed row is
/// listed with the copies and also with the flipped or disturbed rows, because its label or its
/// features are not true either. A row flipped back to its true label is not listed as flipped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AnswerKey {
    flips: BTreeMap<ExampleId, Flip>,
    duplicates: BTreeMap<ExampleId, Duplicate>,
    disturbed: BTreeSet<ExampleId>,
}

impl AnswerKey {
    pub(super) fn of_flips(flips: BTreeMap<ExampleId, Flip>) -> Self {
        Self { flips, ..Self::default() }
    }

    pub(super) fn of_duplicates(duplicates: BTreeMap<ExampleId, Duplicate>) -> Self {
        Self { duplicates, ..Self::default() }
    }

    pub(super) fn of_disturbed(disturbed: BTreeSet<ExampleId>) -> Self {
        Self { disturbed, ..Self::default() }
    }

    /// Rows with a false label, in order of ids.
    pub fn flips(&self) -> &BTreeMap<ExampleId, Flip> {
        &self.flips
    }

    /// Rows that are copies, in order of ids.
    pub fn duplicates(&self) -> &BTreeMap<ExampleId, Duplicate> {
        &self.duplicates
    }

    /// Rows whose features were given noise by [`super::Corruption::FeatureNoise`], and copies made
    /// of them afterwards. The noise of near duplicates is told by [`Duplicate::kind`].
    pub fn disturbed(&self) -> &BTreeSet<ExampleId> {
        &self.disturbed
    }

    /// Whether nothing was done.
    pub fn is_empty(&self) -> bool {
        self.flips.is_empty() && self.duplicates.is_empty() && self.disturbed.is_empty()
    }

    /// The row of the data before any corruption that a row descends from; itself if it is no copy.
    pub fn root(&self, id: ExampleId) -> ExampleId {
        let mut root = id;
        while let Some(duplicate) = self.duplicates.get(&root) {
            root = duplicate.original;
        }
        root
    }

    /// The key of this corruption followed by a `later` one, applied to what this one left.
    pub fn merge(mut self, later: Self) -> Self {
        for (&copy, duplicate) in &later.duplicates {
            if let Some(&flip) = self.flips.get(&duplicate.original) {
                self.flips.insert(copy, flip);
            }
            if self.disturbed.contains(&duplicate.original) {
                self.disturbed.insert(copy);
            }
        }
        for (id, flip) in later.flips {
            let from = self.flips.get(&id).map_or(flip.from, |earlier| earlier.from);
            if from == flip.to {
                self.flips.remove(&id);
            } else {
                self.flips.insert(id, Flip { from, to: flip.to });
            }
        }
        self.duplicates.extend(later.duplicates);
        self.disturbed.extend(later.disturbed);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flip(id: u32, from: u32, to: u32) -> AnswerKey {
        AnswerKey::of_flips(BTreeMap::from([(ExampleId(id), Flip { from, to })]))
    }

    fn copy(id: u32, original: u32) -> AnswerKey {
        let duplicate = Duplicate { original: ExampleId(original), kind: DuplicateKind::Exact };
        AnswerKey::of_duplicates(BTreeMap::from([(ExampleId(id), duplicate)]))
    }

    #[test]
    fn two_flips_of_a_row_join_and_a_flip_back_vanishes() {
        let joined = flip(1, 0, 2).merge(flip(1, 2, 3));
        assert_eq!(joined, flip(1, 0, 3));
        assert!(flip(1, 0, 2).merge(flip(1, 2, 0)).is_empty());
    }

    #[test]
    fn a_copy_inherits_damage_done_before_and_not_after() {
        let before = flip(1, 0, 2).merge(copy(9, 1));
        assert_eq!(before.flips()[&ExampleId(9)], Flip { from: 0, to: 2 });
        let after = copy(9, 1).merge(flip(1, 0, 2));
        assert!(!after.flips().contains_key(&ExampleId(9)));
        let disturbed = AnswerKey::of_disturbed(BTreeSet::from([ExampleId(1)])).merge(copy(9, 1));
        assert!(disturbed.disturbed().contains(&ExampleId(9)));
    }

    #[test]
    fn the_root_of_a_copy_of_a_copy() {
        let key = copy(9, 1).merge(copy(10, 9));
        assert_eq!(key.root(ExampleId(10)), ExampleId(1));
        assert_eq!(key.root(ExampleId(1)), ExampleId(1));
    }
}
