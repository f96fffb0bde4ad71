//! The linear and the quadratic programme behind the cores.
//!
//! Both are small in the number of players and large in the number of coalitions, so both look at
//! all coalitions only to find the one whose claim is violated most. The simplex method is our
//! own: a general solver would be handed `2^n` rows of which `n + 1` matter, and interior-point
//! methods end with eight digits where tests against closed forms ask for twelve.

use attribench_core::{Coalition, GameError};

use super::linear::solve;

/// What coalitions claim: `x(S) + e >= worth(S)` for each, and `x(N) = total`.
pub(crate) struct Claims {
    players: usize,
    members: Vec<Vec<usize>>,
    worths: Vec<f64>,
    total: f64,
    singles: Vec<usize>,
}

/// Violations below this times the largest worth are rounding.
const ROUNDING: f64 = 1e-12;

impl Claims {
    /// Claims of coalitions that are neither empty nor everybody, with worths over `v(empty) = 0`.
    ///
    /// # Errors
    /// When a single player is missing: without all of them `e` need not have a lower bound.
    pub(crate) fn new(
        players: usize,
        claims: impl IntoIterator<Item = (Coalition, f64)>,
        total: f64,
    ) -> Result<Self, GameError> {
        let mut singles = vec![None; players];
        let (mut members, mut worths) = (Vec::new(), Vec::new());
        for (coalition, worth) in claims {
            let list: Vec<usize> = coalition.members().collect();
            if list.is_empty() || list.len() == players {
                continue;
            }
            if let [single] = list[..] {
                singles[single] = Some(members.len());
            }
            members.push(list);
            worths.push(worth);
        }
        // The one player of a game of one is everybody, whose claim is met by `x(N) = v(N)`.
        let missing = singles.iter().position(Option::is_none).filter(|_| players > 1);
        if let Some(missing) = missing {
            return Err(GameError::Unsuitable(format!(
                "the least core needs the worth of each single player, that of {missing} is missing\nhint: add the coalition {{{missing}}} to the table"
            )));
        }
        let singles = singles.into_iter().flatten().collect();
        Ok(Self { players, members, worths, total, singles })
    }

    fn scale(&self) -> f64 {
        self.worths.iter().fold(self.total.abs().max(1e-300), |most, worth| most.max(worth.abs()))
    }

    fn sum(&self, claim: usize, payoffs: &[f64]) -> f64 {
        self.members[claim].iter().map(|&member| payoffs[member]).sum()
    }

    /// The claim that is violated most and by how much: `max_S worth(S) - x(S)`.
    pub(crate) fn worst(&self, payoffs: &[f64]) -> (usize, f64) {
        (0..self.members.len())
            .map(|claim| (claim, self.worths[claim] - self.sum(claim, payoffs)))
            .fold(
                (0, f64::NEG_INFINITY),
                |worst, found| if found.1 > worst.1 { found } else { worst },
            )
    }

    /// The smallest `e` for which payoffs `x` exist, and such payoffs: a corner of the least core.
    ///
    /// The simplex method on the dual, `max sum_S l_S worth(S) - m total` over balanced weights
    /// `sum_{S with i} l_S = m`, `sum_S l_S = 1`, whose multipliers are `(x, e)`. It starts with
    /// the single players; right sides are moved apart a little, so that no basis is degenerate.
    ///
    /// # Errors
    /// When it does not end.
    pub(crate) fn least_core(&self) -> Result<(f64, Vec<f64>), GameError> {
        if self.players == 1 {
            return Ok((0.0, vec![self.total]));
        }
        let size = self.players + 1;
        // The last member of a basis is always `m`, which is positive whatever the weights.
        let mut basis = self.singles.clone();
        let right: Vec<f64> = (0..self.players)
            .map(|row| 1e-9 * (1.0 + (row as f64 * 0.618_033_988_75).fract()))
            .chain([1.0])
            .collect();
        let most = MOST_ITERATIONS * size;
        for _ in 0..most {
            let payoffs = self.multipliers(&basis)?;
            let (claim, violation) = self.worst(&payoffs[..self.players]);
            let excess = violation - payoffs[self.players];
            if excess <= ROUNDING * self.scale() {
                let (payoffs, e) = payoffs.split_at(self.players);
                return Ok((e[0], payoffs.to_vec()));
            }
            let level = self.in_basis(&basis, right.clone())?;
            let direction = self.in_basis(&basis, self.column(claim))?;
            let leaving = (0..basis.len())
                .filter(|&at| direction[at] > 1e-9)
                .min_by(|&a, &b| (level[a] / direction[a]).total_cmp(&(level[b] / direction[b])))
                .ok_or_else(|| not_converged(0))?;
            basis[leaving] = claim;
        }
        Err(not_converged(most))
    }

