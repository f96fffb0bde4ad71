//! One experiment from its plan to its record.

use std::{sync::atomic::Ordering, time::Instant};

use attribench_core::{
    AccessLevel, ErasedMethod, Examples, Failure, FitReal, GameError, Queries, QueryUtility, Real,
    Record, RunError, Scale, ScoresError, Timing, Trial, stream,
};
use attribench_datasets::Targets;
use ndarray::{Array2, ArrayView2, s};
use rand::Rng;
use thiserror::Error;

use crate::{
    closed_loop::{self, ClosedLoopError},
    encoded::EncodedRun,
    files::{
        parameters::{Tensor, export},
        truths::TruthFile,
    },
    games::{GameFindings, player_rows, reference_worths, work_out},
    known_part::KnownPart,
    logged::LoggedRun,
    measure::{MeasureError, Measurement, NoiseFloor, measure},
    plan::{Plan, PlannedMethod, Registries},
    progress::Progress,
    proxy::score_by_proxy,
    recording::{KeptState, Recorder, record_states},
    retrain::Retrainer,
    scoring::{Attributed, Logged, Scored, ScoringError, score},
    spec::Precision,
    store::{Key, Store, StoreError},
    trace::{TrainedRun, train_states},
    training::{State, Trainer, Training},
    truths::{self, MeasuredTruths, RemovalTruth},
    tuning::{TuningData, TuningError, choose},
};

/// Why an experiment stopped.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A measurement could not be made.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// The record of the run could not be kept.
    #[error(transparent)]
    Record(#[from] RunError),
    /// A value does not fit the game.
    #[error("the game over contributors: {0}")]
    Game(#[from] GameError),
    /// An attack could not be played.
    #[error(transparent)]
    ClosedLoop(#[from] ClosedLoopError),
    /// The training diverged.
    #[error("training diverged: the final parameters are not finite\nhint: lower `learning-rate`")]
    Diverged,
}

/// What an experiment gives.
pub struct Outcome<'a> {
    /// Scores of every method that gave some, in the order of the plan.
    pub methods: Vec<Attributed<'a>>,
    /// Everything that is reported and does not depend on a clock.
    pub record: Record,
    /// Seconds of each stage.
    pub timings: Vec<Timing>,
    /// Names, shapes and values of the final parameters, for export.
    pub parameters: Vec<Tensor>,
    /// The truths at the queries, for evaluating scores made elsewhere.
    pub truths: TruthFile,
    /// States that a run on texts kept: from them its steps can be walked again.
    pub states: Vec<KeptState>,
    /// Trainings that were done now, not found in the store.
    pub trained_now: usize,
}

/// Runs a plan. The record depends on the plan alone, not on threads, store or clock.
///
/// # Errors
/// When a measurement or the disk fails; finished units stay in the store. A method that fails is
/// no error: the record tells it beside the others' results.
pub fn run<'a>(
    plan: &'a Plan,
    registries: &Registries<'_>,
    store: &Store,
    progress: &dyn Progress,
) -> Result<Outcome<'a>, PipelineError> {
    run_recorded(plan, registries, store, progress, None)
}

/// As [`run`], telling a recorder of the training while it happens; the outcome is the same.
///
/// # Errors
/// As [`run`], and when the recorder gives up.
pub fn run_recorded<'a>(
    plan: &'a Plan,
    registries: &Registries<'_>,
    store: &Store,
    progress: &dyn Progress,
    recorder: Option<&mut dyn Recorder>,
) -> Result<Outcome<'a>, PipelineError> {
    match plan.spec.precision {
        Precision::F32 => run_in::<f32>(plan, registries, store, progress, recorder),
        Precision::F64 => run_in::<f64>(plan, registries, store, progress, recorder),
    }
}

struct Clock {
    timings: Vec<Timing>,
    last: Instant,
}

impl Clock {
    fn lap(&mut self, stage: &str) {
        let seconds = self.last.elapsed().as_secs_f64();
        self.timings.push(Timing { stage: stage.to_owned(), method: None, seconds });
        self.last = Instant::now();
    }
}

