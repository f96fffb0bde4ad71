//! Which parameters matter: elementary effects (Morris 1991) and Sobol' indices (Saltelli 2010).

use super::sobol::sobol_scrambled;
use crate::random::{Purpose, Streams};
use crate::refusal::Refusal;

/// Elementary effects of one parameter over all trajectories.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ElementaryEffects {
    /// Mean absolute effect: importance.
    pub mean_absolute: f64,
    /// Standard deviation of the effects: interaction or curvature.
    pub deviation: f64,
}

/// Step of an elementary effect on a grid of `levels`: `levels / (2 (levels - 1))`.
fn step(levels: u32) -> f64 {
    f64::from(levels) / (2.0 * f64::from(levels - 1))
}

/// Points of a Morris screening on the unit cube with `levels` (even) levels, trajectory by
/// trajectory, `dimensions + 1` points each.
///
/// # Errors
/// [`Refusal::ParamOutOfRange`] for odd levels or fewer than two trajectories.
pub fn morris_points(
    streams: &Streams,
    dimensions: usize,
    trajectories: usize,
    levels: u32,
) -> Result<Vec<Vec<f64>>, Refusal> {
    if levels < 2 || levels % 2 == 1 {
        return Err(Refusal::parameter("levels"));
    }
    if trajectories < 2 {
        return Err(Refusal::parameter("trajectories"));
    }
    let mut points = Vec::with_capacity(trajectories * (dimensions + 1));
    for trajectory in 0..trajectories {
        let draw = |epoch, at: usize| {
            streams.uniform(Purpose::Design, trajectory as u64, epoch, at as u64)
        };
        // Start on the lower half of the levels, so that a step up stays in the cube.
        let half = f64::from(levels / 2);
        let level = |at| (draw(3, at) * half).floor() / f64::from(levels - 1);
        let mut point: Vec<f64> = (0..dimensions).map(level).collect();
        let mut order: Vec<usize> = (0..dimensions).collect();
        order.sort_by(|a, b| draw(4, *a).total_cmp(&draw(4, *b)));
        points.push(point.clone());
        for parameter in order {
            point[parameter] += step(levels);
            points.push(point.clone());
        }
    }
    Ok(points)
}

/// Elementary effects `(Y(x + step e_j) - Y(x)) / step` from the values at [`morris_points`].
///
/// # Errors
/// [`Refusal::RuleNeeds`] unless there is a value for each point.
pub fn elementary_effects(
    points: &[Vec<f64>],
    values: &[f64],
) -> Result<Vec<ElementaryEffects>, Refusal> {
    let dimensions = points.first().map_or(0, Vec::len);
    if points.len() != values.len() || !points.len().is_multiple_of(dimensions + 1) {
        let input = "a value for each point of whole trajectories";
        return Err(Refusal::RuleNeeds { rule: "elementary effects", input });
    }
    let mut effects = vec![vec![]; dimensions];
    let trajectories = points.chunks(dimensions + 1).zip(values.chunks(dimensions + 1));
    for (points, values) in trajectories {
        for (pair, values) in points.windows(2).zip(values.windows(2)) {
            let moved = (0..dimensions).find(|at| pair[0][*at] != pair[1][*at]);
            if let Some(parameter) = moved {
                let step = pair[1][parameter] - pair[0][parameter];
                effects[parameter].push((values[1] - values[0]) / step);
            }
        }
    }
    Ok(effects.iter().map(|effects| summarise(effects)).collect())
}

/// Morris screening of `model`, in `trajectories x (dimensions + 1)` runs.
///
/// # Errors
/// Those of [`morris_points`] and of `model`.
pub fn morris(
    streams: &Streams,
    dimensions: usize,
    trajectories: usize,
    levels: u32,
    model: impl Fn(&[f64]) -> Result<f64, Refusal>,
) -> Result<Vec<ElementaryEffects>, Refusal> {
    let points = morris_points(streams, dimensions, trajectories, levels)?;
    let values: Vec<f64> = points.iter().map(|point| model(point)).collect::<Result<_, _>>()?;
    elementary_effects(&points, &values)
}

