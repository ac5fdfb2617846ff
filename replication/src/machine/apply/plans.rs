//! Changes that take something away: adopted first, active only when their stage is advanced.
//!
//! A plan that something additive has made impossible since it was adopted is dropped when it is advanced, so that none is
//! ever under way for good.

use std::time::Duration;

use crate::ids::{RuleName, TenantId};
use crate::machine::command::{AdoptPlan, AdvanceStage, Evidence};
use crate::machine::lifecycle::Event;
use crate::machine::outcome::{Effect, Refusal};
use crate::machine::policy::{Level, Policy};
use crate::machine::rows::{
    AdoptedPlan, Alias, Change, CryptoSpace, Key, KeyVersion, Meta, Plan, QUOTA_MAX, Quota, Stage, Tenant,
};
use crate::machine::signing;
use crate::machine::state::Draft;

use super::destruction::{check_window, schedule};
use super::levels::{Owner, owner};
use super::versions::{stepped, version_of};
use super::{bump, grants, tenant_of};

pub(super) fn adopt(draft: &mut Draft, meta: &Meta, adopt: &AdoptPlan) -> Result<Effect, Refusal> {
    let AdoptPlan { plan, digest } = adopt;
    if signing::plan_digest(plan) != *digest {
        return Err(Refusal::UnknownPlan);
    }
    let current = tenant_of(draft, &plan.tenant)?.revision;
    if plan.parent != current {
        return Err(Refusal::Conflict { tenant: plan.tenant.clone(), current, planned: plan.parent });
    }
    written(draft, meta, plan)?;
    meets_none(draft, &plan.tenant, &plan.change)?;
    draft.put(*digest, AdoptedPlan { plan: plan.clone(), stage: Stage::Adopted });
    Ok(Effect::PlanAdopted { digest: *digest, revision: bump(draft, &plan.tenant)? })
}

/// Refuses a change of what a plan under way is about.
pub(super) fn meets_none(draft: &Draft, tenant: &TenantId, change: &Change) -> Result<(), Refusal> {
    let meets = |other: &AdoptedPlan| other.plan.tenant == *tenant && other.plan.change.meets(change);
    if draft.state().plans().values().any(|other| meets(other)) {
        return Err(Refusal::PlanUnsettled { what: change.to_string() });
    }
    Ok(())
}

pub(super) fn advance(draft: &mut Draft, meta: &Meta, advance: &AdvanceStage) -> Result<Effect, Refusal> {
    let AdvanceStage { digest, expected, evidence: Evidence::SingleStage } = advance;
    let adopted = draft.state().row::<AdoptedPlan>(digest).cloned().ok_or(Refusal::UnknownPlan)?;
    if adopted.stage != *expected {
        return Err(Refusal::WrongStage);
    }
    let tenant = &adopted.plan.tenant;
    let writes = written(draft, meta, &adopted.plan);
    draft.remove::<AdoptedPlan>(digest);
    match writes {
        Ok(writes) => {
            writes.put(draft);
            Ok(Effect::PlanSettled { revision: bump(draft, tenant)? })
        }
        Err(why) => Ok(Effect::PlanDropped { revision: bump(draft, tenant)?, why: Box::new(why) }),
    }
}

/// What a plan writes when it settles.
enum Writes {
    Version(crate::ids::KeyVersionId, KeyVersion),
    Scheduled(crate::ids::KeyVersionId, KeyVersion, Duration),
    WithoutAlias(crate::ids::AliasId, crate::ids::KeyVersionId, KeyVersion),
    Tenant(TenantId, Tenant),
    CryptoSpace((TenantId, crate::ids::CryptoSpaceName), CryptoSpace),
    Key((TenantId, crate::ids::KeyName), Key),
}

