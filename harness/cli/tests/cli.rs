//! The program as people use it: exit codes, files, messages, and the same bytes every time.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use attribench_core::stream;
use rand::RngExt;
use serde_json::Value;
use tempfile::TempDir;

mod common;
use common::{Ended, call};

/// A small experiment: 8 subsets, 4 contributors and everything make 13 trainings.
const TINY: &str = "\
name: tiny
question: Does the program keep its promises?
prediction: It does.
seed: 3
data:
  source: { embedded: wine }
  train: 60
  queries: 12
  tuning-queries: 6
  ownership: { equal: { contributors: 4 } }
model: softmax-regression
training: { epochs: 8, batch-size: 12, learning-rate: 0.05, optimizer: { sgd: { momentum: 0.9 } } }
truths:
  subsets: { fraction: 0.5, subsets: 8 }
  leave-contributor-out: {}
methods:
  - random
  - grad-dot
  - path-ledger
money: { rule: linear-clipped, tokens: 1000, reference: leave-contributor-out }
draws: 200
expect:
  - query-accuracy(run) > 0.5
";

const METHODS: [&str; 3] = ["random", "grad-dot", "path-ledger"];

/// Trainings of [`TINY`]: subsets, then contributors and everything.
const SUBSETS: usize = 8;
const REMOVALS: usize = 5;

/// Files of a run's folder that depend on the experiment alone.
const RESULTS: [&str; 6] = [
    "effects.parquet",
    "model.safetensors",
    "payouts.parquet",
    "record.json",
    "rows.csv",
    "rows.parquet",
];

/// A folder of its own with an experiment in it, in which the program is started.
struct Place {
    folder: TempDir,
}

impl Ended {
    #[track_caller]
    fn expect_code(self, code: i32) -> Self {
        let (stdout, stderr) = (&self.stdout, &self.stderr);
        assert_eq!(self.code, Some(code), "standard output:\n{stdout}\nstandard error:\n{stderr}");
        self
    }

    #[track_caller]
    fn expect_error(self, code: i32, fragments: &[&str]) -> Self {
        let ended = self.expect_code(code);
        for fragment in fragments {
            assert!(ended.stderr.contains(fragment), "no `{fragment}` in:\n{}", ended.stderr);
        }
        ended
    }

    /// The number in `N models trained in this run`.
    #[track_caller]
    fn trained(&self) -> usize {
        let line = self.stdout.lines().find(|line| line.contains("trained in this run"));
        let line = line.unwrap_or_else(|| panic!("no trainings are told in:\n{}", self.stdout));
        line.split(' ').next().and_then(|number| number.parse().ok()).expect("a number comes first")
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).expect("standard output is JSON")
    }
}

impl Place {
    fn new(experiment: &str) -> Self {
        let place = Self { folder: tempfile::tempdir().expect("a folder can be made") };
        place.write(experiment);
        place
    }

    fn write(&self, experiment: &str) {
        fs::write(self.path("tiny.yaml"), experiment).expect("the experiment can be written");
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_attribench"));
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    fn call(&self, arguments: &[&str]) -> Ended {
        call(self.folder.path(), arguments.iter().copied())
    }

    /// `attribench run` with the folders `out` and `store`.
    fn run(&self, further: &[&str]) -> Ended {
        let arguments = ["run", "tiny.yaml", "--out", "out", "--store", "store"];
        self.call(&[&arguments, further].concat())
    }

    fn results(&self) -> Vec<Vec<u8>> {
        RESULTS.map(|name| self.read(&format!("out/{name}"))).to_vec()
    }

    #[track_caller]
    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    #[track_caller]
    fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).expect("the file holds text")
    }

    /// Files of one stage of the store, sorted.
    fn stored(&self, stage: &str) -> Vec<PathBuf> {
        files_under(&self.path("store").join(stage))
    }

    /// Names of what lies in the folder.
    fn names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.folder.path()).expect("the folder can be read");
        let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("names are text");
        entries.map(|entry| name(entry.expect("the folder can be read"))).collect()
    }
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder exists");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .flat_map(|path| if path.is_dir() { files_under(&path) } else { vec![path] })
        .collect();
    files.sort();
    files
}

fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = files_under(folder).into_iter();
    files.map(|file| (file.clone(), fs::read(file).expect("the file can be read"))).collect()
}

#[track_caller]
fn assert_same(found: &[Vec<u8>], expected: &[Vec<u8>], what: &str) {
    for ((name, found), expected) in RESULTS.iter().zip(found).zip(expected) {
        assert!(found == expected, "{name} differs: {what}");
    }
}

#[test]
fn a_run_leaves_its_folder_with_a_row_for_each_method() {
    let place = Place::new(TINY);
    let ended = place.run(&[]).expect_code(0);
    assert_eq!(ended.trained(), SUBSETS + REMOVALS);
    assert!(ended.stdout.contains("held   query-accuracy(run) > 0.5"), "{}", ended.stdout);
    for name in RESULTS.iter().chain(&["manifest.json", "report.html", "run.json"]) {
        assert!(!place.read(&format!("out/{name}")).is_empty(), "{name} is empty");
    }
    let is_drawing = |file: &PathBuf| file.extension().is_some_and(|end| end == "svg");
    assert!(files_under(&place.path("out/figures")).iter().any(is_drawing), "no figure");

    let rows = place.text("out/rows.csv");
    let mut lines = rows.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().expect("there is a header");
    assert_eq!(
        header[..7],
        ["experiment", "dataset", "model", "method", "access", "truth", "metric"]
    );
    let lines: Vec<Vec<&str>> = lines.collect();
    for method in METHODS {
        for metric in ["lds", "contributor-spearman", "gradients"] {
            let of_method = |line: &&Vec<&str>| line[3] == method && line[6] == metric;
            let found = lines.iter().filter(of_method).count();
            assert_eq!(found, 1, "rows of {metric} of {method}");
        }
    }
    assert!(lines.iter().all(|line| line[..3] == ["tiny", "wine", "softmax-regression"]));

    let manifest: Value = serde_json::from_slice(&place.read("out/manifest.json")).unwrap();
    assert_eq!(manifest["models_trained_now"], SUBSETS + REMOVALS);
    assert_eq!(manifest["verdicts"][0]["held"], true);
    let no_leftover = |file: &PathBuf| file.extension().is_some_and(|end| end != "tmp");
    assert!(files_under(place.folder.path()).iter().all(no_leftover));
}

#[test]
fn json_and_quiet_speak_as_asked() {
    let place = Place::new(TINY);
    let record = place.run(&["--json"]).expect_code(0).json();
    let rows = record["rows"].as_array().expect("a record has rows");
    assert_eq!(rows.len() + 1, place.text("out/rows.csv").lines().count());
    let quiet = place.run(&["--quiet"]).expect_code(0);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let more = ["--set", "truths.subsets={fraction: 0.5, subsets: 100, seeds: 2}"];
    let (one, two) = (Place::new(TINY), Place::new(TINY));
    one.run(&[&["--jobs", "1"], &more[..]].concat()).expect_code(0);
    two.run(&[&["--jobs", "2"], &more[..]].concat()).expect_code(0);
    assert_same(&two.results(), &one.results(), "2 threads against 1");
    let seed = Place::new(TINY);
    seed.run(&[&["--set", "seed=4"], &more[..]].concat()).expect_code(0);
    assert_ne!(seed.read("out/rows.csv"), one.read("out/rows.csv"), "the seed shows");
}

