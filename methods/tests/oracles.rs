//! Other people's numbers on handwritten digits (scikit-learn's `load_digits`), in double
//! precision.
//!
//! `digits_logreg_explicit_if.npz`: softmax regression at its optimum, `g_i^T H^-1 g_j` with the
//! analytic Hessian of the mean objective (regulariser 0.01 included). `digits_mlp_influence.npz`:
//! 64-16-10 tanh network; `g_i^T (C + 0.01 I)^-1 g_j` for the Hessian and the Gauss-Newton matrix
//! of the mean loss, the empirical Fisher matrix, K-FAC and EK-FAC with the data's own labels, the
//! mean of rank-one inverses, and plain gradient products. Both lack the factor `1/n`.

#[allow(dead_code, reason = "shared with the unit tests, which use other parts")]
mod common;

use std::fs::File;

use attribench_core::{
    Curvature, Examples, Labels, Optimiser, Queries, Recipe, UpdateRule, Utility,
};
use attribench_methods::{
    CurvatureKind, Damping, DataInf, EkFac, EkFacCg, Fisher, GraSs, GradDot, InfluenceCg,
    InfluenceExplicit, KFac, LoGra, Placement,
};
use attribench_models::{Activation, Network};
use common::{
    STILL, TestRun, assert_close, curvature_by_products, deviation, gradients_one_at_a_time,
    scores_of,
};
use ndarray::{Array1, Array2, s};
use ndarray_npy::NpzReader;

struct Oracle {
    archive: NpzReader<File>,
}

impl Oracle {
    fn open(name: &str) -> Self {
        let path = format!("{}/tests/oracles/{name}.npz", env!("CARGO_MANIFEST_DIR"));
        Self { archive: NpzReader::new(File::open(path).unwrap()).unwrap() }
    }

    fn matrix(&mut self, name: &str) -> Array2<f64> {
        self.archive.by_name(name).unwrap()
    }

    fn examples(&mut self, inputs: &str, labels: &str) -> Examples<f64> {
        let labels: Array1<i64> = self.archive.by_name(labels).unwrap();
        let labels = labels.iter().map(|&label| u32::try_from(label).unwrap()).collect();
        Examples::new(self.matrix(inputs), Labels::Classes(labels))
    }

    fn run(
        &mut self,
        widths: &[usize],
        parameters: Vec<f64>,
        recipe: Recipe,
    ) -> (TestRun<f64>, Queries<f64>) {
        let train = self.examples("X", "y");
        let model = Network::dense(widths, Activation::Tanh);
        let run = TestRun::at(model, train, parameters, recipe);
        let examples = self.examples("Xt", "yt");
        (run, Queries { examples, utility: Utility::NegativeLoss })
    }
}

fn logistic() -> (Oracle, TestRun<f64>, Queries<f64>) {
    let mut oracle = Oracle::open("digits_logreg_explicit_if");
    // Rows are classes with the bias as last column; here all biases follow all weights.
    let theta = oracle.matrix("theta");
    let weights = theta.slice(s![.., ..64]).iter().copied().collect::<Vec<f64>>();
    let parameters = [weights, theta.column(64).to_vec()].concat();
    let rule = UpdateRule { optimiser: Optimiser::heavy_ball(0.0, 0.01), ..STILL.rule };
    let recipe = Recipe { rule, ..STILL };
    let (run, queries) = oracle.run(&[64, 10], parameters, recipe);
    (oracle, run, queries)
}

fn network() -> (Oracle, TestRun<f64>, Queries<f64>) {
    let mut oracle = Oracle::open("digits_mlp_influence");
    let parameters: Array1<f64> = oracle.archive.by_name("theta").unwrap();
    // One full-batch step of size 1 in all: the exposure of each example is 1/n.
    let rule = UpdateRule { batch_size: 300, ..STILL.rule };
    let recipe = Recipe { steps: 1, rule, total_learning_rate: 1.0 };
    let (run, queries) = oracle.run(&[64, 16, 10], parameters.to_vec(), recipe);
    (oracle, run, queries)
}

/// The oracle's scores divided by `n`.
fn per_example(scores: Array2<f64>) -> Vec<f64> {
    let n = scores.nrows() as f64;
    scores.iter().map(|score| score / n).collect()
}

#[test]
fn explicit_influence_of_softmax_regression() {
    let (mut oracle, run, queries) = logistic();
    let expected = per_example(oracle.matrix("scores"));
    for curvature in [CurvatureKind::Hessian, CurvatureKind::GaussNewton] {
        let method = InfluenceExplicit { curvature, damping: Damping::Absolute(0.0) };
        let scores = scores_of(&method, &run, &queries);
        assert_close(scores.values(), &expected, 1e-11);
    }
}

#[test]
fn explicit_influence_in_single_precision() {
    let (mut oracle, run, queries) = logistic();
    let expected = per_example(oracle.matrix("scores"));
    let (run, queries) = run.in_single_precision(&queries);
    let method =
        InfluenceExplicit { damping: Damping::Absolute(0.0), ..InfluenceExplicit::default() };
    let scores = scores_of(&method, &run, &queries);
    // The parameters were rounded to single precision too, and a score is a second derivative.
    assert_close(scores.values(), &expected, 1e-6);
}

