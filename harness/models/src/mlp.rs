//! Multi-layer perceptron.

use attribench_core::ParameterError;
use serde::{Deserialize, Serialize};

use crate::{Activation, ModelSpec, Network};

/// Dense layers with a non-linearity between them: `W_L s(... s(W_1 x + b_1) ...) + b_L`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mlp {
    /// Widths of the hidden layers, first to last.
    pub hidden: Vec<usize>,
    /// The non-linearity.
    #[serde(default)]
    pub activation: Activation,
}

impl ModelSpec for Mlp {
    fn build(&self, inputs: usize, outputs: usize) -> Result<Network, ParameterError> {
        if let Some(position) = self.hidden.iter().position(|&width| width == 0) {
            return Err(ParameterError::Range(format!(
                "`hidden[{position}]` is 0\nhint: give every hidden layer at least one unit"
            )));
        }
        let widths: Vec<usize> =
            [inputs].into_iter().chain(self.hidden.iter().copied()).chain([outputs]).collect();
        Ok(Network::dense(&widths, self.activation))
    }
}
