//! Cosine of sketched gradients whitened by their second moment.
//!
//! # Computes
//! `tau[i, q] = phi_q . phi_i / (|phi_q| |phi_i|)` with `phi = R^-1/2 P g` at `theta_T`: a sketch
//! `P` to `size` numbers and the second moment `R = Phi^T Phi / n + lambda I` of the training
//! examples', `lambda` relative to its mean eigenvalue; 0 where either gradient is 0.
//!
//! # Reads
//! Final weights. One gradient for each training example and query.
//!
//! # Shapes
//! Features `(n, size)`, kept in `f64`; a factor `(size, size)`; `(n, size) x (size, q) -> (n, q)`.
//!
//! # Differs from the paper
//! Final weights know no second moment of an optimiser, so that gradients are not divided by it
//! first. `R` is that of the training examples alone: mixing in the queries' would make a query's
//! scores depend on what else is asked. The query is the utility's gradient.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::TrackStar;
//! assert!(TrackStar { size: 1_024, ..TrackStar::default() }.check().is_ok());
//! ```
//!
//! # References
//! Chang, Rajagopal, Bolukbasi, Dixon, Tenney, Scalable influence and fact tracing for large
//! language model pretraining, ICLR 2025, arXiv 2410.17413.

use attribench_core::{
    Captures, Context, FinalModel, Method, MethodError, MethodInfo, ProblemSize, Real, Scale,
    Scorer, View,
};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::{
    Damping,
    cholesky::Cholesky,
    features::{of_train, products_of_features},
    projection::Sketch,
    trak::{check_size, damped_gram, kept_bytes, solved_rows},
};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrackStar {
    /// Length of a sketch.
    pub size: usize,
    /// `lambda`, or how many times the mean eigenvalue it is.
    pub damping: Damping,
}

impl Default for TrackStar {
    fn default() -> Self {
        Self { size: 2_048, damping: Damping::default() }
    }
}

impl Method for TrackStar {
    type Access = FinalModel;
    const INFO: MethodInfo = MethodInfo {
        name: "track-star",
        summary: "cosine of sketched gradients whitened by their second moment",
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
        let layout = view.model().layout();
        let p = layout.parameters();
        let sketch = Sketch::draw(p, p, self.size, &mut context.stream("sketch"));
        let sketched = move |g: &Captures<T>| sketch.of(g, layout);
        let of_all = of_train(view.model(), view.train(), &sketched);
        let factor = damped_gram(of_all.view(), 0.0, self.damping)?;
        let left = unit_rows(&factor, of_all).1;
        Ok(products_of_features::<Self, T>(view, left, move |b| unit_rows(&factor, sketched(b)).0))
    }
}

/// `P g` and `R^-1 P g`, both divided by the length `|R^-1/2 P g|`: a product of one with the
/// other's kind is the cosine of what is whitened.
fn unit_rows(factor: &Cholesky<f64>, mut rows: Array2<f64>) -> (Array2<f64>, Array2<f64>) {
    let mut solved = solved_rows(factor, rows.clone());
    for (mut row, mut solved) in rows.outer_iter_mut().zip(solved.outer_iter_mut()) {
        let square = row.dot(&solved);
        let scale = if square > 0.0 { 1.0 / square.sqrt() } else { 0.0 };
        row *= scale;
        solved *= scale;
    }
    (rows, solved)
}

#[cfg(test)]
mod tests {
    use attribench_core::{Queries, Utility};
    use ndarray::Array2;

    use super::TrackStar;
    use crate::{
        Damping,
        common::{assert_close, digits_like, gradients_one_at_a_time, scores_of, solve_slowly},
    };

    #[test]
    fn agrees_with_the_definition() {
        let (run, queries) = digits_like::<f64>(30).network(&[7]).pair(5, Utility::Margin);
        let (g, b) = gradients_one_at_a_time(&run, &queries);
        let moment = g.t().dot(&g) / 30.0 + Array2::<f64>::eye(g.ncols()) * 0.02;
        let (of_g, of_b) = (
            solve_slowly(moment.clone(), g.t().to_owned()),
            solve_slowly(moment, b.t().to_owned()),
        );
        let mut expected = Vec::new();
        for (i, g) in g.outer_iter().enumerate() {
            for (q, b) in b.outer_iter().enumerate() {
                let squares = g.dot(&of_g.column(i)) * b.dot(&of_b.column(q));
                expected.push(g.dot(&of_b.column(q)) / squares.sqrt());
            }
        }
        let damping = Damping::Absolute(0.02);
        let found = scores_of(&TrackStar { damping, ..TrackStar::default() }, &run, &queries);
        assert_close(found.values(), &expected, 1e-9);
    }

    #[test]
    fn an_example_is_most_like_itself() {
        // With the training loss as the query, both gradients are the same: cosine 1.
        let (run, _) = digits_like::<f64>(30).network(&[7]).pair(5, Utility::NegativeLoss);
        let queries = Queries { examples: run.train.clone(), utility: Utility::NegativeLoss };
        let scores = scores_of(&TrackStar::default(), &run, &queries);
        for i in 0..30 {
            assert!((scores.values()[(i, i)] - 1.0).abs() < 1e-12);
        }
    }
}
