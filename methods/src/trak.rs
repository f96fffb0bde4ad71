//! Influence functions on sketched gradients of the output, calibrated.
//!
//! # Computes
//! `tau[i, q] = phi_q . (Phi^T R Phi + n lambda I)^-1 phi_i (1 - p_i)` at `theta_T`: features
//! `phi_i = -P grad m_i` of the margin `m = log(p / (1 - p))` of the label's probability `p_i`, a
//! sketch `P` to `size` numbers, `R = diag(p (1 - p))`, `phi_q = P b_q`, and `lambda` the weight
//! decay plus the damping, relative to `tr(Phi^T R Phi) / (n size)`. For two classes and no sketch
//! this is the influence function with the Gauss-Newton matrix. For a regression `m` is the output,
//! `R = I` and the residual stands for `1 - p_i`. Of a text, whose loss is `s` times the sum of
//! those of its tokens, `m` is `s` times the sum of their margins, `1 - p_i` the mean over tokens
//! and `R` the mean of `p (1 - p)` over `s`, as if gradients of its tokens were orthogonal.
//!
//! # Reads
//! Final weights. One gradient for each training example and query.
//!
//! # Shapes
//! Features `(n, size)`, kept in `f64`; a factor `(size, size)`; `(n, size) x (size, q) -> (n, q)`.
//!
//! # Differs from the paper
//! The paper leaves out `R` and the scale (that form is `trak-published`), projects with a dense
//! map, and averages over models trained on halves of the data. A sketch as long as the gradient is
//! the gradient. A text of several tokens has no exact counterpart with one feature an example.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::Trak;
//! assert!(Trak { size: 0, ..Trak::default() }.check().is_err());
//! ```
//!
//! # References
//! Park, Georgiev, Ilyas, Leclerc, Madry, TRAK: attributing model behavior at scale, ICML 2023,
//! arXiv 2303.14186.

use attribench_core::{
    Captures, Context, Examples, FinalModel, Labels, Method, MethodError, MethodInfo, ModelAt,
    ProblemSize, Quantity, Real, Scale, Scorer, TokenTargets, Utility, View, math,
};
use ndarray::{Array2, ArrayView1, ArrayView2, s};
use serde::{Deserialize, Serialize};

use crate::{
    Damping,
    cholesky::{Cholesky, LowerTriangle},
    curvature::probabilities,
    features::products_of_features,
    pair,
    projection::Sketch,
};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Trak {
    /// Length of a sketch.
    pub size: usize,
    /// `lambda`, or how many times the mean eigenvalue it is.
    pub damping: Damping,
}

impl Default for Trak {
    fn default() -> Self {
        Self { size: 2_048, damping: Damping::default() }
    }
}

impl Method for Trak {
    type Access = FinalModel;
    const INFO: MethodInfo = MethodInfo {
        name: "trak",
        summary: "influence functions on sketched gradients of the output, calibrated",
        scale: Scale::Derivative,
    };

    fn check(&self) -> Result<(), String> {
        check_size(self.size)?;
        self.damping.check()
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { examples, parameters, .. } = size;
        kept_bytes(examples, self.size.min(parameters))
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, FinalModel, T>,
        context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let (model, layout) = (view.model(), view.model().layout());
        let p = layout.parameters();
        let sketch = Sketch::draw(p, p, self.size, &mut context.stream("sketch"));
        let left = self.left(model, view.train(), view.recipe().rule.optimiser.ridge(), &sketch)?;
        Ok(products_of_features::<Self, T>(view, left, move |b| sketch.of(b, layout)))
    }
}

impl Trak {
    /// `(Phi^T R Phi + n lambda I)^-1 phi_i (1 - p_i)`, `(n, size)`.
    pub(crate) fn left<T: Real>(
        &self,
        model: ModelAt<'_, T>,
        train: &Examples<T>,
        gamma: f64,
        sketch: &Sketch,
    ) -> Result<Array2<f64>, MethodError> {
        let of_outputs = output_features(model, train, sketch)?;
        let mut weighted = of_outputs.features.clone();
        for (mut row, curvature) in weighted.outer_iter_mut().zip(&of_outputs.curvatures) {
            row *= curvature.sqrt();
        }
        let factor = damped_gram(weighted.view(), gamma, self.damping)?;
        let mut left = solved_rows(&factor, of_outputs.features);
        for (mut row, pull) in left.outer_iter_mut().zip(&of_outputs.pulls) {
            row *= pull / train.len() as f64;
        }
        Ok(left)
    }
}

