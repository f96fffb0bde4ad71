//! Sobol' points with the direction numbers of Joe and Kuo (2008), plain or Owen-scrambled.

use crate::random::{Purpose, Streams};
use crate::refusal::Refusal;

/// Degree, inner coefficients and initial numbers of the primitive polynomial of each dimension
/// from the second on (the first is van der Corput's sequence).
const DIRECTIONS: [(u32, u32, &[u32]); 20] = [
    (1, 0, &[1]),
    (2, 1, &[1, 3]),
    (3, 1, &[1, 3, 1]),
    (3, 2, &[1, 1, 1]),
    (4, 1, &[1, 1, 3, 3]),
    (4, 4, &[1, 3, 5, 13]),
    (5, 2, &[1, 1, 5, 5, 17]),
    (5, 4, &[1, 1, 5, 5, 5]),
    (5, 7, &[1, 1, 7, 11, 19]),
    (5, 11, &[1, 1, 5, 1, 1]),
    (5, 13, &[1, 1, 1, 3, 11]),
    (5, 14, &[1, 3, 5, 5, 31]),
    (6, 1, &[1, 3, 3, 9, 7, 49]),
    (6, 13, &[1, 1, 1, 15, 21, 21]),
    (6, 16, &[1, 3, 1, 13, 27, 49]),
    (6, 19, &[1, 1, 1, 15, 7, 5]),
    (6, 22, &[1, 3, 1, 15, 13, 25]),
    (6, 25, &[1, 1, 5, 5, 19, 61]),
    (7, 1, &[1, 3, 7, 11, 23, 15, 103]),
    (7, 4, &[1, 3, 7, 13, 13, 15, 69]),
];

/// Most dimensions of a point.
pub const MOST_DIMENSIONS: usize = DIRECTIONS.len() + 1;

/// The first `count` points, a power of two, in Gray-code order, beginning at the origin.
///
/// # Errors
/// [`Refusal::ParamOutOfRange`] for a count that is no power of two or above 2^31, or for more
/// than [`MOST_DIMENSIONS`] dimensions.
pub fn sobol(count: usize, dimensions: usize) -> Result<Vec<Vec<f64>>, Refusal> {
    let points = integers(count, dimensions)?;
    let unit = |x: &u32| f64::from(*x) / 4_294_967_296.0;
    Ok(points.iter().map(|point| point.iter().map(unit).collect()).collect())
}

/// As [`sobol`], each dimension scrambled by Owen's nested uniform flips (1995): every digit is
/// flipped at random, by a draw that depends on all digits before it. Points lie at the middle of
/// their cells, never at 0 or 1.
///
/// # Errors
/// As [`sobol`].
pub fn sobol_scrambled(
    streams: &Streams,
    count: usize,
    dimensions: usize,
) -> Result<Vec<Vec<f64>>, Refusal> {
    let points = integers(count, dimensions)?;
    let scrambled = |point: Vec<u32>| -> Vec<f64> {
        let digits = point.into_iter().zip(0u64..);
        digits
            .map(|(x, dimension)| (f64::from(owen(streams, dimension, x)) + 0.5) / 2f64.powi(32))
            .collect()
    };
    Ok(points.into_iter().map(scrambled).collect())
}

fn owen(streams: &Streams, dimension: u64, x: u32) -> u32 {
    let flip = |level: u32| {
        // The digits above `level`, with a leading one so that prefixes of all lengths differ.
        let prefix = (1u64 << level) | (u64::from(x) >> (32 - level));
        let word = streams.words(Purpose::Design, dimension, 2, prefix)[0];
        (word & 1) << (31 - level)
    };
    (0..32).fold(x, |scrambled, level| scrambled ^ flip(level))
}

fn integers(count: usize, dimensions: usize) -> Result<Vec<Vec<u32>>, Refusal> {
    if !count.is_power_of_two() || count > 1 << 31 {
        return Err(Refusal::parameter("count"));
    }
    if dimensions > MOST_DIMENSIONS {
        return Err(Refusal::parameter("dimensions"));
    }
    let directions: Vec<[u32; 32]> = (0..dimensions).map(direction_numbers).collect();
    let mut point = vec![0u32; dimensions];
    let mut points = Vec::with_capacity(count);
    for index in 0..count {
        points.push(point.clone());
        // Neighbours in Gray code differ in the digit of the lowest zero bit of the index.
        let digit = index.trailing_ones() as usize;
        for (x, direction) in point.iter_mut().zip(&directions) {
            *x ^= direction[digit];
        }
    }
    Ok(points)
}

fn direction_numbers(dimension: usize) -> [u32; 32] {
    let mut v = [0u32; 32];
    if dimension == 0 {
        for (digit, number) in v.iter_mut().enumerate() {
            *number = 1 << (31 - digit);
        }
        return v;
    }
    let (degree, coefficients, initial) = DIRECTIONS[dimension - 1];
    let degree = degree as usize;
    for digit in 0..32 {
        v[digit] = if digit < degree {
            initial[digit] << (31 - digit)
        } else {
            let base = v[digit - degree] ^ (v[digit - degree] >> degree);
            let has = |k: &usize| coefficients >> (degree - 1 - k) & 1 == 1;
            (1..degree).filter(has).fold(base, |sum, k| sum ^ v[digit - k])
        };
    }
    v
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G03.
    #[test]
    fn first_points_in_three_dimensions() {
        let expected = [
            [0.0, 0.0, 0.0],
            [0.5, 0.5, 0.5],
            [0.75, 0.25, 0.25],
            [0.25, 0.75, 0.75],
            [0.375, 0.375, 0.625],
            [0.875, 0.875, 0.125],
        ];
        assert_eq!(sobol(8, 3).unwrap()[..6], expected);
    }

    fn fills_every_slice(points: &[Vec<f64>]) -> bool {
        (0..points[0].len()).all(|dimension| {
            let count = points.len();
            let mut slices: Vec<usize> =
                points.iter().map(|point| (point[dimension] * count as f64) as usize).collect();
            slices.sort_unstable();
            slices.into_iter().eq(0..count)
        })
    }

    #[test]
    fn every_dimension_is_a_net_plain_and_scrambled() {
        let plain = sobol(256, MOST_DIMENSIONS).unwrap();
        assert!(fills_every_slice(&plain));
        let scrambled = sobol_scrambled(&Streams::new(1, 0), 256, MOST_DIMENSIONS).unwrap();
        assert!(fills_every_slice(&scrambled));
        assert_ne!(plain, scrambled);
        // Initial numbers are odd and digit d's is below 2^(d+1): what makes the net.
        for (degree, _, initial) in DIRECTIONS {
            assert_eq!(initial.len(), degree as usize);
            assert!((1..).zip(initial).all(|(bits, m)| m % 2 == 1 && *m < 1 << bits));
        }
    }

    #[test]
    fn sizes_that_are_no_powers_of_two_are_refused() {
        assert_eq!(sobol(3, 1), Err(Refusal::parameter("count")));
        assert_eq!(sobol(4, MOST_DIMENSIONS + 1), Err(Refusal::parameter("dimensions")));
    }
}
