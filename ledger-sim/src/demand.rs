//! When queries come, and what a noisy estimator makes of their scores.

use crate::random::{Purpose, Streams};
use crate::refusal::Refusal;

/// Arrival times of a Poisson process of varying rate on `[0, horizon)`, by thinning.
///
/// `rate` must stay within `bound`, in arrivals per unit of time.
///
/// # Errors
/// [`Refusal::ParamOutOfRange`] for a bound or a rate that is not finite, negative, or a rate above
/// the bound.
pub fn poisson_arrivals(
    streams: &Streams,
    rate: impl Fn(f64) -> f64,
    bound: f64,
    horizon: f64,
) -> Result<Vec<f64>, Refusal> {
    if !(bound.is_finite() && bound > 0.0) {
        return Err(Refusal::parameter("bound"));
    }
    let mut arrivals = vec![];
    let mut time = 0.0;
    for candidate in 0.. {
        time += streams.exponential(Purpose::Arrival, 0, 0, candidate) / bound;
        if time >= horizon {
            break;
        }
        let rate = rate(time);
        if !(0.0..=bound).contains(&rate) {
            return Err(Refusal::parameter("rate"));
        }
        if streams.uniform(Purpose::Thinning, 0, 0, candidate) * bound < rate {
            arrivals.push(time);
        }
    }
    Ok(arrivals)
}

/// A Hawkes process: `rate(t) = base + sum over earlier arrivals of jump e^(-decay (t - t_k))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hawkes {
    base: f64,
    jump: f64,
    decay: f64,
}

impl Hawkes {
    /// A process with `base > 0`, `jump >= 0`, `decay > 0` and branching ratio `jump / decay < 1`.
    ///
    /// # Errors
    /// [`Refusal::ParamOutOfRange`].
    pub fn new(base: f64, jump: f64, decay: f64) -> Result<Self, Refusal> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        if !positive(base) {
            return Err(Refusal::parameter("base"));
        }
        if !positive(decay) {
            return Err(Refusal::parameter("decay"));
        }
        if !(0.0..decay).contains(&jump) {
            return Err(Refusal::parameter("jump"));
        }
        Ok(Self { base, jump, decay })
    }

    /// Long-run rate `base / (1 - jump / decay)`.
    pub fn mean_rate(&self) -> f64 {
        self.base / (1.0 - self.jump / self.decay)
    }

    /// Arrival times on `[0, horizon)` by Ogata's thinning (1981).
    pub fn arrivals(&self, streams: &Streams, horizon: f64) -> Vec<f64> {
        let mut arrivals = vec![];
        let (mut time, mut excited) = (0.0, 0.0);
        for candidate in 0.. {
            // Between arrivals the rate only falls, so that its present value bounds it.
            let bound = self.base + excited;
            let wait = streams.exponential(Purpose::Arrival, 1, 0, candidate) / bound;
            time += wait;
            if time >= horizon {
                break;
            }
            excited *= (-self.decay * wait).exp();
            let accepted = streams.uniform(Purpose::Thinning, 1, 0, candidate) * bound;
            if accepted < self.base + excited {
                arrivals.push(time);
                excited += self.jump;
            }
        }
        arrivals
    }
}

/// An estimator's error: `estimate = score + bias_i + sigma e_iq`, where the errors of one
/// contributor correlate by `correlation` across queries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EstimatorNoise {
    sigma: f64,
    correlation: f64,
}

impl EstimatorNoise {
    /// No noise.
    pub const NONE: Self = Self { sigma: 0.0, correlation: 0.0 };

    /// Standard deviation, in score units.
    pub fn sigma(&self) -> f64 {
        self.sigma
    }

    /// Correlation of one contributor's errors over queries.
    pub fn correlation(&self) -> f64 {
        self.correlation
    }

    /// Noise of standard deviation `sigma >= 0` (score units) and correlation in `[0, 1]`.
    ///
    /// # Errors
    /// [`Refusal::ParamOutOfRange`].
    pub fn new(sigma: f64, correlation: f64) -> Result<Self, Refusal> {
        if !(sigma.is_finite() && sigma >= 0.0) {
            return Err(Refusal::parameter("sigma"));
        }
        if !(0.0..=1.0).contains(&correlation) {
            return Err(Refusal::parameter("correlation"));
        }
        Ok(Self { sigma, correlation })
    }

