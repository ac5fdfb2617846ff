//! How much room the disk under a group has, measured again and again on a thread that nobody waits for.
//!
//! Each group has its own watch, so that a disk that does not answer holds up no other group. Refuses nothing: groups do.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use openraft::AsyncRuntime;
use tokio::sync::{oneshot, watch};

use crate::ids::GroupId;
use crate::store::blocking::Blocking;
use crate::store::room::{FreeSpace, Room};

/// How often the room on the disk is measured.
const ROOM_INTERVAL: Duration = Duration::from_secs(1);

/// The task that measures the room; it ends when its sender is dropped.
pub(super) struct Watching<RT: AsyncRuntime> {
    stop: oneshot::Sender<()>,
    task: RT::JoinHandle<()>,
}

impl<RT: AsyncRuntime> Watching<RT> {
    /// Ends the watch, and says so where it did not end well.
    pub(super) async fn end(self) {
        let Self { stop, task } = self;
        drop(stop);
        if task.await.is_err() {
            tracing::error!("the task that measures the room on the disk did not end well");
        }
    }
}

/// How the room is measured.
pub(super) struct Measure {
    /// Whose room.
    pub(super) group: GroupId,
    pub(super) space: Arc<dyn FreeSpace>,
    pub(super) blocking: Blocking,
    /// The last measurement failed, and that was told.
    pub(super) has_failed: bool,
}

impl Measure {
    /// The room after one more measurement. Shortage and its end are told once each.
    ///
    /// # Panics
    /// If the measurement does.
    async fn next(&mut self, before: Room) -> Room {
        let space = Arc::clone(&self.space);
        let measuring = self.blocking.run("ekm-room", move || catch_unwind(AssertUnwindSafe(|| space.measure())));
        let measured = match measuring.await {
            Ok(measured) => measured.unwrap_or_else(|panic| resume_unwind(panic)),
            // no thread could be had
            Err(stopped) => Err(io::Error::other(stopped)),
        };
        let space = match measured {
            Ok(space) => space,
            Err(error) => {
                if !self.has_failed {
                    tracing::warn!(group = %self.group, %error, "the room on the disk cannot be measured; changes are taken or refused as before");
                }
                self.has_failed = true;
                return before;
            }
        };
        self.has_failed = false;
        let now = before.measured(space);
        match (before.shortage(), now.shortage()) {
            (None, Some(shortage)) => tracing::error!(group = %self.group, "changes are refused: {shortage}"),
            (Some(_), None) => {
                tracing::info!(group = %self.group, space.free_bytes, "there is room on the disk again, and changes are taken");
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
        now
    }
}

/// Measures once before it returns, and from then on until it is told to stop. A disk that does not answer holds nothing else up.
pub(super) async fn watch_room<RT: AsyncRuntime>(
    mut measure: Measure,
    reserve_bytes: u64,
) -> (watch::Receiver<Room>, Watching<RT>) {
    let first = measure.next(Room::unmeasured(reserve_bytes)).await;
    let (published, room) = watch::channel(first);
    let (stop, mut stopped) = oneshot::channel::<()>();
    let task = RT::spawn(async move {
        // Nothing is ever sent: the host drops its end.
        while let Either::Right(_) = select(&mut stopped, pin!(RT::sleep(ROOM_INTERVAL))).await {
            let before = *published.borrow();
            let Either::Right((now, _)) = select(&mut stopped, pin!(measure.next(before))).await else { return };
            published.send_if_modified(|room| std::mem::replace(room, now) != now);
        }
    });
    (room, Watching { stop, task })
}
