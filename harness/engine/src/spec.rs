//! An experiment as it is written, before anything in it has been checked.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use attribench_core::{Adapters, Utility};
use attribench_datasets::{Asks, Corruption, Ownership, Source, Standardisation, Stratification};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_saphyr::Spanned;

use crate::{
    closed_loop::ClosedLoop, diagnostics::Diagnostic, files::parameters::InFile, trace::Keeping,
    training::Training,
};

/// Something chosen by name from a registry, with its parameters: `name`, or `name: {parameters}`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Named {
    /// Name in the registry.
    pub name: String,
    /// Parameters; an empty map where none were given.
    pub parameters: serde_json::Value,
}

impl Named {
    /// The `label` among the parameters, or the name.
    pub fn label(&self) -> String {
        let label = self.parameters.get("label");
        label.map_or(self.name.clone(), |label| {
            label.as_str().map_or(label.to_string(), str::to_owned)
        })
    }
}

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamedVisitor;
        impl<'de> Visitor<'de> for NamedVisitor {
            type Value = Named;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a name, or one name with its parameters")
            }
            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Named, E> {
                let parameters = serde_json::Value::Object(serde_json::Map::new());
                Ok(Named { name: name.to_owned(), parameters })
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named, A::Error> {
                let (name, parameters) = map
                    .next_entry::<String, Option<serde_json::Value>>()?
                    .ok_or_else(|| serde::de::Error::custom("expected a name"))?;
                if map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    return Err(serde::de::Error::custom(
                        "expected one name; write each on its own `-` line",
                    ));
                }
                let empty = serde_json::Value::Object(serde_json::Map::new());
                Ok(Named { name, parameters: parameters.unwrap_or(empty) })
            }
        }
        deserializer.deserialize_any(NamedVisitor)
    }
}

/// Which data, how many, whose, and damaged how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Data {
    /// Where the data come from.
    pub source: Source,
    /// Training examples; all that are left where absent.
    #[serde(default)]
    pub train: Option<usize>,
    /// Queries.
    pub queries: usize,
    /// Further queries, for the one scale factor of methods whose scores have none.
    #[serde(default)]
    pub tuning_queries: usize,
    /// What the drawn sets hold in the same proportions as their source.
    #[serde(default)]
    pub stratification: Stratification,
    /// What queries of text ask for.
    #[serde(default)]
    pub asks: Asks,
    /// Who owns which training example.
    #[serde(default = "natural")]
    pub ownership: Ownership,
    /// Damage done to the training set, in order.
    #[serde(default)]
    pub corruptions: Vec<Corruption>,
    /// Scaling of the features, fitted on the training set.
    #[serde(default = "per_feature")]
    pub standardise: Standardisation,
}

fn natural() -> Ownership {
    Ownership::Natural
}

fn per_feature() -> Standardisation {
    Standardisation::PerFeature
}

/// A model that somebody trained before and of whose training nothing is known: the run begins with
/// its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Its parameters.
    pub weights: Weights,
    /// Which name of the model is which in the file, where order does not tell.
    #[serde(default)]
    pub parameters: BTreeMap<String, InFile>,
    /// What is trained; all parameters where absent.
    #[serde(default)]
    pub adapters: Option<Adapters>,
}

/// Where parameters are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a path, or `{ embedded: textgenrnn }`")]
pub enum Weights {
    /// In the program, under this name.
    Embedded {
        /// `textgenrnn`.
        embedded: String,
    },
    /// In a file, .safetensors, .gguf or .npz.
    File(PathBuf),
}

/// Number type of the training run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Double precision.
    F64,
}

/// Retraining on random subsets of the training set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Subsets {
    /// Share of the training set that is kept, `alpha`.
    pub fraction: f64,
    /// Number of subsets, `M`.
    pub subsets: usize,
    /// Seeds a subset, `R`; the first is that of the run.
    #[serde(default = "one")]
    pub seeds: usize,
    /// Further subsets on which settings of methods are chosen; no other number reads them.
    #[serde(default)]
    pub tuning: usize,
}

/// Retraining without one example, or without one contributor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Removals {
    /// How many are removed, each in its turn, drawn at random; all where absent.
    #[serde(default)]
    pub count: Option<usize>,
    /// Seeds a removal, `R`; the first is that of the run.
    #[serde(default = "one")]
    pub seeds: usize,
}

fn one() -> usize {
    1
}

/// Retraining on every coalition of contributors.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Coalitions {
    /// Seeds a coalition, `R`; the first is that of the run.
    #[serde(default = "one")]
    pub seeds: usize,
    /// Random parts that every contributor's examples are cut into, each a player: with two parts
    /// it can be seen what splitting an account brings.
    #[serde(default = "one")]
    pub parts: usize,
}

/// What contributors may do with their accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manipulation {
    /// Two accounts, each with a part of the examples.
    Split,
    /// One account with the next contributor.
    Merge,
    /// A second account with the same examples again.
    Copy,
}

