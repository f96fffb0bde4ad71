//! Every registered data set against published facts about it.

use attribench_datasets::{
    ALL, Dataset, ExampleId, FILES, Loaded, Loader, REGISTRY, Source, SourceError, Targets, load,
};

fn embedded(name: &str) -> Loaded {
    load(&Source::Embedded(name.to_owned())).expect("an embedded set loads")
}

fn class_counts(dataset: &Dataset) -> Vec<usize> {
    let Targets::Classes { labels, names } = dataset.targets() else { panic!("classes expected") };
    let count = |class| labels.iter().filter(|&&label| label == class).count();
    (0..names.len() as u32).map(count).collect()
}

fn owner_counts(dataset: &Dataset) -> Vec<usize> {
    let count = |owner| dataset.owners().iter().filter(|&&found| found == owner).count();
    (0..dataset.contributors().len() as u32).map(count).collect()
}

fn label(dataset: &Dataset, row: usize) -> &str {
    let Targets::Classes { labels, names } = dataset.targets() else { panic!("classes expected") };
    &names[labels[row] as usize]
}

#[test]
fn the_registry_is_sorted_and_lists_the_files_of_its_folder() {
    let names: Vec<&str> = REGISTRY.iter().map(|entry| entry.name).collect();
    assert!(names.is_sorted());
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sets");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder of data sets exists")
        .map(|entry| entry.expect("readable").path())
        .map(|path| path.file_stem().expect("a name").to_string_lossy().replace('_', "-"))
        .filter(|name| name != "mod")
        .collect();
    files.sort();
    assert_eq!(names, files);
}

#[test]
fn every_embedded_set_is_what_its_entry_says() {
    for entry in REGISTRY {
        if matches!(entry.loader, Loader::Files) {
            continue;
        }
        let loaded = embedded(entry.name);
        let train = loaded.train();
        assert_eq!(train.name(), entry.name);
        assert_eq!(Some(train.len()), entry.train_examples, "{}", entry.name);
        assert_eq!(Some(loaded.test().map_or(0, Dataset::len)), entry.test_examples);
        assert_eq!(Some(train.features().ncols()), entry.features, "{}", entry.name);
        assert_eq!(Some(train.targets().width()), entry.classes, "{}", entry.name);
        if entry.natural_contributors == 0 {
            assert_eq!(train.contributors(), [ALL]);
        } else {
            assert_eq!(train.contributors().len(), entry.natural_contributors, "{}", entry.name);
        }
        assert!(FILES.iter().any(|file| file.licence == entry.licence), "{}", entry.name);
        assert_eq!(loaded, embedded(entry.name), "loading twice gives the same data");
    }
}

#[test]
fn ids_are_row_numbers_and_test_rows_follow_train_rows() {
    let loaded = embedded("fashion-mnist");
    assert!(loaded.train().ids().iter().copied().eq((0..5000).map(ExampleId)));
    let test = loaded.test().expect("a fixed test set");
    assert!(test.ids().iter().copied().eq((5000..6000).map(ExampleId)));
    assert_eq!(loaded.first_free_id(), ExampleId(6000));
}

#[test]
fn fashion_mnist_has_500_and_100_of_each_class_and_its_first_pictures() {
    let loaded = embedded("fashion-mnist");
    let (train, test) = (loaded.train(), loaded.test().expect("a fixed test set"));
    assert_eq!(class_counts(train), [500; 10]);
    assert_eq!(class_counts(test), [100; 10]);
    // The first training picture is an ankle boot, as in every introduction to the set.
    assert_eq!(label(train, 0), "ankle-boot");
    // Row 14 of its 28 rows, columns 12 to 14.
    let expected = [237.0, 226.0, 217.0].map(|pixel: f32| pixel / 255.0);
    for (column, expected) in (12..15).zip(expected) {
        assert_eq!(train.features()[(0, 14 * 28 + column)], expected);
    }
    assert_eq!(test.features()[(0, 14 * 28 + 12)], 98.0 / 255.0);
    assert!(train.features().iter().all(|pixel| (0.0..=1.0).contains(pixel)));
}

