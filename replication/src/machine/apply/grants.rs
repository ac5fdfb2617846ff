//! One more grant in a policy, and what makes a policy one that may stand. A grant never takes anything away: where a new
//! policy would hide an inherited one, it is refused; and none is lost to a plan that was made without it.

use std::collections::BTreeSet;

use crate::ids::TenantId;
use crate::machine::command::AddGrant;
use crate::machine::outcome::{Effect, Refusal};
use crate::machine::policy::{POLICY_BYTES_MAX, POLICY_RULES_MAX, Policy, Principal, ResourcePattern, Rule};
use crate::machine::rows::{Change, CryptoSpace, Key, Tenant};
use crate::machine::state::Draft;

use super::levels::{Owner, owner};
use super::plans::meets_none;
use super::{bump, tenant_of};

/// The largest code of Google's key access justifications that this release knows.
pub const JUSTIFICATION_CODE_MAX: u32 = 11;
/// Most resource patterns of one rule.
const PATTERNS_MAX: usize = 32;
/// Longest part of a resource pattern, in bytes.
const PATTERN_PART_BYTES_MAX: usize = 128;

pub(super) fn add(draft: &mut Draft, add: &AddGrant) -> Result<Effect, Refusal> {
    legible(&add.rule)?;
    let rule = add.rule.name.clone();
    meets_none(draft, &add.tenant, &Change::RemoveRule { level: add.level.clone(), rule })?;
    let owner = owner(draft, &add.tenant, &add.level)?;
    if owner.policy().is_none() {
        hides_nothing(draft, &add.tenant, &owner)?;
    }
    let policy = Some(extended(owner.policy(), &add.rule)?);
    match owner {
        Owner::Tenant(id, row) => draft.put(id, Tenant { policy, ..row }),
        Owner::CryptoSpace(id, row) => draft.put(id, CryptoSpace { policy, ..row }),
        Owner::Key(id, row) => draft.put(id, Key { policy, ..row }),
    }
    Ok(Effect::Granted { revision: bump(draft, &add.tenant)? })
}

/// The first policy at a level hides those further away, which is nothing that a grant may do.
fn hides_nothing(draft: &Draft, tenant: &TenantId, owner: &Owner) -> Result<(), Refusal> {
    let of_tenant = tenant_of(draft, tenant)?.policy.is_some();
    let of_space = match owner {
        Owner::Key(_, Key { crypto_space: Some(name), .. }) => {
            let space = draft.state().row::<CryptoSpace>(&(tenant.clone(), name.clone()));
            space.is_some_and(|space| space.policy.is_some()).then_some(name)
        }
        Owner::Key(..) | Owner::Tenant(..) | Owner::CryptoSpace(..) => None,
    };
    match (owner, of_space) {
        (Owner::Tenant(..), _) => Ok(()),
        (_, Some(name)) => Err(Refusal::HidesInherited { level: format!("crypto space {name}") }),
        (_, None) if of_tenant => Err(Refusal::HidesInherited { level: format!("tenant {tenant}") }),
        (_, None) => Ok(()),
    }
}

fn extended(policy: Option<&Policy>, rule: &Rule) -> Result<Policy, Refusal> {
    let mut policy = policy.cloned().unwrap_or_default();
    if policy.rules().any(|other| other.name == rule.name) {
        return Err(Refusal::Exists { what: "rule".into(), name: rule.name.to_string() });
    }
    policy.grants.push(rule.clone());
    within_limits(&policy)?;
    Ok(policy)
}

/// Whether a whole policy may stand: its rules legible, each name once, within the limits.
pub(super) fn check(policy: &Policy) -> Result<(), Refusal> {
    let mut names = BTreeSet::new();
    for rule in policy.rules() {
        legible(rule)?;
        if !names.insert(&rule.name) {
            return Err(Refusal::Exists { what: "rule".into(), name: rule.name.to_string() });
        }
    }
    within_limits(policy)
}

fn within_limits(policy: &Policy) -> Result<(), Refusal> {
    let rules = policy.rules().count();
    let bytes = crate::codec::encode_row(policy).len();
    if rules > POLICY_RULES_MAX || bytes > POLICY_BYTES_MAX {
        return Err(Refusal::PolicyTooLarge { rules, bytes });
    }
    Ok(())
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
