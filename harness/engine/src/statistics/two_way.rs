//! Statistics by column in every draw of rows and columns.
//!
//! A truth has the shape `(R, M, Q)`: runs, rows (subsets or removed items), columns (queries).
//! Predictions have the shape `(M, Q)`. All methods are walked together, because the ranks of the
//! truth in a draw serve all of them.

use std::ops::Range;

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis};

use super::bootstrap::{Bootstrapped, Parts};
use super::correlation::{Sample, or_degenerate, spearman_of_counts};
use super::error::StatisticsError;
use super::ranks::{Cell, SortOrder, by_value, tie_loss};
use super::regression::Moments;
use super::resamples::{Resamples, SeedDraws, Seeds};

/// Mean over the runs, `(R, M, Q) -> (M, Q)`.
pub(crate) fn seed_average(measured: ArrayView3<'_, f64>) -> Array2<f64> {
    weighted_seed_average(measured, &vec![1; measured.dim().0])
}

/// Refuses arrays whose axes differ from each other or from the resamples.
///
/// # Errors
/// [`StatisticsError::Shape`] with both shapes.
pub(crate) fn check_shapes(
    measured: ArrayView3<'_, f64>,
    predicted: &[ArrayView2<'_, f64>],
    resamples: &Resamples,
) -> Result<(), StatisticsError> {
    let plan = resamples.plan();
    let seeds = match plan.seeds {
        Seeds::Fixed => measured.dim().0.max(1),
        Seeds::Crossed(seeds) | Seeds::Nested(seeds) => seeds,
    };
    let expected = [seeds, plan.rows, plan.columns];
    if measured.shape() != expected {
        let found = measured.shape().to_vec();
        let what = "measured values (seeds, rows, columns)";
        return Err(StatisticsError::Shape { what, found, expected: expected.into() });
    }
    match predicted.iter().find(|matrix| matrix.shape() != &expected[1..]) {
        None => Ok(()),
        Some(matrix) => Err(StatisticsError::Shape {
            what: "predicted values (rows, columns)",
            found: matrix.shape().to_vec(),
            expected: expected[1..].into(),
        }),
    }
}

/// Spearman correlation of each column of the sample, `(M, Q), (M, Q) -> (Q)`.
pub(crate) fn spearman_by_column(
    measured: ArrayView2<'_, f64>,
    predicted: ArrayView2<'_, f64>,
) -> Vec<Option<f64>> {
    let columns = measured.axis_iter(Axis(1)).zip(predicted.axis_iter(Axis(1)));
    let once = vec![1; measured.nrows()];
    let spearman = |x, y| spearman_of_counts(&SortOrder::new(x)?, &SortOrder::new(y)?, &once);
    columns.map(|(y, x)| spearman(x, y)).collect()
}

/// Moments of (prediction, truth) in each column of the sample, `(M, Q), (M, Q) -> (Q)`.
pub(crate) fn moments_by_column(
    measured: ArrayView2<'_, f64>,
    predicted: ArrayView2<'_, f64>,
) -> Vec<Option<Moments>> {
    let columns = measured.axis_iter(Axis(1)).zip(predicted.axis_iter(Axis(1)));
    columns.map(|(y, x)| Moments::of(x, y)).collect()
}

/// Mean over columns of a statistic, collected draw by draw.
pub(crate) struct MeanOverColumns<'a> {
    resamples: &'a Resamples,
    undefined: Vec<bool>,
    parts: Parts,
}

impl<'a> MeanOverColumns<'a> {
    /// Starts from the values of the sample, in which `None` enters as 0 and is counted.
    pub(crate) fn new(sample: &[Option<f64>], resamples: &'a Resamples) -> Self {
        let undefined: Vec<bool> = sample.iter().map(Option::is_none).collect();
        let parts = Parts {
            point: mean(sample, &vec![1; sample.len()]),
            draws: vec![0.0; resamples.plan().draws],
            n: sample.len(),
            undefined: undefined.iter().filter(|&&undefined| undefined).count(),
            undefined_draws: 0,
        };
        Self { resamples, undefined, parts }
    }

    /// Takes the values of the columns in a draw; those of columns that were not drawn are unread.
    pub(crate) fn record(&mut self, draw: usize, values: &[Option<f64>]) {
        let counts = self.resamples.column_counts(draw);
        self.parts.draws[draw] = mean(values, counts);
        let lost = values.iter().zip(counts).zip(&self.undefined);
        let lost = lost
            .filter(|((value, count), undefined)| value.is_none() && **count > 0 && !**undefined);
        self.parts.undefined_draws += usize::from(lost.count() > 0);
    }

