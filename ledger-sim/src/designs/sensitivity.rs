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

/// Morris screening of `model` on the unit cube with `levels` (even) levels, in
/// `trajectories x (dimensions + 1)` runs. Effects are `(Y(x + step e_j) - Y(x)) / step` with
/// `step = levels / (2 (levels - 1))`.
///
/// # Errors
/// [`Refusal::ParamOutOfRange`] for odd levels or fewer than two trajectories; those of `model`.
pub fn morris(
    streams: &Streams,
    dimensions: usize,
    trajectories: usize,
    levels: u32,
    model: impl Fn(&[f64]) -> Result<f64, Refusal>,
) -> Result<Vec<ElementaryEffects>, Refusal> {
    if levels < 2 || levels % 2 == 1 {
        return Err(Refusal::parameter("levels"));
    }
    if trajectories < 2 {
        return Err(Refusal::parameter("trajectories"));
    }
    let step = f64::from(levels) / (2.0 * f64::from(levels - 1));
    let mut effects = vec![Vec::with_capacity(trajectories); dimensions];
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
        let mut value = model(&point)?;
        for parameter in order {
            point[parameter] += step;
            let next = model(&point)?;
            effects[parameter].push((next - value) / step);
            value = next;
        }
    }
    Ok(effects.iter().map(|effects| summarise(effects)).collect())
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

/// First-order and total Sobol' index of one parameter, each with a 95% bootstrap interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SobolIndices {
    /// Share of the variance that the parameter explains alone.
    pub first: f64,
    /// Interval of `first`.
    pub first_interval: (f64, f64),
    /// Share of the variance that is left when all others are known.
    pub total: f64,
    /// Interval of `total`.
    pub total_interval: (f64, f64),
}

/// Model values at the rows of the two base matrices and of the mixed ones.
struct Evaluations {
    a: Vec<f64>,
    b: Vec<f64>,
    mixed: Vec<Vec<f64>>,
}

/// Sobol' indices of `model` on the unit cube from `count (dimensions + 2)` runs (`count` a power
/// of two). With values centred, `S_j = mean(Y_B (Y_ABj - Y_A)) / V` and
/// `ST_j = mean((Y_A - Y_ABj)^2) / (2 V)`, the variance `V` over A and B. Intervals come from
/// `resamples` bootstraps of rows.
///
/// # Errors
/// Those of [`sobol_scrambled`] for twice the dimensions and those of `model`;
/// [`Refusal::ParamOutOfRange`] named `resamples` below 2, and `model` for one without variance.
pub fn saltelli(
    streams: &Streams,
    dimensions: usize,
    count: usize,
    resamples: usize,
    model: impl Fn(&[f64]) -> Result<f64, Refusal>,
) -> Result<Vec<SobolIndices>, Refusal> {
    if resamples < 2 {
        return Err(Refusal::parameter("resamples"));
    }
    let points = sobol_scrambled(streams, count, 2 * dimensions)?;
    let mut values = Evaluations { a: vec![], b: vec![], mixed: vec![vec![]; dimensions] };
    for point in &points {
        let (a, b) = point.split_at(dimensions);
        values.a.push(model(a)?);
        values.b.push(model(b)?);
        for (parameter, column) in values.mixed.iter_mut().enumerate() {
            let mut mixed = a.to_vec();
            mixed[parameter] = b[parameter];
            column.push(model(&mixed)?);
        }
    }
    let all: Vec<usize> = (0..count).collect();
    let variance = centre(&mut values);
    if variance <= 0.0 {
        return Err(Refusal::parameter("model"));
    }
    let indices = |parameter: usize| {
        let (first, total) = values.indices(parameter, &all);
        let (mut firsts, mut totals) = (vec![], vec![]);
        for resample in 0..resamples {
            let rows = resampled_rows(streams, resample, count);
            let (first, total) = values.indices(parameter, &rows);
            firsts.push(first);
            totals.push(total);
        }
        SobolIndices {
            first,
            first_interval: interval(&mut firsts),
            total,
            total_interval: interval(&mut totals),
        }
    };
    Ok((0..dimensions).map(indices).collect())
}

/// Subtracts the mean over A and B from all values; returns their variance.
fn centre(values: &mut Evaluations) -> f64 {
    let count = (values.a.len() + values.b.len()) as f64;
    let mean = values.a.iter().chain(&values.b).sum::<f64>() / count;
    let shift = |column: &mut Vec<f64>| column.iter_mut().for_each(|value| *value -= mean);
    shift(&mut values.a);
    shift(&mut values.b);
    values.mixed.iter_mut().for_each(shift);
    values.a.iter().chain(&values.b).map(|value| value * value).sum::<f64>() / count
}

impl Evaluations {
    fn indices(&self, parameter: usize, rows: &[usize]) -> (f64, f64) {
        let (mut first, mut total, mut squares, mut sum) = (0.0, 0.0, 0.0, 0.0);
        for row in rows {
            let (a, b, mixed) = (self.a[*row], self.b[*row], self.mixed[parameter][*row]);
            first += b * (mixed - a);
            total += (a - mixed).powi(2);
            squares += a * a + b * b;
            sum += a + b;
        }
        // Per row; the mean is that of these rows, which a resample shifts from zero.
        let count = rows.len() as f64;
        let variance = squares / (2.0 * count) - (sum / (2.0 * count)).powi(2);
        (first / count / variance, total / count / 2.0 / variance)
    }
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
