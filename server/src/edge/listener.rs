//! The accept loop that every listener of the server uses: data, admin and health. It must never accept more than the
//! limit, never spin on an error, and never end a request in progress before its time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::Shared;
use super::limits::ConnectionLimits;
use super::tls::ServerTls;
use crate::metrics::{ConnectionCounters, RejectReason};

/// Connections that the kernel holds while none is accepted. Linux cuts it to `net.core.somaxconn`, 4096 by default.
const BACKLOG: i32 = 4096;

/// The pause after an error that says that the machine has run out of something. Trying at once would fail again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a listener cannot have its address.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process has it.
    #[error("{0} is in use by another process; stop it or choose another port")]
    InUse(SocketAddr),
    /// Ports below 1024 need a capability.
    #[error("{0} may not be bound by this user; choose a port above 1023 or grant CAP_NET_BIND_SERVICE")]
    Forbidden(SocketAddr),
    /// No interface has it.
    #[error("{0} is no address of this machine; choose one that is, or a wildcard")]
    NotOurs(SocketAddr),
    /// Anything else.
    #[error("{address} cannot be listened on")]
    Failed {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// A bound socket that accepts nothing yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds `address`; port 0 takes a free one. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`BindError`] says why and what to do.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse(address),
            io::ErrorKind::PermissionDenied => BindError::Forbidden(address),
            io::ErrorKind::AddrNotAvailable => BindError::NotOurs(address),
            _ => BindError::Failed { address, source },
        };
        let socket = listen(address).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address })
    }

    /// The address, with the port that was taken.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Accepts and serves until `stop`, then lets connections end for up to `limits.drain_max`, and returns when all have.
    /// Without `tls` it speaks plain HTTP/1.
    pub async fn serve(
        self,
        tls: Option<ServerTls>,
        limits: ConnectionLimits,
        router: Router,
        counters: ConnectionCounters,
        stop: CancellationToken,
    ) {
        let room = Arc::new(Semaphore::new(limits.connections_max));
        let shared = Arc::new(Shared::new(tls, limits, router, counters.clone(), stop.clone()));
        let connections = TaskTracker::new();
        let mut serial = 0;
        while let Some((socket, place)) = stop.run_until_cancelled(self.next(&room, &counters)).await {
            serial += 1;
            let open = Open::new(&counters);
            let shared = Arc::clone(&shared);
            connections.spawn(async move {
                let _held = (place, open); // until the end, however it comes
                shared.serve(socket, serial).await;
            });
        }
        drop(self.socket); // from here on the kernel refuses newcomers
        connections.close();
        connections.wait().await;
    }

    /// The next connection, once there is room for it.
    async fn next(&self, room: &Arc<Semaphore>, counters: &ConnectionCounters) -> (TcpStream, OwnedSemaphorePermit) {
        let place = place(room, counters).await;
        loop {
            let error = match self.socket.accept().await {
                Ok((socket, _)) => return (socket, place),
                Err(error) => error,
            };
            counters.rejected(RejectReason::AcceptError);
            match after(&error) {
                After::GoOn => {}
                After::Pause => {
                    tracing::warn!(%error, address = %self.address, "accepting connections pauses");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// A place among the connections; counts if it has to be waited for.
async fn place(room: &Arc<Semaphore>, counters: &ConnectionCounters) -> OwnedSemaphorePermit {
    if let Ok(place) = Arc::clone(room).try_acquire_owned() {
        return place;
    }
    counters.rejected(RejectReason::Limit);
    Arc::clone(room).acquire_owned().await.expect("the semaphore of a listener is never closed")
}

/// Counts a connection as open for as long as it lives.
struct Open(ConnectionCounters);

impl Open {
    fn new(counters: &ConnectionCounters) -> Self {
        counters.accepted.inc();
        counters.open.inc();
        Self(counters.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.dec();
    }
}

/// What to do after an error of `accept`.
#[derive(Debug, PartialEq, Eq)]
enum After {
    /// It concerned one connection that is already gone.
    GoOn,
    /// It concerns the machine, and will be the same a moment later.
    Pause,
}

fn after(error: &io::Error) -> After {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    match error.kind() {
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted => After::GoOn,
        _ => After::Pause,
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?; // a restart must not wait for the last process's connections to be forgotten
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
