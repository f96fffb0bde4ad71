//! Emission and vesting schedules: cumulative integer functions of time.
//!
//! The amount of an epoch is the difference of two cumulative amounts, so rounding never adds up.

use std::f64::consts::LN_2;

use crate::money::{Amount, BILLION, Ppb};
use crate::refusal::Refusal;

/// What the months of a cliff earn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CliffMonths {
    /// Nothing: the linear release starts after the cliff.
    EarnNothing,
    /// Their part, released at once when the cliff ends; the linear release includes them.
    CatchUp,
}

/// A total released linearly over months, not before a cliff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vesting {
    /// What is released in all.
    pub total: Amount,
    /// Months before anything is.
    pub cliff_months: u64,
    /// Months of linear release.
    pub linear_months: u64,
    /// What the months of the cliff earn.
    pub cliff: CliffMonths,
}

impl Vesting {
    /// Released by the end of `month` (0 is the start): `floor(total k / K)`.
    ///
    /// # Errors
    /// [`Refusal::Overflow`] for a schedule of no months.
    pub fn cumulative(&self, month: u64) -> Result<Amount, Refusal> {
        let counted = match self.cliff {
            CliffMonths::EarnNothing => month.saturating_sub(self.cliff_months),
            CliffMonths::CatchUp if month < self.cliff_months => 0,
            CliffMonths::CatchUp => month,
        };
        let months = u128::from(self.linear_months);
        self.total.scaled(months.min(u128::from(counted)), months)
    }

    /// Draws `amount` of `bucket` at `month`, of which `drawn` was drawn before.
    ///
    /// # Errors
    /// [`Refusal::VestingNotDue`] when that is more than is released.
    pub fn draw(
        &self,
        bucket: usize,
        month: u64,
        drawn: Amount,
        amount: Amount,
    ) -> Result<Amount, Refusal> {
        let after = drawn.plus(amount)?;
        if after > self.cumulative(month)? {
            return Err(Refusal::VestingNotDue { bucket });
        }
        Ok(after)
    }
}

/// A reward an epoch that halves every `interval` epochs: `floor(R_0 / 2^floor(e / h))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halving {
    /// Reward of the first epochs.
    pub reward: Amount,
    /// Epochs between halvings, at least one.
    pub interval: u64,
}

impl Halving {
    /// Emitted in the epochs before `epoch`.
    ///
    /// # Errors
    /// [`Refusal::Overflow`].
    pub fn cumulative(&self, epoch: u64) -> Result<Amount, Refusal> {
        let mut sum = Amount::ZERO;
        let mut left = epoch;
        // After 128 halvings the reward is zero.
        for halvings in 0..128 {
            let epochs = left.min(self.interval);
            let reward = Amount::new(self.reward.get() >> halvings);
            sum = sum.plus(reward.times(epochs)?)?;
            left -= epochs;
        }
        Ok(sum)
    }
}

/// `floor(total x share)` for a share between 0 and 1, read to 53 bits; no float holds the result.
///
/// # Errors
/// [`Refusal::ParamOutOfRange`] for any other share.
pub fn part_of(total: Amount, share: f64) -> Result<Amount, Refusal> {
    const BITS: u128 = 1 << 53;
    if !(0.0..=1.0).contains(&share) {
        return Err(Refusal::parameter("share"));
    }
    total.scaled((share * BITS as f64) as u128, BITS)
}

/// Share of an exponential emission released by `years`: `1 - 2^(-years / half_life)`.
pub fn exponential_share(years: f64, half_life_years: f64) -> f64 {
    -(-years * LN_2 / half_life_years).exp_m1()
}

/// Filecoin's two-part minting, in which most of the emission matures only as usage grows.
///
/// With attributed usage `R(t)` and baseline `b(t) = b_0 2^t` (years of 365 days), effective time
/// `theta = log2(1 + ln2 / b_0 integral of min(b, R))`; released shares of the total are
/// `(1 - gamma)(1 - 2^(-t/h))` and `gamma (1 - 2^(-theta/h))` with half-life `h`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BaselineMinting {
    /// Share `gamma` of the total that follows usage; .7 in the specification.
    pub baseline_share: f64,
    /// Half-life `h`; 6 years in the specification.
    pub half_life_years: f64,
    /// Baseline usage `b_0` at time zero.
    pub baseline: f64,
}

impl BaselineMinting {
    /// Share released by time alone.
    pub fn simple_share(&self, years: f64) -> f64 {
        (1.0 - self.baseline_share) * exponential_share(years, self.half_life_years)
    }

