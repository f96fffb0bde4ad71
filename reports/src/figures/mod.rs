//! Figures: each a file here, each drawn to SVG and PNG from the same shapes.

mod agreement;
mod axis;
mod charts;
mod closed_loop;
mod cost;
mod drawing;
pub(crate) mod economics;
mod effects;
mod forest;
mod logged;
mod mispaid;
mod palette;
mod payouts;
mod responses;
mod retrofit_gap;
mod rounds;
mod sampling;
pub(crate) mod scenarios;

use std::path::Path;

use attribench_core::{AccessLevel, Record, Timing};

use crate::error::{make_folder, write_file};
use crate::{ReportError, RunFacts};
pub(crate) use cost::{COUNTED, time, work};
use drawing::{Anchor, Drawing, Place, Type};
pub(crate) use payouts::{Paid, Scheme, schemes};

/// Left and right margin of every figure.
const MARGIN: f64 = 18.0;
/// Size of ordinary text.
const TEXT: f64 = 12.5;
/// Size of text at ticks and in legends.
const SMALL: f64 = 11.5;
/// Size of a figure's title.
const TITLE: f64 = 17.0;

/// A figure with its words, or the reason why there is nothing to draw.
#[derive(Clone, Debug)]
pub struct Figure {
    name: String,
    title: String,
    caption: String,
    content: Result<Drawing, String>,
}

impl Figure {
    fn drawn(name: &str, title: &str, caption: String, drawing: Drawing) -> Self {
        Self { name: name.into(), title: title.into(), caption, content: Ok(drawing) }
    }

    fn absent(name: &str, title: &str, reason: &str) -> Self {
        let caption = String::new();
        Self { name: name.into(), title: title.into(), caption, content: Err(reason.into()) }
    }

    /// The stem of the figure's files.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the figure shows, in a few words.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// How to read the figure; empty where there is none.
    pub fn caption(&self) -> &str {
        &self.caption
    }

    /// Why there is nothing to draw, where that is so.
    pub fn missing(&self) -> Option<&str> {
        self.content.as_ref().err().map(String::as_str)
    }

    /// The figure as an SVG document; none where there is nothing to draw.
    ///
    /// # Errors
    /// When the drawing library fails.
    pub fn to_svg(&self) -> Result<Option<String>, ReportError> {
        let svg = self.content.as_ref().ok().map(|drawing| drawing.to_svg(&self.title));
        svg.transpose().map_err(|what| ReportError::Draw { figure: self.name.clone(), what })
    }

    /// The figure as a PNG file of twice its size; none where there is nothing to draw.
    ///
    /// # Errors
    /// When the drawing library fails.
    pub fn to_png(&self) -> Result<Option<Vec<u8>>, ReportError> {
        let png = self.content.as_ref().ok().map(Drawing::to_png);
        png.transpose().map_err(|what| ReportError::Draw { figure: self.name.clone(), what })
    }

    /// Writes `<name>.svg` and `<name>.png` into a folder, or nothing where there is no figure.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), ReportError> {
        make_folder(folder)?;
        if let Some(svg) = self.to_svg()? {
            write_file(&folder.join(format!("{}.svg", self.name)), svg.as_bytes())?;
        }
        if let Some(png) = self.to_png()? {
            write_file(&folder.join(format!("{}.png", self.name)), &png)?;
        }
        Ok(())
    }
}

/// All figures of a record, in the order of the page. A figure whose metrics are absent says so.
pub fn draw_figures(record: &Record, run: &RunFacts, timings: &[Timing]) -> Vec<Figure> {
    let mut figures = vec![retrofit_gap::figure(record), cost::figure(record, run, timings)];
    figures.extend(agreement::figure(record));
    figures.extend(logged::figures(record, timings));
    figures.extend(effects::figures(record));
    figures.extend(payouts::figures(record));
    figures.push(mispaid::figure(record));
    figures.extend(rounds::figure(record));
    figures.extend(sampling::figures(record));
    figures.extend(closed_loop::figure(record));
    figures
}

/// Writes the title at the top and returns where the next thing may begin.
fn heading(drawing: &mut Drawing, title: &str) -> f64 {
    let style = Type::new(TITLE).bold();
    let width = drawing.width - 2.0 * MARGIN;
    18.0 + drawing.paragraph((MARGIN, 24.0), title, width, style)
}

/// One entry of a legend.
enum Key {
    /// The marker of an access level.
    Level(Option<AccessLevel>),
    /// A full line.
    Line(palette::Colour),
    /// A filled block.
    Block(palette::Colour),
    /// A dashed line.
    Dashes(palette::Colour),
    /// The tick that marks an exact amount.
    Tick(palette::Colour),
}

