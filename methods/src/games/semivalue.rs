//! How coalitions of each size count, and the values that follow from all coalitions at once.

use attribench_core::{Ask, Coalition, Game, GameError, Repeats, Stopped, Valued};
use ndarray::Array2;

use super::sums::{mean_of, spread_of_mean};

/// Most players whose coalitions are all evaluated: `2^20`.
pub const MOST_PLAYERS: usize = 20;

/// A semivalue: the mean marginal contribution over coalitions, by a law on their sizes.
///
/// Of these weights `ledger-sim` has its own, for payout rules that are handed a table: it is a
/// leaf and imports nothing of the workspace. A test of the program holds the two together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Semivalue {
    /// Every size of coalition counts the same.
    Shapley,
    /// Every coalition counts the same.
    Banzhaf,
    /// `Beta(alpha, beta)`: `(1, 1)` is Shapley, `(16, 1)` has its weight on small coalitions.
    Beta(f64, f64),
    /// Only the coalition of all others counts.
    LeaveOneOut,
}

impl Semivalue {
    /// Weight of all coalitions of `k = 0..n` others together; their sum is 1.
    ///
    /// For `Beta(a, b)`: `C(n-1, k) B(k + b, n - 1 - k + a) / B(a, b)`, in logarithms, as the
    /// factors of a hundred players leave the range of numbers.
    pub fn size_weights(self, players: usize) -> Vec<f64> {
        let others = players.saturating_sub(1);
        let beta = |a: f64, b: f64| -> Vec<f64> {
            let (one, of_a, of_b) = (rising(1.0, others), rising(a, others), rising(b, others));
            let all = rising(a + b, others)[others];
            let choose = |k: usize| one[others] - one[k] - one[others - k];
            (0..players).map(|k| (choose(k) + of_b[k] + of_a[others - k] - all).exp()).collect()
        };
        match self {
            Self::Shapley => vec![1.0 / players as f64; players],
            Self::Banzhaf => {
                let one = rising(1.0, others);
                let all = others as f64 * std::f64::consts::LN_2;
                (0..players).map(|k| (one[others] - one[k] - one[others - k] - all).exp()).collect()
            }
            Self::Beta(a, b) => beta(a, b),
            Self::LeaveOneOut => (0..players).map(|k| f64::from(u8::from(k == others))).collect(),
        }
    }
}

/// `ln x (x + 1) ... (x + k - 1) = ln Gamma(x + k) - ln Gamma(x)` for `k = 0..=count`.
fn rising(x: f64, count: usize) -> Vec<f64> {
    let mut sums = vec![0.0; count + 1];
    for k in 0..count {
        sums[k + 1] = sums[k] + (x + k as f64).ln();
    }
    sums
}

/// `sum_k weights[k] mean over |S| = k of v(S + i) - v(S)` from all `2^n` coalitions. A game with
/// several seeds gives the mean over them with its standard error.
///
/// # Errors
/// With more than [`MOST_PLAYERS`] players, or when the game cannot answer.
pub(crate) fn of_all_coalitions(
    game: &dyn Game,
    what: &'static str,
    size_weights: &[f64],
) -> Result<Valued, GameError> {
    let players = game.players();
    let tables = tables(game, what)?;
    let by_seed: Vec<Array2<f64>> =
        tables.iter().map(|table| semivalues(players, table, size_weights)).collect();
    let evaluations = by_seed.len() << players;
    Ok(over_seeds(by_seed, evaluations))
}

/// Values by seed as their mean, with its standard error where there are several.
pub(crate) fn over_seeds(by_seed: Vec<Array2<f64>>, evaluations: usize) -> Valued {
    if by_seed.len() > 1 {
        let errors = spread_of_mean(&by_seed);
        return Valued::sampled(mean_of(&by_seed), errors, evaluations, Stopped::Exact);
    }
    Valued::exact(by_seed.into_iter().next().expect("one seed"), evaluations)
}

/// A game under one of its seeds.
pub(crate) struct AtSeed<'a> {
    pub(crate) game: &'a dyn Game,
    pub(crate) seed: u64,
}

/// The game under each of its seeds; under the first where they have no end.
pub(crate) fn seeds(game: &dyn Game) -> impl Iterator<Item = AtSeed<'_>> {
    let count = match game.repeats() {
        Repeats::Of(seeds) => seeds,
        Repeats::One | Repeats::Endless => 1,
    };
    (0..count).map(move |seed| AtSeed { game, seed })
}

impl Game for AtSeed<'_> {
    fn players(&self) -> usize {
        self.game.players()
    }

    fn outcomes(&self) -> usize {
        self.game.outcomes()
    }

    fn values(&self, asks: &[Ask]) -> Result<Array2<f64>, GameError> {
        let at = |ask: &Ask| Ask { coalition: ask.coalition.clone(), repeat: self.seed };
        self.game.values(&asks.iter().map(at).collect::<Vec<_>>())
    }
}

