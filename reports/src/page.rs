//! One page with everything in it: no network, no second file, readable without scripts.

use std::path::{Path, PathBuf};

use attribench_core::{Record, Row, Timing, TrialOutcome, Verdict};

use crate::costs::{access_cell, cost_table};
use crate::error::{make_folder, write_file};
use crate::figures::{Figure, draw_figures};
use crate::forgeries;
use crate::games;
use crate::number::{self, count};
use crate::{Fact, Notice, ReportError, RunFacts, answers, write_facts};

/// Name of the page in the folder of a run.
pub const PAGE_FILE: &str = "report.html";
/// Folder of the figures within the folder of a run.
pub(crate) const FIGURES_FOLDER: &str = "figures";

const STYLE: &str = include_str!("../assets/page.css");
const SCRIPT: &str = include_str!("../assets/page.js");

/// Writes `report.html`, `figures/*.svg`, `figures/*.png` and `run.json` into a folder and returns
/// the path of the page. With what `write_tables` stores, the folder can be read back in full.
///
/// # Errors
/// When a figure cannot be drawn or a file cannot be written.
pub fn write_page(
    record: &Record,
    run: &RunFacts,
    timings: &[Timing],
    folder: &Path,
) -> Result<PathBuf, ReportError> {
    make_folder(folder)?;
    write_facts(run, timings, folder)?;
    let figures = draw_figures(record, run, timings);
    for figure in &figures {
        figure.write(&folder.join(FIGURES_FOLDER))?;
    }
    let path = folder.join(PAGE_FILE);
    write_file(&path, page(record, run, timings, &figures)?.as_bytes())?;
    Ok(path)
}

/// Makes a text harmless in HTML, in an element as in an attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

fn page(
    record: &Record,
    run: &RunFacts,
    timings: &[Timing],
    figures: &[Figure],
) -> Result<String, ReportError> {
    let title = if run.experiment.is_empty() { "attribench" } else { &run.experiment };
    let title = escape(title);
    let mut drawn = String::new();
    for figure in figures {
        drawn += &figure_section(figure)?;
    }
    let sections = [
        question(record),
        verdicts(record),
        failures(record),
        forgeries::section(record),
        section("figures", "Figures", &drawn),
        section("shares", "Who is owed what", &games::shares(record)),
        section("manipulations", "Splitting, merging, copying", &games::manipulations(record)),
        rows_table(record),
        trials(record),
        section("costs", "What each method costs", &cost_table(record, run, timings)),
        timings_table(timings, run.seconds),
        facts(run),
        notices(&run.notices),
        reproduce(run),
    ];
    Ok(document(&title, &sections.concat()))
}

/// A whole page of a title and a body that are HTML already.
pub(crate) fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header><p class=\"kind\">attribench report</p><h1>{title}</h1></header>\n{body}</main>\n\
         <script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    )
}

/// A section, or nothing where it would be empty.
pub(crate) fn section(id: &str, heading: &str, body: &str) -> String {
    if body.is_empty() {
        return String::new();
    }
    format!("<section id=\"{id}\">\n<h2>{heading}</h2>\n{body}</section>\n")
}

fn question(record: &Record) -> String {
    let paragraph = |name: &str, text: &str| match text.trim() {
        "" => String::new(),
        text => format!("<p><b>{name}.</b> {}</p>\n", escape(text)),
    };
    let mut body = paragraph("Question", &record.question);
    body += &paragraph("Predicted", &record.prediction);
    body += &predicted(rows_of(&record.predicted));
    body += "<h3>Answer</h3>\n<ul class=\"answers\">\n";
    for answer in answers(record) {
        body += &format!("<li>{}</li>\n", escape(&answer));
    }
    body += "</ul>\n";
    section("answer", "Question and answer", &body)
}

fn verdicts(record: &Record) -> String {
    section("verdicts", "What was expected", &expected(rows_of(&record.verdicts)))
}

fn rows_of(verdicts: &[Verdict]) -> impl ExactSizeIterator<Item = (bool, &str, &str)> + Clone {
    verdicts.iter().map(|verdict| (verdict.held, &*verdict.condition, &*verdict.evidence))
}

