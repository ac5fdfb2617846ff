//! The database under a log while the log is open: shared by its readers, and opened anew after a full disk.
//!
//! redb takes no further step after the first error of its storage, a full disk included. That error alone is one after which
//! what is durable is known: the bytes were refused, and whatever else the transaction wrote is part of nothing. So the
//! database is opened again on the same storage, whose lock is never let go of meanwhile, and readers that met the
//! closed one wait for the new one. Opening writes too: where even that finds no room, the storage stays as it is and is opened
//! at the next try. Never opens anything again after a failed sync.

use parking_lot::{Condvar, Mutex, RwLock};
use redb::{Database, StorageBackend};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::blocking::Stopped;
use super::folder;
use super::log_error::{LogError, Overtaken};
use super::room;
use crate::ids::GroupId;

/// Memory that redb may use for pages, in bytes.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// A storage, and the room that it last asked for in vain, in bytes.
#[derive(Debug, Clone)]
pub(super) struct Storage {
    backend: Arc<dyn StorageBackend>,
    refused_bytes: Arc<AtomicU64>,
}

/// What a reader does while the database is being opened anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// It waits, however long the disk is full.
    Waits,
    /// It gets an error that [`Overtaken::is_overtaken`] knows.
    Leaves,
}

impl Storage {
    pub(super) fn new(backend: impl StorageBackend) -> Self {
        Self { backend: Arc::new(backend), refused_bytes: Arc::default() }
    }

    /// Opens, or makes, the database on it. redb panics over some damage to its pages.
    pub(super) fn database(&self) -> Result<Database, LogError> {
        let handle = Handle(self.clone());
        Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(handle).map_err(LogError::opening)
    }

    fn noted(&self, bytes: u64, taken: io::Result<()>) -> io::Result<()> {
        if taken.as_ref().is_err_and(room::is_full) {
            self.refused_bytes.store(bytes, Ordering::Relaxed);
        }
        taken
    }

    /// The bytes that the last write or lengthening in vain was to add.
    pub(super) fn refused_bytes(&self) -> u64 {
        self.refused_bytes.load(Ordering::Relaxed)
    }
}

/// What one database sees of a storage that outlives it: closing the one lets go of nothing of the other.
#[derive(Debug)]
struct Handle(Storage);

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        self.0.backend.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.backend.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let before = self.0.backend.len()?;
        self.0.noted(len.saturating_sub(before), self.0.backend.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.backend.sync_data().map_err(folder::unsynced)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.noted(data.len() as u64, self.0.backend.write(offset, data))
    }
}

/// The open database.
pub(super) struct OpenDatabase {
    current: RwLock<Current>,
    openings: Mutex<Openings>,
    changed: Condvar,
}

enum Current {
    Open(Database, Storage),
    /// A full disk has stopped the database, and it could not be opened anew yet.
    Stopped(Storage),
    Released,
}

impl Current {
    fn with<T>(&self, work: impl Fn(&Database) -> Result<T, LogError>) -> Result<T, LogError> {
        match self {
            Self::Open(database, _) => work(database),
            Self::Stopped(_) => Err(overtaken()),
            Self::Released => Err(LogError::Closed(Stopped)),
        }
    }
}

fn overtaken() -> LogError {
    LogError::database(redb::Error::DatabaseClosed)
}

struct Openings {
    count: u64,
    /// There will be no other.
    ended: bool,
}

impl OpenDatabase {
    pub(super) fn new(database: Database, storage: Storage) -> Self {
        let openings = Mutex::new(Openings { count: 1, ended: false });
        Self { current: RwLock::new(Current::Open(database, storage)), openings, changed: Condvar::new() }
    }

    /// Reads, once more if the database was opened anew meanwhile. Blocks for as long as that takes, if the reader waits.
    pub(super) fn read<T>(
        &self,
        patience: Patience,
        read: impl Fn(&Database) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        if patience == Patience::Leaves {
            return self.current.try_read().map_or_else(|| Err(overtaken()), |current| current.with(&read));
        }
        loop {
            let opening = self.openings.lock().count;
            match self.with(&read) {
                Err(error) if error.is_overtaken() && self.wait_past(opening) => {}
                other => return other,
            }
        }
    }

    /// Works on the database that is open now; the writer's way.
    pub(super) fn with<T>(&self, work: impl Fn(&Database) -> Result<T, LogError>) -> Result<T, LogError> {
        self.current.read().with(work)
    }

