//! Cooperative games given by a table of coalition values, and their exact semivalues.

use crate::random::{Purpose, Streams};
use crate::refusal::Refusal;

/// Most players of a game whose coalitions are tabulated.
pub const MOST_PLAYERS: usize = 20;

/// A game: the value of every coalition of up to [`MOST_PLAYERS`] players. Always finite.
#[derive(Clone, Debug, PartialEq)]
pub struct CoalitionGame {
    players: usize,
    values: Vec<f64>,
}

impl CoalitionGame {
    /// A game from the values of its coalitions: entry `s` is the value of the players whose bits
    /// are set in `s`.
    ///
    /// # Errors
    /// [`Refusal::RuleNeeds`] unless there are `2^players` values and at most [`MOST_PLAYERS`]
    /// players: a missing coalition is never extrapolated. [`Refusal::NonFinite`] for a value that
    /// is not finite, its coalition given as the query.
    pub fn from_table(players: usize, values: Vec<f64>) -> Result<Self, Refusal> {
        if players > MOST_PLAYERS || values.len() != 1 << players {
            let input = "values of all 2^n coalitions of at most 20 players";
            return Err(Refusal::RuleNeeds { rule: "coalition game", input });
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(query) => Err(Refusal::NonFinite { contributor: 0, query }),
            None => Ok(Self { players, values }),
        }
    }

    /// A game whose coalitions are valued by `value`, called with each bit set once.
    ///
    /// # Errors
    /// As [`CoalitionGame::from_table`].
    pub fn from_fn(players: usize, value: impl Fn(usize) -> f64) -> Result<Self, Refusal> {
        if players > MOST_PLAYERS {
            return Self::from_table(players, vec![]);
        }
        Self::from_table(players, (0..1 << players).map(value).collect())
    }

    /// Number of players.
    pub fn players(&self) -> usize {
        self.players
    }

    /// Value of a coalition.
    pub fn value(&self, coalition: usize) -> f64 {
        self.values[coalition]
    }

    /// Semivalue of every player: `sum over S without i of weight(|S|) (v(S + i) - v(S))`.
    pub fn semivalues(&self, kind: Semivalue) -> Vec<f64> {
        let weights = kind.weights(self.players);
        (0..self.players).map(|player| self.semivalue(player, &weights)).collect()
    }

    fn semivalue(&self, player: usize, weights: &[f64]) -> f64 {
        let own = 1 << player;
        let marginal = |coalition: usize| {
            let weight = weights[coalition.count_ones() as usize];
            weight * (self.values[coalition | own] - self.values[coalition])
        };
        (0..self.values.len()).filter(|coalition| coalition & own == 0).map(marginal).sum()
    }

    /// Shapley values when players arrive group after group and in random order within a group.
    /// Players of lower `group` arrive first. With one group this is the Shapley value; with one
    /// player a group it is the marginal contribution in order of arrival.
    ///
    /// # Errors
    /// [`Refusal::RuleNeeds`] unless there is a group for each player.
    pub fn ordered_shapley(&self, groups: &[u64]) -> Result<Vec<f64>, Refusal> {
        if groups.len() != self.players {
            let input = "an arrival for each player";
            return Err(Refusal::RuleNeeds { rule: "coalition game", input });
        }
        let mut phi = vec![0.0; self.players];
        for group in groups {
            let members: Vec<usize> =
                (0..self.players).filter(|player| groups[*player] == *group).collect();
            let earlier: usize =
                (0..self.players).filter(|p| groups[*p] < *group).map(|p| 1 << p).sum();
            let within = self.subgame(&members, earlier)?.semivalues(Semivalue::Shapley);
            for (member, value) in members.into_iter().zip(within) {
                phi[member] = value;
            }
        }
        Ok(phi)
    }

    /// The game among `members` who all join the coalition `earlier`.
    fn subgame(&self, members: &[usize], earlier: usize) -> Result<Self, Refusal> {
        let joined = |coalition: usize| -> usize {
            let present = (0..members.len()).filter(|at| coalition >> at & 1 == 1);
            present.map(|at| 1 << members[at]).sum::<usize>() | earlier
        };
        Self::from_fn(members.len(), |coalition| self.values[joined(coalition)])
    }
}

