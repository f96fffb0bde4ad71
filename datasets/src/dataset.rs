//! The one type in which every data set arrives.

use ndarray::{Array2, Axis};
use thiserror::Error;

use crate::tokens::TokenTargets;

/// A name for one example that survives subsetting, permutation and corruption.
///
/// Scores, truths and payouts are joined by this number and never by position.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct ExampleId(pub u32);

impl std::fmt::Display for ExampleId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

/// What a model is asked to predict, one entry an example.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// Class indices below `names.len()`.
    Classes {
        /// One class index an example.
        labels: Vec<u32>,
        /// Human names of the classes, in index order.
        names: Vec<String>,
    },
    /// Real numbers, for regression.
    Values(Vec<f64>),
    /// The tokens that follow; the features are the tokens read, as whole numbers.
    Tokens {
        /// What is asked at each position of each example, below `vocabulary`.
        tokens: TokenTargets,
        /// Number of tokens there are.
        vocabulary: usize,
    },
}

impl Targets {
    /// Number of examples.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes { labels, .. } => labels.len(),
            Self::Values(values) => values.len(),
            Self::Tokens { tokens, .. } => tokens.len(),
        }
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Width of a model's output for these targets: one logit a class or token, or one number.
    pub fn width(&self) -> usize {
        match self {
            Self::Classes { names, .. } => names.len(),
            Self::Values(_) => 1,
            Self::Tokens { vocabulary, .. } => *vocabulary,
        }
    }

    /// These targets and then `others`, which are of the same kind.
    ///
    /// # Panics
    /// When they are of another kind.
    #[must_use]
    pub fn followed_by(&self, others: &Self) -> Self {
        match (self, others) {
            (Self::Classes { labels, names }, Self::Classes { labels: added, .. }) => {
                Self::Classes { labels: [labels.as_slice(), added].concat(), names: names.clone() }
            }
            (Self::Values(values), Self::Values(added)) => {
                Self::Values([values.as_slice(), added].concat())
            }
            (Self::Tokens { tokens, vocabulary }, Self::Tokens { tokens: added, .. }) => {
                Self::Tokens { tokens: tokens.followed_by(added), vocabulary: *vocabulary }
            }
            _ => panic!("targets of different kinds cannot follow each other"),
        }
    }

    /// The targets of the given rows, in the given order.
    ///
    /// # Panics
    /// When a row is out of range.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        match self {
            Self::Classes { labels, names } => Self::Classes {
                labels: rows.iter().map(|&row| labels[row]).collect(),
                names: names.clone(),
            },
            Self::Values(values) => Self::Values(rows.iter().map(|&row| values[row]).collect()),
            Self::Tokens { tokens, vocabulary } => {
                Self::Tokens { tokens: tokens.select(rows), vocabulary: *vocabulary }
            }
        }
    }
}

/// Why a data set could not be built.
#[derive(Debug, Error, PartialEq)]
pub enum DatasetError {
    /// Two columns of the data set have different lengths.
    #[error("{what} has {found} entries but there are {expected} rows of features")]
    Length {
        /// Which column.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The number of feature rows.
        expected: usize,
    },
    /// A label or an owner points outside its list of names.
    #[error("row {row}: {what} {found} is out of range (there are {known})")]
    Range {
        /// The row.
        row: usize,
        /// `label`, `contributor` or `token`.
        what: &'static str,
        /// The index found.
        found: u32,
        /// How many names exist.
        known: usize,
    },
    /// Two rows carry the same id.
    #[error("example id {0} occurs twice")]
    DuplicateId(ExampleId),
    /// A position has no target, or a target no position.
    #[error("{found} positions have targets but {expected} tokens are read")]
    Positions {
        /// Positions with targets.
        found: usize,
        /// Tokens read.
        expected: usize,
    },
    /// A feature or a target is NaN or infinite.
    #[error("row {row}: {what} is not finite")]
    NotFinite {
        /// The row.
        row: usize,
        /// `feature 3`, `target`.
        what: String,
    },
}

/// Features, targets, ids and owners of a set of examples.
///
/// # Shapes
/// `features` is `(n, d)`; every other column has `n` entries. The contributors partition the rows:
/// each row has exactly one owner. A corruption's answer key is never part of this type.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    name: String,
    features: Array2<f32>,
    targets: Targets,
    ids: Vec<ExampleId>,
    owners: Vec<u32>,
    contributors: Vec<String>,
}

