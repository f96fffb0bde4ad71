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
//! factor in single precision is nearly as good as its diagonal allows. Inputs that vary together
//! leave most coordinates with less curvature than the damping adds; only the others are strong
//! enough to need a factor, and the weak ones are found by a few conjugate gradients on what the
//! strong ones leave of them.

use std::ops::Range;

use attribench_core::{Captures, Examples, Labels, MethodError, ModelAt, Real, math};
use ndarray::{Array2, Array3, ArrayView1, ArrayView2, ArrayView3, Axis, s};

use crate::{
    cholesky::{Cholesky, LowerTriangle},
    eigen::symmetric,
};

/// Error left in a solution in single precision, relative to it and in the norm of the curvature.
const ACCURACY: f64 = 3e-7;

/// What the first round of corrections is asked for: less than single precision can do, so that
/// what it does costs little, and enough for the second round to be the last.
const FIRST_ACCURACY: f64 = 1e-3;

/// The most that a later round can be asked for in single precision.
const MOST_ACCURACY: f64 = 1e-4;

/// Most rounds of corrections, and most iterations of one.
const MOST_ROUNDS: usize = 20;
const MOST_ITERATIONS: usize = 200;

/// Curvature beyond the damping, relative to it, from which a coordinate counts as strong.
const STRONG: f64 = 0.06;

/// `(C + lambda I)^-1` in the coordinates (contrast, input).
pub(crate) struct OneLayer<T> {
    /// Extended inputs of the training examples on the principal axes, `(n, d)`.
    a: Array2<f64>,
    a_narrow: Array2<T>,
    /// Principal axes of the extended inputs, in columns, `(d, d)`, most curvature first.
    axes: Array2<f64>,
    /// Output gradients of the training loss, `(n, r)`.
    delta: Array2<f64>,
    /// `M / n`, `(n, r, r)`.
    m: Array3<f64>,
    m_narrow: Array3<T>,
    /// Contrasts between outputs, `(c, r)`.
    contrasts: Array2<f64>,
    lambda: f64,
    strong: Part,
    weak: Part,
    /// Factor of the strong coordinates' block of `C + lambda I`.
    factor: Cholesky<T>,
}

/// Coordinates (contrast, axis), a range of axes for each contrast, and their diagonal of the
/// damped curvature.
struct Part {
    axes: Vec<Range<usize>>,
    diagonal: Vec<f64>,
}

