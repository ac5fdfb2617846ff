//! A snapshot that comes from another replica: written beside the others, and verified before anybody may use it.
//!
//! At most one is received at a time, under one name, so that at most one is ever left over; it is removed when it is dropped, at
//! the next one, and when the folder is opened. Never hands out a file that was not synced, reread, and decoded to the digest it states.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use super::blocking::Blocking;
use super::files::{Files, NewFile};
use super::folder;
use super::record::Damage;
use super::snapshot_file::read_state;
use super::snapshots::{Snapshot, SnapshotError, Snapshots};
use crate::ids::LogIndex;

/// The one name under which a snapshot is received.
pub(super) const RECEIVED: &str = "received.tmp";

/// A place for a snapshot's bytes.
pub struct Received {
    file: Option<Box<dyn NewFile>>,
    place: Place,
    blocking: Blocking,
    bytes: u64,
    written: u64,
}

/// Removes the file, unless it has another name by then.
struct Place {
    files: Arc<dyn Files>,
    path: PathBuf,
    _receiving: OwnedMutexGuard<()>,
}

/// A received snapshot that is what it states. Removed when it is dropped, unless it was taken over.
pub struct Verified {
    snapshot: Snapshot,
    _place: Place,
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").field("bytes", &self.bytes).field("written", &self.written).finish_non_exhaustive()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = self.files.remove(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "what is left of a received snapshot stays until the next one");
        }
    }
}

impl Snapshots {
    /// A place for a snapshot of so many bytes.
    ///
    /// # Errors
    /// [`SnapshotError::Receiving`] while another is received, or [`SnapshotError::File`].
    pub async fn receive(&self, bytes: u64) -> Result<Received, SnapshotError> {
        let receiving = Arc::clone(&self.receiving).try_lock_owned().map_err(|_| SnapshotError::Receiving)?;
        let place = Place { files: Arc::clone(&self.files), path: self.folder.join(RECEIVED), _receiving: receiving };
        let make = move || place.files.create(&place.path).map(|file| (file, place));
        let (file, place) = self.blocking.run("ekm-snapshot", make).await??;
        Ok(Received { file: Some(file), place, blocking: self.blocking, bytes, written: 0 })
    }
}

impl Received {
    /// Writes the next bytes.
    ///
    /// # Errors
    /// [`SnapshotError::Damaged`] if they are more than was announced, or [`SnapshotError::File`]. Nothing more is taken then.
    pub async fn write(&mut self, chunk: Vec<u8>) -> Result<(), SnapshotError> {
        let mut file = self.file.take().ok_or(Damage::Content)?;
        let written = self.written.saturating_add(chunk.len() as u64);
        if written > self.bytes {
            return Err(Damage::Content.into());
        }
        let write = move || file.write_all(&chunk).map(|()| file);
        self.file = Some(self.blocking.run("ekm-snapshot", write).await??);
        self.written = written;
        Ok(())
    }

    /// How many bytes were written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Syncs what was written, reads it again from the disk, and decodes it to the digest and the meta that it states.
    ///
    /// # Errors
    /// [`SnapshotError`]; the file is removed.
    pub async fn verified(self, covered: LogIndex, meta: Vec<u8>) -> Result<Verified, SnapshotError> {
        let Self { file, place, blocking, bytes, written } = self;
        let mut file = file.ok_or(Damage::Content)?;
        if written != bytes {
            return Err(Damage::Short.into());
        }
        let verify = move || {
            file.sync().map_err(folder::unsynced)?;
            drop(file);
            let (_, found) = read_state(&*place.files, &place.path)?;
            if found != meta {
                return Err(Damage::Content.into());
            }
            Ok(Verified { snapshot: Snapshot { path: place.path.clone(), covered, meta }, _place: place })
        };
        blocking.run("ekm-snapshot", verify).await?
    }
}

impl Verified {
    /// What may be taken over as long as this lives.
    pub fn content(&self) -> &Snapshot {
        &self.snapshot
    }
}
