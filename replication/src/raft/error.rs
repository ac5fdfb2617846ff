//! Everything that can become of opening a group, setting it up, proposing to it and reading from it.
//!
//! Says what the caller may rely on; decides nothing.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use openraft::errors::Fatal;
use openraft::{AsyncRuntime, ConfigError};

use super::config::Types;
use super::limits::{ENTRY_BYTES_MAX, PROPOSALS_MAX};
use super::membership::MembershipError;
use crate::codec::Undecodable;
use crate::ids::{GroupId, LogIndex, ReplicaId};
use crate::store::log::LogError;
use crate::store::room::Shortage;
use crate::store::snapshots::SnapshotError;
use crate::store::state::MirrorError;

/// Why a group cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made.
    #[error("the group's folder {} cannot be made", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// The group served before, and its log is missing or empty. Nothing was changed.
    #[error(
        "{} is gone, and with it what group {group} holds. Nothing was changed: put it back from a copy, together with the \
         rest of the data directory from the same time", log.display()
    )]
    LogGone {
        /// Whose.
        group: GroupId,
        /// The missing file.
        log: PathBuf,
    },
    /// The applied state holds entries that the log does not: the log is an older one, or lost its end. Nothing was changed.
    #[error(
        "the log of group {group} ends with entry {log} as committed, and entry {applied} was applied from it before: \
         acknowledged changes are missing from it. Nothing was changed and nothing is served from it. Put back the newer log, or a \
         whole copy of the data directory, whose parts are from the same time. If that log is lost and you accept what is \
         missing, move the group's folder \"state\" away and start again"
    )]
    LogBehind {
        /// Whose.
        group: GroupId,
        /// The newest entry that the log has as committed, or a snapshot covers; 0 for none.
        log: LogIndex,
        /// The newest entry in the applied state.
        applied: LogIndex,
    },
    /// The log cannot be used; [`LogError::InUse`] if another process has it.
    #[error("the log in {} cannot be opened", folder.display())]
    Log {
        /// The group's folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: LogError,
    },
    /// The snapshots cannot be used.
    #[error("the snapshots in {} cannot be opened", folder.display())]
    Snapshots {
        /// Their folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: SnapshotError,
    },
    /// No mirror of the state can be had.
    #[error("the applied state cannot be opened")]
    Mirror(#[from] MirrorError),
    /// The mirror or a snapshot is whole, and its position is not one of ours.
    #[error("the position of the applied state or of a snapshot cannot be decoded")]
    Position(#[from] postcard::Error),
    /// The timers contradict each other.
    #[error("the timers of the group contradict each other")]
    Timers(#[from] ConfigError),
    /// The state could not be brought up to the committed index.
    #[error("the state cannot be rebuilt from the log")]
    Recovery(#[source] Failure),
}

/// Why a group can no longer go on. The process that holds it should end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The log, the mirror or a snapshot could not be read or written. What is durable is unknown after that.
    #[error("storage failed")]
    Storage(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A task of the group panicked.
    #[error("a task of the group panicked")]
    Panicked,
    /// The group was shut down.
    #[error("the group was shut down")]
    Stopped,
}

impl<RT: AsyncRuntime> From<Fatal<Types<RT>>> for Failure {
    fn from(fatal: Fatal<Types<RT>>) -> Self {
        match fatal {
            Fatal::StorageError(error) => Self::Storage(Box::new(error)),
            Fatal::Panicked => Self::Panicked,
            Fatal::Stopped => Self::Stopped,
        }
    }
}

/// Why the group could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitialiseError {
    /// This replica was not elected in time.
    #[error("this replica was not elected within {within:?}")]
    NotElected {
        /// How long was waited.
        within: Duration,
    },
    /// The group cannot go on.
    #[error("the group cannot go on")]
    Failed(#[from] Failure),
}

/// Why a group of a replica does not serve.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A group could not be opened.
    #[error("group {group} cannot be opened")]
    Open {
        /// Which.
        group: GroupId,
        /// Why.
        #[source]
        source: OpenError,
    },
    /// A group could not be set up.
    #[error("group {group} cannot be set up")]
    Initialise {
        /// Which.
        group: GroupId,
        /// Why.
        #[source]
        source: InitialiseError,
    },
    /// A group of a cluster could not be begun.
    #[error("group {group} cannot be begun")]
    Begin {
        /// Which.
        group: GroupId,
        /// Why.
        #[source]
        source: MembershipError,
    },
    /// Opening a group came to a panic.
    #[error("opening group {group} came to a panic, whose words are in the log: report it")]
    Panicked {
        /// Which.
        group: GroupId,
    },
    /// A group that served can no longer go on; the others do.
    #[error("group {group} can no longer go on; start again, and report it if it comes back")]
    Failed {
        /// Which.
        group: GroupId,
        /// Why.
        #[source]
        source: Failure,
    },
}

impl HostError {
    /// Whether asking for the group again, in the same process, may find it.
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Initialise { source, .. } => match source {
                InitialiseError::NotElected { .. } => true,
                InitialiseError::Failed(_) => false,
            },
            Self::Begin { source, .. } => !matches!(source, MembershipError::Failed(_)),
            Self::Open { .. } | Self::Panicked { .. } | Self::Failed { .. } => false,
        }
    }
}

/// Why a proposal has no outcome. Unless it says otherwise, nothing happened and nothing will.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// It may have happened, or may still happen: ask again under the same idempotency id.
    #[error("no answer in time; it may have happened, so ask again under the same idempotency id")]
    Unknown,
    /// Another replica leads, or nobody.
    #[error("this replica does not lead the group")]
    NotLeader {
        /// Who does, if it is known.
        leader: Option<ReplicaId>,
    },
    /// The state machine cannot decode an entry and applies nothing from there on. The entry is in the log, and is
    /// applied by a release that can decode the one at `since`.
    #[error("the group has halted at entry {since}, which this release cannot decode; start the release that wrote it")]
    Halted {
        /// The entry that could not be decoded.
        since: LogIndex,
    },
    /// The entry is larger than [`ENTRY_BYTES_MAX`].
    #[error("the entry has {bytes} bytes, and at most {ENTRY_BYTES_MAX} fit")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The entry is none that this release could apply.
    #[error("the entry cannot be decoded, so it is not proposed")]
    Undecodable(#[from] Undecodable),
    /// The disk has too little room to take changes.
    #[error(transparent)]
    NoRoom(#[from] Shortage),
    /// [`PROPOSALS_MAX`] are under way, and none of them ended in time.
    #[error("{PROPOSALS_MAX} proposals are under way already")]
    Busy,
    /// The group was shut down, or has failed.
    #[error("the group has stopped")]
    Stopped,
}

/// Why there is no fresh index, or no state that holds it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No quorum confirmed in time.
    #[error("no quorum confirmed the read in time")]
    NoQuorum,
    /// Another replica leads, or nobody.
    #[error("this replica does not lead the group")]
    NotLeader {
        /// Who does, if it is known.
        leader: Option<ReplicaId>,
    },
    /// The state will not come to that index under this release.
    #[error("the group has halted at entry {since}, which this release cannot decode")]
    Halted {
        /// The entry that could not be decoded.
        since: LogIndex,
    },
    /// The group was shut down, or has failed.
    #[error("the group has stopped")]
    Stopped,
}
