//! Influence functions in the largest eigenvectors of the curvature.
//!
//! # Computes
//! `tau[i, q] = (1/n) sum_j (u_j . b_q) (u_j . g_i) / s_j` at `theta_T` over the `rank` largest
//! Ritz pairs `(s_j, u_j)` of the damped curvature, from `iterations` steps of Lanczos' iteration
//! with full orthogonalisation, begun at a random direction. What lies outside of them scores
//! nothing.
//!
//! # Reads
//! Final weights. `iterations` curvature products over all training examples; one gradient for each
//! training example and query.
//!
//! # Shapes
//! Krylov vectors `(iterations, p)` in `f64`; a tridiagonal matrix `(iterations, iterations)`;
//! features `(n, p) x (p, rank) -> (n, rank)` from captures.
//!
//! # Differs from the paper
//! The curvature is symmetric, and so is the small matrix whose eigenvalues are taken: no root of
//! a negative number can arise. Damping is inside. Pairs that are not positive are left out.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::Arnoldi;
//! let method = Arnoldi { rank: 50, ..Arnoldi::default() };
//! assert!(method.check().is_ok());
//! ```
//!
//! # References
//! Schioppa, Zablotskaia, Vilar, Sokolov, Scaling up influence functions, AAAI 2022, arXiv
//! 2112.03052; Lanczos, An iteration method for the solution of the eigenvalue problem, 1950.

use attribench_core::{
    Context, FinalModel, Method, MethodError, MethodInfo, ProblemSize, Real, Scale, Scorer, View,
    math,
};
use ndarray::{Array1, Array2, ArrayView1, Axis, s};
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::{
    CurvatureKind, Damping, curvature::DampedCurvature, directions::Directions, eigen::symmetric,
    features,
};

/// Length of what is left of a product, in roundings of the longest one, at which the space is
/// complete: what is left is noise, and directions made of it would be arbitrary.
const COMPLETE: f64 = 32.0;

/// Ritz values below this part of the largest count as zero.
const NEGLIGIBLE: f64 = 1e-12;

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Arnoldi {
    /// The curvature.
    pub curvature: CurvatureKind,
    /// `lambda`, or what it is relative to.
    pub damping: Damping,
    /// Steps of the iteration.
    pub iterations: usize,
    /// Ritz pairs kept, the largest.
    pub rank: usize,
}

impl Default for Arnoldi {
    fn default() -> Self {
        Self {
            curvature: CurvatureKind::GaussNewton,
            damping: Damping::default(),
            iterations: 200,
            rank: 100,
        }
    }
}

impl Method for Arnoldi {
    type Access = FinalModel;
    const INFO: MethodInfo = MethodInfo {
        name: "arnoldi",
        summary: "influence functions in the largest eigenvectors of the curvature",
        scale: Scale::Derivative,
    };

    fn check(&self) -> Result<(), String> {
        for (field, number) in [("iterations", self.iterations), ("rank", self.rank)] {
            if number == 0 {
                return Err(format!("`{field}` is 0\nhint: give at least 1"));
            }
        }
        self.damping.check()
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { examples, parameters, .. } = size;
        let rows = self.iterations.min(parameters) + self.rank.min(parameters) + 3;
        ((rows * parameters + examples * self.rank) * size_of::<f64>()) as u64
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, FinalModel, T>,
        context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let curvature = DampedCurvature::new(view, self.curvature, self.damping);
        let mut numbers = context.stream("start");
        let p = curvature.diagonal.len();
        let start = Array1::from_shape_simple_fn(p, || StandardNormal.sample(&mut numbers));
        let product = |d: ArrayView1<'_, f64>| {
            curvature.products(d.insert_axis(Axis(0))).remove_axis(Axis(0))
        };
        let (vectors, small) = lanczos(start, self.iterations, COMPLETE * T::EPSILON, product);
        let eigen = symmetric(&small)?;
        let floor = NEGLIGIBLE * eigen.values[0].max(0.0);
        let kept = eigen.values.iter().take(self.rank).filter(|&&value| value > floor).count();
        if kept == 0 {
            return Err(MethodError::NotPositiveDefinite { matrix: "the damped curvature" });
        }
        // (rank, m) x (m, p) -> (rank, p)
        let u = math::matmul(eigen.vectors.slice(s![.., ..kept]).t(), vectors.view());
        let layout = view.model().layout();
        let u = Directions::new(layout, u.view());
        let along = move |g: &attribench_core::Captures<T>| u.products(g);
        let mut left = features::of_train(view.model(), view.train(), &along);
        for (mut column, value) in left.axis_iter_mut(Axis(1)).zip(&eigen.values) {
            column /= value * view.train().len() as f64;
        }
        Ok(features::products_of_features::<Self, T>(view, left, along))
    }
}

