//! Training unrolled in segments of checkpoints, what all forms of SOURCE share.
//!
//! Within a segment training is a gradient flow with the mean curvature `C` of its checkpoints and
//! a fixed preconditioner `P`: a change `d` of the parameters goes on as `d' = -(P C + gamma) d`.
//! With `Q = P^{1/2}` this is `Q^{-1} (Q C Q + gamma) Q`, whose middle is symmetric and has an
//! eigenbasis. Changes stay in the original coordinates from one segment to the next, as `P`
//! differs.

use std::{marker::PhantomData, ops::Range};

use attribench_core::{
    Context, Method, MethodError, Queries, ReadsCheckpoints, Real, Scorer, Scores, View,
};
use ndarray::{Array1, Array2, ArrayViewMut2, s};

use crate::{
    Fisher, directions::Directions, influence::query_rows, kronecker::Eigenbasis, label, pair,
};

/// What a form of SOURCE chooses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choices {
    /// Stretches of checkpoints; no more than there are checkpoints.
    pub(crate) segments: usize,
    /// Whose gradients the curvature is made of.
    pub(crate) fisher: Fisher,
    /// Decay that acts beside the preconditioned curvature.
    pub(crate) gamma: f64,
}

/// An error unless there is a segment.
pub(crate) fn check(segments: usize) -> Result<(), String> {
    if segments == 0 {
        return Err("`segments` is 0\nhint: give at least 1".to_owned());
    }
    Ok(())
}

/// Fits the curvature of every segment; `root` gives `Q` of a range of checkpoints, `p`, where
/// there is a preconditioner.
pub(crate) fn unrolled<'a, M, T>(
    view: View<'a, M::Access, T>,
    context: &Context<'_>,
    choices: Choices,
    root: impl Fn(Range<usize>) -> Result<Option<Array1<f64>>, MethodError>,
) -> Result<Box<dyn Scorer<T> + 'a>, MethodError>
where
    M: Method,
    M::Access: ReadsCheckpoints,
    T: Real,
{
    let checkpoints = view.checkpoints().len();
    if checkpoints == 0 {
        return Err(MethodError::Unsuitable(
            "the run kept no checkpoints\nhint: ask the run for checkpoints".to_owned(),
        ));
    }
    let mut numbers = context.stream("labels");
    let count = choices.segments.min(checkpoints);
    let cut = |segment: usize| segment * checkpoints / count;
    let mut segments = Vec::with_capacity(count);
    for segment in 0..count {
        let range = cut(segment)..cut(segment + 1);
        let kept = &view.checkpoints()[range.clone()];
        let models: Vec<_> = kept.iter().map(|c| view.model_at(&c.parameters)).collect();
        let root = root(range.clone())?;
        let basis = Eigenbasis::fit_mean(
            &models,
            view.train(),
            choices.fisher,
            root.as_ref().map(|root| root.view()),
            &mut numbers,
        )?;
        let mut curvature = vec![0.0; basis.turn.layout.parameters()];
        for &model in &models {
            let moments = basis.second_moments(model, view.train(), choices.fisher, &mut numbers);
            for (sum, moment) in curvature.iter_mut().zip(moments) {
                *sum += moment / models.len() as f64;
            }
        }
        // sum_t eta_t / (1 - mu): what all examples are exposed to together.
        let rho = kept.iter().flat_map(|checkpoint| &checkpoint.exposure).sum();
        let stretch = |sigma: f64| Stretch::new(sigma + choices.gamma, rho);
        let steps = curvature.into_iter().map(stretch).collect();
        segments.push(Segment { range, root, basis, steps, other: stretch(0.0) });
    }
    Ok(Box::new(Unrolled::<M, T> { view, segments, method: PhantomData }))
}

/// What gradient flow with curvature `sigma` does in a time of `rho`.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    /// `e^{-rho sigma}`, what is left of an earlier change.
    decay: f64,
    /// `(1 - e^{-rho sigma}) / sigma`, what a constant push adds up to.
    push: f64,
}

impl Stretch {
    fn new(sigma: f64, rho: f64) -> Self {
        let decay = (-rho * sigma).exp();
        let push = if sigma > 0.0 { -(-rho * sigma).exp_m1() / sigma } else { rho };
        Self { decay, push }
    }
}

