//! The random draws of a bootstrap, made once and shared by every method.

use attribench_core::stream;
use ndarray::{Array2, Array3};
use rand::RngExt;

use super::error::StatisticsError;
use super::ranks::MOST_ROWS;

/// How the training seeds behind each row enter the bootstrap.
///
/// Runs that are drawn with replacement repeat themselves, so that a drawn mean of few runs is
/// noisier than the real one and every correlation with it is lower: the interval moves down. In
/// simulations with two runs a row, seed noise of one to two times the signal and 300 worlds,
/// nominal 95 % intervals covered 95-99 % with [`Seeds::Fixed`] and 73-92 % with
/// [`Seeds::Nested`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seeds {
    /// Not resampled: each row is the mean of its runs. The right choice when every row has seeds
    /// of its own, because a resampled row carries the noise of its runs along.
    Fixed,
    /// The same `R` seeds serve all rows: seeds are a third crossed factor, drawn once a draw.
    Crossed(usize),
    /// Every row has `R` seeds of its own, which are drawn again for every drawn copy of a row:
    /// shows how much the runs matter.
    Nested(usize),
}

/// All that determines a [`Resamples`]; two bootstraps are paired if their plans are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Root seed of the draws.
    pub seed: u64,
    /// Rows, `M`: subsets or removed items.
    pub rows: usize,
    /// Columns, `Q`: queries.
    pub columns: usize,
    /// Draws, `B`.
    pub draws: usize,
    /// Seeds, `R`, behind each row.
    pub seeds: Seeds,
}

/// Counts of rows and of columns in each of `B` draws with replacement.
///
/// Rows and columns are drawn independently of each other, the pigeonhole bootstrap of an array
/// (McCullagh 2000; Owen 2007): all columns share the rows, so that resampling columns alone would
/// miss what a draw of rows does to all of them at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Resamples {
    plan: Plan,
    row_counts: Array2<u32>,
    column_counts: Array2<u32>,
    seed_draws: SeedDraws,
}

/// The draws of seeds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SeedDraws {
    Fixed,
    /// Counts of the seeds, `(B, R)`.
    Crossed(Array2<u32>),
    Nested {
        /// Drawn rows, `(B, M)`.
        rows: Array2<u32>,
        /// Seeds of each drawn row in increasing order, `(B, M, R)`.
        seeds: Array3<u32>,
    },
}

/// Draws that see the same seeds.
pub(crate) struct SeedGroup {
    pub(crate) seed_counts: Vec<u32>,
    pub(crate) draws: Vec<usize>,
}

impl Resamples {
    /// Makes the draws from the streams of the plan's seed.
    ///
    /// # Errors
    /// When there are fewer than two rows, no columns, seeds or draws, or more than `2^17` rows.
    pub fn new(plan: Plan) -> Result<Self, StatisticsError> {
        check(plan)?;
        let rows = drawn(plan.seed, "bootstrap rows", (plan.draws, plan.rows), plan.rows);
        let columns =
            drawn(plan.seed, "bootstrap columns", (plan.draws, plan.columns), plan.columns);
        let row_counts = counts(&rows, plan.rows);
        let seed_draws = match plan.seeds {
            Seeds::Fixed => SeedDraws::Fixed,
            Seeds::Crossed(seeds) => {
                let indices = drawn(plan.seed, "bootstrap seeds", (plan.draws, seeds), seeds);
                SeedDraws::Crossed(counts(&indices, seeds))
            }
            Seeds::Nested(seeds) => {
                let shape = (plan.draws * plan.rows, seeds);
                let mut indices = drawn(plan.seed, "bootstrap seeds", shape, seeds);
                for mut copy in indices.outer_iter_mut() {
                    // Sorted, so that equal multisets have equal sums and tie.
                    copy.as_slice_mut().expect("a row of a standard array").sort_unstable();
                }
                let seeds = indices
                    .into_shape_with_order((plan.draws, plan.rows, seeds))
                    .expect("as many entries as before");
                SeedDraws::Nested { rows, seeds }
            }
        };
        Ok(Self { plan, row_counts, column_counts: counts(&columns, plan.columns), seed_draws })
    }

    /// What the draws were made from.
    pub fn plan(&self) -> Plan {
        self.plan
    }

    /// How often each row occurs in a draw, `(M)`.
    pub fn row_counts(&self, draw: usize) -> &[u32] {
        &self.row_counts.as_slice().expect("standard layout")[draw * self.plan.rows..]
            [..self.plan.rows]
    }

    /// How often each column occurs in a draw, `(Q)`.
    pub fn column_counts(&self, draw: usize) -> &[u32] {
        &self.column_counts.as_slice().expect("standard layout")[draw * self.plan.columns..]
            [..self.plan.columns]
    }

    pub(crate) fn seed_draws(&self) -> &SeedDraws {
        &self.seed_draws
    }

