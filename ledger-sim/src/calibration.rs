//! Calibration by simulated moments: which stop hazard `h(k) = a / (k + c)` makes populations that
//! look like a community whose numbers of contributions are known.
//!
//! The moments are [`MOMENTS`]. Half of the community, drawn by lot, is fitted: the parameters
//! minimise `sum over moments of ((simulated - observed) / deviation)^2`, in two steps: first with
//! deviations from resampling the half, then with those of populations that the first step
//! simulates, for resamples know too little of the largest contributor. Simulated moments are means
//! over populations whose uniform draws are the same at every parameter (common random numbers), so
//! that the distance is a function. The other half judges: each of its moments is held against the
//! predictive band, that of populations of its size drawn afresh under what resamples of the first
//! half are fitted by, so that the band holds what the fit does not know as well.

use crate::agents::StopHazard;
use crate::metrics::concentration::{gini, top_share};
use crate::random::{Purpose, Streams};
use crate::refusal::Refusal;

/// Names of the moments: Gini index of contributions, share of the top hundredth and of the top
/// tenth of people in them, share of people with one, and slope of the logarithm of the empirical
/// stop hazard on that of `k`.
pub const MOMENTS: [&str; 5] =
    ["gini", "top-1-share", "top-10-share", "one-timers", "hazard-slope"];

/// Moments by position in [`MOMENTS`].
pub type Moments = [f64; MOMENTS.len()];

/// Numbers of contributions at which the empirical hazard is read.
const PLACES: [u32; 5] = [1, 2, 4, 8, 16];
/// Most contributions that one person makes in a simulated population.
const LIMIT: usize = 100_000;
/// Fewest people of a community that can be fitted: below, a hundredth is not a person.
const FEWEST: usize = 200;
/// Populations behind a simulated moment.
const POPULATIONS: u32 = 8;
/// Populations behind a predictive band.
const PREDICTED: u32 = 400;
/// Resamples behind deviations of moments.
const RESAMPLES: u32 = 200;
/// Resamples that are fitted again, behind intervals of parameters.
const REFITTED: u32 = 40;

/// Moments of numbers of contributions, each at least one. `None` where one is undefined: without
/// anybody, or where nobody stops at two of the places at which the hazard is read.
pub fn moments(counts: &[u32]) -> Option<Moments> {
    let mut numbers: Vec<f64> = counts.iter().map(|count| f64::from(*count)).collect();
    // What follows sorts again, which is quick from here on.
    numbers.sort_unstable_by(f64::total_cmp);
    let one_timers = counts.iter().filter(|count| **count == 1).count() as f64;
    Some([
        gini(&numbers)?,
        top_share(&numbers, 0.01)?,
        top_share(&numbers, 0.1)?,
        one_timers / numbers.len() as f64,
        hazard_slope(counts)?,
    ])
}

/// Least-squares slope of `ln h(k)` on `ln k` over the places where somebody stops.
fn hazard_slope(counts: &[u32]) -> Option<f64> {
    let hazard = |k: &u32| {
        let reach = counts.iter().filter(|count| *count >= k).count() as f64;
        let stop = counts.iter().filter(|count| *count == k).count() as f64;
        (stop > 0.0).then(|| (f64::from(*k).ln(), (stop / reach).ln()))
    };
    let points: Vec<(f64, f64)> = PLACES.iter().filter_map(hazard).collect();
    let count = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let up: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let across: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    (across > 0.0).then(|| up / across)
}

/// A value with the ends of its 95 % interval.
pub type WithEnds = [f64; 3];

/// What was fitted, and how it fared.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// People in the half that was fitted, and in the half that judges.
    pub people: [usize; 2],
    /// `a`, with its interval over resamples of the fitted half.
    pub scale: WithEnds,
    /// `c`, likewise. Where `a` and `c` trade off, both intervals are wide.
    pub offset: WithEnds,
    /// Probability of stopping after the first contribution, likewise.
    pub first_stop: WithEnds,
    /// Moments of the fitted half.
    pub targets: Moments,
    /// Moments of simulated populations at the fitted parameters.
    pub fitted: Moments,
    /// What is left, `(fitted - target) / deviation`.
    pub residuals: Moments,
    /// Moments of the half that judges.
    pub held_out: Moments,
    /// Predictive band of those moments: percentiles 2.5 and 97.5.
    pub band: [[f64; 2]; MOMENTS.len()],
}

