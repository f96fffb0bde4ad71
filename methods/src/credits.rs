//! What each occurrence of an example moved the utilities by, step by step.
//!
//! The utility's gain in a step is its gradient along the segment times the segment. The segment is
//! a sum over the gradients that have entered the momentum so far, so the gain splits into one term
//! for each. With one node at the start of the segment this is the first-order value of in-run
//! Shapley; with Gauss-Legendre nodes it is the path ledger.

use attribench_core::{
    Captures, FullTrace, HeavyBall, Inputs, LayerCapture, Layout, MethodError, Observer, Quantity,
    Queries, Real, Recipe, RunError, Step, View, math,
};
use ndarray::{Array2, ArrayView2, Axis, s};

use crate::pair;

/// Position `s` on the segment from 0 to 1, and weight `c`.
pub(crate) type Node = (f64, f64);

/// Numbers that the tails of one replay may hold: 256 MiB in `f64`.
const TAIL_NUMBERS: usize = 1 << 25;

/// Most bytes that the tails of one replay take.
pub(crate) fn tail_bytes(queries: usize, parameters: usize) -> u64 {
    let most = TAIL_NUMBERS.max(parameters);
    ((queries * parameters).min(most) * size_of::<f64>()) as u64
}

/// How closely a step's mean gradient must explain the gain of the step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Closing {
    /// Not at all: the nodes are used as they are.
    Open,
    /// To within this much of `max(1, |f_q|)` for every query: a step that misses by more is cut in
    /// two, and again, until it does not or until cutting no longer helps.
    Within(f64),
}

/// Most pieces that a step is cut into.
const MOST_PIECES: usize = 64;

/// Sums over the whole run.
pub(crate) struct Credits {
    /// Of each training example, `(n, q)`.
    pub examples: Array2<f64>,
    /// Of the weight decay, `q`.
    pub decay: Vec<f64>,
    /// Utilities before the first step, `q`; absent when there was no step.
    pub start: Option<Vec<f64>>,
}

/// Splits the gain of every query over a run of SGD with momentum and coupled weight decay.
pub(crate) fn credits<T: Real>(
    view: View<'_, FullTrace, T>,
    queries: &Queries<T>,
    nodes: &[Node],
    closing: Closing,
) -> Result<Credits, MethodError> {
    let layout = view.model().layout();
    let p = layout.split_at(feature_blocks(layout)).1.parameters();
    let has_tails = heavy_ball(&view.recipe())?.momentum != 0.0;
    let rows = if has_tails { TAIL_NUMBERS / p.max(1) } else { queries.examples.len() };
    let mut examples = Array2::zeros((view.train().len(), queries.examples.len()));
    let (mut decay, mut start) = (Vec::new(), Some(Vec::new()));
    for (first, block) in queries.examples.blocks(rows) {
        let asked = Queries { examples: block, utility: queries.utility };
        let part = credits_in_one_replay(view, &asked, nodes, closing)?;
        examples.slice_mut(s![.., first..first + part.decay.len()]).assign(&part.examples);
        decay.extend(part.decay);
        start = start.zip(part.start).map(|(all, part)| [all, part].concat());
    }
    Ok(Credits { examples, decay, start })
}

/// Blocks at the front whose inputs are the features: one, or none where the model says so.
fn feature_blocks(layout: &Layout) -> usize {
    usize::from(layout.features_enter_first())
}

/// The only rule whose movement has been split so far.
fn heavy_ball(recipe: &Recipe) -> Result<HeavyBall, MethodError> {
    recipe.rule.heavy_ball().ok_or_else(|| {
        MethodError::Unsuitable(format!(
            "steps of {:?} cannot be split among examples\nhint: train with `sgd`, coupled decay \
             and no clipping",
            recipe.rule.optimiser
        ))
    })
}

fn credits_in_one_replay<T: Real>(
    view: View<'_, FullTrace, T>,
    queries: &Queries<T>,
    nodes: &[Node],
    closing: Closing,
) -> Result<Credits, MethodError> {
    let (n, q) = (view.train().len(), queries.examples.len());
    let empty = Credits { examples: Array2::zeros((n, q)), decay: vec![0.0; q], start: None };
    let (batch_size, ball) = (view.recipe().rule.batch_size, heavy_ball(&view.recipe())?);
    let split = Split { view, queries, nodes, closing, batch_size, ball, credits: empty };
    // Without momentum a gradient moves its own step only, and steps can be read in any order.
    if ball.momentum == 0.0 {
        let mut observer = Immediate { split };
        view.replay(&mut observer)?;
        Ok(observer.split.credits)
    } else {
        let mut observer = Tails::new(split);
        view.replay_backwards(&mut observer)?;
        Ok(observer.split.credits)
    }
}

