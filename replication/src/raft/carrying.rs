//! What a group asks of other replicas, and who carries it there: the seam between Raft and the network.
//!
//! Carries bytes and knows neither end.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};

use crate::ids::{GroupId, Incarnation, ReplicaId};

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
    /// Who uses an entry.
    Spread,
    /// Deny entries: no affair of the group's log.
    Deny,
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

    /// Whether no other replica was ever answered, and none ever is.
    fn are_none(&self) -> bool {
        false
    }
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

    fn are_none(&self) -> bool {
        true
    }
}
