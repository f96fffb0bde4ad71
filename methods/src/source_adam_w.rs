//! Influence by unrolling training with AdamW in segments.
//!
//! # Computes
//! `tau[i, q] = (1/n) b_q . sum_l (prod_{m > l} J_m) Q_l F_l Q_l g_il` with `Q = P^{1/2}`,
//! `F = (1 - e^{-rho (Q C Q + gamma)}) (Q C Q + gamma)^-1`,
//! `J = Q e^{-rho (Q C Q + gamma)} Q^-1`: `source` with the preconditioner
//! `P = 1 / (sqrt(v^ + eps_root) + eps)` of the optimiser's states, its mean over the checkpoints
//! of a segment. `gamma` is the decoupled weight decay. With `P = 1` this is `source`.
//!
//! # Reads
//! Checkpoints with the optimiser's states. For each checkpoint twice one gradient for each
//! training example and class (`fisher: expected`), and one for each training example; one for
//! each query.
//!
//! # Shapes
//! As `source`, and `Q` of each segment, `(p)`.
//!
//! # Differs from the paper
//! In the curvature, and only there, `Q` of a layer is an outer product of two vectors, so that
//! `Q C Q` has Kronecker factors: that of the sums of `1 / Q` over rows and over columns. Momentum
//! and the second moment's dependence on the examples are left out, as is what clipping takes away.
//! Under SGD, whose preconditioner is 1, it is `source`.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::SourceAdamW;
//! assert!(SourceAdamW::default().check().is_ok());
//! ```
//!
//! # References
//! Bae, Lin, Lorraine, Grosse, Training data attribution via approximate unrolling, NeurIPS 2024,
//! arXiv 2405.12186.

use std::ops::Range;

use attribench_core::{
    Context, Method, MethodError, MethodInfo, Optimiser, OptimizerStates, ProblemSize, Real, Scale,
    Scorer, View,
};
use ndarray::Array1;
use serde::{Deserialize, Serialize};

use crate::{
    Fisher, Source,
    segments::{self, Choices, unrolled},
};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SourceAdamW {
    /// Stretches of checkpoints; no more than there are checkpoints.
    pub segments: usize,
    /// Whose gradients the curvature is made of.
    pub fisher: Fisher,
}

impl Default for SourceAdamW {
    fn default() -> Self {
        Self { segments: 3, fisher: Fisher::default() }
    }
}

impl Method for SourceAdamW {
    type Access = OptimizerStates;
    const INFO: MethodInfo = MethodInfo {
        name: "source-adam-w",
        summary: "influence by unrolling training with AdamW in segments",
        scale: Scale::Derivative,
    };

    fn check(&self) -> Result<(), String> {
        segments::check(self.segments)
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { parameters, .. } = size;
        let segments = Source { segments: self.segments, fisher: self.fisher };
        let roots = self.segments * parameters * size_of::<f64>();
        segments.working_bytes(size) + roots as u64
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, OptimizerStates, T>,
        context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let optimiser = view.recipe().rule.optimiser;
        let gamma = match optimiser {
            Optimiser::Sgd(_) => optimiser.ridge(),
            Optimiser::AdamW(adam) if adam.weight_decay.coupled() > 0.0 => {
                return Err(MethodError::Unsuitable(
                    "source-adam-w does not know coupled decay, which passes through the moments\n\
                     hint: train with decoupled decay"
                        .to_owned(),
                ));
            }
            Optimiser::AdamW(adam) => adam.weight_decay.decoupled(),
        };
        let choices = Choices { segments: self.segments, fisher: self.fisher, gamma };
        unrolled::<Self, T>(view, context, choices, |range| mean_root(view, range))
    }
}

/// Square root of the mean preconditioner of some checkpoints, `p`, where there is one; before the
/// first step it is not known.
fn mean_root<T: Real>(
    view: View<'_, OptimizerStates, T>,
    range: Range<usize>,
) -> Result<Option<Array1<f64>>, MethodError> {
    let optimiser = view.recipe().rule.optimiser;
    if matches!(optimiser, Optimiser::Sgd(_)) {
        return Ok(None);
    }
    let known = |index: usize| {
        let step = view.checkpoints()[index].step;
        (step > 0).then(|| optimiser.preconditioner(&view.moments()[index], step)).flatten()
    };
    let known: Vec<Array1<f64>> = range.filter_map(known).map(Array1::from_vec).collect();
    let count = known.len() as f64;
    let Some(sum) = known.into_iter().reduce(|sum, preconditioner| sum + preconditioner) else {
        return Err(MethodError::Unsuitable(
            "a segment has no checkpoint after the first step\nhint: ask for fewer segments"
                .to_owned(),
        ));
    };
    Ok(Some(sum.mapv_into(|sum| (sum / count).sqrt())))
}

#[cfg(test)]
mod tests {
    use attribench_core::{
        AdamW, Examples, Labels, Optimiser, Queries, Run, UpdateRule, Utility, WeightDecay,
    };
    use attribench_models::{Activation, Network};
    use ndarray::{Array2, array};

    use super::SourceAdamW;
    use crate::{
        Source,
        common::{
            Plan, STILL, TestRun, assert_close, digits_like, gradients_one_at_a_time,
            gradients_one_at_a_time_at, scores_of, solve_slowly, try_scores_of,
        },
    };

