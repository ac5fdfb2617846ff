//! The bounds of a group: sizes, numbers and waits. Never measures or enforces any of them.

use std::time::Duration;

/// Largest entry, in bytes: the largest command, with room for its signatures.
pub const ENTRY_BYTES_MAX: usize = 64 * 1024;
/// Proposals under way, those whose proposer has stopped waiting included.
pub const PROPOSALS_MAX: usize = 1024;

/// How far above a replica's own a term may be that another brings. One election a second does not come as far in a century,
/// whoever was away meanwhile; and as many messages would be needed to use the terms up.
pub const TERM_LEAD_MAX: u64 = 1 << 32;

/// How long a quorum may take to confirm a read index; what comes later could not make anything fresh.
pub const READ_INDEX_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long beyond a term the leader is waited for that knows who uses a change.
pub(super) const NAMES_WAIT_MAX: Duration = Duration::from_secs(1);
/// How often it is looked whether a change has spread, though nobody has told anything.
pub(super) const SPREAD_POLL: Duration = Duration::from_millis(50);
/// How long a replica may take to make entries durable, where the timers do not grant more. No heartbeat waits for it.
pub(super) const APPEND_WAIT: Duration = Duration::from_secs(2);
/// How long a snapshot may be on its way to another replica.
pub(super) const SNAPSHOT_SEND_MAX: Duration = Duration::from_mins(30);
/// How long a shutdown waits for entries on their way to be applied.
pub(super) const DRAIN_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long a shutdown waits for a snapshot that is being written; it is begun anew after the next start.
pub(super) const SNAPSHOT_STOP_MAX: Duration = Duration::from_secs(10);
/// How long a shutdown waits for the applier, which itself waits for the disk.
pub(super) const APPLIER_STOP_MAX: Duration = Duration::from_secs(10);
/// How long a shutdown waits for each of openraft's tasks, the mirror's checkpoint and the closing of the files, all of which
/// wait for the disk.
pub(super) const CLOSE_MAX: Duration = Duration::from_secs(5);
