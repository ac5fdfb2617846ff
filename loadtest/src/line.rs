//! One keep-alive HTTP/1.1 connection over TLS 1.3, as cheap as a generator needs it. It sends a call and reads the whole answer;
//! it judges nothing, and it trusts only the authority that it was given.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::client::Answer;
use crate::clock::now;

/// Longer than a connection and a handshake may take.
pub const OPEN_TIME_MAX: Duration = Duration::from_secs(10);
/// Longer than any answer may take; a call without one by then counts as unanswered.
pub const CALL_TIME_MAX: Duration = Duration::from_secs(10);

/// Why an address cannot be spoken to at all.
#[derive(Debug, Error)]
pub enum RouteError {
    /// The authority is no PEM certificate.
    #[error("the certificate authority is unusable")]
    Authority(#[source] rustls::pki_types::pem::Error),
    /// The authority cannot be a root of trust.
    #[error("the certificate authority cannot be trusted for servers")]
    Root(#[source] rustls::Error),
    /// The authority is a file without a certificate.
    #[error("the certificate authority holds no certificate")]
    NoAuthority,
    /// The name cannot stand on a certificate.
    #[error("{hostname} is no host name")]
    Name {
        hostname: String,
        #[source]
        cause: rustls::pki_types::InvalidDnsNameError,
    },
}

/// Why a call has no answer.
#[derive(Debug, Error)]
pub enum LineError {
    /// No connection.
    #[error("cannot connect to {address}")]
    Connect {
        address: SocketAddr,
        #[source]
        cause: io::Error,
    },
    /// Connected, and no TLS session.
    #[error("no TLS session with {address}")]
    Handshake {
        address: SocketAddr,
        #[source]
        cause: io::Error,
    },
    /// The connection ended, or brought what is no HTTP.
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
    /// Nothing came in time.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
}

/// Where connections go, and whom they trust there. Shared when cloned.
#[derive(Clone)]
pub struct Route {
    address: SocketAddr,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

impl Route {
    /// A way to `address`, where a certificate of this authority (PEM) for `hostname` is expected.
    ///
    /// # Errors
    /// See [`RouteError`].
    pub fn new(address: SocketAddr, hostname: &str, authority: &[u8]) -> Result<Self, RouteError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority) {
            roots.add(certificate.map_err(RouteError::Authority)?).map_err(RouteError::Root)?;
        }
        if roots.is_empty() {
            return Err(RouteError::NoAuthority);
        }
        let name = ServerName::try_from(hostname.to_owned())
            .map_err(|cause| RouteError::Name { hostname: hostname.to_owned(), cause })?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider has cipher suites for TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { address, name, config: Arc::new(config) })
    }
}

/// A call, ready to be sent any number of times.
#[derive(Clone)]
pub struct Call {
    /// Path and verb, without scheme and host.
    pub uri: Uri,
    /// `host:port` as the caller sees it.
    pub host: HeaderValue,
    /// `Bearer …`; without it the call comes from nobody.
    pub authorization: Option<HeaderValue>,
    /// JSON.
    pub body: Bytes,
}

/// An open connection; one call at a time.
pub struct Line {
    sender: SendRequest<Full<Bytes>>,
}

impl Line {
    /// Connects and shakes hands. The connection's own work is a task that ends with the connection.
    ///
    /// # Errors
    /// See [`LineError`].
    pub async fn open(route: &Route) -> Result<Self, LineError> {
        timeout(OPEN_TIME_MAX, Self::connect(route)).await.unwrap_or(Err(LineError::TimedOut(OPEN_TIME_MAX)))
    }

    async fn connect(route: &Route) -> Result<Self, LineError> {
        let address = route.address;
        let refused = |cause| LineError::Connect { address, cause };
        let socket = TcpStream::connect(address).await.map_err(refused)?;
        socket.set_nodelay(true).map_err(refused)?;
        let connector = TlsConnector::from(Arc::clone(&route.config));
        let stream = connector
            .connect(route.name.clone(), socket)
            .await
            .map_err(|cause| LineError::Handshake { address, cause })?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(LineError::Broken)?;
        // its error comes back from the call that it interrupted
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender })
    }

    /// Whether the other side has ended the connection, or said that it will.
    pub fn is_over(&self) -> bool {
        !self.sender.is_ready()
    }

    /// Returns once the next call can be sent, or the connection is over.
    pub async fn settle(&mut self) {
        // what went wrong shows in `is_over`
        drop(self.sender.ready().await);
    }

    /// Sends one call and reads the whole answer, whatever its status. The latency counts from here.
    ///
    /// # Errors
    /// If no answer arrives.
    pub async fn call(&mut self, call: Call) -> Result<Answer, LineError> {
        timeout(CALL_TIME_MAX, self.exchange(call)).await.unwrap_or(Err(LineError::TimedOut(CALL_TIME_MAX)))
    }

    async fn exchange(&mut self, call: Call) -> Result<Answer, LineError> {
        let sent_at = now();
        let mut request = Request::new(Full::new(call.body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = call.uri;
        let headers = request.headers_mut();
        headers.insert(http::header::HOST, call.host);
        if let Some(authorization) = call.authorization {
            headers.insert(http::header::AUTHORIZATION, authorization);
        }
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let response = self.sender.send_request(request).await.map_err(LineError::Broken)?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(LineError::Broken)?.to_bytes();
        Ok(Answer { status, body: body.into(), latency: sent_at.elapsed() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unusable_authority_or_name_is_told_before_anything_is_sent() {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        assert!(matches!(Route::new(address, "localhost", b"no pem"), Err(RouteError::NoAuthority)));
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("rcgen makes a certificate");
        let pem = own.cert.pem();
        assert!(Route::new(address, "localhost", pem.as_bytes()).is_ok());
        assert!(matches!(Route::new(address, "two words", pem.as_bytes()), Err(RouteError::Name { .. })));
        let torn = pem.replace("-----END", "----END");
        assert!(Route::new(address, "localhost", torn.as_bytes()).is_err());
    }

    #[tokio::test]
    async fn nobody_there_is_an_error_that_names_the_address() {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("rcgen makes a certificate");
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = free.local_addr().expect("a bound socket has an address");
        drop(free);
        let route = Route::new(address, "localhost", own.cert.pem().as_bytes()).expect("a right authority");
        let told = Line::open(&route).await.err().expect("nobody listens there");
        assert!(told.to_string().contains(&address.to_string()), "{told}");
    }
}
