//! A registry is the files on disk: none forgotten, none invented.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::File;

/// Headings that document a method, in order.
const HEADINGS: [&str; 6] =
    ["# Computes", "# Reads", "# Shapes", "# Differs from the paper", "# Example", "# References"];

/// Headings that document a value of games, in order.
const VALUE_HEADINGS: [&str; 4] = ["# Computes", "# Axioms", "# Costs", "# References"];

/// Where members of a registry live and what their two lines look like; `STEM` stands for the file
/// and `TYPE` for what the mark names.
struct Registry {
    what: &'static str,
    folder: &'static str,
    /// File that holds the registry.
    list: &'static str,
    /// Start of the line, without indentation, that makes a file a member; the word after it is
    /// the type.
    mark: &'static str,
    module: &'static str,
    entry: &'static str,
    /// Start of every entry, by which invented ones are found.
    entry_start: &'static str,
    /// End of every entry.
    entry_end: &'static str,
}

const METHODS: Registry = Registry {
    what: "method",
    folder: "methods/src",
    list: "lib.rs",
    mark: "impl Method for ",
    module: "pub mod STEM;",
    entry: "MethodEntry::of::<TYPE>(),",
    entry_start: "MethodEntry::of::<",
    entry_end: ">(),",
};

const VALUES: Registry = Registry {
    what: "value",
    folder: "methods/src/games",
    list: "mod.rs",
    mark: "impl NamedValuation for ",
    module: "pub mod STEM;",
    entry: "ValuationEntry::of::<TYPE>(),",
    entry_start: "ValuationEntry::of::<",
    entry_end: ">(),",
};

const MODELS: Registry = Registry {
    what: "model",
    folder: "harness/models/src",
    list: "lib.rs",
    mark: "impl ModelSpec for ",
    module: "mod STEM;",
    entry: "entry::<TYPE>(",
    entry_start: "entry::<",
    entry_end: ">(",
};

const DATA_SETS: Registry = Registry {
    what: "data set",
    folder: "datasets/src/sets",
    list: "mod.rs",
    mark: "pub(super) const ENTRY",
    module: "pub(crate) mod STEM;",
    entry: "STEM::ENTRY,",
    entry_start: "",
    entry_end: "::ENTRY,",
};

const RULES: Registry = Registry {
    what: "payout rule",
    folder: "ledger-sim/src/rules",
    list: "mod.rs",
    mark: "pub(super) const ENTRY",
    module: "mod STEM;",
    entry: "STEM::ENTRY,",
    entry_start: "",
    entry_end: "::ENTRY,",
};

const AGENTS: Registry = Registry {
    what: "agent",
    folder: "ledger-sim/src/agents",
    list: "mod.rs",
    mark: "pub(super) const ENTRY",
    module: "mod STEM;",
    entry: "STEM::ENTRY,",
    entry_start: "",
    entry_end: "::ENTRY,",
};

/// Every agent is registered, and every registered agent has a file.
pub fn agents(files: &[File]) -> Vec<String> {
    AGENTS.check(files)
}

/// Every method is registered, and every registered method has a file.
pub fn methods(files: &[File]) -> Vec<String> {
    METHODS.check(files)
}

/// Every value of games is registered, and every registered value has a file.
pub fn values(files: &[File]) -> Vec<String> {
    VALUES.check(files)
}

/// Every model is registered, and every registered model has a file.
pub fn models(files: &[File]) -> Vec<String> {
    MODELS.check(files)
}

/// Every data set is registered, and every registered data set has a file.
pub fn data_sets(files: &[File]) -> Vec<String> {
    DATA_SETS.check(files)
}

/// Every payout rule is registered, and every registered rule has a file.
pub fn rules(files: &[File]) -> Vec<String> {
    RULES.check(files)
}

