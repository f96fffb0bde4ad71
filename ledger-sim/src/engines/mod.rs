//! Ways to pay millions of accounts, most without touching each of them at every pot.
//!
//! - [`FlatPool`] touches all of them, at the speed of memory.
//! - [`RewardPerShare`] loses nothing and suits weights that change rarely.
//! - [`FeeDistribution`] (F1) suits slashing that acts on a whole pool.
//! - [`StakingRewards`] reproduces a widely copied contract with its defects, for comparison.

mod fee_distribution;
mod fixed;
mod flat_pool;
mod reward_per_share;
mod staking_rewards;

pub use fee_distribution::FeeDistribution;
pub use flat_pool::FlatPool;
pub use reward_per_share::RewardPerShare;
pub use staking_rewards::StakingRewards;

use crate::account::{Account, Family};
use crate::refusal::Refusal;

/// The refusal of a staker that was never there; indices beyond 32 bits share the last number.
fn unknown(index: usize) -> Refusal {
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    Refusal::UnknownAccount { account: Account::new(Family::Stake, index) }
}
