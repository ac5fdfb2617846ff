//! Deny entries that hold no more, in group 0. The entries themselves are in no log.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::ids::DenyId;
use crate::machine::command::LiftDeny;
use crate::machine::outcome::{Effect, Refusal};
use crate::machine::rows::{Lift, Placement};
use crate::machine::state::Draft;

/// Most lifts that are kept at the same time.
pub const LIFTS_MAX: usize = 4096;

/// How long after its entry's end a lift is kept: by far more than clocks differ.
const KEPT_FOR: Duration = Duration::from_hours(48);

pub(super) fn lift(draft: &mut Draft, lift: &LiftDeny, at: Timestamp) -> Result<Effect, Refusal> {
    let LiftDeny { tenant, entry, expires_at } = lift.clone();
    if draft.state().row::<Placement>(&tenant).is_none() {
        return Err(Refusal::UnknownTenant { tenant });
    }
    if draft.state().row::<Lift>(&entry).is_some() {
        return Err(Refusal::DenyLifted { entry });
    }
    for ended in ended(draft, at) {
        draft.remove::<Lift>(&ended);
    }
    let count = draft.state().lifts().len();
    if count >= LIFTS_MAX {
        return Err(Refusal::TooMany {
            owner: "the cluster".to_owned(),
            what: "deny entries that were lifted before they ended".to_owned(),
            count,
            remedy: "wait until some have ended, and let entries end by themselves".to_owned(),
        });
    }
    draft.put(entry, Lift { tenant, expires_at });
    Ok(Effect::DenyLifted)
}

fn ended(draft: &Draft, at: Timestamp) -> Vec<DenyId> {
    let kept_for = u64::try_from(KEPT_FOR.as_millis()).unwrap_or(u64::MAX);
    let is_over = |lift: &Lift| lift.expires_at.0.saturating_add(kept_for) < at.0;
    draft.state().lifts().iter().filter(|(_, lift)| is_over(lift)).map(|(entry, _)| *entry).collect()
}
