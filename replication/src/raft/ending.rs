//! How a group ends: by a failure that is told, or by a shutdown in one order.
//!
//! Never waits without a bound: a disk that no longer answers must not keep a process from its end.

use std::pin::pin;
use std::sync::atomic::Ordering;

use futures::future::{Either, select};
use openraft::AsyncRuntime;
use openraft::async_runtime::watch::WatchReceiver;

use super::error::Failure;
use super::group::Group;
use super::keeper::Running;
use super::limits::{APPLIER_STOP_MAX, CLOSE_MAX, DRAIN_WAIT_MAX, SNAPSHOT_STOP_MAX};
use crate::store::blocking::Stopped;
use crate::store::log::LogStore;
use crate::store::state::MirrorError;

impl<RT: AsyncRuntime> Group<RT> {
    /// Waits until the group can no longer go on, and says why. Its process should then end: after a failed sync
    /// nobody knows what is on the disk.
    pub async fn failed(&self) -> Failure {
        let mut metrics = self.raft.metrics();
        let mut keeping = self.keeping.clone();
        let mut applied = self.applied.clone();
        loop {
            let state = metrics.borrow_watched().running_state.clone();
            if let Err(fatal) = state {
                return fatal.into();
            }
            if let Some(error) = keeping.borrow_and_update().clone() {
                return Failure::Storage(Box::new(error));
            }
            // openraft does not look after the task that applies: it knows of its end when it has the next entry for it
            if let Some(error) = applied.borrow_and_update().failed.clone() {
                return Failure::Storage(Box::new(error));
            }
            let is_there =
                match select(pin!(metrics.changed()), select(pin!(keeping.changed()), pin!(applied.changed()))).await {
                    Either::Left((told, _)) => told.is_ok(),
                    Either::Right((Either::Left((told, _)) | Either::Right((told, _)), _)) => told.is_ok(),
                };
            // what the applier failed of was said before it went, and is found in the next round
            if is_there || applied.borrow().failed.is_some() {
                continue;
            }
            // whatever tells of it is gone, and nobody asked it to go
            let was_asked = self.stopping.load(Ordering::Acquire);
            return if was_asked { Failure::Stopped } else { Failure::Panicked };
        }
    }

    /// Stops the group: no more proposals, then snapshots, then openraft, then the mirror with a checkpoint, then the log. The files
    /// are closed when this returns, unless the disk does not answer: it is waited for within bounds. A second call does nothing
    /// more.
    pub async fn shutdown(&self) {
        self.stopping.store(true, Ordering::Release);
        self.proposals.close();
        // Entries on their way are let through; one that nobody commits any more is in the log, for the next start.
        if let Ok(Ok(Some((last, _)))) = RT::timeout(DRAIN_WAIT_MAX, self.log.reading(LogStore::last)).await {
            let drained = self.raft.wait(Some(DRAIN_WAIT_MAX)).applied_index_at_least(Some(last), "drained").await;
            drained.map_or_else(|error| tracing::info!(group = %self.id, %error, "not drained"), drop);
        }
        // On a full disk nothing is awaited: what has no room yet was answered to nobody.
        self.log.stop_waiting();
        let keeper = self.keeper.lock().take();
        if let Some(Running { stop, task }) = keeper {
            drop(stop);
            if task.await.is_err() {
                tracing::error!(group = %self.id, "the task that writes snapshots did not end well");
            }
        }
        match RT::timeout(CLOSE_MAX, self.raft.shutdown()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(group = %self.id, %error, "a task of the group did not end well"),
            Err(_) => tracing::error!(group = %self.id, "the group's tasks wait for the disk and were left"),
        }
        // openraft does not wait for the task that applies; it is done when nobody can publish any more.
        let mut applied = self.applied.clone();
        let ended = async move { while applied.changed().await.is_ok() {} };
        if RT::timeout(APPLIER_STOP_MAX, ended).await.is_err() {
            tracing::error!(group = %self.id, "the applier did not end; what it had not mirrored is replayed at the next start");
        }
        if RT::timeout(SNAPSHOT_STOP_MAX, self.snapshots.settled()).await.is_err() {
            tracing::warn!(group = %self.id, "a snapshot was not finished; it is begun anew after the next start");
        }
        match RT::timeout(CLOSE_MAX, self.mirror.checkpoint()).await {
            // Closed by an earlier call, or behind since an error that was told when it happened.
            Ok(Ok(()) | Err(MirrorError::Closed(Stopped))) => {}
            Err(_) => {
                tracing::error!(group = %self.id, "the mirror of the applied state waits for the disk and was left");
            }
            Ok(Err(error)) => {
                tracing::error!(group = %self.id, %error, "the mirror of the applied state did not end well");
            }
        }
        let (mirror, log) = (self.mirror.clone(), self.log.clone());
        let close = self.blocking.run("ekm-close", move || {
            mirror.close();
            log.close();
        });
        if !matches!(RT::timeout(CLOSE_MAX, close).await, Ok(Ok(()))) {
            tracing::error!(group = %self.id, "the files of the group could not be closed; they are looked through at the next start");
        }
    }
}
