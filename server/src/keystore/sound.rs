//! What must hold before a start goes on: the groups, the root key and the replica's key belong to one another.
//!
//! A piece that is missing, or another cluster's, is refused by name. Never makes a new one in its place: an empty shard
//! beside a system group that placed tenants in it would answer 404 for keys that exist. Of several shards, one that is not whole is
//! left out, and nothing is answered 404 until it is back; where none is whole, the start is refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use replication::ids::{GroupId, LineageId, LogIndex, PeerAddress, PublicKey, ReplicaId, ShardId, SignerId};
use replication::machine::rows::{Role, Signer};
use replication::machine::state::State;
use replication::raft::group::{Group, ReadError};
use replication::raft::host::Host;
use replication::raft::machine::Applied;

use super::found::FoundError;
use super::{KeyStore, Parts};

/// How often a group without a leader is asked again while it starts.
const ELECTION_POLL: Duration = Duration::from_millis(50);
/// How long a group may take to elect its first leader.
pub const ELECTION_DEADLINE: Duration = Duration::from_secs(30);

/// Why what was found in a data directory is not gone on with. No key was made and no entry written; in the place of a group
/// that is gone lies an empty one.
#[derive(Debug, thiserror::Error)]
pub enum UnsoundError {
    /// No leader in time.
    #[error(
        "group {0} has elected no leader within {seconds} seconds; start again when the machine is less busy, and look in the log for what its disk says",
        seconds = ELECTION_DEADLINE.as_secs()
    )]
    NoLeader(GroupId),
    /// The group holds an entry of another release, and too little before it to go on with.
    #[error("group {group} halts at entry {since}, which this release cannot decode; start the release that wrote it")]
    Halted {
        /// Which group.
        group: GroupId,
        /// The entry.
        since: LogIndex,
    },
    /// The group has stopped.
    #[error("group {0} has stopped; the log says why: put that right and start again")]
    Stopped(GroupId),
    /// One group is empty, and what the other holds says that it was not.
    #[error("group {lost} is empty, and group {found} shows that it was not; put its folder groups/{lost} back")]
    GroupLost {
        /// The empty one.
        lost: GroupId,
        /// The other.
        found: GroupId,
    },
    /// There is a folder of a shard that group 0 does not know.
    #[error(
        "there is a folder groups/{0} and group 0 knows of no shard {0}, so group 0 is an older copy, or the folder another cluster's; put the          newer folder groups/0 back, or move groups/{0} away if it is not of this data"
    )]
    ShardUnknown(ShardId),
    /// The groups are of two clusters.
    #[error("group 0 and group {0} are of two clusters; put the folder groups/{0} back that belongs to this data")]
    GroupForeign(GroupId),
    /// The replica's key is not the one it was enrolled with.
    #[error(
        "the signing key of {0} is not the one that it is enrolled with; put the key file back that belongs to this data"
    )]
    ReplicaKey(SignerId),
    /// The data is of another cluster than the settings say.
    #[error(
        "the data folder is of the cluster with lineage {found}, and the settings name {wanted}; name the folder that belongs to this cluster, or an \
         empty one for a new replica"
    )]
    OtherLineage {
        /// Of the data.
        found: LineageId,
        /// Of the settings.
        wanted: LineageId,
    },
    /// The cluster knows the replica as something else.
    #[error(
        "the cluster knows replica {0} in another role than its settings give it; put the role back, or join a new replica under a new number"
    )]
    OtherRole(ReplicaId),
    /// The cluster reaches the replica elsewhere.
    #[error(
        "the cluster reaches replica {replica} at {known}, and its settings advertise {told}; serve it at {known} again, or join a new replica under \
         a new number on an empty data folder"
    )]
    OtherAddress {
        /// Which.
        replica: ReplicaId,
        /// Where the others look for it.
        known: PeerAddress,
        /// Where it says that it is.
        told: PeerAddress,
    },
    /// The root key opens nothing here.
    #[error("the root key does not open the tenant keys; put the root key back that belongs to this data")]
    RootKey,
}

