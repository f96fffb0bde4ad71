//! Shapley value in order of registration: a later copy earns nothing.
//!
//! Marginal contributions averaged only over orders in which earlier windows of registration come
//! first; `w_i = (phi_i)+`. Efficient, and symmetric within a window. A window as long as the
//! history gives the Shapley value, a window of 0 the single order of arrival (equal times still
//! form one group).
//!
//! Parameter: `window` (seconds, default 0); windows start at the earliest registration.
//!
//! Attack: front-running, registering obvious data first; a short window starves honest late
//! near-duplicates.
//!
//! Source: Zheng et al., Asymmetric Data Shapley (2024).

use super::{Entry, Inputs, Parameters, Reader, Rule, Settlement, State, require};
use crate::refusal::Refusal;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "arrival-order",
    summary: "Shapley value over orders that respect registration",
    attack: "front-run registration; grab obvious data first",
    needs: &["a coalition game", "registration times"],
    build,
};

fn build(parameters: &Parameters) -> Result<Box<dyn Rule>, Refusal> {
    let mut reader = Reader::new(parameters);
    let window_seconds = reader.integer("window", 0, 0..=u64::MAX)?;
    reader.finish()?;
    Ok(Box::new(ArrivalOrder { window_seconds }))
}

#[derive(Debug)]
struct ArrivalOrder {
    window_seconds: u64,
}

impl Rule for ArrivalOrder {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn reads_scores(&self) -> bool {
        false
    }

    fn settle(&self, inputs: &Inputs<'_>, _: &State) -> Result<Settlement, Refusal> {
        let game = inputs.game(ENTRY.name)?;
        let times = require(inputs.side.registered_seconds, ENTRY.name, "registration times")?;
        let first = times.iter().copied().min().unwrap_or_default();
        let group = |time: &u64| (time - first) / self.window_seconds.max(1);
        let groups: Vec<u64> = times.iter().map(group).collect();
        inputs.split_by_scores(&game.ordered_shapley(&groups)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::rules::{Value, settle};
    use crate::semivalue::testing::{ABC, coverage};

    /// G22: the thief copies A and registers a day later, or first.
    #[test]
    fn a_later_copy_earns_nothing() {
        let game = coverage(&[ABC[0], ABC[1], ABC[2], ABC[0]]);
        let run = |window, times: &[u64], pot| {
            let rule = rule(ENTRY.name, &[("window", Value::Integer(window))]);
            let pots = amounts(&[pot]);
            let mut inputs = Inputs::new(4, &pots);
            inputs.side.game = Some(&game);
            inputs.side.registered_seconds = Some(times);
            settle(rule.as_ref(), &inputs, &State::Fresh).unwrap().payouts
        };
        let times = [1_000, 1_001, 1_002, 90_000];
        assert_eq!(run(86_400, &times, 600), amounts(&[300, 200, 100, 0]));
        assert_eq!(run(0, &times, 600), amounts(&[400, 200, 0, 0]));
        assert_eq!(run(0, &[1_000, 1_001, 1_002, 1], 600), amounts(&[0, 200, 0, 400]));
        // One long window is the Shapley value. x is covered by A, T: 1/2 each; y by A, B, T: 1/3
        // each; z by B, C: 1/2 each. A 5/6, B 5/6, C 1/2, T 5/6 of 3.
        assert_eq!(run(1 << 40, &times, 1_800), amounts(&[500, 500, 300, 500]));
    }

    #[test]
    fn needs_times() {
        let game = coverage(&ABC);
        let pots = amounts(&[1]);
        let mut inputs = Inputs::new(3, &pots);
        inputs.side.game = Some(&game);
        let refusal = settle(rule(ENTRY.name, &[]).as_ref(), &inputs, &State::Fresh).unwrap_err();
        assert_eq!(refusal, Refusal::RuleNeeds { rule: ENTRY.name, input: "registration times" });
    }
}
