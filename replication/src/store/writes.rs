//! The writer of the log: one commit for everything that was queued, then the answers.
//!
//! Never answers before its commit has returned, and never writes again after the first error: what a failed
//! `fdatasync` left on disk is unknown, so the only safe answer to every later write is the same error. One error is none
//! of these: where the disk refuses bytes for lack of room, nothing is in doubt, so the same batch waits and is tried again,
//! once the database was found to hold everything that was ever answered as durable.
//! Every write may be made twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use redb::{Database, Durability};
use tokio::sync::watch;

use super::blocking::Blocking;
use super::chain::Link;
use super::log::Owner;
use super::log_error::LogError;
use super::open_database::OpenDatabase;
use super::opening::{committed_index, unreadable};
use super::reading::{fact, link, newest_link};
use super::record::{self, Damage};
use super::tables::{CATALOGUE, COMMITTED, ENTRIES, FACTS, PURGED, VOTE};
use super::waiting::Waiting;
use crate::ids::LogIndex;

/// What the writer has made durable.
#[derive(Debug, Clone, Default)]
pub struct Durable {
    /// The newest committed index that survives a power cut.
    pub committed: Option<LogIndex>,
    /// The first error of the writer, after which nothing is written any more.
    pub failed: Option<LogError>,
}

/// Called once with what became of a write.
pub type Done = Box<dyn FnOnce(Result<(), LogError>) + Send>;

/// An entry's index and its sealed record.
pub(super) type Indexed = (u64, Arc<Vec<u8>>);

/// One change to the log, its records sealed.
pub(super) enum Write {
    /// Consecutive entries.
    Append(Vec<Indexed>),
    /// The vote.
    Fact { what: &'static str, record: Vec<u8> },
    /// The committed position.
    Committed { index: LogIndex, record: Vec<u8> },
    /// Removes the entries from `first` on.
    Truncate { first: u64 },
    /// Removes the entries up to `last`.
    Purge { last: u64, record: Vec<u8> },
    /// One snapshot more, or none; some fewer.
    Catalogue { add: Option<(u64, Vec<u8>)>, forget: Vec<u64> },
    /// Only waits for what came before.
    Nothing,
}

/// A change, and whom to tell.
pub(super) struct Job {
    pub(super) write: Write,
    pub(super) done: Option<Done>,
}

/// Where the log begins and ends, as handed over to the writer.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    /// What everything up to which was purged, or the start of the chain.
    pub(super) base: Link,
    /// The newest entry, or the base.
    pub(super) last: Link,
}

/// What the last durable commit left in the database, as far as another may not take its place.
#[derive(Clone)]
pub(super) struct Left {
    pub(super) newest: Option<Link>,
    pub(super) vote: Option<Vec<u8>>,
}

impl Left {
    pub(super) fn in_database(database: &Database) -> Result<Self, LogError> {
        Ok(Self { newest: newest_link(database)?, vote: fact(database, VOTE)? })
    }
}

/// What the writer and the readers share.
pub(super) struct Shared {
    pub(super) owner: Owner,
    pub(super) database: OpenDatabase,
    pub(super) waiting: Waiting,
    /// How a reader waits that must not hold its caller's thread.
    pub(super) blocking: Blocking,
    pub(super) left: Mutex<Left>,
    pub(super) ends: Mutex<Ends>,
    /// Entries that are readable already and not yet in the database.
    pub(super) tail: Mutex<BTreeMap<u64, Arc<Vec<u8>>>>,
    pub(super) durable: watch::Sender<Durable>,
    /// The committed position as last handed over, durable or not.
    pub(super) committed: Mutex<Option<Vec<u8>>>,
    pub(super) commits: AtomicU64,
    pub(super) entries: AtomicU64,
    pub(super) bytes: AtomicU64,
}

impl Shared {
    /// Makes all jobs durable in one commit and answers them in their order.
    pub(super) fn commit(&self, jobs: &mut Vec<Job>) {
        let guard = EndsOnPanic(&self.database);
        let failed = self.durable.borrow().failed.clone();
        let result = match failed {
            Some(error) => Err(error),
            None => self.write(jobs),
        };
        self.waiting.ended();
        drop(guard);
        match &result {
            Ok(()) => self.settle(jobs),
            Err(error) => {
                self.durable.send_modify(|durable| durable.failed = Some(error.clone()));
                self.database.end();
            }
        }
        for done in jobs.drain(..).filter_map(|job| job.done) {
            done(result.clone());
        }
    }

    /// One durable commit, however long the disk is full.
    fn write(&self, jobs: &[Job]) -> Result<(), LogError> {
        let group = self.owner.group;
        let mut waited = false;
        loop {
            match self.attempt(jobs) {
                Err(error) if error.is_no_room() => {
                    let bytes = self.database.refused_bytes();
                    if !waited {
                        tracing::error!(
                            %group, bytes,
                            "the disk is full: changes wait for that much room, and wraps and unwraps go on; make room \
                             on the file system of the data"
                        );
                    }
                    waited = true;
                    // for the readers, who do without it if there is no room for that either
                    match self.reopen() {
                        Err(error) if !error.is_no_room() => return Err(error),
                        Ok(()) | Err(_) => {}
                    }
                    if !self.waiting.wait(bytes) {
                        return Err(LogError::NoRoom);
                    }
                }
                written => {
                    if waited && written.is_ok() {
                        tracing::info!(%group, "there is room on the disk again, and what waited is written");
                    }
                    return written;
                }
            }
        }
    }

