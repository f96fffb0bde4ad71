//! Representer points of the last layer.
//!
//! # Computes
//! `tau[i, q] = alpha_ic (phi_i . phi_q)` with `alpha_i = -(1 / (lambda n)) d l_i / d z_i` and `c`
//! the query's class (a regression has one output), after the last layer has been fitted again,
//! with `(1/n) sum_i l_i + lambda/2 |Theta|^2`, on the activations and the constant 1, `phi`, that
//! enter it at `theta_T`. At that optimum the sum over `i` is logit `c` of the fitted layer.
//!
//! # Reads
//! Final weights. One forward pass for each training example and query; then products of the
//! activations alone.
//!
//! # Shapes
//! Newton's method on `Theta`, `(c, h + 1)`: products `(n, h + 1) x (h + 1, c)` and back; then `(n,
//! h + 1) x (h + 1, q) -> (n, q)`.
//!
//! # Differs from the paper
//! The paper's penalty is `lambda |Theta|^2`, whence its factor `1 / (2 lambda n)`. It fits by
//! gradient descent; here the gradient is below 1e-10 of its size at zero. The parts of a logit are
//! no effect of a removal, so that the scale is arbitrary.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::RpsL2;
//! assert!(RpsL2 { penalty: 0.0 }.check().is_err());
//! ```
//!
//! # References
//! Yeh, Kim, Yen, Ravikumar, Representer point selection for explaining deep neural networks,
//! NeurIPS 2018, arXiv 1811.09720.

use attribench_core::{
    Context, Examples, FinalModel, Labels, Method, MethodError, MethodInfo, ModelAt, ModelInput,
    ProblemSize, Queries, Real, Scale, Scorer, Scores, View, math,
};
use ndarray::{Array2, Axis, concatenate};
use serde::{Deserialize, Serialize};

use crate::{curvature::probabilities, label};

/// Norm of the gradient at the optimum, relative to that at zero.
const TOLERANCE: f64 = 1e-10;

/// Most steps of Newton's method, and most iterations of one.
const MOST_STEPS: usize = 100;
const MOST_ITERATIONS: usize = 1_000;

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RpsL2 {
    /// `lambda`.
    pub penalty: f64,
}

impl Default for RpsL2 {
    fn default() -> Self {
        Self { penalty: 1e-3 }
    }
}

impl Method for RpsL2 {
    type Access = FinalModel;
    const READS: Option<ModelInput> = Some(ModelInput::Numbers);
    const INFO: MethodInfo = MethodInfo {
        name: "rps-l2",
        summary: "representer points of the last layer",
        scale: Scale::Arbitrary,
    };

    fn check(&self) -> Result<(), String> {
        if self.penalty.is_finite() && self.penalty > 0.0 {
            return Ok(());
        }
        Err(format!("`penalty` is {}\nhint: give a positive number", self.penalty))
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { examples, queries, parameters, .. } = size;
        let activations = (examples + queries) * parameters.min(1 << 14);
        ((activations + 8 * parameters) * size_of::<f64>()) as u64
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, FinalModel, T>,
        _context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let phi = extended(view.model(), view.train());
        let outputs = match view.train().labels() {
            Labels::Classes(_) => view.outputs(view.train()).ncols(),
            Labels::Values(_) => 1,
            Labels::Tokens(_) => return Err(needs_one_label()),
        };
        let layer = Layer { phi: &phi, labels: view.train().labels(), penalty: self.penalty };
        let theta = layer.fitted(outputs)?;
        let (derivatives, _) = layer.derivatives(&theta);
        let alpha = derivatives / (-self.penalty * phi.nrows() as f64);
        Ok(Box::new(Fitted { view, phi, alpha }))
    }
}

fn needs_one_label() -> MethodError {
    let reason = "the last layer is refitted to one label an example, and texts have one a token\n\
                  hint: use `ek-fac` or `representation-similarity`";
    MethodError::Unsuitable(reason.into())
}

/// Activations that enter the last layer and the constant 1, `(n, h + 1)`.
fn extended<T: Real>(model: ModelAt<'_, T>, examples: &Examples<T>) -> Array2<f64> {
    let hidden = model.hidden(examples).mapv(Real::to_f64);
    let ones = Array2::ones((hidden.nrows(), 1));
    concatenate![Axis(1), hidden, ones]
}

/// The problem of the last layer.
struct Layer<'a, T> {
    phi: &'a Array2<f64>,
    labels: &'a Labels<T>,
    penalty: f64,
}

