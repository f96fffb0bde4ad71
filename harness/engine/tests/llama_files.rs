//! Llamas in files of other programs: what a small one computes after the way through each kind of
//! file, and what is said of a file that does not fit.

use std::{fs, io::Cursor, path::Path};

use attribench_core::{
    Examples, Labels, Model, ModelEntry, Quantity, TokenLoss, TokenTargets, Utility,
};
use attribench_engine::files::{
    configuration::completed,
    parameters::{Names, load},
};
use attribench_models::{Head, Llama, ModelSpec, Network, Pairs, REGISTRY};
use candle_core::{
    Device, Tensor,
    quantized::{GgmlDType, QTensor, gguf_file},
};
use half::{bf16, f16};
use ndarray::Array2;
use safetensors::{Dtype, tensor::TensorView};
use serde::Deserialize;
use serde_json::json;

const VOCABULARY: usize = 5;
const POSITIONS: usize = 4;
const ROWS: usize = 3;

/// What transformers computes; its script stands beside it.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Oracles {
    untied_sum: Oracle,
}

#[derive(Deserialize)]
struct Oracle {
    losses: Vec<f64>,
    gradient: Vec<f64>,
}

fn oracle() -> Oracle {
    let text = include_str!("../../models/tests/oracles/llama.json");
    serde_json::from_str::<Oracles>(text).unwrap().untied_sum
}

fn small() -> Llama {
    Llama {
        layers: 2,
        width: 8,
        heads: 4,
        key_value_heads: Some(2),
        head_width: Some(4),
        hidden: 6,
        base: 100.0,
        pairs: Pairs::Halves,
        epsilon: 1e-3,
        head: Head::Untied,
    }
}

/// A tensor as files hold it.
#[derive(Clone)]
struct Named {
    name: String,
    shape: Vec<usize>,
    values: Vec<f64>,
}

/// Tensors of the small model under the names of Hugging Face, cut from the formula of the oracle
/// in the order in which its script fills them.
fn hugging_face() -> Vec<Named> {
    let mut tensors = Vec::new();
    let mut place = 0;
    let mut take = |name: String, shape: &[usize]| {
        let count: usize = shape.iter().product();
        let value = |place: usize| 0.6 * (1.7 * place as f64 + 0.3).sin();
        let values = (place..place + count).map(value).collect();
        place += count;
        tensors.push(Named { name: format!("{name}.weight"), shape: shape.to_vec(), values });
    };
    take("model.embed_tokens".into(), &[VOCABULARY, 8]);
    for layer in 0..2 {
        let parts: [(&str, &[usize]); 9] = [
            ("input_layernorm", &[8]),
            ("self_attn.q_proj", &[16, 8]),
            ("self_attn.k_proj", &[8, 8]),
            ("self_attn.v_proj", &[8, 8]),
            ("self_attn.o_proj", &[8, 16]),
            ("post_attention_layernorm", &[8]),
            ("mlp.gate_proj", &[6, 8]),
            ("mlp.up_proj", &[6, 8]),
            ("mlp.down_proj", &[8, 6]),
        ];
        for (name, shape) in parts {
            take(format!("model.layers.{layer}.{name}"), shape);
        }
    }
    take("model.norm".into(), &[8]);
    take("lm_head".into(), &[VOCABULARY, 8]);
    tensors
}

/// The same tensors as llama.cpp keeps them: other names, and the rows of every query and key in
/// another order, so that row `2 i + c` of a head is what was row `i + c d_h / 2`.
fn llama_cpp() -> Vec<Named> {
    let renamed = |name: &str| {
        [
            ("model.layers.", "blk."),
            ("self_attn.q_proj", "attn_q"),
            ("self_attn.k_proj", "attn_k"),
            ("self_attn.v_proj", "attn_v"),
            ("self_attn.o_proj", "attn_output"),
            ("input_layernorm", "attn_norm"),
            ("post_attention_layernorm", "ffn_norm"),
            ("mlp.gate_proj", "ffn_gate"),
            ("mlp.up_proj", "ffn_up"),
            ("mlp.down_proj", "ffn_down"),
            ("model.embed_tokens", "token_embd"),
            ("model.norm", "output_norm"),
            ("lm_head", "output"),
        ]
        .iter()
        .fold(name.to_owned(), |name, (theirs, other)| name.replace(theirs, other))
    };
    let moved = |tensor: Named| {
        let name = renamed(&tensor.name);
        if !(name.contains("attn_q") || name.contains("attn_k")) {
            return Named { name, ..tensor };
        }
        let from = |row: usize| (row / 4) * 4 + (row % 4) / 2 + 2 * (row % 2);
        let rows = (0..tensor.shape[0]).map(|row| &tensor.values[from(row) * 8..][..8]);
        Named { name, values: rows.flatten().copied().collect(), ..tensor }
    };
    hugging_face().into_iter().map(moved).collect()
}

