//! The groups on this replica: opened, set up and shut down in one order, each apart from the others.
//!
//! Without the system group there is no host. A shard that cannot be opened, or whose tasks panic, is told and left alone, and the
//! others go on. A disk that failed is no shard's own affair: what it left behind is unknown, so the process should end.
//! Decides nothing about what is in the groups.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::{Either, join_all, select, select_all};
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use openraft::AsyncRuntime;
use openraft_rt_tokio::TokioRuntime;
use parking_lot::Mutex;
use tokio::sync::watch;

pub use super::error::HostError;
use super::group::{Failure, Group, GroupSettings, OpenError, SnapshotLimits, Timers};
use super::limits::CLOSE_MAX;
use super::measure::{Measure, Watching, watch_room};
use super::network::Peers;
use super::reconcile;
use crate::causes;
use crate::ids::{GroupId, PeerAddress, ReplicaId, ShardId};
use crate::store::blocking::Blocking;
use crate::store::folder;
use crate::store::room::{FileSystem, FreeSpace, Room};

/// How often a shard that could not be had is looked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The groups of every cluster, from its founding on.
pub const GROUPS: [GroupId; 2] = [GroupId::SYSTEM, ShardId::FIRST.group()];

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
    /// Bytes of a group's file system below which it takes no changes.
    pub disk_reserve_bytes: u64,
    /// Who carries what the groups say to other replicas.
    pub peers: Arc<dyn Peers>,
    /// Where they reach this replica; `None` for one that is alone for ever.
    pub address: Option<PeerAddress>,
}

/// Where the room under each group is measured.
type Spaces = Box<dyn Fn(GroupId) -> Arc<dyn FreeSpace> + Send + Sync>;

/// The groups on this replica.
pub struct Host<RT: AsyncRuntime = TokioRuntime> {
    settings: HostSettings,
    spaces: Spaces,
    system: Arc<Group<RT>>,
    places: Mutex<BTreeMap<GroupId, Place<RT>>>,
    /// Told whenever a group is opened.
    opened: watch::Sender<()>,
    /// Held by whoever opens a group.
    opening: tokio::sync::Mutex<()>,
    stopping: AtomicBool,
    /// Whether this replica hands on what it leads.
    aside: Arc<AtomicBool>,
}

/// A replica that cannot do a leader's duties, and hands leadership to the founder of each shard until this is dropped.
#[must_use]
pub struct Aside(Arc<AtomicBool>);

impl Drop for Aside {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// One group, or what is left of it.
struct Place<RT: AsyncRuntime> {
    /// `None` if it could not be opened.
    running: Option<Running<RT>>,
    trouble: Option<Arc<HostError>>,
}

struct Running<RT: AsyncRuntime> {
    group: Arc<Group<RT>>,
    /// Closed when the task that measures the room is gone.
    room: watch::Receiver<Room>,
    watching: Option<Watching<RT>>,
}

impl<RT: AsyncRuntime> Host<RT> {
    /// Opens the system group, then every shard that it names or that has a folder. A shard that cannot be opened is told and kept
    /// as [`Host::trouble`].
    ///
    /// # Errors
    /// If the system group cannot be opened.
    pub async fn open(settings: HostSettings) -> Result<Self, HostError> {
        let folder = settings.folder.clone();
        Self::open_within(settings, move |group| Arc::new(FileSystem::of(&group_folder(&folder, group)))).await
    }

    /// The same, with the room measured elsewhere.
    ///
    /// # Errors
    /// If the system group cannot be opened.
    pub async fn open_within(
        settings: HostSettings,
        spaces: impl Fn(GroupId) -> Arc<dyn FreeSpace> + Send + Sync + 'static,
    ) -> Result<Self, HostError> {
        let spaces: Spaces = Box::new(spaces);
        let running = open_apart(&settings, &spaces, GroupId::SYSTEM).await?;
        let system = Arc::clone(&running.group);
        let places = BTreeMap::from([(GroupId::SYSTEM, Place { running: Some(running), trouble: None })]);
        let host = Self {
            settings,
            spaces,
            system,
            places: Mutex::new(places),
            opened: watch::Sender::new(()),
            opening: tokio::sync::Mutex::default(),
            stopping: AtomicBool::new(false),
            aside: Arc::default(),
        };
        let mut shards: BTreeSet<ShardId> = host.system.watch().borrow().state.shards().collect();
        shards.extend(shards_on_disk(&host.settings.folder));
        for shard in shards {
            // told, and kept as its trouble
            let _ = host.open_group(shard.group()).await;
        }
        Ok(host)
    }

