//! Truths in an `.npz` file: what every run leaves as `truths.npz`, and what others bring along.
//!
//! | array | shape | holds |
//! |---|---|---|
//! | `train_ids`, `query_ids` | `(n)`, `(Q)` | what the axes are; may be left out |
//! | `subset_masks` | `(M, n)` | 1 where a subset keeps an example |
//! | `subset_utilities` | `(M, Q)` or `(R, M, Q)` | utility after training on each, by seed |
//! | `leave_one_out_groups` | `(G, n)` | 1 where a removal takes an example out |
//! | `leave_one_out_effects` | `(G, Q)` or `(R, G, Q)` | utility with everything minus without it |
//! | `leave_contributor_out_groups`, `_effects` | likewise | likewise |
//!
//! `masks` and `utilities` are read as the first pair too.

use std::path::Path;

use attribench_datasets::{ExampleId, npz::Archive};
use ndarray::{Array1, Array2, Array3, Axis, s};
use ndarray_npy::NpzWriter;

use super::{FileError, QUERY_IDS, TRAIN_IDS, content, ids, join, scores::ScoreFile, write_error};
use crate::{
    store::write_atomically,
    truths::{MeasuredTruths, RemovalTruth, SubsetTruth},
};

/// Name of the file in the folder of a run.
pub const TRUTHS_FILE: &str = "truths.npz";

const REMOVALS: [(&str, &str); 3] = [
    ("leave-one-out", "leave_one_out"),
    ("leave-contributor-out", "leave_contributor_out"),
    ("game", "game"),
];

/// Truths as a file holds them.
#[derive(Clone, Debug, PartialEq)]
pub struct TruthFile {
    /// Ids of the examples.
    pub train_ids: Option<Vec<ExampleId>>,
    /// Ids of the queries.
    pub query_ids: Option<Vec<ExampleId>>,
    /// Number of examples.
    pub examples: usize,
    /// Number of queries.
    pub queries: usize,
    /// The truths.
    pub truths: MeasuredTruths,
}

