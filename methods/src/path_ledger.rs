//! Books of the whole run: who moved each utility, with nothing left over.
//!
//! # Computes
//! The gain of a step is the integral of the utility's gradient along the segment from `theta_t` to
//! `theta_{t+1}`. With `K` Gauss-Legendre nodes its mean is `a_t = sum_k c_k grad f_q(theta_t +
//! s_k (theta_{t+1} - theta_t))`. Backwards over the run, with momentum `mu`,
//! `u_t = eta_t a_t + mu u_{t+1}`; then the occurrence of example `i` at step `t` is credited with
//! `-(1 / B) w_i (g_i(theta_t) . u_t)`, and weight decay `gamma` with `-gamma (theta_t . u_t)`.
//! Dampening, Nesterov's form and decoupled decay enter as they enter the step. Adam's second
//! moment is frozen at the values that it had, so that its step is linear in past gradients:
//! `u_t = eta_t (1 - beta1) / (1 - beta1^{t+1}) D_t a_t + beta1 u_{t+1}`. Where a gradient was
//! clipped by `chi`, each example bears its part (`clipping: pro-rata`, the basis for payouts), or
//! examples are credited as if nothing had been clipped and an account of its own takes
//! `(1 - chi) G_t . u_t` back (`clipping: system`).
//! A step along which the utility bends too much for `K` nodes is cut into equal pieces with `K`
//! nodes each. What the nodes still miss is posted to a rounding account, so that examples, decay,
//! clipping and rounding sum to
//! `f_q(theta_T) - f_q(theta_0)`. A rounding account above 1e-9 (in `f32`: 1e-4) of `max(1, |f_q|)`
//! is an error. Of a run that was logged in part, the steps that were seen are booked, the gain
//! counts from the earliest of them, and what is left goes to an account called unlogged.
//!
//! # Reads
//! The full trace, replayed once. `K` gradients for each query and step, more for the steps that
//! are cut; with momentum, the replay runs backwards.
//!
//! # Shapes
//! As `in-run-shapley`: `(B, d_l) x (d_l, q) -> (B, q)` twice a layer, node and step; with momentum
//! tails of all layers but the first.
//!
//! # Differs from the paper
//! The one-step game is that of in-run Shapley, and its exact Aumann-Shapley value stands in place
//! of the first- or second-order one, so that the sum closes. The values say how the run moved, not
//! what it would have done without an example; what examples did to Adam's second moment is
//! credited to nobody.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::PathLedger;
//! assert!(PathLedger { nodes: 4, ..Default::default() }.check().is_err());
//! ```
//!
//! # References
//! Aumann, Shapley, Values of Non-Atomic Games, 1974; Wang, Mittal, Song, Jia, Data Shapley in one
//! training run, ICLR 2025, arXiv 2406.11011.

use attribench_core::{
    Account, Context, FullTrace, Method, MethodError, MethodInfo, ProblemSize, Queries, Real,
    Scale, Scorer, Scores, View,
};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use crate::{
    credits::{self, Bend, Clipping, Closing, Columns, Credits, Node, Rule},
    label,
};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PathLedger {
    /// `K`, nodes on each segment: 1, 2 or 3. Exact for utilities of degree `2K` along it.
    pub nodes: usize,
    /// Who bears what clipping took.
    pub clipping: Clipping,
}

impl Default for PathLedger {
    fn default() -> Self {
        Self { nodes: 3, clipping: Clipping::ProRata }
    }
}

/// `sqrt(3/5) / 2` and `1 / (2 sqrt 3)`: distances of the outer nodes from the middle.
const OUTER_OF_THREE: f64 = 0.387_298_334_620_741_7;
const OUTER_OF_TWO: f64 = 0.288_675_134_594_812_9;

const ONE_NODE: [Node; 1] = [(0.5, 1.0)];
const TWO_NODES: [Node; 2] = [(0.5 - OUTER_OF_TWO, 0.5), (0.5 + OUTER_OF_TWO, 0.5)];
const THREE_NODES: [Node; 3] =
    [(0.5 - OUTER_OF_THREE, 5.0 / 18.0), (0.5, 4.0 / 9.0), (0.5 + OUTER_OF_THREE, 5.0 / 18.0)];

