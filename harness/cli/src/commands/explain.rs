//! `attribench explain`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use attribench_core::{
    AccessLevel, DataShape, ErasedMethod, Examples, FitReal, Meter, Queries, Run, Scale, Utility,
};
use attribench_datasets::{Dataset, Targets};
use attribench_engine::{
    answering::{Answer, Sampling, Windows},
    encoded::EncodedRun,
    files::parameters::{self, Names},
    imported::ImportedRun,
    logged::LoggedRun,
    plan::{Plan, PlannedMethod},
    progress::Progress as _,
    spec::Precision,
    trace::{TrainedRun, train_states},
    training::Trainer,
    treasury::Treasury as _,
};
use attribench_reports::{ExplainedBy, Explanation, Passage};
use clap::Args;
use ndarray::{Array2, Axis};
use serde_json::{Value, json};

use super::{Document, plan, print, registries};
use crate::{Ending, progress::Bars, states, treasury::LedgerTreasury, words};

/// Arguments of `attribench explain`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  attribench explain --run runs/datanet --prompt \"It is a truth\"
  attribench explain --run runs/datanet --prompt \"The Lord\" --method bm25 --method path-ledger
  attribench explain --run runs/datanet --prompt \"To be\" --temperature 0 --json

The model of the run goes on with the prompt. Methods of the experiment then say to which
contributors and passages the answer is owed, and the experiment's payout rule shares out the pool.
The same stands on a page, answer.html in the folder of the run.
Methods that read more than final weights start from the states that the run kept.")]
pub struct ExplainArguments {
    /// Folder of a finished run on texts.
    #[arg(long, value_name = "FOLDER")]
    run: PathBuf,
    /// What the model is given.
    #[arg(long, value_name = "TEXT")]
    prompt: String,
    /// Tokens of the answer.
    #[arg(long, value_name = "N", default_value_t = 48)]
    tokens: usize,
    /// How freely tokens are drawn; 0 takes the likeliest.
    #[arg(long, value_name = "NUMBER", default_value_t = 0.7)]
    temperature: f64,
    /// Seed of the draws.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Label of a method of the experiment; may be repeated. All that do not train on other data
    /// where absent.
    #[arg(long = "method", value_name = "LABEL")]
    methods: Vec<String>,
    /// What the answer pays, in units.
    #[arg(long, value_name = "UNITS", default_value_t = 1000)]
    pool: u64,
    /// Passages that are shown for each method.
    #[arg(long, value_name = "N", default_value_t = 3)]
    passages: usize,
    /// Page of the answer; `answer.html` in the folder of the run where absent.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write JSON to standard output instead of words.
    #[arg(long)]
    json: bool,
}

/// Generates an answer and says to whom it is owed.
pub fn explain(arguments: &ExplainArguments) -> Result<Ending> {
    let (facts, _) = attribench_reports::read_facts(&arguments.run)
        .with_context(|| format!("{} is no finished run", arguments.run.display()))?;
    let text = facts.specification;
    let document = Document { path: arguments.run.join("run.json"), text, changes: Vec::new() };
    let treasury = LedgerTreasury;
    let Some(plan) = plan(&document, &registries(&treasury)) else { return Ok(Ending::Refused) };
    let methods = match check(arguments, &plan) {
        Ok(methods) => methods,
        Err(error) => {
            eprintln!("error: {}", words(&error));
            return Ok(Ending::Refused);
        }
    };
    let explained = match plan.spec.precision {
        Precision::F32 => explained::<f32>(arguments, &plan, &methods)?,
        Precision::F64 => explained::<f64>(arguments, &plan, &methods)?,
    };
    let output = match arguments.json {
        true => format!("{}\n", serde_json::to_string_pretty(&explained.json(&plan))?),
        false => explained.words(arguments, &plan),
    };
    print(&output)?;
    let page = arguments.out.clone().unwrap_or_else(|| arguments.run.join("answer.html"));
    attribench_reports::write_explanation(&explained.page(arguments, &plan), &page)?;
    eprintln!("page: {}", page.display());
    Ok(Ending::Done)
}

