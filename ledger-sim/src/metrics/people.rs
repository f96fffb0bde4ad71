//! Whether recognition reaches people: reach, stranded money, and the waterfall that accounts for
//! every base unit between a pot and the people.

use serde::Serialize;

use crate::friction::Friction;
use crate::money::Amount;
use crate::refusal::Refusal;

/// Who is reached by payouts under friction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Reach {
    /// Contributors whose payout is worth claiming.
    pub reached: usize,
    /// Share of the owed contributors (exact payout above zero) who are reached.
    pub share: Option<f64>,
    /// Share of exact money that is owed to those reached.
    pub money_share: Option<f64>,
    /// Money in balances that are not worth claiming.
    pub stranded: Amount,
    /// The same as a share of all payouts.
    pub stranded_share: Option<f64>,
}

impl Reach {
    /// Reach of `payouts` under `friction` among those owed something by `exact`.
    ///
    /// # Errors
    /// [`Refusal::RuleNeeds`] when the lists differ in length, [`Refusal::Overflow`].
    pub fn of(exact: &[Amount], payouts: &[Amount], friction: &Friction) -> Result<Self, Refusal> {
        if exact.len() != payouts.len() {
            let input = "payouts of the same contributors";
            return Err(Refusal::RuleNeeds { rule: "reach", input });
        }
        let owed = || exact.iter().zip(payouts).filter(|(p, _)| !p.is_zero());
        let reached = || owed().filter(|(_, q)| friction.is_worth_claiming(**q));
        let unclaimed = payouts.iter().filter(|q| !friction.is_worth_claiming(**q));
        let stranded = Amount::total(unclaimed.copied())?;
        Ok(Self {
            reached: reached().count(),
            share: ratio(reached().count() as u128, owed().count() as u128),
            money_share: ratio(
                Amount::total(reached().map(|(p, _)| *p))?.get(),
                Amount::total(exact.iter().copied())?.get(),
            ),
            stranded,
            stranded_share: ratio(stranded.get(), Amount::total(payouts.iter().copied())?.get()),
        })
    }
}

fn ratio(part: u128, whole: u128) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Where the contributors' money ended, in base units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Waterfall {
    /// Received by those to whom exact attribution owes it.
    pub recognised: Amount,
    /// Received beyond what exact attribution owes.
    pub mispaid: Amount,
    /// Destroyed.
    pub burn: Amount,
    /// Left for later.
    pub carry: Amount,
    /// In balances that nobody has claimed.
    pub stranded: Amount,
    /// Spent on claims.
    pub claim_costs: Amount,
}

impl Waterfall {
    /// Splits what contributors `received` by what `exact` attribution owes them, and verifies that
    /// with the other four parts it accounts for `money_in` exactly.
    ///
    /// # Errors
    /// [`Refusal::PotMismatch`] when it does not, [`Refusal::RuleNeeds`] for lists of different
    /// lengths.
    pub fn close(
        money_in: Amount,
        exact: &[Amount],
        received: &[Amount],
        burn: Amount,
        carry: Amount,
        stranded: Amount,
        claim_costs: Amount,
    ) -> Result<Self, Refusal> {
        if exact.len() != received.len() {
            let input = "receipts of the same contributors";
            return Err(Refusal::RuleNeeds { rule: "waterfall", input });
        }
        let pairs = || exact.iter().zip(received);
        let recognised = Amount::total(pairs().map(|(p, q)| *p.min(q)))?;
        let mispaid = Amount::total(pairs().map(|(p, q)| q.excess_over(*p)))?;
        let parts = [recognised, mispaid, burn, carry, stranded, claim_costs];
        let got: u128 = parts.iter().map(|part| part.get()).sum();
        let expected = money_in.get();
        if got != expected {
            return Err(Refusal::PotMismatch { expected, got });
        }
        Ok(Self { recognised, mispaid, burn, carry, stranded, claim_costs })
    }
}

