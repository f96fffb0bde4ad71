//! Reference models: separable, smooth where asked for, written once and read several ways.
//!
//! A model is one file and one line of [`REGISTRY`]. It describes a [`Network`]; all numbers come
//! from the readings of that network.

mod activation;
mod attention;
mod average_pool;
mod bert;
mod captured;
mod cnn;
mod dense;
mod description;
mod dual;
mod embedding;
mod gated;
mod gather;
mod gpt;
mod llama;
mod local;
mod looped;
mod loss;
mod lstm;
mod mlp;
mod network;
mod normalise;
mod rms_norm;
mod rotary;
mod scale;
mod shared_heads;
mod softmax_regression;
mod stack;
mod tape;
mod text_gen_rnn;
mod weighted_mean;

use attribench_core::{
    Adapters, DataShape, Elsewhere, EncoderEntry, ModelEntry, ModelInput, ParameterError,
};
use serde::{Serialize, de::DeserializeOwned};

pub use activation::Activation;
pub use cnn::{Cnn, Normalisation};
pub use gpt::{Gpt, Head, PositionKind};
pub use llama::Llama;
pub use mlp::Mlp;
pub use network::Network;
pub use rotary::Pairs;
pub use softmax_regression::SoftmaxRegression;
pub use text_gen_rnn::TextGenRnn;

/// Parameters of a kind of model.
pub trait ModelSpec: Serialize + DeserializeOwned {
    /// The network for data of these widths.
    ///
    /// # Errors
    /// When a parameter is out of range.
    fn build(&self, inputs: usize, outputs: usize) -> Result<Network, ParameterError>;

    /// The network for data of this shape, which may leave out what is never asked.
    ///
    /// # Errors
    /// When a parameter is out of range.
    fn build_for(&self, shape: &DataShape) -> Result<Network, ParameterError> {
        self.build(shape.inputs, shape.outputs)
    }

    /// What its features are.
    const READS: ModelInput = ModelInput::Numbers;

    /// How other programs keep it.
    const ELSEWHERE: Elsewhere = Elsewhere::NOWHERE;
}

const fn entry<M: ModelSpec>(name: &'static str, summary: &'static str) -> ModelEntry {
    ModelEntry {
        name,
        summary,
        reads: M::READS,
        build: |parameters, shape| {
            let spec: M = serde_json::from_value(parameters)
                .map_err(|error| ParameterError::Shape(Box::new(error)))?;
            Ok(Box::new(spec.build_for(shape)?))
        },
        resume: |parameters, shape, theta, adapters| {
            let spec: M = serde_json::from_value(parameters)
                .map_err(|error| ParameterError::Shape(Box::new(error)))?;
            Ok(Box::new(resumed(spec.build_for(shape)?, theta, adapters)?))
        },
        elsewhere: M::ELSEWHERE,
    }
}

/// The network that begins at `theta`, or stays there but for adapters.
fn resumed(
    network: Network,
    theta: &[f64],
    adapters: Option<Adapters>,
) -> Result<Network, ParameterError> {
    match adapters {
        None => Ok(network.beginning_at(theta)),
        Some(Adapters { rank, scale }) if rank > 0 && scale > 0.0 && scale.is_finite() => {
            Ok(network.with_adapters(theta, rank, scale))
        }
        Some(Adapters { rank, scale }) => Err(ParameterError::Range(format!(
            "`adapters` have the rank {rank} and the scale {scale}\nhint: use 4 and 8"
        ))),
    }
}

/// All models, sorted by name.
pub static REGISTRY: &[ModelEntry] = &[
    entry::<Cnn>(
        "cnn",
        "convolutions with average pooling, group normalisation or none; dense head",
    ),
    entry::<Gpt>("gpt", "transformer that reads tokens and predicts the next one"),
    entry::<Llama>("llama", "transformer in the form of Llama, from its start or from a file"),
    entry::<Mlp>("mlp", "dense layers of any widths; tanh, GELU or ReLU between them"),
    entry::<SoftmaxRegression>(
        "softmax-regression",
        "one dense layer; the curvature is the same in every form",
    ),
    entry::<TextGenRnn>("text-gen-rnn", "recurrent model of characters, in the form of textgenrnn"),
];

/// All encoders of texts, sorted by name.
pub static ENCODERS: &[EncoderEntry] = &[EncoderEntry { name: "bert", build: bert::Bert::build }];
