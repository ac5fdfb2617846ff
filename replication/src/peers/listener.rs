//! Where other replicas connect.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpListener;
use tonic::service::Routes;

use super::accept::{Bounds, Door};
use super::header::Here;
use super::identity::{Cluster, IdentityError, PeerName};
use super::limits::{
    CALLS_PER_CONNECTION_MAX, CONNECTIONS_MAX, CONNECTIONS_PER_PEER_MAX, DRAIN_WAIT_MAX, KEEP_ALIVE, MESSAGE_BYTES_MAX,
};
pub use super::listening::Listening;
use super::listening::Manners;
pub use super::service::Groups;
use super::service::Service;
use super::tls::PeerTls;
use super::wire::peer_server::PeerServer;
use crate::deny_entries::{Answering, DenyBook};
use crate::ids::{Generation, ReplicaId};

const MANNERS: Manners = Manners {
    whom: "peers",
    bounds: Bounds { all_max: CONNECTIONS_MAX, each_max: CONNECTIONS_PER_PEER_MAX },
    calls_max: CALLS_PER_CONNECTION_MAX,
    keep_alive: KEEP_ALIVE,
    drain_max: DRAIN_WAIT_MAX,
};

impl Door for PeerTls {
    type Name = ReplicaId;

    fn server(&self) -> Arc<ServerConfig> {
        self.server_config()
    }

    fn name(&self, leaf: &CertificateDer<'_>) -> Result<ReplicaId, IdentityError> {
        Ok(PeerName::in_certificate(leaf)?.of(self.own().lineage)?.replica)
    }
}

/// Listens for the peers of the replica that the certificate names, on behalf of these groups, and takes deny entries.
///
/// # Errors
/// What the system says of the socket.
pub fn listen(
    listener: TcpListener,
    tls: PeerTls,
    generation: Generation,
    groups: Groups,
    deny_entries: Arc<DenyBook>,
) -> io::Result<Listening> {
    let cluster = Cluster { lineage: tls.own().lineage, generation };
    let here = Here { cluster, replica: tls.own().replica };
    let service = PeerServer::new(Service::new(here, groups, Answering::new(deny_entries)))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    Listening::open(listener, tls, Routes::new(service), MANNERS)
}
