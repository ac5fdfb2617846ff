//! One connection, from the accepted socket to its end: handshake, protocol, requests, farewell. Each wait is bounded by
//! [`ConnectionLimits`]; it must never wait for a stranger without one.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::future::RouteFuture;
use futures::future::Either;
use futures::stream::{FuturesUnordered, StreamExt};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use super::limits::ConnectionLimits;
use super::peer::PeerCertificate;
use super::preface;
use super::tls::ServerTls;
use crate::metrics::{ConnectionCounters, HandshakeFailure, MalformedReason};

/// The bytes read ahead on an HTTP/1 connection: a head of the largest size, and body behind it.
const READ_BUFFER_BYTES_MAX: usize = 256 * 1024;
/// Flow-control windows of HTTP/2: a whole body of the largest size per stream, a few of them per connection.
const STREAM_WINDOW_BYTES: u32 = 512 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;

/// Streams of one HTTP/2 connection that we had to reset for a fault of the peer's; more closes it (CVE-2025-8671).
const STREAM_FAULTS_MAX: usize = 256;

/// What all connections of a listener share.
pub(super) struct Shared {
    tls: Option<ServerTls>,
    limits: ConnectionLimits,
    router: Router,
    counters: ConnectionCounters,
    stop: CancellationToken,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Shared {
    pub(super) fn new(
        tls: Option<ServerTls>,
        limits: ConnectionLimits,
        router: Router,
        counters: ConnectionCounters,
        stop: CancellationToken,
    ) -> Self {
        Self { tls, http1: http1_builder(&limits), http2: http2_builder(&limits), limits, router, counters, stop }
    }

    /// Serves one connection to its end. `serial` numbers the connections of the listener.
    pub(super) async fn serve(&self, socket: TcpStream, serial: u64) {
        // Until the first request nobody waits for an answer: a stop drops the connection at once.
        let opening = self.stop.run_until_cancelled(self.open(socket));
        let age = age(self.limits.age_max, serial);
        match opening.await.flatten() {
            Some(Opening::Plain(socket)) => self.converse_http1(socket, self.service(None), age).await,
            Some(Opening::Http1(stream)) => {
                let service = self.service(peer(&stream));
                self.converse_http1(*stream, service, age).await;
            }
            Some(Opening::Http2(stream)) => {
                let service = self.service(stream.peer);
                let connection = self.http2.serve_connection(TokioIo::new(stream.opened), service);
                if let Some(Err(error)) = self.converse(connection, age).await
                    && is_http2_fault(&error)
                {
                    self.counters.malformed(MalformedReason::Http2Broken);
                }
            }
            None => {}
        }
    }

    /// Handshake and choice of protocol. `None` if the peer did not get that far, which has then been counted.
    async fn open(&self, socket: TcpStream) -> Option<Opening> {
        // Without this small answers wait for the peer's acknowledgement of the packet before.
        socket.set_nodelay(true).ok()?;
        let Some(tls) = &self.tls else { return Some(Opening::Plain(socket)) };
        let acceptor = TlsAcceptor::from(tls.config());
        let stream = match timeout(self.limits.handshake_timeout, acceptor.accept(socket)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(_)) => {
                self.counters.handshake_failed(HandshakeFailure::Tls);
                return None;
            }
            Err(_) => {
                self.counters.handshake_failed(HandshakeFailure::Timeout);
                return None;
            }
        };
        // HTTP/2 over TLS is chosen by ALPN only (RFC 9113, section 3.2), so nothing needs to be guessed from first bytes.
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Some(Opening::Http1(Box::new(stream)));
        }
        let peer = peer(&stream);
        let Ok(opened) = timeout(self.limits.preface_timeout, preface::read(stream)).await else {
            self.counters.malformed(MalformedReason::PrefaceTimeout);
            return None;
        };
        Some(Opening::Http2(Box::new(Http2 { opened: opened.ok()?, peer })))
    }

    async fn converse_http1<S>(&self, stream: S, service: Service, age: Duration)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
    {
        let served = Arc::clone(&service.served);
        let connection = self.http1.serve_connection(TokioIo::new(stream), service);
        let Some(Err(error)) = self.converse(connection, age).await else { return };
        let silence = if served.load(Ordering::Relaxed) { Silence::Idle } else { Silence::NoRequest };
        if let Some(reason) = http1_fault(&error, silence) {
            self.counters.malformed(reason);
        }
    }

    /// Runs a connection until it ends, or until it is asked to and does, or is dropped for not doing so in time (`None`).
    async fn converse<C: GracefulConnection>(&self, connection: C, age: Duration) -> Option<Result<(), C::Error>> {
        let mut connection = pin!(connection);
        // This set polls what is in it only when that was woken. Polled at every request, the wait for the stop would take
        // a lock that all connections share.
        let mut farewell = FuturesUnordered::new();
        farewell.push(self.stop.run_until_cancelled(sleep(age)));
        tokio::select! {
            biased;
            ended = connection.as_mut() => return Some(ended),
            _ = farewell.next() => {}
        }
        connection.as_mut().graceful_shutdown();
        let ended = timeout(self.limits.drain_max, connection).await;
        if ended.is_err() {
            self.counters.cut.inc();
        }
        ended.ok()
    }

    fn service(&self, peer: Option<PeerCertificate>) -> Service {
        Service {
            router: self.router.clone(),
            peer,
            uri_bytes_max: self.limits.uri_bytes_max,
            counters: self.counters.clone(),
            served: Arc::default(),
        }
    }
}

