//! Scenarios of the ledger simulator: from a file to a checked document.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use attribench_engine::diagnostics::Diagnostic;
use clap::Args;
use ledger_sim::document::{Fault, Node};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::words;

/// Folder of the scenarios that come with the suite.
const FOLDER: &str = "experiments/scenarios";

/// How a scenario is named and changed on the command line.
#[derive(Args)]
pub struct ScenarioArguments {
    /// Name of a file in `experiments/scenarios/` without `.yaml`, or a path.
    #[arg(default_value = "sybil-under-noise")]
    pub scenario: String,
    /// Change a value of the scenario, for instance `--set estimator.noise=0.5`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// A scenario as found on disk and changed by `--set`.
pub struct Document {
    /// Where it was found.
    pub path: PathBuf,
    /// Text of the file.
    pub text: String,
    /// What `--set` changed.
    pub changes: Vec<String>,
    /// The tree.
    pub node: Node,
}

impl ScenarioArguments {
    /// Reads the file, what it extends, and `--set`; says on standard error why it cannot be done.
    pub fn read(&self) -> Option<Document> {
        match self.try_to_read() {
            Ok(Ok(document)) => Some(document),
            Ok(Err((path, diagnostic))) => {
                eprintln!("error: {}:{diagnostic}", path.display());
                None
            }
            Err(error) => {
                eprintln!("error: {}", words(&error));
                None
            }
        }
    }

    fn try_to_read(&self) -> Result<Result<Document, (PathBuf, Diagnostic)>> {
        let path = locate(&self.scenario);
        let text = read_text(&path)?;
        let mut node = match load(&path, &text, &mut BTreeSet::new())? {
            Ok(node) => node,
            Err(diagnostic) => return Ok(Err((path, diagnostic))),
        };
        for change in &self.set {
            let (place, value) = change
                .split_once('=')
                .with_context(|| format!("`--set {change}` has no `=`\nhint: write key=value"))?;
            let value: Node = serde_saphyr::from_str(value)
                .map_err(|error| anyhow!("`--set {change}`: {}", error.without_snippet()))?;
            node = node
                .with(place, value)
                .with_context(|| format!("`--set {change}`: `{place}` leads nowhere"))?;
        }
        Ok(Ok(Document { path, text, changes: self.set.clone(), node }))
    }
}

impl Document {
    /// Says what is wrong, each with its place where the file has one.
    pub fn complain(&self, faults: &[Fault]) {
        let places = Places::of(&self.text);
        let path = self.path.display();
        for fault in faults {
            let diagnostic = places.diagnostic(fault);
            if !self.changes.is_empty() {
                // A changed document has no lines that anybody has seen.
                eprintln!("error: {path} with --set: {}", diagnostic.without_place());
            } else if diagnostic.place.is_some() {
                eprintln!("error: {path}:{diagnostic}");
            } else {
                eprintln!("error: {path}: {diagnostic}");
            }
        }
        eprintln!("{} found; nothing was run", super::commands::count(faults.len(), "error"));
    }
}

fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| {
        let hint = super::commands::known_names("scenarios", FOLDER);
        format!("cannot read scenario ({})\nhint: {hint}", path.display())
    })
}

/// The tree of a file, laid over that of the scenario that it extends.
fn load(path: &Path, text: &str, seen: &mut BTreeSet<PathBuf>) -> Result<Result<Node, Diagnostic>> {
    let node: Node = match serde_saphyr::from_str(text) {
        Ok(node) => node,
        Err(error) => return Ok(Err(Diagnostic::of_syntax(&error))),
    };
    let Node::Map(mut entries) = node else { return Ok(Ok(node)) };
    let extends = entries.iter().position(|(name, _)| name == "extends");
    let Some(at) = extends else { return Ok(Ok(Node::Map(entries))) };
    let (_, base) = entries.remove(at);
    let base = locate(&base.label());
    if !seen.insert(path.to_owned()) {
        return Err(anyhow!("{} extends itself\nhint: name another scenario", path.display()));
    }
    let below = load(&base, &read_text(&base)?, seen)?;
    Ok(below.map(|below| laid_over(below, Node::Map(entries))))
}

