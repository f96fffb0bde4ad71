//! From scores and truths to rows, each with its interval.

use attribench_core::{EffectPair, Estimate, Payout, Record, Row, Scale};
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, s};
use thiserror::Error;

use crate::{
    metrics::{LdsInput, calibration, lds, mislabel, removal, sign_agreement},
    plan::Plan,
    progress::Progress,
    scoring::Scored,
    statistics::{LEVEL, Plan as ResamplePlan, Resamples, Seeds, StatisticsError, reliability},
    treasury::{PayoutError, Treasury},
    truths::{MeasuredTruths, RemovalTruth},
};

/// Why a measurement could not be made.
#[derive(Debug, Error)]
pub enum MeasureError {
    /// A statistic refused its input.
    #[error("{what}: {source}")]
    Statistics {
        /// Which measurement.
        what: String,
        /// What it said.
        source: StatisticsError,
    },
    /// The books of a payout refused.
    #[error("paying by `{label}`: {reason}")]
    Payout {
        /// Whose scores.
        label: String,
        /// What the treasury said.
        reason: String,
    },
}

/// How much utilities differ between runs that start one unit in the last place apart.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseFloor {
    utilities: Array2<f64>,
}

impl NoiseFloor {
    /// From utilities of the run and its perturbed copies, `(runs, all queries)`.
    pub fn new(utilities: Array2<f64>) -> Self {
        Self { utilities }
    }

    /// Standard deviation of an effect that is nothing: of the difference of two such runs, by
    /// query.
    fn of_effects(&self, queries: usize) -> Array1<f64> {
        let utilities = self.utilities.slice(s![.., ..queries]);
        utilities.std_axis(Axis(0), 1.0) * 2f64.sqrt()
    }
}

/// All that rows are made from.
pub struct Measurement<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Truths, with a column for each query and, after them, each tuning query.
    pub truths: &'a MeasuredTruths,
    /// Scores of each method of the plan, columns likewise.
    pub scored: &'a [Scored],
    /// Noise floor, columns likewise.
    pub floor: &'a NoiseFloor,
    /// Whether the run is right about each query, for classes.
    pub accuracy: Option<Vec<f64>>,
    /// Who pays.
    pub treasury: &'a dyn Treasury,
}

/// Makes the record.
///
/// # Errors
/// When a statistic or the treasury refuses.
pub fn measure(
    measurement: &Measurement<'_>,
    progress: &dyn Progress,
) -> Result<Record, MeasureError> {
    let spec = &measurement.plan.spec;
    let mut maker = Maker {
        measurement,
        record: Record {
            question: spec.question.clone(),
            prediction: spec.prediction.clone(),
            ..Record::default()
        },
    };
    progress.begin("measuring", 6);
    maker.run_rows()?;
    progress.advance(1);
    maker.subset_rows()?;
    progress.advance(1);
    maker.removal_rows()?;
    progress.advance(1);
    maker.mislabel_rows()?;
    progress.advance(1);
    maker.cost_rows()?;
    progress.advance(1);
    maker.money_rows()?;
    progress.end();
    let conditions = &measurement.plan.conditions;
    maker.record.verdicts =
        conditions.iter().map(|condition| condition.check(&maker.record.rows)).collect();
    Ok(maker.record)
}

struct Maker<'a> {
    measurement: &'a Measurement<'a>,
    record: Record,
}

/// Where a number belongs: truth, metric, grain, unit.
#[derive(Clone, Copy)]
struct Place<'p> {
    truth: &'p str,
    metric: &'p str,
    grain: &'p str,
    unit: &'p str,
}

fn place<'p>(truth: &'p str, metric: &'p str, grain: &'p str, unit: &'p str) -> Place<'p> {
    Place { truth, metric, grain, unit }
}