#[test]
fn what_lies_in_the_store_is_not_trained_again() {
    let place = Place::new(TINY);
    assert_eq!(place.run(&[]).expect_code(0).trained(), SUBSETS + REMOVALS);
    let first = place.results();
    let (units, scores) = (place.stored("retrain"), place.stored("score"));
    let trained = |change: &str| {
        let changes = if change.is_empty() { vec![] } else { vec!["--set", change] };
        place.run(&changes).expect_code(0).trained()
    };
    assert_eq!(trained(""), 0);
    assert_same(&place.results(), &first, "from a full store");
    assert_eq!((&place.stored("retrain"), &place.stored("score")), (&units, &scores));

    for change in ["draws=300", "expect=[]", "money.tokens=77", "methods=[grad-cos]"] {
        assert_eq!(trained(change), 0, "{change}");
    }
    let stored_scores = place.stored("score").len();
    assert_eq!(stored_scores, METHODS.len() + 1, "grad-cos alone was new");
    assert_eq!(trained("methods.2={path-ledger: {nodes: 2}}"), 0);
    assert_eq!(place.stored("score").len(), stored_scores + 1, "other nodes, other scores");
    assert_eq!(place.stored("retrain"), units);

    assert_eq!(trained("truths.subsets.subsets=9"), 9, "removals stay");
    assert_eq!(trained("truths.leave-contributor-out.seeds=2"), REMOVALS, "one more seed");
    // Stored are utilities at the queries, not models: another utility is measured on new ones.
    for change in ["utility=negative-loss", "training.epochs=9", "data.queries=13", "seed=9"] {
        assert_eq!(trained(change), SUBSETS + REMOVALS, "{change}");
        assert_eq!(trained(change), 0, "{change} again");
    }
    assert_eq!(trained(""), 0, "the first experiment is still there");
    assert_same(&place.results(), &first, "after others in the same store");
}

/// [`TINY`] with seconds of training in dozens of units.
fn long_experiment() -> String {
    let model = "model: { mlp: { hidden: [32, 32], activation: tanh } }";
    let long = TINY.replace("model: softmax-regression", model);
    let long = long.replace("epochs: 8", "epochs: 120");
    let long = long.replace("subsets: 8 ", "subsets: 640 ");
    long.replace("  - path-ledger\n", "")
}

/// Whether a unit of retraining lies in the store, whole.
fn holds_a_unit(place: &Place) -> bool {
    let is_unit = |file: &PathBuf| file.extension().is_some_and(|end| end == "safetensors");
    place.path("store/retrain").exists() && place.stored("retrain").iter().any(is_unit)
}

/// Puts into every folder what a process leaves that dies while it writes.
fn leave_half_written_files(folder: &Path) {
    for file in files_under(folder) {
        let half = fs::read(&file).map(|bytes| bytes[..bytes.len() / 2].to_vec()).unwrap();
        fs::write(file.with_file_name(".1-0.tmp"), half).expect("a leftover can be written");
    }
}