fn write_safetensors(path: &Path, tensors: &[Named], kind: Dtype) {
    let bytes = |value: &f64| match kind {
        Dtype::F64 => value.to_le_bytes().to_vec(),
        Dtype::F32 => (*value as f32).to_le_bytes().to_vec(),
        Dtype::F16 => f16::from_f64(*value).to_le_bytes().to_vec(),
        Dtype::BF16 => bf16::from_f64(*value).to_le_bytes().to_vec(),
        _ => (*value as i32).to_le_bytes().to_vec(),
    };
    let data: Vec<Vec<u8>> =
        tensors.iter().map(|tensor| tensor.values.iter().flat_map(bytes).collect()).collect();
    let views = tensors.iter().zip(&data).map(|(tensor, data)| {
        (tensor.name.clone(), TensorView::new(kind, tensor.shape.clone(), data).unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// A GGUF file of the tensors, matrices packed as `kind`, with the metadata of the small model.
fn write_gguf(path: &Path, tensors: &[Named], kind: GgmlDType) {
    use gguf_file::Value::{F32, String, U32};
    let metadata = [
        ("general.architecture", String("llama".into())),
        ("llama.block_count", U32(2)),
        ("llama.embedding_length", U32(8)),
        ("llama.attention.head_count", U32(4)),
        ("llama.attention.head_count_kv", U32(2)),
        ("llama.attention.key_length", U32(4)),
        ("llama.feed_forward_length", U32(6)),
        ("llama.rope.freq_base", F32(100.0)),
        ("llama.attention.layer_norm_rms_epsilon", F32(1e-3)),
    ];
    let packed: Vec<QTensor> = tensors
        .iter()
        .map(|tensor| {
            let values: Vec<f32> = tensor.values.iter().map(|&value| value as f32).collect();
            let whole = Tensor::from_vec(values, &tensor.shape[..], &Device::Cpu).unwrap();
            let kind = if tensor.shape.len() == 1 { GgmlDType::F32 } else { kind };
            QTensor::quantize(&whole, kind).unwrap()
        })
        .collect();
    let metadata: Vec<_> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    let tensors: Vec<_> =
        tensors.iter().zip(&packed).map(|(tensor, packed)| (&*tensor.name, packed)).collect();
    let mut file = Cursor::new(Vec::new());
    gguf_file::write(&mut file, &metadata, &tensors).unwrap();
    fs::write(path, file.into_inner()).unwrap();
}

fn entry() -> &'static ModelEntry {
    REGISTRY.iter().find(|entry| entry.name == "llama").unwrap()
}

fn read(path: &Path, network: &Network) -> Result<Vec<f64>, String> {
    let names = Names { known: entry().elsewhere.names, ..Names::OWN };
    let layout = <Network as Model<f64>>::layout(network);
    load(path, layout, names).map(|(theta, _)| theta).map_err(|error| error.to_string())
}

fn examples() -> Examples<f64> {
    let token = |row: usize, s: usize| (row * 7 + s * 3 + s * s) % VOCABULARY;
    let features = Array2::from_shape_fn((ROWS, POSITIONS), |(row, s)| token(row, s) as f64);
    let targets = Array2::from_shape_fn((ROWS, POSITIONS), |(row, s)| {
        if s < 2 + row { token(row, s + 1) as u32 } else { TokenTargets::NONE }
    });
    Examples::new(features, Labels::Tokens(TokenTargets::new(targets, TokenLoss::Sum)))
}

fn losses(network: &Network, theta: &[f64]) -> Vec<f64> {
    let utilities = network.utilities(theta, &examples(), Utility::NegativeLoss);
    utilities.iter().map(|utility| -utility).collect()
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0.0f64, |top, value| top.max(value.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= tolerance * scale, "{found} is not {expected}");
    }
}

#[test]
fn a_file_of_hugging_face_computes_what_transformers_computes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    write_safetensors(&path, &hugging_face(), Dtype::F64);
    let network = small().build(POSITIONS, VOCABULARY).unwrap();
    let theta = read(&path, &network).unwrap();
    let oracle = oracle();
    // Sums of at most a few hundred terms in another order.
    assert_close(&losses(&network, &theta), &oracle.losses, 1e-12);
    let weights = [0.5, 1.0, 2.0];
    let gradient = network.gradient(&theta, &examples(), Quantity::Loss, &weights);
    assert_close(&gradient, &oracle.gradient, 1e-12);
}

#[test]
fn shorter_numbers_are_read_as_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let network = small().build(POSITIONS, VOCABULARY).unwrap();
    let exact: Vec<f64> = hugging_face().into_iter().flat_map(|tensor| tensor.values).collect();
    let rounded = |round: fn(f64) -> f64| exact.iter().map(|&x| round(x)).collect::<Vec<_>>();
    for (kind, expected) in [
        (Dtype::F32, rounded(|x| f64::from(x as f32))),
        (Dtype::F16, rounded(|x| f16::from_f64(x).to_f64())),
        (Dtype::BF16, rounded(|x| bf16::from_f64(x).to_f64())),
    ] {
        write_safetensors(&path, &hugging_face(), kind);
        assert_eq!(read(&path, &network).unwrap(), expected, "{kind:?}");
    }
}