impl<T: Real> Layer<'_, T> {
    /// First derivatives of the losses by the outputs, `(n, c)`, and probabilities, `(n, c)`; a
    /// regression has none.
    fn derivatives(&self, theta: &Array2<f64>) -> (Array2<f64>, Option<Array2<f64>>) {
        // (n, h + 1) x (h + 1, c) -> (n, c)
        let mut outputs = math::matmul(self.phi.view(), theta.t());
        match self.labels {
            Labels::Values(values) => {
                for (mut row, value) in outputs.outer_iter_mut().zip(values) {
                    row[0] -= value.to_f64();
                }
                (outputs, None)
            }
            Labels::Tokens(_) => unreachable!("texts were refused when the layer was set up"),
            Labels::Classes(labels) => {
                for mut row in outputs.outer_iter_mut() {
                    let p = probabilities(row.view());
                    row.iter_mut().zip(p).for_each(|(output, p)| *output = p);
                }
                let mut derivatives = outputs.clone();
                for (mut row, &label) in derivatives.outer_iter_mut().zip(labels) {
                    // p - 1 without the loss of digits near 1.
                    let label = label as usize;
                    row[label] = 0.0;
                    row[label] = -row.sum();
                }
                (derivatives, Some(outputs))
            }
        }
    }

    fn gradient(&self, theta: &Array2<f64>, derivatives: &Array2<f64>) -> Array2<f64> {
        let mut gradient = theta * self.penalty;
        let scale = 1.0 / self.phi.nrows() as f64;
        // (c, n) x (n, h + 1) -> (c, h + 1)
        math::matmul_into(gradient.view_mut(), 1.0, derivatives.t(), self.phi.view(), scale);
        gradient
    }

    /// The Hessian times a direction.
    fn product(&self, p: Option<&Array2<f64>>, direction: &Array2<f64>) -> Array2<f64> {
        let mut change = math::matmul(self.phi.view(), direction.t());
        if let Some(p) = p {
            for (mut change, p) in change.outer_iter_mut().zip(p.outer_iter()) {
                let mean = change.dot(&p);
                change.zip_mut_with(&p, |change, p| *change = p * (*change - mean));
            }
        }
        self.gradient(direction, &change)
    }

    /// The optimum by Newton's method with steps from conjugate gradients. The objective is convex
    /// and its gradient decides how far to go: a step is halved until the gradient shrinks.
    fn fitted(&self, outputs: usize) -> Result<Array2<f64>, MethodError> {
        let mut theta = Array2::zeros((outputs, self.phi.ncols()));
        let (derivatives, mut p) = self.derivatives(&theta);
        let mut gradient = self.gradient(&theta, &derivatives);
        let first = norm(&gradient);
        let mut size = first;
        for _ in 0..MOST_STEPS {
            if size <= TOLERANCE * first {
                return Ok(theta);
            }
            let tolerance = (0.1 * (size / first).sqrt()).max(1e-8);
            let step = self.step(p.as_ref(), &gradient, tolerance);
            let mut length = 1.0;
            loop {
                let next = &theta - &(&step * length);
                let (next_derivatives, next_p) = self.derivatives(&next);
                let next_gradient = self.gradient(&next, &next_derivatives);
                if norm(&next_gradient) < size || length < 1e-6 {
                    (theta, p, gradient) = (next, next_p, next_gradient);
                    break;
                }
                length *= 0.5;
            }
            size = norm(&gradient);
        }
        Err(MethodError::NotConverged {
            what: "the fit of the last layer",
            residual: size / first,
            iterations: MOST_STEPS,
            tolerance: TOLERANCE,
        })
    }

    /// Hessian inverse times the gradient, by conjugate gradients.
    fn step(&self, p: Option<&Array2<f64>>, gradient: &Array2<f64>, tolerance: f64) -> Array2<f64> {
        let product = |x: &Array2<f64>, y: &Array2<f64>| (x * y).sum();
        let (mut x, mut r, mut d) =
            (Array2::zeros(gradient.dim()), gradient.clone(), gradient.clone());
        let mut rr = product(&r, &r);
        let target = rr * tolerance * tolerance;
        for _ in 0..MOST_ITERATIONS {
            if rr <= target {
                break;
            }
            let image = self.product(p, &d);
            let alpha = rr / product(&d, &image);
            x.scaled_add(alpha, &d);
            r.scaled_add(-alpha, &image);
            let next = product(&r, &r);
            d = &r + &(d * (next / rr));
            rr = next;
        }
        x
    }
}

