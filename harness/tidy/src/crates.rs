//! Which crate may import which, and which tests are slow, from `cargo metadata`.

use std::process::Command;

use serde_json::Value;

use crate::tree::root;

/// Crates of this workspace that each may import outside of its tests.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("attribench-core", &["attribench-datasets"]),
    ("attribench-datasets", &[]),
    ("attribench-engine", &["attribench-core", "attribench-datasets"]),
    ("attribench-hub", &[]),
    ("attribench-methods", &["attribench-core"]),
    ("attribench-models", &["attribench-core", "attribench-datasets"]),
    ("attribench-provenance", &[]),
    ("attribench-reports", &["attribench-core"]),
    ("attribench-tidy", &[]),
    ("ledger-sim", &[]),
    (
        "attribench-cli",
        &[
            "attribench-core",
            "attribench-datasets",
            "attribench-engine",
            "attribench-hub",
            "attribench-methods",
            "attribench-models",
            "attribench-provenance",
            "attribench-reports",
            "ledger-sim",
        ],
    ),
];

/// Packages from elsewhere that one crate keeps to itself.
const KEPT_BY: &[(&str, &str)] = &[
    ("anyhow", "attribench-cli"),
    ("clap", "attribench-cli"),
    ("ed25519-dalek", "attribench-provenance"),
    ("getrandom", "attribench-provenance"),
    ("hf-hub", "attribench-hub"),
    ("indicatif", "attribench-cli"),
    ("plotters", "attribench-reports"),
    ("polars", "attribench-reports"),
];

/// Packages from elsewhere that tests may use and nothing else, but for the crates named.
const FOR_TESTS: &[(&str, &[&str])] = &[
    // It unpacks files of llama.cpp.
    ("candle-core", &["attribench-engine"]),
    ("criterion", &[]),
    ("ct-merkle", &[]),
    ("proptest", &[]),
    ("tempfile", &[]),
];

/// A dependency that a crate names in its manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Dependency {
    /// Name of the package.
    pub name: String,
    /// Whether tests, examples and benches alone use it.
    pub is_for_tests: bool,
}

/// An integration test of a crate.
#[derive(Clone, Debug, PartialEq)]
pub struct TestTarget {
    /// Name of the file without `.rs`.
    pub name: String,
    /// Whether plain `cargo test` runs it.
    pub is_run_by_default: bool,
}

/// A crate of the workspace.
#[derive(Clone, Debug, PartialEq)]
pub struct Package {
    /// Name.
    pub name: String,
    /// What its manifest names.
    pub dependencies: Vec<Dependency>,
    /// Its integration tests.
    pub tests: Vec<TestTarget>,
}

/// Crates of this workspace as their manifests describe them.
///
/// # Panics
/// When cargo fails or answers something else than metadata.
pub fn packages() -> Vec<Package> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    parse(&serde_json::from_slice(&output.stdout).expect("cargo answers JSON"))
}

/// Crates from the answer of `cargo metadata`.
///
/// # Panics
/// When the answer lacks a field that cargo promises.
pub fn parse(metadata: &Value) -> Vec<Package> {
    let list = |value: &Value, field: &str| value[field].as_array().expect(field).clone();
    let text = |value: &Value, field: &str| value[field].as_str().expect(field).to_owned();
    let dependency = |value: &Value| Dependency {
        name: text(value, "name"),
        is_for_tests: value["kind"] == "dev",
    };
    let is_test = |value: &&Value| value["kind"][0] == "test";
    let test = |value: &Value| TestTarget {
        name: text(value, "name"),
        is_run_by_default: value["test"].as_bool().expect("test"),
    };
    let package = |value: &Value| Package {
        name: text(value, "name"),
        dependencies: list(value, "dependencies").iter().map(dependency).collect(),
        tests: list(value, "targets").iter().filter(is_test).map(test).collect(),
    };
    list(metadata, "packages").iter().map(package).collect()
}

/// Imports run one way: see the graph in `ARCHITECTURE.md`.
pub fn imports(packages: &[Package]) -> Vec<String> {
    let mut complaints = Vec::new();
    for package in packages {
        let name = &package.name;
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(crate_name, _)| crate_name == name)
        else {
            complaints.push(format!(
                "crate `{name}` has no line in MAY_IMPORT of harness/tidy/src/crates.rs: \
                 say there which crates it may import, and draw it in ARCHITECTURE.md"
            ));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|found| !found.is_for_tests) {
            let other = dependency.name.as_str();
            let is_ours = MAY_IMPORT.iter().any(|(crate_name, _)| *crate_name == other);
            if is_ours && !allowed.contains(&other) {
                complaints.push(format!(
                    "`{name}` imports `{other}`, and imports run one way: \
                     take what you need through the contract in harness/core, or move the code"
                ));
            }
        }
    }
    complaints
}

