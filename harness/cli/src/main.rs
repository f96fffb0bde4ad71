//! `attribench`: one subcommand, one file in `commands`.

mod commands;
mod facts;
mod overrides;
mod progress;
mod provenance;
mod scenario;
mod states;
mod study;
mod treasury;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

// glibc's allocator makes the same binary randomly once or twice as slow from process to process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures who gets paid what for the data that a model was trained on, and who should be.
#[derive(Parser)]
#[command(name = "attribench", version, about, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run an experiment and write its report.
    Run(commands::run::RunArguments),
    /// Check an experiment and say what it will cost, without running it.
    Check(commands::check::CheckArguments),
    /// Fit when contributors stop to a community whose numbers of contributions are known.
    Calibrate(commands::calibrate::CalibrateArguments),
    /// Put finished runs on one page, with one figure of accuracy by access.
    Beside(commands::beside::BesideArguments),
    /// Let the model of a run answer, and say to whom the answer is owed.
    Explain(commands::explain::ExplainArguments),
    /// List what can be named in an experiment.
    List(commands::list::ListArguments),
    /// Check and show the log of a run: receipts, audits, comparisons, keys.
    Log(commands::log::LogArguments),
    /// Hold scores made by any tool against a truth.
    Evaluate(commands::evaluate::EvaluateArguments),
    /// Fetch files of a model from a hub.
    Fetch(commands::fetch::FetchArguments),
    /// Score a model that was trained anywhere.
    Score(commands::score::ScoreArguments),
    /// Make the report again from the rows of a finished run.
    Report(commands::report::ReportArguments),
    /// Run a scenario of payout economics and write its report.
    Simulate(commands::simulate::SimulateArguments),
    /// Search a scenario's parameters for those that meet goals.
    Tune(commands::tune::TuneArguments),
    /// Values of a game whose table of coalitions you bring.
    Value(commands::value::ValueArguments),
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  it failed while running (disk, books that do not balance), or some method of it did: the
     report tells of the others
  2  the command line or the experiment is wrong
  3  done, but a condition under `expect:` did not hold";

/// How a command ended, where it did not fail.
enum Ending {
    /// All is well.
    Done,
    /// The experiment is wrong, and what is wrong has been said.
    Refused,
    /// An expectation was not met, and which has been said.
    Unexpected,
}

fn main() -> ExitCode {
    let ending = match Arguments::parse().command {
        Command::Run(arguments) => commands::run::run(&arguments),
        Command::Check(arguments) => commands::check::check(&arguments),
        Command::Calibrate(arguments) => commands::calibrate::calibrate(&arguments),
        Command::Beside(arguments) => commands::beside::beside(&arguments),
        Command::Explain(arguments) => commands::explain::explain(&arguments),
        Command::List(arguments) => commands::list::list(&arguments),
        Command::Log(arguments) => commands::log::log(&arguments),
        Command::Fetch(arguments) => commands::fetch::fetch(&arguments),
        Command::Evaluate(arguments) => commands::evaluate::evaluate(&arguments),
        Command::Score(arguments) => commands::score::score(&arguments),
        Command::Report(arguments) => commands::report::report(&arguments),
        Command::Simulate(arguments) => commands::simulate::simulate(arguments),
        Command::Tune(arguments) => commands::tune::tune(arguments),
        Command::Value(arguments) => commands::value::value(&arguments),
    };
    match ending {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Refused) => ExitCode::from(2),
        Ok(Ending::Unexpected) => ExitCode::from(3),
        Err(error) => {
            eprintln!("error: {}", words(&error));
            ExitCode::from(1)
        }
    }
}

/// An error with its causes, leaving out those that it has told already.
fn words(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |told, cause| {
        let cause = cause.to_string();
        match told {
            told if told.is_empty() => cause,
            told if told.contains(&cause) => told,
            told => format!("{told}\n  because: {cause}"),
        }
    })
}
