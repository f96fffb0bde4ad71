//! A figure as a list of shapes, painted by plotters' SVG and bitmap back ends alike.
//!
//! Keeping the shapes apart from the painting lets a test ask whether any label is cut off or
//! covered, which a picture cannot tell.

use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};
use plotters::prelude::{
    BitMapBackend, Color, DrawingBackend, FontFamily, RGBColor, SVGBackend, ShapeStyle,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontDesc, FontStyle, FontTransform, TextStyle};

use super::palette::{Colour, INK, PAPER, corners};
use attribench_core::AccessLevel;

/// Back ends take whole numbers, so shapes are painted on a grid four times as fine.
const FINENESS: f64 = 4.0;
/// Bitmaps are averaged over squares of this side, which smooths edges and leaves 2 pixels for 1.
const AVERAGED: usize = 2;
/// The middle of lower-case letters above the base line, in ems.
const HALF_X_HEIGHT: f64 = 0.27;
/// plotters divides the size of a text by this before it writes it to an SVG.
const PLOTTERS_TEXT_FACTOR: f64 = 1.24;

/// Weight of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    Regular,
    Bold,
}

/// Which point of a text is placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// Direction of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Across,
    Upwards,
}

/// Colour and opacity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ink {
    pub colour: Colour,
    pub opacity: f64,
}

impl From<Colour> for Ink {
    fn from(colour: Colour) -> Self {
        Self { colour, opacity: 1.0 }
    }
}

/// How a text is set; `at` is in the middle of the height of its lower-case letters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Type {
    pub size: f64,
    pub weight: Weight,
    pub anchor: Anchor,
    pub direction: Direction,
    pub colour: Colour,
}

impl Type {
    /// Regular text from the left in the usual colour.
    pub(crate) fn new(size: f64) -> Self {
        let (weight, anchor) = (Weight::Regular, Anchor::Start);
        Self { size, weight, anchor, direction: Direction::Across, colour: INK }
    }

    pub(crate) fn bold(self) -> Self {
        Self { weight: Weight::Bold, ..self }
    }

    pub(crate) fn anchored(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }

    pub(crate) fn coloured(self, colour: Colour) -> Self {
        Self { colour, ..self }
    }

    pub(crate) fn upwards(self) -> Self {
        Self { direction: Direction::Upwards, ..self }
    }

    /// Width of a text in this setting.
    pub(crate) fn width(self, words: &str) -> f64 {
        let font = font(self.weight);
        let scaled = font.as_scaled(scale(font, self.size));
        f64::from(words.chars().map(|letter| scaled.h_advance(font.glyph_id(letter))).sum::<f32>())
    }

    /// A text cut to a width, with dots where something is left out: in the middle, because labels
    /// of cases often differ at their ends.
    pub(crate) fn fitted(self, words: &str, width: f64) -> String {
        if self.width(words) <= width {
            return words.to_owned();
        }
        let letters: Vec<char> = words.chars().collect();
        let with = |kept: usize| {
            let (head, tail) = (&letters[..kept.div_ceil(2)], &letters[letters.len() - kept / 2..]);
            head.iter().chain(&['…']).chain(tail).collect::<String>()
        };
        let fits = |kept: &usize| self.width(&with(*kept)) <= width;
        with((0..letters.len()).rev().find(fits).unwrap_or(0))
    }
}

/// A place in a drawing, from the top left corner.
pub(crate) type Place = (f64, f64);

/// What can be painted.
#[derive(Clone, Debug)]
enum Shape {
    Line { from: Place, to: Place, width: f64, ink: Ink },
    Rectangle { corner: Place, opposite: Place, ink: Ink },
    Polygon { points: Vec<Place>, ink: Ink },
    Circle { centre: Place, radius: f64, ink: Ink },
    Text { at: Place, words: String, style: Type },
}

/// A figure as a list of shapes; later shapes cover earlier ones.
#[derive(Clone, Debug)]
pub(crate) struct Drawing {
    pub width: f64,
    pub height: f64,
    shapes: Vec<Shape>,
}

