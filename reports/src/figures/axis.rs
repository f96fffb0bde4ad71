//! Axes: from values to places, with ticks at round numbers.

use crate::number::tick;

/// How values become places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Linear,
    /// Linear, for counts: no tick lies between two whole numbers.
    Whole,
    /// Places go with the square root of values, none of which is negative.
    Root,
    Logarithmic,
}

/// One axis between two places of the drawing.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    kind: Kind,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// A linear axis with a little room around the values.
    pub(crate) fn linear(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) = extent(values).unwrap_or((0.0, 1.0));
        let room = match (high - low) * 0.05 {
            0.0 => low.abs().max(1.0) * 0.1,
            room => room,
        };
        Self { kind: Kind::Linear, low: low - room, high: high + room, from, to }
    }

    /// As [`Self::linear`], with ticks at whole numbers alone where all values are whole.
    pub(crate) fn counting(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let values: Vec<f64> = values.into_iter().collect();
        let is_whole = values.iter().all(|value| value.fract() == 0.0);
        let kind = if is_whole { Kind::Whole } else { Kind::Linear };
        Self { kind, ..Self::linear(values, from, to) }
    }

    /// A linear axis that begins at zero.
    pub(crate) fn from_zero(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let high = extent(values).map_or(0.0, |(_, high)| high);
        let high = if high > 0.0 { high * 1.05 } else { 1.0 };
        Self { kind: Kind::Linear, low: 0.0, high, from, to }
    }

    /// An axis from zero on that gives small values more room than large ones.
    pub(crate) fn root_from_zero(
        values: impl IntoIterator<Item = f64>,
        from: f64,
        to: f64,
    ) -> Self {
        let linear = Self::from_zero(values, from, to);
        Self { kind: Kind::Root, low: 0.0, high: linear.high.sqrt(), ..linear }
    }

    /// A logarithmic axis over the positive values.
    pub(crate) fn logarithmic(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let positive = values.into_iter().filter(|&value| value > 0.0);
        let (low, high) = extent(positive).unwrap_or((1.0, 10.0));
        // Half an octave of room, and never less than a decade in all.
        let (mut low, mut high) = (low.log10() - 0.15, high.log10() + 0.15);
        if high - low < 1.0 {
            let middle = (low + high) / 2.0;
            (low, high) = (middle - 0.5, middle + 0.5);
        }
        Self { kind: Kind::Logarithmic, low, high, from, to }
    }

    /// Where a value lies.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let value = match self.kind {
            Kind::Linear | Kind::Whole => value,
            Kind::Root => value.max(0.0).sqrt(),
            Kind::Logarithmic => value.log10(),
        };
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Whether a value lies between the ends.
    pub(crate) fn holds(&self, value: f64) -> bool {
        let (low, high) = self.ends();
        (low..=high).contains(&value)
    }

    /// Both ends, as values.
    pub(crate) fn ends(&self) -> (f64, f64) {
        match self.kind {
            Kind::Linear | Kind::Whole => (self.low, self.high),
            Kind::Root => (self.low * self.low, self.high * self.high),
            Kind::Logarithmic => (10f64.powf(self.low), 10f64.powf(self.high)),
        }
    }

    /// Both ends, as places.
    pub(crate) fn places(&self) -> (f64, f64) {
        (self.from, self.to)
    }

    /// Round values with their labels, at most about `most` of them.
    pub(crate) fn ticks(&self, most: usize) -> Vec<(f64, String)> {
        match self.kind {
            Kind::Linear => self.linear_ticks(most, 0.0),
            Kind::Whole => self.linear_ticks(most, 1.0),
            Kind::Root => self.root_ticks(most),
            Kind::Logarithmic => self.logarithmic_ticks(most),
        }
    }

    fn linear_ticks(&self, most: usize, least_step: f64) -> Vec<(f64, String)> {
        let rough = ((self.high - self.low) / most.max(1) as f64).max(least_step);
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .map(|multiple| multiple * power)
            .into_iter()
            .find(|&step| step >= rough * 0.9)
            .unwrap_or(10.0 * power);
        let (first, last) = ((self.low / step).ceil() as i64, (self.high / step).floor() as i64);
        (first..=last)
            .map(|index| index as f64 * step)
            .map(|value| (value, tick(value, step)))
            .collect()
    }

    /// Zero, and round values from the largest down that keep their distance.
    fn root_ticks(&self, most: usize) -> Vec<(f64, String)> {
        let apart = (self.high - self.low) / (most + 1) as f64;
        let last = (self.high * self.high).log10().floor() as i32;
        let round = (last - 3..=last)
            .rev()
            .flat_map(|power| [5.0, 2.0, 1.0].map(|multiple| multiple * 10f64.powi(power)));
        let mut ticks: Vec<f64> = Vec::new();
        for value in round.filter(|value| value.sqrt() <= self.high) {
            let before = ticks.last().map_or(f64::INFINITY, |before| before.sqrt());
            if before - value.sqrt() >= apart && value.sqrt() >= apart {
                ticks.push(value);
            }
        }
        ticks.push(0.0);
        ticks.into_iter().rev().map(|value| (value, tick(value, value))).collect()
    }

    fn logarithmic_ticks(&self, most: usize) -> Vec<(f64, String)> {
        let decades = (self.high - self.low).max(1.0);
        let multiples: &[f64] =
            if decades * 3.0 <= most as f64 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let stride = (decades / most as f64).ceil().max(1.0) as i32;
        let (first, last) = (self.low.floor() as i32, self.high.ceil() as i32);
        (first..=last)
            .filter(|decade| decade.rem_euclid(stride) == 0)
            .flat_map(|decade| multiples.iter().map(move |multiple| multiple * 10f64.powi(decade)))
            .filter(|value| (self.low..=self.high).contains(&value.log10()))
            .map(|value| (value, tick(value, value)))
            .collect()
    }
}

