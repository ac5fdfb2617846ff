//! The listeners over real sockets: what is accepted, what is refused, what is cut, and how they end.

use std::net::Ipv4Addr;

use axum::Extension;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::HandshakeKind;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::edge::peer::PeerCertificate;
use crate::edge::testing::{Authority, Client, Files, Running, data_tls, run, soon};
use crate::metrics::{HandshakeFailure, MalformedReason};

/// Short, for tests that await the cut. Nothing else in them depends on its length.
const SHORT: Duration = Duration::from_millis(50);
/// Requests that may come too late one after the other before that is no longer the machine's fault.
const TRIES_MAX: u64 = 100;

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

fn serve(authority: &Authority, limits: ConnectionLimits, router: Router) -> Running {
    run(Some(data_tls(authority)), limits, router)
}

fn client(alpn: &'static str) -> Client {
    Client { alpn: vec![alpn], ..Client::default() }
}

/// Stops a listener and waits until every connection has been accounted for.
async fn finish(running: Running) -> ConnectionCounters {
    running.stop.cancel();
    soon("the end of the listener", running.task).await.expect("the listener ends without a panic");
    assert_eq!(running.counters.open.get(), 0);
    running.counters
}

fn request(uri: &str) -> Request<Empty<Bytes>> {
    Request::get(uri).header("host", "localhost").body(Empty::new()).expect("the tests' requests are valid")
}

/// Sends a request over HTTP/1.1 on a stream of its own.
async fn ask<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    sender.send_request(request).await
}

/// The same over HTTP/2, with the sender, which keeps the connection open.
async fn ask_http2<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
) -> Result<(Response<Incoming>, http2::SendRequest<Empty<Bytes>>), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    Ok((response, sender))
}

async fn text(response: Response<Incoming>) -> String {
    let body = response.into_body().collect().await.expect("the body arrives whole").to_bytes();
    String::from_utf8(body.to_vec()).expect("the tests' bodies are text")
}

/// Everything until the peer closes, politely or not.
async fn until_closed<S: AsyncRead + Unpin>(mut stream: S) -> Vec<u8> {
    let mut seen = Vec::new();
    // a connection that is cut ends in an error, one that is closed does not; both have ended
    let _ = soon("the close", stream.read_to_end(&mut seen)).await;
    seen
}

async fn connect(running: &Running, authority: &Authority, alpn: &'static str) -> TlsStream<TcpStream> {
    client(alpn).connect(running.address, authority).await.expect("a good client connects")
}

#[tokio::test]
async fn tls_1_2_and_1_3_and_both_protocols_are_served() {
    let authority = Authority::new("servers");
    let running = serve(&authority, ConnectionLimits::default(), hello());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for (offered, agreed) in [(vec!["h2", "http/1.1"], "h2"), (vec!["http/1.1"], "http/1.1")] {
            let client = Client { versions: vec![version], alpn: offered, certificate: None };
            let stream = client.connect(running.address, &authority).await.expect("a good client connects");
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(agreed.as_bytes()));
            assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
            let body = if agreed == "h2" {
                text(ask_http2(stream, request("https://localhost/")).await.expect("an answer").0).await
            } else {
                text(ask(stream, request("/")).await.expect("an answer")).await
            };
            assert_eq!(body, "hello");
        }
    }
    let counters = finish(running).await;
    assert_eq!(counters.accepted.get(), 4);
    assert_eq!(counters.malformed_total(MalformedReason::Http2Broken), 0);
}

#[tokio::test]
async fn a_client_without_alpn_gets_http_1() {
    let authority = Authority::new("servers");
    let running = serve(&authority, ConnectionLimits::default(), hello());
    let silent = Client { alpn: Vec::new(), ..Client::default() };
    let stream = silent.connect(running.address, &authority).await.expect("a good client connects");
    assert_eq!(text(ask(stream, request("/")).await.expect("an answer")).await, "hello");
}

