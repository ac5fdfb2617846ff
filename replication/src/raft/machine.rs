//! The shell around the state machine: hands it the committed entries in order, and makes what came of them known.
//!
//! The order of one step is the same always: apply in memory, wait until the log has the committed index durable,
//! mirror, publish, answer. So nobody, neither the mirror, nor a reader, nor the proposer, ever sees a state that a
//! power cut could take back.
//!
//! An entry that cannot be decoded halts the machine: it goes on taking entries, answers `Halted` to each, and keeps its
//! own applied position where it was; that position, and never openraft's, is what the mirror, snapshots and readers
//! get. Nothing is written down about it: a restart comes to the same entry again, and a release that can decode it
//! goes on from there. Never returns an error for what an entry contains, since openraft would stop for good.

use std::collections::BTreeMap;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{AsyncRuntime, EntryPayload, OptionalSend};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::config::{Answer, Answered, Entry, Leader, LogId, Member, Replica, SnapshotMeta, StoredMembership, Types};
use super::error::OpenError;
use super::log::{encode, io_error};
use crate::ids::{GroupId, Incarnation, LogIndex};
use crate::machine::state::{RowChange, State};
use crate::store::log::Durable;
use crate::store::snapshots::{Snapshot, SnapshotError, Snapshots};
use crate::store::state::{Found, StateMirror};

/// Entries that are applied before they are mirrored, published and answered together.
const ENTRIES_PER_STEP: usize = 256;

/// The applied state, as readers get it: an immutable value, replaced as a whole.
#[derive(Debug, Clone)]
pub struct Applied {
    /// Everything up to this entry is in `state`; 0 before the first.
    pub index: LogIndex,
    /// The state.
    pub state: State,
    /// The entry that could not be decoded, if the machine has halted.
    pub halted: Option<LogIndex>,
    /// What the disk failed of, if nothing more is applied for that.
    pub(super) failed: Option<Arc<io::Error>>,
    /// Where the state stands in the log.
    pub(super) position: Position,
}

/// A catalogued snapshot on its way to openraft, which fails for good where a snapshot cannot be written. So it is written
/// first, by `keeper.rs`, and openraft is asked for one when there is one.
#[derive(Debug, Clone, Default)]
pub(super) struct Offered(Arc<Mutex<Option<(Position, Snapshot)>>>);

impl Offered {
    pub(super) fn put(&self, position: Position, snapshot: Snapshot) {
        *self.0.lock() = Some((position, snapshot));
    }
}

/// Where a state stands in the log: written with the mirror and with every snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    pub(super) applied: Option<LogId>,
    pub(super) membership: StoredMembership,
    /// By which store each replica is known that was ever a member, those that have left included: an id is never used again.
    pub(super) known: BTreeMap<Replica, Incarnation>,
}

impl Position {
    /// Takes a membership over. The first store that a replica was a member with stays the one that it is known by.
    pub(super) fn join(&mut self, membership: StoredMembership) {
        for (replica, member) in membership.membership().nodes() {
            self.known.entry(*replica).or_insert(member.incarnation);
        }
        self.membership = membership;
    }
}

/// The parts that a machine is made of.
pub(super) struct Parts {
    /// Whose machine it is.
    pub group: GroupId,
    /// What the log has durable: nothing beyond its committed index is shown.
    pub durable: watch::Receiver<Durable>,
    /// Where the rows are mirrored.
    pub mirror: StateMirror,
    /// Where snapshots are kept.
    pub snapshots: Snapshots,
    /// What the mirror held when it was opened.
    pub found: Option<Found>,
    /// The snapshot that is handed to openraft next.
    pub(super) offered: Offered,
}

impl Parts {
    /// The newest entry that the log has durable as committed, or that a snapshot covers.
    fn known(&self) -> Result<Option<LogIndex>, SnapshotError> {
        let covered = self.snapshots.newest()?.map(|snapshot| snapshot.covered);
        Ok(covered.max(self.durable.borrow().committed))
    }
}

/// The state machine as openraft sees it.
pub struct Machine {
    state: State,
    position: Position,
    halted: Option<LogIndex>,
    durable: watch::Receiver<Durable>,
    mirror: StateMirror,
    snapshots: Snapshots,
    offered: Offered,
    published: watch::Sender<Applied>,
}

