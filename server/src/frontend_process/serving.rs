//! The start of everything that runs, in its order. Stops nothing: the end is the caller's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use crate::frontend::{self, Frontend, Given};
use crate::gauges;
use crate::health::probe::ProbeTarget;
use crate::health::{Readiness, canaries};
use crate::metrics::ListenerLabel;
use crate::process::certificates;
use crate::process::health::Told;
use crate::process::runtimes::{Planes, Runtimes};

use super::error::FrontendProcessError;
use super::follow::follow;
use super::prepared::Prepared;
use super::ready;

/// What runs once everything is started.
pub(super) struct Serving {
    pub(super) frontend: Frontend,
    pub(super) readiness: Arc<Readiness>,
}

impl Serving {
    pub(super) fn start(
        prepared: &Prepared,
        runtimes: &Runtimes,
        planes: &Planes,
    ) -> Result<Self, FrontendProcessError> {
        let settings = &prepared.settings;
        let readiness = Arc::new(Readiness::default());
        let told = Told {
            readiness: Arc::clone(&readiness),
            metrics: Arc::clone(&prepared.metrics),
            clock: Arc::clone(&prepared.clock),
        };
        let health_address = {
            let _health = runtimes.health.enter();
            told.listen(settings.health.listen, settings.health.limits, &planes.health)?
        };
        follow(prepared, &planes.feeds)?;
        let frontend = {
            let _data = runtimes.data.enter();
            Frontend::start(settings.serving(), given(prepared), &planes.data, &planes.control)?
        };
        gauges::register_frontend(&prepared.metrics, &frontend, &prepared.clock);
        let (metrics, directory) = (Arc::clone(&prepared.metrics), Arc::clone(&prepared.directory));
        let ages = gauges::follow_directory(metrics, directory, Arc::clone(&prepared.clock));
        planes.control.spawn_endless("gauges", ages);
        let listeners = vec![(ListenerLabel::Data, frontend.tls.clone())];
        let asked = Arc::clone(&prepared.look_at_certificates);
        let clocked = (&prepared.metrics, &prepared.clock);
        certificates::watch(listeners, settings.look_every, asked, clocked, &planes.control);
        let target = ProbeTarget {
            address: own(frontend.address),
            hostname: settings.data.hostname.as_str().to_owned(),
            canaries: canaries::in_directory(Arc::clone(&prepared.directory)),
            relative_resource_name: String::new(),
        };
        let mut conditions = frontend::conditions(&frontend.service);
        conditions.push(ready::loaded(Arc::clone(&prepared.directory), Arc::clone(&prepared.clock)));
        told.probe(target, &frontend, &prepared.probe, conditions, &planes.health)?;
        tracing::info!(data = %frontend.address, health = %health_address, "listening; it is ready once a key store has fed it");
        Ok(Self { frontend, readiness })
    }
}

fn given(prepared: &Prepared) -> Given {
    Given {
        directory: Arc::clone(&prepared.directory),
        tenant_keys: Arc::clone(&prepared.tenant_keys),
        arena: Arc::clone(&prepared.arena),
        entropy: Arc::clone(&prepared.entropy),
        clock: Arc::clone(&prepared.clock),
        clock_verdict: prepared.clock_verdict.clone(),
        metrics: Arc::clone(&prepared.metrics),
        probe: prepared.probe.verifier(),
    }
}

/// How this machine reaches its own listener.
fn own(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
