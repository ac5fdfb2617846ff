//! Everything on disk in one file: each row kind with its key and its value.
//!
//! The numbers are on customers' disks: never reuse one, never change one. Values stay under 16 KiB.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::clock::{ClusterTime, Timestamp};
use crate::ids::{
    AliasId, CheckValue, CryptoSpaceId, CryptoSpaceName, Generation, GroupId, ImportKeyId, KeyName, KeyVersionId,
    LineageId, LogIndex, PeerAddress, PublicKey, ReplicaId, Revision, RuleName, ShardId, SignerId, SiteName, TenantId,
};

use super::lifecycle::VersionState;
use super::outcome::Effect;
use super::policy::{Level, Policy};
use super::roles::PersonRole;
use super::signed::SignedRequest;

/// Every row kind, by the first byte of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RowKind {
    /// `01` → [`Meta`]: what group this is. Written by Genesis.
    Meta = 1,
    /// `02 | signer` → [`Signer`]: whose signatures count here. Written by Genesis, `EnrolSigner`,
    /// `RevokeSigner`, `AddReplica`.
    Signer = 2,
    /// `03` → [`Trust`]: issuers and audiences of callers' tokens. Group 0. Written by Genesis.
    Trust = 3,
    /// `04 | tenant` → [`Placement`]: the tenant's shard. Group 0. Written by `PlaceTenant`.
    Placement = 4,
    /// `05 | 16-byte id` → [`Reservation`]: who owns a path. Group 0. Written by `ReservePath`.
    Reservation = 5,
    /// `06 | tenant` → [`Tenant`]. Shard. Written by `CreateTenant`, and its revision by every change to the tenant.
    Tenant = 6,
    /// `07 | tenant | 00 | name` → [`CryptoSpace`]. Shard. Written by `CreateCryptoSpace`, `AddGrant`, `AdvanceStage`.
    CryptoSpace = 7,
    /// `08 | tenant | 00 | name` → [`Key`]. Shard. Written by `CreateKey`, `AddVersion`, `AddGrant`, `AdvanceStage`.
    Key = 8,
    /// `09 | version id` → [`KeyVersion`]. Shard. Written by `CreateKey`, `AddVersion`, `CreateAlias`, `StepVersion`,
    /// `AdvanceStage`, `DestroyVersion`.
    KeyVersion = 9,
    /// `0a | digest` → [`AdoptedPlan`]. Shard. Written by `AdoptPlan`, removed by `AdvanceStage` when the plan settles.
    AdoptedPlan = 10,
    /// `0b | idempotency id` → [`Remembered`]: answers that a repeated request gets again. Bounded, oldest index out first.
    Remembered = 11,
    /// `0c | alias id` → [`Alias`]: a further path of a version. Shard. Written by `CreateAlias`, removed by `AdvanceStage`.
    Alias = 12,
    /// `0d | tenant | 00 | id` → [`ImportKey`]. Shard. Written by `CreateImportKey`, which also removes the tenant's expired ones.
    ImportKey = 13,
    /// `0e` → [`ClusterClock`]: the group's own time. Shard. Written by `Tick`, and by `AdvanceStage` where a window begins.
    ClusterClock = 14,
    /// `0f | due | version id` → [`Destruction`]: one that is scheduled. Shard. Written by `AdvanceStage`, removed by
    /// `StepVersion` and `DestroyVersion`.
    Destruction = 15,
    /// `10 | shard` → [`Shard`]: that there is such a shard. Group 0. Written by `AddShard`.
    Shard = 16,
    /// `11 | replica` → [`Replica`]: that there is such a replica. Group 0. Written by `AddReplica`.
    Replica = 17,
    /// `12 | tenant | 00 | deny entry id` → [`Lift`]: a deny entry that holds no more. Group 0. Written by `LiftDeny`, which also removes those whose
    /// entries must have ended.
    Lift = 18,
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
    /// A person.
    Person {
        /// What they are there for.
        roles: BTreeSet<PersonRole>,
        /// The tenants in reach; `None` is all of them.
        tenants: Option<BTreeSet<TenantId>>,
    },
}

