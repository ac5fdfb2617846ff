//! What only a leader can do, asked of the leader by another replica: a read index, and an entry's place.
//!
//! Asked once and of one replica; one that does not lead says so and asks nobody. The deadline goes along. Whatever is in doubt
//! after a proposal was sent is unknown, never refused.

use std::time::Duration;

use openraft::AsyncRuntime;
use serde::{Deserialize, Serialize};

use super::config::{EntryBytes, Member, Replica};
use super::error::{ProposeError, ReadError};
use super::group::{Group, Proposed};
use super::limits::READ_INDEX_WAIT_MAX;
use super::log::encode;
use super::network::{AskError, Kind, Lane, Question};
use super::spread::Report;
use crate::freshness::TooManyHolders;
use crate::ids::{LogIndex, ReplicaId};
use crate::machine::outcome::Outcome;
use crate::store::room::Shortage;

/// A leader's answer to a question for a read index.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ReadAnswer {
    Index(LogIndex),
    NotLeader(Option<ReplicaId>),
    NoQuorum,
    /// As many others as there is room for are answered at the moment.
    TooMany,
}

/// A leader's answer to a proposal. All but the first and the third say that it is in no log.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ProposeAnswer {
    Proposed { index: LogIndex, outcome: Outcome },
    NotLeader(Option<ReplicaId>),
    Unknown,
    Halted { since: LogIndex },
    NoRoom { free_bytes: u64, wanted_bytes: u64 },
    Busy,
    Refused,
}

/// What an entry is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Purpose {
    /// It begins something, which is refused where the reserve of the disk is all that is left.
    Begins,
    /// It finishes what an earlier one began.
    Finishes,
}

/// An entry that the leader is asked to order.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Proposal {
    pub(super) purpose: Purpose,
    pub(super) entry: EntryBytes,
}

/// The leader, where it is another replica.
#[derive(Debug)]
pub(super) struct OtherLeader {
    pub(super) replica: Replica,
    pub(super) member: Member,
}

impl<RT: AsyncRuntime> Group<RT> {
    /// Who leads, if it is known and another replica.
    pub(super) fn other_leader(&self, leader: Option<Replica>, member: Option<Member>) -> Option<OtherLeader> {
        let replica = leader.filter(|leader| ReplicaId(*leader) != self.replica)?;
        Some(OtherLeader { replica, member: member? })
    }

    /// Notes who asks, and only then takes the read index.
    pub(super) async fn answer_read_index(&self, sender: ReplicaId, report: Report) -> ReadAnswer {
        match self.note(sender, report) {
            Some(Ok(())) => {}
            Some(Err(TooManyHolders)) => return ReadAnswer::TooMany,
            None => return ReadAnswer::NotLeader(self.status().leader),
        }
        match self.own_read_index().await {
            Ok(index) => ReadAnswer::Index(index),
            Err((ReadError::NotLeader { leader }, _)) => ReadAnswer::NotLeader(leader),
            Err((ReadError::NoQuorum | ReadError::Halted { .. } | ReadError::Stopped, _)) => ReadAnswer::NoQuorum,
        }
    }

    /// Asks the leader for a read index.
    pub(super) async fn ask_read_index(&self, leader: OtherLeader) -> Result<LogIndex, ReadError> {
        let body = encode(&self.reported());
        let question = Question { kind: Kind::ReadIndex, lane: Lane::Urgent, body, within: READ_INDEX_WAIT_MAX };
        let to = self.links.to(leader.replica, &leader.member);
        match self.links.ask::<RT, ReadAnswer>(to, question).await {
            Ok(ReadAnswer::Index(index)) => Ok(index),
            Ok(ReadAnswer::NotLeader(leader)) => Err(ReadError::NotLeader { leader }),
            Ok(ReadAnswer::NoQuorum | ReadAnswer::TooMany) => Err(ReadError::NoQuorum),
            Err(error) => {
                tracing::debug!(group = %self.id(), %error, "the leader gave no read index");
                Err(ReadError::NoQuorum)
            }
        }
    }

    pub(super) async fn answer_proposal(&self, proposal: Proposal, within: Duration) -> ProposeAnswer {
        let Proposal { purpose, entry: EntryBytes(entry) } = proposal;
        let ordered = match self.check(purpose, &entry) {
            Ok(()) => self.order(entry, within).await,
            Err(error) => Err((error, None)),
        };
        match ordered {
            Ok(Proposed { index, outcome }) => ProposeAnswer::Proposed { index, outcome },
            Err((ProposeError::NotLeader { leader }, _)) => ProposeAnswer::NotLeader(leader),
            Err((ProposeError::Halted { since }, _)) => ProposeAnswer::Halted { since },
            Err((ProposeError::NoRoom(Shortage { free_bytes, wanted_bytes }), _)) => {
                ProposeAnswer::NoRoom { free_bytes, wanted_bytes }
            }
            Err((ProposeError::Busy, _)) => ProposeAnswer::Busy,
            Err((ProposeError::TooLarge { .. } | ProposeError::Undecodable(_) | ProposeError::Stopped, _)) => {
                ProposeAnswer::Refused
            }
            Err((ProposeError::Unknown, _)) => ProposeAnswer::Unknown,
        }
    }

    /// Has the leader order an entry.
    pub(super) async fn ask_to_order(
        &self,
        leader: OtherLeader,
        purpose: Purpose,
        entry: Vec<u8>,
        within: Duration,
    ) -> Result<Proposed, ProposeError> {
        let body = encode(&Proposal { purpose, entry: EntryBytes(entry) });
        let question = Question { kind: Kind::Propose, lane: Lane::Entries, body, within };
        let to = self.links.to(leader.replica, &leader.member);
        let unled = ProposeError::NotLeader { leader: Some(ReplicaId(leader.replica)) };
        match self.links.ask::<RT, ProposeAnswer>(to, question).await {
            Ok(ProposeAnswer::Proposed { index, outcome }) => Ok(Proposed { index, outcome }),
            Ok(ProposeAnswer::NotLeader(leader)) => Err(ProposeError::NotLeader { leader }),
            Ok(ProposeAnswer::Halted { since }) => Err(ProposeError::Halted { since }),
            Ok(ProposeAnswer::NoRoom { free_bytes, wanted_bytes }) => Err(Shortage { free_bytes, wanted_bytes }.into()),
            Ok(ProposeAnswer::Busy) => Err(ProposeError::Busy),
            Ok(ProposeAnswer::Refused) | Err(AskError::Unreachable(_) | AskError::Refused(_)) => Err(unled),
            Ok(ProposeAnswer::Unknown) | Err(AskError::Lost(_) | AskError::Late { .. } | AskError::Undecodable) => {
                Err(ProposeError::Unknown)
            }
        }
    }
}
