//! Influence functions with Kronecker factors.
//!
//! # Computes
//! `tau[i, q] = (1/n) sum_l b_ql . (A_l (x) S_l)_lambda^-1 g_il` at `theta_T`, for each dense layer
//! `l`, with the second moments `A = E[a a^T]` of its extended inputs and `S = E[delta delta^T]` of
//! its output gradients. Damping `lambda_l`, with the weight decay in it, is relative to the mean
//! eigenvalue `tr(A) tr(S) / (d_A d_S)` and stands on the factors, `(A + pi sqrt(lambda) I) (x) (S
//! + sqrt(lambda) / pi I)` with `pi^2 = (tr A / d_A) / (tr S / d_S)`, or on the product.
//!
//! # Reads
//! Final weights. One gradient for each training example and class (`fisher: expected`) or once
//! (`sampled`, `empirical`); then one for each training example and query.
//!
//! # Shapes
//! Factors as in `ek-fac`. With damping on the factors, turned captures `(n, d)` and `(q, d)` of
//! both sides, `(n, d) x (d, q) -> (n, q)` twice a layer, and no direction; with damping on the
//! product, or layers at several positions, as `ek-fac`.
//!
//! # Differs from the paper
//! The expectation runs over all labels with their probabilities; drawing is an option. Weight
//! decay is part of the curvature, the score carries `1/n` and the sign of the utility.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::{KFac, Placement};
//! let method = KFac { placement: Placement::Product, ..KFac::default() };
//! assert!(method.check().is_ok());
//! ```
//!
//! # References
//! Martens, Grosse, Optimizing neural networks with Kronecker-factored approximate curvature, ICML
//! 2015, arXiv 1503.05671.

use attribench_core::{
    Context, FinalModel, Method, MethodError, MethodInfo, ProblemSize, Queries, Real, Scale,
    Scorer, Scores, View,
};
use ndarray::{Array2, s};
use serde::{Deserialize, Serialize};

use crate::{
    Damping, Fisher,
    directions::Directions,
    ek_fac::{refuse_singular, working_bytes},
    influence::influence_by_diagonal,
    kronecker::{Eigenbasis, outer_products},
    label, pair,
    turn::Turn,
};

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct KFac {
    /// `lambda`, or how many times the mean eigenvalue it is.
    pub damping: Damping,
    /// Where the damping stands.
    pub placement: Placement,
    /// Whose gradients the curvature is made of.
    pub fisher: Fisher,
}

/// Where damping is added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// To both factors, as the paper does, so that each can be inverted alone.
    #[default]
    Factors,
    /// To the products of their eigenvalues, as if the product were the curvature.
    Product,
}

impl Method for KFac {
    type Access = FinalModel;
    const INFO: MethodInfo = MethodInfo {
        name: "k-fac",
        summary: "influence functions with Kronecker factors",
        scale: Scale::Derivative,
    };

    fn check(&self) -> Result<(), String> {
        self.damping.check()
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        working_bytes(size)
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, FinalModel, T>,
        context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let mut numbers = context.stream("labels");
        let basis = Eigenbasis::fit(view.model(), view.train(), self.fisher, &mut numbers)?;
        let gamma = view.recipe().rule.optimiser.ridge();
        if self.placement == Placement::Factors {
            let damped = self.damped_factors(&basis, gamma);
            for (outputs, inputs) in &damped {
                refuse_singular(outputs)?;
                refuse_singular(inputs)?;
            }
            // Gradients at several positions are formed for products, so that directions may be.
            if view.model().layout().layers().iter().any(|layer| layer.positions > 1) {
                let products = outer_products(&damped);
                return Ok(influence_by_diagonal::<Self, T>(view, basis.turn, products));
            }
            let solved = basis.turn.divided_by(&damped);
            return Ok(Box::new(Fitted { view, turn: basis.turn, solved }));
        }
        let products = outer_products(&basis.eigenvalues);
        let damped = basis.damped(products, gamma, self.damping);
        refuse_singular(&damped)?;
        Ok(influence_by_diagonal::<Self, T>(view, basis.turn, damped))
    }
}

