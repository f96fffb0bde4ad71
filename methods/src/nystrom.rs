//! Influence functions with some columns of the curvature.
//!
//! # Computes
//! `tau[i, q] = (1/n) (C_K C_KK^-1 C_K^T + D)^-1 b_q . g_i` at `theta_T`, where `C_K` are `rank`
//! columns of the undamped curvature, drawn without repetition, `C_KK` their own rows, and `D` is
//! damping and weight decay: `D^-1 b - D^-1 C_K (C_KK + C_K^T D^-1 C_K)^-1 C_K^T D^-1 b`.
//!
//! # Reads
//! Final weights. `rank` curvature products over all training examples; one gradient for each
//! training example and query.
//!
//! # Shapes
//! Columns `(rank, p)` in `f64`; eigenvectors `(rank, rank)`; directions `(k, p) x (p, rank)`,
//! where what has no eigenvalue is left out.
//!
//! # Differs from the paper
//! Damping may differ between blocks of parameters; the score carries `1/n` and the sign of the
//! utility.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::Nystrom;
//! assert!(Nystrom { rank: 0, ..Nystrom::default() }.check().is_err());
//! ```
//!
//! # References
//! Hataya, Yamada, Nystrom method for accurate and scalable implicit differentiation, AISTATS 2023,
//! arXiv 2302.09726.

use attribench_core::{
    Context, FinalModel, Method, MethodError, MethodInfo, ProblemSize, Real, Scale, Scorer, View,
    math,
};
use ndarray::{Array2, ArrayView1, Axis, s};
use serde::{Deserialize, Serialize};

use crate::{
    CurvatureKind, Damping,
    curvature::DampedCurvature,
    eigen::symmetric,
    ek_fac::refuse_singular,
    influence::{influence, kept_bytes, query_rows},
    projection::without_repetition,
    turn::Turn,
};

/// Columns that are made side by side.
const BLOCK_COLUMNS: usize = 32;

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Nystrom {
    /// The curvature.
    pub curvature: CurvatureKind,
    /// `lambda`, or what it is relative to.
    pub damping: Damping,
    /// Columns drawn.
    pub rank: usize,
}

impl Default for Nystrom {
    fn default() -> Self {
        Self { curvature: CurvatureKind::GaussNewton, damping: Damping::default(), rank: 100 }
    }
}

impl Method for Nystrom {
    type Access = FinalModel;
    const INFO: MethodInfo = MethodInfo {
        name: "nystrom",
        summary: "influence functions with some columns of the curvature",
        scale: Scale::Derivative,
    };

