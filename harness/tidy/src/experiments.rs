//! An experiment is a file with a question, a prediction and conditions.

use serde_json::Value;

use crate::tree::File;

/// Every experiment can be read, bears its file's name and says what it expects.
pub fn experiments(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with("experiments/")) {
        let mut complain = |what: &str| complaints.push(format!("{}: {what}", file.path));
        if !file.has_extension("yaml") {
            complain("experiments end in `.yaml`: rename or move it");
            continue;
        }
        let document: Value = match serde_saphyr::from_str(&file.text) {
            Ok(document) => document,
            Err(error) => {
                complain(&format!("cannot be read: {}", error.without_snippet()));
                continue;
            }
        };
        if document["name"].as_str() != Some(file.stem()) {
            complain(&format!("write `name: {}`, which is the file's name", file.stem()));
        }
        for section in ["question", "prediction"] {
            if document[section].as_str().is_none_or(|text| text.trim().is_empty()) {
                complain(&format!("`{section}:` is missing: write it before anything runs"));
            }
        }
        if document["expect"].as_array().is_none_or(Vec::is_empty) {
            complain("`expect:` is missing: name a condition that the result could fail");
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::experiments;
    use crate::tree::File;

    const GOOD: &str = "name: a\nquestion: Why?\nprediction: So.\nexpect:\n  - lds(x) > 0\n";

    fn check(text: &str) -> Vec<String> {
        experiments(&[File::new("experiments/a.yaml", text)])
    }

    #[test]
    fn an_experiment_says_what_it_asks_and_expects() {
        assert_eq!(check(GOOD), [""; 0]);
        for (section, broken) in [
            ("name: a", "name: b"),
            ("question: Why?", "question: ''"),
            ("prediction: So.\n", ""),
            ("expect:\n  - lds(x) > 0", "expect: []"),
        ] {
            let text = GOOD.replace(section, broken);
            assert_ne!(text, GOOD);
            assert_eq!(check(&text).len(), 1, "{text}");
        }
    }

    #[test]
    fn what_is_no_yaml_is_named() {
        assert!(check("name: [a")[0].contains("cannot be read"));
        let stray = experiments(&[File::new("experiments/a.yml", GOOD)]);
        assert!(stray[0].contains(".yaml"));
    }
}
