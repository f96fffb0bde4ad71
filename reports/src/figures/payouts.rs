//! Payouts by contributor: what exact scores would pay, and what a method's scores would.

use attribench_core::{AccessLevel, Payout, Record};

use super::axis::Axis;
use super::drawing::{Anchor, Drawing, Type};
use super::{
    Figure, Key, MARGIN, SMALL, TEXT, heading, horizontal_axis, legend, level_keys, palette,
};
use crate::number::percent;

const NAME: &str = "payouts";
const TITLE: &str = "Payouts by exact and by estimated scores";
const MOST_CONTRIBUTORS: usize = 20;
const MOST_METHODS: usize = 4;
const PLOT: f64 = 150.0;
const BETWEEN: f64 = 27.0;
const ROW: f64 = 21.0;
const NAME_WIDTH: f64 = 170.0;
/// A largest payout of so many median ones leaves too little room for all others.
const SKEWED: u64 = 8;

/// The payouts of one method under one rule.
pub(crate) struct Paid<'a> {
    pub method: &'a str,
    pub access: AccessLevel,
    pub payouts: Vec<&'a Payout>,
}

impl Paid<'_> {
    /// Tokens that go to someone else than exact scores would pay: half the absolute differences.
    pub(crate) fn mispaid(&self) -> u128 {
        let total: u128 = self.payouts.iter().map(|payout| u128::from(difference(payout))).sum();
        total / 2
    }

    /// Mispaid tokens as a share of all that exact scores would pay.
    pub(crate) fn share(&self) -> Option<f64> {
        let total: u128 = self.payouts.iter().map(|payout| u128::from(payout.exact)).sum();
        (total > 0).then(|| self.mispaid() as f64 / total as f64)
    }
}

/// Payouts that may be compared: one rule, one reference.
pub(crate) struct Scheme<'a> {
    pub rule: &'a str,
    pub reference: &'a str,
    pub methods: Vec<Paid<'a>>,
}

fn difference(payout: &Payout) -> u64 {
    payout.exact.abs_diff(payout.estimated)
}

/// Payouts by rule and reference, methods by level of access and in order of payouts within one.
pub(crate) fn schemes(record: &Record) -> Vec<Scheme<'_>> {
    let mut schemes: Vec<Scheme<'_>> = Vec::new();
    for payout in &record.payouts {
        let same = |scheme: &Scheme<'_>| {
            scheme.rule == payout.rule && scheme.reference == payout.reference
        };
        let index = schemes.iter().position(same).unwrap_or_else(|| {
            let (rule, reference) = (&payout.rule, &payout.reference);
            schemes.push(Scheme { rule, reference, methods: Vec::new() });
            schemes.len() - 1
        });
        let methods = &mut schemes[index].methods;
        match methods.iter_mut().find(|paid| paid.method == payout.method) {
            Some(paid) => paid.payouts.push(payout),
            None => methods.push(Paid {
                method: &payout.method,
                access: payout.access,
                payouts: vec![payout],
            }),
        }
    }
    for scheme in &mut schemes {
        scheme.methods.sort_by_key(|paid| paid.access);
    }
    schemes
}

/// One figure for each payout rule and reference.
pub(super) fn figures(record: &Record) -> Vec<Figure> {
    let schemes = schemes(record);
    if schemes.is_empty() {
        let reason = "The record holds no payouts, so nobody was paid.";
        return vec![Figure::absent(NAME, TITLE, reason)];
    }
    let name = |index| match index {
        0 => NAME.to_owned(),
        index => format!("{NAME}-{}", index + 1),
    };
    schemes.iter().enumerate().map(|(index, scheme)| figure(&name(index), scheme)).collect()
}

fn figure(name: &str, scheme: &Scheme<'_>) -> Figure {
    let shown = chosen(scheme);
    let everyone = contributors(&scheme.methods.iter().collect::<Vec<_>>());
    let people = listed(&shown);
    let methods = if shown.len() < scheme.methods.len() {
        format!(
            " Of {} methods, the one that mispays least at each level of access is shown; having \
             been chosen by this very number, it is flattered a little.",
            scheme.methods.len()
        )
    } else {
        String::new()
    };
    let cut = if people.len() < everyone.len() {
        format!(
            " Of {} contributors, the {} with the largest error are shown.",
            everyone.len(),
            people.len()
        )
    } else {
        String::new()
    };
    let scale = if is_skewed(&shown, &people) {
        " Axes are of square roots, because few contributors are paid far more than all others."
    } else {
        ""
    };
    let caption = format!(
        "Rule {}, exact scores from {}. For each contributor, the upright tick is the payout by \
         exact scores and the mark the payout by a method's scores; the line between them is the \
         error, vermillion where the contributor is paid too little. The percentage above a \
         panel is the share of all tokens that goes to the wrong contributor.{scale}{methods}{cut}",
        scheme.rule, scheme.reference
    );
    let title = format!("{TITLE}: rule {}", scheme.rule);
    Figure::drawn(name, &title, caption, draw(&title, &shown, &people))
}

