//! Exact derivative of the whole training by each example's weight.
//!
//! # Computes
//! `tau[i, q] = d f_q(theta_T(w)) / d w_i` at `w = 1`, by reverse differentiation of every step.
//! With the adjoint `lambda_T = grad f_q(theta_T)` and, for momentum, `nu_T = 0`, backwards over
//! the steps: `kappa = nu_{t+1} - eta_t lambda_{t+1}`, `psi = (1 - zeta) kappa`;
//! `tau_i += (1 / B) psi . g_i(theta_t)` for each occurrence of `i` in the batch;
//! `lambda_t = lambda_{t+1} + H_t psi + gamma psi`, `nu_t = mu kappa`, with the batch Hessian
//! `H_t`. Nesterov's form, AdamW, decoupled decay and clipping are differentiated likewise.
//! A direction's tangents of the batch's losses are all its products `psi . g_i` at once, and
//! reverse differentiation of their sum is `H_t psi`: no per-example gradient is formed.
//!
//! `mode: forward` gives the same numbers by carrying `d theta_t / d w_i` along with the run, for
//! all queries at once: dear for many examples, cheap for many queries.
//!
//! # Reads
//! The full trace, replayed backwards. Each step costs a tangent and a Hessian product of every
//! example of the batch for each query; the forward and backward pass is shared by the queries.
//! In forward mode a Hessian product of every example of the batch for each training example.
//!
//! # Shapes
//! Adjoints `(q, p)`, one for the parameters and one for each moment, in the number type of the
//! run; scores are summed in `f64`. Queries are asked in blocks of a quarter gigabyte. In forward
//! mode tangents `(n, p)` likewise.
//!
//! # Differs from the paper
//! The published algorithm differentiates with respect to weights at chosen steps by automatic
//! differentiation of the replayed program; here the recursion is written out for each optimiser,
//! one weight belongs to an example for the whole run, and many queries share a replay.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::Metagradient;
//! assert!(Metagradient::default().check().is_ok());
//! ```
//!
//! # References
//! Maclaurin, Duvenaud, Adams, Gradient-based hyperparameter optimization through reversible
//! learning, ICML 2015, arXiv 1502.03492; Engstrom et al., Optimizing ML training with metagradient
//! descent, 2025, arXiv 2503.13751.

use attribench_core::{
    Context, Curvature, FullTrace, Method, MethodError, MethodInfo, Observer, ProblemSize, Queries,
    ReadsTrace, Real, RunError, Scale, Scorer, Scores, Step, View, math,
};
use ndarray::{Array2, ArrayView2, Axis, s};
use serde::{Deserialize, Serialize};

use crate::{directions::directional_products, label, pair, step_derivative::StepDerivative};

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Metagradient {
    /// Which way the derivative is taken.
    pub mode: Mode,
}

/// A way to the same derivative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Backwards from each query: the cost grows with the queries.
    #[default]
    Reverse,
    /// Forwards from each training example: the cost grows with the training examples.
    Forward,
}

/// Numbers that the adjoints of one replay may hold: 256 MiB in `f64`.
const ADJOINT_NUMBERS: usize = 1 << 25;

/// Vectors of the parameters' length for each query: adjoints of parameters and moments, and the
/// direction of the step.
fn vectors(moments: usize) -> usize {
    moments + 2
}

/// Most bytes that one replay in reverse takes.
pub(crate) fn working_bytes(size: ProblemSize) -> u64 {
    let ProblemSize { examples, queries, parameters, number } = size;
    // Adam's adjoints, the most there are; the end's gradients in `f64` while they begin.
    let most = ADJOINT_NUMBERS.max(vectors(2) * parameters);
    let adjoints = (vectors(2) * queries * parameters).min(most);
    let scores = examples * queries * size_of::<f64>();
    (adjoints * number + adjoints / vectors(2) * size_of::<f64>() + scores) as u64
}

