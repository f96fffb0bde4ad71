//! Which axioms a rule keeps, and by how much it breaks the others.
//!
//! Checked on small random score matrices with a pot of a million units, so that rounding (one unit
//! a contributor and settlement) is told apart from a broken axiom. The report is evidence: a rule
//! that passes has passed on these games.

use serde::Serialize;

use super::Rule;
use crate::money::Amount;
use crate::random::{Purpose, Streams};
use crate::refusal::Refusal;
use crate::scores::ScoreView;
use crate::stream::{StreamOptions, settle_stream};

/// Largest violation of each axiom, as a share of the pot; rounding is below `1e-5`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Axioms {
    /// Money that is not paid out although somebody has a positive score.
    pub efficiency: f64,
    /// Difference between two contributors with the same scores.
    pub symmetry: f64,
    /// Pay of a contributor whose scores are all zero.
    pub null_player: f64,
    /// Difference between paying two streams at once and one after the other.
    pub additivity: f64,
    /// Loss of a contributor whose scores have risen, all others' being equal.
    pub monotonicity: f64,
    /// Gain of a contributor who splits its scores evenly over two names.
    pub false_names: f64,
}

/// Violations below this share of the pot are rounding.
pub const ROUNDING: f64 = 1e-5;

const POT: u128 = 1_000_000;
const PEOPLE: usize = 6;
const QUERIES: usize = 4;
const GAMES: u64 = 50;

/// Checks a rule that needs scores alone on random games.
///
/// # Errors
/// Those of [`settle_stream`].
pub fn axioms(rule: &dyn Rule, seed: u64) -> Result<Axioms, Refusal> {
    let streams = Streams::new(seed, 0);
    let mut worst = Axioms::default();
    let keep = |place: &mut f64, value: f64| *place = place.max(value);
    for game in 0..GAMES {
        let base = scores(&streams, game);
        let pay = |rows: &[Vec<f64>], pot: u128| -> Result<Vec<f64>, Refusal> {
            let values: Vec<f64> = rows.concat();
            let view = ScoreView::from_dense(rows.len(), rows[0].len(), &values)?;
            let options = StreamOptions::seeded(seed);
            let paid = settle_stream(&view, Amount::new(pot), rule, &options)?;
            Ok(paid.payouts().iter().map(|amount| amount.get() as f64 / POT as f64).collect())
        };
        let paid = pay(&base, POT)?;
        keep(&mut worst.efficiency, 1.0 - paid.iter().sum::<f64>());
        // Contributors 0 and 1 have equal scores, contributor 2 has none.
        keep(&mut worst.symmetry, (paid[0] - paid[1]).abs());
        keep(&mut worst.null_player, paid[2]);
        let halves = base.iter().map(|row| row.split_at(QUERIES / 2));
        let (first, second): (Vec<_>, Vec<_>) =
            halves.map(|(a, b)| (a.to_vec(), b.to_vec())).unzip();
        let (first, second) = (pay(&first, POT / 2)?, pay(&second, POT / 2)?);
        let apart = first.iter().zip(&second).map(|(a, b)| a + b).zip(&paid);
        keep(&mut worst.additivity, apart.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max));
        let mut raised = base.clone();
        raised[3].iter_mut().for_each(|score| *score += 0.5);
        keep(&mut worst.monotonicity, paid[3] - pay(&raised, POT)?[3]);
        let mut split = base.clone();
        split[3].iter_mut().for_each(|score| *score /= 2.0);
        split.push(split[3].clone());
        let names = pay(&split, POT)?;
        keep(&mut worst.false_names, names[3] + names[PEOPLE] - paid[3]);
    }
    Ok(worst)
}

/// Scores between -1 and 2, the first two contributors alike and never negative, so that every
/// query has a claimant and no pot waits for the next; the third without any.
fn scores(streams: &Streams, game: u64) -> Vec<Vec<f64>> {
    let draw = |person: usize, query: usize| {
        3.0 * streams.uniform(Purpose::Design, game, 9, (person * QUERIES + query) as u64) - 1.0
    };
    (0..PEOPLE)
        .map(|person| match person {
            0 | 1 => (0..QUERIES).map(|query| draw(0, query).abs()).collect(),
            2 => vec![0.0; QUERIES],
            person => (0..QUERIES).map(|query| draw(person, query)).collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{ROUNDING, axioms};
    use crate::rules::{Parameters, Value, build, stream_rules};

    fn of(name: &str) -> super::Axioms {
        axioms(build(name, &Parameters::new()).unwrap().as_ref(), 5).unwrap()
    }

    #[test]
    fn score_rules_keep_what_proportion_keeps() {
        for name in ["linear-clipped", "net-then-clip"] {
            let found = of(name);
            for value in [found.efficiency, found.symmetry, found.null_player, found.monotonicity] {
                assert!(value < ROUNDING, "{name}: {found:?}");
            }
            // Splitting evenly leaves the sum of positive parts as it was.
            assert!(found.false_names < ROUNDING, "{name}: {found:?}");
        }
        // Clipping query by query pays queries apart; netting lets one query's loss eat another's.
        assert!(of("linear-clipped").additivity < ROUNDING);
        assert!(of("net-then-clip").additivity > 0.01);
    }

    #[test]
    fn an_equal_split_breaks_what_it_must() {
        let found = of("equal");
        // A sixth goes to the null player; with seven names a second one brings 2/7 - 1/6.
        assert!((found.null_player - 1.0 / 6.0).abs() < ROUNDING, "{found:?}");
        assert!((found.false_names - (2.0 / 7.0 - 1.0 / 6.0)).abs() < ROUNDING, "{found:?}");
        assert!(found.monotonicity < ROUNDING && found.symmetry < ROUNDING);
    }

    #[test]
    fn powers_reward_splitting_below_one_and_merging_above() {
        let power = |exponent: f64| {
            let parameters = Parameters::from([("exponent".to_owned(), Value::Number(exponent))]);
            axioms(build("power", &parameters).unwrap().as_ref(), 5).unwrap().false_names
        };
        assert!(power(0.5) > 0.01);
        assert!(power(2.0) < ROUNDING);
    }

    #[test]
    fn every_stream_rule_pays_out_what_it_is_given() {
        for entry in stream_rules() {
            let found = of(entry.name);
            assert!(found.efficiency < ROUNDING, "{}: {found:?}", entry.name);
        }
    }
}
