//! What other libraries of this field say of the same models, as they returned it.
//!
//! `digits_mlp_peers.npz`: the network of `digits_mlp_influence.npz`; `fashion_peers.npz`: the
//! softmax regression of `fashion_logreg.npz`. Each holds scores `(300, 20)` of the first training
//! examples and queries by dattri 0.3.0, kronfluence 1.0.1, pyDVL 0.10.0, captum 0.9.0 and traker
//! 0.3.2 with PyTorch 2.11, in single precision and without the factor `1/n`; names say the
//! settings. Where a definition is ours, the numbers agree; where it is not, the test says how it
//! differs, and knows the correlation that remains and the slope of their scores on ours.

#[allow(dead_code, reason = "shared with the unit tests, which use other parts")]
mod common;

use std::fs::File;

use attribench_core::{Examples, Labels, Method, Optimiser, Queries, Recipe, UpdateRule, Utility};
use attribench_methods::{
    Arnoldi, CurvatureKind, Damping, DataInf, EkFac, Fisher, GradCos, GradDot, InfluenceCg,
    InfluenceExplicit, KFac, KnnShapley, Nystrom, Placement, RpsL2, TrakPublished,
};
use attribench_models::{Activation, Network};
use common::{STILL, TestRun, deviation, scores_of};
use ndarray::{Array1, Array2, s};
use ndarray_npy::{NpzReader, ReadableElement};

const QUERIES: usize = 20;
const ROWS: usize = 300;

fn archive(name: &str) -> NpzReader<File> {
    let path = format!("{}/tests/oracles/{name}.npz", env!("CARGO_MANIFEST_DIR"));
    NpzReader::new(File::open(path).unwrap()).unwrap()
}

fn matrix<T: ReadableElement>(file: &str, name: &str) -> Array2<T> {
    archive(file).by_name(name).unwrap()
}

/// A model with its queries, and the libraries' scores of it.
struct Setting {
    run: TestRun<f64>,
    queries: Queries<f64>,
    peers: &'static str,
}

impl Setting {
    fn peer(&self, name: &str) -> Array2<f64> {
        matrix::<f32>(self.peers, name).mapv(f64::from)
    }

    /// Scores of the same examples without the factor `1/n`.
    fn ours<M: Method>(&self, method: &M) -> Array2<f64> {
        let scores = scores_of(method, &self.run, &self.queries);
        let n = self.run.train.len() as f64;
        scores.values().slice(s![..ROWS, ..]).to_owned() * n
    }

    #[track_caller]
    fn assert_equal<M: Method>(&self, method: &M, names: &[&str]) {
        let ours = self.ours(method);
        for name in names {
            let expected: Vec<f64> = self.peer(name).iter().copied().collect();
            let apart = deviation(ours.view(), &expected);
            // Theirs are in single precision.
            assert!(apart < 1e-5, "{name}: {apart:e}");
        }
    }

    /// Correlation and slope as they are known to be, to the digits given.
    #[track_caller]
    fn assert_related(&self, ours: &Array2<f64>, name: &str, (known, slope): (f64, f64)) {
        let theirs = self.peer(name);
        let found = (correlation(ours, &theirs), slope_of(&theirs, ours));
        let near = (found.0 - known).abs() < 1e-3 && (found.1 / slope - 1.0).abs() < 1e-2;
        assert!(near, "{name}: {found:?}, not {:?}", (known, slope));
    }
}

fn correlation(x: &Array2<f64>, y: &Array2<f64>) -> f64 {
    let flat = |x: &Array2<f64>| x.iter().copied().collect::<Array1<f64>>();
    attribench_engine::statistics::pearson(flat(x).view(), flat(y).view()).unwrap()
}

/// Least squares through the origin.
fn slope_of(y: &Array2<f64>, x: &Array2<f64>) -> f64 {
    (y * x).sum() / (x * x).sum()
}

/// One full-batch step of size 1 in all: the exposure of each example is `1/n`.
fn recipe(train_rows: usize, weight_decay: f64) -> Recipe {
    let optimiser = Optimiser::heavy_ball(0.0, weight_decay);
    let rule = UpdateRule { optimiser, batch_size: train_rows, ..STILL.rule };
    Recipe { steps: 1, rule, total_learning_rate: 1.0 }
}

