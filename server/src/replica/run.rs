//! The order of a replica's start and of its end.
//!
//! Start: certificates, folder, key; groups; the listeners for peers, probes and operators; then it says that it listens. It enters its
//! cluster when that is founded or names it, and serves from then on. End: unready; operators; peers; probes; feeds; groups.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use replication::deny_entries::{self, DenyBook};
use replication::directory::Directory;
use replication::feed;
use replication::ids::{Generation, ShardId};
use replication::peers::connections::Connections;
use replication::peers::listener::{self, Groups};
use replication::peers::listening::Listening;
use replication::peers::tls::FeedTls;
use replication::raft::group::SnapshotLimits;
use replication::raft::host::{Host, HostSettings};
use replication::raft::spread::Report;
use replication::store::blocking::Blocking;
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, watch};

use crate::admin::cluster::{self, Beginning, Initiation};
use crate::admin::switching::Switch;
use crate::edge::leftovers::Leftovers;
use crate::edge::listener::Listener;
use crate::edge::tls::{ServerTls, TlsFiles};
use crate::gauges;
use crate::health::Readiness;
use crate::keystore::{
    DENY_ENTRIES_FOLDER, ELECTION_DEADLINE, FedTo, KeyStore, Membership, Parts, Root, open_deny_entries,
};
use crate::lookup::TenantKeys;
use crate::metrics::ListenerLabel;
use crate::process::files::{self, Readers};
use crate::process::health::Told;
use crate::process::open_files;
use crate::process::runtimes::{Planes, Runtimes};
use crate::process::signals::{hang_ups, stop_asked};
use crate::settings::key_store::{AdminSettings, FeedSettings, KeyStoreSettings, Role};
use crate::tasks::Panics;

use super::entering::{Entering, witness_enters};
use super::error::ReplicaError;
use super::prepared::Prepared;
use super::readiness;
use super::serving::{Serving, watch_admin_certificate};

/// How often a witness says so, for shards that were opened since.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// What the command line says.
#[derive(Debug, Clone)]
pub struct ReplicaOptions {
    /// The settings file.
    pub file: PathBuf,
    /// A file that appears when it listens.
    pub ready_file: Option<PathBuf>,
}

/// Runs until SIGTERM or SIGINT; SIGHUP has the operators' certificates looked at.
///
/// # Errors
/// See [`ReplicaError`].
pub fn run(options: &ReplicaOptions) -> Result<(), ReplicaError> {
    let settings = KeyStoreSettings::load(&options.file)?;
    let runtimes = Runtimes::start_hardened()?;
    let hung_up = hang_ups(runtimes.control.handle())?;
    if let Some(ready) = &options.ready_file {
        // what a start before this one left says nothing about this one
        files::remove(ready)?;
    }
    let prepared = Prepared::from(settings)?;
    open_files::allow(prepared.settings.connections_max());
    let ended = runtimes.control.block_on(serve(options, prepared, hung_up, &runtimes));
    runtimes.end();
    ended
}

async fn serve(
    options: &ReplicaOptions,
    prepared: Prepared,
    hung_up: Signal,
    runtimes: &Runtimes,
) -> Result<(), ReplicaError> {
    let mut panics = Panics::default();
    let planes = Planes::new(&panics, runtimes);
    let mut stop = pin!(stop_asked(hung_up, Arc::clone(&prepared.look_at_certificates))?);
    let host = tokio::select! {
        opened = Host::open(host_settings(&prepared)) => Arc::new(opened?),
        () = &mut stop => return Ok(()),
    };
    let broken_off = async {
        tokio::select! {
            () = stop => Ok(()),
            panicked = panics.next() => Err(panicked.into()),
            (group, failure) = host.failed() => Err(ReplicaError::Group(group, failure)),
        }
    };
    let readiness = Arc::new(Readiness::default());
    let mut listening = None;
    let serving = async {
        // before anything is opened to anybody
        Membership::of(&host, &prepared.identity.own)?;
        let data_dir = &prepared.settings.data_dir;
        let deny_entries = open_deny_entries(&host, data_dir, Arc::clone(&prepared.clock))
            .map_err(|source| ReplicaError::DenyEntries { folder: data_dir.join(DENY_ENTRIES_FOLDER), source })?;
        listening = Some(listen_for_peers(&prepared, &host, &deny_entries).await?);
        let held = Kept { host: Arc::clone(&host), deny_entries };
        live(options, &prepared, &held, &readiness, runtimes, &planes).await
    };
    let ended = tokio::select! {
        ended = serving => ended,
        ended = broken_off => ended,
    };
    tracing::info!("stopping: what is in progress gets a few seconds to end");
    readiness.drain();
    planes.data.stop().await;
    planes.control.stop().await;
    if let Some(listening) = listening {
        listening.shutdown().await;
    }
    planes.health.stop().await;
    planes.feeds.stop().await;
    host.shutdown().await;
    ended
}

