//! Key files: a secret key that its owner alone can read, and a public one beside it.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use crate::{
    error::LogError,
    note::{SigningKey, VerifyingKey, parse_trusted},
};

/// Makes a key called `name`; returns the files of the secret and of the public half.
///
/// # Errors
/// When a file is there already, the name cannot be used, or the disk refuses.
pub fn make(name: &str, path: &Path) -> Result<(PathBuf, PathBuf), LogError> {
    let key = SigningKey::generate(name)?;
    let (secret, public) = (with_suffix(path, "key"), with_suffix(path, "pub"));
    let write = |file: &Path, options: &mut OpenOptions, text: String| {
        options
            .write(true)
            .create_new(true)
            .open(file)
            .and_then(|mut opened| opened.write_all(text.as_bytes()).and(opened.sync_all()))
            .map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => LogError::KeyExists { path: file.to_owned() },
                _ => LogError::io(file)(error),
            })
    };
    write(&secret, &mut owner_alone(), key.to_secret_text() + "\n")?;
    write(&public, &mut OpenOptions::new(), format!("{}\n", key.public()))?;
    Ok((secret, public))
}

/// Reads a secret key.
///
/// # Errors
/// When it is no key, or others than its owner may read it.
pub fn read_secret(file: &Path) -> Result<SigningKey, LogError> {
    let opened = File::open(file).map_err(LogError::io(file))?;
    if is_open_to_others(&opened).map_err(LogError::io(file))? {
        return Err(LogError::KeyOpen { path: file.to_owned() });
    }
    let text = fs::read_to_string(file).map_err(LogError::io(file))?;
    Ok(SigningKey::parse(&text)?)
}

/// Reads the public keys that a verifier trusts.
///
/// # Errors
/// When a line of the file is no key, or there is none.
pub fn read_trusted(file: &Path) -> Result<Vec<VerifyingKey>, LogError> {
    let text = fs::read_to_string(file).map_err(LogError::io(file))?;
    Ok(parse_trusted(&text)?)
}

/// The path with a suffix after its last part, dots and all.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

#[cfg(unix)]
fn owner_alone() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

#[cfg(not(unix))]
fn owner_alone() -> OpenOptions {
    OpenOptions::new()
}

#[cfg(unix)]
fn is_open_to_others(file: &File) -> std::io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(file.metadata()?.mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_file: &File) -> std::io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::{make, read_secret, read_trusted};

    #[test]
    fn keys_are_made_once_and_kept_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let (secret, public) = make("lab.example/runs", &folder.path().join("lab.one")).unwrap();
        assert!(secret.ends_with("lab.one.key") && public.ends_with("lab.one.pub"));
        let key = read_secret(&secret).unwrap();
        assert_eq!(read_trusted(&public).unwrap(), [key.public()]);
        let again = make("lab.example/runs", &folder.path().join("lab.one")).unwrap_err();
        assert!(again.to_string().contains("lab.one.key is there already"), "{again}");
        #[cfg(unix)]
        {
            use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};
            let mode = |file: &std::path::Path| file.metadata().unwrap().permissions().mode();
            assert_eq!(mode(&secret) & 0o777, 0o600);
            std::fs::set_permissions(&secret, Permissions::from_mode(0o644)).unwrap();
            let refused = read_secret(&secret).unwrap_err().to_string();
            assert!(refused.contains("chmod 600"), "{refused}");
        }
    }
}
