//! A cluster of `ekm keystore` processes on loopback, with certificates of its own.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ED25519, SanType,
};
use serde_json::Value;
use tempfile::TempDir;

use super::harness::{Ended, Process, ekm, finish, soon, temporary};

pub(crate) const LINEAGE: &str = "0123456789abcdef0123456789abcdef";
const PAUSE: Duration = Duration::from_millis(100);

/// Signs certificates of one kind.
struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str, file: &Path) -> Self {
        let mut params = CertificateParams::new(vec![]).expect("no names are legal names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.self_signed(&key).expect("an authority can sign itself");
        std::fs::write(file, certificate.pem()).expect("the folder is writable");
        Self(Issuer::new(params, key))
    }

    /// Writes `<name>.pem` and `<name>-key.pem`.
    fn issue(&self, folder: &Path, name: &str, names: Vec<SanType>, key: &KeyPair) {
        let mut params = CertificateParams::new(vec![]).expect("no names are legal names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(key, &self.0).expect("the authority signs");
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).expect("the folder is writable");
        std::fs::write(folder.join(format!("{name}-key.pem")), key.serialize_pem()).expect("the folder is writable");
    }
}

/// What a replica is there for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Data,
    Witness,
}

/// The files of a cluster, and where each of its replicas listens.
pub(crate) struct Site {
    folder: TempDir,
    peers: Authority,
    ports: Vec<[u16; 4]>,
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("a URI is ASCII"))
}

impl Site {
    /// Room for so many replicas.
    pub(crate) fn new(replicas: usize) -> Self {
        let folder = temporary();
        let at = folder.path();
        let peers = Authority::new("peers", &at.join("peers-ca.pem"));
        drop(Authority::new("frontends", &at.join("frontends-ca.pem")));
        let servers = Authority::new("servers", &at.join("servers-ca.pem"));
        let operators = Authority::new("operators", &at.join("operators-ca.pem"));
        let host = SanType::DnsName("localhost".try_into().expect("a host is ASCII"));
        servers.issue(at, "admin", vec![host], &KeyPair::generate().expect("a key can be made"));
        for name in ["ann", "bea", "cleo"] {
            let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key can be made");
            operators.issue(at, name, vec![], &key);
        }
        // all at once, so that no two are the same
        let free: Vec<_> =
            (0..4 * replicas).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port is free")).collect();
        let port = |one: &TcpListener| one.local_addr().expect("it listens").port();
        let ports = free.chunks(4).map(|four| [0, 1, 2, 3].map(|at| port(&four[at]))).collect();
        let site = Self { folder, peers, ports };
        for number in 1..=replicas {
            site.certify(number, &format!("ekm://{LINEAGE}/replica/{number}"));
        }
        site
    }

