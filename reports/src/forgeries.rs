//! Forged histories of the run's log: which check finds each, and what no check shows.

use attribench_core::{ForgeryFinding, Record};

use crate::{
    number::count,
    page::{self, escape, number_cell},
};

/// The section, or nothing where nothing was forged.
pub(crate) fn section(record: &Record) -> String {
    if record.forgeries.is_empty() {
        return String::new();
    }
    let mut body = words(&record.forgeries);
    body += "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Forgery</th>\
             <th scope=\"col\">Reading the log</th>\
             <th scope=\"col\">Doing drawn steps, scores and payouts again</th>\
             <th scope=\"col\" class=\"number\">Found by</th>\
             <th scope=\"col\" class=\"number\">Steps</th>\
             <th scope=\"col\">Comparing with a kept head</th></tr></thead>\n\
             <tbody>\n";
    for finding in &record.forgeries {
        body += &row(finding);
    }
    body += "</tbody></table></div>\n";
    body += NOT_PROVED;
    page::section("forgeries", "What a forger can get away with", &body)
}

const NOT_PROVED: &str = "<p><b>What no check of a log shows.</b> That the data are what they are \
    said to be, and belong to whom they are said to belong; that the record is complete, and that \
    nothing else was trained; that a contributor is one person; that money which the books pay \
    has arrived. A record can be pristine and the attribution in it still arbitrary: how wrong \
    the methods are is measured above, not proved here. Reading finds what contradicts itself. An \
    audit finds what training again contradicts, and only in steps that it draws; what the methods \
    give otherwise from the states that were kept; and what the payout rule contradicts. It does \
    not measure errors again. A history that is consistent, and that nobody has trained and \
    attributed again, is found out by nothing but a head that somebody else kept.</p>\n";

fn words(findings: &[ForgeryFinding]) -> String {
    let missed = |finding: &&ForgeryFinding| {
        finding.verify.is_none() && finding.audit.is_none() && finding.diff.is_none()
    };
    let missed = findings.iter().filter(missed).count();
    let read = findings.iter().map(|finding| finding.entries_read).max().unwrap_or(0);
    format!(
        "<p>The forger is the operator, who holds the signing key: each history was written again \
         as a whole, with every sum and every root redone, and signed. {} of {} forgeries escaped \
         all three checks. Reading the log, with the public key alone, takes {} entries, those of \
         all trees that it commits to among them. An audit draws 20 steps, by a lot that nobody \
         knew when the log was signed, and computes all scores and payouts again; \"found by\" \
         is the share of 50 such audits, and \"steps\" what one of them takes again.</p>\n",
        match missed {
            0 => "None".to_owned(),
            some => some.to_string(),
        },
        findings.len(),
        count(read),
    )
}

fn row(finding: &ForgeryFinding) -> String {
    let cell = |found: &Option<String>| match found {
        Some(words) => format!("<td>found: {}</td>", escape(words)),
        None => "<td class=\"missing\">passes</td>".to_owned(),
    };
    format!(
        "<tr><td><b>{}</b>: {}</td>{}{}{}{}{}</tr>\n",
        escape(&finding.forgery),
        escape(&finding.what),
        cell(&finding.verify),
        cell(&finding.audit),
        number_cell(&format!("{:.0} %", 100.0 * finding.audit_share), finding.audit_share),
        number_cell(&format!("{:.0}", finding.audit_replayed), finding.audit_replayed),
        cell(&finding.diff),
    )
}

#[cfg(test)]
mod tests {
    use attribench_core::{ForgeryFinding, Record};

    use super::section;

    #[test]
    fn what_was_found_and_what_was_not_stand_in_the_table() {
        assert_eq!(section(&Record::default()), "");
        let finding = ForgeryFinding {
            forgery: "truncated-log".into(),
            what: "the settlements were <cut> off".into(),
            verify: None,
            entries_read: 1_234,
            audit: None,
            audit_share: 0.0,
            audit_replayed: 70.0,
            diff: Some("7 signed entries are gone".into()),
        };
        let hidden = ForgeryFinding { forgery: "hidden".into(), diff: None, ..finding.clone() };
        let record = Record { forgeries: vec![finding, hidden], ..Record::default() };
        let html = section(&record);
        assert!(html.contains("1 of 2 forgeries escaped all three checks"));
        assert!(html.contains("found: 7 signed entries are gone"));
        assert!(html.contains("&lt;cut&gt;"));
        assert!(html.contains("pristine and the attribution in it still arbitrary"));
        assert_eq!(html.matches("passes</td>").count(), 5);
    }
}
