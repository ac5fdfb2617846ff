//! Taking a snapshot from a leader: every part in its place and with its digest, all of them, and then verified as a whole before
//! it is installed.
//!
//! Never keeps anything of a stream that broke, stood still, went on for too long, or did not hold what was announced.

use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::timeout;
use tonic::{Status, Streaming};

use super::header::HeaderError;
use super::limits::{PART_WAIT_MAX, SNAPSHOT_BYTES_MAX, SNAPSHOT_WAIT_MAX};
use super::wire;
use crate::ids::ReplicaId;
use crate::raft::answering::{AnswerError, Expected, Received};
use crate::raft::group::Group;

/// Why a snapshot is not taken. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// Who sends it may not.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// It does not begin with what it is.
    #[error("the stream does not begin with the announcement of a snapshot")]
    NotAnnounced,
    /// Larger than any.
    #[error("a snapshot of {bytes} bytes is announced, and at most {SNAPSHOT_BYTES_MAX} are taken")]
    TooLarge {
        /// What was announced.
        bytes: u64,
    },
    /// A part is missing, repeated, or of another stream.
    #[error("a part at byte {found} came where byte {wanted} was next; the snapshot is sent anew")]
    OutOfPlace {
        /// Where it belongs.
        found: u64,
        /// Where the stream was.
        wanted: u64,
    },
    /// A part with nothing in it would hold the place and bring nothing.
    #[error("the part at byte {offset} is empty; the snapshot is sent anew")]
    Empty {
        /// Where it is.
        offset: u64,
    },
    /// Bytes changed on their way, or on the sender's disk while they were read.
    #[error("the bytes up to {offset} are not those that were sent; the snapshot is sent anew")]
    Digest {
        /// Up to where.
        offset: u64,
    },
    /// The stream ended early.
    #[error("the stream ended after {found} of {wanted} bytes; the snapshot is sent anew")]
    Truncated {
        /// What came.
        found: u64,
        /// What was announced.
        wanted: u64,
    },
    /// There is more than was announced.
    #[error("there is more than the announced {wanted} bytes; the snapshot is sent anew")]
    Excess {
        /// What was announced.
        wanted: u64,
    },
    /// Nothing came for too long.
    #[error("no part came within {within:?}; the snapshot is sent anew")]
    Late {
        /// How long was waited.
        within: Duration,
    },
    /// Parts came, and not fast enough.
    #[error(
        "only {found} of {wanted} bytes came within {within:?}; look at the link to the sender, and the snapshot is sent anew"
    )]
    TooSlow {
        /// What came.
        found: u64,
        /// What was announced.
        wanted: u64,
        /// How long all of it may take.
        within: Duration,
    },
    /// The connection broke.
    #[error("the stream broke; the snapshot is sent anew")]
    Broken(#[source] Box<Status>),
    /// The group does not take it.
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

/// The first part, which says who sends what.
pub(super) async fn announcement(parts: &mut Streaming<wire::Part>) -> Result<wire::Announcement, ReceiveError> {
    match next(parts).await? {
        Some(wire::part::Part::Announcement(announcement)) => Ok(announcement),
        Some(wire::part::Part::Chunk(_)) | None => Err(ReceiveError::NotAnnounced),
    }
}

/// Everything after it: the bytes of an admitted sender's snapshot.
pub(super) async fn receive(
    group: &Group,
    sender: ReplicaId,
    expected: Expected,
    bytes: u64,
    parts: &mut Streaming<wire::Part>,
) -> Result<Vec<u8>, ReceiveError> {
    if bytes > SNAPSHOT_BYTES_MAX {
        return Err(ReceiveError::TooLarge { bytes });
    }
    group.admit_snapshot(sender, &expected)?;
    let mut received = group.receive_snapshot(bytes).await?;
    let within = SNAPSHOT_WAIT_MAX;
    match timeout(within, all(&mut received, bytes, parts)).await {
        Ok(came) => came?,
        Err(_) => return Err(ReceiveError::TooSlow { found: received.written(), wanted: bytes, within }),
    }
    Ok(group.install_snapshot(expected, received).await?)
}

/// Every part in its place, and nothing beside them.
async fn all(received: &mut Received, bytes: u64, parts: &mut Streaming<wire::Part>) -> Result<(), ReceiveError> {
    let mut digest = Sha256::new();
    while let Some(part) = next(parts).await? {
        let wire::part::Part::Chunk(chunk) = part else { return Err(ReceiveError::NotAnnounced) };
        let wanted = received.written();
        if chunk.offset != wanted {
            return Err(ReceiveError::OutOfPlace { found: chunk.offset, wanted });
        }
        if chunk.bytes.is_empty() {
            return Err(ReceiveError::Empty { offset: wanted });
        }
        let offset = wanted + chunk.bytes.len() as u64;
        if offset > bytes {
            return Err(ReceiveError::Excess { wanted: bytes });
        }
        digest.update(&chunk.bytes);
        if digest.clone().finalize()[..] != chunk.digest[..] {
            return Err(ReceiveError::Digest { offset });
        }
        received.write(chunk.bytes).await.map_err(AnswerError::from)?;
    }
    let found = received.written();
    if found != bytes {
        return Err(ReceiveError::Truncated { found, wanted: bytes });
    }
    Ok(())
}

/// The next part; a message that is none counts as the end of a stream that is not whole.
async fn next(parts: &mut Streaming<wire::Part>) -> Result<Option<wire::part::Part>, ReceiveError> {
    let within = PART_WAIT_MAX;
    let part = timeout(within, parts.message()).await.map_err(|_| ReceiveError::Late { within })?;
    Ok(part.map_err(|status| ReceiveError::Broken(Box::new(status)))?.and_then(|part| part.part))
}
