//! The log of one group, its vote, its committed index and the catalogue of its snapshots, in one redb database.
//!
//! This is the truth: nothing is acknowledged that is not durable here. All writes go through one writer, so there is
//! one order of durability for all of them; what queues up while a commit is under way shares the next one. Entries,
//! votes and positions are opaque bytes. Never reports anything durable before the commit that holds it has returned,
//! and never writes again after the first error, a full disk excepted (`writes.rs`). What is here hands writes over; `opening.rs` opens a log and looks
//! through it, `reading.rs` reads it, `writes.rs` writes it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{oneshot, watch};

pub use super::log_error::LogError;
pub use super::log_error::Overtaken;
pub use super::writes::{Done, Durable};

use super::blocking::{Stopped, Worker};
use super::chain::Link;
use super::open_database::Patience;
use super::reading::link;
use super::record::{self, Damage};
use super::room::Shortage;
use super::tables::{INCARNATION, VOTE};
use super::writes::{Ends, Indexed, Job, Shared, Write};
use crate::ids::{GroupId, Incarnation, LogIndex, ReplicaId};

/// Whose log it is; kept in it, so that a folder in the wrong place is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The group.
    pub group: GroupId,
    /// The replica.
    pub replica: ReplicaId,
}

impl Owner {
    pub(super) fn to_bytes(self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes[..2].copy_from_slice(&self.group.0.to_be_bytes());
        bytes[2..].copy_from_slice(&self.replica.0.to_be_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (group, replica) = bytes.split_first_chunk::<2>()?;
        let replica = replica.try_into().ok().map(u64::from_be_bytes)?;
        Some(Self { group: GroupId(u16::from_be_bytes(*group)), replica: ReplicaId(replica) })
    }
}

/// How much was written since the log was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Durable commits, one `fdatasync` or more each.
    pub commits: u64,
    /// Entries in them.
    pub entries: u64,
    /// Bytes of those entries' records.
    pub bytes: u64,
}

/// The log of one group. Clones share it; the database is closed with the last one, or by [`LogStore::close`].
#[derive(Clone)]
pub struct LogStore {
    pub(super) writer: Arc<Writer>,
    pub(super) shared: Arc<Shared>,
    pub(super) patience: Patience,
}

/// The writer of a log. Whoever lets go of the last handle waits for its thread, which must not wait for room then.
pub(super) struct Writer {
    pub(super) worker: Worker<Job>,
    pub(super) shared: Arc<Shared>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.waiting.stop();
    }
}

impl LogStore {
    /// Appends consecutive entries. They are readable when this returns, and durable when `done` is called. One caller
    /// appends, truncates and purges, one call after the other.
    ///
    /// # Errors
    /// [`LogError::Gap`] or [`LogError::Closed`]; `done` is then never called.
    pub async fn append(&self, entries: Vec<(u64, Vec<u8>)>, done: Done) -> Result<(), LogError> {
        let entries = self.sealed(entries)?;
        self.shared.tail.lock().extend(entries.iter().map(|(index, entry)| (*index, Arc::clone(entry))));
        Ok(self.writer.worker.submit(Job { write: Write::Append(entries), done: Some(done) }).await?)
    }

    /// Makes the vote durable.
    ///
    /// # Errors
    /// The writer's.
    pub async fn save_vote(&self, vote: &[u8]) -> Result<(), LogError> {
        self.write(Write::Fact { what: VOTE, record: record::seal(vote) }).await
    }

    /// Which store this is. One that holds nothing yet becomes `fresh`, which is durable when this returns.
    ///
    /// # Errors
    /// [`LogError::Fact`] if a log that was in use does not say, or the writer's.
    pub async fn incarnation(&self, fresh: Incarnation) -> Result<Incarnation, LogError> {
        let damaged = |source| LogError::Fact { what: INCARNATION, source };
        if let Some(stated) = self.reading(|log| log.fact(INCARNATION)).await? {
            let stated = stated.try_into().map_err(|_| damaged(Damage::Content))?;
            return Ok(Incarnation::from_bytes(stated));
        }
        if self.reading(Self::is_in_use).await? {
            return Err(damaged(Damage::Missing));
        }
        let record = record::seal(fresh.as_bytes());
        self.write(Write::Fact { what: INCARNATION, record }).await?;
        Ok(fresh)
    }

    /// Hands the committed position to the writer, which makes it durable with its next commit; does not wait for it.
    ///
    /// # Errors
    /// [`LogError::Closed`]. What became of it shows in [`LogStore::durable`].
    pub async fn save_committed(&self, index: LogIndex, position: &[u8]) -> Result<(), LogError> {
        let fact = [&index.0.to_be_bytes()[..], position].concat();
        let write = Write::Committed { index, record: record::seal(&fact) };
        *self.shared.committed.lock() = Some(fact);
        Ok(self.writer.worker.submit(Job { write, done: None }).await?)
    }

