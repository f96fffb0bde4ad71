//! Dot product of gradients at the end of the run.
//!
//! # Computes
//! `tau[i, q] = h (b_q . g_i)` at `theta_T`, with the descent gradients `b_q = -grad f_q` and `g_i
//! = grad l_i`, and the mean exposure `h = sum_t eta_t / (n (1 - mu))`: what all steps together
//! would have moved `f_q` by, had every gradient been the last one.
//!
//! # Reads
//! Final weights. One gradient for each training example and query.
//!
//! # Shapes
//! Captures of a block of training examples and of all queries, `(n, d_l)` and `(q, d_l)` a layer;
//! `(n, d_l) x (d_l, q) -> (n, q)` twice a layer; no gradient is formed.
//!
//! # Differs from the paper
//! The paper gives the bare product of loss gradients. Here it is in the unit of the utility, for
//! any utility, through the exposure. Every example is given the mean exposure, for final weights
//! do not tell how often one was seen.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::GradDot;
//! assert!(GradDot::default().check().is_ok());
//! ```
//!
//! # References
//! Charpiat, Girard, Felardos, Tarabalka, Input similarity from the neural network perspective,
//! NeurIPS 2019, arXiv 2102.05262.

use attribench_core::{
    Context, FinalModel, Method, MethodError, MethodInfo, ProblemSize, Queries, Real, Scale,
    Scorer, Scores, View,
};
use serde::{Deserialize, Serialize};

use crate::{directions::formed_bytes, label, pair};

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GradDot {}

impl Method for GradDot {
    type Access = FinalModel;
    const INFO: MethodInfo = MethodInfo {
        name: "grad-dot",
        summary: "dot product of gradients at the end of the run",
        scale: Scale::Derivative,
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
        let train = self.view.train();
        let h = self.view.recipe().mean_exposure(train.len());
        let products = pair::train_query_products(self.view.model(), train, queries);
        label::<GradDot, T>(train, queries, products * h)
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::{Run, Utility};

    use super::GradDot;
    use crate::common::{
        assert_close, digits_like, golden_sgd, gradients_one_at_a_time, scores_of,
    };

    #[test]
    fn one_dimension_by_hand() {
        // theta_T = 1.5, y = (1, 3): g = (0.5, -1.5); b = theta - 2 = -0.5;
        // h = (0.5 + 0.5) / 2 = 0.5; tau = 0.5 * -0.5 * g = (-0.125, 0.375).
        let game = golden_sgd();
        let scores = scores_of(&GradDot::default(), &game.run, &game.queries);
        assert_close(scores.values(), &[-0.125, 0.375], 1e-15);
    }

    #[test]
    fn ghost_products_agree_with_a_loop_over_gradients() {
        for utility in [Utility::NegativeLoss, Utility::Margin] {
            let (run, queries) = digits_like::<f64>(30).network(&[7]).pair(9, utility);
            let scores = scores_of(&GradDot::default(), &run, &queries);
            let (g, b) = gradients_one_at_a_time(&run, &queries);
            let recipe = run.recipe();
            let h = recipe.total_learning_rate / 30.0;
            let expected = g.dot(&b.t()) * h;
            assert_close(scores.values(), expected.as_slice().unwrap(), 1e-12);
        }
    }
}
