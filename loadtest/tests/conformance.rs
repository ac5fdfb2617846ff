//! `loadtest conformance` as a command: targets that are no EKM, and command lines that cannot be used. Each is told apart by
//! its words and its exit status.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const WEBSITE: &str = "<!doctype html><title>Welcome</title>";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a temporary folder can be made"));
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key can be made");
        let der: Pkcs8V1Der<'_> = pair.as_der().expect("an RSA key has a PKCS#8 form");
        let lines = BASE64_STANDARD.encode(der.as_ref());
        let lines = lines.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
        folder.write("issuer.pem", &format!("-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----\n"));
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a fresh folder is writable");
    }
}

/// What the certificate of a test's server is like.
#[derive(Clone)]
struct Certificate {
    name: &'static str,
    /// Years.
    valid: (i32, i32),
    is_authority: IsCa,
}

const SOUND: Certificate = Certificate { name: "localhost", valid: (2020, 2120), is_authority: IsCa::NoCa };

/// A website with a self-signed certificate of this kind, and the certificate.
async fn website(certificate: &Certificate) -> (SocketAddr, String) {
    let key = KeyPair::generate().expect("a key can be made");
    let mut params = CertificateParams::new([certificate.name.to_owned()]).expect("it is a host name");
    params.not_before = rcgen::date_time_ymd(certificate.valid.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(certificate.valid.1, 1, 1);
    params.is_ca = certificate.is_authority;
    let made = params.self_signed(&key).expect("it can be signed");
    let chain = vec![CertificateDer::from(made.der().to_vec())];
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("it is a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("the versions are there").with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).expect("they belong together")));
    let (listener, address) = listening().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // a handshake that the client ends is what some tests are about
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            tokio::spawn(served(TokioIo::new(stream)));
        }
    });
    (address, made.pem())
}

/// The same without TLS.
async fn plain_website() -> SocketAddr {
    let (listener, address) = listening().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(served(TokioIo::new(stream)));
        }
    });
    address
}

async fn listening() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
    let address = listener.local_addr().expect("a listener has an address");
    (listener, address)
}

async fn served<S>(stream: S)
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let page = service_fn(|_| async {
        let response = Response::builder().status(404).header("content-type", "text/html");
        Ok::<_, Infallible>(response.body(Full::new(Bytes::from_static(WEBSITE.as_bytes()))).expect("it is HTTP"))
    });
    // a client that goes away early is no fault of the server's
    drop(hyper::server::conn::http1::Builder::new().serve_connection(stream, page).await);
}

/// The command's exit status and everything it said.
fn told(arguments: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .arg("conformance")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the command can be run");
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    (status.code().expect("it ended by itself"), text)
}

fn told_of(folder: &Folder, port: u16, ca: &Path) -> (i32, String) {
    let (url, issuer, ca) = (format!("https://localhost:{port}"), folder.text("issuer.pem"), ca.display().to_string());
    let target = ["--url", &url, "--resolve", "127.0.0.1", "--ca", &ca];
    let caller =
        ["--issuer-key", &issuer, "--email", "service-1@gcp-sa-ekms.iam.gserviceaccount.com", "--key-path", "k"];
    told(&[&target[..], &caller[..]].concat())
}

