//! The same numbers from another automatic differentiation: candle, with networks, losses and
//! updates rebuilt from its plain operators.

use attribench_core::{
    Captures, Examples, HeavyBall, Labels, Layout, Model, Optimiser, Quantity, Real, StepSize,
    UpdateRule, stream,
};
use attribench_models::{Activation, Network};
use candle_core::{D, Device, Result, Tensor, Var, WithDType};
use ndarray::Array2;
use rand::RngExt;

const DEVICE: Device = Device::Cpu;

/// Weights `(out, in)` and biases `(out)` of the layers, in layout order.
struct Oracle {
    layers: Vec<(Var, Var)>,
    activation: Activation,
}

impl Oracle {
    fn new<T: Real + WithDType>(
        layout: &Layout,
        activation: Activation,
        theta: &[T],
    ) -> Result<Self> {
        let variable = |values: &[T], shape: &[usize]| {
            Var::from_tensor(&Tensor::from_slice(values, shape, &DEVICE)?)
        };
        let layers = layout
            .layers()
            .iter()
            .map(|layer| {
                let (inputs, outputs) = (layer.inputs, layer.outputs);
                let weight = &theta[layer.weight_offset..][..inputs * outputs];
                let bias = &theta[layer.bias_offset..][..outputs];
                Ok((variable(weight, &[outputs, inputs])?, variable(bias, &[outputs])?))
            })
            .collect::<Result<_>>()?;
        Ok(Self { layers, activation })
    }

    fn variables(&self) -> impl Iterator<Item = &Var> {
        self.layers.iter().flat_map(|(weight, bias)| [weight, bias])
    }

    fn activate(&self, x: &Tensor) -> Result<Tensor> {
        match self.activation {
            Activation::Tanh => x.tanh(),
            Activation::Relu => x.relu(),
            // Not candle's own GELU, whose derivative is off by 2e-7.
            Activation::Gelu => {
                let cube = ((x * x)? * x)?;
                let inner = ((x + (cube * 0.044_715)?)? * (2.0 / std::f64::consts::PI).sqrt())?;
                (x * 0.5)? * (inner.tanh()? + 1.0)?
            }
        }
    }

    fn outputs(&self, features: &Tensor) -> Result<Tensor> {
        let mut values = features.clone();
        for (index, (weight, bias)) in self.layers.iter().enumerate() {
            if index > 0 {
                values = self.activate(&values)?;
            }
            values = values.matmul(&weight.as_tensor().t()?)?.broadcast_add(bias.as_tensor())?;
        }
        Ok(values)
    }

    /// Loss of each example, `n`.
    fn losses<T: Real + WithDType>(&self, examples: &Examples<T>) -> Result<Tensor> {
        let features = tensor(&examples.features().to_owned())?;
        let outputs = self.outputs(&features)?;
        match examples.labels() {
            Labels::Classes(labels) => {
                let top = outputs.max_keepdim(D::Minus1)?.detach();
                let shifted = outputs.broadcast_sub(&top)?;
                let log_sum = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
                let log_probabilities = shifted.broadcast_sub(&log_sum)?;
                let labels = Tensor::from_slice(labels, (labels.len(), 1), &DEVICE)?;
                log_probabilities.gather(&labels, 1)?.squeeze(1)?.neg()
            }
            Labels::Values(values) => {
                let values = Tensor::from_slice(values, (values.len(), 1), &DEVICE)?;
                ((outputs - values)?.sqr()? * 0.5)?.squeeze(1)
            }
            Labels::Tokens(_) => unreachable!("texts are compared with another library"),
        }
    }

    /// Gradient of the weighted sum of losses, in layout order.
    fn gradient<T: Real + WithDType>(
        &self,
        examples: &Examples<T>,
        weights: &[T],
    ) -> Result<Vec<T>> {
        let weights = Tensor::from_slice(weights, weights.len(), &DEVICE)?;
        let gradients = (self.losses(examples)? * weights)?.sum_all()?.backward()?;
        let mut flat = Vec::new();
        for variable in self.variables() {
            let gradient = gradients.get(variable).expect("every variable is used");
            flat.extend(gradient.flatten_all()?.to_vec1::<T>()?);
        }
        Ok(flat)
    }
}

