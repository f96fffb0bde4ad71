//! `attribench simulate`, `tune` and `calibrate` as a person uses them.

use std::path::Path;
use std::process::{Command, Output};

const SCENARIO: &str = "\
name: tiny
question: Does it run?
prediction: It does.
expect:
  - mispaid-share < 0.9
seed: 7
replicas: 16
time: {epochs: 3, epoch: 30 days}
token: {supply: 1000000 tokens, price: 0.2 USD}
contributors: {count: 10, useful: 50 %}
demand: {queries: 20 queries, arrivals: poisson}
fees: {per-query: 1 tokens, contributors: 100 %}
estimator: {noise: 0.5}
settlement: {rule: net-then-clip, every: 10 queries}
agents:
  - sybil-splitter: {names: 4}
sweep:
  parameters:
    settlement.rule: [linear-clipped, net-then-clip, {power: {exponent: 2}}]
";

fn attribench(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_attribench"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the program can be started")
}

fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tiny.yaml"), text).unwrap();
    folder
}

fn simulated(arguments: &[&str]) -> (tempfile::TempDir, Output) {
    let folder = folder(SCENARIO);
    let output = attribench(folder.path(), &[&["simulate", "tiny.yaml"], arguments].concat());
    (folder, output)
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join("runs/tiny").join(name)).unwrap()
}

