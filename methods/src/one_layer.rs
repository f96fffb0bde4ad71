//! Inverse curvature of a model that is one dense layer with linear outputs.
//!
//! There the Gauss-Newton matrix is the Hessian, and it is a sum of Kronecker products:
//! `C = (1/n) sum_s M_s (x) a_s a_s^T` with the extended inputs `a_s` and the loss's second
//! derivative `M_s` by the outputs. Softmax does not change when all logits rise together, so `M_s`
//! has the vector of ones in its null space, and so have all gradients: `c` outputs are written in
//! the `r = c - 1` contrasts between them, and nothing is lost.
//!
//! Contrasts and inputs are turned to their own principal axes first. Large and small curvature
//! then stand in different rows, so that rounding a large entry does not drown a small one, and a
//! factor in single precision is nearly as good as its diagonal allows.

use attribench_core::{Captures, Examples, Labels, MethodError, ModelAt, Real, math};
use faer::{MatRef, Side};
use ndarray::{Array2, Array3, ArrayView1, Axis, s};

use crate::cholesky::{Cholesky, LowerTriangle};

/// Error left in a solution, relative to it, both in the norm of the curvature.
const ACCURACY: f64 = 3e-7;

/// Most corrections of a solution.
const ROUNDS: usize = 10;

/// `(C + lambda I)^-1` in the coordinates (contrast, input).
pub(crate) struct OneLayer<T> {
    /// Extended inputs of the training examples on the principal axes, `(n, d)`.
    a: Array2<f64>,
    /// Principal axes of the extended inputs, in columns, `(d, d)`.
    axes: Array2<f64>,
    /// Output gradients of the training loss, `(n, r)`.
    delta: Array2<f64>,
    /// `M`, `(n, r, r)`.
    m: Array3<f64>,
    /// Contrasts between outputs, `(c, r)`.
    contrasts: Array2<f64>,
    /// Diagonal of `C + lambda I`, `r d`.
    diagonal: Vec<f64>,
    lambda: f64,
    factor: Cholesky<T>,
}

impl<T: Real> OneLayer<T> {
    /// Nothing when the model is not of this kind.
    pub(crate) fn fit(
        model: ModelAt<'_, T>,
        train: &Examples<T>,
        lambda: f64,
    ) -> Option<Result<Self, MethodError>> {
        let inputs = extended(train.features().mapv(Real::to_f64));
        let outputs = linear_outputs(model, train, &inputs)?;
        let (contrasts, delta, m) = output_derivatives(train.labels(), &outputs);
        let fitted = principal_axes(&inputs, &m).and_then(|(axes, turn)| {
            let a = math::matmul(inputs.view(), axes.view());
            let (delta, m, contrasts) = (delta.dot(&turn), turned(&m, &turn), contrasts.dot(&turn));
            let triangle = triangle::<T>(&a, &m, lambda);
            let diagonal = triangle.diagonal();
            let factor = triangle
                .factor()
                .ok_or(MethodError::NotPositiveDefinite { matrix: "the damped curvature" })?;
            Ok(Self { a, axes, delta, m, contrasts, diagonal, lambda, factor })
        });
        Some(fitted)
    }

    /// `(C_lambda^-1 b_q) . g_i` for the gradients behind these captures, `(n, q)`.
    pub(crate) fn products(&self, b: &Captures<T>) -> Result<Array2<f64>, MethodError> {
        let x = self.solve(&self.right_hand_sides(b))?;
        let mut products = Array2::zeros((self.a.nrows(), b.len()));
        for (contrast, image) in self.images(&x).into_iter().enumerate() {
            for (i, mut row) in products.outer_iter_mut().enumerate() {
                row.scaled_add(self.delta[(i, contrast)], &image.row(i));
            }
        }
        Ok(products)
    }

