//! `attribench value`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use attribench_core::{Coalition, Game, TableGame, ValuationContext, Valued};
use attribench_datasets::npz::Archive;
use attribench_methods::games::REGISTRY;
use clap::Args;
use ndarray::Array2;
use serde_json::{Map, Value, json};

use super::print;
use crate::Ending;

/// Arguments of `attribench value`.
#[derive(Args)]
#[command(after_help = "\
Tables:
  CSV and Parquet   a column `coalition` of bit masks (bit i is player i), or a column of 0 and 1
                    for each player; and one or more columns `utility...`. 2^k rows or a sample.
  .npz              `utility`, rows or rows x outcomes, and `coalitions`, rows x players of 0 and 1;
                    without `coalitions` row s holds the players whose bits are set in s.

Examples:
  attribench value --table utilities.csv
  attribench value --table utilities.parquet --value \"shapley,banzhaf,beta(16,1),least-core\"
  attribench value --table sample.npz --value banzhaf-msr,egalitarian-least-core --json
  attribench value --table utilities.csv --value \"permutation-shapley(evaluations=500)\"
  attribench list values")]
pub struct ValueArguments {
    /// Table of utilities of coalitions: .csv, .parquet or .npz.
    #[arg(long, value_name = "FILE")]
    table: PathBuf,
    /// Values, separated by commas; all exact ones of a whole table, MSR and the core of a sample
    /// where absent.
    #[arg(long, value_name = "NAMES")]
    value: Option<String>,
    /// Players of a table of bit masks that is a sample; the highest bit where absent.
    #[arg(long, value_name = "N")]
    players: Option<usize>,
    /// Root of the randomness of samplers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write JSON to standard output instead of words.
    #[arg(long)]
    json: bool,
}

/// A game with the names of its players.
struct Named {
    game: TableGame,
    players: Vec<String>,
}

/// A value that was asked for.
struct Asked {
    label: String,
    name: String,
    parameters: Value,
}

const OF_WHOLE_TABLES: &str = "shapley,banzhaf,leave-one-out,egalitarian-least-core";
const OF_SAMPLES: &str = "banzhaf-msr,egalitarian-least-core";

/// Values of the game in a table.
pub fn value(arguments: &ValueArguments) -> Result<Ending> {
    let wrong = |error: anyhow::Error| {
        eprintln!("error: {}", crate::words(&error));
        Ok(Ending::Refused)
    };
    let named = match read(arguments) {
        Ok(named) => named,
        Err(error) => return wrong(error),
    };
    let default = if named.game.is_complete() { OF_WHOLE_TABLES } else { OF_SAMPLES };
    let text = arguments.value.as_deref().unwrap_or(default);
    let asked = match parse(text) {
        Ok(asked) => asked,
        Err(error) => return wrong(error),
    };
    let mut found = Vec::new();
    for asked in &asked {
        match worked(asked, &named.game, arguments.seed) {
            Ok(valued) => found.push(valued),
            Err(error) => return wrong(error),
        }
    }
    if arguments.json {
        let json = as_json(&named, &asked, &found);
        print(&format!("{}\n", serde_json::to_string_pretty(&json)?))?;
    } else {
        print(&as_words(&named, &asked, &found))?;
    }
    Ok(Ending::Done)
}

fn worked(asked: &Asked, game: &TableGame, seed: u64) -> Result<Valued> {
    let entry = REGISTRY.iter().find(|entry| entry.info.name == asked.name);
    let Some(entry) = entry else {
        let known: Vec<&str> = REGISTRY.iter().map(|entry| entry.info.name).collect();
        bail!(
            "unknown value `{}` (known: {})\nhint: `attribench list values` says what each is",
            asked.name,
            known.join(", ")
        );
    };
    let valuation = (entry.build)(asked.parameters.clone())
        .map_err(|error| anyhow!("value `{}`: {error}", asked.label))?;
    valuation
        .value(game, &ValuationContext::new(seed, &|_| {}))
        .map_err(|error| anyhow!("value `{}`: {error}", asked.label))
}

