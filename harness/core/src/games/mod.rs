//! Cooperative games: who plays, what a coalition is worth, and what a value of the game is.
//!
//! A [`Game`] answers for coalitions, under seeds where it is noisy. A [`Valuation`] asks it and
//! says what each player is worth. The two do not know each other, so one evaluation of a
//! coalition serves every value that can use it.

mod coalition;
mod grouped;
mod table;
mod valuation;

use ndarray::Array2;
use thiserror::Error;

pub use coalition::Coalition;
pub use grouped::GroupedGame;
pub use table::TableGame;
pub use valuation::{
    Axioms, NamedValuation, Reached, Stopped, Valuation, ValuationContext, ValuationEntry,
    ValuationInfo, Valued,
};

use crate::RunError;

/// Players and the utility of every coalition of them.
pub trait Game: Sync {
    /// Number of players, `n`.
    fn players(&self) -> usize;

    /// Numbers that a coalition is worth, `m`: one for each query, or a single one.
    fn outcomes(&self) -> usize;

    /// How many seeds the game can be evaluated with.
    fn repeats(&self) -> Repeats {
        Repeats::One
    }

    /// Worths of coalitions, `(asks, m)`, finite; asked for together, so that they can be trained
    /// together.
    ///
    /// # Errors
    /// When the game cannot answer for one of them.
    fn values(&self, asks: &[Ask]) -> Result<Array2<f64>, GameError>;

    /// The only coalitions that the game can answer for, where these are not all.
    fn known(&self) -> Option<&[Coalition]> {
        None
    }
}

/// A coalition under a seed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ask {
    /// Who is in.
    pub coalition: Coalition,
    /// Which seed, from 0.
    pub repeat: u64,
}

impl Ask {
    /// The coalition under the first seed.
    pub fn first(coalition: Coalition) -> Self {
        Self { coalition, repeat: 0 }
    }
}

/// Seeds of a game.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeats {
    /// The game is not noisy, or one seed is all that there is.
    One,
    /// So many seeds, at least two.
    Of(u64),
    /// As many as are asked for.
    Endless,
}

impl Repeats {
    /// The seed that draw `draw` of a sampler is evaluated with: a fresh one where there are as
    /// many as draws, so that the spread of draws holds the noise of the game.
    pub fn of_draw(self, draw: u64) -> u64 {
        match self {
            Self::One => 0,
            Self::Of(count) => draw % count,
            Self::Endless => draw,
        }
    }
}

/// Why a game or a value of it gave no answer.
#[derive(Debug, Error)]
pub enum GameError {
    /// The table lacks a coalition.
    #[error(
        "the table has no value for the coalition {coalition}\nhint: give all 2^{players} coalitions, or ask for a value that works with a sample: banzhaf-msr, least-core, egalitarian-least-core, datamodels"
    )]
    Missing {
        /// The coalition.
        coalition: Coalition,
        /// Players of the game.
        players: usize,
    },
    /// Too many players to list all coalitions.
    #[error(
        "{what} needs all 2^{players} coalitions\nhint: with more than {limit} players, sample: permutation, banzhaf-msr, group-testing"
    )]
    TooManyPlayers {
        /// Which value.
        what: &'static str,
        /// Players of the game.
        players: usize,
        /// Most players.
        limit: usize,
    },
    /// A value does not fit this game.
    #[error("{0}")]
    Unsuitable(String),
    /// A coalition's worth is NaN or infinite.
    #[error(
        "the coalition {coalition} is worth {value}\nhint: a utility must be finite; check the table, or lower the learning rate"
    )]
    NotFinite {
        /// The coalition.
        coalition: Coalition,
        /// What it is worth.
        value: f64,
    },
    /// A linear programme was not solved.
    #[error("{what} stopped after {iterations} iterations without an optimum")]
    NotConverged {
        /// Which programme.
        what: &'static str,
        /// Iterations spent.
        iterations: usize,
    },
    /// Training failed.
    #[error(transparent)]
    Run(#[from] RunError),
}
