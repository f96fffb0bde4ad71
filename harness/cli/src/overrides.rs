//! `--set key=value`: changes to an experiment before it is checked.

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

/// The text with every change applied; the text itself where there is none.
///
/// A changed document is handed on as JSON, which is YAML as well.
pub fn apply(text: &str, changes: &[String]) -> Result<String> {
    if changes.is_empty() {
        return Ok(text.to_owned());
    }
    let mut document: Value = serde_saphyr::from_str(text)
        .map_err(|error| anyhow!("cannot apply --set: {}", error.without_snippet()))?;
    for change in changes {
        let (path, value) = change
            .split_once('=')
            .with_context(|| format!("`--set {change}` has no `=`\nhint: write key=value"))?;
        let value: Value = serde_saphyr::from_str(value)
            .map_err(|error| anyhow!("`--set {change}`: {}", error.without_snippet()))?;
        set(&mut document, path, value)?;
    }
    Ok(serde_json::to_string_pretty(&document)?)
}

/// Sets `a.b.2.c`, going through maps by name and through lists by position, from 0.
fn set(document: &mut Value, path: &str, value: Value) -> Result<()> {
    let mut place = document;
    for part in path.split('.') {
        place = match place {
            Value::Object(map) => {
                map.entry(part).or_insert_with(|| Value::Object(Default::default()))
            }
            Value::Array(list) => {
                let length = list.len();
                part.parse::<usize>().ok().and_then(|index| list.get_mut(index)).with_context(
                    || format!("`--set {path}`: `{part}` is no position in a list of {length}"),
                )?
            }
            other => bail!("`--set {path}`: `{part}` is inside {other}, which has no parts"),
        };
    }
    *place = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::apply;

    fn applied(changes: &[&str]) -> Value {
        let text = "a: {b: 1, c: [10, 20]}\nd: x\n";
        let changes: Vec<String> = changes.iter().map(|change| change.to_string()).collect();
        serde_json::from_str(&apply(text, &changes).unwrap()).unwrap()
    }

    #[test]
    fn values_are_changed_and_added() {
        assert_eq!(
            applied(&["a.b=2.5", "a.c.1=[]", "e.f=word"]),
            json!({"a": {"b": 2.5, "c": [10, []]}, "d": "x", "e": {"f": "word"}})
        );
    }

    #[test]
    fn without_changes_the_text_stays_as_it_is() {
        assert_eq!(apply("# a comment\nx: 1\n", &[]).unwrap(), "# a comment\nx: 1\n");
    }

    #[test]
    fn impossible_places_are_named() {
        let refuse =
            |change: &str| apply("a: [1]\nd: x\n", &[change.to_owned()]).unwrap_err().to_string();
        assert!(refuse("a.7=1").contains("`7` is no position in a list of 1"));
        assert!(refuse("d.e=1").contains("has no parts"));
        assert!(refuse("d").contains("has no `=`"));
    }
}
