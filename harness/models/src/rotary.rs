//! Rotary positions: queries and keys are turned by angles that grow with the position.

use attribench_core::Real;

use crate::local::{Direction, Local, Point};

/// Slowest turn, as in the paper.
const BASE: f64 = 10_000.0;

/// Turns entries `i` and `i + d_h / 2` of every query and key of position `s` by the angle
/// `s 10000^(-2 i / d_h)` (Su and others 2021, in the order of halves that Llama uses); values
/// stay.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rotary {
    width: usize,
    half: usize,
    /// Cosine and sine for each position and pair.
    turns: Vec<(f64, f64)>,
}

impl Rotary {
    pub(crate) fn new(positions: usize, width: usize, heads: usize) -> Self {
        let half = width / heads / 2;
        let turns = (0..positions)
            .flat_map(|s| (0..half).map(move |i| (s, i)))
            .map(|(s, i)| {
                let angle = s as f64 * BASE.powf(-(i as f64) / half as f64);
                (angle.cos(), angle.sin())
            })
            .collect();
        Self { width, half, turns }
    }

    /// Turns all pairs; `sign` is -1 for the way back.
    fn turn<T: Real>(&self, values: &mut [T], sign: f64) {
        let rows = values.chunks_exact_mut(3 * self.width).zip(self.turns.chunks_exact(self.half));
        for (row, turns) in rows {
            for head in row[..2 * self.width].chunks_exact_mut(2 * self.half) {
                let (first, second) = head.split_at_mut(self.half);
                for ((x, y), &(cos, sin)) in first.iter_mut().zip(second).zip(turns) {
                    let (cos, sin) = (T::from_f64(cos), T::from_f64(sign * sin));
                    (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
                }
            }
        }
    }
}

impl<T: Real> Local<T> for Rotary {
    fn output_width(&self, input_width: usize) -> usize {
        input_width
    }

    fn forward(&self, _parameters: &[T], input: &[T], _kept: &mut [T], output: &mut [T]) {
        output.copy_from_slice(input);
        self.turn(output, 1.0);
    }

    fn backward(&self, _point: &Point<'_, T>, delta: &[T], at_input: &mut [T]) {
        at_input.copy_from_slice(delta);
        self.turn(at_input, -1.0);
    }

    fn tangent(&self, _point: &Point<'_, T>, along: &Direction<'_, T>, output: &mut [T]) {
        self.forward(&[], along.input, &mut [], output);
    }
}

#[cfg(test)]
mod tests {
    use super::Rotary;
    use crate::local::Local;

    #[test]
    fn turns_by_hand() {
        // One head of width 2: position 0 stays, position 1 turns by one radian, values stay.
        let rotary = Rotary::new(2, 2, 1);
        let input = [1.0, 0.0, 0.0, 1.0, 3.0, 4.0, 1.0, 0.0, 0.0, 1.0, 5.0, 6.0];
        let mut output = [0.0; 12];
        rotary.forward(&[], &input, &mut [], &mut output);
        assert_eq!(output[..6], input[..6]);
        let (cos, sin) = (1f64.cos(), 1f64.sin());
        assert_eq!(output[6..], [cos, sin, -sin, cos, 5.0, 6.0]);
    }
}
