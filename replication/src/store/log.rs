//! The log of one group, its vote, its committed index and the catalogue of its snapshots, in one redb database.
//!
//! This is the truth: nothing is acknowledged that is not durable here. All writes go through one writer, so there is
//! one order of durability for all of them; what queues up while a commit is under way shares the next one. Entries,
//! votes and positions are opaque bytes. Never reports anything durable before the commit that holds it has returned,
//! and never writes again after the first error. Every entry was compared with its checksum and with the chain over the
//! entries before it (`chain.rs`) before an opened log is handed out.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use redb::backends::FileBackend;
use redb::{Database, Durability, ReadableDatabase, ReadableTable, StorageBackend};
use tokio::sync::{oneshot, watch};

pub use super::log_error::LogError;
pub use super::writes::{Done, Durable};

use super::blocking::{Blocking, Queue, Stopped, Worker};
use super::chain::{self, Link};
use super::folder;
use super::record::{self, Damage};
use super::tables::{CATALOGUE, COMMITTED, ENTRIES, FACTS, OWNER, PURGED, VOTE};
use super::writes::{Ends, Indexed, Job, Shared, Write};
use crate::ids::{GroupId, LogIndex, ReplicaId};

/// Writes that may wait for the writer; openraft waits beyond that.
const WRITES_MAX: usize = 1024;
/// Writes that share one commit.
const WRITES_PER_COMMIT_MAX: usize = 1024;
/// Memory that redb may use for pages, in bytes.
const CACHE_BYTES: usize = 16 * 1024 * 1024;
/// Ending of a database that is being made: redb refuses for ever one that a kill caught at that.
const UNFINISHED: &str = "draft";

/// Whose log it is; kept in it, so that a folder in the wrong place is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The group.
    pub group: GroupId,
    /// The replica.
    pub replica: ReplicaId,
}

