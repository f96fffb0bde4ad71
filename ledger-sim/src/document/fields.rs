//! Reading a document field by field, noting every fault on the way.

use std::cell::RefCell;

use super::quantity::{Money, Quantity};
use super::{Fault, Node, UnknownName};
use crate::money::{Amount, Ppb, Scale};

/// Collects the faults of a document.
#[derive(Debug, Default)]
pub struct Reader {
    faults: RefCell<Vec<Fault>>,
}

impl Reader {
    /// The document's own fields.
    pub fn root<'a>(&'a self, node: &'a Node) -> Fields<'a> {
        let entry = Entry { reader: self, path: String::new(), node };
        entry.fields().unwrap_or_else(|| self.nothing(String::new()))
    }

    /// All faults so far.
    pub fn into_faults(self) -> Vec<Fault> {
        self.faults.into_inner()
    }

    /// Notes a fault at a path.
    pub fn fault(&self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        let fault = Fault {
            path: path.to_owned(),
            message: message.into(),
            unknown: None,
            hint: hint.into(),
        };
        self.faults.borrow_mut().push(fault);
    }

    fn unknown(&self, path: &str, kind: &str, found: &str, known: Vec<String>) {
        let listed = known.join(", ");
        let unknown = UnknownName { kind: kind.into(), found: found.into(), known };
        self.faults.borrow_mut().push(Fault {
            path: path.to_owned(),
            message: format!("unknown {kind} `{found}` (known: {listed})"),
            unknown: Some(unknown),
            hint: "use one of the known names".to_owned(),
        });
    }

    fn nothing(&self, path: String) -> Fields<'_> {
        Fields { reader: self, path, entries: &[], asked: RefCell::default() }
    }
}

/// The named values of a map; what nobody asked for is a fault once it is [closed](Fields::close).
#[derive(Debug)]
pub struct Fields<'a> {
    reader: &'a Reader,
    path: String,
    entries: &'a [(String, Node)],
    asked: RefCell<Vec<&'static str>>,
}

/// One value with the path to it.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    reader: &'a Reader,
    /// Path to the value.
    pub path: String,
    /// The value.
    pub node: &'a Node,
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

impl<'a> Fields<'a> {
    /// The value called `name`, where it is given.
    pub fn find(&self, name: &'static str) -> Option<Entry<'a>> {
        self.asked.borrow_mut().push(name);
        let (_, node) = self.entries.iter().find(|(known, _)| known == name)?;
        if *node == Node::Null {
            return None;
        }
        Some(Entry { reader: self.reader, path: joined(&self.path, name), node })
    }

    /// The value called `name` as `read` understands it, or `default` where it is not given.
    pub fn get<T>(
        &self,
        name: &'static str,
        default: T,
        read: impl FnOnce(&Entry<'a>) -> Option<T>,
    ) -> T {
        match self.find(name) {
            Some(entry) => read(&entry).unwrap_or(default),
            None => default,
        }
    }

    /// As [`Fields::get`], but a value that is not given is a fault; `stand_in` is used until all
    /// faults are told.
    pub fn need<T>(
        &self,
        name: &'static str,
        stand_in: T,
        read: impl FnOnce(&Entry<'a>) -> Option<T>,
    ) -> T {
        match self.find(name) {
            Some(entry) => read(&entry).unwrap_or(stand_in),
            None => {
                self.missing(name);
                stand_in
            }
        }
    }

    /// The map called `name`; an empty one, whose fields all have their defaults, where it is not
    /// given.
    pub fn section(&self, name: &'static str) -> Fields<'a> {
        let path = joined(&self.path, name);
        self.find(name)
            .and_then(|entry| entry.fields())
            .unwrap_or_else(|| self.reader.nothing(path))
    }

    /// Whether `name` is given.
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(known, node)| known == name && *node != Node::Null)
    }

    /// Notes that `name` is not given.
    pub fn missing(&self, name: &str) {
        let path = joined(&self.path, name);
        self.reader.fault(&path, format!("`{name}` is missing"), format!("add `{name}:`"));
    }

    /// Notes a fault of the field `name`.
    pub fn fault(&self, name: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.reader.fault(&joined(&self.path, name), message, hint);
    }

    /// Path to the map.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// All values, by name, in the order in which they are written.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, Entry<'a>)> {
        self.entries.iter().map(|(name, node)| {
            let path = joined(&self.path, name);
            (name.as_str(), Entry { reader: self.reader, path, node })
        })
    }

    /// Notes every value that nobody asked for.
    pub fn close(&self) {
        let asked = self.asked.take();
        for (name, _) in self.entries {
            if !asked.contains(&name.as_str()) {
                let known = asked.iter().map(|name| (*name).to_owned()).collect();
                self.reader.unknown(&joined(&self.path, name), "field", name, known);
            }
        }
    }
}

impl<'a> Entry<'a> {
    /// Notes a fault of this value.
    pub fn fault(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.reader.fault(&self.path, message, hint);
    }

