//! Trainings on any data weights, kept in the store one coalition at a time: whoever asks for a
//! coalition that anybody has asked for before, in this process or another, gets what is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, atomic::Ordering},
};

use attribench_core::{Labels, Measured, Queries, Real, Utility};
use ndarray::{Array2, ArrayView1};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::{
    progress::Progress,
    retrain::Retrainer,
    store::{Key, Store, StoreError},
    training::Trainer,
};

/// A training that is asked for.
pub struct Wanted<T> {
    /// One weight an example.
    pub weights: Vec<T>,
    /// Seed of initial parameters and order.
    pub seed: u64,
}

/// Hash of the weights and the seed of one training, as eight numbers that `f64` holds exactly.
type Name = [u32; 8];

/// Trainings that are known, by what is measured of them.
#[derive(Debug, Default)]
pub struct Known(Mutex<BTreeMap<Key, BTreeMap<Name, Vec<f64>>>>);

/// Most trainings that are stored together: as many as may be lost by a kill, for each thread.
const BLOCK: usize = 256;

const STAGE: &str = "evaluations";

impl<T: Real> Retrainer<'_, T> {
    /// What `count` trainings measure at examples, `(count, examples)`, by the threads of the
    /// current pool: those that are stored are read, the others are trained in stacks and stored.
    /// `wanted(j)` is asked for more than once, so that weights need not lie in memory together.
    ///
    /// # Errors
    /// When the store fails.
    pub fn evaluate(
        &self,
        count: usize,
        wanted: &(dyn Fn(usize) -> Wanted<T> + Sync),
        (measured, at): (Measured, &Queries<T>),
        progress: &dyn Progress,
    ) -> Result<Array2<f64>, StoreError> {
        let group = self.group(measured, at);
        let mut known = self.known.0.lock().expect("no thread panics while it holds the table");
        if !known.contains_key(&group) {
            known.insert(group.clone(), read(self.store, &group)?);
        }
        let known = known.get_mut(&group).expect("just inserted");
        let names: Vec<Name> = (0..count).into_par_iter().map(|at| name(&wanted(at))).collect();
        let missing = self.missing(&names, known, wanted);
        let blocks: Vec<&[usize]> = missing.iter().flat_map(|list| list.chunks(BLOCK)).collect();
        progress.begin("coalitions", count);
        progress.advance(count - blocks.iter().map(|block| block.len()).sum::<usize>());
        let found: Vec<Array2<f64>> = blocks
            .par_iter()
            .map(|block| {
                let values = self.train_block(block, wanted, measured, at);
                let names: Vec<Name> = block.iter().map(|&at| names[at]).collect();
                write(self.store, &group, &names, &values)?;
                self.done.fetch_add(block.len(), Ordering::Relaxed);
                progress.advance(block.len());
                Ok(values)
            })
            .collect::<Result<_, StoreError>>()?;
        progress.end();
        for (block, values) in blocks.iter().zip(found) {
            for (&at, row) in block.iter().zip(values.outer_iter()) {
                known.insert(names[at], row.to_vec());
            }
        }
        let mut values = Array2::zeros((count, at.examples.len()));
        for (mut row, name) in values.outer_iter_mut().zip(&names) {
            row.assign(&ArrayView1::from(&known[name]));
        }
        Ok(values)
    }

    /// What the store files results by: the recipe, and what is measured where.
    fn group(&self, measured: Measured, at: &Queries<T>) -> Key {
        let mut content = Vec::new();
        content.extend(at.examples.features().iter().flat_map(|v| v.to_f64().to_le_bytes()));
        match at.examples.labels() {
            Labels::Classes(labels) => {
                content.extend(labels.iter().flat_map(|label| label.to_le_bytes()));
            }
            Labels::Values(values) => {
                content.extend(values.iter().flat_map(|value| value.to_f64().to_le_bytes()));
            }
        }
        let what: Option<Utility> = (measured == Measured::Utility).then_some(at.utility);
        Key::of(STAGE, &(what, at.examples.len()), &[&self.key, &Key::of_content(&content)])
    }

    /// Positions that are not known, each training once, by seed.
    fn missing(
        &self,
        names: &[Name],
        known: &BTreeMap<Name, Vec<f64>>,
        wanted: &(dyn Fn(usize) -> Wanted<T> + Sync),
    ) -> Vec<Vec<usize>> {
        let mut first = BTreeSet::new();
        let mut by_seed: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (at, name) in names.iter().enumerate() {
            if !known.contains_key(name) && first.insert(name) {
                by_seed.entry(wanted(at).seed).or_default().push(at);
            }
        }
        by_seed.into_values().collect()
    }

    /// Trains a block, all of one seed, stack after stack.
    fn train_block(
        &self,
        block: &[usize],
        wanted: &(dyn Fn(usize) -> Wanted<T> + Sync),
        measured: Measured,
        at: &Queries<T>,
    ) -> Array2<f64> {
        let mut values = Array2::zeros((block.len(), at.examples.len()));
        let trainer = Trainer::new(self.model, self.train, self.training, wanted(block[0]).seed);
        let mut rows = values.outer_iter_mut();
        for stack in block.chunks(self.model.stack_width()) {
            let weights: Vec<Vec<T>> = stack.iter().map(|&at| wanted(at).weights).collect();
            for theta in trainer.final_parameters(&weights) {
                let found = match measured {
                    Measured::Utility => self.model.utilities(&theta, &at.examples, at.utility),
                    Measured::Correct => self.correct(&theta, at),
                };
                let mut row = rows.next().expect("a row for each training");
                row.assign(&ArrayView1::from(&found));
            }
        }
        values
    }

    /// 1 where the largest output is that of the label; nothing is correct about a number.
    fn correct(&self, theta: &[T], at: &Queries<T>) -> Vec<f64> {
        let Labels::Classes(labels) = at.examples.labels() else {
            return vec![0.0; at.examples.len()];
        };
        let outputs = self.model.outputs(theta, at.examples.features());
        let top = |row: ArrayView1<'_, T>| {
            (0..row.len()).fold(0, |top, class| if row[class] > row[top] { class } else { top })
        };
        let is_right = |(row, &label)| f64::from(u8::from(top(row) == label as usize));
        outputs.outer_iter().zip(labels).map(is_right).collect()
    }
}

