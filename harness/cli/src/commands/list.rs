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
  attribench list scenario-rules
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
    /// Everything that a scenario of `simulate` may pay by, with its best known attack.
    ScenarioRules,
    /// Who may act in a scenario, with the metric that tells its story.
    Agents,
    /// What is measured of a scenario, with its unit.
    ScenarioMetrics,
}

/// One listed thing.
struct Item {
    name: &'static str,
    note: String,
    summary: String,
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
                summary: entry.summary.to_owned(),
            })
            .collect(),
        Kind::Models => attribench_models::REGISTRY
            .iter()
            .map(|entry| Item {
                name: entry.name,
                note: String::new(),
                summary: entry.summary.to_owned(),
            })
            .collect(),
        Kind::Truths => TRUTHS
            .iter()
            .map(|&(name, summary)| Item { name, note: String::new(), summary: summary.to_owned() })
            .collect(),
        Kind::Methods => attribench_methods::REGISTRY
            .iter()
            .map(|entry| Item {
                name: entry.info.name,
                note: entry.level.to_string(),
                summary: entry.info.summary.to_owned(),
            })
            .collect(),
        Kind::Values => attribench_methods::games::REGISTRY
            .iter()
            .map(|entry| Item {
                name: entry.info.name,
                note: axioms(entry.info.axioms),
                summary: entry.info.summary.to_owned(),
            })
            .collect(),
        Kind::Metrics => expectation::METRICS
            .iter()
            .map(|&(name, summary)| Item { name, note: String::new(), summary: summary.to_owned() })
            .collect(),
        Kind::Rules => LedgerTreasury
            .rules()
            .iter()
            .map(|rule| Item {
                name: rule.name,
                note: String::new(),
                summary: rule.summary.to_owned(),
            })
            .collect(),
        Kind::ScenarioRules => ledger_sim::rules::RULES
            .iter()
            .map(|rule| Item {
                name: rule.name,
                note: String::new(),
                summary: format!("{}; attack: {}", rule.summary, rule.attack),
            })
            .collect(),
        Kind::Agents => ledger_sim::agents::AGENTS
            .iter()
            .map(|agent| Item {
                name: agent.name,
                note: String::new(),
                summary: format!("{}; see {}", agent.summary, agent.headline),
            })
            .collect(),
        Kind::ScenarioMetrics => ledger_sim::simulation::METRICS
            .iter()
            .map(|metric| Item {
                name: metric.name,
                note: metric.unit.to_owned(),
                summary: metric.summary.to_owned(),
            })
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
