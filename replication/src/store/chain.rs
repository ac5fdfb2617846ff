//! The chain over the entries of a log: which entry follows which.
//!
//! Each entry's record carries the hash of everything up to it, so a record that is missing, swapped or taken from
//! another log is found where the log stops to follow from itself. Damage within one record is the checksum's business
//! (`record.rs`); nothing is checked here that was checked there. Never holds more than one entry in memory.
//!
//! Body of an entry's record: `chain (32 bytes) | entry`. Body of the purge mark: `index (u64, big endian) | chain at that
//! index (32 bytes) | position`.

use redb::{Database, ReadableDatabase};
use sha2::{Digest as _, Sha256};

use super::log_error::LogError;
use super::record::{self, Damage};
use super::tables::ENTRIES;
use crate::ids::{GroupId, LogIndex};

/// What a chain begins with, before its group's number. It is on disks: never change it.
const START: &[u8] = b"ekm log chain 1";
/// What a chain begins with behind a snapshot that took the place of entries this replica never had.
const ANCHOR: &[u8] = b"ekm log chain 1, anchored";

/// A hash over every entry up to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain([u8; 32]);

impl Chain {
    fn start(group: GroupId) -> Self {
        Self(Sha256::new().chain_update(START).chain_update(group.0.to_be_bytes()).finalize().into())
    }

    fn anchored(index: u64, position: &[u8]) -> Self {
        Self(
            Sha256::new()
                .chain_update(ANCHOR)
                .chain_update(index.to_be_bytes())
                .chain_update(position)
                .finalize()
                .into(),
        )
    }

    fn over(self, index: u64, entry: &[u8]) -> Self {
        Self(Sha256::new().chain_update(self.0).chain_update(index.to_be_bytes()).chain_update(entry).finalize().into())
    }

    fn split(body: &[u8]) -> Option<(Self, &[u8])> {
        body.split_first_chunk().map(|(chain, rest)| (Self(*chain), rest))
    }
}

/// A place in a log and the chain there. Before the first entry it has no index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: Option<u64>,
    chain: Chain,
}

impl Link {
    /// Before the first entry of a group's log.
    pub(super) fn start(group: GroupId) -> Self {
        Self { index: None, chain: Chain::start(group) }
    }

    /// Behind a snapshot, where no entry stands that one could go on from.
    pub(super) fn anchored(index: u64, position: &[u8]) -> Self {
        Self { index: Some(index), chain: Chain::anchored(index, position) }
    }

    /// The same chain at a later index, where no entry stood in between.
    pub(super) fn moved(self, index: u64) -> Self {
        Self { index: Some(index), ..self }
    }

    /// The link of an entry that stands in the log.
    pub(super) fn of(index: u64, record: &[u8]) -> Result<Self, Damage> {
        let (chain, _) = open(record)?;
        Ok(Self { index: Some(index), chain })
    }

    /// The link after one more entry, and that entry's record.
    pub(super) fn seal(self, index: u64, entry: &[u8]) -> (Self, Vec<u8>) {
        let chain = self.chain.over(index, entry);
        (Self { index: Some(index), chain }, record::seal_parts(&[&chain.0, entry]))
    }

    /// The purge mark for entries removed up to this link.
    pub(super) fn mark(self, position: &[u8]) -> Vec<u8> {
        let index = self.index.unwrap_or_default().to_be_bytes();
        record::seal_parts(&[&index, &self.chain.0, position])
    }

    /// What [`Link::mark`] wrote, its frame removed: the link and the position.
    pub(super) fn of_mark(body: &[u8]) -> Option<(Self, &[u8])> {
        let (index, rest) = body.split_first_chunk()?;
        let (chain, position) = Chain::split(rest)?;
        Some((Self { index: Some(u64::from_be_bytes(*index)), chain }, position))
    }

    /// The next link, if this record is the one that follows.
    pub(super) fn follow(self, index: u64, record: &[u8]) -> Result<Self, (u64, Damage)> {
        let (chain, entry) = open(record).map_err(|damage| (index, damage))?;
        match self.index.map(|before| before + 1) {
            Some(next) if next < index => return Err((next, Damage::Missing)),
            Some(next) if next > index => return Err((index, Damage::Content)),
            Some(_) | None => {}
        }
        if self.chain.over(index, entry) == chain {
            Ok(Self { index: Some(index), chain })
        } else {
            Err((index, Damage::Chain))
        }
    }
}

