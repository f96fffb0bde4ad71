//! Values of cooperative games, one a file, and their [`REGISTRY`].
//!
//! A game answers what coalitions are worth: retraining, nearest neighbours, a table or a formula.
//! A sampler says which coalitions are asked for. A value turns the answers into what each player
//! is worth. Values that share a sampler ask for the same coalitions, so that a game that keeps
//! its answers is evaluated once for all of them.
//!
//! Every sampled value carries a standard error. Each draw is evaluated under a seed of its own
//! where the game is noisy, so that the spread over draws holds the noise of the game.

pub mod ame;
pub mod antithetic_shapley;
pub mod asymmetric_shapley;
pub mod banzhaf;
pub mod banzhaf_msr;
pub mod beta;
pub mod beta_permutation;
mod core_programme;
pub mod datamodels;
pub mod egalitarian_least_core;
pub mod faithful_group;
pub mod group_testing;
pub mod influence_subsample;
mod lasso;
pub mod least_core;
pub mod leave_one_out;
mod linear;
pub mod permutation_shapley;
mod recall;
mod regression;
pub mod rotation_shapley;
mod sampling;
mod semivalue;
pub mod shapley;
pub mod stratified_shapley;
mod sums;
pub mod toy;
pub mod truncated_shapley;

use attribench_core::ValuationEntry;

pub use ame::Ame;
pub use antithetic_shapley::AntitheticShapley;
pub use asymmetric_shapley::AsymmetricShapley;
pub use banzhaf::Banzhaf;
pub use banzhaf_msr::BanzhafMsr;
pub use beta::Beta;
pub use beta_permutation::BetaPermutation;
pub use datamodels::Datamodels;
pub use egalitarian_least_core::EgalitarianLeastCore;
pub use faithful_group::FaithfulGroup;
pub use group_testing::GroupTesting;
pub use influence_subsample::InfluenceSubsample;
pub use least_core::LeastCore;
pub use leave_one_out::LeaveOneOut;
pub use permutation_shapley::PermutationShapley;
pub use rotation_shapley::RotationShapley;
pub use sampling::Stop;
pub use semivalue::Semivalue;
pub use shapley::Shapley;
pub use stratified_shapley::StratifiedShapley;
pub use truncated_shapley::TruncatedShapley;

/// All values, sorted by the type's name.
pub static REGISTRY: &[ValuationEntry] = &[
    ValuationEntry::of::<Ame>(),
    ValuationEntry::of::<AntitheticShapley>(),
    ValuationEntry::of::<AsymmetricShapley>(),
    ValuationEntry::of::<Banzhaf>(),
    ValuationEntry::of::<BanzhafMsr>(),
    ValuationEntry::of::<Beta>(),
    ValuationEntry::of::<BetaPermutation>(),
    ValuationEntry::of::<Datamodels>(),
    ValuationEntry::of::<EgalitarianLeastCore>(),
    ValuationEntry::of::<FaithfulGroup>(),
    ValuationEntry::of::<GroupTesting>(),
    ValuationEntry::of::<InfluenceSubsample>(),
    ValuationEntry::of::<LeastCore>(),
    ValuationEntry::of::<LeaveOneOut>(),
    ValuationEntry::of::<PermutationShapley>(),
    ValuationEntry::of::<RotationShapley>(),
    ValuationEntry::of::<Shapley>(),
    ValuationEntry::of::<StratifiedShapley>(),
    ValuationEntry::of::<TruncatedShapley>(),
];
