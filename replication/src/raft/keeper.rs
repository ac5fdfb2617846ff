//! When a group writes a snapshot, and what follows: a checkpoint of the mirror, then a purge up to the older snapshot.
//!
//! One task a group, beside openraft, whose own policy is off. Writes the snapshot itself and then has openraft take it over,
//! since openraft ends for good where one cannot be written, and a full disk is no reason to end: none is begun that would
//! take the reserve, and one that found no room is tried again, at growing pauses. Never holds a lock while a snapshot is written, and never has anything
//! purged that the older of two verified snapshots does not cover.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use futures::future::{Either, select};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{AsyncRuntime, Instant, Raft};
use tokio::sync::{oneshot, watch};

use super::config::Types;
use super::log::encode;
use super::machine::{Applied, Machine, Offered, index_of};
use super::schedule::{RETRY_PAUSE_MAX, Since, SnapshotLimits, purge_steps, retry_pauses};
use crate::ids::{GroupId, LogIndex};
use crate::store::blocking::{Blocking, Stopped};
use crate::store::log::LogStore;
use crate::store::room::Room;
use crate::store::snapshots::{SnapshotError, Snapshots};
use crate::store::state::{MirrorError, StateMirror};

/// What the task works on.
pub(super) struct Keeper<RT: AsyncRuntime> {
    pub(super) group: GroupId,
    pub(super) limits: SnapshotLimits,
    pub(super) raft: Raft<Types<RT>, Machine>,
    pub(super) log: LogStore,
    pub(super) snapshots: Snapshots,
    pub(super) mirror: StateMirror,
    pub(super) applied: watch::Receiver<Applied>,
    pub(super) room: watch::Receiver<Room>,
    pub(super) offered: Offered,
    pub(super) blocking: Blocking,
}

/// The task that writes snapshots; it ends when its sender is dropped.
pub(super) struct Running<RT: AsyncRuntime> {
    pub(super) stop: oneshot::Sender<()>,
    pub(super) task: RT::JoinHandle<()>,
}

/// The state that the last snapshot was made of.
struct Last<I> {
    index: LogIndex,
    bytes: u64,
    at: I,
}

/// What came of writing one.
enum Written<I> {
    /// It is catalogued, and offered to openraft.
    Offered(Last<I>),
    /// Another replica's covers as much or more, and was installed meanwhile: that one counts.
    Installed(Last<I>),
}

/// Why the task ends before it is told to.
enum End {
    /// The group has failed, or is ending, and says so by itself.
    Gone,
    /// The disk is in doubt: the process must end.
    Failed(SnapshotError),
}

impl From<SnapshotError> for End {
    fn from(error: SnapshotError) -> Self {
        Self::Failed(error)
    }
}

impl<RT: AsyncRuntime> Keeper<RT> {
    /// Works until `stop` is ready; what it is at is then left where it stands, which any start can go on from. What it
    /// fails of goes to `told`.
    pub(super) async fn run(self, stop: impl Future<Output = ()>, told: &watch::Sender<Option<Arc<SnapshotError>>>) {
        let mut stop = pin!(stop);
        let work = pin!(self.keep());
        if let Either::Left((end, _)) = select(work, &mut stop).await {
            if let End::Failed(error) = end {
                told.send_replace(Some(Arc::new(error)));
            }
            stop.await;
        }
    }

    /// Returns when the group can no longer go on.
    async fn keep(mut self) -> End {
        let mut last = match self.start().await {
            Ok(start) => start,
            Err(error) => return error.into(),
        };
        while self.due(&last).await.is_some() {
            last = match self.snapshot().await {
                Ok(written) => written,
                Err(end) => return end,
            };
        }
        End::Gone
    }

    /// What the newest snapshot covers.
    async fn start(&self) -> Result<Last<RT::Instant>, SnapshotError> {
        let newest = self.snapshots.reading(Snapshots::newest).await?;
        let index = newest.map_or(LogIndex(0), |newest| newest.covered);
        // every record behind it is read
        let log = self.log.clone();
        let after = self.blocking.run("ekm-log-read", move || log.bytes_after(index)).await??;
        // Wraps, as the difference that is taken from it later does.
        Ok(Last { index, bytes: self.log.written().bytes.wrapping_sub(after), at: RT::Instant::now() })
    }

