//! Rotary positions: queries and keys are turned by angles that grow with the position.

use attribench_core::Real;
use serde::{Deserialize, Serialize};

use crate::local::{Direction, Local, Point};

/// Which entries of a head are turned together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pairs {
    /// `i` and `i + d_h / 2`, as in the weights of Hugging Face.
    #[default]
    Halves,
    /// `2 i` and `2 i + 1`, as in the weights of llama.cpp.
    Neighbours,
}

impl Pairs {
    /// Places of pair `i` in a head of width `2 half`.
    fn places(self, i: usize, half: usize) -> (usize, usize) {
        match self {
            Self::Halves => (i, i + half),
            Self::Neighbours => (2 * i, 2 * i + 1),
        }
    }
}

/// Rows of heads side by side, of which the first are turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heads {
    /// Heads in a row.
    pub all: usize,
    /// How many of them are turned: queries and keys.
    pub turned: usize,
    /// Width of a head, `d_h`, an even number.
    pub width: usize,
}

/// Turns pair `i` of every query and key of position `s` by the angle `s base^(-2 i / d_h)` (Su and
/// others 2021); values stay.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rotary {
    heads: Heads,
    pairs: Pairs,
    /// Cosine and sine for each position and pair.
    turns: Vec<(f64, f64)>,
}

impl Rotary {
    pub(crate) fn new(positions: usize, heads: Heads, base: f64, pairs: Pairs) -> Self {
        let half = heads.width / 2;
        let turns = (0..positions)
            .flat_map(|s| (0..half).map(move |i| (s, i)))
            .map(|(s, i)| {
                let angle = s as f64 * base.powf(-(i as f64) / half as f64);
                (angle.cos(), angle.sin())
            })
            .collect();
        Self { heads, pairs, turns }
    }

    /// Turns all pairs; `sign` is -1 for the way back.
    fn turn<T: Real>(&self, values: &mut [T], sign: f64) {
        let Heads { all, turned, width } = self.heads;
        let rows = values.chunks_exact_mut(all * width).zip(self.turns.chunks_exact(width / 2));
        for (row, turns) in rows {
            for head in row[..turned * width].chunks_exact_mut(width) {
                for (i, &(cos, sin)) in turns.iter().enumerate() {
                    let (first, second) = self.pairs.places(i, turns.len());
                    let (cos, sin) = (T::from_f64(cos), T::from_f64(sign * sin));
                    let (x, y) = (head[first], head[second]);
                    head[first] = cos * x - sin * y;
                    head[second] = sin * x + cos * y;
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
    use super::{Heads, Pairs, Rotary};
    use crate::local::Local;

    fn turned(rotary: &Rotary, input: &[f64]) -> Vec<f64> {
        let mut output = vec![0.0; input.len()];
        rotary.forward(&[], input, &mut [], &mut output);
        output
    }

    #[test]
    fn turns_by_hand() {
        // One head of width 2: position 0 stays, position 1 turns by one radian, values stay.
        let heads = Heads { all: 3, turned: 2, width: 2 };
        let rotary = Rotary::new(2, heads, 10_000.0, Pairs::Halves);
        let input = [1.0, 0.0, 0.0, 1.0, 3.0, 4.0, 1.0, 0.0, 0.0, 1.0, 5.0, 6.0];
        let output = turned(&rotary, &input);
        assert_eq!(output[..6], input[..6]);
        let (cos, sin) = (1f64.cos(), 1f64.sin());
        assert_eq!(output[6..], [cos, sin, -sin, cos, 5.0, 6.0]);
    }

    #[test]
    fn pairs_and_base_by_hand() {
        // A head of width 4 at position 1 with base 16: its pairs turn by 1 and 16^(-2/4) = 1/4.
        let heads = Heads { all: 1, turned: 1, width: 4 };
        let row = |pairs| {
            let rotary = Rotary::new(2, heads, 16.0, pairs);
            turned(&rotary, &[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0])[4..].to_vec()
        };
        let ((c, s), (slow_c, slow_s)) = ((1f64.cos(), 1f64.sin()), (0.25f64.cos(), 0.25f64.sin()));
        assert_eq!(row(Pairs::Halves), [c, slow_c, s, slow_s]);
        assert_eq!(row(Pairs::Neighbours), [c - s, s + c, 0.0, 0.0]);
    }
}