impl TruthFile {
    /// Reads a file, or the one in a run's folder.
    ///
    /// # Errors
    /// When it is damaged, its arrays do not fit each other, or there is no truth in it.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let path = if path.is_dir() { path.join(TRUTHS_FILE) } else { path.to_owned() };
        let mut archive = Archive::open(&path)?;
        let prefix = if archive.holds("masks") { "" } else { "subset_" };
        let subsets =
            read_pair(&mut archive, &format!("{prefix}masks"), &format!("{prefix}utilities"))?;
        let subsets = subsets.map(|(masks, utilities)| SubsetTruth { masks, utilities });
        let mut removals = Vec::new();
        for (id, name) in REMOVALS {
            let pair =
                read_pair(&mut archive, &format!("{name}_groups"), &format!("{name}_effects"))?;
            removals.extend(pair.map(|(masks, effects)| removal(id, &masks, effects)));
        }
        let shapes = subsets
            .iter()
            .map(|truth| (truth.masks.ncols(), truth.utilities[0].ncols()))
            .chain(removals.iter().map(|(truth, n)| (*n, truth.effects[0].ncols())));
        let mut shapes: Vec<(usize, usize)> = shapes.collect();
        shapes.dedup();
        let &[(examples, queries)] = shapes.as_slice() else {
            let known = archive.names().join(", ");
            let reason = match shapes.is_empty() {
                true => format!(
                    "no truth is in it (known: {known})\n\
                     hint: bring `masks` (M, n) and `utilities` (M, Q)"
                ),
                false => format!(
                    "its truths are about different numbers of examples and queries: {shapes:?}"
                ),
            };
            return Err(content(&archive, reason));
        };
        let train_ids = ids(&mut archive, TRAIN_IDS, examples)?;
        let query_ids = ids(&mut archive, QUERY_IDS, queries)?;
        let removals = removals.into_iter().map(|(truth, _)| truth).collect();
        let truths = MeasuredTruths { subsets, removals, ..MeasuredTruths::default() };
        Ok(Self { train_ids, query_ids, examples, queries, truths })
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let bytes = self.npz().map_err(|reason| write_error(path, reason))?;
        write_atomically(path, &bytes).map_err(|error| write_error(path, error))
    }

    fn npz(&self) -> Result<Vec<u8>, String> {
        let mut writer = NpzWriter::new_compressed(std::io::Cursor::new(Vec::new()));
        let failed = |error: ndarray_npy::WriteNpzError| error.to_string();
        for (name, ids) in [(TRAIN_IDS, &self.train_ids), (QUERY_IDS, &self.query_ids)] {
            if let Some(ids) = ids {
                let ids: Array1<u32> = ids.iter().map(|id| id.0).collect();
                writer.add_array(name, &ids).map_err(failed)?;
            }
        }
        if let Some(truth) = &self.truths.subsets {
            writer.add_array("subset_masks", &truth.masks.mapv(u8::from)).map_err(failed)?;
            let utilities = self.stacked(&truth.utilities);
            writer.add_array("subset_utilities", &utilities).map_err(failed)?;
        }
        for truth in &self.truths.removals {
            let (_, name) = REMOVALS
                .iter()
                .find(|(id, _)| *id == truth.id)
                .expect("every removal truth has a name in files");
            let mut groups = Array2::<u8>::zeros((truth.groups.len(), self.examples));
            for (mut mask, group) in groups.outer_iter_mut().zip(&truth.groups) {
                for &row in group {
                    mask[row] = 1;
                }
            }
            writer.add_array(format!("{name}_groups"), &groups).map_err(failed)?;
            let effects = self.stacked(&truth.effects);
            writer.add_array(format!("{name}_effects"), &effects).map_err(failed)?;
        }
        Ok(writer.finish().map_err(failed)?.into_inner())
    }

    /// `(R, rows, Q)` from one matrix a seed, without what follows the queries.
    fn stacked(&self, by_seed: &[Array2<f64>]) -> Array3<f64> {
        let views: Vec<_> =
            by_seed.iter().map(|matrix| matrix.slice(s![.., ..self.queries])).collect();
        ndarray::stack(Axis(0), &views).expect("seeds have equal shapes")
    }

    /// Scores in the order of the truth's examples and queries.
    ///
    /// # Errors
    /// When the scores lack an example or a query that the truth has, or one side names its entries
    /// and the other does not.
    pub fn scores_of(&self, file: &ScoreFile) -> Result<Array2<f64>, FileError> {
        let (rows, columns) = file.values.dim();
        let rows = join("example", (&self.train_ids, self.examples), (&file.train_ids, rows))?;
        let columns = join("query", (&self.query_ids, self.queries), (&file.query_ids, columns))?;
        Ok(file.values.select(Axis(0), &rows).select(Axis(1), &columns))
    }
}

/// Masks `(rows, n)`, and one matrix `(rows, Q)` a seed.
type MasksAndValues = (Array2<bool>, Vec<Array2<f64>>);

/// Masks `(rows, n)` and one matrix `(rows, Q)` a seed; none where neither is there.
fn read_pair(
    archive: &mut Archive,
    masks: &str,
    values: &str,
) -> Result<Option<MasksAndValues>, FileError> {
    if !archive.holds(masks) && !archive.holds(values) {
        return Ok(None);
    }
    let kept = archive.matrix(masks)?;
    if let Some(&odd) = kept.iter().find(|&&value| value != 0.0 && value != 1.0) {
        return Err(content(archive, format!("`{masks}` holds {odd}, expected 0 or 1")));
    }
    let kept = kept.mapv(|value| value == 1.0);
    let found = archive.array(values)?;
    let by_seed: Vec<Array2<f64>> = match found.ndim() {
        2 => vec![archive.matrix(values)?],
        _ => archive.cube(values)?.outer_iter().map(|matrix| matrix.to_owned()).collect(),
    };
    let rows = by_seed.first().map_or(0, Array2::nrows);
    if rows != kept.nrows() {
        let reason = format!("`{values}` has {rows} rows and `{masks}` has {}", kept.nrows());
        return Err(content(archive, reason));
    }
    if let Some(value) = by_seed.iter().flatten().find(|value| !value.is_finite()) {
        return Err(content(archive, format!("`{values}` holds {value}")));
    }
    Ok(Some((kept, by_seed)))
}

