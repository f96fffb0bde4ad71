//! What a model must be able to do, whoever wrote it.

use std::collections::BTreeSet;

use attribench_datasets::{Dataset, Targets};
use ndarray::{Array2, ArrayView2, ArrayViewMut2};
use serde::{Deserialize, Serialize};

use crate::{
    Captures, Examples, Labels, Layout, ParameterError, Quantity, Real, StepSize, UpdateRule,
    Utility,
};

/// Second derivative of the mean objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curvature {
    /// The Hessian of the loss.
    Hessian,
    /// The generalised Gauss-Newton matrix `J^T (d2 loss / d output2) J`; positive semi-definite,
    /// equal to the Fisher matrix for softmax cross-entropy and squared error.
    GaussNewton,
    /// The Hessian of minus the utility, by which the descent gradient `b_q` changes.
    OfUtility(Utility),
}

impl Curvature {
    /// What is differentiated twice.
    pub fn quantity(self) -> Quantity {
        match self {
            Self::Hessian | Self::GaussNewton => Quantity::Loss,
            Self::OfUtility(utility) => Quantity::NegativeUtility(utility),
        }
    }
}

/// Lists of labels for some examples, as many lists every time: asked in order by the row of the
/// first example and their outputs, `(m, c)`.
pub type LabelChoice<'c, T> = dyn FnMut(usize, ArrayView2<'_, T>) -> Vec<Labels<T>> + 'c;

/// A model: a pure function of a flat parameter vector, differentiable once and twice.
///
/// # Laws (tested for every registered model)
/// - Results for an example do not depend on what else is in the call, up to rounding.
/// - Where the layout says that features enter first, `captures` gives them as the first inputs.
/// - `captures_of_chosen` gives what `captures` gives for the labels chosen.
/// - `mean_loss` is the mean of negative utilities, up to rounding.
/// - `gradient` is the weighted sum of the gradients that `captures` describes.
/// - `tangents` is the derivative of the quantity along each direction.
/// - `curvature_products` with [`Curvature::Hessian`] or [`Curvature::OfUtility`] is the derivative
///   of `gradient`.
/// - `derivatives` gives what `tangents` and `curvature_products` give.
pub trait Model<T: Real>: Send + Sync {
    /// Order of the parameters.
    fn layout(&self) -> &Layout;

    /// A fresh parameter vector from the stream `init` of the seed.
    fn initial_parameters(&self, seed: u64) -> Vec<T>;

    /// Logits (or the single output of a regression), `(n, d) -> (n, c)`.
    fn outputs(&self, theta: &[T], features: ArrayView2<'_, T>) -> Array2<T>;

    /// Activations that enter the last layer, `(n, d) -> (n, h)`; the inputs of a one-layer model.
    fn hidden(&self, theta: &[T], features: ArrayView2<'_, T>) -> Array2<T>;

    /// Utility of each example in `f64`, `n`.
    fn utilities(&self, theta: &[T], examples: &Examples<T>, utility: Utility) -> Vec<f64>;

    /// Mean loss of the examples, computed in the number type of the run: several times as fast as
    /// utilities, and good enough to tell states of one run apart.
    fn mean_loss(&self, theta: &[T], examples: &Examples<T>) -> f64;

    /// Layer inputs and output gradients of each example.
    fn captures(&self, theta: &[T], examples: &Examples<T>, quantity: Quantity) -> Captures<T>;

    /// Layer inputs and output gradients of the loss for labels that depend on the outputs:
    /// captures for each list of labels that is chosen, after one pass forward.
    fn captures_of_chosen(
        &self,
        theta: &[T],
        features: ArrayView2<'_, T>,
        choose: &mut LabelChoice<'_, T>,
    ) -> Vec<Captures<T>>;

    /// `sum_i weights[i] * grad quantity_i`, `p`.
    fn gradient(
        &self,
        theta: &[T],
        examples: &Examples<T>,
        quantity: Quantity,
        weights: &[T],
    ) -> Vec<T>;

    /// `d/de quantity_i(theta + e direction_k)`: directions `(k, p)` -> `(n, k)`.
    fn tangents(
        &self,
        theta: &[T],
        examples: &Examples<T>,
        quantity: Quantity,
        directions: ArrayView2<'_, T>,
    ) -> Array2<T>;

    /// `sum_i weights[i] * C_i direction_k` for the curvature's quantity: directions `(k, p)` ->
    /// `(k, p)`.
    fn curvature_products(
        &self,
        theta: &[T],
        examples: &Examples<T>,
        weights: &[T],
        curvature: Curvature,
        directions: ArrayView2<'_, T>,
    ) -> Array2<T>;

    /// Tangents of the loss and curvature products at once, as they share most of their work: adds
    /// `sum_i weights[i] * C_i direction_k` to `products` `(k, p)` and returns
    /// `d/de loss_i(theta + e direction_k)`, `(n, k)`.
    fn derivatives(
        &self,
        theta: &[T],
        examples: &Examples<T>,
        weights: &[T],
        curvature: Curvature,
        directions: ArrayView2<'_, T>,
        mut products: ArrayViewMut2<'_, T>,
    ) -> Array2<T> {
        products += &self.curvature_products(theta, examples, weights, curvature, directions);
        self.tangents(theta, examples, Quantity::Loss, directions)
    }

    /// `m` copies of the model that train side by side by one rule.
    fn stack(&self, width: usize, rule: &UpdateRule) -> Box<dyn Stack<T>>;

    /// How many models of this shape train best together: as many as leave parameters and momenta
    /// in a core's own cache. A function of the model alone, so that results never depend on a
    /// machine.
    fn stack_width(&self) -> usize;
}

/// A model in both number types.
pub trait AnyModel: Model<f32> + Model<f64> {}

impl<M: Model<f32> + Model<f64>> AnyModel for M {}

/// What a model has to fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataShape {
    /// Features of an example; positions of a text.
    pub inputs: usize,
    /// Classes, tokens, or 1 for numbers.
    pub outputs: usize,
    /// Positions of a text at which anything is ever asked, ascending; nobody reads the outputs of
    /// others. The one position 0 where data are no texts.
    pub asked: Vec<usize>,
}

impl DataShape {
    /// What parts of one data set have in common, and where any of them asks.
    ///
    /// # Panics
    /// When there is no part.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a Dataset>) -> Self {
        let mut parts = parts.into_iter().peekable();
        let first = *parts.peek().expect("a data set has a part");
        let (inputs, outputs) = (first.features().ncols(), first.targets().width());
        let asked: BTreeSet<usize> = parts
            .flat_map(|part| match part.targets() {
                Targets::Tokens { tokens, .. } => tokens.asked_positions(),
                Targets::Classes { .. } | Targets::Values(_) => vec![0],
            })
            .collect();
        Self { inputs, outputs, asked: asked.into_iter().collect() }
    }
}

