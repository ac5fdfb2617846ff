//! Answers as text for people, or as the JSON they came as. Calls nobody.

use std::fmt::Write as _;

use serde::Serialize;

use crate::admin::wire::{Answer, CryptoSpaceBody, KeyBody, Status, TenantBody};

use super::args::Output;

/// What a command came to.
pub(super) enum Printed {
    Status(Box<Status>),
    Answer(Answer),
    Tenants(Vec<TenantBody>),
    CryptoSpaces(Vec<CryptoSpaceBody>),
    Keys(Vec<KeyBody>),
}

impl Printed {
    pub(super) fn render(&self, output: Output) -> String {
        match output {
            Output::Json => match self {
                Self::Status(body) => json(body),
                Self::Answer(body) => json(body),
                Self::Tenants(body) => json(body),
                Self::CryptoSpaces(body) => json(body),
                Self::Keys(body) => json(body),
            },
            Output::Text => match self {
                Self::Status(body) => status(body),
                Self::Answer(body) => answer(body),
                Self::Tenants(body) => lines(body, |t| {
                    format!("{}  revision={} staleness={:?}", t.tenant, t.revision, t.staleness).to_lowercase()
                }),
                Self::CryptoSpaces(body) => lines(body, |s| format!("{}  {}", s.name, s.path)),
                Self::Keys(body) => lines(body, key),
            },
        }
    }
}

fn json<T: Serialize>(body: &T) -> String {
    serde_json::to_string_pretty(body).expect("the admin API's bodies hold only what JSON can write")
}

fn lines<T>(list: &[T], line: impl Fn(&T) -> String) -> String {
    if list.is_empty() { "(none)".to_owned() } else { list.iter().map(line).collect::<Vec<_>>().join("\n") }
}

fn key(key: &KeyBody) -> String {
    let space = key.crypto_space.as_deref().map(|space| format!("  crypto space {space}")).unwrap_or_default();
    let version = |v: &crate::admin::wire::VersionBody| format!("\n  {}  {}  {}", v.number, v.path, v.state);
    let versions: String = key.versions.iter().map(version).collect();
    format!("{}{space}{versions}", key.name)
}

fn answer(answer: &Answer) -> String {
    let mut text = if answer.repeated { "ok (done before)".to_owned() } else { "ok".to_owned() };
    let mut add = |name: &str, value: &str| write!(text, " {name}={value}").expect("a string grows");
    if let Some(revision) = &answer.revision {
        add("revision", &revision.to_string());
    }
    if let Some(path) = &answer.path {
        add("path", path);
    }
    if let Some(state) = &answer.state {
        add("state", state.as_str());
    }
    if !answer.not_for.is_empty() {
        add("not-for", &answer.not_for.join(","));
    }
    add("usable-on", &answer.usable_on.join(","));
    if !answer.not_yet_on.is_empty() {
        add("not-yet-on", &answer.not_yet_on.join(","));
    }
    text
}

fn status(status: &Status) -> String {
    let kind = if status.dev { "dev, for trying out only" } else { "production" };
    let ready =
        if status.ready { "ready".to_owned() } else { format!("not ready: {}", status.unready_reasons.join("; ")) };
    let mut text = format!("version   {}\ncluster   {} ({kind})\nfrontend  {ready}\n", status.version, status.lineage);
    for group in &status.groups {
        let age = group.age_seconds.map_or_else(|| "never confirmed".to_owned(), |age| format!("view {age:.1} s old"));
        let halted = group
            .halted
            .map(|index| {
                format!(", HALTED at entry {index}, which this release cannot decode; start the release that wrote it")
            })
            .unwrap_or_default();
        writeln!(text, "group {}   entry {}, {age}{halted}", group.group, group.applied).expect("a string grows");
    }
    write!(text, "tenants   {}\nversions ", status.tenants).expect("a string grows");
    for (state, count) in &status.key_versions {
        write!(text, " {state}={count}").expect("a string grows");
    }
    text
}
