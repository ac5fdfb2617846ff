//! openraft's network: what a group says to another replica, as bytes that somebody else carries.
//!
//! Every call ends at its deadline. Never grants a vote in another's name, and never tells openraft of an answer that takes back
//! what the same replica acknowledged to the same leader: its store is an older one then, and must not serve as a witness.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, Either, FutureExt, select};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{RPCOption, RPCTypes, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use openraft::{AsyncRuntime, EntryPayload, OptionalSend};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::config::{Entry, Leader, LogId, Member, Replica, Types, Vote};
use super::log::encode;
use crate::ids::{GroupId, Incarnation, LogIndex, ReplicaId};
use crate::store::snapshots::Snapshot;

/// Bytes of entries in one append, as far as they are more than one entry.
pub const APPEND_BYTES: usize = 1024 * 1024;
/// What an entry needs beside its bytes, at most; a membership is taken for as large.
const ENTRY_OVERHEAD: usize = 4 * 1024;

/// What is asked of another replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Which store of the group it has.
    Hello,
    /// Whether it would vote.
    PreVote,
    /// A vote.
    Vote,
    /// To take entries, or to hear that there are none.
    Append,
    /// To stand for election at once.
    Transfer,
    /// A read index.
    ReadIndex,
    /// To order an entry.
    Propose,
}

/// Which connection a question takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// What elections depend on.
    Urgent,
    /// What may be large.
    Entries,
}

/// A question on its way.
#[derive(Debug, Clone)]
pub struct Question {
    /// What is asked.
    pub kind: Kind,
    /// Over which connection.
    pub lane: Lane,
    /// In the words of the group.
    pub body: Vec<u8>,
    /// How long an answer is waited for.
    pub within: Duration,
}

/// A snapshot on its way.
#[derive(Debug, Clone)]
pub struct Shipment {
    /// What it is, in the words of the group.
    pub body: Vec<u8>,
    /// The file.
    pub path: PathBuf,
}

/// Who asks whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// In which group.
    pub group: GroupId,
    /// By which store.
    pub from: Incarnation,
    /// Whom.
    pub replica: ReplicaId,
    /// Where.
    pub address: String,
    /// By which store it is known; `None` to ask for that.
    pub incarnation: Option<Incarnation>,
}

/// An error of whoever carries.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// Why a question has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AskError {
    /// It was not sent.
    #[error("the replica cannot be reached; nothing was sent to it")]
    Unreachable(#[source] Cause),
    /// It was refused before anything was done.
    #[error("the replica refused the message and did nothing")]
    Refused(#[source] Cause),
    /// It was sent, and what became of it is unknown.
    #[error("the connection broke before an answer came")]
    Lost(#[source] Cause),
    /// No answer came in time.
    #[error("no answer came within {within:?}")]
    Late {
        /// How long was waited.
        within: Duration,
    },
    /// The answer is none.
    #[error("the answer cannot be decoded; the replica may be of a newer release")]
    Undecodable,
}

/// Carries what groups say to other replicas.
pub trait Peers: fmt::Debug + Send + Sync {
    /// Asks. Ends within the time that the question grants.
    fn ask(&self, to: Destination, question: Question) -> BoxFuture<'static, Result<Vec<u8>, AskError>>;

    /// Sends a snapshot. Ends when it is installed or refused there, or when nothing moves any more; dropped, it leaves nothing.
    fn ship(&self, to: Destination, shipment: Shipment) -> BoxFuture<'static, Result<Vec<u8>, AskError>>;
}

/// Reaches nobody: for a group with one voter.
#[derive(Debug, Clone, Copy)]
pub struct NoPeers;

/// What every call comes to.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("this replica was started without peers, and its groups have one voter")]
pub struct NoSuchPeer;

impl Peers for NoPeers {
    fn ask(&self, _: Destination, _: Question) -> BoxFuture<'static, Result<Vec<u8>, AskError>> {
        async { Err(AskError::Unreachable(Arc::new(NoSuchPeer))) }.boxed()
    }

    fn ship(&self, _: Destination, _: Shipment) -> BoxFuture<'static, Result<Vec<u8>, AskError>> {
        async { Err(AskError::Unreachable(Arc::new(NoSuchPeer))) }.boxed()
    }
}

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

/// What a follower acknowledged, and to whom.
#[derive(Debug, Clone, Copy)]
struct Acknowledged {
    vote: Vote,
    upto: Option<LogId>,
}