    fn attempt(&self, jobs: &[Job]) -> Result<(), LogError> {
        if self.database.is_stopped() {
            self.reopen()?;
        }
        self.database.with(|database| write(database, jobs))?;
        self.keep_what_is_left(jobs)
    }

    fn reopen(&self) -> Result<(), LogError> {
        let reopened = self.database.reopen(self.owner.group, |database| self.holds_what_is_durable(database));
        reopened.map_err(|error| unreadable(self.owner, error))
    }

    /// What redb goes back to when it is opened after an error is its last durable commit; to an older one, if that is
    /// damaged, and then what was answered is gone.
    fn holds_what_is_durable(&self, database: &Database) -> Result<(), LogError> {
        let committed = fact(database, COMMITTED)?.as_deref().map(committed_index).transpose()?;
        let found = Left::in_database(database)?;
        let left = self.left.lock();
        if committed < self.durable.borrow().committed {
            return Err(LogError::Fact { what: COMMITTED, source: Damage::Content });
        }
        if found.vote != left.vote {
            return Err(LogError::Fact { what: VOTE, source: Damage::Content });
        }
        if found.newest != left.newest {
            let index = left.newest.or(found.newest).and_then(|newest| newest.index);
            let (group, index) = (self.owner.group, LogIndex(index.unwrap_or_default()));
            return Err(LogError::Damaged { group, index, source: Damage::Missing });
        }
        Ok(())
    }

    /// After a commit of these jobs.
    fn keep_what_is_left(&self, jobs: &[Job]) -> Result<(), LogError> {
        let mut left = self.left.lock();
        for job in jobs {
            match &job.write {
                Write::Append(entries) => {
                    if let Some((index, entry)) = entries.last() {
                        left.newest = Some(link(*index, entry)?);
                    }
                }
                Write::Fact { what, record } if *what == VOTE => {
                    let vote = record::open(record).map_err(|source| LogError::Fact { what, source })?;
                    left.vote = Some(vote.to_vec());
                }
                Write::Fact { .. }
                | Write::Committed { .. }
                | Write::Truncate { .. }
                | Write::Purge { .. }
                | Write::Catalogue { .. }
                | Write::Nothing => {}
            }
        }
        if jobs.iter().any(|job| matches!(job.write, Write::Truncate { .. } | Write::Purge { .. })) {
            left.newest = self.database.with(newest_link)?;
        }
        Ok(())
    }

    fn settle(&self, jobs: &[Job]) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        let mut committed = None;
        for job in jobs {
            match &job.write {
                Write::Append(entries) => {
                    self.entries.fetch_add(entries.len() as u64, Ordering::Relaxed);
                    let bytes: usize = entries.iter().map(|(_, record)| record.len()).sum();
                    self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
                    let mut tail = self.tail.lock();
                    for (index, entry) in entries {
                        if tail.get(index).is_some_and(|newest| Arc::ptr_eq(newest, entry)) {
                            tail.remove(index);
                        }
                    }
                }
                Write::Committed { index, .. } => committed = Some(*index),
                Write::Fact { .. }
                | Write::Truncate { .. }
                | Write::Purge { .. }
                | Write::Catalogue { .. }
                | Write::Nothing => {}
            }
        }
        if committed.is_some() {
            self.durable.send_modify(|durable| durable.committed = committed);
        }
    }
}

/// No reader waits for a writer that has panicked.
struct EndsOnPanic<'a>(&'a OpenDatabase);

impl Drop for EndsOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.database.release();
    }
}

/// One durable commit of all jobs, in their order.
fn write(database: &Database, jobs: &[Job]) -> Result<(), LogError> {
    if jobs.iter().all(|job| matches!(job.write, Write::Nothing)) {
        return Ok(());
    }
    let mut change = database.begin_write().map_err(LogError::database)?;
    change.set_durability(Durability::Immediate).map_err(LogError::database)?;
    {
        let mut log = change.open_table(ENTRIES).map_err(LogError::database)?;
        let mut facts = change.open_table(FACTS).map_err(LogError::database)?;
        let mut catalogue = change.open_table(CATALOGUE).map_err(LogError::database)?;
        for job in jobs {
            match &job.write {
                Write::Append(entries) => {
                    for (index, entry) in entries {
                        log.insert(index, entry.as_slice()).map_err(LogError::database)?;
                    }
                }
                Write::Fact { what, record } => {
                    facts.insert(*what, record.as_slice()).map_err(LogError::database)?;
                }
                Write::Committed { record, .. } => {
                    facts.insert(COMMITTED, record.as_slice()).map_err(LogError::database)?;
                }
                Write::Truncate { first } => {
                    log.retain_in::<u64, _>(*first.., |_, _| false).map_err(LogError::database)?;
                }
                Write::Purge { last, record } => {
                    log.retain_in::<u64, _>(..=*last, |_, _| false).map_err(LogError::database)?;
                    facts.insert(PURGED, record.as_slice()).map_err(LogError::database)?;
                }
                Write::Catalogue { add, forget } => {
                    if let Some((number, record)) = add {
                        catalogue.insert(number, record.as_slice()).map_err(LogError::database)?;
                    }
                    for number in forget {
                        catalogue.remove(number).map_err(LogError::database)?;
                    }
                }
                Write::Nothing => {}
            }
        }
    }
    change.commit().map_err(LogError::database)
}
