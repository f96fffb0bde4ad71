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
//! Distances `(n, d) x (d, q) -> (n, q)` in `f64`; then one column at a time. Equal distances are
//! ordered by row.
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
use ndarray::{Array2, ArrayView2, Axis, s};
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
        for (start, block) in queries.examples.blocks(pair::BLOCK_ROWS) {
            let distances =
                distances(self.inputs.view(), block.features().mapv(Real::to_f64).view());
            for (column, distances) in distances.axis_iter(Axis(1)).enumerate() {
                let query = start + column;
                let mut order: Vec<usize> = (0..train.len()).collect();
                order.sort_by(|&i, &j| distances[i].total_cmp(&distances[j]).then(i.cmp(&j)));
                let y: Vec<bool> = order.iter().map(|&i| labels[i] == asked[query]).collect();
                for (&i, value) in order.iter().zip(values_by_rank(&y, self.neighbours)) {
                    values[(i, query)] = value;
                }
            }
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

/// Squared distances `|x - z|^2` less `|z|^2`, which shifts a whole column: `(n, d), (q, d) -> (n,
/// q)`.
fn distances(x: ArrayView2<'_, f64>, z: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut distances = Array2::zeros((x.nrows(), z.nrows()));
    for (x, mut row) in x.outer_iter().zip(distances.outer_iter_mut()) {
        row.fill(x.dot(&x));
    }
    // (n, d) x (d, q) -> (n, q)
    math::matmul_into(distances.slice_mut(s![.., ..]), 1.0, x, z.t(), -2.0);
    distances
}

/// Values of the examples in order of distance, given which of them are hits.
fn values_by_rank(y: &[bool], k: usize) -> Vec<f64> {
    let n = y.len();
    let hit = |rank: usize| f64::from(u8::from(y[rank]));
    let mut s = vec![0.0; n];
    for rank in (0..n).rev() {
        s[rank] = if rank + 1 == n {
            hit(rank) / n.max(k) as f64
        } else {
            let j = rank + 1;
            let change = (hit(rank) - hit(rank + 1)) / k as f64;
            s[rank + 1] + change * k.min(j) as f64 / j as f64
        };
    }
    s
}

#[cfg(test)]
mod tests {
    use attribench_core::{Examples, Labels, Queries, Utility};
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::{KnnShapley, values_by_rank};
    use crate::common::{TestRun, assert_close, scores_of};

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
