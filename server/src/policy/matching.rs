//! Does one rule cover one request? Three answers, since a list cannot be held against an unknown reason.

use replication::machine::policy::{Justifications, ResourcePattern, Rule};

use crate::wire::AccessReason;

use super::asked::{Asked, ResourceName};

/// Whether a rule covers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// It does but for the stated reason, which its list leaves out.
    ButForReason,
    /// It does if the reason, which this release does not know, is in its list.
    Unknown,
}

pub(super) fn covers(rule: &Rule, asked: &Asked<'_>) -> Match {
    let all_but_reason = rule.operations.contains(&asked.operation)
        && rule.callers.contains(asked.caller)
        && (rule.resources.is_empty() || rule.resources.iter().any(|pattern| covers_resource(pattern, asked.resource)));
    if !all_but_reason {
        return Match::No;
    }
    rule.justifications.as_ref().map_or(Match::Yes, |list| covers_reason(list, asked.reason))
}

fn covers_resource(pattern: &ResourcePattern, resource: Option<ResourceName<'_>>) -> bool {
    let part = |wanted: &Option<String>, pick: fn(ResourceName<'_>) -> &str| match (wanted, resource) {
        (None, _) => true,
        (Some(wanted), Some(name)) => wanted == pick(name),
        (Some(_), None) => false,
    };
    part(&pattern.project, |name| name.project)
        && part(&pattern.location, |name| name.location)
        && part(&pattern.key_ring, |name| name.key_ring)
        && part(&pattern.crypto_key, |name| name.crypto_key)
}

fn covers_reason(list: &Justifications, reason: &AccessReason) -> Match {
    let listed = match reason {
        AccessReason::Missing => list.allow_missing,
        AccessReason::Unspecified => list.codes.contains(&0),
        AccessReason::Known(code) => list.codes.contains(&code.number()),
        AccessReason::Unknown(_) => return Match::Unknown,
    };
    if listed { Match::Yes } else { Match::ButForReason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_part_that_is_absent_covers_every_value() {
        let name = ResourceName::parse("projects/p/locations/l/keyRings/r/cryptoKeys/k");
        let some = |text: &str| Some(text.to_owned());
        let rows = [
            (ResourcePattern::default(), true, true),
            (ResourcePattern { project: some("p"), ..Default::default() }, true, false),
            (ResourcePattern { project: some("P"), ..Default::default() }, false, false),
            (ResourcePattern { location: some("l"), ..Default::default() }, true, false),
            (ResourcePattern { key_ring: some("r"), crypto_key: some("k"), ..Default::default() }, true, false),
            (ResourcePattern { key_ring: some("r"), crypto_key: some("x"), ..Default::default() }, false, false),
            (ResourcePattern { location: some("x"), ..Default::default() }, false, false),
        ];
        for (pattern, with_name, without_name) in rows {
            assert_eq!(covers_resource(&pattern, name), with_name, "{pattern:?}");
            assert_eq!(covers_resource(&pattern, None), without_name, "{pattern:?}");
        }
    }
}
