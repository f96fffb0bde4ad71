//! Sketches of gradients: fewer numbers whose dot products are those of the gradients in the mean.

use attribench_core::{Captures, Layout, Real};
use ndarray::Array2;
use rand::{Rng, RngExt};

use crate::pair;

/// A sparse random map: every coordinate that is kept goes to one of `size` sums, with a random
/// sign and the scale that makes dot products unbiased, `E[S^T S] = I`.
///
/// The variance of a product is that of a dense map with as many rows, and less where both vectors
/// sit in few coordinates; its cost is one addition a coordinate.
#[derive(Clone, Debug)]
pub(crate) struct Sketch {
    size: usize,
    /// Coordinate, sum and weight, in order of coordinates.
    entries: Vec<(usize, usize, f64)>,
}

impl Sketch {
    /// Keeps `kept` of `coordinates` and adds them up in `size` sums. No more sums than coordinates
    /// are needed: then each has one of its own.
    pub(crate) fn draw(
        coordinates: usize,
        kept: usize,
        size: usize,
        numbers: &mut impl Rng,
    ) -> Self {
        if size >= coordinates {
            let entries = (0..coordinates).map(|index| (index, index, 1.0)).collect();
            return Self { size: coordinates, entries };
        }
        let kept = kept.clamp(1, coordinates);
        let scale = (coordinates as f64 / kept as f64).sqrt();
        let chosen = without_repetition(coordinates, kept, numbers);
        let entry = |coordinate| {
            let sign = if numbers.random::<bool>() { scale } else { -scale };
            (coordinate, numbers.random_range(0..size), sign)
        };
        Self { size, entries: chosen.into_iter().map(entry).collect() }
    }

    /// Number of sums.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// The sketch of every gradient, `(n, size)`.
    pub(crate) fn of<T: Real>(&self, g: &Captures<T>, layout: &Layout) -> Array2<f64> {
        let mut sketches = Array2::zeros((g.len(), self.size));
        for block in layout.blocks() {
            let place = |coordinate| self.entries.partition_point(|entry| entry.0 < coordinate);
            let entries = &self.entries[place(block.range.start)..place(block.range.end)];
            pair::for_each_chunk(g, layout, block, |start, gradients| {
                for (row, gradient) in gradients.outer_iter().enumerate() {
                    let gradient = gradient.to_slice().expect("gradients in standard layout");
                    let mut sketch = sketches.row_mut(start + row);
                    let sums = sketch.as_slice_mut().expect("sketches in standard layout");
                    for &(coordinate, sum, weight) in entries {
                        sums[sum] += weight * gradient[coordinate - block.range.start].to_f64();
                    }
                }
            });
        }
        sketches
    }
}

/// `count` different numbers below `total`, in order.
pub(crate) fn without_repetition(total: usize, count: usize, numbers: &mut impl Rng) -> Vec<usize> {
    let mut all: Vec<usize> = (0..total).collect();
    for place in 0..count {
        let other = numbers.random_range(place..total);
        all.swap(place, other);
    }
    all.truncate(count);
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use attribench_core::{Captures, Inputs, Layer, LayerCapture, Layout, stream};
    use ndarray::{Array2, array};

    use super::Sketch;

    /// Captures whose gradients are the rows, over a vector of parameters.
    fn rows(gradients: Array2<f64>) -> (Captures<f64>, Layout) {
        let mut layout = Layout::default();
        layout.push(Layer::vector("all", gradients.ncols()));
        let inputs = Inputs::Values(Array2::zeros((gradients.nrows(), 0)));
        let capture = LayerCapture { positions: 1, inputs, output_gradients: gradients };
        (Captures { layers: vec![capture] }, layout)
    }

    #[test]
    fn products_are_right_in_the_mean() {
        // u.v = 1 - 2 + 3 - 4 + 5 = 3; 4,000 sketches of 2 sums from 3 of 5 coordinates.
        let (g, layout) = rows(array![[1.0, 2.0, 3.0, 4.0, 5.0], [1.0, -1.0, 1.0, -1.0, 1.0]]);
        for kept in [5, 3] {
            let mut products: Vec<f64> = Vec::new();
            for index in 0..4_000 {
                let mut numbers = stream(1, "sketches", index);
                let sketch = Sketch::draw(5, kept, 2, &mut numbers).of(&g, &layout);
                products.push(sketch.row(0).dot(&sketch.row(1)));
            }
            let n = products.len() as f64;
            let mean = products.iter().sum::<f64>() / n;
            let variance = products.iter().map(|p| (p - mean).powi(2)).sum::<f64>() / n;
            let error = (variance / n).sqrt();
            assert!((mean - 3.0).abs() < 4.0 * error, "{mean} +- {error}");
            assert!(error < 0.5, "{error}");
            if kept == 5 {
                // One bucket a coordinate: 2 sum_{i < j} u_i u_j v_i v_j / size + the other half,
                // ((|u|^2 |v|^2 + (u.v)^2 - 2 sum u^2 v^2) / 2) = (275 + 9 - 110) / 2 = 87.
                assert!((variance / 87.0 - 1.0).abs() < 0.1, "{variance}");
            }
        }
    }

    #[test]
    fn as_many_sums_as_coordinates_change_nothing() {
        let (g, layout) = rows(array![[1.0, 2.0, 3.0]]);
        let sketch = Sketch::draw(3, 1, 8, &mut stream(1, "sketches", 0));
        assert_eq!((sketch.size(), sketch.of(&g, &layout)), (3, array![[1.0, 2.0, 3.0]]));
    }
}
