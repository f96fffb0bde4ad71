//! Token, locked buckets, fees, emission and friction.

use crate::document::{Entry, Fields, Money};
use crate::emission::{BaselineMinting, CliffMonths, Halving, Vesting};
use crate::fees::{FeeSplit, TokenPrices};
use crate::money::{Amount, BILLION, LARGEST_SUPPLY, Ppb, Scale};
use crate::prices::{PriceLaw, PricePath};

use super::Clock;

/// Where a locked bucket is released to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Everybody outside: users, buyers and sellers.
    Market,
    /// The protocol's reserve.
    Treasury,
}

/// A locked bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Allocation {
    /// Its name.
    pub name: String,
    /// Who receives what it releases.
    pub to: Holder,
    /// Its size.
    pub amount: Amount,
    /// Released at once.
    pub at_launch: Amount,
    /// How the rest is released, by months.
    pub schedule: Vesting,
}

/// Where the money of an emission comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoneySource {
    /// The reserve.
    Treasury,
    /// New money within the supply.
    Mint,
}

/// How much is emitted to contributors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EmissionLaw {
    /// Nothing.
    None,
    /// The same every epoch.
    Constant(Amount),
    /// Halving every so many epochs.
    Halving(Halving),
    /// A total that decays with a half-life in years.
    Exponential {
        /// Emitted in all.
        total: Amount,
        /// Years in which half is emitted.
        half_life_years: f64,
    },
    /// A total of which most matures only as usage keeps up with a growing baseline.
    Baseline {
        /// Emitted in all.
        total: Amount,
        /// The law.
        minting: BaselineMinting,
        /// Queries a year that count as the baseline at the start.
        queries_per_year: f64,
    },
    /// Inflation that moves a step an epoch towards a target share of bonded tokens.
    Inflation {
        /// Inflation of the first epoch.
        initial: Ppb,
        /// Change an epoch.
        step: Ppb,
        /// Share of bonded tokens aimed at.
        target: Ppb,
        /// Share of the supply that is bonded.
        bonded: Ppb,
    },
}

/// An emission to contributors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Emission {
    /// How much.
    pub law: EmissionLaw,
    /// From where.
    pub source: MoneySource,
}

/// What a user pays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fee {
    /// The same for every query.
    Flat(Money),
    /// By tokens read and written.
    ByTokens {
        /// Prices of a thousand.
        prices: TokenPrices,
        /// Mean number read.
        input: u64,
        /// Mean number written.
        output: u64,
    },
    /// So much a user and epoch, whatever the use.
    Subscription(Money),
}

/// What stands between a balance and its owner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frictions {
    /// Least balance that can be withdrawn.
    pub minimum_withdrawal: Money,
    /// Cost of a claim.
    pub claim_cost: Money,
    /// Share of contributors who are ever onboarded.
    pub onboarded: f64,
    /// Epochs between two opportunities to claim.
    pub claim_every: u32,
    /// Epochs after which a balance of somebody who is not onboarded is collected; never where
    /// absent.
    pub sweep_after: Option<u32>,
}

/// Token, fees, emission and friction.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenEconomy {
    /// Supply and decimals.
    pub scale: Scale,
    /// Price.
    pub price: PricePath,
    /// Locked buckets.
    pub allocations: Vec<Allocation>,
    /// The reserve at the start.
    pub treasury: Amount,
    /// Part of the supply that does not exist at the start.
    pub unminted: Amount,
    /// What everybody outside holds at the start: the rest.
    pub market: Amount,
    /// What is paid.
    pub fee: Fee,
    /// Fall of the fee a year, as a share.
    pub fee_decline: f64,
    /// Who shares a fee.
    pub split: FeeSplit,
    /// What is emitted.
    pub emission: Emission,
    /// Friction.
    pub friction: Frictions,
}

