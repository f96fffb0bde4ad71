//! Character model of two recurrent layers, in the form of textgenrnn.

use std::sync::Arc;

use attribench_core::{DataShape, Layer, ModelInput, ParameterError};
use serde::{Deserialize, Serialize};

use crate::{
    ModelSpec, Network,
    embedding::Embedding,
    gather::Gather,
    local::LocalOp,
    lstm::Lstm,
    network::{Builder, Op, Start},
    weighted_mean::WeightedMean,
};

/// Predicts the next token from the last `context` ones, in the form of textgenrnn 2.0 (Woolf):
/// with the tokens' vectors `e`, `h1 = lstm(e)`, `h2 = lstm(h1)` and `x_t = (e_t, h1_t, h2_t)`, the
/// output is `W sum_t a_t x_t + b` with `a = softmax(x_t . w)` over the context.
///
/// Each position at which something is asked is a sequence of its own: both layers begin at 0 with
/// the first token of its context. What lies before the window is token 0, which is read as any
/// other token. Positions at which nothing is asked are not computed; their outputs are 0.
///
/// The published weights have the defaults of all parameters and 465 tokens. Gates are in the order
/// i, f, c, o. The original adds 1e-7 to the sum in the softmax, at least 1; this is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextGenRnn {
    /// Tokens that are read for each prediction.
    pub context: usize,
    /// Width of the tokens' vectors.
    pub embedding: usize,
    /// Width of both recurrent layers.
    pub width: usize,
}

impl Default for TextGenRnn {
    fn default() -> Self {
        Self { context: 40, embedding: 100, width: 128 }
    }
}

/// Bound of the uniform start of the tokens' vectors, that of Keras.
const START: f64 = 0.05;

/// Recurrent layers.
const LAYERS: usize = 2;

impl ModelSpec for TextGenRnn {
    const READS: ModelInput = ModelInput::Tokens;

    /// `inputs` is the number of positions, `outputs` that of tokens; every position is asked.
    fn build(&self, inputs: usize, outputs: usize) -> Result<Network, ParameterError> {
        self.build_for(&DataShape { inputs, outputs, asked: (0..inputs).collect() })
    }

    fn build_for(&self, shape: &DataShape) -> Result<Network, ParameterError> {
        let Self { context, embedding, width } = *self;
        if context == 0 || embedding == 0 || width == 0 {
            let message = "`context`, `embedding` and `width` are at least 1\nhint: leave them out";
            return Err(ParameterError::Range(message.into()));
        }
        let (positions, vocabulary, asked) = (shape.inputs, shape.outputs, &shape.asked);
        let steps = asked.len() * context;
        let mut builder = Builder::new(positions);
        // (s) -> (asked, context)
        builder.local(LocalOp::Gather(Arc::new(Gather::ending_at(asked, context))));
        builder.with_layer(
            LocalOp::Embedding(Embedding { width: embedding }),
            Layer::lookup("embedding", vocabulary, embedding).at_positions(steps),
            Start::Within(START),
        );
        let mut nodes = vec![builder.node()];
        let mut inputs = embedding;
        for index in 1..=LAYERS {
            let input = Layer::dense(format!("rnn_{index}.input"), inputs, 4 * width);
            builder.dense(input.at_positions(steps), Start::ByInputs);
            let own = Layer::dense_without_bias(format!("rnn_{index}.recurrent"), width, 4 * width);
            let lstm = Lstm { steps: context, width };
            builder.recurrence(own.at_positions(steps), lstm, Start::ByInputs);
            nodes.push(builder.node());
            inputs = width;
        }
        nodes.pop();
        for first in nodes.into_iter().rev() {
            builder.op(Op::Join { first, positions: steps });
        }
        // (asked, context, embedding + 2 width)
        let (joined, all) = (builder.node(), embedding + LAYERS * width);
        let score = Layer::dense_without_bias("attention", all, 1);
        builder.dense(score.at_positions(steps), Start::ByInputs);
        builder.op(Op::Join { first: joined, positions: steps });
        builder.local(LocalOp::WeightedMean(WeightedMean { steps: context, width: all }));
        let head = Layer::dense("output", all, vocabulary).at_positions(asked.len());
        builder.dense(head, Start::ByInputs);
        if asked.len() < positions {
            let rows = Gather::rows(asked, positions, vocabulary);
            builder.local(LocalOp::Gather(Arc::new(rows)));
        }
        Ok(builder.finish())
    }
}