fn name<T: Real>(wanted: &Wanted<T>) -> Name {
    let mut hash = Sha256::new();
    hash.update(wanted.seed.to_le_bytes());
    for weight in &wanted.weights {
        hash.update(weight.to_f64().to_le_bytes());
    }
    let digest = hash.finalize();
    let (words, _) = digest.as_chunks::<4>();
    std::array::from_fn(|word| u32::from_le_bytes(words[word]))
}

fn write(
    store: &Store,
    group: &Key,
    names: &[Name],
    values: &Array2<f64>,
) -> Result<(), StoreError> {
    let words = Array2::from_shape_fn((names.len(), 8), |(row, word)| f64::from(names[row][word]));
    let key = Key::of(STAGE, &names, &[group]);
    store.append(STAGE, group, &key, &[("names", words.view()), ("values", values.view())])
}

fn read(store: &Store, group: &Key) -> Result<BTreeMap<Name, Vec<f64>>, StoreError> {
    let mut known = BTreeMap::new();
    for matrices in store.read_group(STAGE, group)? {
        let of = |name: &str| {
            let found = matrices.iter().find(|(found, _)| found == name);
            &found.expect("a block holds names and values").1
        };
        for (words, values) in of("names").outer_iter().zip(of("values").outer_iter()) {
            // Written from `u32`, so that nothing is lost on the way back.
            known.insert(std::array::from_fn(|word| words[word] as u32), values.to_vec());
        }
    }
    Ok(known)
}