/// A `ClientHello` without TLS 1.3's extensions, of the given minor version: 2 is TLS 1.1, 3 is TLS 1.2.
fn client_hello(minor: u8) -> Vec<u8> {
    const SUITES: [u8; 4] = [0, 2, 0xc0, 0x2b]; // ECDHE-ECDSA-AES128-GCM-SHA256
    const NO_COMPRESSION: [u8; 2] = [1, 0];
    const EXTENSIONS: [u8; 24] = [
        0, 22, 0, 10, 0, 4, 0, 2, 0, 23, // groups: P-256
        0, 11, 0, 2, 1, 0, // point format: uncompressed
        0, 13, 0, 4, 0, 2, 4, 3, // signatures: ECDSA with SHA-256
    ];
    let mut body = vec![3, minor];
    body.extend_from_slice(&[0; 32]); // random
    body.push(0); // no session
    for part in [&SUITES[..], &NO_COMPRESSION, &EXTENSIONS] {
        body.extend_from_slice(part);
    }
    let length = u8::try_from(body.len()).expect("the greeting is short");
    [&[0x16, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat()
}

#[tokio::test]
async fn tls_1_1_is_refused_with_the_alert_that_says_so() {
    let authority = Authority::new("servers");
    let running = serve(&authority, ConnectionLimits::default(), hello());
    let mut first = Vec::new();
    for minor in [2, 3] {
        let mut socket = TcpStream::connect(running.address).await.expect("the port is open");
        socket.write_all(&client_hello(minor)).await.expect("the greeting fits the socket's buffer");
        let mut answer = [0; 7];
        soon("an answer", socket.read_exact(&mut answer)).await.expect("the server says something");
        first.push((answer[0], answer[5], answer[6]));
    }
    assert_eq!(first[0], (0x15, 2, 70), "a fatal protocol_version alert");
    assert_eq!((first[1].0, first[1].1), (0x16, 2), "a ServerHello to the same greeting as TLS 1.2");
    assert_eq!(finish(running).await.handshake_failed_total(HandshakeFailure::Tls), 1);
}

fn admin(operators: &Authority, servers: &Authority) -> Running {
    let tls = Files::new().tls(&servers.issue("admin", &["localhost"]), Some(operators));
    let whoami = |Extension(peer): Extension<PeerCertificate>| async move { peer.common_name().unwrap_or_default() };
    run(Some(tls), ConnectionLimits::default(), Router::new().route("/", get(whoami)))
}

#[tokio::test]
async fn the_admin_listener_knows_its_peer_on_both_protocols() {
    let (operators, servers) = (Authority::new("operators"), Authority::new("servers"));
    let running = admin(&operators, &servers);
    for alpn in ["http/1.1", "h2"] {
        let client = Client { certificate: Some(operators.issue("alice", &[])), ..client(alpn) };
        let stream = client.connect(running.address, &servers).await.expect("an operator connects");
        let name = if alpn == "h2" {
            text(ask_http2(stream, request("https://localhost/")).await.expect("an answer").0).await
        } else {
            text(ask(stream, request("/")).await.expect("an answer")).await
        };
        assert_eq!(name, "alice", "over {alpn}");
    }
}

#[tokio::test]
async fn the_admin_listener_refuses_strangers() {
    let (operators, servers) = (Authority::new("operators"), Authority::new("servers"));
    let running = admin(&operators, &servers);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for certificate in [None, Some(Authority::new("operators").issue("alice", &[]))] {
            let client = Client { versions: vec![version], alpn: vec!["http/1.1"], certificate };
            // in TLS 1.3 the client is done before the server has looked at its certificate
            let answered = match client.connect(running.address, &servers).await {
                Ok(stream) => ask(stream, request("/")).await.is_ok(),
                Err(_) => false,
            };
            assert!(!answered, "over {version:?}");
        }
    }
    assert_eq!(finish(running).await.handshake_failed_total(HandshakeFailure::Tls), 4);
}

#[tokio::test]
async fn the_admin_listener_looks_at_the_certificate_in_every_handshake() {
    let (operators, servers) = (Authority::new("operators"), Authority::new("servers"));
    let running = admin(&operators, &servers);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let certificate = Some(operators.issue("alice", &[]));
        let config = Client { versions: vec![version], certificate, ..client("http/1.1") }.config(&servers);
        let connector = TlsConnector::from(Arc::new(config));
        for _ in 0..2 {
            let socket = TcpStream::connect(running.address).await.expect("the listener accepts");
            let name = ServerName::try_from("localhost").expect("localhost is a name");
            let mut stream = connector.connect(name, socket).await.expect("an operator connects");
            // asked on the same stream, so that whatever tickets the server sends have arrived
            stream
                .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                .await
                .expect("a request");
            let mut answer = Vec::new();
            soon("the answer", stream.read_to_end(&mut answer)).await.expect("an answer");
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full), "over {version:?}");
        }
    }
}

