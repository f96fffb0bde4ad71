//! Influence functions with the whole inverse curvature.
//!
//! # Computes
//! `tau[i, q] = (1/n) (C_lambda^-1 b_q) . g_i` at `theta_T`, where `C_lambda = (1/n) sum_i C_i +
//! (gamma + lambda) I`: `C_i` is the Hessian or the Gauss-Newton matrix of `l_i`. The trainer's
//! weight decay `gamma theta` is the gradient of the regulariser `gamma/2 |theta|^2`, so `gamma I`
//! is part of the curvature of the mean objective and is always there. `lambda` is the damping and
//! comes on top; relative damping is relative to the curvature of the loss alone.
//!
//! # Reads
//! Final weights. One gradient for each training example and query, and `p` curvature products over
//! all training examples; for a model of one dense layer none of them, but its outputs. Relative
//! damping costs one gradient more for each training example and class.
//!
//! # Shapes
//! The lower triangle of `C_lambda`, `p (p + 1) / 2` numbers, is factored in place. In general:
//! directions `(256, p) -> (256, p)` in the number type of the run, the rest in `f64`. One dense
//! layer with `c` outputs and inputs of width `d`: `p = (c - 1)(d + 1)` once the direction that
//! moves all logits together is left out; blocks `(d, n) x (n, d) -> (d, d)` for each pair of
//! outputs, for those principal axes alone that have curvature worth a factor beside the damping;
//! the factor in the number type of the run, the other axes by conjugate gradients on what the
//! factor leaves of them, and solutions corrected by residuals in `f64`.
//!
//! # Differs from the paper
//! The paper raises an example's weight and reports the change of the query's loss; the score
//! here is minus that, times `1/n`, in the unit of the utility. Damping and regulariser are
//! explicit.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::{CurvatureKind, Damping, InfluenceExplicit};
//! let method = InfluenceExplicit {
//!     curvature: CurvatureKind::Hessian,
//!     damping: Damping::Absolute(0.01),
//! };
//! assert!(method.check().is_ok());
//! ```
//!
//! # References
//! Cook, Weisberg, Residuals and Influence in Regression, 1982; Koh, Liang, Understanding black-box
//! predictions via influence functions, ICML 2017, arXiv 1703.04730.

use attribench_core::{
    Captures, Context, FinalModel, Method, MethodError, MethodInfo, ModelAt, ProblemSize, Queries,
    Real, Scale, Scorer, Scores, View,
};
use ndarray::{Array2, s};
use serde::{Deserialize, Serialize};

use crate::{
    CurvatureKind, Damping,
    cholesky::{Cholesky, LowerTriangle},
    directions::Directions,
    label,
    one_layer::OneLayer,
    pair,
};

/// Queries that are solved side by side.
const BLOCK_QUERIES: usize = 128;

/// Most parameters: beyond it the triangle takes more than 1.6 GB in `f64`.
const MOST_PARAMETERS: usize = 20_000;

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct InfluenceExplicit {
    /// The curvature.
    pub curvature: CurvatureKind,
    /// `lambda`, or what it is relative to.
    pub damping: Damping,
}

impl Method for InfluenceExplicit {
    type Access = FinalModel;
    const INFO: MethodInfo = MethodInfo {
        name: "influence-explicit",
        summary: "influence functions with the whole inverse curvature",
        scale: Scale::Derivative,
    };

    fn check(&self) -> Result<(), String> {
        self.damping.check()
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { queries, parameters, .. } = size;
        // The triangle, and the right-hand sides of a block with their images and products.
        let triangle = (parameters * (parameters + 1) / 2 * size_of::<f64>()) as u64;
        triangle + (4 * queries.min(BLOCK_QUERIES) * parameters * size_of::<f64>()) as u64
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, FinalModel, T>,
        _context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let (model, train) = (view.model(), view.train());
        let p = model.layout().parameters();
        if p > MOST_PARAMETERS {
            return Err(MethodError::Unsuitable(format!(
                "influence-explicit inverts a matrix of {p} rows \
                 (at most {MOST_PARAMETERS})\nhint: use influence-cg"
            )));
        }
        let gamma = view.recipe().rule.optimiser.ridge();
        let mut diagonal = self.damping.diagonal(model, train);
        diagonal.iter_mut().for_each(|lambda| *lambda += gamma);
        // All parameters of a single layer have the same damping.
        let inverse = match OneLayer::fit(model, train, diagonal[0]) {
            Some(one_layer) => Inverse::OneLayer(Box::new(one_layer?)),
            None => Inverse::Dense(self.dense_factor(view, &diagonal)?),
        };
        Ok(Box::new(Fitted { view, inverse }))
    }
}

