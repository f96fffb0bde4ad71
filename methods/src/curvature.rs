//! Which curvature is inverted, and how far it is moved away from singularity.

use attribench_core::{
    Captures, Curvature, Examples, Labels, ModelAt, Quantity, ReadsWeights, Real, TokenTargets,
    View, stream,
};
use ndarray::{Array2, ArrayView1, ArrayView2, Zip, s};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
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
/// let bare: Damping = serde_json::from_str("0.01").unwrap();
/// assert_eq!(bare, Damping::Absolute(0.01));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", from = "WrittenDamping")]
pub enum Damping {
    /// This many times the mean eigenvalue of the Gauss-Newton matrix, `tr(C_l) / p_l`, layer by
    /// layer (tied layers together). The same number serves the Hessian, whose own trace may be
    /// negative.
    Relative(f64),
    /// This number in all layers; what a bare number means.
    Absolute(f64),
}

/// A damping as people write it.
#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a damping is a number, `relative: NUMBER` or `absolute: NUMBER`"
)]
enum WrittenDamping {
    Bare(f64),
    Relative { relative: f64 },
    Absolute { absolute: f64 },
}

impl From<WrittenDamping> for Damping {
    fn from(written: WrittenDamping) -> Self {
        match written {
            WrittenDamping::Relative { relative } => Self::Relative(relative),
            WrittenDamping::Bare(number) | WrittenDamping::Absolute { absolute: number } => {
                Self::Absolute(number)
            }
        }
    }
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

    /// `lambda`, where the mean eigenvalue is `mean`.
    pub(crate) fn relative_to(self, mean: f64) -> f64 {
        match self {
            Self::Absolute(lambda) => lambda,
            Self::Relative(relative) => relative * mean,
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
/// expectation of `|g|^2`. A text has too many labels to go through: one is drawn for each
/// position, which is right on average.
fn gauss_newton_traces<T: Real>(model: ModelAt<'_, T>, train: &Examples<T>) -> Vec<f64> {
    let layout = model.layout();
    let mut traces = vec![0.0; layout.blocks().len()];
    let mut draws = stream(0, "gauss-newton-trace", 0);
    for_each_pseudo_gradient(model, train, Fisher::Expected, &mut draws, |draws| {
        for g in draws {
            for (trace, part) in traces.iter_mut().zip(layout.blocks()) {
                *trace += pair::block_squared_norms(g, layout, part).iter().sum::<f64>();
            }
        }
    });
    traces.iter().map(|trace| trace / train.len() as f64).collect()
}

/// Whose gradients the Fisher matrix `E[g g^T]` is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fisher {
    /// All labels, weighted by the model's probabilities: the Gauss-Newton matrix itself, at the
    /// price of a gradient a class.
    #[default]
    Expected,
    /// One label drawn from the model for every example.
    Sampled,
    /// The labels that the data have. A different matrix.
    Empirical,
}

/// Calls `visit` with blocks of training examples in order; each as captures whose gradients, taken
/// over all of them, have the second moment that is wanted of every example.
///
/// One token is drawn from the model for each position of a text, whatever `fisher` says of labels.
///
/// For classes, gradients are scaled by the square root of the label's probability. A regression's
/// target is drawn one away from the output, where a deviation has the gradient of unit size; its
/// sign does not show in a second moment, so that nothing is left to chance.
pub(crate) fn for_each_pseudo_gradient<T: Real>(
    model: ModelAt<'_, T>,
    train: &Examples<T>,
    fisher: Fisher,
    numbers: &mut ChaCha8Rng,
    mut visit: impl FnMut(&[Captures<T>]),
) {
    for (_, block) in train.blocks(pair::block_rows(model.layout())) {
        if fisher == Fisher::Empirical {
            visit(&[model.captures(&block, Quantity::Loss)]);
            continue;
        }
        let mut scales: Vec<Vec<f64>> = Vec::new();
        let mut captured = model.captures_of_chosen(&block, &mut |start, outputs| {
            let rows: Vec<usize> = (start..start + outputs.nrows()).collect();
            let (labels, further) =
                pseudo_labels(&block.labels().select(&rows), outputs, fisher, numbers);
            scales.resize(further.len(), Vec::new());
            scales.iter_mut().zip(further).for_each(|(all, further)| all.extend(further));
            labels
        });
        captured.iter_mut().zip(&scales).for_each(|(g, scales)| pair::scale(g, scales));
        visit(&captured);
    }
}

/// Lists of labels for some examples, and the scales of their gradients; without scales where these
/// are 1.
fn pseudo_labels<T: Real>(
    labels: &Labels<T>,
    outputs: ArrayView2<'_, T>,
    fisher: Fisher,
    numbers: &mut ChaCha8Rng,
) -> (Vec<Labels<T>>, Vec<Vec<f64>>) {
    let drawn = match labels {
        Labels::Values(_) => {
            Labels::Values(outputs.column(0).mapv(|output| output + T::one()).to_vec())
        }
        Labels::Tokens(tokens) => Labels::Tokens(drawn_tokens(tokens, outputs, numbers)),
        Labels::Classes(_) if fisher == Fisher::Sampled => {
            let draw = |logits| drawn(&probabilities(logits), numbers.random());
            Labels::Classes(outputs.outer_iter().map(draw).collect())
        }
        Labels::Classes(_) => {
            let all: Vec<Vec<f64>> = outputs.outer_iter().map(probabilities).collect();
            let of_class = |class: usize| {
                let labels = Labels::Classes(vec![class as u32; all.len()]);
                (labels, all.iter().map(|row| row[class].sqrt()).collect())
            };
            return (0..outputs.ncols()).map(of_class).unzip();
        }
    };
    (vec![drawn], Vec::new())
}

/// Targets drawn from the model's outputs, wherever something is asked.
fn drawn_tokens<T: Real>(
    tokens: &TokenTargets,
    outputs: ArrayView2<'_, T>,
    numbers: &mut ChaCha8Rng,
) -> TokenTargets {
    let classes = outputs.ncols() / tokens.positions().max(1);
    tokens.map(|row, position, _| {
        let at = position * classes..(position + 1) * classes;
        drawn(&probabilities(outputs.row(row).slice_move(s![at])), numbers.random())
    })
}

/// Softmax of a row of logits.
pub(crate) fn probabilities<T: Real>(logits: ArrayView1<'_, T>) -> Vec<f64> {
    let top = logits.iter().copied().fold(logits[0], T::max);
    let mut exponentials: Vec<T> = logits.iter().map(|&logit| logit - top).collect();
    T::exp_in_place(&mut exponentials);
    let sum: f64 = exponentials.iter().map(|value| value.to_f64()).sum();
    exponentials.iter().map(|value| value.to_f64() / sum).collect()
}

/// The class whose stretch of the unit interval holds `uniform`.
fn drawn(probabilities: &[f64], uniform: f64) -> u32 {
    let mut below = 0.0;
    let found = probabilities.iter().position(|probability| {
        below += probability;
        uniform < below
    });
    found.unwrap_or(probabilities.len() - 1) as u32
}

/// `C + diag(gamma + lambda)`, by its products.
pub(crate) struct DampedCurvature<'a, T> {
    model: ModelAt<'a, T>,
    train: &'a Examples<T>,
    kind: CurvatureKind,
    /// `gamma + lambda` of every parameter.
    pub(crate) diagonal: Vec<f64>,
}

impl<'a, T: Real> DampedCurvature<'a, T> {
    pub(crate) fn new<A: ReadsWeights>(
        view: View<'a, A, T>,
        kind: CurvatureKind,
        damping: Damping,
    ) -> Self {
        let (model, train) = (view.model(), view.train());
        let gamma = view.recipe().rule.optimiser.ridge();
        let mut diagonal = damping.diagonal(model, train);
        diagonal.iter_mut().for_each(|lambda| *lambda += gamma);
        Self { model, train, kind, diagonal }
    }