struct Segment<T> {
    /// Its checkpoints.
    range: Range<usize>,
    /// `Q`, `p`; nothing where it is 1.
    root: Option<Array1<f64>>,
    /// Of `Q C Q`.
    basis: Eigenbasis<T>,
    /// By direction of the basis.
    steps: Vec<Stretch>,
    /// For parameters outside of all blocks.
    other: Stretch,
}

impl<T: Real> Segment<T> {
    /// Queries' directions at the end of the segment, `(k, p)`, to `Q F Q b`, what a push during it
    /// is multiplied by, and to `Q^{-1} e^{-rho (Q C Q + gamma)} Q b`, the directions at its start.
    fn unroll(
        &self,
        layout: &attribench_core::Layout,
        mut b: Array2<f64>,
    ) -> (Array2<f64>, Array2<f64>) {
        let by = |part: fn(&Stretch) -> f64| self.steps.iter().map(part).collect::<Vec<_>>();
        let (push, decay) = (by(|step| step.push), by(|step| step.decay));
        if let Some(root) = &self.root {
            b *= root;
        }
        let mut pushed = self.basis.multiply(layout, b.clone(), &push, |_| self.other.push);
        let mut earlier = self.basis.multiply(layout, b, &decay, |_| self.other.decay);
        if let Some(root) = &self.root {
            pushed *= root;
            earlier /= root;
        }
        (pushed, earlier)
    }
}

struct Unrolled<'a, M: Method, T> {
    view: View<'a, M::Access, T>,
    segments: Vec<Segment<T>>,
    method: PhantomData<fn() -> M>,
}

impl<M: Method, T: Real> Unrolled<'_, M, T>
where
    M::Access: ReadsCheckpoints,
{
    /// `values += (1/n) sum_l (F_l b_l) . g_l` with `b_l` carried backwards, for one block of
    /// queries.
    fn unroll(&self, mut b: Array2<f64>, mut values: ArrayViewMut2<'_, f64>) {
        let (train, layout) = (self.view.train(), self.view.model().layout());
        for segment in self.segments.iter().rev() {
            let (pushed, earlier) = segment.unroll(layout, b);
            let x = Directions::new(layout, pushed.view());
            let share = 1.0 / (train.len() * segment.range.len()) as f64;
            for checkpoint in &self.view.checkpoints()[segment.range.clone()] {
                let model = self.view.model_at(&checkpoint.parameters);
                for (start, g) in pair::train_captures(model, train) {
                    let products = x.products(&g);
                    values.slice_mut(s![start..start + g.len(), ..]).scaled_add(share, &products);
                }
            }
            b = earlier;
        }
    }
}

impl<M: Method, T: Real> Scorer<T> for Unrolled<'_, M, T>
where
    M::Access: ReadsCheckpoints,
{
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let (train, model) = (self.view.train(), self.view.model());
        let layout = model.layout();
        let mut values = Array2::zeros((train.len(), queries.examples.len()));
        for (first, block) in queries.examples.blocks(query_rows(layout.parameters())) {
            let asked = Queries { examples: block, utility: queries.utility };
            let b = pair::gradients(&pair::query_captures(model, &asked), layout);
            let end = first + b.nrows();
            self.unroll(b, values.slice_mut(s![.., first..end]));
        }
        label::<M, T>(train, queries, values)
    }
}

#[cfg(test)]
mod tests {
    use super::Stretch;

    #[test]
    fn two_segments_of_one_dimension_by_hand() {
        // sigma = 2 and rho = 1/2 in both, mean gradients 3 and then 1, b = 2, n = 10: F =
        // (1 - e^-1) / 2 and tau = (2/10) (e^-1 F 3 + F 1).
        let step = Stretch::new(2.0, 0.5);
        assert!((step.push - 0.316_060_279_414).abs() < 1e-12);
        assert!((step.decay - 0.367_879_441_171).abs() < 1e-12);
        let tau = 0.2 * (step.decay * step.push * 3.0 + step.push);
        assert!((tau - 0.132_975_303_263).abs() < 1e-12);
        assert_eq!(Stretch::new(0.0, 0.5).push, 0.5);
    }
}
