//! Rows about wrong labels that were planted.

use ndarray::Axis;

use super::{Maker, MeasureError, failed, place};
use crate::{
    metrics::mislabel,
    statistics::{Plan as ResamplePlan, Resamples, Seeds},
};

impl Maker<'_> {
    /// Wrong labels, suspected by their mean value over the queries: the lower, the more suspect.
    pub(super) fn mislabel_rows(&mut self) -> Result<(), MeasureError> {
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
        .map_err(failed("mislabels"))?;
        for method in 0..self.methods().len() {
            let value = self.scores(method).mean_axis(Axis(1)).expect("at least one query");
            let suspicion = -value;
            let found =
                mislabel(suspicion.view(), &planted, &resamples).map_err(failed("mislabels"))?;
            for (metric, value) in
                [("mislabel-auc", &found.auc), ("mislabel-ap", &found.average_precision)]
            {
                let place = place("answer-key", metric, "example", "share");
                self.push_method(method, place, value.estimate());
            }
        }
        Ok(())
    }
}
