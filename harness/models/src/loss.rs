//! Losses and utilities as functions of one example's outputs.
//!
//! A text has outputs at every position; its loss is the sum or the mean of theirs.

use attribench_core::{Labels, Quantity, Real, Utility, vector::vectorized};

/// What is asked of the outputs at one position of an example.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Asked<T> {
    /// A class.
    Class(usize),
    /// A number.
    Value(T),
    /// Nothing: the position adds nothing to the loss.
    Nothing,
}

/// Positions of an example at which something can be asked.
pub(crate) fn positions<T>(labels: &Labels<T>) -> usize {
    match labels {
        Labels::Classes(_) | Labels::Values(_) => 1,
        Labels::Tokens(tokens) => tokens.positions(),
    }
}

/// What is asked of example `row` at `position`.
pub(crate) fn asked<T: Real>(labels: &Labels<T>, row: usize, position: usize) -> Asked<T> {
    match labels {
        Labels::Classes(labels) => Asked::Class(labels[row] as usize),
        Labels::Values(values) => Asked::Value(values[row]),
        Labels::Tokens(tokens) => match tokens.target(row, position) {
            Some(token) => Asked::Class(token as usize),
            None => Asked::Nothing,
        },
    }
}

/// Factor of a position's loss in the loss of example `row`.
pub(crate) fn scale<T: Real>(labels: &Labels<T>, row: usize) -> T {
    match labels {
        Labels::Classes(_) | Labels::Values(_) => T::one(),
        Labels::Tokens(tokens) => T::from_f64(tokens.scale(row)),
    }
}

/// Softmax of one row of logits, in place; returns `log sum exp`.
fn softmax<T: Real>(logits: &mut [T]) -> T {
    let top = logits.iter().copied().fold(logits[0], T::max);
    let mut sum = T::zero();
    for logit in logits.iter_mut() {
        *logit -= top;
    }
    T::exp_in_place(logits);
    for &value in logits.iter() {
        sum += value;
    }
    let scale = T::one() / sum;
    for value in logits.iter_mut() {
        *value *= scale;
    }
    top + sum.ln()
}

/// Softmax over all classes but `label`, in place, with 0 at the label; returns their `log sum
/// exp`.
///
/// # Panics
/// When there is no other class.
fn softmax_of_others<T: Real>(logits: &mut [T], label: usize) -> T {
    assert!(logits.len() > 1, "a margin needs at least two classes");
    let others = |logits: &[T]| -> Vec<T> {
        logits
            .iter()
            .enumerate()
            .filter(|&(class, _)| class != label)
            .map(|(_, &logit)| logit)
            .collect()
    };
    let mut rest = others(logits);
    let log_sum = softmax(&mut rest);
    let (before, after) = rest.split_at(label);
    logits[..label].copy_from_slice(before);
    logits[label] = T::zero();
    logits[label + 1..].copy_from_slice(after);
    log_sum
}

/// Utility of one example from its outputs, `classes` at each position.
pub(crate) fn utility<T: Real>(
    outputs: &[T],
    classes: usize,
    labels: &Labels<T>,
    row: usize,
    utility: Utility,
) -> T {
    let of_position = |(position, outputs): (usize, &[T])| match asked(labels, row, position) {
        Asked::Nothing => T::zero(),
        asked => scale::<T>(labels, row) * position_utility(outputs, asked, utility),
    };
    outputs.chunks_exact(classes).enumerate().map(of_position).sum()
}

fn position_utility<T: Real>(outputs: &[T], asked: Asked<T>, utility: Utility) -> T {
    match (asked, utility) {
        (Asked::Class(label), Utility::NegativeLoss) => {
            outputs[label] - softmax(&mut outputs.to_vec())
        }
        // log(p / (1 - p)) = z_y - log sum of the other exponentials, without cancellation.
        (Asked::Class(label), Utility::Margin) => {
            outputs[label] - softmax_of_others(&mut outputs.to_vec(), label)
        }
        (Asked::Value(value), _) => {
            let error = outputs[0] - value;
            -(T::HALF * error * error)
        }
        (Asked::Nothing, _) => T::zero(),
    }
}