impl UnsoundError {
    /// Whether the root's file is the one to put back.
    pub const fn is_of_the_root(&self) -> bool {
        matches!(self, Self::RootKey)
    }

    /// Whether it is the system group that is not whole, so that nothing can be served.
    fn is_of_the_system_group(&self) -> bool {
        match self {
            Self::NoLeader(group) | Self::Stopped(group) | Self::Halted { group, .. } => *group == GroupId::SYSTEM,
            Self::GroupLost { lost, .. } => *lost == GroupId::SYSTEM,
            Self::ShardUnknown(_)
            | Self::GroupForeign(_)
            | Self::ReplicaKey(_)
            | Self::OtherLineage { .. }
            | Self::OtherRole(_)
            | Self::OtherAddress { .. }
            | Self::RootKey => false,
        }
    }
}

/// Waits until a group has a leader and everything before is applied, and gives its state. Of a group that has halted that
/// is the state up to the entry that cannot be decoded.
pub(super) async fn led(group: &Group) -> Result<Applied, UnsoundError> {
    let id = group.id();
    let ready = async {
        loop {
            let applied = match group.read_index().await {
                Ok(index) => group.wait_applied(index).await,
                Err(error) => Err(error),
            };
            match applied {
                Ok(applied) => return Ok(applied),
                Err(ReadError::Halted { .. }) => return Ok(group.watch().borrow().clone()),
                Err(ReadError::Stopped) => return Err(UnsoundError::Stopped(id)),
                Err(ReadError::NoQuorum | ReadError::NotLeader { .. }) => {}
            }
            tokio::time::sleep(ELECTION_POLL).await;
        }
    };
    tokio::time::timeout(ELECTION_DEADLINE, ready).await.map_err(|_| UnsoundError::NoLeader(id))?
}

/// The groups of a replica as a start finds them.
pub(super) struct Judged {
    system: Applied,
    pub(super) shards: BTreeMap<ShardId, Result<Found, FoundError>>,
}

/// A shard whose group can be read.
pub(super) struct Found {
    pub(super) group: Arc<Group>,
    applied: Applied,
}

impl Found {
    /// Whether anything was ever written to it.
    pub(super) fn is_known(&self) -> bool {
        // what cannot be decoded may be anything
        self.applied.halted.is_some() || self.applied.state.meta().is_some()
    }
}

impl Judged {
    /// Judges the groups, which are led or about to be.
    ///
    /// # Errors
    /// If nothing can be served: of the system group, or of the first shard that is not whole where none is.
    pub(super) async fn of(host: &Host) -> Result<Self, FoundError> {
        let system = led(host.system()).await?;
        let looking = host.shards().into_iter().map(|shard| async move {
            let found = match (host.trouble(shard), host.shard(shard)) {
                (None, Some(group)) => {
                    led(&group).await.map(|applied| Found { group, applied }).map_err(FoundError::from)
                }
                (Some(trouble), _) => Err(FoundError::Shard(trouble)),
                (None, None) => Err(UnsoundError::Stopped(shard.group()).into()),
            };
            (shard, found)
        });
        let mut shards = BTreeMap::new();
        for (shard, found) in join_all(looking).await {
            if system.halted.is_none() && !system.state.has_shard(shard) {
                let founded = system.state.meta().is_some();
                let lost = UnsoundError::GroupLost { lost: GroupId::SYSTEM, found: shard.group() };
                return Err(if founded { UnsoundError::ShardUnknown(shard) } else { lost }.into());
            }
            let judged = match found {
                Ok(found) => match belong_together(shard, &system, &found.applied) {
                    Ok(()) => Ok(found),
                    Err(error) if error.is_of_the_system_group() => return Err(error.into()),
                    Err(error) => Err(error.into()),
                },
                Err(error) => Err(error),
            };
            shards.insert(shard, judged);
        }
        let judged = Self { system, shards };
        judged.with_one_that_is_whole()
    }

