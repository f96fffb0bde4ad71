//! Who comes to use a model, how long the money lasts, and whether imperfect attribution on the
//! models people use recognises more than exact attribution on models they do not use yet.

use crate::money::Amount;
use crate::refusal::Refusal;

/// Bass diffusion (1969): `F' = (p + q F)(1 - F)`, `F(0) = 0`, time in years.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bass {
    innovation: f64,
    imitation: f64,
}

impl Bass {
    /// Diffusion with coefficients `p > 0` of innovation and `q > 0` of imitation, per year.
    ///
    /// # Errors
    /// [`Refusal::ParamOutOfRange`].
    pub fn new(innovation: f64, imitation: f64) -> Result<Self, Refusal> {
        let check = |name, rate: f64| {
            if rate.is_finite() && rate > 0.0 { Ok(rate) } else { Err(Refusal::parameter(name)) }
        };
        Ok(Self {
            innovation: check("innovation", innovation)?,
            imitation: check("imitation", imitation)?,
        })
    }

    /// Share that has adopted: `(1 - e^(-(p+q)t)) / (1 + (q/p) e^(-(p+q)t))`.
    pub fn share(&self, years: f64) -> f64 {
        let decay = (-(self.innovation + self.imitation) * years).exp();
        (1.0 - decay) / (1.0 + self.imitation / self.innovation * decay)
    }

    /// Rate, a year, at which those adopt who have not: `p + q F`.
    pub fn hazard(&self, share: f64) -> f64 {
        self.innovation + self.imitation * share
    }

    /// When adoption is fastest: `ln(q/p) / (p+q)`; negative when `q < p`.
    pub fn peak_years(&self) -> f64 {
        (self.imitation / self.innovation).ln() / (self.innovation + self.imitation)
    }

    /// When a share below one has adopted: `ln((1 + q F / p) / (1 - F)) / (p+q)`.
    pub fn years_to(&self, share: f64) -> f64 {
        let ratio = (1.0 + self.imitation * share / self.innovation) / (1.0 - share);
        ratio.ln() / (self.innovation + self.imitation)
    }

    /// Cumulative use, the integral of the share: `t - ln(1 + (q/p) F(t)) / q`.
    pub fn cumulative(&self, years: f64) -> f64 {
        let ratio = self.imitation / self.innovation;
        years - (ratio * self.share(years)).ln_1p() / self.imitation
    }
}

/// Utility of a model to a team that chooses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Utility {
    /// Weighted quality.
    pub quality: f64,
    /// Weighted price, which counts against.
    pub price: f64,
    /// Weighted provenance at today's regulation.
    pub provenance: f64,
    /// Weighted share of others who use it.
    pub network: f64,
}

impl Utility {
    /// `quality - price + provenance + network`.
    pub fn total(&self) -> f64 {
        self.quality - self.price + self.provenance + self.network
    }
}

/// Probability that a team moves from `incumbent` to `native` at one procurement, with Gumbel
/// tastes (McFadden 1974): `1 / (1 + e^(-(dV - switching cost)))`.
pub fn switching_probability(native: &Utility, incumbent: &Utility, switching_cost: f64) -> f64 {
    let advantage = native.total() - incumbent.total() - switching_cost;
    1.0 / (1.0 + (-advantage).exp())
}

/// Recognised work of native over retrofitted attribution, up to a horizon.
///
/// `P(tau) = integral of u s_N k_N e^(-rt) / integral of u s_R k_R e^(-rt)` with constant usage
/// revenue `u`, share `s_N` by diffusion, `s_R = 1 - s_N`, and `k = coverage (1 - error)`. Below
/// one, attribution on the models people use recognises more within the time available.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paradox {
    /// Diffusion of models built with attribution.
    pub diffusion: Bass,
    /// Coverage times one minus error of native attribution.
    pub native: f64,
    /// The same of retrofitted attribution.
    pub retrofit: f64,
    /// Discount rate a year.
    pub discount: f64,
}