#[test]
fn a_folder_with_tables_figures_and_a_page_is_written() {
    let (folder, output) = simulated(&[]);
    assert!(output.status.success(), "{}", words(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("power exponent 2") && said.contains("held   mispaid-share"), "{said}");
    let page = read(folder.path(), "report.html");
    for part in ["Does it run?", "figure-lorenz", "residual 0", "attack-gain", "settlement.rule"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("src=\"http") && !page.contains("href=\"http"));
    for file in ["cells.parquet", "series.parquet", "economics.json", "figures/lorenz.png"] {
        assert!(folder.path().join("runs/tiny").join(file).exists(), "{file}");
    }
    let cells = read(folder.path(), "cells.csv");
    assert!(cells.starts_with("scenario,case,rule,metric,unit,n,undefined,mean"), "{cells}");
}

#[test]
fn a_token_may_have_eighteen_decimals() {
    let (folder, output) = simulated(&[
        "--set",
        "token.decimals=18",
        "--set",
        "token.supply=1000000000 tokens",
        "--set",
        "fees.per-query=123.000000000000000001 tokens",
        "--json",
    ]);
    assert!(output.status.success(), "{}", words(&output));
    assert!(read(folder.path(), "report.html").contains("residual 0"));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let cells = found["cells"].as_array().unwrap();
    let mean = |metric: &str| {
        let cell = cells.iter().find(|cell| cell["metric"] == metric && cell["case"] == 0);
        cell.unwrap()["mean"].as_f64().unwrap()
    };
    // No friction and nothing burnt: contributors are paid all fees, which no float counted.
    assert!(mean("fees") > 3_000.0);
    assert!((mean("paid") / mean("fees") - 1.0).abs() < 1e-12);
}

#[test]
fn the_front_says_by_which_axes_and_how_surely() {
    let (folder, _) = simulated(&[]);
    let study: serde_json::Value =
        serde_json::from_str(&read(folder.path(), "economics.json")).unwrap();
    let axes = &study["front"]["axes"];
    let expected = ["distance-from-worth", "burn-share", "attack-gain-of-pot", "griefing-of-pot"];
    assert!(expected.iter().all(|axis| axes.as_array().unwrap().contains(&(*axis).into())));
    let membership = study["front"]["membership"].as_array().unwrap();
    assert_eq!(membership.len(), 3);
    // In every resample somebody is on the front.
    let sum: f64 = membership.iter().filter_map(serde_json::Value::as_f64).sum();
    assert!(sum >= 1.0, "{sum}");
    let page = read(folder.path(), "report.html");
    assert!(page.contains("Who is on the front") && page.contains("epsilon-dominance"));
}

#[test]
fn a_community_is_calibrated_and_what_is_no_community_is_refused() {
    let folder = folder("");
    // A hazard of a half at every contribution: 256 people make one, 128 two, and so on.
    let people = (0..9).flat_map(|halvings| {
        (0..256 >> halvings).map(move |at| format!("{}\tperson {at}\n", halvings + 1))
    });
    std::fs::write(folder.path().join("counts.txt"), people.collect::<String>()).unwrap();
    let output = attribench(folder.path(), &["calibrate", "counts.txt", "--json"]);
    assert!(output.status.success(), "{}", words(&output));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((found["people"][0].as_u64(), found["people"][1].as_u64()), (Some(255), Some(256)));
    let first = found["first_stop"]["value"].as_f64().unwrap();
    // Four standard errors of a half of 255.
    assert!((first - 0.5).abs() < 0.126, "{first}");
    let said = attribench(folder.path(), &["calibrate", "counts.txt"]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("stops: {scale: "));
    std::fs::write(folder.path().join("few.txt"), "3 Ada\n1 Bob\n").unwrap();
    let output = attribench(folder.path(), &["calibrate", "few.txt"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("at least 200 people"), "{}", words(&output));
}

#[test]
fn a_prediction_that_did_not_hold_is_said_plainly_and_is_no_failure() {
    let predicts = "predicts=[\"mispaid-share > 0.9\", \"reach > 0\"]";
    let (folder, output) = simulated(&["--set", predicts]);
    assert!(output.status.success(), "{}", words(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("NOT AS PREDICTED: mispaid-share > 0.9 ("), "{said}");
    assert!(said.contains("\nas predicted: reach > 0 (") && said.contains(" ± "), "{said}");
    let page = read(folder.path(), "report.html");
    let plain = "<b>The prediction did not hold as it was written:</b> as conditions, 1 of 2 parts";
    assert!(page.contains(plain));
    for part in ["At a glance", "What the rules keep", "false names", "figure-waterfall"] {
        assert!(page.contains(part), "{part}");
    }
    // A case that is not run tests no part.
    let predicts = "predicts=[\"reach > 0\", \"reach(rule=equal) > 2\"]";
    let (folder, _) = simulated(&["--set", predicts]);
    assert!(read(folder.path(), "report.html").contains("1 of 1 parts of the prediction held"));
}

#[test]
fn threads_and_interruptions_leave_no_trace() {
    let (one, _) = simulated(&["--jobs", "1"]);
    let (two, _) = simulated(&["--jobs", "2"]);
    let expected = read(one.path(), "cells.csv");
    assert_eq!(read(two.path(), "cells.csv"), expected);
    // Half of the replicas are in the store already, as if the run had been killed there.
    let resumed = folder(SCENARIO);
    for replicas in ["8", "16"] {
        attribench(resumed.path(), &["simulate", "tiny.yaml", "--replicas", replicas]);
    }
    assert_eq!(read(resumed.path(), "cells.csv"), expected);
    // And the store alone gives the same.
    std::fs::remove_dir_all(resumed.path().join("runs/tiny")).unwrap();
    attribench(resumed.path(), &["simulate", "tiny.yaml"]);
    assert_eq!(read(resumed.path(), "cells.csv"), expected);
}

#[test]
fn everything_wrong_is_told_with_line_and_column() {
    let faulty = SCENARIO
        .replace("contributors: 100 %", "contributors: 90 %, model: 20 %")
        .replace("supply: 1000000 tokens", "supply: -5 tokens")
        .replace("useful: 50 %", "useful: 500 %")
        .replace("per-query: 1 tokens", "per-query: 1 pound")
        .replace("sybil-splitter", "sibyl-splitter");
    let folder = folder(&faulty);
    let output = attribench(folder.path(), &["simulate", "tiny.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    let said = words(&output);
    for part in [
        "tiny.yaml:9:9: `token.supply`: expected an amount of the token",
        "tiny.yaml:10:27: `contributors.useful`: expected a share",
        "tiny.yaml:12:8: `fees.per-query`: expected money",
        "units tokens, base-units, USD",
        "110 % of the net fee",
        "unknown agent `sibyl-splitter`",
        "did you mean `sybil-splitter`?",
        "5 errors found; nothing was run",
    ] {
        assert!(said.contains(part), "{part} not in {said}");
    }
    assert!(!folder.path().join("runs/tiny").exists());
}

#[test]
fn a_failed_condition_ends_with_three_and_a_refusal_with_one() {
    let (_, output) = simulated(&["--set", "expect=[\"mispaid-share > 0.9\"]"]);
    assert_eq!(output.status.code(), Some(3));
    // Nobody outside has the tokens that users would pay.
    let (_, output) = simulated(&["--set", "treasury.tokens=999999 tokens"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("would become negative"), "{}", words(&output));
    assert!(words(&output).contains("seed 7, replica"), "{}", words(&output));
}

#[test]
fn a_scenario_may_extend_another() {
    let folder = folder(SCENARIO);
    let overlay = "extends: tiny.yaml\nname: louder\nestimator: {noise: 2}\nreplicas: 4\n";
    std::fs::write(folder.path().join("louder.yaml"), overlay).unwrap();
    let output = attribench(folder.path(), &["simulate", "louder.yaml", "--json"]);
    assert!(output.status.success(), "{}", words(&output));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["name"], "louder");
    assert_eq!(found["cells"][0]["count"], 4);
}

#[test]
fn a_search_meets_its_goals_and_says_so_under_fresh_draws() {
    let text = SCENARIO.split("sweep:").next().unwrap().replace("net-then-clip", "{power: {}}")
        + "sweep:\n  design: latin-hypercube\n  points: 4\n  parameters:\n    \
           settlement.rule.power.exponent: {from: 0.5, to: 2}\n";
    let folder = folder(&text);
    let goals = ["--goal", "attack-gain-relative < 5 %", "--trials", "8"];
    let output =
        attribench(folder.path(), &[&["tune", "tiny.yaml", "--json"], &goals[..]].concat());
    assert!(output.status.success(), "{}", words(&output));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["candidates"].as_array().unwrap().len(), 8);
    assert_eq!(found["held"][0]["held"], true);
    let exponent: f64 = found["cases"][0]["values"][0].as_str().unwrap().parse().unwrap();
    // Below one, splitting pays; the goal can be met above only.
    assert!(exponent > 1.0, "{exponent}");
}
