//! Where other replicas connect, and how that ends.
//!
//! Never lets in anybody whose certificate names no replica of this cluster; the bounds are those of `accept.rs`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::StreamExt;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use super::accept::{Bounds, Door, accept};
use super::header::Here;
use super::identity::{Cluster, IdentityError, PeerName};
use super::limits::{
    CALLS_PER_CONNECTION_MAX, CONNECTION_AGE_MAX, CONNECTIONS_MAX, CONNECTIONS_PER_PEER_MAX, DRAIN_WAIT_MAX,
    KEEP_ALIVE, MESSAGE_BYTES_MAX,
};
pub use super::service::Groups;
use super::service::Service;
use super::tls::PeerTls;
use super::wire::peer_server::PeerServer;
use crate::deny_entries::{Answering, DenyBook};
use crate::ids::{Generation, ReplicaId};

const BOUNDS: Bounds = Bounds { all_max: CONNECTIONS_MAX, each_max: CONNECTIONS_PER_PEER_MAX };

impl Door for PeerTls {
    type Name = ReplicaId;

    fn server(&self) -> Arc<ServerConfig> {
        self.server_config()
    }

    fn name(&self, leaf: &CertificateDer<'_>) -> Result<ReplicaId, IdentityError> {
        Ok(PeerName::in_certificate(leaf)?.of(self.own().lineage)?.replica)
    }
}

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
    /// Listens for the peers of the replica that the certificate names, on behalf of these groups, and takes
    /// deny entries.
    ///
    /// # Errors
    /// What the system says of the socket.
    pub fn start(
        listener: TcpListener,
        tls: PeerTls,
        generation: Generation,
        groups: Groups,
        deny_entries: Arc<DenyBook>,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let cluster = Cluster { lineage: tls.own().lineage, generation };
        let service = Service::new(Here { cluster, replica: tls.own().replica }, groups, Answering::new(deny_entries));
        let service = PeerServer::new(service)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let (closing, cut) = (CancellationToken::new(), CancellationToken::new());
        let (taken, incoming) = mpsc::channel(1);
        let accepting = accept(listener, tls, BOUNDS, taken, closing.clone(), cut.clone());
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
