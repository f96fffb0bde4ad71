//! When an attack pays, in closed form.

/// Paying for queries that credit one's own data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WashTrade {
    /// Platform's cut of a fee.
    pub platform_cut: f64,
    /// Contributors' part of the net fee.
    pub contributor_part: f64,
    /// Own share of the attributed score of the crafted queries.
    pub own_share: f64,
    /// Model owner's part of the net fee that comes back to the attacker.
    pub own_model_part: f64,
    /// Stakers' part of the net fee that comes back to the attacker.
    pub own_staker_part: f64,
    /// Emission to contributors per unit of fee.
    pub emission_per_fee: f64,
}

impl WashTrade {
    /// Profit per unit of fee:
    /// `(1 - cut)(own share x part + own model + own stakers) + own share x emission - 1`.
    pub fn margin(&self) -> f64 {
        let returned =
            self.own_share * self.contributor_part + self.own_model_part + self.own_staker_part;
        (1.0 - self.platform_cut) * returned + self.own_share * self.emission_per_fee - 1.0
    }

    /// Emission per unit of fee from which washing pays; `None` for who owns no share.
    pub fn break_even_emission(&self) -> Option<f64> {
        let without = Self { emission_per_fee: 0.0, ..*self };
        (self.own_share > 0.0).then(|| -without.margin() / self.own_share)
    }
}

/// Least bond that makes an attack of gain `gain` unprofitable when it is detected with
/// `probability`: `gain (1 - d) / d`. `None` without detection.
pub fn deterring_bond(gain: f64, probability: f64) -> Option<f64> {
    (probability > 0.0 && probability <= 1.0).then(|| gain * (1.0 - probability) / probability)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G42.
    #[test]
    fn bonds_and_wash_trades() {
        for (probability, ratio) in [(0.01, 99.0), (0.1, 9.0), (0.5, 1.0)] {
            assert!((deterring_bond(1.0, probability).unwrap() - ratio).abs() < 1e-12);
        }
        assert_eq!(deterring_bond(1.0, 0.0), None);
        let wash = WashTrade {
            platform_cut: 0.1,
            contributor_part: 0.5,
            own_share: 1.0,
            own_model_part: 0.0,
            own_staker_part: 0.0,
            emission_per_fee: 0.55,
        };
        // .9 x .5 + .55 - 1 = 0.
        assert!(wash.margin().abs() < 1e-12);
        assert!((wash.break_even_emission().unwrap() - 0.55).abs() < 1e-12);
        assert!(WashTrade { emission_per_fee: 0.56, ..wash }.margin() > 0.0);
    }
}