/// Whether the parts of a prediction came true, each with its evidence; empty for none.
pub(crate) fn predicted<'a>(
    parts: impl ExactSizeIterator<Item = (bool, &'a str, &'a str)> + Clone,
) -> String {
    let (all, failed) = (parts.len(), parts.clone().filter(|(held, _, _)| !*held).count());
    let words = match (all, failed) {
        (0, _) => return String::new(),
        (_, 0) => format!("<p>As conditions, {all} of {all} parts of the prediction held.</p>\n"),
        _ => format!(
            "<p><b>The prediction did not hold as it was written:</b> as conditions, {failed} of \
             {all} parts failed.</p>\n"
        ),
    };
    words + &verdict_table(parts)
}

/// How many conditions held, and each with its evidence; empty for none.
pub(crate) fn expected<'a>(
    verdicts: impl ExactSizeIterator<Item = (bool, &'a str, &'a str)> + Clone,
) -> String {
    let (all, held) = (verdicts.len(), verdicts.clone().filter(|(held, _, _)| *held).count());
    if all == 0 {
        return String::new();
    }
    format!(
        "<p>{held} of {all} conditions of the specification held. They alone were checked; a \
         prediction in words is for the reader to judge.</p>\n{}",
        verdict_table(verdicts)
    )
}

/// Conditions with their evidence.
pub(crate) fn verdict_table<'a>(
    verdicts: impl Iterator<Item = (bool, &'a str, &'a str)>,
) -> String {
    let mut body = "<div class=\"wide\"><table>\n<thead><tr><th>Verdict</th><th>Condition</th>\
                    <th>Evidence</th></tr></thead>\n<tbody>\n"
        .to_owned();
    for (held, condition, evidence) in verdicts {
        let word = if held { "held" } else { "failed" };
        body += &format!(
            "<tr><td><span class=\"verdict {word}\">{word}</span></td><td><code>{}</code></td>\
             <td>{}</td></tr>\n",
            escape(condition),
            escape(evidence)
        );
    }
    body + "</tbody></table></div>\n"
}

fn failures(record: &Record) -> String {
    let mut body = String::new();
    for failure in &record.failures {
        body += &format!(
            "<tr><td>{}</td>{}<td>{}</td></tr>\n",
            escape(&failure.method),
            access_cell(Some(failure.access)),
            escape(&failure.reason)
        );
    }
    if !body.is_empty() {
        body = format!(
            "<p>These methods gave no scores and stand in no figure and no comparison.</p>\n\
             <div class=\"wide\"><table>\n<thead><tr><th>Method</th><th>Reads</th><th>Reason</th>\
             </tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
        );
    }
    section("failures", "What failed", &body)
}

fn trials(record: &Record) -> String {
    let mut body = String::new();
    for trial in &record.trials {
        let reached = match &trial.outcome {
            TrialOutcome::Lds(value) => number_cell(&number::estimate(value), value.point()),
            TrialOutcome::Failed(reason) => format!("<td>failed: {}</td>", escape(reason)),
        };
        body += &format!(
            "<tr><td>{}</td><td><code>{}</code></td>{reached}<td>{}</td></tr>\n",
            escape(&trial.method),
            escape(&trial.parameters),
            if trial.chosen { "reported" } else { "" }
        );
    }
    if !body.is_empty() {
        body = format!(
            "<p>Settings were chosen by the mean linear datamodelling score on tuning queries and \
             tuning subsets, which no number above reads. The best of several looks better there \
             than it is.</p>\n<div class=\"wide\"><table class=\"sortable\">\n<thead><tr>\
             <th scope=\"col\">Method</th><th scope=\"col\">Setting</th>\
             <th scope=\"col\" class=\"number\">LDS when tuning</th><th scope=\"col\">Choice</th>\
             </tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
        );
    }
    section("trials", "Settings tried", &body)
}

pub(crate) fn figure_section(figure: &Figure) -> Result<String, ReportError> {
    let title = escape(figure.title());
    if let Some(reason) = figure.missing() {
        return Ok(format!("<p class=\"missing\"><b>{title}.</b> {}</p>\n", escape(reason)));
    }
    let svg = figure.to_svg()?.unwrap_or_default();
    // In a page, the parser knows the namespace, and a page without addresses is easy to check.
    let svg = svg.replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1);
    let name = escape(figure.name());
    let caption = escape(figure.caption());
    Ok(format!(
        "<figure id=\"figure-{name}\">\n{svg}<figcaption><b>{title}.</b> {caption}</figcaption>\n\
         </figure>\n"
    ))
}

