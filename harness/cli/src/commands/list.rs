//! `attribench list`.

use anyhow::Result;
use attribench_engine::{expectation, treasury::Treasury};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::print;
use crate::{Ending, treasury::LedgerTreasury};

/// Arguments of `attribench list`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  attribench list
  attribench list methods
  attribench list data --json")]
pub struct ListArguments {
    /// What to list; everything where absent.
    kind: Option<Kind>,
    /// Write JSON to standard output instead of words.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Kind {
    Data,
    Models,
    Truths,
    Methods,
    Values,
    Metrics,
    Rules,
}

/// One listed thing.
struct Item {
    name: &'static str,
    note: String,
    summary: &'static str,
}

const TRUTHS: [(&str, &str); 4] = [
    ("game", "utility of every coalition of contributors, for values of games"),
    ("leave-contributor-out", "utility lost when a contributor's examples get weight 0"),
    ("leave-one-out", "utility lost when one example gets weight 0, same seed and order"),
    ("subsets", "utility after training on random subsets, for the linear datamodelling score"),
];

fn items(kind: Kind) -> Vec<Item> {
    match kind {
        Kind::Data => attribench_datasets::REGISTRY
            .iter()
            .map(|entry| Item {
                name: entry.name,
                note: entry.licence.to_string(),
                summary: entry.summary,
            })
            .collect(),
        Kind::Models => attribench_models::REGISTRY
            .iter()
            .map(|entry| Item { name: entry.name, note: String::new(), summary: entry.summary })
            .collect(),
        Kind::Truths => TRUTHS
            .iter()
            .map(|&(name, summary)| Item { name, note: String::new(), summary })
            .collect(),
        Kind::Methods => attribench_methods::REGISTRY
            .iter()
            .map(|entry| Item {
                name: entry.info.name,
                note: entry.level.to_string(),
                summary: entry.info.summary,
            })
            .collect(),
        Kind::Values => attribench_methods::games::REGISTRY
            .iter()
            .map(|entry| Item {
                name: entry.info.name,
                note: axioms(entry.info.axioms),
                summary: entry.info.summary,
            })
            .collect(),
        Kind::Metrics => expectation::METRICS
            .iter()
            .map(|&(name, summary)| Item { name, note: String::new(), summary })
            .collect(),
        Kind::Rules => LedgerTreasury
            .rules()
            .iter()
            .map(|rule| Item { name: rule.name, note: String::new(), summary: rule.summary })
            .collect(),
    }
}

/// Shapley's axioms that a value keeps, by their first letters.
fn axioms(axioms: attribench_core::Axioms) -> String {
    [
        (axioms.is_efficient, "efficient"),
        (axioms.is_symmetric, "symmetric"),
        (axioms.is_null_free, "null-free"),
        (axioms.is_linear, "linear"),
    ]
    .into_iter()
    .filter_map(|(keeps, name)| keeps.then_some(&name[..3]))
    .collect::<Vec<_>>()
    .join(" ")
}

/// Lists registries.
pub fn list(arguments: &ListArguments) -> Result<Ending> {
    let kinds = match arguments.kind {
        Some(kind) => vec![kind],
        None => Kind::value_variants().to_vec(),
    };
    if arguments.json {
        let all: serde_json::Map<String, Value> = kinds
            .iter()
            .map(|&kind| (title(kind), items(kind).iter().map(json_of).collect()))
            .collect();
        print(&format!("{}\n", serde_json::to_string_pretty(&all)?))?;
        return Ok(Ending::Done);
    }
    let mut text = String::new();
    for kind in kinds {
        text += &format!("{}\n", title(kind));
        for item in items(kind) {
            text += &format!("  {:<24} {:<16} {}\n", item.name, item.note, item.summary);
        }
    }
    print(&text)?;
    Ok(Ending::Done)
}

fn title(kind: Kind) -> String {
    kind.to_possible_value().expect("every kind has a name").get_name().to_owned()
}

fn json_of(item: &Item) -> Value {
    json!({"name": item.name, "note": item.note, "summary": item.summary})
}
