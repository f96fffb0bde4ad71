//! How parameters move: optimisers, what they remember, and their steps.

use serde::{Deserialize, Serialize};

use crate::{Real, vector::vectorized};

/// An optimiser with its constants. Moments start at 0.
///
/// `G_t` is the batch gradient `(1/B) sum_i w_i g_i`, clipped where the [`UpdateRule`] says so, and
/// coupled decay makes it `G_t + gamma theta_t`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Optimiser {
    /// Stochastic gradient descent, with or without momentum.
    Sgd(Sgd),
    /// Adam; with decoupled decay it is AdamW.
    AdamW(AdamW),
}

impl Default for Optimiser {
    fn default() -> Self {
        Self::Sgd(Sgd::default())
    }
}

/// `v_{t+1} = mu v_t + (1 - zeta) G_t`, `theta_{t+1} = theta_t - eta_t v_{t+1}`; Nesterov's form
/// moves by `G_t + mu v_{t+1}` instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Sgd {
    /// What is kept of the velocity, `mu`.
    pub momentum: f64,
    /// What is withheld of the gradient, `zeta`; also at the first step.
    pub dampening: f64,
    /// Whether to move by Nesterov's form.
    pub nesterov: bool,
    /// Decay of the parameters.
    pub weight_decay: WeightDecay,
}

/// `m <- beta1 m + (1 - beta1) G`, `v <- beta2 v + (1 - beta2) G^2`, and
/// `theta <- theta - eta (m^ / (sqrt(v^ + eps_root) + eps) + gamma theta)` with the moments
/// `m^ = m / (1 - beta1^{t+1})`, `v^ = v / (1 - beta2^{t+1})` and decoupled decay `gamma`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct AdamW {
    /// What is kept of the first moment.
    pub beta1: f64,
    /// What is kept of the second moment.
    pub beta2: f64,
    /// Added to the root.
    pub eps: f64,
    /// Added under the root; above 0 the update is differentiable where a gradient is 0.
    pub eps_root: f64,
    /// Decay of the parameters.
    pub weight_decay: WeightDecay,
}

impl Default for AdamW {
    fn default() -> Self {
        let weight_decay = WeightDecay::None;
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, eps_root: 0.0, weight_decay }
    }
}

/// How parameters are drawn to 0, by `gamma`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightDecay {
    /// Not at all.
    #[default]
    None,
    /// `gamma theta` joins the gradient, after clipping, and passes through the moments.
    Coupled(f64),
    /// `gamma theta` joins the movement, and no moment sees it.
    Decoupled(f64),
}

impl WeightDecay {
    /// `gamma` of coupled decay, else 0.
    pub fn coupled(self) -> f64 {
        if let Self::Coupled(gamma) = self { gamma } else { 0.0 }
    }

    /// `gamma` of decoupled decay, else 0.
    pub fn decoupled(self) -> f64 {
        if let Self::Decoupled(gamma) = self { gamma } else { 0.0 }
    }
}

/// Descent with nothing but momentum and coupled decay: every gradient moves the parameters along
/// itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeavyBall {
    /// `mu`.
    pub momentum: f64,
    /// Coupled `gamma`.
    pub weight_decay: f64,
}

impl Optimiser {
    /// Descent with momentum and coupled decay and nothing else.
    pub const fn heavy_ball(momentum: f64, weight_decay: f64) -> Self {
        let weight_decay = WeightDecay::Coupled(weight_decay);
        Self::Sgd(Sgd { momentum, dampening: 0.0, nesterov: false, weight_decay })
    }

    /// How many vectors of the parameters' length are its state: the velocity, or both moments.
    pub fn moments(&self) -> usize {
        match self {
            Self::Sgd(_) => 1,
            Self::AdamW(_) => 2,
        }
    }

    /// Decay of the parameters.
    pub fn weight_decay(&self) -> WeightDecay {
        match self {
            Self::Sgd(sgd) => sgd.weight_decay,
            Self::AdamW(adam) => adam.weight_decay,
        }
    }