#[test]
fn killed_at_any_moment_a_run_goes_on_to_the_same_bytes() {
    const KILLS: u64 = 6;
    let experiment = long_experiment();
    let (whole, killed) = (Place::new(&experiment), Place::new(&experiment));
    let trainings = whole.run(&["--jobs", "2"]).expect_code(0).trained();
    assert_eq!(trainings, 640 + REMOVALS);

    let arguments = ["run", "tiny.yaml", "--out", "out", "--store", "store", "--jobs", "2"];
    let mut found_at_work = 0;
    for kill in 0..KILLS {
        let mut child = killed
            .command(&arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program can be started");
        if kill == 0 {
            // However slow the machine is, one kill comes after the first unit was stored.
            while !holds_a_unit(&killed) && child.try_wait().expect("it can be asked").is_none() {
                sleep(Duration::from_millis(1));
            }
        }
        sleep(Duration::from_millis(stream(1, "kills", kill).random_range(0..450)));
        child.kill().expect("a process can be killed");
        let status = child.wait().expect("a killed process ends");
        // A process that was killed has no exit code.
        found_at_work += u64::from(status.code().is_none());
    }
    assert!(found_at_work > 0, "every run had ended before it was killed: give it more to do");
    leave_half_written_files(&killed.path("store"));
    let left = killed.run(&["--jobs", "2"]).expect_code(0).trained();
    assert!(left < trainings, "nothing was kept of {found_at_work} runs");
    assert_same(&killed.results(), &whole.results(), "after kills");
    assert_eq!(killed.run(&[]).expect_code(0).trained(), 0);
}

#[test]
fn a_folder_that_was_half_written_is_written_anew() {
    let place = Place::new(TINY);
    place.run(&[]).expect_code(0);
    let whole = place.results();
    leave_half_written_files(&place.path("out"));
    for name in RESULTS.iter().chain(&["run.json", "manifest.json", "report.html"]) {
        fs::write(place.path("out").join(name), b"half").unwrap();
    }
    place.run(&[]).expect_code(0);
    assert_same(&place.results(), &whole, "over half-written files");
    assert!(place.text("out/report.html").ends_with("</html>\n"));
}

#[test]
fn a_damaged_file_of_the_store_is_named_and_heals_when_it_is_deleted() {
    let place = Place::new(TINY);
    place.run(&[]).expect_code(0);
    let whole = place.results();
    for stage in ["retrain", "score", "noise-floor"] {
        let file = place.stored(stage).remove(0);
        let name = file.file_name().and_then(|name| name.to_str()).expect("names are hexadecimal");
        let bytes = fs::read(&file).unwrap();
        for damage in [&bytes[..bytes.len() - 1], b"", b"not what it was"] {
            fs::write(&file, damage).unwrap();
            fs::remove_file(place.path("out/rows.csv")).ok();
            place.run(&[]).expect_error(1, &["error: store", stage, name, "delete this file"]);
            assert!(!place.path("out/rows.csv").exists(), "rows of damaged numbers");
        }
        fs::remove_file(&file).unwrap();
        let trained = place.run(&[]).expect_code(0).trained();
        let expected = if stage == "retrain" { &[SUBSETS, REMOVALS][..] } else { &[0] };
        assert!(expected.contains(&trained), "{trained} trained after {stage} was damaged");
        assert_same(&place.results(), &whole, stage);
    }
}

/// A wrong experiment: what of [`TINY`] is replaced by what, where the error is (none where
/// something is missing), and what must be said.
struct Wrong {
    replace: &'static str,
    by: &'static str,
    at: Option<&'static str>,
    says: &'static [&'static str],
}

