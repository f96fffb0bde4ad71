//! Texts with their contributors, cut into windows: embedded ones, or the user's own.
//!
//! The user's own are a JSONL file with a document on each line (`text`, `contributor`, perhaps
//! `licence` and `time`), or a folder with a folder of `.txt` files for each contributor. There a
//! name that begins with a year or date tells the time, and the first line of a file `LICENCE` the
//! licence.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Entry, Loader, eight_authors, presidents, speakers};
use crate::documents::{self, Document, Fields, parse_lines};
use crate::error::SourceError;
use crate::idx::unpack;
use crate::manifest::EmbeddedFile;
use crate::source::Loaded;
use crate::tokenizer::Tokens;
use crate::tokens::TokenLoss;
use crate::windows::{Cutting, HoldOut, cut};

pub(super) const ENTRY: Entry = Entry {
    name: "texts",
    summary: "texts of contributors: a JSONL file, a folder, or an embedded set cut otherwise",
    train_examples: None,
    test_examples: None,
    features: None,
    classes: None,
    natural_contributors: 0,
    licence: "that of your files",
    hub_id: None,
    loader: Loader::Files,
};

/// Which texts, and how they become examples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Texts {
    /// The user's own: a JSONL file, packed by gzip or plain, or a folder.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// An embedded set of texts.
    #[serde(default)]
    pub embedded: Option<String>,
    /// What the fields of a line are called.
    #[serde(default)]
    pub fields: Fields,
    /// Licences under which texts may be used; all where absent.
    #[serde(default)]
    pub licences: Option<Vec<String>>,
    /// What a token is.
    #[serde(default)]
    pub tokens: Tokens,
    /// Tokens of a window.
    #[serde(default = "usual_window")]
    pub window: usize,
    /// Tokens that are read before the first one that a window asks for; a window reaches back into
    /// the one before it, and into padding before its document.
    #[serde(default = "one")]
    pub context: usize,
    /// Every so many-th token of a document is asked for, the first being the token of this number.
    #[serde(default = "one")]
    pub every: usize,
    /// Fewest tokens that a document's last window asks for; shorter ones are left out.
    #[serde(default = "one")]
    pub shortest: usize,
    /// How the losses of a window's tokens become its loss.
    #[serde(default)]
    pub token_loss: TokenLoss,
    /// Which documents are kept for queries.
    #[serde(default)]
    pub hold_out: HoldOut,
}

fn usual_window() -> usize {
    Cutting::default().window
}

fn one() -> usize {
    1
}

/// An embedded set of texts.
pub(super) struct EmbeddedTexts {
    pub name: &'static str,
    pub file: &'static EmbeddedFile,
    /// What its lines call the time.
    pub time: &'static str,
}

const EMBEDDED: [&EmbeddedTexts; 3] = [&eight_authors::TEXTS, &presidents::TEXTS, &speakers::TEXTS];

impl EmbeddedTexts {
    fn documents(&self) -> Result<Vec<Document>, SourceError> {
        let bytes = unpack(self.file.name, self.file.read()?.to_vec())?;
        let fields = Fields { time: self.time.to_owned(), ..Fields::default() };
        let mut documents = parse_lines(self.file.name, &bytes, &fields)?;
        self.file.check_rows(documents.len())?;
        for document in &mut documents {
            document.licence = Some(self.file.licence.to_owned());
        }
        Ok(documents)
    }

    /// The set as it is when nothing is said about it.
    pub(super) fn load(&self) -> Result<Loaded, SourceError> {
        cut(self.name, &self.documents()?, &Cutting::default())
    }
}

pub(crate) fn load(options: &Texts) -> Result<Loaded, SourceError> {
    let (name, mut documents) = match (&options.path, &options.embedded) {
        (Some(path), None) => (ENTRY.name, documents::read(path, &options.fields)?),
        (None, Some(name)) => {
            let set = EMBEDDED.into_iter().find(|set| set.name == name).ok_or_else(|| {
                let known = EMBEDDED.map(|set| set.name).join(", ");
                SourceError::UnknownName { found: name.clone(), known }
            })?;
            (set.name, set.documents()?)
        }
        (path, _) => {
            return Err(SourceError::Option {
                option: "texts",
                found: if path.is_some() { "two sources" } else { "no source" }.to_owned(),
                reason: "texts come from one place",
                hint: "give `path` or `embedded`",
            });
        }
    };
    if let Some(licences) = &options.licences {
        let is_allowed = |licence: &String| licences.contains(licence);
        documents.retain(|document| document.licence.as_ref().is_some_and(is_allowed));
        if documents.is_empty() {
            return Err(SourceError::Empty {
                file: name.to_owned(),
                what: "document under one of `licences`",
                hint: "names of licences are those of the documents, letter by letter",
            });
        }
    }
    let Texts { window, context, every, shortest, token_loss: loss, .. } = *options;
    let (tokens, hold_out) = (options.tokens.clone(), options.hold_out.clone());
    cut(name, &documents, &Cutting { window, context, every, shortest, tokens, loss, hold_out })
}
