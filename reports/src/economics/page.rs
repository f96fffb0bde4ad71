//! The page of a study.

use std::path::{Path, PathBuf};

use super::{Cell, Economics, HEADLINES, Held, tables};
use crate::ReportError;
use crate::error::{make_folder, to_json, write_file};
use crate::figures::Figure;
use crate::figures::economics::figures;
use crate::number::{count, number};
use crate::page::{
    FIGURES_FOLDER, PAGE_FILE, document, escape, expected, figure_section, number_cell, predicted,
    section,
};

/// Writes tables, `economics.json`, the figures and `report.html` into a folder; returns the path
/// of the page.
///
/// # Errors
/// When a figure cannot be drawn or a file cannot be written.
pub fn write_economics(study: &Economics, folder: &Path) -> Result<PathBuf, ReportError> {
    make_folder(folder)?;
    tables::write(study, folder)?;
    let data = folder.join("economics.json");
    write_file(&data, &to_json(study, &data)?)?;
    let figures = figures(study);
    for figure in &figures {
        figure.write(&folder.join(FIGURES_FOLDER))?;
    }
    let path = folder.join(PAGE_FILE);
    write_file(&path, page(study, &figures)?.as_bytes())?;
    Ok(path)
}

fn page(study: &Economics, figures: &[Figure]) -> Result<String, ReportError> {
    let mut drawn = String::new();
    for figure in figures {
        drawn += &figure_section(figure)?;
    }
    let sections = [
        section("question", "Question", &question(study)),
        section("verdicts", "What was expected", &expected(rows_of(&study.held))),
        section("glance", "At a glance", &glance(study)),
        section("search", "What the search found", &search(study)),
        section("figures", "Figures", &drawn),
        section("front", "Who is on the front", &front(study)),
        section("boxes", "Where it fails", &boxes(study)),
        section("axioms", "What the rules keep", &axioms(study)),
        section("rows", "All numbers", &rows(study)),
        section("audit", "Books", &audit(study)),
        section("facts", "What was run on what", &facts(study)),
        section("reproduce", "How to reproduce", &reproduce(study)),
    ];
    Ok(document(&escape(&study.name), &sections.concat()))
}

fn question(study: &Economics) -> String {
    let body = format!(
        "<p><b>Question.</b> {}</p>\n<p><b>Predicted.</b> {}</p>\n",
        escape(study.question.trim()),
        escape(study.prediction.trim())
    );
    body + &predicted(rows_of(&study.predicted))
}

fn rows_of(verdicts: &[Held]) -> impl ExactSizeIterator<Item = (bool, &str, &str)> + Clone {
    verdicts.iter().map(|verdict| (verdict.held, &*verdict.condition, &*verdict.evidence))
}

/// Cases by headline metrics: the table that a reader looks for first.
fn glance(study: &Economics) -> String {
    let shown: Vec<&str> = HEADLINES.into_iter().filter(|metric| study.has(metric)).collect();
    if shown.is_empty() || study.cases.len() > MOST_CASES {
        return String::new();
    }
    let mut body = "<p>Means over replicas with 95 % Monte Carlo intervals. What is owed, exact \
                    attribution without friction, misallocates nothing and reaches everybody by \
                    definition; a case that draws payouts by lot says what chance alone \
                    does.</p>\n<div class=\"wide\"><table class=\"sortable\">\n<thead><tr>\
                    <th scope=\"col\">Case</th>"
        .to_owned();
    for metric in &shown {
        let summary = study.metric(metric).map_or("", |metric| &metric.summary);
        body += &format!(
            "<th scope=\"col\" class=\"number\" title=\"{}\">{}</th>",
            escape(summary),
            escape(metric)
        );
    }
    body += "</tr></thead>\n<tbody>\n";
    for (at, case) in study.cases.iter().enumerate() {
        let label = if case.label.is_empty() { &study.name } else { &case.label };
        body += &format!("<tr><td>{}</td>", escape(label));
        for metric in &shown {
            body += &match study.cell(at, metric) {
                Some(cell) => number_cell(&with_half_width(cell), cell.mean),
                None => "<td class=\"number\"></td>".to_owned(),
            };
        }
        body += "</tr>\n";
    }
    body + "</tbody></table></div>\n"
}

