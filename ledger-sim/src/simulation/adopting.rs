//! Teams that choose between incumbent models and models built with attribution, and a treasury
//! that pays until fees do.
//!
//! Each month a team considers a native model with the probability of a procurement, or adds one
//! by diffusion, as Bass (1969) describes it for new products. Quality follows data: the
//! performance gap shrinks by the same factor with every tenfold of contributors, contributors
//! follow pay, pay follows use. Retrofitted attribution serves part of what incumbents are used
//! for, and pays into the same treasury.

use crate::adoption::{Paradox, Utility, sell, switching_probability};
use crate::document::DOLLAR;
use crate::money::Amount;
use crate::random::{Purpose, Streams};
use crate::refusal::Refusal;
use crate::scenario::Adoption;

use super::Outcome;

/// What a month was like.
struct Month {
    share: f64,
    fees: Amount,
    treasury: Amount,
}

/// A treasury of dollars and of tokens to be sold.
struct Reserve {
    stable: Amount,
    tokens: Amount,
    pool: Option<(Amount, Amount)>,
    is_over: bool,
}

/// Base units of a token in the reserve: whole tokens are sold in millionths.
const TOKEN: u128 = 1_000_000;

impl Reserve {
    fn open(adoption: &Adoption) -> Result<Self, Refusal> {
        let treasury = &adoption.treasury;
        let tokens = Amount::new(treasury.tokens as u128).scaled(TOKEN, 1)?;
        let pool = match treasury.pool {
            None => None,
            // The pool holds as many tokens as its dollars buy at the price of the start.
            Some(dollars) => {
                Some((dollars.scaled(TOKEN, treasury.price.start.get().max(1))?, dollars))
            }
        };
        Ok(Self { stable: treasury.stable, tokens, pool, is_over: false })
    }

    /// Pays what is due from dollars first, then from tokens that are sold at `price`.
    fn pay(&mut self, due: Amount, income: Amount, price: Amount) -> Result<(), Refusal> {
        self.stable = self.stable.plus(income)?;
        if self.stable < due {
            let missing = due.minus(self.stable)?;
            let wanted = missing.scaled(TOKEN, price.get())?.plus(Amount::new(1))?;
            let sold = wanted.min(self.tokens);
            let proceeds = match self.pool {
                None => sold.scaled(price.get(), TOKEN)?,
                Some((tokens, dollars)) => {
                    let (proceeds, tokens, dollars) = sell(sold, tokens, dollars)?;
                    self.pool = Some((tokens, dollars));
                    proceeds
                }
            };
            self.tokens = self.tokens.minus(sold)?;
            self.stable = self.stable.plus(proceeds)?;
        }
        self.is_over |= self.stable < due;
        self.stable = self.stable.excess_over(due);
        Ok(())
    }

    /// Dollars and what the tokens are worth at `price`.
    fn worth(&self, price: Amount) -> Result<Amount, Refusal> {
        self.stable.plus(self.tokens.scaled(price.get(), TOKEN)?)
    }
}

/// Runs the months and puts what they were like into the outcome.
pub(super) fn simulate(
    adoption: &Adoption,
    streams: &Streams,
    outcome: &mut Outcome,
) -> Result<(), Refusal> {
    let treasury = &adoption.treasury;
    let due = treasury.costs.plus(treasury.promises)?;
    let prices = treasury.price.draw(streams, adoption.months, 30.0)?;
    let micro = |price: crate::prices::Price| (price.dollars() * DOLLAR as f64).round() as u128;
    let mut reserve = Reserve::open(adoption)?;
    let mut native = 0u64;
    let mut contributors = 1.0;
    let mut months = vec![];
    let (mut ends, mut sustaining, mut running) = (None, None, 0);
    for month in 1..=adoption.months {
        native += joined(adoption, streams, month, native, contributors);
        let share = native as f64 / adoption.teams as f64;
        let fees = income(adoption, share)?;
        let price = Amount::new(micro(prices[month as usize - 1]));
        reserve.pay(due, fees, price)?;
        if reserve.is_over && ends.is_none() {
            ends = Some(month);
        }
        running = if fees >= due { running + 1 } else { 0 };
        if running == adoption.months_running && sustaining.is_none() {
            sustaining = Some(month + 1 - running);
        }
        // Contributors grow in proportion to what use pays them, doubling at full use in a year.
        contributors *= 1.0 + share * std::f64::consts::LN_2 / 12.0 * 4.0;
        months.push(Month { share, fees, treasury: reserve.worth(price)? });
    }
    report(adoption, outcome, &months, ends, sustaining);
    Ok(())
}

