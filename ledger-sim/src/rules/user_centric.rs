//! User-centric: each user's fee goes to what that user used.
//!
//! `p_i = sum over users of f_u c_ui / sum_j c_uj`, one exact split for each user; pot `u` is the
//! fee of user `u`. With `variant` = `shapley-index` each fee is split equally among the
//! contributors whom that user touched (Bergantinos and Moreno-Ternero), which is the Shapley value
//! of "users who use only members of S". A fee without use goes where the scenario says; money of
//! earlier settlements is split by total uses.
//!
//! Parameters: `variant` = `proportional` or `shapley-index`.
//!
//! Attack: next to none by bots, which get back at most their own fee.

use super::{Entry, Inputs, OnEmpty, Parameters, Reader, Rule, Settlement, State};
use crate::apportion::{Ties, apportion};
use crate::money::Amount;
use crate::refusal::Refusal;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "user-centric",
    summary: "each user's fee to what that user used",
    attack: "bots get back at most their fee; light users weigh more per use",
    needs: &["usage", "a pot for each user"],
    build,
};

fn build(parameters: &Parameters) -> Result<Box<dyn Rule>, Refusal> {
    let mut reader = Reader::new(parameters);
    let variants =
        [("proportional", Variant::Proportional), ("shapley-index", Variant::ShapleyIndex)];
    let variant = reader.choice("variant", &variants)?;
    reader.finish()?;
    Ok(Box::new(UserCentric { variant }))
}

#[derive(Clone, Copy, Debug)]
enum Variant {
    Proportional,
    ShapleyIndex,
}

#[derive(Debug)]
struct UserCentric {
    variant: Variant,
}

impl UserCentric {
    fn weight(&self, uses: u64) -> u64 {
        match self.variant {
            Variant::Proportional => uses,
            Variant::ShapleyIndex => 1,
        }
    }
}

/// Adds the parts of one split to the payouts of `members`.
fn pay(
    money: Amount,
    members: &[usize],
    weights: &[u64],
    ties: &Ties<'_>,
    payouts: &mut [Amount],
) -> Result<(), Refusal> {
    for (member, part) in members.iter().zip(apportion(money, weights, ties)?) {
        payouts[*member] = payouts[*member].plus(part)?;
    }
    Ok(())
}

impl Rule for UserCentric {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn reads_scores(&self) -> bool {
        false
    }

    fn settle(&self, inputs: &Inputs<'_>, _: &State) -> Result<Settlement, Refusal> {
        let usage = inputs.usage(ENTRY.name)?;
        if usage.rows().len() != inputs.pots.len() {
            return Err(Refusal::RuleNeeds { rule: ENTRY.name, input: "a pot for each user" });
        }
        let mut payouts = vec![Amount::ZERO; inputs.contributors];
        let mut idle = Amount::ZERO;
        for (row, fee) in usage.rows().iter().zip(inputs.pots) {
            if row.is_empty() {
                idle = idle.plus(*fee)?;
                continue;
            }
            let members: Vec<usize> = row.iter().map(|(contributor, _)| *contributor).collect();
            let weights: Vec<u64> = row.iter().map(|(_, uses)| self.weight(*uses)).collect();
            pay(*fee, &members, &weights, &inputs.ties().among(&members), &mut payouts)?;
        }
        let members: Vec<usize> = (0..inputs.contributors).collect();
        match pay(inputs.carry_in, &members, &usage.totals(), &inputs.ties(), &mut payouts) {
            Err(Refusal::ZeroTotalWeight) => idle = idle.plus(inputs.carry_in)?,
            other => other?,
        }
        let mut settlement = Settlement { payouts, ..Settlement::default() };
        match inputs.on_empty {
            OnEmpty::Carry => settlement.carry = idle,
            OnEmpty::Burn => settlement.burn = idle,
            OnEmpty::Treasury => settlement.returned = idle,
        }
        Ok(settlement)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::rules::{Usage, Value, settle};

    fn run(variant: &str, usage: &Usage, pots: &[u128]) -> Settlement {
        let rule = rule(ENTRY.name, &[("variant", Value::Text(variant.to_owned()))]);
        let pots = amounts(pots);
        let mut inputs = Inputs::new(usage.contributors(), &pots);
        inputs.side.usage = Some(usage);
        settle(rule.as_ref(), &inputs, &State::Fresh).unwrap()
    }

    /// G28.
    #[test]
    fn uses_of_three_users() {
        let rows = vec![vec![(0, 10)], vec![(0, 6), (1, 2)], vec![(1, 1), (2, 3)]];
        let usage = Usage::new(3, rows).unwrap();
        // 1 + 3/4, 1/4 + 1/4, 3/4 of a fee of 4.
        assert_eq!(run("proportional", &usage, &[4; 3]).payouts, amounts(&[7, 2, 3]));
        // 1 + 1/2, 1/2 + 1/2, 1/2.
        assert_eq!(run("shapley-index", &usage, &[4; 3]).payouts, amounts(&[6, 4, 2]));
    }

    /// G29: contributor 0 is the head, 1 the rest; one heavy user and four light ones.
    #[test]
    fn the_sign_follows_the_taste_of_the_active() {
        let head_share = |heavy: u64, light: u64| {
            let mut rows = vec![vec![(0, heavy), (1, 12_000 - heavy)]];
            rows.extend(vec![vec![(0, light), (1, 3_000 - light)]; 4]);
            let usage = Usage::new(2, rows).unwrap();
            let centric = run("proportional", &usage, &[3_000_000; 5]).payouts[0].get();
            let totals = usage.totals();
            let pro_rata = totals[0] as f64 / (totals[0] + totals[1]) as f64;
            (pro_rata, centric as f64 / 15_000_000.0)
        };
        let (pro_rata, centric) = head_share(1_436, 199);
        assert!((pro_rata - 0.093).abs() < 1e-12 && (centric - 0.077).abs() < 1e-12);
        assert!((centric / pro_rata - 1.0 + 0.172_043).abs() < 1e-6);
        let (pro_rata, centric) = head_share(796, 359);
        assert!((pro_rata - 0.093).abs() < 1e-12 && (centric - 0.109).abs() < 1e-12);
    }

    #[test]
    fn idle_fees_wait_and_earlier_money_follows_use() {
        let usage = Usage::new(2, vec![vec![(1, 5)], vec![]]).unwrap();
        let settlement = run("proportional", &usage, &[10, 7]);
        assert_eq!((settlement.payouts, settlement.carry.get()), (amounts(&[0, 10]), 7));
        let pots = amounts(&[10, 7]);
        let mut inputs = Inputs::new(2, &pots);
        inputs.side.usage = Some(&usage);
        inputs.carry_in = Amount::new(3);
        inputs.on_empty = OnEmpty::Burn;
        let settlement = settle(rule(ENTRY.name, &[]).as_ref(), &inputs, &State::Fresh).unwrap();
        assert_eq!((settlement.payouts, settlement.burn.get()), (amounts(&[0, 13]), 7));
    }
}
