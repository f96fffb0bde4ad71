//! The shape that influence functions share: a direction for every query, then products with all
//! training gradients.

use std::marker::PhantomData;

use attribench_core::{
    Captures, Method, MethodError, Queries, ReadsWeights, Real, Scorer, Scores, View,
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

/// Solves with the curvature, for a block of queries.
type Solve<'a> = Box<dyn Fn(Array2<f64>) -> Result<Array2<f64>, MethodError> + 'a>;

/// How directions are made of gradients.
enum Inverse<'a> {
    /// `C^-1 b` of stacked gradients, `(k, p) -> (k, p)`.
    Solve(Solve<'a>),
    /// `b` over the damped curvature's diagonal.
    Diagonal(Vec<f64>),
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
    let inverse = Inverse::Solve(Box::new(solve));
    Box::new(Influence::<'a, M, T> { view, turn, inverse, method: PhantomData })
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
    let inverse = Inverse::Diagonal(damped);
    Box::new(Influence::<'a, M, T> { view, turn, inverse, method: PhantomData })
}

struct Influence<'a, M: Method, T> {
    view: View<'a, M::Access, T>,
    turn: Turn<T>,
    inverse: Inverse<'a>,
    method: PhantomData<fn() -> M>,
}

impl<M, T> Influence<'_, M, T>
where
    M: Method,
    M::Access: ReadsWeights,
    T: Real,
{
    /// From the captures of `k` queries to their directions, in the space of the parameters if
    /// they are to be mapped back to it.
    fn directions(
        &self,
        b: Captures<T>,
        is_mapped_back: bool,
    ) -> Result<Directions<T>, MethodError> {
        let b = self.turn.apply(b);
        let layout = &self.turn.layout;
        Ok(match &self.inverse {
            Inverse::Solve(solve) => {
                Directions::new(layout, solve(pair::gradients(&b, layout))?.view())
            }
            Inverse::Diagonal(damped) if is_mapped_back => {
                let whole = self.view.model().layout();
                Directions::divided_and_turned_back(&b, &self.turn, whole, damped)
            }
            Inverse::Diagonal(damped) => Directions::divided(&b, layout, damped),
        })
    }
}

impl<M, T> Scorer<T> for Influence<'_, M, T>
where
    M: Method,
    M::Access: ReadsWeights,
    T: Real,
{
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let (train, model) = (self.view.train(), self.view.model());
        let n = train.len();
        let is_mapped_back = matches!(self.inverse, Inverse::Diagonal(_))
            && self.turn.is_cheaper_turned_back(model.layout(), n, queries.examples.len());
        let layout = if is_mapped_back { model.layout() } else { &self.turn.layout };
        let mut values = Array2::zeros((n, queries.examples.len()));
        let captured = || {
            let captures = pair::train_captures(model, train);
            captures.map(|(start, g)| (start, if is_mapped_back { g } else { self.turn.apply(g) }))
        };
        let is_small = n * layout.captured_numbers() <= KEPT_NUMBERS;
        let most = query_rows(layout.parameters());
        let rows = if is_small { most.min(BLOCK_QUERIES) } else { most };
        // Several blocks of queries ask for the same captures.
        let is_asked_again = queries.examples.len() > rows;
        let kept = (is_small && is_asked_again).then(|| captured().collect::<Vec<_>>());
        for (first, block) in queries.examples.blocks(rows) {
            let asked = Queries { examples: block, utility: queries.utility };
            let x = self.directions(pair::query_captures(model, &asked), is_mapped_back)?;
            let mut columns = values.slice_mut(s![.., first..first + asked.ids().len()]);
            let mut score = |start: usize, g: &Captures<T>| {
                let products = x.products(g) / n as f64;
                columns.slice_mut(s![start..start + g.len(), ..]).assign(&products);
            };
            match &kept {
                Some(kept) => kept.iter().for_each(|(start, g)| score(*start, g)),
                None => captured().for_each(|(start, g)| score(start, &g)),
            }
        }
        label::<M, T>(train, queries, values)
    }
}
