//! Cosine of gradients at the end of the run.
//!
//! # Computes
//! `tau[i, q] = (b_q . g_i) / (|b_q| |g_i|)` at `theta_T`, and 0 where either gradient is zero.
//!
//! # Reads
//! Final weights. One gradient for each training example and query.
//!
//! # Shapes
//! As `grad-dot`; the norms come from the same captures, `(|a|^2 + 1) |delta|^2` a layer.
//!
//! # Differs from the paper
//! The utility's gradient stands where the paper has the query's loss, so that margins can be asked
//! about; a zero gradient scores 0 where the paper leaves 0/0.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::GradCos;
//! assert!(GradCos::default().check().is_ok());
//! ```
//!
//! # References
//! Charpiat, Girard, Felardos, Tarabalka, Input similarity from the neural network perspective,
//! NeurIPS 2019, arXiv 2102.05262.

use attribench_core::{
    Context, FinalModel, Method, MethodError, MethodInfo, ProblemSize, Queries, Real, Scale,
    Scorer, Scores, View,
};
use ndarray::{Array2, s};
use serde::{Deserialize, Serialize};

use crate::{
    directions::{Directions, formed_bytes},
    label, pair,
};

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GradCos {}

impl Method for GradCos {
    type Access = FinalModel;
    const INFO: MethodInfo = MethodInfo {
        name: "grad-cos",
        summary: "cosine of gradients at the end of the run",
        scale: Scale::Arbitrary,
    };

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { queries, parameters, number, .. } = size;
        formed_bytes(queries, parameters, number)
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, FinalModel, T>,
        _context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        Ok(Box::new(Fitted { view }))
    }
}

struct Fitted<'a, T> {
    view: View<'a, FinalModel, T>,
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let (model, train) = (self.view.model(), self.view.train());
        let b = pair::query_captures(model, queries);
        let b_scales = inverse_norms(&pair::squared_norms(&b, model.layout()));
        let b = Directions::gradients(b, model.layout(), train.len());
        let mut values = Array2::zeros((train.len(), queries.examples.len()));
        for (start, g) in pair::train_captures(model, train) {
            let g_scales = inverse_norms(&pair::squared_norms(&g, model.layout()));
            let mut products = b.products(&g);
            for ((i, q), product) in products.indexed_iter_mut() {
                *product *= g_scales[i] * b_scales[q];
            }
            values.slice_mut(s![start..start + g.len(), ..]).assign(&products);
        }
        label::<GradCos, T>(train, queries, values)
    }
}

/// `1 / sqrt`, and 0 at 0.
fn inverse_norms(squares: &[f64]) -> Vec<f64> {
    squares.iter().map(|&square| if square > 0.0 { 1.0 / square.sqrt() } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use attribench_core::Utility;

    use super::GradCos;
    use crate::common::{
        assert_close, digits_like, golden_momentum, gradients_one_at_a_time, scores_of,
    };

    #[test]
    fn in_one_dimension_a_cosine_is_a_sign() {
        // theta_T = 2, y = (1, 3), b = theta - 4 = -2: g = (1, -1), cosines (-1, 1).
        let game = golden_momentum();
        let scores = scores_of(&GradCos::default(), &game.run, &game.queries);
        assert_close(scores.values(), &[-1.0, 1.0], 1e-15);
    }

    #[test]
    fn agrees_with_a_loop_over_gradients() {
        let (run, queries) = digits_like::<f64>(30).network(&[7]).pair(9, Utility::Margin);
        let scores = scores_of(&GradCos::default(), &run, &queries);
        let (g, b) = gradients_one_at_a_time(&run, &queries);
        let mut expected = Vec::new();
        for g in g.outer_iter() {
            for b in b.outer_iter() {
                expected.push(g.dot(&b) / (g.dot(&g) * b.dot(&b)).sqrt());
            }
        }
        assert_close(scores.values(), &expected, 1e-12);
    }
}
