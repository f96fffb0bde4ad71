//! Croissant descriptions of data sets: contributors and licences, in and out.
//!
//! What other programs know is the data set with its licence and creators; what belongs to each
//! contributor is a record set `contributors` with inline data.
//!
//! # References
//! MLCommons Croissant 1.0; schema.org `Dataset`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use thiserror::Error;

/// Version of the format.
const CONFORMS_TO: &str = "http://mlcommons.org/croissant/1.0";
/// Name of the record set.
const RECORD_SET: &str = "contributors";

/// One contributor of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Name.
    pub contributor: String,
    /// Licence under which it was given.
    pub licence: String,
    /// Number of examples.
    pub examples: u64,
    /// When it was given, in seconds since 1970, where that is known.
    pub time: Option<u64>,
}

/// What is known of a data set besides its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Name of the data set.
    pub name: String,
    /// Its licence as a whole.
    pub licence: String,
    /// Who gave what.
    pub shares: Vec<Share>,
}

/// Why a text is no description that can be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "this is no Croissant description: {reason}\nhint: it needs `name`, `license` and, for shares, a record set `contributors` with `data`"
)]
pub struct CroissantError {
    /// What does not fit.
    pub reason: String,
}

/// The description, as JSON-LD.
pub fn export(card: &Card) -> Value {
    let creators: Vec<Value> = card
        .shares
        .iter()
        .map(|share| json!({"@type": "sc:Organization", "name": share.contributor}))
        .collect();
    let field = |name: &str, kind: &str| {
        json!({
            "@type": "cr:Field",
            "@id": format!("{RECORD_SET}/{name}"),
            "name": name,
            "dataType": kind,
        })
    };
    let data: Vec<Value> = card.shares.iter().map(row).collect();
    json!({
        "@context": {
            "@vocab": "https://schema.org/",
            "sc": "https://schema.org/",
            "cr": "http://mlcommons.org/croissant/",
            "conformsTo": {"@id": "http://purl.org/dc/terms/conformsTo"},
            "recordSet": "cr:recordSet",
            "field": "cr:field",
            "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
            "data": {"@id": "cr:data", "@type": "@json"},
        },
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": card.name,
        "license": card.licence,
        "creator": creators,
        "recordSet": [{
            "@type": "cr:RecordSet",
            "@id": RECORD_SET,
            "name": RECORD_SET,
            "field": [
                field("contributor", "sc:Text"),
                field("licence", "sc:Text"),
                field("examples", "sc:Integer"),
                field("time", "sc:Integer"),
            ],
            "data": data,
        }],
    })
}

fn row(share: &Share) -> Value {
    let column = |name: &str| format!("{RECORD_SET}/{name}");
    let mut row = Map::new();
    row.insert(column("contributor"), share.contributor.clone().into());
    row.insert(column("licence"), share.licence.clone().into());
    row.insert(column("examples"), share.examples.into());
    if let Some(time) = share.time {
        row.insert(column("time"), time.into());
    }
    row.into()
}

/// Reads a description; one that lists no shares gives none.
///
/// # Errors
/// [`CroissantError`] says which part is missing or of another form.
pub fn import(text: &str) -> Result<Card, CroissantError> {
    let refuse = |reason: String| CroissantError { reason };
    let document: Value = serde_json::from_str(text).map_err(|error| refuse(error.to_string()))?;
    let name = text_of(&document, "name")?;
    let licence = text_of(&document, "license")?;
    let sets = document["recordSet"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named = |set: &&Value| set["@id"] == RECORD_SET || set["name"] == RECORD_SET;
    let rows = sets.iter().find(named).and_then(|set| set["data"].as_array());
    let mut seen = BTreeMap::new();
    let mut shares = Vec::new();
    for row in rows.into_iter().flatten() {
        let share = share(row, &licence)?;
        if seen.insert(share.contributor.clone(), ()).is_some() {
            return Err(refuse(format!("contributor {:?} stands there twice", share.contributor)));
        }
        shares.push(share);
    }
    Ok(Card { name, licence, shares })
}

fn share(row: &Value, licence: &str) -> Result<Share, CroissantError> {
    let column = |name: &str| &row[format!("{RECORD_SET}/{name}")];
    let number = |name: &str| match column(name) {
        Value::Null => Ok(None),
        value => value.as_u64().map(Some).ok_or_else(|| CroissantError {
            reason: format!("`{RECORD_SET}/{name}` is {value}, not a whole number"),
        }),
    };
    let contributor = column("contributor").as_str().ok_or_else(|| CroissantError {
        reason: format!("a row of `{RECORD_SET}` has no `{RECORD_SET}/contributor`"),
    })?;
    Ok(Share {
        contributor: contributor.to_owned(),
        // Who states no licence of his own gives under that of the whole.
        licence: column("licence").as_str().unwrap_or(licence).to_owned(),
        examples: number("examples")?.unwrap_or(0),
        time: number("time")?,
    })
}

/// A text, or the first of several, as JSON-LD allows for licences.
fn text_of(document: &Value, name: &str) -> Result<String, CroissantError> {
    let value = match &document[name] {
        Value::Array(several) => several.first().unwrap_or(&Value::Null),
        one => one,
    };
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| CroissantError { reason: format!("`{name}` is missing or no text") })
}

#[cfg(test)]
mod tests {
    use super::{Card, Share, export, import};

    fn card() -> Card {
        let share = |contributor: &str, licence: &str, time| Share {
            contributor: contributor.to_owned(),
            licence: licence.to_owned(),
            examples: 4,
            time,
        };
        Card {
            name: "wine".to_owned(),
            licence: "CC-BY-4.0".to_owned(),
            shares: vec![share("ada", "CC0-1.0", Some(999)), share("bob", "CC-BY-4.0", None)],
        }
    }

    #[test]
    fn descriptions_come_back() {
        assert_eq!(import(&export(&card()).to_string()), Ok(card()));
    }

    #[test]
    fn descriptions_of_others_are_read() {
        let text = r#"{"@type": "sc:Dataset", "name": "x", "license": ["MIT", "other"]}"#;
        let read = import(text).unwrap();
        assert_eq!((read.licence.as_str(), read.shares.len()), ("MIT", 0));
    }

    #[test]
    fn refusals_name_the_part() {
        let refused = |text: &str| import(text).unwrap_err().reason;
        assert!(refused("{}").contains("`name`"));
        assert!(refused("[").contains("EOF"));
        let twice = export(&card()).to_string().replace("bob", "ada");
        assert!(refused(&twice).contains("stands there twice"));
        let odd = export(&card()).to_string().replace("999", "\"soon\"");
        assert!(refused(&odd).contains("not a whole number"));
    }
}
