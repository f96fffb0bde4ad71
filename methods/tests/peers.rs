//! What other libraries of this field say of the same models, as they returned it.
//!
//! `digits_mlp_peers.npz`: the network of `digits_mlp_influence.npz`; `fashion_peers.npz`: the
//! softmax regression of `fashion_logreg.npz`. Each holds scores `(300, 20)` of the first training
//! examples and queries by dattri 0.3.0, kronfluence 1.0.1, pyDVL 0.10.0, captum 0.9.0 and traker
//! 0.3.2 with PyTorch 2.11, in single precision and without the factor `1/n`; names say the
//! settings. Where a definition is ours, numbers are; where it is not, the test says how it differs
//! and holds on to the correlation that remains.

#[allow(dead_code, reason = "shared with the unit tests, which use other parts")]
mod common;

use std::fs::File;

use attribench_core::{Examples, Labels, Method, Optimiser, Queries, Recipe, UpdateRule, Utility};
use attribench_methods::{
    Arnoldi, CurvatureKind, Damping, DataInf, EkFac, Fisher, GradCos, GradDot, InfluenceCg,
    InfluenceExplicit, KFac, KnnShapley, Nystrom, Placement, RpsL2, Trak, TrakPublished,
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
            let expected = self.peer(name);
            let apart = deviation(ours.view(), expected.as_slice().unwrap());
            assert!(apart < 1e-5, "{name}: {apart:e}");
        }
    }

    /// That the correlation is as it is known to be, to the digits given, and the slope of theirs
    /// on ours.
    #[track_caller]
    fn assert_related(&self, ours: &Array2<f64>, name: &str, known: f64, slope: f64) {
        let theirs = self.peer(name);
        let found = (correlation(ours, &theirs), slope_of(&theirs, ours));
        eprintln!("{name}: correlation {:.5} ({known}), slope {:.5} ({slope})", found.0, found.1);
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

fn fashion() -> Setting {
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
    // The regulariser of the fit is the damping that the libraries were given.
    let run = TestRun::at(model, train, theta.to_vec(), recipe(1_000, 0.01));
    let examples = examples("test_x", "test_y", QUERIES);
    let queries = Queries { examples, utility: Utility::NegativeLoss };
    Setting { run, queries, peers: "fashion_peers" }
}

const DAMPING: Damping = Damping::Absolute(0.01);
/// Of the regression, whose regulariser damps already.
const NONE: Damping = Damping::Absolute(0.0);

#[test]
fn methods_that_are_defined_alike_agree_on_a_network() {
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
}

#[test]
fn methods_that_are_defined_otherwise_are_related_on_a_network() {
    let digits = digits();
    let curvature = CurvatureKind::Hessian;
    let explicit = digits.ours(&InfluenceExplicit { curvature, damping: DAMPING });
    let products = digits.ours(&GradDot::default());
    let empirical = digits.ours(&EkFac { damping: DAMPING, fisher: Fisher::Empirical });
    let expected = digits.ours(&EkFac { damping: DAMPING, fisher: Fisher::Expected });
    let undamped =
        digits.ours(&EkFac { damping: Damping::Absolute(1e-8), fisher: Fisher::Expected });
    let data_inf = digits.ours(&DataInf { damping: DAMPING });
    digits.assert_related(&explicit, "dattri_Explicit_batches_of_100", 0., 0.);
    digits.assert_related(&explicit, "dattri_CG_max_iter10default", 0., 0.);
    digits.assert_related(&empirical, "dattri_EKFAC_biases", 0., 0.);
    digits.assert_related(&products, "dattri_EKFAC_biases", 0., 0.);
    digits.assert_related(&products, "dattri_EKFAC_with_our_biaslayout_patch", 0., 0.);
    digits.assert_related(&products, "dattri_GradDot_projector_kwargsNone_default", 0., 0.);
    digits.assert_related(&expected, "kronfluence_ekfac_trueFisher_sampled", 0., 0.);
    digits.assert_related(&undamped, "kronfluence_ekfac_trueFisher_default_damp1e8", 0., 0.);
    digits.assert_related(&expected, "pydvl_Ekfac_sampled_labels", 0., 0.);
    digits.assert_related(&expected, "pydvl_Ekfac_update_diagonal", 0., 0.);
    digits.assert_related(&data_inf, "pydvl_InverseHarmonicMean_DataInf", 0., 0.);
    for name in [
        "captum_Naive_hessian_reg1e2",
        "captum_Naive_hessian_reg1e2x300_inv_tol_inf",
        "captum_Naive_defaults",
        "captum_Arnoldi_defaults",
        "pydvl_Lissa",
        "pydvl_Nystroem_rank_200",
        "pydvl_Arnoldi_rank_200",
        "pydvl_Arnoldi_rank10default",
    ] {
        digits.assert_related(&explicit, name, 0., 0.);
    }
    for rank in [10, 200] {
        let arnoldi = digits.ours(&Arnoldi { curvature, damping: DAMPING, iterations: rank, rank });
        digits.assert_related(
            &arnoldi,
            if rank == 10 { "pydvl_Arnoldi_rank10default" } else { "pydvl_Arnoldi_rank_200" },
            0.,
            0.,
        );
        let arnoldi =
            digits.ours(&Arnoldi { curvature, damping: DAMPING, iterations: 2 * rank, rank });
        digits.assert_related(
            &arnoldi,
            if rank == 10 { "pydvl_Arnoldi_rank10default" } else { "pydvl_Arnoldi_rank_200" },
            0.,
            0.,
        );
    }
    let nystrom = digits.ours(&Nystrom { curvature, damping: DAMPING, rank: 200 });
    digits.assert_related(&nystrom, "pydvl_Nystroem_rank_200", 0., 0.);
}

#[test]
fn regression_peers() {
    let fashion = fashion();
    let r = |o: &Array2<f64>, n: &str| fashion.assert_related(o, n, 0., 0.);
    let explicit =
        fashion.ours(&InfluenceExplicit { damping: NONE, ..InfluenceExplicit::default() });
    let products = fashion.ours(&GradDot::default());
    r(&explicit, "dattri_if_explicit");
    r(&explicit, "dattri_if_cg10");
    r(&explicit, "pydvl_lissa");
    for n in ["dattri_graddot", "captum_graddot", "captum_fast", "dattri_ekfac", "dattri_arnoldi"] {
        r(&products, n);
    }
    r(&(fashion.ours(&GradCos::default()) / 1000.), "dattri_gradcos");
    for neighbours in [5, 10, 1] {
        r(&(fashion.ours(&KnnShapley { neighbours }) / 1000.), "dattri_knnshap");
    }
    for penalty in [1e-2, 1e-3, 2e-3, 1e-4] {
        r(&fashion.ours(&RpsL2 { penalty }), "dattri_rps");
        r(&fashion.ours(&RpsL2 { penalty }), "dattri_rps300");
    }
    for (fisher, p) in [
        (Fisher::Empirical, "kronfluence_ekfac_emp"),
        (Fisher::Expected, "pydvl_ekfac"),
        (Fisher::Sampled, "pydvl_ekfac"),
    ] {
        r(&fashion.ours(&EkFac { damping: NONE, fisher }), p);
        r(&fashion.ours(&EkFac { damping: DAMPING, fisher }), p);
    }
    r(
        &fashion.ours(&EkFac { damping: Damping::Relative(0.1), fisher: Fisher::Expected }),
        "kronfluence_ekfac",
    );
    r(
        &fashion.ours(&KFac {
            damping: Damping::Relative(0.1),
            fisher: Fisher::Expected,
            placement: Placement::Product,
        }),
        "kronfluence_kfac",
    );
    r(&fashion.ours(&Nystrom { damping: NONE, rank: 100, ..Nystrom::default() }), "pydvl_nystroem");
    for k in [100, 200] {
        r(
            &fashion.ours(&Arnoldi {
                damping: NONE,
                iterations: k,
                rank: 100,
                ..Arnoldi::default()
            }),
            "pydvl_arnoldi",
        );
        r(
            &fashion.ours(&Arnoldi {
                damping: NONE,
                iterations: k,
                rank: 100,
                ..Arnoldi::default()
            }),
            "captum_arnoldi100",
        );
    }
    for size in [512] {
        for d in [NONE, Damping::Absolute(1e-5), DAMPING] {
            for n in ["dattri_trak512", "dattri_trak512_reg", "traker_pd512"] {
                r(&fashion.ours(&TrakPublished { size, damping: d }), n);
                r(&fashion.ours(&Trak { size, damping: d }), n);
            }
        }
    }
}