#[tokio::test]
async fn an_expired_operator_certificate_opens_nothing() {
    let (operators, servers) = (Authority::new("operators"), Authority::new("servers"));
    let running = admin(&operators, &servers);
    let certificate = Some(operators.issue_until("alice", &[], rcgen::date_time_ymd(2001, 2, 3)));
    let client = Client { certificate, ..client("http/1.1") };
    let answered = match client.connect(running.address, &servers).await {
        Ok(stream) => ask(stream, request("/")).await.is_ok(),
        Err(_) => false,
    };
    assert!(!answered);
}

#[tokio::test]
async fn a_handshake_that_stalls_is_cut() {
    let authority = Authority::new("servers");
    let limits = ConnectionLimits { handshake_timeout: SHORT, ..ConnectionLimits::default() };
    let running = serve(&authority, limits, hello());
    let mut socket = TcpStream::connect(running.address).await.expect("the port is open");
    // it may fail if the cut has come already
    let _ = socket.write_all(&[0x16, 3, 1]).await;
    assert!(until_closed(socket).await.is_empty());
    assert_eq!(finish(running).await.handshake_failed_total(HandshakeFailure::Timeout), 1);
}

#[tokio::test]
async fn a_head_that_stalls_is_cut() {
    let authority = Authority::new("servers");
    let limits = ConnectionLimits { header_timeout: SHORT, ..ConnectionLimits::default() };
    let running = serve(&authority, limits, hello());
    let mut stream = connect(&running, &authority, "http/1.1").await;
    // it may fail if the cut has come already
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: loc").await;
    until_closed(stream).await;
    assert_eq!(finish(running).await.malformed_total(MalformedReason::HeaderTimeout), 1);
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_being_called_malformed() {
    let authority = Authority::new("servers");
    let limits = ConnectionLimits { header_timeout: SHORT, ..ConnectionLimits::default() };
    let running = serve(&authority, limits, hello());
    // on a busy machine the request itself may come too late, which is then counted
    let mut too_late = 0;
    loop {
        let mut stream = connect(&running, &authority, "http/1.1").await;
        let sent = stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        if sent.is_ok() && until_closed(stream).await.starts_with(b"HTTP/1.1 200 OK") {
            break;
        }
        too_late += 1;
        assert!(too_late < TRIES_MAX, "no request was answered");
    }
    assert_eq!(finish(running).await.malformed_total(MalformedReason::HeaderTimeout), too_late);
}

#[tokio::test]
async fn a_preface_that_stalls_is_cut() {
    let authority = Authority::new("servers");
    let limits = ConnectionLimits { preface_timeout: SHORT, ..ConnectionLimits::default() };
    let running = serve(&authority, limits, hello());
    for sent in ["", "PRI * HTTP/2.0\r\n"] {
        let mut stream = connect(&running, &authority, "h2").await;
        // it may fail if the cut has come already
        let _ = stream.write_all(sent.as_bytes()).await;
        assert!(until_closed(stream).await.is_empty());
    }
    assert_eq!(finish(running).await.malformed_total(MalformedReason::PrefaceTimeout), 2);
}

#[tokio::test]
async fn an_http_2_peer_that_goes_silent_is_cut() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const EMPTY_SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    // a HEADERS frame that promises 64 bytes and CONTINUATION frames, and brings one
    const BEGUN_HEADERS: &[u8] = &[0, 0, 64, 1, 0, 0, 0, 0, 1, 0x82];
    let authority = Authority::new("servers");
    let limits = ConnectionLimits { ping_interval: SHORT, ping_timeout: SHORT, ..ConnectionLimits::default() };
    let running = serve(&authority, limits, hello());
    for sent in [&[PREFACE][..], &[PREFACE, EMPTY_SETTINGS], &[PREFACE, EMPTY_SETTINGS, BEGUN_HEADERS]] {
        let mut stream = connect(&running, &authority, "h2").await;
        // it may fail if the cut has come already
        let _ = stream.write_all(&sent.concat()).await;
        until_closed(stream).await;
    }
    assert_eq!(finish(running).await.cut.get(), 0, "cut long before the listener's end");
}

