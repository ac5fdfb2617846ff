//! What all lives of a run share: who writes commands, the mirror, and the slip that is planted.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

use openraft::{EntryPayload, Membership};

use super::super::bench::{SHARD, key, tenant};
use crate::ids::{Incarnation, ReplicaId};
use crate::raft::config::{Member, Payload};
use crate::store::blocking::Blocking;
use crate::store::log::{LogStore, Owner};
use crate::store::state::StateMirror;
use crate::testkit::{Author, Disk};

pub(super) const OWNER: Owner = Owner { group: SHARD, replica: ReplicaId(1) };
pub(super) const LOG: &str = "/log.redb";
pub(super) const SNAPSHOTS: &str = "/snapshots";

/// A slip of the product's that the checker must notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slip {
    None,
    /// A vote is acknowledged and never written.
    VoteForgotten,
    /// Entries are acknowledged before they are durable.
    EarlyAcknowledgement,
    /// The log is purged up to a snapshot that is not there yet.
    PurgeBeforeSnapshot,
    /// A snapshot is catalogued before it has its name.
    CatalogueBeforeRename,
}

/// What all lives of a run share.
pub(super) struct World {
    author: Author,
    pub(super) mirror: StateMirror,
    pub(super) slip: Slip,
    keys: Cell<u32>,
}

impl World {
    pub(super) fn new(folder: &Path, slip: Slip) -> Self {
        let mirror = StateMirror::open(folder, Blocking::Inline).expect("an empty mirror opens").mirror;
        Self { author: Author::default(), mirror, slip, keys: Cell::new(0) }
    }

    /// The next command: what has to come first comes first.
    pub(super) fn command(&self, after: u64) -> Vec<u8> {
        match after {
            0 => self.author.genesis(SHARD),
            1 => self.author.create_tenant(&tenant()),
            _ => {
                self.keys.set(self.keys.get() + 1);
                key(&self.author, self.keys.get())
            }
        }
    }
}

/// A disk with a new, empty log on it.
pub(super) fn new_disk() -> Disk {
    let disk = Disk::default();
    LogStore::open(disk.file(Path::new(LOG)), OWNER, Blocking::Inline).expect("an empty log opens").close();
    disk
}

/// The payload of a group's first entry.
pub(super) fn only_voter() -> Payload {
    let nodes = BTreeMap::from([(1, Member { address: String::new(), incarnation: Incarnation::from_bytes([1; 16]) })]);
    EntryPayload::Membership(Membership::new(vec![[1].into()], nodes).expect("the voter has its node"))
}