#[test]
fn digits_have_the_published_class_counts_and_first_row() {
    let loaded = embedded("digits");
    let train = loaded.train();
    assert_eq!(class_counts(train), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    assert_eq!(label(train, 0), "0");
    // The first image of scikit-learn begins 0, 0, 5, 13, 9, 1, 0, 0 of 16.
    let expected = [0.0, 0.0, 5.0, 13.0, 9.0, 1.0, 0.0, 0.0].map(|ink: f32| ink / 16.0);
    assert_eq!(train.features().row(0).to_vec()[..8], expected);
}

#[test]
fn breast_cancer_has_212_malignant_and_357_benign() {
    let loaded = embedded("breast-cancer");
    let train = loaded.train();
    assert_eq!(class_counts(train), [212, 357]);
    assert_eq!(label(train, 0), "malignant");
    assert_eq!(label(train, 568), "benign");
    assert_eq!(train.features().row(0).to_vec()[..4], [17.99, 10.38, 122.8, 1001.0]);
}

#[test]
fn wine_has_59_71_and_48_of_its_cultivars() {
    let loaded = embedded("wine");
    assert_eq!(class_counts(loaded.train()), [59, 71, 48]);
    assert_eq!(loaded.train().features()[(0, 0)], 14.23);
    assert_eq!(loaded.train().features()[(177, 12)], 560.0);
}

#[test]
fn heart_has_its_four_hospitals_and_509_of_920_diseased() {
    let loaded = embedded("heart");
    let train = loaded.train();
    assert_eq!(train.contributors(), ["Cleveland", "Hungary", "Switzerland", "VA Long Beach"]);
    assert_eq!(owner_counts(train), [303, 294, 123, 200]);
    assert_eq!(class_counts(train), [411, 509]);
    // Patient 1: 63, male, 145, 233, fbs true, 150, exang false, 2.3, ca 0; typical angina (first
    // of 4), lv hypertrophy (last of 3), downsloping (last of 3), fixed defect (second of 3); no
    // gaps.
    let expected = [
        63.0, 1.0, 145.0, 233.0, 1.0, 150.0, 0.0, 2.3, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0,
        0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    ];
    assert_eq!(train.features().row(0).to_vec(), expected);
}

#[test]
fn heart_indicates_as_many_gaps_as_the_source_has() {
    let loaded = embedded("heart");
    let features = loaded.train().features();
    let gaps: Vec<usize> = loaded
        .missing_values()
        .iter()
        .map(|columns| {
            let indicators = features.column(columns.indicator_column);
            for (value, indicator) in features.column(columns.value_column).iter().zip(indicators) {
                assert!(*indicator == 0.0 || (*indicator == 1.0 && *value == 0.0));
            }
            indicators.iter().filter(|&&indicator| indicator == 1.0).count()
        })
        .collect();
    // Blank fields counted in the source, and the zeros that stand for missing: blood pressure
    // 59 + 1, cholesterol 30 + 172, sugar 90, heart rate 55, angina 55, ST depression 62,
    // vessels 611.
    assert_eq!(gaps, [60, 202, 90, 55, 55, 62, 611]);
    // Levels 18 to 20 are those of the slope, which 309 patients lack: all three columns are 0.
    let without_slope =
        features.rows().into_iter().filter(|row| row.iter().skip(16).take(3).sum::<f32>() == 0.0);
    assert_eq!(without_slope.count(), 309);
}

#[test]
fn vowel_has_66_examples_of_each_speaker_and_90_of_each_vowel() {
    let loaded = embedded("vowel");
    let train = loaded.train();
    assert_eq!(owner_counts(train), [66; 15]);
    assert_eq!(class_counts(train), [90; 11]);
    let first = [-3.639, -0.67, 1.779, -0.168, 1.627, -0.388, 0.529, -0.874, -0.814];
    assert_eq!(train.features().row(0).to_vec(), first);
    assert_eq!(label(train, 0), "hid");
    assert_eq!(label(train, 1), "hId");
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let error = load(&Source::Embedded("hart".into())).expect_err("no such set");
    let message = error.to_string();
    assert!(message.starts_with("unknown data set `hart` (known: breast-cancer, digits, "));
    assert!(message.contains("hint: "), "{message}");
    let error = load(&Source::Embedded("csv-file".into())).expect_err("it needs a path");
    assert!(matches!(error, SourceError::NeedsFiles { name: "csv-file" }));
}

#[test]
fn sources_read_from_yaml_and_refuse_unknown_fields() {
    let source: Source = serde_saphyr::from_str("embedded: heart").expect("valid");
    assert_eq!(source, Source::Embedded("heart".into()));
    let text = "csv-file: { path: a.csv, label: 4, contributor: hospital, delimiter: ';' }";
    let source: Source = serde_saphyr::from_str(text).expect("valid");
    let Source::CsvFile(options) = source else { panic!("a CSV file expected") };
    assert_eq!(options.label, attribench_datasets::Column::Number(4));
    assert_eq!(options.contributor, Some(attribench_datasets::Column::Name("hospital".into())));
    assert_eq!(options.delimiter, ';');
    for text in ["csv-file: { path: a.csv, label: y, lable: z }", "embeded: heart"] {
        let error = serde_saphyr::from_str::<Source>(text).expect_err("a wrong field").to_string();
        assert!(error.contains("lable") || error.contains("embeded"), "{error}");
    }
}
