//! A listener that lets in whom a certificate proves, and how that ends. What it serves is given to it.
//!
//! Never lets in anybody whom the door does not know; the bounds are those of `accept.rs`.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;

use super::accept::{Bounds, Door, accept};
use super::limits::CONNECTION_AGE_MAX;

/// How a listener treats those whom it lets in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manners {
    /// Whom it listens for, for a log.
    pub(crate) whom: &'static str,
    /// Connections at the same time.
    pub(crate) bounds: Bounds,
    /// Calls at the same time on one connection.
    pub(crate) calls_max: u32,
    /// After how much silence a sign of life is asked for, and how long it is waited for.
    pub(crate) keep_alive: Duration,
    /// How long the end waits for calls under way.
    pub(crate) drain_max: Duration,
}

/// A listener for other processes of the cluster; [`Listening::shutdown`] ends it, and dropping it cuts it off.
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
    drain_max: Duration,
    whom: &'static str,
    /// No more connections, and the calls under way come to their end.
    closing: CancellationToken,
    /// Every connection is cut.
    cut: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Listening {
    /// Serves whoever passes the door.
    pub(crate) fn open(listener: TcpListener, door: impl Door, routes: Routes, manners: Manners) -> io::Result<Self> {
        let Manners { whom, bounds, calls_max, keep_alive, drain_max } = manners;
        let address = listener.local_addr()?;
        let (closing, cut) = (CancellationToken::new(), CancellationToken::new());
        let (taken, incoming) = mpsc::channel(1);
        let accepting = accept(listener, door, bounds, taken, closing.clone(), cut.clone());
        let serving = Server::builder()
            .max_concurrent_streams(calls_max)
            .http2_keepalive_interval(Some(keep_alive))
            .http2_keepalive_timeout(Some(keep_alive))
            .max_connection_age(CONNECTION_AGE_MAX)
            .add_routes(routes)
            .serve_with_incoming_shutdown(
                ReceiverStream::new(incoming).map(io::Result::Ok),
                closing.clone().cancelled_owned(),
            );
        let task = tokio::spawn(async move {
            let ((), served) = tokio::join!(accepting, serving);
            if let Err(error) = served {
                tracing::error!(whom, error = &error as &dyn std::error::Error, "a listener did not end well");
            }
        });
        Ok(Self { address, drain_max, whom, closing, cut, task: Some(task) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, lets calls under way end within a bound, and cuts what is left: a stream would never end by itself.
    pub async fn shutdown(mut self) {
        self.closing.cancel();
        let Some(mut task) = self.task.take() else { return };
        let ended = timeout(self.drain_max, &mut task).await;
        self.cut.cancel();
        let ended = match ended {
            Ok(ended) => ended,
            Err(_) => task.await,
        };
        if ended.is_err() {
            tracing::error!(whom = self.whom, "a listener panicked");
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.closing.cancel();
        self.cut.cancel();
    }
}