/// A connection on which HTTP can begin.
enum Opening {
    Plain(TcpStream),
    Http1(Box<TlsStream<TcpStream>>),
    Http2(Box<Http2>),
}

struct Http2 {
    opened: preface::Opened<TlsStream<TcpStream>>,
    peer: Option<PeerCertificate>,
}

/// The router, as hyper calls it.
struct Service {
    router: Router,
    peer: Option<PeerCertificate>,
    uri_bytes_max: usize,
    counters: ConnectionCounters,
    /// Whether a request has arrived: before it a timeout is a slow head, after it mostly an idle connection.
    served: Arc<AtomicBool>,
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<RouteFuture<Infallible>, Ready<Result<Response, Infallible>>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.served.store(true, Ordering::Relaxed);
        let uri = request.uri();
        if uri.path().len() + uri.query().map_or(0, str::len) > self.uri_bytes_max {
            self.counters.malformed(MalformedReason::UriTooLong);
            let mut refusal = Response::new(Body::empty());
            *refusal.status_mut() = StatusCode::URI_TOO_LONG;
            return Either::Right(ready(Ok(refusal)));
        }
        if let Some(peer) = &self.peer {
            request.extensions_mut().insert(peer.clone());
        }
        Either::Left(self.router.clone().call(request))
    }
}

fn http1_builder(limits: &ConnectionLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_header_size(limits.header_bytes_max as usize)
        .max_buf_size(READ_BUFFER_BYTES_MAX);
    builder
}

fn http2_builder(limits: &ConnectionLimits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .max_pending_accept_reset_streams(limits.pending_resets_max)
        .max_local_error_reset_streams(STREAM_FAULTS_MAX)
        .max_header_list_size(limits.header_bytes_max)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(limits.ping_interval)
        .keep_alive_timeout(limits.ping_timeout);
    builder
}

/// What it means that a connection fell silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    /// It never brought a whole request: a fault.
    NoRequest,
    /// It had been served before: it merely idled.
    Idle,
}

/// What the peer did wrong, if it was the peer. hyper has answered 400 or 431 by itself where an answer was possible.
fn http1_fault(error: &hyper::Error, silence: Silence) -> Option<MalformedReason> {
    if error.is_parse_too_large() {
        Some(MalformedReason::HeadersTooLarge)
    } else if error.is_parse() {
        Some(MalformedReason::NotHttp)
    } else if error.is_timeout() {
        (silence == Silence::NoRequest).then_some(MalformedReason::HeaderTimeout)
    } else if error.is_incomplete_message() {
        Some(MalformedReason::Incomplete)
    } else {
        None
    }
}

/// Whether the peer broke a rule. One that just goes away, or whom the network takes away, breaks none.
fn is_http2_fault(error: &hyper::Error) -> bool {
    let is_lost = std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
    !error.is_timeout() && !error.is_closed() && !is_lost
}

fn peer(stream: &TlsStream<TcpStream>) -> Option<PeerCertificate> {
    let presented = stream.get_ref().1.peer_certificates()?;
    Some(PeerCertificate::verified(presented.first()?.clone().into_owned()))
}

/// How old the connection with this number may become: the limit and up to a tenth more, in steps far apart for neighbours.
fn age(limit: Duration, serial: u64) -> Duration {
    const STEPS: u32 = 101;
    const STRIDE: u64 = 37;
    let step = u32::try_from(serial.wrapping_mul(STRIDE) % u64::from(STEPS)).expect("a remainder of 101 is small");
    limit + limit / 10 * step / STEPS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_of_neighbouring_connections_differ_and_stay_within_a_tenth() {
        let limit = Duration::from_mins(15);
        let ages: std::collections::BTreeSet<_> = (0..101).map(|serial| age(limit, serial)).collect();
        assert_eq!(ages.len(), 101);
        assert!(ages.iter().all(|age| (limit..=limit + limit / 10).contains(age)));
    }
}
