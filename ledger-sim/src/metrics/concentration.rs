//! How unequally a total is spread: Gini, Theil, Atkinson, Jain, HHI, Nakamoto, Hoover.
//!
//! All functions take non-negative finite values in any order and return `None` when there are
//! none, when one is negative or not finite, or when all are zero.

/// Sorted values and their sum, if the indices are defined on them.
fn sorted(values: &[f64]) -> Option<(Vec<f64>, f64)> {
    if values.iter().any(|value| !value.is_finite() || *value < 0.0) {
        return None;
    }
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    let sum: f64 = values.iter().sum();
    (sum > 0.0).then_some((values, sum))
}

/// Lorenz curve: entry `k - 1` is the share of the total that the `k` smallest values hold.
pub fn lorenz(values: &[f64]) -> Option<Vec<f64>> {
    let (values, sum) = sorted(values)?;
    let mut held = 0.0;
    let share = |value: f64| {
        held += value;
        held / sum
    };
    Some(values.into_iter().map(share).collect())
}

/// Gini index `sum (2i - n - 1) x_i / (n sum x)` over ascending values.
pub fn gini(values: &[f64]) -> Option<f64> {
    let (values, sum) = sorted(values)?;
    let count = values.len() as f64;
    let weighted: f64 =
        (1u32..).zip(&values).map(|(rank, x)| (2.0 * f64::from(rank) - count - 1.0) * x).sum();
    Some(weighted / (count * sum))
}

/// Gini index corrected for small samples, `n / (n - 1)` times [`gini`]; `None` for one value.
pub fn gini_small_sample(values: &[f64]) -> Option<f64> {
    let count = values.len() as f64;
    (values.len() > 1).then(|| gini(values).map(|gini| gini * count / (count - 1.0)))?
}

/// Theil index `1/n sum (x/mean) ln(x/mean)` with `0 ln 0 = 0` (Theil 1967).
pub fn theil(values: &[f64]) -> Option<f64> {
    let (values, sum) = sorted(values)?;
    let count = values.len() as f64;
    let ratios = values.iter().filter(|x| **x > 0.0).map(|x| x * count / sum);
    Some(ratios.map(|ratio| ratio * ratio.ln()).sum::<f64>() / count)
}

/// Theil index split into the part within groups and the part between their means; the two sum to
/// the index of all values. Groups without money, or without members, add nothing.
pub fn theil_by_group(groups: &[&[f64]]) -> Option<(f64, f64)> {
    let all: Vec<f64> = groups.iter().flat_map(|group| group.iter().copied()).collect();
    let (_, sum) = sorted(&all)?;
    let mean = sum / all.len() as f64;
    let (mut within, mut between) = (0.0, 0.0);
    for group in groups {
        let group_sum: f64 = group.iter().sum();
        if let Some(own) = theil(group) {
            let share = group_sum / sum;
            within += share * own;
            between += share * (group_sum / group.len() as f64 / mean).ln();
        }
    }
    Some((within, between))
}

/// Mean log deviation `1/n sum ln(mean / x)`; infinite when a value is zero.
pub fn mean_log_deviation(values: &[f64]) -> Option<f64> {
    let (values, sum) = sorted(values)?;
    let mean = sum / values.len() as f64;
    Some(values.iter().map(|x| (mean / x).ln()).sum::<f64>() / values.len() as f64)
}

/// Atkinson index of aversion `epsilon > 0`:
/// `1 - (1/n sum x^(1-epsilon))^(1/(1-epsilon)) / mean`, and one minus geometric over arithmetic
/// mean at `epsilon = 1` (Atkinson 1970). One when a value is zero and `epsilon >= 1`.
pub fn atkinson(values: &[f64], epsilon: f64) -> Option<f64> {
    let (values, sum) = sorted(values)?;
    if !epsilon.is_finite() || epsilon <= 0.0 {
        return None;
    }
    let count = values.len() as f64;
    if epsilon >= 1.0 && values[0] == 0.0 {
        return Some(1.0);
    }
    let equivalent = if epsilon == 1.0 {
        (values.iter().map(|x| x.ln()).sum::<f64>() / count).exp()
    } else {
        let power = 1.0 - epsilon;
        (values.iter().map(|x| x.powf(power)).sum::<f64>() / count).powf(1.0 / power)
    };
    Some(1.0 - equivalent * count / sum)
}

/// Jain's fairness index `(sum x)^2 / (n sum x^2)`: 1 when all are equal, 1/n when one has all.
pub fn jain(values: &[f64]) -> Option<f64> {
    let herfindahl = herfindahl(values)?;
    Some(1.0 / (values.len() as f64 * herfindahl))
}

/// Herfindahl-Hirschman index: sum of squared shares. Its inverse is the effective number.
pub fn herfindahl(values: &[f64]) -> Option<f64> {
    let (values, sum) = sorted(values)?;
    Some(values.iter().map(|x| (x / sum).powi(2)).sum())
}

/// Nakamoto coefficient: the least number of holders whose joint share exceeds `share`.
/// `None` also when no number does, that is for a share of one or more.
pub fn nakamoto(values: &[f64], share: f64) -> Option<usize> {
    let (values, sum) = sorted(values)?;
    let mut held = 0.0;
    let exceeds = |x: &f64| {
        held += x;
        held > share * sum
    };
    values.iter().rev().position(exceeds).map(|index| index + 1)
}