/// A vector of strong and one of weak coordinates for each query, `(coordinates, q)`.
struct Split<T> {
    strong: Array2<T>,
    weak: Array2<T>,
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
            let m = turned(&m, &turn) / a.nrows() as f64;
            let (delta, contrasts) = (delta.dot(&turn), contrasts.dot(&turn));
            let (strong, weak) = by_strength(&a, &m, lambda);
            let (a_narrow, m_narrow) = (a.mapv(T::from_f64), m.mapv(T::from_f64));
            let factor = triangle(&a_narrow, &m_narrow, &strong, lambda)
                .factor()
                .ok_or(MethodError::NotPositiveDefinite { matrix: "the damped curvature" })?;
            Ok(Self {
                a,
                a_narrow,
                axes,
                delta,
                m,
                m_narrow,
                contrasts,
                lambda,
                strong,
                weak,
                factor,
            })
        });
        Some(fitted)
    }

    /// `(C_lambda^-1 b_q) . g_i` for the gradients behind these captures, `(n, q)`.
    pub(crate) fn products(&self, b: &Captures<T>) -> Result<Array2<f64>, MethodError> {
        let images = self.images_of_solutions(&self.right_hand_sides(b))?;
        let mut products = Array2::zeros((self.a.nrows(), b.len()));
        for ((mut row, images), delta) in
            products.outer_iter_mut().zip(images.outer_iter()).zip(self.delta.outer_iter())
        {
            for (image, &delta) in images.outer_iter().zip(delta) {
                row.scaled_add(delta, &image);
            }
        }
        Ok(products)
    }

    /// Gradients as columns.
    fn right_hand_sides(&self, b: &Captures<T>) -> Split<f64> {
        let layer = &b.layers[0];
        // (q, d) x (d, d) -> (q, d)
        let inputs = layer.inputs.values().expect("dense layers read numbers");
        let a = extended(inputs.mapv(Real::to_f64));
        let a = math::matmul(a.view(), self.axes.view());
        // (q, c) x (c, r) -> (q, r)
        let delta = layer.output_gradients.mapv(Real::to_f64).dot(&self.contrasts);
        let gradients = |part: &Part| {
            let mut columns = Array2::zeros((part.diagonal.len(), b.len()));
            for ((contrast, axis), mut row) in part.coordinates().zip(columns.outer_iter_mut()) {
                row.assign(&(&delta.column(contrast) * &a.column(axis)));
            }
            columns
        };
        Split { strong: gradients(&self.strong), weak: gradients(&self.weak) }
    }

    /// `a_s . x` of each contrast for `x = C_lambda^-1 b`, `(n, r, q)`.
    ///
    /// Every round solves for what is missing in the number type of the run and measures what is
    /// left in `f64`. A round whose own accuracy is enough for what was left before is the last and
    /// is not measured. They go on until the error is as small as the number type makes sensible.
    fn images_of_solutions(&self, b: &Split<f64>) -> Result<Array3<f64>, MethodError> {
        let (n, r, q) = (self.a.nrows(), self.delta.ncols(), b.strong.ncols());
        let enough = ACCURACY * T::EPSILON / f64::from(f32::EPSILON);
        let mut work = Workspace::new((n, r, q), self.strong.diagonal.len());
        let mut images = Array3::<f64>::zeros((n, r, q));
        let mut x = Split::zeros(b);
        let mut residual = b.map(|value| value);
        let (mut error, mut wanted) = (1.0, FIRST_ACCURACY);
        for _ in 0..MOST_ROUNDS {
            let correction = self.solve_narrow(&residual.map(T::from_f64), wanted, &mut work)?;
            if error * wanted <= enough {
                work.images.fill(T::zero());
                self.add_images(self.a_narrow.view(), &correction, &mut work.images);
                images.zip_mut_with(&work.images, |image, narrow| *image += narrow.to_f64());
                return Ok(images);
            }
            let correction = correction.map(Real::to_f64);
            self.add_images(self.a.view(), &correction, &mut images);
            x.add(1.0, &correction);
            residual = self.residual(b, &x, &images);
            let found = self.largest_error(&residual, b, &x);
            if found <= enough || (found <= ACCURACY && found > error / 4.0) {
                return Ok(images);
            }
            error = found;
            wanted = (enough / error).clamp(MOST_ACCURACY, FIRST_ACCURACY);
        }
        Err(not_converged("refinement of the solution", error, MOST_ROUNDS))
    }

    /// `b - C_lambda x`, where `images` belong to `x`.
    fn residual(&self, b: &Split<f64>, x: &Split<f64>, images: &Array3<f64>) -> Split<f64> {
        let mut residual = b.map(|value| value);
        residual.add(-self.lambda, x);
        let mut mixed = images.clone();
        mix(self.m.view(), &mut mixed);
        self.strong.add_sums(self.a.view(), &mixed, -1.0, &mut residual.strong);
        self.weak.add_sums(self.a.view(), &mixed, -1.0, &mut residual.weak);
        residual
    }

    /// Largest error of a column of `x`, relative and in the norm of the curvature `C`:
    /// `sqrt(r C^-1 r / x C x)` with `x C x = x b`, and the diagonal for `C` in `r C^-1 r`.
    fn largest_error(&self, residual: &Split<f64>, b: &Split<f64>, x: &Split<f64>) -> f64 {
        let mut errors = energies(&residual.strong, &self.strong.scaled(&residual.strong));
        let weak = energies(&residual.weak, &self.weak.scaled(&residual.weak));
        errors.iter_mut().zip(weak).for_each(|(error, weak)| *error += weak);
        largest_ratio(&errors, &b.products(x))
    }

    /// Solves until the error is below `wanted`: weak coordinates by conjugate gradients, with the
    /// strong ones eliminated exactly. What is left for the weak is the damping and little more, so
    /// that few iterations do.
    fn solve_narrow(
        &self,
        b: &Split<T>,
        wanted: f64,
        work: &mut Workspace<T>,
    ) -> Result<Split<T>, MethodError> {
        let mut x = Split { strong: b.strong.clone(), weak: Array2::zeros(b.weak.dim()) };
        self.factor.solve_in_place(&mut x.strong);
        if self.weak.diagonal.is_empty() {
            return Ok(x);
        }
        let mut r = b.weak.clone();
        self.subtract_seen(&x.strong, &mut r, work);
        let mut z = self.weak.scaled(&r);
        let mut d = z.clone();
        let mut cd = Array2::zeros(d.dim());
        let mut rz = energies(&r, &z);
        for _ in 0..MOST_ITERATIONS {
            if largest_ratio(&rz, &b.products(&x)) <= wanted {
                return Ok(x);
            }
            self.reduced_product(&d, &mut cd, work);
            let dcd = energies(&d, &cd);
            let alpha: Vec<f64> = rz.iter().zip(&dcd).map(|(rz, dcd)| ratio(*rz, *dcd)).collect();
            add_columns(&mut x.weak, &alpha, &d);
            let alpha: Vec<f64> = alpha.iter().map(|alpha| -alpha).collect();
            add_columns(&mut x.strong, &alpha, &work.strong);
            add_columns(&mut r, &alpha, &cd);
            self.weak.scale_into(&r, &mut z);
            let next = energies(&r, &z);
            let beta: Vec<f64> = next.iter().zip(&rz).map(|(new, old)| ratio(*new, *old)).collect();
            // z + beta d, and the two change places.
            add_columns(&mut z, &beta, &d);
            std::mem::swap(&mut d, &mut z);
            rz = next;
        }
        let error = largest_ratio(&rz, &b.products(&x));
        Err(not_converged("conjugate gradients", error, MOST_ITERATIONS))
    }

    /// `r -= E x` for strong coordinates `x` and the block `E` of the curvature between weak and
    /// strong.
    fn subtract_seen(&self, x: &Array2<T>, r: &mut Array2<T>, work: &mut Workspace<T>) {
        let a = self.a_narrow.view();
        work.images.fill(T::zero());
        self.strong.add_images(a, x, T::one(), &mut work.images);
        mix(self.m_narrow.view(), &mut work.images);
        self.weak.add_sums(a, &work.images, -T::one(), r);
    }

    /// `S^-1 E^T d`, into `work.strong`, and `(W - E S^-1 E^T) d`, into `product`, for the damped
    /// curvature's blocks `S` of the strong, `W` of the weak coordinates and `E` between weak and
    /// strong.
    fn reduced_product(&self, d: &Array2<T>, product: &mut Array2<T>, work: &mut Workspace<T>) {
        let (a, m) = (self.a_narrow.view(), self.m_narrow.view());
        work.images.fill(T::zero());
        self.weak.add_images(a, d, T::one(), &mut work.images);
        work.mixed.assign(&work.images);
        mix(m, &mut work.mixed);
        work.strong.fill(T::zero());
        self.strong.add_sums(a, &work.mixed, T::one(), &mut work.strong);
        self.factor.solve_in_place(&mut work.strong);
        self.strong.add_images(a, &work.strong, -T::one(), &mut work.images);
        mix(m, &mut work.images);
        let lambda = T::from_f64(self.lambda);
        product.zip_mut_with(d, |product, &d| *product = lambda * d);
        self.weak.add_sums(a, &work.images, T::one(), product);
    }

    /// `images += a_s . x` of each contrast.
    fn add_images<U: Real>(&self, a: ArrayView2<'_, U>, x: &Split<U>, images: &mut Array3<U>) {
        self.strong.add_images(a, &x.strong, U::one(), images);
        self.weak.add_images(a, &x.weak, U::one(), images);
    }
}

