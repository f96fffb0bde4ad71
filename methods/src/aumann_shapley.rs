//! Shares of the whole gain as all data weights grow together from 0 to 1.
//!
//! # Computes
//! `tau[i, q] = integral from 0 to 1 of d f_q / d w_i (s 1) ds` by Gauss-Legendre quadrature:
//! `sum_k c_k tau^k[i, q]`, with the metagradient `tau^k` of the run trained at weights `s_k 1`.
//! The shares sum to `f_q(theta_T(1)) - f_q(theta_T(0))`; what the nodes miss of that is posted to
//! a rounding account.
//!
//! # Reads
//! The full trace, and the right to train again: for each node one training at weights `s_k`,
//! replayed backwards as by `metagradient`, and one training at weights 0.
//!
//! # Shapes
//! As `metagradient`, for each node; `(n, q)` added up in `f64`.
//!
//! # Differs from the paper
//! The game is the whole training, and its players are infinitely divisible data weights. Only
//! gradient descent is taken: under Adam and under clipping a step hardly changes when all
//! gradients shrink together, so the gain gathers at `s` near 0, where no quadrature sees it.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::AumannShapley;
//! assert!(AumannShapley { nodes: 0 }.check().is_err());
//! ```
//!
//! # References
//! Aumann, Shapley, Values of Non-Atomic Games, 1974; Sundararajan, Taly, Yan, Axiomatic
//! attribution for deep networks, ICML 2017, arXiv 1703.01365.

use attribench_core::{
    Account, AndRetraining, Context, Curvature, FullTrace, Method, MethodError, MethodInfo,
    Observer, Optimiser, ProblemSize, Queries, Real, Retrain, RunError, Scale, Scorer, Scores,
    Step, View,
};
use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};

use crate::{
    label,
    metagradient::{StepCurvature, metagradient},
    quadrature::gauss_legendre,
};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AumannShapley {
    /// Nodes of the quadrature, each of them a training.
    pub nodes: usize,
}

impl Default for AumannShapley {
    fn default() -> Self {
        Self { nodes: 8 }
    }
}

const MOST_NODES: usize = 64;

impl Method for AumannShapley {
    type Access = AndRetraining<FullTrace>;
    const INFO: MethodInfo = MethodInfo {
        name: "aumann-shapley",
        summary: "shares of the whole gain as all data weights grow together from 0 to 1",
        scale: Scale::Unit,
    };

    fn check(&self) -> Result<(), String> {
        if (1..=MOST_NODES).contains(&self.nodes) {
            return Ok(());
        }
        Err(format!("`nodes` is {}\nhint: use 1 to {MOST_NODES} nodes", self.nodes))
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        crate::Metagradient::default().working_bytes(size)
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, AndRetraining<FullTrace>, T>,
        _context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let rule = view.recipe().rule;
        if !matches!(rule.optimiser, Optimiser::Sgd(_)) || rule.clip_norm.is_some() {
            return Err(MethodError::Unsuitable(
                "a step of Adam, or one that is clipped, hardly changes when all gradients shrink \
                 together, so that the gain gathers where no quadrature sees it\nhint: train with \
                 `sgd` without `clip-norm`, or ask for `metagradient`"
                    .to_owned(),
            ));
        }
        Ok(Box::new(Fitted { view, nodes: self.nodes, accounts: Vec::new() }))
    }
}

struct Fitted<'a, T> {
    view: View<'a, AndRetraining<FullTrace>, T>,
    nodes: usize,
    accounts: Vec<Account>,
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let (view, retrain) = (self.view, Retrain::of(self.view));
        let (n, q) = (view.train().len(), queries.examples.len());
        let mut values = Array2::<f64>::zeros((n, q));
        for (s, c) in gauss_legendre(self.nodes) {
            let weights = vec![T::from_f64(s); n];
            let exact = StepCurvature::Of(Curvature::Hessian);
            let derivative = metagradient(view, queries, exact, |observer| {
                retrain.replay_backwards(&weights, observer)
            })?;
            values.scaled_add(c, &derivative);
        }
        let mut nothing = End(None);
        retrain.replay_backwards(&vec![T::zero(); n], &mut nothing)?;
        let start = nothing.0.unwrap_or_else(|| view.model().parameters().to_vec());
        let start = view.model_at(&start).utilities(&queries.examples, queries.utility);
        let end = view.model().utilities(&queries.examples, queries.utility);
        let gain: Vec<f64> = start.iter().zip(&end).map(|(start, end)| end - start).collect();
        let earned = values.sum_axis(Axis(0));
        let rounding = gain.iter().zip(&earned).map(|(gain, earned)| gain - earned).collect();
        let account = |name, per_query| Account { name, per_query };
        self.accounts = vec![account("gain", gain), account("rounding", rounding)];
        label::<AumannShapley, T>(view.train(), queries, values)
    }

    fn accounts(&self) -> Vec<Account> {
        self.accounts.clone()
    }
}

/// Keeps the parameters after the first step that it is shown, the last of the run.
struct End<T>(Option<Vec<T>>);

impl<T: Real> Observer<T> for End<T> {
    fn reads_captures(&self) -> bool {
        false
    }

    fn step(&mut self, step: &Step<'_, T>) -> Result<(), RunError> {
        if self.0.is_none() {
            self.0 = Some(step.after.to_vec());
        }
        Ok(())
    }
}
