//! F1 fee distribution: rewards by stake under slashing of the whole pool.
//!
//! A period closes at every change of a stake and at every slash:
//! `R_k = R_(k-1) + pot_k / W_k`. A stake `x` that entered after period `k_0` and met slashes of
//! fractions `f_j` at periods `k_1 < ... < k_m` is entitled to
//! `sum over j of (R_(k_(j+1)) - R_(k_j)) x prod over l <= j of (1 - f_l)`.
//! `R` is kept in units of 10^-18, rounded down; slashed stakes are whole units, rounded down.
//! Whole units are paid, fractions go to dust. Source: Ojha and Goes, F1 Fee Distribution (2019).

use std::collections::BTreeMap;

use super::unknown;
use crate::money::{Amount, BILLION, Ppb};
use crate::refusal::Refusal;

const SCALE: u128 = 1_000_000_000_000_000_000;

#[derive(Clone, Copy, Debug)]
struct Delegation {
    stake: u64,
    period: u64,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    ratio: u128,
    references: u32,
}

#[derive(Clone, Copy, Debug)]
struct Slash {
    period: u64,
    fraction: Ppb,
}

/// One pool of delegations.
#[derive(Clone, Debug)]
pub struct FeeDistribution {
    period: u64,
    records: BTreeMap<u64, Record>,
    slashes: Vec<Slash>,
    current_pot: Amount,
    total_stake: u64,
    delegations: Vec<Option<Delegation>>,
    deposited: Amount,
    paid: Amount,
    dust_scaled: u128,
}

impl FeeDistribution {
    /// A pool of up to `delegators` delegators, none of whom has a stake.
    pub fn new(delegators: usize) -> Self {
        Self {
            period: 0,
            records: BTreeMap::from([(0, Record { ratio: 0, references: 1 })]),
            slashes: vec![],
            current_pot: Amount::ZERO,
            total_stake: 0,
            delegations: vec![None; delegators],
            deposited: Amount::ZERO,
            paid: Amount::ZERO,
            dust_scaled: 0,
        }
    }

    /// Adds `pot` to the current period.
    ///
    /// # Errors
    /// [`Refusal::ZeroTotalWeight`] when nothing is staked, [`Refusal::Overflow`] when pots sum to
    /// 2^63 or more.
    pub fn deposit(&mut self, pot: Amount) -> Result<(), Refusal> {
        if self.total_stake == 0 {
            return Err(Refusal::ZeroTotalWeight);
        }
        let deposited = self.deposited.plus(pot)?;
        deposited.signed()?;
        self.current_pot = self.current_pot.plus(pot)?;
        self.deposited = deposited;
        Ok(())
    }

    /// Adds `stake` to what `delegator` has bonded; pays what was earned so far.
    ///
    /// # Errors
    /// [`Refusal::UnknownAccount`] for an unknown delegator, [`Refusal::Overflow`] when stakes sum
    /// to 2^63 or more.
    pub fn bond(&mut self, delegator: usize, stake: Amount) -> Result<Amount, Refusal> {
        // All refusals come before the payment, so that none can lose it.
        let total = self.total_stake.checked_add(stake.get());
        let total = total.filter(|total| *total < 1 << 63).ok_or(Refusal::Overflow)?;
        let paid = self.withdraw(delegator)?;
        self.total_stake = total;
        let old = self.delegations[delegator].map_or(0, |delegation| delegation.stake);
        if let Some(delegation) = &mut self.delegations[delegator] {
            delegation.stake = old + stake.get();
        } else {
            self.delegations[delegator] =
                Some(Delegation { stake: stake.get(), period: self.period });
            self.refer(self.period);
        }
        Ok(paid)
    }

    /// Takes `fraction` of every stake of the pool.
    ///
    /// # Errors
    /// Those of closing a period.
    pub fn slash(&mut self, fraction: Ppb) -> Result<(), Refusal> {
        self.close_period()?;
        self.refer(self.period);
        self.slashes.push(Slash { period: self.period, fraction });
        self.total_stake = remaining(self.total_stake, fraction);
        Ok(())
    }

