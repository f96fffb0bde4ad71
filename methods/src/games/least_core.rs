//! Least core.
//!
//! # Computes
//! Payoffs `x` that minimise `e` subject to `x(N) = v(N)` and `x(S) + e >= v(S)` for all other
//! coalitions, with `v(empty)` taken off first: the largest discontent of a coalition is as small
//! as can be. The payoffs are one corner of a set; [`super::egalitarian_least_core`] is unique.
//!
//! With more than `exact-up-to` players, and for tables that hold a sample, the constraints are
//! those of random coalitions (and of the single players, without which `e` has no bound). A fifth
//! of them is held out: `held-out-violation` is by how much the worst of these is missed beyond
//! `e`. The standard error is a jackknife over ten groups of coalitions.
//!
//! # Axioms
//! Efficient, and null-free where the core is not empty; neither symmetric (a corner) nor linear.
//!
//! # Costs
//! `2^n` evaluations, or as many as `stop` allows; a programme of `n + 1` rows for each outcome.
//!
//! # References
//! Maschler, Peleg, Shapley, Geometric properties of the kernel, nucleolus, and related solution
//! concepts, 1979; Yan, Procaccia, If you like Shapley then you'll love the core, AAAI 2021.

use attribench_core::{
    Ask, Axioms, Coalition, Game, GameError, NamedValuation, Stopped, Valuation, ValuationContext,
    ValuationInfo, Valued,
};
use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};

use super::{
    banzhaf_msr::Coins,
    core_programme::Claims,
    recall::Recall,
    sampling::{Sampler, Stop},
    semivalue::tables,
    sums::{mean_of, spread_of_mean},
};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LeastCore {
    /// Most players of a game whose coalitions are all evaluated.
    pub exact_up_to: usize,
    /// Evaluations of a sampled programme.
    pub stop: Stop,
}

impl Default for LeastCore {
    fn default() -> Self {
        Self { exact_up_to: 16, stop: Stop::default() }
    }
}

impl NamedValuation for LeastCore {
    const INFO: ValuationInfo = ValuationInfo {
        name: "least-core",
        summary: "payoffs that leave the most discontent coalition as content as can be",
        estimates: "least-core",
        axioms: Axioms {
            is_efficient: true,
            is_symmetric: false,
            is_null_free: false,
            is_linear: false,
        },
    };

    fn check(&self) -> Result<(), String> {
        self.stop.check()
    }
}

impl Valuation for LeastCore {
    fn value(&self, game: &dyn Game, context: &ValuationContext<'_>) -> Result<Valued, GameError> {
        value(game, context, (self.exact_up_to, &self.stop), &|claims| {
            claims.least_core().map(|(e, payoffs)| (payoffs, e))
        })
    }
}

/// Solves the programme of one outcome: payoffs and `e`.
pub(crate) type Solve = dyn Fn(&Claims) -> Result<(Vec<f64>, f64), GameError>;

/// Payoffs by all coalitions of a small game, or by a sample.
pub(crate) fn value(
    game: &dyn Game,
    context: &ValuationContext<'_>,
    (exact_up_to, stop): (usize, &Stop),
    solve: &Solve,
) -> Result<Valued, GameError> {
    if game.known().is_some() || game.players() > exact_up_to {
        return sampled(game, context, stop, solve);
    }
    let players = game.players();
    let tables = tables(game, LeastCore::INFO.name)?;
    let coalitions: Vec<Coalition> =
        (0..1u64 << players).map(|mask| Coalition::from_mask(players, mask)).collect();
    let evaluations = tables.len() << players;
    // The mean game over seeds is the game; its seeds one by one tell the error.
    let (values, e) = payoffs(&coalitions, &mean_of(&tables), solve)?;
    if tables.len() == 1 {
        return Ok(Valued::exact(values, evaluations).with_fact("e", e));
    }
    let by_seed: Vec<Array2<f64>> = tables
        .iter()
        .map(|table| Ok(payoffs(&coalitions, table, solve)?.0))
        .collect::<Result<_, GameError>>()?;
    let errors = spread_of_mean(&by_seed);
    Ok(Valued::sampled(values, errors, evaluations, Stopped::Exact).with_fact("e", e))
}

/// Payoffs of every outcome, `(n, m)`, and the mean `e`, from worths `(coalitions, m)` of which
/// the first is that of nobody and the last that of everybody.
fn payoffs(
    coalitions: &[Coalition],
    worths: &Array2<f64>,
    solve: &Solve,
) -> Result<(Array2<f64>, f64), GameError> {
    let players = coalitions[0].players();
    let mut values = Array2::zeros((players, worths.ncols()));
    let mut sum = 0.0;
    for (outcome, worths) in worths.axis_iter(Axis(1)).enumerate() {
        let base = worths[0];
        let total = worths[worths.len() - 1] - base;
        let list = coalitions.iter().cloned().zip(worths.iter().map(|worth| worth - base));
        let (payoffs, e) = solve(&Claims::new(players, list, total)?)?;
        values.column_mut(outcome).assign(&ndarray::ArrayView1::from(&payoffs));
        sum += e;
    }
    let e = sum / worths.ncols() as f64;
    Ok((values, e))
}

