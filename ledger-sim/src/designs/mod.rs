//! Designs of experiments: which points of parameter space to run, and what the results say.
//!
//! Points lie in the unit cube; [`scale`] maps them to ranges.

mod pareto;
mod prim;
mod sensitivity;
mod sobol;
mod summary;

pub use pareto::{pareto, pareto_frequency};
pub use prim::{Box as FoundBox, prim};
pub use sensitivity::{
    ElementaryEffects, SobolIndices, elementary_effects, morris, morris_points, saltelli,
    saltelli_points, sobol_indices,
};
pub use sobol::{MOST_DIMENSIONS, sobol, sobol_scrambled};
pub use summary::Summary;

use crate::random::{Purpose, Streams};
use crate::refusal::Refusal;

/// Every combination of `levels`, the last parameter changing fastest.
pub fn grid(levels: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut points = vec![vec![]];
    for choices in levels {
        let extend = |point: &Vec<f64>| -> Vec<Vec<f64>> {
            choices.iter().map(|choice| [point.as_slice(), &[*choice]].concat()).collect()
        };
        points = points.iter().flat_map(extend).collect();
    }
    points
}

/// The `k`-th level of every parameter together.
///
/// # Errors
/// [`Refusal::ParamOutOfRange`] when parameters differ in their number of levels.
pub fn zip(levels: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, Refusal> {
    let length = levels.first().map_or(0, Vec::len);
    if levels.iter().any(|choices| choices.len() != length) {
        return Err(Refusal::parameter("zip"));
    }
    Ok((0..length).map(|at| levels.iter().map(|choices| choices[at]).collect()).collect())
}

/// `base`, then each parameter alone at each of its levels. A local design: never the only one.
///
/// # Errors
/// [`Refusal::ParamOutOfRange`] unless there are levels for each parameter of the base.
pub fn one_at_a_time(base: &[f64], levels: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, Refusal> {
    if base.len() != levels.len() {
        return Err(Refusal::parameter("levels"));
    }
    let mut points = vec![base.to_vec()];
    for (parameter, choices) in levels.iter().enumerate() {
        for choice in choices.iter().filter(|choice| **choice != base[parameter]) {
            let mut point = base.to_vec();
            point[parameter] = *choice;
            points.push(point);
        }
    }
    Ok(points)
}

/// Latin hypercube: in each dimension one point in each of `count` equal slices.
pub fn latin_hypercube(streams: &Streams, count: usize, dimensions: usize) -> Vec<Vec<f64>> {
    let column = |dimension: u64| -> Vec<f64> {
        let draw = |epoch, at: usize| streams.uniform(Purpose::Design, dimension, epoch, at as u64);
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|a, b| draw(0, *a).total_cmp(&draw(0, *b)));
        let place = |(at, slice): (usize, usize)| (slice as f64 + draw(1, at)) / count as f64;
        order.into_iter().enumerate().map(place).collect()
    };
    let columns: Vec<Vec<f64>> = (0..dimensions as u64).map(column).collect();
    (0..count).map(|at| columns.iter().map(|column| column[at]).collect()).collect()
}

/// Independent uniform points.
pub fn monte_carlo(streams: &Streams, count: usize, dimensions: usize) -> Vec<Vec<f64>> {
    let place = |at: usize, dimension: usize| {
        streams.uniform(Purpose::Design, dimension as u64, 6, at as u64)
    };
    (0..count).map(|at| (0..dimensions).map(|dimension| place(at, dimension)).collect()).collect()
}

/// Maps a point of the unit cube to `ranges` of (low, high).
pub fn scale(point: &[f64], ranges: &[(f64, f64)]) -> Vec<f64> {
    point.iter().zip(ranges).map(|(x, (low, high))| low + x * (high - low)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_designs_by_hand() {
        let levels = [vec![1.0, 2.0], vec![3.0, 4.0]];
        assert_eq!(grid(&levels), [[1.0, 3.0], [1.0, 4.0], [2.0, 3.0], [2.0, 4.0]]);
        assert_eq!(zip(&levels).unwrap(), [[1.0, 3.0], [2.0, 4.0]]);
        assert!(zip(&[vec![1.0], vec![]]).is_err());
        let alone = one_at_a_time(&[1.0, 3.0], &levels).unwrap();
        assert_eq!(alone, [[1.0, 3.0], [2.0, 3.0], [1.0, 4.0]]);
        assert_eq!(scale(&[0.5, 1.0], &[(0.0, 2.0), (-1.0, 3.0)]), [1.0, 3.0]);
    }

    #[test]
    fn hypercube_fills_every_slice_once() {
        let points = latin_hypercube(&Streams::new(1, 0), 50, 3);
        for dimension in 0..3 {
            let mut slices: Vec<usize> =
                points.iter().map(|point| (point[dimension] * 50.0) as usize).collect();
            slices.sort_unstable();
            assert_eq!(slices, (0..50).collect::<Vec<_>>());
        }
    }
}
