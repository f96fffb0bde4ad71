//! `attribench check`.

use anyhow::Result;
use clap::Args;

use super::{ExperimentArguments, count, plan, registries};
use crate::{Ending, treasury::LedgerTreasury};

/// Arguments of `attribench check`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  attribench check
  attribench check experiments/mislabels.yaml
  attribench check smoke --set training.epochs=50 --json")]
pub struct CheckArguments {
    #[command(flatten)]
    experiment: ExperimentArguments,
}

/// Checks, and says what running would cost.
pub fn check(arguments: &CheckArguments) -> Result<Ending> {
    let Some(document) = arguments.experiment.read() else { return Ok(Ending::Refused) };
    let treasury = LedgerTreasury;
    let Some(plan) = plan(&document, &registries(&treasury)) else {
        return Ok(Ending::Refused);
    };
    let threads = arguments.experiment.threads();
    let Some(jobs) = super::threads(&document, &plan, threads) else { return Ok(Ending::Refused) };
    let forecast = plan.forecast(jobs);
    if arguments.experiment.json {
        println!("{}", serde_json::to_string_pretty(&forecast)?);
        return Ok(Ending::Done);
    }
    let contributors = plan.train.contributors().len();
    println!("{} is in order", document.path.display());
    println!(
        "data       {} training examples of {}, {}, {} queries",
        plan.train.len(),
        plan.train.name(),
        count(contributors, "contributor"),
        plan.queries.len()
    );
    println!(
        "model      {}, {} parameters, {} steps",
        plan.spec.model.value.name, forecast.parameters, forecast.steps
    );
    println!("methods    {}", labels(&plan));
    println!(
        "retraining {}, about {} on one thread",
        count(forecast.trainings, "model"),
        seconds(forecast.training_seconds)
    );
    println!("memory     about {} with {}", mebibytes(forecast.bytes), count(jobs, "thread"));
    Ok(Ending::Done)
}

fn labels(plan: &attribench_engine::plan::Plan) -> String {
    let labels: Vec<&str> = plan.methods.iter().map(|method| method.label.as_str()).collect();
    labels.join(", ")
}

fn seconds(value: f64) -> String {
    if value < 120.0 { format!("{value:.1} s") } else { format!("{:.1} min", value / 60.0) }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / (1u64 << 20) as f64)
}
