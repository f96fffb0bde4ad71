//! Models of somebody else's that turn texts into vectors.

use ndarray::Array2;

use crate::ParameterError;

/// Turns texts into vectors.
pub trait Encoder: Send + Sync {
    /// Number of tokens that it knows.
    fn vocabulary(&self) -> usize;

    /// Most tokens of a text.
    fn longest(&self) -> usize;

    /// A vector of length 1 for each text, `(n, d)`. No text changes another's.
    ///
    /// # Panics
    /// When a text has no token, more than the longest has, or one that is not known.
    fn embed(&self, texts: &[Vec<u32>]) -> Array2<f32>;
}

/// Gives the numbers of the tensor with a name and a shape, the last axis running fastest, or says
/// why it cannot.
pub type TakeTensor<'a> = dyn FnMut(&str, &[usize]) -> Result<Vec<f32>, String> + 'a;

/// Builds an encoder from the content of its `config.json` and its tensors.
pub type BuildEncoder =
    fn(&serde_json::Value, &mut TakeTensor<'_>) -> Result<Box<dyn Encoder>, ParameterError>;

/// One line of a registry of encoders.
pub struct EncoderEntry {
    /// The `model_type` of its `config.json`.
    pub name: &'static str,
    /// Builds it.
    pub build: BuildEncoder,
}
