//! A value of the game of examples, by training again.
//!
//! # Computes
//! The players are the training examples, and a coalition is worth what a model trained on it is
//! worth at each query: `v_q(S) = f_q(theta_T(1_S; xi))`. `value` names what is made of these
//! worths: leave-one-out, a sampler of the Shapley value, Banzhaf by MSR, datamodels and others of
//! [`crate::games`]. With `seeds` above 1 the draws go through so many seeds `xi`, and the value is
//! that of the recipe instead of that of the run.
//!
//! # Reads
//! Only what training again tells: as many trainings as `parameters.stop.evaluations` says.
//!
//! # Shapes
//! Training examples `(n, d)` and queries `(q, d)` give scores `(n, q)`. Every training serves all
//! queries.
//!
//! # Differs from the paper
//! See the value. Contributors' sums of item-level Shapley values are the faithful group value.
//!
//! # Example
//! ```
//! let value = attribench_methods::ByRetraining {
//!     value: "banzhaf-msr".to_owned(),
//!     ..attribench_methods::ByRetraining::default()
//! };
//! assert_eq!(value.seeds, 1);
//! ```
//!
//! # References
//! Ghorbani, Zou, Data Shapley, ICML 2019; and those of the values.

use attribench_core::{
    AndRetraining, Ask, BlackBox, Context, Game, GameError, Measured, Method, MethodError,
    MethodInfo, ProblemSize, Queries, Real, Repeats, Retrain, Scale, Scorer, Scores, Valuation,
    ValuationContext, View,
};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::{games::REGISTRY, label};

/// See the [module](self).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ByRetraining {
    /// Name of the value.
    pub value: String,
    /// Parameters of the value.
    pub parameters: serde_json::Value,
    /// Seeds that draws go through; the first is that of the run.
    pub seeds: u64,
}

impl Default for ByRetraining {
    fn default() -> Self {
        let parameters = serde_json::json!({});
        Self { value: "leave-one-out".to_owned(), parameters, seeds: 1 }
    }
}

impl ByRetraining {
    fn valuation(&self) -> Result<Box<dyn Valuation>, String> {
        let Some(entry) = REGISTRY.iter().find(|entry| entry.info.name == self.value) else {
            let known: Vec<&str> = REGISTRY.iter().map(|entry| entry.info.name).collect();
            return Err(format!("unknown `value: {}` (known: {})", self.value, known.join(", ")));
        };
        (entry.build)(self.parameters.clone())
            .map_err(|error| format!("`parameters` of `{}`: {error}", self.value))
    }
}

impl Method for ByRetraining {
    type Access = AndRetraining<BlackBox>;
    const INFO: MethodInfo = MethodInfo {
        name: "by-retraining",
        summary: "a value of the game of examples, by training again",
        scale: Scale::Unit,
    };

    fn check(&self) -> Result<(), String> {
        if self.seeds == 0 {
            return Err("`seeds` is 0\nhint: use at least 1".to_owned());
        }
        self.valuation().map(|_| ())
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { examples, queries, number, .. } = size;
        let evaluations = self.parameters["stop"]["evaluations"].as_u64().unwrap_or(2000);
        let evaluations = evaluations.max(examples as u64 + 1);
        // Worths twice, and the weights of a batch of coalitions.
        2 * evaluations * (queries * 8) as u64 + (1024 * examples * number) as u64
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, Self::Access, T>,
        context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        use rand::Rng;
        let seed = context.stream("draws").next_u64();
        let valuation = self.valuation().map_err(MethodError::Unsuitable)?;
        Ok(Box::new(Fitted { view, valuation, seed, seeds: self.seeds }))
    }
}

struct Fitted<'a, T> {
    view: View<'a, AndRetraining<BlackBox>, T>,
    valuation: Box<dyn Valuation>,
    seed: u64,
    seeds: u64,
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let game = ExampleGame {
            retrain: Retrain::of(self.view),
            examples: self.view.train().len(),
            queries,
            seeds: self.seeds,
        };
        let context = ValuationContext::new(self.seed, &|_| {});
        let found = self.valuation.value(&game, &context).map_err(unsuitable)?;
        label::<ByRetraining, T>(self.view.train(), queries, found.values().to_owned())
    }
}

fn unsuitable(error: GameError) -> MethodError {
    match error {
        GameError::Run(error) => MethodError::Run(error),
        other => MethodError::Unsuitable(other.to_string()),
    }
}

/// Examples as players, queries as outcomes.
struct ExampleGame<'a, T> {
    retrain: Retrain<'a, T>,
    examples: usize,
    queries: &'a Queries<T>,
    seeds: u64,
}

impl<T: Real> Game for ExampleGame<'_, T> {
    fn players(&self) -> usize {
        self.examples
    }

    fn outcomes(&self) -> usize {
        self.queries.examples.len()
    }

    fn repeats(&self) -> Repeats {
        if self.seeds == 1 { Repeats::One } else { Repeats::Of(self.seeds) }
    }

    fn values(&self, asks: &[Ask]) -> Result<Array2<f64>, GameError> {
        let weights: Vec<Vec<T>> = asks
            .iter()
            .map(|ask| {
                let mut weights = vec![T::zero(); self.examples];
                ask.coalition.members().for_each(|member| weights[member] = T::one());
                weights
            })
            .collect();
        let repeats: Vec<u64> = asks.iter().map(|ask| ask.repeat).collect();
        Ok(self.retrain.measure(&weights, &repeats, Measured::Utility, self.queries)?)
    }
}
