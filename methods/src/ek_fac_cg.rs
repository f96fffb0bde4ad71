//! Influence functions by conjugate gradients preconditioned with EK-FAC.
//!
//! # Computes
//! `tau[i, q] = (1/n) (C_lambda^-1 b_q) . g_i` as `influence-cg` does, with the whole curvature `C`
//! and the same damping; the iteration is preconditioned by the inverse of `ek-fac`. The first
//! iterate is the solution of `ek-fac` at its best length.
//!
//! # Reads
//! Final weights. The factors of `ek-fac`; for each query and iteration one curvature product over
//! all training examples; one gradient for each training example and query.
//!
//! # Shapes
//! As `influence-cg`; the preconditioner turns directions layer by layer, `(out, out) x (out, in) x
//! (in, in)`.
//!
//! # Differs from the paper
//! The paper iterates stochastically with mini-batches; here every product runs over all data and
//! the iteration stops at a residual.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::EkFacCg;
//! assert!(EkFacCg::default().check().is_ok());
//! ```
//!
//! # References
//! Wang, Nguyen, Sun, Bae, Grosse, Better training data attribution via better inverse
//! Hessian-vector products, NeurIPS 2025, arXiv 2507.14740.

use attribench_core::{
    Context, FinalModel, Method, MethodError, MethodInfo, ProblemSize, Real, Scale, Scorer, View,
};
use serde::{Deserialize, Serialize};

use crate::{
    CurvatureKind, Damping, EkFac, Fisher, InfluenceCg, OnLimit, curvature::DampedCurvature,
    influence::influence, influence_cg::conjugate_gradients, turn::Turn,
};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct EkFacCg {
    /// The curvature that is inverted.
    pub curvature: CurvatureKind,
    /// `lambda`, or what it is relative to.
    pub damping: Damping,
    /// Whose gradients the preconditioner is made of.
    pub fisher: Fisher,
    /// Most iterations for a query.
    pub iterations: usize,
    /// Residual relative to the right-hand side at which a query is done.
    pub tolerance: f64,
    /// What to do with a query that is not done after the last iteration.
    pub on_limit: OnLimit,
}

impl Default for EkFacCg {
    fn default() -> Self {
        let InfluenceCg { curvature, damping, tolerance, on_limit, iterations } =
            InfluenceCg::default();
        Self { curvature, damping, fisher: Fisher::default(), iterations, tolerance, on_limit }
    }
}

impl EkFacCg {
    /// The iteration without its preconditioner.
    fn plain(&self) -> InfluenceCg {
        InfluenceCg {
            curvature: self.curvature,
            damping: self.damping,
            iterations: self.iterations,
            tolerance: self.tolerance,
            on_limit: self.on_limit,
        }
    }
}

impl Method for EkFacCg {
    type Access = FinalModel;
    const INFO: MethodInfo = MethodInfo {
        name: "ek-fac-cg",
        summary: "influence functions by conjugate gradients preconditioned with EK-FAC",
        scale: Scale::Derivative,
    };

    fn check(&self) -> Result<(), String> {
        self.plain().check()
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { parameters, .. } = size;
        // The iteration, the factors, and what their products are made in.
        let iteration = self.plain().working_bytes(size);
        iteration + (8 * parameters * size_of::<f64>()) as u64
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, FinalModel, T>,
        context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let curvature = DampedCurvature::new(view, self.curvature, self.damping);
        let factors = EkFac { damping: self.damping, fisher: self.fisher };
        let (basis, damped) = factors.inverse(view, context)?;
        let inverses: Vec<f64> = damped.iter().map(|value| 1.0 / value).collect();
        let (layout, method) = (view.model().layout(), self.plain());
        Ok(influence::<Self, T>(view, Turn::none(layout), move |b| {
            let precondition = |r: ndarray::Array2<f64>| {
                // Any positive number will do where nothing is known.
                let other = |j: usize| match curvature.diagonal[j] {
                    diagonal if diagonal > 0.0 => 1.0 / diagonal,
                    _ => 1.0,
                };
                basis.multiply(layout, r, &inverses, other)
            };
            conjugate_gradients(b, &method, |d| curvature.products(d), Some(&precondition))
        }))
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::{ErasedMethod, Examples, FitReal, Meter, Utility};
    use ndarray::Axis;

    use super::EkFacCg;
    use crate::{
        CurvatureKind, Damping, InfluenceCg, InfluenceExplicit,
        common::{SEED, assert_close, digits_like, scores_of},
    };

    #[test]
    fn agrees_with_the_explicit_inverse() {
        for (curvature, damping) in [
            (CurvatureKind::GaussNewton, Damping::default()),
            (CurvatureKind::Hessian, Damping::Relative(200.0)),
        ] {
            let (run, queries) = digits_like::<f64>(30).network(&[7]).pair(5, Utility::Margin);
            let method = EkFacCg { curvature, damping, tolerance: 1e-12, ..EkFacCg::default() };
            let explicit = InfluenceExplicit { curvature, damping };
            let expected = scores_of(&explicit, &run, &queries);
            let found = scores_of(&method, &run, &queries);
            assert_close(found.values(), expected.values().as_slice().unwrap(), 1e-9);
        }
    }

    #[test]
    fn takes_fewer_products_than_without() {
        // One layer whose inputs differ in size by a factor of 150, and in curvature by its square.
        let (mut run, queries) = digits_like::<f64>(60).network(&[]).pair(5, Utility::Margin);
        let mut features = run.train.features().to_owned();
        for (j, mut column) in features.axis_iter_mut(Axis(1)).enumerate() {
            column *= (j as f64 + 1.0).powi(2);
        }
        run.train = Examples::new(features, run.train.labels().clone());
        run.parameters.fill(0.0);
        let products = |method: &dyn ErasedMethod| {
            let meter = Meter::default();
            f64::fit(method, &run, &meter, SEED).unwrap().score(&queries).unwrap();
            meter.cost().curvature_products
        };
        let (damping, iterations) = (Damping::Relative(1e-3), 5_000);
        let with = products(&EkFacCg { damping, iterations, ..EkFacCg::default() });
        let without = products(&InfluenceCg { damping, iterations, ..InfluenceCg::default() });
        assert!(with < without, "{with} and {without}");
    }
}
