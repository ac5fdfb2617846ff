//! The key-store side of the process: the groups, the root key, and the carrying out of operators' requests.
//!
//! It alone touches the root key. It never believes a listener's word about who asked: the operator's signature
//! goes into the log, and is verified there.

mod answer;
mod complete;
mod counting;
mod current;
mod deny_entries;
mod destruction;
mod duties;
mod execute;
mod feed;
mod following;
mod found;
mod import;
mod member;
mod people;
mod place;
mod plan;
mod propose;
mod raise;
mod reach;
mod root;
mod shards;
mod sound;
mod supervise;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use replication::clock::{Clock, Moment};
use replication::deny_entries::DenyBook;
use replication::directory::Directory;
use replication::feed::Outlet;
use replication::ids::{FrontendName, GroupId, LineageId, LogIndex, ShardId};
use replication::machine::signing::SigningKey;
use replication::machine::state::State;
use replication::raft::group::Group;
use replication::raft::host::Host;
use tokio::sync::watch;

use crate::crypto::{Arena, Entropy};
use crate::lookup::TenantKeys;

pub use answer::Answer;
pub use deny_entries::{DENY_ENTRIES_FOLDER, open_deny_entries};
pub use execute::ExecuteError;
pub use found::{FoundError, Founding, Person};
pub use member::{Membership, Own};
pub use root::{Made, Root, RootError, is_there};
pub use shards::{Shard, ShardDown, Standing};
pub use sound::{ELECTION_DEADLINE, Needed, UnsoundError};

/// How long an operator's request may take to be committed before its outcome counts as unknown.
pub const PROPOSE_DEADLINE: Duration = Duration::from_secs(5);

/// Who reads what a key store knows.
#[derive(Debug, Clone)]
pub enum FedTo {
    /// The frontend of the same process, and nobody else.
    Own(FrontendName),
    /// Frontends that follow the feed.
    Frontends,
}

/// What a key store is made of.
pub struct Parts {
    /// The groups of this replica.
    pub host: Arc<Host>,
    /// Signs what this replica completes.
    pub signer: Arc<SigningKey>,
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
    /// Who reads them.
    pub fed_to: FedTo,
    /// Whom officers shut out.
    pub deny_entries: Arc<DenyBook>,
}

/// The key store of this replica.
pub struct KeyStore {
    parts: Parts,
    lineage: LineageId,
    /// The shards that were brought up here, and those that could not be. None ever goes.
    shards: watch::Sender<BTreeMap<ShardId, Standing>>,
    /// What is handed on of each group.
    outlets: Mutex<BTreeMap<GroupId, Arc<Outlet>>>,
    /// Held by whoever brings a shard up.
    raising: tokio::sync::Mutex<()>,
    /// Held by whoever makes an import key: one at a time, whoever asks.
    making: tokio::sync::Mutex<()>,
}

impl KeyStore {
    /// Bound into every seal and every request.
    pub const fn lineage(&self) -> LineageId {
        self.lineage
    }

    /// Group 0's state, as applied here.
    pub fn system_state(&self) -> State {
        self.parts.system_state()
    }

    /// Group 0 on this replica.
    pub fn system(&self) -> &Arc<Group> {
        self.parts.host.system()
    }

    /// The shards as they stand, to be woken by.
    pub fn watch_shards(&self) -> watch::Receiver<BTreeMap<ShardId, Standing>> {
        self.shards.subscribe()
    }

    /// The groups of this replica that were opened, group 0 first.
    pub fn groups(&self) -> Vec<(GroupId, Arc<Group>)> {
        self.parts.host.groups().map(|group| (group.id(), group)).collect()
    }

    /// The group that keeps this replica from taking any change, and the entry of it that this release cannot decode: group 0, or the
    /// first shard if every shard that serves has halted.
    pub fn halted(&self) -> Option<(GroupId, LogIndex)> {
        let system = self.system().watch().borrow().halted.map(|since| (GroupId::SYSTEM, since));
        let shards = || self.serving().into_iter().map(|shard| Some((shard.group_id(), shard.halted()?)));
        system.or_else(|| if shards().all(|halted| halted.is_some()) { shards().next()? } else { None })
    }

    /// The monotonic clock, now.
    pub fn now(&self) -> Moment {
        self.parts.clock.now()
    }

    /// Both clocks.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    /// What the frontend reads.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.parts.directory
    }

    /// Whom officers shut out.
    pub fn deny_entries(&self) -> &Arc<DenyBook> {
        &self.parts.deny_entries
    }

    /// The groups of this replica.
    pub const fn host(&self) -> &Arc<Host> {
        &self.parts.host
    }

    /// The first shard's state, which most tests are about.
    #[cfg(test)]
    pub fn shard_state(&self) -> State {
        self.shard(ShardId::FIRST).expect("the first shard serves").state()
    }
}

impl Parts {
    fn system_state(&self) -> State {
        self.host.system().watch().borrow().state.clone()
    }
}
