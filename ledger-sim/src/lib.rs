//! Money paid by training-data attribution: integer books, payout rules, an independent auditor,
//! and the measures that tell what an estimate of attribution costs the people who are paid by it.
//!
//! The pipeline is score, rule, integer payout, claimable balance, claimed, received. The same
//! pipeline is run on exact scores and on estimates of them; [`metrics`] compares the two.
//!
//! Money is integer ([`money::Amount`]); no float ever holds any. Only [`ledger::Ledger::post`]
//! changes a balance, and [`audit::audit`] recomputes all of them by other code. The crate uses
//! neither threads, files nor clocks, and all randomness is counter-based ([`random::Streams`]).
//!
//! The front door for the last stage of an attribution experiment is [`stream::settle_stream`]:
//!
//! ```
//! use ledger_sim::metrics::PayoutError;
//! use ledger_sim::money::Amount;
//! use ledger_sim::rules::{self, Parameters};
//! use ledger_sim::scores::ScoreView;
//! use ledger_sim::stream::{StreamOptions, settle_stream};
//!
//! // Three contributors (rows) and two queries (columns): exact scores and an estimate of them.
//! let exact = ScoreView::from_dense(3, 2, &[2.0, 1.0, 0.0, 1.0, 0.0, 2.0])?;
//! let estimate = ScoreView::from_dense(3, 2, &[2.0, 1.0, 0.5, 1.0, -0.5, 2.0])?;
//! let rule = rules::build("linear-clipped", &Parameters::new())?;
//! let (pool, options) = (Amount::new(1_000), StreamOptions::seeded(7));
//! let owed = settle_stream(&exact, pool, rule.as_ref(), &options)?;
//! let paid = settle_stream(&estimate, pool, rule.as_ref(), &options)?;
//! // The first query pays 500 to the first contributor; the estimate gives the second a fifth.
//! let error = PayoutError::between(owed.payouts(), paid.payouts(), Amount::ZERO)?;
//! assert_eq!(error.mispaid, Amount::new(100));
//! # Ok::<(), ledger_sim::refusal::Refusal>(())
//! ```

pub mod account;
pub mod adoption;
pub mod agents;
pub mod apportion;
pub mod audit;
pub mod calibration;
pub mod demand;
pub mod designs;
pub mod document;
pub mod emission;
pub mod engines;
pub mod fees;
pub mod friction;
pub mod ledger;
pub mod merkle;
pub mod metrics;
pub mod money;
pub mod noise;
pub mod posting;
pub mod prices;
pub mod random;
pub mod refusal;
pub mod rules;
pub mod scenario;
pub mod scores;
pub mod semivalue;
pub mod settlement;
pub mod simulation;
pub mod stream;
mod wide;