    const ADAM: AdamW = AdamW {
        beta1: 0.0,
        beta2: 0.9,
        eps: 1e-8,
        eps_root: 0.0,
        weight_decay: WeightDecay::Decoupled(0.02),
    };

    #[test]
    fn with_a_preconditioner_of_one_it_is_source() {
        // Second moments of 0 leave the divisor at eps = 1.
        let adam = AdamW { eps: 1.0, weight_decay: WeightDecay::Decoupled(0.0), ..ADAM };
        let mut problem = digits_like::<f64>(24).network(&[7]);
        problem.plan.interval = 2;
        let (plain, queries) = problem.pair(5, Utility::Margin);
        let method = Source { segments: 2, ..Source::default() };
        let expected = scores_of(&method, &plain, &queries);
        let mut run = problem.rule(Optimiser::AdamW(adam), None).run();
        run.moments.iter_mut().flatten().for_each(|moment| moment.fill(0.0));
        run.checkpoints.clone_from(&plain.checkpoints);
        run.parameters.clone_from(&plain.parameters);
        let method = SourceAdamW { segments: 2, ..SourceAdamW::default() };
        let found = scores_of(&method, &run, &queries);
        assert_close(found.values(), expected.values().as_slice().unwrap(), 1e-12);
    }

    /// `(e^{-rho m}, int_0^rho e^{-s m} ds)` the slow way: 2^20 Euler steps, by doubling.
    fn flow(m: &Array2<f64>, rho: f64) -> (Array2<f64>, Array2<f64>) {
        let one = Array2::<f64>::eye(m.nrows());
        let h = rho / f64::from(1 << 20);
        let mut power = &one - &(m * h) + m.dot(m) * (h * h / 2.0);
        let mut sum = &one * h - m * (h * h / 2.0);
        for _ in 0..20 {
            sum = &sum + &power.dot(&sum);
            power = power.dot(&power);
        }
        (power, sum)
    }

    #[test]
    fn regression_with_a_preconditioner_that_differs_by_parameter() {
        // One output, so that every preconditioner is an outer product and the curvature is the
        // second moment of the inputs exactly.
        let x = array![[1.0, 0.2], [-0.5, 1.0], [0.3, -1.0], [2.0, 0.4], [0.7, 0.6]];
        let regression = |x: Array2<f64>, y: Vec<f64>| Examples::new(x, Labels::Values(y));
        let plan = Plan {
            batches: vec![(0..5).collect(); 40],
            learning_rate: 0.05,
            rule: UpdateRule { optimiser: Optimiser::AdamW(ADAM), batch_size: 5, ..STILL.rule },
            interval: 10,
        };
        let train = regression(x.clone(), vec![1.0, -2.0, 0.5, 3.0, 1.0]);
        let model = Network::dense(&[2, 1], Activation::Tanh);
        let run = TestRun::new(model, train, vec![0.4, 0.3, 0.1], &plan);
        let queries = Queries {
            examples: regression(array![[1.0, 1.0], [-1.0, 0.5]], vec![0.0, 1.0]),
            utility: Utility::NegativeLoss,
        };
        let found =
            scores_of(&SourceAdamW { segments: 2, ..SourceAdamW::default() }, &run, &queries);
        // In the original coordinates, d' = -(P C + gamma) d and a push of P g.
        let mut extended = Array2::ones((5, 3));
        extended.slice_mut(ndarray::s![.., ..2]).assign(&x);
        let c = extended.t().dot(&extended) / 5.0;
        let mut b = gradients_one_at_a_time(&run, &queries).1;
        let mut expected = Array2::<f64>::zeros((5, 2));
        for checkpoints in [2..4, 0..2] {
            let known: Vec<usize> =
                checkpoints.clone().filter(|&k| run.checkpoints[k].step > 0).collect();
            let mut p = Array2::<f64>::zeros((3, 3));
            for &k in &known {
                let steps = run.checkpoints[k].step as i32;
                for j in 0..3 {
                    let v = run.moments[k][1][j] / (1.0 - 0.9_f64.powi(steps));
                    p[(j, j)] += 1.0 / ((v.sqrt() + 1e-8) * known.len() as f64);
                }
            }
            let m = p.dot(&c) + Array2::<f64>::eye(3) * 0.02;
            let (left, pushed) = flow(&m, 20.0 * 0.05);
            for k in checkpoints {
                let theta = &run.checkpoints()[k].parameters;
                let g = gradients_one_at_a_time_at(&run, &queries, theta).0;
                expected += &(g.dot(&p).dot(&pushed.t()).dot(&b.t()) / 10.0);
            }
            b = b.dot(&left);
        }
        assert_close(found.values(), expected.as_slice().unwrap(), 1e-8);
        // Long training forgets the preconditioner: the push sums up to the inverse.
        let (_, pushed) = flow(&c, 400.0);
        let inverse = solve_slowly(c, Array2::eye(3));
        assert_close(pushed.view(), inverse.as_slice().unwrap(), 1e-6);
    }

    #[test]
    fn coupled_decay_is_refused() {
        let coupled = AdamW { weight_decay: WeightDecay::Coupled(0.1), ..ADAM };
        let problem = digits_like::<f64>(16).rule(Optimiser::AdamW(coupled), None);
        let (run, queries) = problem.pair(2, Utility::Margin);
        let refusal = try_scores_of(&SourceAdamW::default(), &run, &queries).unwrap_err();
        assert!(refusal.to_string().contains("coupled decay"), "{refusal}");
    }
}
