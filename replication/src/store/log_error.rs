//! What can go wrong with the log, and with what it says of itself.

use std::io;
use std::sync::Arc;

use super::blocking::Stopped;
use super::record::Damage;
use super::room;
use crate::ids::{GroupId, LogIndex, ReplicaId};

/// What can go wrong with the log. The first error of a write is kept and answers every later write; a disk without room is
/// no error of a write as long as the log is open.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// Another process, or another part of this one, has the database open.
    #[error("the log is in use by another process; a data directory belongs to one process at a time")]
    InUse,
    /// The database was made for another group or by another replica.
    #[error("the log belongs to group {found_group} of replica {}, not to group {group} of replica {}", found_replica.0, replica.0)]
    OtherOwner {
        /// Whose it should be.
        group: GroupId,
        /// Whose it should be.
        replica: ReplicaId,
        /// Whose it is.
        found_group: GroupId,
        /// Whose it is.
        found_replica: ReplicaId,
    },
    /// The log does not follow from itself: found when it was opened, before anything of it was used.
    #[error(
        "the log of group {group} is damaged at entry {index}. No entry of it was changed and nothing is served from it. Keep a \
         copy of the data directory as it is, look for a failing disk, and put back a whole copy of the data directory \
         from before the damage; never delete or edit a part of it"
    )]
    Damaged {
        /// Whose log.
        group: GroupId,
        /// The first entry that is not what was written.
        index: LogIndex,
        /// How it was found.
        #[source]
        source: Damage,
    },
    /// An entry was handed over that does not follow the newest one.
    #[error("entry {index} was to be appended where entry {expected} belongs")]
    Gap {
        /// Which.
        index: LogIndex,
        /// Which one should have come.
        expected: LogIndex,
    },
    /// The database's own pages are not what was written.
    #[error(
        "the log database of group {group} cannot be read. Nothing is served from it. Keep a copy of the data directory as it \
         is, look for a failing disk, and put back a whole copy of the data directory from before the damage"
    )]
    Unreadable {
        /// Whose log.
        group: GroupId,
        /// What the database said; nothing if reading it panicked or found something amiss without saying what.
        #[source]
        source: Option<Arc<redb::Error>>,
    },
    /// An entry is not what was written.
    #[error("log entry {index} is damaged")]
    Entry {
        /// Which entry.
        index: LogIndex,
        /// How it was found.
        #[source]
        source: Damage,
    },
    /// The vote, the committed index, the purge mark, the owner or a snapshot's record is not what was written.
    #[error(
        "the log's record of its {what} is damaged. Nothing is served from it. Keep a copy of the data directory as it is, \
         look for a failing disk, and put back a whole copy of the data directory from before the damage"
    )]
    Fact {
        /// Which record.
        what: &'static str,
        /// How it was found.
        #[source]
        source: Damage,
    },
    /// The database or the disk under it failed.
    #[error("the log database failed")]
    Database(#[source] Arc<redb::Error>),
    /// The disk was full, and the log was closed before there was room. What waited was not written.
    #[error("the disk was full until the log was closed; what waited for room was not written")]
    NoRoom,
    /// The file could not be made or opened.
    #[error("the log file cannot be opened")]
    File(#[source] Arc<io::Error>),
    /// The log was closed, or its writer is gone.
    #[error("the log is closed")]
    Closed(#[from] Stopped),
}

impl LogError {
    pub(super) fn database(error: impl Into<redb::Error>) -> Self {
        Self::Database(Arc::new(error.into()))
    }

    pub(super) fn opening(error: redb::DatabaseError) -> Self {
        match error {
            redb::DatabaseError::DatabaseAlreadyOpen => Self::InUse,
            other => Self::database(other),
        }
    }

    /// Whether the storage refused bytes for lack of room. What is durable is as before: a sync that fails, for whatever
    /// reason, comes under another kind.
    pub(super) fn is_no_room(&self) -> bool {
        match self {
            Self::Database(error) => matches!(&**error, redb::Error::Io(error) if room::is_full(error)),
            _ => false,
        }
    }
}

/// An error of a read, which may only mean that the database is being opened anew.
pub trait Overtaken {
    /// Whether the database takes no step because of an error that somebody else met.
    fn is_overtaken(&self) -> bool;
}

impl Overtaken for LogError {
    fn is_overtaken(&self) -> bool {
        match self {
            Self::Database(error) => matches!(&**error, redb::Error::PreviousIo | redb::Error::DatabaseClosed),
            _ => false,
        }
    }
}
