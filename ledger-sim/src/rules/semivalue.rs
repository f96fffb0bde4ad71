//! Semivalue of a game between contributors, clipped and normalised.
//!
//! `phi_i = sum over S without i of weight(|S|) (v(S + i) - v(S))`, `w_i = (phi_i)+`, exact from a
//! table of all coalitions of at most twenty contributors.
//!
//! Parameters: `kind` = `shapley`, `banzhaf`, `weighted-banzhaf`, `leave-one-out` or `beta`;
//! `theta` (probability of presence, default .5) for `weighted-banzhaf`; `a`, `b` (default 16 and
//! 1) for `beta`.
//!
//! Attack: replication. The total of a Banzhaf value does not rise with one copy, its share of a
//! pot does. The choice of the utility changes values as well (Diehl and Wilson 2025).

use super::{Entry, Inputs, Parameters, Reader, Rule, Settlement, State, require};
use crate::refusal::Refusal;
use crate::semivalue::{CoalitionGame, Semivalue};

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "semivalue",
    summary: "in proportion to a positive semivalue (Shapley, Banzhaf, Beta, leave-one-out)",
    attack: "replication: copies raise the share even where the value is robust",
    needs: &["a coalition game"],
    build,
};

fn build(parameters: &Parameters) -> Result<Box<dyn Rule>, Refusal> {
    let mut reader = Reader::new(parameters);
    let theta = reader.number("theta", 0.5, |theta| (0.0..=1.0).contains(&theta))?;
    let a = reader.number("a", 16.0, |a| a > 0.0)?;
    let b = reader.number("b", 1.0, |b| b > 0.0)?;
    let kinds = [
        ("shapley", Semivalue::Shapley),
        ("banzhaf", Semivalue::Banzhaf),
        ("weighted-banzhaf", Semivalue::WeightedBanzhaf(theta)),
        ("leave-one-out", Semivalue::LeaveOneOut),
        ("beta", Semivalue::Beta(a, b)),
    ];
    let kind = reader.choice("kind", &kinds)?;
    reader.finish()?;
    Ok(Box::new(NormalisedSemivalue { kind }))
}

#[derive(Debug)]
struct NormalisedSemivalue {
    kind: Semivalue,
}

impl Rule for NormalisedSemivalue {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn reads_scores(&self) -> bool {
        false
    }

    fn settle(&self, inputs: &Inputs<'_>, _: &State) -> Result<Settlement, Refusal> {
        inputs.split_by_scores(&inputs.game(ENTRY.name)?.semivalues(self.kind))
    }
}

impl<'a> Inputs<'a> {
    /// The game between the contributors.
    pub(super) fn game(&self, rule: &'static str) -> Result<&'a CoalitionGame, Refusal> {
        let game = require(self.side.game, rule, "a coalition game")?;
        if game.players() != self.contributors {
            return Err(Refusal::RuleNeeds { rule, input: "a game of the contributors" });
        }
        Ok(game)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::rules::{Value, settle};
    use crate::semivalue::testing::{ABC, coverage};

    fn run(kind: &str, points: &[u32], pot: u128) -> Settlement {
        let rule = rule(ENTRY.name, &[("kind", Value::Text(kind.to_owned()))]);
        let game = coverage(points);
        let pots = amounts(&[pot]);
        let mut inputs = Inputs::new(points.len(), &pots);
        inputs.side.game = Some(&game);
        settle(rule.as_ref(), &inputs, &State::Fresh).unwrap()
    }

    /// G19: shares of the coverage game, and of Banzhaf after one copy of A: 6/11 of the pot.
    #[test]
    fn one_copy_raises_a_banzhaf_share() {
        // Shapley 3/2, 1, 1/2.
        assert_eq!(run("shapley", &ABC, 600).payouts, amounts(&[300, 200, 100]));
        assert_eq!(run("banzhaf", &ABC, 600).payouts[0].get(), 300);
        let copied = run("banzhaf", &[ABC[0], ABC[1], ABC[2], ABC[0]], 1_100).payouts;
        assert_eq!(copied[0].get() + copied[3].get(), 600);
        // Leave-one-out pays a copied contributor nothing.
        let copied = run("leave-one-out", &[0b01, 0b10, 0b01], 10).payouts;
        assert_eq!(copied, amounts(&[0, 10, 0]));
    }

    /// G09: two identical sellers; A copies once and rises from 1/2 to 2/3.
    #[test]
    fn replication_by_one_of_two() {
        assert_eq!(run("shapley", &[1, 1], 600).payouts, amounts(&[300, 300]));
        assert_eq!(run("shapley", &[1, 1, 1], 600).payouts, amounts(&[200, 200, 200]));
    }

    #[test]
    fn needs_a_game_of_the_contributors() {
        let rule = rule(ENTRY.name, &[]);
        let pots = amounts(&[1]);
        let game = coverage(&ABC);
        let mut inputs = Inputs::new(2, &pots);
        assert!(settle(rule.as_ref(), &inputs, &State::Fresh).is_err());
        inputs.side.game = Some(&game);
        assert!(settle(rule.as_ref(), &inputs, &State::Fresh).is_err());
    }
}