impl Method for PathLedger {
    type Access = FullTrace;
    const INFO: MethodInfo = MethodInfo {
        name: "path-ledger",
        summary: "books of the whole run: who moved each utility, with nothing left over",
        scale: Scale::Unit,
    };

    fn check(&self) -> Result<(), String> {
        self.rule().map(|_| ())
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        credits::working_bytes(size)
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, FullTrace, T>,
        _context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        Ok(Box::new(Fitted { view, ledger: self.clone(), accounts: Vec::new() }))
    }
}

struct Fitted<'a, T> {
    view: View<'a, FullTrace, T>,
    ledger: PathLedger,
    accounts: Vec<Account>,
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let books = self.ledger.closed_books(self.view, queries, Columns::Each)?;
        self.accounts = books.accounts();
        label::<PathLedger, T>(self.view.train(), queries, books.credits)
    }

    fn score_mean(&mut self, queries: &Queries<T>) -> Result<Vec<f64>, MethodError> {
        let books = self.ledger.closed_books(self.view, queries, Columns::Mean)?;
        self.accounts = books.accounts();
        Ok(books.credits.into_raw_vec_and_offset().0)
    }

    fn accounts(&self) -> Vec<Account> {
        self.accounts.clone()
    }
}
/// Largest rounding account relative to `max(1, |f|)`: that of the quadrature in `f64`; in `f32`
/// the run's own rounding of its parameters comes on top.
fn closing_tolerance<T: Real>() -> f64 {
    if size_of::<T>() == size_of::<f64>() { 1e-9 } else { 1e-4 }
}

impl PathLedger {
    fn rule(&self) -> Result<&'static [Node], String> {
        match self.nodes {
            1 => Ok(&ONE_NODE),
            2 => Ok(&TWO_NODES),
            3 => Ok(&THREE_NODES),
            nodes => Err(format!("`nodes` is {nodes}\nhint: choose 1, 2 or 3 nodes")),
        }
    }

    /// The books of every query, closed; how well they close is in [`Books::relative_residual`].
    ///
    /// # Errors
    /// When the run cannot be replayed or a parameter is out of range.
    pub fn books<T: Real>(
        &self,
        view: View<'_, FullTrace, T>,
        queries: &Queries<T>,
    ) -> Result<Books, MethodError> {
        self.books_of(view, queries, Columns::Each)
    }

    fn books_of<T: Real>(
        &self,
        view: View<'_, FullTrace, T>,
        queries: &Queries<T>,
        columns: Columns,
    ) -> Result<Books, MethodError> {
        // The rounding accounts of the steps add up, so each step may miss its share.
        let share = closing_tolerance::<T>() / view.recipe().steps.max(1) as f64;
        let rule = Rule {
            nodes: self.rule().map_err(MethodError::Unsuitable)?,
            closing: Closing::Within(share),
            clipping: self.clipping,
            columns,
            bend: Bend::Straight,
        };
        let credits = credits::credits(view, queries, rule)?;
        let end = view.model().utilities(&queries.examples, queries.utility);
        let start = credits.start.clone().unwrap_or_else(|| end.clone());
        let column = |each: Vec<f64>| match columns {
            Columns::Each => each,
            Columns::Mean => vec![each.iter().sum::<f64>() / each.len() as f64],
        };
        Ok(Books::close(
            (self.clipping, view.log().is_whole()),
            credits,
            &column(start),
            &column(end),
        ))
    }

    /// The books, or an error where they do not close.
    fn closed_books<T: Real>(
        &self,
        view: View<'_, FullTrace, T>,
        queries: &Queries<T>,
        columns: Columns,
    ) -> Result<Books, MethodError> {
        let books = self.books_of(view, queries, columns)?;
        let (residual, tolerance) = (books.relative_residual(), closing_tolerance::<T>());
        if residual.is_nan() || books.is_whole && residual > tolerance {
            return Err(MethodError::Unsuitable(format!(
                "the books of path-ledger close to {residual:.1e} with K = {} nodes \
                 (wanted {tolerance:.0e})\nhint: use a smooth activation, or more `nodes`",
                self.nodes,
            )));
        }
        Ok(books)
    }
}

