//! The shape that influence functions share: a direction for every query, then products with all
//! training gradients.

use std::marker::PhantomData;

use attribench_core::{
    Access, Method, MethodError, Queries, ReadsWeights, Real, Scorer, Scores, View,
};
use ndarray::{Array2, s};

use crate::{label, pair, turn::Turn};

/// Queries that are solved side by side.
pub(crate) const BLOCK_QUERIES: usize = 32;

/// Numbers that the directions of a block of queries may hold.
const DIRECTION_NUMBERS: usize = 1 << 24;

/// Queries in a block, for directions of `parameters` numbers.
pub(crate) fn query_rows(parameters: usize) -> usize {
    (DIRECTION_NUMBERS / parameters.max(1)).clamp(1, BLOCK_QUERIES * 4)
}

/// `tau[i, q] = (1/n) solve(b_q) . g_i` with gradients mapped by `turn`.
pub(crate) fn influence<'a, M, T: Real>(
    view: View<'a, M::Access, T>,
    turn: Turn<T>,
    solve: impl Fn(Array2<f64>) -> Result<Array2<f64>, MethodError> + 'a,
) -> Box<dyn Scorer<T> + 'a>
where
    M: Method,
    M::Access: ReadsWeights,
{
    let method = PhantomData::<fn() -> M>;
    Box::new(Influence::<'a, M, M::Access, T, _> { view, turn, solve, method })
}

struct Influence<'a, M, A, T, S> {
    view: View<'a, A, T>,
    turn: Turn<T>,
    /// `b -> x`, `(k, p) -> (k, p)`.
    solve: S,
    method: PhantomData<fn() -> M>,
}

impl<M, A, T, S> Scorer<T> for Influence<'_, M, A, T, S>
where
    M: Method<Access = A>,
    A: Access + ReadsWeights,
    T: Real,
    S: Fn(Array2<f64>) -> Result<Array2<f64>, MethodError>,
{
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let (train, model, layout) = (self.view.train(), self.view.model(), &self.turn.layout);
        let n = train.len() as f64;
        let mut values = Array2::zeros((train.len(), queries.examples.len()));
        for (first, block) in queries.examples.blocks(query_rows(layout.parameters())) {
            let asked = Queries { examples: block, utility: queries.utility };
            let b = self.turn.apply(pair::query_captures(model, &asked));
            let x = (self.solve)(pair::gradients(&b, layout))?;
            for (start, g) in pair::train_captures(model, train) {
                let g = self.turn.apply(g);
                let products = pair::directional_products(&g, layout, x.view()) / n;
                values
                    .slice_mut(s![start..start + g.len(), first..first + asked.ids().len()])
                    .assign(&products);
            }
        }
        label::<M, T>(train, queries, values)
    }
}