    /// Pays `delegator` what was earned since the last payment and starts anew.
    ///
    /// # Errors
    /// [`Refusal::UnknownAccount`] for an unknown delegator.
    pub fn withdraw(&mut self, delegator: usize) -> Result<Amount, Refusal> {
        let slot = self.delegations.get(delegator).copied();
        let found = slot.ok_or(unknown(delegator))?;
        self.close_period()?;
        let Some(delegation) = found else { return Ok(Amount::ZERO) };
        let (entitled, stake) = self.entitlement(delegation)?;
        // Rounding stakes down can only leave money over, but the cap costs nothing.
        let outstanding = u128::from(self.deposited.minus(self.paid)?.get()) * SCALE;
        let entitled = entitled.min(outstanding - self.dust_scaled);
        let units = Amount::new((entitled / SCALE) as u64);
        self.dust_scaled += entitled % SCALE;
        self.paid = self.paid.plus(units)?;
        self.release(delegation.period);
        self.refer(self.period);
        self.delegations[delegator] = Some(Delegation { stake, period: self.period });
        Ok(units)
    }

    /// Entitlement in scaled units, and the stake after the slashes met.
    fn entitlement(&self, delegation: Delegation) -> Result<(u128, u64), Refusal> {
        let mut stake = delegation.stake;
        let mut from = self.ratio(delegation.period);
        let mut entitled: u128 = 0;
        let mut earn = |from: u128, to: u128, stake: u64| -> Result<(), Refusal> {
            let part = (to - from).checked_mul(u128::from(stake)).ok_or(Refusal::Overflow)?;
            entitled = entitled.checked_add(part).ok_or(Refusal::Overflow)?;
            Ok(())
        };
        for slash in self.slashes.iter().filter(|slash| slash.period > delegation.period) {
            let to = self.ratio(slash.period);
            earn(from, to, stake)?;
            stake = remaining(stake, slash.fraction);
            from = to;
        }
        earn(from, self.ratio(self.period), stake)?;
        Ok((entitled, stake))
    }

    fn ratio(&self, period: u64) -> u128 {
        self.records[&period].ratio
    }

    fn close_period(&mut self) -> Result<(), Refusal> {
        let last = self.ratio(self.period);
        let growth = match self.total_stake {
            0 => 0,
            stake => u128::from(self.current_pot.get()) * SCALE / u128::from(stake),
        };
        if self.total_stake == 0 {
            // A pool slashed to nothing leaves its last pot to dust.
            self.dust_scaled += u128::from(self.current_pot.get()) * SCALE;
        }
        let ratio = last.checked_add(growth).ok_or(Refusal::Overflow)?;
        self.release(self.period);
        self.period += 1;
        self.records.insert(self.period, Record { ratio, references: 1 });
        self.current_pot = Amount::ZERO;
        Ok(())
    }

    fn refer(&mut self, period: u64) {
        if let Some(record) = self.records.get_mut(&period) {
            record.references += 1;
        }
    }

    /// Forgets a historical ratio that nobody starts from any more.
    fn release(&mut self, period: u64) {
        if let Some(record) = self.records.get_mut(&period) {
            record.references -= 1;
            if record.references == 0 {
                self.records.remove(&period);
            }
        }
    }

    /// Stake of `delegator` after all slashes.
    pub fn stake(&self, delegator: usize) -> Amount {
        let found = self.delegations.get(delegator).copied().flatten();
        let after = found.map_or(0, |delegation| {
            let met = self.slashes.iter().filter(|slash| slash.period > delegation.period);
            met.fold(delegation.stake, |stake, slash| remaining(stake, slash.fraction))
        });
        Amount::new(after)
    }

    /// Money of all pots so far.
    pub fn deposited(&self) -> Amount {
        self.deposited
    }

    /// Money paid so far.
    pub fn paid(&self) -> Amount {
        self.paid
    }

    /// Historical ratios still remembered.
    pub fn remembered(&self) -> usize {
        self.records.len()
    }
}