fn norm(x: &Array2<f64>) -> f64 {
    x.iter().map(|value| value * value).sum::<f64>().sqrt()
}

struct Fitted<'a, T> {
    view: View<'a, FinalModel, T>,
    phi: Array2<f64>,
    /// `(n, c)`.
    alpha: Array2<f64>,
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let asked = extended(self.view.model(), &queries.examples);
        let mut values = math::matmul(self.phi.view(), asked.t());
        for (q, mut column) in values.axis_iter_mut(Axis(1)).enumerate() {
            let class = match queries.examples.labels() {
                Labels::Classes(labels) => labels[q] as usize,
                Labels::Values(_) => 0,
                Labels::Tokens(_) => return Err(needs_one_label()),
            };
            column *= &self.alpha.column(class);
        }
        label::<RpsL2, T>(self.view.train(), queries, values)
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::{Examples, Labels, Method, Queries, Utility};
    use attribench_models::{Activation, Network};
    use ndarray::{Axis, array};

    use super::{Layer, RpsL2};
    use crate::common::{STILL, TestRun, assert_close, digits_like, scores_of};

    #[test]
    fn two_points_by_hand() {
        // Features 1 and 2, targets 1 and 1, lambda = 1/2: (1/2) sum_i phi_i (phi_i theta - 1) +
        // theta / 2 = 3 theta - 3/2, so theta = 1/2; alpha = -(theta phi - 1) = (1/2, 0).
        let phi = array![[1.0], [2.0]];
        let labels = Labels::<f64>::Values(vec![1.0, 1.0]);
        let layer = Layer { phi: &phi, labels: &labels, penalty: 0.5 };
        let theta = layer.fitted(1).unwrap();
        assert!((theta[(0, 0)] - 0.5).abs() < 1e-10);
        let alpha = layer.derivatives(&theta).0 / -1.0;
        assert_close(alpha.view(), &[0.5, 0.0], 1e-9);
    }

    #[test]
    fn scores_sum_to_the_logit() {
        let (run, queries) = digits_like::<f64>(40).network(&[7]).pair(9, Utility::Margin);
        let scores = scores_of(&RpsL2::default(), &run, &queries);
        let phi = |examples: &Examples<f64>| {
            let run =
                TestRun::at(run.model.clone(), examples.clone(), run.parameters.clone(), STILL);
            let hidden =
                attribench_core::Model::hidden(&run.model, &run.parameters, examples.features());
            ndarray::concatenate![
                Axis(1),
                hidden,
                ndarray::Array2::<f64>::ones((examples.len(), 1))
            ]
        };
        let (train, asked) = (phi(&run.train), phi(&queries.examples));
        let layer = Layer { phi: &train, labels: run.train.labels(), penalty: 1e-3 };
        let logits = asked.dot(&layer.fitted(4).unwrap().t());
        let Labels::Classes(labels) = queries.examples.labels() else { panic!("classes") };
        let expected: Vec<f64> =
            labels.iter().enumerate().map(|(q, &class)| logits[(q, class as usize)]).collect();
        let sums = scores.values().sum_axis(Axis(0)).insert_axis(Axis(0));
        assert_close(sums.view(), &expected, 1e-7);
    }

    #[test]
    fn a_regression_sums_to_its_output() {
        let model = Network::dense(&[1, 1], Activation::Tanh);
        let line = |x: Vec<f64>, y: Vec<f64>| {
            Examples::new(
                ndarray::Array2::from_shape_vec((x.len(), 1), x).unwrap(),
                Labels::Values(y),
            )
        };
        let run = TestRun::at(model, line(vec![1.0, 2.0], vec![1.0, 1.0]), vec![0.0; 2], STILL);
        let examples = line(vec![1.0], vec![0.0]);
        let queries = Queries { examples, utility: Utility::NegativeLoss };
        // phi = (1, 1), (2, 1), lambda = 1/2, mean of phi (phi theta - 1) + theta / 2 = 0:
        // (3 3/2; 3/2 3/2) theta = (3/2, 1), theta = (1/3, 1/3), alpha = (1/3, 0), and at (1, 1)
        // the parts 1/3 * 2 + 0 are the output 2/3.
        let scores = scores_of(&RpsL2 { penalty: 0.5 }, &run, &queries);
        assert_close(scores.values(), &[2.0 / 3.0, 0.0], 1e-9);
        assert!(RpsL2 { penalty: -1.0 }.check().unwrap_err().contains("`penalty`"));
    }
}
