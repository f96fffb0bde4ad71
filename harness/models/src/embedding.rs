//! Tokens to rows of a table, and a vector for each position.

use attribench_core::Real;

use crate::local::{Direction, Local, Point};

/// `y_s = W[x_s]`, `(s) -> (s, width)`; the input holds tokens as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Embedding {
    pub width: usize,
}

/// The token that a number stands for.
pub(crate) fn token<T: Real>(value: T) -> usize {
    value.to_f64() as usize
}

impl<T: Real> Local<T> for Embedding {
    fn output_width(&self, input_width: usize) -> usize {
        input_width * self.width
    }

    fn forward(&self, parameters: &[T], input: &[T], _kept: &mut [T], output: &mut [T]) {
        for (row, &value) in output.chunks_exact_mut(self.width).zip(input) {
            row.copy_from_slice(&parameters[token(value) * self.width..][..self.width]);
        }
    }

    /// Tokens cannot be moved.
    fn backward(&self, _point: &Point<'_, T>, _delta: &[T], at_input: &mut [T]) {
        at_input.fill(T::zero());
    }

    fn add_gradient(&self, point: &Point<'_, T>, delta: &[T], gradient: &mut [T]) {
        for (row, &value) in delta.chunks_exact(self.width).zip(point.input) {
            let sum = &mut gradient[token(value) * self.width..][..self.width];
            sum.iter_mut().zip(row).for_each(|(sum, &delta)| *sum += delta);
        }
    }

    fn tangent(&self, point: &Point<'_, T>, along: &Direction<'_, T>, output: &mut [T]) {
        self.forward(along.parameters, point.input, &mut [], output);
    }
}

/// `y = x + P` with a parameter for every number of an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Positions;

impl<T: Real> Local<T> for Positions {
    fn output_width(&self, input_width: usize) -> usize {
        input_width
    }

    fn forward(&self, parameters: &[T], input: &[T], _kept: &mut [T], output: &mut [T]) {
        for ((output, &input), &parameter) in output.iter_mut().zip(input).zip(parameters) {
            *output = input + parameter;
        }
    }

    fn backward(&self, _point: &Point<'_, T>, delta: &[T], at_input: &mut [T]) {
        at_input.copy_from_slice(delta);
    }

    fn add_gradient(&self, _point: &Point<'_, T>, delta: &[T], gradient: &mut [T]) {
        gradient.iter_mut().zip(delta).for_each(|(sum, &delta)| *sum += delta);
    }

    fn tangent(&self, _point: &Point<'_, T>, along: &Direction<'_, T>, output: &mut [T]) {
        self.forward(along.parameters, along.input, &mut [], output);
    }
}
