//! Inclusion and consistency proofs, and proofs that nothing is left out behind some entry: what
//! somebody checks who holds two hashes and no log.
//!
//! # References
//! RFC 9162, sections 2.1.3.2 and 2.1.4.2.

use thiserror::Error;

use crate::hash::{Digest, empty_root, node_hash};

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The entry would lie outside of the tree.
    #[error("entry {index} does not lie in a tree of {size}")]
    OutOfRange {
        /// Position of the entry.
        index: u64,
        /// Entries in the tree.
        size: u64,
    },
    /// The older tree is empty or larger than the newer.
    #[error("a tree of {old_size} entries cannot have grown to one of {new_size}")]
    NotGrown {
        /// Entries in the older tree.
        old_size: u64,
        /// Entries in the newer tree.
        new_size: u64,
    },
    /// They are not as many entries as there are.
    #[error("{found} entries from {from} on are not the rest of a tree of {size}")]
    NotTheRest {
        /// Position of the first.
        from: u64,
        /// Entries found.
        found: usize,
        /// Entries in the tree.
        size: u64,
    },
    /// There are more or fewer hashes than the sizes ask for.
    #[error("{found} hashes are not the path that trees of these sizes have")]
    Length {
        /// Hashes found.
        found: usize,
    },
    /// The hashes lead to another root.
    #[error("the hashes lead to the root {found}, not to {expected}")]
    Root {
        /// Where they lead.
        found: Digest,
        /// Where they should.
        expected: Digest,
    },
}

/// Whether the entry with hash `leaf` stands at `index` of the tree of `size` entries under `root`.
///
/// # Errors
/// [`ProofError`] says what does not fit.
pub fn verify_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    path: &[Digest],
    root: &Digest,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange { index, size });
    }
    let wrong_length = ProofError::Length { found: path.len() };
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return Err(wrong_length);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            skip_lone_levels(&mut node, &mut last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(wrong_length);
    }
    same_root(hash, *root)
}