/// Accounts of each query `q`, or of their mean:
/// `sum_i credits[i, q] + decay[q] + clipping[q] + rounding[q] = gain[q]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Books {
    mode: Clipping,
    /// Whether every step and layer was there to be booked.
    is_whole: bool,
    credits: Array2<f64>,
    decay: Array1<f64>,
    clipping: Array1<f64>,
    rounding: Array1<f64>,
    gain: Array1<f64>,
    size: Vec<f64>,
}

impl Books {
    /// Posts what is missing to the rounding account.
    fn close(
        (mode, is_whole): (Clipping, bool),
        credits: Credits,
        start: &[f64],
        end: &[f64],
    ) -> Self {
        let gain: Array1<f64> = start.iter().zip(end).map(|(start, end)| end - start).collect();
        let Credits { examples, decay, clipping, .. } = credits;
        let rounding = &gain - &examples.sum_axis(Axis(0)) - &decay - &clipping;
        let size = start.iter().zip(end).map(|(start, end)| start.abs().max(end.abs())).collect();
        Self { mode, is_whole, credits: examples, decay, clipping, rounding, gain, size }
    }

    /// Who bears what clipping took.
    pub fn mode(&self) -> Clipping {
        self.mode
    }

    /// Credit of clipping, `q`: 0 where the examples bear it.
    pub fn clipping(&self) -> &[f64] {
        numbers(&self.clipping)
    }

    /// The accounts that no example owns; that of clipping only where it has one.
    fn accounts(&self) -> Vec<Account> {
        let account = |name, amounts: &Array1<f64>| Account { name, per_query: amounts.to_vec() };
        let mut accounts = vec![account("gain", &self.gain), account("weight-decay", &self.decay)];
        if self.mode == Clipping::System {
            accounts.push(account("clipping", &self.clipping));
        }
        let rest = if self.is_whole { "rounding" } else { "unlogged" };
        accounts.push(account(rest, &self.rounding));
        accounts
    }

    /// Credits of the training examples, `(n, q)`.
    pub fn credits(&self) -> ArrayView2<'_, f64> {
        self.credits.view()
    }

    /// Credit of the weight decay, `q`.
    pub fn decay(&self) -> &[f64] {
        numbers(&self.decay)
    }

    /// What closes the books, `q`: rounding, and what was not logged.
    pub fn rounding(&self) -> &[f64] {
        numbers(&self.rounding)
    }

    /// `f_q(theta_T) - f_q(theta_0)`, `q`.
    pub fn gain(&self) -> &[f64] {
        numbers(&self.gain)
    }

    /// Largest rounding account relative to `max(1, |f_q(theta_0)|, |f_q(theta_T)|)`; NaN when an
    /// account is.
    pub fn relative_residual(&self) -> f64 {
        let ratios = self.rounding.iter().zip(&self.size);
        ratios
            .map(|(rounding, size)| rounding.abs() / size.max(1.0))
            .fold(0.0, |top, ratio| if ratio > top || ratio.is_nan() { ratio } else { top })
    }
}

fn numbers(account: &Array1<f64>) -> &[f64] {
    account.as_slice().expect("accounts in standard layout")
}

#[cfg(test)]
mod tests {
    use attribench_core::{
        AdamW, Context, FitReal, FullTrace, Meter, Method, MethodError, MethodInfo, Optimiser,
        Queries, Real, Run, Scale, Scorer, Scores, Sgd, UpdateRule, Utility, View, WeightDecay,
    };
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::{Books, Clipping, Credits, PathLedger};
    use crate::common::{
        SEED, TestRun, assert_close, digits_like, golden_momentum, golden_sgd, scores_of,
        try_scores_of,
    };

    /// Carries a query's books where a score would be: credits, then decay, rounding and gain.
    #[derive(Clone, Default, Serialize, Deserialize)]
    struct Auditor {
        nodes: usize,
    }

