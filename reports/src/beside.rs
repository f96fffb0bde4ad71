//! Several finished runs on one page.

use std::path::{Path, PathBuf};

use attribench_core::{Record, Timing, UtilityGap};

use crate::ReportError;
use crate::error::{make_folder, write_file};
use crate::figures::scenarios;
use crate::number::estimate;
use crate::page::{FIGURES_FOLDER, PAGE_FILE, document, escape, figure_section, section};

/// What a run did to the utility of its queries: metric, and heading of its column.
const UTILITIES: [(&str, &str); 3] = [
    ("utility-at-start", "Utility at start, nats"),
    ("utility-at-end", "Utility at end, nats"),
    ("utility-gain", "Gained, nats"),
];

/// Writes `report.html`, one figure of all runs and the differences between models that were asked
/// the same into a folder; returns the path of the page.
///
/// # Errors
/// When the figure cannot be drawn or a file cannot be written.
pub fn write_beside(
    runs: &[(Record, Vec<Timing>)],
    gaps: &[UtilityGap],
    folder: &Path,
) -> Result<PathBuf, ReportError> {
    let borrowed: Vec<(&Record, &[Timing])> =
        runs.iter().map(|(record, timings)| (record, timings.as_slice())).collect();
    let figure = scenarios::figure(&borrowed);
    make_folder(folder)?;
    figure.write(&folder.join(FIGURES_FOLDER))?;
    let sections = [
        section("figures", "Figure", &figure_section(&figure)?),
        section("utilities", "What stays with where a run began", &utilities(runs)),
        section("gaps", "Models against each other", &differences(gaps)),
    ];
    let path = folder.join(PAGE_FILE);
    let page = document(&escape("runs side by side"), &sections.concat());
    write_file(&path, page.as_bytes())?;
    Ok(path)
}

fn utilities(runs: &[(Record, Vec<Timing>)]) -> String {
    let mut head = String::from("<th scope=\"col\">Run</th>");
    for (_, title) in UTILITIES {
        head += &format!("<th scope=\"col\" class=\"number\">{title}</th>");
    }
    let mut body = String::new();
    for (record, _) in runs {
        let name = record.rows.first().map_or("", |row| &row.experiment);
        body += &format!("<tr><td>{}</td>", escape(name));
        for (metric, _) in UTILITIES {
            let row = record.rows.iter().find(|row| row.method == "run" && row.metric == metric);
            let value = row.map_or("not measured".to_owned(), |row| estimate(&row.value));
            body += &format!("<td class=\"number\">{value}</td>");
        }
        body += "</tr>\n";
    }
    format!(
        "<p>Means over queries. What a run gained is owed to its own data; what it had at its start \
         stays with the base that it began at, if it began at one. Runs that ask the same queries \
         compare by these columns: a specialised model, a general one, and one that was general \
         first.</p>\n<div class=\"wide\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\
         </tbody></table></div>\n"
    )
}

fn differences(gaps: &[UtilityGap]) -> String {
    if gaps.is_empty() {
        return "<p>No two of these runs ask the same queries.</p>\n".to_owned();
    }
    let rows: String = gaps
        .iter()
        .map(|difference| {
            let UtilityGap { more, than, gap, ahead } = difference;
            let odds = difference.log_odds().as_ref().map_or("beyond any".to_owned(), estimate);
            let numbers = [estimate(gap), estimate(ahead), odds];
            let cells = numbers.map(|number| format!("<td class=\"number\">{number}</td>"));
            format!(
                "<tr><td>{}</td><td>{}</td>{}</tr>\n",
                escape(more),
                escape(than),
                cells.concat()
            )
        })
        .collect();
    format!(
        "<p>What one model gives the same queries more than another: mean over queries of the \
         difference query by query, and the share of queries at which it gives more, half of the \
         ties among them, with 95 % intervals. The start of a run is the model that it began at. \
         The log odds of that share are a performance gap in the units of the ledger simulator's \
         adoption model, in which a team that judges by one query chooses so.</p>\n\
         <div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Model</th>\
         <th scope=\"col\">Against</th><th scope=\"col\" class=\"number\">Nats</th>\
         <th scope=\"col\" class=\"number\">Ahead</th>\
         <th scope=\"col\" class=\"number\">Log odds</th></tr></thead>\n\
         <tbody>\n{rows}</tbody></table></div>\n"
    )
}
