//! Incremental root of the journal's hash tree (RFC 9162: leaf 0x00, node 0x01, empty root H("")).
//!
//! A leaf is a page of postings: with one posting a leaf, hashing costs several times what
//! replaying does, because a posting of two lines fills half a block of the hash and its node needs
//! two more.

use sha2::{Digest, Sha256};

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// Hash of a leaf: `H(0x00 || entry)`.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(entry).finalize().into()
}

/// Hash of an inner node: `H(0x01 || left || right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// Root of the tree without entries: `H("")`.
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The right edge of a growing tree: roots of its full subtrees, the largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

impl Frontier {
    /// Adds an entry in amortised constant time.
    pub fn push(&mut self, entry: &[u8]) {
        let mut hash = leaf_hash(entry);
        // Each trailing one bit of the old size is a full subtree that the new leaf completes.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.roots.push(hash);
        self.size += 1;
    }

    /// Root over all entries pushed.
    pub fn root(&self) -> Hash {
        let fold = |right: Hash, left: &Hash| node_hash(left, &right);
        let mut from_right = self.roots.iter().rev();
        match from_right.next() {
            Some(last) => from_right.fold(*last, fold),
            None => empty_root(),
        }
    }
}

/// Postings on a page; the last page may have fewer.
pub const POSTINGS_A_PAGE: usize = 64;

/// The tree over pages of postings, one after the other in their canonical bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    full: Frontier,
    page: Vec<u8>,
    postings: usize,
}

impl Pages {
    /// Adds a posting, whose bytes `write` appends.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.page);
        self.postings += 1;
        if self.postings == POSTINGS_A_PAGE {
            self.full.push(&self.page);
            self.page.clear();
            self.postings = 0;
        }
    }

    /// Root over all postings added, those of the page that is not full yet included.
    pub fn root(&self) -> Hash {
        if self.postings == 0 {
            return self.full.root();
        }
        let mut all = self.full.clone();
        all.push(&self.page);
        all.root()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(hash: &Hash) -> String {
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn roots_of_the_certificate_transparency_vectors() {
        let inputs: [&[u8]; 8] = [
            b"",
            &[0x00],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            b"`abcdefghijklmno",
        ];
        let mut frontier = Frontier::default();
        assert!(hex(&frontier.root()).starts_with("e3b0c442"));
        for input in &inputs[..7] {
            frontier.push(input);
        }
        let seven = "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c";
        assert_eq!(hex(&frontier.root()), seven);
        frontier.push(inputs[7]);
        let eight = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328";
        assert_eq!(hex(&frontier.root()), eight);
    }

    #[test]
    fn pages_are_leaves() {
        // 64 postings are one page, the 65th begins the next.
        let mut pages = Pages::default();
        assert_eq!(pages.root(), empty_root());
        let bytes: Vec<u8> = (0..65).collect();
        for &byte in &bytes {
            pages.push(|page| page.push(byte));
        }
        let first = leaf_hash(&bytes[..64]);
        assert_eq!(pages.root(), node_hash(&first, &leaf_hash(&bytes[64..])));
        let mut one = Pages::default();
        bytes[..64].iter().for_each(|&byte| one.push(|page| page.push(byte)));
        assert_eq!(one.root(), first);
    }
}
