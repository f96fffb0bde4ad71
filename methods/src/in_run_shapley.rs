//! Shapley values of every step's game, to first or second order, summed over the run.
//!
//! # Computes
//! In the game of step `t` a coalition of batch members takes its part of the step. To first order
//! its value is additive, so the Shapley value is each member's own term:
//! `tau[i, q] = sum_t (eta_t / B) w_i (b_q(theta_t) . g_i(theta_t))` over the occurrences of `i`.
//! With `order: second` the value of a coalition is quadratic in its part of the step, and `b_q` is
//! replaced by `b_q + 1/2 C_q d`: `C_q` is the Hessian of minus the utility and
//! `d = -(eta_t / B) sum_j w_j g_j` what the batch moves. The values of a step then sum to
//! `grad f . d + 1/2 d^T (grad grad f) d`.
//! With momentum `mu` a gradient moves later steps too. It is then credited, to first order, with
//! its tail, `(1 / B) w_i (u_t . g_i(theta_t))`, where backwards
//! `u_t = eta_t b_q(theta_t) + mu u_{t+1}`; with Nesterov's form, dampening and Adam likewise, as
//! `path-ledger` says. Of a clipped gradient every example bears its part.
//!
//! # Reads
//! The full trace, replayed once. One gradient for each query and step, and to second order one
//! curvature product and the batch's gradient; the other gradients of the batches come with the
//! replay. With momentum, the replay runs backwards.
//!
//! # Shapes
//! Without momentum `(B, d_l) x (d_l, q) -> (B, q)` twice a layer and step; products of features,
//! `(n, d) x (d, q) -> (n, q)`, once. With momentum that holds for the first layer, whose inputs
//! never change; the tails of the others, `(q, p - p_1)`, are kept in `f64`, and queries are split
//! so that they stay below 256 MiB, at one replay a part. Adam has tails of all layers. The mean of
//! the utilities has one tail.
//!
//! # Differs from the paper
//! The paper values the change of the validation loss, negative being helpful, with the batch size
//! inside the learning rate, for SGD; here the utility rises with the score. Tails are this
//! project's reading for optimisers that remember; the game of a single step is not theirs, so that
//! there is no second order with them: `path-ledger` is exact at that order and beyond. The scores
//! sum to the gain of the run to first order in the steps only,
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
    Context, FullTrace, Method, MethodError, MethodInfo, ProblemSize, Queries, Real, Scale, Scorer,
    Scores, View,
};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::{
    credits::{self, Bend, Carry, Clipping, Closing, Columns, Rule, START},
    label,
};

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct InRunShapley {
    /// How the value of a step's coalitions is taken.
    pub order: StepGame,
}

/// The game that the members of a batch play in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepGame {
    /// Values are linear in the step.
    #[default]
    First,
    /// Values are quadratic in the step.
    Second,
}

impl Method for InRunShapley {
    type Access = FullTrace;
    const INFO: MethodInfo = MethodInfo {
        name: "in-run-shapley",
        summary: "Shapley values of every step's game, to first or second order, summed over the run",
        scale: Scale::Derivative,
    };

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        credits::working_bytes(size)
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, FullTrace, T>,
        _context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        if self.order == StepGame::Second && Carry::of(&view.recipe().rule).is_some() {
            return Err(MethodError::Unsuitable(
                "the second-order game of a step is that of an optimiser without momentum\n\
                 hint: use `order: first`, or `path-ledger`"
                    .into(),
            ));
        }
        Ok(Box::new(Fitted { view, order: self.order }))
    }
}

struct Fitted<'a, T> {
    view: View<'a, FullTrace, T>,
    order: StepGame,
}

