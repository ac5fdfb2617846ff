//! Reading a log: entries, facts and the catalogue, whether the writer has come to them yet or not.
//!
//! Never hands out a record whose checksum was not compared.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable};

use super::chain::{self, Link};
use super::log::{LogError, LogStore};
use super::log_error::Overtaken;
use super::open_database::Patience;
use super::record::{self, Damage};
use super::tables::{CATALOGUE, ENTRIES, FACTS, PURGED, VOTE};
use super::writes::Indexed;
use crate::ids::LogIndex;

impl LogStore {
    /// The entries in a range, oldest first; those that do not exist are left out.
    ///
    /// # Errors
    /// [`LogError::Entry`] names the first damaged one.
    pub fn read(&self, range: &impl RangeBounds<u64>) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        let bounds = (range.start_bound().cloned(), range.end_bound().cloned());
        if is_empty(bounds) {
            return Ok(Vec::new());
        }
        // The tail first: an entry that is no longer in it is in the database by now.
        let tail: Vec<_> =
            self.shared.tail.lock().range(bounds).map(|(index, entry)| (*index, Arc::clone(entry))).collect();
        let mut found = self.with_database(|database| {
            let table = database.begin_read().map_err(LogError::database)?;
            let table = table.open_table(ENTRIES).map_err(LogError::database)?;
            let mut found = BTreeMap::new();
            for row in table.range::<u64>(bounds).map_err(LogError::database)? {
                let (index, entry) = row.map_err(LogError::database)?;
                found.insert(index.value(), unseal(index.value(), entry.value())?);
            }
            Ok(found)
        })?;
        for (index, entry) in tail {
            found.insert(index, unseal(index, &entry)?);
        }
        Ok(found.into_iter().collect())
    }

    /// The newest entry.
    ///
    /// # Errors
    /// [`LogError::Entry`] if it is damaged.
    pub fn last(&self) -> Result<Option<(u64, Vec<u8>)>, LogError> {
        self.newest()?.map(|(index, record)| Ok((index, unseal(index, &record)?))).transpose()
    }

    /// The newest entry's record.
    pub(super) fn newest(&self) -> Result<Option<Indexed>, LogError> {
        let tail = self.shared.tail.lock().last_key_value().map(|(index, entry)| (*index, Arc::clone(entry)));
        if tail.is_some() {
            return Ok(tail);
        }
        self.with_database(|database| {
            let table = database.begin_read().map_err(LogError::database)?;
            let table = table.open_table(ENTRIES).map_err(LogError::database)?;
            let last = table.last().map_err(LogError::database)?;
            Ok(last.map(|(index, entry)| (index.value(), Arc::new(entry.value().to_vec()))))
        })
    }

    /// One entry's record.
    pub(super) fn record(&self, index: u64) -> Result<Option<Arc<Vec<u8>>>, LogError> {
        let tail = self.shared.tail.lock().get(&index).map(Arc::clone);
        if tail.is_some() {
            return Ok(tail);
        }
        self.with_database(|database| {
            let table = database.begin_read().map_err(LogError::database)?;
            let table = table.open_table(ENTRIES).map_err(LogError::database)?;
            let entry = table.get(index).map_err(LogError::database)?;
            Ok(entry.map(|entry| Arc::new(entry.value().to_vec())))
        })
    }

    /// The vote.
    ///
    /// # Errors
    /// [`LogError::Fact`] if it is damaged.
    pub fn vote(&self) -> Result<Option<Vec<u8>>, LogError> {
        self.with_database(|database| fact(database, VOTE))
    }

    /// A fact of the log.
    pub(super) fn fact(&self, what: &'static str) -> Result<Option<Vec<u8>>, LogError> {
        self.with_database(|database| fact(database, what))
    }

    /// Whether anything was ever voted for, written or purged in it.
    pub(super) fn is_in_use(&self) -> Result<bool, LogError> {
        Ok(self.vote()?.is_some() || self.purged()?.is_some() || self.newest()?.is_some())
    }

    /// The position that the log was last purged to.
    ///
    /// # Errors
    /// [`LogError::Fact`] if it is damaged.
    pub fn purged(&self) -> Result<Option<Vec<u8>>, LogError> {
        self.with_database(|database| Ok(purge_mark(database)?.map(|(_, position)| position)))
    }

    /// The committed position as last handed over; after an opening, the durable one.
    pub fn committed(&self) -> Option<Vec<u8>> {
        self.shared.committed.lock().as_ref().map(|fact| fact[size_of::<u64>()..].to_vec())
    }

    /// The catalogue of snapshots, oldest first.
    ///
    /// # Errors
    /// [`LogError::Fact`] if a record is damaged.
    pub(super) fn catalogued(&self) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        self.with_database(|database| {
            let table = database.begin_read().map_err(LogError::database)?;
            let table = table.open_table(CATALOGUE).map_err(LogError::database)?;
            let rows = table.iter().map_err(LogError::database)?;
            rows.map(|row| {
                let (number, found) = row.map_err(LogError::database)?;
                let body = record::open(found.value()).map_err(|source| LogError::Fact { what: "snapshot", source })?;
                Ok((number.value(), body.to_vec()))
            })
            .collect()
        })
    }

    /// Bytes of the records behind an entry, as far as they are durable.
    ///
    /// # Errors
    /// The database's.
    pub fn bytes_after(&self, index: LogIndex) -> Result<u64, LogError> {
        self.with_database(|database| {
            let table = database.begin_read().map_err(LogError::database)?;
            let table = table.open_table(ENTRIES).map_err(LogError::database)?;
            let rows = table.range::<u64>(index.0.saturating_add(1)..).map_err(LogError::database)?;
            rows.map(|row| row.map(|(_, record)| record.value().len() as u64).map_err(LogError::database)).sum()
        })
    }

    /// Reads without holding the caller's thread while the database is opened anew after a full disk: at once, or else on a
    /// thread of its own that waits for that.
    ///
    /// # Errors
    /// What `read` yields, or [`LogError::Closed`] if no thread could be had.
    pub async fn reading<T, E>(&self, read: impl Fn(&Self) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: Overtaken + From<LogError> + Send + 'static,
    {
        match read(&Self { patience: Patience::Leaves, ..self.clone() }) {
            Err(error) if error.is_overtaken() => {
                let waiting = Self { patience: Patience::Waits, ..self.clone() };
                self.shared.blocking.run("ekm-log-read", move || read(&waiting)).await.map_err(LogError::from)?
            }
            other => other,
        }
    }

    fn with_database<T>(&self, read: impl Fn(&Database) -> Result<T, LogError>) -> Result<T, LogError> {
        self.shared.database.read(self.patience, read)
    }
}

