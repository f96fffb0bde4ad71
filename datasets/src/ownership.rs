//! Rules that say who owns which example.

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_distr::Distribution;
use rand_distr::multi::Dirichlet;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::apportion::{apportion, first_largest, leave_none_empty};
use crate::dataset::{Dataset, DatasetError, Targets};
use crate::error::SourceError;
use crate::manifest::GIT_COMMITS;
use crate::random::stream;
use crate::sets::ALL;
use crate::table::{Names, Table};

/// Who owns which example. Every contributor of every rule owns at least one.
///
/// ```yaml
/// dirichlet: { contributors: 10, concentration: 0.5 }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ownership {
    /// The owners that the source records, without those that own none of the rows.
    Natural,
    /// Random owners of equally many examples, to within one.
    Equal {
        /// Number of contributors.
        contributors: usize,
    },
    /// One owner a class.
    ByClass,
    /// Owners with skewed labels: of each class y, contributor c owns the share p_yc, where
    /// p_y ~ Dirichlet(a, ..., a), drawn anew for each class and rounded by largest remainders.
    Dirichlet {
        /// Number of contributors.
        contributors: usize,
        /// a > 0: small values give each class to few owners, large ones to all alike.
        concentration: f64,
    },
    /// Random owners whose sizes are skewed like real work: contributor c stands for the c-th of k
    /// equally large groups, by rank, of the 1,965 authors of a project kept in git, and owns that
    /// group's share of the commits. So the sizes lie on the Lorenz curve of real contributions.
    GitSkew {
        /// Number of contributors, at most as many as there are authors.
        contributors: usize,
    },
}

