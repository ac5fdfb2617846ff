//! What other replicas ask of a group, answered by openraft. Who asks was proven before; here it is compared with in whose name
//! they ask, and with what a sound replica can ask at all (`shape.rs`).
//!
//! Never takes a vote, an entry or a snapshot that a replica brings in another's name, and never works for longer than is granted.

use std::time::Duration;

use openraft::AsyncRuntime;
use openraft::Raft;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{Fatal, RaftError};
use openraft::raft::{AppendEntriesRequest, TransferLeaderRequest, VoteRequest};
use serde::de::DeserializeOwned;

pub use crate::store::received::Received;

use super::config::{Types, Vote};
use super::group::Group;
use super::log::encode;
use super::machine::{Machine, Position, index_of, meta_of};
use super::network::{Announced, Kind, decode};
use super::shape::{self, Misshapen};
use crate::ids::{Incarnation, ReplicaId};
use crate::store::snapshots::SnapshotError;

/// Why a group does not answer another replica. Nothing was done, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The words are not a group's.
    #[error("the message cannot be decoded; its sender may be of a newer release")]
    Malformed,
    /// They are, and no sound replica says them.
    #[error("no sound replica sends such a message; look at the sender's release and disk")]
    Misshapen(#[from] Misshapen),
    /// A replica may speak for itself only.
    #[error("replica {sender} speaks in the name of replica {claimed}; look how it came to its certificate")]
    NotItsName {
        /// Who speaks.
        sender: ReplicaId,
        /// In whose name.
        claimed: ReplicaId,
    },
    /// A leader of an earlier term.
    #[error("replica {sender} does not lead any more; its snapshot is not taken")]
    Outvoted {
        /// Who sends.
        sender: ReplicaId,
    },
    /// Neither a member nor the leader.
    #[error(
        "replica {sender} is no member that this replica knows, and does not lead; it has no snapshot to send. If it should, \
         add it to the group"
    )]
    NotMember {
        /// Who sends.
        sender: ReplicaId,
    },
    /// The group was begun here without the caller.
    #[error(
        "the group has members here, and replica {sender} is none of them: a second cluster was founded on this replica. Stop it, empty \
         its data folder, and have it join under a new number"
    )]
    OtherCluster {
        /// Who calls.
        sender: ReplicaId,
    },
    /// The snapshot is not what was announced, or cannot be kept.
    #[error("the snapshot was not taken")]
    Snapshot(#[from] SnapshotError),
    /// It took longer than is granted; it may yet be done.
    #[error("the group did not come to it within {within:?}")]
    Late {
        /// What was granted.
        within: Duration,
    },
    /// The group was shut down, or has failed.
    #[error("the group has stopped")]
    Stopped,
}

impl<RT: AsyncRuntime> From<Fatal<Types<RT>>> for AnswerError {
    fn from(_: Fatal<Types<RT>>) -> Self {
        Self::Stopped
    }
}

impl<RT: AsyncRuntime> From<RaftError<Types<RT>>> for AnswerError {
    fn from(_: RaftError<Types<RT>>) -> Self {
        Self::Stopped
    }
}

/// A snapshot whose announcement was understood.
#[derive(Debug)]
pub struct Expected {
    announced: Announced,
    position: Position,
}

/// What a proven replica announces to send.
///
/// # Errors
/// [`AnswerError::Malformed`] or [`AnswerError::NotItsName`].
pub fn expect_snapshot(sender: ReplicaId, body: &[u8]) -> Result<Expected, AnswerError> {
    let announced: Announced = read(body)?;
    own_name(sender, &announced.vote)?;
    let position: Position = read(&announced.meta)?;
    if index_of(&position) != announced.covered {
        return Err(AnswerError::Malformed);
    }
    Ok(Expected { announced, position })
}

impl<RT: AsyncRuntime> Group<RT> {
    /// Which store of the group this is.
    pub fn incarnation(&self) -> Incarnation {
        self.links.incarnation
    }

    /// By which store a replica is bound in the group's memberships, past ones included, as far as they are known here.
    pub fn bound(&self, replica: ReplicaId) -> Option<Incarnation> {
        let known = self.applied.borrow().position.known.get(&replica.0).copied();
        if known.is_some() {
            return known;
        }
        // one that is not applied yet binds too
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.membership().get_node(&replica.0).map(|member| member.incarnation)
    }

    fn term(&self) -> u64 {
        self.raft.metrics().borrow_watched().current_term
    }

