//! How time passes: epoch by epoch over flat arrays, or event by event from a heap. Both do the
//! same things in the same order, and a test compares their journals.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::money::Amount;
use crate::refusal::Refusal;
use crate::scenario::Engine;

use super::arm::{Arm, Stage};
use super::requests::Query;

/// Runs all epochs of an arm.
pub(super) fn run(stage: &Stage<'_>, arm: &mut Arm<'_>) -> Result<(), Refusal> {
    match stage.clock.engine {
        Engine::Epochs => by_epochs(stage, arm),
        Engine::Events => by_events(stage, arm),
    }
}

fn by_epochs(stage: &Stage<'_>, arm: &mut Arm<'_>) -> Result<(), Refusal> {
    for epoch in 0..stage.clock.epochs {
        let requests = arm.begin(epoch)?;
        let period = arm.period(requests.queries.len());
        let mut subscription = requests.subscription;
        for queries in requests.queries.chunks(period) {
            arm.settle(epoch, queries, subscription)?;
            // A subscription is paid once an epoch, with its first settlement.
            subscription = Amount::ZERO;
        }
        if requests.queries.is_empty() && !subscription.is_zero() {
            arm.settle(epoch, &[], subscription)?;
        }
        arm.end(epoch)?;
    }
    Ok(())
}

/// What can happen, in the order in which simultaneous events happen.
#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    Begin,
    Arrive(Query),
    End,
}

impl What {
    fn priority(&self) -> u8 {
        match self {
            Self::Begin => 0,
            Self::Arrive(_) => 1,
            Self::End => 2,
        }
    }
}

/// An event: epoch first, so that the last moment of an epoch is not the first of the next.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Event {
    epoch: u32,
    time: f64,
    number: u64,
    what: What,
}

impl Eq for Event {}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then(self.time.total_cmp(&other.time))
            .then(self.what.priority().cmp(&other.what.priority()))
            .then(self.number.cmp(&other.number))
    }
}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn by_events(stage: &Stage<'_>, arm: &mut Arm<'_>) -> Result<(), Refusal> {
    let days = stage.clock.epoch_days;
    let mut heap = BinaryHeap::new();
    heap.push(Reverse(Event { epoch: 0, time: 0.0, number: 0, what: What::Begin }));
    let (mut waiting, mut period, mut subscription) = (vec![], 1, Amount::ZERO);
    while let Some(Reverse(Event { epoch, what, .. })) = heap.pop() {
        match what {
            What::Begin => {
                let requests = arm.begin(epoch)?;
                period = arm.period(requests.queries.len());
                subscription = requests.subscription;
                for (number, query) in (0u64..).zip(&requests.queries) {
                    let what = What::Arrive(*query);
                    heap.push(Reverse(Event { epoch, time: query.time, number, what }));
                }
                let time = f64::from(epoch + 1) * days;
                heap.push(Reverse(Event { epoch, time, number: 0, what: What::End }));
            }
            What::Arrive(query) => {
                waiting.push(query);
                if waiting.len() == period {
                    arm.settle(epoch, &waiting, std::mem::take(&mut subscription))?;
                    waiting.clear();
                }
            }
            What::End => {
                if !waiting.is_empty() || !subscription.is_zero() {
                    arm.settle(epoch, &waiting, std::mem::take(&mut subscription))?;
                    waiting.clear();
                }
                arm.end(epoch)?;
                if epoch + 1 < stage.clock.epochs {
                    let time = f64::from(epoch + 1) * days;
                    let next = Event { epoch: epoch + 1, time, number: 0, what: What::Begin };
                    heap.push(Reverse(next));
                }
            }
        }
    }
    Ok(())
}
