//! Attribution methods, one a file, and their [`REGISTRY`].
//!
//! A method is a file of documentation, parameters, code and tests, and two lines here: its module
//! and its entry. It knows the contract of `attribench-core` and nothing else: no truth, no metric,
//! no file, no clock.

pub mod adam_w_influence;
pub mod arnoldi;
pub mod aumann_shapley;
pub mod bm25;
pub mod by_retraining;
mod cholesky;
pub mod class_wise_shapley;
mod credits;
mod curvature;
pub mod data_inf;
pub mod data_oob;
mod directions;
pub mod dv_emb;
mod eigen;
pub mod ek_fac;
pub mod ek_fac_cg;
pub mod fact_gra_ss;
mod features;
pub mod g_shapley;
pub mod games;
pub mod gra_ss;
pub mod grad_cos;
pub mod grad_dot;
pub mod grad_dot_last_layer;
pub mod grad_dot_projected;
pub mod in_run_shapley;
mod influence;
pub mod influence_cg;
pub mod influence_explicit;
pub mod input_similarity;
pub mod k_fac;
pub mod knn_shapley;
mod kronecker;
pub mod lava;
pub mod lissa;
pub mod lo_gra;
pub mod metagradient;
pub mod n_gram_spans;
pub mod nystrom;
mod one_layer;
mod pair;
pub mod path_ledger;
mod projection;
mod quadrature;
pub mod random;
pub mod relat_if;
pub mod representation_similarity;
pub mod rps_l2;
mod segments;
mod similarity;
pub mod source;
pub mod source_adam_w;
mod step_derivative;
mod suffix_array;
mod tails;
mod terms;
pub mod tf_idf;
pub mod trac_in_cp;
pub mod track_star;
pub mod trak;
pub mod trak_checkpoints;
pub mod trak_published;
mod turn;

#[cfg(test)]
#[path = "../tests/common/mod.rs"]
#[allow(dead_code, reason = "shared with the integration tests, which use other parts")]
mod common;

use attribench_core::{Examples, Method, MethodEntry, MethodError, Queries, Real, Scores};
use ndarray::Array2;

pub use adam_w_influence::{AdamWInfluence, Substitute};
pub use arnoldi::Arnoldi;
pub use aumann_shapley::AumannShapley;
pub use bm25::Bm25;
pub use by_retraining::ByRetraining;
pub use class_wise_shapley::ClassWiseShapley;
pub use credits::Clipping;
pub use curvature::{CurvatureKind, Damping, Fisher};
pub use data_inf::DataInf;
pub use data_oob::DataOob;
pub use dv_emb::DvEmb;
pub use ek_fac::EkFac;
pub use ek_fac_cg::EkFacCg;
pub use fact_gra_ss::FactGraSs;
pub use g_shapley::GShapley;
pub use gra_ss::GraSs;
pub use grad_cos::GradCos;
pub use grad_dot::GradDot;
pub use grad_dot_last_layer::GradDotLastLayer;
pub use grad_dot_projected::GradDotProjected;
pub use in_run_shapley::{InRunShapley, StepGame};
pub use influence_cg::{InfluenceCg, OnLimit};
pub use influence_explicit::InfluenceExplicit;
pub use input_similarity::InputSimilarity;
pub use k_fac::{KFac, Placement};
pub use knn_shapley::KnnShapley;
pub use lava::Lava;
pub use lissa::Lissa;
pub use lo_gra::LoGra;
pub use metagradient::Metagradient;
pub use n_gram_spans::{NGramSpans, SpanWeight};
pub use nystrom::Nystrom;
pub use path_ledger::{Books, PathLedger};
pub use random::Random;
pub use relat_if::{Constraint, RelatIf};
pub use representation_similarity::RepresentationSimilarity;
pub use rps_l2::RpsL2;
pub use similarity::Similarity;
pub use source::Source;
pub use source_adam_w::SourceAdamW;
pub use terms::Terms;
pub use tf_idf::TfIdf;
pub use trac_in_cp::TracInCp;
pub use track_star::TrackStar;
pub use trak::Trak;
pub use trak_checkpoints::TrakCheckpoints;
pub use trak_published::TrakPublished;

/// All methods, sorted by name.
pub static REGISTRY: &[MethodEntry] = &[
    MethodEntry::of::<AdamWInfluence>(),
    MethodEntry::of::<Arnoldi>(),
    MethodEntry::of::<AumannShapley>(),
    MethodEntry::of::<Bm25>(),
    MethodEntry::of::<ByRetraining>(),
    MethodEntry::of::<ClassWiseShapley>(),
    MethodEntry::of::<DataInf>(),
    MethodEntry::of::<DataOob>(),
    MethodEntry::of::<DvEmb>(),
    MethodEntry::of::<EkFac>(),
    MethodEntry::of::<EkFacCg>(),
    MethodEntry::of::<FactGraSs>(),
    MethodEntry::of::<GShapley>(),
    MethodEntry::of::<GraSs>(),
    MethodEntry::of::<GradCos>(),
    MethodEntry::of::<GradDot>(),
    MethodEntry::of::<GradDotLastLayer>(),
    MethodEntry::of::<GradDotProjected>(),
    MethodEntry::of::<InRunShapley>(),
    MethodEntry::of::<InfluenceCg>(),
    MethodEntry::of::<InfluenceExplicit>(),
    MethodEntry::of::<InputSimilarity>(),
    MethodEntry::of::<KFac>(),
    MethodEntry::of::<KnnShapley>(),
    MethodEntry::of::<Lava>(),
    MethodEntry::of::<Lissa>(),
    MethodEntry::of::<LoGra>(),
    MethodEntry::of::<Metagradient>(),
    MethodEntry::of::<NGramSpans>(),
    MethodEntry::of::<Nystrom>(),
    MethodEntry::of::<PathLedger>(),
    MethodEntry::of::<Random>(),
    MethodEntry::of::<RelatIf>(),
    MethodEntry::of::<RepresentationSimilarity>(),
    MethodEntry::of::<RpsL2>(),
    MethodEntry::of::<Source>(),
    MethodEntry::of::<SourceAdamW>(),
    MethodEntry::of::<TfIdf>(),
    MethodEntry::of::<TracInCp>(),
    MethodEntry::of::<TrackStar>(),
    MethodEntry::of::<Trak>(),
    MethodEntry::of::<TrakCheckpoints>(),
    MethodEntry::of::<TrakPublished>(),
];

/// The scores of method `M`, with the ids of both axes.
fn label<M: Method, T: Real>(
    train: &Examples<T>,
    queries: &Queries<T>,
    values: Array2<f64>,
) -> Result<Scores, MethodError> {
    Ok(Scores::new(train.ids().to_vec(), queries.ids().to_vec(), values, M::INFO.scale)?)
}