    /// Makes this replica the only voter of every group that has no membership yet, and waits until it leads them. A shard that it
    /// does not come to lead is told and kept as [`Host::trouble`].
    ///
    /// # Errors
    /// [`HostError::Initialise`] of the system group.
    pub async fn initialise_single(&self, within: Duration) -> Result<(), HostError> {
        // at once, so that one that is slow costs the others nothing
        let elected = self.groups().map(|group| async move { (group.id(), group.initialise_single(within).await) });
        for (id, elected) in join_all(elected).await {
            if let Err(source) = elected {
                let error = HostError::Initialise { group: id, source };
                if id == GroupId::SYSTEM {
                    return Err(error);
                }
                self.give_up(id, error);
            }
        }
        Ok(())
    }

    /// Begins the system group of a cluster with this replica as its only voter, unless it was begun already, and waits until
    /// somebody leads it. Called on one replica of a cluster, once.
    ///
    /// # Errors
    /// [`HostError::Begin`].
    pub async fn begin_cluster(&self, within: Duration) -> Result<(), HostError> {
        self.begin(&self.system, within).await
    }

    /// Opens a shard's group if it is not open. A replica that is alone makes itself its only voter, and waits until it leads; so
    /// does the one that group 0 names as the shard's founder. Any other waits for the log. One that did not come to lead in time
    /// before serves if it does now.
    ///
    /// # Errors
    /// Why it cannot be had; the shard can be asked for again.
    pub async fn open_shard(&self, shard: ShardId, within: Duration) -> Result<Arc<Group<RT>>, Arc<HostError>> {
        let id = shard.group();
        let group = self.open_group(id).await?;
        let led = if self.settings.address.is_none() {
            let led = group.initialise_single(within).await;
            led.map_err(|source| HostError::Initialise { group: id, source })
        } else if self.begins(shard) {
            self.begin(&group, within).await
        } else {
            Ok(())
        };
        match led {
            Ok(()) => {
                self.overcome(id);
                Ok(group)
            }
            Err(error) => Err(self.give_up(id, error)),
        }
    }

    /// Whether this replica, and no other, is to begin a shard's group. A founder whose store of a shard was lost begins none in its
    /// place: something is in it, so others have its log.
    fn begins(&self, shard: ShardId) -> bool {
        let system = self.system.watch().borrow().state.clone();
        system.founder(shard) == Some(self.settings.replica) && !system.is_used(shard)
    }

    /// Begins a group with this replica as its only voter, unless it was begun already.
    async fn begin(&self, group: &Group<RT>, within: Duration) -> Result<(), HostError> {
        let error = |source| HostError::Begin { group: group.id(), source };
        let is_begun = group.raft.is_initialized().await.map_err(|fatal| error(Failure::from(fatal).into()))?;
        let address = self.settings.address.as_ref().map_or_else(String::new, ToString::to_string);
        if is_begun {
            return Ok(());
        }
        group.initialise(&BTreeMap::from([(self.settings.replica, address)]), within).await.map_err(error)
    }

    /// Opens every shard that group 0 names, and those that it will name, until the future is dropped. What cannot be opened is told
    /// and kept as [`Host::trouble`]; where that may pass, it is tried again.
    pub async fn open_named(&self, within: Duration) {
        let mut system = self.system.watch();
        loop {
            let named: Vec<ShardId> = system.borrow_and_update().state.shards().collect();
            let missing = named.into_iter().filter(|shard| {
                let may_pass = self.trouble(*shard).is_none_or(|trouble| trouble.may_pass());
                may_pass && (self.shard(*shard).is_none() || self.begins(*shard) || self.trouble(*shard).is_some())
            });
            // told, and kept as their trouble
            drop(join_all(missing.map(|shard| self.open_shard(shard, within))).await);
            let changed = RT::timeout(LOOK_AGAIN, system.changed()).await;
            if matches!(changed, Ok(Err(_))) {
                // group 0 has ended, and nothing is named any more
                return;
            }
        }
    }

