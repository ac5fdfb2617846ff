//! The arrows between modules: the tables of what may import what, and which arrows a file draws. Refuses nothing itself.

use super::code::{code_of, paths_after};

/// Who may import whom: first a module (or one file of a module, as `edge::path`), then what it imports of its crate. A module
/// stands below all that it imports, so no arrow runs back; what a row does not name is refused, and so is a module without a
/// row. The journey of a request is the stretch from `wire` to `audit`; `lookup` stands right of `crypto`, since it keeps the
/// material that `crypto` opens. Where a module and a file of it both have a row, the file's comes first.
pub type Arrows = &'static [(&'static str, &'static [&'static str])];

const SERVER_ARROWS: Arrows = &[
    ("clock", &[]),
    ("exit", &[]),
    ("logging", &[]),
    ("metrics", &[]),
    ("regular_file", &[]),
    ("replace_file", &[]),
    ("shell", &[]),
    ("tasks", &[]),
    ("wire", &[]),
    ("edge::path", &[]),
    ("edge::admission", &[]),
    ("edge::deadline", &[]),
    ("edge::admitted", &["wire", "edge::path", "edge::admission", "edge::deadline"]),
    ("authn", &["regular_file", "replace_file"]),
    ("policy", &["wire"]),
    ("quota", &["policy"]),
    ("error", &["wire", "edge::path", "authn", "policy", "quota"]),
    ("crypto", &["regular_file"]),
    ("lookup", &["quota", "error", "crypto"]),
    ("operations", &["wire", "edge::admitted", "edge::path", "authn", "policy", "quota", "error", "crypto", "lookup"]),
    ("audit", &["wire", "edge::admitted", "policy", "error", "operations"]),
    (
        "edge",
        &[
            "clock",
            "metrics",
            "regular_file",
            "wire",
            "edge::path",
            "edge::admission",
            "edge::deadline",
            "edge::admitted",
            "authn",
            "policy",
            "quota",
            "error",
            "crypto",
            "operations",
            "audit",
        ],
    ),
    ("settings", &["wire", "edge::path", "edge::admission", "authn", "policy", "crypto", "edge"]),
    ("health", &["metrics", "edge"]),
    (
        "frontend",
        &[
            "metrics",
            "tasks",
            "edge::admission",
            "authn",
            "quota",
            "crypto",
            "lookup",
            "operations",
            "audit",
            "edge",
            "settings",
            "health",
        ],
    ),
    ("following", &["authn", "crypto", "lookup"]),
    (
        "process",
        &["exit", "metrics", "regular_file", "replace_file", "tasks", "authn", "crypto", "edge", "health", "frontend"],
    ),
    ("keystore", &["crypto", "lookup"]),
    ("gauges", &["metrics", "edge", "frontend", "keystore"]),
    (
        "frontend_process",
        &[
            "clock",
            "metrics",
            "tasks",
            "authn",
            "crypto",
            "lookup",
            "edge",
            "settings",
            "health",
            "frontend",
            "process",
            "following",
            "gauges",
        ],
    ),
    ("admin", &["edge", "wire", "policy", "error", "operations", "health", "keystore"]),
    (
        "dev",
        &[
            "clock", "metrics", "shell", "tasks", "wire", "authn", "crypto", "lookup", "edge", "settings", "health",
            "frontend", "process", "keystore", "gauges", "admin",
        ],
    ),
    (
        "replica",
        &[
            "clock",
            "metrics",
            "tasks",
            "authn",
            "policy",
            "quota",
            "crypto",
            "lookup",
            "operations",
            "edge",
            "settings",
            "health",
            "process",
            "keystore",
            "gauges",
            "admin",
        ],
    ),
    ("ctl", &["clock", "exit", "shell", "crypto", "admin", "dev", "replica"]),
];

