//! The groups on this replica: opened, set up and shut down in one order.
//!
//! Decides nothing about what is in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::select_all;
use openraft::AsyncRuntime;
use openraft_rt_tokio::TokioRuntime;

use super::group::{Failure, Group, GroupSettings, InitialiseError, OpenError, SnapshotLimits, Timers};
use crate::ids::{GroupId, ReplicaId, ShardId};
use crate::store::blocking::Blocking;

/// The groups of this release: the system group and one shard.
pub const GROUPS: [GroupId; 2] = [GroupId::SYSTEM, ShardId::FIRST.group()];

/// What the groups of a replica are opened with.
#[derive(Debug, Clone)]
pub struct HostSettings {
    /// Which replica this is.
    pub replica: ReplicaId,
    /// The replica's data folder; group `n` lives in `groups/n` below it.
    pub folder: PathBuf,
    /// How long openraft waits.
    pub timers: Timers,
    /// How blocking work is run.
    pub blocking: Blocking,
    /// When each group writes a snapshot.
    pub limits: SnapshotLimits,
}

/// Why the groups of a replica could not be started.
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
}

/// The groups on this replica.
pub struct Host<RT: AsyncRuntime = TokioRuntime> {
    groups: BTreeMap<GroupId, Arc<Group<RT>>>,
}

impl<RT: AsyncRuntime> Host<RT> {
    /// Opens every group, the system group first. If one cannot be opened, those before it are shut down again.
    ///
    /// # Errors
    /// [`HostError::Open`].
    pub async fn open(settings: HostSettings) -> Result<Self, HostError> {
        let mut host = Self { groups: BTreeMap::new() };
        for group in GROUPS {
            let folder = group_folder(&settings.folder, group);
            let HostSettings { replica, timers, blocking, limits, .. } = settings;
            match Group::open(GroupSettings { group, replica, folder, timers, blocking, limits }).await {
                Ok(opened) => drop(host.groups.insert(group, Arc::new(opened))),
                Err(source) => {
                    host.shutdown().await;
                    return Err(HostError::Open { group, source });
                }
            }
        }
        Ok(host)
    }

    /// Makes this replica the only voter of every group that has no membership yet, and waits until it leads them all.
    ///
    /// # Errors
    /// [`HostError::Initialise`].
    pub async fn initialise_single(&self, within: Duration) -> Result<(), HostError> {
        for (group, opened) in &self.groups {
            let elected = opened.initialise_single(within).await;
            elected.map_err(|source| HostError::Initialise { group: *group, source })?;
        }
        Ok(())
    }

    /// The system group.
    pub fn system(&self) -> &Arc<Group<RT>> {
        self.group(GroupId::SYSTEM).expect("an open host has opened the system group")
    }

    /// A shard's group, if it lives on this replica.
    pub fn shard(&self, shard: ShardId) -> Option<&Arc<Group<RT>>> {
        self.group(shard.group())
    }

    /// A group, if it lives on this replica.
    pub fn group(&self, group: GroupId) -> Option<&Arc<Group<RT>>> {
        self.groups.get(&group)
    }

    /// Every group on this replica, the system group first.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<Group<RT>>> {
        self.groups.values()
    }

    /// Waits until a group can no longer go on. The process should then end.
    pub async fn failed(&self) -> (GroupId, Failure) {
        let each = self.groups.iter().map(|(group, opened)| Box::pin(async move { (*group, opened.failed().await) }));
        select_all(each).await.0
    }

    /// Shuts every group down: the shards first, since they live by what the system group holds.
    pub async fn shutdown(&self) {
        for group in self.groups.values().rev() {
            group.shutdown().await;
        }
    }
}

/// Where a group lives below a replica's data folder.
pub fn group_folder(folder: &Path, group: GroupId) -> PathBuf {
    folder.join("groups").join(group.to_string())
}
