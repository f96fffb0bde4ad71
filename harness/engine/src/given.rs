//! A run that somebody else made: what is drawn from the seed elsewhere is read from files, so that
//! the run can be replayed step by step and audited.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use attribench_core::Layout;
use attribench_datasets::{ExampleId, npz};
use serde::{Deserialize, Serialize};

use crate::{
    files::parameters::{self, Names},
    store::Key,
    training::Training,
};

/// Files of a run; what is absent is drawn from the seed. Where it began is the `base`.
///
/// Results are kept under [`Given::key`], the content of what decides the run; where files lie and
/// what the run is compared with is no part of it, and is not serialised.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Given {
    /// Parameters that the run reached, in a file as that of `base.weights`, to tell how far the
    /// replay ends from them.
    #[serde(default, rename = "final", skip_serializing)]
    pub last: Option<PathBuf>,
    /// Ids of the examples of each batch, `.npy`, integers `(steps, B)`. Negative numbers fill up a
    /// shorter batch, whose divisor is still `B`.
    #[serde(default, skip_serializing)]
    pub order: Option<PathBuf>,
    #[serde(skip)]
    loaded: Loaded,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Loaded {
    last: Option<Arc<[f64]>>,
    batches: Option<Arc<[Vec<usize>]>>,
}

impl Given {
    /// Nothing: all is drawn from the seed.
    pub const NONE: Self =
        Self { last: None, order: None, loaded: Loaded { last: None, batches: None } };

    /// Parameters that the run reached, `p`, once loaded.
    pub fn last_parameters(&self) -> Option<&[f64]> {
        self.loaded.last.as_deref()
    }

    /// Rows of every batch, once loaded.
    pub fn batches(&self) -> Option<&[Vec<usize>]> {
        self.loaded.batches.as_deref()
    }

    /// Content of the order, which alone decides how the run goes.
    pub fn key(&self) -> Key {
        let mut bytes = Vec::new();
        for batch in self.batches().unwrap_or_default() {
            bytes.extend((batch.len() as u64).to_le_bytes());
            bytes.extend(batch.iter().flat_map(|&row| (row as u64).to_le_bytes()));
        }
        Key::of_content(&bytes)
    }
}

impl Training {
    /// Reads the files that are given.
    ///
    /// # Errors
    /// When a file cannot be read, or does not fit the model, the training examples or the number
    /// of steps, with what it holds and what is needed.
    pub(crate) fn load_given(
        &mut self,
        layout: &Layout,
        names: Names<'_>,
        ids: &[ExampleId],
    ) -> Result<(), String> {
        let given = &self.given;
        let last = given.last.as_ref().map(|path| parameters::load(path, layout, names));
        let last = last.transpose().map_err(|error| error.to_string())?;
        let loaded = Loaded {
            last: last.map(|(theta, _)| theta.into()),
            batches: given.order.as_ref().map(|path| batches(path, self, ids)).transpose()?,
        };
        self.given.loaded = loaded;
        Ok(())
    }
}

fn batches(
    path: &Path,
    training: &Training,
    ids: &[ExampleId],
) -> Result<Arc<[Vec<usize>]>, String> {
    let order = npz::read_array(path).map_err(|error| error.to_string())?;
    let file = path.display();
    let &[steps, width] = order.shape() else {
        return Err(format!("{file} has shape {:?}, expected (steps, batch)", order.shape()));
    };
    let (wanted, size) = (training.steps(ids.len()), training.batch_size);
    if width != size {
        return Err(format!("{file} has batches of {width} and `batch-size` is {size}"));
    }
    if steps != wanted {
        let epochs = training.epochs;
        return Err(format!(
            "{file} has {steps} steps, and {epochs} epochs over {} examples in batches of {size} \
             have {wanted}\nhint: the schedule needs `epochs` to agree with the steps",
            ids.len()
        ));
    }
    let rows: BTreeMap<u32, usize> = ids.iter().enumerate().map(|(row, id)| (id.0, row)).collect();
    let row_of = |step: usize, id: f64| {
        let row = (id.fract() == 0.0 && id <= f64::from(u32::MAX)).then(|| rows.get(&(id as u32)));
        row.flatten().copied().ok_or_else(|| {
            format!("{file}: step {step} takes example {id}, which is not in the training set")
        })
    };
    let mut batches = Vec::with_capacity(steps);
    for (step, ids) in order.outer_iter().enumerate() {
        // What is not a number is no example, and nothing that fills up either.
        let taken = ids.iter().filter(|&&id| id >= 0.0 || id.is_nan());
        let batch: Vec<usize> = taken.map(|&id| row_of(step, id)).collect::<Result<_, _>>()?;
        if batch.is_empty() {
            return Err(format!("{file}: step {step} takes no example"));
        }
        batches.push(batch);
    }
    Ok(batches.into())
}