fn run_in<'a, T: FitReal>(
    plan: &'a Plan,
    registries: &Registries<'_>,
    store: &Store,
    progress: &dyn Progress,
    recorder: Option<&mut dyn Recorder>,
) -> Result<Outcome<'a>, PipelineError> {
    let spec = &plan.spec;
    let mut clock = Clock { timings: Vec::new(), last: Instant::now() };
    let model = T::model(plan.model.as_ref());
    let train = Examples::<T>::from_dataset(&plan.train);
    let queries = Queries { examples: plan.all_queries::<T>(), utility: spec.utility };
    let recipe_key = plan.recipe_key();

    let retrainer = Retrainer {
        model,
        train: &train,
        training: &spec.training.value,
        queries: &queries,
        key: recipe_key.clone(),
        store,
        done: Default::default(),
        known: Default::default(),
    };
    let trainer = Trainer::new(model, &train, &spec.training.value, spec.seed)
        .with_keeping(spec.replay_states);
    let states = match recorder {
        Some(recorder) => record_states(&trainer, &queries, recorder)?,
        None => train_states(&trainer),
    };
    let last = states.last().expect("the end is kept");
    if last.parameters.iter().any(|value| !value.to_f64().is_finite()) {
        return Err(PipelineError::Diverged);
    }
    let run =
        TrainedRun::new(trainer, states, spec.checkpoints).trained_again_by(&retrainer, spec.seed);
    clock.lap("train the run");

    let mut measured =
        truths::measure(&spec.truths.value, &plan.train, spec.seed, &retrainer, progress)?;
    clock.lap("retrain for truths");
    let game = game_findings(plan, &measured, registries, progress)?;
    measured.removals.extend(game_truth(plan, &measured, queries.examples.len())?);
    clock.lap("work out the game");
    let floor = noise_floor(&run, &queries, &Key::of("floor", &spec.seed, &[&recipe_key]), store)?;
    clock.lap("noise floor");
    let differentiates = |planned: &PlannedMethod| {
        planned.walks() && planned.method().info().scale == Scale::Derivative
    };
    let metasmoothness = match plan.methods.iter().any(differentiates) {
        true => Some(metasmoothness(&run, spec.seed, &recipe_key, store)?),
        false => None,
    };
    clock.lap("metasmoothness");

    let run_key =
        Key::of("run", &(spec.seed, spec.checkpoints, spec.replay_states), &[&recipe_key]);
    let attribution = attribute(plan, &run, &queries, &measured, &run_key, store, progress)?;
    clock.lap("score");
    for attributed in &attribution.methods {
        for (stage, seconds) in ["fit", "score"].into_iter().zip(attributed.scored.seconds) {
            let method = Some(attributed.planned.label.clone());
            clock.timings.push(Timing { stage: stage.to_owned(), method, seconds });
        }
    }

    let outputs = model.outputs(&last_parameters(&run), queries.examples.features());
    let utilities = utilities_at_ends(&run, &queries, plan.queries.len());
    let measurement = Measurement {
        plan,
        truths: &measured,
        methods: &attribution.methods,
        game: game.as_ref(),
        floor: &floor,
        metasmoothness,
        utilities,
        replay_deviation: replay_deviation(&last_parameters(&run), &spec.training.value),
        accuracy: accuracy(&outputs, &queries.examples, plan.queries.len()),
        treasury: registries.treasury,
    };
    let mut record = measure(&measurement, progress)?;
    record.failures = attribution.failures;
    record.query_utilities = query_utilities(plan, &measurement.utilities);
    if let Some(asked) = &spec.closed_loop {
        record.rows.extend(closed_loop::rows(plan, &asked.value, registries, store, progress)?);
        // Conditions may bear on these rows as well.
        plan.judge(&mut record);
        clock.lap("closed loop");
    }
    record.trials = attribution.trials;
    clock.last = Instant::now();
    let parameters = export(model.layout(), &last_parameters(&run));
    let states = match plan.train.targets() {
        Targets::Tokens { .. } => run.into_states().into_iter().map(KeptState::of).collect(),
        Targets::Classes { .. } | Targets::Values(_) => Vec::new(),
    };
    Ok(Outcome {
        methods: attribution.methods,
        record,
        timings: clock.timings,
        truths: TruthFile {
            train_ids: Some(plan.train.ids().to_vec()),
            query_ids: Some(plan.queries.ids().to_vec()),
            examples: plan.train.len(),
            queries: plan.queries.len(),
            truths: measured,
        },
        parameters,
        states,
        trained_now: retrainer.done.load(Ordering::Relaxed),
    })
}