impl Calibration {
    /// Whether each held-out moment lies in its band.
    pub fn is_inside(&self) -> [bool; MOMENTS.len()] {
        std::array::from_fn(|at| {
            let [low, high] = self.band[at];
            (low..=high).contains(&self.held_out[at])
        })
    }
}

/// Fits the hazard of a community in which person `i` made `counts[i]` contributions.
///
/// # Errors
/// [`Refusal::RuleNeeds`] for fewer than 200 people, a person without a contribution, or a half
/// whose moments are undefined.
pub fn calibrate(counts: &[u32], seed: u64) -> Result<Calibration, Refusal> {
    let needs = |input| Refusal::RuleNeeds { rule: "calibration", input };
    if counts.len() < FEWEST {
        return Err(needs("at least 200 people"));
    }
    if counts.contains(&0) {
        return Err(needs("people with at least one contribution"));
    }
    let streams = Streams::new(seed, 0);
    let (fitted, held_out) = halves(counts, &streams);
    let stops = needs("people who stop at two of 1, 2, 4, 8 and 16 contributions in each half");
    let targets = moments(&fitted).ok_or_else(|| stops.clone())?;
    let judged = moments(&held_out).ok_or(stops)?;
    let resampled = resamples(&fitted, &streams);
    let draws = Draws::of(&streams, 0, POPULATIONS, fitted.len());
    let search = Search { draws: &draws, deviations: deviations(&resampled) };
    let first = search.nearest(&targets, None);
    let spread = Draws::of(&streams, SPREAD, PREDICTED, fitted.len());
    let deviations = deviations(&spread.moments(&first.hazard()?));
    let search = Search { draws: &draws, deviations };
    let best = search.nearest(&targets, Some(first));
    let again: Vec<Place> = resampled
        .iter()
        .take(REFITTED as usize)
        .map(|targets| search.nearest(targets, Some(best)))
        .collect();
    let ends = |read: &dyn Fn(&Place) -> f64| -> WithEnds {
        let [low, high] = ends_of(again.iter().map(read).collect());
        [read(&best), low, high]
    };
    let simulated = draws.mean_moments(&best.hazard()?).ok_or(needs("another community"))?;
    let band = predictive_band(&streams, &again, held_out.len())?;
    Ok(Calibration {
        people: [fitted.len(), held_out.len()],
        scale: ends(&Place::scale),
        offset: ends(&Place::offset),
        first_stop: ends(&|place: &Place| place.first_stop),
        targets,
        fitted: simulated,
        residuals: std::array::from_fn(|at| (simulated[at] - targets[at]) / deviations[at]),
        held_out: judged,
        band,
    })
}

/// First population behind deviations, and the first one that no fit has seen.
const SPREAD: u32 = 1_000;
const FRESH: u32 = 2_000;

/// Percentiles 2.5 and 97.5 of moments of fresh populations, as many under each of `places`.
fn predictive_band(
    streams: &Streams,
    places: &[Place],
    people: usize,
) -> Result<[[f64; 2]; MOMENTS.len()], Refusal> {
    let each = PREDICTED / REFITTED;
    let mut all: Vec<Moments> = vec![];
    for (place, at) in places.iter().zip(0..) {
        all.extend(Draws::of(streams, FRESH + at * each, each, people).moments(&place.hazard()?));
    }
    Ok(std::array::from_fn(|at| ends_of(all.iter().map(|one| one[at]).collect())))
}

fn halves(counts: &[u32], streams: &Streams) -> (Vec<u32>, Vec<u32>) {
    let mut order: Vec<usize> = (0..counts.len()).collect();
    let lot = |at: &usize| streams.uniform(Purpose::Permutation, *at as u64, 0, 0);
    order.sort_by(|a, b| lot(a).total_cmp(&lot(b)));
    let (first, second) = order.split_at(counts.len() / 2);
    let pick = |half: &[usize]| half.iter().map(|at| counts[*at]).collect();
    (pick(first), pick(second))
}

/// Moments of resamples with replacement, those that are defined.
fn resamples(counts: &[u32], streams: &Streams) -> Vec<Moments> {
    let resample = |round: u32| {
        let draw = |at: usize| {
            let place = streams.uniform(Purpose::Bootstrap, at as u64, round, 0);
            counts[(place * counts.len() as f64) as usize]
        };
        moments(&(0..counts.len()).map(draw).collect::<Vec<_>>())
    };
    (0..RESAMPLES).filter_map(resample).collect()
}