impl<'a> Maker<'a> {
    fn plan(&self) -> &'a Plan {
        self.measurement.plan
    }

    fn queries(&self) -> usize {
        self.plan().queries.len()
    }

    fn push(&mut self, method: Option<usize>, name: &str, place: Place<'_>, value: Estimate) {
        let plan = self.plan();
        self.record.rows.push(Row {
            experiment: plan.spec.name.value.clone(),
            dataset: plan.train.name().to_owned(),
            model: plan.spec.model.value.name.clone(),
            method: name.to_owned(),
            access: method.map(|index| plan.methods[index].method.level()),
            truth: place.truth.to_owned(),
            metric: place.metric.to_owned(),
            grain: place.grain.to_owned(),
            unit: place.unit.to_owned(),
            value,
            settings_tried: 1,
        });
    }

    fn push_method(&mut self, method: usize, place: Place<'_>, value: Estimate) {
        let label = &self.plan().methods[method].label;
        self.push(Some(method), label, place, value);
    }

    fn resamples(&self, rows: usize, seeds: usize) -> Result<Resamples, MeasureError> {
        let spec = &self.plan().spec;
        let plan = ResamplePlan {
            seed: spec.seed,
            rows,
            columns: self.queries(),
            draws: spec.draws,
            // Few seeds drawn with replacement repeat themselves, which shifts a correlation down
            // instead of widening its interval; the interval then holds for the seeds that ran.
            seeds: if seeds >= 5 { Seeds::Crossed(seeds) } else { Seeds::Fixed },
        };
        Resamples::new(plan).map_err(self.failed("resampling"))
    }

    fn failed(&self, what: &str) -> impl Fn(StatisticsError) -> MeasureError + use<> {
        let what = what.to_owned();
        move |source| MeasureError::Statistics { what: what.clone(), source }
    }

    /// Draws of queries alone, the same for every method.
    fn query_resamples(&self) -> Result<Resamples, MeasureError> {
        // Two rows are the fewest that resamples have; nothing here reads them.
        self.resamples(2, 1)
    }

    /// Mean over queries with a bootstrap over queries.
    fn mean_over_queries(&self, values: &[f64]) -> Result<Estimate, MeasureError> {
        let resamples = self.query_resamples()?;
        let draws = (0..resamples.plan().draws)
            .map(|draw| {
                let counts = resamples.column_counts(draw);
                let sum: f64 = counts.iter().zip(values).map(|(&c, v)| f64::from(c) * v).sum();
                sum / values.len() as f64
            })
            .collect();
        let point = values.iter().sum::<f64>() / values.len() as f64;
        Ok(self.interval(point, draws, values.len(), 0))
    }

    /// A percentile interval at the level of all intervals.
    fn interval(&self, point: f64, mut draws: Vec<f64>, n: usize, undefined: usize) -> Estimate {
        draws.sort_by(f64::total_cmp);
        let tail = (1.0 - LEVEL) / 2.0;
        let at = |probability| crate::statistics::quantile(&draws, probability);
        Estimate::new(point, at(tail), at(1.0 - tail), LEVEL, n, undefined)
    }

    /// As [`Self::interval`], moved by the bootstrap's own estimate of bias, and kept in `range`.
    ///
    /// A distance of payouts only grows when noise is added, and the spread of a score over queries
    /// does too, so that every draw may lie on one side of the point; what the draws tell is how
    /// wide the interval is, not where.
    fn centred_interval(
        &self,
        point: f64,
        draws: Vec<f64>,
        (n, undefined): (usize, usize),
        (least, most): (f64, f64),
    ) -> Estimate {
        let bias = draws.iter().sum::<f64>() / draws.len() as f64 - point;
        let moved = draws.iter().map(|draw| (draw - bias).clamp(least, most)).collect();
        let interval = self.interval(point, moved, n, undefined);
        let (lower, upper) = (interval.lower().min(point), interval.upper().max(point));
        Estimate::new(point, lower, upper, LEVEL, n, undefined)
    }

    /// Scores of a method at the queries, `(n, Q)`.
    fn scores(&self, method: usize) -> ArrayView2<'a, f64> {
        let values = self.measurement.scored[method].scores.values();
        values.slice_move(s![.., ..self.queries()])
    }

    fn scale(&self, method: usize) -> Scale {
        self.measurement.scored[method].scores.scale()
    }

    fn run_rows(&mut self) -> Result<(), MeasureError> {
        if let Some(right) = &self.measurement.accuracy {
            let accuracy = self.mean_over_queries(right)?;
            self.push(None, "run", place("none", "query-accuracy", "run", "share"), accuracy);
        }
        let floor = self.measurement.floor.of_effects(self.queries());
        let floor = self.mean_over_queries(&floor.to_vec())?;
        self.push(None, "run", place("none", "noise-floor", "run", "nats"), floor);
        for method in 0..self.plan().methods.len() {
            let accounts = self.measurement.scored[method].accounts.clone();
            let of = |name: &str| accounts.iter().find(|(found, _)| found == name);
            for (name, values) in &accounts {
                let mean = self.mean_over_queries(&values[..self.queries()])?;
                let metric = format!("account-{name}");
                self.push_method(method, place("none", &metric, "run", "nats"), mean);
            }
            if let (Some((_, rounding)), Some((_, gain))) = (of("rounding"), of("gain")) {
                let residual = rounding[..self.queries()]
                    .iter()
                    .zip(gain)
                    .map(|(rounding, gain)| rounding.abs() / gain.abs().max(1.0))
                    .fold(0.0, f64::max);
                let place = place("none", "ledger-residual", "run", "relative");
                self.push_method(method, place, Estimate::exact(residual));
            }
        }
        Ok(())
    }

    fn subset_rows(&mut self) -> Result<(), MeasureError> {
        let Some(truth) = &self.measurement.truths.subsets else { return Ok(()) };
        let (seeds, subsets) = (truth.utilities.len(), truth.masks.nrows());
        let utilities = self.stacked(&truth.utilities);
        let resamples = self.resamples(subsets, seeds)?;
        if seeds > 1 {
            let reliability =
                reliability(utilities.view(), &resamples).map_err(self.failed("noise ceiling"))?;
            let place = place("subsets", "lds-ceiling", "example", "correlation");
            self.push(None, "truth", place, reliability.ceiling().estimate());
        }
        let weights = truth.masks.mapv(|kept| if kept { 1.0 } else { 0.0 });
        let input = LdsInput { subsets: weights.view(), utilities: utilities.view() };
        let methods = self.plan().methods.len();
        let scores: Vec<_> = (0..methods).map(|method| self.scores(method)).collect();
        let found = lds(&input, &scores, &resamples).map_err(self.failed("lds"))?;
        for (method, lds) in found.iter().enumerate() {
            let place_of = |metric| place("subsets", metric, "example", "correlation");
            self.push_method(method, place_of("lds"), lds.mean.estimate());
            for (metric, quantile) in ["lds-p10", "lds-p50", "lds-p90"].iter().zip(&lds.quantiles) {
                let counts = (quantile.estimate().n(), quantile.estimate().undefined());
                let draws = quantile.draws().to_vec();
                let value = self.centred_interval(quantile.point(), draws, counts, (-1.0, 1.0));
                self.push_method(method, place_of(metric), value);
            }
        }
        Ok(())
    }

    /// `(R, rows, Q)` from one matrix a seed, without the tuning queries.
    fn stacked(&self, by_seed: &[Array2<f64>]) -> Array3<f64> {
        let views: Vec<_> =
            by_seed.iter().map(|matrix| matrix.slice(s![.., ..self.queries()])).collect();
        ndarray::stack(Axis(0), &views).expect("seeds have equal shapes")
    }

    fn removal_rows(&mut self) -> Result<(), MeasureError> {
        for truth in &self.measurement.truths.removals {
            self.removal_truth_rows(truth)?;
        }
        Ok(())
    }

    fn removal_truth_rows(&mut self, truth: &RemovalTruth) -> Result<(), MeasureError> {
        let measured = self.stacked(&truth.effects);
        let resamples = self.resamples(truth.groups.len(), truth.effects.len())?;
        let methods = self.plan().methods.len();
        let predicted: Vec<Array2<f64>> =
            (0..methods).map(|method| group_sums(self.scores(method), &truth.groups)).collect();
        let (prefix, grain) = match truth.id {
            "leave-one-out" => ("loo", "example"),
            _ => ("contributor", "contributor"),
        };
        let views: Vec<_> = predicted.iter().map(|matrix| matrix.view()).collect();
        let found = removal(measured.view(), &views, &resamples).map_err(self.failed(truth.id))?;
        for (method, removal) in found.iter().enumerate() {
            for (kind, value) in [("spearman", &removal.spearman), ("pearson", &removal.pearson)] {
                let metric = format!("{prefix}-{kind}");
                let place = place(truth.id, &metric, grain, "correlation");
                self.push_method(method, place, value.estimate());
            }
        }
        let with_unit: Vec<usize> =
            (0..methods).filter(|&method| self.scale(method) != Scale::Arbitrary).collect();
        let views: Vec<_> = with_unit.iter().map(|&method| predicted[method].view()).collect();
        let lines =
            calibration(measured.view(), &views, &resamples).map_err(self.failed(truth.id))?;
        for (&method, calibration) in with_unit.iter().zip(&lines) {
            let line = &calibration.pooled;
            for (metric, value) in
                [("calibration-slope", &line.slope), ("calibration-r2", &line.r2_identity)]
            {
                self.push_method(method, place(truth.id, metric, grain, "ratio"), value.estimate());
            }
        }
        self.sign_rows(truth, &measured, &predicted, &resamples, grain)?;
        self.effect_pairs(truth, &measured, &predicted);
        Ok(())
    }

    fn sign_rows(
        &mut self,
        truth: &RemovalTruth,
        measured: &Array3<f64>,
        predicted: &[Array2<f64>],
        resamples: &Resamples,
        grain: &str,
    ) -> Result<(), MeasureError> {
        let floor = self.measurement.floor.of_effects(self.queries());
        let views: Vec<_> = predicted.iter().map(|matrix| matrix.view()).collect();
        let found = match sign_agreement(measured.view(), &views, floor.view(), resamples) {
            Ok(found) => found,
            // No effect stands above the noise: there is no sign to agree with, hence no row.
            Err(StatisticsError::TooFew { .. }) => return Ok(()),
            Err(error) => return Err(self.failed("sign agreement")(error)),
        };
        for (method, agreement) in found.iter().enumerate() {
            let place = place(truth.id, "sign-agreement", grain, "share");
            self.push_method(method, place, agreement.share.estimate());
        }
        Ok(())
    }

    fn effect_pairs(
        &mut self,
        truth: &RemovalTruth,
        measured: &Array3<f64>,
        predicted: &[Array2<f64>],
    ) {
        let measured = measured.mean_axis(Axis(0)).expect("at least one seed");
        let plan = self.plan();
        for (planned, predicted) in plan.methods.iter().zip(predicted) {
            for ((group, query), &value) in predicted.indexed_iter() {
                self.record.effects.push(EffectPair {
                    method: planned.label.clone(),
                    truth: truth.id.to_owned(),
                    removed: truth.names[group].clone(),
                    query: plan.queries.ids()[query].0,
                    predicted: value,
                    measured: measured[(group, query)],
                });
            }
        }
    }

    /// Wrong labels, suspected by their mean value over the queries: the lower, the more suspect.
    fn mislabel_rows(&mut self) -> Result<(), MeasureError> {
        let plan = self.plan();
        let flips = plan.answer_key.flips();
        if flips.is_empty() {
            return Ok(());
        }
        let planted: Vec<bool> = plan.train.ids().iter().map(|id| flips.contains_key(id)).collect();
        let positives = planted.iter().filter(|&&planted| planted).count();
        let resamples = Resamples::new(ResamplePlan {
            seed: plan.spec.seed,
            rows: positives,
            columns: planted.len() - positives,
            draws: plan.spec.draws,
            seeds: Seeds::Fixed,
        })
        .map_err(self.failed("mislabels"))?;
        for method in 0..plan.methods.len() {
            let value = self.scores(method).mean_axis(Axis(1)).expect("at least one query");
            let suspicion = -value;
            let found = mislabel(suspicion.view(), &planted, &resamples)
                .map_err(self.failed("mislabels"))?;
            for (metric, value) in
                [("mislabel-auc", &found.auc), ("mislabel-ap", &found.average_precision)]
            {
                let place = place("answer-key", metric, "example", "share");
                self.push_method(method, place, value.estimate());
            }
        }
        Ok(())
    }

    fn cost_rows(&mut self) -> Result<(), MeasureError> {
        for method in 0..self.plan().methods.len() {
            let scored = &self.measurement.scored[method];
            let bytes = (scored.scores.values().len() * size_of::<f64>()) as u64;
            let counts = [
                ("forwards", scored.cost.forwards, "examples"),
                ("gradients", scored.cost.gradients, "examples"),
                ("tangents", scored.cost.tangents, "examples"),
                ("curvature-products", scored.cost.curvature_products, "examples"),
                ("replayed-steps", scored.cost.replayed_steps, "steps"),
                ("retrainings", scored.cost.trainings, "models"),
                ("score-bytes", bytes, "bytes"),
            ];
            for (metric, count, unit) in counts {
                let place = place("none", metric, "run", unit);
                self.push_method(method, place, Estimate::exact(count as f64));
            }
        }
        Ok(())
    }

    fn money_rows(&mut self) -> Result<(), MeasureError> {
        let plan = self.plan();
        let Some(money) = &plan.spec.money else { return Ok(()) };
        let reference = &money.value.reference;
        let exact_scores = match plan.methods.iter().position(|m| m.label == *reference) {
            Some(method) => self.contributor_scores(method, self.queries(), 0),
            None => {
                let truth = self
                    .measurement
                    .truths
                    .removals
                    .iter()
                    .find(|truth| truth.id == "leave-contributor-out")
                    .expect("the plan has checked that this truth is measured");
                truth.mean_effects().slice(s![.., ..self.queries()]).to_owned()
            }
        };
        let exact = self.pay(reference, exact_scores.view())?;
        let draws = self.paid_draws(reference, &exact_scores)?;
        for method in 0..plan.methods.len() {
            let label = &plan.methods[method].label;
            let Some(factor) = self.calibration_factor(method)? else { continue };
            let scores = self.contributor_scores(method, self.queries(), 0) * factor;
            let estimated = self.pay(label, scores.view())?;
            self.payouts(method, &exact, &estimated);
            let estimated_draws = self.paid_draws(label, &scores)?;
            self.payout_error_rows(method, (&exact, &estimated), (&draws, &estimated_draws))?;
        }
        Ok(())
    }

    /// Sums over contributors of the columns `start..start + count`.
    fn contributor_scores(&self, method: usize, count: usize, start: usize) -> Array2<f64> {
        let train = &self.plan().train;
        let sums = self.measurement.scored[method]
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
        let scores = self.measurement.scored[method].scores.values();
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
                method: plan.methods[method].label.clone(),
                access: plan.methods[method].method.level(),
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
        let label = &plan.methods[method].label;
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
            let estimate = self.centred_interval(value, values, counts, range);
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

/// Sums of rows: `(n, q)` and groups of rows -> `(groups, q)`.
fn group_sums(scores: ArrayView2<'_, f64>, groups: &[Vec<usize>]) -> Array2<f64> {
    let mut sums = Array2::zeros((groups.len(), scores.ncols()));
    for (mut sum, group) in sums.outer_iter_mut().zip(groups) {
        for &row in group {
            sum += &scores.row(row);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::{NoiseFloor, group_sums, least_squares_factor};

    #[test]
    fn groups_are_summed() {
        let scores = array![[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]];
        let sums = group_sums(scores.view(), &[vec![0, 2], vec![1], vec![]]);
        assert_eq!(sums, array![[101.0, 202.0], [10.0, 20.0], [0.0, 0.0]]);
    }

    #[test]
    fn factors_by_hand() {
        // (1 * 2 + 2 * 4 + 3 * 9) / (1 + 4 + 9) = 37 / 14
        let (predicted, measured) = (array![[1.0, 2.0, 3.0]], array![[2.0, 4.0, 9.0]]);
        let factor = least_squares_factor(predicted.view(), measured.view());
        assert!((factor - 37.0 / 14.0).abs() < 1e-15);
    }

    #[test]
    fn the_floor_is_the_deviation_of_a_difference() {
        // Utilities 0, 2 of one query: variance 2, and twice that for a difference.
        let floor = NoiseFloor::new(array![[0.0, 9.0], [2.0, 9.0]]);
        let found = floor.of_effects(1);
        assert_eq!(found.len(), 1);
        assert!((found[0] - 2.0).abs() < 1e-14);
    }
}