#[tokio::test]
async fn heads_that_break_a_rule_get_their_status_and_are_counted() {
    let limits = ConnectionLimits { header_bytes_max: 8192, uri_bytes_max: 256, ..ConnectionLimits::default() };
    let long = |count| "x".repeat(count);
    let table = [
        (format!("GET / HTTP/1.1\r\nhost: h\r\nlong: {}\r\n\r\n", long(8200)), "431", MalformedReason::HeadersTooLarge),
        (format!("GET /{} HTTP/1.1\r\nhost: h\r\n\r\n", long(8200)), "431", MalformedReason::HeadersTooLarge),
        (format!("GET /{} HTTP/1.1\r\nhost: h\r\n\r\n", long(256)), "414", MalformedReason::UriTooLong),
        (format!("GET /?{} HTTP/1.1\r\nhost: h\r\n\r\n", long(256)), "414", MalformedReason::UriTooLong),
        ("no http at all\r\n\r\n".to_owned(), "400", MalformedReason::NotHttp),
        ("GET / HTTP/1.1\r\nbad header\r\n\r\n".to_owned(), "400", MalformedReason::NotHttp),
    ];
    let authority = Authority::new("servers");
    for (head, status, reason) in table {
        let running = serve(&authority, limits, hello());
        let mut stream = connect(&running, &authority, "http/1.1").await;
        stream.write_all(head.as_bytes()).await.expect("a head fits the socket's buffer");
        stream.flush().await.expect("a head fits the socket's buffer");
        let mut answer = [0; 12];
        soon("an answer", stream.read_exact(&mut answer)).await.expect("an answer has a status line");
        assert_eq!(String::from_utf8_lossy(&answer), format!("HTTP/1.1 {status}"));
        drop(stream);
        assert_eq!(finish(running).await.malformed_total(reason), 1, "{status}");
    }
}

#[tokio::test]
async fn a_peer_that_is_lost_breaks_no_rule() {
    let authority = Authority::new("servers");
    let running = serve(&authority, ConnectionLimits::default(), hello());
    let stream = connect(&running, &authority, "h2").await;
    stream.get_ref().0.set_zero_linger().expect("a socket can be told to end with a reset");
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2 was agreed on");
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request("https://localhost/")).await.expect("an answer");
    assert_eq!(text(response).await, "hello");
    connection.abort();
    drop(soon("the end of the client's side", connection).await);
    assert_eq!(finish(running).await.malformed_total(MalformedReason::Http2Broken), 0);
}

#[tokio::test]
async fn http_2_heads_are_bounded_too() {
    let limits = ConnectionLimits { header_bytes_max: 8192, uri_bytes_max: 256, ..ConnectionLimits::default() };
    let authority = Authority::new("servers");
    let running = serve(&authority, limits, hello());
    let mut large = request("https://localhost/");
    large.headers_mut().insert("long", "x".repeat(9000).parse().expect("letters are a header value"));
    let long = request(&format!("https://localhost/{}", "x".repeat(256)));
    let expected = [StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, StatusCode::URI_TOO_LONG];
    for (request, expected) in [large, long].into_iter().zip(expected) {
        let stream = connect(&running, &authority, "h2").await;
        let (response, _sender) = ask_http2(stream, request).await.expect("an answer");
        assert_eq!(response.status(), expected);
    }
}

#[tokio::test]
async fn the_connection_limit_holds_and_a_closed_connection_frees_a_place() {
    let authority = Authority::new("servers");
    let limits = ConnectionLimits { connections_max: 1, ..ConnectionLimits::default() };
    let running = serve(&authority, limits, hello());
    let first = connect(&running, &authority, "http/1.1").await;
    let waiting = TcpStream::connect(running.address).await.expect("the kernel takes the connection");
    let connector = TlsConnector::from(Arc::new(client("http/1.1").config(&authority)));
    let name = ServerName::try_from("localhost").expect("localhost is a name");
    let second = tokio::spawn(async move { connector.connect(name, waiting).await });
    assert_eq!((running.counters.accepted.get(), running.counters.open.get()), (1, 1));
    assert_eq!(running.counters.rejected_total(RejectReason::Limit), 1);
    drop(first);
    let second = soon("the second handshake", second).await.expect("no panic").expect("a freed place");
    assert_eq!(text(ask(second, request("/")).await.expect("an answer")).await, "hello");
    assert_eq!(running.counters.accepted.get(), 2);
}

/// A handler that says when it has begun, and ends when it is told to.
#[derive(Clone, Default)]
struct Held {
    begun: Arc<Notify>,
    release: Arc<Notify>,
}

impl Held {
    fn router(&self) -> Router {
        let held = self.clone();
        let wait = move || async move {
            held.begun.notify_one();
            held.release.notified().await;
            "finished"
        };
        Router::new().route("/", get(wait))
    }
}

