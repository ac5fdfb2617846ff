//! Why a snapshot cannot be written or used.

use std::io;

use rustix::io::Errno;

use super::blocking::Stopped;
use super::log_error::{LogError, Overtaken};
use super::record::Damage;
use super::room;
use crate::codec::Undecodable;
use crate::ids::{GroupId, LogIndex};
use crate::machine::digest::Digest;

/// What a disk says of a place that it can no longer read.
const EIO: i32 = 5;

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
    /// One that covers as much, or more, is catalogued already; it is the one to use.
    #[error("a snapshot up to entry {covered} is not written, since one up to entry {newest} is kept already")]
    NotNewer {
        /// What this one covers.
        covered: LogIndex,
        /// What the newest one covers.
        newest: LogIndex,
    },
    /// Another snapshot is on its way here.
    #[error("another snapshot is being received; it is sent again after that one")]
    Receiving,
    /// The disk has too little room for a snapshot from another replica.
    #[error("the disk has no room for a snapshot of {bytes} bytes beside its reserve; make room where the data lies")]
    NoRoom {
        /// Its size.
        bytes: u64,
    },
    /// The work was not done: no thread could be had for it, or the thread panicked.
    #[error("the thread that works on the snapshot could not be had, or has panicked")]
    Stopped(#[from] Stopped),
}

impl SnapshotError {
    /// Whether the file could not be written for want of room, memory or free file handles, and nothing else is wrong: it may be
    /// written later.
    pub fn may_pass(&self) -> bool {
        let Self::File(error) = self else { return false };
        let errno = Errno::from_io_error(error);
        room::is_full(error) || matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
    }

    /// Whether the file is not what was written, so that another may do; all else is nothing that another could mend.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::Record(_) => true,
            Self::File(error) => {
                let kind = error.kind();
                matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof | io::ErrorKind::IsADirectory)
                    || error.raw_os_error() == Some(EIO)
            }
            Self::Catalogue(_)
            | Self::Row(_)
            | Self::Digest { .. }
            | Self::Lost { .. }
            | Self::NotNewer { .. }
            | Self::Receiving
            | Self::NoRoom { .. }
            | Self::Stopped(_) => false,
        }
    }
}

impl Overtaken for SnapshotError {
    fn is_overtaken(&self) -> bool {
        matches!(self, Self::Catalogue(error) if error.is_overtaken())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::folder;

    #[test]
    fn what_may_pass_is_tried_again_and_a_failed_sync_never_is() {
        let of = |errno: Errno| SnapshotError::File(errno.into());
        for errno in [Errno::NOSPC, Errno::DQUOT, Errno::MFILE, Errno::NFILE, Errno::NOMEM] {
            assert!(of(errno).may_pass(), "{errno}");
            assert!(!SnapshotError::File(folder::unsynced(errno.into())).may_pass(), "{errno} of a sync");
        }
        for errno in [Errno::IO, Errno::ROFS, Errno::ACCESS] {
            assert!(!of(errno).may_pass(), "{errno}");
        }
        assert!(!SnapshotError::Stopped(Stopped).may_pass());
    }
}