impl Method for Metagradient {
    type Access = FullTrace;
    const INFO: MethodInfo = MethodInfo {
        name: "metagradient",
        summary: "exact derivative of the whole training by each example's weight",
        scale: Scale::Derivative,
    };

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        working_bytes(size)
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, FullTrace, T>,
        _context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        Ok(Box::new(Fitted { view, mode: self.mode }))
    }
}

struct Fitted<'a, T> {
    view: View<'a, FullTrace, T>,
    mode: Mode,
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let view = self.view;
        let values = match self.mode {
            Mode::Reverse => {
                let exact = StepCurvature::Of(Curvature::Hessian);
                metagradient(view, queries, exact, |observer| view.replay_backwards(observer))?
            }
            Mode::Forward => {
                directional_derivatives(view, &Array2::eye(view.train().len()), queries)?
            }
        };
        label::<Metagradient, T>(view.train(), queries, values)
    }
}

/// What stands for the Hessian of a batch's loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepCurvature {
    /// The Hessian itself, which makes the derivative exact, or the Gauss-Newton matrix.
    Of(Curvature),
    /// `(1 / B) sum_i w_i g_i g_i^T`, with the labels that the data have.
    EmpiricalFisher,
}

/// `d f_q / d w_i`, `(n, q)`, of the run that `replay` shows backwards to the observer it is given,
/// once for each block of queries.
pub(crate) fn metagradient<A: ReadsTrace, T: Real>(
    view: View<'_, A, T>,
    queries: &Queries<T>,
    curvature: StepCurvature,
    mut replay: impl FnMut(&mut dyn Observer<T>) -> Result<(), RunError>,
) -> Result<Array2<f64>, RunError> {
    let vectors = vectors(view.recipe().rule.optimiser.moments());
    let p = view.model().layout().parameters();
    let mut values = Array2::zeros((view.train().len(), queries.examples.len()));
    for (first, examples) in queries.examples.blocks((ADJOINT_NUMBERS / (vectors * p)).max(1)) {
        let block = first..first + examples.len();
        let asked = Queries { examples, utility: queries.utility };
        let mut reverse = Reverse::new(view, &asked, curvature);
        replay(&mut reverse)?;
        values.slice_mut(s![.., block]).assign(&reverse.scores);
    }
    Ok(values)
}

/// `sum_i directions[k, i] d f_q / d w_i`, `(k, q)`, by forward mode; a contributor's direction is
/// 1 at its examples and 0 elsewhere.
fn directional_derivatives<A: ReadsTrace, T: Real>(
    view: View<'_, A, T>,
    directions: &Array2<f64>,
    queries: &Queries<T>,
) -> Result<Array2<f64>, RunError> {
    let vectors = vectors(view.recipe().rule.optimiser.moments());
    let model = view.model();
    let p = model.layout().parameters();
    let descent = pair::query_captures(model, queries);
    let mut values = Array2::zeros((directions.nrows(), queries.examples.len()));
    let rows = (ADJOINT_NUMBERS / (vectors * p)).max(1);
    for (values, directions) in
        values.axis_chunks_iter_mut(Axis(0), rows).zip(directions.axis_chunks_iter(Axis(0), rows))
    {
        let mut forward = Forward::new(view, directions);
        view.replay(&mut forward)?;
        let theta = forward.theta.mapv(|value| -value.to_f64());
        let along = directional_products(&descent, model.layout(), theta.view());
        // (q, k) -> (k, q)
        { values }.assign(&along.t());
    }
    Ok(values)
}

/// Tangents that go forwards with the run.
struct Forward<'a, A, T> {
    view: View<'a, A, T>,
    /// `(k, n)`.
    directions: ArrayView2<'a, f64>,
    /// `(k, p)`, and of each moment.
    theta: Array2<T>,
    moments: Vec<Array2<T>>,
}

impl<'a, A: ReadsTrace, T: Real> Forward<'a, A, T> {
    fn new(view: View<'a, A, T>, directions: ArrayView2<'a, f64>) -> Self {
        let shape = (directions.nrows(), view.model().layout().parameters());
        let moments = vec![Array2::zeros(shape); view.recipe().rule.optimiser.moments()];
        Self { view, directions, theta: Array2::zeros(shape), moments }
    }

