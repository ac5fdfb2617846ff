//! openraft's log storage on our log store: entries, votes and positions to bytes and back.
//!
//! Decides nothing: durability, order and checksums are the store's.

use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;

use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::{AsyncRuntime, OptionalSend};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::config::{Entry, LogId, Types, Vote};
use crate::ids::LogIndex;
use crate::store::log::{LogError, LogStore};
use crate::store::record::Damage;

/// The log of one group as openraft sees it. Clones share the log.
#[derive(Clone)]
pub struct RaftLog {
    store: LogStore,
}

impl RaftLog {
    /// The log in a store.
    pub fn new(store: LogStore) -> Self {
        Self { store }
    }
}

pub(super) fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("openraft's own types always encode")
}

fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> io::Result<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(io_error(LogError::Fact { what, source: Damage::Content })),
    }
}

fn decode_entry(index: u64, bytes: &[u8]) -> io::Result<Entry> {
    match postcard::take_from_bytes(bytes) {
        Ok(((log_id, payload), [])) if LogId::index(&log_id) == index => Ok(Entry { log_id, payload }),
        _ => Err(io_error(LogError::Entry { index: LogIndex(index), source: Damage::Content })),
    }
}

/// The store's error as openraft carries it; its kind says whether bytes or the disk failed.
pub(super) fn io_error(error: LogError) -> io::Error {
    let kind = match &error {
        LogError::Damaged { .. }
        | LogError::Unreadable { .. }
        | LogError::Gap { .. }
        | LogError::Entry { .. }
        | LogError::Fact { .. }
        | LogError::OtherOwner { .. } => io::ErrorKind::InvalidData,
        LogError::NoRoom => io::ErrorKind::StorageFull,
        LogError::InUse | LogError::Database(_) | LogError::File(_) | LogError::Closed(_) => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

impl<RT: AsyncRuntime> RaftLogReader<Types<RT>> for RaftLog {
    async fn try_get_log_entries<R>(&mut self, range: R) -> io::Result<Vec<Entry>>
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let range = (range.start_bound().cloned(), range.end_bound().cloned());
        let entries = self.store.reading(move |store| store.read(&range)).await.map_err(io_error)?;
        entries.into_iter().map(|(index, bytes)| decode_entry(index, &bytes)).collect()
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        let vote = self.store.reading(LogStore::vote).await.map_err(io_error)?;
        vote.map(|bytes| decode("vote", &bytes)).transpose()
    }
}

impl<RT: AsyncRuntime> RaftLogStorage<Types<RT>> for RaftLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types<RT>>> {
        let purged = self.store.reading(LogStore::purged).await.map_err(io_error)?;
        let last_purged_log_id: Option<LogId> = purged.map(|bytes| decode("purged", &bytes)).transpose()?;
        let last = self.store.reading(LogStore::last).await.map_err(io_error)?;
        let last = last.map(|(index, bytes)| decode_entry(index, &bytes)).transpose()?;
        let last_log_id = last.map(|entry| entry.log_id).or(last_purged_log_id);
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.store.save_vote(&encode(vote)).await.map_err(io_error)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let Some(position) = committed else { return Ok(()) };
        self.store.save_committed(LogIndex(position.index), &encode(&position)).await.map_err(io_error)
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        self.store.committed().map(|bytes| decode("committed", &bytes)).transpose()
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types<RT>>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let encoded = |entry: Entry| (entry.log_id.index, encode(&(entry.log_id, entry.payload)));
        let entries = entries.into_iter().map(encoded).collect();
        let done = Box::new(move |result: Result<(), LogError>| callback.io_completed(result.map_err(io_error)));
        self.store.append(entries, done).await.map_err(io_error)
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.store.truncate_after(last.map(|last| last.index)).await.map_err(io_error)
    }

    async fn purge(&mut self, position: LogId) -> io::Result<()> {
        self.store.purge(position.index, &encode(&position)).await.map_err(io_error)
    }
}

#[cfg(test)]
mod tests {
    use openraft::{EntryPayload, Membership};

    use super::super::config::{EntryBytes, Leader, Member};
    use super::*;
    use crate::ids::Incarnation;

    fn entry(payload: EntryPayload<EntryBytes, u64, Member>) -> Entry {
        Entry { log_id: LogId::new(Leader { term: 3, node_id: 2 }, 300), payload }
    }

    /// These bytes are on customers' disks: an upgrade of openraft or serde that changes them must show here.
    #[test]
    fn the_bytes_of_entries_and_votes_do_not_change() {
        let member = Member { address: "a".to_owned(), incarnation: Incarnation::from_bytes([9; 16]) };
        let nodes = std::collections::BTreeMap::from([(7, member)]);
        let membership = Membership::new(vec![[7].into()], nodes).expect("every voter has its node");
        let place = [3, 2, 0xac, 2];
        let table: [(EntryPayload<_, _, _>, &[u8]); 3] = [
            (EntryPayload::Blank, &[0]),
            (EntryPayload::Normal(EntryBytes(b"ekm".to_vec())), &[1, 3, b'e', b'k', b'm']),
            (EntryPayload::Membership(membership), &[&[2, 1, 1, 7, 1, 7, 1, b'a'][..], &[9; 16]].concat()),
        ];
        for (payload, bytes) in table {
            let expected = [&place[..], bytes].concat();
            let entry = entry(payload);
            assert_eq!(encode(&(entry.log_id, &entry.payload)), expected, "{entry}");
            assert_eq!(decode_entry(300, &expected).expect("golden bytes decode"), entry);
        }
        assert_eq!(encode(&Vote { leader_id: Leader { term: 3, node_id: 2 }, committed: true }), [3, 2, 1]);
    }

    #[test]
    fn an_entry_in_another_place_or_with_a_tail_is_refused() {
        let entry = entry(EntryPayload::Blank);
        let mut bytes = encode(&(entry.log_id, entry.payload));
        assert!(decode_entry(300, &bytes).is_ok());
        assert!(decode_entry(301, &bytes).is_err());
        bytes.push(0);
        assert!(decode_entry(300, &bytes).is_err());
    }
}
