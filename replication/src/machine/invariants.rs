//! What must hold after every entry. Tests check it after each step; a violation is a bug of `apply`.

use crate::ids::KeyVersionId;

use super::apply::REMEMBERED_MAX;
use super::digest::Digest;
use super::policy::{POLICY_BYTES_MAX, POLICY_RULES_MAX, Policy};
use super::rows::{CryptoSpace, Key, Tenant};
use super::state::State;

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
    /// A policy is over its limits or names a rule twice.
    #[error("a policy is over its limits or names a rule twice")]
    BadPolicy,
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
    policies(state)?;
    remembered(state)?;
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
    }
    Ok(())
}

fn policies(state: &State) -> Result<(), Violation> {
    let tenants = state.tenants().values().filter_map(|row| row.policy.as_ref());
    let spaces = state.crypto_spaces().values().filter_map(|row| row.policy.as_ref());
    let keys = state.keys().values().filter_map(|row| row.policy.as_ref());
    if tenants.chain(spaces).chain(keys).all(policy_holds) { Ok(()) } else { Err(Violation::BadPolicy) }
}

fn policy_holds(policy: &Policy) -> bool {
    let names: std::collections::BTreeSet<_> = policy.rules().map(|rule| &rule.name).collect();
    let rules = policy.rules().count();
    names.len() == rules && rules <= POLICY_RULES_MAX && crate::codec::encode_row(policy).len() <= POLICY_BYTES_MAX
}

fn remembered(state: &State) -> Result<(), Violation> {
    let in_step = state.remembered_order.len() == state.remembered().len()
        && state.remembered().len() <= REMEMBERED_MAX
        && state.remembered().iter().all(|(id, row)| state.remembered_order.get(&row.index) == Some(id));
    if in_step { Ok(()) } else { Err(Violation::Remembered) }
}