impl Machine {
    /// A machine that goes on from what the mirror held. Its states are published to the receiver.
    ///
    /// A mirror whose position does not decode is another release's: it is emptied. One that is whole and ahead of the log is
    /// evidence against the log, since nothing is mirrored before the log has it durable.
    ///
    /// # Errors
    /// [`OpenError::LogBehind`], [`OpenError::Position`], [`OpenError::Mirror`] or [`OpenError::Snapshots`].
    pub(super) async fn new(mut parts: Parts) -> Result<(Self, watch::Receiver<Applied>), OpenError> {
        let refused = |source| OpenError::Snapshots { folder: parts.snapshots.folder().to_owned(), source };
        let known = parts.known().map_err(refused)?;
        let found = parts.found.take().map(|found| (found.state, postcard::from_bytes::<Position>(&found.position)));
        let (state, position) = match found {
            None => (State::empty(), Position::default()),
            Some((state, Ok(position))) if position.applied.map(index_in) <= known => (state, position),
            Some((_, Ok(position))) => {
                let (log, applied) = (known.unwrap_or(LogIndex(0)), index_of(&position));
                return Err(OpenError::LogBehind { group: parts.group, log, applied });
            }
            Some((_, Err(error))) => {
                tracing::info!(group = %parts.group, %error, "the mirror of the applied state is another release's and is emptied");
                parts.mirror.replace(State::empty(), encode(&Position::default())).await?;
                (State::empty(), Position::default())
            }
        };
        let index = index_of(&position);
        let applied = Applied { index, state: state.clone(), halted: None, failed: None, position: position.clone() };
        let (published, receiver) = watch::channel(applied);
        let machine = Self {
            state,
            position,
            halted: None,
            durable: parts.durable,
            mirror: parts.mirror,
            snapshots: parts.snapshots,
            offered: parts.offered,
            published,
        };
        Ok((machine, receiver))
    }

    /// Applies one entry in memory.
    fn take(&mut self, entry: Entry, rows: &mut Vec<RowChange>) -> Answer {
        let index = LogIndex(entry.log_id.index);
        if let Some(since) = self.halted {
            return Answer { index, outcome: Answered::Halted { since } };
        }
        let outcome = match entry.payload {
            EntryPayload::Blank => Answered::Blank,
            EntryPayload::Membership(membership) => {
                self.position.join(StoredMembership::new(Some(entry.log_id), membership));
                Answered::Blank
            }
            EntryPayload::Normal(bytes) => match self.state.apply(index, &bytes.0) {
                Ok(transition) => {
                    self.state = transition.state;
                    rows.extend(transition.rows);
                    Answered::Applied(transition.outcome)
                }
                Err(error) => {
                    tracing::error!(%index, %error, "this release cannot decode a log entry; the state stays where it is");
                    self.halted = Some(index);
                    return Answer { index, outcome: Answered::Halted { since: index } };
                }
            },
        };
        self.position.applied = Some(entry.log_id);
        Answer { index, outcome }
    }

    /// One step: in memory, durable, mirrored, published; the answers come after.
    async fn step(&mut self, entries: Vec<Entry>) -> io::Result<Vec<Answer>> {
        let last = entries.last().map(|entry| LogIndex(entry.log_id.index));
        let before = self.position.applied;
        let mut rows = Vec::new();
        let answers = entries.into_iter().map(|entry| self.take(entry, &mut rows)).collect();
        if let Some(last) = last {
            self.wait_durable(last).await?;
        }
        if self.position.applied != before {
            let record = self.mirror.record(rows, encode(&self.position), self.state.digest());
            record.await.map_err(io::Error::other)?;
        }
        self.publish();
        Ok(answers)
    }

    async fn wait_durable(&mut self, index: LogIndex) -> io::Result<()> {
        let reached = |durable: &Durable| durable.failed.is_some() || durable.committed >= Some(index);
        let durable = self.durable.wait_for(reached).await.map_err(io::Error::other)?;
        durable.failed.clone().map_or(Ok(()), |error| Err(io_error(error)))
    }

    fn publish(&self) {
        let (state, halted, position) = (self.state.clone(), self.halted, self.position.clone());
        self.published.send_replace(Applied { index: index_of(&position), state, halted, failed: None, position });
    }

