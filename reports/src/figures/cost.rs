//! Accuracy against cost: what a point of accuracy costs, in work and in time.

use attribench_core::{AccessLevel, Estimate, Record, Timing};

use super::axis::Axis;
use super::drawing::{Anchor, Area, Drawing, Place, Type, text_area};
use super::{
    Figure, Key, MARGIN, SMALL, TEXT, heading, horizontal_axis, legend, level_keys, palette,
    vertical_axis,
};
use crate::RunFacts;
use crate::select::{Comparison, LDS, comparisons, interval_words, value};

const NAME: &str = "accuracy-cost";
const TITLE: &str = "Accuracy against cost";
const PLOT_WIDTH: f64 = 372.0;
/// Least height; many points get more.
const PLOT_HEIGHT: f64 = 380.0;
const POINT_HEIGHT: f64 = 16.0;
/// Place for methods that cost nothing, which a logarithmic axis cannot show.
const FREE_WIDTH: f64 = 64.0;
const BETWEEN: f64 = 60.0;

/// What each counted operation costs, in gradients: a gradient is a forward and a backward pass
/// and the backward pass is twice the forward one; a directional derivative adds one forward pass
/// to a forward one; a curvature product is a gradient of a directional derivative.
const IN_GRADIENTS: [(&str, f64); 4] = [
    ("forwards", 1.0 / 3.0),
    ("gradients", 1.0),
    ("tangents", 2.0 / 3.0),
    ("curvature-products", 2.0),
];
/// Counted in steps, and worth a batch of gradients each.
const REPLAYED_STEPS: &str = "replayed-steps";
/// Metrics of all counted operations.
pub(crate) const COUNTED: [&str; 5] = {
    let [(first, _), (second, _), (third, _), (fourth, _)] = IN_GRADIENTS;
    [first, second, third, fourth, REPLAYED_STEPS]
};

/// A method with its accuracy and one of its costs.
pub(super) struct Point {
    pub method: String,
    pub access: Option<AccessLevel>,
    pub accuracy: Estimate,
    pub cost: f64,
}

/// The points over one axis of costs.
pub(super) struct Panel {
    pub axis_title: &'static str,
    pub points: Vec<Point>,
    /// Methods whose cost of this kind is not known.
    pub unknown: Vec<String>,
}

impl Panel {
    /// Width kept for methods without cost, where there are any.
    fn free_width(&self) -> f64 {
        if self.points.iter().any(|point| point.cost <= 0.0) { FREE_WIDTH } else { 0.0 }
    }
}

/// Accuracy against gradient-equivalents, and against seconds where they were measured.
pub(super) fn figure(record: &Record, run: &RunFacts, timings: &[Timing]) -> Figure {
    let Some(comparison) = comparisons(record, LDS).into_iter().next() else {
        return Figure::absent(NAME, TITLE, "No row has the metric `lds`, so nothing was bought.");
    };
    let panels: Vec<Panel> = [
        panel(&comparison, "cost (gradients of one example)", &|method| work(record, run, method)),
        panel(&comparison, "cost (seconds of wall time)", &|method| time(timings, method)),
    ]
    .into_iter()
    .filter(|panel| !panel.points.is_empty())
    .collect();
    if panels.is_empty() {
        let reason = "No method has a counted cost or a timing, so accuracy has no price here.";
        return Figure::absent(NAME, TITLE, reason);
    }
    let mut caption = caption(record, run, &comparison.setting.title());
    for panel in panels.iter().filter(|panel| !panel.unknown.is_empty()) {
        caption += &format!(" Without {}: {}.", panel.axis_title, panel.unknown.join(", "));
    }
    let up = format!("LDS (rank correlation), by {}", comparison.setting.grain);
    Figure::drawn(NAME, TITLE, caption, draw(TITLE, &up, &panels))
}

/// The methods of a comparison over one kind of cost.
pub(super) fn panel(
    comparison: &Comparison,
    axis_title: &'static str,
    cost: &dyn Fn(&str) -> Option<f64>,
) -> Panel {
    let (mut points, mut unknown) = (Vec::new(), Vec::new());
    for scored in &comparison.scores {
        let (method, access) = (scored.method.clone(), scored.access);
        match cost(&method) {
            Some(cost) => points.push(Point { method, access, accuracy: scored.value, cost }),
            None => unknown.push(method),
        }
    }
    Panel { axis_title, points, unknown }
}

fn caption(record: &Record, run: &RunFacts, setting: &str) -> String {
    let replayed =
        record.rows.iter().any(|row| row.metric == REPLAYED_STEPS && row.value.point() > 0.0);
    let steps = match (replayed, run.batch_size) {
        (false, _) => String::new(),
        (true, Some(batch)) => format!(" A replayed step counts as {batch} gradients, its batch."),
        (true, None) => " Replayed steps are left out, because the batch size was not stated; \
                         methods of a full trace cost more than is shown."
            .to_owned(),
    };
    format!(
        "Up is more accurate (LDS, {setting}), left is cheaper; whiskers are {}. The stepped line \
         joins the methods that no cheaper method matches. Work is counted in gradients of single \
         examples: a forward pass counts a third, a directional derivative two thirds, a \
         curvature product two.{steps} Methods that need none stand left of the broken axis.",
        interval_words(record)
    )
}

