//! What must hold before a start goes on: the groups, the root key and the replica's key belong to one another.
//!
//! A piece that is missing, or another cluster's, is refused by name. Never makes a new one in its place: an empty shard
//! beside a system group that placed tenants in it would answer 404 for keys that exist.

use std::time::Duration;

use replication::ids::{GroupId, LogIndex, PublicKey, ShardId, SignerId};
use replication::machine::rows::{Role, Signer};
use replication::raft::group::{Group, ReadError};
use replication::raft::machine::Applied;

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
    /// The groups are of two clusters.
    #[error("group 0 and group {0} are of two clusters; put the folder groups/{0} back that belongs to this data")]
    GroupForeign(GroupId),
    /// The replica's key is not the one it was enrolled with.
    #[error(
        "the signing key of {0} is not the one that it is enrolled with; put the key file back that belongs to this data"
    )]
    ReplicaKey(SignerId),
    /// The root key opens nothing here.
    #[error("the root key does not open the tenant keys; put the root key back that belongs to this data")]
    RootKey,
}

impl UnsoundError {
    /// Whether the root's file is the one to put back.
    pub const fn is_of_the_root(&self) -> bool {
        matches!(self, Self::RootKey)
    }
}

const SHARD: GroupId = ShardId::FIRST.group();

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

/// What two groups that belong together need of the keys beside them. Whoever opens a key has judged the groups first: a
/// key made beside half of the data would lie there when the other half is put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needed {
    pub(super) root_key: bool,
    replica_key: bool,
}

impl Needed {
    /// Judges the groups, which are led or about to be.
    ///
    /// # Errors
    /// [`UnsoundError`], if they do not belong together or cannot be read.
    pub async fn by(system: &Group, shard: &Group) -> Result<Self, UnsoundError> {
        let (system, shard) = (led(system).await?, led(shard).await?);
        belong_together(&system, &shard)?;
        // what cannot be decoded may need any key
        let is_known = |group: &Applied| group.halted.is_some() || group.state.meta().is_some();
        Ok(Self {
            root_key: shard.halted.is_some() || !shard.state.tenants().is_empty(),
            replica_key: is_known(&system) || is_known(&shard),
        })
    }

    /// Whether a group knows the replica by its key, so that no other may be made.
    pub const fn replica_key(self) -> bool {
        self.replica_key
    }
}

impl Parts {
    /// Whether the groups are of one cluster, none of them lost, and know this replica by its key.
    pub(super) async fn verify(&self) -> Result<(), UnsoundError> {
        let (system, shard) = (led(&self.system).await?, led(&self.shard).await?);
        belong_together(&system, &shard)?;
        for state in [&system.state, &shard.state] {
            let enrolled = state.row::<Signer>(self.signer.signer());
            let is_ours = |row: &Signer| row.public_key == self.signer.public_key() && row.role == Role::Replica;
            if state.meta().is_some() && !enrolled.is_some_and(|row| is_ours(row)) {
                return Err(UnsoundError::ReplicaKey(self.signer.signer().clone()));
            }
        }
        Ok(())
    }
}

fn belong_together(system: &Applied, shard: &Applied) -> Result<(), UnsoundError> {
    let halted = [(GroupId::SYSTEM, system), (SHARD, shard)].into_iter().find_map(|(id, at)| Some((id, at.halted?)));
    let (system, shard) = (&system.state, &shard.state);
    if let Some((group, since)) = halted
        && (system.meta().is_none() || shard.meta().is_none())
    {
        // what would tell an empty group from a lost one may stand in what cannot be read
        return Err(UnsoundError::Halted { group, since });
    }
    match (system.meta(), shard.meta()) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(UnsoundError::GroupLost { lost: GroupId::SYSTEM, found: SHARD }),
        // the shard gets its first entry before the system group hears of any path or tenant in it
        (Some(_), None) if system.reservations().is_empty() && system.placements().is_empty() => Ok(()),
        (Some(_), None) => Err(UnsoundError::GroupLost { lost: SHARD, found: GroupId::SYSTEM }),
        (Some(system), Some(shard)) if system.lineage == shard.lineage => Ok(()),
        (Some(_), Some(_)) => Err(UnsoundError::GroupForeign(SHARD)),
    }
}

impl KeyStore {
    /// Whether the shard enrolled somebody of that name with that key. One who was revoked since is known all the same.
    pub fn knows(&self, signer: &SignerId, public_key: &PublicKey) -> bool {
        self.shard_state().row::<Signer>(signer).is_some_and(|row| row.public_key == *public_key)
    }
}
