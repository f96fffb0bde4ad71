//! Influence functions on sketches of masked gradients.
//!
//! # Computes
//! `tau[i, q] = (1/n) phi_q . (Phi^T Phi / n + lambda I)^-1 phi_i` at `theta_T`, where `phi` keeps
//! `kept` random coordinates of the gradient and adds them up in `size` sums with random signs,
//! scaled so that dot products are right in the mean. `lambda` is the weight decay plus the
//! damping, relative to the mean eigenvalue.
//!
//! # Reads
//! Final weights. One gradient for each training example and query.
//!
//! # Shapes
//! Features `(n, size)`, kept in `f64`; a factor `(size, size)`; `(n, size) x (size, q) -> (n, q)`.
//!
//! # Differs from the paper
//! One second moment for all layers together; weight decay is part of it. The mask is uniform, not
//! trained. A sketch as long as the gradient is the gradient.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::GraSs;
//! assert!(GraSs { size: 512, kept: 2_048, ..GraSs::default() }.check().is_ok());
//! ```
//!
//! # References
//! Hu, Zheng, Yang, et al., GraSS: scalable data attribution with gradient sparsification and
//! sparse projection, NeurIPS 2025, arXiv 2505.18976.

use attribench_core::{
    Captures, Context, FinalModel, Method, MethodError, MethodInfo, ProblemSize, Real, Scale,
    Scorer, View,
};
use serde::{Deserialize, Serialize};

use crate::{
    Damping,
    features::{of_train, products_of_features},
    projection::Sketch,
    trak::{check_size, damped_gram, kept_bytes, solved_rows},
};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GraSs {
    /// Length of a sketch.
    pub size: usize,
    /// Coordinates kept.
    pub kept: usize,
    /// `lambda`, or how many times the mean eigenvalue it is.
    pub damping: Damping,
}

impl Default for GraSs {
    fn default() -> Self {
        Self { size: 2_048, kept: 8_192, damping: Damping::default() }
    }
}

impl Method for GraSs {
    type Access = FinalModel;
    const INFO: MethodInfo = MethodInfo {
        name: "gra-ss",
        summary: "influence functions on sketches of masked gradients",
        scale: Scale::Derivative,
    };

    fn check(&self) -> Result<(), String> {
        check_size(self.size)?;
        if self.kept == 0 {
            return Err("`kept` is 0\nhint: keep at least one coordinate".to_owned());
        }
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
        let layout = view.model().layout();
        let p = layout.parameters();
        let sketch = Sketch::draw(p, self.kept, self.size, &mut context.stream("sketch"));
        let features = move |g: &Captures<T>| sketch.of(g, layout);
        in_sketches::<Self, T>(view, self.damping, features)
    }
}

/// `(1/n) phi_q . (Phi^T Phi / n + lambda I)^-1 phi_i`.
pub(crate) fn in_sketches<'a, M, T: Real>(
    view: View<'a, FinalModel, T>,
    damping: Damping,
    features: impl Fn(&Captures<T>) -> ndarray::Array2<f64> + 'a,
) -> Result<Box<dyn Scorer<T> + 'a>, MethodError>
where
    M: Method<Access = FinalModel>,
{
    let of_all = of_train(view.model(), view.train(), &features);
    let factor = damped_gram(of_all.view(), view.recipe().rule.optimiser.ridge(), damping)?;
    let left = solved_rows(&factor, of_all) / view.train().len() as f64;
    Ok(products_of_features::<M, T>(view, left, features))
}

#[cfg(test)]
mod tests {
    use attribench_core::Utility;
    use ndarray::Array2;

    use super::GraSs;
    use crate::{
        Damping, FactGraSs,
        common::{assert_close, digits_like, gradients_one_at_a_time, scores_of, solve_slowly},
    };

    #[test]
    fn without_sketch_it_is_the_empirical_fisher_matrix() {
        let (run, queries) = digits_like::<f64>(30).network(&[7]).pair(5, Utility::Margin);
        let (g, b) = gradients_one_at_a_time(&run, &queries);
        let fisher = g.t().dot(&g) / 30.0 + Array2::<f64>::eye(g.ncols()) * 0.02;
        let expected = g.dot(&solve_slowly(fisher, b.t().to_owned())) / 30.0;
        let damping = Damping::Absolute(0.02);
        let found = scores_of(&GraSs { damping, ..GraSs::default() }, &run, &queries);
        assert_close(found.values(), expected.as_slice().unwrap(), 1e-9);
        let found = scores_of(&FactGraSs { damping, ..FactGraSs::default() }, &run, &queries);
        assert_close(found.values(), expected.as_slice().unwrap(), 1e-9);
    }

    #[test]
    fn with_damping_above_all_it_is_the_sketched_product() {
        // Far above the second moment, the inverse is 1 / lambda: sketches' products, which are
        // near to the gradients' own in the mean over seeds (here: over many pairs).
        let (run, queries) = digits_like::<f64>(60).network(&[30]).pair(20, Utility::Margin);
        let (g, b) = gradients_one_at_a_time(&run, &queries);
        let exact = g.dot(&b.t());
        let damping = Damping::Absolute(1e9);
        let sketched = GraSs { size: 200, kept: 400, damping };
        let sides = FactGraSs { size: 200, side: 20, damping };
        let found = [scores_of(&sketched, &run, &queries), scores_of(&sides, &run, &queries)];
        for scores in found {
            let found = scores.values().to_owned() * (60.0 * 1e9);
            let slope = (&found * &exact).sum() / (&exact * &exact).sum();
            assert!((slope - 1.0).abs() < 0.35, "{slope}");
        }
    }
}
