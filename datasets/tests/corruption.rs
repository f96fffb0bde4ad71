//! Corruptions: the answer key tells the whole difference between before and after.

use attribench_datasets::{
    Amount, AnswerKey, CopyOwner, Corruption, CorruptionError, Dataset, DuplicateKind, ExampleId,
    Ownership, Source, Targets, assign_owners, corrupt, load,
};
use proptest::prelude::*;

const FIRST_NEW_ID: ExampleId = ExampleId(1000);

fn wine() -> Dataset {
    let loaded = load(&Source::Embedded("wine".into())).expect("an embedded set loads");
    assign_owners(loaded.train().clone(), &Ownership::Equal { contributors: 4 }, 0).expect("fits")
}

fn labels(dataset: &Dataset) -> &[u32] {
    match dataset.targets() {
        Targets::Classes { labels, .. } => labels,
        Targets::Values(_) | Targets::Tokens { .. } => panic!("classes expected"),
    }
}

fn row_of(dataset: &Dataset, id: ExampleId) -> usize {
    dataset.ids().iter().position(|&found| found == id).expect("the id is in the data")
}

fn apply(corruptions: &[Corruption], seed: u64) -> (Dataset, AnswerKey) {
    corrupt(&wine(), corruptions, FIRST_NEW_ID, seed).expect("the corruptions fit")
}

/// The key, read row by row, explains every label and every feature of the corrupted data.
fn assert_key_explains(before: &Dataset, after: &Dataset, key: &AnswerKey) {
    assert_eq!(&after.ids()[..before.len()], before.ids());
    for (row, &id) in after.ids().iter().enumerate() {
        let root = row_of(before, key.root(id));
        let is_copy = row >= before.len();
        assert_eq!(key.duplicates().contains_key(&id), is_copy, "{id}");
        match key.flips().get(&id) {
            Some(flip) => {
                assert_eq!((flip.from, flip.to), (labels(before)[root], labels(after)[row]));
                assert_ne!(flip.from, flip.to);
            }
            None => assert_eq!(labels(after)[row], labels(before)[root], "{id}"),
        }
        let mut noisy = key.disturbed().contains(&id);
        let mut ancestor = id;
        while let Some(duplicate) = key.duplicates().get(&ancestor) {
            noisy |= duplicate.kind == DuplicateKind::Near;
            ancestor = duplicate.original;
        }
        let equal = after.features().row(row) == before.features().row(root);
        assert_eq!(equal, !noisy, "{id}");
        if !is_copy {
            assert_eq!(after.owners()[row], before.owners()[row]);
        }
    }
    let known = |id: &ExampleId| after.ids().contains(id);
    assert!(key.flips().keys().all(known));
    assert!(key.duplicates().keys().all(known));
    assert!(key.disturbed().iter().all(known));
}

#[test]
fn flips_change_the_asked_number_of_labels_and_nothing_else() {
    // 0.25 * 178 = 44.5, which rounds to 45.
    let (after, key) = apply(&[Corruption::LabelFlips { amount: Amount::Rate(0.25) }], 1);
    assert_eq!(key.flips().len(), 45);
    assert!(key.duplicates().is_empty() && key.disturbed().is_empty());
    assert_key_explains(&wine(), &after, &key);
    assert_eq!(after.len(), 178);
    // Both other classes are reached.
    let flips = key.flips().values();
    let steps: Vec<u32> = flips.map(|flip| (flip.to + 3 - flip.from) % 3).collect();
    assert!(steps.contains(&1) && steps.contains(&2));
}

