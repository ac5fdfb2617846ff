//! From a group to the directory: publishes its state, and how fresh it is known to be.
//!
//! Freshness is pulled: a confirmation counts from when the question was sent, and only once everything up to the
//! answer is applied here. Before the first confirmation nothing is published: a restart knows nothing for sure.

use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::directory::View;
use crate::raft::group::Group;

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
                confirmed = asked;
                confirming.set(confirm_later(group, clock));
            }
        }
    }
}

async fn confirm_later(group: &Group, clock: &dyn Clock) -> Moment {
    tokio::time::sleep(CONFIRM_EVERY).await;
    confirm(group, clock).await
}

/// Asks until the group confirms that everything up to now is applied here; gives when that question was sent.
async fn confirm(group: &Group, clock: &dyn Clock) -> Moment {
    loop {
        let asked = clock.now();
        match group.read_index().await {
            Ok(index) => {
                if group.wait_applied(index).await.is_ok() {
                    return asked;
                }
            }
            Err(error) => tracing::debug!(%error, "a read index could not be had; asking again"),
        }
        tokio::time::sleep(CONFIRM_EVERY).await;
    }
}
