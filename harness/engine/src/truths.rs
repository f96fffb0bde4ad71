//! What really happens when data are left out, measured by retraining.

use attribench_core::{Real, stream};
use attribench_datasets::Dataset;
use ndarray::{Array2, ArrayView2, Axis, s};
use rand::seq::SliceRandom;

use crate::{
    games::{GameTruth, MOST_PLAYERS, retrain_coalitions},
    progress::Progress,
    retrain::{Kept, Request, Retrainer},
    spec::{Removals, Subsets, Truths},
    store::StoreError,
};

/// Utilities of models trained on random subsets, `y[r][j, q] = f_q(theta_T(1_{S_j}; xi_r))`.
#[derive(Clone, Debug, PartialEq)]
pub struct SubsetTruth {
    /// Which examples each subset keeps, `(M, n)`.
    pub masks: Array2<bool>,
    /// Utilities by seed, `(M, Q)` each.
    pub utilities: Vec<Array2<f64>>,
}

impl SubsetTruth {
    /// The first `count` subsets, and the others.
    fn split_at(&self, count: usize) -> (Self, Self) {
        let part = |rows: std::ops::Range<usize>| Self {
            masks: self.masks.slice(s![rows.clone(), ..]).to_owned(),
            utilities: self
                .utilities
                .iter()
                .map(|by_seed| by_seed.slice(s![rows.clone(), ..]).to_owned())
                .collect(),
        };
        (part(0..count), part(count..self.masks.nrows()))
    }
}

/// Effects of keeping a group against leaving it out, `f_q(1) - f_q(1 - 1_S)` under the same seed.
#[derive(Clone, Debug, PartialEq)]
pub struct RemovalTruth {
    /// Identifier of the truth: `leave-one-out` or `leave-contributor-out`.
    pub id: &'static str,
    /// Rows of each group.
    pub groups: Vec<Vec<usize>>,
    /// Name of each group: an example id or a contributor's name.
    pub names: Vec<String>,
    /// Effects by seed, `(groups, Q)` each.
    pub effects: Vec<Array2<f64>>,
}

impl RemovalTruth {
    /// Effects averaged over seeds, `(groups, Q)`.
    pub fn mean_effects(&self) -> Array2<f64> {
        mean(&self.effects)
    }
}

/// Entry-wise mean of equal-shaped matrices, in order.
///
/// # Panics
/// When there is none.
pub fn mean(matrices: &[Array2<f64>]) -> Array2<f64> {
    let sum = matrices[1..].iter().fold(matrices[0].clone(), |sum, matrix| sum + matrix);
    sum / matrices.len() as f64
}

/// All truths of an experiment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeasuredTruths {
    /// Subset retraining.
    pub subsets: Option<SubsetTruth>,
    /// The same for subsets on which settings of methods are chosen.
    pub tuning_subsets: Option<SubsetTruth>,
    /// Leave-one-out and leave-contributor-out.
    pub removals: Vec<RemovalTruth>,
    /// All coalitions of contributors.
    pub game: Option<GameTruth>,
}

/// Examples that a subset keeps, `round(fraction * n)`.
pub fn subset_size(subsets: &Subsets, examples: usize) -> usize {
    (subsets.fraction * examples as f64).round() as usize
}

/// Subsets of exactly [`subset_size`] examples, from the stream `subsets` of the seed; after those
/// that are reported come those for tuning.
pub fn draw_masks(subsets: &Subsets, examples: usize, seed: u64) -> Array2<bool> {
    let size = subset_size(subsets, examples);
    let mut masks = Array2::from_elem((subsets.subsets + subsets.tuning, examples), false);
    for (index, mut mask) in masks.outer_iter_mut().enumerate() {
        let mut rows: Vec<usize> = (0..examples).collect();
        rows.shuffle(&mut stream(seed, "subsets", index as u64));
        for &row in &rows[..size] {
            mask[row] = true;
        }
    }
    masks
}

/// Seed of repeat `r`: the run's own first, then streams of it.
pub fn repeat_seed(seed: u64, repeat: usize) -> u64 {
    use rand::Rng;
    if repeat == 0 { seed } else { stream(seed, "repeat", repeat as u64).next_u64() }
}

