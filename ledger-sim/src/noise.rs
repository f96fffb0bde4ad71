//! What clipping noisy scores costs: closed forms for Gaussian errors.

use std::f64::consts::PI;

/// Density of the standard normal law.
fn normal_density(x: f64) -> f64 {
    (-x * x / 2.0).exp() / (2.0 * PI).sqrt()
}

/// Distribution function of the standard normal law, to about 1e-15 absolutely.
///
/// Near the centre by the alternating-free series
/// `1/2 + density(x) (x + x^3/3 + x^5/15 + ...)`, in the tails by Laplace's continued fraction.
pub fn normal_distribution(x: f64) -> f64 {
    if x.abs() < 4.0 {
        let (mut term, mut sum, mut odd) = (x, x, 1.0);
        while term.abs() > sum.abs() * f64::EPSILON / 4.0 {
            odd += 2.0;
            term *= x * x / odd;
            sum += term;
        }
        return 0.5 + normal_density(x) * sum;
    }
    // Q(x) = density(x) / (x + 1/(x + 2/(x + 3/...))), with a depth that suffices from 4 on.
    let fraction = (1..=60).rev().fold(x.abs(), |tail, k| x.abs() + f64::from(k) / tail);
    let upper = normal_density(x) / fraction;
    if x > 0.0 { 1.0 - upper } else { upper }
}

/// Expected clipped score `E (mu + sigma Z)+ = mu Phi(mu/sigma) + sigma phi(mu/sigma)`, in score
/// units; `mu+` without noise. For `mu = 0` it is `sigma / sqrt(2 pi)`: the subsidy that a clip
/// pays to an identity of no value.
pub fn expected_clipped_score(mu: f64, sigma: f64) -> f64 {
    if sigma == 0.0 {
        return mu.max(0.0);
    }
    mu * normal_distribution(mu / sigma) + sigma * normal_density(mu / sigma)
}

/// Noise per query left after netting `queries` of them:
/// `sigma sqrt(rho + (1 - rho) / T)` when errors of one contributor correlate by `rho`.
pub fn netted_sigma(sigma: f64, queries: f64, correlation: f64) -> f64 {
    sigma * (correlation + (1.0 - correlation) / queries).sqrt()
}

/// Score credited per query to a zero-value identity under debts over `queries` settlements:
/// `1/T sum over k <= T of sigma / sqrt(2 pi k)`, by Spitzer's identity for the running maximum.
pub fn debt_credit(sigma: f64, queries: u32) -> f64 {
    let sum: f64 = (1..=queries).map(|k| sigma / (2.0 * PI * f64::from(k)).sqrt()).sum();
    sum / f64::from(queries)
}

/// Expected clipped score of an identity of value `mu` and noise `sigma` that is split into
/// `parts` of value `mu / m` and noise `sigma m^-g`: `m e(mu/m, sigma m^-g)`.
///
/// `noise_exponent` `g`: 1 when all parts carry the same error (neutral), 1/2 when errors are
/// independent by item (the default for relabelling), 0 for a noise floor per identity.
pub fn split_score(mu: f64, sigma: f64, parts: f64, noise_exponent: f64) -> f64 {
    parts * expected_clipped_score(mu / parts, sigma * parts.powf(-noise_exponent))
}