impl Registry {
    fn check(&self, files: &[File]) -> Vec<String> {
        let list_path = format!("{}/{}", self.folder, self.list);
        let Some(list) = files.iter().find(|file| file.path == list_path) else {
            return vec![format!("{list_path} is missing: it holds the registry")];
        };
        let lines: BTreeSet<&str> = list.text.lines().map(str::trim).collect();
        let in_folder = files.iter().filter(|file| file.is_directly_in(self.folder));
        let members: BTreeMap<&str, &str> = in_folder
            .filter(|file| file.name() != self.list)
            .filter_map(|file| Some((file.stem(), self.type_in(file)?)))
            .collect();
        let mut complaints = Vec::new();
        let mut expected = BTreeSet::new();
        for (stem, type_name) in &members {
            let fill = |form: &str| form.replace("STEM", stem).replace("TYPE", type_name);
            let (module, entry) = (fill(self.module), fill(self.entry));
            let has_entry = lines.iter().any(|line| line.starts_with(&entry));
            for (found, line) in [(lines.contains(module.as_str()), &module), (has_entry, &entry)] {
                if !found {
                    complaints.push(format!(
                        "{what} {folder}/{stem}.rs is not registered: add `{line}` to {list_path}",
                        what = self.what,
                        folder = self.folder,
                    ));
                }
            }
            expected.insert(entry);
        }
        for line in lines {
            let Some(name) = self.name_in_entry(line) else { continue };
            if !expected.iter().any(|entry| line.starts_with(entry.as_str())) {
                complaints.push(format!(
                    "{list_path} registers `{name}`, but no file in {folder} has `{mark}` for it: \
                     write the file, or take the line out",
                    folder = self.folder,
                    mark = self.mark.trim_end(),
                ));
            }
        }
        complaints
    }

    /// The type that a file defines for this registry; empty where the mark names none.
    fn type_in<'a>(&self, file: &'a File) -> Option<&'a str> {
        let rest = file.text.lines().find_map(|line| line.strip_prefix(self.mark))?;
        Some(rest.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default())
    }

    fn name_in_entry<'a>(&self, line: &'a str) -> Option<&'a str> {
        let rest = line.strip_prefix(self.entry_start)?;
        let (name, _) = rest.split_once(self.entry_end)?;
        let is_name = name.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
        (is_name && !name.is_empty()).then_some(name)
    }
}

/// Every method is documented under the same headings, none of them empty.
pub fn method_headings(files: &[File]) -> Vec<String> {
    headings(files, &METHODS, &HEADINGS)
}

/// Every value of games likewise.
pub fn value_headings(files: &[File]) -> Vec<String> {
    headings(files, &VALUES, &VALUE_HEADINGS)
}

