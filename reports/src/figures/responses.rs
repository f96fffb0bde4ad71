//! How metrics answer to a parameter that is a number: over settlement periods, numbers of names,
//! stakes, costs of claims.

use super::Figure;
use super::charts::{Curve, Lines, colour, lines};
use super::economics::{half_width, is_sampled, of_all, told_apart};
use crate::economics::{Case, Economics};

/// Most figures of this kind.
const MOST_FIGURES: usize = 5;
/// Metrics that are drawn beside those that conditions name.
const USUAL: [&str; 6] = [
    "false-positive-share",
    "attack-gain-relative",
    "sybil-proofing-price",
    "reach",
    "recognition-gap",
    "mispaid-share",
];

/// A parameter whose values are numbers of one unit.
struct Dial {
    parameter: usize,
    unit: String,
}

/// A figure for each metric that answers, those that conditions name first. Nothing where no
/// parameter takes three numbers, or where cases were drawn rather than written.
pub(super) fn responses(study: &Economics) -> Vec<Figure> {
    let is_written = ["Grid", "Zip"].contains(&study.design.as_str());
    if !is_written || is_sampled(study) {
        return vec![];
    }
    let Some(dial) = dial(study) else { return vec![] };
    let conditions = study.predicted.iter().chain(&study.held);
    let named = conditions.filter_map(|held| held.condition.split(['(', ' ']).next());
    let mut metrics: Vec<&str> = vec![];
    for metric in named.chain(USUAL) {
        if !metrics.contains(&metric) && answers(study, metric) {
            metrics.push(metric);
        }
    }
    metrics.iter().take(MOST_FIGURES).filter_map(|metric| figure(study, &dial, metric)).collect()
}

/// The parameter of most numbers.
fn dial(study: &Economics) -> Option<Dial> {
    let dials = (0..study.parameters.len()).filter_map(|parameter| {
        let read: Option<Vec<(f64, &str)>> =
            study.cases.iter().map(|case| quantity(&case.values[parameter])).collect();
        let read = read?;
        let unit = read.first()?.1;
        let mut values: Vec<f64> = read.iter().map(|(value, _)| *value).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.dedup();
        let is_one = read.iter().all(|(_, other)| *other == unit);
        (is_one && values.len() >= 3)
            .then(|| (values.len(), Dial { parameter, unit: unit.to_owned() }))
    });
    // Of equal ones the first.
    dials.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, dial)| dial)
}

/// `40 %` as 40 and its unit.
fn quantity(value: &str) -> Option<(f64, &str)> {
    let (number, unit) = value.split_once(' ').unwrap_or((value, ""));
    Some((number.parse().ok()?, unit))
}

fn answers(study: &Economics, metric: &str) -> bool {
    let means: Vec<f64> =
        study.cells.iter().filter(|cell| cell.metric == metric).map(|cell| cell.mean).collect();
    let (low, high) =
        means.iter().fold((f64::MAX, f64::MIN), |(l, h), mean| (l.min(*mean), h.max(*mean)));
    means.len() > 2 && high - low > 1e-9 * high.abs()
}

