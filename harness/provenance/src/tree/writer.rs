//! Appending to a tree on disk.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    sync::mpsc::{SyncSender, sync_channel},
    thread::{JoinHandle, ScopedJoinHandle},
};

use crate::{
    error::LogError,
    hash::{Digest, leaf_hash},
    tile::{Shelf, TILE_HEIGHT, TILE_WIDTH, path},
    tree::{LONGEST_ENTRY, TreeHead, TreeReader, spine::Spine},
};

/// Appends entries; holds less than one tile a level and one bundle of entries.
///
/// What was appended is on disk, in tiles that nobody has to rewrite, once [`Self::flush`] has
/// returned. A file is written beside its place and renamed, so that one that was flushed is never
/// seen half written afterwards, whatever happens to the process.
pub struct TreeWriter {
    folder: PathBuf,
    spine: Spine,
    bundle: Vec<u8>,
    flushed: u64,
    unsynced: Vec<PathBuf>,
    /// Tiles on disk that are not full.
    partial: Vec<PathBuf>,
    /// Tiles on disk that hold less than others that took their place.
    outdated: Vec<PathBuf>,
}

impl TreeWriter {
    /// An empty tree in a folder that holds none.
    ///
    /// # Errors
    /// [`LogError::Exists`], or what the disk says.
    pub fn create(folder: &Path) -> Result<Self, LogError> {
        let tiles = folder.join("tile");
        if tiles.exists() {
            return Err(LogError::Exists { path: folder.to_owned() });
        }
        fs::create_dir_all(&tiles).map_err(LogError::io(&tiles))?;
        Ok(Self {
            folder: folder.to_owned(),
            spine: Spine::default(),
            bundle: Vec::new(),
            flushed: 0,
            unsynced: Vec::new(),
            partial: Vec::new(),
            outdated: Vec::new(),
        })
    }

    /// Goes on after the first `size` entries of a folder; what lies behind them is written over.
    ///
    /// # Errors
    /// When files of those entries are missing or do not fit each other.
    pub fn resume(folder: &Path, size: u64) -> Result<Self, LogError> {
        let reader = TreeReader::open(folder, size);
        let mut levels = Vec::new();
        let mut count = size;
        while count > 0 {
            let level = levels.len() as u32;
            let tile = match count % TILE_WIDTH {
                0 => Vec::new(),
                _ => reader.tile(level, count / TILE_WIDTH)?,
            };
            levels.push(tile);
            count >>= TILE_HEIGHT;
        }
        let bundle = match size % TILE_WIDTH {
            0 => Vec::new(),
            _ => reader.bundle_bytes(size / TILE_WIDTH)?,
        };
        let spine = Spine::from_levels(size, levels);
        let mut writer = Self {
            folder: folder.to_owned(),
            spine,
            bundle,
            flushed: 0,
            unsynced: Vec::new(),
            partial: Vec::new(),
            outdated: Vec::new(),
        };
        // Files of these very widths may be missing where another program keeps full tiles only.
        writer.write_partial_tiles()?;
        writer.flushed = size;
        Ok(writer)
    }

    /// Appends an entry and returns its position.
    ///
    /// # Errors
    /// [`LogError::EntryTooLong`], or what the disk says.
    pub fn append(&mut self, entry: &[u8]) -> Result<u64, LogError> {
        if entry.len() > LONGEST_ENTRY {
            return Err(LogError::EntryTooLong { found: entry.len() });
        }
        let index = self.spine.size();
        self.bundle.extend((entry.len() as u16).to_be_bytes());
        self.bundle.extend(entry);
        if (index + 1).is_multiple_of(TILE_WIDTH) {
            let file = path(&self.folder, Shelf::Entries, index / TILE_WIDTH, TILE_WIDTH);
            write_whole(&file, &self.bundle)?;
            self.unsynced.push(file);
            self.bundle.clear();
        }
        let (folder, unsynced) = (&self.folder, &mut self.unsynced);
        self.spine.push(leaf_hash(entry), &mut |level, index, hashes| {
            let file = path(folder, Shelf::Hashes(level), index, TILE_WIDTH);
            write_whole(&file, &concatenated(hashes))?;
            unsynced.push(file);
            Ok(())
        })?;
        Ok(index)
    }

    /// Size and root of all that was appended.
    pub fn head(&self) -> TreeHead {
        self.spine.head()
    }

    /// Brings everything that was appended to the disk, and returns the head of it.
    ///
    /// # Errors
    /// What the disk says.
    pub fn flush(&mut self) -> Result<TreeHead, LogError> {
        let files = self.write_out()?;
        sync(&self.folder, &files)?;
        Ok(self.head())
    }

