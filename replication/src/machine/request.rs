//! What an operator asks for: JSON that the operator signs, and whose received bytes are carried in the log as they came.
//!
//! The bytes are never re-encoded: the signature is over what was sent.

#![cfg_attr(
    feature = "schema",
    expect(clippy::large_stack_arrays, reason = "the derived shape of every operation is one array, built once")
)]

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{
    AliasId, CheckValue, CryptoSpaceName, DenyId, IdempotencyId, ImportKeyId, KeyName, KeyVersionId, LineageId,
    PeerAddress, PublicKey, ReplicaId, Revision, RuleName, ShardId, SignerId, SiteName, TenantId,
};

use super::policy::{Policy, Rule, Subject};
use super::roles::PersonRole;
use super::rows::{Purpose, Quota, ReplicaKind, Staleness, Standing};

pub use super::policy::Level;
pub use super::signed::SignedRequest;

/// The request format that this release writes and reads.
pub const REQUEST_FORMAT: u16 = 1;
/// Largest request, in bytes.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// One request of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// [`REQUEST_FORMAT`].
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 1))]
    pub format: u16,
    /// The cluster it is meant for; any other refuses it.
    pub lineage: LineageId,
    /// Repeating the request under this id gives the first answer again.
    pub idempotency_id: IdempotencyId,
    /// What is asked.
    pub operation: AdminOperation,
}

/// What a person can ask for. What only adds acts at once; what takes away or alters names the revision it was decided on, and
/// becomes a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AdminOperation {
    /// Make a tenant, with a tenant key of its own.
    CreateTenant {
        /// Its name, unique in the cluster. `system` is reserved.
        tenant: TenantId,
        /// How long a stale view may answer for it.
        #[serde(default)]
        staleness: Staleness,
        /// The shard it is to live in; `None` leaves the choice to the cluster.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shard: Option<ShardId>,
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
    /// Add a version to a key, enabled, and make it the one shown first: rotation. The versions before stay as they are.
    AddVersion {
        /// The owner.
        tenant: TenantId,
        /// Which key.
        key: KeyName,
    },
    /// Make a key with a first version of material brought in from elsewhere.
    ImportKey {
        /// The owner.
        tenant: TenantId,
        /// Its name, unique within the tenant.
        name: KeyName,
        /// The crypto space whose policy it inherits.
        #[serde(default)]
        crypto_space: Option<CryptoSpaceName>,
        /// What it is for.
        purpose: Purpose,
        /// The material.
        material: WrappedMaterial,
    },
    /// The same as adding a version, of material brought in from elsewhere.
    ImportVersion {
        /// The owner.
        tenant: TenantId,
        /// Which key.
        key: KeyName,
        /// The material.
        material: WrappedMaterial,
    },
    /// Make a key under which material can be brought in, for a day.
    CreateImportKey {
        /// The owner.
        tenant: TenantId,
    },
    /// Give a version one more path.
    CreateAlias {
        /// The owner.
        tenant: TenantId,
        /// Which version it leads to.
        version: KeyVersionId,
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
    /// Call the destruction of a version off; it is disabled then.
    RestoreVersion {
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
    /// Have a disabled version destroyed once the window has run out. A plan.
    ScheduleDestroy {
        /// The owner.
        tenant: TenantId,
        /// Which.
        version: KeyVersionId,
        /// How long it can still be restored, in seconds: 7 to 365 days, in a cluster of `ekm dev` from one second.
        window_seconds: u64,
        /// The tenant's revision that the operator looked at.
        parent: Revision,
    },
    /// Take a further path away from its version. A plan.
    RemoveAlias {
        /// The owner.
        tenant: TenantId,
        /// Which.
        alias: AliasId,
        /// The tenant's revision that the operator looked at.
        parent: Revision,
    },
    /// Put a whole policy in the place of what stands at a level. A plan.
    SetPolicy {
        /// The owner.
        tenant: TenantId,
        /// Whose policy.
        level: Level,
        /// The policy; `None` inherits.
        policy: Option<Policy>,
        /// The tenant's revision that the operator looked at.
        parent: Revision,
    },
    /// Take one rule, a grant or a deny, out of a policy. A plan.
    RemoveRule {
        /// The owner.
        tenant: TenantId,
        /// Whose policy.
        level: Level,
        /// Its name.
        rule: RuleName,
        /// The tenant's revision that the operator looked at.
        parent: Revision,
    },
    /// Bound how often the keys at a level may be used. A plan.
    SetQuota {
        /// The owner.
        tenant: TenantId,
        /// Whose quota.
        level: Level,
        /// The quota; `None` sets no bound at this level.
        quota: Option<Quota>,
        /// The tenant's revision that the operator looked at.
        parent: Revision,
    },
    /// Enrol a person. A security officer takes a second officer's consent: see [`AdminOperation::Approve`].
    Enrol {
        /// Their name: unique in the cluster, and never used again.
        signer: SignerId,
        /// The Ed25519 key that they sign with and that their certificate holds.
        public_key: PublicKey,
        /// What they are there for; at least one role.
        roles: BTreeSet<PersonRole>,
        /// The tenants in reach; `None` is all of them.
        #[serde(default)]
        tenants: Option<BTreeSet<TenantId>>,
    },
    /// Let a person's signature count no more. A security officer's takes a second officer's consent.
    Revoke {
        /// Who.
        signer: SignerId,
    },
    /// Consent to what another officer asked for: an [`AdminOperation::Enrol`] or [`AdminOperation::Revoke`] that concerns a
    /// security officer, an [`AdminOperation::Deny`] or an [`AdminOperation::LiftDeny`].
    Approve(Consent),
    /// Add a shard to the cluster: a Raft group of its own, for tenants to come. Tenants stay where they are.
    AddShard {
        /// Its number: any from 1 to 64 that is not taken.
        shard: ShardId,
    },
    /// Add a replica to the cluster: it is replicated to in every group, and votes once it has caught up if that is asked for. Its
    /// signatures count from then on. A security officer's, with all tenants in reach.
    AddReplica {
        /// Its number, from 1 on: never used before, and never again.
        replica: ReplicaId,
        /// Where its peers reach it.
        address: PeerAddress,
        /// Where its machine stands.
        site: SiteName,
        /// What it is there for.
        kind: ReplicaKind,
        /// Whether it is to vote.
        standing: Standing,
    },
    /// Shut a caller or a key of a tenant out, on every machine and at once: it needs no quorum, and no stage. Two security
    /// officers', each with the tenant in reach. Its id follows from the first officer's request.
    Deny {
        /// Whose.
        tenant: TenantId,
        /// Who or what is shut out.
        subject: Subject,
        /// When it ends by itself, in milliseconds since 1970: a minute to 31 days ahead.
        expires_at: Timestamp,
    },
    /// Let in again whom a deny entry shuts out. Two security officers', and it needs a quorum.
    LiftDeny {
        /// Whose.
        tenant: TenantId,
        /// Which, whether or not anybody knows it.
        entry: DenyId,
    },
}

/// Another officer's request as it was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// The bytes of the first officer's request, standard base64.
    pub request: Base64Bytes,
    /// The first officer.
    pub signer: SignerId,
    /// The first officer's signature over those bytes, standard base64.
    pub signature: Base64Bytes,
}

impl Consent {
    /// The first officer's request, as its signature is verified.
    pub fn request(&self) -> SignedRequest {
        let Self { request, signer, signature } = self.clone();
        SignedRequest { bytes: request.0, signer, signature: signature.0 }
    }
}

/// Key material on its way in: it opens under the cluster's import key alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct WrappedMaterial {
    /// Under which import key of the tenant.
    pub import_key: ImportKeyId,
    /// 32 bytes of material under RSA-OAEP (RFC 8017) with SHA-256, MGF1 with SHA-256 and an empty label; standard base64.
    pub wrapped: Base64Bytes,
    /// What the material must come to; refused if it comes to something else.
    #[serde(default)]
    pub check_value: Option<CheckValue>,
}