    /// Estimates of `scores` (contributor-major, `queries` columns):
    /// `e_iq = sqrt(rho) z_i + sqrt(1 - rho) z_iq`.
    pub fn estimates(&self, streams: &Streams, scores: &[f64], queries: usize) -> Vec<f64> {
        let (shared, own) = (self.correlation.sqrt(), (1.0 - self.correlation).sqrt());
        let mut estimates = Vec::with_capacity(scores.len());
        for (contributor, row) in (0u64..).zip(scores.chunks(queries.max(1))) {
            let lasting = streams.normal(Purpose::EstimatorBias, contributor, 0, 0);
            for (query, score) in (0u64..).zip(row) {
                let fresh = streams.normal(Purpose::EstimatorNoise, contributor, 0, query);
                estimates.push(score + self.sigma * (shared * lasting + own * fresh));
            }
        }
        estimates
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Amount;
    use crate::noise::{false_positive_share, netted_sigma};
    use crate::rules::{self, Parameters};
    use crate::scores::ScoreView;
    use crate::stream::{StreamOptions, settle_stream};

    #[test]
    fn thinned_poisson_has_the_mean_of_its_rate() {
        let streams = Streams::new(2, 0);
        // Integral of 2 + 2 sin^2 over 10,000 periods of length one: 3 x 10,000.
        let rate = |time: f64| 2.0 + 2.0 * (std::f64::consts::PI * time).sin().powi(2);
        let count = poisson_arrivals(&streams, rate, 4.0, 10_000.0).unwrap().len() as f64;
        // Five standard deviations of a Poisson count of 30,000.
        assert!((count - 30_000.0).abs() < 5.0 * 30_000f64.sqrt(), "{count}");
        let above = poisson_arrivals(&streams, |_| 2.0, 1.0, 10.0);
        assert_eq!(above, Err(Refusal::parameter("rate")));
    }

    /// G51.
    #[test]
    fn hawkes_has_its_mean_rate() {
        let hawkes = Hawkes::new(0.5, 0.6, 1.0).unwrap();
        assert!((hawkes.mean_rate() - 1.25).abs() < 1e-12);
        let horizon = 200_000.0;
        let rate = hawkes.arrivals(&Streams::new(51, 0), horizon).len() as f64 / horizon;
        assert!((rate / 1.25 - 1.0).abs() < 0.01, "{rate}");
        assert_eq!(Hawkes::new(0.5, 1.0, 1.0), Err(Refusal::parameter("jump")));
    }

    /// The law of noise farming against the whole pipeline: 100 useful contributors of 1000, noise
    /// half the useful signal, settled query by query and netted over ten and over a hundred.
    #[test]
    fn settled_money_follows_the_law_of_the_clip() {
        let (useful, all, queries) = (100, 1_000, 100);
        let mut scores = vec![0.0; all * queries];
        scores[..useful * queries].fill(1.0);
        for (correlation, period) in [(0.0, 1), (0.0, 10), (0.0, 100), (0.1, 100)] {
            let noise = EstimatorNoise::new(0.5, correlation).unwrap();
            let estimates = noise.estimates(&Streams::new(16, 0), &scores, queries);
            let view = ScoreView::from_dense(all, queries, &estimates).unwrap();
            let rule = rules::build("net-then-clip", &Parameters::new()).unwrap();
            let options = StreamOptions {
                queries_per_settlement: std::num::NonZeroUsize::new(period),
                ..StreamOptions::seeded(1)
            };
            let pool = Amount::new(1_000_000_000);
            let outcome = settle_stream(&view, pool, rule.as_ref(), &options).unwrap();
            let wasted: u128 = outcome.payouts()[useful..].iter().map(|p| p.get()).sum();
            let sigma = netted_sigma(0.5, period as f64, correlation);
            let law = false_positive_share(100.0, 900.0, 1.0, sigma);
            let got = wasted as f64 / 1e9;
            // 900 clipped errors in the last case: relative sd of their sum 1.46 / 30 = .05.
            assert!((got / law - 1.0).abs() < 0.15, "{correlation} {period}: {got} {law}");
        }
    }
}
