//! A matrix of scores as a long table: one row a pair of example and query.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{Array2, ArrayView2};
use polars::prelude::*;

use crate::ReportError;
use crate::tables::{Table, frame, write_parquet};

/// Ids of the rows, ids of the columns, and the scores `(n, Q)` in between.
pub type LabelledScores = (Vec<u32>, Vec<u32>, Array2<f64>);

/// Writes `train_id`, `query_id`, `score`, by example and then by query.
///
/// # Errors
/// When the file cannot be written.
pub fn write_scores(
    path: &Path,
    train_ids: &[u32],
    query_ids: &[u32],
    scores: ArrayView2<'_, f64>,
) -> Result<(), ReportError> {
    let pairs = || train_ids.iter().flat_map(|i| query_ids.iter().map(move |q| (i, q)));
    let columns = vec![
        Column::new("train_id".into(), pairs().map(|pair| u64::from(*pair.0)).collect::<Vec<_>>()),
        Column::new("query_id".into(), pairs().map(|pair| u64::from(*pair.1)).collect::<Vec<_>>()),
        Column::new("score".into(), scores.iter().copied().collect::<Vec<_>>()),
    ];
    write_parquet(frame(scores.len(), columns), path)
}

/// Reads what [`write_scores`] wrote, in whatever order its rows are.
///
/// # Errors
/// When the file is damaged, a pair is missing or there twice, or a score is not finite.
pub fn read_scores(path: &Path) -> Result<LabelledScores, ReportError> {
    let table = Table::read_path(path)?;
    let ids = |name: &str| -> Result<Vec<u32>, ReportError> {
        let id = |count| u32::try_from(count).map_err(|error| table.content(error));
        table.counts(name)?.into_iter().map(id).collect()
    };
    let (rows, columns) = (ids("train_id")?, ids("query_id")?);
    let scores = table.reals("score")?;
    let (train_ids, row_of) = positions(&rows);
    let (query_ids, column_of) = positions(&columns);
    let mut values = Array2::from_elem((train_ids.len(), query_ids.len()), f64::NAN);
    for ((row, column), score) in rows.iter().zip(&columns).zip(scores) {
        let place = &mut values[(row_of[row], column_of[column])];
        if !score.is_finite() || !place.is_nan() {
            let what = if place.is_nan() { "is not finite" } else { "is there twice" };
            return Err(table.content(format!("the score of {row} for {column} {what}")));
        }
        *place = score;
    }
    if let Some(((row, column), _)) = values.indexed_iter().find(|(_, score)| score.is_nan()) {
        let (row, column) = (train_ids[row], query_ids[column]);
        return Err(table.content(format!("the score of {row} for {column} is missing")));
    }
    Ok((train_ids, query_ids, values))
}

/// The different ids, sorted, and the position of each among them.
fn positions(ids: &[u32]) -> (Vec<u32>, BTreeMap<u32, usize>) {
    let mut sorted = ids.to_vec();
    sorted.sort();
    sorted.dedup();
    let positions = sorted.iter().enumerate().map(|(position, &id)| (id, position)).collect();
    (sorted, positions)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::{read_scores, write_scores};

    #[test]
    fn scores_survive_the_table_sorted_by_id() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scores.parquet");
        let (rows, columns) = ([5, 2], [7, 8, 9]);
        let scores = array![[0.5, -1.0, 1e-300], [2.0, 3.0, f64::MAX]];
        write_scores(&path, &rows, &columns, scores.view()).unwrap();
        let (train_ids, query_ids, found) = read_scores(&path).unwrap();
        assert_eq!((train_ids, query_ids), ([2, 5].to_vec(), columns.to_vec()));
        assert_eq!(found, array![[2.0, 3.0, f64::MAX], [0.5, -1.0, 1e-300]]);
    }

    #[test]
    fn a_pair_that_is_there_twice_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scores.parquet");
        let ids = [1, 1];
        write_scores(&path, &ids, &[0], array![[1.0], [2.0]].view()).unwrap();
        let error = read_scores(&path).unwrap_err().to_string();
        assert!(error.contains("the score of 1 for 0 is there twice"), "{error}");
    }
}
