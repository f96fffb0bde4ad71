//! Small runs made in the plainest way, and slow answers to compare with.

use attribench_core::{
    Checkpoint, Curvature, Examples, FitReal, Labels, Measured, Meter, Method, MethodEntry,
    MethodError, Model, Observer, Optimiser, Quantity, Queries, Real, Recipe, Run, RunError,
    Scores, Step, UpdateRule, Utility, stream,
};
use attribench_models::{Activation, Network};
use ndarray::{Array2, ArrayView2, s};
use rand_distr::{Distribution, StandardNormal};

/// Seed under which methods are fitted.
pub const SEED: u64 = 11;

/// Methods that draw at random, so that laws about permuted or repeated examples hold for their
/// expectation only.
pub const DRAWN: [&str; 4] = ["class-wise-shapley", "data-oob", "g-shapley", "random"];

/// One step as it happened.
#[derive(Clone, Debug)]
pub struct StoredStep<T> {
    pub rows: Vec<usize>,
    pub learning_rate: f64,
    pub before: Vec<T>,
    pub after: Vec<T>,
    /// The optimiser's state after the step.
    pub moments: Vec<Vec<T>>,
    /// The clipped batch gradient, and what clipping left of it.
    pub gradient: Vec<T>,
    pub clip_factor: f64,
}

/// What a run does apart from its data.
#[derive(Clone, Debug)]
pub struct Plan {
    pub batches: Vec<Vec<usize>>,
    pub learning_rate: f64,
    pub rule: UpdateRule,
    /// Steps that one checkpoint stands for.
    pub interval: usize,
}

/// A run that keeps every state.
#[derive(Clone, Debug)]
pub struct TestRun<T> {
    pub model: Network,
    pub train: Examples<T>,
    pub recipe: Recipe,
    pub steps: Vec<StoredStep<T>>,
    pub checkpoints: Vec<Checkpoint<T>>,
    /// State of the optimiser at each checkpoint.
    pub moments: Vec<Vec<Vec<T>>>,
    pub parameters: Vec<T>,
    /// Where it began and how it went, for a run that took steps.
    pub origin: Option<(Vec<T>, Plan)>,
    /// Data weights that its steps show.
    pub weights: Vec<T>,
}

/// One step on the clipped batch gradient in `f64`, as the formulas are written, entry by entry.
fn step_slowly(
    rule: &UpdateRule,
    (index, eta): (usize, f64),
    gradient: &[f64],
    moments: &mut [Vec<f64>],
    theta: &mut [f64],
) {
    let decay = rule.optimiser.weight_decay();
    for (j, theta) in theta.iter_mut().enumerate() {
        let g = gradient[j] + decay.coupled() * *theta;
        let movement = match rule.optimiser {
            Optimiser::Sgd(sgd) => {
                let v = &mut moments[0][j];
                *v = sgd.momentum * *v + (1.0 - sgd.dampening) * g;
                if sgd.nesterov { g + sgd.momentum * *v } else { *v }
            }
            Optimiser::AdamW(adam) => {
                let steps = index as i32 + 1;
                moments[0][j] = adam.beta1 * moments[0][j] + (1.0 - adam.beta1) * g;
                moments[1][j] = adam.beta2 * moments[1][j] + (1.0 - adam.beta2) * g * g;
                let m = moments[0][j] / (1.0 - adam.beta1.powi(steps));
                let v = moments[1][j] / (1.0 - adam.beta2.powi(steps));
                m / ((v + adam.eps_root).sqrt() + adam.eps)
            }
        };
        *theta -= eta * (movement + decay.decoupled() * *theta);
    }
}

impl<T: Real> TestRun<T> {
    /// The run with all weights 1.
    pub fn new(model: Network, train: Examples<T>, initial: Vec<T>, plan: &Plan) -> Self {
        let ones = vec![1.0; train.len()];
        Self::weighted(model, train, initial, plan, &ones)
    }

