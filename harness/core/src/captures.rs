//! What a model shows of its layers: enough for every product with per-example gradients.

use ndarray::{Array2, ArrayView2, Axis};

use crate::{Real, math};

/// What entered a layer, a row for each position of each example.
#[derive(Clone, Debug, PartialEq)]
pub enum Inputs<T> {
    /// Numbers, `(n s, inputs)`.
    Values(Array2<T>),
    /// Tokens, `n s`: each stands for the one-hot row of its place.
    Tokens(Vec<u32>),
}

impl<T: Real> Inputs<T> {
    /// Number of rows, `n s`.
    pub fn rows(&self) -> usize {
        match self {
            Self::Values(values) => values.nrows(),
            Self::Tokens(tokens) => tokens.len(),
        }
    }

    /// The numbers, `(n s, inputs)`; nothing for tokens.
    pub fn values(&self) -> Option<ArrayView2<'_, T>> {
        match self {
            Self::Values(values) => Some(values.view()),
            Self::Tokens(_) => None,
        }
    }

    /// `inputs * right`, `(n s, inputs) x (inputs, k) -> (n s, k)`: for tokens the rows that they
    /// name.
    ///
    /// # Panics
    /// When the widths differ, or a token names no row.
    pub fn times(&self, right: ArrayView2<'_, T>) -> Array2<T> {
        match self {
            Self::Values(values) => math::matmul(values.view(), right),
            Self::Tokens(tokens) => {
                let rows: Vec<usize> = tokens.iter().map(|&token| token as usize).collect();
                right.select(Axis(0), &rows)
            }
        }
    }
}

/// Inputs and output gradients of one layer, `s = positions` rows an example.
///
/// The gradient of example `i` is the sum over its rows `i s .. (i + 1) s` of `delta a^T`, and of
/// `delta` for the bias, laid out as [`crate::Layer`] says.
#[derive(Clone, Debug)]
pub struct LayerCapture<T> {
    /// Positions an example, `s`.
    pub positions: usize,
    /// Inputs `a`, `(n s, inputs)`.
    pub inputs: Inputs<T>,
    /// Gradients `delta` of the quantity at the layer's output, `(n s, outputs)`.
    pub output_gradients: Array2<T>,
}

/// Captures of all layers, in layout order, from which every per-example gradient can be had.
///
/// Tied layers are captured once a use: see [`crate::Block`].
#[derive(Clone, Debug)]
pub struct Captures<T> {
    /// One capture a layer.
    pub layers: Vec<LayerCapture<T>>,
}

impl<T: Real> Captures<T> {
    /// Number of examples.
    pub fn len(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.output_gradients.nrows() / layer.positions)
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::Inputs;

    #[test]
    fn tokens_select_rows() {
        let right = array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]];
        let tokens = Inputs::Tokens(vec![2, 0, 2]);
        let one_hot = array![[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]];
        assert_eq!(tokens.times(right.view()), array![[5.0, 6.0], [1.0, 2.0], [5.0, 6.0]]);
        assert_eq!(tokens.times(right.view()), Inputs::Values(one_hot).times(right.view()));
        assert_eq!((tokens.rows(), tokens.values()), (3, None));
    }
}
