//! The frontend's assembly: what answers Google, put together from settings and from what the key store feeds it.
//!
//! It decides nothing; it owns the audit spool and the key set's task, and no other state.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use replication::clock::Clock;
use replication::directory::Directory;
use replication::ids::GroupId;

use crate::audit::{Audit, AuditFile};
use crate::authn::{ClockVerdict, ProbeVerifier, Verifier, key_set_channel, key_set_task};
use crate::crypto::{Arena, Entropy};
use crate::edge::admission::Admission;
use crate::edge::alarms::Alarms;
use crate::edge::google;
use crate::edge::leftovers::Leftovers;
use crate::edge::listener::{BindError, Listener};
use crate::edge::service::Service;
use crate::edge::tls::{ServerTls, TlsError};
use crate::health::probe::Condition;
use crate::lookup::{Looked, Lookup, RELEASE_EVERY, TenantKeys};
use crate::metrics::{ListenerLabel, Metrics};
use crate::operations::Journey;
use crate::quota::Quotas;
use crate::settings::ServingSettings;
use crate::tasks::Tasks;

/// How often drained buckets of quotas are let go of.
const QUOTA_SWEEP_EVERY: Duration = Duration::from_mins(1);

/// What a frontend is given beside its settings.
pub struct Given {
    /// What the key store publishes.
    pub directory: Arc<Directory>,
    /// The tenant keys that the key store hands over.
    pub tenant_keys: Arc<TenantKeys>,
    /// Where unsealed material lies.
    pub arena: Arc<Arena>,
    /// Nonces and request ids.
    pub entropy: Arc<dyn Entropy>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Whether the wall clock agrees with others'.
    pub clock_verdict: ClockVerdict,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The process's own probe.
    pub probe: ProbeVerifier,
}

/// Why a frontend does not start.
#[derive(Debug, thiserror::Error)]
pub enum FrontendError {
    /// Its certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Its address cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Its audit file cannot be opened.
    #[error("cannot open the audit file {}", path.display())]
    Audit {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A running frontend.
pub struct Frontend {
    /// What it answers with.
    pub service: Arc<Service>,
    /// What it presents.
    pub tls: ServerTls,
    /// Where it listens.
    pub address: SocketAddr,
    audit: AuditFile,
}

impl Frontend {
    /// Binds and serves; tasks that must not wait for requests run apart, in `background`.
    ///
    /// # Errors
    /// See [`FrontendError`]; nothing runs then. Must be called within the data plane's runtime.
    pub fn start(
        settings: ServingSettings,
        given: Given,
        data: &Tasks,
        background: &Tasks,
    ) -> Result<Self, FrontendError> {
        let tls = ServerTls::load(settings.tls.clone(), given.clock.wall())?;
        let listener = Listener::bind(settings.data_address)?;
        let address = listener.local_addr();
        let audit = AuditFile::open(&settings.audit_file)
            .map_err(|source| FrontendError::Audit { path: settings.audit_file.clone(), source })?;
        let (reader, publisher) = key_set_channel();
        let quotas = Arc::new(Quotas::default());
        sweep_quotas(Arc::clone(&quotas), Arc::clone(&given.clock), background);
        follow_key_set(&settings, &given, publisher, background);
        let metrics = Arc::clone(&given.metrics);
        let unsealed_max = u64::from(settings.data.unsealed_max.get());
        let audit_log = Arc::clone(audit.log());
        let service = Arc::new(Service {
            audit: Audit::new(audit_log, Arc::clone(&given.clock), &settings.name),
            journey: Journey {
                verifier: Arc::new(Verifier::new(reader, Arc::clone(&given.clock)).with_probe(given.probe)),
                clock_verdict: given.clock_verdict,
                directory: given.directory,
                unknown_reasons: settings.data.unknown_reasons,
                quotas,
                lookup: Arc::new(Lookup::new(given.tenant_keys, given.arena, unsealed_max)),
                entropy: given.entropy,
                clock: given.clock,
            },
            metrics: given.metrics,
            alarms: Alarms::default(),
            leftovers: Leftovers::default(),
            admission: Admission::new(settings.data.in_progress_max),
            settings: settings.data.dialect,
        });
        release_keys(Arc::clone(&service), background);
        let router = google::router(Arc::clone(&service));
        let counters = metrics.connections(ListenerLabel::Data);
        let stop = data.stop_signal().clone();
        data.spawn("data listener", listener.serve(Some(tls.clone()), settings.data.limits, router, counters, stop));
        Ok(Self { service, tls, address, audit })
    }

    /// Waits for what refused requests left on the wire, then writes out and syncs what the audit still holds. The last step of a
    /// shutdown.
    pub async fn finish(self) {
        self.service.leftovers.ended().await;
        drop(self.audit);
    }
}

fn follow_key_set(
    settings: &ServingSettings,
    given: &Given,
    publisher: crate::authn::source::KeySetPublisher,
    background: &Tasks,
) {
    let (source, clock) = (settings.key_set.clone(), Arc::clone(&given.clock));
    let stop = background.stop_signal().clone();
    background.spawn("key set", async move {
        if let Err(error) = key_set_task(source, publisher, clock, stop).await {
            tracing::error!(%error, "the key set cannot be fetched: no client can be made; callers get 503");
        }
    });
}

/// Material that nobody may use any more stays in no memory.
fn release_keys(service: Arc<Service>, background: &Tasks) {
    let stop = background.stop_signal().clone();
    background.spawn("key release", async move {
        let mut looked = Looked::default();
        while stop.run_until_cancelled(tokio::time::sleep(RELEASE_EVERY)).await.is_some() {
            service.journey.lookup.release(&service.journey.directory, &mut looked);
        }
    });
}

/// Counting itself lets go of nothing, so that no request waits for it.
fn sweep_quotas(quotas: Arc<Quotas>, clock: Arc<dyn Clock>, background: &Tasks) {
    let stop = background.stop_signal().clone();
    background.spawn("quota sweep", async move {
        while stop.run_until_cancelled(tokio::time::sleep(QUOTA_SWEEP_EVERY)).await.is_some() {
            quotas.sweep(clock.now());
        }
    });
}

/// What must hold beside a good probe before the frontend counts as ready.
pub fn conditions(service: &Arc<Service>) -> Vec<Condition> {
    let (keys, lookup, views) = (Arc::clone(service), Arc::clone(service), Arc::clone(service));
    vec![
        Box::new(move || {
            let (directory, now) = (&views.journey.directory, views.journey.clock.now());
            let is_known = |group| directory.age(group, now).map(|age| age.known().is_some());
            let shards = || directory.groups().filter(|group| *group != GroupId::SYSTEM).filter_map(is_known);
            // one shard that can be served is reason enough for traffic
            let is_any_known = shards().next().is_none() || shards().any(|is_known| is_known);
            if is_any_known && is_known(GroupId::SYSTEM) != Some(false) {
                Ok(())
            } else {
                Err(
                    "a group has halted, group 0 or every shard, and how old its state is is not known: only tenants of the class available are served",
                )
            }
        }),
        Box::new(move || match keys.journey.verifier.key_sets().current().as_ref() {
            Some(_) => Ok(()),
            None => Err("no key set has been loaded: callers' tokens cannot be verified"),
        }),
        Box::new(move || {
            if lookup.journey.lookup.is_unfit() {
                Err("a key gave a wrong plaintext for its canary: this machine must not serve")
            } else {
                Ok(())
            }
        }),
    ]
}
