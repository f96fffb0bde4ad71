//! Influence functions by a truncated Neumann series.
//!
//! # Computes
//! `tau[i, q] = (1/n) x_q . g_i` at `theta_T` with `x = h_J / s`, `h_0 = b`, `h_{j+1} = b + h_j -
//! C_lambda h_j / s`: the first `J + 1` terms of the series of `C_lambda^-1 b`, with damping and
//! weight decay in `C_lambda`. With `batch_size`, each product runs over a batch drawn anew and `x`
//! is the mean over `repeats`.
//!
//! # Reads
//! Final weights. For each query, iteration and repeat one curvature product over a batch; one
//! gradient for each training example and query; 20 products over all training examples for the
//! scale.
//!
//! # Shapes
//! Directions `(k, p) -> (k, p)` in one pass over the batch; then `(n, p) x (p, k) -> (n, k)` from
//! captures.
//!
//! # Differs from the paper
//! Batches, not single examples, and by default all examples, so that nothing is left to chance.
//! The scale `s` is 1.1 times the largest eigenvalue, found by power iteration, unless given. A
//! series that grows is an error, not a score.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::Lissa;
//! let method = Lissa { iterations: 1_000, batch_size: Some(32), repeats: 10, ..Lissa::default() };
//! assert!(method.check().is_ok());
//! ```
//!
//! # References
//! Agarwal, Bullins, Hazan, Second-order stochastic optimization for machine learning in linear
//! time, JMLR 2017, arXiv 1602.03943; Koh, Liang, Understanding black-box predictions via influence
//! functions, ICML 2017, arXiv 1703.04730.

use attribench_core::{
    Context, Examples, FinalModel, Method, MethodError, MethodInfo, ProblemSize, Real, Scale,
    Scorer, View, stream,
};
use ndarray::{Array2, Zip};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::{
    CurvatureKind, Damping,
    curvature::DampedCurvature,
    influence::{influence, kept_bytes, query_rows},
    turn::Turn,
};

/// Products of the power iteration, and what its result is raised by.
const POWER_ITERATIONS: usize = 20;
const MARGIN: f64 = 1.1;

/// Growth of the residual at which the series is given up.
const DIVERGED: f64 = 1e3;

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lissa {
    /// The curvature.
    pub curvature: CurvatureKind,
    /// `lambda`, or what it is relative to.
    pub damping: Damping,
    /// `J`.
    pub iterations: usize,
    /// `s`; found by power iteration where it is not given.
    pub scale: Option<f64>,
    /// Examples in a batch; all where it is not given.
    pub batch_size: Option<usize>,
    /// Series whose mean is taken.
    pub repeats: usize,
}

impl Default for Lissa {
    fn default() -> Self {
        Self {
            curvature: CurvatureKind::GaussNewton,
            damping: Damping::default(),
            iterations: 200,
            scale: None,
            batch_size: None,
            repeats: 1,
        }
    }
}

impl Method for Lissa {
    type Access = FinalModel;
    const INFO: MethodInfo = MethodInfo {
        name: "lissa",
        summary: "influence functions by a truncated Neumann series",
        scale: Scale::Derivative,
    };

    fn check(&self) -> Result<(), String> {
        self.damping.check()?;
        for (field, number) in
            [("repeats", self.repeats), ("batch-size", self.batch_size.unwrap_or(1))]
        {
            if number == 0 {
                return Err(format!("`{field}` is 0\nhint: give at least 1"));
            }
        }
        match self.scale {
            Some(scale) if !(scale.is_finite() && scale > 0.0) => {
                Err(format!("`scale` is {scale}\nhint: give a positive number, or leave it out"))
            }
            _ => Ok(()),
        }
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { examples, queries, parameters, number } = size;
        // Right-hand side, term, sum, and the product in both number types.
        (5 * query_rows(parameters).min(queries) * parameters * size_of::<f64>()) as u64
            + kept_bytes(examples, parameters, number)
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, FinalModel, T>,
        context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let curvature = DampedCurvature::new(view, self.curvature, self.damping);
        let scale = self.scale.unwrap_or_else(|| MARGIN * largest_eigenvalue(&curvature));
        let (method, numbers) = (self.clone(), context.stream("batches"));
        let train = view.train();
        Ok(influence::<Self, T>(view, Turn::none(view.model().layout()), move |b| {
            // Every block of queries sees the same batches.
            method.solve(&b, &curvature, scale, train, numbers.clone())
        }))
    }
}

