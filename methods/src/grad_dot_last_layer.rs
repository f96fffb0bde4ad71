//! Dot product of the last layer's gradients at the end of the run.
//!
//! # Computes
//! `tau[i, q] = h (b_qL . g_iL)` at `theta_T`, as `grad-dot` with the gradients by the parameters
//! of the last block alone.
//!
//! # Reads
//! Final weights. One gradient for each training example and query.
//!
//! # Shapes
//! As `grad-dot`, for one layer.
//!
//! # Differs from the paper
//! The exposure gives the unit of the utility, as in `grad-dot`; weights at the end stand for the
//! checkpoints.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::GradDotLastLayer;
//! assert!(GradDotLastLayer::default().check().is_ok());
//! ```
//!
//! # References
//! Pruthi, Liu, Kale, Sundararajan, Estimating training data influence by tracing gradient descent,
//! NeurIPS 2020, arXiv 2002.08484.

use attribench_core::{
    Context, FinalModel, Method, MethodError, MethodInfo, Queries, Real, Scale, Scorer, Scores,
    View,
};
use ndarray::{Array2, s};
use serde::{Deserialize, Serialize};

use crate::{label, pair};

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GradDotLastLayer {}

impl Method for GradDotLastLayer {
    type Access = FinalModel;
    const INFO: MethodInfo = MethodInfo {
        name: "grad-dot-last-layer",
        summary: "dot product of the last layer's gradients at the end of the run",
        scale: Scale::Derivative,
    };

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
        let (train, model) = (self.view.train(), self.view.model());
        let layout = model.layout();
        let last = layout.layers().len() - 1;
        let block = layout.blocks().iter().find(|block| block.layers.contains(&last));
        let block = block.expect("every layer is in a block");
        let b = pair::query_captures(model, queries);
        let mut values = Array2::zeros((train.len(), b.len()));
        for (start, g) in pair::train_captures(model, train) {
            let mut products = Array2::zeros((g.len(), b.len()));
            pair::add_block_products(&g.layers, &b.layers, layout, block, &mut products);
            values.slice_mut(s![start..start + g.len(), ..]).assign(&products);
        }
        values *= self.view.recipe().mean_exposure(train.len());
        label::<GradDotLastLayer, T>(train, queries, values)
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::Utility;
    use ndarray::s;

    use super::GradDotLastLayer;
    use crate::common::{assert_close, digits_like, gradients_one_at_a_time, scores_of};

    #[test]
    fn agrees_with_a_loop_over_gradients() {
        let (run, queries) = digits_like::<f64>(30).network(&[7]).pair(9, Utility::Margin);
        let scores = scores_of(&GradDotLastLayer::default(), &run, &queries);
        let (g, b) = gradients_one_at_a_time(&run, &queries);
        let last = 13 * 7;
        let h = run.recipe.mean_exposure(30);
        let expected = g.slice(s![.., last..]).dot(&b.slice(s![.., last..]).t()) * h;
        assert_close(scores.values(), expected.as_slice().unwrap(), 1e-12);
    }
}
