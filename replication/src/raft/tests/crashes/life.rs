//! A replica's stores, used as a group uses them and in the same order, on a disk that crashes.
//!
//! Log, vote, committed index, purges, snapshots and the state machine are the product's own; openraft's own recovery
//! brings them up. Chance says what is asked next. What was asked and answered goes into the story.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use futures::{FutureExt, stream};
use imbl::OrdMap;
use openraft::StorageHelper;
use openraft::storage::{RaftLogReader, RaftLogStorage, RaftSnapshotBuilder, RaftStateMachine};
use tokio::sync::watch;

use super::model::{Content, Mirrored, Story, Violation};
use super::world::{LOG, OWNER, SNAPSHOTS, Slip, World, only_voter};
use crate::ids::LogIndex;
use crate::raft::config::{Entry, EntryBytes, Leader, LogId, Payload, TokioTypes, Vote};
use crate::raft::log::{RaftLog, encode};
use crate::raft::machine::{Applied, Machine, Offered, Parts, Position};
use crate::store::blocking::Blocking;
use crate::store::files::Files;
use crate::store::log::{LogError, LogStore};
use crate::store::snapshots::Snapshots;
use crate::store::state::Found;
use crate::testkit::disk::Fault;
use crate::testkit::{Dice, Disk};

/// What has failed, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Well,
    /// Nothing may be acknowledged any more.
    LogFailed,
    /// The group ends; its log may still work.
    SnapshotFailed,
}

/// The stores, open.
pub(super) struct Life<'w> {
    world: &'w World,
    disk: Disk,
    log: LogStore,
    raft_log: RaftLog,
    machine: Machine,
    snapshots: Snapshots,
    applied: watch::Receiver<Applied>,
    pub(super) story: Story,
    health: Health,
}

fn broken(what: &'static str) -> impl Fn(&dyn std::error::Error) -> Violation {
    move |error| {
        let mut told = format!("{what}: {error}");
        let mut source = error.source();
        while let Some(error) = source {
            told = format!("{told}: {error}");
            source = error.source();
        }
        Violation(told)
    }
}

impl<'w> Life<'w> {
    /// Opens what a crash after so many operations left of a story, compares it, and brings the state up.
    pub(super) fn open(
        world: &'w World,
        disk: Disk,
        before: &Story,
        operations: u64,
        dice: &mut Dice,
    ) -> Result<Self, Violation> {
        let opening = disk.operations();
        let log = LogStore::open(disk.file(Path::new(LOG)), OWNER, Blocking::Inline)
            .map_err(|error| broken("the log does not open")(&error))?;
        let files = Arc::new(disk.clone());
        let snapshots = now(Snapshots::open_on(files, Path::new(SNAPSHOTS), log.clone(), Blocking::Inline))
            .map_err(|error| broken("the snapshots do not open")(&error))?;
        let found = content(&log, &snapshots)?;
        before.must_hold(operations, &found)?;
        let mut story = Story::new(found, before.states().clone());
        let mirrored = before.mirror(operations, dice);
        story.mirrored(opening, mirrored.clone());
        let parts = Parts {
            group: OWNER.group,
            durable: log.durable(),
            mirror: world.mirror.clone(),
            snapshots: snapshots.clone(),
            found: mirrored.map(|Mirrored { state, position }| Found { state, position }),
            offered: Offered::default(),
        };
        let (mut machine, applied) =
            now(Machine::new(parts)).map_err(|error| broken("the state does not open")(&error))?;
        let mut raft_log = RaftLog::new(log.clone());
        now(StorageHelper::<TokioTypes, _, _>::new(&mut raft_log, &mut machine).with_id(1).get_initial_state())
            .map_err(|error| broken("the state is not brought up")(&error))?;
        let mut life = Self { world, disk, log, raft_log, machine, snapshots, applied, story, health: Health::Well };
        life.check_state()?;
        life.mirrored();
        Ok(life)
    }

    /// The state is that of the plain replay, as far as entries are committed.
    fn check_state(&self) -> Result<(), Violation> {
        let committed = self.story.now().committed;
        let applied = self.applied.borrow();
        let (index, digest) = (applied.index, applied.state.digest());
        let wanted = LogIndex(committed.map_or(0, |at| at.index));
        if index != wanted {
            return Err(Violation(format!("entries up to {wanted} are committed, and up to {index} are applied")));
        }
        let replayed = self.story.digest(committed.map(|at| at.index));
        if digest == replayed {
            Ok(())
        } else {
            Err(Violation(format!("the state at {index} is not that of a replay")))
        }
    }

    /// Asks for something, as chance has it. `false` if a write failed, after which nothing more is asked.
    pub(super) fn step(&mut self, dice: &mut Dice) -> Result<bool, Violation> {
        let tail = self.story.now().tail();
        match dice.below(12) {
            0 => self.vote(),
            1 => self.snapshot(),
            2 | 3 if tail > 0 => self.truncate(),
            4 if tail == 0 => self.append(dice),
            _ => {
                if tail == 0 || dice.one_in(2) {
                    self.append(dice);
                }
                self.commit(dice);
            }
        }
        if self.health == Health::Well {
            let found = content(&self.log, &self.snapshots)?;
            self.story.must_hold(self.disk.operations(), &found)?;
            self.check_state()?;
        }
        Ok(self.health == Health::Well)
    }