/// What products with the curvature pass through, kept so that its pages are made once.
struct Workspace<T> {
    /// `a_s . d` of each contrast, `(n, r, q)`.
    images: Array3<T>,
    mixed: Array3<T>,
    /// Strong coordinates, `(coordinates, q)`.
    strong: Array2<T>,
}

impl<T: Real> Workspace<T> {
    fn new(images: (usize, usize, usize), strong: usize) -> Self {
        Self {
            images: Array3::zeros(images),
            mixed: Array3::zeros(images),
            strong: Array2::zeros((strong, images.2)),
        }
    }
}

impl Part {
    /// `(contrast, axis)` of every coordinate.
    fn coordinates(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.axes
            .iter()
            .enumerate()
            .flat_map(|(contrast, axes)| axes.clone().map(move |axis| (contrast, axis)))
    }

    /// Contrasts with their axes and their rows among the coordinates.
    fn blocks(&self) -> impl Iterator<Item = (usize, Range<usize>, Range<usize>)> + '_ {
        let mut start = 0;
        self.axes.iter().enumerate().map(move |(contrast, axes)| {
            let rows = start..start + axes.len();
            start = rows.end;
            (contrast, axes.clone(), rows)
        })
    }

    /// `images += scale a_s . x`.
    fn add_images<T: Real>(
        &self,
        a: ArrayView2<'_, T>,
        x: &Array2<T>,
        scale: T,
        images: &mut Array3<T>,
    ) {
        for (contrast, axes, rows) in self.blocks() {
            let (a, x) = (a.slice(s![.., axes]), x.slice(s![rows, ..]));
            // (n, axes) x (axes, q) -> (n, q)
            math::matmul_into(images.slice_mut(s![.., contrast, ..]), T::one(), a, x, scale);
        }
    }

    /// `x += scale sum_s a_s images_s`.
    fn add_sums<T: Real>(
        &self,
        a: ArrayView2<'_, T>,
        images: &Array3<T>,
        scale: T,
        x: &mut Array2<T>,
    ) {
        for (contrast, axes, rows) in self.blocks() {
            let (a, images) = (a.slice(s![.., axes]), images.slice(s![.., contrast, ..]));
            // (axes, n) x (n, q) -> (axes, q)
            math::matmul_into(x.slice_mut(s![rows, ..]), T::one(), a.t(), images, scale);
        }
    }

    /// `x` divided by the diagonal.
    fn scaled<T: Real>(&self, x: &Array2<T>) -> Array2<T> {
        let mut scaled = Array2::zeros(x.dim());
        self.scale_into(x, &mut scaled);
        scaled
    }

    fn scale_into<T: Real>(&self, x: &Array2<T>, into: &mut Array2<T>) {
        for ((mut into, x), diagonal) in
            into.outer_iter_mut().zip(x.outer_iter()).zip(&self.diagonal)
        {
            let scale = T::from_f64(1.0 / diagonal);
            into.zip_mut_with(&x, |into, &x| *into = scale * x);
        }
    }
}

