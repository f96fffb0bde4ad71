//! Similarity of inputs.
//!
//! # Computes
//! `tau[i, q] = x_i . x_q`, its cosine, or `-|x_i - x_q|^2`, of the features `x`; where an
//! experiment names an `encoder`, of what that makes of the texts.
//!
//! # Reads
//! Training inputs and queries (black box); no label, no pass of the model.
//!
//! # Shapes
//! `(n, d) x (d, q) -> (n, q)` in `f64`.
//!
//! # Differs from the paper
//! It is a baseline: labels are not looked at, so that what is harmful cannot be told from what is
//! helpful.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::{InputSimilarity, Similarity};
//! assert!(InputSimilarity { similarity: Similarity::Dot }.check().is_ok());
//! ```
//!
//! # References
//! Hanawa, Yokoi, Hara, Inui, Evaluation of similarity-based explanations, ICLR 2021, arXiv
//! 2006.04528.

use attribench_core::{
    BlackBox, Context, Method, MethodError, MethodInfo, ModelInput, Queries, Real, Scale, Scorer,
    Scores, View,
};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::{Similarity, label};

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct InputSimilarity {
    /// The measure.
    pub similarity: Similarity,
}

impl Method for InputSimilarity {
    type Access = BlackBox;
    const READS: Option<ModelInput> = Some(ModelInput::Numbers);
    const COMPARES_INPUTS: bool = true;
    const INFO: MethodInfo = MethodInfo {
        name: "input-similarity",
        summary: "similarity of inputs",
        scale: Scale::Arbitrary,
    };

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, BlackBox, T>,
        _context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let inputs = view.inputs(view.train())?;
        Ok(Box::new(Fitted { view, inputs, similarity: self.similarity }))
    }
}

struct Fitted<'a, T> {
    view: View<'a, BlackBox, T>,
    /// `(n, d)`.
    inputs: Array2<T>,
    similarity: Similarity,
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let asked = self.view.inputs(&queries.examples)?;
        let values = self.similarity.of(self.inputs.view(), asked.view());
        label::<InputSimilarity, T>(self.view.train(), queries, values)
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::Utility;

    use super::InputSimilarity;
    use crate::{
        Similarity,
        common::{assert_close, digits_like, scores_of},
    };

    #[test]
    fn reads_the_features() {
        let (run, queries) = digits_like::<f64>(30).pair(9, Utility::Margin);
        let method = InputSimilarity { similarity: Similarity::Dot };
        let expected = run.train.features().dot(&queries.examples.features().t());
        let found = scores_of(&method, &run, &queries);
        assert_close(found.values(), expected.as_slice().unwrap(), 1e-14);
    }
}
