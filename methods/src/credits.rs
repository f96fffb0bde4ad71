//! What each occurrence of an example moved the utilities by, step by step.
//!
//! The utility's gain in a step is its gradient along the segment times the segment. The segment is
//! a sum over the gradients that have entered the optimiser so far, so the gain splits into one
//! term for each. With one node at the start of the segment this is the first-order value of in-run
//! Shapley; with Gauss-Legendre nodes it is the path ledger.
//!
//! With the mean descent gradient `b~` of a query along the step, backwards over the run and with
//! `w_T = 0`, a gradient that enters at step `r` meets `u_r` in all the steps that it moves:
//!
//! | optimiser | `w_r` | `u_r` |
//! |---|---|---|
//! | descent | | `eta_r b~_r` |
//! | momentum `mu`, dampening `zeta` | `eta_r b~_r + mu w_{r+1}` | `(1 - zeta) w_r` |
//! | Nesterov | `mu eta_r b~_r + mu w_{r+1}` | `eta_r b~_r + (1 - zeta) w_r` |
//! | Adam | `eta_r / (1 - beta1^{r+1}) D_r b~_r + beta1 w_{r+1}` | `(1 - beta1) w_r` |
//!
//! `D_r` is Adam's divisor as it was. Example `i` is credited with `(1 / B) w_i g_i . u_r`, coupled
//! decay with `gamma theta_r . u_r`, decoupled decay with `eta_r gamma theta_r . b~_r`.

use attribench_core::{
    Captures, Curvature, Examples, FullTrace, Observer, Optimiser, ProblemSize, Quantity, Queries,
    Real, RunError, Step, UpdateRule, View,
};
use ndarray::{Array1, Array2, Axis, s};
use serde::{Deserialize, Serialize};

use crate::{
    directions::directional_products,
    pair,
    tails::{Tail, first_blocks},
};

/// Position `s` on the segment from 0 to 1, and weight `c`.
pub(crate) type Node = (f64, f64);

/// The start of every step.
pub(crate) const START: &[Node] = &[(0.0, 1.0)];

/// Numbers that the tails of one replay may hold: 256 MiB in `f64`.
const TAIL_NUMBERS: usize = 1 << 25;

/// Most bytes that products of inputs and the tails of one replay take.
pub(crate) fn working_bytes(size: ProblemSize) -> u64 {
    let ProblemSize { examples, queries, parameters, number } = size;
    let tails = (queries * parameters).min(TAIL_NUMBERS.max(parameters));
    // Adam needs the gradients of a step beside the tails.
    (2 * tails * size_of::<f64>() + examples * queries * number) as u64
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

/// Who bears what clipping took from a step's gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clipping {
    /// Every example of the batch in proportion: credits are those of the shortened gradient.
    #[default]
    ProRata,
    /// An account of its own: examples are credited as if nothing had been clipped.
    System,
}

/// Which utilities get a column of credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Columns {
    /// Every query's.
    Each,
    /// Their mean alone.
    Mean,
}

/// Whether a step's game is taken to first order in the step or to second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bend {
    /// The gradient along the step is that of the nodes.
    Straight,
    /// Half of the step's curvature product is added to it.
    Quadratic,
}

/// How a run is split.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule<'a> {
    pub nodes: &'a [Node],
    pub closing: Closing,
    pub clipping: Clipping,
    pub columns: Columns,
    pub bend: Bend,
}

/// Most pieces that a step is cut into.
const MOST_PIECES: usize = 64;

/// Sums over the whole run, a column `c` for each query or one for their mean.
pub(crate) struct Credits {
    /// Of each training example, `(n, c)`.
    pub examples: Array2<f64>,
    /// Of the weight decay, `c`.
    pub decay: Array1<f64>,
    /// Of clipping, `c`; 0 where it is shared by the examples.
    pub clipping: Array1<f64>,
    /// Utilities of every query before the earliest step seen, `q`; absent when there was none.
    pub start: Option<Vec<f64>>,
}

/// Splits the gain of every query over a run.
pub(crate) fn credits<T: Real>(
    view: View<'_, FullTrace, T>,
    queries: &Queries<T>,
    rule: Rule<'_>,
) -> Result<Credits, RunError> {
    let recipe = view.recipe();
    let (n, q) = (view.train().len(), queries.examples.len());
    let has_tails = Carry::of(&recipe.rule).is_some();
    if !has_tails || rule.columns == Columns::Mean {
        return credits_in_one_replay(view, queries, rule);
    }
    let (_, rest) = view.model().layout().split_at(first_blocks(view));
    let rows = (TAIL_NUMBERS / rest.parameters().max(1)).max(1);
    let mut all = Credits {
        examples: Array2::zeros((n, q)),
        decay: Array1::zeros(q),
        clipping: Array1::zeros(q),
        start: Some(Vec::new()),
    };
    for (first, block) in queries.examples.blocks(rows) {
        let asked = Queries { examples: block, utility: queries.utility };
        let part = credits_in_one_replay(view, &asked, rule)?;
        let columns = first..first + asked.examples.len();
        all.examples.slice_mut(s![.., columns.clone()]).assign(&part.examples);
        all.decay.slice_mut(s![columns.clone()]).assign(&part.decay);
        all.clipping.slice_mut(s![columns]).assign(&part.clipping);
        all.start = all.start.zip(part.start).map(|(all, part)| [all, part].concat());
    }
    Ok(all)
}

