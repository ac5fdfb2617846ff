//! The question what would be decided, and its answer. No logic.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use replication::ids::{DenyId, KeyName, RuleName, TenantId};
use replication::machine::lifecycle::VersionState;
use replication::machine::policy::{Operation, Principal};
use replication::machine::request::Level;
use replication::machine::rows::{Quota, Staleness};

/// What would be decided if this caller asked for this now?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    /// The path as Google has it, for example `v0/keys/…`.
    #[schema(max_length = 512)]
    pub key_path: String,
    /// Who would call.
    pub caller: Principal,
    /// What for.
    pub operation: Operation,
    /// `projects/P/locations/L/keyRings/R/cryptoKeys/K`, with or without a version; absent as from a caller that states none.
    #[serde(default)]
    #[schema(max_length = 1024)]
    pub resource: Option<String>,
    /// The reason that would be stated; absent as from a customer without key access justifications.
    #[serde(default)]
    pub justification: Option<StatedReason>,
}

/// A reason as Google states it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum StatedReason {
    /// By its number.
    Number(i64),
    /// By its name, for example `CUSTOMER_INITIATED_ACCESS`.
    Name(String),
}

/// What would be decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The path asked about.
    pub key_path: String,
    /// In one word.
    pub decision: Decision,
    /// The HTTP status of the answer.
    pub status: u16,
    /// Its `google.rpc` code.
    pub code: String,
    /// What the caller would be told, word for word; absent if it would be served.
    pub message: Option<String>,
    /// The rule that decides; absent if none does.
    pub rule: Option<RuleName>,
    /// The deny entry that decides, whatever the rules say; absent if none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny_entry: Option<DenyId>,
    /// What the path reaches; absent if it is unknown.
    pub version: Option<ExplainedVersion>,
    /// The levels over the version, nearest first.
    pub levels: Vec<ExplainedLevel>,
}

/// A decision in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Served.
    Allowed,
    /// Refused for good: the caller should not come back with the same.
    Refused,
    /// Not served now: the caller should come back.
    Unavailable,
}

/// A key version that a path reaches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedVersion {
    /// The version's own path, without a leading slash. Another than was asked about if that is an alias.
    pub path: String,
    /// Its owner.
    pub tenant: TenantId,
    /// Its key.
    pub key: KeyName,
    /// Its number within the key.
    pub number: u32,
    /// Where it stands in its life.
    pub state: VersionState,
    /// How long a stale view may answer for its tenant.
    pub staleness: Staleness,
    /// How old this machine's view of it is, in seconds; absent if nobody knows.
    pub age_seconds: Option<f64>,
    /// Whether that is young enough for a final refusal.
    pub is_fresh: bool,
}

/// One level over a key version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedLevel {
    /// Which.
    pub level: Level,
    /// Whether it has a policy.
    pub has_policy: bool,
    /// Whether it is the nearest that has one: its grants decide, and those of the levels below it in this list do not count.
    pub decides: bool,
    /// Its rules that the question meets but perhaps for the reason: denies first. A deny counts at every level.
    pub rules: Vec<ExplainedRule>,
    /// The quota at this level. Every level's holds; what is left of one is not looked at.
    pub quota: Option<Quota>,
}

/// A rule that a question meets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedRule {
    /// Which.
    pub rule: RuleName,
    /// What it does.
    pub effect: RuleEffect,
    /// Whether its list of reasons covers the one stated.
    pub reason: ReasonCovered,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleEffect {
    /// It refuses.
    Deny,
    /// It allows.
    Grant,
}

/// Whether a rule covers the reason stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCovered {
    /// It does: the rule applies.
    Yes,
    /// Its list leaves the reason out: the rule does not apply.
    No,
    /// This release does not know the reason, so whether it is in the list cannot be told.
    Unknown,
}
