//! The assembly of `ekm dev`, and the order of its start and its end.
//!
//! Start: folder, certificates, secrets; key store; demo; frontend, admin, health; the first good probe; then it says so.
//! End: unready; data and admin listeners drain; health; feeds; groups; audit.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use replication::clock::Clock;
use replication::directory::Directory;
use replication::ids::{GroupId, ReplicaId, ShardId};
use replication::machine::rows::Trust;
use replication::machine::signing::{self, SigningKey, SigningKeyError};
use replication::raft::group::{Failure, Group, Timers};
use replication::raft::host::{Host, HostError, HostSettings};
use replication::store::blocking::Blocking;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use crate::admin;
use crate::admin::client::{ClientError, Operator};
use crate::authn::mint::{DEV_ISSUER, IssuerKeyError};
use crate::authn::{KeySource, ProbeIssuer};
use crate::clock::SystemClock;
use crate::crypto::{
    Arena, ArenaError, Entropy, LockPolicy, Protection, RootKey, RootKeyError, SystemEntropy, harden_process,
};
use crate::edge::admission::IN_PROGRESS_MAX_DEFAULT;
use crate::edge::limits::ConnectionLimits;
use crate::edge::listener::{BindError, Listener};
use crate::edge::service::DataSettings;
use crate::edge::tls::{Identity, ServerTls, TlsError, read_certificates};
use crate::frontend::{Frontend, FrontendError, Given};
use crate::gauges;
use crate::health::probe::{Mint, Probe, ProbeError, ProbeTarget};
use crate::health::{self, Readiness};
use crate::keystore::{self, FoundError, Founding, KeyStore, Parts, UnsoundError};
use crate::lookup::TenantKeys;
use crate::metrics::{ListenerLabel, Metrics};
use crate::policy::UnknownReasons;
use crate::settings::FrontendSettings;
use crate::tasks::{Panics, TaskPanicked, Tasks};

use super::announce::{self, AnnounceError};
use super::demo::{self, Demo, DemoError};
use super::file::{DEV_FILE, DevFile};
use super::files::{self, FileError, Readers};
use super::folder::{Folder, FolderError};
use super::pki::{Pki, PkiError};
use super::ports::{Ports, loopback};
use super::token::{TokenError, TokenFile, ensure_issuer};

/// Key versions whose material `ekm dev` keeps unsealed: 512 KiB of locked memory.
const UNSEALED_MAX: u32 = 16_384;
/// Slots beyond those: tenant keys, the root key, and what is being made.
const SLOTS_BEYOND: u32 = 4096;
/// How long the first good probe may take.
const READY_DEADLINE: Duration = Duration::from_mins(1);
/// How long a group may take to elect itself.
const ELECTION_DEADLINE: Duration = Duration::from_secs(30);
/// The name under which the one machine appears in answers and audit records.
const MACHINE: &str = "dev-1";

/// What `ekm dev` is told.
#[derive(Debug, Clone)]
pub struct DevOptions {
    /// The data directory.
    pub data_dir: PathBuf,
    /// The data port, admin and health follow it; 0 takes three free ones; `None` those of the last start, or 8443 to 8445.
    pub port: Option<u16>,
    /// A file that appears when it serves.
    pub ready_file: Option<PathBuf>,
    /// The dialect's own settings.
    pub dialect: DataSettings,
}

