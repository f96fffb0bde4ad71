//! Signed notes: a text, and lines below it that say who signs it.
//!
//! # References
//! C2SP `signed-note`; keys as `golang.org/x/mod/sumdb/note` writes them.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer as _};
use thiserror::Error;

use crate::hash::{Digest, digit};

/// Longest note that is read, in bytes.
pub const LONGEST_NOTE: usize = 1 << 20;
/// Most signatures that a note may carry.
pub const MOST_SIGNATURES: usize = 100;
/// Type byte of an Ed25519 key.
const ED25519: u8 = 0x01;
/// What stands before the secret key in its file.
const SECRET_PREFIX: &str = "PRIVATE+KEY+";

/// Why a key or a note was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoteError {
    /// Text that is no key.
    #[error("{reason}\nhint: a public key reads NAME+8 hexadecimal digits+base64, on one line")]
    Key {
        /// What does not fit; never the key itself.
        reason: &'static str,
    },
    /// A name that no key may have.
    #[error("`{found}` is no name for a key\nhint: use letters, digits and `-./`, no space or `+`")]
    Name {
        /// The name.
        found: String,
    },
    /// Text that is no note.
    #[error(
        "this is no signed note: {reason}\nhint: it was altered, or cut off, or is something else"
    )]
    Form {
        /// What does not fit.
        reason: &'static str,
    },
    /// Nobody signed.
    #[error(
        "this note is unsigned: it says what was written, and not by whom\nhint: without `--trust` it can be read"
    )]
    Unsigned,
    /// Nobody who is trusted signed.
    #[error(
        "no trusted key signed this note (signed by {}, trusted: {})\nhint: ask the signer for the public key by another way than the log, and name its file with `--trust`",
        found.join(", "),
        if trusted.is_empty() { "none".to_owned() } else { trusted.join(", ") }
    )]
    Unknown {
        /// Names and key ids under the note.
        found: Vec<String>,
        /// Names and key ids that are trusted.
        trusted: Vec<String>,
    },
    /// The signature of a trusted key is not of this text.
    #[error(
        "the signature of `{name}` is not of this text\nhint: the text or the signature was altered"
    )]
    Forged {
        /// Name of the key.
        name: String,
    },
}

/// A secret key with its name.
#[derive(Clone)]
pub struct SigningKey {
    name: String,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// A new key from the randomness of the operating system.
    ///
    /// # Errors
    /// When the name cannot be used.
    ///
    /// # Panics
    /// When the operating system gives no randomness: a key of anything else would be none.
    pub fn generate(name: &str) -> Result<Self, NoteError> {
        Self::from_seed(name, Digest::random().0)
    }

    /// The key of 32 secret bytes.
    ///
    /// # Errors
    /// When the name cannot be used.
    pub fn from_seed(name: &str, seed: [u8; 32]) -> Result<Self, NoteError> {
        check_name(name)?;
        let key = ed25519_dalek::SigningKey::from_bytes(&seed);
        Ok(Self { name: name.to_owned(), key })
    }

    /// Reads the text of a key file.
    ///
    /// # Errors
    /// [`NoteError::Key`], which does not repeat the secret.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let refuse = |reason| NoteError::Key { reason };
        let line = text.strip_suffix('\n').unwrap_or(text);
        let rest = line.strip_prefix(SECRET_PREFIX).ok_or(refuse("this is no secret key"))?;
        let (name, id, seed) = split_key(rest)?;
        let key = Self::from_seed(name, seed)?;
        if key.public().id != id {
            return Err(refuse("the key does not belong to its digits"));
        }
        Ok(key)
    }

    /// The line that [`Self::parse`] reads. Whoever sees it can sign.
    pub fn to_secret_text(&self) -> String {
        let public = self.public();
        format!("{SECRET_PREFIX}{}", join_key(&self.name, public.id, &self.key.to_bytes()))
    }

    /// The public half.
    pub fn public(&self) -> VerifyingKey {
        VerifyingKey::new(&self.name, self.key.verifying_key())
    }

    /// Signature of bytes.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }

    /// A value that only holders of this key can compute, for `purpose`.
    pub fn derive(&self, purpose: &str) -> Digest {
        Digest::of(
            &[b"attribench derive\n", purpose.as_bytes(), b"\n", &self.key.to_bytes()].concat(),
        )
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey of {}", self.public())
    }
}

/// A public key with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    id: [u8; 4],
    key: ed25519_dalek::VerifyingKey,
}

impl VerifyingKey {
    fn new(name: &str, key: ed25519_dalek::VerifyingKey) -> Self {
        let id = key_id(name, key.as_bytes());
        Self { name: name.to_owned(), id, key }
    }

    /// Name of the key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether `signature` is this key's of `message`.
    ///
    /// Keys of small order and malleable signatures are refused (`verify_strict`).
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }

    /// Name and key id, as messages show them.
    fn label(&self) -> String {
        label(&self.name, self.id)
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&join_key(&self.name, self.id, self.key.as_bytes()))
    }
}

