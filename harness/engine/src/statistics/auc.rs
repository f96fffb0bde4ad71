//! How well a score separates positive from negative examples.

use ndarray::ArrayView1;

use super::error::StatisticsError;
use super::ranks::SortOrder;

/// Chance that a random positive scores above a random negative, ties counted 1/2
/// (Mann, Whitney 1947; Hanley, McNeil 1982).
///
/// Shapes `(n), (n)`; a larger score should mean positive.
///
/// # Errors
/// When a score is not finite or there is no positive or no negative.
///
/// # Panics
/// When the lengths differ.
pub fn roc_auc(scores: ArrayView1<'_, f64>, positive: &[bool]) -> Result<f64, StatisticsError> {
    Ok(RankedLabels::new(scores, positive)?.whole().0)
}

/// `sum_t precision_t (recall_t - recall_(t - 1))` over thresholds `t` from the highest score down.
///
/// Tied examples pass a threshold together, so that the result does not depend on the order of
/// examples. Shapes `(n), (n)`; a larger score should mean positive.
///
/// # Errors
/// When a score is not finite or there is no positive or no negative.
///
/// # Panics
/// When the lengths differ.
pub fn average_precision(
    scores: ArrayView1<'_, f64>,
    positive: &[bool],
) -> Result<f64, StatisticsError> {
    Ok(RankedLabels::new(scores, positive)?.whole().1)
}

/// Labelled examples in the order of their scores.
pub(crate) struct RankedLabels {
    order: SortOrder,
    positive: Vec<bool>,
    /// Position of each example among those of its own label.
    places: Vec<usize>,
    positives: usize,
}

impl RankedLabels {
    pub(crate) fn new(
        scores: ArrayView1<'_, f64>,
        positive: &[bool],
    ) -> Result<Self, StatisticsError> {
        assert_eq!(scores.len(), positive.len(), "one label an example");
        let positives = positive.iter().filter(|&&positive| positive).count();
        let sides = [("positives", positives), ("negatives", positive.len() - positives)];
        for (what, found) in sides {
            if found == 0 {
                return Err(StatisticsError::TooFew { what, found, least: 1 });
            }
        }
        if let Some((index, &value)) = scores.iter().enumerate().find(|(_, s)| !s.is_finite()) {
            return Err(StatisticsError::NotFinite { index, value });
        }
        let order = SortOrder::new(scores).expect("all scores are finite");
        let mut seen = [0, 0];
        let places = positive.iter().map(|&positive| {
            seen[usize::from(positive)] += 1;
            seen[usize::from(positive)] - 1
        });
        let places = places.collect();
        Ok(Self { order, positive: positive.to_vec(), places, positives })
    }

    /// Numbers of positives and of negatives.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.positives, self.positive.len() - self.positives)
    }

    /// `(AUC, average precision)` of the sample.
    pub(crate) fn whole(&self) -> (f64, f64) {
        let (positives, negatives) = self.sizes();
        self.resampled(&vec![1; positives], &vec![1; negatives])
    }

    /// `(AUC, average precision)` with each positive and each negative repeated by its count.
    pub(crate) fn resampled(&self, positives: &[u32], negatives: &[u32]) -> (f64, f64) {
        let total = |counts: &[u32]| counts.iter().map(|&count| u64::from(count)).sum::<u64>();
        let (all_positives, all_negatives) = (total(positives), total(negatives));
        // Twice the wins, so that half a win is an integer too.
        let (mut doubled_wins, mut above, mut hits, mut precision) = (0u64, 0u64, 0u64, 0.0);
        for group in self.order.groups().rev() {
            let (mut group_hits, mut group_misses) = (0u64, 0u64);
            for &example in group {
                let place = self.places[example as usize];
                if self.positive[example as usize] {
                    group_hits += u64::from(positives[place]);
                } else {
                    group_misses += u64::from(negatives[place]);
                }
            }
            let misses_below = all_negatives - (above - hits) - group_misses;
            doubled_wins += group_hits * (2 * misses_below + group_misses);
            hits += group_hits;
            above += group_hits + group_misses;
            if group_hits > 0 {
                precision += group_hits as f64 * hits as f64 / above as f64;
            }
        }
        let pairs = 2.0 * all_positives as f64 * all_negatives as f64;
        (doubled_wins as f64 / pairs, precision / all_positives as f64)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::aview1;

    use super::{RankedLabels, average_precision, roc_auc};
    use crate::statistics::StatisticsError;

    const SCORES: [f64; 5] = [0.9, 0.8, 0.8, 0.3, 0.1];
    const LABELS: [bool; 5] = [true, false, true, false, false];

    #[test]
    fn a_tie_is_half_a_win() {
        // 0.9 beats 3 negatives, 0.8 beats 2 and ties with 1: 5.5 of 6.
        let auc = roc_auc(aview1(&SCORES), &LABELS).unwrap();
        assert!((auc - 11.0 / 12.0).abs() < 1e-15);
    }

    #[test]
    fn tied_examples_pass_the_threshold_together() {
        // Recall 1/2 at precision 1, then recall 1 at precision 2/3 of {0.9, 0.8, 0.8}.
        let expected = 0.5 + 0.5 * 2.0 / 3.0;
        let precision = average_precision(aview1(&SCORES), &LABELS).unwrap();
        assert!((precision - expected).abs() < 1e-15);
        let swapped = [true, true, false, false, false];
        assert_eq!(average_precision(aview1(&SCORES), &swapped).unwrap(), precision);
    }

    #[test]
    fn counts_are_the_expanded_sample() {
        let ranked = RankedLabels::new(aview1(&SCORES), &LABELS).unwrap();
        // Positives 0.8 0.8; negatives 0.8 0.3 0.3.
        let expanded = ([0.8, 0.8, 0.8, 0.3, 0.3], [true, true, false, false, false]);
        let direct = RankedLabels::new(aview1(&expanded.0), &expanded.1).unwrap().whole();
        assert_eq!(ranked.resampled(&[0, 2], &[1, 2, 0]), direct);
        assert!((direct.0 - 5.0 / 6.0).abs() < 1e-15);
    }

    #[test]
    fn labels_of_one_kind_and_nan_are_refused() {
        let refusal = roc_auc(aview1(&SCORES), &[true; 5]);
        let expected = StatisticsError::TooFew { what: "negatives", found: 0, least: 1 };
        assert_eq!(refusal, Err(expected));
        let broken = roc_auc(aview1(&[f64::NAN, 1.0]), &[true, false]);
        assert!(matches!(broken, Err(StatisticsError::NotFinite { index: 0, .. })));
    }
}
