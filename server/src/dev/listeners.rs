//! What listens beside the frontend, and the probe. Binds loopback and nothing else.

use std::path::Path;
use std::sync::Arc;

use crate::admin;
use crate::edge::listener::Listener;
use crate::edge::tls::{ServerTls, TlsFiles};
use crate::frontend::Frontend;
use crate::health::probe::{Canaries, Canary, Mint, Probe, ProbeTarget, Users};
use crate::health::{self, Readiness};
use crate::keystore::{KeyStore, Shard};
use crate::metrics::ListenerLabel;
use crate::settings::{ServingSettings, parts};
use crate::tasks::Tasks;

use super::error::DevError;
use super::ports::loopback;
use super::prepared::Prepared;

/// What the frontend is told.
pub(super) fn frontend_settings(prepared: &Prepared) -> ServingSettings {
    let Prepared { settings, folder, .. } = prepared;
    ServingSettings {
        name: super::MACHINE.to_owned(),
        data_address: loopback(settings.ports.data),
        tls: tls_files(prepared, None),
        key_set: parts::below(folder.root(), &settings.key_set),
        audit_file: folder.root().join(&settings.audit_file),
        data: settings.data.clone(),
    }
}

/// All listeners present the same certificate; operators alone are asked for one.
fn tls_files(prepared: &Prepared, client_authority: Option<&Path>) -> TlsFiles {
    let client_authority = client_authority.map(Path::to_owned);
    TlsFiles { certificate: prepared.pki.server.clone(), key: prepared.pki.server_key.clone(), client_authority }
}

/// Starts the listener for operators; gives its port and what it presents.
pub(super) fn start_admin(
    prepared: &Prepared,
    store: &Arc<KeyStore>,
    frontend: &Frontend,
    readiness: &Arc<Readiness>,
    tasks: &Tasks,
) -> Result<(u16, ServerTls), DevError> {
    let files = tls_files(prepared, Some(&prepared.pki.operator_ca));
    let tls = ServerTls::load(files, prepared.clock.wall())?;
    let listener = Listener::bind(loopback(prepared.settings.ports.admin))?;
    let port = listener.local_addr().port();
    let router = admin::routes::router(admin::routes::Admin {
        store: Arc::clone(store),
        readiness: Arc::clone(readiness),
        service: Arc::clone(&frontend.service),
        certificates: Arc::new([("data", frontend.tls.clone()), ("admin", tls.clone())]),
        body_time_max: admin::routes::BODY_TIME_MAX,
    });
    let counters = prepared.metrics.connections(ListenerLabel::Admin);
    let stop = tasks.stop_signal().clone();
    let limits = prepared.settings.admin_limits;
    tasks.spawn("admin listener", listener.serve(Some(tls.clone()), limits, router, counters, stop));
    Ok((port, tls))
}

/// Starts the listener for probes and Prometheus, in the runtime that was entered; gives its port.
pub(super) fn start_health(prepared: &Prepared, readiness: &Arc<Readiness>, tasks: &Tasks) -> Result<u16, DevError> {
    let listener = Listener::bind(loopback(prepared.settings.ports.health))?;
    let port = listener.local_addr().port();
    let router = health::routes::router(health::routes::Health {
        readiness: Arc::clone(readiness),
        metrics: Arc::clone(&prepared.metrics),
        clock: Arc::clone(&prepared.clock),
    });
    let counters = prepared.metrics.connections(ListenerLabel::Health);
    let stop = tasks.stop_signal().clone();
    tasks.spawn("health listener", listener.serve(None, prepared.settings.health_limits, router, counters, stop));
    Ok(port)
}

/// The canary of every shard that serves.
fn canaries(store: Arc<KeyStore>) -> Canaries {
    Arc::new(move || {
        let used = store.used_shards();
        let canary = |shard: Arc<Shard>| Canary {
            shard: shard.id(),
            key_path: replication::ids::key_path(shard.canary()),
            users: match used.contains(&shard.id()) {
                _ if used.is_empty() => Users::NobodyYet,
                true => Users::Tenants,
                false => Users::Elsewhere,
            },
        };
        store.serving().into_iter().map(canary).collect()
    })
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
        canaries: canaries(Arc::clone(store)),
        relative_resource_name: String::new(),
    };
    let (issuer, clock) = (Arc::clone(&prepared.probe), Arc::clone(&prepared.clock));
    let mint: Mint = Arc::new(move || issuer.mint(clock.wall()));
    let probe = Probe::new(target, frontend.tls.clone(), mint)?;
    let conditions = crate::frontend::conditions(&frontend.service);
    let (readiness, clock, metrics) =
        (Arc::clone(readiness), Arc::clone(&prepared.clock), Arc::clone(&prepared.metrics));
    let stop = tasks.stop_signal().clone();
    tasks.spawn("probe", async move { probe.watch(conditions, readiness, clock, metrics, stop).await });
    Ok(())
}
