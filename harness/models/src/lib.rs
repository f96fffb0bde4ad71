//! Reference models: separable, smooth where asked for, written once and read several ways.
//!
//! A model is one file and one line of [`REGISTRY`]. It describes a [`Network`]; all numbers come
//! from the readings of that network.

mod activation;
mod dual;
mod loss;
mod mlp;
mod network;
mod softmax_regression;
mod stack;
mod tape;

use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

pub use activation::Activation;
pub use mlp::Mlp;
pub use network::Network;
pub use softmax_regression::SoftmaxRegression;

/// Why a model cannot be built.
#[derive(Debug, Error)]
pub enum ModelError {
    /// A hidden layer without units.
    #[error("`hidden[{position}]` is 0\nhint: give every hidden layer at least one unit")]
    ZeroWidth {
        /// Which layer.
        position: usize,
    },
    /// A parameter that does not exist or has the wrong type.
    #[error("{0}")]
    Parameters(#[from] serde_json::Error),
}

/// Parameters of a kind of model.
pub trait ModelSpec: Serialize + DeserializeOwned {
    /// The network for data of these widths.
    ///
    /// # Errors
    /// When a parameter is out of range.
    fn build(&self, inputs: usize, outputs: usize) -> Result<Network, ModelError>;
}

/// One kind of model, by name.
pub struct ModelEntry {
    /// Name in specifications.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Builds the network from parameters and the widths of the data.
    pub build: fn(serde_json::Value, usize, usize) -> Result<Network, ModelError>,
}

impl ModelEntry {
    const fn of<M: ModelSpec>(name: &'static str, summary: &'static str) -> Self {
        Self {
            name,
            summary,
            build: |parameters, inputs, outputs| {
                serde_json::from_value::<M>(parameters)?.build(inputs, outputs)
            },
        }
    }
}

/// All models, sorted by name.
pub static REGISTRY: &[ModelEntry] = &[
    ModelEntry::of::<Mlp>("mlp", "dense layers of any widths; tanh, GELU or ReLU between them"),
    ModelEntry::of::<SoftmaxRegression>(
        "softmax-regression",
        "one dense layer; the curvature is the same in every form",
    ),
];
