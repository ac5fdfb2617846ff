//! Everything on disk on one screen: each row kind with its key and its value.
//!
//! The numbers are on customers' disks: never reuse one, never change one. Values stay under 16 KiB.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{
    CryptoSpaceId, CryptoSpaceName, Generation, GroupId, KeyName, KeyVersionId, LineageId, LogIndex, Revision, ShardId,
    TenantId,
};

use super::lifecycle::VersionState;
use super::outcome::Effect;
use super::policy::Policy;

/// Every row kind, by the first byte of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RowKind {
    /// `01` → [`Meta`]: what group this is. Written by Genesis.
    Meta = 1,
    /// `02 | signer` → [`Signer`]: whose signatures count here. Written by Genesis.
    Signer = 2,
    /// `03` → [`Trust`]: issuers and audiences of callers' tokens. Group 0. Written by Genesis.
    Trust = 3,
    /// `04 | tenant` → [`Placement`]: the tenant's shard. Group 0. Written by `PlaceTenant`.
    Placement = 4,
    /// `05 | 16-byte id` → [`Reservation`]: who owns a path. Group 0. Written by `ReservePath`.
    Reservation = 5,
    /// `06 | tenant` → [`Tenant`]. Shard. Written by `CreateTenant`, and its revision by every change to the tenant.
    Tenant = 6,
    /// `07 | tenant | 00 | name` → [`CryptoSpace`]. Shard. Written by `CreateCryptoSpace`, `AddGrant`.
    CryptoSpace = 7,
    /// `08 | tenant | 00 | name` → [`Key`]. Shard. Written by `CreateKey`, `AddGrant`.
    Key = 8,
    /// `09 | version id` → [`KeyVersion`]. Shard. Written by `CreateKey`, `StepVersion`, `AdvanceStage`.
    KeyVersion = 9,
    /// `0a | digest` → [`AdoptedPlan`]. Shard. Written by `AdoptPlan`, removed by `AdvanceStage` when the plan settles.
    AdoptedPlan = 10,
    /// `0b | idempotency id` → [`Remembered`]: answers that a repeated request gets again. Bounded, oldest index out first.
    Remembered = 11,
}

/// What group this is; there is one such row, from the first entry on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Bound into every seal of key material.
    pub lineage: LineageId,
    /// The incarnation of the cluster.
    pub generation: Generation,
    /// This group.
    pub group: GroupId,
    /// Made by `ekm dev`; everything that is not dev refuses such a group.
    pub dev: bool,
}

/// What a signer may sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A key-store replica: completes commands, and makes automatic ones.
    Replica,
    /// A person who changes tenants, crypto spaces, keys and policies.
    Operator {
        /// The tenants in reach; `None` is all of them.
        tenants: Option<Vec<TenantId>>,
    },
}

/// Whose signatures count in this group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signer {
    /// Ed25519 public key, 32 bytes (RFC 8032).
    pub public_key: [u8; 32],
    /// What it may sign.
    pub role: Role,
    /// From this entry on its signatures count no more.
    pub revoked_at: Option<LogIndex>,
}

/// Which tokens prove a caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// Exact `iss` values.
    pub issuers: Vec<String>,
    /// Exact `aud` values.
    pub audiences: Vec<String>,
}

/// Where a tenant lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Its one shard.
    pub shard: ShardId,
}

/// Who owns a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The owner.
    pub tenant: TenantId,
    /// Its shard at the time.
    pub shard: ShardId,
}

/// How old a tenant's view may grow while known, enabled, permitted requests are still answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Staleness {
    /// Five minutes, then 503: revocation counts more than availability.
    Strict,
    /// A day, then 503.
    #[default]
    Balanced,
    /// A week, then served with an alarm.
    Available,
}

/// A key sealed by something above it: opaque here.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed(pub Vec<u8>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// A tenant key, sealed under one version of one root key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Which root key provider sealed it, for example `file`.
    pub provider: String,
    /// Which root key of that provider.
    pub root_version: u32,
    /// The tenant key, sealed.
    pub sealed: Sealed,
}

/// A tenant: settings, policy, and its key under one or more roots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Grows by one with every change to the tenant or anything in it.
    pub revision: Revision,
    /// How long a stale view may answer.
    pub staleness: Staleness,
    /// Decides for keys that have no nearer policy.
    pub policy: Option<Policy>,
    /// The tenant key, once per root that can open it.
    pub envelopes: Vec<Envelope>,
    /// When it was made, by the proposing replica's clock.
    pub created_at: Timestamp,
}

/// A crypto space: the container that Cloud KMS creates keys in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CryptoSpace {
    /// The random part of its path.
    pub id: CryptoSpaceId,
    /// Decides for keys in it that have no policy of their own.
    pub policy: Option<Policy>,
    /// When it was made, by the proposing replica's clock.
    pub created_at: Timestamp,
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Wrap and unwrap.
    EncryptDecrypt,
}

/// How a key version wraps. The numbers are in wrapped blobs: never reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Algorithm {
    /// AES-256-GCM-SIV (RFC 8452) with a random 96-bit nonce.
    Aes256GcmSiv = 1,
}

/// Where key material came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Made by a key-store replica.
    Generated,
}

/// A key: its purpose, its policy and its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The crypto space it belongs to, if any.
    pub crypto_space: Option<CryptoSpaceName>,
    /// What it is for.
    pub purpose: Purpose,
    /// Overrides what the crypto space and tenant say; `None` inherits.
    pub policy: Option<Policy>,
    /// Every version by its number, from 1.
    pub versions: BTreeMap<u32, KeyVersionId>,
    /// The version that `ekmctl` shows first.
    pub primary: u32,
    /// When it was made, by the proposing replica's clock.
    pub created_at: Timestamp,
}

/// One immutable key material and its state. The path is [`crate::ids::key_path`] of its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyVersion {
    /// The owner.
    pub tenant: TenantId,
    /// The key it is a version of.
    pub key: KeyName,
    /// Its number within the key, from 1.
    pub number: u32,
    /// Where it stands in its life.
    pub state: VersionState,
    /// How it wraps.
    pub algorithm: Algorithm,
    /// Where its material came from.
    pub origin: Origin,
    /// The material, sealed under the tenant key.
    pub sealed: Sealed,
    /// A blob wrapped with the material when it was made; it must open before traffic uses the version.
    pub canary: Vec<u8>,
    /// When it was made, by the proposing replica's clock.
    pub created_at: Timestamp,
}

/// A change that takes something away, complete: what a preview shows is what apply writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Whose.
    pub tenant: TenantId,
    /// The tenant's revision that it was made on.
    pub parent: Revision,
    /// What it does.
    pub change: Change,
}

/// What a plan does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Takes a version out of use.
    DisableVersion {
        /// Which.
        version: KeyVersionId,
    },
}

/// How far a plan has come. A settled plan has no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// In the log; nothing is active.
    Adopted,
}

/// A plan in the log and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptedPlan {
    /// The plan.
    pub plan: Plan,
    /// Its stage.
    pub stage: Stage,
}

/// An answer that a repeated request gets again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// SHA-256 of the request's bytes: the same id with another body is refused.
    pub request: [u8; 32],
    /// What the first one did.
    pub effect: Effect,
    /// The entry that did it; the oldest is forgotten first.
    pub index: LogIndex,
}
