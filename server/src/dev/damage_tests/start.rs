//! The start of `ekm dev` as the product does it, inside a test: from the folder to the first good probe and `dev.json`.
//!
//! Decides nothing, and uses free ports on loopback. The runtimes and the probe's key are made once for many starts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use replication::ids::{GroupId, ReplicaId};
use replication::machine::digest::Digest;
use replication::raft::group::{SnapshotLimits, Timers};
use replication::raft::host::{Host, HostSettings};
use replication::raft::network::NoPeers;
use replication::store::blocking::Blocking;

use crate::authn::ProbeIssuer;
use crate::crypto::SystemEntropy;
use crate::dev::error::DevError;
use crate::dev::options::{DevOptions, Flags};
use crate::dev::prepared::{Prepared, prepare_with};
use crate::dev::serving::Serving;
use crate::edge::google;
use crate::process::runtimes::{Planes, Runtimes};
use crate::tasks::Panics;

/// Ample for a group of one voter on a busy machine.
const ELECTION_DEADLINE: Duration = Duration::from_secs(30);
/// A test has no peers to wait for.
const TIMERS: Timers = Timers {
    heartbeat: Duration::from_millis(50),
    election_min: Duration::from_millis(100),
    election_max: Duration::from_millis(150),
};

/// What many starts share.
pub(super) struct Bench {
    pub(super) runtimes: Runtimes,
    probe: Arc<ProbeIssuer>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let runtimes = Runtimes::start().expect("a machine that runs tests has threads");
        Self { runtimes, probe: Arc::new(ProbeIssuer::generate().expect("the library makes an RSA key")) }
    }

    /// Starts on a folder until it serves.
    pub(super) async fn start(&self, folder: &Path) -> Result<Started, DevError> {
        let flags = Flags { port: Some(0), ..Flags::default() };
        let options = DevOptions { data_dir: folder.to_owned(), ready_file: None, flags };
        let prepared = prepare_with(&options, Arc::new(SystemEntropy), Arc::clone(&self.probe))?;
        let host = Host::open(HostSettings {
            replica: ReplicaId(1),
            folder: prepared.folder.root().to_owned(),
            timers: TIMERS,
            blocking: Blocking::Threads,
            limits: SnapshotLimits::default(),
            disk_reserve_bytes: 0,
            peers: Arc::new(NoPeers),
            address: None,
        });
        let host = Arc::new(host.await?);
        let mut panics = Panics::default();
        let planes = Planes::new(&panics, &self.runtimes);
        let starting = async {
            host.initialise_single(ELECTION_DEADLINE).await?;
            let serving = Serving::start(&prepared, &host, &self.runtimes, &planes).await?;
            serving.announce(&options, &prepared, &|_| ()).await?;
            Ok(serving)
        };
        let started = tokio::select! {
            started = starting => started,
            panicked = panics.next() => Err(panicked.into()),
            (group, failure) = host.failed() => Err(DevError::Group(group, failure)),
        };
        match started {
            Ok(serving) => Ok(Started { _prepared: prepared, host, planes, serving }),
            Err(error) => {
                end(planes, &host).await;
                Err(error)
            }
        }
    }
}

/// A server that serves.
pub(super) struct Started {
    /// Holds the folder's lock.
    _prepared: Prepared,
    host: Arc<Host>,
    planes: Planes,
    serving: Serving,
}

impl Started {
    /// What answers Google, without a connection in between.
    pub(super) fn router(&self) -> Router {
        google::router(Arc::clone(&self.serving.frontend.service))
    }

    /// What the groups have applied.
    pub(super) fn digests(&self) -> Vec<(GroupId, Digest)> {
        self.host.groups().map(|group| (group.id(), group.digest())).collect()
    }

    /// Whether a mirror of the applied state was thrown away.
    pub(super) fn rebuilt_a_mirror(&self) -> bool {
        self.host.groups().any(|group| group.mirror_was_rebuilt())
    }

    /// Ends it in the product's order.
    pub(super) async fn stop(self) {
        self.serving.readiness.drain();
        end(self.planes, &self.host).await;
        self.serving.frontend.finish().await;
    }
}

async fn end(planes: Planes, host: &Host) {
    planes.data.stop().await;
    planes.control.stop().await;
    planes.health.stop().await;
    planes.feeds.stop().await;
    host.shutdown().await;
}
