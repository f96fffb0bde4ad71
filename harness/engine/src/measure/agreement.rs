//! Which methods order the training examples alike, whatever the truth.

use attribench_core::Agreement;

use super::{Maker, MeasureError, failed};
use crate::metrics::agreement;

impl Maker<'_> {
    pub(super) fn agreements(&mut self) -> Result<(), MeasureError> {
        let scores: Vec<_> = (0..self.methods().len()).map(|method| self.scores(method)).collect();
        let resamples = self.query_resamples()?;
        let found = agreement(&scores, &resamples).map_err(failed("agreement of methods"))?;
        let label = |method: usize| self.methods()[method].planned.label.clone();
        let agreements = found.into_iter().map(|pair| Agreement {
            methods: pair.methods.map(label),
            correlation: pair.mean.estimate(),
        });
        self.record.agreements = agreements.collect();
        Ok(())
    }
}