    /// `(1_S, 1)`.
    fn column(&self, claim: usize) -> Vec<f64> {
        let mut column = vec![0.0; self.players + 1];
        for &member in &self.members[claim] {
            column[member] = 1.0;
        }
        column[self.players] = 1.0;
        column
    }

    /// Columns of a basis: its claims, then `m` with `(-1, ..., -1, 0)`.
    fn columns(&self, basis: &[usize]) -> Vec<Vec<f64>> {
        let mut columns: Vec<Vec<f64>> = basis.iter().map(|&claim| self.column(claim)).collect();
        let mut last = vec![-1.0; self.players];
        last.push(0.0);
        columns.push(last);
        columns
    }

    /// `(x, e)` that meet the claims of a basis exactly and sum to the total.
    fn multipliers(&self, basis: &[usize]) -> Result<Vec<f64>, GameError> {
        let costs = basis.iter().map(|&claim| self.worths[claim]).chain([-self.total]).collect();
        solve(self.columns(basis), costs).ok_or_else(|| not_converged(0))
    }

    /// A vector in terms of the columns of a basis.
    fn in_basis(&self, basis: &[usize], right: Vec<f64>) -> Result<Vec<f64>, GameError> {
        let columns = self.columns(basis);
        let rows = (0..columns.len())
            .map(|row| columns.iter().map(|column| column[row]).collect())
            .collect();
        solve(rows, right).ok_or_else(|| not_converged(0))
    }

    /// The shortest payoffs with `x(S) + e >= worth(S)` and `x(N) = total`: unique.
    ///
    /// The dual method of Goldfarb and Idnani: start from equal shares, and take in violated claims
    /// one by one, most violated first, letting go of claims whose multiplier would turn negative.
    ///
    /// # Errors
    /// When no payoffs meet the claims, or it does not end.
    pub(crate) fn shortest(&self, e: f64) -> Result<Vec<f64>, GameError> {
        let mut payoffs = vec![self.total / self.players as f64; self.players];
        let (mut active, mut multipliers): (Vec<usize>, Vec<f64>) = (Vec::new(), Vec::new());
        // The optimal `e` is rounded, so that the least core may be empty by as much.
        let tolerance = 100.0 * ROUNDING * self.scale();
        let most = MOST_ITERATIONS * (self.players + 1);
        for _ in 0..most {
            let (claim, violation) = self.worst(&payoffs);
            if violation - e <= tolerance {
                return Ok(payoffs);
            }
            self.take_in(claim, e, (&mut payoffs, &mut active, &mut multipliers))?;
        }
        Err(not_converged(most))
    }

    fn take_in(
        &self,
        claim: usize,
        e: f64,
        (payoffs, active, multipliers): (&mut [f64], &mut Vec<usize>, &mut Vec<f64>),
    ) -> Result<(), GameError> {
        let mut own = 0.0;
        loop {
            let (step, shares) = self.projected(claim, active)?;
            let square: f64 = self.members[claim].iter().map(|&member| step[member]).sum();
            let need = self.worths[claim] - e - self.sum(claim, payoffs);
            let full = if square > 1e-10 { need / square } else { f64::INFINITY };
            // The first share is that of `x(N) = total`, which is never let go.
            let (leaving, partial) =
                (0..active.len())
                    .filter(|&at| shares[at + 1] > 1e-12)
                    .map(|at| (at, multipliers[at] / shares[at + 1]))
                    .fold((usize::MAX, f64::INFINITY), |least, found| {
                        if found.1 < least.1 { found } else { least }
                    });
            let length = full.min(partial);
            if length == f64::INFINITY {
                return Err(not_converged(0));
            }
            if full < f64::INFINITY {
                for (payoff, step) in payoffs.iter_mut().zip(&step) {
                    *payoff += length * step;
                }
            }
            for (multiplier, share) in multipliers.iter_mut().zip(&shares[1..]) {
                *multiplier -= length * share;
            }
            own += length;
            if full <= partial {
                active.push(claim);
                multipliers.push(own);
                return Ok(());
            }
            active.remove(leaving);
            multipliers.remove(leaving);
        }
    }

    /// The claim's normal without its part in the span of the active ones (and of all ones), and
    /// its shares in these.
    fn projected(&self, claim: usize, active: &[usize]) -> Result<(Vec<f64>, Vec<f64>), GameError> {
        let normal = |claim: usize| {
            let mut normal = vec![0.0; self.players];
            for &member in &self.members[claim] {
                normal[member] = 1.0;
            }
            normal
        };
        let normals: Vec<Vec<f64>> = std::iter::once(vec![1.0; self.players])
            .chain(active.iter().map(|&claim| normal(claim)))
            .collect();
        let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(x, y)| x * y).sum() };
        let own = normal(claim);
        let gram = normals.iter().map(|a| normals.iter().map(|b| dot(a, b)).collect()).collect();
        let right = normals.iter().map(|a| dot(a, &own)).collect();
        let shares = solve(gram, right).ok_or_else(|| not_converged(0))?;
        let mut step = own;
        for (normal, share) in normals.iter().zip(&shares) {
            for (value, normal) in step.iter_mut().zip(normal) {
                *value -= share * normal;
            }
        }
        Ok((step, shares))
    }
}

