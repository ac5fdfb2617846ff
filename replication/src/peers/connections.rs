//! The connections to the other replicas, shared by all groups: three to each, so that entries never stand before a heartbeat, and a
//! snapshot before neither.
//!
//! Every question ends in time. Whatever is in doubt after it was sent is called lost, never unreachable.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use parking_lot::Mutex;
use tokio::time::timeout;
use tonic::Status;
use tonic::transport::{Channel, Endpoint, Uri};

use super::carried;
use super::dial::{Dial, DialError};
use super::header::Here;
use super::identity::Cluster;
use super::limits::{CALLS_WAITING_MAX, FORMAT, KEEP_ALIVE, MESSAGE_BYTES_MAX};
use super::shipping;
use super::tls::PeerTls;
use super::wire;
use super::wire::peer_client::PeerClient;
use crate::ids::{Generation, ReplicaId};
use crate::raft::network::{AskError, Destination, Lane, Peers, Question, Shipment};

/// The connections of one replica to its peers.
#[derive(Debug)]
pub struct Connections {
    here: Here,
    tls: PeerTls,
    /// One entry for each replica that was ever asked for; a membership is small.
    links: Mutex<BTreeMap<ReplicaId, Link>>,
}

/// What leads to one replica.
#[derive(Debug, Clone)]
pub(super) struct Link {
    address: Arc<str>,
    pub(super) urgent: Wire,
    pub(super) entries: Wire,
    pub(super) snapshots: Wire,
}

/// One connection, made when it is needed.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    pub(super) client: PeerClient<Channel>,
    dial: Dial,
}

impl Connections {
    /// Of the replica that the certificate names. No connection is made yet.
    pub fn new(tls: PeerTls, generation: Generation) -> Self {
        let cluster = Cluster { lineage: tls.own().lineage, generation };
        Self { here: Here { cluster, replica: tls.own().replica }, tls, links: Mutex::default() }
    }

    pub(super) fn link(&self, replica: ReplicaId, address: &str) -> Link {
        let mut links = self.links.lock();
        if let Some(link) = links.get(&replica).filter(|link| &*link.address == address) {
            return link.clone();
        }
        let address: Arc<str> = address.into();
        let wire = || Wire::new(Dial::new(self.tls.clone(), replica, Arc::clone(&address)));
        let link = Link { urgent: wire(), entries: wire(), snapshots: wire(), address: Arc::clone(&address) };
        links.insert(replica, link.clone());
        link
    }

    pub(super) fn header(&self, to: &Destination) -> wire::Header {
        let Here { cluster, replica } = self.here;
        wire::Header {
            format: FORMAT,
            lineage: cluster.lineage.as_bytes().to_vec(),
            generation: cluster.generation.0.into(),
            group: to.group.0.into(),
            sender: replica.0,
            sender_incarnation: to.from.as_bytes().to_vec(),
            addressee: to.replica.0,
            addressee_incarnation: to.incarnation.map(|known| known.as_bytes().to_vec()).unwrap_or_default(),
        }
    }
}

impl Wire {
    fn new(dial: Dial) -> Self {
        let connector = dial.clone();
        let connector = tower::service_fn(move |_: Uri| connector.connect());
        let channel = Endpoint::from_static("http://peer.invalid")
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .buffer_size(CALLS_WAITING_MAX)
            .connect_with_connector_lazy(connector);
        let client = PeerClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Self { client, dial }
    }

    /// What a call came to.
    pub(super) fn heard(&self, reply: Result<tonic::Response<wire::Reply>, Status>) -> Result<Vec<u8>, AskError> {
        match reply {
            Ok(reply) => {
                self.dial.answered();
                carried::read(reply.into_inner())
            }
            Err(status) if was_never_sent(&status) => Err(AskError::Unreachable(Arc::new(status))),
            Err(status) => Err(AskError::Lost(Arc::new(status))),
        }
    }
}

/// Whether there was no connection to send it over.
fn was_never_sent(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<DialError>() {
            return true;
        }
        source = error.source();
    }
    false
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

impl Peers for Connections {
    fn ask(&self, to: Destination, question: Question) -> BoxFuture<'static, Result<Vec<u8>, AskError>> {
        let link = self.link(to.replica, &to.address);
        let Question { kind, lane, body, within } = question;
        let call = wire::Call {
            header: Some(self.header(&to)),
            kind: carried::to_wire(kind).into(),
            within_millis: millis(within),
            body,
        };
        async move {
            let asked = async {
                match lane {
                    Lane::Urgent => link.urgent.heard(link.urgent.client.clone().urgent(call).await),
                    Lane::Entries => link.entries.heard(link.entries.client.clone().entries(call).await),
                }
            };
            timeout(within, asked).await.unwrap_or(Err(AskError::Late { within }))
        }
        .boxed()
    }

    fn ship(&self, to: Destination, shipment: Shipment) -> BoxFuture<'static, Result<Vec<u8>, AskError>> {
        let link = self.link(to.replica, &to.address);
        shipping::ship(link.snapshots, self.header(&to), shipment).boxed()
    }
}
