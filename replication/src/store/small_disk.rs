//! A disk in memory that is as full as a test says. Never in a released binary.
//!
//! One value stands for the storage under a log, the files of snapshots and what is measured of both.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use super::files::{Files, NewFile, OnDisk};
use super::room::{FreeSpace, Space};

/// A disk whose room and failures a test sets.
#[derive(Debug, Clone, Default)]
pub(crate) struct SmallDisk(Arc<Inside>);

#[derive(Debug, Default)]
struct Inside {
    memory: InMemoryBackend,
    free_bytes: AtomicU64,
    /// Writes into what is allocated find no room either, the header at the beginning excepted.
    refuses_writes: AtomicBool,
    /// That one finds no room either, as where every write needs new blocks.
    refuses_header: AtomicBool,
    /// What the next refusal goes back to.
    older: Mutex<Option<Vec<u8>>>,
    /// Nothing can be removed.
    keeps_files: AtomicBool,
    /// The next sync says that there is no room.
    fails_sync: AtomicBool,
    refusals: AtomicU64,
    syncs: AtomicU64,
}

impl SmallDisk {
    pub(crate) fn with_room(free_bytes: u64) -> Self {
        let disk = Self::default();
        disk.has_room(free_bytes);
        disk
    }

    pub(crate) fn has_room(&self, bytes: u64) {
        self.0.free_bytes.store(bytes, Ordering::SeqCst);
    }

    pub(crate) fn refuses_writes(&self) {
        self.0.refuses_writes.store(true, Ordering::SeqCst);
    }

    pub(crate) fn takes_writes(&self) {
        self.0.refuses_writes.store(false, Ordering::SeqCst);
        self.0.refuses_header.store(false, Ordering::SeqCst);
    }

    pub(crate) fn refuses_every_write(&self) {
        self.refuses_writes();
        self.0.refuses_header.store(true, Ordering::SeqCst);
    }

    /// With the next refusal the disk holds what it holds now, as where what came later is lost.
    pub(crate) fn goes_back_when_it_refuses(&self) -> io::Result<()> {
        let mut bytes = vec![0; usize::try_from(self.0.memory.len()?).map_err(io::Error::other)?];
        self.0.memory.read(0, &mut bytes)?;
        *self.0.older.lock() = Some(bytes);
        Ok(())
    }

    pub(crate) fn keeps_files(&self) {
        self.0.keeps_files.store(true, Ordering::SeqCst);
    }

    /// The next sync fails, and no other: whoever takes that for a write that may be made again goes on.
    pub(crate) fn fails_next_sync(&self) {
        self.0.fails_sync.store(true, Ordering::SeqCst);
    }

    /// How often something was refused for lack of room.
    pub(crate) fn refusals(&self) -> u64 {
        self.0.refusals.load(Ordering::SeqCst)
    }

    /// How often anything was made durable.
    pub(crate) fn syncs(&self) -> u64 {
        self.0.syncs.load(Ordering::SeqCst)
    }

    fn refused(&self) -> io::Error {
        if let Some(older) = self.0.older.lock().take() {
            self.0.memory.set_len(older.len() as u64).expect("memory takes every length");
            self.0.memory.write(0, &older).expect("memory takes what it gave");
        }
        self.0.refusals.fetch_add(1, Ordering::SeqCst);
        io::ErrorKind::StorageFull.into()
    }

    fn take(&self, bytes: u64) -> io::Result<()> {
        let less = |free: u64| free.checked_sub(bytes);
        let taken = self.0.free_bytes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        taken.map(drop).map_err(|_| self.refused())
    }

    fn sync(&self) -> io::Result<()> {
        if self.0.fails_sync.swap(false, Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.syncs.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl FreeSpace for SmallDisk {
    fn measure(&self) -> io::Result<Space> {
        Ok(Space { free_bytes: self.0.free_bytes.load(Ordering::SeqCst), total_bytes: u64::MAX })
    }
}

impl StorageBackend for SmallDisk {
    fn len(&self) -> io::Result<u64> {
        self.0.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.take(len.saturating_sub(self.0.memory.len()?))?;
        self.0.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let refuses = if offset > 0 { &self.0.refuses_writes } else { &self.0.refuses_header };
        if refuses.load(Ordering::SeqCst) {
            return Err(self.refused());
        }
        self.0.memory.write(offset, data)
    }
}

/// Real files that take the room of this disk, and never give it back.
impl Files for SmallDisk {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        OnDisk.make_folder(folder)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        Ok(Box::new(SmallFile { file: OnDisk.create(path)?, disk: self.clone() }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        OnDisk.open(path)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        OnDisk.len(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OnDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if self.0.keeps_files.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        OnDisk.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        OnDisk.sync_folder(folder)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        OnDisk.list(folder)
    }
}

struct SmallFile {
    file: Box<dyn NewFile>,
    disk: SmallDisk,
}

impl Write for SmallFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.take(bytes.len() as u64)?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl NewFile for SmallFile {
    fn sync(&mut self) -> io::Result<()> {
        self.disk.sync()?;
        self.file.sync()
    }
}