    /// Waits until a snapshot is due; `None` when nothing is applied any more.
    async fn due(&mut self, last: &Last<RT::Instant>) -> Option<()> {
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
                return Some(());
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

    /// Written, handed to openraft, checkpointed, purged. Gives what was written, which may be newer than what was due.
    async fn snapshot(&mut self) -> Result<Last<RT::Instant>, End> {
        let written = match self.written().await? {
            Written::Offered(written) => written,
            Written::Installed(newest) => return Ok(newest),
        };
        let index = written.index;
        self.raft.trigger().snapshot().await.map_err(|_| End::Gone)?;
        self.reached(|metrics| metrics.snapshot.map(|at| at.index) >= Some(index.0)).await.ok_or(End::Gone)?;
        // A mirror that was not synced costs a replay from the snapshot, nothing else.
        match self.mirror.checkpoint().await {
            // Behind since an error that was told when it happened.
            Ok(()) | Err(MirrorError::Closed(Stopped)) => {}
            Err(error) => tracing::warn!(group = %self.group, %error, "the mirror was not synced with the snapshot"),
        }
        if let Some(older) = self.snapshots.reading(Snapshots::older).await? {
            self.purge(older.covered).await?;
        }
        tracing::info!(group = %self.group, %index, "a snapshot was written and verified");
        Ok(written)
    }

    /// Purges in steps, so that what is written meanwhile waits for one of them and not for all.
    async fn purge(&self, upto: LogIndex) -> Result<(), End> {
        let purged = self.raft.metrics().borrow_watched().purged.map_or(0, |at| at.index);
        for step in purge_steps(purged, upto.0) {
            self.raft.trigger().purge_log(step).await.map_err(|_| End::Gone)?;
            self.reached(|metrics| metrics.purged.map(|at| at.index) >= Some(step)).await.ok_or(End::Gone)?;
        }
        Ok(())
    }

    /// Has the published state in a catalogued snapshot and offers it to openraft; as often as it cannot
    /// be written for now, the then published one.
    async fn written(&mut self) -> Result<Written<RT::Instant>, End> {
        let mut told = false;
        let mut pauses = retry_pauses();
        loop {
            let likely_bytes = self.snapshots.reading(Snapshots::newest_bytes).await?;
            // The watcher may end with the process; then the disk itself says whether it is full.
            drop(self.room.wait_for(|room| room.has_room_for(likely_bytes)).await);
            let Applied { index, state, position, .. } = self.applied.borrow_and_update().clone();
            let written = Last { index, bytes: self.log.written().bytes, at: RT::Instant::now() };
            debug_assert_eq!(index, index_of(&position), "a state is published with its own position");
            let (snapshots, meta) = (self.snapshots.clone(), encode(&position));
            // A task of its own comes to its end when this one is told to stop; the group waits for that.
            let writing = RT::spawn(async move { snapshots.write(state, index, meta).await });
            match writing.await.unwrap_or(Err(SnapshotError::Stopped(Stopped))) {
                Ok(snapshot) => {
                    self.offered.put(position, snapshot);
                    return Ok(Written::Offered(written));
                }
                Err(SnapshotError::NotNewer { newest, .. }) => {
                    return Ok(Written::Installed(Last { index: newest, ..written }));
                }
                Err(error) if error.may_pass() => {
                    if !told {
                        let error: &(dyn std::error::Error + 'static) = &error;
                        tracing::warn!(group = %self.group, error, "a snapshot cannot be written now and is tried again; the log grows until then");
                    }
                    told = true;
                    RT::sleep(pauses.next().unwrap_or(RETRY_PAUSE_MAX)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
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

/// Starts the task. The receiver is closed when the task is gone, and has what it failed of before.
pub(super) fn keep_snapshots<RT: AsyncRuntime>(
    keeper: Keeper<RT>,
) -> (Running<RT>, watch::Receiver<Option<Arc<SnapshotError>>>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let (told, keeping) = watch::channel(None);
    let task = RT::spawn(async move {
        // Nothing is ever sent to it: the group drops its end.
        keeper.run(async { drop(stopped.await) }, &told).await;
        drop(told);
    });
    (Running { stop, task }, keeping)
}
