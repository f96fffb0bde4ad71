//! From a specification to rows: training, retraining, scoring, measuring, all by registries that
//! are handed in.

pub mod answering;
pub mod closed_loop;
pub mod diagnostics;
pub mod encoded;
pub mod evaluations;
pub mod expectation;
pub mod files;
pub mod forecast;
pub mod games;
pub mod given;
pub mod imported;
pub mod known_part;
pub mod logged;
pub mod measure;
pub mod metrics;
pub mod pipeline;
pub mod plan;
pub mod progress;
pub mod proxy;
pub mod recording;
pub mod retrain;
pub mod rounds;
pub mod scored_again;
pub mod scoring;
mod shown;
pub mod spec;
pub mod statistics;
pub mod store;
pub mod trace;
pub mod training;
pub mod treasury;
pub mod truths;
pub mod tuning;
