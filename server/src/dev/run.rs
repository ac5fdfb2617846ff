//! The assembly of `ekm dev`, and the order of its start and its end.
//!
//! Start: folder, certificates, secrets; key store; demo; frontend, admin, health; the first good probe; then it says so.
//! End: unready; data and admin listeners drain; health; feeds; groups; audit.

use std::pin::pin;
use std::sync::Arc;

use replication::ids::ReplicaId;
use replication::raft::group::SnapshotLimits;
use replication::raft::host::{Host, HostSettings};
use replication::raft::network::NoPeers;
use replication::store::blocking::Blocking;

use tokio::signal::unix::Signal;

use crate::crypto::{Entropy, SystemEntropy};
use crate::keystore::ELECTION_DEADLINE;
use crate::tasks::Panics;

use super::error::DevError;
use super::options::DevOptions;
use super::prepared::{Prepared, prepare};
use super::serving::Serving;
use crate::process::open_files;
use crate::process::runtimes::{Planes, Runtimes};
use crate::process::signals::{hang_ups, stop_asked};

/// Runs until SIGTERM or SIGINT; SIGHUP has certificates looked at. `print` gets the text for the person who started it.
///
/// # Errors
/// See [`DevError`].
pub fn run(options: DevOptions, print: &dyn Fn(&str)) -> Result<(), DevError> {
    run_with(options, Chosen { entropy: Arc::new(SystemEntropy), snapshots: SnapshotLimits::default() }, print)
}

/// What no flag and no settings file chooses: a test does, so that it can recognise the key material that is made, and see
/// snapshots without waiting for 65 536 entries.
pub struct Chosen {
    /// Where keys, nonces and ids come from.
    pub entropy: Arc<dyn Entropy>,
    /// When a group writes a snapshot.
    pub snapshots: SnapshotLimits,
}

/// The same with these choices.
///
/// # Errors
/// See [`DevError`].
pub fn run_with(options: DevOptions, chosen: Chosen, print: &dyn Fn(&str)) -> Result<(), DevError> {
    let runtimes = Runtimes::start_hardened()?;
    let hung_up = hang_ups(runtimes.control.handle())?;
    let prepared = prepare(&options, chosen.entropy)?;
    open_files::allow(prepared.settings.connections_max());
    let ended = runtimes.control.block_on(serve(options, prepared, chosen.snapshots, hung_up, &runtimes, print));
    runtimes.end();
    ended
}

async fn serve(
    options: DevOptions,
    prepared: Prepared,
    limits: SnapshotLimits,
    hung_up: Signal,
    runtimes: &Runtimes,
    print: &dyn Fn(&str),
) -> Result<(), DevError> {
    let mut panics = Panics::default();
    let planes = Planes::new(&panics, runtimes);
    let mut stop = pin!(stop_asked(hung_up, Arc::clone(&prepared.look_at_certificates))?);
    let opening = Host::open(HostSettings {
        replica: ReplicaId(1),
        folder: prepared.folder.root().to_owned(),
        timers: prepared.settings.timers,
        blocking: Blocking::Threads,
        limits,
        disk_reserve_bytes: prepared.settings.disk_reserve_bytes,
        peers: Arc::new(NoPeers),
        address: None,
    });
    let host = tokio::select! {
        opened = opening => Arc::new(opened?),
        () = &mut stop => return Ok(()),
    };
    let mut broken_off = pin!(async {
        tokio::select! {
            () = stop => Ok(()),
            panicked = panics.next() => Err(panicked.into()),
            (group, failure) = host.failed() => Err(DevError::Group(group, failure)),
        }
    });
    let starting = async {
        host.initialise_single(ELECTION_DEADLINE).await?;
        Serving::start(&prepared, &host, runtimes, &planes).await
    };
    let started = tokio::select! {
        started = starting => started.map_err(Err),
        ended = &mut broken_off => Err(ended),
    };
    let (serving, ended) = match started {
        Ok(serving) => {
            let serve = async {
                serving.announce(&options, &prepared, print).await?;
                std::future::pending().await
            };
            let ended = tokio::select! {
                ended = serve => ended,
                ended = broken_off => ended,
            };
            tracing::info!("stopping: what is in progress gets a few seconds to end");
            serving.readiness.drain();
            (Some(serving), ended)
        }
        Err(ended) => (None, ended),
    };
    planes.stop().await;
    host.shutdown().await;
    if let Some(serving) = serving {
        serving.frontend.finish().await;
    }
    ended
}
