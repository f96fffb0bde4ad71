//! Influence on sketched gradients of the output, averaged over checkpoints.
//!
//! # Computes
//! `tau[i, q] = (1/k) sum_j phi_qj . (Phi_j^T R_j Phi_j + n lambda_j I)^-1 phi_ij (1 - p_ij)` over
//! the `k` last checkpoints `theta_j`, each term as in `trak`, with a sketch of its own.
//!
//! # Reads
//! Checkpoints. One gradient for each checkpoint and each training example and query.
//!
//! # Shapes
//! Features `(n, size)` of each checkpoint, kept in `f64`; `(n, size) x (size, q) -> (n, q)` a
//! checkpoint.
//!
//! # Differs from the paper
//! The paper averages over models trained apart from each other; checkpoints of one run are what a
//! retrofit has. Kernels are calibrated before they are averaged, not multiplied by a mean of `1 -
//! p`. A mean over parameters that the run has left is no derivative at its end, so that the scale
//! is arbitrary.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::TrakCheckpoints;
//! assert!(TrakCheckpoints { size: 512, ..TrakCheckpoints::default() }.check().is_ok());
//! ```
//!
//! # References
//! Park, Georgiev, Ilyas, Leclerc, Madry, TRAK: attributing model behavior at scale, ICML 2023,
//! arXiv 2303.14186.

use attribench_core::{
    Checkpoint, Checkpoints, Context, Method, MethodError, MethodInfo, ProblemSize, Queries, Real,
    Scale, Scorer, Scores, View, math,
};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::{
    Damping, label, pair,
    projection::Sketch,
    trak::{Trak, check_size, kept_bytes},
};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrakCheckpoints {
    /// Length of a sketch.
    pub size: usize,
    /// `lambda`, or how many times the mean eigenvalue it is.
    pub damping: Damping,
    /// Most checkpoints, the last ones.
    pub checkpoints: usize,
}

impl Default for TrakCheckpoints {
    fn default() -> Self {
        let Trak { size, damping } = Trak::default();
        Self { size, damping, checkpoints: 5 }
    }
}

impl Method for TrakCheckpoints {
    type Access = Checkpoints;
    const INFO: MethodInfo = MethodInfo {
        name: "trak-checkpoints",
        summary: "influence on sketched gradients of the output, averaged over checkpoints",
        scale: Scale::Arbitrary,
    };

    fn check(&self) -> Result<(), String> {
        check_size(self.size)?;
        if self.checkpoints == 0 {
            return Err("`checkpoints` is 0\nhint: average over at least one".to_owned());
        }
        self.damping.check()
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { examples, parameters, .. } = size;
        self.checkpoints as u64 * kept_bytes(examples, self.size.min(parameters))
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, Checkpoints, T>,
        context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let all = view.checkpoints();
        if all.is_empty() {
            return Err(MethodError::Unsuitable(
                "the run kept no checkpoints\nhint: ask the run for checkpoints".to_owned(),
            ));
        }
        let chosen = &all[all.len().saturating_sub(self.checkpoints)..];
        let mut numbers = context.stream("sketch");
        let p = view.model().layout().parameters();
        let kernel = Trak { size: self.size, damping: self.damping };
        let terms: Result<Vec<_>, MethodError> = chosen
            .iter()
            .map(|checkpoint| {
                let sketch = Sketch::draw(p, p, self.size, &mut numbers);
                let model = view.model_at(&checkpoint.parameters);
                let gamma = view.recipe().rule.optimiser.ridge();
                let left = kernel.left(model, view.train(), gamma, &sketch)? / chosen.len() as f64;
                Ok(Term { checkpoint, sketch, left })
            })
            .collect();
        Ok(Box::new(Fitted { view, terms: terms? }))
    }
}

/// What one checkpoint contributes.
struct Term<'a, T> {
    checkpoint: &'a Checkpoint<T>,
    sketch: Sketch,
    /// `(n, size)`.
    left: Array2<f64>,
}

struct Fitted<'a, T> {
    view: View<'a, Checkpoints, T>,
    terms: Vec<Term<'a, T>>,
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let train = self.view.train();
        let mut values = Array2::zeros((train.len(), queries.examples.len()));
        for term in &self.terms {
            let model = self.view.model_at(&term.checkpoint.parameters);
            let right = term.sketch.of(&pair::query_captures(model, queries), model.layout());
            // (n, size) x (size, q) -> (n, q)
            math::matmul_into(values.view_mut(), 1.0, term.left.view(), right.t(), 1.0);
        }
        label::<TrakCheckpoints, T>(train, queries, values)
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::Utility;
    use ndarray::Array2;

    use super::TrakCheckpoints;
    use crate::{
        Trak,
        common::{assert_close, digits_like, scores_of},
    };

    #[test]
    fn is_the_mean_over_checkpoints() {
        let (run, queries) = digits_like::<f64>(30).network(&[7]).pair(5, Utility::Margin);
        let last = run.checkpoints.len() - 2;
        let mut expected = Array2::<f64>::zeros((30, 5));
        for checkpoint in &run.checkpoints[last..] {
            let mut there = run.clone();
            there.parameters = checkpoint.parameters.clone();
            expected += &(&scores_of(&Trak::default(), &there, &queries).values() / 2.0);
        }
        let method = TrakCheckpoints { checkpoints: 2, ..TrakCheckpoints::default() };
        let found = scores_of(&method, &run, &queries);
        assert_close(found.values(), expected.as_slice().unwrap(), 1e-12);
    }
}
