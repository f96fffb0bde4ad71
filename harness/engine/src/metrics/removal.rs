//! Correlation of scores with the effects of removing single items or whole contributors.

use ndarray::{ArrayView2, ArrayView3};

use crate::statistics::{
    Bootstrapped, MeanOverColumns, Moments, Resamples, StatisticsError, check_shapes,
    moments_by_column, seed_average, spearman_by_column, visit_moments, visit_spearman,
};

/// Agreement of one method with leave-one-out effects.
#[derive(Clone, Debug, PartialEq)]
pub struct Removal {
    /// Mean Spearman correlation over queries; `n` counts queries, `undefined` those without a
    /// correlation, which enter as 0.
    pub spearman: Bootstrapped,
    /// Mean Pearson correlation over queries, counted likewise.
    pub pearson: Bootstrapped,
    /// Spearman correlation by query, `(Q)`.
    pub spearman_per_query: Vec<Option<f64>>,
    /// Pearson correlation by query, `(Q)`.
    pub pearson_per_query: Vec<Option<f64>>,
}

/// `Spearman_i(tau_iq, Delta_iq)` and `Pearson_i(tau_iq, Delta_iq)`, means over queries
/// (Koh, Liang 2017).
///
/// `measured` holds the effects `Delta`, `(R, M, Q)`, of each of `M` removals: utility with all
/// data minus utility without. `predicted` holds one matrix `(M, Q)` a method with the scores of
/// what was removed; the answer has the same order. Removals and queries are resampled together.
///
/// # Errors
/// When shapes do not fit each other or the resamples.
pub fn removal(
    measured: ArrayView3<'_, f64>,
    predicted: &[ArrayView2<'_, f64>],
    resamples: &Resamples,
) -> Result<Vec<Removal>, StatisticsError> {
    check_shapes(measured, predicted, resamples)?;
    let truth = seed_average(measured);
    let by_rank: Vec<_> =
        predicted.iter().map(|matrix| spearman_by_column(truth.view(), *matrix)).collect();
    let by_value: Vec<_> = predicted
        .iter()
        .map(|matrix| pearsons(&moments_by_column(truth.view(), *matrix)))
        .collect();
    let start = |samples: &[Vec<Option<f64>>]| -> Vec<_> {
        samples.iter().map(|sample| MeanOverColumns::new(sample, resamples)).collect()
    };
    let (mut rank_means, mut value_means) = (start(&by_rank), start(&by_value));
    visit_spearman(measured, predicted, resamples, |method, draw, values| {
        rank_means[method].record(draw, values);
    });
    visit_moments(measured, predicted, resamples, |method, draw, moments| {
        value_means[method].record(draw, &pearsons(moments));
    });
    let methods = rank_means.into_iter().zip(value_means).zip(by_rank.into_iter().zip(by_value));
    Ok(methods
        .map(|((spearman, pearson), (spearman_per_query, pearson_per_query))| Removal {
            spearman: spearman.finish(),
            pearson: pearson.finish(),
            spearman_per_query,
            pearson_per_query,
        })
        .collect())
}

fn pearsons(moments: &[Option<Moments>]) -> Vec<Option<f64>> {
    moments.iter().map(|moments| moments.as_ref()?.pearson()).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, array};

    use super::removal;
    use crate::statistics::{Plan, Resamples, Seeds};

    #[test]
    fn ranks_and_values_are_told_apart() {
        // Query 0: the squares of 0..=3 are in order but not on a line. Pearson of (0, 1, 2, 3)
        // and (0, 1, 4, 9): products 15, squares 5 and 49. Query 1: constant scores.
        let measured = array![[0.0, 1.0], [1.0, 2.0], [4.0, 3.0], [9.0, 4.0]].insert_axis(Axis(0));
        let scores = array![[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [3.0, 1.0]];
        let plan = Plan { seed: 5, rows: 4, columns: 2, draws: 20, seeds: Seeds::Fixed };
        let resamples = Resamples::new(plan).unwrap();
        let found = removal(measured.view(), &[scores.view()], &resamples).unwrap().remove(0);
        assert_eq!(found.spearman_per_query[1], None);
        assert!((found.spearman.point() - 0.5).abs() < 1e-15);
        let pearson = 15.0 / 245f64.sqrt();
        assert!((found.pearson_per_query[0].unwrap() - pearson).abs() < 1e-15);
        assert!((found.pearson.point() - pearson / 2.0).abs() < 1e-15);
        assert_eq!(found.pearson.estimate().undefined(), 1);
    }
}
