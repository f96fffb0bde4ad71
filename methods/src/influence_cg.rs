//! Influence functions by conjugate gradients.
//!
//! # Computes
//! `tau[i, q] = (1/n) (C_lambda^-1 b_q) . g_i` at `theta_T`, where
//! `C_lambda = (1/n) sum_i C_i + (gamma + lambda) I`: `C_i` is the Gauss-Newton matrix or the
//! Hessian of `l_i`, the weight decay `gamma` is the second derivative of the regulariser `gamma/2
//! |theta|^2`, and `lambda` is the damping. Each system is solved to a relative residual of
//! `tolerance`.
//!
//! # Reads
//! Final weights. One gradient for each training example and query; for each query and iteration
//! one curvature product over all training examples. Relative damping costs one gradient more for
//! each training example and class.
//!
//! # Shapes
//! Queries are solved in blocks: directions `(k, p) -> (k, p)` in one pass over the data; vectors
//! of the iteration are kept in `f64`, products run in the number type of the run. Then `(n, p) x
//! (p, k) -> (n, k)` from captures.
//!
//! # Differs from the paper
//! The paper estimates the inverse with mini-batches or conjugate gradients on the Hessian; here
//! every product runs over all data, the default curvature is Gauss-Newton, and the score carries
//! the factor `1/n` and the sign of the utility. In `f32` the residual is that of the recurrence.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::InfluenceCg;
//! let method = InfluenceCg { iterations: 50, ..InfluenceCg::default() };
//! assert!(method.check().is_ok());
//! ```
//!
//! # References
//! Koh, Liang, Understanding black-box predictions via influence functions, ICML 2017,
//! arXiv 1703.04730; Hestenes, Stiefel, Methods of conjugate gradients for solving linear systems,
//! 1952.

use attribench_core::{
    Context, FinalModel, Method, MethodError, MethodInfo, ProblemSize, Real, Scale, Scorer, View,
};
use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use crate::{
    CurvatureKind, Damping,
    curvature::DampedCurvature,
    influence::{influence, kept_bytes, query_rows},
    turn::Turn,
};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct InfluenceCg {
    /// The curvature.
    pub curvature: CurvatureKind,
    /// `lambda`, or what it is relative to.
    pub damping: Damping,
    /// Most iterations for a query.
    pub iterations: usize,
    /// Residual relative to the right-hand side at which a query is done.
    pub tolerance: f64,
    /// What to do with a query that is not done after the last iteration.
    pub on_limit: OnLimit,
}

/// What to do when the iterations run out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnLimit {
    /// Give up with an error that names the residual.
    #[default]
    Refuse,
    /// Score with what has been reached.
    Accept,
}

impl Default for InfluenceCg {
    fn default() -> Self {
        Self {
            curvature: CurvatureKind::GaussNewton,
            damping: Damping::default(),
            iterations: 200,
            tolerance: 1e-6,
            on_limit: OnLimit::Refuse,
        }
    }
}

impl Method for InfluenceCg {
    type Access = FinalModel;
    const INFO: MethodInfo = MethodInfo {
        name: "influence-cg",
        summary: "influence functions by conjugate gradients",
        scale: Scale::Derivative,
    };

    fn check(&self) -> Result<(), String> {
        self.damping.check()?;
        if self.iterations == 0 {
            return Err("`iterations` is 0\nhint: allow at least one iteration".to_owned());
        }
        if !(self.tolerance > 0.0 && self.tolerance < 1.0) {
            let found = self.tolerance;
            return Err(format!("`tolerance` is {found}\nhint: give a number between 0 and 1"));
        }
        Ok(())
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { examples, queries, parameters, number } = size;
        // Solution, residual, direction, and the product in both number types.
        (6 * query_rows(parameters).min(queries) * parameters * size_of::<f64>()) as u64
            + kept_bytes(examples, parameters, number)
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, FinalModel, T>,
        _context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let curvature = DampedCurvature::new(view, self.curvature, self.damping);
        let method = self.clone();
        Ok(influence::<Self, T>(view, Turn::none(view.model().layout()), move |b| {
            conjugate_gradients(b, &method, |d| curvature.products(d), None)
        }))
    }
}