impl FromStr for VerifyingKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let refuse = |reason| NoteError::Key { reason };
        let (name, id, bytes) = split_key(text)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes)
            .map_err(|_| refuse("the key is no point of the curve"))?;
        let key = Self::new(name, key);
        if key.id == id { Ok(key) } else { Err(refuse("the key does not belong to its digits")) }
    }
}

/// Keys that a verifier trusts: one a line, blank lines and lines that begin with `#` left out.
///
/// # Errors
/// When a line is no key, or there is none.
pub fn parse_trusted(text: &str) -> Result<Vec<VerifyingKey>, NoteError> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let keys: Vec<VerifyingKey> =
        lines.filter(|line| !line.starts_with('#')).map(str::parse).collect::<Result<_, _>>()?;
    if keys.is_empty() { Err(NoteError::Key { reason: "there is no key" }) } else { Ok(keys) }
}

/// One signature under a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

/// A text with its signatures, none of which has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// A text that nobody has signed yet.
    ///
    /// # Errors
    /// When the text does not end in a newline or holds control characters.
    pub fn unsigned(text: &str) -> Result<Self, NoteError> {
        let refuse = |reason| NoteError::Form { reason };
        if !text.ends_with('\n') {
            return Err(refuse("the text does not end in a newline"));
        }
        if text.chars().any(|letter| letter.is_control() && letter != '\n') {
            return Err(refuse("the text holds control characters"));
        }
        Ok(Self { text: text.to_owned(), signatures: Vec::new() })
    }

    /// The same text with one more signature.
    #[must_use]
    pub fn signed_by(mut self, key: &SigningKey) -> Self {
        let bytes = key.sign(self.text.as_bytes()).to_vec();
        let VerifyingKey { name, id, .. } = key.public();
        self.signatures.push(NoteSignature { name, id, bytes });
        self
    }

    /// Reads a note.
    ///
    /// # Errors
    /// [`NoteError::Form`] for everything that [`Note`]'s own text form would not be.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let refuse = |reason| NoteError::Form { reason };
        if text.len() > LONGEST_NOTE {
            return Err(refuse("it is longer than a mebibyte"));
        }
        // The last blank line: the text itself may hold blank lines, signatures never do.
        let split = text.rfind("\n\n").ok_or(refuse("no blank line follows the text"))?;
        let (body, lines) = (&text[..split + 1], &text[split + 2..]);
        let mut note = Self::unsigned(body)?;
        if !lines.is_empty() && !lines.ends_with('\n') {
            return Err(refuse("the last line is cut off"));
        }
        for line in lines.split_terminator('\n') {
            if note.signatures.len() == MOST_SIGNATURES {
                return Err(refuse("it has more than 100 signatures"));
            }
            let signature = NoteSignature::parse(line).ok_or(refuse("a signature is malformed"))?;
            note.signatures.push(signature);
        }
        Ok(note)
    }

    /// What was signed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether there is any signature at all.
    pub fn is_signed(&self) -> bool {
        !self.signatures.is_empty()
    }

    /// The text, if a trusted key signed it; the names of those that did.
    ///
    /// Signatures of keys that are not trusted are passed over, as the format asks.
    ///
    /// # Errors
    /// [`NoteError::Forged`] as soon as one signature of a trusted key is wrong,
    /// [`NoteError::Unknown`] and [`NoteError::Unsigned`] where there is none.
    pub fn verify<'a>(&self, trusted: &'a [VerifyingKey]) -> Result<Vec<&'a str>, NoteError> {
        let mut signers = Vec::new();
        for signature in &self.signatures {
            let is_of = |key: &&VerifyingKey| key.id == signature.id && key.name == signature.name;
            let Some(key) = trusted.iter().find(is_of) else { continue };
            let bytes: Option<&[u8; 64]> = signature.bytes.as_slice().try_into().ok();
            if !bytes.is_some_and(|bytes| key.verify(self.text.as_bytes(), bytes)) {
                return Err(NoteError::Forged { name: key.name.clone() });
            }
            signers.push(key.name());
        }
        if !signers.is_empty() {
            return Ok(signers);
        }
        if !self.is_signed() {
            return Err(NoteError::Unsigned);
        }
        Err(NoteError::Unknown {
            found: self.signatures.iter().map(|found| label(&found.name, found.id)).collect(),
            trusted: trusted.iter().map(VerifyingKey::label).collect(),
        })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.text)?;
        for NoteSignature { name, id, bytes } in &self.signatures {
            let blob = STANDARD.encode([&id[..], bytes].concat());
            writeln!(formatter, "\u{2014} {name} {blob}")?;
        }
        Ok(())
    }
}

