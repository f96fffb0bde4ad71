//! Derivative of the whole training with a substitute for the curvature of its steps.
//!
//! # Computes
//! The adjoint recursion of `metagradient`, for AdamW `alpha' = alpha - eta lambda / ((1 - beta1^t)
//! d)`, `beta' = beta + eta lambda m^ / ((1 - beta2^t) 2 r d^2)`, `kappa = (1 - beta1) alpha' + 2
//! (1 - beta2) G beta'`, `tau_i += (1 / B) kappa . g_i`, `lambda <- (1 - eta gamma) lambda + C_t
//! kappa`, with the batch's Gauss-Newton matrix or its empirical Fisher matrix `(1 / B) sum_i g_i
//! g_i^T` as `C_t` where the exact recursion has the Hessian. Both moments are differentiated as
//! they were.
//!
//! # Reads
//! The full trace with the optimiser's state at every step, replayed backwards. For each query a
//! tangent and a curvature product of every example of a batch.
//!
//! # Shapes
//! Adjoints `(q, p)`, one for the parameters and one for each moment, in the number type of the
//! run; scores are summed in `f64`. The Fisher matrix needs the gradients of a batch, `(b, p)`, in
//! `f64`.
//!
//! # Differs from the paper
//! All coordinates are carried, none is sampled. Each optimiser has its own recursion, so that runs
//! of other rules than AdamW have scores as well: without momentum and with the Fisher matrix they
//! are those of `dv-emb`.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::{AdamWInfluence, Substitute};
//! assert!(AdamWInfluence { curvature: Substitute::EmpiricalFisher }.check().is_ok());
//! ```
//!
//! # References
//! Deng et al., How faithful is trajectory-based data attribution?, 2026, arXiv 2605.18814;
//! Maclaurin, Duvenaud, Adams, Gradient-based hyperparameter optimization through reversible
//! learning, ICML 2015, arXiv 1502.03492.

use attribench_core::{
    Context, Curvature, FullTrace, Method, MethodError, MethodInfo, ProblemSize, Queries, Real,
    Scale, Scorer, Scores, View,
};
use serde::{Deserialize, Serialize};

use crate::{
    label,
    metagradient::{StepCurvature, metagradient, working_bytes},
};

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AdamWInfluence {
    /// What stands for the Hessian of a batch.
    pub curvature: Substitute,
}

/// A matrix that is never negative and near the Hessian of a batch's loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Substitute {
    /// The generalised Gauss-Newton matrix.
    #[default]
    GaussNewton,
    /// The second moment of the gradients with the labels that the data have.
    EmpiricalFisher,
}

impl From<Substitute> for StepCurvature {
    fn from(substitute: Substitute) -> Self {
        match substitute {
            Substitute::GaussNewton => Self::Of(Curvature::GaussNewton),
            Substitute::EmpiricalFisher => Self::EmpiricalFisher,
        }
    }
}

impl Method for AdamWInfluence {
    type Access = FullTrace;
    const INFO: MethodInfo = MethodInfo {
        name: "adam-w-influence",
        summary: "derivative of the whole training with a substitute for the curvature of its \
                  steps",
        scale: Scale::Derivative,
    };

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { examples, queries, parameters, .. } = size;
        let adjoints = working_bytes(size);
        match self.curvature {
            Substitute::GaussNewton => adjoints,
            // A batch is no longer than the data.
            Substitute::EmpiricalFisher => {
                adjoints + ((examples + 2 * queries) * parameters * size_of::<f64>()) as u64
            }
        }
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, FullTrace, T>,
        _context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        Ok(Box::new(Fitted { view, curvature: self.curvature.into() }))
    }
}

