//! Softmax regression on 1,000 images of Fashion-MNIST (MIT, Zalando), 785 x 10 parameters at the
//! optimum of the mean loss plus `0.005 |theta|^2`, by other people.
//!
//! `fashion_logreg.npz`: images, parameters, `g_i^T (H + 0.01 I)^-1 g_j` in double precision for
//! 100 queries, the losses of 200 models fitted again on halves of the data, and scores that
//! libraries gave for 300 training examples. Scores lack the factor `1/n`.

#[allow(dead_code, reason = "shared with the unit tests, which use other parts")]
mod common;

use std::fs::File;

use attribench_core::{Examples, Labels, Optimiser, Queries, Recipe, UpdateRule, Utility};
use attribench_engine::{
    metrics::{LdsInput, lds},
    statistics::{Plan, Resamples, Seeds},
};
use attribench_methods::{Damping, EkFac, Fisher, GradDot, InfluenceExplicit};
use attribench_models::{Activation, Network};
use common::{STILL, TestRun, assert_close, scores_of};
use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use ndarray_npy::{NpzReader, ReadableElement};

const TRAIN_ROWS: usize = 1_000;

fn oracle() -> NpzReader<File> {
    let path = format!("{}/tests/oracles/fashion_logreg.npz", env!("CARGO_MANIFEST_DIR"));
    NpzReader::new(File::open(path).unwrap()).unwrap()
}

fn matrix<T: ReadableElement>(name: &str) -> Array2<T> {
    oracle().by_name(name).unwrap()
}

/// A library's scores, `(300, 100)`.
fn peer(name: &str) -> Array2<f64> {
    matrix::<f32>(name).mapv(f64::from)
}

fn examples(images: &str, labels: &str) -> Examples<f64> {
    // Prepared in single precision, as for the libraries.
    let prepared = |pixel: u8| f64::from((f32::from(pixel) / 255.0 - 0.2860) / 0.3530);
    let labels: Array1<u8> = oracle().by_name(labels).unwrap();
    let labels = labels.iter().map(|&label| u32::from(label)).collect();
    Examples::new(matrix::<u8>(images).mapv(prepared), Labels::Classes(labels))
}

fn setting() -> (TestRun<f64>, Queries<f64>) {
    let theta: Array1<f64> = oracle().by_name("theta").unwrap();
    // The regulariser; one full-batch step of size 1 in all, so that an exposure is 1/n.
    let optimiser = Optimiser::heavy_ball(0.0, 0.01);
    let rule = UpdateRule { optimiser, batch_size: TRAIN_ROWS, ..STILL.rule };
    let recipe = Recipe { steps: 1, rule, total_learning_rate: 1.0 };
    let model = Network::dense(&[784, 10], Activation::Tanh);
    let run = TestRun::at(model, examples("train_x", "train_y"), theta.to_vec(), recipe);
    let queries =
        Queries { examples: examples("test_x", "test_y"), utility: Utility::NegativeLoss };
    (run, queries)
}

/// Mean LDS against the retrained halves, with minus the loss as the utility.
fn lds_of(scores: ArrayView2<'_, f64>) -> f64 {
    let bits: Array2<u8> = matrix("masks_packed");
    let kept = |(subset, i): (usize, usize)| f64::from(bits[(subset, i / 8)] >> (7 - i % 8) & 1);
    let subsets = Array2::from_shape_fn((bits.nrows(), TRAIN_ROWS), kept);
    let utilities = matrix::<f32>("subset_test_loss").mapv(|loss| -f64::from(loss));
    let utilities = utilities.insert_axis(Axis(0));
    let (rows, columns) = (subsets.nrows(), scores.ncols());
    let plan = Plan { seed: 0, rows, columns, draws: 2, seeds: Seeds::Fixed };
    let resamples = Resamples::new(plan).unwrap();
    let input = LdsInput { subsets: subsets.view(), utilities: utilities.view() };
    lds(&input, &[scores], &resamples).unwrap()[0].mean.point()
}

#[test]
fn explicit_influence_ranks_retrained_halves_as_recorded() {
    let expected: Array2<f64> = matrix("explicit");
    assert!((lds_of(expected.view()) - 0.865_573_119_328).abs() < 1e-9);
    let (run, queries) = setting();
    let method =
        InfluenceExplicit { damping: Damping::Absolute(0.0), ..InfluenceExplicit::default() };
    let found = scores_of(&method, &run, &queries).values().to_owned() * TRAIN_ROWS as f64;
    let all: Vec<f64> = expected.iter().copied().collect();
    assert_close(found.view(), &all, 1e-8);
    let of_library: Vec<f64> = peer("pydvl_direct").iter().copied().collect();
    assert_close(found.slice(s![..300, ..]), &of_library, 1e-5);
    assert!((lds_of(found.view()) - 0.865_573_119_328).abs() < 1e-6);
}

#[test]
fn products_and_factors_in_single_precision() {
    let (run, queries) = setting();
    let (run, queries) = run.in_single_precision(&queries);
    let first = s![..300, ..];
    let products = scores_of(&GradDot::default(), &run, &queries).values().to_owned();
    let products = products.slice(first).to_owned() * TRAIN_ROWS as f64;
    let of_library: Vec<f64> = peer("kronfluence_identity").iter().copied().collect();
    assert_close(products.view(), &of_library, 1e-4);
    let fisher = Fisher::Empirical;
    let method = EkFac { damping: Damping::Absolute(0.0), fisher };
    let factors = scores_of(&method, &run, &queries).values().to_owned();
    let factors = factors.slice(first).to_owned() * TRAIN_ROWS as f64;
    let of_library: Vec<f64> = peer("kronfluence_ekfac_emp").iter().copied().collect();
    assert_close(factors.view(), &of_library, 1e-4);
}