fn tensor<T: Real + WithDType>(matrix: &Array2<T>) -> Result<Tensor> {
    let values = matrix.as_slice().expect("standard layout");
    Tensor::from_slice(values, matrix.dim(), &DEVICE)
}

/// Widths and non-linearities: one layer, several, and a regression.
const NETWORKS: [(&[usize], Activation); 6] = [
    (&[12, 5], Activation::Tanh),
    (&[12, 1], Activation::Tanh),
    (&[12, 16, 5], Activation::Tanh),
    (&[12, 9, 7, 5], Activation::Gelu),
    (&[12, 16, 5], Activation::Relu),
    (&[12, 9, 1], Activation::Gelu),
];

const ROWS: usize = 23;

fn examples<T: Real>(widths: &[usize], rows: usize) -> Examples<T> {
    let mut numbers = stream(3, "oracle", widths.len() as u64);
    let mut number = || T::from_f64(numbers.random_range(-2.0..2.0));
    let features = Array2::from_shape_simple_fn((rows, widths[0]), &mut number);
    let classes = widths[widths.len() - 1];
    let labels = if classes == 1 {
        Labels::Values((0..rows).map(|_| number()).collect())
    } else {
        Labels::Classes((0..rows).map(|row| ((row * 5 + row / 3) % classes) as u32).collect())
    };
    Examples::new(features, labels)
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

/// The gradient of one example, put together from captures.
fn captured_gradient<T: Real>(layout: &Layout, captures: &Captures<T>, row: usize) -> Vec<T> {
    let mut gradient = vec![T::zero(); layout.parameters()];
    for (layer, capture) in layout.layers().iter().zip(&captures.layers) {
        let inputs = capture.inputs.values().expect("dense layers read numbers");
        for (output, &delta) in capture.output_gradients.row(row).iter().enumerate() {
            for (input, &value) in inputs.row(row).iter().enumerate() {
                gradient[layer.weight_offset + output * layer.inputs + input] = delta * value;
            }
            gradient[layer.bias_offset + output] = delta;
        }
    }
    gradient
}

fn outputs_and_gradients_agree<T: Real + WithDType>(tolerance: f64) -> Result<()> {
    for (widths, activation) in NETWORKS {
        let what = format!("{widths:?} {activation:?} {}", T::NAME);
        let network = Network::dense(widths, activation);
        let layout = <Network as Model<T>>::layout(&network);
        let theta: Vec<T> = network.initial_parameters(7);
        let examples = examples::<T>(widths, ROWS);
        let oracle = Oracle::new(layout, activation, &theta)?;

        let features = tensor(&examples.features().to_owned())?;
        let expected = oracle.outputs(&features)?.flatten_all()?.to_vec1::<T>()?;
        let found = network.outputs(&theta, examples.features());
        assert_close(found.as_slice().unwrap(), &expected, tolerance, &format!("outputs {what}"));

        let weights: Vec<T> =
            (0..ROWS).map(|row| <T as Real>::from_f64(row as f64 / 7.0)).collect();
        let expected = oracle.gradient(&examples, &weights)?;
        let found = network.gradient(&theta, &examples, Quantity::Loss, &weights);
        assert_close(&found, &expected, tolerance, &format!("gradient {what}"));

        let captures = network.captures(&theta, &examples, Quantity::Loss);
        for row in 0..ROWS {
            let expected = oracle.gradient(&examples.select(&[row]), &[T::one()])?;
            let found = captured_gradient(layout, &captures, row);
            assert_close(&found, &expected, tolerance, &format!("gradient of {row} {what}"));
        }
    }
    Ok(())
}

#[test]
fn outputs_and_gradients_agree_in_double_precision() -> Result<()> {
    outputs_and_gradients_agree::<f64>(1e-10)
}

#[test]
fn outputs_and_gradients_agree_in_single_precision() -> Result<()> {
    outputs_and_gradients_agree::<f32>(1e-4)
}

/// `v <- mu v + (1/B) sum_i w_i g_i + gamma theta; theta <- theta - eta v`, in candle.
fn train_oracle(
    oracle: &Oracle,
    train: &Examples<f64>,
    batches: &[Vec<usize>],
    weights: &[f64],
    size: StepSize,
    (rule, ball): (UpdateRule, HeavyBall),
) -> Result<Vec<f64>> {
    let mut velocities =
        oracle.variables().map(|v| v.zeros_like()).collect::<Result<Vec<Tensor>>>()?;
    for rows in batches {
        let batch = train.select(rows);
        let chosen: Vec<f64> = rows.iter().map(|&row| weights[row]).collect();
        let chosen = Tensor::from_slice(&chosen, chosen.len(), &DEVICE)?;
        let gradients = (oracle.losses(&batch)? * chosen)?.sum_all()?.backward()?;
        for (variable, velocity) in oracle.variables().zip(&mut velocities) {
            let gradient = gradients.get(variable).expect("every variable is used");
            let mean = (gradient / rule.batch_size as f64)?;
            let decay = (variable.as_tensor() * ball.weight_decay)?;
            *velocity = (((&*velocity * ball.momentum)? + mean)? + decay)?.detach();
            variable.set(&(variable.as_tensor() - (&*velocity * size.learning_rate)?)?)?;
        }
    }
    let mut theta = Vec::new();
    for variable in oracle.variables() {
        theta.extend(variable.flatten_all()?.to_vec1::<f64>()?);
    }
    Ok(theta)
}

#[test]
fn fifty_steps_of_momentum_and_decay_agree() -> Result<()> {
    const TRAIN_ROWS: usize = 60;
    let size = StepSize { index: 0, learning_rate: 0.2 };
    let ball = HeavyBall { momentum: 0.9, weight_decay: 1e-2 };
    let optimiser = Optimiser::heavy_ball(ball.momentum, ball.weight_decay);
    let rule = UpdateRule { optimiser, clip_norm: None, batch_size: 10 };
    for (widths, activation) in NETWORKS {
        let network = Network::dense(widths, activation);
        let layout = <Network as Model<f64>>::layout(&network);
        let train = examples::<f64>(widths, TRAIN_ROWS);
        let mut draws = stream(4, "batches", 0);
        let batches: Vec<Vec<usize>> = (0..50)
            .map(|_| (0..rule.batch_size).map(|_| draws.random_range(0..TRAIN_ROWS)).collect())
            .collect();
        // Two models from different starts: one on everything, one without every third example.
        let weights: [Vec<f64>; 2] = [
            vec![1.0; TRAIN_ROWS],
            (0..TRAIN_ROWS).map(|row| if row % 3 == 0 { 0.0 } else { 1.0 }).collect(),
        ];
        let starts: [Vec<f64>; 2] = [network.initial_parameters(1), network.initial_parameters(2)];

        let mut stack = <Network as Model<f64>>::stack(&network, 2, &rule);
        for (index, start) in starts.iter().enumerate() {
            stack.load(index, start, &[vec![0.0; start.len()]]);
        }
        for rows in &batches {
            let lists = weights.clone().map(|w| rows.iter().map(|&r| w[r]).collect::<Vec<_>>());
            stack.step(&train, rows, &[&lists[0], &lists[1]], size);
        }
        for (index, (start, weights)) in starts.iter().zip(&weights).enumerate() {
            let oracle = Oracle::new(layout, activation, start)?;
            let expected = train_oracle(&oracle, &train, &batches, weights, size, (rule, ball))?;
            let mut found = vec![0.0; start.len()];
            stack.read_parameters(index, &mut found);
            assert_close(&found, &expected, 1e-10, &format!("model {index} of {widths:?}"));
        }
    }
    Ok(())
}
