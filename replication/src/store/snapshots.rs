//! Verified snapshots: a state and its position in a file of its own, catalogued in the log database.
//!
//! A snapshot counts from the moment that its file was synced, reread and decoded to the digest it states, renamed, and
//! its record in the catalogue is durable; never before, so a crash between any two of these costs that snapshot alone.
//! Works on a clone of the state and holds no lock that anything but another snapshot waits for. The newest two are
//! kept. All are looked through when they are opened: a damaged one is left out, and where nothing whole covers what
//! the log no longer has, nothing is opened. Newest is whichever covers most, in whatever order they came: one that does
//! not cover more than the newest is not taken. The bytes of a file are `snapshot_file.rs`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;

pub use super::snapshot_error::SnapshotError;

use super::blocking::Blocking;
use super::files::{Files, OnDisk};
use super::log::LogStore;
use super::received::RECEIVED;
use super::record::Damage;
use super::snapshot_file::{read_state, read_through, write_state, write_synced};
use crate::ids::LogIndex;
use crate::machine::state::State;

/// Snapshots that are kept.
const SNAPSHOTS_KEPT: usize = 2;
/// Ending of a file that is not finished.
const UNFINISHED: &str = "tmp";

/// A finished snapshot: a file, and what is in it. The bytes stay on disk; a copy of this is a copy of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Where the file is.
    pub path: PathBuf,
    /// The newest entry in it; 0 before the first.
    pub covered: LogIndex,
    /// What the caller keeps with it: position and membership.
    pub meta: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Catalogued {
    file: String,
    covered: u64,
    meta: Vec<u8>,
}

/// A snapshot on its way into the catalogue. No other is begun as long as it lives.
pub(crate) struct Draft {
    number: u64,
    snapshot: Snapshot,
    _changing: OwnedMutexGuard<()>,
}

/// The snapshots of one group. Clones share them.
#[derive(Clone)]
pub struct Snapshots {
    pub(super) files: Arc<dyn Files>,
    pub(super) folder: Arc<Path>,
    log: LogStore,
    pub(super) blocking: Blocking,
    /// Held while the catalogue changes, so that two snapshots never take the same number.
    changing: Arc<tokio::sync::Mutex<()>>,
    /// Held while one comes from another replica.
    pub(super) receiving: Arc<tokio::sync::Mutex<()>>,
}

impl Snapshots {
    /// The snapshots in a folder, made if it is not there; each is read and compared with its checksum. A damaged one is
    /// taken out of the catalogue and its file left to be looked at until the next start, as long as the log and the
    /// others make up for it. Other files that the catalogue does not name are removed.
    ///
    /// # Errors
    /// [`SnapshotError::Lost`], [`SnapshotError::File`], [`SnapshotError::Catalogue`] or [`SnapshotError::Record`].
    pub async fn open(folder: &Path, log: LogStore, blocking: Blocking) -> Result<Self, SnapshotError> {
        Self::open_on(Arc::new(OnDisk), folder, log, blocking).await
    }

