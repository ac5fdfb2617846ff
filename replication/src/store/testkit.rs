//! Logs and snapshots as bytes, for tests and fuzz targets of what is read back from a disk. Not in a released binary, and
//! never a second way to read or write: all of it is what log and snapshots do themselves.

use super::chain::{self, Link};
use super::record::Damage;
use super::snapshot_error::SnapshotError;
use super::snapshot_file::{decode_state, write_state};
use crate::ids::{GroupId, LogIndex};
use crate::machine::state::State;

/// The records of a group's log that holds these entries, the first at the index given and the others behind it.
pub fn seal_log(group: GroupId, first: LogIndex, entries: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut last = Link::start(group);
    let seal = |(index, entry): (u64, &&[u8])| {
        let (link, record) = last.seal(index, entry);
        last = link;
        record
    };
    (first.0..).zip(entries).map(seal).collect()
}

/// The entries in the records of a group's log, verified as at a start.
///
/// # Errors
/// The index of the first record that is not what was written there, and what is wrong with it.
pub fn open_log(
    group: GroupId,
    first: LogIndex,
    records: &[impl AsRef<[u8]>],
) -> Result<Vec<Vec<u8>>, (LogIndex, Damage)> {
    let mut last = Link::start(group);
    let mut entries = Vec::new();
    for (index, record) in (first.0..).zip(records) {
        last = last.follow(index, record.as_ref()).map_err(|(index, damage)| (LogIndex(index), damage))?;
        entries.push(chain::entry(record.as_ref()).map_err(|damage| (LogIndex(index), damage))?.to_vec());
    }
    Ok(entries)
}

/// The bytes of a snapshot's file.
///
/// # Errors
/// [`SnapshotError::File`], if a row is too long to be written.
pub fn encode_snapshot(state: &State, meta: &[u8]) -> Result<Vec<u8>, SnapshotError> {
    let mut bytes = Vec::new();
    write_state(&mut bytes, state, meta)?;
    Ok(bytes)
}

/// State and meta in the bytes of a snapshot's file, verified as when it is read from a disk.
///
/// # Errors
/// [`SnapshotError`], saying what is damaged.
pub fn decode_snapshot(bytes: &[u8]) -> Result<(State, Vec<u8>), SnapshotError> {
    decode_state(bytes)
}
