//! The Synthetix `StakingRewards` contract, reproduced with its defects.
//!
//! `rpt += floor((min(t, t_end) - t_last) rate 10^18 / W)`,
//! `earned_i = floor(w_i (rpt - rpt_i) / 10^18) + rewards_i`; a reward `R` is spread over `D`
//! seconds at `rate = floor(R / D)`, or `floor((R + (t_end - t) rate) / D)` while an earlier one is
//! running. Known defects, kept: a reward below `D` units gives rate 0 and is lost; time without
//! stakers is lost; `R mod D` is lost. Amounts are raw `u128` as the contract's tokens have 18
//! decimals; products beyond 128 bits, which the contract does not reach either in practice, are
//! refused.

use super::unknown;
use crate::refusal::Refusal;

/// Seconds over which a reward is spread: a week.
pub const DURATION_SECONDS: u128 = 604_800;
const PRECISION: u128 = 1_000_000_000_000_000_000;

#[derive(Clone, Copy, Debug, Default)]
struct Staker {
    stake: u128,
    paid_index: u128,
    rewards: u128,
}

/// The contract's state.
#[derive(Clone, Debug)]
pub struct StakingRewards {
    rate: u128,
    finish_seconds: u128,
    updated_seconds: u128,
    index: u128,
    total_stake: u128,
    stakers: Vec<Staker>,
}

fn product(a: u128, b: u128) -> Result<u128, Refusal> {
    a.checked_mul(b).ok_or(Refusal::Overflow)
}

impl StakingRewards {
    /// A contract with `stakers` accounts at time zero.
    pub fn new(stakers: usize) -> Self {
        Self {
            rate: 0,
            finish_seconds: 0,
            updated_seconds: 0,
            index: 0,
            total_stake: 0,
            stakers: vec![Staker::default(); stakers],
        }
    }

    /// Reward a second, in base units.
    pub fn rate(&self) -> u128 {
        self.rate
    }

    /// Announces `reward` at time `seconds`.
    ///
    /// # Errors
    /// [`Refusal::Overflow`].
    pub fn notify(&mut self, reward: u128, seconds: u128) -> Result<(), Refusal> {
        self.advance(seconds)?;
        let running = self.finish_seconds.saturating_sub(seconds);
        let left = product(running, self.rate)?;
        self.rate = reward.checked_add(left).ok_or(Refusal::Overflow)? / DURATION_SECONDS;
        self.finish_seconds = seconds + DURATION_SECONDS;
        self.updated_seconds = seconds;
        Ok(())
    }

    /// Adds `stake` to what `staker` has at time `seconds`.
    ///
    /// # Errors
    /// [`Refusal::UnknownAccount`] for an unknown staker, [`Refusal::Overflow`].
    pub fn stake(&mut self, staker: usize, stake: u128, seconds: u128) -> Result<(), Refusal> {
        self.update(staker, seconds)?;
        self.total_stake = self.total_stake.checked_add(stake).ok_or(Refusal::Overflow)?;
        self.stakers[staker].stake += stake;
        Ok(())
    }

    /// What `staker` has earned by time `seconds`.
    ///
    /// # Errors
    /// [`Refusal::UnknownAccount`] for an unknown staker, [`Refusal::Overflow`].
    pub fn earned(&mut self, staker: usize, seconds: u128) -> Result<u128, Refusal> {
        self.update(staker, seconds)?;
        Ok(self.stakers[staker].rewards)
    }

    fn update(&mut self, staker: usize, seconds: u128) -> Result<(), Refusal> {
        self.advance(seconds)?;
        let index = self.index;
        let refusal = unknown(staker);
        let staker = self.stakers.get_mut(staker).ok_or(refusal)?;
        staker.rewards += product(staker.stake, index - staker.paid_index)? / PRECISION;
        staker.paid_index = index;
        Ok(())
    }

    fn advance(&mut self, seconds: u128) -> Result<(), Refusal> {
        let until = seconds.min(self.finish_seconds);
        let elapsed = until.saturating_sub(self.updated_seconds);
        let grown = product(product(elapsed, self.rate)?, PRECISION)?;
        self.index += grown.checked_div(self.total_stake).unwrap_or(0);
        // Time without stakers passes all the same: this is where their reward is lost.
        self.updated_seconds = self.updated_seconds.max(until);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u128 = 86_400;

    /// G34: 604,800 units over seven days are one a second.
    #[test]
    fn two_stakers() {
        let mut contract = StakingRewards::new(2);
        contract.stake(0, 100, 0).unwrap();
        contract.notify(604_800, 0).unwrap();
        contract.stake(1, 300, DAY).unwrap();
        // a: 86,400 + 2 x 86,400 / 4; b: 2 x 86,400 x 3/4.
        assert_eq!(contract.earned(0, 3 * DAY), Ok(129_600));
        assert_eq!(contract.earned(1, 3 * DAY), Ok(129_600));
        assert_eq!(contract.earned(0, 9 * DAY), Ok(216_000));
        assert_eq!(contract.earned(1, 9 * DAY), Ok(388_800));
    }

    /// G34: the defects.
    #[test]
    fn what_is_lost() {
        // Nobody stakes on the first day: six days of seven are paid.
        let mut contract = StakingRewards::new(1);
        contract.notify(604_800, 0).unwrap();
        contract.stake(0, 100, DAY).unwrap();
        assert_eq!(contract.earned(0, 8 * DAY), Ok(518_400));
        // A reward below the number of seconds gives rate zero.
        let mut contract = StakingRewards::new(1);
        contract.notify(1_000, 0).unwrap();
        assert_eq!(contract.rate(), 0);
        let mut contract = StakingRewards::new(1);
        let reward = 10u128.pow(21);
        contract.notify(reward, 0).unwrap();
        assert_eq!(contract.rate(), 1_653_439_153_439_153);
        assert_eq!(reward - contract.rate() * DURATION_SECONDS, 265_600);
    }

    /// G34: a second equal reward at half time leaves 1.5 a second.
    #[test]
    fn rewards_overlap() {
        let mut contract = StakingRewards::new(1);
        contract.notify(604_800, 0).unwrap();
        contract.notify(604_800, DURATION_SECONDS / 2).unwrap();
        // (604,800 + 302,400) / 604,800 = 1.5, floored to whole units: scale up to see it.
        assert_eq!(contract.rate(), 1);
        let mut contract = StakingRewards::new(1);
        contract.notify(6_048_000, 0).unwrap();
        contract.notify(6_048_000, DURATION_SECONDS / 2).unwrap();
        assert_eq!(contract.rate(), 15);
    }
}
