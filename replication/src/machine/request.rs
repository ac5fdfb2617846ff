//! What an operator asks for: JSON that the operator signs, and whose received bytes are carried in the log as they came.
//!
//! The bytes are never re-encoded: the signature is over what was sent.

use serde::{Deserialize, Serialize};

use crate::ids::{CryptoSpaceName, IdempotencyId, KeyName, KeyVersionId, LineageId, Revision, SignerId, TenantId};

use super::policy::Rule;
use super::rows::{Purpose, Staleness};

/// The request format that this release writes and reads.
pub const REQUEST_FORMAT: u16 = 1;
/// Largest request, in bytes.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// One request of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// [`REQUEST_FORMAT`].
    pub format: u16,
    /// The cluster it is meant for; any other refuses it.
    pub lineage: LineageId,
    /// Repeating the request under this id gives the first answer again.
    pub idempotency_id: IdempotencyId,
    /// What is asked.
    pub operation: AdminOperation,
}

/// What an operator can ask for. Additive operations act at once; [`AdminOperation::DisableVersion`] becomes a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AdminOperation {
    /// Make a tenant, with a tenant key of its own.
    CreateTenant {
        /// Its name, unique in the cluster. `system` is reserved.
        tenant: TenantId,
        /// How long a stale view may answer for it.
        #[serde(default)]
        staleness: Staleness,
    },
    /// Make a crypto space in a tenant.
    CreateCryptoSpace {
        /// The owner.
        tenant: TenantId,
        /// Its name, unique within the tenant.
        name: CryptoSpaceName,
    },
    /// Make a key with a first version, enabled.
    CreateKey {
        /// The owner.
        tenant: TenantId,
        /// Its name, unique within the tenant.
        name: KeyName,
        /// The crypto space whose policy it inherits.
        #[serde(default)]
        crypto_space: Option<CryptoSpaceName>,
        /// What it is for.
        purpose: Purpose,
    },
    /// Add one grant to the policy of a tenant, crypto space or key.
    Grant {
        /// The owner.
        tenant: TenantId,
        /// Whose policy.
        level: Level,
        /// The grant. Its name must be new in that policy.
        rule: Rule,
    },
    /// Put a disabled version back into use.
    EnableVersion {
        /// The owner.
        tenant: TenantId,
        /// Which.
        version: KeyVersionId,
    },
    /// Take a version out of use: planned on a revision, refused if the tenant has moved on.
    DisableVersion {
        /// The owner.
        tenant: TenantId,
        /// Which.
        version: KeyVersionId,
        /// The tenant's revision that the operator looked at.
        parent: Revision,
    },
}

impl AdminOperation {
    /// The tenant it changes.
    pub const fn tenant(&self) -> &TenantId {
        match self {
            Self::CreateTenant { tenant, .. }
            | Self::CreateCryptoSpace { tenant, .. }
            | Self::CreateKey { tenant, .. }
            | Self::Grant { tenant, .. }
            | Self::EnableVersion { tenant, .. }
            | Self::DisableVersion { tenant, .. } => tenant,
        }
    }
}

/// Where a policy stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Level {
    /// The tenant itself.
    Tenant,
    /// One crypto space of it.
    CryptoSpace(CryptoSpaceName),
    /// One key of it.
    Key(KeyName),
}

/// A request as it was received, with the operator's signature over its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRequest {
    /// The request, JSON, as received.
    pub bytes: Vec<u8>,
    /// Who signed.
    pub signer: SignerId,
    /// Ed25519 over [`super::signing::request_message`] of the bytes.
    pub signature: Vec<u8>,
}
