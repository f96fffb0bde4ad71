//! Influence functions with the mean of rank-one inverses.
//!
//! # Computes
//! `tau[i, q] = (1/n) sum_l x_ql . g_il` at `theta_T`, block of parameters by block, with `x_l =
//! (1 / lambda_l) (b_l - (1/n) sum_j (g_jl . b_l) / (lambda_l + |g_jl|^2) g_jl)`: the mean over the
//! training examples of `(g_jl g_jl^T + lambda_l I)^-1`, applied to `b_l`. `lambda_l` is the weight
//! decay plus the damping, relative to the mean eigenvalue `(1 / (n p_l)) sum_j |g_jl|^2`.
//!
//! # Reads
//! Final weights. One gradient for each training example and query.
//!
//! # Shapes
//! Captures of all training examples are kept. For each block gradient products `(n, q)` and, a
//! block of rows at a time, `(m, n)`; then `(m, n) x (n, q) -> (m, q)`. No gradient is formed.
//!
//! # Differs from the paper
//! The paper swaps mean and inverse for adapters of low rank; here it is done for every block. All
//! `g_j` stand for the training loss, and the score carries `1/n` and the sign of the utility.
//! With products of gradients in place of the vectors `x`, the cost grows with `n^2`.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::{Damping, DataInf};
//! assert!(DataInf { damping: Damping::Absolute(0.01) }.check().is_ok());
//! ```
//!
//! # References
//! Kwon, Wu, Wu, Zou, DataInf: efficiently estimating data influence in LoRA-tuned LLMs and
//! diffusion models, ICLR 2024, arXiv 2310.00902.

use attribench_core::{
    Block, Captures, Context, FinalModel, Method, MethodError, MethodInfo, ProblemSize, Queries,
    Real, Scale, Scorer, Scores, View, math,
};
use ndarray::{Array2, s};
use serde::{Deserialize, Serialize};

use crate::{Damping, ek_fac::refuse_singular, label, pair};

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DataInf {
    /// `lambda`, or how many times the mean eigenvalue of a block it is.
    pub damping: Damping,
}

impl Method for DataInf {
    type Access = FinalModel;
    const INFO: MethodInfo = MethodInfo {
        name: "data-inf",
        summary: "influence functions with the mean of rank-one inverses",
        scale: Scale::Derivative,
    };

    fn check(&self) -> Result<(), String> {
        self.damping.check()
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { examples, queries, parameters, number } = size;
        // Captures hold no more than the gradients; products of a block of rows and of the queries.
        let products = (2 * queries + pair::BLOCK_ROWS) * examples * size_of::<f64>();
        (products + examples * parameters.min(1 << 14) * number) as u64
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, FinalModel, T>,
        _context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let (model, train) = (view.model(), view.train());
        let train_captures: Vec<_> = pair::train_captures(model, train).collect();
        let (mut norms, mut lambdas) = (Vec::new(), Vec::new());
        for block in model.layout().blocks() {
            let of_block = train_captures
                .iter()
                .flat_map(|(_, g)| pair::block_squared_norms(g, model.layout(), block));
            let of_block: Vec<f64> = of_block.collect();
            let mean = of_block.iter().sum::<f64>() / (train.len() * block.range.len()) as f64;
            lambdas.push(view.recipe().rule.optimiser.ridge() + self.damping.relative_to(mean));
            norms.push(of_block);
        }
        refuse_singular(&lambdas)?;
        Ok(Box::new(Fitted { view, train_captures, norms, lambdas }))
    }
}

struct Fitted<'a, T> {
    view: View<'a, FinalModel, T>,
    /// Captures of all training examples in blocks of rows, with the first row of each.
    train_captures: Vec<(usize, Captures<T>)>,
    /// `|g_jl|^2` of every block, `n` each.
    norms: Vec<Vec<f64>>,
    lambdas: Vec<f64>,
}

