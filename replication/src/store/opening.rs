//! Opening a log: whose it is, and whether it is what was written.
//!
//! Every entry is compared with its checksum and with the chain over the entries before it (`chain.rs`) before an opened
//! log is handed out. Never changes an entry or a fact of a log that it refuses; redb itself may repair its own pages when it
//! opens them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use redb::{Database, Durability, ReadableDatabase, StorageBackend};
use tokio::sync::watch;

use super::blocking::{Blocking, Queue, Worker};
use super::chain::{self, Link};
use super::folder;
use super::log::{LogError, LogStore, Owner, Writer};
use super::log_file::LogFile;
use super::open_database::{OpenDatabase, Patience, Storage};
use super::reading::{fact, purge_mark};
use super::record::{self, Damage};
use super::room::{self, FileSystem, FreeSpace};
use super::tables::{CATALOGUE, COMMITTED, ENTRIES, FACTS, OWNER};
use super::waiting::Waiting;
use super::writes::{Durable, Ends, Left, Shared};
use crate::ids::LogIndex;

/// Writes that may wait for the writer; openraft waits beyond that.
const WRITES_MAX: usize = 1024;
/// Writes that share one commit.
const WRITES_PER_COMMIT_MAX: usize = 1024;
/// Ending of a database that is being made: redb refuses for ever one that a kill caught at that.
const UNFINISHED: &str = "draft";

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
            claim(&Storage::new(LogFile::open(&draft)?).database()?, owner)?;
            folder::publish(&draft, path).map_err(refused)?;
        } else if path.metadata().map_err(refused)?.len() == 0 {
            // A log has its name only once it is whole, so this one was emptied.
            return Err(LogError::Unreadable { group: owner.group, source: None });
        }
        let space: Arc<dyn FreeSpace> = Arc::new(FileSystem::of(path));
        Self::open_storage(Storage::new(LogFile::open(path)?), Some(space), owner, blocking)
    }

    /// Opens, or makes, the log on a storage backend.
    ///
    /// # Errors
    /// [`LogError::InUse`], [`LogError::OtherOwner`], [`LogError::Damaged`], [`LogError::Unreadable`], or whatever
    /// reading its facts yields.
    pub fn open(backend: impl StorageBackend, owner: Owner, blocking: Blocking) -> Result<Self, LogError> {
        Self::open_storage(Storage::new(backend), None, owner, blocking)
    }

    fn open_storage(
        storage: Storage,
        space: Option<Arc<dyn FreeSpace>>,
        owner: Owner,
        blocking: Blocking,
    ) -> Result<Self, LogError> {
        // redb panics over some damage to its pages; nothing of it is used after that.
        let Verified { database, committed, durable, ends, left } =
            catch_unwind(AssertUnwindSafe(|| verified(&storage, owner)))
                .unwrap_or(Err(LogError::Unreadable { group: owner.group, source: None }))
                .map_err(|error| unreadable(owner, error))?;
        let shared = Arc::new(Shared {
            database: OpenDatabase::new(database, storage),
            waiting: Waiting::new(space, blocking),
            blocking,
            left: Mutex::new(left),
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
        let worker = Worker::start(blocking, "ekm-log", queue, move |jobs| writing.commit(jobs))
            .map_err(|error| LogError::File(Arc::new(error)))?;
        let writer = Arc::new(Writer { worker, shared: Arc::clone(&shared) });
        Ok(Self { writer, shared, patience: Patience::Waits })
    }
}

/// A database that was looked through, and what it says of itself.
struct Verified {
    database: Database,
    committed: Option<Vec<u8>>,
    durable: Durable,
    ends: Ends,
    left: Left,
}

fn verified(storage: &Storage, owner: Owner) -> Result<Verified, LogError> {
    let mut database = storage.database()?;
    if is_new(&database)? {
        claim(&database, owner)?;
    }
    belongs_to(&database, owner)?;
    let committed = fact(&database, COMMITTED)?;
    let durable = Durable { committed: committed.as_deref().map(committed_index).transpose()?, failed: None };
    let base = purge_mark(&database)?.map_or_else(|| Link::start(owner.group), |(base, _)| base);
    let last = chain::verify(&database, owner.group, base, durable.committed)?;
    // After the entries, which are damaged by name. The name of a fact lies in no record: without it a vote or a
    // committed index is not damaged but gone, and only the sums that redb keeps of its pages show it.
    match database.check_integrity() {
        Ok(true) => {
            let left = Left::in_database(&database)?;
            Ok(Verified { database, committed, durable, ends: Ends { base, last }, left })
        }
        Ok(false) => Err(LogError::Unreadable { group: owner.group, source: None }),
        Err(error) => Err(LogError::opening(error)),
    }
}

pub(super) fn committed_index(fact: &[u8]) -> Result<LogIndex, LogError> {
    let damaged = LogError::Fact { what: COMMITTED, source: Damage::Content };
    let (index, _) = fact.split_first_chunk().ok_or(damaged)?;
    Ok(LogIndex(u64::from_be_bytes(*index)))
}

fn is_new(database: &Database) -> Result<bool, LogError> {
    let read = database.begin_read().map_err(LogError::database)?;
    Ok(read.list_tables().map_err(LogError::database)?.next().is_none())
}

/// Makes the tables of a new database and names its owner.
fn claim(database: &Database, owner: Owner) -> Result<(), LogError> {
    let mut change = database.begin_write().map_err(LogError::database)?;
    change.set_durability(Durability::Immediate).map_err(LogError::database)?;
    change.open_table(ENTRIES).map_err(LogError::database)?;
    change.open_table(CATALOGUE).map_err(LogError::database)?;
    let mut facts = change.open_table(FACTS).map_err(LogError::database)?;
    facts.insert(OWNER, record::seal(&owner.to_bytes()).as_slice()).map_err(LogError::database)?;
    drop(facts);
    change.commit().map_err(LogError::database)
}

/// Refuses a database that names another owner, or none.
fn belongs_to(database: &Database, owner: Owner) -> Result<(), LogError> {
    let damaged = |source| LogError::Fact { what: OWNER, source };
    let stated = fact(database, OWNER)?.ok_or_else(|| damaged(Damage::Missing))?;
    let found = Owner::from_bytes(&stated).ok_or_else(|| damaged(Damage::Content))?;
    if found == owner {
        return Ok(());
    }
    let (found_group, found_replica) = (found.group, found.replica);
    Err(LogError::OtherOwner { group: owner.group, replica: owner.replica, found_group, found_replica })
}

/// What no disk has refused is not what was written, and the error says what to do about that.
pub(super) fn unreadable(owner: Owner, error: LogError) -> LogError {
    let LogError::Database(source) = error else { return error };
    match &*source {
        redb::Error::Io(io) if io.raw_os_error().is_some() || room::is_full(io) || folder::is_unsynced(io) => {
            LogError::Database(source)
        }
        _ => LogError::Unreadable { group: owner.group, source: Some(source) },
    }
}
