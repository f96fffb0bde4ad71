//! Influence functions on gradients projected on both sides of every layer.
//!
//! # Computes
//! `tau[i, q] = (1/n) sum_l phi_ql . (Phi_l^T Phi_l / n + lambda_l I)^-1 phi_il` at `theta_T`, for
//! each dense layer `l` the features `phi = P_o dW P_i^T` of the gradient `dW` of its extended
//! weight, with random projections of inputs and outputs to at most `side` orthogonal directions,
//! scaled so that dot products are right in the mean. `lambda_l` is the weight decay plus the
//! damping, relative to the mean eigenvalue.
//!
//! # Reads
//! Final weights. Two gradients for each training example, one for each query.
//!
//! # Shapes
//! Captures projected `(n, d) x (d, side)`; a second moment `(side^2, side^2)` for each layer;
//! directions `(q, sum side^2)`; products with the projected captures, in which no feature of a
//! training example is kept.
//!
//! # Differs from the paper
//! The paper keeps the features on disk; here they are made again. Weight decay is part of the
//! curvature. A side as long as the layer's is not projected; then this is the influence function
//! with the empirical Fisher matrix of each layer.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::LoGra;
//! assert!(LoGra { side: 16, ..LoGra::default() }.check().is_ok());
//! ```
//!
//! # References
//! Choe et al., What is your data worth to GPT? LLM-scale data valuation with influence functions,
//! 2024, arXiv 2405.13954.

use attribench_core::{
    Context, FinalModel, Layout, Method, MethodError, MethodInfo, ProblemSize, Real, Scale, Scorer,
    View, math,
};
use ndarray::{Array1, Array2, s};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::{
    Damping,
    cholesky::{Cholesky, LowerTriangle},
    influence::{influence, kept_bytes, query_rows},
    pair,
    turn::{Sides, Turn, extended_inputs, two_sided_layers},
};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LoGra {
    /// Most directions kept of a layer's inputs, and of its outputs.
    pub side: usize,
    /// `lambda`, or how many times the mean eigenvalue it is.
    pub damping: Damping,
}

impl Default for LoGra {
    fn default() -> Self {
        Self { side: 32, damping: Damping::default() }
    }
}

impl Method for LoGra {
    type Access = FinalModel;
    const INFO: MethodInfo = MethodInfo {
        name: "lo-gra",
        summary: "influence functions on gradients projected on both sides of every layer",
        scale: Scale::Derivative,
    };

    fn check(&self) -> Result<(), String> {
        if self.side == 0 {
            return Err("`side` is 0\nhint: keep at least one direction".to_owned());
        }
        self.damping.check()
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { examples, queries, parameters, number } = size;
        // The second moment of one layer and factors of all, for as many layers as there can be.
        let width = (self.side * self.side).min(parameters);
        let layers = parameters.div_ceil(width).min(16);
        let directions = query_rows(parameters).min(queries) * parameters.min(layers * width);
        ((width * width * (layers + 1) + 2 * directions) * size_of::<f64>()) as u64
            + kept_bytes(examples, parameters, number)
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, FinalModel, T>,
        context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let turn =
            projections(view.model().layout(), self.side, &mut context.stream("projections"))?;
        let factors = self.factors(view, &turn)?;
        let ranges: Vec<_> = turn.layout.blocks().iter().map(|block| block.range.clone()).collect();
        Ok(influence::<Self, T>(view, turn, move |mut b| {
            for (range, factor) in ranges.iter().zip(&factors) {
                let mut part = b.slice_mut(s![.., range.clone()]);
                let mut columns = part.t().as_standard_layout().into_owned();
                factor.solve_in_place(&mut columns);
                part.assign(&columns.t());
            }
            Ok(b)
        }))
    }
}

impl LoGra {
    /// Factors of the damped second moments of the projected gradients, layer by layer.
    fn factors<T: Real>(
        &self,
        view: View<'_, FinalModel, T>,
        turn: &Turn<T>,
    ) -> Result<Vec<Cholesky<f64>>, MethodError> {
        let n = view.train().len() as f64;
        let zeros =
            |block: &attribench_core::Block| Array2::zeros((block.range.len(), block.range.len()));
        let mut moments: Vec<Array2<f64>> = turn.layout.blocks().iter().map(zeros).collect();
        for (_, g) in pair::train_captures(view.model(), view.train()) {
            let g = turn.apply(g);
            for (block, moment) in turn.layout.blocks().iter().zip(&mut moments) {
                pair::for_each_chunk(&g, &turn.layout, block, |_, gradients| {
                    let gradients = gradients.mapv(Real::to_f64);
                    // (side^2, m) x (m, side^2) -> (side^2, side^2)
                    let (moment, left) = (moment.view_mut(), gradients.t());
                    math::matmul_into(moment, 1.0, left, gradients.view(), 1.0 / n);
                });
            }
        }
        let gamma = view.recipe().rule.optimiser.ridge();
        let factor = |mut moment: Array2<f64>| {
            let size = moment.nrows();
            let lambda = gamma + self.damping.relative_to(moment.diag().sum() / size as f64);
            moment.diag_mut().iter_mut().for_each(|entry| *entry += lambda);
            LowerTriangle::from_columns(size, |start, end| {
                moment.slice(s![start.., start..end]).to_owned()
            })
            .factor()
            .ok_or(MethodError::NotPositiveDefinite { matrix: "the damped second moment" })
        };
        moments.into_iter().map(factor).collect()
    }
}

