//! Hashes the sources that numbers come from, so that stored results of other code are not used.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

/// Crates whose code decides numbers that are stored; reports and money are made anew every time.
const SOURCES: [&str; 6] = [
    "../../datasets",
    "../core/src",
    "../engine/src",
    "../models/src",
    "../../methods/src",
    "../../Cargo.lock",
];

/// Code that decides what a simulated replica is.
const MONEY: [&str; 2] = ["../../ledger-sim/src", "../../ledger-sim/data"];

fn main() -> io::Result<()> {
    println!("cargo:rustc-env=ATTRIBENCH_CODE={}", hash_of(&SOURCES)?);
    println!("cargo:rustc-env=ATTRIBENCH_MONEY_CODE={}", hash_of(&MONEY)?);
    let lockfile = Sha256::digest(fs::read("../../Cargo.lock")?);
    let digits: String = lockfile.iter().map(|byte| format!("{byte:02x}")).collect();
    println!("cargo:rustc-env=ATTRIBENCH_LOCKFILE={digits}");
    println!("cargo:rustc-env=ATTRIBENCH_COMPILER={}", compiler()?);
    Ok(())
}

fn hash_of(sources: &[&str]) -> io::Result<String> {
    let mut hash = Sha256::new();
    for source in sources {
        println!("cargo:rerun-if-changed={source}");
        for file in files(Path::new(source))? {
            hash.update(file.to_string_lossy().as_bytes());
            hash.update(fs::read(&file)?);
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What the compiler calls itself.
fn compiler() -> io::Result<String> {
    let name = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = std::process::Command::new(name).arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// All files under a path, in the order of their names.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let entries: io::Result<Vec<PathBuf>> =
        fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect();
    let mut entries = entries?;
    entries.sort();
    let nested: io::Result<Vec<Vec<PathBuf>>> = entries.iter().map(|entry| files(entry)).collect();
    Ok(nested?.concat())
}
