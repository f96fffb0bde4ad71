//! Influence by unrolling training in segments.
//!
//! # Computes
//! `tau[i, q] = (1/n) b_q . sum_l (prod_{m > l} e^{-rho_m C_m}) F_l g_il` with `F = (1 - e^{-rho
//! C}) C^-1`: the run is cut into `segments` stretches of checkpoints; in stretch `l` the mean
//! curvature `C_l` is that of `ek-fac` over its checkpoints plus the weight decay, `g_il` is the
//! mean gradient there, and `rho_l` the sum of learning rates, times `1 / (1 - mu)` under momentum.
//! `b_q` is taken at `theta_T`. Where `rho C` is small this is `trac-in-cp`, where it is large an
//! influence function.
//!
//! # Reads
//! Checkpoints. For each checkpoint twice one gradient for each training example and class
//! (`fisher: expected`), and one for each training example; one for each query.
//!
//! # Shapes
//! A basis as in `ek-fac` for each segment; directions of a block of queries `(k, p)`, carried
//! backwards from segment to segment; products `(n, p) x (p, k) -> (n, k)` from captures.
//!
//! # Differs from the paper
//! Learning rates come from the exposures that checkpoints record. Parameters outside of dense
//! layers have no curvature but the weight decay. The expectation runs over all labels.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::Source;
//! assert!(Source { segments: 0, ..Source::default() }.check().is_err());
//! ```
//!
//! # References
//! Bae, Lin, Lorraine, Grosse, Training data attribution via approximate unrolling, NeurIPS 2024,
//! arXiv 2405.12186.

use std::ops::Range;

use attribench_core::{
    Checkpoints, Context, Method, MethodError, MethodInfo, Optimiser, Queries, Real, Scale, Scorer,
    Scores, View,
};
use ndarray::{Array2, s};
use serde::{Deserialize, Serialize};

use crate::{
    EkFac, Fisher, directions::Directions, influence::query_rows, kronecker::Eigenbasis, label,
    pair,
};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Source {
    /// Stretches of checkpoints; no more than there are checkpoints.
    pub segments: usize,
    /// Whose gradients the curvature is made of.
    pub fisher: Fisher,
}

impl Default for Source {
    fn default() -> Self {
        Self { segments: 3, fisher: Fisher::default() }
    }
}

impl Method for Source {
    type Access = Checkpoints;
    const INFO: MethodInfo = MethodInfo {
        name: "source",
        summary: "influence by unrolling training in segments",
        scale: Scale::Derivative,
    };

    fn check(&self) -> Result<(), String> {
        if self.segments == 0 {
            return Err("`segments` is 0\nhint: give at least 1".to_owned());
        }
        Ok(())
    }

    fn working_bytes(
        &self,
        examples: usize,
        queries: usize,
        parameters: usize,
        number: usize,
    ) -> u64 {
        let factors = EkFac::default().working_bytes(examples, queries, parameters, number);
        self.segments as u64 * factors
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, Checkpoints, T>,
        context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let checkpoints = view.checkpoints();
        if checkpoints.is_empty() {
            return Err(MethodError::Unsuitable(
                "the run kept no checkpoints\nhint: ask the run for checkpoints".to_owned(),
            ));
        }
        let rule = view.recipe().rule;
        if !matches!(rule.optimiser, Optimiser::Sgd(_)) {
            return Err(MethodError::Unsuitable(format!(
                "source does not know the steps of {:?}\nhint: train with `sgd`",
                rule.optimiser
            )));
        }
        let mut numbers = context.stream("labels");
        let count = self.segments.min(checkpoints.len());
        let cut = |segment: usize| segment * checkpoints.len() / count;
        let gamma = rule.optimiser.ridge();
        let segments: Result<Vec<_>, MethodError> = (0..count)
            .map(|segment| {
                let range = cut(segment)..cut(segment + 1);
                let models: Vec<_> = checkpoints[range.clone()]
                    .iter()
                    .map(|checkpoint| view.model_at(&checkpoint.parameters))
                    .collect();
                let basis = Eigenbasis::fit_mean(&models, view.train(), self.fisher, &mut numbers)?;
                let mut curvature = vec![0.0; basis.turn.layout.parameters()];
                for &model in &models {
                    let moments =
                        basis.second_moments(model, view.train(), self.fisher, &mut numbers);
                    for (sum, moment) in curvature.iter_mut().zip(moments) {
                        *sum += moment / models.len() as f64;
                    }
                }
                // sum_t eta_t / (1 - mu): what all examples are exposed to together.
                let rho = checkpoints[range.clone()].iter().flat_map(|c| &c.exposure).sum();
                let steps =
                    curvature.iter().map(|sigma| Stretch::new(sigma + gamma, rho)).collect();
                Ok(Segment { range, basis, steps, other: Stretch::new(gamma, rho) })
            })
            .collect();
        Ok(Box::new(Fitted { view, segments: segments? }))
    }
}

/// What gradient flow with curvature `sigma` does in a time of `rho`.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    /// `e^{-rho sigma}`, what is left of an earlier change.
    decay: f64,
    /// `(1 - e^{-rho sigma}) / sigma`, what a constant push adds up to.
    push: f64,
}

impl Stretch {
    fn new(sigma: f64, rho: f64) -> Self {
        let decay = (-rho * sigma).exp();
        let push = if sigma > 0.0 { -(-rho * sigma).exp_m1() / sigma } else { rho };
        Self { decay, push }
    }
}