impl<T: Real> Fitted<'_, T> {
    /// `values += (1/n) x_l . g_l` of one block.
    fn add_block(&self, index: usize, block: &Block, b: &Captures<T>, values: &mut Array2<f64>) {
        let layout = self.view.model().layout();
        let (lambda, norms) = (self.lambdas[index], &self.norms[index]);
        let n = norms.len() as f64;
        let mut products = Array2::zeros(values.dim());
        for (start, g) in &self.train_captures {
            let mut rows = Array2::zeros((g.len(), b.len()));
            pair::add_block_products(&g.layers, &b.layers, layout, block, &mut rows);
            products.slice_mut(s![*start..start + g.len(), ..]).assign(&rows);
        }
        values.scaled_add(1.0 / (n * lambda), &products);
        for (mut row, norm) in products.outer_iter_mut().zip(norms) {
            row /= lambda + norm;
        }
        for (start, g) in &self.train_captures {
            for (other, h) in &self.train_captures {
                let mut between = Array2::zeros((g.len(), h.len()));
                pair::add_block_products(&g.layers, &h.layers, layout, block, &mut between);
                let rows = values.slice_mut(s![*start..start + g.len(), ..]);
                let shares = products.slice(s![*other..other + h.len(), ..]);
                // (m, m') x (m', q) -> (m, q)
                math::matmul_into(rows, 1.0, between.view(), shares, -1.0 / (n * n * lambda));
            }
        }
    }
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let (train, model) = (self.view.train(), self.view.model());
        let b = pair::query_captures(model, queries);
        let mut values = Array2::zeros((train.len(), queries.examples.len()));
        for (index, block) in model.layout().blocks().iter().enumerate() {
            self.add_block(index, block, &b, &mut values);
        }
        label::<DataInf, T>(train, queries, values)
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::{Examples, Labels, Queries, Utility};
    use attribench_models::{Activation, Network};
    use ndarray::Array2;

    use super::DataInf;
    use crate::{
        Damping,
        common::{
            STILL, TestRun, assert_close, digits_like, gradients_one_at_a_time, scores_of,
            solve_slowly,
        },
    };

    #[test]
    fn two_examples_by_hand() {
        // A line y = w x + c at (0, 0): gradients -y (x, 1). Targets and inputs are chosen so that
        // (bias, slope) of the gradients are (1, 0) and (1, 2) and of the query (1, 1). With
        // lambda = 0.5, x = (26/33, 10/11) in that order; tau = x . g / 2.
        let line = |x: Vec<f64>, y: Vec<f64>| {
            Examples::new(Array2::from_shape_vec((x.len(), 1), x).unwrap(), Labels::Values(y))
        };
        let model = Network::dense(&[1, 1], Activation::Tanh);
        let train = line(vec![0.0, 2.0], vec![-1.0, -1.0]);
        let run = TestRun::at(model, train, vec![0.0, 0.0], STILL);
        let examples = line(vec![1.0], vec![-1.0]);
        let queries = Queries { examples, utility: Utility::NegativeLoss };
        let method = DataInf { damping: Damping::Absolute(0.5) };
        let scores = scores_of(&method, &run, &queries);
        let expected = [26.0 / 66.0, (26.0 / 33.0 + 20.0 / 11.0) / 2.0];
        assert_close(scores.values(), &expected, 1e-14);
    }

    #[test]
    fn with_one_example_it_is_the_inverse() {
        // One layer is one block, and the mean over one inverse is the inverse of the mean.
        let (mut run, queries) = digits_like::<f64>(30).network(&[]).pair(5, Utility::Margin);
        run.train = run.train.select(&[7]);
        let (g, b) = gradients_one_at_a_time(&run, &queries);
        let curvature = g.t().dot(&g) + Array2::<f64>::eye(g.ncols()) * 0.3;
        let expected = g.dot(&solve_slowly(curvature, b.t().to_owned()));
        let found = scores_of(&DataInf { damping: Damping::Absolute(0.3) }, &run, &queries);
        assert_close(found.values(), expected.as_slice().unwrap(), 1e-10);
    }

    #[test]
    fn agrees_with_a_loop_over_gradients() {
        let (run, queries) = digits_like::<f64>(30).network(&[7]).pair(5, Utility::Margin);
        let (g, b) = gradients_one_at_a_time(&run, &queries);
        let mut expected = Array2::<f64>::zeros((30, 5));
        for block in [0..13 * 7, 13 * 7..g.ncols()] {
            let g = g.slice(ndarray::s![.., block.clone()]).to_owned();
            let mut mean = Array2::<f64>::zeros((block.len(), block.len()));
            let lambda = 0.1 * (&g * &g).sum() / (30.0 * block.len() as f64);
            for row in g.outer_iter() {
                let row = row.insert_axis(ndarray::Axis(0));
                let eye = Array2::<f64>::eye(block.len());
                mean += &solve_slowly(row.t().dot(&row) + &eye * lambda, eye);
            }
            let x = b.slice(ndarray::s![.., block]).dot(&(mean / 30.0));
            expected += &(g.dot(&x.t()) / 30.0);
        }
        let found = scores_of(&DataInf::default(), &run, &queries);
        assert_close(found.values(), expected.as_slice().unwrap(), 1e-10);
    }
}
