//! A record of training, attribution and payout that nobody can change unseen.
//!
//! An append-only Merkle log ([`tree`], [`log`]) is kept as static tiles in the folder of a run,
//! its heads are signed ([`note`], [`checkpoint`]), and single entries are proved from it
//! ([`proof`]). The formats are other people's: RFC 9162 for trees and proofs, C2SP `tlog-tiles`,
//! `tlog-checkpoint` and `signed-note` for the files.
//!
//! The crate knows neither models nor money: it imports nothing of this workspace.

pub mod checkpoint;
pub mod croissant;
pub mod error;
pub mod hash;
pub mod journal;
pub mod key;
pub mod log;
pub mod note;
pub mod proof;
pub mod receipt;
pub mod recorder;
pub mod records;
pub mod state;
pub mod statement;
pub mod tile;
pub mod tree;
pub mod verify;

pub use checkpoint::Checkpoint;
pub use error::LogError;
pub use hash::{Digest, StateDigest, empty_root, leaf_hash, node_hash};
pub use log::{Log, LogReader};
pub use note::{Note, SigningKey, VerifyingKey};
pub use tree::{TreeHead, TreeReader, TreeWriter};
