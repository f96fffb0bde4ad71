//! Strategic behaviour in open loop: what changes are owners, usage and timing, not the models.
//!
//! Relabelling leaves the scores of items as they are, so that its result here is exact.

mod best_response;
mod churn;
mod deterrence;

pub use best_response::{BestResponse, Phase, best_response};
pub use churn::StopHazard;
pub use deterrence::{WashTrade, deterring_bond};
