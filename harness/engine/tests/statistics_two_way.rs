//! The fast two-way bootstrap against the slow one, and its results against pinned draws.

use attribench_core::stream;
use attribench_engine::metrics::{
    LdsInput, calibration, lds, removal, sign_agreement, subset_predictions, top_k,
};
use attribench_engine::statistics::{
    Plan, Resamples, Seeds, SortOrder, average_ranks, pearson, spearman, spearman_of_counts,
};
use ndarray::{Array1, Array2, Array3, ArrayView1, Axis, aview1};
use proptest::prelude::*;
use rand::RngExt;

/// Each value as often as its count says.
fn expanded(values: ArrayView1<'_, f64>, counts: &[u32]) -> Array1<f64> {
    values
        .iter()
        .zip(counts)
        .flat_map(|(&value, &count)| std::iter::repeat_n(value, count as usize))
        .collect()
}

/// Pairs with counts; few distinct values, so that ties abound.
fn tied_pairs() -> impl Strategy<Value = Vec<(i8, i8, u32)>> {
    prop::collection::vec((-4i8..4, -20i8..20, 0u32..4), 2..40)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn counts_correlate_as_the_expanded_sample(pairs in tied_pairs()) {
        let x: Array1<f64> = pairs.iter().map(|pair| f64::from(pair.0)).collect();
        let y: Array1<f64> = pairs.iter().map(|pair| f64::from(pair.1) / 3.0).collect();
        let counts: Vec<u32> = pairs.iter().map(|pair| pair.2).collect();
        let [a, b] = [&x, &y].map(|column| SortOrder::new(column.view()).unwrap());
        let slow = spearman(expanded(x.view(), &counts).view(), expanded(y.view(), &counts).view());
        for fast in [spearman_of_counts(&a, &b, &counts), spearman_of_counts(&b, &a, &counts)] {
            match (fast, slow) {
                (Some(fast), Some(slow)) => prop_assert!((fast - slow).abs() < 1e-12),
                _ => prop_assert_eq!(fast, slow),
            }
        }
    }

    #[test]
    fn weighted_ranks_are_those_of_the_expanded_sample(pairs in tied_pairs()) {
        let x: Array1<f64> = pairs.iter().map(|pair| f64::from(pair.0)).collect();
        let counts: Vec<u32> = pairs.iter().map(|pair| pair.2).collect();
        let fast = SortOrder::new(x.view()).unwrap().weighted_average_ranks(&counts);
        let slow = average_ranks(expanded(x.view(), &counts).view()).unwrap();
        prop_assert_eq!(expanded(aview1(&fast), &counts).to_vec(), slow);
    }

    #[test]
    fn monotone_maps_do_not_change_ranks(pairs in tied_pairs()) {
        let x: Array1<f64> = pairs.iter().map(|pair| f64::from(pair.0)).collect();
        let y: Array1<f64> = pairs.iter().map(|pair| f64::from(pair.1)).collect();
        let straight = spearman(x.view(), y.view());
        prop_assert_eq!(straight, spearman(x.mapv(f64::exp).view(), y.view()));
        let mirrored = spearman((-&x).view(), y.view());
        prop_assert_eq!(straight.map(|s| (s * 1e9).round()), mirrored.map(|s| (-s * 1e9).round()));
    }
}

