//! Dot product of sketched gradients at the end of the run.
//!
//! # Computes
//! `tau[i, q] = h (S b_q) . (S g_i)` at `theta_T`, as `grad-dot` with a random sparse map `S` to
//! `size` numbers, `E[S^T S] = I`.
//!
//! # Reads
//! Final weights. One gradient for each training example and query.
//!
//! # Shapes
//! Features `(n, size)`, kept; `(n, size) x (size, q) -> (n, q)`.
//!
//! # Differs from the paper
//! Every coordinate goes to one sum with a random sign, where the paper multiplies by a dense
//! matrix: as unbiased, with the variance of as many rows. A sketch as long as the gradient is the
//! gradient.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::GradDotProjected;
//! assert!(GradDotProjected { size: 0 }.check().is_err());
//! ```
//!
//! # References
//! Pruthi, Liu, Kale, Sundararajan, Estimating training data influence by tracing gradient descent,
//! NeurIPS 2020, arXiv 2002.08484; Weinberger et al., Feature hashing for large scale multitask
//! learning, ICML 2009, arXiv 0902.2206.

use attribench_core::{
    Captures, Context, FinalModel, Method, MethodError, MethodInfo, ProblemSize, Real, Scale,
    Scorer, View,
};
use serde::{Deserialize, Serialize};

use crate::{
    features::{of_train, products_of_features},
    projection::Sketch,
    trak::check_size,
};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GradDotProjected {
    /// Length of a sketch.
    pub size: usize,
}

impl Default for GradDotProjected {
    fn default() -> Self {
        Self { size: 4_096 }
    }
}

impl Method for GradDotProjected {
    type Access = FinalModel;
    const INFO: MethodInfo = MethodInfo {
        name: "grad-dot-projected",
        summary: "dot product of sketched gradients at the end of the run",
        scale: Scale::Derivative,
    };

    fn check(&self) -> Result<(), String> {
        check_size(self.size)
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { examples, queries, parameters, .. } = size;
        ((examples + queries) * self.size.min(parameters) * size_of::<f64>()) as u64
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, FinalModel, T>,
        context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let layout = view.model().layout();
        let p = layout.parameters();
        let sketch = Sketch::draw(p, p, self.size, &mut context.stream("sketch"));
        let features = move |g: &Captures<T>| sketch.of(g, layout);
        let h = view.recipe().mean_exposure(view.train().len());
        let left = of_train(view.model(), view.train(), &features) * h;
        Ok(products_of_features::<Self, T>(view, left, features))
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::Utility;

    use super::GradDotProjected;
    use crate::{
        GradDot,
        common::{assert_close, deviation, digits_like, scores_of},
    };

    #[test]
    fn a_long_sketch_is_the_product_and_a_short_one_comes_near() {
        let (run, queries) = digits_like::<f64>(30).network(&[40]).pair(9, Utility::Margin);
        let expected = scores_of(&GradDot::default(), &run, &queries);
        let expected = expected.values().as_slice().unwrap().to_vec();
        let whole = scores_of(&GradDotProjected::default(), &run, &queries);
        assert_close(whole.values(), &expected, 1e-12);
        let apart = |size| {
            let found = scores_of(&GradDotProjected { size }, &run, &queries);
            deviation(found.values(), &expected)
        };
        let (long, short) = (apart(600), apart(40));
        assert!(long > 1e-6 && long < short && long < 0.3, "{long} and {short}");
    }
}