impl KFac {
    /// Damped eigenvalues of the outputs' and of the inputs' factor of every layer.
    fn damped_factors<T: Real>(
        &self,
        basis: &Eigenbasis<T>,
        gamma: f64,
    ) -> Vec<(Vec<f64>, Vec<f64>)> {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let raised = |values: &[f64], by: f64| values.iter().map(|value| value + by).collect();
        let damped = |(outputs, inputs): &(Vec<f64>, Vec<f64>)| {
            let (of_outputs, of_inputs) = (mean(outputs), mean(inputs));
            let root = (gamma + self.damping.relative_to(of_outputs * of_inputs)).sqrt();
            let both = of_outputs * of_inputs > 0.0;
            let pi = if both { (of_inputs / of_outputs).sqrt() } else { 1.0 };
            (raised(outputs, root / pi), raised(inputs, root * pi))
        };
        basis.eigenvalues.iter().map(damped).collect()
    }
}

/// Factors that are inverted each for itself, so that no direction of a query is formed.
struct Fitted<'a, T> {
    view: View<'a, FinalModel, T>,
    /// To the eigenvectors.
    turn: Turn<T>,
    /// The same, and divided by the eigenvalues.
    solved: Turn<T>,
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let (train, model) = (self.view.train(), self.view.model());
        let x = self.solved.apply(pair::query_captures(model, queries));
        let x = Directions::gradients(x, &self.turn.layout, train.len());
        let mut values = Array2::zeros((train.len(), queries.examples.len()));
        for (start, g) in pair::train_captures(model, train) {
            let g = self.turn.apply(g);
            let products = x.products(&g);
            values
                .slice_mut(s![start..start + g.len(), ..])
                .assign(&(products / train.len() as f64));
        }
        label::<KFac, T>(train, queries, values)
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::Utility;
    use ndarray::{Array2, Axis, concatenate};

    use super::KFac;
    use crate::{
        Damping,
        common::{assert_close, digits_like, gradients_one_at_a_time, scores_of, solve_slowly},
    };

    #[test]
    fn damped_factors_of_one_layer_by_hand() {
        // Softmax regression: a = (x, 1), S = E[diag(p) - p p^T]; with V the gradient as a matrix
        // (4, 13), tau = (1/n) <B, S_lambda^-1 V A_lambda^-1>.
        let (run, queries) = digits_like::<f64>(30).network(&[]).pair(5, Utility::NegativeLoss);
        let n = 30.0;
        let ones = Array2::<f64>::ones((30, 1));
        let x = concatenate![Axis(1), run.train.features(), ones];
        let weight = Array2::from_shape_fn((13, 4), |(k, o)| {
            if k == 12 { run.parameters[48 + o] } else { run.parameters[o * 12 + k] }
        });
        let mut p = x.dot(&weight).mapv(f64::exp);
        p.outer_iter_mut().for_each(|mut row| row /= row.sum());
        let a = x.t().dot(&x) / n;
        let s = (Array2::from_diag(&p.sum_axis(Axis(0))) - p.t().dot(&p)) / n;
        let (mean_a, mean_s) = (a.diag().sum() / 13.0, s.diag().sum() / 4.0);
        let (root, pi) = ((0.1 * mean_a * mean_s).sqrt(), (mean_a / mean_s).sqrt());
        let a = a + Array2::<f64>::eye(13) * (root * pi);
        let s = s + Array2::<f64>::eye(4) * (root / pi);
        let (g, b) = gradients_one_at_a_time(&run, &queries);
        let matrix =
            |flat: ndarray::ArrayView1<'_, f64>| {
                Array2::from_shape_fn((4, 13), |(o, k)| {
                    if k == 12 { flat[48 + o] } else { flat[o * 12 + k] }
                })
            };
        let mut expected = Vec::new();
        for g in g.outer_iter() {
            let left = solve_slowly(s.clone(), matrix(g));
            let both = solve_slowly(a.clone(), left.reversed_axes()).reversed_axes();
            expected.extend(b.outer_iter().map(|b| (matrix(b) * &both).sum() / n));
        }
        let found = scores_of(&KFac::default(), &run, &queries);
        assert_close(found.values(), &expected, 1e-9);
    }

    #[test]
    fn an_absolute_damping_is_what_it_says() {
        // Damping far above all curvature leaves gradient products over lambda (up to its square
        // root times the factors, which is small against lambda).
        let (run, queries) = digits_like::<f64>(30).network(&[7]).pair(5, Utility::Margin);
        let method = KFac { damping: Damping::Absolute(1e12), ..KFac::default() };
        let (g, b) = gradients_one_at_a_time(&run, &queries);
        let expected = g.dot(&b.t()) / (30.0 * 1e12);
        let found = scores_of(&method, &run, &queries);
        assert_close(found.values(), expected.as_slice().unwrap(), 1e-3);
    }
}
