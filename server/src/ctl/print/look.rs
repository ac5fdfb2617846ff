//! What was found out: decisions, records, findings.

use replication::clock::Timestamp;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use super::safe::safe;
use super::{below, levels, word};
use crate::admin::wire::{CallerBody, ExplainedLevel, ExplainedRule, Explanation, SeenBody};
use crate::ctl::doctor::{Diagnosis, Finding, Severity};

/// What `explain` prints, by what it was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Explained {
    /// A path and a caller: what would be decided.
    Path(Explanation),
    /// A request's id: what was decided.
    Request(SeenBody),
    /// A caller: the rules that name it.
    Caller(Vec<CallerBody>),
}

pub(in crate::ctl) fn caller(body: &CallerBody) -> String {
    let denies = body.denies.iter().map(|rule| format!("\n  deny   {}", levels::rule(rule)));
    let grants = body.grants.iter().map(|rule| format!("\n  grant  {}", levels::rule(rule)));
    format!("tenant {}, {}{}", body.tenant, body.level, denies.chain(grants).collect::<String>())
}

pub(in crate::ctl) fn explanation(body: &Explanation) -> String {
    let by_rule = body.rule.as_ref().map(|rule| format!(" by the rule {rule}"));
    let by = by_rule.or(body.deny_entry.map(|entry| format!(" by the deny entry {entry}"))).unwrap_or_default();
    let mut text = format!("{}{by}: {} {}", word(&body.decision), body.status, body.code);
    if let Some(message) = &body.message {
        text.push_str(&format!("\nthe caller is told: {}", safe(message)));
    }
    if let Some(version) = &body.version {
        let fresh = if version.is_fresh { "fresh" } else { "not fresh, so nothing is refused for good" };
        text.push_str(&format!(
            "\nversion {} of key {} of tenant {} is {}; this machine's view of it is {fresh}",
            version.number, version.key, version.tenant, version.state
        ));
    }
    text.extend(body.levels.iter().map(level));
    text
}

fn level(level: &ExplainedLevel) -> String {
    let role = match (level.has_policy, level.decides) {
        (false, _) => "no policy, so the next level decides",
        (true, true) => "its grants decide",
        (true, false) => "its denies count, its grants do not",
    };
    let rule = |rule: &ExplainedRule| {
        format!("\n    {}  {}  covers the reason: {}", word(&rule.effect), rule.rule, word(&rule.reason))
    };
    format!("\n  {}: {role}{}", level.level, level.rules.iter().map(rule).collect::<String>())
}

pub(in crate::ctl) fn seen(body: &SeenBody) -> String {
    let rows = [
        ("when", Some(body.time.clone())),
        ("where", Some(body.machine.clone())),
        ("called", Some(format!("{} {}", body.operation, body.path))),
        ("tenant", body.tenant.clone()),
        ("key", body.key.clone()),
        ("version", body.version.map(|version| version.to_string())),
        ("caller", body.caller.clone()),
        // the rule that let the caller in, if what refused the call came after it
        ("rule", body.rule.as_ref().map(ToString::to_string)),
        ("resource", body.resource.clone()),
        ("reason", body.justification.clone()),
        ("told", body.message.clone()),
        ("took", Some(format!("{} µs", body.latency_us))),
    ];
    let lines: String =
        rows.into_iter().filter_map(|(name, value)| Some(format!("\n  {name:<9}{}", safe(&value?)))).collect();
    format!("{}: {} {}{lines}", body.decision, body.status, body.code)
}

pub(in crate::ctl) fn diagnosis(body: &Diagnosis) -> String {
    let finding = |finding: &Finding| {
        let severity = match finding.severity {
            Severity::Broken => "BROKEN ",
            Severity::Warning => "WARNING",
        };
        format!("{severity} {}\n  hurts {}\n  do    {}\n\n", finding.what, finding.hurts, finding.todo)
    };
    let findings: String = body.findings.iter().map(finding).collect();
    let verdict = if body.healthy { "nothing is broken" } else { "something is broken" };
    let looked = if body.looked_at.is_empty() { "nothing".to_owned() } else { body.looked_at.join("; ") };
    let not: String = below(&body.not_looked_at, |what| format!("not looked at: {what}"));
    format!("{findings}{verdict}\nlooked at: {looked}{not}")
}

/// A moment, RFC 3339.
pub(super) fn time(at: Timestamp) -> String {
    let seconds = i64::try_from(at.0 / 1000).unwrap_or(i64::MAX);
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| format!("{} ms after 1970", at.0))
}

/// A span of seconds in its two largest units.
pub(super) fn span(seconds: u64) -> String {
    match (seconds / 86_400, seconds % 86_400 / 3600, seconds % 3600 / 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s}s"),
        (0, 0, m, s) => format!("{m}m{s}s"),
        (0, h, m, _) => format!("{h}h{m}m"),
        (d, h, _, _) => format!("{d}d{h}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_shows_what_its_caller_wrote_and_its_terminal_obeys_none_of_it() {
        let record = r#"{"time":"2026-01-31T23:59:59.999Z","machine":"m","request":"00","operation":"wrap","path":"v0/\u001b[2J",
            "resource":"a\n  told     nothing","justification":null,"health_check":false,"probe":false,"decision":"refused",
            "code":"NOT_FOUND","status":404,"message":"\u001b]0;x\u0007","latency_us":1}"#;
        let record: SeenBody = serde_json::from_str(record).expect("a record");
        let text = seen(&record);
        assert!(!text.contains(|one: char| one.is_control() && one != '\n'), "{text:?}");
        assert!(text.lines().filter(|line| line.trim_start().starts_with("told")).count() == 1, "{text}");
    }

    #[test]
    fn spans_and_moments_read_well() {
        for (seconds, text) in [(0, "0s"), (61, "1m1s"), (3660, "1h1m"), (2_592_000, "30d0h")] {
            assert_eq!(span(seconds), text);
        }
        assert_eq!(time(Timestamp(1_700_000_000_123)), "2023-11-14T22:13:20Z");
    }
}
