//! The groups on this replica: opened, set up and shut down in one order, and told how much room the disk has.
//!
//! Decides nothing about what is in them, and never measures the room on a thread that others wait for.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select, select_all};
use openraft::AsyncRuntime;
use openraft_rt_tokio::TokioRuntime;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::group::{Failure, Group, GroupSettings, InitialiseError, OpenError, SnapshotLimits, Timers};
use super::network::Peers;
use crate::ids::{GroupId, ReplicaId, ShardId};
use crate::store::blocking::Blocking;
use crate::store::room::{FileSystem, FreeSpace, Room};

/// The groups of this release: the system group and one shard.
pub const GROUPS: [GroupId; 2] = [GroupId::SYSTEM, ShardId::FIRST.group()];

/// How often the room on the disk is measured.
const ROOM_INTERVAL: Duration = Duration::from_secs(1);

/// What the groups of a replica are opened with.
#[derive(Debug, Clone)]
pub struct HostSettings {
    /// Which replica this is.
    pub replica: ReplicaId,
    /// The replica's data folder; group `n` lives in `groups/n` below it.
    pub folder: PathBuf,
    /// How long openraft waits.
    pub timers: Timers,
    /// How blocking work is run.
    pub blocking: Blocking,
    /// When each group writes a snapshot.
    pub limits: SnapshotLimits,
    /// Bytes of the data folder's file system below which no changes are taken.
    pub disk_reserve_bytes: u64,
    /// Who carries what the groups say to other replicas.
    pub peers: Arc<dyn Peers>,
}

/// Why the groups of a replica could not be started.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A group could not be opened.
    #[error("group {group} cannot be opened")]
    Open {
        /// Which.
        group: GroupId,
        /// Why.
        #[source]
        source: OpenError,
    },
    /// A group could not be set up.
    #[error("group {group} cannot be set up")]
    Initialise {
        /// Which.
        group: GroupId,
        /// Why.
        #[source]
        source: InitialiseError,
    },
}

/// The groups on this replica.
pub struct Host<RT: AsyncRuntime = TokioRuntime> {
    groups: BTreeMap<GroupId, Arc<Group<RT>>>,
    /// Closed when the task that measures the room is gone.
    room: watch::Receiver<Room>,
    watching: Mutex<Option<Watching<RT>>>,
}

/// The task that measures the room; it ends when its sender is dropped.
struct Watching<RT: AsyncRuntime> {
    stop: oneshot::Sender<()>,
    task: RT::JoinHandle<()>,
}

impl<RT: AsyncRuntime> Host<RT> {
    /// Opens every group, the system group first. If one cannot be opened, those before it are shut down again.
    ///
    /// # Errors
    /// [`HostError::Open`].
    pub async fn open(settings: HostSettings) -> Result<Self, HostError> {
        let space = Arc::new(FileSystem::of(&settings.folder));
        Self::open_within(settings, space).await
    }

    /// The same, with the room measured elsewhere.
    ///
    /// # Errors
    /// [`HostError::Open`].
    pub async fn open_within(settings: HostSettings, space: Arc<dyn FreeSpace>) -> Result<Self, HostError> {
        let measure = Measure { space, blocking: settings.blocking, has_failed: false };
        let (room, watching) = watch_room(measure, settings.disk_reserve_bytes).await;
        let watching = Mutex::new(Some(watching));
        let mut host = Self { groups: BTreeMap::new(), room: room.clone(), watching };
        for group in GROUPS {
            let folder = group_folder(&settings.folder, group);
            let HostSettings { replica, timers, blocking, limits, .. } = settings;
            let (room, peers) = (room.clone(), Arc::clone(&settings.peers));
            match Group::open(GroupSettings { group, replica, folder, timers, blocking, limits, room, peers }).await {
                Ok(opened) => drop(host.groups.insert(group, Arc::new(opened))),
                Err(source) => {
                    host.shutdown().await;
                    return Err(HostError::Open { group, source });
                }
            }
        }
        Ok(host)
    }

    /// Makes this replica the only voter of every group that has no membership yet, and waits until it leads them all.
    ///
    /// # Errors
    /// [`HostError::Initialise`].
    pub async fn initialise_single(&self, within: Duration) -> Result<(), HostError> {
        for (group, opened) in &self.groups {
            let elected = opened.initialise_single(within).await;
            elected.map_err(|source| HostError::Initialise { group: *group, source })?;
        }
        Ok(())
    }

    /// The system group.
    pub fn system(&self) -> &Arc<Group<RT>> {
        self.group(GroupId::SYSTEM).expect("an open host has opened the system group")
    }

    /// A shard's group, if it lives on this replica.
    pub fn shard(&self, shard: ShardId) -> Option<&Arc<Group<RT>>> {
        self.group(shard.group())
    }

    /// A group, if it lives on this replica.
    pub fn group(&self, group: GroupId) -> Option<&Arc<Group<RT>>> {
        self.groups.get(&group)
    }

    /// Every group on this replica, the system group first.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<Group<RT>>> {
        self.groups.values()
    }

    /// Waits until a group can no longer go on, or nothing measures the room any more, which is told of the system group. The
    /// process should then end.
    pub async fn failed(&self) -> (GroupId, Failure) {
        let each = self.groups.iter().map(|(group, opened)| Box::pin(async move { (*group, opened.failed().await) }));
        match select(select_all(each), pin!(self.unwatched())).await {
            Either::Left(((failed, ..), _)) => failed,
            Either::Right((failure, _)) => (GroupId::SYSTEM, failure),
        }
    }

    /// Waits until nothing measures the room any more.
    async fn unwatched(&self) -> Failure {
        let mut room = self.room.clone();
        while room.changed().await.is_ok() {}
        if self.watching.lock().is_some() { Failure::Panicked } else { Failure::Stopped }
    }

    /// Shuts every group down: the shards first, since they live by what the system group holds.
    pub async fn shutdown(&self) {
        for group in self.groups.values().rev() {
            group.shutdown().await;
        }
        let watching = self.watching.lock().take();
        if let Some(Watching { stop, task }) = watching {
            drop(stop);
            if task.await.is_err() {
                tracing::error!("the task that measures the room on the disk did not end well");
            }
        }
    }
}

/// How the room is measured.
struct Measure {
    space: Arc<dyn FreeSpace>,
    blocking: Blocking,
    /// The last measurement failed, and that was told.
    has_failed: bool,
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
                    tracing::warn!(%error, "the room on the disk cannot be measured; changes are taken or refused as before");
                }
                self.has_failed = true;
                return before;
            }
        };
        self.has_failed = false;
        let now = before.measured(space);
        match (before.shortage(), now.shortage()) {
            (None, Some(shortage)) => tracing::error!("changes are refused: {shortage}"),
            (Some(_), None) => {
                tracing::info!(space.free_bytes, "there is room on the disk again, and changes are taken");
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
        now
    }
}

/// Measures once before it returns, and from then on until it is told to stop. A disk that does not answer holds nothing else up.
async fn watch_room<RT: AsyncRuntime>(
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

/// Where a group lives below a replica's data folder.
pub fn group_folder(folder: &Path, group: GroupId) -> PathBuf {
    folder.join("groups").join(group.to_string())
}