/// Random orthogonal projections of both sides of every dense layer.
fn projections<T: Real>(
    layout: &Layout,
    side: usize,
    numbers: &mut impl Rng,
) -> Result<Turn<T>, MethodError> {
    let layers = two_sided_layers(layout);
    if layers.is_empty() {
        return Err(MethodError::Unsuitable(
            "the model has no dense layer with a weight of its own\nhint: use gra-ss".to_owned(),
        ));
    }
    let sides = layers
        .into_iter()
        .map(|layer| {
            let described = &layout.layers()[layer];
            let inputs = projection(extended_inputs(described), side, numbers);
            let outputs = projection(described.outputs, side, numbers);
            Sides { layer, inputs: inputs.mapv(T::from_f64), outputs: outputs.mapv(T::from_f64) }
        })
        .collect();
    Ok(Turn::new(sides, layout))
}

/// `side` orthogonal columns of length `sqrt(width / side)`, `(width, side)`; no more columns than
/// rows are needed, and then nothing is projected.
fn projection(width: usize, side: usize, numbers: &mut impl Rng) -> Array2<f64> {
    if side >= width {
        return Array2::eye(width);
    }
    let mut columns: Vec<Array1<f64>> = Vec::with_capacity(side);
    for _ in 0..side {
        let mut column =
            Array1::from_shape_simple_fn(width, || StandardNormal.sample(&mut *numbers));
        // Twice is enough for orthogonality to rounding.
        for _ in 0..2 {
            for earlier in &columns {
                let share = earlier.dot(&column);
                column.scaled_add(-share, earlier);
            }
        }
        let length = column.dot(&column).sqrt();
        columns.push(column / length);
    }
    let scale = (width as f64 / side as f64).sqrt();
    Array2::from_shape_fn((width, side), |(row, column)| scale * columns[column][row])
}

#[cfg(test)]
mod tests {
    use attribench_core::{Utility, stream};
    use ndarray::{Array2, array, s};

    use super::{LoGra, projection};
    use crate::{
        Damping,
        common::{assert_close, digits_like, gradients_one_at_a_time, scores_of, solve_slowly},
    };

    #[test]
    fn without_projection_it_is_the_empirical_fisher_matrix_of_each_layer() {
        let (run, queries) = digits_like::<f64>(30).network(&[7]).pair(5, Utility::Margin);
        let (g, b) = gradients_one_at_a_time(&run, &queries);
        let mut expected = Array2::<f64>::zeros((30, 5));
        for range in [0..13 * 7, 13 * 7..g.ncols()] {
            let (g, b) = (g.slice(s![.., range.clone()]), b.slice(s![.., range.clone()]));
            let fisher = g.t().dot(&g) / 30.0 + Array2::<f64>::eye(range.len()) * 0.02;
            expected += &(g.dot(&solve_slowly(fisher, b.t().to_owned())) / 30.0);
        }
        let method = LoGra { side: 100, damping: Damping::Absolute(0.02) };
        let found = scores_of(&method, &run, &queries);
        assert_close(found.values(), expected.as_slice().unwrap(), 1e-9);
    }

    #[test]
    fn projected_products_are_right_in_the_mean() {
        // (u_o u_i^T) . (v_o v_i^T) = (u_i . v_i) (u_o . v_o) = 3 * 2 = 6.
        let (u_i, v_i) = (array![1.0, 2.0, 3.0, 1.0], array![1.0, -1.0, 1.0, 1.0]);
        let (u_o, v_o) = (array![2.0, 1.0, 0.0], array![1.0, 0.0, 5.0]);
        let products: Vec<f64> = (0..4_000)
            .map(|index| {
                let mut numbers = stream(1, "projections", index);
                let (inputs, outputs) =
                    (projection(4, 2, &mut numbers), projection(3, 2, &mut numbers));
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
    fn directions_are_orthogonal() {
        let p = projection(9, 3, &mut stream(1, "projections", 0));
        let gram = p.t().dot(&p);
        assert_close(gram.view(), (Array2::<f64>::eye(3) * 3.0).as_slice().unwrap(), 1e-14);
    }
}