fn credits_in_one_replay<T: Real>(
    view: View<'_, FullTrace, T>,
    queries: &Queries<T>,
    rule: Rule<'_>,
) -> Result<Credits, RunError> {
    let mut splitter = Splitter::new(view, queries, rule);
    // Where a gradient moves its own step only, steps can be read in any order.
    if splitter.tail.is_none() {
        view.replay(&mut splitter)?;
    } else {
        view.replay_backwards(&mut splitter)?;
    }
    Ok(splitter.credits)
}

/// How gradients outlive the step at which they enter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carry {
    /// What a step leaves of what came before it: `mu` or `beta1`.
    pub keep: f64,
    /// What part of a step's movement passes through what is carried: 1, or `mu` for Nesterov.
    pub enter: f64,
    /// What part of a gradient is carried: `1 - zeta` or `1 - beta1`.
    pub take: f64,
    /// What part of a gradient moves its own step directly: 0, or 1 for Nesterov.
    pub direct: f64,
}

impl Carry {
    /// That of a rule; `None` where nothing outlives its step.
    pub(crate) fn of(rule: &UpdateRule) -> Option<Self> {
        match rule.optimiser {
            Optimiser::Sgd(sgd) if sgd.momentum == 0.0 => None,
            Optimiser::Sgd(sgd) => {
                let (keep, take) = (sgd.momentum, 1.0 - sgd.dampening);
                let (enter, direct) = if sgd.nesterov { (keep, 1.0) } else { (1.0, 0.0) };
                Some(Self { keep, enter, take, direct })
            }
            Optimiser::AdamW(adam) => {
                Some(Self { keep: adam.beta1, enter: 1.0, take: 1.0 - adam.beta1, direct: 0.0 })
            }
        }
    }
}

/// Captures of the queries' descent gradients along a step, with the weight of each.
type Path<T> = [(f64, Captures<T>)];

/// Reads the steps of a run and adds up credits.
struct Splitter<'a, T> {
    view: View<'a, FullTrace, T>,
    queries: &'a Queries<T>,
    rule: Rule<'a>,
    update: UpdateRule,
    products: Products<'a, T>,
    tail: Option<Tail<T>>,
    /// Utilities at borders of the present step, by the index of the step that begins there.
    borders: Vec<(usize, Vec<f64>)>,
    credits: Credits,
}

impl<'a, T: Real> Splitter<'a, T> {
    fn new(view: View<'a, FullTrace, T>, queries: &'a Queries<T>, rule: Rule<'a>) -> Self {
        let (n, q) = (view.train().len(), queries.examples.len());
        let update = view.recipe().rule;
        let columns = if rule.columns == Columns::Each { q } else { 1 };
        let products = Products::new(view, queries);
        let tail = Carry::of(&update).map(|carry| Tail::new(view, carry, (q, columns)));
        let credits = Credits {
            examples: Array2::zeros((n, columns)),
            decay: Array1::zeros(columns),
            clipping: Array1::zeros(columns),
            start: None,
        };
        Self { view, queries, rule, update, products, tail, borders: Vec::new(), credits }
    }

    /// One column for each query, or their mean.
    fn columns(&self, each: Array2<f64>) -> Array2<f64> {
        match self.rule.columns {
            Columns::Each => each,
            Columns::Mean => {
                let mean = each.sum_axis(Axis(1)) / each.ncols() as f64;
                mean.insert_axis(Axis(1))
            }
        }
    }

