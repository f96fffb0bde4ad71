//! Rows about who came when, where contributors come in rounds.

use ndarray::s;

use super::{Maker, MeasureError, centred_interval, place};
use crate::rounds::Rounds;

impl Maker<'_> {
    fn rounds(&self) -> Option<&Rounds> {
        self.plan().spec.training.value.rounds.as_ref()
    }

    /// Contributors of each round.
    fn contributors_by_round(&self, rounds: &Rounds) -> Vec<Vec<usize>> {
        let contributors = self.plan().train.contributors().len();
        let mut by_round = vec![Vec::new(); rounds.count];
        for contributor in 0..contributors {
            by_round[rounds.round_of(contributor, contributors)].push(contributor);
        }
        by_round
    }

    /// What the utility of a query loses without a contributor, summed over those of a round.
    pub(super) fn round_rows(&mut self) -> Result<(), MeasureError> {
        let Some(rounds) = self.rounds() else { return Ok(()) };
        let by_round = self.contributors_by_round(rounds);
        let truths = self.measurement.truths.removals.iter();
        let Some(truth) = truths.clone().find(|truth| truth.id == "leave-contributor-out") else {
            return Ok(());
        };
        // Where only some were left out, a sum over the others says nothing.
        if truth.groups.len() != self.plan().train.contributors().len() {
            return Ok(());
        }
        let effects = truth.mean_effects();
        let effects = effects.slice(s![.., ..self.queries()]);
        for (round, contributors) in by_round.iter().enumerate() {
            let sums: Vec<f64> = effects
                .columns()
                .into_iter()
                .map(|query| contributors.iter().map(|&contributor| query[contributor]).sum())
                .collect();
            let mean = self.mean_over_queries(&sums)?;
            let place = place(truth.id, "effect-of-round", "contributor", "nats");
            self.push(None, &label(round), place, mean);
        }
        Ok(())
    }

    /// Shares of the pool by round, from payouts and those of resampled streams of queries; of the
    /// reference where no method is named.
    pub(super) fn paid_by_round(
        &mut self,
        method: Option<usize>,
        paid: &[u64],
        draws: &[Vec<u64>],
    ) {
        let Some(rounds) = self.rounds() else { return };
        let pool = self.plan().spec.money.as_ref().map_or(0, |money| money.value.tokens);
        for (round, contributors) in self.contributors_by_round(rounds).iter().enumerate() {
            let share = |paid: &[u64]| {
                let sum: u64 = contributors.iter().map(|&contributor| paid[contributor]).sum();
                sum as f64 / pool as f64
            };
            let shares = draws.iter().map(|paid| share(paid)).collect();
            let value = centred_interval(share(paid), shares, (self.queries(), 0), (0.0, 1.0));
            let label = label(round);
            let place = place(&label, "paid-share", "contributor", "share");
            match method {
                Some(method) => self.push_method(method, place, value),
                None => self.push(None, "truth", place, value),
            }
        }
    }
}

/// Name of a round in rows, from 1.
pub(crate) fn label(round: usize) -> String {
    format!("round-{}", round + 1)
}