fn summarise(effects: &[f64]) -> ElementaryEffects {
    let count = effects.len() as f64;
    let mean = effects.iter().sum::<f64>() / count;
    let squares: f64 = effects.iter().map(|effect| (effect - mean).powi(2)).sum();
    ElementaryEffects {
        mean_absolute: effects.iter().map(|effect| effect.abs()).sum::<f64>() / count,
        deviation: (squares / (count - 1.0)).sqrt(),
    }
}

/// First-order and total Sobol' index of one parameter, each with a 95% bootstrap interval, and the
/// share that it explains together with each other parameter and with neither alone.
#[derive(Clone, Debug, PartialEq)]
pub struct SobolIndices {
    /// Share of the variance that the parameter explains alone.
    pub first: f64,
    /// Interval of `first`.
    pub first_interval: (f64, f64),
    /// Share of the variance that is left when all others are known.
    pub total: f64,
    /// Interval of `total`.
    pub total_interval: (f64, f64),
    /// Second-order index with each parameter, itself included as zero.
    pub pairs: Vec<f64>,
    /// Intervals of `pairs`.
    pub pair_intervals: Vec<(f64, f64)>,
}

/// Points for Sobol' indices of first, second and total order: for each of `count` (a power of two)
/// base rows the point of matrix A, that of B, A with each column from B, B with each column from
/// A.
///
/// # Errors
/// Those of [`sobol_scrambled`] for twice the dimensions.
pub fn saltelli_points(
    streams: &Streams,
    dimensions: usize,
    count: usize,
) -> Result<Vec<Vec<f64>>, Refusal> {
    let rows = sobol_scrambled(streams, count, 2 * dimensions)?;
    let mut points = Vec::with_capacity(count * (2 * dimensions + 2));
    for row in &rows {
        let (a, b) = row.split_at(dimensions);
        points.push(a.to_vec());
        points.push(b.to_vec());
        for (into, from) in [(a, b), (b, a)] {
            for parameter in 0..dimensions {
                let mut mixed = into.to_vec();
                mixed[parameter] = from[parameter];
                points.push(mixed);
            }
        }
    }
    Ok(points)
}

/// Values at one base row.
struct Row<'a> {
    a: f64,
    b: f64,
    /// A with a column from B.
    ab: &'a [f64],
    /// B with a column from A.
    ba: &'a [f64],
}

/// Indices of all orders from some rows.
struct Indices {
    first: Vec<f64>,
    total: Vec<f64>,
    pairs: Vec<f64>,
}

