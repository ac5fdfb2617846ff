//! Accepting connections that a certificate must prove before anything of HTTP is read.
//!
//! Never holds an accept up for anything, and never more handshakes or connections than their bounds: the newest is let in, and an
//! older one of whoever holds most makes room (`places.rs`).

use std::future::Future as _;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::identity::IdentityError;
use super::limits::{HANDSHAKE_WAIT_MAX, HANDSHAKES_MAX};
use super::places::{Place, Places};

/// How long accepting rests after the system refused: for want of file handles, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who is let in, and by what they are told from each other.
pub(crate) trait Door: Clone + Send + Sync + 'static {
    /// What a certificate proves.
    type Name: Ord + Clone + Send + Sync + Unpin + 'static;

    /// For the next connection.
    fn server(&self) -> Arc<ServerConfig>;

    /// Whom a certificate names, whose signature and date TLS has judged.
    fn name(&self, leaf: &CertificateDer<'_>) -> Result<Self::Name, IdentityError>;
}

/// How many connections are held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// In all; a newer one takes the place of the oldest of whoever holds most.
    pub(crate) all_max: usize,
    /// Those of one name; a newer one takes the place of its oldest.
    pub(crate) each_max: usize,
}

/// Who is at the other end of a connection, as its certificate proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proven<N>(pub(crate) N);

/// Accepts until it is told to stop.
pub(crate) async fn accept<D: Door>(
    listener: TcpListener,
    door: D,
    bounds: Bounds,
    taken: mpsc::Sender<ProvenStream<D::Name>>,
    closing: CancellationToken,
    cut: CancellationToken,
) {
    let handshakes = Places::new(HANDSHAKES_MAX, HANDSHAKES_MAX);
    let connections = Arc::new(Places::new(bounds.all_max, bounds.each_max));
    let mut proving = JoinSet::new();
    while let Some(accepted) = closing.run_until_cancelled(listener.accept()).await {
        // what has ended is let go of
        while proving.try_join_next().is_some() {}
        let (stream, source) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "connections cannot be accepted for now");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let hand = handshakes.enter(source.ip(), CancellationToken::new());
        let (door, taken, cut, connections) = (door.clone(), taken.clone(), cut.clone(), Arc::clone(&connections));
        proving.spawn(async move {
            let (stream, name) = match proven(stream, &door, &hand).await {
                Ok(proven) => proven,
                Err(error) => {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "a connection proved nobody who may come in"
                    );
                    return;
                }
            };
            drop(hand);
            let place = connections.enter(name.clone(), cut.child_token());
            let cut = Box::pin(place.cut().clone().cancelled_owned());
            let stream = ProvenStream { stream, proven: Proven(name), cut, _place: place };
            // nobody takes it any more when the listener ends
            drop(taken.send(stream).await);
        });
    }
    proving.shutdown().await;
}

/// Why a connection is not let in.
#[derive(Debug, thiserror::Error)]
enum Unproven {
    #[error("the handshake did not end in time")]
    Late,
    #[error("the handshake made room for a newer one")]
    Crowded,
    #[error("the handshake failed")]
    Tls(#[from] io::Error),
    #[error("the certificate is of nobody who may come in")]
    Identity(#[from] IdentityError),
}

/// Within its time, and for as long as it need not make room.
async fn proven<D: Door>(
    stream: TcpStream,
    door: &D,
    hand: &Place<IpAddr>,
) -> Result<(TlsStream<TcpStream>, D::Name), Unproven> {
    let proving = timeout(HANDSHAKE_WAIT_MAX, prove(stream, door));
    let proved = hand.cut().run_until_cancelled(proving).await;
    proved.ok_or(Unproven::Crowded)?.map_err(|_| Unproven::Late)?
}

async fn prove<D: Door>(stream: TcpStream, door: &D) -> Result<(TlsStream<TcpStream>, D::Name), Unproven> {
    stream.set_nodelay(true)?;
    let stream = TlsAcceptor::from(door.server()).accept(stream).await?;
    let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let name = door.name(leaf.ok_or(IdentityError::Unreadable)?)?;
    Ok((stream, name))
}

/// A proven connection. Holds its place until it is closed, or a newer one takes it.
pub(crate) struct ProvenStream<N> {
    stream: TlsStream<TcpStream>,
    proven: Proven<N>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _place: Place<N>,
}

impl<N: Clone + Send + Sync + 'static> Connected for ProvenStream<N> {
    type ConnectInfo = Proven<N>;

    fn connect_info(&self) -> Proven<N> {
        self.proven.clone()
    }
}

impl<N: Unpin> AsyncRead for ProvenStream<N> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<N: Unpin> AsyncWrite for ProvenStream<N> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