    /// Gradients as columns, `(r d, q)`.
    fn right_hand_sides(&self, b: &Captures<T>) -> Array2<f64> {
        let layer = &b.layers[0];
        // (q, d) x (d, d) -> (q, d)
        let inputs = layer.inputs.values().expect("dense layers read numbers");
        let a = extended(inputs.mapv(Real::to_f64));
        let a = math::matmul(a.view(), self.axes.view());
        // (q, c) x (c, r) -> (q, r)
        let delta = layer.output_gradients.mapv(Real::to_f64).dot(&self.contrasts);
        let d = a.ncols();
        Array2::from_shape_fn((delta.ncols() * d, b.len()), |(row, q)| {
            delta[(q, row / d)] * a[(q, row % d)]
        })
    }

    /// Solves with the factor, then corrects by residuals in `f64` until the error is below
    /// [`ACCURACY`]. Every correction shrinks it by the same ratio, so the last is not checked.
    fn solve(&self, b: &Array2<f64>) -> Result<Array2<f64>, MethodError> {
        let mut x = Array2::<f64>::zeros(b.dim());
        let mut residual = b.clone();
        let (mut error, mut foreseen) = (1.0, 1.0);
        for _ in 0..ROUNDS {
            let mut correction = residual.mapv(T::from_f64);
            self.factor.solve_in_place(&mut correction);
            x.zip_mut_with(&correction, |x, correction| *x += correction.to_f64());
            if foreseen <= ACCURACY {
                return Ok(x);
            }
            residual.assign(b);
            residual -= &self.curvature_product(&x);
            let found = self.largest_error(&residual, b, &x);
            if found <= ACCURACY {
                return Ok(x);
            }
            foreseen = found * found / error;
            error = found;
        }
        Err(MethodError::NotConverged {
            what: "refinement of the solution",
            residual: error,
            iterations: ROUNDS,
            tolerance: ACCURACY,
        })
    }

    /// Largest error of a column of `x`, relative and in the norm of the curvature `C`:
    /// `sqrt(r C^-1 r / x C x)` with `x C x = x b`, and the diagonal for `C` in `r C^-1 r`.
    fn largest_error(&self, residual: &Array2<f64>, b: &Array2<f64>, x: &Array2<f64>) -> f64 {
        let mut errors = vec![0.0; b.ncols()];
        let mut sizes = vec![0.0; b.ncols()];
        for (row, diagonal) in self.diagonal.iter().enumerate() {
            for q in 0..b.ncols() {
                errors[q] += residual[(row, q)].powi(2) / diagonal;
                sizes[q] += b[(row, q)] * x[(row, q)];
            }
        }
        let ratio = |(error, size): (f64, f64)| if error == 0.0 { 0.0 } else { error / size };
        let ratios = errors.into_iter().zip(sizes).map(ratio);
        ratios
            .fold(0.0, |top, ratio: f64| if ratio > top || ratio.is_nan() { ratio } else { top })
            .sqrt()
    }

    /// `a_s . x` of each contrast, `r` arrays `(n, q)`.
    fn images(&self, x: &Array2<f64>) -> Vec<Array2<f64>> {
        // (n, d) x (d, q) -> (n, q)
        x.axis_chunks_iter(Axis(0), self.a.ncols())
            .map(|x| math::matmul(self.a.view(), x))
            .collect()
    }

    /// `C_lambda x`, `(r d, q)`.
    fn curvature_product(&self, x: &Array2<f64>) -> Array2<f64> {
        let images = self.images(x);
        let (n, d) = self.a.dim();
        let mut product = x * self.lambda;
        for (row, mut product) in product.axis_chunks_iter_mut(Axis(0), d).enumerate() {
            let mut weighted = Array2::<f64>::zeros((n, x.ncols()));
            for (column, image) in images.iter().enumerate() {
                for (s, mut weighted) in weighted.outer_iter_mut().enumerate() {
                    weighted.scaled_add(self.m[(s, row, column)], &image.row(s));
                }
            }
            // (d, n) x (n, q) -> (d, q)
            math::matmul_into(product.view_mut(), 1.0, self.a.t(), weighted.view(), 1.0 / n as f64);
        }
        product
    }
}

