//! Ownership rules: partitions without empty parts, skewed as promised.

use attribench_datasets::{
    Dataset, Ownership, OwnershipError, Source, Targets, assign_owners, load,
};
use proptest::prelude::*;

fn embedded(name: &str) -> Dataset {
    load(&Source::Embedded(name.to_owned())).expect("an embedded set loads").train().clone()
}

fn owner_counts(dataset: &Dataset) -> Vec<usize> {
    let mut counts = vec![0; dataset.contributors().len()];
    for &owner in dataset.owners() {
        counts[owner as usize] += 1;
    }
    counts
}

fn labels(dataset: &Dataset) -> &[u32] {
    match dataset.targets() {
        Targets::Classes { labels, .. } => labels,
        Targets::Values(_) | Targets::Tokens { .. } => panic!("classes expected"),
    }
}

fn assign(dataset: Dataset, rule: &Ownership, seed: u64) -> Dataset {
    assign_owners(dataset, rule, seed).expect("the rule fits")
}

/// Mean over owners of the share of their most frequent class.
fn label_skew(dataset: &Dataset, classes: usize) -> f64 {
    let mut counts = vec![vec![0usize; classes]; dataset.contributors().len()];
    for (&owner, &label) in dataset.owners().iter().zip(labels(dataset)) {
        counts[owner as usize][label as usize] += 1;
    }
    let share = |counts: &Vec<usize>| {
        let most = counts.iter().max().copied().unwrap_or(0);
        most as f64 / counts.iter().sum::<usize>() as f64
    };
    counts.iter().map(share).sum::<f64>() / counts.len() as f64
}

#[test]
fn natural_owners_stay_and_those_without_rows_leave() {
    let heart = embedded("heart");
    assert_eq!(assign(heart.clone(), &Ownership::Natural, 0), heart);
    // Rows 303 to 596 are Hungary's, and the last 200 are those of VA Long Beach.
    let some = assign(heart.select(&[400, 900, 401]), &Ownership::Natural, 0);
    assert_eq!(some.contributors(), ["Hungary", "VA Long Beach"]);
    assert_eq!(some.owners(), [0, 1, 0]);
    let error = assign_owners(embedded("wine"), &Ownership::Natural, 0).expect_err("none known");
    assert!(error.to_string().contains("`wine` has no natural contributors\nhint: "), "{error}");
}

#[test]
fn one_owner_a_class() {
    let owned = assign(embedded("wine"), &Ownership::ByClass, 0);
    assert_eq!(owned.contributors(), ["class_0", "class_1", "class_2"]);
    assert_eq!(owned.owners(), labels(&owned));
}

#[test]
fn git_skew_follows_the_commits() {
    let digits = embedded("digits");
    let counts = owner_counts(&assign(digits.clone(), &Ownership::GitSkew { contributors: 10 }, 1));
    // Each contributor stands for a tenth of the authors by rank: sizes never rise.
    assert!(counts.windows(2).all(|pair| pair[0] >= pair[1]), "{counts:?}");
    let share = git_share_of_first(196);
    assert!((counts[0] as f64 / 1797.0 - share).abs() < 10.0 / 1797.0, "{counts:?}, {share}");
    assert!(share > 0.8, "{share}");
    let fine = owner_counts(&assign(digits, &Ownership::GitSkew { contributors: 1000 }, 1));
    assert!(fine.iter().all(|&count| count >= 1));
}

/// Share of commits of the first authors, read from the file by other code than the rule's.
fn git_share_of_first(authors: usize) -> f64 {
    let text = include_str!("../data/git_commits_per_author.csv");
    let commits: Vec<f64> = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(1).expect("two fields").parse().expect("a number"))
        .collect();
    commits[..authors].iter().sum::<f64>() / commits.iter().sum::<f64>()
}

#[test]
fn concentration_governs_how_skewed_labels_are() {
    let digits = embedded("digits");
    let skew = |concentration| {
        let rule = Ownership::Dirichlet { contributors: 10, concentration };
        label_skew(&assign(digits.clone(), &rule, 4), 10)
    };
    // With a = 1e6 every owner has each class at about 1/10; with a = 0.01 about one class only.
    assert!((skew(1e6) - 0.1).abs() < 0.02, "{}", skew(1e6));
    assert!(skew(0.01) > 0.6, "{}", skew(0.01));
    assert!(skew(0.01) > skew(0.5) && skew(0.5) > skew(10.0));
}

#[test]
fn rules_that_do_not_fit_are_refused() {
    let wine = embedded("wine");
    for (contributors, most) in [(0, 178), (179, 178)] {
        let error = assign_owners(wine.clone(), &Ownership::Equal { contributors }, 0)
            .expect_err("each owner needs a row");
        assert!(error.to_string().contains(&format!("`contributors` is {contributors}\n")));
        assert!(error.to_string().contains(&format!("1 to {most}")));
    }
    for concentration in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let rule = Ownership::Dirichlet { contributors: 3, concentration };
        let error = assign_owners(wine.clone(), &rule, 0).expect_err("no such distribution");
        assert!(matches!(error, OwnershipError::Concentration { .. }), "{error}");
    }
    let many = wine.select(&(0..178).collect::<Vec<_>>());
    let error = assign_owners(many, &Ownership::GitSkew { contributors: 2000 }, 0)
        .expect_err("there are fewer rows and authors");
    assert!(matches!(error, OwnershipError::Contributors { found: 2000, most: 178 }));
}

#[test]
fn rules_read_from_yaml() {
    let rule: Ownership = serde_saphyr::from_str("natural").expect("valid");
    assert_eq!(rule, Ownership::Natural);
    let rule: Ownership =
        serde_saphyr::from_str("dirichlet: { contributors: 4, concentration: 0.5 }")
            .expect("valid");
    assert_eq!(rule, Ownership::Dirichlet { contributors: 4, concentration: 0.5 });
    for text in ["equal: { contributors: 4, size: 3 }", "git_skew: { contributors: 4 }"] {
        assert!(serde_saphyr::from_str::<Ownership>(text).is_err(), "{text}");
    }
}

fn rules() -> impl Strategy<Value = (Ownership, usize)> {
    (1usize..=178, 0.001f64..100.0, 0usize..3).prop_map(|(contributors, concentration, which)| {
        let rule = match which {
            0 => Ownership::Equal { contributors },
            1 => Ownership::Dirichlet { contributors, concentration },
            _ => Ownership::GitSkew { contributors },
        };
        (rule, contributors)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn every_row_has_one_owner_every_owner_a_row_and_nothing_else_changes(
        (rule, contributors) in rules(), seed in any::<u64>(),
    ) {
        let wine = embedded("wine");
        let owned = assign(wine.clone(), &rule, seed);
        let counts = owner_counts(&owned);
        prop_assert_eq!(counts.len(), contributors);
        prop_assert_eq!(counts.iter().sum::<usize>(), wine.len());
        prop_assert!(counts.iter().all(|&count| count > 0));
        if let Ownership::Equal { .. } = rule {
            prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
        }
        prop_assert!(owned.contributors().is_sorted());
        prop_assert_eq!(owned.features(), wine.features());
        prop_assert_eq!(owned.targets(), wine.targets());
        prop_assert_eq!(owned.ids(), wine.ids());
        prop_assert_eq!(&owned, &assign(wine.clone(), &rule, seed));
        if (2..90).contains(&contributors) && !matches!(rule, Ownership::Dirichlet { .. }) {
            let other = assign(wine, &rule, seed ^ 1);
            prop_assert_ne!(owned.owners(), other.owners());
        }
    }
}