fn unseal(index: u64, entry: &[u8]) -> Result<Vec<u8>, LogError> {
    let body = chain::entry(entry).map_err(|source| LogError::Entry { index: LogIndex(index), source })?;
    Ok(body.to_vec())
}

/// The link of the newest entry in the database.
pub(super) fn newest_link(database: &Database) -> Result<Option<Link>, LogError> {
    let table = database.begin_read().map_err(LogError::database)?;
    let table = table.open_table(ENTRIES).map_err(LogError::database)?;
    let last = table.last().map_err(LogError::database)?;
    last.map(|(index, record)| link(index.value(), record.value())).transpose()
}

pub(super) fn link(index: u64, record: &[u8]) -> Result<Link, LogError> {
    Link::of(index, record).map_err(|source| LogError::Entry { index: LogIndex(index), source })
}

/// The link that the log was purged to, and the position there.
pub(super) fn purge_mark(database: &Database) -> Result<Option<(Link, Vec<u8>)>, LogError> {
    let Some(body) = fact(database, PURGED)? else { return Ok(None) };
    let (base, position) = Link::of_mark(&body).ok_or(LogError::Fact { what: PURGED, source: Damage::Content })?;
    Ok(Some((base, position.to_vec())))
}

pub(super) fn fact(database: &Database, what: &'static str) -> Result<Option<Vec<u8>>, LogError> {
    let table = database.begin_read().map_err(LogError::database)?;
    let table = table.open_table(FACTS).map_err(LogError::database)?;
    let Some(found) = table.get(what).map_err(LogError::database)? else { return Ok(None) };
    let body = record::open(found.value()).map_err(|source| LogError::Fact { what, source })?;
    Ok(Some(body.to_vec()))
}

/// Ranges that a map would refuse with a panic.
fn is_empty((start, end): (Bound<u64>, Bound<u64>)) -> bool {
    match (start, end) {
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start), Bound::Excluded(end)) | (Bound::Excluded(start), Bound::Included(end)) => start >= end,
        (Bound::Excluded(start), Bound::Excluded(end)) => start.saturating_add(1) >= end,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}