impl InfluenceExplicit {
    /// Factor of the curvature, whose columns are its products with unit directions.
    fn dense_factor<T: Real>(
        &self,
        view: View<'_, FinalModel, T>,
        diagonal: &[f64],
    ) -> Result<Cholesky<f64>, MethodError> {
        let (model, train) = (view.model(), view.train());
        let (p, n) = (diagonal.len(), train.len() as f64);
        let ones = vec![T::one(); train.len()];
        let triangle = LowerTriangle::from_columns(p, |start, end| {
            let mut units = Array2::<T>::zeros((end - start, p));
            for j in 0..end - start {
                units[(j, start + j)] = T::one();
            }
            let products =
                model.curvature_products(train, &ones, self.curvature.into(), units.view());
            let mut columns = products.slice(s![.., start..]).t().mapv(|sum| sum.to_f64() / n);
            for j in 0..end - start {
                columns[(j, j)] += diagonal[start + j];
            }
            columns.as_standard_layout().into_owned()
        });
        triangle.factor().ok_or(MethodError::NotPositiveDefinite { matrix: "the damped curvature" })
    }
}

/// `C_lambda^-1`, as it is had most cheaply.
enum Inverse<T> {
    OneLayer(Box<OneLayer<T>>),
    Dense(Cholesky<f64>),
}

struct Fitted<'a, T> {
    view: View<'a, FinalModel, T>,
    inverse: Inverse<T>,
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let (train, model) = (self.view.train(), self.view.model());
        let n = train.len() as f64;
        let mut values = Array2::zeros((train.len(), queries.examples.len()));
        for (first, block) in queries.examples.blocks(BLOCK_QUERIES) {
            let asked = Queries { examples: block, utility: queries.utility };
            let b = pair::query_captures(model, &asked);
            let products = match &self.inverse {
                Inverse::OneLayer(inverse) => inverse.products(&b)?,
                Inverse::Dense(factor) => dense_products(model, self.view, factor, &b),
            };
            values.slice_mut(s![.., first..first + b.len()]).assign(&(products / n));
        }
        label::<InfluenceExplicit, T>(train, queries, values)
    }
}

/// `(C_lambda^-1 b_q) . g_i`, `(n, q)`.
fn dense_products<T: Real>(
    model: ModelAt<'_, T>,
    view: View<'_, FinalModel, T>,
    factor: &Cholesky<f64>,
    b: &Captures<T>,
) -> Array2<f64> {
    let layout = model.layout();
    let mut x = pair::gradients(b, layout).reversed_axes().as_standard_layout().into_owned();
    factor.solve_in_place(&mut x);
    let x = Directions::new(layout, x.t());
    let mut products = Array2::zeros((view.train().len(), b.len()));
    for (start, g) in pair::train_captures(model, view.train()) {
        products.slice_mut(s![start..start + g.len(), ..]).assign(&x.products(&g));
    }
    products
}

#[cfg(test)]
mod tests {
    use attribench_core::{Method, Utility};
    use ndarray::Array2;

    use super::InfluenceExplicit;
    use crate::{
        CurvatureKind, Damping,
        common::{
            TestRun, assert_close, curvature_by_products, digits_like, gradients_one_at_a_time,
            least_squares, scores_of, solve_slowly, try_scores_of,
        },
    };

    const UNDAMPED: InfluenceExplicit =
        InfluenceExplicit { curvature: CurvatureKind::Hessian, damping: Damping::Absolute(0.0) };

    #[test]
    fn four_points_on_a_line_by_hand() {
        // X = (1, 0..3), y = 1, 2, 2, 4, query (1, 4), 5: theta (0.9, 0.9), C = X^T X / 4.
        // The query's residual is 0.5, its solution in the residual's units -0.5 C^-1 x_q.
        let (run, queries) = least_squares(0.0, [0.9, 0.9]);
        let scores = scores_of(&UNDAMPED, &run, &queries);
        assert_close(scores.values(), &[-0.025, 0.0, -0.175, 0.2], 1e-12);
    }

