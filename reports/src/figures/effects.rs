//! Predicted against measured effects, one small panel for each method.

use attribench_core::{AccessLevel, EffectPair, Record};

use super::axis::Axis;
use super::drawing::{Anchor, Area, Drawing, Ink, Type};
use super::{Figure, Key, MARGIN, SMALL, TEXT, heading, legend, palette};
use crate::number::{self, number};
use crate::select::methods;

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
    truth: &'a str,
    access: Option<AccessLevel>,
    pairs: Vec<&'a EffectPair>,
    unusable: usize,
}

/// Least squares of measured on predicted effects.
struct Fit {
    slope: f64,
    intercept: f64,
}

/// Small multiples of predicted against measured effects.
pub(super) fn figure(record: &Record) -> Figure {
    let clouds = clouds(record);
    if clouds.is_empty() {
        return Figure::absent(NAME, TITLE, "The record holds no pairs of effects to draw.");
    }
    let unusable: usize = clouds.iter().map(|cloud| cloud.unusable).sum();
    let unusable = match unusable {
        0 => String::new(),
        count => format!(" {count} pairs hold a value that is not finite and cannot be drawn."),
    };
    let largest = clouds.iter().map(|cloud| cloud.pairs.len()).max().unwrap_or(0);
    let thinned = if largest > MOST_POINTS {
        format!(
            " At most about {MOST_POINTS} pairs of a method are drawn, evenly spread over up to \
             {}; slopes are fitted to all.",
            number::count(largest as u64)
        )
    } else {
        String::new()
    };
    let caption = format!(
        "Each point is one removal and one query: the effect that a method predicted (across) and \
         the effect that was measured by retraining (up), both in the unit of the utility. Points \
         on the dashed line are right in size. The full line is the least-squares fit, with its \
         slope above the panel: a slope below 1 means effects that are overstated, above 1 \
         understated. Axes differ from panel to panel.{thinned}{unusable}"
    );
    Figure::drawn(NAME, TITLE, caption, draw(&clouds))
}

fn clouds(record: &Record) -> Vec<Cloud<'_>> {
    let mut clouds: Vec<Cloud<'_>> = Vec::new();
    let levels = methods(record);
    for pair in &record.effects {
        let same = |cloud: &Cloud<'_>| cloud.method == pair.method && cloud.truth == pair.truth;
        let position = match clouds.iter().position(same) {
            Some(position) => position,
            None => {
                let level = levels.iter().find(|(method, _)| *method == pair.method);
                clouds.push(Cloud {
                    method: &pair.method,
                    truth: &pair.truth,
                    access: level.and_then(|(_, access)| *access),
                    pairs: Vec::new(),
                    unusable: 0,
                });
                clouds.len() - 1
            }
        };
        if pair.predicted.is_finite() && pair.measured.is_finite() {
            clouds[position].pairs.push(pair);
        } else {
            clouds[position].unusable += 1;
        }
    }
    clouds.sort_by_key(|cloud| (cloud.access.is_none(), cloud.access));
    clouds
}

fn draw(clouds: &[Cloud<'_>]) -> Drawing {
    let columns = clouds.len().min(COLUMNS);
    let rows = clouds.len().div_ceil(COLUMNS);
    let left = MARGIN + 74.0;
    let width =
        (left + columns as f64 * STEP_RIGHT - (STEP_RIGHT - SIDE) + MARGIN + 4.0).max(520.0);
    let mut sheet = Drawing::new(width, 100.0);
    let top = header(&mut sheet, clouds) + 40.0;
    let mut drawing = Drawing::new(width, top + rows as f64 * STEP_DOWN - 12.0);
    header(&mut drawing, clouds);
    let several_truths = clouds.iter().any(|cloud| cloud.truth != clouds[0].truth);
    for (index, cloud) in clouds.iter().enumerate() {
        let x = left + (index % COLUMNS) as f64 * STEP_RIGHT;
        let y = top + (index / COLUMNS) as f64 * STEP_DOWN;
        let title = match several_truths {
            true => format!("{}, {}", cloud.method, cloud.truth),
            false => cloud.method.to_owned(),
        };
        draw_cloud(&mut drawing, cloud, &title, (x, y));
    }
    let middle = top + (rows as f64 * STEP_DOWN - 74.0) / 2.0;
    let style = Type::new(TEXT).anchored(Anchor::Middle);
    drawing.text((MARGIN + 4.0, middle), "measured effect (unit of the utility)", style.upwards());
    let centre = left + (columns as f64 * STEP_RIGHT - (STEP_RIGHT - SIDE)) / 2.0;
    let bottom = drawing.height - 20.0;
    drawing.text((centre, bottom), "estimated effect (unit of the utility)", style);
    drawing
}

fn header(drawing: &mut Drawing, clouds: &[Cloud<'_>]) -> f64 {
    let top = heading(drawing, TITLE);
    let mut keys = super::level_keys(clouds.iter().map(|cloud| cloud.access));
    keys.push((Key::Dashes(palette::INK), "estimate = measurement".to_owned()));
    keys.push((Key::Line(palette::ALARM), "least-squares fit".to_owned()));
    legend(drawing, top, &keys)
}

fn draw_cloud(drawing: &mut Drawing, cloud: &Cloud<'_>, title: &str, (x, y): (f64, f64)) {
    let across = Axis::linear(cloud.pairs.iter().map(|pair| pair.predicted), x, x + SIDE);
    let up = Axis::linear(cloud.pairs.iter().map(|pair| pair.measured), y + SIDE, y);
    panel_grid(drawing, &across, &up, (x, y));
    let ink = Ink { colour: palette::colour(cloud.access), opacity: 0.5 };
    for pair in thinned(&cloud.pairs) {
        let at = (across.place(pair.predicted), up.place(pair.measured));
        drawing.marker(cloud.access, at, 2.0, ink);
    }
    let frame = Area { left: x, top: y, right: x + SIDE, bottom: y + SIDE };
    sloped(drawing, &across, &up, &frame, &Fit { slope: 1.0, intercept: 0.0 }, Stroke::Dashed);
    let fit = fit(&cloud.pairs);
    let words = match &fit {
        Some(fit) => {
            sloped(drawing, &across, &up, &frame, fit, Stroke::Full);
            format!("slope {}", number(fit.slope))
        }
        None => "no slope: constant".to_owned(),
    };
    let bold = Type::new(TEXT).bold();
    drawing.text((x, y - 29.0), bold.fitted(title, STEP_RIGHT - 8.0), bold);
    drawing.text((x, y - 12.0), words, Type::new(SMALL).coloured(palette::MUTED));
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

    #[test]
    fn thinning_keeps_about_as_many_as_promised() {
        let pairs: Vec<EffectPair> = (0..20_000).map(|x| pair(f64::from(x), 0.0)).collect();
        let kept = thinned(&pairs.iter().collect::<Vec<_>>()).len();
        assert!(kept.abs_diff(MOST_POINTS) < 20, "{kept} points");
    }
}