    fn path(&mut self, step: &Step<'_, T>) -> Vec<(f64, Captures<T>)> {
        let mut path = self.path_in_pieces(step, 1);
        let Closing::Within(share) = self.rule.closing else { return path };
        let (start, end) = (self.utilities(step, 0), self.utilities(step, 1));
        let moved = Array2::from_shape_fn((1, step.before.len()), |(_, j)| {
            step.after[j].to_f64() - step.before[j].to_f64()
        });
        let missing = |path: &Path<T>| -> f64 {
            let mut gain: Vec<f64> =
                start.iter().zip(&end).map(|(start, end)| end - start).collect();
            for (c, b) in path {
                let along = directional_products(b, self.view.model().layout(), moved.view());
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

    /// Utilities before a step, or `ahead` steps later; those of a border are computed once for the
    /// steps on both sides.
    fn utilities(&mut self, step: &Step<'_, T>, ahead: usize) -> Vec<f64> {
        let index = step.index + ahead;
        self.borders.retain(|(at, _)| (step.index..=step.index + 1).contains(at));
        if let Some((_, known)) = self.borders.iter().find(|(at, _)| *at == index) {
            return known.clone();
        }
        let theta = if ahead == 0 { step.before } else { step.after };
        let utilities =
            self.view.model_at(theta).utilities(&self.queries.examples, self.queries.utility);
        self.borders.push((index, utilities.clone()));
        utilities
    }

    /// The nodes repeated on each of `pieces` equal pieces of the step.
    fn path_in_pieces(&self, step: &Step<'_, T>, pieces: usize) -> Vec<(f64, Captures<T>)> {
        let quantity = Quantity::NegativeUtility(self.queries.utility);
        let captures =
            |theta: &[T]| self.view.model_at(theta).captures(&self.queries.examples, quantity);
        let nodes =
            (0..pieces).flat_map(|piece| self.rule.nodes.iter().map(move |node| (piece, node)));
        nodes
            .map(|(piece, &(s, c))| {
                let s = (piece as f64 + s) / pieces as f64;
                let c = c / pieces as f64;
                if s == 0.0 {
                    return (c, captures(step.before));
                }
                let s = T::from_f64(s);
                let pairs = step.before.iter().zip(step.after);
                let at: Vec<T> =
                    pairs.map(|(&before, &after)| before + s * (after - before)).collect();
                (c, captures(&at))
            })
            .collect()
    }

    /// `sum_i w_i g_i` over the batch, `p`.
    fn batch_gradient(&self, step: &Step<'_, T>) -> Vec<T> {
        let batch = self.view.train().select(step.rows);
        self.view.model_at(step.before).gradient(&batch, Quantity::Loss, step.weights)
    }

    /// `b~ . g_i` for the batch, `(B, c)`.
    fn direct_products(&self, step: &Step<'_, T>, clip: f64, path: &Path<T>) -> Array2<f64> {
        let mut sum = Array2::zeros((step.rows.len(), self.queries.examples.len()));
        for (c, b) in path {
            sum.scaled_add(*c, &self.products.with_batch(step, b));
        }
        let mut sum = self.columns(sum);
        if self.rule.bend == Bend::Quadratic {
            let bent = self.bent_gradients(step, clip);
            let layout = self.view.model().layout();
            sum += &directional_products(step.captures, layout, bent.view());
        }
        sum
    }

    /// Half of what the step changes the descent gradients by: `1/2 C_q d`, with the curvature of
    /// minus the utility and the examples' part `d = -(eta / B) chi sum_i w_i g_i` of the step,
    /// `(c, p)`.
    fn bent_gradients(&self, step: &Step<'_, T>, clip: f64) -> Array2<f64> {
        let scale = -step.learning_rate * clip / self.update.batch_size as f64;
        let moved: Vec<T> = self
            .batch_gradient(step)
            .iter()
            .map(|value| T::from_f64(scale * value.to_f64()))
            .collect();
        let moved = Array1::from(moved).insert_axis(Axis(0));
        let model = self.view.model_at(step.before);
        let curvature = Curvature::OfUtility(self.queries.utility);
        let products = |examples: &Examples<T>, weight: f64| {
            let weights = vec![T::from_f64(weight); examples.len()];
            model.curvature_products(examples, &weights, curvature, moved.view())
        };
        let examples = &self.queries.examples;
        let mut bent = match self.rule.columns {
            Columns::Mean => products(examples, 1.0 / examples.len() as f64),
            Columns::Each => {
                let mut rows = Array2::zeros((examples.len(), moved.ncols()));
                for (query, mut row) in rows.outer_iter_mut().enumerate() {
                    row.assign(&products(&examples.select(&[query]), 1.0).row(0));
                }
                rows
            }
        };
        bent.mapv_inplace(|value| value * T::HALF);
        bent.mapv(Real::to_f64)
    }

    /// `b~ . theta`, `c`.
    fn direct_along(&self, step: &Step<'_, T>, path: &Path<T>) -> Array1<f64> {
        let theta = Array2::from_shape_fn((1, step.before.len()), |(_, j)| step.before[j].to_f64());
        let mut sum = Array2::zeros((1, self.queries.examples.len()));
        for (c, b) in path {
            let layout = self.view.model().layout();
            let along = directional_products(b, layout, theta.view());
            sum.row_mut(0).scaled_add(*c, &along.column(0));
        }
        self.columns(sum).remove_axis(Axis(0))
    }

    /// Adds `w_i products[i] / B` to the example in row `i` of the batch, after clipping, and to
    /// the account of clipping what that took.
    fn post(&mut self, step: &Step<'_, T>, clip: f64, products: &Array2<f64>) {
        let kept = if self.rule.clipping == Clipping::ProRata { clip } else { 1.0 };
        let scale = kept / self.update.batch_size as f64;
        for ((&row, weight), products) in
            step.rows.iter().zip(step.weights).zip(products.axis_iter(Axis(0)))
        {
            let scale = scale * weight.to_f64();
            self.credits.examples.row_mut(row).scaled_add(scale, &products);
            if kept != clip {
                self.credits.clipping.scaled_add((clip / kept - 1.0) * scale, &products);
            }
        }
    }

    fn post_decay(&mut self, step: &Step<'_, T>, direct: f64, path: &Path<T>) {
        let decay = self.update.optimiser.weight_decay();
        let of_path = step.learning_rate * (decay.decoupled() + direct * decay.coupled());
        if of_path != 0.0 {
            let along = self.direct_along(step, path);
            self.credits.decay.scaled_add(of_path, &along);
        }
        if let Some(tail) = self.tail.as_ref().filter(|_| decay.coupled() != 0.0) {
            let along = tail.along_parameters(&self.products, step.before);
            self.credits.decay.scaled_add(decay.coupled(), &along);
        }
    }
}

impl<T: Real> Observer<T> for Splitter<'_, T> {
    fn step(&mut self, step: &Step<'_, T>) -> Result<(), RunError> {
        let path = self.path(step);
        let clip = step.clip_factor;
        let columns = self.credits.decay.len();
        let mut products = Array2::zeros((step.rows.len(), columns));
        let direct = self.tail.as_ref().map_or(1.0, |tail| tail.carry().direct);
        if direct != 0.0 {
            let scale = direct * step.learning_rate;
            products.scaled_add(scale, &self.direct_products(step, clip, &path));
        }
        if let Some(tail) = &mut self.tail {
            let divisor = self.update.optimiser.preconditioner(step.moments, step.index + 1);
            tail.absorb(&self.update, step, &path, divisor.as_deref());
            products += &tail.with_batch(&self.products, step);
        }
        self.post(step, clip, &products);
        self.post_decay(step, direct, &path);
        let is_earlier = self.tail.is_some() || self.credits.start.is_none();
        if self.rule.closing != Closing::Open && is_earlier {
            self.credits.start = Some(self.utilities(step, 0));
        }
        Ok(())
    }
}

/// Products of the batch's gradients with the queries'.
///
/// Where the features enter the first layer, products of its inputs are the same at every step, and
/// are computed once for all pairs.
pub(crate) struct Products<'a, T> {
    view: View<'a, FullTrace, T>,
    queries: &'a Queries<T>,
    /// `x_i . x_q + 1`, `(n, q)`.
    features: Option<Array2<T>>,
}

impl<'a, T: Real> Products<'a, T> {
    fn new(view: View<'a, FullTrace, T>, queries: &'a Queries<T>) -> Self {
        let features = view.model().layout().features_enter_first().then(|| {
            let right = queries.examples.features();
            // (n, d) x (d, q) -> (n, q)
            let products = attribench_core::math::matmul(view.train().features(), right.t());
            products.mapv_into(|value| value + T::one())
        });
        Self { view, queries, features }
    }

