//! The key-store side of the process: the groups, the root key, and the carrying out of operators' requests.
//!
//! It alone touches the root key. It never believes a listener's word about who asked: the operator's signature
//! goes into the log, and is verified there.

mod answer;
mod complete;
mod counting;
mod destruction;
mod execute;
mod feed;
mod found;
mod import;
mod people;
mod propose;
mod reach;
mod root;
mod sound;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use replication::clock::{Clock, Moment};
use replication::directory::Directory;
use replication::ids::{GroupId, KeyVersionId, LineageId, LogIndex, ShardId};
use replication::machine::signing::SigningKey;
use replication::machine::state::State;
use replication::raft::group::Group;

use crate::crypto::{Arena, Entropy};
use crate::lookup::TenantKeys;

pub use answer::Answer;
pub use execute::ExecuteError;
pub use found::{FoundError, Founding, Person};
pub use root::{Root, RootError};
pub use sound::{ELECTION_DEADLINE, Needed, UnsoundError};

/// How long an operator's request may take to be committed before its outcome counts as unknown.
pub const PROPOSE_DEADLINE: Duration = Duration::from_secs(5);
/// How long an answer waits for the frontends to use a change.
pub const ACTIVATION_DEADLINE: Duration = Duration::from_secs(7);

/// What a key store is made of.
pub struct Parts {
    /// Group 0.
    pub system: Arc<Group>,
    /// Shard 1.
    pub shard: Arc<Group>,
    /// Signs what this replica completes.
    pub signer: SigningKey,
    /// Seals tenant keys.
    pub root: Root,
    /// Where key material lives in memory.
    pub arena: Arc<Arena>,
    /// Randomness for ids, nonces and material.
    pub entropy: Arc<dyn Entropy>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What the frontend reads.
    pub directory: Arc<Directory>,
    /// The tenant keys handed to the frontend.
    pub tenant_keys: Arc<TenantKeys>,
    /// The frontend that reads them, by name.
    pub frontend: String,
}

/// The key store of this replica.
pub struct KeyStore {
    parts: Parts,
    lineage: LineageId,
    canary: KeyVersionId,
    /// The time that this process counts for the shard.
    counting: std::sync::Mutex<Option<counting::Counting>>,
    /// Held by whoever makes an import key: one at a time, whoever asks.
    making: tokio::sync::Mutex<()>,
}

impl KeyStore {
    /// Bound into every seal and every request.
    pub const fn lineage(&self) -> LineageId {
        self.lineage
    }

    /// The key version that health probes use.
    pub const fn canary(&self) -> KeyVersionId {
        self.canary
    }

    /// Shard 1's state, as applied here.
    pub fn shard_state(&self) -> State {
        self.parts.shard.watch().borrow().state.clone()
    }

    /// Group 0's state, as applied here.
    pub fn system_state(&self) -> State {
        self.parts.system.watch().borrow().state.clone()
    }

    /// The groups of this replica, group 0 first.
    pub fn groups(&self) -> [(GroupId, &Arc<Group>); 2] {
        [(GroupId::SYSTEM, &self.parts.system), (ShardId::FIRST.group(), &self.parts.shard)]
    }

    /// The first group that has met an entry which this release cannot decode, and the entry. It changes nothing any more.
    pub fn halted(&self) -> Option<(GroupId, LogIndex)> {
        self.groups().into_iter().find_map(|(id, group)| Some((id, group.watch().borrow().halted?)))
    }

    /// The monotonic clock, now.
    pub fn now(&self) -> Moment {
        self.parts.clock.now()
    }

    /// What the frontend reads.
    pub fn directory(&self) -> &Directory {
        &self.parts.directory
    }
}