    /// The run with these data weights.
    pub fn weighted(
        model: Network,
        train: Examples<T>,
        initial: Vec<T>,
        plan: &Plan,
        weights: &[f64],
    ) -> Self {
        let rule = plan.rule;
        let mut theta: Vec<f64> = initial.iter().map(|value| value.to_f64()).collect();
        let mut moments = vec![vec![0.0; theta.len()]; rule.optimiser.moments()];
        let round = |theta: &[f64]| -> Vec<T> { theta.iter().map(|&x| T::from_f64(x)).collect() };
        let mut steps = Vec::new();
        for (index, rows) in plan.batches.iter().enumerate() {
            let before = round(&theta);
            let chosen: Vec<T> = rows.iter().map(|&row| T::from_f64(weights[row])).collect();
            let sum = model.gradient(&before, &train.select(rows), Quantity::Loss, &chosen);
            let mut gradient: Vec<f64> =
                sum.iter().map(|sum| sum.to_f64() / rule.batch_size as f64).collect();
            let learning_rate = plan.learning_rate;
            let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            let clip_factor = rule.clip_norm.map_or(1.0, |longest| (longest / norm).min(1.0));
            gradient.iter_mut().for_each(|g| *g *= clip_factor);
            step_slowly(&rule, (index, learning_rate), &gradient, &mut moments, &mut theta);
            // The run's states are those of its number type.
            let after = round(&theta);
            theta = after.iter().map(|value| value.to_f64()).collect();
            let moments = moments.iter().map(|moment| round(moment)).collect();
            let (rows, gradient) = (rows.clone(), round(&gradient));
            steps.push(StoredStep {
                rows,
                learning_rate,
                before,
                after,
                moments,
                gradient,
                clip_factor,
            });
        }
        let recipe = Recipe {
            steps: steps.len(),
            rule,
            total_learning_rate: plan.learning_rate * steps.len() as f64,
        };
        let checkpoints: Vec<Checkpoint<T>> = steps
            .chunks(plan.interval.max(1))
            .enumerate()
            .map(|(index, chunk)| {
                let mut exposure = vec![0.0; train.len()];
                for step in chunk {
                    for &row in &step.rows {
                        let size = step.learning_rate * rule.optimiser.gain();
                        exposure[row] += size / rule.batch_size as f64;
                    }
                }
                let parameters = chunk[0].before.clone();
                Checkpoint { step: index * plan.interval, parameters, exposure }
            })
            .collect();
        let zeros = vec![vec![T::zero(); theta.len()]; rule.optimiser.moments()];
        let state_before = |step: usize| match step.checked_sub(1) {
            Some(last) => steps[last].moments.clone(),
            None => zeros.clone(),
        };
        let moments = checkpoints.iter().map(|checkpoint| state_before(checkpoint.step));
        let moments = moments.collect();
        let parameters = round(&theta);
        let (origin, weights) = (Some((initial, plan.clone())), round(weights));
        Self { model, train, recipe, steps, checkpoints, moments, parameters, origin, weights }
    }

    /// A run of no steps that ends at `parameters`.
    pub fn at(model: Network, train: Examples<T>, parameters: Vec<T>, recipe: Recipe) -> Self {
        let (steps, checkpoints, moments) = Default::default();
        let weights = vec![T::one(); train.len()];
        let origin = None;
        Self { model, train, recipe, steps, checkpoints, moments, parameters, origin, weights }
    }

    /// A run of no steps of a model of one layer, for methods that do not look at it.
    pub fn untrained(train: Examples<T>) -> Self {
        let model = Network::dense(&[train.features().ncols(), 2], Activation::Tanh);
        let parameters = model.initial_parameters(0);
        Self::at(model, train, parameters, STILL)
    }

    /// The parameters that other data weights lead to.
    fn trained_again(&self, weights: &[T]) -> Vec<T> {
        let Some(first) = self.steps.first() else { return self.parameters.clone() };
        let plan = Plan {
            batches: self.steps.iter().map(|step| step.rows.clone()).collect(),
            learning_rate: first.learning_rate,
            rule: self.recipe.rule,
            interval: 1,
        };
        let weights: Vec<f64> = weights.iter().map(|weight| weight.to_f64()).collect();
        let (model, train, start) = (self.model.clone(), self.train.clone(), first.before.clone());
        Self::weighted(model, train, start, &plan, &weights).parameters
    }

