//! The contract between training runs and attribution methods.
//!
//! A training run is a deterministic function of data weights. A [`Method`] sees a run through a
//! [`View`] of its own [`AccessLevel`] and returns [`Scores`]; nothing here knows a truth, a
//! metric, a file or a clock.

mod access;
mod captures;
mod encoder;
mod estimate;
mod examples;
mod games;
mod instrumentation;
mod layout;
pub mod math;
mod meter;
mod method;
mod model;
mod optimiser;
mod real;
mod record;
mod retrain;
mod run;
mod scores;
mod streams;
mod utility;
pub mod vector;
mod view;

pub use access::{
    Access, AccessLevel, AndRetraining, BlackBox, Checkpoints, FinalModel, FullTrace,
    OptimizerStates, ReadsCheckpoints, ReadsOptimizer, ReadsTrace, ReadsWeights, Retrains,
};
pub use attribench_datasets::{TokenLoss, TokenTargets, Tokenizer};
pub use captures::{Captures, Inputs, LayerCapture};
pub use encoder::{BuildEncoder, Encoder, EncoderEntry, TakeTensor};
pub use estimate::Estimate;
pub use examples::{Examples, Labels};
pub use games::{
    Ask, Axioms, Coalition, Game, GameError, GroupedGame, NamedValuation, Reached, Repeats,
    Stopped, TableGame, Valuation, ValuationContext, ValuationEntry, ValuationInfo, Valued,
};
pub use instrumentation::{Instrumentation, LoggedSteps};
pub use layout::{Block, Layer, LayerKind, Layout};
pub use meter::{Cost, Meter};
pub use method::{
    Account, Context, ErasedMethod, FitReal, Method, MethodEntry, MethodError, MethodInfo,
    ParameterError, ProblemSize, Queries, Scorer,
};
pub use model::{
    Adapters, AnyModel, BuildModel, ConfigureModel, Curvature, DataShape, Elsewhere, LabelChoice,
    Model, ModelEntry, ModelInput, ParameterNames, ResumeModel, Stack,
};
pub use optimiser::{AdamW, HeavyBall, Optimiser, Sgd, StepSize, UpdateRule, WeightDecay};
pub use real::Real;
pub use record::{
    Agreement, EffectPair, Failure, ForgeryFinding, GameShare, Manipulated, Payout, QueryUtility,
    Record, Row, SamplingError, Timing, Trial, TrialOutcome, UtilityGap, Verdict,
};
pub use retrain::{Measured, Retrain};
pub use run::{Checkpoint, Observer, Recipe, Run, RunError, Step};
pub use scores::{Scale, Scores, ScoresError};
pub use streams::stream;
pub use utility::{Quantity, Utility};
pub use view::{ModelAt, View};
