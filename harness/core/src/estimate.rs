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
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_exact() {
            write!(formatter, "{}", self.point)
        } else {
            write!(formatter, "{:.3} [{:.3}, {:.3}]", self.point, self.lower, self.upper)
        }
    }
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
    fn what_is_not_finite_cannot_be_reported() {
        let attempt = std::panic::catch_unwind(|| Estimate::exact(f64::NAN));
        assert!(attempt.is_err());
    }
}
