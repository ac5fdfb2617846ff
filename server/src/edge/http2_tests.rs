//! HTTP/2 against clients that abuse it, over real sockets: each flood ends its own connection, or waits its turn, while
//! another client is served; and an old connection ends politely.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio_rustls::client::TlsStream;

use super::frames::{
    self, ACK, CONTINUATION, END_HEADERS, ENHANCE_YOUR_CALM, Frame, GOAWAY, HEADERS, NO_ERROR, PING, REFUSED_STREAM,
    RST_STREAM, SETTINGS,
};
use super::limits::ConnectionLimits;
use super::testing::{Authority, Client, Running, data_tls, run, soon};
use crate::metrics::MalformedReason;

/// Short, for timers whose end a test awaits. Nothing else in them depends on its length.
const SHORT: Duration = Duration::from_millis(50);
/// A flood that the server has not ended by then is one that it does not end.
const FLOOD_BYTES: usize = 64 * 1024 * 1024;

type Stream = TlsStream<TcpStream>;

struct Site {
    authority: Authority,
    running: Running,
}

impl Site {
    fn new(limits: ConnectionLimits, router: Router) -> Self {
        let authority = Authority::new("servers");
        let running = run(Some(data_tls(&authority)), limits, router);
        Self { authority, running }
    }

    /// A connection whose greeting has been sent.
    async fn connect(&self) -> Stream {
        let client = Client { alpn: vec!["h2"], ..Client::default() };
        let mut stream = client.connect(self.running.address, &self.authority).await.expect("a good client connects");
        frames::greet(&mut stream).await;
        stream
    }

    /// Whether another client is served while somebody floods.
    async fn serves(&self) -> bool {
        let mut stream = self.connect().await;
        stream.write_all(&frames::get(1)).await.expect("a request fits the socket's buffer");
        soon("an answer", frames::until(&mut stream, HEADERS)).await.is_some_and(|answer| is_ok(&answer))
    }
}

/// `:status: 200` is the eighth entry of HPACK's static table.
fn is_ok(answer: &Frame) -> bool {
    answer.payload.first() == Some(&0x88)
}

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

/// Sends the same again and again until the peer has had enough, or all of it; gives how much it took.
async fn flood(mut into: WriteHalf<Stream>, again: Vec<u8>) -> usize {
    let chunk = again.repeat((64 * 1024 / again.len()).max(1));
    let mut sent = 0;
    while sent < FLOOD_BYTES && into.write_all(&chunk).await.is_ok() {
        sent += chunk.len();
    }
    sent
}

/// Floods a connection until it ends; gives how much it took and what the server had said. Others are served meanwhile.
async fn flooded(site: &Site, stream: Stream, again: Vec<u8>) -> (usize, Vec<Frame>) {
    let (mut from, into): (ReadHalf<Stream>, _) = tokio::io::split(stream);
    let flooding = tokio::spawn(flood(into, again));
    assert!(site.serves().await, "another client waits for the flood");
    let said = soon("the end of the connection", frames::rest(&mut from)).await;
    drop(from);
    let sent = soon("the end of the flood", flooding).await.expect("flooding does not panic");
    assert!(site.serves().await, "another client waits after the flood");
    (sent, said)
}

fn farewell(said: &[Frame]) -> Option<u32> {
    said.iter().rev().find(|frame| frame.kind == GOAWAY).map(Frame::error)
}