/// What a group's clients share.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) group: GroupId,
    pub(super) own: ReplicaId,
    pub(super) incarnation: Incarnation,
    pub(super) peers: Arc<dyn Peers>,
    acknowledged: Mutex<BTreeMap<Replica, Acknowledged>>,
    /// Which replicas were told of as refusing or older, until they answer again.
    told: Mutex<BTreeMap<Replica, String>>,
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

    fn acknowledge(&self, from: Replica, vote: Vote, upto: Option<LogId>) {
        let mut all = self.acknowledged.lock();
        let known = all.entry(from).or_insert(Acknowledged { vote, upto: None });
        if known.vote != vote {
            *known = Acknowledged { vote, upto: None };
        }
        known.upto = known.upto.max(upto);
    }

    /// Whether a follower denies an entry that it acknowledged to the same leader.
    fn taken_back(&self, by: Replica, vote: Vote, denied: Option<LogId>) -> Option<OlderStore> {
        let known = self.acknowledged.lock().get(&by).copied().filter(|known| known.vote == vote)?;
        let (upto, denied) = (known.upto?, denied?);
        (denied <= upto).then_some(OlderStore { replica: ReplicaId(by), acknowledged: LogIndex(upto.index) })
    }

    /// What was told of other replicas and has not ended.
    pub(super) fn troubles(&self) -> BTreeMap<ReplicaId, String> {
        self.told.lock().iter().map(|(replica, trouble)| (ReplicaId(*replica), trouble.clone())).collect()
    }

    /// Tells once why a replica is not spoken to, and once that it is again.
    fn tell(&self, replica: Replica, trouble: Option<&(dyn std::error::Error + 'static)>) {
        let mut told = self.told.lock();
        match trouble {
            Some(error) => {
                let text = error.to_string();
                if told.get(&replica) != Some(&text) {
                    tracing::error!(group = %self.group, replica, error, "a replica is not replicated to");
                    told.insert(replica, text);
                }
            }
            None => {
                if told.remove(&replica).is_some() {
                    tracing::info!(group = %self.group, replica, "a replica is replicated to again");
                }
            }
        }
    }
}

pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, AskError> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        _ => Err(AskError::Undecodable),
    }
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
        option: &RPCOption,
    ) -> Result<T, RPCError<Types<RT>>> {
        let question = Question { kind, lane, body: encode(body), within: option.soft_ttl() };
        let asked = self.links.ask::<RT, T>(self.links.to(self.target, &self.member), question).await;
        self.heard(&asked);
        asked.map_err(|error| self.rpc_error(error, action))
    }

    /// A refusal is for a person to look at; that a replica is away is not.
    fn heard<T>(&self, asked: &Result<T, AskError>) {
        match asked {
            Ok(_) => self.links.tell(self.target, None),
            Err(AskError::Refused(cause)) => self.links.tell(self.target, Some(&**cause)),
            Err(AskError::Unreachable(_) | AskError::Lost(_) | AskError::Late { .. } | AskError::Undecodable) => {}
        }
    }

    fn rpc_error<RT: AsyncRuntime>(&self, error: AskError, action: RPCTypes) -> RPCError<Types<RT>> {
        match error {
            AskError::Unreachable(_) | AskError::Refused(_) => Unreachable::new(&error).into(),
            AskError::Lost(_) | AskError::Undecodable => NetworkError::new(&error).into(),
            AskError::Late { within } => {
                Timeout { action, id: self.links.own.0, target: self.target, timeout: within }.into()
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
        let lane = if request.entries.is_empty() { Lane::Urgent } else { Lane::Entries };
        let answer = self.ask::<RT, _>((Kind::Append, lane, RPCTypes::AppendEntries), &request, &option).await?;
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
                    self.links.tell(self.target, Some(&older));
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
        self.ask::<RT, _>((Kind::Vote, Lane::Urgent, RPCTypes::Vote), &request, &option).await
    }

    // The default grants in the peer's name.
    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types<RT>>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types<RT>>, RPCError<Types<RT>>> {
        self.ask::<RT, _>((Kind::PreVote, Lane::Urgent, RPCTypes::Vote), &request, &option).await
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
            Err(error) => Err(self.rpc_error::<RT>(error, RPCTypes::InstallSnapshot).into()),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types<RT>>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types<RT>>, RPCError<Types<RT>>> {
        self.ask::<RT, _>((Kind::Transfer, Lane::Urgent, RPCTypes::TransferLeader), &request, &option).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::EntryBytes;
    use super::*;
    use openraft::Membership;

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