/// Principal axes, in columns, of the inputs weighted by curvature, `(d, d)`, and of the mean
/// curvature by contrasts, `(r, r)`.
fn principal_axes(
    inputs: &Array2<f64>,
    m: &Array3<f64>,
) -> Result<(Array2<f64>, Array2<f64>), MethodError> {
    let mut weighted = inputs.clone();
    for (mut row, m) in weighted.outer_iter_mut().zip(m.outer_iter()) {
        row *= m.diag().sum();
    }
    // (d, n) x (n, d) -> (d, d)
    let axes = eigenvectors(&math::matmul(inputs.t(), weighted.view()))?;
    Ok((axes, eigenvectors(&m.sum_axis(Axis(0)))?))
}

/// Orthonormal eigenvectors of a symmetric matrix, in columns.
fn eigenvectors(matrix: &Array2<f64>) -> Result<Array2<f64>, MethodError> {
    let n = matrix.nrows();
    let entries = matrix.as_slice().expect("a matrix in standard layout");
    let decomposition = MatRef::from_row_major_slice(entries, n, n)
        .self_adjoint_eigen(Side::Lower)
        .map_err(|_| MethodError::NotConverged {
            what: "an eigendecomposition",
            residual: f64::INFINITY,
            iterations: n,
            tolerance: f64::EPSILON,
        })?;
    let vectors = decomposition.U();
    Ok(Array2::from_shape_fn((n, n), |(i, j)| vectors[(i, j)]))
}

/// `turn^T M_s turn` of every example.
fn turned(m: &Array3<f64>, turn: &Array2<f64>) -> Array3<f64> {
    let mut result = Array3::zeros(m.dim());
    for (mut to, m) in result.outer_iter_mut().zip(m.outer_iter()) {
        to.assign(&turn.t().dot(&m).dot(turn));
    }
    result
}

/// A column of ones on the right, which the bias multiplies.
fn extended(inputs: Array2<f64>) -> Array2<f64> {
    let ones = Array2::ones((inputs.nrows(), 1));
    ndarray::concatenate![Axis(1), inputs, ones]
}

/// Outputs in `f64`; nothing unless the model is one dense layer and its outputs are that layer's.
fn linear_outputs<T: Real>(
    model: ModelAt<'_, T>,
    train: &Examples<T>,
    a: &Array2<f64>,
) -> Option<Array2<f64>> {
    let [layer] = model.layout().layers() else { return None };
    if !model.layout().features_enter_first() || layer.inputs + 1 != a.ncols() {
        return None;
    }
    let theta = model.parameters();
    let weight = Array2::from_shape_fn((layer.outputs, a.ncols()), |(o, k)| {
        let bias = theta[layer.bias_offset + o];
        let at = |k: usize| theta[layer.weight_offset + o * layer.inputs + k];
        if k == layer.inputs { bias.to_f64() } else { at(k).to_f64() }
    });
    // (n, d) x (d, c) -> (n, c)
    let outputs = math::matmul(a.view(), weight.t());
    let largest = outputs.iter().fold(1.0f64, |top, output| top.max(output.abs()));
    let same = model
        .outputs(train)
        .iter()
        .zip(&outputs)
        .all(|(theirs, ours)| (theirs.to_f64() - ours).abs() <= 1e-3 * largest);
    same.then_some(outputs)
}