/// Counted work in gradients of single examples; none where nothing was counted.
pub(crate) fn work(record: &Record, run: &RunFacts, method: &str) -> Option<f64> {
    let counted = |metric: &str| value(record, method, metric).map(|count| count.point());
    // Trainings of whole models are not counted in gradients of single examples.
    if counted("retrainings").is_some_and(|models| models > 0.0) {
        return None;
    }
    let products =
        IN_GRADIENTS.iter().filter_map(|(metric, weight)| Some(counted(metric)? * weight));
    let steps = run.batch_size.and_then(|batch| Some(counted(REPLAYED_STEPS)? * batch as f64));
    products.chain(steps).reduce(|sum, cost| sum + cost)
}

/// Seconds of all stages of a method; none where nothing was timed.
pub(crate) fn time(timings: &[Timing], method: &str) -> Option<f64> {
    let own = |timing: &&Timing| timing.method.as_deref() == Some(method);
    timings.iter().filter(own).map(|timing| timing.seconds).reduce(|sum, seconds| sum + seconds)
}

/// Panels side by side under a title, over a shared axis of accuracy with the title `up`.
pub(super) fn draw(title: &str, up_title: &str, panels: &[Panel]) -> Drawing {
    let left = MARGIN + 64.0;
    let mut starts = Vec::new();
    let mut end = left - BETWEEN;
    for panel in panels {
        starts.push(end + BETWEEN);
        end += BETWEEN + panel.free_width() + PLOT_WIDTH;
    }
    let width = end + MARGIN + 14.0;
    let mut sheet = Drawing::new(width, 100.0);
    let top = header(&mut sheet, title, panels) + 8.0;
    let most = panels.iter().map(|panel| panel.points.len()).max().unwrap_or(0);
    let bottom = top + PLOT_HEIGHT.max(POINT_HEIGHT * most as f64);
    let mut drawing = Drawing::new(width, bottom + 54.0);
    header(&mut drawing, title, panels);
    let values = panels.iter().flat_map(|panel| &panel.points);
    let ends = values.flat_map(|point| [point.accuracy.lower(), point.accuracy.upper()]);
    let up = Axis::linear(ends.chain([0.0]), bottom, top);
    for (panel, start) in panels.iter().zip(starts) {
        draw_panel(&mut drawing, panel, &up, start);
    }
    let style = Type::new(TEXT).anchored(Anchor::Middle).upwards();
    drawing.text((MARGIN + 4.0, (top + bottom) / 2.0), up_title, style);
    drawing
}

fn header(drawing: &mut Drawing, title: &str, panels: &[Panel]) -> f64 {
    let top = heading(drawing, title);
    let points = panels.iter().flat_map(|panel| &panel.points);
    let mut keys = level_keys(points.map(|point| point.access));
    keys.push((Key::Line(palette::MUTED), "best for its cost".to_owned()));
    legend(drawing, top, &keys)
}

fn draw_panel(drawing: &mut Drawing, panel: &Panel, up: &Axis, start: f64) {
    let (bottom, top) = up.places();
    let free = panel.free_width();
    let (left, right) = (start + free, start + free + PLOT_WIDTH);
    let axis = Axis::logarithmic(panel.points.iter().map(|point| point.cost), left, right);
    horizontal_axis(drawing, &axis, top, bottom, panel.axis_title);
    vertical_axis(drawing, up, start, right);
    if free > 0.0 {
        let style = Type::new(SMALL).anchored(Anchor::Middle).coloured(palette::MUTED);
        drawing.line((start, bottom), (left - 16.0, bottom), 1.0, palette::MUTED);
        drawing.text(((start + left) / 2.0 - 8.0, bottom + 13.0), "none", style);
        for x in [left - 14.0, left - 8.0] {
            drawing.line((x - 2.0, bottom + 5.0), (x + 2.0, bottom - 5.0), 1.0, palette::MUTED);
        }
    }
    let zero = up.place(0.0);
    drawing.dashes((start, zero), (right, zero), 1.2, palette::INK);
    let place = |point: &Point| {
        let x = if point.cost > 0.0 { axis.place(point.cost) } else { (start + left) / 2.0 - 8.0 };
        (x, up.place(point.accuracy.point()))
    };
    let corners = front(panel, &place, right);
    for side in corners.windows(2) {
        drawing.line(side[0], side[1], 1.2, palette::MUTED);
    }
    for point in &panel.points {
        let (x, y) = place(point);
        let colour = palette::colour(point.access);
        let (lower, upper) = (up.place(point.accuracy.lower()), up.place(point.accuracy.upper()));
        drawing.line((x, lower), (x, upper), 1.5, colour);
        drawing.marker(point.access, (x, y), 6.0, colour);
    }
    let frame =
        Area { left: start + 4.0, top: top + 2.0, right: right + 10.0, bottom: bottom - 4.0 };
    let zero = Area { left: start, top: zero - 1.0, right, bottom: zero + 1.0 };
    let mut marks = vec![zero];
    marks.extend(corners.windows(2).map(|side| Area {
        left: side[0].0.min(side[1].0) - 1.0,
        top: side[0].1.min(side[1].1) - 1.0,
        right: side[0].0.max(side[1].0) + 1.0,
        bottom: side[0].1.max(side[1].1) + 1.0,
    }));
    for point in &panel.points {
        let (x, y) = place(point);
        marks.push(Area::around((x, y), 8.0));
        let ends = (up.place(point.accuracy.lower()), up.place(point.accuracy.upper()));
        marks.push(Area { left: x - 2.0, top: ends.1, right: x + 2.0, bottom: ends.0 });
    }
    label(drawing, panel, &marks, &place, &frame);
}

