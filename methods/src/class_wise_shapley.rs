//! Class-wise Shapley value (CS-Shapley).
//!
//! # Computes
//! For `i` of class `y`: the mean over random sets `C` of examples of other classes, and over
//! random orders of the examples of class `y`, of `u(S + i | C) - u(S | C)` with `S` those before
//! `i` and `u = a_in exp(a_out)`; `a_in` and `a_out` are the accuracies on class `y` and on the
//! rest, each divided by the number of all queries. Values of a class are scaled to sum to the
//! accuracy `a_in` of the model trained on everything. All queries together are the validation set,
//! so that every query gets the same scores.
//!
//! # Reads
//! Only what training again tells: `orders` times `n`, and as many times the number of classes.
//!
//! # Shapes
//! Training examples `(n, d)` give `n` scores, repeated for the `q` queries: `(n, q)`.
//!
//! # Differs from the paper
//! No truncation. A class whose values sum to nothing is not scaled.
//!
//! # Example
//! ```
//! assert_eq!(attribench_methods::ClassWiseShapley::default().orders, 20);
//! ```
//!
//! # References
//! Schoch, Xu, Ji, CS-Shapley: class-wise Shapley values for data valuation in classification,
//! NeurIPS 2022.

use attribench_core::{
    AndRetraining, BlackBox, Context, Labels, Measured, Method, MethodError, MethodInfo,
    ModelInput, ProblemSize, Queries, Real, Retrain, Scale, Scorer, Scores, View,
};
use ndarray::{Array2, ArrayView1};
use rand::{RngExt, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::label;

/// See the [module](self).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClassWiseShapley {
    /// Orders of each class, each with a set of the other classes of its own.
    pub orders: usize,
}

impl Default for ClassWiseShapley {
    fn default() -> Self {
        Self { orders: 20 }
    }
}

impl Method for ClassWiseShapley {
    type Access = AndRetraining<BlackBox>;
    const READS: Option<ModelInput> = Some(ModelInput::Numbers);
    const INFO: MethodInfo = MethodInfo {
        name: "class-wise-shapley",
        summary: "class-wise Shapley value (CS-Shapley)",
        scale: Scale::Arbitrary,
    };

    fn check(&self) -> Result<(), String> {
        if self.orders == 0 { Err("`orders` is 0\nhint: use 20".to_owned()) } else { Ok(()) }
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { examples, queries, number, .. } = size;
        ((examples + 1) * (examples * number + queries * 8)) as u64
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, Self::Access, T>,
        context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let random = context.stream("orders");
        Ok(Box::new(Fitted { view, orders: self.orders, random }))
    }
}

struct Fitted<'a, T> {
    view: View<'a, AndRetraining<BlackBox>, T>,
    orders: usize,
    random: ChaCha8Rng,
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let train = self.view.train();
        let (Labels::Classes(own), Labels::Classes(asked)) =
            (train.labels(), queries.examples.labels())
        else {
            let message = "class-wise Shapley needs classes\nhint: use by-retraining";
            return Err(MethodError::Unsuitable(message.to_owned()));
        };
        let mut values = vec![0.0; train.len()];
        let mut random = self.random.clone();
        let mut classes = own.clone();
        classes.sort_unstable();
        classes.dedup();
        for class in classes {
            let members: Vec<usize> = (0..own.len()).filter(|&at| own[at] == class).collect();
            let accuracy = ClassAccuracy { class, asked };
            let gains = self.gains(&members, own, &accuracy, queries, &mut random)?;
            for (&member, gain) in members.iter().zip(gains) {
                values[member] = gain;
            }
        }
        let shape = (values.len(), queries.examples.len());
        let values = Array2::from_shape_fn(shape, |(example, _)| values[example]);
        label::<ClassWiseShapley, T>(train, queries, values)
    }
}

impl<T: Real> Fitted<'_, T> {
    /// Values of the members of one class.
    fn gains(
        &self,
        members: &[usize],
        own: &[u32],
        accuracy: &ClassAccuracy<'_>,
        queries: &Queries<T>,
        random: &mut ChaCha8Rng,
    ) -> Result<Vec<f64>, MethodError> {
        let retrain = Retrain::of(self.view);
        let mut sums = vec![0.0; members.len()];
        for _ in 0..self.orders {
            let share: f64 = random.random();
            let mut weights: Vec<T> = own
                .iter()
                .map(|&label| {
                    let is_other = label != accuracy.class && random.random::<f64>() < share;
                    if is_other { T::one() } else { T::zero() }
                })
                .collect();
            let mut order: Vec<usize> = (0..members.len()).collect();
            order.shuffle(random);
            let mut trainings = vec![weights.clone()];
            for &at in &order {
                weights[members[at]] = T::one();
                trainings.push(weights.clone());
            }
            let repeats = vec![0; trainings.len()];
            let correct = retrain.measure(&trainings, &repeats, Measured::Correct, queries)?;
            let worth: Vec<f64> = correct.outer_iter().map(|row| accuracy.worth(row)).collect();
            for (place, &at) in order.iter().enumerate() {
                sums[at] += (worth[place + 1] - worth[place]) / self.orders as f64;
            }
        }
        let everything = vec![vec![T::one(); own.len()]];
        let correct = retrain.measure(&everything, &[0], Measured::Correct, queries)?;
        let total: f64 = sums.iter().sum();
        let factor = accuracy.inside(correct.row(0)) / total;
        let scale = if total > 0.0 { factor } else { 1.0 };
        Ok(sums.into_iter().map(|sum| sum * scale).collect())
    }
}

/// Accuracies from the view of one class.
struct ClassAccuracy<'a> {
    class: u32,
    asked: &'a [u32],
}

impl ClassAccuracy<'_> {
    /// Right answers to queries of the class, by the number of all queries.
    fn inside(&self, correct: ArrayView1<'_, f64>) -> f64 {
        let own = self.asked.iter().zip(&correct).filter(|(label, _)| **label == self.class);
        own.map(|(_, correct)| correct).sum::<f64>() / correct.len() as f64
    }

    /// `a_in exp(a_out)`.
    fn worth(&self, correct: ArrayView1<'_, f64>) -> f64 {
        let inside = self.inside(correct);
        inside * (correct.sum() / correct.len() as f64 - inside).exp()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::ClassAccuracy;

    #[test]
    fn worth_by_hand() {
        // Queries of classes 0, 0, 1, 1; right are the first, third and fourth:
        // a_in = 1/4 for class 0, a_out = 2/4.
        let accuracy = ClassAccuracy { class: 0, asked: &[0, 0, 1, 1] };
        let found = accuracy.worth(array![1.0, 0.0, 1.0, 1.0].view());
        assert!((found - 0.25 * 0.5f64.exp()).abs() < 1e-15);
    }
}