/// Maps are merged, everything else is replaced.
fn laid_over(below: Node, above: Node) -> Node {
    match (below, above) {
        (Node::Map(mut below), Node::Map(above)) => {
            for (name, value) in above {
                match below.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, place)) => {
                        let old = std::mem::replace(place, Node::Null);
                        *place = laid_over(old, value);
                    }
                    None => below.push((name, value)),
                }
            }
            Node::Map(below)
        }
        (_, above) => above,
    }
}

fn locate(scenario: &str) -> PathBuf {
    let named = Path::new(FOLDER).join(format!("{scenario}.yaml"));
    if named.exists() { named } else { PathBuf::from(scenario) }
}

/// Where the values of a document stand.
#[derive(Debug)]
enum Places {
    Leaf,
    List(Vec<Spanned<Places>>),
    Map(Vec<(Spanned<String>, Spanned<Places>)>),
}

impl Places {
    fn of(text: &str) -> Self {
        // A text without places is told without them.
        serde_saphyr::from_str(text).unwrap_or(Self::Leaf)
    }

    /// The name, or the member of a list, to which a path leads: as far as it leads.
    fn find(&self, path: &str) -> Option<Spanned<()>> {
        let mut here = self;
        let mut found = None;
        for part in path.split('.') {
            let next = match here {
                Self::Map(entries) => entries
                    .iter()
                    .find(|(name, _)| name.value == part)
                    .map(|(name, inner)| (Spanned::new((), name.referenced, name.defined), inner)),
                Self::List(list) => part
                    .parse::<usize>()
                    .ok()
                    .and_then(|at| list.get(at))
                    .map(|inner| (Spanned::new((), inner.referenced, inner.defined), inner)),
                Self::Leaf => None,
            };
            let Some((place, inner)) = next else { break };
            found = Some(place);
            here = &inner.value;
        }
        found
    }

    fn diagnostic(&self, fault: &Fault) -> Diagnostic {
        let place = self.find(&fault.path);
        let message = format!("`{}`: {}", fault.path, fault.message);
        let nowhere = || Spanned::new((), Location::UNKNOWN, Location::UNKNOWN);
        let place = place.unwrap_or_else(nowhere);
        match &fault.unknown {
            Some(unknown) => {
                let name = Spanned::new(&unknown.found, place.referenced, place.defined);
                let known = unknown.known.iter().map(String::as_str);
                Diagnostic::unknown(&unknown.kind, &name, known)
            }
            None => Diagnostic::at(&place, message).hint(fault.hint.as_str()),
        }
    }
}

impl<'de> Deserialize<'de> for Places {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PlacesVisitor;
        impl<'de> Visitor<'de> for PlacesVisitor {
            type Value = Places;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a value, a list or a map")
            }
            fn visit_unit<E>(self) -> Result<Places, E> {
                Ok(Places::Leaf)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Places, E> {
                Ok(Places::Leaf)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Places, E> {
                Ok(Places::Leaf)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Places, E> {
                Ok(Places::Leaf)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Places, E> {
                Ok(Places::Leaf)
            }
            fn visit_str<E>(self, _: &str) -> Result<Places, E> {
                Ok(Places::Leaf)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Places, A::Error> {
                let mut places = vec![];
                while let Some(place) = list.next_element()? {
                    places.push(place);
                }
                Ok(Places::List(places))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Places, A::Error> {
                let mut places = vec![];
                while let Some(entry) = map.next_entry()? {
                    places.push(entry);
                }
                Ok(Places::Map(places))
            }
        }
        deserializer.deserialize_any(PlacesVisitor)
    }
}