/// Share of contributors who receive, net of their costs, at least their outside option.
/// `None` without contributors or for lists of different lengths.
pub fn individual_rationality(
    received: &[Amount],
    costs: &[Amount],
    outside: &[Amount],
) -> Option<f64> {
    if received.len() != costs.len() || received.len() != outside.len() {
        return None;
    }
    let content = received.iter().zip(costs).zip(outside).filter(|((received, cost), outside)| {
        received >= cost && received.excess_over(**cost) >= **outside
    });
    ratio(content.count() as u128, received.len() as u128)
}

/// Cost of approximation `(V_exact - V_approximate) / V_exact` where `V` is recognised money.
pub fn cost_of_approximation(exact: Amount, approximate: Amount) -> Option<f64> {
    let (exact, approximate) = (exact.get() as f64, approximate.get() as f64);
    (exact > 0.0).then(|| (exact - approximate) / exact)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apportion::{Ties, apportion};
    use crate::metrics::{as_numbers, concentration};

    /// G46: weights floor(1000 / i), pots and costs in cents.
    #[test]
    fn ladder_of_reach() {
        let weights: Vec<u64> = (1..=1_000).map(|i| 1_000 / i).collect();
        assert_eq!(weights.iter().sum::<u64>(), 7_069);
        let as_amounts: Vec<Amount> =
            weights.iter().map(|weight| Amount::new(u128::from(*weight))).collect();
        let numbers = as_numbers(&as_amounts);
        assert!((concentration::gini(&numbers).unwrap() - 0.768129).abs() < 5e-7);
        assert_eq!(concentration::nakamoto(&numbers, 0.5), Some(19));
        let table = [
            (100_000, 1, 1_000, 0.0),
            (100_000, 100, 125, 0.24248),
            (100_000, 2_000, 7, 0.63347),
            (1_000_000, 1, 1_000, 0.0),
            (1_000_000, 100, 1_000, 0.0),
            (1_000_000, 2_000, 66, 0.328616),
            (10_000_000, 2_000, 500, 0.0707389),
        ];
        for (pot, cost, reached, stranded) in table {
            let payouts = apportion(Amount::new(pot), &weights, &Ties::Index).unwrap();
            let friction = Friction { claim_cost: Amount::new(cost), ..Friction::default() };
            let reach = Reach::of(&payouts, &payouts, &friction).unwrap();
            assert_eq!(reach.reached, reached, "{pot} {cost}");
            assert!((reach.stranded_share.unwrap() - stranded).abs() < 5e-7, "{pot} {cost}");
        }
    }

    #[test]
    fn a_waterfall_closes_or_is_refused() {
        let amounts = |units: &[u128]| units.iter().copied().map(Amount::new).collect::<Vec<_>>();
        let (exact, received) = (amounts(&[60, 40]), amounts(&[50, 45]));
        let one = Amount::new(1);
        // 50 + 40 recognised, 5 mis-paid, and one each of the other four.
        let close =
            |money| Waterfall::close(Amount::new(money), &exact, &received, one, one, one, one);
        let waterfall = close(99).unwrap();
        assert_eq!((waterfall.recognised.get(), waterfall.mispaid.get()), (90, 5));
        assert_eq!(close(100), Err(Refusal::PotMismatch { expected: 100, got: 99 }));
    }

    #[test]
    fn small_ratios() {
        let amounts = |units: &[u128]| units.iter().copied().map(Amount::new).collect::<Vec<_>>();
        let rational =
            individual_rationality(&amounts(&[5, 5]), &amounts(&[2, 3]), &amounts(&[3, 3]));
        assert_eq!(rational, Some(0.5));
        assert_eq!(cost_of_approximation(Amount::new(100), Amount::new(80)), Some(0.2));
        assert_eq!(cost_of_approximation(Amount::ZERO, Amount::ZERO), None);
    }
}
