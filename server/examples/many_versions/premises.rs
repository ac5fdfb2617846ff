//! Where it is played: certificates, settings, a key store's feed, and the frontend's process.

use std::error::Error;
use std::fs;
use std::net::{SocketAddr, TcpListener as Bound};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use replication::clock::Clock as _;
use replication::deny_entries::Entries;
use replication::feed::{self, Outlet, Outlets, ProcessKey, Sealer};
use replication::ids::{GroupId, LogIndex, ReplicaId, ShardId, TenantId};
use replication::peers::identity::PeerName;
use replication::peers::listening::Listening;
use replication::peers::tls::{Credentials, FeedTls};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use server::authn::mint::{IssuerKey, MintedClaims};
use server::clock::SystemClock;
use server::crypto::Handover;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::made::{AUDIENCE, CALLER, ISSUER, LINEAGE, Made};

/// A key store that holds what was made, and whoever makes settings for a frontend of it.
pub struct Premises {
    folder: tempfile::TempDir,
    listening: Listening,
    data: SocketAddr,
    health: SocketAddr,
    pub ca_pem: String,
    pub token: String,
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: rustls::pki_types::CertificateDer<'static>,
}

impl Authority {
    fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new(vec![])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Ok(Self { issuer: Issuer::new(params, key), pem, der })
    }

    fn issue(&self, name: SanType) -> Result<(rcgen::Certificate, KeyPair), rcgen::Error> {
        let mut params = CertificateParams::new(vec![])?;
        params.subject_alt_names = vec![name];
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.issuer)?, key))
    }
}

struct Store {
    made: Made,
    outlets: [(GroupId, Arc<Outlet>); 2],
    /// Nobody is shut out.
    deny_entries: watch::Sender<Arc<Entries>>,
}

impl Outlets for Store {
    fn outlet(&self, group: GroupId) -> Option<Arc<Outlet>> {
        self.outlets.iter().find(|(known, _)| *known == group).map(|(_, outlet)| Arc::clone(outlet))
    }

    fn deny_entries(&self) -> watch::Receiver<Arc<Entries>> {
        self.deny_entries.subscribe()
    }
}

impl Sealer for Store {
    fn seal(&self, shard: ShardId, tenant: &TenantId, to: &ProcessKey) -> Option<Vec<u8>> {
        let handover = Handover { lineage: LINEAGE, frontend: &to.frontend.name, process: &to.process, shard, tenant };
        self.made.tenant_keys.get(tenant)?.seal_to(&to.public_key, &handover).ok()
    }
}

fn free() -> Result<SocketAddr, std::io::Error> {
    Bound::bind("127.0.0.1:0")?.local_addr()
}

impl Premises {
    pub async fn open(made: Made) -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let put = |name: &str, text: &str| fs::write(folder.path().join(name), text);
        let (peers, frontends, servers) = (Authority::new()?, Authority::new()?, Authority::new()?);
        put("peers-ca.pem", &peers.pem)?;
        let uri = |text: String| Ok::<_, rcgen::Error>(SanType::URI(text.as_str().try_into()?));
        let (certificate, key) = frontends.issue(uri(format!("ekm://{LINEAGE}/frontend/a1"))?)?;
        put("frontend.pem", &certificate.pem())?;
        put("frontend-key.pem", &key.serialize_pem())?;
        let (certificate, key) = servers.issue(SanType::DnsName("localhost".try_into()?))?;
        put("server.pem", &certificate.pem())?;
        put("server-key.pem", &key.serialize_pem())?;
        let issuer = IssuerKey::generate()?;
        put("jwks.json", &issuer.jwks())?;
        let now = SystemClock.wall().seconds();
        let claims =
            MintedClaims { iss: ISSUER, aud: AUDIENCE, email: CALLER, email_verified: true, iat: now, exp: now + 3600 };

