//! A dot with an interval for each method, grouped by access level: what two figures share.

use attribench_core::{AccessLevel, Estimate};

use super::axis::Axis;
use super::drawing::{Anchor, Drawing, Ink, Type};
use super::{Key, MARGIN, SMALL, TEXT, heading, horizontal_axis, legend, palette};
use crate::number;
use crate::select::Comparison;

const ROW: f64 = 23.0;
const GROUP_HEADING: f64 = 25.0;
const PLOT_ALONE: f64 = 460.0;
const PLOT_BESIDE: f64 = 300.0;

/// One column of dots.
pub(super) struct Panel {
    /// What tells this panel from the others; not drawn where there is one panel.
    pub heading: String,
    /// The metric with its unit.
    pub axis_title: String,
    /// The values.
    pub comparison: Comparison,
    /// A value that no method is expected to pass, drawn as a band.
    pub ceiling: Option<Estimate>,
}

/// Which end of the scale is good, and so comes first in each group.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    LargestFirst,
    SmallestFirst,
}

/// What is drawn.
pub(super) struct Forest<'a> {
    pub title: &'a str,
    /// Words for the whiskers.
    pub intervals: String,
    /// Words for the line at zero.
    pub zero: &'a str,
    pub order: Order,
    pub panels: Vec<Panel>,
}

/// Methods of one access level.
struct Group {
    access: Option<AccessLevel>,
    methods: Vec<String>,
}

/// Where things are.
struct Layout {
    names_right: f64,
    plot: f64,
    values: f64,
    top: f64,
    bottom: f64,
}

/// Draws panels side by side over shared rows of methods.
pub(super) fn draw(forest: &Forest<'_>) -> Drawing {
    let groups = groups(forest);
    let rows: usize = groups.iter().map(|group| group.methods.len()).sum();
    let plot = if forest.panels.len() == 1 { PLOT_ALONE } else { PLOT_BESIDE };
    let names = widest(groups.iter().flat_map(|group| group.methods.iter()), Type::new(TEXT));
    let values = widest(value_labels(forest).iter(), Type::new(SMALL));
    let mut layout =
        Layout { names_right: MARGIN + 14.0 + names, plot, values, top: 0.0, bottom: 0.0 };
    let width = layout.left(forest.panels.len()) - 30.0 + MARGIN;
    // Measured on a sheet that is thrown away, because the title may need several lines.
    let mut sheet = Drawing::new(width, 100.0);
    layout.top = header(&mut sheet, forest);
    layout.bottom = layout.top + rows as f64 * ROW + groups.len() as f64 * GROUP_HEADING + 6.0;

    let mut drawing = Drawing::new(width, layout.bottom + 54.0);
    header(&mut drawing, forest);
    bands(&mut drawing, &groups, &layout);
    for (index, panel) in forest.panels.iter().enumerate() {
        draw_panel(&mut drawing, panel, &groups, &layout, index);
        if forest.panels.len() > 1 {
            let style = Type::new(TEXT).bold();
            let left = layout.left(index);
            let heading = style.fitted(&panel.heading, plot + values);
            drawing.text((left, layout.top - 12.0), heading, style);
        }
    }
    drawing
}

impl Layout {
    /// Left edge of a panel.
    fn left(&self, index: usize) -> f64 {
        self.names_right + 14.0 + index as f64 * (self.plot + 12.0 + self.values + 30.0)
    }
}

fn header(drawing: &mut Drawing, forest: &Forest<'_>) -> f64 {
    let top = heading(drawing, forest.title);
    let mut keys = vec![(Key::Line(palette::MUTED), forest.intervals.clone())];
    if forest.panels.iter().any(|panel| panel.ceiling.is_some()) {
        let words = match forest.panels.as_slice() {
            [Panel { ceiling: Some(ceiling), .. }] => {
                format!("noise ceiling {}", number::estimate(ceiling))
            }
            _ => "noise ceiling".to_owned(),
        };
        keys.push((Key::Line(palette::ALARM), words));
    }
    keys.push((Key::Dashes(palette::INK), forest.zero.to_owned()));
    let beside = if forest.panels.len() > 1 { 26.0 } else { 4.0 };
    legend(drawing, top, &keys) + beside
}