/// A cell that sorts by a number rather than by its text.
pub(crate) fn number_cell(text: &str, value: f64) -> String {
    format!("<td class=\"number\" data-value=\"{value}\">{text}</td>")
}

fn rows_table(record: &Record) -> String {
    if record.rows.is_empty() {
        let body = "<p class=\"missing\">The record holds no rows.</p>\n";
        return section("rows", "All numbers", body);
    }
    let columns = Columns::of(record);
    let mut body = format!("<p>{}</p>\n", escape(&rows_words(record, &columns)));
    body += "<div class=\"wide\"><table class=\"sortable\">\n<thead><tr>";
    for (heading, numeric) in columns.headings() {
        let class = if numeric { " class=\"number\"" } else { "" };
        body += &format!("<th scope=\"col\"{class}>{heading}</th>");
    }
    body += "</tr></thead>\n<tbody>\n";
    for row in &record.rows {
        body += &table_row(row, &columns);
    }
    body += "</tbody></table></div>\n";
    section("rows", "All numbers", &body)
}

/// Columns that are shown only where they tell something.
struct Columns {
    undefined: bool,
    settings_tried: bool,
    data_and_model: bool,
}

impl Columns {
    fn of(record: &Record) -> Self {
        let first = record.rows.first();
        let other = |row: &Row| {
            first.is_some_and(|first| row.dataset != first.dataset || row.model != first.model)
        };
        Self {
            undefined: record.rows.iter().any(|row| row.value.undefined() > 0),
            settings_tried: record.rows.iter().any(|row| row.settings_tried != 1),
            data_and_model: record.rows.iter().any(other),
        }
    }

    /// Every heading, and whether its column holds numbers.
    fn headings(&self) -> Vec<(&'static str, bool)> {
        let mut headings: Vec<(&str, bool)> =
            ["Method", "Reads", "Metric", "Truth", "By"].map(|words| (words, false)).into();
        headings.extend([("Value", true), ("Interval", true), ("Unit", false), ("n", true)]);
        headings.extend(self.undefined.then_some(("Undefined", true)));
        headings.extend(self.settings_tried.then_some(("Settings", true)));
        if self.data_and_model {
            headings.extend([("Data set", false), ("Model", false)]);
        }
        headings
    }
}

/// How to read the table.
fn rows_words(record: &Record, columns: &Columns) -> String {
    let mut words = String::new();
    if let (false, Some(row)) = (columns.data_and_model, record.rows.first()) {
        words += &format!("Data set {}, model {}. ", row.dataset, row.model);
    }
    words += &format!(
        "{} rows; a click on a heading sorts. An interval is nominal at the level that stands \
         under the pointer; a number without one is exact.",
        count(record.rows.len() as u64)
    );
    words += match columns.undefined {
        true => " Undefined values were left out and counted.",
        false => " No value was undefined.",
    };
    words += match columns.settings_tried {
        true => " Settings are how many were tried before the one reported.",
        false => " One setting of each method was tried.",
    };
    let biased = |row: &&Row| {
        let value = &row.value;
        !(value.lower()..=value.upper()).contains(&value.point())
    };
    match record.rows.iter().filter(biased).count() {
        0 => {}
        1 => words += " 1 value lies outside its own interval, which is biased there.",
        some => {
            let some = count(some as u64);
            words +=
                &format!(" {some} values lie outside their intervals, which are biased there.");
        }
    }
    words
}

fn table_row(row: &Row, columns: &Columns) -> String {
    let value = &row.value;
    let interval = match number::interval(value) {
        Some(interval) => format!(
            "<td class=\"number\" data-value=\"{}\" title=\"level {}\">{interval}</td>",
            value.upper() - value.lower(),
            value.level()
        ),
        None => number_cell("exact", 0.0),
    };
    let mut cells = format!(
        "<tr><td>{}</td>{}<td>{}</td><td>{}</td><td>{}</td>{}{interval}<td>{}</td>{}",
        escape(&row.method),
        access_cell(row.access),
        escape(&row.metric),
        escape(&row.truth),
        escape(&row.grain),
        number_cell(&number::point(value), value.point()),
        escape(&row.unit),
        number_cell(&count(value.n() as u64), value.n() as f64),
    );
    if columns.undefined {
        cells += &match value.undefined() {
            0 => number_cell("", 0.0),
            some => format!(
                "<td class=\"number undefined\" data-value=\"{some}\">{}</td>",
                count(some as u64)
            ),
        };
    }
    if columns.settings_tried {
        let tried = row.settings_tried;
        cells += &number_cell(&count(tried as u64), tried as f64);
    }
    if columns.data_and_model {
        cells += &format!("<td>{}</td><td>{}</td>", escape(&row.dataset), escape(&row.model));
    }
    cells + "</tr>\n"
}