    pub fn batch_size(&self) -> usize {
        self.recipe.rule.batch_size
    }

    fn show(&self, index: usize, observer: &mut dyn Observer<T>) -> Result<(), RunError> {
        let step = &self.steps[index];
        let batch = self.train.select(&step.rows);
        observer.step(&Step {
            index,
            rows: &step.rows,
            weights: &step.rows.iter().map(|&row| self.weights[row]).collect::<Vec<T>>(),
            learning_rate: step.learning_rate,
            before: &step.before,
            after: &step.after,
            moments: match self.recipe.rule.optimiser {
                Optimiser::Sgd(_) => &[],
                Optimiser::AdamW(_) => &step.moments,
            },
            gradient: match self.recipe.rule.heavy_ball() {
                Some(_) => &[],
                None => &step.gradient,
            },
            clip_factor: step.clip_factor,
            captures: &self.model.captures(&step.before, &batch, Quantity::Loss),
        })
    }
}

/// Constants of a run of no steps.
pub const STILL: Recipe = Recipe {
    steps: 0,
    rule: UpdateRule { optimiser: Optimiser::heavy_ball(0.0, 0.0), clip_norm: None, batch_size: 1 },
    total_learning_rate: 0.0,
};

impl<T: Real> Run<T> for TestRun<T> {
    /// Every repeat is the same seed: a test run has no other.
    fn retrain(
        &self,
        weights: &[Vec<T>],
        _: &[u64],
        measured: Measured,
        at: &Queries<T>,
    ) -> Result<Array2<f64>, RunError> {
        let mut values = Array2::zeros((weights.len(), at.examples.len()));
        for (mut row, weights) in values.outer_iter_mut().zip(weights) {
            let theta = self.trained_again(weights);
            let found = match measured {
                Measured::Utility => self.model.utilities(&theta, &at.examples, at.utility),
                Measured::Correct => {
                    let Labels::Classes(labels) = at.examples.labels() else {
                        panic!("only classes can be right")
                    };
                    let outputs = self.model.outputs(&theta, at.examples.features());
                    let is_top = |(row, &label): (ndarray::ArrayView1<'_, T>, &u32)| {
                        let own = row[label as usize];
                        f64::from(u8::from(row.iter().all(|&other| other <= own)))
                    };
                    outputs.outer_iter().zip(labels).map(is_top).collect()
                }
            };
            row.assign(&ndarray::ArrayView1::from(&found));
        }
        Ok(values)
    }
    fn train(&self) -> &Examples<T> {
        &self.train
    }
    fn model(&self) -> &dyn Model<T> {
        &self.model
    }
    fn final_parameters(&self) -> &[T] {
        &self.parameters
    }
    fn recipe(&self) -> Recipe {
        self.recipe
    }
    fn checkpoints(&self) -> &[Checkpoint<T>] {
        &self.checkpoints
    }
    fn moments(&self) -> &[Vec<Vec<T>>] {
        &self.moments
    }
    fn replay(&self, observer: &mut dyn Observer<T>) -> Result<(), RunError> {
        (0..self.steps.len()).try_for_each(|index| self.show(index, observer))
    }
    fn replay_backwards(&self, observer: &mut dyn Observer<T>) -> Result<(), RunError> {
        (0..self.steps.len()).rev().try_for_each(|index| self.show(index, observer))
    }
    fn retrain_backwards(
        &self,
        weights: &[T],
        observer: &mut dyn Observer<T>,
    ) -> Result<(), RunError> {
        let Some((initial, plan)) = &self.origin else { return Ok(()) };
        let weights: Vec<f64> = weights.iter().map(|weight| weight.to_f64()).collect();
        let (model, train) = (self.model.clone(), self.train.clone());
        Self::weighted(model, train, initial.clone(), plan, &weights).replay_backwards(observer)
    }
}