impl Lissa {
    fn solve<T: Real>(
        &self,
        b: &Array2<f64>,
        curvature: &DampedCurvature<'_, T>,
        scale: f64,
        train: &Examples<T>,
        mut numbers: ChaCha8Rng,
    ) -> Result<Array2<f64>, MethodError> {
        let mut x = Array2::zeros(b.dim());
        let size = b.iter().map(|value| value * value).sum::<f64>().sqrt();
        for _ in 0..self.repeats {
            let product = |h: &Array2<f64>, numbers: &mut ChaCha8Rng| match self.batch_size {
                None => curvature.products(h.view()),
                Some(size) => {
                    let draw = |_| numbers.random_range(0..train.len());
                    let rows: Vec<usize> = (0..size).map(draw).collect();
                    curvature.products_over(&train.select(&rows), h.view())
                }
            };
            let mut h = b.clone();
            for _ in 0..self.iterations {
                let product = product(&h, &mut numbers);
                let mut left = 0.0;
                Zip::from(&mut h).and(b).and(&product).for_each(|h, b, product| {
                    // What the series has not solved yet, and so its next change.
                    let residual = b - product / scale;
                    left += residual * residual;
                    *h += residual;
                });
                self.refuse_growth(if size > 0.0 { left.sqrt() / size } else { 0.0 })?;
            }
            x.scaled_add(1.0 / (scale * self.repeats as f64), &h);
        }
        Ok(x)
    }

    fn refuse_growth(&self, growth: f64) -> Result<(), MethodError> {
        if growth <= DIVERGED {
            return Ok(());
        }
        Err(MethodError::NotConverged {
            what: "the Neumann series, which grows (raise `scale`),",
            residual: growth,
            iterations: self.iterations,
            tolerance: 1.0,
        })
    }
}

/// Largest eigenvalue by power iteration from a fixed direction.
fn largest_eigenvalue<T: Real>(curvature: &DampedCurvature<'_, T>) -> f64 {
    let mut numbers = stream(0, "power iteration", 0);
    let p = curvature.diagonal.len();
    let mut direction =
        Array2::from_shape_simple_fn((1, p), || StandardNormal.sample(&mut numbers));
    let mut largest = 0.0;
    for _ in 0..POWER_ITERATIONS {
        let length = direction.iter().map(|value: &f64| value * value).sum::<f64>().sqrt();
        direction.mapv_inplace(|value| value / length);
        let next = curvature.products(direction.view());
        largest = next.iter().map(|value| value * value).sum::<f64>().sqrt();
        if largest == 0.0 {
            return 1.0;
        }
        direction = next;
    }
    largest
}

#[cfg(test)]
mod tests {
    use attribench_core::{Examples, Labels, Method, Queries, Utility};
    use attribench_models::{Activation, Network};
    use ndarray::Array2;

    use super::Lissa;
    use crate::{
        Damping, InfluenceExplicit,
        common::{STILL, TestRun, assert_close, deviation, digits_like, scores_of, try_scores_of},
    };

    #[test]
    fn one_dimension_by_hand() {
        // l = 1/2 (2 w - y)^2 at w = 0: C = 4, g = -2 y. The bias, whose input is 1, would mix in;
        // with inputs 0 only the bias moves: C = 1 there. With C = 1, s = 2, J = 3: h = 1, 1.5,
        // 1.75, 1.875 and x = 15/16; limit 1.
        let column = |n: usize| Array2::zeros((n, 1));
        let train = Examples::new(column(1), Labels::Values(vec![-3.0]));
        let model = Network::dense(&[1, 1], Activation::Tanh);
        let run = TestRun::at(model, train, vec![0.0, 0.0], STILL);
        let examples = Examples::new(column(1), Labels::Values(vec![-1.0]));
        let queries = Queries { examples, utility: Utility::NegativeLoss };
        let damping = Damping::Absolute(0.0);
        let method = Lissa { damping, iterations: 3, scale: Some(2.0), ..Lissa::default() };
        // g = 3, b = 1: tau = 3 x.
        assert_close(scores_of(&method, &run, &queries).values(), &[45.0 / 16.0], 1e-15);
        let method = Lissa { iterations: 60, ..method };
        assert_close(scores_of(&method, &run, &queries).values(), &[3.0], 1e-15);
    }

    #[test]
    fn reaches_the_explicit_inverse() {
        let (run, queries) = digits_like::<f64>(30).network(&[7]).pair(5, Utility::Margin);
        let damping = Damping::Absolute(0.2);
        let explicit = InfluenceExplicit { damping, ..InfluenceExplicit::default() };
        let expected = scores_of(&explicit, &run, &queries);
        let expected = expected.values().to_owned();
        let method = Lissa { damping, iterations: 400, ..Lissa::default() };
        let found = scores_of(&method, &run, &queries);
        assert_close(found.values(), expected.as_slice().unwrap(), 1e-9);
        // Batches add noise around it, less of it in a mean.
        let batches = Lissa { batch_size: Some(8), iterations: 60, ..method };
        let apart = |repeats| {
            let method = Lissa { repeats, ..batches.clone() };
            deviation(scores_of(&method, &run, &queries).values(), expected.as_slice().unwrap())
        };
        let (one, many) = (apart(1), apart(20));
        assert!(one > many && many < 0.15, "{one} and {many}");
    }

    #[test]
    fn a_series_that_grows_is_refused() {
        let (run, queries) = digits_like::<f64>(30).network(&[7]).pair(5, Utility::Margin);
        let method = Lissa { scale: Some(1e-3), ..Lissa::default() };
        let refusal = try_scores_of(&method, &run, &queries).unwrap_err();
        assert!(refusal.to_string().contains("grows"), "{refusal}");
        assert!(
            Lissa { repeats: 0, ..Lissa::default() }.check().unwrap_err().contains("`repeats`")
        );
    }
}