/// Iterations a row of the basis after which something is wrong.
const MOST_ITERATIONS: usize = 200;

fn not_converged(iterations: usize) -> GameError {
    GameError::NotConverged { what: "the programme of the least core", iterations }
}

#[cfg(test)]
mod tests {
    use attribench_core::Coalition;
    use proptest::prelude::*;

    use super::{Claims, solve};

    fn claims(worths: &[f64]) -> Claims {
        let players = worths.len().ilog2() as usize;
        let list = worths
            .iter()
            .enumerate()
            .map(|(mask, &worth)| (Coalition::from_mask(players, mask as u64), worth));
        Claims::new(players, list, worths[worths.len() - 1]).unwrap()
    }

    /// The empty coalition is worth nothing.
    fn worths_of(players: usize, numbers: &[i8]) -> Vec<f64> {
        let worth = |(mask, &value)| if mask == 0 { 0.0 } else { f64::from(value) };
        numbers[..1 << players].iter().enumerate().map(worth).collect()
    }

    /// The least `e` over all corners: every choice of `n` claims that hold with equality.
    fn by_enumeration(worths: &[f64]) -> f64 {
        let players = worths.len().ilog2() as usize;
        let proper: Vec<usize> = (1..worths.len() - 1).collect();
        let mut least = f64::INFINITY;
        for choice in 0usize..1 << proper.len() {
            if choice.count_ones() as usize != players {
                continue;
            }
            let chosen = (0..proper.len()).filter(|at| choice >> at & 1 == 1).map(|at| proper[at]);
            let mut rows = vec![vec![1.0; players]];
            rows[0].push(0.0);
            let mut right = vec![worths[worths.len() - 1]];
            for mask in chosen {
                let mut row: Vec<f64> =
                    (0..players).map(|i| f64::from((mask >> i & 1) as u8)).collect();
                row.push(1.0);
                rows.push(row);
                right.push(worths[mask]);
            }
            let Some(corner) = solve(rows, right) else { continue };
            let sum = |mask: usize| -> f64 {
                (0..players).filter(|i| mask >> i & 1 == 1).map(|i| corner[i]).sum()
            };
            let e = corner[players];
            if proper.iter().all(|&mask| sum(mask) + e >= worths[mask] - 1e-9) {
                least = least.min(e);
            }
        }
        least
    }

    #[test]
    fn a_single_player_gets_all() {
        assert_eq!(claims(&[0.0, 7.0]).least_core().unwrap(), (0.0, vec![7.0]));
    }

    #[test]
    fn a_missing_single_player_is_named() {
        let list = [(Coalition::from_mask(2, 1), 1.0)];
        let error = Claims::new(2, list, 1.0).err().unwrap().to_string();
        assert!(error.contains("that of 1 is missing"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn the_simplex_finds_what_enumeration_finds(
            players in 2usize..5,
            numbers in prop::collection::vec(-3i8..8, 16),
        ) {
            // Small integers tie often, which is where a simplex method goes wrong.
            let worths = worths_of(players, &numbers);
            let claims = claims(&worths);
            let (e, payoffs) = claims.least_core().unwrap();
            prop_assert!((e - by_enumeration(&worths)).abs() < 1e-9, "{worths:?}");
            prop_assert!(claims.worst(&payoffs).1 - e < 1e-9);
            let total: f64 = payoffs.iter().sum();
            prop_assert!((total - worths[worths.len() - 1]).abs() < 1e-9);
        }

        #[test]
        fn nothing_in_the_least_core_is_shorter(
            players in 2usize..5,
            numbers in prop::collection::vec(-3i8..8, 16),
            moves in prop::collection::vec(-1.0f64..1.0, 5),
        ) {
            let worths = worths_of(players, &numbers);
            let claims = claims(&worths);
            let (e, corner) = claims.least_core().unwrap();
            let shortest = claims.shortest(e).unwrap();
            let square = |x: &[f64]| -> f64 { x.iter().map(|v| v * v).sum() };
            prop_assert!(claims.worst(&shortest).1 - e < 1e-9);
            prop_assert!(square(&shortest) <= square(&corner) + 1e-9);
            // Any other payoffs that meet the claims are longer.
            let mean = moves[..players].iter().sum::<f64>() / players as f64;
            let other: Vec<f64> =
                shortest.iter().zip(&moves).map(|(x, step)| x + step - mean).collect();
            if claims.worst(&other).1 <= e {
                prop_assert!(square(&shortest) <= square(&other) + 1e-9);
            }
        }
    }
}
