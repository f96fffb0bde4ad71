//! Agreement of methods: a matrix of rank correlations between their scores.

use attribench_core::{AccessLevel, Record};

use super::drawing::{Anchor, Drawing, Place, Type};
use super::{Figure, MARGIN, SMALL, TEXT, heading, legend, level_keys, palette};
use crate::number;
use crate::select::{interval_words, methods};

const NAME: &str = "agreement";
const TITLE: &str = "Which methods agree: rank correlation of their scores";
/// Side of a cell: room for a sign and three digits.
const CELL: f64 = 30.0;
/// Size of the numbers in cells.
const NUMBER: f64 = 9.5;
/// Room of a marker before a method's name.
const MARKER: f64 = 16.0;
/// Beyond this size of a correlation, numbers are set in white on its colour.
const DARK: f64 = 0.6;

/// The matrix, where the record has one.
pub(super) fn figure(record: &Record) -> Option<Figure> {
    if record.agreements.is_empty() {
        return None;
    }
    let matrix = Matrix::of(record).in_order_of_likeness();
    let widest =
        record.agreements.iter().map(|pair| pair.correlation.upper() - pair.correlation.lower());
    let widest = number::number(widest.fold(0.0, f64::max));
    let caption = format!(
        "Each cell is the Spearman correlation between the scores that two methods give to all \
         training examples, averaged over queries; a query in which one of them scores all \
         examples alike counts as 0. No truth is asked: methods may agree and be wrong together. \
         Neighbours are alike, by average linkage. {} over queries are in record.json; the widest \
         spans {widest}.",
        capitalised(&interval_words(record))
    );
    Some(Figure::drawn(NAME, TITLE, caption, draw(&matrix)))
}

