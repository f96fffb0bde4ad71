//! A model that is trained here in the place of one that nobody can look into.
//!
//! Who knows the data of a model and nothing else of it can train a smaller one on the same data
//! and attribute that one instead, with everything on record.

use std::sync::Arc;

use attribench_core::{AnyModel, ErasedMethod, FitReal, MethodError, Queries, Run};

use crate::{
    plan::PlannedMethod,
    scoring::{Scored, ScoringError, score},
    spec::Named,
    store::{Key, Store},
    trace::{TrainedRun, train_states},
    training::Trainer,
};

/// The other model: it has the data, the order and the hyper-parameters of the run, and its own
/// beginning.
#[derive(Clone)]
pub struct Proxy {
    /// Name and parameters.
    pub named: Named,
    /// The model.
    pub model: Arc<dyn AnyModel>,
}

/// Scores of a method that sees the proxy's run where others see `run`.
///
/// # Errors
/// When the proxy's training diverges, or method or store fail.
pub(crate) fn score_by_proxy<T: FitReal>(
    (planned, proxy): (&PlannedMethod, &Proxy),
    setting: &dyn ErasedMethod,
    run: &TrainedRun<'_, T>,
    queries: &Queries<T>,
    seed: u64,
    run_key: &Key,
    store: &Store,
) -> Result<Scored, ScoringError> {
    let (of_run, model) = (run.trainer(), T::model(proxy.model.as_ref()));
    let trainer =
        Trainer::new(model, of_run.train(), of_run.training(), seed).with_keeping(of_run.keeping());
    let states = train_states(&trainer);
    let last = states.last().expect("the end is kept");
    if last.parameters.iter().any(|value| !value.to_f64().is_finite()) {
        let reason = "the training of the proxy diverged\nhint: choose another `proxy`";
        let source = MethodError::Unsuitable(reason.into());
        return Err(ScoringError::Method { label: planned.label.clone(), source });
    }
    let proxy_run = TrainedRun::new(trainer, states, run.checkpoints().len());
    let key = Key::of("proxy", &proxy.named, &[run_key]);
    score(&planned.label, setting, &proxy_run, queries, seed, &key, store)
}