    /// Effective time in years for the integral of `min(b, R)` so far (usage x years).
    pub fn effective_years(&self, usage_years: f64) -> f64 {
        (LN_2 / self.baseline * usage_years).ln_1p() / LN_2
    }

    /// Share released by usage, for the integral of `min(b, R)` so far.
    pub fn baseline_minted_share(&self, usage_years: f64) -> f64 {
        let years = self.effective_years(usage_years);
        self.baseline_share * exponential_share(years, self.half_life_years)
    }

    /// Integral of the baseline itself over the first `years`: the most that usage can count.
    pub fn baseline_usage_years(&self, years: f64) -> f64 {
        self.baseline * (years * LN_2).exp_m1() / LN_2
    }
}

/// Livepeer's controller: inflation moves a step each round towards the target bonding rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InflationController {
    /// Current inflation a round.
    pub inflation: Ppb,
    /// Change a round.
    pub step: Ppb,
    /// Bonding rate aimed at.
    pub target: Ppb,
    /// Tokens in existence.
    pub supply: Amount,
}

impl InflationController {
    /// One round with `bonded` tokens: below the target inflation rises by a step, above it falls
    /// (not below zero), at it stays. Returns what is minted, `floor(supply x inflation)`, and the
    /// state after.
    ///
    /// # Errors
    /// [`Refusal::Overflow`] for no supply or one that outgrows an amount;
    /// [`Refusal::SplitNotUnity`] for inflation above one or more bonded than exist.
    pub fn round(&self, bonded: Amount) -> Result<(Amount, Self), Refusal> {
        let rate = bonded.scaled(u128::from(BILLION), self.supply.get())?;
        let rate = Ppb::new(rate.narrow().ok_or(Refusal::Overflow)?)?;
        let inflation = match rate.cmp(&self.target) {
            std::cmp::Ordering::Less => self.inflation.get() + self.step.get(),
            std::cmp::Ordering::Equal => self.inflation.get(),
            std::cmp::Ordering::Greater => self.inflation.get().saturating_sub(self.step.get()),
        };
        let inflation = Ppb::new(inflation)?;
        let minted = inflation.of(self.supply);
        Ok((minted, Self { inflation, supply: self.supply.plus(minted)?, ..*self }))
    }
}

/// Shares of a model's ancestors in a royalty: the `k`-th of `depth` gets `(1 - r) r^k` with
/// `k = 0` the model itself, the root `r^depth`. They sum to one.
pub fn lineage_shares(depth: u32, passed_on: f64) -> Vec<f64> {
    let own = (0..depth as i32).map(|k| (1.0 - passed_on) * passed_on.powi(k));
    own.chain([passed_on.powi(depth as i32)]).collect()
}

