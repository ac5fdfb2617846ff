//! openraft's types, chosen once; generic over the runtime, so that a simulation brings its own.
//!
//! What is encoded from these types stands on disk: a golden test below holds the bytes.

use std::fmt;
use std::marker::PhantomData;

use openraft::impls::{BoxedErrorSource, InlineBatch, OneshotResponder};
use openraft::vote::leader_id_adv::LeaderId;
use openraft::{AsyncRuntime, EntryPayload, OptionalSend, RaftTypeConfig};
use openraft_rt_tokio::TokioRuntime;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::{Incarnation, LogIndex};
use crate::machine::outcome::Outcome;

/// openraft's type configuration over a runtime.
pub struct Types<RT>(PhantomData<fn() -> RT>);

/// The configuration of production.
pub type TokioTypes = Types<TokioRuntime>;

/// A replica's number in openraft's terms: [`crate::ids::ReplicaId`].
pub type Replica = u64;
/// What a membership says of a replica: where it is, and by which store of the group it is known. The store is bound here, in
/// the log of the group, so that every replica refuses another one under the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Where its peers reach it, as `host:port`; empty in a group that has no peers.
    pub address: String,
    /// Its store of the group.
    pub incarnation: Incarnation,
}

/// openraft's own suite makes memberships of such.
#[cfg(test)]
impl Default for Member {
    fn default() -> Self {
        Self { address: String::new(), incarnation: Incarnation::from_bytes([1; 16]) }
    }
}

/// Who led when an entry was written.
pub type Leader = LeaderId<u64, Replica>;
/// An entry's place: the term and leader that wrote it, and its index.
pub type LogId = openraft::LogId<Leader>;
/// A vote, given or won.
pub type Vote = openraft::Vote<Leader>;
/// What an entry carries.
pub type Payload = EntryPayload<EntryBytes, Replica, Member>;
/// A log entry.
pub type Entry = openraft::Entry<Leader, Payload>;
/// A membership and the entry that made it.
pub type StoredMembership = openraft::StoredMembership<Leader, Replica, Member>;
/// Position and membership of a snapshot.
pub type SnapshotMeta = openraft::SnapshotMeta<Leader, Replica, Member>;

impl<RT: AsyncRuntime> RaftTypeConfig for Types<RT> {
    type D = EntryBytes;
    type R = Answer;
    type NodeId = Replica;
    type Node = Member;
    type Term = u64;
    type LeaderId = Leader;
    type Vote = Vote;
    type Payload = Payload;
    type Entry = Entry;
    type AsyncRuntime = RT;
    type Responder<T>
        = OneshotResponder<Self, T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = BoxedErrorSource;
}

/// A command's bytes. Opaque here: only the state machine decodes them, and nothing prints them.
#[derive(Clone, PartialEq, Eq)]
pub struct EntryBytes(pub Vec<u8>);

impl fmt::Display for EntryBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Debug for EntryBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for EntryBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for EntryBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl serde::de::Visitor<'_> for Bytes {
            type Value = EntryBytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<EntryBytes, E> {
                Ok(EntryBytes(bytes.to_vec()))
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<EntryBytes, E> {
                Ok(EntryBytes(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Its place in the log.
    pub index: LogIndex,
    /// What the state machine said.
    pub outcome: Answered,
}

/// What the state machine said to an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answered {
    /// It decided: the entry was done, or refused.
    Applied(Outcome),
    /// It could not decode the entry at `since` and applies nothing from there on.
    Halted {
        /// The entry that could not be decoded.
        since: LogIndex,
    },
    /// The entry was openraft's own: blank, or a membership.
    Blank,
}

// By hand: derived impls would ask the same of the runtime, which is never a value here.
impl<RT> Clone for Types<RT> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<RT> Copy for Types<RT> {}
impl<RT> Default for Types<RT> {
    fn default() -> Self {
        Self(PhantomData)
    }
}
impl<RT> fmt::Debug for Types<RT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Types")
    }
}
impl<RT> PartialEq for Types<RT> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl<RT> Eq for Types<RT> {}
impl<RT> PartialOrd for Types<RT> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<RT> Ord for Types<RT> {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}
