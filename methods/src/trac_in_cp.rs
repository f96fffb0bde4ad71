//! Dot products of gradients, summed over checkpoints.
//!
//! # Computes
//! `tau[i, q] = sum_k h_ik (b_q(theta_k) . g_i(theta_k))` over the checkpoints `theta_k`, where
//! `h_ik = (1 / (B (1 - mu))) sum_t eta_t #{i in B_t}` runs over the steps `t` that checkpoint `k`
//! stands for.
//!
//! # Reads
//! Checkpoints. One gradient for each checkpoint and each training example and query.
//!
//! # Shapes
//! For each checkpoint as `grad-dot`; then `(n, q)` scaled by `(n)` and added.
//!
//! # Differs from the paper
//! The paper multiplies by the learning rate at the checkpoint. The exposure adds the batch size,
//! how often the example was really seen and the momentum, and so gives the unit of the utility.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::TracInCp;
//! assert!(TracInCp::default().check().is_ok());
//! ```
//!
//! # References
//! Pruthi, Liu, Kale, Sundararajan, Estimating training data influence by tracing gradient descent,
//! NeurIPS 2020, arXiv 2002.08484.

use attribench_core::{
    Checkpoints, Context, Method, MethodError, MethodInfo, ProblemSize, Queries, Real, Scale,
    Scorer, Scores, View,
};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::{directions::formed_bytes, label, pair};

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TracInCp {}

impl Method for TracInCp {
    type Access = Checkpoints;
    const INFO: MethodInfo = MethodInfo {
        name: "trac-in-cp",
        summary: "dot products of gradients, summed over checkpoints",
        scale: Scale::Derivative,
    };

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { queries, parameters, number, .. } = size;
        formed_bytes(queries, parameters, number)
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, Checkpoints, T>,
        _context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        if view.checkpoints().is_empty() {
            return Err(MethodError::Unsuitable(
                "the run kept no checkpoints\nhint: ask the run for checkpoints".to_owned(),
            ));
        }
        Ok(Box::new(Fitted { view }))
    }
}

struct Fitted<'a, T> {
    view: View<'a, Checkpoints, T>,
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let train = self.view.train();
        let mut values = Array2::zeros((train.len(), queries.examples.len()));
        for checkpoint in self.view.checkpoints() {
            let model = self.view.model_at(&checkpoint.parameters);
            let products = pair::train_query_products(model, train, queries);
            for (i, &h) in checkpoint.exposure.iter().enumerate() {
                values.row_mut(i).scaled_add(h, &products.row(i));
            }
        }
        label::<TracInCp, T>(train, queries, values)
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::{Run, Utility};
    use ndarray::Array2;

    use super::TracInCp;
    use crate::common::{
        assert_close, digits_like, golden_sgd, gradients_one_at_a_time_at, scores_of,
    };

    #[test]
    fn with_every_step_as_checkpoint_it_is_the_first_order_ledger() {
        // Checkpoints at theta = 0 and 1, each one step of 0.5 on a batch of 2: h = 0.25.
        // theta 0: b = -2, g = (-1, -3); theta 1: b = -1, g = (0, -2): tau = (0.5, 1.5 + 0.5).
        let game = golden_sgd();
        let scores = scores_of(&TracInCp::default(), &game.run, &game.queries);
        assert_close(scores.values(), &[0.5, 2.0], 1e-15);
    }

    #[test]
    fn agrees_with_a_loop_over_gradients() {
        let (run, queries) = digits_like::<f64>(30).network(&[7]).pair(9, Utility::Margin);
        assert!(run.checkpoints().len() > 1, "the sum must have terms");
        let mut expected = Array2::<f64>::zeros((30, 9));
        for checkpoint in run.checkpoints() {
            let (g, b) = gradients_one_at_a_time_at(&run, &queries, &checkpoint.parameters);
            let products = g.dot(&b.t());
            for ((i, q), product) in products.indexed_iter() {
                expected[(i, q)] += checkpoint.exposure[i] * product;
            }
        }
        let scores = scores_of(&TracInCp::default(), &run, &queries);
        assert_close(scores.values(), expected.as_slice().unwrap(), 1e-12);
    }
}