    struct Audit<'a, T> {
        view: View<'a, FullTrace, T>,
        nodes: usize,
    }

    impl Method for Auditor {
        type Access = FullTrace;
        const INFO: MethodInfo =
            MethodInfo { name: "auditor", summary: "reads the books", scale: Scale::Unit };

        fn fit<'a, T: Real>(
            &self,
            view: View<'a, FullTrace, T>,
            _context: &Context<'_>,
        ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
            Ok(Box::new(Audit { view, nodes: self.nodes }))
        }
    }

    impl<T: Real> Scorer<T> for Audit<'_, T> {
        fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
            let books =
                PathLedger { nodes: self.nodes, ..Default::default() }.books(self.view, queries)?;
            let n = books.credits().nrows();
            let values = ndarray::Array2::from_shape_fn((n + 4, queries.ids().len()), |(i, q)| {
                match i.checked_sub(n) {
                    None => books.credits()[(i, q)],
                    Some(0) => books.decay()[q],
                    Some(1) => books.rounding()[q],
                    Some(2) => books.gain()[q],
                    Some(_) => books.relative_residual(),
                }
            });
            let ids = vec![queries.ids()[0]; n + 4];
            Ok(Scores::new(ids, queries.ids().to_vec(), values, Scale::Unit)?)
        }
    }

    #[test]
    fn quadratic_utilities_by_hand() {
        // SGD: a_0 at 0.5: 1.5, a_1 at 1.25: 0.75; credits 1/4 * (1.5, 4.5 + 2 * 0.75).
        // Momentum 1/2: a_0 = 3.5, a_1 = 2.5; u_1 = 1.25, u_0 = 2.375; 1/2 (2.375, 7.125 + 2.5).
        for nodes in 1..=3 {
            let ledger = PathLedger { nodes, ..Default::default() };
            let sgd = golden_sgd();
            let scores = scores_of(&ledger, &sgd.run, &sgd.queries);
            assert_close(scores.values(), &[0.375, 1.5], 1e-14);
            let momentum = golden_momentum();
            let scores = scores_of(&ledger, &momentum.run, &momentum.queries);
            assert_close(scores.values(), &[1.1875, 4.8125], 1e-14);
        }
    }

    #[test]
    fn books_close_with_decay_and_momentum() {
        for momentum in [0.0, 0.9] {
            let problem = digits_like::<f64>(32).network(&[6]).momentum(momentum).decay(0.02);
            let (run, queries) = problem.pair(5, Utility::Margin);
            let audit = scores_of(&Auditor { nodes: 3 }, &run, &queries);
            for column in audit.values().columns() {
                let earned: f64 = column.iter().take(32).sum();
                let (decay, rounding, gain) = (column[32], column[33], column[34]);
                assert!((earned + decay + rounding - gain).abs() < 1e-13);
                assert!(decay.abs() > 1e-4, "a decay of {decay} tests nothing");
                assert!(rounding.abs() < 1e-9, "momentum {momentum}: {rounding:e}");
            }
        }
    }

    /// Sums of the examples' credits, and the accounts, of the mean utility.
    fn accounts_of_the_mean(
        ledger: &PathLedger,
        run: &TestRun<f64>,
        queries: &Queries<f64>,
    ) -> (f64, Vec<(&'static str, f64)>) {
        let meter = Meter::default();
        let mut scorer = f64::fit(ledger, run, &meter, SEED).unwrap();
        let earned = scorer.score_mean(queries).unwrap().iter().sum();
        let accounts = scorer.accounts();
        (earned, accounts.iter().map(|account| (account.name, account.per_query[0])).collect())
    }

    #[test]
    fn adam_by_the_reference() {
        // theta_1, theta_2 and f of the two examples of `golden_sgd` under AdamW, to twelve digits.
        let adam = AdamW {
            beta1: 0.5,
            beta2: 0.75,
            eps: 0.0,
            eps_root: 0.01,
            weight_decay: WeightDecay::Decoupled(0.1),
        };
        let game = golden_sgd();
        let rule = UpdateRule {
            optimiser: Optimiser::AdamW(adam),
            clip_norm: None,
            ..game.run.recipe.rule
        };
        let plan = crate::common::Plan {
            batches: vec![vec![0, 1]; 2],
            learning_rate: 0.5,
            rule,
            interval: 1,
        };
        let run = TestRun::new(game.run.model, game.run.train, vec![0.0, 0.0], &plan);
        assert!((run.steps[1].before[1] - 0.499376169439).abs() < 1e-12);
        assert!((run.parameters[1] - 0.954767221942).abs() < 1e-12);
        let (earned, accounts) = accounts_of_the_mean(&PathLedger::default(), &run, &game.queries);
        let [(_, gain), (_, decay), (_, rounding)] = accounts[..] else { panic!("{accounts:?}") };
        // f(theta_2) = -0.546255780163, and f(0) = -2.
        assert!((gain - 1.453744219837).abs() < 1e-12, "{gain}");
        assert!((earned + decay - gain).abs() < 1e-14 && rounding.abs() < 1e-14, "{rounding:e}");
        // Decay moves theta from 0.4994 by -0.5 * 0.1 * 0.4994, where the mean slope of f along the
        // step is 2 - (0.499376169439 + 0.954767221942) / 2.
        let by_hand = -0.5 * 0.1 * 0.499376169439 * (2.0 - 1.454143391381 / 2.0);
        assert!((decay - by_hand).abs() < 1e-12, "{decay} {by_hand}");
    }

    #[test]
    fn clipping_by_hand() {
        // Full batch, learning rate 1/2, from 0: G_0 = -2 is clipped to -1, so theta_1 = 1/2;
        // G_1 = -3/2 to -1, so theta_2 = 1. f = -1/2 (theta - 2)^2: a_0 = 7/4, a_1 = 5/4.
        // Unclipped credits 1/2 * 1/2 * (1, 3) * 7/4 and 1/2 * 1/2 * (1/2, 5/2) * 5/4 are shortened
        // by 1/2 and by 2/3, or the account of clipping takes the rest.
        let game = golden_sgd();
        let rule = UpdateRule { clip_norm: Some(1.0), ..game.run.recipe.rule };
        let plan = crate::common::Plan {
            batches: vec![vec![0, 1]; 2],
            learning_rate: 0.5,
            rule,
            interval: 1,
        };
        let run = TestRun::new(game.run.model, game.run.train, vec![0.0, 0.0], &plan);
        let first = [7.0 / 16.0, 21.0 / 16.0];
        let second = [5.0 / 32.0, 25.0 / 32.0];
        let shared: Vec<f64> = (0..2).map(|i| first[i] / 2.0 + second[i] * 2.0 / 3.0).collect();
        let pro_rata = scores_of(&PathLedger::default(), &run, &game.queries);
        assert_close(pro_rata.values(), &shared, 1e-14);
        let ledger = PathLedger { clipping: Clipping::System, ..Default::default() };
        let whole = scores_of(&ledger, &run, &game.queries);
        assert_close(whole.values(), &[first[0] + second[0], first[1] + second[1]], 1e-14);
        let (earned, accounts) = accounts_of_the_mean(&ledger, &run, &game.queries);
        let (name, clipping) = accounts[2];
        assert_eq!(name, "clipping");
        assert!((earned + clipping - shared.iter().sum::<f64>()).abs() < 1e-14);
    }

    fn decays() -> impl Strategy<Value = WeightDecay> {
        prop_oneof![
            Just(WeightDecay::None),
            Just(WeightDecay::Coupled(0.03)),
            Just(WeightDecay::Decoupled(0.03)),
        ]
    }

    fn optimisers() -> impl Strategy<Value = Optimiser> {
        let sgd = (0.1..0.95f64, 0.0..0.9f64, any::<bool>(), decays()).prop_map(
            |(momentum, dampening, nesterov, weight_decay)| {
                Optimiser::Sgd(Sgd { momentum, dampening, nesterov, weight_decay })
            },
        );
        let plain = decays()
            .prop_map(|weight_decay| Optimiser::Sgd(Sgd { weight_decay, ..Sgd::default() }));
        let adam =
            (0.0..0.95f64, 0.5..0.99f64, decays()).prop_map(|(beta1, beta2, weight_decay)| {
                Optimiser::AdamW(AdamW { beta1, beta2, eps: 1e-3, eps_root: 1e-4, weight_decay })
            });
        prop_oneof![sgd, plain, adam]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// For every optimiser and both modes of clipping: examples, decay, clipping and rounding
        /// sum to the gain, rounding is below 1e-9, and the books of the mean are the mean's.
        #[test]
        fn books_close_for_every_optimiser(
            optimiser in optimisers(),
            clip in prop_oneof![Just(None), Just(Some(0.3))],
            mode in prop_oneof![Just(Clipping::ProRata), Just(Clipping::System)],
        ) {
            let problem = digits_like::<f64>(16).network(&[4]).rule(optimiser, clip);
            let (run, queries) = problem.learning_rate(0.05).pair(3, Utility::Margin);
            let ledger = PathLedger { clipping: mode, ..Default::default() };
            let meter = Meter::default();
            let mut scorer = f64::fit(&ledger, &run, &meter, SEED).unwrap();
            let scores = scorer.score(&queries).unwrap();
            let accounts = scorer.accounts();
            for q in 0..3 {
                let amounts: Vec<f64> =
                    accounts.iter().map(|account| account.per_query[q]).collect();
                let (gain, others) = amounts.split_first().unwrap();
                let posted = scores.values().column(q).sum() + others.iter().sum::<f64>();
                prop_assert!((posted - gain).abs() < 1e-12);
                prop_assert!(others.last().unwrap().abs() < 1e-9, "{accounts:?}");
            }
            let mean = scorer.score_mean(&queries).unwrap();
            for (mean, each) in mean.iter().zip(scores.values().rows()) {
                prop_assert!((mean - each.sum() / 3.0).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn more_nodes_close_better() {
        let (run, queries) = digits_like::<f64>(32).network(&[6]).pair(5, Utility::Margin);
        let residuals: Vec<f64> = (1..=3)
            .map(|nodes| scores_of(&Auditor { nodes }, &run, &queries).values()[(35, 0)])
            .collect();
        assert!(residuals[0] > 10.0 * residuals[1], "{residuals:?}");
        assert!(residuals[1] > 10.0 * residuals[2], "{residuals:?}");
    }

    #[test]
    fn books_that_do_not_close_are_refused() {
        let problem = digits_like::<f64>(32).network(&[6]).learning_rate(1.0);
        let (run, queries) = problem.pair(5, Utility::Margin);
        let refusal = try_scores_of(&PathLedger { nodes: 1, ..Default::default() }, &run, &queries)
            .unwrap_err();
        assert!(refusal.to_string().contains("K = 1"), "{refusal}");
        assert!(refusal.to_string().contains("more `nodes`"), "{refusal}");
    }

    #[test]
    fn long_steps_are_cut_until_the_books_close() {
        let problem = digits_like::<f64>(32).network(&[6]).learning_rate(2.0).momentum(0.9);
        let (run, queries) = problem.pair(5, Utility::Margin);
        let gradients = |nodes| {
            let meter = Meter::default();
            let mut scorer =
                FitReal::fit(&PathLedger { nodes, ..Default::default() }, &run, &meter, 0).unwrap();
            scorer.score(&queries).unwrap();
            let rounding = scorer.accounts().pop().unwrap();
            assert_eq!(rounding.name, "rounding");
            assert!(rounding.per_query.iter().all(|value| value.abs() < 1e-9));
            meter.cost().gradients as usize
        };
        let uncut = 3 * queries.examples.len() * run.recipe().steps;
        assert!(gradients(3) > uncut, "no step was long enough to be cut");
    }

    #[test]
    fn books_that_are_not_numbers_have_no_small_residual() {
        let credits = Credits {
            examples: ndarray::array![[0.0, f64::NAN]],
            decay: ndarray::Array1::zeros(2),
            clipping: ndarray::Array1::zeros(2),
            start: None,
        };
        let books = Books::close((Clipping::ProRata, true), credits, &[1.0, 1.0], &[1.0, 1.0]);
        assert!(books.relative_residual().is_nan());
    }

    #[test]
    fn single_precision_closes_to_its_own_rounding() {
        let problem = digits_like::<f32>(32).network(&[6]).momentum(0.9).decay(0.01);
        let (run, queries) = problem.pair(5, Utility::Margin);
        let audit = scores_of(&Auditor { nodes: 2 }, &run, &queries);
        let residual = audit.values()[(35, 0)];
        assert!(residual < 1e-5, "{residual:e}");
        assert!(residual > 1e-10, "a residual of {residual:e} was not computed in f32");
    }
}
