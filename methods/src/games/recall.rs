//! What a valuation has asked already.

use std::collections::BTreeMap;

use attribench_core::{Ask, Game, GameError};
use ndarray::{Array2, ArrayView1};

/// A game whose answers are kept, so that no coalition is evaluated twice under one seed.
pub(crate) struct Recall<'a> {
    game: &'a dyn Game,
    rows: BTreeMap<Ask, usize>,
    values: Vec<f64>,
}

impl<'a> Recall<'a> {
    pub(crate) fn new(game: &'a dyn Game) -> Self {
        Self { game, rows: BTreeMap::new(), values: Vec::new() }
    }

    pub(crate) fn game(&self) -> &'a dyn Game {
        self.game
    }

    /// Different coalitions and seeds that were evaluated.
    pub(crate) fn evaluations(&self) -> usize {
        self.rows.len()
    }

    /// Worths, `(asks, m)`; the new ones are asked for in one call.
    pub(crate) fn values(&mut self, asks: &[Ask]) -> Result<Array2<f64>, GameError> {
        let mut rows = Vec::with_capacity(asks.len());
        let mut new = Vec::new();
        for ask in asks {
            let next = self.rows.len();
            let row = *self.rows.entry(ask.clone()).or_insert(next);
            if row == next {
                new.push(ask.clone());
            }
            rows.push(row);
        }
        let outcomes = self.game.outcomes();
        if !new.is_empty() {
            let found = self.game.values(&new)?;
            for (ask, row) in new.iter().zip(found.outer_iter()) {
                if let Some(&value) = row.iter().find(|value| !value.is_finite()) {
                    return Err(GameError::NotFinite { coalition: ask.coalition.clone(), value });
                }
                self.values.extend(row);
            }
        }
        let mut values = Array2::zeros((asks.len(), outcomes));
        for (mut to, row) in values.outer_iter_mut().zip(rows) {
            to.assign(&ArrayView1::from(&self.values[row * outcomes..][..outcomes]));
        }
        Ok(values)
    }
}