    /// Opens the database anew after a full disk, and looks whether it holds what it must. After an error it is stopped.
    pub(super) fn reopen(
        &self,
        group: GroupId,
        look: impl Fn(&Database) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let mut current = self.current.write();
        let (failed, storage) = match std::mem::replace(&mut *current, Current::Released) {
            Current::Open(failed, storage) => (Some(failed), storage),
            Current::Stopped(storage) => (None, storage),
            Current::Released => return Err(LogError::Closed(Stopped)),
        };
        let opened = catch_unwind(AssertUnwindSafe(|| {
            drop(failed);
            let database = storage.database()?;
            look(&database)?;
            Ok(database)
        }));
        match opened.unwrap_or(Err(LogError::Unreadable { group, source: None })) {
            Ok(database) => *current = Current::Open(database, storage),
            Err(error) => {
                *current = Current::Stopped(storage);
                return Err(error);
            }
        }
        self.openings.lock().count += 1;
        self.changed.notify_all();
        Ok(())
    }

    /// The bytes that the database last asked for in vain.
    pub(super) fn refused_bytes(&self) -> u64 {
        match &*self.current.read() {
            Current::Open(_, storage) | Current::Stopped(storage) => storage.refused_bytes(),
            Current::Released => 0,
        }
    }

    /// Whether it is to be opened anew before anything can be written.
    pub(super) fn is_stopped(&self) -> bool {
        matches!(&*self.current.read(), Current::Stopped(_))
    }

    /// Says that the database will not be opened anew: no reader waits for that any more.
    pub(super) fn end(&self) {
        self.openings.lock().ended = true;
        self.changed.notify_all();
    }

    /// Closes the database. redb panics where its own account of its pages is damaged; what was committed stands.
    pub(super) fn release(&self) {
        self.end();
        let before = std::mem::replace(&mut *self.current.write(), Current::Released);
        let Current::Open(database, storage) = before else { return };
        if catch_unwind(AssertUnwindSafe(|| drop(database))).is_err() {
            tracing::error!("the log database could not be closed cleanly; it is looked through at the next start");
        }
        drop(storage);
    }

    /// Whether the database was opened since that opening; waits for it if it will be.
    fn wait_past(&self, opening: u64) -> bool {
        let mut openings = self.openings.lock();
        let waits = |openings: &mut Openings| openings.count == opening && !openings.ended;
        self.changed.wait_while(&mut openings, waits);
        openings.count != opening
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use redb::ReadableDatabase;

    use super::super::small_disk::SmallDisk;
    use super::super::tables::FACTS;
    use super::*;

    fn put(database: &Database, value: &[u8]) -> Result<(), LogError> {
        let change = database.begin_write().map_err(LogError::database)?;
        change.open_table(FACTS).map_err(LogError::database)?.insert("fact", value).map_err(LogError::database)?;
        change.commit().map_err(LogError::database)
    }

    fn get(database: &Database) -> Result<Vec<u8>, LogError> {
        let table = database.begin_read().map_err(LogError::database)?.open_table(FACTS).map_err(LogError::database)?;
        let found = table.get("fact").map_err(LogError::database)?.expect("it was put");
        Ok(found.value().to_vec())
    }

    /// A database that a full disk has stopped, and the disk, which has room again.
    fn stopped() -> Result<OpenDatabase, LogError> {
        let disk = SmallDisk::with_room(u64::MAX / 2);
        let storage = Storage::new(disk.clone());
        let open = OpenDatabase::new(storage.database()?, storage);
        open.with(|database| put(database, b"before"))?;
        disk.refuses_writes();
        let refused = open.with(|database| put(database, b"refused"));
        assert!(refused.is_err_and(|error| error.is_no_room()));
        disk.takes_writes();
        Ok(open)
    }

    /// Reads while the database is stopped, does what comes next, and gives what the reader got.
    fn read_across(open: &OpenDatabase, next: impl FnOnce()) -> Result<Vec<u8>, LogError> {
        let tries = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                open.read(Patience::Waits, |database| {
                    // a stopped database may answer a read from its cache still, and a write never
                    let done = put(database, b"after").and_then(|()| get(database));
                    tries.fetch_add(1, Ordering::SeqCst);
                    done
                })
            });
            while tries.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            next();
            reader.join().expect("the reader does not panic")
        })
    }

    #[test]
    fn a_reader_that_meets_a_stopped_database_gets_its_answer_from_the_next_one() -> Result<(), LogError> {
        let open = stopped()?;
        let read = read_across(&open, || open.reopen(GroupId::SYSTEM, |_| Ok(())).expect("there is room again"))?;
        assert_eq!(read, b"after");
        Ok(())
    }

    #[test]
    fn a_reader_waits_for_nothing_once_there_will_be_no_other_database() -> Result<(), LogError> {
        let open = stopped()?;
        let read = read_across(&open, || open.end());
        assert!(read.is_err_and(|error| error.is_overtaken()));
        Ok(())
    }
}