fn capitalised(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Correlations of methods, row by row.
struct Matrix {
    methods: Vec<(String, Option<AccessLevel>)>,
    values: Vec<Vec<f64>>,
}

impl Matrix {
    /// In the order of the report's other figures.
    fn of(record: &Record) -> Self {
        let known =
            |name: &String| record.agreements.iter().any(|pair| pair.methods.contains(name));
        let methods: Vec<_> = methods(record).into_iter().filter(|(name, _)| known(name)).collect();
        let value = |one: &String, other: &String| {
            let both = |names: &[String; 2]| names.contains(one) && names.contains(other);
            let pair = record.agreements.iter().find(|pair| one != other && both(&pair.methods));
            pair.map_or(1.0, |pair| pair.correlation.point())
        };
        let row = |one| methods.iter().map(|(other, _)| value(one, other)).collect();
        let values = methods.iter().map(|(one, _)| row(one)).collect();
        Self { methods, values }
    }

    fn in_order_of_likeness(self) -> Self {
        let order = linked(&self.values);
        let methods = order.iter().map(|&index| self.methods[index].clone()).collect();
        let row = |&one: &usize| order.iter().map(|&other| self.values[one][other]).collect();
        Self { methods, values: order.iter().map(row).collect() }
    }
}

/// Indices by average linkage: the two groups that correlate most are joined until one is left,
/// each time with the ends together that correlate most.
fn linked(values: &[Vec<f64>]) -> Vec<usize> {
    let mut groups: Vec<Vec<usize>> = (0..values.len()).map(|index| vec![index]).collect();
    while groups.len() > 1 {
        let mean = |one: &[usize], other: &[usize]| {
            let pairs = one.iter().flat_map(|&i| other.iter().map(move |&j| values[i][j]));
            pairs.sum::<f64>() / (one.len() * other.len()) as f64
        };
        let pairs = (0..groups.len()).flat_map(|one| (0..one).map(move |other| (other, one)));
        let (left, right) = pairs
            .max_by(|a, b| {
                let of = |(left, right): &(usize, usize)| mean(&groups[*left], &groups[*right]);
                // The earlier of two equal pairs.
                of(a).total_cmp(&of(b)).then(b.cmp(a))
            })
            .expect("there are two groups");
        let mut moved = groups.remove(right);
        let group = &mut groups[left];
        let likeness = |one: usize, other: usize| values[one][other];
        let ends = |group: &[usize]| (group[0], group[group.len() - 1]);
        let ((first, last), (begin, end)) = (ends(group), ends(&moved));
        let best = likeness(last, begin).max(likeness(last, end));
        if likeness(first, begin).max(likeness(first, end)) > best {
            group.reverse();
        }
        let last = group[group.len() - 1];
        if likeness(last, end) > likeness(last, begin) {
            moved.reverse();
        }
        group.extend(moved);
    }
    groups.into_iter().flatten().collect()
}

fn draw(matrix: &Matrix) -> Drawing {
    let style = Type::new(TEXT);
    let names = matrix.methods.iter().map(|(name, _)| style.width(name)).fold(0.0, f64::max);
    let left = MARGIN + names + MARKER + 8.0;
    let side = CELL * matrix.methods.len() as f64;
    let width = (left + side + MARGIN).max(460.0);
    // Measured on a sheet that is thrown away, because the title may need several lines.
    let mut sheet = Drawing::new(width, 100.0);
    let top = header(&mut sheet, matrix) + names + MARKER + 12.0;
    let mut drawing = Drawing::new(width, top + side + MARGIN);
    header(&mut drawing, matrix);
    for (index, (name, access)) in matrix.methods.iter().enumerate() {
        let middle = (index as f64 + 0.5) * CELL;
        let colour = palette::colour(*access);
        drawing.marker(*access, (left - 10.0, top + middle), 4.5, colour);
        let across = style.anchored(Anchor::End);
        drawing.text((left - MARKER - 4.0, top + middle), name.as_str(), across);
        drawing.marker(*access, (left + middle, top - 10.0), 4.5, colour);
        drawing.text((left + middle, top - MARKER - 4.0), name.as_str(), style.upwards());
        for (other, &value) in matrix.values[index].iter().enumerate() {
            let corner = (left + other as f64 * CELL, top + index as f64 * CELL);
            if other == index {
                drawing.rectangle(corner, (corner.0 + CELL, corner.1 + CELL), palette::GRID);
            } else {
                cell(&mut drawing, corner, value);
            }
        }
    }
    drawing
}

fn cell(drawing: &mut Drawing, (x, y): Place, value: f64) {
    // A white line between cells.
    drawing.rectangle((x, y), (x + CELL - 1.0, y + CELL - 1.0), palette::diverging(value));
    let ink = if value.abs() > DARK { palette::PAPER } else { palette::INK };
    let style = Type::new(NUMBER).anchored(Anchor::Middle).coloured(ink);
    let words = match format!("{value:.2}") {
        zero if zero == "-0.00" => "0.00".to_owned(),
        words => words.replace('-', "\u{2212}"),
    };
    drawing.text((x + CELL / 2.0, y + CELL / 2.0), words, style);
}

/// Title, markers and the scale of colours; returns the place below.
fn header(drawing: &mut Drawing, matrix: &Matrix) -> f64 {
    let top = heading(drawing, TITLE);
    let levels = level_keys(matrix.methods.iter().map(|(_, access)| *access));
    let top = legend(drawing, top, &levels);
    let style = Type::new(SMALL).coloured(palette::MUTED);
    let (steps, step, middle) = (40, 4.0, top + 8.0);
    let from = MARGIN + style.width("\u{2212}1") + 6.0;
    drawing.text((MARGIN, middle), "\u{2212}1", style);
    for index in 0..=steps {
        let x = from + f64::from(index) * step;
        let value = 2.0 * f64::from(index) / f64::from(steps) - 1.0;
        drawing.rectangle((x, middle - 6.0), (x + step, middle + 6.0), palette::diverging(value));
    }
    let to = from + f64::from(steps + 1) * step;
    drawing.text((to + 6.0, middle), "1: the same order; 0: no relation", style);
    top + 26.0
}

#[cfg(test)]
mod tests {
    use attribench_core::{Agreement, Estimate};

    use super::*;

    #[test]
    fn those_that_agree_stand_together() {
        // 0 and 2 agree, 1 and 3 agree, and 3 is nearer to 0 than 1 is: 1 3 | 0 2.
        let values = vec![
            vec![1.0, 0.0, 0.9, 0.3],
            vec![0.0, 1.0, 0.0, 0.8],
            vec![0.9, 0.0, 1.0, 0.1],
            vec![0.3, 0.8, 0.1, 1.0],
        ];
        let order = linked(&values);
        assert!(order == [2, 0, 3, 1] || order == [1, 3, 0, 2], "{order:?}");
        assert_eq!(linked(&[vec![1.0]]), [0]);
    }

    #[test]
    fn many_methods_keep_their_labels_apart() {
        let mut record = crate::fixture::record();
        let names: Vec<String> = (0..36).map(|index| format!("method-number-{index}")).collect();
        for name in &names {
            record.rows.push(crate::fixture::cost_row(name, "gradients", 1.0));
        }
        record.agreements.clear();
        for (index, one) in names.iter().enumerate() {
            for (other, name) in names[..index].iter().enumerate() {
                let value = (index * 7 + other * 5) as f64 % 200.0 / 100.0 - 1.0;
                let correlation = Estimate::new(value, value, value, 0.95, 9, 0);
                record
                    .agreements
                    .push(Agreement { methods: [name.clone(), one.clone()], correlation });
            }
        }
        let matrix = Matrix::of(&record);
        assert_eq!((matrix.methods.len(), matrix.values[35][3]), (36, matrix.values[3][35]));
        assert_eq!(draw(&matrix).label_faults(), [""; 0]);
        let figure = figure(&record).expect("there are agreements");
        assert!(figure.caption().contains("the widest spans"), "{}", figure.caption());
    }
}
