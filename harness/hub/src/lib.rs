//! Files of model repositories on a hub such as huggingface.co.
//!
//! The one place of this workspace that opens a connection, and only where it is built with the
//! feature `download`. Files go to the cache that the hub's other clients share, whole or not at
//! all: what the hub says of a file's content is compared with what arrived.

#[cfg(feature = "download")]
mod download;

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use thiserror::Error;

/// Which files are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    owner: String,
    name: String,
    revision: String,
}

impl Repository {
    /// A repository `OWNER/NAME` at a branch, tag or commit.
    ///
    /// # Errors
    /// When the name has another form.
    pub fn new(full_name: &str, revision: &str) -> Result<Self, FetchError> {
        let is_part = |part: &str| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !part.is_empty() && !part.starts_with('.') && part.chars().all(is_plain)
        };
        match full_name.split_once('/') {
            Some((owner, name)) if is_part(owner) && is_part(name) => Ok(Self {
                owner: owner.to_owned(),
                name: name.to_owned(),
                revision: revision.to_owned(),
            }),
            _ => Err(FetchError::Name(full_name.to_owned())),
        }
    }
}

impl std::fmt::Display for Repository {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{} at {}", self.owner, self.name, self.revision)
    }
}

/// Where files come from and where they are kept; what is absent is the client's own choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Address of the hub, from `HF_ENDPOINT`.
    pub endpoint: Option<String>,
    /// Folder of files that were fetched before, from `HF_HUB_CACHE` or `HF_HOME`.
    pub cache: Option<PathBuf>,
    /// Whether nothing may be fetched, from `HF_HUB_OFFLINE`.
    pub is_offline: bool,
}

impl Place {
    /// What the variables that the hub's clients share say.
    pub fn of_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let is_set = |name: &str| {
            variable(name).is_some_and(|value| {
                ["1", "on", "yes", "true"].contains(&value.to_ascii_lowercase().as_str())
            })
        };
        let hub = |home: String| Path::new(&home).join("hub");
        Self {
            endpoint: variable("HF_ENDPOINT"),
            cache: variable("HF_HUB_CACHE").map(PathBuf::from).or(variable("HF_HOME").map(hub)),
            is_offline: is_set("HF_HUB_OFFLINE"),
        }
    }
}

/// Why a file could not be fetched.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FetchError {
    /// The name of the repository.
    #[error("`{0}` is no repository\nhint: write OWNER/NAME")]
    Name(String),
    /// The name of the file.
    #[error("`{0}` is no file of a repository\nhint: write the path from the repository's root")]
    File(String),
    /// This crate was built without its feature.
    #[error(
        "this program was built without the hub\nhint: build it with `cargo build --release \
         --locked --package attribench-cli --features hub`, or fetch the file by other means"
    )]
    NotBuilt,
    /// The repository, the revision or the file does not exist.
    #[error("{repository} has no `{file}`: {reason}\nhint: a private repository needs HF_TOKEN")]
    Missing {
        /// The repository.
        repository: String,
        /// The file.
        file: String,
        /// What the hub said.
        reason: String,
    },
    /// It is not in the cache and may not be fetched.
    #[error(
        "`{file}` of {repository} was never fetched\nhint: unset HF_HUB_OFFLINE, or set HF_HOME to \
         where it lies"
    )]
    Offline {
        /// The repository.
        repository: String,
        /// The file.
        file: String,
    },
    /// What arrived is not what the hub says that it holds.
    #[error(
        "`{file}` of {repository} has the digest {found}, and the hub names {expected}\n\
         hint: nothing was kept; fetch it again"
    )]
    Content {
        /// The repository.
        repository: String,
        /// The file.
        file: String,
        /// Digest of what arrived.
        found: String,
        /// Digest that the hub names.
        expected: String,
    },
    /// The connection failed, or the hub answered something else.
    #[error("`{file}` of {repository}: {reason}\nhint: nothing was kept; is HF_ENDPOINT right?")]
    Connection {
        /// The repository.
        repository: String,
        /// The file.
        file: String,
        /// What happened.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {reason}")]
    Disk {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
}

/// The place on this machine of a file of a repository, fetched if it is not in the cache.
///
/// # Errors
/// When there is no such file, it cannot be fetched whole, or it may not be fetched at all.
pub fn fetch(repository: &Repository, file: &str, place: &Place) -> Result<PathBuf, FetchError> {
    let is_inside = |part: Component<'_>| matches!(part, Component::Normal(_));
    if file.is_empty() || !Path::new(file).components().all(is_inside) {
        return Err(FetchError::File(file.to_owned()));
    }
    #[cfg(feature = "download")]
    return download::fetch(repository, file, place);
    #[cfg(not(feature = "download"))]
    {
        let _ = (repository, place);
        Err(FetchError::NotBuilt)
    }
}

/// Copies a fetched file to `folder` under its path in the repository, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn copy_into(fetched: &Path, file: &str, folder: &Path) -> Result<PathBuf, FetchError> {
    let to = folder.join(file);
    let part = to.with_added_extension("part");
    let copied = fs::create_dir_all(to.parent().unwrap_or(folder))
        .and_then(|()| fs::copy(fetched, &part))
        .and_then(|_| fs::rename(&part, &to));
    copied.map(|()| to.clone()).map_err(|error| FetchError::Disk {
        path: to.display().to_string(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::{FetchError, Place, Repository, copy_into, fetch};

    #[test]
    fn names_are_checked() {
        assert!(Repository::new("HuggingFaceTB/SmolLM2-135M", "main").is_ok());
        for name in ["SmolLM2", "a/b/c", "/b", "a/", "a/..", "a b/c"] {
            assert_eq!(Repository::new(name, "main"), Err(FetchError::Name(name.into())));
        }
        let repository = Repository::new("a/b", "main").unwrap();
        for file in ["", "../x", "/etc/passwd", "a/../../x"] {
            let refused = fetch(&repository, file, &Place::default());
            assert_eq!(refused, Err(FetchError::File(file.into())));
        }
    }

    #[test]
    fn variables_are_those_of_other_clients() {
        let none = Place::of_variables(|_| None);
        assert_eq!(none, Place::default());
        let some = Place::of_variables(|name| match name {
            "HF_ENDPOINT" => Some("http://localhost".into()),
            "HF_HOME" => Some("kept".into()),
            "HF_HUB_OFFLINE" => Some("1".into()),
            _ => None,
        });
        let expected = Place {
            endpoint: Some("http://localhost".into()),
            cache: Some("kept/hub".into()),
            is_offline: true,
        };
        assert_eq!(some, expected);
        assert!(!Place::of_variables(|_| Some("0".into())).is_offline);
    }

    #[test]
    fn a_copy_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("blob");
        std::fs::write(&from, b"content").unwrap();
        let to = copy_into(&from, "part/model.bin", &folder.path().join("into")).unwrap();
        assert_eq!(to, folder.path().join("into/part/model.bin"));
        assert_eq!(std::fs::read(&to).unwrap(), b"content");
        assert_eq!(std::fs::read_dir(to.parent().unwrap()).unwrap().count(), 1);
        let refused = copy_into(&folder.path().join("none"), "x", folder.path());
        assert!(matches!(refused, Err(FetchError::Disk { .. })), "{refused:?}");
    }

    #[cfg(not(feature = "download"))]
    #[test]
    fn without_the_feature_it_says_how_to_build_it() {
        let repository = Repository::new("a/b", "main").unwrap();
        let refused = fetch(&repository, "config.json", &Place::default()).unwrap_err();
        assert!(refused.to_string().contains("--features hub"), "{refused}");
    }
}
