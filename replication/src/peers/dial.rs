//! How a connection to a replica is made: TCP, TLS, and a pause after every try that led to no answer.
//!
//! Never takes longer than a bound, and never tries more often than the pauses allow: a replica that is away or refuses costs
//! little. The pauses end with the first answer, not with a handshake, which in TLS 1.3 a client ends before it is refused.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::limits::{HANDSHAKE_WAIT_MAX, RECONNECT_PAUSE_MAX, RECONNECT_PAUSE_MIN};
use crate::ids::ReplicaId;

/// Why there is no connection. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// It was tried a moment ago.
    #[error("no connection to replica {replica}; it is tried again within {RECONNECT_PAUSE_MAX:?}")]
    Pausing {
        /// To whom.
        replica: ReplicaId,
    },
    /// Nobody listens there, or the way is blocked.
    #[error("replica {replica} cannot be reached at {address}")]
    Tcp {
        /// Whom.
        replica: ReplicaId,
        /// Where.
        address: Arc<str>,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Whoever listens there did not prove to be the replica.
    #[error("what listens at {address} is not replica {replica}, or has no certificate that is believed here")]
    Tls {
        /// Who should be there.
        replica: ReplicaId,
        /// Where.
        address: Arc<str>,
        /// What TLS said.
        #[source]
        source: io::Error,
    },
    /// It took too long.
    #[error("replica {replica} at {address} did not end its handshake within {HANDSHAKE_WAIT_MAX:?}")]
    Late {
        /// Whom.
        replica: ReplicaId,
        /// Where.
        address: Arc<str>,
    },
}

/// Whoever calls replicas, with what they present and believe at the moment.
pub(crate) trait Calls: std::fmt::Debug + Send + Sync + 'static {
    /// For the next connection to a replica, which must prove that it is the one.
    fn client(&self, wanted: ReplicaId) -> Arc<ClientConfig>;
}

/// The way to a replica, for one connection of it. Clones share the pauses.
#[derive(Debug, Clone)]
pub(crate) struct Dial {
    tls: Arc<dyn Calls>,
    replica: ReplicaId,
    address: Arc<str>,
    pauses: Arc<Mutex<Pauses>>,
}

/// How often it was tried since the last answer, and when it may be tried again.
#[derive(Debug, Default)]
struct Pauses {
    tries: u32,
    not_before: Option<Instant>,
}

impl Dial {
    pub(crate) fn new(tls: impl Calls, replica: ReplicaId, address: Arc<str>) -> Self {
        Self { tls: Arc::new(tls), replica, address, pauses: Arc::default() }
    }

    /// The replica answered: the next connection is made at once.
    pub(crate) fn answered(&self) {
        *self.pauses.lock() = Pauses::default();
    }

    /// Makes a connection.
    pub(crate) fn connect(
        &self,
    ) -> impl Future<Output = Result<TokioIo<TlsStream<TcpStream>>, DialError>> + Send + use<> {
        let dial = self.clone();
        async move {
            let (replica, address) = (dial.replica, Arc::clone(&dial.address));
            if !dial.pauses.lock().may_try(now()) {
                return Err(DialError::Pausing { replica });
            }
            let made = timeout(HANDSHAKE_WAIT_MAX, dial.handshake()).await;
            made.unwrap_or(Err(DialError::Late { replica, address })).map(TokioIo::new)
        }
    }

    async fn handshake(&self) -> Result<TlsStream<TcpStream>, DialError> {
        let (replica, address) = (self.replica, &self.address);
        let tcp = |source| DialError::Tcp { replica, address: Arc::clone(address), source };
        let stream = TcpStream::connect(&**address).await.map_err(tcp)?;
        stream.set_nodelay(true).map_err(tcp)?;
        // The certificate names a replica and no host; no name is sent.
        let host = ServerName::try_from("peer.invalid").expect("a legal name");
        let stream = TlsConnector::from(self.tls.client(replica)).connect(host, stream).await;
        stream.map_err(|source| DialError::Tls { replica, address: Arc::clone(address), source })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a pause between two tries may stand still while the machine is suspended"
)]
fn now() -> Instant {
    Instant::now()
}

impl Pauses {
    fn may_try(&mut self, now: Instant) -> bool {
        if self.not_before.is_some_and(|not_before| now < not_before) {
            return false;
        }
        self.not_before = Some(now + pause(self.tries));
        self.tries = self.tries.saturating_add(1);
        true
    }
}

/// The pause after so many tries before it.
fn pause(tries: u32) -> Duration {
    RECONNECT_PAUSE_MIN.saturating_mul(1 << tries.min(16)).min(RECONNECT_PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_end_with_an_answer() {
        let mut pauses = Pauses::default();
        let (mut now, mut tried) = (now(), 0);
        let end = now + 10 * RECONNECT_PAUSE_MAX;
        while now < end {
            tried += u32::from(pauses.may_try(now));
            now += Duration::from_millis(1);
        }
        assert!((13..20).contains(&tried), "{tried} tries");
        assert_eq!(
            [pause(0), pause(1), pause(99)],
            [RECONNECT_PAUSE_MIN, 2 * RECONNECT_PAUSE_MIN, RECONNECT_PAUSE_MAX]
        );
        pauses = Pauses::default();
        assert!(pauses.may_try(now) && !pauses.may_try(now));
    }
}
