//! Rank agreement of two lists of amounts, ties included.

use crate::money::Amount;

/// Twice the ascending mid-rank of each value: an integer even when values are tied.
fn doubled_mid_ranks(values: &[Amount]) -> Vec<i128> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by_key(|index| values[*index]);
    let mut ranks = vec![0; values.len()];
    let mut start = 0;
    for run in order.chunk_by(|a, b| values[*a] == values[*b]) {
        // Ranks start + 1 ..= start + len have mean start + (len + 1) / 2.
        for index in run {
            ranks[*index] = (2 * start + run.len() + 1) as i128;
        }
        start += run.len();
    }
    ranks
}

/// Spearman's rank correlation: Pearson's correlation of mid-ranks.
///
/// `None` when a list is constant, shorter than two, or of another length than the other.
pub fn spearman(exact: &[Amount], estimated: &[Amount]) -> Option<f64> {
    if exact.len() != estimated.len() {
        return None;
    }
    let mean = exact.len() as i128 + 1;
    let centred = |values| -> Vec<i128> {
        doubled_mid_ranks(values).into_iter().map(|rank| rank - mean).collect()
    };
    let (a, b) = (centred(exact), centred(estimated));
    let dot = |a: &[i128], b: &[i128]| -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum::<i128>() as f64
    };
    let scale = (dot(&a, &a) * dot(&b, &b)).sqrt();
    (scale > 0.0).then(|| dot(&a, &b) / scale)
}

/// Money-weighted tau: rank agreement in which a pair counts as much as the money between its
/// members.
///
/// `sum over pairs of |p_i - p_j| sgn((p_i - p_j)(q_i - q_j)) / sum over pairs of |p_i - p_j|`
/// for exact payouts `p` and estimated ones `q`, computed as the ratio of
/// `sum p_i (2 rank_i - n - 1)` with the ranks of `q` and of `p`: the Gini correlation of
/// Schechtman and Yitzhaki (1987). `None` when exact payouts are constant, or for unequal lengths.
pub fn money_weighted_tau(exact: &[Amount], estimated: &[Amount]) -> Option<f64> {
    if exact.len() != estimated.len() {
        return None;
    }
    let mean = exact.len() as i128 + 1;
    // Amounts times ranks need 128 bits. Where all money has more than 90 itself, the last of them
    // are cut off: they are less than any float would show.
    let total = Amount::total(exact.iter().copied()).ok()?;
    let cut = (128 - total.get().leading_zeros()).saturating_sub(90);
    let weighted = |values| -> i128 {
        let ranks = doubled_mid_ranks(values).into_iter();
        exact.iter().zip(ranks).map(|(p, rank)| (p.get() >> cut) as i128 * (rank - mean)).sum()
    };
    let own = weighted(exact);
    (own > 0).then(|| weighted(estimated) as f64 / own as f64)
}

/// Kendall's tau-b by Knight's algorithm, O(n log n):
/// `(concordant - discordant) / sqrt((pairs - ties in a) (pairs - ties in b))`.
///
/// `None` when a list is constant, shorter than two, or of another length than the other.
pub fn kendall_tau_b(exact: &[Amount], estimated: &[Amount]) -> Option<f64> {
    if exact.len() != estimated.len() {
        return None;
    }
    let mut pairs: Vec<(Amount, Amount)> =
        exact.iter().copied().zip(estimated.iter().copied()).collect();
    pairs.sort_unstable();
    let all = choose_two(pairs.len());
    let tied_exact = tied_pairs(pairs.chunk_by(|a, b| a.0 == b.0).map(<[_]>::len));
    let tied_both = tied_pairs(pairs.chunk_by(|a, b| a == b).map(<[_]>::len));
    let mut second: Vec<Amount> = pairs.into_iter().map(|pair| pair.1).collect();
    let mut buffer = second.clone();
    let discordant = sort_counting_inversions(&mut second, &mut buffer);
    let tied_estimated = tied_pairs(second.chunk_by(|a, b| a == b).map(<[_]>::len));
    let scale = ((all - tied_exact) as f64 * (all - tied_estimated) as f64).sqrt();
    // Pairs tied in neither list are either concordant or discordant.
    let difference = all - tied_exact - tied_estimated + tied_both - 2 * discordant;
    (scale > 0.0).then(|| difference as f64 / scale)
}

