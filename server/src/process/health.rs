//! The listener for probes and Prometheus, and the synthetic caller that readiness rests on.
//!
//! Decides nothing: what is ready is found out by the probe.

use std::net::SocketAddr;
use std::sync::Arc;

use replication::clock::Clock;

use crate::authn::ProbeIssuer;
use crate::edge::limits::ConnectionLimits;
use crate::edge::listener::{BindError, Listener};
use crate::frontend::Frontend;
use crate::health::probe::{Condition, Mint, Probe, ProbeError, ProbeTarget};
use crate::health::{Readiness, routes};
use crate::metrics::{ListenerLabel, Metrics};
use crate::tasks::Tasks;

/// What the listener and the probe have in common.
pub struct Told {
    /// What the probe found.
    pub readiness: Arc<Readiness>,
    /// The process's metrics.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Told {
    /// Starts the listener; gives where it listens. Must be called within the runtime that serves it.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn listen(
        &self,
        address: SocketAddr,
        limits: ConnectionLimits,
        tasks: &Tasks,
    ) -> Result<SocketAddr, BindError> {
        let listener = Listener::bind(address)?;
        let address = listener.local_addr();
        let router = routes::router(routes::Health {
            readiness: Arc::clone(&self.readiness),
            metrics: Arc::clone(&self.metrics),
            clock: Arc::clone(&self.clock),
        });
        let counters = self.metrics.connections(ListenerLabel::Health);
        let stop = tasks.stop_signal().clone();
        tasks.spawn("health listener", listener.serve(None, limits, router, counters, stop));
        Ok(address)
    }

    /// Starts the probe of a frontend. It is ready when the probe is good and the conditions hold.
    ///
    /// # Errors
    /// If the target's host name is none.
    pub fn probe(
        &self,
        target: ProbeTarget,
        frontend: &Frontend,
        issuer: &Arc<ProbeIssuer>,
        conditions: Vec<Condition>,
        tasks: &Tasks,
    ) -> Result<(), ProbeError> {
        let (issuer, clock) = (Arc::clone(issuer), Arc::clone(&self.clock));
        let mint: Mint = Arc::new(move || issuer.mint(clock.wall()));
        let probe = Probe::new(target, frontend.tls.clone(), mint)?;
        let (readiness, clock, metrics) =
            (Arc::clone(&self.readiness), Arc::clone(&self.clock), Arc::clone(&self.metrics));
        let stop = tasks.stop_signal().clone();
        tasks.spawn("probe", async move { probe.watch(conditions, readiness, clock, metrics, stop).await });
        Ok(())
    }
}
