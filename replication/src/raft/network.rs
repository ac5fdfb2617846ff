//! openraft's network: what a group says to another replica, as bytes that somebody else carries.
//!
//! Every call ends at its deadline. Never grants a vote in another's name, and never tells openraft of an answer that takes back
//! what the same replica acknowledged to the same leader: its store is an older one then, and must not serve as a witness.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{RPCOption, RPCTypes, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use openraft::{AsyncRuntime, EntryPayload, OptionalSend};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use super::carrying::{AskError, Cause, Destination, Kind, Lane, NoPeers, NoSuchPeer, Peers, Question, Shipment};
pub(super) use super::links::{Links, decode};

use super::config::{Entry, Leader, Member, Replica, Types, Vote};
use super::limits::APPEND_WAIT;
use super::links::Trouble;
use super::log::encode;
use crate::ids::LogIndex;
use crate::store::snapshots::Snapshot;

/// Bytes of entries in one append, as far as they are more than one entry.
pub const APPEND_BYTES: usize = 1024 * 1024;
/// What an entry needs beside its bytes, at most; a membership is taken for as large.
const ENTRY_OVERHEAD: usize = 4 * 1024;

/// What is announced of a snapshot before its bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Announced {
    /// Of the leader that sends it.
    pub(super) vote: Vote,
    /// The newest entry in it.
    pub(super) covered: LogIndex,
    /// Position and membership, as the file holds them too.
    pub(super) meta: Vec<u8>,
}

/// Makes a client for each replica and each purpose.
#[derive(Clone)]
pub(super) struct Network {
    pub(super) links: Arc<Links>,
}

/// Speaks to one replica.
pub(super) struct Client {
    links: Arc<Links>,
    target: Replica,
    member: Member,
}

impl<RT: AsyncRuntime> RaftNetworkFactory<Types<RT>> for Network {
    type Network = Client;

    async fn new_client(&mut self, target: Replica, node: &Member) -> Client {
        Client { links: Arc::clone(&self.links), target, member: node.clone() }
    }
}

impl Client {
    async fn ask<RT: AsyncRuntime, T: DeserializeOwned>(
        &self,
        (kind, lane, action): (Kind, Lane, RPCTypes),
        body: &impl Serialize,
        within: Duration,
    ) -> Result<T, RPCError<Types<RT>>> {
        let question = Question { kind, lane, body: encode(body), within };
        let asked = self.links.ask::<RT, T>(self.links.to(self.target, &self.member), question).await;
        self.heard(&asked);
        asked.map_err(|error| self.rpc_error(&error, action))
    }

    /// A refusal is for a person to look at; that a replica is away is not.
    fn heard<T>(&self, asked: &Result<T, AskError>) {
        match asked {
            Ok(_) => self.links.ended(self.target, Trouble::Refuses),
            Err(AskError::Refused(cause)) => self.links.tell(self.target, Trouble::Refuses, &**cause),
            Err(AskError::Unreachable(_) | AskError::Lost(_) | AskError::Late { .. } | AskError::Undecodable) => {}
        }
    }

    fn rpc_error<RT: AsyncRuntime>(&self, error: &AskError, action: RPCTypes) -> RPCError<Types<RT>> {
        match error {
            AskError::Unreachable(_) | AskError::Refused(_) => Unreachable::new(error).into(),
            AskError::Lost(_) | AskError::Undecodable => NetworkError::new(error).into(),
            AskError::Late { within } => {
                Timeout { action, id: self.links.own.0, target: self.target, timeout: *within }.into()
            }
        }
    }
}

/// How many of the entries go into one message; never none of some.
fn fitting(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    let over = entries.iter().position(|entry| {
        bytes += ENTRY_OVERHEAD
            + match &entry.payload {
                EntryPayload::Normal(command) => command.0.len(),
                EntryPayload::Blank | EntryPayload::Membership(_) => 0,
            };
        bytes > APPEND_BYTES
    });
    over.map_or(entries.len(), |over| over.max(1))
}

impl<RT: AsyncRuntime> RaftNetworkV2<Types<RT>> for Client {
    type SnapshotData = Snapshot;