    /// The same on files of the caller's.
    ///
    /// # Errors
    /// As [`Snapshots::open`].
    pub async fn open_on(
        files: Arc<dyn Files>,
        folder: &Path,
        log: LogStore,
        blocking: Blocking,
    ) -> Result<Self, SnapshotError> {
        files.make_folder(folder)?;
        let snapshots =
            Self { files, folder: folder.into(), log, blocking, changing: Arc::default(), receiving: Arc::default() };
        let catalogued = snapshots.catalogued()?;
        let known: Vec<_> = catalogued.iter().map(|(_, snapshot)| snapshot.path.clone()).collect();
        let damaged = snapshots.examine(catalogued).await?;
        for (_, snapshot, error) in &damaged {
            let (group, path) = (snapshots.log.owner().group, snapshot.path.display());
            let error: &(dyn std::error::Error + 'static) = error;
            tracing::warn!(%group, %path, error, "a snapshot is damaged and not used; what is left makes up for it");
        }
        if !damaged.is_empty() {
            snapshots.log.forget(damaged.into_iter().map(|(number, ..)| number).collect()).await?;
        }
        for path in snapshots.files.list(folder)? {
            if !known.contains(&path) {
                snapshots.files.remove(&path)?;
            }
        }
        Ok(snapshots)
    }

    /// Those that are damaged, newest last, if the others and the log can do without them.
    async fn examine(&self, all: Vec<(u64, Snapshot)>) -> Result<Vec<(u64, Snapshot, SnapshotError)>, SnapshotError> {
        let (mut damaged, mut covered) = (Vec::new(), None);
        for (number, snapshot) in all {
            let (files, looked_at) = (Arc::clone(&self.files), snapshot.clone());
            match self.blocking.run("ekm-snapshot", move || check(&*files, &looked_at)).await? {
                Ok(()) => covered = covered.max(Some(snapshot.covered)),
                Err(error) if error.is_damage() => damaged.push((number, snapshot, error)),
                Err(error) => return Err(error),
            }
        }
        match self.log.purged_to() {
            Some(purged) if covered < Some(purged) => Err(SnapshotError::Lost {
                group: self.log.owner().group,
                purged,
                source: damaged.pop().map(|(_, _, error)| Box::new(error)),
            }),
            Some(_) | None => Ok(damaged),
        }
    }

    /// Writes a state, verifies what was written, and catalogues it.
    ///
    /// # Errors
    /// [`SnapshotError::NotNewer`] if another covers as much, or any other [`SnapshotError`]; the snapshots before it stay as they were.
    pub async fn write(&self, state: State, covered: LogIndex, meta: Vec<u8>) -> Result<Snapshot, SnapshotError> {
        let draft = self.draft(state, covered, meta).await?;
        let draft = self.publish(draft).await?;
        self.keep(draft).await
    }

    /// Takes over a snapshot from a file elsewhere: copies, verifies and catalogues it. One that was received here is moved rather
    /// than copied, which needs no room, and one that is already ours is only verified. Returns its state.
    ///
    /// # Errors
    /// [`SnapshotError`]; the snapshots before it stay as they were.
    pub async fn take_over(&self, snapshot: Snapshot) -> Result<State, SnapshotError> {
        let changing = self.changing.lock().await;
        let files = Arc::clone(&self.files);
        if self.reading(Self::catalogued).await?.iter().any(|(_, ours)| *ours == snapshot) {
            return self
                .blocking
                .run("ekm-snapshot", move || read_state(&*files, &snapshot.path).map(|(state, _)| state))
                .await?;
        }
        drop(changing);
        let Snapshot { path: source, covered, meta } = snapshot;
        if source == self.folder.join(RECEIVED) {
            let moved = move |files: &dyn Files, unfinished: &Path| files.rename(&source, unfinished);
            let (draft, state) = self.drafted(covered, meta, moved).await?;
            let draft = self.publish(draft).await?;
            self.keep(draft).await?;
            return Ok(state);
        }
        let copy = move |file: &mut dyn Write| io::copy(&mut files.open(&source)?, file).map(drop);
        let written = move |files: &dyn Files, unfinished: &Path| write_synced(files, unfinished, copy);
        let (draft, state) = self.drafted(covered, meta, written).await?;
        let draft = self.publish(draft).await?;
        self.keep(draft).await?;
        Ok(state)
    }

    /// The first step: a file under another name, synced, reread and decoded to the digest it states.
    pub(crate) async fn draft(&self, state: State, covered: LogIndex, meta: Vec<u8>) -> Result<Draft, SnapshotError> {
        let stated = meta.clone();
        let rows = move |file: &mut dyn Write| write_state(file, &state, &stated);
        let written = move |files: &dyn Files, unfinished: &Path| write_synced(files, unfinished, rows);
        self.drafted(covered, meta, written).await.map(|(draft, _)| draft)
    }

    /// `make` has the file, synced, under the name that it is given. Nothing is made of what is not newer than all others.
    async fn drafted(
        &self,
        covered: LogIndex,
        meta: Vec<u8>,
        make: impl FnOnce(&dyn Files, &Path) -> io::Result<()> + Send + 'static,
    ) -> Result<(Draft, State), SnapshotError> {
        let changing = Arc::clone(&self.changing).lock_owned().await;
        let catalogued = self.reading(Self::catalogued).await?;
        // An older one would take the place of one that was installed meanwhile, and the log behind that is gone.
        if let Some((_, Snapshot { covered: newest, .. })) =
            catalogued.last().filter(|(_, last)| last.covered >= covered)
        {
            return Err(SnapshotError::NotNewer { covered, newest: *newest });
        }
        let number = catalogued.iter().map(|(number, _)| *number).max().map_or(1, |number| number + 1);
        let snapshot = Snapshot { path: self.folder.join(file_name(number)), covered, meta };
        let files = Arc::clone(&self.files);
        // The guard goes along: whoever stops waiting for the thread does not let another begin before it has ended.
        let work = move || {
            let unfinished = snapshot.path.with_extension(UNFINISHED);
            if let Err(error) = make(&*files, &unfinished) {
                // it would take the room that is missing
                if let Err(left) = files.remove(&unfinished) {
                    tracing::warn!(path = %unfinished.display(), error = %left, "an unfinished snapshot stays until the next one");
                }
                return Err(error.into());
            }
            let (state, found) = read_state(&*files, &unfinished)?;
            if found != snapshot.meta {
                return Err(SnapshotError::Damaged(Damage::Content));
            }
            Ok((Draft { number, snapshot, _changing: changing }, state))
        };
        self.blocking.run("ekm-snapshot", work).await?
    }

    /// The second step: the file gets its name, which is durable when this returns.
    pub(crate) async fn publish(&self, draft: Draft) -> Result<Draft, SnapshotError> {
        let (files, folder) = (Arc::clone(&self.files), Arc::clone(&self.folder));
        let work = move || {
            let path = &draft.snapshot.path;
            files.rename(&path.with_extension(UNFINISHED), path)?;
            files.sync_folder(&folder)?;
            Ok(draft)
        };
        self.blocking.run("ekm-snapshot", work).await?
    }

    /// The last step: catalogues a finished file, and lets go of those beyond the two newest.
    pub(crate) async fn keep(&self, draft: Draft) -> Result<Snapshot, SnapshotError> {
        let Draft { number, snapshot, _changing } = draft;
        let mut older = self.reading(Self::catalogued).await?;
        let forget: Vec<_> = older.drain(..older.len().saturating_sub(SNAPSHOTS_KEPT - 1)).collect();
        let Snapshot { covered, meta, .. } = snapshot.clone();
        let body = postcard::to_stdvec(&Catalogued { file: file_name(number), covered: covered.0, meta })?;
        self.log.catalogue(number, &body, forget.iter().map(|(number, _)| *number).collect()).await?;
        for (_, forgotten) in forget {
            // the new one counts already; what no record names is removed at the next start
            if let Err(error) = self.files.remove(&forgotten.path) {
                tracing::warn!(path = %forgotten.path.display(), %error, "an old snapshot stays until the next start");
            }
        }
        Ok(snapshot)
    }

    /// Returns when no snapshot is being written.
    pub async fn settled(&self) {
        drop(self.changing.lock().await);
    }

    /// The older of the snapshots that are kept, once there are as many as are kept: up to it the log may be purged.
    ///
    /// # Errors
    /// [`SnapshotError::Catalogue`] or [`SnapshotError::Record`].
    pub fn older(&self) -> Result<Option<Snapshot>, SnapshotError> {
        let mut catalogued = self.catalogued()?;
        let enough = catalogued.len() >= SNAPSHOTS_KEPT;
        Ok(enough.then(|| catalogued.swap_remove(0).1))
    }

    /// The snapshot that covers most.
    ///
    /// # Errors
    /// [`SnapshotError::Catalogue`] or [`SnapshotError::Record`].
    pub fn newest(&self) -> Result<Option<Snapshot>, SnapshotError> {
        Ok(self.catalogued()?.pop().map(|(_, snapshot)| snapshot))
    }

    /// Reads as [`LogStore::reading`] does, without holding the caller's thread up.
    ///
    /// # Errors
    /// What `read` yields, or [`SnapshotError::Catalogue`].
    pub async fn reading<T: Send + 'static>(
        &self,
        read: impl Fn(&Self) -> Result<T, SnapshotError> + Send + 'static,
    ) -> Result<T, SnapshotError> {
        let own = self.clone();
        self.log.reading(move |log| read(&Self { log: log.clone(), ..own.clone() })).await
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The size of the newest snapshot's file, in bytes; 0 without any.
    ///
    /// # Errors
    /// [`SnapshotError::Catalogue`], [`SnapshotError::Record`] or [`SnapshotError::File`].
    pub fn newest_bytes(&self) -> Result<u64, SnapshotError> {
        Ok(self.newest()?.map_or(Ok(0), |newest| self.files.len(&newest.path))?)
    }

    /// All of them, the one that covers most last.
    fn catalogued(&self) -> Result<Vec<(u64, Snapshot)>, SnapshotError> {
        let rows = self.log.catalogued()?.into_iter();
        let all: Result<Vec<_>, SnapshotError> = rows
            .map(|(number, body)| {
                let Catalogued { file, covered, meta } = postcard::from_bytes(&body)?;
                Ok((number, Snapshot { path: self.folder.join(file), covered: LogIndex(covered), meta }))
            })
            .collect();
        let mut all = all?;
        all.sort_by_key(|(number, snapshot)| (snapshot.covered, *number));
        Ok(all)
    }
}

fn file_name(number: u64) -> String {
    format!("{number:020}.snapshot")
}

/// Whether a file is byte for byte what was catalogued; holds one row at a time.
fn check(files: &dyn Files, snapshot: &Snapshot) -> Result<(), SnapshotError> {
    if read_through(files, &snapshot.path)? == snapshot.meta { Ok(()) } else { Err(Damage::Content.into()) }
}