impl TestRun<f64> {
    /// The run of no steps with data and parameters rounded to single precision.
    pub fn in_single_precision(&self, queries: &Queries<f64>) -> (TestRun<f32>, Queries<f32>) {
        let round = |examples: &Examples<f64>| {
            let labels = match examples.labels() {
                Labels::Classes(labels) => Labels::Classes(labels.clone()),
                Labels::Tokens(tokens) => Labels::Tokens(tokens.clone()),
                Labels::Values(values) => {
                    Labels::Values(values.iter().map(|&value| value as f32).collect())
                }
            };
            Examples::new(examples.features().mapv(|value| value as f32), labels)
        };
        let parameters = self.parameters.iter().map(|&value| value as f32).collect();
        let run = TestRun::at(self.model.clone(), round(&self.train), parameters, self.recipe);
        (run, Queries { examples: round(&queries.examples), utility: queries.utility })
    }

    /// The same run, ended at another's parameters.
    pub fn at_parameters_of(&self, other: &TestRun<f32>) -> Self {
        let parameters = other.parameters.iter().map(|&value| f64::from(value)).collect();
        Self { parameters, ..self.clone() }
    }
}

/// A run with its queries.
pub struct Game {
    pub run: TestRun<f64>,
    pub queries: Queries<f64>,
}

/// Two examples, two steps in one dimension: `l_i = 1/2 (theta - y_i)^2` with `y = (1, 3)`, full
/// batch, learning rate 1/2, from 0. Inputs are 0, so that the bias is the one parameter that
/// moves.
fn golden(momentum: f64, target: f64) -> Game {
    let train = Examples::new(Array2::zeros((2, 1)), Labels::Values(vec![1.0, 3.0]));
    let plan = Plan {
        batches: vec![vec![0, 1]; 2],
        learning_rate: 0.5,
        rule: UpdateRule {
            optimiser: Optimiser::heavy_ball(momentum, 0.0),
            clip_norm: None,
            batch_size: 2,
        },
        interval: 1,
    };
    let model = Network::dense(&[1, 1], Activation::Tanh);
    let run = TestRun::new(model, train, vec![0.0, 0.0], &plan);
    let examples = Examples::new(Array2::zeros((1, 1)), Labels::Values(vec![target]));
    Game { run, queries: Queries { examples, utility: Utility::NegativeLoss } }
}

/// SGD, `f = -1/2 (theta - 2)^2`: theta 0, 1, 1.5.
pub fn golden_sgd() -> Game {
    golden(0.0, 2.0)
}

/// Momentum 1/2, `f = -1/2 (theta - 4)^2`: theta 0, 1, 2.
pub fn golden_momentum() -> Game {
    golden(0.5, 4.0)
}

/// Four points on a line, fitted by `slope_and_intercept`, and a query at 4.
pub fn least_squares(
    weight_decay: f64,
    slope_and_intercept: [f64; 2],
) -> (TestRun<f64>, Queries<f64>) {
    let line = |x: Vec<f64>, y: Vec<f64>| {
        Examples::new(Array2::from_shape_vec((x.len(), 1), x).unwrap(), Labels::Values(y))
    };
    let train = line(vec![0.0, 1.0, 2.0, 3.0], vec![1.0, 2.0, 2.0, 4.0]);
    let model = Network::dense(&[1, 1], Activation::Tanh);
    let rule = UpdateRule { optimiser: Optimiser::heavy_ball(0.0, weight_decay), ..STILL.rule };
    let recipe = Recipe { rule, ..STILL };
    let run = TestRun::at(model, train, slope_and_intercept.to_vec(), recipe);
    let queries = Queries { examples: line(vec![4.0], vec![5.0]), utility: Utility::NegativeLoss };
    (run, queries)
}

/// A problem of four noisy classes in twelve dimensions, to be changed before it is run.
pub struct Problem<T> {
    pub train: Examples<T>,
    pub hidden: Vec<usize>,
    pub plan: Plan,
}

