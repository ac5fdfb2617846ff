//! The bounds of the feed. Never enforces any of them.

use std::time::Duration;

/// The format that every question states, and the newest that is understood.
pub(super) const FORMAT: u32 = 1;
/// Bytes of rows in one message, as far as they are more than one row.
pub(super) const PART_BYTES: usize = 64 * 1024;
/// Largest message: a part, and one more row of any size.
pub(super) const MESSAGE_BYTES_MAX: usize = 2 * PART_BYTES;
/// Deny entries in one message, which stay below [`MESSAGE_BYTES_MAX`] whatever they name.
pub(super) const ENTRIES_PER_PART: usize = 256;
/// Tenant keys in one message.
pub(super) const KEYS_PER_PART: usize = 64;
/// Parts that wait for a frontend that reads slowly; its stream waits beyond that, and nobody else's.
pub(super) const PARTS_WAITING_MAX: usize = 2;
/// How long a frontend may take no part before its stream is ended.
pub(super) const PART_WAIT_MAX: Duration = Duration::from_secs(30);
/// Calls under way on one connection: a stream for each group on one, a question on the other. With the bounds above and below, what one
/// frontend can have a key store hold is 200 MB.
pub(super) const CALLS_PER_CONNECTION_MAX: u32 = 128;
/// Frontends' connections that a key store holds.
pub(super) const CONNECTIONS_MAX: usize = 1024;
/// Those of one name: two for each process, with room for some that were not found dead yet.
pub(super) const CONNECTIONS_PER_FRONTEND_MAX: usize = 8;
/// Processes of one name that are answered: more share a certificate by mistake, and must not take the places of others.
pub(super) const PROCESSES_PER_FRONTEND_MAX: usize = 8;
/// Streams of one frontend for one group; a newer one takes the place of the oldest.
pub(super) const STREAMS_PER_GROUP_MAX: usize = 4;
/// Streams in all; a newer one takes the place of the oldest of whoever holds most.
pub(super) const STREAMS_MAX: usize = 4096;
/// For how long a stream lives: by then a frontend must prove itself anew. It goes on from what it has.
pub(super) const STREAM_AGE_MAX: Duration = Duration::from_mins(50);
/// Batches of tenant keys that are sealed at once, on threads of their own.
pub(super) const SEALING_MAX: usize = 1;
/// Silence on a connection before it is asked for a sign of life, and the wait for that.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// How long a question may take; a later answer would hardly make anything fresh.
pub(super) const ASK_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long the first part of a group may take.
pub(super) const BEGIN_WAIT_MAX: Duration = Duration::from_secs(5);
/// Questions without an answer before another key store is asked.
pub(super) const SILENCES_MAX: u32 = 2;
/// For how long a key store may be out of touch before another is asked.
pub(super) const OUT_OF_TOUCH_MAX: Duration = Duration::from_secs(2);
/// How often the clocks of key stores are compared with the own one.
pub(super) const CLOCKS_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked whether a key store that is preferred is back.
pub(super) const PREFER_EVERY: Duration = Duration::from_secs(30);
/// The pause between two key stores that could not be read, when all were tried.
pub(super) const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// How often it is told that no key store can be followed.
pub(super) const TOLD_EVERY: Duration = Duration::from_mins(1);
/// How long the end waits for streams before they are cut.
pub(super) const DRAIN_WAIT_MAX: Duration = Duration::from_secs(1);
