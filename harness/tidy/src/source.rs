//! Laws about lines of source.

use crate::tree::File;

/// Most lines of a file that people write.
const MOST_LINES: usize = 900;
/// Most columns of a line of Rust.
const MOST_COLUMNS: usize = 100;

/// Marks of unfinished work, with what to do instead. Each is split here, or it would find itself.
const UNFINISHED: &[(&str, &str)] = &[
    (concat!("tod", "o!("), "write the code, or an error that says what is missing"),
    (concat!("unimpl", "emented!("), "write the code, or an error that says what is missing"),
    (concat!("db", "g!("), "take it out, or return what it shows"),
    (concat!("#[ign", "ore"), "name the file `tests/slow_NAME.rs`; `just test-slow` runs those"),
    (concat!("FIX", "ME"), "fix it, or write down as a limit what cannot be done"),
    (concat!("TO", "DO"), "do it, or write down as a limit what cannot be done"),
];

/// Folders of one person's machine.
const MACHINE_FOLDERS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// Parts of the standard library that crates do without, and why.
const BANNED_MODULES: &[(&str, &[&str], &str)] = &[
    ("methods/src/", OUTSIDE, "a method reads its view and nothing else"),
    ("harness/core/src/", OUTSIDE, "the contract knows no outside world"),
    ("harness/models/src/", OUTSIDE, "a model is a pure function of its parameters"),
    ("ledger-sim/src/", OUTSIDE, "money depends on its inputs alone"),
    ("datasets/src/", &["env", "net", "process", "thread", "time"], "data are files and seeds"),
    ("reports/src/", &["env", "net", "process", "thread", "time"], "a record gives the same bytes"),
    ("harness/provenance/src/", &["env", "net", "process", "thread", "time"], "a log is told"),
    ("harness/engine/src/", &["env", "net", "thread"], "threads come from the pool of the caller"),
    ("harness/cli/src/", &["net"], "nothing is sent or fetched"),
];

/// Files that may start threads all the same: they wait for a disk, and what they write does not
/// depend on who waits.
const WAITING_FILES: &[&str] = &["harness/provenance/src/tree/writer.rs"];

const OUTSIDE: &[&str] = &["env", "fs", "net", "process", "thread", "time"];

/// Nothing is left half done.
pub fn unfinished(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.has_extension("rs")) {
        for (number, line) in numbered(file) {
            for (mark, instead) in UNFINISHED {
                if has_word(line, mark) {
                    complaints.push(format!("{}:{number}: `{mark}`: {instead}", file.path));
                }
            }
        }
    }
    complaints
}

/// Whether `word` stands in the line, not inside a longer word.
fn has_word(line: &str, word: &str) -> bool {
    let is_letter = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        let open = word.ends_with(|letter| !is_letter(letter));
        !before.ends_with(is_letter) && (open || !after.starts_with(is_letter))
    })
}

/// A file can be read in one sitting.
pub fn long_files(files: &[File]) -> Vec<String> {
    let written = |file: &&File| {
        ["rs", "py", "md", "yaml", "toml", "css", "js"].iter().any(|kind| file.has_extension(kind))
    };
    let too_long = |file: &File| {
        let lines = file.text.lines().count();
        (lines >= MOST_LINES).then(|| {
            format!(
                "{} has {lines} lines, the limit is {MOST_LINES}: split it by what it does",
                file.path
            )
        })
    };
    files.iter().filter(written).filter_map(too_long).collect()
}

/// A line of Rust fits beside another; only text in quotes and tables in comments may be longer.
pub fn long_lines(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.has_extension("rs")) {
        for (number, line) in numbered(file) {
            let columns = line.chars().count();
            if columns > MOST_COLUMNS && !may_be_long(line) {
                complaints.push(format!(
                    "{}:{number}: {columns} columns, the limit is {MOST_COLUMNS}: wrap it",
                    file.path
                ));
            }
        }
    }
    complaints
}

fn may_be_long(line: &str) -> bool {
    let start = line.trim_start();
    let is_table = ["//! |", "/// |", "// |"].iter().any(|table| start.starts_with(table));
    is_table || is_in_quotes(line, MOST_COLUMNS)
}

/// Whether the character at this column lies in a literal in double quotes.
fn is_in_quotes(line: &str, column: usize) -> bool {
    let mut inside = line.trim_start().starts_with('"');
    let mut escaped = false;
    let skip = line.chars().take_while(|letter| letter.is_whitespace()).count();
    for letter in line.chars().take(column).skip(skip + usize::from(inside)) {
        match letter {
            '"' if !escaped => inside = !inside,
            _ => {}
        }
        escaped = letter == '\\' && !escaped;
    }
    inside
}

/// Nothing that is committed knows where it lies on somebody's disk.
pub fn machine_paths(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        for (number, line) in numbered(file) {
            for folder in MACHINE_FOLDERS.iter().filter(|folder| line.contains(**folder)) {
                complaints.push(format!(
                    "{}:{number}: `{folder}`: write the path from the root of the checkout",
                    file.path
                ));
            }
        }
    }
    complaints
}

