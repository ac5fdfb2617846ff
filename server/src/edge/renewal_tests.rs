//! Files that change under a listener: what is taken, what is not, what is told, and who notices.

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::edge::limits::ConnectionLimits;
use crate::edge::testing::{Authority, Client, Files, Issued, Running, now, run, soon};

/// No timer of a test runs this long.
const NEVER: Duration = Duration::from_hours(24);

struct Site {
    authority: Authority,
    files: Files,
    first: Issued,
    tls: ServerTls,
    metrics: Arc<Metrics>,
}

impl Site {
    fn new() -> Self {
        let (authority, files) = (Authority::new("servers"), Files::new());
        let first = authority.issue("first", &["localhost"]);
        let tls = files.tls(&first, None);
        Self { authority, files, first, tls, metrics: Arc::new(Metrics::new(now(), "test")) }
    }

    fn renewal(&self) -> Renewal {
        Renewal::new(ListenerLabel::Data, self.tls.clone(), Arc::clone(&self.metrics))
    }

    fn issue(&self) -> Issued {
        self.authority.issue("renewed", &["localhost"])
    }

    fn certificate(&self, issued: &Issued) {
        self.files.write("leaf.pem", &issued.chain_pem);
    }

    fn key(&self, issued: &Issued) {
        self.files.write("leaf.key", &issued.key_pem);
    }

    fn presents(&self) -> CertificateDer<'static> {
        self.tls.identity().chain()[0].clone()
    }

    fn counted(&self, result: &str) -> bool {
        let line = format!("ekm_certificate_reloads_total{{listener=\"data\",result=\"{result}\"}} 1\n");
        self.metrics.render().contains(&line)
    }
}

#[test]
fn a_changed_pair_is_taken_when_it_stands_still_or_when_somebody_asks() {
    for why in [Look::Routine, Look::Asked] {
        let site = Site::new();
        let mut renewal = site.renewal();
        assert!(matches!(renewal.look(why, now()), Looked::Unchanged));
        let renewed = site.issue();
        site.certificate(&renewed);
        site.key(&renewed);
        if why == Look::Routine {
            assert!(matches!(renewal.look(why, now()), Looked::Settling));
            assert_eq!(site.presents(), site.first.chain[0]);
        }
        assert!(matches!(renewal.look(why, now()), Looked::Taken), "{why:?}");
        assert_eq!(site.presents(), renewed.chain[0]);
        assert!(matches!(renewal.look(why, now()), Looked::Unchanged));
        assert!(site.counted("taken"));
    }
}

#[test]
fn half_of_a_change_is_never_taken_and_is_told_once() {
    let site = Site::new();
    let mut renewal = site.renewal();
    let renewed = site.issue();
    site.certificate(&renewed);
    assert!(matches!(renewal.look(Look::Routine, now()), Looked::Settling));
    assert!(matches!(renewal.look(Look::Routine, now()), Looked::Refused(TlsError::KeyMismatch { .. })));
    for why in [Look::Routine, Look::Asked] {
        assert!(matches!(renewal.look(why, now()), Looked::StillRefused));
    }
    assert_eq!(site.presents(), site.first.chain[0], "what was in use still is");
    assert!(site.counted("refused"), "once for one content");
    site.key(&renewed);
    assert!(matches!(renewal.look(Look::Routine, now()), Looked::Settling));
    assert!(matches!(renewal.look(Look::Routine, now()), Looked::Taken));
    assert_eq!(site.presents(), renewed.chain[0]);
}

/// Tells the error that a row expects from every other.
type Expected = fn(&TlsError) -> bool;

#[test]
fn what_would_not_serve_is_refused_each_for_its_own_reason() {
    let site = Site::new();
    let mut renewal = site.renewal();
    let (good, old) = (site.issue(), site.authority.issue_until("old", &[], rcgen::date_time_ymd(2001, 2, 3)));
    let half = &good.chain_pem[..good.chain_pem.len() / 2];
    let table: [(&str, &str, Expected); 4] = [
        (half, &good.key_pem, |error| matches!(error, TlsError::NotPem { .. })),
        ("", &good.key_pem, |error| matches!(error, TlsError::NoCertificate(_))),
        (&good.chain_pem, "", |error| matches!(error, TlsError::NoKey(_))),
        (&old.chain_pem, &old.key_pem, |error| matches!(error, TlsError::Expired { .. })),
    ];
    for (chain, key, expected) in table {
        site.files.write("leaf.pem", chain);
        site.files.write("leaf.key", key);
        let looked = renewal.look(Look::Asked, now());
        assert!(matches!(&looked, Looked::Refused(error) if expected(error)), "{looked:?}");
    }
    std::fs::remove_file(site.files.write("leaf.pem", "")).expect("it was just written");
    assert!(matches!(renewal.look(Look::Asked, now()), Looked::Refused(TlsError::Missing(_))));
    assert_eq!(site.presents(), site.first.chain[0]);
    // the old files come back: nothing is left to tell
    site.certificate(&site.first);
    site.key(&site.first);
    assert!(matches!(renewal.look(Look::Asked, now()), Looked::Unchanged));
}

#[test]
fn what_is_not_valid_yet_is_taken_when_its_time_has_come() {
    let site = Site::new();
    let mut renewal = site.renewal();
    let renewed = site.issue();
    site.certificate(&renewed);
    site.key(&renewed);
    let before = Timestamp(1000); // the certificates of the tests begin in 1975
    assert!(matches!(renewal.look(Look::Asked, before), Looked::Refused(TlsError::NotYetValid { .. })));
    assert!(matches!(renewal.look(Look::Routine, before), Looked::StillRefused));
    assert!(matches!(renewal.look(Look::Routine, now()), Looked::Taken));
}