struct Fitted<'a, T> {
    view: View<'a, FullTrace, T>,
    curvature: StepCurvature,
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let (view, curvature) = (self.view, self.curvature);
        let replay =
            |observer: &mut dyn attribench_core::Observer<T>| view.replay_backwards(observer);
        let values = metagradient(view, queries, curvature, replay)?;
        label::<AdamWInfluence, T>(view.train(), queries, values)
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::{
        AdamW, Curvature, Model, Optimiser, Quantity, Queries, UpdateRule, Utility, WeightDecay,
    };
    use ndarray::{Array1, Array2, Axis};

    use super::{AdamWInfluence, Substitute};
    use crate::{
        DvEmb, Metagradient,
        common::{
            Plan, StoredStep, TestRun, assert_close, deviation, digits_like, golden_sgd,
            gradients_one_at_a_time, gradients_one_at_a_time_at, scores_of,
        },
    };

    const ADAM: AdamW = AdamW {
        beta1: 0.5,
        beta2: 0.75,
        eps: 0.0,
        eps_root: 0.01,
        weight_decay: WeightDecay::Decoupled(0.1),
    };

    fn flat(scores: &attribench_core::Scores) -> Vec<f64> {
        scores.values().iter().copied().collect()
    }

    #[test]
    fn a_quadratic_in_one_dimension_by_hand() {
        // l_i = 1/2 (theta - y_i)^2 has C = 1 = H by the Gauss-Newton matrix: the two steps of
        // AdamW whose derivative was calculated for `metagradient`.
        let plan = Plan {
            batches: vec![vec![0, 1]; 2],
            learning_rate: 0.5,
            rule: UpdateRule { optimiser: Optimiser::AdamW(ADAM), clip_norm: None, batch_size: 2 },
            interval: 1,
        };
        let game = golden_sgd();
        let (model, train) = (game.run.model.clone(), game.run.train.clone());
        let run = TestRun::new(model, train, vec![0.0, 0.0], &plan);
        let scores = scores_of(&AdamWInfluence::default(), &run, &game.queries);
        assert_close(scores.values(), &[-0.006_507_882_275, 0.009_339_950_563], 2e-10);
        // Descent, theta 0, 1, 1.5: at the second step g = (0, -2), kappa = -eta lambda = -1/4,
        // tau = (0, 1/4), and C = (0 + 4) / 2 = 2 leaves lambda = 1/2 - 2/4 = 0.
        let fisher = AdamWInfluence { curvature: Substitute::EmpiricalFisher };
        let scores = scores_of(&fisher, &game.run, &game.queries);
        assert_close(scores.values(), &[0.0, 0.25], 1e-15);
    }

    #[test]
    fn where_the_outputs_are_linear_it_is_the_metagradient() {
        let problem = digits_like::<f64>(24).network(&[]).learning_rate(0.05);
        let (run, queries) =
            problem.rule(Optimiser::AdamW(ADAM), Some(0.5)).pair(5, Utility::Margin);
        let expected = flat(&scores_of(&Metagradient::default(), &run, &queries));
        let found = scores_of(&AdamWInfluence::default(), &run, &queries);
        assert_close(found.values(), &expected, 1e-12);
        let fisher = AdamWInfluence { curvature: Substitute::EmpiricalFisher };
        assert!(deviation(scores_of(&fisher, &run, &queries).values(), &expected) > 1e-3);
    }

    #[test]
    fn descent_with_the_fisher_matrix_is_the_embedding_of_the_run() {
        let (run, queries) =
            digits_like::<f64>(24).network(&[3]).decay(0.01).pair(5, Utility::Margin);
        let expected = flat(&scores_of(&DvEmb::default(), &run, &queries));
        let fisher = AdamWInfluence { curvature: Substitute::EmpiricalFisher };
        assert_close(scores_of(&fisher, &run, &queries).values(), &expected, 1e-11);
    }

    /// The batch's curvature as a matrix.
    fn matrix(run: &TestRun<f64>, step: &StoredStep<f64>, substitute: Substitute) -> Array2<f64> {
        let (p, batch) = (step.before.len(), run.train.select(&step.rows));
        let sum = match substitute {
            Substitute::GaussNewton => {
                let ones = vec![1.0; batch.len()];
                let units = Array2::eye(p);
                let kind = Curvature::GaussNewton;
                run.model.curvature_products(&step.before, &batch, &ones, kind, units.view())
            }
            Substitute::EmpiricalFisher => {
                let mut sum = Array2::zeros((p, p));
                for &row in &step.rows {
                    let one = run.train.select(&[row]);
                    let g = run.model.gradient(&step.before, &one, Quantity::Loss, &[1.0]);
                    let g = Array1::from(g).insert_axis(Axis(1));
                    sum += &g.dot(&g.t());
                }
                sum
            }
        };
        sum / run.batch_size() as f64
    }

    /// The recursion of AdamW as it is written, with dense matrices and one query at a time.
    fn slowly(run: &TestRun<f64>, queries: &Queries<f64>, substitute: Substitute) -> Vec<f64> {
        let (_, b) = gradients_one_at_a_time(run, queries);
        let mut scores = Array2::<f64>::zeros((run.train.len(), b.nrows()));
        for (q, b) in b.outer_iter().enumerate() {
            let mut lambda = -&b;
            let (mut alpha, mut beta) = (Array1::zeros(b.len()), Array1::zeros(b.len()));
            for (index, step) in run.steps.iter().enumerate().rev() {
                let eta = step.learning_rate;
                let corrections = [ADAM.beta1, ADAM.beta2].map(|b| 1.0 - b.powi(index as i32 + 1));
                let entry = |values: &[f64]| Array1::from(values.to_vec());
                let m = entry(&step.moments[0]) / corrections[0];
                let r = (entry(&step.moments[1]) / corrections[1] + ADAM.eps_root).sqrt();
                let d = &r + ADAM.eps;
                alpha = alpha - &lambda / &d * (eta / corrections[0]);
                beta = beta + &lambda * &m / (&r * &d * &d * 2.0) * (eta / corrections[1]);
                let g = entry(&step.gradient);
                let kappa = &alpha * (1.0 - ADAM.beta1) + g * &beta * (2.0 * (1.0 - ADAM.beta2));
                let (each, _) = gradients_one_at_a_time_at(run, queries, &step.before);
                for &row in &step.rows {
                    scores[(row, q)] += kappa.dot(&each.row(row)) / run.batch_size() as f64;
                }
                let decay = eta * ADAM.weight_decay.decoupled();
                lambda = lambda * (1.0 - decay) + matrix(run, step, substitute).dot(&kappa);
                alpha *= ADAM.beta1;
                beta *= ADAM.beta2;
            }
        }
        scores.into_iter().collect()
    }

    #[test]
    fn agrees_with_dense_matrices() {
        let problem = digits_like::<f64>(16).network(&[3]).learning_rate(0.05);
        let (run, queries) = problem.rule(Optimiser::AdamW(ADAM), None).pair(3, Utility::Margin);
        for curvature in [Substitute::GaussNewton, Substitute::EmpiricalFisher] {
            let found = scores_of(&AdamWInfluence { curvature }, &run, &queries);
            assert_close(found.values(), &slowly(&run, &queries, curvature), 1e-11);
            let exact = flat(&scores_of(&Metagradient::default(), &run, &queries));
            let apart = deviation(found.values(), &exact);
            assert!(apart > 1e-3, "{curvature:?} is within {apart:e} of the Hessian");
        }
    }
}