/// Methods see no file, clock, network or process, and neither does what they are made of.
pub fn outside_world(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.has_extension("rs")) {
        for (folder, modules, reason) in BANNED_MODULES {
            if !file.path.starts_with(folder) {
                continue;
            }
            let may_wait = WAITING_FILES.contains(&file.path.as_str());
            let modules = modules.iter().filter(|module| !(may_wait && **module == "thread"));
            for module in modules.filter(|module| names_module(&file.text, module)) {
                complaints.push(format!("{} uses `std::{module}`: {reason}", file.path));
            }
        }
    }
    complaints
}

/// Whether the text names `std::MODULE`, alone or in a group of imports.
fn names_module(text: &str, module: &str) -> bool {
    let direct = has_word(text, &format!("std::{module}"));
    let groups = text.match_indices("std::{").map(|(at, start)| {
        let group = &text[at + start.len()..];
        group.find("};").map_or(group, |end| &group[..end])
    });
    let first = |path: &str| path.trim().split("::").next().unwrap_or_default().to_owned();
    direct || groups.into_iter().any(|group| group.split(',').any(|path| first(path) == module))
}

fn numbered(file: &File) -> impl Iterator<Item = (usize, &str)> {
    file.text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

#[cfg(test)]
mod tests {
    use super::{
        MACHINE_FOLDERS, UNFINISHED, long_files, long_lines, machine_paths, outside_world,
        unfinished,
    };
    use crate::tree::File;

    fn rust(text: impl Into<String>) -> [File; 1] {
        [File::new("methods/src/example.rs", text)]
    }

    #[test]
    fn every_mark_of_unfinished_work_is_found() {
        for (mark, _) in UNFINISHED {
            let complaints = unfinished(&rust(format!("fn a() {{}}\n    {mark}\n")));
            assert_eq!(complaints.len(), 1, "{mark}");
            assert!(complaints[0].starts_with("methods/src/example.rs:2: "));
        }
        assert_eq!(unfinished(&rust("// A word such as MASTODON is none.\n")), [""; 0]);
        assert_eq!(unfinished(&[File::new("notes.txt", UNFINISHED[0].0)]), [""; 0]);
    }

    #[test]
    fn a_file_of_900_lines_is_too_long() {
        assert_eq!(long_files(&rust("\n".repeat(899))), [""; 0]);
        assert!(long_files(&rust("\n".repeat(900)))[0].contains("900 lines"));
        assert_eq!(long_files(&[File::new("data/table.csv", "\n".repeat(2000))]), [""; 0]);
    }

    #[test]
    fn only_literals_and_tables_may_be_wide() {
        let wide = "x".repeat(101);
        assert!(long_lines(&rust(format!("fn a() {{}}\n{wide}\n")))[0].contains(":2: 101"));
        assert_eq!(long_lines(&rust("x".repeat(100))), [""; 0]);
        // Columns are letters, not bytes.
        assert_eq!(long_lines(&rust("ü".repeat(100))), [""; 0]);
        for allowed in [
            format!("    \"{wide}\","),
            format!("    let text = \"{wide}\";"),
            format!("    let text = \"a \\\" quote {wide}\";"),
            format!("//! | {wide} |"),
        ] {
            assert_eq!(long_lines(&rust(allowed.clone())), [""; 0], "{allowed}");
        }
        for forbidden in [format!("f(\"a\", {wide});"), format!("// {wide}")] {
            assert_eq!(long_lines(&rust(forbidden.clone())).len(), 1, "{forbidden}");
        }
    }

    #[test]
    fn machine_folders_are_found_in_any_file() {
        for folder in MACHINE_FOLDERS {
            let file = File::new("README.md", format!("see\n{folder}notes\n"));
            assert!(machine_paths(&[file])[0].starts_with("README.md:2: "));
        }
        assert_eq!(machine_paths(&rust("a network/file")), [""; 0]);
    }

    #[test]
    fn methods_reach_no_file_and_no_clock() {
        for text in [
            "use std::fs;",
            "let now = std::time::Instant::now();",
            "use std::{\n    collections::BTreeMap,\n    time::Instant,\n};",
            "use std::{env, fmt};",
        ] {
            assert_eq!(outside_world(&rust(text)).len(), 1, "{text}");
        }
        for text in ["use std::fmt;", "use std::{fmt, iter};", "std::timeless();"] {
            assert_eq!(outside_world(&rust(text)), [""; 0], "{text}");
        }
        let test = File::new("methods/tests/example.rs", "use std::fs;");
        assert_eq!(outside_world(&[test]), [""; 0]);
        let engine = |text: &str| [File::new("harness/engine/src/store.rs", text)];
        assert_eq!(outside_world(&engine("use std::fs;")), [""; 0]);
        assert_eq!(outside_world(&engine("use std::net::TcpStream;")).len(), 1);
    }
}
