//! `ekm frontend` by itself: what it says while no key store feeds it, how it ends, and starts that it refuses.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P256_SHA256, SanType,
};
use replication::clock::Clock as _;
use rustix::process::Signal;
use server::authn::mint::{DEV_ISSUER, IssuerKey, MintedClaims};
use server::clock::SystemClock;

use super::harness::{Process, ekm, finish, soon, temporary};

const HOSTNAME: &str = "ekm.example";
const LINEAGE: &str = "0123456789abcdef0123456789abcdef";

/// A folder with everything that a frontend is started with, and where it listens then.
struct Scene {
    folder: tempfile::TempDir,
    issuer: IssuerKey,
    ca: String,
    servers: Issuer<'static, KeyPair>,
    data: SocketAddr,
    health: SocketAddr,
}

fn key_pair() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key can be made")
}

fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let key = key_pair();
    let made = params.self_signed(&key).expect("an authority signs itself");
    (made.pem(), Issuer::new(params, key))
}

fn put(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("the folder is writable");
}

fn text(text: &str) -> Ia5String {
    Ia5String::try_from(text).expect("it is ASCII")
}

fn issue(folder: &Path, name: &str, of: SanType, usage: ExtendedKeyUsagePurpose, issuer: &Issuer<'_, KeyPair>) {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![of];
    params.extended_key_usages = vec![usage];
    let key = key_pair();
    put(folder, &format!("{name}.pem"), &params.signed_by(&key, issuer).expect("an authority signs").pem());
    put(folder, &format!("{name}-key.pem"), &key.serialize_pem());
}

fn issue_server(folder: &Path, issuer: &Issuer<'_, KeyPair>) {
    issue(folder, "server", SanType::DnsName(text(HOSTNAME)), ExtendedKeyUsagePurpose::ServerAuth, issuer);
}

/// Addresses that nobody listens on now: the kernel hands none of them out while they are held together.
fn free<const N: usize>() -> [SocketAddr; N] {
    let held = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    held.map(|one| one.local_addr().expect("it is bound"))
}

