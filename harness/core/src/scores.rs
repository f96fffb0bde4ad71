//! Attribution scores: one sign, one unit, labelled by ids.

use attribench_datasets::ExampleId;
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What a score of 1 means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// A difference of utilities.
    Unit,
    /// First order in the data weight, in the unit of the utility.
    Derivative,
    /// Only the order means something; may not enter a payout or a calibration as it is.
    Arbitrary,
}

/// `tau[i, q] > 0` means that keeping example `i` raises the utility of query `q`, by `tau`.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    train_ids: Vec<ExampleId>,
    query_ids: Vec<ExampleId>,
    values: Array2<f64>,
    scale: Scale,
}

/// Why a matrix is not a matrix of scores.
#[derive(Debug, Error, PartialEq)]
pub enum ScoresError {
    /// An axis does not have as many entries as it has ids.
    #[error("scores are {found:?} but there are {expected:?} (training, query) ids")]
    Shape {
        /// Shape of the matrix.
        found: (usize, usize),
        /// Numbers of ids.
        expected: (usize, usize),
    },
    /// A score is NaN or infinite.
    #[error("the score of training example {train} for query {query} is {value}")]
    NotFinite {
        /// Training example.
        train: ExampleId,
        /// Query.
        query: ExampleId,
        /// The value.
        value: f64,
    },
}

impl Scores {
    /// Labels a matrix `(n, q)`.
    ///
    /// # Errors
    /// When the shape does not fit the ids or an entry is not finite.
    pub fn new(
        train_ids: Vec<ExampleId>,
        query_ids: Vec<ExampleId>,
        values: Array2<f64>,
        scale: Scale,
    ) -> Result<Self, ScoresError> {
        let expected = (train_ids.len(), query_ids.len());
        if values.dim() != expected {
            return Err(ScoresError::Shape { found: values.dim(), expected });
        }
        if let Some(((i, q), &value)) = values.indexed_iter().find(|(_, value)| !value.is_finite())
        {
            return Err(ScoresError::NotFinite { train: train_ids[i], query: query_ids[q], value });
        }
        Ok(Self { train_ids, query_ids, values, scale })
    }

    /// Ids of the rows, `n`.
    pub fn train_ids(&self) -> &[ExampleId] {
        &self.train_ids
    }

    /// Ids of the columns, `q`.
    pub fn query_ids(&self) -> &[ExampleId] {
        &self.query_ids
    }

    /// The matrix, `(n, q)`.
    pub fn values(&self) -> ArrayView2<'_, f64> {
        self.values.view()
    }

    /// What a score of 1 means.
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// Sums over what each contributor owns: `(n, q) -> (k, q)`.
    ///
    /// # Panics
    /// When `owners` does not have one entry a row.
    pub fn by_contributor(&self, owners: &[u32], contributors: usize) -> Array2<f64> {
        assert_eq!(owners.len(), self.train_ids.len(), "one owner a training example");
        let mut sums = Array2::zeros((contributors, self.query_ids.len()));
        for (row, &owner) in self.values.outer_iter().zip(owners) {
            let mut sum = sums.row_mut(owner as usize);
            sum += &row;
        }
        sums
    }
}
