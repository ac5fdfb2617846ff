//! What listens beside the frontend, and the probe. Binds loopback and nothing else.

use std::path::Path;
use std::sync::Arc;

use crate::admin;
use crate::edge::listener::Listener;
use crate::edge::tls::{ServerTls, TlsFiles};
use crate::frontend::Frontend;
use crate::health::Readiness;
use crate::health::canaries::users;
use crate::health::probe::{Canaries, Canary, ProbeTarget};
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
        plane: admin::routes::Plane::Here(Arc::clone(&frontend.service)),
        leftovers: frontend.service.leftovers.clone(),
        clock: Arc::clone(&prepared.clock),
        certificates: Arc::new([("data", frontend.tls.clone()), ("admin", tls.clone())]),
        body_time_max: admin::routes::BODY_TIME_MAX,
    });
    let counters = prepared.metrics.connections(ListenerLabel::Admin);
    let stop = tasks.stop_signal().clone();
    let limits = prepared.settings.admin_limits;
    tasks.spawn("admin listener", listener.serve(Some(tls.clone()), limits, router, counters, stop));
    Ok((port, tls))
}

/// The canary of every shard that serves.
fn canaries(store: Arc<KeyStore>) -> Canaries {
    Arc::new(move || {
        let used = store.used_shards();
        let canary = |shard: Arc<Shard>| Canary {
            shard: shard.id(),
            key_path: replication::ids::key_path(shard.canary()),
            users: users(&used, shard.id()),
        };
        store.serving().into_iter().map(canary).collect()
    })
}

/// What is probed.
pub(super) fn probe_target(frontend: &Frontend, store: &Arc<KeyStore>) -> ProbeTarget {
    ProbeTarget {
        address: frontend.address,
        hostname: super::HOSTNAME.to_owned(),
        canaries: canaries(Arc::clone(store)),
        relative_resource_name: String::new(),
    }
}
