//! The game over contributors: every coalition retrained, and the values that follow from it.

use attribench_core::{
    Ask, Coalition, Estimate, Game, GameError, GameShare, GroupedGame, Manipulated, Measured, Real,
    SamplingError, TableGame, Valuation, ValuationContext, ValuationEntry, Valued, stream,
};
use attribench_datasets::Dataset;
use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rand::seq::SliceRandom;

use crate::{
    diagnostics::Diagnostic,
    evaluations::Wanted,
    progress::Progress,
    retrain::Retrainer,
    spec::{Coalitions, Manipulation, Named, Spec},
    statistics::LEVEL,
    store::StoreError,
    truths::repeat_seed,
};

/// Most players of whom all coalitions are retrained: a million trainings a seed.
pub const MOST_PLAYERS: usize = 20;

/// Utilities of every coalition, `v[r][S, q] = f_q(theta_T(1_S; xi_r))`.
#[derive(Clone, Debug, PartialEq)]
pub struct GameTruth {
    /// Players that each contributor is cut into; they follow each other.
    pub parts: usize,
    /// The table, `(2^players, Q)` by seed.
    pub table: TableGame,
}

impl GameTruth {
    /// The accounts in which each contributor holds all of its parts.
    fn accounts(&self) -> Vec<Vec<usize>> {
        let contributors = self.table.players() / self.parts;
        (0..contributors).map(|c| (c * self.parts..(c + 1) * self.parts).collect()).collect()
    }

    /// The game whose players are the contributors, for the first `queries` queries.
    ///
    /// # Errors
    /// Never, as accounts name players of the table.
    pub fn of_contributors(&self, queries: usize) -> Result<TableGame, GameError> {
        table_of(&GroupedGame::new(&self.table.first_outcomes(queries), self.accounts())?)
    }
}

/// A game as a table.
fn table_of(game: &dyn Game) -> Result<TableGame, GameError> {
    let players = game.players();
    let seeds = match game.repeats() {
        attribench_core::Repeats::Of(seeds) => seeds,
        _ => 1,
    };
    let by_seed = (0..seeds).map(|repeat| {
        let asks: Vec<Ask> = (0..1u64 << players)
            .map(|mask| Ask { coalition: Coalition::from_mask(players, mask), repeat })
            .collect();
        game.values(&asks)
    });
    TableGame::complete(players, by_seed.collect::<Result<_, _>>()?)
}

/// Rows of every player: what each contributor owns, cut into parts at random.
pub fn player_rows(dataset: &Dataset, parts: usize, seed: u64) -> Vec<Vec<usize>> {
    let mut players = Vec::new();
    for contributor in 0..dataset.contributors().len() {
        let owners = dataset.owners().iter().enumerate();
        let mut rows: Vec<usize> = owners
            .filter(|(_, owner)| **owner as usize == contributor)
            .map(|(row, _)| row)
            .collect();
        if parts > 1 {
            rows.shuffle(&mut stream(seed, "game-parts", contributor as u64));
        }
        let length = rows.len().div_ceil(parts).max(1);
        let mut chunks = rows.chunks(length).map(<[usize]>::to_vec);
        players.extend((0..parts).map(|_| chunks.next().unwrap_or_default()));
    }
    players
}

/// Retrains every coalition, or finds it in the store.
///
/// # Errors
/// When the store fails.
///
/// # Panics
/// When a training diverged so far that a utility is not finite.
pub fn retrain_coalitions<T: Real>(
    asked: &Coalitions,
    dataset: &Dataset,
    seed: u64,
    retrainer: &Retrainer<'_, T>,
    progress: &dyn Progress,
) -> Result<GameTruth, StoreError> {
    let rows = player_rows(dataset, asked.parts, seed);
    let coalitions = 1usize << rows.len();
    let wanted = |at: usize| {
        let mut weights = vec![T::zero(); dataset.len()];
        let mask = at % coalitions;
        for (_, rows) in rows.iter().enumerate().filter(|(player, _)| mask >> player & 1 == 1) {
            for &row in rows {
                weights[row] = T::one();
            }
        }
        Wanted { weights, seed: repeat_seed(seed, at / coalitions) }
    };
    let what = (Measured::Utility, retrainer.queries);
    let all = retrainer.evaluate(asked.seeds * coalitions, &wanted, what, progress)?;
    let of_seed = |repeat: usize| {
        all.slice(s![repeat * coalitions..(repeat + 1) * coalitions, ..]).to_owned()
    };
    let table = TableGame::complete(rows.len(), (0..asked.seeds).map(of_seed).collect());
    let table = table.expect("a trained model has finite utilities at every query");
    Ok(GameTruth { parts: asked.parts, table })
}

