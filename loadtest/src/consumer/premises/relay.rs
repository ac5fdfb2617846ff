//! The network between Cloud KMS and the key manager, on loopback: a relay that can refuse, swallow and carry. It never looks
//! at what it carries, and never touches the server behind it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Connections at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 64;

/// What is done with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Bytes are carried both ways.
    Carry,
    /// Connections end at once, those that are open too.
    Refuse,
    /// Connections stand, and nothing passes.
    Swallow,
}

/// A running relay; it ends when it is dropped.
#[derive(Debug)]
pub struct Relay {
    /// Where it listens.
    pub address: SocketAddr,
    mode: watch::Sender<Mode>,
    _task: JoinSet<()>,
}

impl Relay {
    /// Starts one in front of this address.
    ///
    /// # Errors
    /// If no port of this machine can be listened on.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (mode, watched) = watch::channel(Mode::Carry);
        let mut task = JoinSet::new();
        task.spawn(accept(listener, upstream, watched));
        Ok(Self { address, mode, _task: task })
    }

    /// Changes what is done, also with open connections.
    pub fn turn(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, mode: watch::Receiver<Mode>) {
    let mut carried = JoinSet::new();
    loop {
        while carried.len() >= CONNECTIONS_MAX || carried.try_join_next().is_some() {
            if carried.len() >= CONNECTIONS_MAX {
                carried.join_next().await;
            }
        }
        // a connection that broke before it was accepted is its client's to notice
        if let Ok((client, _)) = listener.accept().await {
            carried.spawn(carry(client, upstream, mode.clone()));
        }
    }
}

async fn carry(mut client: TcpStream, upstream: SocketAddr, mut mode: watch::Receiver<Mode>) {
    if *mode.borrow() == Mode::Refuse {
        return;
    }
    let Ok(mut server) = TcpStream::connect(upstream).await else { return };
    // a relay must not add Nagle's delay to a deadline of 150 ms; without the option it is slower, and right all the same
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let carrying = async {
        // either side may end as it likes
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    };
    tokio::select! {
        () = carrying => {}
        _ = mode.wait_for(|mode| *mode != Mode::Carry) => {}
    }
    // what was swallowed in between is lost, so the connection cannot be used any more
    let _ = mode.wait_for(|mode| *mode != Mode::Swallow).await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A server that sends one byte to each client and then waits for it to go.
    async fn greeter() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(b"!").await.expect("the relay reads");
                held.push(stream);
            }
        });
        address
    }

    #[tokio::test]
    async fn a_relay_carries_refuses_and_carries_again() {
        let relay = Relay::start(greeter().await).await.expect("loopback has a free port");
        let mut byte = [0; 1];
        let mut open = TcpStream::connect(relay.address).await.expect("it listens");
        open.read_exact(&mut byte).await.expect("it carries");
        relay.turn(Mode::Refuse);
        assert_eq!(open.read(&mut byte).await.unwrap_or(0), 0, "the open connection ends");
        let mut refused = TcpStream::connect(relay.address).await.expect("the kernel accepts");
        assert_eq!(refused.read(&mut byte).await.unwrap_or(0), 0, "a new one ends at once");
        relay.turn(Mode::Carry);
        let mut again = TcpStream::connect(relay.address).await.expect("it listens");
        again.read_exact(&mut byte).await.expect("it carries again");
    }

    #[tokio::test]
    async fn swallowed_connections_stand_until_the_network_is_whole() {
        let relay = Relay::start(greeter().await).await.expect("loopback has a free port");
        let mut byte = [0; 1];
        let mut open = TcpStream::connect(relay.address).await.expect("it listens");
        open.read_exact(&mut byte).await.expect("it carries");
        relay.turn(Mode::Swallow);
        let control = TcpStream::connect(relay.address).await.expect("it listens");
        drop(control);
        relay.turn(Mode::Carry);
        assert_eq!(open.read(&mut byte).await.unwrap_or(0), 0, "it ends only now");
    }
}
