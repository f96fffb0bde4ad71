//! Parameters of a rule as they come from a file, and the reader that checks them.

use std::collections::BTreeMap;

use crate::money::{Amount, LARGEST_SUPPLY};
use crate::refusal::Refusal;

/// One parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A count, an amount or a rate in parts per billion.
    Integer(u128),
    /// A pure number or a number in score units.
    Number(f64),
    /// The name of a choice.
    Text(String),
}

/// Parameters by name.
pub type Parameters = BTreeMap<String, Value>;

/// Hands parameters out by name and refuses what nobody asked for.
#[derive(Debug)]
pub struct Reader<'a> {
    left: BTreeMap<&'a str, &'a Value>,
}

impl<'a> Reader<'a> {
    /// A reader of `parameters`.
    pub fn new(parameters: &'a Parameters) -> Self {
        Self { left: parameters.iter().map(|(name, value)| (name.as_str(), value)).collect() }
    }

    /// The integer called `name` within `range`, or `default` when it is not given.
    ///
    /// # Errors
    /// [`Refusal::ParamOutOfRange`] for another kind of value or one out of range.
    pub fn integer(
        &mut self,
        name: &str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<u64, Refusal> {
        match self.left.remove(name) {
            None => Ok(default),
            Some(Value::Integer(value)) => {
                let value = u64::try_from(*value).ok().filter(|value| range.contains(value));
                value.ok_or_else(|| Refusal::parameter(name))
            }
            Some(_) => Err(Refusal::parameter(name)),
        }
    }

    /// The amount called `name` in base units, or `default`.
    ///
    /// # Errors
    /// [`Refusal::ParamOutOfRange`] for another kind of value or one that no supply reaches.
    pub fn amount(&mut self, name: &str, default: Amount) -> Result<Amount, Refusal> {
        match self.left.remove(name) {
            None => Ok(default),
            Some(Value::Integer(value)) if *value < LARGEST_SUPPLY => Ok(Amount::new(*value)),
            Some(_) => Err(Refusal::parameter(name)),
        }
    }

    /// The finite number called `name` (an integer will do) that `accept` admits, or `default`.
    ///
    /// # Errors
    /// [`Refusal::ParamOutOfRange`] for another kind of value or one that is not admitted.
    pub fn number(
        &mut self,
        name: &str,
        default: f64,
        accept: impl Fn(f64) -> bool,
    ) -> Result<f64, Refusal> {
        let value = match self.left.remove(name) {
            None => return Ok(default),
            Some(Value::Integer(value)) => *value as f64,
            Some(Value::Number(value)) => *value,
            Some(Value::Text(_)) => return Err(Refusal::parameter(name)),
        };
        if value.is_finite() && accept(value) {
            return Ok(value);
        }
        Err(Refusal::parameter(name))
    }

    /// The choice called `name` among named `choices`; the first is the default.
    ///
    /// # Errors
    /// [`Refusal::ParamOutOfRange`] for anything that is not one of the names.
    pub fn choice<T: Copy>(
        &mut self,
        name: &str,
        choices: &[(&'static str, T)],
    ) -> Result<T, Refusal> {
        let refusal = || Refusal::parameter(name);
        let found = match self.left.remove(name) {
            None => choices.first(),
            Some(Value::Text(text)) => choices.iter().find(|(label, _)| label == text),
            Some(_) => None,
        };
        found.map(|(_, value)| *value).ok_or_else(refusal)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`Refusal::ParamOutOfRange`] with the first name that was not asked for.
    pub fn finish(self) -> Result<(), Refusal> {
        match self.left.keys().next() {
            Some(name) => Err(Refusal::parameter(name)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> Parameters {
        let values = [
            ("count", Value::Integer(3)),
            ("rate", Value::Number(0.5)),
            ("kind", Value::Text("burn".to_owned())),
            ("bad", Value::Number(-1.0)),
        ];
        values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    #[test]
    fn kinds_ranges_and_leftovers() {
        let parameters = parameters();
        let mut reader = Reader::new(&parameters);
        assert_eq!(reader.integer("absent", 7, 0..=9), Ok(7));
        assert_eq!(reader.integer("count", 7, 0..=9), Ok(3));
        assert_eq!(reader.number("rate", 1.0, |x| x > 0.0), Ok(0.5));
        assert_eq!(reader.choice("kind", &[("carry", 0), ("burn", 1)]), Ok(1));
        assert_eq!(reader.choice("other", &[("carry", 0), ("burn", 1)]), Ok(0));
        assert_eq!(reader.finish(), Err(Refusal::parameter("bad")));
    }

    #[test]
    fn what_is_not_admitted_is_refused() {
        let parameters = parameters();
        let read = |check: &dyn Fn(&mut Reader<'_>) -> Option<Refusal>| {
            check(&mut Reader::new(&parameters))
        };
        let count = Some(Refusal::parameter("count"));
        assert_eq!(read(&|r| r.integer("count", 7, 4..=9).err()), count);
        assert_eq!(read(&|r| r.number("count", 7.0, |x| x > 3.0).err()), count);
        assert_eq!(read(&|r| r.choice("count", &[("a", 0)]).err()), count);
        let kind = Some(Refusal::parameter("kind"));
        assert_eq!(read(&|r| r.number("kind", 7.0, |_| true).err()), kind);
        assert_eq!(read(&|r| r.choice("kind", &[("a", 0)]).err()), kind);
        assert_eq!(read(&|r| r.integer("bad", 0, 0..=9).err()), Some(Refusal::parameter("bad")));
    }
}
