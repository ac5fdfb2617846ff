//! How the cluster and this machine stand, for a person or for `ekmctl doctor`: what gauges and health know already, in one
//! body. Finds nothing out by itself, and asks no other machine.

use std::collections::BTreeMap;
use std::sync::Arc;

use replication::ids::{GroupId, ShardId};
use replication::machine::lifecycle::VersionState;
use replication::machine::state::State;
use replication::raft::group::Group;

use crate::edge::service::Service;
use crate::keystore::{KeyStore, Shard, ShardDown};

use super::person::Person;
use super::routes::Admin;
use super::wire::{
    AuditStatus, CertificateStatus, DiskStatus, GroupStatus, KeySetStatus, LoadStatus, ShardStatus, Status,
};

pub(super) fn status(admin: &Admin, person: &Person) -> Status {
    let store = &admin.store;
    let shown = store.shown();
    let service = admin.plane.service();
    let unready_reasons = admin.readiness.reasons(store.now());
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        lineage: store.lineage(),
        dev: store.system_state().meta().is_some_and(|meta| meta.dev),
        groups: groups(admin),
        shards: shards(store, person),
        tenants: store.system_state().placements().keys().filter(|tenant| person.reaches(tenant)).count(),
        key_versions: key_versions(shown.iter().map(|(_, state)| state), person),
        ready: unready_reasons.is_empty(),
        unready_reasons,
        disk: disk(admin),
        certificates: certificates(admin),
        key_set: service.map(key_set),
        audit: service.map(audit),
        load: service.map(|service| LoadStatus {
            in_progress: service.admission.in_progress(),
            shed_total: service.admission.shed_total(),
        }),
    }
}

fn groups(admin: &Admin) -> Vec<GroupStatus> {
    let now = admin.store.now();
    let one = |(id, group): (GroupId, Arc<Group>)| {
        let watch = group.watch();
        let applied = watch.borrow();
        GroupStatus {
            group: id,
            applied: applied.index,
            halted: applied.halted,
            digest: applied.state.digest().to_string(),
            age_seconds: admin.store.directory().age(id, now).and_then(|age| Some(age.known()?.as_secs_f64())),
        }
    };
    admin.store.groups().into_iter().map(one).collect()
}

/// Every shard that group 0 names, and how it stands here.
pub(super) fn shards(store: &KeyStore, person: &Person) -> Vec<ShardStatus> {
    let system = store.system_state();
    let one = |(shard, standing): (ShardId, Result<Arc<Shard>, ShardDown>)| {
        let placed = system.placements().iter().filter(|(tenant, row)| row.shard == shard && person.reaches(tenant));
        let trouble = match &standing {
            Ok(up) => up.takes_none().map(|why| why.to_string()),
            Err(down) => Some(down.why()),
        };
        ShardStatus {
            shard,
            serves: standing.is_ok(),
            takes_changes: trouble.is_none(),
            trouble,
            tenants: placed.count(),
            task_panics: standing.map_or(0, |up| up.panics()),
        }
    };
    store.each_shard().into_iter().map(one).collect()
}

/// Key versions by state, every state named.
pub(super) fn key_versions<'a>(
    states: impl Iterator<Item = &'a State>,
    person: &Person,
) -> BTreeMap<VersionState, usize> {
    let mut counts: BTreeMap<_, _> = VersionState::ALL.into_iter().map(|state| (state, 0)).collect();
    let versions = states.flat_map(|state| state.key_versions().values());
    for version in versions.filter(|version| person.reaches(&version.tenant)) {
        *counts.entry(version.state).or_default() += 1;
    }
    counts
}

fn disk(admin: &Admin) -> DiskStatus {
    let groups = admin.store.groups();
    let shortage = groups.iter().find_map(|(_, group)| group.shortage()).map(|shortage| shortage.to_string());
    DiskStatus { free_bytes: admin.store.system().room().free_bytes(), is_short: shortage.is_some(), shortage }
}

fn certificates(admin: &Admin) -> Vec<CertificateStatus> {
    let now = admin.clock.wall();
    let one = |(listener, tls): &(&str, crate::edge::tls::ServerTls)| CertificateStatus {
        listener: (*listener).to_owned(),
        expires_in_seconds: tls.seconds_to_expiry(now),
    };
    admin.certificates.iter().map(one).collect()
}

fn key_set(service: &Service) -> KeySetStatus {
    let journey = &service.journey;
    let sets = journey.verifier.key_sets();
    let current = sets.current();
    let progress = *sets.progress().borrow();
    KeySetStatus {
        is_loaded: current.is_some(),
        age_seconds: current.as_ref().map(|keys| journey.clock.now().since(keys.fetched_at()).as_secs_f64()),
        attempts: progress.attempts,
        failures: progress.failures,
    }
}

fn audit(service: &Service) -> AuditStatus {
    let standing = service.audit.standing();
    AuditStatus {
        records: standing.records,
        unwritten_bytes: standing.unwritten_bytes,
        write_errors: standing.write_errors,
        sync_errors: standing.sync_errors,
        lost_records: standing.lost,
    }
}
