//! The stand-in's habits, without a server.

use super::super::call::KeyUse;
use super::super::verdict::judge;
use super::*;

const PATH: &str = "v0/keys/0001";

fn key() -> CryptoKey {
    let mut key = CryptoKey::new(7, "k", judge);
    key.register(PATH);
    key
}

fn encrypt() -> Request {
    Request { context: KeyUse::DummyEncrypt, payload: Payload::Encrypt(vec![1]), associated_data: vec![2] }
}

fn decrypt(version: usize) -> Request {
    let payload = Payload::Decrypt(Ciphertext { version, blob: vec![9] });
    Request { context: KeyUse::DummyDecrypt, payload, associated_data: vec![2] }
}

fn status(status: u16) -> Received {
    Received::Answer { status, body: br#"{"message":"m"}"#.to_vec() }
}

fn success() -> Received {
    Received::Answer { status: 200, body: br#"{"wrappedBlob":"CQ==","plaintext":"AQ=="}"#.to_vec() }
}

/// Plays one request against a server that gives these answers, the last one for ever; also counts the calls.
fn play(key: &mut CryptoKey, request: &Request, answers: &[Received]) -> (Result<Reply, KmsError>, usize) {
    let mut pending = match key.begin(request, Duration::ZERO) {
        Ok(pending) => pending,
        Err(error) => return (Err(error), 0),
    };
    for calls in 1.. {
        let received = answers[(calls - 1).min(answers.len() - 1)].clone();
        if let Turn::Done(result) = key.judged(&mut pending, received) {
            return (result, calls);
        }
    }
    unreachable!("a request ends after a bounded number of calls")
}

#[test]
fn the_first_403_disables_the_version_and_only_the_customer_enables_it_again() {
    let mut key = key();
    let (refused, calls) = play(&mut key, &encrypt(), &[status(403), success()]);
    assert_eq!((refused.expect_err("a 403 is an error").origin, calls), (Origin::Ekm(403), 1));
    for _ in 0..2 {
        let (refused, calls) = play(&mut key, &decrypt(1), &[success()]);
        let error = refused.expect_err("a disabled version serves nobody");
        assert_eq!((error.origin, error.retry, calls), (Origin::CloudKms, Retry::Final, 0), "{}", error.message);
        assert!(error.message.ends_with("cryptoKeyVersions/1 is not enabled, current state is: DISABLED."));
    }
    assert_eq!(key.disabled_by_refusal(), 1);
    key.enable_all();
    assert_eq!(play(&mut key, &decrypt(1), &[success()]).0, Ok(Reply::Decrypted(vec![1])));
}

#[test]
fn nothing_but_a_403_disables_a_version() {
    let mut key = key();
    for code in [400, 401, 404, 408, 413, 429, 500, 501, 502, 503, 504] {
        play(&mut key, &encrypt(), &[status(code)]).0.expect_err("these are errors");
    }
    for silence in [Received::NoConnection { cause: String::new() }, Received::Late { deadline: Duration::ZERO }] {
        play(&mut key, &encrypt(), &[silence]).0.expect_err("these are errors");
    }
    assert_eq!(key.disabled_by_refusal(), 0);
    play(&mut key, &encrypt(), &[success()]).0.expect("the version is enabled");
}

#[test]
fn a_retriable_answer_is_asked_for_again_a_bounded_number_of_times() {
    assert_eq!(play(&mut key(), &encrypt(), &[status(503)]).1, 3);
    assert_eq!(play(&mut key(), &encrypt(), &[status(400)]).1, 1);
    let (recovered, calls) = play(&mut key(), &encrypt(), &[status(503), status(429), success()]);
    assert_eq!((recovered, calls), (Ok(Reply::Encrypted(Ciphertext { version: 1, blob: vec![9] })), 3));
}

#[test]
fn some_requests_are_called_twice() {
    let mut key = key();
    let calls: Vec<usize> = (0..10).map(|_| play(&mut key, &encrypt(), &[success()]).1).collect();
    assert_eq!(calls, [1, 1, 1, 1, 2, 1, 1, 1, 1, 2]);
}

#[test]
fn googles_own_quota_is_refused_before_the_key_manager_is_asked() {
    let mut key = key();
    key.limit(NonZeroU32::new(1));
    assert_eq!(play(&mut key, &encrypt(), &[success()]).1, 1);
    let (refused, calls) = play(&mut key, &encrypt(), &[success()]);
    let error = refused.expect_err("the quota is one an hour");
    assert_eq!((error.code, error.origin, error.retry), (Code::ResourceExhausted, Origin::CloudKms, Retry::CanHelp));
    assert_eq!(calls, 0);
    key.begin(&encrypt(), QUOTA_WINDOW).expect("an hour later there is one more");
    key.begin(&encrypt(), QUOTA_WINDOW).expect_err("and one only");
    key.limit(None);
    key.begin(&encrypt(), QUOTA_WINDOW).expect("without a limit there is enough");
}

#[test]
fn a_ciphertext_is_decrypted_by_the_version_that_made_it() {
    let mut key = key();
    key.register("v0/keys/0002");
    assert_eq!(key.begin(&encrypt(), Duration::ZERO).expect("it is enabled").call.path, "v0/keys/0002");
    let old = key.begin(&decrypt(1), Duration::ZERO).expect("it is enabled").call;
    assert_eq!(old.path, PATH);
    let resource = old.body["additionalContext"]["relativeResourceName"].as_str().expect("it is a text");
    assert_eq!(resource, "projects/7/locations/europe-west3/keyRings/consumer/cryptoKeys/k/cryptoKeyVersions/1");
    for version in [0, 3] {
        let error = key.begin(&decrypt(version), Duration::ZERO).expect_err("there are two versions");
        assert_eq!((error.origin, error.retry), (Origin::CloudKms, Retry::Final));
    }
}

#[test]
fn a_success_that_cannot_be_used_is_an_error() {
    for body in ["", "{}", r#"{"wrappedBlob":"*"}"#, "[]"] {
        let unusable = Received::Answer { status: 200, body: body.as_bytes().to_vec() };
        let error = play(&mut key(), &encrypt(), &[unusable]).0.expect_err("it holds no blob");
        assert_eq!((error.code, error.retry), (Code::Internal, Retry::Final), "{body}");
    }
}
