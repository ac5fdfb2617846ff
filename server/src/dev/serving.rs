//! The start of everything that runs, in its order, and the word that it serves.
//!
//! Stops nothing: the end is the caller's.

use std::sync::Arc;
use std::time::Duration;

use replication::deny_entries;
use replication::directory::Directory;
use replication::ids::ShardId;
use replication::raft::host::Host;

use crate::authn::ClockVerdict;
use crate::edge::tls::ServerTls;
use crate::frontend::{self, Frontend, Given};
use crate::gauges;
use crate::health::Readiness;
use crate::keystore::{ExecuteError, KeyStore};
use crate::lookup::TenantKeys;
use crate::metrics::ListenerLabel;
use crate::process::certificates;
use crate::process::health::Told;
use crate::tasks::Tasks;

use super::DevRole;
use super::announce::{self, Calls};
use super::demo::{self, Demo, DemoError};
use super::error::DevError;
use super::file::{DEV_FILE, DevFile, DevPerson};
use super::key_store::start_key_store;
use super::listeners::{frontend_settings, probe_target, start_admin};
use super::options::{DevOptions, SettingsFile};
use super::pki;
use super::ports::{Ports, loopback};
use super::prepared::Prepared;
use super::settings::{DevSettings, SETTINGS_FILE};
use super::token::{TokenFile, ensure_issuer};
use crate::process::files::{self, FileError, Readers};
use crate::process::runtimes::{Planes, Runtimes};

/// How long the first good probe may take.
const READY_DEADLINE: Duration = Duration::from_mins(1);

/// What runs once everything is started.
pub(super) struct Serving {
    pub(super) frontend: Frontend,
    pub(super) readiness: Arc<Readiness>,
    store: Arc<KeyStore>,
    pub(super) demo: Demo,
    pub(super) admin_port: u16,
    pub(super) health_port: u16,
}

impl Serving {
    pub(super) async fn start(
        prepared: &Prepared,
        host: &Arc<Host>,
        runtimes: &Runtimes,
        planes: &Planes,
    ) -> Result<Self, DevError> {
        let folder = &prepared.folder;
        files::make_folder(&folder.at("issuer"))?;
        let frontend_settings = frontend_settings(prepared);
        if let Some(audit) = frontend_settings.audit_file.parent() {
            files::make_folder(audit)?;
        }
        let jwks = folder.at("issuer/jwks.json");
        let issuer = ensure_issuer(&folder.at("issuer/issuer-key.pem"), &jwks)?;
        let directory = Arc::new(Directory::new([ShardId::FIRST]));
        let tenant_keys = Arc::new(TenantKeys::default());
        let store = start_key_store(prepared, host, &directory, &tenant_keys).await?;
        planes.feeds.spawn_endless("feeds", Arc::clone(&store).feed_all());
        let keeping = deny_entries::keep(Arc::clone(store.deny_entries()), Arc::clone(store.system()));
        planes.control.spawn_endless("deny entries", keeping);
        planes.control.spawn_endless("cluster time", Arc::clone(&store).keep_time());
        let raising = Arc::clone(&store);
        planes.control.spawn_endless("raising shards", async move { raising.raise_again().await });
        let demo = match demo::ensure(&store, &prepared.operator).await {
            // its shard does not serve, and the others do
            Err(DemoError::Execute(ExecuteError::Down(down))) => Demo::before(folder.root(), down),
            other => other?,
        };
        let token = TokenFile { issuer, path: folder.at("token"), clock: Arc::clone(&prepared.clock) };
        // the printed calls read it; if it cannot be written, the task that tries again says so
        let _ = token.renew();
        planes.control.spawn_endless("token file", token.keep());

        let given = Given {
            directory,
            tenant_keys,
            arena: Arc::clone(&prepared.arena),
            entropy: Arc::clone(&prepared.entropy),
            clock: Arc::clone(&prepared.clock),
            // one machine has no peers whose clocks could disagree with its own
            clock_verdict: ClockVerdict::alone(),
            metrics: Arc::clone(&prepared.metrics),
            probe: prepared.probe.verifier(),
        };
        let frontend = {
            let _data = runtimes.data.enter();
            Frontend::start(frontend_settings, given, &planes.data, &planes.control)?
        };
        let readiness = Arc::new(Readiness::default());
        let (admin_port, admin_tls) = start_admin(prepared, &store, &frontend, &readiness, &planes.control)?;
        let admin = (ListenerLabel::Admin, admin_tls);
        gauges::register(&prepared.metrics, &frontend, &store, admin.clone(), &prepared.clock);
        let (metrics, clock) = (Arc::clone(&prepared.metrics), Arc::clone(&prepared.clock));
        planes.control.spawn_endless("gauges", gauges::follow_shards(metrics, Arc::clone(&store), clock));
        keep_certificates(prepared, [(ListenerLabel::Data, frontend.tls.clone()), admin], &planes.control);
        let told = Told {
            readiness: Arc::clone(&readiness),
            metrics: Arc::clone(&prepared.metrics),
            clock: Arc::clone(&prepared.clock),
        };
        let settings = &prepared.settings;
        let health_port = {
            let _health = runtimes.health.enter();
            told.listen(loopback(settings.ports.health), settings.health_limits, &planes.health)?.port()
        };
        let conditions = frontend::conditions(&frontend.service);
        let target = probe_target(&frontend, &store);
        told.probe(target, &frontend, &prepared.probe, conditions, &planes.health)?;
        Ok(Self { frontend, readiness, store, demo, admin_port, health_port })
    }

