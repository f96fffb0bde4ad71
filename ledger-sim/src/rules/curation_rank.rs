//! Ranked curation with caps, the form of Ocean's data farming.
//!
//! Assets are ranked by consumed volume, the largest first, ties taking the smaller rank; the top
//! `ranks` receive `g_j`, by default `log10 r_max - log10 r_j + log10 1.5` with `r_max` the largest
//! rank given. A staker's position is paid the least of `share_j S_ij / S_j P` with
//! `share_j = g_j / sum g`, a weekly fraction of what is locked, and `DCV_j S_ij / S_j` times a
//! multiplier, `DCV_j` being the consumed volume. A publisher's stake counts double.
//!
//! Parameters: `ranks` (1 to 100, default 100), `shape` (`log`, `linear` `r_max - r + 1`,
//! `square-root` `sqrt r_max - sqrt r + 1`, `power` `1/r`), `weekly_cap` (ppb of locked tokens,
//! default 15717000), `multiplier` (ppb of consumed volume, default 1e9), `rest` (`carry`, `burn`).
//!
//! Attack: split one asset into several ranks; consume one's own data up to the volume bound.
//!
//! Source: `oceanprotocol/df-py`. The constants of the shapes other than `log` are this crate's.

use super::{Entry, Inputs, Parameters, Reader, Rule, Settlement, State, require};
use crate::apportion::weights_from_scores;
use crate::money::{Amount, BILLION, Ppb};
use crate::refusal::Refusal;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "curation-rank",
    summary: "assets ranked by volume pay their stakers, within caps",
    attack: "split an asset over several ranks; buy one's own data up to the bound",
    needs: &["curation market"],
    build,
};

/// Whose stake a position is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The asset's publisher: counts double.
    Publisher,
    /// Anybody else.
    Curator,
}

/// Stake of one contributor on one asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The staker.
    pub contributor: usize,
    /// The asset.
    pub asset: usize,
    /// Stake allocated to the asset.
    pub stake: Amount,
    /// Tokens locked for it.
    pub locked: Amount,
    /// Whose stake it is.
    pub role: Role,
}

/// Consumed volumes by asset, and who staked on what.
#[derive(Clone, Copy, Debug)]
pub struct CurationMarket<'a> {
    /// Consumed volume of each asset.
    pub volumes: &'a [Amount],
    /// All positions.
    pub positions: &'a [Position],
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Log,
    Linear,
    SquareRoot,
    Power,
}

#[derive(Clone, Copy, Debug)]
enum Rest {
    Carry,
    Burn,
}

fn build(parameters: &Parameters) -> Result<Box<dyn Rule>, Refusal> {
    let mut reader = Reader::new(parameters);
    let ranks = reader.integer("ranks", 100, 1..=100)?;
    let shapes = [
        ("log", Shape::Log),
        ("linear", Shape::Linear),
        ("square-root", Shape::SquareRoot),
        ("power", Shape::Power),
    ];
    let shape = reader.choice("shape", &shapes)?;
    let weekly_cap = Ppb::new(reader.integer("weekly_cap", 15_717_000, 0..=BILLION)?)?;
    let multiplier = reader.integer("multiplier", BILLION, 0..=1_000 * BILLION)?;
    let rest = reader.choice("rest", &[("carry", Rest::Carry), ("burn", Rest::Burn)])?;
    reader.finish()?;
    Ok(Box::new(CurationRank { ranks, shape, weekly_cap, multiplier, rest }))
}

#[derive(Debug)]
struct CurationRank {
    ranks: u64,
    shape: Shape,
    weekly_cap: Ppb,
    multiplier: u64,
    rest: Rest,
}

impl CurationRank {
    /// Shares of the assets; zero for those beyond the ranks and those without volume.
    fn asset_shares(&self, volumes: &[Amount]) -> Vec<f64> {
        let rank = |volume: &Amount| 1 + volumes.iter().filter(|other| *other > volume).count();
        let given: Vec<Option<f64>> = volumes
            .iter()
            .map(|volume| (!volume.is_zero()).then(|| rank(volume)))
            .map(|rank| rank.filter(|rank| *rank as u64 <= self.ranks).map(|rank| rank as f64))
            .collect();
        let largest = given.iter().flatten().copied().fold(1.0, f64::max);
        let pay = |rank: f64| match self.shape {
            Shape::Log => largest.log10() - rank.log10() + 1.5f64.log10(),
            Shape::Linear => largest - rank + 1.0,
            Shape::SquareRoot => largest.sqrt() - rank.sqrt() + 1.0,
            Shape::Power => rank.recip(),
        };
        let gains: Vec<f64> = given.into_iter().map(|rank| rank.map_or(0.0, pay)).collect();
        let total: f64 = gains.iter().sum();
        if total == 0.0 {
            return gains;
        }
        gains.into_iter().map(|gain| gain / total).collect()
    }

    /// The least that the two caps allow a position.
    fn cap(&self, position: &Position, volume: Amount, staked: Amount) -> Result<Amount, Refusal> {
        let by_lock = self.weekly_cap.of(position.locked);
        let by_volume = volume.scaled(counted(position)?.get(), staked.get())?;
        Ok(by_lock.min(by_volume.scaled(u128::from(self.multiplier), u128::from(BILLION))?))
    }
}

