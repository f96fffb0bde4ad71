//! Disjoint train, query and tuning-query sets.

use ndarray::Array2;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::apportion::apportion;
use crate::asks::{Asks, AsksError};
use crate::dataset::{Dataset, DatasetError, ExampleId, Targets};
use crate::moments::Moments;
use crate::random::stream;
use crate::source::{Loaded, MissingValues};
use crate::standardise::{Standardisation, Standardiser};

/// How many examples to draw, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitOptions {
    /// Training examples; left out, all that the queries leave.
    #[serde(default)]
    pub train_size: Option<usize>,
    /// Queries on which results are reported, at least 1.
    pub query_size: usize,
    /// Queries on which hyper-parameters are tuned; none unless said otherwise.
    #[serde(default)]
    pub tuning_query_size: usize,
    /// What each set holds in the same proportions as the source; classes unless said otherwise.
    #[serde(default)]
    pub stratification: Stratification,
}

/// What each drawn set holds in the same proportions as the set that it is drawn from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stratification {
    /// Classes, to within one example; contributors, for texts.
    #[default]
    ByClass,
    /// Contributors, to within one example.
    ByContributor,
    /// Nothing: simple random sampling.
    None,
}

/// Why sets could not be drawn or put together.
#[derive(Debug, Error, PartialEq)]
pub enum SplitError {
    /// More examples are asked for than there are.
    #[error(
        "`{option}` is {found} but {available} examples are left to draw from\n\
         hint: ask for fewer train, query or tuning-query examples"
    )]
    TooMany {
        /// The option that cannot be met.
        option: &'static str,
        /// Examples asked for.
        found: usize,
        /// Examples left.
        available: usize,
    },
    /// A set that must not be empty would be.
    #[error("`{option}` is 0 or leaves nothing\nhint: ask for at least 1")]
    Empty {
        /// The option.
        option: &'static str,
    },
    /// Stratification by class is asked of real-valued targets.
    #[error("`{name}` has no classes to stratify by\nhint: set `stratification: none`")]
    NoClasses {
        /// The data set.
        name: String,
    },
    /// Two sets hold the same example.
    #[error("example id {0} is in two of the sets\nhint: train and queries must be disjoint")]
    Overlap(ExampleId),
    /// Two sets differ in their columns.
    #[error(
        "{what} of the training set: {train}, of another set: {other}\nhint: use sets of one source"
    )]
    Columns {
        /// `features` or `target width`.
        what: &'static str,
        /// Of the training set.
        train: usize,
        /// Of the other set.
        other: usize,
    },
    /// Filled or scaled features break an invariant of [`Dataset`].
    #[error(transparent)]
    Invalid(#[from] DatasetError),
}

/// Train, query and tuning-query sets: no id in two of them, the same columns in all.
#[derive(Clone, Debug, PartialEq)]
pub struct Splits {
    train: Dataset,
    query: Dataset,
    tuning_query: Option<Dataset>,
    first_free_id: ExampleId,
}

impl Splits {
    /// Puts sets together.
    ///
    /// # Errors
    /// When an id is in two sets or their columns differ.
    fn new(
        train: Dataset,
        query: Dataset,
        tuning_query: Option<Dataset>,
        first_free_id: ExampleId,
    ) -> Result<Self, SplitError> {
        let mut ids = train.ids().to_vec();
        for other in std::iter::once(&query).chain(&tuning_query) {
            ids.extend_from_slice(other.ids());
            let features = (train.features().ncols(), other.features().ncols());
            let widths = (train.targets().width(), other.targets().width());
            for (what, (train, other)) in [("features", features), ("target width", widths)] {
                if train != other {
                    return Err(SplitError::Columns { what, train, other });
                }
            }
        }
        ids.sort_unstable();
        if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(SplitError::Overlap(pair[0]));
        }
        Ok(Self { train, query, tuning_query, first_free_id })
    }

    /// The training set, in ascending order of ids.
    pub fn train(&self) -> &Dataset {
        &self.train
    }

    /// The queries on which results are reported, in ascending order of ids.
    pub fn query(&self) -> &Dataset {
        &self.query
    }

    /// The queries on which hyper-parameters are tuned, if any were asked for.
    pub fn tuning_query(&self) -> Option<&Dataset> {
        self.tuning_query.as_ref()
    }

    /// The first id that no example of the source carries, drawn or not: where new rows begin.
    pub fn first_free_id(&self) -> ExampleId {
        self.first_free_id
    }

    /// The same queries with another training set: other owners, or corruptions.
    ///
    /// # Errors
    /// When the new training set shares an id with a query, or has other columns.
    pub fn with_train(self, train: Dataset) -> Result<Self, SplitError> {
        Self::new(train, self.query, self.tuning_query, self.first_free_id)
    }

    /// The same sets with queries that ask for less of their texts.
    ///
    /// # Errors
    /// When the sets hold no text, or a query would ask for nothing.
    pub fn asking(self, asks: Asks, seed: u64) -> Result<Self, AsksError> {
        let query = asks.of(self.query, seed)?;
        let tuning_query = self.tuning_query.map(|set| asks.of(set, seed)).transpose()?;
        Ok(Self { query, tuning_query, ..self })
    }

    /// All sets scaled by moments of the training set; see [`Standardiser`].
    ///
    /// # Errors
    /// When a scaled number is too large for f32.
    pub fn standardised(self, rule: Standardisation) -> Result<Self, SplitError> {
        let standardiser = Standardiser::fit(rule, &self.train);
        let tuning_query = self.tuning_query.map(|set| standardiser.apply(set)).transpose()?;
        Ok(Self {
            train: standardiser.apply(self.train)?,
            query: standardiser.apply(self.query)?,
            tuning_query,
            first_free_id: self.first_free_id,
        })
    }

    /// Train, query and tuning-query set.
    pub fn into_parts(self) -> (Dataset, Dataset, Option<Dataset>) {
        (self.train, self.query, self.tuning_query)
    }
}