/// What both observers know and add to.
struct Split<'a, T> {
    view: View<'a, FullTrace, T>,
    queries: &'a Queries<T>,
    nodes: &'a [Node],
    closing: Closing,
    batch_size: usize,
    ball: HeavyBall,
    credits: Credits,
}

impl<T: Real> Split<'_, T> {
    /// Captures of the queries' descent gradients along the step, with the weight of each.
    fn path(&self, step: &Step<'_, T>) -> Vec<(f64, Captures<T>)> {
        let mut path = self.path_in_pieces(step, 1);
        let Closing::Within(share) = self.closing else { return path };
        let utilities = |theta: &[T]| {
            let model = self.view.model_at(theta);
            model.utilities(&self.queries.examples, self.queries.utility)
        };
        let (start, end) = (utilities(step.before), utilities(step.after));
        let moved = Array2::from_shape_fn((1, step.before.len()), |(_, j)| {
            step.after[j].to_f64() - step.before[j].to_f64()
        });
        let missing = |path: &[(f64, Captures<T>)]| -> f64 {
            let mut gain: Vec<f64> =
                start.iter().zip(&end).map(|(start, end)| end - start).collect();
            for (c, b) in path {
                let along = pair::directional_products(b, self.view.model().layout(), moved.view());
                for (gain, along) in gain.iter_mut().zip(along.column(0)) {
                    *gain += c * along;
                }
            }
            let size =
                start.iter().zip(&end).map(|(start, end)| start.abs().max(end.abs()).max(1.0));
            gain.iter().zip(size).map(|(gain, size)| gain.abs() / size).fold(0.0, f64::max)
        };
        let (mut missed, mut pieces) = (missing(&path), 1);
        while missed > share && pieces < MOST_PIECES {
            pieces *= 2;
            let finer = self.path_in_pieces(step, pieces);
            let missed_now = missing(&finer);
            // What does not shrink is the rounding of the parameters, not the quadrature.
            if missed_now > missed / 2.0 {
                break;
            }
            (path, missed) = (finer, missed_now);
        }
        path
    }

    /// The nodes repeated on each of `pieces` equal pieces of the step.
    fn path_in_pieces(&self, step: &Step<'_, T>, pieces: usize) -> Vec<(f64, Captures<T>)> {
        let quantity = Quantity::NegativeUtility(self.queries.utility);
        let nodes = (0..pieces).flat_map(|piece| self.nodes.iter().map(move |node| (piece, node)));
        nodes
            .map(|(piece, &(s, c))| {
                let s = (piece as f64 + s) / pieces as f64;
                let along = |(before, after): (&T, &T)| {
                    let (before, after) = (before.to_f64(), after.to_f64());
                    T::from_f64(before + s * (after - before))
                };
                let at: Vec<T> = step.before.iter().zip(step.after).map(along).collect();
                let model = self.view.model_at(&at);
                (c / pieces as f64, model.captures(&self.queries.examples, quantity))
            })
            .collect()
    }

    /// Adds `scale w_i products[i]` to the example in row `i` of the batch.
    fn post(&mut self, step: &Step<'_, T>, scale: f64, products: &Array2<f64>) {
        for ((&row, weight), products) in
            step.rows.iter().zip(step.weights).zip(products.axis_iter(Axis(0)))
        {
            self.credits.examples.row_mut(row).scaled_add(scale * weight.to_f64(), &products);
        }
    }

    fn post_decay(&mut self, credits: impl Iterator<Item = f64>) {
        for (decay, credit) in self.credits.decay.iter_mut().zip(credits) {
            *decay += self.ball.weight_decay * credit;
        }
    }

    /// Keeps the utilities at the start of the run, when the step is the first.
    fn note_start(&mut self, step: &Step<'_, T>) {
        if step.index == 0 {
            let model = self.view.model_at(step.before);
            let utilities = model.utilities(&self.queries.examples, self.queries.utility);
            self.credits.start = Some(utilities);
        }
    }
}

/// SGD without momentum: `phi_i += (eta_t / B) w_i b~ . g_i` with the path's mean descent gradient
/// `b~`, by products of captures.
struct Immediate<'a, T> {
    split: Split<'a, T>,
}

impl<T: Real> Observer<T> for Immediate<'_, T> {
    fn step(&mut self, step: &Step<'_, T>) -> Result<(), RunError> {
        let split = &mut self.split;
        split.note_start(step);
        let eta = step.learning_rate;
        for (c, b) in split.path(step) {
            let layout = split.view.model().layout();
            let products = pair::gradient_products(step.captures, &b, layout);
            split.post(step, c * eta / split.batch_size as f64, &products);
            if split.ball.weight_decay != 0.0 {
                let theta =
                    Array2::from_shape_fn((1, step.before.len()), |(_, j)| step.before[j].to_f64());
                let along = pair::directional_products(&b, layout, theta.view());
                split.post_decay(along.column(0).iter().map(|along| c * eta * along));
            }
        }
        Ok(())
    }
}