impl Writes {
    fn put(self, draft: &mut Draft) {
        match self {
            Self::Version(id, row) => draft.put(id, row),
            Self::Scheduled(id, row, window) => schedule(draft, id, row, window),
            Self::WithoutAlias(alias, id, row) => {
                draft.remove::<Alias>(&alias);
                draft.put(id, row);
            }
            Self::Tenant(id, row) => draft.put(id, row),
            Self::CryptoSpace(id, row) => draft.put(id, row),
            Self::Key(id, row) => draft.put(id, row),
        }
    }
}

/// What the plan writes when it settles, on the state as it is.
fn written(draft: &Draft, meta: &Meta, plan: &Plan) -> Result<Writes, Refusal> {
    let tenant = &plan.tenant;
    match &plan.change {
        Change::DisableVersion { version } => {
            let row = version_of(draft, tenant, *version)?;
            let state = stepped(*version, row.state, Event::Disable)?;
            Ok(Writes::Version(*version, KeyVersion { state, ..row }))
        }
        Change::ScheduleDestroy { version, window_seconds } => {
            let window = check_window(meta, *window_seconds)?;
            let row = version_of(draft, tenant, *version)?;
            let state = stepped(*version, row.state, Event::ScheduleDestroy)?;
            Ok(Writes::Scheduled(*version, KeyVersion { state, ..row }, window))
        }
        Change::RemoveAlias { alias } => {
            let unknown = || Refusal::UnknownAlias { tenant: tenant.clone(), alias: *alias };
            let row = draft.state().row::<Alias>(alias).filter(|row| row.tenant == *tenant).ok_or_else(unknown)?;
            let id = row.version;
            let mut version = version_of(draft, tenant, id)?;
            version.aliases.remove(alias);
            Ok(Writes::WithoutAlias(*alias, id, version))
        }
        Change::SetPolicy { level, policy } => {
            policy.as_ref().map_or(Ok(()), grants::check)?;
            with_policy(draft, tenant, level, policy.clone())
        }
        Change::RemoveRule { level, rule } => {
            let policy = without_rule(owner(draft, tenant, level)?.policy(), level, rule)?;
            with_policy(draft, tenant, level, Some(policy))
        }
        Change::SetQuota { level, quota } => {
            quota.map_or(Ok(()), check_quota)?;
            Ok(match owner(draft, tenant, level)? {
                Owner::Tenant(id, row) => Writes::Tenant(id, Tenant { quota: *quota, ..row }),
                Owner::CryptoSpace(id, row) => Writes::CryptoSpace(id, CryptoSpace { quota: *quota, ..row }),
                Owner::Key(id, row) => Writes::Key(id, Key { quota: *quota, ..row }),
            })
        }
    }
}

fn with_policy(draft: &Draft, tenant: &TenantId, level: &Level, policy: Option<Policy>) -> Result<Writes, Refusal> {
    Ok(match owner(draft, tenant, level)? {
        Owner::Tenant(id, row) => Writes::Tenant(id, Tenant { policy, ..row }),
        Owner::CryptoSpace(id, row) => Writes::CryptoSpace(id, CryptoSpace { policy, ..row }),
        Owner::Key(id, row) => Writes::Key(id, Key { policy, ..row }),
    })
}

/// A policy without one of its rules. An empty one stays a policy: it grants nothing, and inherits nothing.
fn without_rule(policy: Option<&Policy>, level: &Level, rule: &RuleName) -> Result<Policy, Refusal> {
    let mut policy = policy.cloned().unwrap_or_default();
    let before = policy.rules().count();
    policy.denies.retain(|one| one.name != *rule);
    policy.grants.retain(|one| one.name != *rule);
    if policy.rules().count() == before {
        return Err(Refusal::UnknownRule { level: level.to_string(), rule: rule.clone() });
    }
    Ok(policy)
}

fn check_quota(quota: Quota) -> Result<(), Refusal> {
    let fits = quota.per_second.get() <= QUOTA_MAX && quota.burst.get() <= QUOTA_MAX;
    if fits { Ok(()) } else { Err(Refusal::BadQuota) }
}
