//! Sends one call exactly as it is written, and reads the whole answer. It keeps one connection for each protocol, judges nothing,
//! and repeats nothing but a call whose kept connection turned out to be closed.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::call::{Call, Framing, HostForm, Protocol};
use super::judge::Answer;
use super::trust;
use crate::clock;

/// Longer than any answer may take.
const CALL_TIME_MAX: Duration = Duration::from_secs(10);
/// Longest body that is read of an answer, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
const HTTPS_PORT: u16 = 443;

/// Where the target is.
#[derive(Debug, Clone)]
pub struct Address {
    /// As in the URL, without brackets.
    pub host: String,
    pub port: u16,
    /// Connect there instead of looking the host up.
    pub instead: Option<SocketAddr>,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum NoAnswer {
    /// The host has no address.
    #[error("{host} cannot be resolved: correct --url, or give --resolve an address")]
    Unresolved {
        host: String,
        #[source]
        cause: io::Error,
    },
    /// Nobody listens.
    #[error("no connection to {address}: does the EKM run, and is the port open from here?")]
    Unreachable {
        address: String,
        #[source]
        cause: io::Error,
    },
    /// No TLS. The explanation names the cause.
    #[error("{explanation}")]
    Tls { explanation: String },
    /// The host is no name that a certificate can have.
    #[error("{host} is no host name")]
    NoName { host: String },
    /// ALPN chose something else.
    #[error("the server does not offer HTTP/2 by ALPN")]
    NoHttp2,
    /// A token or a path holds what HTTP cannot carry.
    #[error("the call cannot be written as HTTP")]
    Unwritable(#[source] http::Error),
    /// The connection ended, or carried something that is no HTTP.
    #[error("no HTTP answer")]
    Http(#[source] hyper::Error),
    /// The body ended early, or is longer than the kit reads.
    #[error("the body of the answer did not arrive whole")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Nothing came in time.
    #[error("no answer within {} s", CALL_TIME_MAX.as_secs())]
    Late,
}

/// Sends calls to one target.
pub struct Sender {
    address: Address,
    /// `None` speaks plain HTTP, in tests alone.
    tls: Option<Arc<ClientConfig>>,
    first: Option<http1::SendRequest<Payload>>,
    second: Option<http2::SendRequest<Payload>>,
}

impl Sender {
    /// A sender that is not connected yet.
    pub fn new(address: Address, tls: ClientConfig) -> Self {
        Self { address, tls: Some(Arc::new(tls)), first: None, second: None }
    }

    /// A sender without TLS, for servers in tests.
    #[cfg(test)]
    pub fn danger_plain(address: Address) -> Self {
        Self { address, tls: None, first: None, second: None }
    }

    /// Sends a call with this body.
    ///
    /// # Errors
    /// If no whole answer arrives in time.
    pub async fn send(&mut self, call: &Call, body: Vec<u8>) -> Result<Answer, NoAnswer> {
        let started_at = clock::now();
        let exchange = async {
            let response = self.exchange(call, Bytes::from(body)).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(NoAnswer::Body)?.to_bytes();
            let text = |name: HeaderName| {
                head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            };
            Ok(Answer {
                status: head.status.as_u16(),
                content_type: text(CONTENT_TYPE).unwrap_or_default(),
                allow: text(ALLOW).unwrap_or_default(),
                retry_after: text(RETRY_AFTER),
                body: body.to_vec(),
                latency: started_at.elapsed(),
            })
        };
        let answer = tokio::time::timeout(CALL_TIME_MAX, exchange).await.unwrap_or(Err(NoAnswer::Late));
        if answer.is_err() {
            // whatever is left on that connection belongs to nobody
            self.first = None;
            self.second = None;
        }
        answer
    }

    async fn exchange(&mut self, call: &Call, body: Bytes) -> Result<Response<Incoming>, NoAnswer> {
        let is_kept = match call.protocol {
            Protocol::Http1 => self.first.is_some(),
            Protocol::Http2 => self.second.is_some(),
        };
        if is_kept {
            // the server may have closed it in the meantime, which says nothing about this call
            if let Ok(response) = self.once(call, body.clone()).await {
                return Ok(response);
            }
            self.first = None;
            self.second = None;
        }
        self.once(call, body).await
    }

    async fn once(&mut self, call: &Call, body: Bytes) -> Result<Response<Incoming>, NoAnswer> {
        let request = self.request(call, body)?;
        match call.protocol {
            Protocol::Http1 => {
                let mut sender = match self.first.take() {
                    Some(sender) => sender,
                    None => self.connect_http1().await?,
                };
                sender.ready().await.map_err(NoAnswer::Http)?;
                let response = sender.send_request(request).await.map_err(NoAnswer::Http)?;
                self.first = Some(sender);
                Ok(response)
            }
            Protocol::Http2 => {
                let mut sender = match self.second.take() {
                    Some(sender) => sender,
                    None => self.connect_http2().await?,
                };
                sender.ready().await.map_err(NoAnswer::Http)?;
                let response = sender.send_request(request).await.map_err(NoAnswer::Http)?;
                self.second = Some(sender);
                Ok(response)
            }
        }
    }

    async fn connect_http1(&self) -> Result<http1::SendRequest<Payload>, NoAnswer> {
        let builder = http1::Builder::new();
        if self.tls.is_none() {
            let stream = TokioIo::new(self.dial().await?);
            return builder.handshake(stream).await.map(spawned).map_err(NoAnswer::Http);
        }
        let stream = TokioIo::new(self.secured(b"http/1.1").await?);
        builder.handshake(stream).await.map(spawned).map_err(NoAnswer::Http)
    }

    async fn connect_http2(&self) -> Result<http2::SendRequest<Payload>, NoAnswer> {
        let builder = http2::Builder::new(TokioExecutor::new());
        if self.tls.is_none() {
            let stream = TokioIo::new(self.dial().await?);
            return builder.handshake(stream).await.map(spawned).map_err(NoAnswer::Http);
        }
        let stream = self.secured(b"h2").await?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(NoAnswer::NoHttp2);
        }
        builder.handshake(TokioIo::new(stream)).await.map(spawned).map_err(NoAnswer::Http)
    }

    async fn dial(&self) -> Result<TcpStream, NoAnswer> {
        let Address { host, port, instead } = &self.address;
        let addresses: Vec<SocketAddr> = match (instead, host.parse::<IpAddr>()) {
            (Some(address), _) => vec![*address],
            (None, Ok(ip)) => vec![SocketAddr::new(ip, *port)],
            (None, Err(_)) => tokio::net::lookup_host((host.as_str(), *port))
                .await
                .map_err(|cause| NoAnswer::Unresolved { host: host.clone(), cause })?
                .collect(),
        };
        let shown = addresses.first().map_or_else(|| format!("{host}:{port}"), ToString::to_string);
        let stream = TcpStream::connect(addresses.as_slice()).await;
        let stream = stream.map_err(|cause| NoAnswer::Unreachable { address: shown, cause })?;
        // without it small calls wait for acknowledgements; a refusal costs time alone
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    async fn secured(&self, protocol: &[u8]) -> Result<tokio_rustls::client::TlsStream<TcpStream>, NoAnswer> {
        let mut config = self.tls.as_deref().expect("a secured connection is only made with TLS").clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        let host = &self.address.host;
        let name = ServerName::try_from(host.clone()).map_err(|_| NoAnswer::NoName { host: host.clone() })?;
        let stream = self.dial().await?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            let explanation = match inner {
                // a server that has no protocol in common ends the handshake so
                Some(rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol))
                    if protocol == b"h2" =>
                {
                    return NoAnswer::NoHttp2;
                }
                Some(inner) => trust::explain(inner),
                None => format!("the connection ended during the TLS handshake ({error}): is this a port for HTTPS?"),
            };
            NoAnswer::Tls { explanation }
        })
    }

