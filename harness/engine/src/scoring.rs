//! Scores of every method, from the store or computed and filed there.

use std::time::Instant;

use attribench_core::{
    AccessLevel, Cost, ErasedMethod, FitReal, Meter, MethodError, Queries, Run, Scores,
};
use ndarray::{Array2, ArrayView2};
use thiserror::Error;

use crate::{
    logged::LogSize,
    plan::PlannedMethod,
    store::{Key, NamedMatrix, Store, StoreError},
};

/// What one method gave, and what it spent.
#[derive(Clone, Debug)]
pub struct Scored {
    /// Scores.
    pub scores: Scores,
    /// Accounts that no example owns: name, and amount by query.
    pub accounts: Vec<(String, Vec<f64>)>,
    /// Passes over examples, metered.
    pub cost: Cost,
    /// Seconds of wall time when it was computed: fit, then score.
    pub seconds: [f64; 2],
}

/// A method of the plan with what it gave.
pub struct Attributed<'a> {
    /// The method.
    pub planned: &'a PlannedMethod,
    /// Scores, accounts and cost of the setting that was chosen.
    pub scored: Scored,
    /// Parameters of that setting.
    pub parameters: serde_json::Value,
    /// What was logged for it, where it walks the run.
    pub logged: Option<Logged>,
}

/// What a method of the full trace was given, and what share of the gain it explains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Logged {
    /// How large the log is.
    pub size: LogSize,
    /// What examples and accounts were credited with, of the gain of all queries over the whole
    /// run; nothing where the gain is 0.
    pub explained: Option<f64>,
}

/// Why a method gave nothing.
#[derive(Debug, Error)]
pub enum ScoringError {
    /// The method failed.
    #[error("method `{label}`: {source}")]
    Method {
        /// Its label.
        label: String,
        /// What it said.
        source: MethodError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Scores of one method for the run, found in the store or computed on the calling thread.
///
/// # Errors
/// When the method or the store fails.
pub fn score<T: FitReal>(
    label: &str,
    method: &dyn ErasedMethod,
    run: &dyn Run<T>,
    queries: &Queries<T>,
    seed: u64,
    run_key: &Key,
    store: &Store,
) -> Result<Scored, ScoringError> {
    let info = method.info();
    let specification = (info.name, method.parameters(), seed);
    let key = Key::of("score", &specification, &[run_key]);
    let ids = (run.train().ids().to_vec(), queries.ids().to_vec());
    let failed = |source: MethodError| ScoringError::Method { label: label.to_owned(), source };
    if let Some(matrices) = store.read("score", &key)? {
        return from_matrices(matrices, ids, info.scale).map_err(|error| failed(error.into()));
    }
    if matches!(method.level(), AccessLevel::Checkpoints | AccessLevel::OptimizerStates) {
        // They are chosen when they are first asked for: that is not this method's own time.
        run.checkpoints();
    }
    let meter = Meter::default();
    let start = Instant::now();
    let mut scorer = T::fit(method, run, &meter, seed).map_err(failed)?;
    let fitted = start.elapsed().as_secs_f64();
    let scores = scorer.score(queries).map_err(failed)?;
    let seconds = [fitted, start.elapsed().as_secs_f64() - fitted];
    let accounts = scorer
        .accounts()
        .into_iter()
        .map(|account| (account.name.to_owned(), account.per_query))
        .collect();
    let scored = Scored { scores, accounts, cost: meter.cost(), seconds };
    file(&scored, &key, store)?;
    Ok(scored)
}

const ACCOUNT_PREFIX: &str = "account/";

fn file(scored: &Scored, key: &Key, store: &Store) -> Result<(), StoreError> {
    let cost = scored.cost;
    let counts = [
        cost.forwards,
        cost.gradients,
        cost.tangents,
        cost.curvature_products,
        cost.replayed_steps,
        cost.trainings,
    ];
    // Counts stay far below 2^53, where f64 is exact.
    let counts: Vec<f64> = counts.iter().map(|&count| count as f64).collect();
    // The store sorts its matrices by name; the position keeps the method's own order.
    let accounts = scored.accounts.iter().enumerate();
    let names: Vec<String> = accounts
        .map(|(position, (name, _))| format!("{ACCOUNT_PREFIX}{position:03}/{name}"))
        .collect();
    let row = |values: &[f64]| Array2::from_shape_vec((1, values.len()), values.to_vec());
    let accounts: Vec<Array2<f64>> = scored
        .accounts
        .iter()
        .map(|(_, values)| row(values).expect("one row holds its values"))
        .collect();
    let counts = row(&counts).expect("one row holds its values");
    let seconds = row(&scored.seconds).expect("one row holds its values");
    let mut matrices: Vec<(&str, ArrayView2<'_, f64>)> = vec![
        ("cost", counts.view()),
        ("scores", scored.scores.values()),
        ("seconds", seconds.view()),
    ];
    matrices.extend(
        names.iter().map(String::as_str).zip(accounts.iter().map(|account| account.view())),
    );
    store.write("score", key, &matrices)
}

fn from_matrices(
    matrices: Vec<NamedMatrix>,
    (train_ids, query_ids): (
        Vec<attribench_datasets::ExampleId>,
        Vec<attribench_datasets::ExampleId>,
    ),
    scale: attribench_core::Scale,
) -> Result<Scored, attribench_core::ScoresError> {
    let take = |name: &str| {
        let found = matrices.iter().find(|(found, _)| found == name);
        found.expect("an entry whose key fits has every matrix").1.clone()
    };
    let (cost, seconds) = (take("cost"), take("seconds"));
    let count = |index: usize| cost[(0, index)] as u64;
    Ok(Scored {
        scores: Scores::new(train_ids, query_ids, take("scores"), scale)?,
        accounts: matrices
            .iter()
            .filter_map(|(name, values)| {
                let (_, name) = name.strip_prefix(ACCOUNT_PREFIX)?.split_once('/')?;
                Some((name.to_owned(), values.iter().copied().collect()))
            })
            .collect(),
        cost: Cost {
            forwards: count(0),
            gradients: count(1),
            tangents: count(2),
            curvature_products: count(3),
            replayed_steps: count(4),
            trainings: count(5),
        },
        seconds: [seconds[(0, 0)], seconds[(0, 1)]],
    })
}
