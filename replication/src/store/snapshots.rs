//! Verified snapshots: a state and its position in a file of its own, catalogued in the log database.
//!
//! A snapshot counts from the moment that its file was synced, reread and decoded to the digest it states, renamed, and
//! its record in the catalogue is durable; never before, so a crash between any two of these costs that snapshot alone.
//! Works on a clone of the state and holds no lock that anything but another snapshot waits for. The newest two are
//! kept. All are looked through when they are opened: a damaged one is left out, and where nothing whole covers what
//! the log no longer has, nothing is opened.
//!
//! File: `length | record of the head | (length | key | length | value)* | end | crc32 of all before`. Numbers are u32,
//! little endian; the record begins with the format byte; `end` is a length of 2^32 - 1.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;

use super::blocking::{Blocking, Stopped};
use super::folder;
use super::log::{LogError, LogStore};
use super::record::{self, Damage};
use crate::codec::Undecodable;
use crate::ids::{GroupId, LogIndex};
use crate::machine::digest::Digest;
use crate::machine::state::State;

/// Snapshots that are kept.
const SNAPSHOTS_KEPT: usize = 2;
/// Longest head, key or value that is read, in bytes; rows stay far below.
const FIELD_BYTES_MAX: u32 = 1024 * 1024;
/// A key length that no key has.
const END: u32 = u32::MAX;
/// What a disk says of a place that it can no longer read.
const EIO: i32 = 5;
/// Ending of a file that is not finished.
const UNFINISHED: &str = "tmp";

/// Why a snapshot cannot be written or used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file system refused.
    #[error("the snapshot's file cannot be read or written")]
    File(#[from] io::Error),
    /// The catalogue in the log failed.
    #[error("the catalogue of snapshots failed")]
    Catalogue(#[from] LogError),
    /// The bytes are not those that were written.
    #[error("the snapshot's file is damaged")]
    Damaged(#[from] Damage),
    /// A row of it cannot be decoded.
    #[error("the snapshot holds a row that cannot be decoded")]
    Row(#[from] Undecodable),
    /// The record in the catalogue, or the head of the file, is whole and cannot be decoded.
    #[error("the snapshot's record or head cannot be decoded")]
    Record(#[from] postcard::Error),
    /// The rows are not those that the digest was made of.
    #[error("the snapshot's rows have the digest {found}, and it states {stated}")]
    Digest {
        /// Of the rows.
        found: Digest,
        /// In the file.
        stated: Digest,
    },
    /// What the log no longer has is in no undamaged snapshot.
    #[error(
        "the log of group {group} was purged up to entry {purged}, and no undamaged snapshot reaches that far. Nothing \
         was changed and nothing is served from it. Keep a copy of the data directory as it is, look for a failing disk, \
         and put back a whole copy of the data directory from before the damage; never delete or edit a part of it"
    )]
    Lost {
        /// Whose.
        group: GroupId,
        /// The last entry that the log no longer has.
        purged: LogIndex,
        /// How the newest snapshot was found, if there is any.
        #[source]
        source: Option<Box<SnapshotError>>,
    },
    /// The work was not done.
    #[error("no thread to write the snapshot")]
    Stopped(#[from] Stopped),
}

impl SnapshotError {
    /// Whether the file is not what was written, so that another may do; all else is nothing that another could mend.
    fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::Record(_) => true,
            Self::File(error) => {
                matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof)
                    || error.raw_os_error() == Some(EIO)
            }
            Self::Catalogue(_) | Self::Row(_) | Self::Digest { .. } | Self::Lost { .. } | Self::Stopped(_) => false,
        }
    }
}

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

/// What a file begins with.
#[derive(Serialize, Deserialize)]
struct Head {
    meta: Vec<u8>,
    digest: Digest,
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
    folder: Arc<Path>,
    log: LogStore,
    blocking: Blocking,
    /// Held while the catalogue changes, so that two snapshots never take the same number.
    changing: Arc<tokio::sync::Mutex<()>>,
}

impl Snapshots {
    /// The snapshots in a folder, made if it is not there; each is read and compared with its checksum. A damaged one is
    /// taken out of the catalogue and its file left to be looked at until the next start, as long as the log and the
    /// others make up for it. Other files that the catalogue does not name are removed.
    ///
    /// # Errors
    /// [`SnapshotError::Lost`], [`SnapshotError::File`], [`SnapshotError::Catalogue`] or [`SnapshotError::Record`].
    pub async fn open(folder: &Path, log: LogStore, blocking: Blocking) -> Result<Self, SnapshotError> {
        folder::create(folder)?;
        let snapshots = Self { folder: folder.into(), log, blocking, changing: Arc::default() };
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
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if !known.contains(&path) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(snapshots)
    }

