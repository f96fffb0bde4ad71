//! The derivative of one optimiser step, in both directions.
//!
//! A step takes parameters, moments and the data's gradient to parameters and moments. Reverse mode
//! carries adjoints of what comes out back to what went in; forward mode carries tangents along.
//! Both leave the gradient to the caller: reverse mode says along which direction it is to be
//! differentiated, forward mode takes its tangent.

use attribench_core::{AdamW, Optimiser, Real, Sgd, Step, UpdateRule, vector::vectorized};

/// The derivative of one step.
pub(crate) struct StepDerivative<T> {
    update: Update<T>,
    clip: Option<Clip<T>>,
}

enum Update<T> {
    Sgd(SgdUpdate<T>),
    AdamW(AdamUpdate<T>),
}

/// `v' = keep v + take (G + coupled theta)`, `theta' = stay theta - ahead (G + coupled theta) -
/// along v'`.
#[derive(Clone, Copy)]
struct SgdUpdate<T> {
    keep: T,
    take: T,
    coupled: T,
    stay: T,
    ahead: T,
    along: T,
}

/// With `G' = G + coupled theta`: `dm' = keep1 dm + take1 dG'`, `dv' = keep2 dv + square dG'` and
/// `dtheta' = stay dtheta - back dm' + bend dv'`, entry by entry.
struct AdamUpdate<T> {
    keep1: T,
    take1: T,
    keep2: T,
    coupled: T,
    stay: T,
    /// `eta / ((1 - beta1^{t+1}) d)`, `p`.
    back: Vec<T>,
    /// `eta m^ / ((1 - beta2^{t+1}) 2 r d^2)`, `p`; 0 where `r` is.
    bend: Vec<T>,
    /// `2 (1 - beta2) G'`, `p`.
    square: Vec<T>,
}

/// `dG = factor (I - unit unit^T) dG` of a gradient that was clipped.
struct Clip<T> {
    factor: T,
    unit: Vec<T>,
}

impl<T: Real> StepDerivative<T> {
    pub(crate) fn new(rule: &UpdateRule, step: &Step<'_, T>) -> Self {
        let update = match rule.optimiser {
            Optimiser::Sgd(sgd) => Update::Sgd(SgdUpdate::new(sgd, step.learning_rate)),
            Optimiser::AdamW(adam) => Update::AdamW(AdamUpdate::new(adam, step)),
        };
        let clip = (step.clip_factor < 1.0).then(|| {
            let norm = attribench_core::math::dot(step.gradient, step.gradient).sqrt();
            let unit = step.gradient.iter().map(|g| T::from_f64(g.to_f64() / norm)).collect();
            Clip { factor: T::from_f64(step.clip_factor), unit }
        });
        Self { update, clip }
    }

    /// Takes the adjoints of the state after the step to those of the state before it, but for the
    /// gradient's own dependence on the parameters: `direction` receives the adjoint of the data's
    /// gradient, `p` each.
    pub(crate) fn reverse(&self, lambda: &mut [T], moments: &mut [&mut [T]], direction: &mut [T]) {
        match (&self.update, moments) {
            (Update::Sgd(sgd), [velocity]) => sgd.reverse(lambda, velocity, direction),
            (Update::AdamW(adam), [first, second]) => {
                adam.reverse(lambda, first, second, direction);
            }
            _ => panic!("one adjoint for each moment"),
        }
        self.clip(direction);
    }

    /// Takes tangents of the state before the step to those after it, given the tangent of the
    /// data's gradient, which is clipped in place, `p` each.
    pub(crate) fn forward(&self, theta: &mut [T], moments: &mut [&mut [T]], gradient: &mut [T]) {
        self.clip(gradient);
        match (&self.update, moments) {
            (Update::Sgd(sgd), [velocity]) => sgd.forward(theta, velocity, gradient),
            (Update::AdamW(adam), [first, second]) => {
                adam.forward(theta, first, second, gradient);
            }
            _ => panic!("one tangent for each moment"),
        }
    }

    /// The derivative of clipping, which is its own transpose.
    fn clip(&self, direction: &mut [T]) {
        let Some(clip) = &self.clip else { return };
        let along = T::from_f64(attribench_core::math::dot(&clip.unit, direction));
        let factor = clip.factor;
        for (value, &unit) in direction.iter_mut().zip(&clip.unit) {
            *value = factor * (*value - along * unit);
        }
    }
}

