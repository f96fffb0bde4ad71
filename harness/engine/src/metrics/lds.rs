//! Linear datamodelling score: do summed scores rank retrained subsets?

use ndarray::{Array2, ArrayView2, ArrayView3, s};

use crate::statistics::{
    Bootstrapped, MeanOverColumns, Parts, Resamples, StatisticsError, check_shapes, or_degenerate,
    quantile, seed_average, spearman_by_column, visit_spearman,
};

/// Probabilities of the quantiles over queries that accompany a mean.
pub const LDS_QUANTILES: [f64; 3] = [0.1, 0.5, 0.9];

/// The retrained subsets that all methods are measured against.
#[derive(Clone, Copy, Debug)]
pub struct LdsInput<'a> {
    /// Data weights of each run, `(M, n)`: 1 or 0 for a subset, columns in the order of the scores.
    pub subsets: ArrayView2<'a, f64>,
    /// Utilities of the retrained models, `(R, M, Q)`, in the unit of the utility.
    pub utilities: ArrayView3<'a, f64>,
}

/// The score of one method.
#[derive(Clone, Debug, PartialEq)]
pub struct Lds {
    /// Mean over queries; `n` counts queries, `undefined` those without a correlation, which
    /// enter as 0.
    pub mean: Bootstrapped,
    /// By query, `(Q)`.
    pub per_query: Vec<Option<f64>>,
    /// Quantiles over queries at [`LDS_QUANTILES`], undefined queries entering as 0.
    pub quantiles: [Bootstrapped; 3],
}

