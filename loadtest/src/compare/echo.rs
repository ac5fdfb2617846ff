//! `loadtest echo`: a bare axum handler behind rustls that answers with the body it was sent, for `loadtest compare`. It mirrors the
//! product's accept loop, TLS and HTTP settings (named below, one by one) and does nothing else: no token, no policy, no audit.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::serve::Listener;
use bytes::Bytes;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::Service as _;

use crate::exit::{UNREACHABLE, complain};

/// As the product: connections that the kernel holds while none is accepted.
const BACKLOG: u32 = 4096;
/// As the product, by default: from the accepted socket to the end of the handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// As the product, by default: from the first wait for a head to its end.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// As the product, by default: request line and headers together.
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// As the product: the bytes read ahead on a connection.
const READ_BUFFER_BYTES_MAX: usize = 256 * 1024;
/// As the product, by default: the largest body.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// Connections past their handshake that wait for `axum::serve` to take them.
const SHAKEN_MAX: usize = 64;

/// Which of the two loops serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// The product's loop and settings around the handler.
    Mirrored,
    /// `axum::serve` as it comes, to see that the mirrored loop is no slower.
    Plain,
}

/// What `loadtest echo` is told.
#[derive(clap::Args)]
pub struct Args {
    /// Whose accept loop and settings
    #[arg(long, value_enum, default_value_t = Form::Mirrored)]
    form: Form,
}

/// Why there is no echo.
#[derive(Debug, Error)]
enum EchoError {
    /// No certificate could be made.
    #[error("no certificate can be made")]
    Certificate(#[from] rcgen::Error),
    /// The certificate cannot be served.
    #[error("the certificate cannot be served")]
    Tls(#[from] rustls::Error),
    /// No port, or no runtime.
    #[error("the echo cannot listen")]
    Listen(#[from] io::Error),
}

/// Serves until standard input ends, which it does with the process that started this one.
pub fn main(args: &Args) -> ExitCode {
    let form = args.form;
    // its own runtime, as many workers as the product's data plane has
    let served = std::thread::spawn(move || serve(form)).join().expect("the echo has no panic of its own");
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error, UNREACHABLE),
    }
}

fn serve(form: Form) -> Result<(), EchoError> {
    let workers = std::thread::available_parallelism().map_or(2, NonZeroUsize::get);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(workers).thread_name("data").enable_all().build()?;
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let config = tls(&own)?;
    runtime.block_on(async {
        let listener = listen()?;
        announce(listener.local_addr()?, &own.cert.pem())?;
        tokio::spawn(accept(form, listener, TlsAcceptor::from(Arc::new(config))));
        tokio::task::spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new())).await.map_or(Ok(0), |read| read)
    })?;
    runtime.shutdown_background();
    Ok(())
}

/// As the product: TLS 1.3 and 1.2, aws-lc-rs, rustls's own tickets and session storage, h2 before HTTP/1.1.
fn tls(own: &rcgen::CertifiedKey<rcgen::KeyPair>) -> Result<ServerConfig, rustls::Error> {
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).expect("rcgen writes PKCS#8");
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn listen() -> io::Result<TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    socket.listen(BACKLOG)
}

/// One line on standard output: where it listens, and the certificate to trust.
fn announce(address: SocketAddr, certificate: &str) -> io::Result<()> {
    let line = serde_json::json!({"address": address.to_string(), "certificate": certificate});
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn router() -> Router {
    Router::new()
        .fallback(axum::routing::post(|body: Bytes| async move { body }))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

async fn accept(form: Form, listener: TcpListener, acceptor: TlsAcceptor) {
    match form {
        Form::Mirrored => accept_as_the_product(listener, acceptor).await,
        Form::Plain => {
            let (sender, shaken) = channel(SHAKEN_MAX);
            let address = listener.local_addr().expect("a bound socket has an address");
            tokio::spawn(async move {
                while let Ok((socket, peer)) = listener.accept().await {
                    let (acceptor, sender) = (acceptor.clone(), sender.clone());
                    tokio::spawn(async move {
                        if let Some(stream) = shake(socket, acceptor).await {
                            // a receiver that is gone has ended with the process
                            drop(sender.send((stream, peer)).await);
                        }
                    });
                }
            });
            let served = axum::serve(Shaken { shaken, address }, router()).await;
            drop(served); // it never returns of itself
        }
    }
}

async fn accept_as_the_product(listener: TcpListener, acceptor: TlsAcceptor) {
    let router = router();
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(READ_BUFFER_BYTES_MAX);
    while let Ok((socket, _)) = listener.accept().await {
        let (acceptor, router, builder) = (acceptor.clone(), router.clone(), builder.clone());
        tokio::spawn(async move {
            let Some(stream) = shake(socket, acceptor).await else { return };
            let service = hyper::service::service_fn(move |request: Request<Incoming>| router.clone().call(request));
            // a client that goes away ends its connection, and nothing else
            drop(builder.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

/// `TCP_NODELAY` and a bounded handshake, as the product.
async fn shake(socket: TcpStream, acceptor: TlsAcceptor) -> Option<TlsStream<TcpStream>> {
    socket.set_nodelay(true).ok()?;
    timeout(HANDSHAKE_TIMEOUT, acceptor.accept(socket)).await.ok()?.ok()
}

/// Connections past their handshake, as `axum::serve` takes them.
struct Shaken {
    shaken: Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl Listener for Shaken {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.shaken.recv().await {
            Some(taken) => taken,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Uri};

    use super::*;
    use crate::line::{Call, Line, Route};

    #[tokio::test]
    async fn both_forms_answer_with_the_body_they_were_sent_over_one_connection() {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("rcgen makes a certificate");
        for form in [Form::Mirrored, Form::Plain] {
            let listener = listen().expect("loopback has free ports");
            let address = listener.local_addr().expect("a bound socket has an address");
            let acceptor = TlsAcceptor::from(Arc::new(tls(&own).expect("a fresh certificate can be served")));
            let served = tokio::spawn(accept(form, listener, acceptor));
            let route = Route::new(address, "localhost", own.cert.pem().as_bytes()).expect("a right authority");
            let mut line = Line::open(&route).await.expect("the echo listens");
            for body in ["", "{}", &"x".repeat(100_000)] {
                let call = Call {
                    uri: Uri::from_static("/v0/keys/any:wrap"),
                    host: HeaderValue::from_static("localhost"),
                    authorization: None,
                    body: Bytes::copy_from_slice(body.as_bytes()),
                };
                let answer = line.call(call).await.expect("the echo answers");
                assert_eq!((answer.status, answer.body.as_slice()), (200, body.as_bytes()), "{form:?}");
                line.settle().await;
                assert!(!line.is_over(), "{form:?} closed a connection that could be kept");
            }
            served.abort();
        }
    }
}
