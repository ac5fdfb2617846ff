//! The audit record of one request, as the audit file has it. No logic.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The audit record of one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SeenBody {
    /// When it was answered, RFC 3339.
    pub time: String,
    /// The machine that answered.
    pub machine: String,
    /// The request's id.
    pub request: String,
    /// What was called.
    pub operation: String,
    /// The path called, without a leading slash and the verb.
    pub path: String,
    /// The owner of the key version that the path reached.
    pub tenant: Option<String>,
    /// Its key.
    pub key: Option<String>,
    /// Its number within the key.
    pub version: Option<u32>,
    /// Who was proven to ask.
    pub caller: Option<String>,
    /// The Cloud KMS resource stated.
    pub resource: Option<String>,
    /// The reason stated.
    pub justification: Option<String>,
    /// Whether it was Google's own check of the key.
    pub health_check: bool,
    /// Whether it was this machine's own probe.
    pub probe: bool,
    /// `allowed`, `refused` or `unavailable`.
    pub decision: String,
    /// The rule that decided.
    pub rule: Option<String>,
    /// The level whose quota refused: `key`, `crypto_space` or `tenant`.
    pub quota: Option<String>,
    /// The `google.rpc` code.
    pub code: String,
    /// The HTTP status.
    pub status: u16,
    /// What the caller was told, if it was refused.
    pub message: Option<String>,
    /// From the first byte to the record, in microseconds.
    pub latency_us: u64,
}