/// Refuses a sketch of nothing.
pub(crate) fn check_size(size: usize) -> Result<(), String> {
    if size == 0 { Err("`size` is 0\nhint: give at least 1".to_owned()) } else { Ok(()) }
}

/// Features of all training examples, twice, and the factor.
pub(crate) fn kept_bytes(examples: usize, size: usize) -> u64 {
    (size * (2 * examples + 2 * size) * size_of::<f64>()) as u64
}

/// What there is to know about the outputs that training examples are compared with.
pub(crate) struct OutputFeatures {
    /// Sketches of minus the gradient of the margin or the output, `(n, size)`.
    pub(crate) features: Array2<f64>,
    /// Second derivative of the loss by it, `n`.
    pub(crate) curvatures: Vec<f64>,
    /// Minus the first derivative, `n`: the loss's gradient is this times the feature.
    pub(crate) pulls: Vec<f64>,
}

/// See [`OutputFeatures`].
pub(crate) fn output_features<T: Real>(
    model: ModelAt<'_, T>,
    train: &Examples<T>,
    sketch: &Sketch,
) -> Result<OutputFeatures, MethodError> {
    let layout = model.layout();
    let mut features = Array2::zeros((train.len(), sketch.size()));
    let (mut curvatures, mut pulls) = (Vec::new(), Vec::new());
    for (start, block) in train.blocks(pair::block_rows(layout)) {
        let outputs = model.outputs(&block);
        let g: Captures<T> = match block.labels() {
            Labels::Classes(labels) => {
                for (row, &label) in outputs.outer_iter().zip(labels) {
                    let all = probabilities(row);
                    let (p, others) = (all[label as usize], others(&all, label as usize));
                    curvatures.push(p * others);
                    pulls.push(others);
                }
                model.captures(&block, Quantity::NegativeUtility(Utility::Margin))
            }
            Labels::Values(values) => {
                // One above the target, minus the gradient of half the square is minus the
                // output's; the residual is what the loss pulls by.
                let above = outputs.column(0).mapv(|output| output + T::one()).to_vec();
                for (output, value) in outputs.column(0).iter().zip(values) {
                    curvatures.push(1.0);
                    pulls.push(value.to_f64() - output.to_f64());
                }
                let block = Examples::new(block.features().to_owned(), Labels::Values(above));
                model.captures(&block, Quantity::Loss)
            }
            Labels::Tokens(tokens) => {
                for (row, outputs) in outputs.outer_iter().enumerate() {
                    let (curvature, pull) = of_text(tokens, row, outputs);
                    curvatures.push(curvature);
                    pulls.push(pull);
                }
                model.captures(&block, Quantity::NegativeUtility(Utility::Margin))
            }
        };
        features.slice_mut(s![start..start + g.len(), ..]).assign(&sketch.of(&g, layout));
    }
    Ok(OutputFeatures { features, curvatures, pulls })
}

/// Second derivative of a text's loss by the sum of its tokens' margins, where their gradients are
/// orthogonal and equally long, and minus the first, where they are pulled by equally. Both 0 for a
/// text that asks for nothing.
fn of_text<T: Real>(tokens: &TokenTargets, row: usize, outputs: ArrayView1<'_, T>) -> (f64, f64) {
    let width = outputs.len() / tokens.positions();
    let (mut curvature, mut pull, mut count) = (0.0, 0.0, 0.0f64);
    for (position, target) in tokens.asked(row) {
        let all = probabilities(outputs.slice(s![position * width..(position + 1) * width]));
        let others = others(&all, target as usize);
        curvature += all[target as usize] * others;
        pull += others;
        count += 1.0;
    }
    let count = count.max(1.0);
    (curvature / count / tokens.scale(row), pull / count)
}

/// Probability of all classes but one, without the loss of digits of `1 - p`.
fn others(probabilities: &[f64], class: usize) -> f64 {
    let others = probabilities.iter().enumerate().filter(|&(other, _)| other != class);
    others.map(|(_, probability)| probability).sum()
}