    /// Tangent of the batch gradient: `H_t dtheta + (1 / B) sum_i delta_i g_i`, `(k, p)`.
    fn gradient(&self, step: &Step<'_, T>) -> Array2<T> {
        let share = 1.0 / self.view.recipe().rule.batch_size as f64;
        let batch = self.view.train().select(step.rows);
        let model = self.view.model_at(step.before);
        let weights = shares(step, share);
        let theta = self.theta.view();
        let mut gradient = model.curvature_products(&batch, &weights, Curvature::Hessian, theta);
        let mut each = Array2::<f64>::zeros((step.rows.len(), self.theta.ncols()));
        pair::add_gradients(&step.captures.layers, model.layout(), share, each.view_mut());
        // (k, n) -> (k, batch), then (k, batch) x (batch, p) -> (k, p)
        let chosen = self.directions.select(Axis(1), step.rows);
        gradient.zip_mut_with(&math::matmul(chosen.view(), each.view()), |sum, &value| {
            *sum += T::from_f64(value);
        });
        gradient
    }
}

impl<A: ReadsTrace, T: Real> Observer<T> for Forward<'_, A, T> {
    fn step(&mut self, step: &Step<'_, T>) -> Result<(), RunError> {
        let derivative = StepDerivative::new(&self.view.recipe().rule, step);
        let mut gradients = self.gradient(step);
        for (row, mut theta) in self.theta.outer_iter_mut().enumerate() {
            let mut gradient = gradients.row_mut(row);
            derivative.forward(
                theta.as_slice_mut().expect("rows lie together"),
                &mut rows_of(&mut self.moments, row),
                gradient.as_slice_mut().expect("rows lie together"),
            );
        }
        Ok(())
    }
}

/// Row `row` of each matrix.
fn rows_of<T>(matrices: &mut [Array2<T>], row: usize) -> Vec<&mut [T]> {
    let rows = matrices.iter_mut();
    rows.map(|matrix| matrix.row_mut(row).into_slice().expect("rows lie together")).collect()
}

/// Data weights of a step's rows, times `share`.
fn shares<T: Real>(step: &Step<'_, T>, share: f64) -> Vec<T> {
    step.weights.iter().map(|weight| T::from_f64(weight.to_f64() * share)).collect()
}

/// Adjoints that go backwards over the steps and leave scores behind.
struct Reverse<'a, A, T> {
    view: View<'a, A, T>,
    queries: &'a Queries<T>,
    curvature: StepCurvature,
    /// `(q, p)`; empty before the last step has been shown.
    lambda: Array2<T>,
    moments: Vec<Array2<T>>,
    directions: Array2<T>,
    /// `(n, q)`.
    scores: Array2<f64>,
}

impl<'a, A: ReadsTrace, T: Real> Reverse<'a, A, T> {
    fn new(view: View<'a, A, T>, queries: &'a Queries<T>, curvature: StepCurvature) -> Self {
        let empty = Array2::zeros((0, 0));
        let scores = Array2::zeros((view.train().len(), queries.examples.len()));
        let (lambda, directions) = (empty.clone(), empty);
        Self { view, queries, curvature, lambda, moments: Vec::new(), directions, scores }
    }

    /// `lambda_T = grad f_q(theta_T)`, and no adjoint of the moments.
    fn begin(&mut self, end: &[T]) {
        let model = self.view.model_at(end);
        let shape = (self.queries.examples.len(), end.len());
        let mut gradients = Array2::<f64>::zeros(shape);
        let descent = pair::query_captures(model, self.queries);
        pair::add_gradients(&descent.layers, model.layout(), -1.0, gradients.view_mut());
        self.lambda = gradients.mapv(T::from_f64);
        let moments = self.view.recipe().rule.optimiser.moments();
        self.moments = vec![Array2::zeros(shape); moments];
        self.directions = Array2::zeros(shape);
    }

