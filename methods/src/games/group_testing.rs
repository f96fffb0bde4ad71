//! Shapley value by group testing, in closed form.
//!
//! # Computes
//! Sizes `k = 1..n-1` with probability `(1/k + 1/(n-k)) / Z`, `Z = 2 sum_{k<n} 1/k`, and a uniform
//! coalition `S_t` of that size with indicator `b_ti`:
//! `phi_i = (v(N) - v(empty)) / n + Z/T sum_t (v(S_t) - c) (b_ti - |S_t| / n)`. The constant
//! `c = (v(N) + v(empty)) / 2` changes no mean and takes variance away.
//!
//! # Axioms
//! Efficient by construction; symmetric, null-free and linear in expectation.
//!
//! # Costs
//! One evaluation a draw, and `v(N)` and `v(empty)` under a few seeds.
//!
//! # References
//! Jia et al., Towards efficient data valuation based on the Shapley value, AISTATS 2019; closed
//! form of definitions in place of the paper's feasibility problem.

use attribench_core::{
    Axioms, Coalition, Game, GameError, NamedValuation, Valuation, ValuationContext, ValuationInfo,
    Valued,
};
use ndarray::{Array1, Array2, ArrayView2};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{
    recall::Recall,
    sampling::{Estimator, Sampler, Stop, ends, finish, of_size, sample},
    sums::{Estimated, Tally},
};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupTesting {
    /// When to stop.
    pub stop: Stop,
}

impl NamedValuation for GroupTesting {
    const INFO: ValuationInfo = ValuationInfo {
        name: "group-testing",
        summary: "Shapley by random coalitions, each of which serves every player",
        estimates: "shapley",
        axioms: Axioms {
            is_efficient: true,
            is_symmetric: true,
            is_null_free: true,
            is_linear: true,
        },
    };

    fn check(&self) -> Result<(), String> {
        self.stop.check()
    }
}

impl Valuation for GroupTesting {
    fn value(&self, game: &dyn Game, context: &ValuationContext<'_>) -> Result<Valued, GameError> {
        let players = game.players();
        if players < 2 {
            let message = "group testing needs two players\nhint: use `shapley`".to_owned();
            return Err(GameError::Unsuitable(message));
        }
        let mut recall = Recall::new(game);
        let (ends, variance) = ends(&mut recall)?;
        let sampler = TestSizes::new(players);
        let mut mean = Tests {
            players,
            factor: sampler.total,
            center: (&ends.row(0) + &ends.row(1)) / 2.0,
            tally: Tally::of_means((players, game.outcomes()), game.repeats()),
        };
        let stopped = sample(&mut recall, context, &self.stop, &sampler, &mut mean)?;
        let found = finish(&recall, stopped, &mean)?;
        let share = (&ends.row(0) - &ends.row(1)) / players as f64;
        let values = found.values().to_owned() + &share;
        let squared = (players * players) as f64;
        let errors = found.standard_errors().expect("a sample has errors");
        let errors = Array2::from_shape_fn(errors.dim(), |(player, outcome)| {
            (errors[(player, outcome)].powi(2) + variance[outcome] / squared).sqrt()
        });
        Ok(Valued::sampled(values, errors, recall.evaluations(), stopped))
    }
}

/// Coalitions by the law of sizes of group testing.
struct TestSizes {
    players: usize,
    /// `Z`.
    total: f64,
    /// Probability of at most `k + 1` members.
    cumulative: Vec<f64>,
}

impl TestSizes {
    fn new(players: usize) -> Self {
        let weight = |k: usize| 1.0 / k as f64 + 1.0 / (players - k) as f64;
        let total: f64 = (1..players).map(weight).sum();
        let cumulative = (1..players)
            .scan(0.0, |sum, k| {
                *sum += weight(k) / total;
                Some(*sum)
            })
            .collect();
        Self { players, total, cumulative }
    }
}

impl Sampler for TestSizes {
    type Draw = Coalition;
    const STREAM: &'static str = "group-testing";

    fn most_coalitions(&self) -> usize {
        1
    }

    fn draw(&self, _: u64, random: &mut ChaCha8Rng) -> Coalition {
        let uniform: f64 = random.random();
        let below = self.cumulative.iter().filter(|&&sum| sum <= uniform).count();
        of_size(self.players, (below + 1).min(self.players - 1), random)
    }

    fn coalitions(&self, coalition: &Coalition) -> Vec<Coalition> {
        vec![coalition.clone()]
    }
}

struct Tests {
    players: usize,
    factor: f64,
    center: Array1<f64>,
    tally: Tally,
}

impl Estimator<Coalition> for Tests {
    fn absorb(&mut self, index: u64, coalition: &Coalition, worths: ArrayView2<'_, f64>) {
        let share = coalition.len() as f64 / self.players as f64;
        let contribution =
            Array2::from_shape_fn((self.players, worths.ncols()), |(player, outcome)| {
                let is_in = f64::from(u8::from(coalition.contains(player)));
                self.factor * (worths[(0, outcome)] - self.center[outcome]) * (is_in - share)
            });
        self.tally.add(index, contribution.view());
    }

    fn estimate(&self) -> Option<Estimated> {
        self.tally.estimate()
    }
}

#[cfg(test)]
mod tests {
    use super::TestSizes;

    #[test]
    fn sizes_of_five_players_by_hand() {
        // definitions, 8.1: Z = 25/6; sizes 1..4 with probabilities 0.3, 0.2, 0.2, 0.3.
        let sizes = TestSizes::new(5);
        assert!((sizes.total - 25.0 / 6.0).abs() < 1e-12);
        for (found, expected) in sizes.cumulative.iter().zip([0.3, 0.5, 0.7, 1.0]) {
            assert!((found - expected).abs() < 1e-12);
        }
    }
}