    fn check(&self) -> Result<(), String> {
        if self.rank == 0 {
            return Err("`rank` is 0\nhint: draw at least one column".to_owned());
        }
        self.damping.check()
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { examples, queries, parameters, number } = size;
        let rows = self.rank.min(parameters) + 3 * query_rows(parameters).min(queries);
        (rows * parameters * size_of::<f64>()) as u64 + kept_bytes(examples, parameters, number)
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, FinalModel, T>,
        context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let curvature = DampedCurvature::new(view, self.curvature, self.damping);
        refuse_singular(&curvature.diagonal)?;
        let p = curvature.diagonal.len();
        let chosen = without_repetition(p, self.rank.min(p), &mut context.stream("columns"));
        let mut columns = Array2::<f64>::zeros((chosen.len(), p));
        for start in (0..chosen.len()).step_by(BLOCK_COLUMNS) {
            let end = (start + BLOCK_COLUMNS).min(chosen.len());
            let mut units = Array2::zeros((end - start, p));
            for (row, &parameter) in chosen[start..end].iter().enumerate() {
                units[(row, parameter)] = 1.0;
            }
            let products = curvature.undamped_products(view.train(), units.view());
            columns.slice_mut(s![start..end, ..]).assign(&products);
        }
        let scaled = &columns / &ArrayView1::from(&curvature.diagonal);
        // (rank, p) x (p, rank) -> (rank, rank)
        let mut inner = math::matmul(columns.view(), scaled.t());
        inner += &columns.select(Axis(1), &chosen);
        // What the columns do not reach has the eigenvalue 0, up to rounding, and no part in any
        // right-hand side.
        let eigen = symmetric(&inner)?;
        let floor = T::EPSILON * columns.select(Axis(1), &chosen).diag().sum();
        let kept = eigen.values.iter().take_while(|&&value| value > floor).count();
        let (vectors, values) = (eigen.vectors.slice(s![.., ..kept]), &eigen.values[..kept]);
        // (p, rank) x (rank, kept) -> (p, kept), each column over the root of its eigenvalue
        let mut root = math::matmul(scaled.t(), vectors);
        for (mut column, value) in root.axis_iter_mut(Axis(1)).zip(values) {
            column /= value.sqrt();
        }
        let diagonal = curvature.diagonal;
        Ok(influence::<Self, T>(view, Turn::none(view.model().layout()), move |b| {
            // (k, p) x (p, kept) -> (k, kept)
            let shares = math::matmul(b.view(), root.view());
            let mut x = b / ArrayView1::from(&diagonal);
            // (k, kept) x (kept, p) -> (k, p)
            math::matmul_into(x.view_mut(), 1.0, shares.view(), root.t(), -1.0);
            Ok(x)
        }))
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::Utility;
    use ndarray::Array2;

    use super::Nystrom;
    use crate::{
        Damping, InfluenceExplicit,
        common::{
            assert_close, curvature_by_products, deviation, digits_like, gradients_one_at_a_time,
            scores_of, solve_slowly,
        },
    };

    #[test]
    fn all_columns_are_the_explicit_inverse() {
        let (run, queries) = digits_like::<f64>(30).network(&[7]).pair(5, Utility::Margin);
        let damping = Damping::Absolute(0.05);
        let explicit = InfluenceExplicit { damping, ..InfluenceExplicit::default() };
        let expected = scores_of(&explicit, &run, &queries);
        let expected = expected.values().as_slice().unwrap().to_vec();
        // More columns than parameters: all of them, among which the curvature is singular.
        let found =
            scores_of(&Nystrom { damping, rank: 1_000, ..Nystrom::default() }, &run, &queries);
        assert_close(found.values(), &expected, 1e-7);
        let few = scores_of(&Nystrom { damping, rank: 20, ..Nystrom::default() }, &run, &queries);
        assert!(deviation(few.values(), &expected) > 1e-2);
    }

    #[test]
    fn one_column_of_two_by_hand() {
        // C = (2 1; 1 2), first column, lambda = 1/2: the inverse is (2/3 -2/3; -2/3 5/3).
        let curvature = ndarray::array![[2.0, 1.0], [1.0, 2.0]];
        let column = curvature.column(0).to_owned().insert_axis(ndarray::Axis(1));
        let approximation = column.dot(&column.t()) / 2.0 + Array2::<f64>::eye(2) * 0.5;
        let inverse = solve_slowly(approximation, Array2::eye(2));
        let expected = [2.0 / 3.0, -2.0 / 3.0, -2.0 / 3.0, 5.0 / 3.0];
        assert_close(inverse.view(), &expected, 1e-15);
    }

    #[test]
    fn agrees_with_the_definition() {
        // The same columns, put together as the formula says and inverted slowly.
        let (run, queries) = digits_like::<f64>(30).network(&[7]).pair(5, Utility::Margin);
        let method = Nystrom { damping: Damping::Absolute(0.05), rank: 12, ..Nystrom::default() };
        let found = scores_of(&method, &run, &queries);
        let curvature = curvature_by_products(&run, attribench_core::Curvature::GaussNewton);
        let context = attribench_core::Context::new(crate::common::SEED, "nystrom");
        let p = curvature.nrows();
        let chosen = crate::projection::without_repetition(p, 12, &mut context.stream("columns"));
        let columns = curvature.select(ndarray::Axis(1), &chosen);
        let among = columns.select(ndarray::Axis(0), &chosen);
        let approximation = columns.dot(&solve_slowly(among, columns.t().to_owned()))
            + Array2::<f64>::eye(p) * 0.05;
        let (g, b) = gradients_one_at_a_time(&run, &queries);
        let expected = g.dot(&solve_slowly(approximation, b.t().to_owned())) / 30.0;
        assert_close(found.values(), expected.as_slice().unwrap(), 1e-8);
    }
}