/// Weight left of an old contribution: `w 2^(-age / half_life)`.
pub fn decayed_weight(weight: f64, age: f64, half_life: f64) -> f64 {
    weight * (-age / half_life).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, expected: f64, relative: f64) {
        assert!((got / expected - 1.0).abs() < relative, "{got} {expected}");
    }

    /// G36.
    #[test]
    fn investors_vest_exactly() {
        let vesting = Vesting {
            total: Amount::new(182_900_000),
            cliff_months: 12,
            linear_months: 36,
            cliff: CliffMonths::EarnNothing,
        };
        let month = |month| {
            let (now, before) =
                (vesting.cumulative(month).unwrap(), vesting.cumulative(month - 1).unwrap());
            now.minus(before).unwrap().get()
        };
        assert_eq!(month(12), 0);
        assert_eq!([month(13), month(14), month(15)], [5_080_555, 5_080_556, 5_080_555]);
        assert_eq!((13..=48).map(month).sum::<u128>(), 182_900_000);
        assert_eq!(vesting.cumulative(1_000), Ok(vesting.total));
        let due = Amount::new(5_080_555);
        assert_eq!(vesting.draw(3, 13, Amount::ZERO, due), Ok(due));
        assert_eq!(
            vesting.draw(3, 13, due, Amount::new(1)),
            Err(Refusal::VestingNotDue { bucket: 3 })
        );
        let catch_up = Vesting { cliff: CliffMonths::CatchUp, ..vesting };
        assert_eq!(catch_up.cumulative(11), Ok(Amount::ZERO));
        // 12/36 of the total at once.
        assert_eq!(catch_up.cumulative(12), Ok(Amount::new(60_966_666)));
        let empty = Vesting { linear_months: 0, ..vesting };
        assert_eq!(empty.cumulative(1), Err(Refusal::Overflow));
    }

    /// G36 with eighteen decimals: 182,900,000 tokens are 1829 x 10^23 units, a 36th of which is
    /// 5080555555555555555555555.55...
    #[test]
    fn vesting_of_eighteen_decimals() {
        let vesting = Vesting {
            total: Amount::new(1_829 * 10u128.pow(23)),
            cliff_months: 12,
            linear_months: 36,
            cliff: CliffMonths::EarnNothing,
        };
        let first = 5_080_555_555_555_555_555_555_555;
        assert_eq!(vesting.cumulative(13), Ok(Amount::new(first)));
        assert_eq!(vesting.cumulative(14), Ok(Amount::new(2 * first + 1)));
        assert_eq!(vesting.cumulative(48), Ok(vesting.total));
        // Half of it to 53 bits is exactly half of it.
        assert_eq!(part_of(vesting.total, 0.5), Ok(Amount::new(9_145 * 10u128.pow(22))));
    }

    /// G37.
    #[test]
    fn halvings_sum_to_the_known_total() {
        let halving = Halving { reward: Amount::new(5_000_000_000), interval: 210_000 };
        let total = halving.cumulative(u64::MAX).unwrap();
        assert_eq!(total, Amount::new(2_099_999_997_690_000));
        // 210,000 epochs of the first reward and one of half of it.
        let first = halving.cumulative(210_001).unwrap().get();
        assert_eq!(first, 210_000 * 5_000_000_000 + 2_500_000_000);
    }

    /// G38: usage constant at the baseline's start, and usage at the baseline.
    #[test]
    fn minting_waits_for_usage() {
        let minting = BaselineMinting { baseline_share: 0.7, half_life_years: 6.0, baseline: 1.0 };
        let total = 1.1e9;
        let simple = [36_003_423.01, 165_000_000.0, 297_259_853.30];
        let theta = [0.759707388, 2.367058751, 3.893647965];
        let constant = [64_698_284.98, 184_224_175.14, 278_933_938.62];
        let full = [84_007_987.03, 385_000_000.0, 693_606_324.37];
        for (at, years) in [1.0, 6.0, 20.0].into_iter().enumerate() {
            near(total * minting.simple_share(years), simple[at], 1e-9);
            near(minting.effective_years(years), theta[at], 1e-9);
            near(total * minting.baseline_minted_share(years), constant[at], 1e-9);
            let most = minting.baseline_usage_years(years);
            near(total * minting.baseline_minted_share(most), full[at], 1e-9);
        }
        let lambda = LN_2 / (6.0 * 365.0 * 86_400.0);
        near(lambda, 3.663258818e-9, 1e-9);
    }

    #[test]
    fn parts_are_floors() {
        assert_eq!(part_of(Amount::new(7), 0.5), Ok(Amount::new(3)));
        assert_eq!(part_of(Amount::new(u128::MAX), 1.0), Ok(Amount::new(u128::MAX)));
        assert_eq!(part_of(Amount::new(7), 1.5), Err(Refusal::parameter("share")));
        assert_eq!(part_of(Amount::new(7), f64::NAN), Err(Refusal::parameter("share")));
    }

    /// G39.
    #[test]
    fn inflation_seeks_the_target() {
        let ppb = |parts| Ppb::new(parts).unwrap();
        let mut controller = InflationController {
            inflation: ppb(260_000_000),
            step: ppb(200_000),
            target: ppb(500_000_000),
            supply: Amount::new(1_000),
        };
        let table = [
            (400, 260_200_000, 260, 1_260),
            (700, 260_000_000, 327, 1_587),
            (900, 259_800_000, 412, 1_999),
        ];
        for (bonded, inflation, minted, supply) in table {
            let (new, next) = controller.round(Amount::new(bonded)).unwrap();
            assert_eq!((next.inflation.get(), new.get()), (inflation, minted));
            assert_eq!(next.supply.get(), supply);
            controller = next;
        }
        let half = controller.round(Amount::new(10_000));
        assert!(matches!(half, Err(Refusal::SplitNotUnity { .. })));
    }

    #[test]
    fn royalties_and_decay() {
        // .6, .4 x .6, .4^2: .6 + .24 + .16 = 1.
        let shares = lineage_shares(2, 0.4);
        for (got, expected) in shares.iter().zip([0.6, 0.24, 0.16]) {
            near(*got, expected, 1e-12);
        }
        assert_eq!(decayed_weight(8.0, 6.0, 2.0), 1.0);
    }
}
