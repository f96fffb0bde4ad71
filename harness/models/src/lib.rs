//! Reference models: separable, smooth where asked for, written once and read several ways.
//!
//! A model is one file and one line of [`REGISTRY`]. It describes a [`Network`]; all numbers come
//! from the readings of that network.

mod activation;
mod dense;
mod dual;
mod loss;
mod mlp;
mod network;
mod softmax_regression;
mod stack;
mod tape;

use attribench_core::{ModelEntry, ParameterError};
use serde::{Serialize, de::DeserializeOwned};

pub use activation::Activation;
pub use mlp::Mlp;
pub use network::Network;
pub use softmax_regression::SoftmaxRegression;

/// Parameters of a kind of model.
pub trait ModelSpec: Serialize + DeserializeOwned {
    /// The network for data of these widths.
    ///
    /// # Errors
    /// When a parameter is out of range.
    fn build(&self, inputs: usize, outputs: usize) -> Result<Network, ParameterError>;
}

const fn entry<M: ModelSpec>(name: &'static str, summary: &'static str) -> ModelEntry {
    ModelEntry {
        name,
        summary,
        build: |parameters, inputs, outputs| {
            let spec: M = serde_json::from_value(parameters)
                .map_err(|error| ParameterError::Shape(Box::new(error)))?;
            Ok(Box::new(spec.build(inputs, outputs)?))
        },
    }
}

/// All models, sorted by name.
pub static REGISTRY: &[ModelEntry] = &[
    entry::<Mlp>("mlp", "dense layers of any widths; tanh, GELU or ReLU between them"),
    entry::<SoftmaxRegression>(
        "softmax-regression",
        "one dense layer; the curvature is the same in every form",
    ),
];
