//! What must hold after every entry. Tests check it after each step; a violation is a bug of `apply`.

use std::collections::BTreeSet;

use crate::ids::{AliasId, KeyVersionId, ReplicaId};

use super::apply::{IMPORT_KEYS_MAX, REACH_MAX, REMEMBERED_MAX, REPLICAS_MAX};
use super::digest::Digest;
use super::lifecycle::VersionState;
use super::policy::{POLICY_BYTES_MAX, POLICY_RULES_MAX, Policy};
use super::rows::{
    Alias, CryptoSpace, Destruction, Key, KeyVersion, Plan, QUOTA_MAX, Quota, ReplicaKind, Role, Signer, Tenant,
};
use super::state::{ROW_BYTES_MAX, State};

/// An invariant that a state breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A key version and its key do not name each other.
    #[error("key version {0} and its key do not name each other")]
    VersionWithoutKey(KeyVersionId),
    /// A key, crypto space or version belongs to a tenant that is not there.
    #[error("something belongs to a tenant that is not there: {0}")]
    Orphan(crate::ids::TenantId),
    /// A key names a crypto space that is not there.
    #[error("key {0} names a crypto space that is not there")]
    KeyWithoutSpace(crate::ids::KeyName),
    /// A key's primary is none of its versions.
    #[error("the primary of key {0} is none of its versions")]
    NoPrimary(crate::ids::KeyName),
    /// An alias and its version do not name each other, or the alias is a version's own path.
    #[error("alias {0} and its version do not name each other")]
    LooseAlias(AliasId),
    /// A version has material though it is destroyed, or none though it is not, or a time to be destroyed without reason.
    #[error("key version {0} holds what its state does not allow")]
    OddVersion(KeyVersionId),
    /// A policy is over its limits or names a rule twice.
    #[error("a policy is over its limits or names a rule twice")]
    BadPolicy,
    /// A quota is beyond what can be counted.
    #[error("a quota is beyond what can be counted")]
    BadQuota,
    /// Two signers share a key, or a person has no role, no reach or too many tenants, or a replica was revoked.
    #[error("signer {0} is one that could not have been enrolled")]
    OddSigner(crate::ids::SignerId),
    /// Two replicas share an address, or one signs that is not enrolled.
    #[error("replica {0} is one that could not have been added")]
    OddReplica(ReplicaId),
    /// There are more replicas than a cluster may have.
    #[error("there are too many replicas")]
    ManyReplicas,
    /// Two plans under way are about the same thing.
    #[error("two plans under way meet, or one is of a tenant that is not there")]
    PlansMeet,
    /// A tenant has more import keys than may be of use at the same time.
    #[error("tenant {0} has too many import keys")]
    ManyImportKeys(crate::ids::TenantId),
    /// A row is larger than rows may be.
    #[error("a row of kind {0} is too large")]
    LargeRow(u8),
    /// The remembered requests are too many, or their order does not fit them.
    #[error("the remembered requests are too many or out of order")]
    Remembered,
    /// The digest kept row by row is not the digest of the rows.
    #[error("the digest kept is {kept}, the digest of the rows is {computed}")]
    Digest {
        /// As kept.
        kept: Digest,
        /// As computed over all rows.
        computed: Digest,
    },
}

/// Checks every invariant.
///
/// # Errors
/// The first one that does not hold.
pub fn check(state: &State) -> Result<(), Violation> {
    keys(state)?;
    versions(state)?;
    aliases(state)?;
    policies(state)?;
    quotas(state)?;
    signers(state)?;
    replicas(state)?;
    plans(state)?;
    remembered(state)?;
    if let Some((key, _)) = state.rows().find(|(_, value)| value.len() > ROW_BYTES_MAX) {
        return Err(Violation::LargeRow(key[0]));
    }
    let computed = State::from_rows(state.rows()).map(|again| again.digest()).unwrap_or_default();
    if computed == state.digest() { Ok(()) } else { Err(Violation::Digest { kept: state.digest(), computed }) }
}

fn keys(state: &State) -> Result<(), Violation> {
    for ((tenant, _), _) in state.crypto_spaces() {
        state.row::<Tenant>(tenant).ok_or_else(|| Violation::Orphan(tenant.clone()))?;
    }
    for ((tenant, name), key) in state.keys() {
        state.row::<Tenant>(tenant).ok_or_else(|| Violation::Orphan(tenant.clone()))?;
        if let Some(space) = &key.crypto_space {
            let space = state.row::<CryptoSpace>(&(tenant.clone(), space.clone()));
            space.ok_or_else(|| Violation::KeyWithoutSpace(name.clone()))?;
        }
        key.versions.get(&key.primary).ok_or_else(|| Violation::NoPrimary(name.clone()))?;
        for (number, id) in &key.versions {
            let named = state.key_versions().get(id);
            let back = named.is_some_and(|row| row.tenant == *tenant && row.key == *name && row.number == *number);
            if !back {
                return Err(Violation::VersionWithoutKey(*id));
            }
        }
    }
    Ok(())
}

