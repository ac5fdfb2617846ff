//! What the tests of groups share: where a group lives, and entries that apply.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::ids::{GroupId, KeyVersionId, ReplicaId, ShardId, TenantId};
use crate::machine::outcome::Outcome;
use crate::raft::group::{Group, GroupSettings, SnapshotLimits, Timers};
use crate::raft::network::NoPeers;
use crate::store::blocking::Blocking;
use crate::store::room::Room;
use crate::testkit::Author;

pub(super) const SHARD: GroupId = ShardId::FIRST.group();
/// Long enough for any machine; no test waits for it to pass.
pub(super) const AMPLE: Duration = Duration::from_mins(1);

pub(super) fn settings(folder: &Path) -> GroupSettings {
    GroupSettings {
        group: SHARD,
        replica: ReplicaId(1),
        folder: folder.to_owned(),
        timers: Timers::default(),
        blocking: Blocking::Threads,
        limits: SnapshotLimits::default(),
        room: watch::channel(Room::unmeasured(0)).1,
        peers: Arc::new(NoPeers),
    }
}

pub(super) async fn opened(folder: &Path) -> Group {
    opened_with(folder, SnapshotLimits::default()).await
}

pub(super) async fn opened_with(folder: &Path, limits: SnapshotLimits) -> Group {
    let group =
        Group::open(GroupSettings { limits, ..settings(folder) }).await.expect("the folder is whole and not in use");
    group.initialise_single(AMPLE).await.expect("the only voter is elected");
    group
}

/// Genesis and one tenant.
pub(super) async fn set_up(group: &Group, author: &Author) {
    for entry in [author.genesis(SHARD), author.create_tenant(&tenant())] {
        done(group, entry).await;
    }
}

pub(super) async fn done(group: &Group, entry: Vec<u8>) {
    let proposed = group.propose(entry, AMPLE).await.expect("the group runs and leads");
    assert!(matches!(proposed.outcome, Outcome::Done(_)), "{:?}", proposed.outcome);
}

pub(super) fn tenant() -> TenantId {
    "acme".parse().expect("a legal name")
}

/// The entry that makes key `k<number>` with a version of that number.
pub(super) fn key(author: &Author, number: u32) -> Vec<u8> {
    let name = format!("k{number}").parse().expect("a legal name");
    author.create_key(&tenant(), &name, None, version(number))
}

pub(super) fn version(number: u32) -> KeyVersionId {
    let mut bytes = [0xee; 16];
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    KeyVersionId::from_bytes(bytes)
}