#[test]
fn exact_duplicates_are_equal_rows_under_new_ids() {
    for owner in [CopyOwner::Same, CopyOwner::Other, CopyOwner::Named("copycat".into())] {
        let amount = Amount::Count(30);
        let corruption = Corruption::ExactDuplicates { amount, owner: owner.clone() };
        let (after, key) = apply(&[corruption], 2);
        assert_key_explains(&wine(), &after, &key);
        assert_eq!(after.len(), 208);
        assert!(key.duplicates().keys().copied().eq((1000..1030).map(ExampleId)));
        for (&copy, duplicate) in key.duplicates() {
            let [copy, original] =
                [copy, duplicate.original].map(|id| after.owners()[row_of(&after, id)]);
            match &owner {
                CopyOwner::Same => assert_eq!(copy, original),
                CopyOwner::Other => assert!(copy != original && copy < 4),
                CopyOwner::Named(name) => assert_eq!(&after.contributors()[copy as usize], name),
            }
        }
        let joined = usize::from(matches!(owner, CopyOwner::Named(_)));
        assert_eq!(after.contributors().len(), 4 + joined);
    }
}

#[test]
fn near_duplicates_and_noise_have_the_asked_size() {
    let before = wine();
    let column_sd: Vec<f64> = before
        .features()
        .columns()
        .into_iter()
        .map(|column| {
            let n = column.len() as f64;
            let mean = column.iter().map(|&value| f64::from(value)).sum::<f64>() / n;
            (column.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / n).sqrt()
        })
        .collect();
    let (all, noise_sd) = (Amount::Rate(1.0), 0.5);
    for corruption in [
        Corruption::NearDuplicates { amount: all, owner: CopyOwner::Same, noise_sd },
        Corruption::FeatureNoise { amount: all, noise_sd },
    ] {
        let (after, key) = apply(std::slice::from_ref(&corruption), 3);
        assert_key_explains(&before, &after, &key);
        let first = after.len() - 178;
        let mut squares = 0.0;
        for row in 0..178 {
            for (column, sd) in column_sd.iter().enumerate() {
                let [noisy, clean] =
                    [after.features()[(first + row, column)], before.features()[(row, column)]]
                        .map(f64::from);
                squares += ((noisy - clean) / sd).powi(2);
            }
        }
        // 178 * 13 draws: the relative error of the sd is about 1 / sqrt(2 * 2314) = 1.5 %.
        let found = (squares / (178.0 * 13.0)).sqrt();
        assert!((found / 0.5 - 1.0).abs() < 0.06, "{found} for {corruption:?}");
    }
}

#[test]
fn nothing_is_done_at_rate_0() {
    let (after, key) = apply(
        &[
            Corruption::LabelFlips { amount: Amount::Rate(0.0) },
            Corruption::ExactDuplicates { amount: Amount::Count(0), owner: CopyOwner::Other },
        ],
        3,
    );
    assert_eq!(after, wine());
    assert!(key.is_empty());
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |corruption| {
        let error = corrupt(&wine(), &[corruption], FIRST_NEW_ID, 0).expect_err("refused");
        assert!(error.to_string().contains("\nhint: "), "{error}");
        error
    };
    let flips = |amount| refused(Corruption::LabelFlips { amount });
    assert_eq!(flips(Amount::Rate(1.1)), CorruptionError::Rate { found: 1.1 });
    assert!(matches!(flips(Amount::Rate(f64::NAN)), CorruptionError::Rate { .. }));
    assert_eq!(flips(Amount::Count(179)), CorruptionError::Count { found: 179, rows: 178 });
    for noise_sd in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let amount = Amount::Count(1);
        let error = refused(Corruption::FeatureNoise { amount, noise_sd });
        assert!(matches!(error, CorruptionError::Noise { .. }), "{error}");
    }
    let largest = ExampleId(177);
    let error = corrupt(&wine(), &[], largest, 0).expect_err("the id is taken");
    assert_eq!(error, CorruptionError::Ids { first_new_id: largest, largest });
    let copies = Corruption::ExactDuplicates { amount: Amount::Count(2), owner: CopyOwner::Same };
    let first_new_id = ExampleId(u32::MAX - 1);
    let error = corrupt(&wine(), &[copies], first_new_id, 0).expect_err("no ids are left");
    assert_eq!(error, CorruptionError::TooManyRows { count: 2, first_new_id });
}