    /// Answers a proven replica.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub async fn answer(
        &self,
        sender: ReplicaId,
        kind: Kind,
        body: Vec<u8>,
        within: Duration,
    ) -> Result<Vec<u8>, AnswerError> {
        let answer = self.answered(sender, kind, body, within);
        RT::timeout(within, answer).await.map_err(|_| AnswerError::Late { within })?
    }

    async fn answered(
        &self,
        sender: ReplicaId,
        kind: Kind,
        body: Vec<u8>,
        within: Duration,
    ) -> Result<Vec<u8>, AnswerError> {
        Ok(match kind {
            Kind::Hello => {
                self.may_be_met_by(sender)?;
                encode(&self.incarnation())
            }
            Kind::PreVote => {
                let request: VoteRequest<Types<RT>> = read(&body)?;
                own_name(sender, &request.vote)?;
                shape::ballot(&request, self.term())?;
                encode(&self.raft.pre_vote(request).await?)
            }
            Kind::Vote => {
                let request: VoteRequest<Types<RT>> = read(&body)?;
                own_name(sender, &request.vote)?;
                shape::ballot(&request, self.term())?;
                encode(&self.raft.vote(request).await?)
            }
            Kind::Append => {
                let request: AppendEntriesRequest<Types<RT>> = read(&body)?;
                own_name(sender, &request.vote)?;
                shape::append(&request, self.term())?;
                encode(&self.raft.append_entries(request).await?)
            }
            Kind::Transfer => {
                let request: TransferLeaderRequest<Types<RT>> = read(&body)?;
                own_name(sender, request.from_leader())?;
                shape::transfer(&request, self.term())?;
                encode(&self.raft.handle_transfer_leader(request).await?)
            }
            Kind::ReadIndex => encode(&self.answer_read_index(sender, read(&body)?).await),
            Kind::Spread => encode(&self.answer_spread(read(&body)?, within).await),
            // answered beside the group
            Kind::Deny => return Err(AnswerError::Malformed),
            Kind::Propose => encode(&self.answer_proposal(read(&body)?, within).await),
        })
    }

    /// A group that has members already, none of them this replica's caller, is another cluster's: it must not be given this one's log.
    fn may_be_met_by(&self, sender: ReplicaId) -> Result<(), AnswerError> {
        let is_known = self.bound(sender).is_some();
        let metrics = self.raft.metrics();
        let has_members = metrics.borrow_watched().membership_config.membership().nodes().next().is_some();
        if has_members && !is_known { Err(AnswerError::OtherCluster { sender }) } else { Ok(()) }
    }

    /// Whether a snapshot may be sent here by whoever announced it, before any of its bytes is looked at.
    ///
    /// # Errors
    /// [`AnswerError::Misshapen`], [`AnswerError::Outvoted`] or [`AnswerError::NotMember`].
    pub fn admit_snapshot(&self, sender: ReplicaId, expected: &Expected) -> Result<(), AnswerError> {
        let Expected { announced: Announced { vote, .. }, position } = expected;
        shape::snapshot(vote, position, self.term())?;
        let metrics = self.raft.metrics();
        let seen = metrics.borrow_watched();
        if vote.leader_id < seen.vote.leader_id {
            return Err(AnswerError::Outvoted { sender });
        }
        // Whoever was away may not know the member that leads by now, but has taken its heartbeats.
        let leads = seen.vote.committed && seen.vote.leader_id == vote.leader_id;
        let members = seen.membership_config.membership();
        let is_new = !seen.vote.committed && members.nodes().next().is_none();
        if leads || is_new || members.get_node(&sender.0).is_some() {
            return Ok(());
        }
        Err(AnswerError::NotMember { sender })
    }

    /// A place for its bytes.
    ///
    /// # Errors
    /// [`AnswerError::Snapshot`].
    pub async fn receive_snapshot(&self, bytes: u64) -> Result<Received, AnswerError> {
        if !self.room.borrow().has_room_for(bytes) {
            return Err(SnapshotError::NoRoom { bytes }.into());
        }
        Ok(self.snapshots.receive(bytes).await?)
    }

    /// Verifies what was received and installs it.
    ///
    /// # Errors
    /// [`AnswerError`]; what was received is removed then.
    pub async fn install_snapshot(&self, expected: Expected, received: Received) -> Result<Vec<u8>, AnswerError> {
        let Expected { announced: Announced { vote, covered, meta }, position } = expected;
        let snapshot = received.verified(covered, meta).await?;
        let raft: Raft<Types<RT>, Machine> = self.raft.clone();
        // A task of its own: from here on openraft takes the file over, whoever stops waiting.
        let installing = RT::spawn(async move {
            let taken = openraft::Snapshot { meta: meta_of(position), snapshot: snapshot.content().clone() };
            let answer = raft.install_full_snapshot(vote, taken).await;
            drop(snapshot);
            answer
        });
        let answer = installing.await.map_err(|_| AnswerError::Stopped)?;
        Ok(encode(&answer?))
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, AnswerError> {
    decode(body).map_err(|_| AnswerError::Malformed)
}

fn own_name(sender: ReplicaId, vote: &Vote) -> Result<(), AnswerError> {
    let claimed = ReplicaId(vote.leader_id.node_id);
    if claimed == sender { Ok(()) } else { Err(AnswerError::NotItsName { sender, claimed }) }
}
