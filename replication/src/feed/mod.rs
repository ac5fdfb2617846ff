//! From a group to whoever reads its state: in the same process through the directory, on other machines over the feed.
//!
//! Freshness is pulled: a confirmation counts from when the question was sent, and only once everything up to the
//! answer is in use here. What was applied before a restart is published at once, as old as the last confirmation before it, and
//! refuses nothing for good before the first live one.
//!
//! A group that has halted confirms nothing: its answer covers an entry that cannot be applied here. What was confirmed before
//! ages.

mod clocks;
mod denied;
mod excerpt;
mod following;
mod limits;
mod listening;
mod outlet;
mod serving;
mod session;
mod stamp;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

pub use clocks::Agreement;
pub use following::{Following, KeyStoreAt, Reader};
pub use listening::listen;
pub use outlet::{Holder, Outlet};
pub use serving::{Outlets, ProcessId, ProcessKey, Sealer};
pub use stamp::Stamp;

use crate::clock::Clock;
use crate::directory::View;
use crate::freshness::{Confirmation, Finality};
use crate::ids::ReplicaId;
use crate::raft::group::Group;

/// The messages, as `build.rs` makes them of `proto/feed.proto`.
mod wire {
    #![allow(missing_docs, clippy::all, clippy::pedantic, unused_qualifications)]
    tonic::include_proto!("ekm.feed.v1");
}

/// How often freshness is asked for: a tenth of what a final refusal may rest on.
pub const CONFIRM_EVERY: Duration = Duration::from_millis(500);
/// How often in a row members that nobody announced are seen before a person is told.
const STRANGE_MAX: u32 = 20;
/// How soon it is asked for when there is news for the leader, so that a change is not waited for longer than it must be.
const NEWS_WITHIN: Duration = Duration::from_millis(10);

/// Publishes a group's views until the future is dropped. A change is published as soon as it is applied here, also while
/// a confirmation is waited for. What stands in the stamp counts until then. Nothing is confirmed while the group has members that
/// `unannounced` names: nobody signed for what they say.
pub async fn run(
    group: &Group,
    outlet: &Outlet,
    stamp: Option<&Stamp>,
    unannounced: impl Fn() -> BTreeSet<ReplicaId>,
    mut publish: impl FnMut(&View),
) {
    let mut applied = group.watch();
    if let Some(age) = stamp.and_then(|stamp| stamp.age(outlet.clock().wall())) {
        outlet.restore(age);
    }
    let mut reported = outlet.progress();
    let mut confirming = std::pin::pin!(confirm_within(group, outlet, &unannounced, Duration::ZERO));
    loop {
        let latest = applied.borrow_and_update().clone();
        let view = outlet.take(latest.index, &latest.state);
        publish(&view);
        outlet.publish(&view);
        reported.borrow_and_update();
        group.report(outlet.report());
        tokio::select! {
            changed = applied.changed() => if changed.is_err() { return },
            // the outlet lives as long as this runs
            _ = reported.changed() => {}
            confirmation = &mut confirming => {
                outlet.confirm(confirmation);
                if let (Some(stamp), Some(age)) = (stamp, outlet.age()) {
                    stamp.keep(outlet.clock().wall(), age);
                }
                confirming.set(confirm_within(group, outlet, &unannounced, CONFIRM_EVERY));
            }
        }
    }
}

/// Asks after a pause, or when there is news for the leader.
async fn confirm_within(
    group: &Group,
    outlet: &Outlet,
    unannounced: &impl Fn() -> BTreeSet<ReplicaId>,
    pause: Duration,
) -> Confirmation {
    let mut news = outlet.progress();
    news.borrow_and_update();
    let hurried = async {
        // the outlet lives as long as this is waited for
        let _ = news.changed().await;
        tokio::time::sleep(NEWS_WITHIN).await;
    };
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = hurried => {}
    }
    confirm(group, outlet.clock(), unannounced).await
}

/// Asks until the group confirms an index, and gives when that question was sent.
async fn confirm(group: &Group, clock: &dyn Clock, unannounced: &impl Fn() -> BTreeSet<ReplicaId>) -> Confirmation {
    let mut strange = 0_u32;
    loop {
        let asked = clock.now();
        let index = group.read_index().await;
        // after the answer, which the members of then gave
        let strangers = unannounced();
        match index {
            Ok(_) if !strangers.is_empty() => {
                // group 0 may be behind here for a moment
                strange = strange.saturating_add(1);
                if strange == STRANGE_MAX {
                    tracing::error!(
                        group = %group.id(), ?strangers,
                        "this group has members that no officer announced, or that are elsewhere than announced: nothing is refused for good by it. \
                         Find out who changed the membership, and stop those machines"
                    );
                }
            }
            Ok(index) => return Confirmation { asked, age: Duration::ZERO, index, finality: Finality::Whole },
            Err(error) => tracing::debug!(%error, "a read index could not be had; asking again"),
        }
        tokio::time::sleep(CONFIRM_EVERY).await;
    }
}
