//! A Merkle tree as static files in a folder: written once, read in pieces, never held in memory.

mod reader;
mod spine;
mod writer;

pub use reader::TreeReader;
pub(crate) use writer::{Behind, replace, write_tree_behind};
pub use writer::{TreeWriter, write_tree};

use crate::{error::LogError, hash::Digest};

/// Longest entry, in bytes: a bundle writes its length in 16 bits.
pub const LONGEST_ENTRY: usize = u16::MAX as usize;

/// How many entries there are, and what commits to all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeHead {
    /// Number of entries.
    pub size: u64,
    /// Root of the tree.
    pub root: Digest,
}

/// What is done with each entry that is read: its position and its bytes.
pub type See<'a> = &'a mut dyn FnMut(u64, &[u8]) -> Result<(), LogError>;
