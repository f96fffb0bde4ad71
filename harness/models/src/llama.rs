//! Transformer in the form that Llama gave it and that most open models keep.

use std::sync::Arc;

use attribench_core::{Elsewhere, Layer, ModelInput, ParameterError, ParameterNames};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Head, ModelSpec, Network, Pairs,
    attention::Attention,
    description::{count, expect, number, required},
    embedding::Embedding,
    gated::Gated,
    gpt::START,
    local::LocalOp,
    network::{Builder, Op, Start},
    rms_norm::RmsNorm,
    rotary::{Heads, Rotary},
    shared_heads::SharedHeads,
};

/// Blocks `x + W_o attention(norm(x))` and then `x + W_down (silu(W_gate norm(x)) W_up norm(x))`,
/// norms by the root of the mean square, rotary positions, queries that share keys and values, and
/// no bias anywhere (Touvron and others 2023). Every position sees itself and those before it.
///
/// Queries, keys and values are one layer, `blockI.attention`, and gate and values of the unit are
/// another, `blockI.expand`: each weight is theirs, one under the other. Features and labels are
/// those of [`crate::Gpt`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Llama {
    /// Number of blocks.
    pub layers: usize,
    /// Width of the stream, `d`.
    pub width: usize,
    /// Heads of attention, `h`.
    pub heads: usize,
    /// Keys, and values, that the heads share in equal groups; one a head where absent.
    #[serde(default)]
    pub key_value_heads: Option<usize>,
    /// Width of a head; `d / h` where absent.
    #[serde(default)]
    pub head_width: Option<usize>,
    /// Width of the unit behind the gate.
    pub hidden: usize,
    /// Slowness of the slowest turn: pair `i` turns by `base^(-2 i / d_h)` a position.
    #[serde(default = "base")]
    pub base: f64,
    /// Which entries of a head are turned together.
    #[serde(default)]
    pub pairs: Pairs,
    /// Added to mean squares.
    #[serde(default = "epsilon")]
    pub epsilon: f64,
    /// Where the weight of the last layer comes from.
    #[serde(default)]
    pub head: Head,
}

fn base() -> f64 {
    10_000.0
}

fn epsilon() -> f64 {
    1e-5
}

impl Llama {
    fn groups(&self) -> usize {
        self.key_value_heads.unwrap_or(self.heads)
    }

    fn head_width(&self) -> usize {
        self.head_width.unwrap_or(self.width / self.heads)
    }

    fn check(&self) -> Result<(), ParameterError> {
        let counts = [self.layers, self.width, self.heads, self.groups(), self.hidden];
        let refused = if counts.contains(&0) {
            "`layers`, `width`, `heads`, `key-value-heads` and `hidden` are at least 1".into()
        } else if self.head_width.is_none() && !self.width.is_multiple_of(self.heads) {
            format!("{} heads do not divide a width of {} evenly", self.heads, self.width)
        } else if !self.heads.is_multiple_of(self.groups()) {
            format!("{} heads do not share {} keys evenly", self.heads, self.groups())
        } else if self.head_width() == 0 || !self.head_width().is_multiple_of(2) {
            format!(
                "heads of width {} cannot be turned\nhint: rotary positions want an even width",
                self.head_width()
            )
        } else if !(self.base >= 1.0 && self.base.is_finite() && self.epsilon > 0.0) {
            let (base, epsilon) = (self.base, self.epsilon);
            format!("`base` is {base} and `epsilon` {epsilon}\nhint: use 10000 and 1e-5")
        } else {
            return Ok(());
        };
        Err(ParameterError::Range(refused))
    }

    fn norm(&self, builder: &mut Builder, name: String) {
        let op = LocalOp::RmsNorm(RmsNorm { width: self.width, epsilon: self.epsilon });
        builder.with_layer(op, Layer::vector(name, self.width), Start::Scales);
    }

    fn attention(&self, builder: &mut Builder, positions: usize) {
        let (heads, groups, width) = (self.heads, self.groups(), self.head_width());
        let turned = Heads { all: heads + 2 * groups, turned: heads + groups, width };
        let rotary = Rotary::new(positions, turned, self.base, self.pairs);
        builder.local(LocalOp::Rotary(Arc::new(rotary)));
        if groups < heads {
            // (s, (h + 2 g) d_h) -> (s, 3 h d_h)
            builder.local(LocalOp::SharedHeads(SharedHeads { heads, groups, width }));
        }
        builder.local(LocalOp::Attention(Attention { positions, width: heads * width, heads }));
    }

