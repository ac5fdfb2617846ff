//! Where other replicas connect: bounded, proven by a certificate before anything of HTTP is read, and cut off at the end.
//!
//! Never holds an accept up for anything, and never more handshakes or connections than their bounds: the newest is let in, and an
//! older one of whoever holds most makes room (`places.rs`).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::Server;
use tonic::transport::server::Connected;

use super::header::Here;
use super::identity::{Cluster, IdentityError, PeerName};
use super::limits::{
    CALLS_PER_CONNECTION_MAX, CONNECTION_AGE_MAX, CONNECTIONS_MAX, CONNECTIONS_PER_PEER_MAX, DRAIN_WAIT_MAX,
    HANDSHAKE_WAIT_MAX, HANDSHAKES_MAX, KEEP_ALIVE, MESSAGE_BYTES_MAX,
};
use super::places::{Place, Places};
pub use super::service::Groups;
use super::service::{Proven, Service};
use super::tls::PeerTls;
use super::wire::peer_server::PeerServer;
use crate::ids::{Generation, ReplicaId};

/// How long accepting rests after the system refused: for want of file handles, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener for peers; [`Listening::shutdown`] ends it, and dropping it cuts it off.
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
    /// No more connections, and the calls under way come to their end.
    closing: CancellationToken,
    /// Every connection is cut.
    cut: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Listening {
    /// Listens for the peers of the replica that the certificate names, on behalf of these groups.
    ///
    /// # Errors
    /// What the system says of the socket.
    pub fn start(listener: TcpListener, tls: PeerTls, generation: Generation, groups: Groups) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let cluster = Cluster { lineage: tls.own().lineage, generation };
        let service = Service::new(Here { cluster, replica: tls.own().replica }, groups);
        let service = PeerServer::new(service)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let (closing, cut) = (CancellationToken::new(), CancellationToken::new());
        let (taken, incoming) = mpsc::channel(1);
        let accepting = accept(listener, tls, taken, closing.clone(), cut.clone());
        let serving = Server::builder()
            .max_concurrent_streams(CALLS_PER_CONNECTION_MAX)
            .http2_keepalive_interval(Some(KEEP_ALIVE))
            .http2_keepalive_timeout(Some(KEEP_ALIVE))
            .max_connection_age(CONNECTION_AGE_MAX)
            .add_service(service)
            .serve_with_incoming_shutdown(
                ReceiverStream::new(incoming).map(io::Result::Ok),
                closing.clone().cancelled_owned(),
            );
        let task = tokio::spawn(async move {
            let ((), served) = tokio::join!(accepting, serving);
            if let Err(error) = served {
                tracing::error!(error = &error as &dyn std::error::Error, "the listener for peers did not end well");
            }
        });
        Ok(Self { address, closing, cut, task: Some(task) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, lets calls under way end within a bound, and cuts what is left.
    pub async fn shutdown(mut self) {
        self.closing.cancel();
        let Some(mut task) = self.task.take() else { return };
        let ended = timeout(DRAIN_WAIT_MAX, &mut task).await;
        self.cut.cancel();
        let ended = match ended {
            Ok(ended) => ended,
            Err(_) => task.await,
        };
        if ended.is_err() {
            tracing::error!("the listener for peers panicked");
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.closing.cancel();
        self.cut.cancel();
    }
}

/// Accepts until it is told to stop.
async fn accept(
    listener: TcpListener,
    tls: PeerTls,
    taken: mpsc::Sender<PeerStream>,
    closing: CancellationToken,
    cut: CancellationToken,
) {
    let handshakes = Places::new(HANDSHAKES_MAX, HANDSHAKES_MAX);
    let peers = Arc::new(Places::new(CONNECTIONS_MAX, CONNECTIONS_PER_PEER_MAX));
    let mut proving = JoinSet::new();
    while let Some(accepted) = closing.run_until_cancelled(listener.accept()).await {
        // what has ended is let go of
        while proving.try_join_next().is_some() {}
        let (stream, source) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "connections of peers cannot be accepted for now");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let hand = handshakes.enter(source.ip(), CancellationToken::new());
        let (tls, taken, cut, peers) = (tls.clone(), taken.clone(), cut.clone(), Arc::clone(&peers));
        proving.spawn(async move {
            let (stream, name) = match proven(stream, &tls, &hand).await {
                Ok(proven) => proven,
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "a connection proved no peer");
                    return;
                }
            };
            drop(hand);
            let place = peers.enter(name.replica, cut.child_token());
            let cut = Box::pin(place.cut().clone().cancelled_owned());
            let stream = PeerStream { stream, proven: Proven(name.replica), cut, _place: place };
            // nobody takes it any more when the listener ends
            drop(taken.send(stream).await);
        });
    }
    proving.shutdown().await;
}

/// Why a connection is no peer's.
#[derive(Debug, thiserror::Error)]
enum Unproven {
    #[error("the handshake did not end in time")]
    Late,
    #[error("the handshake made room for a newer one")]
    Crowded,
    #[error("the handshake failed")]
    Tls(#[from] io::Error),
    #[error("the certificate is none of a peer")]
    Identity(#[from] IdentityError),
}

/// Within its time, and for as long as it need not make room.
async fn proven(
    stream: TcpStream,
    tls: &PeerTls,
    hand: &Place<IpAddr>,
) -> Result<(TlsStream<TcpStream>, PeerName), Unproven> {
    let proving = timeout(HANDSHAKE_WAIT_MAX, prove(stream, tls));
    let proved = hand.cut().run_until_cancelled(proving).await;
    proved.ok_or(Unproven::Crowded)?.map_err(|_| Unproven::Late)?
}

async fn prove(stream: TcpStream, tls: &PeerTls) -> Result<(TlsStream<TcpStream>, PeerName), Unproven> {
    stream.set_nodelay(true)?;
    let stream = TlsAcceptor::from(tls.server()).accept(stream).await?;
    let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let name = PeerName::in_certificate(leaf.ok_or(IdentityError::Unreadable)?)?.of(tls.own().lineage)?;
    Ok((stream, name))
}

/// A proven connection. Holds its place until it is closed, or a newer one takes it.
struct PeerStream {
    stream: TlsStream<TcpStream>,
    proven: Proven,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _place: Place<ReplicaId>,
}

impl Connected for PeerStream {
    type ConnectInfo = Proven;

    fn connect_info(&self) -> Proven {
        self.proven
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for PeerStream {
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