/// Requests that are cancelled as soon as they are sent, on streams of their own (CVE-2023-44487).
#[tokio::test]
async fn requests_cancelled_in_a_flood_end_their_connection() {
    const CANCELLED: u32 = 10_000;
    let site = Site::new(ConnectionLimits::default(), hello());
    let mut stream = site.connect().await;
    let streams = (0..CANCELLED).map(|number| 2 * number + 1);
    let all: Vec<u8> = streams.flat_map(|id| [frames::get(id), frames::cancel(id)].concat()).collect();
    // it may fail when the server has had enough
    let sent = stream.write_all(&all).await;
    let said = soon("the end of the connection", frames::rest(&mut stream)).await;
    let last = said.iter().rev().find(|frame| frame.kind == GOAWAY);
    assert!(last.map(Frame::error) == Some(ENHANCE_YOUR_CALM) || sent.is_err(), "{last:?}");
    let answers = said.iter().filter(|frame| frame.kind == HEADERS).count();
    assert!(answers < usize::try_from(CANCELLED).expect("it is small") / 10, "{answers} were answered");
    assert!(site.serves().await);
    assert_eq!(site.running.counters.malformed_total(MalformedReason::Http2Broken), 1);
}

#[tokio::test]
async fn a_head_that_never_ends_ends_its_connection() {
    // frames with nothing in them, and frames that fill what a head may have
    for fill in [Vec::new(), frames::field(100)] {
        let site = Site::new(ConnectionLimits::default(), hello());
        let mut stream = site.connect().await;
        stream.write_all(&frames::begun(1)).await.expect("a frame fits the socket's buffer");
        let (sent, said) = flooded(&site, stream, frames::frame(CONTINUATION, 0, 1, &fill)).await;
        assert!(sent < FLOOD_BYTES, "it took all of the flood");
        assert!(matches!(farewell(&said), Some(ENHANCE_YOUR_CALM) | None), "{said:?}");
        assert!(said.iter().all(|frame| frame.kind != HEADERS), "such a head is not answered");
    }
}

#[tokio::test]
async fn a_head_that_ends_too_late_is_answered_431_or_ends_its_connection() {
    let limits = ConnectionLimits { header_bytes_max: 8192, ..ConnectionLimits::default() };
    let site = Site::new(limits, hello());
    for fields in [80, 160] {
        let mut stream = site.connect().await;
        let all = frames::field(120).repeat(fields);
        let head = [frames::begun(1), frames::frame(CONTINUATION, END_HEADERS, 1, &all[..all.len().min(16_000)])];
        stream.write_all(&head.concat()).await.expect("a head fits the socket's buffer");
        let said = soon("an answer", async {
            loop {
                match frames::next(&mut stream).await {
                    Some(frame) if !matches!(frame.kind, HEADERS | RST_STREAM | GOAWAY) => {}
                    last => return last,
                }
            }
        });
        let said = said.await;
        assert!(said.as_ref().is_none_or(|frame| frame.kind != HEADERS || !is_ok(frame)), "{said:?}");
    }
    assert!(site.serves().await);
}

#[tokio::test]
async fn a_client_that_asks_without_listening_is_not_remembered_without_end() {
    // the server stops reading when its answers find no way out, and its own ping finds none either
    let limits = ConnectionLimits { ping_interval: SHORT, ping_timeout: SHORT, ..ConnectionLimits::default() };
    for again in [frames::ping(0), frames::frame(SETTINGS, 0, 0, &[])] {
        let site = Site::new(limits, hello());
        let (from, into): (ReadHalf<Stream>, _) = tokio::io::split(site.connect().await);
        let flooding = tokio::spawn(flood(into, again));
        assert!(site.serves().await);
        let sent = soon("the end of the flood", flooding).await.expect("flooding does not panic");
        assert!(sent < FLOOD_BYTES, "the server took all of it");
        drop(from);
    }
}

#[tokio::test]
async fn a_client_that_pings_and_listens_gets_each_answer_and_holds_up_nobody() {
    const PINGS: usize = 10_000;
    let site = Site::new(ConnectionLimits::default(), hello());
    let (mut from, mut into) = tokio::io::split(site.connect().await);
    let flooding = tokio::spawn(async move {
        let sent = into.write_all(&frames::ping(0).repeat(PINGS)).await;
        (sent, into)
    });
    assert!(site.serves().await);
    let mut answered = 0;
    while answered < PINGS {
        let pong = soon("an answer", frames::until(&mut from, PING)).await.expect("the connection goes on");
        answered += usize::from(pong.flags == ACK);
    }
    let (sent, _into) = flooding.await.expect("flooding does not panic");
    sent.expect("the server reads on");
}

