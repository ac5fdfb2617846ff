//! Who belongs to a group: its first voters, learners, changes of voters, and the transfer of leadership.
//!
//! A replica becomes a member by the store that it has at that moment, which is asked of itself; under another store its id is
//! never taken again, and its address stays what it was. Every call has a deadline; what is past it may still happen, and the status shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ChangeMembershipError, ClientWriteError, InitializeError, RaftError};
use openraft::{AsyncRuntime, ChangeMembers, Instant};

use super::config::{Member, Replica, Types};
use super::error::{Failure, ReadError};
use super::group::Group;
use super::network::{AskError, Destination, Kind, Lane, Question};
use crate::ids::{Incarnation, ReplicaId};

/// Why the membership is not as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// Another replica leads, or nobody: ask that one.
    #[error("this replica does not lead the group; ask the leader{}", named(*leader))]
    NotLeader {
        /// Who does, if it is known.
        leader: Option<ReplicaId>,
    },
    /// A replica that should be a member could not be asked for its store.
    #[error(
        "replica {replica} could not be asked for its store of the group; start it, and look at its address and certificate"
    )]
    NotMet {
        /// Which.
        replica: ReplicaId,
        /// Why.
        #[source]
        source: AskError,
    },
    /// The id is bound to another store.
    #[error(
        "replica {replica} is bound to store {bound}, and its store is {found}: it came back empty or with other data. An id is \
         never used again; give the replica a new one"
    )]
    OtherStore {
        /// Which.
        replica: ReplicaId,
        /// What the group knows it by.
        bound: Incarnation,
        /// What it has.
        found: Incarnation,
    },
    /// The address of a member stays what it is.
    #[error(
        "replica {replica} is a member at {known}, and a member's address cannot be changed to {asked}; serve it at {known} \
         again, or have it leave the group and its machine join under a new id"
    )]
    OtherAddress {
        /// Which.
        replica: ReplicaId,
        /// Where the group reaches it.
        known: String,
        /// Where it was said to be.
        asked: String,
    },
    /// Who was ever a member is not known here yet, so nobody may be added.
    #[error(
        "this replica could not come to what the group has decided, and nothing was changed; ask again when it has"
    )]
    Behind(#[source] ReadError),
    /// A voter must be a learner first.
    #[error("replica {replica} is no member; add it as a learner first, and let it catch up")]
    NotMember {
        /// Which.
        replica: ReplicaId,
    },
    /// Leadership goes to voters only.
    #[error("replica {replica} does not vote, so it cannot lead")]
    NotVoter {
        /// Which.
        replica: ReplicaId,
    },
    /// A group needs a voter.
    #[error("a group needs at least one voter")]
    NoVoter,
    /// This replica must be among the first voters.
    #[error("a group is begun by one of its voters; name this replica among them, or ask one of those")]
    NotAmongVoters,
    /// One change at a time.
    #[error("another change of the membership is under way; ask again after it")]
    InProgress,
    /// It may have happened, or may still happen.
    #[error("not done within {within:?}; it may still happen, so look at the status before asking again")]
    Unknown {
        /// How long was waited.
        within: Duration,
    },
    /// The group cannot go on.
    #[error("the group cannot go on")]
    Failed(#[from] Failure),
}

fn named(leader: Option<ReplicaId>) -> String {
    leader.map_or_else(String::new, |leader| format!(", replica {leader}"))
}

impl<RT: AsyncRuntime> Group<RT> {
    /// Begins the group with these voters, each at its address, this one among them; unless it was begun already. Every voter must
    /// be up, since it is bound to its store. Called on one of them only. Returns when somebody leads.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub async fn initialise(
        &self,
        voters: &BTreeMap<ReplicaId, String>,
        within: Duration,
    ) -> Result<(), MembershipError> {
        let deadline = RT::Instant::now() + within;
        let late = MembershipError::Unknown { within };
        if !self.raft.is_initialized().await.map_err(Failure::from)? {
            let mut members = BTreeMap::new();
            for (replica, address) in voters {
                let incarnation = self.meet(*replica, address, left::<RT>(deadline)).await?;
                members.insert(replica.0, Member { address: address.clone(), incarnation });
            }
            match self.raft.initialize(members).await {
                // Begun meanwhile, by this process or by another voter.
                Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
                Err(RaftError::APIError(InitializeError::NotInMembers(_))) => {
                    return Err(MembershipError::NotAmongVoters);
                }
                Err(RaftError::Fatal(fatal)) => return Err(Failure::from(fatal).into()),
            }
        }
        let led = RT::timeout_at(deadline, self.wait_status(|status| status.leader.is_some())).await;
        led.map_err(|_| late)?.map(drop).map_err(MembershipError::from)
    }

    /// Adds a replica that is replicated to and does not vote. Returns when the membership is committed, not when the replica has
    /// caught up, which the status shows.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub async fn add_learner(
        &self,
        replica: ReplicaId,
        address: &str,
        within: Duration,
    ) -> Result<(), MembershipError> {
        let deadline = RT::Instant::now() + within;
        self.lead()?;
        let found = self.meet(replica, address, left::<RT>(deadline)).await?;
        // one that has just been elected may not know yet who came and left before
        let come = RT::timeout_at(deadline, self.come_up()).await;
        come.map_err(|_| MembershipError::Unknown { within })??;
        match self.bound(replica) {
            Some(bound) if bound != found => return Err(MembershipError::OtherStore { replica, bound, found }),
            Some(_) | None => {}
        }
        let member = Member { address: address.to_owned(), incarnation: found };
        let change = ChangeMembers::AddNodes(BTreeMap::from([(replica.0, member.clone())]));
        self.change(change, deadline, within).await?;
        // one that is a member already is left as it was
        let applied = self.applied.borrow();
        let known = applied.position.membership.membership().get_node(&replica.0);
        known.map_or(Err(MembershipError::Unknown { within }), |known| is_as_asked(replica, known, member))
    }

    /// Returns when everything is applied that the group had decided when it was called.
    async fn come_up(&self) -> Result<(), MembershipError> {
        let read = self.own_read_index().await.map_err(|(error, _)| match error {
            ReadError::NotLeader { leader } => MembershipError::NotLeader { leader },
            ReadError::NoQuorum | ReadError::Halted { .. } | ReadError::Stopped => MembershipError::Behind(error),
        })?;
        self.wait_applied(read).await.map(drop).map_err(MembershipError::Behind)
    }

    /// Makes these the group's voters. They must be members; voters that are left out leave the group.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub async fn change_voters(&self, voters: &BTreeSet<ReplicaId>, within: Duration) -> Result<(), MembershipError> {
        let deadline = RT::Instant::now() + within;
        self.lead()?;
        let voters = voters.iter().map(|replica| replica.0).collect();
        self.change(ChangeMembers::ReplaceAllVoters(voters), deadline, within).await
    }

    /// Hands leadership to a voter, once it has everything that is in the log now. Returns when it leads.
    ///
    /// # Errors
    /// [`MembershipError`]. Nothing has changed after [`MembershipError::NotLeader`] and [`MembershipError::NotVoter`].
    pub async fn transfer_leader_to(&self, replica: ReplicaId, within: Duration) -> Result<(), MembershipError> {
        let deadline = RT::Instant::now() + within;
        let late = || MembershipError::Unknown { within };
        self.lead()?;
        if replica == self.replica {
            return Ok(());
        }
        let status = self.status();
        if !status.voters.contains(&replica) {
            return Err(MembershipError::NotVoter { replica });
        }
        let caught_up = self.wait_status(|now| {
            let matched = now.behind.get(&replica).map(|behind| now.last.0 - behind);
            matched >= Some(status.last.0) || now.leader != Some(self.replica)
        });
        RT::timeout_at(deadline, caught_up).await.map_err(|_| late())??;
        self.lead()?;
        self.raft.trigger().transfer_leader(replica.0).await.map_err(Failure::from)?;
        let taken = self.wait_status(|now| now.leader == Some(replica));
        RT::timeout_at(deadline, taken).await.map_err(|_| late())??;
        Ok(())
    }

    fn lead(&self) -> Result<(), MembershipError> {
        let leader = self.raft.metrics().borrow_watched().current_leader.map(ReplicaId);
        if leader == Some(self.replica) { Ok(()) } else { Err(MembershipError::NotLeader { leader }) }
    }

    /// Which store a replica has: it answers only while it runs.
    pub(super) async fn meet(
        &self,
        replica: ReplicaId,
        address: &str,
        within: Duration,
    ) -> Result<Incarnation, MembershipError> {
        if replica == self.replica {
            return Ok(self.incarnation());
        }
        let (group, from) = (self.id(), self.incarnation());
        let to = Destination { group, from, replica, address: address.to_owned(), incarnation: None };
        let question = Question { kind: Kind::Hello, lane: Lane::Urgent, body: vec![], within };
        self.links.ask::<RT, _>(to, question).await.map_err(|source| MembershipError::NotMet { replica, source })
    }

    async fn change(
        &self,
        change: ChangeMembers<Replica, Member>,
        deadline: RT::Instant,
        within: Duration,
    ) -> Result<(), MembershipError> {
        let raft = self.raft.clone();
        // A task of its own: between its two entries a change is left by nobody who merely stops waiting.
        let changing = RT::spawn(async move { raft.change_membership(change, false).await });
        let late = MembershipError::Unknown { within };
        match RT::timeout_at(deadline, changing).await {
            Ok(Ok(Ok(_))) => Ok(()),
            Ok(Ok(Err(RaftError::APIError(error)))) => Err(refused::<RT>(error, late)),
            Ok(Ok(Err(RaftError::Fatal(fatal)))) => Err(Failure::from(fatal).into()),
            Ok(Err(_)) | Err(_) => Err(late),
        }
    }
}

