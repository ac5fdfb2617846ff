//! A part of a list, with the way to the next. No logic.

use replication::ids::ShardId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A part of a list. What is made or removed between two pages is in the later one, or is not; nothing else is missed or
/// shown twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// In the list's order. May be shorter than was asked for, and even empty, where more follows.
    pub items: Vec<T>,
    /// Asks for what follows, as `page_token`; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
    /// Shards that cannot be looked at now: what they hold is not in the list. Absent where none is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_shards: Vec<ShardId>,
}
