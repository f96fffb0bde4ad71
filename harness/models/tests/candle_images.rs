//! The convolutional network rebuilt from candle's operators: outputs and gradients.

use attribench_core::{Examples, Labels, Layout, Model, Quantity, Real, stream};
use attribench_models::{Activation, Cnn, ModelSpec, Network, Normalisation};
use candle_core::{D, Device, Result, Tensor, Var, WithDType};
use ndarray::Array2;
use rand::RngExt;

const DEVICE: Device = Device::Cpu;
const ROWS: usize = 7;
const CLASSES: usize = 3;

/// Every layer's weight and bias, or scale and shift, in layout order.
struct Oracle {
    cnn: Cnn,
    variables: Vec<Var>,
}

impl Oracle {
    fn new<T: Real + WithDType>(cnn: &Cnn, layout: &Layout, theta: &[T]) -> Result<Self> {
        let mut variables = Vec::new();
        for layer in layout.layers() {
            let values = &theta[layer.range()];
            // A filter is `(channels, kernel, kernel)`.
            let kernel = cnn.kernel;
            let shape = match layer.name.split_at(4).0 {
                "conv" => vec![layer.outputs, layer.inputs / kernel / kernel, kernel, kernel],
                "norm" => vec![layer.outputs / 2],
                _ => vec![layer.outputs, layer.inputs],
            };
            let (first, second) = values.split_at(shape.iter().product());
            let variable = |values: &[T], shape: &[usize]| {
                Var::from_tensor(&Tensor::from_slice(values, shape, &DEVICE)?)
            };
            variables.push(variable(first, &shape)?);
            variables.push(variable(second, &[second.len()])?);
        }
        Ok(Self { cnn: cnn.clone(), variables })
    }

    fn activate(&self, x: &Tensor) -> Result<Tensor> {
        match self.cnn.activation {
            Activation::Tanh => x.tanh(),
            Activation::Relu => x.relu(),
            Activation::Gelu => {
                let cube = ((x * x)? * x)?;
                let inner = ((x + (cube * 0.044_715)?)? * (2.0 / std::f64::consts::PI).sqrt())?;
                (x * 0.5)? * (inner.tanh()? + 1.0)?
            }
        }
    }

    fn outputs(&self, features: &Tensor) -> Result<Tensor> {
        let (n, [channels, height, width]) = (features.dim(0)?, self.cnn.image);
        let mut x = features.reshape((n, channels, height, width))?;
        let mut layers = self.variables.chunks_exact(2);
        for &channels in &self.cnn.channels {
            let [filters, bias] = layers.next().unwrap() else { unreachable!() };
            let bias = bias.reshape((1, channels, 1, 1))?;
            x = x.conv2d(filters, self.cnn.kernel / 2, 1, 1, 1)?.broadcast_add(&bias)?;
            if let Normalisation::Groups(groups) = self.cnn.normalisation {
                let [scale, shift] = layers.next().unwrap() else { unreachable!() };
                let shape = x.shape().clone();
                let grouped = x.reshape((n, groups, ()))?;
                let centred = grouped.broadcast_sub(&grouped.mean_keepdim(2)?)?;
                let deviation = (centred.sqr()?.mean_keepdim(2)? + 1e-5)?.sqrt()?;
                let normal = centred.broadcast_div(&deviation)?.reshape(shape)?;
                x = normal
                    .broadcast_mul(&scale.reshape((1, channels, 1, 1))?)?
                    .broadcast_add(&shift.reshape((1, channels, 1, 1))?)?;
            }
            x = self.activate(&x)?.avg_pool2d(self.cnn.pool)?;
        }
        x = x.flatten_from(1)?;
        for index in 0..=self.cnn.hidden.len() {
            if index > 0 {
                x = self.activate(&x)?;
            }
            let [weight, bias] = layers.next().unwrap() else { unreachable!() };
            x = x.matmul(&weight.t()?)?.broadcast_add(bias)?;
        }
        Ok(x)
    }

