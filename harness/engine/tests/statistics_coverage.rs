//! Do intervals hold what they claim? Simulated worlds whose answer is known.
//!
//! Rows are independent Gaussian subsets. In query `q` the truth is `y_jq` and a method predicts
//! `x_jq = rho_q y_jq + sqrt(1 - rho_q^2) e_jq`; truth and errors have a share `s` of their
//! variance in common to all queries, as models shared by all queries cause. The Spearman
//! correlation of a Gaussian pair is `6 / pi asin(rho / 2)` (Pearson 1907), so the population value
//! is its mean over `rho_q`, uniform in [0.3, 0.6].

use std::f64::consts::PI;

use attribench_core::stream;
use attribench_engine::metrics::{Removal, removal};
use attribench_engine::statistics::{Plan, Resamples, Seeds, quantile, reliability};
use ndarray::{Array2, Array3, Axis};
use rand::{Rng, RngExt};

const ROWS: usize = 100;
const QUERIES: usize = 50;
const QUALITY: [f64; 2] = [0.3, 0.6];

/// Standard normal (Box, Muller 1958).
fn normal(random: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    radius * (2.0 * PI * random.random::<f64>()).cos()
}

/// Unit normal entries of which a share of the variance is common to each row.
fn shared_normal(random: &mut impl Rng, share: f64) -> Array2<f64> {
    let common: Vec<f64> = (0..ROWS).map(|_| normal(random)).collect();
    Array2::from_shape_fn((ROWS, QUERIES), |(row, _)| {
        share.sqrt() * common[row] + (1.0 - share).sqrt() * normal(random)
    })
}

/// A truth and two methods of equal quality whose errors are correlated 0.8.
fn world(random: &mut impl Rng, share: f64) -> (Array3<f64>, [Array2<f64>; 2]) {
    let truth = shared_normal(random, share);
    let [error, own] = [shared_normal(random, share), shared_normal(random, share)];
    let quality: Vec<f64> =
        (0..QUERIES).map(|_| random.random_range(QUALITY[0]..QUALITY[1])).collect();
    let method = |error: &Array2<f64>| {
        Array2::from_shape_fn((ROWS, QUERIES), |at| {
            let rho = quality[at.1];
            rho * truth[at] + (1.0 - rho * rho).sqrt() * error[at]
        })
    };
    let methods = [method(&error), method(&(&error * 0.8 + &own * 0.6))];
    (truth.insert_axis(Axis(0)), methods)
}

/// Mean of `6 / pi asin(rho / 2)` over the range of qualities, by the midpoint rule.
fn population() -> f64 {
    let steps = 10_000;
    let width = (QUALITY[1] - QUALITY[0]) / f64::from(steps);
    let values = (0..steps).map(|step| QUALITY[0] + (f64::from(step) + 0.5) * width);
    values.map(|rho| 6.0 / PI * (rho / 2.0).asin()).sum::<f64>() / f64::from(steps)
}

/// Interval of the mean that resamples queries alone, as if they were independent.
fn query_only(per_query: &[f64], resamples: &Resamples) -> [f64; 2] {
    let mut draws: Vec<f64> = (0..resamples.plan().draws)
        .map(|draw| {
            let counts = resamples.column_counts(draw).iter();
            let sum: f64 = per_query.iter().zip(counts).map(|(v, &c)| v * f64::from(c)).sum();
            sum / per_query.len() as f64
        })
        .collect();
    draws.sort_unstable_by(f64::total_cmp);
    [quantile(&draws, 0.025), quantile(&draws, 0.975)]
}

fn values(removal: &Removal) -> Vec<f64> {
    removal.spearman_per_query.iter().map(|value| value.unwrap()).collect()
}

#[test]
fn two_way_intervals_cover_and_query_only_ones_do_not() {
    let worlds = 400u32;
    let (mut random, expected) = (stream(21, "coverage", 0), population());
    // Covered: level two-way, level query-only, difference two-way, difference query-only.
    let mut covered = [0u32; 4];
    let mut points = Vec::new();
    for world_seed in 0..worlds {
        let (truth, methods) = world(&mut random, 0.5);
        let plan = Plan {
            seed: u64::from(world_seed),
            rows: ROWS,
            columns: QUERIES,
            draws: 300,
            seeds: Seeds::Fixed,
        };
        let resamples = Resamples::new(plan).unwrap();
        let views = [methods[0].view(), methods[1].view()];
        let found = removal(truth.view(), &views, &resamples).unwrap();
        points.push(found[0].spearman.point());
        let level = found[0].spearman.estimate();
        let gap = found[0].spearman.difference(&found[1].spearman).unwrap().estimate;
        let [left, right] = [values(&found[0]), values(&found[1])];
        let gaps: Vec<f64> = left.iter().zip(&right).map(|(a, b)| a - b).collect();
        let intervals = [
            ([level.lower(), level.upper()], expected),
            (query_only(&left, &resamples), expected),
            ([gap.lower(), gap.upper()], 0.0),
            (query_only(&gaps, &resamples), 0.0),
        ];
        for (covered, ([lower, upper], truth)) in covered.iter_mut().zip(intervals) {
            *covered += u32::from((lower..=upper).contains(&truth));
        }
    }
    let share = covered.map(|count| f64::from(count) / f64::from(worlds));
    let mean = points.iter().sum::<f64>() / f64::from(worlds);
    println!("population {expected:.3}, mean {mean:.3}, coverage {share:?}");
    // The Monte Carlo error of a coverage of 95 % in 400 worlds is 1.1 points, of 55 % 2.5 points.
    assert!((mean - expected).abs() < 0.01, "mean {mean} of a population value {expected}");
    assert!(share[0] >= 0.90, "two-way interval of a level covers {}", share[0]);
    assert!(share[1] < 0.70, "query-only interval of a level covers {}", share[1]);
    assert!(share[2] >= 0.90, "two-way interval of a difference covers {}", share[2]);
    assert!(share[3] < 0.55, "query-only interval of a difference covers {}", share[3]);
}