/// What is heavy, or a matter of taste, stays in one crate.
pub fn owners(packages: &[Package]) -> Vec<String> {
    let mut complaints = Vec::new();
    for package in packages {
        let name = package.name.as_str();
        for dependency in &package.dependencies {
            let other = dependency.name.as_str();
            if let Some((_, owner)) = KEPT_BY.iter().find(|(kept, _)| *kept == other)
                && *owner != name
            {
                complaints.push(format!(
                    "`{name}` depends on `{other}`, which only `{owner}` may: \
                     hand plain values to `{owner}` instead"
                ));
            }
            let is_kept_for_tests =
                FOR_TESTS.iter().any(|(kept, but)| *kept == other && !but.contains(&name));
            if is_kept_for_tests && !dependency.is_for_tests {
                complaints.push(format!(
                    "`{name}` depends on `{other}` outside of its tests: \
                     move it to [dev-dependencies]"
                ));
            }
        }
    }
    complaints
}

/// A slow test is a file `tests/slow_NAME.rs` that plain `cargo test` leaves out.
pub fn slow_tests(packages: &[Package]) -> Vec<String> {
    let mut complaints = Vec::new();
    for package in packages {
        for test in &package.tests {
            let (crate_name, name) = (&package.name, &test.name);
            match (name.starts_with("slow_"), test.is_run_by_default) {
                (true, true) => complaints.push(format!(
                    "`{name}` of `{crate_name}` runs with the quick tests: add \
                     `[[test]] name = \"{name}\" test = false` to its Cargo.toml"
                )),
                (false, false) => complaints.push(format!(
                    "`{name}` of `{crate_name}` is run by nothing: rename it to `slow_{name}`, \
                     or take `test = false` out of its Cargo.toml"
                )),
                _ => {}
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Package, imports, owners, parse, slow_tests};

    fn package(name: &str, dependencies: &[(&str, bool)], tests: &[(&str, bool)]) -> Package {
        let dependencies: Vec<_> = dependencies
            .iter()
            .map(|(name, dev)| json!({"name": name, "kind": if *dev { "dev" } else { "build" }}))
            .collect();
        let mut targets = vec![json!({"name": "x", "kind": ["lib"], "test": true})];
        targets.extend(
            tests.iter().map(|(name, run)| json!({"name": name, "kind": ["test"], "test": run})),
        );
        let package = json!({"name": name, "dependencies": dependencies, "targets": targets});
        parse(&json!({"packages": [package]})).remove(0)
    }

    #[test]
    fn a_method_that_imports_the_engine_is_named() {
        let good = [("attribench-core", false), ("attribench-engine", true), ("faer", false)];
        assert_eq!(imports(&[package("attribench-methods", &good, &[])]), [""; 0]);
        let bad = package("attribench-methods", &[("attribench-engine", false)], &[]);
        let complaints = imports(&[bad]);
        assert_eq!(complaints.len(), 1);
        assert!(complaints[0].starts_with("`attribench-methods` imports `attribench-engine`"));
    }

    #[test]
    fn leaves_import_nothing_of_ours() {
        for leaf in ["attribench-datasets", "attribench-hub", "attribench-provenance", "ledger-sim"]
        {
            let bad = package(leaf, &[("attribench-core", false)], &[]);
            assert_eq!(imports(&[bad]).len(), 1, "{leaf}");
        }
    }

    #[test]
    fn a_new_crate_needs_a_line() {
        let complaints = imports(&[package("attribench-new", &[], &[])]);
        assert!(complaints[0].contains("MAY_IMPORT"));
    }

    #[test]
    fn heavy_packages_stay_where_they_are_even_in_tests() {
        let good = package("attribench-reports", &[("polars", false)], &[]);
        assert_eq!(owners(&[good]), [""; 0]);
        let bad = package("attribench-engine", &[("polars", true), ("clap", false)], &[]);
        assert_eq!(owners(&[bad]).len(), 2);
    }

    #[test]
    fn an_oracle_of_tests_is_no_dependency() {
        let good = package("attribench-models", &[("candle-core", true)], &[]);
        assert_eq!(owners(&[good]), [""; 0]);
        let reader = package("attribench-engine", &[("candle-core", false)], &[]);
        assert_eq!(owners(&[reader]), [""; 0]);
        let bad = package("attribench-models", &[("candle-core", false)], &[]);
        assert!(owners(&[bad])[0].contains("dev-dependencies"));
    }

    #[test]
    fn slow_tests_are_named_and_left_out() {
        let good = package("ledger-sim", &[], &[("slow_books", false), ("books", true)]);
        assert_eq!(slow_tests(&[good]), [""; 0]);
        let bad = package("ledger-sim", &[], &[("slow_books", true), ("books", false)]);
        assert_eq!(slow_tests(&[bad]).len(), 2);
    }
}
