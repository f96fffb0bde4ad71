//! Multiplication by a constant.

use attribench_core::Real;

use crate::local::{Direction, Local, Point};

/// `y = factor x`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    pub factor: f64,
}

impl<T: Real> Local<T> for Scale {
    fn output_width(&self, input_width: usize) -> usize {
        input_width
    }

    fn forward(&self, _parameters: &[T], input: &[T], _kept: &mut [T], output: &mut [T]) {
        let factor = T::from_f64(self.factor);
        output.iter_mut().zip(input).for_each(|(y, &x)| *y = factor * x);
    }

    fn backward(&self, _point: &Point<'_, T>, delta: &[T], at_input: &mut [T]) {
        self.forward(&[], delta, &mut [], at_input);
    }

    fn tangent(&self, _point: &Point<'_, T>, along: &Direction<'_, T>, output: &mut [T]) {
        self.forward(&[], along.input, &mut [], output);
    }
}
