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

pub use super::mirror_error::{Doubt, MirrorError};
pub use super::state_opening::{Found, Opened, Use};

use std::fs::{File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::blocking::{Stopped, Worker};
use super::record;
use crate::machine::digest::Digest;
use crate::machine::state::{RowChange, State};

/// Changes between two checkpoints of a busy group.
const CHANGES_PER_CHECKPOINT: u32 = 4096;
/// Rows per batch when the whole state is written.
const ROWS_PER_BATCH: usize = 1024;
/// Looks that a closing takes at whether sled's own threads have let go of its files. They take milliseconds, and a mirror
/// that is locked still at the next opening costs a replay.
const RELEASE_LOOKS_MAX: u32 = 1000;
/// Between two of them.
const RELEASE_PAUSE: Duration = Duration::from_millis(2);
/// The mark's key; row keys begin with their kind, which is never 0.
pub(super) const MARK: &[u8] = &[0];

/// What is written with every batch.
#[derive(Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) position: Vec<u8>,
    pub(super) digest: Digest,
}

impl Mark {
    fn record(&self) -> Vec<u8> {
        record::seal(&postcard::to_stdvec(self).expect("a mark of bytes alone always encodes"))
    }
}

/// The mirror of one group's state. Clones share it.
#[derive(Clone)]
pub struct StateMirror {
    pub(super) worker: Arc<Worker<Job>>,
    pub(super) disk: Arc<Disk>,
}

pub(super) struct Disk {
    pub(super) folder: PathBuf,
    pub(super) tree: Mutex<Tree>,
}

pub(super) enum Tree {
    Open {
        database: sled::Db,
        since_checkpoint: u32,
    },
    /// A write failed: what is there is an older state, and stays that until the next start.
    Behind,
    Closed,
}

pub(super) enum Job {
    Record { rows: Vec<RowChange>, mark: Mark },
    Replace { state: Box<State>, mark: Mark },
    Checkpoint { done: oneshot::Sender<()> },
}

impl StateMirror {
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

    pub(super) fn serve(&self, job: Job) {
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
pub(super) fn unlocked(file: &File) -> io::Result<()> {
    for _ in 0..RELEASE_LOOKS_MAX {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            // mirrors are closed on a thread of their own
            Err(TryLockError::WouldBlock) => std::thread::park_timeout(RELEASE_PAUSE),
        }
    }
    Err(io::ErrorKind::TimedOut.into())
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
