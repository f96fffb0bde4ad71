//! Boxes in which something happens often: the patient rule induction method (Friedman and Fisher
//! 1999).

/// A box: for each parameter the range that is left, and how it does on rows that did not choose
/// it.
#[derive(Clone, Debug, PartialEq)]
pub struct Box {
    /// Range of each parameter, in the unit cube.
    pub limits: Vec<(f64, f64)>,
    /// Share of the rows inside of which it is true.
    pub density: f64,
    /// Share of all true rows that lie inside.
    pub coverage: f64,
    /// Share of all rows that lie inside.
    pub mass: f64,
}

impl Box {
    /// Parameters whose range is less than the whole.
    pub fn restricted(&self) -> Vec<usize> {
        let is_whole = |limits: &(f64, f64)| limits.0 <= 0.0 && limits.1 >= 1.0;
        (0..self.limits.len()).filter(|at| !is_whole(&self.limits[*at])).collect()
    }

    fn holds(&self, point: &[f64]) -> bool {
        point.iter().zip(&self.limits).all(|(x, (low, high))| (*low..=*high).contains(x))
    }
}

/// Share of the rows inside that one peel takes away.
const PEEL: f64 = 0.05;
/// Share of all rows below which a box is not peeled.
const LEAST_MASS: f64 = 0.05;

/// The densest box around the rows of which `is_case` is true. Even rows choose it, odd rows say
/// how good it is. Peels 5 % off the best end at a time while that makes the box denser, then
/// pastes back what does not dilute it. `None` without a true row on either side.
pub fn prim(points: &[Vec<f64>], is_case: &[bool]) -> Option<Box> {
    let dimensions = points.first()?.len();
    let rows = |parity: usize| -> Vec<(&[f64], bool)> {
        let rows = points.iter().map(Vec::as_slice).zip(is_case.iter().copied());
        rows.enumerate().filter(|(at, _)| at % 2 == parity).map(|(_, row)| row).collect()
    };
    let (chosen_on, reported_on) = (rows(0), rows(1));
    let mut found =
        Box { limits: vec![(0.0, 1.0); dimensions], density: 0.0, coverage: 1.0, mass: 1.0 };
    assess(&mut found, &chosen_on)?;
    while let Some(peeled) = best_peel(&found, &chosen_on) {
        found = peeled;
    }
    while let Some(pasted) = best_paste(&found, &chosen_on) {
        found = pasted;
    }
    assess(&mut found, &reported_on)?;
    Some(found)
}

/// Computes density, coverage and mass on some rows; `None` without a true row.
fn assess(found: &mut Box, rows: &[(&[f64], bool)]) -> Option<()> {
    let cases = rows.iter().filter(|(_, case)| *case).count();
    let inside: Vec<bool> =
        rows.iter().filter(|(point, _)| found.holds(point)).map(|(_, case)| *case).collect();
    let cases_inside = inside.iter().filter(|case| **case).count();
    found.density = cases_inside as f64 / inside.len().max(1) as f64;
    found.coverage = cases_inside as f64 / cases.max(1) as f64;
    found.mass = inside.len() as f64 / rows.len().max(1) as f64;
    (cases > 0).then_some(())
}

fn best_peel(found: &Box, rows: &[(&[f64], bool)]) -> Option<Box> {
    let mut best: Option<Box> = None;
    for dimension in 0..found.limits.len() {
        let mut inside: Vec<f64> = rows
            .iter()
            .filter(|(point, _)| found.holds(point))
            .map(|(point, _)| point[dimension])
            .collect();
        inside.sort_unstable_by(f64::total_cmp);
        let peeled = ((inside.len() as f64 * PEEL).ceil() as usize).max(1);
        if inside.len() <= 2 * peeled {
            continue;
        }
        let (low, high) = found.limits[dimension];
        let ends = [(inside[peeled], high), (low, inside[inside.len() - 1 - peeled])];
        for limits in ends {
            let mut candidate = found.clone();
            candidate.limits[dimension] = limits;
            assess(&mut candidate, rows)?;
            let is_better = candidate.density > best.as_ref().map_or(found.density, |b| b.density);
            if candidate.mass >= LEAST_MASS && is_better {
                best = Some(candidate);
            }
        }
    }
    best
}

fn best_paste(found: &Box, rows: &[(&[f64], bool)]) -> Option<Box> {
    let mut best: Option<Box> = None;
    for dimension in found.restricted() {
        let (low, high) = found.limits[dimension];
        for limits in [((low - PEEL).max(0.0), high), (low, (high + PEEL).min(1.0))] {
            if limits == (low, high) {
                continue;
            }
            let mut candidate = found.clone();
            candidate.limits[dimension] = limits;
            assess(&mut candidate, rows)?;
            let is_wider = candidate.mass > best.as_ref().map_or(found.mass, |b| b.mass);
            if candidate.density >= found.density && is_wider {
                best = Some(candidate);
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::prim;
    use crate::designs::latin_hypercube;
    use crate::random::Streams;

    #[test]
    fn a_planted_box_is_found() {
        // True exactly where x0 > .6 and x1 < .5, which is a fifth of the cube; x2 does not matter.
        let points = latin_hypercube(&Streams::new(3, 0), 4_000, 3);
        let is_case: Vec<bool> = points.iter().map(|x| x[0] > 0.6 && x[1] < 0.5).collect();
        let found = prim(&points, &is_case).unwrap();
        assert!(found.density > 0.97, "{found:?}");
        assert!(found.coverage > 0.85, "{found:?}");
        assert!((found.limits[0].0 - 0.6).abs() < 0.05, "{found:?}");
        assert!((found.limits[1].1 - 0.5).abs() < 0.05, "{found:?}");
    }

    #[test]
    fn nothing_true_has_no_box() {
        let points = latin_hypercube(&Streams::new(3, 0), 50, 2);
        assert_eq!(prim(&points, &[false; 50]), None);
    }
}