    /// Writes everything that was appended, and leaves it to `behind` to bring it to the disk.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn flush_behind(&mut self, behind: &mut Behind) -> Result<TreeHead, LogError> {
        behind.bring(self.write_out()?);
        Ok(self.head())
    }

    /// Writes everything that was appended, and returns the files that are still to be brought to
    /// the disk.
    fn write_out(&mut self) -> Result<Vec<PathBuf>, LogError> {
        if self.spine.size() > self.flushed {
            self.write_partial_tiles()?;
            self.flushed = self.spine.size();
        }
        Ok(std::mem::take(&mut self.unsynced))
    }

    /// Removes partial tiles that fuller ones have replaced. Whoever has signed a head calls this
    /// afterwards: until then the older head needs them.
    ///
    /// # Errors
    /// What the disk says.
    pub fn remove_outdated(&mut self) -> Result<(), LogError> {
        for file in self.outdated.drain(..) {
            fs::remove_file(&file).map_err(LogError::io(&file))?;
        }
        Ok(())
    }

    /// Writes the last tile of each level where it is not full and not there yet.
    fn write_partial_tiles(&mut self) -> Result<(), LogError> {
        let size = self.spine.size();
        let mut partial = Vec::new();
        for (level, hashes) in (0u32..).zip(self.spine.levels()) {
            if !hashes.is_empty() {
                let index = (size >> (TILE_HEIGHT * level)) / TILE_WIDTH;
                let file = path(&self.folder, Shelf::Hashes(level), index, hashes.len() as u64);
                partial.push((file, concatenated(hashes)));
            }
        }
        if !self.bundle.is_empty() {
            let (index, width) = (size / TILE_WIDTH, size % TILE_WIDTH);
            let file = path(&self.folder, Shelf::Entries, index, width);
            partial.push((file, self.bundle.clone()));
        }
        let before = std::mem::take(&mut self.partial);
        for (file, bytes) in partial {
            // A tile of this width is not touched again: an older head may rest on it.
            if !before.contains(&file) {
                write_whole(&file, &bytes)?;
                self.unsynced.push(file.clone());
            }
            self.partial.push(file);
        }
        self.outdated.extend(before.into_iter().filter(|file| !self.partial.contains(file)));
        Ok(())
    }
}

/// A tree of entries that are all known, in a folder of its own.
///
/// # Errors
/// As [`TreeWriter::append`].
pub fn write_tree<B: AsRef<[u8]>>(
    folder: &Path,
    entries: impl IntoIterator<Item = B>,
) -> Result<TreeHead, LogError> {
    appended(folder, entries)?.flush()
}

/// As [`write_tree`], on the disk once `behind` was waited for.
///
/// # Errors
/// As [`TreeWriter::append`].
pub(crate) fn write_tree_behind<B: AsRef<[u8]>>(
    folder: &Path,
    entries: impl IntoIterator<Item = B>,
    behind: &mut Behind,
) -> Result<TreeHead, LogError> {
    appended(folder, entries)?.flush_behind(behind)
}

fn appended<B: AsRef<[u8]>>(
    folder: &Path,
    entries: impl IntoIterator<Item = B>,
) -> Result<TreeWriter, LogError> {
    let mut writer = TreeWriter::create(folder)?;
    for entry in entries {
        writer.append(entry.as_ref())?;
    }
    Ok(writer)
}

fn concatenated(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// Writes a file that is seen whole or not at all; it reaches the disk with [`sync`].
fn write_whole(file: &Path, content: &[u8]) -> Result<(), LogError> {
    let beside = file.with_extension("new");
    let created = match File::create(&beside) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let folder = file.parent().expect("a tile lies in a folder");
            fs::create_dir_all(folder).map_err(LogError::io(folder))?;
            File::create(&beside)
        }
        created => created,
    };
    created
        .and_then(|mut file| file.write_all(content))
        .and_then(|()| fs::rename(&beside, file))
        .map_err(LogError::io(file))
}

/// Files that are brought to the disk at once: a file system writes down together what is asked
/// for together, and one after the other would wait for the disk once a file.
const AT_ONCE: usize = 16;

/// Bytes that are brought to the disk together: below, asking for them costs more than writing.
const BYTES_TOGETHER: usize = 4 << 20;

/// Files that may wait to be written: a disk that cannot keep up holds up the run, and does not
/// fill the memory.
const WAITING: usize = 8;

/// Writes files and brings them to the disk while whoever has them goes on.
pub(crate) struct Behind {
    root: PathBuf,
    /// Files that nobody was told to bring to the disk yet, and the bytes of those that were
    /// written here.
    gathered: Vec<PathBuf>,
    bytes: usize,
    at_work: Option<AtWork>,
}

/// Who is told what to do, and does it until nobody tells any more.
type AtWork = (SyncSender<Task>, JoinHandle<Result<(), LogError>>);

