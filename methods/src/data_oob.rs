//! Data-OOB: how often models that never saw an example get it right.
//!
//! # Computes
//! `models` bootstrap samples of the training set, each a training with the multiplicities as data
//! weights. The score of `i` is the share of the models without `i` that predict its label. It says
//! how good an example is, not what it does to a query: every query gets the same scores.
//!
//! # Reads
//! Only what training again tells: `models` trainings.
//!
//! # Shapes
//! Training examples `(n, d)` give `n` scores, repeated for the `q` queries: `(n, q)`.
//!
//! # Differs from the paper
//! Nothing is renormalised: a sample of `n` has weights that sum to `n`, as the run has. An example
//! that every sample holds, which is a chance of `0.632^models`, gets the mean of the others.
//!
//! # Example
//! ```
//! assert_eq!(attribench_methods::DataOob::default().models, 200);
//! ```
//!
//! # References
//! Kwon, Zou, Data-OOB: out-of-bag estimate as a simple and efficient data value, ICML 2023.

use attribench_core::{
    AndRetraining, BlackBox, Context, Measured, Method, MethodError, MethodInfo, ModelInput,
    ProblemSize, Queries, Real, Retrain, Scale, Scorer, Scores, Utility, View,
};
use ndarray::Array2;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::label;

/// See the [module](self).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataOob {
    /// Bootstrap models.
    pub models: usize,
}

impl Default for DataOob {
    fn default() -> Self {
        Self { models: 200 }
    }
}

impl Method for DataOob {
    type Access = AndRetraining<BlackBox>;
    const READS: Option<ModelInput> = Some(ModelInput::Numbers);
    const INFO: MethodInfo = MethodInfo {
        name: "data-oob",
        summary: "Data-OOB: how often models that never saw an example get it right",
        scale: Scale::Arbitrary,
    };

    fn check(&self) -> Result<(), String> {
        if self.models < 2 {
            return Err(format!("`models` is {}\nhint: use at least 2", self.models));
        }
        Ok(())
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { examples, number, .. } = size;
        (self.models * examples * (8 + number)) as u64
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, Self::Access, T>,
        context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let train = view.train();
        let count = train.len();
        let mut random = context.stream("bootstrap");
        let samples: Vec<Vec<T>> = (0..self.models)
            .map(|_| {
                let mut weights = vec![T::zero(); count];
                for _ in 0..count {
                    weights[random.random_range(0..count)] += T::one();
                }
                weights
            })
            .collect();
        let at = Queries { examples: train.clone(), utility: Utility::default() };
        let repeats = vec![0; self.models];
        let correct = Retrain::of(view).measure(&samples, &repeats, Measured::Correct, &at)?;
        Ok(Box::new(Fitted { view, quality: out_of_bag(&samples, &correct) }))
    }
}

/// Mean over the models without each example of whether they get it right.
fn out_of_bag<T: Real>(samples: &[Vec<T>], correct: &Array2<f64>) -> Vec<f64> {
    let of = |example: usize| {
        let without = samples.iter().zip(correct.outer_iter());
        let without: Vec<f64> = without
            .filter(|(weights, _)| weights[example] == T::zero())
            .map(|(_, correct)| correct[example])
            .collect();
        (!without.is_empty()).then(|| without.iter().sum::<f64>() / without.len() as f64)
    };
    let found: Vec<Option<f64>> = (0..correct.ncols()).map(of).collect();
    let known: Vec<f64> = found.iter().copied().flatten().collect();
    let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
    found.into_iter().map(|share| share.unwrap_or(mean)).collect()
}

struct Fitted<'a, T> {
    view: View<'a, AndRetraining<BlackBox>, T>,
    quality: Vec<f64>,
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let shape = (self.quality.len(), queries.examples.len());
        let values = Array2::from_shape_fn(shape, |(example, _)| self.quality[example]);
        label::<DataOob, T>(self.view.train(), queries, values)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::out_of_bag;

    #[test]
    fn shares_by_hand() {
        // Example 0 is left out of models 1 and 2, which get it wrong and right; 1 of model 0,
        // which gets it right; 2 of none, so it has the mean of 1/2 and 1.
        let samples = [vec![2.0, 0.0, 1.0], vec![0.0, 2.0, 1.0], vec![0.0, 1.0, 2.0]];
        let correct = array![[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]];
        assert_eq!(out_of_bag(&samples, &correct), vec![0.5, 1.0, 0.75]);
    }
}