/// Contrasts `(c, r)`, and in them the first and second derivatives of the loss by the outputs,
/// `(n, r)` and `(n, r, r)`.
fn output_derivatives<T: Real>(
    labels: &Labels<T>,
    outputs: &Array2<f64>,
) -> (Array2<f64>, Array2<f64>, Array3<f64>) {
    let n = outputs.nrows();
    match labels {
        Labels::Values(values) => {
            let delta =
                Array2::from_shape_fn((n, 1), |(i, _)| outputs[(i, 0)] - values[i].to_f64());
            (Array2::ones((1, 1)), delta, Array3::ones((n, 1, 1)))
        }
        Labels::Classes(labels) => {
            let contrasts = contrasts(outputs.ncols());
            let r = contrasts.ncols();
            let (mut delta, mut m) = (Array2::zeros((n, r)), Array3::zeros((n, r, r)));
            for (i, logits) in outputs.outer_iter().enumerate() {
                let p = softmax(logits);
                let mean = contrasts.t().dot(&p);
                delta.row_mut(i).assign(&(&mean - &contrasts.row(labels[i] as usize)));
                // Q^T (diag(p) - p p^T) Q as a covariance, which cannot lose its sign.
                for (class, p) in p.iter().enumerate() {
                    let deviation = &contrasts.row(class) - &mean;
                    for (j, from) in deviation.iter().enumerate() {
                        m.slice_mut(s![i, j, ..]).scaled_add(p * from, &deviation);
                    }
                }
            }
            (contrasts, delta, m)
        }
    }
}

fn softmax(logits: ArrayView1<'_, f64>) -> ndarray::Array1<f64> {
    let top = logits.fold(f64::NEG_INFINITY, |top, &logit| top.max(logit));
    let exponentials = logits.mapv(|logit| (logit - top).exp());
    let sum = exponentials.sum();
    exponentials / sum
}

/// Orthonormal columns that span what is orthogonal to the vector of ones, `(c, c - 1)`: column
/// `j - 1` is the first `j` entries against entry `j`.
fn contrasts(c: usize) -> Array2<f64> {
    Array2::from_shape_fn((c, c - 1), |(row, column)| {
        let j = (column + 1) as f64;
        let scale = (j * (j + 1.0)).sqrt();
        match row.cmp(&(column + 1)) {
            std::cmp::Ordering::Less => 1.0 / scale,
            std::cmp::Ordering::Equal => -j / scale,
            std::cmp::Ordering::Greater => 0.0,
        }
    })
}

/// `C + lambda I`, its block of contrasts `(o, u)` being `(1/n) a^T diag(m_ou) a`.
fn triangle<T: Real>(a: &Array2<f64>, m: &Array3<f64>, lambda: f64) -> LowerTriangle<T> {
    let (n, d) = a.dim();
    let r = m.dim().1;
    let narrow = a.mapv(T::from_f64);
    LowerTriangle::from_columns(r * d, |done, start, end| {
        let mut panel = Array2::<T>::zeros((r * d - start, end - start));
        // A panel may begin in one block of columns and end in another.
        for u in start / d..end.div_ceil(d) {
            let (from, to) = (start.max(u * d) - u * d, end.min((u + 1) * d) - u * d);
            let column = u * d + from - start;
            for o in u..r {
                let mut weighted = narrow.slice(s![.., from..to]).to_owned();
                for (s, mut row) in weighted.outer_iter_mut().enumerate() {
                    let scale = T::from_f64(m[(s, o, u)] / n as f64);
                    row.mapv_inplace(|value| value * scale);
                }
                let at = o * d + from - start;
                // (d - from, n) x (n, to - from) -> (d - from, to - from)
                let block = panel.slice_mut(s![at..at + d - from, column..column + to - from]);
                let left = narrow.slice(s![.., from..]);
                math::matmul_into(block, T::zero(), left.t(), weighted.view(), T::one());
                // Each block is symmetric: what lies above its own diagonal is there already.
                if o > u {
                    for k in 0..from {
                        for l in from..to {
                            panel[(o * d + k - start, u * d + l - start)] =
                                done.get(o * d + l, u * d + k);
                        }
                    }
                }
            }
        }
        for j in 0..end - start {
            panel[(j, j)] += T::from_f64(lambda);
        }
        panel
    })
}
