//! Exact Shapley values of a nearest-neighbour classifier on the inputs.
//!
//! # Computes
//! The game of a query: a coalition of training examples is worth the share of hits (labels equal
//! to the query's) among its `K` members nearest to the query, a missing neighbour being no hit.
//! With the examples in order of distance, nearest first, and `y_j = 1` where the `j`-th is a hit,
//! `s_n = y_n / max(n, K)` and `s_j = s_{j+1} + (y_j - y_{j+1}) / K * min(K, j) / j`.
//!
//! # Reads
//! Training inputs, labels and queries (black box). No forward pass, no gradient; a sort a query.
//!
//! # Shapes
//! Distances `(q, d) x (d, n) -> (q, n)` in `f64`, for some queries at a time; then one row after
//! the other. Equal distances are ordered by row.
//!
//! # Differs from the paper
//! A sum for every query is kept, not the mean over queries. The scores are exact and in units of
//! the accuracy of that classifier, which is not the utility of the run, nor one that a payout
//! could be made in: the scale is `arbitrary`.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::KnnShapley;
//! assert!(KnnShapley { neighbours: 0 }.check().is_err());
//! ```
//!
//! # References
//! Jia, Dao, Wang, Hubis, Gurel, Li, Zhang, Spanos, Song, Efficient task-specific data valuation
//! for nearest neighbor algorithms, VLDB 2019, arXiv 1908.08619.

use attribench_core::{
    BlackBox, Context, Examples, Labels, Method, MethodError, MethodInfo, ModelInput, Queries,
    Real, Scale, Scorer, Scores, View, math,
};
use ndarray::{Array2, ArrayView1, ArrayView2, s};
use serde::{Deserialize, Serialize};

use crate::{label, pair};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct KnnShapley {
    /// `K`, how many neighbours vote.
    pub neighbours: usize,
}

impl Default for KnnShapley {
    fn default() -> Self {
        Self { neighbours: 5 }
    }
}

impl Method for KnnShapley {
    type Access = BlackBox;
    const READS: Option<ModelInput> = Some(ModelInput::Numbers);
    const INFO: MethodInfo = MethodInfo {
        name: "knn-shapley",
        summary: "exact Shapley values of a nearest-neighbour classifier on the inputs",
        scale: Scale::Arbitrary,
    };

    fn check(&self) -> Result<(), String> {
        if self.neighbours == 0 {
            return Err("`neighbours` is 0\nhint: let at least one neighbour vote".to_owned());
        }
        Ok(())
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, BlackBox, T>,
        _context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        classes(view.train())?;
        let inputs = view.train().features().mapv(Real::to_f64);
        Ok(Box::new(Fitted { view, inputs, neighbours: self.neighbours }))
    }
}

struct Fitted<'a, T> {
    view: View<'a, BlackBox, T>,
    inputs: Array2<f64>,
    neighbours: usize,
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let train = self.view.train();
        let (labels, asked) = (classes(train)?, classes(&queries.examples)?);
        let mut values = Array2::zeros((train.len(), asked.len()));
        let (shares, squares) = (Shares::new(train.len(), self.neighbours), squares(&self.inputs));
        let (mut order, mut y) = (Vec::new(), Vec::new());
        for (start, block) in queries.examples.blocks(pair::BLOCK_ROWS) {
            let z = block.features().mapv(Real::to_f64);
            let distances = distances(self.inputs.view(), &squares, z.view());
            let mut of_block = Array2::zeros(distances.dim());
            for (row, distances) in distances.outer_iter().enumerate() {
                let distances = distances.to_slice().expect("rows are contiguous");
                sort_by_distance(distances, &mut order);
                let asked = asked[start + row];
                y.clear();
                y.extend(order.iter().map(|&nearest| labels[row_of(nearest)] == asked));
                let mut found = of_block.row_mut(row);
                let found = found.as_slice_mut().expect("rows are contiguous");
                shares.each_value(&y, |rank, value| found[row_of(order[rank])] = value);
            }
            // (b, n) -> (n, b)
            values.slice_mut(s![.., start..start + block.len()]).assign(&of_block.t());
        }
        label::<KnnShapley, T>(train, queries, values)
    }
}

fn classes<T: Real>(examples: &Examples<T>) -> Result<&[u32], MethodError> {
    match examples.labels() {
        Labels::Classes(labels) => Ok(labels),
        Labels::Values(_) | Labels::Tokens(_) => Err(MethodError::Unsuitable(
            "knn-shapley needs classes, and these targets are numbers".to_owned(),
        )),
    }
}

/// `|x|^2` of every row.
fn squares(x: &Array2<f64>) -> Vec<f64> {
    x.outer_iter().map(|x| x.dot(&x)).collect()
}

/// Squared distances `|x - z|^2` less `|z|^2`, which shifts a whole row: `(n, d), (b, d) -> (b,
/// n)`.
fn distances(x: ArrayView2<'_, f64>, squares: &[f64], z: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut distances = Array2::zeros((z.nrows(), x.nrows()));
    distances.outer_iter_mut().for_each(|mut row| row.assign(&ArrayView1::from(squares)));
    // (b, d) x (d, n) -> (b, n)
    math::matmul_into(distances.view_mut(), 1.0, z, x.t(), -2.0);
    distances
}

