//! Plain TLS connections to a server, for what no decent client would send, and what the kernel says of its sockets.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::harness::{Dev, soon};

/// A connection.
pub(crate) type Tls = TlsStream<TcpStream>;

/// What to offer by ALPN.
pub(crate) const HTTP1: &str = "http/1.1";
pub(crate) const HTTP2: &str = "h2";

/// TLS that trusts the authority of this server alone.
pub(crate) fn config(dev: &Dev, alpn: &str) -> ClientConfig {
    let ca = std::fs::read(&dev.file.ca_file).expect("the authority's certificate is there");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&ca) {
        roots.add(certificate.expect("it is PEM")).expect("an authority is a root");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config =
        builder.expect("the provider has the versions").with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    config
}

/// Connects and shakes hands.
pub(crate) async fn connect(dev: &Dev, alpn: &str) -> std::io::Result<Tls> {
    let socket = tcp(dev).await?;
    let name = ServerName::try_from(dev.file.hostname.clone()).expect("the host name is a name");
    soon("a handshake", TlsConnector::from(Arc::new(config(dev, alpn))).connect(name, socket)).await
}

/// Connects and says nothing.
pub(crate) async fn tcp(dev: &Dev) -> std::io::Result<TcpStream> {
    TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, dev.port()))).await
}

/// A decent client, for the data listener.
pub(crate) fn client(dev: &Dev) -> reqwest::Client {
    let ca = std::fs::read(&dev.file.ca_file).expect("the authority's certificate is there");
    let ca = reqwest::Certificate::from_pem(&ca).expect("it is PEM");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, dev.port()));
    let builder = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().resolve(&dev.file.hostname, address);
    builder.build().expect("a client can be made")
}

/// The first of three free ports in a row, where the kernel takes none for others while a server is down.
pub(crate) fn three_ports() -> u16 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let lowest: u16 = range.split_whitespace().next().and_then(|port| port.parse().ok()).unwrap_or(32_768);
    let start = 10_000 + u16::try_from(std::process::id() % 5_000).expect("a remainder of 5000 is small");
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let found = (start..lowest.saturating_sub(2)).find(|first| (*first..first + 3).all(is_free));
    found.expect("three ports in a row are free below the kernel's own")
}

/// The local addresses on which a process listens, as `/proc/net/tcp` and `/proc/net/tcp6` write them.
pub(crate) fn listening(pid: u32) -> BTreeSet<String> {
    const LISTEN: &str = "0A";
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the descriptors of a child are listed");
    let links = fds.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let sockets: BTreeSet<String> =
        links.filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect();
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let rows = tables.iter().flat_map(|table| table.lines()).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ours = rows.filter(|row| row.len() > 9 && row[3] == LISTEN && sockets.contains(row[9]));
    ours.map(|row| row[1].to_owned()).collect()
}
