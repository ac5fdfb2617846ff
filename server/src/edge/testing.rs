//! Certificates, listeners and clients for the tests of the listening side. Compiled into tests only.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use replication::clock::{Clock, Timestamp};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use super::limits::ConnectionLimits;
use super::listener::Listener;
use super::tls::{ServerTls, TlsFiles, provider};
use crate::clock::SystemClock;
use crate::metrics::{ConnectionCounters, ListenerLabel, Metrics};

/// A test that has not seen its event by then has failed. Far beyond what any of them takes.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Awaits an event for as long as a test is patient.
pub(crate) async fn soon<F: Future>(what: &str, event: F) -> F::Output {
    tokio::time::timeout(PATIENCE, event).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// A certificate authority.
pub(crate) struct Authority {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate that an authority issued, with its key.
pub(crate) struct Issued {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) chain_pem: String,
    pub(crate) key_pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be generated");
        let certificate = params.self_signed(&key).expect("an authority signs itself");
        Self { certificate: certificate.der().clone(), pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    pub(crate) fn issue(&self, common_name: &str, names: &[&str]) -> Issued {
        self.issue_until(common_name, names, rcgen::date_time_ymd(4000, 1, 1))
    }

    pub(crate) fn issue_until(&self, common_name: &str, names: &[&str], until: time::OffsetDateTime) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("the tests' names are DNS names");
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = until;
        let key = KeyPair::generate().expect("a key can be generated");
        let certificate = params.signed_by(&key, &self.issuer).expect("an authority signs");
        Issued {
            chain: vec![certificate.der().clone()],
            key: PrivateKeyDer::try_from(key.serialize_der()).expect("a generated key is PKCS#8"),
            chain_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        }
    }
}

/// Files that live as long as the test.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().expect("a temporary folder can be made"))
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).expect("a temporary file can be written");
        path
    }

    /// Writes a pair, and the authority for clients if there is one, and loads them.
    pub(crate) fn tls(&self, issued: &Issued, clients: Option<&Authority>) -> ServerTls {
        let certificate = self.write("leaf.pem", &issued.chain_pem);
        let key = self.write("leaf.key", &issued.key_pem);
        let client_authority = clients.map(|authority| self.write("clients.pem", &authority.pem));
        let files = TlsFiles { certificate, key, client_authority };
        ServerTls::load(files, now()).expect("an issued pair loads")
    }
}

pub(crate) fn now() -> Timestamp {
    SystemClock.wall()
}

/// TLS of a data listener named `localhost`.
pub(crate) fn data_tls(authority: &Authority) -> ServerTls {
    Files::new().tls(&authority.issue("data", &["localhost"]), None)
}

/// A listener that serves in the background.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) counters: ConnectionCounters,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

pub(crate) fn run(tls: Option<ServerTls>, limits: ConnectionLimits, router: Router) -> Running {
    let listener = Listener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("loopback has a free port");
    let address = listener.local_addr();
    let counters = Metrics::new(Timestamp(0), "test").connections(ListenerLabel::Data);
    let stop = CancellationToken::new();
    let task = tokio::spawn(listener.serve(tls, limits, router, counters.clone(), stop.clone()));
    Running { address, counters, stop, task }
}

/// How a test's client speaks TLS.
pub(crate) struct Client {
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    pub(crate) alpn: Vec<&'static str>,
    pub(crate) certificate: Option<Issued>,
}

impl Default for Client {
    fn default() -> Self {
        Self { versions: vec![&rustls::version::TLS13], alpn: vec!["http/1.1"], certificate: None }
    }
}

impl Client {
    pub(crate) fn config(self, authority: &Authority) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate.clone()).expect("an authority is a root");
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&self.versions)
            .expect("the tests name versions that exist")
            .with_root_certificates(roots);
        let mut config = match self.certificate {
            Some(issued) => builder.with_client_auth_cert(issued.chain, issued.key).expect("an issued pair is usable"),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    pub(crate) async fn connect(
        self,
        to: SocketAddr,
        authority: &Authority,
    ) -> Result<TlsStream<TcpStream>, std::io::Error> {
        let connector = TlsConnector::from(Arc::new(self.config(authority)));
        let socket = TcpStream::connect(to).await?;
        connector.connect(ServerName::try_from("localhost").expect("localhost is a name"), socket).await
    }
}
