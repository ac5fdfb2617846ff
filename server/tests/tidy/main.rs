//! The house rules that a reviewer should not have to look for: who may import whom, file sizes, opening words, leftovers.
//! Every rule is a pure function of one file, and is shown to catch a planted offence. Never excuses a single file: a rule
//! that needs an exception has the exception in its table, with the reason.

mod agreement;
mod arrows;
mod code;
mod tables;

use std::fs;
use std::path::Path;

use arrows::{HOUSES, imports, is_test, is_within, place_of, row_of};
use code::{code_of, identifier, names_crate, paths_after};

/// A file has a subject up to here.
const LINES_MAX: usize = 600;
/// The walk found the sources, and not an empty folder.
const FILES_MIN: usize = 30;

/// Crates that only some places may name.
const OWNERS: &[(&str, &[&str])] = &[
    ("redb", &["replication/src/store/"]),
    ("sled", &["replication/src/store/"]),
    ("openraft", &["replication/src/raft/", "replication/src/store/"]),
    ("openraft_rt", &["replication/src/raft/", "replication/src/store/"]),
    ("openraft_rt_tokio", &["replication/src/raft/", "replication/src/store/"]),
    ("tonic", &["replication/src/peers/", "replication/src/feed/"]),
    ("prost", &["replication/src/peers/", "replication/src/feed/"]),
    ("replication", &["server/", "replication/tests/", "fuzz/"]),
    ("server", &["server/src/bin/", "server/tests/", "server/examples/", "fuzz/"]),
    ("axum", &["server/", "loadtest/src/compare/"]),
    ("http", &["server/", "loadtest/", "fuzz/"]),
    ("hyper", &["server/", "loadtest/"]),
    ("reqwest", &["server/", "loadtest/"]),
    ("toml", &["server/src/settings/"]),
    ("libfuzzer_sys", &["fuzz/src/bin/"]),
    ("jsonwebtoken", &["server/src/authn/", "server/src/dev/", "server/src/health/", "server/tests/"]),
];

/// What leads to the root key, and who alone may name it: its own module, the key store, and the tests of the two. Whatever else
/// works with keys gets opened tenant keys.
const ROOT_WORDS: &[&str] = &["RootKey", "RootKeyError", "ROOT_KEY_PROVIDER_FILE"];
const ROOT_PLACES: &[&str] = &["server/src/crypto/", "server/src/keystore/", "server/tests/tidy/"];

/// Places that decide and never perform: no clock, no store, no waiting.
const PURE: &[&str] =
    &["replication/src/machine/", "replication/src/freshness/", "server/src/policy/", "server/src/quota/"];

/// What a pure place never says.
const IMPURE_WORDS: &[&str] = &[
    "async fn",
    ".await",
    "tokio::",
    "std::fs",
    "std::net",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "getrandom::",
];

/// One source file; the path is relative to the repository, with slashes.
struct Source<'a> {
    path: &'a str,
    text: &'a str,
}

