//! Ranks, correlations, the two-way bootstrap, reliability and ranking curves.
//!
//! Pure functions of arrays: no files, no clocks, and no randomness but that of [`Resamples`].
//! Everything is sequential, so a result is the same bit for bit on any number of threads.
//!
//! # Degenerate input
//! A correlation of a constant vector, or of one that holds NaN or an infinity, is `None`. Where
//! correlations are averaged, a `None` enters as [`DEGENERATE_CORRELATION`], because scores that
//! cannot rank anything must not profit from being left out of the mean, and it is counted in
//! `undefined`. A bootstrap draw that makes a column constant enters the same way.

mod auc;
mod bootstrap;
mod ceiling;
mod correlation;
mod error;
mod ranks;
mod regression;
mod resamples;
mod two_way;

pub(crate) use auc::RankedLabels;
pub use auc::{average_precision, roc_auc};
pub(crate) use bootstrap::Parts;
pub use bootstrap::{Bootstrapped, Difference, LEVEL, quantile};
pub use ceiling::{
    RELIABILITY_FLOOR, Reliability, Sides, minimum_detectable_difference, reliability,
    spearman_brown,
};
pub use correlation::{
    DEGENERATE_CORRELATION, or_degenerate, pearson, spearman, spearman_of_counts,
};
pub use error::StatisticsError;
pub use ranks::{SortOrder, average_ranks};
pub use regression::{Line, Moments, ordinary_least_squares};
pub use resamples::{Plan, Resamples, Seeds};
pub(crate) use two_way::{
    MeanOverColumns, check_shapes, moments_by_column, ratio, seed_average, spearman_by_column,
    visit_moments, visit_spearman,
};
