//! Policies and quotas.

use replication::machine::policy::{Policy, ResourcePattern, Rule};
use replication::machine::rows::Quota;

use super::safe::safe;
use crate::ctl::levels::{PolicyInForce, QuotaAt, QuotasInForce};

pub(in crate::ctl) fn policy(policy: &PolicyInForce) -> String {
    let mut text = match &policy.decides {
        Some(level) => format!("policy: the grants of {level} decide"),
        None => "policy: none at any level, so everybody is refused".to_owned(),
    };
    for at in &policy.levels {
        let level = &at.level;
        let note = if policy.decides.as_ref() == Some(level) { "" } else { ", does not count here" };
        let denies = at.policy.denies.iter().map(|one| format!("\n  deny   {}  ({level})", rule(one)));
        let grants = at.policy.grants.iter().map(|one| format!("\n  grant  {}  ({level}{note})", rule(one)));
        text.extend(denies.chain(grants));
        if at.policy.rules().next().is_none() {
            text.push_str(&format!("\n  no rule, so nobody is let in  ({level}{note})"));
        }
    }
    text
}

pub(in crate::ctl) fn quotas(quotas: &QuotasInForce) -> String {
    let line = |at: &QuotaAt| format!("\n  {}  ({})", quota(at.quota), at.level);
    let lines: String = quotas.levels.iter().map(line).collect();
    match quotas.levels.len() {
        0 => "quota: none at any level".to_owned(),
        1 => format!("quota:{lines}"),
        _ => format!("quota: all of these hold{lines}"),
    }
}

fn quota(quota: Quota) -> String {
    format!("{} a second, {} at once, on each frontend", quota.per_second, quota.burst)
}

/// What a level says itself.
pub(super) fn own(policy: Option<&Policy>, of: Option<Quota>) -> String {
    let policy = match policy {
        None => "policy: none of its own".to_owned(),
        Some(policy) => {
            let denies = policy.denies.iter().map(|one| format!("\n  deny   {}", rule(one)));
            let grants = policy.grants.iter().map(|one| format!("\n  grant  {}", rule(one)));
            format!("policy:{}", denies.chain(grants).collect::<String>())
        }
    };
    format!("{policy}\nquota: {}", of.map_or_else(|| "none of its own".to_owned(), quota))
}

/// A rule on one line.
pub(super) fn rule(rule: &Rule) -> String {
    let callers: Vec<String> = rule.callers.iter().map(ToString::to_string).collect();
    let operations: Vec<&str> = rule.operations.iter().map(|operation| operation.as_str()).collect();
    let resources: Vec<String> = rule.resources.iter().map(pattern).collect();
    let resources = if resources.is_empty() { String::new() } else { format!(" for {}", resources.join(" or ")) };
    let reasons = rule.justifications.as_ref().map(|list| {
        let codes: Vec<String> = list.codes.iter().map(ToString::to_string).collect();
        format!(" with reason {}{}", codes.join(","), if list.allow_missing { " or none" } else { "" })
    });
    let reasons = reasons.unwrap_or_default();
    format!("{}: {} to {}{resources}{reasons}", rule.name, callers.join(", "), operations.join(" and "))
}

fn pattern(pattern: &ResourcePattern) -> String {
    let ResourcePattern { project, location, key_ring, crypto_key } = pattern;
    let parts = [("project", project), ("location", location), ("key-ring", key_ring), ("crypto-key", crypto_key)];
    let said = parts.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", safe(value.as_ref()?))));
    said.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_stands_on_one_line() {
        let text = r#"{"name":"kms","callers":["a@b.example"],"resources":[{"project":"p","location":null,"key_ring":"r","crypto_key":null}],
            "operations":["wrap","unwrap"],"justifications":{"codes":[1,5],"allow_missing":true}}"#;
        let full: Rule = serde_json::from_str(text).expect("a rule");
        assert_eq!(rule(&full), "kms: a@b.example to wrap and unwrap for project=p key-ring=r with reason 1,5 or none");
        let bare = Rule { resources: Vec::new(), justifications: None, ..full };
        assert_eq!(rule(&bare), "kms: a@b.example to wrap and unwrap");
        let feed = text.replace("\"r\"", "\"r\\n  deny all\"");
        let feed: Rule = serde_json::from_str(&feed).expect("a rule whose pattern no ring can match");
        assert!(!rule(&feed).contains('\n'), "{}", rule(&feed));
    }
}
