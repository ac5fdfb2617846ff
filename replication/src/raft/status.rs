//! How a group stands, in the product's own words, for people and for tests.
//!
//! A look at what openraft last published; never a promise.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use futures::future::{Either, select};
use openraft::AsyncRuntime;
use openraft::async_runtime::watch::WatchReceiver;

use super::config::{Member, Replica};
use super::error::Failure;
use super::group::Group;
use crate::ids::{Incarnation, LogIndex, ReplicaId};

/// How a group stands on this replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The term, as in the paper.
    pub term: u64,
    /// Who leads, if it is known.
    pub leader: Option<ReplicaId>,
    /// Who votes. In a change of voters, the old and the new ones.
    pub voters: BTreeSet<ReplicaId>,
    /// Who is replicated to and does not vote.
    pub learners: BTreeSet<ReplicaId>,
    /// Where each of them is, and by which store it is known.
    pub members: BTreeMap<ReplicaId, (String, Incarnation)>,
    /// Everything up to this entry is in snapshots alone; 0 for nothing.
    pub purged: LogIndex,
    /// The newest entry in the log here; 0 before the first.
    pub last: LogIndex,
    /// The newest entry known as committed.
    pub committed: LogIndex,
    /// The newest entry in the applied state.
    pub applied: LogIndex,
    /// Entries that each other replica is behind this one, if this one leads.
    pub behind: BTreeMap<ReplicaId, u64>,
    /// Why others are not replicated to, where a person must act: they refuse, or their store is an older one.
    pub troubles: BTreeMap<ReplicaId, String>,
}

impl<RT: AsyncRuntime> Group<RT> {
    /// How the group stands.
    pub fn status(&self) -> Status {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let last = metrics.last_log_index.unwrap_or(0);
        let others = metrics.replication.iter().flatten().filter(|(replica, _)| **replica != self.replica.0);
        let behind = others.map(|(replica, matched)| {
            let matched = matched.as_ref().map_or(0, |matched| matched.index);
            (ReplicaId(*replica), last.saturating_sub(matched))
        });
        let member = |(replica, member): (&Replica, &Member)| {
            (ReplicaId(*replica), (member.address.clone(), member.incarnation))
        };
        Status {
            term: metrics.current_term,
            leader: metrics.current_leader.map(ReplicaId),
            voters: membership.voter_ids().map(ReplicaId).collect(),
            learners: membership.learner_ids().map(ReplicaId).collect(),
            members: membership.nodes().map(member).collect(),
            purged: LogIndex(metrics.purged.map_or(0, |purged| purged.index)),
            last: LogIndex(last),
            committed: LogIndex(metrics.local_committed.map_or(0, |committed| committed.index)),
            applied: self.applied.borrow().index,
            behind: behind.collect(),
            troubles: self.links.troubles(),
        }
    }

    /// Waits until the status is as it is wanted.
    ///
    /// # Errors
    /// [`Failure`], if the group can no longer go on.
    pub async fn wait_status(&self, wanted: impl Fn(&Status) -> bool) -> Result<Status, Failure> {
        let mut metrics = self.raft.metrics();
        let mut applied = self.applied.clone();
        loop {
            applied.borrow_and_update();
            let state = metrics.borrow_watched().running_state.clone();
            state.map_err(Failure::from)?;
            let status = self.status();
            if wanted(&status) {
                return Ok(status);
            }
            match select(pin!(metrics.changed()), pin!(applied.changed())).await {
                Either::Left((Ok(()), _)) | Either::Right((Ok(()), _)) => {}
                Either::Left((Err(_), _)) | Either::Right((Err(_), _)) => return Err(Failure::Stopped),
            }
        }
    }
}