impl<T: Real> Split<T> {
    fn zeros(like: &Self) -> Self {
        Self { strong: Array2::zeros(like.strong.dim()), weak: Array2::zeros(like.weak.dim()) }
    }

    fn map<U>(&self, function: impl Fn(T) -> U) -> Split<U> {
        Split { strong: self.strong.mapv(&function), weak: self.weak.mapv(&function) }
    }

    fn add(&mut self, scale: T, other: &Self) {
        self.strong.scaled_add(scale, &other.strong);
        self.weak.scaled_add(scale, &other.weak);
    }

    /// Dot products of columns, `q`.
    fn products(&self, other: &Self) -> Vec<f64> {
        let strong = energies(&self.strong, &other.strong);
        let weak = energies(&self.weak, &other.weak);
        strong.iter().zip(weak).map(|(strong, weak)| strong + weak).collect()
    }
}

/// Dot products of columns, `q`.
fn energies<T: Real>(x: &Array2<T>, y: &Array2<T>) -> Vec<f64> {
    let mut sums = vec![0.0; x.ncols()];
    for (x, y) in x.outer_iter().zip(y.outer_iter()) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x.to_f64() * y.to_f64();
        }
    }
    sums
}

/// Every column of `y` times its own factor, added to `x`.
fn add_columns<T: Real>(x: &mut Array2<T>, factors: &[f64], y: &Array2<T>) {
    let factors: Vec<T> = factors.iter().map(|&factor| T::from_f64(factor)).collect();
    for (mut x, y) in x.outer_iter_mut().zip(y.outer_iter()) {
        for ((x, &factor), &y) in x.iter_mut().zip(&factors).zip(y) {
            *x += factor * y;
        }
    }
}

