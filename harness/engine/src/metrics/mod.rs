//! How well scores agree with a truth.
//!
//! One metric is one file. Truths have the shape `(R, M, Q)`: runs, rows (subsets or removed items
//! or contributors), queries; scores and predictions have one column a query. Every metric takes
//! the same [`Resamples`](crate::statistics::Resamples), so that the results of two methods pair
//! draw by draw and [`difference`](crate::statistics::Bootstrapped::difference) can compare them.

mod agreement;
mod calibration;
mod lds;
mod mislabel;
mod removal;
mod sign;
mod top_k;

pub use agreement::{Agreement, agreement};
pub use calibration::{BootstrappedLine, Calibration, calibration};
pub use lds::{LDS_QUANTILES, Lds, LdsInput, lds, subset_predictions};
pub use mislabel::{Mislabel, mislabel};
pub use removal::{Removal, removal};
pub use sign::{SignAgreement, sign_agreement};
pub use top_k::{TopK, top_k};
