//! What listens beside the frontend, and the probe. Binds loopback and nothing else.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use crate::admin;
use crate::authn::KeySource;
use crate::edge::admission::IN_PROGRESS_MAX_DEFAULT;
use crate::edge::limits::ConnectionLimits;
use crate::edge::listener::Listener;
use crate::edge::tls::{Identity, ServerTls, read_certificates};
use crate::frontend::Frontend;
use crate::health::probe::{Mint, Probe, ProbeTarget};
use crate::health::{self, Readiness};
use crate::keystore::KeyStore;
use crate::metrics::ListenerLabel;
use crate::policy::UnknownReasons;
use crate::settings::FrontendSettings;
use crate::tasks::Tasks;

use super::error::DevError;
use super::options::DevOptions;
use super::ports::{Ports, loopback};
use super::prepared::{Prepared, UNSEALED_MAX};

/// What the frontend is told.
pub(super) fn frontend_settings(
    options: &DevOptions,
    prepared: &Prepared,
    ports: Ports,
    jwks: PathBuf,
) -> FrontendSettings {
    FrontendSettings {
        name: super::MACHINE.to_owned(),
        data_address: loopback(ports.data),
        certificate_file: prepared.pki.server.clone(),
        key_file: prepared.pki.server_key.clone(),
        key_set: KeySource::File(jwks),
        audit_file: prepared.folder.at("audit/audit.jsonl"),
        limits: ConnectionLimits::default(),
        in_progress_max: IN_PROGRESS_MAX_DEFAULT,
        unsealed_max: NonZeroU32::new(UNSEALED_MAX).expect("the bound is a positive constant"),
        dialect: options.dialect.clone(),
        unknown_reasons: UnknownReasons::default(),
    }
}

/// Starts the listener for operators; gives its port and what it presents.
pub(super) fn start_admin(
    prepared: &Prepared,
    ports: Ports,
    store: &Arc<KeyStore>,
    readiness: &Arc<Readiness>,
    tasks: &Tasks,
) -> Result<(u16, ServerTls), DevError> {
    let identity = Identity::load(&prepared.pki.server, &prepared.pki.server_key, prepared.clock.wall())?;
    let tls = ServerTls::admin(identity, &prepared.pki.operator_ca)?;
    let listener = Listener::bind(loopback(ports.admin))?;
    let port = listener.local_addr().port();
    let router = admin::routes::router(Arc::clone(store), Arc::clone(readiness));
    let counters = prepared.metrics.connections(ListenerLabel::Admin);
    let stop = tasks.stop_signal().clone();
    let limits = ConnectionLimits::default();
    tasks.spawn("admin listener", listener.serve(Some(tls.clone()), limits, router, counters, stop));
    Ok((port, tls))
}

/// Starts the listener for probes and Prometheus, in the runtime that was entered; gives its port.
pub(super) fn start_health(
    prepared: &Prepared,
    ports: Ports,
    readiness: &Arc<Readiness>,
    tasks: &Tasks,
) -> Result<u16, DevError> {
    let listener = Listener::bind(loopback(ports.health))?;
    let port = listener.local_addr().port();
    let router = health::routes::router(health::routes::Health {
        readiness: Arc::clone(readiness),
        metrics: Arc::clone(&prepared.metrics),
        clock: Arc::clone(&prepared.clock),
    });
    let counters = prepared.metrics.connections(ListenerLabel::Health);
    let stop = tasks.stop_signal().clone();
    tasks.spawn("health listener", listener.serve(None, ConnectionLimits::default(), router, counters, stop));
    Ok(port)
}

/// Starts the synthetic caller that readiness rests on.
pub(super) fn start_probe(
    prepared: &Prepared,
    frontend: &Frontend,
    store: &Arc<KeyStore>,
    readiness: &Arc<Readiness>,
    tasks: &Tasks,
) -> Result<(), DevError> {
    let target = ProbeTarget {
        address: frontend.address,
        hostname: super::HOSTNAME.to_owned(),
        key_path: replication::ids::key_path(store.canary()),
        relative_resource_name: String::new(),
    };
    let (issuer, clock) = (Arc::clone(&prepared.probe), Arc::clone(&prepared.clock));
    let mint: Mint = Arc::new(move || issuer.mint(clock.wall()));
    let probe = Probe::new(target, &read_certificates(&prepared.pki.ca)?, mint)?;
    let conditions = crate::frontend::conditions(&frontend.service);
    let (readiness, clock, metrics) =
        (Arc::clone(readiness), Arc::clone(&prepared.clock), Arc::clone(&prepared.metrics));
    let stop = tasks.stop_signal().clone();
    tasks.spawn("probe", async move { probe.watch(conditions, readiness, clock, metrics, stop).await });
    Ok(())
}
