//! From a group to the directory: publishes its state, and how fresh it is known to be.
//!
//! Freshness is pulled: a confirmation counts from when the question was sent, and only once everything up to the
//! answer is applied here. Before the first confirmation nothing is published: a restart knows nothing for sure.
//!
//! A group that has halted confirms nothing: its answer covers an entry that cannot be applied here. What was confirmed before
//! ages. After a restart nothing was, so the state up to that entry is published without an age: it refuses nothing for
//! good, and serves only whom no age stops.

use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::directory::View;
use crate::raft::group::{Group, ReadError};

/// How often freshness is asked for: a tenth of what a final refusal may rest on.
pub const CONFIRM_EVERY: Duration = Duration::from_millis(500);

/// Publishes a group's views until the future is dropped. A change is published as soon as it is applied here, also while
/// a confirmation is waited for.
pub async fn run(group: &Group, clock: &dyn Clock, mut publish: impl FnMut(View)) {
    let mut applied = group.watch();
    let mut confirmed = confirm(group, clock).await;
    let mut confirming = std::pin::pin!(confirm_later(group, clock));
    loop {
        let latest = applied.borrow_and_update().clone();
        publish(View { state: latest.state, index: latest.index, confirmed });
        tokio::select! {
            changed = applied.changed() => if changed.is_err() { return },
            asked = &mut confirming => {
                confirmed = asked.max(confirmed);
                confirming.set(confirm_later(group, clock));
            }
        }
    }
}

async fn confirm_later(group: &Group, clock: &dyn Clock) -> Option<Moment> {
    tokio::time::sleep(CONFIRM_EVERY).await;
    confirm(group, clock).await
}

/// Asks until the group confirms that everything up to now is applied here, and gives when that question was sent; or until
/// it says that there is more than can be applied here.
async fn confirm(group: &Group, clock: &dyn Clock) -> Option<Moment> {
    loop {
        let asked = clock.now();
        match group.read_index().await {
            Ok(index) => match group.wait_applied(index).await {
                Ok(_) => return Some(asked),
                Err(ReadError::Halted { .. }) => return None,
                Err(error) => tracing::debug!(%error, "a confirmed index is not applied; asking again"),
            },
            Err(error) => tracing::debug!(%error, "a read index could not be had; asking again"),
        }
        tokio::time::sleep(CONFIRM_EVERY).await;
    }
}