struct Segment<T> {
    /// Its checkpoints.
    range: Range<usize>,
    basis: Eigenbasis<T>,
    /// By direction of the basis.
    steps: Vec<Stretch>,
    /// For parameters outside of all blocks.
    other: Stretch,
}

struct Fitted<'a, T> {
    view: View<'a, Checkpoints, T>,
    segments: Vec<Segment<T>>,
}

impl<T: Real> Fitted<'_, T> {
    /// `values += (1/n) sum_l (F_l b_l) . g_l` with `b_l` carried backwards, for one block of
    /// queries.
    fn unroll(&self, mut b: Array2<f64>, mut values: ndarray::ArrayViewMut2<'_, f64>) {
        let (train, layout) = (self.view.train(), self.view.model().layout());
        for segment in self.segments.iter().rev() {
            let by = |part: fn(&Stretch) -> f64| segment.steps.iter().map(part).collect::<Vec<_>>();
            let (push, decay) = (by(|step| step.push), by(|step| step.decay));
            let x = segment.basis.multiply(layout, b.clone(), &push, |_| segment.other.push);
            let x = Directions::new(layout, x.view());
            let share = 1.0 / (train.len() * segment.range.len()) as f64;
            for checkpoint in &self.view.checkpoints()[segment.range.clone()] {
                let model = self.view.model_at(&checkpoint.parameters);
                for (start, g) in pair::train_captures(model, train) {
                    let products = x.products(&g);
                    values.slice_mut(s![start..start + g.len(), ..]).scaled_add(share, &products);
                }
            }
            b = segment.basis.multiply(layout, b, &decay, |_| segment.other.decay);
        }
    }
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let (train, model) = (self.view.train(), self.view.model());
        let layout = model.layout();
        let mut values = Array2::zeros((train.len(), queries.examples.len()));
        for (first, block) in queries.examples.blocks(query_rows(layout.parameters())) {
            let asked = Queries { examples: block, utility: queries.utility };
            let b = pair::gradients(&pair::query_captures(model, &asked), layout);
            let end = first + b.nrows();
            self.unroll(b, values.slice_mut(s![.., first..end]));
        }
        label::<Source, T>(train, queries, values)
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::{Examples, Labels, Queries, UpdateRule, Utility};
    use attribench_models::{Activation, Network};
    use ndarray::Array2;

    use super::{Source, Stretch};
    use crate::{
        Metagradient, TracInCp,
        common::{Plan, STILL, TestRun, assert_close, digits_like, scores_of},
    };

    #[test]
    fn two_segments_of_one_dimension_by_hand() {
        // sigma = 2 and rho = 1/2 in both, mean gradients 3 and then 1, b = 2, n = 10: F =
        // (1 - e^-1) / 2 and tau = (2/10) (e^-1 F 3 + F 1).
        let step = Stretch::new(2.0, 0.5);
        assert!((step.push - 0.316_060_279_414).abs() < 1e-12);
        assert!((step.decay - 0.367_879_441_171).abs() < 1e-12);
        let tau = 0.2 * (step.decay * step.push * 3.0 + step.push);
        assert!((tau - 0.132_975_303_263).abs() < 1e-12);
        assert_eq!(Stretch::new(0.0, 0.5).push, 0.5);
    }

    #[test]
    fn without_curvature_it_is_the_sum_over_checkpoints() {
        // Learning rates near 0 leave rho C near 0; full batches expose all examples alike.
        let problem = digits_like::<f64>(20).network(&[7]).learning_rate(1e-7).full_batches(12);
        let (run, queries) = problem.pair(5, Utility::Margin);
        let expected = scores_of(&TracInCp::default(), &run, &queries);
        let found = scores_of(&Source { segments: 3, ..Source::default() }, &run, &queries);
        assert_close(found.values(), expected.values().as_slice().unwrap(), 1e-5);
    }

    #[test]
    fn on_a_quadratic_it_is_the_derivative_of_the_run() {
        // Linear regression near its optimum, full batches: the curvature is exact, and e^{-eta s}
        // stands for 1 - eta s, s up to 4.4. Steps a tenth as long leave a tenth of the error.
        let x = [0.0, 1.0, 2.0, 3.0];
        let line = |x: &[f64], y: Vec<f64>| {
            let x = Array2::from_shape_vec((x.len(), 1), x.to_vec()).unwrap();
            Examples::new(x, Labels::Values(y))
        };
        let queries = Queries { examples: line(&[4.0], vec![5.0]), utility: Utility::NegativeLoss };
        for (steps, learning_rate, tolerance) in [(300, 0.01, 0.02), (3_000, 0.001, 0.002)] {
            let plan = Plan {
                batches: vec![(0..4).collect(); steps],
                learning_rate,
                rule: UpdateRule { batch_size: 4, ..STILL.rule },
                interval: steps / 6,
            };
            let model = Network::dense(&[1, 1], Activation::Tanh);
            let train = line(&x, vec![1.0, 2.0, 2.0, 4.0]);
            let run = TestRun::new(model, train, vec![0.9, 0.9], &plan);
            let expected = scores_of(&Metagradient::default(), &run, &queries);
            let found = scores_of(&Source::default(), &run, &queries);
            assert_close(found.values(), expected.values().as_slice().unwrap(), tolerance);
        }
    }
}
