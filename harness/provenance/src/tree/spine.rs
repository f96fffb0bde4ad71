//! The right edge of a growing tree: for each level of tiles, the hashes of its last tile.

use crate::{
    error::LogError,
    hash::{Digest, empty_root, node_hash, root_of},
    tile::{TILE_HEIGHT, TILE_WIDTH},
    tree::TreeHead,
};

/// What is done with each tile that becomes full: its level, its index and its hashes.
pub(crate) type OnFull<'a> = &'a mut dyn FnMut(u32, u64, &[Digest]) -> Result<(), LogError>;

/// Fewer than 256 hashes a level, however large the tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spine {
    size: u64,
    levels: Vec<Vec<Digest>>,
}

impl Spine {
    /// The edge of a tree of `size` entries, from the hashes of the last tile of each level.
    pub(crate) fn from_levels(size: u64, levels: Vec<Vec<Digest>>) -> Self {
        Self { size, levels }
    }

    /// Number of leaves.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Hashes of the last tile of each level, the leaves first.
    pub(crate) fn levels(&self) -> &[Vec<Digest>] {
        &self.levels
    }

    /// Adds a leaf and hands every tile that it fills to `on_full`.
    pub(crate) fn push(&mut self, leaf: Digest, on_full: OnFull<'_>) -> Result<(), LogError> {
        let mut hash = leaf;
        self.size += 1;
        for level in 0u32.. {
            let position = level as usize;
            if self.levels.len() == position {
                self.levels.push(Vec::with_capacity(TILE_WIDTH as usize));
            }
            let tile = &mut self.levels[position];
            tile.push(hash);
            if (tile.len() as u64) < TILE_WIDTH {
                return Ok(());
            }
            let index = (self.size >> (TILE_HEIGHT * (level + 1))) - 1;
            on_full(level, index, tile)?;
            hash = root_of(tile);
            tile.clear();
        }
        Ok(())
    }

    /// Size and root.
    pub(crate) fn head(&self) -> TreeHead {
        let mut edge: Option<Digest> = None;
        // The full subtrees of the tree, from the smallest on the right to the largest.
        for tile in &self.levels {
            let mut end = tile.len();
            while end > 0 {
                let width = 1 << end.trailing_zeros();
                let subtree = root_of(&tile[end - width..end]);
                edge = Some(edge.map_or(subtree, |edge| node_hash(&subtree, &edge)));
                end -= width;
            }
        }
        TreeHead { size: self.size, root: edge.unwrap_or_else(empty_root) }
    }
}

#[cfg(test)]
mod tests {
    use super::Spine;
    use crate::hash::{leaf_hash, root_of};

    #[test]
    fn heads_are_those_of_the_whole_tree() {
        let leaves: Vec<_> = (0..700u32).map(|index| leaf_hash(&index.to_be_bytes())).collect();
        let mut spine = Spine::default();
        for (before, leaf) in leaves.iter().enumerate() {
            assert_eq!(spine.head().root, root_of(&leaves[..before]));
            spine.push(*leaf, &mut |_, _, _| Ok(())).unwrap();
        }
    }

    #[test]
    fn tiles_of_seventy_thousand_leaves() {
        // 70,000 = 273 * 256 + 112; 273 = 256 + 17; one tile of the level above is full.
        let mut spine = Spine::default();
        let mut full = [0u64; 3];
        for index in 0..70_000u32 {
            let leaf = leaf_hash(&index.to_be_bytes());
            let mut count = |level: u32, index, hashes: &[_]| {
                assert_eq!((index, hashes.len()), (full[level as usize], 256));
                full[level as usize] += 1;
                Ok(())
            };
            spine.push(leaf, &mut count).unwrap();
        }
        let partial: Vec<usize> = spine.levels().iter().map(Vec::len).collect();
        assert_eq!((full, partial), ([273, 1, 0], vec![112, 17, 1]));
    }
}
