//! Influence functions with eigenvalue-corrected Kronecker factors.
//!
//! # Computes
//! `tau[i, q] = (1/n) sum_l b_ql . Q_S [(Q_S^T G_il Q_A) / (Lambda_l + gamma + lambda_l)] Q_A^T` at
//! `theta_T`, for each dense layer `l` with gradients `G` of its extended weight: `Q_A` and `Q_S`
//! are the eigenvectors of the second moments `A = E[a a^T]` of extended inputs and `S = E[delta
//! delta^T]` of output gradients, and `Lambda_jk = E[(Q_S^T dW Q_A)_jk^2]` is the true second
//! moment of a whole example's gradient `dW` along each of them. `gamma` is the weight decay and
//! `lambda_l` the damping, relative to the mean of `Lambda_l`.
//!
//! # Reads
//! Final weights. Twice one gradient for each training example and class (`fisher: expected`) or
//! once (`sampled`, `empirical`), for factors and eigenvalues; then one for each training example
//! and query.
//!
//! # Shapes
//! Factors `(d, d)` of both sides of a layer, decomposed in `f64`; captures turned by them, `(n, d)
//! x (d, d)`; directions of a block of queries `(k, p)`; then products `(n, p) x (p, k) -> (n, k)`
//! from captures.
//!
//! # Differs from the paper
//! The expectation runs over all labels with their probabilities, so that nothing is drawn; drawing
//! and the data's own labels are options. Weight decay is part of the curvature, the score carries
//! `1/n` and the sign of the utility. Embeddings, scales and tied weights are left out.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::{Damping, EkFac};
//! let method = EkFac { damping: Damping::Absolute(0.01), ..EkFac::default() };
//! assert!(method.check().is_ok());
//! ```
//!
//! # References
//! George, Laurent, Bouthillier, Ballas, Vincent, Fast approximate natural gradient descent in a
//! Kronecker-factored eigenbasis, NeurIPS 2018, arXiv 1806.03884; Grosse et al., Studying large
//! language model generalization with influence functions, 2023, arXiv 2308.03296.

use attribench_core::{
    Context, FinalModel, Method, MethodError, MethodInfo, ProblemSize, Real, Scale, Scorer, View,
};
use serde::{Deserialize, Serialize};

use crate::{
    Damping, Fisher,
    influence::{influence_by_diagonal, kept_bytes, query_rows},
    kronecker::Eigenbasis,
};

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct EkFac {
    /// `lambda`, or how many times the mean of `Lambda` it is.
    pub damping: Damping,
    /// Whose gradients the curvature is made of.
    pub fisher: Fisher,
}

impl Method for EkFac {
    type Access = FinalModel;
    const INFO: MethodInfo = MethodInfo {
        name: "ek-fac",
        summary: "influence functions with eigenvalue-corrected Kronecker factors",
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
        let (basis, damped) = self.inverse(view, context)?;
        Ok(influence_by_diagonal::<Self, T>(view, basis.turn, damped))
    }
}

impl EkFac {
    /// The basis and the damped eigenvalues in it.
    pub(crate) fn inverse<T: Real>(
        &self,
        view: View<'_, FinalModel, T>,
        context: &Context<'_>,
    ) -> Result<(Eigenbasis<T>, Vec<f64>), MethodError> {
        let (model, train) = (view.model(), view.train());
        let mut numbers = context.stream("labels");
        let basis = Eigenbasis::fit(model, train, self.fisher, &mut numbers)?;
        let eigenvalues = basis.second_moments(model, train, self.fisher, &mut numbers);
        let damped = basis.damped(eigenvalues, view.recipe().rule.optimiser.ridge(), self.damping);
        refuse_singular(&damped)?;
        Ok((basis, damped))
    }
}

/// An error unless all damped eigenvalues can be divided by.
pub(crate) fn refuse_singular(damped: &[f64]) -> Result<(), MethodError> {
    if damped.iter().all(|&value| value > 0.0) {
        return Ok(());
    }
    Err(MethodError::NotPositiveDefinite { matrix: "the damped curvature" })
}

