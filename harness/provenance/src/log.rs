//! A log: a tree on disk with a signed head.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use crate::{
    checkpoint::Checkpoint,
    error::LogError,
    note::{LONGEST_NOTE, Note, NoteError, SigningKey, VerifyingKey},
    tree::{Behind, See, TreeHead, TreeReader, TreeWriter},
};

/// Name of the file that holds the signed head.
pub const CHECKPOINT_FILE: &str = "checkpoint";

/// A log that is being written.
///
/// Entries are lasting once [`Self::sign`] has returned: the tiles are on the disk before the
/// checkpoint that names them is put in its place. A process that is killed loses at most what it
/// has appended since.
pub struct Log {
    folder: PathBuf,
    origin: String,
    key: Option<SigningKey>,
    tree: TreeWriter,
    /// Who brings other files to the disk, which the next head is to find there.
    behind: Behind,
}

impl Log {
    /// A new, empty log with a first head. Without a key its heads are written unsigned.
    ///
    /// # Errors
    /// When the folder holds a log, the origin is not a line of text, or the disk refuses.
    pub fn create(folder: &Path, origin: &str, key: Option<SigningKey>) -> Result<Self, LogError> {
        let mut log = Self::begin(folder, origin, key)?;
        log.sign()?;
        Ok(log)
    }

    /// As [`Self::create`], for whoever signs a first head by and by: there is none yet.
    pub(crate) fn begin(
        folder: &Path,
        origin: &str,
        key: Option<SigningKey>,
    ) -> Result<Self, LogError> {
        let tree = TreeWriter::create(folder)?;
        Ok(Self::of(folder, origin, key, tree))
    }

    fn of(folder: &Path, origin: &str, key: Option<SigningKey>, tree: TreeWriter) -> Self {
        let (folder, behind) = (folder.to_owned(), Behind::new(folder));
        Self { folder, origin: origin.to_owned(), key, tree, behind }
    }

    /// Goes on after the last signed entry; what a killed process left behind it is written over.
    ///
    /// # Errors
    /// When the head was signed by somebody else, or the tiles do not lead to it.
    pub fn resume(folder: &Path, key: Option<SigningKey>) -> Result<Self, LogError> {
        let (note, checkpoint) = read_checkpoint(folder)?;
        let trusted: Vec<VerifyingKey> = key.iter().map(SigningKey::public).collect();
        match note.verify(&trusted) {
            Ok(_) => {}
            Err(NoteError::Unsigned) if key.is_none() => {}
            Err(NoteError::Unknown { found, .. }) => {
                return Err(LogError::OtherKey { signers: found.join(", ") });
            }
            Err(error) => return Err(error.into()),
        }
        let tree = TreeWriter::resume(folder, checkpoint.head().size)?;
        if tree.head() != checkpoint.head() {
            let reason = format!("the tiles lead to {}, not to its root", tree.head().root);
            return Err(LogError::damaged(&folder.join(CHECKPOINT_FILE), reason));
        }
        Ok(Self::of(folder, checkpoint.origin(), key, tree))
    }

    /// Appends an entry and returns its position.
    ///
    /// # Errors
    /// When the entry is too long or the disk refuses.
    pub fn append(&mut self, entry: &[u8]) -> Result<u64, LogError> {
        self.tree.append(entry)
    }

    /// Size and root of all that was appended, signed or not.
    pub fn head(&self) -> TreeHead {
        self.tree.head()
    }

    /// Who brings files to the disk that entries speak of: they are there before the next head.
    pub(crate) fn behind(&mut self) -> &mut Behind {
        &mut self.behind
    }

    /// Brings all entries to the disk, and then the signed head.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sign(&mut self) -> Result<Note, LogError> {
        let head = self.tree.flush_behind(&mut self.behind)?;
        // No head names an entry, a state or a tree that a crash could still take away.
        self.behind.wait()?;
        let checkpoint = Checkpoint::new(&self.origin, head)?;
        let note = match &self.key {
            Some(key) => checkpoint.to_note().signed_by(key),
            None => checkpoint.to_note(),
        };
        let file = self.folder.join(CHECKPOINT_FILE);
        crate::tree::replace(&file, note.to_string().as_bytes())?;
        self.tree.remove_outdated()?;
        Ok(note)
    }
}

/// A log that is being read.
#[derive(Clone, Debug)]
pub struct LogReader {
    note: Note,
    checkpoint: Checkpoint,
    tree: TreeReader,
}

impl LogReader {
    /// The log in a folder up to its head, whose signature is not checked yet: see
    /// [`Note::verify`].
    ///
    /// # Errors
    /// When there is no checkpoint or it is damaged.
    pub fn open(folder: &Path) -> Result<Self, LogError> {
        let (note, checkpoint) = read_checkpoint(folder)?;
        let tree = TreeReader::open(folder, checkpoint.head().size);
        Ok(Self { note, checkpoint, tree })
    }

    /// The head as it was signed.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// The head.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The entries.
    pub fn tree(&self) -> &TreeReader {
        &self.tree
    }

    /// Reads everything and compares it with the head; `see` is shown every entry.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn check(&self, folder: &Path, see: See<'_>) -> Result<(), LogError> {
        let found = self.tree.check(see)?;
        if found == self.checkpoint.head() {
            return Ok(());
        }
        let reason = format!("its entries lead to the root {}", found.root);
        Err(LogError::damaged(&folder.join(CHECKPOINT_FILE), reason))
    }
}

/// Reads the head of the log in `folder`.
fn read_checkpoint(folder: &Path) -> Result<(Note, Checkpoint), LogError> {
    let file = folder.join(CHECKPOINT_FILE);
    if !file.exists() {
        return Err(LogError::NoLog { path: folder.to_owned() });
    }
    read_note(&file)
}

/// Reads a file that holds a checkpoint, for instance one that somebody kept.
///
/// # Errors
/// When it cannot be read or is no checkpoint.
pub fn read_note(file: &Path) -> Result<(Note, Checkpoint), LogError> {
    let mut text = String::new();
    File::open(file)
        .and_then(|opened| opened.take(LONGEST_NOTE as u64 + 1).read_to_string(&mut text))
        .map_err(LogError::io(file))?;
    let refuse = |error: NoteError| LogError::damaged(file, error.to_string());
    let note = Note::parse(&text).map_err(refuse)?;
    let checkpoint = Checkpoint::parse(note.text()).map_err(refuse)?;
    Ok((note, checkpoint))
}
