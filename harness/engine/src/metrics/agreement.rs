//! Do two methods order the training examples alike?

use attribench_core::math::dot;
use ndarray::{ArrayView2, Axis};

use crate::statistics::{Bootstrapped, MeanOverColumns, Resamples, StatisticsError, average_ranks};

/// Agreement of two methods.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// Indices of the two among the scores, the smaller first.
    pub methods: [usize; 2],
    /// Mean Spearman correlation over queries; `n` counts queries, `undefined` those in which the
    /// scores of one of the two are all equal, which enter as 0.
    pub mean: Bootstrapped,
}

/// `Spearman_i(tau_iq, tau'_iq)` of every two methods, means over queries.
///
/// `scores` holds one matrix `(n, Q)` a method. Queries are resampled, a sample of what could be
/// asked; training examples are not, because all there are have been scored.
///
/// # Errors
/// When shapes do not fit each other or the resamples.
pub fn agreement(
    scores: &[ArrayView2<'_, f64>],
    resamples: &Resamples,
) -> Result<Vec<Agreement>, StatisticsError> {
    let rows = scores.first().map_or(0, ArrayView2::nrows);
    let expected = vec![rows, resamples.plan().columns];
    if let Some(other) = scores.iter().find(|matrix| matrix.shape() != expected) {
        let (what, found) = ("scores (examples, queries)", other.shape().to_vec());
        return Err(StatisticsError::Shape { what, found, expected });
    }
    let ranks: Vec<Vec<_>> = scores.iter().map(|matrix| unit_ranks(*matrix)).collect();
    let pairs = (0..scores.len()).flat_map(|first| (0..first).map(move |other| [other, first]));
    let of_pair = |methods: [usize; 2]| {
        let [left, right] = methods.map(|method| &ranks[method]);
        let correlations: Vec<Option<f64>> = left
            .iter()
            .zip(right)
            .map(|(x, y)| Some(dot(x.as_ref()?, y.as_ref()?).clamp(-1.0, 1.0)))
            .collect();
        let mut mean = MeanOverColumns::new(&correlations, resamples);
        (0..resamples.plan().draws).for_each(|draw| mean.record(draw, &correlations));
        Agreement { methods, mean: mean.finish() }
    };
    Ok(pairs.map(of_pair).collect())
}

/// Average ranks of each column, less their mean and of length 1: products of two are Spearman's
/// correlation. `None` for a column without ranks or of equal entries.
fn unit_ranks(scores: ArrayView2<'_, f64>) -> Vec<Option<Vec<f64>>> {
    let of_column = |column| {
        let mut ranks = average_ranks(column)?;
        let mean = (ranks.len() + 1) as f64 / 2.0;
        ranks.iter_mut().for_each(|rank| *rank -= mean);
        let length = dot(&ranks, &ranks).sqrt();
        ranks.iter_mut().for_each(|rank| *rank /= length);
        (length > 0.0).then_some(ranks)
    };
    scores.axis_iter(Axis(1)).map(of_column).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::agreement;
    use crate::statistics::{Plan, Resamples, Seeds, StatisticsError, spearman};

    fn resamples(columns: usize) -> Resamples {
        let plan = Plan { seed: 3, rows: 2, columns, draws: 200, seeds: Seeds::Fixed };
        Resamples::new(plan).unwrap()
    }

    #[test]
    fn orders_decide_and_constants_count_as_none() {
        // Query 0: the second doubles the first, the third reverses it. Query 1: the second swaps
        // the last two of four, 1 - 6 * 2 / (4 * 15) = 0.8; the third is constant.
        let first = array![[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [4.0, 4.0]];
        let second = array![[2.0, 5.0], [4.0, 6.0], [6.0, 8.0], [8.0, 7.0]];
        let third = array![[9.0, 1.0], [5.0, 1.0], [1.0, 1.0], [-2.0, 1.0]];
        let views = [first.view(), second.view(), third.view()];
        let found = agreement(&views, &resamples(2)).unwrap();
        let methods: Vec<_> = found.iter().map(|agreement| agreement.methods).collect();
        assert_eq!(methods, [[0, 1], [0, 2], [1, 2]]);
        let points: Vec<f64> = found.iter().map(|agreement| agreement.mean.point()).collect();
        for (found, expected) in points.iter().zip([0.9, -0.5, -0.5]) {
            assert!((found - expected).abs() < 1e-14, "{found} is not {expected}");
        }
        assert_eq!(found[1].mean.estimate().undefined(), 1);
        // A draw holds query 0 none, one or two times of two: 0.8, 0.9 or 1.
        let estimate = found[0].mean.estimate();
        assert!((estimate.lower() - 0.8).abs() < 1e-14 && (estimate.upper() - 1.0).abs() < 1e-14);
    }

    #[test]
    fn ties_share_their_ranks() {
        let x = Array2::from_shape_fn((30, 3), |(i, q)| ((i * 7 + q * 5) % 11) as f64);
        let y = Array2::from_shape_fn((30, 3), |(i, q)| ((i * i + q) % 13) as f64);
        let found = agreement(&[x.view(), y.view()], &resamples(3)).unwrap();
        let expected: f64 =
            (0..3).map(|q| spearman(x.column(q), y.column(q)).unwrap()).sum::<f64>() / 3.0;
        assert!((found[0].mean.point() - expected).abs() < 1e-14);
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let (x, y) = (Array2::<f64>::zeros((4, 2)), Array2::zeros((5, 2)));
        let refusal = agreement(&[x.view(), y.view()], &resamples(2));
        assert!(matches!(refusal, Err(StatisticsError::Shape { .. })));
    }
}
