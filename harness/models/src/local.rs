//! Ops that see one example at a time.
//!
//! Each gives the four derivatives that the readings need; what is linear in its input and its
//! parameters gets the second ones for nothing.

use std::sync::Arc;

use attribench_core::Real;

use crate::{
    attention::Attention,
    average_pool::AveragePool,
    embedding::{Embedding, Positions},
    gated::Gated,
    gather::Gather,
    normalise::Normalise,
    rms_norm::RmsNorm,
    rotary::Rotary,
    scale::Scale,
    shared_heads::SharedHeads,
    weighted_mean::WeightedMean,
};

/// An op on single examples, cheap to copy.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum LocalOp {
    Attention(Attention),
    AveragePool(AveragePool),
    Embedding(Embedding),
    Gated(Gated),
    Gather(Arc<Gather>),
    Normalise(Normalise),
    Positions(Positions),
    RmsNorm(RmsNorm),
    Rotary(Arc<Rotary>),
    Scale(Scale),
    SharedHeads(SharedHeads),
    WeightedMean(WeightedMean),
}

impl LocalOp {
    pub(crate) fn kernel<T: Real>(&self) -> &dyn Local<T> {
        match self {
            Self::Attention(op) => op,
            Self::AveragePool(op) => op,
            Self::Embedding(op) => op,
            Self::Gated(op) => op,
            Self::Gather(op) => &**op,
            Self::Normalise(op) => op,
            Self::Positions(op) => op,
            Self::RmsNorm(op) => op,
            Self::Rotary(op) => &**op,
            Self::Scale(op) => op,
            Self::SharedHeads(op) => op,
            Self::WeightedMean(op) => op,
        }
    }
}

/// The point at which an op is differentiated: one example's values.
pub(crate) struct Point<'a, T> {
    pub parameters: &'a [T],
    pub input: &'a [T],
    /// What the forward pass kept.
    pub kept: &'a [T],
}

/// A direction at a [`Point`].
pub(crate) struct Direction<'a, T> {
    pub parameters: &'a [T],
    pub input: &'a [T],
}

/// `y(theta, x)` of one example and its derivatives. Results are written, those named `add_*`
/// added.
pub(crate) trait Local<T: Real> {
    /// Width of the output of an example, given that of its input.
    fn output_width(&self, input_width: usize) -> usize;

    /// Numbers that the forward pass keeps for the others, given the width of the input.
    fn kept(&self, _input_width: usize) -> usize {
        0
    }

    /// `y`.
    fn forward(&self, parameters: &[T], input: &[T], kept: &mut [T], output: &mut [T]);

    /// `(dy/dx)^T delta`.
    fn backward(&self, point: &Point<'_, T>, delta: &[T], at_input: &mut [T]);

    /// `gradient += (dy/dtheta)^T delta`.
    fn add_gradient(&self, _point: &Point<'_, T>, _delta: &[T], _gradient: &mut [T]) {}

    /// `(dy/dx) dx + (dy/dtheta) dtheta`.
    fn tangent(&self, point: &Point<'_, T>, along: &Direction<'_, T>, output: &mut [T]);

    /// The derivative of what `backward` gives, along a direction in which `delta` moves as well.
    fn second(
        &self,
        point: &Point<'_, T>,
        _along: &Direction<'_, T>,
        (_delta, delta_tangent): (&[T], &[T]),
        at_input: &mut [T],
    ) {
        self.backward(point, delta_tangent, at_input);
    }

    /// Adds the derivative of what `add_gradient` adds, as [`Self::second`].
    fn add_second(
        &self,
        point: &Point<'_, T>,
        _along: &Direction<'_, T>,
        (_delta, delta_tangent): (&[T], &[T]),
        gradient: &mut [T],
    ) {
        self.add_gradient(point, delta_tangent, gradient);
    }
}
