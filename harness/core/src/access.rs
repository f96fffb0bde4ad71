//! Access levels: what a method may read, as types and as a value to report.

use serde::{Deserialize, Serialize};

/// What was kept of a training run, and so what an attribution method may read of it.
///
/// Each level includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessLevel {
    /// Training data, queries and the outputs of the model.
    BlackBox,
    /// The parameters at the end of the run as well.
    FinalModel,
    /// Some parameters along the way, and the learning rates.
    Checkpoints,
    /// The optimiser's state at those checkpoints.
    OptimizerStates,
    /// Every step, or all that is needed to replay every step exactly.
    FullTrace,
}

impl AccessLevel {
    /// All levels, least first.
    pub const ALL: [Self; 5] = [
        Self::BlackBox,
        Self::FinalModel,
        Self::Checkpoints,
        Self::OptimizerStates,
        Self::FullTrace,
    ];

    /// The words used in reports.
    pub fn title(self) -> &'static str {
        match self {
            Self::BlackBox => "black box",
            Self::FinalModel => "final weights",
            Self::Checkpoints => "checkpoints",
            Self::OptimizerStates => "optimiser states",
            Self::FullTrace => "full trace",
        }
    }
}

impl std::fmt::Display for AccessLevel {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.title())
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A level of access as a type; sealed, because a level invented elsewhere would open the window.
pub trait Access: sealed::Sealed + 'static {
    /// The level as a value.
    const LEVEL: AccessLevel;
    /// Whether models may be trained again, whatever is kept of this one.
    const RETRAINS: bool = false;
}

/// May read the parameters at the end of the run.
pub trait ReadsWeights: Access {}
/// May read the parameters at the checkpoints.
pub trait ReadsCheckpoints: ReadsWeights {}
/// May read the optimiser's state at the checkpoints.
pub trait ReadsOptimizer: ReadsCheckpoints {}
/// May replay every step.
pub trait ReadsTrace: ReadsOptimizer {}

/// May have models trained again. A right of its own beside the levels: see [`AndRetraining`].
pub trait Retrains: Access {}

/// What level `A` reads, and the right to have models trained again on any weights of the data.
#[derive(Debug)]
pub struct AndRetraining<A>(std::marker::PhantomData<fn() -> A>);

impl<A: Access> sealed::Sealed for AndRetraining<A> {}
impl<A: Access> Access for AndRetraining<A> {
    const LEVEL: AccessLevel = A::LEVEL;
    const RETRAINS: bool = true;
}
impl<A: Access> Retrains for AndRetraining<A> {}
impl<A: ReadsWeights> ReadsWeights for AndRetraining<A> {}
impl<A: ReadsCheckpoints> ReadsCheckpoints for AndRetraining<A> {}
impl<A: ReadsOptimizer> ReadsOptimizer for AndRetraining<A> {}
impl<A: ReadsTrace> ReadsTrace for AndRetraining<A> {}

macro_rules! levels {
    ($($(#[$doc:meta])* $level:ident: $($ability:ident),*;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $level {}
        impl sealed::Sealed for $level {}
        impl Access for $level {
            const LEVEL: AccessLevel = AccessLevel::$level;
        }
        $(impl $ability for $level {})*
    )*};
}

levels! {
    /// See [`AccessLevel::BlackBox`].
    BlackBox: ;
    /// See [`AccessLevel::FinalModel`].
    FinalModel: ReadsWeights;
    /// See [`AccessLevel::Checkpoints`].
    Checkpoints: ReadsWeights, ReadsCheckpoints;
    /// See [`AccessLevel::OptimizerStates`].
    OptimizerStates: ReadsWeights, ReadsCheckpoints, ReadsOptimizer;
    /// See [`AccessLevel::FullTrace`].
    FullTrace: ReadsWeights, ReadsCheckpoints, ReadsOptimizer, ReadsTrace;
}
