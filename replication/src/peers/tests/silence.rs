//! Peers that accept and never answer: nobody else waits for them, and every call ends at its deadline.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::cluster::{AMPLE, NEVER, Replicas};
use crate::ids::ReplicaId;
use crate::peers::dial::Dial;
use crate::peers::limits::{CONNECTIONS_PER_PEER_MAX, HANDSHAKES_MAX};
use crate::raft::network::{AskError, Kind, Lane, Peers, Question};

fn hello(within: Duration) -> Question {
    Question { kind: Kind::Hello, lane: Lane::Urgent, body: vec![], within }
}

/// Accepts connections and says nothing.
async fn silent(listener: TcpListener) {
    let mut held = Vec::new();
    while let Ok((stream, _)) = listener.accept().await {
        held.push(stream);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_peer_delays_nobody_else_and_a_call_to_it_ends_at_its_deadline() {
    let mut replicas = Replicas::voters(3, NEVER).await;
    let leader = replicas.leader().await;
    let (silenced, other) = (leader % 3 + 1, (leader + 1) % 3 + 1);
    let mut way = replicas.way(leader, silenced);
    let address = replicas.node(silenced).address;
    replicas.stop(silenced).await;
    let silence = tokio::spawn(silent(TcpListener::bind(address).await.expect("its port is free")));

    let connections = Arc::new(replicas.in_the_name_of(leader));
    let mut waiting = connections.ask(way.clone(), hello(AMPLE));
    assert!((&mut waiting).now_or_never().is_none());
    // the others are spoken to as ever
    let sound = connections.ask(replicas.way(leader, other), hello(AMPLE)).await;
    assert!(sound.is_ok(), "{sound:?}");
    let index = replicas.keys(0..20).await;
    replicas.agree(index).await;
    way.incarnation = None;
    let within = Duration::from_millis(50);
    let late = replicas.in_the_name_of(leader).ask(way, hello(within)).await;
    assert!(matches!(late, Err(AskError::Late { within: told }) if told == within), "{late:?}");
    // the handshake has a bound of its own
    let ended = waiting.await;
    assert!(matches!(ended, Err(AskError::Unreachable(_))), "{ended:?}");
    silence.abort();
    assert!(silence.await.is_err_and(|ended| ended.is_cancelled()));
    replicas.start(silenced).await;
    replicas.agree(index).await;
    replicas.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_proves_nothing_is_closed() {
    let replicas = Replicas::empty(1, NEVER).await;
    let mut stream = TcpStream::connect(replicas.node(1).address).await.expect("it listens");
    let closed = tokio::time::timeout(AMPLE, stream.read(&mut [0])).await.expect("a handshake has a bound");
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    replicas.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_by_the_dozen_keep_no_real_peer_out() {
    let replicas = Replicas::voters(2, NEVER).await;
    let address = replicas.node(1).address;
    let mut silent = Vec::new();
    // more than their handshakes' time would let through while a peer waits for its own
    for _ in 0..4 * HANDSHAKES_MAX {
        silent.push(TcpStream::connect(address).await.expect("it listens"));
    }
    let answer = replicas.in_the_name_of(2).ask(replicas.way(2, 1), hello(AMPLE)).await;
    assert!(answer.is_ok(), "{answer:?}");
    drop(silent);
    replicas.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_one_peers_connections_the_newest_stay_and_nobody_elses_goes() {
    let replicas = Replicas::voters(3, NEVER).await;
    let (to, tls) = (replicas.node(1).address, replicas.authority.tls(ReplicaId(2)));
    let dial = async || {
        let dial = Dial::new(tls.clone(), ReplicaId(1), to.to_string().into());
        dial.connect().await.expect("it is a peer").into_inner()
    };
    let mut oldest = dial().await;
    let mut newer = Vec::new();
    for _ in 0..CONNECTIONS_PER_PEER_MAX {
        newer.push(dial().await);
    }
    let until_closed = async { while oldest.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {} };
    tokio::time::timeout(AMPLE, until_closed).await.expect("the oldest is cut");
    let answer = replicas.in_the_name_of(3).ask(replicas.way(3, 1), hello(AMPLE)).await;
    assert!(answer.is_ok(), "{answer:?}");
    let index = replicas.keys(0..3).await;
    replicas.agree(index).await;
    replicas.shutdown().await;
}