/// `name`, `name(1,2)` or `name(key=1)`, separated by commas outside of parentheses.
fn parse(text: &str) -> Result<Vec<Asked>> {
    let (mut parts, mut depth) = (vec![String::new()], 0usize);
    for letter in text.chars() {
        match letter {
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        parts.last_mut().expect("there is a part").push(letter);
    }
    parts.iter().map(|part| parse_one(part.trim())).collect()
}

fn parse_one(label: &str) -> Result<Asked> {
    let Some((name, rest)) = label.split_once('(') else {
        let (label, name) = (label.to_owned(), label.to_owned());
        return Ok(Asked { label, name, parameters: json!({}) });
    };
    let inside = rest.strip_suffix(')').with_context(|| {
        format!("`{label}` lacks its closing parenthesis\nhint: write beta(16,1)")
    })?;
    let mut parameters = Map::new();
    for (position, part) in inside.split(',').map(str::trim).enumerate() {
        let (key, number) = match (part.split_once('='), position) {
            (Some((key, number)), _) => (key.trim(), number.trim()),
            (None, 0) => ("alpha", part),
            (None, 1) => ("beta", part),
            (None, _) => bail!("`{label}`: `{part}` has no name\nhint: write name=number"),
        };
        let number: Value = serde_json::from_str(number)
            .map_err(|_| anyhow!("`{label}`: `{number}` is no number\nhint: write beta(16,1)"))?;
        if ["evaluations", "standard-error", "rank-stability"].contains(&key) {
            let stop = parameters.entry("stop").or_insert_with(|| json!({}));
            stop[key] = number;
        } else {
            parameters.insert(key.to_owned(), number);
        }
    }
    let (label, name) = (label.to_owned(), name.to_owned());
    Ok(Asked { label, name, parameters: Value::Object(parameters) })
}

fn read(arguments: &ValueArguments) -> Result<Named> {
    let path = &arguments.table;
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("npz") => read_npz(path, arguments.players),
        Some("csv" | "parquet") => read_columns(path, arguments.players),
        _ => bail!("{} is no table\nhint: give a .csv, .parquet or .npz file", path.display()),
    }
}

fn numbered(players: usize) -> Vec<String> {
    (0..players).map(|player| player.to_string()).collect()
}

fn read_npz(path: &Path, players: Option<usize>) -> Result<Named> {
    let mut archive = Archive::open(path)?;
    let utility = archive
        .array("utility")
        .with_context(|| format!("arrays of {}: {}", path.display(), archive.names().join(", ")))?;
    let rows = utility.shape()[0];
    let outcomes = utility.len().checked_div(rows).unwrap_or(0);
    let utility = utility.to_shape((rows, outcomes))?.to_owned();
    if archive.holds("coalitions") {
        let members = archive.matrix("coalitions")?;
        let list = members.outer_iter().map(|row| coalition(&row.to_vec()));
        let list = list.collect::<Result<Vec<_>>>()?;
        let players = members.ncols();
        let game = TableGame::sampled(players, list, utility)?;
        return Ok(Named { game, players: numbered(players) });
    }
    by_masks((0..rows).map(|mask| mask as f64).collect(), utility, players)
}

/// A row of 0 and 1.
fn coalition(row: &[f64]) -> Result<Coalition> {
    if let Some(other) = row.iter().find(|&&value| value != 0.0 && value != 1.0) {
        bail!("a player is in with {other}\nhint: write 0 for out and 1 for in");
    }
    let members = row.iter().enumerate().filter(|(_, value)| **value == 1.0);
    Ok(Coalition::of(row.len(), members.map(|(player, _)| player)))
}

fn by_masks(masks: Vec<f64>, utility: Array2<f64>, players: Option<usize>) -> Result<Named> {
    let bad =
        masks.iter().find(|mask| mask.fract() != 0.0 || !(0.0..2f64.powi(53)).contains(*mask));
    if let Some(bad) = bad {
        bail!("`coalition` {bad} is no bit mask\nhint: write whole numbers, bit i for player i");
    }
    let largest = masks.iter().fold(0u64, |most, &mask| most.max(mask as u64));
    let needed = (64 - largest.leading_zeros()) as usize;
    let players = players.unwrap_or(needed);
    if players < needed || players > 53 {
        bail!(
            "{players} players, but a coalition has bit {}\nhint: --players {needed}",
            needed - 1
        );
    }
    let list = masks.iter().map(|&mask| Coalition::from_mask(players, mask as u64)).collect();
    let game = TableGame::sampled(players, list, utility)?;
    Ok(Named { game, players: numbered(players) })
}