/// Factor of `Phi^T Phi / n + lambda I`, `lambda` relative to the mean of its diagonal.
pub(crate) fn damped_gram(
    features: ArrayView2<'_, f64>,
    gamma: f64,
    damping: Damping,
) -> Result<Cholesky<f64>, MethodError> {
    let (n, size) = features.dim();
    let squares: f64 = features.iter().map(|value| value * value).sum();
    let lambda = gamma + damping.relative_to(squares / (n * size) as f64);
    let triangle = LowerTriangle::from_columns(size, |start, end| {
        // (size - start, n) x (n, columns) -> (size - start, columns)
        let mut columns = Array2::zeros((size - start, end - start));
        let (rows, right) = (features.slice(s![.., start..]), features.slice(s![.., start..end]));
        math::matmul_into(columns.view_mut(), 0.0, rows.t(), right, 1.0 / n as f64);
        for j in 0..end - start {
            columns[(j, j)] += lambda;
        }
        columns
    });
    triangle
        .factor()
        .ok_or(MethodError::NotPositiveDefinite { matrix: "the second moment of the features" })
}

/// Every row multiplied by the inverse, `(n, size) -> (n, size)`.
pub(crate) fn solved_rows(factor: &Cholesky<f64>, rows: Array2<f64>) -> Array2<f64> {
    let mut columns = rows.reversed_axes().as_standard_layout().into_owned();
    factor.solve_in_place(&mut columns);
    columns.reversed_axes().as_standard_layout().into_owned()
}

#[cfg(test)]
mod tests {
    use attribench_core::{Examples, Labels, Queries, TokenLoss, TokenTargets, Utility};
    use ndarray::{Array2, array};

    use super::{Trak, damped_gram, of_text, solved_rows};
    use crate::{
        CurvatureKind, Damping, InfluenceExplicit,
        common::{STILL, TestRun, assert_close, digits_like, least_squares, scores_of},
    };
    use attribench_models::{Activation, Gpt, Head, ModelSpec, Network, PositionKind};

    #[test]
    fn both_forms_by_hand() {
        // phi = (1, 2), phi_q = 1, p = (0.8, 0.5): R = (0.16, 0.25), Phi^T R Phi = 0.16 + 1 = 1.16:
        // 0.2 / 1.16 = 5/29 and 2 * 0.5 / 1.16 = 25/29.
        let features = array![[1.0], [2.0]];
        let roots = array![[0.4], [0.5]];
        let factor = damped_gram((&features * &roots).view(), 0.0, Damping::Absolute(0.0)).unwrap();
        let left = solved_rows(&factor, features) * array![[0.2], [0.5]] / 2.0;
        assert_close(left.view(), &[5.0 / 29.0, 25.0 / 29.0], 1e-15);
    }

    #[test]
    fn two_classes_without_sketch_are_the_influence_function() {
        let (run, queries) = digits_like::<f64>(40).pair(9, Utility::Margin);
        let halved = |examples: &Examples<f64>| {
            let Labels::Classes(labels) = examples.labels() else { panic!("classes") };
            let labels = labels.iter().map(|label| label % 2).collect();
            Examples::new(examples.features().to_owned(), Labels::Classes(labels))
        };
        let model = Network::dense(&[12, 3, 2], Activation::Tanh);
        let parameters = attribench_core::Model::<f64>::initial_parameters(&model, 3);
        let run = TestRun::at(model, halved(&run.train), parameters, STILL);
        for utility in [Utility::Margin, Utility::NegativeLoss] {
            let queries = Queries { examples: halved(&queries.examples), utility };
            let damping = Damping::Absolute(0.03);
            let explicit = InfluenceExplicit { curvature: CurvatureKind::GaussNewton, damping };
            let expected = scores_of(&explicit, &run, &queries);
            let found = scores_of(&Trak { damping, ..Trak::default() }, &run, &queries);
            assert_close(found.values(), expected.values().as_slice().unwrap(), 1e-9);
        }
    }

