//! Reading a tree on disk, and proving from it.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use crate::{
    error::LogError,
    hash::{Digest, empty_root, leaf_hash, node_hash, root_of},
    proof::full_subtrees,
    tile::{Shelf, TILE_HEIGHT, TILE_WIDTH, path},
    tree::{LONGEST_ENTRY, See, TreeHead, spine::Spine},
};

/// The first `size` entries of a tree in a folder.
///
/// Opening reads nothing, and nothing that is read is believed: whoever needs to be sure compares
/// [`Self::root`] or [`Self::check`] with a signed head.
#[derive(Clone, Debug)]
pub struct TreeReader {
    folder: PathBuf,
    size: u64,
}

/// Tiles read so far, for as long as one proof is made.
type Tiles = BTreeMap<(u32, u64), Vec<Digest>>;

impl TreeReader {
    /// The tree in `folder`.
    pub fn open(folder: &Path, size: u64) -> Self {
        Self { folder: folder.to_owned(), size }
    }

    /// Number of entries.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root, from the tiles on the right edge.
    ///
    /// # Errors
    /// When a tile is missing or damaged.
    pub fn root(&self) -> Result<Digest, LogError> {
        match self.size {
            0 => Ok(empty_root()),
            size => self.root_of_range(0, size, &mut Tiles::new()),
        }
    }