/// SGD with momentum: backwards, `u_r = eta_r b~_r + mu u_{r+1}` is what a gradient that entered
/// the momentum at step `r` met in all the steps it moved; `phi_i += (1 / B) w_i u_r . g_i`.
///
/// Where the inputs of the first layer, mostly the widest, are the features, they are the same at
/// every step: its part of the tail is `D_q x_q^T` with a short `D_q`, and its products are those
/// of captures.
struct Tails<'a, T> {
    split: Split<'a, T>,
    /// `D`, `(q, outputs of the first layer)`; no columns where that layer reads something else.
    first: Array2<f64>,
    /// The other layers' part, `(q, their parameters)`.
    rest: Array2<f64>,
    first_layout: Layout,
    rest_layout: Layout,
}

impl<'a, T: Real> Tails<'a, T> {
    fn new(split: Split<'a, T>) -> Self {
        let layout = split.view.model().layout();
        let (first_layout, rest_layout) = layout.split_at(feature_blocks(layout));
        let q = split.queries.examples.len();
        let width = first_layout.layers().iter().map(|layer| layer.outputs).sum();
        Self {
            first: Array2::zeros((q, width)),
            rest: Array2::zeros((q, rest_layout.parameters())),
            split,
            first_layout,
            rest_layout,
        }
    }

    /// The first layer's part of the tail, as the captures whose gradients it is.
    fn first_captures(&self) -> Captures<T> {
        let of_layer = |_| LayerCapture {
            positions: 1,
            inputs: Inputs::Values(self.split.queries.examples.features().to_owned()),
            output_gradients: self.first.mapv(T::from_f64),
        };
        Captures { layers: self.first_layout.layers().iter().map(of_layer).collect() }
    }

    /// `theta . u`, `q`.
    fn along_parameters(&self, first: &Captures<T>, theta: &[T]) -> Vec<f64> {
        let theta: Vec<f64> = theta.iter().map(|value| value.to_f64()).collect();
        let (of_first, of_rest) = theta.split_at(self.first_layout.parameters());
        let tails = self.rest.outer_iter();
        let mut along: Vec<f64> = tails
            .map(|tail| math::dot(tail.as_slice().expect("tails in standard layout"), of_rest))
            .collect();
        if !first.is_empty() {
            let direction = ArrayView2::from_shape((1, of_first.len()), of_first)
                .expect("one row holds its numbers");
            let of_first = pair::directional_products(first, &self.first_layout, direction);
            for (along, of_first) in along.iter_mut().zip(of_first.column(0)) {
                *along += of_first;
            }
        }
        along
    }
}

/// Captures of the first `layers` layers, and of the others.
fn part<T: Real>(captures: Captures<T>, layers: usize) -> (Captures<T>, Captures<T>) {
    let mut first = captures.layers;
    let rest = first.split_off(layers);
    (Captures { layers: first }, Captures { layers: rest })
}

impl<T: Real> Observer<T> for Tails<'_, T> {
    fn step(&mut self, step: &Step<'_, T>) -> Result<(), RunError> {
        self.split.note_start(step);
        self.first *= self.split.ball.momentum;
        self.rest *= self.split.ball.momentum;
        let layers = self.first_layout.layers().len();
        for (c, b) in self.split.path(step) {
            let (first, rest) = part(b, layers);
            let scale = c * step.learning_rate;
            for first in &first.layers {
                let features = self.split.queries.examples.features();
                assert_eq!(first.inputs.values(), Some(features), "a law of `Model`");
                self.first.zip_mut_with(&first.output_gradients, |sum, delta| {
                    *sum += scale * delta.to_f64();
                });
            }
            pair::add_gradients(&rest, &self.rest_layout, scale, self.rest.view_mut());
        }
        let (first, rest) = part(step.captures.clone(), layers);
        let tail = self.first_captures();
        let mut products = Array2::zeros((step.rows.len(), self.split.queries.examples.len()));
        if !first.layers.is_empty() {
            products += &pair::gradient_products(&first, &tail, &self.first_layout);
        }
        if !rest.layers.is_empty() {
            products += &pair::directional_products(&rest, &self.rest_layout, self.rest.view());
        }
        self.split.post(step, 1.0 / self.split.batch_size as f64, &products);
        if self.split.ball.weight_decay != 0.0 {
            let along = self.along_parameters(&tail, step.before);
            self.split.post_decay(along.into_iter());
        }
        Ok(())
    }
}