/// What is worked out from the truth `game`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GameSection {
    /// Values from all coalitions; the first is what methods and payouts are held against.
    pub values: Vec<Named>,
    /// Sampled values, which see the coalitions that they draw.
    #[serde(default)]
    pub samplers: Vec<Named>,
    /// Coalitions that a sampler may evaluate, one experiment each.
    #[serde(default)]
    pub budgets: Vec<usize>,
    /// Seeds of every sampler.
    #[serde(default = "twenty")]
    pub repeats: usize,
    /// What is done with accounts.
    #[serde(default)]
    pub manipulations: Vec<Manipulation>,
}

fn twenty() -> usize {
    20
}

/// Which truths are measured by retraining.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Truths {
    /// Random subsets.
    #[serde(default)]
    pub subsets: Option<Subsets>,
    /// Single examples.
    #[serde(default)]
    pub leave_one_out: Option<Removals>,
    /// Contributors.
    #[serde(default)]
    pub leave_contributor_out: Option<Removals>,
    /// All coalitions of contributors.
    #[serde(default)]
    pub game: Option<Coalitions>,
}

/// A number of bytes, written with its unit: `512MiB`, `2GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl std::str::FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
        let found = units.iter().find_map(|&(unit, shift)| {
            let number: f64 = text.strip_suffix(unit)?.trim().parse().ok()?;
            (number > 0.0 && number.is_finite()).then(|| (number * 2f64.powi(shift)) as u64)
        });
        found.map(Self).ok_or_else(|| format!("`{text}` is no amount of memory, such as 2GiB"))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A stream of queries that pays contributors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Money {
    /// Payout rule.
    pub rule: String,
    /// Tokens in the pool, in integer units.
    pub tokens: u64,
    /// Whose scores are exact: a truth or a method of this experiment.
    pub reference: String,
}

/// A way to falsify the record of a run, all of it signed anew by its operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forgery {
    /// A credit of one step is raised.
    ForgedCredits,
    /// An example is taken out of data, batches and sums.
    DroppedExample,
    /// Two examples of a batch change places.
    ReorderedBatch,
    /// Something is contributed after the run under an earlier date.
    BackDatedContribution,
    /// A kept state is replaced by another.
    SwappedCheckpoint,
    /// One contributor's scores are raised, and the money is split again by them.
    ForgedScores,
    /// The settlements are cut off.
    TruncatedLog,
    /// A second history is signed, in which the operator keeps the money of the last settlement.
    ForkedLog,
}

impl Forgery {
    /// Its name in specifications.
    pub fn name(self) -> &'static str {
        match self {
            Self::ForgedCredits => "forged-credits",
            Self::DroppedExample => "dropped-example",
            Self::ReorderedBatch => "reordered-batch",
            Self::BackDatedContribution => "back-dated-contribution",
            Self::SwappedCheckpoint => "swapped-checkpoint",
            Self::ForgedScores => "forged-scores",
            Self::TruncatedLog => "truncated-log",
            Self::ForkedLog => "forked-log",
        }
    }

    /// What the forger did, in words.
    pub fn summary(self) -> &'static str {
        match self {
            Self::ForgedCredits => "a credit of one step was raised, and every sum redone",
            Self::DroppedExample => "an example was taken out of data, batches and sums",
            Self::ReorderedBatch => "two examples of one batch changed places",
            Self::BackDatedContribution => "something was added under a date before the run",
            Self::SwappedCheckpoint => "a kept state was replaced, with the digests that name it",
            Self::ForgedScores => "one contributor's scores were raised, and all paid by them",
            Self::TruncatedLog => "the settlements were cut off",
            Self::ForkedLog => "a second history was signed, in which the operator keeps the money",
        }
    }
}

/// Reads one section of a document and skips the others.
struct Only<S>(Option<S>);

/// The section of a document under a key.
trait Section: for<'de> Deserialize<'de> {
    const KEY: &'static str;
}

impl<'de, S: Section> Deserialize<'de> for Only<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnlyVisitor<S>(std::marker::PhantomData<S>);
        impl<'de, S: Section> Visitor<'de> for OnlyVisitor<S> {
            type Value = Only<S>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the sections of an experiment")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Only<S>, A::Error> {
                let mut found = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key == S::KEY {
                        found = Some(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Only(found))
            }
        }
        deserializer.deserialize_map(OnlyVisitor(std::marker::PhantomData))
    }
}

/// Names of the sections with where they stand.
struct Keys(Vec<Spanned<String>>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeysVisitor;
        impl<'de> Visitor<'de> for KeysVisitor {
            type Value = Keys;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the sections of an experiment")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some(key) = map.next_key()? {
                    keys.push(key);
                    map.next_value::<IgnoredAny>()?;
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(KeysVisitor)
    }
}