/// The methods that are asked, if run and options fit.
fn check<'p>(arguments: &ExplainArguments, plan: &'p Plan) -> Result<Vec<&'p PlannedMethod>> {
    if !matches!(plan.train.targets(), Targets::Tokens { .. }) {
        bail!("the run is not on texts\nhint: `experiments/datanet.yaml` is such an experiment");
    }
    if !(arguments.temperature >= 0.0 && arguments.temperature.is_finite()) {
        bail!("`--temperature` is {}\nhint: use 0 or more", arguments.temperature);
    }
    if arguments.tokens == 0 || arguments.pool == 0 || arguments.prompt.contains('\0') {
        bail!("an answer has at least one token and one unit to pay, and a prompt no byte 0");
    }
    if let Some(unknown) = arguments
        .methods
        .iter()
        .find(|asked| !plan.methods.iter().any(|method| method.label == **asked))
    {
        let known: Vec<&str> = plan.methods.iter().map(|method| method.label.as_str()).collect();
        bail!("unknown method `{unknown}` (known: {})", known.join(", "));
    }
    let is_asked = |method: &&PlannedMethod| match arguments.methods.is_empty() {
        true => !method.method().retrains() && sees_the_run(method),
        false => arguments.methods.contains(&method.label),
    };
    let methods: Vec<&PlannedMethod> = plan.methods.iter().filter(is_asked).collect();
    if let Some(method) = methods.iter().find(|method| method.method().retrains()) {
        bail!("method `{}` trains on other data, which takes a whole experiment", method.label);
    }
    if let Some(method) = methods.iter().find(|method| !sees_the_run(method)) {
        bail!("method `{}` is shown a part of the data, or another model", method.label);
    }
    Ok(methods)
}

fn sees_the_run(method: &PlannedMethod) -> bool {
    method.known.is_none() && method.proxy.is_none()
}

/// An answer and what methods say of it.
struct Explained {
    answer: String,
    /// Logarithm of the answer's probability, in nats.
    log_probability: f64,
    /// Label, level, scale, scores of examples and what contributors are paid.
    methods: Vec<Found>,
}

struct Found {
    label: String,
    level: AccessLevel,
    scale: Scale,
    /// Score of each training example for the whole answer, `n`.
    scores: Vec<f64>,
    /// Sum of each contributor's.
    contributors: Vec<f64>,
    /// What each contributor is paid; nothing where the rule refuses such scores.
    paid: Option<Vec<u64>>,
}

fn explained<T: FitReal>(
    arguments: &ExplainArguments,
    plan: &Plan,
    methods: &[&PlannedMethod],
) -> Result<Explained> {
    let model = T::model(plan.model.as_ref());
    let train = Examples::<T>::from_dataset(&plan.train);
    let weights = arguments.run.join("model.safetensors");
    let (theta, _) = parameters::load::<T>(&weights, model.layout(), Names::OWN)?;
    let ExplainArguments { tokens, temperature, seed, .. } = *arguments;
    let sampling = Sampling { tokens, temperature, seed };
    let answer = Answer::generate(model, &theta, windows(plan), &arguments.prompt, sampling);
    let queries = answer.queries::<T>(plan.spec.utility);
    let training = &plan.spec.training.value;
    let log_probability =
        model.utilities(&theta, &queries.examples, Utility::NegativeLoss).iter().sum();
    let needs_run = |method: &&&PlannedMethod| method.method().level() > AccessLevel::FinalModel;
    let found = if methods.iter().any(|method| needs_run(&method)) {
        let trainer = Trainer::new(model, &train, training, plan.spec.seed)
            .with_keeping(plan.spec.replay_states);
        let states = match states::read(&arguments.run, &trainer)? {
            Some(states) => states,
            None => {
                eprintln!("note: the run kept no states; it is trained again");
                train_states(&trainer)
            }
        };
        if states.last().is_none_or(|last| last.parameters != theta) {
            bail!(
                "the run ends at other parameters than model.safetensors holds\n\
                 hint: the run was made by another program, on another kind of CPU, or from other \
                 data; ask methods that read no more than final weights"
            );
        }
        let run = TrainedRun::new(trainer, states, plan.spec.checkpoints);
        let score = |method: &&PlannedMethod| match method.log.is_whole() {
            true => scored(method, &run, &queries, plan, arguments.pool),
            false => {
                let logged = LoggedRun::new(&run, &method.log, plan.spec.seed);
                scored(method, &logged, &queries, plan, arguments.pool)
            }
        };
        one_by_one(methods, score)?
    } else {
        let recipe = training.recipe(train.len());
        let run = ImportedRun::new(train, model, theta, recipe);
        let score = |method: &&PlannedMethod| scored(method, &run, &queries, plan, arguments.pool);
        one_by_one(methods, score)?
    };
    let answer = String::from_utf8_lossy(&answer.bytes()).into_owned();
    Ok(Explained { answer, log_probability, methods: found })
}