    /// A vocabulary of two tokens, and one token asked for in every text.
    #[test]
    fn texts_of_one_token_of_two_are_the_influence_function() {
        let gpt = Gpt {
            layers: 1,
            width: 4,
            heads: 2,
            positions: PositionKind::Learned,
            head: Head::Untied,
        };
        let model = gpt.build(3, 2).unwrap();
        let texts = |count: usize, shift: usize| {
            let token = |row: usize, place: usize| (row * 5 + place * place + shift) / 3 % 2;
            let features = Array2::from_shape_fn((count, 3), |(r, s)| token(r, s) as f64);
            let targets = Array2::from_shape_fn((count, 3), |(r, s)| match s == r % 3 {
                true => token(r, s + 1) as u32,
                false => TokenTargets::NONE,
            });
            let targets = TokenTargets::new(targets, TokenLoss::Mean);
            Examples::new(features, Labels::Tokens(targets))
        };
        let parameters: Vec<f64> = attribench_core::Model::<f64>::initial_parameters(&model, 3);
        let parameters = parameters.iter().map(|value| 8.0 * value).collect();
        let run = TestRun::at(model, texts(14, 0), parameters, STILL);
        for utility in [Utility::Margin, Utility::NegativeLoss] {
            let queries = Queries { examples: texts(5, 2), utility };
            let damping = Damping::Absolute(0.03);
            let explicit = InfluenceExplicit { curvature: CurvatureKind::GaussNewton, damping };
            let expected = scores_of(&explicit, &run, &queries);
            let found = scores_of(&Trak { damping, ..Trak::default() }, &run, &queries);
            assert_close(found.values(), expected.values().as_slice().unwrap(), 1e-9);
        }
    }

    #[test]
    fn texts_of_several_tokens_by_hand() {
        // Two positions of two tokens. Logits (ln 4, 0) and target 0: p = 4/5; (0, 0) and target
        // 1: p = 1/2. Means of p (1 - p) = 4/25 and 1/4: 41/200, of 1 - p: 7/20. A mean over two
        // tokens has s = 1/2, a sum s = 1; a text that asks for the first alone s = 1.
        let logits = array![4f64.ln(), 0.0, 0.0, 0.0];
        let asked = array![[0, 1], [0, TokenTargets::NONE]];
        let of = |loss, row| of_text(&TokenTargets::new(asked.clone(), loss), row, logits.view());
        for (found, (curvature, pull)) in [
            (of(TokenLoss::Sum, 0), (41.0 / 200.0, 7.0 / 20.0)),
            (of(TokenLoss::Mean, 0), (41.0 / 100.0, 7.0 / 20.0)),
            (of(TokenLoss::Mean, 1), (4.0 / 25.0, 1.0 / 5.0)),
        ] {
            assert!((found.0 - curvature).abs() < 1e-15 && (found.1 - pull).abs() < 1e-15);
        }
    }

    #[test]
    fn a_regression_is_the_influence_function() {
        let (run, queries) = least_squares(0.5, [0.9, 0.6]);
        let damping = Damping::Absolute(0.1);
        let explicit = InfluenceExplicit { damping, ..InfluenceExplicit::default() };
        let expected = scores_of(&explicit, &run, &queries);
        let found = scores_of(&Trak { damping, ..Trak::default() }, &run, &queries);
        assert_close(found.values(), expected.values().as_slice().unwrap(), 1e-12);
    }

    #[test]
    fn two_sketches_of_a_seed_agree_and_come_near_to_none() {
        let (run, queries) = digits_like::<f64>(60).network(&[30]).pair(9, Utility::Margin);
        let damping = Damping::Relative(10.0);
        let whole = scores_of(&Trak { size: 10_000, damping }, &run, &queries);
        let sketched = scores_of(&Trak { size: 300, damping }, &run, &queries);
        let (x, y) = (whole.values(), sketched.values());
        let product =
            |a: ndarray::ArrayView2<'_, f64>, b: ndarray::ArrayView2<'_, f64>| (&a * &b).sum();
        let cosine = product(x, y) / (product(x, x) * product(y, y)).sqrt();
        assert!(cosine > 0.9 && cosine < 1.0, "{cosine}");
        assert_eq!(sketched, scores_of(&Trak { size: 300, damping }, &run, &queries));
    }
}