/// Directions of a block of queries in the number type of the run, eigenvalues, the factors, which
/// are no larger than the weight's square, and what is kept of the examples.
pub(crate) fn working_bytes(size: ProblemSize) -> u64 {
    let ProblemSize { examples, queries, parameters, number } = size;
    let block = query_rows(parameters).min(queries);
    let factors = 6 * parameters * size_of::<f64>();
    (parameters * block * number + factors) as u64 + kept_bytes(examples, parameters, number)
}

#[cfg(test)]
mod tests {
    use attribench_core::{
        Context, Curvature, Examples, FinalModel, Labels, Method, MethodError, MethodInfo, Real,
        Scale, Scorer, Utility, View,
    };
    use attribench_models::{Activation, Network};
    use ndarray::{Array2, s};
    use serde::{Deserialize, Serialize};

    use super::EkFac;
    use crate::{
        CurvatureKind, Damping, Fisher, InfluenceExplicit, KFac, Placement,
        common::{
            STILL, TestRun, assert_close, curvature_by_products, deviation, digits_like,
            gradients_one_at_a_time, least_squares, scores_of, solve_slowly, try_scores_of,
        },
        curvature::DampedCurvature,
        kronecker::{Eigenbasis, outer_products},
    };

    /// `(1/n) b (blocks of C + lambda)^-1 g`, the parts of `C` between layers set to 0.
    fn by_blocks(
        run: &TestRun<f64>,
        queries: &attribench_core::Queries<f64>,
        sizes: &[usize],
        lambda: f64,
    ) -> Vec<f64> {
        let (g, b) = gradients_one_at_a_time(run, queries);
        let mut curvature = curvature_by_products(run, Curvature::GaussNewton);
        let mut start = 0;
        for size in sizes {
            let end = start + size;
            curvature.slice_mut(s![start..end, ..start]).fill(0.0);
            curvature.slice_mut(s![start..end, end..]).fill(0.0);
            start = end;
        }
        curvature.diag_mut().iter_mut().for_each(|entry| *entry += lambda);
        let x = solve_slowly(curvature, b.t().to_owned());
        (g.dot(&x) / run.train.len() as f64).iter().copied().collect()
    }

    /// Regression through two layers that are linear where the data lie: the rectifiers' inputs
    /// are positive throughout.
    fn deep_linear() -> (TestRun<f64>, attribench_core::Queries<f64>) {
        let (run, queries) = digits_like::<f64>(30).pair(6, Utility::NegativeLoss);
        let regression = |examples: &Examples<f64>| {
            let x = examples.features().slice(s![.., ..3]).to_owned();
            let y = x.rows().into_iter().map(|row| row[0] - 0.5 * row[2] + row[1]).collect();
            Examples::new(x, Labels::Values(y))
        };
        let model = Network::dense(&[3, 2, 1], Activation::Relu);
        let weights = [0.3, -0.2, 0.1, 0.2, 0.4, -0.3, 50.0, 50.0, 0.7, -0.6, 0.1];
        let run = TestRun::at(model, regression(&run.train), weights.to_vec(), STILL);
        let examples = regression(&queries.examples);
        (run, attribench_core::Queries { examples, utility: Utility::NegativeLoss })
    }

    #[test]
    fn a_deep_linear_network_has_exactly_this_curvature() {
        // Output gradients do not depend on the input there, so that every layer's block is A (x) S
        // to the last bit of arithmetic: 2 (3 + 1) and 2 + 1 parameters.
        let (run, queries) = deep_linear();
        let expected = by_blocks(&run, &queries, &[8, 3], 0.05);
        let damping = Damping::Absolute(0.05);
        let method = EkFac { damping, ..EkFac::default() };
        assert_close(scores_of(&method, &run, &queries).values(), &expected, 1e-8);
        let method = KFac { damping, placement: Placement::Product, ..KFac::default() };
        assert_close(scores_of(&method, &run, &queries).values(), &expected, 1e-8);
    }

