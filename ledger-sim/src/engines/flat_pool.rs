//! Pro-rata accrual on flat arrays: every pot in proportion to weights that rarely change.
//!
//! With weights `w_i` of sum `W`, a pot `P` and what earlier pots left, `M = P + rest`: account `i`
//! receives `floor(M w_i / W)`, and the new rest is what the floors leave, less than one unit an
//! account. Nothing is lost, and no account is ever ahead of its quota.

use crate::apportion::FastFloor;
use crate::money::Amount;
use crate::refusal::Refusal;

/// Accounts that share pots by weight.
#[derive(Clone, Debug)]
pub struct FlatPool {
    weights: Vec<u64>,
    total: u64,
    balances: Vec<u64>,
    rest: Amount,
    paid: Amount,
}

impl FlatPool {
    /// Accounts of these weights.
    ///
    /// # Errors
    /// [`Refusal::ZeroTotalWeight`] without weight; [`Refusal::Overflow`] when weights sum to 2^63
    /// or more.
    pub fn new(weights: Vec<u64>) -> Result<Self, Refusal> {
        let total = weights.iter().try_fold(0u64, |sum, weight| sum.checked_add(*weight));
        let total = total.filter(|total| *total < 1 << 63).ok_or(Refusal::Overflow)?;
        if total == 0 {
            return Err(Refusal::ZeroTotalWeight);
        }
        let balances = vec![0; weights.len()];
        Ok(Self { weights, total, balances, rest: Amount::ZERO, paid: Amount::ZERO })
    }

    /// Shares a pot.
    ///
    /// # Errors
    /// [`Refusal::Overflow`] when pots sum to 2^63 or more.
    pub fn accrue(&mut self, pot: Amount) -> Result<(), Refusal> {
        let money = self.rest.plus(pot)?;
        // Balances never sum above what was shared out, which is kept below 2^63.
        self.paid.plus(money)?.signed()?;
        let floor = FastFloor::new(money.get(), self.total);
        let mut given = 0u64;
        for (balance, weight) in self.balances.iter_mut().zip(&self.weights) {
            let part = floor.quotient(*weight);
            *balance = balance.wrapping_add(part);
            given = given.wrapping_add(part);
        }
        // The floors sum to at most the money, so that neither sum has wrapped.
        self.rest = money.minus(Amount::new(given))?;
        self.paid = self.paid.plus(Amount::new(given))?;
        Ok(())
    }

    /// What each account holds.
    pub fn balances(&self) -> &[u64] {
        &self.balances
    }

    /// What the floors have left.
    pub fn rest(&self) -> Amount {
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::FlatPool;
    use crate::money::Amount;
    use crate::refusal::Refusal;
    use proptest::prelude::*;

    #[test]
    fn floors_and_their_rest() {
        let mut pool = FlatPool::new(vec![1, 1, 1]).unwrap();
        pool.accrue(Amount::new(10)).unwrap();
        // 3 each and 1 left; with 10 more, 11 are shared: 3 each and 2 left.
        assert_eq!((pool.balances(), pool.rest()), (&[3, 3, 3][..], Amount::new(1)));
        pool.accrue(Amount::new(10)).unwrap();
        assert_eq!((pool.balances(), pool.rest()), (&[6, 6, 6][..], Amount::new(2)));
        assert_eq!(FlatPool::new(vec![0]).unwrap_err(), Refusal::ZeroTotalWeight);
        assert_eq!(FlatPool::new(vec![1 << 62, 1 << 62]).unwrap_err(), Refusal::Overflow);
    }

    proptest! {
        /// Against exact division, and nothing is made or lost.
        #[test]
        fn nothing_is_lost(
            weights in prop::collection::vec(0u64..1 << 40, 1..20),
            pots in prop::collection::vec(0u64..1 << 50, 1..20),
        ) {
            prop_assume!(weights.iter().any(|weight| *weight > 0));
            let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
            let mut pool = FlatPool::new(weights.clone()).unwrap();
            let mut naive = vec![0u128; weights.len()];
            let mut rest = 0u128;
            for pot in &pots {
                pool.accrue(Amount::new(*pot)).unwrap();
                let money = u128::from(*pot) + rest;
                let parts = weights.iter().map(|weight| money * u128::from(*weight) / total);
                let parts: Vec<u128> = parts.collect();
                rest = money - parts.iter().sum::<u128>();
                naive.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
            }
            let held: Vec<u128> = pool.balances().iter().map(|held| u128::from(*held)).collect();
            prop_assert_eq!(&held, &naive);
            let paid: u128 = held.iter().sum();
            let pots: u128 = pots.iter().map(|pot| u128::from(*pot)).sum();
            prop_assert_eq!(paid + u128::from(pool.rest().get()), pots);
        }
    }
}