/// Whether a member is the one that was to be added.
fn is_as_asked(replica: ReplicaId, known: &Member, asked: Member) -> Result<(), MembershipError> {
    let Member { address, incarnation } = known.clone();
    if incarnation != asked.incarnation {
        return Err(MembershipError::OtherStore { replica, bound: incarnation, found: asked.incarnation });
    }
    if address != asked.address {
        return Err(MembershipError::OtherAddress { replica, known: address, asked: asked.address });
    }
    Ok(())
}

fn left<RT: AsyncRuntime>(deadline: RT::Instant) -> Duration {
    deadline.saturating_duration_since(RT::Instant::now())
}

fn refused<RT: AsyncRuntime>(error: ClientWriteError<Types<RT>>, late: MembershipError) -> MembershipError {
    match error {
        ClientWriteError::ForwardToLeader(to) => MembershipError::NotLeader { leader: to.leader_id.map(ReplicaId) },
        ClientWriteError::ChangeMembershipError(error) => match error {
            ChangeMembershipError::InProgress(_) => MembershipError::InProgress,
            ChangeMembershipError::EmptyMembership(_) => MembershipError::NoVoter,
            ChangeMembershipError::LearnerNotFound(missing) => {
                MembershipError::NotMember { replica: ReplicaId(missing.node_id) }
            }
            _ => late,
        },
        _ => late,
    }
}