    /// Where a shard is missing and no other one is whole there is nothing to serve, and no reason to begin anew beside it.
    fn with_one_that_is_whole(mut self) -> Result<Self, FoundError> {
        let is_whole = |found: &Result<Found, FoundError>| found.as_ref().is_ok_and(Found::is_known);
        let broken = self.shards.iter().find(|(_, found)| found.is_err()).map(|(shard, _)| *shard);
        match broken {
            Some(shard) if !self.shards.values().any(is_whole) => match self.shards.remove(&shard) {
                Some(Err(error)) => Err(error),
                Some(Ok(_)) | None => Ok(self),
            },
            _ => Ok(self),
        }
    }
}

/// What groups that belong together need of the keys beside them. Whoever opens a key has judged the groups first: a
/// key made beside a part of the data would lie there when the rest is put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needed {
    pub(super) root_key: bool,
    replica_key: bool,
}

impl Needed {
    /// Judges the groups, which are led or about to be.
    ///
    /// # Errors
    /// [`FoundError`], if they do not belong together or cannot be read.
    pub async fn by(host: &Host) -> Result<Self, FoundError> {
        let Judged { system, shards } = Judged::of(host).await?;
        // what cannot be opened or decoded may need any key
        let of_a_tenant = |found: &Result<Found, FoundError>| match found {
            Ok(found) => found.applied.halted.is_some() || !found.applied.state.tenants().is_empty(),
            Err(_) => true,
        };
        let of_a_replica = |found: &Result<Found, FoundError>| found.as_ref().map_or(true, Found::is_known);
        Ok(Self {
            root_key: shards.values().any(of_a_tenant),
            replica_key: system.halted.is_some() || system.state.meta().is_some() || shards.values().any(of_a_replica),
        })
    }

    /// Whether a group knows the replica by its key, so that no other may be made.
    pub const fn replica_key(self) -> bool {
        self.replica_key
    }
}

impl Parts {
    /// Whether the groups are of one cluster, and know this replica by its key.
    pub(super) async fn verify(&self) -> Result<Judged, FoundError> {
        let mut judged = Judged::of(&self.host).await?;
        let stranger = || UnsoundError::ReplicaKey(self.signer.signer().clone());
        if !self.is_known_in(&judged.system.state) {
            return Err(stranger().into());
        }
        for found in judged.shards.values_mut() {
            if found.as_ref().is_ok_and(|found| !self.is_known_in(&found.applied.state)) {
                *found = Err(stranger().into());
            }
        }
        judged.with_one_that_is_whole()
    }

    fn is_known_in(&self, state: &State) -> bool {
        let enrolled = state.row::<Signer>(self.signer.signer());
        let is_ours = |row: &Signer| row.public_key == self.signer.public_key() && row.role == Role::Replica;
        state.meta().is_none() || enrolled.is_some_and(|row| is_ours(row))
    }
}

fn belong_together(id: ShardId, system: &Applied, shard: &Applied) -> Result<(), UnsoundError> {
    let group = id.group();
    let halted = [(GroupId::SYSTEM, system), (group, shard)].into_iter().find_map(|(id, at)| Some((id, at.halted?)));
    let (system, shard) = (&system.state, &shard.state);
    if let Some((group, since)) = halted
        && (system.meta().is_none() || shard.meta().is_none())
    {
        // what would tell an empty group from a lost one may stand in what cannot be read
        return Err(UnsoundError::Halted { group, since });
    }
    match (system.meta(), shard.meta()) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(UnsoundError::GroupLost { lost: GroupId::SYSTEM, found: group }),
        // the shard gets its first entry before the system group hears of any path or tenant in it
        (Some(_), None) if !system.is_used(id) => Ok(()),
        (Some(_), None) => Err(UnsoundError::GroupLost { lost: group, found: GroupId::SYSTEM }),
        (Some(system), Some(shard)) if system.lineage == shard.lineage => Ok(()),
        (Some(_), Some(_)) => Err(UnsoundError::GroupForeign(group)),
    }
}

impl KeyStore {
    /// Whether the cluster enrolled somebody of that name with that key. One who was revoked since is known all the same.
    pub fn knows(&self, signer: &SignerId, public_key: &PublicKey) -> bool {
        self.system_state().row::<Signer>(signer).is_some_and(|row| row.public_key == *public_key)
    }
}
