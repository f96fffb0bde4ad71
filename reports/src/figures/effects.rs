//! Predicted against measured effects: a figure for each truth, a small panel for each method.

use attribench_core::{AccessLevel, EffectPair, Record};

use super::axis::{Axis, drawn_range};
use super::drawing::{Anchor, Area, Drawing, Ink, Type};
use super::{Figure, Key, MARGIN, SMALL, TEXT, heading, legend, palette};
use crate::number::{count, number};
use crate::select::{has_unit, methods};

const NAME: &str = "effects";
const TITLE: &str = "Estimated against measured effects";
const COLUMNS: usize = 4;
const SIDE: f64 = 178.0;
const STEP_RIGHT: f64 = 246.0;
const STEP_DOWN: f64 = 252.0;
/// Points drawn for a method; more would cover one another and make the page slow.
const MOST_POINTS: usize = 600;

/// The pairs of one method under one truth.
struct Cloud<'a> {
    method: &'a str,
    access: Option<AccessLevel>,
    /// Whether predictions are in the unit of the utility, rather than on a scale of their own.
    has_unit: bool,
    pairs: Vec<&'a EffectPair>,
    unusable: usize,
}

impl Cloud<'_> {
    /// Axes across and up, in the square below and right of a corner.
    fn axes(&self, (x, y): (f64, f64)) -> (Axis, Axis) {
        let range = |value: fn(&EffectPair) -> f64| {
            drawn_range(self.pairs.iter().map(|pair| value(pair)).collect())
        };
        (
            Axis::linear(range(|pair| pair.predicted), x, x + SIDE),
            Axis::linear(range(|pair| pair.measured), y + SIDE, y),
        )
    }

    /// Pairs that the axes leave out.
    fn outside(&self) -> usize {
        let (across, up) = self.axes((0.0, 0.0));
        let inside = |pair: &&&EffectPair| is_inside(pair, &across, &up);
        self.pairs.len() - self.pairs.iter().filter(inside).count()
    }
}

fn is_inside(pair: &EffectPair, across: &Axis, up: &Axis) -> bool {
    across.holds(pair.predicted) && up.holds(pair.measured)
}

/// Least squares of measured on predicted effects.
struct Fit {
    slope: f64,
    intercept: f64,
}

/// A figure of small multiples for each truth, in the order of the pairs.
pub(super) fn figures(record: &Record) -> Vec<Figure> {
    let mut truths: Vec<&str> = Vec::new();
    for pair in &record.effects {
        if !truths.contains(&pair.truth.as_str()) {
            truths.push(&pair.truth);
        }
    }
    if truths.is_empty() {
        let reason = "The record holds no pairs of effects to draw.";
        return vec![Figure::absent(NAME, TITLE, reason)];
    }
    let mut figures: Vec<Figure> = Vec::new();
    for truth in truths {
        let stem = file_stem(truth);
        let mut name = stem.clone();
        while figures.iter().any(|figure| figure.name == name) {
            name = format!("{stem}-{}", figures.len() + 1);
        }
        figures.push(figure(record, truth, &name));
    }
    figures
}

/// A name for files: the truth's letters and digits, and hyphens for all else.
fn file_stem(truth: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    format!("{NAME}-{}", truth.to_ascii_lowercase().chars().map(plain).collect::<String>())
}

fn figure(record: &Record, truth: &str, name: &str) -> Figure {
    let clouds = clouds(record, truth);
    let title = format!("{TITLE}: {truth}");
    Figure::drawn(name, &title, caption(&clouds), draw(&title, &clouds))
}

