//! What an entry did, or why it did nothing. A refusal is an outcome like any other: every replica reaches the same one.

use serde::{Deserialize, Serialize};

use crate::clock::ClusterTime;
use crate::ids::{
    AliasId, CheckValue, CryptoSpaceId, DenyId, ImportKeyId, KeyName, KeyVersionId, PeerAddress, ReplicaId, Revision,
    RuleName, ShardId, SignerId, TenantId,
};

use super::lifecycle::{self, Event, VersionState};

/// What an entry came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It changed the state.
    Done(Effect),
    /// The same request had been done before; this is what it did then.
    Repeated(Effect),
    /// It changed nothing.
    Refused(Refusal),
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The group exists.
    GroupMade,
    /// The tenant has its shard.
    TenantPlaced {
        /// Which.
        shard: ShardId,
    },
    /// The path has its owner.
    PathReserved {
        /// The random 16 bytes of the path. Of the first request, if this one repeats it.
        id: [u8; 16],
    },
    /// The tenant exists.
    TenantMade {
        /// Its revision.
        revision: Revision,
    },
    /// The crypto space exists.
    CryptoSpaceMade {
        /// The random part of its path.
        id: CryptoSpaceId,
        /// The tenant's revision.
        revision: Revision,
    },
    /// The key exists, with a first version.
    KeyMade {
        /// That version; its path follows from it.
        version: KeyVersionId,
        /// The tenant's revision.
        revision: Revision,
    },
    /// The policy has one more grant.
    Granted {
        /// The tenant's revision.
        revision: Revision,
    },
    /// The version is in another state.
    VersionStepped {
        /// The state it is in now.
        state: VersionState,
        /// The tenant's revision.
        revision: Revision,
    },
    /// The plan is in the log.
    PlanAdopted {
        /// Its digest.
        digest: [u8; 32],
        /// The tenant's revision.
        revision: Revision,
    },
    /// The plan is active everywhere.
    PlanSettled {
        /// The tenant's revision.
        revision: Revision,
    },
    /// The plan could not be carried out any more, and is gone.
    PlanDropped {
        /// The tenant's revision.
        revision: Revision,
        /// What stood in its way.
        why: Box<Refusal>,
    },
    /// The key has one more version, which is enabled and shown first.
    VersionAdded {
        /// Which; its path follows from it.
        version: KeyVersionId,
        /// The tenant's revision.
        revision: Revision,
    },
    /// The version has one more path.
    AliasMade {
        /// The alias; its path follows from it.
        alias: AliasId,
        /// The tenant's revision.
        revision: Revision,
    },
    /// Material can be brought in under one more key.
    ImportKeyMade {
        /// Which.
        id: ImportKeyId,
        /// The tenant's revision.
        revision: Revision,
    },
    /// The person's signatures count.
    SignerEnrolled,
    /// The person's signatures count no more.
    SignerRevoked,
    /// The group's time has gone on.
    Ticked {
        /// What it is now.
        now: ClusterTime,
    },
    /// The version's material is gone.
    VersionDestroyed {
        /// The tenant's revision.
        revision: Revision,
    },
    /// The cluster has one more shard.
    ShardAdded {
        /// Which.
        shard: ShardId,
    },
    /// The cluster has one more replica; in a shard, its signatures count.
    ReplicaAdded {
        /// Which.
        replica: ReplicaId,
    },
    /// The deny entry holds no more.
    DenyLifted,
}