const WRONG: &[Wrong] = &[
    Wrong {
        replace: "seed: 3",
        by: "seed: 3\nutilty: margin",
        at: Some("utilty"),
        says: &["unknown section `utilty`", "known: name, question", "did you mean `utility`?"],
    },
    Wrong {
        replace: "- grad-dot",
        by: "- grad-dott",
        at: Some("grad-dott"),
        says: &["unknown method `grad-dott`", "path-ledger", "did you mean `grad-dot`?"],
    },
    Wrong {
        replace: "model: softmax-regression",
        by: "model: softmax-regresion",
        at: Some("softmax-regresion"),
        says: &[
            "unknown model",
            "known: cnn, gpt, llama, mlp, ",
            "did you mean `softmax-regression`?",
        ],
    },
    Wrong {
        replace: "- path-ledger",
        by: "- path-ledger: { knots: 2 }",
        at: Some("path-ledger:"),
        says: &["method `path-ledger`", "`knots`", "`nodes`"],
    },
    Wrong {
        replace: "model: softmax-regression\n",
        by: "",
        at: None,
        says: &["section `model` is missing", "hint: add `model:`"],
    },
    Wrong {
        replace: "epochs: 8",
        by: "epochs: many",
        at: Some("many"),
        says: &["in `training`", "invalid"],
    },
    Wrong {
        replace: "  queries: 12",
        by: "  queries: 12\n  shuffle: true",
        at: Some("shuffle"),
        says: &["in `data`", "unknown field `shuffle`", "tuning-queries", "ownership"],
    },
    Wrong {
        replace: "batch-size: 12",
        by: "batch-size: 61",
        at: Some("{ epochs"),
        says: &["`batch-size` is 61 but there are 60 training examples"],
    },
    Wrong {
        replace: "sgd: { momentum: 0.9 }",
        by: "sgd: { nesterov: true }",
        at: Some("{ epochs"),
        says: &["`optimizer`: `nesterov` without `momentum`", "hint: set `momentum`"],
    },
    Wrong {
        replace: "sgd: { momentum: 0.9 }",
        by: "adam: { beta1: 0.9 }",
        at: Some("adam"),
        says: &["in `training`", "adam", "adam-w"],
    },
    Wrong {
        replace: "sgd: { momentum: 0.9 } }",
        by: "sgd: { momentum: 0.9 } }, clip-norm: 0",
        at: Some("{ epochs"),
        says: &["`clip-norm` is 0", "hint: use a positive number"],
    },
    Wrong {
        replace: "reference: leave-contributor-out",
        by: "reference: grad-dott",
        at: Some("{ rule"),
        says: &["unknown reference `grad-dott`", "leave-contributor-out", "hint: name a method"],
    },
    Wrong {
        replace: "rule: linear-clipped",
        by: "rule: linear-cliped",
        at: Some("{ rule"),
        says: &["unknown payout rule `linear-cliped`", "did you mean `linear-clipped`?"],
    },
    Wrong {
        replace: "query-accuracy(run)",
        by: "query-accurracy(run)",
        at: Some("query-accurracy"),
        says: &["unknown metric `query-accurracy`", "known: ", "query-accuracy"],
    },
    Wrong {
        replace: "query-accuracy(run)",
        by: "lds(grad-cos)",
        at: Some("lds(grad-cos)"),
        says: &["names no method of this experiment", "known: random, grad-dot, path-ledger"],
    },
    Wrong {
        replace: "- path-ledger",
        by: "- path-ledger: { tune: { nodes: [1, 2] } }",
        at: Some("path-ledger:"),
        says: &["`tune` has 6 tuning queries and 0 tuning subsets", "hint: set `data.tuning-"],
    },
    Wrong {
        replace: "- path-ledger",
        by: "- path-ledger: { tune: { nodes: 2 } }",
        at: Some("path-ledger:"),
        says: &["`tune.nodes` lists no values", "hint: write `tune:"],
    },
    Wrong {
        replace: "- path-ledger",
        by: "- path-ledger: { label: truth }",
        at: Some("path-ledger:"),
        says: &["a method is called `truth`", "give it another `label`"],
    },
    Wrong {
        replace: "draws: 200",
        by: "memory: 2 GB",
        at: Some("2 GB"),
        says: &["in `memory`", "`2 GB` is no amount of memory, such as 2GiB"],
    },
    Wrong {
        replace: "draws: 200",
        by: "memory: 1MiB",
        at: Some("1MiB"),
        says: &["with one thread, and `memory` is 1 MiB", "hint: allow more"],
    },
    Wrong {
        replace: "embedded: wine",
        by: "embedded: wines",
        at: Some("\n  source"),
        says: &["wines", "wine"],
    },
    // No YAML at all: the list that begins here swallows the next section's name.
    Wrong { replace: "seed: 3", by: "seed: [3", at: Some(":\n  source"), says: &[] },
];

/// `line:column: ` of a fragment, both from 1; of what follows where it begins with a line's end.
fn place_of(text: &str, fragment: &str) -> String {
    let start = text.find(fragment).expect("the fragment is in the experiment");
    let start = start + fragment.len() - fragment.trim_start().len();
    let line_start = text[..start].rfind('\n').map_or(0, |end| end + 1);
    let line = text[..start].matches('\n').count() + 1;
    format!("{line}:{}: ", start - line_start + 1)
}

#[test]
fn a_wrong_experiment_is_refused_with_place_and_remedy() {
    for wrong in WRONG {
        assert!(TINY.contains(wrong.replace), "{} is in the experiment", wrong.replace);
        let text = TINY.replacen(wrong.replace, wrong.by, 1);
        let place = Place::new(&text);
        let start = match wrong.at {
            Some(fragment) => format!("error: tiny.yaml:{}", place_of(&text, fragment)),
            None => "error: tiny.yaml: ".to_owned(),
        };
        let expected = [&[start.as_str(), "1 error found; nothing was run"], wrong.says].concat();
        place.run(&[]).expect_error(2, &expected);
        place.call(&["check", "tiny.yaml"]).expect_error(2, &expected);
        assert_eq!(
            place.names(),
            BTreeSet::from(["tiny.yaml".to_owned()]),
            "something was written"
        );
    }
}

