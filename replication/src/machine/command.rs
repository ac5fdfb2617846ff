//! Everything that may stand in the log.
//!
//! A command is complete: apply makes no choice, draws no id and reads no clock.

use serde::{Deserialize, Serialize};

use crate::clock::{ClusterTime, Timestamp};
use crate::ids::{
    AliasId, CryptoSpaceId, CryptoSpaceName, DenyId, IdempotencyId, ImportKeyId, KeyName, KeyVersionId, PeerAddress,
    ReplicaId, ShardId, SignerId, SiteName, TenantId,
};

use super::lifecycle::Event;
use super::policy::{Policy, Rule};
use super::request::{Level, SignedRequest};
use super::rows::{
    Algorithm, Envelope, Meta, Origin, Plan, Purpose, ReplicaKind, Role, Sealed, Signer, Staleness, Standing, Trust,
};
use crate::ids::PublicKey;

/// A command, completed by a data replica: ids, times and sealed material are in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// When it was completed, by that replica's clock.
    pub at: Timestamp,
    /// Repeating it under this id changes nothing more. The operator's own, if there is a request.
    pub idempotency_id: IdempotencyId,
    /// The operator's request that it completes; `None` for automatic steps.
    pub request: Option<SignedRequest>,
    /// What it does.
    pub action: Action,
}

/// What a command does. The numbers are in logs: never reuse one, never change one (see `codec.rs`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// The first entry of a group.
    Genesis(Genesis),
    /// Group 0: a tenant gets its shard.
    PlaceTenant(PlaceTenant),
    /// Group 0: a path gets its owner.
    ReservePath(ReservePath),
    /// A tenant and its key.
    CreateTenant(CreateTenant),
    /// A crypto space.
    CreateCryptoSpace(CreateCryptoSpace),
    /// A key and its first version.
    CreateKey(CreateKey),
    /// One more grant in a policy.
    AddGrant(AddGrant),
    /// An additive step of a version's life: activate, enable, restore.
    StepVersion(StepVersion),
    /// A plan enters the log; nothing is active yet.
    AdoptPlan(AdoptPlan),
    /// A plan goes one stage on.
    AdvanceStage(AdvanceStage),
    /// One more version of a key.
    AddVersion(AddVersion),
    /// One more path of a version.
    CreateAlias(CreateAlias),
    /// A key for material to be brought in under.
    CreateImportKey(CreateImportKey),
    /// A person's signatures count from here on.
    EnrolSigner(EnrolSigner),
    /// A person's signatures count no more.
    RevokeSigner(RevokeSigner),
    /// The group's time goes on.
    Tick(Tick),
    /// A version whose window has run out is destroyed.
    DestroyVersion(DestroyVersion),
    /// Group 0: the cluster has one more shard.
    AddShard(AddShard),
    /// The cluster has one more replica; in a shard, its signatures count from here on.
    AddReplica(AddReplica),
    /// Group 0: a deny entry holds no more.
    LiftDeny(LiftDeny),
}

/// The first entry of a group: names it and its first signers, one of which signs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genesis {
    /// What group this is.
    pub meta: Meta,
    /// Whose signatures count here.
    pub signers: Vec<(SignerId, Signer)>,
    /// Which tokens prove a caller; group 0 only.
    pub trust: Option<Trust>,
}

/// A tenant gets its shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceTenant {
    /// The tenant.
    pub tenant: TenantId,
    /// Its one shard.
    pub shard: ShardId,
}

/// A path gets its owner, before its shard uses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservePath {
    /// The random 16 bytes of the path, of a key version or a crypto space.
    pub id: [u8; 16],
    /// The owner.
    pub tenant: TenantId,
    /// Its shard.
    pub shard: ShardId,
}

/// A tenant and its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateTenant {
    /// Its name.
    pub tenant: TenantId,
    /// How long a stale view may answer for it.
    pub staleness: Staleness,
    /// The tenant key, sealed under each root that shall open it.
    pub envelopes: Vec<Envelope>,
    /// Its policy; only the reserved tenant is made with one.
    pub policy: Option<Policy>,
}

/// A crypto space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateCryptoSpace {
    /// The owner.
    pub tenant: TenantId,
    /// Its name.
    pub name: CryptoSpaceName,
    /// The random part of its path.
    pub id: CryptoSpaceId,
}

