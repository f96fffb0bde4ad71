//! What is written in a log, and the exact bytes of it.
//!
//! A record is JSON by RFC 8785 restricted to objects, arrays and strings, so that there is one way
//! to write it: fields in the order of their names, no spaces, integers as decimal digits, real
//! numbers by their bits, digests in hexadecimal, times in seconds. A reader refuses other bytes,
//! other fields and other kinds. `schemas/` holds the JSON Schema of each kind.
//!
//! Names of contributors are pseudonyms that their owner can prove to be theirs; what is known of
//! the person stays outside of the log, which cannot forget.

mod values;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use thiserror::Error;

use crate::hash::{Digest, StateDigest};
pub use values::{Bits, Column, Count, Kind, Kinded, Shape};

/// Why bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// They are not JSON of this kind.
    #[error("this is no record: {reason}")]
    Form {
        /// What the parser said.
        reason: String,
    },
    /// They are a record, written in another way than the one.
    #[error("this record is not written in the canonical way\nhint: fields in order, no spaces")]
    NotCanonical,
    /// A kind that this program does not know.
    #[error("a record of unknown kind {found:?} (known: {})", KINDS.join(", "))]
    UnknownKind {
        /// The kind.
        found: String,
    },
}

/// What can be written and read as a leaf of a tree.
pub trait Leaf: Serialize + DeserializeOwned {}

impl<R: Serialize + DeserializeOwned> Leaf for R {}

/// Canonical bytes of a record.
///
/// # Panics
/// Never: records are plain data.
pub fn to_bytes<R: Serialize>(record: &R) -> Vec<u8> {
    serde_json::to_vec(record).expect("records are plain data")
}

/// Reads a record of a kind that is known beforehand.
///
/// # Errors
/// [`RecordError`] for every other byte sequence than the one that [`to_bytes`] gives.
pub fn from_bytes<R: Leaf>(bytes: &[u8]) -> Result<R, RecordError> {
    let record: R = serde_json::from_slice(bytes)
        .map_err(|error| RecordError::Form { reason: error.to_string() })?;
    if to_bytes(&record) == bytes { Ok(record) } else { Err(RecordError::NotCanonical) }
}

macro_rules! records {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident = $kind:literal {
            $($(#[doc = $field_doc:literal])+ $field:ident: $type:ty,)+
        }
    )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $name {
                $($(#[doc = $field_doc])+ pub $field: $type,)+
            }

            impl Kinded for $name {
                const KIND: &'static str = $kind;
            }

            impl From<$name> for Record {
                fn from(record: $name) -> Self {
                    Self::$name(record)
                }
            }
        )+

        /// Every kind of record.
        pub const KINDS: &[&str] = &[$($kind),+];

        /// A record of any kind.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Record {
            $(
                #[doc = $kind]
                $name($name),
            )+
        }

        impl Record {
            /// Canonical bytes.
            pub fn to_bytes(&self) -> Vec<u8> {
                match self {
                    $(Self::$name(record) => to_bytes(record),)+
                }
            }

            /// Reads a record.
            ///
            /// # Errors
            /// As [`from_bytes`], and [`RecordError::UnknownKind`].
            pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
                let found = kind_of(bytes)?;
                match found.as_str() {
                    $($kind => from_bytes(bytes).map(Self::$name),)+
                    _ => Err(RecordError::UnknownKind { found: found.chars().take(80).collect() }),
                }
            }

            /// Its kind.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $kind,)+
                }
            }
        }

        /// JSON Schema of every kind of record.
        pub fn schemas() -> Vec<(&'static str, Value)> {
            vec![$(($kind, {
                let mut properties = serde_json::Map::new();
                $(
                    let mut property = <$type as Shape>::schema();
                    property["description"] = concat!($($field_doc),+).trim().into();
                    properties.insert(stringify!($field).to_owned(), property);
                )+
                let required: Vec<&str> = vec![$(stringify!($field)),+];
                json!({
                    "$schema": "https://json-schema.org/draft/2020-12/schema",
                    "$id": concat!("urn:attribench:", $kind),
                    "title": $kind,
                    "description": concat!($($doc),+).trim(),
                    "type": "object",
                    "additionalProperties": false,
                    "required": required,
                    "properties": properties,
                })
            })),+]
        }
    };
}

/// The field `kind`, whatever else there is.
fn kind_of(bytes: &[u8]) -> Result<String, RecordError> {
    #[derive(Deserialize)]
    struct Only {
        kind: String,
    }
    let only: Only = serde_json::from_slice(bytes)
        .map_err(|error| RecordError::Form { reason: error.to_string() })?;
    Ok(only.kind)
}