fn caption(clouds: &[Cloud<'_>]) -> String {
    let mut caption = "Each point is one removal and one query: the effect that a method \
                       predicted (across) and the effect that was measured by retraining (up, in \
                       the unit of the utility). The full line is the least-squares fit."
        .to_owned();
    if clouds.iter().any(|cloud| cloud.has_unit) {
        caption += " Predictions on the dashed line are right in size; the slope of the fit is 1 \
                    for them, below 1 where predictions are too large or too noisy, above 1 where \
                    they are too small.";
    }
    if clouds.iter().any(|cloud| !cloud.has_unit) {
        caption += " Scores of an arbitrary scale say nothing about size, so that neither a \
                    dashed line nor a slope is given for them.";
    }
    caption += " Axes differ from panel to panel.";
    let cut: Vec<String> = clouds
        .iter()
        .map(|cloud| (cloud, cloud.outside()))
        .filter(|(_, outside)| *outside > 0)
        .map(|(cloud, outside)| format!("{} of {}", count(outside as u64), cloud.method))
        .collect();
    if !cut.is_empty() {
        caption += &format!(
            " An axis that less than 1\u{a0}% of the pairs would stretch more than threefold is \
             cut; of {} pairs of a method lie outside its panel: {}.",
            count(largest(clouds)),
            cut.join(", ")
        );
    }
    if largest(clouds) > MOST_POINTS as u64 {
        caption += &format!(
            " About {MOST_POINTS} of up to {} pairs of a method are drawn, evenly spread; fits \
             are to all.",
            count(largest(clouds))
        );
    }
    let unusable: usize = clouds.iter().map(|cloud| cloud.unusable).sum();
    match unusable {
        0 => {}
        1 => caption += " 1 pair holds a value that is not finite and cannot be drawn.",
        many => {
            let many = count(many as u64);
            caption += &format!(" {many} pairs hold a value that is not finite: not drawn.");
        }
    }
    caption
}

/// Pairs of the method that has most.
fn largest(clouds: &[Cloud<'_>]) -> u64 {
    clouds.iter().map(|cloud| cloud.pairs.len() as u64).max().unwrap_or(0)
}

/// The clouds of a truth by access level, then by name.
fn clouds<'a>(record: &'a Record, truth: &str) -> Vec<Cloud<'a>> {
    let mut clouds: Vec<Cloud<'_>> = Vec::new();
    let levels = methods(record);
    for pair in record.effects.iter().filter(|pair| pair.truth == truth) {
        let same = |cloud: &Cloud<'_>| cloud.method == pair.method;
        let position = clouds.iter().position(same).unwrap_or_else(|| {
            let level = levels.iter().find(|(method, _)| *method == pair.method);
            clouds.push(Cloud {
                method: &pair.method,
                access: level.and_then(|(_, access)| *access),
                has_unit: has_unit(record, &pair.method),
                pairs: Vec::new(),
                unusable: 0,
            });
            clouds.len() - 1
        });
        if pair.predicted.is_finite() && pair.measured.is_finite() {
            clouds[position].pairs.push(pair);
        } else {
            clouds[position].unusable += 1;
        }
    }
    clouds.sort_by_key(|cloud| (cloud.access.is_none(), cloud.access, cloud.method));
    clouds
}