impl Scene {
    fn new() -> Self {
        let folder = temporary();
        let put = |name: &str, text: &str| put(folder.path(), name, text);
        let (ca, servers) = authority("servers");
        let (_, frontends) = authority("frontends");
        put("peers-ca.pem", &authority("peers").0);
        issue_server(folder.path(), &servers);
        let uri = SanType::URI(text(&format!("ekm://{LINEAGE}/frontend/a1")));
        issue(folder.path(), "frontend", uri, ExtendedKeyUsagePurpose::ClientAuth, &frontends);
        let issuer = IssuerKey::generate().expect("the library makes an RSA key");
        put("jwks.json", &issuer.jwks());
        let [data, health, nobody, no_one] = free();
        let settings = format!(
            "[cluster]\nlineage = \"{LINEAGE}\"\nname = \"a1\"\nsite = \"a\"\n\
             [feed]\nkey_stores = [\"1@{nobody}\", \"2@{no_one}\"]\ncertificate = \"frontend.pem\"\nkey = \"frontend-key.pem\"\n\
             authority = \"peers-ca.pem\"\n\
             [data]\nlisten = \"{data}\"\ncertificate = \"server.pem\"\nkey = \"server-key.pem\"\nhostname = \"{HOSTNAME}\"\n\
             audit_file = \"audit/audit.jsonl\"\n[data.key_set]\nfile = \"jwks.json\"\n\
             [health]\nlisten = \"{health}\"\n"
        );
        put("frontend.toml", &settings);
        Self { folder, issuer, ca, servers, data, health }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts another certificate in the place of what Google is presented.
    fn renew(&self) {
        issue_server(self.folder.path(), &self.servers);
    }

    fn start(&self) -> Process {
        let mut command = ekm();
        command.arg("frontend").arg(self.at("frontend.toml")).arg("--ready-file").arg(self.at("ready"));
        Process::start(&mut command)
    }

    /// A token that would prove a caller, if it were known whom to believe.
    fn token(&self) -> String {
        let now = SystemClock.wall().seconds();
        self.issuer.sign(&MintedClaims {
            iss: DEV_ISSUER,
            aud: "https://ekm.example",
            email: server::dev::CALLER,
            email_verified: true,
            iat: now,
            exp: now + 3600,
        })
    }

    async fn wrap(&self, token: &str) -> (u16, String) {
        let ca = reqwest::Certificate::from_pem(self.ca.as_bytes()).expect("it is PEM");
        let client = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().resolve(HOSTNAME, self.data);
        let client = client.build().expect("a client can be made");
        let url = format!("https://{HOSTNAME}:{}/v0/keys/{LINEAGE}:wrap", self.data.port());
        let call = client.post(url).bearer_auth(token).body(r#"{"plaintext":"aGVsbG8="}"#);
        let answer = soon("an answer", call.send()).await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    }

    async fn health(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.health);
        loop {
            // until it listens
            if let Ok(answer) = reqwest::get(&url).await {
                return (answer.status().as_u16(), answer.text().await.expect("a body"));
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

/// Waits until `/readyz` answers with this reason.
async fn says(scene: &Scene, reason: &str) {
    let said = async {
        loop {
            let (status, body) = scene.health("/readyz").await;
            assert_eq!(status, 503, "nothing has fed it: {body}");
            if body.contains(reason) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    soon(reason, said).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frontend_that_no_key_store_feeds_answers_503_says_why_and_ends_when_it_is_told_to() {
    let scene = Scene::new();
    std::fs::write(scene.at("ready"), "of a start before this one").expect("the folder is writable");
    let process = scene.start();
    assert_eq!(soon("liveness", scene.health("/livez")).await.0, 200);
    says(&scene, "no key store has fed this frontend since it started: see that those of `[feed] key_stores` run")
        .await;
    assert!(!scene.at("ready").exists(), "it is not ready, and says nothing else");
    for token in [scene.token(), "no token".to_owned()] {
        let (status, body) = scene.wrap(&token).await;
        // neither 404 nor 401 is known to be true
        assert_eq!(status, 503, "{body}");
        assert!(body.contains("has not loaded its keys yet"), "{body}");
    }
    let (_, metrics) = scene.health("/metrics").await;
    assert!(metrics.contains("ekm_certificate_"), "its own metrics are there: {metrics}");
    scene.renew();
    process.signal(Signal::HUP);
    let taken = "ekm_certificate_reloads_total{listener=\"data\",result=\"taken\"} 1";
    soon(taken, async { while !scene.health("/metrics").await.1.contains(taken) {} }).await;
    assert_eq!(scene.wrap(&scene.token()).await.0, 503, "with a certificate of the same authority");
    process.terminate();
    let ended = process.ended().await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), ""), "{}", ended.err);
    for line in ended.err.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        assert!(event["level"] == "INFO" || event["level"] == "WARN", "{line}");
    }
    let audited = std::fs::read_to_string(scene.at("audit/audit.jsonl")).expect("the audit file is there");
    let own = audited.lines().filter(|line| line.contains("\"unavailable\""));
    assert!(own.clone().count() >= 2 && own.clone().all(|line| line.contains("\"a1\"")), "{audited}");
}

/// What a refused start says, with the file's name replaced.
async fn refused(file: &Path, code: i32) -> String {
    let ended = finish(ekm().arg("frontend").arg(file)).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(code), ""), "{}", ended.err);
    ended.err.replace(&file.display().to_string(), "FILE")
}

#[tokio::test]
async fn a_frontend_refuses_settings_that_are_wrong_or_of_something_else() {
    let scene = Scene::new();
    let text = std::fs::read_to_string(scene.at("frontend.toml")).expect("it was written");
    let wrong = scene.at("wrong.toml");
    let with = |text: String| std::fs::write(&wrong, text).expect("the folder is writable");
    with(text.replace("name = \"a1\"", "name = \"A 1\"").replace("certificate = \"server.pem\"\n", "colour = 1\n"));
    let said = "\
error: FILE has 3 mistakes
  cluster.name: a frontend is 1 to 63 characters of a-z, 0-9 and '-', begins with a letter and does not end with '-'
  data.certificate: it is missing, and has no default
  data.colour: no such field
";
    assert_eq!(refused(&wrong, 64).await, said);
    with(format!("dev = true\n{text}"));
    let said = "\
error: FILE has 1 mistake
  dev: the file is stamped `dev = true`: `ekm dev` alone uses it, and only `ekm check --dev` takes it
";
    assert_eq!(refused(&wrong, 64).await, said);
    assert!(refused(&scene.at("gone.toml"), 64).await.starts_with("error: cannot read the settings file FILE\n"));
    assert!(!scene.at("audit").exists(), "a start that is refused makes nothing");
}

#[tokio::test]
async fn a_frontend_does_not_start_without_what_it_presents_or_where_somebody_listens() {
    let scene = Scene::new();
    let held = TcpListener::bind(scene.data).expect("it was free");
    let said = refused(&scene.at("frontend.toml"), 69).await;
    assert!(said.contains(&scene.data.to_string()), "{said}");
    drop(held);
    std::fs::remove_file(scene.at("server-key.pem")).expect("it is there");
    let said = refused(&scene.at("frontend.toml"), 69).await;
    assert!(said.contains("server-key.pem"), "{said}");
}
