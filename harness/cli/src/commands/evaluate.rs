//! `attribench evaluate`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use attribench_datasets::ExampleId;
use attribench_engine::{
    files::{
        scores::{Declaration, ScoreFile, Sign, declaration_path},
        truths::TruthFile,
    },
    measure::accuracy::{Comparison, Figure},
};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::print;
use crate::Ending;

/// Arguments of `attribench evaluate`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  attribench evaluate --scores scores.npz --truth runs/retrofit-gap
  attribench evaluate --scores theirs.npz --sign harms --scale arbitrary --truth truth.npz --json

A truth of your own is an .npz with `masks` (subsets x examples, 0 or 1) and `utilities` (subsets x
queries, or seeds x subsets x queries). Scores are an .npz, .safetensors or .parquet with `scores`
(examples x queries). Where `train_ids` and `query_ids` name the entries, they are joined by id.")]
pub struct EvaluateArguments {
    /// Scores; what they mean is read from the .json beside them, or said by --sign and --scale.
    #[arg(long, value_name = "FILE")]
    scores: Vec<PathBuf>,
    /// A truth, or the folder of a run that measured one.
    #[arg(long, value_name = "FILE|FOLDER")]
    truth: PathBuf,
    /// What a positive score says of an example.
    #[arg(long)]
    sign: Option<SignArgument>,
    /// What a score of 1 means.
    #[arg(long)]
    scale: Option<ScaleArgument>,
    /// Root seed of the bootstrap.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Draws of the bootstrap.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(100..))]
    draws: u32,
    /// Write JSON to standard output instead of words.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum SignArgument {
    /// Keeping the example raises the utility.
    Helps,
    /// Keeping the example raises the loss.
    Harms,
}

#[derive(Clone, Copy, ValueEnum)]
enum ScaleArgument {
    /// A difference of utilities.
    Unit,
    /// First order in the data weight, in the unit of the utility.
    Derivative,
    /// Only the order means something.
    Arbitrary,
}

impl EvaluateArguments {
    /// What the command line says of the scores, over what stands beside them.
    fn declaration(&self, scores: &Path) -> Result<Declaration> {
        let beside = Declaration::beside(scores)?;
        let sign = self.sign.map(|sign| match sign {
            SignArgument::Helps => Sign::PositiveHelps,
            SignArgument::Harms => Sign::PositiveHarms,
        });
        let scale = self.scale.map(|scale| {
            let name = scale.to_possible_value().expect("every scale has a name");
            serde_json::from_value(json!(name.get_name())).expect("the same names as in files")
        });
        match (sign, scale, beside) {
            (Some(sign), Some(scale), beside) => {
                let method = beside.and_then(|beside| beside.method);
                let nothing = Value::Null;
                let facts = nothing.clone();
                Ok(Declaration { sign, scale, method, parameters: nothing, access: None, facts })
            }
            (sign, scale, Some(beside)) => Ok(Declaration {
                sign: sign.unwrap_or(beside.sign),
                scale: scale.unwrap_or(beside.scale),
                ..beside
            }),
            _ => Err(anyhow!(
                "nothing says what the scores of {} mean\nhint: give --sign and --scale, or \
                 {} with {{\"sign\": \"positive-helps\", \"scale\": \"arbitrary\"}}",
                scores.display(),
                declaration_path(scores).display()
            )),
        }
    }
}

/// Reads scores and truth, joins them, and tells every figure.
pub fn evaluate(arguments: &EvaluateArguments) -> Result<Ending> {
    let found = figures(arguments);
    let (names, figures) = match found {
        Ok(found) => found,
        Err(error) => {
            eprintln!("error: {}", crate::words(&error));
            return Ok(Ending::Refused);
        }
    };
    let name = |figure: &Figure| figure.scores.map_or("truth", |index| names[index].as_str());
    if arguments.json {
        let rows: Vec<Value> = figures
            .iter()
            .map(|figure| {
                json!({
                    "scores": name(figure),
                    "truth": figure.truth,
                    "metric": figure.metric,
                    "grain": figure.grain,
                    "unit": figure.unit,
                    "value": figure.value,
                })
            })
            .collect();
        print(&format!("{}\n", serde_json::to_string_pretty(&rows)?))?;
        return Ok(Ending::Done);
    }
    let widest = names.iter().map(String::len).max().unwrap_or(0).max("truth".len());
    let mut text = String::new();
    for figure in &figures {
        text += &format!(
            "{:<widest$}  {:<24} {:<22} {} (n = {})\n",
            name(figure),
            figure.metric,
            figure.truth,
            figure.value,
            figure.value.n(),
        );
    }
    print(&text)?;
    Ok(Ending::Done)
}

fn figures(arguments: &EvaluateArguments) -> Result<(Vec<String>, Vec<Figure>)> {
    let truth = TruthFile::read(&arguments.truth)?;
    let (mut names, mut matrices) = (Vec::new(), Vec::new());
    for path in &arguments.scores {
        let declaration = arguments.declaration(path)?;
        let file = read(path)?;
        let values = truth
            .scores_of(&file)
            .with_context(|| format!("{} against {}", path.display(), arguments.truth.display()))?;
        names.push(name_of(path, &declaration));
        matrices.push((declaration.turned(values), declaration.scale));
    }
    if matrices.is_empty() {
        return Err(anyhow!("no scores were given\nhint: name files with --scores"));
    }
    let comparison = Comparison {
        truths: &truth.truths,
        scores: matrices.iter().map(|(values, scale)| (values.view(), *scale)).collect(),
        floor: None,
        queries: truth.queries,
        seed: arguments.seed,
        draws: arguments.draws as usize,
    };
    Ok((names, comparison.figures()?))
}

/// Scores of any kind of file.
fn read(path: &Path) -> Result<ScoreFile> {
    if path.extension().is_some_and(|extension| extension == "parquet") {
        let (train_ids, query_ids, values) = attribench_reports::read_scores(path)?;
        let ids = |ids: Vec<u32>| Some(ids.into_iter().map(ExampleId).collect());
        return Ok(ScoreFile { train_ids: ids(train_ids), query_ids: ids(query_ids), values });
    }
    Ok(ScoreFile::read(path)?)
}

/// The file's name, with the method that made the scores where that is known.
fn name_of(path: &Path, declaration: &Declaration) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    match &declaration.method {
        Some(method) => format!("{file} ({method})"),
        None => file.into_owned(),
    }
}