    /// Those that are damaged, newest last, if the others and the log can do without them.
    async fn examine(&self, all: Vec<(u64, Snapshot)>) -> Result<Vec<(u64, Snapshot, SnapshotError)>, SnapshotError> {
        let (mut damaged, mut covered) = (Vec::new(), None);
        for (number, snapshot) in all {
            let looked_at = snapshot.clone();
            match self.blocking.run("ekm-snapshot", move || check(&looked_at)).await? {
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
    /// [`SnapshotError`]; the snapshots before it stay as they were.
    pub async fn write(&self, state: State, covered: LogIndex, meta: Vec<u8>) -> Result<Snapshot, SnapshotError> {
        let draft = self.draft(state, covered, meta).await?;
        let draft = self.publish(draft).await?;
        self.keep(draft).await
    }

    /// Takes over a snapshot from a file elsewhere: copies, verifies and catalogues it. One that is already ours is
    /// only verified. Returns its state.
    ///
    /// # Errors
    /// [`SnapshotError`]; the snapshots before it stay as they were.
    pub async fn take_over(&self, snapshot: Snapshot) -> Result<State, SnapshotError> {
        let changing = self.changing.lock().await;
        if self.catalogued()?.iter().any(|(_, ours)| *ours == snapshot) {
            return self
                .blocking
                .run("ekm-snapshot", move || read_file(&snapshot.path).map(|(state, _)| state))
                .await?;
        }
        drop(changing);
        let Snapshot { path: source, covered, meta } = snapshot;
        let copy = move |file: &mut dyn Write| io::copy(&mut File::open(&source)?, file).map(drop);
        let (draft, state) = self.drafted(covered, meta, copy).await?;
        let draft = self.publish(draft).await?;
        self.keep(draft).await?;
        Ok(state)
    }

    /// The first step: a file under another name, synced, reread and decoded to the digest it states.
    pub(crate) async fn draft(&self, state: State, covered: LogIndex, meta: Vec<u8>) -> Result<Draft, SnapshotError> {
        let stated = meta.clone();
        let rows = move |file: &mut dyn Write| write_rows(file, &state, &stated);
        self.drafted(covered, meta, rows).await.map(|(draft, _)| draft)
    }

    async fn drafted(
        &self,
        covered: LogIndex,
        meta: Vec<u8>,
        content: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
    ) -> Result<(Draft, State), SnapshotError> {
        let changing = Arc::clone(&self.changing).lock_owned().await;
        let number = self.catalogued()?.last().map_or(1, |(number, _)| number + 1);
        let snapshot = Snapshot { path: self.folder.join(file_name(number)), covered, meta };
        // The guard goes along: whoever stops waiting for the thread does not let another begin before it has ended.
        let work = move || {
            let (state, found) = store(&snapshot.path.with_extension(UNFINISHED), content)?;
            if found != snapshot.meta {
                return Err(SnapshotError::Damaged(Damage::Content));
            }
            Ok((Draft { number, snapshot, _changing: changing }, state))
        };
        self.blocking.run("ekm-snapshot", work).await?
    }

    /// The second step: the file gets its name, which is durable when this returns.
    pub(crate) async fn publish(&self, draft: Draft) -> Result<Draft, SnapshotError> {
        let work = move || {
            let path = &draft.snapshot.path;
            std::fs::rename(path.with_extension(UNFINISHED), path)?;
            folder::sync(path.parent().unwrap_or(Path::new(".")))?;
            Ok(draft)
        };
        self.blocking.run("ekm-snapshot", work).await?
    }

    /// The last step: catalogues a finished file, and lets go of those beyond the two newest.
    pub(crate) async fn keep(&self, draft: Draft) -> Result<Snapshot, SnapshotError> {
        let Draft { number, snapshot, _changing } = draft;
        let mut older = self.catalogued()?;
        let forget: Vec<_> = older.drain(..older.len().saturating_sub(SNAPSHOTS_KEPT - 1)).collect();
        let Snapshot { covered, meta, .. } = snapshot.clone();
        let body = postcard::to_stdvec(&Catalogued { file: file_name(number), covered: covered.0, meta })?;
        self.log.catalogue(number, &body, forget.iter().map(|(number, _)| *number).collect()).await?;
        for (_, forgotten) in forget {
            folder::remove_file(&forgotten.path)?;
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

    /// The newest snapshot.
    ///
    /// # Errors
    /// [`SnapshotError::Catalogue`] or [`SnapshotError::Record`].
    pub fn newest(&self) -> Result<Option<Snapshot>, SnapshotError> {
        Ok(self.catalogued()?.pop().map(|(_, snapshot)| snapshot))
    }

    fn catalogued(&self) -> Result<Vec<(u64, Snapshot)>, SnapshotError> {
        let rows = self.log.catalogued()?.into_iter();
        rows.map(|(number, body)| {
            let Catalogued { file, covered, meta } = postcard::from_bytes(&body)?;
            Ok((number, Snapshot { path: self.folder.join(file), covered: LogIndex(covered), meta }))
        })
        .collect()
    }
}

fn file_name(number: u64) -> String {
    format!("{number:020}.snapshot")
}

/// Writes a file, syncs it, and reads it back.
fn store(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(State, Vec<u8>), SnapshotError> {
    let file = folder::open_file(path)?;
    file.set_len(0)?;
    let mut buffered = BufWriter::new(&file);
    content(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    file.sync_all()?;
    read_file(path)
}

fn write_rows(file: &mut dyn Write, state: &State, meta: &[u8]) -> io::Result<()> {
    let mut file = Summed { inner: file, sum: crc32fast::Hasher::new() };
    let head = Head { meta: meta.to_vec(), digest: state.digest() };
    let head = postcard::to_stdvec(&head).expect("a head of bytes alone always encodes");
    write_field(&mut file, &record::seal(&head))?;
    for (key, value) in state.rows() {
        write_field(&mut file, &key)?;
        write_field(&mut file, &value)?;
    }
    file.write_all(&END.to_le_bytes())?;
    let sum = file.sum.clone().finalize();
    file.write_all(&sum.to_le_bytes())
}

fn write_field(file: &mut impl Write, field: &[u8]) -> io::Result<()> {
    let length = u32::try_from(field.len()).ok().filter(|length| *length <= FIELD_BYTES_MAX);
    let length = length.ok_or(io::ErrorKind::InvalidInput)?;
    file.write_all(&length.to_le_bytes())?;
    file.write_all(field)
}

/// Whether a file is byte for byte what was catalogued; holds one row at a time.
fn check(snapshot: &Snapshot) -> Result<(), SnapshotError> {
    let (head, ()) = read_rows(&snapshot.path, |rows| rows.for_each(drop))?;
    if head.meta == snapshot.meta { Ok(()) } else { Err(Damage::Content.into()) }
}

/// Reads a whole snapshot; its state and meta, once checksum and digest were compared.
fn read_file(path: &Path) -> Result<(State, Vec<u8>), SnapshotError> {
    let (head, state) = read_rows(path, |rows| State::from_rows(rows))?;
    let state = state?;
    let (found, stated) = (state.digest(), head.digest);
    if found == stated { Ok((state, head.meta)) } else { Err(SnapshotError::Digest { found, stated }) }
}

/// Reads a whole file, and hands out what was made of its rows once the checksum was compared.
fn read_rows<T>(
    path: &Path,
    take: impl FnOnce(&mut dyn Iterator<Item = EncodedRow>) -> T,
) -> Result<(Head, T), SnapshotError> {
    let mut file = Summed { inner: BufReader::new(File::open(path)?), sum: crc32fast::Hasher::new() };
    let head = read_field(&mut file)?.ok_or(Damage::Content)?;
    let head: Head = postcard::from_bytes(record::open(&head)?)?;
    let mut failure = None;
    let mut rows = std::iter::from_fn(|| match read_row(&mut file) {
        Ok(row) => row,
        Err(error) => {
            failure = Some(error);
            None
        }
    })
    .fuse();
    let taken = take(&mut rows);
    // Who takes the rows may stop at one; the checksum is over all of them.
    rows.for_each(drop);
    if let Some(failure) = failure {
        return Err(failure);
    }
    let sum = file.sum.clone().finalize();
    let mut stated_sum = [0; 4];
    file.read_exact(&mut stated_sum)?;
    if sum.to_le_bytes() != stated_sum || file.read(&mut [0])? != 0 {
        return Err(Damage::Checksum.into());
    }
    Ok((head, taken))
}

/// A row's key and value.
type EncodedRow = (Vec<u8>, Vec<u8>);

fn read_row(file: &mut impl Read) -> Result<Option<EncodedRow>, SnapshotError> {
    let Some(key) = read_field(file)? else { return Ok(None) };
    let value = read_field(file)?.ok_or(Damage::Content)?;
    Ok(Some((key, value)))
}

/// `None` at the end mark.
fn read_field(file: &mut impl Read) -> Result<Option<Vec<u8>>, SnapshotError> {
    let mut length = [0; 4];
    file.read_exact(&mut length)?;
    match u32::from_le_bytes(length) {
        END => Ok(None),
        length if length > FIELD_BYTES_MAX => Err(Damage::Content.into()),
        length => {
            let mut field = vec![0; length as usize];
            file.read_exact(&mut field)?;
            Ok(Some(field))
        }
    }
}

/// Sums what passes through.
struct Summed<F> {
    inner: F,
    sum: crc32fast::Hasher,
}

impl<F: Write> Write for Summed<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<F: Read> Read for Summed<F> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.sum.update(&bytes[..read]);
        Ok(read)
    }
}
