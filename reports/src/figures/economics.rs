//! Figures of a study of payout economics.

use super::Figure;
use super::charts::{
    Bar, Bars, COLOURS, Curve, Dot, Dots, Grid, Line, Lines, Plane, Spot, bars, colour, dots, grid,
    lines, plane,
};
use super::palette::Colour;
use super::responses::responses;
use crate::economics::{Band, Cell, Economics, Lorenz};
use crate::number;

/// Most curves in one figure.
const MOST_CURVES: usize = 6;
/// Most rows of dots in one figure.
const MOST_ROWS: usize = 40;

/// All figures for which the study has numbers, in the order of the page.
pub(crate) fn figures(study: &Economics) -> Vec<Figure> {
    let mut figures = vec![];
    figures.extend(sustaining(study));
    figures.extend(intervals(study, "mispaid-share", "mispaid", "Misallocation by case", 0.0));
    figures.extend(intervals(
        study,
        "distance-from-worth",
        "distance-from-worth",
        "Distance of payouts from worth by case",
        0.0,
    ));
    figures.extend(waterfall(study));
    figures.extend(intervals(
        study,
        "attack-gain-relative",
        "attack-gain",
        "What attacks gain by case",
        0.0,
    ));
    figures.extend(front(study));
    figures.extend(responses(study));
    figures.extend(lorenz(study));
    for (name, title, up) in FANS {
        figures.extend(fan(study, name, title, up));
    }
    figures.extend(sobol_bars(study));
    figures.extend(morris_plane(study));
    figures.extend(tornado(study));
    figures.extend(search(study));
    figures
}

const FANS: [(&str, &str, &str); 7] = [
    ("native-share", "Adoption of models built with attribution", "share of teams"),
    ("treasury-dollars", "The treasury, until fees carry the costs or it ends", "dollars"),
    ("fees-dollars", "Income from attributed usage a month", "dollars"),
    ("paradox", "Recognised by native over retrofitted attribution", "ratio to date"),
    ("treasury", "Tokens in the treasury", "tokens"),
    ("mispaid-share", "Misallocation to date", "share of money"),
    ("price", "Price of the token", "dollars"),
];

fn label(study: &Economics, case: usize) -> String {
    match study.cases[case].label.as_str() {
        "" => study.name.clone(),
        label => label.to_owned(),
    }
}

/// Cells of a metric, by case.
fn cells<'a>(study: &'a Economics, metric: &'a str) -> impl Iterator<Item = &'a Cell> {
    study.cells.iter().filter(move |cell| cell.metric == metric)
}

/// Whether cases are few enough to be told apart by name.
fn is_listed(study: &Economics) -> bool {
    study.cases.len() <= MOST_ROWS
}

/// Whether cases were drawn rather than written: one of them says nothing by itself.
pub(super) fn is_sampled(study: &Economics) -> bool {
    !is_listed(study) || ["Saltelli", "Morris"].contains(&study.design.as_str())
}

pub(super) fn half_width(cell: &Cell) -> f64 {
    1.96 * cell.standard_error.unwrap_or(0.0)
}

fn intervals(
    study: &Economics,
    metric: &str,
    name: &str,
    title: &str,
    guide: f64,
) -> Option<Figure> {
    let says_something = |cell: &Cell| cell.mean != guide || half_width(cell) > 0.0;
    if is_sampled(study) || !cells(study, metric).any(says_something) {
        return None;
    }
    let unit = study.metric(metric).map_or("", |metric| &metric.unit);
    let row = |cell: &Cell| Line {
        label: label(study, cell.case),
        dots: vec![Dot {
            value: cell.mean,
            ends: Some((cell.mean - half_width(cell), cell.mean + half_width(cell))),
            colour: COLOURS[0],
        }],
    };
    let across = format!("{metric}, {unit}");
    let chart = Dots {
        title,
        across: &across,
        keys: vec![],
        rows: cells(study, metric).map(row).collect(),
        guide: Some((guide, "none".to_owned())),
    };
    let summary = study.metric(metric).map_or("", |metric| &metric.summary);
    let caption = format!(
        "Mean over replicas of {summary}, with the 95 % Monte Carlo interval. Cases share all \
         random draws, so that differences between them are surer than the intervals suggest; the \
         table gives paired differences."
    );
    Some(Figure::drawn(name, title, caption, dots(&chart)))
}