/// Why `ekm dev` does not start, or cannot go on.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant says what its error says, and no more")]
pub enum DevError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the process cannot be kept from dumping its memory")]
    Harden(#[source] rustix::io::Errno),
    #[error(transparent)]
    Arena(#[from] ArenaError),
    #[error(transparent)]
    Root(#[from] RootKeyError),
    #[error("{} is gone, and the keys in this data open under it alone; put it back from a copy", .0.display())]
    RootKeyGone(PathBuf),
    #[error("{} is not the key that this data knows the operator by; put it back, or move the data directory away to begin anew", .0.display())]
    OperatorKey(PathBuf),
    #[error(transparent)]
    Unsound(#[from] UnsoundError),
    #[error("the replica's signing key cannot be used")]
    SigningKey(#[from] SigningKeyError),
    #[error("no replica signing key can be made")]
    NoSigningKey,
    #[error("the probe's key cannot be made")]
    ProbeKey(#[from] IssuerKeyError),
    #[error("a runtime cannot be started")]
    Runtime(#[source] std::io::Error),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Found(#[from] FoundError),
    #[error(transparent)]
    Demo(#[from] DemoError),
    #[error(transparent)]
    Frontend(#[from] FrontendError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error("it did not serve within a minute: {0}")]
    NotReady(String),
    #[error(transparent)]
    Announce(#[from] AnnounceError),
    #[error(transparent)]
    Panicked(#[from] TaskPanicked),
    #[error("group {0} cannot go on")]
    Group(GroupId, #[source] Failure),
}

/// The runtimes: heartbeats must not queue behind handshakes, nor probes behind either.
struct Runtimes {
    data: Runtime,
    control: Runtime,
    health: Runtime,
}

impl Runtimes {
    fn start() -> Result<Self, DevError> {
        let start = |name: &str, threads| {
            Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build()
        };
        let workers = std::thread::available_parallelism().map_or(2, NonZeroUsize::get);
        Ok(Self {
            data: start("data", workers).map_err(DevError::Runtime)?,
            control: start("control", 2).map_err(DevError::Runtime)?,
            health: start("health", 1).map_err(DevError::Runtime)?,
        })
    }
}

/// Everything that a start makes before anything listens.
struct Prepared {
    folder: Folder,
    pki: Pki,
    operator: Operator,
    arena: Arc<Arena>,
    entropy: Arc<dyn Entropy>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    probe: Arc<ProbeIssuer>,
}

/// Runs until SIGTERM or SIGINT. `print` gets the text for the person who started it.
///
/// # Errors
/// See [`DevError`].
pub fn run(options: DevOptions, print: &dyn Fn(&str)) -> Result<(), DevError> {
    run_with(options, Arc::new(SystemEntropy), print)
}

/// The same with randomness from elsewhere, so that a test can recognise the key material that it makes.
///
/// # Errors
/// See [`DevError`].
pub fn run_with(options: DevOptions, entropy: Arc<dyn Entropy>, print: &dyn Fn(&str)) -> Result<(), DevError> {
    harden_process().map_err(DevError::Harden)?;
    let prepared = prepare(&options, entropy)?;
    let runtimes = Runtimes::start()?;
    let ended = runtimes.control.block_on(serve(options, prepared, &runtimes, print));
    let Runtimes { data, control, health } = runtimes;
    for runtime in [data, health, control] {
        runtime.shutdown_timeout(Duration::from_secs(1));
    }
    ended
}

fn prepare(options: &DevOptions, entropy: Arc<dyn Entropy>) -> Result<Prepared, DevError> {
    let folder = Folder::take(&options.data_dir)?;
    if let Some(ready) = &options.ready_file
        && ready.exists()
    {
        // what a start before this one left says nothing about this one
        std::fs::remove_file(ready).map_err(DevError::Runtime)?;
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let pki = Pki::ensure(&folder.at("pki"), super::HOSTNAME, super::OPERATOR, clock.wall())?;
    let operator = Operator::load(&pki.operator, &pki.operator_key)?;
    let slots = NonZeroU32::new(UNSEALED_MAX + SLOTS_BEYOND).expect("the sum of two positive numbers is positive");
    let arena = Arena::new(slots, LockPolicy::Warn)?;
    if arena.protection() == Protection::Swappable {
        tracing::warn!("key material can be swapped out: raise LimitMEMLOCK; production refuses to start like this");
    }
    let metrics = Arc::new(Metrics::new(clock.wall(), env!("CARGO_PKG_VERSION")));
    let probe = Arc::new(ProbeIssuer::generate()?);
    Ok(Prepared { folder, pki, operator, arena, entropy, clock, metrics, probe })
}

async fn serve(
    options: DevOptions,
    prepared: Prepared,
    runtimes: &Runtimes,
    print: &dyn Fn(&str),
) -> Result<(), DevError> {
    let mut panics = Panics::default();
    let planes = Planes {
        data: panics.tasks(runtimes.data.handle()),
        control: panics.tasks(runtimes.control.handle()),
        health: panics.tasks(runtimes.health.handle()),
        feeds: panics.tasks(runtimes.control.handle()),
    };
    let mut stop = pin!(stop_asked()?);
    let opening = Host::open(HostSettings {
        replica: ReplicaId(1),
        folder: prepared.folder.root().to_owned(),
        timers: Timers::default(),
        blocking: Blocking::Threads,
    });
    let host = tokio::select! {
        opened = opening => opened?,
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
        Serving::start(&options, &prepared, &host, runtimes, &planes).await
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
            serving.readiness.drain();
            (Some(serving), ended)
        }
        Err(ended) => (None, ended),
    };
    planes.data.stop().await;
    planes.control.stop().await;
    planes.health.stop().await;
    planes.feeds.stop().await;
    host.shutdown().await;
    if let Some(serving) = serving {
        serving.frontend.finish();
    }
    ended
}

/// Ends when somebody asks the process to end.
fn stop_asked() -> Result<impl Future<Output = ()>, DevError> {
    let mut terminated = signal(SignalKind::terminate()).map_err(DevError::Runtime)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(DevError::Runtime)?;
    Ok(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    })
}

/// The tasks by what they serve, in the order in which they are stopped.
struct Planes {
    data: Tasks,
    control: Tasks,
    health: Tasks,
    feeds: Tasks,
}

/// What runs once everything is started.
struct Serving {
    frontend: Frontend,
    readiness: Arc<Readiness>,
    demo: Demo,
    admin_port: u16,
    health_port: u16,
}

impl Serving {
    async fn start(
        options: &DevOptions,
        prepared: &Prepared,
        host: &Host,
        runtimes: &Runtimes,
        planes: &Planes,
    ) -> Result<Self, DevError> {
        let folder = &prepared.folder;
        files::make_folder(&folder.at("issuer"))?;
        files::make_folder(&folder.at("audit"))?;
        let jwks = folder.at("issuer/jwks.json");
        let issuer = ensure_issuer(&folder.at("issuer/issuer-key.pem"), &jwks)?;
        let directory = Arc::new(Directory::new([ShardId::FIRST]));
        let tenant_keys = Arc::new(TenantKeys::default());
        let store = start_key_store(prepared, host, &directory, &tenant_keys).await?;
        for (id, group) in store.groups() {
            let (store, group) = (Arc::clone(&store), Arc::clone(group));
            planes.feeds.spawn_endless("feed", async move { store.feed(id, &group).await });
        }
        let demo = demo::ensure(&store, &prepared.operator).await?;
        let token = TokenFile { issuer, path: folder.at("token"), clock: Arc::clone(&prepared.clock) };
        let written = token.write()?;
        planes.control.spawn_endless("token file", token.keep(written));

        let last = DevFile::load(folder.root()).ok();
        let ports = Ports::choose(options.port, last.as_ref());
        let given = Given {
            directory,
            tenant_keys,
            arena: Arc::clone(&prepared.arena),
            entropy: Arc::clone(&prepared.entropy),
            clock: Arc::clone(&prepared.clock),
            metrics: Arc::clone(&prepared.metrics),
            probe: prepared.probe.verifier(),
        };
        let settings = frontend_settings(options, prepared, ports, jwks);
        let frontend = {
            let _data = runtimes.data.enter();
            Frontend::start(settings, given, &planes.data, &planes.control)?
        };
        let readiness = Arc::new(Readiness::default());
        let (admin_port, admin_tls) = start_admin(prepared, ports, &store, &readiness, &planes.control)?;
        gauges::register(&prepared.metrics, &frontend, &store, (ListenerLabel::Admin, admin_tls), &prepared.clock);
        let health_port = {
            let _health = runtimes.health.enter();
            start_health(prepared, ports, &readiness, &planes.health)?
        };
        start_probe(prepared, &frontend, &store, &readiness, &planes.health)?;
        Ok(Self { frontend, readiness, demo, admin_port, health_port })
    }

    /// Waits for the first good probe, then writes `dev.json` and the ready file and prints what was made.
    async fn announce(&self, options: &DevOptions, prepared: &Prepared, print: &dyn Fn(&str)) -> Result<(), DevError> {
        let passed = tokio::time::timeout(READY_DEADLINE, self.readiness.passed());
        passed.await.map_err(|_| DevError::NotReady(self.readiness.reasons(prepared.clock.now()).join("; ")))?;
        let folder = &prepared.folder;
        let dev = self.dev_file();
        files::write(&folder.at(DEV_FILE), &dev.to_json(), Readers::Owner)?;
        let absolute = DevFile::load(folder.root()).map_err(TokenError::from)?;
        let blob = announce::demo_blob(&absolute, self.frontend.address).await?;
        print(&announce::text(&absolute, folder.root(), blob.as_deref()));
        if let Some(ready) = &options.ready_file {
            files::write(ready, b"ready\n", Readers::All)?;
        }
        Ok(())
    }

    fn dev_file(&self) -> DevFile {
        let https = |port: u16| format!("https://{}:{port}", super::HOSTNAME);
        DevFile {
            data_url: https(self.frontend.address.port()),
            audience: super::AUDIENCE.to_owned(),
            hostname: super::HOSTNAME.to_owned(),
            ca_file: "pki/ca.pem".into(),
            health_url: format!("http://127.0.0.1:{}", self.health_port),
            metrics_url: format!("http://127.0.0.1:{}/metrics", self.health_port),
            admin_url: https(self.admin_port),
            operator_cert_file: "pki/operator.pem".into(),
            operator_key_file: "pki/operator-key.pem".into(),
            key_path: self.demo.key_path.clone(),
            cryptospace_path: self.demo.crypto_space_path.clone(),
            caller_email: super::CALLER.to_owned(),
            token_file: "token".into(),
            jwks_file: "issuer/jwks.json".into(),
            issuer_key_file: "issuer/issuer-key.pem".into(),
            pid: std::process::id(),
        }
    }
}

fn frontend_settings(options: &DevOptions, prepared: &Prepared, ports: Ports, jwks: PathBuf) -> FrontendSettings {
    FrontendSettings {
        name: MACHINE.to_owned(),
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

async fn start_key_store(
    prepared: &Prepared,
    host: &Host,
    directory: &Arc<Directory>,
    tenant_keys: &Arc<TenantKeys>,
) -> Result<Arc<KeyStore>, DevError> {
    let folder = &prepared.folder;
    let shard = host.shard(ShardId::FIRST).expect("a host holds the first shard from the start");
    let parts = Parts {
        system: Arc::clone(host.system()),
        shard: Arc::clone(shard),
        signer: replica_key(folder)?,
        root: root_key(prepared, shard).await?,
        arena: Arc::clone(&prepared.arena),
        entropy: Arc::clone(&prepared.entropy),
        clock: Arc::clone(&prepared.clock),
        directory: Arc::clone(directory),
        tenant_keys: Arc::clone(tenant_keys),
        frontend: MACHINE.to_owned(),
    };
    let founding = Founding {
        dev: true,
        operators: vec![prepared.operator.enrolment()],
        trust: Trust { issuers: vec![DEV_ISSUER.to_owned()], audiences: vec![super::AUDIENCE.to_owned()] },
    };
    let store = KeyStore::start(parts, &founding).await?;
    if store.enrols(&prepared.operator.enrolment()) {
        Ok(Arc::new(store))
    } else {
        Err(DevError::OperatorKey(prepared.pki.operator_key.clone()))
    }
}

/// The root key, made if it is not there and nothing was ever sealed under it.
async fn root_key(prepared: &Prepared, shard: &Group) -> Result<RootKey, DevError> {
    let file = prepared.folder.at("root.key");
    if file.exists() {
        Ok(RootKey::load(&file, &prepared.arena)?)
    } else if keystore::needs_its_root_key(shard).await? {
        Err(DevError::RootKeyGone(file))
    } else {
        Ok(RootKey::create(&file, 1, &prepared.arena, prepared.entropy.as_ref())?)
    }
}

/// The replica's signing key, made if it is not there.
fn replica_key(folder: &Folder) -> Result<SigningKey, DevError> {
    let path = folder.at("replica-key.der");
    let der = if let Some(der) = files::read(&path)? {
        Zeroizing::new(der)
    } else {
        let der = Zeroizing::new(signing::generate_pkcs8().map_err(|_| DevError::NoSigningKey)?);
        files::write(&path, &der, Readers::Owner)?;
        der
    };
    let name = "replica-1".parse().expect("the replica has a legal name");
    Ok(SigningKey::from_pkcs8(name, &der)?)
}

fn start_admin(
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

fn start_health(prepared: &Prepared, ports: Ports, readiness: &Arc<Readiness>, tasks: &Tasks) -> Result<u16, DevError> {
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

fn start_probe(
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