/// Expected Spearman correlation of `rows` Gaussian pairs (Moran 1948); with infinitely many rows
/// `6 / pi asin(rho / 2)`.
fn expected_spearman(rho: f64, rows: f64) -> f64 {
    6.0 / (PI * (rows + 1.0)) * (rho.asin() + (rows - 2.0) * (rho / 2.0).asin())
}

/// Means over worlds of what is seen of scores of correlation `rho`, of perfect scores, of the
/// ceiling and of the corrected correlation, when two runs have `noise` times the signal's spread.
fn seen_through_noise(rho: f64, noise: f64) -> [f64; 4] {
    let (worlds, mut sums) = (100, [0.0; 4]);
    let mut random = stream(22, "attenuation", 0);
    for seed in 0..worlds {
        let signal = shared_normal(&mut random, 0.0);
        let runs = [0, 1].map(|_| &signal + &(shared_normal(&mut random, 0.0) * noise));
        let truth = ndarray::stack![Axis(0), runs[0], runs[1]];
        let error = shared_normal(&mut random, 0.0);
        let scores = &signal * rho + error * (1.0 - rho * rho).sqrt();
        let plan = Plan { seed, rows: ROWS, columns: QUERIES, draws: 2, seeds: Seeds::Fixed };
        let resamples = Resamples::new(plan).unwrap();
        let found = removal(truth.view(), &[scores.view(), signal.view()], &resamples).unwrap();
        let reliability = reliability(truth.view(), &resamples).unwrap();
        let corrected = reliability.corrected(&found[0].spearman).unwrap();
        let parts = [&found[0].spearman, &found[1].spearman, &reliability.ceiling(), &corrected];
        sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part.point());
    }
    sums.map(|sum| sum / worlds as f64)
}

#[test]
fn a_noisy_truth_lowers_the_correlation_as_its_reliability_says() {
    // Seed noise, then an independent simulation's figures: scores whose LDS without noise is
    // 0.685, perfect scores, ceiling.
    let cases = [(1.0, 0.556, 0.798, 0.816), (2.0, 0.388, 0.552, 0.577)];
    let rho = 2.0 * (0.685 * PI / 6.0).sin();
    for (noise, seen, perfect, ceiling) in cases {
        // The noise of two runs leaves the share 1 / (1 + noise^2 / 2) of the variance.
        let share: f64 = 1.0 / (1.0 + noise * noise / 2.0);
        let attenuated = [rho * share.sqrt(), share.sqrt()];
        for (rho, value) in attenuated.into_iter().zip([seen, perfect]) {
            let difference = expected_spearman(rho, ROWS as f64) - value;
            assert!(difference.abs() < 0.007, "{value} is off by {difference}");
        }
        assert!((share.sqrt() - ceiling).abs() < 0.001);
        // The mean of an F ratio with (M - 1, M) degrees of freedom turned over is
        // (M - 1) / (M - 3).
        let rows = ROWS as f64;
        let reliability = 1.0 - (1.0 - share) * (rows - 1.0) / (rows - 3.0);
        let [seen, perfect] = attenuated.map(|rho| expected_spearman(rho, rows));
        let expected = [seen, perfect, reliability.sqrt(), seen / reliability.sqrt()];
        let found = seen_through_noise(rho, noise);
        println!("noise {noise}: found {found:?}, expected {expected:?}");
        // A correlation in 100 rows has a standard deviation of at most 0.1, the mean of 5000 one
        // of 0.0014: 0.005 is more than three of them; the ratio has up to twice that.
        for (part, tolerance) in [(0, 0.005), (1, 0.005), (2, 0.005), (3, 0.01)] {
            let (found, expected) = (found[part], expected[part]);
            assert!((found - expected).abs() < tolerance, "part {part}: {found} for {expected}");
        }
    }
}