/// A sampled value and its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampled {
    /// Mean marginal contribution over the sampled orders.
    pub value: f64,
    /// Standard error of that mean.
    pub standard_error: f64,
}

/// Shapley values of a game too large for a table, from `orders` random orders of the players.
/// `value` is called with each growing coalition, as a list of players in order of arrival.
///
/// # Errors
/// [`Refusal::ParamOutOfRange`] for fewer than two orders, which give no error; those of `value`;
/// [`Refusal::NonFinite`] for a value that is not finite, the order given as the query.
pub fn sampled_shapley(
    streams: &Streams,
    players: usize,
    orders: u32,
    value: impl Fn(&[usize]) -> Result<f64, Refusal>,
) -> Result<Vec<Sampled>, Refusal> {
    if orders < 2 {
        return Err(Refusal::parameter("orders"));
    }
    let (mut sums, mut squares) = (vec![0.0; players], vec![0.0; players]);
    for order in 0..orders {
        let draw = |player: &usize| streams.uniform(Purpose::Permutation, *player as u64, order, 0);
        let mut arrival: Vec<usize> = (0..players).collect();
        arrival.sort_by(|a, b| draw(a).total_cmp(&draw(b)));
        let mut before = value(&[])?;
        for (at, player) in arrival.iter().enumerate() {
            let after = value(&arrival[..=at])?;
            if !after.is_finite() {
                return Err(Refusal::NonFinite { contributor: *player, query: order as usize });
            }
            sums[*player] += after - before;
            squares[*player] += (after - before).powi(2);
            before = after;
        }
    }
    let count = f64::from(orders);
    let sampled = |(sum, square): (&f64, &f64)| {
        let mean = sum / count;
        // Rounding may take the variance of a constant below zero.
        let variance = (square / count - mean * mean).max(0.0);
        Sampled { value: mean, standard_error: (variance / (count - 1.0)).sqrt() }
    };
    Ok(sums.iter().zip(&squares).map(sampled).collect())
}

/// How coalitions of each size count in a semivalue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Semivalue {
    /// Every size of coalition counts the same.
    Shapley,
    /// Every coalition counts the same.
    Banzhaf,
    /// Every other player is present with this probability.
    WeightedBanzhaf(f64),
    /// Only the coalition of all others counts.
    LeaveOneOut,
    /// `Beta(a, b)`: (1, 1) is Shapley, a large `a` favours small coalitions.
    Beta(f64, f64),
}

impl Semivalue {
    /// Weight of one coalition of `k = 0 .. players - 1` others. Summed over all coalitions of all
    /// sizes they are 1.
    pub fn weights(self, players: usize) -> Vec<f64> {
        let others = players.saturating_sub(1);
        (0..players).map(|size| self.weight(size, others)).collect()
    }

    fn weight(self, size: usize, others: usize) -> f64 {
        let absent = others - size;
        match self {
            Self::Shapley => Self::Beta(1.0, 1.0).weight(size, others),
            Self::Banzhaf => 0.5f64.powi(others as i32),
            Self::WeightedBanzhaf(theta) => {
                theta.powi(size as i32) * (1.0 - theta).powi(absent as i32)
            }
            Self::LeaveOneOut => f64::from(u8::from(absent == 0)),
            // B(size + b, absent + a) / B(a, b) as a product of rising factorials:
            // B(x + m, y + l) / B(x, y) = x^(m) y^(l) / (x + y)^(m + l).
            Self::Beta(a, b) => rising(b, size) * rising(a, absent) / rising(a + b, others),
        }
    }
}

/// `x (x + 1) ... (x + count - 1)`.
fn rising(x: f64, count: usize) -> f64 {
    (0..count).map(|step| x + step as f64).product()
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Players cover points; a coalition is worth the number of points that it covers.
    pub fn coverage(points: &[u32]) -> CoalitionGame {
        CoalitionGame::from_fn(points.len(), |coalition| {
            let present = points.iter().enumerate().filter(|(at, _)| coalition >> at & 1 == 1);
            f64::from(present.fold(0, |all, (_, points)| all | points).count_ones())
        })
        .unwrap()
    }

    /// A = {x, y}, B = {y, z}, C = {z}.
    pub const ABC: [u32; 3] = [0b011, 0b110, 0b100];
}

#[cfg(test)]
mod tests {
    use super::testing::*;
    use super::*;

