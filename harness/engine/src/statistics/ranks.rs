//! Average ranks, plain and weighted by bootstrap counts.

use std::cmp::Ordering;

use ndarray::ArrayView1;

/// Largest number of rows that can be ranked exactly.
///
/// The sum of products of doubled ranks is below `4 N^3`, which must fit an `f64` without
/// rounding: `4 (2^17)^3 = 2^53`.
pub(crate) const MOST_ROWS: usize = 1 << 17;

/// Ranks from 1; ties share the mean of the ranks that they span (Spearman 1904; Kendall 1948).
///
/// Shape `(m) -> (m)`. `None` when a value is NaN or infinite.
pub fn average_ranks(values: ArrayView1<'_, f64>) -> Option<Vec<f64>> {
    Some(SortOrder::new(values)?.weighted_average_ranks(&vec![1; values.len()]))
}

/// The order of a column, sorted once, from which the ranks in any resample follow in one pass.
///
/// In a sample that holds item `j` `counts[j]` times, all copies of the items of one tie group
/// have the average rank `below + (group + 1) / 2`, where `below` and `group` are the summed
/// counts of smaller and of tied items.
#[derive(Clone, Debug, PartialEq)]
pub struct SortOrder {
    /// Items, smallest value first.
    order: Vec<u32>,
    /// For each tie group the position after its last item in `order`.
    ends: Vec<u32>,
}

/// What one item of a resample brings to a rank correlation, except for the other column's rank.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cell {
    /// Copies of the item in the resample.
    pub(crate) count: u32,
    /// Sum over the copies of twice their average rank.
    pub(crate) rank_sum: u64,
}

/// `c^3 - c`: what a tie of `c` takes from the spread of the ranks, times 12 (Kendall 1948).
pub(crate) fn tie_loss(count: u64) -> u64 {
    count * count * count - count
}

impl SortOrder {
    /// Sorts a column; `None` when a value is NaN or infinite.
    pub fn new(values: ArrayView1<'_, f64>) -> Option<Self> {
        if values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let mut keyed: Vec<(f64, u32)> = values.iter().copied().zip(0u32..).collect();
        keyed.sort_unstable_by(|a, b| by_value(a.0, b.0).then(a.1.cmp(&b.1)));
        let ends = keyed.chunk_by(|a, b| a.0 == b.0).scan(0, |end, group| {
            *end += group.len() as u32;
            Some(*end)
        });
        let ends = ends.collect();
        Some(Self { order: keyed.into_iter().map(|(_, item)| item).collect(), ends })
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The average rank of each item among the copies that `counts` gives, `(m) -> (m)`.
    ///
    /// An item that occurs 0 times gets the rank between its neighbours.
    ///
    /// # Panics
    /// When `counts` has not one entry an item.
    pub fn weighted_average_ranks(&self, counts: &[u32]) -> Vec<f64> {
        assert_eq!(counts.len(), self.len(), "one count an item");
        let mut ranks = vec![0.0; counts.len()];
        let mut below = 0u64;
        for group in self.groups() {
            let tied: u64 = group.iter().map(|&item| u64::from(counts[item as usize])).sum();
            for &item in group {
                ranks[item as usize] = below as f64 + (tied + 1) as f64 / 2.0;
            }
            below += tied;
        }
        ranks
    }

    /// The tie groups, smallest value first; items of a group in index order.
    pub(crate) fn groups(&self) -> impl DoubleEndedIterator<Item = &[u32]> {
        (0..self.ends.len()).map(|g| {
            let start = if g == 0 { 0 } else { self.ends[g - 1] };
            &self.order[start as usize..self.ends[g] as usize]
        })
    }

    /// Writes the cells of this column under `counts`; returns the tie loss of the ranks.
    pub(crate) fn fill_cells(&self, counts: &[u32], cells: &mut [Cell]) -> u64 {
        let (mut below, mut loss) = (0u64, 0u64);
        for group in self.groups() {
            let tied: u64 = group.iter().map(|&item| u64::from(counts[item as usize])).sum();
            let doubled_rank = 2 * below + tied + 1;
            for &item in group {
                let count = counts[item as usize];
                cells[item as usize] = Cell { count, rank_sum: u64::from(count) * doubled_rank };
            }
            below += tied;
            loss += tie_loss(tied);
        }
        loss
    }

    /// `(sum of products of doubled ranks, tie loss)` of this column against the one in `cells`.
    ///
    /// `loss_of_counts` is the tie loss that the counts alone cause, `sum_j (c_j^3 - c_j)`: it is
    /// the same for every column without ties and is not summed again for each of them.
    pub(crate) fn rank_products(&self, cells: &[Cell], loss_of_counts: u64) -> (u64, u64) {
        if self.ends.len() == self.order.len() {
            return (self.products_without_ties(cells), loss_of_counts);
        }
        let (mut below, mut loss, mut products) = (0u64, 0u64, 0u64);
        for group in self.groups() {
            let (mut tied, mut rank_sum) = (0u64, 0u64);
            for &item in group {
                tied += u64::from(cells[item as usize].count);
                rank_sum += cells[item as usize].rank_sum;
            }
            products += (2 * below + tied + 1) * rank_sum;
            below += tied;
            loss += tie_loss(tied);
        }
        (products, loss)
    }

    /// The innermost loop of every bootstrap.
    fn products_without_ties(&self, cells: &[Cell]) -> u64 {
        let (mut doubled_below, mut products) = (1u64, 0u64);
        for &item in &self.order {
            let cell = cells[item as usize];
            let count = u64::from(cell.count);
            products += (doubled_below + count) * cell.rank_sum;
            doubled_below += 2 * count;
        }
        products
    }
}

/// Numeric order of finite numbers, with -0 equal to 0 so that ties break by index.
pub(crate) fn by_value(a: f64, b: f64) -> Ordering {
    (a + 0.0).total_cmp(&(b + 0.0))
}

#[cfg(test)]
mod tests {
    use ndarray::{arr1, aview1};

    use super::{SortOrder, average_ranks};

    #[test]
    fn ties_share_the_mean_of_their_ranks() {
        // Sorted: -1 | 0 0 0 | 7; the zeros span ranks 2, 3, 4.
        let ranks = average_ranks(aview1(&[0.0, 7.0, -0.0, -1.0, 0.0]));
        assert_eq!(ranks, Some(vec![3.0, 5.0, 3.0, 1.0, 3.0]));
        assert_eq!(average_ranks(aview1(&[0.0, f64::NAN])), None);
        assert_eq!(average_ranks(aview1(&[0.0, f64::INFINITY])), None);
    }

    #[test]
    fn counts_rank_as_the_expanded_sample_does() {
        // Counts 2, 0, 3 of the values 5, 1, 4: sample 4 4 4 5 5, ranks 2 2 2 4.5 4.5.
        let order = SortOrder::new(arr1(&[5.0, 1.0, 4.0]).view()).unwrap();
        assert_eq!(order.weighted_average_ranks(&[2, 0, 3]), [4.5, 0.5, 2.0]);
    }
}
