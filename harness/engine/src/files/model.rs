//! What has to be known of a model that somebody else trained, in YAML.
//!
//! ```yaml
//! model: { mlp: { hidden: [16], activation: tanh } }
//! training: { epochs: 20, batch-size: 50, learning-rate: 0.05 }
//! utility: margin                 # what is measured at a query
//! precision: f64
//! outputs: 10                     # classes; the largest label and 1 where absent
//! parameters: { layer0.weight: fc1.weight }   # names here: names in the file of weights, a list
//!                                             # where several layers there are one here
//! ```

use std::collections::BTreeMap;

use attribench_core::Utility;
use attribench_datasets::TargetKind;
use serde::Deserialize;

use crate::{
    diagnostics::Diagnostic,
    files::parameters::InFile,
    spec::{Named, Precision},
    training::Training,
};

/// A trained model as its maker describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ModelFile {
    /// Architecture.
    pub model: Named,
    /// How it was trained: constants that methods at final weights may read, as a model card gives
    /// them.
    pub training: Training,
    /// What is measured at a query.
    #[serde(default)]
    pub utility: Utility,
    /// Number type in which gradients are taken.
    #[serde(default)]
    pub precision: Precision,
    /// What a label is.
    #[serde(default)]
    pub target: TargetKind,
    /// Width of the model's output.
    #[serde(default)]
    pub outputs: Option<usize>,
    /// Names of parameters in the file of weights, by their names here.
    #[serde(default)]
    pub parameters: BTreeMap<String, InFile>,
}

impl ModelFile {
    /// Reads the description.
    ///
    /// # Errors
    /// What is wrong, with its place.
    pub fn parse(text: &str) -> Result<Self, Diagnostic> {
        serde_saphyr::from_str(text).map_err(|error| Diagnostic::of_syntax(&error))
    }
}