/// A key and its first version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateKey {
    /// The owner.
    pub tenant: TenantId,
    /// Its name.
    pub name: KeyName,
    /// The crypto space it belongs to.
    pub crypto_space: Option<CryptoSpaceName>,
    /// What it is for.
    pub purpose: Purpose,
    /// Its first version.
    pub version: NewVersion,
}

/// A version's id and sealed material.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewVersion {
    /// The random part of its path.
    pub id: KeyVersionId,
    /// How it wraps.
    pub algorithm: Algorithm,
    /// Where the material came from.
    pub origin: Origin,
    /// The material, sealed under the tenant key.
    pub sealed: Sealed,
    /// A blob wrapped with the material; the proposing replica opened it before it proposed.
    pub canary: Vec<u8>,
}

/// One more grant in a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddGrant {
    /// The owner.
    pub tenant: TenantId,
    /// Whose policy.
    pub level: Level,
    /// The grant.
    pub rule: Rule,
}

/// An additive step of a version's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepVersion {
    /// The owner.
    pub tenant: TenantId,
    /// Which.
    pub version: KeyVersionId,
    /// What happens to it.
    pub event: Event,
}

/// A plan enters the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptPlan {
    /// The plan, complete.
    pub plan: Plan,
    /// Its digest, see [`super::signing::plan_digest`].
    pub digest: [u8; 32],
}

/// A plan goes one stage on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdvanceStage {
    /// Which plan.
    pub digest: [u8; 32],
    /// The stage it must be in.
    pub expected: super::rows::Stage,
    /// Why it may go on.
    pub evidence: Evidence,
}

/// Why a plan may go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Evidence {
    /// The cluster activates plans in one stage: one machine, no cohorts.
    SingleStage,
}

/// One more version of a key: the newest, and from then on the one shown first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddVersion {
    /// The owner.
    pub tenant: TenantId,
    /// Which key.
    pub key: KeyName,
    /// The version.
    pub version: NewVersion,
}

/// One more path of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateAlias {
    /// The owner.
    pub tenant: TenantId,
    /// The random part of the path.
    pub id: AliasId,
    /// Where it leads.
    pub version: KeyVersionId,
}

/// A key for material to be brought in under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateImportKey {
    /// The owner.
    pub tenant: TenantId,
    /// Its id.
    pub id: ImportKeyId,
    /// The public half: `SubjectPublicKeyInfo`, DER.
    pub public_key: Vec<u8>,
    /// The private half, sealed under the tenant key.
    pub sealed: Sealed,
}

/// A person's signatures count from here on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolSigner {
    /// Who.
    pub signer: SignerId,
    /// What their signatures are verified by.
    pub public_key: PublicKey,
    /// What they may sign; always a person.
    pub role: Role,
}

/// A person's signatures count no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeSigner {
    /// Who.
    pub signer: SignerId,
}

/// The group's time goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// Where the time stood when its author began to count: a tick that comes twice counts once.
    pub from: ClusterTime,
    /// How many windows had begun when its author began to count: a window holds no time from before it.
    pub windows: u64,
    /// By how much it goes on, in milliseconds; at most [`super::cluster_time::TICK_MAX`].
    pub millis: u64,
}

/// A version whose window has run out is destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestroyVersion {
    /// Which.
    pub version: KeyVersionId,
}

/// The cluster has one more shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddShard {
    /// Which.
    pub shard: ShardId,
    /// The one replica that begins its group; every other waits for its log.
    pub founder: ReplicaId,
}

/// The cluster has one more replica. Group 0 keeps all of it; a shard keeps the signer alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddReplica {
    /// Which.
    pub replica: ReplicaId,
    /// Where its peers reach it.
    pub address: PeerAddress,
    /// Where its machine stands.
    pub site: SiteName,
    /// What it is there for, and how its signatures are verified.
    pub kind: ReplicaKind,
    /// Whether it is to vote.
    pub standing: Standing,
}

/// A deny entry holds no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiftDeny {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub entry: DenyId,
}

/// A completed command with the data replica's signature: the content of a log entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCommand {
    /// The command, encoded by `codec`, as the replica signed it.
    pub command: Vec<u8>,
    /// Which replica signed.
    pub signer: SignerId,
    /// Ed25519 over [`super::signing::command_message`] of the command bytes, 64 bytes.
    pub signature: Vec<u8>,
}
