//! The probe against a toy server over real TLS: it passes when all is well and names what is not.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use replication::clock::Timestamp;
use serde_json::Value;

use super::super::latch::Verdict;
use super::*;
use crate::clock::SystemClock;
use crate::edge::limits::ConnectionLimits;
use crate::edge::testing::{Authority, Files, PATIENCE, Running, data_tls, now, run, soon};

const TOKEN: &str = "the-probes-own-token";

/// What the toy does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    OtherBytes,
    Unavailable(Step),
    NoBlob,
    NoJson(Step),
    Silent,
}

/// A "wrapped blob" is the plaintext behind a dot: enough to see that each answer reaches the next call.
fn toy(fault: Fault) -> Router {
    Router::new().fallback(move |request: axum::extract::Request| async move { answer(fault, request).await })
}

async fn answer(fault: Fault, request: axum::extract::Request) -> Response {
    let step = match request.uri().path() {
        "/v0/keys/canary:wrap" => Step::Wrap,
        "/v0/keys/canary:unwrap" => Step::Unwrap,
        _ => return status(StatusCode::NOT_FOUND),
    };
    if request.headers().get(header::AUTHORIZATION).is_none_or(|value| value != "Bearer the-probes-own-token") {
        return status(StatusCode::UNAUTHORIZED);
    }
    let body = request.into_body().collect().await.expect("the probe sends its body").to_bytes();
    let asked: Value = serde_json::from_slice(&body).expect("the probe sends JSON");
    assert_eq!(asked["additionalContext"]["isKeyHealthCheck"], true);
    let told = match (fault, step) {
        (Fault::Unavailable(at), step) if at == step => return status(StatusCode::SERVICE_UNAVAILABLE),
        (Fault::NoJson(at), step) if at == step => return Response::new(Body::from("<html>")),
        (Fault::Silent, _) => std::future::pending().await,
        (Fault::NoBlob, Step::Wrap) => json!({}),
        (_, Step::Wrap) => json!({ "wrappedBlob": format!(".{}", asked["plaintext"].as_str().expect("base64 text")) }),
        (Fault::OtherBytes, Step::Unwrap) => json!({ "plaintext": STANDARD.encode([7; CANARY_BYTES]) }),
        (_, Step::Unwrap) => json!({ "plaintext": asked["wrappedBlob"].as_str().expect("the toy's blob")[1..] }),
    };
    Response::new(Body::from(told.to_string()))
}

fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn serve(fault: Fault) -> (Running, ServerTls) {
    let tls = data_tls(&Authority::new("servers"));
    (run(Some(tls.clone()), ConnectionLimits::default(), toy(fault)), tls)
}

fn canaries(paths: &[&str]) -> Canaries {
    let canary = |(at, path): (u16, &&str)| Canary {
        shard: ShardId(std::num::NonZeroU16::MIN.saturating_add(at)),
        key_path: (*path).to_owned(),
        users: Users::Tenants,
    };
    let canaries: Vec<Canary> = (0..).zip(paths).map(canary).collect();
    Arc::new(move || canaries.clone())
}

fn probe(running: &Running, hostname: &str, tls: &ServerTls) -> Probe {
    let target = ProbeTarget {
        address: running.address,
        hostname: hostname.to_owned(),
        canaries: canaries(&["v0/keys/canary"]),
        relative_resource_name: "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1".to_owned(),
    };
    let mint: Mint = Arc::new(|| TOKEN.to_owned());
    let probe = Probe::new(target, tls.clone(), mint).expect("the target can be probed");
    Probe { round_max: PATIENCE, ..probe } // a busy machine is no fault here
}