enum Task {
    /// Writes a file, whole.
    Write(PathBuf, Vec<u8>),
    /// Waits until files are on the disk.
    Sync(Vec<PathBuf>),
}

impl Behind {
    /// For files below `root`.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), gathered: Vec::new(), bytes: 0, at_work: None }
    }

    /// Takes files that were written, to be brought to the disk.
    pub(crate) fn bring(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        self.gathered.extend(files);
    }

    /// Takes a file to be written, whole, and brought to the disk.
    pub(crate) fn write(&mut self, file: PathBuf, content: Vec<u8>) {
        self.bytes += content.len();
        self.tell(Task::Write(file.clone(), content));
        self.gathered.push(file);
        if self.bytes >= BYTES_TOGETHER {
            self.bytes = 0;
            let files = std::mem::take(&mut self.gathered);
            self.tell(Task::Sync(files));
        }
    }

    fn tell(&mut self, task: Task) {
        let (tell, _) = self.at_work.get_or_insert_with(|| {
            let (root, (tell, told)) = (self.root.clone(), sync_channel(WAITING));
            let work = move |task| match task {
                Task::Write(file, content) => write_whole(&file, &content),
                Task::Sync(files) => sync(&root, &files),
            };
            (tell, std::thread::spawn(move || told.iter().try_for_each(work)))
        });
        // Who stopped listening has met an error, which is told to whoever waits.
        let _ = tell.send(task);
    }

    /// Waits until all of them, and the folders that name them, are there.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn wait(&mut self) -> Result<(), LogError> {
        let left = std::mem::take(&mut self.gathered);
        self.bytes = 0;
        let Some((tell, thread)) = self.at_work.take() else { return sync(&self.root, &left) };
        // Some of them may be waiting to be written; an error is told below.
        let _ = tell.send(Task::Sync(left));
        drop(tell);
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Waits until files, and the folders that name them, are on the disk.
fn sync(root: &Path, files: &[PathBuf]) -> Result<(), LogError> {
    if files.is_empty() {
        return Ok(());
    }
    let mut folders = BTreeSet::from([root.to_owned()]);
    for file in files {
        let above = file.ancestors().skip(1).take_while(|folder| *folder != root);
        folders.extend(above.map(Path::to_owned));
    }
    sync_all(files)?;
    sync_all(&folders.into_iter().collect::<Vec<_>>())
}

fn sync_all(paths: &[PathBuf]) -> Result<(), LogError> {
    let sync_part = |part: &[PathBuf]| {
        let mut part = part.iter();
        part.try_for_each(|path| {
            File::open(path).and_then(|file| file.sync_all()).map_err(LogError::io(path))
        })
    };
    let mut parts = paths.chunks(paths.len().div_ceil(AT_ONCE).max(1));
    let Some(own) = parts.next() else { return Ok(()) };
    std::thread::scope(|scope| {
        let others: Vec<_> = parts.map(|part| scope.spawn(move || sync_part(part))).collect();
        let done = sync_part(own);
        let join = |other: ScopedJoinHandle<'_, _>| {
            other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        others.into_iter().map(join).fold(done, Result::and)
    })
}

/// Replaces a file, all or nothing, and waits until it is on the disk.
pub(crate) fn replace(file: &Path, bytes: &[u8]) -> Result<(), LogError> {
    let beside = file.with_extension("new");
    File::create(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, file))
        .map_err(LogError::io(file))?;
    let folder = file.parent().expect("a file lies in a folder");
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(LogError::io(folder))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{BYTES_TOGETHER, Behind};

    #[test]
    fn what_is_written_behind_is_there_after_a_wait() {
        let folder = tempfile::tempdir().unwrap();
        let mut behind = Behind::new(folder.path());
        // More files than may wait, and more bytes than are brought to the disk together.
        let file = |index: u8| folder.path().join(format!("states/{index}"));
        let content = |index: u8| vec![index; BYTES_TOGETHER / 16];
        for index in 0..20 {
            behind.write(file(index), content(index));
        }
        behind.wait().unwrap();
        for index in 0..20 {
            assert_eq!(fs::read(file(index)).unwrap(), content(index));
        }
        // And once more with the same.
        behind.write(file(7), vec![1]);
        behind.wait().unwrap();
        assert_eq!(fs::read(file(7)).unwrap(), [1]);
    }

    #[test]
    fn what_cannot_be_written_is_told_to_who_waits() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("states"), "no folder").unwrap();
        let mut behind = Behind::new(folder.path());
        for index in 0..20 {
            behind.write(folder.path().join(format!("states/{index}")), vec![0; 10]);
        }
        let refusal = behind.wait().unwrap_err().to_string();
        assert!(refusal.contains("states/0"), "{refusal}");
    }
}
