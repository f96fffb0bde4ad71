//! Models trained anywhere and scores made by anything: `score` and `evaluate`.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use ndarray::{Array2, ArrayD, array};
use ndarray_npy::{NpzReader, NpzWriter};
use serde_json::Value;
use tempfile::TempDir;

mod common;
use common::{Ended, call};

const MODEL: &str = "\
model: softmax-regression
training: { epochs: 3, batch-size: 2, learning-rate: 0.5 }
utility: negative-loss
precision: f64
";

struct Place(TempDir);

fn write(path: &Path, arrays: &[(&str, ArrayD<f64>)]) {
    let mut writer = NpzWriter::new(File::create(path).expect("a file can be made"));
    for (name, array) in arrays {
        writer.add_array(*name, array).expect("an array is written");
    }
    writer.finish().expect("the archive is written");
}

impl Place {
    /// Six examples and three queries of two features, and a model whose layer is called `fc`.
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a folder can be made"));
        let x = array![[1., 0.], [0., 1.], [1., 1.], [-1., 0.5], [0.3, -2.], [2., -1.]].into_dyn();
        let y = array![0., 1., 0., 1., 0., 1.].into_dyn();
        let ids = array![10., 11., 12., 13., 14., 15.].into_dyn();
        write(&place.path("train.npz"), &[("x", x), ("y", y), ("ids", ids)]);
        let x = array![[0.5, 0.5], [-1., 2.], [1., -0.2]].into_dyn();
        let (y, ids) = (array![0., 1., 1.].into_dyn(), array![16., 17., 18.].into_dyn());
        write(&place.path("test.npz"), &[("x", x), ("y", y), ("ids", ids)]);
        let weight = array![[0.2, -0.1], [-0.3, 0.4]].into_dyn();
        let bias = array![0.05, -0.05].into_dyn();
        write(&place.path("w.npz"), &[("fc.weight", weight), ("fc.bias", bias)]);
        std::fs::write(place.path("model.yaml"), MODEL).expect("a file can be written");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn call(&self, arguments: &str) -> Ended {
        call(self.0.path(), arguments.split(' '))
    }

    fn score(&self, further: &str) -> Ended {
        self.call(&format!(
            "score --model model.yaml --weights w.npz --train train.npz --queries test.npz {further}"
        ))
    }

    #[track_caller]
    fn refuse(&self, arguments: &str, fragments: &[&str]) {
        let ended = self.call(arguments);
        assert_eq!(ended.code, Some(2), "{}{}", ended.stdout, ended.stderr);
        for fragment in fragments {
            assert!(ended.stderr.contains(fragment), "no `{fragment}` in:\n{}", ended.stderr);
        }
    }

    /// Subset utilities that are exactly the sums of scores, under the same ids in another order.
    fn write_linear_truth(&self, scores: &Array2<f64>) {
        let masks =
            Array2::from_shape_fn((8, 6), |(j, i)| f64::from(u8::from((j + 3 * i) % 5 < 3)));
        let utilities = masks.dot(scores);
        let order = [5, 3, 1, 0, 2, 4];
        let ids: Vec<f64> = order.iter().map(|&row| 10.0 + row as f64).collect();
        write(
            &self.path("truth.npz"),
            &[
                ("masks", masks.select(ndarray::Axis(1), &order).into_dyn()),
                ("utilities", utilities.into_dyn()),
                ("train_ids", ndarray::Array1::from(ids).into_dyn()),
                ("query_ids", array![16., 17., 18.].into_dyn()),
            ],
        );
    }
}

fn lds(ended: &Ended) -> f64 {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let rows: Vec<Value> = serde_json::from_str(&ended.stdout).expect("standard output is JSON");
    let row = rows.iter().find(|row| row["metric"] == "lds").expect("subsets were measured");
    row["value"]["point"].as_f64().expect("a figure is a number")
}