    fn reverse_update(&mut self, step: &Step<'_, T>) {
        let derivative = StepDerivative::new(&self.view.recipe().rule, step);
        for (query, mut lambda) in self.lambda.outer_iter_mut().enumerate() {
            let mut direction = self.directions.row_mut(query);
            derivative.reverse(
                lambda.as_slice_mut().expect("rows lie together"),
                &mut rows_of(&mut self.moments, query),
                direction.as_slice_mut().expect("rows lie together"),
            );
        }
    }

    /// Tangents `psi . g_i` of the batch, `(batch, q)`; curvature products join the adjoints.
    fn reverse_gradient(
        &mut self,
        step: &Step<'_, T>,
        curvature: Curvature,
        share: f64,
    ) -> Array2<f64> {
        let batch = self.view.train().select(step.rows);
        let weights = shares(step, share);
        let (directions, lambda) = (self.directions.view(), self.lambda.view_mut());
        let model = self.view.model_at(step.before);
        model.derivatives(&batch, &weights, curvature, directions, lambda).mapv(Real::to_f64)
    }

    /// The same with the batch's outer products of gradients.
    fn reverse_fisher(&mut self, step: &Step<'_, T>, share: f64) -> Array2<f64> {
        let g = pair::gradients(step.captures, self.view.model_at(step.before).layout());
        // (batch, p) x (p, q) -> (batch, q)
        let tangents = math::matmul(g.view(), self.directions.mapv(Real::to_f64).t());
        let mut weighted = tangents.clone();
        for (mut row, weight) in weighted.outer_iter_mut().zip(step.weights) {
            row *= share * weight.to_f64();
        }
        // (q, batch) x (batch, p) -> (q, p)
        self.lambda.zip_mut_with(&math::matmul(weighted.t(), g.view()), |lambda, &product| {
            *lambda += T::from_f64(product);
        });
        tangents
    }
}