/// A value with the label of its results.
pub struct PlannedValue {
    /// Its name, with its parameters where it has any.
    pub label: String,
    /// Name and nature.
    pub entry: &'static ValuationEntry,
    /// Parameters as written.
    pub parameters: serde_json::Value,
}

impl PlannedValue {
    /// Looks a value up and builds it once.
    ///
    /// # Errors
    /// What is wrong with its name or parameters.
    pub fn new(asked: &Named, registry: &'static [ValuationEntry]) -> Result<Self, String> {
        let Some(entry) = registry.iter().find(|entry| entry.info.name == asked.name) else {
            let known: Vec<&str> = registry.iter().map(|entry| entry.info.name).collect();
            return Err(format!("unknown value `{}` (known: {})", asked.name, known.join(", ")));
        };
        let mut parameters = asked.parameters.clone();
        let label = parameters.as_object_mut().and_then(|map| map.remove("label"));
        let label = label.and_then(|label| label.as_str().map(str::to_owned));
        let label = label.unwrap_or_else(|| asked.name.clone());
        let planned = Self { label, entry, parameters };
        (entry.build)(planned.parameters.clone())
            .map_err(|error| format!("value `{}`: {error}", asked.name))?;
        Ok(planned)
    }

    fn build(&self) -> Box<dyn Valuation> {
        (self.entry.build)(self.parameters.clone()).expect("the plan has built it before")
    }

    /// The same with another budget of evaluations.
    fn with_budget(&self, evaluations: usize) -> Box<dyn Valuation> {
        let mut parameters = self.parameters.clone();
        if let Some(map) = parameters.as_object_mut() {
            let stop = map.entry("stop").or_insert_with(|| serde_json::json!({}));
            stop["evaluations"] = evaluations.into();
        }
        (self.entry.build)(parameters).expect("a budget is a parameter of every sampler")
    }
}

/// A checked section `game`.
pub struct PlannedGame {
    /// Exact values; the first is the reference.
    pub values: Vec<PlannedValue>,
    /// Sampled values, each with the exact one that it is held against.
    pub samplers: Vec<(PlannedValue, PlannedValue)>,
    /// Evaluations allowed.
    pub budgets: Vec<usize>,
    /// Seeds of every sampler.
    pub repeats: usize,
    /// What is done with accounts.
    pub manipulations: Vec<Manipulation>,
}

impl PlannedGame {
    /// Labels of its values and samplers.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        let samplers = self.samplers.iter().map(|(sampler, _)| sampler);
        self.values.iter().chain(samplers).map(|value| value.label.as_str())
    }
}

/// Checks the section `game` and the truth that it needs.
pub fn plan(
    spec: &Spec,
    registry: &'static [ValuationEntry],
    found: &mut Vec<Diagnostic>,
) -> Option<PlannedGame> {
    let section = spec.game.as_ref()?;
    let asked = &section.value;
    let mut complain = |message: String, hint: &str| {
        found.push(Diagnostic::at(section, message).hint(hint));
    };
    if spec.truths.value.game.is_none() {
        complain("there is no `game` under `truths`".into(), "add `game: {}` there");
    }
    if asked.values.is_empty() {
        complain("`values` is empty".into(), "name one value at least, such as shapley");
    }
    if !asked.samplers.is_empty() && (asked.budgets.is_empty() || asked.repeats < 2) {
        let hint = "give `budgets`, such as [100, 1000], and at least 2 `repeats`";
        complain("samplers without budgets or repeats".into(), hint);
    }
    let mut of = |named: &Named| {
        PlannedValue::new(named, registry).map_err(|reason| complain(reason, VALUES_HINT)).ok()
    };
    let values: Vec<PlannedValue> = asked.values.iter().filter_map(&mut of).collect();
    let samplers = asked.samplers.iter().filter_map(&mut of);
    let samplers: Vec<_> = samplers
        .filter_map(|sampler| {
            let exact = estimated(&sampler, registry)?;
            Some((sampler, exact))
        })
        .collect();
    let complete = values.len() == asked.values.len() && samplers.len() == asked.samplers.len();
    complete.then(|| PlannedGame {
        values,
        samplers,
        budgets: asked.budgets.clone(),
        repeats: asked.repeats,
        manipulations: asked.manipulations.clone(),
    })
}

