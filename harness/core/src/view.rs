//! The window through which a method sees a run: it shows what the method's level allows.

use std::marker::PhantomData;

use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use crate::{
    Access, Captures, Checkpoint, Curvature, Examples, Instrumentation, LabelChoice, Layout, Meter,
    Model, Observer, Quantity, ReadsCheckpoints, ReadsOptimizer, ReadsTrace, ReadsWeights, Real,
    Recipe, Run, RunError, Utility,
};

/// A run seen at access level `A`. It has no public constructor.
///
/// A method that asks for less than it reads does not compile:
/// ```compile_fail,E0599
/// use attribench_core::{FinalModel, Real, View};
/// fn peek<T: Real>(view: View<'_, FinalModel, T>) -> usize {
///     view.checkpoints().len()
/// }
/// ```
/// ```compile_fail,E0599
/// use attribench_core::{BlackBox, Real, View};
/// fn peek<T: Real>(view: View<'_, BlackBox, T>) -> usize {
///     view.model().parameters().len()
/// }
/// ```
/// ```compile_fail,E0599
/// use attribench_core::{Checkpoints, Observer, Real, View};
/// fn peek<T: Real>(view: View<'_, Checkpoints, T>, observer: &mut dyn Observer<T>) {
///     view.replay(observer).unwrap();
/// }
/// ```
/// ```compile_fail,E0599
/// use attribench_core::{Checkpoints, Real, View};
/// fn peek<T: Real>(view: View<'_, Checkpoints, T>) -> usize {
///     view.moments().len()
/// }
/// ```
/// Nor can a window be made, or a level be invented:
/// ```compile_fail,E0451
/// use attribench_core::{FullTrace, Meter, Run, View};
/// fn open<'a>(run: &'a dyn Run<f32>, meter: &'a Meter) -> View<'a, FullTrace, f32> {
///     View { run, meter, level: std::marker::PhantomData }
/// }
/// ```
/// ```compile_fail,E0277
/// enum Everything {}
/// impl attribench_core::Access for Everything {
///     const LEVEL: attribench_core::AccessLevel = attribench_core::AccessLevel::FullTrace;
/// }
/// ```
/// Training again is a right of its own, whatever the level:
/// ```compile_fail,E0277
/// use attribench_core::{FullTrace, Real, Retrain, View};
/// fn again<'a, T: Real>(view: View<'a, FullTrace, T>) -> Retrain<'a, T> {
///     Retrain::of(view)
/// }
/// ```
/// ```
/// use attribench_core::{AndRetraining, BlackBox, Real, Retrain, View};
/// fn again<'a, T: Real>(view: View<'a, AndRetraining<BlackBox>, T>) -> Retrain<'a, T> {
///     Retrain::of(view)
/// }
/// ```
/// What the level allows does compile:
/// ```
/// use attribench_core::{Checkpoints, Real, View};
/// fn peek<T: Real>(view: View<'_, Checkpoints, T>) -> usize {
///     view.checkpoints().len() + view.model().parameters().len()
/// }
/// ```
pub struct View<'a, A, T> {
    pub(crate) run: &'a dyn Run<T>,
    pub(crate) meter: &'a Meter,
    level: PhantomData<fn() -> A>,
}

impl<A, T> Clone for View<'_, A, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A, T> Copy for View<'_, A, T> {}

impl<'a, A: Access, T: Real> View<'a, A, T> {
    pub(crate) fn new(run: &'a dyn Run<T>, meter: &'a Meter) -> Self {
        Self { run, meter, level: PhantomData }
    }

    /// Training examples, in training order.
    pub fn train(&self) -> &'a Examples<T> {
        self.run.train()
    }

    /// What examples are to somebody who compares inputs, `(n, d)`: their features, or what an
    /// encoder of somebody else's makes of their texts.
    ///
    /// # Errors
    /// When the encoder cannot read them.
    pub fn inputs(&self, examples: &Examples<T>) -> Result<Array2<T>, RunError> {
        self.run.inputs(examples)
    }

    /// Outputs of the finished model, `(n, c)`.
    pub fn outputs(&self, examples: &Examples<T>) -> Array2<T> {
        self.meter.forwards(examples.len());
        self.run.outputs(examples)
    }
}

impl<'a, A: ReadsWeights, T: Real> View<'a, A, T> {
    /// The model with the parameters of the end of the run.
    pub fn model(&self) -> ModelAt<'a, T> {
        ModelAt { model: self.run.model(), theta: self.run.final_parameters(), meter: self.meter }
    }

    /// Constants of the run, as a model card would give them.
    pub fn recipe(&self) -> Recipe {
        self.run.recipe()
    }
}

impl<'a, A: ReadsCheckpoints, T: Real> View<'a, A, T> {
    /// Checkpoints in order of time.
    pub fn checkpoints(&self) -> &'a [Checkpoint<T>] {
        self.run.checkpoints()
    }

    /// The model with other parameters, such as a checkpoint's.
    pub fn model_at<'b>(&self, parameters: &'b [T]) -> ModelAt<'b, T>
    where
        'a: 'b,
    {
        ModelAt { model: self.run.model(), theta: parameters, meter: self.meter }
    }
}

