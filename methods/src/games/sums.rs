//! Running means of draws with their standard errors.

use attribench_core::Repeats;
use ndarray::{Array2, ArrayView2};

/// Values so far, their errors, and how alike two halves of the draws rank the players.
#[derive(Clone, Debug)]
pub(crate) struct Estimated {
    /// `(n, m)`.
    pub(crate) values: Array2<f64>,
    /// `(n, m)`.
    pub(crate) errors: Array2<f64>,
    /// Rank correlation of two halves.
    pub(crate) stability: f64,
}

impl Estimated {
    /// Largest standard error of a player, averaged over outcomes.
    pub(crate) fn largest_error(&self) -> f64 {
        let mean = |row: ndarray::ArrayView1<'_, f64>| row.sum() / row.len() as f64;
        self.errors.outer_iter().map(mean).fold(0.0, f64::max)
    }
}

/// Means by player over the draws that count for it.
#[derive(Clone, Debug)]
struct Sums {
    counts: Vec<f64>,
    sums: Array2<f64>,
    squares: Array2<f64>,
}

impl Sums {
    fn new((players, outcomes): (usize, usize)) -> Self {
        let zeros = Array2::zeros((players, outcomes));
        Self { counts: vec![0.0; players], sums: zeros.clone(), squares: zeros }
    }

    fn add(&mut self, player: usize, values: impl Iterator<Item = f64>) {
        self.counts[player] += 1.0;
        let outcomes = self.sums.ncols();
        let range = player * outcomes..(player + 1) * outcomes;
        let sums = &mut self.sums.as_slice_mut().expect("standard layout")[range.clone()];
        let squares = &mut self.squares.as_slice_mut().expect("standard layout")[range];
        for ((sum, square), value) in sums.iter_mut().zip(squares).zip(values) {
            *sum += value;
            *square += value * value;
        }
    }

    fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sums += &other.sums;
        self.squares += &other.squares;
    }

    fn mean(&self, player: usize, outcome: usize) -> f64 {
        self.sums[(player, outcome)] / self.counts[player]
    }

    /// Square of the standard error of the mean.
    fn variance_of_mean(&self, player: usize, outcome: usize) -> f64 {
        let (count, mean) = (self.counts[player], self.mean(player, outcome));
        // Rounding may take the variance of a constant below zero.
        let variance = (self.squares[(player, outcome)] / count - mean * mean).max(0.0);
        variance / (count - 1.0)
    }
}

/// What a draw says of a player.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The value is the mean of what draws contribute.
    Mean,
    /// The value is the mean of draws with the player minus the mean of those without.
    Contrast,
}

/// Draws summed up, apart by half and, where the game has few seeds, by seed.
///
/// The standard error is that of independent draws. Where draws share seeds, the spread of the
/// means by seed is another estimate that holds what all draws of a seed have in common; the
/// larger of the two is reported.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    kind: Kind,
    shape: (usize, usize),
    /// By seed and half; two of them, with and without, for contrasts.
    cells: Vec<[[Sums; 2]; 2]>,
    /// Taken from every value, so that squares stay small.
    shift: Option<Array2<f64>>,
}

impl Tally {
    /// Means of contributions, `(n, m)` each.
    pub(crate) fn of_means(shape: (usize, usize), repeats: Repeats) -> Self {
        Self::new(Kind::Mean, shape, repeats)
    }

    /// Differences between draws with and without a player.
    pub(crate) fn of_contrasts(shape: (usize, usize), repeats: Repeats) -> Self {
        Self::new(Kind::Contrast, shape, repeats)
    }

    fn new(kind: Kind, shape: (usize, usize), repeats: Repeats) -> Self {
        let seeds = if let Repeats::Of(seeds) = repeats { seeds as usize } else { 1 };
        let empty = || [Sums::new(shape), Sums::new(shape)];
        Self { kind, shape, cells: (0..seeds).map(|_| [empty(), empty()]).collect(), shift: None }
    }