fn host_settings(prepared: &Prepared) -> HostSettings {
    let settings = &prepared.settings;
    HostSettings {
        replica: settings.replica,
        folder: settings.data_dir.clone(),
        timers: settings.timers,
        blocking: Blocking::Threads,
        limits: SnapshotLimits::default(),
        disk_reserve_bytes: settings.disk_reserve_bytes,
        peers: Arc::new(Connections::new(prepared.peers.tls().clone(), Generation::FIRST)),
        address: Some(prepared.identity.own.row.address.clone()),
    }
}

async fn listen_for_peers(
    prepared: &Prepared,
    host: &Arc<Host>,
    deny_entries: &Arc<DenyBook>,
) -> Result<Listening, ReplicaError> {
    let address = prepared.settings.peers.listen;
    let failed = |source| ReplicaError::Peers { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let looked_up = Arc::clone(host);
    let groups: Groups = Arc::new(move |group| looked_up.group(group));
    listener::listen(listener, prepared.peers.tls().clone(), Generation::FIRST, groups, Arc::clone(deny_entries))
        .map_err(failed)
}

/// What a replica keeps: its groups, and whom officers shut out.
struct Kept {
    host: Arc<Host>,
    deny_entries: Arc<DenyBook>,
}

/// Everything from the other listeners on. Ends by an error, and with the process.
async fn live(
    options: &ReplicaOptions,
    prepared: &Prepared,
    kept: &Kept,
    readiness: &Arc<Readiness>,
    runtimes: &Runtimes,
    planes: &Planes,
) -> Result<(), ReplicaError> {
    let host = &kept.host;
    let told = Told {
        readiness: Arc::clone(readiness),
        metrics: Arc::clone(&prepared.metrics),
        clock: Arc::clone(&prepared.clock),
    };
    {
        let _health = runtimes.health.enter();
        told.listen(prepared.settings.health.listen, prepared.settings.health.limits, &planes.health)?;
    }
    let (opening, keeping) = (Arc::clone(host), Arc::clone(host));
    planes.control.spawn_endless("opening shards", async move { opening.open_named(ELECTION_DEADLINE).await });
    let passing_on = deny_entries::keep(Arc::clone(&kept.deny_entries), Arc::clone(host.system()));
    planes.control.spawn_endless("deny entries", passing_on);
    planes.control.spawn_endless("membership", async move { keeping.reconcile().await });
    let look_every = prepared.settings.look_every;
    planes
        .control
        .spawn_endless("certificate for peers", prepared.peers.clone().keep(look_every, Arc::clone(&prepared.clock)));
    if let Some(feed) = &prepared.feed {
        planes
            .control
            .spawn_endless("certificate for frontends", feed.clone().keep(look_every, Arc::clone(&prepared.clock)));
    }
    match &prepared.settings.role {
        Role::Witness => witness(options, prepared, kept, readiness, planes).await,
        Role::Data { feed, admin, root_key } => {
            let data = WithKeys { feed, admin, root_key };
            data.serve(options, prepared, kept, readiness, planes).await
        }
    }
}

async fn witness(
    options: &ReplicaOptions,
    prepared: &Prepared,
    Kept { host, .. }: &Kept,
    readiness: &Arc<Readiness>,
    planes: &Planes,
) -> Result<(), ReplicaError> {
    listens(options)?;
    let waits = || "this witness belongs to no cluster yet: have it join with `ekmctl cluster join`".to_owned();
    let saying = readiness::say(Arc::clone(readiness), Arc::clone(&prepared.clock), waits);
    tokio::select! {
        entered = witness_enters(host, &prepared.identity.own) => entered?,
        () = saying => {}
    }
    let silent = Arc::clone(host);
    planes.control.spawn_endless("reports", async move { vouch_for_nobody(&silent).await });
    tracing::info!("this witness belongs to the cluster");
    let (metrics, groups) = (Arc::clone(&prepared.metrics), Arc::clone(host));
    planes.control.spawn_endless("gauges", gauges::follow_groups(metrics, groups));
    let (told, clock) = (Arc::clone(readiness), Arc::clone(&prepared.clock));
    planes.health.spawn_endless("readiness", readiness::of_witness(told, clock, Arc::clone(host)));
    std::future::pending().await
}

/// A witness feeds nobody: where it leads, no change waits for readers of its own.
async fn vouch_for_nobody(host: &Host) {
    loop {
        host.groups().for_each(|group| group.report(Report::nobody()));
        tokio::time::sleep(REPORT_EVERY).await;
    }
}

/// What a data replica has and a witness has not.
struct WithKeys<'a> {
    feed: &'a FeedSettings,
    admin: &'a AdminSettings,
    root_key: &'a PathBuf,
}

