//! A process that appends is killed, again and again: what was signed is never lost.
//!
//! The program is its own child: called with a folder, it appends until somebody kills it.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use attribench_provenance::{
    Log, LogReader, SigningKey, TreeHead,
    verify::{Comparison, compare},
};

const ROUNDS: u64 = 25;

fn key() -> SigningKey {
    SigningKey::from_seed("killed", [4; 32]).expect("the name is usable")
}

fn entry(index: u64) -> Vec<u8> {
    format!("entry {index} {}", "x".repeat((index % 300) as usize)).into_bytes()
}

/// Appends for ever, signing now and then, and says what was signed.
fn append(folder: &Path) {
    let mut log = if folder.join("checkpoint").exists() {
        Log::resume(folder, Some(key())).expect("the log can be gone on with")
    } else {
        Log::create(folder, "killed", Some(key())).expect("a new log")
    };
    loop {
        let size = log.head().size;
        log.append(&entry(size)).expect("the disk takes it");
        if size.is_multiple_of(37) {
            log.sign().expect("the disk takes it");
            let mut out = std::io::stdout();
            writeln!(out, "{}", size + 1).and_then(|()| out.flush()).expect("somebody listens");
        }
    }
}

/// Lets a child sign `signatures` times and kills it in the middle of whatever it does then.
fn kill_after(folder: &Path, signatures: u64) -> u64 {
    let program = std::env::current_exe().unwrap();
    let mut child =
        Command::new(program).arg(folder).stdout(Stdio::piped()).spawn().expect("a child");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut signed = 0;
    for _ in 0..signatures {
        signed = lines.next().expect("the child lives").unwrap().parse().unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it said before it died, and nobody had read yet.
    for line in lines.map_while(Result::ok) {
        signed = line.parse().unwrap_or(signed);
    }
    signed
}

fn check(folder: &Path, signed: u64, before: Option<TreeHead>) -> TreeHead {
    let log = LogReader::open(folder).unwrap();
    log.note().verify(&[key().public()]).unwrap();
    log.check(folder, &mut |index, found| {
        assert_eq!(found, entry(index));
        Ok(())
    })
    .unwrap();
    let head = log.checkpoint().head();
    assert!(head.size >= signed, "{signed} entries were signed, and {} are left", head.size);
    if let Some(before) = before {
        let found = compare(before, None, &log).unwrap();
        assert!(matches!(found, Comparison::Extends { .. }), "{found:?}");
    }
    head
}

fn main() {
    if let Some(folder) = std::env::args().nth(1).filter(|argument| Path::new(argument).is_dir()) {
        return append(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut head = None;
    for round in 0..ROUNDS {
        let signed = kill_after(folder.path(), 1 + round % 7);
        head = Some(check(folder.path(), signed, head));
    }
    let size = head.map_or(0, |head| head.size);
    assert!(size > ROUNDS);
    println!("{ROUNDS} kills, {size} entries, none of them lost");
}