/// Handlers that tell when they begin, and end when they are told to.
#[derive(Clone)]
struct Held {
    begun: mpsc::Sender<()>,
    release: Arc<Notify>,
}

impl Held {
    fn new() -> (Self, mpsc::Receiver<()>) {
        let (begun, beginning) = mpsc::channel(64);
        (Self { begun, release: Arc::default() }, beginning)
    }

    fn router(&self) -> Router {
        let held = self.clone();
        let wait = move || async move {
            let released = held.release.notified();
            held.begun.send(()).await.expect("the test listens");
            released.await;
            "finished"
        };
        Router::new().route("/", get(wait))
    }
}

#[tokio::test]
async fn more_streams_than_are_allowed_are_refused_and_the_others_finish() {
    const ALLOWED: u32 = 4;
    let (held, mut beginning) = Held::new();
    let site = Site::new(ConnectionLimits { streams_max: ALLOWED, ..ConnectionLimits::default() }, held.router());
    let mut stream = site.connect().await;
    let streams = (0..=ALLOWED).map(|number| 2 * number + 1);
    let all: Vec<u8> = streams.flat_map(frames::get).collect();
    stream.write_all(&all).await.expect("requests fit the socket's buffer");
    let refused = soon("a refusal", frames::until(&mut stream, RST_STREAM)).await.expect("the connection goes on");
    assert_eq!((refused.stream, refused.error()), (2 * ALLOWED + 1, REFUSED_STREAM));
    for _ in 0..ALLOWED {
        soon("a handler", beginning.recv()).await.expect("the handlers live");
    }
    held.release.notify_waiters();
    for _ in 0..ALLOWED {
        let answer = soon("an answer", frames::until(&mut stream, HEADERS)).await.expect("the connection goes on");
        assert!(is_ok(&answer), "{answer:?}");
    }
}

#[tokio::test]
async fn an_old_connection_says_good_bye_and_finishes_what_is_in_progress() {
    let (held, mut beginning) = Held::new();
    let site = Site::new(ConnectionLimits { age_max: SHORT, ..ConnectionLimits::default() }, held.router());
    let mut stream = site.connect().await;
    stream.write_all(&frames::get(1)).await.expect("a request fits the socket's buffer");
    soon("the handler", beginning.recv()).await.expect("the handler lives");
    let first = soon("a farewell", frames::until(&mut stream, GOAWAY)).await.expect("the connection goes on");
    assert_eq!(first.error(), NO_ERROR);
    // the server asks whether the farewell has arrived, and then names the last request that it takes
    let ping = soon("a ping", frames::until(&mut stream, PING)).await.expect("the connection goes on");
    stream.write_all(&frames::frame(PING, ACK, 0, &ping.payload)).await.expect("the connection goes on");
    let last = soon("the last farewell", frames::until(&mut stream, GOAWAY)).await.expect("the connection goes on");
    assert_eq!((last.error(), &last.payload[..4]), (NO_ERROR, &[0, 0, 0, 1][..]));
    held.release.notify_waiters();
    let said = soon("the end", frames::rest(&mut stream)).await;
    assert!(said.iter().any(|frame| frame.kind == HEADERS && frame.stream == 1 && is_ok(frame)), "{said:?}");
    let body: Vec<u8> = said.iter().filter(|frame| frame.kind == 0).flat_map(|frame| frame.payload.clone()).collect();
    assert_eq!(body, b"finished", "the request in progress finishes");
    let mut nothing = Vec::new();
    stream.read_to_end(&mut nothing).await.expect("the connection was closed, not cut");
    site.running.stop.cancel();
    soon("the end of the listener", site.running.task).await.expect("it does not panic");
    assert_eq!(site.running.counters.cut.get(), 0);
}