/// Hoover index `1/2 sum |share - 1/n|`: the share that must move for equality.
pub fn hoover(values: &[f64]) -> Option<f64> {
    let (values, sum) = sorted(values)?;
    let equal = 1.0 / values.len() as f64;
    Some(values.iter().map(|x| (x / sum - equal).abs()).sum::<f64>() / 2.0)
}

/// Share held by the largest `fraction` of holders, their number rounded up.
/// `None` also for a fraction outside `(0, 1]`.
pub fn top_share(values: &[f64], fraction: f64) -> Option<f64> {
    let (values, sum) = sorted(values)?;
    if !(fraction > 0.0 && fraction <= 1.0) {
        return None;
    }
    let holders = (values.len() as f64 * fraction).ceil() as usize;
    Some(values.iter().rev().take(holders).sum::<f64>() / sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(value: Option<f64>, expected: f64) -> bool {
        value.is_some_and(|value| (value - expected).abs() <= 1e-9 * expected.abs().max(1e-3))
    }

    /// G48.
    #[test]
    fn one_to_four() {
        let x = [4.0, 1.0, 3.0, 2.0];
        assert!(close(gini(&x), 0.25));
        assert!(close(gini_small_sample(&x), 1.0 / 3.0));
        assert!(close(theil(&x), 0.106_440_135_3));
        let (within, between) = theil_by_group(&[&[1.0, 2.0], &[3.0, 4.0]]).unwrap();
        assert!(close(Some(within), 0.024_157_256_8));
        assert!(close(Some(between), 0.082_282_878_5));
        assert!(close(mean_log_deviation(&x), 0.121_777_274_3));
        assert!(close(atkinson(&x, 0.5), 0.055_585_857_4));
        assert!(close(atkinson(&x, 1.0), 0.114_654_464_2));
        assert!(close(atkinson(&x, 2.0), 0.232));
        assert!(close(jain(&x), 5.0 / 6.0));
        assert!(close(herfindahl(&x), 0.3));
        assert_eq!(nakamoto(&x, 0.5), Some(2));
        // .4 is more than a third.
        assert_eq!(nakamoto(&x, 1.0 / 3.0), Some(1));
        assert!(close(hoover(&x), 0.2));
        assert!(close(top_share(&x, 0.5), 0.7));
        assert_eq!(lorenz(&x), Some(vec![0.1, 0.3, 0.6, 1.0]));
    }

    /// G49.
    #[test]
    fn extremes() {
        let all = [0.0, 0.0, 0.0, 10.0];
        assert!(close(gini(&all), 0.75));
        assert!(close(theil(&all), 4f64.ln()));
        assert!(close(jain(&all), 0.25));
        assert!(close(herfindahl(&all), 1.0));
        assert_eq!(nakamoto(&all, 0.5), Some(1));
        assert_eq!(mean_log_deviation(&all), Some(f64::INFINITY));
        assert_eq!(atkinson(&all, 1.0), Some(1.0));
        let same = [1.0; 4];
        assert!(close(gini(&same), 0.0) && close(theil(&same), 0.0));
        assert!(close(jain(&same), 1.0) && close(herfindahl(&same), 0.25));
        assert_eq!(nakamoto(&same, 0.5), Some(3));
        // A quarter is not more than a third, a half is.
        assert_eq!(nakamoto(&same, 1.0 / 3.0), Some(2));
        let steep = [10.0, 20.0, 70.0];
        assert!(close(gini(&steep), 0.4));
        assert!(close(theil(&steep), 0.296_793_736_1));
        assert!(close(jain(&steep), 0.617_283_950_6));
        assert!(close(herfindahl(&steep), 0.54));
        assert_eq!(nakamoto(&steep, 0.5), Some(1));
    }

    #[test]
    fn undefined() {
        for bad in [&[][..], &[0.0], &[-1.0, 2.0], &[f64::NAN, 1.0]] {
            assert_eq!(gini(bad), None);
            assert_eq!(nakamoto(bad, 0.5), None);
            assert_eq!(theil_by_group(&[bad]), None);
        }
        assert_eq!(gini_small_sample(&[1.0]), None);
        assert_eq!(nakamoto(&[1.0], 1.0), None);
        assert_eq!(atkinson(&[1.0], 0.0), None);
        assert_eq!(top_share(&[1.0], 0.0), None);
    }

    proptest! {
        #[test]
        fn indices_ignore_order_and_scale_and_theil_decomposes(
            x in prop::collection::vec(0.1f64..100.0, 2..20), factor in 0.5f64..10.0
        ) {
            let scaled: Vec<f64> = x.iter().rev().map(|x| x * factor).collect();
            for index in [gini, theil, jain, herfindahl, hoover, mean_log_deviation] {
                let (a, b) = (index(&x).unwrap(), index(&scaled).unwrap());
                prop_assert!((a - b).abs() < 1e-9);
            }
            let (left, right) = x.split_at(x.len() / 2);
            let (within, between) = theil_by_group(&[left, right]).unwrap();
            prop_assert!((within + between - theil(&x).unwrap()).abs() < 1e-9);
        }
    }
}