records! {
    /// First entry of a run: everything that is fixed before the first step.
    Commitment = "commitment/v1" {
        /// Digest of the program's own file.
        binary: Digest,
        /// Digest of the sources that numbers come from.
        code: Digest,
        /// Digest of the specification's text.
        configuration: Digest,
        /// Root of the tree in `contributors/`: one leaf a contributor.
        contributors_root: Digest,
        /// Number of contributors.
        contributors_size: Count,
        /// Processor, instructions, operating system, compiler, threads.
        environment: BTreeMap<String, String>,
        /// What this is.
        kind: Kind<Commitment>,
        /// Digest of the list of exact versions of all packages.
        lockfile: Digest,
        /// Root of the tree in `manifest/`: one leaf an example, in training order.
        manifest_root: Digest,
        /// Number of examples.
        manifest_size: Count,
        /// Name of the model.
        model: String,
        /// Root over all batches: one leaf a step, the JSON text of its list of examples.
        order_root: Digest,
        /// Number of parameters.
        parameters: Count,
        /// Number type of parameters.
        precision: String,
        /// Name of the run.
        run: String,
        /// H(seed || nonce), the seed as its decimal digits; both stand in the last entry of the
        /// training.
        seed_commitment: Digest,
        /// Number of steps.
        steps: Count,
        /// When the run began.
        time: Count,
    }

    /// Leaf of `manifest/`: one example of the training set.
    Item = "item/v1" {
        /// Lowest number of an example with the same content; its own where there is none.
        cluster: Count,
        /// Digest of features and target as they were trained on.
        content: Digest,
        /// Whose it is.
        contributor: String,
        /// Number of the example.
        example: Count,
        /// What this is.
        kind: Kind<Item>,
        /// Licence under which it was given.
        licence: String,
        /// When it was contributed; the beginning of the run where nothing is known.
        time: Count,
    }

    /// Leaf of `contributors/`: what belongs to one contributor.
    Contributor = "contributor/v1" {
        /// Name.
        contributor: String,
        /// Position in lists of contributors.
        index: Count,
        /// Number of examples.
        items: Count,
        /// Root over the contributor's leaves of `manifest/`, in their order there.
        items_root: Digest,
        /// What this is.
        kind: Kind<Contributor>,
    }

    /// State of the run that was kept, so that steps can be taken again from it.
    Kept = "checkpoint/v2" {
        /// What this is.
        kind: Kind<Kept>,
        /// Digest of the optimiser's state.
        optimizer: StateDigest,
        /// Position of the entry of the state kept before; of the commitment for the first.
        parent: Count,
        /// Digest of the parameters.
        state: StateDigest,
        /// Steps taken.
        step: Count,
    }

    /// One step.
    Step = "step/v2" {
        /// Numbers of the examples in the batch, in order.
        batch: Column<Count>,
        /// Credit of each of them: first-order gain in the mean utility of the credited queries.
        credits: Column<Bits>,
        /// What this is.
        kind: Kind<Step>,
        /// Learning rate.
        rate: Bits,
        /// Digest of the parameters after the step.
        state: StateDigest,
        /// Number of the step, from 0.
        step: Count,
    }

    /// Last entry of the training.
    End = "end/v2" {
        /// Root of the tree in `credits/`: one leaf a contributor.
        credits_root: Digest,
        /// What this is.
        kind: Kind<End>,
        /// What hid the seed until now.
        nonce: Digest,
        /// The seed.
        seed: Count,
        /// Digest of the final parameters.
        state: StateDigest,
        /// Steps taken.
        steps: Count,
        /// When the training ended.
        time: Count,
    }

    /// Leaf of `credits/`: what the steps credited to one contributor.
    Credit = "credit/v1" {
        /// Name.
        contributor: String,
        /// Sum of the credits of all steps, in order, example by example.
        credit: Bits,
        /// What this is.
        kind: Kind<Credit>,
        /// How often an example of the contributor stood in a batch.
        occurrences: Count,
    }

    /// Scores of one method.
    Attribution = "attribution/v2" {
        /// What the method read.
        access: String,
        /// Position of the entry that the training began with.
        commitment: Count,
        /// Passes over examples, by kind.
        cost: BTreeMap<String, String>,
        /// Measured errors of the method, each with its interval.
        errors: Vec<Measured>,
        /// What scores are multiplied with before they are paid by; 1 where they have a unit.
        factor: Bits,
        /// What this is.
        kind: Kind<Attribution>,
        /// Label of the method in the run.
        label: String,
        /// Name of the method.
        method: String,
        /// Parameters of the method, as JSON text.
        parameters: String,
        /// Digest of the queries' content.
        queries: Digest,
        /// What a score of 1 means.
        scale: String,
        /// Root of the tree in `attributions/N/scores/`: one leaf a query.
        scores_root: Digest,
        /// Number of queries.
        scores_size: Count,
        /// When it was recorded.
        time: Count,
        /// Root of the tree in `attributions/N/totals/`: one leaf a contributor.
        totals_root: Digest,
    }

    /// Leaf of `attributions/N/scores/`: scores of all examples for one query.
    QueryScores = "query-scores/v1" {
        /// What this is.
        kind: Kind<QueryScores>,
        /// Number of the query.
        query: Count,
        /// One score an example, in training order; positive means that keeping it helps.
        scores: Column<Bits>,
    }

    /// Leaf of `attributions/N/totals/`: scores of one contributor.
    Total = "total/v1" {
        /// Name.
        contributor: String,
        /// What this is.
        kind: Kind<Total>,
        /// Sum over the contributor's examples in training order, times the attribution's factor: a
        /// number for each query, as it was paid by.
        scores: Column<Bits>,
        /// Sum of these over queries.
        total: Bits,
    }

    /// Money that was split by one attribution.
    Settlement = "settlement/v1" {
        /// Position of the entry of the attribution that it pays by.
        attribution: Count,
        /// Destroyed.
        burn: Count,
        /// Left for later.
        carry: Count,
        /// Epoch of the settlement in the books.
        epoch: Count,
        /// Root of the journal's tree: one leaf a posting.
        journal_root: Digest,
        /// Number of postings.
        journal_size: Count,
        /// What this is.
        kind: Kind<Settlement>,
        /// Label of the method in the run.
        label: String,
        /// Paid to contributors.
        paid: Count,
        /// Root of the tree in `settlements/N/payouts/`: one leaf a contributor.
        payouts_root: Digest,
        /// Money to be split.
        pot: Count,
        /// Payout rule.
        rule: String,
        /// Seed of the rule's draws.
        seed: Count,
        /// When it was recorded.
        time: Count,
        /// Given back to the treasury.
        treasury: Count,
    }

    /// Leaf of `settlements/N/payouts/`: what one contributor was paid.
    Payout = "payout/v1" {
        /// Base units.
        amount: Count,
        /// Name.
        contributor: String,
        /// Index of the contributor's account.
        index: Count,
        /// What this is.
        kind: Kind<Payout>,
    }

    /// Something that was contributed after the training began, for a later run.
    Contribution = "contribution/v1" {
        /// Digest of the content.
        content: Digest,
        /// Whose it is.
        contributor: String,
        /// What this is.
        kind: Kind<Contribution>,
        /// Licence under which it was given.
        licence: String,
        /// When it was contributed: not before what stands above it in the log.
        time: Count,
    }

    /// A later word on an earlier entry, which stays as it is.
    Correction = "correction/v1" {
        /// Position of the entry.
        entry: Count,
        /// What this is.
        kind: Kind<Correction>,
        /// What is wrong with it, and what is right.
        reason: String,
        /// When it was written.
        time: Count,
    }

    /// Word that an example must not be used any more; its leaf stays, its content is deleted.
    Deletion = "deletion/v1" {
        /// Position of the example in `manifest/`.
        item: Count,
        /// What this is.
        kind: Kind<Deletion>,
        /// Why.
        reason: String,
        /// When it was written.
        time: Count,
    }
}

/// A measured error with its interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Level of the interval.
    pub level: Bits,
    /// Lower end of the interval.
    pub lower: Bits,
    /// What was measured.
    pub metric: String,
    /// The value.
    pub point: Bits,
    /// The truth that it was measured against.
    pub truth: String,
    /// Unit of the value.
    pub unit: String,
    /// Upper end of the interval.
    pub upper: Bits,
}

impl Shape for Measured {
    fn schema() -> Value {
        let (text, bits) = (String::schema(), Bits::schema());
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["level", "lower", "metric", "point", "truth", "unit", "upper"],
            "properties": {
                "level": bits, "lower": bits, "metric": text, "point": bits,
                "truth": text, "unit": text, "upper": bits,
            },
        })
    }
}
