//! The promise of the whole suite: the same experiment gives the same bytes, on any number of
//! threads, from an empty store or a full one, and after it was killed on the way.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use attribench_tidy::tree::root;

/// Files of a run's folder that hold results and neither clocks nor names of machines.
const RESULTS: [&str; 6] = [
    "effects.parquet",
    "model.safetensors",
    "payouts.parquet",
    "record.json",
    "rows.csv",
    "rows.parquet",
];

/// A folder for a run and one for its store.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder for a run can be made") }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Starts the experiment `smoke`, with more subsets so that a kill finds it at work.
    fn start(&self, program: &Path, jobs: usize) -> Child {
        Command::new(program)
            .args(["run", "smoke", "--quiet", "--set", "truths.subsets.subsets=600"])
            .args(["--jobs", &jobs.to_string(), "--out"])
            .arg(self.out())
            .arg("--store")
            .arg(self.store())
            .current_dir(root())
            .stdout(Stdio::null())
            .spawn()
            .expect("the program can be started")
    }

    fn finish(&self, program: &Path, jobs: usize) -> Vec<Vec<u8>> {
        let status = self.start(program, jobs).wait().expect("the program ends");
        // 3: an expectation failed, which says something about methods and nothing about bytes.
        assert!(matches!(status.code(), Some(0 | 3)), "ended with {status}");
        RESULTS.map(|name| fs::read(self.out().join(name)).expect(name)).to_vec()
    }

    fn stored_trainings(&self) -> usize {
        let Ok(groups) = fs::read_dir(self.store().join("retrain")) else { return 0 };
        let files = groups.flatten().flat_map(|group| fs::read_dir(group.path()).into_iter());
        files.flatten().flatten().count()
    }
}

/// Builds the program and returns its path.
fn program() -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["build", "--release", "--locked", "--package", "attribench-cli"])
        .args(["--message-format", "json"])
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "attribench-cli does not build");
    let lines = String::from_utf8(output.stdout).expect("cargo writes text");
    let executable = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    };
    lines.lines().filter_map(executable).next_back().expect("cargo names the program")
}

fn assert_same(found: &[Vec<u8>], expected: &[Vec<u8>], what: &str) {
    for ((name, found), expected) in RESULTS.iter().zip(found).zip(expected) {
        assert!(found == expected, "{name} differs: {what}");
    }
}

#[test]
fn the_same_experiment_gives_the_same_bytes() {
    let program = program();
    let once = Place::new();
    let expected = once.finish(&program, 1);
    assert_same(&Place::new().finish(&program, 3), &expected, "3 threads against 1");
    assert_same(&once.finish(&program, 1), &expected, "from a full store");

    let killed = Place::new();
    let mut child = killed.start(&program, 2);
    let start = Instant::now();
    while killed.stored_trainings() < 3 {
        assert!(start.elapsed() < Duration::from_secs(120), "nothing was stored in two minutes");
        sleep(Duration::from_millis(1));
    }
    child.kill().expect("the program can be killed");
    let status = child.wait().expect("the program ends");
    assert_eq!(status.code(), None, "it had ended before it was killed: give it more to do");
    assert!(!killed.out().join("rows.csv").exists(), "it was killed too late");
    assert_same(&killed.finish(&program, 2), &expected, "after a kill");
}