    /// Closes the log, as at an orderly end.
    pub(super) fn close(self) -> (Disk, Story) {
        self.log.close();
        (self.disk, self.story)
    }

    /// Nothing is acknowledged after a write that failed. A disk that was full may have room again.
    pub(super) fn accepts_nothing_more(&mut self, fault: Fault) -> Result<(), Violation> {
        if fault == Fault::Full || self.health != Health::LogFailed {
            return Ok(());
        }
        let vote = Vote { leader_id: Leader { term: u64::MAX, node_id: 1 }, committed: true };
        match now(RaftLogStorage::<TokioTypes>::save_vote(&mut self.raft_log, &vote)) {
            Ok(()) => Err(Violation("a vote was acknowledged after a write that failed".into())),
            Err(_) => Ok(()),
        }
    }

    /// Has a change done, and notes when it was asked for and acknowledged.
    fn change<E>(&mut self, after: Content, work: impl FnOnce(&mut Self) -> Result<(), E>) {
        let begun = self.disk.operations();
        self.story.asks(begun, after);
        match work(self) {
            Ok(()) => self.story.acknowledged(self.disk.operations()),
            Err(_) => self.health = Health::LogFailed,
        }
    }

    fn position(&mut self) -> Position {
        let applied = now(RaftStateMachine::<TokioTypes>::applied_state(&mut self.machine));
        let (applied, membership) = applied.expect("memory does not fail");
        let mut position = Position { applied, ..Position::default() };
        position.join(membership);
        position
    }

    /// Notes what the mirror was handed.
    fn mirrored(&mut self) {
        let position = encode(&self.position());
        let state = self.applied.borrow().state.clone();
        self.story.mirrored(self.disk.operations(), Some(Mirrored { state, position }));
    }

    fn vote(&mut self) {
        if self.health != Health::Well {
            return;
        }
        let term = self.story.now().vote.map_or(1, |vote| vote.leader_id.term + 1);
        let vote = Vote { leader_id: Leader { term, node_id: 1 }, committed: true };
        let after = Content { vote: Some(vote), ..self.story.now().clone() };
        let slip = self.world.slip;
        self.change(after, |life| match slip {
            Slip::VoteForgotten => Ok(()),
            _ => now(RaftLogStorage::<TokioTypes>::save_vote(&mut life.raft_log, &vote)),
        });
    }

    fn append(&mut self, dice: &mut Dice) {
        for _ in 0..=dice.below(2) {
            let after = self.story.now();
            let index = after.last().map_or(0, |last| last.index + 1);
            let term = after.vote.map_or(0, |vote| vote.leader_id.term);
            let payload = match index {
                0 => only_voter(),
                1 | 2 => Payload::Normal(EntryBytes(self.world.command(index - 1))),
                _ if dice.one_in(3) => Payload::Blank,
                _ => Payload::Normal(EntryBytes(self.world.command(index))),
            };
            self.append_one(&Entry { log_id: LogId::new(Leader { term, node_id: 1 }, index), payload });
        }
    }

    fn append_one(&mut self, entry: &Entry) {
        if self.health != Health::Well {
            return;
        }
        let mut after = self.story.now().clone();
        after.entries.insert(entry.log_id.index, entry.clone());
        let begun = self.disk.operations();
        let bytes = encode(&(entry.log_id, &entry.payload));
        // Acknowledged at the moment that the store says so, not when it returns.
        let told = Arc::new(OnceLock::new());
        self.change(after, |life| {
            let (disk, telling) = (life.disk.clone(), Arc::clone(&told));
            let done = Box::new(move |result: Result<(), LogError>| {
                telling.set((disk.operations(), result)).expect("a write is answered once");
            });
            now(life.log.append(vec![(entry.log_id.index, bytes)], done)).map_err(drop)?;
            told.get().ok_or(())?.1.as_ref().map(drop).map_err(drop)
        });
        if let Some((operations, Ok(()))) = told.get() {
            let early = self.world.slip == Slip::EarlyAcknowledgement;
            self.story.acknowledged(if early { begun } else { *operations });
        }
    }