#[tokio::test]
async fn each_fault_is_named_and_a_good_machine_passes() {
    let unavailable = |step| ProbeFailure::Status { step, status: StatusCode::SERVICE_UNAVAILABLE };
    let table = [
        (Fault::None, Ok(())),
        (Fault::OtherBytes, Err(ProbeFailure::Mismatch)),
        (Fault::Unavailable(Step::Wrap), Err(unavailable(Step::Wrap))),
        (Fault::Unavailable(Step::Unwrap), Err(unavailable(Step::Unwrap))),
        (Fault::NoBlob, Err(ProbeFailure::Body(Step::Wrap))),
        (Fault::NoJson(Step::Wrap), Err(ProbeFailure::Body(Step::Wrap))),
        (Fault::NoJson(Step::Unwrap), Err(ProbeFailure::Body(Step::Unwrap))),
    ];
    for (fault, expected) in table {
        let (running, tls) = serve(fault);
        assert_eq!(probe(&running, "localhost", &tls).round().await, expected, "{fault:?}");
    }
}

#[tokio::test]
async fn a_shard_that_is_not_served_takes_the_machine_out_only_if_no_other_is() {
    let (running, tls) = serve(Fault::None);
    let of = |paths: &[&str]| {
        let probe = probe(&running, "localhost", &tls);
        Probe { target: ProbeTarget { canaries: canaries(paths), ..probe.target.clone() }, ..probe }
    };
    let gone = ProbeFailure::Status { step: Step::Wrap, status: StatusCode::NOT_FOUND };
    let each = of(&["v0/keys/gone", "v0/keys/canary"]).each().await;
    assert_eq!(each.iter().map(|(_, found)| *found).collect::<Vec<_>>(), [Err(gone), Ok(())]);
    assert_eq!(verdict(&each), Ok(()));
    assert_eq!(of(&["v0/keys/gone", "v0/keys/gone"]).round().await, Err(gone));
    assert_eq!(of(&[]).round().await, Err(ProbeFailure::NoShard));
    let of_both = |[first, second]: [(Users, Result<(), ProbeFailure>); 2]| {
        let with = |at: usize, (users, found)| (Canary { users, ..each[at].0.clone() }, found);
        verdict(&[with(0, first), with(1, second)])
    };
    let wrong = Err(ProbeFailure::Mismatch);
    let table = [
        // a shard whose users are elsewhere says nothing of what callers see
        ([(Users::Tenants, Err(gone)), (Users::Elsewhere, Ok(()))], Err(gone)),
        ([(Users::Tenants, Ok(())), (Users::Elsewhere, Err(gone))], Ok(())),
        ([(Users::Elsewhere, Ok(())), (Users::Elsewhere, Ok(()))], Err(ProbeFailure::NoShard)),
        ([(Users::NobodyYet, Err(gone)), (Users::NobodyYet, Ok(()))], Ok(())),
        // a machine that computes wrong gets no traffic, whoever it does it for
        ([(Users::Tenants, Ok(())), (Users::Tenants, wrong)], wrong),
        ([(Users::Tenants, Ok(())), (Users::Elsewhere, wrong)], wrong),
    ];
    for (both, expected) in table {
        assert_eq!(of_both(both), expected, "{both:?}");
    }
}

#[tokio::test]
async fn another_listener_name_or_time_fails_tls() {
    let authority = Authority::new("servers");
    let files = Files::new();
    let tls = files.tls(&authority.issue("data", &["localhost"]), None);
    let running = run(Some(tls.clone()), ConnectionLimits::default(), toy(Fault::None));
    // of the same authority and for the same name, and yet somebody else
    let other = probe(&running, "localhost", &data_tls(&authority));
    assert_eq!(other.round().await, Err(ProbeFailure::Tls));
    let misnamed = probe(&running, "ekm.example", &tls);
    assert_eq!(misnamed.round().await, Err(ProbeFailure::Tls));
    let ended = authority.issue_until("data", &["localhost"], rcgen::date_time_ymd(2020, 1, 1));
    files.write("leaf.pem", &ended.chain_pem);
    files.write("leaf.key", &ended.key_pem);
    tls.take(tls.read(), Timestamp(1_500_000_000_000)).expect("it was valid then");
    assert_eq!(probe(&running, "localhost", &tls).round().await, Err(ProbeFailure::Tls));
}

