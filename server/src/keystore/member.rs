//! The key store of a replica in a cluster: how the first one founds it, and how every one begins with what it has applied.
//!
//! Waits for no quorum: what is applied here is judged and served from. Founds nothing beside what group 0 says is there.

use std::sync::Arc;

use replication::ids::{Generation, GroupId, LineageId, ReplicaId, ShardId};
use replication::machine::command::{Action, AddReplica, AddShard, Genesis};
use replication::machine::rows::{Meta, Replica, ReplicaKind, Role};
use replication::machine::state::State;
use replication::raft::host::Host;

use super::found::{FoundError, Founding, signer};
use super::sound::{ELECTION_DEADLINE, UnsoundError};
use super::{KeyStore, Parts};

/// What group 0 on this replica says of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// Nothing: no cluster was founded here, and none has come.
    Nothing,
    /// The cluster was founded here, and a crash came before the replica's own row, or that of the first shard, was written.
    HalfFounded,
    /// There is a cluster, and this replica is not in its registry yet.
    NotYet,
    /// This replica belongs to it.
    Joined,
}

/// Which replica this is meant to be.
#[derive(Debug, Clone)]
pub struct Own {
    /// The lineage of its cluster.
    pub lineage: LineageId,
    /// What its row in the registry says, or is to say.
    pub row: AddReplica,
}

impl Membership {
    /// Judges what is applied of group 0 here.
    ///
    /// # Errors
    /// [`UnsoundError`], if the data is of another cluster or another replica, or of `ekm dev`.
    pub fn of(host: &Host, own: &Own) -> Result<Self, FoundError> {
        let state = host.system().watch().borrow().state.clone();
        Self::in_state(&state, own)
    }

    fn in_state(state: &State, own: &Own) -> Result<Self, FoundError> {
        let Some(meta) = state.meta() else { return Ok(Self::Nothing) };
        if meta.dev {
            return Err(FoundError::IsDev);
        }
        if meta.lineage != own.lineage {
            return Err(UnsoundError::OtherLineage { found: meta.lineage, wanted: own.lineage }.into());
        }
        match state.row::<Replica>(&own.row.replica) {
            Some(row) if row.kind != own.row.kind => Err(other(own, &row.kind).into()),
            Some(row) if row.address != own.row.address => {
                let (known, told) = (row.address.clone(), own.row.address.clone());
                Err(UnsoundError::OtherAddress { replica: own.row.replica, known, told }.into())
            }
            // nobody else can add the first shard
            Some(_) if state.founder(ShardId::FIRST).is_none() && is_named(state, &own.row.kind) => {
                Ok(Self::HalfFounded)
            }
            Some(_) => Ok(Self::Joined),
            None if state.replicas().is_empty() && is_named(state, &own.row.kind) => Ok(Self::HalfFounded),
            None => Ok(Self::NotYet),
        }
    }
}

/// What is wrong where the registry has the replica as another one.
fn other(own: &Own, known: &ReplicaKind) -> UnsoundError {
    match (&own.row.kind, known) {
        (ReplicaKind::Data { signer, .. }, ReplicaKind::Data { .. }) => UnsoundError::ReplicaKey(signer.clone()),
        (ReplicaKind::Data { .. } | ReplicaKind::Witness, _) => UnsoundError::OtherRole(own.row.replica),
    }
}

/// Whether genesis named this replica.
fn is_named(state: &State, kind: &ReplicaKind) -> bool {
    match kind {
        ReplicaKind::Data { signer, public_key } => state
            .signers()
            .get(signer)
            .is_some_and(|row| row.role == Role::Replica && row.enrolled_by.is_none() && row.public_key == *public_key),
        ReplicaKind::Witness => false,
    }
}

impl Parts {
    /// Begins group 0 on this replica and founds the cluster in it, or goes on where a crash cut that off.
    ///
    /// # Errors
    /// [`FoundError`]; what was founded stays, and the same call goes on.
    pub async fn found_cluster(&self, own: &Own, founding: &Founding) -> Result<(), FoundError> {
        self.host.begin_cluster(ELECTION_DEADLINE).await.map_err(|error| FoundError::Begin(Arc::new(error)))?;
        if self.system_state().meta().is_none() {
            let ReplicaKind::Data { signer: name, public_key } = &own.row.kind else {
                return Err(UnsoundError::OtherRole(own.row.replica).into());
            };
            let first = (name.clone(), signer(*public_key, Role::Replica));
            let genesis = Genesis {
                meta: Meta {
                    lineage: own.lineage,
                    generation: Generation::FIRST,
                    group: GroupId::SYSTEM,
                    dev: founding.dev,
                },
                signers: std::iter::once(first).chain(founding.people.iter().map(super::Person::signer)).collect(),
                trust: Some(founding.trust.clone()),
            };
            self.automatic(own.lineage, self.host.system(), Action::Genesis(genesis)).await?;
        }
        self.found_registry(own).await
    }

    /// The first replica's row, and the first shard.
    ///
    /// # Errors
    /// [`FoundError`].
    pub async fn found_registry(&self, own: &Own) -> Result<(), FoundError> {
        let system = self.host.system();
        if self.system_state().replicas().is_empty() {
            self.automatic(own.lineage, system, Action::AddReplica(own.row.clone())).await?;
        }
        if self.system_state().founder(ShardId::FIRST).is_none() {
            let first = AddShard { shard: ShardId::FIRST, founder: own.row.replica };
            self.automatic(own.lineage, system, Action::AddShard(first)).await?;
        }
        Ok(())
    }
}

impl KeyStore {
    /// The key store of a replica that has joined its cluster, over what it has applied.
    ///
    /// # Errors
    /// [`FoundError`], if a shard's data is of another cluster, or opens under another root key.
    pub fn of_member(parts: Parts, lineage: LineageId) -> Result<Self, FoundError> {
        let store = Self::over(parts, lineage);
        for shard in store.system_state().shards() {
            let Some(group) = store.parts.host.shard(shard) else { continue };
            let state = group.watch().borrow().state.clone();
            store.canary_in(shard, &state)?;
        }
        Ok(store)
    }

    /// Which replica this is.
    pub fn replica(&self) -> ReplicaId {
        self.parts.host.replica()
    }
}
