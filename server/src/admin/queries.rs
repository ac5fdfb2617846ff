//! What operators look at, read from the state as applied here. A tenant out of an operator's reach, and the reserved one,
//! is not shown and not counted.

use std::collections::BTreeMap;

use replication::ids::{GroupId, KeyVersionId, TenantId, crypto_space_path, key_path};
use replication::machine::lifecycle::VersionState;
use replication::machine::rows::{Key, KeyVersion};
use replication::machine::state::State;

use crate::health::Readiness;
use crate::keystore::KeyStore;

use super::operator::Operator;
use super::wire::{CryptoSpaceBody, GroupStatus, KeyBody, OwnedVersionBody, Status, TenantBody, VersionBody};

pub(super) fn status(store: &KeyStore, readiness: &Readiness, operator: &Operator) -> Status {
    let state = store.shard_state();
    let unready_reasons = readiness.reasons(store.now());
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        lineage: store.lineage(),
        dev: state.meta().is_some_and(|meta| meta.dev),
        groups: groups(store),
        tenants: state.tenants().keys().filter(|tenant| operator.reaches(tenant)).count(),
        key_versions: key_versions(&state, operator),
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
            age_seconds: store.directory().age(id, now).and_then(|age| Some(age.known()?.as_secs_f64())),
        }
    };
    store.groups().into_iter().map(one).collect()
}

/// Key versions by state, every state named.
pub(super) fn key_versions(state: &State, operator: &Operator) -> BTreeMap<VersionState, usize> {
    let mut counts: BTreeMap<_, _> = VersionState::ALL.into_iter().map(|state| (state, 0)).collect();
    for version in state.key_versions().values().filter(|version| operator.reaches(&version.tenant)) {
        *counts.entry(version.state).or_default() += 1;
    }
    counts
}

pub(super) fn tenants(state: &State, operator: &Operator) -> Vec<TenantBody> {
    let body = |(tenant, row): (&TenantId, &std::sync::Arc<replication::machine::rows::Tenant>)| TenantBody {
        tenant: tenant.clone(),
        revision: row.revision,
        staleness: row.staleness,
        policy: row.policy.clone(),
        created_at: row.created_at,
    };
    state.tenants().iter().filter(|(tenant, _)| operator.reaches(tenant)).map(body).collect()
}

/// The crypto spaces of a tenant; `None` if there is no such tenant.
pub(super) fn crypto_spaces(state: &State, tenant: &TenantId, operator: &Operator) -> Option<Vec<CryptoSpaceBody>> {
    shown(state, tenant, operator)?;
    let spaces = state.crypto_spaces_of(tenant).map(|(name, space)| CryptoSpaceBody {
        name: name.to_string(),
        path: crypto_space_path(space.id),
        policy: space.policy.clone(),
        created_at: space.created_at,
    });
    Some(spaces.collect())
}

/// The keys of a tenant; `None` if there is no such tenant.
pub(super) fn keys(state: &State, tenant: &TenantId, operator: &Operator) -> Option<Vec<KeyBody>> {
    shown(state, tenant, operator)?;
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
pub(super) fn version(state: &State, id: KeyVersionId, operator: &Operator) -> Option<OwnedVersionBody> {
    let row = state.key_versions().get(&id)?;
    shown(state, &row.tenant, operator)?;
    let revision = state.tenants().get(&row.tenant)?.revision;
    let version = version_body(id, row);
    Some(OwnedVersionBody { tenant: row.tenant.clone(), revision, key: row.key.to_string(), version })
}

fn shown(state: &State, tenant: &TenantId, operator: &Operator) -> Option<()> {
    (operator.reaches(tenant) && state.tenants().contains_key(tenant)).then_some(())
}

#[cfg(test)]
mod tests {
    use replication::ids::{LogIndex, ShardId};
    use replication::machine::outcome::Outcome;
    use replication::machine::roles::PersonRole;
    use replication::testkit::Author;

    use super::*;

    /// Two tenants, each with a crypto space, and a key whose version has the given id.
    fn two_tenants(versions: &[(&str, KeyVersionId)]) -> State {
        let author = Author::default();
        let mut entries = vec![author.genesis(ShardId::FIRST.group())];
        for (tenant, id) in versions {
            let tenant: TenantId = tenant.parse().expect("a tenant");
            let (space, key) = ("s".parse().expect("a name"), "k".parse().expect("a name"));
            entries.push(author.create_tenant(&tenant));
            entries.push(author.create_crypto_space(&tenant, &space));
            entries.push(author.create_key(&tenant, &key, Some(&space), *id));
        }
        let mut state = State::empty();
        for (index, entry) in (1..).zip(&entries) {
            let transition = state.apply(LogIndex(index), entry).expect("this release's own entries decode");
            assert!(matches!(transition.outcome, Outcome::Done(_)), "{:?}", transition.outcome);
            state = transition.state;
        }
        state
    }

    #[test]
    fn a_tenant_out_of_reach_looks_as_if_it_were_not_there() {
        let [one, two] = [1, 2].map(|byte| KeyVersionId::from_bytes([byte; 16]));
        let state = two_tenants(&[("one", one), ("two", two)]);
        let id: replication::ids::SignerId = "operator-1".parse().expect("a name");
        let name = |text: &str| -> TenantId { text.parse().expect("a tenant") };
        let seen_by = |tenants| {
            let operator = Operator { id: id.clone(), roles: [PersonRole::Viewer].into(), tenants };
            let listed: Vec<_> = tenants_of(&state, &operator);
            let each = ["one", "two", "none"].map(|tenant| {
                let tenant = name(tenant);
                let spaces = crypto_spaces(&state, &tenant, &operator).map(|list| list.len());
                (keys(&state, &tenant, &operator).map(|list| list.len()), spaces)
            });
            let versions = [one, two].map(|id| version(&state, id, &operator).is_some());
            let counted: usize = key_versions(&state, &operator).values().sum();
            (listed, each, versions, counted)
        };
        let (all, none) = ((Some(1), Some(1)), (None, None));
        assert_eq!(seen_by(None), (vec!["one".to_owned(), "two".to_owned()], [all, all, none], [true, true], 2));
        assert_eq!(seen_by(Some([name("one")].into())), (vec!["one".to_owned()], [all, none, none], [true, false], 1));
        assert_eq!(seen_by(Some([].into())), (Vec::new(), [none; 3], [false, false], 0));
        let reserved =
            Operator { id: id.clone(), roles: [PersonRole::Viewer].into(), tenants: Some([name("system")].into()) };
        assert!(!reserved.reaches(&name("system")));
    }

    fn tenants_of(state: &State, operator: &Operator) -> Vec<String> {
        tenants(state, operator).into_iter().map(|body| body.tenant.to_string()).collect()
    }
}