impl Paradox {
    /// The ratio up to `years > 0`, by Simpson's rule with 4096 steps.
    pub fn ratio(&self, years: f64) -> f64 {
        let native = self.integral(years, |share| share);
        let retrofit = self.integral(years, |share| 1.0 - share);
        self.native * native / (self.retrofit * retrofit)
    }

    fn integral(&self, years: f64, part: impl Fn(f64) -> f64) -> f64 {
        let steps = 4096;
        let width = years / f64::from(steps);
        let value = |step: i32| {
            let time = f64::from(step) * width;
            part(self.diffusion.share(time)) * (-self.discount * time).exp()
        };
        let weight = |step| if step % 2 == 1 { 4.0 } else { 2.0 };
        let inner: f64 = (1..steps).map(|step| weight(step) * value(step)).sum();
        (value(0) + inner + value(steps)) * width / 3.0
    }

    /// The ratio over a path of monthly native shares, `sum s k_N d / sum (1 - s) k_R d` with
    /// discount `d = e^(-r t)` at the end of each month; `None` where retrofitted attribution
    /// recognises nothing.
    pub fn of_path(shares: &[f64], native: f64, retrofit: f64, discount: f64) -> Option<f64> {
        let kept = |month: usize| (-discount * (month + 1) as f64 / 12.0).exp();
        let sum = |part: fn(f64) -> f64| -> f64 {
            shares.iter().enumerate().map(|(month, share)| part(*share) * kept(month)).sum()
        };
        let below = retrofit * sum(|share| 1.0 - share);
        (below > 0.0).then(|| native * sum(|share| share) / below)
    }

    /// Horizon at which the ratio is one, if it is before `limit_years`.
    pub fn break_even_years(&self, limit_years: f64) -> Option<f64> {
        if self.ratio(limit_years) < 1.0 {
            return None;
        }
        // The ratio rises with the horizon, because the native share does.
        let (mut low, mut high) = (0.0, limit_years);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if self.ratio(middle) < 1.0 { low = middle } else { high = middle }
        }
        Some(high)
    }

    /// Share of the native model at which both recognise equally fast.
    pub fn crossing_share(&self) -> f64 {
        self.retrofit / (self.native + self.retrofit)
    }
}

/// How long a treasury lasts, and from when fees carry the costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runway {
    /// First month at whose end the treasury could not pay.
    pub ends: Option<u32>,
    /// First month of the first run of months in which fees cover costs.
    pub self_sustaining: Option<u32>,
}

/// Steps a treasury month by month: fees come in, `costs` go out, at the end of months `1 ..=
/// horizon`. `months_running` consecutive months of covered costs count as self-sustaining. A
/// treasury that has ended stays so; months go on to be judged by their fees.
///
/// # Errors
/// Those of `fees`, and [`Refusal::Overflow`].
pub fn runway(
    mut treasury: Amount,
    costs: Amount,
    fees: impl Fn(u32) -> Result<Amount, Refusal>,
    horizon: u32,
    months_running: u32,
) -> Result<Runway, Refusal> {
    let mut result = Runway { ends: None, self_sustaining: None };
    let mut running = 0;
    for month in 1..=horizon {
        let income = fees(month)?;
        running = if income >= costs { running + 1 } else { 0 };
        if running == months_running && result.self_sustaining.is_none() {
            result.self_sustaining = Some(month + 1 - months_running);
        }
        let available = treasury.plus(income)?;
        if available < costs {
            result.ends = result.ends.or(Some(month));
        }
        treasury = available.excess_over(costs);
    }
    Ok(result)
}