#[test]
fn explicit_influence_predicts_real_removals_no_better_than_it_should() {
    // Removal of one of 300 examples, refitted: first order is right to a few per cent in the mean.
    let (mut oracle, run, queries) = logistic();
    let removals = oracle.matrix("loo_first40");
    let method =
        InfluenceExplicit { damping: Damping::Absolute(0.0), ..InfluenceExplicit::default() };
    let scores = scores_of(&method, &run, &queries);
    let predicted = scores.values().slice(s![..40, ..]).to_owned();
    let products = |a: &Array2<f64>, b: &Array2<f64>| (a * b).sum();
    let cosine = products(&predicted, &removals)
        / (products(&predicted, &predicted) * products(&removals, &removals)).sqrt();
    assert!(cosine > 0.99 && cosine < 1.0 - 1e-6, "cosine {cosine}");
}

#[test]
fn conjugate_gradients_of_softmax_regression() {
    let (mut oracle, run, queries) = logistic();
    let expected = per_example(oracle.matrix("scores"));
    let method = InfluenceCg {
        damping: Damping::Absolute(0.0),
        tolerance: 1e-9,
        iterations: 400,
        ..InfluenceCg::default()
    };
    assert_close(scores_of(&method, &run, &queries).values(), &expected, 1e-7);
}

#[test]
fn hessian_and_gauss_newton_of_a_network() {
    let (mut oracle, run, queries) = network();
    for (curvature, name) in
        [(CurvatureKind::Hessian, "hess_scores"), (CurvatureKind::GaussNewton, "ggn_scores")]
    {
        let expected = per_example(oracle.matrix(name));
        let damping = Damping::Absolute(0.01);
        let explicit = scores_of(&InfluenceExplicit { curvature, damping }, &run, &queries);
        assert_close(explicit.values(), &expected, 1e-10);
        let method = InfluenceCg { curvature, damping, ..InfluenceCg::default() };
        let cg = scores_of(&method, &run, &queries);
        assert_close(cg.values(), &expected, 1e-5);
        // The test can tell the two matrices apart.
        let other = if name == "hess_scores" { "ggn_scores" } else { "hess_scores" };
        let apart = deviation(explicit.values(), &per_example(oracle.matrix(other)));
        assert!(apart > 1e-3, "{name} is within {apart:e} of {other}");
    }
}

#[test]
fn gradient_products_of_a_network() {
    let (mut oracle, run, queries) = network();
    let expected = per_example(oracle.matrix("graddot"));
    assert_close(scores_of(&GradDot::default(), &run, &queries).values(), &expected, 1e-12);
}

#[test]
fn gradients_and_eigenvalues_of_a_network() {
    let (mut oracle, run, queries) = network();
    let (g, b) = gradients_one_at_a_time(&run, &queries);
    let (train, test) = (oracle.matrix("train_grads_first3"), oracle.matrix("test_grads_first3"));
    assert_close(g.slice(s![..3, ..]), train.as_slice().unwrap(), 1e-12);
    assert_close(b.slice(s![..3, ..]), test.as_slice().unwrap(), 1e-12);
    let eigenvalues: Array1<f64> = oracle.archive.by_name("hess_eigs").unwrap();
    let hessian = curvature_by_products(&run, Curvature::Hessian);
    // Trace and squared Frobenius norm: sums of the eigenvalues and of their squares.
    let trace = hessian.diag().sum();
    assert!((trace - eigenvalues.sum()).abs() < 1e-10 * trace, "trace {trace}");
    let squares: f64 = hessian.iter().map(|entry| entry * entry).sum();
    let expected: f64 = eigenvalues.iter().map(|value| value * value).sum();
    assert!((squares - expected).abs() < 1e-10 * expected, "squares {squares}");
}

#[test]
fn kronecker_factors_of_a_network() {
    let (mut oracle, run, queries) = network();
    let (damping, fisher) = (Damping::Absolute(0.01), Fisher::Empirical);
    let expected = per_example(oracle.matrix("kfac_ef_scores"));
    let method = KFac { damping, fisher, placement: Placement::Product };
    assert_close(scores_of(&method, &run, &queries).values(), &expected, 1e-9);
    let expected = per_example(oracle.matrix("ekfac_ef_scores"));
    assert_close(scores_of(&EkFac { damping, fisher }, &run, &queries).values(), &expected, 1e-9);
    // The same in single precision, of data and parameters alike.
    let (narrow, asked) = run.in_single_precision(&queries);
    let found = scores_of(&EkFac { damping, fisher }, &narrow, &asked);
    assert_close(found.values(), &expected, 1e-5);
}

#[test]
fn empirical_curvature_of_a_network() {
    let (mut oracle, run, queries) = network();
    let damping = Damping::Absolute(0.01);
    let expected = per_example(oracle.matrix("ef_scores"));
    let whole = GraSs { damping, ..GraSs::default() };
    assert_close(scores_of(&whole, &run, &queries).values(), &expected, 1e-8);
    // Layer by layer it is another matrix, whose scores go with it all the same.
    let layers = LoGra { side: 65, damping };
    let apart = deviation(scores_of(&layers, &run, &queries).values(), &expected);
    assert!(apart > 1e-3 && apart < 1.0, "{apart}");
    let expected = per_example(oracle.matrix("datainf_scores"));
    assert_close(scores_of(&DataInf { damping }, &run, &queries).values(), &expected, 1e-10);
}

#[test]
fn preconditioned_conjugate_gradients_of_a_network() {
    let (mut oracle, run, queries) = network();
    let expected = per_example(oracle.matrix("ggn_scores"));
    let method = EkFacCg { damping: Damping::Absolute(0.01), ..EkFacCg::default() };
    assert_close(scores_of(&method, &run, &queries).values(), &expected, 1e-5);
}
