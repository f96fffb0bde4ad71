//! Means over square pieces of an image.

use attribench_core::Real;

use crate::{
    gather::Image,
    local::{Direction, Local, Point},
};

/// Mean of every `size` by `size` piece of an image with channels last; what is left over at the
/// right and below is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AveragePool {
    pub image: Image,
    pub size: usize,
}

impl AveragePool {
    pub(crate) fn output(&self) -> Image {
        let Image { channels, height, width } = self.image;
        Image { channels, height: height / self.size, width: width / self.size }
    }

    /// Calls `visit(start of the pixel's channels, start of the piece's channels)` for every pixel
    /// that is read.
    fn for_each_pixel(&self, mut visit: impl FnMut(usize, usize)) {
        let (to, channels) = (self.output(), self.image.channels);
        for y in 0..to.height * self.size {
            for x in 0..to.width * self.size {
                let piece = y / self.size * to.width + x / self.size;
                visit((y * self.image.width + x) * channels, piece * channels);
            }
        }
    }

    fn scale<T: Real>(&self) -> T {
        T::from_f64(1.0 / (self.size * self.size) as f64)
    }
}

impl<T: Real> Local<T> for AveragePool {
    fn output_width(&self, _input_width: usize) -> usize {
        self.output().numbers()
    }

    fn forward(&self, _parameters: &[T], input: &[T], _kept: &mut [T], output: &mut [T]) {
        let channels = self.image.channels;
        output.fill(T::zero());
        self.for_each_pixel(|from, to| {
            let pixel = &input[from..from + channels];
            output[to..to + channels].iter_mut().zip(pixel).for_each(|(sum, &x)| *sum += x);
        });
        let scale = self.scale::<T>();
        output.iter_mut().for_each(|value| *value *= scale);
    }

    fn backward(&self, _point: &Point<'_, T>, delta: &[T], at_input: &mut [T]) {
        let (channels, scale) = (self.image.channels, self.scale::<T>());
        at_input.fill(T::zero());
        self.for_each_pixel(|from, to| {
            let piece = &delta[to..to + channels];
            let pixel = &mut at_input[from..from + channels];
            pixel.iter_mut().zip(piece).for_each(|(value, &delta)| *value = scale * delta);
        });
    }

    fn tangent(&self, _point: &Point<'_, T>, along: &Direction<'_, T>, output: &mut [T]) {
        self.forward(&[], along.input, &mut [], output);
    }
}

#[cfg(test)]
mod tests {
    use super::AveragePool;
    use crate::{
        gather::Image,
        local::{Local, Point},
    };

    #[test]
    fn means_by_hand() {
        // 1 2 9
        // 3 6 9   pooled by two: (1 + 2 + 3 + 6) / 4 = 3; the last column is left over.
        let pool = AveragePool { image: Image { channels: 1, height: 2, width: 3 }, size: 2 };
        let mut output = [0.0];
        pool.forward(&[], &[1.0, 2.0, 9.0, 3.0, 6.0, 9.0], &mut [], &mut output);
        assert_eq!(output, [3.0]);
        let (mut at_input, point) = ([7.0; 6], Point { parameters: &[], input: &[], kept: &[] });
        pool.backward(&point, &[2.0], &mut at_input);
        assert_eq!(at_input, [0.5, 0.5, 0.0, 0.5, 0.5, 0.0]);
    }
}