#[test]
fn a_near_end_is_told_once_a_step_and_anew_for_another_certificate() {
    const DAY: u64 = 86_400_000;
    let site = Site::new();
    let mut renewal = site.renewal();
    let end = site.tls.identity().not_after().0;
    let at = |days: u64| Timestamp(end - days * DAY);
    let told: Vec<_> = [15, 14, 13, 3, 2, 1, 0].map(|days| renewal.nearer(at(days))).into_iter().collect();
    let steps = [None, Some(End::Soon), None, None, Some(End::Close), None, Some(End::Past)];
    assert_eq!(told, steps);
    let renewed = site.issue();
    site.certificate(&renewed);
    site.key(&renewed);
    assert!(matches!(renewal.look(Look::Asked, now()), Looked::Taken));
    assert_eq!((renewal.nearer(at(15)), renewal.nearer(at(1))), (None, Some(End::Close)));
}

#[test]
fn a_short_life_has_a_nearer_warning() {
    let site = Site::new();
    // the tests' certificates begin with 1975: this one lives a day
    let issued = site.authority.issue_until("short", &["localhost"], rcgen::date_time_ymd(1975, 1, 2));
    let noon = Timestamp(157_766_400_000 + 43_200_000);
    site.certificate(&issued);
    site.key(&issued);
    let mut renewal = site.renewal();
    assert!(matches!(renewal.look(Look::Asked, noon), Looked::Taken));
    let hours_left = |hours: u64| Timestamp(157_766_400_000 + (24 - hours) * 3_600_000);
    let told = [12, 7, 6, 2, 1].map(|hours| renewal.nearer(hours_left(hours)));
    assert_eq!(told, [None, None, Some(End::Soon), None, Some(End::Close)]);
}

fn router() -> axum::Router {
    axum::Router::new().route("/", axum::routing::get(|| async { "hello" }))
}

fn presented(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().expect("a server has a certificate")[0].clone().into_owned()
}

async fn connect(running: &Running, authority: &Authority) -> TlsStream<TcpStream> {
    Client::default().connect(running.address, authority).await.expect("a good client connects")
}

/// Whether a request on this connection is answered, with the connection kept.
async fn is_answered(stream: &mut TlsStream<TcpStream>) -> bool {
    let sent = stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let mut answer = Vec::new();
    while sent.is_ok() && !answer.ends_with(b"hello") {
        match soon("an answer", stream.read_u8()).await {
            Ok(byte) => answer.push(byte),
            Err(_) => return false,
        }
    }
    answer.starts_with(b"HTTP/1.1 200")
}

struct Wall;

impl Clock for Wall {
    fn now(&self) -> replication::clock::Moment {
        replication::clock::Moment::default()
    }

    fn wall(&self) -> Timestamp {
        now()
    }
}

#[tokio::test]
async fn new_handshakes_get_the_renewed_certificate_and_open_connections_go_on() {
    for (every, why) in [(Duration::from_millis(1), Look::Routine), (NEVER, Look::Asked)] {
        let site = Site::new();
        let running = run(Some(site.tls.clone()), ConnectionLimits::default(), router());
        let asked = Arc::new(Notify::new());
        tokio::spawn(keep(vec![site.renewal()], every, Arc::new(Wall), Arc::clone(&asked)));
        let mut before = connect(&running, &site.authority).await;
        assert_eq!(presented(&before), site.first.chain[0]);
        let renewed = site.issue();
        site.certificate(&renewed);
        site.key(&renewed);
        if why == Look::Asked {
            asked.notify_one();
        }
        let taken = async { while presented(&connect(&running, &site.authority).await) != renewed.chain[0] {} };
        soon("the renewed certificate", taken).await;
        assert!(is_answered(&mut before).await, "nobody is dropped ({why:?})");
    }
}

#[tokio::test]
async fn an_authority_that_is_taken_away_lets_nobody_in_any_more() {
    let (servers, files) = (Authority::new("servers"), Files::new());
    let operators = [Authority::new("old operators"), Authority::new("new operators")];
    let tls = files.tls(&servers.issue("admin", &["localhost"]), Some(&operators[0]));
    let running = run(Some(tls.clone()), ConnectionLimits::default(), router());
    let gets_in = async |by: &Authority| {
        let client = Client { certificate: Some(by.issue("alice", &[])), ..Client::default() };
        match client.connect(running.address, &servers).await {
            Ok(mut stream) => is_answered(&mut stream).await,
            Err(_) => false,
        }
    };
    let client = Client { certificate: Some(operators[0].issue("alice", &[])), ..Client::default() };
    let mut open = client.connect(running.address, &servers).await.expect("an operator connects");
    assert!(is_answered(&mut open).await);
    assert_eq!([gets_in(&operators[0]).await, gets_in(&operators[1]).await], [true, false]);

    let metrics = Arc::new(Metrics::new(now(), "test"));
    let mut renewal = Renewal::new(ListenerLabel::Admin, tls, metrics);
    files.write("clients.pem", "");
    assert!(matches!(renewal.look(Look::Asked, now()), Looked::Refused(TlsError::NoCertificate(_))));
    assert!(gets_in(&operators[0]).await, "an authority that cannot be read takes nothing away");
    files.write("clients.pem", &operators[1].pem);
    assert!(matches!(renewal.look(Look::Asked, now()), Looked::Taken));
    assert_eq!([gets_in(&operators[0]).await, gets_in(&operators[1]).await], [false, true]);
    assert!(is_answered(&mut open).await, "a connection that is open is bounded by its age");
}