fn with_half_width(cell: &Cell) -> String {
    let Some(error) = cell.standard_error else { return number(cell.mean) };
    // Replicas that agree differ in the last bit of a sum at most.
    let half = if error > 1e-12 * cell.mean.abs() { 1.96 * error } else { 0.0 };
    format!("{} ± {}", number(cell.mean), number(half))
}

/// Cases by the axes of the front, those first that are most often on it.
fn front(study: &Economics) -> String {
    let Some(front) = &study.front else { return String::new() };
    if study.cases.len() > MOST_CASES {
        return String::new();
    }
    let mut body = format!(
        "<p>A case is off the front where another is nowhere worse on these axes and somewhere \
         better, differences below {} not counted (epsilon-dominance: values are cut into boxes of \
         that size). Membership is the share of resamples of replicas, drawn alike for all cases, \
         in which a case is on it.</p>\n<div class=\"wide\"><table class=\"sortable\">\n\
         <thead><tr><th scope=\"col\">Case</th>\
         <th scope=\"col\" class=\"number\">membership</th>",
        number(front.epsilon)
    );
    for axis in &front.axes {
        let summary = study.metric(axis).map_or("", |metric| &metric.summary);
        body += &format!(
            "<th scope=\"col\" class=\"number\" title=\"{}\">{}</th>",
            escape(summary),
            escape(axis)
        );
    }
    body += "</tr></thead>\n<tbody>\n";
    let mut order: Vec<usize> = (0..front.membership.len()).collect();
    order.sort_by(|a, b| front.membership[*b].total_cmp(&front.membership[*a]));
    for case in order {
        let share = front.membership[case];
        body += &format!("<tr><td>{}</td>", escape(&study.cases[case].label));
        body += &number_cell(&crate::number::percent(share), share);
        for axis in &front.axes {
            body += &match study.cell(case, axis) {
                Some(cell) => number_cell(&with_half_width(cell), cell.mean),
                None => "<td class=\"number\"></td>".to_owned(),
            };
        }
        body += "</tr>\n";
    }
    body + "</tbody></table></div>\n"
}

/// What each rule keeps of the axioms, and by how much it breaks the others.
fn axioms(study: &Economics) -> String {
    if study.axioms.is_empty() {
        return String::new();
    }
    let mut body = "<p>On small random games, as a share of the pot: 0 is kept up to rounding. A \
                    rule that passes has passed on these games.</p>\n<div class=\"wide\">\
                    <table>\n<thead><tr><th scope=\"col\">Rule</th>"
        .to_owned();
    for (axiom, words) in &study.axioms[0].axioms {
        body += &format!(
            "<th scope=\"col\" class=\"number\" title=\"{}\">{}</th>",
            escape(words),
            escape(axiom)
        );
    }
    body += "</tr></thead>\n<tbody>\n";
    for kept in &study.axioms {
        body += &format!("<tr><td>{}</td>", escape(&kept.rule));
        for share in &kept.shares {
            body += &number_cell(&number(*share), *share);
        }
        body += "</tr>\n";
    }
    body + "</tbody></table></div>\n"
}

/// Best candidates first.
fn search(study: &Economics) -> String {
    if study.candidates.is_empty() {
        return String::new();
    }
    let mut order: Vec<usize> = (0..study.candidates.len()).collect();
    order.sort_by(|a, b| {
        let (a, b) = (&study.candidates[*a], &study.candidates[*b]);
        a.missed.total_cmp(&b.missed).then(a.objective.total_cmp(&b.objective))
    });
    let mut body = "<div class=\"wide\"><table class=\"sortable\">\n<thead><tr>".to_owned();
    for parameter in &study.parameters {
        body += &format!("<th scope=\"col\">{}</th>", escape(parameter));
    }
    body += "<th scope=\"col\" class=\"number\">Objective</th>\
             <th scope=\"col\" class=\"number\">Goals missed by</th></tr></thead>\n<tbody>\n";
    for candidate in order.into_iter().take(20).map(|at| &study.candidates[at]) {
        body += "<tr>";
        for value in &candidate.values {
            body += &format!("<td>{}</td>", escape(value));
        }
        body += &number_cell(&number(candidate.objective), candidate.objective);
        body += &number_cell(&number(candidate.missed), candidate.missed);
        body += "</tr>\n";
    }
    body + "</tbody></table></div>\n"
}