fn choose_two(count: usize) -> i128 {
    let count = count as i128;
    count * (count - 1) / 2
}

fn tied_pairs(runs: impl Iterator<Item = usize>) -> i128 {
    runs.map(choose_two).sum()
}

/// Sorts by merging and returns how many pairs stood in strictly falling order.
fn sort_counting_inversions(values: &mut [Amount], buffer: &mut [Amount]) -> i128 {
    if values.len() < 2 {
        return 0;
    }
    let middle = values.len() / 2;
    let (left, right) = values.split_at_mut(middle);
    let mut inversions = sort_counting_inversions(left, &mut buffer[..middle])
        + sort_counting_inversions(right, &mut buffer[middle..]);
    let (mut from_left, mut from_right) = (0, 0);
    for slot in buffer.iter_mut() {
        let take_right = from_left == left.len()
            || from_right < right.len() && right[from_right] < left[from_left];
        if take_right {
            *slot = right[from_right];
            from_right += 1;
            inversions += (left.len() - from_left) as i128;
        } else {
            *slot = left[from_left];
            from_left += 1;
        }
    }
    values.copy_from_slice(buffer);
    inversions
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn amounts(units: &[u128]) -> Vec<Amount> {
        units.iter().copied().map(Amount::new).collect()
    }

    #[test]
    fn by_hand() {
        let (p, q) = (amounts(&[1, 2, 3]), amounts(&[1, 3, 2]));
        // Ranks 1 2 3 and 1 3 2: 1 - 6 (0 + 1 + 1) / (3 x 8) = 1/2.
        assert_eq!(spearman(&p, &q), Some(0.5));
        // Two pairs agree, one does not: 1/3.
        assert!((kendall_tau_b(&p, &q).unwrap() - 1.0 / 3.0).abs() < 1e-15);
        // Differences 1, 1 and 2; the pair (2, 3) disagrees: (1 + 2 - 1) / 4 = 1/2.
        assert_eq!(money_weighted_tau(&p, &q), Some(0.5));
    }

    #[test]
    fn undefined_cases() {
        let (flat, p) = (amounts(&[2, 2]), amounts(&[1, 2]));
        assert_eq!(spearman(&flat, &p), None);
        assert_eq!(kendall_tau_b(&p, &flat), None);
        assert_eq!(money_weighted_tau(&flat, &p), None);
        // Everything tied in the estimate: no pair agrees or disagrees.
        assert_eq!(money_weighted_tau(&p, &flat), Some(0.0));
        assert_eq!(kendall_tau_b(&[], &[]), None);
        assert_eq!(spearman(&p, &[]), None);
    }

    fn sign(a: Amount, b: Amount) -> i128 {
        a.cmp(&b) as i128
    }

    proptest! {
        #[test]
        fn fast_ranks_agree_with_all_pairs(
            pairs in prop::collection::vec((0u128..6, 0u128..6), 2..20)
        ) {
            let p = amounts(&pairs.iter().map(|pair| pair.0).collect::<Vec<_>>());
            let q = amounts(&pairs.iter().map(|pair| pair.1).collect::<Vec<_>>());
            let (mut tau, mut own, mut other) = (0, 0, 0);
            let (mut agree, mut money) = (0, 0);
            for i in 0..p.len() {
                for j in 0..i {
                    let (a, b) = (sign(p[i], p[j]), sign(q[i], q[j]));
                    let gap = p[i].get().abs_diff(p[j].get()) as i128;
                    tau += a * b;
                    own += a * a;
                    other += b * b;
                    agree += gap * a * b;
                    money += gap;
                }
            }
            let scale = (own as f64 * other as f64).sqrt();
            let slow = (scale > 0.0).then(|| tau as f64 / scale);
            prop_assert_eq!(kendall_tau_b(&p, &q), slow);
            let slow = (money > 0).then(|| agree as f64 / money as f64);
            match (money_weighted_tau(&p, &q), slow) {
                (Some(fast), Some(slow)) => prop_assert!((fast - slow).abs() < 1e-12),
                (fast, slow) => prop_assert_eq!(fast, slow),
            }
        }
    }
}