    async fn append_entries(
        &mut self,
        mut request: AppendEntriesRequest<Types<RT>>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types<RT>>, RPCError<Types<RT>>> {
        let all = request.entries.len();
        request.entries.truncate(fitting(&request.entries));
        let sent = request.entries.len();
        let (vote, prev) = (request.vote, request.prev_log_id);
        let last = request.entries.last().map(|entry| entry.log_id).or(prev);
        // openraft grants a heartbeat's time to both, and a disk may take longer to make entries durable
        let (lane, within) = match sent {
            0 => (Lane::Urgent, option.soft_ttl()),
            _ => (Lane::Entries, option.soft_ttl().max(APPEND_WAIT)),
        };
        let answer = self.ask::<RT, _>((Kind::Append, lane, RPCTypes::AppendEntries), &request, within).await?;
        match &answer {
            AppendEntriesResponse::Success => {
                self.links.acknowledge(self.target, vote, last);
                Ok(if sent < all { AppendEntriesResponse::PartialSuccess(last) } else { answer })
            }
            AppendEntriesResponse::PartialSuccess(upto) => {
                self.links.acknowledge(self.target, vote, *upto);
                Ok(answer)
            }
            AppendEntriesResponse::Conflict => match self.links.taken_back(self.target, vote, prev) {
                Some(older) => {
                    self.links.tell(self.target, Trouble::IsOlder, &older);
                    Err(Unreachable::new(&older).into())
                }
                None => Ok(answer),
            },
            AppendEntriesResponse::HigherVote(_) => Ok(answer),
        }
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types<RT>>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types<RT>>, RPCError<Types<RT>>> {
        self.ask::<RT, _>((Kind::Vote, Lane::Urgent, RPCTypes::Vote), &request, option.soft_ttl()).await
    }

    // The default grants in the peer's name.
    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types<RT>>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types<RT>>, RPCError<Types<RT>>> {
        self.ask::<RT, _>((Kind::PreVote, Lane::Urgent, RPCTypes::Vote), &request, option.soft_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: openraft::Snapshot<Leader, Replica, Member, Snapshot>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types<RT>>, StreamingError<Types<RT>>> {
        let Snapshot { path, covered, meta } = snapshot.snapshot;
        let body = encode(&Announced { vote, covered, meta });
        let shipping = self.links.peers.ship(self.links.to(self.target, &self.member), Shipment { body, path });
        let within = option.soft_ttl();
        let shipped = match select(pin!(RT::timeout(within, shipping)), pin!(cancel)).await {
            Either::Left((shipped, _)) => shipped.map_err(|_| AskError::Late { within }).and_then(|shipped| shipped),
            Either::Right((closed, _)) => return Err(closed.into()),
        };
        let answer = shipped.and_then(|body| decode::<SnapshotResponse<Types<RT>>>(&body));
        self.heard(&answer);
        match answer {
            Ok(answer) => {
                if answer.vote == vote {
                    self.links.acknowledge(self.target, vote, snapshot.meta.last_log_id);
                }
                Ok(answer)
            }
            Err(error) => Err(self.rpc_error::<RT>(&error, RPCTypes::InstallSnapshot).into()),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types<RT>>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types<RT>>, RPCError<Types<RT>>> {
        self.ask::<RT, _>((Kind::Transfer, Lane::Urgent, RPCTypes::TransferLeader), &request, option.soft_ttl()).await
    }
}

#[cfg(test)]
mod tests {
    use openraft::Membership;

    use super::super::config::{EntryBytes, LogId};
    use super::*;

    fn place(index: u64) -> LogId {
        LogId::new(Leader { term: 3, node_id: 2 }, index)
    }

    const VOTE: Vote = Vote { leader_id: Leader { term: 3, node_id: 2 }, committed: true };

    #[test]
    fn an_append_is_bounded_and_never_empty() {
        let entry =
            |index, bytes| Entry { log_id: place(index), payload: EntryPayload::Normal(EntryBytes(vec![0; bytes])) };
        assert_eq!(fitting(&[]), 0);
        assert_eq!(fitting(&[entry(1, 2 * APPEND_BYTES)]), 1);
        let many: Vec<_> = (0..100).map(|index| entry(index, 64 * 1024)).collect();
        let fit = fitting(&many);
        assert!((10..16).contains(&fit), "{fit}");
        let blank = Entry { log_id: place(1), payload: EntryPayload::Blank };
        let membership = Entry { log_id: place(2), payload: EntryPayload::Membership(Membership::default()) };
        assert_eq!(fitting(&[blank, membership]), 2);
    }

    /// Replicas of different releases speak to each other: an upgrade of openraft or serde that changes these bytes must come
    /// with a new format.
    #[test]
    fn the_bytes_between_replicas_do_not_change() {
        type Ours = Types<openraft_rt_tokio::TokioRuntime>;
        let ballot = VoteRequest::<Ours> { vote: VOTE, last_log_id: Some(place(300)), leadership_transfer: true };
        assert_eq!(encode(&ballot), [3, 2, 1, 1, 3, 2, 0xac, 2, 1]);
        let said = VoteResponse::<Ours> { vote: VOTE, vote_granted: true, last_log_id: None };
        assert_eq!(encode(&said), [3, 2, 1, 1, 0]);
        let append = AppendEntriesRequest::<Ours> {
            vote: VOTE,
            prev_log_id: Some(place(4)),
            entries: vec![Entry { log_id: place(5), payload: EntryPayload::Normal(EntryBytes(b"ekm".to_vec())) }],
            leader_commit: None,
        };
        assert_eq!(encode(&append), [3, 2, 1, 1, 3, 2, 4, 1, 3, 2, 5, 1, 3, b'e', b'k', b'm', 0]);
        let answers: [(AppendEntriesResponse<Ours>, &[u8]); 4] = [
            (AppendEntriesResponse::Success, &[0]),
            (AppendEntriesResponse::PartialSuccess(Some(place(4))), &[1, 1, 3, 2, 4]),
            (AppendEntriesResponse::Conflict, &[2]),
            (AppendEntriesResponse::HigherVote(VOTE), &[3, 3, 2, 1]),
        ];
        for (answer, bytes) in answers {
            assert_eq!(encode(&answer), bytes, "{answer}");
        }
        assert_eq!(encode(&TransferLeaderRequest::<Ours>::new(VOTE, 7, Some(place(4)))), [3, 2, 1, 7, 1, 3, 2, 4]);
        assert_eq!(encode(&SnapshotResponse::<Ours>::new(VOTE)), [3, 2, 1]);
        let announced = Announced { vote: VOTE, covered: LogIndex(4), meta: vec![8, 9] };
        assert_eq!(encode(&announced), [3, 2, 1, 4, 2, 8, 9]);
    }
}