/// A rule says what offends in a file.
type Rule = fn(&Source<'_>) -> Vec<String>;

const RULES: &[Rule] = &[
    opens_with_its_purpose,
    has_one_subject,
    names_only_its_crates,
    follows_the_arrows,
    keeps_the_root_key_apart,
    stays_pure,
    leaves_nothing_behind,
    holds_no_statics,
    weakens_nothing_but_tests,
    lists_what_can_go_wrong,
];

fn opens_with_its_purpose(source: &Source<'_>) -> Vec<String> {
    let opening = source.text.lines().next().unwrap_or_default();
    let says = opening.strip_prefix("//!").is_some_and(|words| words.trim().len() > 10);
    if says { vec![] } else { vec!["does not open with `//!` and what the file is for".to_owned()] }
}

fn has_one_subject(source: &Source<'_>) -> Vec<String> {
    let lines = source.text.lines().count();
    if lines < LINES_MAX { vec![] } else { vec![format!("has {lines} lines; split it before {LINES_MAX}")] }
}

fn names_only_its_crates(source: &Source<'_>) -> Vec<String> {
    let code = code_of(source.text);
    OWNERS
        .iter()
        .filter(|(_, places)| !places.iter().any(|place| source.path.starts_with(place)))
        .filter(|(name, _)| names_crate(&code, name))
        .map(|(name, places)| format!("names {name}, which only {places:?} may"))
        .collect()
}

fn follows_the_arrows(source: &Source<'_>) -> Vec<String> {
    let Some((place, arrows)) = place_of(source.path) else { return vec![] };
    let Some((module, allowed)) = row_of(arrows, &place) else {
        return vec![format!("belongs to {place}, which has no row among the arrows")];
    };
    imports(&place, source.text, arrows)
        .into_iter()
        .filter(|path| !allowed.iter().any(|one| is_within(path, one)))
        .map(|path| format!("{module} imports {path}; it may import {allowed:?}"))
        .collect()
}

fn keeps_the_root_key_apart(source: &Source<'_>) -> Vec<String> {
    if ROOT_PLACES.iter().any(|place| source.path.starts_with(place)) {
        return vec![];
    }
    let code = code_of(source.text);
    let words: Vec<&str> = code.split(|one: char| !one.is_alphanumeric() && one != '_').collect();
    let mut named: Vec<String> =
        ROOT_WORDS.iter().filter(|word| words.contains(word)).map(|word| format!("names {word}")).collect();
    let by_path = paths_after(&code, "crypto::").iter().any(|path| is_within(path, "root"));
    named.extend(by_path.then(|| "names crypto::root".to_owned()));
    named.into_iter().map(|named| format!("{named}, which only {ROOT_PLACES:?} may")).collect()
}

fn stays_pure(source: &Source<'_>) -> Vec<String> {
    // tests of pure code may read golden files and scripts
    if is_test(source.path) || !PURE.iter().any(|place| source.path.starts_with(place)) {
        return vec![];
    }
    let code = code_of(source.text);
    IMPURE_WORDS.iter().filter(|word| code.contains(**word)).map(|word| format!("is pure and says `{word}`")).collect()
}

fn leaves_nothing_behind(source: &Source<'_>) -> Vec<String> {
    let code = code_of(source.text);
    let mut found: Vec<String> = [".unwrap()", "#[ignore", "todo!(", "unimplemented!("]
        .iter()
        .filter(|word| code.contains(**word))
        .map(|word| format!("says `{word}`"))
        .collect();
    // put together here, so that this file does not offend itself
    let notes = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let words = source.text.split(|one: char| !one.is_alphanumeric() && one != '_');
    found.extend(words.filter(|word| notes.contains(word)).map(|word| format!("leaves a {word}")));
    let weak = ["Manager", "Helper", "Util", "Utils", "Context", "Data", "Info"];
    let named = ["struct ", "enum ", "trait "].iter().flat_map(|kind| code.split(kind).skip(1)).map(identifier);
    found.extend(
        named.filter(|name| weak.iter().any(|end| name.ends_with(end))).map(|name| format!("names a type {name}")),
    );
    found
}

/// What a process has only once cannot be tested twice.
fn holds_no_statics(source: &Source<'_>) -> Vec<String> {
    let code = product_of(source);
    let statics = code.lines().map(|line| line.trim().trim_start_matches("pub(crate) ").trim_start_matches("pub "));
    statics.filter(|line| line.starts_with("static ")).map(|line| format!("holds `{line}`")).collect()
}

/// What is weaker for a test is used by tests alone.
fn weakens_nothing_but_tests(source: &Source<'_>) -> Vec<String> {
    let code = product_of(source);
    let uses = code.match_indices("danger_").filter(|(at, _)| {
        let before = &code[..*at];
        !before.ends_with("fn ") && !before.ends_with("mod ") && !before.ends_with(|one: char| one.is_alphanumeric())
    });
    uses.map(|(at, _)| format!("uses {}", identifier(&code[at..]))).collect()
}

/// Errors whose one field is a text, each with the reason why there is nothing better.
const TEXT_ALONE: &[(&str, &str)] = &[
    // what the probe's conditions said, which are texts for `/readyz`
    ("server/src/dev/error.rs", "NotReady"),
];

/// An error that is a text alone can be anything, and nobody can tell which.
fn lists_what_can_go_wrong(source: &Source<'_>) -> Vec<String> {
    let code = product_of(source);
    if !code.contains("thiserror::Error") {
        return vec![];
    }
    let texts = code.lines().filter_map(|line| line.trim().strip_suffix("(String),"));
    let offends = |name: &&str| !TEXT_ALONE.contains(&(source.path, *name)) && identifier(name) == *name;
    texts.filter(offends).map(|name| format!("has the error {name}, which is a text alone")).collect()
}

/// The code of a file that is in the product: nothing of test files, and nothing behind `#[cfg(test)] mod tests`.
fn product_of(source: &Source<'_>) -> String {
    let houses = ["replication/src/", "server/src/", "loadtest/src/"];
    let is_product = houses.iter().any(|house| source.path.starts_with(house))
        && !is_test(source.path)
        && !source.path.ends_with("/testing.rs");
    let text = source.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    if is_product && !source.path.contains("/testkit/") { code_of(text) } else { String::new() }
}

fn visit(folder: &Path, root: &Path, seen: &mut Vec<(String, String)>) {
    let entries = fs::read_dir(folder).expect("a folder of the repository can be listed");
    for entry in entries {
        let path = entry.expect("an entry of the repository can be read").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                visit(&path, root, seen);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root).expect("the walk began at the root").display().to_string();
            seen.push((relative, fs::read_to_string(&path).expect("a source file is UTF-8")));
        }
    }
}

