//! Pro-rata accrual on flat arrays: every pot in proportion to weights that rarely change.
//!
//! With weights `w_i` of sum `W`, a pot `P` and what earlier pots left, `M = P + rest`: account `i`
//! receives `floor(M w_i / W)`, and the new rest is what the floors leave, less than one unit an
//! account. Nothing is lost, and no account is ever ahead of its quota.
//!
//! Weights stay while pots come, so that each account keeps its share `k_i = floor(2^64 w_i / W)`.
//! The quota exceeds `M k_i / 2^64` by at most `M / 2^64`: the floors of the two differ only where
//! the fraction of the latter comes that near to one. There the quota is divided exactly;
//! everywhere else one product says what is due, in a loop that fills vector registers.
//!
//! Money beyond 64 bits is a number of whole turns, `M = t W + M'` with `M' < W`, in each of which
//! every account receives its weight. The loop pays `M'`; the turns are one number for all.
//! Balances of the loop that could pass 63 bits together are first moved to 128-bit ones.

use crate::apportion::FastFloor;
use crate::money::Amount;
use crate::refusal::Refusal;

/// Accounts between two looks at whether a fraction came too near to one.
const BLOCK: usize = 1_024;

/// Accounts that share pots by weight.
#[derive(Clone, Debug)]
pub struct FlatPool {
    weights: Vec<u64>,
    total: u64,
    shares: Vec<u64>,
    /// What the loop has paid since balances were last moved.
    recent: Vec<u64>,
    /// Bound of the sum of `recent`, below 2^63.
    recent_sum: u64,
    /// What was moved; empty until money is so wide that it has to be.
    earlier: Vec<u128>,
    turns: u128,
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
        let share = |weight: &u64| {
            let share = (u128::from(*weight) << 64) / u128::from(total);
            // Who has all the weight misses one part in 2^64, as everybody else does at most.
            u64::try_from(share).unwrap_or(u64::MAX)
        };
        let shares = weights.iter().map(share).collect();
        Ok(Self {
            recent: vec![0; weights.len()],
            weights,
            total,
            shares,
            recent_sum: 0,
            earlier: vec![],
            turns: 0,
            rest: Amount::ZERO,
            paid: Amount::ZERO,
        })
    }

    /// Shares a pot.
    ///
    /// # Errors
    /// [`Refusal::Overflow`] when pots sum to 2^127 or more.
    pub fn accrue(&mut self, pot: Amount) -> Result<(), Refusal> {
        let money = self.rest.plus(pot)?;
        self.paid.plus(money)?.signed()?;
        let total = u128::from(self.total);
        let (turns, narrow) = match money.narrow() {
            Some(narrow) if narrow < 1 << 63 => (0, narrow),
            // Below the total, which 63 bits hold.
            _ => (money.get() / total, (money.get() % total) as u64),
        };
        if self.recent_sum + narrow >= 1 << 63 {
            self.move_recent();
        }
        let given = self.pay(narrow);
        self.recent_sum += given;
        self.turns += turns;
        // The floors sum to at most the money, so that no sum has wrapped.
        let given = Amount::new(turns * total + u128::from(given));
        self.rest = money.minus(given)?;
        self.paid = self.paid.plus(given)?;
        Ok(())
    }

    /// Pays floors of `money`, below 2^63 together with all that is recent; returns their sum.
    fn pay(&mut self, money: u64) -> u64 {
        let product = Product::new(money);
        let floor = FastFloor::new(money, self.total);
        let mut given = 0u64;
        let weights = self.weights.chunks(BLOCK).zip(self.shares.chunks(BLOCK));
        for (balances, (weights, shares)) in self.recent.chunks_mut(BLOCK).zip(weights) {
            let (parts, is_sure) = product.add_to(balances, shares);
            given = given.wrapping_add(parts);
            if !is_sure {
                for (balance, (weight, share)) in
                    balances.iter_mut().zip(weights.iter().zip(shares))
                {
                    let missing = floor.quotient(*weight).wrapping_sub(product.floor(*share).0);
                    *balance = balance.wrapping_add(missing);
                    given = given.wrapping_add(missing);
                }
            }
        }
        given
    }

    /// Moves what is recent to balances of 128 bits.
    fn move_recent(&mut self) {
        self.earlier.resize(self.recent.len(), 0);
        for (sum, recent) in self.earlier.iter_mut().zip(&mut self.recent) {
            *sum += u128::from(std::mem::take(recent));
        }
        self.recent_sum = 0;
    }

    /// What each account holds.
    pub fn balances(&self) -> Vec<Amount> {
        let balance = |(at, (recent, weight)): (usize, (&u64, &u64))| {
            let earlier = self.earlier.get(at).copied().unwrap_or(0);
            Amount::new(earlier + u128::from(*recent) + self.turns * u128::from(*weight))
        };
        self.recent.iter().zip(&self.weights).enumerate().map(balance).collect()
    }

    /// What each account holds as it lies in memory, while 64 bits hold all that was paid.
    pub fn narrow_balances(&self) -> Option<&[u64]> {
        (self.earlier.is_empty() && self.turns == 0).then_some(&self.recent)
    }

    /// What the floors have left.
    pub fn rest(&self) -> Amount {
        self.rest
    }
}