fn boxes(study: &Economics) -> String {
    let mut body = String::new();
    for found in &study.boxes {
        let limits = match found.limits.is_empty() {
            true => "anywhere: no parameter restricts it".to_owned(),
            false => found.limits.join(" and "),
        };
        body += &format!(
            "<p><b>{}</b> where {}: in {} of the points of the box, which holds {} of all such \
             points and {} of all points.</p>\n",
            escape(&found.event),
            escape(&limits),
            crate::number::percent(found.density),
            crate::number::percent(found.coverage),
            crate::number::percent(found.mass)
        );
    }
    body
}

fn rows(study: &Economics) -> String {
    let mut body = format!(
        "<p>{} rows of {}. A click on a heading sorts. Differences are paired with the first case \
         by common random numbers. Beside this page: <code>cells.parquet</code>, \
         <code>cells.csv</code>, <code>series.parquet</code>, <code>economics.json</code>.</p>\n\
         <div class=\"wide\"><table class=\"sortable\">\n<thead><tr><th scope=\"col\">Case</th>\
         <th scope=\"col\">Metric</th>",
        count(study.cells.len() as u64),
        match study.cases.len() {
            1 => "one case".to_owned(),
            cases => format!("{} cases", count(cases as u64)),
        }
    );
    for heading in ["Mean", "± (95 %)", "P5", "Median", "P95", "Difference", "from", "to", "n"] {
        body += &format!("<th scope=\"col\" class=\"number\">{heading}</th>");
    }
    body += "<th scope=\"col\">Unit</th></tr></thead>\n<tbody>\n";
    for cell in study.cells.iter().take(MOST_ROWS) {
        let optional = |value: Option<f64>| match value {
            Some(value) => number_cell(&number(value), value),
            None => "<td class=\"number\"></td>".to_owned(),
        };
        let summary = study.metric(&cell.metric).map_or("", |metric| &metric.summary);
        body += &format!(
            "<tr><td>{}</td><td title=\"{}\">{}</td>",
            escape(&study.cases[cell.case].label),
            escape(summary),
            escape(&cell.metric)
        );
        body += &number_cell(&number(cell.mean), cell.mean);
        body += &optional(cell.standard_error.map(|error| 1.96 * error));
        for at in [0, 2, 4] {
            body += &number_cell(&number(cell.percentiles[at]), cell.percentiles[at]);
        }
        for at in 0..3 {
            body += &optional(cell.difference.map(|difference| difference[at]));
        }
        body += &number_cell(&count(cell.count as u64), cell.count as f64);
        let unit = study.metric(&cell.metric).map_or("", |metric| &metric.unit);
        body += &format!("<td>{}</td></tr>\n", escape(unit));
    }
    body += "</tbody></table></div>\n";
    if study.cells.len() > MOST_ROWS {
        body += &format!("<p>The first {MOST_ROWS} rows; all are in the tables.</p>\n");
    }
    body
}

/// Most cases in the table of headline metrics.
const MOST_CASES: usize = 64;
/// Rows on the page; the tables hold all.
const MOST_ROWS: usize = 3_000;

fn audit(study: &Economics) -> String {
    if study.postings == 0 {
        return String::new();
    }
    format!(
        "<p>{} postings replayed by the auditor, residual 0; hash over the roots of all journals \
         <code>{}</code>.</p>\n",
        count(study.postings),
        escape(&study.root)
    )
}

fn facts(study: &Economics) -> String {
    let mut body = "<dl>\n".to_owned();
    for fact in &study.facts {
        body += &format!("<dt>{}</dt><dd>{}</dd>\n", escape(&fact.name), escape(&fact.value));
    }
    body + "</dl>\n"
}

fn reproduce(study: &Economics) -> String {
    format!(
        "<pre><code>{}</code></pre>\n<h3>Scenario as run</h3>\n<pre><code>{}</code></pre>\n",
        escape(&study.command),
        escape(&study.scenario)
    )
}