/// Methods by level, ordered by the first panel that knows them.
fn groups(forest: &Forest<'_>) -> Vec<Group> {
    let mut known: Vec<(Option<AccessLevel>, String, f64)> = Vec::new();
    for scored in forest.panels.iter().flat_map(|panel| &panel.comparison.scores) {
        if !known.iter().any(|(_, method, _)| *method == scored.method) {
            known.push((scored.access, scored.method.clone(), scored.value.point()));
        }
    }
    let sign = if forest.order == Order::LargestFirst { -1.0 } else { 1.0 };
    known.sort_by(|(first, _, one), (second, _, other)| {
        let level = |access: &Option<AccessLevel>| (access.is_none(), *access);
        level(first).cmp(&level(second)).then((sign * one).total_cmp(&(sign * other)))
    });
    let mut groups: Vec<Group> = Vec::new();
    for (access, method, _) in known {
        match groups.last_mut() {
            Some(group) if group.access == access => group.methods.push(method),
            _ => groups.push(Group { access, methods: vec![method] }),
        }
    }
    groups
}

fn value_labels(forest: &Forest<'_>) -> Vec<String> {
    let scores = forest.panels.iter().flat_map(|panel| &panel.comparison.scores);
    scores.map(|scored| number::estimate(&scored.value)).collect()
}

fn widest<'a>(texts: impl Iterator<Item = &'a String>, style: Type) -> f64 {
    texts.map(|text| style.width(text)).fold(0.0, f64::max)
}

/// Every other group on a darker ground, its level named above its methods.
fn bands(drawing: &mut Drawing, groups: &[Group], layout: &Layout) {
    let mut y = layout.top;
    for (index, group) in groups.iter().enumerate() {
        let height = GROUP_HEADING + group.methods.len() as f64 * ROW;
        if index % 2 == 0 {
            let right = drawing.width - MARGIN / 2.0;
            drawing.rectangle((MARGIN / 2.0, y), (right, y + height), palette::BAND);
        }
        let middle = y + GROUP_HEADING / 2.0 + 2.0;
        let colour = palette::colour(group.access);
        drawing.marker(group.access, (MARGIN + 5.0, middle), 5.0, colour);
        let style = Type::new(TEXT).bold();
        drawing.text((MARGIN + 17.0, middle), palette::title(group.access), style);
        for (row, method) in group.methods.iter().enumerate() {
            let at = y + GROUP_HEADING + (row as f64 + 0.5) * ROW;
            let style = Type::new(TEXT).anchored(Anchor::End);
            drawing.text((layout.names_right, at), method.as_str(), style);
        }
        y += height;
    }
}

fn draw_panel(
    drawing: &mut Drawing,
    panel: &Panel,
    groups: &[Group],
    layout: &Layout,
    index: usize,
) {
    let left = layout.left(index);
    let ceiling = panel.ceiling.iter();
    let values = panel.comparison.scores.iter().map(|scored| &scored.value).chain(ceiling);
    let ends = values.flat_map(|value| [value.lower(), value.upper()]).chain([0.0]);
    let axis = Axis::linear(ends, left, left + layout.plot);
    horizontal_axis(drawing, &axis, layout.top, layout.bottom, &panel.axis_title);
    if let Some(ceiling) = panel.ceiling {
        let band = Ink { colour: palette::ALARM, opacity: 0.16 };
        let (lower, upper) = (axis.place(ceiling.lower()), axis.place(ceiling.upper()));
        drawing.rectangle((lower, layout.top), (upper, layout.bottom), band);
        let x = axis.place(ceiling.point());
        drawing.line((x, layout.top), (x, layout.bottom), 2.0, palette::ALARM);
    }
    let zero = axis.place(0.0);
    drawing.dashes((zero, layout.top), (zero, layout.bottom), 1.5, palette::INK);

    let mut y = layout.top;
    for group in groups {
        y += GROUP_HEADING;
        for method in &group.methods {
            let middle = y + ROW / 2.0;
            let right = left + layout.plot + 12.0;
            match panel.comparison.get(method) {
                Some(scored) => {
                    dot(drawing, &axis, middle, group.access, &scored.value);
                    let label = number::estimate(&scored.value);
                    drawing.text((right, middle), label, Type::new(SMALL));
                }
                None => {
                    let style = Type::new(SMALL).coloured(palette::MUTED);
                    drawing.text((right, middle), "not measured", style);
                }
            }
            y += ROW;
        }
    }
}

fn dot(drawing: &mut Drawing, axis: &Axis, y: f64, access: Option<AccessLevel>, value: &Estimate) {
    let colour = palette::colour(access);
    let (lower, upper) = (axis.place(value.lower()), axis.place(value.upper()));
    if upper > lower {
        drawing.line((lower, y), (upper, y), 2.0, colour);
        for end in [lower, upper] {
            drawing.line((end, y - 4.0), (end, y + 4.0), 1.5, colour);
        }
    }
    drawing.marker(access, (axis.place(value.point()), y), 5.5, colour);
}