    fn request(&self, call: &Call, body: Bytes) -> Result<Request<Payload>, NoAnswer> {
        let authority = self.authority(call.host);
        let uri = match call.protocol {
            Protocol::Http1 => call.path.clone(),
            Protocol::Http2 => format!("https://{authority}{}", call.path),
        };
        let mut request = Request::builder().method(call.method.clone()).uri(uri);
        let mut add = |name: HeaderName, value: &str| -> Result<(), NoAnswer> {
            let value = HeaderValue::from_str(value).map_err(|error| NoAnswer::Unwritable(error.into()))?;
            // a builder that failed before has no headers; `body` below tells why
            request.headers_mut().map(|headers: &mut HeaderMap| headers.append(name, value));
            Ok(())
        };
        if call.protocol == Protocol::Http1 {
            add(HOST, &authority)?;
        }
        for value in &call.authorization {
            add(AUTHORIZATION, value)?;
        }
        for (name, value) in [(COOKIE, call.cookie.as_deref()), (CONTENT_TYPE, call.content_type)] {
            if let Some(value) = value {
                add(name, value)?;
            }
        }
        if body.is_empty() && call.framing == Framing::Length {
            // a body of a known length, which happens to be none
            add(CONTENT_LENGTH, "0")?;
        }
        request.body(Payload { left: Some(body), framing: call.framing }).map_err(NoAnswer::Unwritable)
    }

    fn authority(&self, form: HostForm) -> String {
        let Address { host, port, .. } = &self.address;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        match form {
            HostForm::Usual if *port == HTTPS_PORT => host,
            HostForm::WithoutPort => host,
            HostForm::WithPort443 => format!("{host}:443"),
            HostForm::Usual | HostForm::WithPort => format!("{host}:{port}"),
        }
    }
}

/// Lets the connection run beside its sender, with whom it ends.
fn spawned<S>((sender, connection): (S, impl Future<Output = Result<(), hyper::Error>> + Send + 'static)) -> S {
    // its error reaches the call that waits for an answer
    tokio::spawn(async move { drop(connection.await) });
    sender
}

/// A body with or without a known length.
pub struct Payload {
    left: Option<Bytes>,
    framing: Framing,
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.left.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.framing == Framing::Length && self.left.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        match self.framing {
            Framing::Length => SizeHint::with_exact(self.left.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Framing::Chunked => SizeHint::default(),
        }
    }
}
