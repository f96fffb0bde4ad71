//! Names of the files that hold a tree: 256 hashes or entries each.
//!
//! # References
//! C2SP `tlog-tiles`.

use std::path::{Path, PathBuf};

/// Hashes in a full tile, and entries in a full bundle.
pub const TILE_WIDTH: u64 = 256;

/// Levels of the tree that one level of tiles spans: `2^8 = 256`.
pub const TILE_HEIGHT: u32 = 8;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shelf {
    /// Hashes of nodes `8 * level` levels above the leaves.
    Hashes(u32),
    /// Entries, each behind its length in two bytes.
    Entries,
}

/// Path of tile `index` below the folder of the tree; `width` is less than 256 for the last.
pub fn path(folder: &Path, shelf: Shelf, index: u64, width: u64) -> PathBuf {
    let shelf = match shelf {
        Shelf::Hashes(level) => level.to_string(),
        Shelf::Entries => "entries".to_owned(),
    };
    let mut name = format!("tile/{shelf}/{}", grouped(index));
    if width != TILE_WIDTH {
        name += &format!(".p/{width}");
    }
    folder.join(name)
}

/// The index in groups of three digits, `x` before all but the last.
fn grouped(index: u64) -> String {
    let last = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    let mut name = last;
    while rest > 0 {
        name = format!("x{:03}/{name}", rest % 1000);
        rest /= 1000;
    }
    name
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Shelf, path};

    #[test]
    fn names_are_those_of_the_format() {
        let name = |shelf, index, width| {
            path(Path::new(""), shelf, index, width).to_str().unwrap().to_owned()
        };
        assert_eq!(name(Shelf::Hashes(0), 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(name(Shelf::Hashes(1), 0, 17), "tile/1/000.p/17");
        assert_eq!(name(Shelf::Entries, 273, 112), "tile/entries/273.p/112");
        assert_eq!(name(Shelf::Entries, 1000, 256), "tile/entries/x001/000");
    }
}
