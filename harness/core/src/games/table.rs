//! A game whose coalitions have been evaluated already.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView2, Axis, s};

use super::{Ask, Coalition, Game, GameError, Repeats};

/// Most players of a game whose coalitions are all listed: 2^20 rows.
const MOST_PLAYERS: usize = 20;

/// Utilities of coalitions, of all of them or of a sample.
///
/// Each repeat is the whole list under another seed. Whoever evaluated the coalitions may have
/// been a retraining, a file of somebody else or a formula; the table does not know.
#[derive(Clone, Debug, PartialEq)]
pub struct TableGame {
    players: usize,
    /// By seed, `(rows, m)`.
    values: Vec<Array2<f64>>,
    rows: Rows,
}

#[derive(Clone, Debug, PartialEq)]
enum Rows {
    /// Row `s` is the coalition whose bits are set in `s`.
    Masks,
    /// Row by coalition, and the list in the order of the rows.
    Listed(BTreeMap<Coalition, usize>, Vec<Coalition>),
}

impl TableGame {
    /// A table of all `2^players` coalitions, one matrix `(2^players, m)` a seed: row `s` belongs
    /// to the players whose bits are set in `s`.
    ///
    /// # Errors
    /// When there are more than 20 players, matrices do not have `2^players` rows and the same
    /// number of columns, or a value is not finite.
    pub fn complete(players: usize, values: Vec<Array2<f64>>) -> Result<Self, GameError> {
        if players > MOST_PLAYERS {
            let what = "a complete table";
            return Err(GameError::TooManyPlayers { what, players, limit: MOST_PLAYERS });
        }
        let rows = 1usize << players;
        let shape = values.first().map(Array2::dim);
        if shape.is_none_or(|(found, outcomes)| found != rows || outcomes == 0)
            || values.iter().any(|matrix| Some(matrix.dim()) != shape)
        {
            let found: Vec<_> = values.iter().map(Array2::dim).collect();
            return Err(GameError::Unsuitable(format!(
                "a complete table of {players} players has {rows} rows for every seed, found matrices {found:?}"
            )));
        }
        let game = Self { players, values, rows: Rows::Masks };
        game.check(|row| Coalition::from_mask(players, row as u64))?;
        Ok(game)
    }

    /// A complete table of a game of one outcome from a formula on the mask.
    ///
    /// # Errors
    /// As [`Self::complete`].
    pub fn from_fn(players: usize, value: impl Fn(u64) -> f64) -> Result<Self, GameError> {
        if players > MOST_PLAYERS {
            return Self::complete(players, Vec::new());
        }
        let column = Array2::from_shape_fn((1 << players, 1), |(row, _)| value(row as u64));
        Self::complete(players, vec![column])
    }

    /// A table of some coalitions in any order, values `(coalitions, m)`. A list of all of them
    /// gives a complete table.
    ///
    /// # Errors
    /// When a coalition stands twice, lengths differ, or a value is not finite.
    pub fn sampled(
        players: usize,
        coalitions: Vec<Coalition>,
        values: Array2<f64>,
    ) -> Result<Self, GameError> {
        if coalitions.len() != values.nrows() || values.ncols() == 0 {
            return Err(GameError::Unsuitable(format!(
                "{} coalitions with values {:?}",
                coalitions.len(),
                values.dim()
            )));
        }
        let mut rows = BTreeMap::new();
        for (row, coalition) in coalitions.iter().enumerate() {
            if let Some(first) = rows.insert(coalition.clone(), row) {
                return Err(GameError::Unsuitable(format!(
                    "the coalition {coalition} stands in rows {first} and {row}\nhint: average repeated evaluations first"
                )));
            }
        }
        if players <= MOST_PLAYERS && coalitions.len() == 1 << players {
            let order: Vec<usize> = rows.iter().map(|(_, &row)| row).collect();
            return Self::complete(players, vec![values.select(Axis(0), &order)]);
        }
        let listed = coalitions.clone();
        let game = Self { players, values: vec![values], rows: Rows::Listed(rows, coalitions) };
        game.check(|row| listed[row].clone())?;
        Ok(game)
    }

    fn check(&self, coalition: impl Fn(usize) -> Coalition) -> Result<(), GameError> {
        for matrix in &self.values {
            if let Some(((row, _), &value)) = matrix.indexed_iter().find(|(_, v)| !v.is_finite()) {
                return Err(GameError::NotFinite { coalition: coalition(row), value });
            }
        }
        Ok(())
    }

