//! One Raft group on this replica: open it, propose to it, read from it, shut it down.
//!
//! Speaks in the product's own types; nothing of openraft, redb or sled shows. An answer leaves only when the entry,
//! and the committed index that covers it, are durable (see `machine.rs`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lc_rs::rand;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, InitializeError, LinearizableReadError, RaftError};
use openraft::{AsyncRuntime, Instant, Raft, ReadPolicy, ServerState};
use openraft_rt_tokio::TokioRuntime;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

pub use super::error::{Failure, InitialiseError, OpenError, ProposeError, ReadError};
pub use super::limits::{ENTRY_BYTES_MAX, PROPOSALS_MAX, READ_INDEX_WAIT_MAX};
pub use super::schedule::SnapshotLimits;
pub use super::timers::Timers;

use super::config::{Answer, Answered, EntryBytes, Member, Types};
use super::forward::{OtherLeader, Purpose};
use super::keeper::{Keeper, Running, keep_snapshots};
use super::log::RaftLog;
use super::machine::{Applied, Machine, Offered, Parts};
use super::network::{Links, Network, Peers};
use super::spread::Vouched;
use crate::codec;
use crate::ids::{GroupId, Incarnation, LogIndex, ReplicaId};
use crate::machine::digest::Digest;
use crate::machine::outcome::Outcome;
use crate::store::blocking::Blocking;
use crate::store::files::{Files, OnDisk};
use crate::store::folder;
use crate::store::log::{LogStore, Owner, Written};
use crate::store::room::{Room, Shortage};
use crate::store::snapshots::{SnapshotError, Snapshots};
use crate::store::state::{Opened, StateMirror, Use};

const LOG_FILE: &str = "log.redb";
const STATE_FOLDER: &str = "state";
const SNAPSHOTS_FOLDER: &str = "snapshots";

/// What a group is opened with.
#[derive(Debug, Clone)]
pub struct GroupSettings {
    /// Which group.
    pub group: GroupId,
    /// Which replica this is.
    pub replica: ReplicaId,
    /// The group's own folder; made with mode 0700 if it is not there.
    pub folder: PathBuf,
    /// How long openraft waits.
    pub timers: Timers,
    /// How blocking work is run.
    pub blocking: Blocking,
    /// When snapshots are written.
    pub limits: SnapshotLimits,
    /// How much room the disk has, as whoever watches it publishes.
    pub room: watch::Receiver<Room>,
    /// Who carries what the group says to other replicas.
    pub peers: Arc<dyn Peers>,
}

impl GroupSettings {
    /// Whose log it is.
    pub const fn owner(&self) -> Owner {
        Owner { group: self.group, replica: self.replica }
    }
}

/// What a proposal came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// Its entry.
    pub index: LogIndex,
    /// What the state machine decided. A refusal is an outcome too.
    pub outcome: Outcome,
}

/// One Raft group on this replica.
pub struct Group<RT: AsyncRuntime = TokioRuntime> {
    pub(super) id: GroupId,
    pub(super) replica: ReplicaId,
    /// What leads to the other replicas.
    pub(super) links: Arc<Links>,
    /// Who is answered, and how far they are.
    pub(super) vouched: Vouched<RT::Instant>,
    pub(super) raft: Raft<Types<RT>, Machine>,
    pub(super) log: LogStore,
    pub(super) mirror: StateMirror,
    pub(super) applied: watch::Receiver<Applied>,
    pub(super) room: watch::Receiver<Room>,
    pub(super) proposals: Arc<Semaphore>,
    pub(super) stopping: AtomicBool,
    rebuilt: bool,
    pub(super) snapshots: Snapshots,
    pub(super) keeper: Mutex<Option<Running<RT>>>,
    /// Closed when the task that writes snapshots is gone; what it failed of before.
    pub(super) keeping: watch::Receiver<Option<Arc<SnapshotError>>>,
    pub(super) blocking: Blocking,
}

