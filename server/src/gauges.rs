//! Which values the metrics read when they are asked for: the one place that ties names to sources.
//!
//! Never on the request path: the sources are read when somebody scrapes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use replication::clock::Clock;
use replication::directory::Directory;
use replication::ids::ShardId;
use replication::machine::apply::RESERVED_TENANT;
use replication::machine::digest::Digest;
use replication::machine::lifecycle::VersionState;
use replication::machine::state::State;
use replication::raft::group::Group;
use replication::raft::host::Host;

use crate::edge::tls::ServerTls;
use crate::frontend::Frontend;
use crate::keystore::KeyStore;
use crate::metrics::{AuditStep, CacheResult, ListenerLabel, Metrics};

/// How often it is looked whether there is one more group.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Ties every sampled metric to its source.
pub fn register(
    metrics: &Metrics,
    frontend: &Frontend,
    store: &Arc<KeyStore>,
    admin: (ListenerLabel, ServerTls),
    clock: &Arc<dyn Clock>,
) {
    register_frontend(metrics, frontend, clock);
    register_certificate(metrics, admin, clock);
    of_key_store(metrics, store);
}

/// Ties what a key store knows to its sources.
pub fn of_key_store(metrics: &Metrics, store: &Arc<KeyStore>) {
    let system = Arc::clone(store.system());
    deny_entries(metrics, store.directory(), store.clock());
    metrics.sample_disk_free_bytes(Box::new(move || system.room().free_bytes().map_or(f64::NAN, float)));
    let lifecycle = Arc::new(Lifecycle { store: Arc::clone(store), last: Mutex::default() });
    for state in VersionState::ALL {
        let lifecycle = Arc::clone(&lifecycle);
        metrics.sample_key_versions(state.into(), Box::new(move || float(lifecycle.count(state))));
    }
}

/// Ties those of a frontend alone.
pub fn register_frontend(metrics: &Metrics, frontend: &Frontend, clock: &Arc<dyn Clock>) {
    register_certificate(metrics, (ListenerLabel::Data, frontend.tls.clone()), clock);
    deny_entries(metrics, &frontend.service.journey.directory, clock);
    request_path(metrics, frontend, clock);
}

fn deny_entries(metrics: &Metrics, directory: &Arc<Directory>, clock: &Arc<dyn Clock>) {
    let (directory, clock) = (Arc::clone(directory), Arc::clone(clock));
    metrics.sample_deny_entries(Box::new(move || float(directory.deny_entry_count(clock.wall()) as u64)));
}

fn register_certificate(metrics: &Metrics, (label, tls): (ListenerLabel, ServerTls), clock: &Arc<dyn Clock>) {
    let clock = Arc::clone(clock);
    metrics.sample_certificate_seconds(label, Box::new(move || tls.seconds_to_expiry(clock.wall())));
}

fn request_path(metrics: &Metrics, frontend: &Frontend, clock: &Arc<dyn Clock>) {
    let service = &frontend.service;
    let of = |read: fn(&crate::edge::service::Service) -> u64| {
        let service = Arc::clone(service);
        Box::new(move || float(read(&service)))
    };
    metrics.sample_admission_shed(of(|service| service.admission.shed_total()));
    metrics.sample_admission_in_progress(of(|service| service.admission.in_progress() as u64));
    metrics.sample_quota_buckets(of(|service| service.journey.quotas.buckets() as u64));
    metrics.sample_quota_uncounted(of(|service| service.journey.quotas.uncounted_total()));
    metrics.sample_token_cache(CacheResult::Hit, of(|service| service.journey.verifier.verified_tokens().hits()));
    metrics.sample_token_cache(CacheResult::Miss, of(|service| service.journey.verifier.verified_tokens().misses()));
    metrics.sample_key_set_epoch(of(|service| {
        service.journey.verifier.key_sets().current().as_ref().map_or(0, |keys| keys.epoch())
    }));
    metrics
        .sample_key_set_fetch_failures(of(|service| service.journey.verifier.key_sets().progress().borrow().failures));
    metrics.sample_audit_records(of(|service| service.audit.standing().records));
    metrics.sample_audit_unwritten_bytes(of(|service| service.audit.standing().unwritten_bytes));
    metrics.sample_audit_lost(of(|service| service.audit.standing().lost));
    metrics.sample_audit_errors(AuditStep::Write, of(|service| service.audit.standing().write_errors));
    metrics.sample_audit_errors(AuditStep::Sync, of(|service| service.audit.standing().sync_errors));
    let (service, clock) = (Arc::clone(service), Arc::clone(clock));
    let age = move || {
        let current = service.journey.verifier.key_sets().current();
        current.as_ref().map_or(f64::NAN, |keys| clock.now().since(keys.fetched_at()).as_secs_f64())
    };
    metrics.sample_key_set_age_seconds(Box::new(age));
}

