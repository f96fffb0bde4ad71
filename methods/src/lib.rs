//! Attribution methods, one a file, and their [`REGISTRY`].
//!
//! A method is a file of documentation, parameters, code and tests, and two lines here: its module
//! and its entry. It knows the contract of `attribench-core` and nothing else: no truth, no metric,
//! no file, no clock.

pub mod aumann_shapley;
mod cholesky;
mod credits;
mod curvature;
pub mod games;
pub mod grad_cos;
pub mod grad_dot;
pub mod in_run_shapley;
pub mod influence_cg;
pub mod influence_explicit;
pub mod knn_shapley;
pub mod metagradient;
mod one_layer;
mod pair;
pub mod path_ledger;
mod quadrature;
pub mod random;
mod step_derivative;
pub mod trac_in_cp;

#[cfg(test)]
#[path = "../tests/common/mod.rs"]
#[allow(dead_code, reason = "shared with the integration tests, which use other parts")]
mod common;

use attribench_core::{Examples, Method, MethodEntry, MethodError, Queries, Real, Scores};
use ndarray::Array2;

pub use aumann_shapley::AumannShapley;
pub use curvature::{CurvatureKind, Damping};
pub use grad_cos::GradCos;
pub use grad_dot::GradDot;
pub use in_run_shapley::InRunShapley;
pub use influence_cg::{InfluenceCg, OnLimit};
pub use influence_explicit::InfluenceExplicit;
pub use knn_shapley::KnnShapley;
pub use metagradient::Metagradient;
pub use path_ledger::{Books, PathLedger};
pub use random::Random;
pub use trac_in_cp::TracInCp;

/// All methods, sorted by name.
pub static REGISTRY: &[MethodEntry] = &[
    MethodEntry::of::<AumannShapley>(),
    MethodEntry::of::<GradCos>(),
    MethodEntry::of::<GradDot>(),
    MethodEntry::of::<InRunShapley>(),
    MethodEntry::of::<InfluenceCg>(),
    MethodEntry::of::<InfluenceExplicit>(),
    MethodEntry::of::<KnnShapley>(),
    MethodEntry::of::<Metagradient>(),
    MethodEntry::of::<PathLedger>(),
    MethodEntry::of::<Random>(),
    MethodEntry::of::<TracInCp>(),
];

/// The scores of method `M`, with the ids of both axes.
fn label<M: Method, T: Real>(
    train: &Examples<T>,
    queries: &Queries<T>,
    values: Array2<f64>,
) -> Result<Scores, MethodError> {
    Ok(Scores::new(train.ids().to_vec(), queries.ids().to_vec(), values, M::INFO.scale)?)
}