impl Dataset {
    /// Builds a data set and checks every invariant.
    ///
    /// # Errors
    /// When lengths differ, an index is out of range, an id occurs twice or a number is not finite.
    pub fn new(
        name: impl Into<String>,
        features: Array2<f32>,
        targets: Targets,
        ids: Vec<ExampleId>,
        owners: Vec<u32>,
        contributors: Vec<String>,
    ) -> Result<Self, DatasetError> {
        let expected = features.nrows();
        for (what, found) in
            [("targets", targets.len()), ("ids", ids.len()), ("owners", owners.len())]
        {
            if found != expected {
                return Err(DatasetError::Length { what, found, expected });
            }
        }
        check_range("contributor", &owners, contributors.len())?;
        match &targets {
            Targets::Classes { labels, names } => check_range("label", labels, names.len())?,
            Targets::Values(values) => {
                if let Some(row) = values.iter().position(|value| !value.is_finite()) {
                    return Err(DatasetError::NotFinite { row, what: "target".into() });
                }
            }
            Targets::Tokens { tokens, vocabulary } => {
                check_tokens(&features, tokens, *vocabulary)?;
            }
        }
        if let Some(((row, column), _)) =
            features.indexed_iter().find(|(_, value)| !value.is_finite())
        {
            return Err(DatasetError::NotFinite { row, what: format!("feature {column}") });
        }
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(DatasetError::DuplicateId(pair[0]));
        }
        Ok(Self { name: name.into(), features, targets, ids, owners, contributors })
    }

    /// The registered name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Features, `(n, d)`.
    pub fn features(&self) -> &Array2<f32> {
        &self.features
    }

    /// Targets, `n`.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// Ids, `n`.
    pub fn ids(&self) -> &[ExampleId] {
        &self.ids
    }

    /// Index of each row's owner in [`Self::contributors`], `n`.
    pub fn owners(&self) -> &[u32] {
        &self.owners
    }

    /// Names of the contributors, `k`.
    pub fn contributors(&self) -> &[String] {
        &self.contributors
    }

    /// The given rows, in the given order, with their ids and owners.
    ///
    /// # Panics
    /// When a row is out of range.
    pub fn select(&self, rows: &[usize]) -> Self {
        Self {
            name: self.name.clone(),
            features: self.features.select(Axis(0), rows),
            targets: self.targets.select(rows),
            ids: rows.iter().map(|&row| self.ids[row]).collect(),
            owners: rows.iter().map(|&row| self.owners[row]).collect(),
            contributors: self.contributors.clone(),
        }
    }

    /// The same examples with other features, `(n, d')`.
    ///
    /// # Errors
    /// When the number of rows differs or a feature is not finite.
    pub fn with_features(self, features: Array2<f32>) -> Result<Self, DatasetError> {
        Self::new(self.name, features, self.targets, self.ids, self.owners, self.contributors)
    }

    /// The same examples with other targets.
    ///
    /// # Errors
    /// When they do not fit the features.
    pub fn with_targets(self, targets: Targets) -> Result<Self, DatasetError> {
        Self::new(self.name, self.features, targets, self.ids, self.owners, self.contributors)
    }

    /// The same examples under other owners.
    ///
    /// # Errors
    /// When the number of owners is not the number of rows, or an owner has no name.
    pub fn with_owners(
        self,
        owners: Vec<u32>,
        contributors: Vec<String>,
    ) -> Result<Self, DatasetError> {
        Self::new(self.name, self.features, self.targets, self.ids, owners, contributors)
    }
}

/// Every token, read or asked for, is one of the vocabulary.
fn check_tokens(
    features: &Array2<f32>,
    tokens: &TokenTargets,
    vocabulary: usize,
) -> Result<(), DatasetError> {
    let (found, expected) = (tokens.positions(), features.ncols());
    if found != expected {
        return Err(DatasetError::Positions { found, expected });
    }
    let is_token = |value: f32| value.fract() == 0.0 && (0.0..vocabulary as f32).contains(&value);
    let read = features.indexed_iter().find(|(_, value)| !is_token(**value));
    let unknown =
        |&(_, target): &(_, &u32)| *target != TokenTargets::NONE && *target as usize >= vocabulary;
    let asked = tokens.targets();
    let asked = asked.indexed_iter().find(unknown).map(|((row, _), target)| (row, *target));
    match read.map(|((row, _), value)| (row, *value as u32)).or(asked) {
        Some((row, found)) => {
            Err(DatasetError::Range { row, what: "token", found, known: vocabulary })
        }
        None => Ok(()),
    }
}

fn check_range(what: &'static str, indices: &[u32], known: usize) -> Result<(), DatasetError> {
    match indices.iter().position(|&index| index as usize >= known) {
        Some(row) => Err(DatasetError::Range { row, what, found: indices[row], known }),
        None => Ok(()),
    }
}