/// Stake as it counts: a publisher's double.
fn counted(position: &Position) -> Result<Amount, Refusal> {
    let factor = match position.role {
        Role::Publisher => 2,
        Role::Curator => 1,
    };
    position.stake.times(factor)
}

impl Rule for CurationRank {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn settle(&self, inputs: &Inputs<'_>, _: &State) -> Result<Settlement, Refusal> {
        let market = require(inputs.side.market, ENTRY.name, "a curation market")?;
        let mut staked = vec![Amount::ZERO; market.volumes.len()];
        for position in market.positions {
            if position.contributor >= inputs.contributors || position.asset >= staked.len() {
                let input = "positions of known contributors on known assets";
                return Err(Refusal::RuleNeeds { rule: ENTRY.name, input });
            }
            staked[position.asset] = staked[position.asset].plus(counted(position)?)?;
        }
        let shares = self.asset_shares(market.volumes);
        let mut weights = Vec::with_capacity(market.positions.len());
        for position in market.positions {
            let all = staked[position.asset];
            let part = match all.is_zero() {
                true => 0.0,
                false => counted(position)?.get() as f64 / all.get() as f64,
            };
            weights.push(shares[position.asset] * part);
        }
        // Assets without stakers leave their share unpaid, so the weights may sum to less than one.
        weights.push((1.0 - weights.iter().sum::<f64>()).max(0.0));
        let money = inputs.money()?;
        let weights = weights_from_scores(&weights)?;
        let parts = crate::apportion::apportion(money, &weights, &crate::apportion::Ties::Index)?;
        let mut settlement = inputs.unowned(Amount::ZERO);
        let mut left = money;
        for (position, part) in market.positions.iter().zip(parts) {
            let (volume, all) = (market.volumes[position.asset], staked[position.asset]);
            if !all.is_zero() {
                let pay = part.min(self.cap(position, volume, all)?);
                left = left.minus(pay)?;
                let payout = &mut settlement.payouts[position.contributor];
                *payout = payout.plus(pay)?;
            }
        }
        match self.rest {
            Rest::Carry => settlement.carry = left,
            Rest::Burn => settlement.burn = left,
        }
        Ok(settlement)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::rules::{Value, settle};

    fn log() -> CurationRank {
        CurationRank {
            ranks: 100,
            shape: Shape::Log,
            weekly_cap: Ppb::ONE,
            multiplier: BILLION,
            rest: Rest::Carry,
        }
    }

    /// G26.
    #[test]
    fn published_ranking_and_the_split_that_beats_it() {
        let shares = log().asset_shares(&amounts(&[10, 99, 3]));
        for (got, expected) in shares.iter().zip([0.298084, 0.552874, 0.149042]) {
            assert!((got - expected).abs() < 5e-7);
        }
        // Volumes doubled so that 99 splits evenly: 20, 99 + 99, 6.
        let split = log().asset_shares(&amounts(&[20, 99, 99, 6]));
        assert!((split[1] + split[2] - 0.765361).abs() < 5e-7);
    }

    fn stake(contributor: usize, asset: usize, stake: u128, locked: u128, role: Role) -> Position {
        let (stake, locked) = (Amount::new(stake), Amount::new(locked));
        Position { contributor, asset, stake, locked, role }
    }

    #[test]
    fn caps_leave_a_rest() {
        // One asset, consumed volume 1000, pot 300. The publisher's 100 count 200 of 300.
        let volumes = amounts(&[1_000]);
        let positions =
            [stake(0, 0, 100, 1_000_000, Role::Publisher), stake(1, 0, 100, 1_000, Role::Curator)];
        let pots = amounts(&[300]);
        let mut inputs = Inputs::new(2, &pots);
        inputs.side.market = Some(CurationMarket { volumes: &volumes, positions: &positions });
        // Uncapped 200 and 100; the curator's lock allows floor(1000 x .015717) = 15.
        let settlement = settle(rule(ENTRY.name, &[]).as_ref(), &inputs, &State::Fresh).unwrap();
        assert_eq!((settlement.payouts, settlement.carry), (amounts(&[200, 15]), Amount::new(85)));
        // With a multiplier of .1 the volume bound is 1000 x 2/3 x .1 = 66.6 for the publisher.
        let tight = [
            ("multiplier", Value::Integer(u128::from(BILLION / 10))),
            ("rest", Value::Text("burn".to_owned())),
        ];
        let settlement = settle(rule(ENTRY.name, &tight).as_ref(), &inputs, &State::Fresh).unwrap();
        assert_eq!((settlement.payouts, settlement.burn), (amounts(&[66, 15]), Amount::new(219)));
    }

    #[test]
    fn an_asset_without_stakers_leaves_its_share() {
        let volumes = amounts(&[5, 5]);
        let positions = [stake(0, 0, 1, 1_000_000, Role::Curator)];
        let pots = amounts(&[4]);
        let mut inputs = Inputs::new(1, &pots);
        inputs.side.market = Some(CurationMarket { volumes: &volumes, positions: &positions });
        let settlement = settle(&log(), &inputs, &State::Fresh).unwrap();
        assert_eq!((settlement.payouts, settlement.carry), (amounts(&[2]), Amount::new(2)));
        let stray = [stake(3, 0, 1, 1, Role::Curator)];
        inputs.side.market = Some(CurationMarket { volumes: &volumes, positions: &stray });
        assert!(settle(&log(), &inputs, &State::Fresh).is_err());
    }
}
