//! Which cases of a scenario are run.

use crate::designs;
use crate::document::{Fields, Node, Quantity, Reader};
use crate::random::Streams;
use crate::refusal::Refusal;

/// How points of parameter space are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Design {
    /// Every combination of levels.
    Grid,
    /// The k-th level of every parameter together.
    Zip,
    /// The base, then every parameter alone at each of its levels.
    OneAtATime,
    /// Latin hypercube over ranges.
    LatinHypercube,
    /// Scrambled Sobol' points over ranges.
    Sobol,
    /// Independent uniform points over ranges.
    MonteCarlo,
    /// Elementary effects over ranges.
    Morris,
    /// Sobol' indices over ranges.
    Saltelli,
}

/// The values that a parameter takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Levels {
    /// These.
    List(Vec<Node>),
    /// All between two, in this unit.
    Range {
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
        /// Unit of both; empty for none.
        unit: String,
    },
}

/// A parameter that is varied.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Path into the scenario.
    pub path: String,
    /// Its values.
    pub levels: Levels,
}

impl Axis {
    /// The value at a place of the unit interval: of a range the point between its ends, of a list
    /// the member in whose equal part of the interval the place lies.
    pub fn value(&self, place: f64) -> Node {
        match &self.levels {
            Levels::List(list) => {
                let at = ((place * list.len() as f64) as usize).min(list.len() - 1);
                list[at].clone()
            }
            Levels::Range { low, high, unit } => {
                // Nine digits keep what a unit of money or a share can hold.
                let number = low + place * (high - low);
                let rounded =
                    if number.abs() < 1e6 { (number * 1e6).round() / 1e6 } else { number.round() };
                if unit.is_empty() {
                    return Node::Number(rounded);
                }
                Node::Text(format!("{rounded} {unit}"))
            }
        }
    }

    /// The last part of the path, which names the parameter in tables.
    pub fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or(&self.path)
    }
}

/// A design over some parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// How points are chosen.
    pub design: Design,
    /// Points, base rows or trajectories, for designs over ranges.
    pub points: usize,
    /// What is varied.
    pub axes: Vec<Axis>,
}

/// One point of a sweep: the value of each axis.
pub type Point = Vec<Node>;

impl Sweep {
    /// The sweep of a document whose scenario has been checked; `None` where it has none.
    pub fn of(document: &Node) -> Option<Self> {
        let reader = Reader::default();
        let sweep = read(&reader.root(document));
        sweep.filter(|_| reader.into_faults().is_empty())
    }

    /// Places of the design in the unit cube, for designs over ranges.
    ///
    /// # Errors
    /// Those of the designs.
    pub fn places(&self, streams: &Streams) -> Result<Vec<Vec<f64>>, Refusal> {
        let dimensions = self.axes.len();
        match self.design {
            Design::LatinHypercube => {
                Ok(designs::latin_hypercube(streams, self.points, dimensions))
            }
            Design::Sobol => designs::sobol_scrambled(streams, self.points, dimensions),
            Design::MonteCarlo => Ok(designs::monte_carlo(streams, self.points, dimensions)),
            Design::Morris => designs::morris_points(streams, dimensions, self.points, LEVELS),
            Design::Saltelli => designs::saltelli_points(streams, dimensions, self.points),
            Design::Grid => Ok(designs::grid(&self.positions())),
            Design::Zip => designs::zip(&self.positions()),
            Design::OneAtATime => {
                let positions = self.positions();
                let base: Vec<f64> = positions.iter().map(|places| places[0]).collect();
                designs::one_at_a_time(&base, &positions)
            }
        }
    }

    /// The middle of each level's part of the unit interval; the two ends of a range.
    fn positions(&self) -> Vec<Vec<f64>> {
        let positions = |axis: &Axis| match &axis.levels {
            Levels::List(list) => {
                (0..list.len()).map(|at| (at as f64 + 0.5) / list.len() as f64).collect()
            }
            Levels::Range { .. } => vec![0.5, 0.0, 1.0],
        };
        self.axes.iter().map(positions).collect()
    }

    /// The values at a place.
    pub fn point(&self, place: &[f64]) -> Point {
        self.axes.iter().zip(place).map(|(axis, place)| axis.value(*place)).collect()
    }