/// Contributors' values in the game as a truth about them, like what is lost without them.
fn game_truth(
    plan: &Plan,
    truths: &MeasuredTruths,
    queries: usize,
) -> Result<Option<RemovalTruth>, GameError> {
    let (Some(planned), Some(truth)) = (&plan.game, &truths.game) else { return Ok(None) };
    Ok(Some(RemovalTruth {
        id: "game",
        groups: player_rows(&plan.train, 1, plan.spec.seed),
        names: plan.train.contributors().to_vec(),
        effects: reference_worths(planned, truth, queries, plan.spec.seed)?,
    }))
}

/// What values of the game over contributors say, and how near samplers come to them.
fn game_findings(
    plan: &Plan,
    truths: &MeasuredTruths,
    registries: &Registries<'_>,
    progress: &dyn Progress,
) -> Result<Option<GameFindings>, GameError> {
    let (Some(planned), Some(truth)) = (&plan.game, &truths.game) else { return Ok(None) };
    let spec = &plan.spec;
    let treasury = registries.treasury;
    let mispaid = |exact: ArrayView2<'_, f64>, found: ArrayView2<'_, f64>| {
        let money = &spec.money.as_ref()?.value;
        let pay = |scores| treasury.settle(&money.rule, scores, money.tokens, spec.seed).ok();
        treasury.compare(&pay(exact)?, &pay(found)?).ok()?.mispaid_share
    };
    let data = (&plan.train, plan.queries.len(), spec.seed);
    work_out(planned, truth, data, &mispaid, progress).map(Some)
}

/// Scores of contributors for the queries, `(contributors, queries)` each.
pub(crate) struct ContributorScores {
    /// Effects of leaving each contributor out, over all seeds of the truth.
    pub exact: Array2<f64>,
    /// Label, level of access and scores of each method that gave any.
    pub methods: Vec<(String, AccessLevel, Array2<f64>)>,
}

/// Trains, retrains and attributes, and stops before anything is measured.
pub(crate) fn contributor_scores(
    plan: &Plan,
    store: &Store,
    progress: &dyn Progress,
) -> Result<ContributorScores, PipelineError> {
    match plan.spec.precision {
        Precision::F32 => contributor_scores_in::<f32>(plan, store, progress),
        Precision::F64 => contributor_scores_in::<f64>(plan, store, progress),
    }
}

fn contributor_scores_in<T: FitReal>(
    plan: &Plan,
    store: &Store,
    progress: &dyn Progress,
) -> Result<ContributorScores, PipelineError> {
    let spec = &plan.spec;
    let model = T::model(plan.model.as_ref());
    let train = Examples::<T>::from_dataset(&plan.train);
    let queries = Queries { examples: plan.all_queries::<T>(), utility: spec.utility };
    let recipe_key = plan.recipe_key();
    let trainer = Trainer::new(model, &train, &spec.training.value, spec.seed)
        .with_keeping(spec.replay_states);
    let states = train_states(&trainer);
    let last = states.last().expect("the end is kept");
    if last.parameters.iter().any(|value| !value.to_f64().is_finite()) {
        return Err(PipelineError::Diverged);
    }
    let run = TrainedRun::new(trainer, states, spec.checkpoints);
    let retrainer = Retrainer {
        model,
        train: &train,
        training: &spec.training.value,
        queries: &queries,
        key: recipe_key.clone(),
        store,
        done: Default::default(),
        known: Default::default(),
    };
    let truths = &spec.truths.value;
    let measured = truths::measure(truths, &plan.train, spec.seed, &retrainer, progress)?;
    let run_key =
        Key::of("run", &(spec.seed, spec.checkpoints, spec.replay_states), &[&recipe_key]);
    let found = attribute(plan, &run, &queries, &measured, &run_key, store, progress)?;
    let columns = s![.., ..plan.queries.len()];
    let left_out = measured.removals.iter().find(|truth| truth.id == "leave-contributor-out");
    let left_out = left_out.expect("the plan has checked that this truth is measured");
    let (owners, count) = (plan.train.owners(), plan.train.contributors().len());
    let by_contributor = |attributed: &Attributed<'_>| {
        let sums = attributed.scored.scores.by_contributor(owners, count);
        let level = attributed.planned.level();
        (attributed.planned.label.clone(), level, sums.slice(columns).to_owned())
    };
    Ok(ContributorScores {
        exact: left_out.mean_effects().slice(columns).to_owned(),
        methods: found.methods.iter().map(by_contributor).collect(),
    })
}

