//! Chooses among the settings of a method, on queries and subsets that no reported number reads.
//!
//! Every setting scores the tuning queries; the one with the highest mean linear datamodelling
//! score on the tuning subsets is taken, the first of several. All trials go into the record, with
//! their intervals: the best of a grid looks better than it is on the data that it was chosen on.

use attribench_core::{FitReal, Queries, Run, Trial, TrialOutcome};
use ndarray::{Array3, Axis, s};

use crate::{
    metrics::{LdsInput, lds},
    plan::PlannedMethod,
    scoring::{ScoringError, score},
    statistics::{Plan as ResamplePlan, Resamples, Seeds, StatisticsError},
    store::{Key, Store},
    truths::SubsetTruth,
};

/// What settings are chosen by.
pub struct TuningData<'a, T> {
    /// Tuning queries.
    pub queries: Queries<T>,
    /// Retraining on the tuning subsets, with the tuning queries' columns alone.
    pub truth: SubsetTruth,
    /// Root of all randomness.
    pub seed: u64,
    /// Bootstrap draws.
    pub draws: usize,
    /// Key of the run and of the tuning queries.
    pub key: &'a Key,
}

impl SubsetTruth {
    /// The same truth for the queries from column `first` on.
    pub fn from_query(&self, first: usize) -> Self {
        let utilities = self.utilities.iter().map(|all| all.slice(s![.., first..]).to_owned());
        Self { masks: self.masks.clone(), utilities: utilities.collect() }
    }
}

/// The setting to be used, and all that were tried; a single setting is not tried at all.
///
/// # Errors
/// When the store fails, the statistics refuse, or no setting gives scores.
pub fn choose<T: FitReal>(
    planned: &PlannedMethod,
    run: &dyn Run<T>,
    data: Option<&TuningData<'_, T>>,
    store: &Store,
) -> Result<(usize, Vec<Trial>), TuningError> {
    let (Some(data), true) = (data, planned.settings.len() > 1) else {
        return Ok((0, Vec::new()));
    };
    let mut outcomes = Vec::new();
    for setting in &planned.settings {
        match score(
            &planned.label,
            setting.as_ref(),
            run,
            &data.queries,
            data.seed,
            data.key,
            store,
        ) {
            Ok(scored) => outcomes.push(Ok(scored.scores)),
            Err(ScoringError::Method { source, .. }) => outcomes.push(Err(source.to_string())),
            Err(error) => return Err(error.into()),
        }
    }
    let views: Vec<_> = outcomes.iter().flatten().map(|scores| scores.values()).collect();
    if views.is_empty() {
        let reasons: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
        let reason = reasons.first().cloned().unwrap_or_default();
        return Err(TuningError::NoSetting { tried: reasons.len(), reason });
    }
    let mut found = measure(data, &views)?.into_iter();
    let outcomes: Vec<TrialOutcome> = outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Ok(_) => TrialOutcome::Lds(found.next().expect("one figure for each set of scores")),
            Err(reason) => TrialOutcome::Failed(reason),
        })
        .collect();
    let chosen = best(&outcomes);
    let trials =
        planned.settings.iter().zip(outcomes).enumerate().map(|(index, (setting, outcome))| {
            Trial {
                method: planned.label.clone(),
                parameters: setting.parameters().to_string(),
                outcome,
                chosen: index == chosen,
            }
        });
    Ok((chosen, trials.collect()))
}

/// Position of the highest figure, the first of several.
fn best(outcomes: &[TrialOutcome]) -> usize {
    let figure = |outcome: &TrialOutcome| match outcome {
        TrialOutcome::Lds(value) => value.point(),
        TrialOutcome::Failed(_) => f64::NEG_INFINITY,
    };
    let better = |best: usize, next: usize| {
        if figure(&outcomes[next]) > figure(&outcomes[best]) { next } else { best }
    };
    (0..outcomes.len()).reduce(better).expect("a method has a setting")
}

fn measure<T: FitReal>(
    data: &TuningData<'_, T>,
    scores: &[ndarray::ArrayView2<'_, f64>],
) -> Result<Vec<attribench_core::Estimate>, StatisticsError> {
    let weights = data.truth.masks.mapv(|kept| if kept { 1.0 } else { 0.0 });
    let views: Vec<_> = data.truth.utilities.iter().map(|by_seed| by_seed.view()).collect();
    let utilities: Array3<f64> = ndarray::stack(Axis(0), &views).expect("seeds have equal shapes");
    let resamples = Resamples::new(ResamplePlan {
        seed: data.seed,
        rows: weights.nrows(),
        columns: data.queries.examples.len(),
        draws: data.draws,
        seeds: Seeds::Fixed,
    })?;
    let input = LdsInput { subsets: weights.view(), utilities: utilities.view() };
    Ok(lds(&input, scores, &resamples)?.into_iter().map(|lds| lds.mean.estimate()).collect())
}

/// Why no setting could be chosen.
#[derive(Debug, thiserror::Error)]
pub enum TuningError {
    /// A method or the store failed.
    #[error(transparent)]
    Scoring(#[from] ScoringError),
    /// The statistics refused.
    #[error("tuning: {0}")]
    Statistics(#[from] StatisticsError),
    /// Every setting failed.
    #[error("all {tried} settings failed, the first one so: {reason}")]
    NoSetting {
        /// How many there were.
        tried: usize,
        /// What the first said.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use attribench_core::{Estimate, TrialOutcome};

    use super::best;

    fn lds(value: f64) -> TrialOutcome {
        TrialOutcome::Lds(Estimate::exact(value))
    }

    #[test]
    fn the_first_of_the_best_settings_is_taken() {
        assert_eq!(best(&[lds(0.1), lds(0.3), lds(0.3)]), 1);
        assert_eq!(best(&[TrialOutcome::Failed("no".into()), lds(-0.5)]), 1);
        assert_eq!(best(&[lds(-0.2)]), 0);
    }
}