        let own = PeerName { lineage: LINEAGE, replica: ReplicaId(1) };
        let (certificate, key) = peers.issue(uri(own.to_string())?)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let credentials =
            Credentials { chain: vec![certificate.der().clone()], key, authorities: vec![frontends.der.clone()] };
        let tls = FeedTls::new(own, credentials)?;
        let store = Arc::new(Store { outlets: outlets(&made), made, deny_entries: watch::Sender::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let listening = feed::listen(listener, tls, Arc::clone(&store), store)?;
        let (data, health, feed) = (free()?, free()?, listening.address());
        put("frontend.toml", &settings(data, health, feed))?;
        Ok(Self { folder, listening, data, health, ca_pem: servers.pem, token: issuer.sign(&claims) })
    }

    pub fn data_url(&self) -> String {
        format!("https://localhost:{}", self.data.port())
    }

    pub fn data_address(&self) -> SocketAddr {
        self.data
    }

    /// Starts the frontend.
    pub fn start(&self, ekm: &Path) -> Result<Frontend, Box<dyn Error>> {
        let settings = self.folder.path().join("frontend.toml");
        let child =
            Command::new(ekm).args(["--log", "warn", "frontend"]).arg(settings).stdout(Stdio::null()).spawn().map_err(
                |error| format!("{} cannot be started: {error}; build it with the same profile", ekm.display()),
            )?;
        Ok(Frontend { child, health: self.health })
    }

    pub async fn close(self) {
        self.listening.shutdown().await;
    }
}

fn settings(data: SocketAddr, health: SocketAddr, feed: SocketAddr) -> String {
    format!(
        r#"
[cluster]
lineage = "{LINEAGE}"
name = "a1"
site = "a"

[feed]
key_stores = ["1@{feed}"]
certificate = "frontend.pem"
key = "frontend-key.pem"
authority = "peers-ca.pem"

[data]
listen = "{data}"
certificate = "server.pem"
key = "server-key.pem"
hostname = "localhost"
locked_memory = "preferred"
audit_file = "audit.jsonl"

[data.key_set]
file = "jwks.json"

[health]
listen = "{health}"
"#
    )
}

/// Both groups as a key store would hold them, confirmed for as long as it is measured.
fn outlets(made: &Made) -> [(GroupId, Arc<Outlet>); 2] {
    [(GroupId::SYSTEM, &made.system), (ShardId::FIRST.group(), &made.shard)].map(|(group, state)| {
        let outlet = Outlet::serving(Arc::new(SystemClock));
        outlet.danger_hold(LogIndex(1), state);
        (group, Arc::new(outlet))
    })
}

/// A running frontend; killed when dropped.
pub struct Frontend {
    child: Child,
    health: SocketAddr,
}

impl Drop for Frontend {
    fn drop(&mut self) {
        // one that has ended cannot be killed
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Frontend {
    /// Waits until it is ready; gives how long that took.
    pub async fn ready(&mut self, within: Duration) -> Result<Duration, Box<dyn Error>> {
        let client = reqwest::Client::new();
        let url = format!("http://{}/readyz", self.health);
        let begun = SystemClock.now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the frontend ended with {status}").into());
            }
            let elapsed = SystemClock.now().since(begun);
            if client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(elapsed);
            }
            if elapsed > within {
                return Err(format!("the frontend is not ready after {within:?}").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn proc(&self, name: &str) -> Result<String, std::io::Error> {
        fs::read_to_string(PathBuf::from(format!("/proc/{}", self.child.id())).join(name))
    }

    /// What lies in memory.
    pub fn resident_bytes(&self) -> Result<u64, Box<dyn Error>> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1024)
    }

    /// Processor time so far, by the kernel's ticks of 10 ms.
    pub fn cpu(&self) -> Result<Duration, Box<dyn Error>> {
        let stat = self.proc("stat")?;
        let fields: Vec<&str> = stat.rsplit_once(')').ok_or("no name")?.1.split_whitespace().collect();
        let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(Duration::from_millis(10 * ticks))
    }

    pub fn end(mut self) -> Result<(), Box<dyn Error>> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}
