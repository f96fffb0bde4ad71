//! F1 fee distribution: rewards by stake under slashing of the whole pool.
//!
//! A period closes at every change of a stake and at every slash:
//! `R_k = R_(k-1) + pot_k / W_k`. A stake `x` that entered after period `k_0` and met slashes of
//! fractions `f_j` at periods `k_1 < ... < k_m` is entitled to
//! `sum over j of (R_(k_(j+1)) - R_(k_j)) x prod over l <= j of (1 - f_l)`.
//! `R` is kept in parts of 10^-18 of a unit, rounded down; slashed stakes are whole units, rounded
//! down. Pots and stakes may be of any width.
//! Whole units are paid, fractions go to dust. Source: Ojha and Goes, F1 Fee Distribution (2019).

use std::collections::BTreeMap;

use super::fixed::Fixed;
use super::unknown;
use crate::money::{Amount, Ppb};
use crate::refusal::Refusal;

/// Units and 10^-18 of a unit.
type Scaled = Fixed<1_000_000_000_000_000_000>;

#[derive(Clone, Copy, Debug)]
struct Delegation {
    stake: Amount,
    period: u64,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    ratio: Scaled,
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
    total_stake: Amount,
    delegations: Vec<Option<Delegation>>,
    deposited: Amount,
    paid: Amount,
    dust: Scaled,
}

impl FeeDistribution {
    /// A pool of up to `delegators` delegators, none of whom has a stake.
    pub fn new(delegators: usize) -> Self {
        Self {
            period: 0,
            records: BTreeMap::from([(0, Record { ratio: Scaled::default(), references: 1 })]),
            slashes: vec![],
            current_pot: Amount::ZERO,
            total_stake: Amount::ZERO,
            delegations: vec![None; delegators],
            deposited: Amount::ZERO,
            paid: Amount::ZERO,
            dust: Scaled::default(),
        }
    }