/// Ends of the contributors' money, in the order of the bars; they sum to one.
const ENDS: [(&str, &str); 6] = [
    ("recognised-share", "recognised: received by those who are owed it"),
    ("misdirected-share", "received beyond what is owed"),
    ("stranded-share", "stranded in unclaimed balances"),
    ("claim-cost-share", "spent on claims"),
    ("burn-share", "burnt"),
    ("carry-share", "left over"),
];
/// Their colours: blue reaches its owner, the rest does not.
const END_COLOURS: [usize; 6] = [0, 1, 4, 3, 6, 5];

/// Where the contributors' money ends.
fn waterfall(study: &Economics) -> Option<Figure> {
    // A part that no case has needs no key.
    let is_there = |metric: &str| cells(study, metric).any(|cell| cell.mean.abs() > 1e-6);
    let ends = ENDS.into_iter().zip(END_COLOURS);
    let shown: Vec<(&str, &str, Colour)> = ends
        .filter(|((metric, _), _)| is_there(metric))
        .map(|((metric, words), at)| (metric, words, COLOURS[at]))
        .collect();
    if shown.is_empty() || is_sampled(study) {
        return None;
    }
    let row = |case: usize| Bar {
        label: label(study, case),
        parts: shown
            .iter()
            .filter_map(|(metric, _, colour)| Some((study.cell(case, metric)?.mean, *colour)))
            .collect(),
    };
    let title = "Where contributors' money ends";
    let chart = Bars {
        title,
        across: "share of the money that was there for contributors",
        keys: shown.iter().map(|(_, words, colour)| (*colour, (*words).to_owned())).collect(),
        rows: (0..study.cases.len()).map(row).collect(),
    };
    let caption = "Means over replicas. In every run the parts sum to what came in, to the base \
                   unit, or the run fails."
        .to_owned();
    Some(Figure::drawn("waterfall", title, caption, bars(&chart)))
}

fn front(study: &Economics) -> Option<Figure> {
    let gain = "attack-gain-of-pot";
    let is_burning = cells(study, "burn-share").any(|cell| cell.mean > 1e-6);
    let (x, y, title) = match (study.has(gain), is_burning) {
        (true, true) => (gain, "burn-share", "Attack gain against burnt money"),
        (true, false) => (gain, "distance-from-worth", "Attack gain against distance from worth"),
        _ => ("distance-from-worth", "reach", "Distance from worth against reach"),
    };
    if !study.has(x) || !study.has(y) || study.cases.len() < 2 {
        return None;
    }
    let spot = |case: usize| {
        let (across, up) = (study.cell(case, x)?, study.cell(case, y)?);
        let weight = study.front.as_ref().map_or(1.0, |front| front.membership[case]);
        let colour = if weight > 0.5 { COLOURS[0] } else { COLOURS[6] };
        let label = if is_sampled(study) { String::new() } else { label(study, case) };
        Some(Spot { at: (across.mean, up.mean), label, weight, colour })
    };
    let mut keys = vec![];
    let mut caption = "One point a case, means over replicas.".to_owned();
    if let Some(front) = &study.front {
        keys.push((COLOURS[0], "on the front in more than half of the resamples".to_owned()));
        keys.push((COLOURS[6], "dominated".to_owned()));
        caption += &format!(
            " The front is that of {} together, under resampling of replicas; differences below {} \
             count for nothing.",
            front.axes.join(", "),
            number::number(front.epsilon)
        );
    }
    let chart = Plane {
        title,
        across: x,
        up: y,
        spots: (0..study.cases.len()).filter_map(spot).collect(),
        keys,
    };
    Some(Figure::drawn("front", title, caption, plane(&chart)))
}

fn lorenz(study: &Economics) -> Option<Figure> {
    if study.lorenz.is_empty() || is_sampled(study) {
        return None;
    }
    let shown = told_apart(study.lorenz.iter().collect(), |curve| &curve.shares);
    let curve = |(at, curve): (usize, &&Lorenz)| Curve {
        label: label(study, curve.case),
        colour: colour(at),
        points: (0u32..)
            .map(|step| f64::from(step) / 100.0)
            .zip(curve.shares.iter().copied())
            .collect(),
        bands: vec![],
    };
    let title = "Lorenz curves of what people received";
    let chart = Lines {
        title,
        across: "poorest share of people",
        up: "share of money",
        curves: shown.iter().enumerate().map(curve).collect(),
        is_logarithmic: false,
        guide: Some(((0.0, 0.0), (1.0, 1.0), "equality")),
    };
    let caption = format!("Mean curve over replicas.{}", of_all(shown.len(), study.lorenz.len()));
    Some(Figure::drawn("lorenz", title, caption, lines(&chart)))
}