fn removal(
    id: &'static str,
    masks: &Array2<bool>,
    effects: Vec<Array2<f64>>,
) -> (RemovalTruth, usize) {
    let group = |mask: ndarray::ArrayView1<'_, bool>| -> Vec<usize> {
        mask.iter().enumerate().filter(|(_, taken)| **taken).map(|(row, _)| row).collect()
    };
    let groups: Vec<Vec<usize>> = masks.outer_iter().map(group).collect();
    let names = (0..groups.len()).map(|group| group.to_string()).collect();
    (RemovalTruth { id, groups, names, effects }, masks.ncols())
}

#[cfg(test)]
mod tests {
    use attribench_datasets::ExampleId;
    use ndarray::{array, s};

    use super::{ScoreFile, TruthFile};
    use crate::truths::{MeasuredTruths, RemovalTruth, SubsetTruth};

    fn truth() -> TruthFile {
        TruthFile {
            train_ids: Some([7, 8, 9].map(ExampleId).to_vec()),
            query_ids: Some([1, 2].map(ExampleId).to_vec()),
            examples: 3,
            queries: 2,
            truths: MeasuredTruths {
                subsets: Some(SubsetTruth {
                    masks: array![[true, false, true], [false, true, true]],
                    utilities: vec![array![[1.0, 2.0], [3.0, 4.0]], array![[5.0, 6.0], [7.0, 8.0]]],
                }),
                tuning_subsets: None,
                removals: vec![RemovalTruth {
                    id: "leave-one-out",
                    groups: vec![vec![2], vec![0]],
                    names: vec!["0".into(), "1".into()],
                    effects: vec![array![[0.1, 0.2], [0.3, 0.4]]],
                }],
                game: None,
            },
        }
    }

    #[test]
    fn truths_survive_the_file_and_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        truth().write(&folder.path().join("truths.npz")).unwrap();
        assert_eq!(TruthFile::read(folder.path()).unwrap(), truth());
    }

    #[test]
    fn scores_are_joined_by_id_and_never_by_position() {
        let scores = ScoreFile {
            train_ids: Some([9, 7, 5, 8].map(ExampleId).to_vec()),
            query_ids: Some([2, 1].map(ExampleId).to_vec()),
            values: array![[92.0, 91.0], [72.0, 71.0], [52.0, 51.0], [82.0, 81.0]],
        };
        let joined = truth().scores_of(&scores).unwrap();
        assert_eq!(joined, array![[71.0, 72.0], [81.0, 82.0], [91.0, 92.0]]);
        let lacking = ScoreFile {
            train_ids: scores.train_ids.as_ref().map(|ids| ids[..3].to_vec()),
            values: scores.values.slice(s![..3, ..]).to_owned(),
            ..scores.clone()
        };
        let refused = |scores: &ScoreFile| truth().scores_of(scores).unwrap_err().to_string();
        assert!(refused(&lacking).contains("no example 8"));
        let nameless = ScoreFile { train_ids: None, ..scores };
        assert!(refused(&nameless).contains("the truth names its example entries"));
    }

    #[test]
    fn without_ids_on_either_side_shapes_must_be_equal() {
        let nameless = TruthFile { train_ids: None, query_ids: None, ..truth() };
        let values = array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]];
        let scores = ScoreFile { train_ids: None, query_ids: None, values: values.clone() };
        assert_eq!(nameless.scores_of(&scores).unwrap(), values);
        let short = ScoreFile { values: values.slice(s![..2, ..]).to_owned(), ..scores };
        let error = nameless.scores_of(&short).unwrap_err().to_string();
        assert!(error.contains("the scores have 2 example entries and the truth has 3"), "{error}");
    }
}