/// `floor(stake (1 - fraction))`.
fn remaining(stake: u64, fraction: Ppb) -> u64 {
    let kept = u128::from(stake) * u128::from(BILLION - fraction.get());
    // At most the stake itself.
    (kept / u128::from(BILLION)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Streams};

    /// G33: R = 0, 3/5, 6/5, 17/10, 61/30.
    #[test]
    fn bonds_pots_and_a_slash_by_hand() {
        let (a, b) = (0, 1);
        let amount = Amount::new;
        let mut pool = FeeDistribution::new(2);
        assert_eq!(pool.deposit(amount(1)), Err(Refusal::ZeroTotalWeight));
        pool.bond(a, amount(100)).unwrap();
        pool.deposit(amount(60)).unwrap();
        pool.bond(b, amount(50)).unwrap();
        pool.deposit(amount(90)).unwrap();
        pool.slash(Ppb::new(200_000_000).unwrap()).unwrap();
        assert_eq!((pool.stake(a), pool.stake(b)), (amount(80), amount(40)));
        pool.deposit(amount(60)).unwrap();
        // 3/5 x 100 + 3/5 x 100 + 1/2 x 80 = 160.
        assert_eq!(pool.withdraw(a), Ok(amount(160)));
        assert_eq!(pool.ratio(pool.period), SCALE * 17 / 10);
        pool.deposit(amount(40)).unwrap();
        // b: 3/5 x 50 + (1/2 + 1/3) x 40 = 63 1/3; a: 1/3 x 80 = 26 2/3. One unit is dust.
        assert_eq!(pool.withdraw(b), Ok(amount(63)));
        assert_eq!(pool.withdraw(a), Ok(amount(26)));
        assert_eq!(pool.deposited().minus(pool.paid()), Ok(amount(1)));
    }

    #[test]
    fn a_refused_bond_changes_nothing() {
        let mut pool = FeeDistribution::new(1);
        pool.bond(0, Amount::new(100)).unwrap();
        pool.deposit(Amount::new(50)).unwrap();
        assert_eq!(pool.bond(0, Amount::new(1 << 63)), Err(Refusal::Overflow));
        assert_eq!(pool.bond(1, Amount::new(1)), Err(unknown(1)));
        assert_eq!(pool.withdraw(0), Ok(Amount::new(50)));
        // Slashed to nothing, the pool refuses pots and still answers.
        pool.slash(Ppb::ONE).unwrap();
        assert_eq!(pool.deposit(Amount::new(1)), Err(Refusal::ZeroTotalWeight));
        assert_eq!((pool.withdraw(0), pool.stake(0)), (Ok(Amount::ZERO), Amount::ZERO));
    }

    /// The same operations, each pot split over all accounts at once.
    struct Naive {
        stakes: Vec<u64>,
        total: u64,
        owed: Vec<f64>,
    }

    #[test]
    fn agrees_with_splitting_each_pot_over_all() {
        let streams = Streams::new(33, 0);
        let mut pool = FeeDistribution::new(5);
        let mut naive = Naive { stakes: vec![0; 5], total: 0, owed: vec![0.0; 5] };
        pool.bond(0, Amount::new(1_000_000)).unwrap();
        naive.stakes[0] = 1_000_000;
        naive.total = 1_000_000;
        let mut withdrawals = [0u32; 5];
        let mut paid = [0u64; 5];
        for step in 0..2_000 {
            let words = streams.words(Purpose::Design, 0, 0, step);
            let (who, size) = (words[1] as usize % 5, u64::from(words[2] % 1_000_000));
            match words[0] % 20 {
                0 => {
                    let fraction = Ppb::new(10_000_000).unwrap();
                    pool.slash(fraction).unwrap();
                    naive.stakes.iter_mut().for_each(|stake| *stake = remaining(*stake, fraction));
                    naive.total = remaining(naive.total, fraction);
                }
                1..8 => {
                    paid[who] += pool.bond(who, Amount::new(size)).unwrap().get();
                    withdrawals[who] += 1;
                    naive.stakes[who] += size;
                    naive.total += size;
                }
                8..15 => {
                    pool.deposit(Amount::new(size)).unwrap();
                    for (owed, stake) in naive.owed.iter_mut().zip(&naive.stakes) {
                        *owed += size as f64 * *stake as f64 / naive.total as f64;
                    }
                }
                _ => {
                    paid[who] += pool.withdraw(who).unwrap().get();
                    withdrawals[who] += 1;
                }
            }
        }
        for who in 0..5 {
            paid[who] += pool.withdraw(who).unwrap().get();
            let gap = naive.owed[who] - paid[who] as f64;
            assert!((-1e-3..f64::from(withdrawals[who] + 1)).contains(&gap), "{who}: {gap}");
        }
        // One record for each delegation, one for each slash, and the current one at most.
        assert!(pool.remembered() <= 5 + pool.slashes.len() + 1);
    }
}
