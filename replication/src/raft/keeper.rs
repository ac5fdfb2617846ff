//! When a group writes a snapshot, and what follows: a checkpoint of the mirror, then a purge up to the older snapshot.
//!
//! One task a group, beside openraft, whose own policy is off. Never holds a lock while a snapshot is written, and never
//! has anything purged that the older of two verified snapshots does not cover.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{AsyncRuntime, Instant, Raft};
use tokio::sync::watch;

use super::config::Types;
use super::machine::{Applied, Machine};
use crate::ids::{GroupId, LogIndex};
use crate::store::blocking::Stopped;
use crate::store::log::LogStore;
use crate::store::snapshots::{SnapshotError, Snapshots};
use crate::store::state::{MirrorError, StateMirror};

/// Entries after which a group writes a snapshot: some seconds of replay.
pub const SNAPSHOT_ENTRIES: u64 = 65_536;
/// Bytes of entries after which a group writes a snapshot.
pub const SNAPSHOT_BYTES: u64 = 64 * 1024 * 1024;
/// How long anything applied may stand in the log alone.
pub const SNAPSHOT_INTERVAL: Duration = Duration::from_hours(1);

/// When a group writes a snapshot: as soon as one of these is reached since the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotLimits {
    /// Entries.
    pub entries: u64,
    /// Bytes of entries.
    pub bytes: u64,
    /// Time, if there was any entry; counted from the start of the group at the latest.
    pub interval: Duration,
}

impl Default for SnapshotLimits {
    fn default() -> Self {
        Self { entries: SNAPSHOT_ENTRIES, bytes: SNAPSHOT_BYTES, interval: SNAPSHOT_INTERVAL }
    }
}

/// What was applied since the last snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Since {
    entries: u64,
    bytes: u64,
    elapsed: Duration,
}

impl SnapshotLimits {
    fn reached(&self, since: Since) -> bool {
        since.entries > 0
            && (since.entries >= self.entries || since.bytes >= self.bytes || since.elapsed >= self.interval)
    }
}

/// What the task works on.
pub(super) struct Keeper<RT: AsyncRuntime> {
    pub(super) group: GroupId,
    pub(super) limits: SnapshotLimits,
    pub(super) raft: Raft<Types<RT>, Machine>,
    pub(super) log: LogStore,
    pub(super) snapshots: Snapshots,
    pub(super) mirror: StateMirror,
    pub(super) applied: watch::Receiver<Applied>,
}

/// The state that the last snapshot, or the last try to write one, was made of.
struct Last<I> {
    index: LogIndex,
    bytes: u64,
    at: I,
}

impl<RT: AsyncRuntime> Keeper<RT> {
    /// Works until `stop` is ready; what it is at is then left where it stands, which any start can go on from.
    pub(super) async fn run(self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let work = pin!(self.keep());
        if let Either::Left(_) = select(work, &mut stop).await {
            // The group has failed, and says so by itself.
            stop.await;
        }
    }

    /// Returns when the group can no longer go on.
    async fn keep(mut self) {
        let mut last = match self.start() {
            Ok(start) => start,
            Err(error) => return self.told(&error),
        };
        while let Some(next) = self.due(&last).await {
            last = next;
            if self.snapshot(last.index).await.is_none() {
                return;
            }
        }
    }

    fn told(&self, error: &SnapshotError) {
        let error: &(dyn std::error::Error + 'static) = error;
        tracing::error!(group = %self.group, error, "the snapshots cannot be read and the log only grows");
    }

    /// What the newest snapshot covers.
    fn start(&self) -> Result<Last<RT::Instant>, SnapshotError> {
        let index = self.snapshots.newest()?.map_or(LogIndex(0), |newest| newest.covered);
        let after = self.log.bytes_after(index)?;
        // Wraps, as the difference that is taken from it later does.
        Ok(Last { index, bytes: self.log.written().bytes.wrapping_sub(after), at: RT::Instant::now() })
    }

    /// Waits until a snapshot is due, and says of what; `None` when nothing is applied any more.
    async fn due(&mut self, last: &Last<RT::Instant>) -> Option<Last<RT::Instant>> {
        loop {
            let next = Last {
                index: self.applied.borrow_and_update().index,
                bytes: self.log.written().bytes,
                at: RT::Instant::now(),
            };
            let since = Since {
                entries: next.index.0.saturating_sub(last.index.0),
                bytes: next.bytes.wrapping_sub(last.bytes),
                elapsed: next.at - last.at,
            };
            if self.limits.reached(since) {
                return Some(next);
            }
            let changed = pin!(self.applied.changed());
            let waited = if since.entries > 0 {
                let tick = pin!(RT::sleep_until(last.at + self.limits.interval));
                match select(changed, tick).await {
                    Either::Left((changed, _)) => changed,
                    Either::Right(((), _)) => Ok(()),
                }
            } else {
                changed.await
            };
            waited.ok()?;
        }
    }

    /// Written, checkpointed, purged; `None` if the group has failed.
    async fn snapshot(&self, index: LogIndex) -> Option<()> {
        self.raft.trigger().snapshot().await.ok()?;
        self.reached(|metrics| metrics.snapshot.map(|at| at.index) >= Some(index.0)).await?;
        // A mirror that was not synced costs a replay from the snapshot, nothing else.
        match self.mirror.checkpoint().await {
            // Behind since an error that was told when it happened.
            Ok(()) | Err(MirrorError::Closed(Stopped)) => {}
            Err(error) => tracing::warn!(group = %self.group, %error, "the mirror was not synced with the snapshot"),
        }
        match self.snapshots.older() {
            Ok(Some(older)) => self.raft.trigger().purge_log(older.covered.0).await.ok()?,
            Ok(None) => {}
            Err(error) => self.told(&error),
        }
        tracing::info!(group = %self.group, %index, "a snapshot was written and verified");
        Some(())
    }

    async fn reached(&self, wanted: impl Fn(&openraft::RaftMetrics<Types<RT>>) -> bool) -> Option<()> {
        let mut metrics = self.raft.metrics();
        loop {
            {
                let seen = metrics.borrow_watched();
                if wanted(&seen) {
                    return Some(());
                }
                if seen.running_state.is_err() {
                    return None;
                }
            }
            metrics.changed().await.ok()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_due_when_one_limit_is_reached_and_anything_was_applied() {
        let limits = SnapshotLimits { entries: 10, bytes: 100, interval: Duration::from_mins(1) };
        let table = [
            (0, 0, 0, false),
            (0, 1000, 600, false),
            (1, 0, 0, false),
            (9, 99, 59, false),
            (10, 0, 0, true),
            (11, 0, 0, true),
            (1, 100, 0, true),
            (1, 0, 60, true),
            (9, 99, 61, true),
        ];
        for (entries, bytes, seconds, due) in table {
            let since = Since { entries, bytes, elapsed: Duration::from_secs(seconds) };
            assert_eq!(limits.reached(since), due, "{since:?}");
        }
        assert!(!SnapshotLimits::default().reached(Since { entries: 1, bytes: 70_000, elapsed: Duration::ZERO }));
    }
}