/// The chain and the entry in an entry's record.
fn open(record: &[u8]) -> Result<(Chain, &[u8]), Damage> {
    Chain::split(record::open(record)?).ok_or(Damage::Content)
}

/// The entry in its record; whether it follows from the one before it was looked at when the log was opened.
pub(super) fn entry(record: &[u8]) -> Result<&[u8], Damage> {
    open(record).map(|(_, entry)| entry)
}

/// Reads every record of a log, from its base on, and returns the link at its end.
///
/// # Errors
/// [`LogError::Damaged`] names the first entry that is not what was written, or that is committed and not there.
pub(super) fn verify(
    database: &Database,
    group: GroupId,
    base: Link,
    committed: Option<LogIndex>,
) -> Result<Link, LogError> {
    let damaged = |(index, source)| LogError::Damaged { group, index: LogIndex(index), source };
    let table = database.begin_read().map_err(LogError::database)?;
    let table = table.open_table(ENTRIES).map_err(LogError::database)?;
    let mut last = base;
    for row in table.range::<u64>(..).map_err(LogError::database)? {
        let (index, record) = row.map_err(LogError::database)?;
        last = last.follow(index.value(), record.value()).map_err(damaged)?;
    }
    match committed {
        Some(committed) if last.index < Some(committed.0) => {
            Err(damaged((last.index.map_or(0, |last| last + 1), Damage::Missing)))
        }
        _ => Ok(last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    /// These bytes are on customers' disks.
    #[test]
    fn the_bytes_of_chained_records_do_not_change() {
        let (one, first) = Link::start(GroupId(1)).seal(1, b"ekm");
        let (_, second) = one.seal(2, b"");
        let anchored = Link::anchored(9, b"place");
        let written = [first.clone(), second, one.mark(b"place"), anchored.mark(b"place")];
        let expected = [
            "029d3d0eec1440b86624ca7f3d11186fb01eeacf024cc4fabdb2dfdf0ace5660c13fdd53c1656b6d",
            "022d05c9f495d20525e2c51a35afb13799618db87f4161d54f5603f31d837025015b1f2db6",
            "02329666bb00000000000000011440b86624ca7f3d11186fb01eeacf024cc4fabdb2dfdf0ace5660c13fdd53c1706c616365",
            "0211e692a400000000000000094e47de40bb90687ef1af61984f1f76f5da85d04135f4a11d4d9f0b61cd0054eb706c616365",
        ];
        assert_eq!(written.map(|bytes| hex(&bytes)), expected);
        assert_eq!(Link::of(1, &first), Ok(one));
        assert_eq!(entry(&first), Ok(&b"ekm"[..]));
        let mark = one.mark(b"place");
        assert_eq!(record::open(&mark).map(Link::of_mark), Ok(Some((one, &b"place"[..]))));
    }

    #[test]
    fn a_record_follows_its_own_predecessor_at_its_own_place_alone() {
        let start = Link::start(GroupId(1));
        let (one, first) = start.seal(1, b"same");
        let (two, second) = one.seal(2, b"same");
        assert_eq!(start.follow(1, &first), Ok(one));
        assert_eq!(one.follow(2, &second), Ok(two));
        assert_eq!(Link::start(GroupId(2)).follow(1, &first), Err((1, Damage::Chain)));
        assert_eq!(start.follow(2, &first), Err((2, Damage::Chain)));
        assert_eq!(start.follow(2, &second), Err((2, Damage::Chain)));
        assert_eq!(one.follow(3, &second), Err((2, Damage::Missing)));
        assert_eq!(one.follow(1, &first), Err((1, Damage::Content)));
        assert_eq!(one.follow(2, &first), Err((2, Damage::Chain)));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_an_entry_and_of_a_purge_mark_is_found() {
        let start = Link::start(GroupId(1));
        let (one, entry) = start.seal(1, b"the body of an entry");
        let mark = one.mark(b"position");
        let reads_entry = |record: &[u8]| start.follow(1, record).is_ok();
        let reads_mark = |record: &[u8]| record::open(record).is_ok_and(|body| Link::of_mark(body).is_some());
        assert!(reads_entry(&entry) && reads_mark(&mark));
        for whole in [&entry, &mark] {
            for bit in 0..whole.len() * 8 {
                let mut damaged = whole.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert!(!reads_entry(&damaged) && !reads_mark(&damaged), "bit {bit}");
            }
            for length in 0..whole.len() {
                assert!(!reads_entry(&whole[..length]) && !reads_mark(&whole[..length]), "length {length}");
            }
        }
    }
}