#[tokio::test]
async fn draining_finishes_the_request_in_progress_and_refuses_newcomers() {
    let authority = Authority::new("servers");
    for alpn in ["http/1.1", "h2"] {
        let held = Held::default();
        let running = serve(&authority, ConnectionLimits::default(), held.router());
        let stream = connect(&running, &authority, alpn).await;
        let answer = tokio::spawn(async move {
            if alpn == "h2" {
                text(ask_http2(stream, request("https://localhost/")).await.expect("an answer").0).await
            } else {
                let response = ask(stream, request("/")).await.expect("an answer");
                assert_eq!(response.headers().get("connection").expect("a farewell"), "close");
                text(response).await
            }
        });
        soon("the handler", held.begun.notified()).await;
        running.stop.cancel();
        // the socket closes when the loop next runs; a connection that still reached the backlog is reset
        while let Ok(socket) = soon("a refusal", TcpStream::connect(running.address)).await {
            until_closed(socket).await;
        }
        assert!(!running.task.is_finished(), "it waits for the request in progress");
        held.release.notify_one();
        assert_eq!(soon("the answer", answer).await.expect("no panic"), "finished", "over {alpn}");
        assert_eq!(finish(running).await.cut.get(), 0);
    }
}

#[tokio::test]
async fn a_request_that_outlasts_the_drain_is_cut_and_counted() {
    let authority = Authority::new("servers");
    let held = Held::default();
    let limits = ConnectionLimits { drain_max: SHORT, ..ConnectionLimits::default() };
    let running = serve(&authority, limits, held.router());
    let stream = connect(&running, &authority, "http/1.1").await;
    let answer = tokio::spawn(ask(stream, request("/")));
    soon("the handler", held.begun.notified()).await;
    assert_eq!(finish(running).await.cut.get(), 1);
    assert!(soon("the cut", answer).await.expect("no panic").is_err());
}

#[tokio::test]
async fn idle_and_unfinished_connections_do_not_hold_up_the_end() {
    let authority = Authority::new("servers");
    let running = serve(&authority, ConnectionLimits::default(), hello());
    let _silent = TcpStream::connect(running.address).await.expect("the port is open");
    let _unused = connect(&running, &authority, "http/1.1").await;
    let _no_preface = connect(&running, &authority, "h2").await;
    let idle = connect(&running, &authority, "h2").await;
    let (response, _sender) = ask_http2(idle, request("https://localhost/")).await.expect("an answer");
    assert_eq!(text(response).await, "hello");
    assert_eq!(finish(running).await.cut.get(), 0);
}

#[tokio::test]
async fn an_old_connection_is_asked_to_end() {
    let authority = Authority::new("servers");
    let limits = ConnectionLimits { age_max: SHORT, ..ConnectionLimits::default() };
    let running = serve(&authority, limits, hello());
    let stream = connect(&running, &authority, "http/1.1").await;
    until_closed(stream).await;
    assert_eq!(finish(running).await.cut.get(), 0);
}

#[tokio::test]
async fn without_tls_it_speaks_plain_http_1() {
    let running = run(None, ConnectionLimits::default(), hello());
    let socket = TcpStream::connect(running.address).await.expect("the port is open");
    assert_eq!(text(ask(socket, request("/")).await.expect("an answer")).await, "hello");
}

#[tokio::test]
async fn an_address_in_use_or_not_ours_is_said_so() {
    let taken = Listener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("loopback has a free port");
    let again = Listener::bind(taken.local_addr()).expect_err("the port is taken");
    assert!(matches!(again, BindError::InUse(address) if address == taken.local_addr()));
    let documentation = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 0));
    let elsewhere = Listener::bind(documentation).expect_err("an address for documentation is no one's");
    assert!(matches!(elsewhere, BindError::NotOurs(address) if address == documentation));
}

#[test]
fn accept_pauses_only_for_what_will_not_pass_at_once() {
    const ECONNABORTED: i32 = 103;
    const EINTR: i32 = 4;
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    const ENOBUFS: i32 = 105;
    let table = [
        (ECONNABORTED, After::GoOn),
        (EINTR, After::GoOn),
        (EMFILE, After::Pause),
        (ENFILE, After::Pause),
        (ENOBUFS, After::Pause),
    ];
    for (number, expected) in table {
        assert_eq!(after(&io::Error::from_raw_os_error(number)), expected, "{number}");
    }
}
