//! Faithful group Shapley: an owner is paid for his items' values, however he groups them.
//!
//! `phi_G = sum over items i of G of the Shapley value of i` in the game between items;
//! `w_G = (phi_G)+`. An owner who moves items between shells changes nothing in sum as long as no
//! shell's value is negative; the value of a group as one player would change. No parameters.
//!
//! Attack: replication of items, which this rule does not address.
//!
//! Source: Lee, Liu, Tang, Zhang, Faithful Group Shapley Value (2025).

use super::{Entry, Inputs, Parameters, Reader, Rule, Settlement, State, require};
use crate::refusal::Refusal;
use crate::semivalue::{CoalitionGame, Semivalue};

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "faithful-group",
    summary: "owners paid the Shapley values of their items, proof against shells",
    attack: "replication of items",
    needs: &["an item game with owners"],
    build,
};

/// A game between items and the contributor who owns each.
#[derive(Clone, Copy, Debug)]
pub struct OwnedItems<'a> {
    /// The game between items.
    pub game: &'a CoalitionGame,
    /// Owner of each item.
    pub owners: &'a [usize],
}

fn build(parameters: &Parameters) -> Result<Box<dyn Rule>, Refusal> {
    Reader::new(parameters).finish()?;
    Ok(Box::new(FaithfulGroup))
}

#[derive(Debug)]
struct FaithfulGroup;

impl Rule for FaithfulGroup {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn reads_scores(&self) -> bool {
        false
    }

    fn settle(&self, inputs: &Inputs<'_>, _: &State) -> Result<Settlement, Refusal> {
        let items = require(inputs.side.items, ENTRY.name, "an item game with owners")?;
        let known = items.owners.iter().all(|owner| *owner < inputs.contributors);
        if items.owners.len() != items.game.players() || !known {
            return Err(Refusal::RuleNeeds { rule: ENTRY.name, input: "an owner of each item" });
        }
        let mut phi = vec![0.0; inputs.contributors];
        let values = items.game.semivalues(Semivalue::Shapley);
        for (owner, value) in items.owners.iter().zip(values) {
            phi[*owner] += value;
        }
        inputs.split_by_scores(&phi)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::rules::settle;

    /// G23: U(s) = 1 - 2^-s; two and two items are worth 15/32 each way, however they are held.
    #[test]
    fn shells_gain_nothing() {
        let value = |coalition: usize| 1.0 - 0.5f64.powi(coalition.count_ones() as i32);
        let game = CoalitionGame::from_fn(4, value).unwrap();
        let run = |contributors, owners: &[usize]| {
            let pots = amounts(&[1_000]);
            let mut inputs = Inputs::new(contributors, &pots);
            inputs.side.items = Some(OwnedItems { game: &game, owners });
            settle(&FaithfulGroup, &inputs, &State::Fresh).map(|settlement| settlement.payouts)
        };
        assert_eq!(run(2, &[0, 0, 1, 1]), Ok(amounts(&[500, 500])));
        assert_eq!(run(3, &[0, 2, 1, 1]), Ok(amounts(&[250, 500, 250])));
        assert!(run(1, &[0, 0, 1, 1]).is_err());
        assert!(run(2, &[0, 0, 1]).is_err());
    }
}
