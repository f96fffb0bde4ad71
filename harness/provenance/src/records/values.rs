//! What fields of records hold, each with one text form.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Value, json};

use crate::hash::{Digest, StateDigest, digit};

/// A type that a JSON Schema describes.
pub trait Shape {
    /// Its schema.
    fn schema() -> Value;
}

/// A number of things, or seconds since 1970: decimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(pub u64);

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Twenty digits hold every number of 64 bits; no step of a run waits for memory here.
        let mut text = [0; 20];
        let (mut start, mut rest) = (text.len(), self.0);
        loop {
            start -= 1;
            text[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        serializer.serialize_str(std::str::from_utf8(&text[start..]).expect("digits are ASCII"))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = text.parse().map_err(|_| de::Error::custom("expected decimal digits"))?;
        // Canonical bytes are compared after reading, so that `+1` and `01` need no words here.
        Ok(Self(number))
    }
}

impl Shape for Count {
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^(0|[1-9][0-9]*)$"})
    }
}

/// A real number by its bits: 16 hexadecimal digits of the big-endian IEEE 754 form.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Bits(pub f64);

impl Serialize for Bits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = [0; 16];
        for (place, letter) in text.iter_mut().enumerate() {
            let nibble = (self.0.to_bits() >> (60 - 4 * place)) & 15;
            *letter = b"0123456789abcdef"[nibble as usize];
        }
        serializer.serialize_str(std::str::from_utf8(&text).expect("digits are ASCII"))
    }
}

impl<'de> Deserialize<'de> for Bits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let refuse = || de::Error::custom("expected 16 lower-case hexadecimal digits");
        if text.len() != 16 {
            return Err(refuse());
        }
        let push = |bits: u64, letter| Some(bits << 4 | u64::from(digit(letter)?));
        let bits = text.bytes().try_fold(0, push).ok_or_else(refuse)?;
        Ok(Self(f64::from_bits(bits)))
    }
}

impl Shape for Bits {
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[0-9a-f]{16}$"})
    }
}

impl Shape for Digest {
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[0-9a-f]{64}$"})
    }
}

impl Shape for StateDigest {
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^blake3:[0-9a-f]{64}$"})
    }
}

impl Shape for String {
    fn schema() -> Value {
        json!({"type": "string"})
    }
}

impl<T: Shape> Shape for Vec<T> {
    fn schema() -> Value {
        json!({"type": "array", "items": T::schema()})
    }
}

impl Shape for BTreeMap<String, String> {
    fn schema() -> Value {
        json!({"type": "object", "additionalProperties": {"type": "string"}})
    }
}

/// Values of a column that stand in the record as long as they fit, and outside of it otherwise,
/// by the digest of what would have stood there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Column<T> {
    /// All of them.
    Values(Vec<T>),
    /// Digest of their JSON text.
    Digest(Digest),
}

impl<T: Serialize> Column<T> {
    /// Values that stand in a record at the most: with 19 bytes each they leave room for the rest.
    pub const MOST_VALUES: usize = 1024;

    /// The column of `values`.
    ///
    /// # Panics
    /// Never: values are plain data.
    pub fn of(values: Vec<T>) -> Self {
        if values.len() <= Self::MOST_VALUES {
            return Self::Values(values);
        }
        Self::Digest(Digest::of(&serde_json::to_vec(&values).expect("values are plain data")))
    }
}

impl<T: Shape> Shape for Column<T> {
    fn schema() -> Value {
        json!({"oneOf": [Vec::<T>::schema(), Digest::schema()]})
    }
}

/// A record that says of itself what it is.
pub trait Kinded {
    /// Its kind with its version, for instance `step/v2`.
    const KIND: &'static str;
}

/// The field `kind` of the record `R`, which has one value.
pub struct Kind<R>(PhantomData<R>);

impl<R> Default for Kind<R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<R> Clone for Kind<R> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<R> PartialEq for Kind<R> {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl<R: Kinded> fmt::Debug for Kind<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(R::KIND)
    }
}

impl<R: Kinded> Serialize for Kind<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(R::KIND)
    }
}

impl<'de, R: Kinded> Deserialize<'de> for Kind<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = String::deserialize(deserializer)?;
        if found == R::KIND {
            return Ok(Self::default());
        }
        Err(de::Error::custom(format!("found a record of kind {found:?}, not `{}`", R::KIND)))
    }
}

impl<R: Kinded> Shape for Kind<R> {
    fn schema() -> Value {
        json!({"const": R::KIND})
    }
}