impl NoteSignature {
    fn parse(line: &str) -> Option<Self> {
        let (name, blob) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        check_name(name).ok()?;
        let blob = STANDARD.decode(blob).ok()?;
        let (id, bytes) = blob.split_first_chunk::<4>()?;
        if bytes.is_empty() {
            return None;
        }
        Some(Self { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
    }
}

fn check_name(name: &str) -> Result<(), NoteError> {
    let usable = |letter: char| !letter.is_whitespace() && !letter.is_control() && letter != '+';
    if !name.is_empty() && name.len() <= 256 && name.chars().all(usable) {
        return Ok(());
    }
    Err(NoteError::Name { found: name.chars().take(80).collect() })
}

/// First four bytes of `H(name || 0x0A || 0x01 || public key)`.
fn key_id(name: &str, public: &[u8; 32]) -> [u8; 4] {
    let digest = Digest::of(&[name.as_bytes(), b"\n", &[ED25519], public].concat());
    digest.0[..4].try_into().expect("a digest has more than four bytes")
}

fn label(name: &str, id: [u8; 4]) -> String {
    format!("{name}+{:08x}", u32::from_be_bytes(id))
}

fn join_key(name: &str, id: [u8; 4], bytes: &[u8; 32]) -> String {
    format!("{}+{}", label(name, id), STANDARD.encode([&[ED25519][..], bytes].concat()))
}

fn split_key(text: &str) -> Result<(&str, [u8; 4], [u8; 32]), NoteError> {
    let refuse = |reason| NoteError::Key { reason };
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(blob)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(refuse("the key does not have three parts"));
    };
    check_name(name)?;
    if id.len() != 8 || !id.bytes().all(|letter| digit(letter).is_some()) {
        return Err(refuse("its second part is not 8 lower-case hexadecimal digits"));
    }
    let id = u32::from_str_radix(id, 16).expect("eight hexadecimal digits").to_be_bytes();
    let blob = (blob.len() == 44).then(|| STANDARD.decode(blob).ok()).flatten();
    match blob.as_deref() {
        Some([ED25519, bytes @ ..]) if bytes.len() == 32 => {
            Ok((name, id, bytes.try_into().expect("the length was checked")))
        }
        _ => Err(refuse("its third part is not an Ed25519 key")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Note, NoteError, SigningKey, VerifyingKey, parse_trusted};

    const KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const SIGNED: &str = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

    #[test]
    fn the_example_of_the_format() {
        let key: VerifyingKey = KEY.parse().unwrap();
        assert_eq!(key.to_string(), KEY);
        let note = Note::parse(SIGNED).unwrap();
        assert_eq!(note.to_string(), SIGNED);
        assert_eq!(note.text(), "This is an example message.\n");
        assert_eq!(note.verify(&[key]).unwrap(), ["example.com/foo"]);
    }

    #[test]
    fn keys_come_back_and_sign() {
        let key = SigningKey::generate("lab.example/run").unwrap();
        let again = SigningKey::parse(&key.to_secret_text()).unwrap();
        assert_eq!(again.public(), key.public());
        let note = Note::unsigned("a\n\nb\n").unwrap().signed_by(&again);
        let read = Note::parse(&note.to_string()).unwrap();
        assert_eq!(read.verify(&[key.public()]).unwrap(), ["lab.example/run"]);
        assert!(!format!("{key:?}").contains("PRIVATE"));
    }

    #[test]
    fn refusals_name_their_reason() {
        let foo: VerifyingKey = KEY.parse().unwrap();
        let other = SigningKey::generate("other").unwrap();
        let note = Note::unsigned("text\n").unwrap();
        assert_eq!(note.verify(&[]), Err(NoteError::Unsigned));
        let unknown = note.clone().signed_by(&other);
        assert!(matches!(
            unknown.verify(std::slice::from_ref(&foo)),
            Err(NoteError::Unknown { .. })
        ));
        // One trusted signature does not make up for a forged one.
        let forged = SIGNED.replace("example message", "exemple message");
        let forged = Note::parse(&forged).unwrap().signed_by(&other);
        let name = "example.com/foo".to_owned();
        assert_eq!(forged.verify(&[other.public(), foo]), Err(NoteError::Forged { name }));
        for bad in ["", "no newline", "text\n", "t\n\n\u{2014} a", "t\n\n- a QUJDREU=\n", "t\r\n\n"]
        {
            assert!(matches!(Note::parse(bad), Err(NoteError::Form { .. })), "{bad:?}");
        }
        for bad in ["", "+1", "a b", "a+b"] {
            assert!(matches!(SigningKey::generate(bad), Err(NoteError::Name { .. })), "{bad:?}");
        }
    }

    #[test]
    fn configurations_hold_keys_and_comments() {
        let keys = parse_trusted(&format!("# of the lab\n\n{KEY}\n")).unwrap();
        assert_eq!(keys[0].to_string(), KEY);
        assert!(parse_trusted("# nothing\n").is_err());
        assert!(parse_trusted(&KEY.replace("530d", "530e")).is_err());
    }
}