const VALUES_HINT: &str = "`attribench list values` lists them with what they keep";

/// The exact value that a sampler is held against, with those of its parameters that it has.
fn estimated(sampler: &PlannedValue, registry: &'static [ValuationEntry]) -> Option<PlannedValue> {
    let mut parameters = sampler.parameters.clone();
    if let Some(map) = parameters.as_object_mut() {
        map.retain(|name, _| name == "alpha" || name == "beta");
    }
    let named = Named { name: sampler.entry.info.estimates.to_owned(), parameters };
    PlannedValue::new(&named, registry).ok()
}

/// Whether all coalitions of so many contributors can be retrained.
pub fn check_players(spec: &Spec, contributors: usize, found: &mut Vec<Diagnostic>) {
    let Some(asked) = spec.truths.value.game else { return };
    let players = contributors * asked.parts;
    if asked.seeds == 0 || asked.parts == 0 {
        let message = format!("`game` has {} seeds and {} parts", asked.seeds, asked.parts);
        found.push(Diagnostic::at(&spec.truths, message).hint("use at least 1 of each"));
    } else if players > MOST_PLAYERS {
        let message =
            format!("`game` would retrain 2^{players} coalitions of {contributors} contributors");
        let hint = format!("at most {MOST_PLAYERS} players; sample with `by-retraining` instead");
        found.push(Diagnostic::at(&spec.truths, message).hint(&hint));
    }
    let splits = spec
        .game
        .as_ref()
        .is_some_and(|section| section.value.manipulations.contains(&Manipulation::Split));
    if splits && asked.parts < 2 {
        let message = "`split` needs contributors in parts".to_owned();
        let hint = "write `game: { parts: 2 }` under `truths`";
        found.push(Diagnostic::at(&spec.truths, message).hint(hint));
    }
}

/// What came out of a game.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GameFindings {
    /// Values by contributor.
    pub shares: Vec<GameShare>,
    /// Samplers against exact values.
    pub sampling: Vec<SamplingError>,
    /// Manipulations of accounts.
    pub manipulated: Vec<Manipulated>,
}

/// Turns contributors' worths by query, `(k, Q)`, into payouts; compares them with those of exact
/// worths: the share of the pool in wrong hands.
pub type Mispaid<'a> = &'a dyn Fn(ArrayView2<'_, f64>, ArrayView2<'_, f64>) -> Option<f64>;

/// Works out every value, every sampler and every manipulation of a section.
///
/// # Errors
/// When a value does not fit the game.
pub fn work_out(
    planned: &PlannedGame,
    truth: &GameTruth,
    (dataset, queries, seed): (&Dataset, usize, u64),
    mispaid: Mispaid<'_>,
    progress: &dyn Progress,
) -> Result<GameFindings, GameError> {
    let per_query = truth.of_contributors(queries)?;
    let mut findings = GameFindings::default();
    progress.begin("values", planned.values.len() + planned.samplers.len());
    let table = truth.table.first_outcomes(queries).mean_outcome();
    let accounts = Accounts { truth, table: &table, dataset, seed };
    for value in &planned.values {
        findings.shares.extend(accounts.shares_of(value)?);
        progress.advance(1);
    }
    for (sampler, exact) in &planned.samplers {
        let exact = worked(exact.build().as_ref(), &per_query, seed)?;
        for &budget in &planned.budgets {
            let held = Held { sampler, exact: &exact, game: &per_query, budget };
            findings.sampling.push(held.against(planned.repeats, seed, mispaid)?);
        }
        progress.advance(1);
    }
    progress.end();
    for value in &planned.values {
        for &manipulation in &planned.manipulations {
            findings.manipulated.extend(accounts.manipulated(value, manipulation)?);
        }
    }
    Ok(findings)
}

/// The worths of contributors by the reference value, `(k, Q)` by seed of the game.
///
/// # Errors
/// When the value does not fit the game.
pub fn reference_worths(
    planned: &PlannedGame,
    truth: &GameTruth,
    queries: usize,
    seed: u64,
) -> Result<Vec<Array2<f64>>, GameError> {
    let game = truth.of_contributors(queries)?;
    game.by_seed()
        .map(|table| {
            let one = TableGame::complete(game.players(), vec![table.to_owned()])?;
            Ok(worked(planned.values[0].build().as_ref(), &one, seed)?.values().to_owned())
        })
        .collect()
}