/// Rows whose softmax is computed side by side: as many as the longest vector register has lanes.
const SIDE_BY_SIDE: usize = 16;

/// Softmax of every row of `classes` logits, in place: the operations of [`softmax`] on each, but
/// with one row in each lane of a vector.
fn softmax_rows<T: Real>(logits: &mut [T], classes: usize) {
    let mut lanes = vec![[T::zero(); SIDE_BY_SIDE]; classes];
    for block in logits.chunks_mut(classes * SIDE_BY_SIDE) {
        for (lane, row) in block.chunks_exact(classes).enumerate() {
            for (values, &logit) in lanes.iter_mut().zip(row) {
                values[lane] = logit;
            }
        }
        subtract_largest(&mut lanes);
        T::exp_in_place(lanes.as_flattened_mut());
        divide_by_sum(&mut lanes);
        for (lane, row) in block.chunks_exact_mut(classes).enumerate() {
            for (value, values) in row.iter_mut().zip(&lanes) {
                *value = values[lane];
            }
        }
    }
}

/// Subtracts from every lane the largest of its values.
fn subtract_largest<T: Real>(lanes: &mut [[T; SIDE_BY_SIDE]]) {
    vectorized(
        #[inline(always)]
        move || {
            let mut top = lanes[0];
            for values in &lanes[1..] {
                for (top, &value) in top.iter_mut().zip(values) {
                    *top = if value > *top { value } else { *top };
                }
            }
            for values in lanes {
                for (value, &top) in values.iter_mut().zip(&top) {
                    *value -= top;
                }
            }
        },
    );
}

/// Divides every lane by the sum of its values.
fn divide_by_sum<T: Real>(lanes: &mut [[T; SIDE_BY_SIDE]]) {
    vectorized(
        #[inline(always)]
        move || {
            let mut scale = [T::zero(); SIDE_BY_SIDE];
            for values in &*lanes {
                for (sum, &value) in scale.iter_mut().zip(values) {
                    *sum += value;
                }
            }
            for sum in &mut scale {
                *sum = T::one() / *sum;
            }
            for values in lanes {
                for (value, &scale) in values.iter_mut().zip(&scale) {
                    *value *= scale;
                }
            }
        },
    );
}

/// [`output_gradient`] of every row, `models` blocks a row, with the label at `label_of(row)`.
pub(crate) fn output_gradients<T: Real>(
    outputs: &mut [T],
    classes: usize,
    quantity: Quantity,
    labels: &Labels<T>,
    models: usize,
    label_of: impl Fn(usize) -> usize,
) {
    match labels {
        Labels::Classes(labels) if !quantity.is_margin() => {
            softmax_rows(outputs, classes);
            for (row, block) in outputs.chunks_exact_mut(classes * models).enumerate() {
                let label = labels[label_of(row)] as usize;
                for gradient in block.chunks_exact_mut(classes) {
                    gradient[label] -= T::one();
                }
            }
        }
        Labels::Tokens(tokens) => {
            if !quantity.is_margin() {
                softmax_rows(outputs, classes);
            }
            let width = classes * tokens.positions();
            for (row, block) in outputs.chunks_exact_mut(width * models).enumerate() {
                let example = label_of(row);
                let scale = scale::<T>(labels, example);
                for text in block.chunks_exact_mut(width) {
                    for (position, gradient) in text.chunks_exact_mut(classes).enumerate() {
                        match asked(labels, example, position) {
                            Asked::Class(label) if !quantity.is_margin() => {
                                gradient[label] -= T::one();
                            }
                            asked => output_gradient(gradient, asked, quantity),
                        }
                        gradient.iter_mut().for_each(|value| *value *= scale);
                    }
                }
            }
        }
        _ => {
            for (row, block) in outputs.chunks_exact_mut(classes * models).enumerate() {
                for gradient in block.chunks_exact_mut(classes) {
                    output_gradient(gradient, asked(labels, label_of(row), 0), quantity);
                }
            }
        }
    }
}

