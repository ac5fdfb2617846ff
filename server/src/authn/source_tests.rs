//! The key set's task against an issuer on this machine: rotation, faults, bounds, and restarts.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use parking_lot::Mutex;
use replication::clock::Clock as _;

use super::keyset::{KEY_SET_BYTES_MAX, Provenance};
use super::mint::IssuerKey;
use super::refusal::AuthnError;
use super::source::{KeySource, SHRUNKEN_BELIEVED_AFTER};
use super::testing::{
    ManualClock, Running, bearer, claims_json, good_token, jwks, jwks_of, second_key, signing_key, third_key, trust,
};
use super::verify::{ClockHealth, Verifier};

/// Longer than any pause between two fetches that a test waits out.
const A_WHILE: Duration = Duration::from_secs(61);

struct Issuer {
    url: String,
    answer: Arc<Mutex<(StatusCode, Vec<u8>)>>,
    asked: Arc<Mutex<u64>>,
}

impl Issuer {
    async fn start(body: impl Into<Vec<u8>>) -> Self {
        let answer = Arc::new(Mutex::new((StatusCode::OK, body.into())));
        let asked = Arc::new(Mutex::new(0));
        let (answers, count) = (Arc::clone(&answer), Arc::clone(&asked));
        let handler = move || {
            *count.lock() += 1;
            let (status, body) = answers.lock().clone();
            async move { (status, [(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"))], body) }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
        let url = format!("http://{}/certs", listener.local_addr().expect("a bound socket has an address"));
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/certs", get(handler))).await });
        Self { url, answer, asked }
    }

    fn answers(&self, status: StatusCode, body: impl Into<Vec<u8>>) {
        *self.answer.lock() = (status, body.into());
    }

    fn source(&self, spool: Option<std::path::PathBuf>) -> KeySource {
        KeySource::Url { url: self.url.parse().expect("loopback may be plain"), spool }
    }
}

/// What of the published set the tests compare: its number, and whether it holds the first, second and third key.
fn published(running: &Running) -> Option<(u64, [bool; 3])> {
    let set = running.reader.current();
    let set = set.as_deref()?;
    let holds = |key: &IssuerKey| set.find(key.kid()).is_some();
    Some((set.epoch(), [holds(signing_key()), holds(second_key()), holds(third_key())]))
}

async fn fetch_again(running: &Running, clock: &ManualClock, attempts: u64) -> u64 {
    clock.advance(A_WHILE);
    running.reader.ask_refetch();
    running.attempts(attempts).await
}

#[tokio::test]
async fn a_rotation_is_followed_and_no_fault_of_the_issuer_replaces_a_good_set() {
    let issuer = Issuer::start(jwks_of(&[signing_key(), second_key()])).await;
    let clock = ManualClock::new();
    let running = Running::start(issuer.source(None), Arc::clone(&clock));
    assert_eq!(running.attempts(1).await, 0);
    assert_eq!(published(&running), Some((1, [true, true, false])));
    let lifetime = running.reader.current().as_deref().map(super::KeySet::provenance);
    assert_eq!(lifetime, Some(Provenance::Fetched { lifetime: Duration::from_hours(1) }));

    assert_eq!(fetch_again(&running, &clock, 2).await, 0);
    assert_eq!(published(&running), Some((1, [true, true, false])), "the same keys keep their number");
    assert_eq!(running.reader.current().as_deref().map(super::KeySet::fetched_at), Some(clock.now()));

    issuer.answers(StatusCode::OK, jwks_of(&[second_key(), third_key()]));
    assert_eq!(fetch_again(&running, &clock, 3).await, 0);
    assert_eq!(published(&running), Some((2, [false, true, true])));

    let faults: [(StatusCode, Vec<u8>); 7] = [
        (StatusCode::INTERNAL_SERVER_ERROR, jwks().into_bytes()),
        (StatusCode::FOUND, Vec::new()),
        (StatusCode::OK, Vec::new()),
        (StatusCode::OK, b"<html>try later</html>".to_vec()),
        (StatusCode::OK, br#"{"keys":[]}"#.to_vec()),
        (StatusCode::OK, jwks().into_bytes()),
        (StatusCode::OK, vec![b' '; KEY_SET_BYTES_MAX + 1]),
    ];
    for (failures, (status, body)) in (1..).zip(faults) {
        issuer.answers(status, body);
        assert_eq!(fetch_again(&running, &clock, 3 + failures).await, failures, "{status}");
        assert_eq!(published(&running), Some((2, [false, true, true])));
    }
    issuer.answers(StatusCode::OK, jwks_of(&[third_key(), signing_key()]));
    assert_eq!(fetch_again(&running, &clock, 11).await, 7);
    assert_eq!(published(&running), Some((3, [true, false, true])));
}

#[tokio::test]
async fn a_shrunken_set_is_believed_once_it_has_stayed_the_answer() {
    let issuer = Issuer::start(jwks_of(&[signing_key(), second_key()])).await;
    let clock = ManualClock::new();
    let running = Running::start(issuer.source(None), Arc::clone(&clock));
    assert_eq!(running.attempts(1).await, 0);
    issuer.answers(StatusCode::OK, jwks_of(&[third_key()]));
    assert_eq!(fetch_again(&running, &clock, 2).await, 1);
    clock.advance(SHRUNKEN_BELIEVED_AFTER.saturating_sub(2 * A_WHILE));
    assert_eq!(fetch_again(&running, &clock, 3).await, 2);
    assert_eq!(published(&running), Some((1, [true, true, false])));
    assert_eq!(fetch_again(&running, &clock, 4).await, 2);
    assert_eq!(published(&running), Some((2, [false, false, true])));
}

#[tokio::test]
async fn a_flood_of_an_unknown_kid_causes_one_refetch_and_turns_final_only_after_it() {
    let issuer = Issuer::start(jwks()).await;
    let clock = ManualClock::new();
    let running = Running::start(issuer.source(None), Arc::clone(&clock));
    let verifier = Verifier::new(running.reader.clone(), clock.clone());
    running.attempts(1).await;
    let header = format!(r#"{{"alg":"RS256","kid":"{}"}}"#, second_key().kid());
    let unknown = bearer(&second_key().sign_json(&header, &claims_json()));
    let verify = || verifier.verify_headers(&unknown, &trust(), ClockHealth::Agrees);

    for _ in 0..200 {
        assert_eq!(verify().err(), Some(AuthnError::KidNotYetKnown));
    }
    clock.advance(Duration::from_secs(30));
    assert_eq!(verify().err(), Some(AuthnError::KidNotYetKnown));
    running.attempts(2).await;
    for _ in 0..200 {
        assert_eq!(verify().err(), Some(AuthnError::KidUnknown));
    }
    assert_eq!(*issuer.asked.lock(), 2);

    clock.advance(Duration::from_hours(1));
    assert_eq!(verify().err(), Some(AuthnError::KidNotYetKnown), "the set has outlived itself");
    running.attempts(3).await;
    issuer.answers(StatusCode::OK, jwks_of(&[signing_key(), second_key()]));
    fetch_again(&running, &clock, 4).await;
    assert_eq!(verify().err(), Some(AuthnError::Expired), "the issuer publishes the key now, and the token is judged");
    assert_eq!(*issuer.asked.lock(), 4);
}

#[tokio::test]
async fn a_restart_without_egress_serves_from_the_kept_set_and_finally_refuses_nothing_by_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let spool = folder.path().join("key-set");
    let issuer = Issuer::start(jwks()).await;
    let clock = ManualClock::new();
    let first = Running::start(issuer.source(Some(spool.clone())), Arc::clone(&clock));
    first.attempts(1).await;
    drop(first);

    issuer.answers(StatusCode::BAD_GATEWAY, "");
    let second = Running::start(issuer.source(Some(spool.clone())), Arc::clone(&clock));
    assert_eq!(second.attempts(1).await, 1);
    let verifier = Verifier::new(second.reader.clone(), clock.clone());
    let verify = |headers: &http::HeaderMap| verifier.verify_headers(headers, &trust(), ClockHealth::Agrees).err();
    assert_eq!(verify(&bearer(&good_token())), None);
    let header = format!(r#"{{"alg":"RS256","kid":"{}"}}"#, second_key().kid());
    assert_eq!(verify(&bearer(&second_key().sign_json(&header, &claims_json()))), Some(AuthnError::KidNotYetKnown));
    assert_eq!(verify(&bearer(&format!("{}AAAA", good_token()))), Some(AuthnError::KeySetStale));

    issuer.answers(StatusCode::OK, jwks_of(&[second_key()]));
    fetch_again(&second, &clock, 2).await;
    assert_eq!(published(&second), Some((2, [false, true, false])), "a kept set may be from before many rotations");

    std::fs::write(&spool, "ekm-key-set 1 garbage").expect("the folder is writable");
    issuer.answers(StatusCode::BAD_GATEWAY, "");
    let third = Running::start(issuer.source(Some(spool)), Arc::clone(&clock));
    third.attempts(1).await;
    assert_eq!(published(&third), None);
}

#[tokio::test]
async fn a_file_is_followed_and_its_loss_changes_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("jwks.json");
    let clock = ManualClock::new();
    let running = Running::start(KeySource::File(path.clone()), clock);
    let look_until = async |expected: Option<(u64, [bool; 3])>| {
        // the file is also looked at by itself every few seconds, so attempts are awaited rather than counted
        let mut progress = running.reader.progress();
        progress.borrow_and_update();
        for _ in 0..2 {
            running.reader.ask_refetch();
            progress.changed().await.expect("the task runs");
        }
        assert_eq!(published(&running), expected);
    };
    look_until(None).await;
    std::fs::write(&path, jwks()).expect("the folder is writable");
    look_until(Some((1, [true, false, false]))).await;
    std::fs::write(&path, "{").expect("the folder is writable");
    look_until(Some((1, [true, false, false]))).await;
    std::fs::write(&path, jwks_of(&[third_key()])).expect("the folder is writable");
    look_until(Some((2, [false, false, true]))).await;
    std::fs::remove_file(&path).expect("the file was there");
    look_until(Some((2, [false, false, true]))).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_refuses_nothing_for_good() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, jwks()).expect("the folder is writable");
    let clock = ManualClock::new();
    let running = Running::start(KeySource::File(path.clone()), Arc::clone(&clock));
    running.attempts(1).await;
    let verifier = Verifier::new(running.reader.clone(), clock);
    let header = format!(r#"{{"alg":"RS256","kid":"{}"}}"#, second_key().kid());
    let rotated = bearer(&second_key().sign_json(&header, &claims_json()));
    let forged = bearer(&format!("{}AAAA", good_token()));
    let verify = |headers: &http::HeaderMap| verifier.verify_headers(headers, &trust(), ClockHealth::Agrees).err();
    let look = async || {
        let mut progress = running.reader.progress();
        progress.borrow_and_update();
        for _ in 0..2 {
            running.reader.ask_refetch();
            progress.changed().await.expect("the task runs");
        }
    };
    let both = (Some(AuthnError::KidUnknown), Some(AuthnError::SignatureInvalid));
    assert_eq!((verify(&rotated), verify(&forged)), both, "the file says so");
    for fault in [Some("{"), Some(r#"{"keys":[]}"#), None] {
        match fault {
            Some(text) => std::fs::write(&path, text).expect("the folder is writable"),
            None => std::fs::remove_file(&path).expect("the file was there"),
        }
        look().await;
        let open = (Some(AuthnError::KidNotYetKnown), Some(AuthnError::KeySetStale));
        assert_eq!((verify(&rotated), verify(&forged)), open, "{fault:?}");
        assert_eq!(verify(&bearer(&good_token())), None, "a known key serves on");
    }
    std::fs::write(&path, jwks()).expect("the folder is writable");
    look().await;
    assert_eq!((verify(&rotated), verify(&forged)), both, "the file says so again");
    std::fs::write(&path, jwks_of(&[second_key()])).expect("the folder is writable");
    look().await;
    assert_eq!(verify(&rotated), None);
}