/// See [`Problem`]; `n` training examples, three epochs in batches of 8.
pub fn digits_like<T: Real>(n: usize) -> Problem<T> {
    let rows: Vec<usize> = (0..3 * n).map(|i| (i * 7) % n).collect();
    let plan = Plan {
        batches: rows.chunks(8).map(<[usize]>::to_vec).collect(),
        learning_rate: 0.1,
        rule: UpdateRule {
            optimiser: Optimiser::heavy_ball(0.0, 0.0),
            clip_norm: None,
            batch_size: 8,
        },
        interval: 4,
    };
    Problem { train: noisy_classes(n, "train"), hidden: vec![5], plan }
}

fn noisy_classes<T: Real>(n: usize, name: &str) -> Examples<T> {
    let mut numbers = stream(5, name, 0);
    let labels: Vec<u32> = (0..n as u32).map(|i| (i * i + i / 3) % 4).collect();
    let features = Array2::from_shape_fn((n, 12), |(i, j)| {
        let centre = if j % 4 == labels[i] as usize { 1.0 } else { 0.0 };
        let noise: f64 = StandardNormal.sample(&mut numbers);
        // Multiples of 2^-10 are the same number in both precisions.
        T::from_f64(((centre + noise) * 1024.0).round() / 1024.0)
    });
    Examples::new(features, Labels::Classes(labels))
}

impl<T: Real> Problem<T> {
    pub fn network(mut self, hidden: &[usize]) -> Self {
        self.hidden = hidden.to_vec();
        self
    }

    pub fn momentum(mut self, momentum: f64) -> Self {
        self.plan.rule.optimiser =
            Optimiser::heavy_ball(momentum, self.plan.rule.optimiser.ridge());
        self.plan.learning_rate *= 1.0 - momentum;
        self
    }

    /// Coupled decay, with the momentum that is set already.
    pub fn decay(mut self, weight_decay: f64) -> Self {
        let ball = self.plan.rule.heavy_ball().expect("momentum and decay alone");
        self.plan.rule.optimiser = Optimiser::heavy_ball(ball.momentum, weight_decay);
        self
    }

    pub fn rule(mut self, optimiser: Optimiser, clip_norm: Option<f64>) -> Self {
        self.plan.rule = UpdateRule { optimiser, clip_norm, ..self.plan.rule };
        self
    }

    pub fn learning_rate(mut self, learning_rate: f64) -> Self {
        self.plan.learning_rate = learning_rate;
        self
    }

    pub fn full_batches(mut self, steps: usize) -> Self {
        let n = self.train.len();
        self.plan.batches = vec![(0..n).collect(); steps];
        self.plan.rule.batch_size = n;
        self
    }

    pub fn untrained(mut self) -> Self {
        self.plan.batches.clear();
        self
    }

    pub fn run(&self) -> TestRun<T> {
        let widths: Vec<usize> = [12].into_iter().chain(self.hidden.clone()).chain([4]).collect();
        let model = Network::dense(&widths, Activation::Tanh);
        let initial = model.initial_parameters(3);
        TestRun::new(model, self.train.clone(), initial, &self.plan)
    }

    /// The training examples as queries.
    pub fn queries(&self) -> Queries<T> {
        Queries { examples: self.train.clone(), utility: Utility::Margin }
    }

    pub fn pair(&self, queries: usize, utility: Utility) -> (TestRun<T>, Queries<T>) {
        let examples = noisy_classes(queries, "queries");
        (self.run(), Queries { examples, utility })
    }
}

pub fn try_scores_of<M: Method, T: FitReal>(
    method: &M,
    run: &TestRun<T>,
    queries: &Queries<T>,
) -> Result<Scores, MethodError> {
    T::fit(method, run, &Meter::default(), SEED)?.score(queries)
}

pub fn scores_of<M: Method, T: FitReal>(
    method: &M,
    run: &TestRun<T>,
    queries: &Queries<T>,
) -> Scores {
    try_scores_of(method, run, queries).unwrap_or_else(|error| panic!("{}: {error}", M::INFO.name))
}

/// Default parameters, with a tolerance below that of the laws where there is one.
fn parameters_for_laws(entry: &MethodEntry) -> serde_json::Value {
    let method = (entry.build)(serde_json::json!({})).expect("defaults are in range");
    let mut parameters = method.parameters();
    if let Some(tolerance) = parameters.get_mut("tolerance") {
        *tolerance = serde_json::json!(1e-13);
    }
    parameters
}