fn timings_table(timings: &[Timing], whole: Option<f64>) -> String {
    if timings.is_empty() {
        return String::new();
    }
    let sum: f64 = timings.iter().map(|timing| timing.seconds).sum();
    let mut body = format!(
        "<p>Wall times on one machine; they are never the same twice. All stages together: {}.{}\
         </p>\n<div class=\"wide\"><table class=\"sortable narrow\">\n<thead><tr>\
         <th scope=\"col\">Stage</th><th scope=\"col\">Method</th>\
         <th scope=\"col\" class=\"number\">Time</th></tr></thead>\n<tbody>\n",
        number::seconds(sum),
        match whole {
            Some(whole) if whole < sum => format!(
                " That is more than the {} of this run, so that stages ran side by side or were \
                 kept from an earlier run.",
                number::seconds(whole)
            ),
            _ => String::new(),
        }
    );
    for timing in timings {
        body += &format!(
            "<tr><td>{}</td><td>{}</td>{}</tr>\n",
            escape(&timing.stage),
            escape(timing.method.as_deref().unwrap_or("")),
            number_cell(&number::seconds(timing.seconds), timing.seconds)
        );
    }
    body += "</tbody></table></div>\n";
    section("timings", "Time spent", &body)
}

fn facts(run: &RunFacts) -> String {
    let mut list: Vec<Fact> = Vec::new();
    list.extend(run.datasets.iter().map(|line| Fact::new("data set", line)));
    list.extend(run.models.iter().map(|line| Fact::new("model", line)));
    list.extend(run.batch_size.map(|size| Fact::new("examples in a step", count(size))));
    list.extend(run.seconds.map(|seconds| Fact::new("wall time", number::seconds(seconds))));
    list.extend(run.peak_memory_bytes.map(|size| Fact::new("peak memory", number::bytes(size))));
    list.extend(run.machine.iter().cloned());
    list.extend(run.versions.iter().cloned());
    list.extend(run.commit.iter().map(|commit| Fact::new("commit", commit)));
    list.extend(
        run.hashes
            .iter()
            .map(|hash| Fact::new(format!("hash of {}", hash.name), hash.value.as_str())),
    );
    list.extend(
        run.seeds.iter().map(|seed| Fact::new(format!("seed, {}", seed.name), seed.value.as_str())),
    );
    let mut body = String::new();
    if !list.is_empty() {
        body += "<dl>\n";
        for fact in list {
            let (name, value) = (escape(&fact.name), escape(&fact.value));
            body += &format!("<dt>{name}</dt><dd>{value}</dd>\n");
        }
        body += "</dl>\n";
    }
    section("facts", "What was run on what", &body)
}

fn notices(notices: &[Notice]) -> String {
    let mut body = String::new();
    for notice in notices {
        let (work, licence) = (escape(&notice.work), escape(&notice.licence));
        body += &format!("<h3>{work}: {licence}</h3>\n<pre>{}</pre>\n", escape(&notice.text));
    }
    section("licences", "Licences", &body)
}

fn reproduce(run: &RunFacts) -> String {
    let mut body = String::new();
    if !run.commands.is_empty() {
        body += &format!("<pre><code>{}</code></pre>\n", escape(&run.commands.join("\n")));
    }
    if !run.specification.is_empty() {
        let specification = escape(&run.specification);
        body +=
            &format!("<h3>Specification as run</h3>\n<pre><code>{specification}</code></pre>\n");
    }
    if !body.is_empty() {
        body += "<p>Beside this page: <code>rows.parquet</code>, <code>rows.csv</code>, \
                 <code>effects.parquet</code>, <code>payouts.parquet</code>, \
                 <code>record.json</code>, <code>run.json</code> and the figures as SVG and PNG in \
                 <code>figures/</code>.</p>\n";
    }
    section("reproduce", "How to reproduce", &body)
}
