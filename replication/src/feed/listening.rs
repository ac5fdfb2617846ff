//! Where frontends connect to a key store, and how that ends.
//!
//! Never lets in anybody whose certificate names no frontend of this cluster.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::StreamExt as _;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use super::limits::{
    CALLS_PER_CONNECTION_MAX, CONNECTIONS_MAX, CONNECTIONS_PER_FRONTEND_MAX, DRAIN_WAIT_MAX, KEEP_ALIVE,
    MESSAGE_BYTES_MAX,
};
use super::serving::{Outlets, Sealer, Serving};
use super::wire::feed_server::FeedServer;
use crate::ids::FrontendName;
use crate::peers::accept::{Bounds, Door, accept};
use crate::peers::identity::{FrontendIdentity, IdentityError};
use crate::peers::limits::CONNECTION_AGE_MAX;
use crate::peers::tls::FeedTls;

const BOUNDS: Bounds = Bounds { all_max: CONNECTIONS_MAX, each_max: CONNECTIONS_PER_FRONTEND_MAX };

impl Door for FeedTls {
    type Name = FrontendName;

    fn server(&self) -> Arc<ServerConfig> {
        self.server_config()
    }

    fn name(&self, leaf: &CertificateDer<'_>) -> Result<FrontendName, IdentityError> {
        Ok(FrontendIdentity::in_certificate(leaf)?.of(self.own().lineage)?.name)
    }
}

/// A listener for frontends; [`FeedListening::shutdown`] ends it, and dropping it cuts it off.
#[derive(Debug)]
pub struct FeedListening {
    address: SocketAddr,
    closing: CancellationToken,
    cut: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl FeedListening {
    /// Hands these groups to the frontends of the cluster that the certificate names.
    ///
    /// # Errors
    /// What the system says of the socket.
    pub fn start(
        listener: TcpListener,
        tls: FeedTls,
        outlets: Arc<impl Outlets>,
        sealer: Arc<impl Sealer>,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let service = FeedServer::new(Serving::new(tls.own().lineage, outlets, sealer))
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
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the listener for frontends did not end well"
                );
            }
        });
        Ok(Self { address, closing, cut, task: Some(task) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, and cuts those that are there: their streams would never end by themselves.
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
            tracing::error!("the listener for frontends panicked");
        }
    }
}

impl Drop for FeedListening {
    fn drop(&mut self) {
        self.closing.cancel();
        self.cut.cancel();
    }
}
