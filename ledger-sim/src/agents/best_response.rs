//! Searching the size of an attack that pays best.

/// Which draws an evaluation uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The draws of the search, common to all sizes.
    Search,
    /// Fresh draws, on which the winner alone is evaluated again.
    Confirmation,
}

/// The best attack found, and what it gains on fresh draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BestResponse {
    /// Size of the attack.
    pub size: u64,
    /// Gain on the draws by which it was chosen: biased upwards by the choice.
    pub gain_in_search: f64,
    /// Gain on fresh draws, without that bias.
    pub gain_confirmed: f64,
}

/// Maximises `gain(size, draws)` over sizes `1 ..= largest`: doubling sizes first, then golden
/// sections around every size of these that beats its neighbours. `None` when no size looked at
/// has a positive gain in the search; a gain with several peaks between two doublings may hide one.
///
/// `gain` is what is received under the attack minus what honesty receives minus the cost of the
/// attack; it must use the same draws for all sizes of a phase.
pub fn best_response(largest: u64, gain: impl Fn(u64, Phase) -> f64) -> Option<BestResponse> {
    let search = |size: u64| (gain(size, Phase::Search), size);
    let mut grid: Vec<u64> =
        std::iter::successors(Some(1u64), |size| size.checked_mul(2)).collect();
    grid.retain(|size| *size < largest);
    grid.extend((largest > 0).then_some(largest));
    let coarse: Vec<(f64, u64)> = grid.iter().copied().map(search).collect();
    let mut best = coarse.iter().copied().reduce(better)?;
    for (at, middle) in coarse.iter().enumerate() {
        let below = coarse[at.saturating_sub(1)];
        let above = coarse[(at + 1).min(coarse.len() - 1)];
        if middle.0 >= below.0 && middle.0 >= above.0 {
            best = better(best, golden_section(below.1, above.1, search));
        }
    }
    (best.0 > 0.0).then(|| BestResponse {
        size: best.1,
        gain_in_search: best.0,
        gain_confirmed: gain(best.1, Phase::Confirmation),
    })
}

/// The one of larger gain, the first among equals.
fn better(a: (f64, u64), b: (f64, u64)) -> (f64, u64) {
    if b.0 > a.0 { b } else { a }
}

/// Best of the integers from `low` to `high` for a gain with one peak between them.
fn golden_section(mut low: u64, mut high: u64, search: impl Fn(u64) -> (f64, u64)) -> (f64, u64) {
    // Ratio of the shorter to the whole of a golden section: (3 - sqrt 5) / 2.
    let ratio = (3.0 - 5f64.sqrt()) / 2.0;
    while high - low > 2 {
        let wanted = ((high - low) as f64 * ratio).round() as u64;
        // The two inner points must differ, or one of them would hide the peak.
        let step = wanted.clamp(1, (high - low - 1) / 2);
        let (left, right) = (search(low + step), search(high - step));
        if left.0 < right.0 { low += step } else { high -= step }
    }
    (low + 1..=high).map(&search).fold(search(low), better)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{expected_clipped_score, split_score};
    use proptest::prelude::*;

    /// G15: no split pays above the deterring price per identity, and 29 identities pay just below.
    #[test]
    fn the_deterring_price_deters() {
        let share = |parts: u64| {
            let own = split_score(1.0, 0.5, parts as f64, 0.0);
            own / (own + 99.0 * expected_clipped_score(1.0, 0.5))
        };
        let net = |price: f64| {
            best_response(1_000, move |m, _| share(m) - share(1) - price * (m - 1) as f64)
        };
        assert_eq!(net(0.001_770_7), None);
        let found = net(0.001_770_5).unwrap();
        assert_eq!(found.size, 29);
        assert_eq!(found.gain_in_search, found.gain_confirmed);
    }

    #[test]
    fn the_winner_is_confirmed_on_other_draws() {
        let found = best_response(10, |size, phase| match phase {
            Phase::Search => size as f64,
            Phase::Confirmation => -1.0,
        })
        .unwrap();
        assert_eq!((found.size, found.gain_in_search, found.gain_confirmed), (10, 10.0, -1.0));
    }

    #[test]
    fn no_size_is_no_attack() {
        assert_eq!(best_response(0, |_, _| 1.0), None);
        assert_eq!(best_response(1, |_, _| 1.0).map(|found| found.size), Some(1));
    }

    proptest! {
        #[test]
        fn finds_the_peak_of_a_single_peaked_gain(peak in 1u64..500, largest in 1u64..500) {
            let gain = |size: u64, _| 1e6 - (size as f64 - peak as f64).powi(2);
            let found = best_response(largest, gain).unwrap();
            prop_assert_eq!(found.size, peak.min(largest));
        }
    }
}
