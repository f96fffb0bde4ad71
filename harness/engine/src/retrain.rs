//! The one primitive behind every truth: utilities of models that are trained with some examples
//! left out. Work is cut into units that are stored one by one, so that a killed experiment goes on
//! where it stopped.

use std::sync::atomic::{AtomicUsize, Ordering};

use attribench_core::{Examples, Model, Queries, Real};
use ndarray::{Array2, ArrayView1, Axis, concatenate};
use rayon::prelude::*;

use crate::{
    evaluations::Known,
    progress::Progress,
    store::{Key, Store, StoreError},
    training::{Trainer, Training},
};

/// A list of training examples that are kept: `true` is weight 1, `false` weight 0.
pub type Kept = Vec<bool>;

/// Retrains one recipe on one data set.
pub struct Retrainer<'a, T> {
    /// Model.
    pub model: &'a dyn Model<T>,
    /// Training examples.
    pub train: &'a Examples<T>,
    /// Hyper-parameters.
    pub training: &'a Training,
    /// Queries whose utility is measured.
    pub queries: &'a Queries<T>,
    /// Key of all of the above.
    pub key: Key,
    /// Where finished units lie.
    pub store: &'a Store,
    /// Trainings that were really done, not found in the store.
    pub done: AtomicUsize,
    /// Single trainings that are known.
    pub known: Known,
}

/// A request: these examples kept, with this seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// One list a training.
    pub kept: Vec<Kept>,
    /// Seed of initial parameters and order.
    pub seed: u64,
}

struct Unit<'r> {
    request: usize,
    kept: &'r [Kept],
    seed: u64,
}

impl<T: Real> Retrainer<'_, T> {
    /// Utilities for each request, `(trainings, queries)` each, computed by the threads of the
    /// current pool. The result does not depend on their number.
    ///
    /// # Errors
    /// When the store fails.
    pub fn utilities(
        &self,
        requests: &[Request],
        progress: &dyn Progress,
    ) -> Result<Vec<Array2<f64>>, StoreError> {
        let width = self.model.stack_width();
        let units: Vec<Unit<'_>> = requests
            .iter()
            .enumerate()
            .flat_map(|(request, asked)| {
                let seed = asked.seed;
                asked.kept.chunks(width).map(move |kept| Unit { request, kept, seed })
            })
            .collect();
        let total = requests.iter().map(|request| request.kept.len()).sum();
        progress.begin("retraining", total);
        let blocks: Vec<Array2<f64>> =
            units.par_iter().map(|unit| self.unit(unit, progress)).collect::<Result<_, _>>()?;
        progress.end();
        Ok((0..requests.len())
            .map(|request| {
                let of_request: Vec<_> = units
                    .iter()
                    .zip(&blocks)
                    .filter(|(unit, _)| unit.request == request)
                    .map(|(_, block)| block.view())
                    .collect();
                if of_request.is_empty() {
                    return Array2::zeros((0, self.queries.examples.len()));
                }
                concatenate(Axis(0), &of_request).expect("every block has a column a query")
            })
            .collect())
    }

    fn unit(&self, unit: &Unit<'_>, progress: &dyn Progress) -> Result<Array2<f64>, StoreError> {
        let packed: Vec<String> = unit.kept.iter().map(|kept| pack(kept)).collect();
        let key = Key::of("retrain", &(unit.seed, packed), &[&self.key]);
        let utilities = match self.store.read("retrain", &key)? {
            Some(found) => found.into_iter().next().expect("a unit holds one matrix").1,
            None => {
                let utilities = self.train_unit(unit);
                self.store.write("retrain", &key, &[("utilities", utilities.view())])?;
                self.done.fetch_add(unit.kept.len(), Ordering::Relaxed);
                utilities
            }
        };
        progress.advance(unit.kept.len());
        Ok(utilities)
    }

    fn train_unit(&self, unit: &Unit<'_>) -> Array2<f64> {
        let trainer = Trainer::new(self.model, self.train, self.training, unit.seed);
        let weight = |&kept: &bool| if kept { T::one() } else { T::zero() };
        let weights: Vec<Vec<T>> =
            unit.kept.iter().map(|kept| kept.iter().map(weight).collect()).collect();
        let mut utilities = Array2::zeros((unit.kept.len(), self.queries.examples.len()));
        for (mut row, theta) in utilities.outer_iter_mut().zip(trainer.final_parameters(&weights)) {
            let measured =
                self.model.utilities(&theta, &self.queries.examples, self.queries.utility);
            row.assign(&ArrayView1::from(&measured));
        }
        utilities
    }
}

/// A list of booleans as hexadecimal digits, four a digit.
fn pack(kept: &[bool]) -> String {
    let digits = kept.chunks(4).map(|chunk| {
        let value = chunk.iter().enumerate().map(|(bit, &kept)| u32::from(kept) << bit).sum();
        char::from_digit(value, 16).expect("four bits are a hexadecimal digit")
    });
    // The length tells lists apart that differ by trailing zeros.
    digits.chain(format!("/{}", kept.len()).chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::pack;

    #[test]
    fn packing_by_hand() {
        // 1,0,1,1 -> 1 + 4 + 8 = 13 = d; 1 -> 1
        assert_eq!(pack(&[true, false, true, true, true]), "d1/5");
        assert_ne!(pack(&[true]), pack(&[true, false]));
    }
}