/// The two files hold the same numbers, one pairs halves and the other neighbours; the model that
/// each describes gives the same losses.
#[test]
fn a_file_of_llama_cpp_is_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let [tensors, config, gguf] =
        ["model.safetensors", "config.json", "model.gguf"].map(|name| folder.path().join(name));
    write_safetensors(&tensors, &hugging_face(), Dtype::F32);
    let description = json!({
        "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 8, "head_dim": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 6,
        "rope_theta": 100.0, "rms_norm_eps": 1e-3
    });
    fs::write(&config, description.to_string()).unwrap();
    write_gguf(&gguf, &llama_cpp(), GgmlDType::F32);
    let described = |path: &Path| {
        let parameters = completed(entry(), &json!({ "config": path })).unwrap();
        serde_json::from_value::<Llama>(parameters).unwrap()
    };
    assert_eq!(described(&config), small());
    assert_eq!(described(&gguf), Llama { pairs: Pairs::Neighbours, ..small() });
    let loaded = |description: &Path, weights: &Path| {
        let network = described(description).build(POSITIONS, VOCABULARY).unwrap();
        losses(&network, &read(weights, &network).unwrap())
    };
    let expected = loaded(&config, &tensors);
    // Products of queries and keys are summed in another order.
    assert_close(&loaded(&gguf, &gguf), &expected, 1e-13);
    // And with the pairs of the other file it is another model.
    let wrong = loaded(&config, &gguf);
    assert!(
        wrong.iter().zip(&expected).all(|(wrong, right)| (wrong - right).abs() > 1e-5),
        "{wrong:?} and {expected:?}"
    );
}

/// Blocks of 32 numbers share a scale `d` in half precision and keep eight bits each: an entry is
/// off by `d / 2` and by what the rounding of `d` to eleven bits does to 127 of it, where
/// `d = max |x| / 127`.
#[test]
fn packed_numbers_are_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let llama = Llama {
        layers: 1,
        width: 32,
        heads: 2,
        key_value_heads: None,
        head_width: None,
        hidden: 32,
        ..small()
    };
    let network = llama.build(POSITIONS, VOCABULARY).unwrap();
    let value = |place: usize| (1.7 * place as f64 + 0.3).sin();
    let tensors: Vec<Named> = [
        ("token_embd", vec![VOCABULARY, 32]),
        ("blk.0.attn_norm", vec![32]),
        ("blk.0.attn_q", vec![32, 32]),
        ("blk.0.attn_k", vec![32, 32]),
        ("blk.0.attn_v", vec![32, 32]),
        ("blk.0.attn_output", vec![32, 32]),
        ("blk.0.ffn_norm", vec![32]),
        ("blk.0.ffn_gate", vec![32, 32]),
        ("blk.0.ffn_up", vec![32, 32]),
        ("blk.0.ffn_down", vec![32, 32]),
        ("output_norm", vec![32]),
        ("output", vec![VOCABULARY, 32]),
    ]
    .into_iter()
    .map(|(name, shape)| {
        let values = (0..shape.iter().product()).map(value).collect();
        Named { name: format!("{name}.weight"), shape, values }
    })
    .collect();
    write_gguf(&path, &tensors, GgmlDType::Q8_0);
    let found = read(&path, &network).unwrap();
    let exact: Vec<f64> = tensors.iter().flat_map(|tensor| tensor.values.clone()).collect();
    assert_eq!(found.len(), exact.len());
    let errors: Vec<f64> = found.iter().zip(&exact).map(|(f, e)| (f - e).abs()).collect();
    let worst = errors.iter().copied().fold(0.0, f64::max);
    let bound = 0.5 / 127.0 + 1.0 / 2048.0;
    assert!(worst <= bound && worst > bound / 4.0, "{worst} against {bound}");
}