fn read_columns(path: &Path, players: Option<usize>) -> Result<Named> {
    let columns = attribench_reports::read_columns(path)?;
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let known = names.join(", ");
    let (utilities, others): (Vec<_>, Vec<_>) =
        columns.iter().partition(|(name, _)| name.starts_with("utility"));
    let rows = columns.first().map_or(0, |(_, cells)| cells.len());
    if utilities.is_empty() || others.is_empty() || rows == 0 {
        bail!(
            "{} has {rows} rows of the columns: {known}\nhint: name the worth of a coalition `utility`, and give a column `coalition` of bit masks or one of 0 and 1 for each player",
            path.display()
        );
    }
    let utility =
        Array2::from_shape_fn((rows, utilities.len()), |(row, outcome)| utilities[outcome].1[row]);
    if let [(name, masks)] = others[..]
        && name == "coalition"
    {
        return by_masks(masks.clone(), utility, players);
    }
    let member = |row: usize| -> Vec<f64> { others.iter().map(|(_, cells)| cells[row]).collect() };
    let list = (0..rows).map(|row| coalition(&member(row))).collect::<Result<Vec<_>>>()?;
    let game = TableGame::sampled(others.len(), list, utility)?;
    Ok(Named { game, players: others.iter().map(|(name, _)| name.clone()).collect() })
}

/// Mean over outcomes of a player's value and of its error.
fn mean(valued: &Valued, player: usize) -> (f64, Option<f64>) {
    let of = |row: ndarray::ArrayView1<'_, f64>| row.sum() / row.len() as f64;
    let error = valued.standard_errors().map(|errors| of(errors.row(player)));
    (of(valued.values().row(player)), error)
}

fn as_words(named: &Named, asked: &[Asked], found: &[Valued]) -> String {
    let wide = named.players.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(6);
    let mut text = format!("{:<wide$}", "player");
    for asked in asked {
        text += &format!("  {:>24}", asked.label);
    }
    text += "\n";
    for (player, name) in named.players.iter().enumerate() {
        text += &format!("{name:<wide$}");
        for valued in found {
            let cell = match mean(valued, player) {
                (value, Some(error)) => format!("{value:.6} +- {error:.6}"),
                (value, None) => format!("{value:.6}"),
            };
            text += &format!("  {cell:>24}");
        }
        text += "\n";
    }
    for (asked, valued) in asked.iter().zip(found) {
        let facts: String =
            valued.facts().iter().map(|(name, value)| format!(", {name} {value:.6}")).collect();
        text += &format!("{}: {} coalitions{facts}\n", asked.label, valued.evaluations());
    }
    text
}

fn as_json(named: &Named, asked: &[Asked], found: &[Valued]) -> Value {
    let one = |(asked, valued): (&Asked, &Valued)| {
        let facts: Map<String, Value> =
            valued.facts().iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let errors = valued.standard_errors().map(|errors| rows(errors));
        json!({
            "value": asked.label,
            "values": rows(valued.values()),
            "standard_errors": errors,
            "evaluations": valued.evaluations(),
            "stopped": valued.stopped(),
            "facts": facts,
        })
    };
    let values: Vec<Value> = asked.iter().zip(found).map(one).collect();
    json!({"players": named.players, "outcomes": named.game.outcomes(), "values": values})
}

fn rows(matrix: ndarray::ArrayView2<'_, f64>) -> Vec<Vec<f64>> {
    matrix.outer_iter().map(|row| row.to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn values_are_read_with_their_parameters() {
        let found = parse("shapley, beta(16,1),permutation-shapley(evaluations=9)").unwrap();
        let read: Vec<(&str, String)> =
            found.iter().map(|asked| (asked.name.as_str(), asked.parameters.to_string())).collect();
        assert_eq!(read[0], ("shapley", "{}".to_owned()));
        assert_eq!(read[1], ("beta", r#"{"alpha":16,"beta":1}"#.to_owned()));
        assert_eq!(read[2], ("permutation-shapley", r#"{"stop":{"evaluations":9}}"#.to_owned()));
        assert!(parse("beta(16,1").is_err());
        assert!(parse("beta(x,1)").is_err());
    }
}