/// What each method finds; where a person is watching, a bar says how many are done.
fn one_by_one(
    methods: &[&PlannedMethod],
    score: impl Fn(&&PlannedMethod) -> Result<Found>,
) -> Result<Vec<Found>> {
    let bars = Bars::default();
    bars.begin("methods", methods.len());
    let found = methods.iter().map(|method| {
        let found = score(method);
        bars.advance(1);
        found
    });
    let found = found.collect();
    bars.end();
    found
}

fn scored<T: FitReal>(
    planned: &PlannedMethod,
    run: &dyn Run<T>,
    queries: &Queries<T>,
    plan: &Plan,
    pool: u64,
) -> Result<Found> {
    let encoded = planned.encoder.as_ref().map(|encoder| EncodedRun::new(run, encoder));
    let run = encoded.as_ref().map_or(run, |encoded| encoded as &dyn Run<T>);
    let (method, meter): (&dyn ErasedMethod, _) = (planned.method(), Meter::default());
    let failed = || format!("method `{}`", planned.label);
    let mut scorer = T::fit(method, run, &meter, plan.spec.seed).with_context(failed)?;
    let scores = scorer.score(queries).with_context(failed)?;
    let count = plan.train.contributors().len();
    let contributors = scores.by_contributor(plan.train.owners(), count).sum_axis(Axis(1));
    let column: Array2<f64> = contributors.clone().insert_axis(Axis(1));
    let paid = LedgerTreasury.settle(rule(plan), column.view(), pool, plan.spec.seed).ok();
    Ok(Found {
        label: planned.label.clone(),
        level: method.level(),
        scale: scores.scale(),
        scores: scores.values().sum_axis(Axis(1)).to_vec(),
        contributors: contributors.to_vec(),
        paid,
    })
}

impl Found {
    /// Rows of the examples that score highest, best first.
    fn top(&self, count: usize) -> Vec<usize> {
        let mut rows: Vec<usize> = (0..self.scores.len()).collect();
        rows.sort_by(|&a, &b| self.scores[b].total_cmp(&self.scores[a]).then(a.cmp(&b)));
        rows.truncate(count);
        rows
    }
}

impl Explained {
    fn words(&self, arguments: &ExplainArguments, plan: &Plan) -> String {
        let mut text = format!(
            "{}[{}]\n\nlog probability of the answer {:.2} nats, {:.2} a token\n\n",
            arguments.prompt,
            one_line(&self.answer),
            self.log_probability,
            self.log_probability / arguments.tokens as f64
        );
        let (pool, rule) = (arguments.pool, rule(plan));
        text += &format!("what each contributor is paid of {pool} by `{rule}`\n");
        let names = plan.train.contributors();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        for found in &self.methods {
            let unit = if found.scale == Scale::Arbitrary { ", order only" } else { "" };
            text += &format!("\n{} ({}{unit})\n", found.label, found.level);
            let mut order: Vec<usize> = (0..names.len()).collect();
            order.sort_by(|&a, &b| found.contributors[b].total_cmp(&found.contributors[a]));
            for contributor in order {
                let paid = match &found.paid {
                    Some(paid) => paid[contributor].to_string(),
                    None => "not paid".to_owned(),
                };
                let score = found.contributors[contributor];
                let name = &names[contributor];
                text += &format!("  {name:<width$} {paid:>10}   score {score:>12.5}\n");
            }
            for row in found.top(arguments.passages) {
                let owner = &names[plan.train.owners()[row] as usize];
                let (score, passage) = (found.scores[row], one_line(&passage(&plan.train, row)));
                text += &format!("    {score:>12.5}  {owner}: \"{passage}\"\n");
            }
        }
        text
    }

