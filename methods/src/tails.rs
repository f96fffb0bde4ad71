//! What gradients meet in the steps that follow their own.

use attribench_core::{
    Captures, FullTrace, Inputs, LayerCapture, Layout, Optimiser, Real, Step, UpdateRule, View,
    math,
};
use ndarray::{Array1, Array2, ArrayView2, Axis};

use crate::{
    credits::{Carry, Products},
    directions::Directions,
    pair,
};

/// Blocks whose tails are kept as factors: the first layer where the features enter it, unless the
/// optimiser divides entry by entry.
pub(crate) fn first_blocks<T: Real>(view: View<'_, FullTrace, T>) -> usize {
    let is_linear = matches!(view.recipe().rule.optimiser, Optimiser::Sgd(_));
    usize::from(is_linear && view.model().layout().features_enter_first())
}

/// The sums `w`, from the last step back to the present one.
///
/// The inputs of the first layer, mostly the widest, are often the features and the same at every
/// step: its part of a tail is `D_q x_q^T` with a short `D_q`, and its products need no more.
pub(crate) struct Tail<T> {
    carry: Carry,
    /// `D`, `(q, outputs of the first layer)`; no columns where its tails are not factors.
    first: Array2<f64>,
    /// The other layers' part, `(c, their parameters)`.
    rest: Array2<f64>,
    first_layout: Layout,
    rest_layout: Layout,
    /// Index of the step absorbed last.
    absorbed: Option<usize>,
    number: std::marker::PhantomData<T>,
}

impl<T: Real> Tail<T> {
    /// Empty tails of `q` queries in `c` columns: one for each query, or one for their mean.
    pub(crate) fn new(
        view: View<'_, FullTrace, T>,
        carry: Carry,
        (queries, columns): (usize, usize),
    ) -> Self {
        let (first_layout, rest_layout) = view.model().layout().split_at(first_blocks(view));
        let width = first_layout.layers().iter().map(|layer| layer.outputs).sum();
        Self {
            carry,
            first: Array2::zeros((queries, width)),
            rest: Array2::zeros((columns, rest_layout.parameters())),
            first_layout,
            rest_layout,
            absorbed: None,
            number: std::marker::PhantomData,
        }
    }

    pub(crate) fn carry(&self) -> Carry {
        self.carry
    }

    /// Adds a step that lies before all that were absorbed. `divisor` is Adam's `D`, `p`.
    pub(crate) fn absorb(
        &mut self,
        rule: &UpdateRule,
        step: &Step<'_, T>,
        path: &[(f64, Captures<T>)],
        divisor: Option<&[f64]>,
    ) {
        // Steps between that nobody saw still wore the tail down.
        let gap = self.absorbed.map_or(1, |later| later - step.index);
        let kept = self.carry.keep.powi(gap as i32);
        self.absorbed = Some(step.index);
        self.first *= kept;
        self.rest *= kept;
        let correction = match rule.optimiser {
            Optimiser::Sgd(_) => 1.0,
            Optimiser::AdamW(adam) => 1.0 - adam.beta1.powi(step.index as i32 + 1),
        };
        let scale = self.carry.enter * step.learning_rate / correction;
        let layers = self.first_layout.layers().len();
        let mut fresh = divisor.map(|_| Array2::zeros(self.rest.dim()));
        for (c, b) in path {
            let (first, rest) = b.layers.split_at(layers);
            for first in first {
                self.first.zip_mut_with(&first.output_gradients, |sum, delta| {
                    *sum += c * scale * delta.to_f64();
                });
            }
            let to = fresh.as_mut().unwrap_or(&mut self.rest);
            if to.nrows() == b.len() {
                pair::add_gradients(rest, &self.rest_layout, c * scale, to.view_mut());
            } else {
                let scale = c * scale / b.len() as f64;
                let mut to = to.row_mut(0);
                let to = to.as_slice_mut().expect("tails in standard layout");
                pair::add_sum_of_gradients(rest, &self.rest_layout, scale, to);
            }
        }
        if let Some((fresh, divisor)) = fresh.zip(divisor) {
            let divisor = ArrayView2::from_shape((1, divisor.len()), divisor).expect("one row");
            self.rest += &(fresh * divisor);
        }
    }

    /// `D` in the run's numbers.
    fn first_deltas(&self) -> Array2<T> {
        self.first.mapv(T::from_f64)
    }

    fn is_mean(&self) -> bool {
        self.rest.nrows() != self.first.nrows()
    }

    /// One column for each query, or their mean.
    fn columns(&self, each: Array2<f64>) -> Array2<f64> {
        if self.is_mean() {
            (each.sum_axis(Axis(1)) / each.ncols() as f64).insert_axis(Axis(1))
        } else {
            each
        }
    }

    /// `take w . g_i` of the batch, `(B, c)`.
    pub(crate) fn with_batch(&self, products: &Products<'_, T>, step: &Step<'_, T>) -> Array2<f64> {
        let layers = self.first_layout.layers().len();
        let mut each = Array2::zeros((step.rows.len(), self.first.nrows()));
        if layers > 0 {
            products.add_first(step, &self.first_deltas(), &mut each);
        }
        let mut sum = self.columns(each);
        if self.rest_layout.parameters() > 0 {
            let rest = &step.captures.layers[layers..];
            sum += &Directions::new(&self.rest_layout, self.rest.view()).products_of(rest);
        }
        sum * self.carry.take
    }

    /// `take w . theta`, `c`.
    pub(crate) fn along_parameters(&self, products: &Products<'_, T>, theta: &[T]) -> Array1<f64> {
        let theta: Vec<f64> = theta.iter().map(|value| value.to_f64()).collect();
        let (of_first, of_rest) = theta.split_at(self.first_layout.parameters());
        let dot = |tail: ndarray::ArrayView1<'_, f64>| {
            math::dot(tail.to_slice().expect("tails in standard layout"), of_rest)
        };
        let mut along: Array1<f64> = self.rest.outer_iter().map(dot).collect();
        if !self.first_layout.layers().is_empty() {
            let direction = ArrayView2::from_shape((1, of_first.len()), of_first)
                .expect("one row holds its numbers");
            let capture = LayerCapture {
                positions: 1,
                inputs: Inputs::Values(products.queries().examples.features().to_owned()),
                output_gradients: self.first_deltas(),
            };
            let each = Directions::new(&self.first_layout, direction).products_of(&[capture]);
            along += &self.columns(each.reversed_axes()).row(0);
        }
        along * self.carry.take
    }
}
