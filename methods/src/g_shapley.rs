//! G-Shapley: what each example changes in one pass over the data in random order.
//!
//! # Computes
//! Mean over `orders` random orders of the change of `f_q` by the step
//! `theta <- theta - eta grad l_i(theta)`, one example after the other, from the initial
//! parameters of the run. `eta` is the exposure of an example in the run where none is given, so
//! that one pass moves the parameters about as far as the run did.
//!
//! # Reads
//! The first step of the trace, for its parameters. `orders * n` gradients, and as many times the
//! queries forward.
//!
//! # Shapes
//! Training examples `(n, d)` and queries `(q, d)` give scores `(n, q)`.
//!
//! # Differs from the paper
//! The step is not tuned for the best result of one pass. Order effects, not worths of coalitions:
//! biased as a Shapley value.
//!
//! # Example
//! ```
//! assert_eq!(attribench_methods::GShapley::default().orders, 20);
//! ```
//!
//! # References
//! Ghorbani, Zou, Data Shapley: equitable valuation of data for machine learning, ICML 2019.

use attribench_core::{
    Context, FullTrace, Method, MethodError, MethodInfo, Observer, Quantity, Queries, Real,
    RunError, Scale, Scorer, Scores, Step, View,
};
use ndarray::Array2;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::label;

/// See the [module](self).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GShapley {
    /// Random orders.
    pub orders: usize,
    /// Step size of the pass.
    pub learning_rate: Option<f64>,
}

impl Default for GShapley {
    fn default() -> Self {
        Self { orders: 20, learning_rate: None }
    }
}

impl Method for GShapley {
    type Access = FullTrace;
    const INFO: MethodInfo = MethodInfo {
        name: "g-shapley",
        summary: "G-Shapley: what each example changes in one pass over the data in random order",
        scale: Scale::Unit,
    };

    fn check(&self) -> Result<(), String> {
        match self.learning_rate {
            _ if self.orders == 0 => Err("`orders` is 0\nhint: use 20".to_owned()),
            Some(rate) if !(rate > 0.0 && rate.is_finite()) => {
                Err(format!("`learning_rate` is {rate}\nhint: use a positive number"))
            }
            _ => Ok(()),
        }
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, Self::Access, T>,
        context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let mut start = Start(None);
        view.replay(&mut start)?;
        let start = start.0.unwrap_or_else(|| view.model().parameters().to_vec());
        let exposure = view.recipe().mean_exposure(view.train().len());
        let learning_rate = self.learning_rate.unwrap_or(exposure);
        let random = context.stream("orders");
        Ok(Box::new(Fitted { view, start, learning_rate, orders: self.orders, random }))
    }
}

/// Keeps the parameters before the first step.
struct Start<T>(Option<Vec<T>>);

impl<T: Real> Observer<T> for Start<T> {
    fn step(&mut self, step: &Step<'_, T>) -> Result<(), RunError> {
        if step.index == 0 {
            self.0 = Some(step.before.to_vec());
        }
        Ok(())
    }
}

struct Fitted<'a, T> {
    view: View<'a, FullTrace, T>,
    start: Vec<T>,
    learning_rate: f64,
    orders: usize,
    random: ChaCha8Rng,
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let train = self.view.train();
        let mut random = self.random.clone();
        let mut values = Array2::zeros((train.len(), queries.examples.len()));
        let eta = T::from_f64(self.learning_rate);
        for _ in 0..self.orders {
            let mut order: Vec<usize> = (0..train.len()).collect();
            order.shuffle(&mut random);
            let mut theta = self.start.clone();
            let measure = |theta: &[T]| {
                self.view.model_at(theta).utilities(&queries.examples, queries.utility)
            };
            let mut before = measure(&theta);
            for example in order {
                let one = train.select(&[example]);
                let gradient =
                    self.view.model_at(&theta).gradient(&one, Quantity::Loss, &[T::one()]);
                for (theta, gradient) in theta.iter_mut().zip(gradient) {
                    *theta -= eta * gradient;
                }
                let after = measure(&theta);
                let mut row = values.row_mut(example);
                for ((value, after), before) in row.iter_mut().zip(&after).zip(&before) {
                    *value += (after - before) / self.orders as f64;
                }
                before = after;
            }
        }
        label::<GShapley, T>(train, queries, values)
    }
}