impl<T: Real> SgdUpdate<T> {
    fn new(sgd: Sgd, eta: f64) -> Self {
        let (ahead, along) = if sgd.nesterov { (eta, eta * sgd.momentum) } else { (0.0, eta) };
        let stay = 1.0 - eta * sgd.weight_decay.decoupled();
        let [keep, take, coupled, stay, ahead, along] =
            [sgd.momentum, 1.0 - sgd.dampening, sgd.weight_decay.coupled(), stay, ahead, along]
                .map(T::from_f64);
        Self { keep, take, coupled, stay, ahead, along }
    }

    /// `kappa = nu - along lambda`, `psi = take kappa - ahead lambda`.
    fn reverse(self, lambda: &mut [T], velocity: &mut [T], direction: &mut [T]) {
        vectorized(
            #[inline(always)]
            move || {
                for ((lambda, nu), psi) in lambda.iter_mut().zip(velocity).zip(direction) {
                    let kappa = *nu - self.along * *lambda;
                    *psi = self.take * kappa - self.ahead * *lambda;
                    *lambda = self.stay * *lambda + self.coupled * *psi;
                    *nu = self.keep * kappa;
                }
            },
        );
    }

    fn forward(self, theta: &mut [T], velocity: &mut [T], gradient: &[T]) {
        vectorized(
            #[inline(always)]
            move || {
                for ((theta, v), &gradient) in theta.iter_mut().zip(velocity).zip(gradient) {
                    let gradient = gradient + self.coupled * *theta;
                    *v = self.keep * *v + self.take * gradient;
                    *theta = self.stay * *theta - self.ahead * gradient - self.along * *v;
                }
            },
        );
    }
}

impl<T: Real> AdamUpdate<T> {
    fn new(adam: AdamW, step: &Step<'_, T>) -> Self {
        let eta = step.learning_rate;
        let steps = step.index as i32 + 1;
        let [correct1, correct2] = [adam.beta1, adam.beta2].map(|b| 1.0 / (1.0 - b.powi(steps)));
        let (coupled, decoupled) = (adam.weight_decay.coupled(), adam.weight_decay.decoupled());
        let (mut back, mut bend) = (Vec::new(), Vec::new());
        for (m, v) in step.moments[0].iter().zip(&step.moments[1]) {
            let root = (v.to_f64() * correct2 + adam.eps_root).sqrt();
            let d = root + adam.eps;
            back.push(T::from_f64(eta * correct1 / d));
            // A parameter that never had a gradient has m = 0 as well.
            let slope = if root > 0.0 { m.to_f64() * correct1 / (2.0 * root * d * d) } else { 0.0 };
            bend.push(T::from_f64(eta * correct2 * slope));
        }
        let joined = |(g, theta): (&T, &T)| g.to_f64() + coupled * theta.to_f64();
        let gradients = step.gradient.iter().zip(step.before).map(joined);
        let square = gradients.map(|g| T::from_f64(2.0 * (1.0 - adam.beta2) * g)).collect();
        let [keep1, take1, keep2, coupled, stay] =
            [adam.beta1, 1.0 - adam.beta1, adam.beta2, coupled, 1.0 - eta * decoupled]
                .map(T::from_f64);
        Self { keep1, take1, keep2, coupled, stay, back, bend, square }
    }

    fn reverse(&self, lambda: &mut [T], first: &mut [T], second: &mut [T], direction: &mut [T]) {
        let constants = self.back.iter().zip(&self.bend).zip(&self.square);
        vectorized(
            #[inline(always)]
            || {
                let adjoints = first.iter_mut().zip(second.iter_mut());
                for (((lambda, (alpha, beta)), kappa), ((&back, &bend), &square)) in
                    lambda.iter_mut().zip(adjoints).zip(direction).zip(constants)
                {
                    let first = *alpha - back * *lambda;
                    let second = *beta + bend * *lambda;
                    *kappa = self.take1 * first + square * second;
                    *lambda = self.stay * *lambda + self.coupled * *kappa;
                    *alpha = self.keep1 * first;
                    *beta = self.keep2 * second;
                }
            },
        );
    }

    fn forward(&self, theta: &mut [T], first: &mut [T], second: &mut [T], gradient: &[T]) {
        let constants = self.back.iter().zip(&self.bend).zip(&self.square);
        vectorized(
            #[inline(always)]
            || {
                let tangents = first.iter_mut().zip(second.iter_mut());
                for (((theta, (m, v)), &gradient), ((&back, &bend), &square)) in
                    theta.iter_mut().zip(tangents).zip(gradient).zip(constants)
                {
                    let gradient = gradient + self.coupled * *theta;
                    *m = self.keep1 * *m + self.take1 * gradient;
                    *v = self.keep2 * *v + square * gradient;
                    *theta = self.stay * *theta - back * *m + bend * *v;
                }
            },
        );
    }
}