    /// How far one unit of gradient moves the parameters in the end, in learning rates: the tail of
    /// the momentum is summed. For Adam the step's `D` comes on top, see [`Self::preconditioner`].
    pub fn gain(&self) -> f64 {
        let Self::Sgd(sgd) = self else { return 1.0 };
        let tail = (1.0 - sgd.dampening) / (1.0 - sgd.momentum);
        if sgd.nesterov { 1.0 + sgd.momentum * tail } else { tail }
    }

    /// The ridge `gamma` for which decay and gradients balance at rest: that of the objective
    /// `L(theta) + gamma / 2 |theta|^2`. Decoupled decay of Adam belongs to no objective: 0.
    pub fn ridge(&self) -> f64 {
        let rest = if let Self::Sgd(_) = self { self.gain() } else { f64::INFINITY };
        self.weight_decay().coupled() + self.weight_decay().decoupled() / rest
    }

    /// `D = 1 / (sqrt(v^ + eps_root) + eps)` for the moments after `steps` steps, `p`; `None` for
    /// SGD, where `D` is 1.
    ///
    /// # Panics
    /// When no step was taken or the second moment is missing.
    pub fn preconditioner<T: Real>(&self, moments: &[Vec<T>], steps: usize) -> Option<Vec<f64>> {
        let Self::AdamW(adam) = self else { return None };
        assert!(steps > 0, "moments are known after the first step");
        let correction = 1.0 / (1.0 - adam.beta2.powi(steps as i32));
        let root = |v: &T| (v.to_f64() * correction + adam.eps_root).sqrt() + adam.eps;
        Some(moments[1].iter().map(|v| 1.0 / root(v)).collect())
    }

    /// Whether every constant is in its range and the combination has a meaning.
    ///
    /// # Errors
    /// A message that names the constant and ends in what to do.
    pub fn check(&self) -> Result<(), String> {
        let decay = self.weight_decay();
        let gamma = decay.coupled() + decay.decoupled();
        if !(gamma >= 0.0 && gamma.is_finite()) {
            return Err(format!("`weight-decay` is {gamma}\nhint: use 0 or more"));
        }
        match self {
            Self::Sgd(sgd) => sgd.check(),
            Self::AdamW(adam) => adam.check(),
        }
    }
}

fn check_share(name: &str, value: f64) -> Result<(), String> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(format!("`{name}` is {value}\nhint: use 0 or more and less than 1"))
}

impl Sgd {
    fn check(&self) -> Result<(), String> {
        check_share("momentum", self.momentum)?;
        check_share("dampening", self.dampening)?;
        if self.momentum == 0.0 && self.nesterov {
            return Err(
                "`nesterov` without `momentum` is plain descent\nhint: set `momentum`, or \
                        leave `nesterov` out"
                    .into(),
            );
        }
        if self.momentum == 0.0 && self.dampening > 0.0 {
            return Err("`dampening` without `momentum` only makes steps shorter\nhint: set \
                        `momentum`, or lower `learning-rate`"
                .into());
        }
        Ok(())
    }
}

impl AdamW {
    fn check(&self) -> Result<(), String> {
        check_share("beta1", self.beta1)?;
        check_share("beta2", self.beta2)?;
        for (name, value) in [("eps", self.eps), ("eps-root", self.eps_root)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(format!("`{name}` is {value}\nhint: use 0 or more"));
            }
        }
        if self.eps == 0.0 && self.eps_root == 0.0 {
            return Err(
                "`eps` and `eps-root` are both 0, so that a parameter without gradient is \
                        divided by 0\nhint: set one of them, for instance `eps: 1e-8`"
                    .into(),
            );
        }
        Ok(())
    }
}

/// How a run turns sums of gradients into steps: what stays the same over the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UpdateRule {
    /// The optimiser.
    pub optimiser: Optimiser,
    /// Longest batch gradient `c`, over all parameters: longer ones are shortened to it, before
    /// weight decay.
    pub clip_norm: Option<f64>,
    /// The constant batch size `B` by which sums are divided, whatever the weights; no step has
    /// more rows.
    pub batch_size: usize,
}