/// All methods where they are few, else the least mispaying one of each level.
fn chosen<'a, 'b>(scheme: &'b Scheme<'a>) -> Vec<&'b Paid<'a>> {
    if scheme.methods.len() <= MOST_METHODS {
        return scheme.methods.iter().collect();
    }
    let best = |level: AccessLevel| {
        let same = scheme.methods.iter().filter(move |paid| paid.access == level);
        same.min_by_key(|paid| paid.mispaid())
    };
    AccessLevel::ALL.into_iter().filter_map(best).collect()
}

/// Every contributor once, in order of appearance.
fn contributors<'a>(methods: &[&Paid<'a>]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for payout in methods.iter().flat_map(|paid| &paid.payouts) {
        if !names.contains(&payout.contributor.as_str()) {
            names.push(&payout.contributor);
        }
    }
    names
}

/// The contributors to show: the largest errors, listed by their exact payout.
fn listed<'a>(shown: &[&Paid<'a>]) -> Vec<&'a str> {
    let mut people = contributors(shown);
    let of = |person: &str, value: fn(&Payout) -> u64| {
        let payouts = shown.iter().flat_map(|paid| &paid.payouts);
        payouts.filter(|payout| payout.contributor == person).map(|payout| value(payout)).max()
    };
    people.sort_by_key(|person| std::cmp::Reverse(of(person, difference)));
    people.truncate(MOST_CONTRIBUTORS);
    people.sort_by_key(|person| std::cmp::Reverse(of(person, |payout| payout.exact)));
    people
}