fn figure(study: &Economics, dial: &Dial, metric: &str) -> Option<Figure> {
    let others = |case: &Case| -> Vec<String> {
        let pairs = study.parameters.iter().zip(&case.values).enumerate();
        let others = pairs.filter(|(at, _)| *at != dial.parameter);
        others.map(|(_, (name, value))| format!("{name}={value}")).collect()
    };
    let mut groups: Vec<Vec<String>> = vec![];
    for case in &study.cases {
        let group = others(case);
        // Cases of a zipped design differ in everything at once: they are one curve.
        if study.design == "Grid" && !groups.contains(&group) {
            groups.push(group);
        }
    }
    let pairs: Vec<Pair> = match groups.as_slice() {
        [] => vec![Pair::of(study, dial, metric, &study.name, &|_| true)],
        groups => groups
            .iter()
            .map(|group| {
                let label = if group.is_empty() { study.name.clone() } else { group.join(", ") };
                Pair::of(study, dial, metric, &label, &|case| others(case) == *group)
            })
            .collect(),
    };
    let all = pairs.len();
    let shown = told_apart(pairs.iter().collect(), |pair| &pair.simulated.points);
    let (count, name) = (shown.len(), &study.parameters[dial.parameter]);
    let simulated = shown.iter().map(|pair| &pair.simulated);
    let laws = shown.iter().filter_map(|pair| pair.law.as_ref());
    let has_law = laws.clone().next().is_some();
    let curves: Vec<Curve> = simulated
        .chain(laws)
        .zip(0..)
        .map(|(curve, at)| Curve { colour: colour(at), ..curve.clone() })
        .collect();
    if curves.iter().all(|curve| curve.points.len() < 2) {
        return None;
    }
    let info = study.metric(metric)?;
    let title = format!("{metric} over {name}");
    let across = if dial.unit.is_empty() { name.clone() } else { format!("{name}, {}", dial.unit) };
    let up = format!("{metric}, {}", info.unit);
    // Periods and numbers of names are tried in powers.
    let values = || curves.iter().flat_map(|curve| &curve.points).map(|(value, _)| *value);
    let (low, high) = values().fold((f64::MAX, f64::MIN), |(l, h), x| (l.min(x), h.max(x)));
    let is_logarithmic = low > 0.0 && high > 25.0 * low;
    let (title, across, up) = (title.as_str(), across.as_str(), up.as_str());
    let chart = Lines { title, across, up, curves, is_logarithmic, guide: None };
    let mut caption = format!(
        "Mean over replicas of {}, with the 95 % Monte Carlo interval.{}",
        info.summary,
        of_all(count, all)
    );
    if has_law {
        caption +=
            " The law is the closed form of clipped Gaussian errors, a ratio of expectations.";
    }
    if metric == "sybil-proofing-price" {
        caption += " The largest value of a curve is the fee that makes no number of names pay.";
    }
    Some(Figure::drawn(&format!("response-{metric}"), title, caption, lines(&chart)))
}

/// Closed forms of metrics, which are metrics themselves.
const LAWS: [(&str, &str); 1] = [("false-positive-share", "false-positive-law")];

/// What was simulated, and the closed form of it where there is one.
struct Pair {
    simulated: Curve,
    law: Option<Curve>,
}

impl Pair {
    fn of(
        study: &Economics,
        dial: &Dial,
        metric: &str,
        label: &str,
        belongs: &dyn Fn(&Case) -> bool,
    ) -> Self {
        let law = LAWS.iter().find(|(of, _)| *of == metric).map(|(_, law)| {
            let found = curve(study, dial, law, format!("law, {label}"), belongs);
            // A closed form has no draws, and so no band.
            Curve { bands: vec![], ..found }
        });
        Self {
            simulated: curve(study, dial, metric, label.to_owned(), belongs),
            law: law.filter(|law| law.points.len() > 1),
        }
    }
}