fn worked(value: &dyn Valuation, game: &dyn Game, seed: u64) -> Result<Valued, GameError> {
    value.value(game, &ValuationContext::new(seed, &|_| {}))
}

/// Worths as shares of a pot: below zero counts as zero, and nobody's pot is split evenly.
fn shares(worths: &Array1<f64>) -> Array1<f64> {
    let clipped = worths.mapv(|worth| worth.max(0.0));
    let total = clipped.sum();
    if total > 0.0 {
        clipped / total
    } else {
        Array1::from_elem(worths.len(), 1.0 / worths.len() as f64)
    }
}

/// A sampler held against the exact value with one budget.
struct Held<'a> {
    sampler: &'a PlannedValue,
    exact: &'a Valued,
    game: &'a TableGame,
    budget: usize,
}

impl Held<'_> {
    fn against(
        &self,
        repeats: usize,
        seed: u64,
        mispaid: Mispaid<'_>,
    ) -> Result<SamplingError, GameError> {
        let exact = mean_over_queries(self.exact.values());
        let exact_shares = shares(&exact);
        let (mut errors, mut wrong, mut evaluations) = (Vec::new(), Vec::new(), 0);
        let (mut covered, mut total) = (0usize, 0usize);
        let sampler = self.sampler.with_budget(self.budget);
        let mean_game = self.game.mean_outcome();
        for repeat in 0..repeats {
            let seed = repeat_seed(seed, repeat + 1);
            let found = worked(sampler.as_ref(), self.game, seed)?;
            let worths = mean_over_queries(found.values());
            let distance = (&shares(&worths) - &exact_shares).mapv(f64::abs).sum() / 2.0;
            errors.push(distance);
            evaluations += found.evaluations();
            wrong.extend(mispaid(self.exact.values(), found.values()));
            // Errors of the mean over queries need the mean game: queries share their coalitions.
            let mean = worked(sampler.as_ref(), &mean_game, seed)?;
            if let Some(errors) = mean.standard_errors() {
                for player in 0..exact.len() {
                    let distance = (mean.values()[(player, 0)] - exact[player]).abs();
                    covered += usize::from(distance <= 2.0 * errors[(player, 0)]);
                    total += 1;
                }
            }
        }
        Ok(SamplingError {
            sampler: self.sampler.label.clone(),
            estimates: self.sampler.entry.info.estimates.to_owned(),
            budget: self.budget,
            evaluations: evaluations as f64 / repeats as f64,
            share_error: mean_with_interval(&errors),
            mispaid: (wrong.len() == repeats).then(|| mean_with_interval(&wrong)),
            coverage: (total > 0).then(|| covered as f64 / total as f64),
        })
    }
}

fn mean_over_queries(values: ArrayView2<'_, f64>) -> Array1<f64> {
    values.mean_axis(Axis(1)).expect("a game has an outcome")
}

/// Mean of a share over repeats and its normal interval, kept in 0..1.
fn mean_with_interval(values: &[f64]) -> Estimate {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let square: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let reach = 1.959_963_984_540_054 * (square / (count * (count - 1.0).max(1.0))).sqrt();
    let (lower, upper) = ((mean - reach).max(0.0), (mean + reach).min(1.0));
    Estimate::new(mean, lower.min(mean), upper.max(mean), LEVEL, values.len(), 0)
}

/// Accounts over the players of a truth.
struct Accounts<'a> {
    truth: &'a GameTruth,
    table: &'a TableGame,
    dataset: &'a Dataset,
    seed: u64,
}