    fn close(got: f64, expected: f64) -> bool {
        (got - expected).abs() < 1e-12
    }

    /// G24.
    #[test]
    fn weights_of_four_players() {
        let table: [(Semivalue, [f64; 4]); 3] = [
            (Semivalue::Shapley, [0.25, 1.0 / 12.0, 1.0 / 12.0, 0.25]),
            (Semivalue::Beta(4.0, 1.0), [4.0 / 7.0, 2.0 / 21.0, 4.0 / 105.0, 1.0 / 35.0]),
            (Semivalue::Beta(16.0, 1.0), [16.0 / 19.0, 8.0 / 171.0, 16.0 / 2907.0, 1.0 / 969.0]),
        ];
        for (kind, expected) in table {
            for (got, expected) in kind.weights(4).into_iter().zip(expected) {
                assert!(close(got, expected), "{kind:?}: {got} {expected}");
            }
        }
    }

    #[test]
    fn weights_of_all_coalitions_sum_to_one() {
        let kinds = [
            Semivalue::Shapley,
            Semivalue::Banzhaf,
            Semivalue::WeightedBanzhaf(0.3),
            Semivalue::LeaveOneOut,
            Semivalue::Beta(16.0, 1.0),
            Semivalue::Beta(1.0, 4.0),
        ];
        for kind in kinds {
            for players in 1..=MOST_PLAYERS {
                let mut choose = 1.0;
                let mut sum = 0.0;
                for (size, weight) in kind.weights(players).into_iter().enumerate() {
                    sum += choose * weight;
                    choose *= (players - 1 - size) as f64 / (size + 1) as f64;
                }
                assert!(close(sum, 1.0), "{kind:?} {players}: {sum}");
            }
        }
    }

    /// G19: A adds r copies of himself; totals of A and his copies, and the share of Banzhaf.
    #[test]
    fn replication_in_the_coverage_game() {
        let shapley = [3.0 / 2.0, 5.0 / 3.0, 7.0 / 4.0, 9.0 / 5.0, 11.0 / 6.0];
        let banzhaf = [3.0 / 2.0, 3.0 / 2.0, 9.0 / 8.0, 3.0 / 4.0, 15.0 / 32.0];
        let leave_one_out = [1.0, 0.0, 0.0, 0.0, 0.0];
        let share = [1.0 / 2.0, 6.0 / 11.0, 1.0 / 2.0, 12.0 / 29.0, 5.0 / 16.0];
        for copies in 0..5 {
            let mut points = ABC.to_vec();
            points.extend(std::iter::repeat_n(ABC[0], copies));
            let game = coverage(&points);
            let own = |kind| {
                let phi = game.semivalues(kind);
                (phi[0] + phi[3..].iter().sum::<f64>(), phi.iter().sum::<f64>())
            };
            assert!(close(own(Semivalue::Shapley).0, shapley[copies]));
            let (total, all) = own(Semivalue::Banzhaf);
            assert!(close(total, banzhaf[copies]) && close(total / all, share[copies]));
            assert!(close(own(Semivalue::LeaveOneOut).0, leave_one_out[copies]));
        }
    }

    /// G20: the closed form for r exact copies of a among m others of the coverage game.
    #[test]
    fn replication_in_closed_form() {
        let factorial = |n: usize| (1..=n).map(|k| k as f64).product::<f64>();
        let game = coverage(&ABC);
        let m = 2;
        for r in 0..5 {
            let total: f64 = (0..1usize << m)
                .map(|others| {
                    let k = others.count_ones() as usize;
                    let probability =
                        (r + 1) as f64 * factorial(k) * factorial(m - k + r) / factorial(m + r + 1);
                    // Others are players 1 and 2; a is player 0.
                    probability * (game.value(others << 1 | 1) - game.value(others << 1))
                })
                .sum();
            let expected = [3.0 / 2.0, 5.0 / 3.0, 7.0 / 4.0, 9.0 / 5.0, 11.0 / 6.0][r];
            assert!(close(total, expected), "{r}: {total}");
        }
    }

