//! Influence functions on sketches of gradients masked on both sides of every layer.
//!
//! # Computes
//! `tau[i, q] = (1/n) phi_q . (Phi^T Phi / n + lambda I)^-1 phi_i` as `gra-ss` does, where for each
//! dense layer `side` random coordinates of its extended inputs and of its output gradients are
//! kept, and the products of the two are added up in `size` sums with random signs, scaled so that
//! dot products are right in the mean.
//!
//! # Reads
//! Final weights. One gradient for each training example and query; no gradient of a whole layer is
//! formed.
//!
//! # Shapes
//! Masked captures `(n, side)` on both sides; outer products `(m, side^2)` of some examples at a
//! time; features `(n, size)`, kept in `f64`.
//!
//! # Differs from the paper
//! As `gra-ss`. A side as long as the layer's is not masked.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::FactGraSs;
//! assert!(FactGraSs { side: 0, ..FactGraSs::default() }.check().is_err());
//! ```
//!
//! # References
//! Hu, Zheng, Yang, et al., GraSS: scalable data attribution with gradient sparsification and
//! sparse projection, NeurIPS 2025, arXiv 2505.18976.

use attribench_core::{
    Captures, Context, FinalModel, Method, MethodError, MethodInfo, ProblemSize, Real, Scale,
    Scorer, View,
};
use ndarray::Array2;
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::{
    Damping,
    gra_ss::in_sketches,
    projection::{Sketch, without_repetition},
    trak::{check_size, kept_bytes},
    turn::{Sides, Turn, extended_inputs, two_sided_layers},
};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FactGraSs {
    /// Length of a sketch.
    pub size: usize,
    /// Most coordinates kept of a layer's inputs, and of its outputs.
    pub side: usize,
    /// `lambda`, or how many times the mean eigenvalue it is.
    pub damping: Damping,
}

impl Default for FactGraSs {
    fn default() -> Self {
        Self { size: 2_048, side: 64, damping: Damping::default() }
    }
}

impl Method for FactGraSs {
    type Access = FinalModel;
    const INFO: MethodInfo = MethodInfo {
        name: "fact-gra-ss",
        summary: "influence functions on sketches of gradients masked on both sides of every layer",
        scale: Scale::Derivative,
    };

    fn check(&self) -> Result<(), String> {
        check_size(self.size)?;
        if self.side == 0 {
            return Err("`side` is 0\nhint: keep at least one coordinate".to_owned());
        }
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
        let layout = view.model().layout();
        let layers = two_sided_layers(layout);
        if layers.is_empty() {
            return Err(MethodError::Unsuitable(
                "the model has no dense layer with a weight of its own\nhint: use gra-ss"
                    .to_owned(),
            ));
        }
        let mut numbers = context.stream("masks");
        let sides = layers
            .into_iter()
            .map(|layer| {
                let described = &layout.layers()[layer];
                let inputs = mask(extended_inputs(described), self.side, &mut numbers);
                let outputs = mask(described.outputs, self.side, &mut numbers);
                Sides { layer, inputs, outputs }
            })
            .collect();
        let turn = Turn::new(sides, layout);
        let masked = turn.layout.parameters();
        let sketch = Sketch::draw(masked, masked, self.size, &mut context.stream("sketch"));
        in_sketches::<Self, T>(view, self.damping, move |g: &Captures<T>| {
            sketch.of(&turn.apply(g.clone()), &turn.layout)
        })
    }
}

/// Columns that pick `side` of `width` coordinates, scaled by `sqrt(width / side)`.
fn mask<T: Real>(width: usize, side: usize, numbers: &mut impl Rng) -> Array2<T> {
    let side = side.min(width);
    let scale = T::from_f64((width as f64 / side as f64).sqrt());
    let mut columns = Array2::zeros((width, side));
    for (column, row) in without_repetition(width, side, numbers).into_iter().enumerate() {
        columns[(row, column)] = scale;
    }
    columns
}

#[cfg(test)]
mod tests {
    use attribench_core::{Method, stream};
    use ndarray::array;

    use super::{FactGraSs, mask};

    #[test]
    fn masked_products_are_right_in_the_mean() {
        // (u_o u_i^T) . (v_o v_i^T) = (u_i . v_i) (u_o . v_o) = 3 * 2 = 6, from 2 of 4 inputs and
        // 2 of 3 outputs.
        let (u_i, v_i) = (array![1.0, 2.0, 3.0, 1.0], array![1.0, -1.0, 1.0, 1.0]);
        let (u_o, v_o) = (array![2.0, 1.0, 0.0], array![1.0, 0.0, 5.0]);
        let products: Vec<f64> = (0..4_000)
            .map(|index| {
                let mut numbers = stream(1, "masks", index);
                let (inputs, outputs) =
                    (mask::<f64>(4, 2, &mut numbers), mask::<f64>(3, 2, &mut numbers));
                let of_inputs = inputs.t().dot(&u_i).dot(&inputs.t().dot(&v_i));
                of_inputs * outputs.t().dot(&u_o).dot(&outputs.t().dot(&v_o))
            })
            .collect();
        let n = products.len() as f64;
        let mean = products.iter().sum::<f64>() / n;
        let variance = products.iter().map(|p| (p - mean).powi(2)).sum::<f64>() / n;
        let error = (variance / n).sqrt();
        assert!((mean - 6.0).abs() < 4.0 * error && error < 0.5, "{mean} +- {error}");
    }

    #[test]
    fn a_mask_picks_and_scales() {
        // 2 of 8: every column has one entry sqrt(8 / 2) = 2, in different rows.
        let columns = mask::<f64>(8, 2, &mut stream(1, "masks", 0));
        assert_eq!(columns.dim(), (8, 2));
        assert_eq!(columns.t().dot(&columns), array![[4.0, 0.0], [0.0, 4.0]]);
        assert_eq!(mask::<f64>(3, 5, &mut stream(1, "masks", 0)), ndarray::Array2::<f64>::eye(3));
        let refusal = FactGraSs { side: 0, ..FactGraSs::default() }.check().unwrap_err();
        assert!(refusal.contains("`side`"));
    }
}
