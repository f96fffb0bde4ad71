//! Scores of a finished run computed once more, from the states that it kept.

use std::sync::Arc;

use attribench_core::{ErasedMethod, Examples, FitReal, Queries};
use serde_json::Value;

use crate::{
    pipeline::score_from_log,
    plan::{Plan, PlannedMethod},
    retrain::Retrainer,
    scoring::{Scored, ScoringError},
    store::{Key, Store},
    trace::TrainedRun,
    training::{State, Trainer},
};

/// A method of the plan in one of its settings.
pub struct Asked<'a> {
    /// The method.
    pub planned: &'a PlannedMethod,
    /// The setting.
    pub setting: &'a Arc<dyn ErasedMethod>,
}

impl<'a> Asked<'a> {
    /// The method of a label in the setting of these parameters, as JSON text, where the plan has
    /// both.
    pub fn of(plan: &'a Plan, label: &str, parameters: &str) -> Option<Self> {
        let planned = plan.methods.iter().find(|planned| planned.label == label)?;
        let parameters: Value = serde_json::from_str(parameters).ok()?;
        let is_meant = |setting: &&Arc<dyn ErasedMethod>| setting.parameters() == parameters;
        Some(Self { planned, setting: planned.settings.iter().find(is_meant)? })
    }
}

/// Scores of all queries, as [`crate::pipeline::run`] computes them: to the bit on one kind of CPU,
/// because all queries are scored together. One alone is rounded otherwise.
///
/// `states` are those that the run kept. What `store` holds is believed: give an empty one.
///
/// # Errors
/// For each method what it says; a method that walks the run says so where a state does not follow
/// from the one before.
///
/// # Panics
/// When the states are not at the steps at which the run keeps them.
pub fn score_again<T: FitReal>(
    plan: &Plan,
    states: Vec<State<T>>,
    asked: &[Asked<'_>],
    store: &Store,
) -> Vec<Result<Scored, ScoringError>> {
    let spec = &plan.spec;
    let model = T::model(plan.model.as_ref());
    let train = Examples::<T>::from_dataset(&plan.train);
    let queries = Queries { examples: plan.all_queries::<T>(), utility: spec.utility };
    let key = plan.recipe_key();
    let retrainer = Retrainer {
        model,
        train: &train,
        training: &spec.training.value,
        queries: &queries,
        key: key.clone(),
        store,
        done: Default::default(),
        known: Default::default(),
    };
    let trainer = Trainer::new(model, &train, &spec.training.value, spec.seed)
        .with_keeping(spec.replay_states);
    let run =
        TrainedRun::new(trainer, states, spec.checkpoints).trained_again_by(&retrainer, spec.seed);
    let run_key = Key::of("run", &(spec.seed, spec.checkpoints, spec.replay_states), &[&key]);
    let again = |Asked { planned, setting }: &Asked<'_>| {
        score_from_log(planned, setting.as_ref(), &run, &queries, spec.seed, &run_key, store)
    };
    asked.iter().map(again).collect()
}