impl<RT: AsyncRuntime> Group<RT> {
    /// Opens the group's folder, or makes it, and brings the state up to the committed index.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(settings: GroupSettings) -> Result<Self, OpenError> {
        let folder = &settings.folder;
        folder::create(folder).map_err(|source| OpenError::Folder { folder: folder.clone(), source })?;
        let log_file = folder.join(LOG_FILE);
        // an empty log in its place would have the snapshots taken for leftovers and removed
        if is_gone(&log_file) && [STATE_FOLDER, SNAPSHOTS_FOLDER].iter().any(|name| folder.join(name).exists()) {
            return Err(OpenError::LogGone { group: settings.group, log: log_file });
        }
        let log = LogStore::open_file(&log_file, settings.owner(), settings.blocking)
            .map_err(|source| OpenError::Log { folder: folder.clone(), source })?;
        Self::open_with(log, Arc::new(OnDisk), settings).await
    }

    /// Opens the group on a log that is open already, for a log that lives on a storage of the caller's.
    ///
    /// # Errors
    /// [`OpenError`].
    #[cfg(test)]
    pub(super) async fn open_on(log: LogStore, settings: GroupSettings) -> Result<Self, OpenError> {
        Self::open_with(log, Arc::new(OnDisk), settings).await
    }

    /// The same, with snapshots in files of the caller's.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(super) async fn open_with(
        log: LogStore,
        files: Arc<dyn Files>,
        settings: GroupSettings,
    ) -> Result<Self, OpenError> {
        let GroupSettings { group, replica, folder, timers, blocking, limits, room, peers } = settings;
        // before anything is voted or written, so that no store is ever known without it
        let incarnation = log.incarnation(drawn()).await;
        let incarnation = incarnation.map_err(|source| OpenError::Log { folder: folder.clone(), source })?;
        let links = Arc::new(Links::new(group, replica, incarnation, peers));
        let snapshots = Snapshots::open_on(files, &folder.join(SNAPSHOTS_FOLDER), log.clone(), blocking).await;
        let snapshots =
            snapshots.map_err(|source| OpenError::Snapshots { folder: folder.join(SNAPSHOTS_FOLDER), source })?;
        let opened = StateMirror::open(&folder.join(STATE_FOLDER), blocking)?;
        tell_of_mirror(group, &opened);
        let was_thrown_away = opened.was_thrown_away();
        let mirror = opened.mirror;
        let offered = Offered::default();
        let parts = Parts {
            group,
            durable: log.durable(),
            mirror: mirror.clone(),
            snapshots: snapshots.clone(),
            found: opened.found,
            offered: offered.clone(),
        };
        let (machine, applied) = Machine::new(parts).await?;
        let config = Arc::new(timers.raft_settings(group).validate()?);
        let raft =
            Raft::new(replica.0, config, Network { links: Arc::clone(&links) }, RaftLog::new(log.clone()), machine)
                .await;
        let raft = raft.map_err(|fatal| OpenError::Recovery(fatal.into()))?;
        let proposals = Arc::new(Semaphore::new(PROPOSALS_MAX));
        let (stopping, rebuilt) = (AtomicBool::new(false), was_thrown_away);
        let (keeper, keeping) = keep_snapshots(Keeper {
            group,
            limits,
            raft: raft.clone(),
            log: log.clone(),
            snapshots: snapshots.clone(),
            mirror: mirror.clone(),
            applied: applied.clone(),
            room: room.clone(),
            offered,
            blocking,
        });
        let keeper = Mutex::new(Some(keeper));
        Ok(Self {
            id: group,
            replica,
            links,
            vouched: Vouched::begin(RT::Instant::now()),
            raft,
            log,
            mirror,
            applied,
            room,
            proposals,
            stopping,
            rebuilt,
            snapshots,
            keeper,
            keeping,
            blocking,
        })
    }

    /// Makes this replica the group's only voter, unless the group has a membership already, and waits until it leads.
    ///
    /// # Errors
    /// [`InitialiseError`].
    pub async fn initialise_single(&self, within: Duration) -> Result<(), InitialiseError> {
        if !self.raft.is_initialized().await.map_err(Failure::from)? {
            let voters =
                BTreeMap::from([(self.replica.0, Member { address: String::new(), incarnation: self.incarnation() })]);
            match self.raft.initialize(voters).await {
                // Somebody else of this process was quicker.
                Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
                Err(RaftError::APIError(InitializeError::NotInMembers(_))) => {
                    unreachable!("the only member is this replica")
                }
                Err(RaftError::Fatal(fatal)) => return Err(Failure::from(fatal).into()),
            }
        }
        let elected = self.raft.wait(Some(within)).state(ServerState::Leader, "the only voter leads").await;
        elected.map(drop).map_err(|_| InitialiseError::NotElected { within })
    }

    /// Proposes an entry and waits, at most for `within`, until it is applied and durable.
    ///
    /// # Errors
    /// [`ProposeError`]; after [`ProposeError::Unknown`] it may have happened, after [`ProposeError::Halted`] it may
    /// yet be applied by another release, after every other it has no effect.
    pub async fn propose(&self, entry: Vec<u8>, within: Duration) -> Result<Proposed, ProposeError> {
        self.check(Purpose::Begins, &entry)?;
        self.submit(Purpose::Begins, entry, within).await
    }

    /// The same for an entry that finishes what an earlier one began, which is what the reserve on the disk is kept for.
    ///
    /// # Errors
    /// As [`Group::propose`].
    pub async fn propose_from_reserve(&self, entry: Vec<u8>, within: Duration) -> Result<Proposed, ProposeError> {
        self.check(Purpose::Finishes, &entry)?;
        self.submit(Purpose::Finishes, entry, within).await
    }

    /// Whether an entry may be proposed here.
    pub(super) fn check(&self, purpose: Purpose, entry: &[u8]) -> Result<(), ProposeError> {
        let shortage = match purpose {
            Purpose::Begins => self.shortage(),
            Purpose::Finishes => self.log.shortage(),
        };
        if let Some(shortage) = shortage {
            return Err(shortage.into());
        }
        if entry.len() > ENTRY_BYTES_MAX {
            return Err(ProposeError::TooLarge { bytes: entry.len() });
        }
        // In the log it would halt every replica, so a slip of ours must not get there.
        codec::decode_entry(entry).and_then(|signed| codec::decode_command(&signed.command))?;
        Ok(())
    }

    /// Proposes what nobody looked at, as a leader of a newer release would.
    ///
    /// # Errors
    /// As [`Group::propose`]; what cannot be decoded halts the group.
    #[cfg(any(test, feature = "testkit"))]
    pub async fn danger_propose_unread(&self, entry: Vec<u8>, within: Duration) -> Result<Proposed, ProposeError> {
        self.submit(Purpose::Begins, entry, within).await
    }

    /// Stands for election at once, as after a long silence of the leader; with a question first, as always.
    #[cfg(any(test, feature = "testkit"))]
    pub async fn danger_stand_for_election(&self) {
        // a group that has ended does not stand
        drop(self.raft.trigger().elect(true).await);
    }

    /// Has the group's own task panic, as a mistake in it would.
    #[cfg(any(test, feature = "testkit"))]
    pub async fn danger_panic(&self) {
        // there is nobody to answer: the task is gone
        let _ = self.raft.external_request(|_| panic!("planted: a task of the group panics")).await;
    }

    /// Has the task that applies panic, as a mistake in it would.
    #[cfg(any(test, feature = "testkit"))]
    pub async fn danger_panic_applying(&self) {
        let panics = self.raft.with_state_machine(|_| Box::pin(async { panic!("planted: an entry panics") }));
        // there is nobody to answer: the task is gone
        let _: Result<(), _> = panics.await;
    }

    /// Keeps the group from applying anything for as long as what this gives is kept, as a disk that does not answer would.
    #[cfg(any(test, feature = "testkit"))]
    pub fn danger_hold(&self) -> tokio::sync::oneshot::Sender<()> {
        let (hold, held) = tokio::sync::oneshot::channel::<()>();
        let raft = self.raft.clone();
        // whoever plants it waits for what it does to others
        drop(RT::spawn(async move {
            let waiting = raft.with_state_machine(|_| Box::pin(async move { drop(held.await) }));
            drop(waiting.await);
        }));
        hold
    }

    /// Whether it was told to stop.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Whether anything on the disk has failed, of the log or of the snapshots, which openraft knows nothing of; or the task that
    /// applies is gone.
    fn has_failed(&self) -> bool {
        self.raft.metrics().borrow_watched().running_state.is_err()
            || self.keeping.borrow().is_some()
            || self.applied.has_changed().is_err()
    }

    /// Has an entry ordered, here or by the leader.
    pub(super) async fn submit(
        &self,
        purpose: Purpose,
        entry: Vec<u8>,
        within: Duration,
    ) -> Result<Proposed, ProposeError> {
        let deadline = RT::Instant::now() + within;
        match self.order(entry.clone(), within).await {
            Err((_, Some(leader))) => {
                let left = deadline.saturating_duration_since(RT::Instant::now());
                self.ask_to_order(leader, purpose, entry, left).await
            }
            ordered => ordered.map_err(|(error, _)| error),
        }
    }

    /// Has an entry ordered here, if this replica leads. The error says who else does.
    pub(super) async fn order(
        &self,
        entry: Vec<u8>,
        within: Duration,
    ) -> Result<Proposed, (ProposeError, Option<OtherLeader>)> {
        let deadline = RT::Instant::now() + within;
        let place = RT::timeout_at(deadline, Arc::clone(&self.proposals).acquire_owned()).await;
        let place = place.map_err(|_| (ProposeError::Busy, None))?.map_err(|_| (ProposeError::Stopped, None))?;
        if self.stopping.load(Ordering::Acquire) || self.has_failed() {
            return Err((ProposeError::Stopped, None));
        }
        let raft = self.raft.clone();
        // A task of its own keeps its place until the entry's fate is known, however long the proposer waits.
        let fate = RT::spawn(async move {
            let fate = raft.client_write(EntryBytes(entry)).await;
            drop(place);
            fate
        });
        match RT::timeout_at(deadline, fate).await {
            Ok(Ok(Ok(written))) => proposed(written.data).map_err(|error| (error, None)),
            Ok(Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to))))) => {
                let error = ProposeError::NotLeader { leader: to.leader_id.map(ReplicaId) };
                Err((error, self.other_leader(to.leader_id, to.leader_node)))
            }
            // Out of time, lost with its leader, or caught by the end of the group: the entry may be in the log.
            Ok(Ok(Err(_)) | Err(_)) | Err(_) => Err((ProposeError::Unknown, None)),
        }
    }

    /// An index that covers everything acknowledged before this call, confirmed by a quorum within
    /// [`READ_INDEX_WAIT_MAX`]: of the leader, who is asked if it is another replica.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read_index(&self) -> Result<LogIndex, ReadError> {
        self.note_leading();
        match self.own_read_index().await {
            Err((_, Some(leader))) => self.ask_read_index(leader).await,
            read => read.map_err(|(error, _)| error),
        }
    }

    /// The same without asking another; the error says who leads.
    pub(super) async fn own_read_index(&self) -> Result<LogIndex, (ReadError, Option<OtherLeader>)> {
        match RT::timeout(READ_INDEX_WAIT_MAX, self.raft.get_read_log_id(ReadPolicy::ReadIndex)).await {
            Ok(Ok((read, _))) => Ok(LogIndex(read.index())),
            Ok(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(to)))) => {
                let error = ReadError::NotLeader { leader: to.leader_id.map(ReplicaId) };
                Err((error, self.other_leader(to.leader_id, to.leader_node)))
            }
            Err(_) | Ok(Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)))) => {
                Err((ReadError::NoQuorum, None))
            }
            Ok(Err(RaftError::Fatal(_))) => Err((ReadError::Stopped, None)),
        }
    }

    /// The state, once everything up to `index` is in it. Has no deadline of its own.
    ///
    /// # Errors
    /// [`ReadError::Halted`] or [`ReadError::Stopped`].
    pub async fn wait_applied(&self, index: LogIndex) -> Result<Applied, ReadError> {
        let mut applied = self.applied.clone();
        let reached = applied.wait_for(|applied| applied.index >= index || applied.halted.is_some()).await;
        let applied = reached.map_err(|_| ReadError::Stopped)?.clone();
        match applied.halted {
            Some(since) if applied.index < index => Err(ReadError::Halted { since }),
            _ => Ok(applied),
        }
    }

    /// The applied state, to look at and to be woken by.
    pub fn watch(&self) -> watch::Receiver<Applied> {
        self.applied.clone()
    }

    /// The digest of the applied state.
    pub fn digest(&self) -> Digest {
        self.applied.borrow().state.digest()
    }

    /// Why no changes are taken, if the disk is short of room.
    pub fn shortage(&self) -> Option<Shortage> {
        self.log.shortage().or_else(|| self.room.borrow().shortage())
    }

    /// The room on the disk that the group lives on, as last measured.
    pub fn room(&self) -> Room {
        *self.room.borrow()
    }

    /// Which group this is.
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// How much its log has written since it was opened.
    pub fn written(&self) -> Written {
        self.log.written()
    }

    /// Whether the mirror of the state was thrown away when the group was opened.
    pub fn mirror_was_rebuilt(&self) -> bool {
        self.rebuilt
    }
}