    pub(crate) fn finish(self) -> Bootstrapped {
        Bootstrapped::new(self.parts, self.resamples)
    }
}

/// Mean over columns that occur `counts` times; `None` enters as 0.
fn mean(values: &[Option<f64>], counts: &[u32]) -> f64 {
    let (mut sum, mut size) = (0.0, 0u64);
    for (&value, &count) in values.iter().zip(counts) {
        if count > 0 {
            sum += f64::from(count) * or_degenerate(value);
            size += u64::from(count);
        }
    }
    sum / size as f64
}

/// Calls `visit(method, draw, values)` with the Spearman correlation `(Q)` of every drawn column.
///
/// The ranks of a draw follow from one sort of each column and the counts, and are those of the
/// expanded sample. Shapes must have been checked.
pub(crate) fn visit_spearman(
    measured: ArrayView3<'_, f64>,
    predicted: &[ArrayView2<'_, f64>],
    resamples: &Resamples,
    visit: impl FnMut(usize, usize, &[Option<f64>]),
) {
    let orders: Vec<_> = predicted.iter().map(|matrix| sort_columns(*matrix)).collect();
    let mut walk = SpearmanWalk { resamples, orders, visit };
    if let SeedDraws::Nested { rows, seeds } = resamples.seed_draws() {
        let mut truth = NestedTruth::new(measured);
        for draw in 0..resamples.plan().draws {
            let rows = rows.row(draw);
            let seeds = seeds.index_axis(Axis(0), draw);
            let rows = rows.as_slice().expect("standard layout");
            let seeds = seeds.as_slice().expect("standard layout");
            walk.draw(draw, |q, cells| truth.fill_cells(q, rows, seeds, cells));
        }
        return;
    }
    for group in resamples.seed_groups(measured.dim().0) {
        let truth = sort_columns(weighted_seed_average(measured, &group.seed_counts).view());
        for draw in group.draws {
            let counts = resamples.row_counts(draw);
            walk.draw(draw, |q, cells| Some(truth[q].as_ref()?.fill_cells(counts, cells)));
        }
    }
}

struct SpearmanWalk<'a, V> {
    resamples: &'a Resamples,
    /// One a method and a column.
    orders: Vec<Vec<Option<SortOrder>>>,
    visit: V,
}

impl<V: FnMut(usize, usize, &[Option<f64>])> SpearmanWalk<'_, V> {
    /// One draw; `fill_truth` writes a column's cells and returns its tie loss, if it has ranks.
    fn draw(&mut self, draw: usize, mut fill_truth: impl FnMut(usize, &mut [Cell]) -> Option<u64>) {
        let plan = self.resamples.plan();
        let sample = Sample::new(self.resamples.row_counts(draw));
        let mut cells = vec![Cell::default(); plan.rows];
        let mut values = vec![vec![None; plan.columns]; self.orders.len()];
        for (q, _) in counted(self.resamples.column_counts(draw)) {
            let Some(loss) = fill_truth(q, &mut cells) else { continue };
            for (values, orders) in values.iter_mut().zip(&self.orders) {
                values[q] = orders[q].as_ref().and_then(|x| sample.spearman(x, &cells, loss));
            }
        }
        for (method, values) in values.iter().enumerate() {
            (self.visit)(method, draw, values);
        }
    }
}

/// A truth whose rows have seeds of their own: copies of a row differ by their drawn seeds.
struct NestedTruth {
    /// `(Q, M, R)`, so that the runs of a row lie together.
    runs: Array3<f64>,
    usable: Vec<bool>,
    /// Truth and row of each copy.
    copies: Vec<(f64, u32)>,
}

impl NestedTruth {
    fn new(measured: ArrayView3<'_, f64>) -> Self {
        let runs = measured.permuted_axes([2, 1, 0]).as_standard_layout().into_owned();
        let usable = runs.outer_iter().map(|column| column.iter().all(|run| run.is_finite()));
        let usable = usable.collect();
        Self { runs, usable, copies: Vec::new() }
    }

