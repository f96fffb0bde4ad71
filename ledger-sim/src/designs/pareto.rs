//! Fronts: which of several cases are not beaten in everything by another.

use crate::random::{Purpose, Streams};

/// Indices of the rows on the front: smaller is better in every column, and differences below a
/// column's `epsilon` count for nothing (epsilon-dominance, Laumanns and others 2002).
///
/// Values are cut into boxes, `round(value / epsilon)`, or kept as they are for an epsilon of zero;
/// a row is off the front when the box of another row is nowhere worse and somewhere better. Boxes
/// make the relation transitive, so that a front is never empty; rows that share one stay together.
/// They lie around the multiples of epsilon, so that what is nothing but noise is in one of them.
pub fn pareto(rows: &[Vec<f64>], epsilons: &[f64]) -> Vec<usize> {
    let cut = |value: &f64, epsilon: &f64| match *epsilon > 0.0 {
        true => (value / epsilon).round(),
        false => *value,
    };
    let boxes: Vec<Vec<f64>> =
        rows.iter().map(|row| row.iter().zip(epsilons).map(|(v, e)| cut(v, e)).collect()).collect();
    let dominates = |a: &[f64], b: &[f64]| {
        a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b)
    };
    (0..rows.len()).filter(|at| !boxes.iter().any(|row| dominates(row, &boxes[*at]))).collect()
}

/// How often each row is on the front when replicas are drawn with replacement.
/// `replicas[row][column]` holds the values of one row over replicas, all of one number.
pub fn pareto_frequency(
    streams: &Streams,
    replicas: &[Vec<Vec<f64>>],
    epsilons: &[f64],
    resamples: usize,
) -> Vec<f64> {
    let mut counts = vec![0usize; replicas.len()];
    let count = replicas.first().and_then(|row| row.first()).map_or(0, Vec::len);
    for resample in 0..resamples {
        let draw = |at: usize| {
            let place = streams.uniform(Purpose::Bootstrap, resample as u64, 1, at as u64);
            (place * count as f64) as usize
        };
        // All rows share the draws: replicas are paired by common random numbers.
        let drawn: Vec<usize> = (0..count).map(draw).collect();
        let mean = |values: &Vec<f64>| {
            drawn.iter().map(|at| values[*at]).sum::<f64>() / count.max(1) as f64
        };
        let rows: Vec<Vec<f64>> =
            replicas.iter().map(|row| row.iter().map(mean).collect()).collect();
        for at in pareto(&rows, epsilons) {
            counts[at] += 1;
        }
    }
    counts.into_iter().map(|count| count as f64 / resamples.max(1) as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::{pareto, pareto_frequency};
    use crate::random::Streams;

    #[test]
    fn front_of_four() {
        let rows = [vec![1.0, 4.0], vec![2.0, 2.0], vec![3.0, 3.0], vec![1.0, 4.0]];
        // The third is worse than the second in both; equal rows do not dominate each other.
        assert_eq!(pareto(&rows, &[0.0; 2]), [0, 1, 3]);
    }

    /// Boxes of .1 by hand: (0, 6), (0, 4), (2, 4), (0, 4) and (-1, 9).
    #[test]
    fn differences_below_epsilon_count_for_nothing() {
        let rows = [[0.01, 0.57], [0.02, 0.37], [0.21, 0.36], [0.03, 0.38], [-0.06, 0.93]]
            .map(|row| row.to_vec());
        // Without boxes the first is on the front by a hundredth, and so is the third.
        assert_eq!(pareto(&rows, &[0.0; 2]), [0, 1, 2, 4]);
        // With them (0, 4) beats (0, 6) and (2, 4), its two rows stay together, and what is better
        // in one column by its box stays.
        assert_eq!(pareto(&rows, &[0.1; 2]), [1, 3, 4]);
        assert_eq!(pareto(&rows, &[10.0; 2]), [0, 1, 2, 3, 4]);
    }

    /// Two replicas: the second row is better in one of them and worse in the other, by less.
    /// Of four equally likely pairs of draws the mean difference is -1, .4, .4 and 1.8.
    #[test]
    fn membership_is_a_share_of_resamples() {
        let replicas = [vec![vec![0.0, 0.0]], vec![vec![-1.0, 1.8]]];
        let shares = pareto_frequency(&Streams::new(3, 0), &replicas, &[0.0], 4_000);
        // Four standard errors of a share of a quarter over 4000 are .027.
        assert!((shares[0] - 0.75).abs() < 0.027 && (shares[1] - 0.25).abs() < 0.027, "{shares:?}");
        // A tolerance of a unit leaves the two together where they differ by .4: boxes 0, 0.
        let shares = pareto_frequency(&Streams::new(3, 0), &replicas, &[1.0], 4_000);
        assert!((shares[0] - 0.75).abs() < 0.027 && (shares[1] - 0.75).abs() < 0.027, "{shares:?}");
    }
}