/// Solves `C x = b` for every row of `b`, `(k, p)`, with products of stacked directions and, where
/// there is one, a preconditioner of them.
pub(crate) fn conjugate_gradients(
    b: Array2<f64>,
    method: &InfluenceCg,
    products: impl Fn(ArrayView2<'_, f64>) -> Array2<f64>,
    precondition: Option<&dyn Fn(Array2<f64>) -> Array2<f64>>,
) -> Result<Array2<f64>, MethodError> {
    let rows = 0..b.nrows();
    let mut x = Array2::<f64>::zeros(b.dim());
    let mut d = precondition.map_or_else(|| b.clone(), |precondition| precondition(b.clone()));
    let mut rz: Vec<f64> = rows.clone().map(|k| b.row(k).dot(&d.row(k))).collect();
    let mut rr: Vec<f64> = rows.clone().map(|k| b.row(k).dot(&b.row(k))).collect();
    let targets: Vec<f64> = rr.iter().map(|square| square * method.tolerance.powi(2)).collect();
    let mut r = b;
    for _ in 0..method.iterations {
        // A query that is done leaves the block, so that the others' products get cheaper.
        let open: Vec<usize> = rows.clone().filter(|&k| rr[k] > targets[k]).collect();
        if open.is_empty() {
            return Ok(x);
        }
        let cd = if open.len() == rows.len() {
            products(d.view())
        } else {
            products(d.select(Axis(0), &open).view())
        };
        for (&k, cd) in open.iter().zip(cd.outer_iter()) {
            let curvature_along = d.row(k).dot(&cd);
            if curvature_along.is_nan() || curvature_along <= 0.0 {
                return Err(MethodError::NotPositiveDefinite { matrix: "the damped curvature" });
            }
            let alpha = rz[k] / curvature_along;
            x.row_mut(k).scaled_add(alpha, &d.row(k));
            r.row_mut(k).scaled_add(-alpha, &cd);
            rr[k] = r.row(k).dot(&r.row(k));
        }
        drop(cd);
        let z = precondition.map(|precondition| precondition(r.select(Axis(0), &open)));
        for (place, &k) in open.iter().enumerate() {
            let z = z.as_ref().map_or(r.row(k), |z| z.row(place));
            let next = if precondition.is_some() { r.row(k).dot(&z) } else { rr[k] };
            let beta = next / rz[k];
            rz[k] = next;
            d.row_mut(k).zip_mut_with(&z, |d, z| *d = z + beta * *d);
        }
    }
    let ratio = |k: usize| (rr[k] / targets[k]).sqrt() * method.tolerance;
    let residual = (0..rr.len()).filter(|&k| rr[k] > targets[k]).map(ratio).fold(0.0, f64::max);
    if residual == 0.0 || method.on_limit == OnLimit::Accept {
        return Ok(x);
    }
    Err(MethodError::NotConverged {
        what: "conjugate gradients",
        residual,
        iterations: method.iterations,
        tolerance: method.tolerance,
    })
}

#[cfg(test)]
mod tests {
    use attribench_core::{Method, Utility};

    use super::{InfluenceCg, OnLimit};
    use crate::{
        CurvatureKind, Damping, InfluenceExplicit,
        common::{assert_close, digits_like, scores_of, try_scores_of},
    };

    #[test]
    fn agrees_with_the_explicit_inverse() {
        for (curvature, damping) in [
            (CurvatureKind::GaussNewton, Damping::default()),
            (CurvatureKind::GaussNewton, Damping::Absolute(0.05)),
            (CurvatureKind::Hessian, Damping::Relative(200.0)),
        ] {
            let (run, queries) = digits_like::<f64>(30).network(&[7]).pair(5, Utility::Margin);
            let cg = InfluenceCg { curvature, damping, tolerance: 1e-12, ..InfluenceCg::default() };
            let explicit = InfluenceExplicit { curvature, damping };
            let expected = scores_of(&explicit, &run, &queries);
            let found = scores_of(&cg, &run, &queries);
            assert_close(found.values(), expected.values().as_slice().unwrap(), 1e-9);
        }
    }

    #[test]
    fn too_few_iterations_are_an_error_unless_accepted() {
        let (run, queries) = digits_like::<f64>(30).network(&[7]).pair(5, Utility::Margin);
        let hasty = InfluenceCg { iterations: 2, ..InfluenceCg::default() };
        let refusal = try_scores_of(&hasty, &run, &queries).unwrap_err();
        assert!(refusal.to_string().contains("after 2 iterations"), "{refusal}");
        let content = InfluenceCg { on_limit: OnLimit::Accept, ..hasty };
        assert_eq!(scores_of(&content, &run, &queries).values().dim(), (30, 5));
    }

    #[test]
    fn a_negative_curvature_is_refused() {
        let problem = digits_like::<f64>(30).network(&[7]).untrained();
        let (run, queries) = problem.pair(5, Utility::Margin);
        let damping = Damping::Absolute(0.0);
        let hessian = InfluenceCg {
            curvature: CurvatureKind::Hessian,
            damping,
            tolerance: 1e-12,
            ..InfluenceCg::default()
        };
        let refusal = try_scores_of(&hessian, &run, &queries).unwrap_err();
        assert!(refusal.to_string().contains("not positive definite"), "{refusal}");
    }

    #[test]
    fn parameters_out_of_range_name_the_field() {
        let wrong = InfluenceCg { tolerance: 0.0, ..InfluenceCg::default() };
        assert!(wrong.check().unwrap_err().contains("`tolerance`"));
        let wrong = InfluenceCg { iterations: 0, ..InfluenceCg::default() };
        assert!(wrong.check().unwrap_err().contains("`iterations`"));
        let wrong = InfluenceCg { damping: Damping::Absolute(-1.0), ..InfluenceCg::default() };
        assert!(wrong.check().unwrap_err().contains("`damping`"));
    }
}