    /// Commits some of the tail, has it durable, applies it, and answers.
    fn commit(&mut self, dice: &mut Dice) {
        if self.health != Health::Well {
            return;
        }
        let first = self.story.now().committed.map_or(0, |at| at.index + 1);
        let tail: Vec<_> = self.story.now().entries.range(first..).map(|(_, entry)| entry.clone()).collect();
        let count = if dice.one_in(3) { dice.below(tail.len() as u64) + 1 } else { tail.len() as u64 };
        let entries: Vec<_> = tail.into_iter().take(usize::try_from(count).unwrap_or(usize::MAX)).collect();
        let Some(last) = entries.last().map(|entry| entry.log_id) else { return };
        for entry in &entries {
            self.story.replays(entry);
        }
        let after = Content { committed: Some(last), ..self.story.now().clone() };
        self.change(after, |life| {
            now(RaftLogStorage::<TokioTypes>::save_committed(&mut life.raft_log, Some(last)))?;
            let entries = stream::iter(entries.into_iter().map(|entry| Ok((entry, None))));
            now(RaftStateMachine::<TokioTypes>::apply(&mut life.machine, entries))
        });
        if self.health == Health::Well {
            self.mirrored();
        }
    }

    /// Cuts off what is not committed, as behind a leader that was not elected again.
    fn truncate(&mut self) {
        let keep = self.story.now().committed;
        let mut after = self.story.now().clone();
        after.entries = after.entries.split(&keep.map_or(0, |keep| keep.index + 1)).0;
        self.change(after, |life| now(RaftLogStorage::<TokioTypes>::truncate_after(&mut life.raft_log, keep)));
    }

    /// A snapshot, and the purge up to the older one that follows it.
    fn snapshot(&mut self) {
        let Some(at) = self.story.now().committed else { return };
        if self.world.slip == Slip::PurgeBeforeSnapshot {
            self.purge(at);
        }
        if self.health != Health::Well {
            return;
        }
        // one that covers no more than the newest is not written
        if self.story.now().snapshots.last().is_some_and(|newest| newest.0 >= at.index) {
            return;
        }
        let mut after = self.story.now().clone();
        after.snapshots.push(LogIndex(at.index));
        let surplus = after.snapshots.len().saturating_sub(2);
        after.snapshots.drain(..surplus);
        let slip = self.world.slip;
        self.change(after, |life| match slip {
            Slip::CatalogueBeforeRename => life.snapshot_in_the_wrong_order(),
            _ => now(async {
                let mut builder = RaftStateMachine::<TokioTypes>::get_snapshot_builder(&mut life.machine).await;
                RaftSnapshotBuilder::<TokioTypes>::build_snapshot(&mut builder).await.map(drop).map_err(|_| ())
            }),
        });
        if self.health == Health::LogFailed && self.log.durable().borrow().failed.is_none() {
            self.health = Health::SnapshotFailed;
        }
        if let [older, _] = self.story.now().snapshots[..]
            && let Some(entry) = self.story.now().entries.get(&older.0)
        {
            self.purge(entry.log_id);
        }
    }

    fn purge(&mut self, to: LogId) {
        if self.health != Health::Well {
            return;
        }
        let mut after = self.story.now().clone();
        after.entries = after.entries.split(&to.index).1;
        after.purged = Some(to);
        self.change(after, |life| now(RaftLogStorage::<TokioTypes>::purge(&mut life.raft_log, to)));
    }

    fn snapshot_in_the_wrong_order(&mut self) -> Result<(), ()> {
        let position = self.position();
        let covered = LogIndex(position.applied.map_or(0, |at| at.index));
        let state = self.applied.borrow().state.clone();
        let kept = now(async {
            let draft = self.snapshots.draft(state, covered, encode(&position)).await?;
            self.snapshots.keep(draft).await
        });
        let path = kept.map_err(|_| ())?.path;
        let renamed = self.disk.rename(&path.with_extension("tmp"), &path);
        renamed.and_then(|()| self.disk.sync_folder(Path::new(SNAPSHOTS))).map_err(|_| ())
    }
}

/// Inline work is done when it is asked for.
fn now<T>(work: impl Future<Output = T>) -> T {
    work.now_or_never().expect("work that is run inline never waits")
}

/// Everything that the stores say of themselves.
fn content(log: &LogStore, snapshots: &Snapshots) -> Result<Content, Violation> {
    let unreadable = broken("the log does not read");
    let mut raft_log = RaftLog::new(log.clone());
    now(async {
        let entries = RaftLogReader::<TokioTypes>::try_get_log_entries(&mut raft_log, ..).await;
        let entries: OrdMap<_, _> =
            entries.map_err(|error| unreadable(&error))?.into_iter().map(|entry| (entry.log_id.index, entry)).collect();
        let vote = RaftLogReader::<TokioTypes>::read_vote(&mut raft_log).await.map_err(|error| unreadable(&error))?;
        let committed =
            RaftLogStorage::<TokioTypes>::read_committed(&mut raft_log).await.map_err(|error| unreadable(&error))?;
        let state =
            RaftLogStorage::<TokioTypes>::get_log_state(&mut raft_log).await.map_err(|error| unreadable(&error))?;
        let newest = snapshots.newest().map_err(|error| unreadable(&error))?.map(|newest| newest.covered);
        let older = snapshots.older().map_err(|error| unreadable(&error))?.map(|older| older.covered);
        let snapshots = older.into_iter().chain(newest).collect();
        Ok(Content { entries, vote, committed, purged: state.last_purged_log_id, snapshots })
    })
}
