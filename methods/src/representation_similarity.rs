//! Similarity of what enters the last layer.
//!
//! # Computes
//! `tau[i, q] = phi_i . phi_q`, its cosine, or `-|phi_i - phi_q|^2`, of the activations `phi` that
//! enter the last layer at `theta_T`.
//!
//! # Reads
//! Final weights. One forward pass for each training example and query.
//!
//! # Shapes
//! `(n, h) x (h, q) -> (n, q)` in `f64`.
//!
//! # Differs from the paper
//! It is a baseline: labels are not looked at, so that what is harmful cannot be told from what is
//! helpful.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::RepresentationSimilarity;
//! assert!(RepresentationSimilarity::default().check().is_ok());
//! ```
//!
//! # References
//! Hanawa, Yokoi, Hara, Inui, Evaluation of similarity-based explanations, ICLR 2021, arXiv
//! 2006.04528.

use attribench_core::{
    Context, FinalModel, Method, MethodError, MethodInfo, ProblemSize, Queries, Real, Scale,
    Scorer, Scores, View,
};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::{Similarity, label};

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RepresentationSimilarity {
    /// The measure.
    pub similarity: Similarity,
}

impl Method for RepresentationSimilarity {
    type Access = FinalModel;
    const INFO: MethodInfo = MethodInfo {
        name: "representation-similarity",
        summary: "similarity of what enters the last layer",
        scale: Scale::Arbitrary,
    };

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { examples, queries, parameters, .. } = size;
        // Activations are no more than parameters; twice, in both number types.
        (2 * (examples + queries) * parameters.min(1 << 14) * size_of::<f64>()) as u64
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, FinalModel, T>,
        _context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let hidden = view.model().hidden(view.train());
        Ok(Box::new(Fitted { view, hidden, similarity: self.similarity }))
    }
}

struct Fitted<'a, T> {
    view: View<'a, FinalModel, T>,
    /// `(n, h)`.
    hidden: Array2<T>,
    similarity: Similarity,
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let asked = self.view.model().hidden(&queries.examples);
        let values = self.similarity.of(self.hidden.view(), asked.view());
        label::<RepresentationSimilarity, T>(self.view.train(), queries, values)
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::{Model, Utility};

    use super::RepresentationSimilarity;
    use crate::{
        Similarity,
        common::{assert_close, digits_like, scores_of},
    };

    #[test]
    fn reads_the_last_hidden_layer() {
        let (run, queries) = digits_like::<f64>(30).network(&[7]).pair(9, Utility::Margin);
        let hidden = |examples: &attribench_core::Examples<f64>| {
            run.model.hidden(&run.parameters, examples.features())
        };
        let (x, z) = (hidden(&run.train), hidden(&queries.examples));
        assert_eq!(x.dim(), (30, 7));
        let method = RepresentationSimilarity { similarity: Similarity::Dot };
        let expected = x.dot(&z.t());
        let found = scores_of(&method, &run, &queries);
        assert_close(found.values(), expected.as_slice().unwrap(), 1e-14);
    }
}