    /// The queries.
    pub(crate) fn queries(&self) -> &'a Queries<T> {
        self.queries
    }

    /// `g_i . b_q`, `(B, q)`.
    fn with_batch(&self, step: &Step<'_, T>, b: &Captures<T>) -> Array2<f64> {
        let layout = self.view.model().layout();
        let blocks = usize::from(self.features.is_some());
        let mut sum = pair::gradient_products_from(blocks, step.captures, b, layout);
        if self.features.is_some() {
            self.add_first(step, &b.layers[0].output_gradients, &mut sum);
        }
        sum
    }

    /// Adds the first layer's share, for output gradients `(q, outputs)` of the queries.
    pub(crate) fn add_first(
        &self,
        step: &Step<'_, T>,
        of_queries: &Array2<T>,
        sum: &mut Array2<f64>,
    ) {
        let features = self.features.as_ref().expect("the features enter the first layer");
        let of_batch = &step.captures.layers[0].output_gradients;
        // (B, outputs) x (outputs, q) -> (B, q)
        let outer = attribench_core::math::matmul(of_batch.view(), of_queries.t());
        for ((mut sum, outer), &row) in sum.outer_iter_mut().zip(outer.outer_iter()).zip(step.rows)
        {
            ndarray::Zip::from(&mut sum)
                .and(&outer)
                .and(features.row(row))
                .for_each(|sum, outer, inner| *sum += inner.to_f64() * outer.to_f64());
        }
    }
}
