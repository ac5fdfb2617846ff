//! openraft's own storage suite on our log and state machine.

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;
use tokio::sync::watch;

use super::bench::SHARD;
use crate::ids::{LogIndex, ReplicaId};
use crate::raft::config::TokioTypes;
use crate::raft::log::RaftLog;
use crate::raft::machine::{Applied, Machine, Offered, Parts};
use crate::store::blocking::Blocking;
use crate::store::held::HeldStorage;
use crate::store::log::{Durable, LogStore, Owner};
use crate::store::snapshots::Snapshots;
use crate::store::state::StateMirror;

struct Stores(Blocking);

/// Kept as long as a store is under test. The suite applies entries without committing them, so everything counts as
/// durable here.
struct Guard {
    _folder: TempDir,
    _durable: watch::Sender<Durable>,
    _applied: watch::Receiver<Applied>,
}

impl StoreBuilder<TokioTypes, RaftLog, Machine, Guard> for Stores {
    async fn build(&self) -> Result<(Guard, RaftLog, Machine), StorageError<TokioTypes>> {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let owner = Owner { group: SHARD, replica: ReplicaId(1) };
        let log = LogStore::open(HeldStorage::default(), owner, self.0).expect("an empty log opens");
        let snapshots = Snapshots::open(&folder.path().join("snapshots"), log.clone(), self.0).await;
        let mirror = StateMirror::open(&folder.path().join("state"), self.0).expect("an empty mirror opens").mirror;
        let (all, durable) = watch::channel(Durable { committed: Some(LogIndex(u64::MAX)), failed: None });
        let parts = Parts {
            group: SHARD,
            durable,
            mirror,
            snapshots: snapshots.expect("no snapshots open"),
            found: None,
            offered: Offered::default(),
        };
        let (machine, applied) = Machine::new(parts).await.expect("there is no position to decode");
        Ok((Guard { _folder: folder, _durable: all, _applied: applied }, RaftLog::new(log), machine))
    }
}

#[tokio::test]
async fn our_stores_pass_openrafts_suite_on_threads() -> Result<(), StorageError<TokioTypes>> {
    Suite::test_all(Stores(Blocking::Threads)).await
}

#[tokio::test]
async fn our_stores_pass_openrafts_suite_inline() -> Result<(), StorageError<TokioTypes>> {
    Suite::test_all(Stores(Blocking::Inline)).await
}