    fn gradient<T: Real + WithDType>(
        &self,
        examples: &Examples<T>,
        weights: &[T],
    ) -> Result<Vec<T>> {
        let outputs = self.outputs(&tensor(&examples.features().to_owned())?)?;
        let Labels::Classes(labels) = examples.labels() else { unreachable!() };
        let top = outputs.max_keepdim(D::Minus1)?.detach();
        let shifted = outputs.broadcast_sub(&top)?;
        let log_sum = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
        let labels = Tensor::from_slice(labels, (labels.len(), 1), &DEVICE)?;
        let losses = shifted.broadcast_sub(&log_sum)?.gather(&labels, 1)?.squeeze(1)?.neg()?;
        let weights = Tensor::from_slice(weights, weights.len(), &DEVICE)?;
        let gradients = (losses * weights)?.sum_all()?.backward()?;
        let mut flat = Vec::new();
        for variable in &self.variables {
            let gradient = gradients.get(variable).expect("every variable is used");
            flat.extend(gradient.flatten_all()?.to_vec1::<T>()?);
        }
        Ok(flat)
    }
}

fn tensor<T: Real + WithDType>(matrix: &Array2<T>) -> Result<Tensor> {
    Tensor::from_slice(matrix.as_slice().expect("standard layout"), matrix.dim(), &DEVICE)
}

/// With and without groups and dense layers. Pooling divides the images evenly: where it does not,
/// candle's gradient of `avg_pool2d` stretches over the pixels that were never read.
fn models() -> [Cnn; 3] {
    let cnn = Cnn {
        image: [2, 8, 12],
        channels: vec![4, 6],
        kernel: 3,
        pool: 2,
        normalisation: Normalisation::Groups(2),
        hidden: vec![],
        activation: Activation::Gelu,
    };
    [
        cnn.clone(),
        Cnn { kernel: 5, normalisation: Normalisation::None, hidden: vec![5], ..cnn.clone() },
        Cnn { channels: vec![3], pool: 4, normalisation: Normalisation::Groups(1), ..cnn },
    ]
}

fn agree<T: Real + WithDType>(tolerance: f64) -> Result<()> {
    for cnn in models() {
        let network: Network = cnn.build(192, CLASSES).unwrap();
        let layout = <Network as Model<T>>::layout(&network);
        let theta: Vec<T> = network.initial_parameters(7);
        let mut numbers = stream(3, "images", 0);
        let features = Array2::from_shape_simple_fn((ROWS, 192), || {
            <T as Real>::from_f64(numbers.random_range(-2.0..2.0))
        });
        let labels = (0..ROWS).map(|row| (row * 5 % CLASSES) as u32).collect();
        let examples = Examples::new(features, Labels::Classes(labels));
        let oracle = Oracle::new(&cnn, layout, &theta)?;

        let features = tensor(&examples.features().to_owned())?;
        let expected = oracle.outputs(&features)?.flatten_all()?.to_vec1::<T>()?;
        let found = network.outputs(&theta, examples.features());
        assert_close(found.as_slice().unwrap(), &expected, tolerance, &format!("{cnn:?}"));

        let weights: Vec<T> =
            (0..ROWS).map(|row| <T as Real>::from_f64(row as f64 / 7.0)).collect();
        let expected = oracle.gradient(&examples, &weights)?;
        let found = network.gradient(&theta, &examples, Quantity::Loss, &weights);
        assert_close(&found, &expected, tolerance, &format!("gradient of {cnn:?}"));
    }
    Ok(())
}

/// Fails unless `found` is `expected` to within `tolerance` of its largest entry.
fn assert_close<T: Real>(found: &[T], expected: &[T], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: length");
    let scale = expected.iter().fold(0.0f64, |top, value| top.max(Real::abs(*value).to_f64()));
    assert!(scale > 0.0, "{what}: nothing to compare");
    for (index, (f, e)) in found.iter().zip(expected).enumerate() {
        let difference = (Real::to_f64(*f) - Real::to_f64(*e)).abs();
        assert!(difference <= tolerance * scale, "{what}[{index}]: {f} is not {e}");
    }
}

#[test]
fn images_agree_in_double_precision() -> Result<()> {
    agree::<f64>(1e-10)
}

#[test]
fn images_agree_in_single_precision() -> Result<()> {
    agree::<f32>(1e-4)
}
