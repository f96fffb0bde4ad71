//! Transformer in the form that Llama gave it and that most open models keep.

use std::sync::Arc;

use attribench_core::{Layer, ModelInput, ParameterError};
use serde::{Deserialize, Serialize};

use crate::{
    Head, ModelSpec, Network, Pairs,
    attention::Attention,
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
        builder.dense(dense("attention", d, inner + 2 * keys), Start::Within(START));
        self.attention(builder, positions);
        // (s, h d_h) x (h d_h, d) -> (s, d)
        builder.dense(dense("projection", inner, d), into_stream);
        builder.op(Op::Add(stream));
        let stream = builder.node();
        self.norm(builder, format!("block{index}.norm2"));
        // (s, d) x (d, 2 m) -> (s, 2 m) -> (s, m)
        builder.dense(dense("expand", d, 2 * hidden), Start::Within(START));
        builder.local(LocalOp::Gated(Gated { width: hidden }));
        builder.dense(dense("contract", hidden, d), into_stream);
        builder.op(Op::Add(stream));
    }
}

impl ModelSpec for Llama {
    const READS: ModelInput = ModelInput::Tokens;

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