/// Words for a choice of curves.
pub(super) fn of_all(shown: usize, all: usize) -> String {
    match all > shown {
        true => format!(" {shown} of {all} cases, all different."),
        false => String::new(),
    }
}

/// Percentiles over time: a fan for one case, medians for several.
fn fan(study: &Economics, name: &str, title: &str, up: &str) -> Option<Figure> {
    let bands: Vec<&Band> = study.bands.iter().filter(|band| band.name == name).collect();
    let is_flat = |band: &&Band| {
        let values = band.percentiles.iter().flatten();
        let (low, high) = values
            .fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
        high - low <= 1e-12 * high.abs()
    };
    let is_short = bands.first().is_none_or(|band| band.percentiles[2].len() < 2);
    if is_short || is_sampled(study) || bands.iter().all(is_flat) {
        return None;
    }
    let all = bands.len();
    let steps = bands[0].percentiles[2].len() as f64;
    let bands = told_apart(bands, |band| &band.percentiles[2]);
    let curve = |(at, band): (usize, &&Band)| {
        let with = |percentile: usize| band.percentiles[percentile].clone();
        let bands = match bands.len() {
            1 => vec![(with(0), with(4)), (with(1), with(3))],
            _ => vec![(with(1), with(3))],
        };
        Curve {
            label: label(study, band.case),
            colour: colour(at),
            points: (1u32..).map(f64::from).zip(with(2)).collect(),
            bands,
        }
    };
    let chart = Lines {
        title,
        across: &study.step,
        up,
        curves: bands.iter().enumerate().map(curve).collect(),
        is_logarithmic: false,
        guide: (name == "paradox").then_some(((1.0, 1.0), (steps, 1.0), "as much as retrofitted")),
    };
    let shades = match bands.len() {
        1 => "Median over replicas, with the middle half and the middle nine tenths.",
        _ => "Medians over replicas, with the middle half.",
    };
    let caption = format!("{shades}{}", of_all(bands.len(), all));
    Some(Figure::drawn(&format!("fan-{name}"), title, caption, lines(&chart)))
}

/// Few enough curves to be told apart: of equal ones the first, and of many those evenly spaced.
pub(super) fn told_apart<T, P: PartialEq>(all: Vec<&T>, points: impl Fn(&T) -> &P) -> Vec<&T> {
    let mut different: Vec<&T> = vec![];
    for curve in all {
        if !different.iter().any(|known| points(known) == points(curve)) {
            different.push(curve);
        }
    }
    let count = different.len().min(MOST_CURVES);
    (0..count).map(|at| different[at * (different.len() - 1) / (count - 1).max(1)]).collect()
}

/// Probability of being self-sustaining in time, over two parameters where the design is a grid.
fn sustaining(study: &Economics) -> Option<Figure> {
    let metric = "self-sustaining-first";
    if !study.has(metric) || study.parameters.len() != 2 || !is_listed(study) {
        return None;
    }
    let distinct = |at: usize| {
        let mut values: Vec<String> = vec![];
        for case in &study.cases {
            if !values.contains(&case.values[at]) {
                values.push(case.values[at].clone());
            }
        }
        values
    };
    let (rows, columns) = (distinct(0), distinct(1));
    if rows.len() < 2 || columns.len() < 2 || rows.len() * columns.len() != study.cases.len() {
        return None;
    }
    let mut grid_cells = vec![];
    for row in &rows {
        for column in &columns {
            let case =
                study.cases.iter().position(|case| case.values == [row.clone(), column.clone()]);
            let cell = case.and_then(|case| study.cell(case, metric));
            grid_cells.push(cell.map(|cell| (cell.mean, number::percent(cell.mean))));
        }
    }
    let title = "Probability of being self-sustaining before the treasury ends";
    let chart = Grid {
        title,
        across: &study.parameters[1],
        up: &study.parameters[0],
        columns,
        rows,
        cells: grid_cells,
    };
    let caption = "Share of replicas in which fees cover operations and promises before the \
                   treasury cannot."
        .to_owned();
    Some(Figure::drawn("self-sustaining", title, caption, grid(&chart)))
}

/// Metrics that sensitivities are there for, the first few.
fn sensitive_metric<'a>(study: &'a Economics, kind: &str) -> Option<&'a str> {
    let first = study.sensitivities.iter().find(|found| found.kind == kind)?;
    Some(&first.metric)
}