    fn block(&self, builder: &mut Builder, index: usize, positions: usize) {
        let (d, hidden, inner) = (self.width, self.hidden, self.heads * self.head_width());
        let keys = self.groups() * self.head_width();
        let dense = |name: &str, inputs, outputs| {
            let name = format!("block{index}.{name}");
            Layer::dense_without_bias(name, inputs, outputs).at_positions(positions)
        };
        // What enters the stream starts smaller the more blocks there are.
        let into_stream = Start::Within(START / (2.0 * self.layers as f64).sqrt());
        let stream = builder.node();
        self.norm(builder, format!("block{index}.norm1"));
        // (s, d) x (d, (h + 2 g) d_h) -> (s, (h + 2 g) d_h)
        let projections = dense("attention", d, inner + 2 * keys).in_parts(&[inner, keys, keys]);
        builder.dense(projections, Start::Within(START));
        self.attention(builder, positions);
        // (s, h d_h) x (h d_h, d) -> (s, d)
        builder.dense(dense("projection", inner, d), into_stream);
        builder.op(Op::Add(stream));
        let stream = builder.node();
        self.norm(builder, format!("block{index}.norm2"));
        // (s, d) x (d, 2 m) -> (s, 2 m) -> (s, m)
        let expand = dense("expand", d, 2 * hidden).in_parts(&[hidden, hidden]);
        builder.dense(expand, Start::Within(START));
        builder.local(LocalOp::Gated(Gated { width: hidden }));
        builder.dense(dense("contract", hidden, d), into_stream);
        builder.op(Op::Add(stream));
    }
}

impl ModelSpec for Llama {
    const READS: ModelInput = ModelInput::Tokens;
    const ELSEWHERE: Elsewhere =
        Elsewhere { configure: Some(configure), names: &[HUGGING_FACE, LLAMA_CPP] };

    /// `inputs` is the number of positions, `outputs` that of tokens.
    fn build(&self, inputs: usize, outputs: usize) -> Result<Network, ParameterError> {
        self.check()?;
        let (positions, vocabulary, d) = (inputs, outputs, self.width);
        let mut builder = Builder::new(positions);
        let table = builder.with_layer(
            LocalOp::Embedding(Embedding { width: d }),
            Layer::lookup("token", vocabulary, d).at_positions(positions),
            Start::Within(START),
        );
        for index in 0..self.layers {
            self.block(&mut builder, index, positions);
        }
        self.norm(&mut builder, "norm".into());
        let head = Layer::dense_without_bias("head", d, vocabulary).at_positions(positions);
        match self.head {
            Head::Tied => builder.tied(head, table),
            Head::Untied => {
                builder.dense(head, Start::Within(START));
            }
        }
        Ok(builder.finish())
    }
}

/// Names in the safetensors files of Hugging Face's transformers.
const HUGGING_FACE: ParameterNames = &[
    ("token.weight", &["model.embed_tokens.weight"]),
    ("block#.norm1.bias", &["model.layers.#.input_layernorm.weight"]),
    (
        "block#.attention.weight",
        &[
            "model.layers.#.self_attn.q_proj.weight",
            "model.layers.#.self_attn.k_proj.weight",
            "model.layers.#.self_attn.v_proj.weight",
        ],
    ),
    ("block#.projection.weight", &["model.layers.#.self_attn.o_proj.weight"]),
    ("block#.norm2.bias", &["model.layers.#.post_attention_layernorm.weight"]),
    (
        "block#.expand.weight",
        &["model.layers.#.mlp.gate_proj.weight", "model.layers.#.mlp.up_proj.weight"],
    ),
    ("block#.contract.weight", &["model.layers.#.mlp.down_proj.weight"]),
    ("norm.bias", &["model.norm.weight"]),
    ("head.weight", &["lm_head.weight"]),
];

/// Names in the GGUF files of llama.cpp.
const LLAMA_CPP: ParameterNames = &[
    ("token.weight", &["token_embd.weight"]),
    ("block#.norm1.bias", &["blk.#.attn_norm.weight"]),
    (
        "block#.attention.weight",
        &["blk.#.attn_q.weight", "blk.#.attn_k.weight", "blk.#.attn_v.weight"],
    ),
    ("block#.projection.weight", &["blk.#.attn_output.weight"]),
    ("block#.norm2.bias", &["blk.#.ffn_norm.weight"]),
    ("block#.expand.weight", &["blk.#.ffn_gate.weight", "blk.#.ffn_up.weight"]),
    ("block#.contract.weight", &["blk.#.ffn_down.weight"]),
    ("norm.bias", &["output_norm.weight"]),
    ("head.weight", &["output.weight"]),
];

/// The model that a `config.json` of Hugging Face or the metadata of a GGUF file describes.
fn configure(description: &Value) -> Result<Value, ParameterError> {
    let llama = match description.get("general.architecture") {
        Some(_) => of_llama_cpp(description),
        None => of_hugging_face(description),
    };
    let llama = llama.map_err(ParameterError::Range)?;
    Ok(serde_json::to_value(llama).expect("parameters are values"))
}