/// Sobol' indices from the values at [`saltelli_points`]. With values centred,
/// `S_j = mean(Y_B (Y_ABj - Y_A)) / V`, `ST_j = mean((Y_A - Y_ABj)^2) / (2 V)` and
/// `S_jk = mean(Y_BAj Y_ABk - Y_A Y_B) / V - S_j - S_k`, the variance `V` over A and B (Saltelli
/// 2002, 2010). Intervals come from `resamples` bootstraps of rows.
///
/// # Errors
/// [`Refusal::ParamOutOfRange`] named `resamples` below 2, and `model` for values without variance;
/// [`Refusal::RuleNeeds`] unless there is a value for each point.
pub fn sobol_indices(
    streams: &Streams,
    dimensions: usize,
    values: &[f64],
    resamples: usize,
) -> Result<Vec<SobolIndices>, Refusal> {
    if resamples < 2 {
        return Err(Refusal::parameter("resamples"));
    }
    let width = 2 * dimensions + 2;
    if values.is_empty() || !values.len().is_multiple_of(width) {
        let input = "a value for each point of whole rows";
        return Err(Refusal::RuleNeeds { rule: "sobol indices", input });
    }
    let base = || values.chunks(width).flat_map(|row| &row[..2]);
    let count = values.len() / width;
    let mean = base().sum::<f64>() / (2 * count) as f64;
    if base().map(|value| (value - mean).powi(2)).sum::<f64>() <= 0.0 {
        return Err(Refusal::parameter("model"));
    }
    let centred: Vec<f64> = values.iter().map(|value| value - mean).collect();
    let rows: Vec<Row<'_>> = centred
        .chunks(width)
        .map(|row| Row {
            a: row[0],
            b: row[1],
            ab: &row[2..2 + dimensions],
            ba: &row[2 + dimensions..],
        })
        .collect();
    let all: Vec<usize> = (0..count).collect();
    let point = indices_of(&rows, &all, dimensions);
    let draws: Vec<Indices> = (0..resamples)
        .map(|resample| indices_of(&rows, &resampled_rows(streams, resample, count), dimensions))
        .collect();
    let spread = |read: &dyn Fn(&Indices) -> f64| {
        interval(&mut draws.iter().map(read).collect::<Vec<f64>>())
    };
    let of = |parameter: usize| SobolIndices {
        first: point.first[parameter],
        first_interval: spread(&|draw| draw.first[parameter]),
        total: point.total[parameter],
        total_interval: spread(&|draw| draw.total[parameter]),
        pairs: point.pairs[parameter * dimensions..(parameter + 1) * dimensions].to_vec(),
        pair_intervals: (parameter * dimensions..(parameter + 1) * dimensions)
            .map(|pair| spread(&|draw| draw.pairs[pair]))
            .collect(),
    };
    Ok((0..dimensions).map(of).collect())
}

