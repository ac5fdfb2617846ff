//! What runs once a data replica belongs to its cluster: its feeds and duties, its count of time, and the API for operators.
//!
//! Stops nothing: the end is the caller's.

use std::sync::Arc;

use replication::clock::Clock;

use crate::admin::routes::{self, Admin, BODY_TIME_MAX, Plane};
use crate::admin::switching::Switch;
use crate::authn::{ClockVerdict, Verifier, key_set_channel};
use crate::edge::leftovers::Leftovers;
use crate::edge::tls::ServerTls;
use crate::gauges;
use crate::health::Readiness;
use crate::keystore::KeyStore;
use crate::lookup::{Lookup, TenantKeys};
use crate::metrics::{ListenerLabel, Metrics};
use crate::operations::Journey;
use crate::policy::UnknownReasons;
use crate::process::runtimes::Planes;
use crate::quota::Quotas;

use super::prepared::Prepared;
use super::readiness;

/// Opened keys that explaining keeps: none, since it opens none.
const OPENED_MAX: u64 = 0;

/// What a data replica's key store is served with.
pub(super) struct Serving {
    pub(super) store: Arc<KeyStore>,
    pub(super) tenant_keys: Arc<TenantKeys>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) leftovers: Leftovers,
    pub(super) admin_tls: ServerTls,
}

impl Serving {
    /// Starts all of it, and has the listener for operators answer with the whole API.
    pub(super) fn start(&self, prepared: &Prepared, switch: &Switch, planes: &Planes) {
        let store = &self.store;
        planes.feeds.spawn_endless("feeds", Arc::clone(store).feed_all());
        planes.control.spawn_endless("shards", Arc::clone(store).follow_shards());
        planes.control.spawn_endless("shut out here", Arc::clone(store).take_in_deny_entries());
        planes.control.spawn_endless("duties", Arc::clone(store).do_duties());
        planes.control.spawn_endless("cluster time", Arc::clone(store).keep_time());
        let (metrics, clock) = (Arc::clone(&prepared.metrics), Arc::clone(&prepared.clock));
        planes.control.spawn_endless("gauges", gauges::follow_shards(metrics, Arc::clone(store), clock));
        gauges::of_key_store(&prepared.metrics, store);
        switch.to(routes::router(self.admin(prepared)));
        let (readiness, clock) = (Arc::clone(&self.readiness), Arc::clone(&prepared.clock));
        planes.health.spawn_endless("readiness", readiness::of_key_store(readiness, clock, Arc::clone(store)));
    }

    fn admin(&self, prepared: &Prepared) -> Admin {
        Admin {
            store: Arc::clone(&self.store),
            readiness: Arc::clone(&self.readiness),
            plane: Plane::Elsewhere(Arc::new(self.journey(prepared))),
            leftovers: self.leftovers.clone(),
            clock: Arc::clone(&prepared.clock),
            certificates: Arc::new([("admin", self.admin_tls.clone())]),
            body_time_max: BODY_TIME_MAX,
        }
    }

    /// What `explain` walks: nobody calls this process, so it verifies no token, counts no quota and opens no key.
    fn journey(&self, prepared: &Prepared) -> Journey {
        let (reader, _) = key_set_channel();
        let clock: Arc<dyn Clock> = Arc::clone(&prepared.clock);
        Journey {
            verifier: Arc::new(Verifier::new(reader, Arc::clone(&clock))),
            clock_verdict: ClockVerdict::alone(),
            directory: Arc::clone(self.store.directory()),
            unknown_reasons: UnknownReasons::default(),
            quotas: Arc::new(Quotas::default()),
            lookup: Arc::new(Lookup::new(Arc::clone(&self.tenant_keys), Arc::clone(&prepared.arena), OPENED_MAX)),
            entropy: Arc::clone(&prepared.entropy),
            clock,
        }
    }
}

/// Watches the certificate that operators are shown.
pub(super) fn watch_admin_certificate(prepared: &Prepared, tls: &ServerTls, metrics: &Arc<Metrics>, planes: &Planes) {
    let (of_gauge, clock) = (tls.clone(), Arc::clone(&prepared.clock));
    metrics
        .sample_certificate_seconds(ListenerLabel::Admin, Box::new(move || of_gauge.seconds_to_expiry(clock.wall())));
    crate::process::certificates::watch(
        vec![(ListenerLabel::Admin, tls.clone())],
        prepared.settings.look_every,
        Arc::clone(&prepared.look_at_certificates),
        (metrics, &prepared.clock),
        &planes.control,
    );
}