/// What all methods gave.
struct Attribution<'a> {
    methods: Vec<Attributed<'a>>,
    failures: Vec<Failure>,
    trials: Vec<Trial>,
}

/// Scores by every method of the plan, each in the best of its settings. A method that fails is
/// told in the record and takes nothing from the others.
fn attribute<'a, T: FitReal>(
    plan: &'a Plan,
    run: &TrainedRun<'_, T>,
    queries: &Queries<T>,
    truths: &MeasuredTruths,
    run_key: &Key,
    store: &Store,
    progress: &dyn Progress,
) -> Result<Attribution<'a>, StoreError> {
    let tuning_key = Key::of("tuning", &(), &[run_key]);
    let tuning = truths.tuning_subsets.as_ref().zip(plan.tuning_queries.as_ref());
    let tuning = tuning.map(|(truth, tuning_queries)| TuningData {
        queries: Queries {
            examples: Examples::from_dataset(tuning_queries),
            utility: queries.utility,
        },
        truth: truth.from_query(plan.queries.len()),
        seed: plan.spec.seed,
        draws: plan.spec.draws,
        key: &tuning_key,
    });
    let mut found = Attribution { methods: vec![], failures: vec![], trials: vec![] };
    let [start, end] = utilities_at_ends(run, queries, plan.queries.len());
    let gain: Vec<f64> = end.iter().zip(start).map(|(end, start)| end - start).collect();
    progress.begin("scoring", plan.methods.len());
    for planned in &plan.methods {
        let scored = choose(planned, run, tuning.as_ref(), store).and_then(|(chosen, trials)| {
            found.trials.extend(trials);
            let setting = planned.settings[chosen].as_ref();
            let seed = plan.spec.seed;
            let scored = score_from_log(planned, setting, run, queries, seed, run_key, store)?;
            let logged = planned.walks().then(|| Logged {
                size: LoggedRun::new(run, &planned.log, seed).size(),
                explained: explained(&scored, &gain),
            });
            Ok(Attributed { planned, scored, parameters: setting.parameters(), logged })
        });
        match scored {
            Ok(attributed) => found.methods.push(attributed),
            Err(TuningError::Scoring(ScoringError::Store(error))) => return Err(error),
            Err(error) => found.failures.push(Failure {
                method: planned.label.clone(),
                access: planned.level(),
                reason: error.to_string(),
            }),
        }
        progress.advance(1);
    }
    progress.end();
    Ok(found)
}

/// Scores of a method that sees of the run what its log keeps, or its end beside known examples, or
/// the run of a proxy, or texts through an encoder.
pub(crate) fn score_from_log<T: FitReal>(
    planned: &PlannedMethod,
    setting: &dyn ErasedMethod,
    run: &TrainedRun<'_, T>,
    queries: &Queries<T>,
    seed: u64,
    run_key: &Key,
    store: &Store,
) -> Result<Scored, ScoringError> {
    if let Some(share) = planned.known {
        let (part, key) = (KnownPart::new(run, share, seed), Key::of("known", &share, &[run_key]));
        let scored = score(&planned.label, setting, part.run(), queries, seed, &key, store)?;
        let scores = part.spread(&scored.scores, run, queries);
        let failed = |error: ScoresError| ScoringError::Method {
            label: planned.label.clone(),
            source: error.into(),
        };
        return Ok(Scored { scores: scores.map_err(failed)?, ..scored });
    }
    if let Some(proxy) = &planned.proxy {
        return score_by_proxy((planned, proxy), setting, run, queries, seed, run_key, store);
    }
    if let Some(encoder) = &planned.encoder {
        let key = Key::of("encoded", &(), &[run_key, encoder.content()]);
        let encoded = EncodedRun::new(run, encoder);
        return score(&planned.label, setting, &encoded, queries, seed, &key, store);
    }
    if planned.log.is_whole() {
        return score(&planned.label, setting, run, queries, seed, run_key, store);
    }
    let key = Key::of("log", &planned.log, &[run_key]);
    let logged = LoggedRun::new(run, &planned.log, seed);
    score(&planned.label, setting, &logged, queries, seed, &key, store)
}