fn digits() -> Setting {
    let file = "digits_mlp_influence";
    let examples = |inputs: &str, labels: &str, rows: usize| {
        let labels: Array1<i64> = archive(file).by_name(labels).unwrap();
        let labels = labels.iter().take(rows).map(|&label| u32::try_from(label).unwrap());
        let features = matrix::<f64>(file, inputs).slice(s![..rows, ..]).to_owned();
        Examples::new(features, Labels::Classes(labels.collect()))
    };
    let parameters: Array1<f64> = archive(file).by_name("theta").unwrap();
    let model = Network::dense(&[64, 16, 10], Activation::Tanh);
    let train = examples("X", "y", ROWS);
    let run = TestRun::at(model, train, parameters.to_vec(), recipe(ROWS, 0.0));
    let queries =
        Queries { examples: examples("Xt", "yt", QUERIES), utility: Utility::NegativeLoss };
    Setting { run, queries, peers: "digits_mlp_peers" }
}

/// With a weight decay, or none for libraries that know of none.
fn fashion(weight_decay: f64) -> Setting {
    let file = "fashion_logreg";
    let prepared = |pixel: u8| f64::from((f32::from(pixel) / 255.0 - 0.2860) / 0.3530);
    let examples = |images: &str, labels: &str, rows: usize| {
        let labels: Array1<u8> = archive(file).by_name(labels).unwrap();
        let labels = labels.iter().take(rows).map(|&label| u32::from(label)).collect();
        let images = matrix::<u8>(file, images).slice(s![..rows, ..]).mapv(prepared);
        Examples::new(images, Labels::Classes(labels))
    };
    let theta: Array1<f64> = archive(file).by_name("theta").unwrap();
    let model = Network::dense(&[784, 10], Activation::Tanh);
    let train = examples("train_x", "train_y", 1_000);
    let run = TestRun::at(model, train, theta.to_vec(), recipe(1_000, weight_decay));
    let examples = examples("test_x", "test_y", QUERIES);
    let queries = Queries { examples, utility: Utility::NegativeLoss };
    Setting { run, queries, peers: "fashion_peers" }
}

const DAMPING: Damping = Damping::Absolute(0.01);
/// For a regression whose regulariser damps already.
const NONE: Damping = Damping::Absolute(0.0);

#[test]
fn methods_that_are_defined_alike_agree() {
    let digits = digits();
    let curvature = CurvatureKind::Hessian;
    let explicit = InfluenceExplicit { curvature, damping: DAMPING };
    let whole = ["dattri_Explicit_fullbatch", "pydvl_Direct", "pydvl_Direct_batches_of_100"];
    digits.assert_equal(&explicit, &whole);
    let cg = InfluenceCg { curvature, damping: DAMPING, ..InfluenceCg::default() };
    digits.assert_equal(&cg, &["pydvl_Cg"]);
    let products =
        ["dattri_GradDot_projector_off_attr_hack", "kronfluence_identity", "captum_TracInCP"];
    digits.assert_equal(&GradDot::default(), &products);
    let fisher = Fisher::Empirical;
    let k_fac = KFac { damping: DAMPING, fisher, placement: Placement::Product };
    digits.assert_equal(&k_fac, &["kronfluence_kfac_empirical"]);
    let ek_fac = EkFac { damping: DAMPING, fisher };
    digits.assert_equal(&ek_fac, &["kronfluence_ekfac_empirical"]);
    digits.assert_equal(&DataInf { damping: DAMPING }, &["dattri_DataInf"]);

    let regression = fashion(0.01);
    regression.assert_equal(&GradDot::default(), &["dattri_graddot", "captum_graddot"]);
    regression.assert_equal(&EkFac { damping: NONE, fisher }, &["kronfluence_ekfac_emp"]);
}

