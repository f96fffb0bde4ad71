//! Scaling of features by moments of the training set.

use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, DatasetError, Targets};
use crate::moments::{Moments, column_moments};

/// How features are scaled; tokens are names, and stay as they are under every rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standardisation {
    /// x stays as it is.
    None,
    /// (x - mean_j) / sd_j, with the moments of column j.
    PerFeature,
    /// (x - mean) / sd, with one mean and one sd over all columns; for images.
    Global,
}

/// A scaling fitted on a training set.
///
/// Moments are those of the training rows, with divisor n. A column whose training values are all
/// equal (all numbers, for [`Standardisation::Global`]) maps to 0 in every set.
#[derive(Clone, Debug, PartialEq)]
pub struct Standardiser {
    /// One entry a column, or none for [`Standardisation::None`].
    moments: Vec<Moments>,
}

impl Standardiser {
    /// Measures the moments of the training set.
    pub fn fit(rule: Standardisation, train: &Dataset) -> Self {
        let moments = match rule {
            // Tokens are names and have no scale.
            _ if matches!(train.targets(), Targets::Tokens { .. }) => Vec::new(),
            Standardisation::None => Vec::new(),
            Standardisation::PerFeature => column_moments(train),
            Standardisation::Global => {
                vec![Moments::of(train.features().iter()); train.features().ncols()]
            }
        };
        Self { moments }
    }

    /// The same examples with scaled features, `(n, d)`.
    ///
    /// # Errors
    /// When a scaled number is too large for f32.
    ///
    /// # Panics
    /// When the set has other columns than the training set had.
    pub fn apply(&self, dataset: Dataset) -> Result<Dataset, DatasetError> {
        if self.moments.is_empty() {
            return Ok(dataset);
        }
        let width = dataset.features().ncols();
        assert_eq!(width, self.moments.len(), "a set must have the columns of the training set");
        let mut features = dataset.features().clone();
        for ((_, column), value) in features.indexed_iter_mut() {
            let Moments { mean, sd } = self.moments[column];
            *value = if sd == 0.0 { 0.0 } else { ((f64::from(*value) - mean) / sd) as f32 };
        }
        dataset.with_features(features)
    }
}
