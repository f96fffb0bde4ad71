//! Axes: from values to places, with ticks at round numbers.

use crate::number::tick;

/// How values become places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Linear,
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

    /// A linear axis that begins at zero.
    pub(crate) fn from_zero(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let high = extent(values).map_or(0.0, |(_, high)| high);
        let high = if high > 0.0 { high * 1.05 } else { 1.0 };
        Self { kind: Kind::Linear, low: 0.0, high, from, to }
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
            Kind::Linear => value,
            Kind::Logarithmic => value.log10(),
        };
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Both ends, as values.
    pub(crate) fn ends(&self) -> (f64, f64) {
        match self.kind {
            Kind::Linear => (self.low, self.high),
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
            Kind::Linear => self.linear_ticks(most),
            Kind::Logarithmic => self.logarithmic_ticks(most),
        }
    }

    fn linear_ticks(&self, most: usize) -> Vec<(f64, String)> {
        let rough = (self.high - self.low) / most.max(1) as f64;
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

/// The least and the largest finite value.
fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().filter(|value| value.is_finite()).fold(None, |extent, value| match extent {
        None => Some((value, value)),
        Some((low, high)) => Some((f64::min(low, value), f64::max(high, value))),
    })
}

#[cfg(test)]
mod tests {
    use super::Axis;

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis::linear([0.0, 0.87], 0.0, 100.0);
        let ticks: Vec<String> = axis.ticks(5).into_iter().map(|(_, label)| label).collect();
        assert_eq!(ticks, ["0", "0.2", "0.4", "0.6", "0.8"]);
        let axis = Axis::logarithmic([3.0, 40_000.0], 0.0, 100.0);
        let ticks: Vec<String> = axis.ticks(8).into_iter().map(|(_, label)| label).collect();
        assert_eq!(ticks, ["10", "100", "1,000", "10k"]);
    }

    #[test]
    fn values_that_do_not_vary_still_have_an_axis() {
        for axis in [Axis::linear([], 0.0, 1.0), Axis::linear([3.0; 4], 0.0, 1.0)] {
            let (low, high) = axis.ends();
            assert!(low < high && !axis.ticks(4).is_empty());
        }
    }
}
