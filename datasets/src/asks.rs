//! Which tokens of a query's window are asked for; what stands before them is the prompt.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, DatasetError, Targets};
use crate::random::stream;
use crate::tokens::TokenTargets;

/// What a query of text asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asks {
    /// Every token of the window: a document.
    #[default]
    Window,
    /// What follows the first `prompt` tokens: an answer.
    After {
        /// Tokens that are given.
        prompt: usize,
    },
    /// One token, drawn at random, after all that stands before it.
    OneToken,
}

impl Asks {
    /// The same queries, asked for less; rows that nothing would be asked of are an error that
    /// names them.
    ///
    /// # Errors
    /// When the data hold no text, or a query has no token behind the prompt.
    pub(crate) fn of(self, queries: Dataset, seed: u64) -> Result<Dataset, AsksError> {
        if self == Self::Window {
            return Ok(queries);
        }
        let Targets::Tokens { tokens, vocabulary } = queries.targets() else {
            return Err(AsksError::NoText { name: queries.name().to_owned() });
        };
        let mut draws = stream(seed, "asks/one-token");
        let mut kept = vec![0..0; tokens.len()];
        for (row, kept) in kept.iter_mut().enumerate() {
            let asked: Vec<usize> = tokens.asked(row).map(|(position, _)| position).collect();
            *kept = match self {
                Self::Window => 0..tokens.positions(),
                Self::After { prompt } => prompt..tokens.positions(),
                Self::OneToken if asked.is_empty() => 0..0,
                Self::OneToken => {
                    let position = asked[draws.random_range(0..asked.len())];
                    position..position + 1
                }
            };
            if !asked.iter().any(|position| kept.contains(position)) {
                return Err(AsksError::Nothing { row });
            }
        }
        let ask = |row: usize, position: usize, target| match kept[row].contains(&position) {
            true => target,
            false => TokenTargets::NONE,
        };
        let targets = Targets::Tokens { tokens: tokens.map(ask), vocabulary: *vocabulary };
        Ok(queries.with_targets(targets)?)
    }
}

/// Why a query cannot be asked.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum AsksError {
    /// The data hold no text.
    #[error("`{name}` holds no text, and `asks` is for texts\nhint: leave `asks` out")]
    NoText {
        /// The data set.
        name: String,
    },
    /// Nothing stands behind a query's prompt.
    #[error(
        "query {row} has no token behind the prompt\n\
         hint: make `prompt` shorter, or give `texts` a larger `shortest`"
    )]
    Nothing {
        /// Its row.
        row: usize,
    },
    /// The result breaks an invariant of [`Dataset`].
    #[error(transparent)]
    Invalid(#[from] DatasetError),
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::{Asks, AsksError};
    use crate::dataset::{Dataset, ExampleId, Targets};
    use crate::tokens::{TokenLoss, TokenTargets};

    fn queries() -> Dataset {
        const NONE: u32 = TokenTargets::NONE;
        let targets = ndarray::array![[5, 6, 7, 8], [5, 6, NONE, NONE]];
        let tokens = TokenTargets::new(targets, TokenLoss::Mean);
        let (ids, owners) = (vec![ExampleId(0), ExampleId(1)], vec![0, 0]);
        let targets = Targets::Tokens { tokens, vocabulary: 9 };
        let features = Array2::zeros((2, 4));
        Dataset::new("texts", features, targets, ids, owners, vec!["a".into()]).unwrap()
    }

    fn asked(dataset: &Dataset, row: usize) -> Vec<(usize, u32)> {
        let Targets::Tokens { tokens, .. } = dataset.targets() else { panic!("tokens") };
        tokens.asked(row).collect()
    }

    #[test]
    fn answers_stand_behind_their_prompts() {
        let found = Asks::After { prompt: 1 }.of(queries(), 1).unwrap();
        assert_eq!(asked(&found, 0), [(1, 6), (2, 7), (3, 8)]);
        assert_eq!(asked(&found, 1), [(1, 6)]);
        let refused = Asks::After { prompt: 2 }.of(queries(), 1);
        assert_eq!(refused, Err(AsksError::Nothing { row: 1 }));
        assert_eq!(Asks::Window.of(queries(), 1).unwrap(), queries());
    }

    #[test]
    fn one_token_is_one_that_was_asked_for() {
        for seed in 0..20 {
            let found = Asks::OneToken.of(queries(), seed).unwrap();
            for row in 0..2 {
                let one = asked(&found, row);
                assert_eq!(one.len(), 1);
                assert!(asked(&queries(), row).contains(&one[0]));
            }
        }
    }
}
