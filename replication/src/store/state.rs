//! The mirror of the applied state: its rows in sled, so that a restart need not replay the whole log.
//!
//! Only a cache. The truth is the log and the snapshots; whatever looks doubtful here is thrown away and rebuilt
//! from them. The only place that names sled.
//!
//! Order. The mirror is never ahead of what the log has durable as committed: whoever records a change here has
//! waited for that first (`raft::machine`). So whatever prefix of the mirror survives a kill (page cache and all) or a
//! power cut (perhaps nothing, perhaps rubbish) is behind the log, or is found out by the digest. Every batch carries
//! the position and the digest of the state after it, and sled keeps a batch of one tree whole. `flush()` of sled 0.34
//! is `sync_file_range`, not an fsync, so a checkpoint syncs the file itself.

use std::fs::{File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::blocking::{Blocking, Queue, Stopped, Worker};
use super::folder;
use super::record::{self, Damage};
use super::room::{self, FileSystem, FreeSpace};
use crate::codec::Undecodable;
use crate::machine::digest::Digest;
use crate::machine::state::{RowChange, State};

/// Changes that may wait for the mirror; the applier waits beyond that.
const CHANGES_MAX: usize = 256;
/// Memory that sled may use for pages, in bytes.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// Changes between two checkpoints of a busy group.
const CHANGES_PER_CHECKPOINT: u32 = 4096;
/// Room without which sled is not opened: some of its segments, of half a megabyte each.
const ROOM_MIN: u64 = 4 * 1024 * 1024;
/// Rows per batch when the whole state is written.
const ROWS_PER_BATCH: usize = 1024;
/// How long a closing waits for sled's own threads to let go of its files. They take milliseconds, and a mirror that is
/// locked still at the next opening costs a replay.
const RELEASE_WAIT_MAX: Duration = Duration::from_secs(2);
/// Between two looks at them.
const RELEASE_PAUSE: Duration = Duration::from_millis(2);
/// The mark's key; row keys begin with their kind, which is never 0.
const MARK: &[u8] = &[0];

/// What is written with every batch.
#[derive(Serialize, Deserialize)]
struct Mark {
    position: Vec<u8>,
    digest: Digest,
}

impl Mark {
    fn record(&self) -> Vec<u8> {
        record::seal(&postcard::to_stdvec(self).expect("a mark of bytes alone always encodes"))
    }
}

/// The state that the mirror held.
pub struct Found {
    /// The state, whose digest was compared.
    pub state: State,
    /// The position it was recorded with.
    pub position: Vec<u8>,
}

/// What opening a mirror came to.
pub struct Opened {
    /// Ready to record; without a place to record to, what it is given is dropped.
    pub mirror: StateMirror,
    /// What it held; `None` for a new or a rebuilt one.
    pub found: Option<Found>,
    /// Why what was there before was not used.
    pub doubt: Option<Doubt>,
    /// Whether the mirror mirrors.
    pub use_made: Use,
}

/// What a group has of its mirror until the next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It is there and recorded to.
    Kept,
    /// The disk has no room for it: what is there, if anything, stays an older state.
    NoRoom,
    /// What was there was thrown away, and then there was no room for a new one.
    Removed,
}