/// `0 / 0 = 0`: a column that is solved stays as it is.
fn ratio(numerator: f64, denominator: f64) -> f64 {
    if numerator == 0.0 { 0.0 } else { numerator / denominator }
}

/// Square root of the largest ratio of energies.
fn largest_ratio(errors: &[f64], sizes: &[f64]) -> f64 {
    let ratios = errors.iter().zip(sizes).map(|(&error, &size)| ratio(error, size));
    ratios
        .fold(0.0, |top, ratio: f64| if ratio > top || ratio.is_nan() { ratio } else { top })
        .sqrt()
}

fn not_converged(what: &'static str, residual: f64, iterations: usize) -> MethodError {
    MethodError::NotConverged { what, residual, iterations, tolerance: ACCURACY }
}

/// `sum_u m_ou image_u` of every example, in the place of the images, `(n, r, q)`.
fn mix<T: Real>(m: ArrayView3<'_, T>, images: &mut Array3<T>) {
    let mut before = Array2::zeros((images.dim().1, images.dim().2));
    for (m, mut images) in m.outer_iter().zip(images.outer_iter_mut()) {
        before.assign(&images);
        // (r, r) x (r, q) -> (r, q)
        math::matmul_into(images.view_mut(), T::zero(), m, before.view(), T::one());
    }
}

/// Strong and weak coordinates: of each contrast the first axes, and the others.
fn by_strength(a: &Array2<f64>, m: &Array3<f64>, lambda: f64) -> (Part, Part) {
    let d = a.ncols();
    let squares = a.mapv(|value| value * value);
    let r = m.dim().1;
    let mut parts = [const { Part { axes: Vec::new(), diagonal: Vec::new() } }; 2];
    for contrast in 0..r {
        // (d, n) x (n) -> (d)
        let curvature = squares.t().dot(&m.slice(s![.., contrast, contrast]));
        let strong = curvature.iter().filter(|&&curvature| curvature > STRONG * lambda).count();
        for (part, axes) in parts.iter_mut().zip([0..strong, strong..d]) {
            part.diagonal.extend(curvature.slice(s![axes.clone()]).iter().map(|c| c + lambda));
            part.axes.push(axes);
        }
    }
    let [strong, weak] = parts;
    (strong, weak)
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
    let axes = symmetric(&math::matmul(inputs.t(), weighted.view()))?.vectors;
    Ok((axes, symmetric(&m.sum_axis(Axis(0)))?.vectors))
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
        Labels::Tokens(_) => unreachable!("one dense layer that reads features reads no text"),
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

/// The block of `C + lambda I` of the strong coordinates; between contrasts `o` and `u` it is
/// `sum_s a_s m_sou a_s^T`.
fn triangle<T: Real>(a: &Array2<T>, m: &Array3<T>, strong: &Part, lambda: f64) -> LowerTriangle<T> {
    let size = strong.diagonal.len();
    LowerTriangle::from_columns(size, |start, end| {
        let mut panel = Array2::<T>::zeros((size - start, end - start));
        // A panel may begin in one contrast's columns and end in another's.
        for (u, _, columns) in strong.blocks() {
            let (from, to) = (columns.start.max(start), columns.end.min(end));
            if from >= to {
                continue;
            }
            let right = a.slice(s![.., from - columns.start..to - columns.start]);
            for (o, _, rows) in strong.blocks().skip(u) {
                let top = rows.start.max(start);
                let mut weighted = right.to_owned();
                for (mut row, &m) in weighted.outer_iter_mut().zip(m.slice(s![.., o, u])) {
                    row.mapv_inplace(|value| value * m);
                }
                let left = a.slice(s![.., top - rows.start..rows.len()]);
                let block =
                    panel.slice_mut(s![top - start..rows.end - start, from - start..to - start]);
                // (rows, n) x (n, columns) -> (rows, columns)
                math::matmul_into(block, T::zero(), left.t(), weighted.view(), T::one());
            }
        }
        for j in 0..end - start {
            panel[(j, j)] += T::from_f64(lambda);
        }
        panel
    })
}