    /// An entry.
    ///
    /// # Errors
    /// When there is none, or its bundle is missing or damaged.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, LogError> {
        self.must_hold(index)?;
        let mut bundle = self.bundle(index / TILE_WIDTH)?;
        Ok(bundle.swap_remove((index % TILE_WIDTH) as usize))
    }

    /// All entries in order, one bundle in memory at a time.
    pub fn entries(&self) -> impl Iterator<Item = Result<Vec<u8>, LogError>> + '_ {
        (0..self.size.div_ceil(TILE_WIDTH)).flat_map(|index| {
            let (entries, error) = match self.bundle(index) {
                Ok(entries) => (entries, None),
                Err(error) => (Vec::new(), Some(error)),
            };
            entries.into_iter().map(Ok).chain(error.map(Err))
        })
    }

    /// Hash of a leaf.
    ///
    /// # Errors
    /// As [`Self::entry`].
    pub fn leaf(&self, index: u64) -> Result<Digest, LogError> {
        self.must_hold(index)?;
        Ok(self.tile(0, index / TILE_WIDTH)?[(index % TILE_WIDTH) as usize])
    }

    /// Path that proves entry `index` to holders of the root.
    ///
    /// # Errors
    /// As [`Self::entry`].
    pub fn inclusion(&self, index: u64) -> Result<Vec<Digest>, LogError> {
        self.must_hold(index)?;
        let (mut path, mut tiles) = (Vec::new(), Tiles::new());
        let (mut start, mut end) = (0, self.size);
        // From the root down to the leaf; at each fork the other side is a hash of the path.
        while end - start > 1 {
            let middle = start + left_of(end - start);
            if index < middle {
                path.push(self.root_of_range(middle, end, &mut tiles)?);
                end = middle;
            } else {
                path.push(self.root_of_range(start, middle, &mut tiles)?);
                start = middle;
            }
        }
        path.reverse();
        Ok(path)
    }

    /// Path that proves that this tree begins with its first `old_size` entries.
    ///
    /// # Errors
    /// When `old_size` is 0 or too large, or a tile is missing or damaged.
    pub fn consistency(&self, old_size: u64) -> Result<Vec<Digest>, LogError> {
        if old_size == 0 || old_size > self.size {
            return Err(LogError::OutOfRange { index: old_size, size: self.size });
        }
        let (mut path, mut tiles) = (Vec::new(), Tiles::new());
        let (mut start, mut end) = (0, self.size);
        // From the root down to the node that ends where the older tree ended.
        while end != old_size {
            let middle = start + left_of(end - start);
            if old_size <= middle {
                path.push(self.root_of_range(middle, end, &mut tiles)?);
                end = middle;
            } else {
                path.push(self.root_of_range(start, middle, &mut tiles)?);
                start = middle;
            }
        }
        // Who holds the older root knows this node already when it is the whole older tree.
        if start > 0 {
            path.push(self.root_of_range(start, end, &mut tiles)?);
        }
        path.reverse();
        Ok(path)
    }

    /// Roots of the full subtrees that the first `from` entries make up, from left to right: with
    /// them, whoever holds all entries from there on and the root sees that none is left out.
    ///
    /// # Errors
    /// When `from` is too large, or a tile is missing or damaged.
    pub fn before(&self, from: u64) -> Result<Vec<Digest>, LogError> {
        if from > self.size {
            return Err(LogError::OutOfRange { index: from, size: self.size });
        }
        let (mut tiles, mut start) = (Tiles::new(), 0);
        full_subtrees(from)
            .map(|height| {
                let found = self.node(height, start, &mut tiles);
                start += 1 << height;
                found
            })
            .collect()
    }

    /// Reads everything, computes every hash again and compares it with the tiles.
    ///
    /// `see` is shown every entry with its position.
    ///
    /// # Errors
    /// The first file that does not fit, or what `see` says.
    pub fn check(&self, see: See<'_>) -> Result<TreeHead, LogError> {
        let mut spine = Spine::default();
        for (index, entry) in (0u64..).zip(self.entries()) {
            let entry = entry?;
            spine.push(leaf_hash(&entry), &mut |level, index, hashes| {
                self.must_equal(level, index, hashes)
            })?;
            see(index, &entry)?;
        }
        for (level, hashes) in (0u32..).zip(spine.levels()) {
            if !hashes.is_empty() {
                let count = self.size >> (TILE_HEIGHT * level);
                self.must_equal(level, count / TILE_WIDTH, hashes)?;
            }
        }
        Ok(spine.head())
    }

    fn must_hold(&self, index: u64) -> Result<(), LogError> {
        let size = self.size;
        if index < size { Ok(()) } else { Err(LogError::OutOfRange { index, size }) }
    }

    fn must_equal(&self, level: u32, index: u64, hashes: &[Digest]) -> Result<(), LogError> {
        let stored = self.tile(level, index)?;
        match stored.iter().zip(hashes).position(|(stored, hash)| stored != hash) {
            None => Ok(()),
            Some(position) => {
                let file = path(&self.folder, Shelf::Hashes(level), index, hashes.len() as u64);
                let place = index * TILE_WIDTH + position as u64;
                let what = if level == 0 { "entry" } else { "subtree" };
                Err(LogError::damaged(&file, format!("is not the hash of {what} {place}")))
            }
        }
    }

    /// Root over the leaves `start..end`, where `start` is a multiple of the next power of two.
    fn root_of_range(&self, start: u64, end: u64, tiles: &mut Tiles) -> Result<Digest, LogError> {
        let width = end - start;
        if width.is_power_of_two() {
            return self.node(width.trailing_zeros(), start, tiles);
        }
        let middle = start + left_of(width);
        let left = self.root_of_range(start, middle, tiles)?;
        Ok(node_hash(&left, &self.root_of_range(middle, end, tiles)?))
    }

    /// Root of the full subtree of `2^height` leaves that begins at leaf `start`.
    fn node(&self, height: u32, start: u64, tiles: &mut Tiles) -> Result<Digest, LogError> {
        // A full subtree that fills a tile is one hash of the level above.
        let level = height / TILE_HEIGHT;
        let first = start >> (TILE_HEIGHT * level);
        let width = 1usize << (height % TILE_HEIGHT);
        let (index, offset) = (first / TILE_WIDTH, (first % TILE_WIDTH) as usize);
        let tile = match tiles.entry((level, index)) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(place) => place.insert(self.tile(level, index)?),
        };
        Ok(root_of(&tile[offset..offset + width]))
    }

    /// Hashes that the tree has of a tile.
    pub(crate) fn tile(&self, level: u32, index: u64) -> Result<Vec<Digest>, LogError> {
        let width = width_of(self.size >> (TILE_HEIGHT * level), index);
        let file = self.read(Shelf::Hashes(level), index, width, 32 * TILE_WIDTH)?;
        let (chunks, rest) = file.bytes.as_chunks::<32>();
        if chunks.len() as u64 != file.width || !rest.is_empty() {
            let reason = format!("{} bytes are not {} hashes", file.bytes.len(), file.width);
            return Err(LogError::damaged(&file.path, reason));
        }
        Ok(chunks[..width as usize].iter().copied().map(Digest).collect())
    }

    /// Entries that the tree has of a bundle.
    fn bundle(&self, index: u64) -> Result<Vec<Vec<u8>>, LogError> {
        let width = width_of(self.size, index);
        let most = TILE_WIDTH * (LONGEST_ENTRY as u64 + 2);
        let file = self.read(Shelf::Entries, index, width, most)?;
        let mut entries = split_bundle(&file.bytes, file.width)
            .map_err(|reason| LogError::damaged(&file.path, reason))?;
        entries.truncate(width as usize);
        Ok(entries)
    }

    /// The bytes of the entries that the tree has of a bundle.
    pub(crate) fn bundle_bytes(&self, index: u64) -> Result<Vec<u8>, LogError> {
        let entries = self.bundle(index)?;
        let lengths = entries.iter().map(|entry| (entry.len() as u16).to_be_bytes());
        Ok(lengths
            .zip(&entries)
            .flat_map(|(length, entry)| [&length[..], entry].concat())
            .collect())
    }

    /// The file of this width, or else the full one, which was filled after this tree was signed;
    /// never more than `most` bytes of it.
    fn read(&self, shelf: Shelf, index: u64, width: u64, most: u64) -> Result<Stored, LogError> {
        let exact = path(&self.folder, shelf, index, width);
        let full = path(&self.folder, shelf, index, TILE_WIDTH);
        let (path, width) =
            if exact.exists() || !full.exists() { (exact, width) } else { (full, TILE_WIDTH) };
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
            .map_err(LogError::of_part(&path))?;
        if bytes.len() as u64 > most {
            return Err(LogError::damaged(&path, format!("is longer than {most} bytes")));
        }
        Ok(Stored { path, width, bytes })
    }
}

/// A file as found.
struct Stored {
    path: PathBuf,
    /// Hashes or entries that its name promises.
    width: u64,
    bytes: Vec<u8>,
}

/// Leaves in the left part of a tree of two leaves or more: the largest power of two below `size`.
///
/// Sizes are read from heads that anybody may have written, so all 64 bits of them are possible.
fn left_of(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// How many of `count` hashes or entries lie in tile `index`.
fn width_of(count: u64, index: u64) -> u64 {
    count.saturating_sub(index * TILE_WIDTH).min(TILE_WIDTH)
}

/// The `width` entries of a bundle.
fn split_bundle(bytes: &[u8], width: u64) -> Result<Vec<Vec<u8>>, String> {
    let mut rest = bytes;
    let mut entries = Vec::new();
    for position in 0..width {
        let cut = rest.split_first_chunk::<2>().and_then(|(length, rest)| {
            rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
        });
        let (entry, after) = cut.ok_or_else(|| format!("ends inside entry {position}"))?;
        entries.push(entry.to_vec());
        rest = after;
    }
    match rest.len() {
        0 => Ok(entries),
        left => Err(format!("holds {left} bytes after its last entry")),
    }
}
