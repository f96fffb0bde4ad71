//! Why a statistic was refused.

use thiserror::Error;

use super::resamples::Plan;

/// Why a statistic was refused.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum StatisticsError {
    /// Two arrays that must have the same axes do not.
    #[error("{what}: shape {found:?}, expected {expected:?}\nhint: join both by ids first")]
    Shape {
        /// Which array.
        what: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that the other arrays or the resamples ask for.
        expected: Vec<usize>,
    },
    /// An axis is too short for the statistic.
    #[error("{what}: {found} given, at least {least} needed")]
    TooFew {
        /// What there is too little of.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there must be.
        least: usize,
    },
    /// More rows than the exact integer arithmetic of the ranks can hold.
    #[error("{found} rows to rank, at most {most} can be ranked exactly\nhint: rank a sample")]
    TooManyRows {
        /// Rows asked for.
        found: usize,
        /// The limit.
        most: usize,
    },
    /// Two bootstraps do not share their draws and cannot be paired.
    #[error("bootstraps of {left:?} and {right:?} are not paired\nhint: use one `Resamples`")]
    Unpaired {
        /// Plan of the left-hand side.
        left: Plan,
        /// Plan of the right-hand side.
        right: Plan,
    },
    /// The truth is mostly noise.
    #[error(
        "mean reliability {reliability:.3} is below {floor}: a corrected value would be noise\n\
         hint: average the truth over more seeds"
    )]
    Unreliable {
        /// Mean reliability over the queries.
        reliability: f64,
        /// The least that is accepted.
        floor: f64,
    },
    /// A noise floor or another parameter is not a number that makes sense.
    #[error("{what} is {value}, must be finite and at least 0")]
    Parameter {
        /// Which parameter.
        what: &'static str,
        /// Its value.
        value: f64,
    },
    /// A label or a score by which examples are ranked is not finite.
    #[error("the score of example {index} is {value}\nhint: scores must be finite")]
    NotFinite {
        /// Position of the example.
        index: usize,
        /// The score.
        value: f64,
    },
    /// Nothing of what was asked for is defined.
    #[error("{what} has no defined member among {n}")]
    Undefined {
        /// Which statistic.
        what: &'static str,
        /// Size of the sample.
        n: usize,
    },
}