/// A noisy truth `(R, M, Q)` and two methods `(M, Q)`; the second has many ties.
fn world(runs: usize, rows: usize, columns: usize) -> (Array3<f64>, [Array2<f64>; 2]) {
    let mut random = stream(11, "test world", 0);
    let mut normal = || (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
    let signal = Array2::from_shape_simple_fn((rows, columns), &mut normal);
    let noise = Array3::from_shape_simple_fn((runs, rows, columns), &mut normal);
    let first = &signal + &Array2::from_shape_simple_fn((rows, columns), &mut normal);
    let second = (&signal + &Array2::from_shape_simple_fn((rows, columns), &mut normal)).round();
    (noise + &signal.insert_axis(Axis(0)), [first, second])
}

/// The rows of a draw written out: truth and prediction of one column.
fn written_out(
    truth: &Array2<f64>,
    prediction: &Array2<f64>,
    q: usize,
    counts: &[u32],
) -> [Array1<f64>; 2] {
    [expanded(truth.column(q), counts), expanded(prediction.column(q), counts)]
}

#[test]
fn every_draw_is_that_of_the_expanded_sample() {
    let (truth, methods) = world(3, 15, 4);
    let plan = Plan { seed: 8, rows: 15, columns: 4, draws: 60, seeds: Seeds::Fixed };
    let resamples = Resamples::new(plan).unwrap();
    let views = [methods[0].view(), methods[1].view()];
    let found = removal(truth.view(), &views, &resamples).unwrap();
    let lines = calibration(truth.view(), &views, &resamples).unwrap();
    let average = truth.mean_axis(Axis(0)).unwrap();
    for (method, prediction) in methods.iter().enumerate() {
        for draw in 0..plan.draws {
            let mut slow = [0.0; 2];
            let mut pool = [Vec::new(), Vec::new()];
            for (q, &count) in resamples.column_counts(draw).iter().enumerate() {
                let counts = resamples.row_counts(draw);
                let [y, x] = written_out(&average, prediction, q, counts);
                slow[0] += f64::from(count) * spearman(x.view(), y.view()).unwrap() / 4.0;
                slow[1] += f64::from(count) * pearson(x.view(), y.view()).unwrap() / 4.0;
                for _ in 0..count {
                    pool[0].extend(&x);
                    pool[1].extend(&y);
                }
            }
            assert!((found[method].spearman.draws()[draw] - slow[0]).abs() < 1e-12);
            assert!((found[method].pearson.draws()[draw] - slow[1]).abs() < 1e-12);
            let [x, y] = pool.map(Array1::from);
            let line = attribench_engine::statistics::ordinary_least_squares(x.view(), y.view());
            let (line, pooled) = (line.unwrap(), &lines[method].pooled);
            assert!((pooled.slope.draws()[draw] - line.slope).abs() < 1e-12);
            assert!((pooled.r2_identity.draws()[draw] - line.r2_identity).abs() < 1e-12);
        }
    }
}

#[test]
fn seeds_that_agree_make_all_schemes_equal() {
    // Runs that are copies of each other leave nothing to resample: nested copies of a row tie,
    // and every scheme must give the draws of the fixed one.
    let (truth, methods) = world(1, 12, 3);
    let copies = ndarray::concatenate![Axis(0), truth, truth, truth];
    let run = |truth: &Array3<f64>, seeds| {
        let plan = Plan { seed: 8, rows: 12, columns: 3, draws: 50, seeds };
        let resamples = Resamples::new(plan).unwrap();
        removal(truth.view(), &[methods[1].view()], &resamples).unwrap().remove(0)
    };
    let fixed = run(&truth, Seeds::Fixed);
    for seeds in [Seeds::Crossed(3), Seeds::Nested(3)] {
        let other = run(&copies, seeds);
        for (a, b) in fixed.spearman.draws().iter().zip(other.spearman.draws()) {
            assert!((a - b).abs() < 1e-12, "{seeds:?}: {a} against {b}");
        }
        for (a, b) in fixed.pearson.draws().iter().zip(other.pearson.draws()) {
            assert!((a - b).abs() < 1e-12, "{seeds:?}: {a} against {b}");
        }
    }
}

#[test]
fn seeds_that_differ_add_to_the_spread() {
    let (truth, methods) = world(2, 40, 6);
    let spread = |seeds| {
        let plan = Plan { seed: 8, rows: 40, columns: 6, draws: 400, seeds };
        let resamples = Resamples::new(plan).unwrap();
        let found = removal(truth.view(), &[methods[0].view()], &resamples).unwrap().remove(0);
        found.spearman.standard_error()
    };
    assert!(spread(Seeds::Crossed(2)) > spread(Seeds::Fixed));
    let plan = Plan { seed: 8, rows: 40, columns: 6, draws: 9, seeds: Seeds::Nested(3) };
    let refusal = removal(truth.view(), &[], &Resamples::new(plan).unwrap());
    assert!(refusal.is_err(), "two runs a row, three in the plan");
}

#[test]
fn methods_do_not_see_each_other_and_results_repeat() {
    let (truth, methods) = world(2, 20, 5);
    let plan = Plan { seed: 8, rows: 20, columns: 5, draws: 80, seeds: Seeds::Nested(2) };
    let resamples = Resamples::new(plan).unwrap();
    let views = [methods[0].view(), methods[1].view()];
    let floors = Array1::from_elem(5, 0.3);
    let together = (
        removal(truth.view(), &views, &resamples).unwrap(),
        sign_agreement(truth.view(), &views, floors.view(), &resamples).unwrap(),
        top_k(truth.view(), &views, 4, &resamples).unwrap(),
    );
    for method in 0..2 {
        let alone = &views[method..=method];
        let fresh = Resamples::new(plan).unwrap();
        assert_eq!(removal(truth.view(), alone, &fresh).unwrap()[0], together.0[method]);
        let sign = sign_agreement(truth.view(), alone, floors.view(), &fresh).unwrap();
        assert_eq!(sign[0], together.1[method]);
        assert_eq!(top_k(truth.view(), alone, 4, &fresh).unwrap()[0], together.2[method]);
    }
}

#[test]
fn lds_is_the_removal_correlation_of_summed_scores() {
    let (truth, _) = world(2, 20, 5);
    let mut random = stream(12, "test masks", 0);
    let subsets =
        Array2::from_shape_simple_fn((20, 30), || f64::from(u8::from(random.random::<bool>())));
    let scores = Array2::from_shape_simple_fn((30, 5), || random.random::<f64>() - 0.5);
    let plan = Plan { seed: 8, rows: 20, columns: 5, draws: 80, seeds: Seeds::Crossed(2) };
    let resamples = Resamples::new(plan).unwrap();
    let input = LdsInput { subsets: subsets.view(), utilities: truth.view() };
    let found = lds(&input, &[scores.view()], &resamples).unwrap().remove(0);
    let predicted = subset_predictions(subsets.view(), scores.view()).unwrap();
    let other = removal(truth.view(), &[predicted.view()], &resamples).unwrap().remove(0);
    assert_eq!(found.mean, other.spearman);
    assert_eq!(found.per_query, other.spearman_per_query);
}
