//! How a group waits, in openraft's terms: its timers, and the settings that are made of them.
//!
//! Never reads a clock.

use std::time::Duration;

use openraft::{Config, SnapshotPolicy};

use super::limits::{PROPOSALS_MAX, SNAPSHOT_SEND_MAX};
use crate::ids::GroupId;

/// How long openraft waits; the defaults suit replicas within one site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// Between two heartbeats of a leader.
    pub heartbeat: Duration,
    /// Shortest silence after which a follower stands for election.
    pub election_min: Duration,
    /// Longest such silence.
    pub election_max: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        let millis = Duration::from_millis;
        Self { heartbeat: millis(100), election_min: millis(500), election_max: millis(1000) }
    }
}

impl Timers {
    /// openraft's settings for a group, not yet validated.
    pub(super) fn raft_settings(self, group: GroupId) -> Config {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Config {
            cluster_name: format!("group-{group}"),
            heartbeat_interval: millis(self.heartbeat),
            election_timeout_min: millis(self.election_min),
            election_timeout_max: millis(self.election_max),
            enable_pre_vote: Some(true),
            // The committed index is saved, so a restored leader answers no older state than before.
            enable_leader_restore: Some(true),
            // Snapshots and purges are triggered by the host, after verification, never by openraft.
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: u64::MAX,
            // For a whole snapshot; its parts have a deadline of their own.
            install_snapshot_timeout: millis(SNAPSHOT_SEND_MAX),
            api_channel_size: Some(PROPOSALS_MAX as u64),
            ..Config::default()
        }
    }
}