/// Money `M < 2^63` that is multiplied by shares, in halves of 32 bits: these are what vector
/// registers multiply. Nothing wraps, yet the operations are those that may, because a check for it
/// would be a branch an account.
#[derive(Clone, Copy, Debug)]
struct Product {
    low: u64,
    high: u64,
}

/// The lower half of a word.
const HALF: u64 = 0xffff_ffff;

impl Product {
    fn new(money: u64) -> Self {
        Self { low: money & HALF, high: money >> 32 }
    }

    /// `floor(M k / 2^64)`, and the upper 32 bits of the fraction.
    #[inline(always)]
    fn floor(self, share: u64) -> (u64, u64) {
        let (low, high) = (share & HALF, share >> 32);
        let upper = high.wrapping_mul(self.low).wrapping_add(low.wrapping_mul(self.low) >> 32);
        let middle = low.wrapping_mul(self.high).wrapping_add(upper & HALF);
        let whole = high.wrapping_mul(self.high).wrapping_add(upper >> 32);
        (whole.wrapping_add(middle >> 32), middle & HALF)
    }

    /// Adds the floors to `balances`; returns their sum, and whether `M / 2^64` more would have
    /// changed none of them.
    fn add_to(self, balances: &mut [u64], shares: &[u64]) -> (u64, bool) {
        // At least the upper 32 bits of M, and one more for what is cut off of the fraction.
        let more = self.high + 1;
        let (mut given, mut reached) = (0u64, 0u64);
        for (balance, share) in balances.iter_mut().zip(shares) {
            let (part, fraction) = self.floor(*share);
            reached |= fraction.wrapping_add(more);
            *balance = balance.wrapping_add(part);
            given = given.wrapping_add(part);
        }
        (given, reached <= HALF)
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, FlatPool, Product};
    use crate::money::Amount;
    use crate::refusal::Refusal;
    use crate::wide;
    use proptest::prelude::*;

    #[test]
    fn floors_and_their_rest() {
        let mut pool = FlatPool::new(vec![1, 1, 1]).unwrap();
        pool.accrue(Amount::new(10)).unwrap();
        // 3 each and 1 left; with 10 more, 11 are shared: 3 each and 2 left.
        assert_eq!((pool.narrow_balances(), pool.rest()), (Some(&[3; 3][..]), Amount::new(1)));
        pool.accrue(Amount::new(10)).unwrap();
        assert_eq!((pool.narrow_balances(), pool.rest()), (Some(&[6; 3][..]), Amount::new(2)));
        assert_eq!(FlatPool::new(vec![0]).unwrap_err(), Refusal::ZeroTotalWeight);
        assert_eq!(FlatPool::new(vec![1 << 62, 1 << 62]).unwrap_err(), Refusal::Overflow);
    }

    /// 2^63 - 1 shared by 3 and by 1: every digit of the products counts.
    #[test]
    fn the_largest_pot() {
        let most = (1u64 << 63) - 1;
        let mut pool = FlatPool::new(vec![1, 1, 1]).unwrap();
        pool.accrue(Amount::new(u128::from(most))).unwrap();
        // (2^63 - 1) / 3 = 3074457345618258602 and 1 left.
        let third = 3_074_457_345_618_258_602;
        assert_eq!(pool.narrow_balances(), Some(&[third; 3][..]));
        assert_eq!(pool.rest(), Amount::new(1));
        // Another unit and the one that was left, beside balances of almost 2^63: nothing is lost.
        pool.accrue(Amount::new(1)).unwrap();
        assert_eq!(pool.narrow_balances(), None);
        assert_eq!(pool.balances(), [Amount::new(u128::from(third)); 3]);
        assert_eq!(pool.rest(), Amount::new(2));
        assert_eq!(pool.accrue(Amount::new(1 << 127)), Err(Refusal::Overflow));
        let mut alone = FlatPool::new(vec![7]).unwrap();
        alone.accrue(Amount::new(u128::from(most))).unwrap();
        assert_eq!((alone.narrow_balances(), alone.rest()), (Some(&[most][..]), Amount::ZERO));
    }

