//! Relative influence: influence divided by how much an example moves the model.
//!
//! # Computes
//! `tau[i, q] = (b_q . C_lambda^-1 g_i) / |C_lambda^-1/2 g_i|` (norm `loss`, the change of all
//! losses to second order) or `/ |C_lambda^-1 g_i|` (norm `parameters`) at `theta_T`, with the
//! inverse of `ek-fac`; 0 where the gradient is 0.
//!
//! # Reads
//! As `ek-fac`, and one gradient more for each training example.
//!
//! # Shapes
//! As `ek-fac`; norms from explicit turned gradients of some examples at a time, `(m, p_l)`.
//!
//! # Differs from the paper
//! The paper inverts the Hessian by sampling; here the curvature is that of `ek-fac`, in whose
//! basis every example's own system is a division.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::{Constraint, RelatIf};
//! assert!(RelatIf { norm: Constraint::Parameters, ..RelatIf::default() }.check().is_ok());
//! ```
//!
//! # References
//! Barshan, Brunet, Dziugaite, RelatIF: identifying explanatory training examples via relative
//! influence, AISTATS 2020, arXiv 2003.11630.

use attribench_core::{
    Context, FinalModel, Method, MethodError, MethodInfo, ProblemSize, Queries, Real, Scale,
    Scorer, Scores, View,
};
use serde::{Deserialize, Serialize};

use crate::{Damping, EkFac, Fisher, influence::influence_by_diagonal, label, pair, turn::Turn};

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RelatIf {
    /// `lambda`, or how many times the mean eigenvalue it is.
    pub damping: Damping,
    /// Whose gradients the curvature is made of.
    pub fisher: Fisher,
    /// What influence is relative to.
    pub norm: Constraint,
}

/// What an example may move by the same amount as any other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Constraint {
    /// The losses.
    #[default]
    Loss,
    /// The parameters.
    Parameters,
}

impl Method for RelatIf {
    type Access = FinalModel;
    const INFO: MethodInfo = MethodInfo {
        name: "relat-if",
        summary: "relative influence: influence divided by how much an example moves the model",
        scale: Scale::Arbitrary,
    };

    fn check(&self) -> Result<(), String> {
        self.damping.check()
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { examples, .. } = size;
        let factors = EkFac::default().working_bytes(size);
        factors + (examples * size_of::<f64>()) as u64
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, FinalModel, T>,
        context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let factors = EkFac { damping: self.damping, fisher: self.fisher };
        let (basis, damped) = factors.inverse(view, context)?;
        let weights: Vec<f64> = match self.norm {
            Constraint::Loss => damped.iter().map(|value| 1.0 / value).collect(),
            Constraint::Parameters => damped.iter().map(|value| 1.0 / (value * value)).collect(),
        };
        let scales = squared_norms(view, &basis.turn, &weights)
            .into_iter()
            .map(
                |square| if square > 0.0 { view.train().len() as f64 / square.sqrt() } else { 0.0 },
            )
            .collect();
        let influence = influence_by_diagonal::<Self, T>(view, basis.turn, damped);
        Ok(Box::new(Relative { view, influence, scales }))
    }
}

/// `sum_j weights_j g_ij^2` of the turned gradients, `n`.
fn squared_norms<T: Real>(
    view: View<'_, FinalModel, T>,
    turn: &Turn<T>,
    weights: &[f64],
) -> Vec<f64> {
    let mut squares = vec![0.0; view.train().len()];
    for (first, g) in pair::train_captures(view.model(), view.train()) {
        let g = turn.apply(g);
        for block in turn.layout.blocks() {
            let weights = &weights[block.range.clone()];
            pair::for_each_chunk(&g, &turn.layout, block, |start, gradients| {
                for (row, gradient) in gradients.outer_iter().enumerate() {
                    let terms = gradient.iter().zip(weights);
                    squares[first + start + row] += terms
                        .map(|(value, weight)| weight * value.to_f64() * value.to_f64())
                        .sum::<f64>();
                }
            });
        }
    }
    squares
}

struct Relative<'a, T> {
    view: View<'a, FinalModel, T>,
    influence: Box<dyn Scorer<T> + 'a>,
    /// `n` over the norm.
    scales: Vec<f64>,
}

impl<T: Real> Scorer<T> for Relative<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let mut values = self.influence.score(queries)?.values().to_owned();
        for (mut row, &scale) in values.outer_iter_mut().zip(&self.scales) {
            row *= scale;
        }
        label::<RelatIf, T>(self.view.train(), queries, values)
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::Curvature;

    use super::{Constraint, RelatIf};
    use crate::{
        Damping, Fisher,
        common::{
            assert_close, curvature_by_products, gradients_one_at_a_time, least_squares, scores_of,
            solve_slowly,
        },
    };

    #[test]
    fn linear_regression_by_the_whole_inverse() {
        // One layer and one output: EK-FAC is the Gauss-Newton matrix.
        let (run, queries) = least_squares(0.0, [0.9, 0.6]);
        let (g, b) = gradients_one_at_a_time(&run, &queries);
        let mut curvature = curvature_by_products(&run, Curvature::GaussNewton);
        curvature.diag_mut().iter_mut().for_each(|entry| *entry += 0.1);
        let solved = solve_slowly(curvature, g.t().to_owned());
        for norm in [Constraint::Loss, Constraint::Parameters] {
            let expected: Vec<f64> = (0..4)
                .map(|i| {
                    let x = solved.column(i);
                    let square = match norm {
                        Constraint::Loss => x.dot(&g.row(i)),
                        Constraint::Parameters => x.dot(&x),
                    };
                    x.dot(&b.row(0)) / square.sqrt()
                })
                .collect();
            let damping = Damping::Absolute(0.1);
            let method = RelatIf { damping, fisher: Fisher::Expected, norm };
            assert_close(scores_of(&method, &run, &queries).values(), &expected, 1e-12);
        }
    }
}