#[test]
fn all_that_is_wrong_is_listed_at_once() {
    let text = TINY.replace("- grad-dot", "- grad-dott").replace("epochs: 8", "epochs: 0");
    let (method, training) = (place_of(&text, "grad-dott"), place_of(&text, "{ epochs"));
    Place::new(&text).run(&[]).expect_error(
        2,
        &[
            &format!("error: tiny.yaml:{method}unknown method `grad-dott`"),
            &format!("error: tiny.yaml:{training}`epochs` is 0"),
            "2 errors found; nothing was run",
        ],
    );
    let text = TINY.replace("seed: 3", "seed: three\nutilty: margin");
    let (seed, section) = (place_of(&text, "three"), place_of(&text, "utilty"));
    Place::new(&text).run(&[]).expect_error(
        2,
        &[
            &format!("error: tiny.yaml:{seed}in `seed`"),
            &format!("error: tiny.yaml:{section}unknown section `utilty`"),
            "2 errors found; nothing was run",
        ],
    );
}

#[test]
fn an_unmet_expectation_has_its_own_exit_code_and_its_report() {
    let place = Place::new(&TINY.replace("query-accuracy(run) > 0.5", "lds(random) > 2"));
    let ended = place.run(&[]).expect_code(3);
    assert!(ended.stdout.contains("FAILED lds(random) > 2"), "{}", ended.stdout);
    assert!(place.text("out/report.html").contains("lds(random) &gt; 2"));
    let record: Value = serde_json::from_slice(&place.read("out/record.json")).unwrap();
    assert_eq!(record["verdicts"][0]["held"], false);
    assert_eq!(place.run(&["--set", "expect=[]"]).expect_code(0).trained(), 0);
}

#[test]
fn a_method_that_fails_takes_nothing_from_the_others() {
    // No system of equations is solved to a residual of 1e-30.
    let fails = "- influence-cg: { tolerance: 1.0e-30, iterations: 2 }\n  - path-ledger";
    let place = Place::new(&TINY.replace("- path-ledger", fails));
    let ended = place.run(&[]).expect_error(1, &["method `influence-cg`", "1 method failed"]);
    assert!(ended.stdout.contains("grad-dot"), "{}", ended.stdout);
    let record: Value = serde_json::from_slice(&place.read("out/record.json")).unwrap();
    assert_eq!(record["failures"][0]["method"], "influence-cg");
    assert!(place.text("out/report.html").contains("What failed"));
    let rows = place.text("out/rows.csv");
    assert!(rows.contains("path-ledger") && !rows.contains("influence-cg"), "{rows}");
}

#[test]
fn settings_are_chosen_on_queries_and_subsets_of_their_own() {
    // No system of equations is solved to a residual of 1e-30, so two settings of four fail.
    let grid = "- influence-cg: { tune: { damping: [{ relative: 0.001 }, { relative: 100.0 }], \
                tolerance: [1.0e-30, 0.001] } }\n  - path-ledger";
    let tuned = TINY.replace("- path-ledger", grid).replace("subsets: 8", "subsets: 8, tuning: 12");
    let place = Place::new(&tuned);
    assert_eq!(place.run(&[]).expect_code(0).trained(), SUBSETS + 12 + REMOVALS);
    let record: Value = serde_json::from_slice(&place.read("out/record.json")).unwrap();
    let trials = record["trials"].as_array().unwrap();
    let (point, chosen) = (
        |trial: &Value| trial["outcome"]["lds"]["point"].as_f64(),
        |trial: &&Value| trial["chosen"] == true,
    );
    assert_eq!(trials.len(), 4);
    assert!(trials[0]["outcome"]["failed"].as_str().unwrap().contains("residual"));
    let best = trials.iter().filter_map(point).fold(f64::NEG_INFINITY, f64::max);
    let taken: Vec<&Value> = trials.iter().filter(chosen).collect();
    assert_eq!((taken.len(), point(taken[0])), (1, Some(best)));
    let rows = place.text("out/rows.csv");
    let lds = rows.lines().find(|row| row.contains(",influence-cg,") && row.contains(",lds,"));
    assert!(lds.unwrap().ends_with(",4"), "four settings were tried: {lds:?}");
    assert!(place.text("out/report.html").contains("Settings tried"));
    // What is reported does not depend on what was tried besides.
    let alone = tuned.replace("tolerance: [1.0e-30, 0.001]", "tolerance: [0.001]");
    place.write(&alone);
    assert_eq!(place.run(&[]).expect_code(0).trained(), 0);
    let point_of = |rows: &str| -> String {
        let row = rows.lines().find(|row| row.contains(",influence-cg,")).unwrap();
        row.rsplit_once(',').unwrap().0.to_owned()
    };
    assert_eq!(point_of(&place.text("out/rows.csv")), point_of(&rows));
}

