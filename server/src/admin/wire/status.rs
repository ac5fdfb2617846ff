//! What the cluster is and how it is, as one body. No logic.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use replication::ids::{GroupId, LineageId, LogIndex, ShardId};
use replication::machine::lifecycle::VersionState;

/// What the cluster is and how it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The product's version.
    pub version: String,
    /// Goes into every request.
    pub lineage: LineageId,
    /// Made by `ekm dev`.
    pub dev: bool,
    /// The groups of this replica.
    pub groups: Vec<GroupStatus>,
    /// The shards of the cluster, as this replica has them.
    #[serde(default)]
    pub shards: Vec<ShardStatus>,
    /// Tenants, the reserved one not counted.
    pub tenants: usize,
    /// Key versions by state, those of the reserved tenant not counted.
    pub key_versions: std::collections::BTreeMap<VersionState, usize>,
    /// Whether the machine's own probe passed last time; the reasons if not.
    pub ready: bool,
    /// Why it is not ready.
    pub unready_reasons: Vec<String>,
    /// The room on the disk under the groups.
    pub disk: DiskStatus,
    /// What the listeners present.
    pub certificates: Vec<CertificateStatus>,
    /// The keys that callers' tokens are verified with; absent where this process answers no callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_set: Option<KeySetStatus>,
    /// The audit file; absent where this process answers no callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditStatus>,
    /// The requests of callers; absent where this process answers none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadStatus>,
}

/// The room on a disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DiskStatus {
    /// Free bytes, as last measured; absent before the first time.
    pub free_bytes: Option<u64>,
    /// Whether changes are refused for want of room.
    pub is_short: bool,
    /// In words, if they are, with what to do.
    pub shortage: Option<String>,
}

/// The certificate of one listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CertificateStatus {
    /// Which: `data` or `admin`.
    pub listener: String,
    /// Seconds until the leaf expires; negative once it has.
    pub expires_in_seconds: f64,
}

/// The token issuer's key set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KeySetStatus {
    /// Whether there is one: without it every caller gets 503.
    pub is_loaded: bool,
    /// Seconds since it was fetched.
    pub age_seconds: Option<f64>,
    /// Looks at the issuer or the file since the start.
    pub attempts: u64,
    /// Those that brought no usable set.
    pub failures: u64,
}

/// The audit file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditStatus {
    /// Records taken since the start.
    pub records: u64,
    /// Bytes of them that are in memory alone, since the file refuses them.
    pub unwritten_bytes: u64,
    /// Writes that failed.
    pub write_errors: u64,
    /// Syncs that failed.
    pub sync_errors: u64,
    /// Records lost: the file refused them, and the memory for them was full.
    pub lost_records: u64,
}

/// The requests of callers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoadStatus {
    /// In progress now.
    pub in_progress: usize,
    /// Turned away since the start, because too many were.
    pub shed_total: u64,
}

/// One group of this replica.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GroupStatus {
    /// 0 is the system group.
    pub group: GroupId,
    /// The last entry applied here.
    pub applied: LogIndex,
    /// The entry that this release cannot decode, if it stopped at one.
    pub halted: Option<LogIndex>,
    /// The digest of its state.
    pub digest: String,
    /// How long ago the frontend's view was confirmed, in seconds; absent before the first time.
    pub age_seconds: Option<f64>,
}

/// One shard of the cluster, as this replica has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShardStatus {
    /// Its number; the group of that number orders its log.
    pub shard: ShardId,
    /// Whether it was brought up here and goes on. If not, its tenants take no changes, and nothing is answered 404 by this machine.
    pub serves: bool,
    /// Whether it takes changes, so that new tenants may be placed in it.
    pub takes_changes: bool,
    /// Why it does not, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The tenants placed in it.
    pub tenants: usize,
    /// How often a task of it panicked since the start; each was begun again.
    pub task_panics: u64,
}
