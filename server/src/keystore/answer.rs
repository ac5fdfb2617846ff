//! What an operator is told when a request was carried out: the body of the admin API's answer. No logic.

use serde::{Deserialize, Serialize};

use replication::ids::{DenyId, ImportKeyId, LogIndex, Revision, ShardId};
use replication::machine::lifecycle::VersionState;

/// A request was carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Answer {
    /// Whether the same request had been carried out before; nothing was done again then.
    pub repeated: bool,
    /// The entry that answered; for a repetition, the later one that found the change done. 0 where none was needed.
    pub index: LogIndex,
    /// The tenant's revision after it; absent where people are concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// The path of what was made, without a leading slash; absent if nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The state of the version that was made, enabled or disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<VersionState>,
    /// The import key that was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import_key: Option<ImportKeyId>,
    /// In how many seconds of the cluster's time the version is destroyed, if that was scheduled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destroy_after_seconds: Option<u64>,
    /// For a grant: the keys below its level that it does not reach, since nearer rules decide for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_for: Vec<String>,
    /// The shard that the tenant was made in, or that was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<ShardId>,
    /// For a change of people: the shards that did not take it now. They follow before anybody's request reaches them again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_yet_in: Vec<ShardId>,
    /// The deny entry that was made or lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny_entry: Option<DenyId>,
    /// What should be looked at, although the request was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The frontends that use the change already.
    pub usable_on: Vec<String>,
    /// The frontends that had not acknowledged it in time.
    pub not_yet_on: Vec<String>,
}