/// Proceeds of selling `tokens` into a constant-product pool: `floor(y - x y / (x + tokens))`, and
/// the pool after.
///
/// # Errors
/// [`Refusal::Overflow`], also for a pool without tokens.
pub fn sell(
    tokens: Amount,
    pool_tokens: Amount,
    pool_stable: Amount,
) -> Result<(Amount, Amount, Amount), Refusal> {
    let after = pool_tokens.plus(tokens)?;
    let proceeds = pool_stable.scaled(tokens.get(), after.get())?;
    Ok((proceeds, after, pool_stable.minus(proceeds)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emission::part_of;

    fn near(got: f64, expected: f64, absolute: f64) {
        assert!((got - expected).abs() < absolute, "{got} {expected}");
    }

    fn standard() -> Bass {
        Bass::new(0.03, 0.38).unwrap()
    }

    /// G43.
    #[test]
    fn diffusion() {
        let bass = standard();
        near(bass.peak_years(), 6.192_619_197_7, 1e-9);
        // 1/2 - p/(2q) at the peak.
        near(bass.share(bass.peak_years()), 0.460_526_315_8, 1e-9);
        for (years, share) in [(1.0, 0.035758), (4.0, 0.233150), (5.0, 0.331199), (10.0, 0.812803)]
        {
            near(bass.share(years), share, 5.1e-7);
            near(bass.years_to(bass.share(years)), years, 1e-9);
        }
        near(bass.cumulative(4.0), 0.382_801_786_9, 1e-9);
        near(bass.years_to(0.5), 6.550_188_6, 5.1e-8);
        near(Bass::new(0.01, 0.38).unwrap().peak_years(), 9.327_143_999_3, 1e-9);
        assert_eq!(Bass::new(0.0, 0.38), Err(Refusal::parameter("innovation")));
    }

    fn paradox(retrofit: f64) -> Paradox {
        Paradox { diffusion: standard(), native: 0.98, retrofit, discount: 0.0 }
    }

    /// G44.
    #[test]
    fn imperfect_attribution_of_what_people_use() {
        let usual = paradox(0.15);
        // Over four years F integrates to .3828017869 and 1 - F to the rest of four:
        // .98 x .3828017869 / (.15 x 3.6171982131).
        near(usual.ratio(4.0), 0.691_411_287_8, 1e-9);
        near(usual.break_even_years(40.0).unwrap(), 4.999_259_956_4, 1e-8);
        near(usual.crossing_share(), 0.132_743_362_8, 1e-9);
        near(standard().years_to(usual.crossing_share()), 2.753_086_163_0, 1e-9);
        for (retrofit, years) in [(0.05, 2.4278), (0.5, 9.4718), (1.0, 13.6602)] {
            near(paradox(retrofit).break_even_years(40.0).unwrap(), years, 5.1e-5);
        }
        assert_eq!(paradox(1.0).break_even_years(5.0), None);
    }

    /// G45, in units of a millionth of a token.
    #[test]
    fn treasury_and_fees() {
        let million = 1_000_000_000_000u128;
        let bass = standard();
        let fees = |month| part_of(Amount::new(million), bass.share(f64::from(month) / 12.0));
        let go = |treasury: u128| {
            runway(Amount::new(treasury), Amount::new(million / 2), fees, 240, 3).unwrap()
        };
        let sustained = Some(79);
        assert_eq!(go(18 * million), Runway { ends: Some(44), self_sustaining: sustained });
        assert_eq!(go(20 * million), Runway { ends: Some(51), self_sustaining: sustained });
        // 23.368258 million is the least that survives, to six decimals.
        let micro = million / 1_000_000;
        assert_eq!(go(23_368_258 * micro + micro / 2).ends, None);
        assert!(go(23_368_258 * micro - micro / 2).ends.is_some());
    }

    #[test]
    fn choice_and_sales() {
        let same = Utility { quality: 1.0, price: 1.0, provenance: 0.0, network: 0.0 };
        assert_eq!(switching_probability(&same, &same, 0.0), 0.5);
        // A premium of one against a switching cost of one is even again.
        let native = Utility { provenance: 1.0, ..same };
        assert_eq!(switching_probability(&native, &same, 1.0), 0.5);
        // 100 into a pool of 900 and 1000: 1000 x 100 / 1000 = 100.
        let amount = Amount::new;
        assert_eq!(
            sell(amount(100), amount(900), amount(1_000)),
            Ok((amount(100), amount(1_000), amount(900)))
        );
    }
}
