//! Adoption: teams that choose between models, and a treasury that pays until fees do.

use crate::adoption::Bass;
use crate::document::{DOLLAR, Fields};
use crate::money::Amount;
use crate::prices::{PriceLaw, PricePath};

use super::people::read_bass;

/// A treasury that pays for operations and promises.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Treasury {
    /// Dollars at the start, in millionths.
    pub stable: Amount,
    /// Whole tokens at the start.
    pub tokens: f64,
    /// Dollars that operations cost a month, in millionths.
    pub costs: Amount,
    /// Dollars promised to contributors a month, in millionths.
    pub promises: Amount,
    /// Price of the token.
    pub price: PricePath,
    /// Dollars in the pool into which tokens are sold, in millionths: the smaller, the more a sale
    /// moves the price. Sales have no impact where absent.
    pub pool: Option<Amount>,
}

/// Who comes to use models built with attribution, and what that pays for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adoption {
    /// Teams that use models.
    pub teams: u64,
    /// Months of the run.
    pub months: u32,
    /// Diffusion among teams that add a model, a year.
    pub diffusion: Bass,
    /// Months between two procurements of a team.
    pub cycle_months: f64,
    /// Quality of incumbents above that of native models at the start, in units of utility.
    pub performance_gap: f64,
    /// Part of the gap that is left after contributors have grown tenfold.
    pub gap_after_tenfold_data: f64,
    /// Worth of provenance to a team, in units of utility.
    pub provenance_premium: f64,
    /// Years after which regulation asks for provenance in full; it grows linearly until then.
    pub regulation_years: f64,
    /// Worth of others' use, in units of utility at full share.
    pub network: f64,
    /// Cost of switching, in units of utility.
    pub switching_cost: f64,
    /// Coverage times one minus error of native attribution.
    pub native_recognised: f64,
    /// Share of incumbents' usage that retrofitted attribution can serve.
    pub retrofit_coverage: f64,
    /// Error of retrofitted attribution: share of money that misses who is owed it.
    pub retrofit_error: f64,
    /// Dollars of attributed usage a team and month, in millionths.
    pub usage: Amount,
    /// Share of that which reaches the treasury.
    pub take: f64,
    /// Discount rate a year.
    pub discount: f64,
    /// Months in a row that fees must cover costs to count as self-sustaining.
    pub months_running: u32,
    /// The treasury.
    pub treasury: Treasury,
}

pub(super) fn read(fields: Fields<'_>) -> Option<Adoption> {
    let utility = |name, default| fields.get(name, default, |entry| entry.number(-50.0, 50.0));
    let share = |name, default| fields.get(name, default, |entry| entry.share());
    let months = |days: f64| (days / 30.0).max(1.0 / 30.0);
    let default = Bass::new(0.03, 0.38).ok()?;
    let adoption = Adoption {
        teams: fields.need("teams", 1, |entry| entry.count(1, 10_000_000)),
        months: months(fields.need("horizon", 30.0, |entry| entry.days())).round().clamp(1.0, 1e5)
            as u32,
        diffusion: fields.get("diffusion", default, read_bass),
        cycle_months: months(fields.get("procurement-cycle", 720.0, |entry| entry.days())),
        performance_gap: utility("performance-gap", 1.0),
        gap_after_tenfold_data: share("gap-after-tenfold-data", 0.7),
        provenance_premium: utility("provenance-premium", 0.5),
        regulation_years: fields.get("regulation", 1825.0, |entry| entry.days()).max(1.0) / 365.0,
        network: utility("network", 0.5),
        switching_cost: utility("switching-cost", 1.0),
        native_recognised: share("native-recognised", 0.98),
        retrofit_coverage: share("retrofit-coverage", 0.25),
        retrofit_error: share("retrofit-error", 0.4),
        usage: fields.need("usage", Amount::ZERO, |entry| entry.dollars()),
        take: share("take", 0.1),
        discount: fields.get("discount", 0.0, |entry| entry.number(0.0, 10.0)),
        months_running: fields.get("months-running", 3, |entry| entry.count(1, 120)) as u32,
        treasury: read_treasury(&fields.section("treasury")),
    };
    fields.close();
    Some(adoption)
}

fn read_treasury(fields: &Fields<'_>) -> Treasury {
    let dollars = |name| fields.get(name, Amount::ZERO, |entry| entry.dollars());
    let start = fields.get("price", Amount::new(DOLLAR), |entry| entry.dollars());
    if start.is_zero() {
        fields.fault("price", "a price of nothing", "for example `0.2 USD`");
    }
    let volatility = fields.get("volatility", 0.0, |entry| entry.number(0.0, 10.0));
    let drift = fields.get("drift", 0.0, |entry| entry.number(-10.0, 10.0));
    let law = match volatility == 0.0 && drift == 0.0 {
        true => PriceLaw::Constant,
        false => PriceLaw::Geometric { drift, volatility },
    };
    let treasury = Treasury {
        stable: dollars("stable"),
        tokens: fields.get("tokens", 0, |entry| entry.count_of("tokens", 0)) as f64,
        costs: fields.need("costs", Amount::ZERO, |entry| entry.dollars()),
        promises: dollars("promises"),
        price: PricePath { start, law },
        pool: fields.get("pool", None, |entry| entry.dollars().map(Some)),
    };
    fields.close();
    treasury
}
