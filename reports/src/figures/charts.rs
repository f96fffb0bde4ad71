//! Charts that know nothing of what they show: lines with bands, dots with intervals, points in a
//! plane, a grid of cells.

use super::axis::Axis;
use super::drawing::{Anchor, Area, Drawing, Ink, Place, Type, text_area};
use super::palette::Colour;
use super::{Key, MARGIN, SMALL, TEXT, heading, horizontal_axis, legend, palette, vertical_axis};

/// Colours of curves, in order: Okabe and Ito's without yellow, which is too light for lines.
pub(super) const COLOURS: [Colour; 7] = [
    Colour(0x00, 0x72, 0xB2),
    Colour(0xD5, 0x5E, 0x00),
    Colour(0x00, 0x9E, 0x73),
    Colour(0xCC, 0x79, 0xA7),
    Colour(0xE6, 0x9F, 0x00),
    Colour(0x56, 0xB4, 0xE9),
    Colour(0x5F, 0x5F, 0x5F),
];

/// Colour of the `at`-th curve.
pub(super) fn colour(at: usize) -> Colour {
    COLOURS[at % COLOURS.len()]
}

/// A curve with bands around it, widest first.
#[derive(Clone)]
pub(super) struct Curve {
    pub label: String,
    pub colour: Colour,
    pub points: Vec<Place>,
    pub bands: Vec<(Vec<f64>, Vec<f64>)>,
}

/// Curves over a common axis.
pub(super) struct Lines<'a> {
    pub title: &'a str,
    pub across: &'a str,
    pub up: &'a str,
    pub curves: Vec<Curve>,
    /// Whether equal ratios across are equally far apart.
    pub is_logarithmic: bool,
    /// A straight line from one point to another, with its words.
    pub guide: Option<(Place, Place, &'a str)>,
}

const WIDTH: f64 = 760.0;
const PLOT: f64 = 330.0;
const LEFT: f64 = 86.0;

/// Draws curves.
pub(super) fn lines(chart: &Lines<'_>) -> Drawing {
    let keys = |drawing: &mut Drawing| {
        let top = heading(drawing, chart.title);
        let mut keys: Vec<(Key, String)> = chart
            .curves
            .iter()
            .map(|curve| (Key::Line(curve.colour), curve.label.clone()))
            .collect();
        if let Some((_, _, words)) = chart.guide {
            keys.push((Key::Dashes(palette::INK), words.to_owned()));
        }
        legend(drawing, top, &keys)
    };
    // Measured on a sheet that is thrown away, because title and legend may need several lines.
    let top = keys(&mut Drawing::new(WIDTH, 100.0)) + 26.0;
    let mut drawing = Drawing::new(WIDTH, top + PLOT + 56.0);
    keys(&mut drawing);
    let (right, bottom) = (WIDTH - MARGIN - 8.0, top + PLOT);
    let guide = chart.guide.iter().flat_map(|(from, to, _)| [*from, *to]);
    let points = || chart.curves.iter().flat_map(|curve| curve.points.iter().copied());
    let places = points().chain(guide.clone()).map(|(x, _)| x);
    let across = match chart.is_logarithmic {
        true => Axis::logarithmic(places, LEFT, right),
        false => Axis::counting(places, LEFT, right),
    };
    let bands = chart.curves.iter().flat_map(|curve| &curve.bands);
    let ends = bands.flat_map(|(low, high)| low.iter().chain(high).copied());
    let heights: Vec<f64> = points().chain(guide).map(|(_, y)| y).chain(ends).collect();
    let up = if heights.iter().all(|height| *height >= 0.0) {
        Axis::from_zero(heights, bottom, top)
    } else {
        Axis::linear(heights, bottom, top)
    };
    vertical_axis(&mut drawing, &up, LEFT, right);
    horizontal_axis(&mut drawing, &across, top, bottom, chart.across);
    drawing.text((MARGIN, top - 14.0), chart.up, Type::new(TEXT));
    for curve in &chart.curves {
        draw_bands(&mut drawing, curve, &across, &up);
    }
    for curve in &chart.curves {
        for pair in curve.points.windows(2) {
            let place = |(x, y): Place| (across.place(x), up.place(y));
            drawing.line(place(pair[0]), place(pair[1]), 2.0, curve.colour);
        }
    }
    if let Some((from, to, _)) = chart.guide {
        let place = |(x, y): Place| (across.place(x), up.place(y));
        drawing.dashes(place(from), place(to), 1.2, palette::INK);
    }
    drawing
}

