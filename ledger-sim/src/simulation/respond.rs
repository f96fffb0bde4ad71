//! Best responses: an agent that searches the size of its attack before the replica begins.

use std::cell::RefCell;

use crate::agents::{Phase, best_response};
use crate::random::Streams;
use crate::refusal::Refusal;
use crate::scenario::{Scenario, World};

use super::attack_gain;

/// Replicas that searches draw on, away from those that are reported.
const SEARCHED: u64 = 1 << 48;
const CONFIRMED: u64 = 1 << 49;

/// The world with every best responder replaced by the attack that pays it best, or by honesty
/// where none does. `None` where no agent searches.
pub(super) fn resolved(
    scenario: &Scenario,
    world: &World,
    replica: u64,
) -> Result<Option<World>, Refusal> {
    if !world.agents.iter().any(|agent| agent.largest().is_some()) {
        return Ok(None);
    }
    let mut answer = world.clone();
    for at in 0..world.agents.len() {
        let Some(largest) = world.agents[at].largest() else { continue };
        let refused = RefCell::new(None);
        let gain = |size: u64, phase: Phase| {
            let first = if phase == Phase::Search { SEARCHED } else { CONFIRMED };
            let streams = Streams::new(scenario.seed, first + replica);
            let mut tried = world.clone();
            tried.agents = vec![world.agents[at].resized(size)];
            match attack_gain(scenario, &tried, streams) {
                Ok(gain) => gain,
                Err(refusal) => {
                    refused.borrow_mut().get_or_insert(refusal);
                    f64::NEG_INFINITY
                }
            }
        };
        let found = best_response(largest, gain);
        if let Some(refusal) = refused.into_inner() {
            return Err(refusal);
        }
        answer.agents[at] = world.agents[at].resized(found.map_or(0, |found| found.size));
    }
    Ok(Some(answer))
}