    /// Whether every coalition is there.
    pub fn is_complete(&self) -> bool {
        matches!(self.rows, Rows::Masks)
    }

    /// Values by seed, `(rows, m)` each.
    pub fn by_seed(&self) -> impl ExactSizeIterator<Item = ArrayView2<'_, f64>> {
        self.values.iter().map(|matrix| matrix.view())
    }

    /// The game whose one outcome is the mean over this game's.
    ///
    /// # Panics
    /// Never: a table has an outcome.
    #[must_use]
    pub fn mean_outcome(&self) -> Self {
        let mean = |matrix: &Array2<f64>| {
            matrix.mean_axis(Axis(1)).expect("a table has an outcome").insert_axis(Axis(1))
        };
        let values = self.values.iter().map(mean).collect();
        Self { players: self.players, values, rows: self.rows.clone() }
    }

    /// The game of the first `count` outcomes.
    ///
    /// # Panics
    /// When there are fewer, or none is left.
    #[must_use]
    pub fn first_outcomes(&self, count: usize) -> Self {
        assert!(count > 0, "a table has an outcome");
        let first = |matrix: &Array2<f64>| matrix.slice(s![.., ..count]).to_owned();
        let values = self.values.iter().map(first).collect();
        Self { players: self.players, values, rows: self.rows.clone() }
    }

    fn row(&self, coalition: &Coalition) -> Result<usize, GameError> {
        match &self.rows {
            Rows::Masks => Ok(coalition.mask() as usize),
            Rows::Listed(rows, _) => rows.get(coalition).copied().ok_or_else(|| {
                GameError::Missing { coalition: coalition.clone(), players: self.players }
            }),
        }
    }
}

impl Game for TableGame {
    fn players(&self) -> usize {
        self.players
    }

    fn outcomes(&self) -> usize {
        self.values[0].ncols()
    }

    fn repeats(&self) -> Repeats {
        match self.values.len() {
            1 => Repeats::One,
            seeds => Repeats::Of(seeds as u64),
        }
    }

    fn values(&self, asks: &[Ask]) -> Result<Array2<f64>, GameError> {
        let mut values = Array2::zeros((asks.len(), self.outcomes()));
        for (mut row, ask) in values.outer_iter_mut().zip(asks) {
            let seed = ask.repeat as usize % self.values.len();
            row.assign(&self.values[seed].row(self.row(&ask.coalition)?));
        }
        Ok(values)
    }

    fn known(&self) -> Option<&[Coalition]> {
        match &self.rows {
            Rows::Masks => None,
            Rows::Listed(_, coalitions) => Some(coalitions),
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::TableGame;
    use crate::{Ask, Coalition, Game, GameError};

    #[test]
    fn a_list_of_all_coalitions_is_complete_in_any_order() {
        // Players 0 and 1, listed backwards: {0,1}, {1}, {0}, {}.
        let list = [3, 2, 1, 0].map(|mask| Coalition::from_mask(2, mask)).to_vec();
        let game = TableGame::sampled(2, list, array![[4.0], [3.0], [2.0], [1.0]]).unwrap();
        assert!(game.is_complete() && game.known().is_none());
        let of = |mask| Ask::first(Coalition::from_mask(2, mask));
        assert_eq!(game.values(&[of(0), of(1), of(2)]).unwrap(), array![[1.0], [2.0], [3.0]]);
    }

    #[test]
    fn what_is_missing_is_an_error() {
        let list = vec![Coalition::from_mask(2, 1)];
        let game = TableGame::sampled(2, list, array![[4.0]]).unwrap();
        let asked = game.values(&[Ask::first(Coalition::empty(2))]);
        assert!(matches!(asked, Err(GameError::Missing { .. })));
        assert_eq!(game.known().unwrap().len(), 1);
    }

    #[test]
    fn bad_tables_are_refused() {
        assert!(TableGame::complete(2, vec![]).is_err());
        assert!(TableGame::complete(2, vec![Array2::zeros((3, 1))]).is_err());
        assert!(TableGame::complete(21, vec![]).is_err());
        let different = vec![Array2::zeros((4, 1)), Array2::zeros((4, 2))];
        assert!(TableGame::complete(2, different).is_err());
        let nan = TableGame::from_fn(2, |mask| if mask == 2 { f64::NAN } else { 0.0 });
        assert!(nan.unwrap_err().to_string().starts_with("the coalition {1} is worth NaN"));
        let twice = vec![Coalition::empty(2), Coalition::empty(2)];
        assert!(TableGame::sampled(2, twice, array![[1.0], [2.0]]).is_err());
    }
}
