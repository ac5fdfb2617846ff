//! The bounds of everything between replicas. Never enforces any of them.

use std::time::Duration;

/// The format that every message states, and the newest that is understood.
pub const FORMAT: u32 = 1;

/// Largest message with entries or a proposal: a batch of entries, and one more of any size that fits a log.
pub const MESSAGE_BYTES_MAX: usize = crate::raft::network::APPEND_BYTES + 2 * crate::raft::group::ENTRY_BYTES_MAX;
/// Bytes of a snapshot in one message.
pub const CHUNK_BYTES: usize = 256 * 1024;
/// Largest snapshot that is taken. Its state is decoded in memory, beside the one that it takes the place of; and within
/// [`SNAPSHOT_WAIT_MAX`] it is sent over any link of 20 Mbit/s.
pub const SNAPSHOT_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// How long all of a snapshot may take, since there is one place for all who send: as long as its leader tries.
pub const SNAPSHOT_WAIT_MAX: Duration = Duration::from_mins(30);

/// Proven connections that a listener holds; a newer one takes the place of the oldest of whoever holds most.
pub const CONNECTIONS_MAX: usize = 256;
/// Those of one replica: the three that it uses, and as many again that it left behind and that were not found dead yet. A newer
/// one takes the place of its oldest.
pub const CONNECTIONS_PER_PEER_MAX: usize = 6;
/// Handshakes under way; a newer one takes the place of the oldest of the address that has most.
pub const HANDSHAKES_MAX: usize = 32;
/// How long a connection may take to be made, and to prove itself.
pub const HANDSHAKE_WAIT_MAX: Duration = Duration::from_secs(3);
/// Calls under way on one connection, each of at most [`MESSAGE_BYTES_MAX`]: with [`CONNECTIONS_PER_PEER_MAX`], what a peer can
/// have a replica hold. More wait on the sender's side.
pub const CALLS_PER_CONNECTION_MAX: u32 = 32;
/// Calls that wait for one connection of a client.
pub const CALLS_WAITING_MAX: usize = 256;
/// How long a call is worked for, whatever its sender grants.
pub const CALL_WAIT_MAX: Duration = Duration::from_secs(30);
/// How long the next part of a snapshot may take, on either side.
pub const PART_WAIT_MAX: Duration = Duration::from_secs(10);

/// After a connection could not be made, the first pause before it is tried again.
pub const RECONNECT_PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest such pause: each is twice the one before.
pub const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How often a connection is asked whether it still lives, and how long it may take to say so.
pub const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// How long a connection serves before it is made anew, with the certificates of that time.
pub const CONNECTION_AGE_MAX: Duration = Duration::from_hours(1);
/// How long the end of a listener waits for calls under way.
pub const DRAIN_WAIT_MAX: Duration = Duration::from_secs(2);
