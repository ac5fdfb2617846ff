//! The cluster as a whole: how it stands, and how it is founded. The only part of the admin API that answers before there is a
//! cluster.
//!
//! Founds nothing itself: whoever assembles the process does, and is asked over a channel.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State as Shared;
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use replication::causes;
use replication::feed::Outlets as _;
use replication::ids::{FrontendName, GroupId, ShardId};
use replication::machine::apply::OFFICERS_MIN;
use replication::machine::request::REQUEST_BYTES_MAX;
use replication::machine::roles::PersonRole;
use replication::machine::rows::Replica;
use replication::machine::state::State;
use replication::raft::group::Group;
use replication::raft::host::Host;
use tokio::sync::{mpsc, oneshot};

use crate::edge::leftovers::Leftovers;
use crate::edge::peer::PeerCertificate;
use crate::keystore::{FoundError, KeyStore, RootError};

use super::asked::{Within, whole};
use super::failure::refused;
use super::routes::BODY_TIME_MAX;
use super::wire::{
    CLUSTER_INIT_PATH, CLUSTER_STATUS_PATH, ClusterStatus, FailureBody, FailureCode, FedFrontend, Founded,
    GroupMembers, InitRequest, ReplicaBody,
};

/// Largest body of a founding, in bytes.
const INIT_BYTES_MAX: usize = REQUEST_BYTES_MAX;
/// Most people, and most issuers and audiences, that a cluster is founded with.
const PEOPLE_MAX: usize = 64;
const TRUST_MAX: usize = 16;

/// Somebody asks for the cluster to be founded.
pub struct Initiation {
    /// What with.
    pub with: InitRequest,
    /// Where to answer.
    pub answer: oneshot::Sender<Result<Founded, InitError>>,
}

/// Why a cluster was not founded.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is one.
    #[error(
        "this replica belongs to a cluster already, and nothing was changed; a cluster is founded once, on its first replica"
    )]
    Founded,
    /// A replica of this number lived in the data folder, and its group 0 is gone.
    #[error(
        "the data folder holds something of shard {0} and nothing of group 0, so a cluster lived here, and nothing was changed; put the folder groups/0 \
         back that belongs to it, or found the cluster on an empty data folder"
    )]
    GroupZeroLost(ShardId),
    /// Group 0 was begun elsewhere.
    #[error(
        "another replica has begun group 0, and nothing was changed: this one is on its way into that cluster; give it the cluster's root key, or \
         found another cluster on an empty data folder"
    )]
    BegunElsewhere,
    /// The root key cannot be had.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A step went wrong; the same may be asked again.
    #[error(transparent)]
    Found(#[from] FoundError),
}

/// What is answered before a replica belongs to a cluster.
#[derive(Clone)]
pub struct Beginning {
    /// The groups of the replica.
    pub host: Arc<Host>,
    /// Takes what a cluster is to be founded with.
    pub initiations: mpsc::Sender<Initiation>,
    /// Bodies of refused requests.
    pub leftovers: Leftovers,
}

/// The admin API of a replica that belongs to no cluster yet. Serve it behind mutual TLS only.
pub fn router(beginning: Beginning) -> Router {
    Router::new()
        .route(CLUSTER_INIT_PATH, post(init))
        .route(CLUSTER_STATUS_PATH, get(status))
        .fallback(|| async {
            let message = "this replica belongs to no cluster yet, and answers `ekmctl cluster init` and `cluster status` alone; found the cluster \
                           on its first replica, or have this one join with `ekmctl cluster join`";
            refused(FailureCode::Unavailable, message)
        })
        .with_state(beginning)
}

async fn status(Shared(beginning): Shared<Beginning>) -> Json<ClusterStatus> {
    Json(cluster_status(&beginning.host))
}

async fn init(
    Shared(beginning): Shared<Beginning>,
    peer: Option<Extension<PeerCertificate>>,
    body: Body,
) -> Result<Json<Founded>, FailureBody> {
    if peer.is_none() {
        return Err(refused(FailureCode::Denied, "show a client certificate that the operators' authority signed"));
    }
    let within = Within { bytes_max: INIT_BYTES_MAX, time_max: BODY_TIME_MAX, leftovers: &beginning.leftovers };
    let body = whole(body, within).await?;
    let with = read(&body)?;
    let (answer, answered) = oneshot::channel();
    let late = || {
        refused(FailureCode::Unknown, "it is not known whether the cluster was founded; ask `ekmctl cluster status`")
    };
    // it is full while another founding is under way
    let sent = beginning.initiations.try_send(Initiation { with, answer });
    sent.map_err(|_| {
        refused(FailureCode::Conflict, "the cluster is founded, or is being founded; ask `ekmctl cluster status`")
    })?;
    match answered.await.map_err(|_| late())? {
        Ok(founded) => Ok(Json(founded)),
        Err(error @ (InitError::Founded | InitError::GroupZeroLost(_) | InitError::BegunElsewhere)) => {
            Err(refused(FailureCode::Conflict, error.to_string()))
        }
        Err(error @ (InitError::Root(_) | InitError::Found(_))) => {
            Err(refused(FailureCode::Unavailable, not_founded(&error)))
        }
    }
}

