//! Whole numbers in proportion to weights.

/// Shares `total` units in proportion to `weights` by largest remainders.
///
/// Entry c gets floor(q_c) or floor(q_c) + 1 units, where q_c = total * w_c / sum w, and the
/// entries sum to `total`. Equal remainders go to the lower index. The callers guarantee weights
/// that are finite, at least 0 and, unless `total` is 0, not all 0.
pub(crate) fn apportion(weights: &[f64], total: usize) -> Vec<usize> {
    let sum: f64 = weights.iter().sum();
    let quotas: Vec<f64> = weights.iter().map(|weight| weight * total as f64 / sum).collect();
    let mut shares: Vec<usize> = quotas.iter().map(|quota| quota.floor() as usize).collect();
    let left = total - shares.iter().sum::<usize>();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|&a, &b| quotas[b].fract().total_cmp(&quotas[a].fract()).then(a.cmp(&b)));
    for &index in order.iter().take(left) {
        shares[index] += 1;
    }
    shares
}

/// Lifts every empty share to 1 at the cost of the largest share (the first of the largest).
///
/// The shares sum to at least their number, which the callers guarantee.
pub(crate) fn leave_none_empty(shares: &mut [usize]) {
    for index in 0..shares.len() {
        if shares[index] == 0 {
            shares[first_largest(shares)] -= 1;
            shares[index] = 1;
        }
    }
}

/// Index of the first of the largest shares; 0 for an empty slice.
pub(crate) fn first_largest(shares: &[usize]) -> usize {
    let mut largest = 0;
    for (index, &share) in shares.iter().enumerate() {
        if share > shares[largest] {
            largest = index;
        }
    }
    largest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn largest_remainders_by_hand() {
        // Quotas of 10 over 1:1:1 are 3.33 each; the one unit left goes to the lowest index.
        assert_eq!(apportion(&[1.0, 1.0, 1.0], 10), [4, 3, 3]);
        // Quotas 0.7, 2.8, 3.5: floors 0, 2, 3, two units left, remainders .7, .8, .5.
        assert_eq!(apportion(&[1.0, 4.0, 5.0], 7), [1, 3, 3]);
    }

    #[test]
    fn empty_shares_are_filled_from_the_largest() {
        let mut shares = [0, 7, 0, 3];
        leave_none_empty(&mut shares);
        assert_eq!(shares, [1, 5, 1, 3]);
    }

    proptest! {
        #[test]
        fn shares_sum_and_stay_next_to_their_quota(
            weights in prop::collection::vec(0.001f64..1000.0, 1..20),
            total in 0usize..5000,
        ) {
            let shares = apportion(&weights, total);
            prop_assert_eq!(shares.iter().sum::<usize>(), total);
            let sum: f64 = weights.iter().sum();
            for (share, weight) in shares.iter().zip(&weights) {
                prop_assert!((*share as f64 - weight * total as f64 / sum).abs() < 1.0 + 1e-9);
            }
        }
    }
}