/// The worths of all coalitions by mask, one matrix `(2^n, m)` a seed.
///
/// # Errors
/// With too many players, or when the game cannot answer.
pub(crate) fn tables(game: &dyn Game, what: &'static str) -> Result<Vec<Array2<f64>>, GameError> {
    let players = game.players();
    if players > MOST_PLAYERS {
        return Err(GameError::TooManyPlayers { what, players, limit: MOST_PLAYERS });
    }
    let asks: Vec<Ask> =
        (0..1u64 << players).map(|mask| Ask::first(Coalition::from_mask(players, mask))).collect();
    seeds(game).map(|game| game.values(&asks)).collect()
}

/// Semivalues from a complete table: `(2^n, m) -> (n, m)`.
fn semivalues(players: usize, table: &Array2<f64>, size_weights: &[f64]) -> Array2<f64> {
    let outcomes = table.ncols();
    let values = table.as_slice().expect("standard layout");
    let worth = |mask: usize| &values[mask * outcomes..][..outcomes];
    let sizes = binomials(players.saturating_sub(1));
    let mut result = Array2::zeros((players, outcomes));
    for (player, mut total) in result.outer_iter_mut().enumerate() {
        let own = 1usize << player;
        // By size, so that marginals of one size are summed before they are weighed.
        let mut by_size = Array2::<f64>::zeros((players, outcomes));
        for mask in (0..1usize << players).filter(|mask| mask & own == 0) {
            let mut sums = by_size.row_mut(mask.count_ones() as usize);
            let sums = sums.as_slice_mut().expect("standard layout");
            for ((sum, with), without) in sums.iter_mut().zip(worth(mask | own)).zip(worth(mask)) {
                *sum += with - without;
            }
        }
        for ((sums, weight), count) in by_size.outer_iter().zip(size_weights).zip(&sizes) {
            total.scaled_add(weight / count, &sums);
        }
    }
    result
}

/// `C(n, k)` for `k = 0..=n`.
fn binomials(n: usize) -> Vec<f64> {
    std::iter::successors(Some((0usize, 1.0f64)), |&(k, choose)| {
        (k < n).then(|| (k + 1, choose * (n - k) as f64 / (k + 1) as f64))
    })
    .map(|(_, choose)| choose)
    .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Semivalue;

    #[test]
    fn weights_of_four_players() {
        // definitions, 8.1: coefficients of Beta for n = 4.
        let table = [
            (Semivalue::Beta(4.0, 1.0), [4.0 / 7.0, 2.0 / 7.0, 4.0 / 35.0, 1.0 / 35.0]),
            (Semivalue::Beta(2.0, 2.0), [0.2, 0.3, 0.3, 0.2]),
            (Semivalue::Shapley, [0.25; 4]),
            (Semivalue::Banzhaf, [1.0 / 8.0, 3.0 / 8.0, 3.0 / 8.0, 1.0 / 8.0]),
            (Semivalue::LeaveOneOut, [0.0, 0.0, 0.0, 1.0]),
            (
                Semivalue::Beta(16.0, 1.0),
                [0.842_105_263_158, 0.140_350_877_193, 0.016_511_867_905, 0.001_031_991_744],
            ),
        ];
        for (kind, expected) in table {
            for (found, expected) in kind.size_weights(4).into_iter().zip(expected) {
                assert!((found - expected).abs() < 1e-12, "{kind:?}: {found} {expected}");
            }
        }
    }

    proptest! {
        #[test]
        fn weights_sum_to_one(players in 1usize..400, a in 0.5f64..20.0, b in 0.5f64..20.0) {
            let kinds = [Semivalue::Shapley, Semivalue::Banzhaf, Semivalue::Beta(a, b)];
            for kind in kinds {
                let sum: f64 = kind.size_weights(players).iter().sum();
                prop_assert!((sum - 1.0).abs() < 1e-11, "{kind:?} {sum}");
            }
        }

        #[test]
        fn beta_is_shapley_at_one_one_and_mirrored_when_exchanged(players in 1usize..60) {
            let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-12);
            let weights = |kind: Semivalue| kind.size_weights(players);
            prop_assert!(close(&weights(Semivalue::Beta(1.0, 1.0)), &weights(Semivalue::Shapley)));
            let mut mirrored = weights(Semivalue::Beta(1.0, 16.0));
            mirrored.reverse();
            prop_assert!(close(&mirrored, &weights(Semivalue::Beta(16.0, 1.0))));
        }
    }
}
