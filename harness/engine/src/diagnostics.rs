//! What is wrong with a specification, where, and what to do about it.

use std::fmt;

use serde_saphyr::{Location, Spanned};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// Line and column, from 1, where they are known.
    pub place: Option<(u64, u64)>,
    /// What is wrong, with the value found.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Whether nothing else could be read because of it.
    pub is_syntax: bool,
}

fn place_of(location: Location) -> Option<(u64, u64)> {
    (location.line() > 0).then(|| (location.line(), location.column()))
}

impl Diagnostic {
    /// Something at a place of the document.
    pub fn at<T>(spanned: &Spanned<T>, message: impl Into<String>) -> Self {
        Self::at_location(Some(spanned.referenced), message)
    }

    fn at_location(location: Option<Location>, message: impl Into<String>) -> Self {
        // A library's message may bring its own hint on its last line.
        let message: String = message.into();
        let (message, hint) = match message.split_once("\nhint: ") {
            Some((message, hint)) => (message.to_owned(), Some(hint.to_owned())),
            None => (message, None),
        };
        Self { place: location.and_then(place_of), message, hint, is_syntax: false }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The same without line and column, for a document that nobody has seen as it was read.
    #[must_use]
    pub fn without_place(&self) -> Self {
        Self { place: None, ..self.clone() }
    }

    /// A name that is in no registry.
    pub fn unknown<'a>(
        kind: &str,
        name: &Spanned<impl AsRef<str>>,
        known: impl Iterator<Item = &'a str>,
    ) -> Self {
        let found = name.value.as_ref();
        let known: Vec<&str> = known.collect();
        let message = format!("unknown {kind} `{found}` (known: {})", known.join(", "));
        let unknown = Self::at(name, message);
        match nearest(found, &known) {
            Some(nearest) => unknown.hint(format!("did you mean `{nearest}`?")),
            None => unknown,
        }
    }

    /// A section that has to be there.
    pub fn missing(section: &str) -> Self {
        Self::at_location(None, format!("section `{section}` is missing"))
            .hint(format!("add `{section}:`; experiments/smoke.yaml is a short example"))
    }

    /// A section of the wrong shape.
    pub fn of_yaml(section: &str, error: &serde_saphyr::Error) -> Self {
        let message = format!("in `{section}`: {}", message_of(error));
        Self::at_location(error.location(), message)
    }

    /// A document that is no YAML map.
    pub fn of_syntax(error: &serde_saphyr::Error) -> Self {
        Self { is_syntax: true, ..Self::at_location(error.location(), message_of(error)) }
    }
}

/// What the parser says, without the place, which goes before the message.
fn message_of(error: &serde_saphyr::Error) -> String {
    let message = error.without_snippet().to_string();
    let place = error.location().and_then(place_of);
    let place = place.map(|(line, column)| format!(" at line {line}, column {column}"));
    place.and_then(|place| message.strip_suffix(&place).map(str::to_owned)).unwrap_or(message)
}

/// The known name that differs from `found` by the fewest edits, if by at most a third of it.
fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    let closest = known.iter().map(|name| (edits(found, name), *name)).min()?;
    (closest.0 * 3 <= found.chars().count()).then_some(closest.1)
}

/// Levenshtein distance.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, &b) in right.iter().enumerate() {
            let replaced = previous[j] + usize::from(a != b);
            row.push(replaced.min(previous[j + 1] + 1).min(row[j] + 1));
        }
        previous = row;
    }
    previous[right.len()]
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(formatter, "{line}:{column}: ")?;
        }
        formatter.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(formatter, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{edits, nearest};

    #[test]
    fn edit_distance_by_hand() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("same", "same"), 0);
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        let known = ["grad-dot", "grad-cos", "random"];
        assert_eq!(nearest("graddot", &known), Some("grad-dot"));
        assert_eq!(nearest("lissa", &known), None);
    }
}
