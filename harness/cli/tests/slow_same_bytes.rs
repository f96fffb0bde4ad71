//! The promise of the whole suite: the same experiment gives the same bytes, on any number of
//! threads, from an empty store or a full one, and after it was killed on the way.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The program under test, as cargo has built it for this test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_attribench");

/// Top of the checkout, where `experiments/` lies.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

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
    fn start(&self, jobs: usize) -> Child {
        Command::new(PROGRAM)
            .args(["run", "smoke", "--quiet", "--set", "truths.subsets.subsets=600"])
            .args(["--jobs", &jobs.to_string(), "--out"])
            .arg(self.out())
            .arg("--store")
            .arg(self.store())
            .current_dir(ROOT)
            .stdout(Stdio::null())
            .spawn()
            .expect("the program can be started")
    }

    fn finish(&self, jobs: usize) -> Vec<Vec<u8>> {
        let status = self.start(jobs).wait().expect("the program ends");
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

fn assert_same(found: &[Vec<u8>], expected: &[Vec<u8>], what: &str) {
    for ((name, found), expected) in RESULTS.iter().zip(found).zip(expected) {
        assert!(found == expected, "{name} differs: {what}");
    }
}

#[test]
fn the_same_experiment_gives_the_same_bytes() {
    let once = Place::new();
    let expected = once.finish(1);
    assert_same(&Place::new().finish(3), &expected, "3 threads against 1");
    assert_same(&once.finish(1), &expected, "from a full store");

    let killed = Place::new();
    let mut child = killed.start(2);
    let start = Instant::now();
    while killed.stored_trainings() < 3 {
        assert!(start.elapsed() < Duration::from_secs(120), "nothing was stored in two minutes");
        sleep(Duration::from_millis(1));
    }
    child.kill().expect("the program can be killed");
    let status = child.wait().expect("the program ends");
    assert_eq!(status.code(), None, "it had ended before it was killed: give it more to do");
    assert!(!killed.out().join("rows.csv").exists(), "it was killed too late");
    assert_same(&killed.finish(2), &expected, "after a kill");
}
