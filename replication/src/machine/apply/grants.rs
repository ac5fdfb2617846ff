//! One more grant in a policy. Never takes anything away: where a new policy would hide an inherited one, it is refused.

use std::collections::BTreeSet;

use crate::machine::command::AddGrant;
use crate::machine::outcome::{Effect, Refusal};
use crate::machine::policy::{POLICY_BYTES_MAX, POLICY_RULES_MAX, Policy, Principal, ResourcePattern, Rule};
use crate::machine::request::Level;
use crate::machine::rows::{CryptoSpace, Key, Tenant};
use crate::machine::state::Draft;

use super::{bump, tenant_of};

/// The largest code of Google's key access justifications that this release knows.
pub const JUSTIFICATION_CODE_MAX: u32 = 11;
/// Most resource patterns of one rule.
const PATTERNS_MAX: usize = 32;
/// Longest part of a resource pattern, in bytes.
const PATTERN_PART_BYTES_MAX: usize = 128;

pub(super) fn add(draft: &mut Draft, add: &AddGrant) -> Result<Effect, Refusal> {
    legible(&add.rule)?;
    let tenant = tenant_of(draft, &add.tenant)?;
    match &add.level {
        Level::Tenant => {
            let policy = extended(tenant.policy.as_ref(), &add.rule)?;
            draft.put(add.tenant.clone(), Tenant { policy: Some(policy), ..tenant });
        }
        Level::CryptoSpace(name) => {
            let key = (add.tenant.clone(), name.clone());
            let space = draft.state().row::<CryptoSpace>(&key).map(|row| row.as_ref().clone());
            let space = space
                .ok_or_else(|| Refusal::UnknownCryptoSpace { tenant: add.tenant.clone(), name: name.to_string() })?;
            if space.policy.is_none() && tenant.policy.is_some() {
                return Err(Refusal::HidesInherited { level: format!("tenant {}", add.tenant) });
            }
            let policy = extended(space.policy.as_ref(), &add.rule)?;
            draft.put(key, CryptoSpace { policy: Some(policy), ..space });
        }
        Level::Key(name) => {
            let key = (add.tenant.clone(), name.clone());
            let row = draft.state().row::<Key>(&key).map(|row| row.as_ref().clone());
            let row = row.ok_or_else(|| Refusal::UnknownKey { tenant: add.tenant.clone(), name: name.clone() })?;
            if row.policy.is_none() {
                inherits_nothing(draft, add, &tenant, &row)?;
            }
            let policy = extended(row.policy.as_ref(), &add.rule)?;
            draft.put(key, Key { policy: Some(policy), ..row });
        }
    }
    Ok(Effect::Granted { revision: bump(draft, &add.tenant)? })
}

fn inherits_nothing(draft: &Draft, add: &AddGrant, tenant: &Tenant, key: &Key) -> Result<(), Refusal> {
    if let Some(name) = &key.crypto_space
        && let Some(space) = draft.state().row::<CryptoSpace>(&(add.tenant.clone(), name.clone()))
        && space.policy.is_some()
    {
        return Err(Refusal::HidesInherited { level: format!("crypto space {name}") });
    }
    if tenant.policy.is_some() {
        return Err(Refusal::HidesInherited { level: format!("tenant {}", add.tenant) });
    }
    Ok(())
}

fn extended(policy: Option<&Policy>, rule: &Rule) -> Result<Policy, Refusal> {
    let mut policy = policy.cloned().unwrap_or_default();
    if policy.rules().any(|other| other.name == rule.name) {
        return Err(Refusal::Exists { what: "rule".into(), name: rule.name.to_string() });
    }
    policy.grants.push(rule.clone());
    let rules = policy.rules().count();
    let bytes = crate::codec::encode_row(&policy).len();
    if rules > POLICY_RULES_MAX || bytes > POLICY_BYTES_MAX {
        return Err(Refusal::PolicyTooLarge { rules, bytes });
    }
    Ok(policy)
}

/// A rule that covers nothing, or names what no operator may name, is a mistake rather than a rule.
fn legible(rule: &Rule) -> Result<(), Refusal> {
    let wrong = |reason: &str| Err(Refusal::BadRule { name: rule.name.to_string(), reason: reason.to_owned() });
    if rule.callers.is_empty() {
        return wrong("it names no caller; name at least one service account");
    }
    if rule.callers.contains(&Principal::Probe) {
        return wrong("the probe is this product's own and cannot be granted anything");
    }
    if rule.operations.is_empty() {
        return wrong("it names no operation; name wrap, unwrap or both");
    }
    if rule.resources.len() > PATTERNS_MAX || !rule.resources.iter().all(pattern_fits) {
        return wrong("at most 32 resource patterns fit, each part of 1 to 128 bytes without '/'");
    }
    match &rule.justifications {
        Some(just) if just.codes.is_empty() && !just.allow_missing => wrong("its justification list covers no request"),
        Some(just) if !known(&just.codes) => wrong("justification codes are 0 to 11"),
        Some(_) | None => Ok(()),
    }
}

fn known(codes: &BTreeSet<u32>) -> bool {
    codes.iter().all(|code| *code <= JUSTIFICATION_CODE_MAX)
}

fn pattern_fits(pattern: &ResourcePattern) -> bool {
    [&pattern.project, &pattern.location, &pattern.key_ring, &pattern.crypto_key]
        .into_iter()
        .flatten()
        .all(|part| (1..=PATTERN_PART_BYTES_MAX).contains(&part.len()) && !part.contains('/'))
}