impl UpdateRule {
    /// Momentum and decay, where there is nothing else.
    pub fn heavy_ball(&self) -> Option<HeavyBall> {
        let Optimiser::Sgd(sgd) = self.optimiser else { return None };
        let is_plain = sgd.dampening == 0.0
            && !sgd.nesterov
            && sgd.weight_decay.decoupled() == 0.0
            && self.clip_norm.is_none();
        let weight_decay = sgd.weight_decay.coupled();
        is_plain.then_some(HeavyBall { momentum: sgd.momentum, weight_decay })
    }

    /// What a sum of gradients whose squares sum to `square` is multiplied by so that its mean is
    /// no longer than the clipping norm: `min(1, c / |G|)`.
    pub fn clip_factor(&self, square: f64) -> f64 {
        let norm = square.sqrt() / self.batch_size as f64;
        self.clip_norm.map_or(1.0, |longest| if norm > longest { longest / norm } else { 1.0 })
    }

    /// Moves `parameters` and `moments` by the sum of gradients `sum` (already clipped), entry by
    /// entry, whatever their order.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn update<T: Real>(
        &self,
        size: StepSize,
        sum: &[T],
        moments: &mut [Vec<T>],
        parameters: &mut [T],
    ) {
        match (&self.optimiser, moments) {
            (Optimiser::Sgd(sgd), [velocity]) => {
                sgd.update(size.learning_rate, self.batch_size, sum, velocity, parameters);
            }
            (Optimiser::AdamW(adam), [first, second]) => {
                adam.update(size, self.batch_size, sum, [first, second], parameters);
            }
            (optimiser, moments) => {
                panic!("{} vectors of state for {optimiser:?}", moments.len())
            }
        }
    }
}

/// What may change from step to step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepSize {
    /// Index of the step, `t`, from 0: bias corrections count `t + 1`.
    pub index: usize,
    /// Learning rate `eta_t`.
    pub learning_rate: f64,
}

impl Sgd {
    fn update<T: Real>(
        &self,
        learning_rate: f64,
        batch_size: usize,
        sum: &[T],
        velocity: &mut [T],
        parameters: &mut [T],
    ) {
        assert_eq!((sum.len(), sum.len()), (velocity.len(), parameters.len()), "lengths");
        let [scale, coupled, decoupled, keep, take, back] = [
            1.0 / batch_size as f64,
            self.weight_decay.coupled(),
            self.weight_decay.decoupled(),
            self.momentum,
            1.0 - self.dampening,
            -learning_rate,
        ]
        .map(T::from_f64);
        // The movement is `ahead` of the gradient and `along` of the velocity.
        let (ahead, along) = if self.nesterov { (T::one(), keep) } else { (T::zero(), T::one()) };
        vectorized(
            #[inline(always)]
            move || {
                for ((&sum, v), theta) in sum.iter().zip(velocity).zip(parameters) {
                    let gradient = coupled.mul_add(*theta, scale * sum);
                    *v = take.mul_add(gradient, keep * *v);
                    let movement = ahead.mul_add(gradient, along * *v);
                    *theta = back.mul_add(decoupled.mul_add(*theta, movement), *theta);
                }
            },
        );
    }
}

