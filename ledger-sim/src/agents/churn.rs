//! When a contributor stops: hazards that fall with the number of contributions.

use crate::random::{Purpose, Streams};
use crate::refusal::Refusal;

/// Probability of stopping after the `k`-th contribution: `h(k) = a / (k + c)` (Wilkinson 2008).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StopHazard {
    scale: f64,
    offset: f64,
}

impl StopHazard {
    /// A hazard with `a >= 0`, `c > -1` and `h(1) <= 1`.
    ///
    /// # Errors
    /// [`Refusal::ParamOutOfRange`].
    pub fn new(scale: f64, offset: f64) -> Result<Self, Refusal> {
        let hazard = Self { scale, offset };
        if !(offset.is_finite() && offset > -1.0) {
            return Err(Refusal::parameter("offset"));
        }
        if !(scale >= 0.0 && hazard.at(1) <= 1.0) {
            return Err(Refusal::parameter("scale"));
        }
        Ok(hazard)
    }

    /// Probability of stopping after contribution `k`, counted from one.
    pub fn at(&self, contribution: u32) -> f64 {
        self.scale / (f64::from(contribution) + self.offset)
    }

    /// Probability of more than `k` contributions: the product of `1 - h(j)` over `j <= k`.
    pub fn survival(&self, contributions: u32) -> f64 {
        (1..=contributions).map(|k| 1.0 - self.at(k)).product()
    }

    /// Number of contributions of `agent`, at most `limit`.
    pub fn draw(&self, streams: &Streams, agent: u64, limit: u32) -> u32 {
        let stops =
            |k: &u32| streams.uniform(Purpose::Churn, agent, 0, u64::from(*k)) < self.at(*k);
        (1..limit).find(stops).unwrap_or(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G47.
    #[test]
    fn survival_by_the_product() {
        let hazard = StopHazard::new(0.85, 1.0).unwrap();
        for (k, expected, tolerance) in [
            (1, 0.575, 1e-12),
            (10, 0.138_794_5, 5.1e-8),
            (100, 0.021_191_0, 5.1e-8),
            (10_000, 0.000_426_64, 5.1e-9),
        ] {
            assert!((hazard.survival(k) - expected).abs() < tolerance, "{k}");
        }
    }

    #[test]
    fn draws_follow_the_survival() {
        let hazard = StopHazard::new(0.85, 1.0).unwrap();
        let streams = Streams::new(4, 0);
        let agents = 50_000;
        let more_than_ten =
            (0..agents).filter(|agent| hazard.draw(&streams, *agent, 1_000) > 10).count();
        // Five standard errors of a share of .139 over 50,000.
        assert!((more_than_ten as f64 / agents as f64 - 0.138_794_5).abs() < 0.0078);
        assert_eq!(StopHazard::new(3.0, 1.0), Err(Refusal::parameter("scale")));
    }
}