/// Draws entries side by side, over as many lines as they need; returns the place below.
fn legend(drawing: &mut Drawing, top: f64, entries: &[(Key, String)]) -> f64 {
    let style = Type::new(SMALL).coloured(palette::MUTED);
    let (mut x, mut y) = (MARGIN, top + 8.0);
    for (key, words) in entries {
        let width = 30.0 + style.width(words) + 18.0;
        if x > MARGIN && x + width > drawing.width - MARGIN {
            (x, y) = (MARGIN, y + 20.0);
        }
        draw_key(drawing, (x, y), key);
        drawing.text((x + 30.0, y), words.as_str(), style);
        x += width;
    }
    y + 18.0
}

fn draw_key(drawing: &mut Drawing, (x, y): Place, key: &Key) {
    match key {
        Key::Level(access) => {
            drawing.marker(*access, (x + 14.0, y), 5.0, palette::colour(*access));
        }
        Key::Line(colour) => drawing.line((x, y), (x + 24.0, y), 2.0, *colour),
        Key::Block(colour) => drawing.rectangle((x, y - 6.0), (x + 24.0, y + 6.0), *colour),
        Key::Dashes(colour) => drawing.dashes((x, y), (x + 24.0, y), 1.5, *colour),
        Key::Tick(colour) => drawing.line((x + 14.0, y - 7.0), (x + 14.0, y + 7.0), 2.0, *colour),
    }
}

/// Legend entries of the access levels in use, least first.
fn level_keys(levels: impl IntoIterator<Item = Option<AccessLevel>>) -> Vec<(Key, String)> {
    let mut levels: Vec<Option<AccessLevel>> = levels.into_iter().collect();
    levels.sort_by_key(|level| (level.is_none(), *level));
    levels.dedup();
    let words = |level| (Key::Level(level), palette::title(level).to_owned());
    levels.into_iter().map(words).collect()
}

/// Vertical grid lines with their labels below, and the title of the axis.
fn horizontal_axis(drawing: &mut Drawing, axis: &axis::Axis, top: f64, bottom: f64, title: &str) {
    let (from, to) = axis.places();
    let most = ((to - from) / 45.0).floor().max(2.0) as usize;
    for (value, label) in axis.ticks(most) {
        let x = axis.place(value);
        drawing.line((x, top), (x, bottom), 1.0, palette::GRID);
        let style = Type::new(SMALL).anchored(Anchor::Middle).coloured(palette::MUTED);
        drawing.text((x, bottom + 13.0), label, style);
    }
    drawing.line((from, bottom), (to, bottom), 1.0, palette::MUTED);
    let style = Type::new(TEXT).anchored(Anchor::Middle);
    let title = style.fitted(title, to - from + 40.0);
    drawing.text(((from + to) / 2.0, bottom + 33.0), title, style);
}

/// Horizontal grid lines with their labels on the left.
fn vertical_axis(drawing: &mut Drawing, axis: &axis::Axis, left: f64, right: f64) {
    let (from, to) = axis.places();
    let most = ((from - to).abs() / 42.0).floor().max(2.0) as usize;
    for (value, label) in axis.ticks(most) {
        let y = axis.place(value);
        drawing.line((left, y), (right, y), 1.0, palette::GRID);
        let style = Type::new(SMALL).anchored(Anchor::End).coloured(palette::MUTED);
        drawing.text((left - 6.0, y), label, style);
    }
    drawing.line((left, from), (left, to), 1.0, palette::MUTED);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::select::methods;

    #[test]
    fn no_label_is_cut_off_or_covered() {
        let record = fixture::record();
        for figure in draw_figures(&record, &fixture::facts(), &fixture::timings()) {
            let drawing = figure.content.as_ref().expect("the fixture has every metric");
            assert_eq!(drawing.label_faults(), [""; 0], "figure {}", figure.name);
        }
        assert_eq!(methods(&record).len(), 12);
    }

    #[test]
    fn crowded_figures_keep_their_labels_apart() {
        let mut record = fixture::record();
        let by_contributor = record.rows.iter().filter(|row| row.metric.starts_with("lds"));
        let mut doubled: Vec<_> = by_contributor.cloned().collect();
        for row in &mut doubled {
            row.grain = "contributor".into();
            row.truth = "leave-contributor-out".into();
        }
        record.rows.extend(doubled.into_iter().skip(2));
        let again = record.payouts.clone().into_iter().flat_map(|payout| {
            (0..4).map(move |copy| attribench_core::Payout {
                rule: "a rule with a name that takes more room than any title has to offer".into(),
                contributor: format!("{copy} {} and everyone they know", payout.contributor),
                exact: payout.exact * 1_000_000,
                estimated: payout.estimated * 1_000_000 + copy,
                ..payout.clone()
            })
        });
        record.payouts = again.collect();
        let figures = draw_figures(&record, &fixture::facts(), &fixture::timings());
        for figure in &figures {
            let drawing = figure.content.as_ref().expect("the fixture has every metric");
            assert_eq!(drawing.label_faults(), [""; 0], "figure {}", figure.name);
        }
        let payouts = figures.iter().find(|figure| figure.name == "payouts");
        let caption = payouts.expect("there are payouts").caption();
        assert!(caption.contains("Of 32 contributors, the 20 with the largest error"), "{caption}");
    }
}