    #[test]
    fn weight_decay_is_the_ridge_by_hand() {
        // lambda = gamma = 1/2, bias included: theta (0.6, 0.9).
        let (run, queries) = least_squares(0.5, [0.9, 0.6]);
        let scores = scores_of(&UNDAMPED, &run, &queries);
        let expected = [-0.64 / 15.0, 1.0 / 15.0, -2.24 / 15.0, 6.44 / 15.0];
        assert_close(scores.values(), &expected, 1e-12);
    }

    /// `(1/n) G C_lambda^-1 B^T` with every matrix formed.
    fn slowly(
        run: &TestRun<f64>,
        queries: &attribench_core::Queries<f64>,
        kind: CurvatureKind,
        lambda: impl Fn(&Array2<f64>) -> f64,
    ) -> Vec<f64> {
        let (g, b) = gradients_one_at_a_time(run, queries);
        let curvature = curvature_by_products(run, kind.into());
        let shift = lambda(&curvature) + attribench_core::Run::recipe(run).rule.optimiser.ridge();
        let damped = &curvature + &(Array2::<f64>::eye(curvature.nrows()) * shift);
        let x = solve_slowly(damped, b.t().to_owned());
        (g.dot(&x) / g.nrows() as f64).into_raw_vec_and_offset().0
    }

    #[test]
    fn agrees_with_a_dense_inverse() {
        for hidden in [&[][..], &[7]] {
            for kind in [CurvatureKind::GaussNewton, CurvatureKind::Hessian] {
                let problem = digits_like::<f64>(30).network(hidden).decay(0.03);
                let (run, queries) = problem.pair(5, Utility::Margin);
                let method = InfluenceExplicit { curvature: kind, damping: Damping::Absolute(1.0) };
                let expected = slowly(&run, &queries, kind, |_| 1.0);
                let scores = scores_of(&method, &run, &queries);
                assert_close(scores.values(), &expected, 1e-10);
            }
        }
    }

    #[test]
    fn relative_damping_is_a_share_of_the_mean_eigenvalue() {
        let (run, queries) = digits_like::<f64>(30).network(&[]).pair(5, Utility::NegativeLoss);
        let mean_eigenvalue = |c: &Array2<f64>| 0.1 * c.diag().sum() / c.nrows() as f64;
        let expected = slowly(&run, &queries, CurvatureKind::GaussNewton, mean_eigenvalue);
        let scores = scores_of(&InfluenceExplicit::default(), &run, &queries);
        assert_close(scores.values(), &expected, 1e-10);
    }

    #[test]
    fn single_precision_is_corrected() {
        // The same parameters and data in both precisions; data are multiples of 2^-10.
        let method = InfluenceExplicit { damping: Damping::Relative(1e-3), ..Default::default() };
        let problem = digits_like::<f64>(200).network(&[]);
        let (exact, queries) = problem.pair(20, Utility::Margin);
        let (rounded, rounded_queries) = exact.in_single_precision(&queries);
        let exact = exact.at_parameters_of(&rounded);
        let expected = scores_of(&method, &exact, &queries);
        let found = scores_of(&method, &rounded, &rounded_queries);
        assert_close(found.values(), expected.values().as_slice().unwrap(), 1e-6);
    }

    #[test]
    fn a_hessian_with_a_negative_eigenvalue_is_refused() {
        let problem = digits_like::<f64>(30).network(&[7]).untrained();
        let (run, queries) = problem.pair(5, Utility::Margin);
        let refusal = try_scores_of(&UNDAMPED, &run, &queries).unwrap_err();
        assert!(refusal.to_string().contains("not positive definite"), "{refusal}");
    }

    #[test]
    fn too_many_parameters_are_refused() {
        let problem = digits_like::<f64>(4).network(&[1200]).untrained();
        let (run, queries) = problem.pair(2, Utility::Margin);
        let refusal = try_scores_of(&InfluenceExplicit::default(), &run, &queries).unwrap_err();
        assert!(refusal.to_string().contains("use influence-cg"), "{refusal}");
    }

    #[test]
    fn damping_out_of_range_is_named() {
        let wrong = InfluenceExplicit {
            damping: Damping::Relative(f64::NAN),
            ..InfluenceExplicit::default()
        };
        assert!(wrong.check().unwrap_err().contains("`damping`"));
    }
}