    /// The draws by their seeds, for a truth of `seeds` runs a row, where seeds are not nested.
    pub(crate) fn seed_groups(&self, seeds: usize) -> Vec<SeedGroup> {
        let SeedDraws::Crossed(seed_counts) = &self.seed_draws else {
            let draws = (0..self.plan.draws).collect();
            return vec![SeedGroup { seed_counts: vec![1; seeds], draws }];
        };
        let mut keyed: Vec<(Vec<u32>, usize)> =
            seed_counts.outer_iter().map(|row| row.to_vec()).zip(0..).collect();
        keyed.sort_unstable();
        let groups = keyed.chunk_by(|a, b| a.0 == b.0);
        groups
            .map(|group| SeedGroup {
                seed_counts: group[0].0.clone(),
                draws: group.iter().map(|(_, draw)| *draw).collect(),
            })
            .collect()
    }
}

fn check(plan: Plan) -> Result<(), StatisticsError> {
    let seeds = match plan.seeds {
        Seeds::Fixed => 1,
        Seeds::Crossed(seeds) | Seeds::Nested(seeds) => seeds,
    };
    let parts = [
        ("rows to resample", plan.rows, 2),
        ("columns to resample", plan.columns, 1),
        ("bootstrap draws", plan.draws, 1),
        ("seeds to resample", seeds, 1),
    ];
    for (what, found, least) in parts {
        if found < least {
            return Err(StatisticsError::TooFew { what, found, least });
        }
    }
    if plan.rows > MOST_ROWS {
        return Err(StatisticsError::TooManyRows { found: plan.rows, most: MOST_ROWS });
    }
    Ok(())
}

/// Uniform indices below `n`.
fn drawn(seed: u64, name: &str, shape: (usize, usize), n: usize) -> Array2<u32> {
    let mut random = stream(seed, name, 0);
    let n = u32::try_from(n).expect("an axis shorter than 2^32");
    Array2::from_shape_simple_fn(shape, || random.random_range(0..n))
}

/// How often each index below `n` occurs in each row: `(B, any) -> (B, n)`.
fn counts(indices: &Array2<u32>, n: usize) -> Array2<u32> {
    let mut counts = Array2::zeros((indices.nrows(), n));
    for (draw, index) in indices.indexed_iter().map(|((draw, _), index)| (draw, *index)) {
        counts[(draw, index as usize)] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::{Plan, Resamples, SeedDraws, Seeds};

    const PLAN: Plan = Plan { seed: 3, rows: 7, columns: 4, draws: 300, seeds: Seeds::Fixed };

    #[test]
    fn every_draw_has_the_size_of_the_sample_and_draws_repeat() {
        let resamples = Resamples::new(PLAN).unwrap();
        for draw in 0..PLAN.draws {
            assert_eq!(resamples.row_counts(draw).iter().sum::<u32>(), 7);
            assert_eq!(resamples.column_counts(draw).iter().sum::<u32>(), 4);
        }
        assert_eq!(resamples, Resamples::new(PLAN).unwrap());
        assert_ne!(resamples, Resamples::new(Plan { seed: 4, ..PLAN }).unwrap());
    }

    #[test]
    fn seeds_do_not_disturb_the_draws_of_rows_and_columns() {
        let fixed = Resamples::new(PLAN).unwrap();
        for seeds in [Seeds::Crossed(2), Seeds::Nested(3)] {
            let other = Resamples::new(Plan { seeds, ..PLAN }).unwrap();
            assert_eq!(other.row_counts, fixed.row_counts);
            assert_eq!(other.column_counts, fixed.column_counts);
        }
    }

    #[test]
    fn crossed_draws_are_grouped_by_their_seeds() {
        let plan = Plan { seeds: Seeds::Crossed(2), ..PLAN };
        let resamples = Resamples::new(plan).unwrap();
        let SeedDraws::Crossed(counts) = resamples.seed_draws() else { panic!("crossed") };
        let groups = resamples.seed_groups(2);
        assert_eq!(groups.len(), 3, "(2, 0), (1, 1) and (0, 2)");
        assert_eq!(groups.iter().map(|group| group.draws.len()).sum::<usize>(), 300);
        for group in groups {
            for draw in group.draws {
                assert_eq!(counts.row(draw).to_vec(), group.seed_counts);
            }
        }
    }

    #[test]
    fn a_sample_that_cannot_vary_is_refused() {
        for plan in [
            Plan { rows: 1, ..PLAN },
            Plan { columns: 0, ..PLAN },
            Plan { draws: 0, ..PLAN },
            Plan { seeds: Seeds::Nested(0), ..PLAN },
            Plan { rows: (1 << 17) + 1, ..PLAN },
        ] {
            assert!(Resamples::new(plan).is_err(), "{plan:?}");
        }
    }
}
