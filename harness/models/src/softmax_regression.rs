//! Multinomial logistic regression; linear regression where the target is a number.

use attribench_core::ParameterError;
use serde::{Deserialize, Serialize};

use crate::{Activation, ModelSpec, Network};

/// One dense layer: `W x + b`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoftmaxRegression {}

impl ModelSpec for SoftmaxRegression {
    fn build(&self, inputs: usize, outputs: usize) -> Result<Network, ParameterError> {
        // One layer has nothing between layers, so the activation is never applied.
        Ok(Network::dense(&[inputs, outputs], Activation::default()))
    }
}