fn of_hugging_face(config: &Value) -> Result<Llama, String> {
    let size = |key| required(count(config, key), key);
    required(config.get("model_type"), "model_type")?;
    for (key, known) in [
        ("model_type", "llama".into()),
        ("hidden_act", "silu".into()),
        ("attention_bias", false.into()),
        ("mlp_bias", false.into()),
        ("rope_scaling", Value::Null),
    ] {
        expect(config, key, &known)?;
    }
    // Newer files keep the turns under a key of their own.
    let turns = config.get("rope_parameters").unwrap_or(config);
    expect(turns, "rope_type", &"default".into())?;
    let is_tied = config.get("tie_word_embeddings").and_then(Value::as_bool).unwrap_or(false);
    Ok(Llama {
        layers: size("num_hidden_layers")?,
        width: size("hidden_size")?,
        heads: size("num_attention_heads")?,
        key_value_heads: count(config, "num_key_value_heads"),
        head_width: count(config, "head_dim"),
        hidden: size("intermediate_size")?,
        base: number(turns, "rope_theta").unwrap_or_else(base),
        pairs: Pairs::Halves,
        epsilon: required(number(config, "rms_norm_eps"), "rms_norm_eps")?,
        head: if is_tied { Head::Tied } else { Head::Untied },
    })
}

fn of_llama_cpp(metadata: &Value) -> Result<Llama, String> {
    let size = |key| required(count(metadata, key), key);
    for (key, known) in [
        ("general.architecture", "llama".into()),
        ("llama.rope.scaling.type", "none".into()),
        ("llama.expert_count", 0.into()),
    ] {
        expect(metadata, key, &known)?;
    }
    let head_width = count(metadata, "llama.attention.key_length");
    let (width, heads) = (size("llama.embedding_length")?, size("llama.attention.head_count")?);
    let turned = head_width.unwrap_or(width / heads.max(1));
    expect(metadata, "llama.attention.value_length", &turned.into())?;
    expect(metadata, "llama.rope.dimension_count", &turned.into())?;
    let epsilon = "llama.attention.layer_norm_rms_epsilon";
    let tensors = metadata.get("tensors").and_then(Value::as_array);
    let has_head = tensors.is_some_and(|names| names.iter().any(|name| name == "output.weight"));
    Ok(Llama {
        layers: size("llama.block_count")?,
        width,
        heads,
        key_value_heads: count(metadata, "llama.attention.head_count_kv"),
        head_width,
        hidden: size("llama.feed_forward_length")?,
        base: number(metadata, "llama.rope.freq_base").unwrap_or_else(base),
        pairs: Pairs::Neighbours,
        epsilon: required(number(metadata, epsilon), epsilon)?,
        head: if has_head { Head::Untied } else { Head::Tied },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::configure;

    fn hugging_face() -> Value {
        json!({
            "model_type": "llama", "num_hidden_layers": 30, "hidden_size": 576,
            "num_attention_heads": 9, "num_key_value_heads": 3, "intermediate_size": 1536,
            "rope_theta": 100000, "rms_norm_eps": 1e-5, "tie_word_embeddings": true,
            "hidden_act": "silu", "rope_scaling": null, "vocab_size": 49152
        })
    }

    fn gguf() -> Value {
        json!({
            "general.architecture": "llama", "llama.block_count": 30,
            "llama.embedding_length": 576, "llama.attention.head_count": 9,
            "llama.attention.head_count_kv": 3, "llama.feed_forward_length": 1536,
            "llama.rope.freq_base": 100000.0, "llama.rope.dimension_count": 64,
            "llama.attention.layer_norm_rms_epsilon": 1e-5,
            "tensors": ["token_embd.weight", "output_norm.weight"]
        })
    }

    #[test]
    fn two_descriptions_of_one_model() {
        let mut expected = json!({
            "layers": 30, "width": 576, "heads": 9, "key-value-heads": 3, "head-width": null,
            "hidden": 1536, "base": 100000.0, "pairs": "halves", "epsilon": 1e-5, "head": "tied"
        });
        assert_eq!(configure(&hugging_face()).unwrap(), expected);
        expected["pairs"] = json!("neighbours");
        assert_eq!(configure(&gguf()).unwrap(), expected);
        let mut untied = gguf();
        untied["tensors"] = json!(["output.weight"]);
        assert_eq!(configure(&untied).unwrap()["head"], "untied");
    }

    #[test]
    fn the_newer_place_of_turns_is_read() {
        let mut config = hugging_face();
        config["rope_theta"].take();
        config["rope_parameters"] = json!({ "rope_theta": 500.0, "rope_type": "default" });
        assert_eq!(configure(&config).unwrap()["base"], 500.0);
        config["rope_parameters"]["rope_type"] = json!("llama3");
        assert!(configure(&config).unwrap_err().to_string().contains("`rope_type` is \"llama3\""));
    }

    #[test]
    fn what_is_computed_otherwise_is_refused() {
        for (mut description, key, value) in [
            (hugging_face(), "model_type", json!("qwen2")),
            (hugging_face(), "attention_bias", json!(true)),
            (hugging_face(), "rope_scaling", json!({ "factor": 8.0 })),
            (hugging_face(), "hidden_size", Value::Null),
            (hugging_face(), "rms_norm_eps", Value::Null),
            (gguf(), "general.architecture", json!("gpt2")),
            (gguf(), "llama.rope.dimension_count", json!(32)),
            (gguf(), "llama.expert_count", json!(4)),
        ] {
            description[key] = value;
            let refused = configure(&description).unwrap_err().to_string();
            assert!(refused.contains(&format!("`{key}`")), "{refused}");
        }
    }
}