fn draw(title: &str, clouds: &[Cloud<'_>]) -> Drawing {
    let columns = clouds.len().min(COLUMNS);
    let rows = clouds.len().div_ceil(COLUMNS);
    let left = MARGIN + 74.0;
    // Room on the right for the last panel's title, as wide as every other's.
    let width = (left + columns as f64 * STEP_RIGHT).max(520.0);
    let mut sheet = Drawing::new(width, 100.0);
    let top = header(&mut sheet, title, clouds) + 40.0;
    let mut drawing = Drawing::new(width, top + rows as f64 * STEP_DOWN - 12.0);
    header(&mut drawing, title, clouds);
    for (index, cloud) in clouds.iter().enumerate() {
        let x = left + (index % COLUMNS) as f64 * STEP_RIGHT;
        let y = top + (index / COLUMNS) as f64 * STEP_DOWN;
        draw_cloud(&mut drawing, cloud, (x, y));
    }
    let middle = top + (rows as f64 * STEP_DOWN - 74.0) / 2.0;
    let style = Type::new(TEXT).anchored(Anchor::Middle);
    drawing.text((MARGIN + 4.0, middle), "measured effect (unit of the utility)", style.upwards());
    let centre = left + (columns as f64 * STEP_RIGHT - (STEP_RIGHT - SIDE)) / 2.0;
    let bottom = drawing.height - 20.0;
    drawing.text((centre, bottom), across_title(clouds), style);
    drawing
}

fn across_title(clouds: &[Cloud<'_>]) -> &'static str {
    match (clouds.iter().any(|cloud| cloud.has_unit), clouds.iter().all(|cloud| cloud.has_unit)) {
        (_, true) => "estimated effect (unit of the utility)",
        (true, false) => "estimated effect (unit of the utility, or arbitrary)",
        (false, false) => "estimated effect (arbitrary scale)",
    }
}

fn header(drawing: &mut Drawing, title: &str, clouds: &[Cloud<'_>]) -> f64 {
    let top = heading(drawing, title);
    let mut keys = super::level_keys(clouds.iter().map(|cloud| cloud.access));
    if clouds.iter().any(|cloud| cloud.has_unit) {
        keys.push((Key::Dashes(palette::INK), "estimate = measurement".to_owned()));
    }
    keys.push((Key::Line(palette::ALARM), "least-squares fit".to_owned()));
    legend(drawing, top, &keys)
}

fn draw_cloud(drawing: &mut Drawing, cloud: &Cloud<'_>, (x, y): (f64, f64)) {
    let (across, up) = cloud.axes((x, y));
    panel_grid(drawing, &across, &up, (x, y));
    let ink = Ink { colour: palette::colour(cloud.access), opacity: 0.5 };
    for pair in thinned(&cloud.pairs).into_iter().filter(|pair| is_inside(pair, &across, &up)) {
        let at = (across.place(pair.predicted), up.place(pair.measured));
        drawing.marker(cloud.access, at, 2.0, ink);
    }
    let frame = Area { left: x, top: y, right: x + SIDE, bottom: y + SIDE };
    if cloud.has_unit {
        let same = Fit { slope: 1.0, intercept: 0.0 };
        sloped(drawing, &across, &up, &frame, &same, Stroke::Dashed);
    }
    let fit = fit(&cloud.pairs);
    if let Some(fit) = &fit {
        sloped(drawing, &across, &up, &frame, fit, Stroke::Full);
    }
    let mut words = match fit {
        None => "no fit: constant".to_owned(),
        Some(_) if !cloud.has_unit => "arbitrary scale".to_owned(),
        Some(fit) => format!("slope {}", number(fit.slope)),
    };
    match cloud.outside() {
        0 => {}
        outside => words += &format!(", {} pairs outside", count(outside as u64)),
    }
    let bold = Type::new(TEXT).bold();
    drawing.text((x, y - 29.0), bold.fitted(cloud.method, STEP_RIGHT - 14.0), bold);
    let style = Type::new(SMALL).coloured(palette::MUTED);
    drawing.text((x, y - 12.0), style.fitted(&words, STEP_RIGHT - 14.0), style);
}

fn panel_grid(drawing: &mut Drawing, across: &Axis, up: &Axis, (x, y): (f64, f64)) {
    let style = Type::new(10.5).coloured(palette::MUTED);
    for (value, label) in across.ticks(4) {
        let at = across.place(value);
        drawing.line((at, y), (at, y + SIDE), 1.0, palette::GRID);
        drawing.text((at, y + SIDE + 12.0), label, style.anchored(Anchor::Middle));
    }
    for (value, label) in up.ticks(4) {
        let at = up.place(value);
        drawing.line((x, at), (x + SIDE, at), 1.0, palette::GRID);
        drawing.text((x - 5.0, at), label, style.anchored(Anchor::End));
    }
    drawing.line((x, y), (x, y + SIDE), 1.0, palette::MUTED);
    drawing.line((x, y + SIDE), (x + SIDE, y + SIDE), 1.0, palette::MUTED);
}

/// How a straight line is drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stroke {
    Dashed,
    Full,
}

/// The part of a straight line that lies inside a panel.
fn sloped(
    drawing: &mut Drawing,
    across: &Axis,
    up: &Axis,
    frame: &Area,
    line: &Fit,
    stroke: Stroke,
) {
    let (low, high) = across.ends();
    let value = |x: f64| line.intercept + line.slope * x;
    let start = (across.place(low), up.place(value(low)));
    let end = (across.place(high), up.place(value(high)));
    // Cut at the top and the bottom; left and right are the ends already.
    let at = |y: f64| start.0 + (y - start.1) / (end.1 - start.1) * (end.0 - start.0);
    let clip = |(x, y): (f64, f64)| match y {
        y if y < frame.top => (at(frame.top), frame.top),
        y if y > frame.bottom => (at(frame.bottom), frame.bottom),
        y => (x, y),
    };
    let outside = start.1.max(end.1) < frame.top || start.1.min(end.1) > frame.bottom;
    if outside {
        return;
    }
    match stroke {
        Stroke::Dashed => drawing.dashes(clip(start), clip(end), 1.5, palette::INK),
        Stroke::Full => drawing.line(clip(start), clip(end), 2.0, palette::ALARM),
    }
}

/// None where the predictions do not vary.
fn fit(pairs: &[&EffectPair]) -> Option<Fit> {
    let n = pairs.len() as f64;
    let mean_predicted = pairs.iter().map(|pair| pair.predicted).sum::<f64>() / n;
    let mean_measured = pairs.iter().map(|pair| pair.measured).sum::<f64>() / n;
    let (mut spread, mut common) = (0.0, 0.0);
    for pair in pairs {
        let away = pair.predicted - mean_predicted;
        spread += away * away;
        common += away * (pair.measured - mean_measured);
    }
    (spread > 0.0).then(|| {
        let slope = common / spread;
        Fit { slope, intercept: mean_measured - slope * mean_predicted }
    })
}

/// Golden-ratio steps spread the kept pairs evenly and fall in step with no grid of removals and
/// queries, as every n-th pair would.
fn thinned<'a>(pairs: &[&'a EffectPair]) -> Vec<&'a EffectPair> {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let share = MOST_POINTS as f64 / pairs.len().max(1) as f64;
    let kept = |index: usize| (index as f64 * GOLDEN).fract() < share;
    pairs.iter().enumerate().filter(|(index, _)| kept(*index)).map(|(_, pair)| *pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(predicted: f64, measured: f64) -> EffectPair {
        let (method, truth, removed) = ("m".into(), "t".into(), "r".into());
        EffectPair { method, truth, removed, query: 0, predicted, measured }
    }

    #[test]
    fn the_fit_is_least_squares() {
        // Measured = 3 + 2 predicted, exactly.
        let pairs: Vec<EffectPair> =
            (0..5).map(|x| pair(f64::from(x), 3.0 + 2.0 * f64::from(x))).collect();
        let fit = fit(&pairs.iter().collect::<Vec<_>>()).expect("predictions vary");
        assert!((fit.slope - 2.0).abs() < 1e-12 && (fit.intercept - 3.0).abs() < 1e-12);
    }

    #[test]
    fn constant_predictions_have_no_slope() {
        let pairs = [pair(1.0, 0.0), pair(1.0, 2.0)];
        assert!(fit(&pairs.iter().collect::<Vec<_>>()).is_none());
    }

    fn effects_of(method: &str, truth: &str, pairs: impl Iterator<Item = f64>) -> Vec<EffectPair> {
        let named = |value: f64| EffectPair {
            method: method.into(),
            truth: truth.into(),
            ..pair(value, 0.1 * value)
        };
        pairs.map(named).collect()
    }

    #[test]
    fn every_truth_has_a_figure_with_a_name_fit_for_a_file() {
        let mut record = Record::default();
        for truth in ["leave-one-out", "Leave/one out", "subsets"] {
            record.effects.extend(effects_of("m", truth, (0..9).map(f64::from)));
        }
        let figures = figures(&record);
        let names: Vec<&str> = figures.iter().map(Figure::name).collect();
        assert_eq!(names, ["effects-leave-one-out", "effects-leave-one-out-2", "effects-subsets"]);
        assert_eq!(figures[2].title(), "Estimated against measured effects: subsets");
    }

    #[test]
    fn panels_stand_by_level_then_by_name() {
        let mut record = crate::fixture::record();
        record.effects.reverse();
        let clouds = clouds(&record, "leave-one-out");
        let names: Vec<&str> = clouds.iter().map(|cloud| cloud.method).collect();
        assert_eq!(names[..4], ["embedding-cosine", "random", "ek-fac", "grad-cosine"]);
        assert_eq!(names[10..], ["in-run-shapley", "metagradient"]);
    }

    #[test]
    fn outliers_are_left_out_and_counted() {
        let bulk = (0..400).map(|step| f64::from(step) / 400.0);
        let record = Record {
            effects: effects_of("m", "t", bulk.chain([50.0, -60.0])),
            ..Record::default()
        };
        let caption = figures(&record).remove(0).caption;
        assert!(caption.contains("of 402 pairs of a method lie outside its panel: 2 of m"));
    }

    #[test]
    fn only_methods_with_a_unit_have_an_identity_line() {
        let effects = effects_of("m", "t", (0..9).map(f64::from));
        let mut record = Record { effects, ..Record::default() };
        let svg = |record: &Record| figures(record)[0].to_svg().expect("drawn").expect("present");
        let arbitrary = svg(&record);
        assert!(arbitrary.contains("\narbitrary scale\n"), "no words for the scale");
        assert!(!arbitrary.contains("estimate = measurement") && !arbitrary.contains("slope"));
        record.rows.push(crate::fixture::cost_row("m", "calibration-slope", 0.1));
        let scaled = svg(&record);
        assert!(scaled.contains("estimate = measurement") && scaled.contains("\nslope 0.100\n"));
        assert!(!scaled.contains("arbitrary"));
    }

    #[test]
    fn thinning_keeps_about_as_many_as_promised() {
        let pairs: Vec<EffectPair> = (0..20_000).map(|x| pair(f64::from(x), 0.0)).collect();
        let kept = thinned(&pairs.iter().collect::<Vec<_>>()).len();
        assert!(kept.abs_diff(MOST_POINTS) < 20, "{kept} points");
    }
}
