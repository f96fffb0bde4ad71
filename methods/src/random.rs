//! Independent normal numbers: the level of chance.
//!
//! # Computes
//! `tau[i, q] ~ N(0, 1)`, independent over examples and queries. A metric that does not tell this
//! method from another has measured nothing.
//!
//! # Reads
//! Ids only (black box). No forward pass, no gradient.
//!
//! # Shapes
//! Every pair of ids has a stream of its own, `(query id, training id) -> one number`: a score does
//! not depend on the order of the training set or on which queries are asked together.
//!
//! # Differs from the paper
//! There is none.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::Random;
//! assert!(Random::default().check().is_ok());
//! ```
//!
//! # References
//! None.

use attribench_core::{
    BlackBox, Context, Method, MethodError, MethodInfo, Queries, Real, Scale, Scorer, Scores, View,
};
use ndarray::Array2;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::label;

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Random {}

impl Method for Random {
    type Access = BlackBox;
    const INFO: MethodInfo = MethodInfo {
        name: "random",
        summary: "independent normal numbers: the level of chance",
        scale: Scale::Arbitrary,
    };

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, BlackBox, T>,
        context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let key = context.stream("scores");
        let number = move |train: u32, query: u32| -> f64 {
            let mut stream = key.clone();
            stream.set_stream(u64::from(query) << 32 | u64::from(train));
            stream.set_word_pos(0);
            StandardNormal.sample(&mut stream)
        };
        Ok(Box::new(Fitted { view, number }))
    }
}

struct Fitted<'a, T, N> {
    view: View<'a, BlackBox, T>,
    number: N,
}

impl<T: Real, N: Fn(u32, u32) -> f64> Scorer<T> for Fitted<'_, T, N> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let (train, asked) = (self.view.train().ids(), queries.ids());
        let values = Array2::from_shape_fn((train.len(), asked.len()), |(i, q)| {
            (self.number)(train[i].0, asked[q].0)
        });
        label::<Random, T>(self.view.train(), queries, values)
    }
}

#[cfg(test)]
mod tests {
    use super::Random;
    use crate::common::{digits_like, scores_of};

    #[test]
    fn numbers_are_standard_normal_and_differ() {
        let run = digits_like::<f64>(40).run();
        let scores = scores_of(&Random::default(), &run, &digits_like(50).queries());
        let values = scores.values();
        let count = values.len() as f64;
        // 2,000 draws: the mean has a standard error of 0.022, the variance one of 0.032.
        let mean = values.sum() / count;
        let variance = values.mapv(|value| (value - mean).powi(2)).sum() / count;
        assert!(mean.abs() < 0.1, "mean {mean}");
        assert!((variance - 1.0).abs() < 0.15, "variance {variance}");
        let mut sorted: Vec<f64> = values.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        assert!(sorted.windows(2).all(|pair| pair[0] < pair[1]), "two pairs share a number");
    }
}