/// Whose signatures count in this group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signer {
    /// What their signatures are verified by.
    pub public_key: PublicKey,
    /// What it may sign.
    pub role: Role,
    /// From this entry on its signatures count no more.
    pub revoked_at: Option<LogIndex>,
    /// The signed request that enrolled them; `None` for those whom genesis names.
    pub enrolled_by: Option<SignedRequest>,
    /// The signed request that revoked them.
    pub revoked_by: Option<SignedRequest>,
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

/// A shard of the cluster. That there is a first one goes without a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// The one replica that begins its group; every other waits for its log.
    pub founder: ReplicaId,
    /// When it was added, by the proposing replica's clock.
    pub added_at: Timestamp,
}

/// A replica of the cluster. `ekm dev`, which has no peers, has no such row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// Where its peers reach it.
    pub address: PeerAddress,
    /// Where its machine stands.
    pub site: SiteName,
    /// What it is there for, and how its signatures are verified.
    pub kind: ReplicaKind,
    /// Whether it is to vote.
    pub standing: Standing,
    /// When it was added, by the proposing replica's clock.
    pub added_at: Timestamp,
    /// The signed request that added it; `None` for the one that the cluster began with.
    pub added_by: Option<SignedRequest>,
}

/// What a replica is there for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ReplicaKind {
    /// It completes commands and opens tenant keys.
    Data {
        /// The name that its signatures go by.
        signer: SignerId,
        /// What they are verified by.
        public_key: PublicKey,
    },
    /// It votes and stores, and signs nothing.
    Witness,
}

/// Whether a replica is to vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It votes, once it has caught up.
    Voter,
    /// It is replicated to, and does not vote.
    Learner,
}

/// A deny entry holds no more. Kept until no entry that was made before can hold by itself any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lift {
    /// When it was lifted, by the proposing replica's clock.
    pub lifted_at: Timestamp,
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
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
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

/// How often the keys at a level may be used. Each frontend counts for itself, and every level's quota holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Requests a second that go on for ever, 1 to [`QUOTA_MAX`].
    #[cfg_attr(feature = "schema", schema(value_type = u32, minimum = 1, maximum = 1_000_000))]
    pub per_second: NonZeroU32,
    /// Requests that may come at once after a pause, 1 to [`QUOTA_MAX`].
    #[cfg_attr(feature = "schema", schema(value_type = u32, minimum = 1, maximum = 1_000_000))]
    pub burst: NonZeroU32,
}

/// The largest number in a quota: far beyond what a machine can answer.
pub const QUOTA_MAX: u32 = 1_000_000;

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
    /// Bounds all its keys together.
    pub quota: Option<Quota>,
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
    /// Bounds its keys together.
    pub quota: Option<Quota>,
    /// When it was made, by the proposing replica's clock.
    pub created_at: Timestamp,
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Wrap and unwrap.
    EncryptDecrypt,
}

/// How a key version wraps. The numbers are in wrapped blobs: never reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Algorithm {
    /// AES-256-GCM-SIV (RFC 8452) with a random 96-bit nonce.
    Aes256GcmSiv = 1,
}

/// Where key material came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Made by a key-store replica.
    Generated,
    /// Brought in from elsewhere.
    Imported {
        /// Under which import key.
        import_key: ImportKeyId,
        /// What the material came to.
        check_value: CheckValue,
    },
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
    /// Bounds the use of its versions together.
    pub quota: Option<Quota>,
    /// Every version by its number, from 1.
    pub versions: BTreeMap<u32, KeyVersionId>,
    /// The newest version, which is shown first. No caller reaches a version by this.
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
    /// When it is destroyed, in the group's time; only while that is scheduled.
    pub destroy_at: Option<ClusterTime>,
    /// Further paths that lead to it.
    pub aliases: BTreeSet<AliasId>,
    /// The material, sealed under the tenant key. Empty once it is destroyed.
    pub sealed: Sealed,
    /// A blob wrapped with the material when it was made; it must open before traffic uses the version. Empty once it is
    /// destroyed.
    pub canary: Vec<u8>,
    /// When it was made, by the proposing replica's clock.
    pub created_at: Timestamp,
}