/// Standard deviations of moments; a moment that never moves counts by a thousandth.
fn deviations(resampled: &[Moments]) -> Moments {
    let count = resampled.len().max(1) as f64;
    std::array::from_fn(|at| {
        let mean = resampled.iter().map(|moments| moments[at]).sum::<f64>() / count;
        let squares = resampled.iter().map(|moments| (moments[at] - mean).powi(2)).sum::<f64>();
        (squares / count).sqrt().max(1e-3)
    })
}

/// Percentiles 2.5 and 97.5.
fn ends_of(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    [0.025, 0.975].map(|share| values.get((share * last).round() as usize).copied().unwrap_or(0.0))
}

/// A hazard by what is searched: `h(1)`, between nothing and one, and `ln (1 + c)`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    first_stop: f64,
    log_offset: f64,
}

impl Place {
    fn offset(&self) -> f64 {
        self.log_offset.exp() - 1.0
    }

    fn scale(&self) -> f64 {
        self.first_stop * (1.0 + self.offset())
    }

    fn hazard(&self) -> Result<StopHazard, Refusal> {
        // The product may pass one by a rounding.
        StopHazard::new(self.scale() * (1.0 - f64::EPSILON), self.offset())
    }
}

/// Uniform numbers of people in populations, the same at every parameter.
struct Draws {
    populations: Vec<Vec<f64>>,
}

impl Draws {
    fn of(streams: &Streams, first: u32, populations: u32, people: usize) -> Self {
        let person = |population, at| streams.uniform(Purpose::Churn, at as u64, population, 0);
        let population = |at: u32| (0..people).map(|person_at| person(at, person_at)).collect();
        Self { populations: (first..first + populations).map(population).collect() }
    }

    /// Contributions of everybody: the first `k` at which survival falls below the person's number.
    fn counts(&self, hazard: &StopHazard) -> impl Iterator<Item = Vec<u32>> + '_ {
        let mut survival = Vec::with_capacity(LIMIT);
        let mut left = 1.0;
        for k in 1..LIMIT as u32 {
            left *= 1.0 - hazard.at(k);
            survival.push(left);
            // Below, nobody's number is.
            if left < 1e-12 {
                break;
            }
        }
        let count = move |number: &f64| {
            // Survival falls: all places before this one still have the person.
            1 + survival.partition_point(|left| left > number) as u32
        };
        self.populations.iter().map(move |people| people.iter().map(&count).collect())
    }

    /// Moments of the populations in which they are defined.
    fn moments(&self, hazard: &StopHazard) -> Vec<Moments> {
        self.counts(hazard).filter_map(|counts| moments(&counts)).collect()
    }

    fn mean_moments(&self, hazard: &StopHazard) -> Option<Moments> {
        let all = self.moments(hazard);
        let mean = |at: usize| all.iter().map(|one| one[at]).sum::<f64>() / all.len() as f64;
        (!all.is_empty()).then(|| std::array::from_fn(mean))
    }
}

/// A search for the parameters whose moments are nearest.
struct Search<'a> {
    draws: &'a Draws,
    deviations: Moments,
}

