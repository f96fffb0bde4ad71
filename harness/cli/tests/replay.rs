//! A run that somebody else made: two runs of PyTorch are replayed from their files and audited.

use std::{fs::File, path::Path};

use ndarray::{Array2, Array3};
use ndarray_npy::{NpzReader, read_npy, write_npy};
use serde_json::Value;
use tempfile::TempDir;

mod common;
use common::{Ended, call};

/// What `oracles/torch_run.py` wrote.
const MADE_ELSEWHERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles/torch-run");

const SGD: &str = "\
learning-rate: 0.2
  optimizer: { sgd: { momentum: 0.9, nesterov: true, weight-decay: { coupled: 0.01 } } }";
const ADAMW: &str = "\
learning-rate: 0.03
  clip-norm: 0.5
  optimizer: { adam-w: { beta2: 0.99, eps: 0.000001, weight-decay: { decoupled: 0.05 } } }";

fn audit(name: &str, optimiser: &str) -> String {
    format!(
        "\
name: audit
question: Is this the run that its owner says it is?
prediction: Its replay ends where it ended.
seed: 5
precision: f64
data:
  source: {{ npz-files: {{ train: train.npz, test: test.npz }} }}
  queries: 5
  standardise: none
  ownership: {{ equal: {{ contributors: 2 }} }}
model: {{ mlp: {{ hidden: [5], activation: tanh }} }}
base: {{ weights: initial.safetensors }}
training:
  epochs: 5
  batch-size: 8
  given: {{ order: order.npy, final: {name}-final.safetensors }}
  {optimiser}
utility: negative-loss
truths:
  leave-one-out: {{}}
methods:
  - metagradient
  - path-ledger: {{ label: the books }}
expect:
  - replay-deviation(run) < 0.000000000001
"
    )
}

struct Place(TempDir);

impl Place {
    /// The files of one run, and the experiment that audits it.
    fn new(name: &str, optimiser: &str) -> Self {
        let place = Self(tempfile::tempdir().expect("a folder can be made"));
        for file in std::fs::read_dir(MADE_ELSEWHERE).expect("the oracle is there") {
            let from = file.expect("the folder can be read").path();
            let to = place.0.path().join(from.file_name().expect("a file has a name"));
            std::fs::copy(&from, to).expect("a file can be copied");
        }
        let order: Array2<i64> = read_npy(place.0.path().join(format!("{name}-order.npy")))
            .expect("the order can be read");
        place.write_order(&order);
        place.write_audit(&audit(name, optimiser));
        place
    }

    fn write_order(&self, order: &Array2<i64>) {
        write_npy(self.0.path().join("order.npy"), order).expect("an array can be written");
    }

    fn write_audit(&self, text: &str) {
        std::fs::write(self.0.path().join("audit.yaml"), text).expect("a file can be written");
    }

    fn call(&self, arguments: &str) -> Ended {
        call(self.0.path(), arguments.split(' '))
    }

    fn archive(&self, name: &str) -> NpzReader<File> {
        let file = File::open(self.0.path().join(name)).expect("the archive is there");
        NpzReader::new(file).expect("it can be read")
    }

    #[track_caller]
    fn refuse(&self, fragments: &[&str]) {
        let ended = self.call("check audit.yaml");
        assert_eq!(ended.code, Some(2), "{}{}", ended.stdout, ended.stderr);
        for fragment in fragments {
            assert!(ended.stderr.contains(fragment), "`{fragment}` is not in {}", ended.stderr);
        }
    }
}