fn draw_bands(drawing: &mut Drawing, curve: &Curve, across: &Axis, up: &Axis) {
    for (low, high) in &curve.bands {
        let places = |values: &[f64]| -> Vec<Place> {
            let pairs = curve.points.iter().zip(values);
            pairs.map(|((x, _), y)| (across.place(*x), up.place(*y))).collect()
        };
        let mut outline = places(low);
        outline.extend(places(high).into_iter().rev());
        drawing.polygon(outline, Ink { colour: curve.colour, opacity: 0.16 });
    }
}

/// A row of dots with intervals.
pub(super) struct Dot {
    pub value: f64,
    pub ends: Option<(f64, f64)>,
    pub colour: Colour,
}

/// One labelled row.
pub(super) struct Line {
    pub label: String,
    pub dots: Vec<Dot>,
}

/// Rows of dots over a common axis.
pub(super) struct Dots<'a> {
    pub title: &'a str,
    pub across: &'a str,
    pub keys: Vec<(Colour, String)>,
    pub rows: Vec<Line>,
    /// Words for a dashed line at this value.
    pub guide: Option<(f64, String)>,
}

const ROW: f64 = 24.0;

/// Draws rows of dots.
pub(super) fn dots(chart: &Dots<'_>) -> Drawing {
    let style = Type::new(TEXT);
    let names = chart.rows.iter().map(|row| style.width(&row.label)).fold(60.0, f64::max);
    let names = names.min(330.0);
    let header = |drawing: &mut Drawing| {
        let top = heading(drawing, chart.title);
        let mut keys: Vec<(Key, String)> =
            chart.keys.iter().map(|(colour, words)| (Key::Line(*colour), words.clone())).collect();
        if let Some((_, words)) = &chart.guide {
            keys.push((Key::Dashes(palette::INK), words.clone()));
        }
        if keys.is_empty() { top } else { legend(drawing, top, &keys) }
    };
    let top = header(&mut Drawing::new(WIDTH, 100.0)) + 8.0;
    let bottom = top + chart.rows.len() as f64 * ROW + 6.0;
    let mut drawing = Drawing::new(WIDTH, bottom + 54.0);
    header(&mut drawing);
    let (left, right) = (MARGIN + names + 14.0, WIDTH - MARGIN - 12.0);
    let ends = |dot: &Dot| dot.ends.map_or([dot.value; 2], |(low, high)| [low, high]);
    let values = chart.rows.iter().flat_map(|row| row.dots.iter()).flat_map(|dot| {
        let [low, high] = ends(dot);
        [low, dot.value, high]
    });
    let axis = Axis::linear(values.chain(chart.guide.iter().map(|(at, _)| *at)), left, right);
    for (at, row) in chart.rows.iter().enumerate() {
        if at % 2 == 0 {
            let y = top + at as f64 * ROW;
            drawing.rectangle((MARGIN, y), (right, y + ROW), palette::BAND);
        }
        let y = top + (at as f64 + 0.5) * ROW;
        let label = style.fitted(&row.label, names);
        drawing.text((left - 12.0, y), label, style.anchored(Anchor::End));
    }
    horizontal_axis(&mut drawing, &axis, top, bottom, chart.across);
    if let Some((at, _)) = &chart.guide {
        let x = axis.place(*at);
        drawing.dashes((x, top), (x, bottom), 1.2, palette::INK);
    }
    for (at, row) in chart.rows.iter().enumerate() {
        let shift = ROW / (row.dots.len() + 1) as f64;
        for (which, dot) in row.dots.iter().enumerate() {
            let y = top + at as f64 * ROW + shift * (which + 1) as f64;
            if let Some((low, high)) = dot.ends {
                drawing.line((axis.place(low), y), (axis.place(high), y), 2.0, dot.colour);
            }
            drawing.circle((axis.place(dot.value), y), 3.6, dot.colour);
        }
    }
    drawing
}