impl Accounts<'_> {
    /// What every contributor is owed while nobody manipulates.
    fn shares_of(&self, value: &PlannedValue) -> Result<Vec<GameShare>, GameError> {
        let (worths, errors) = self.worths(value, self.truth.accounts())?;
        let shares = shares(&worths);
        let (names, owners) = (self.dataset.contributors(), self.dataset.owners());
        let share = |(contributor, name): (usize, &String)| GameShare {
            value: value.label.clone(),
            contributor: name.clone(),
            examples: owners.iter().filter(|owner| **owner as usize == contributor).count(),
            worth: worths[contributor],
            standard_error: errors.as_ref().map(|errors| errors[contributor]),
            share: shares[contributor],
        };
        Ok(names.iter().enumerate().map(share).collect())
    }

    /// Every contributor's share before and after it manipulates its accounts.
    fn manipulated(
        &self,
        value: &PlannedValue,
        manipulation: Manipulation,
    ) -> Result<Vec<Manipulated>, GameError> {
        let honest = self.truth.accounts();
        let before = self.shares(value, honest.clone())?;
        let contributors = honest.len();
        let name = match manipulation {
            Manipulation::Split => "split",
            Manipulation::Merge => "merge",
            Manipulation::Copy => "copy",
        };
        let mut found = Vec::new();
        for contributor in 0..contributors {
            let mut accounts = honest.clone();
            // Accounts that belong to the manipulator afterwards, and to whom they belonged before.
            let (own, owned) = match manipulation {
                Manipulation::Split => {
                    let half = accounts[contributor].split_off(self.truth.parts / 2);
                    accounts.push(half);
                    (vec![contributor, contributors], vec![contributor])
                }
                Manipulation::Copy => {
                    accounts.push(honest[contributor].clone());
                    (vec![contributor, contributors], vec![contributor])
                }
                Manipulation::Merge => {
                    let next = (contributor + 1) % contributors;
                    let brought = std::mem::take(&mut accounts[next]);
                    accounts[contributor].extend(brought);
                    accounts.remove(next);
                    let place = contributor - usize::from(next < contributor);
                    (vec![place], vec![contributor, next])
                }
            };
            let after = self.shares(value, accounts)?;
            let sum = |shares: &Array1<f64>, of: &[usize]| of.iter().map(|&at| shares[at]).sum();
            found.push(Manipulated {
                value: value.label.clone(),
                manipulation: name.to_owned(),
                contributor: self.dataset.contributors()[contributor].clone(),
                before: sum(&before, &owned),
                after: sum(&after, &own),
            });
        }
        Ok(found)
    }

    fn shares(
        &self,
        value: &PlannedValue,
        accounts: Vec<Vec<usize>>,
    ) -> Result<Array1<f64>, GameError> {
        Ok(shares(&self.worths(value, accounts)?.0))
    }

    /// Worths of accounts, and their standard errors where they are known.
    fn worths(
        &self,
        value: &PlannedValue,
        accounts: Vec<Vec<usize>>,
    ) -> Result<(Array1<f64>, Option<Array1<f64>>), GameError> {
        let valuation = value.build();
        if value.entry.info.name == value.entry.info.estimates {
            let game = GroupedGame::new(self.table, accounts)?;
            let found = worked(valuation.as_ref(), &game, self.seed)?;
            let errors = found.standard_errors().map(|errors| errors.column(0).to_owned());
            return Ok((found.values().column(0).to_owned(), errors));
        }
        // A value of items: every item of every account is a player, whoever holds it.
        let items: Vec<Vec<usize>> = accounts.iter().flatten().map(|&item| vec![item]).collect();
        let game = GroupedGame::new(self.table, items)?;
        let found = worked(valuation.as_ref(), &game, self.seed)?;
        let mut next = found.values().column(0).to_vec().into_iter();
        let sums = accounts.iter().map(|account| next.by_ref().take(account.len()).sum());
        Ok((sums.collect(), None))
    }
}

/// Bytes that the table of a game holds at one time: it is made, kept and sliced once more.
pub fn table_bytes(asked: &Coalitions, contributors: usize, queries: usize) -> u64 {
    let players = (contributors * asked.parts).min(MOST_PLAYERS);
    (4 * (asked.seeds as u64) * (queries as u64) * 8) << players
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::{mean_with_interval, shares};

    #[test]
    fn shares_by_hand() {
        // -1 counts as 0; 3 and 1 are three quarters and one quarter.
        assert_eq!(shares(&array![3.0, -1.0, 1.0]), array![0.75, 0.0, 0.25]);
        assert_eq!(shares(&array![-3.0, 0.0]), array![0.5, 0.5]);
    }

    #[test]
    fn intervals_by_hand() {
        // 0.1 and 0.3: mean 0.2, variance 0.02, error sqrt(0.02 / 2) = 0.1, reach 0.196.
        let found = mean_with_interval(&[0.1, 0.3]);
        assert!((found.point() - 0.2).abs() < 1e-15);
        assert!((found.upper() - 0.395_996_398).abs() < 1e-8);
        assert!((found.lower() - 0.004_003_602).abs() < 1e-8);
    }
}