/// What went wrong, with what lies behind it.
fn not_founded(error: &(dyn std::error::Error + 'static)) -> String {
    tracing::error!(error, "the cluster is not founded yet");
    let why = causes::in_one_line(error);
    format!("the cluster is not founded yet, and may be once this is put right: {why}")
}

/// What a cluster is to begin with, as far as that can be told before anything is written.
pub(super) fn read(body: &[u8]) -> Result<InitRequest, FailureBody> {
    let with = serde_json::from_slice(body).map_err(|error| {
        refused(FailureCode::Invalid, format!("what the cluster is to begin with cannot be read: {error}"))
    })?;
    check(&with)?;
    Ok(with)
}

/// What can be told before anything is written.
fn check(with: &InitRequest) -> Result<(), FailureBody> {
    let invalid = |text: String| Err(refused(FailureCode::Invalid, text));
    let officers = with.people.iter().filter(|one| one.roles.contains(&PersonRole::SecurityOfficer)).count();
    if officers < OFFICERS_MIN {
        return invalid(format!(
            "a cluster begins with at least {OFFICERS_MIN} security officers, and {officers} are named; what concerns one takes two"
        ));
    }
    let operates = with.people.iter().any(|one| one.roles.contains(&PersonRole::Operator));
    if !operates {
        return invalid("nobody could make a tenant: name at least one person with the role operator".to_owned());
    }
    if with.people.len() > PEOPLE_MAX || with.issuers.len() > TRUST_MAX || with.audiences.len() > TRUST_MAX {
        return invalid(format!(
            "a cluster begins with at most {PEOPLE_MAX} people, {TRUST_MAX} issuers and {TRUST_MAX} audiences; enrol further people later"
        ));
    }
    for (at, one) in with.people.iter().enumerate() {
        let others = &with.people[at + 1..];
        if one.roles.is_empty() {
            return invalid(format!("{} would have no role; name at least one", one.name));
        }
        if others.iter().any(|other| other.name == one.name || other.public_key == one.public_key) {
            return invalid(format!(
                "the name or the key of {} is there twice; each person has a name and a key of their own",
                one.name
            ));
        }
    }
    if [&with.issuers, &with.audiences].into_iter().any(|one| one.is_empty() || one.iter().any(String::is_empty)) {
        return invalid("no token could be believed: name at least one issuer and one audience".to_owned());
    }
    Ok(())
}

/// How the cluster stands, as far as this replica knows without asking anybody.
pub fn cluster_status(host: &Host) -> ClusterStatus {
    let state = host.system().watch().borrow().state.clone();
    ClusterStatus {
        replica: host.replica(),
        lineage: state.meta().map(|meta| meta.lineage),
        joined: state.row::<Replica>(&host.replica()).is_some(),
        replicas: replicas(&state),
        groups: host.groups().map(|group| members(group.id(), &group)).collect(),
        frontends: None,
    }
}

/// The frontends that this key store feeds, as group 0 has been asked for.
pub fn fed(store: &KeyStore) -> Vec<FedFrontend> {
    let asked = store.outlet(GroupId::SYSTEM).map(|outlet| outlet.asked()).unwrap_or_default();
    let fed = |(name, ago): (FrontendName, Duration)| FedFrontend {
        name: name.to_string(),
        asked_ms_ago: u64::try_from(ago.as_millis()).unwrap_or(u64::MAX),
    };
    asked.into_iter().map(fed).collect()
}

fn replicas(state: &State) -> Vec<ReplicaBody> {
    let body = |(replica, row): (&replication::ids::ReplicaId, &Arc<Replica>)| ReplicaBody {
        replica: *replica,
        address: row.address.clone(),
        site: row.site.clone(),
        kind: row.kind.clone(),
        standing: row.standing,
    };
    state.replicas().iter().map(body).collect()
}

fn members(group: GroupId, on: &Group) -> GroupMembers {
    let status = on.status();
    GroupMembers {
        group,
        term: status.term,
        leader: status.leader,
        voters: status.voters,
        learners: status.learners,
        last: status.last,
        applied: status.applied,
        behind: status.behind,
        troubles: status.troubles,
    }
}