#[test]
fn what_does_not_fit_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let network = small().build(POSITIONS, VOCABULARY).unwrap();
    let refused = |tensors: &[Named], kind: Dtype| {
        write_safetensors(&path, tensors, kind);
        read(&path, &network).unwrap_err()
    };
    let whole = hugging_face();
    let says = |message: &str, parts: &[&str]| {
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    };
    let missing: Vec<Named> = whole
        .iter()
        .filter(|tensor| !tensor.name.ends_with("1.mlp.up_proj.weight"))
        .cloned()
        .collect();
    let place = "no `model.layers.1.mlp.up_proj.weight`, which is `block1.expand.weight`";
    says(&refused(&missing, Dtype::F32), &["model.safetensors", place, "hint: "]);
    let mut more = whole.clone();
    more.push(Named { name: "model.layers.0.q.bias".into(), shape: vec![2], values: vec![0.0; 2] });
    let left = "`model.layers.0.q.bias` has no place in the model";
    says(&refused(&more, Dtype::F32), &[left, "hint: "]);
    let mut wide = whole.clone();
    wide[0].shape = vec![4, 10];
    let place = "`model.embed_tokens.weight` is [4, 10], and `token.weight` needs [5, 8]";
    says(&refused(&wide, Dtype::F32), &[place]);
    says(&refused(&whole, Dtype::I32), &["` is I32", "hint: store F64, F32, F16 or BF16"]);
    write_safetensors(&path, &whole, Dtype::F32);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 10]).unwrap();
    says(&read(&path, &network).unwrap_err(), &["model.safetensors: ", "hint: is it whole?"]);
    let path = folder.path().join("model.bin");
    says(&read(&path, &network).unwrap_err(), &["model.bin", "read from .safetensors, .gguf"]);
}

#[test]
fn a_damaged_file_of_llama_cpp_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let network = small().build(POSITIONS, VOCABULARY).unwrap();
    write_gguf(&path, &llama_cpp(), GgmlDType::F32);
    let bytes = fs::read(&path).unwrap();
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let message = read(&path, &network).unwrap_err();
        assert!(message.contains("model.gguf: ") && message.contains("hint: "), "{message}");
        message
    };
    // In the numbers of a tensor, in the list of tensors, in the first word.
    assert!(refused(&bytes[..bytes.len() / 2]).contains(".weight`: "));
    refused(&bytes[..200]);
    refused(&bytes[..3]);
    refused(b"PK..");
    // The kind of numbers stands behind the name, the number of dimensions and one dimension.
    let name = b"output_norm.weight";
    let place = bytes.windows(name.len()).position(|part| part == name).unwrap();
    let mut unknown = bytes.clone();
    unknown[place + name.len() + 12] = 77;
    assert!(refused(&unknown).contains("77"));
}

#[test]
fn a_description_is_overruled_by_what_stands_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let gguf = folder.path().join("model.gguf");
    write_gguf(&gguf, &llama_cpp(), GgmlDType::F32);
    let asked = json!({ "config": &gguf, "pairs": "halves", "layers": 1 });
    let parameters = completed(entry(), &asked).unwrap();
    let llama: Llama = serde_json::from_value(parameters).unwrap();
    assert_eq!(llama, Llama { layers: 1, ..small() });
    let mlp = REGISTRY.iter().find(|entry| entry.name == "mlp").unwrap();
    let refused = completed(mlp, &asked).unwrap_err().to_string();
    assert!(refused.contains("no other program keeps such models"), "{refused}");
    let unread = |file: &str| {
        let config = folder.path().join(file);
        completed(entry(), &json!({ "config": config })).unwrap_err().to_string()
    };
    assert!(unread("model.yaml").contains("hint: a model is described by a .json or a .gguf"));
    assert!(unread("config.json").contains("config.json"));
}