/// A rectangle that something occupies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Area {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Area {
    /// A square around a point.
    pub(crate) fn around(at: Place, radius: f64) -> Self {
        let (x, y) = at;
        Self { left: x - radius, top: y - radius, right: x + radius, bottom: y + radius }
    }

    /// The area of both together that is counted twice.
    pub(crate) fn overlap(&self, other: &Self) -> f64 {
        let width = self.right.min(other.right) - self.left.max(other.left);
        let height = self.bottom.min(other.bottom) - self.top.max(other.top);
        width.max(0.0) * height.max(0.0)
    }

    /// Whether another area lies wholly inside.
    pub(crate) fn contains(&self, other: &Self) -> bool {
        self.left <= other.left
            && self.top <= other.top
            && self.right >= other.right
            && self.bottom >= other.bottom
    }
}

/// The area that a text occupies.
pub(crate) fn text_area(at: Place, words: &str, style: Type) -> Area {
    let (long, high) = (style.width(words), style.size * 0.5);
    let before = match style.anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => long / 2.0,
        Anchor::End => long,
    };
    let (x, y) = at;
    match style.direction {
        Direction::Across => {
            let left = x - before;
            Area { left, top: y - high, right: left + long, bottom: y + high }
        }
        Direction::Upwards => {
            let bottom = y + before;
            Area { left: x - high, top: bottom - long, right: x + high, bottom }
        }
    }
}

impl Drawing {
    /// An empty sheet.
    pub(crate) fn new(width: f64, height: f64) -> Self {
        let mut drawing = Self { width, height, shapes: Vec::new() };
        drawing.rectangle((0.0, 0.0), (width, height), PAPER);
        drawing
    }

    pub(crate) fn line(&mut self, from: Place, to: Place, width: f64, ink: impl Into<Ink>) {
        self.shapes.push(Shape::Line { from, to, width, ink: ink.into() });
    }

