//! Accounts as players of a game of items.

use ndarray::Array2;

use super::{Ask, Coalition, Game, GameError, Repeats};

/// The game whose players are accounts, each of which brings its items: a coalition of accounts is
/// worth what the union of their items is worth.
///
/// Splitting an account in two, merging two, and copying somebody's items into an account of one's
/// own are all lists of accounts over the same items.
pub struct GroupedGame<'a> {
    game: &'a dyn Game,
    accounts: Vec<Vec<usize>>,
}

impl<'a> GroupedGame<'a> {
    /// Accounts by the items that each brings; an item may stand in several.
    ///
    /// # Errors
    /// When an item is not a player of the game.
    pub fn new(game: &'a dyn Game, accounts: Vec<Vec<usize>>) -> Result<Self, GameError> {
        let items = game.players();
        match accounts.iter().flatten().find(|&&item| item >= items) {
            Some(item) => Err(GameError::Unsuitable(format!(
                "an account brings item {item}, the game has {items}\nhint: items count from 0"
            ))),
            None => Ok(Self { game, accounts }),
        }
    }
}

impl Game for GroupedGame<'_> {
    fn players(&self) -> usize {
        self.accounts.len()
    }

    fn outcomes(&self) -> usize {
        self.game.outcomes()
    }

    fn repeats(&self) -> Repeats {
        self.game.repeats()
    }

    fn values(&self, asks: &[Ask]) -> Result<Array2<f64>, GameError> {
        let items = |ask: &Ask| {
            let brought = ask.coalition.members().flat_map(|account| &self.accounts[account]);
            let coalition = Coalition::of(self.game.players(), brought.copied());
            Ask { coalition, repeat: ask.repeat }
        };
        self.game.values(&asks.iter().map(items).collect::<Vec<_>>())
    }
}