fn versions(state: &State) -> Result<(), Violation> {
    for (id, version) in state.key_versions() {
        let key = state.row::<Key>(&(version.tenant.clone(), version.key.clone()));
        if key.and_then(|key| key.versions.get(&version.number)) != Some(id) {
            return Err(Violation::VersionWithoutKey(*id));
        }
        let is_gone = version.state == VersionState::Destroyed;
        let is_scheduled = version.state == VersionState::DestroyScheduled;
        if is_gone != version.sealed.0.is_empty()
            || is_gone != version.canary.is_empty()
            || is_scheduled != version.destroy_at.is_some()
        {
            return Err(Violation::OddVersion(*id));
        }
        if let Some(due) = version.destroy_at
            && state.row::<Destruction>(&(due, *id)).is_none()
        {
            return Err(Violation::OddVersion(*id));
        }
        for alias in &version.aliases {
            let row = state.row::<Alias>(alias).filter(|row| row.version == *id && row.tenant == version.tenant);
            row.ok_or(Violation::LooseAlias(*alias))?;
        }
    }
    Ok(())
}

fn aliases(state: &State) -> Result<(), Violation> {
    for (alias, row) in state.aliases() {
        let named = state.row::<KeyVersion>(&row.version).is_some_and(|version| version.aliases.contains(alias));
        let is_version = state.row::<KeyVersion>(&KeyVersionId::from_bytes(*alias.as_bytes())).is_some();
        if !named || is_version {
            return Err(Violation::LooseAlias(*alias));
        }
    }
    for (due, version) in state.destructions().keys() {
        let due = Some(*due);
        let scheduled = state.row::<KeyVersion>(version).is_some_and(|row| row.destroy_at == due);
        if !scheduled {
            return Err(Violation::OddVersion(*version));
        }
    }
    for (tenant, _) in state.import_keys().keys() {
        state.row::<Tenant>(tenant).ok_or_else(|| Violation::Orphan(tenant.clone()))?;
        if state.import_keys_of(tenant).count() > IMPORT_KEYS_MAX {
            return Err(Violation::ManyImportKeys(tenant.clone()));
        }
    }
    Ok(())
}

fn quotas(state: &State) -> Result<(), Violation> {
    let tenants = state.tenants().values().filter_map(|row| row.quota);
    let spaces = state.crypto_spaces().values().filter_map(|row| row.quota);
    let keys = state.keys().values().filter_map(|row| row.quota);
    let fits = |quota: Quota| quota.per_second.get() <= QUOTA_MAX && quota.burst.get() <= QUOTA_MAX;
    if tenants.chain(spaces).chain(keys).all(fits) { Ok(()) } else { Err(Violation::BadQuota) }
}

fn signers(state: &State) -> Result<(), Violation> {
    let mut keys = BTreeSet::new();
    for (id, row) in state.signers() {
        let is_whole = match &row.role {
            Role::Replica => row.revoked_at.is_none() && row.revoked_by.is_none(),
            Role::Person { roles, tenants } => {
                let reaches = tenants.as_ref().is_none_or(|reach| (1..=REACH_MAX).contains(&reach.len()));
                !roles.is_empty() && reaches && row.revoked_at.is_some() == row.revoked_by.is_some()
            }
        };
        if !is_whole || !keys.insert(row.public_key.as_bytes()) {
            return Err(Violation::OddSigner(id.clone()));
        }
    }
    Ok(())
}

fn replicas(state: &State) -> Result<(), Violation> {
    let mut addresses = BTreeSet::new();
    for (id, row) in state.replicas() {
        let signs = match &row.kind {
            ReplicaKind::Data { signer, public_key } => state
                .row::<Signer>(signer)
                .is_some_and(|signer| signer.role == Role::Replica && signer.public_key == *public_key),
            ReplicaKind::Witness => true,
        };
        if *id == ReplicaId(0) || !signs || !addresses.insert(&row.address) {
            return Err(Violation::OddReplica(*id));
        }
    }
    if state.replicas().len() <= REPLICAS_MAX { Ok(()) } else { Err(Violation::ManyReplicas) }
}

fn plans(state: &State) -> Result<(), Violation> {
    let plans: Vec<_> = state.plans().values().map(|row| &row.plan).collect();
    let is_alone = |(at, plan): (usize, &&Plan)| {
        let mut others = plans[at + 1..].iter().filter(|other| other.tenant == plan.tenant);
        state.row::<Tenant>(&plan.tenant).is_some() && !others.any(|other| other.change.meets(&plan.change))
    };
    if plans.iter().enumerate().all(is_alone) { Ok(()) } else { Err(Violation::PlansMeet) }
}

fn policies(state: &State) -> Result<(), Violation> {
    let tenants = state.tenants().values().filter_map(|row| row.policy.as_ref());
    let spaces = state.crypto_spaces().values().filter_map(|row| row.policy.as_ref());
    let keys = state.keys().values().filter_map(|row| row.policy.as_ref());
    if tenants.chain(spaces).chain(keys).all(policy_holds) { Ok(()) } else { Err(Violation::BadPolicy) }
}

fn policy_holds(policy: &Policy) -> bool {
    let names: BTreeSet<_> = policy.rules().map(|rule| &rule.name).collect();
    let rules = policy.rules().count();
    names.len() == rules && rules <= POLICY_RULES_MAX && crate::codec::encode_row(policy).len() <= POLICY_BYTES_MAX
}

fn remembered(state: &State) -> Result<(), Violation> {
    let in_step = state.remembered_order.len() == state.remembered().len()
        && state.remembered().len() <= REMEMBERED_MAX
        && state.remembered().iter().all(|(id, row)| state.remembered_order.get(&row.index) == Some(id));
    if in_step { Ok(()) } else { Err(Violation::Remembered) }
}
