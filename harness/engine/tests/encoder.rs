//! Encoders of texts in folders of other programs: the vectors that transformers gives, and what is
//! said of a folder that does not fit.

use std::{fs, path::Path};

use attribench_core::{Examples, Labels, TokenTargets};
use attribench_datasets::TokenLoss;
use attribench_engine::files::encoder::TextEncoder;
use attribench_models::ENCODERS;
use ndarray::Array2;
use safetensors::{Dtype, tensor::TensorView};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What transformers computes; its script stands beside it.
#[derive(Deserialize)]
struct Oracle {
    config: Value,
    tokenizer: Value,
    parameters: Vec<Parameter>,
    texts: Vec<String>,
    vectors: Vec<Vec<f64>>,
}

#[derive(Clone, Deserialize)]
struct Parameter {
    name: String,
    shape: Vec<usize>,
}

fn oracle() -> Oracle {
    serde_json::from_str(include_str!("oracles/bert.json")).unwrap()
}

/// The formula of the script.
fn value(name: &str, place: usize) -> f32 {
    let wave = (0.37 * (place * place) as f64 + 0.3).sin();
    let value = match name {
        name if name.ends_with("LayerNorm.weight") => 1.0 + 0.3 * wave,
        name if name.ends_with("bias") => 0.2 * wave,
        _ => 0.6 * wave,
    };
    value as f32
}

/// The tensors of the oracle under names with a prefix.
fn write_weights(path: &Path, parameters: &[Parameter], prefix: &str) {
    let mut place = 0;
    let mut bytes = |Parameter { name, shape }: &Parameter| -> Vec<u8> {
        let count: usize = shape.iter().product();
        let values = (place..place + count).flat_map(|place| value(name, place).to_le_bytes());
        let values = values.collect();
        place += count;
        values
    };
    let data: Vec<Vec<u8>> = parameters.iter().map(&mut bytes).collect();
    let views = parameters.iter().zip(&data).map(|(parameter, data)| {
        let view = TensorView::new(Dtype::F32, parameter.shape.clone(), data).expect("a tensor");
        (format!("{prefix}{}", parameter.name), view)
    });
    // Files hold other things as well.
    let buffer = [0; 8];
    let other = TensorView::new(Dtype::I64, vec![1], &buffer).expect("a tensor");
    let views = views.chain([("embeddings.position_ids".to_owned(), other)]);
    fs::write(path, safetensors::serialize(views, None).expect("tensors")).unwrap();
}

fn write_json(folder: &TempDir, name: &str, content: &Value) {
    fs::write(folder.path().join(name), content.to_string()).unwrap();
}

/// A folder with the oracle's encoder.
fn written(oracle: &Oracle) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_json(&folder, "config.json", &oracle.config);
    write_json(&folder, "tokenizer.json", &oracle.tokenizer);
    write_weights(&folder.path().join("model.safetensors"), &oracle.parameters, "");
    folder
}

fn load(folder: &TempDir) -> Result<TextEncoder, String> {
    TextEncoder::load(folder.path(), ENCODERS).map_err(|error| error.to_string())
}

/// Windows of bytes, an edge before each text and padding behind it.
fn windows(texts: &[String]) -> Examples<f32> {
    let positions = texts.iter().map(String::len).max().unwrap_or(0).max(1);
    let byte = |row: usize, at: usize| texts[row].as_bytes().get(at).copied();
    let shape = (texts.len(), positions);
    let features = Array2::from_shape_fn(shape, |(row, position)| {
        position.checked_sub(1).and_then(|at| byte(row, at)).map_or(0.0, f32::from)
    });
    let targets = Array2::from_shape_fn(shape, |(row, position)| {
        byte(row, position).map_or(TokenTargets::NONE, u32::from)
    });
    Examples::new(features, Labels::Tokens(TokenTargets::new(targets, TokenLoss::Sum)))
}

