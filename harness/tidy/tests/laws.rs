//! The checkout against every law. A failure names the file and the fix.

use attribench_tidy::tree::files;
use attribench_tidy::{crates, documents, experiments, registries, source};

/// Fails with every complaint at once.
fn keeps(law: &str, complaints: &[String]) {
    assert!(complaints.is_empty(), "{law}:\n  {}\n", complaints.join("\n  "));
}

#[test]
fn imports_run_one_way() {
    keeps("imports run one way", &crates::imports(&crates::packages()));
}

#[test]
fn heavy_packages_stay_in_one_crate() {
    keeps("heavy packages stay in one crate", &crates::owners(&crates::packages()));
}

#[test]
fn slow_tests_are_files_of_their_own() {
    keeps("slow tests are files of their own", &crates::slow_tests(&crates::packages()));
}

#[test]
fn registries_are_the_files_on_disk() {
    let files = files();
    keeps("methods", &registries::methods(&files));
    keeps("values of games", &registries::values(&files));
    keeps("models", &registries::models(&files));
    keeps("data sets", &registries::data_sets(&files));
    keeps("payout rules", &registries::rules(&files));
    keeps("agents", &registries::agents(&files));
}

#[test]
fn methods_are_documented_under_the_same_headings() {
    keeps("headings of methods", &registries::method_headings(&files()));
    keeps("headings of values", &registries::value_headings(&files()));
}

#[test]
fn nothing_is_left_half_done() {
    keeps("nothing is left half done", &source::unfinished(&files()));
}

#[test]
fn files_are_short() {
    keeps("files are short", &source::long_files(&files()));
}

#[test]
fn lines_are_narrow() {
    keeps("lines are narrow", &source::long_lines(&files()));
}

#[test]
fn no_path_of_a_machine_is_committed() {
    keeps("no path of a machine is committed", &source::machine_paths(&files()));
}

#[test]
fn methods_cannot_reach_the_outside_world() {
    keeps("who may use which part of std", &source::outside_world(&files()));
}

#[test]
fn experiments_ask_predict_and_expect() {
    keeps("experiments", &experiments::experiments(&files()));
}

#[test]
fn the_front_page_gives_its_two_commands() {
    keeps("front page", &documents::front_page(&files()));
}

#[test]
fn commands_in_documents_exist() {
    keeps("commands in documents", &documents::commands(&files()));
}

#[test]
fn paths_in_documents_exist() {
    keeps("paths in documents", &documents::paths(&files()));
}

#[test]
fn third_parties_are_named_with_their_licences() {
    keeps("third parties", &documents::third_parties(&files(), &crates::packages()));
}
