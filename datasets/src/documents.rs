//! Documents with contributor, licence and time, before they are cut into windows.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::SourceError;
use crate::idx::read_path;

/// A text and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    pub text: String,
    pub contributor: String,
    pub licence: Option<String>,
    /// A year or a date of ISO 8601: earlier ones sort first.
    pub time: Option<String>,
}

/// What the fields of a line are called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fields {
    /// The text itself.
    pub text: String,
    /// Who contributed it.
    pub contributor: String,
    /// Under which licence; a line may lack it.
    pub licence: String,
    /// When: a year, or a date such as 1861-12-03; a line may lack it.
    pub time: String,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            text: "text".into(),
            contributor: "contributor".into(),
            licence: "licence".into(),
            time: "time".into(),
        }
    }
}

/// Name of the file that tells the licence of a contributor's folder, on its first line.
const LICENCE_FILE: &str = "LICENCE";

/// The user's documents: a folder with a folder of texts for each contributor, or a JSONL file.
pub(crate) fn read(path: &Path, fields: &Fields) -> Result<Vec<Document>, SourceError> {
    let documents = if path.is_dir() {
        read_folder(path)?
    } else {
        parse_lines(&path.display().to_string(), &read_path(path)?, fields)?
    };
    if documents.is_empty() {
        return Err(SourceError::Empty {
            file: path.display().to_string(),
            what: "document",
            hint: "a folder holds a folder of .txt files for each contributor; a JSONL file holds \
                   a document on each line",
        });
    }
    Ok(documents)
}

/// One document a line, as a JSON object; blank lines are passed over.
pub(crate) fn parse_lines(
    file: &str,
    bytes: &[u8],
    fields: &Fields,
) -> Result<Vec<Document>, SourceError> {
    let lines = bytes.split(|&byte| byte == b'\n').zip(1..);
    let lines = lines.filter(|(line, _)| !line.trim_ascii().is_empty());
    lines.map(|(line, number)| parse_line(file, line, number, fields)).collect()
}

fn parse_line(
    file: &str,
    line: &[u8],
    number: u64,
    fields: &Fields,
) -> Result<Document, SourceError> {
    let object: Value = serde_json::from_slice(line).map_err(|source| SourceError::Json {
        file: file.to_owned(),
        line: number,
        column: source.column(),
        reason: source.to_string(),
    })?;
    let unexpected = |column: &str, expected: &str| SourceError::Field {
        file: file.to_owned(),
        line: number,
        column: column.to_owned(),
        found: object.get(column).map_or("nothing".to_owned(), Value::to_string),
        expected: expected.to_owned(),
        hint: "name your fields under `fields: {text: ..., contributor: ..., licence: ..., time: \
               ...}`",
    };
    let word = |column: &str, expected: &str| {
        let found = object.get(column).and_then(Value::as_str).filter(|word| !word.is_empty());
        found.map(str::to_owned).ok_or_else(|| unexpected(column, expected))
    };
    let optional = |column: &str, expected: &str| match object.get(column) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(word)) => Ok(Some(word.clone())),
        Some(Value::Number(number)) if number.is_u64() => Ok(Some(number.to_string())),
        Some(_) => Err(unexpected(column, expected)),
    };
    let text = word(&fields.text, "a text")?;
    if text.contains('\0') {
        return Err(unexpected(&fields.text, "a text without the byte 0"));
    }
    let when = "a year or a date such as 1861-12-03";
    let time = optional(&fields.time, when)?;
    if time.as_deref().is_some_and(|time| !is_time(time)) {
        return Err(unexpected(&fields.time, when));
    }
    Ok(Document {
        text,
        contributor: word(&fields.contributor, "the name of a contributor")?,
        licence: optional(&fields.licence, "the name of a licence")?,
        time,
    })
}

/// Four digits, perhaps with `-` and digits behind them.
pub(crate) fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 4
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && (bytes.len() == 4 || bytes[4] == b'-')
        && bytes[4..].iter().all(|byte| byte.is_ascii_digit() || b"-:TZ+.".contains(byte))
}

