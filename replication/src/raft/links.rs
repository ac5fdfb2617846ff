//! What leads from a group to the other replicas: whom it asks, what they acknowledged, and what was told of them.
//!
//! Every question ends at its deadline. Never forgets, while a leader leads, what a replica acknowledged to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use openraft::AsyncRuntime;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use super::carrying::{AskError, Destination, Peers, Question};
use super::config::{LogId, Member, Replica, Vote};
use crate::ids::{GroupId, Incarnation, LogIndex, ReplicaId};

/// A follower took back what it had acknowledged to this leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "replica {replica} acknowledged entry {acknowledged} to this leader and does not have it any more: its disk is an older one, \
     of a copy or a snapshot of its machine. Nothing is sent to it. Have that machine join under a new replica id"
)]
pub struct OlderStore {
    /// Which.
    pub replica: ReplicaId,
    /// What it had.
    pub acknowledged: LogIndex,
}

/// What a follower acknowledged, and to whom.
#[derive(Debug, Clone, Copy)]
struct Acknowledged {
    vote: Vote,
    upto: Option<LogId>,
}

/// Why a replica is not replicated to, where a person must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It refuses, until it answers.
    Refuses,
    /// Its store is an older one, for as long as this leader leads.
    IsOlder,
}

/// What a group's clients share.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) group: GroupId,
    pub(super) own: ReplicaId,
    pub(super) incarnation: Incarnation,
    pub(super) peers: Arc<dyn Peers>,
    acknowledged: Mutex<BTreeMap<Replica, Acknowledged>>,
    /// Which replicas were told of as refusing or older, until that has ended.
    told: Mutex<BTreeMap<Replica, (Trouble, String)>>,
}

impl Links {
    pub(super) fn new(group: GroupId, own: ReplicaId, incarnation: Incarnation, peers: Arc<dyn Peers>) -> Self {
        Self { group, own, incarnation, peers, acknowledged: Mutex::default(), told: Mutex::default() }
    }

    pub(super) fn to(&self, replica: Replica, member: &Member) -> Destination {
        Destination {
            group: self.group,
            from: self.incarnation,
            replica: ReplicaId(replica),
            address: member.address.clone(),
            incarnation: Some(member.incarnation),
        }
    }

    /// Asks, at most until the deadline, whatever the carrier does.
    pub(super) async fn ask<RT: AsyncRuntime, T: DeserializeOwned>(
        &self,
        to: Destination,
        question: Question,
    ) -> Result<T, AskError> {
        let within = question.within;
        let answer = RT::timeout(within, self.peers.ask(to, question)).await;
        decode(&answer.map_err(|_| AskError::Late { within })??)
    }

    pub(super) fn acknowledge(&self, from: Replica, vote: Vote, upto: Option<LogId>) {
        let mut all = self.acknowledged.lock();
        let known = all.entry(from).or_insert(Acknowledged { vote, upto: None });
        if known.vote != vote {
            *known = Acknowledged { vote, upto: None };
            self.ended(from, Trouble::IsOlder);
        }
        known.upto = known.upto.max(upto);
    }

    /// Whether a follower denies an entry that it acknowledged to the same leader.
    pub(super) fn taken_back(&self, by: Replica, vote: Vote, denied: Option<LogId>) -> Option<OlderStore> {
        let known = self.acknowledged.lock().get(&by).copied().filter(|known| known.vote == vote)?;
        let (upto, denied) = (known.upto?, denied?);
        (denied <= upto).then_some(OlderStore { replica: ReplicaId(by), acknowledged: LogIndex(upto.index) })
    }

    /// What was told of other replicas and has not ended.
    pub(super) fn troubles(&self) -> BTreeMap<ReplicaId, String> {
        self.told.lock().iter().map(|(replica, (_, text))| (ReplicaId(*replica), text.clone())).collect()
    }

    /// Tells once why a replica is not spoken to.
    pub(super) fn tell(&self, replica: Replica, trouble: Trouble, error: &(dyn std::error::Error + 'static)) {
        let text = error.to_string();
        let mut told = self.told.lock();
        if told.get(&replica).is_none_or(|(_, known)| *known != text) {
            tracing::error!(group = %self.group, replica, error, "a replica is not replicated to");
            told.insert(replica, (trouble, text));
        }
    }

    /// Tells once that it is spoken to again.
    pub(super) fn ended(&self, replica: Replica, trouble: Trouble) {
        let mut told = self.told.lock();
        if told.get(&replica).is_some_and(|(known, _)| *known == trouble) {
            told.remove(&replica);
            tracing::info!(group = %self.group, replica, "a replica is replicated to again");
        }
    }
}

pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, AskError> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        _ => Err(AskError::Undecodable),
    }
}

#[cfg(test)]
mod tests {
    use super::super::carrying::NoPeers;
    use super::super::config::Leader;
    use super::*;

    fn place(index: u64) -> LogId {
        LogId::new(Leader { term: 3, node_id: 2 }, index)
    }

    const VOTE: Vote = Vote { leader_id: Leader { term: 3, node_id: 2 }, committed: true };

    fn links() -> Links {
        Links::new(GroupId(1), ReplicaId(2), Incarnation::from_bytes([1; 16]), Arc::new(NoPeers))
    }

    #[test]
    fn a_follower_may_deny_what_it_never_acknowledged_to_this_leader_and_nothing_else() {
        let links = links();
        assert_eq!(links.taken_back(3, VOTE, Some(place(5))), None);
        links.acknowledge(3, VOTE, Some(place(5)));
        links.acknowledge(3, VOTE, Some(place(4)));
        assert_eq!(links.taken_back(3, VOTE, Some(place(6))), None);
        let older = Some(OlderStore { replica: ReplicaId(3), acknowledged: LogIndex(5) });
        for index in [4, 5] {
            assert_eq!(links.taken_back(3, VOTE, Some(place(index))), older);
        }
        assert_eq!(links.taken_back(4, VOTE, Some(place(5))), None, "another follower");
        let later = Vote { leader_id: Leader { term: 4, node_id: 2 }, committed: true };
        assert_eq!(
            links.taken_back(3, later, Some(place(5))),
            None,
            "what was not committed may go under a later leader"
        );
        links.acknowledge(3, later, None);
        assert_eq!(links.taken_back(3, VOTE, Some(place(5))), None);
    }
}