/// Groups to be left out: every example or a random choice of them.
fn example_groups(
    dataset: &Dataset,
    removals: &Removals,
    seed: u64,
) -> (Vec<Vec<usize>>, Vec<String>) {
    let rows = choose(dataset.len(), removals.count, seed, "leave-one-out");
    let names = rows.iter().map(|&row| dataset.ids()[row].to_string()).collect();
    (rows.into_iter().map(|row| vec![row]).collect(), names)
}

/// Groups to be left out: what each contributor owns, or a random choice of contributors.
fn contributor_groups(
    dataset: &Dataset,
    removals: &Removals,
    seed: u64,
) -> (Vec<Vec<usize>>, Vec<String>) {
    let contributors = dataset.contributors().len();
    let chosen = choose(contributors, removals.count, seed, "leave-contributor-out");
    let names = chosen.iter().map(|&c| dataset.contributors()[c].clone()).collect();
    let rows_of = |contributor: usize| {
        let owners = dataset.owners().iter().enumerate();
        owners.filter(|(_, owner)| **owner as usize == contributor).map(|(row, _)| row).collect()
    };
    (chosen.into_iter().map(rows_of).collect(), names)
}

/// `count` of `0..total` in ascending order, or all of them.
fn choose(total: usize, count: Option<usize>, seed: u64, name: &str) -> Vec<usize> {
    let mut all: Vec<usize> = (0..total).collect();
    if let Some(count) = count {
        all.shuffle(&mut stream(seed, name, 0));
        all.truncate(count);
        all.sort_unstable();
    }
    all
}

/// Number of trainings that the truths need.
pub fn trainings(truths: &Truths, examples: usize, contributors: usize) -> usize {
    // One more a seed and removal truth: the run with everything, trained in the same way.
    let removal = |removals: &Option<Removals>, total: usize| {
        removals
            .map_or(0, |removals| removals.seeds * (removals.count.unwrap_or(total).min(total) + 1))
    };
    truths.subsets.map_or(0, |subsets| (subsets.subsets + subsets.tuning) * subsets.seeds)
        + removal(&truths.leave_one_out, examples)
        + removal(&truths.leave_contributor_out, contributors)
        + truths.game.map_or(0, |game| game.seeds << (contributors * game.parts).min(MOST_PLAYERS))
}

/// Measures every truth that is asked for, in one batch of retrainings.
///
/// # Errors
/// When the store fails.
pub fn measure<T: Real>(
    truths: &Truths,
    dataset: &Dataset,
    seed: u64,
    retrainer: &Retrainer<'_, T>,
    progress: &dyn Progress,
) -> Result<MeasuredTruths, StoreError> {
    let examples = dataset.len();
    let masks = truths.subsets.map(|subsets| draw_masks(&subsets, examples, seed));
    let mut removals = Vec::new();
    if let Some(asked) = &truths.leave_one_out {
        removals.push(("leave-one-out", asked.seeds, example_groups(dataset, asked, seed)));
    }
    if let Some(asked) = &truths.leave_contributor_out {
        let groups = contributor_groups(dataset, asked, seed);
        removals.push(("leave-contributor-out", asked.seeds, groups));
    }
    let subset_seeds = truths.subsets.map_or(0, |subsets| subsets.seeds);
    let mut requests = Vec::new();
    for repeat in 0..subset_seeds {
        let kept = masks.iter().flat_map(|masks| masks.outer_iter().map(|mask| mask.to_vec()));
        requests.push(Request { kept: kept.collect(), seed: repeat_seed(seed, repeat) });
    }
    for (_, seeds, (groups, _)) in &removals {
        let everything_first = std::iter::once(vec![true; examples]);
        let kept: Vec<Kept> =
            everything_first.chain(groups.iter().map(|group| without(group, examples))).collect();
        requests.extend(
            (0..*seeds)
                .map(|repeat| Request { kept: kept.clone(), seed: repeat_seed(seed, repeat) }),
        );
    }
    let mut utilities = retrainer.utilities(&requests, progress)?.into_iter();
    let all_subsets = masks.map(|masks| SubsetTruth {
        masks,
        utilities: utilities.by_ref().take(subset_seeds).collect(),
    });
    let reported = truths.subsets.map_or(0, |subsets| subsets.subsets);
    let (subsets, tuning_subsets) = all_subsets.map(|all| all.split_at(reported)).unzip();
    let tuning_subsets = tuning_subsets.filter(|truth| truth.masks.nrows() > 0);
    let removals = removals
        .into_iter()
        .map(|(id, seeds, (groups, names))| {
            let effects =
                utilities.by_ref().take(seeds).map(|found| effects(found.view())).collect();
            RemovalTruth { id, groups, names, effects }
        })
        .collect();
    let retrain = |asked| retrain_coalitions(asked, dataset, seed, retrainer, progress);
    let game = truths.game.as_ref().map(retrain).transpose()?;
    Ok(MeasuredTruths { subsets, tuning_subsets, removals, game })
}

