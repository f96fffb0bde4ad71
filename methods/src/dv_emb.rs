//! Embeddings of the data's values along the run.
//!
//! # Computes
//! `tau[i, q] = b_q . sum_t e_ti` with `e_ti = h_t P_t g_i(theta_t)` over the steps `t` with `i` in
//! the batch: `h_t = eta_t / (B (1 - mu))`, and `P_t` carries a change made at step `t` to the end
//! of the run, backwards from `P_{T-1} = I`: `P_{t-1} = (1 - eta_t gamma / (1 - mu)) P_t - sum_{i
//! in B_t} e_ti g_i(theta_t)^T`. That is the product of `I - eta_s (H_s + gamma)` over later steps
//! `s` with the batch's empirical Fisher matrix for its Hessian `H_s`.
//!
//! # Reads
//! The full trace, replayed backwards once; one gradient for each query.
//!
//! # Shapes
//! `P` and the embeddings, `(p, p)` and `(n, p)`, in `f64`; then `(n, p) x (p, q) -> (n, q)`.
//!
//! # Differs from the paper
//! `P` is kept whole, which bounds `p`, where the paper projects. Weight decay is carried exactly;
//! momentum lengthens every step by `1 / (1 - mu)`.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::DvEmb;
//! assert!(DvEmb::default().check().is_ok());
//! ```
//!
//! # References
//! Wang, Song, Zou, Mittal, Jia, Capturing the temporal dependence of training data influence, ICLR
//! 2025, arXiv 2412.09538.

use attribench_core::{
    Captures, Context, FullTrace, HeavyBall, Layout, Method, MethodError, MethodInfo, Observer,
    ProblemSize, Real, RunError, Scale, Scorer, Step, View, math,
};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::{features::products_of_features, pair};

/// Most parameters: beyond it the carried matrix takes more than 200 MB.
const MOST_PARAMETERS: usize = 5_000;

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DvEmb {}

impl Method for DvEmb {
    type Access = FullTrace;
    const INFO: MethodInfo = MethodInfo {
        name: "dv-emb",
        summary: "embeddings of the data's values along the run",
        scale: Scale::Derivative,
    };

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { examples, queries, parameters, .. } = size;
        // The matrix, and two gradients of a batch no longer than the data.
        let rows = parameters + 3 * examples + queries;
        (rows * parameters * size_of::<f64>()) as u64
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, FullTrace, T>,
        _context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let layout = view.model().layout();
        let p = layout.parameters();
        if p > MOST_PARAMETERS {
            return Err(MethodError::Unsuitable(format!(
                "dv-emb carries a matrix of {p} rows (at most {MOST_PARAMETERS})\n\
                 hint: use path-ledger"
            )));
        }
        let rule = view.recipe().rule;
        let ball = rule.heavy_ball().ok_or_else(|| {
            MethodError::Unsuitable(format!(
                "dv-emb does not know the steps of {:?}\nhint: train with `sgd`, coupled decay and \
                 no clipping",
                rule.optimiser
            ))
        })?;
        let embeddings = Array2::zeros((view.train().len(), p));
        let (batch_size, carry) = (rule.batch_size as f64, Array2::eye(p));
        let mut sweep = Sweep { layout, ball, batch_size, carry, embeddings };
        view.replay_backwards(&mut sweep)?;
        let features = |b: &Captures<T>| pair::gradients(b, layout);
        Ok(products_of_features::<Self, T>(view, sweep.embeddings, features))
    }
}

struct Sweep<'a> {
    layout: &'a Layout,
    ball: HeavyBall,
    batch_size: f64,
    /// `P`, `(p, p)`.
    carry: Array2<f64>,
    /// `(n, p)`.
    embeddings: Array2<f64>,
}

impl<T: Real> Observer<T> for Sweep<'_> {
    fn step(&mut self, step: &Step<'_, T>) -> Result<(), RunError> {
        let rate = step.learning_rate / (1.0 - self.ball.momentum);
        let mut g = pair::gradients(step.captures, self.layout);
        // (m, p) x (p, p) -> (m, p)
        let h = rate / self.batch_size;
        let e = math::matmul(g.view(), self.carry.t()) * h;
        for (&row, e) in step.rows.iter().zip(e.outer_iter()) {
            let mut embedding = self.embeddings.row_mut(row);
            embedding += &e;
        }
        for (mut g, weight) in g.outer_iter_mut().zip(step.weights) {
            g *= weight.to_f64();
        }
        let keep = 1.0 - rate * self.ball.weight_decay;
        // (p, m) x (m, p) -> (p, p)
        math::matmul_into(self.carry.view_mut(), keep, e.t(), g.view(), -1.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::{Quantity, Utility};
    use ndarray::Array2;

    use super::DvEmb;
    use crate::common::{
        assert_close, digits_like, golden_sgd, gradients_one_at_a_time, scores_of,
    };

    #[test]
    fn one_dimension_by_hand() {
        // theta 0, 1, 1.5 and y = (1, 3); b = theta_T - 2 = -1/2. Last step: g = (0, -2),
        // e = (1/4) g = (0, -1/2), P = 1 - (-1/2) (-2) = 0, so that the first step is forgotten:
        // tau = -1/2 (0, -1/2).
        let game = golden_sgd();
        let scores = scores_of(&DvEmb::default(), &game.run, &game.queries);
        assert_close(scores.values(), &[0.0, 0.25], 1e-15);
    }

    #[test]
    fn agrees_with_products_of_matrices() {
        let (run, queries) =
            digits_like::<f64>(20).network(&[3]).decay(0.01).pair(5, Utility::Margin);
        let p = run.parameters.len();
        let (_, b) = gradients_one_at_a_time(&run, &queries);
        let mut expected = Array2::<f64>::zeros((20, 5));
        let mut later = Array2::<f64>::eye(p);
        for step in run.steps.iter().rev() {
            let mut hessian = Array2::<f64>::eye(p) * 0.01;
            for &row in &step.rows {
                let one = run.train.select(&[row]);
                let g = attribench_core::Model::gradient(
                    &run.model,
                    &step.before,
                    &one,
                    Quantity::Loss,
                    &[1.0],
                );
                let g = ndarray::Array1::from(g);
                let e = later.dot(&g) * (step.learning_rate / run.batch_size() as f64);
                let mut scores = expected.row_mut(row);
                scores += &b.dot(&e);
                let column = g.insert_axis(ndarray::Axis(1));
                hessian += &(column.dot(&column.t()) / run.batch_size() as f64);
            }
            later = later.dot(&(Array2::<f64>::eye(p) - hessian * step.learning_rate));
        }
        let found = scores_of(&DvEmb::default(), &run, &queries);
        assert_close(found.values(), expected.as_slice().unwrap(), 1e-11);
    }
}