/// One labelled bar of parts that follow each other from zero.
pub(super) struct Bar {
    pub label: String,
    pub parts: Vec<(f64, Colour)>,
}

/// Bars over a common axis.
pub(super) struct Bars<'a> {
    pub title: &'a str,
    pub across: &'a str,
    pub keys: Vec<(Colour, String)>,
    pub rows: Vec<Bar>,
}

/// Draws bars of parts.
pub(super) fn bars(chart: &Bars<'_>) -> Drawing {
    let style = Type::new(TEXT);
    let names = chart.rows.iter().map(|row| style.width(&row.label)).fold(60.0, f64::max);
    let names = names.min(330.0);
    let header = |drawing: &mut Drawing| {
        let top = heading(drawing, chart.title);
        let keys = chart.keys.iter().map(|(colour, words)| (Key::Block(*colour), words.clone()));
        legend(drawing, top, &keys.collect::<Vec<_>>())
    };
    let top = header(&mut Drawing::new(WIDTH, 100.0)) + 8.0;
    let bottom = top + chart.rows.len() as f64 * ROW + 6.0;
    let mut drawing = Drawing::new(WIDTH, bottom + 54.0);
    header(&mut drawing);
    let (left, right) = (MARGIN + names + 14.0, WIDTH - MARGIN - 12.0);
    let length = |row: &Bar| row.parts.iter().map(|(part, _)| part).sum::<f64>();
    let axis = Axis::from_zero(chart.rows.iter().map(length), left, right);
    horizontal_axis(&mut drawing, &axis, top, bottom, chart.across);
    for (at, row) in chart.rows.iter().enumerate() {
        let y = top + (at as f64 + 0.5) * ROW;
        let label = style.fitted(&row.label, names);
        drawing.text((left - 12.0, y), label, style.anchored(Anchor::End));
        let mut from = 0.0;
        for (part, colour) in &row.parts {
            let (start, end) = (axis.place(from), axis.place(from + part));
            drawing.rectangle((start, y - ROW * 0.36), (end, y + ROW * 0.36), *colour);
            from += part;
        }
    }
    drawing
}

/// A point in a plane.
pub(super) struct Spot {
    pub at: Place,
    pub label: String,
    /// From 0 to 1: how filled the point is drawn.
    pub weight: f64,
    pub colour: Colour,
}

/// Points in a plane.
pub(super) struct Plane<'a> {
    pub title: &'a str,
    pub across: &'a str,
    pub up: &'a str,
    pub spots: Vec<Spot>,
    pub keys: Vec<(Colour, String)>,
}