/// `LDS_q = Spearman_j(utility_jq, sum_i w_ji tau_iq)` and its mean over queries (Park et al. 2023;
/// Ilyas et al. 2022).
///
/// `scores` holds one matrix `(n, Q)` a method; the answer has the same order. Each mean carries a
/// two-way bootstrap over subsets and queries, whose draws all methods share.
///
/// # Errors
/// When shapes do not fit each other or the resamples.
pub fn lds(
    input: &LdsInput<'_>,
    scores: &[ArrayView2<'_, f64>],
    resamples: &Resamples,
) -> Result<Vec<Lds>, StatisticsError> {
    let predicted: Result<Vec<Array2<f64>>, _> =
        scores.iter().map(|matrix| subset_predictions(input.subsets, *matrix)).collect();
    let predicted = predicted?;
    let views: Vec<_> = predicted.iter().map(|matrix| matrix.view()).collect();
    check_shapes(input.utilities, &views, resamples)?;
    let truth = seed_average(input.utilities);
    let samples: Vec<Vec<Option<f64>>> =
        views.iter().map(|matrix| spearman_by_column(truth.view(), *matrix)).collect();
    let mut means: Vec<_> =
        samples.iter().map(|sample| MeanOverColumns::new(sample, resamples)).collect();
    let mut quantiles = vec![vec![[0.0; 3]; resamples.plan().draws]; views.len()];
    visit_spearman(input.utilities, &views, resamples, |method, draw, values| {
        means[method].record(draw, values);
        quantiles[method][draw] = quantiles_over_queries(values, resamples.column_counts(draw));
    });
    let methods = means.into_iter().zip(samples).zip(quantiles);
    Ok(methods
        .map(|((mean, per_query), quantiles)| {
            let mean = mean.finish();
            let quantiles = bootstrapped_quantiles(&mean, &per_query, &quantiles, resamples);
            Lds { mean, per_query, quantiles }
        })
        .collect())
}

/// Summed scores of each subset, `(M, n) x (n, Q) -> (M, Q)`, in the unit of the scores.
///
/// Summed in the order of the examples, so that the machine cannot decide a tie; an example of
/// weight 0 is not read.
///
/// # Errors
/// When the number of examples differs.
pub fn subset_predictions(
    subsets: ArrayView2<'_, f64>,
    scores: ArrayView2<'_, f64>,
) -> Result<Array2<f64>, StatisticsError> {
    if subsets.ncols() != scores.nrows() {
        return Err(StatisticsError::Shape {
            what: "scores (examples, queries)",
            found: scores.shape().to_vec(),
            expected: vec![subsets.ncols(), scores.ncols()],
        });
    }
    let scores = scores.as_standard_layout();
    let mut predicted = Array2::zeros((subsets.nrows(), scores.ncols()));
    for (mut sum, weights) in predicted.outer_iter_mut().zip(subsets.outer_iter()) {
        for (example, &weight) in weights.iter().enumerate() {
            if weight != 0.0 {
                sum.scaled_add(weight, &scores.slice(s![example, ..]));
            }
        }
    }
    Ok(predicted)
}

/// Quantiles of the sample in which query `q` occurs `counts[q]` times.
fn quantiles_over_queries(values: &[Option<f64>], counts: &[u32]) -> [f64; 3] {
    let drawn = values.iter().zip(counts);
    let mut expanded: Vec<f64> = drawn
        .flat_map(|(&value, &count)| std::iter::repeat_n(or_degenerate(value), count as usize))
        .collect();
    expanded.sort_unstable_by(f64::total_cmp);
    LDS_QUANTILES.map(|probability| quantile(&expanded, probability))
}

fn bootstrapped_quantiles(
    mean: &Bootstrapped,
    per_query: &[Option<f64>],
    draws: &[[f64; 3]],
    resamples: &Resamples,
) -> [Bootstrapped; 3] {
    let points = quantiles_over_queries(per_query, &vec![1; per_query.len()]);
    std::array::from_fn(|which| {
        let parts = Parts {
            point: points[which],
            draws: draws.iter().map(|quantiles| quantiles[which]).collect(),
            n: per_query.len(),
            undefined: per_query.iter().filter(|value| value.is_none()).count(),
            undefined_draws: mean.undefined_draws(),
        };
        Bootstrapped::new(parts, resamples)
    })
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Axis, array};

    use super::{LdsInput, lds, subset_predictions};
    use crate::statistics::{Plan, Resamples, Seeds, StatisticsError};

    fn resamples(rows: usize, columns: usize) -> Resamples {
        Resamples::new(Plan { seed: 2, rows, columns, draws: 40, seeds: Seeds::Fixed }).unwrap()
    }

    #[test]
    fn an_additive_truth_is_ranked_perfectly_and_its_negative_backwards() {
        let subsets = array![[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0]];
        let scores = array![[1.0, -3.0], [2.0, 1.0], [4.0, 0.5]];
        let truth = (subsets.dot(&scores) + 7.0).insert_axis(Axis(0));
        let input = LdsInput { subsets: subsets.view(), utilities: truth.view() };
        let negative = -&scores;
        let found = lds(&input, &[scores.view(), negative.view()], &resamples(4, 2)).unwrap();
        assert_eq!(found[0].per_query, [Some(1.0), Some(1.0)]);
        assert_eq!(found[0].quantiles.each_ref().map(|quantile| quantile.point()), [1.0; 3]);
        assert_eq!(found[1].mean.point(), -1.0);
    }

    #[test]
    fn scores_that_rank_nothing_count_as_zero_and_are_counted() {
        // Query 0 is predicted perfectly, query 1 has equal scores in subsets of equal size.
        let subsets = array![[1.0, 0.0], [0.0, 1.0]];
        let scores = array![[1.0, 5.0], [2.0, 5.0]];
        let truth = array![[[1.0, 1.0], [2.0, 2.0]]];
        let input = LdsInput { subsets: subsets.view(), utilities: truth.view() };
        let found = lds(&input, &[scores.view()], &resamples(2, 2)).unwrap().remove(0);
        assert_eq!(found.per_query, [Some(1.0), None]);
        assert_eq!(found.mean.point(), 0.5);
        assert_eq!(found.mean.estimate().undefined(), 1);
        // Half of the draws of two rows hold one row twice, which is a constant.
        assert!((5..35).contains(&found.mean.undefined_draws()));
    }

    #[test]
    fn a_failed_run_is_counted() {
        let subsets = array![[1.0, 0.0], [0.0, 1.0]];
        let scores = array![[1.0, 1.0], [2.0, 2.0]];
        let truth = array![[[1.0, f64::NAN], [2.0, 2.0]]];
        let input = LdsInput { subsets: subsets.view(), utilities: truth.view() };
        let found = lds(&input, &[scores.view()], &resamples(2, 2)).unwrap().remove(0);
        assert_eq!(found.per_query, [Some(1.0), None]);
        assert!(found.mean.draws().contains(&0.0));
    }

    #[test]
    fn fixed_size_subsets_hide_a_shift() {
        // All pairs of three: a constant added to every score adds 2 c to every prediction.
        let subsets = array![[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]];
        let shifted = array![[1.0], [2.0], [3.0]] + 10.0;
        let predicted = subset_predictions(subsets.view(), shifted.view()).unwrap();
        assert_eq!(predicted, array![[23.0], [24.0], [25.0]]);
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let subsets = Array2::zeros((2, 3));
        let refusal = subset_predictions(subsets.view(), Array2::zeros((4, 1)).view());
        assert!(matches!(refusal, Err(StatisticsError::Shape { .. })));
        let utilities = Array2::zeros((2, 1)).insert_axis(Axis(0));
        let input = LdsInput { subsets: subsets.view(), utilities: utilities.view() };
        let refusal = lds(&input, &[Array2::zeros((3, 1)).view()], &resamples(3, 1));
        assert!(matches!(refusal, Err(StatisticsError::Shape { .. })));
    }
}
