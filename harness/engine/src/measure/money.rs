//! Rows about payouts: scores settled in the books, against exact ones.

use attribench_core::{Estimate, Payout, Scale};
use ndarray::{Array2, ArrayView2, Axis, s};

use super::{Maker, MeasureError, centred_interval, group_sums, place};
use crate::{statistics::LEVEL, treasury::PayoutError};

impl Maker<'_> {
    pub(super) fn money_rows(&mut self) -> Result<(), MeasureError> {
        let plan = self.plan();
        let Some(money) = &plan.spec.money else { return Ok(()) };
        let reference = &money.value.reference;
        let position = |label: &str| self.methods().iter().position(|m| m.planned.label == label);
        let exact_scores = match position(reference) {
            Some(method) => self.contributor_scores(method, self.queries(), 0),
            // The reference gave no scores, which the record tells as a failure.
            None if plan.methods.iter().any(|method| method.label == *reference) => return Ok(()),
            None => {
                let truth = self
                    .measurement
                    .truths
                    .removals
                    .iter()
                    .find(|truth| truth.id == reference)
                    .expect("the plan has checked that this truth is measured");
                truth.mean_effects().slice(s![.., ..self.queries()]).to_owned()
            }
        };
        let exact = self.pay(reference, exact_scores.view())?;
        let draws = self.paid_draws(reference, &exact_scores)?;
        self.paid_by_round(None, &exact, &draws);
        for method in 0..self.methods().len() {
            let label = &self.methods()[method].planned.label;
            let Some(factor) = self.calibration_factor(method)? else { continue };
            let scores = self.contributor_scores(method, self.queries(), 0) * factor;
            let estimated = self.pay(label, scores.view())?;
            self.payouts(method, &exact, &estimated);
            let estimated_draws = self.paid_draws(label, &scores)?;
            self.paid_by_round(Some(method), &estimated, &estimated_draws);
            self.payout_error_rows(method, (&exact, &estimated), (&draws, &estimated_draws))?;
        }
        Ok(())
    }

    /// Sums over contributors of the columns `start..start + count`.
    fn contributor_scores(&self, method: usize, count: usize, start: usize) -> Array2<f64> {
        let train = &self.plan().train;
        let sums = self.methods()[method]
            .scored
            .scores
            .by_contributor(train.owners(), train.contributors().len());
        sums.slice(s![.., start..start + count]).to_owned()
    }

    /// What scores of arbitrary scale must be multiplied by: the least-squares factor of true on
    /// predicted removal effects of the tuning queries. 1 for scores that have a unit; `None` where
    /// nothing can tell the factor, or where it is not positive, and the method cannot be paid by.
    fn calibration_factor(&mut self, method: usize) -> Result<Option<f64>, MeasureError> {
        if self.scale(method) != Scale::Arbitrary {
            return Ok(Some(1.0));
        }
        let queries = self.queries();
        let tuning = self.plan().tuning_queries.as_ref().map_or(0, |set| set.len());
        // Contributors first: the factor is for their payouts.
        let Some(truth) = self.measurement.truths.removals.last() else { return Ok(None) };
        if tuning < 2 {
            return Ok(None);
        }
        let columns = s![.., queries..queries + tuning];
        let scores = self.methods()[method].scored.scores.values();
        let predicted = group_sums(scores.slice(columns), &truth.groups);
        let measured = truth.mean_effects();
        let measured = measured.slice(columns);
        let factor = least_squares_factor(predicted.view(), measured);
        // Every tuning query left out in its turn; the factor's deviation follows (Tukey 1958).
        let without = |query: usize| -> f64 {
            let others: Vec<usize> = (0..tuning).filter(|&other| other != query).collect();
            least_squares_factor(
                predicted.select(Axis(1), &others).view(),
                measured.select(Axis(1), &others).view(),
            )
        };
        let jackknife: Vec<f64> = (0..tuning).map(without).collect();
        if factor.is_finite() && jackknife.iter().all(|factor| factor.is_finite()) {
            let mean = jackknife.iter().sum::<f64>() / tuning as f64;
            let square: f64 = jackknife.iter().map(|factor| (factor - mean).powi(2)).sum();
            let reach = NORMAL_QUANTILE * (square * (tuning - 1) as f64 / tuning as f64).sqrt();
            let interval = (factor - reach, factor + reach);
            let value = Estimate::new(factor, interval.0, interval.1, LEVEL, tuning, 0);
            let grain = if truth.id == "leave-one-out" { "example" } else { "contributor" };
            let place = place(truth.id, "calibration-factor", grain, "ratio");
            self.push_method(method, place, value);
        }
        Ok((factor.is_finite() && factor > 0.0).then_some(factor))
    }

    fn pay(&self, label: &str, scores: ArrayView2<'_, f64>) -> Result<Vec<u64>, MeasureError> {
        let spec = &self.plan().spec;
        let money = &spec.money.as_ref().expect("paying needs `money`").value;
        let treasury = self.measurement.treasury;
        treasury
            .settle(&money.rule, scores, money.tokens, spec.seed)
            .map_err(|reason| MeasureError::Payout { label: label.to_owned(), reason })
    }

    /// Payouts for resampled streams of queries; the same streams for every method.
    fn paid_draws(&self, label: &str, scores: &Array2<f64>) -> Result<Vec<Vec<u64>>, MeasureError> {
        let resamples = self.query_resamples()?;
        (0..PAYOUT_DRAWS.min(resamples.plan().draws))
            .map(|draw| {
                let columns: Vec<usize> = resamples
                    .column_counts(draw)
                    .iter()
                    .enumerate()
                    .flat_map(|(query, &count)| std::iter::repeat_n(query, count as usize))
                    .collect();
                self.pay(label, scores.select(Axis(1), &columns).view())
            })
            .collect()
    }

    fn payouts(&mut self, method: usize, exact: &[u64], estimated: &[u64]) {
        let plan = self.plan();
        let money = &plan.spec.money.as_ref().expect("paying needs `money`").value;
        for (contributor, name) in plan.train.contributors().iter().enumerate() {
            let owns = |owner: &&u32| **owner as usize == contributor;
            self.record.payouts.push(Payout {
                method: self.methods()[method].planned.label.clone(),
                access: self.methods()[method].planned.level(),
                rule: money.rule.clone(),
                reference: money.reference.clone(),
                contributor: name.clone(),
                examples: plan.train.owners().iter().filter(owns).count(),
                exact: exact[contributor],
                estimated: estimated[contributor],
            });
        }
    }

    fn payout_error_rows(
        &mut self,
        method: usize,
        (exact, estimated): (&[u64], &[u64]),
        (exact_draws, estimated_draws): (&[Vec<u64>], &[Vec<u64>]),
    ) -> Result<(), MeasureError> {
        let plan = self.plan();
        let label = &self.methods()[method].planned.label;
        let compare = |exact: &[u64], estimated: &[u64]| {
            let treasury = self.measurement.treasury;
            treasury
                .compare(exact, estimated)
                .map_err(|reason| MeasureError::Payout { label: label.clone(), reason })
        };
        let point = compare(exact, estimated)?;
        let draws: Vec<PayoutError> = exact_draws
            .iter()
            .zip(estimated_draws)
            .map(|(exact, estimated)| compare(exact, estimated))
            .collect::<Result<_, _>>()?;
        type Part = fn(&PayoutError) -> Option<f64>;
        let money = &plan.spec.money.as_ref().expect("paying needs `money`").value;
        let (share, tokens) = ((0.0, 1.0), (0.0, money.tokens as f64));
        let parts: [(&str, &str, (f64, f64), Part); 5] = [
            ("mispaid-share", "share", share, |error| error.mispaid_share),
            ("mispaid-tokens", "tokens", tokens, |error| Some(error.mispaid_tokens)),
            ("largest-underpayment", "tokens", tokens, |error| Some(error.largest_underpayment)),
            ("false-positive-share", "share", share, |error| error.false_positive_share),
            ("payout-rank-correlation", "correlation", (-1.0, 1.0), |error| error.rank_correlation),
        ];
        let truth = money.reference.clone();
        for (metric, unit, range, part) in parts {
            let values: Vec<f64> = draws.iter().filter_map(part).collect();
            // A payout that is undefined for the real stream has no row.
            let (Some(value), false) = (part(&point), values.is_empty()) else { continue };
            let undefined = draws.len() - values.len();
            let counts = (self.queries(), undefined);
            let estimate = centred_interval(value, values, counts, range);
            self.push_method(method, place(&truth, metric, "contributor", unit), estimate);
        }
        Ok(())
    }
}

/// Resampled streams that are settled for the interval of a payout error: each is a whole run of
/// the books, so fewer than for a correlation.
const PAYOUT_DRAWS: usize = 400;

/// Two-sided 95 % quantile of the normal distribution.
const NORMAL_QUANTILE: f64 = 1.959_963_984_540_054;

/// `sum(y x) / sum(x x)`: what predictions `x` must be multiplied by to meet measurements `y` best.
fn least_squares_factor(predicted: ArrayView2<'_, f64>, measured: ArrayView2<'_, f64>) -> f64 {
    let product: f64 = predicted.iter().zip(&measured).map(|(p, m)| p * m).sum();
    let square: f64 = predicted.iter().map(|p| p * p).sum();
    product / square
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::least_squares_factor;

    #[test]
    fn factors_by_hand() {
        // (1 * 2 + 2 * 4 + 3 * 9) / (1 + 4 + 9) = 37 / 14
        let (predicted, measured) = (array![[1.0, 2.0, 3.0]], array![[2.0, 4.0, 9.0]]);
        let factor = least_squares_factor(predicted.view(), measured.view());
        assert!((factor - 37.0 / 14.0).abs() < 1e-15);
    }
}