fn without(group: &[usize], examples: usize) -> Kept {
    let mut kept = vec![true; examples];
    for &row in group {
        kept[row] = false;
    }
    kept
}

/// First row minus each of the others.
fn effects(utilities: ArrayView2<'_, f64>) -> Array2<f64> {
    let (everything, without) = utilities.split_at(Axis(0), 1);
    let everything = everything.broadcast(without.dim()).expect("one row of the same width");
    everything.to_owned() - without
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, array};

    use super::{choose, draw_masks, effects, repeat_seed, trainings};
    use crate::spec::{Coalitions, Removals, Subsets, Truths};

    #[test]
    fn masks_have_the_size_asked_for_and_differ() {
        let subsets = Subsets { fraction: 0.5, subsets: 6, seeds: 1, tuning: 0 };
        let masks = draw_masks(&subsets, 11, 5);
        for mask in masks.outer_iter() {
            // 0.5 * 11 = 5.5, rounded away from zero.
            assert_eq!(mask.iter().filter(|&&kept| kept).count(), 6);
        }
        assert_ne!(masks.index_axis(Axis(0), 0), masks.index_axis(Axis(0), 1));
        assert_eq!(masks, draw_masks(&subsets, 11, 5));
    }

    #[test]
    fn more_subsets_leave_the_first_ones_as_they_are() {
        let few = draw_masks(&Subsets { fraction: 0.5, subsets: 3, seeds: 1, tuning: 0 }, 20, 1);
        let many = draw_masks(&Subsets { fraction: 0.5, subsets: 5, seeds: 1, tuning: 4 }, 20, 1);
        assert_eq!(few, many.slice(ndarray::s![..3, ..]));
    }

    #[test]
    fn effects_are_what_is_lost() {
        let found = effects(array![[5.0, 1.0], [3.0, 2.0], [5.0, 0.0]].view());
        assert_eq!(found, array![[2.0, -1.0], [0.0, 1.0]]);
    }

    #[test]
    fn the_first_repeat_is_the_run_itself() {
        assert_eq!(repeat_seed(7, 0), 7);
        assert_ne!(repeat_seed(7, 1), repeat_seed(7, 2));
        assert_eq!(choose(5, None, 0, "x"), vec![0, 1, 2, 3, 4]);
        assert_eq!(choose(50, Some(7), 0, "x").len(), 7);
    }

    #[test]
    fn trainings_are_counted_with_their_baselines() {
        let truths = Truths {
            subsets: Some(Subsets { fraction: 0.5, subsets: 10, seeds: 2, tuning: 5 }),
            leave_one_out: Some(Removals { count: Some(7), seeds: 1 }),
            leave_contributor_out: Some(Removals { count: None, seeds: 3 }),
            game: Some(Coalitions { seeds: 2, parts: 1 }),
        };
        // (10 + 5) * 2 + (7 + 1) + 3 * (4 + 1) + 2 * 2^4
        assert_eq!(trainings(&truths, 100, 4), 85);
    }
}
