//! The tables of `tables` held against the repository as it is, and against planted disagreements.

use std::fs;
use std::path::{Path, PathBuf};

use super::tables::{
    codes_not_listed, errors_and_rows_apart, exits_without_test, loose_versions, unknown_metrics, variants_of,
};

/// Pages stand in the root and below these folders.
const PAGES: &[&str] = &["", "deploy", "docs", "pages", "runbooks"];
const NONE: [&str; 0] = [];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate stands in the repository")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files of a folder with one ending.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).into_iter().flatten();
    let paths = entries.map(|entry| entry.expect("the repository is readable").path());
    paths.filter(|path| path.extension().is_some_and(|found| found == ending)).collect()
}

fn texts(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| fs::read_to_string(path).expect("a file of the repository is UTF-8")).collect()
}

#[test]
fn every_error_has_a_row_and_every_row_an_error() {
    let (error, table) = (text("server/src/error.rs"), text("server/src/error/table.txt"));
    assert_eq!(errors_and_rows_apart(&error, &table), NONE);
    let planted = error.replace("    Overloaded,\n", "    Overloaded,\n    /// New.\n    Planted(u8),\n");
    assert_eq!(errors_and_rows_apart(&planted, &table), ["no row of the table of errors is Planted"]);
    let planted = error.replace("    NoEntropy,\n", "    NoEntropy,\n    Planted { why: [u8; 2] },\n");
    assert_eq!(errors_and_rows_apart(&planted, &table), ["no row of the table of errors is KeyTrouble Planted"]);
    let planted = table.replace("Overloaded: ", "Overladen: ");
    let apart = ["no row of the table of errors is Overloaded", "the row Overladen is no error"];
    assert_eq!(errors_and_rows_apart(&error, &planted), apart);
}

#[test]
fn every_code_is_in_the_list_of_all_codes() {
    let code = text("server/src/error/code.rs");
    assert!(variants_of(&code, "Code").len() >= 12);
    assert_eq!(codes_not_listed(&code), NONE);
    assert_eq!(codes_not_listed(&code.replace("    Ok,\n", "    Ok,\n    Planted,\n")), ["Planted"]);
}

/// That the tests that hold requests against the table are run at all.
#[test]
fn the_tests_of_codes_are_there() {
    let codes = text("server/src/edge/google_tests/codes.rs");
    assert!(text("server/src/edge/google_tests/mod.rs").contains("mod codes;"));
    for part in ["include_str!(\"../../error/table.txt\")", "#[tokio::test]", "every_row_of_the_table_of_errors"] {
        assert!(codes.contains(part), "{part}");
    }
}

#[test]
fn every_exit_status_ends_a_process_in_a_test() {
    let exit = text("server/src/exit.rs");
    let tests = texts(&files("server/tests/processes", "rs"));
    let tests: Vec<&str> = tests.iter().map(String::as_str).collect();
    assert_eq!(exits_without_test(&exit, &tests), NONE);
    let planted = format!("{exit}\npub const PLANTED: u8 = 77;\n");
    assert_eq!(exits_without_test(&planted, &tests), ["PLANTED"]);
    assert_eq!(
        exits_without_test(&planted, &["// exit::PLANTED in a comment"]).last().map(String::as_str),
        Some("PLANTED")
    );
}

#[test]
fn pages_name_only_metrics_that_are_there() {
    let metrics = texts(&[files("server/src", "rs"), files("server/src/metrics", "rs")].concat()).concat();
    let mut pages: Vec<PathBuf> = PAGES.iter().flat_map(|folder| files(folder, "md")).collect();
    pages.extend(PAGES.iter().flat_map(|folder| files(folder, "yml")));
    assert!(pages.len() >= 4, "only {} pages were found", pages.len());
    for (path, page) in pages.iter().zip(texts(&pages)) {
        assert_eq!(unknown_metrics(&page, &metrics), NONE, "{}", path.display());
    }
    let page = "rate(ekm_requests_started_total[5m]), ekm_request_duration_seconds_bucket, ekm_planted_total";
    assert_eq!(unknown_metrics(page, &metrics), ["ekm_planted_total"]);
}

#[test]
fn every_crate_has_a_version() {
    for manifest in ["Cargo.toml", "replication/Cargo.toml", "server/Cargo.toml", "loadtest/Cargo.toml"] {
        assert_eq!(loose_versions(&text(manifest)), NONE, "{manifest}");
    }
    for planted in ["a = \"*\"", "a = { version = \"*\" }", "a = { version = \">1\" }", "a = { git = \"https://b\" }"] {
        assert_eq!(loose_versions(planted), [planted]);
    }
}
