//! Where frontends connect to a key store.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpListener;
use tonic::service::Routes;

use super::limits::{
    CALLS_PER_CONNECTION_MAX, CONNECTIONS_MAX, CONNECTIONS_PER_FRONTEND_MAX, DRAIN_WAIT_MAX, KEEP_ALIVE,
    MESSAGE_BYTES_MAX,
};
use super::serving::{Outlets, Sealer, Serving};
use super::wire::feed_server::FeedServer;
use crate::ids::FrontendName;
use crate::peers::accept::{Bounds, Door};
use crate::peers::identity::{FrontendIdentity, IdentityError};
use crate::peers::listening::{Listening, Manners};
use crate::peers::tls::FeedTls;

const MANNERS: Manners = Manners {
    whom: "frontends",
    bounds: Bounds { all_max: CONNECTIONS_MAX, each_max: CONNECTIONS_PER_FRONTEND_MAX },
    calls_max: CALLS_PER_CONNECTION_MAX,
    keep_alive: KEEP_ALIVE,
    drain_max: DRAIN_WAIT_MAX,
};

impl Door for FeedTls {
    type Name = FrontendName;

    fn server(&self) -> Arc<ServerConfig> {
        self.server_config()
    }

    fn name(&self, leaf: &CertificateDer<'_>) -> Result<FrontendName, IdentityError> {
        Ok(FrontendIdentity::in_certificate(leaf)?.of(self.own().lineage)?.name)
    }
}

/// Hands these groups to the frontends of the cluster that the certificate names.
///
/// # Errors
/// What the system says of the socket.
pub fn listen(
    listener: TcpListener,
    tls: FeedTls,
    outlets: Arc<impl Outlets>,
    sealer: Arc<impl Sealer>,
) -> io::Result<Listening> {
    let service = FeedServer::new(Serving::new(tls.own().lineage, outlets, sealer))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    Listening::open(listener, tls, Routes::new(service), MANNERS)
}