    /// The document at a point; `None` where a path leads nowhere.
    pub fn apply(&self, document: &Node, point: &[Node]) -> Option<Node> {
        let mut zipped = self.axes.iter().zip(point);
        zipped.try_fold(document.clone(), |document, (axis, value)| {
            document.with(&axis.path, value.clone())
        })
    }
}

/// Levels of elementary effects.
pub const LEVELS: u32 = 4;

/// Reads `sweep:`; faults are noted.
pub(super) fn read(root: &Fields<'_>) -> Option<Sweep> {
    let fields = root.find("sweep")?.fields()?;
    let designs = [
        ("grid", Design::Grid),
        ("zip", Design::Zip),
        ("one-at-a-time", Design::OneAtATime),
        ("latin-hypercube", Design::LatinHypercube),
        ("sobol", Design::Sobol),
        ("monte-carlo", Design::MonteCarlo),
        ("morris", Design::Morris),
        ("saltelli", Design::Saltelli),
    ];
    let design = fields.get("design", Design::Grid, |entry| entry.choice("design", &designs));
    let points = fields.get("points", 64, |entry| entry.count(2, 1 << 20)) as usize;
    let mut axes = vec![];
    for (path, entry) in fields.section("parameters").entries() {
        let levels = match entry.node {
            Node::List(list) if !list.is_empty() => Some(Levels::List(list.clone())),
            Node::Map(_) => entry.fields().and_then(|fields| read_range(&fields)),
            _ => {
                entry.fault("a parameter needs its levels", "write `[a, b]` or `{from: a, to: b}`");
                None
            }
        };
        if let Some(levels) = levels {
            axes.push(Axis { path: path.to_owned(), levels });
        }
    }
    if axes.is_empty() {
        fields.fault("parameters", "nothing is varied", "name a parameter and its levels");
    }
    check_design(&fields, design, points, &axes);
    fields.close();
    Some(Sweep { design, points, axes })
}

fn read_range(fields: &Fields<'_>) -> Option<Levels> {
    let end = |name| {
        fields.need(name, None, |entry| {
            let quantity = Quantity::parse(&entry.node.label());
            if quantity.is_none() {
                entry.fault("expected a number with its unit", "for example `5 %`");
            }
            quantity.map(Some)
        })
    };
    let (low, high) = (end("from")?, end("to")?);
    if low.unit != high.unit {
        let units = format!("the ends are in `{}` and in `{}`", low.unit, high.unit);
        fields.fault("to", units, "write both in one unit");
    }
    if low.number() >= high.number() {
        fields.fault("to", "the range is empty", "write the smaller end under `from`");
    }
    Some(Levels::Range { low: low.number(), high: high.number(), unit: low.unit })
}

fn check_design(fields: &Fields<'_>, design: Design, points: usize, axes: &[Axis]) {
    let lengths: Vec<usize> = axes
        .iter()
        .filter_map(|axis| match &axis.levels {
            Levels::List(list) => Some(list.len()),
            Levels::Range { .. } => None,
        })
        .collect();
    let is_uneven = lengths.windows(2).any(|pair| pair[0] != pair[1]);
    if design == Design::Zip && (is_uneven || lengths.len() < axes.len()) {
        fields.fault(
            "parameters",
            format!("zip needs lists of one length, found {lengths:?}"),
            "make them equally long",
        );
    }
    if matches!(design, Design::Grid) && lengths.len() < axes.len() {
        fields.fault("parameters", "a grid needs lists of levels", "write `[a, b, c]`");
    }
    let needs_power = matches!(design, Design::Sobol | Design::Saltelli);
    if needs_power && !points.is_power_of_two() {
        fields.fault(
            "points",
            format!("{points} is no power of two, which these points need"),
            format!("write {}", points.next_power_of_two()),
        );
    }
    if matches!(design, Design::Saltelli) && 2 * axes.len() > designs::MOST_DIMENSIONS {
        let most = designs::MOST_DIMENSIONS / 2;
        fields.fault("parameters", format!("more than {most} parameters"), "vary fewer at once");
    }
}