/// Orthonormal rows `V`, `(m, p)`, and `V C V^T`, `(m, m)`, of products with errors of `rounding`
/// times their length.
fn lanczos(
    start: Array1<f64>,
    iterations: usize,
    rounding: f64,
    product: impl Fn(ArrayView1<'_, f64>) -> Array1<f64>,
) -> (Array2<f64>, Array2<f64>) {
    let most = iterations.min(start.len());
    let mut vectors = Array2::<f64>::zeros((most, start.len()));
    let mut small = Array2::<f64>::zeros((most, most));
    let mut next = &start / start.dot(&start).sqrt();
    let mut longest = 0.0f64;
    for step in 0..most {
        vectors.row_mut(step).assign(&next);
        let mut image = product(next.view());
        longest = longest.max(image.dot(&image).sqrt());
        small[(step, step)] = next.dot(&image);
        // Twice is enough for orthogonality to rounding.
        for _ in 0..2 {
            let known = vectors.slice(s![..=step, ..]);
            let shares = known.dot(&image);
            image -= &known.t().dot(&shares);
        }
        let length = image.dot(&image).sqrt();
        if step + 1 == most || length <= rounding * longest {
            let found = step + 1;
            return (
                vectors.slice(s![..found, ..]).to_owned(),
                small.slice(s![..found, ..found]).to_owned(),
            );
        }
        small[(step, step + 1)] = length;
        small[(step + 1, step)] = length;
        next = image / length;
    }
    unreachable!("the last step returns")
}

#[cfg(test)]
mod tests {
    use attribench_core::{Method, Utility};
    use ndarray::array;

    use super::{Arnoldi, lanczos};
    use crate::{
        Damping, InfluenceExplicit,
        common::{assert_close, deviation, digits_like, scores_of},
    };

    #[test]
    fn a_complete_space_has_the_eigenvalues() {
        // diag(1, 2, 2): the double eigenvalue is met once, by the direction's part in its plane.
        let product = |d: ndarray::ArrayView1<'_, f64>| &d * &array![1.0, 2.0, 2.0];
        let (vectors, small) = lanczos(array![1.0, 1.0, 1.0], 10, 1e-14, product);
        assert_eq!(vectors.dim(), (2, 3));
        let eigen = crate::eigen::symmetric(&small).unwrap();
        assert!((eigen.values[0] - 2.0).abs() < 1e-14 && (eigen.values[1] - 1.0).abs() < 1e-14);
    }

    #[test]
    fn at_full_rank_it_is_the_explicit_inverse() {
        let (run, queries) = digits_like::<f64>(30).network(&[7]).pair(5, Utility::Margin);
        let damping = Damping::Absolute(0.05);
        let explicit = InfluenceExplicit { damping, ..InfluenceExplicit::default() };
        let expected = scores_of(&explicit, &run, &queries);
        let expected = expected.values().as_slice().unwrap().to_vec();
        let full = Arnoldi { damping, rank: 200, ..Arnoldi::default() };
        assert_close(scores_of(&full, &run, &queries).values(), &expected, 1e-7);
        let few = Arnoldi { damping, rank: 5, ..Arnoldi::default() };
        assert!(deviation(scores_of(&few, &run, &queries).values(), &expected) > 1e-2);
        assert!(Arnoldi { rank: 0, ..Arnoldi::default() }.check().unwrap_err().contains("`rank`"));
    }
}