#[test]
fn a_forecast_counts_what_the_run_does() {
    let place = Place::new(TINY);
    let forecast = place.call(&["check", "tiny.yaml", "--json"]).expect_code(0).json();
    assert_eq!(forecast["trainings"], SUBSETS + REMOVALS);
    // 60 examples in batches of 12, 8 times; 13 features and a bias for each of 3 classes.
    assert_eq!(forecast["steps"], 8 * 60 / 12);
    assert_eq!(forecast["parameters"], 3 * (13 + 1));
    assert!(forecast["training_seconds"].as_f64().unwrap() > 0.0);
    // The features alone, stored as f32 and trained on as f32.
    assert!(forecast["bytes"].as_u64().unwrap() > 2 * 4 * 13 * (60 + 12 + 6));
    let words = place.call(&["check", "tiny.yaml"]).expect_code(0).stdout;
    for fragment in ["tiny.yaml is in order", "13 models", "random, grad-dot, path-ledger"] {
        assert!(words.contains(fragment), "no `{fragment}` in:\n{words}");
    }
    assert_eq!(place.names().len(), 1, "a check writes nothing");
}

#[test]
fn lists_hold_every_registered_name() {
    let place = Place::new(TINY);
    let all = place.call(&["list", "--json"]).expect_code(0).json();
    let words = place.call(&["list"]).expect_code(0).stdout;
    let registered: [(&str, Vec<&str>); 8] = [
        ("agents", ledger_sim::agents::AGENTS.iter().map(|agent| agent.name).collect()),
        ("scenario-rules", ledger_sim::rules::RULES.iter().map(|rule| rule.name).collect()),
        ("scenario-metrics", ledger_sim::simulation::METRICS.iter().map(|m| m.name).collect()),
        ("data", attribench_datasets::REGISTRY.iter().map(|entry| entry.name).collect()),
        ("models", attribench_models::REGISTRY.iter().map(|entry| entry.name).collect()),
        ("methods", attribench_methods::REGISTRY.iter().map(|entry| entry.info.name).collect()),
        ("rules", ledger_sim::rules::stream_rules().map(|entry| entry.name).collect()),
        ("truths", vec!["game", "leave-contributor-out", "leave-one-out", "subsets"]),
    ];
    for (kind, expected) in registered {
        let items = all[kind].as_array().unwrap_or_else(|| panic!("no {kind} are listed"));
        let listed: Vec<&str> = items.iter().map(|item| item["name"].as_str().unwrap()).collect();
        assert_eq!(listed, expected, "{kind}");
        assert!(items.iter().all(|item| !item["summary"].as_str().unwrap().is_empty()), "{kind}");
        let alone = place.call(&["list", kind, "--json"]).expect_code(0).json();
        assert_eq!(alone, serde_json::json!({ kind: all[kind] }));
        assert!(expected.iter().all(|name| words.contains(&format!("\n  {name} "))), "{kind}");
    }
    let metrics = all["metrics"].as_array().expect("metrics are listed");
    assert!(metrics.iter().any(|metric| metric["name"] == "lds"));
    place.call(&["list", "people"]).expect_error(2, &["people", "methods"]);
}