#[test]
fn texts_have_the_vectors_that_transformers_gives_them() {
    let oracle = oracle();
    let folder = written(&oracle);
    let plain = load(&folder).unwrap();
    // A model that was trained with a head of its own keeps the encoder under a name.
    write_weights(&folder.path().join("model.safetensors"), &oracle.parameters, "bert.");
    let prefixed = load(&folder).unwrap();
    assert_ne!(plain.content(), prefixed.content());
    for encoder in [plain, prefixed] {
        let found = encoder.embed(&windows(&oracle.texts)).unwrap();
        assert_eq!(found.dim(), (oracle.texts.len(), oracle.vectors[0].len()));
        for (found, expected) in found.outer_iter().zip(&oracle.vectors) {
            for (found, expected) in found.iter().zip(expected) {
                // Single precision here, double there.
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} and {expected}");
            }
        }
    }
}

#[test]
fn texts_are_cut_where_the_folder_says() {
    let oracle = oracle();
    let folder = written(&oracle);
    let (long, short) = (["sea sea sea sea".to_owned()], ["sea sea".to_owned()]);
    let apart = |encoder: &TextEncoder| {
        let vectors = [&long, &short].map(|texts| encoder.embed(&windows(texts)).unwrap());
        (&vectors[0] - &vectors[1]).iter().fold(0.0f32, |top, gap| top.max(gap.abs()))
    };
    let whole = load(&folder).unwrap();
    assert!(apart(&whole) > 1e-3);
    // Two words between the marks.
    write_json(&folder, "sentence_bert_config.json", &json!({ "max_seq_length": 4 }));
    let cut = load(&folder).unwrap();
    assert_eq!(apart(&cut), 0.0);
    assert_ne!(whole.content(), cut.content());
}

#[test]
fn folders_that_do_not_fit_are_refused_with_the_file() {
    let oracle = oracle();
    let refused = |folder: &TempDir, told: &[&str]| {
        let error = load(folder).err().expect("it is refused");
        for told in told.iter().chain([&"hint: "]) {
            assert!(error.contains(told), "no `{told}` in: {error}");
        }
    };
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let folder = written(&oracle);
        fs::remove_file(folder.path().join(name)).unwrap();
        refused(&folder, &[name]);
        fs::write(folder.path().join(name), "not what it should be").unwrap();
        refused(&folder, &[name]);
    }
    let changed = |key: &str, value: Value| {
        let folder = written(&oracle);
        let mut config = oracle.config.clone();
        config[key] = value;
        write_json(&folder, "config.json", &config);
        folder
    };
    refused(
        &changed("model_type", json!("roberta")),
        &["config.json: `model_type` is `roberta` (known: bert)"],
    );
    refused(&changed("model_type", Value::Null), &["`model_type` is ``"]);
    refused(&changed("hidden_act", json!("relu")), &["config.json: `hidden_act` is \"relu\""]);
    refused(
        &changed("intermediate_size", json!(11)),
        &["model.safetensors: `encoder.layer.0.intermediate.dense.weight` is [10, 12]", "[11, 12]"],
    );
    refused(
        &changed("num_hidden_layers", json!(3)),
        &["there is no `encoder.layer.2.attention.self.query.weight`"],
    );
    let folder = written(&oracle);
    let mut tokenizer = oracle.tokenizer.clone();
    tokenizer["model"]["vocab"]["further"] = json!(16);
    write_json(&folder, "tokenizer.json", &tokenizer);
    refused(&folder, &["tokenizer.json: it has 17 tokens, and the model knows 16"]);
    let folder = written(&oracle);
    fs::create_dir(folder.path().join("1_Pooling")).unwrap();
    let first = json!({ "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false });
    write_json(&folder, "1_Pooling/config.json", &first);
    refused(&folder, &["1_Pooling", "`pooling_mode_cls_token` is true"]);
    write_json(&folder, "1_Pooling/config.json", &json!({ "pooling_mode_mean_tokens": true }));
    assert!(load(&folder).is_ok());
}

#[test]
fn what_is_no_text_is_refused() {
    let encoder = load(&written(&oracle())).unwrap();
    let images = Examples::new(Array2::<f32>::zeros((2, 3)), Labels::Classes(vec![0, 1]));
    let error = encoder.embed(&images).unwrap_err();
    assert!(error.starts_with("they are no texts"), "{error}");
}
