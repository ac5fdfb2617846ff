//! Deny entries that hold no more, in group 0. The entries themselves are in no log, so one may be lifted that this replica has never
//! heard of.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::ids::{DenyId, TenantId};
use crate::machine::command::LiftDeny;
use crate::machine::deny::DENY_MAX;
use crate::machine::outcome::{Effect, Refusal};
use crate::machine::rows::{Lift, Placement};
use crate::machine::state::Draft;

/// Most lifts of a tenant that are kept at the same time.
pub const LIFTS_MAX: usize = 256;

/// How long a lift is kept: an entry that was made before has ended by then, and clocks differ by far less than what is added.
const KEPT_FOR: Duration = DENY_MAX.saturating_add(Duration::from_hours(48));

pub(super) fn lift(draft: &mut Draft, lift: &LiftDeny, at: Timestamp) -> Result<Effect, Refusal> {
    let LiftDeny { tenant, entry } = lift.clone();
    if draft.state().row::<Placement>(&tenant).is_none() {
        return Err(Refusal::UnknownTenant { tenant });
    }
    let key = (tenant.clone(), entry);
    if draft.state().row::<Lift>(&key).is_some() {
        return Err(Refusal::DenyLifted { entry });
    }
    for done in outlived(draft, at) {
        draft.remove::<Lift>(&done);
    }
    has_room(draft, &tenant)?;
    draft.put(key, Lift { lifted_at: at });
    Ok(Effect::DenyLifted)
}

fn has_room(draft: &Draft, tenant: &TenantId) -> Result<(), Refusal> {
    let count = draft.state().lifts().keys().filter(|(owner, _)| owner == tenant).count();
    if count < LIFTS_MAX {
        return Ok(());
    }
    Err(Refusal::TooMany {
        owner: format!("tenant {tenant}"),
        what: "deny entries that were lifted of late".to_owned(),
        count,
        remedy: "let entries end by themselves".to_owned(),
    })
}

fn outlived(draft: &Draft, at: Timestamp) -> Vec<(TenantId, DenyId)> {
    let kept_for = u64::try_from(KEPT_FOR.as_millis()).unwrap_or(u64::MAX);
    let is_outlived = |lift: &Lift| lift.lifted_at.0.saturating_add(kept_for) < at.0;
    draft.state().lifts().iter().filter(|(_, lift)| is_outlived(lift)).map(|(key, _)| key.clone()).collect()
}
