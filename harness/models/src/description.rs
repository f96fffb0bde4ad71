//! What a description in somebody else's file says of a model.

use serde_json::Value;

/// Refuses a description in which `key` says something else than `known`; absent says `known`.
pub(crate) fn expect(description: &Value, key: &str, known: &Value) -> Result<(), String> {
    match description.get(key) {
        None | Some(Value::Null) => Ok(()),
        Some(found) if found == known => Ok(()),
        Some(found) => Err(format!(
            "`{key}` is {found}, and only {known} is computed here\nhint: models of this form with \
             another `{key}` give other numbers; nothing can be set instead"
        )),
    }
}

/// The number under a key.
pub(crate) fn number(description: &Value, key: &str) -> Option<f64> {
    description.get(key).and_then(Value::as_f64)
}

/// The whole number under a key.
pub(crate) fn count(description: &Value, key: &str) -> Option<usize> {
    description.get(key).and_then(Value::as_u64).map(|count| count as usize)
}

/// What was found under a key, which must be there.
pub(crate) fn required<T>(found: Option<T>, key: &str) -> Result<T, String> {
    found.ok_or_else(|| {
        format!("the description has no `{key}`\nhint: is it of a model of this form?")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{count, expect, required};

    #[test]
    fn what_is_absent_is_as_expected_and_what_is_required_is_named() {
        let description = json!({ "a": 1, "b": null });
        assert_eq!(expect(&description, "a", &json!(1)), Ok(()));
        assert_eq!(expect(&description, "b", &json!(1)), Ok(()));
        assert_eq!(expect(&description, "c", &json!(1)), Ok(()));
        assert!(expect(&description, "a", &json!(2)).unwrap_err().contains("`a` is 1, and only 2"));
        assert_eq!(required(count(&description, "a"), "a"), Ok(1));
        assert!(required(count(&description, "b"), "b").unwrap_err().contains("no `b`"));
    }
}
