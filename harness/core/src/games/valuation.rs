//! What a value of a game is, and the registry's line for one.

use ndarray::{Array2, ArrayView2};
use rand_chacha::ChaCha8Rng;
use serde::{Serialize, de::DeserializeOwned};

use super::{Game, GameError};
use crate::{ParameterError, stream};

/// Which of Shapley's axioms a value keeps. All values here are linear in the game but the cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axioms {
    /// The values sum to `v(N) - v(empty)`.
    pub is_efficient: bool,
    /// Interchangeable players get the same.
    pub is_symmetric: bool,
    /// Who changes nothing gets nothing.
    pub is_null_free: bool,
    /// Values of a sum of games are sums of values.
    pub is_linear: bool,
}

/// Name and nature of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValuationInfo {
    /// Name in specifications and on the command line, in kebab-case.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Name of the exact value that a sampled one is held against; its own where it is exact.
    pub estimates: &'static str,
    /// What it keeps, in expectation where it is sampled.
    pub axioms: Axioms,
}

/// Why a sampler stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stopped {
    /// Every coalition that the formula names was evaluated.
    Exact,
    /// The evaluations that it was given are spent.
    Evaluations,
    /// The largest standard error is as small as was asked for.
    StandardError,
    /// Two halves of the draws rank the players alike.
    RankStability,
}

/// How far a sampler is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reached {
    /// Coalitions evaluated.
    pub evaluations: usize,
    /// Most coalitions that will be evaluated.
    pub most_evaluations: usize,
    /// Largest standard error of a player's value, averaged over outcomes.
    pub standard_error: f64,
    /// Rank correlation between the values of two halves of the draws.
    pub rank_stability: f64,
}

/// What the players of a game are worth.
#[derive(Clone, Debug, PartialEq)]
pub struct Valued {
    values: Array2<f64>,
    standard_errors: Option<Array2<f64>>,
    evaluations: usize,
    stopped: Stopped,
    facts: Vec<(&'static str, f64)>,
}

impl Valued {
    /// Values known without error, `(n, m)`.
    ///
    /// # Panics
    /// When a value is not finite.
    pub fn exact(values: Array2<f64>, evaluations: usize) -> Self {
        assert!(values.iter().all(|value| value.is_finite()), "values must be finite");
        let stopped = Stopped::Exact;
        Self { values, standard_errors: None, evaluations, stopped, facts: Vec::new() }
    }

    /// Values with their standard errors, `(n, m)` each.
    ///
    /// # Panics
    /// When the shapes differ, a value is not finite or an error is negative.
    pub fn sampled(
        values: Array2<f64>,
        standard_errors: Array2<f64>,
        evaluations: usize,
        stopped: Stopped,
    ) -> Self {
        assert_eq!(values.dim(), standard_errors.dim(), "an error for each value");
        assert!(standard_errors.iter().all(|error| *error >= 0.0), "errors must not be negative");
        let standard_errors = Some(standard_errors);
        Self { standard_errors, stopped, ..Self::exact(values, evaluations) }
    }

    /// The same with one more figure about how it came to be.
    #[must_use]
    pub fn with_fact(mut self, name: &'static str, value: f64) -> Self {
        self.facts.push((name, value));
        self
    }

    /// Values, `(n, m)`.
    pub fn values(&self) -> ArrayView2<'_, f64> {
        self.values.view()
    }

    /// Standard errors over draws and seeds, `(n, m)`; none where the values are exact.
    pub fn standard_errors(&self) -> Option<ArrayView2<'_, f64>> {
        self.standard_errors.as_ref().map(|errors| errors.view())
    }

    /// Different coalitions (and seeds) that were evaluated.
    pub fn evaluations(&self) -> usize {
        self.evaluations
    }

    /// Why it ended.
    pub fn stopped(&self) -> Stopped {
        self.stopped
    }

    /// Further figures: the least core's `e`, the worst violation, the share truncated.
    pub fn facts(&self) -> &[(&'static str, f64)] {
        &self.facts
    }
}

/// What a valuation is lent: random numbers and an ear.
pub struct ValuationContext<'a> {
    seed: u64,
    ear: &'a dyn Fn(Reached),
}

impl<'a> ValuationContext<'a> {
    /// Randomness from `seed`; `ear` is told how far the work is.
    pub fn new(seed: u64, ear: &'a dyn Fn(Reached)) -> Self {
        Self { seed, ear }
    }

    /// Randomness of draw `draw` of a sampler. Values that share a sampler share its draws, so that
    /// they ask for the same coalitions.
    pub fn stream(&self, sampler: &str, draw: u64) -> ChaCha8Rng {
        stream(self.seed, &format!("game/{sampler}"), draw)
    }

    /// Tells how far the work is.
    pub fn tell(&self, reached: Reached) {
        (self.ear)(reached);
    }
}

/// A value of games. Its fields are its parameters.
pub trait Valuation: Send + Sync {
    /// Values of all players.
    ///
    /// # Errors
    /// When the game cannot answer or the value does not fit the game.
    fn value(&self, game: &dyn Game, context: &ValuationContext<'_>) -> Result<Valued, GameError>;
}

/// One line of a registry of values.
pub struct ValuationEntry {
    /// Name and nature.
    pub info: ValuationInfo,
    /// Builds the value from its parameters.
    pub build: fn(serde_json::Value) -> Result<Box<dyn Valuation>, ParameterError>,
}

/// What [`ValuationEntry::of`] needs besides the value itself.
pub trait NamedValuation: Valuation + Default + Serialize + DeserializeOwned + 'static {
    /// Name and nature.
    const INFO: ValuationInfo;

    /// Whether each parameter is in its range; the message names the field.
    ///
    /// # Errors
    /// When a parameter is out of range.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

impl ValuationEntry {
    /// The entry of a value.
    pub const fn of<V: NamedValuation>() -> Self {
        Self {
            info: V::INFO,
            build: |parameters| {
                let value: V = serde_json::from_value(parameters)
                    .map_err(|error| ParameterError::Shape(Box::new(error)))?;
                value.check().map_err(ParameterError::Range)?;
                Ok(Box::new(value))
            },
        }
    }
}
