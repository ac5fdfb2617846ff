//! Verified snapshots: a state and its position in a file of its own, catalogued in the log database.
//!
//! A snapshot counts from the moment that its file was synced, renamed, reread and decoded to the digest it states, and
//! its record in the catalogue is durable; never before. Works on a clone of the state and holds no lock. The newest
//! two are kept.
//!
//! File: `length | record of the head | (length | key | length | value)* | end | crc32 of all before`. Numbers are u32,
//! little endian; the record begins with the format byte; `end` is a length of 2^32 - 1.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::blocking::{Blocking, Stopped};
use super::folder;
use super::log::{LogError, LogStore};
use super::record::{self, Damage};
use crate::codec::Undecodable;
use crate::machine::digest::Digest;
use crate::machine::state::State;

/// Snapshots that are kept.
const SNAPSHOTS_KEPT: usize = 2;
/// Longest head, key or value that is read, in bytes; rows stay far below.
const FIELD_BYTES_MAX: u32 = 1024 * 1024;
/// A key length that no key has.
const END: u32 = u32::MAX;
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
    /// The work was not done.
    #[error("no thread to write the snapshot")]
    Stopped(#[from] Stopped),
}

/// A finished snapshot: a file, and what is in it. The bytes stay on disk; a copy of this is a copy of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Where the file is.
    pub path: PathBuf,
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
    meta: Vec<u8>,
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
    /// The snapshots in a folder, made if it is not there. Files that the catalogue does not name are removed.
    ///
    /// # Errors
    /// [`SnapshotError::File`], [`SnapshotError::Catalogue`] or [`SnapshotError::Record`].
    pub fn open(folder: &Path, log: LogStore, blocking: Blocking) -> Result<Self, SnapshotError> {
        folder::create(folder)?;
        let snapshots = Self { folder: folder.into(), log, blocking, changing: Arc::default() };
        let kept: Vec<_> = snapshots.catalogued()?.into_iter().map(|(_, snapshot)| snapshot.path).collect();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if !kept.contains(&path) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(snapshots)
    }

    /// Writes a state, verifies what was written, and catalogues it.
    ///
    /// # Errors
    /// [`SnapshotError`]; the snapshots before it stay as they were.
    pub async fn write(&self, state: State, meta: Vec<u8>) -> Result<Snapshot, SnapshotError> {
        let _changing = self.changing.lock().await;
        let (number, path) = self.next()?;
        let body = meta.clone();
        let target = path.clone();
        let work = move || store(&target, |file| write_rows(file, &state, &body));
        self.blocking.run("ekm-snapshot", work).await??;
        self.keep(number, Snapshot { path, meta }).await
    }

    /// Takes over a snapshot from a file elsewhere: copies, verifies and catalogues it. One that is already ours is
    /// only verified. Returns its state.
    ///
    /// # Errors
    /// [`SnapshotError`]; the snapshots before it stay as they were.
    pub async fn take_over(&self, snapshot: Snapshot) -> Result<State, SnapshotError> {
        let _changing = self.changing.lock().await;
        if self.catalogued()?.iter().any(|(_, ours)| *ours == snapshot) {
            return self
                .blocking
                .run("ekm-snapshot", move || read_file(&snapshot.path).map(|(state, _)| state))
                .await?;
        }
        let (number, path) = self.next()?;
        let Snapshot { path: source, meta } = snapshot;
        let target = path.clone();
        let stated = meta.clone();
        let work = move || {
            let copy = |file: &mut dyn Write| io::copy(&mut File::open(&source)?, file).map(drop);
            let (state, found) = store(&target, copy)?;
            if found == stated { Ok(state) } else { Err(SnapshotError::Damaged(Damage::Content)) }
        };
        let state = self.blocking.run("ekm-snapshot", work).await??;
        self.keep(number, Snapshot { path, meta }).await?;
        Ok(state)
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
            let Catalogued { file, meta } = postcard::from_bytes(&body)?;
            Ok((number, Snapshot { path: self.folder.join(file), meta }))
        })
        .collect()
    }

    fn next(&self) -> Result<(u64, PathBuf), SnapshotError> {
        let number = self.catalogued()?.last().map_or(1, |(number, _)| number + 1);
        Ok((number, self.folder.join(file_name(number))))
    }

    /// Catalogues a finished file, and lets go of those beyond the two newest.
    async fn keep(&self, number: u64, snapshot: Snapshot) -> Result<Snapshot, SnapshotError> {
        let mut older = self.catalogued()?;
        let forget: Vec<_> = older.drain(..older.len().saturating_sub(SNAPSHOTS_KEPT - 1)).collect();
        let body = postcard::to_stdvec(&Catalogued { file: file_name(number), meta: snapshot.meta.clone() })?;
        self.log.catalogue(number, &body, forget.iter().map(|(number, _)| *number).collect()).await?;
        for (_, forgotten) in forget {
            std::fs::remove_file(forgotten.path)?;
        }
        Ok(snapshot)
    }
}

fn file_name(number: u64) -> String {
    format!("{number:020}.snapshot")
}

/// Writes a file, syncs it, gives it its name, syncs the name, and reads it back.
fn store(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(State, Vec<u8>), SnapshotError> {
    let unfinished = path.with_extension(UNFINISHED);
    let file = folder::open_file(&unfinished)?;
    file.set_len(0)?;
    let mut buffered = BufWriter::new(&file);
    content(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    file.sync_all()?;
    let reread = read_file(&unfinished)?;
    std::fs::rename(&unfinished, path)?;
    folder::sync(path.parent().unwrap_or(Path::new(".")))?;
    Ok(reread)
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

/// Reads a whole snapshot; its state and meta, once checksum and digest were compared.
fn read_file(path: &Path) -> Result<(State, Vec<u8>), SnapshotError> {
    let mut file = Summed { inner: BufReader::new(File::open(path)?), sum: crc32fast::Hasher::new() };
    let head = read_field(&mut file)?.ok_or(Damage::Content)?;
    let head: Head = postcard::from_bytes(record::open(&head)?)?;
    let mut failure = None;
    let rows = std::iter::from_fn(|| match read_row(&mut file) {
        Ok(row) => row,
        Err(error) => {
            failure = Some(error);
            None
        }
    });
    let state = State::from_rows(rows);
    if let Some(failure) = failure {
        return Err(failure);
    }
    let sum = file.sum.clone().finalize();
    let mut stated_sum = [0; 4];
    file.read_exact(&mut stated_sum)?;
    if sum.to_le_bytes() != stated_sum || file.read(&mut [0])? != 0 {
        return Err(Damage::Checksum.into());
    }
    let state = state?;
    let (found, stated) = (state.digest(), head.digest);
    if found == stated { Ok((state, head.meta)) } else { Err(SnapshotError::Digest { found, stated }) }
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
