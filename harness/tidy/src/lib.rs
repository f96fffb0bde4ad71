//! Laws of the house, as functions from the files of the checkout to complaints.
//!
//! A law reads text and returns one sentence for every breach, which names the file and the fix; no
//! complaint means that the law is kept. `tests/laws.rs` holds the checkout against every law, and
//! each module shows on small bad inputs that its laws can be broken.

pub mod crates;
pub mod documents;
pub mod experiments;
pub mod registries;
pub mod source;
pub mod tree;