/// Path and text of every source file.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate stands in the repository");
    let mut files = Vec::new();
    for name in ["replication", "server", "loadtest", "fuzz"] {
        visit(&root.join(name), root, &mut files);
    }
    assert!(files.len() >= FILES_MIN, "only {} files were found", files.len());
    files
}

#[test]
fn every_source_file_keeps_the_house_rules() {
    let mut offences = Vec::new();
    for (path, text) in &sources() {
        let source = Source { path, text };
        offences.extend(RULES.iter().flat_map(|rule| rule(&source)).map(|offence| format!("{path} {offence}")));
    }
    assert!(offences.is_empty(), "{} offences:\n{}", offences.len(), offences.join("\n"));
}

#[test]
fn no_arrow_runs_back() {
    for (house, arrows) in HOUSES {
        for (place, (from, allowed)) in arrows.iter().enumerate() {
            for to in *allowed {
                let earlier = arrows[..place].iter().any(|(known, _)| known == to);
                assert!(earlier, "{house}: {from} may import {to}, which does not stand before it");
            }
        }
    }
}

#[test]
fn every_arrow_is_in_the_code() {
    let mut drawn = Vec::new();
    for (path, text) in &sources() {
        let Some((place, arrows)) = place_of(path) else { continue };
        let Some((module, _)) = row_of(arrows, &place) else { continue };
        let imported = imports(&place, text, arrows);
        drawn.extend(imported.iter().filter_map(|to| Some((module, row_of(arrows, to)?.0))));
    }
    let stated = HOUSES.iter().flat_map(|(_, arrows)| arrows.iter());
    let stated = stated.flat_map(|(from, allowed)| allowed.iter().map(move |to| (*from, *to)));
    let unused: Vec<_> = stated.filter(|arrow| !drawn.contains(arrow)).collect();
    assert!(unused.is_empty(), "nothing imports along {unused:?}; take them out of the arrows");
}

