//! Sections of the page about the game over contributors.

use attribench_core::Record;

use crate::page::{escape, number_cell};

/// Shares of every contributor under every value; nothing where no game was played.
pub(crate) fn shares(record: &Record) -> String {
    let values = in_order(record.game_shares.iter().map(|share| share.value.as_str()));
    let people = in_order(record.game_shares.iter().map(|share| share.contributor.as_str()));
    if values.is_empty() {
        return String::new();
    }
    let heads: String = values
        .iter()
        .map(|value| format!("<th scope=\"col\" class=\"number\">{}</th>", escape(value)))
        .collect();
    let mut body = String::new();
    for person in people {
        let of = |value: &str| {
            let mut own = record.game_shares.iter();
            own.find(|share| share.value == value && share.contributor == person)
        };
        let examples = values.iter().find_map(|value| of(value)).map_or(0, |share| share.examples);
        let cells: String = values
            .iter()
            .map(|value| match of(value) {
                Some(share) => number_cell(&percent(share.share), share.share),
                None => "<td></td>".to_owned(),
            })
            .collect();
        body += &format!("<tr><td>{}</td><td>{examples}</td>{cells}</tr>\n", escape(person));
    }
    format!(
        "<p>Shares of a pot, from every coalition of contributors retrained; a value below zero \
         earns nothing.</p>\n<div class=\"wide\"><table class=\"sortable\">\n<thead><tr>\
         <th scope=\"col\">Contributor</th><th scope=\"col\">Examples</th>{heads}</tr></thead>\n\
         <tbody>\n{body}</tbody></table></div>\n"
    )
}

/// Mean share before and after each manipulation under every value.
pub(crate) fn manipulations(record: &Record) -> String {
    let pair = |value: &str, manipulation: &str| -> Vec<(f64, f64)> {
        let own = record.manipulated.iter();
        own.filter(|found| found.value == value && found.manipulation == manipulation)
            .map(|found| (found.before, found.after))
            .collect()
    };
    let values = in_order(record.manipulated.iter().map(|found| found.value.as_str()));
    let kinds = in_order(record.manipulated.iter().map(|found| found.manipulation.as_str()));
    let mut body = String::new();
    for value in &values {
        for kind in &kinds {
            let pairs = pair(value, kind);
            if pairs.is_empty() {
                continue;
            }
            let mean = |part: &dyn Fn(&(f64, f64)) -> f64| {
                pairs.iter().map(part).sum::<f64>() / pairs.len() as f64
            };
            let (before, after) = (mean(&|pair| pair.0), mean(&|pair| pair.1));
            let most = pairs.iter().map(|pair| pair.1 - pair.0).fold(f64::NEG_INFINITY, f64::max);
            body += &format!(
                "<tr><td>{}</td><td>{}</td>{}{}{}</tr>\n",
                escape(value),
                escape(kind),
                number_cell(&percent(before), before),
                number_cell(&percent(after), after),
                number_cell(&percent(most), most),
            );
        }
    }
    if body.is_empty() {
        return String::new();
    }
    format!(
        "<p>What contributors get when one of them, each in its turn, splits its examples over two \
         accounts, merges accounts with the next, or brings its examples a second time under \
         another name. Shares are means over manipulators, of the accounts that take part.</p>\n\
         <div class=\"wide\"><table class=\"sortable\">\n<thead><tr><th scope=\"col\">Value</th>\
         <th scope=\"col\">Manipulation</th><th scope=\"col\" class=\"number\">Before</th>\
         <th scope=\"col\" class=\"number\">After</th>\
         <th scope=\"col\" class=\"number\">Largest gain</th></tr></thead>\n<tbody>\n{body}\
         </tbody></table></div>\n"
    )
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// Each once, in the order of their first appearance.
fn in_order<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::{manipulations, shares};
    use crate::fixture;

    #[test]
    fn every_value_has_a_column_and_every_contributor_a_row() {
        let text = shares(&fixture::record());
        assert!(text.contains(">shapley</th>") && text.contains(">banzhaf</th>"));
        assert!(text.contains("&lt;bob&gt;") && text.contains("60.00 %"));
        assert_eq!(shares(&attribench_core::Record::default()), "");
    }

    #[test]
    fn gains_by_copying_are_told() {
        // 60 % before; 66 % after under Shapley, 50 % under Banzhaf.
        let text = manipulations(&fixture::record());
        assert!(text.contains("6.00 %") && text.contains("-10.00 %"), "{text}");
    }
}
