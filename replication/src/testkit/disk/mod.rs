//! A disk in memory that loses its power, tears, reorders and fails as disks do, and as often as a test wants.
//!
//! What is written is seen at once and durable after a sync alone; names are durable after a sync of their folder. At a
//! crash any part of the rest is lost. The same seed and the same calls give the same operations and the same crashes.
//! Never in a released binary.

mod body;
mod files;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use self::body::{Body, Survival};
use super::Dice;

pub use self::files::DiskFile;

/// What the system says when a disk does not answer.
const EIO: i32 = 5;
/// What it says when a disk is full.
const ENOSPC: i32 = 28;

/// One operation, as it stands in the trace.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the arguments of the operation")]
pub enum Operation {
    Write { file: u64, offset: u64, bytes: usize, sum: u32 },
    Length { file: u64, bytes: u64 },
    Sync { file: u64 },
    Create { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
    Remove { path: PathBuf },
    SyncFolder { folder: PathBuf },
}

/// Picks operations.
pub type Which = fn(&Operation) -> bool;

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The disk does not answer. After a sync that failed so, what was not synced is never written.
    Dead,
    /// There is no room.
    Full,
}

/// A lie that the disk tells from the start, to show that it is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lie {
    /// None.
    #[default]
    None,
    /// The file opened by [`Disk::file`] is never synced, and every sync of it answers well.
    StorageSyncs,
    /// Other files are never synced.
    FileSyncs,
    /// Folders are never synced.
    FolderSyncs,
}

/// A disk as a crash left it.
#[derive(Debug)]
pub struct Crash {
    /// Operations that were done before it.
    pub operations: u64,
    /// What is left.
    pub disk: Disk,
}

/// The disk. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<Plate>>);

#[derive(Debug, Default)]
struct Plate {
    files: BTreeMap<u64, Body>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    /// Changes of names since their folder was synced, oldest first: what each name leads to after it.
    pending_names: Vec<Vec<(PathBuf, Option<u64>)>>,
    /// Files that stand for a storage, not for a file of a folder.
    storages: BTreeSet<u64>,
    lie: Lie,
    trace: Vec<Operation>,
    faults: BTreeMap<u64, Fault>,
    next_fault: Option<(Which, Fault)>,
    crashes: Option<(Dice, u64)>,
    crashed: Vec<Crash>,
    dice: Option<Dice>,
}

impl Disk {
    /// From now on crashes once in `one_in` operations on average, at the dice's choice, into images of their own; the
    /// disk itself goes on.
    pub fn crash_often(&self, mut dice: Dice, one_in: u64) {
        let mut plate = self.0.lock();
        plate.dice = Some(dice.split());
        plate.crashes = Some((dice, one_in));
    }

    /// The crashes since the last call, oldest first.
    pub fn crashes(&self) -> Vec<Crash> {
        std::mem::take(&mut self.0.lock().crashed)
    }

    /// What a crash now would leave.
    #[must_use]
    pub fn crash(&self, dice: &mut Dice) -> Disk {
        self.0.lock().crash(dice)
    }

    /// Makes one operation fail, counted from the first of the disk's life.
    pub fn fail(&self, operation: u64, fault: Fault, dice: Dice) {
        let mut plate = self.0.lock();
        plate.dice = Some(dice);
        plate.faults.insert(operation, fault);
    }

    /// Makes the next operation fail that is of this kind.
    pub fn fail_next(&self, which: Which, fault: Fault, dice: Dice) {
        let mut plate = self.0.lock();
        plate.dice = Some(dice);
        plate.next_fault = Some((which, fault));
    }

    /// Has the disk lie from now on.
    pub fn lie(&self, lie: Lie) {
        self.0.lock().lie = lie;
    }

    /// How many operations there were.
    pub fn operations(&self) -> u64 {
        self.0.lock().trace.len() as u64
    }

    /// Every operation so far.
    pub fn trace(&self) -> Vec<Operation> {
        self.0.lock().trace.clone()
    }

    /// A storage for a log under this name, new or as it is. Its name is durable at once: a log is made under another
    /// name first, and that is tested where it is made.
    pub fn file(&self, path: &Path) -> DiskFile {
        let mut plate = self.0.lock();
        let next = plate.next_file();
        let file = *plate.names.entry(path.to_owned()).or_insert(next);
        plate.durable_names.insert(path.to_owned(), file);
        plate.files.entry(file).or_default();
        plate.storages.insert(file);
        drop(plate);
        DiskFile { disk: self.clone(), file }
    }
}