/// Why a command changed nothing. The text is for the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The group has no genesis entry yet.
    #[error("this group has not been set up yet; ask again once the server is ready")]
    NoGenesis,
    /// The group already has a genesis entry.
    #[error("this group is already set up")]
    GenesisRepeated,
    /// The signer is not enrolled in this group.
    #[error(
        "signer {signer} is not enrolled here; a security officer can enrol them with: ekmctl operator enrol {signer}"
    )]
    UnknownSigner {
        /// Who.
        signer: SignerId,
    },
    /// The signer was enrolled and is no more.
    #[error("signer {signer} has been revoked; a security officer can enrol a new name with a new key")]
    RevokedSigner {
        /// Who.
        signer: SignerId,
    },
    /// The signature is not the signer's over these bytes.
    #[error(
        "the signature of {signer} does not fit the bytes it came with; sign the request as it is sent, with the key that {signer} is enrolled with"
    )]
    BadSignature {
        /// Who.
        signer: SignerId,
    },
    /// A replica signed what only people ask for.
    #[error("{signer} is a replica, and only people ask for changes")]
    NotAPerson {
        /// Who.
        signer: SignerId,
    },
    /// The tenant is out of the signer's reach, or the signer's roles change no tenant.
    #[error(
        "{signer} may not change tenant {tenant}: that takes the role operator with this tenant in reach; a security officer can enrol one"
    )]
    NotAllowed {
        /// Who.
        signer: SignerId,
        /// To whom.
        tenant: TenantId,
    },
    /// The signer's roles do not allow to enrol, revoke or approve.
    #[error(
        "{signer} may not enrol or revoke people, shut anybody out, or approve that: it takes the role security_officer"
    )]
    NotOfficer {
        /// Who.
        signer: SignerId,
    },
    /// What concerns a security officer takes two of them.
    #[error(
        "{signer} is or becomes a security officer, which takes two officers: have another one approve this request"
    )]
    NeedsSecondOfficer {
        /// Whom it concerns.
        signer: SignerId,
    },
    /// The officer approves a request of their own.
    #[error("{signer} asked for this and cannot approve it too; another security officer must")]
    SameOfficer {
        /// Who.
        signer: SignerId,
    },
    /// What is approved is nothing that an approval can be for.
    #[error(
        "only the enrolment or the revocation of a security officer, a deny entry and its lifting take an approval; send this request by \
         itself"
    )]
    NothingToApprove,
    /// A name that was used is not used again, nor is a key.
    #[error(
        "{what} is enrolled already, or was once; names and keys are never used again, so take a new name and a new key"
    )]
    PersonKnown {
        /// The name, or whose key it is.
        what: String,
    },
    /// Nobody of that name is enrolled, or not any more.
    #[error("nobody of the name {signer} is enrolled; list them with: ekmctl operator list")]
    UnknownPerson {
        /// Who.
        signer: SignerId,
    },
    /// The enrolment says nothing that a person could do.
    #[error("{signer} would have no role; name at least one of viewer, operator, approver, security_officer, auditor")]
    NoRole {
        /// Who.
        signer: SignerId,
    },
    /// The enrolment reaches nothing.
    #[error("{signer} would reach no tenant; name at least one, or leave the tenants out to reach all of them")]
    NoReach {
        /// Who.
        signer: SignerId,
    },
    /// Officers must stay able to act.
    #[error("{left} security officers would be left, and what concerns one takes two of them; enrol another one first")]
    TooFewOfficers {
        /// How many would be left.
        left: usize,
    },
    /// The request is made for another cluster.
    #[error("the request names another cluster's lineage; take the lineage from this cluster's status and sign again")]
    WrongLineage,
    /// The request's bytes are no request of this format.
    #[error("the request cannot be read: {reason}")]
    MalformedRequest {
        /// What the parser said.
        reason: String,
    },
    /// The completed command is not what the operator asked for.
    #[error(
        "the command does not do what its request asks; this is a fault of the replica that completed it, so report it"
    )]
    NotWhatWasAsked,
    /// Only an operator may do this, and no request came with it.
    #[error("this needs an operator's signed request; sign one and send it")]
    RequestMissing,
    /// The idempotency id was used for another request.
    #[error("this idempotency id was used for another request; take a new one")]
    IdempotencyReused,
    /// The command belongs to another kind of group.
    #[error("this group does not hold such rows")]
    WrongGroup,
    /// The tenant is reserved for the product's own use.
    #[error("tenant {tenant} is reserved for the server itself; take another name")]
    ReservedTenant {
        /// Which.
        tenant: TenantId,
    },
    /// There is no such tenant in this group.
    #[error("there is no tenant {tenant}; create it with: ekmctl tenant create {tenant}")]
    UnknownTenant {
        /// Which.
        tenant: TenantId,
    },
    /// There is no such crypto space in the tenant.
    #[error("tenant {tenant} has no crypto space {name}; list them with: ekmctl cryptospace list --tenant {tenant}")]
    UnknownCryptoSpace {
        /// Whose.
        tenant: TenantId,
        /// Which.
        name: String,
    },
    /// There is no such key in the tenant.
    #[error("tenant {tenant} has no key {name}; list them with: ekmctl key list --tenant {tenant}")]
    UnknownKey {
        /// Whose.
        tenant: TenantId,
        /// Which.
        name: KeyName,
    },
    /// There is no such key version in the tenant.
    #[error("tenant {tenant} has no key version v0/keys/{version}; list them with: ekmctl key list --tenant {tenant}")]
    UnknownVersion {
        /// Whose.
        tenant: TenantId,
        /// Which.
        version: KeyVersionId,
    },
    /// There is no such alias in the tenant.
    #[error("tenant {tenant} has no alias v0/keys/{alias}; list them with: ekmctl key list --tenant {tenant}")]
    UnknownAlias {
        /// Whose.
        tenant: TenantId,
        /// Which.
        alias: AliasId,
    },
    /// There is no such import key in the tenant, or not any more.
    #[error("tenant {tenant} has no import key {id} in use; make one with: ekmctl import-key create --tenant {tenant}")]
    UnknownImportKey {
        /// Whose.
        tenant: TenantId,
        /// Which.
        id: ImportKeyId,
    },
    /// There is no rule of that name at that level.
    #[error("{level} has no rule {rule} in a policy of its own; see: ekmctl policy show --tenant TENANT")]
    UnknownRule {
        /// Where.
        level: String,
        /// Which.
        rule: RuleName,
    },
    /// The material is not what its check value says.
    #[error(
        "the check value of the material is {found}, not {stated}; wrap the right key, or leave the check value out"
    )]
    OtherCheckValue {
        /// What the request says.
        stated: CheckValue,
        /// What the material came to.
        found: CheckValue,
    },
    /// There is no room for another one.
    #[error("{owner} has {count} {what}, and no more fit; {remedy}")]
    TooMany {
        /// Whose.
        owner: String,
        /// Of what.
        what: String,
        /// How many there are.
        count: usize,
        /// What to do about it.
        remedy: String,
    },
    /// The time in which a destruction can be called off is too short or too long.
    #[error("a destruction window of {window_seconds} s is not between {least_seconds} s and {most_seconds} s")]
    BadWindow {
        /// What was asked.
        window_seconds: u64,
        /// The shortest.
        least_seconds: u64,
        /// The longest.
        most_seconds: u64,
    },
    /// A quota is beyond what can be counted.
    #[error("a quota is 1 to 1000000 requests a second, with a burst of 1 to 1000000")]
    BadQuota,
    /// It is not yet time to destroy it.
    #[error(
        "key version v0/keys/{version} is not due: its window has not run out, or no destruction of it is scheduled; nothing was destroyed"
    )]
    TooEarly {
        /// Which.
        version: KeyVersionId,
    },
    /// A tick does not begin where the group's time stands, or is too long.
    #[error("the tick does not go on from the group's time, or is too long; count anew from the state as it is")]
    BadTick,
    /// Something of that name exists.
    #[error("{what} {name} exists already; take another name")]
    Exists {
        /// The kind of thing.
        what: String,
        /// Its name.
        name: String,
    },
    /// The path has another owner.
    #[error("the path is taken; try again")]
    PathTaken,
    /// The version's state does not allow the step.
    #[error("key version v0/keys/{version} is {state}{}", because(*state, *event))]
    IllegalStep {
        /// Which.
        version: KeyVersionId,
        /// The state it is in.
        state: VersionState,
        /// What was asked.
        event: Event,
    },
    /// A step that takes something away must go through a plan.
    #[error("this takes something away, so it must be planned first; ask for it as an operation of its own")]
    NeedsPlan,
    /// The tenant has changed since the plan was made.
    #[error("conflict: tenant {tenant} is at revision {current}, the plan was made on {planned}; plan again")]
    Conflict {
        /// Whose.
        tenant: TenantId,
        /// Where it is.
        current: Revision,
        /// Where the plan was made.
        planned: Revision,
    },
    /// Another plan for the same thing is under way.
    #[error("another plan for {what} is under way; ask again once it has settled")]
    PlanUnsettled {
        /// What both are about.
        what: String,
    },
    /// There is no such plan, or its digest is not that of its content.
    #[error("there is no such plan; ask for the change again")]
    UnknownPlan,
    /// The plan is in another stage.
    #[error("the plan is not in the stage that was expected; look at it again")]
    WrongStage,
    /// The rule is no rule: no callers, no operations, an unknown justification code, or a caller that no operator may name.
    #[error("rule {name}: {reason}")]
    BadRule {
        /// Which.
        name: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A policy here would hide the grants of the level above.
    #[error("a policy on this key would hide the grants it inherits from {level}; add the grant to {level} instead")]
    HidesInherited {
        /// The level that decides today.
        level: String,
    },
    /// The policy would grow over its limits.
    #[error("the policy would have {rules} rules in {bytes} bytes; at most 128 rules in 12 KiB fit")]
    PolicyTooLarge {
        /// Rules it would have.
        rules: usize,
        /// Encoded bytes it would have.
        bytes: usize,
    },
    /// A part of the command is larger than its row may be.
    #[error("{what} has {bytes} bytes; at most {bytes_max} fit")]
    TooLarge {
        /// What.
        what: String,
        /// Its size.
        bytes: usize,
        /// What fits.
        bytes_max: usize,
    },
    /// Anybody can sign for the key.
    #[error(
        "the public key of {signer} is one that anybody can sign for; have {signer} make a new key, and ask who gave them this one"
    )]
    AnybodysKey {
        /// Who would be enrolled with it.
        signer: SignerId,
    },
    /// The signer's roles or reach do not allow to change the cluster.
    #[error(
        "{signer} may not change the cluster: that takes the role operator with all tenants in reach; a security officer can enrol one"
    )]
    NotForCluster {
        /// Who.
        signer: SignerId,
    },
    /// The cluster has no such shard.
    #[error("there is no shard {shard}; list them with: ekmctl shard list, or add it with: ekmctl shard add {shard}")]
    UnknownShard {
        /// Which.
        shard: ShardId,
    },
    /// The tenant lives in another shard.
    #[error("tenant {tenant} lives in shard {shard}, where it stays; leave the shard out, or name that one")]
    OtherShard {
        /// Which.
        tenant: TenantId,
        /// Where it lives.
        shard: ShardId,
    },
    /// The signer's roles or reach do not allow to add replicas.
    #[error(
        "{signer} may not add a replica: that takes the role security_officer with all tenants in reach; two security officers can enrol one"
    )]
    NotForReplicas {
        /// Who.
        signer: SignerId,
    },
    /// The id was used before.
    #[error(
        "replica {replica} is in the cluster already, or was once, and an id is never used again; give the new replica another number in its \
         settings file, on an empty data folder"
    )]
    ReplicaKnown {
        /// Which.
        replica: ReplicaId,
    },
    /// Another replica is reached there.
    #[error(
        "replica {replica} is reached at {address} already; give the new one an address of its own in its settings file"
    )]
    AddressTaken {
        /// Where.
        address: PeerAddress,
        /// Who.
        replica: ReplicaId,
    },
    /// The cluster of `ekm dev` is one process.
    #[error(
        "this cluster was made by `ekm dev`, in one process, and takes no further replica; found one with `ekm keystore` and `ekmctl cluster init`"
    )]
    OneReplica,
    /// There is no replica 0.
    #[error("replicas are numbered from 1 on; give the replica another number in its settings file")]
    ReplicaZero,
    /// What shuts somebody out, or lets them in again, takes two officers.
    #[error("this takes two security officers: have another one approve this request")]
    NeedsTwoOfficers,
    /// The officer may not shut anybody out of this tenant.
    #[error(
        "{signer} may not shut anybody out of tenant {tenant}: that takes the role security_officer with this tenant in reach"
    )]
    NotForTenant {
        /// Who.
        signer: SignerId,
        /// Whose.
        tenant: TenantId,
    },
    /// The deny entry has ended, or is about to.
    #[error("the deny entry has ended, or would within a minute by this replica's clock; ask for one that ends later")]
    DenyOver,
    /// The deny entry would last too long.
    #[error("a deny entry ends within 31 days; ask for a shorter one, and change the policy meanwhile")]
    DenyTooLong,
    /// The deny entry was lifted.
    #[error("the deny entry {entry} was lifted already, and never holds again; to shut somebody out ask for a new one")]
    DenyLifted {
        /// Which.
        entry: DenyId,
    },
}

