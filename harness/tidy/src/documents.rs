//! What the documents tell readers to do, or to look at, exists.

use std::collections::BTreeSet;

use crate::crates::Package;
use crate::tree::File;

/// The two commands that the whole front page rests on.
const FRONT_PAGE: [&str; 2] = ["cargo install --locked just && just experiment", "just test"];

/// First parts of paths that documents are held to.
const FOLDERS: &[&str] = &[
    "bench-peers/",
    "datasets/",
    "experiments/",
    "harness/",
    "ledger-sim/",
    "methods/",
    "reports/",
    ".ci/",
];

/// `README.md` gives the two commands, each on a line of its own.
pub fn front_page(files: &[File]) -> Vec<String> {
    let Some(readme) = files.iter().find(|file| file.path == "README.md") else {
        return vec!["README.md is missing: write it".to_owned()];
    };
    let absent = |command: &&&str| !readme.text.lines().any(|line| line.trim() == **command);
    let complain = |command: &&str| format!("README.md: write `{command}` on a line of its own");
    FRONT_PAGE.iter().filter(absent).map(complain).collect()
}

/// Every `just` command of the documents and of `.ci/run` is a recipe, and every experiment that
/// one names is a file.
pub fn commands(files: &[File]) -> Vec<String> {
    let text_of = |path: &str| files.iter().find(|file| file.path == path).map(|file| &file.text);
    let Some(justfile) = text_of("justfile") else {
        return vec!["justfile is missing: it holds the commands of the documents".to_owned()];
    };
    let recipes = recipes(justfile);
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| is_document(file) || file.path == ".ci/run") {
        let whole = file.path == ".ci/run";
        let code = if whole { vec![file.text.clone()] } else { code_in(&file.text) };
        for words in code.iter().flat_map(|code| just_commands(code)) {
            let recipe = words[0].as_str();
            if !recipes.contains(recipe) {
                complaints.push(format!(
                    "{}: `just {recipe}` is no recipe of the justfile: write one that is",
                    file.path
                ));
            }
            let name = words.get(1).map(String::as_str).filter(|_| recipe == "experiment");
            let is_named = |name: &&str| name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            if let Some(name) = name.filter(is_named).filter(|name| !name.starts_with('-'))
                && text_of(&format!("experiments/{name}.yaml")).is_none()
            {
                complaints.push(format!(
                    "{}: `just experiment {name}` has no experiments/{name}.yaml: add it, or name \
                     one that is there",
                    file.path
                ));
            }
        }
    }
    complaints
}

/// Every path in the documents' code that begins with a folder of this checkout leads somewhere.
pub fn paths(files: &[File]) -> Vec<String> {
    let leads_somewhere = |path: &str| {
        let folder = format!("{}/", path.trim_end_matches('/'));
        files.iter().any(|file| file.path == path || file.path.starts_with(&folder))
    };
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| is_document(file)) {
        for word in code_in(&file.text).iter().flat_map(|code| code.split_whitespace()) {
            let word = word.trim_matches(|letter: char| ",:;()".contains(letter));
            let is_path = FOLDERS.iter().any(|folder| word.starts_with(folder));
            // Capitals, brackets and stars stand for what the reader fills in.
            let is_form = word.contains(|c: char| "<>*{}[]".contains(c)) || word.contains("NAME");
            if is_path && !is_form && !leads_somewhere(word) {
                complaints.push(format!("{}: `{word}` is not there: mend the path", file.path));
            }
        }
    }
    complaints
}

/// `THIRD-PARTY.md` has a row for every package that a manifest names, and for no other.
pub fn third_parties(files: &[File], packages: &[Package]) -> Vec<String> {
    let Some(notices) = files.iter().find(|file| file.path == "THIRD-PARTY.md") else {
        return vec!["THIRD-PARTY.md is missing: list the packages with their licences".to_owned()];
    };
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let named: BTreeSet<&str> = packages
        .iter()
        .flat_map(|package| &package.dependencies)
        .map(|dependency| dependency.name.as_str())
        .filter(|name| !ours.contains(name))
        .collect();
    let in_row = |line: &'_ str| {
        let rest = line.strip_prefix("| `")?;
        rest.split_once('`').map(|(name, _)| name.to_owned())
    };
    let listed: BTreeSet<String> = notices.text.lines().filter_map(in_row).collect();
    let missing = named
        .iter()
        .filter(|name| !listed.contains(**name))
        .map(|name| format!("THIRD-PARTY.md: add a row for `{name}` with its licence"));
    let left = listed
        .iter()
        .filter(|name| !named.contains(name.as_str()))
        .map(|name| format!("THIRD-PARTY.md: no crate names `{name}` any more: take its row out"));
    missing.chain(left).collect()
}

fn is_document(file: &File) -> bool {
    file.has_extension("md") && !file.path.contains('/')
}

