//! Certificates that change under a running `ekm dev`: by a signal, by themselves, by halves; and what strangers may write
//! into its log.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
};
use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use server::dev::DevFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

use super::google::{Google, Protocol};
use super::harness::{Dev, alarms, ekmctl, soon, temporary};
use super::socket;

/// A certificate of the server's authority, with its key, both PEM.
struct Pair {
    certificate: String,
    key: String,
    der: CertificateDer<'static>,
}

fn key_pair() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key can be made")
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params
}

/// Issues what an operator would put in the place of the server's certificate.
fn issue(folder: &Path) -> Pair {
    issue_as("ekm dev server authority", folder)
}

/// The same by an authority of this name, which has the key that lies there.
fn issue_as(name: &str, folder: &Path) -> Pair {
    let key = std::fs::read_to_string(folder.join("pki/ca-key.pem")).expect("dev keeps its authority's key");
    let issuer = Issuer::new(authority(name), KeyPair::from_pem(&key).expect("the key is PEM"));
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).expect("they are names");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = key_pair();
    let made = params.signed_by(&key, &issuer).expect("an authority signs");
    Pair { certificate: made.pem(), key: key.serialize_pem(), der: made.der().clone() }
}

fn put(folder: &Path, name: &str, text: &str) {
    let (path, draft) = (folder.join("pki").join(name), folder.join("pki").join(name).with_extension("new"));
    std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, &path)).expect("the folder is writable");
}

async fn presented(dev: &Dev) -> CertificateDer<'static> {
    let stream = socket::connect(dev, socket::HTTP1).await.expect("a handshake");
    let chain = stream.get_ref().1.peer_certificates().expect("a server has a certificate");
    chain[0].clone().into_owned()
}

/// Waits until a metric shows this.
async fn shows(dev: &Dev, line: &str) {
    let shown = async { while !dev.metrics().await.lines().any(|shown| shown == line) {} };
    soon(line, shown).await;
}

fn reloads(listener: &str, result: &str, count: u32) -> String {
    format!("ekm_certificate_reloads_total{{listener=\"{listener}\",result=\"{result}\"}} {count}")
}

#[tokio::test(flavor = "multi_thread")]
async fn renewed_certificates_are_taken_while_calls_go_on_and_none_fails() {
    let folder = temporary();
    // the first is looked for by a signal alone, the second by the clock
    for (look_every, signal) in [("1h", Some(Signal::HUP)), ("50ms", None)] {
        let folder = folder.path().join(look_every);
        Dev::start(&folder).await.stop().await;
        let settings = folder.join(server::dev::settings::SETTINGS_FILE);
        let text = std::fs::read_to_string(&settings).expect("the first start made it");
        let text = text.replace("look_every = \"5s\"", &format!("look_every = \"{look_every}\""));
        std::fs::write(&settings, text).expect("the folder is writable");
        let dev = Dev::start(&folder).await;
        let google = [Protocol::Http1, Protocol::Http2].map(|protocol| Google::new(&dev, protocol));
        let (stop, stopped) = watch::channel(false);
        let clients = google.map(|google| {
            let (path, stopped) = (dev.file.key_path.clone(), stopped.clone());
            tokio::spawn(async move {
                let mut calls = 0;
                while !*stopped.borrow() {
                    let answer = google.settled_wrap(&path, "bG9hZA==").await.expect("no call is cut");
                    assert_eq!(answer.status, 200, "{answer:?}");
                    calls += 1;
                }
                calls
            })
        });
        let first = presented(&dev).await;
        for round in 1..=3 {
            let pair = issue(&folder);
            put(&folder, "server.pem", &pair.certificate);
            put(&folder, "server-key.pem", &pair.key);
            if let Some(signal) = signal {
                dev.process.signal(signal);
            }
            soon("the renewed certificate", async { while presented(&dev).await != pair.der {} }).await;
            shows(&dev, &reloads("admin", "taken", round)).await;
            shows(&dev, &reloads("data", "taken", round)).await;
            assert_ne!(presented(&dev).await, first);
        }
        assert_eq!(ekmctl(&folder, &["status"]).await.code, Some(0), "operators get in");
        stop.send(true).expect("the clients listen");
        for client in clients {
            assert!(client.await.expect("no call failed") > 0);
        }
        dev.stop().await;
    }
}

