//! Are the highest scores those of the largest effects?

use ndarray::{ArrayView1, ArrayView2, ArrayView3, Axis};

use crate::statistics::{
    Bootstrapped, MeanOverColumns, Resamples, SortOrder, StatisticsError, check_shapes,
    seed_average,
};

/// Agreement of the top `k` of one method.
#[derive(Clone, Debug, PartialEq)]
pub struct TopK {
    /// Mean over queries of the share of true top items among the predicted ones; `n` counts
    /// queries, `undefined` those with a value that is not finite, which enter as 0.
    pub precision: Bootstrapped,
    /// Mean over queries of the normalised discounted cumulative gain; queries in which nothing
    /// helps have no ideal, are counted and enter as 0.
    pub ndcg: Bootstrapped,
    /// Precision by query, `(Q)`.
    pub precision_per_query: Vec<Option<f64>>,
    /// Normalised gain by query, `(Q)`.
    pub ndcg_per_query: Vec<Option<f64>>,
}

/// `|top_k(tau) and top_k(Delta)| / k`, and `DCG / ideal DCG` with
/// `DCG = sum_(r = 1..k) max(Delta of the item at rank r, 0) / log2(r + 1)`
/// (Järvelin, Kekäläinen 2002).
///
/// `measured (R, M, Q)` effects, averaged over runs, and one `predicted (M, Q)` a method; equal
/// values are taken in the order of rows. Rows and queries are resampled together, runs are not: a
/// draw is the sample in which row `j` stands `c_j` times, copies next to each other.
///
/// # Errors
/// When shapes do not fit, or `k` is not between 1 and the number of rows.
pub fn top_k(
    measured: ArrayView3<'_, f64>,
    predicted: &[ArrayView2<'_, f64>],
    k: usize,
    resamples: &Resamples,
) -> Result<Vec<TopK>, StatisticsError> {
    check_shapes(measured, predicted, resamples)?;
    let rows = resamples.plan().rows;
    if k == 0 {
        return Err(StatisticsError::TooFew { what: "top items, k", found: 0, least: 1 });
    }
    if k > rows {
        let what = "rows to take the top k from";
        return Err(StatisticsError::TooFew { what, found: rows, least: k });
    }
    let truth = seed_average(measured);
    let discounts: Vec<f64> = (1..=k).map(|rank| 1.0 / ((rank + 1) as f64).log2()).collect();
    let one = |scores: &ArrayView2<'_, f64>| {
        let columns = truth.axis_iter(Axis(1)).zip(scores.axis_iter(Axis(1)));
        let columns: Vec<_> = columns.map(|(y, x)| Column::new(x, y)).collect();
        one_method(&columns, &discounts, resamples)
    };
    Ok(predicted.iter().map(one).collect())
}

fn one_method(columns: &[Option<Column>], discounts: &[f64], resamples: &Resamples) -> TopK {
    let values = |counts: &[u32], wanted: &dyn Fn(usize) -> bool| -> (Vec<_>, Vec<_>) {
        let values = columns.iter().enumerate().map(|(q, column)| match column {
            Some(column) if wanted(q) => {
                let (precision, ndcg) = column.top(counts, discounts);
                (Some(precision), ndcg)
            }
            _ => (None, None),
        });
        values.unzip()
    };
    let ones = vec![1; resamples.plan().rows];
    let (precision_per_query, ndcg_per_query) = values(&ones, &|_| true);
    let mut precision = MeanOverColumns::new(&precision_per_query, resamples);
    let mut ndcg = MeanOverColumns::new(&ndcg_per_query, resamples);
    for draw in 0..resamples.plan().draws {
        let queries = resamples.column_counts(draw);
        let (precisions, ndcgs) = values(resamples.row_counts(draw), &|q| queries[q] > 0);
        precision.record(draw, &precisions);
        ndcg.record(draw, &ndcgs);
    }
    TopK { precision: precision.finish(), ndcg: ndcg.finish(), precision_per_query, ndcg_per_query }
}

/// Rows of one query from the highest value down.
struct Column {
    by_score: Vec<u32>,
    by_effect: Vec<u32>,
    gains: Vec<f64>,
}