/// Whether the tree of `new_size` entries under `new_root` begins with the `old_size` entries
/// under `old_root`.
///
/// # Errors
/// [`ProofError`] says what does not fit; an empty older tree is refused, since it is a part of
/// every tree and proves nothing.
pub fn verify_consistency(
    (old_size, old_root): (u64, &Digest),
    (new_size, new_root): (u64, &Digest),
    path: &[Digest],
) -> Result<(), ProofError> {
    if old_size == 0 || old_size > new_size {
        return Err(ProofError::NotGrown { old_size, new_size });
    }
    let wrong_length = ProofError::Length { found: path.len() };
    if old_size == new_size {
        return if path.is_empty() { same_root(*new_root, *old_root) } else { Err(wrong_length) };
    }
    // A full older tree is itself the first node of the path, and is then left out of it.
    let (first, rest) = match path {
        [] => return Err(wrong_length),
        path if old_size.is_power_of_two() => (*old_root, path),
        [first, rest @ ..] => (*first, rest),
    };
    let (mut node, mut last) = (old_size - 1, new_size - 1);
    while node & 1 == 1 {
        (node, last) = (node >> 1, last >> 1);
    }
    let (mut old_hash, mut new_hash) = (first, first);
    for sibling in rest {
        if last == 0 {
            return Err(wrong_length);
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            skip_lone_levels(&mut node, &mut last);
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(wrong_length);
    }
    same_root(old_hash, *old_root)?;
    same_root(new_hash, *new_root)
}

/// Whether `leaves` are all entries from position `from` on of the tree of `size` entries under
/// `root`: none is left out, added or moved.
///
/// `before` are the roots of the full subtrees that the entries before them make up, from left to
/// right: one for each bit of `from` that is set. A verifier who grows the tree from there, leaf by
/// leaf, comes to its root; who leaves a leaf out comes to another.
///
/// # Errors
/// [`ProofError`] says what does not fit.
pub fn verify_rest(
    (from, before): (u64, &[Digest]),
    leaves: &[Digest],
    (size, root): (u64, &Digest),
) -> Result<(), ProofError> {
    let found = leaves.len();
    if from.checked_add(found as u64) != Some(size) {
        return Err(ProofError::NotTheRest { from, found, size });
    }
    if before.len() != from.count_ones() as usize {
        return Err(ProofError::Length { found: before.len() });
    }
    // Full subtrees from left to right, with their heights.
    let mut edge: Vec<(u32, Digest)> = full_subtrees(from).zip(before.iter().copied()).collect();
    for leaf in leaves {
        let (mut height, mut hash) = (0, *leaf);
        while let Some((_, left)) = edge.pop_if(|(other, _)| *other == height) {
            (height, hash) = (height + 1, node_hash(&left, &hash));
        }
        edge.push((height, hash));
    }
    let subtrees = edge.into_iter().rev().map(|(_, hash)| hash);
    let found = subtrees.reduce(|right, left| node_hash(&left, &right));
    same_root(found.unwrap_or_else(empty_root), *root)
}

/// Heights of the full subtrees that the first `size` leaves of a tree make up, from left to right.
pub(crate) fn full_subtrees(size: u64) -> impl Iterator<Item = u32> {
    (0..u64::BITS).rev().filter(move |height| size >> height & 1 == 1)
}

/// Passes the levels at which a node on the right edge has no sibling.
fn skip_lone_levels(node: &mut u64, last: &mut u64) {
    while *node & 1 == 0 && *node != 0 {
        (*node, *last) = (*node >> 1, *last >> 1);
    }
}

fn same_root(found: Digest, expected: Digest) -> Result<(), ProofError> {
    if found == expected { Ok(()) } else { Err(ProofError::Root { found, expected }) }
}

#[cfg(test)]
mod tests {
    use super::{ProofError, verify_consistency, verify_inclusion, verify_rest};
    use crate::hash::{leaf_hash, node_hash};

    #[test]
    fn trees_of_three_by_hand() {
        // Root of three: node(node(a, b), c). The path of c is the single hash node(a, b).
        let [a, b, c] = ["a", "b", "c"].map(|entry| leaf_hash(entry.as_bytes()));
        let ab = node_hash(&a, &b);
        let root = node_hash(&ab, &c);
        assert_eq!(verify_inclusion(&c, 2, 3, &[ab], &root), Ok(()));
        assert_eq!(verify_inclusion(&a, 0, 3, &[b, c], &root), Ok(()));
        assert!(matches!(verify_inclusion(&a, 0, 3, &[c, b], &root), Err(ProofError::Root { .. })));
        let short = verify_inclusion(&a, 0, 3, &[b], &root);
        assert_eq!(short, Err(ProofError::Length { found: 1 }));
        let outside = verify_inclusion(&a, 3, 3, &[b, c], &root);
        assert_eq!(outside, Err(ProofError::OutOfRange { index: 3, size: 3 }));
        // The rest from the third on: before it stands one full subtree, node(a, b).
        assert_eq!(verify_rest((2, &[ab]), &[c], (3, &root)), Ok(()));
        assert_eq!(verify_rest((0, &[]), &[a, b, c], (3, &root)), Ok(()));
        assert_eq!(verify_rest((3, &[ab, c]), &[], (3, &root)), Ok(()));
        let cut = verify_rest((2, &[ab]), &[], (3, &root));
        assert_eq!(cut, Err(ProofError::NotTheRest { from: 2, found: 0, size: 3 }));
        let cut = verify_rest((1, &[a]), &[c], (2, &root));
        assert!(matches!(cut, Err(ProofError::Root { .. })));
        // From two to three: the old tree is full, so that the path is c alone.
        assert_eq!(verify_consistency((2, &ab), (3, &root), &[c]), Ok(()));
        let swapped = verify_consistency((2, &a), (3, &root), &[c]);
        assert!(matches!(swapped, Err(ProofError::Root { .. })));
        let shrunk = verify_consistency((3, &root), (2, &ab), &[c]);
        assert_eq!(shrunk, Err(ProofError::NotGrown { old_size: 3, new_size: 2 }));
    }
}