#[tokio::test]
async fn the_probe_goes_on_when_the_listener_takes_a_certificate_of_another_authority() {
    let files = Files::new();
    let tls = files.tls(&Authority::new("servers").issue("data", &["localhost"]), None);
    let running = run(Some(tls.clone()), ConnectionLimits::default(), toy(Fault::None));
    let probe = probe(&running, "localhost", &tls);
    assert_eq!(probe.round().await, Ok(()));
    let first = client_config(&tls);
    let renewed = Authority::new("others").issue("data", &["localhost"]);
    files.write("leaf.pem", &renewed.chain_pem);
    files.write("leaf.key", &renewed.key_pem);
    let old = tls.config();
    tls.take(tls.read(), now()).expect("a whole pair is taken");
    assert_eq!(probe.round().await, Ok(()));
    // a connection that the listener took just before goes by what was presented then
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let name = ServerName::try_from("localhost").expect("localhost is a name");
    let (client, server) = tokio::join!(
        TlsConnector::from(Arc::new(first)).connect(name, ours),
        tokio_rustls::TlsAcceptor::from(old).accept(theirs)
    );
    assert!(client.is_ok() && server.is_ok(), "{client:?}");
}

#[tokio::test]
async fn a_machine_that_does_not_answer_fails_the_round() {
    let (running, tls) = serve(Fault::Silent);
    let probe = Probe { round_max: Duration::from_millis(50), ..probe(&running, "localhost", &tls) };
    assert_eq!(soon("the end of the round", probe.round()).await, Err(ProbeFailure::TimedOut));
}

#[tokio::test]
async fn a_closed_port_fails_to_connect() {
    let (running, tls) = serve(Fault::None);
    let probe = probe(&running, "localhost", &tls);
    running.stop.cancel();
    soon("the end of the listener", running.task).await.expect("the listener ends");
    assert_eq!(probe.round().await, Err(ProbeFailure::Connect));
}

#[test]
fn a_host_name_that_is_none_is_refused() {
    let target = ProbeTarget {
        address: SocketAddr::from(([127, 0, 0, 1], 1)),
        hostname: "not a name".to_owned(),
        canaries: canaries(&[]),
        relative_resource_name: String::new(),
    };
    let tls = data_tls(&Authority::new("servers"));
    let refused = Probe::new(target, tls, Arc::new(String::new)).err();
    assert!(matches!(refused, Some(ProbeError::Hostname(_))));
}

#[tokio::test]
async fn the_loop_publishes_rounds_and_conditions_and_counts_them() {
    let (running, tls) = serve(Fault::None);
    let key_set = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&key_set);
    let condition: Condition =
        Box::new(move || if seen.load(Ordering::Relaxed) { Ok(()) } else { Err("no usable token key set") });
    let readiness = Arc::new(Readiness::default());
    let metrics = Arc::new(Metrics::new(Timestamp(0), "0.0.1"));
    let stop = CancellationToken::new();
    let probe = probe(&running, "localhost", &tls);
    let watch = probe.watch(vec![condition], readiness.clone(), Arc::new(SystemClock), metrics.clone(), stop.clone());
    let task = tokio::spawn(watch);

    soon("the unmet condition", readiness.published(|failures| failures == ["no usable token key set"])).await;
    key_set.store(true, Ordering::Relaxed);
    soon("readiness", readiness.passed()).await;
    assert_eq!(readiness.verdict(SystemClock.now()), Verdict::Ready);
    running.stop.cancel();
    let closed = [ProbeFailure::Connect.to_string()];
    soon("the failed round", readiness.published(|failures| failures == closed)).await;
    stop.cancel();
    soon("the end of the loop", task).await.expect("the loop ends without a panic");
    let text = metrics.render();
    assert!(text.contains("ekm_probe_passing 0"), "{text}");
    assert!(!text.contains("ekm_probe_rounds_total{result=\"passed\"} 0"), "{text}");
    assert!(!text.contains("ekm_probe_rounds_total{result=\"failed\"} 0"), "{text}");
}