    #[test]
    fn linear_regression_is_the_explicit_inverse() {
        let (run, queries) = least_squares(0.5, [0.9, 0.6]);
        let damping = Damping::Absolute(0.1);
        let explicit = InfluenceExplicit { damping, ..InfluenceExplicit::default() };
        let expected = scores_of(&explicit, &run, &queries);
        let found = scores_of(&EkFac { damping, ..EkFac::default() }, &run, &queries);
        assert_close(found.values(), expected.values().as_slice().unwrap(), 1e-12);
    }

    /// Compares both diagonals with the blocks of the curvature, where a view is to be had.
    #[derive(Default, Serialize, Deserialize)]
    struct Probe {}

    impl Method for Probe {
        type Access = FinalModel;
        const INFO: MethodInfo =
            MethodInfo { name: "probe", summary: "a test", scale: Scale::Arbitrary };

        fn fit<'a, T: Real>(
            &self,
            view: View<'a, FinalModel, T>,
            context: &Context<'_>,
        ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
            let (model, train) = (view.model(), view.train());
            let (layout, mut numbers) = (model.layout(), context.stream("labels"));
            let basis = Eigenbasis::fit(model, train, Fisher::Expected, &mut numbers)?;
            let corrected = basis.second_moments(model, train, Fisher::Expected, &mut numbers);
            let products = outer_products(&basis.eigenvalues);
            let units = Array2::eye(layout.parameters());
            let kind = CurvatureKind::GaussNewton;
            let exact = DampedCurvature::new(view, kind, Damping::Absolute(0.0))
                .undamped_products(train, units.view());
            for block in layout.blocks() {
                let part = s![block.range.clone(), block.range.clone()];
                let exact = exact.slice(part).to_owned();
                let apart = |factors: &[f64]| {
                    let all = basis.multiply(layout, units.clone(), factors, |_| 0.0);
                    let error = all.slice(part).to_owned() - &exact;
                    ((&error * &error).sum(), error.diag().sum() / exact.diag().sum())
                };
                let ((of_corrected, trace), (of_products, _)) =
                    (apart(&corrected), apart(&products));
                assert!(trace.abs() < 1e-9, "the trace is off by {trace}");
                assert!(of_corrected < of_products, "{of_corrected} and {of_products}");
            }
            Err(MethodError::Unsuitable("nothing to score".to_owned()))
        }
    }

    #[test]
    fn corrected_eigenvalues_come_nearer_to_the_blocks() {
        // They are the true diagonal in the basis, so that no other diagonal is nearer in the sum
        // of squares, and the trace is that of the block.
        let (run, queries) = digits_like::<f64>(40).network(&[7]).pair(8, Utility::Margin);
        let end = try_scores_of(&Probe {}, &run, &queries).unwrap_err();
        assert_eq!(end.to_string(), "nothing to score");
    }

    #[test]
    fn drawn_labels_come_near_to_all_labels() {
        let (run, queries) = digits_like::<f64>(400).network(&[7]).pair(8, Utility::Margin);
        let expected = scores_of(&EkFac::default(), &run, &queries);
        let expected: Vec<f64> = expected.values().iter().copied().collect();
        let near = |fisher| {
            let found = scores_of(&EkFac { fisher, ..EkFac::default() }, &run, &queries);
            deviation(found.values(), &expected)
        };
        let (sampled, empirical) = (near(Fisher::Sampled), near(Fisher::Empirical));
        assert!(sampled > 0.0 && sampled < 0.3, "{sampled}");
        assert!(empirical > sampled, "{empirical} and {sampled}");
    }

    #[test]
    fn without_damping_a_dead_input_is_refused() {
        let (mut run, queries) = least_squares(0.0, [0.9, 0.6]);
        run.train = Examples::new(Array2::zeros((4, 1)), Labels::Values(vec![1.0; 4]));
        let method = EkFac { damping: Damping::Absolute(0.0), ..EkFac::default() };
        let refusal = try_scores_of(&method, &run, &queries).unwrap_err();
        assert!(refusal.to_string().contains("not positive definite"), "{refusal}");
    }
}
