//! SHA-256 digests and the two hashes of an RFC 9162 tree; and the digests of states.

use std::{fmt, io, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest; 64 lower-case hexadecimal digits as text.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Digest of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Digest of all that a reader gives, in bounded memory.
    ///
    /// # Errors
    /// When the reader fails.
    pub fn of_reader(mut reader: impl io::Read) -> io::Result<Self> {
        let mut hash = Sha256::new();
        let mut block = vec![0; 1 << 16];
        loop {
            match reader.read(&mut block)? {
                0 => return Ok(Self(hash.finalize().into())),
                read => hash.update(&block[..read]),
            }
        }
    }

    /// Digest of nothing that anybody could know beforehand.
    ///
    /// # Panics
    /// When the operating system gives no randomness.
    pub fn random() -> Self {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the operating system gives randomness");
        Self(bytes)
    }

    /// The bytes in base64, as proofs and checkpoints write them.
    pub fn to_base64(self) -> String {
        STANDARD.encode(self.0)
    }

    /// From base64 in its one canonical form; `None` for anything else.
    pub fn from_base64(text: &str) -> Option<Self> {
        // Longer text cannot be a digest, and decoding it would cost memory.
        let bytes = (text.len() == 44).then(|| STANDARD.decode(text).ok())??;
        Some(Self(bytes.try_into().ok()?))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(std::str::from_utf8(&hex(&self.0)).expect("digits are ASCII"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

/// Value of a lower-case hexadecimal digit.
pub(crate) fn digit(letter: u8) -> Option<u8> {
    match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    }
}

/// Text that is not 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} is no digest\n\
     hint: a digest has 64 lower-case hexadecimal digits, that of a state behind `blake3:`"
)]
pub struct NoDigest {
    /// At most 80 characters of what was found.
    pub found: String,
}

impl FromStr for Digest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let refuse = || NoDigest { found: text.chars().take(80).collect() };
        if text.len() != 64 {
            return Err(refuse());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let (high, low) = (digit(pair[0]), digit(pair[1]));
            *byte = high.zip(low).map(|(high, low)| high << 4 | low).ok_or_else(refuse)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&hex(&self.0)).expect("digits are ASCII"))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What the text of a state's digest begins with: which hash it is.
const STATE_HASH: &str = "blake3:";

/// Digest of a state of a run; `blake3:` and 64 lower-case hexadecimal digits as text.
///
/// States are hashed at every step, and BLAKE3 reads several blocks at a time where SHA-256 must
/// read one after the other: it is three to four times as fast, at the same strength.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct StateDigest([u8; 32]);

impl StateDigest {
    /// Digest of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).into())
    }

    /// The hexadecimal digits, without the name of the hash.
    pub fn digits(self) -> String {
        Digest(self.0).to_string()
    }
}

impl fmt::Display for StateDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{STATE_HASH}{}", Digest(self.0))
    }
}

impl fmt::Debug for StateDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for StateDigest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let refuse = || NoDigest { found: text.chars().take(80).collect() };
        let digits = text.strip_prefix(STATE_HASH).ok_or_else(refuse)?;
        digits.parse().map(|Digest(bytes)| Self(bytes))
    }
}

impl Serialize for StateDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StateDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Hash of a leaf: `H(0x00 || entry)`.
pub fn leaf_hash(entry: &[u8]) -> Digest {
    Digest(Sha256::new().chain_update([0]).chain_update(entry).finalize().into())
}

/// Hash of an inner node: `H(0x01 || left || right)`.
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    Digest(
        Sha256::new()
            .chain_update([1])
            .chain_update(left.0)
            .chain_update(right.0)
            .finalize()
            .into(),
    )
}

/// Root of the tree without entries: `H("")`.
pub fn empty_root() -> Digest {
    Digest::of(b"")
}

/// Root of a tree over leaf hashes that are all at hand.
pub fn root_of(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            // The left part is the largest full tree that is not the whole.
            let left = leaves.len().next_power_of_two() / 2;
            node_hash(&root_of(&leaves[..left]), &root_of(&leaves[left..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Digest, StateDigest, empty_root, leaf_hash, root_of};

    #[test]
    fn roots_of_the_certificate_transparency_vectors() {
        let inputs: [&[u8]; 8] = [
            b"",
            &[0x00],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            b"`abcdefghijklmno",
        ];
        let leaves = inputs.map(leaf_hash);
        let roots = [0, 7, 8].map(|size| root_of(&leaves[..size]).to_string());
        assert_eq!(roots[0], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(roots[1], "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c");
        assert_eq!(roots[2], "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
    }

    #[test]
    fn states_are_hashed_as_the_authors_of_the_hash_say() {
        // Test vectors of BLAKE3: inputs of 0 and 1,025 bytes that count from 0 to 250 in turns.
        let input: Vec<u8> = (0..1025u32).map(|index| (index % 251) as u8).collect();
        let empty = "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        let longer = "blake3:d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444";
        assert_eq!(StateDigest::of(b"").to_string(), empty);
        assert_eq!(StateDigest::of(&input).to_string(), longer);
        assert_eq!(longer.parse(), Ok(StateDigest::of(&input)));
        // Without its name it may be any digest.
        assert!(longer["blake3:".len()..].parse::<StateDigest>().is_err());
        assert!(longer.replace("blake3", "sha256").parse::<StateDigest>().is_err());
    }

    #[test]
    fn text_forms_are_exact() {
        let root = empty_root();
        assert_eq!(root.to_string().parse(), Ok(root));
        assert_eq!(Digest::from_base64(&root.to_base64()), Some(root));
        // Upper case, one digit less, bits after the last byte: other text for the same bytes.
        assert!(root.to_string().to_uppercase().parse::<Digest>().is_err());
        assert!(root.to_string()[1..].parse::<Digest>().is_err());
        assert_eq!(root.to_base64(), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(Digest::from_base64("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV="), None);
    }
}