    /// Gives a replica a peer's certificate with this name.
    pub(crate) fn certify(&self, number: usize, name: &str) {
        let key = KeyPair::generate().expect("a key can be made");
        self.peers.issue(self.path(), &format!("peer-{number}"), vec![uri(name)], &key);
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data_dir(&self, number: usize) -> PathBuf {
        self.path().join(format!("data-{number}"))
    }

    /// Writes a replica's settings, and gives their file. Lines of the given text replace those that begin alike.
    pub(crate) fn settings(&self, number: usize, role: Role) -> PathBuf {
        let [peers, feed, admin, health] = self.ports[number - 1];
        let word = if role == Role::Data { "data" } else { "witness" };
        let mut text = format!(
            "data_dir = \"data-{number}\"\n[cluster]\nlineage = \"{LINEAGE}\"\nreplica = {number}\nsite = \"a\"\nrole = \"{word}\"\n\
             [peers]\nlisten = \"127.0.0.1:{peers}\"\nadvertise = \"127.0.0.1:{peers}\"\ncertificate = \"peer-{number}.pem\"\n\
             key = \"peer-{number}-key.pem\"\nauthority = \"peers-ca.pem\"\n[health]\nlisten = \"127.0.0.1:{health}\"\n\
             [key_store.timers]\nheartbeat = \"200ms\"\nelection_min = \"1s\"\nelection_max = \"2s\"\n"
        );
        if role == Role::Data {
            text.push_str(&format!(
                "[feed]\nlisten = \"127.0.0.1:{feed}\"\nfrontends_authority = \"frontends-ca.pem\"\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n\
                 certificate = \"admin.pem\"\nkey = \"admin-key.pem\"\noperators_authority = \"operators-ca.pem\"\n\
                 [root_key]\nfile = \"root-{number}.key\"\n"
            ));
        }
        let file = self.path().join(format!("keystore-{number}.toml"));
        std::fs::write(&file, text).expect("the folder is writable");
        file
    }

    /// Starts a replica, and waits until it listens.
    pub(crate) async fn start(&self, number: usize, role: Role) -> Process {
        let file = self.settings(number, role);
        let ready = self.path().join(format!("ready-{number}"));
        drop(std::fs::remove_file(&ready));
        let process = Process::start(ekm().arg("keystore").arg(&file).arg("--ready-file").arg(&ready));
        soon("a replica that listens", async {
            while !ready.exists() {
                tokio::time::sleep(PAUSE).await;
            }
        })
        .await;
        process
    }

    /// A replica that ends by itself.
    pub(crate) async fn refused(&self, number: usize, role: Role) -> Ended {
        finish(ekm().arg("keystore").arg(self.settings(number, role))).await
    }

    /// `ekmctl` as somebody, against a replica, to its end.
    pub(crate) async fn ctl(&self, number: usize, person: &str, args: &[&str]) -> Ended {
        let url = format!("https://localhost:{}", self.ports[number - 1][2]);
        let mut command = Command::new(env!("CARGO_BIN_EXE_ekmctl"));
        command.current_dir(self.path()).args(["--url", &url, "--ca", "servers-ca.pem"]);
        command.args(["--cert", &format!("{person}.pem"), "--cert-key", &format!("{person}-key.pem")]).args(args);
        finish(&mut command).await
    }

    /// The same, which must succeed; gives the JSON that it prints.
    pub(crate) async fn done(&self, number: usize, person: &str, args: &[&str]) -> Value {
        let ended = self.ctl(number, person, &[args, &["--output", "json"]].concat()).await;
        assert_eq!(ended.code, Some(0), "ekmctl {args:?}: {}", ended.err);
        serde_json::from_str(&ended.out).expect("ekmctl prints JSON when asked to")
    }

    /// The same, which must succeed in the end: shards may be on their way, and leaders may change.
    pub(crate) async fn done_soon(&self, number: usize, person: &str, args: &[&str]) -> Value {
        let trying = async {
            loop {
                let ended = self.ctl(number, person, &[args, &["--output", "json"]].concat()).await;
                match ended.code {
                    Some(0) => return serde_json::from_str(&ended.out).expect("ekmctl prints JSON when asked to"),
                    Some(2 | 75) => tokio::time::sleep(PAUSE).await,
                    code => panic!("ekmctl {args:?}: {code:?} {}", ended.err),
                }
            }
        };
        soon("what a cluster takes", trying).await
    }

    /// Founds the cluster on a replica.
    pub(crate) async fn init(&self, number: usize) -> Ended {
        let people = ["ann:operator:ann.pem", "bea:security_officer:bea.pem", "cleo:security_officer,viewer:cleo.pem"];
        let people: Vec<&str> = people.iter().flat_map(|person| ["--person", *person]).collect();
        let trust = ["--issuer", "https://accounts.google.com", "--audience", "https://ekm.example"];
        self.ctl(number, "ann", &[&["cluster", "init"], people.as_slice(), trust.as_slice()].concat()).await
    }

    /// Has a replica join, asked for at another.
    pub(crate) async fn join(&self, at: usize, number: usize) -> Ended {
        let file = format!("data-{number}/replica.json");
        let trying = async {
            loop {
                let ended = self.ctl(at, "bea", &["cluster", "join", &file]).await;
                // the first shard may still be on its way
                if ended.code != Some(75) {
                    return ended;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        soon("a replica that joins", trying).await
    }

    /// The root key of one replica for another one.
    pub(crate) fn copy_root_key(&self, from: usize, to: usize) {
        let file = |number: usize| self.path().join(format!("root-{number}.key"));
        std::fs::copy(file(from), file(to)).expect("the root key is there, and its mode comes along");
    }

    /// Waits until a replica's status is as it is wanted.
    pub(crate) async fn status(&self, number: usize, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let looking = async {
            loop {
                let status = self.done(number, "ann", &["cluster", "status"]).await;
                if wanted(&status) {
                    return status;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        soon(what, looking).await
    }

    /// Waits for what `/readyz` says of a replica.
    pub(crate) async fn ready(&self, number: usize) {
        let url = format!("http://127.0.0.1:{}/readyz", self.ports[number - 1][3]);
        let looking = async {
            while !reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success()) {
                tokio::time::sleep(PAUSE).await;
            }
        };
        soon("a ready replica", looking).await;
    }
}