/// Why a state does not allow an event, and what would: it is there already, another step must come first, or none leads there.
fn because(state: VersionState, event: Event) -> String {
    let leads_here = VersionState::ALL.into_iter().any(|from| lifecycle::next(from, event) == Some(state));
    if leads_here {
        return " already".to_owned();
    }
    let is_first =
        |first: &&Event| lifecycle::next(state, **first).and_then(|next| lifecycle::next(next, event)).is_some();
    match OPERATORS_STEPS.iter().find(is_first) {
        Some(first) => format!(", which does not allow to {event}; {first} it first"),
        None if state == VersionState::Destroyed => {
            ", and its material is gone for ever; use another version".to_owned()
        }
        None => format!(", which does not allow to {event}"),
    }
}

/// The steps that an operator can take with a version.
const OPERATORS_STEPS: [Event; 4] = [Event::Disable, Event::Enable, Event::Restore, Event::ScheduleDestroy];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_illegal_step_names_the_one_that_must_come_first() {
        let version = KeyVersionId::from_bytes([1; 16]);
        for (state, event, ending) in [
            (VersionState::Enabled, Event::Enable, "is enabled already"),
            (VersionState::Disabled, Event::Restore, "is disabled already"),
            (VersionState::Enabled, Event::ScheduleDestroy, "allow to schedule its destruction; disable it first"),
            (VersionState::DestroyScheduled, Event::Enable, "allow to enable; restore it first"),
            (VersionState::DestroyScheduled, Event::Disable, "is destroy_scheduled, which does not allow to disable"),
            (VersionState::Destroyed, Event::Restore, "and its material is gone for ever; use another version"),
            (VersionState::Destroyed, Event::Destroy, "is destroyed already"),
        ] {
            let text = Refusal::IllegalStep { version, state, event }.to_string();
            assert!(text.ends_with(ending), "{text}");
        }
    }
}
