//! Influence functions on sketched gradients of the output, as published.
//!
//! # Computes
//! `tau[i, q] = phi_q . (Phi^T Phi + n lambda I)^-1 phi_i (1 - p_i)` at `theta_T`, with features as
//! in `trak` and `lambda` the damping, relative to `tr(Phi^T Phi) / (n size)`.
//!
//! # Reads
//! Final weights. One gradient for each training example and query.
//!
//! # Shapes
//! As `trak`.
//!
//! # Differs from the paper
//! One model, where the paper averages over several; `1 - p_i` is then the example's own. Damping,
//! without which more sums than examples have no inverse. The paper's query is the margin; here it
//! is the utility.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::{Damping, TrakPublished};
//! let method = TrakPublished { size: 512, damping: Damping::Absolute(0.0) };
//! assert!(method.check().is_ok());
//! ```
//!
//! # References
//! Park, Georgiev, Ilyas, Leclerc, Madry, TRAK: attributing model behavior at scale, ICML 2023,
//! arXiv 2303.14186.

use attribench_core::{
    Context, FinalModel, Method, MethodError, MethodInfo, ProblemSize, Real, Scale, Scorer, View,
};
use serde::{Deserialize, Serialize};

use crate::{
    Damping,
    features::products_of_features,
    projection::Sketch,
    trak::{Trak, check_size, damped_gram, kept_bytes, output_features, solved_rows},
};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrakPublished {
    /// Length of a sketch.
    pub size: usize,
    /// `lambda`, or how many times the mean eigenvalue it is.
    pub damping: Damping,
}

impl Default for TrakPublished {
    fn default() -> Self {
        let Trak { size, damping } = Trak::default();
        Self { size, damping }
    }
}

impl Method for TrakPublished {
    type Access = FinalModel;
    const INFO: MethodInfo = MethodInfo {
        name: "trak-published",
        summary: "influence functions on sketched gradients of the output, as published",
        scale: Scale::Arbitrary,
    };

    fn check(&self) -> Result<(), String> {
        check_size(self.size)?;
        self.damping.check()
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { examples, parameters, .. } = size;
        kept_bytes(examples, self.size.min(parameters))
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, FinalModel, T>,
        context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let (model, train) = (view.model(), view.train());
        let p = model.layout().parameters();
        let sketch = Sketch::draw(p, p, self.size, &mut context.stream("sketch"));
        let of_outputs = output_features(model, train, &sketch)?;
        let factor = damped_gram(of_outputs.features.view(), 0.0, self.damping)?;
        let mut left = solved_rows(&factor, of_outputs.features);
        for (mut row, pull) in left.outer_iter_mut().zip(&of_outputs.pulls) {
            row *= pull / train.len() as f64;
        }
        let layout = model.layout();
        Ok(products_of_features::<Self, T>(view, left, move |b| sketch.of(b, layout)))
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::{Examples, Labels, Queries, Utility};
    use attribench_models::{Activation, Network};

    use super::TrakPublished;
    use crate::{
        Damping,
        common::{STILL, TestRun, assert_close, scores_of, try_scores_of},
    };

    /// One input, two classes, and logits `w x` and 0: the margin of class 0 is `w x`.
    fn margins_by_hand() -> (TestRun<f64>, Queries<f64>) {
        let model = Network::dense(&[1, 2], Activation::Tanh);
        let examples = |x: Vec<f64>| {
            let n = x.len();
            let x = ndarray::Array2::from_shape_vec((n, 1), x).unwrap();
            Examples::new(x, Labels::Classes(vec![0; n]))
        };
        let train = examples(vec![1.0, 2.0]);
        let run = TestRun::at(model, train, vec![0.5, 0.0, 0.0, 0.0], STILL);
        (run, Queries { examples: examples(vec![1.0]), utility: Utility::Margin })
    }

    #[test]
    fn two_examples_by_hand() {
        // Gradients of the margin by (w_0, w_1, c_0, c_1) are (x, -x, 1, -1): phi_1 = (1, -1, 1,
        // -1), phi_2 = (2, -2, 1, -1). With lambda = 1/2, n lambda = 1 and everything in the plane
        // of e = (1, -1, 0, 0) / sqrt 2 and f = (0, 0, 1, -1) / sqrt 2: sqrt 2 (1, 1) and
        // sqrt 2 (2, 1), Phi^T Phi + I = (11 6; 6 5), inverse (5 -6; -6 11) / 19. phi_q = phi_1:
        // 2 (1, 1) (5 -6; -6 11) / 19 = 2 (-1, 5) / 19, times (1, 1): 8/19, times (2, 1): 6/19.
        let (run, queries) = margins_by_hand();
        let p = |m: f64| 1.0 / (1.0 + (-m).exp());
        let expected = [8.0 / 19.0 * (1.0 - p(0.5)), 6.0 / 19.0 * (1.0 - p(1.0))];
        let method = TrakPublished { damping: Damping::Absolute(0.5), ..TrakPublished::default() };
        assert_close(scores_of(&method, &run, &queries).values(), &expected, 1e-14);
    }

    #[test]
    fn more_sums_than_examples_without_damping_are_refused() {
        let (run, queries) = margins_by_hand();
        let method = TrakPublished { damping: Damping::Absolute(0.0), ..TrakPublished::default() };
        let refusal = try_scores_of(&method, &run, &queries).unwrap_err().to_string();
        assert!(refusal.contains("not positive definite") && refusal.contains("hint"), "{refusal}");
    }
}