    /// Adds `pot` to the current period.
    ///
    /// # Errors
    /// [`Refusal::ZeroTotalWeight`] when nothing is staked, [`Refusal::Overflow`] when pots sum to
    /// 2^127 or more.
    pub fn deposit(&mut self, pot: Amount) -> Result<(), Refusal> {
        if self.total_stake.is_zero() {
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
    /// to 2^127 or more.
    pub fn bond(&mut self, delegator: usize, stake: Amount) -> Result<Amount, Refusal> {
        // All refusals come before the payment, so that none can lose it.
        let total = self.total_stake.plus(stake)?;
        total.signed()?;
        let paid = self.withdraw(delegator)?;
        self.total_stake = total;
        if let Some(delegation) = &mut self.delegations[delegator] {
            delegation.stake = delegation.stake.plus(stake)?;
        } else {
            self.delegations[delegator] = Some(Delegation { stake, period: self.period });
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
        let outstanding = Scaled::whole(self.deposited.minus(self.paid)?.get());
        let entitled = entitled.min(outstanding.minus(self.dust)?);
        let units = Amount::new(entitled.units);
        self.dust = self.dust.plus(Scaled { units: 0, parts: entitled.parts })?;
        self.paid = self.paid.plus(units)?;
        self.release(delegation.period);
        self.refer(self.period);
        self.delegations[delegator] = Some(Delegation { stake, period: self.period });
        Ok(units)
    }

    /// Entitlement, and the stake after the slashes met.
    fn entitlement(&self, delegation: Delegation) -> Result<(Scaled, Amount), Refusal> {
        let mut stake = delegation.stake;
        let mut from = self.ratio(delegation.period);
        let mut entitled = Scaled::default();
        let mut earn = |from: Scaled, to: Scaled, stake: Amount| -> Result<(), Refusal> {
            entitled = entitled.plus(to.minus(from)?.times(stake.get())?)?;
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

    fn ratio(&self, period: u64) -> Scaled {
        self.records[&period].ratio
    }

    fn close_period(&mut self) -> Result<(), Refusal> {
        let (pot, stake) = (self.current_pot.get(), self.total_stake.get());
        let growth = if stake == 0 {
            // A pool slashed to nothing leaves its last pot to dust.
            self.dust = self.dust.plus(Scaled::whole(pot))?;
            Scaled::default()
        } else {
            Scaled::quotient(pot, 0, stake)?.0
        };
        let ratio = self.ratio(self.period).plus(growth)?;
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
        found.map_or(Amount::ZERO, |delegation| {
            let met = self.slashes.iter().filter(|slash| slash.period > delegation.period);
            met.fold(delegation.stake, |stake, slash| remaining(stake, slash.fraction))
        })
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
fn remaining(stake: Amount, fraction: Ppb) -> Amount {
    fraction.complement().of(stake)
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
        let ratio = Scaled { units: 1, parts: 700_000_000_000_000_000 };
        assert_eq!(pool.ratio(pool.period), ratio);
        pool.deposit(amount(40)).unwrap();
        // b: 3/5 x 50 + (1/2 + 1/3) x 40 = 63 1/3; a: 1/3 x 80 = 26 2/3. One unit is dust.
        assert_eq!(pool.withdraw(b), Ok(amount(63)));
        assert_eq!(pool.withdraw(a), Ok(amount(26)));
        assert_eq!(pool.deposited().minus(pool.paid()), Ok(amount(1)));
    }

    /// G33 with every amount 10^24 times as large: the same shares, of which thirds are now paid to
    /// the last unit.
    #[test]
    fn bonds_of_eighteen_decimals() {
        let amount = |tokens: u128| Amount::new(tokens * 10u128.pow(24));
        let mut pool = FeeDistribution::new(2);
        pool.bond(0, amount(100)).unwrap();
        pool.deposit(amount(60)).unwrap();
        pool.bond(1, amount(50)).unwrap();
        pool.deposit(amount(90)).unwrap();
        pool.slash(Ppb::new(200_000_000).unwrap()).unwrap();
        pool.deposit(amount(60)).unwrap();
        assert_eq!(pool.withdraw(0), Ok(amount(160)));
        pool.deposit(amount(40)).unwrap();
        // Period 4 ends at 61/30 = 2.033... cut after eighteen decimals, 1/3 x 10^-18 too little a
        // unit of stake: of 40 x 10^24 units 40/3 x 10^6 are missing, of 80 x 10^24 twice that.
        let missing = |stake: u128| (stake * 10u128.pow(6)).div_ceil(3);
        let cut = |exact_thirds: u128, stake| exact_thirds * 10u128.pow(24) / 3 - missing(stake);
        let paid = [pool.withdraw(1).unwrap().get(), pool.withdraw(0).unwrap().get()];
        assert!(paid[0].abs_diff(cut(190, 40)) <= 1 && paid[1].abs_diff(cut(80, 80)) <= 1);
        assert!(paid[0] <= 190 * 10u128.pow(24) / 3 && paid[1] <= 80 * 10u128.pow(24) / 3);
    }

    #[test]
    fn a_refused_bond_changes_nothing() {
        let mut pool = FeeDistribution::new(1);
        pool.bond(0, Amount::new(100)).unwrap();
        pool.deposit(Amount::new(50)).unwrap();
        assert_eq!(pool.bond(0, Amount::new(1 << 127)), Err(Refusal::Overflow));
        assert_eq!(pool.bond(1, Amount::new(1)), Err(unknown(1)));
        assert_eq!(pool.withdraw(0), Ok(Amount::new(50)));
        // Slashed to nothing, the pool refuses pots and still answers.
        pool.slash(Ppb::ONE).unwrap();
        assert_eq!(pool.deposit(Amount::new(1)), Err(Refusal::ZeroTotalWeight));
        assert_eq!((pool.withdraw(0), pool.stake(0)), (Ok(Amount::ZERO), Amount::ZERO));
    }

    /// The same operations, each pot split over all accounts at once.
    struct Naive {
        stakes: Vec<Amount>,
        total: Amount,
        owed: Vec<f64>,
    }

    #[test]
    fn agrees_with_splitting_each_pot_over_all() {
        let streams = Streams::new(33, 0);
        let mut pool = FeeDistribution::new(5);
        let mut naive =
            Naive { stakes: vec![Amount::ZERO; 5], total: Amount::ZERO, owed: vec![0.0; 5] };
        pool.bond(0, Amount::new(1_000_000)).unwrap();
        naive.stakes[0] = Amount::new(1_000_000);
        naive.total = Amount::new(1_000_000);
        let mut withdrawals = [0u32; 5];
        let mut paid = [0u128; 5];
        for step in 0..2_000 {
            let words = streams.words(Purpose::Design, 0, 0, step);
            let (who, size) =
                (words[1] as usize % 5, Amount::new(u128::from(words[2] % 1_000_000)));
            match words[0] % 20 {
                0 => {
                    let fraction = Ppb::new(10_000_000).unwrap();
                    pool.slash(fraction).unwrap();
                    naive.stakes.iter_mut().for_each(|stake| *stake = remaining(*stake, fraction));
                    naive.total = remaining(naive.total, fraction);
                }
                1..8 => {
                    paid[who] += pool.bond(who, size).unwrap().get();
                    withdrawals[who] += 1;
                    naive.stakes[who] = naive.stakes[who].plus(size).unwrap();
                    naive.total = naive.total.plus(size).unwrap();
                }
                8..15 => {
                    pool.deposit(size).unwrap();
                    for (owed, stake) in naive.owed.iter_mut().zip(&naive.stakes) {
                        let share = stake.get() as f64 / naive.total.get() as f64;
                        *owed += size.get() as f64 * share;
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
