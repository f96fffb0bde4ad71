//! Texts as a model is asked about them: the token that follows at each position.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis, concatenate};
use serde::{Deserialize, Serialize};

use crate::tokenizer::Tokenizer;

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
    tokenizer: Arc<Tokenizer>,
}

impl TokenTargets {
    /// Marks a position at which nothing is asked: padding, or a prompt.
    pub const NONE: u32 = u32::MAX;

    /// Targets `(n, s)`, [`Self::NONE`] where nothing is asked; tokens are bytes.
    pub fn new(targets: Array2<u32>, loss: TokenLoss) -> Self {
        Self { targets, loss, tokenizer: Tokenizer::bytes() }
    }

    /// The same targets, with tokens as `tokenizer` spells them.
    #[must_use]
    pub fn spelt_by(self, tokenizer: Arc<Tokenizer>) -> Self {
        Self { tokenizer, ..self }
    }

    /// How tokens are spelt.
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
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

    /// Position and token of every target of an example.
    pub fn asked(&self, example: usize) -> impl Iterator<Item = (usize, u32)> + '_ {
        let targets = self.targets.row(example).to_vec().into_iter().enumerate();
        targets.filter(|&(_, target)| target != Self::NONE)
    }

    /// Positions at which anything is asked of any example, ascending.
    pub fn asked_positions(&self) -> Vec<usize> {
        let is_asked = |column: &usize| {
            self.targets.column(*column).iter().any(|&target| target != Self::NONE)
        };
        (0..self.positions()).filter(is_asked).collect()
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
        self.with(targets)
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

    /// The given examples in the given order.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        self.with(self.targets.select(Axis(0), rows))
    }

    /// These examples and then `others`.
    ///
    /// # Panics
    /// When the two differ in their positions, or in how an example's losses are put together.
    #[must_use]
    pub fn followed_by(&self, others: &Self) -> Self {
        assert_eq!(self.loss, others.loss, "sums and means of losses cannot follow each other");
        let targets = concatenate(Axis(0), &[self.targets(), others.targets()]);
        self.with(targets.expect("equal numbers of positions"))
    }

    fn with(&self, targets: Array2<u32>) -> Self {
        Self { targets, loss: self.loss, tokenizer: self.tokenizer.clone() }
    }
}