/// Bytes that JSON spells as standard, padded base64 (RFC 4648).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Base64Bytes(pub Vec<u8>);

impl std::fmt::Debug for Base64Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Base64Bytes({} bytes)", self.0.len())
    }
}

impl Serialize for Base64Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text);
        bytes.map(Self).map_err(|_| serde::de::Error::custom("bytes are written in standard base64 with its padding"))
    }
}

impl AdminOperation {
    /// Whether it is about the cluster rather than about tenants or people.
    pub const fn is_about_cluster(&self) -> bool {
        matches!(self, Self::AddShard { .. })
    }

    /// The tenant it changes; `None` if it changes none: it is about people or the cluster, or shuts somebody out.
    pub const fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::CreateTenant { tenant, .. }
            | Self::CreateCryptoSpace { tenant, .. }
            | Self::CreateKey { tenant, .. }
            | Self::AddVersion { tenant, .. }
            | Self::ImportKey { tenant, .. }
            | Self::ImportVersion { tenant, .. }
            | Self::CreateImportKey { tenant }
            | Self::CreateAlias { tenant, .. }
            | Self::Grant { tenant, .. }
            | Self::EnableVersion { tenant, .. }
            | Self::RestoreVersion { tenant, .. }
            | Self::DisableVersion { tenant, .. }
            | Self::ScheduleDestroy { tenant, .. }
            | Self::RemoveAlias { tenant, .. }
            | Self::SetPolicy { tenant, .. }
            | Self::RemoveRule { tenant, .. }
            | Self::SetQuota { tenant, .. } => Some(tenant),
            Self::Enrol { .. }
            | Self::Revoke { .. }
            | Self::Approve(_)
            | Self::AddShard { .. }
            | Self::AddReplica { .. }
            | Self::Deny { .. }
            | Self::LiftDeny { .. } => None,
        }
    }
}