    /// G21: a plagiarist copies A.
    #[test]
    fn plagiarism_in_the_coverage_game() {
        let points = [ABC[0], ABC[1], ABC[2], ABC[0]];
        let game = coverage(&points);
        for (kind, each) in [
            (Semivalue::Shapley, 5.0 / 6.0),
            (Semivalue::Banzhaf, 3.0 / 4.0),
            (Semivalue::LeaveOneOut, 0.0),
        ] {
            let phi = game.semivalues(kind);
            assert!(close(phi[0], each) && close(phi[3], each), "{kind:?} {phi:?}");
        }
        assert!(close(coverage(&ABC).semivalues(Semivalue::LeaveOneOut)[0], 1.0));
    }

    /// G22: the thief T copies A.
    #[test]
    fn order_of_registration_in_the_coverage_game() {
        let game = coverage(&[ABC[0], ABC[1], ABC[2], ABC[0]]);
        let table: [([u64; 4], [f64; 4]); 3] = [
            ([0, 0, 0, 1], [1.5, 1.0, 0.5, 0.0]),
            ([0, 1, 2, 3], [2.0, 1.0, 0.0, 0.0]),
            // T, A, B, C.
            ([1, 2, 3, 0], [0.0, 1.0, 0.0, 2.0]),
        ];
        for (groups, expected) in table {
            let phi = game.ordered_shapley(&groups).unwrap();
            assert!(phi.iter().zip(expected).all(|(a, b)| close(*a, b)), "{phi:?}");
        }
        let one_group = game.ordered_shapley(&[5; 4]).unwrap();
        assert_eq!(one_group, game.semivalues(Semivalue::Shapley));
        assert!(game.ordered_shapley(&[0]).is_err());
    }

    /// G23: U(s) = 1 - 2^-s over items; owners are players, with 2 + 2 and 2 + 8 items.
    #[test]
    fn groups_as_players_gain_by_splitting_and_items_do_not() {
        let utility = |items: &[u32]| {
            let items = items.to_vec();
            CoalitionGame::from_fn(items.len(), move |coalition| {
                let present = items.iter().enumerate().filter(|(at, _)| coalition >> at & 1 == 1);
                1.0 - 0.5f64.powi(present.map(|(_, count)| *count as i32).sum())
            })
            .unwrap()
            .semivalues(Semivalue::Shapley)
        };
        assert!(close(utility(&[2, 2])[0], 15.0 / 32.0));
        let shells = utility(&[1, 1, 2]);
        assert!(close(shells[0] + shells[1], 0.5));
        assert!(close(utility(&[1; 4])[..2].iter().sum(), 15.0 / 32.0));
        assert!(close(utility(&[2, 8])[0], 771.0 / 2048.0));
        let shells = utility(&[1, 1, 8]);
        assert!(close(shells[0] + shells[1], 107.0 / 256.0));
        assert!(close(utility(&[1; 10])[..2].iter().sum(), 1023.0 / 5120.0));
    }

    #[test]
    fn sampled_orders_approach_the_exact_values() {
        let game = coverage(&ABC);
        let coalition = |present: &[usize]| present.iter().map(|player| 1 << player).sum();
        let value = |present: &[usize]| Ok(game.value(coalition(present)));
        let sampled = sampled_shapley(&Streams::new(1, 0), 3, 10_000, value).unwrap();
        // A's marginals are 1 or 2 with equal chance: standard error .5 / sqrt(10,000).
        assert!((sampled[0].standard_error - 0.005).abs() < 1e-4);
        for (got, exact) in sampled.iter().zip([1.5, 1.0, 0.5]) {
            assert!((got.value - exact).abs() < 5.0 * got.standard_error, "{got:?}");
        }
        // Every order is efficient, so the sample is: the values sum to v(N) = 3.
        assert!(close(sampled.iter().map(|player| player.value).sum(), 3.0));
        let one = sampled_shapley(&Streams::new(1, 0), 3, 1, value);
        assert_eq!(one, Err(Refusal::parameter("orders")));
    }

    #[test]
    fn tables_must_be_complete_and_finite() {
        assert!(CoalitionGame::from_table(2, vec![0.0; 3]).is_err());
        assert!(CoalitionGame::from_fn(21, |_| 0.0).is_err());
        let refusal = CoalitionGame::from_table(1, vec![0.0, f64::NAN]).unwrap_err();
        assert_eq!(refusal, Refusal::NonFinite { contributor: 0, query: 1 });
    }
}
