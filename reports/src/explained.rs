//! The page of one answer: to whom it is owed, by every method that was asked.

use std::path::Path;

use attribench_core::AccessLevel;

use crate::ReportError;
use crate::error::write_file;
use crate::number::{count, number};
use crate::page::{document, escape, number_cell, section};

/// An answer of a model and what methods say of it.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Name of the experiment.
    pub experiment: String,
    /// What the model was given.
    pub prompt: String,
    /// What it went on with.
    pub answer: String,
    /// Tokens of the answer.
    pub tokens: usize,
    /// Logarithm of the answer's probability, in nats.
    pub log_probability: f64,
    /// What the answer pays, in units.
    pub pool: u64,
    /// The payout rule that shares it out.
    pub rule: String,
    /// Names of all contributors.
    pub contributors: Vec<String>,
    /// One entry a method.
    pub methods: Vec<ExplainedBy>,
}

/// What one method says.
#[derive(Clone, Debug)]
pub struct ExplainedBy {
    /// Its label.
    pub label: String,
    /// What it read.
    pub access: AccessLevel,
    /// Whether scores are nats, or only say an order.
    pub has_unit: bool,
    /// Score of each contributor.
    pub scores: Vec<f64>,
    /// What each contributor is paid; nothing where the rule refuses such scores.
    pub paid: Option<Vec<u64>>,
    /// Passages that score highest, best first.
    pub passages: Vec<Passage>,
}

/// A training example as text.
#[derive(Clone, Debug)]
pub struct Passage {
    /// Whose it is.
    pub contributor: String,
    /// What it scores for the answer.
    pub score: f64,
    /// Its text.
    pub text: String,
}

/// Writes the page of an answer.
///
/// # Errors
/// When the file cannot be written.
pub fn write_explanation(explanation: &Explanation, path: &Path) -> Result<(), ReportError> {
    write_file(path, page(explanation).as_bytes())
}

fn page(explanation: &Explanation) -> String {
    let mut methods = String::new();
    for method in &explanation.methods {
        methods += &method_section(method, &explanation.contributors);
    }
    let sections = [
        section("answer", "Prompt and answer", &answer(explanation)),
        section("paid", "Who is paid what", &payouts(explanation)),
        section("methods", "What each method found", &methods),
    ];
    document(&escape(&format!("{}: one answer", explanation.experiment)), &sections.concat())
}

fn answer(explanation: &Explanation) -> String {
    let per_token = explanation.log_probability / explanation.tokens.max(1) as f64;
    format!(
        "<blockquote>{}<b>{}</b></blockquote>\n<p>The words in bold are the model's. The logarithm \
         of their probability is {} nats, {} a token; scores in nats are parts of what it gained \
         in training.</p>\n",
        escape(&explanation.prompt),
        escape(&explanation.answer),
        number(explanation.log_probability),
        number(per_token)
    )
}

/// Columns whose names fit side by side; more of them stand upright.
const WIDE_COLUMNS: usize = 6;

/// Contributors by methods.
fn payouts(explanation: &Explanation) -> String {
    let mut head = String::from("<th scope=\"col\">Contributor</th>");
    let class = if explanation.methods.len() > WIDE_COLUMNS { "number upright" } else { "number" };
    for method in &explanation.methods {
        let label = escape(&method.label);
        head += &format!("<th scope=\"col\" class=\"{class}\"><span>{label}</span></th>");
    }
    let mut body = String::new();
    for (at, name) in explanation.contributors.iter().enumerate() {
        body += &format!("<tr><td>{}</td>", escape(name));
        for method in &explanation.methods {
            body += &match &method.paid {
                Some(paid) => number_cell(&count(paid[at]), paid[at] as f64),
                None => "<td>not paid</td>".to_owned(),
            };
        }
        body += "</tr>\n";
    }
    format!(
        "<p>Units of {} that the rule <code>{}</code> gives by the scores of each method for this \
         answer alone.</p>\n<div class=\"wide\"><table class=\"sortable\">\n<thead><tr>{head}</tr>\
         </thead>\n<tbody>\n{body}</tbody></table></div>\n",
        count(explanation.pool),
        escape(&explanation.rule)
    )
}

fn method_section(method: &ExplainedBy, contributors: &[String]) -> String {
    let unit = if method.has_unit { "nats" } else { "order only" };
    let mut order: Vec<usize> = (0..contributors.len()).collect();
    order.sort_by(|&a, &b| method.scores[b].total_cmp(&method.scores[a]).then(a.cmp(&b)));
    let scores: Vec<String> = order
        .into_iter()
        .map(|at| format!("{} {}", escape(&contributors[at]), number(method.scores[at])))
        .collect();
    let mut passages = String::new();
    for passage in &method.passages {
        passages += &format!(
            "<tr><td>{}</td>{}<td>{}</td></tr>\n",
            escape(&passage.contributor),
            number_cell(&number(passage.score), passage.score),
            escape(&passage.text)
        );
    }
    format!(
        "<h3>{}</h3>\n<p>Reads <span>{}</span>; scores are {unit}. {}.</p>\n<div class=\"wide\">\
         <table>\n<thead><tr><th scope=\"col\">Contributor</th><th scope=\"col\" \
         class=\"number\">Score</th><th scope=\"col\">Passage</th></tr></thead>\n<tbody>\n\
         {passages}</tbody></table></div>\n",
        escape(&method.label),
        method.access,
        scores.join(", ")
    )
}