/// Builds a model from its parameters and the shape of the data.
pub type BuildModel =
    fn(serde_json::Value, &DataShape) -> Result<Box<dyn AnyModel>, ParameterError>;

/// Low-rank changes of the dense layers of a model that is otherwise frozen: to each but the last,
/// `(scale / rank) B A x` is added, and only `A` and `B` are trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adapters {
    /// Rows of `A`.
    pub rank: usize,
    /// What the change is multiplied by.
    pub scale: f64,
}

/// Builds a model that begins where another one ended: as [`BuildModel`], with the parameters of
/// that end, and adapters where these alone are to be trained.
pub type ResumeModel = fn(
    serde_json::Value,
    &DataShape,
    &[f64],
    Option<Adapters>,
) -> Result<Box<dyn AnyModel>, ParameterError>;

/// What features are taken for, by a model or a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelInput {
    /// Measurements.
    Numbers,
    /// Tokens of a text, with the tokens that follow as labels ([`crate::Labels::Tokens`]).
    Tokens,
}

/// Names of a model's parameters in the files of other programs, by their names here: a tensor, or
/// several that stand one under the other in ours. `#` stands for a number, the same on both sides.
pub type ParameterNames = &'static [(&'static str, &'static [&'static str])];

/// The model's parameters in a specification from a description in a file: the content of a
/// `config.json`, or the metadata of a GGUF file with its `tensors`, a list of names.
pub type ConfigureModel = fn(&serde_json::Value) -> Result<serde_json::Value, ParameterError>;

/// A kind of model as other programs keep it.
#[derive(Clone, Copy)]
pub struct Elsewhere {
    /// Reads their descriptions, where there are any.
    pub configure: Option<ConfigureModel>,
    /// What files call its parameters, one table for each kind of file.
    pub names: &'static [ParameterNames],
}

impl Elsewhere {
    /// A kind of model that is ours alone.
    pub const NOWHERE: Self = Self { configure: None, names: &[] };
}

/// One line of a registry of models.
pub struct ModelEntry {
    /// Name in specifications.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// What its features are.
    pub reads: ModelInput,
    /// Builds the model.
    pub build: BuildModel,
    /// Builds the model so that it begins where another one ended.
    pub resume: ResumeModel,
    /// How other programs keep it.
    pub elsewhere: Elsewhere,
}

/// Models that share a batch and an order but not their data weights, stepped together by one
/// [`UpdateRule`].
pub trait Stack<T: Real>: Send {
    /// Number of models, `m`.
    fn width(&self) -> usize;
    /// Sets parameters and moments of model `index`, `p` each.
    fn load(&mut self, index: usize, theta: &[T], moments: &[Vec<T>]);
    /// Copies parameters of model `index` to `theta`, `p`.
    fn read_parameters(&self, index: usize, theta: &mut [T]);
    /// Copies the moments of model `index`, `p` each.
    fn read_moments(&self, index: usize, moments: &mut [Vec<T>]);
    /// Copies the last step's batch gradient of model `index` as the optimiser saw it, divided by
    /// `B` and clipped, and returns what clipping left of it. It is left alone, and 1, for rules
    /// that never form the gradient.
    fn read_gradient(&self, index: usize, gradient: &mut [T]) -> f64;
    /// One step on rows `rows` of `train`; `weights[j]` holds model `j`'s weight of each row named.
    ///
    /// A row whose weight is zero for every model is never read.
    fn step(&mut self, train: &Examples<T>, rows: &[usize], weights: &[&[T]], size: StepSize);
    /// Layer captures of the last step's batch for model 0, of the loss and *unweighted*, a row for
    /// each of the step's `rows` that had a weight; those without one are all zero.
    fn captures(&self) -> Captures<T>;
}
