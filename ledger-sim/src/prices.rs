//! Paths of a token's price in dollars. Prices are kept in millionths of a dollar, so that what is
//! bought and sold at them is an integer.

use crate::document::DOLLAR;
use crate::money::{Amount, Scale};
use crate::random::{Purpose, Streams};
use crate::refusal::Refusal;

/// Daily price of Bitcoin every three days from February 2013, as published with the River library
/// (BSD-3-Clause): date and dollars.
const BITCOIN_3_DAY: &str = include_str!("../data/river_bitcoin_3day.csv");

/// How the price moves from epoch to epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PriceLaw {
    /// It stays.
    Constant,
    /// Geometric Brownian motion with these yearly rates:
    /// `ln P(t + h) = ln P(t) + (drift - volatility^2 / 2) h + volatility sqrt(h) Z`.
    Geometric {
        /// Expected growth a year.
        drift: f64,
        /// Standard deviation of a year's logarithmic return.
        volatility: f64,
    },
    /// Logarithmic returns of Bitcoin, replayed from a random day and round the end of the series;
    /// the law of the returns keeps its jumps and its clustering.
    Bitcoin,
}

/// A price law with the price at the start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PricePath {
    /// Price at the start, in millionths of a dollar a token.
    pub start: Amount,
    /// How it moves.
    pub law: PriceLaw,
}

impl PricePath {
    /// Price at the start of each of `epochs` epochs of `days` days.
    ///
    /// # Errors
    /// [`Refusal::Overflow`] when a price leaves the range of amounts.
    pub fn draw(&self, streams: &Streams, epochs: u32, days: f64) -> Result<Vec<Price>, Refusal> {
        let returns = bitcoin_returns();
        // The returns of the series stand three days apart.
        let first = streams.uniform(Purpose::Price, 1, 0, 0) * returns.len() as f64;
        let walked = |time: f64| {
            let steps = first + time / 3.0;
            walk(&returns, steps) - walk(&returns, first)
        };
        let years = days / 365.0;
        let mut level: f64 = 0.0;
        let mut prices = Vec::with_capacity(epochs as usize);
        for epoch in 0..epochs {
            let start = self.start.get() as f64;
            let price = match self.law {
                PriceLaw::Constant => start,
                PriceLaw::Geometric { .. } => start * level.exp(),
                PriceLaw::Bitcoin => start * walked(f64::from(epoch) * days).exp(),
            };
            prices.push(Price::new(price)?);
            if let PriceLaw::Geometric { drift, volatility } = self.law {
                let shock = streams.normal(Purpose::Price, 0, epoch, 0);
                level += (drift - volatility * volatility / 2.0) * years
                    + volatility * years.sqrt() * shock;
            }
        }
        Ok(prices)
    }
}

/// Sum of the first `steps` returns of an endless repetition, linear within a step.
fn walk(returns: &[f64], steps: f64) -> f64 {
    let whole = steps.floor();
    let rounds = (whole / returns.len() as f64).floor();
    let left = (whole - rounds * returns.len() as f64) as usize;
    let round: f64 = returns.iter().sum();
    let part: f64 = returns[..left].iter().sum();
    rounds * round + part + (steps - whole) * returns[left]
}

fn bitcoin_returns() -> Vec<f64> {
    let prices: Vec<f64> = BITCOIN_3_DAY
        .lines()
        .filter_map(|line| line.split_once(',')?.1.trim().parse().ok())
        .collect();
    prices.windows(2).map(|pair| (pair[1] / pair[0]).ln()).collect()
}

/// A price in millionths of a dollar a token, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price(u64);

impl Price {
    fn new(micro_dollars: f64) -> Result<Self, Refusal> {
        if micro_dollars.is_finite() && micro_dollars < 2f64.powi(62) {
            return Ok(Self((micro_dollars.round() as u64).max(1)));
        }
        Err(Refusal::Overflow)
    }

    /// Dollars a token.
    pub fn dollars(self) -> f64 {
        self.0 as f64 / DOLLAR as f64
    }

    /// `floor(dollars / price)` in base units of the token.
    ///
    /// # Errors
    /// [`Refusal::Overflow`].
    pub fn tokens(self, micro_dollars: Amount, scale: Scale) -> Result<Amount, Refusal> {
        micro_dollars.scaled(scale.base_units_per_token(), u128::from(self.0))
    }

    /// `floor(tokens x price)` in millionths of a dollar.
    ///
    /// # Errors
    /// [`Refusal::Overflow`].
    pub fn value(self, tokens: Amount, scale: Scale) -> Result<Amount, Refusal> {
        tokens.scaled(u128::from(self.0), scale.base_units_per_token())
    }
}

#[cfg(test)]
mod tests {
    use super::{Price, PriceLaw, PricePath, bitcoin_returns, walk};
    use crate::document::DOLLAR;
    use crate::money::{Amount, Scale};
    use crate::random::Streams;

    #[test]
    fn the_series_is_wild_as_described() {
        let returns = bitcoin_returns();
        assert_eq!(returns.len(), 821);
        let count = returns.len() as f64;
        let mean = returns.iter().sum::<f64>() / count;
        let moment = |power| returns.iter().map(|r| (r - mean).powi(power)).sum::<f64>() / count;
        // A year has 365 / 3 returns; the deviation a year is about .98 and the kurtosis about 39.
        assert!(((moment(2) * 365.0 / 3.0).sqrt() - 0.98).abs() < 0.01);
        assert!((moment(4) / moment(2).powi(2) - 39.0).abs() < 1.0);
    }

    #[test]
    fn a_walk_goes_round_the_end() {
        let returns = [1.0, 2.0, 4.0];
        assert_eq!(walk(&returns, 2.5), 1.0 + 2.0 + 2.0);
        assert_eq!(walk(&returns, 4.0), 7.0 + 1.0);
    }

    #[test]
    fn money_is_exchanged_in_integers() {
        let scale = Scale::new(1_000, 9).unwrap();
        // 1 USD at .18 USD a token buys floor(10^9 x 10^6 / 180000) = 5 555 555 555 base units.
        let price = Price::new(180_000.0).unwrap();
        assert_eq!(price.tokens(Amount::new(DOLLAR), scale), Ok(Amount::new(5_555_555_555)));
        assert_eq!(price.value(Amount::new(2_000_000_000), scale), Ok(Amount::new(360_000)));
    }

    #[test]
    fn geometric_motion_has_its_mean() {
        let law = PriceLaw::Geometric { drift: 0.1, volatility: 0.5 };
        let path = PricePath { start: Amount::new(1_000_000), law };
        let end = |replica| {
            let drawn = path.draw(&Streams::new(1, replica), 13, 365.0 / 12.0).unwrap();
            drawn[12].dollars()
        };
        let mean: f64 = (0..4_000).map(end).sum::<f64>() / 4_000.0;
        // E P(1) = e^.1; a path's deviation is about e^.1 sqrt(e^.25 - 1) = .59, so that of the
        // mean of 4000 is .0093 and four of those are .037.
        assert!((mean - 0.1f64.exp()).abs() < 0.037, "{mean}");
    }
}