/// Rows, nearest first, in the low halves of `order`; equal distances by row.
///
/// The high halves are the first bits of the distances, so that almost all comparisons are of
/// whole numbers; only rows that agree in them are compared by the distances themselves.
fn sort_by_distance(distances: &[f64], order: &mut Vec<u64>) {
    const HIGH: u64 = !0 << 32;
    // Positive numbers in ascending order after negative ones, as whole numbers.
    let ascending = |distance: f64| {
        let bits = distance.to_bits();
        if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
    };
    order.clear();
    let keys = distances.iter().enumerate();
    order.extend(keys.map(|(row, &distance)| ascending(distance) & HIGH | row as u64));
    order.sort_unstable();
    let exactly = |&one: &u64, &other: &u64| {
        let (i, j) = (row_of(one), row_of(other));
        distances[i].total_cmp(&distances[j]).then(i.cmp(&j))
    };
    for alike in order.chunk_by_mut(|one, other| one & HIGH == other & HIGH) {
        if alike.len() > 1 {
            alike.sort_unstable_by(exactly);
        }
    }
}

/// The row in the low half of an entry of the order.
fn row_of(entry: u64) -> usize {
    (entry & 0xFFFF_FFFF) as usize
}

/// What a change from hit to miss between neighbours is worth, by rank.
struct Shares {
    /// `min(K, j) / (K j)`, for `j` from 1.
    of_change: Vec<f64>,
    /// `1 / max(n, K)`.
    of_last: f64,
}

impl Shares {
    fn new(n: usize, k: usize) -> Self {
        let of_change = (1..n).map(|j| k.min(j) as f64 / (k * j) as f64).collect();
        Self { of_change, of_last: 1.0 / n.max(k) as f64 }
    }

    /// Values of the examples in order of distance, farthest first, given which of them are hits.
    fn each_value(&self, y: &[bool], mut give: impl FnMut(usize, f64)) {
        let hit = |rank: usize| f64::from(u8::from(y[rank]));
        let Some(last) = y.len().checked_sub(1) else { return };
        let mut value = hit(last) * self.of_last;
        give(last, value);
        for rank in (0..last).rev() {
            value += (hit(rank) - hit(rank + 1)) * self.of_change[rank];
            give(rank, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::{Examples, Labels, Queries, Utility};
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::{KnnShapley, Shares, row_of, sort_by_distance};
    use crate::common::{TestRun, assert_close, scores_of};

    fn values_by_rank(y: &[bool], k: usize) -> Vec<f64> {
        let mut values = vec![0.0; y.len()];
        Shares::new(y.len(), k).each_value(y, |rank, value| values[rank] = value);
        values
    }

    #[test]
    fn four_neighbours_by_hand() {
        // K = 2, hits 1, 0, 1, 1: s_4 = 1/4; s_3 = s_4; s_2 = s_3 - 1/2 * 2/2 = -1/4;
        // s_1 = s_2 + 1/2 * 1 = 1/4.
        let s = values_by_rank(&[true, false, true, true], 2);
        assert_eq!(s, [0.25, -0.25, 0.25, 0.25]);
    }

    /// Shapley values of the game itself, from all orders of arrival by their subset weights.
    fn by_enumeration(y: &[bool], k: usize) -> Vec<f64> {
        let n = y.len();
        let worth = |set: usize| {
            let nearest = (0..n).filter(|rank| set >> rank & 1 == 1).take(k);
            nearest.filter(|&rank| y[rank]).count() as f64 / k as f64
        };
        let factorial = |m: usize| (1..=m).map(|i| i as f64).product::<f64>();
        (0..n)
            .map(|player| {
                (0..1usize << n)
                    .filter(|set| set >> player & 1 == 0)
                    .map(|set| {
                        let size = set.count_ones() as usize;
                        let weight = factorial(size) * factorial(n - size - 1) / factorial(n);
                        weight * (worth(set | 1 << player) - worth(set))
                    })
                    .sum()
            })
            .collect()
    }

    proptest! {
        #[test]
        fn the_recursion_is_the_shapley_value(
            y in prop::collection::vec(any::<bool>(), 1..9), k in 1usize..11
        ) {
            for (found, expected) in values_by_rank(&y, k).iter().zip(by_enumeration(&y, k)) {
                prop_assert!((found - expected).abs() < 1e-14, "{found} is not {expected}");
            }
        }
    }

    proptest! {
        #[test]
        fn whole_numbers_sort_like_distances(
            // Few values, and values that agree in their first bits.
            distances in prop::collection::vec(
                prop_oneof![
                    (-3i32..3).prop_map(f64::from),
                    (0u32..9).prop_map(|step| 5.0 + f64::from(step) * 1e-12),
                    any::<f64>().prop_filter("a distance is a number", |value| !value.is_nan()),
                ],
                0..60,
            )
        ) {
            let mut expected: Vec<usize> = (0..distances.len()).collect();
            expected.sort_by(|&i, &j| distances[i].total_cmp(&distances[j]));
            let mut order = Vec::new();
            sort_by_distance(&distances, &mut order);
            let found: Vec<usize> = order.iter().map(|&entry| row_of(entry)).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn ranks_come_from_distances_and_ties_from_rows() {
        // On a line, the query at 0: rows at -1, 3, 1, 2. Rows 0 and 2 tie and row 0 goes first.
        let features = Array2::from_shape_vec((4, 1), vec![-1.0, 3.0, 1.0, 2.0]).unwrap();
        let train = Examples::new(features, Labels::Classes(vec![1, 1, 0, 1]));
        let run = TestRun::untrained(train);
        let queries = Queries {
            examples: Examples::new(Array2::zeros((1, 1)), Labels::Classes(vec![1])),
            utility: Utility::Margin,
        };
        let scores = scores_of(&KnnShapley { neighbours: 2 }, &run, &queries);
        // Order 0, 2, 3, 1 with hits 1, 0, 1, 1: the golden case.
        assert_close(scores.values(), &[0.25, 0.25, -0.25, 0.25], 1e-15);
    }
}
