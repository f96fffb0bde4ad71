//! How many retrainings samplers of the game need.

use attribench_core::{Record, SamplingError};

use super::axis::Axis;
use super::drawing::{Anchor, Drawing, Type};
use super::palette::{Colour, INK};
use super::{Figure, MARGIN, SMALL, TEXT, heading, horizontal_axis, vertical_axis};

const NAME: &str = "sampling-error";
const TITLE: &str = "What coalitions buy: error of contributors' shares by sampler";
const PLOT_WIDTH: f64 = 520.0;
const PLOT_HEIGHT: f64 = 400.0;
/// Room for names right of the lines.
const NAMES_WIDTH: f64 = 190.0;
/// Least distance between two names.
const NAME_HEIGHT: f64 = 16.0;

/// Okabe and Ito's colours; from the ninth line on they come again with an open mark.
const COLOURS: [Colour; 8] = [
    Colour(0x00, 0x72, 0xB2),
    Colour(0xD5, 0x5E, 0x00),
    Colour(0x00, 0x9E, 0x73),
    Colour(0xCC, 0x79, 0xA7),
    Colour(0xE6, 0x9F, 0x00),
    Colour(0x56, 0xB4, 0xE9),
    Colour(0x7A, 0x7A, 0x7A),
    INK,
];

/// One figure where samplers were tried, none elsewhere.
pub(super) fn figures(record: &Record) -> Vec<Figure> {
    let mut lines: Vec<(&str, Vec<&SamplingError>)> = Vec::new();
    for found in &record.sampling_errors {
        match lines.iter_mut().find(|(sampler, _)| *sampler == found.sampler) {
            Some((_, points)) => points.push(found),
            None => lines.push((&found.sampler, vec![found])),
        }
    }
    if lines.is_empty() {
        return Vec::new();
    }
    for (_, points) in &mut lines {
        points.sort_by(|a, b| a.evaluations.total_cmp(&b.evaluations));
        // A sampler that cannot do with less spends the same whatever smaller budget it is given.
        points.dedup_by(|next, kept| next.evaluations == kept.evaluations);
    }
    let repeats = record.sampling_errors.iter().map(|found| found.share_error.n()).max();
    let caption = format!(
        "Total variation between contributors' shares by a sampler and by all coalitions, over the \
         coalitions that the sampler evaluated: 0.05 means that a twentieth of the pot goes to the \
         wrong people. Means over {} seeds with their 95 % intervals; both axes are logarithmic. \
         Each sampler is held against the value that it estimates.",
        repeats.unwrap_or(0)
    );
    vec![Figure::drawn(NAME, TITLE, caption, draw(&lines))]
}

fn draw(lines: &[(&str, Vec<&SamplingError>)]) -> Drawing {
    let left = MARGIN + 64.0;
    let width = left + PLOT_WIDTH + NAMES_WIDTH + MARGIN;
    let mut drawing = Drawing::new(width, 60.0 + PLOT_HEIGHT + 80.0);
    let top = heading(&mut drawing, TITLE) + 26.0;
    let bottom = top + PLOT_HEIGHT;
    let all = || lines.iter().flat_map(|(_, points)| points.iter());
    let across = Axis::logarithmic(all().map(|point| point.evaluations), left, left + PLOT_WIDTH);
    let ends = |point: &&SamplingError| [point.share_error.point(), point.share_error.upper()];
    let up = Axis::logarithmic(all().flat_map(ends), bottom, top);
    horizontal_axis(&mut drawing, &across, top, bottom, "coalitions evaluated");
    vertical_axis(&mut drawing, &up, left, left + PLOT_WIDTH);
    drawing.text((left - 46.0, top - 14.0), "share of the pot in wrong hands", Type::new(TEXT));
    let (low, _) = up.ends();
    let place = |value: f64| up.place(value.max(low));
    let mut names: Vec<(f64, usize)> = Vec::new();
    for (index, (_, points)) in lines.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let at = |point: &SamplingError| {
            (across.place(point.evaluations), place(point.share_error.point()))
        };
        for pair in points.windows(2) {
            drawing.line(at(pair[0]), at(pair[1]), 1.8, colour);
        }
        for point in points {
            let (x, y) = at(point);
            let (lower, upper) = (point.share_error.lower(), point.share_error.upper());
            drawing.line((x, place(lower)), (x, place(upper)), 1.0, colour);
            drawing.circle((x, y), 3.4, colour);
            if index >= COLOURS.len() {
                drawing.circle((x, y), 1.9, super::palette::PAPER);
            }
        }
        let last = points.last().expect("a line has a point");
        names.push((place(last.share_error.point()), index));
    }
    name_lines(&mut drawing, lines, (left + PLOT_WIDTH, top, bottom), names);
    drawing
}

/// Names at the right, near the ends of their lines and apart from each other.
fn name_lines(
    drawing: &mut Drawing,
    lines: &[(&str, Vec<&SamplingError>)],
    (left, top, bottom): (f64, f64, f64),
    mut names: Vec<(f64, usize)>,
) {
    names.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let room = NAME_HEIGHT * names.len().saturating_sub(1) as f64;
    let mut next = top + 6.0;
    for (rank, (wanted, index)) in names.into_iter().enumerate() {
        let latest = bottom - room + NAME_HEIGHT * rank as f64;
        let y = wanted.max(next).min(latest.max(next));
        next = y + NAME_HEIGHT;
        let colour = COLOURS[index % COLOURS.len()];
        drawing.circle((left + 14.0, y), 3.4, colour);
        if index >= COLOURS.len() {
            drawing.circle((left + 14.0, y), 1.9, super::palette::PAPER);
        }
        let style = Type::new(SMALL).anchored(Anchor::Start);
        let name = style.fitted(lines[index].0, NAMES_WIDTH - 26.0);
        drawing.text((left + 24.0, y), name, style);
    }
}