    /// What draw `draw` contributes to each player, `(n, m)`.
    pub(crate) fn add(&mut self, draw: u64, contribution: ArrayView2<'_, f64>) {
        let seeds = self.cells.len() as u64;
        let shift = self.shift.get_or_insert_with(|| contribution.to_owned());
        // Halves alternate within a seed.
        let half = (draw / seeds % 2) as usize;
        let cell = &mut self.cells[(draw % seeds) as usize][half][0];
        for (player, row) in contribution.outer_iter().enumerate() {
            let shift = shift.row(player);
            cell.add(player, row.iter().zip(&shift).map(|(value, shift)| value - shift));
        }
    }

    /// The worth `values` (`m`) of a coalition that has the players for which `is_in` holds.
    pub(crate) fn add_worth(&mut self, draw: u64, is_in: impl Fn(usize) -> bool, values: &[f64]) {
        let (players, outcomes) = self.shape;
        let seeds = self.cells.len() as u64;
        let shift = self.shift.get_or_insert_with(|| {
            Array2::from_shape_vec((1, outcomes), values.to_vec()).expect("one worth an outcome")
        });
        let half = (draw / seeds % 2) as usize;
        let cells = &mut self.cells[(draw % seeds) as usize][half];
        for player in 0..players {
            let side = usize::from(!is_in(player));
            let shift = shift.row(0);
            cells[side].add(player, values.iter().zip(&shift).map(|(v, shift)| v - shift));
        }
    }

    /// Values and errors; `None` as long as some player has fewer than two draws a side.
    pub(crate) fn estimate(&self) -> Option<Estimated> {
        let all = self.merged(|_, _| true);
        let (mut values, errors) = self.point(&all)?;
        let errors = self.by_seed().map_or(errors.clone(), |clustered| {
            ndarray::Zip::from(&errors).and(&clustered).map_collect(|a, b| a.max(*b))
        });
        let halves = [0, 1].map(|half| self.merged(|_, found| found == half));
        let stability = match halves.each_ref().map(|half| self.point(half)) {
            [Some((even, _)), Some((odd, _))] => {
                spearman(&self.shifted_means(even), &self.shifted_means(odd))
            }
            _ => 0.0,
        };
        if let (Kind::Mean, Some(shift)) = (self.kind, &self.shift) {
            values += shift;
        }
        Some(Estimated { values, errors, stability })
    }

    fn shifted_means(&self, mut values: Array2<f64>) -> Vec<f64> {
        if let (Kind::Mean, Some(shift)) = (self.kind, &self.shift) {
            values += shift;
        }
        values.outer_iter().map(|row| row.sum()).collect()
    }

    fn merged(&self, wanted: impl Fn(usize, usize) -> bool) -> [Sums; 2] {
        let mut merged = [Sums::new(self.shape), Sums::new(self.shape)];
        for (seed, halves) in self.cells.iter().enumerate() {
            for (half, sides) in halves.iter().enumerate() {
                if wanted(seed, half) {
                    merged[0].merge(&sides[0]);
                    merged[1].merge(&sides[1]);
                }
            }
        }
        merged
    }

    fn point(&self, sides: &[Sums; 2]) -> Option<(Array2<f64>, Array2<f64>)> {
        let used = match self.kind {
            Kind::Mean => &sides[..1],
            Kind::Contrast => &sides[..],
        };
        if used.iter().any(|side| side.counts.iter().any(|&count| count < 2.0)) {
            return None;
        }
        let values = Array2::from_shape_fn(self.shape, |(player, outcome)| {
            let [with, without] = sides;
            match self.kind {
                Kind::Mean => with.mean(player, outcome),
                Kind::Contrast => with.mean(player, outcome) - without.mean(player, outcome),
            }
        });
        let errors = Array2::from_shape_fn(self.shape, |(player, outcome)| {
            let variance = |side: &Sums| side.variance_of_mean(player, outcome);
            used.iter().map(variance).sum::<f64>().sqrt()
        });
        Some((values, errors))
    }

    /// Standard errors from the spread of the values by seed.
    fn by_seed(&self) -> Option<Array2<f64>> {
        let seeds = self.cells.len();
        if seeds < 2 {
            return None;
        }
        let points: Option<Vec<Array2<f64>>> = (0..seeds)
            .map(|seed| Some(self.point(&self.merged(|found, _| found == seed))?.0))
            .collect();
        Some(spread_of_mean(&points?))
    }
}

