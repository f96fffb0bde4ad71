//! Keys and values that several queries share.

use attribench_core::Real;

use crate::local::{Direction, Local, Point};

/// Repeats every key and value for the queries that share it: rows of `heads` queries, `groups`
/// keys and `groups` values become rows of `heads` of each, `(s, (h + 2 g) d_h) -> (s, 3 h d_h)`.
/// Query `i` reads key and value `floor(i g / h)` (Ainslie and others 2023).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SharedHeads {
    /// Queries, `h`, a multiple of `groups`.
    pub heads: usize,
    /// Keys, and values, `g`.
    pub groups: usize,
    /// Width of a head, `d_h`.
    pub width: usize,
}

impl SharedHeads {
    fn narrow(&self) -> usize {
        (self.heads + 2 * self.groups) * self.width
    }

    fn wide(&self) -> usize {
        3 * self.heads * self.width
    }

    /// Calls `visit(narrow start, wide start)` for every head of the wide rows.
    fn for_each(&self, rows: usize, mut visit: impl FnMut(usize, usize)) {
        let (heads, groups) = (self.heads, self.groups);
        for row in 0..rows {
            for head in 0..3 * heads {
                let (part, query) = (head / heads, head % heads);
                let from = match part {
                    0 => query,
                    _ => heads + (part - 1) * groups + query * groups / heads,
                };
                let (narrow, wide) = (row * self.narrow(), row * self.wide());
                visit(narrow + from * self.width, wide + head * self.width);
            }
        }
    }
}

impl<T: Real> Local<T> for SharedHeads {
    fn output_width(&self, input_width: usize) -> usize {
        input_width / self.narrow() * self.wide()
    }

    fn forward(&self, _parameters: &[T], input: &[T], _kept: &mut [T], output: &mut [T]) {
        self.for_each(output.len() / self.wide(), |narrow, wide| {
            output[wide..][..self.width].copy_from_slice(&input[narrow..][..self.width]);
        });
    }

    fn backward(&self, _point: &Point<'_, T>, delta: &[T], at_input: &mut [T]) {
        at_input.fill(T::zero());
        self.for_each(delta.len() / self.wide(), |narrow, wide| {
            let sums = &mut at_input[narrow..][..self.width];
            sums.iter_mut().zip(&delta[wide..]).for_each(|(sum, &delta)| *sum += delta);
        });
    }

    fn tangent(&self, _point: &Point<'_, T>, along: &Direction<'_, T>, output: &mut [T]) {
        self.forward(&[], along.input, &mut [], output);
    }
}

#[cfg(test)]
mod tests {
    use super::SharedHeads;
    use crate::local::{Local, Point};

    #[test]
    fn heads_by_hand() {
        // Four queries over two keys and two values of width 1: each key and value comes twice.
        let heads = SharedHeads { heads: 4, groups: 2, width: 1 };
        let input = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        let mut output = [0.0; 12];
        heads.forward(&[], &input, &mut [], &mut output);
        assert_eq!(output, [1., 2., 3., 4., 5., 5., 6., 6., 7., 7., 8., 8.]);
        let mut back = [9.0; 8];
        let point = Point { parameters: &[], input: &input, kept: &[] };
        heads.backward(&point, &output, &mut back);
        assert_eq!(back, [1., 2., 3., 4., 10., 12., 14., 16.]);
    }
}