/// Why owners could not be assigned.
#[derive(Debug, Error)]
pub enum OwnershipError {
    /// The data have no owners of their own.
    #[error(
        "`{name}` has no natural contributors\n\
         hint: use `equal`, `by-class`, `dirichlet` or `git-skew`, or name a contributor column"
    )]
    NoNatural {
        /// The data set.
        name: String,
    },
    /// The rule needs classes.
    #[error("`{rule}` needs classes but `{name}` has none\nhint: use `equal` or `git-skew`")]
    NoClasses {
        /// The rule.
        rule: &'static str,
        /// The data set.
        name: String,
    },
    /// The number of contributors does not fit.
    #[error("`contributors` is {found}\nhint: use 1 to {most}, so that each owns an example")]
    Contributors {
        /// The number asked for.
        found: usize,
        /// The most there can be.
        most: usize,
    },
    /// The concentration does not fit.
    #[error("`concentration` is {found}\nhint: use a number from {least} to {most}, such as 0.5")]
    Concentration {
        /// The number asked for.
        found: f64,
        /// The least there can be.
        least: f64,
        /// The most there can be.
        most: f64,
    },
    /// The commits of the authors could not be read.
    #[error(transparent)]
    Skew(#[from] SourceError),
    /// The owners break an invariant of [`Dataset`].
    #[error(transparent)]
    Invalid(#[from] DatasetError),
}

/// Range of concentrations for which the draws are accurate in double precision.
const CONCENTRATIONS: std::ops::RangeInclusive<f64> = 1e-3..=1e6;

/// Gives every row its owner by a rule. Rows, ids and their order stay as they are.
///
/// # Errors
/// When the rule does not fit the data, or there are fewer rows than contributors.
pub fn assign_owners(
    dataset: Dataset,
    rule: &Ownership,
    seed: u64,
) -> Result<Dataset, OwnershipError> {
    let rows = dataset.len();
    match *rule {
        Ownership::Natural => natural(dataset),
        Ownership::ByClass => by_class(dataset),
        Ownership::Equal { contributors } => {
            check_contributors(contributors, rows)?;
            let sizes = apportion(&vec![1.0; contributors], rows);
            deal(dataset, &sizes, &mut stream(seed, "ownership/equal"))
        }
        Ownership::Dirichlet { contributors, concentration } => {
            check_contributors(contributors, rows)?;
            dirichlet(dataset, contributors, concentration, seed)
        }
        Ownership::GitSkew { contributors } => {
            let commits = read_commits()?;
            check_contributors(contributors, rows.min(commits.len()))?;
            let mut sizes = apportion(&group_shares(&commits, contributors), rows);
            leave_none_empty(&mut sizes);
            deal(dataset, &sizes, &mut stream(seed, "ownership/git-skew"))
        }
    }
}

fn check_contributors(found: usize, most: usize) -> Result<(), OwnershipError> {
    if (1..=most).contains(&found) {
        return Ok(());
    }
    Err(OwnershipError::Contributors { found, most })
}

fn natural(dataset: Dataset) -> Result<Dataset, OwnershipError> {
    if dataset.contributors() == [ALL] {
        return Err(OwnershipError::NoNatural { name: dataset.name().to_owned() });
    }
    let (owners, names) = (dataset.owners().to_vec(), dataset.contributors().to_vec());
    own_by_index(dataset, &owners, &names)
}

fn by_class(dataset: Dataset) -> Result<Dataset, OwnershipError> {
    let Targets::Classes { labels, names } = dataset.targets().clone() else {
        return Err(OwnershipError::NoClasses {
            rule: "by-class",
            name: dataset.name().to_owned(),
        });
    };
    own_by_index(dataset, &labels, &names)
}

/// Owners by an index of each row, numbered anew without the indices that no row has.
fn own_by_index(
    dataset: Dataset,
    indices: &[u32],
    names: &[String],
) -> Result<Dataset, OwnershipError> {
    let mut used = indices.to_vec();
    used.sort_unstable();
    used.dedup();
    let contributors = used.iter().map(|&index| names[index as usize].clone()).collect();
    let owners =
        indices.iter().map(|index| used.partition_point(|known| known < index) as u32).collect();
    Ok(dataset.with_owners(owners, contributors)?)
}

/// Deals the rows in random order, `sizes[c]` of them to contributor c.
fn deal(
    dataset: Dataset,
    sizes: &[usize],
    stream: &mut ChaCha8Rng,
) -> Result<Dataset, OwnershipError> {
    let mut owners: Vec<u32> =
        (0..).zip(sizes).flat_map(|(owner, &size)| std::iter::repeat_n(owner, size)).collect();
    owners.shuffle(stream);
    Ok(dataset.with_owners(owners, contributor_names(sizes.len()))?)
}

/// `contributor-00`, `contributor-01`, ...: numbers of one width, so that names sort in order.
fn contributor_names(count: usize) -> Vec<String> {
    let width = count.saturating_sub(1).to_string().len();
    (0..count).map(|index| format!("contributor-{index:0width$}")).collect()
}

fn dirichlet(
    dataset: Dataset,
    contributors: usize,
    concentration: f64,
    seed: u64,
) -> Result<Dataset, OwnershipError> {
    if !CONCENTRATIONS.contains(&concentration) {
        return Err(unusable(concentration));
    }
    let Targets::Classes { labels, names } = dataset.targets() else {
        return Err(OwnershipError::NoClasses {
            rule: "dirichlet",
            name: dataset.name().to_owned(),
        });
    };
    let mut stream = stream(seed, "ownership/dirichlet");
    let mut owners = vec![0; dataset.len()];
    for class in 0..names.len() as u32 {
        let mut rows: Vec<usize> = (0..labels.len()).filter(|&row| labels[row] == class).collect();
        rows.shuffle(&mut stream);
        let shares = draw_shares(contributors, concentration, &mut stream)?;
        let sizes = apportion(&shares, rows.len());
        let dealt = (0..).zip(&sizes).flat_map(|(owner, &size)| std::iter::repeat_n(owner, size));
        for (row, owner) in rows.into_iter().zip(dealt) {
            owners[row] = owner;
        }
    }
    give_each_a_row(&mut owners, contributors, &mut stream);
    Ok(dataset.with_owners(owners, contributor_names(contributors))?)
}

fn unusable(found: f64) -> OwnershipError {
    let (least, most) = (*CONCENTRATIONS.start(), *CONCENTRATIONS.end());
    OwnershipError::Concentration { found, least, most }
}

fn draw_shares(
    contributors: usize,
    concentration: f64,
    stream: &mut ChaCha8Rng,
) -> Result<Vec<f64>, OwnershipError> {
    if contributors == 1 {
        return Ok(vec![1.0]);
    }
    let distribution =
        Dirichlet::new(&vec![concentration; contributors]).map_err(|_| unusable(concentration))?;
    let shares: Vec<f64> = distribution.sample(stream);
    let usable = shares.iter().all(|share| share.is_finite()) && shares.iter().sum::<f64>() > 0.0;
    if usable { Ok(shares) } else { Err(unusable(concentration)) }
}

/// Moves a random row of the largest owner to each owner that has none.
fn give_each_a_row(owners: &mut [u32], contributors: usize, stream: &mut ChaCha8Rng) {
    let mut sizes = vec![0; contributors];
    for &owner in owners.iter() {
        sizes[owner as usize] += 1;
    }
    for empty in 0..contributors {
        if sizes[empty] > 0 {
            continue;
        }
        let largest = first_largest(&sizes);
        let rows: Vec<usize> =
            (0..owners.len()).filter(|&row| owners[row] as usize == largest).collect();
        owners[rows[stream.random_range(0..rows.len())]] = empty as u32;
        sizes[largest] -= 1;
        sizes[empty] += 1;
    }
}

/// Commits of each author, in descending order.
fn read_commits() -> Result<Vec<f64>, SourceError> {
    let table = Table::parse(GIT_COMMITS.name, GIT_COMMITS.read()?, b',', Names::FirstLine, 0)?;
    GIT_COMMITS.check_rows(table.len())?;
    let column = table.column("commits")?;
    (0..table.len()).map(|row| table.target(row, column)).collect()
}

/// Share of all commits of each of `groups` groups of authors by rank, equally large to within one.
fn group_shares(commits: &[f64], groups: usize) -> Vec<f64> {
    let total: f64 = commits.iter().sum();
    let start = |group: usize| group * commits.len() / groups;
    (0..groups)
        .map(|group| commits[start(group)..start(group + 1)].iter().sum::<f64>() / total)
        .collect()
}