fn read_folder(path: &Path) -> Result<Vec<Document>, SourceError> {
    let mut documents = Vec::new();
    for folder in sorted_entries(path)?.into_iter().filter(|entry| entry.is_dir()) {
        let contributor = file_name(&folder);
        let licence = match std::fs::read_to_string(folder.join(LICENCE_FILE)) {
            Ok(text) => text.lines().next().map(|line| line.trim().to_owned()),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => return Err(SourceError::Io { path: folder.join(LICENCE_FILE), source }),
        };
        let texts = sorted_entries(&folder)?;
        for file in texts.into_iter().filter(|file| file.extension() == Some("txt".as_ref())) {
            let text = std::fs::read_to_string(&file)
                .map_err(|source| SourceError::Io { path: file.clone(), source })?;
            if text.is_empty() || text.contains('\0') {
                return Err(SourceError::Empty {
                    file: file.display().to_string(),
                    what: "text without the byte 0",
                    hint: "take the file out, or save it as plain text in UTF-8",
                });
            }
            let (contributor, licence) = (contributor.clone(), licence.clone());
            documents.push(Document { text, contributor, licence, time: time_of_name(&file) });
        }
    }
    Ok(documents)
}

/// `1861-12-03_message.txt` was written on that day, `1861_message.txt` in that year.
fn time_of_name(file: &Path) -> Option<String> {
    let name = file_name(file);
    let stem = name.strip_suffix(".txt")?;
    let time = stem.split_once('_').map_or(stem, |(time, _)| time);
    is_time(time).then(|| time.to_owned())
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned())
}

/// What a folder holds, in order of names: the order of the disk decides nothing.
fn sorted_entries(path: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let failed = |source| SourceError::Io { path: path.to_path_buf(), source };
    let entries = std::fs::read_dir(path).map_err(failed)?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::{Fields, is_time, parse_lines, time_of_name};

    #[test]
    fn times_are_years_and_dates() {
        for time in ["1861", "1861-12", "1861-12-03", "1861-12-03T10:00:00Z"] {
            assert!(is_time(time), "{time}");
        }
        for wrong in ["", "61", "1861x", "12-03-1861", "18611", "in 1861"] {
            assert!(!is_time(wrong), "{wrong}");
        }
        let of_name = |name: &str| time_of_name(std::path::Path::new(name));
        assert_eq!(of_name("a/1861-12-03_message.txt").as_deref(), Some("1861-12-03"));
        assert_eq!(of_name("a/1861.txt").as_deref(), Some("1861"));
        assert_eq!(of_name("a/message_1861.txt"), None);
    }

    #[test]
    fn lines_are_read_with_their_fields() {
        let fields = Fields { time: "year".into(), ..Fields::default() };
        let lines = b"{\"text\": \"a\", \"contributor\": \"b\", \"year\": 1861}\n\n\
                      {\"text\": \"c\", \"contributor\": \"d\", \"licence\": \"CC0\"}\n";
        let found = parse_lines("x", lines, &fields).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].text.as_str(), found[0].time.as_deref()), ("a", Some("1861")));
        assert_eq!(found[1].licence.as_deref(), Some("CC0"));
        assert_eq!((found[0].licence.as_ref(), found[1].time.as_ref()), (None, None));
    }

    #[test]
    fn what_is_wrong_with_a_line_is_told_with_its_number() {
        let refused = |line: &str| {
            let lines = format!("{{\"text\": \"a\", \"contributor\": \"b\"}}\n{line}\n");
            parse_lines("my.jsonl", lines.as_bytes(), &Fields::default()).unwrap_err().to_string()
        };
        let message = refused("{\"text\": \"a\"}");
        assert!(message.starts_with("my.jsonl: line 2, column `contributor`"), "{message}");
        assert!(refused("{\"text\": 7, \"contributor\": \"b\"}").contains("found `7`"));
        assert!(refused("{\"text\": ").starts_with("my.jsonl: line 2, column "));
        let time = refused("{\"text\": \"a\", \"contributor\": \"b\", \"time\": \"soon\"}");
        assert!(time.contains("found `\"soon\"`, expected a year"), "{time}");
        let nought = refused("{\"text\": \"a\\u0000\", \"contributor\": \"b\"}");
        assert!(nought.contains("without the byte 0"), "{nought}");
    }
}
