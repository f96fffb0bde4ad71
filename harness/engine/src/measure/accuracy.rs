//! Rows that compare scores with retraining: subsets and removals.

use attribench_core::{EffectPair, Scale};
use ndarray::{Array2, Array3, Axis, s};

use super::{Maker, MeasureError, group_sums, place};
use crate::{
    metrics::{LdsInput, calibration, lds, removal, sign_agreement},
    statistics::{Resamples, StatisticsError, reliability},
    truths::RemovalTruth,
};

impl Maker<'_> {
    pub(super) fn subset_rows(&mut self) -> Result<(), MeasureError> {
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
        let methods = self.methods().len();
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

    pub(super) fn removal_rows(&mut self) -> Result<(), MeasureError> {
        for truth in &self.measurement.truths.removals {
            self.removal_truth_rows(truth)?;
        }
        Ok(())
    }

    fn removal_truth_rows(&mut self, truth: &RemovalTruth) -> Result<(), MeasureError> {
        let measured = self.stacked(&truth.effects);
        let resamples = self.resamples(truth.groups.len(), truth.effects.len())?;
        let methods = self.methods().len();
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
        for (attributed, predicted) in self.methods().iter().zip(predicted) {
            for ((group, query), &value) in predicted.indexed_iter() {
                self.record.effects.push(EffectPair {
                    method: attributed.planned.label.clone(),
                    truth: truth.id.to_owned(),
                    removed: truth.names[group].clone(),
                    query: plan.queries.ids()[query].0,
                    predicted: value,
                    measured: measured[(group, query)],
                });
            }
        }
    }
}