impl<T: Real> Fitted<'_, T> {
    fn credits(&self, queries: &Queries<T>, columns: Columns) -> Result<Array2<f64>, MethodError> {
        let bend = match self.order {
            StepGame::First => Bend::Straight,
            StepGame::Second => Bend::Quadratic,
        };
        let rule = Rule {
            nodes: START,
            closing: Closing::Open,
            clipping: Clipping::ProRata,
            columns,
            bend,
        };
        Ok(credits::credits(self.view, queries, rule)?.examples)
    }
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let credits = self.credits(queries, Columns::Each)?;
        label::<InRunShapley, T>(self.view.train(), queries, credits)
    }

    fn score_mean(&mut self, queries: &Queries<T>) -> Result<Vec<f64>, MethodError> {
        Ok(self.credits(queries, Columns::Mean)?.into_raw_vec_and_offset().0)
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::{
        Curvature, Examples, FitReal, Meter, Model, Optimiser, Quantity, Queries, Sgd, Utility,
    };
    use ndarray::{Array1, Array2};

    use super::{InRunShapley, StepGame};
    use crate::common::{
        SEED, TestRun, assert_close, digits_like, golden_momentum, golden_sgd,
        gradients_one_at_a_time_at, scores_of, try_scores_of,
    };

    #[test]
    fn two_steps_of_sgd_by_hand() {
        // t=0: theta 0, b = -2, g = (-1, -3): 1/4 * (2, 6); t=1: theta 1, b = -1, g = (0, -2):
        // 1/4 * (0, 2). Sum (0.5, 2).
        let game = golden_sgd();
        let scores = scores_of(&InRunShapley::default(), &game.run, &game.queries);
        assert_close(scores.values(), &[0.5, 2.0], 1e-15);
    }

    const SECOND: InRunShapley = InRunShapley { order: StepGame::Second };

    #[test]
    fn two_steps_to_second_order_by_hand() {
        // Quadratic utility: that of the middle of the step. t=0: theta 1/2, b = -3/2:
        // 1/4 * (3/2, 9/2); t=1: theta 5/4, b = -3/4: 1/4 * (0, 3/2). Sum (0.375, 1.5).
        let game = golden_sgd();
        assert_close(scores_of(&SECOND, &game.run, &game.queries).values(), &[0.375, 1.5], 1e-15);
    }

    #[test]
    fn there_is_no_second_order_with_momentum() {
        let game = golden_momentum();
        let refusal = try_scores_of(&SECOND, &game.run, &game.queries).unwrap_err();
        assert!(refusal.to_string().contains("hint: use `order: first`"), "{refusal}");
    }

    /// What a step's game needs: `grad f . d_i`, `(B, q)`, and for each query `d_i^T H d_j` with
    /// the Hessian of the utility, all from explicit gradients.
    fn step_game(
        run: &TestRun<f64>,
        queries: &Queries<f64>,
        step: usize,
    ) -> (Array2<f64>, Vec<Array2<f64>>) {
        let step = &run.steps[step];
        let (g, b) = gradients_one_at_a_time_at(run, queries, &step.before);
        let d = g.select(ndarray::Axis(0), &step.rows)
            * (-step.learning_rate / run.batch_size() as f64);
        let units = Array2::<f64>::eye(step.before.len());
        let curvature = Curvature::OfUtility(queries.utility);
        let bends = (0..queries.examples.len()).map(|query| {
            let one: Examples<f64> = queries.examples.select(&[query]);
            let c =
                run.model.curvature_products(&step.before, &one, &[1.0], curvature, units.view());
            -d.dot(&c).dot(&d.t())
        });
        (-d.dot(&b.t()), bends.collect())
    }

    /// Shapley values of `v(S) = sum_S linear_i + 1/2 sum_{S, S} bend_ij` from all coalitions.
    fn shapley_by_enumeration(linear: &[f64], bend: &Array2<f64>) -> Vec<f64> {
        let players = linear.len();
        let value = |coalition: usize| -> f64 {
            let members = || (0..players).filter(|i| coalition >> i & 1 == 1);
            let pairs: f64 = members().flat_map(|i| members().map(move |j| bend[(i, j)])).sum();
            members().map(|i| linear[i]).sum::<f64>() + pairs / 2.0
        };
        let values: Vec<f64> = (0..1 << players).map(value).collect();
        // |S|! (n - |S| - 1)! / n!
        let share = |size: usize| {
            let factorial = |n: usize| (1..=n).map(|i| i as f64).product::<f64>();
            factorial(size) * factorial(players - size - 1) / factorial(players)
        };
        let mut shapley = vec![0.0; players];
        for coalition in 0usize..1 << players {
            for (i, sum) in shapley.iter_mut().enumerate().filter(|(i, _)| coalition >> i & 1 == 0)
            {
                let marginal = values[coalition | 1 << i] - values[coalition];
                *sum += share(coalition.count_ones() as usize) * marginal;
            }
        }
        shapley
    }

    #[test]
    fn second_order_is_the_shapley_value_of_the_quadratic_step_game() {
        for utility in [Utility::Margin, Utility::NegativeLoss] {
            let problem = digits_like::<f64>(16).network(&[4]).decay(0.02);
            let (run, queries) = problem.pair(3, utility);
            let mut expected = Array2::<f64>::zeros((16, 3));
            let mut taylor = [0.0; 3];
            for (index, step) in run.steps.iter().enumerate() {
                let (linear, bends) = step_game(&run, &queries, index);
                for (query, bend) in bends.iter().enumerate() {
                    let linear = linear.column(query).to_vec();
                    let values = shapley_by_enumeration(&linear, bend);
                    for (&row, value) in step.rows.iter().zip(&values) {
                        expected[(row, query)] += value;
                    }
                    // grad f . d + 1/2 d^T H d for the whole batch.
                    taylor[query] += linear.iter().sum::<f64>() + bend.sum() / 2.0;
                }
            }
            let scores = scores_of(&SECOND, &run, &queries);
            assert_close(scores.values(), expected.as_slice().unwrap(), 1e-12);
            for (column, taylor) in scores.values().columns().into_iter().zip(taylor) {
                assert!((column.sum() - taylor).abs() < 1e-12 * taylor.abs().max(1.0));
            }
        }
    }

    #[test]
    fn the_second_order_term_is_a_difference_of_gradients() {
        // b(theta + h d) - b(theta - h d) = 2 h C d + O(h^3), so that half of C d is seen from
        // gradients alone.
        let (run, queries) = digits_like::<f64>(16).full_batches(1).pair(2, Utility::Margin);
        let first = scores_of(&InRunShapley::default(), &run, &queries);
        let second = scores_of(&SECOND, &run, &queries);
        let step = &run.steps[0];
        let d: Array1<f64> = step.after.iter().zip(&step.before).map(|(a, b)| a - b).collect();
        let (g, _) = gradients_one_at_a_time_at(&run, &queries, &step.before);
        let quantity = Quantity::NegativeUtility(queries.utility);
        for query in 0..2 {
            let one = queries.examples.select(&[query]);
            let b = |h: f64| {
                let theta: Vec<f64> =
                    step.before.iter().zip(&d).map(|(theta, d)| theta + h * d).collect();
                Array1::from(run.model.gradient(&theta, &one, quantity, &[1.0]))
            };
            let bend = (b(1e-3) - b(-1e-3)) / 4e-3;
            let expected = g.dot(&bend) * (step.learning_rate / 16.0);
            let found = &second.values().column(query) - &first.values().column(query);
            let found = found.insert_axis(ndarray::Axis(1));
            assert_close(found.view(), expected.as_slice().unwrap(), 1e-6);
        }
    }

    #[test]
    fn the_mean_has_the_mean_of_the_scores() {
        let nesterov = Sgd { momentum: 0.7, dampening: 0.0, nesterov: true, ..Sgd::default() };
        let cases = [
            (InRunShapley::default(), Optimiser::heavy_ball(0.0, 0.0)),
            (SECOND, Optimiser::heavy_ball(0.0, 0.01)),
            (InRunShapley::default(), Optimiser::heavy_ball(0.9, 0.0)),
            (InRunShapley::default(), Optimiser::Sgd(nesterov)),
            (InRunShapley::default(), Optimiser::AdamW(Default::default())),
        ];
        for (method, optimiser) in cases {
            let (run, queries) =
                digits_like::<f64>(24).rule(optimiser, Some(0.4)).pair(5, Utility::Margin);
            let each = scores_of(&method, &run, &queries);
            let meter = Meter::default();
            let mean = f64::fit(&method, &run, &meter, SEED).unwrap().score_mean(&queries).unwrap();
            let mean = Array2::from_shape_vec((24, 1), mean).unwrap();
            let expected: Vec<f64> =
                each.values().rows().into_iter().map(|row| row.sum() / 5.0).collect();
            assert_close(mean.view(), &expected, 1e-12);
        }
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