    /// Keeps the membership of every group that this replica leads as group 0's registry has it, until the future is dropped.
    pub async fn reconcile(&self) {
        let (mut opened, mut begun) = (self.opened.subscribe(), BTreeSet::new());
        let mut keeping = FuturesUnordered::new();
        loop {
            opened.borrow_and_update();
            for group in self.groups() {
                if begun.insert(group.id()) {
                    keeping.push(reconcile::keep(group, self.system.watch(), Arc::clone(&self.aside)));
                }
            }
            let ended = async {
                match keeping.next().await {
                    Some(()) => {}
                    None => std::future::pending().await,
                }
            };
            if let Either::Right((Err(_), _)) = select(pin!(ended), pin!(opened.changed())).await {
                return;
            }
        }
    }

    /// Has this replica lead nothing for long, as far as the founder of each shard can lead instead.
    pub fn stand_aside(&self) -> Aside {
        self.aside.store(true, Ordering::Relaxed);
        Aside(Arc::clone(&self.aside))
    }

    async fn open_group(&self, id: GroupId) -> Result<Arc<Group<RT>>, Arc<HostError>> {
        let _one_at_a_time = self.opening.lock().await;
        if let Some(place) = self.places.lock().get(&id)
            && let Some(running) = &place.running
        {
            return match &place.trouble {
                Some(trouble) if !trouble.may_pass() => Err(Arc::clone(trouble)),
                Some(_) | None => Ok(Arc::clone(&running.group)),
            };
        }
        match open_apart(&self.settings, &self.spaces, id).await {
            Ok(running) => {
                let group = Arc::clone(&running.group);
                self.places.lock().insert(id, Place { running: Some(running), trouble: None });
                self.opened.send_replace(());
                Ok(group)
            }
            Err(error) => Err(self.give_up(id, error)),
        }
    }

    /// Forgets a trouble that has passed.
    fn overcome(&self, id: GroupId) {
        if let Some(place) = self.places.lock().get_mut(&id)
            && place.trouble.as_ref().is_some_and(|trouble| trouble.may_pass())
        {
            place.trouble = None;
            tracing::info!(group = %id, "this shard serves after all");
        }
    }

    /// Keeps and tells why a shard does not serve.
    fn give_up(&self, id: GroupId, error: HostError) -> Arc<HostError> {
        let error = Arc::new(error);
        let why = causes::in_one_line(error.as_ref());
        tracing::error!(group = %id, "this shard does not serve: {why}");
        let mut places = self.places.lock();
        places.entry(id).or_insert(Place { running: None, trouble: None }).trouble = Some(Arc::clone(&error));
        error
    }

    /// Whether no other replica reaches this one, ever.
    pub const fn is_alone(&self) -> bool {
        self.settings.address.is_none()
    }

    /// Which replica this is.
    pub const fn replica(&self) -> ReplicaId {
        self.settings.replica
    }

    /// The system group.
    pub const fn system(&self) -> &Arc<Group<RT>> {
        &self.system
    }

    /// A shard's group, if it lives on this replica. One that has failed still shows what it had applied.
    pub fn shard(&self, shard: ShardId) -> Option<Arc<Group<RT>>> {
        self.group(shard.group())
    }

    /// A group, if it lives on this replica.
    pub fn group(&self, group: GroupId) -> Option<Arc<Group<RT>>> {
        Some(Arc::clone(&self.places.lock().get(&group)?.running.as_ref()?.group))
    }

    /// Every group that was opened on this replica, the system group first.
    pub fn groups(&self) -> impl DoubleEndedIterator<Item = Arc<Group<RT>>> + use<RT> {
        let places = self.places.lock();
        let open = places.values().filter_map(|place| Some(Arc::clone(&place.running.as_ref()?.group)));
        open.collect::<Vec<_>>().into_iter()
    }

    /// Where a group lives on this replica's disk.
    pub fn folder_of(&self, group: GroupId) -> PathBuf {
        group_folder(&self.settings.folder, group)
    }

    /// Every shard that was looked for here, whether it serves or not.
    pub fn shards(&self) -> Vec<ShardId> {
        self.places.lock().keys().filter_map(|group| ShardId::of(*group)).collect()
    }

    /// Why a shard does not serve, if it does not.
    pub fn trouble(&self, shard: ShardId) -> Option<Arc<HostError>> {
        self.places.lock().get(&shard.group())?.trouble.clone()
    }

