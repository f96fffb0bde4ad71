//! Outputs that are each one of the inputs: patches of an image, permutations, parts of a text.

use attribench_core::Real;

use crate::local::{Direction, Local, Point};

/// Source of an output that is zero: the border of a padded image.
const NOWHERE: u32 = u32::MAX;

/// `y_j = x_{source(j)}`, or 0 where the source lies outside.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gather {
    sources: Vec<u32>,
}

/// How the numbers of an image lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ImageOrder {
    /// `(channels, height, width)`, as data come and as other libraries lay out weights.
    ChannelsFirst,
    /// `(height, width, channels)`, so that a position's channels are one row.
    ChannelsLast,
}

/// Channels, height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

impl Image {
    pub(crate) fn numbers(&self) -> usize {
        self.channels * self.height * self.width
    }

    fn place(&self, order: ImageOrder, channel: usize, (y, x): (usize, usize)) -> usize {
        match order {
            ImageOrder::ChannelsFirst => (channel * self.height + y) * self.width + x,
            ImageOrder::ChannelsLast => (y * self.width + x) * self.channels + channel,
        }
    }
}

impl Gather {
    /// Patches of `kernel` by `kernel` around every pixel, `(h w, c kernel^2)`, zero outside the
    /// image; a patch lies as a filter of other libraries, `(c, kernel, kernel)`.
    pub(crate) fn patches(image: Image, order: ImageOrder, kernel: usize) -> Self {
        let reach = kernel / 2;
        let mut sources = Vec::new();
        for (y, x) in pixels(image) {
            for channel in 0..image.channels {
                for (dy, dx) in (0..kernel).flat_map(|dy| (0..kernel).map(move |dx| (dy, dx))) {
                    let inside = |at: usize, end: usize| at >= reach && at - reach < end;
                    let (y, x) = (y + dy, x + dx);
                    sources.push(if inside(y, image.height) && inside(x, image.width) {
                        image.place(order, channel, (y - reach, x - reach)) as u32
                    } else {
                        NOWHERE
                    });
                }
            }
        }
        Self { sources }
    }

    /// From channels last to channels first, as a dense layer after convolutions reads them.
    pub(crate) fn flatten(image: Image) -> Self {
        let channels = 0..image.channels;
        let sources = channels
            .flat_map(|channel| {
                pixels(image)
                    .map(move |at| image.place(ImageOrder::ChannelsLast, channel, at) as u32)
            })
            .collect();
        Self { sources }
    }
}

impl Gather {
    /// For each of some positions of a text the `length` tokens up to it, 0 before the first token.
    pub(crate) fn ending_at(ends: &[usize], length: usize) -> Self {
        let source = |end: usize, step: usize| match (end + 1 + step).checked_sub(length) {
            Some(position) => position as u32,
            None => NOWHERE,
        };
        let sources = ends.iter().flat_map(|&end| (0..length).map(move |step| source(end, step)));
        Self { sources: sources.collect() }
    }

    /// Rows of `width` numbers put in their places among `all` rows, 0 in the others.
    pub(crate) fn rows(places: &[usize], all: usize, width: usize) -> Self {
        let mut sources = vec![NOWHERE; all * width];
        for (row, &place) in places.iter().enumerate() {
            for column in 0..width {
                sources[place * width + column] = (row * width + column) as u32;
            }
        }
        Self { sources }
    }
}

fn pixels(image: Image) -> impl Iterator<Item = (usize, usize)> {
    (0..image.height).flat_map(move |y| (0..image.width).map(move |x| (y, x)))
}

impl<T: Real> Local<T> for Gather {
    fn output_width(&self, _input_width: usize) -> usize {
        self.sources.len()
    }

    fn forward(&self, _parameters: &[T], input: &[T], _kept: &mut [T], output: &mut [T]) {
        for (output, &source) in output.iter_mut().zip(&self.sources) {
            *output = if source == NOWHERE { T::zero() } else { input[source as usize] };
        }
    }

    fn backward(&self, _point: &Point<'_, T>, delta: &[T], at_input: &mut [T]) {
        at_input.fill(T::zero());
        for (&delta, &source) in delta.iter().zip(&self.sources) {
            if source != NOWHERE {
                at_input[source as usize] += delta;
            }
        }
    }

    fn tangent(&self, _point: &Point<'_, T>, along: &Direction<'_, T>, output: &mut [T]) {
        self.forward(&[], along.input, &mut [], output);
    }
}

#[cfg(test)]
mod tests {
    use super::{Gather, Image, ImageOrder};
    use crate::local::{Local, Point};

    #[test]
    fn patches_by_hand() {
        // 1 2
        // 3 4   with a border of zeros: around the first pixel 0 0 0, 0 1 2, 0 3 4.
        let image = Image { channels: 1, height: 2, width: 2 };
        let patches = Gather::patches(image, ImageOrder::ChannelsFirst, 3);
        let mut output = [9.0; 36];
        patches.forward(&[], &[1.0, 2.0, 3.0, 4.0], &mut [], &mut output);
        assert_eq!(output[..9], [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 3.0, 4.0]);
        assert_eq!(output[27..], [1.0, 2.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
        // Every pixel stands in all four patches.
        let (mut at_input, point) = ([0.0; 4], Point { parameters: &[], input: &[], kept: &[] });
        patches.backward(&point, &[1.0; 36], &mut at_input);
        assert_eq!(at_input, [4.0; 4]);
    }

    #[test]
    fn parts_of_a_text_by_hand() {
        let mut output = [9.0; 6];
        let parts = Gather::ending_at(&[0, 3], 3);
        parts.forward(&[], &[5.0, 6.0, 7.0, 8.0], &mut [], &mut output);
        assert_eq!(output, [0.0, 0.0, 5.0, 6.0, 7.0, 8.0]);
        Gather::rows(&[0, 2], 3, 2).forward(&[], &[1.0, 2.0, 3.0, 4.0], &mut [], &mut output);
        assert_eq!(output, [1.0, 2.0, 0.0, 0.0, 3.0, 4.0]);
    }

    #[test]
    fn flattening_by_hand() {
        // Two channels of one by two pixels: (a1 b1 a2 b2) -> (a1 a2 b1 b2).
        let flatten = Gather::flatten(Image { channels: 2, height: 1, width: 2 });
        let mut output = [0.0; 4];
        flatten.forward(&[], &[1.0, 5.0, 2.0, 6.0], &mut [], &mut output);
        assert_eq!(output, [1.0, 2.0, 5.0, 6.0]);
    }
}