/// What differs from explicit influence with the Hessian, damped by 0.01.
#[test]
fn explicit_influence_and_what_stands_for_it() {
    let digits = digits();
    let curvature = CurvatureKind::Hessian;
    let explicit = digits.ours(&InfluenceExplicit { curvature, damping: DAMPING });
    let related = |name, known| digits.assert_related(&explicit, name, known);
    // A sum over batches of inverses of the batch's Hessian: another method, and 4.7 times as
    // large.
    related("dattri_Explicit_batches_of_100", (0.9828, 4.712));
    // Ten iterations.
    related("dattri_CG_max_iter10default", (0.9981, 1.004));
    // More are no remedy: the tolerance is not looked at, and after convergence 0 is divided by 0.
    let lost = |name| digits.peer(name).iter().filter(|score| score.is_nan()).count();
    assert_eq!(lost("dattri_CG_max_iter300_tol_1e10"), ROWS * QUERIES / 5);
    // Roots of negative Ritz values.
    assert_eq!(lost("dattri_Arnoldi_default_proj100"), ROWS * QUERIES);
    assert_eq!(lost("dattri_Arnoldi_proj400_iter400"), ROWS * QUERIES);
    // The Hessian of the summed loss, so that a damping is n times less; damping n times as large
    // and no eigenvalue cut off, it is ours over n.
    related("captum_Naive_hessian_reg1e2", (0.9295, 0.00379));
    related("captum_Naive_defaults", (0.9294, 0.00379));
    related("captum_Arnoldi_defaults", (0.9294, 0.00379));
    related("captum_Naive_hessian_reg1e2x300_inv_tol_inf", (1.0, 1.0 / 300.0));
    // A series cut short, columns drawn at random.
    related("pydvl_Lissa", (0.9884, 0.834));
    related("pydvl_Nystroem_rank_200", (0.9970, 1.057));
    // The largest eigenvectors, converged; ours converge with twice as many iterations as vectors.
    for (name, rank, known) in [
        ("pydvl_Arnoldi_rank10default", 10, (0.9998, 1.0)),
        ("pydvl_Arnoldi_rank_200", 200, (1.0, 1.0)),
    ] {
        let method = Arnoldi { curvature, damping: DAMPING, iterations: 2 * rank, rank };
        digits.assert_related(&digits.ours(&method), name, known);
    }
}

/// What differs from Kronecker factors and the other cheap inverses, damped by 0.01.
#[test]
fn factors_and_rank_one_inverses() {
    let digits = digits();
    let empirical = digits.ours(&EkFac { damping: DAMPING, fisher: Fisher::Empirical });
    let products = digits.ours(&GradDot::default());
    // Biases are laid out wrongly, and eigenvalues come out so small that damping is all there is:
    // gradient products, times 100. With biases laid out rightly they stay so.
    digits.assert_related(&empirical, "dattri_EKFAC_biases", (0.9307, 2.200));
    digits.assert_related(&products, "dattri_EKFAC_biases", (1.0, 98.0));
    digits.assert_related(&products, "dattri_EKFAC_batches_of_50", (1.0, 98.0));
    digits.assert_related(&products, "dattri_EKFAC_with_our_biaslayout_patch", (1.0, 96.5));
    // A projection is on unless it is turned off by hand.
    digits.assert_related(
        &products,
        "dattri_GradDot_projector_kwargsNone_default",
        (0.9913, 0.951),
    );
    // Labels sampled once, where ours are expected ones.
    let fisher = Fisher::Expected;
    let expected = digits.ours(&EkFac { damping: DAMPING, fisher });
    digits.assert_related(&expected, "kronfluence_ekfac_trueFisher_sampled", (0.9483, 1.201));
    digits.assert_related(&expected, "pydvl_Ekfac_sampled_labels", (0.9935, 0.6485));
    digits.assert_related(&expected, "pydvl_Ekfac_update_diagonal", (0.9943, 0.6639));
    let undamped = digits.ours(&EkFac { damping: Damping::Absolute(1e-8), fisher });
    let name = "kronfluence_ekfac_trueFisher_default_damp1e8";
    digits.assert_related(&undamped, name, (0.8139, 1.821));
    // Divided by n a second time.
    let data_inf = digits.ours(&DataInf { damping: DAMPING });
    let name = "pydvl_InverseHarmonicMean_DataInf";
    digits.assert_related(&data_inf, name, (1.0, 1.0 / 300.0));
}