#[test]
fn one_contributor_and_real_targets_are_refused_where_they_do_not_fit() {
    let loaded = load(&Source::Embedded("wine".into())).expect("an embedded set loads");
    let amount = Amount::Count(1);
    let copies = Corruption::ExactDuplicates { amount, owner: CopyOwner::Other };
    let error = corrupt(loaded.train(), std::slice::from_ref(&copies), FIRST_NEW_ID, 0)
        .expect_err("one owner");
    assert_eq!(error, CorruptionError::Contributors { name: "wine".into() });
    let real = Dataset::new(
        "real",
        ndarray::arr2(&[[1.0], [2.0]]),
        Targets::Values(vec![0.5, 1.5]),
        vec![ExampleId(0), ExampleId(1)],
        vec![0, 1],
        vec!["a".into(), "b".into()],
    )
    .expect("valid");
    let flips = Corruption::LabelFlips { amount };
    let error = corrupt(&real, &[flips], FIRST_NEW_ID, 0).expect_err("no classes");
    assert_eq!(error, CorruptionError::Classes { name: "real".into(), classes: 0 });
    let (after, key) = corrupt(&real, &[copies], FIRST_NEW_ID, 0).expect("copies fit");
    let original = row_of(&after, key.duplicates()[&FIRST_NEW_ID].original);
    let Targets::Values(values) = after.targets() else { panic!("values expected") };
    assert_eq!(values[2], values[original]);
}

#[test]
fn corruptions_read_from_yaml() {
    let text = "
        - label-flips: { amount: { rate: 0.1 } }
        - exact-duplicates: { amount: { count: 50 }, owner: other }
        - near-duplicates: { amount: { count: 5 }, owner: { named: copycat }, noise_sd: 0.05 }
        - feature-noise: { amount: { rate: 0.2 }, noise_sd: 1.0 }";
    let corruptions: Vec<Corruption> = serde_saphyr::from_str(text).expect("valid");
    let named = CopyOwner::Named("copycat".into());
    assert_eq!(
        corruptions,
        [
            Corruption::LabelFlips { amount: Amount::Rate(0.1) },
            Corruption::ExactDuplicates { amount: Amount::Count(50), owner: CopyOwner::Other },
            Corruption::NearDuplicates { amount: Amount::Count(5), owner: named, noise_sd: 0.05 },
            Corruption::FeatureNoise { amount: Amount::Rate(0.2), noise_sd: 1.0 },
        ]
    );
    let text = "- label-flips: { amount: { rate: 0.1 }, rate: 0.1 }";
    assert!(serde_saphyr::from_str::<Vec<Corruption>>(text).is_err());
}

fn corruptions() -> impl Strategy<Value = Vec<Corruption>> {
    let one = (0usize..4, 0.0f64..0.6, 0usize..3).prop_map(|(which, rate, owner)| {
        let amount = Amount::Rate(rate);
        let owner = match owner {
            0 => CopyOwner::Same,
            1 => CopyOwner::Other,
            _ => CopyOwner::Named("copycat".into()),
        };
        match which {
            0 => Corruption::LabelFlips { amount },
            1 => Corruption::ExactDuplicates { amount, owner },
            2 => Corruption::NearDuplicates { amount, owner, noise_sd: 0.3 },
            _ => Corruption::FeatureNoise { amount, noise_sd: 0.3 },
        }
    });
    prop::collection::vec(one, 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn merged_keys_explain_any_composition(steps in corruptions(), seed in any::<u64>()) {
        let (after, key) = apply(&steps, seed);
        assert_key_explains(&wine(), &after, &key);
        prop_assert_eq!(apply(&steps, seed), (after, key));
    }

    #[test]
    fn another_seed_chooses_other_rows(seed in any::<u64>()) {
        let steps = [Corruption::LabelFlips { amount: Amount::Count(60) }];
        prop_assert_ne!(apply(&steps, seed).1, apply(&steps, seed ^ 1).1);
    }
}