    /// Pots of a billion tokens of eighteen decimals.
    #[test]
    fn pots_of_eighteen_decimals() {
        let mut pool = FlatPool::new(vec![1, 2, 4]).unwrap();
        let pot = 10u128.pow(27);
        for round in 1..=3 {
            pool.accrue(Amount::new(pot)).unwrap();
            // What the floors left comes with the next pot: the sum is 10^27 r - rest.
            let paid = Amount::total(pool.balances()).unwrap();
            assert_eq!(paid.plus(pool.rest()), Ok(Amount::new(round * pot)));
            assert!(pool.rest().get() < 3);
            for (held, weight) in pool.balances().iter().zip([1, 2, 4]) {
                assert!((weight * round * pot / 7).abs_diff(held.get()) <= round);
            }
        }
    }

    /// Quotas that are whole numbers, or a millionth below, are where a product falls short.
    #[test]
    fn whole_quotas_are_paid_in_full_in_every_block() {
        let count = 3 * BLOCK + 5;
        let mut pool = FlatPool::new(vec![3; count]).unwrap();
        for round in 1..=4u64 {
            pool.accrue(Amount::new(count as u128 * 1_000_003)).unwrap();
            let held = pool.narrow_balances().unwrap();
            assert!(held.iter().all(|held| *held == round * 1_000_003));
            assert_eq!(pool.rest(), Amount::ZERO);
        }
        // The last account's quota is whole, the others' are one part in a billion below.
        let mut weights = vec![999_999_999u64; BLOCK];
        weights.push(1_000_000_000 + BLOCK as u64);
        let mut pool = FlatPool::new(weights).unwrap();
        let total = 1_000_000_000 * (BLOCK as u128 + 1);
        pool.accrue(Amount::new(total)).unwrap();
        assert!(pool.narrow_balances().unwrap()[..BLOCK].iter().all(|held| *held == 999_999_999));
        pool.accrue(Amount::new(BLOCK as u128 + 1)).unwrap();
        assert!(pool.narrow_balances().unwrap()[..BLOCK].iter().all(|held| *held == 999_999_999));
        assert_eq!(pool.narrow_balances().unwrap()[BLOCK], 1_000_000_000 + BLOCK as u64 + 1);
    }

    proptest! {
        /// Floors of products and their fractions, against 128 bits.
        #[test]
        fn products_are_exact(money in 0u64..1 << 63, shift in 0u32..63, share: u64) {
            let money = money >> shift;
            let product = u128::from(money) * u128::from(share);
            let expected = ((product >> 64) as u64, product as u64 >> 32);
            prop_assert_eq!(Product::new(money).floor(share), expected);
        }

        /// Many accounts and pots of every size, against exact division: more than a block of them.
        #[test]
        fn blocks_are_exact(
            seed in 1u64..1_000_000,
            bits in 1u32..52,
            pots in prop::collection::vec((any::<u64>(), 4u32..64), 1..6),
        ) {
            let mut state = seed;
            let weights: Vec<u64> = (0..2 * BLOCK + 77).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state >> (64 - bits)
            }).collect();
            prop_assume!(weights.iter().any(|weight| *weight > 0));
            let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
            let mut pool = FlatPool::new(weights.clone()).unwrap();
            let mut naive = vec![0u128; weights.len()];
            let mut rest = 0u128;
            for (pot, shift) in pots {
                let pot = u128::from(pot >> shift);
                pool.accrue(Amount::new(pot)).unwrap();
                let money = pot + rest;
                rest = money;
                for (sum, weight) in naive.iter_mut().zip(&weights) {
                    let part = money * u128::from(*weight) / total;
                    *sum += part;
                    rest -= part;
                }
                prop_assert_eq!(pool.rest().get(), rest);
            }
            let held: Vec<u128> = pool.balances().iter().map(|held| held.get()).collect();
            prop_assert_eq!(held, naive);
        }

        /// Pots of every width against division of 256 bits, and nothing is made or lost.
        #[test]
        fn nothing_is_lost(
            weights in prop::collection::vec(0u64..1 << 40, 1..20),
            pots in prop::collection::vec((0u128..1 << 90, 0u32..90), 1..20),
        ) {
            let pots: Vec<u128> = pots.into_iter().map(|(pot, cut)| pot >> cut).collect();
            prop_assume!(weights.iter().any(|weight| *weight > 0));
            let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
            let mut pool = FlatPool::new(weights.clone()).unwrap();
            let mut naive = vec![0u128; weights.len()];
            let mut rest = 0u128;
            for pot in &pots {
                pool.accrue(Amount::new(*pot)).unwrap();
                let money = pot + rest;
                let part = |weight: &u64| wide::product_over(money, u128::from(*weight), total);
                let parts: Vec<u128> = weights.iter().map(|w| part(w).unwrap().0).collect();
                rest = money - parts.iter().sum::<u128>();
                naive.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
            }
            let held: Vec<u128> = pool.balances().iter().map(|held| held.get()).collect();
            prop_assert_eq!(&held, &naive);
            let paid: u128 = held.iter().sum();
            prop_assert_eq!(paid + pool.rest().get(), pots.iter().sum::<u128>());
        }
    }
}