/// A further path of a key version. The path is [`crate::ids::alias_path`] of its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    /// The owner.
    pub tenant: TenantId,
    /// Which version it leads to.
    pub version: KeyVersionId,
    /// When it was made, by the proposing replica's clock.
    pub created_at: Timestamp,
}

/// A key under which material can be brought in: RSA with 3072 bits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportKey {
    /// The public half: `SubjectPublicKeyInfo`, DER (RFC 5280).
    pub public_key: Vec<u8>,
    /// The private half, sealed under the tenant key.
    pub sealed: Sealed,
    /// When it was made, by the proposing replica's clock; it is of use for [`IMPORT_KEY_LIFE`] from then on.
    pub created_at: Timestamp,
}

/// How long an import key is of use.
pub const IMPORT_KEY_LIFE: std::time::Duration = std::time::Duration::from_hours(24);

impl ImportKey {
    /// Whether it is of use at that time.
    pub fn is_live(&self, at: Timestamp) -> bool {
        u128::from(at.0) < u128::from(self.created_at.0) + IMPORT_KEY_LIFE.as_millis()
    }
}

/// The time of a group: how much of it committed entries have counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClusterClock {
    /// Now.
    pub now: ClusterTime,
    /// How many windows of destructions have begun.
    pub windows: u64,
}

/// A destruction that is scheduled, found by when it is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destruction {
    /// The owner.
    pub tenant: TenantId,
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
    /// Has a version destroyed once a window has run out.
    ScheduleDestroy {
        /// Which.
        version: KeyVersionId,
        /// How long the window is, in seconds of the group's time, from when the plan settles.
        window_seconds: u64,
    },
    /// Takes a further path away.
    RemoveAlias {
        /// Which.
        alias: AliasId,
    },
    /// Puts a policy in the place of what stands at a level.
    SetPolicy {
        /// Where.
        level: Level,
        /// Which; `None` inherits.
        policy: Option<Policy>,
    },
    /// Takes one rule out of a policy.
    RemoveRule {
        /// Where.
        level: Level,
        /// Which.
        rule: RuleName,
    },
    /// Sets or lifts a quota.
    SetQuota {
        /// Where.
        level: Level,
        /// Which; `None` sets no bound at this level.
        quota: Option<Quota>,
    },
}

impl Change {
    /// Whether both change the same thing, so that the second must wait for the first to settle.
    pub fn meets(&self, other: &Self) -> bool {
        self.subject() == other.subject()
    }

    fn subject(&self) -> Subject<'_> {
        match self {
            Self::DisableVersion { version } | Self::ScheduleDestroy { version, .. } => Subject::Version(*version),
            Self::RemoveAlias { alias } => Subject::Alias(*alias),
            Self::SetPolicy { level, .. } | Self::RemoveRule { level, .. } => Subject::Policy(level),
            Self::SetQuota { level, .. } => Subject::Quota(level),
        }
    }
}

/// What a change is about.
#[derive(PartialEq, Eq)]
enum Subject<'a> {
    Version(KeyVersionId),
    Alias(AliasId),
    Policy(&'a Level),
    Quota(&'a Level),
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.subject() {
            Subject::Version(version) => write!(f, "key version v0/keys/{version}"),
            Subject::Alias(alias) => write!(f, "the alias v0/keys/{alias}"),
            Subject::Policy(level) => write!(f, "the policy of {level}"),
            Subject::Quota(level) => write!(f, "the quota of {level}"),
        }
    }
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