    fn wrong(&self, wanted: &str, example: &str) {
        let found = match self.node {
            Node::List(_) | Node::Map(_) => self.node.kind().to_owned(),
            node => format!("`{}`", node.label()),
        };
        self.fault(format!("expected {wanted}, found {found}"), format!("for example `{example}`"));
    }

    /// The map that this value is.
    pub fn fields(&self) -> Option<Fields<'a>> {
        match self.node {
            Node::Map(entries) => Some(Fields {
                reader: self.reader,
                path: self.path.clone(),
                entries,
                asked: RefCell::default(),
            }),
            Node::Null => Some(self.reader.nothing(self.path.clone())),
            _ => {
                self.wrong("a map", "name: value");
                None
            }
        }
    }

    /// The members of the list that this value is; a single value is a list of one.
    pub fn list(&self) -> Vec<Entry<'a>> {
        match self.node {
            Node::List(list) => (0..)
                .zip(list)
                .map(|(at, node)| Entry {
                    reader: self.reader,
                    path: joined(&self.path, &at.to_string()),
                    node,
                })
                .collect(),
            _ => vec![self.clone()],
        }
    }

    /// `name`, or `name: {fields}`.
    pub fn named(&self) -> Option<(String, Fields<'a>)> {
        match self.node {
            Node::Text(name) => Some((name.clone(), self.reader.nothing(self.path.clone()))),
            Node::Map(entries) if entries.len() == 1 => {
                let (name, node) = &entries[0];
                let path = joined(&self.path, name);
                let inner = Entry { reader: self.reader, path, node };
                inner.fields().map(|fields| (name.clone(), fields))
            }
            _ => {
                self.wrong("a name, or one name with its fields", "name: {field: value}");
                None
            }
        }
    }

    /// A text.
    pub fn text(&self) -> Option<String> {
        match self.node {
            Node::Text(text) => Some(text.clone()),
            _ => {
                self.wrong("a text", "some words");
                None
            }
        }
    }

    /// A whole number within a range.
    pub fn count(&self, low: u64, high: u64) -> Option<u64> {
        let found = match self.node {
            Node::Integer(value) => u64::try_from(*value).ok(),
            Node::Text(text) => Quantity::parse(text)
                .filter(|quantity| quantity.unit.is_empty())
                .and_then(|quantity| super::decimal(&quantity.digits, 1))
                .and_then(Amount::narrow),
            // A sampled point of a range may come as 12.0.
            Node::Number(value)
                if value.fract() == 0.0 && *value >= 0.0 && *value < 2f64.powi(53) =>
            {
                Some(*value as u64)
            }
            _ => None,
        };
        if found.is_none_or(|value| value < low || value > high) {
            let upper = if high == u64::MAX { String::new() } else { format!(" to {high}") };
            let from =
                if upper.is_empty() { format!("{low} or more") } else { format!("{low}{upper}") };
            self.wrong(&format!("a whole number, {from}"), &low.max(1).to_string());
            return None;
        }
        found
    }

    /// A number without a unit within a range.
    pub fn number(&self, low: f64, high: f64) -> Option<f64> {
        let found = match self.node {
            Node::Integer(value) => Some(*value as f64),
            Node::Number(value) => Some(*value),
            Node::Text(text) => Quantity::parse(text)
                .filter(|quantity| quantity.unit.is_empty())
                .map(|quantity| quantity.number()),
            _ => None,
        };
        let found = found.filter(|value| (low..=high).contains(value));
        if found.is_none() {
            let range = match high.is_finite() {
                true => format!("from {low} to {high}"),
                false => format!("{low} or more"),
            };
            self.wrong(
                &format!("a number without a unit, {range}"),
                &low.max(0.5).min(high).to_string(),
            );
        }
        found
    }

    /// The number and unit that this value is.
    fn quantity(&self) -> Option<Quantity> {
        match self.node {
            Node::Integer(_) | Node::Number(_) | Node::Text(_) => {
                Quantity::parse(&self.node.label())
            }
            _ => None,
        }
    }

    /// A share between nothing and the whole, as parts per billion.
    pub fn rate(&self) -> Option<Ppb> {
        let found = self.quantity().and_then(|quantity| quantity.rate());
        if found.is_none() {
            self.wrong("a share from 0 % to 100 % (units %, ppb, none)", "10 %");
        }
        found
    }

    /// A share between nothing and the whole, as a number.
    pub fn share(&self) -> Option<f64> {
        let found = self.quantity().and_then(|quantity| match quantity.unit.as_str() {
            "%" => Some(quantity.number() / 100.0),
            "" => Some(quantity.number()),
            _ => None,
        });
        let found = found.filter(|share| (0.0..=1.0).contains(share));
        if found.is_none() {
            self.wrong("a share from 0 % to 100 % (units %, none)", "10 %");
        }
        found
    }

    /// Money in either currency.
    pub fn money(&self, scale: Scale) -> Option<Money> {
        let found = self.quantity().and_then(|quantity| quantity.money(scale));
        if found.is_none() {
            self.wrong(
                "money, not negative and no finer than its base unit (units tokens, base-units, USD)",
                "10 tokens",
            );
        }
        found
    }

    /// Money in the token.
    pub fn tokens(&self, scale: Scale) -> Option<Amount> {
        match self.quantity().and_then(|quantity| quantity.money(scale)) {
            Some(Money::Tokens(amount)) => Some(amount),
            _ => {
                self.wrong("an amount of the token (units tokens, base-units)", "10 tokens");
                None
            }
        }
    }

    /// Money in dollars, as millionths.
    pub fn dollars(&self) -> Option<Amount> {
        let found = self.quantity().filter(|quantity| quantity.unit == "USD");
        let found = found.and_then(|quantity| super::decimal(&quantity.digits, super::DOLLAR));
        if found.is_none() {
            self.wrong("an amount of dollars (unit USD), at most six decimals", "10 USD");
        }
        found
    }

    /// A time in days.
    pub fn days(&self) -> Option<f64> {
        let found = self.quantity().and_then(|quantity| quantity.days());
        let found = found.filter(|days| *days >= 0.0);
        if found.is_none() {
            self.wrong("a time (units days, weeks, months, years)", "12 months");
        }
        found
    }

    /// A count with the word `unit` behind it, `100 queries`.
    pub fn count_of(&self, unit: &str, low: u64) -> Option<u64> {
        let found = self.quantity().filter(|quantity| quantity.unit == unit);
        let found = found.and_then(|quantity| super::decimal(&quantity.digits, 1));
        let found = found.and_then(Amount::narrow).filter(|count| *count >= low);
        if found.is_none() {
            self.wrong(&format!("a number of {unit}, {low} or more"), &format!("100 {unit}"));
        }
        found
    }

    /// One of some names.
    pub fn choice<T: Copy>(&self, kind: &str, choices: &[(&str, T)]) -> Option<T> {
        let Node::Text(name) = self.node else {
            self.wrong(&format!("the name of a {kind}"), choices[0].0);
            return None;
        };
        self.known(kind, name, choices.iter().map(|(known, _)| *known))?;
        choices.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// Notes a fault unless `name` is one of the known; gives its position.
    pub fn known<'b>(
        &self,
        kind: &str,
        name: &str,
        known: impl Iterator<Item = &'b str>,
    ) -> Option<usize> {
        let known: Vec<String> = known.map(str::to_owned).collect();
        let found = known.iter().position(|other| other == name);
        if found.is_none() {
            self.reader.unknown(&self.path, kind, name, known);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::Reader;
    use crate::document::Node;
    use crate::money::{Amount, Scale};

    #[test]
    fn every_fault_is_told_with_its_path() {
        let text =
            r#"{"a": {"share": "120 %", "cuont": 3}, "fee": "3 euros", "when": 5, "k": "yes"}"#;
        let node: Node = serde_json::from_str(text).unwrap();
        let reader = Reader::default();
        let root = reader.root(&node);
        let a = root.section("a");
        a.get("share", 0.0, |entry| entry.share());
        a.get("count", 1, |entry| entry.count(1, 9));
        a.close();
        let scale = Scale::new(10, 9).unwrap();
        root.need("fee", Amount::ZERO, |entry| entry.tokens(scale));
        root.need("when", 0.0, |entry| entry.days());
        root.need("other", 0.0, |entry| entry.days());
        root.get("k", 0, |entry| entry.choice("kind", &[("no", 0), ("yes", 1)]));
        root.close();
        let faults = reader.into_faults();
        let paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
        assert_eq!(paths, ["a.share", "a.cuont", "fee", "when", "other"]);
        assert!(faults[0].message.contains("found `120 %`"), "{}", faults[0]);
        assert_eq!(faults[1].unknown.as_ref().unwrap().known, ["share", "count"]);
        assert!(faults[3].message.contains("units days, weeks"), "{}", faults[3]);
    }
}
