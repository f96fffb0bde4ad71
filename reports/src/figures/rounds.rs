//! Who is paid where contributors come in rounds: do old contributions last?

use attribench_core::{Record, Row};

use super::Figure;
use super::charts::{COLOURS, Curve, Lines, lines};

const NAME: &str = "paid-by-round";
const TITLE: &str = "Share of the pool by the round in which contributors came";
/// Metric of a round's share of the pool.
const PAID: &str = "paid-share";

/// One figure where contributors came in rounds and were paid, none elsewhere.
pub(super) fn figure(record: &Record) -> Option<Figure> {
    let mut by_payer: Vec<(&str, Vec<&Row>)> = Vec::new();
    for row in record.rows.iter().filter(|row| row.metric == PAID) {
        match by_payer.iter_mut().find(|(payer, _)| *payer == row.method) {
            Some((_, rows)) => rows.push(row),
            None => by_payer.push((&row.method, vec![row])),
        }
    }
    let left_out = by_payer.len().saturating_sub(COLOURS.len());
    by_payer.truncate(COLOURS.len());
    if by_payer.is_empty() {
        return None;
    }
    let curves = by_payer.iter().zip(COLOURS).map(|((payer, rows), colour)| Curve {
        label: if *payer == "truth" { "exact".to_owned() } else { (*payer).to_owned() },
        colour,
        points: (1..).map(f64::from).zip(rows.iter().map(|row| row.value.point())).collect(),
        bands: vec![
            rows.iter().map(|row| (row.value.lower(), row.value.upper())).unzip::<f64, f64, _, _>(),
        ],
    });
    let chart = Lines {
        title: TITLE,
        across: "round in which a contributor came",
        up: "share of the pool",
        curves: curves.collect(),
        is_logarithmic: false,
        guide: None,
    };
    let others = match left_out {
        0 => String::new(),
        count => format!(" {count} further methods are in the table alone."),
    };
    let caption = format!(
        "What those who came in each round are paid together, by exact scores and by each method; \
         bands are 95 % intervals over streams of queries. A line that falls from left to right \
         pays those who came first; one that rises pays the latest, of whom the model was reminded \
         last.{others}"
    );
    Some(Figure::drawn(NAME, TITLE, caption, lines(&chart)))
}