impl<A: ReadsTrace, T: Real> Observer<T> for Reverse<'_, A, T> {
    fn reads_captures(&self) -> bool {
        self.curvature == StepCurvature::EmpiricalFisher
    }

    fn step(&mut self, step: &Step<'_, T>) -> Result<(), RunError> {
        if self.lambda.is_empty() {
            self.begin(step.after);
        }
        self.reverse_update(step);
        let share = 1.0 / self.view.recipe().rule.batch_size as f64;
        let tangents = match self.curvature {
            StepCurvature::Of(curvature) => self.reverse_gradient(step, curvature, share),
            StepCurvature::EmpiricalFisher => self.reverse_fisher(step, share),
        };
        for (&row, tangents) in step.rows.iter().zip(tangents.axis_iter(Axis(0))) {
            for (score, tangent) in self.scores.row_mut(row).iter_mut().zip(tangents) {
                *score += share * tangent;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::{
        AdamW, Examples, Labels, Optimiser, Queries, Sgd, UpdateRule, Utility, WeightDecay,
    };
    use attribench_models::{Activation, Network};
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::{Metagradient, Mode};
    use crate::common::{
        Plan, TestRun, assert_close, deviation as apart, digits_like, golden_momentum, golden_sgd,
        scores_of,
    };

    #[test]
    fn two_steps_by_hand() {
        // SGD: lambda_2 = 0.5; t = 1: g = (0, -2), kappa = -0.25, tau = (0, 0.25), lambda_1 =
        // 0.25; t = 0: g = (-1, -3), kappa = -0.125, tau = (0.0625, 0.25 + 0.1875).
        let game = golden_sgd();
        let scores = scores_of(&Metagradient::default(), &game.run, &game.queries);
        assert_close(scores.values(), &[0.0625, 0.4375], 1e-15);
        // Momentum 1/2: lambda_2 = 2; t = 1: kappa = -1, tau = (0, 1), lambda_1 = 1, nu_1 = -0.5;
        // t = 0: kappa = -0.5 - 0.5 = -1, tau = (0.5, 1 + 1.5).
        let game = golden_momentum();
        let scores = scores_of(&Metagradient::default(), &game.run, &game.queries);
        assert_close(scores.values(), &[0.5, 2.5], 1e-15);
    }

    #[test]
    fn two_steps_of_adam_w_to_the_digits_of_a_calculation_by_itself() {
        let adam = AdamW {
            beta1: 0.5,
            beta2: 0.75,
            eps: 0.0,
            eps_root: 0.01,
            weight_decay: WeightDecay::Decoupled(0.1),
        };
        let optimiser = Optimiser::AdamW(adam);
        let plan = Plan {
            batches: vec![vec![0, 1]; 2],
            learning_rate: 0.5,
            rule: UpdateRule { optimiser, clip_norm: None, batch_size: 2 },
            interval: 1,
        };
        let game = golden_sgd();
        let (model, train) = (game.run.model.clone(), game.run.train.clone());
        let run = TestRun::new(model, train, vec![0.0, 0.0], &plan);
        let scores = scores_of(&Metagradient::default(), &run, &game.queries);
        assert_close(scores.values(), &[-0.006_507_882_275, 0.009_339_950_563], 2e-10);
    }

    /// A small problem, its plan, and where it starts.
    #[derive(Clone, Debug)]
    struct Training {
        model: Network,
        train: Examples<f64>,
        initial: Vec<f64>,
        plan: Plan,
        queries: Queries<f64>,
    }

    impl Training {
        fn run(&self, weights: &[f64]) -> TestRun<f64> {
            let (model, train) = (self.model.clone(), self.train.clone());
            TestRun::weighted(model, train, self.initial.clone(), &self.plan, weights)
        }

        fn utilities(&self, weights: &[f64]) -> Vec<f64> {
            use attribench_core::Model;
            let theta = self.run(weights).parameters;
            self.model.utilities(&theta, &self.queries.examples, self.queries.utility)
        }

        /// `(f_q(1 + h e_i) - f_q(1 - h e_i)) / 2h` with one step of Richardson's extrapolation.
        fn differences(&self, i: usize) -> Vec<f64> {
            let slopes = |h: f64| -> Vec<f64> {
                let shifted = |h: f64| {
                    let mut weights = vec![1.0; self.train.len()];
                    weights[i] += h;
                    self.utilities(&weights)
                };
                let (up, down) = (shifted(h), shifted(-h));
                up.iter().zip(&down).map(|(up, down)| (up - down) / (2.0 * h)).collect()
            };
            let (wide, narrow) = (slopes(2e-3), slopes(1e-3));
            narrow.iter().zip(&wide).map(|(narrow, wide)| (4.0 * narrow - wide) / 3.0).collect()
        }
    }

    fn decays() -> impl Strategy<Value = WeightDecay> {
        prop_oneof![
            Just(WeightDecay::None),
            Just(WeightDecay::Coupled(0.05)),
            Just(WeightDecay::Decoupled(0.05)),
        ]
    }

    fn optimisers() -> impl Strategy<Value = Optimiser> {
        let sgd = (
            prop_oneof![Just(0.0), 0.3f64..0.9],
            prop_oneof![Just(0.0), 0.1f64..0.6],
            any::<bool>(),
            decays(),
        );
        let sgd = sgd.prop_map(|(momentum, dampening, nesterov, weight_decay)| {
            Optimiser::Sgd(Sgd { momentum, dampening, nesterov, weight_decay })
        });
        let adam = (0.3f64..0.9, 0.8f64..0.99, 1e-4f64..1e-2, decays());
        let adam = adam.prop_map(|(beta1, beta2, eps_root, weight_decay)| {
            Optimiser::AdamW(AdamW { beta1, beta2, eps: 1e-8, eps_root, weight_decay })
        });
        prop_oneof![sgd, adam]
    }

    prop_compose! {
        fn trainings()(
            optimiser in optimisers(),
            // Gradients of these problems are about 0.2 to 2 long: some steps are clipped.
            clip_norm in prop::option::of(0.3f64..0.9),
            activation in prop_oneof![Just(Activation::Tanh), Just(Activation::Gelu)],
            hidden in prop_oneof![Just(vec![]), Just(vec![3]), Just(vec![4, 3])],
            seed in 0u64..50,
            is_margin in any::<bool>(),
        ) -> Training {
            let mut numbers = (0u64..).map(move |k| {
                let mixed = (k + 1).wrapping_mul(seed + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                (mixed >> 40) as f64 / (1u64 << 23) as f64 - 1.0
            });
            let mut examples = |n: usize| {
                let features = Array2::from_shape_simple_fn((n, 3), || numbers.next().unwrap());
                let labels = features.outer_iter().map(|x| u32::from(x[0] + 0.5 * x[1] > 0.0));
                let labels = Labels::Classes(labels.collect());
                Examples::new(features, labels)
            };
            let (train, asked) = (examples(7), examples(3));
            let widths: Vec<usize> = [3].into_iter().chain(hidden).chain([2]).collect();
            let model = Network::dense(&widths, activation);
            let initial = attribench_core::Model::initial_parameters(&model, seed);
            // A row that occurs twice in a batch, and a short batch, whose divisor stays.
            let batches =
                vec![vec![0, 1, 2, 2], vec![3, 4, 5, 6], vec![6, 0], vec![1, 3, 5, 2], vec![4, 0]];
            let learning_rate = if let Optimiser::Sgd(_) = optimiser { 0.3 } else { 0.03 };
            let rule = UpdateRule { optimiser, clip_norm, batch_size: 4 };
            let plan = Plan { batches, learning_rate, rule, interval: 1 };
            let utility = if is_margin { Utility::Margin } else { Utility::NegativeLoss };
            let queries = Queries { examples: asked, utility };
            Training { model, train, initial, plan, queries }
        }
    }

    proptest! {
        #[test]
        fn it_is_the_derivative_of_the_whole_training(training in trainings()) {
            let run = training.run(&[1.0; 7]);
            // A step on the very edge of clipping has no derivative.
            let norm = |step: &crate::common::StoredStep<f64>| {
                let square: f64 = step.gradient.iter().map(|g| g * g).sum();
                square.sqrt() / step.clip_factor
            };
            if let Some(longest) = training.plan.rule.clip_norm {
                let is_off = |step| (norm(step) / longest - 1.0).abs() > 0.02;
                prop_assume!(run.steps.iter().all(is_off));
            }
            let scores = scores_of(&Metagradient::default(), &run, &training.queries);
            let expected: Vec<f64> = (0..7).flat_map(|i| training.differences(i)).collect();
            let deviation = apart(scores.values(), &expected);
            prop_assert!(deviation < 1e-6, "off by {deviation:e}");
            let forward = Metagradient { mode: Mode::Forward };
            let forward = scores_of(&forward, &run, &training.queries);
            let reverse = scores.values().iter().copied().collect::<Vec<_>>();
            prop_assert!(apart(forward.values(), &reverse) < 1e-9);
        }
    }

    #[test]
    fn single_precision_is_off_by_its_own_rounding() {
        for momentum in [0.0, 0.9] {
            let wide = digits_like::<f64>(32).network(&[6]).momentum(momentum);
            let narrow = digits_like::<f32>(32).network(&[6]).momentum(momentum);
            let (run, queries) = wide.pair(5, Utility::Margin);
            let expected = scores_of(&Metagradient::default(), &run, &queries);
            let (run, queries) = narrow.pair(5, Utility::Margin);
            let found = scores_of(&Metagradient::default(), &run, &queries);
            let expected = expected.values().iter().copied().collect::<Vec<_>>();
            let deviation = apart(found.values(), &expected);
            assert!((1e-9..1e-5).contains(&deviation), "momentum {momentum}: {deviation:e}");
        }
    }

    #[test]
    fn queries_asked_together_are_those_asked_alone() {
        let (run, queries) = digits_like::<f64>(32).network(&[6]).pair(5, Utility::Margin);
        let together = scores_of(&Metagradient::default(), &run, &queries);
        for query in 0..5 {
            let examples = queries.examples.select(&[query]);
            let asked = Queries { examples, utility: queries.utility };
            let alone = scores_of(&Metagradient::default(), &run, &asked);
            let expected = together.values().column(query).to_vec();
            assert_close(alone.values(), &expected, 1e-13);
        }
    }
}