/// Teams that take up the native model in a month.
fn joined(adoption: &Adoption, streams: &Streams, month: u32, native: u64, data: f64) -> u64 {
    let share = native as f64 / adoption.teams as f64;
    let years = f64::from(month) / 12.0;
    let gap = adoption.performance_gap * adoption.gap_after_tenfold_data.powf(data.log10());
    let utility =
        |quality, provenance, network| Utility { quality, price: 0.0, provenance, network };
    let regulation = (years / adoption.regulation_years).min(1.0);
    let offer = utility(0.0, adoption.provenance_premium * regulation, adoption.network * share);
    let incumbent = utility(gap, 0.0, adoption.network * (1.0 - share));
    let moves = switching_probability(&offer, &incumbent, adoption.switching_cost);
    // Adding is less than replacing: it needs no switch, and meets the same taste.
    let adds = switching_probability(&offer, &incumbent, 0.0);
    let diffusion = adoption.diffusion.hazard(share) / 12.0;
    let chance = (moves / adoption.cycle_months + 2.0 * adds * diffusion).clamp(0.0, 1.0);
    let left = adoption.teams - native;
    let draws = |team: u64| streams.uniform(Purpose::Choice, team, month, 0);
    if left <= 2_000 {
        return (native..adoption.teams).filter(|team| draws(*team) < chance).count() as u64;
    }
    // Of many teams the number is normal to within its own rounding.
    let mean = left as f64 * chance;
    let deviation = (mean * (1.0 - chance)).sqrt();
    let z = streams.normal(Purpose::Choice, 1 << 39, month, 1);
    ((mean + deviation * z).round().max(0.0) as u64).min(left)
}

/// What native and retrofitted attribution pay into the treasury in a month.
fn income(adoption: &Adoption, share: f64) -> Result<Amount, Refusal> {
    let served = adoption.retrofit_coverage * (1.0 - share) * (1.0 - adoption.retrofit_error);
    let attributed = share * adoption.native_recognised + served;
    let usage = adoption.usage.times(adoption.teams)?;
    crate::emission::part_of(usage, (attributed * adoption.take).clamp(0.0, 1.0))
}

fn report(
    adoption: &Adoption,
    outcome: &mut Outcome,
    months: &[Month],
    ends: Option<u32>,
    sustaining: Option<u32>,
) {
    let horizon = adoption.months;
    let runway = ends.unwrap_or(horizon);
    let first = sustaining.is_some_and(|month| ends.is_none_or(|end| month <= end));
    let shares: Vec<f64> = months.iter().map(|month| month.share).collect();
    let retrofit = adoption.retrofit_coverage * (1.0 - adoption.retrofit_error);
    let ratio = |months: usize| {
        Paradox::of_path(&shares[..months], adoption.native_recognised, retrofit, adoption.discount)
    };
    let dollars = |amount: Amount| amount.get() as f64 / DOLLAR as f64;
    outcome.metrics.insert("runway-months", f64::from(runway));
    outcome.metrics.insert("self-sustaining-first", f64::from(u8::from(first)));
    if let Some(month) = sustaining {
        outcome.metrics.insert("self-sustaining-month", f64::from(month));
    }
    outcome.metrics.insert("native-share", shares.last().copied().unwrap_or(0.0));
    if let Some(ratio) = ratio(runway as usize) {
        outcome.metrics.insert("paradox", ratio);
        outcome.metrics.insert("paradox-below-one", f64::from(u8::from(ratio < 1.0)));
    }
    let even = (1..=months.len()).find(|months| ratio(*months).is_some_and(|ratio| ratio >= 1.0));
    if let Some(months) = even {
        outcome.metrics.insert("break-even-years", months as f64 / 12.0);
    }
    let treasury = months.iter().map(|month| dollars(month.treasury)).collect();
    outcome.series.insert("native-share", shares.clone());
    outcome.series.insert("treasury-dollars", treasury);
    outcome.series.insert("fees-dollars", months.iter().map(|month| dollars(month.fees)).collect());
    // Where nothing can be retrofitted there is no ratio, and no zero that looks like one.
    if let Some(ratios) = (1..=months.len()).map(ratio).collect() {
        outcome.series.insert("paradox", ratios);
    }
}
