//! Which curvature is inverted, and how far it is moved away from singularity.

use attribench_core::{Curvature, Examples, Labels, ModelAt, Quantity, Real, TokenTargets, stream};
use ndarray::s;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::pair;

/// The matrix that stands for the second derivative of the mean objective.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CurvatureKind {
    /// The Hessian of the loss.
    Hessian,
    /// The generalised Gauss-Newton matrix of the loss: never negative.
    #[default]
    GaussNewton,
}

impl From<CurvatureKind> for Curvature {
    fn from(kind: CurvatureKind) -> Self {
        match kind {
            CurvatureKind::Hessian => Self::Hessian,
            CurvatureKind::GaussNewton => Self::GaussNewton,
        }
    }
}

/// The number `lambda` that is added to the diagonal of a curvature.
///
/// ```
/// use attribench_methods::Damping;
/// assert_eq!(Damping::default(), Damping::Relative(0.1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damping {
    /// This many times the mean eigenvalue of the Gauss-Newton matrix, `tr(C_l) / p_l`, layer by
    /// layer (tied layers together). The same number serves the Hessian, whose own trace may be
    /// negative.
    Relative(f64),
    /// This number in all layers.
    Absolute(f64),
}

impl Default for Damping {
    fn default() -> Self {
        Self::Relative(0.1)
    }
}

impl Damping {
    /// Whether the number is one that can damp.
    pub(crate) fn check(self) -> Result<(), String> {
        let (Self::Relative(number) | Self::Absolute(number)) = self;
        if number.is_finite() && number >= 0.0 {
            Ok(())
        } else {
            Err(format!("`damping` is {number}\nhint: give a finite number that is not negative"))
        }
    }

    /// `lambda` of every parameter, `p`.
    pub(crate) fn diagonal<T: Real>(self, model: ModelAt<'_, T>, train: &Examples<T>) -> Vec<f64> {
        let blocks = model.layout().blocks();
        let lambdas = match self {
            Self::Absolute(lambda) => vec![lambda; blocks.len()],
            Self::Relative(relative) => gauss_newton_traces(model, train)
                .iter()
                .zip(blocks)
                .map(|(trace, block)| relative * trace / block.range.len() as f64)
                .collect(),
        };
        let mut diagonal = vec![0.0; model.layout().parameters()];
        for (block, lambda) in blocks.iter().zip(lambdas) {
            diagonal[block.range.clone()].fill(lambda);
        }
        diagonal
    }
}

/// Trace of each block of the mean Gauss-Newton matrix: exactly, but for texts.
///
/// That matrix is the expectation of `g g^T` over labels drawn from the model, so its trace is the
/// expectation of `|g|^2`: over the classes by their probabilities; over a target one away from
/// the output, where every deviation has the gradient of unit size. A text has too many labels to
/// go through: one is drawn for each position, which is right on average.
fn gauss_newton_traces<T: Real>(model: ModelAt<'_, T>, train: &Examples<T>) -> Vec<f64> {
    let layout = model.layout();
    let mut traces = vec![0.0; layout.blocks().len()];
    for (start, block) in train.blocks(pair::block_rows(layout)) {
        let outputs = model.outputs(&block);
        let draws: Vec<(Labels<T>, Vec<f64>)> = match block.labels() {
            Labels::Classes(_) => (0..outputs.ncols())
                .map(|class| {
                    let label = Labels::Classes(vec![class as u32; block.len()]);
                    (label, probabilities_of(outputs.view(), class))
                })
                .collect(),
            Labels::Values(_) => {
                let one_away = outputs.column(0).mapv(|output| output + T::one()).to_vec();
                vec![(Labels::Values(one_away), vec![1.0; block.len()])]
            }
            Labels::Tokens(tokens) => {
                let drawn = drawn_tokens(tokens, outputs.view(), start);
                vec![(Labels::Tokens(drawn), vec![1.0; block.len()])]
            }
        };
        for (labels, weights) in draws {
            let drawn = Examples::new(block.features().to_owned(), labels);
            let g = model.captures(&drawn, Quantity::Loss);
            for (trace, part) in traces.iter_mut().zip(layout.blocks()) {
                let norms = pair::block_squared_norms(&g, layout, part);
                *trace += norms.iter().zip(&weights).map(|(norm, w)| norm * w).sum::<f64>();
            }
        }
    }
    traces.iter().map(|trace| trace / train.len() as f64).collect()
}

/// Targets drawn from the model's outputs, wherever something is asked.
fn drawn_tokens<T: Real>(
    tokens: &TokenTargets,
    outputs: ndarray::ArrayView2<'_, T>,
    start: usize,
) -> TokenTargets {
    let classes = outputs.ncols() / tokens.positions().max(1);
    tokens.map(|row, position, _| {
        let at = position * classes..(position + 1) * classes;
        let logits: Vec<f64> = outputs.row(row).slice(s![at]).iter().map(|z| z.to_f64()).collect();
        let top = logits.iter().fold(f64::NEG_INFINITY, |top, &z| top.max(z));
        let weights: Vec<f64> = logits.iter().map(|z| (z - top).exp()).collect();
        let place = ((start + row) * tokens.positions() + position) as u64;
        let mut left = stream(0, "gauss-newton-trace", place).random_range(0.0..1.0)
            * weights.iter().sum::<f64>();
        let is_drawn = |weight: &f64| {
            left -= weight;
            left < 0.0
        };
        weights.iter().position(is_drawn).unwrap_or(classes - 1) as u32
    })
}

/// Softmax probability of `class` in every row of logits.
fn probabilities_of<T: Real>(outputs: ndarray::ArrayView2<'_, T>, class: usize) -> Vec<f64> {
    let probability = |logits: ndarray::ArrayView1<'_, T>| {
        let at = logits[class].to_f64();
        1.0 / logits.iter().map(|logit| (logit.to_f64() - at).exp()).sum::<f64>()
    };
    outputs.outer_iter().map(probability).collect()
}
