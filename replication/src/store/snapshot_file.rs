//! A snapshot's file: a state and its position to bytes and back.
//!
//! File: `length | record of the head | (length | key | length | value)* | end | crc32 of all before`. Numbers are u32,
//! little endian; the record begins with the format byte; `end` is a length of 2^32 - 1. Never hands out a row before the
//! checksum over all of them was compared, and never accepts bytes that it would not write.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::Files;
use super::folder;
use super::record::{self, Damage};
use super::snapshot_error::SnapshotError;
use crate::machine::digest::Digest;
use crate::machine::state::State;

/// Longest head, key or value that is read, in bytes; rows stay far below.
const FIELD_BYTES_MAX: u32 = 1024 * 1024;
/// A key length that no key has.
const END: u32 = u32::MAX;

/// What a file begins with.
#[derive(Serialize, Deserialize)]
struct Head {
    meta: Vec<u8>,
    digest: Digest,
}

/// Writes a file. Its bytes are durable when this returns, its name is not.
pub(super) fn write_synced(
    files: &dyn Files,
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = files.create(path)?;
    let mut buffered = BufWriter::new(&mut file);
    content(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    file.sync().map_err(folder::unsynced)
}

/// The bytes of a snapshot of a state.
pub(super) fn write_state(file: &mut dyn Write, state: &State, meta: &[u8]) -> io::Result<()> {
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

/// Reads a whole snapshot, one row at a time; its meta, once the checksum was compared.
pub(super) fn read_through(files: &dyn Files, path: &Path) -> Result<Vec<u8>, SnapshotError> {
    let (head, ()) = read_rows(files.open(path)?, |rows| rows.for_each(drop))?;
    Ok(head.meta)
}

/// Reads a whole snapshot; its state and meta, once checksum and digest were compared.
pub(super) fn read_state(files: &dyn Files, path: &Path) -> Result<(State, Vec<u8>), SnapshotError> {
    decode_state(files.open(path)?)
}

/// State and meta of the bytes of a snapshot.
pub(super) fn decode_state(file: impl Read) -> Result<(State, Vec<u8>), SnapshotError> {
    let (head, state) = read_rows(file, |rows| State::from_rows(rows))?;
    let state = state?;
    let (found, stated) = (state.digest(), head.digest);
    if found == stated { Ok((state, head.meta)) } else { Err(SnapshotError::Digest { found, stated }) }
}

/// Reads a whole file, and hands out what was made of its rows once the checksum was compared.
fn read_rows<T>(
    file: impl Read,
    take: impl FnOnce(&mut dyn Iterator<Item = EncodedRow>) -> T,
) -> Result<(Head, T), SnapshotError> {
    let mut file = Summed { inner: BufReader::new(file), sum: crc32fast::Hasher::new() };
    let head = read_head(&mut file)?;
    let (mut failure, mut last) = (None, None);
    let mut rows = std::iter::from_fn(|| match read_row(&mut file, &mut last) {
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

/// The head, if its bytes are those that are written for it.
fn read_head(file: &mut impl Read) -> Result<Head, SnapshotError> {
    let bytes = read_field(file)?.ok_or(Damage::Content)?;
    let body = record::open(&bytes)?;
    let head: Head = postcard::from_bytes(body)?;
    if postcard::to_stdvec(&head)? == body { Ok(head) } else { Err(Damage::Content.into()) }
}

/// `None` at the end mark. Rows are written in the order of their keys, so each must come behind the last one.
fn read_row(file: &mut impl Read, last: &mut Option<Vec<u8>>) -> Result<Option<EncodedRow>, SnapshotError> {
    let Some(key) = read_field(file)? else { return Ok(None) };
    if last.as_ref().is_some_and(|last| *last >= key) {
        return Err(Damage::Content.into());
    }
    *last = Some(key.clone());
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