#[test]
fn methods_that_are_defined_otherwise_are_related_on_a_regression() {
    let damped = fashion(0.01);
    let products = damped.ours(&GradDot::default());
    // Weights alone, without the bias.
    damped.assert_related(&products, "captum_fast", (1.0, 0.9975));
    damped.assert_related(&products, "dattri_ekfac", (0.9818, 67.55));
    // Cosines and Shapley values know no n. Gradients of examples that are right with certainty
    // are lost in single precision.
    let per_example = |ours: Array2<f64>| ours / 1_000.0;
    let cosines = per_example(damped.ours(&GradCos::default()));
    damped.assert_related(&cosines, "dattri_gradcos", (1.0, 1.0));
    let shapley = per_example(damped.ours(&KnnShapley { neighbours: 5 }));
    let apart = deviation(shapley.view(), &Vec::from_iter(damped.peer("dattri_knnshap")));
    assert!(apart < 1e-6, "{apart:e}");
    // Half as many columns, drawn at random, as would be needed.
    let nystrom = damped.ours(&Nystrom { damping: NONE, rank: 100, ..Nystrom::default() });
    damped.assert_related(&nystrom, "pydvl_nystroem", (0.5785, 0.5506));

    let plain = fashion(0.0);
    // Labels sampled once; their default damping is a tenth of each layer's mean eigenvalue.
    let (fisher, tenth) = (Fisher::Expected, Damping::Relative(0.1));
    let ek_fac = plain.ours(&EkFac { damping: tenth, fisher });
    plain.assert_related(&ek_fac, "kronfluence_ekfac", (0.9679, 1.285));
    let k_fac = plain.ours(&KFac { damping: tenth, fisher, placement: Placement::Product });
    plain.assert_related(&k_fac, "kronfluence_kfac", (0.9840, 1.077));
    let ek_fac = plain.ours(&EkFac { damping: DAMPING, fisher });
    plain.assert_related(&ek_fac, "pydvl_ekfac", (0.9811, 0.9241));
}

#[test]
fn eigenvectors_of_a_regression() {
    let regression = fashion(0.01);
    let method = Arnoldi { damping: NONE, iterations: 200, rank: 100, ..Arnoldi::default() };
    let ours = regression.ours(&method);
    regression.assert_related(&ours, "pydvl_arnoldi", (1.0, 1.0));
    // The Hessian of the summed loss, divided by n.
    regression.assert_related(&ours, "captum_arnoldi100", (0.9991, 0.00106));
    // Roots of negative Ritz values again; what is left has nothing to do with influence.
    let relation = correlation(&ours, &regression.peer("dattri_arnoldi"));
    assert!(relation.abs() < 0.05, "{relation}");
}

#[test]
fn sketches_and_representer_points_of_a_regression() {
    let mut plain = fashion(0.0);
    // Their layer has no bias, is fitted to what the network predicts, not to the labels, and by
    // gradient descent that ends before the optimum. Their penalty, 0.003 |Theta|^2, is half ours.
    let points = plain.ours(&RpsL2 { penalty: 0.006 });
    plain.assert_related(&points, "dattri_rps", (0.9445, 4.150e-7));
    plain.assert_related(&points, "dattri_rps300", (0.9006, 2.759e-7));
    // Each draws a projection of its own: two draws of ours correlate by 0.75. Theirs have no
    // damping, or a little, and with more sums than examples nothing is left.
    plain.queries.utility = Utility::Margin;
    let sketches = plain.ours(&TrakPublished::default());
    for (name, known) in [
        ("dattri_trak512", (0.4750, 7.944e-4)),
        ("dattri_trak512_reg", (0.6056, 5.510e-4)),
        ("traker_pd512", (0.4686, 0.08696)),
    ] {
        plain.assert_related(&sketches, name, known);
    }
    let relation = correlation(&sketches, &plain.peer("traker_pd2048"));
    assert!(relation.abs() < 0.05, "{relation}");
}
