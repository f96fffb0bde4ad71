//! Games whose values are known in closed form.

use attribench_core::{GameError, TableGame};

fn members(mask: u64) -> impl Iterator<Item = usize> {
    (0..64).filter(move |player| mask >> player & 1 == 1)
}

/// 1 for coalitions whose weights reach the quota, else 0.
///
/// # Errors
/// As [`TableGame::from_fn`], and so for all games here.
pub fn voting(quota: f64, weights: &[f64]) -> Result<TableGame, GameError> {
    TableGame::from_fn(weights.len(), |mask| {
        let sum: f64 = members(mask).map(|player| weights[player]).sum();
        f64::from(u8::from(sum >= quota))
    })
}

/// More than half of the players win 1.
///
/// # Errors
/// As [`voting`].
pub fn majority(players: usize) -> Result<TableGame, GameError> {
    voting((players / 2 + 1) as f64, &vec![1.0; players])
}

/// Minus the cost of the longest runway that a coalition needs.
///
/// # Errors
/// As [`voting`].
pub fn airport(costs: &[f64]) -> Result<TableGame, GameError> {
    TableGame::from_fn(costs.len(), |mask| {
        -members(mask).map(|player| costs[player]).fold(0.0, f64::max)
    })
}

/// Shapley values of the airport game: `-sum_{l <= j} (c_(l) - c_(l-1)) / (n - l + 1)` over
/// ascending costs.
pub fn airport_shapley(costs: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by(|&a, &b| costs[a].total_cmp(&costs[b]));
    let mut values = vec![0.0; costs.len()];
    let (mut paid, mut previous) = (0.0, 0.0);
    for (position, &player) in order.iter().enumerate() {
        paid += (costs[player] - previous) / (costs.len() - position) as f64;
        previous = costs[player];
        values[player] = -paid;
    }
    values
}

/// Pairs that can be made of left and right gloves; owners of left ones come first.
///
/// # Errors
/// As [`voting`].
pub fn gloves(left: usize, right: usize) -> Result<TableGame, GameError> {
    TableGame::from_fn(left + right, |mask| {
        let lefts = members(mask).filter(|&player| player < left).count();
        lefts.min(members(mask).count() - lefts) as f64
    })
}

/// Minus the cost of the cheapest tree that joins a coalition to the root, node 0; player `i` is
/// node `i + 1`, and `edges` are `(node, node, cost)`.
///
/// # Errors
/// As [`voting`].
pub fn spanning_tree(
    players: usize,
    edges: &[(usize, usize, f64)],
) -> Result<TableGame, GameError> {
    let mut sorted = edges.to_vec();
    sorted.sort_by(|a, b| a.2.total_cmp(&b.2));
    TableGame::from_fn(players, |mask| {
        let is_in = |node: usize| node == 0 || mask >> (node - 1) & 1 == 1;
        // Kruskal: the cheapest edge between two parts joins them.
        let mut part: Vec<usize> = (0..=players).collect();
        let mut cost = 0.0;
        for &(a, b, price) in sorted.iter().filter(|(a, b, _)| is_in(*a) && is_in(*b)) {
            let (from, to) = (part[a], part[b]);
            if from != to {
                cost += price;
                part.iter_mut().filter(|part| **part == from).for_each(|part| *part = to);
            }
        }
        -cost
    })
}

/// The number of points that a coalition covers; players cover sets of points.
///
/// # Errors
/// As [`voting`].
pub fn coverage(points: &[u64]) -> Result<TableGame, GameError> {
    TableGame::from_fn(points.len(), |mask| {
        let union = members(mask).fold(0, |all, player| all | points[player]);
        f64::from(union.count_ones())
    })
}

/// `sqrt(|S|)`: every item adds less than the one before.
///
/// # Errors
/// As [`voting`].
pub fn square_root(players: usize) -> Result<TableGame, GameError> {
    TableGame::from_fn(players, |mask| f64::from(mask.count_ones()).sqrt())
}