impl AdamW {
    fn update<T: Real>(
        &self,
        size: StepSize,
        batch_size: usize,
        sum: &[T],
        [first, second]: [&mut Vec<T>; 2],
        parameters: &mut [T],
    ) {
        assert_eq!((sum.len(), sum.len()), (first.len(), second.len()), "lengths of the moments");
        assert_eq!(sum.len(), parameters.len(), "length of the parameters");
        let steps = (size.index + 1) as i32;
        let [scale, coupled, decoupled, back] = [
            1.0 / batch_size as f64,
            self.weight_decay.coupled(),
            self.weight_decay.decoupled(),
            -size.learning_rate,
        ]
        .map(T::from_f64);
        let [keep1, take1, keep2, take2] =
            [self.beta1, 1.0 - self.beta1, self.beta2, 1.0 - self.beta2].map(T::from_f64);
        let [correct1, correct2] =
            [self.beta1, self.beta2].map(|beta| T::from_f64(1.0 / (1.0 - beta.powi(steps))));
        let (eps, eps_root) = (T::from_f64(self.eps), T::from_f64(self.eps_root));
        vectorized(
            #[inline(always)]
            move || {
                let moments = first.iter_mut().zip(second.iter_mut());
                for ((&sum, (m, v)), theta) in sum.iter().zip(moments).zip(parameters) {
                    let gradient = coupled.mul_add(*theta, scale * sum);
                    *m = take1.mul_add(gradient, keep1 * *m);
                    *v = take2.mul_add(gradient * gradient, keep2 * *v);
                    let root = correct2.mul_add(*v, eps_root).sqrt() + eps;
                    let movement = correct1 * *m / root;
                    *theta = back.mul_add(decoupled.mul_add(*theta, movement), *theta);
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{AdamW, Optimiser, Sgd, StepSize, UpdateRule, WeightDecay};

    fn rule(optimiser: Optimiser) -> UpdateRule {
        UpdateRule { optimiser, clip_norm: None, batch_size: 2 }
    }

    /// Parameters after each step on `l_i = 1/2 (theta - y_i)^2`, `y = (1, 3)`, from 0.
    fn walk(rule: UpdateRule, learning_rate: f64, steps: usize) -> Vec<f64> {
        let mut moments = vec![vec![0.0]; rule.optimiser.moments()];
        let mut theta = vec![0.0];
        (0..steps)
            .map(|index| {
                let sum = 2.0 * theta[0] - 4.0;
                let clipped = rule.clip_factor(sum * sum) * sum;
                let size = StepSize { index, learning_rate };
                rule.update(size, &[clipped], &mut moments, &mut theta);
                theta[0]
            })
            .collect()
    }

    #[test]
    fn forms_of_momentum_by_hand() {
        // G_0 = -2. Heavy ball: v = -2, theta = 1; G = -1, v = -1 - 1 = -2, theta = 2.
        let sgd = Sgd { momentum: 0.5, ..Sgd::default() };
        assert_eq!(walk(rule(Optimiser::Sgd(sgd)), 0.5, 2), [1.0, 2.0]);
        // Dampened by 1/2: v = -1, theta = 0.5; G = -1.5, v = -0.5 - 0.75, theta = 1.125.
        let dampened = Sgd { dampening: 0.5, ..sgd };
        assert_eq!(walk(rule(Optimiser::Sgd(dampened)), 0.5, 2), [0.5, 1.125]);
        // Nesterov: v = -2, moves by -2 - 1 to 1.5; G = -0.5, v = -1.5, by -0.5 - 0.75 to 2.125.
        let nesterov = Sgd { nesterov: true, ..sgd };
        assert_eq!(walk(rule(Optimiser::Sgd(nesterov)), 0.5, 2), [1.5, 2.125]);
    }

    #[test]
    fn both_kinds_of_decay_by_hand() {
        // theta_1 = 1 either way, as theta_0 = 0; then G_1 = -1 and the decay is 0.2.
        // Coupled, momentum 1/2: v = -1 - 1 + 0.2 = -1.8; decoupled moves by -2 + 0.2 as well, but
        // its velocity is -2 and shows a step later: theta_2 = 1.9, G = -0.1;
        // coupled v = -0.9 - 0.1 + 0.38 = -0.62; decoupled v = -1.1, moves by -1.1 + 0.38.
        for (weight_decay, third) in
            [(WeightDecay::Coupled(0.2), 2.21), (WeightDecay::Decoupled(0.2), 2.26)]
        {
            let sgd = Sgd { momentum: 0.5, weight_decay, ..Sgd::default() };
            let found = walk(rule(Optimiser::Sgd(sgd)), 0.5, 3);
            for (found, expected) in found.iter().zip([1.0, 1.9, third]) {
                assert!((found - expected).abs() < 1e-14, "{weight_decay:?}: {found}");
            }
        }
    }

    #[test]
    fn clipping_shortens_before_decay_joins() {
        // |G| = 2 > 0.5: theta_1 = 0.25. G = -1.75, clipped to -0.5, decay 0.1 * 0.25.
        let sgd = Sgd { weight_decay: WeightDecay::Coupled(0.1), ..Sgd::default() };
        let clipped = UpdateRule { clip_norm: Some(0.5), ..rule(Optimiser::Sgd(sgd)) };
        assert_eq!(walk(clipped, 0.5, 2), [0.25, 0.4875]);
        // A norm that is never reached changes nothing.
        let loose = UpdateRule { clip_norm: Some(9.0), ..clipped };
        assert_eq!(walk(loose, 0.5, 4), walk(rule(Optimiser::Sgd(sgd)), 0.5, 4));
    }

    #[test]
    fn adam_w_by_hand() {
        // theta_1 = 1/2 * 2 / sqrt(4 + 0.01); the second step's digits come from a calculation by
        // itself. Bias corrections make the first moments -2 and 4 whatever the betas.
        let adam = AdamW {
            beta1: 0.5,
            beta2: 0.75,
            eps: 0.0,
            eps_root: 0.01,
            weight_decay: WeightDecay::Decoupled(0.1),
        };
        let found = walk(rule(Optimiser::AdamW(adam)), 0.5, 2);
        for (found, expected) in found.iter().zip([0.499_376_169_439, 0.954_767_221_942]) {
            assert!((found - expected).abs() < 1e-12, "{found}");
        }
        // Coupled: theta_1 as before without decay, then G_1 = theta_1 - 2 + 0.1 theta_1.
        let coupled = AdamW { weight_decay: WeightDecay::Coupled(0.1), ..adam };
        let found = walk(rule(Optimiser::AdamW(coupled)), 0.5, 2);
        let first = 0.5 * 2.0 / 4.01f64.sqrt();
        let gradient = 1.1 * first - 2.0;
        let m = (-0.5 + 0.5 * gradient) / 0.75;
        let v = (0.75 * 1.0 + 0.25 * gradient * gradient) / (1.0 - 0.5625);
        let second = first - 0.5 * m / (v + 0.01).sqrt();
        assert!((found[1] - second).abs() < 1e-14, "{found:?} {second}");
    }

    #[test]
    fn gains_are_what_a_unit_of_gradient_moves_in_the_end() {
        for sgd in [
            Sgd { momentum: 0.5, ..Sgd::default() },
            Sgd { momentum: 0.5, dampening: 0.25, ..Sgd::default() },
            Sgd { momentum: 0.5, dampening: 0.25, nesterov: true, ..Sgd::default() },
        ] {
            let rule = UpdateRule { batch_size: 1, ..rule(Optimiser::Sgd(sgd)) };
            let (mut moments, mut theta) = (vec![vec![0.0]], vec![0.0]);
            for index in 0..60 {
                let gradient = if index == 0 { 1.0 } else { 0.0 };
                let size = StepSize { index, learning_rate: 1.0 };
                rule.update(size, &[gradient], &mut moments, &mut theta);
            }
            assert!((theta[0] + rule.optimiser.gain()).abs() < 1e-14, "{sgd:?}");
        }
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        let refusals = [
            (Optimiser::Sgd(Sgd { momentum: 1.0, ..Sgd::default() }), "`momentum` is 1"),
            (Optimiser::Sgd(Sgd { nesterov: true, ..Sgd::default() }), "`nesterov` without"),
            (Optimiser::Sgd(Sgd { dampening: 0.5, ..Sgd::default() }), "`dampening` without"),
            (
                Optimiser::Sgd(Sgd { weight_decay: WeightDecay::Coupled(-1.0), ..Sgd::default() }),
                "`weight-decay` is -1",
            ),
            (Optimiser::AdamW(AdamW { beta2: f64::NAN, ..AdamW::default() }), "`beta2` is NaN"),
            (Optimiser::AdamW(AdamW { eps: 0.0, ..AdamW::default() }), "are both 0"),
        ];
        for (optimiser, expected) in refusals {
            let message = optimiser.check().unwrap_err();
            assert!(message.contains(expected) && message.contains("hint:"), "{message}");
        }
        assert!(Optimiser::default().check().is_ok());
        assert!(Optimiser::AdamW(AdamW::default()).check().is_ok());
    }
}