/// What stands in the log is a language of its own, below the codec that writes it; the machine reads it through the codec.
const REPLICATION_ARROWS: Arrows = &[
    ("causes", &[]),
    ("clock", &[]),
    ("ids", &[]),
    ("machine::lifecycle", &[]),
    ("machine::policy", &["ids"]),
    ("machine::roles", &[]),
    ("machine::signed", &["ids"]),
    ("machine::outcome", &["clock", "ids", "machine::lifecycle"]),
    (
        "machine::rows",
        &[
            "clock",
            "ids",
            "machine::lifecycle",
            "machine::policy",
            "machine::roles",
            "machine::signed",
            "machine::outcome",
        ],
    ),
    ("machine::request", &["clock", "ids", "machine::policy", "machine::roles", "machine::signed", "machine::rows"]),
    (
        "machine::command",
        &["clock", "ids", "machine::lifecycle", "machine::policy", "machine::rows", "machine::request"],
    ),
    ("codec", &["clock", "ids", "machine::request", "machine::command"]),
    (
        "machine",
        &[
            "clock",
            "ids",
            "machine::lifecycle",
            "machine::policy",
            "machine::roles",
            "machine::signed",
            "machine::outcome",
            "machine::rows",
            "machine::request",
            "machine::command",
            "codec",
        ],
    ),
    ("freshness", &["clock", "ids", "machine::rows"]),
    ("deny_entries::list", &["clock", "ids", "machine", "freshness"]),
    ("directory", &["clock", "ids", "machine", "freshness", "deny_entries::list"]),
    ("schema", &["clock", "ids", "machine::policy", "machine::request"]),
    ("store", &["ids", "machine", "codec"]),
    ("raft", &["causes", "clock", "ids", "machine", "codec", "freshness", "store"]),
    ("deny_entries", &["clock", "ids", "machine", "codec", "freshness", "deny_entries::list", "store", "raft"]),
    ("peers", &["causes", "ids", "raft", "deny_entries"]),
    (
        "feed",
        &["causes", "clock", "ids", "machine", "codec", "freshness", "directory", "raft", "deny_entries", "peers"],
    ),
];

/// The crates whose modules have arrows.
pub const HOUSES: &[(&str, Arrows)] = &[("server/src/", SERVER_ARROWS), ("replication/src/", REPLICATION_ARROWS)];

/// What may import everything and is imported by tests alone, or by nobody.
const OUTSIDE: &[&str] =
    &["server/src/bin/", "server/src/lib.rs", "replication/src/lib.rs", "replication/src/testkit/"];

/// The module that a file is, as `edge::path`, and the arrows of its crate.
pub fn place_of(path: &str) -> Option<(String, Arrows)> {
    let (house, arrows) = HOUSES.iter().find(|(house, _)| path.starts_with(house))?;
    let inner = path.strip_prefix(house)?;
    let is_outside = OUTSIDE.iter().any(|outside| path.starts_with(outside)) || is_test(path);
    (!is_outside).then(|| (inner.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::"), *arrows))
}

/// The first row that a module lies in.
pub fn row_of(arrows: Arrows, path: &str) -> Option<(&'static str, &'static [&'static str])> {
    arrows.iter().find(|(module, _)| is_within(path, module)).copied()
}

/// The modules of its own crate that a file imports, its own left out.
pub fn imports(place: &str, text: &str, arrows: Arrows) -> Vec<String> {
    let code = code_of(text);
    let mut paths = paths_after(&code, "crate::");
    // what `super::` leads to is a module only if it has a row: elsewhere it is an item of the file above
    let parts: Vec<&str> = place.split("::").collect();
    for up in 1..=parts.len() {
        let above = parts[..parts.len() - up].join("::");
        let found = paths_after(&code, &"super::".repeat(up)).into_iter();
        let found = found.map(|path| if above.is_empty() { path } else { format!("{above}::{path}") });
        paths.extend(
            found.filter(|path| arrows.iter().any(|(known, _)| is_within(path, known) || is_within(known, path))),
        );
    }
    let own = row_of(arrows, place).map(|(module, _)| module);
    paths.retain(|path| row_of(arrows, path).map(|(module, _)| module) != own || own.is_none());
    paths
}

/// Whether a path of modules is this one, or lies in it.
pub fn is_within(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Whether a file holds tests alone.
pub fn is_test(path: &str) -> bool {
    let stem = path.trim_end_matches(".rs");
    path.contains("/tests/") || path.contains("_tests/") || stem.ends_with("_tests") || stem.ends_with("/tests")
}