    /// `C d` without what is on the diagonal besides, over the given examples, `(k, p) -> (k, p)`.
    pub(crate) fn undamped_products(
        &self,
        examples: &Examples<T>,
        directions: ArrayView2<'_, f64>,
    ) -> Array2<f64> {
        let n = examples.len() as f64;
        self.sums(examples, directions).mapv(|sum| sum.to_f64() / n)
    }

    /// `n C d`, `(k, p) -> (k, p)`.
    fn sums(&self, examples: &Examples<T>, directions: ArrayView2<'_, f64>) -> Array2<T> {
        let ones = vec![T::one(); examples.len()];
        let narrowed = directions.mapv(T::from_f64);
        self.model.curvature_products(examples, &ones, self.kind.into(), narrowed.view())
    }

    /// `C_lambda d` over the given examples, `(k, p) -> (k, p)`.
    pub(crate) fn products_over(
        &self,
        examples: &Examples<T>,
        directions: ArrayView2<'_, f64>,
    ) -> Array2<f64> {
        let n = examples.len() as f64;
        let sums = self.sums(examples, directions);
        let diagonal = ArrayView1::from(&self.diagonal);
        Zip::from(&sums)
            .and(&directions)
            .and_broadcast(&diagonal)
            .map_collect(|sum, direction, diagonal| sum.to_f64() / n + diagonal * direction)
    }

    /// `C_lambda d` over all training examples, `(k, p) -> (k, p)`.
    pub(crate) fn products(&self, directions: ArrayView2<'_, f64>) -> Array2<f64> {
        self.products_over(self.train, directions)
    }
}
