//! Changes that take something away: adopted first, active only when their stage is advanced.

use crate::machine::command::{AdoptPlan, AdvanceStage, Evidence};
use crate::machine::lifecycle::Event;
use crate::machine::outcome::{Effect, Refusal};
use crate::machine::rows::{AdoptedPlan, Change, KeyVersion, Plan, Stage};
use crate::machine::signing;
use crate::machine::state::Draft;

use super::additive::stepped;
use super::{bump, tenant_of};

pub(super) fn adopt(draft: &mut Draft, adopt: &AdoptPlan) -> Result<Effect, Refusal> {
    let AdoptPlan { plan, digest } = adopt;
    if signing::plan_digest(plan) != *digest {
        return Err(Refusal::UnknownPlan);
    }
    let current = tenant_of(draft, &plan.tenant)?.revision;
    if plan.parent != current {
        return Err(Refusal::Conflict { tenant: plan.tenant.clone(), current, planned: plan.parent });
    }
    after(draft, plan)?;
    let Change::DisableVersion { version } = plan.change;
    if draft.state().plans().values().any(|other| other.plan.change == plan.change) {
        return Err(Refusal::PlanUnsettled { version });
    }
    draft.put(*digest, AdoptedPlan { plan: plan.clone(), stage: Stage::Adopted });
    Ok(Effect::PlanAdopted { digest: *digest, revision: bump(draft, &plan.tenant)? })
}

pub(super) fn advance(draft: &mut Draft, advance: &AdvanceStage) -> Result<Effect, Refusal> {
    let AdvanceStage { digest, expected, evidence: Evidence::SingleStage } = advance;
    let adopted = draft.state().row::<AdoptedPlan>(digest).cloned().ok_or(Refusal::UnknownPlan)?;
    if adopted.stage != *expected {
        return Err(Refusal::WrongStage);
    }
    let row = after(draft, &adopted.plan)?;
    let Change::DisableVersion { version } = adopted.plan.change;
    draft.put(version, row);
    draft.remove::<AdoptedPlan>(digest);
    Ok(Effect::PlanSettled { revision: bump(draft, &adopted.plan.tenant)? })
}

/// The row that the plan writes when it settles.
fn after(draft: &Draft, plan: &Plan) -> Result<KeyVersion, Refusal> {
    let Change::DisableVersion { version } = plan.change;
    let row = match draft.state().row::<KeyVersion>(&version) {
        Some(row) if row.tenant == plan.tenant => row.as_ref().clone(),
        Some(_) | None => return Err(Refusal::UnknownVersion { tenant: plan.tenant.clone(), version }),
    };
    Ok(KeyVersion { state: stepped(version, row.state, Event::Disable)?, ..row })
}