/// Cases that belong to a curve, in the order of the dial.
fn curve(
    study: &Economics,
    dial: &Dial,
    metric: &str,
    label: String,
    belongs: impl Fn(&Case) -> bool,
) -> Curve {
    let mut places: Vec<(f64, f64, f64)> = vec![];
    for (at, case) in study.cases.iter().enumerate().filter(|(_, case)| belongs(case)) {
        let value = quantity(&case.values[dial.parameter]);
        if let (Some((value, _)), Some(cell)) = (value, study.cell(at, metric)) {
            places.push((value, cell.mean, half_width(cell)));
        }
    }
    places.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let low = places.iter().map(|(_, mean, half)| mean - half).collect();
    let high = places.iter().map(|(_, mean, half)| mean + half).collect();
    let points = places.iter().map(|(value, mean, _)| (*value, *mean)).collect();
    Curve { label, colour: colour(0), points, bands: vec![(low, high)] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::economics::{Cell, Held, MetricInfo};

    /// Two rules over three stakes: one gains twice its stake, the other nothing.
    fn study() -> Economics {
        let mut study = Economics {
            name: "tiny".to_owned(),
            design: "Grid".to_owned(),
            parameters: vec!["stake".to_owned(), "rule".to_owned()],
            metrics: vec![MetricInfo {
                name: "attack-gain".to_owned(),
                unit: "tokens".to_owned(),
                summary: "what agents gain".to_owned(),
                better: -1,
            }],
            held: vec![Held {
                condition: "attack-gain(rule=equal) < 1".to_owned(),
                held: true,
                evidence: String::new(),
            }],
            ..Economics::default()
        };
        for stake in [40, 10, 20] {
            for rule in ["equal", "yuma"] {
                let case = study.cases.len();
                let values = vec![format!("{stake} tokens"), rule.to_owned()];
                study.cases.push(Case { label: values.join(", "), values });
                study.cells.push(Cell {
                    case,
                    metric: "attack-gain".to_owned(),
                    count: 4,
                    undefined: 0,
                    mean: if rule == "equal" { 2.0 * f64::from(stake) } else { 0.0 },
                    standard_error: Some(1.0),
                    percentiles: [0.0; 5],
                    difference: None,
                });
            }
        }
        study
    }

    #[test]
    fn a_curve_for_each_rule_in_the_order_of_the_stakes() {
        let study = study();
        let dial = dial(&study).unwrap();
        assert_eq!((dial.parameter, dial.unit.as_str()), (0, "tokens"));
        let equal =
            curve(&study, &dial, "attack-gain", String::new(), |case| case.values[1] == "equal");
        assert_eq!(equal.points, [(10.0, 20.0), (20.0, 40.0), (40.0, 80.0)]);
        assert_eq!(equal.bands[0].0, [18.04, 38.04, 78.04]);
        let drawn = responses(&study);
        assert_eq!(drawn.len(), 1);
        assert_eq!(drawn[0].name(), "response-attack-gain");
        let drawing = drawn[0].content.as_ref().unwrap();
        assert_eq!(drawing.label_faults(), [""; 0]);
    }

    #[test]
    fn a_closed_form_is_drawn_beside_what_it_says() {
        let mut study = study();
        study.metrics[0].name = "false-positive-share".to_owned();
        let mut laws = vec![];
        for cell in &mut study.cells {
            cell.metric = "false-positive-share".to_owned();
            let is_equal = study.cases[cell.case].values[1] == "equal";
            let law = Cell { metric: "false-positive-law".to_owned(), ..cell.clone() };
            laws.extend(is_equal.then_some(law));
        }
        study.cells.extend(laws);
        let dial = dial(&study).unwrap();
        let pair = |rule: &'static str| {
            let belongs = move |case: &Case| case.values[1] == rule;
            Pair::of(&study, &dial, "false-positive-share", rule, &belongs)
        };
        let law = pair("equal").law.unwrap();
        assert_eq!((law.label.as_str(), law.bands.len()), ("law, equal", 0));
        assert_eq!(law.points, pair("equal").simulated.points);
        assert!(pair("yuma").law.is_none());
        let drawn = responses(&study);
        assert!(drawn[0].caption().contains("closed form"));
    }

    #[test]
    fn no_dial_without_three_numbers_of_one_unit() {
        let mut other = study();
        other.cases[0].values[0] = "40 USD".to_owned();
        assert!(responses(&other).is_empty());
        let mut other = study();
        other.cases[0].values[0] = "epoch".to_owned();
        assert!(responses(&other).is_empty());
        let drawn = Economics { design: "Saltelli".to_owned(), ..study() };
        assert!(responses(&drawn).is_empty());
    }
}