#[track_caller]
fn is_audited(name: &str, optimiser: &str) {
    let place = Place::new(name, optimiser);
    let ended = place.call("run audit.yaml --out out --save-scores --quiet");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);

    // PyTorch left out each example in its turn, in its own loop.
    let expected: Array2<f64> =
        read_npy(Path::new(MADE_ELSEWHERE).join(format!("{name}-effects.npy"))).unwrap();
    let mut truths = place.archive("out/truths.npz");
    let effects: Array3<f64> = truths.by_name("leave_one_out_effects").unwrap();
    let groups: Array2<u8> = truths.by_name("leave_one_out_groups").unwrap();
    assert_eq!(effects.dim(), (1, 22, 5));
    for (removal, group) in groups.outer_iter().enumerate() {
        let left_out = group.iter().position(|&taken| taken == 1).expect("one is left out");
        for query in 0..5 {
            let (found, expected) = (effects[(0, removal, query)], expected[(left_out, query)]);
            // Differences of numbers near 1, each to 15 steps of rounding.
            assert!((found - expected).abs() < 1e-13, "{left_out}, {query}: {found} {expected}");
        }
    }

    // Scores lie beside it, with ids; what they mean is declared.
    let mut scores = place.archive("out/scores/the%20books.npz");
    let ids: ndarray::Array1<u32> = scores.by_name("train_ids").unwrap();
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    assert_eq!(sorted, (100..122).collect::<Vec<u32>>());
    let values: Array2<f64> = scores.by_name("scores").unwrap();
    assert_eq!(values.dim(), (22, 5));
    let beside = std::fs::read(place.0.path().join("out/scores/the%20books.json")).unwrap();
    let declared: Value = serde_json::from_slice(&beside).unwrap();
    assert_eq!(declared["method"], "path-ledger");
    assert_eq!(declared["sign"], "positive-helps");
    assert_eq!(declared["access"], "full-trace");

    // What the run is compared with is no part of it.
    let text = audit(name, optimiser).replace(&format!(", final: {name}-final.safetensors"), "");
    place.write_audit(text.split("expect:").next().expect("text stands before it"));
    let ended = place.call("run audit.yaml --out again");
    assert!(ended.stdout.contains("0 models trained in this run"), "{}", ended.stdout);

    let evaluated = place.call("evaluate --scores out/scores/metagradient.npz --truth out --json");
    assert_eq!(evaluated.code, Some(0), "{}", evaluated.stderr);
}

#[test]
fn a_run_with_momentum_is_audited() {
    is_audited("sgd", SGD);
}

#[test]
fn a_run_of_adamw_with_clipping_is_audited() {
    is_audited("adamw", ADAMW);
}

#[test]
fn another_order_is_found_out() {
    let place = Place::new("sgd", SGD);
    let mut order: Array2<i64> = read_npy(Path::new(MADE_ELSEWHERE).join("sgd-order.npy")).unwrap();
    order.swap((3, 0), (4, 1));
    place.write_order(&order);
    let ended = place.call("run audit.yaml --out out");
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stdout.contains("FAILED replay-deviation(run)"), "{}", ended.stdout);
}

#[test]
fn files_that_do_not_fit_are_refused() {
    let place = Place::new("sgd", SGD);
    let text = audit("sgd", SGD);
    let order: Array2<i64> = read_npy(Path::new(MADE_ELSEWHERE).join("sgd-order.npy")).unwrap();

    let mut strange = order.clone();
    strange[(2, 1)] = 99;
    place.write_order(&strange);
    place.refuse(&["`given`", "step 2 takes example 99", "not in the training set"]);
    strange.row_mut(2).fill(-1);
    place.write_order(&strange);
    place.refuse(&["step 2 takes no example"]);
    place.write_order(&order.slice(ndarray::s![..14, ..]).to_owned());
    place.refuse(&["14 steps", "15", "hint"]);
    place.write_order(&order.slice(ndarray::s![.., ..7]).to_owned());
    place.refuse(&["batches of 7", "`batch-size` is 8"]);
    let mut holed = order.mapv(|id| id as f64);
    holed[(1, 3)] = f64::NAN;
    write_npy(place.0.path().join("order.npy"), &holed).expect("an array can be written");
    place.refuse(&["step 1 takes example NaN"]);
    place.write_order(&order);

    place.write_audit(&text.replace("sgd-final.safetensors", "gone.safetensors"));
    place.refuse(&["gone.safetensors"]);
    place.write_audit(&text.replace("hidden: [5]", "hidden: [6]"));
    place.refuse(&["`base.weights`"]);
    place.write_audit(&text.replace("leave-one-out: {}", "leave-one-out: { seeds: 2 }"));
    place.refuse(&["`given: order` is the order of one seed", "seeds: 1"]);
}