impl Plate {
    fn next_file(&self) -> u64 {
        self.files.last_key_value().map_or(1, |(newest, _)| newest + 1)
    }

    /// Every operation begins here, in which the power may go.
    fn begin(&mut self, operation: Operation) -> io::Result<()> {
        let number = self.trace.len() as u64;
        self.trace.push(operation);
        if let Some((dice, one_in)) = &mut self.crashes
            && dice.one_in(*one_in)
        {
            let mut dice = dice.split();
            let disk = self.crash(&mut dice);
            self.crashed.push(Crash { operations: number, disk });
        }
        let is_next = self.next_fault.is_some_and(|(which, _)| self.trace.last().is_some_and(which));
        let next = if is_next { self.next_fault.take().map(|(_, fault)| fault) } else { None };
        match next.or(self.faults.get(&number).copied()) {
            None => Ok(()),
            Some(Fault::Dead) => Err(io::Error::from_raw_os_error(EIO)),
            Some(Fault::Full) => Err(io::Error::from_raw_os_error(ENOSPC)),
        }
    }

    fn body(&mut self, file: u64) -> &mut Body {
        self.files.get_mut(&file).expect("a file lives as long as its disk")
    }

    fn write(&mut self, file: u64, offset: u64, data: &[u8]) -> io::Result<()> {
        let operation = Operation::Write { file, offset, bytes: data.len(), sum: crc32fast::hash(data) };
        let begun = self.begin(operation);
        let whole = begun.is_ok() || self.dice.as_mut().is_none_or(|dice| dice.one_in(2));
        // A write that failed may have come half way.
        let data = if whole && begun.is_ok() { data } else { &data[..if whole { 0 } else { data.len() / 2 }] };
        self.body(file).write(offset, data);
        begun
    }

    fn set_len(&mut self, file: u64, bytes: u64) -> io::Result<()> {
        self.begin(Operation::Length { file, bytes })?;
        self.body(file).set_len(bytes);
        Ok(())
    }

    fn sync(&mut self, file: u64) -> io::Result<()> {
        let begun = self.begin(Operation::Sync { file });
        let lie = if self.storages.contains(&file) { Lie::StorageSyncs } else { Lie::FileSyncs };
        match &begun {
            Ok(()) if self.lie == lie => {}
            Ok(()) => self.body(file).sync(),
            Err(_) => {
                let mut dice = self.dice.clone().unwrap_or(Dice::new(0));
                self.body(file).sync_failed(&mut dice);
            }
        }
        begun
    }

    /// Changes names, in one step that a crash takes whole or not at all.
    fn name(&mut self, changes: Vec<(PathBuf, Option<u64>)>) {
        for (path, file) in &changes {
            lead(&mut self.names, path, *file);
        }
        self.pending_names.push(changes);
    }

    fn sync_folder(&mut self, folder: &Path) -> io::Result<()> {
        self.begin(Operation::SyncFolder { folder: folder.to_owned() })?;
        if self.lie != Lie::FolderSyncs {
            // One folder alone is ever used here, so all names lie in it.
            self.durable_names = self.names.clone();
            self.pending_names.clear();
        }
        Ok(())
    }

    fn crash(&self, dice: &mut Dice) -> Disk {
        let mut names = self.durable_names.clone();
        let survival = Survival::roll(dice);
        let prefix = dice.below(self.pending_names.len() as u64 + 1);
        for (place, changes) in self.pending_names.iter().enumerate() {
            let survives = match survival {
                Survival::Nothing => false,
                Survival::Everything => true,
                Survival::Prefix => (place as u64) < prefix,
                Survival::Changes | Survival::Sectors => dice.one_in(2),
            };
            if survives {
                for (path, file) in changes {
                    lead(&mut names, path, *file);
                }
            }
        }
        let survival = Survival::roll(dice);
        let named: BTreeSet<_> = names.values().copied().collect();
        let files = self.files.iter().filter(|(file, _)| named.contains(file));
        let files = files.map(|(file, body)| (*file, body.crashed(survival, dice))).collect();
        let storages = self.storages.clone();
        let plate = Plate { files, durable_names: names.clone(), names, storages, lie: self.lie, ..Plate::default() };
        Disk(Arc::new(Mutex::new(plate)))
    }
}

fn lead(names: &mut BTreeMap<PathBuf, u64>, path: &Path, file: Option<u64>) {
    match file {
        Some(file) => names.insert(path.to_owned(), file),
        None => names.remove(path),
    };
}
