//! Do scores find planted wrong labels?

use ndarray::ArrayView1;

use crate::statistics::{Bootstrapped, Parts, RankedLabels, Resamples, StatisticsError};

/// How well one method finds planted examples; `n` counts examples.
///
/// A weak proxy: near 1 for methods whose rank correlations with retraining differ fourfold.
#[derive(Clone, Debug, PartialEq)]
pub struct Mislabel {
    /// Chance that a planted example is suspected more than a clean one, ties counted 1/2.
    pub auc: Bootstrapped,
    /// Average precision of the examples from the most suspect down; tied examples count together.
    pub average_precision: Bootstrapped,
}

/// Area under the curve and average precision of `suspicion (n)`, larger meaning more suspect,
/// against `planted (n)`.
///
/// Planted examples are the rows and clean ones the columns of the resamples, `M = #planted` and
/// `Q = #clean`, so that every draw holds both kinds in their true numbers and methods pair.
///
/// # Errors
/// When the numbers of planted and clean examples are not those of the resamples, either is 0, or
/// a suspicion is not finite.
///
/// # Panics
/// When the lengths of `suspicion` and `planted` differ.
pub fn mislabel(
    suspicion: ArrayView1<'_, f64>,
    planted: &[bool],
    resamples: &Resamples,
) -> Result<Mislabel, StatisticsError> {
    let ranked = RankedLabels::new(suspicion, planted)?;
    let (positives, negatives) = ranked.sizes();
    let plan = resamples.plan();
    if (positives, negatives) != (plan.rows, plan.columns) {
        return Err(StatisticsError::Shape {
            what: "examples (planted, clean)",
            found: vec![positives, negatives],
            expected: vec![plan.rows, plan.columns],
        });
    }
    let (auc, precision) = ranked.whole();
    let draws = (0..plan.draws)
        .map(|draw| ranked.resampled(resamples.row_counts(draw), resamples.column_counts(draw)));
    let (aucs, precisions) = draws.unzip();
    let bootstrapped = |point, draws| {
        let parts = Parts { point, draws, n: planted.len(), undefined: 0, undefined_draws: 0 };
        Bootstrapped::new(parts, resamples)
    };
    Ok(Mislabel {
        auc: bootstrapped(auc, aucs),
        average_precision: bootstrapped(precision, precisions),
    })
}

#[cfg(test)]
mod tests {
    use ndarray::aview1;

    use super::mislabel;
    use crate::statistics::{Plan, Resamples, Seeds, StatisticsError};

    #[test]
    fn planted_examples_are_rows_and_clean_ones_columns() {
        let (scores, planted) = ([0.9, 0.8, 0.8, 0.3, 0.1], [true, false, true, false, false]);
        let plan = Plan { seed: 5, rows: 2, columns: 3, draws: 200, seeds: Seeds::Fixed };
        let resamples = Resamples::new(plan).unwrap();
        let found = mislabel(aview1(&scores), &planted, &resamples).unwrap();
        assert!((found.auc.point() - 11.0 / 12.0).abs() < 1e-15);
        // The lowest draw repeats the tie: positives 0.8 0.8 and negatives 0.8 0.8 0.8.
        let lowest = found.auc.draws().iter().copied().fold(f64::INFINITY, f64::min);
        assert_eq!(lowest, 0.5);
        let refusal = mislabel(aview1(&scores[1..]), &planted[1..], &resamples);
        assert!(matches!(refusal, Err(StatisticsError::Shape { .. })));
    }
}