    /// Says what the disk failed of before openraft drops the machine, so that its end is told from that by a panic.
    fn told<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let (kind, error) = (error.kind(), Arc::new(error));
            self.published.send_modify(|applied| applied.failed = Some(Arc::clone(&error)));
            io::Error::new(kind, error)
        })
    }

    async fn apply_all<RT, S>(&mut self, entries: S) -> io::Result<()>
    where
        RT: AsyncRuntime,
        S: Stream<Item = io::Result<EntryResponder<Types<RT>>>> + Unpin + OptionalSend,
    {
        let mut steps = pin!(entries.ready_chunks(ENTRIES_PER_STEP));
        while let Some(step) = steps.next().await {
            let step = step.into_iter().collect::<io::Result<Vec<_>>>()?;
            let (entries, waiting): (Vec<_>, Vec<_>) = step.into_iter().unzip();
            let answers = self.step(entries).await?;
            for (waiting, answer) in waiting.into_iter().zip(answers) {
                if let Some(waiting) = waiting {
                    waiting.send(answer);
                }
            }
        }
        Ok(())
    }

    async fn install(&mut self, meta: &SnapshotMeta, snapshot: Snapshot) -> io::Result<()> {
        let bytes = snapshot.meta.clone();
        let position: Position = postcard::from_bytes(&bytes).map_err(io::Error::other)?;
        if encode(&position) != bytes || meta_of(position.clone()) != *meta {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the snapshot is not the one that was announced"));
        }
        let state = self.snapshots.take_over(snapshot).await.map_err(snapshot_error)?;
        self.mirror.replace(state.clone(), bytes).await.map_err(io::Error::other)?;
        self.state = state;
        self.position = position;
        self.halted = None;
        self.publish();
        Ok(())
    }
}

pub(super) fn index_of(position: &Position) -> LogIndex {
    position.applied.map_or(LogIndex(0), index_in)
}

fn index_in(place: LogId) -> LogIndex {
    LogIndex(place.index)
}

pub(super) fn meta_of(position: Position) -> SnapshotMeta {
    SnapshotMeta { last_log_id: position.applied, last_membership: position.membership }
}

fn snapshot_error(error: SnapshotError) -> io::Error {
    io::Error::other(error)
}

/// The newest snapshot that is catalogued, as openraft sees it.
async fn newest(snapshots: &Snapshots) -> io::Result<Option<openraft::Snapshot<Leader, Replica, Member, Snapshot>>> {
    let newest = snapshots.reading(Snapshots::newest).await.map_err(snapshot_error)?;
    let newest = newest.map(|snapshot| Ok((postcard::from_bytes(&snapshot.meta)?, snapshot))).transpose();
    let newest: Option<(Position, Snapshot)> = newest.map_err(|error: postcard::Error| io::Error::other(error))?;
    Ok(newest.map(|(position, snapshot)| openraft::Snapshot { meta: meta_of(position), snapshot }))
}

impl<RT: AsyncRuntime> RaftStateMachine<Types<RT>> for Machine {
    type SnapshotData = Snapshot;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.position.applied, self.position.membership.clone()))
    }

    async fn apply<S>(&mut self, entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types<RT>>>> + Unpin + OptionalSend,
    {
        let applied = self.apply_all(entries).await;
        self.told(applied)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            state: self.state.clone(),
            position: self.position.clone(),
            snapshots: self.snapshots.clone(),
            offered: self.offered.clone(),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Snapshot) -> io::Result<()> {
        let installed = self.install(meta, snapshot).await;
        self.told(installed)
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> io::Result<Option<openraft::Snapshot<Leader, Replica, Member, Snapshot>>> {
        newest(&self.snapshots).await
    }
}

/// Hands out the snapshot that was written already, or builds one from a clone of the state, while the machine goes on.
pub struct Builder {
    state: State,
    position: Position,
    snapshots: Snapshots,
    offered: Offered,
}

impl<RT: AsyncRuntime> RaftSnapshotBuilder<Types<RT>> for Builder {
    type SnapshotData = Snapshot;

    async fn build_snapshot(&mut self) -> io::Result<openraft::Snapshot<Leader, Replica, Member, Snapshot>> {
        let offered = self.offered.0.lock().take();
        if let Some((position, snapshot)) = offered {
            return Ok(openraft::Snapshot { meta: meta_of(position), snapshot });
        }
        let written = self.snapshots.write(self.state.clone(), index_of(&self.position), encode(&self.position));
        match written.await {
            Ok(snapshot) => Ok(openraft::Snapshot { meta: meta_of(self.position.clone()), snapshot }),
            // one was installed meanwhile, or this very one was written before
            Err(error @ SnapshotError::NotNewer { .. }) => {
                newest(&self.snapshots).await?.ok_or_else(|| snapshot_error(error))
            }
            Err(error) => Err(snapshot_error(error)),
        }
    }
}