impl<'a, A: ReadsOptimizer, T: Real> View<'a, A, T> {
    /// The optimiser's state at each checkpoint, `p` each: the velocity, or both moments of Adam.
    pub fn moments(&self) -> &'a [Vec<Vec<T>>] {
        self.run.moments()
    }
}

impl<A: ReadsTrace, T: Real> View<'_, A, T> {
    /// What was logged of the run: replays show no more.
    pub fn log(&self) -> Instrumentation {
        self.run.log()
    }

    /// Shows every logged step to `observer`, first to last.
    ///
    /// # Errors
    /// When the run cannot be replayed or the observer fails.
    pub fn replay(&self, observer: &mut dyn Observer<T>) -> Result<(), RunError> {
        self.meter.replayed_steps(self.run.recipe().steps);
        self.run.replay(observer)
    }

    /// Shows every logged step to `observer`, last to first.
    ///
    /// # Errors
    /// When the run cannot be replayed or the observer fails.
    pub fn replay_backwards(&self, observer: &mut dyn Observer<T>) -> Result<(), RunError> {
        self.meter.replayed_steps(self.run.recipe().steps);
        self.run.replay_backwards(observer)
    }
}

/// A model at fixed parameters, whose use is metered. See [`Model`] for formulas and shapes.
#[derive(Clone, Copy)]
pub struct ModelAt<'a, T> {
    model: &'a dyn Model<T>,
    theta: &'a [T],
    meter: &'a Meter,
}

impl<'a, T: Real> ModelAt<'a, T> {
    /// Order of the parameters.
    pub fn layout(&self) -> &'a Layout {
        self.model.layout()
    }

    /// Parameters, `p`.
    pub fn parameters(&self) -> &'a [T] {
        self.theta
    }

    /// Outputs, `(n, c)`.
    pub fn outputs(&self, examples: &Examples<T>) -> Array2<T> {
        self.meter.forwards(examples.len());
        self.model.outputs(self.theta, examples.features())
    }

    /// Activations that enter the last layer, `(n, h)`.
    pub fn hidden(&self, examples: &Examples<T>) -> Array2<T> {
        self.meter.forwards(examples.len());
        self.model.hidden(self.theta, examples.features())
    }

    /// Utilities, `n`.
    pub fn utilities(&self, examples: &Examples<T>, utility: Utility) -> Vec<f64> {
        self.meter.forwards(examples.len());
        self.model.utilities(self.theta, examples, utility)
    }

    /// Layer inputs and output gradients.
    pub fn captures(&self, examples: &Examples<T>, quantity: Quantity) -> Captures<T> {
        self.meter.gradients(examples.len());
        self.model.captures(self.theta, examples, quantity)
    }

    /// The same of the loss for each list of labels that is chosen by the outputs.
    pub fn captures_of_chosen(
        &self,
        examples: &Examples<T>,
        choose: &mut LabelChoice<'_, T>,
    ) -> Vec<Captures<T>> {
        let captures = self.model.captures_of_chosen(self.theta, examples.features(), choose);
        self.meter.gradients(examples.len() * captures.len());
        captures
    }

    /// `sum_i weights[i] grad quantity_i`, `p`.
    pub fn gradient(&self, examples: &Examples<T>, quantity: Quantity, weights: &[T]) -> Vec<T> {
        self.meter.gradients(examples.len());
        self.model.gradient(self.theta, examples, quantity, weights)
    }

    /// Directional derivatives, `(n, k)`.
    pub fn tangents(
        &self,
        examples: &Examples<T>,
        quantity: Quantity,
        directions: ArrayView2<'_, T>,
    ) -> Array2<T> {
        self.meter.tangents(examples.len() * directions.nrows());
        self.model.tangents(self.theta, examples, quantity, directions)
    }

    /// `sum_i weights[i] C_i direction_k`, `(k, p)`.
    pub fn curvature_products(
        &self,
        examples: &Examples<T>,
        weights: &[T],
        curvature: Curvature,
        directions: ArrayView2<'_, T>,
    ) -> Array2<T> {
        self.meter.curvature_products(examples.len() * directions.nrows());
        self.model.curvature_products(self.theta, examples, weights, curvature, directions)
    }

    /// Tangents of the loss, `(n, k)`, and curvature products added to `products`, `(k, p)`.
    pub fn derivatives(
        &self,
        examples: &Examples<T>,
        weights: &[T],
        curvature: Curvature,
        directions: ArrayView2<'_, T>,
        products: ArrayViewMut2<'_, T>,
    ) -> Array2<T> {
        let pairs = examples.len() * directions.nrows();
        self.meter.tangents(pairs);
        self.meter.curvature_products(pairs);
        self.model.derivatives(self.theta, examples, weights, curvature, directions, products)
    }
}
