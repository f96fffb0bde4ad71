//! Transformer that reads tokens and predicts the next one.

use std::sync::Arc;

use attribench_core::{Layer, ModelInput, ParameterError};
use serde::{Deserialize, Serialize};

use crate::{
    Activation, ModelSpec, Network,
    attention::Attention,
    embedding::{Embedding, Positions},
    local::LocalOp,
    network::{Builder, Op, Start},
    normalise::Normalise,
    rotary::{Heads, Pairs, Rotary},
};

/// How the model knows where a token stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PositionKind {
    /// A learned vector for each position is added to the tokens.
    #[default]
    Learned,
    /// Queries and keys are turned by angles that grow with the position.
    Rotary,
}

/// Where the weight of the last layer comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// It is the table of tokens.
    #[default]
    Tied,
    /// It has its own.
    Untied,
}

/// Blocks `x + W_o attention(norm(x))` and then `x + W_2 gelu(W_1 norm(x))`, a last norm, and a
/// head without bias (Radford and others 2019). Every position sees itself and those before it.
///
/// Features are tokens as numbers, `(n, positions)`; labels are the tokens that follow
/// (`Labels::Tokens`). What stands behind the last target of an example cannot reach its loss: any
/// token will do as padding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpt {
    /// Number of blocks.
    pub layers: usize,
    /// Width of the stream, `d`.
    pub width: usize,
    /// Heads of attention.
    pub heads: usize,
    /// How positions are told apart.
    #[serde(default)]
    pub positions: PositionKind,
    /// Where the weight of the last layer comes from.
    #[serde(default)]
    pub head: Head,
}

/// Bound of a uniform start whose standard deviation is 0.02, that of GPT-2.
pub(crate) const START: f64 = 0.034_641_016_151_377_546;

impl Gpt {
    fn check(&self) -> Result<(), ParameterError> {
        let refused = if self.layers == 0 || self.width == 0 || self.heads == 0 {
            "`layers`, `width` and `heads` are at least 1".into()
        } else if !self.width.is_multiple_of(self.heads) {
            format!("{} heads do not divide a width of {} evenly", self.heads, self.width)
        } else if self.positions == PositionKind::Rotary
            && !(self.width / self.heads).is_multiple_of(2)
        {
            format!(
                "heads of width {} cannot be turned\nhint: rotary positions want an even width",
                self.width / self.heads
            )
        } else {
            return Ok(());
        };
        Err(ParameterError::Range(refused))
    }

    fn norm(&self, builder: &mut Builder, name: String) {
        let op = LocalOp::Normalise(Normalise { rows: 1, channels: self.width, groups: 1 });
        builder.with_layer(op, Layer::vector(name, 2 * self.width), Start::ScalesAndShifts);
    }

    fn block(&self, builder: &mut Builder, index: usize, positions: usize) {
        let (d, heads) = (self.width, self.heads);
        let dense = |name: &str, inputs, outputs| {
            Layer::dense(format!("block{index}.{name}"), inputs, outputs).at_positions(positions)
        };
        // What enters the stream starts smaller the more blocks there are.
        let into_stream = Start::Within(START / (2.0 * self.layers as f64).sqrt());
        let stream = builder.node();
        self.norm(builder, format!("block{index}.norm1"));
        // (s, d) x (d, 3 d) -> (s, 3 d)
        builder.dense(dense("attention", d, 3 * d), Start::Within(START));
        if self.positions == PositionKind::Rotary {
            let heads = Heads { all: 3 * heads, turned: 2 * heads, width: d / heads };
            let rotary = Rotary::new(positions, heads, 10_000.0, Pairs::Halves);
            builder.local(LocalOp::Rotary(Arc::new(rotary)));
        }
        builder.local(LocalOp::Attention(Attention { positions, width: d, heads }));
        builder.dense(dense("projection", d, d), into_stream);
        builder.op(Op::Add(stream));
        let stream = builder.node();
        self.norm(builder, format!("block{index}.norm2"));
        builder.dense(dense("expand", d, 4 * d), Start::Within(START));
        builder.op(Op::Activation(Activation::Gelu));
        builder.dense(dense("contract", 4 * d, d), into_stream);
        builder.op(Op::Add(stream));
    }
}

impl ModelSpec for Gpt {
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
        if self.positions == PositionKind::Learned {
            let layer = Layer::vector("position", positions * d);
            let op = LocalOp::Positions(Positions);
            builder.with_layer(op, layer, Start::Within(START));
        }
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
