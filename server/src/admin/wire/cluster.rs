//! Which replicas the cluster has, who votes and leads in each group, and how a cluster is founded, as bodies. No logic.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use replication::ids::{GroupId, LineageId, LogIndex, PeerAddress, PublicKey, ReplicaId, SignerId, SiteName};
use replication::machine::roles::PersonRole;
use replication::machine::rows::{ReplicaKind, Standing};

/// What a cluster is founded with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InitRequest {
    /// The people whose signatures count from the first entry on; at least two of them security officers.
    #[schema(max_items = 64)]
    pub people: Vec<FirstPerson>,
    /// Exact `iss` values of callers' tokens.
    #[schema(max_items = 16)]
    pub issuers: Vec<String>,
    /// Exact `aud` values of callers' tokens.
    #[schema(max_items = 16)]
    pub audiences: Vec<String>,
}

/// A person whom the first entry names, with all tenants in reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FirstPerson {
    /// Their name: the common name of their certificate.
    pub name: SignerId,
    /// The key that they sign with and that their certificate holds.
    pub public_key: PublicKey,
    /// What they are there for; at least one role.
    pub roles: BTreeSet<PersonRole>,
}

/// The cluster is founded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Founded {
    /// Goes into every request.
    pub lineage: LineageId,
    /// The replica that it was founded on.
    pub replica: ReplicaId,
    /// Where that replica has the root key.
    pub root_key_file: String,
    /// Whether the root key was made; otherwise its file was there.
    pub root_key_made: bool,
    /// What to do next, in words.
    pub next: Vec<String>,
}

/// Which replicas the cluster has, and how its groups stand on the one that is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterStatus {
    /// The replica that answers.
    pub replica: ReplicaId,
    /// The lineage of the cluster, if it is founded as far as this replica knows.
    pub lineage: Option<LineageId>,
    /// Whether this replica belongs to the cluster.
    pub joined: bool,
    /// The replicas of the cluster, as group 0 has them here.
    pub replicas: Vec<ReplicaBody>,
    /// The groups on this replica.
    pub groups: Vec<GroupMembers>,
    /// The frontends that are fed from here; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frontends: Option<Vec<FedFrontend>>,
}

/// A replica of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicaBody {
    /// Its number.
    pub replica: ReplicaId,
    /// Where its peers reach it.
    pub address: PeerAddress,
    /// Where its machine stands.
    pub site: SiteName,
    /// What it is there for.
    pub kind: ReplicaKind,
    /// Whether it is to vote.
    pub standing: Standing,
}

/// Who belongs to a group, as the replica that is asked sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupMembers {
    /// Which; 0 is the system group.
    pub group: GroupId,
    /// The term, as in the Raft paper.
    pub term: u64,
    /// Who leads, if it is known.
    pub leader: Option<ReplicaId>,
    /// Who votes.
    pub voters: BTreeSet<ReplicaId>,
    /// Who is replicated to and does not vote.
    pub learners: BTreeSet<ReplicaId>,
    /// The newest entry in the log here.
    pub last: LogIndex,
    /// The newest entry that is applied here.
    pub applied: LogIndex,
    /// How many entries each other replica is behind; only the leader knows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub behind: BTreeMap<ReplicaId, u64>,
    /// Why others are not replicated to, where a person must act.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub troubles: BTreeMap<ReplicaId, String>,
}

/// A frontend that is fed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FedFrontend {
    /// Its name.
    pub name: String,
    /// Milliseconds since it last asked.
    pub asked_ms_ago: u64,
}