impl WithKeys<'_> {
    async fn serve(
        &self,
        options: &ReplicaOptions,
        prepared: &Prepared,
        Kept { host, deny_entries }: &Kept,
        readiness: &Arc<Readiness>,
        planes: &Planes,
    ) -> Result<(), ReplicaError> {
        let leftovers = Leftovers::default();
        let (initiations, asked) = mpsc::channel::<Initiation>(1);
        let beginning = Beginning { host: Arc::clone(host), initiations, leftovers: leftovers.clone() };
        let switch = Switch::new(cluster::router(beginning));
        let admin_tls = self.listen_for_operators(prepared, &switch, planes)?;
        listens(options)?;
        let directory = Arc::new(Directory::new([ShardId::FIRST]));
        let tenant_keys = Arc::new(TenantKeys::default());
        let signer = prepared.identity.signing.as_ref().ok_or(ReplicaError::NoSigningKey)?;
        let with_root = |root: Root| Parts {
            host: Arc::clone(host),
            signer: Arc::clone(signer),
            root,
            arena: Arc::clone(&prepared.arena),
            entropy: Arc::clone(&prepared.entropy),
            clock: Arc::clone(&prepared.clock),
            directory: Arc::clone(&directory),
            tenant_keys: Arc::clone(&tenant_keys),
            fed_to: FedTo::Frontends,
            deny_entries: Arc::clone(deny_entries),
        };
        let waits_for = watch::Sender::new(
            "this replica belongs to no cluster yet: found the cluster with `ekmctl cluster init`, or have it join with `ekmctl cluster join`"
                .to_owned(),
        );
        let entering = Entering {
            host,
            own: &prepared.identity.own,
            root_key: self.root_key,
            arena: &prepared.arena,
            entropy: prepared.entropy.as_ref(),
            with_root: &with_root,
            waits_for: &waits_for,
        };
        let reason = || waits_for.borrow().clone();
        let store = tokio::select! {
            entered = entering.enter(asked) => entered?,
            () = readiness::say(Arc::clone(readiness), Arc::clone(&prepared.clock), reason) => return Ok(()),
        };
        tracing::info!(replica = %host.replica(), "this replica belongs to the cluster and serves");
        let serving =
            Serving { store: Arc::new(store), tenant_keys, readiness: Arc::clone(readiness), leftovers, admin_tls };
        serving.start(prepared, &switch, planes);
        let tls = prepared.feed.as_ref().expect("a data replica has loaded what it presents to frontends").tls();
        // whom the others shut out while this replica was away
        deny_entries::catch_up(serving.store.deny_entries(), host.system()).await;
        let _feeding = listen_for_frontends(self.feed, tls.clone(), &serving.store).await?;
        Err(serving.store.root_is_wrong().await.into())
    }

    fn listen_for_operators(
        &self,
        prepared: &Prepared,
        switch: &Switch,
        planes: &Planes,
    ) -> Result<ServerTls, ReplicaError> {
        let files = TlsFiles {
            certificate: self.admin.credentials.certificate.clone(),
            key: self.admin.credentials.key.clone(),
            client_authority: Some(self.admin.operators_authority.clone()),
        };
        let tls = ServerTls::load(files, prepared.clock.wall())?;
        let listener = Listener::bind(self.admin.listen)?;
        let counters = prepared.metrics.connections(ListenerLabel::Admin);
        let stop = planes.control.stop_signal().clone();
        let router = switch.router();
        let serving = listener.serve(Some(tls.clone()), self.admin.limits, router, counters, stop);
        planes.control.spawn("admin listener", serving);
        watch_admin_certificate(prepared, &tls, &prepared.metrics, planes);
        Ok(tls)
    }
}

async fn listen_for_frontends(
    feed: &FeedSettings,
    tls: FeedTls,
    store: &Arc<KeyStore>,
) -> Result<Listening, ReplicaError> {
    let address = feed.listen;
    let failed = |source| ReplicaError::Feed { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    feed::listen(listener, tls, Arc::clone(store), Arc::clone(store)).map_err(failed)
}

/// Tells whoever started it that every listener is there.
fn listens(options: &ReplicaOptions) -> Result<(), ReplicaError> {
    tracing::info!(
        "every listener is there; it serves once it belongs to a cluster: `ekmctl cluster init`, once and on the first replica alone, or `ekmctl cluster join`"
    );
    match &options.ready_file {
        Some(ready) => Ok(files::write(ready, b"ready\n", Readers::All)?),
        None => Ok(()),
    }
}