/// Scores of a registered method with its default parameters, iterations run to the end.
pub fn scores_of_entry<T: FitReal>(
    entry: &MethodEntry,
    run: &TestRun<T>,
    queries: &Queries<T>,
    seed: u64,
) -> Result<Scores, MethodError> {
    let method = (entry.build)(parameters_for_laws(entry)).expect("parameters are in range");
    T::fit(&*method, run, &Meter::default(), seed)?.score(queries)
}

/// Largest deviation relative to the largest expected entry.
pub fn deviation(found: ArrayView2<'_, f64>, expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len(), "numbers of entries");
    let largest = expected.iter().fold(0.0f64, |top, value| top.max(value.abs()));
    let worst = found
        .iter()
        .zip(expected)
        .map(|(found, expected)| (found - expected).abs())
        .fold(0.0, |top, error| if error > top || error.is_nan() { error } else { top });
    if largest > 0.0 { worst / largest } else { worst }
}

pub fn assert_close(found: ArrayView2<'_, f64>, expected: &[f64], tolerance: f64) {
    let deviation = deviation(found, expected);
    assert!(deviation <= tolerance, "off by {deviation:.2e} (allowed {tolerance:.0e})");
}

/// Gradients of the training losses `(n, p)` and of minus the utilities `(q, p)` at the end.
pub fn gradients_one_at_a_time(
    run: &TestRun<f64>,
    queries: &Queries<f64>,
) -> (Array2<f64>, Array2<f64>) {
    gradients_one_at_a_time_at(run, queries, &run.parameters)
}

/// The same at other parameters.
pub fn gradients_one_at_a_time_at(
    run: &TestRun<f64>,
    queries: &Queries<f64>,
    theta: &[f64],
) -> (Array2<f64>, Array2<f64>) {
    let each = |examples: &Examples<f64>, quantity: Quantity| {
        let mut gradients = Array2::zeros((examples.len(), theta.len()));
        for i in 0..examples.len() {
            let one = examples.select(&[i]);
            let gradient = run.model.gradient(theta, &one, quantity, &[1.0]);
            gradients.row_mut(i).assign(&ndarray::Array1::from(gradient));
        }
        gradients
    };
    (
        each(&run.train, Quantity::Loss),
        each(&queries.examples, Quantity::NegativeUtility(queries.utility)),
    )
}

/// The mean curvature of the loss at the end, `(p, p)`.
pub fn curvature_by_products(run: &TestRun<f64>, curvature: Curvature) -> Array2<f64> {
    let (p, n) = (run.parameters.len(), run.train.len());
    let (ones, units) = (vec![1.0; n], Array2::eye(p));
    run.model.curvature_products(&run.parameters, &run.train, &ones, curvature, units.view())
        / n as f64
}

/// Gaussian elimination with row exchanges: `matrix^-1 right`.
pub fn solve_slowly(mut matrix: Array2<f64>, mut right: Array2<f64>) -> Array2<f64> {
    let n = matrix.nrows();
    for column in 0..n {
        let size = |row: usize| matrix[(row, column)].abs();
        let pivot = (column..n).max_by(|&a, &b| size(a).total_cmp(&size(b))).unwrap();
        for array in [&mut matrix, &mut right] {
            if pivot > column {
                let (upper, lower) = array.multi_slice_mut((s![column, ..], s![pivot, ..]));
                ndarray::Zip::from(upper).and(lower).for_each(std::mem::swap);
            }
        }
        for row in 0..n {
            if row != column {
                let factor = matrix[(row, column)] / matrix[(column, column)];
                for array in [&mut matrix, &mut right] {
                    let source = array.row(column).to_owned();
                    array.row_mut(row).scaled_add(-factor, &source);
                }
            }
        }
    }
    for row in 0..n {
        let diagonal = matrix[(row, row)];
        right.row_mut(row).mapv_inplace(|value| value / diagonal);
    }
    right
}
