//! `attribench calibrate`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use ledger_sim::calibration::{self, Calibration, MOMENTS, WithEnds};

use super::print;
use crate::Ending;

/// Arguments of `attribench calibrate`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  git shortlog --summary --numbered --all > counts.txt
  attribench calibrate counts.txt

The hazard `scale / (k + offset)` of stopping after the k-th contribution is fitted to half of the
community by simulated moments; the other half judges the fit. The last line is what a scenario
takes under `contributors:`.")]
pub struct CalibrateArguments {
    /// One person a line, `COUNT NAME` or `NAME,COUNT`. A first line without number is a heading
    counts: PathBuf,
    /// Seed of the halves, the populations and the resamples.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write JSON to standard output instead of words.
    #[arg(long)]
    json: bool,
}

/// Fits, and prints what was found.
pub fn calibrate(arguments: &CalibrateArguments) -> Result<Ending> {
    let path = &arguments.counts;
    let counts = read(path)?;
    let found = calibration::calibrate(&counts, arguments.seed)
        .with_context(|| format!("the counts of {} cannot be fitted", path.display()))?;
    match arguments.json {
        true => print(&format!("{}\n", serde_json::to_string_pretty(&as_json(&found))?))?,
        false => print(&in_words(&found))?,
    }
    Ok(Ending::Done)
}

fn read(path: &Path) -> Result<Vec<u32>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    parse(&text).with_context(|| path.display().to_string())
}

/// Numbers of contributions, one a line that is not empty.
fn parse(text: &str) -> Result<Vec<u32>> {
    let mut counts = vec![];
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let field = match line.rsplit_once(',') {
            Some((_, last)) => last.trim(),
            None => line.split_whitespace().next().unwrap_or_default(),
        };
        let count: Option<u32> = field.parse().ok().filter(|count| *count > 0);
        if count.is_none() && at == 0 && !field.contains(|letter: char| letter.is_ascii_digit()) {
            continue;
        }
        ensure!(
            count.is_some(),
            "line {}: `{field}` is no number of contributions\nhint: write `COUNT NAME` or \
             `NAME,COUNT`, each count at least one",
            at + 1
        );
        counts.extend(count);
    }
    Ok(counts)
}

fn in_words(found: &Calibration) -> String {
    let interval = |[value, low, high]: WithEnds| format!("{value:.3} [{low:.3}, {high:.3}]");
    let [fitted, judging] = found.people;
    let mut words = format!(
        "{fitted} people fitted, {judging} judge; intervals at 95 %\n\
         scale {}, offset {}, stop after the first contribution {}\n\n\
         {:<14}{:>9}{:>9}{:>10}{:>10}   {:<20}\n",
        interval(found.scale),
        interval(found.offset),
        interval(found.first_stop),
        "moment",
        "target",
        "fitted",
        "residual",
        "held out",
        "predicted"
    );
    for (at, (name, is_inside)) in MOMENTS.iter().zip(found.is_inside()).enumerate() {
        let [low, high] = found.band[at];
        words += &format!(
            "{name:<14}{:>9.4}{:>9.4}{:>10.2}{:>10.4}   [{low:.4}, {high:.4}]{}\n",
            found.targets[at],
            found.fitted[at],
            found.residuals[at],
            found.held_out[at],
            if is_inside { "" } else { "  outside" }
        );
    }
    words + &format!("\nstops: {{scale: {:.4}, offset: {:.4}}}\n", found.scale[0], found.offset[0])
}

fn as_json(found: &Calibration) -> serde_json::Value {
    let interval =
        |[value, low, high]: WithEnds| serde_json::json!({"value": value, "interval": [low, high]});
    let moment = |at: usize| {
        serde_json::json!({
            "moment": MOMENTS[at],
            "target": found.targets[at],
            "fitted": found.fitted[at],
            "residual": found.residuals[at],
            "held_out": found.held_out[at],
            "predicted": found.band[at],
            "is_inside": found.is_inside()[at],
        })
    };
    serde_json::json!({
        "people": found.people,
        "scale": interval(found.scale),
        "offset": interval(found.offset),
        "first_stop": interval(found.first_stop),
        "moments": (0..MOMENTS.len()).map(moment).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn both_ways_of_writing_a_line() {
        assert_eq!(parse("   12\tAda 7\n    1\tBob\n\n").unwrap(), [12, 1]);
        assert_eq!(parse("name,count\nAda,12\n\"Bob, the 2nd\", 1\n").unwrap(), [12, 1]);
        let told = |text: &str| parse(text).unwrap_err().to_string();
        assert!(told("1 Ada\nBob\n").starts_with("line 2: `Bob` is no number"));
        assert!(told("0 Ada\n").starts_with("line 1: `0` is no number"));
        assert!(told("1 Ada\n-3 Bob\n").contains("hint:"));
    }
}