#[test]
fn a_model_from_elsewhere_is_scored_and_its_scores_are_evaluated() {
    let place = Place::new();
    let ended = place.score("--method grad-dot --out scores.npz");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let mut archive = NpzReader::new(File::open(place.path("scores.npz")).unwrap()).unwrap();
    let scores: Array2<f64> = archive.by_name("scores").unwrap();
    // Example 0: x = (1, 0), logits (0.25, -0.35), so p_1 = 1 / (1 + e^0.6) and its gradient is
    // p_1 (-1, 1) times (x, 1); query 0: logits (0.1, 0), p_1 = 1 / (1 + e^0.1). Their product is
    // 2 p p' (x . x' + 1), each step of 3 epochs moves by 0.5 / 2.
    let p = |margin: f64| 1.0 / (1.0 + margin.exp());
    let expected = 3.0 * 0.25 * 2.0 * p(0.6) * p(0.1) * (0.5 + 1.0);
    assert!((scores[(0, 0)] - expected).abs() < 1e-12, "{} and {expected}", scores[(0, 0)]);
    let beside: Value =
        serde_json::from_slice(&std::fs::read(place.path("scores.json")).unwrap()).unwrap();
    assert_eq!(beside["sign"], "positive-helps");
    assert_eq!(beside["facts"]["parameter_names"]["layer0.weight"], "fc.weight");

    place.write_linear_truth(&scores);
    for file in ["scores.npz", "scores.safetensors", "scores.parquet"] {
        assert_eq!(place.score(&format!("--method grad-dot --out {file}")).code, Some(0));
        let ended = place.call(&format!("evaluate --scores {file} --truth truth.npz --json"));
        assert_eq!(lds(&ended), 1.0, "{file}");
    }
    let harms = "evaluate --scores scores.npz --truth truth.npz --sign harms --json";
    assert_eq!(lds(&place.call(harms)), -1.0);
    let words = place.call("evaluate --scores scores.npz --truth truth.npz");
    assert!(words.stdout.contains("scores.npz (grad-dot)"), "{}", words.stdout);
}

#[test]
fn without_ids_anywhere_positions_join() {
    let place = Place::new();
    for file in ["train.npz", "test.npz"] {
        let path = place.path(file);
        let mut archive = NpzReader::new(File::open(&path).unwrap()).unwrap();
        let [x, y]: [ArrayD<f64>; 2] = ["x", "y"].map(|name| archive.by_name(name).unwrap());
        write(&path, &[("x", x), ("y", y)]);
    }
    // A bare number damps absolutely.
    let set = "--method ek-fac --set damping=0.01 --out scores.npz";
    assert_eq!(place.score(set).code, Some(0));
    let beside = std::fs::read(place.path("scores.json")).unwrap();
    let beside: Value = serde_json::from_slice(&beside).unwrap();
    assert_eq!(beside["parameters"]["damping"], serde_json::json!({ "absolute": 0.01 }));
    let mut archive = NpzReader::new(File::open(place.path("scores.npz")).unwrap()).unwrap();
    assert_eq!(archive.names().unwrap(), ["scores"]);
    let scores: Array2<f64> = archive.by_name("scores").unwrap();
    let masks = Array2::from_shape_fn((8, 6), |(j, i)| f64::from(u8::from((j + 3 * i) % 5 < 3)));
    let utilities = masks.dot(&scores).into_dyn();
    write(&place.path("truth.npz"), &[("masks", masks.into_dyn()), ("utilities", utilities)]);
    assert_eq!(lds(&place.call("evaluate --scores scores.npz --truth truth.npz --json")), 1.0);
}

#[test]
fn what_does_not_fit_is_refused_with_the_reason() {
    let place = Place::new();
    let score = "score --model model.yaml --weights w.npz --train train.npz --queries test.npz";
    place.refuse(
        &format!("{score} --method trac-in-cp --out s.npz"),
        &["reads", "there are only final weights"],
    );
    place.refuse(
        &format!("{score} --method grad-dott --out s.npz"),
        &["unknown method `grad-dott`"],
    );
    place.refuse(
        &format!("{score} --method grad-dot --out s.csv"),
        &["hint: scores are kept in .npz"],
    );
    place.refuse(
        &format!("{score} --method influence-explicit --set damping.relative=-1 --out s.npz"),
        &["`damping` is -1"],
    );
    let wide = MODEL.replace("softmax-regression", "{ mlp: { hidden: [4] } }");
    std::fs::write(place.path("model.yaml"), wide).unwrap();
    let ended = place.score("--method grad-dot --out s.npz");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("2 tensors do not fit 4"), "{}", ended.stderr);
    std::fs::write(place.path("model.yaml"), format!("{MODEL}lables: x\n")).unwrap();
    place.refuse(&format!("{score} --method grad-dot --out s.npz"), &["model.yaml:5:", "lables"]);
    assert!(!place.path("s.npz").exists());
}

#[test]
fn scores_that_nobody_explains_are_not_evaluated() {
    let place = Place::new();
    let scores = Array2::from_shape_fn((6, 3), |(i, q)| (i * 3 + q) as f64);
    place.write_linear_truth(&scores);
    write(&place.path("bare.npz"), &[("scores", scores.clone().into_dyn())]);
    let bare = "evaluate --scores bare.npz --truth truth.npz";
    place.refuse(bare, &["nothing says what the scores", "hint: give --sign and --scale"]);
    let declared = format!("{bare} --sign helps --scale arbitrary");
    place.refuse(&declared, &["the truth names its example entries and the scores do not"]);
    place.refuse(
        "evaluate --scores bare.npz --truth bare.npz --sign helps --scale unit",
        &["no truth is in it (known: scores)"],
    );
}