impl Column {
    /// `None` when a score or an effect is not finite.
    fn new(scores: ArrayView1<'_, f64>, effects: ArrayView1<'_, f64>) -> Option<Self> {
        let descending =
            |values| Some(SortOrder::new(values)?.groups().rev().flatten().copied().collect());
        Some(Self {
            by_score: descending(scores)?,
            by_effect: descending(effects)?,
            gains: effects.iter().map(|effect| effect.max(0.0)).collect(),
        })
    }

    /// Precision, and normalised gain if there is any, with row `j` standing `counts[j]` times.
    fn top(&self, counts: &[u32], discounts: &[f64]) -> (f64, Option<f64>) {
        let found = taken(&self.by_score, counts, discounts.len());
        let ideal = taken(&self.by_effect, counts, discounts.len());
        let mut copies = vec![0; counts.len()];
        ideal.iter().for_each(|&row| copies[row] += 1u32);
        let mut hits = 0;
        for &row in &found {
            if copies[row] > 0 {
                copies[row] -= 1;
                hits += 1;
            }
        }
        let gain = |rows: &[usize]| -> f64 {
            rows.iter().zip(discounts).map(|(&row, discount)| self.gains[row] * discount).sum()
        };
        let best = gain(&ideal);
        let ndcg = (best > 0.0).then(|| gain(&found) / best);
        (f64::from(hits) / discounts.len() as f64, ndcg)
    }
}

/// The first `k` copies in an order of rows.
fn taken(order: &[u32], counts: &[u32], k: usize) -> Vec<usize> {
    let rows = order.iter().map(|&row| row as usize);
    rows.flat_map(|row| std::iter::repeat_n(row, counts[row] as usize)).take(k).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Axis, array};

    use super::{taken, top_k};
    use crate::statistics::{Plan, Resamples, Seeds};

    fn resamples(rows: usize) -> Resamples {
        Resamples::new(Plan { seed: 5, rows, columns: 1, draws: 30, seeds: Seeds::Fixed }).unwrap()
    }

    #[test]
    fn discounted_gain_by_hand() {
        // By score: gains 3, 0, 1 at discounts 1, 1/log2 3, 1/2: 3.5; ideal 3 + 2/log2 3 + 1/2.
        let effects = array![[3.0], [2.0], [0.0], [1.0]].insert_axis(Axis(0));
        let scores = array![[0.9], [0.1], [0.8], [0.5]];
        let found = top_k(effects.view(), &[scores.view()], 3, &resamples(4)).unwrap().remove(0);
        assert!((found.ndcg.point() - 0.735_006_985_139).abs() < 1e-12);
        // {0, 2, 3} and {0, 1, 3}.
        assert!((found.precision.point() - 2.0 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn equal_values_are_taken_in_the_order_of_rows() {
        // Scores all equal: rows 0 and 1; effects: rows 1 and 2.
        let effects = array![[-1.0], [5.0], [4.0]].insert_axis(Axis(0));
        let scores = Array2::ones((3, 1));
        let found = top_k(effects.view(), &[scores.view()], 2, &resamples(3)).unwrap().remove(0);
        assert_eq!(found.precision.point(), 0.5);
        assert_eq!(taken(&[2, 0, 1], &[1, 3, 2], 4), [2, 2, 0, 1]);
    }

    #[test]
    fn queries_in_which_nothing_helps_have_no_ideal() {
        let effects = array![[-3.0], [-2.0]].insert_axis(Axis(0));
        let scores = array![[0.0], [1.0]];
        let found = top_k(effects.view(), &[scores.view()], 1, &resamples(2)).unwrap().remove(0);
        assert_eq!(found.ndcg_per_query, [None]);
        assert_eq!((found.ndcg.point(), found.ndcg.estimate().undefined()), (0.0, 1));
        assert_eq!(found.precision.point(), 1.0);
        assert!(top_k(effects.view(), &[scores.view()], 3, &resamples(2)).is_err());
        assert!(top_k(effects.view(), &[scores.view()], 0, &resamples(2)).is_err());
    }
}
