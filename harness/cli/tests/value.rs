//! `attribench value` on tables of somebody else.

use std::{path::Path, process::Command};

use attribench_methods::games::Semivalue;
use ledger_sim::semivalue::Semivalue as LedgerSemivalue;
use serde_json::Value;

fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_attribench"))
        .arg("value")
        .args(arguments)
        .output()
        .expect("the program runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// One left glove and two right ones, as a table with a column for each owner.
fn gloves(path: &Path) {
    let mut text = "left,right,other,utility\n".to_owned();
    for mask in 0..8 {
        let bit = |player: usize| mask >> player & 1;
        let worth = f64::from(bit(0) * (bit(1) | bit(2)));
        text += &format!("{},{},{},{worth}\n", bit(0), bit(1), bit(2));
    }
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_table_of_gloves_has_its_values() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gloves.csv");
    gloves(&path);
    let path = path.to_str().unwrap();
    let (code, output, _) =
        run(&["--table", path, "--value", "shapley,banzhaf,beta(1,1),least-core", "--json"]);
    assert_eq!(code, 0);
    let found: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(found["players"], serde_json::json!(["left", "right", "other"]));
    // definitions, 8.1, G3.
    let third = 1.0 / 3.0;
    let expected: [(usize, [f64; 3]); 4] = [
        (0, [2.0 * third, third / 2.0, third / 2.0]),
        (1, [0.75, 0.25, 0.25]),
        (2, [2.0 * third, third / 2.0, third / 2.0]),
        (3, [1.0, 0.0, 0.0]),
    ];
    for (value, expected) in expected {
        for (player, expected) in expected.into_iter().enumerate() {
            let found = found["values"][value]["values"][player][0].as_f64().unwrap();
            assert!((found - expected).abs() < 1e-12, "value {value}, player {player}: {found}");
        }
    }
    let (code, words, _) = run(&["--table", path]);
    assert!(code == 0 && words.contains("egalitarian-least-core") && words.contains("0.666667"));
}

#[test]
fn masks_and_samples_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sample.csv");
    std::fs::write(&path, "coalition,utility\n1,1\n2,0\n4,2\n3,1\n6,2\n0,0\n").unwrap();
    let path = path.to_str().unwrap();
    let (code, output, errors) = run(&["--table", path, "--value", "banzhaf-msr", "--json"]);
    assert_eq!(code, 0, "{errors}");
    assert!(output.contains("standard_errors"));
    let (code, _, errors) = run(&["--table", path, "--value", "shapley"]);
    assert_eq!(code, 2);
    assert!(errors.contains("no value for the coalition") && errors.contains("hint:"), "{errors}");
}

#[test]
fn what_is_wrong_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    gloves(&path);
    let table = path.to_str().unwrap();
    let (code, _, errors) = run(&["--table", table, "--value", "shaply"]);
    assert!(code == 2 && errors.contains("unknown value `shaply` (known: ame"), "{errors}");
    let (code, _, errors) = run(&["--table", table, "--value", "beta(-1,1)"]);
    assert!(code == 2 && errors.contains("hint: use positive numbers"), "{errors}");
    std::fs::write(&path, "a,worth\n0,1\n").unwrap();
    let (code, _, errors) = run(&["--table", table]);
    assert!(code == 2 && errors.contains("columns: a, worth"), "{errors}");
    let (code, _, errors) = run(&["--table", "absent.csv"]);
    assert!(code == 2 && errors.contains("absent.csv"), "{errors}");
}

/// Weights of semivalues are written twice, as `ledger-sim` is a leaf: here they meet.
#[test]
fn both_sets_of_weights_agree() {
    let pairs = [
        (Semivalue::Shapley, LedgerSemivalue::Shapley),
        (Semivalue::Banzhaf, LedgerSemivalue::Banzhaf),
        (Semivalue::LeaveOneOut, LedgerSemivalue::LeaveOneOut),
        (Semivalue::Beta(16.0, 1.0), LedgerSemivalue::Beta(16.0, 1.0)),
        (Semivalue::Beta(2.0, 3.5), LedgerSemivalue::Beta(2.0, 3.5)),
    ];
    for (ours, theirs) in pairs {
        for players in 1..=20 {
            let mut choose = 1.0;
            for (size, (of_size, of_one)) in
                ours.size_weights(players).iter().zip(theirs.weights(players)).enumerate()
            {
                assert!((of_size - choose * of_one).abs() < 1e-12, "{ours:?} {players} {size}");
                choose *= (players - 1 - size) as f64 / (size + 1) as f64;
            }
        }
    }
}