/// Share of a pot, as a ratio of expectations, that falls to contributors of no value when
/// `useful` contributors have value `mu` and `useless` have none, all with noise `sigma`.
pub fn false_positive_share(useful: f64, useless: f64, mu: f64, sigma: f64) -> f64 {
    let wasted = useless * expected_clipped_score(0.0, sigma);
    wasted / (wasted + useful * expected_clipped_score(mu, sigma))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Streams};

    fn near(got: f64, expected: f64, digits: i32) {
        assert!((got - expected).abs() < 0.51 * 10f64.powi(-digits), "{got} {expected}");
    }

    #[test]
    fn normal_distribution_at_known_points() {
        // Values of standard tables, and the two forms where they meet.
        near(normal_distribution(0.0), 0.5, 15);
        near(normal_distribution(1.0), 0.841_344_746_068_543, 14);
        near(normal_distribution(-2.0), 0.022_750_131_948_179_2, 15);
        near(normal_distribution(5.0), 0.999_999_713_348_428, 14);
        let step = normal_distribution(-4.0) - normal_distribution(-3.999_999_999);
        assert!(step.abs() < 1e-12);
    }

    /// G11.
    #[test]
    fn clip_bias() {
        near(expected_clipped_score(0.0, 1.0), 0.398_942_280_4, 10);
        near(expected_clipped_score(1.0, 0.5), 1.004_245_351_3, 10);
        near(expected_clipped_score(-0.5, 0.5), 0.041_657_735_3, 10);
        assert_eq!(expected_clipped_score(-1.0, 0.0), 0.0);
    }

    /// G12.
    #[test]
    fn netting_cures_noise_but_not_bias() {
        let independent = [0.398942, 0.126157, 0.039894, 0.012616];
        let correlated = [0.398942, 0.173895, 0.131711, 0.126723];
        for (power, (free, tied)) in (0..).zip(independent.into_iter().zip(correlated)) {
            let queries = 10f64.powi(power);
            near(expected_clipped_score(0.0, netted_sigma(1.0, queries, 0.0)), free, 6);
            near(expected_clipped_score(0.0, netted_sigma(1.0, queries, 0.1)), tied, 6);
        }
        near(expected_clipped_score(0.0, netted_sigma(1.0, f64::INFINITY, 0.1)), 0.126157, 6);
    }

    /// G13, and the running maximum of random walks that it is the mean of.
    #[test]
    fn debts_credit_the_running_maximum() {
        near(debt_credit(1.0, 10), 0.200_308_835_2, 10);
        near(debt_credit(1.0, 100), 0.074_161_789_4, 10);
        near(debt_credit(1.0, 1_000), 0.024_655_035_4, 10);
        let streams = Streams::new(5, 0);
        let walks = 20_000;
        let mean: f64 = (0..walks)
            .map(|walk| {
                let (mut sum, mut maximum) = (0.0, 0.0f64);
                for step in 0..10 {
                    sum += streams.normal(Purpose::EstimatorNoise, walk, 0, step);
                    maximum = maximum.max(sum);
                }
                maximum / 10.0
            })
            .sum::<f64>()
            / walks as f64;
        // The maximum of ten steps has sd about 1.9: a tenth of it over sqrt(20,000), five times.
        assert!((mean - debt_credit(1.0, 10)).abs() < 0.0068, "{mean}");
    }

    /// G14.
    #[test]
    fn splitting_law() {
        let parts = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0];
        let floor = [1.0042, 1.0833, 1.3956, 2.1454, 3.7164, 13.2724];
        let independent = [1.0042, 1.0251, 1.0833, 1.1996, 1.3956, 2.1454];
        for ((m, floor), independent) in parts.into_iter().zip(floor).zip(independent) {
            near(split_score(1.0, 0.5, m, 0.0), floor, 4);
            near(split_score(1.0, 0.5, m, 0.5), independent, 4);
            near(split_score(1.0, 0.5, m, 1.0), 1.0042, 4);
        }
    }

    /// G15: the share of a splitter against 99 honest, and the identity cost that deters him.
    #[test]
    fn price_that_deters_splitting() {
        let share = |m: f64, g: f64| {
            let own = split_score(1.0, 0.5, m, g);
            own / (own + 99.0 * expected_clipped_score(1.0, 0.5))
        };
        for (m, floor, independent) in [
            (1.0, 0.01, 0.01),
            (4.0, 0.013843, 0.010779),
            (16.0, 0.036034, 0.013843),
            (64.0, 0.117775, 0.021123),
        ] {
            near(share(m, 0.0), floor, 6);
            near(share(m, 0.5), independent, 6);
        }
        let price = |g: f64| {
            (2..=200)
                .map(|m| ((share(f64::from(m), g) - share(1.0, g)) / f64::from(m - 1), m))
                .fold((0.0, 0), |best, next| if next.0 > best.0 { next } else { best })
        };
        near(price(0.0).0, 0.001_770_6, 7);
        near(price(0.5).0, 0.000_274_75, 8);
        assert_eq!((price(0.0).1, price(0.5).1), (29, 7));
    }

    /// G16: 100 useful of 1000.
    #[test]
    fn most_of_the_pot_goes_to_the_useless() {
        let independent = [0.641275, 0.362125, 0.152200, 0.053721, 0.017636];
        let correlated = [0.641275, 0.438999, 0.372136, 0.363160, 0.362229];
        for (power, (free, tied)) in (0..).zip(independent.into_iter().zip(correlated)) {
            let queries = 10f64.powi(power);
            let share =
                |rho| false_positive_share(100.0, 900.0, 1.0, netted_sigma(0.5, queries, rho));
            near(share(0.0), free, 6);
            near(share(0.1), tied, 6);
        }
    }
}