fn headings(files: &[File], registry: &Registry, wanted: &[&str]) -> Vec<String> {
    let mut complaints = Vec::new();
    let members = files.iter().filter(|file| file.is_directly_in(registry.folder));
    for file in members.filter(|file| registry.type_in(file).is_some()) {
        let docs: Vec<&str> =
            file.text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
        let found: Vec<&str> = docs.iter().copied().filter(|line| line.starts_with("# ")).collect();
        if found != wanted {
            complaints.push(format!(
                "{}: its documentation has the headings {found:?}: write {wanted:?}",
                file.path
            ));
        }
        for (at, line) in docs.iter().enumerate().filter(|(_, line)| line.starts_with("# ")) {
            if docs.get(at + 1).is_none_or(|next| next.is_empty() || next.starts_with("# ")) {
                complaints.push(format!("{}: `{line}` says nothing: write it", file.path));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::{
        HEADINGS, data_sets, method_headings, methods, models, rules, value_headings, values,
    };
    use crate::tree::File;

    const LIST: &str =
        "pub mod grad_dot;\nstatic R: &[E] = &[\n    MethodEntry::of::<GradDot>(),\n";

    fn methods_with(list: &str, member: &str) -> Vec<String> {
        let files = [
            File::new("methods/src/lib.rs", list),
            File::new("methods/src/grad_dot.rs", member),
            File::new("methods/src/shared.rs", "fn help() {}"),
        ];
        methods(&files)
    }

    #[test]
    fn a_method_needs_its_two_lines_and_its_file() {
        let member = "impl Method for GradDot {\n";
        assert_eq!(methods_with(LIST, member), [""; 0]);
        let missing = methods_with("pub mod grad_dot;\n", member);
        assert_eq!(missing.len(), 1);
        assert!(missing[0].contains("add `MethodEntry::of::<GradDot>(),`"), "{missing:?}");
        assert_eq!(methods_with("", member).len(), 2);
        let invented = methods_with(LIST, "fn help() {}");
        assert!(invented[0].contains("registers `GradDot`"), "{invented:?}");
        assert!(methods(&[])[0].contains("is missing"));
    }

    #[test]
    fn values_are_held_to_the_same() {
        let of = |docs: &str| {
            let text = format!("{docs}\nimpl NamedValuation for Shapley {{\n");
            File::new("methods/src/games/shapley.rs", text)
        };
        let docs = "//! # Computes\n//! A.\n//! # Axioms\n//! B.\n//! # Costs\n//! C.\n//! # References\n//! D.";
        let list = "pub mod shapley;\n    ValuationEntry::of::<Shapley>(),";
        let files =
            |list: &str, docs: &str| [File::new("methods/src/games/mod.rs", list), of(docs)];
        assert_eq!(values(&files(list, docs)), [""; 0]);
        assert_eq!(values(&files("", docs)).len(), 2);
        assert_eq!(value_headings(&files(list, docs)), [""; 0]);
        assert_eq!(value_headings(&files(list, "//! # Computes\n//! A.")).len(), 1);
    }

    #[test]
    fn models_data_sets_and_rules_are_held_to_the_same() {
        let pair = |list: (&str, &str), member: (&str, &str)| {
            [File::new(list.0, list.1), File::new(member.0, member.1)]
        };
        let model = ("harness/models/src/mlp.rs", "impl ModelSpec for Mlp {");
        let list = "mod mlp;\n    entry::<Mlp>(\"mlp\", \"dense layers\"),";
        assert_eq!(models(&pair(("harness/models/src/lib.rs", list), model)), [""; 0]);
        assert_eq!(models(&pair(("harness/models/src/lib.rs", "mod mlp;"), model)).len(), 1);
        let set = ("datasets/src/sets/wine.rs", "pub(super) const ENTRY: Entry = Entry {");
        let list = "pub(crate) mod wine;\n    wine::ENTRY,";
        assert_eq!(data_sets(&pair(("datasets/src/sets/mod.rs", list), set)), [""; 0]);
        assert_eq!(data_sets(&pair(("datasets/src/sets/mod.rs", ""), set)).len(), 2);
        let rule = ("ledger-sim/src/rules/equal.rs", "pub(super) const ENTRY: Entry = Entry {");
        let list = "mod equal;\n    equal::ENTRY,";
        assert_eq!(rules(&pair(("ledger-sim/src/rules/mod.rs", list), rule)), [""; 0]);
        let list = "mod equal;\n    equal::ENTRY,\n    gift::ENTRY,";
        let invented = rules(&pair(("ledger-sim/src/rules/mod.rs", list), rule));
        assert!(invented[0].contains("registers `gift`"), "{invented:?}");
    }

    #[test]
    fn a_missing_or_empty_heading_is_found() {
        let documented = |headings: &[&str]| {
            let sections: String = headings
                .iter()
                .map(|heading| format!("//!\n//! {heading}\n//! Words.\n"))
                .collect();
            let text = format!("//! A method.\n{sections}\nimpl Method for GradDot {{\n");
            method_headings(&[File::new("methods/src/grad_dot.rs", text)])
        };
        assert_eq!(documented(&HEADINGS), [""; 0]);
        for (position, missing) in HEADINGS.iter().enumerate() {
            let mut headings = HEADINGS.to_vec();
            headings.remove(position);
            assert_eq!(documented(&headings).len(), 1, "{missing}");
        }
        let empty = HEADINGS.map(|heading| format!("//! {heading}\n//!\n")).concat();
        let text = format!("{empty}impl Method for GradDot {{\n");
        let complaints = method_headings(&[File::new("methods/src/grad_dot.rs", text)]);
        assert_eq!(complaints.len(), HEADINGS.len());
    }
}
