//! The end of a key version: the group's own time, and the destruction of what it has run out for.
//!
//! Time goes on by committed ticks alone: see [`crate::machine::cluster_time`].

use std::time::Duration;

use crate::ids::KeyVersionId;
use crate::machine::command::{DestroyVersion, Tick};
use crate::machine::lifecycle::Event;
use crate::machine::outcome::{Effect, Refusal};
use crate::machine::rows::{Destruction, KeyVersion, Meta, Sealed};
use crate::machine::state::Draft;

use super::bump;
use super::versions::stepped;

/// The shortest time in which a destruction can be called off.
pub const WINDOW_MIN: Duration = Duration::from_hours(7 * 24);
/// The same in a cluster of `ekm dev`, whose keys protect nothing.
pub const DEV_WINDOW_MIN: Duration = Duration::from_secs(1);
/// The longest time in which a destruction can be called off.
pub const WINDOW_MAX: Duration = Duration::from_hours(365 * 24);

/// Checks the window of a destruction.
pub(super) fn check_window(meta: &Meta, window_seconds: u64) -> Result<Duration, Refusal> {
    let least = if meta.dev { DEV_WINDOW_MIN } else { WINDOW_MIN };
    let window = Duration::from_secs(window_seconds);
    if window < least || window > WINDOW_MAX {
        let (least_seconds, most_seconds) = (least.as_secs(), WINDOW_MAX.as_secs());
        return Err(Refusal::BadWindow { window_seconds, least_seconds, most_seconds });
    }
    Ok(window)
}

pub(super) fn tick(draft: &mut Draft, tick: &Tick) -> Result<Effect, Refusal> {
    let clock = draft.state().cluster_clock().after(tick).ok_or(Refusal::BadTick)?;
    draft.put((), clock);
    Ok(Effect::Ticked { now: clock.now })
}

/// Begins the window of a version whose destruction is scheduled, and writes down when it is due.
pub(super) fn schedule(draft: &mut Draft, version: KeyVersionId, row: KeyVersion, window: Duration) {
    let (clock, due) = draft.state().cluster_clock().begin_window(window);
    draft.put((), clock);
    draft.put((due, version), Destruction { tenant: row.tenant.clone() });
    draft.put(version, KeyVersion { destroy_at: Some(due), ..row });
}

/// Forgets when a version was due.
pub(super) fn call_off(draft: &mut Draft, version: KeyVersionId, row: &mut KeyVersion) {
    if let Some(due) = row.destroy_at.take() {
        draft.remove::<Destruction>(&(due, version));
    }
}

pub(super) fn destroy(draft: &mut Draft, destroy: &DestroyVersion) -> Result<Effect, Refusal> {
    let version = destroy.version;
    let row = draft.state().row::<KeyVersion>(&version).cloned().ok_or(Refusal::TooEarly { version })?;
    let state = stepped(version, row.state, Event::Destroy)?;
    let clock = draft.state().cluster_clock();
    if !row.destroy_at.is_some_and(|due| clock.is_past(due)) {
        return Err(Refusal::TooEarly { version });
    }
    let mut row = row.as_ref().clone();
    call_off(draft, version, &mut row);
    let tenant = row.tenant.clone();
    draft.put(version, KeyVersion { state, sealed: Sealed(Vec::new()), canary: Vec::new(), ..row });
    Ok(Effect::VersionDestroyed { revision: bump(draft, &tenant)? })
}