/// Utilities of the first `count` queries before the first step and after the last.
fn utilities_at_ends<T: Real>(
    run: &TrainedRun<'_, T>,
    queries: &Queries<T>,
    count: usize,
) -> [Vec<f64>; 2] {
    let asked = queries.examples.select(&(0..count).collect::<Vec<_>>());
    let at = |state: &State<T>| {
        run.trainer().model().utilities(&state.parameters, &asked, queries.utility)
    };
    let (first, last) = (run.states().first(), run.states().last());
    [at(first.expect("the start is kept")), at(last.expect("the end is kept"))]
}

/// Utilities query by query, so that runs that ask the same can be compared.
fn query_utilities(plan: &Plan, [start, end]: &[Vec<f64>; 2]) -> Vec<QueryUtility> {
    let ids = plan.queries.ids().iter().zip(plan.query_contents());
    let utilities = start.iter().zip(end);
    ids.zip(utilities)
        .map(|((id, content), (&start, &end))| QueryUtility {
            query: id.0,
            content: content.as_str().to_owned(),
            start,
            end,
        })
        .collect()
}

/// What examples and accounts were credited with, of the gain of all queries; what an account
/// could only close the books with explains nothing.
fn explained(scored: &Scored, gain: &[f64]) -> Option<f64> {
    let posts = ["weight-decay", "clipping"];
    let accounts = scored.accounts.iter().filter(|(name, _)| posts.contains(&name.as_str()));
    let of_accounts: f64 = accounts.flat_map(|(_, amounts)| &amounts[..gain.len()]).sum();
    let of_examples = scored.scores.values().slice(ndarray::s![.., ..gain.len()]).sum();
    let total: f64 = gain.iter().sum();
    (total != 0.0).then(|| (of_examples + of_accounts) / total)
}

fn last_parameters<T: Real>(run: &TrainedRun<'_, T>) -> Vec<T> {
    run.states().last().expect("the end is kept").parameters.clone()
}

/// One entry a query: whether the largest output is that of the label; `None` for regressions.
fn accuracy<T: Real>(
    outputs: &Array2<T>,
    examples: &Examples<T>,
    queries: usize,
) -> Option<Vec<f64>> {
    let attribench_core::Labels::Classes(labels) = examples.labels() else { return None };
    let right = |(row, &label): (ndarray::ArrayView1<'_, T>, &u32)| {
        let top = row.iter().enumerate().fold(
            0,
            |top, (class, value)| {
                if *value > row[top] { class } else { top }
            },
        );
        f64::from(u8::from(top == label as usize))
    };
    Some(outputs.outer_iter().zip(labels).take(queries).map(right).collect())
}

/// `max |theta - theta'| / max |theta'|` for the parameters `theta'` that a given run reached.
fn replay_deviation<T: Real>(theta: &[T], training: &Training) -> Option<f64> {
    let given = training.given.last_parameters()?;
    let largest = given.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    let differences = theta.iter().zip(given).map(|(theta, given)| (theta.to_f64() - given).abs());
    Some(differences.fold(0.0f64, f64::max) / largest)
}

/// Random directions in which metasmoothness is measured.
const DIRECTIONS: usize = 16;

