//! Hazards of large communities, found again by simulated moments.

use ledger_sim::agents::StopHazard;
use ledger_sim::calibration::{MOMENTS, calibrate};
use ledger_sim::random::Streams;

#[test]
fn known_hazards_are_found_again() {
    let mut outside = 0;
    for (community, (scale, offset)) in (0..).zip([(0.85, 1.0), (1.6, 1.2), (0.5, 0.25)]) {
        let hazard = StopHazard::new(scale, offset).unwrap();
        let streams = Streams::new(78, community);
        // Drawn contribution by contribution, as the simulator draws a person.
        let counts: Vec<u32> =
            (0..4_000).map(|person| hazard.draw(&streams, person, 100_000)).collect();
        let found = calibrate(&counts, 1).unwrap();
        let truth = hazard.at(1);
        let [first, low, high] = found.first_stop;
        // 2000 people give a share of one-timers to four standard errors of .0112 at most.
        assert!((first - truth).abs() < 0.045, "{first} {truth}");
        assert!(low <= first && first <= high, "{low} {first} {high}");
        // Some 600 and fewer of them come to a sixteenth contribution.
        let tail = found.scale[0] / (16.0 + found.offset[0]);
        assert!((tail - hazard.at(16)).abs() < 0.02, "{tail} {}", hazard.at(16));
        assert!(found.residuals.iter().all(|left| left.abs() < 3.0), "{:?}", found.residuals);
        // The others hang on the one largest contributor, and leave their bands together.
        let steady = ["one-timers", "hazard-slope"];
        let judged =
            MOMENTS.iter().zip(found.is_inside()).filter(|(name, _)| steady.contains(name));
        outside += judged.filter(|(_, is_inside)| !is_inside).count();
    }
    // Of six moments in bands of 95 % three outside would be two in a thousand.
    assert!(outside < 3, "{outside} of 6");
}
