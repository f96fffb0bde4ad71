//! Examples as a model sees them: prepared features in the number type of the run.

use attribench_datasets::{Dataset, ExampleId, Targets};
use ndarray::{Array2, ArrayView2, Axis, concatenate};
use serde::{Deserialize, Serialize};

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

/// How the losses of an example's tokens become its loss. Other examples never enter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenLoss {
    /// Their sum.
    Sum,
    /// Their mean.
    #[default]
    Mean,
}

/// The token that is to be predicted at each of `s` positions of each example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenTargets {
    targets: Array2<u32>,
    loss: TokenLoss,
}

impl TokenTargets {
    /// Marks a position at which nothing is asked: padding, or a prompt.
    pub const NONE: u32 = u32::MAX;

    /// Targets `(n, s)`, [`Self::NONE`] where nothing is asked.
    pub fn new(targets: Array2<u32>, loss: TokenLoss) -> Self {
        Self { targets, loss }
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.targets.nrows()
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Positions of an example, `s`.
    pub fn positions(&self) -> usize {
        self.targets.ncols()
    }

    /// The targets, `(n, s)`.
    pub fn targets(&self) -> ArrayView2<'_, u32> {
        self.targets.view()
    }

    /// What is asked at a position.
    pub fn target(&self, example: usize, position: usize) -> Option<u32> {
        let target = self.targets[(example, position)];
        (target != Self::NONE).then_some(target)
    }

    /// Other targets wherever something is asked, `change(example, position, target)`.
    #[must_use]
    pub fn map(&self, mut change: impl FnMut(usize, usize, u32) -> u32) -> Self {
        let mut targets = self.targets.clone();
        for ((example, position), target) in targets.indexed_iter_mut() {
            if *target != Self::NONE {
                *target = change(example, position, *target);
            }
        }
        Self { targets, loss: self.loss }
    }

    /// Factor of each token's loss in the example's: 1, or one over the number of its targets.
    pub fn scale(&self, example: usize) -> f64 {
        match self.loss {
            TokenLoss::Sum => 1.0,
            TokenLoss::Mean => {
                let asked = |&&target: &&u32| target != Self::NONE;
                1.0 / self.targets.row(example).iter().filter(asked).count().max(1) as f64
            }
        }
    }
}

impl<T: Real> Labels<T> {
    /// The labels at `rows`.
    pub fn select(&self, rows: &[usize]) -> Self {
        match self {
            Self::Classes(labels) => Self::Classes(rows.iter().map(|&row| labels[row]).collect()),
            Self::Values(values) => Self::Values(rows.iter().map(|&row| values[row]).collect()),
            Self::Tokens(tokens) => {
                let targets = tokens.targets.select(Axis(0), rows);
                Self::Tokens(TokenTargets { targets, loss: tokens.loss })
            }
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
            (Labels::Tokens(left), Labels::Tokens(right)) if left.loss == right.loss => {
                let targets = concatenate(Axis(0), &[left.targets(), right.targets()]);
                let targets = targets.expect("equal numbers of positions");
                Labels::Tokens(TokenTargets { targets, loss: left.loss })
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
