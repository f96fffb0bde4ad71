//! What attacks gain when the model is trained and attributed again.

use attribench_core::{Record, Row};

use super::Figure;
use super::charts::{Dot, Dots, Line, colour, dots};

const NAME: &str = "closed-loop";
const TITLE: &str = "What attacks gain when everything is computed again";

/// One row for each attack and attribution, one dot for each rule; nothing without a closed loop.
pub(super) fn figure(record: &Record) -> Option<Figure> {
    let rows: Vec<&Row> = record.rows.iter().filter(|row| row.metric == "attack-gain").collect();
    if rows.is_empty() {
        return None;
    }
    let distinct = |read: fn(&Row) -> &str| {
        let mut found: Vec<&str> = vec![];
        for row in &rows {
            if !found.contains(&read(row)) {
                found.push(read(row));
            }
        }
        found
    };
    let (attacks, methods) = (distinct(|row| &row.truth), distinct(|row| &row.method));
    let rules = distinct(|row| &row.grain);
    let mut lines = vec![];
    for attack in &attacks {
        for method in &methods {
            let dot = |(at, rule): (usize, &&str)| {
                let row = rows.iter().find(|row| {
                    row.truth == *attack && row.method == *method && row.grain == **rule
                })?;
                let ends = Some((row.value.lower(), row.value.upper()));
                Some(Dot { value: row.value.point(), ends, colour: colour(at) })
            };
            lines.push(Line {
                label: format!("{attack}, {method}"),
                dots: rules.iter().enumerate().filter_map(dot).collect(),
            });
        }
    }
    let keys = rules.iter().enumerate().map(|(at, rule)| (colour(at), (*rule).to_owned()));
    let chart = Dots {
        title: TITLE,
        across: "gain of the attacker, share of the pool",
        keys: keys.collect(),
        rows: lines,
        guide: Some((0.0, "no gain".to_owned())),
    };
    let caption = "What the attacker's names are paid together after the attack less what the \
                   attacker was paid before it, mean and 95 % interval over trainings. \
                   `leave-contributor-out` is exact attribution: what the attack is really worth."
        .to_owned();
    Some(Figure::drawn(NAME, TITLE, caption, dots(&chart)))
}