fn indices_of(rows: &[Row<'_>], drawn: &[usize], dimensions: usize) -> Indices {
    let (mut squares, mut sum) = (0.0, 0.0);
    let mut first = vec![0.0; dimensions];
    let mut total = vec![0.0; dimensions];
    let mut pairs = vec![0.0; dimensions * dimensions];
    for row in drawn.iter().map(|at| &rows[*at]) {
        squares += row.a * row.a + row.b * row.b;
        sum += row.a + row.b;
        for j in 0..dimensions {
            first[j] += row.b * (row.ab[j] - row.a);
            total[j] += (row.a - row.ab[j]).powi(2);
            for k in 0..j {
                pairs[j * dimensions + k] += row.ba[j] * row.ab[k] - row.a * row.b;
            }
        }
    }
    // The mean is that of these rows, which a resample shifts from zero.
    let count = drawn.len() as f64;
    let variance = squares / (2.0 * count) - (sum / (2.0 * count)).powi(2);
    first.iter_mut().for_each(|value| *value /= count * variance);
    total.iter_mut().for_each(|value| *value /= 2.0 * count * variance);
    for j in 0..dimensions {
        for k in 0..j {
            let pair = pairs[j * dimensions + k] / count / variance - first[j] - first[k];
            pairs[j * dimensions + k] = pair;
            pairs[k * dimensions + j] = pair;
        }
    }
    Indices { first, total, pairs }
}

/// Sobol' indices of `model` on the unit cube from `count (2 dimensions + 2)` runs.
///
/// # Errors
/// Those of [`saltelli_points`], of [`sobol_indices`] and of `model`.
pub fn saltelli(
    streams: &Streams,
    dimensions: usize,
    count: usize,
    resamples: usize,
    model: impl Fn(&[f64]) -> Result<f64, Refusal>,
) -> Result<Vec<SobolIndices>, Refusal> {
    let points = saltelli_points(streams, dimensions, count)?;
    let values: Vec<f64> = points.iter().map(|point| model(point)).collect::<Result<_, _>>()?;
    sobol_indices(streams, dimensions, &values, resamples)
}

fn resampled_rows(streams: &Streams, resample: usize, count: usize) -> Vec<usize> {
    let draw = |at| streams.uniform(Purpose::Bootstrap, resample as u64, 0, at as u64);
    (0..count).map(|at| (draw(at) * count as f64) as usize).collect()
}

/// Middle 95% of the values.
fn interval(values: &mut [f64]) -> (f64, f64) {
    values.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| values[(share * (values.len() - 1) as f64).round() as usize];
    (at(0.025), at(0.975))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G05.
    #[test]
    fn effects_of_a_linear_model() {
        let model = |x: &[f64]| Ok(2.0 * x[0] - 3.0 * x[1]);
        let effects = morris(&Streams::new(5, 0), 3, 10, 4, model).unwrap();
        for (effect, expected) in effects.iter().zip([2.0, 3.0, 0.0]) {
            assert!((effect.mean_absolute - expected).abs() < 1e-12);
            assert!(effect.deviation < 1e-12);
        }
        assert_eq!(morris(&Streams::new(5, 0), 3, 10, 3, model), Err(Refusal::parameter("levels")));
    }

    /// G01: first-order and total indices.
    #[test]
    fn ishigami() {
        let model = |x: &[f64]| {
            let angle = |u: f64| std::f64::consts::PI * (2.0 * u - 1.0);
            let (x1, x2, x3) = (angle(x[0]), angle(x[1]), angle(x[2]));
            Ok(x1.sin() + 7.0 * x2.sin().powi(2) + 0.1 * x3.powi(4) * x1.sin())
        };
        let indices = saltelli(&Streams::new(1, 0), 3, 16_384, 2, model).unwrap();
        let first = [0.3139051911, 0.4424111448, 0.0];
        let total = [0.5575888552, 0.4424111448, 0.2436836641];
        for (at, got) in indices.iter().enumerate() {
            assert!((got.first - first[at]).abs() < 0.005, "{at}: {got:?}");
            assert!((got.total - total[at]).abs() < 0.005, "{at}: {got:?}");
        }
        // Only the first and the third interact: S_13 = .2436836641.
        let pairs = [(0, 1, 0.0), (0, 2, 0.2436836641), (1, 2, 0.0)];
        for (j, k, expected) in pairs {
            let pair = indices[j].pairs[k];
            assert!((pair - expected).abs() < 0.01, "{j} {k}: {pair}");
        }
    }

    /// G02.
    #[test]
    fn sobol_g() {
        let a = [0.0, 1.0, 4.5, 9.0, 99.0, 99.0, 99.0, 99.0];
        let model = |x: &[f64]| {
            Ok(x.iter().zip(a).map(|(x, a)| ((4.0 * x - 2.0).abs() + a) / (1.0 + a)).product())
        };
        let indices = saltelli(&Streams::new(2, 0), 8, 16_384, 2, model).unwrap();
        let first = [0.716192, 0.179048, 0.023676, 0.007162, 7.2e-5];
        let total = [0.787144, 0.242198, 0.034317, 0.010460, 0.000105];
        for at in 0..5 {
            assert!((indices[at].first - first[at]).abs() < 0.005, "{at}: {:?}", indices[at]);
            assert!((indices[at].total - total[at]).abs() < 0.005, "{at}: {:?}", indices[at]);
        }
    }

    #[test]
    fn intervals_hold_the_estimate_of_an_additive_model() {
        // Y = 2 x1 + x2: variances 4/12 and 1/12, indices .8 and .2.
        let model = |x: &[f64]| Ok(2.0 * x[0] + x[1]);
        let indices = saltelli(&Streams::new(3, 0), 2, 512, 1_000, model).unwrap();
        for (got, expected) in indices.iter().zip([0.8, 0.2]) {
            assert!((got.first - expected).abs() < 0.02 && (got.total - expected).abs() < 0.02);
            let (low, high) = got.first_interval;
            assert!(low < expected && expected < high && high - low < 0.4, "{got:?}");
        }
        let flat = saltelli(&Streams::new(3, 0), 2, 8, 2, |_| Ok(1.0));
        assert_eq!(flat, Err(Refusal::parameter("model")));
    }
}
