//! The head of a log, as it is signed: three lines.
//!
//! # References
//! C2SP `tlog-checkpoint`.

use std::fmt;

use crate::{
    hash::Digest,
    note::{Note, NoteError},
    tree::TreeHead,
};

/// Origin of the log, number of entries, root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    head: TreeHead,
}

impl Checkpoint {
    /// The head of the log called `origin`.
    ///
    /// # Errors
    /// When the origin is empty or is more than one line.
    pub fn new(origin: &str, head: TreeHead) -> Result<Self, NoteError> {
        if origin.is_empty() || origin.chars().any(char::is_control) {
            return Err(NoteError::Form { reason: "the origin is not one line of text" });
        }
        Ok(Self { origin: origin.to_owned(), head })
    }

    /// Reads the text of a note.
    ///
    /// # Errors
    /// [`NoteError::Form`]; lines after the third are refused, since nothing here would check them.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let refuse = |reason| NoteError::Form { reason };
        let lines: Vec<&str> = text.split('\n').collect();
        let [origin, size, root, ""] = lines[..] else {
            return Err(refuse("a checkpoint has three lines"));
        };
        let number: u64 = size.parse().map_err(|_| refuse("the size is no number"))?;
        if number.to_string() != size {
            return Err(refuse("the size is not written as plain digits"));
        }
        let root = Digest::from_base64(root).ok_or(refuse("the root is not 32 bytes in base64"))?;
        Self::new(origin, TreeHead { size: number, root })
    }

    /// Name of the log.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Size and root.
    pub fn head(&self) -> TreeHead {
        self.head
    }

    /// A note of this checkpoint that nobody has signed yet.
    ///
    /// # Panics
    /// Never: a checkpoint is a text that notes can hold.
    pub fn to_note(&self) -> Note {
        Note::unsigned(&self.to_string()).expect("three lines without control characters")
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TreeHead { size, root } = self.head;
        write!(formatter, "{}\n{size}\n{}\n", self.origin, root.to_base64())
    }
}

#[cfg(test)]
mod tests {
    use super::Checkpoint;
    use crate::{hash::empty_root, tree::TreeHead};

    #[test]
    fn three_lines_and_nothing_else() {
        let head = TreeHead { size: 20, root: empty_root() };
        let text = "example.com/log\n20\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
        let checkpoint = Checkpoint::new("example.com/log", head).unwrap();
        assert_eq!(checkpoint.to_string(), text);
        assert_eq!(Checkpoint::parse(text).unwrap(), checkpoint);
        for bad in [
            text.replace("20", "020"),
            text.replace("20", "+20"),
            text.replace("=\n", "=\nmore\n"),
            text.replace("=\n", "="),
            text.replace("47D", "47"),
            text.replace("example.com/log", ""),
        ] {
            assert!(Checkpoint::parse(&bad).is_err(), "{bad:?}");
        }
    }
}
