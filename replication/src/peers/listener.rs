//! Where other replicas connect: bounded, proven by a certificate before anything of HTTP is read, and cut off at the end.
//!
//! Never holds an accept up for a handshake, and never more handshakes or connections than their bounds.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
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
    CALLS_PER_CONNECTION_MAX, CONNECTION_AGE_MAX, CONNECTIONS_MAX, DRAIN_WAIT_MAX, HANDSHAKE_WAIT_MAX, HANDSHAKES_MAX,
    KEEP_ALIVE, MESSAGE_BYTES_MAX,
};
use super::service::{Proven, Service};
use super::tls::PeerTls;
use super::wire::peer_server::PeerServer;
use crate::ids::{Generation, GroupId};
use crate::raft::group::Group;

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
    pub fn start(
        listener: TcpListener,
        tls: PeerTls,
        generation: Generation,
        groups: BTreeMap<GroupId, Arc<Group>>,
    ) -> io::Result<Self> {
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
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let mut proving = JoinSet::new();
    while let Some(accepted) = closing.run_until_cancelled(next(&listener, &connections, &handshakes)).await {
        // what has ended is let go of
        while proving.try_join_next().is_some() {}
        let (stream, place, hand) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "connections of peers cannot be accepted for now");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (tls, taken, cut) = (tls.clone(), taken.clone(), cut.clone());
        proving.spawn(async move {
            let proven = timeout(HANDSHAKE_WAIT_MAX, prove(stream, &tls)).await;
            drop(hand);
            match proven {
                Ok(Ok((stream, name))) => {
                    let cut = Box::pin(cut.cancelled_owned());
                    let stream = PeerStream { stream, proven: Proven(name.replica), cut, _place: place };
                    // nobody takes it any more when the listener ends
                    drop(taken.send(stream).await);
                }
                Ok(Err(error)) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "a connection proved no peer");
                }
                Err(_) => tracing::debug!("a connection did not end its handshake in time"),
            }
        });
    }
    proving.shutdown().await;
}

/// The next connection, once there is room for it.
async fn next(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
    handshakes: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit, OwnedSemaphorePermit)> {
    let place = Arc::clone(connections).acquire_owned().await.map_err(io::Error::other)?;
    let hand = Arc::clone(handshakes).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place, hand))
}

/// Why a connection is no peer's.
#[derive(Debug, thiserror::Error)]
enum Unproven {
    #[error("the handshake failed")]
    Tls(#[from] io::Error),
    #[error("the certificate is none of a peer")]
    Identity(#[from] IdentityError),
}

async fn prove(stream: TcpStream, tls: &PeerTls) -> Result<(TlsStream<TcpStream>, PeerName), Unproven> {
    stream.set_nodelay(true)?;
    let stream = TlsAcceptor::from(tls.server()).accept(stream).await?;
    let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let name = PeerName::in_certificate(leaf.ok_or(IdentityError::Unreadable)?)?.of(tls.own().lineage)?;
    Ok((stream, name))
}

/// A proven connection. Holds its place until it is closed.
struct PeerStream {
    stream: TlsStream<TcpStream>,
    proven: Proven,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _place: OwnedSemaphorePermit,
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
