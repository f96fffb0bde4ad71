//! Linear maps of the two sides of layers' gradients.
//!
//! A dense layer's gradient is a sum of outer products `delta_s a_s^T`. Maps of inputs and output
//! gradients, `a -> L^T (a, 1)` and `delta -> R^T delta`, map the gradient to `R^T dW L` without
//! forming it, and the result is the gradient of a dense layer without bias. So whatever works on
//! captures works on mapped ones: rotations to an eigenbasis, random projections, masks.

use attribench_core::{Captures, Inputs, Layer, LayerCapture, LayerKind, Layout, Real, math};
use ndarray::{Array2, ArrayView2, Axis, s};

/// The maps of one layer.
#[derive(Clone, Debug)]
pub(crate) struct Sides<T> {
    /// Index of the layer in the model's layout.
    pub(crate) layer: usize,
    /// `L`, `(inputs and 1 for a bias, k)`.
    pub(crate) inputs: Array2<T>,
    /// `R`, `(outputs, k)`.
    pub(crate) outputs: Array2<T>,
}

/// Maps of some layers of a model; the others are left out.
#[derive(Clone, Debug)]
pub(crate) struct Turn<T> {
    /// Nothing where captures stay what they are.
    sides: Option<Vec<Sides<T>>>,
    /// The order of the mapped gradients in a flat vector.
    pub(crate) layout: Layout,
}

impl<T: Real> Turn<T> {
    /// Leaves captures as they are.
    pub(crate) fn none(layout: &Layout) -> Self {
        Self { sides: None, layout: layout.clone() }
    }

    /// Maps the layers named, in order.
    pub(crate) fn new(sides: Vec<Sides<T>>, layout: &Layout) -> Self {
        let mut turned = Layout::default();
        for side in &sides {
            let layer = &layout.layers()[side.layer];
            let (inputs, outputs) = (side.inputs.ncols(), side.outputs.ncols());
            let image = Layer::dense_without_bias(layer.name.clone(), inputs, outputs);
            turned.push(image.at_positions(layer.positions));
        }
        Self { sides: Some(sides), layout: turned }
    }

    /// The same maps with their images divided, coordinate by coordinate: those of the output
    /// gradients and of the inputs of each layer mapped.
    pub(crate) fn divided_by(&self, divisors: &[(Vec<f64>, Vec<f64>)]) -> Self {
        let mut turn = self.clone();
        for (side, (outputs, inputs)) in turn.sides.iter_mut().flatten().zip(divisors) {
            for (map, divisors) in [(&mut side.outputs, outputs), (&mut side.inputs, inputs)] {
                for (mut column, divisor) in map.axis_iter_mut(Axis(1)).zip(divisors) {
                    let scale = T::from_f64(1.0 / divisor);
                    column.mapv_inplace(|value| value * scale);
                }
            }
        }
        turn
    }

    /// Where the image of a layer of the model stands in [`Self::layout`], if it has one.
    pub(crate) fn place_of(&self, layer: usize) -> Option<usize> {
        self.sides.as_ref()?.iter().position(|side| side.layer == layer)
    }

    /// `R X L^T` of directions `X` of the image in place `place`, `(k, p'_l) -> (k, p_l)`: the
    /// products of gradients with it are those of mapped gradients with `X`.
    pub(crate) fn turned_back(
        &self,
        place: usize,
        x: ArrayView2<'_, T>,
        layer: &Layer,
    ) -> Array2<T> {
        let side = &self.sides.as_ref().expect("an image has a map")[place];
        let (image_inputs, image_outputs) = (side.inputs.ncols(), side.outputs.ncols());
        let (inputs, outputs) = (layer.inputs, layer.outputs);
        let mut back = Array2::zeros((x.nrows(), layer.parameters()));
        for (x, mut back) in x.outer_iter().zip(back.outer_iter_mut()) {
            let x = x.to_shape((image_outputs, image_inputs)).expect("outputs by inputs");
            // (out, k') x (k', k) x (k, in) -> (out, in)
            let half = math::matmul(x.view(), side.inputs.t());
            let whole = math::matmul(side.outputs.view(), half.view());
            let (weight, bias) = back.view_mut().split_at(Axis(0), inputs * outputs);
            let mut weight = weight.into_shape_with_order((outputs, inputs)).expect("in order");
            weight.assign(&whole.slice(s![.., ..inputs]));
            if layer.has_bias() {
                let mut bias = bias;
                bias.assign(&whole.column(inputs));
            }
        }
        back
    }

    /// Whether it costs less to map the directions of `queries` queries back than to map the
    /// gradients of `examples` examples of the model.
    pub(crate) fn is_cheaper_turned_back(
        &self,
        layout: &Layout,
        examples: usize,
        queries: usize,
    ) -> bool {
        let (mut mapped, mut back) = (0, 0);
        for side in self.sides.iter().flatten() {
            let positions = layout.layers()[side.layer].positions;
            let ((inputs, image_inputs), (outputs, image_outputs)) =
                (side.inputs.dim(), side.outputs.dim());
            // Multiply-adds of maps, and of forming gradients at several positions and of products.
            let rows = examples * positions;
            let forming = if positions > 1 { rows } else { 0 } + examples * queries;
            mapped += rows * (inputs * image_inputs + outputs * image_outputs)
                + forming * image_inputs * image_outputs;
            back += queries * image_outputs * inputs * (image_inputs + outputs)
                + forming * inputs * outputs;
        }
        back < mapped
    }