    /// Waits for the first good probe, then writes the settings file if there is none, `dev.json` and the ready file, and
    /// prints what was made. Where a group has halted there may be no good probe: it says so instead, without a ready file.
    pub(super) async fn announce(
        &self,
        options: &DevOptions,
        prepared: &Prepared,
        print: &dyn Fn(&str),
    ) -> Result<(), DevError> {
        let halted = self.store.halted();
        if halted.is_none() {
            let passed = tokio::time::timeout(READY_DEADLINE, self.readiness.passed());
            passed.await.map_err(|_| DevError::NotReady(self.readiness.reasons(prepared.clock.now()).join("; ")))?;
        }
        let folder = &prepared.folder;
        if prepared.settings_file == SettingsFile::ToBeMade {
            let settings = DevSettings { ports: self.ports(), ..prepared.settings.clone() };
            let written = files::write(&folder.at(SETTINGS_FILE), settings.to_toml().as_bytes(), Readers::Owner);
            if let Err(error) = written {
                tracing::warn!(%error, "the settings file cannot be made; the server goes on, and the next start tries again");
            }
        }
        let dev = self.dev_file();
        tool_file(files::keep(&folder.at(DEV_FILE), &dev.to_json(), Readers::Owner));
        let dev = dev.joined(folder.root());
        let calls = match halted {
            Some((group, since)) => Calls::Halted { group, since },
            None => match (&self.demo.down, announce::demo_blob(&dev, self.frontend.address).await?) {
                (_, Some(blob)) => Calls::Work { blob },
                (Some(down), None) => Calls::Down { shard: down.shard },
                (None, None) => Calls::Disabled,
            },
        };
        print(&announce::text(&dev, folder.root(), &calls));
        if let (Some(ready), None) = (&options.ready_file, halted) {
            tool_file(files::write(ready, b"ready\n", Readers::All));
        }
        Ok(())
    }

    /// Those that are bound.
    const fn ports(&self) -> Ports {
        Ports { data: self.frontend.address.port(), admin: self.admin_port, health: self.health_port }
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
            people: super::PEOPLE.iter().map(person).collect(),
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

fn person(one: &DevRole) -> DevPerson {
    let name = one.name.parse().expect("the people of dev have legal names");
    let at = |ending: &str| format!("pki/{}{ending}", one.files).into();
    DevPerson { name, cert_file: at(".pem"), key_file: at("-key.pem") }
}

/// Files that only tools read: without them the server serves.
fn tool_file(written: Result<(), FileError>) {
    if let Err(error) = written {
        tracing::warn!(%error, "a file for tools is not what it should be; the server goes on");
    }
}

/// Renews the leaves on disk, and has the listeners take what is there.
fn keep_certificates(prepared: &Prepared, listeners: [(ListenerLabel, ServerTls); 2], tasks: &Tasks) {
    let asked = Arc::clone(&prepared.look_at_certificates);
    let told = (&prepared.metrics, &prepared.clock);
    certificates::watch(listeners.into(), prepared.settings.look_every, asked, told, tasks);
    tasks.spawn_endless("leaves", pki::keep(prepared.folder.at("pki"), Arc::clone(&prepared.clock)));
}
