//! Scores held against retraining: subsets and removals.

use attribench_core::{EffectPair, Estimate, Scale};
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, s};

use super::{Maker, MeasureError, centred_interval, failed, group_sums, place, resamples};
use crate::{
    metrics::{LdsInput, calibration, lds, removal, sign_agreement},
    statistics::{Resamples, StatisticsError, reliability},
    truths::{MeasuredTruths, RemovalTruth, SubsetTruth},
};

/// Several sets of scores for the same examples and queries, and what retraining says of them.
pub struct Comparison<'a> {
    /// Truths, whose first columns are the queries.
    pub truths: &'a MeasuredTruths,
    /// Scores `(n, Q)` and what their unit is.
    pub scores: Vec<(ArrayView2<'a, f64>, Scale)>,
    /// Deviation of an effect that is nothing, by query; without it no signs are compared.
    pub floor: Option<Array1<f64>>,
    /// Number of queries, `Q`.
    pub queries: usize,
    /// Root seed of the bootstrap.
    pub seed: u64,
    /// Its draws.
    pub draws: usize,
}

/// One figure of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Which of the scores it is about; none for a property of the truth.
    pub scores: Option<usize>,
    /// The truth.
    pub truth: &'static str,
    /// The metric.
    pub metric: String,
    /// What it ranges over.
    pub grain: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// The figure.
    pub value: Estimate,
}

/// Figures of one truth as they are found.
struct Found {
    figures: Vec<Figure>,
    truth: &'static str,
    grain: &'static str,
}

impl Found {
    fn push(&mut self, scores: Option<usize>, metric: &str, unit: &'static str, value: Estimate) {
        let (metric, truth, grain) = (metric.to_owned(), self.truth, self.grain);
        self.figures.push(Figure { scores, truth, metric, grain, unit, value });
    }
}