impl Search<'_> {
    /// Nearest by a grid over all places, or from `start`, and then by ever finer grids of five by
    /// five around the best so far.
    fn nearest(&self, targets: &Moments, start: Option<Place>) -> Place {
        // Offsets from -.9 to 50.
        let (low, high) = (0.1f64.ln(), 51f64.ln());
        let mut steps = (0.06, (high - low) / 16.0);
        let rounds = if start.is_some() { 5 } else { 7 };
        let whole = (0..16 * 17).map(|at| Place {
            first_stop: f64::from(at / 17) * steps.0 + 0.04,
            log_offset: low + f64::from(at % 17) * steps.1,
        });
        let mut best = match start {
            Some(start) => (self.distance(&start, targets), start),
            None => self.best_of(whole, targets),
        };
        for _ in 0..rounds {
            let around = (0..25).map(|at| Place {
                first_stop: (best.1.first_stop + f64::from(at / 5 - 2) * steps.0 / 2.0)
                    .clamp(1e-3, 1.0),
                log_offset: (best.1.log_offset + f64::from(at % 5 - 2) * steps.1 / 2.0)
                    .clamp(low, high),
            });
            best = self.best_of(around.collect::<Vec<_>>().into_iter(), targets);
            steps = (steps.0 / 2.0, steps.1 / 2.0);
        }
        best.1
    }

    fn best_of(&self, places: impl Iterator<Item = Place>, targets: &Moments) -> (f64, Place) {
        let judged = places.map(|place| (self.distance(&place, targets), place));
        judged.min_by(|a, b| a.0.total_cmp(&b.0)).expect("a grid has places")
    }

    fn distance(&self, place: &Place, targets: &Moments) -> f64 {
        let simulated = place.hazard().ok().and_then(|hazard| self.draws.mean_moments(&hazard));
        let Some(simulated) = simulated else { return f64::INFINITY };
        let parts = simulated.iter().zip(targets).zip(&self.deviations);
        parts
            .map(|((simulated, target), deviation)| ((simulated - target) / deviation).powi(2))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_by_hand() {
        // Of 1, 1, 2 and 4: Gini (-3 - 1 + 2 + 12) / (4 x 8); the top hundredth and the top tenth
        // are one person, who has half; half stop at once.
        let found = moments(&[4, 1, 2, 1]).unwrap();
        assert_eq!(found[..4], [0.3125, 0.5, 0.5, 0.5]);
        // h(1) = 2/4, h(2) = 1/2, h(4) = 1/1: ln h = -ln 2, -ln 2, 0 at 0, ln 2, 2 ln 2. The slope
        // is (ln 2 x ln 2) / (2 (ln 2)^2) = 1/2.
        assert!((found[4] - 0.5).abs() < 1e-12);
        assert_eq!(moments(&[1, 1]), None);
        assert_eq!(moments(&[]), None);
    }

    /// G47: shares of people with more than 1, 10 and 100 contributions.
    #[test]
    fn simulated_people_follow_the_survival() {
        let hazard = StopHazard::new(0.85, 1.0).unwrap();
        let draws = Draws::of(&Streams::new(2, 0), 0, 1, 50_000);
        let counts = draws.counts(&hazard).next().unwrap();
        for (k, expected) in [(1, 0.575), (10, 0.138_794_5), (100, 0.021_191_0)] {
            let share = counts.iter().filter(|count| **count > k).count() as f64 / 50_000.0;
            let error = (expected * (1.0 - expected) / 50_000f64).sqrt();
            assert!((share - expected).abs() < 4.0 * error, "{k}: {share}");
        }
    }

    /// `tests/slow_calibration.rs` asks for more of larger communities.
    #[test]
    fn a_known_hazard_is_found_again() {
        let hazard = StopHazard::new(0.85, 1.0).unwrap();
        let streams = Streams::new(77, 5);
        let community: Vec<u32> =
            (0..600).map(|person| hazard.draw(&streams, person, LIMIT as u32)).collect();
        let found = calibrate(&community, 1).unwrap();
        let [first, low, high] = found.first_stop;
        // 300 people give a share of one-timers to four standard errors of .029.
        assert!((first - 0.425).abs() < 0.116, "{first}");
        assert!(low <= first && first <= high, "{low} {first} {high}");
        assert!(found.residuals.iter().all(|left| left.abs() < 3.0), "{:?}", found.residuals);
    }

    /// People who all make sixteen contributions or one are no population of such a hazard, and
    /// the half that judges says so.
    #[test]
    fn another_law_falls_out_of_its_band() {
        let counts: Vec<u32> = (0..400).map(|at| if at % 3 == 0 { 16 } else { 1 }).collect();
        let found = calibrate(&counts, 1).unwrap();
        assert!(found.is_inside().contains(&false));
    }

    #[test]
    fn refusals() {
        let needs = |input| Err(Refusal::RuleNeeds { rule: "calibration", input });
        assert_eq!(calibrate(&[1; 199], 1), needs("at least 200 people"));
        assert_eq!(calibrate(&[0; 200], 1), needs("people with at least one contribution"));
        let words = "people who stop at two of 1, 2, 4, 8 and 16 contributions in each half";
        assert_eq!(calibrate(&[1; 200], 1), needs(words));
    }

    #[test]
    fn ends_are_percentiles() {
        assert_eq!(ends_of((0..=40).map(f64::from).collect()), [1.0, 39.0]);
    }
}