/// Draws disjoint train, query and tuning-query sets without replacement.
///
/// Queries come from the test set where the source fixes one, and from the training pool otherwise.
/// They are drawn first, then tuning queries, then training examples from what is left, each from
/// its own random stream: asking for another training size leaves the queries as they are.
/// Strata get shares by largest remainders. Missing values are then filled with training means.
///
/// # Errors
/// When there are too few examples, a size leaves nothing, or classes are asked of real targets.
pub fn split(loaded: Loaded, options: &SplitOptions, seed: u64) -> Result<Splits, SplitError> {
    for (option, size) in
        [("query_size", Some(options.query_size)), ("train_size", options.train_size)]
    {
        if size == Some(0) {
            return Err(SplitError::Empty { option });
        }
    }
    let pool = loaded.train();
    let query_pool = loaded.test().unwrap_or(pool);
    let mut left: Vec<usize> = (0..query_pool.len()).collect();
    let draw = |option, size, source: &Dataset, left: &mut Vec<usize>| {
        let rows = draw_rows(source, left, option, size, options.stratification, seed)?;
        left.retain(|row| rows.binary_search(row).is_err());
        Ok::<_, SplitError>(source.select(&rows))
    };
    let query = draw("query_size", options.query_size, query_pool, &mut left)?;
    let tuning_query = match options.tuning_query_size {
        0 => None,
        size => Some(draw("tuning_query_size", size, query_pool, &mut left)?),
    };
    if loaded.test().is_some() {
        left = (0..pool.len()).collect();
    }
    let train_size = options.train_size.unwrap_or(left.len());
    if train_size == 0 {
        return Err(SplitError::Empty { option: "train_size" });
    }
    let train = draw("train_size", train_size, pool, &mut left)?;
    let splits = Splits::new(train, query, tuning_query, loaded.first_free_id())?;
    fill_missing_values(splits, loaded.missing_values())
}

/// `size` of the rows `left` in proportion to the strata, in ascending order.
fn draw_rows(
    source: &Dataset,
    left: &[usize],
    option: &'static str,
    size: usize,
    stratification: Stratification,
    seed: u64,
) -> Result<Vec<usize>, SplitError> {
    if size > left.len() {
        return Err(SplitError::TooMany { option, found: size, available: left.len() });
    }
    let (stratum_of_row, strata): (&[u32], usize) = match (stratification, source.targets()) {
        (Stratification::None, _) => (&[], 1),
        (Stratification::ByContributor, _) | (Stratification::ByClass, Targets::Tokens { .. }) => {
            (source.owners(), source.contributors().len())
        }
        (Stratification::ByClass, Targets::Classes { labels, names }) => (labels, names.len()),
        (Stratification::ByClass, Targets::Values(_)) => {
            return Err(SplitError::NoClasses { name: source.name().to_owned() });
        }
    };
    let mut rows_of_stratum = vec![Vec::new(); strata];
    for &row in left {
        let stratum = stratum_of_row.get(row).map_or(0, |&stratum| stratum as usize);
        rows_of_stratum[stratum].push(row);
    }
    let weights: Vec<f64> = rows_of_stratum.iter().map(|rows| rows.len() as f64).collect();
    let mut stream = stream(seed, &format!("split/{option}"));
    let mut drawn = Vec::with_capacity(size);
    for (rows, share) in rows_of_stratum.iter_mut().zip(apportion(&weights, size)) {
        rows.shuffle(&mut stream);
        drawn.extend_from_slice(&rows[..share]);
    }
    drawn.sort_unstable();
    Ok(drawn)
}

/// Replaces placeholders by the mean of the training rows that have a value in their column.
///
/// A column without any value in training keeps its placeholder 0 in every set.
fn fill_missing_values(splits: Splits, missing: &[MissingValues]) -> Result<Splits, SplitError> {
    if missing.is_empty() {
        return Ok(splits);
    }
    let features = splits.train.features();
    let means: Vec<f32> = missing
        .iter()
        .map(|columns| {
            let values = features.column(columns.value_column).into_iter();
            let present = values
                .zip(features.column(columns.indicator_column))
                .filter(|(_, indicator)| **indicator == 0.0)
                .map(|(value, _)| value);
            Moments::of(present).mean as f32
        })
        .collect();
    let fill = |set: Dataset| {
        let mut features: Array2<f32> = set.features().clone();
        for (columns, &mean) in missing.iter().zip(&means) {
            for mut row in features.rows_mut() {
                if row[columns.indicator_column] != 0.0 {
                    row[columns.value_column] = mean;
                }
            }
        }
        set.with_features(features)
    };
    let Splits { train, query, tuning_query, first_free_id } = splits;
    let tuning_query = tuning_query.map(fill).transpose()?;
    Ok(Splits { train: fill(train)?, query: fill(query)?, tuning_query, first_free_id })
}
