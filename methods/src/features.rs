//! The shape that sketches share: a few features of every training example, kept, and products
//! with the features of the queries.

use std::marker::PhantomData;

use attribench_core::{
    Access, Captures, Examples, Method, MethodError, ModelAt, Queries, ReadsWeights, Real, Scorer,
    Scores, View, math,
};
use ndarray::{Array2, s};

use crate::{label, pair};

/// Queries whose captures are held at one time.
const BLOCK_QUERIES: usize = 256;

/// `tau[i, q] = left_i . features(b_q)`.
pub(crate) fn products_of_features<'a, M, T: Real>(
    view: View<'a, M::Access, T>,
    left: Array2<f64>,
    features: impl Fn(&Captures<T>) -> Array2<f64> + 'a,
) -> Box<dyn Scorer<T> + 'a>
where
    M: Method,
    M::Access: ReadsWeights,
{
    let method = PhantomData::<fn() -> M>;
    Box::new(Featured::<'a, M, M::Access, T, _> { view, left, features, method })
}

/// The features of the training loss's gradients, `(n, k)`.
pub(crate) fn of_train<T: Real>(
    model: ModelAt<'_, T>,
    train: &Examples<T>,
    features: impl Fn(&Captures<T>) -> Array2<f64>,
) -> Array2<f64> {
    let mut all = Array2::zeros((0, 0));
    for (start, g) in pair::train_captures(model, train) {
        let found = features(&g);
        if all.is_empty() {
            all = Array2::zeros((train.len(), found.ncols()));
        }
        all.slice_mut(s![start..start + found.nrows(), ..]).assign(&found);
    }
    all
}

struct Featured<'a, M, A, T, F> {
    view: View<'a, A, T>,
    /// `(n, k)`.
    left: Array2<f64>,
    features: F,
    method: PhantomData<fn() -> M>,
}

impl<M, A, T, F> Scorer<T> for Featured<'_, M, A, T, F>
where
    M: Method<Access = A>,
    A: Access + ReadsWeights,
    T: Real,
    F: Fn(&Captures<T>) -> Array2<f64>,
{
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let (train, model) = (self.view.train(), self.view.model());
        let mut values = Array2::zeros((train.len(), queries.examples.len()));
        for (first, block) in queries.examples.blocks(BLOCK_QUERIES) {
            let asked = Queries { examples: block, utility: queries.utility };
            let right = (self.features)(&pair::query_captures(model, &asked));
            // (n, k) x (k, q) -> (n, q)
            let columns = values.slice_mut(s![.., first..first + right.nrows()]);
            math::matmul_into(columns, 0.0, self.left.view(), right.t(), 1.0);
        }
        label::<M, T>(train, queries, values)
    }
}