impl Owner {
    fn to_bytes(self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes[..2].copy_from_slice(&self.group.0.to_be_bytes());
        bytes[2..].copy_from_slice(&self.replica.0.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
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
    writer: Arc<Worker<Job>>,
    shared: Arc<Shared>,
}

impl LogStore {
    /// Opens, or makes, the log in a file (mode 0600). A kill at any moment leaves either a whole log there or nothing
    /// of that name.
    ///
    /// # Errors
    /// [`LogError::InUse`], [`LogError::OtherOwner`], [`LogError::File`], or whatever reading its facts yields.
    pub fn open_file(path: &Path, owner: Owner, blocking: Blocking) -> Result<Self, LogError> {
        let refused = |error| LogError::File(Arc::new(error));
        let draft = path.with_extension(UNFINISHED);
        folder::remove_file(&draft).map_err(refused)?;
        if !path.try_exists().map_err(refused)? {
            let file = folder::open_file(&draft).map_err(refused)?;
            claim(&database(FileBackend::new(file).map_err(opening)?)?, owner)?;
            folder::publish(&draft, path).map_err(refused)?;
        }
        let file = folder::open_file(path).map_err(refused)?;
        Self::open(FileBackend::new(file).map_err(opening)?, owner, blocking)
    }

    /// Opens, or makes, the log on a storage backend.
    ///
    /// # Errors
    /// [`LogError::InUse`], [`LogError::OtherOwner`], [`LogError::Damaged`], [`LogError::Unreadable`], or whatever
    /// reading its facts yields.
    pub fn open(backend: impl StorageBackend, owner: Owner, blocking: Blocking) -> Result<Self, LogError> {
        // redb panics over some damage to its pages; nothing of it is used after that.
        let Verified { database, committed, durable, ends } =
            catch_unwind(AssertUnwindSafe(|| verified(backend, owner)))
                .unwrap_or(Err(LogError::Unreadable { group: owner.group }))?;
        let shared = Arc::new(Shared {
            database: RwLock::new(Some(database)),
            owner,
            ends: Mutex::new(ends),
            tail: Mutex::default(),
            durable: watch::Sender::new(durable),
            committed: Mutex::new(committed),
            commits: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        let queue = Queue { jobs_max: WRITES_MAX, batch_max: WRITES_PER_COMMIT_MAX };
        let writing = Arc::clone(&shared);
        let writer = Worker::start(blocking, "ekm-log", queue, move |jobs| writing.commit(jobs))
            .map_err(|error| LogError::File(Arc::new(error)))?;
        Ok(Self { writer: Arc::new(writer), shared })
    }

    /// Appends consecutive entries. They are readable when this returns, and durable when `done` is called. One caller
    /// appends, truncates and purges, one call after the other.
    ///
    /// # Errors
    /// [`LogError::Gap`] or [`LogError::Closed`]; `done` is then never called.
    pub async fn append(&self, entries: Vec<(u64, Vec<u8>)>, done: Done) -> Result<(), LogError> {
        let entries = self.sealed(entries)?;
        self.shared.tail.lock().extend(entries.iter().map(|(index, entry)| (*index, Arc::clone(entry))));
        Ok(self.writer.submit(Job { write: Write::Append(entries), done: Some(done) }).await?)
    }

    /// Makes the vote durable.
    ///
    /// # Errors
    /// The writer's.
    pub async fn save_vote(&self, vote: &[u8]) -> Result<(), LogError> {
        self.write(Write::Fact { what: VOTE, record: record::seal(vote) }).await
    }

    /// Hands the committed position to the writer, which makes it durable with its next commit; does not wait for it.
    ///
    /// # Errors
    /// [`LogError::Closed`]. What became of it shows in [`LogStore::durable`].
    pub async fn save_committed(&self, index: LogIndex, position: &[u8]) -> Result<(), LogError> {
        let fact = [&index.0.to_be_bytes()[..], position].concat();
        let write = Write::Committed { index, record: record::seal(&fact) };
        *self.shared.committed.lock() = Some(fact);
        Ok(self.writer.submit(Job { write, done: None }).await?)
    }

    /// Removes every entry after `last`; all of them for `None`. Durable when this returns.
    ///
    /// # Errors
    /// The writer's.
    pub async fn truncate_after(&self, last: Option<u64>) -> Result<(), LogError> {
        self.write(Write::Truncate { first: last.map_or(0, |last| last + 1) }).await?;
        let newest = self.newest()?.map(|(index, record)| link(index, &record)).transpose()?;
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
        let base = match self.record(last)? {
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
        self.writer.submit(Job { write, done: Some(done) }).await?;
        answered.await.map_err(|_| Stopped)?
    }

    /// The entries in a range, oldest first; those that do not exist are left out.
    ///
    /// # Errors
    /// [`LogError::Entry`] names the first damaged one.
    pub fn read(&self, range: &impl RangeBounds<u64>) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        let bounds = (range.start_bound().cloned(), range.end_bound().cloned());
        if is_empty(bounds) {
            return Ok(Vec::new());
        }
        // The tail first: an entry that is no longer in it is in the database by now.
        let tail: Vec<_> =
            self.shared.tail.lock().range(bounds).map(|(index, entry)| (*index, Arc::clone(entry))).collect();
        let mut found = self.with_database(|database| {
            let table = database.begin_read().map_err(LogError::database)?;
            let table = table.open_table(ENTRIES).map_err(LogError::database)?;
            let mut found = BTreeMap::new();
            for row in table.range::<u64>(bounds).map_err(LogError::database)? {
                let (index, entry) = row.map_err(LogError::database)?;
                found.insert(index.value(), unseal(index.value(), entry.value())?);
            }
            Ok(found)
        })?;
        for (index, entry) in tail {
            found.insert(index, unseal(index, &entry)?);
        }
        Ok(found.into_iter().collect())
    }

    /// The newest entry.
    ///
    /// # Errors
    /// [`LogError::Entry`] if it is damaged.
    pub fn last(&self) -> Result<Option<(u64, Vec<u8>)>, LogError> {
        self.newest()?.map(|(index, record)| Ok((index, unseal(index, &record)?))).transpose()
    }

    /// The newest entry's record.
    fn newest(&self) -> Result<Option<Indexed>, LogError> {
        let tail = self.shared.tail.lock().last_key_value().map(|(index, entry)| (*index, Arc::clone(entry)));
        if tail.is_some() {
            return Ok(tail);
        }
        self.with_database(|database| {
            let table = database.begin_read().map_err(LogError::database)?;
            let table = table.open_table(ENTRIES).map_err(LogError::database)?;
            let last = table.last().map_err(LogError::database)?;
            Ok(last.map(|(index, entry)| (index.value(), Arc::new(entry.value().to_vec()))))
        })
    }

    /// One entry's record.
    fn record(&self, index: u64) -> Result<Option<Arc<Vec<u8>>>, LogError> {
        let tail = self.shared.tail.lock().get(&index).map(Arc::clone);
        if tail.is_some() {
            return Ok(tail);
        }
        self.with_database(|database| {
            let table = database.begin_read().map_err(LogError::database)?;
            let table = table.open_table(ENTRIES).map_err(LogError::database)?;
            let entry = table.get(index).map_err(LogError::database)?;
            Ok(entry.map(|entry| Arc::new(entry.value().to_vec())))
        })
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

    /// The vote.
    ///
    /// # Errors
    /// [`LogError::Fact`] if it is damaged.
    pub fn vote(&self) -> Result<Option<Vec<u8>>, LogError> {
        self.with_database(|database| fact(database, VOTE))
    }

    /// The position that the log was last purged to.
    ///
    /// # Errors
    /// [`LogError::Fact`] if it is damaged.
    pub fn purged(&self) -> Result<Option<Vec<u8>>, LogError> {
        self.with_database(|database| Ok(purge_mark(database)?.map(|(_, position)| position)))
    }

    /// The committed position as last handed over; after an opening, the durable one.
    pub fn committed(&self) -> Option<Vec<u8>> {
        self.shared.committed.lock().as_ref().map(|fact| fact[size_of::<u64>()..].to_vec())
    }

    /// The catalogue of snapshots, oldest first.
    ///
    /// # Errors
    /// [`LogError::Fact`] if a record is damaged.
    pub(super) fn catalogued(&self) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        self.with_database(|database| {
            let table = database.begin_read().map_err(LogError::database)?;
            let table = table.open_table(CATALOGUE).map_err(LogError::database)?;
            let rows = table.iter().map_err(LogError::database)?;
            rows.map(|row| {
                let (number, found) = row.map_err(LogError::database)?;
                let body = record::open(found.value()).map_err(|source| LogError::Fact { what: "snapshot", source })?;
                Ok((number.value(), body.to_vec()))
            })
            .collect()
        })
    }

    /// Bytes of the records behind an entry, as far as they are durable.
    ///
    /// # Errors
    /// The database's.
    pub fn bytes_after(&self, index: LogIndex) -> Result<u64, LogError> {
        self.with_database(|database| {
            let table = database.begin_read().map_err(LogError::database)?;
            let table = table.open_table(ENTRIES).map_err(LogError::database)?;
            let rows = table.range::<u64>(index.0.saturating_add(1)..).map_err(LogError::database)?;
            rows.map(|row| row.map(|(_, record)| record.value().len() as u64).map_err(LogError::database)).sum()
        })
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

    /// Writes what is queued, and closes the database whoever else still holds this log. Blocks for that long.
    pub fn close(&self) {
        self.writer.stop();
        self.shared.release();
    }

    fn with_database<T>(&self, read: impl FnOnce(&Database) -> Result<T, LogError>) -> Result<T, LogError> {
        self.shared.database.read().as_ref().ok_or(LogError::Closed(Stopped)).and_then(read)
    }
}

fn unseal(index: u64, entry: &[u8]) -> Result<Vec<u8>, LogError> {
    let body = chain::entry(entry).map_err(|source| LogError::Entry { index: LogIndex(index), source })?;
    Ok(body.to_vec())
}

fn link(index: u64, record: &[u8]) -> Result<Link, LogError> {
    Link::of(index, record).map_err(|source| LogError::Entry { index: LogIndex(index), source })
}

/// A database that was looked through, and what it says of itself.
struct Verified {
    database: Database,
    committed: Option<Vec<u8>>,
    durable: Durable,
    ends: Ends,
}

fn verified(backend: impl StorageBackend, owner: Owner) -> Result<Verified, LogError> {
    let database = database(backend)?;
    claim(&database, owner)?;
    let committed = fact(&database, COMMITTED)?;
    let durable = Durable { committed: committed.as_deref().map(committed_index).transpose()?, failed: None };
    let base = purge_mark(&database)?.map_or_else(|| Link::start(owner.group), |(base, _)| base);
    let last = chain::verify(&database, owner.group, base, durable.committed)?;
    Ok(Verified { database, committed, durable, ends: Ends { base, last } })
}

/// The link that the log was purged to, and the position there.
fn purge_mark(database: &Database) -> Result<Option<(Link, Vec<u8>)>, LogError> {
    let Some(body) = fact(database, PURGED)? else { return Ok(None) };
    let (base, position) = Link::of_mark(&body).ok_or(LogError::Fact { what: PURGED, source: Damage::Content })?;
    Ok(Some((base, position.to_vec())))
}

fn fact(database: &Database, what: &'static str) -> Result<Option<Vec<u8>>, LogError> {
    let table = database.begin_read().map_err(LogError::database)?;
    let table = table.open_table(FACTS).map_err(LogError::database)?;
    let Some(found) = table.get(what).map_err(LogError::database)? else { return Ok(None) };
    let body = record::open(found.value()).map_err(|source| LogError::Fact { what, source })?;
    Ok(Some(body.to_vec()))
}

fn committed_index(fact: &[u8]) -> Result<LogIndex, LogError> {
    let damaged = LogError::Fact { what: COMMITTED, source: Damage::Content };
    let (index, _) = fact.split_first_chunk().ok_or(damaged)?;
    Ok(LogIndex(u64::from_be_bytes(*index)))
}

fn database(backend: impl StorageBackend) -> Result<Database, LogError> {
    Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(backend).map_err(opening)
}

/// Makes the tables of a new database and names its owner; refuses one that names another.
fn claim(database: &Database, owner: Owner) -> Result<(), LogError> {
    let mut change = database.begin_write().map_err(LogError::database)?;
    change.set_durability(Durability::Immediate).map_err(LogError::database)?;
    change.open_table(ENTRIES).map_err(LogError::database)?;
    change.open_table(CATALOGUE).map_err(LogError::database)?;
    let mut facts = change.open_table(FACTS).map_err(LogError::database)?;
    let stated = facts.get(OWNER).map_err(LogError::database)?.map(|found| found.value().to_vec());
    if let Some(stated) = stated {
        let damaged = |source| LogError::Fact { what: OWNER, source };
        let found =
            Owner::from_bytes(record::open(&stated).map_err(damaged)?).ok_or_else(|| damaged(Damage::Content))?;
        if found == owner {
            return Ok(());
        }
        let (found_group, found_replica) = (found.group, found.replica);
        return Err(LogError::OtherOwner { group: owner.group, replica: owner.replica, found_group, found_replica });
    }
    facts.insert(OWNER, record::seal(&owner.to_bytes()).as_slice()).map_err(LogError::database)?;
    drop(facts);
    change.commit().map_err(LogError::database)
}

fn opening(error: redb::DatabaseError) -> LogError {
    match error {
        redb::DatabaseError::DatabaseAlreadyOpen => LogError::InUse,
        other => LogError::database(other),
    }
}

/// Ranges that a map would refuse with a panic.
fn is_empty((start, end): (Bound<u64>, Bound<u64>)) -> bool {
    match (start, end) {
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start), Bound::Excluded(end)) | (Bound::Excluded(start), Bound::Included(end)) => start >= end,
        (Bound::Excluded(start), Bound::Excluded(end)) => start.saturating_add(1) >= end,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}
