//! What a method spent, counted where it is spent.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// Counters that a method cannot reach: the window it reads through moves them.
#[derive(Debug, Default)]
pub struct Meter {
    forwards: AtomicU64,
    gradients: AtomicU64,
    tangents: AtomicU64,
    curvature_products: AtomicU64,
    replayed_steps: AtomicU64,
    trainings: AtomicU64,
}

/// A reading of a [`Meter`]. Units are single examples: one gradient is one example's forward and
/// backward pass, one curvature product one example's product with one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Forward passes, examples.
    pub forwards: u64,
    /// Gradients, examples.
    pub gradients: u64,
    /// Directional derivatives, examples times directions.
    pub tangents: u64,
    /// Hessian- or GGN-vector products, examples times directions.
    pub curvature_products: u64,
    /// Steps replayed.
    pub replayed_steps: u64,
    /// Models trained again.
    pub trainings: u64,
}

impl Meter {
    pub(crate) fn forwards(&self, examples: usize) {
        self.forwards.fetch_add(examples as u64, Ordering::Relaxed);
    }

    pub(crate) fn gradients(&self, examples: usize) {
        self.gradients.fetch_add(examples as u64, Ordering::Relaxed);
    }

    pub(crate) fn tangents(&self, products: usize) {
        self.tangents.fetch_add(products as u64, Ordering::Relaxed);
    }

    pub(crate) fn curvature_products(&self, products: usize) {
        self.curvature_products.fetch_add(products as u64, Ordering::Relaxed);
    }

    pub(crate) fn replayed_steps(&self, steps: usize) {
        self.replayed_steps.fetch_add(steps as u64, Ordering::Relaxed);
    }

    pub(crate) fn trainings(&self, models: usize) {
        self.trainings.fetch_add(models as u64, Ordering::Relaxed);
    }

    /// What has been spent so far.
    pub fn cost(&self) -> Cost {
        Cost {
            forwards: self.forwards.load(Ordering::Relaxed),
            gradients: self.gradients.load(Ordering::Relaxed),
            tangents: self.tangents.load(Ordering::Relaxed),
            curvature_products: self.curvature_products.load(Ordering::Relaxed),
            replayed_steps: self.replayed_steps.load(Ordering::Relaxed),
            trainings: self.trainings.load(Ordering::Relaxed),
        }
    }
}
