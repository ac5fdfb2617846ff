//! Whom officers shut out.

use replication::clock::Timestamp;
use replication::ids::{DenyId, SignerId, TenantId};
use replication::machine::policy::Subject;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A deny entry that this replica holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DenyEntryBody {
    /// Which.
    pub entry: DenyId,
    /// Whose.
    pub tenant: TenantId,
    /// Who or what is shut out.
    pub subject: Subject,
    /// When it ends by itself, in milliseconds since 1970.
    pub expires_at: Timestamp,
    /// The officer who asked for it.
    pub asked_by: SignerId,
    /// The officer who consented.
    pub approved_by: SignerId,
}