/// Draws points, with labels where there is room for them.
pub(super) fn plane(chart: &Plane<'_>) -> Drawing {
    let header = |drawing: &mut Drawing| {
        let top = heading(drawing, chart.title);
        let keys: Vec<(Key, String)> =
            chart.keys.iter().map(|(colour, words)| (Key::Line(*colour), words.clone())).collect();
        if keys.is_empty() { top } else { legend(drawing, top, &keys) }
    };
    let top = header(&mut Drawing::new(WIDTH, 100.0)) + 26.0;
    let bottom = top + PLOT;
    let mut drawing = Drawing::new(WIDTH, bottom + 56.0);
    header(&mut drawing);
    let right = WIDTH - MARGIN - 40.0;
    let across = Axis::linear(chart.spots.iter().map(|spot| spot.at.0), LEFT, right);
    let up = Axis::linear(chart.spots.iter().map(|spot| spot.at.1), bottom, top);
    vertical_axis(&mut drawing, &up, LEFT, right);
    horizontal_axis(&mut drawing, &across, top, bottom, chart.across);
    drawing.text((MARGIN, top - 14.0), chart.up, Type::new(TEXT));
    let place = |spot: &Spot| (across.place(spot.at.0), up.place(spot.at.1));
    let mut taken: Vec<Area> =
        chart.spots.iter().map(|spot| Area::around(place(spot), 5.0)).collect();
    for spot in &chart.spots {
        let ink = Ink { colour: spot.colour, opacity: 0.25 + 0.75 * spot.weight };
        drawing.circle(place(spot), 5.0, ink);
    }
    let sheet = Area { left: LEFT, top, right: WIDTH, bottom };
    let style = Type::new(SMALL);
    for spot in &chart.spots {
        let (x, y) = place(spot);
        let words = style.fitted(&spot.label, 260.0);
        let tries = [
            ((x + 9.0, y), Anchor::Start),
            ((x - 9.0, y), Anchor::End),
            ((x, y - 13.0), Anchor::Middle),
            ((x, y + 13.0), Anchor::Middle),
            ((x + 9.0, y - 13.0), Anchor::Start),
            ((x + 9.0, y + 13.0), Anchor::Start),
        ];
        let free = tries.into_iter().find_map(|(at, anchor)| {
            let style = style.anchored(anchor);
            let area = text_area(at, &words, style);
            let is_free = taken.iter().all(|other| area.overlap(other) < 0.5);
            (is_free && sheet.contains(&area)).then_some((at, style, area))
        });
        // A label without room is left out: the table below the figure has it.
        if let Some((at, style, area)) = free {
            taken.push(area);
            drawing.text(at, words, style);
        }
    }
    drawing
}

/// A grid of cells.
pub(super) struct Grid<'a> {
    pub title: &'a str,
    pub across: &'a str,
    pub up: &'a str,
    pub columns: Vec<String>,
    pub rows: Vec<String>,
    /// Row by row from below, from 0 to 1, with the words in the cell.
    pub cells: Vec<Option<(f64, String)>>,
}

/// Draws a grid, darker for more.
pub(super) fn grid(chart: &Grid<'_>) -> Drawing {
    let top = heading(&mut Drawing::new(WIDTH, 100.0), chart.title) + 26.0;
    let style = Type::new(TEXT);
    let names = chart.rows.iter().map(|row| style.width(row)).fold(30.0, f64::max);
    let (left, right) = (MARGIN + names + 14.0, WIDTH - MARGIN);
    let wide = (right - left) / chart.columns.len() as f64;
    let high = 42.0;
    let bottom = top + chart.rows.len() as f64 * high;
    let mut drawing = Drawing::new(WIDTH, bottom + 56.0);
    heading(&mut drawing, chart.title);
    drawing.text((MARGIN, top - 14.0), chart.up, style);
    for (row, name) in chart.rows.iter().enumerate() {
        let y = bottom - row as f64 * high;
        drawing.text((left - 10.0, y - high / 2.0), name.as_str(), style.anchored(Anchor::End));
        for column in 0..chart.columns.len() {
            let x = left + column as f64 * wide;
            let Some((share, words)) = &chart.cells[row * chart.columns.len() + column] else {
                continue;
            };
            let ink = Ink { colour: COLOURS[0], opacity: 0.06 + 0.9 * share.clamp(0.0, 1.0) };
            drawing.rectangle((x + 1.0, y - high + 1.0), (x + wide - 1.0, y - 1.0), ink);
            let colour = if *share > 0.5 { palette::PAPER } else { palette::INK };
            let style = style.anchored(Anchor::Middle).coloured(colour);
            drawing.text((x + wide / 2.0, y - high / 2.0), words.as_str(), style);
        }
    }
    for (column, name) in chart.columns.iter().enumerate() {
        let x = left + (column as f64 + 0.5) * wide;
        let small = Type::new(SMALL).anchored(Anchor::Middle).coloured(palette::MUTED);
        drawing.text((x, bottom + 13.0), small.fitted(name, wide), small);
    }
    let middle = style.anchored(Anchor::Middle);
    drawing.text(((left + right) / 2.0, bottom + 33.0), chart.across, middle);
    drawing
}