/// Groups of coalitions of the jackknife, and one more of coalitions held out of every fifth.
const GROUPS: usize = 10;

fn sampled(
    game: &dyn Game,
    context: &ValuationContext<'_>,
    stop: &Stop,
    solve: &Solve,
) -> Result<Valued, GameError> {
    let players = game.players();
    let (repeats, mut recall) = (game.repeats(), Recall::new(game));
    let drawn: Vec<Coalition> = match game.known() {
        Some(known) => known.iter().filter(|c| !c.is_empty() && !c.is_full()).cloned().collect(),
        None => {
            let coins = Coins { players };
            let count = stop.evaluations.saturating_sub(players + 2) as u64;
            (0..count)
                .map(|draw| coins.draw(draw, &mut context.stream(Coins::STREAM, draw)))
                .filter(|coalition| !coalition.is_empty() && !coalition.is_full())
                .collect()
        }
    };
    let singles: Vec<Coalition> =
        (0..players).map(|player| Coalition::of(players, [player])).collect();
    let drawn: Vec<Coalition> = drawn.into_iter().filter(|coalition| coalition.len() > 1).collect();
    if drawn.len() < 2 * GROUPS {
        return Err(GameError::Unsuitable(format!(
            "{} coalitions of two or more are too few for a sampled least core\nhint: raise `stop.evaluations`, or give at least {} coalitions",
            drawn.len(),
            2 * GROUPS
        )));
    }
    let (held_out, used): (Vec<_>, Vec<_>) =
        drawn.into_iter().enumerate().partition(|(at, _)| at % 5 == 4);
    let unpack =
        |list: Vec<(usize, Coalition)>| list.into_iter().map(|(_, c)| c).collect::<Vec<_>>();
    let (held_out, used) = (unpack(held_out), unpack(used));
    let mut list = vec![Coalition::empty(players)];
    list.extend(singles);
    let fixed = list.len();
    list.extend(used);
    list.push(Coalition::full(players));
    let ask = |(draw, coalition): (usize, &Coalition)| Ask {
        coalition: coalition.clone(),
        repeat: repeats.of_draw(draw as u64),
    };
    let worths = recall.values(&list.iter().enumerate().map(ask).collect::<Vec<_>>())?;
    let held: Vec<Ask> = held_out.iter().enumerate().map(ask).collect();
    let held_worths = recall.values(&held)?;
    let (values, e) = payoffs(&list, &worths, solve)?;
    let violation = worst_violation(&held_out, &held_worths, &worths, &values) - e;
    let errors = jackknife(&list, &worths, fixed, &values, solve)?;
    Ok(Valued::sampled(values, errors, recall.evaluations(), Stopped::Evaluations)
        .with_fact("e", e)
        .with_fact("held-out-violation", violation))
}

/// Largest `v(S) - x(S)` over coalitions, averaged over outcomes.
fn worst_violation(
    coalitions: &[Coalition],
    worths: &Array2<f64>,
    all: &Array2<f64>,
    values: &Array2<f64>,
) -> f64 {
    let outcomes = worths.ncols();
    let of = |outcome: usize| {
        coalitions
            .iter()
            .enumerate()
            .map(|(row, coalition)| {
                let paid: f64 = coalition.members().map(|i| values[(i, outcome)]).sum();
                worths[(row, outcome)] - all[(0, outcome)] - paid
            })
            .fold(f64::NEG_INFINITY, f64::max)
    };
    (0..outcomes).map(of).sum::<f64>() / outcomes as f64
}

/// Standard errors from leaving out one group of coalitions in its turn: nobody, single players
/// and everybody always stay.
fn jackknife(
    list: &[Coalition],
    worths: &Array2<f64>,
    fixed: usize,
    values: &Array2<f64>,
    solve: &Solve,
) -> Result<Array2<f64>, GameError> {
    let last = list.len() - 1;
    let mut square = Array2::<f64>::zeros(values.dim());
    for group in 0..GROUPS {
        let stays = |&row: &usize| row < fixed || row == last || row % GROUPS != group;
        let rows: Vec<usize> = (0..list.len()).filter(stays).collect();
        let kept: Vec<Coalition> = rows.iter().map(|&row| list[row].clone()).collect();
        let (found, _) = payoffs(&kept, &worths.select(Axis(0), &rows), solve)?;
        square += &(found - values).mapv(|deviation| deviation * deviation);
    }
    let factor = (GROUPS - 1) as f64 / GROUPS as f64;
    Ok(square.mapv(|square| (square * factor).sqrt()))
}
