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

use attribench_core::{
    Checkpoints, Context, Method, MethodError, MethodInfo, Optimiser, ProblemSize, Real, Scale,
    Scorer, View,
};
use serde::{Deserialize, Serialize};

use crate::{
    EkFac, Fisher,
    segments::{self, Choices, unrolled},
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
        segments::check(self.segments)
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let factors = EkFac::default().working_bytes(size);
        self.segments as u64 * factors
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, Checkpoints, T>,
        context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let rule = view.recipe().rule;
        if !matches!(rule.optimiser, Optimiser::Sgd(_)) {
            return Err(MethodError::Unsuitable(format!(
                "source does not know the steps of {:?}\nhint: use source-adam-w, which reads the \
                 optimiser's states",
                rule.optimiser
            )));
        }
        let gamma = rule.optimiser.ridge();
        let choices = Choices { segments: self.segments, fisher: self.fisher, gamma };
        unrolled::<Self, T>(view, context, choices, |_| Ok(None))
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::{Examples, Labels, Queries, UpdateRule, Utility};
    use attribench_models::{Activation, Network};
    use ndarray::Array2;

    use super::Source;
    use crate::{
        Metagradient, TracInCp,
        common::{Plan, STILL, TestRun, assert_close, digits_like, scores_of},
    };

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