macro_rules! sections {
    ($(
        $(#[$doc:meta])*
        $field:ident, $wrapper:ident, $key:literal: $kind:ty $(= $default:expr)?;
    )*) => {
        /// An experiment: every name with the place where it stands.
        #[derive(Clone, Debug)]
        pub struct Spec {$($(#[$doc])* pub $field: $kind,)*}

        /// Names of all sections.
        pub const SECTIONS: &[&str] = &[$($key),*];

        $(
            #[derive(Deserialize)]
            #[serde(transparent)]
            struct $wrapper($kind);
            impl Section for $wrapper {
                const KEY: &'static str = $key;
            }
        )*

        impl Spec {
            /// Reads a specification and reports what is wrong with each section.
            ///
            /// # Errors
            /// Every section that is missing, unknown or of the wrong shape, each with its place.
            pub fn parse(text: &str) -> Result<Self, Vec<Diagnostic>> {
                let mut diagnostics = unknown_sections(text);
                if diagnostics.iter().any(|found| found.is_syntax) {
                    return Err(diagnostics);
                }
                $(
                    let found = serde_saphyr::from_str::<Only<$wrapper>>(text);
                    let $field: Option<$kind> = match found {
                        Ok(Only(Some(section))) => Some(section.0),
                        Ok(Only(None)) => {
                            let default: Option<$kind> = None$(.or(Some($default)))?;
                            if default.is_none() {
                                diagnostics.push(Diagnostic::missing($key));
                            }
                            default
                        }
                        Err(error) => {
                            diagnostics.push(Diagnostic::of_yaml($key, &error));
                            None
                        }
                    };
                )*
                match ($($field,)*) {
                    ($(Some($field),)*) if diagnostics.is_empty() => Ok(Self {$($field),*}),
                    _ => Err(diagnostics),
                }
            }
        }
    };
}

sections! {
    /// Name of the experiment and of its folder.
    name, NameSection, "name": Spanned<String>;
    /// What is asked.
    question, QuestionSection, "question": String;
    /// What was expected before anything ran.
    prediction, PredictionSection, "prediction": String;
    /// Root of all randomness.
    seed, SeedSection, "seed": u64;
    /// Number type of the run.
    precision, PrecisionSection, "precision": Precision = Precision::default();
    /// Data.
    data, DataSection, "data": Spanned<Data>;
    /// Model.
    model, ModelSection, "model": Spanned<Named>;
    /// Where training begins.
    base, BaseSection, "base": Option<Spanned<Base>> = None;
    /// Hyper-parameters.
    training, TrainingSection, "training": Spanned<Training>;
    /// Checkpoints that the run keeps for methods that read them.
    checkpoints, CheckpointsSection, "checkpoints": usize = 5;
    /// Which states the run keeps to be replayed from.
    replay_states, ReplayStatesSection, "replay-states": Keeping = Keeping::default();
    /// What is measured at a query.
    utility, UtilitySection, "utility": Utility = Utility::default();
    /// Truths.
    truths, TruthsSection, "truths": Spanned<Truths>;
    /// Methods.
    methods, MethodsSection, "methods": Vec<Spanned<Named>>;
    /// Values of the game over contributors.
    game, GameSectionSection, "game": Option<Spanned<GameSection>> = None;
    /// Payouts.
    money, MoneySection, "money": Option<Spanned<Money>> = None;
    /// Ways to falsify the record of the run, each of which is tried.
    forgeries, ForgeriesSection, "forgeries": Vec<Forgery> = Vec::new();
    /// Attacks that change the data, with everything computed again.
    closed_loop, ClosedLoopSection, "closed-loop": Option<Spanned<ClosedLoop>> = None;
    /// Most memory that the run may take; as much as it needs where absent.
    memory, MemorySection, "memory": Option<Spanned<Bytes>> = None;
    /// Bootstrap draws behind every interval.
    draws, DrawsSection, "draws": usize = 2000;
    /// Parts of the prediction as conditions: where one fails, the page says so, and the run is
    /// none the worse.
    predicts, PredictsSection, "predicts": Vec<Spanned<String>> = Vec::new();
    /// Conditions checked after the run.
    expect, ExpectSection, "expect": Vec<Spanned<String>> = Vec::new();
}

fn unknown_sections(text: &str) -> Vec<Diagnostic> {
    match serde_saphyr::from_str::<Keys>(text) {
        Err(error) => vec![Diagnostic::of_syntax(&error)],
        Ok(Keys(keys)) => keys
            .iter()
            .filter(|key| !SECTIONS.contains(&key.value.as_str()))
            .map(|key| Diagnostic::unknown("section", key, SECTIONS.iter().copied()))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::Bytes;

    #[test]
    fn memory_is_read_with_its_unit() {
        assert_eq!("2GiB".parse(), Ok(Bytes(2 << 30)));
        assert_eq!("1.5 MiB".parse(), Ok(Bytes(3 << 19)));
        for wrong in ["2", "2GB", "GiB", "-1GiB", "0MiB", "nanGiB"] {
            assert!(wrong.parse::<Bytes>().unwrap_err().contains("such as"), "{wrong}");
        }
    }
}
