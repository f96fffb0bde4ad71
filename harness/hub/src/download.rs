//! The way over the hub's own client.
//!
//! The client leaves three things to its callers: it does not read `HF_HUB_OFFLINE`, leaves what it
//! has of a file where a connection is cut, and never looks at what arrived.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use hf_hub::{HFClient, HFError};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::{FetchError, Place, Repository};

/// Digits of the names of large files.
const SHA256_DIGITS: usize = 64;

/// Digits of the names of all others.
const SHA1_DIGITS: usize = 40;

pub(crate) fn fetch(
    repository: &Repository,
    file: &str,
    place: &Place,
) -> Result<PathBuf, FetchError> {
    let failed = |error: HFError| described(repository, file, error);
    let cache = place.cache.clone().unwrap_or_else(hf_hub::resolve_cache_dir);
    let mut client = HFClient::builder().cache_dir(&cache);
    if let Some(endpoint) = &place.endpoint {
        client = client.endpoint(endpoint);
    }
    let client = client.build_sync().map_err(failed)?;
    let Repository { owner, name, revision } = repository;
    let blobs = cache.join(format!("models--{owner}--{name}")).join("blobs");
    let before = unfinished(&blobs);
    let fetched = client
        .model(owner, name)
        .download_file()
        .filename(file)
        .revision(revision)
        .local_files_only(place.is_offline)
        .send();
    let path = fetched.map_err(|error| {
        for part in unfinished(&blobs).difference(&before) {
            if let Err(error) = fs::remove_file(part) {
                return disk(part, &error);
            }
        }
        failed(error)
    })?;
    verify(repository, file, &path)?;
    Ok(path)
}

/// Files that a cut connection left behind; none where there is no folder yet.
fn unfinished(blobs: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(blobs).into_iter().flatten().flatten();
    let is_part = |path: &PathBuf| path.extension().is_some_and(|end| end == "incomplete");
    entries.map(|entry| entry.path()).filter(is_part).collect()
}

fn disk(path: &Path, error: &io::Error) -> FetchError {
    FetchError::Disk { path: path.display().to_string(), reason: error.to_string() }
}

/// Removes a file whose content is not what its name in the cache says: for large files the SHA-256
/// of the content, for the others what git calls them by.
fn verify(repository: &Repository, file: &str, path: &Path) -> Result<(), FetchError> {
    let blob = fs::canonicalize(path).map_err(|error| disk(path, &error))?;
    let expected = blob.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let found = match expected.len() {
        _ if !expected.bytes().all(|byte| byte.is_ascii_hexdigit()) => return Ok(()),
        SHA256_DIGITS => digest::<Sha256>(&blob, ""),
        SHA1_DIGITS => fs::metadata(&blob)
            .and_then(|about| digest::<Sha1>(&blob, &format!("blob {}\0", about.len()))),
        _ => return Ok(()),
    };
    let found = found.map_err(|error| disk(&blob, &error))?;
    if found == expected {
        return Ok(());
    }
    for spoiled in [path, &blob] {
        match fs::remove_file(spoiled) {
            // Where links cannot be made, the client copies, and both are one.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(disk(spoiled, &error));
            }
            _ => {}
        }
    }
    let (repository, file) = (repository.to_string(), file.to_owned());
    Err(FetchError::Content { repository, file, found, expected })
}

/// Digest of what stands before a file's content and the content, as hexadecimal digits.
fn digest<D: Digest>(path: &Path, before: &str) -> io::Result<String> {
    let (mut file, mut digest) = (fs::File::open(path)?, D::new_with_prefix(before));
    let mut part = vec![0; 1 << 20];
    loop {
        match file.read(&mut part)? {
            0 => break,
            length => digest.update(&part[..length]),
        }
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn described(repository: &Repository, file: &str, error: HFError) -> FetchError {
    let (repository, file) = (repository.to_string(), file.to_owned());
    match error {
        HFError::LocalEntryNotFound { .. } => FetchError::Offline { repository, file },
        HFError::RepoNotFound { .. }
        | HFError::RevisionNotFound { .. }
        | HFError::EntryNotFound { .. }
        | HFError::AuthRequired { .. }
        | HFError::Forbidden { .. } => {
            FetchError::Missing { repository, file, reason: error.to_string() }
        }
        error => {
            let mut reason = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                let cause_text = cause.to_string();
                if !reason.contains(&cause_text) {
                    reason = format!("{reason}: {cause_text}");
                }
                source = cause.source();
            }
            FetchError::Connection { repository, file, reason }
        }
    }
}
