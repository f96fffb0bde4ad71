//! Books of the whole run: who moved each utility, with nothing left over.
//!
//! # Computes
//! The gain of a step is the integral of the utility's gradient along the segment from `theta_t` to
//! `theta_{t+1}`. With `K` Gauss-Legendre nodes its mean is `a_t = sum_k c_k grad f_q(theta_t +
//! s_k (theta_{t+1} - theta_t))`. Backwards over the run, with momentum `mu`,
//! `u_t = eta_t a_t + mu u_{t+1}`; then the occurrence of example `i` at step `t` is credited with
//! `-(1 / B) w_i (g_i(theta_t) . u_t)`, and weight decay `gamma` with `-gamma (theta_t . u_t)`.
//! A step along which the utility bends too much for `K` nodes is cut into equal pieces with `K`
//! nodes each. What the nodes still miss is posted to a rounding account, so that examples, decay
//! and rounding sum to
//! `f_q(theta_T) - f_q(theta_0)`. A rounding account above 1e-9 (in `f32`: 1e-4) of `max(1, |f_q|)`
//! is an error.
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
//! what it would have done without an example.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::PathLedger;
//! assert!(PathLedger { nodes: 4 }.check().is_err());
//! ```
//!
//! # References
//! Aumann, Shapley, Values of Non-Atomic Games, 1974; Wang, Mittal, Song, Jia, Data Shapley in one
//! training run, ICLR 2025, arXiv 2406.11011.

use attribench_core::{
    Account, Context, FullTrace, Method, MethodError, MethodInfo, Queries, Real, Scale, Scorer,
    Scores, View,
};
use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use crate::{
    credits::{self, Closing, Node},
    label,
};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PathLedger {
    /// `K`, nodes on each segment: 1, 2 or 3. Exact for utilities of degree `2K` along it.
    pub nodes: usize,
}

impl Default for PathLedger {
    fn default() -> Self {
        Self { nodes: 3 }
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

    fn working_bytes(
        &self,
        _examples: usize,
        queries: usize,
        parameters: usize,
        _number: usize,
    ) -> u64 {
        credits::tail_bytes(queries, parameters)
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
        let books = self.ledger.books(self.view, queries)?;
        let (residual, tolerance) = (books.relative_residual(), closing_tolerance::<T>());
        if residual.is_nan() || residual > tolerance {
            return Err(MethodError::Unsuitable(format!(
                "the books of path-ledger close to {residual:.1e} with K = {} nodes \
                 (wanted {tolerance:.0e})\nhint: use a smooth activation, or more `nodes`",
                self.ledger.nodes,
            )));
        }
        let Books { credits, decay, rounding, gain, .. } = books;
        let account = |name, per_query| Account { name, per_query };
        self.accounts = vec![
            account("gain", gain),
            account("weight-decay", decay),
            account("rounding", rounding),
        ];
        label::<PathLedger, T>(self.view.train(), queries, credits)
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
        let rule = self.rule().map_err(MethodError::Unsuitable)?;
        // The rounding accounts of the steps add up, so each step may miss its share.
        let share = closing_tolerance::<T>() / view.recipe().steps.max(1) as f64;
        let credits = credits::credits(view, queries, rule, Closing::Within(share))?;
        let end = view.model().utilities(&queries.examples, queries.utility);
        let start = credits.start.unwrap_or_else(|| end.clone());
        Ok(Books::close(credits.examples, credits.decay, &start, &end))
    }
}

/// Accounts of each query `q`: `sum_i credits[i, q] + decay[q] + rounding[q] = gain[q]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Books {
    credits: Array2<f64>,
    decay: Vec<f64>,
    rounding: Vec<f64>,
    gain: Vec<f64>,
    size: Vec<f64>,
}

impl Books {
    /// Posts what is missing to the rounding account.
    fn close(credits: Array2<f64>, decay: Vec<f64>, start: &[f64], end: &[f64]) -> Self {
        let gain: Vec<f64> = start.iter().zip(end).map(|(start, end)| end - start).collect();
        let earned = credits.sum_axis(Axis(0));
        let rounding = (0..gain.len()).map(|q| gain[q] - earned[q] - decay[q]).collect();
        let size = start.iter().zip(end).map(|(start, end)| start.abs().max(end.abs())).collect();
        Self { credits, decay, rounding, gain, size }
    }

    /// Credits of the training examples, `(n, q)`.
    pub fn credits(&self) -> ArrayView2<'_, f64> {
        self.credits.view()
    }

    /// Credit of the weight decay, `q`.
    pub fn decay(&self) -> &[f64] {
        &self.decay
    }

    /// What closes the books, `q`.
    pub fn rounding(&self) -> &[f64] {
        &self.rounding
    }

    /// `f_q(theta_T) - f_q(theta_0)`, `q`.
    pub fn gain(&self) -> &[f64] {
        &self.gain
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

#[cfg(test)]
mod tests {
    use attribench_core::{
        Context, FitReal, FullTrace, Meter, Method, MethodError, MethodInfo, Queries, Real, Run,
        Scale, Scorer, Scores, Utility, View,
    };
    use serde::{Deserialize, Serialize};

    use super::{Books, PathLedger};
    use crate::common::{
        assert_close, digits_like, golden_momentum, golden_sgd, scores_of, try_scores_of,
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
            let books = PathLedger { nodes: self.nodes }.books(self.view, queries)?;
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
            let ledger = PathLedger { nodes };
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
        let refusal = try_scores_of(&PathLedger { nodes: 1 }, &run, &queries).unwrap_err();
        assert!(refusal.to_string().contains("K = 1"), "{refusal}");
        assert!(refusal.to_string().contains("more `nodes`"), "{refusal}");
    }

    #[test]
    fn long_steps_are_cut_until_the_books_close() {
        let problem = digits_like::<f64>(32).network(&[6]).learning_rate(2.0).momentum(0.9);
        let (run, queries) = problem.pair(5, Utility::Margin);
        let gradients = |nodes| {
            let meter = Meter::default();
            let mut scorer = FitReal::fit(&PathLedger { nodes }, &run, &meter, 0).unwrap();
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
        let credits = ndarray::array![[0.0, f64::NAN]];
        let books = Books::close(credits, vec![0.0; 2], &[1.0, 1.0], &[1.0, 1.0]);
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
