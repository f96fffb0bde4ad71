//! Examples as a model sees them: prepared features in the number type of the run.

use attribench_datasets::{Dataset, ExampleId, Targets, TokenTargets};
use ndarray::{Array2, ArrayView2, Axis, concatenate};

use crate::Real;

/// What a batch is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Labels<T> {
    /// Class indices: the loss is softmax cross-entropy.
    Classes(Vec<u32>),
    /// Real targets: the loss is half the squared error of a single output.
    Values(Vec<T>),
    /// Next tokens: the loss is softmax cross-entropy, summed or averaged over an example's own
    /// tokens. The features are the tokens read, as numbers.
    Tokens(TokenTargets),
}

impl<T: Real> Labels<T> {
    /// The labels at `rows`.
    pub fn select(&self, rows: &[usize]) -> Self {
        match self {
            Self::Classes(labels) => Self::Classes(rows.iter().map(|&row| labels[row]).collect()),
            Self::Values(values) => Self::Values(rows.iter().map(|&row| values[row]).collect()),
            Self::Tokens(tokens) => Self::Tokens(tokens.select(rows)),
        }
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(labels) => labels.len(),
            Self::Values(values) => values.len(),
            Self::Tokens(tokens) => tokens.len(),
        }
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same labels in double precision.
    pub fn to_f64(&self) -> Labels<f64> {
        match self {
            Self::Classes(labels) => Labels::Classes(labels.clone()),
            Self::Values(values) => {
                Labels::Values(values.iter().map(|value| value.to_f64()).collect())
            }
            Self::Tokens(tokens) => Labels::Tokens(tokens.clone()),
        }
    }
}

/// Rows of features `(n, d)` with labels and ids, `n` each.
#[derive(Clone, Debug)]
pub struct Examples<T> {
    features: Array2<T>,
    labels: Labels<T>,
    ids: Vec<ExampleId>,
}

impl<T: Real> Examples<T> {
    /// The examples of a data set, rounded to `T`.
    pub fn from_dataset(dataset: &Dataset) -> Self {
        let labels = match dataset.targets() {
            Targets::Classes { labels, .. } => Labels::Classes(labels.clone()),
            Targets::Values(values) => {
                Labels::Values(values.iter().map(|&value| T::from_f64(value)).collect())
            }
            Targets::Tokens { tokens, .. } => Labels::Tokens(tokens.clone()),
        };
        Self {
            features: dataset.features().mapv(|value| T::from_f64(f64::from(value))),
            labels,
            ids: dataset.ids().to_vec(),
        }
    }

    /// Examples from their parts, ids `0..n`.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn new(features: Array2<T>, labels: Labels<T>) -> Self {
        let found = labels.len();
        assert_eq!(features.nrows(), found, "one label a row");
        let features = features.as_standard_layout().into_owned();
        let ids = (0..found as u32).map(ExampleId).collect();
        Self { features, labels, ids }
    }

    /// Number of examples, `n`.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Features, `(n, d)`, in standard layout.
    pub fn features(&self) -> ArrayView2<'_, T> {
        self.features.view()
    }

    /// Labels, `n`.
    pub fn labels(&self) -> &Labels<T> {
        &self.labels
    }

    /// Ids, `n`.
    pub fn ids(&self) -> &[ExampleId] {
        &self.ids
    }

    /// Tokens of a text: all that is read up to the last target, and that target. Nothing where the
    /// labels are no tokens; no tokens where none is asked for.
    pub fn text(&self, row: usize) -> Option<Vec<u32>> {
        let Labels::Tokens(tokens) = &self.labels else { return None };
        let Some((last, target)) = tokens.asked(row).last() else { return Some(Vec::new()) };
        let read = self.features.row(row);
        let read = read.iter().take(last + 1).map(|token| token.to_f64() as u32);
        Some(read.chain([target]).collect())
    }

    /// A text as bytes, where every token of it has a spelling; edges and padding are the byte 0.
    pub fn spelt(&self, row: usize) -> Option<Vec<u8>> {
        let Labels::Tokens(tokens) = &self.labels else { return None };
        tokens.tokenizer().spell(&self.text(row)?)
    }

    /// The given rows in the given order; a row may be named twice.
    pub fn select(&self, rows: &[usize]) -> Self {
        Self {
            features: self.features.select(Axis(0), rows),
            labels: self.labels.select(rows),
            ids: rows.iter().map(|&row| self.ids[row]).collect(),
        }
    }

    /// These examples and then `others`.
    ///
    /// # Panics
    /// When the two have different kinds of labels or different numbers of features.
    #[must_use]
    pub fn followed_by(&self, others: &Self) -> Self {
        let features =
            concatenate(Axis(0), &[self.features(), others.features()]).expect("equal widths");
        let labels = match (&self.labels, &others.labels) {
            (Labels::Classes(left), Labels::Classes(right)) => {
                Labels::Classes([&left[..], &right[..]].concat())
            }
            (Labels::Values(left), Labels::Values(right)) => {
                Labels::Values([&left[..], &right[..]].concat())
            }
            (Labels::Tokens(left), Labels::Tokens(right)) => {
                Labels::Tokens(left.followed_by(right))
            }
            _ => panic!("labels of different kinds cannot follow each other"),
        };
        let ids = [&self.ids[..], &others.ids[..]].concat();
        Self { features, labels, ids }
    }

    /// The examples in blocks of at most `rows`, with the first row of each.
    pub fn blocks(&self, rows: usize) -> impl Iterator<Item = (usize, Self)> + '_ {
        let rows = rows.max(1);
        (0..self.len()).step_by(rows).map(move |start| {
            let end = (start + rows).min(self.len());
            (start, self.select(&(start..end).collect::<Vec<_>>()))
        })
    }
}