/// Reads the money sections; `None` when the token itself cannot be read.
pub(super) fn read(root: &Fields<'_>, clock: &Clock) -> TokenEconomy {
    let token = root.section("token");
    let decimals = token.get("decimals", 9, |entry| entry.count(0, 18)) as u32;
    let supply = token.need("supply", None, |entry| read_supply(entry, decimals));
    let price = token.get(
        "price",
        PricePath { start: Amount::new(1_000_000), law: PriceLaw::Constant },
        read_price,
    );
    let unminted_entry = token.find("unminted");
    token.close();
    // A scenario without a supply is refused; its other amounts are still checked.
    let scale = supply.unwrap_or_else(|| largest_supply(decimals));
    let unminted = unminted_entry.and_then(|entry| entry.tokens(scale)).unwrap_or(Amount::ZERO);
    let allocations = root.get("allocation", vec![], |entry| {
        Some(entry.list().iter().filter_map(|bucket| read_allocation(bucket, scale)).collect())
    });
    let treasury = root.section("treasury");
    let treasury_tokens = treasury.get("tokens", Amount::ZERO, |entry| entry.tokens(scale));
    treasury.close();
    let promises = [treasury_tokens, unminted]
        .into_iter()
        .chain(allocations.iter().map(|bucket: &Allocation| bucket.amount));
    // More than any number holds is more than the supply as well.
    let promised = Amount::total(promises).unwrap_or(Amount::new(u128::MAX));
    if promised > scale.supply() {
        root.fault(
            "token.supply",
            format!(
                "allocation, treasury and unminted tokens are {} tokens, {} more than the supply",
                scale.in_tokens(promised),
                scale.in_tokens(promised.excess_over(scale.supply()))
            ),
            "nothing can be released beyond the supply: allocate less or raise the supply",
        );
    }
    let market = scale.supply().excess_over(promised);
    let (fee, fee_decline, split) = read_fees(root, scale);
    let emission = read_emission(root, scale);
    check_emission(root, &emission, scale, clock, treasury_tokens, unminted, &allocations);
    let friction = read_friction(root, scale);
    TokenEconomy {
        scale,
        price,
        allocations,
        treasury: treasury_tokens,
        unminted,
        market,
        fee,
        fee_decline,
        split,
        emission,
        friction,
    }
}

fn read_supply(entry: &Entry<'_>, decimals: u32) -> Option<Option<Scale>> {
    // Whole tokens are read first: the scale that other amounts need is made from them.
    let whole = Scale::new(1, 0).ok()?;
    let tokens = entry.tokens(whole)?;
    if tokens.is_zero() {
        entry.fault("a supply of nothing", "for example `1000000000 tokens`");
    }
    match Scale::new(tokens.get(), decimals) {
        Ok(scale) => Some(Some(scale)),
        Err(_) => {
            entry.fault(
                format!("{tokens} tokens of {decimals} decimals are 2^120 base units or more"),
                "fewer decimals",
            );
            None
        }
    }
}

/// The most tokens of so many decimals that can be counted.
fn largest_supply(decimals: u32) -> Scale {
    let tokens = (LARGEST_SUPPLY - 1) / 10u128.pow(decimals);
    Scale::new(tokens, decimals).expect("the largest number holds so many")
}

fn read_price(entry: &Entry<'_>) -> Option<PricePath> {
    if !matches!(entry.node, crate::document::Node::Map(_)) {
        return entry.dollars().map(|start| PricePath { start, law: PriceLaw::Constant });
    }
    let (name, fields) = entry.named()?;
    let laws = ["constant", "geometric", "bitcoin"];
    entry.known("price law", &name, laws.into_iter())?;
    let start = fields.need("start", Amount::new(1), |entry| entry.dollars());
    if start.is_zero() {
        fields.fault("start", "a price of nothing", "for example `0.2 USD`");
    }
    let law = match name.as_str() {
        "geometric" => PriceLaw::Geometric {
            drift: fields.get("drift", 0.0, |entry| entry.number(-10.0, 10.0)),
            volatility: fields.need("volatility", 0.0, |entry| entry.number(0.0, 10.0)),
        },
        "bitcoin" => PriceLaw::Bitcoin,
        _ => PriceLaw::Constant,
    };
    fields.close();
    Some(PricePath { start, law })
}