/// Standard error of the entry-wise mean of equal-shaped matrices.
///
/// # Panics
/// With fewer than two.
pub(crate) fn spread_of_mean(matrices: &[Array2<f64>]) -> Array2<f64> {
    assert!(matrices.len() > 1, "one matrix has no spread");
    let count = matrices.len() as f64;
    let mean = mean_of(matrices);
    let square = matrices.iter().fold(Array2::zeros(mean.dim()), |sum: Array2<f64>, matrix| {
        sum + (matrix - &mean).mapv(|deviation| deviation * deviation)
    });
    square.mapv(|square| (square / (count * (count - 1.0))).sqrt())
}

/// Entry-wise mean of equal-shaped matrices.
///
/// # Panics
/// When there is none.
pub(crate) fn mean_of(matrices: &[Array2<f64>]) -> Array2<f64> {
    let sum = matrices[1..].iter().fold(matrices[0].clone(), |sum, matrix| sum + matrix);
    sum / matrices.len() as f64
}

/// Rank correlation with average ranks for ties; 0 where one side is constant.
pub(crate) fn spearman(left: &[f64], right: &[f64]) -> f64 {
    let (left, right) = (ranks(left), ranks(right));
    let middle = (left.len() as f64 + 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| -> f64 {
        a.iter().zip(b).map(|(x, y)| (x - middle) * (y - middle)).sum()
    };
    let scale = (product(&left, &left) * product(&right, &right)).sqrt();
    if scale > 0.0 { product(&left, &right) / scale } else { 0.0 }
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let same = |&&at: &&usize| values[at] == values[order[start]];
        let count = order[start..].iter().take_while(same).count();
        for &at in &order[start..start + count] {
            ranks[at] = start as f64 + (count as f64 + 1.0) / 2.0;
        }
        start += count;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use attribench_core::Repeats;
    use ndarray::array;

    use super::{Tally, spearman};

    #[test]
    fn means_and_errors_by_hand() {
        // Draws 1, 2, 6: mean 3, variance (4 + 1 + 9) / 2 = 7, error sqrt(7 / 3).
        let mut tally = Tally::of_means((1, 1), Repeats::Endless);
        for (draw, value) in [1.0, 2.0, 6.0].into_iter().enumerate() {
            tally.add(draw as u64, array![[value]].view());
        }
        let found = tally.estimate().unwrap();
        assert!((found.values[(0, 0)] - 3.0).abs() < 1e-15);
        assert!((found.errors[(0, 0)] - (7.0f64 / 3.0).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn contrasts_by_hand() {
        // With: 5, 7, mean 6, variance 2. Without: 1, 1. Error sqrt(2 / 2 + 0) = 1.
        let mut tally = Tally::of_contrasts((1, 1), Repeats::One);
        for (draw, (is_in, value)) in
            [(true, 5.0), (false, 1.0), (true, 7.0), (false, 1.0)].into_iter().enumerate()
        {
            assert!(draw == 3 || tally.estimate().is_none() || draw > 3);
            tally.add_worth(draw as u64, |_| is_in, &[value]);
        }
        let found = tally.estimate().unwrap();
        assert!((found.values[(0, 0)] - 5.0).abs() < 1e-15);
        assert!((found.errors[(0, 0)] - 1.0).abs() < 1e-15);
    }

    #[test]
    fn what_draws_of_a_seed_share_is_not_averaged_away() {
        // Two seeds that say 0 and 1 whatever is drawn: the mean is 1/2 with an error of 1/2.
        let mut tally = Tally::of_means((1, 1), Repeats::Of(2));
        for draw in 0..1000 {
            tally.add(draw, array![[(draw % 2) as f64]].view());
        }
        let found = tally.estimate().unwrap();
        assert!((found.errors[(0, 0)] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn rank_correlation_by_hand() {
        // The pair of definitions: Spearman of (1,2,2,4,5) and (1,3,2,5,4).
        let found = spearman(&[1.0, 2.0, 2.0, 4.0, 5.0], &[1.0, 3.0, 2.0, 5.0, 4.0]);
        assert!((found - 0.872_081_599_272).abs() < 1e-12);
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), 0.0);
    }
}
