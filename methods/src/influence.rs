//! The shape that influence functions share: a direction for every query, then products with all
//! training gradients.

use std::marker::PhantomData;

use attribench_core::{
    Access, Captures, Layout, Method, MethodError, Queries, ReadsWeights, Real, Scorer, Scores,
    View,
};
use ndarray::{Array2, s};

use crate::{directions::Directions, label, pair, turn::Turn};

/// Queries that are solved side by side where training examples are captured once for all: enough
/// for fast products, few enough that what is kept of them stays near the processor.
const BLOCK_QUERIES: usize = 32;

/// Most queries that are solved side by side, where each block captures the examples again.
const MOST_QUERIES: usize = 128;

/// Numbers that the directions of a block of queries may hold.
const DIRECTION_NUMBERS: usize = 1 << 24;

/// Numbers of the captures of all training examples that are kept for several blocks of queries.
const KEPT_NUMBERS: usize = 1 << 23;

/// Most queries in a block, for directions of `parameters` numbers.
pub(crate) fn query_rows(parameters: usize) -> usize {
    (DIRECTION_NUMBERS / parameters.max(1)).clamp(1, MOST_QUERIES)
}

/// Most bytes of the training captures that are kept, where a layer has one position.
pub(crate) fn kept_bytes(examples: usize, parameters: usize, number: usize) -> u64 {
    (KEPT_NUMBERS.min(2 * examples * parameters) * number) as u64
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
    along_directions::<M, T>(view, turn, move |b, layout| {
        Ok(Directions::new(layout, solve(pair::gradients(b, layout))?.view()))
    })
}

/// `tau[i, q] = (1/n) (b_q / damped) . g_i` with gradients mapped by `turn`, in whose image the
/// curvature is the diagonal `damped`.
pub(crate) fn influence_by_diagonal<'a, M, T: Real>(
    view: View<'a, M::Access, T>,
    turn: Turn<T>,
    damped: Vec<f64>,
) -> Box<dyn Scorer<T> + 'a>
where
    M: Method,
    M::Access: ReadsWeights,
{
    along_directions::<M, T>(view, turn, move |b, layout| {
        Ok(Directions::divided(b, layout, &damped))
    })
}

fn along_directions<'a, M, T: Real>(
    view: View<'a, M::Access, T>,
    turn: Turn<T>,
    directions: impl Fn(&Captures<T>, &Layout) -> Result<Directions<T>, MethodError> + 'a,
) -> Box<dyn Scorer<T> + 'a>
where
    M: Method,
    M::Access: ReadsWeights,
{
    let method = PhantomData::<fn() -> M>;
    Box::new(Influence::<'a, M, M::Access, T, _> { view, turn, directions, method })
}

struct Influence<'a, M, A, T, S> {
    view: View<'a, A, T>,
    turn: Turn<T>,
    /// From the captures of `k` queries to their directions.
    directions: S,
    method: PhantomData<fn() -> M>,
}

impl<M, A, T, S> Scorer<T> for Influence<'_, M, A, T, S>
where
    M: Method<Access = A>,
    A: Access + ReadsWeights,
    T: Real,
    S: Fn(&Captures<T>, &Layout) -> Result<Directions<T>, MethodError>,
{
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let (train, model, layout) = (self.view.train(), self.view.model(), &self.turn.layout);
        let n = train.len() as f64;
        let mut values = Array2::zeros((train.len(), queries.examples.len()));
        let captured = || {
            let captures = pair::train_captures(model, train);
            captures.map(|(start, g)| (start, self.turn.apply(g)))
        };
        let is_small = train.len() * layout.captured_numbers() <= KEPT_NUMBERS;
        let most = query_rows(layout.parameters());
        let rows = if is_small { most.min(BLOCK_QUERIES) } else { most };
        // Several blocks of queries ask for the same captures.
        let is_asked_again = queries.examples.len() > rows;
        let kept = (is_small && is_asked_again).then(|| captured().collect::<Vec<_>>());
        for (first, block) in queries.examples.blocks(rows) {
            let asked = Queries { examples: block, utility: queries.utility };
            let b = self.turn.apply(pair::query_captures(model, &asked));
            let x = (self.directions)(&b, layout)?;
            let mut columns = values.slice_mut(s![.., first..first + asked.ids().len()]);
            let mut score = |start: usize, g: &Captures<T>| {
                columns.slice_mut(s![start..start + g.len(), ..]).assign(&(x.products(g) / n));
            };
            match &kept {
                Some(kept) => kept.iter().for_each(|(start, g)| score(*start, g)),
                None => captured().for_each(|(start, g)| score(start, &g)),
            }
        }
        label::<M, T>(train, queries, values)
    }
}