    /// Waits until the process should end: since a disk failed, under whichever group, or since the system group can no longer go on.
    /// A shard of which no more than a task has failed is told and left alone meanwhile.
    pub async fn failed(&self) -> (GroupId, Failure) {
        let mut opened = self.opened.subscribe();
        loop {
            opened.borrow_and_update();
            let each = self.alive().into_iter().map(|(id, group, room)| Box::pin(ended(id, group, room)));
            let (id, failure) = match select(select_all(each), pin!(opened.changed())).await {
                Either::Left(((failed, ..), _)) => failed,
                Either::Right(_) => continue,
            };
            match failure {
                Failure::Panicked | Failure::Stopped
                    if id != GroupId::SYSTEM && !self.stopping.load(Ordering::Acquire) =>
                {
                    self.give_up(id, HostError::Failed { group: id, source: failure });
                }
                failure => return (id, failure),
            }
        }
    }

    /// The groups that run, with the room under each.
    fn alive(&self) -> Vec<(GroupId, Arc<Group<RT>>, watch::Receiver<Room>)> {
        let places = self.places.lock();
        let is_over = |place: &&Place<RT>| matches!(place.trouble.as_deref(), Some(HostError::Failed { .. }));
        let running = places.iter().filter(|(_, place)| !is_over(place));
        running
            .filter_map(|(id, place)| {
                let running = place.running.as_ref()?;
                Some((*id, Arc::clone(&running.group), running.room.clone()))
            })
            .collect()
    }

    /// Shuts every group down: the shards first, since they live by what the system group holds.
    pub async fn shutdown(&self) {
        self.stopping.store(true, Ordering::Release);
        // one whose disk does not answer is not waited for: nothing of it is under way yet
        let opening = RT::timeout(CLOSE_MAX, self.opening.lock()).await;
        if opening.is_err() {
            tracing::error!("a shard that is being opened waits for the disk and was left");
        }
        for group in self.groups().rev() {
            group.shutdown().await;
        }
        let watching: Vec<_> = {
            let mut places = self.places.lock();
            places.values_mut().filter_map(|place| place.running.as_mut()?.watching.take()).collect()
        };
        for watching in watching {
            watching.end().await;
        }
    }
}

/// Waits until a group can no longer go on, or nothing measures the room under it any more.
async fn ended<RT: AsyncRuntime>(
    id: GroupId,
    group: Arc<Group<RT>>,
    mut room: watch::Receiver<Room>,
) -> (GroupId, Failure) {
    let unwatched = async { while room.changed().await.is_ok() {} };
    match select(pin!(group.failed()), pin!(unwatched)).await {
        Either::Left((failure, _)) => (id, failure),
        Either::Right(_) if group.is_stopping() => (id, Failure::Stopped),
        Either::Right(_) => (id, Failure::Panicked),
    }
}

/// Opens a group; a panic on the way is its own affair.
async fn open_apart<RT: AsyncRuntime>(
    settings: &HostSettings,
    spaces: &Spaces,
    group: GroupId,
) -> Result<Running<RT>, HostError> {
    let opening = AssertUnwindSafe(open_one(settings, spaces, group)).catch_unwind();
    match opening.await {
        Ok(Ok(running)) => Ok(running),
        Ok(Err(source)) => Err(HostError::Open { group, source }),
        Err(_) => Err(HostError::Panicked { group }),
    }
}

async fn open_one<RT: AsyncRuntime>(
    settings: &HostSettings,
    spaces: &Spaces,
    group: GroupId,
) -> Result<Running<RT>, OpenError> {
    let HostSettings { replica, timers, blocking, limits, disk_reserve_bytes, .. } = *settings;
    let folder = group_folder(&settings.folder, group);
    folder::create(&folder).map_err(|source| OpenError::Folder { folder: folder.clone(), source })?;
    let measure = Measure { group, space: spaces(group), blocking, has_failed: false };
    let (room, watching) = watch_room(measure, disk_reserve_bytes).await;
    let (peers, watched) = (Arc::clone(&settings.peers), room.clone());
    let parts = GroupSettings { group, replica, folder, timers, blocking, limits, room: watched, peers };
    match Group::open(parts).await {
        Ok(group) => Ok(Running { group: Arc::new(group), room, watching: Some(watching) }),
        Err(error) => {
            watching.end().await;
            Err(error)
        }
    }
}

/// The shards that have a folder below a replica's data folder, whoever knows of them.
pub fn shards_on_disk(folder: &Path) -> BTreeSet<ShardId> {
    let entries = std::fs::read_dir(folder.join("groups")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Where a group lives below a replica's data folder.
pub fn group_folder(folder: &Path, group: GroupId) -> PathBuf {
    folder.join("groups").join(group.to_string())
}
