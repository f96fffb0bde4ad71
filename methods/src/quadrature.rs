//! Gauss-Legendre quadrature on the segment from 0 to 1.

/// Nodes `s_k` in rising order with weights `c_k`: exact for polynomials of degree `2 nodes - 1`.
///
/// Nodes are roots of the Legendre polynomial, found by Newton's method from
/// `cos(pi (k + 3/4) / (nodes + 1/2))`.
pub(crate) fn gauss_legendre(nodes: usize) -> Vec<(f64, f64)> {
    let rule = (0..nodes).map(|k| {
        let guess = std::f64::consts::PI * (k as f64 + 0.75) / (nodes as f64 + 0.5);
        let mut x = guess.cos();
        // The guess is good to a few digits, and each step doubles them.
        for _ in 0..6 {
            let (value, slope) = legendre(nodes, x);
            x -= value / slope;
        }
        let (_, slope) = legendre(nodes, x);
        // On [-1, 1] the weight is 2 / ((1 - x^2) P'(x)^2).
        (0.5 - 0.5 * x, 1.0 / ((1.0 - x * x) * slope * slope))
    });
    rule.collect()
}

/// `P_n(x)` and its derivative, for `|x| < 1`.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut before, mut value) = (1.0, x);
    for k in 2..=n {
        let k = k as f64;
        (before, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k);
    }
    (value, n as f64 * (x * value - before) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::gauss_legendre;

    #[test]
    fn rules_by_hand() {
        let close = |found: f64, expected: f64| (found - expected).abs() < 1e-15;
        let [(s, c)] = gauss_legendre(1)[..] else { panic!("one node") };
        assert!(close(s, 0.5) && close(c, 1.0));
        let [(low, c), (high, _)] = gauss_legendre(2)[..] else { panic!("two nodes") };
        let distance = 1.0 / 12f64.sqrt();
        assert!(close(low, 0.5 - distance) && close(high, 0.5 + distance) && close(c, 0.5));
        let [(low, c), (middle, c2), _] = gauss_legendre(3)[..] else { panic!("three nodes") };
        assert!(close(low, 0.5 - 0.15f64.sqrt()) && close(middle, 0.5));
        assert!(close(c, 5.0 / 18.0) && close(c2, 4.0 / 9.0));
    }

    #[test]
    fn powers_are_integrated_exactly() {
        for nodes in 1..=20 {
            for power in 0..2 * nodes {
                let sum: f64 =
                    gauss_legendre(nodes).iter().map(|(s, c)| c * s.powi(power as i32)).sum();
                let expected = 1.0 / (power + 1) as f64;
                assert!((sum - expected).abs() < 1e-14, "{nodes} nodes, power {power}: {sum}");
            }
        }
    }
}