/// What became of the mirror, where it was not simply used.
fn tell_of_mirror(group: GroupId, opened: &Opened) {
    let doubt = opened.doubt.as_ref().map(tracing::field::display);
    match opened.use_made {
        Use::Kept if doubt.is_some() => {
            tracing::info!(%group, doubt, "the mirror of the applied state was thrown away and is rebuilt from the log");
        }
        Use::Kept => {}
        Use::NoRoom => {
            tracing::warn!(%group, doubt, "the disk has no room for the mirror of the applied state, which stays as it is until the next start");
        }
        Use::Removed => {
            tracing::warn!(%group, doubt, "the mirror of the applied state was thrown away, and the disk has no room for a new one until the next start");
        }
    }
}

/// A store's incarnation, should it be a new one.
fn drawn() -> Incarnation {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).expect("the generator of the operating system works, as the one for keys must");
    Incarnation::from_bytes(bytes)
}

/// Whether there is no such file, or nothing in it: a log gets its name only once it is whole.
fn is_gone(log: &Path) -> bool {
    match log.metadata() {
        Ok(found) => found.len() == 0,
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

fn proposed(answer: Answer) -> Result<Proposed, ProposeError> {
    match answer.outcome {
        Answered::Applied(outcome) => Ok(Proposed { index: answer.index, outcome }),
        Answered::Halted { since } => Err(ProposeError::Halted { since }),
        Answered::Blank => unreachable!("a proposal is a command, and a command is never answered as blank"),
    }
}
