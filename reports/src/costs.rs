//! What each method costs, in a table: counted operations, work in one unit, and time.

use attribench_core::{AccessLevel, Record, Timing};

use crate::RunFacts;
use crate::figures::{COUNTED, time, work};
use crate::number::{self, number};
use crate::page::{escape, number_cell};
use crate::select::{methods, value};

/// One kind of cost: its heading, and a value for each method.
struct Column {
    heading: String,
    cells: Vec<Option<f64>>,
    words: fn(f64) -> String,
}

/// The table with a sentence above it; nothing where no method has a known cost. Kinds of cost
/// that no method has are left out.
pub(crate) fn cost_table(record: &Record, run: &RunFacts, timings: &[Timing]) -> String {
    let methods = methods(record);
    let column = |heading: &str, cost: &dyn Fn(&str) -> Option<f64>, words| Column {
        heading: heading.to_owned(),
        cells: methods.iter().map(|(method, _)| cost(method)).collect(),
        words,
    };
    let counted = |metric: &&str| {
        let cost = |method: &str| value(record, method, metric).map(|count| count.point());
        column(&heading(metric), &cost, number)
    };
    let mut columns: Vec<Column> = COUNTED.iter().map(counted).collect();
    columns.push(column("Work (gradients)", &|method| work(record, run, method), number));
    columns.push(column("Time", &|method| time(timings, method), number::seconds));
    columns.retain(|column| column.cells.iter().flatten().any(|&cost| cost > 0.0));
    if columns.is_empty() {
        return String::new();
    }
    let mut html = "<p>Counted operations of each method; work puts them into one unit, as \
                    under the figure of accuracy against cost.</p>\n<div class=\"wide\">\
                    <table class=\"sortable\">\n<thead><tr><th scope=\"col\">Method</th>\
                    <th scope=\"col\">Reads</th>"
        .to_owned();
    for column in &columns {
        let heading = escape(&column.heading);
        html += &format!("<th scope=\"col\" class=\"number\">{heading}</th>");
    }
    html += "</tr></thead>\n<tbody>\n";
    for (index, (method, access)) in methods.iter().enumerate() {
        html += &format!("<tr><td>{}</td>{}", escape(method), access_cell(*access));
        for column in &columns {
            html += &match column.cells[index] {
                Some(cost) => number_cell(&(column.words)(cost), cost),
                None => "<td class=\"number\" data-value=\"-1\">not known</td>".to_owned(),
            };
        }
        html += "</tr>\n";
    }
    html + "</tbody></table></div>\n"
}

/// A metric as a heading: words with a capital.
fn heading(metric: &str) -> String {
    let words = metric.replace('-', " ");
    let (first, rest) = words.split_at(words.chars().next().map_or(0, char::len_utf8));
    first.to_uppercase() + rest
}

/// A level sorts by how much it reads, not by its name.
pub(crate) fn access_cell(access: Option<AccessLevel>) -> String {
    let rank = access.map_or(-1, |access| access as i32);
    let title = access.map_or("", AccessLevel::title);
    format!("<td data-value=\"{rank}\">{title}</td>")
}
