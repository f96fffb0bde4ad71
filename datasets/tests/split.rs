//! Splits: disjoint, stratified, deterministic, filled and scaled by training rows alone.

use std::collections::BTreeSet;

use attribench_datasets::{
    Dataset, ExampleId, Loaded, Source, SplitError, SplitOptions, Splits, Standardisation,
    Standardiser, Stratification, Targets, load, split,
};
use proptest::prelude::*;

fn embedded(name: &str) -> Loaded {
    load(&Source::Embedded(name.to_owned())).expect("an embedded set loads")
}

fn sizes(train: Option<usize>, query: usize, tuning_query: usize) -> SplitOptions {
    SplitOptions {
        train_size: train,
        query_size: query,
        tuning_query_size: tuning_query,
        stratification: Stratification::ByClass,
    }
}

fn draw(name: &str, options: &SplitOptions, seed: u64) -> Splits {
    split(embedded(name), options, seed).expect("the set is large enough")
}

fn class_counts(dataset: &Dataset) -> Vec<usize> {
    let Targets::Classes { labels, names } = dataset.targets() else { panic!("classes expected") };
    let count = |class| labels.iter().filter(|&&label| label == class).count();
    (0..names.len() as u32).map(count).collect()
}

fn sets(splits: &Splits) -> Vec<&Dataset> {
    [Some(splits.train()), Some(splits.query()), splits.tuning_query()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn a_fixed_test_set_gives_the_queries() {
    let splits = draw("fashion-mnist", &sizes(Some(1000), 200, 100), 3);
    assert_eq!(class_counts(splits.train()), [100; 10]);
    assert_eq!(class_counts(splits.query()), [20; 10]);
    let tuning = splits.tuning_query().expect("asked for");
    assert_eq!(class_counts(tuning), [10; 10]);
    assert!(splits.train().ids().iter().all(|id| id.0 < 5000));
    assert!(splits.query().ids().iter().chain(tuning.ids()).all(|id| id.0 >= 5000));
    assert_eq!(splits.first_free_id(), ExampleId(6000));
}

#[test]
fn all_that_is_left_goes_to_training() {
    let splits = draw("wine", &sizes(None, 30, 0), 3);
    assert_eq!(splits.train().len(), 148);
    assert!(splits.tuning_query().is_none());
    let all: BTreeSet<_> = sets(&splits).iter().flat_map(|set| set.ids().to_vec()).collect();
    assert_eq!(all.len(), 178);
}

#[test]
fn contributors_can_be_the_strata() {
    let stratification = Stratification::ByContributor;
    let options = SplitOptions { stratification, ..sizes(Some(300), 150, 0) };
    let splits = draw("vowel", &options, 5);
    for (set, share) in [(splits.train(), 20), (splits.query(), 10)] {
        for owner in 0..15 {
            assert_eq!(set.owners().iter().filter(|&&found| found == owner).count(), share);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_sets_and_another_seed_others() {
    let options = sizes(Some(200), 50, 50);
    let splits = draw("heart", &options, 11);
    assert_eq!(splits, draw("heart", &options, 11));
    assert_ne!(splits.query().ids(), draw("heart", &options, 12).query().ids());
    assert_ne!(splits.train().ids(), draw("heart", &options, 12).train().ids());
}

#[test]
fn the_training_size_does_not_move_the_queries() {
    let small = draw("digits", &sizes(Some(100), 80, 40), 1);
    let large = draw("digits", &sizes(Some(900), 80, 40), 1);
    assert_eq!(small.query(), large.query());
    assert_eq!(small.tuning_query(), large.tuning_query());
}

#[test]
fn sizes_that_cannot_be_met_are_refused() {
    let refused = |options| split(embedded("wine"), &options, 0).expect_err("refused");
    let error = refused(sizes(Some(150), 30, 0));
    let expected = SplitError::TooMany { option: "train_size", found: 150, available: 148 };
    assert_eq!(error, expected);
    assert!(error.to_string().contains("`train_size` is 150 but 148 examples are left"));
    let expected = SplitError::TooMany { option: "query_size", found: 179, available: 178 };
    assert_eq!(refused(sizes(None, 179, 0)), expected);
    assert_eq!(refused(sizes(None, 178, 0)), SplitError::Empty { option: "train_size" });
    assert_eq!(refused(sizes(None, 0, 0)), SplitError::Empty { option: "query_size" });
    assert_eq!(refused(sizes(Some(0), 1, 0)), SplitError::Empty { option: "train_size" });
}

#[test]
fn a_training_set_that_holds_a_query_is_refused() {
    let splits = draw("wine", &sizes(Some(50), 30, 0), 2);
    let (query, shared) = (splits.query().clone(), splits.query().ids()[0]);
    assert_eq!(splits.with_train(query).expect_err("overlap"), SplitError::Overlap(shared));
}

#[test]
fn missing_values_become_training_means_in_every_set() {
    let loaded = embedded("heart");
    let columns = loaded.missing_values().to_vec();
    let raw = loaded.train().clone();
    let splits = draw("heart", &sizes(Some(400), 100, 100), 9);
    for missing in columns {
        // The mean over training rows with a value, straight from the source.
        let present: Vec<f64> = splits
            .train()
            .ids()
            .iter()
            .map(|id| raw.features().row(id.0 as usize))
            .filter(|row| row[missing.indicator_column] == 0.0)
            .map(|row| f64::from(row[missing.value_column]))
            .collect();
        let mean = (present.iter().sum::<f64>() / present.len() as f64) as f32;
        for set in sets(&splits) {
            for (id, row) in set.ids().iter().zip(set.features().rows()) {
                let source = raw.features()[(id.0 as usize, missing.value_column)];
                let filled = row[missing.indicator_column] == 1.0;
                assert_eq!(row[missing.value_column], if filled { mean } else { source });
            }
        }
    }
}

#[test]
fn each_feature_has_mean_0_and_sd_1_in_training_and_constants_become_0() {
    let raw = draw("digits", &sizes(Some(500), 100, 100), 4);
    let splits = raw.clone().standardised(Standardisation::PerFeature).expect("finite");
    let n = splits.train().len() as f64;
    for (column, (scaled, before)) in splits
        .train()
        .features()
        .columns()
        .into_iter()
        .zip(raw.train().features().columns())
        .enumerate()
    {
        if before.iter().all(|&value| value == before[0]) {
            // The first pixel of every digit is empty: such columns are 0 in every set.
            for set in sets(&splits) {
                assert!(set.features().column(column).iter().all(|&value| value == 0.0));
            }
            continue;
        }
        let mean = scaled.iter().map(|&value| f64::from(value)).sum::<f64>() / n;
        let square = scaled.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>() / n;
        assert!(mean.abs() < 1e-6 && (square - 1.0).abs() < 1e-5, "{column}: {mean}, {square}");
    }
    assert!(raw.train().features().column(0).iter().all(|&value| value == 0.0));
}

#[test]
fn global_scaling_is_one_affine_map_and_queries_use_training_moments() {
    let raw = draw("digits", &sizes(Some(500), 100, 0), 4);
    let splits = raw.clone().standardised(Standardisation::Global).expect("finite");
    let numbers: Vec<f64> = raw.train().features().iter().map(|&value| f64::from(value)).collect();
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    let variance =
        numbers.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / numbers.len() as f64;
    for (scaled, before) in splits.query().features().iter().zip(raw.query().features()) {
        let expected = (f64::from(*before) - mean) / variance.sqrt();
        assert!((f64::from(*scaled) - expected).abs() < 1e-6);
    }
    assert_eq!(raw.clone().standardised(Standardisation::None).expect("finite"), raw);
    let standardiser = Standardiser::fit(Standardisation::Global, raw.train());
    let query = standardiser.apply(raw.query().clone()).expect("finite");
    assert_eq!(&query, splits.query());
}

#[test]
fn options_read_from_yaml() {
    let text = "{ query_size: 10, stratification: by-contributor }";
    let options: SplitOptions = serde_saphyr::from_str(text).expect("valid");
    let stratification = Stratification::ByContributor;
    assert_eq!(options, SplitOptions { stratification, ..sizes(None, 10, 0) });
    assert!(serde_saphyr::from_str::<SplitOptions>("{ query_size: 10, querysize: 1 }").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn sets_are_disjoint_as_large_as_asked_and_stratified_to_within_one(
        train in 1usize..60, query in 1usize..60, tuning in 0usize..58, seed in any::<u64>(),
    ) {
        let splits = draw("wine", &sizes(Some(train), query, tuning), seed);
        let mut ids = BTreeSet::new();
        for (set, size) in sets(&splits).into_iter().zip([train, query, tuning]) {
            prop_assert_eq!(set.len(), size);
            prop_assert!(set.ids().is_sorted());
            for id in set.ids() {
                prop_assert!(ids.insert(*id), "id {} is in two sets", id);
            }
        }
        for (found, of_class) in class_counts(splits.query()).iter().zip([59.0, 71.0, 48.0]) {
            prop_assert!((*found as f64 - query as f64 * of_class / 178.0).abs() < 1.0);
        }
    }
}