/// Rounds of the probe that passed.
async fn passed(dev: &Dev) -> u64 {
    let metrics = dev.metrics().await;
    let count = metrics.lines().find_map(|line| line.strip_prefix("ekm_probe_rounds_total{result=\"passed\"} "));
    count.expect("the metric is shown").parse().expect("it is a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_a_new_authority_leaves_the_machine_ready_and_the_next_start_takes_both() {
    let folder = temporary();
    let dev = Dev::start(folder.path()).await;
    let readyz = format!("{}/readyz", dev.file.health_url);
    let ca = key_pair();
    put(folder.path(), "ca-key.pem", &ca.serialize_pem());
    let self_signed = authority("another").self_signed(&ca).expect("an authority signs itself");
    let pair = issue_as("another", folder.path());
    for (name, text) in
        [("ca.pem", &self_signed.pem()), ("server.pem", &pair.certificate), ("server-key.pem", &pair.key)]
    {
        put(folder.path(), name, text);
    }
    dev.process.signal(Signal::HUP);
    shows(&dev, &reloads("data", "taken", 1)).await;
    let before = passed(&dev).await;
    // the first may have begun before the exchange
    soon("rounds of the probe", async { while passed(&dev).await < before + 2 {} }).await;
    let ready = async { while reqwest::get(&readyz).await.expect("the health listener answers").status() != 200 {} };
    soon("readiness", ready).await;
    dev.stop().await;
    // with all four of them exchanged, they belong together
    let dev = Dev::start(folder.path()).await;
    assert_eq!(presented(&dev).await, pair.der);
    dev.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_change_keeps_the_old_certificate_and_is_told_once_a_listener() {
    let folder = temporary();
    let dev = Dev::start(folder.path()).await;
    let (old, pair) = (presented(&dev).await, issue(folder.path()));
    put(folder.path(), "server-key.pem", &pair.key);
    for _ in 0..3 {
        dev.process.signal(Signal::HUP);
        for listener in ["data", "admin"] {
            shows(&dev, &reloads(listener, "refused", 1)).await;
        }
    }
    assert_eq!(presented(&dev).await, old);
    put(folder.path(), "server.pem", &pair.certificate);
    dev.process.signal(Signal::HUP);
    soon("the renewed certificate", async { while presented(&dev).await != pair.der {} }).await;
    shows(&dev, &reloads("admin", "taken", 1)).await;
    dev.process.terminate();
    let ended = dev.process.ended().await;
    let told = alarms(&ended.err);
    let is_it = |line: &&str| line.contains("does not belong to the certificate") && line.contains("WARN");
    assert_eq!((ended.code, told.len()), (Some(0), 2), "{told:?}");
    assert!(told.iter().all(is_it), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_of_another_authority_are_let_in_when_it_is_theirs() {
    let folder = temporary();
    let dev = Dev::start(folder.path()).await;
    let ours = std::fs::read_to_string(folder.path().join("pki/operator-ca.pem")).expect("dev made it");
    let another = authority("another").self_signed(&key_pair()).expect("an authority signs itself").pem();
    for (round, (authority, code)) in [(another, 69), (ours, 0)].into_iter().enumerate() {
        put(folder.path(), "operator-ca.pem", &authority);
        dev.process.signal(Signal::HUP);
        shows(&dev, &reloads("admin", "taken", u32::try_from(round + 1).expect("two rounds"))).await;
        let ended = ekmctl(folder.path(), &["status"]).await;
        assert_eq!(ended.code, Some(code), "{}", ended.err);
    }
    assert!(dev.metrics().await.contains(&reloads("data", "taken", 0)), "nobody else was touched");
    dev.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_write_nothing_into_the_log() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    const PING_ACK: &[u8] = b"\0\0\x08\x06\x01\0\0\0\0unasked!";
    // GET /, cancelled: streams 1, 3, 5 …
    let cancelled = |number: u32| {
        let id = (2 * number + 1).to_be_bytes();
        let head = [b"\0\0\x06\x01\x05".as_slice(), &id, b"\x82\x84\x87\x01\x01h"].concat();
        [head, [b"\0\0\x04\x03\0".as_slice(), &id, &8_u32.to_be_bytes()].concat()].concat()
    };
    let folder = temporary();
    let dev = Dev::start(folder.path()).await;
    let floods: [Vec<u8>; 3] =
        [PING_ACK.repeat(1000), (0..10_000).flat_map(cancelled).collect(), b"\0\0\x01\x09\x04\0\0\0\x01x".to_vec()];
    for flood in floods {
        let mut stream = socket::connect(&dev, socket::HTTP2).await.expect("a handshake");
        // it may fail when the server has had enough
        let _ = stream.write_all(&[PREFACE, &flood].concat()).await;
        let _ = stream.shutdown().await;
        let mut said = Vec::new();
        let _ = soon("the end of the connection", stream.read_to_end(&mut said)).await;
    }
    let google = Google::new(&dev, Protocol::Http2);
    let answer = google.settled_wrap(&dev.file.key_path, "").await.expect("an answer");
    assert_eq!(answer.status, 200);
    dev.stop().await;
}

/// Inode and content of what a start has no reason to write.
fn standing(folder: &Path) -> Vec<(String, u64, Vec<u8>)> {
    use std::os::unix::fs::MetadataExt as _;

    let names = [
        "EKM-DEV",
        "ekm-dev.toml",
        "root.key",
        "replica-key.der",
        "token",
        "issuer/issuer-key.pem",
        "issuer/jwks.json",
        "pki/ca.pem",
        "pki/ca-key.pem",
        "pki/server.pem",
        "pki/server-key.pem",
        "pki/operator-ca.pem",
        "pki/operator.pem",
        "pki/operator-key.pem",
    ];
    let of = |name: &str| {
        let path = folder.join(name);
        let inode = path.metadata().unwrap_or_else(|error| panic!("{name}: {error}")).ino();
        (name.to_owned(), inode, std::fs::read(path).expect("it is readable"))
    };
    names.map(of).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_writes_no_file_anew_and_needs_none_that_tools_read() {
    let folder = temporary();
    Dev::start(folder.path()).await.stop().await;
    let before = standing(folder.path());
    Dev::start_with(folder.path(), &[]).await.stop().await;
    assert_eq!(standing(folder.path()), before);
    // folders in the drafts' places stand for a disk that takes no new file
    for name in ["token", "dev.json", "ekm-dev.toml", "issuer/jwks.json", "issuer/issuer-key.pem", "pki/server.pem"] {
        std::fs::create_dir(folder.path().join(format!("{name}.draft"))).expect("the folder is writable");
    }
    let dev = Dev::start_with(folder.path(), &[]).await;
    let google = Google::new(&dev, Protocol::Http1);
    assert_eq!(google.settled_wrap(&dev.file.key_path, "").await.expect("an answer").status, 200);
    assert_ne!(DevFile::load(folder.path()).expect("the old one stands").pid, dev.process.pid());
    dev.process.terminate();
    let ended = dev.process.ended().await;
    let told = alarms(&ended.err);
    assert_eq!((ended.code, told.len()), (Some(0), 1), "{told:?}");
    assert!(told[0].contains("cannot write") && told[0].contains("dev.json") && told[0].contains("WARN"), "{told:?}");
    assert_eq!(standing(folder.path()), before);
}