impl Comparison<'_> {
    /// Every figure that the truths allow.
    ///
    /// # Errors
    /// When a statistic refuses its input.
    pub fn figures(&self) -> Result<Vec<Figure>, MeasureError> {
        let mut figures = match &self.truths.subsets {
            Some(truth) => self.subset_figures(truth)?,
            None => Vec::new(),
        };
        for truth in &self.truths.removals {
            figures.extend(self.removal_figures(truth)?);
        }
        Ok(figures)
    }

    fn resamples(&self, rows: usize, seeds: usize) -> Result<Resamples, MeasureError> {
        resamples(self.seed, self.draws, (rows, self.queries), seeds)
    }

    /// `(R, rows, Q)` from one matrix a seed.
    fn stacked(&self, by_seed: &[Array2<f64>]) -> Array3<f64> {
        let views: Vec<_> =
            by_seed.iter().map(|matrix| matrix.slice(s![.., ..self.queries])).collect();
        ndarray::stack(Axis(0), &views).expect("seeds have equal shapes")
    }

    fn subset_figures(&self, truth: &SubsetTruth) -> Result<Vec<Figure>, MeasureError> {
        let (seeds, subsets) = (truth.utilities.len(), truth.masks.nrows());
        let utilities = self.stacked(&truth.utilities);
        let resamples = self.resamples(subsets, seeds)?;
        let mut found = Found { figures: Vec::new(), truth: "subsets", grain: "example" };
        if seeds > 1 {
            let reliability =
                reliability(utilities.view(), &resamples).map_err(failed("noise ceiling"))?;
            found.push(None, "lds-ceiling", "correlation", reliability.ceiling().estimate());
        }
        let weights = truth.masks.mapv(|kept| if kept { 1.0 } else { 0.0 });
        let input = LdsInput { subsets: weights.view(), utilities: utilities.view() };
        let scores: Vec<_> = self.scores.iter().map(|(scores, _)| *scores).collect();
        let figures = lds(&input, &scores, &resamples).map_err(failed("lds"))?;
        for (index, lds) in figures.iter().enumerate() {
            found.push(Some(index), "lds", "correlation", lds.mean.estimate());
            for (metric, quantile) in ["lds-p10", "lds-p50", "lds-p90"].iter().zip(&lds.quantiles) {
                let counts = (quantile.estimate().n(), quantile.estimate().undefined());
                let draws = quantile.draws().to_vec();
                let value = centred_interval(quantile.point(), draws, counts, (-1.0, 1.0));
                found.push(Some(index), metric, "correlation", value);
            }
        }
        Ok(found.figures)
    }

    /// Predicted effect of each removal, `(groups, Q)`, by every set of scores.
    fn predictions(&self, truth: &RemovalTruth) -> Vec<Array2<f64>> {
        self.scores.iter().map(|(scores, _)| group_sums(*scores, &truth.groups)).collect()
    }

    fn removal_figures(&self, truth: &RemovalTruth) -> Result<Vec<Figure>, MeasureError> {
        let measured = self.stacked(&truth.effects);
        let resamples = self.resamples(truth.groups.len(), truth.effects.len())?;
        let predicted = self.predictions(truth);
        let (prefix, grain) = match truth.id {
            "leave-one-out" => ("loo", "example"),
            "game" => ("game", "contributor"),
            _ => ("contributor", "contributor"),
        };
        let mut found = Found { figures: Vec::new(), truth: truth.id, grain };
        let views: Vec<_> = predicted.iter().map(|matrix| matrix.view()).collect();
        let figures = removal(measured.view(), &views, &resamples).map_err(failed(truth.id))?;
        for (index, removal) in figures.iter().enumerate() {
            for (kind, value) in [("spearman", &removal.spearman), ("pearson", &removal.pearson)] {
                let metric = format!("{prefix}-{kind}");
                found.push(Some(index), &metric, "correlation", value.estimate());
            }
        }
        self.calibration_figures(&measured, &views, &resamples, &mut found)?;
        self.sign_figures(&measured, &views, &resamples, &mut found)?;
        Ok(found.figures)
    }

    /// Slope and share explained, of the scores that have a unit.
    fn calibration_figures(
        &self,
        measured: &Array3<f64>,
        predicted: &[ArrayView2<'_, f64>],
        resamples: &Resamples,
        found: &mut Found,
    ) -> Result<(), MeasureError> {
        let scales = self.scores.iter().map(|(_, scale)| scale).enumerate();
        let with_unit: Vec<usize> = scales
            .filter(|(_, scale)| **scale != Scale::Arbitrary)
            .map(|(index, _)| index)
            .collect();
        let views: Vec<_> = with_unit.iter().map(|&index| predicted[index]).collect();
        let lines = calibration(measured.view(), &views, resamples).map_err(failed(found.truth))?;
        for (&index, calibration) in with_unit.iter().zip(&lines) {
            let line = &calibration.pooled;
            found.push(Some(index), "calibration-slope", "ratio", line.slope.estimate());
            found.push(Some(index), "calibration-r2", "ratio", line.r2_identity.estimate());
        }
        Ok(())
    }

    fn sign_figures(
        &self,
        measured: &Array3<f64>,
        predicted: &[ArrayView2<'_, f64>],
        resamples: &Resamples,
        found: &mut Found,
    ) -> Result<(), MeasureError> {
        let Some(floor) = &self.floor else { return Ok(()) };
        let figures = match sign_agreement(measured.view(), predicted, floor.view(), resamples) {
            Ok(figures) => figures,
            // No effect stands above the noise: there is no sign to agree with, hence no row.
            Err(StatisticsError::TooFew { .. }) => return Ok(()),
            Err(error) => return Err(failed("sign agreement")(error)),
        };
        for (index, agreement) in figures.iter().enumerate() {
            found.push(Some(index), "sign-agreement", "share", agreement.share.estimate());
        }
        Ok(())
    }
}

impl Maker<'_> {
    pub(super) fn accuracy_rows(&mut self) -> Result<(), MeasureError> {
        let methods = 0..self.methods().len();
        let comparison = Comparison {
            truths: self.measurement.truths,
            scores: methods.map(|method| (self.scores(method), self.scale(method))).collect(),
            floor: Some(self.measurement.floor.of_effects(self.queries())),
            queries: self.queries(),
            seed: self.plan().spec.seed,
            draws: self.plan().spec.draws,
        };
        for figure in comparison.figures()? {
            let place = place(figure.truth, &figure.metric, figure.grain, figure.unit);
            match figure.scores {
                Some(method) => self.push_method(method, place, figure.value),
                None => self.push(None, "truth", place, figure.value),
            }
        }
        for truth in &self.measurement.truths.removals {
            let predicted = comparison.predictions(truth);
            self.effect_pairs(truth, &predicted);
        }
        Ok(())
    }

    fn effect_pairs(&mut self, truth: &RemovalTruth, predicted: &[Array2<f64>]) {
        let measured = truth.mean_effects();
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