    /// Removes every entry after `last`; all of them for `None`. Durable when this returns.
    ///
    /// # Errors
    /// The writer's.
    pub async fn truncate_after(&self, last: Option<u64>) -> Result<(), LogError> {
        self.write(Write::Truncate { first: last.map_or(0, |last| last + 1) }).await?;
        let newest = self.reading(Self::newest).await?.map(|(index, record)| link(index, &record)).transpose()?;
        let mut ends = self.shared.ends.lock();
        ends.last = newest.unwrap_or(ends.base);
        Ok(())
    }

    /// Removes every entry up to and including `last`, and keeps `position` and the chain there as the purge mark.
    /// Durable when this returns.
    ///
    /// # Errors
    /// [`LogError::Entry`] if entry `last` is damaged, or the writer's.
    pub async fn purge(&self, last: u64, position: &[u8]) -> Result<(), LogError> {
        let Ends { base, last: newest } = *self.shared.ends.lock();
        if base.index >= Some(last) {
            return Ok(());
        }
        // A snapshot from elsewhere may reach beyond the newest entry: the chain begins anew behind it.
        let base = match self.reading(move |log| log.record(last)).await? {
            Some(record) => link(last, &record)?,
            None if newest.index < Some(last) => Link::anchored(last, position),
            None => base.moved(last),
        };
        self.write(Write::Purge { last, record: base.mark(position) }).await?;
        let mut ends = self.shared.ends.lock();
        ends.base = base;
        if ends.last.index < base.index {
            ends.last = base;
        }
        Ok(())
    }

    /// Changes the catalogue of snapshots: one more record, and some fewer, in one commit.
    ///
    /// # Errors
    /// The writer's.
    pub(super) async fn catalogue(&self, number: u64, body: &[u8], forget: Vec<u64>) -> Result<(), LogError> {
        self.write(Write::Catalogue { add: Some((number, record::seal(body))), forget }).await
    }

    /// Takes snapshots out of the catalogue. Durable when this returns.
    ///
    /// # Errors
    /// The writer's.
    pub(super) async fn forget(&self, snapshots: Vec<u64>) -> Result<(), LogError> {
        self.write(Write::Catalogue { add: None, forget: snapshots }).await
    }

    /// Returns when everything that was handed over before is durable.
    ///
    /// # Errors
    /// The writer's.
    pub async fn flush(&self) -> Result<(), LogError> {
        self.write(Write::Nothing).await
    }

    async fn write(&self, write: Write) -> Result<(), LogError> {
        let (answer, answered) = oneshot::channel();
        // A caller that has gone away no longer wants the answer.
        let done: Done = Box::new(move |result| drop(answer.send(result)));
        self.writer.worker.submit(Job { write, done: Some(done) }).await?;
        answered.await.map_err(|_| Stopped)?
    }

    /// The records of entries that follow the newest one.
    fn sealed(&self, entries: Vec<(u64, Vec<u8>)>) -> Result<Vec<Indexed>, LogError> {
        let mut ends = self.shared.ends.lock();
        let mut last = ends.last;
        let mut sealed = Vec::with_capacity(entries.len());
        for (index, body) in entries {
            match last.index.map(|last| last + 1) {
                Some(expected) if expected != index => {
                    return Err(LogError::Gap { index: LogIndex(index), expected: LogIndex(expected) });
                }
                Some(_) | None => {}
            }
            let (next, record) = last.seal(index, &body);
            sealed.push((index, Arc::new(record)));
            last = next;
        }
        ends.last = last;
        Ok(sealed)
    }

    /// The last entry that was removed because a snapshot covers it.
    pub(super) fn purged_to(&self) -> Option<LogIndex> {
        self.shared.ends.lock().base.index.map(LogIndex)
    }

    /// Whose log it is.
    pub(super) fn owner(&self) -> Owner {
        self.shared.owner
    }

    /// What is durable, and the first error of the writer: a value to watch.
    pub fn durable(&self) -> watch::Receiver<Durable> {
        self.shared.durable.subscribe()
    }

    /// How much was written since the log was opened.
    pub fn written(&self) -> Written {
        Written {
            commits: self.shared.commits.load(Ordering::Relaxed),
            entries: self.shared.entries.load(Ordering::Relaxed),
            bytes: self.shared.bytes.load(Ordering::Relaxed),
        }
    }

    /// Why nothing is written: the disk is full, and the writer waits for room.
    pub fn shortage(&self) -> Option<Shortage> {
        self.shared.waiting.shortage()
    }

    /// Lets no write wait for room any more: on a full disk it fails, and so does every later one.
    pub fn stop_waiting(&self) {
        self.shared.waiting.stop();
    }

    /// Writes what is queued, as far as there is room, and closes the database whoever else still holds this log. Blocks for that long.
    pub fn close(&self) {
        self.stop_waiting();
        self.writer.worker.stop();
        self.shared.database.release();
    }
}