/// Corners of the stepped line through the methods that no cheaper method matches.
fn front(panel: &Panel, place: &dyn Fn(&Point) -> Place, right: f64) -> Vec<Place> {
    let mut points: Vec<&Point> = panel.points.iter().collect();
    points.sort_by(|one, other| {
        let accuracy = other.accuracy.point().total_cmp(&one.accuracy.point());
        one.cost.total_cmp(&other.cost).then(accuracy)
    });
    let mut best = f64::NEG_INFINITY;
    let mut corners: Vec<Place> = Vec::new();
    for point in points {
        if point.accuracy.point() > best {
            best = point.accuracy.point();
            let (x, y) = place(point);
            if let Some(&(_, before)) = corners.last() {
                corners.push((x, before));
            }
            corners.push((x, y));
        }
    }
    if let Some(&(_, y)) = corners.last() {
        corners.push((right, y));
    }
    corners
}

/// Puts each name where it covers least: beside its mark, or farther off with a line to it.
fn label(
    drawing: &mut Drawing,
    panel: &Panel,
    marks: &[Area],
    place: &dyn Fn(&Point) -> Place,
    frame: &Area,
) {
    let mut names: Vec<Area> = Vec::new();
    for point in &panel.points {
        let at = place(point);
        let best = candidates(at)
            .map(|(place, anchor, distance)| {
                let style = Type::new(SMALL).anchored(anchor);
                let area = text_area(place, &point.method, style);
                let covered: f64 = marks.iter().map(|mark| area.overlap(mark)).sum();
                let doubled: f64 = names.iter().map(|name| area.overlap(name)).sum();
                let outside = if frame.contains(&area) { 0.0 } else { 1e6 };
                (outside + doubled * 1e3 + covered * 10.0 + distance, place, style, area)
            })
            .min_by(|one, other| one.0.total_cmp(&other.0));
        let Some((_, place, style, area)) = best else { continue };
        let beside = (place.0 - at.0).hypot(place.1 - at.1);
        if beside > 22.0 {
            let near = (at.0.clamp(area.left, area.right), at.1.clamp(area.top, area.bottom));
            drawing.line(at, near, 0.8, palette::MUTED);
        }
        drawing.text(place, point.method.as_str(), style);
        names.push(area);
    }
}

/// Places around a mark, nearest first, with the anchor that keeps the text away from it.
fn candidates((x, y): Place) -> impl Iterator<Item = (Place, Anchor, f64)> {
    let directions = [
        (1.0, 0.0, Anchor::Start),
        (-1.0, 0.0, Anchor::End),
        (0.8, -0.7, Anchor::Start),
        (0.8, 0.7, Anchor::Start),
        (-0.8, -0.7, Anchor::End),
        (-0.8, 0.7, Anchor::End),
        (0.0, -1.2, Anchor::Middle),
        (0.0, 1.2, Anchor::Middle),
    ];
    [11.0, 16.0, 24.0, 34.0, 46.0, 60.0, 80.0, 110.0].into_iter().flat_map(move |radius| {
        let at =
            move |(right, down, anchor)| ((x + right * radius, y + down * radius), anchor, radius);
        directions.into_iter().map(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn work_is_summed_in_gradients() {
        let mut record = Record::default();
        for (metric, count) in [("forwards", 30.0), ("gradients", 5.0), ("replayed-steps", 4.0)] {
            record.rows.push(fixture::cost_row("m", metric, count));
        }
        let mut run = RunFacts { batch_size: Some(10), ..RunFacts::default() };
        // 30 / 3 + 5 + 4 x 10.
        assert_eq!(work(&record, &run, "m"), Some(55.0));
        run.batch_size = None;
        assert_eq!(work(&record, &run, "m"), Some(15.0));
        assert_eq!(work(&record, &run, "other"), None);
    }

    #[test]
    fn seconds_of_all_stages_are_summed() {
        let timing = |method: &str, seconds| Timing {
            stage: "fit".into(),
            method: Some(method.into()),
            seconds,
        };
        let timings = [timing("a", 1.0), timing("b", 9.0), timing("a", 0.5)];
        assert_eq!(time(&timings, "a"), Some(1.5));
    }
}
