//! First-order Shapley values of every step's game, summed over the run.
//!
//! # Computes
//! In the game of step `t` a coalition of batch members takes its part of the step. To first order
//! its value is additive, so the Shapley value is each member's own term:
//! `tau[i, q] = sum_t (eta_t / B) w_i (b_q(theta_t) . g_i(theta_t))` over the occurrences of `i`.
//! With momentum `mu` a gradient moves later steps too. It is then credited with its tail,
//! `(1 / B) w_i (u_t . g_i(theta_t))`, where backwards `u_t = eta_t b_q(theta_t) + mu u_{t+1}`.
//!
//! # Reads
//! The full trace, replayed once. One gradient for each query and step; those of the batches come
//! with the replay. With momentum, the replay runs backwards.
//!
//! # Shapes
//! Without momentum `(B, d_l) x (d_l, q) -> (B, q)` twice a layer and step. With momentum that
//! holds for the first layer, whose inputs never change; the tails of the others, `(q, p - p_1)`,
//! are kept in `f64`, and queries are split so that they stay below 256 MiB, at one replay a part.
//!
//! # Differs from the paper
//! The paper values the change of the validation loss, negative being helpful, with the batch size
//! inside the learning rate, for SGD; here the utility rises with the score. Tails are this
//! project's reading for momentum. The second-order term is left out: `path-ledger` is exact at
//! that order and beyond. The scores sum to the gain of the run to first order in the steps only,
//! and weight decay is credited to nobody.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::InRunShapley;
//! assert!(InRunShapley::default().check().is_ok());
//! ```
//!
//! # References
//! Wang, Mittal, Song, Jia, Data Shapley in one training run, ICLR 2025, arXiv 2406.11011; the same
//! sum is the ideal form of Pruthi et al., TracIn, NeurIPS 2020, arXiv 2002.08484.

use attribench_core::{
    Context, FullTrace, Method, MethodError, MethodInfo, Queries, Real, Scale, Scorer, Scores, View,
};
use serde::{Deserialize, Serialize};

use crate::{
    credits::{self, Closing},
    label,
};

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct InRunShapley {}

impl Method for InRunShapley {
    type Access = FullTrace;
    const INFO: MethodInfo = MethodInfo {
        name: "in-run-shapley",
        summary: "first-order Shapley values of every step's game, summed over the run",
        scale: Scale::Derivative,
    };

    fn working_bytes(
        &self,
        _examples: usize,
        queries: usize,
        parameters: usize,
        _number: usize,
    ) -> u64 {
        credits::tail_bytes(queries, parameters)
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, FullTrace, T>,
        _context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        Ok(Box::new(Fitted { view }))
    }
}

struct Fitted<'a, T> {
    view: View<'a, FullTrace, T>,
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let start_of_the_step = [(0.0, 1.0)];
        let credits = credits::credits(self.view, queries, &start_of_the_step, Closing::Open)?;
        label::<InRunShapley, T>(self.view.train(), queries, credits.examples)
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::Utility;
    use ndarray::Array2;

    use super::InRunShapley;
    use crate::common::{
        assert_close, digits_like, golden_momentum, golden_sgd, gradients_one_at_a_time_at,
        scores_of,
    };

    #[test]
    fn two_steps_of_sgd_by_hand() {
        // t=0: theta 0, b = -2, g = (-1, -3): 1/4 * (2, 6); t=1: theta 1, b = -1, g = (0, -2):
        // 1/4 * (0, 2). Sum (0.5, 2).
        let game = golden_sgd();
        let scores = scores_of(&InRunShapley::default(), &game.run, &game.queries);
        assert_close(scores.values(), &[0.5, 2.0], 1e-15);
    }

    #[test]
    fn two_steps_with_momentum_by_hand() {
        // u_1 = 1/2 * -3 = -1.5, u_0 = 1/2 * -4 + 1/2 * u_1 = -2.75. t=1: g = (0, -2):
        // 1/2 * (0, 3); t=0: g = (-1, -3): 1/2 * (2.75, 8.25). Sum (1.375, 5.625).
        let game = golden_momentum();
        let scores = scores_of(&InRunShapley::default(), &game.run, &game.queries);
        assert_close(scores.values(), &[1.375, 5.625], 1e-15);
    }

    #[test]
    fn agrees_with_a_loop_over_steps_and_gradients() {
        for momentum in [0.0, 0.8] {
            let problem = digits_like::<f64>(24).network(&[7]).momentum(momentum);
            let (run, queries) = problem.pair(6, Utility::Margin);
            let mut expected = Array2::<f64>::zeros((24, 6));
            let p = run.steps[0].before.len();
            let mut u = Array2::<f64>::zeros((6, p));
            for step in run.steps.iter().rev() {
                let (g, b) = gradients_one_at_a_time_at(&run, &queries, &step.before);
                u = b * step.learning_rate + u * momentum;
                let products = g.dot(&u.t()) / run.batch_size() as f64;
                for &row in &step.rows {
                    let mut sum = expected.row_mut(row);
                    sum += &products.row(row);
                }
            }
            let scores = scores_of(&InRunShapley::default(), &run, &queries);
            assert_close(scores.values(), expected.as_slice().unwrap(), 1e-12);
        }
    }
}
