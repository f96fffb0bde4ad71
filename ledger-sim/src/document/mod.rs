//! A scenario as it is written: a tree of values, and a reader that checks all of it at once.
//!
//! The tree knows nothing of YAML; whoever parsed it can tell from a [`Fault`]'s path where it
//! stands. Nothing stops at the first fault: a reader notes it, hands out a stand-in and goes on,
//! so that one look tells everything that is wrong.

mod fields;
mod quantity;

pub use fields::{Entry, Fields, Reader};
pub use quantity::{DOLLAR, Money, Quantity, decimal};

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A value of a document. Maps keep the order in which they were written.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// A text, a name or a quantity with its unit.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Values by name.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The value at a path of names and positions, `a.b.2`; the empty path is the whole.
    pub fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').filter(|part| !part.is_empty()).try_fold(self, |node, part| match node {
            Self::Map(entries) => {
                entries.iter().find(|(name, _)| name == part).map(|(_, value)| value)
            }
            Self::List(list) => list.get(part.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// The document with another value at `path`. Maps on the way are made where they are missing;
    /// `None` where a part leads into a list that is too short or into a single value.
    #[must_use]
    pub fn with(mut self, path: &str, value: Self) -> Option<Self> {
        let mut place = &mut self;
        for part in path.split('.') {
            place = match place {
                Self::Null => {
                    *place = Self::Map(vec![(part.to_owned(), Self::Null)]);
                    place.entry(part)?
                }
                Self::Map(entries) => {
                    if !entries.iter().any(|(name, _)| name == part) {
                        entries.push((part.to_owned(), Self::Null));
                    }
                    place.entry(part)?
                }
                Self::List(list) => list.get_mut(part.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        *place = value;
        Some(self)
    }

    fn entry(&mut self, name: &str) -> Option<&mut Self> {
        match self {
            Self::Map(entries) => {
                entries.iter_mut().find(|(known, _)| known == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The value in one line, as it might be written: for labels and canonical hashes.
    pub fn label(&self) -> String {
        match self {
            Self::Null => "none".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
            Self::Text(text) => text.clone(),
            Self::List(list) => {
                let parts: Vec<String> = list.iter().map(Self::label).collect();
                format!("[{}]", parts.join(", "))
            }
            Self::Map(entries) => {
                let part = |(name, value): &(String, Self)| format!("{name}: {}", value.label());
                let mut parts: Vec<String> = entries.iter().map(part).collect();
                parts.sort();
                format!("{{{}}}", parts.join(", "))
            }
        }
    }

    /// What kind of value this is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Integer(_) | Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NodeVisitor;
        impl<'de> Visitor<'de> for NodeVisitor {
            type Value = Node;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a value, a list or a map")
            }
            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }
            fn visit_none<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Integer(value))
            }
            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Node, E> {
                i64::try_from(value)
                    .map(Node::Integer)
                    .map_err(|_| E::custom("a whole number of 2^63 or more"))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
                Ok(Node::Number(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Node, E> {
                Ok(Node::Text(value.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
                let mut nodes = vec![];
                while let Some(node) = list.next_element()? {
                    nodes.push(node);
                }
                Ok(Node::List(nodes))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut entries = vec![];
                while let Some(entry) = map.next_entry::<String, Node>()? {
                    entries.push(entry);
                }
                Ok(Node::Map(entries))
            }
        }
        deserializer.deserialize_any(NodeVisitor)
    }
}

/// One thing that is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Path of names and positions to the value, `fees.platform`.
    pub path: String,
    /// What is wrong, with the value that was found.
    pub message: String,
    /// What was found and what would have been known, for a name that is in no list.
    pub unknown: Option<UnknownName>,
    /// What to do.
    pub hint: String,
}

/// A name that is in no list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    /// What kind of name, `rule`.
    pub kind: String,
    /// The name.
    pub found: String,
    /// Names that are known.
    pub known: Vec<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}; hint: {}", self.path, self.message, self.hint)
    }
}

#[cfg(test)]
mod tests {
    use super::Node;

    fn node(text: &str) -> Node {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn values_are_found_and_replaced_by_path() {
        let document = node(r#"{"a": {"b": [1, {"c": "x"}]}, "d": 2.5}"#);
        assert_eq!(document.at("a.b.1.c"), Some(&Node::Text("x".into())));
        assert_eq!(document.at("a.b.7"), None);
        assert_eq!(document.at("d.e"), None);
        let changed = document.clone().with("a.b.0", Node::Bool(true)).unwrap();
        assert_eq!(changed.at("a.b.0"), Some(&Node::Bool(true)));
        let added = document.clone().with("e.f", Node::Integer(7)).unwrap();
        assert_eq!(added.at("e.f"), Some(&Node::Integer(7)));
        assert_eq!(document.clone().with("d.e", Node::Null), None);
        assert_eq!(document.with("a.b.9", Node::Null), None);
    }

    #[test]
    fn labels_do_not_depend_on_the_order_of_names() {
        assert_eq!(node(r#"{"b": 1, "a": [2, "x"]}"#).label(), "{a: [2, x], b: 1}");
        assert_eq!(node(r#"{"a": [2, "x"], "b": 1}"#).label(), "{a: [2, x], b: 1}");
    }
}
