//! Names that stand in several rows lie in memory once: with a million key versions they would be a tenth of it. Rows are equal and
//! encoded alike either way.

use crate::ids::{KeyName, KeyVersionId, TenantId};
use crate::machine::rows::{Key, KeyVersion, Tenant};

use super::State;

/// A tenant's name stays where it was first.
pub(super) fn tenant(key: &mut TenantId, _: &mut Tenant, state: &State) {
    if let Some((known, _)) = state.tenants().get_key_value(key) {
        key.clone_from(known);
    }
}

/// A key's name stays where it was first, and its tenant is that of the tenant's row.
pub(super) fn key(key: &mut (TenantId, KeyName), _: &mut Key, state: &State) {
    if let Some((known, _)) = state.keys().get_key_value(key) {
        key.clone_from(known);
    } else if let Some((tenant, _)) = state.tenants().get_key_value(&key.0) {
        key.0.clone_from(tenant);
    }
}

/// A version's tenant and key are those of the key's row.
pub(super) fn version(_: &mut KeyVersionId, row: &mut KeyVersion, state: &State) {
    let named = (row.tenant.clone(), row.key.clone());
    if let Some(((tenant, key), _)) = state.keys().get_key_value(&named) {
        row.tenant.clone_from(tenant);
        row.key.clone_from(key);
    } else if let Some((tenant, _)) = state.tenants().get_key_value(&row.tenant) {
        // it is written before its key
        row.tenant.clone_from(tenant);
    }
}

#[cfg(test)]
#[path = "sharing_tests.rs"]
mod tests;
