//! A number that may be reported, because it says how sure it is.

use serde::{Deserialize, Serialize};

/// A point with its interval, the confidence level, the sample behind it, and what was undefined.
///
/// A count or any other quantity known without error has `lower == point == upper`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    point: f64,
    lower: f64,
    upper: f64,
    level: f64,
    n: usize,
    undefined: usize,
}

impl Estimate {
    /// A sampled quantity; `level` is the nominal coverage of the interval, for instance 0.95.
    ///
    /// # Panics
    /// When a number is not finite, `lower > upper` or the level is outside (0, 1]: such a value
    /// must be counted in `undefined` before it comes here.
    pub fn new(point: f64, lower: f64, upper: f64, level: f64, n: usize, undefined: usize) -> Self {
        assert!(
            point.is_finite() && lower.is_finite() && upper.is_finite(),
            "an estimate must be finite, got {point} in [{lower}, {upper}]"
        );
        assert!(lower <= upper, "interval [{lower}, {upper}] is upside down");
        assert!(level > 0.0 && level <= 1.0, "level {level} is not in (0, 1]");
        Self { point, lower, upper, level, n, undefined }
    }

    /// A quantity known without error, such as a count or a conserved sum.
    pub fn exact(value: f64) -> Self {
        Self::new(value, value, value, 1.0, 1, 0)
    }

    /// The estimate itself.
    pub fn point(&self) -> f64 {
        self.point
    }

    /// Lower end of the interval.
    pub fn lower(&self) -> f64 {
        self.lower
    }

    /// Upper end of the interval.
    pub fn upper(&self) -> f64 {
        self.upper
    }

    /// Nominal coverage of the interval; 1 for an exact quantity.
    pub fn level(&self) -> f64 {
        self.level
    }

    /// Size of the sample behind the estimate, in the unit that the metric names.
    pub fn n(&self) -> usize {
        self.n
    }

    /// How many members of the sample had no defined value (constant columns, NaN).
    pub fn undefined(&self) -> usize {
        self.undefined
    }

    /// Whether the whole interval is the point.
    pub fn is_exact(&self) -> bool {
        self.level == 1.0
    }
}

impl std::fmt::Display for Estimate {
    /// Four significant digits of what is exact; point and interval with three decimals, or as many
    /// as show two digits of the interval's width.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_exact() {
            return match self.point.fract() {
                0.0 => write!(formatter, "{}", self.point),
                _ => write!(formatter, "{}", in_four_digits(self.point)),
            };
        }
        let width = self.upper - self.lower;
        let power = if width > 0.0 { width.log10().floor() as i32 } else { 0 };
        let decimals = (1 - power).max(3) as usize;
        let Self { point, lower, upper, .. } = self;
        write!(formatter, "{point:.decimals$} [{lower:.decimals$}, {upper:.decimals$}]")
    }
}

/// The nearest number of four significant digits.
fn in_four_digits(value: f64) -> f64 {
    format!("{value:.3e}").parse().expect("a number was written")
}

#[cfg(test)]
mod tests {
    use super::Estimate;

    #[test]
    fn an_exact_quantity_is_its_own_interval() {
        let count = Estimate::exact(7.0);
        assert_eq!((count.lower(), count.point(), count.upper()), (7.0, 7.0, 7.0));
        assert!(count.is_exact());
    }

    #[test]
    fn digits_are_those_that_an_interval_justifies() {
        let said =
            |point, lower, upper| Estimate::new(point, lower, upper, 0.95, 10, 0).to_string();
        assert_eq!(said(0.43, 0.3871, 0.4652), "0.430 [0.387, 0.465]");
        assert_eq!(said(2.27e-7, 1.91e-7, 2.64e-7), "0.000000227 [0.000000191, 0.000000264]");
        assert_eq!(said(0.5, 0.5, 0.5), "0.500 [0.500, 0.500]");
        let exact = [7.0, 1_234_567.0, 2.522_887_007e-5, -0.0001, 12.345_678];
        let exact = exact.map(|value| Estimate::exact(value).to_string());
        assert_eq!(exact, ["7", "1234567", "0.00002523", "-0.0001", "12.35"]);
    }

    #[test]
    fn what_is_not_finite_cannot_be_reported() {
        let attempt = std::panic::catch_unwind(|| Estimate::exact(f64::NAN));
        assert!(attempt.is_err());
    }
}