    /// As [`SortOrder::fill_cells`]; `seeds` holds `R` sorted seeds a copy.
    fn fill_cells(
        &mut self,
        q: usize,
        rows: &[u32],
        seeds: &[u32],
        cells: &mut [Cell],
    ) -> Option<u64> {
        if !self.usable[q] {
            return None;
        }
        let column = self.runs.index_axis(Axis(0), q);
        let drawn = rows.iter().zip(seeds.chunks_exact(self.runs.dim().2));
        self.copies.clear();
        self.copies.extend(drawn.map(|(&row, seeds)| {
            // The sum ranks as the mean does.
            (seeds.iter().map(|&seed| column[(row as usize, seed as usize)]).sum(), row)
        }));
        self.copies.sort_unstable_by(|a, b| by_value(a.0, b.0));
        cells.fill(Cell::default());
        let (mut below, mut loss) = (0u64, 0u64);
        for tied in self.copies.chunk_by(|a, b| a.0 == b.0) {
            let size = tied.len() as u64;
            for &(_, row) in tied {
                let cell = &mut cells[row as usize];
                cell.count += 1;
                cell.rank_sum += 2 * below + size + 1;
            }
            below += size;
            loss += tie_loss(size);
        }
        Some(loss)
    }
}

/// Calls `visit(method, draw, moments)` with the moments `(Q)` of (prediction, truth) by column;
/// `None` where a column of the sample is not finite. Shapes must have been checked.
pub(crate) fn visit_moments(
    measured: ArrayView3<'_, f64>,
    predicted: &[ArrayView2<'_, f64>],
    resamples: &Resamples,
    mut visit: impl FnMut(usize, usize, &[Option<Moments>]),
) {
    let predicted: Vec<_> =
        predicted.iter().map(|matrix| matrix.as_standard_layout().into_owned()).collect();
    let usable: Vec<Vec<bool>> =
        predicted.iter().map(|matrix| usable_columns(measured, matrix.view())).collect();
    let mut walk = |draw: usize, truth: &Array2<f64>, pairs: &[Pair]| {
        for (method, matrix) in predicted.iter().enumerate() {
            let moments = moments_of_pairs(matrix, truth, pairs);
            let moments = moments.into_iter().zip(&usable[method]);
            let moments: Vec<_> = moments.map(|(m, usable)| usable.then_some(m)).collect();
            visit(method, draw, &moments);
        }
    };
    if let SeedDraws::Nested { rows, seeds } = resamples.seed_draws() {
        for draw in 0..resamples.plan().draws {
            let rows = rows.row(draw);
            let mut truth = Array2::zeros((rows.len(), resamples.plan().columns));
            let mut pairs = Vec::with_capacity(rows.len());
            for (copy, &row) in rows.iter().enumerate() {
                let seeds = seeds.index_axis(Axis(0), draw);
                for &seed in seeds.row(copy) {
                    let run = measured.index_axis(Axis(0), seed as usize);
                    truth
                        .row_mut(copy)
                        .scaled_add(1.0 / seeds.ncols() as f64, &run.row(row as usize));
                }
                pairs.push(Pair { predicted: row as usize, measured: copy, weight: 1.0 });
            }
            walk(draw, &truth, &pairs);
        }
        return;
    }
    for group in resamples.seed_groups(measured.dim().0) {
        let truth = weighted_seed_average(measured, &group.seed_counts);
        for draw in group.draws {
            let rows = counted(resamples.row_counts(draw));
            let pairs: Vec<_> =
                rows.map(|(row, weight)| Pair { predicted: row, measured: row, weight }).collect();
            walk(draw, &truth, &pairs);
        }
    }
}

/// A row of predictions with the row of truth that it is compared to.
struct Pair {
    predicted: usize,
    measured: usize,
    weight: f64,
}

/// Two passes over the rows; columns are lanes, so that no sum depends on the vector width.
fn moments_of_pairs(x: &Array2<f64>, y: &Array2<f64>, pairs: &[Pair]) -> Vec<Moments> {
    let weight: f64 = pairs.iter().map(|pair| pair.weight).sum();
    let rows = |pair: &Pair| (row_of(x, pair.predicted), row_of(y, pair.measured));
    let mut means = vec![[0.0; 2]; x.ncols()];
    for pair in pairs {
        let (x, y) = rows(pair);
        for ((mean, x), y) in means.iter_mut().zip(x).zip(y) {
            mean[0] += pair.weight * x;
            mean[1] += pair.weight * y;
        }
    }
    means.iter_mut().for_each(|mean| *mean = [mean[0] / weight, mean[1] / weight]);
    let mut sums = vec![[0.0; 3]; x.ncols()];
    for pair in pairs {
        let (x, y) = rows(pair);
        for (((sum, mean), x), y) in sums.iter_mut().zip(&means).zip(x).zip(y) {
            let (dx, dy) = (x - mean[0], y - mean[1]);
            sum[0] += pair.weight * dx * dx;
            sum[1] += pair.weight * dy * dy;
            sum[2] += pair.weight * dx * dy;
        }
    }
    let columns = means.into_iter().zip(sums);
    columns.map(|(means, sums)| Moments::from_sums(weight, means, sums)).collect()
}

fn row_of(matrix: &Array2<f64>, row: usize) -> &[f64] {
    let columns: Range<usize> = row * matrix.ncols()..(row + 1) * matrix.ncols();
    &matrix.as_slice().expect("standard layout")[columns]
}

/// Entries that occur, with their counts as weights.
fn counted(counts: &[u32]) -> impl Iterator<Item = (usize, f64)> {
    let entries = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    entries.map(|(index, &count)| (index, f64::from(count)))
}

fn sort_columns(matrix: ArrayView2<'_, f64>) -> Vec<Option<SortOrder>> {
    matrix.axis_iter(Axis(1)).map(SortOrder::new).collect()
}

/// Columns of which every run and every prediction is finite, `(Q)`.
fn usable_columns(measured: ArrayView3<'_, f64>, predicted: ArrayView2<'_, f64>) -> Vec<bool> {
    let columns = measured.axis_iter(Axis(2)).zip(predicted.axis_iter(Axis(1)));
    columns.map(|(y, x)| y.iter().chain(x).all(|value| value.is_finite())).collect()
}

/// `sum_r c_r y_r / sum_r c_r`, `(R, M, Q) -> (M, Q)`, in a layout of contiguous rows.
///
/// A run that is not finite makes its entry so even where its count is 0: otherwise what is
/// undefined would depend on the draw.
fn weighted_seed_average(measured: ArrayView3<'_, f64>, counts: &[u32]) -> Array2<f64> {
    let total: u32 = counts.iter().sum();
    let mut sum = Array2::zeros((measured.dim().1, measured.dim().2));
    for (run, &count) in measured.outer_iter().zip(counts) {
        sum.scaled_add(f64::from(count), &run);
    }
    sum / f64::from(total)
}

/// A ratio of sums over entries, `sum n / sum d`, of the sample and in every draw.
///
/// Shapes `(M, Q), (M, Q)`. Draws whose denominator is 0 take the value `neutral` and are counted.
/// `sample` counts the entries in the denominator and those left out because they are undefined.
///
/// # Errors
/// When the denominator of the sample is 0, or shapes differ from those of the resamples.
pub(crate) fn ratio(
    numerator: ArrayView2<'_, f64>,
    denominator: ArrayView2<'_, f64>,
    neutral: f64,
    sample: (usize, usize),
    resamples: &Resamples,
) -> Result<Bootstrapped, StatisticsError> {
    let (n, undefined) = sample;
    let all = (vec![1; numerator.nrows()], vec![1; numerator.ncols()]);
    let total = |matrix, rows, columns| bilinear(matrix, rows, columns);
    let whole = total(denominator, &all.0, &all.1);
    if whole == 0.0 {
        return Err(StatisticsError::Undefined { what: "a share of pairs", n: numerator.len() });
    }
    let draws = (0..resamples.plan().draws).map(|draw| {
        let (rows, columns) = (resamples.row_counts(draw), resamples.column_counts(draw));
        let below = total(denominator, rows, columns);
        (below != 0.0).then(|| total(numerator, rows, columns) / below)
    });
    let draws: Vec<Option<f64>> = draws.collect();
    let parts = Parts {
        point: total(numerator, &all.0, &all.1) / whole,
        undefined_draws: draws.iter().filter(|draw| draw.is_none()).count(),
        draws: draws.into_iter().map(|draw| draw.unwrap_or(neutral)).collect(),
        n,
        undefined,
    };
    Ok(Bootstrapped::new(parts, resamples))
}

/// `sum_jq rows_j matrix_jq columns_q`.
fn bilinear(matrix: ArrayView2<'_, f64>, rows: &[u32], columns: &[u32]) -> f64 {
    let mut sum = 0.0;
    for (row, weight) in counted(rows) {
        let entries = matrix.row(row);
        let inner: f64 = entries.iter().zip(columns).map(|(x, &count)| x * f64::from(count)).sum();
        sum += weight * inner;
    }
    sum
}