/// The test's own thread waits for the command; the servers run on the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_that_are_no_ekm_are_told_apart() {
    let folder = Folder::new();
    // as `openssl req -x509` makes it
    let by_openssl = Certificate { is_authority: IsCa::Ca(BasicConstraints::Unconstrained), ..SOUND };
    let kinds = [
        ("sound.pem", SOUND),
        ("pinned.pem", by_openssl),
        ("expired.pem", Certificate { valid: (2020, 2021), ..SOUND }),
        ("future.pem", Certificate { valid: (2110, 2120), ..SOUND }),
        ("other.pem", Certificate { name: "ekm.example", ..SOUND }),
    ];
    let mut ports = Vec::new();
    for (name, kind) in &kinds {
        let (address, certificate) = website(kind).await;
        folder.write(name, &certificate);
        ports.push(address.port());
    }
    let [sound, pinned, expired, future, other] = ports[..] else { panic!("five websites") };
    let plain = plain_website().await.port();
    // nobody listens where somebody just stopped to
    let closed = listening().await.1.port();
    let rows = [
        (sound, "sound.pem", "HTTP 404 and a body of type text/html that begins with \"<!doctype html>"),
        // the certificate itself is as good as its authority, also where it calls itself one
        (pinned, "pinned.pem", "HTTP 404 and a body of type text/html"),
        (sound, "pinned.pem", "descends from no authority that is trusted here"),
        (expired, "expired.pem", "certificate has expired"),
        (future, "future.pem", "certificate is not valid yet"),
        (other, "other.pem", "certificate is for another name"),
        (plain, "sound.pem", "it does not speak TLS"),
        (closed, "sound.pem", "no connection to 127.0.0.1"),
    ];
    for (port, ca, right) in rows {
        let (code, text) = told_of(&folder, port, &folder.path(ca));
        assert!(code == 69 && text.contains("not an EKM") && text.contains(right), "{ca}: {code} {text}");
    }
}

#[test]
fn command_lines_that_cannot_be_used_say_what_to_do() {
    let folder = Folder::new();
    folder.write("ec.pem", &KeyPair::generate().expect("a key can be made").serialize_pem());
    folder.write("dev.json", "{}");
    folder.write("nothing.pem", "nothing");
    let [issuer, ec, nothing, absent] = ["issuer.pem", "ec.pem", "nothing.pem", "absent"].map(|name| folder.text(name));
    let here = folder.0.path().display().to_string();
    let right = ["--url", "https://localhost:1", "--email", "a@b.example", "--issuer-key", &issuer, "--key-path", "k"];
    let but = |option: &'static str, value: &str| -> Vec<String> {
        let mut arguments = right.map(str::to_owned).to_vec();
        match arguments.iter().position(|one| one == option) {
            Some(at) => value.clone_into(&mut arguments[at + 1]),
            None => arguments.extend([option.to_owned(), value.to_owned()]),
        }
        arguments
    };
    let owned = |arguments: &[&str]| arguments.iter().copied().map(str::to_owned).collect::<Vec<String>>();
    let rows = [
        (owned(&[]), "--url is missing"),
        (owned(&["--url", "https://h"]), "--key-path is missing"),
        (but("--url", "http://localhost"), "give --url https://HOST"),
        (but("--url", "https://localhost/v0/keys/k"), "without a path"),
        (but("--key-path", "v0/keys/k:wrap"), "without a verb"),
        (but("--key-path", "https://h/k"), "what follows the host"),
        (but("--second-key-path", "a b"), "give --second-key-path what follows the host"),
        (but("--issuer-key", &absent), "cannot read the issuer's key"),
        (but("--issuer-key", &nothing), "give --issuer-key a PEM file"),
        (but("--issuer-key", &ec), "no RSA key"),
        (but("--ca", &absent), "cannot read the certificates"),
        (but("--ca", &nothing), "holds no certificate in PEM form"),
        (but("--resolve", "localhost"), "give --resolve an IP address"),
        (but("--only", "expiry"), "perhaps no-expiry, odd-expiry"),
        (but("--skip", "nonsense"), "no case and no group is called \"nonsense\""),
        (but("--level", "all"), "possible values: required, recommended"),
        (but("--output", "markdown"), "give --list too"),
        (owned(&["--only", "habits", "--skip", "habits"]), "leave no case to try"),
        (owned(&["--print-key-set"]), "--issuer-key is missing"),
        (owned(&["--dev", &absent]), "does `ekm dev` or a cluster run on that folder?"),
        (owned(&["--dev", &here]), "is not a description of a development server"),
    ];
    for (arguments, right) in rows {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (code, text) = told(&arguments);
        assert!(code == 64 && text.contains(right), "{arguments:?}: {code} {text}");
    }
}

#[test]
fn the_list_needs_no_target() {
    let (code, text) = told(&["--list", "--only", "tokens", "--level", "required"]);
    assert_eq!(code, 0);
    assert!(text.contains("unsigned-token") && !text.contains("two-tokens") && !text.contains("round-trip"), "{text}");
}
