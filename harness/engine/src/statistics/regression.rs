//! Second moments of pairs and the least-squares line through them.

use ndarray::ArrayView1;

/// Weighted means and sums of squared deviations of pairs `(x, y)`.
///
/// Two groups of pairs merge without loss of precision (Chan, Golub, LeVeque 1983), so that the
/// moments of a pool follow from those of its parts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    weight: f64,
    mean_x: f64,
    mean_y: f64,
    squares_x: f64,
    squares_y: f64,
    products: f64,
}

/// The least-squares line `y = intercept + slope x` and how well it and the identity fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Unit of `y` over unit of `x`.
    pub slope: f64,
    /// Unit of `y`.
    pub intercept: f64,
    /// Share of the variance of `y` that the fitted line explains: the squared correlation.
    pub r2_regression: f64,
    /// `1 - sum (y - x)^2 / sum (y - mean y)^2`: the share that `x` itself explains, without any
    /// fit. Negative when the mean of `y` would predict better than `x`.
    pub r2_identity: f64,
}

/// The least-squares line of `y` on `x` (Legendre 1805). Shapes `(m), (m)`.
///
/// `None` when a vector is constant or holds NaN or an infinity.
///
/// # Panics
/// When the lengths differ.
pub fn ordinary_least_squares(x: ArrayView1<'_, f64>, y: ArrayView1<'_, f64>) -> Option<Line> {
    Moments::of(x, y)?.line()
}

impl Moments {
    /// Moments of pairs of weight 1; `None` when there are none or one is not finite.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn of(x: ArrayView1<'_, f64>, y: ArrayView1<'_, f64>) -> Option<Self> {
        assert_eq!(x.len(), y.len(), "pairs need vectors of one length");
        if x.is_empty() || x.iter().chain(y).any(|value| !value.is_finite()) {
            return None;
        }
        let weight = x.len() as f64;
        let (mean_x, mean_y) = (x.sum() / weight, y.sum() / weight);
        let mut sums = [0.0; 3];
        for (&x, &y) in x.iter().zip(y) {
            let (dx, dy) = (x - mean_x, y - mean_y);
            sums[0] += dx * dx;
            sums[1] += dy * dy;
            sums[2] += dx * dy;
        }
        Some(Self::from_sums(weight, [mean_x, mean_y], sums))
    }

    /// Moments from means and sums of squares and products about these means.
    ///
    /// The mean of a constant vector is rounded, which leaves squares of about
    /// `(weight eps mean)^2` each; anything as small is a constant and is set to exactly 0.
    pub(crate) fn from_sums(weight: f64, means: [f64; 2], sums: [f64; 3]) -> Self {
        let noise = |mean: f64| weight * (weight * f64::EPSILON * mean).powi(2);
        let squares_x = if sums[0] <= noise(means[0]) { 0.0 } else { sums[0] };
        let squares_y = if sums[1] <= noise(means[1]) { 0.0 } else { sums[1] };
        let products = if squares_x == 0.0 || squares_y == 0.0 { 0.0 } else { sums[2] };
        Self { weight, mean_x: means[0], mean_y: means[1], squares_x, squares_y, products }
    }

    /// Moments of this group together with `copies` copies of another.
    pub fn merged(self, other: Self, copies: f64) -> Self {
        let added = other.weight * copies;
        let weight = self.weight + added;
        if added == 0.0 {
            return self;
        }
        let (dx, dy) = (other.mean_x - self.mean_x, other.mean_y - self.mean_y);
        let between = self.weight * added / weight;
        Self {
            weight,
            mean_x: self.mean_x + dx * added / weight,
            mean_y: self.mean_y + dy * added / weight,
            squares_x: self.squares_x + copies * other.squares_x + dx * dx * between,
            squares_y: self.squares_y + copies * other.squares_y + dy * dy * between,
            products: self.products + copies * other.products + dx * dy * between,
        }
    }

    /// Pearson correlation; `None` when a vector is constant.
    pub fn pearson(&self) -> Option<f64> {
        // Two roots, because the product of two tiny sums may underflow.
        let scale = self.squares_x.sqrt() * self.squares_y.sqrt();
        (scale > 0.0).then(|| (self.products / scale).clamp(-1.0, 1.0))
    }

    /// Least-squares line of `y` on `x`; `None` when a vector is constant.
    pub fn line(&self) -> Option<Line> {
        let correlation = self.pearson()?;
        let slope = self.products / self.squares_x;
        let bias = self.mean_y - self.mean_x;
        let errors = self.squares_y - 2.0 * self.products + self.squares_x;
        Some(Line {
            slope,
            intercept: self.mean_y - slope * self.mean_x,
            r2_regression: correlation * correlation,
            r2_identity: 1.0 - (errors + self.weight * bias * bias) / self.squares_y,
        })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{arr1, aview1, s};

    use super::{Moments, ordinary_least_squares};

    #[test]
    fn a_line_through_three_points() {
        // Means 2 and 4; squares 2 and 26; products 7. Errors of the identity: 0, 1, 25.
        let line = ordinary_least_squares(aview1(&[1.0, 2.0, 3.0]), aview1(&[1.0, 3.0, 8.0]));
        let line = line.unwrap();
        assert!((line.slope - 3.5).abs() < 1e-14);
        assert!((line.intercept + 3.0).abs() < 1e-14);
        assert!((line.r2_regression - 49.0 / 52.0).abs() < 1e-14);
        assert!(line.r2_identity.abs() < 1e-14, "1 - 26/26");
    }

    #[test]
    fn merged_groups_are_the_pool() {
        let (x, y) = (arr1(&[1.0, 2.0, 4.0, 9.0, 3.0]), arr1(&[2.0, 1.0, 5.0, 4.0, 3.0]));
        let head = Moments::of(x.slice(s![..3]), y.slice(s![..3])).unwrap();
        let tail = Moments::of(x.slice(s![3..]), y.slice(s![3..])).unwrap();
        let twice = |v: &ndarray::Array1<f64>| {
            ndarray::concatenate![ndarray::Axis(0), v.view(), v.slice(s![3..])]
        };
        let pool = Moments::of(twice(&x).view(), twice(&y).view()).unwrap().line().unwrap();
        let merged = head.merged(tail, 2.0).line().unwrap();
        assert!((pool.slope - merged.slope).abs() < 1e-14);
        assert!((pool.intercept - merged.intercept).abs() < 1e-14);
        assert!((pool.r2_identity - merged.r2_identity).abs() < 1e-14);
    }
}