fn sobol_bars(study: &Economics) -> Option<Figure> {
    let metric = sensitive_metric(study, "total")?;
    let of = |kind: &str, parameter: &str| {
        study
            .sensitivities
            .iter()
            .find(|row| row.metric == metric && row.kind == kind && row.parameter == parameter)
    };
    let row = |parameter: &String| {
        let dot = |kind: &str, colour| {
            let found = of(kind, parameter)?;
            let ends = found.interval.map(|[low, high]| (low, high));
            Some(Dot { value: found.value, ends, colour })
        };
        Line {
            label: parameter.clone(),
            dots: [dot("first", COLOURS[0]), dot("total", COLOURS[1])]
                .into_iter()
                .flatten()
                .collect(),
        }
    };
    let title = format!("Sobol' indices of {metric}");
    let chart = Dots {
        title: &title,
        across: "share of the variance",
        keys: vec![
            (COLOURS[0], "alone".to_owned()),
            (COLOURS[1], "with all interactions".to_owned()),
        ],
        rows: study.parameters.iter().map(row).collect(),
        guide: Some((0.0, "no influence".to_owned())),
    };
    let caption = "First-order and total indices with 95 % bootstrap intervals; pairs are in \
                   `sensitivities.csv`."
        .to_owned();
    Some(Figure::drawn("sobol", &title, caption, dots(&chart)))
}

fn morris_plane(study: &Economics) -> Option<Figure> {
    let metric = sensitive_metric(study, "effect")?;
    let spot = |(at, parameter): (usize, &String)| {
        let of = |kind: &str| {
            let found = study.sensitivities.iter().find(|row| {
                row.metric == metric && row.kind == kind && row.parameter == *parameter
            })?;
            Some(found.value)
        };
        Some(Spot {
            at: (of("effect")?, of("deviation")?),
            label: parameter.clone(),
            weight: 1.0,
            colour: colour(at),
        })
    };
    let title = format!("Elementary effects on {metric}");
    let chart = Plane {
        title: &title,
        across: "mean absolute effect over the whole range",
        up: "standard deviation of effects",
        spots: study.parameters.iter().enumerate().filter_map(spot).collect(),
        keys: vec![],
    };
    let caption = "Right: important. Up: by interaction or curvature.".to_owned();
    Some(Figure::drawn("morris", &title, caption, plane(&chart)))
}

fn tornado(study: &Economics) -> Option<Figure> {
    let metric = sensitive_metric(study, "low")?;
    let of = |kind: &str, parameter: &str| {
        study
            .sensitivities
            .iter()
            .find(|row| row.metric == metric && row.kind == kind && row.parameter == parameter)
            .map(|row| row.value)
    };
    let base = study.cell(0, metric)?.mean;
    let mut swings: Vec<(f64, &String, f64, f64)> = study
        .parameters
        .iter()
        .filter_map(|parameter| {
            let (low, high) = (of("low", parameter)?, of("high", parameter)?);
            Some((high - low, parameter, low, high))
        })
        .collect();
    swings.sort_by(|a, b| b.0.total_cmp(&a.0));
    let rows = swings
        .into_iter()
        .map(|(_, parameter, low, high)| Line {
            label: parameter.clone(),
            dots: vec![Dot { value: base, ends: Some((low, high)), colour: COLOURS[0] }],
        })
        .collect();
    let title = format!("One parameter at a time: {metric}");
    let guide = Some((base, format!("base case {}", number::number(base))));
    let chart = Dots { title: &title, across: metric, keys: vec![], rows, guide };
    let caption = "Smallest and largest mean when one parameter alone is moved: a local picture, \
                   which says nothing of interactions."
        .to_owned();
    Some(Figure::drawn("tornado", &title, caption, dots(&chart)))
}

/// Candidates of a search.
fn search(study: &Economics) -> Option<Figure> {
    if study.candidates.is_empty() {
        return None;
    }
    let spot = |candidate: &crate::economics::Candidate| {
        let meets = candidate.missed == 0.0;
        Spot {
            at: (candidate.missed.min(2.0), candidate.objective),
            label: String::new(),
            weight: 0.6,
            colour: if meets { COLOURS[0] } else { COLOURS[6] },
        }
    };
    let title = "Candidates of the search";
    let chart = Plane {
        title,
        across: "sum of goals missed, relative to their limits (2 and more at 2)",
        up: "objective",
        spots: study.candidates.iter().map(spot).collect(),
        keys: vec![
            (COLOURS[0], "meets every goal".to_owned()),
            (COLOURS[6], "misses one or more".to_owned()),
        ],
    };
    let caption = "Means over the replicas of the search.".to_owned();
    Some(Figure::drawn("search", title, caption, plane(&chart)))
}