/// Share of the values that an axis shows in any case.
const SHOWN: f64 = 0.99;
/// How much the remaining values may stretch an axis before it is cut.
const MOST_STRETCH: f64 = 3.0;

/// The ends of the values to show: of all, or, where outliers would stretch them more than
/// threefold, of the shortest range that holds at least 99 % of them.
pub(crate) fn drawn_range(mut values: Vec<f64>) -> [f64; 2] {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    let (Some(&low), Some(&high)) = (values.first(), values.last()) else { return [0.0, 1.0] };
    let shown = (values.len() as f64 * SHOWN).ceil() as usize;
    let shortest = values
        .windows(shown)
        .map(|window| [window[0], window[shown - 1]])
        .min_by(|one, other| (one[1] - one[0]).total_cmp(&(other[1] - other[0])));
    match shortest {
        Some([from, to]) if to > from && high - low > MOST_STRETCH * (to - from) => [from, to],
        _ => [low, high],
    }
}

/// The least and the largest finite value.
fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().filter(|value| value.is_finite()).fold(None, |extent, value| match extent {
        None => Some((value, value)),
        Some((low, high)) => Some((f64::min(low, value), f64::max(high, value))),
    })
}

#[cfg(test)]
mod tests {
    use super::{Axis, drawn_range};

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis::linear([0.0, 0.87], 0.0, 100.0);
        let ticks: Vec<String> = axis.ticks(5).into_iter().map(|(_, label)| label).collect();
        assert_eq!(ticks, ["0", "0.2", "0.4", "0.6", "0.8"]);
        let axis = Axis::root_from_zero([680_000.0], 0.0, 150.0);
        let ticks: Vec<String> = axis.ticks(3).into_iter().map(|(_, label)| label).collect();
        assert_eq!(ticks, ["0", "50k", "200k", "500k"]);
        assert!((axis.place(170_000.0) * 2.0 - axis.place(680_000.0)).abs() < 1e-9);
        let axis = Axis::logarithmic([3.0, 40_000.0], 0.0, 100.0);
        let ticks: Vec<String> = axis.ticks(8).into_iter().map(|(_, label)| label).collect();
        assert_eq!(ticks, ["10", "100", "1,000", "10k"]);
    }

    #[test]
    fn few_outliers_are_cut_and_many_are_not() {
        let range = |outliers: usize, size: f64| {
            let bulk = (0..1000).map(|step| f64::from(step) / 999.0);
            drawn_range(bulk.chain(vec![size; outliers]).collect())
        };
        assert_eq!(range(10, 100.0), [0.0, 1.0]);
        assert_eq!(range(10, 2.5), [0.0, 2.5], "less than threefold");
        assert_eq!(range(20, 100.0), [0.0, 100.0], "more than a few");
        assert_eq!(drawn_range(vec![f64::NAN]), [0.0, 1.0]);
        // No range can be cut to nothing.
        let mut constant = vec![0.0; 999];
        constant.push(1.0);
        assert_eq!(drawn_range(constant), [0.0, 1.0]);
    }

    #[test]
    fn values_that_do_not_vary_still_have_an_axis() {
        for axis in [Axis::linear([], 0.0, 1.0), Axis::linear([3.0; 4], 0.0, 1.0)] {
            let (low, high) = axis.ends();
            assert!(low < high && !axis.ticks(4).is_empty());
        }
    }
}