    fn page(&self, arguments: &ExplainArguments, plan: &Plan) -> Explanation {
        let names = plan.train.contributors();
        let passage = |found: &Found, row: usize| Passage {
            contributor: names[plan.train.owners()[row] as usize].clone(),
            score: found.scores[row],
            text: one_line(&passage(&plan.train, row)),
        };
        let of_method = |found: &Found| ExplainedBy {
            label: found.label.clone(),
            access: found.level,
            has_unit: found.scale != Scale::Arbitrary,
            scores: found.contributors.clone(),
            paid: found.paid.clone(),
            passages: found
                .top(arguments.passages)
                .into_iter()
                .map(|row| passage(found, row))
                .collect(),
        };
        Explanation {
            experiment: plan.spec.name.value.clone(),
            prompt: arguments.prompt.clone(),
            answer: self.answer.clone(),
            tokens: arguments.tokens,
            log_probability: self.log_probability,
            pool: arguments.pool,
            rule: rule(plan).to_owned(),
            contributors: names.to_vec(),
            methods: self.methods.iter().map(of_method).collect(),
        }
    }

    fn json(&self, plan: &Plan) -> Value {
        let names = plan.train.contributors();
        let of_method = |found: &Found| {
            let contributor = |(at, name): (usize, &String)| {
                let paid = found.paid.as_ref().map(|paid| paid[at]);
                json!({"contributor": name, "score": found.contributors[at], "paid": paid})
            };
            let passages = found.top(found.scores.len()).into_iter().map(|row| {
                json!({
                    "example": plan.train.ids()[row],
                    "contributor": names[plan.train.owners()[row] as usize],
                    "score": found.scores[row],
                    "text": passage(&plan.train, row),
                })
            });
            json!({
                "method": found.label,
                "access": found.level,
                "scale": found.scale,
                "contributors": names.iter().enumerate().map(contributor).collect::<Vec<_>>(),
                "passages": passages.collect::<Vec<_>>(),
            })
        };
        json!({
            "answer": self.answer,
            "log_probability": self.log_probability,
            "methods": self.methods.iter().map(of_method).collect::<Vec<_>>(),
        })
    }
}

/// The payout rule of the experiment.
fn rule(plan: &Plan) -> &str {
    plan.spec.money.as_ref().map_or("net-then-clip", |money| &money.value.rule)
}

/// How the run's texts lie in windows.
fn windows(plan: &Plan) -> Windows {
    let Targets::Tokens { tokens, .. } = plan.train.targets() else {
        unreachable!("the run is on texts")
    };
    let parts = [&plan.train, &plan.queries].into_iter().chain(&plan.tuning_queries);
    let DataShape { inputs: positions, asked, .. } = DataShape::of(parts);
    Windows { tokenizer: tokens.tokenizer().clone(), positions, asked }
}

/// What an example asks for and what lies between, as text.
fn passage(dataset: &Dataset, row: usize) -> String {
    let Targets::Tokens { tokens, .. } = dataset.targets() else { return String::new() };
    let Some((first, _)) = tokens.asked(row).next() else { return String::new() };
    let (last, target) = tokens.asked(row).last().expect("there is a first one");
    let read = dataset.features().row(row);
    let between = read.iter().take(last + 1).skip(first + 1).map(|&token| token as u32);
    let text = tokens.tokenizer().spell(&between.chain([target]).collect::<Vec<_>>());
    String::from_utf8_lossy(&text.expect("tokens of the vocabulary")).into_owned()
}

/// The text with what would break or hide the line told as blanks.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