fn read_allocation(entry: &Entry<'_>, scale: Scale) -> Option<Allocation> {
    let fields = entry.fields()?;
    let name = fields.need("name", String::new(), |entry| entry.text());
    let holders = [("market", Holder::Market), ("treasury", Holder::Treasury)];
    let to = fields.get("to", Holder::Market, |entry| entry.choice("holder", &holders));
    let amount = fields.need("amount", Amount::ZERO, |entry| entry.tokens(scale));
    let at_launch = fields.get("at-launch", Ppb::ZERO, |entry| entry.rate()).of(amount);
    let months = |days: f64| (days / 30.0).round() as u64;
    let cliff_months = months(fields.get("cliff", 0.0, |entry| entry.days()));
    let linear_months = months(fields.get("linear", 30.0, |entry| entry.days())).max(1);
    let cliffs =
        [("earns-nothing", CliffMonths::EarnNothing), ("catches-up", CliffMonths::CatchUp)];
    let cliff =
        fields.get("at-cliff", CliffMonths::EarnNothing, |entry| entry.choice("cliff", &cliffs));
    fields.close();
    let total = amount.excess_over(at_launch);
    let schedule = Vesting { total, cliff_months, linear_months, cliff };
    Some(Allocation { name, to, amount, at_launch, schedule })
}

fn read_fees(root: &Fields<'_>, scale: Scale) -> (Fee, f64, FeeSplit) {
    let fields = root.section("fees");
    let nothing = Fee::Flat(Money::Tokens(Amount::ZERO));
    let kinds = ["per-query", "by-tokens", "subscription"];
    let given: Vec<&str> = kinds.into_iter().filter(|kind| fields.has(kind)).collect();
    if given.len() > 1 {
        fields.fault(
            given[1],
            format!("{} and {} are given", given[0], given[1]),
            "keep one of them",
        );
    }
    let per_query = fields.get("per-query", nothing, |entry| entry.money(scale).map(Fee::Flat));
    let by_tokens = fields.get("by-tokens", nothing, |entry| read_by_tokens(entry, scale));
    let subscription =
        fields.get("subscription", nothing, |entry| entry.money(scale).map(Fee::Subscription));
    let fee = match given.first() {
        Some(&"by-tokens") => by_tokens,
        Some(&"subscription") => subscription,
        _ => per_query,
    };
    let decline = fields.get("decline", 0.0, |entry| entry.share());
    let whole = Ppb::ONE;
    let platform = fields.get("platform", Ppb::ZERO, |entry| entry.rate());
    let model = fields.get("model", Ppb::ZERO, |entry| entry.rate());
    let stakers = fields.get("stakers", Ppb::ZERO, |entry| entry.rate());
    let rest = Ppb::new(BILLION.saturating_sub(model.get() + stakers.get())).unwrap_or(Ppb::ZERO);
    let contributors = fields.get("contributors", rest, |entry| entry.rate());
    let sum = model.get() + stakers.get() + contributors.get();
    if sum != BILLION {
        fields.fault(
            "contributors",
            format!("model, stakers and contributors share {} % of the net fee", sum as f64 / 1e7),
            "the three must sum to 100 %; the platform's cut is taken before",
        );
    }
    fields.close();
    let split = FeeSplit::new(platform, model, stakers, contributors)
        .or_else(|_| FeeSplit::new(platform, Ppb::ZERO, Ppb::ZERO, whole))
        .expect("nothing, nothing and the whole sum to the whole");
    (fee, decline, split)
}

fn read_by_tokens(entry: &Entry<'_>, scale: Scale) -> Option<Fee> {
    let fields = entry.fields()?;
    let prices = TokenPrices {
        input: fields.need("input-price", Amount::ZERO, |entry| entry.tokens(scale)),
        output: fields.need("output-price", Amount::ZERO, |entry| entry.tokens(scale)),
    };
    let input = fields.get("input", 1_200, |entry| entry.count(0, 1 << 32));
    let output = fields.get("output", 300, |entry| entry.count(0, 1 << 32));
    fields.close();
    Some(Fee::ByTokens { prices, input, output })
}