/// For random subsets `S` of a tenth of the examples, how well the first half of the way of the
/// final parameters from `theta_0` (all weights 1) to `theta_2` (weights of `S` 0) foretells the
/// second, by way of `theta_1` (weights of `S` 1/2):
/// `sum_j d_j / (sum d) sign(theta_1 - theta_0)_j sign(theta_2 - theta_1)_j`,
/// `d = |theta_2 - theta_0|` (Engstrom et al., arXiv 2503.13751).
fn metasmoothness<T: Real>(
    run: &TrainedRun<'_, T>,
    seed: u64,
    recipe_key: &Key,
    store: &Store,
) -> Result<Vec<f64>, StoreError> {
    let key = Key::of("metasmoothness", &seed, &[recipe_key]);
    if let Some(found) = store.read("metasmoothness", &key)? {
        return Ok(found.into_iter().next().expect("one matrix").1.into_raw_vec_and_offset().0);
    }
    let trainer = run.trainer();
    let mut weights = Vec::new();
    for direction in 0..DIRECTIONS {
        let mut stream = stream(seed, "metasmoothness", direction as u64);
        let chosen: Vec<bool> =
            (0..trainer.train().len()).map(|_| stream.next_u32().is_multiple_of(10)).collect();
        for left in [0.5, 0.0] {
            let weight = |&chosen: &bool| T::from_f64(if chosen { left } else { 1.0 });
            weights.push(chosen.iter().map(weight).collect::<Vec<T>>());
        }
    }
    let width = trainer.model().stack_width();
    let ends: Vec<Vec<T>> =
        weights.chunks(width).flat_map(|weights| trainer.final_parameters(weights)).collect();
    let start = &run.states().last().expect("the end is kept").parameters;
    let values: Vec<f64> =
        ends.chunks(2).map(|ends| straightness(start, &ends[0], &ends[1])).collect();
    let row = Array2::from_shape_vec((1, DIRECTIONS), values.clone()).expect("one row");
    store.write("metasmoothness", &key, &[("directions", row.view())])?;
    Ok(values)
}

/// Share of the way from `start` to `end` whose halves, before and after `middle`, go the same way,
/// less the share whose halves do not; 1 where nothing moves.
fn straightness<T: Real>(start: &[T], middle: &[T], end: &[T]) -> f64 {
    let (mut agreed, mut moved) = (0.0, 0.0);
    for ((start, middle), end) in start.iter().zip(middle).zip(end) {
        let [start, middle, end] = [start, middle, end].map(|value| value.to_f64());
        let halves = (middle - start) * (end - middle);
        let sign = if halves == 0.0 { 0.0 } else { halves.signum() };
        agreed += sign * (end - start).abs();
        moved += (end - start).abs();
    }
    if moved > 0.0 { agreed / moved } else { 1.0 }
}

/// Runs that start one unit in the last place away from the run; how much utilities then differ is
/// what no effect can be told apart from.
const PERTURBED_RUNS: usize = 4;

fn noise_floor<T: FitReal>(
    run: &TrainedRun<'_, T>,
    queries: &Queries<T>,
    key: &Key,
    store: &Store,
) -> Result<NoiseFloor, StoreError> {
    let trainer = run.trainer();
    if let Some(found) = store.read("noise-floor", key)? {
        return Ok(NoiseFloor::new(found.into_iter().next().expect("one matrix").1));
    }
    let mut utilities = Array2::zeros((PERTURBED_RUNS + 1, queries.examples.len()));
    for perturbed in 0..=PERTURBED_RUNS {
        let mut initial = trainer.initial().to_vec();
        if perturbed > 0 {
            let mut stream = stream(perturbed as u64, "noise-floor", 0);
            for value in &mut initial {
                *value = nudge(*value, stream.next_u32() & 1 == 0);
            }
        }
        let weights = vec![T::one(); trainer.train().len()];
        let moved = trainer.clone().with_initial(initial);
        let theta = moved.final_parameters(&[weights]).swap_remove(0);
        let found = trainer.model().utilities(&theta, &queries.examples, queries.utility);
        utilities.row_mut(perturbed).assign(&ndarray::ArrayView1::from(&found));
    }
    store.write("noise-floor", key, &[("utilities", utilities.view())])?;
    Ok(NoiseFloor::new(utilities))
}

/// The neighbouring number, up or down.
fn nudge<T: Real>(value: T, up: bool) -> T {
    let digits = if size_of::<T>() == 4 { 23 } else { 52 };
    let unit = 2f64.powi(-digits);
    T::from_f64(value.to_f64() * if up { 1.0 + unit } else { 1.0 - unit })
}

#[cfg(test)]
mod tests {
    use super::straightness;

    #[test]
    fn straightness_by_hand() {
        // The first goes 1 and 1 more, the second turns back by 1 of 2, the third stands still:
        // ways of 2, 1 and 0; (2 - 1) / 3.
        let found = straightness(&[0.0, 0.0, 5.0], &[1.0, 2.0, 5.0], &[2.0, 1.0, 5.0]);
        assert!((found - 1.0 / 3.0).abs() < 1e-15, "{found}");
        assert_eq!(straightness(&[1.0], &[1.0], &[1.0]), 1.0);
    }
}