    /// A line of dashes as long as the gaps between them.
    pub(crate) fn dashes(&mut self, from: Place, to: Place, width: f64, ink: impl Into<Ink>) {
        let ink = ink.into();
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let count = ((length / 8.0).floor() as usize).max(1);
        let along =
            |share: f64| (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
        for dash in 0..count {
            let start = dash as f64 / count as f64;
            self.line(along(start), along(start + 0.5 / count as f64), width, ink);
        }
    }

    pub(crate) fn rectangle(&mut self, corner: Place, opposite: Place, ink: impl Into<Ink>) {
        self.shapes.push(Shape::Rectangle { corner, opposite, ink: ink.into() });
    }

    pub(crate) fn polygon(&mut self, points: Vec<Place>, ink: impl Into<Ink>) {
        self.shapes.push(Shape::Polygon { points, ink: ink.into() });
    }

    pub(crate) fn circle(&mut self, centre: Place, radius: f64, ink: impl Into<Ink>) {
        self.shapes.push(Shape::Circle { centre, radius, ink: ink.into() });
    }

    pub(crate) fn text(&mut self, at: Place, words: impl Into<String>, style: Type) {
        self.shapes.push(Shape::Text { at, words: words.into(), style });
    }

    /// The marker of an access level.
    pub(crate) fn marker(
        &mut self,
        access: Option<AccessLevel>,
        at: Place,
        radius: f64,
        ink: impl Into<Ink>,
    ) {
        let ink = ink.into();
        let corners = corners(access);
        if corners.is_empty() {
            self.circle(at, radius, ink);
            return;
        }
        let points = corners.iter().map(|(x, y)| (at.0 + x * radius, at.1 + y * radius)).collect();
        self.shapes.push(Shape::Polygon { points, ink });
    }

    /// Text over several lines of a width; returns the height that it took.
    pub(crate) fn paragraph(&mut self, at: Place, words: &str, width: f64, style: Type) -> f64 {
        let leading = style.size * 1.4;
        let lines = wrapped(words, width, style);
        for (index, line) in lines.iter().enumerate() {
            self.text((at.0, at.1 + index as f64 * leading), line.as_str(), style);
        }
        lines.len() as f64 * leading
    }

    /// An SVG document that says in words what it shows.
    pub(crate) fn to_svg(&self, title: &str) -> Result<String, String> {
        let mut text = String::new();
        let mut backend = SVGBackend::with_string(&mut text, self.grid());
        self.paint(&mut backend)?;
        for shape in &self.shapes {
            if let Shape::Text { at, words, style } = shape {
                svg_text(&mut backend, *at, words, *style)?;
            }
        }
        backend.present().map_err(|error| error.to_string())?;
        drop(backend);
        // The back end knows one size; a reader wants the grid fine and the picture not large.
        let (_, body) = text.split_once('\n').ok_or("the SVG has no body")?;
        let (wide, high) = self.grid();
        let title = crate::page::escape(title);
        Ok(format!(
            "<svg width=\"{}\" height=\"{}\" viewBox=\"0 0 {wide} {high}\" role=\"img\" \
             aria-label=\"{title}\" xmlns=\"http://www.w3.org/2000/svg\">\n\
             <title>{title}</title>\n{body}",
            self.width.round(),
            self.height.round(),
        ))
    }

    /// A PNG file of twice the size of the drawing.
    pub(crate) fn to_png(&self) -> Result<Vec<u8>, String> {
        let (wide, high) = self.grid();
        let mut pixels = vec![255u8; wide as usize * high as usize * 3];
        {
            let mut backend = BitMapBackend::with_buffer(&mut pixels, (wide, high));
            self.paint(&mut backend)?;
            for shape in &self.shapes {
                if let Shape::Text { at, words, style } = shape {
                    bitmap_text(&mut backend, *at, words, *style)?;
                }
            }
            backend.present().map_err(|error| error.to_string())?;
        }
        let averaged = average(&pixels, wide as usize, high as usize);
        encode_png(&averaged, wide / AVERAGED as u32, high / AVERAGED as u32)
            .map_err(|error| error.to_string())
    }

    /// Size of the fine grid, a multiple of the averaged squares.
    fn grid(&self) -> (u32, u32) {
        let fine = |length: f64| (length.round() * FINENESS) as u32;
        (fine(self.width), fine(self.height))
    }

    /// Everything but texts, which the two back ends set differently.
    fn paint<B: DrawingBackend>(&self, backend: &mut B) -> Result<(), String> {
        for shape in &self.shapes {
            let painted = match shape {
                Shape::Line { from, to, width, ink } => {
                    let width = (width * FINENESS).round().max(1.0) as u32;
                    let style = filled(*ink).stroke_width(width);
                    backend.draw_path([fine(*from), fine(*to)], &style)
                }
                Shape::Rectangle { corner, opposite, ink } => {
                    backend.draw_rect(fine(*corner), fine(*opposite), &filled(*ink), true)
                }
                Shape::Polygon { points, ink } => {
                    backend.fill_polygon(points.iter().map(|&point| fine(point)), &filled(*ink))
                }
                Shape::Circle { centre, radius, ink } => {
                    let radius = (radius * FINENESS).round() as u32;
                    backend.draw_circle(fine(*centre), radius, &filled(*ink), true)
                }
                Shape::Text { .. } => Ok(()),
            };
            painted.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// What is wrong with the labels: cut off at the edge, or over one another.
    #[cfg(test)]
    pub(crate) fn label_faults(&self) -> Vec<String> {
        let sheet = Area { left: 0.0, top: 0.0, right: self.width, bottom: self.height };
        let mut placed: Vec<(Area, &str)> = Vec::new();
        let mut faults = Vec::new();
        for shape in &self.shapes {
            let Shape::Text { at, words, style } = shape else { continue };
            let area = text_area(*at, words, *style);
            if !sheet.contains(&area) {
                faults.push(format!("`{words}` is cut off: {area:?}"));
            }
            for (other, other_words) in &placed {
                if area.overlap(other) > 0.5 {
                    faults.push(format!("`{words}` lies over `{other_words}`"));
                }
            }
            placed.push((area, words));
        }
        faults
    }
}

/// Lines of words that fit a width; a single word may be wider.
pub(crate) fn wrapped(words: &str, width: f64, style: Type) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split_whitespace() {
        match lines.last_mut() {
            Some(line) if style.width(&format!("{line} {word}")) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn fine(place: Place) -> (i32, i32) {
    ((place.0 * FINENESS).round() as i32, (place.1 * FINENESS).round() as i32)
}

fn filled(ink: Ink) -> ShapeStyle {
    let Colour(red, green, blue) = ink.colour;
    RGBColor(red, green, blue).mix(ink.opacity).filled()
}

/// The reader's own sans-serif sets the text of an SVG; it is narrower than the font measured with.
fn svg_text<B: DrawingBackend>(
    backend: &mut B,
    at: Place,
    words: &str,
    style: Type,
) -> Result<(), String> {
    let weight = match style.weight {
        Weight::Regular => FontStyle::Normal,
        Weight::Bold => FontStyle::Bold,
    };
    let transform = match style.direction {
        Direction::Across => FontTransform::None,
        Direction::Upwards => FontTransform::Rotate270,
    };
    let horizontal = match style.anchor {
        Anchor::Start => HPos::Left,
        Anchor::Middle => HPos::Center,
        Anchor::End => HPos::Right,
    };
    let Colour(red, green, blue) = style.colour;
    let size = style.size * FINENESS * PLOTTERS_TEXT_FACTOR;
    let font = FontDesc::new(FontFamily::SansSerif, size, weight).transform(transform);
    let colour = RGBColor(red, green, blue);
    let style = TextStyle::from(font).color(&colour).pos(Pos::new(horizontal, VPos::Center));
    backend.draw_text(words, &style, fine(at)).map_err(|error| error.to_string())
}

/// plotters forgets the space before a letter and so sets text unevenly; this does not.
fn bitmap_text<B: DrawingBackend>(
    backend: &mut B,
    at: Place,
    words: &str,
    style: Type,
) -> Result<(), String> {
    let font = font(style.weight);
    let scale = scale(font, style.size * FINENESS);
    let scaled = font.as_scaled(scale);
    let length = style.width(words) * FINENESS;
    let mut along = match style.anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => -length / 2.0,
        Anchor::End => -length,
    } as f32;
    let base = (HALF_X_HEIGHT * style.size * FINENESS) as f32;
    let (x, y) = fine(at);
    let Colour(red, green, blue) = style.colour;
    for letter in words.chars() {
        let glyph = font.glyph_id(letter).with_scale_and_position(scale, point(along, base));
        along += scaled.h_advance(font.glyph_id(letter));
        let Some(outline) = font.outline_glyph(glyph) else { continue };
        let bounds = outline.px_bounds();
        let mut covered = Vec::new();
        outline.draw(|right, down, share| covered.push((right, down, share)));
        for (right, down, share) in covered {
            let (dx, dy) = (bounds.min.x as i32 + right as i32, bounds.min.y as i32 + down as i32);
            let place = match style.direction {
                Direction::Across => (x + dx, y + dy),
                Direction::Upwards => (x + dy, y - dx),
            };
            let alpha = f64::from(share).clamp(0.0, 1.0);
            let colour = RGBColor(red, green, blue).mix(alpha).to_backend_color();
            backend.draw_pixel(place, colour).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Means over squares, which is what smooths the edges.
fn average(pixels: &[u8], wide: usize, high: usize) -> Vec<u8> {
    let (narrow, low) = (wide / AVERAGED, high / AVERAGED);
    let mut averaged = Vec::with_capacity(narrow * low * 3);
    for y in 0..low {
        for x in 0..narrow {
            for channel in 0..3 {
                let sum: usize = (0..AVERAGED * AVERAGED)
                    .map(|cell| {
                        let row = y * AVERAGED + cell / AVERAGED;
                        let column = x * AVERAGED + cell % AVERAGED;
                        usize::from(pixels[(row * wide + column) * 3 + channel])
                    })
                    .sum();
                averaged.push((sum / (AVERAGED * AVERAGED)) as u8);
            }
        }
    }
    averaged
}

fn encode_png(pixels: &[u8], wide: u32, high: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, wide, high);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

/// The embedded fonts, parsed once.
fn font(weight: Weight) -> &'static FontRef<'static> {
    use std::sync::LazyLock;
    static REGULAR: LazyLock<FontRef<'static>> =
        LazyLock::new(|| parsed(include_bytes!("../../assets/DejaVuSans.ttf")));
    static BOLD: LazyLock<FontRef<'static>> =
        LazyLock::new(|| parsed(include_bytes!("../../assets/DejaVuSans-Bold.ttf")));
    match weight {
        Weight::Regular => &REGULAR,
        Weight::Bold => &BOLD,
    }
}

fn parsed(bytes: &'static [u8]) -> FontRef<'static> {
    FontRef::try_from_slice(bytes)
        .expect("the embedded font is a font, as every figure's test sees")
}

/// ab_glyph measures by the height of a line, people by the em.
fn scale(font: &FontRef<'_>, size: f64) -> PxScale {
    let em = font.units_per_em().expect("the embedded font states its em");
    PxScale::from(size as f32 * font.height_unscaled() / em)
}
