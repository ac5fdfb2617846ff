//! What a start makes before anything listens: settings, memory for keys, the probe's issuer, what is fed.
//!
//! Never binds an address and never starts a task.

use std::sync::Arc;

use replication::clock::Clock;
use replication::directory::Directory;
use tokio::sync::Notify;

use crate::authn::{ClockVerdict, ProbeIssuer};
use crate::clock::SystemClock;
use crate::crypto::{Arena, Entropy, SystemEntropy};
use crate::lookup::TenantKeys;
use crate::metrics::Metrics;
use crate::process::{files, key_memory};
use crate::settings::frontend::FrontendSettings;

use super::error::FrontendProcessError;
use super::run::FrontendOptions;

/// Everything that a start makes before anything listens.
pub(super) struct Prepared {
    pub(super) settings: FrontendSettings,
    pub(super) directory: Arc<Directory>,
    pub(super) tenant_keys: Arc<TenantKeys>,
    pub(super) arena: Arc<Arena>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) clock_verdict: ClockVerdict,
    pub(super) metrics: Arc<Metrics>,
    pub(super) probe: Arc<ProbeIssuer>,
    /// Told when somebody wants the files of certificates looked at now.
    pub(super) look_at_certificates: Arc<Notify>,
}

/// Makes all of it.
pub(super) fn prepare(options: &FrontendOptions, settings: FrontendSettings) -> Result<Prepared, FrontendProcessError> {
    if let Some(ready) = &options.ready_file {
        // what a start before this one left says nothing about this one
        files::remove(ready)?;
    }
    if let Some(folder) = settings.data.audit_file.parent() {
        files::make_folder(folder)?;
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let arena = key_memory::of(settings.data.plane.unsealed_max, settings.data.locked_memory)?;
    Ok(Prepared {
        // which shards there are is told by the feed
        directory: Arc::new(Directory::new([])),
        tenant_keys: Arc::default(),
        arena,
        entropy: Arc::new(SystemEntropy),
        metrics: Arc::new(Metrics::new(clock.wall(), env!("CARGO_PKG_VERSION"))),
        clock,
        clock_verdict: ClockVerdict::unknown(),
        probe: Arc::new(ProbeIssuer::generate()?),
        look_at_certificates: Arc::default(),
        settings,
    })
}