fn read_emission(root: &Fields<'_>, scale: Scale) -> Emission {
    let none = Emission { law: EmissionLaw::None, source: MoneySource::Treasury };
    root.get("emission", none, |entry| {
        let (name, fields) = entry.named()?;
        let laws = ["none", "constant", "halving", "exponential", "baseline", "inflation"];
        entry.known("emission", &name, laws.into_iter())?;
        let total = |name| fields.need(name, Amount::ZERO, |entry| entry.tokens(scale));
        let rate = |name| fields.need(name, Ppb::ZERO, |entry| entry.rate());
        let years = |name, default: f64| {
            fields.get(name, default * 365.0, |entry| entry.days()).max(1.0) / 365.0
        };
        let law = match name.as_str() {
            "constant" => EmissionLaw::Constant(total("amount")),
            "halving" => EmissionLaw::Halving(Halving {
                reward: total("reward"),
                interval: fields.need("interval", 1, |entry| entry.count(1, u64::MAX)),
            }),
            "exponential" => EmissionLaw::Exponential {
                total: total("total"),
                half_life_years: years("half-life", 6.0),
            },
            "baseline" => EmissionLaw::Baseline {
                total: total("total"),
                minting: BaselineMinting {
                    baseline_share: fields.get("follows-usage", 0.7, |entry| entry.share()),
                    half_life_years: years("half-life", 6.0),
                    baseline: 1.0,
                },
                queries_per_year: fields.need("baseline", 1, |entry| entry.count_of("queries", 1))
                    as f64,
            },
            "inflation" => EmissionLaw::Inflation {
                initial: rate("initial"),
                step: rate("step"),
                target: rate("target"),
                bonded: rate("bonded"),
            },
            _ => EmissionLaw::None,
        };
        let sources = [("treasury", MoneySource::Treasury), ("mint", MoneySource::Mint)];
        let source =
            fields.get("from", MoneySource::Treasury, |entry| entry.choice("source", &sources));
        fields.close();
        Some(Emission { law, source })
    })
}

/// Refuses an emission that its source can never pay.
fn check_emission(
    root: &Fields<'_>,
    emission: &Emission,
    scale: Scale,
    clock: &Clock,
    treasury: Amount,
    unminted: Amount,
    allocations: &[Allocation],
) {
    let epochs = u64::from(clock.epochs);
    let planned = match emission.law {
        EmissionLaw::None => Some(Amount::ZERO),
        EmissionLaw::Constant(amount) => amount.times(epochs).ok(),
        EmissionLaw::Halving(halving) => halving.cumulative(epochs).ok(),
        EmissionLaw::Exponential { total, .. } | EmissionLaw::Baseline { total, .. } => Some(total),
        // What inflation mints depends on the run; the cap is kept by the books.
        EmissionLaw::Inflation { .. } => Some(Amount::ZERO),
    };
    let to_treasury = allocations
        .iter()
        .filter(|bucket| bucket.to == Holder::Treasury)
        .map(|bucket| bucket.amount);
    let available = match emission.source {
        MoneySource::Mint => Ok(unminted),
        MoneySource::Treasury => Amount::total(to_treasury.chain([treasury])),
    };
    let (Ok(available), false) = (available, scale.supply().is_zero()) else { return };
    if planned.is_none_or(|planned| planned > available) {
        let planned = match planned {
            Some(planned) => format!("{} tokens", scale.in_tokens(planned)),
            None => "more tokens than can be counted".to_owned(),
        };
        let (place, hint) = match emission.source {
            MoneySource::Mint => ("unminted", "raise `token.unminted` within the supply"),
            MoneySource::Treasury => ("treasury", "raise `treasury.tokens` within the supply"),
        };
        root.fault(
            "emission",
            format!(
                "{planned} are emitted in the run, but the {place} has {}",
                scale.in_tokens(available)
            ),
            hint,
        );
    }
}

fn read_friction(root: &Fields<'_>, scale: Scale) -> Frictions {
    let fields = root.section("friction");
    let nothing = Money::Tokens(Amount::ZERO);
    let epochs = |entry: &Entry<'_>| {
        entry.count_of("epochs", 1).map(|count| count.min(u64::from(u32::MAX)) as u32)
    };
    let frictions = Frictions {
        minimum_withdrawal: fields.get("minimum-withdrawal", nothing, |entry| entry.money(scale)),
        claim_cost: fields.get("claim-cost", nothing, |entry| entry.money(scale)),
        onboarded: fields.get("onboarded", 1.0, |entry| entry.share()),
        claim_every: fields.get("claim-every", 1, epochs),
        sweep_after: fields.get("sweep-after", None, |entry| epochs(entry).map(Some)),
    };
    fields.close();
    frictions
}