/// Why a mirror is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Doubt {
    /// sled panicked over its files.
    #[error("sled panicked while it read its files")]
    Panicked,
    /// sled refused its files.
    #[error("sled cannot read its files")]
    Unreadable(#[from] sled::Error),
    /// There are rows, and no mark that says what they are.
    #[error("there are rows without a mark")]
    Unmarked,
    /// The mark is not what was written.
    #[error("the mark is damaged")]
    Mark(#[from] Damage),
    /// The mark's frame is whole and its content is not.
    #[error("the mark cannot be decoded")]
    MarkContent(#[from] postcard::Error),
    /// A row is not what was written.
    #[error("a row cannot be decoded")]
    Row(#[from] Undecodable),
    /// The rows are not those that the mark was written with.
    #[error("the rows have the digest {found}, and the mark states {stated}")]
    Digest {
        /// Of the rows.
        found: Digest,
        /// In the mark.
        stated: Digest,
    },
}

impl Opened {
    /// Whether what was there before is gone.
    pub fn was_thrown_away(&self) -> bool {
        match self.use_made {
            Use::Kept => self.doubt.is_some(),
            Use::NoRoom => false,
            Use::Removed => true,
        }
    }
}

impl Doubt {
    /// Whether the disk had no room, so that what is there may be as good as before.
    fn is_no_room(&self) -> bool {
        matches!(self, Self::Unreadable(sled::Error::Io(error)) if room::is_full(error))
    }
}

/// Why no mirror can be had at all.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The folder cannot be made, emptied or read.
    #[error("the folder of the applied state cannot be used")]
    Folder(#[from] io::Error),
    /// Even a new, empty mirror cannot be opened.
    #[error("a new mirror of the applied state cannot be opened")]
    Fresh(#[source] Doubt),
    /// The mirror was closed, or its worker is gone.
    #[error("the mirror of the applied state is closed")]
    Closed(#[from] Stopped),
}

/// The mirror of one group's state. Clones share it.
#[derive(Clone)]
pub struct StateMirror {
    worker: Arc<Worker<Job>>,
    disk: Arc<Disk>,
}

struct Disk {
    folder: PathBuf,
    tree: Mutex<Tree>,
}

enum Tree {
    Open {
        database: sled::Db,
        since_checkpoint: u32,
    },
    /// A write failed: what is there is an older state, and stays that until the next start.
    Behind,
    Closed,
}

enum Job {
    Record { rows: Vec<RowChange>, mark: Mark },
    Replace { state: Box<State>, mark: Mark },
    Checkpoint { done: oneshot::Sender<()> },
}

impl StateMirror {
    /// Opens the mirror in a folder and verifies every row of it. What cannot be believed is thrown away.
    ///
    /// # Errors
    /// [`MirrorError`], if not even an empty mirror can be opened there.
    pub fn open(folder: &Path, blocking: Blocking) -> Result<Opened, MirrorError> {
        let space = FileSystem::of(folder.parent().unwrap_or(folder));
        Self::open_within(folder, blocking, &space)
    }

    /// The same where the room is measured elsewhere.
    ///
    /// # Errors
    /// As [`StateMirror::open`].
    pub fn open_within(folder: &Path, blocking: Blocking, space: &dyn FreeSpace) -> Result<Opened, MirrorError> {
        let Tried { tree, found, doubt, use_made } = tried(folder, space)?;
        let tree = Mutex::new(tree);
        let disk = Arc::new(Disk { folder: folder.to_owned(), tree });
        let serving = Arc::clone(&disk);
        let queue = Queue { jobs_max: CHANGES_MAX, batch_max: CHANGES_MAX };
        let worker = Worker::start(blocking, "ekm-mirror", queue, move |jobs| {
            for job in jobs.drain(..) {
                serving.serve(job);
            }
        })?;
        Ok(Opened { mirror: Self { worker: Arc::new(worker), disk }, found, doubt, use_made })
    }

    /// Records a change and what the state is after it; does not wait for the disk.
    ///
    /// The caller has made sure that `position` is durable as committed.
    ///
    /// # Errors
    /// [`MirrorError::Closed`].
    pub async fn record(&self, rows: Vec<RowChange>, position: Vec<u8>, digest: Digest) -> Result<(), MirrorError> {
        let mark = Mark { position, digest };
        Ok(self.worker.submit(Job::Record { rows, mark }).await?)
    }

    /// Replaces everything by another state, as after a snapshot; does not wait for the disk.
    ///
    /// # Errors
    /// [`MirrorError::Closed`].
    pub async fn replace(&self, state: State, position: Vec<u8>) -> Result<(), MirrorError> {
        let mark = Mark { position, digest: state.digest() };
        Ok(self.worker.submit(Job::Replace { state: Box::new(state), mark }).await?)
    }

    /// Flushes and syncs what was recorded before. A failure costs a replay at the next start, nothing else.
    ///
    /// # Errors
    /// [`MirrorError::Closed`].
    pub async fn checkpoint(&self) -> Result<(), MirrorError> {
        let (done, answered) = oneshot::channel();
        self.worker.submit(Job::Checkpoint { done }).await?;
        Ok(answered.await.map_err(|_| Stopped)?)
    }

    /// Serves what is queued and closes the files whoever else still holds this mirror. Blocks for that long.
    pub fn close(&self) {
        self.worker.stop();
        self.disk.release();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.release();
    }
}

impl Disk {
    /// Closes the files, and waits until sled's own threads have let go of them: they hold its lock a moment longer,
    /// and an opening in that moment would doubt the mirror.
    fn release(&self) {
        let before = std::mem::replace(&mut *self.tree.lock(), Tree::Closed);
        // After a failure nobody knows what sled's threads still hold, and nobody should wait for them.
        let Tree::Open { database, .. } = before else { return };
        if let_go(database).is_err() {
            return;
        }
        if let Err(error) = File::open(self.folder.join("db")).and_then(|file| unlocked(&file)) {
            tracing::info!(folder = %self.folder.display(), %error, "the mirror of the applied state was gone or still locked when it was closed");
        }
    }

    fn serve(&self, job: Job) {
        let mut tree = self.tree.lock();
        let Tree::Open { database, since_checkpoint } = &mut *tree else { return };
        // sled panics over some failures; the mirror is then as doubtful as after an error.
        let served = catch_unwind(AssertUnwindSafe(|| match job {
            Job::Record { rows, mark } => {
                *since_checkpoint += 1;
                record(database, rows, &mark)
            }
            Job::Replace { state, mark } => {
                *since_checkpoint = CHANGES_PER_CHECKPOINT;
                replace(database, &state, &mark)
            }
            Job::Checkpoint { done } => {
                let synced = sync(database, &self.folder);
                // A caller that has gone away no longer waits.
                let _ = done.send(());
                *since_checkpoint = 0;
                synced
            }
        }));
        let served = served.map_err(|_| Doubt::Panicked).and_then(|result| result.map_err(Doubt::from));
        let synced = served.and_then(|()| {
            if *since_checkpoint >= CHANGES_PER_CHECKPOINT {
                *since_checkpoint = 0;
                sync(database, &self.folder)?;
            }
            Ok(())
        });
        if let Err(error) = synced {
            tracing::warn!(folder = %self.folder.display(), %error, "the mirror of the applied state stays behind until the next start");
            let before = std::mem::replace(&mut *tree, Tree::Behind);
            if let Tree::Open { database, .. } = before {
                // there is nothing left to do if this fails too
                let _ = let_go(database);
            }
        }
    }
}

/// Waits until nobody has the file locked.
fn unlocked(file: &File) -> io::Result<()> {
    let until = Instant::now() + RELEASE_WAIT_MAX;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => return Err(io::ErrorKind::TimedOut.into()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(RELEASE_PAUSE),
        }
    }
}

/// Closes sled's files. sled panics where it cannot sync what it lets go of.
fn let_go(database: sled::Db) -> Result<(), Doubt> {
    catch_unwind(AssertUnwindSafe(|| drop(database))).map_err(|_| {
        tracing::warn!(
            "sled panicked while it closed the mirror of the applied state, which is looked through at the next start"
        );
        Doubt::Panicked
    })
}

fn record(database: &sled::Db, rows: Vec<RowChange>, mark: &Mark) -> Result<(), sled::Error> {
    let mut batch = sled::Batch::default();
    for row in rows {
        match row.value {
            Some(value) => batch.insert(row.key, value),
            None => batch.remove(row.key),
        }
    }
    batch.insert(MARK, mark.record());
    database.apply_batch(batch)
}

/// Without a mark, what is half replaced is thrown away at the next start.
fn replace(database: &sled::Db, state: &State, mark: &Mark) -> Result<(), sled::Error> {
    database.remove(MARK)?;
    database.clear()?;
    let mut rows = state.rows().peekable();
    while rows.peek().is_some() {
        let mut batch = sled::Batch::default();
        rows.by_ref().take(ROWS_PER_BATCH).for_each(|(key, value)| batch.insert(key, value));
        database.apply_batch(batch)?;
    }
    record(database, Vec::new(), mark)
}

/// `flush` alone does not survive a power cut.
fn sync(database: &sled::Db, folder: &Path) -> Result<(), sled::Error> {
    database.flush()?;
    Ok(File::open(folder.join("db")).and_then(|file| file.sync_data())?)
}

/// What became of opening the files.
struct Tried {
    tree: Tree,
    found: Option<Found>,
    doubt: Option<Doubt>,
    use_made: Use,
}

impl Tried {
    fn open(database: sled::Db, found: Option<Found>, doubt: Option<Doubt>) -> Self {
        Self { tree: Tree::Open { database, since_checkpoint: 0 }, found, doubt, use_made: Use::Kept }
    }

    const fn no_room(doubt: Option<Doubt>) -> Self {
        Self { tree: Tree::Behind, found: None, doubt, use_made: Use::NoRoom }
    }
}

/// Opens the files, or new ones in their place. sled writes when it opens, panics over some writes that find no room, and may
/// leave half a file of its own then: with less room than it wants it is left alone, and so is what it has.
fn tried(folder: &Path, space: &dyn FreeSpace) -> Result<Tried, MirrorError> {
    // Where it cannot be measured, sled itself says what is wrong.
    let is_short = || space.measure().is_ok_and(|space| space.free_bytes < ROOM_MIN);
    if is_short() {
        return Ok(Tried::no_room(None));
    }
    let doubt = match examine(folder) {
        Ok((database, found)) => return Ok(Tried::open(database, found, None)),
        Err(doubt) if doubt.is_no_room() || is_short() => return Ok(Tried::no_room(Some(doubt))),
        Err(doubt) => doubt,
    };
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    match examine(folder) {
        Ok((database, _)) => Ok(Tried::open(database, None, Some(doubt))),
        Err(fresh) if fresh.is_no_room() || is_short() => {
            Ok(Tried { use_made: Use::Removed, ..Tried::no_room(Some(doubt)) })
        }
        Err(fresh) => Err(MirrorError::Fresh(fresh)),
    }
}

fn examine(folder: &Path) -> Result<(sled::Db, Option<Found>), Doubt> {
    catch_unwind(AssertUnwindSafe(|| {
        folder::create(folder).map_err(sled::Error::from)?;
        let settings = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        let database = settings.open()?;
        let found = verify(&database)?;
        Ok((database, found))
    }))
    .unwrap_or(Err(Doubt::Panicked))
}

/// Reads every row and compares the digest.
fn verify(database: &sled::Db) -> Result<Option<Found>, Doubt> {
    let mut mark = None;
    let mut rows = Vec::new();
    for row in database.iter() {
        let (key, value) = row?;
        if *key == *MARK { mark = Some(value) } else { rows.push((key.to_vec(), value.to_vec())) }
    }
    let Some(mark) = mark else {
        return if rows.is_empty() { Ok(None) } else { Err(Doubt::Unmarked) };
    };
    let mark: Mark = postcard::from_bytes(record::open(&mark)?)?;
    let state = State::from_rows(rows)?;
    let (found, stated) = (state.digest(), mark.digest);
    if found == stated {
        Ok(Some(Found { state, position: mark.position }))
    } else {
        Err(Doubt::Digest { found, stated })
    }
}
