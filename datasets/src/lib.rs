//! Data sets with their contributors: loaders, embedded excerpts, ownership rules and corruptions.
//!
//! The way of the data, each step deterministic in its seed:
//!
//! 1. [`load`] reads a [`Source`]: an embedded excerpt of [`REGISTRY`] or the user's own files;
//! 2. [`split`] draws disjoint train, query and tuning-query sets into [`Splits`];
//! 3. [`assign_owners`] gives the training examples their contributors by an [`Ownership`] rule;
//! 4. [`corrupt`] damages them on purpose and hands back the [`AnswerKey`] apart from the data;
//! 5. [`Splits::standardised`] scales every set by moments of the training set alone.
//!
//! # Example
//! ```
//! use attribench_datasets::{
//!     Ownership, Source, SplitOptions, Standardisation, Stratification, assign_owners, load,
//!     split,
//! };
//!
//! let loaded = load(&Source::Embedded("wine".into()))?;
//! let options = SplitOptions {
//!     train_size: Some(100),
//!     query_size: 30,
//!     tuning_query_size: 20,
//!     stratification: Stratification::ByClass,
//! };
//! let splits = split(loaded, &options, 7)?;
//! let owned = assign_owners(splits.train().clone(), &Ownership::Equal { contributors: 5 }, 7)?;
//! let splits = splits.with_train(owned)?.standardised(Standardisation::PerFeature)?;
//! assert_eq!(splits.train().contributors().len(), 5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

/// Authors, licences and notices of all embedded data.
pub const NOTICE: &str = include_str!("../data/NOTICE.md");

mod apportion;
mod asks;
mod byte_pairs;
mod corruption;
mod dataset;
mod documents;
mod error;
mod idx;
mod manifest;
mod moments;
pub mod npz;
mod ownership;
mod pieces;
mod random;
mod sets;
mod source;
mod split;
mod standardise;
mod table;
mod tokenizer;
mod tokens;
mod windows;

pub use asks::{Asks, AsksError};
pub use corruption::{
    Amount, AnswerKey, CopyOwner, Corruption, CorruptionError, Duplicate, DuplicateKind, Flip,
    corrupt,
};
pub use dataset::{Dataset, DatasetError, ExampleId, Targets};
pub use documents::Fields;
pub use error::SourceError;
pub use manifest::{EmbeddedFile, FILES, embedded_weights};
pub use ownership::{Ownership, OwnershipError, assign_owners};
pub use pieces::Pieces;
pub use sets::csv_file::{Column, CsvFile, Header, TargetKind};
pub use sets::idx_files::{IdxFiles, IdxPair};
pub use sets::npz_files::NpzFiles;
pub use sets::texts::Texts;
pub use sets::{ALL, Entry, Loader, REGISTRY};
pub use source::{Loaded, MissingValues, Source, load};
pub use split::{SplitError, SplitOptions, Splits, Stratification, split};
pub use standardise::{Standardisation, Standardiser};
pub use tokenizer::{Characters, Tokenizer, Tokens};
pub use tokens::{TokenLoss, TokenTargets};
pub use windows::HoldOut;
