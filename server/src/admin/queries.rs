//! What operators look at, read from the state as applied here. The reserved tenant is not shown.

use std::collections::BTreeMap;

use replication::ids::{GroupId, KeyVersionId, TenantId, crypto_space_path, key_path};
use replication::machine::apply::RESERVED_TENANT;
use replication::machine::lifecycle::VersionState;
use replication::machine::rows::{Key, KeyVersion};
use replication::machine::state::State;

use crate::health::Readiness;
use crate::keystore::KeyStore;

use super::wire::{CryptoSpaceBody, GroupStatus, KeyBody, OwnedVersionBody, Status, TenantBody, VersionBody};

pub(super) fn status(store: &KeyStore, readiness: &Readiness) -> Status {
    let state = store.shard_state();
    let unready_reasons = readiness.reasons(store.now());
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        lineage: store.lineage(),
        dev: state.meta().is_some_and(|meta| meta.dev),
        groups: groups(store),
        tenants: state.tenants().keys().filter(|tenant| !reserved(tenant)).count(),
        key_versions: key_versions(&state),
        ready: unready_reasons.is_empty(),
        unready_reasons,
    }
}

fn groups(store: &KeyStore) -> Vec<GroupStatus> {
    let now = store.now();
    let one = |(id, group): (GroupId, &std::sync::Arc<replication::raft::group::Group>)| {
        let watch = group.watch();
        let applied = watch.borrow();
        GroupStatus {
            group: id,
            applied: applied.index,
            halted: applied.halted,
            digest: applied.state.digest().to_string(),
            age_seconds: store.directory().age(id, now).map(|age| age.elapsed().as_secs_f64()),
        }
    };
    store.groups().into_iter().map(one).collect()
}

/// Key versions by state, every state named, those of the reserved tenant not counted.
pub(super) fn key_versions(state: &State) -> BTreeMap<VersionState, usize> {
    let mut counts: BTreeMap<_, _> = VersionState::ALL.into_iter().map(|state| (state, 0)).collect();
    for version in state.key_versions().values().filter(|version| !reserved(&version.tenant)) {
        *counts.entry(version.state).or_default() += 1;
    }
    counts
}

fn reserved(tenant: &TenantId) -> bool {
    tenant.as_str() == RESERVED_TENANT
}

pub(super) fn tenants(state: &State) -> Vec<TenantBody> {
    let body = |(tenant, row): (&TenantId, &std::sync::Arc<replication::machine::rows::Tenant>)| TenantBody {
        tenant: tenant.clone(),
        revision: row.revision,
        staleness: row.staleness,
        policy: row.policy.clone(),
        created_at: row.created_at,
    };
    state.tenants().iter().filter(|(tenant, _)| !reserved(tenant)).map(body).collect()
}

/// The crypto spaces of a tenant; `None` if there is no such tenant.
pub(super) fn crypto_spaces(state: &State, tenant: &TenantId) -> Option<Vec<CryptoSpaceBody>> {
    shown(state, tenant)?;
    let spaces = state.crypto_spaces_of(tenant).map(|(name, space)| CryptoSpaceBody {
        name: name.to_string(),
        path: crypto_space_path(space.id),
        policy: space.policy.clone(),
        created_at: space.created_at,
    });
    Some(spaces.collect())
}

/// The keys of a tenant; `None` if there is no such tenant.
pub(super) fn keys(state: &State, tenant: &TenantId) -> Option<Vec<KeyBody>> {
    shown(state, tenant)?;
    let keys = state.keys_of(tenant).map(|(name, key)| KeyBody {
        name: name.to_string(),
        crypto_space: key.crypto_space.as_ref().map(ToString::to_string),
        purpose: key.purpose,
        policy: key.policy.clone(),
        primary: key.primary,
        versions: versions(state, key),
        created_at: key.created_at,
    });
    Some(keys.collect())
}

fn versions(state: &State, key: &Key) -> Vec<VersionBody> {
    let row = |id: &KeyVersionId| state.key_versions().get(id).map(|row| version_body(*id, row));
    key.versions.values().filter_map(row).collect()
}

fn version_body(id: KeyVersionId, row: &KeyVersion) -> VersionBody {
    VersionBody {
        number: row.number,
        path: key_path(id),
        state: row.state,
        algorithm: row.algorithm,
        origin: row.origin,
        created_at: row.created_at,
    }
}

/// One key version with its owner; `None` if no shown tenant has it.
pub(super) fn version(state: &State, id: KeyVersionId) -> Option<OwnedVersionBody> {
    let row = state.key_versions().get(&id)?;
    shown(state, &row.tenant)?;
    let revision = state.tenants().get(&row.tenant)?.revision;
    let version = version_body(id, row);
    Some(OwnedVersionBody { tenant: row.tenant.clone(), revision, key: row.key.to_string(), version })
}

fn shown(state: &State, tenant: &TenantId) -> Option<()> {
    (!reserved(tenant) && state.tenants().contains_key(tenant)).then_some(())
}