#[test]
fn every_rule_catches_a_planted_offence() {
    let long = "//! a file with a purpose\n".repeat(LINES_MAX);
    let note = concat!("// TO", "DO: later");
    let table: &[(Rule, &str, &str)] = &[
        (opens_with_its_purpose, "server/src/a.rs", "use std::fs;"),
        (opens_with_its_purpose, "server/src/a.rs", "//! x"),
        (opens_with_its_purpose, "server/src/a.rs", ""),
        (has_one_subject, "server/src/a.rs", &long),
        (names_only_its_crates, "server/src/a.rs", "use redb::Database;"),
        (names_only_its_crates, "server/src/a.rs", "use openraft::Raft;"),
        (names_only_its_crates, "server/src/a.rs", "fn f() -> ::sled::Db {}"),
        (names_only_its_crates, "replication/src/machine/a.rs", "use openraft;"),
        (names_only_its_crates, "replication/src/raft/a.rs", "let x = sled::open(p);"),
        (names_only_its_crates, "replication/src/a.rs", "use server::wire;"),
        (names_only_its_crates, "replication/src/a.rs", "use http::Uri;"),
        (names_only_its_crates, "replication/src/a.rs", "use jsonwebtoken::Header;"),
        (names_only_its_crates, "server/src/edge/a.rs", "use jsonwebtoken::Header;"),
        (names_only_its_crates, "loadtest/src/a.rs", "use server::wire;"),
        (names_only_its_crates, "fuzz/src/targets/a.rs", "use libfuzzer_sys::fuzz_target;"),
        (follows_the_arrows, "server/src/policy/mod.rs", "use crate::lookup::Key;"),
        (follows_the_arrows, "server/src/policy/mod.rs", "use super::lookup::Key;"),
        (follows_the_arrows, "server/src/policy/a.rs", "use super::super::lookup::Key;"),
        (follows_the_arrows, "server/src/policy/a.rs", "use crate::{authn::{A, B}, crypto::C};"),
        (follows_the_arrows, "server/src/authn/a.rs", "fn f() -> crate::edge::Admitted {}"),
        (follows_the_arrows, "server/src/clock.rs", "use super::settings;"),
        (follows_the_arrows, "server/src/error.rs", "use crate::edge::listener::Peer;"),
        (follows_the_arrows, "server/src/error/code.rs", "use crate::edge::Peer;"),
        (follows_the_arrows, "server/src/edge/path.rs", "use crate::authn::Caller;"),
        (follows_the_arrows, "server/src/edge/admitted.rs", "use super::listener::Peer;"),
        (follows_the_arrows, "server/src/keystore/a.rs", "use crate::admin::wire::Answer;"),
        (follows_the_arrows, "server/src/health/a.rs", "use crate::frontend::Frontend;"),
        (follows_the_arrows, "server/src/a.rs", "//! A module that nobody gave a row."),
        (follows_the_arrows, "replication/src/machine/a.rs", "use crate::raft::group::Group;"),
        (follows_the_arrows, "replication/src/machine/rows.rs", "use super::state::State;"),
        (follows_the_arrows, "replication/src/store/a.rs", "use super::super::raft::config::Types;"),
        (keeps_the_root_key_apart, "server/src/lookup/a.rs", "use crate::crypto::root::RootKey;"),
        (keeps_the_root_key_apart, "server/src/frontend.rs", "use crate::crypto::{Arena, root};"),
        (keeps_the_root_key_apart, "server/src/operations/a.rs", "fn f(key: &crate::crypto::root::Other) {}"),
        (keeps_the_root_key_apart, "server/src/dev/a.rs", "struct A(RootKey);"),
        (stays_pure, "replication/src/machine/a.rs", "async fn f() {}"),
        (stays_pure, "server/src/policy/a.rs", "let t = std::time::SystemTime::now();"),
        (leaves_nothing_behind, "server/tests/a.rs", "let x = y.unwrap();"),
        (leaves_nothing_behind, "server/tests/a.rs", "#[ignore = \"slow\"]"),
        (leaves_nothing_behind, "server/src/a.rs", note),
        (leaves_nothing_behind, "server/src/a.rs", "pub struct KeyManager;"),
        (leaves_nothing_behind, "server/src/a.rs", "enum RequestContext {}"),
        (holds_no_statics, "server/src/a.rs", "static SEEN: OnceLock<u8> = OnceLock::new();"),
        (holds_no_statics, "replication/src/a.rs", "fn f() {\n    pub(crate) static COUNT: AtomicU64 = ZERO;\n}"),
        (weakens_nothing_but_tests, "server/src/a.rs", "let denial = Denial::danger_made_up(why);"),
        (lists_what_can_go_wrong, "server/src/a.rs", "#[derive(thiserror::Error)]\nenum E {\n    Other(String),\n}"),
    ];
    for (rule, path, text) in table {
        assert!(!rule(&Source { path, text }).is_empty(), "{path} went unnoticed: {text:.60}");
    }
}

#[test]
fn what_is_allowed_offends_no_rule() {
    let table = [
        ("replication/src/store/log.rs", "use redb::{Database, ReadableTable};\nuse openraft::RaftLogReader;"),
        ("server/src/policy/mod.rs", "use crate::{policy::Rules, wire};\nuse super::wire::Reason;"),
        ("server/src/error/code.rs", "use crate::edge::path::Path;\nuse crate::error::Public;"),
        ("server/src/edge/mod.rs", "use crate::operations::wrap;\nuse hyper::server::conn;"),
        ("server/src/crypto/a.rs", "// redb:: and .unwrap() in a comment\nlet s = \"sled::open .unwrap()\";"),
        (
            "server/src/crypto/a.rs",
            "let s = r#\"a \"quoted\" sled::\"#; let c = '\"'; let d = '\\''; let e: &'static str;",
        ),
        ("server/src/lookup/a.rs", "let value = cache.unwrap_or_default(); /* openraft::Raft */"),
        ("replication/src/machine/tests/golden.rs", "let bytes = std::fs::read(path)?;"),
        ("replication/src/raft/a.rs", "use crate::store::server; let server = tower_http::x();"),
        ("server/src/policy/a.rs", "#[cfg(testkit)]\npub fn danger_made_up() -> &'static str { NAME }"),
        ("server/src/authn/testing.rs", "static KEY: OnceLock<u8> = OnceLock::new();"),
        ("server/src/policy/a.rs", "#[cfg(test)]\nmod tests {\n    static KEY: u8 = 1;\n    danger_x();\n}"),
        ("server/src/policy/a.rs", "enum NoError {\n    Name(String),\n}"),
    ];
    for (path, text) in table {
        let text = format!("//! A file that says what it is for.\n{text}");
        let source = Source { path, text: &text };
        let offences: Vec<String> = RULES.iter().flat_map(|rule| rule(&source)).collect();
        assert!(offences.is_empty(), "{path}: {offences:?}");
    }
}