#[test]
fn a_program_without_the_hub_says_how_to_get_it() {
    let place = Place::new(TINY);
    let asked = ["fetch", "somebody/model", "config.json"];
    place.call(&asked).expect_error(2, &["hint: ", "--features hub"]);
    place.call(&["fetch", "somebody"]).expect_error(2, &["hint: write OWNER/NAME"]);
}

#[test]
fn every_help_shows_examples() {
    let place = Place::new(TINY);
    for command in ["run", "check", "list", "report"] {
        let help = place.call(&[command, "--help"]).expect_code(0).stdout;
        let (_, examples) = help.split_once("\nExamples:\n").expect("help has examples");
        assert!(examples.starts_with(&format!("  attribench {command}")), "{help}");
    }
    let help = place.call(&["--help"]).expect_code(0).stdout;
    assert!(help.contains("Exit codes:"), "{help}");
    place.call(&["train"]).expect_error(2, &["train"]);
}

#[test]
fn a_report_is_made_again_from_its_folder_alone() {
    let place = Place::new(TINY);
    place.run(&[]).expect_code(0);
    let page = place.read("out/report.html");
    let figures = contents(&place.path("out/figures"));
    assert!(!figures.is_empty(), "there are figures");
    fs::remove_dir_all(place.path("store")).unwrap();
    fs::remove_dir_all(place.path("out/figures")).unwrap();
    fs::remove_file(place.path("out/report.html")).unwrap();
    let ended = place.call(&["report", "out"]).expect_code(0);
    assert_eq!(ended.stdout.trim(), Path::new("out").join("report.html").to_str().unwrap());
    assert!(place.read("out/report.html") == page, "the page differs");
    assert!(contents(&place.path("out/figures")) == figures, "a figure differs");
}

#[test]
fn a_folder_without_a_run_has_no_report() {
    let place = Place::new(TINY);
    fs::create_dir(place.path("empty")).unwrap();
    let missing = Path::new("empty").join("record.json");
    place.call(&["report", "empty"]).expect_error(1, &[missing.to_str().unwrap(), "hint: "]);
    assert_eq!(fs::read_dir(place.path("empty")).unwrap().count(), 0, "something was written");
}

#[test]
fn changes_on_the_command_line_are_made_and_recorded() {
    let place = Place::new(TINY);
    let changes = ["--set", "training.epochs=16", "--set", "methods.0=grad-cos"];
    let check = [&["check", "tiny.yaml", "--json"], &changes[..]].concat();
    assert_eq!(place.call(&check).expect_code(0).json()["steps"], 16 * 60 / 12);
    place.run(&changes).expect_code(0);
    let rows = place.text("out/rows.csv");
    assert!(rows.contains(",grad-cos,") && !rows.contains(",random,"), "{rows}");
    let facts: Value = serde_json::from_slice(&place.read("out/run.json")).unwrap();
    assert_eq!(
        facts["facts"]["commands"][0],
        "attribench run tiny.yaml --set 'training.epochs=16' --set 'methods.0=grad-cos'"
    );
}

#[test]
fn a_wrong_command_line_is_refused_like_a_wrong_experiment() {
    let place = Place::new(TINY);
    for (change, says) in [
        ("seed", "has no `=`\nhint: write key=value"),
        ("seed.deeper=1", "`deeper` is inside 3"),
        ("methods.7=random", "`7` is no position in a list of 3"),
        ("seed=[1", "`--set seed=[1`"),
        ("training.epochs=many", "tiny.yaml with --set: in `training`"),
        ("utilty=margin", "tiny.yaml with --set: unknown section `utilty`"),
    ] {
        place.run(&["--set", change]).expect_error(2, &["error: ", says]);
    }
    place.run(&["--jobs", "0"]).expect_error(2, &["--jobs"]);
    place.call(&["run", "no-such"]).expect_error(2, &["cannot read experiment `no-such`"]);
    assert_eq!(place.names(), BTreeSet::from(["tiny.yaml".to_owned()]), "something was written");
}