/// Turns one row of outputs into the gradient of the quantity with respect to them.
///
/// - cross-entropy: `p - e_y`;
/// - minus the margin: softmax of the others, and `-1` at the label;
/// - half the squared error (whose only utility is its negative): `output - target`.
pub(crate) fn output_gradient<T: Real>(outputs: &mut [T], asked: Asked<T>, quantity: Quantity) {
    match asked {
        Asked::Class(label) => {
            if quantity.is_margin() {
                softmax_of_others(outputs, label);
            } else {
                softmax(outputs);
            }
            outputs[label] -= T::one();
        }
        Asked::Value(value) => outputs[0] -= value,
        Asked::Nothing => outputs.fill(T::zero()),
    }
}

/// Replaces one row of output tangents by the loss's output Hessian times it.
///
/// - cross-entropy: `(diag(p) - p p^T) dz`, with `p = delta + e_y`;
/// - half the squared error: `dz`.
pub(crate) fn output_curvature<T: Real>(tangent: &mut [T], gradient: &[T], asked: Asked<T>) {
    match asked {
        Asked::Class(label) => {
            let probability = |class: usize| {
                if class == label { gradient[class] + T::one() } else { gradient[class] }
            };
            let mut mean = T::zero();
            for (class, &value) in tangent.iter().enumerate() {
                mean += probability(class) * value;
            }
            for (class, value) in tangent.iter_mut().enumerate() {
                *value = probability(class) * (*value - mean);
            }
        }
        Asked::Value(_) => {}
        Asked::Nothing => tangent.fill(T::zero()),
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::{Labels, Quantity, Utility};

    use super::{asked, output_curvature, output_gradient, utility};

    const LOGITS: [f64; 3] = [0.3, -1.2, 2.0];

    fn quantities() -> [(Quantity, Utility, Labels<f64>); 3] {
        let classes = Labels::Classes(vec![1]);
        [
            (Quantity::Loss, Utility::NegativeLoss, classes.clone()),
            (Quantity::NegativeUtility(Utility::Margin), Utility::Margin, classes),
            (Quantity::Loss, Utility::NegativeLoss, Labels::Values(vec![0.7])),
        ]
    }

    #[test]
    fn the_margin_is_the_log_odds_of_the_label() {
        let sum: f64 = LOGITS.iter().map(|z| z.exp()).sum();
        let p = LOGITS[1].exp() / sum;
        let labels = Labels::Classes(vec![1]);
        let margin = utility(&LOGITS, 3, &labels, 0, Utility::Margin);
        assert!((margin - (p / (1.0 - p)).ln()).abs() < 1e-14);
        let loss = -utility(&LOGITS, 3, &labels, 0, Utility::NegativeLoss);
        assert!((loss + p.ln()).abs() < 1e-14);
    }

    #[test]
    fn gradients_agree_with_central_differences() {
        for (quantity, measured, labels) in quantities() {
            let mut gradient = LOGITS;
            output_gradient(&mut gradient, asked(&labels, 0, 0), quantity);
            let width = if matches!(labels, Labels::Values(_)) { 1 } else { 3 };
            for class in 0..width {
                let shifted = |h: f64| {
                    let mut logits = LOGITS;
                    logits[class] += h;
                    -utility(&logits[..width], width, &labels, 0, measured)
                };
                let slope = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
                assert!((gradient[class] - slope).abs() < 1e-9, "{quantity:?} {class}");
            }
        }
    }

    #[test]
    fn curvature_is_the_derivative_of_the_gradient() {
        let labels = Labels::Classes(vec![1]);
        let direction = [0.4, -0.9, 1.3];
        let gradient_at = |h: f64| {
            let mut logits: [f64; 3] = std::array::from_fn(|c| LOGITS[c] + h * direction[c]);
            output_gradient(&mut logits, asked(&labels, 0, 0), Quantity::Loss);
            logits
        };
        let mut product = direction;
        output_curvature(&mut product, &gradient_at(0.0), asked(&labels, 0, 0));
        let (up, down) = (gradient_at(1e-5), gradient_at(-1e-5));
        for class in 0..3 {
            assert!((product[class] - (up[class] - down[class]) / 2e-5).abs() < 1e-9);
        }
    }
}