    /// Captures of the mapped gradients, in the order of [`Self::layout`].
    pub(crate) fn apply(&self, g: Captures<T>) -> Captures<T> {
        let Some(sides) = &self.sides else { return g };
        let turned = |side: &Sides<T>| {
            let capture = &g.layers[side.layer];
            side.image(capture, side.map_inputs(capture))
        };
        Captures { layers: sides.iter().map(turned).collect() }
    }

    /// The same for several gradients of the same examples: inputs, which they have in common, are
    /// mapped once.
    pub(crate) fn apply_to_draws(&self, draws: &[Captures<T>]) -> Vec<Captures<T>> {
        let Some(sides) = &self.sides else { return draws.to_vec() };
        let mut turned = vec![Captures { layers: Vec::with_capacity(sides.len()) }; draws.len()];
        for side in sides {
            let Some(first) = draws.first() else { break };
            let inputs = side.map_inputs(&first.layers[side.layer]);
            for (turned, draw) in turned.iter_mut().zip(draws) {
                turned.layers.push(side.image(&draw.layers[side.layer], inputs.clone()));
            }
        }
        turned
    }
}

impl<T: Real> Sides<T> {
    /// `L^T (a, 1)`, `(n s, in) -> (n s, k)`.
    fn map_inputs(&self, capture: &LayerCapture<T>) -> Array2<T> {
        let width = match &capture.inputs {
            Inputs::Values(values) => values.ncols(),
            Inputs::Tokens(_) => unreachable!("layers that read tokens are not mapped"),
        };
        // (n s, in) x (in, k) -> (n s, k)
        let mut inputs = capture.inputs.times(self.inputs.slice(s![..width, ..]));
        for bias in self.inputs.slice(s![width.., ..]).outer_iter() {
            inputs += &bias;
        }
        inputs
    }

    /// The capture with its output gradients mapped, `R^T delta`, and these inputs.
    fn image(&self, capture: &LayerCapture<T>, inputs: Array2<T>) -> LayerCapture<T> {
        // (n s, out) x (out, k) -> (n s, k)
        let output_gradients = math::matmul(capture.output_gradients.view(), self.outputs.view());
        let inputs = Inputs::Values(inputs);
        LayerCapture { positions: capture.positions, inputs, output_gradients }
    }
}

/// Layers with two sides to map: dense, with inputs that are numbers, and with a weight of their
/// own.
pub(crate) fn two_sided_layers(layout: &Layout) -> Vec<usize> {
    let dense = |&layer: &usize| {
        let layer = &layout.layers()[layer];
        layer.kind != LayerKind::Lookup && layer.inputs > 0
    };
    let single = layout.blocks().iter().filter_map(|block| match block.layers[..] {
        [layer] => Some(layer),
        _ => None,
    });
    single.filter(dense).collect()
}

/// Width of a layer's input with the 1 that its bias multiplies.
pub(crate) fn extended_inputs(layer: &Layer) -> usize {
    layer.inputs + usize::from(layer.has_bias())
}

#[cfg(test)]
mod tests {
    use attribench_core::{Captures, Inputs, Layer, LayerCapture, Layout};
    use ndarray::{Array2, array};

    use super::{Sides, Turn, two_sided_layers};
    use crate::pair;

    #[test]
    fn a_mapped_gradient_is_the_gradient_mapped() {
        // One example at two positions, a layer 2 -> 2 with bias: dW = sum_s delta_s (a_s, 1)^T
        // = (1, 2)^T (3, 4, 1) + (0, 1)^T (1, 0, 1) = (3 4 1; 7 8 3).
        let mut layout = Layout::default();
        layout.push(Layer::vector("shift", 2));
        layout.push(Layer::dense("mix", 2, 2).at_positions(2));
        assert_eq!(two_sided_layers(&layout), [1]);
        let shift = LayerCapture {
            positions: 1,
            inputs: Inputs::Values(Array2::zeros((1, 0))),
            output_gradients: array![[5.0, 5.0]],
        };
        let mix = LayerCapture {
            positions: 2,
            inputs: Inputs::Values(array![[3.0, 4.0], [1.0, 0.0]]),
            output_gradients: array![[1.0, 2.0], [0.0, 1.0]],
        };
        let g = Captures { layers: vec![shift, mix] };
        let inputs = array![[1.0, 0.0], [0.0, 1.0], [2.0, -1.0]];
        let outputs = array![[1.0], [-1.0]];
        let turn = Turn::new(vec![Sides { layer: 1, inputs, outputs }], &layout);
        // R^T dW = (-4 -4 -2); times L: -4 - 4, -4 + 2.
        let turned = turn.apply(g.clone());
        assert_eq!(pair::gradients(&turned, &turn.layout), array![[-8.0, -2.0]]);
        // Back, X = (3, 5): dW . (R X L^T) = (-8, -2) . (3, 5) = -34, bias last.
        let back = turn.turned_back(0, array![[3.0, 5.0]].view(), &layout.layers()[1]);
        assert_eq!(back, array![[3.0, 5.0, -3.0, -5.0, 1.0, -1.0]]);
        assert_eq!((back * array![3.0, 4.0, 7.0, 8.0, 1.0, 3.0]).sum(), -34.0);
        assert_eq!((turn.place_of(0), turn.place_of(1)), (None, Some(0)));
        // Outputs over 2, inputs over 4 and 1.
        let divided = turn.divided_by(&[(vec![2.0], vec![4.0, 1.0])]).apply(g);
        assert_eq!(pair::gradients(&divided, &turn.layout), array![[-1.0, -1.0]]);
    }
}
