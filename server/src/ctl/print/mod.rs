//! What commands print: text for people, or JSON for programs. Pure; calls nobody.

mod cluster;
mod key;
mod levels;
mod look;
mod people;
mod safe;

use std::fmt::Write as _;

use serde::Serialize;

use super::args::Output;
use crate::admin::wire::{Answer, CryptoSpaceBody, ShardStatus, Status, TenantBody};

pub(super) use cluster::{Lineage, cluster, founded};
pub(super) use key::{Imported, KeyShown, import_key, import_key_in_full, imported, key, key_in_full, owned_version};
pub(super) use levels::{policy, quotas};
pub(super) use look::{Explained, caller, diagnosis, explanation, seen};
pub(super) use people::{Me, PeopleChange, deny_entry, me, pending, person, person_in_full};
pub(super) use safe::safe;

/// What a command came to, in both forms, and the exit status it ends with.
pub struct Printed {
    text: String,
    json: Option<String>,
    exit_code: u8,
}

impl Printed {
    /// A body with its text for people.
    pub(super) fn of<T: Serialize>(body: &T, text: String) -> Self {
        let json = serde_json::to_string_pretty(body).expect("bodies hold only what JSON can write");
        Self { text, json: Some(json), exit_code: 0 }
    }

    /// What is the same for people and programs.
    pub(super) const fn text(text: String) -> Self {
        Self { text, json: None, exit_code: 0 }
    }

    /// The same, with an exit status of its own.
    #[must_use]
    pub(super) fn ending_with(self, exit_code: u8) -> Self {
        Self { exit_code, ..self }
    }

    /// In the form that was asked for, without a line feed at the end.
    pub fn render(&self, output: Output) -> &str {
        match (output, &self.json) {
            (Output::Json, Some(json)) => json,
            (Output::Json | Output::Text, _) => &self.text,
        }
    }

    /// The exit status.
    pub const fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

/// Items, each after its own line feed; nothing if there are none.
fn below<T>(items: impl IntoIterator<Item = T>, line: impl Fn(T) -> String) -> String {
    items.into_iter().fold(String::new(), |text, item| text + "\n" + &line(item))
}

/// A list, one item after the other; said to be empty if it is.
pub(super) fn lines<T>(list: &[T], line: impl Fn(&T) -> String) -> String {
    if list.is_empty() { "(none)".to_owned() } else { list.iter().map(line).collect::<Vec<_>>().join("\n") }
}

/// An enum's word as JSON has it.
fn word<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(super) fn shard(shard: &ShardStatus) -> String {
    let standing = match (shard.serves, shard.takes_changes) {
        (true, true) => "serves",
        (true, false) => "serves, TAKES NO CHANGES",
        (false, _) => "DOES NOT SERVE",
    };
    let trouble = shard.trouble.as_ref().map(|why| format!("; {}", safe(why))).unwrap_or_default();
    let panics = match shard.task_panics {
        0 => String::new(),
        count => format!(" task-panics={count}"),
    };
    format!("shard {}  {standing}  tenants={}{panics}{trouble}", shard.shard, shard.tenants)
}

pub(super) fn tenant(tenant: &TenantBody) -> String {
    let (name, shard, revision) = (&tenant.tenant, tenant.shard, tenant.revision);
    format!("{name}  shard={shard} revision={revision} staleness={}", word(&tenant.staleness))
}

pub(super) fn tenant_in_full(body: &TenantBody) -> String {
    format!("{}\n{}", tenant(body), levels::own(body.policy.as_ref(), body.quota))
}

pub(super) fn crypto_space(space: &CryptoSpaceBody) -> String {
    format!("{}  {}", space.name, space.path)
}

pub(super) fn crypto_space_in_full(space: &CryptoSpaceBody) -> String {
    format!("{}\n{}", crypto_space(space), levels::own(space.policy.as_ref(), space.quota))
}

pub(super) fn answer(answer: &Answer) -> Printed {
    Printed::of(answer, answer_text(answer))
}

pub(super) fn answer_text(answer: &Answer) -> String {
    let mut text = if answer.repeated { "ok (done before)".to_owned() } else { "ok".to_owned() };
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            write!(text, " {name}={value}").expect("a string grows");
        }
    };
    let listed = |list: &[String]| (!list.is_empty()).then(|| list.join(","));
    add("shard", answer.shard.map(|shard| shard.to_string()));
    add("revision", answer.revision.map(|revision| revision.to_string()));
    add("path", answer.path.clone());
    add("state", answer.state.map(|state| state.to_string()));
    add("import-key", answer.import_key.map(|id| id.to_string()));
    add("destroyed-after", answer.destroy_after_seconds.map(look::span));
    let shards: Vec<String> = answer.not_yet_in.iter().map(ToString::to_string).collect();
    add("not-yet-in-shard", listed(&shards));
    add("not-for", listed(&answer.not_for));
    add("deny-entry", answer.deny_entry.map(|entry| entry.to_string()));
    add("usable-on", listed(&answer.usable_on));
    add("not-yet-on", listed(&answer.not_yet_on));
    if let Some(note) = &answer.note {
        write!(text, "\nlook: {}", safe(note)).expect("a string grows");
    }
    text
}

pub(super) fn status(status: &Status) -> String {
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
    for one in status.shards.iter().filter(|one| !one.takes_changes) {
        writeln!(text, "{}", shard(one)).expect("a string grows");
    }
    write!(text, "tenants   {}\nversions ", status.tenants).expect("a string grows");
    for (state, count) in &status.key_versions {
        write!(text, " {state}={count}").expect("a string grows");
    }
    text
}