/// Ties what there is of each group to its sources: now, and whenever a shard is brought up. Until the future is dropped.
pub async fn follow_shards(metrics: Arc<Metrics>, store: Arc<KeyStore>, clock: Arc<dyn Clock>) {
    let mut shards = store.watch_shards();
    loop {
        shards.mark_unchanged();
        for (id, group) in store.groups() {
            of_group(&metrics, u32::from(id.0), &group, store.host());
        }
        for (shard, _) in store.each_shard() {
            of_shard(&metrics, &store, shard, &clock);
        }
        if shards.changed().await.is_err() {
            return;
        }
    }
}

/// Ties what there is of each group of a replica without a key store to its sources, and of those that come, until the future is
/// dropped.
pub async fn follow_groups(metrics: Arc<Metrics>, host: Arc<Host>) {
    loop {
        for group in host.groups() {
            of_group(&metrics, u32::from(group.id().0), &group, &host);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn of_group(metrics: &Metrics, number: u32, group: &Arc<Group>, host: &Arc<Host>) {
    let applied = group.watch();
    let halted = group.watch();
    let short = Arc::clone(group);
    metrics.sample_raft_applied_index(number, Box::new(move || float(applied.borrow().index.0)));
    metrics.sample_disk_short(number, Box::new(move || f64::from(u8::from(short.shortage().is_some()))));
    let (members, host) = (Arc::clone(group), Arc::clone(host));
    metrics.sample_raft_unannounced(number, Box::new(move || float(host.unannounced(&members).len() as u64)));
    metrics.sample_raft_halted(number, Box::new(move || f64::from(u8::from(halted.borrow().halted.is_some()))));
}

fn of_shard(metrics: &Metrics, store: &Arc<KeyStore>, shard: ShardId, clock: &Arc<dyn Clock>) {
    let number = u32::from(shard.group().0);
    let (serving, panics) = (Arc::clone(store), Arc::clone(store));
    metrics.sample_shard_serves(number, Box::new(move || f64::from(u8::from(serving.shard(shard).is_ok()))));
    metrics.sample_shard_panics(number, Box::new(move || panics.shard(shard).map_or(0.0, |one| float(one.panics()))));
    directory_age(metrics, store.directory(), shard, clock);
}

/// How often it is looked whether the directory knows of a further shard.
const LOOK_FOR_SHARDS_EVERY: Duration = Duration::from_secs(1);

/// Ties the age of each shard's view to the directory of a process without groups. Until the future is dropped.
pub async fn follow_directory(metrics: Arc<Metrics>, directory: Arc<Directory>, clock: Arc<dyn Clock>) {
    let mut tied = BTreeSet::new();
    loop {
        for shard in directory.groups().filter_map(ShardId::of).filter(|shard| tied.insert(*shard)) {
            directory_age(&metrics, &directory, shard, &clock);
        }
        tokio::time::sleep(LOOK_FOR_SHARDS_EVERY).await;
    }
}

fn directory_age(metrics: &Metrics, directory: &Arc<Directory>, shard: ShardId, clock: &Arc<dyn Clock>) {
    let (directory, clock) = (Arc::clone(directory), Arc::clone(clock));
    let age = move || {
        let age = directory.age(shard.group(), clock.now());
        age.and_then(|age| Some(age.known()?.as_secs_f64())).unwrap_or(f64::NAN)
    };
    metrics.sample_directory_age_seconds(u32::from(shard.group().0), Box::new(age));
}

/// Key versions by state, those of the reserved tenant not counted. A shard's are counted anew only when its state has changed: a
/// scrape of a million versions that nobody touched costs nothing.
struct Lifecycle {
    store: Arc<KeyStore>,
    last: Mutex<BTreeMap<ShardId, Counted>>,
}

/// What was counted of one shard, and in which state of it.
type Counted = (Digest, BTreeMap<VersionState, u64>);

impl Lifecycle {
    fn count(&self, state: VersionState) -> u64 {
        let mut last = self.last.lock();
        let shown = self.store.shown().into_iter();
        let of_one = |(shard, now): (ShardId, State)| {
            let known = last.remove(&shard).filter(|(digest, _)| *digest == now.digest());
            let counted = known.unwrap_or_else(|| (now.digest(), by_state(&now)));
            let count = counted.1.get(&state).copied().unwrap_or(0);
            last.insert(shard, counted);
            count
        };
        shown.map(of_one).sum()
    }
}

fn by_state(state: &State) -> BTreeMap<VersionState, u64> {
    let mut counts = BTreeMap::new();
    for version in state.key_versions().values().filter(|version| version.tenant.as_str() != RESERVED_TENANT) {
        *counts.entry(version.state).or_default() += 1;
    }
    counts
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a double; counts beyond 2^53 do not occur")]
fn float(value: u64) -> f64 {
    value as f64
}
