//! Which values the metrics read when they are asked for: the one place that ties names to sources.
//!
//! Never on the request path: the sources are read when somebody scrapes.

use std::sync::Arc;

use replication::clock::Clock;
use replication::ids::{GroupId, ShardId};
use replication::machine::lifecycle::VersionState;

use crate::edge::tls::ServerTls;
use crate::frontend::Frontend;
use crate::keystore::KeyStore;
use crate::metrics::{CacheResult, ListenerLabel, Metrics};

/// Ties every sampled metric to its source.
pub fn register(
    metrics: &Metrics,
    frontend: &Frontend,
    store: &Arc<KeyStore>,
    admin: (ListenerLabel, ServerTls),
    clock: &Arc<dyn Clock>,
) {
    for (label, tls) in [(ListenerLabel::Data, frontend.tls.clone()), admin] {
        let clock = Arc::clone(clock);
        metrics.sample_certificate_days(label, Box::new(move || tls.days_to_expiry(clock.wall())));
    }
    request_path(metrics, frontend, clock);
    groups(metrics, store, clock);
    for state in VersionState::ALL {
        let store = Arc::clone(store);
        metrics.sample_key_versions(state.into(), Box::new(move || count(store.key_versions(state))));
    }
}

fn request_path(metrics: &Metrics, frontend: &Frontend, clock: &Arc<dyn Clock>) {
    let service = &frontend.service;
    let of = |read: fn(&crate::edge::service::Service) -> u64| {
        let service = Arc::clone(service);
        Box::new(move || float(read(&service)))
    };
    metrics.sample_admission_shed(of(|service| service.admission.shed_total()));
    metrics.sample_admission_in_progress(of(|service| service.admission.in_progress() as u64));
    metrics.sample_token_cache(CacheResult::Hit, of(|service| service.journey.verifier.verified_tokens().hits()));
    metrics.sample_token_cache(CacheResult::Miss, of(|service| service.journey.verifier.verified_tokens().misses()));
    metrics.sample_key_set_epoch(of(|service| {
        service.journey.verifier.key_sets().current().as_ref().map_or(0, |keys| keys.epoch())
    }));
    metrics
        .sample_key_set_fetch_failures(of(|service| service.journey.verifier.key_sets().progress().borrow().failures));
    metrics.sample_audit_records(of(|service| service.audit.standing().records));
    metrics.sample_audit_unwritten_bytes(of(|service| service.audit.standing().unwritten_bytes));
    let (service, clock) = (Arc::clone(service), Arc::clone(clock));
    let age = move || {
        let current = service.journey.verifier.key_sets().current();
        current.as_ref().map_or(f64::NAN, |keys| clock.now().since(keys.fetched_at()).as_secs_f64())
    };
    metrics.sample_key_set_age_seconds(Box::new(age));
}

fn groups(metrics: &Metrics, store: &Arc<KeyStore>, clock: &Arc<dyn Clock>) {
    for (id, group) in store.groups() {
        let number = u32::from(id.0);
        let applied = group.watch();
        let halted = group.watch();
        metrics.sample_raft_applied_index(number, Box::new(move || float(applied.borrow().index.0)));
        metrics.sample_raft_halted(number, Box::new(move || f64::from(u8::from(halted.borrow().halted.is_some()))));
    }
    let shard: GroupId = ShardId::FIRST.group();
    let (store, clock) = (Arc::clone(store), Arc::clone(clock));
    let age = move || store.directory().age(shard, clock.now()).map_or(f64::NAN, |age| age.elapsed().as_secs_f64());
    metrics.sample_directory_age_seconds(u32::from(shard.0), Box::new(age));
}

fn count(value: usize) -> f64 {
    float(value as u64)
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a double; counts beyond 2^53 do not occur")]
fn float(value: u64) -> f64 {
    value as f64
}