/// Larger of exact and estimated payout for each method and person, smallest first.
fn amounts(shown: &[&Paid<'_>], people: &[&str]) -> Vec<u64> {
    let mut amounts: Vec<u64> = shown
        .iter()
        .flat_map(|paid| &paid.payouts)
        .filter(|payout| people.contains(&payout.contributor.as_str()))
        .map(|payout| payout.exact.max(payout.estimated))
        .collect();
    amounts.sort_unstable();
    amounts
}

fn is_skewed(shown: &[&Paid<'_>], people: &[&str]) -> bool {
    let amounts = amounts(shown, people);
    let median = amounts.get(amounts.len() / 2).copied().unwrap_or(0);
    amounts.last().is_some_and(|&largest| largest > median.saturating_mul(SKEWED))
}

fn draw(title: &str, shown: &[&Paid<'_>], people: &[&str]) -> Drawing {
    let style = Type::new(SMALL).anchored(Anchor::End);
    let names: Vec<String> = people.iter().map(|person| style.fitted(person, NAME_WIDTH)).collect();
    let widest = names.iter().map(|name| style.width(name)).fold(0.0, f64::max);
    let left = MARGIN + widest + 12.0;
    let width = left + shown.len() as f64 * (PLOT + BETWEEN) - BETWEEN + MARGIN + 12.0;
    let width = width.max(560.0);
    let mut sheet = Drawing::new(width, 100.0);
    let top = header(&mut sheet, title, shown) + 46.0;
    let bottom = top + people.len() as f64 * ROW + 6.0;
    let mut drawing = Drawing::new(width, bottom + 54.0);
    header(&mut drawing, title, shown);
    for (row, name) in names.iter().enumerate() {
        let y = top + (row as f64 + 0.5) * ROW;
        if row % 2 == 0 {
            let corner = (MARGIN / 2.0, y - ROW / 2.0);
            drawing.rectangle(corner, (width - MARGIN / 2.0, y + ROW / 2.0), palette::BAND);
        }
        drawing.text((left - 10.0, y), name.as_str(), style);
    }
    let largest = amounts(shown, people).last().map_or(0.0, |&amount| amount as f64);
    let skewed = is_skewed(shown, people);
    for (index, paid) in shown.iter().enumerate() {
        let start = left + index as f64 * (PLOT + BETWEEN);
        let (axis, axis_title) = if skewed {
            let axis = Axis::root_from_zero([largest], start, start + PLOT);
            (axis, "tokens (square root)")
        } else {
            (Axis::from_zero([largest], start, start + PLOT), "payout (tokens)")
        };
        horizontal_axis(&mut drawing, &axis, top, bottom, axis_title);
        panel_heading(&mut drawing, paid, start, top);
        draw_people(&mut drawing, paid, people, &axis, top);
    }
    drawing
}

fn header(drawing: &mut Drawing, title: &str, shown: &[&Paid<'_>]) -> f64 {
    let top = heading(drawing, title);
    let mut keys = level_keys(shown.iter().map(|paid| Some(paid.access)));
    keys.insert(0, (Key::Tick(palette::INK), "exact".to_owned()));
    keys.push((Key::Line(palette::ALARM), "paid too little".to_owned()));
    keys.push((Key::Line(palette::MUTED), "paid too much".to_owned()));
    legend(drawing, top, &keys)
}

fn panel_heading(drawing: &mut Drawing, paid: &Paid<'_>, start: f64, top: f64) {
    let bold = Type::new(TEXT).bold();
    drawing.text((start, top - 30.0), bold.fitted(paid.method, PLOT), bold);
    let style = Type::new(SMALL).coloured(palette::MUTED);
    let share = paid.share().map_or("nothing to pay".to_owned(), |share| {
        format!("{} of tokens mispaid", percent(share))
    });
    drawing.text((start, top - 13.0), share, style);
}

fn draw_people(drawing: &mut Drawing, paid: &Paid<'_>, people: &[&str], axis: &Axis, top: f64) {
    for (row, person) in people.iter().enumerate() {
        let y = top + (row as f64 + 0.5) * ROW;
        for payout in paid.payouts.iter().filter(|payout| payout.contributor == *person) {
            let exact = axis.place(payout.exact as f64);
            let estimated = axis.place(payout.estimated as f64);
            let short = payout.estimated < payout.exact;
            let colour = if short { palette::ALARM } else { palette::MUTED };
            drawing.line((exact, y), (estimated, y), 2.5, colour);
            drawing.line((exact, y - 7.0), (exact, y + 7.0), 2.0, palette::INK);
            let level = Some(paid.access);
            drawing.marker(level, (estimated, y), 5.0, palette::colour(level));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mispaid_is_half_of_all_differences() {
        let payout = |contributor: &str, exact, estimated| Payout {
            method: "m".into(),
            access: AccessLevel::BlackBox,
            rule: "r".into(),
            reference: "loo".into(),
            contributor: contributor.into(),
            examples: 1,
            exact,
            estimated,
        };
        let payouts = vec![payout("a", 60, 30), payout("b", 30, 50), payout("c", 10, 20)];
        let record = Record { payouts, ..Record::default() };
        let schemes = schemes(&record);
        // (30 + 20 + 10) / 2 of 100.
        assert_eq!(schemes[0].methods[0].mispaid(), 30);
        assert_eq!(schemes[0].methods[0].share(), Some(0.3));
    }

    #[test]
    fn an_axis_of_roots_is_for_skewed_payouts_and_says_so() {
        let payout = |exact| Payout {
            method: "m".into(),
            access: AccessLevel::BlackBox,
            rule: "r".into(),
            reference: "loo".into(),
            contributor: format!("paid {exact}"),
            examples: 1,
            exact,
            estimated: exact,
        };
        let caption = |amounts: &[u64]| {
            let payouts = amounts.iter().copied().map(payout).collect();
            figures(&Record { payouts, ..Record::default() })[0].caption.clone()
        };
        assert!(caption(&[10, 12, 900]).contains("square roots"));
        assert!(!caption(&[10, 12, 90]).contains("square roots"));
    }

    #[test]
    fn the_largest_errors_are_listed() {
        let payout = |index: u64| Payout {
            method: "m".into(),
            access: AccessLevel::BlackBox,
            rule: "r".into(),
            reference: "loo".into(),
            contributor: format!("c{index}"),
            examples: 1,
            exact: 100,
            estimated: 100 + index,
        };
        let record = Record { payouts: (0..30).map(payout).collect(), ..Record::default() };
        let schemes = schemes(&record);
        let people = listed(&chosen(&schemes[0]));
        assert_eq!(people.len(), MOST_CONTRIBUTORS);
        assert!(people.contains(&"c29") && !people.contains(&"c9"));
    }
}