/// Names of the recipes: words at the start of lines that hold a colon and assign nothing.
fn recipes(justfile: &str) -> BTreeSet<&str> {
    let is_letter = |letter: char| letter.is_ascii_lowercase() || letter == '-';
    let heads = justfile.lines().filter(|line| line.contains(':') && !line.contains(":="));
    let name = |line: &'_ str| line.find(|letter: char| !is_letter(letter)).filter(|&end| end > 0);
    heads.filter_map(|line| Some(&line[..name(line)?])).collect()
}

/// Blocks between fences and words between backticks.
fn code_in(markdown: &str) -> Vec<String> {
    let mut code = Vec::new();
    for (index, part) in markdown.split("```").enumerate() {
        if index % 2 == 1 {
            // The word after the fence is a language.
            code.push(part.split_once('\n').map_or(part, |(_, block)| block).to_owned());
        } else {
            code.extend(part.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    code
}

/// Words after each `just` that begins a command: its recipe and arguments.
fn just_commands(code: &str) -> Vec<Vec<String>> {
    let commands = code.lines().flat_map(|line| line.split("&&"));
    let bare = commands.map(|command| command.split('#').next().unwrap_or_default().trim());
    let after_just = |command: &'_ str| {
        let rest = command.rsplit_once("just ").filter(|(before, _)| {
            before.is_empty() || before.ends_with("stage ") || before.ends_with("time ")
        })?;
        let words: Vec<String> = rest.1.split_whitespace().map(str::to_owned).collect();
        words.first().is_some_and(|recipe| !recipe.starts_with('-')).then_some(words)
    };
    bare.filter_map(after_just).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{code_in, commands, front_page, just_commands, paths, recipes, third_parties};
    use crate::crates::parse;
    use crate::tree::File;

    const JUSTFILE: &str = "set positional-arguments\n\n# A comment: with a colon.\n\
                            experiment name=\"a\" *options:\n    cargo run\n\ntest-slow:\n";

    fn checkout(readme: &str) -> [File; 3] {
        [
            File::new("README.md", readme),
            File::new("justfile", JUSTFILE),
            File::new("experiments/smoke.yaml", ""),
        ]
    }

    #[test]
    fn recipes_and_code_are_read() {
        assert_eq!(recipes(JUSTFILE).into_iter().collect::<Vec<_>>(), ["experiment", "test-slow"]);
        assert_eq!(code_in("a `b c` d\n```sh\ne\n```\nf `g`"), ["b c", "e\n", "g"]);
        assert_eq!(just_commands("cargo install just && just x y # z"), [["x", "y"]]);
        assert_eq!(just_commands("stage just test"), [["test"]]);
        assert!(just_commands("echo it is just so").is_empty());
        assert!(just_commands("just --version").is_empty());
    }

    #[test]
    fn the_front_page_gives_the_two_commands() {
        let good = "```sh\ncargo install --locked just && just experiment\njust test\n```\n";
        assert_eq!(front_page(&checkout(good)), [""; 0]);
        assert_eq!(front_page(&checkout("run `just test`")).len(), 2);
        assert_eq!(front_page(&[]).len(), 1);
    }

    #[test]
    fn a_command_that_is_no_recipe_is_found() {
        assert_eq!(commands(&checkout("`just experiment smoke --set a=1`")), [""; 0]);
        assert_eq!(commands(&checkout("`just experiment NAME`, just so")), [""; 0]);
        assert!(commands(&checkout("`just fly`"))[0].contains("no recipe"));
        assert!(commands(&checkout("```\njust experiment gone\n```"))[0].contains("gone.yaml"));
        assert!(commands(&[])[0].contains("justfile is missing"));
    }

    #[test]
    fn a_path_that_leads_nowhere_is_found() {
        assert_eq!(paths(&checkout("`experiments/smoke.yaml`, `experiments/`")), [""; 0]);
        assert_eq!(paths(&checkout("`methods/src/NAME.rs` and `runs/smoke`")), [""; 0]);
        assert!(paths(&checkout("see `methods/src/gone.rs`"))[0].contains("gone.rs"));
    }

    #[test]
    fn packages_and_notices_are_the_same_list() {
        let dependencies =
            [json!({"name": "faer", "kind": null}), json!({"name": "a", "kind": null})];
        let package = json!({"name": "a", "dependencies": dependencies, "targets": []});
        let packages = parse(&json!({"packages": [package]}));
        let check = |text: &str| third_parties(&[File::new("THIRD-PARTY.md", text)], &packages);
        assert_eq!(check("| `faer` | MIT |\n"), [""; 0]);
        assert!(check("")[0].contains("add a row for `faer`"));
        assert!(check("| `faer` | MIT |\n| `gone` | MIT |\n")[0].contains("`gone`"));
        assert!(third_parties(&[], &packages)[0].contains("is missing"));
    }
}
