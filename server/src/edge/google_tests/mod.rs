//! Requests in, answers and records out, through the real router.

mod codes;
mod deny_entries;
mod quotas;
mod release;
mod world;

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::Method;

use crate::policy::UnknownReasons;

use world::{Answer, CALLER, Choices, World};

const WRAP: &str = r#"{"plaintext":"c2VjcmV0","additionalAuthenticatedData":"YWFk"}"#;

async fn wrap(world: &World, key: &str) -> Answer {
    world.post(&format!("{}:wrap", world.path(key)), WRAP).await
}

/// A wrap that states a reason, as JSON.
async fn wrap_for(world: &World, key: &str, reason: &str) -> Answer {
    let body = format!(r#"{{"plaintext":"","additionalContext":{{"accessReasonContext":{{"reason":{reason}}}}}}}"#);
    world.post(&format!("{}:wrap", world.path(key)), body).await
}

#[tokio::test]
async fn what_was_wrapped_unwraps_and_both_are_recorded() {
    let world = World::fresh().await;
    let wrapped = wrap(&world, "k1").await;
    assert_eq!(wrapped.status, 200, "{:?}", wrapped.json);
    let blob = wrapped.json["wrappedBlob"].as_str().expect("a blob").to_owned();
    let unwrap = format!("{}%3Aunwrap", world.path("k1"));
    let body = |aad: &str| {
        format!(
            r#"{{"wrappedBlob":"{blob}","additionalAuthenticatedData":"{aad}","additionalContext":{{
            "relativeResourceName":"projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
            "accessReasonContext":{{"reason":"CUSTOMER_INITIATED_ACCESS"}},"isKeyHealthCheck":true}}}}"#
        )
    };
    let unwrapped = world.post(&unwrap, body("YWFk")).await;
    assert_eq!((unwrapped.status, &unwrapped.json), (200, &serde_json::json!({"plaintext": "c2VjcmV0"})));
    assert_eq!(world.post(&unwrap, body("YWFl")).await.status, 400);

    let audit = world.audit();
    let told: Vec<_> =
        audit.iter().map(|line| format!("{} {} {}", line["operation"], line["decision"], line["code"])).collect();
    assert_eq!(
        told,
        [r#""wrap" "allowed" "OK""#, r#""unwrap" "allowed" "OK""#, r#""unwrap" "refused" "INVALID_ARGUMENT""#]
    );
    let line = &audit[1];
    assert_eq!(format!("/{}", line["path"].as_str().expect("a path")), world.path("k1"));
    assert_eq!(line["request"].as_str(), unwrapped.headers["x-request-id"].to_str().ok());
    assert_eq!((&line["tenant"], &line["key"], &line["version"]), (&"acme".into(), &"k1".into(), &1.into()));
    assert_eq!((&line["caller"], &line["rule"]), (&CALLER.into(), &"r1".into()));
    assert_eq!((&line["justification"], &line["health_check"]), (&"CUSTOMER_INITIATED_ACCESS".into(), &true.into()));
    let text = format!("{audit:?}");
    for secret in [world.token.as_str(), "c2VjcmV0", "secret", &blob] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn every_malformed_call_gets_its_documented_error_and_a_record() {
    let world = World::fresh().await;
    let key = world.path("k1");
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(9000), "]".repeat(9000));
    let huge = format!(r#"{{"plaintext":"{}"}}"#, "A".repeat(256 * 1024));
    let post = Method::POST;
    let rows: Vec<(&str, Method, String, String, u16, &str)> = vec![
        ("empty body", post.clone(), format!("{key}:wrap"), String::new(), 400, "the body is empty"),
        ("bad JSON", post.clone(), format!("{key}:wrap"), "{".into(), 400, "not a JSON object"),
        ("deep JSON", post.clone(), format!("{key}:wrap"), deep, 400, "not a JSON object"),
        ("huge JSON", post.clone(), format!("{key}:wrap"), huge, 413, "262144"),
        (
            "bad base64",
            post.clone(),
            format!("{key}:wrap"),
            r#"{"plaintext":"!"}"#.into(),
            400,
            "plaintext is not base64",
        ),
        ("bad blob", post.clone(), format!("{key}:unwrap"), r#"{"wrappedBlob":"AAAA"}"#.into(), 400, "does not open"),
        ("no blob", post.clone(), format!("{key}:unwrap"), "{}".into(), 400, "does not open"),
        ("wrong method", Method::GET, format!("{key}:wrap"), String::new(), 501, "HTTP POST"),
        ("wrong method", Method::DELETE, "/v0/info".into(), String::new(), 501, "HTTP GET"),
        ("unknown verb", post.clone(), format!("{key}:shred"), "{}".into(), 501, "no such method"),
        ("no verb", post.clone(), key.clone(), "{}".into(), 501, "no such method"),
        ("not offered", post.clone(), format!("{key}:asymmetricSign"), "{}".into(), 501, "asymmetricSign"),
        ("dot segment", post.clone(), format!("/v0/x/..{}:wrap", &key[3..]), "{}".into(), 400, "dot segment"),
        (
            "encoded slash",
            post.clone(),
            format!("{}:wrap", key.replacen("/keys/", "/keys%2F", 1)),
            "{}".into(),
            400,
            "percent",
        ),
        ("doubled slash", post.clone(), format!("/{key}:wrap"), "{}".into(), 400, "empty segment"),
        ("over-long", post.clone(), format!("/v0/keys/{}:wrap", "a".repeat(600)), "{}".into(), 400, "longer than"),
        ("unknown key", post.clone(), format!("/v0/keys/{}:wrap", "0".repeat(32)), "{}".into(), 404, "knows no key"),
        ("other path", post, "/v0/keys/unknown:wrap".into(), "{}".into(), 404, "'v0/keys/unknown'"),
    ];
    for (count, (what, method, path, body, status, message)) in rows.into_iter().enumerate() {
        let answer = world.send(world.request(&method, &path, body)).await;
        assert_eq!(answer.status, status, "{what}: {:?}", answer.json);
        assert!(answer.message().contains(message), "{what}: {}", answer.message());
        let id = answer.headers["x-request-id"].to_str().expect("digits");
        assert_eq!(answer.json["details"][0]["requestId"], id, "{what}");
        let audit = world.audit();
        assert_eq!((audit.len(), &audit[count]["request"]), (count + 1, &id.into()), "{what}");
        assert_eq!(audit[count]["status"], status, "{what}");
        if message.starts_with("HTTP") {
            assert!(message.ends_with(answer.headers["allow"].to_str().expect("a method")), "{what}");
        }
    }
    let metrics = world.service.metrics.render();
    for counted in [
        r#"{reason="empty_body"} 1"#,
        r#"{reason="json"} 2"#,
        r#"{reason="base64"} 1"#,
        r#"{reason="body_too_large"} 1"#,
        r#"{reason="path"} 4"#,
        r#"{reason="verb"} 2"#,
        r#"{reason="method"} 2"#,
    ] {
        assert!(metrics.contains(&format!("ekm_malformed_requests_total{counted}")), "{counted}");
    }
    assert_eq!(wrap(&world, "k1").await.status, 200, "nothing of it changed anything");
}

#[tokio::test]
async fn a_body_that_says_it_is_too_long_is_not_waited_for() {
    let world = World::fresh().await;
    let path = format!("{}:wrap", world.path("k1"));
    let never = futures::stream::pending::<Result<hyper::body::Frame<Bytes>, std::io::Error>>();
    let length = http_body_util::StreamBody::new(never);
    let body = Body::new(Said(length, 256 * 1024 + 1));
    assert_eq!(world.send(world.request(&Method::POST, &path, body)).await.status, 413);
    // one that says nothing is cut off when it passes the limit
    let piece = Bytes::from(vec![b' '; 64 * 1024]);
    let pieces = std::iter::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
    let endless = Body::from_stream(futures::stream::iter(pieces));
    assert_eq!(world.send(world.request(&Method::POST, &path, endless)).await.status, 413);
}

#[tokio::test]
async fn no_stranger_holds_a_place_while_its_body_is_awaited() {
    let world = World::fresh().await;
    let path = format!("{}:wrap", world.path("k1"));
    let never = || Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let forged = format!("Bearer {}AAAA", world.token);
    for authorization in [None, Some("Bearer x"), Some(forged.as_str())] {
        let mut stranger = world.request(&Method::POST, &path, never());
        stranger.headers_mut().clear();
        if let Some(token) = authorization {
            stranger.headers_mut().insert("authorization", token.parse().expect("a header value"));
        }
        assert_eq!(world.send(stranger).await.status, 401, "{authorization:?}: the answer does not wait for the body");
        assert_eq!(wrap(&world, "k1").await.status, 200, "the one place is free");
        let statuses: Vec<_> = world.audit().iter().rev().take(2).map(|line| line["status"].clone()).collect();
        assert_eq!(statuses, [200, 401], "{authorization:?}");
    }
}

#[tokio::test]
async fn a_full_machine_serves_its_probe_and_the_canary_is_nobody_elses() {
    let world = World::fresh().await;
    let path = format!("{}:wrap", world.path("canary"));
    assert_eq!(wrap(&world, "canary").await.status, 403);
    assert_eq!(world.send(world.probing(&format!("{}:wrap", world.path("k1")), WRAP)).await.status, 403);
    let _held = world.admission.try_admit().expect("the one place is free");
    assert_eq!(wrap(&world, "k1").await.status, 503);
    assert_eq!(world.send(world.probing(&path, WRAP)).await.status, 200);
}

#[tokio::test]
async fn the_record_of_a_broken_body_names_the_caller_who_sent_it() {
    let world = World::fresh().await;
    let broken = Body::from_stream(futures::stream::once(async { Err::<Bytes, _>(std::io::Error::other("reset")) }));
    assert_eq!(world.post(&format!("{}:wrap", world.path("k1")), broken).await.status, 400);
    assert_eq!(world.audit()[0]["caller"], CALLER);
}

/// A body that states a length.
struct Said<B>(B, u64);

impl<B: hyper::body::Body + Unpin> hyper::body::Body for Said<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        task: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<B::Data>, B::Error>>> {
        std::pin::Pin::new(&mut self.0).poll_frame(task)
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(self.1)
    }
}

#[tokio::test]
async fn a_denial_by_reason_names_the_reason_and_the_rule() {
    let world = World::fresh().await;
    let answer = wrap_for(&world, "listed", "\"THIRD_PARTY_DATA_REQUEST\"").await;
    let told = &answer.json["details"][1];
    assert_eq!(
        (&told["metadata"]["justification"], &told["metadata"]["rule"]),
        (&"THIRD_PARTY_DATA_REQUEST".into(), &"r2".into())
    );
    assert_eq!(world.audit()[0]["rule"], "r2");
}

#[tokio::test]
async fn a_message_names_the_path_that_was_asked_for_and_no_other() {
    let world = World::fresh().await;
    let blob = wrap(&world, "k1").await.json["wrappedBlob"].as_str().expect("a blob").to_owned();
    let opened = |aad| format!(r#"{{"wrappedBlob":"{blob}","additionalAuthenticatedData":"{aad}"}}"#);
    let unwrap = format!("{}:unwrap", world.alias("k1"));
    assert_eq!(
        world.post(&unwrap, opened("YWFk")).await.json["plaintext"],
        "c2VjcmV0",
        "a key is the same by its alias"
    );
    let refused = [("nobody", 403), ("barred", 403), ("off", 400), ("gone", 400), ("new", 503), ("torn", 503)];
    let mut answers = vec![("k1", 400, world.post(&unwrap, opened("YWFl")).await)];
    for (key, status) in refused.into_iter().chain([("paced", 200), ("paced", 200), ("paced", 429)]) {
        answers.push((key, status, world.post(&format!("{}:wrap", world.alias(key)), WRAP).await));
    }
    answers.retain(|(_, _, answer)| answer.status != 200);
    assert_eq!(answers.len(), 8);
    for (key, status, answer) in answers {
        assert_eq!(answer.status, status, "{key}");
        let text = answer.json.to_string();
        assert!(text.contains(&world.alias(key)[1..]) && !text.contains(&world.path(key)[1..]), "{key}: {text}");
    }
}

#[tokio::test]
async fn a_setting_makes_an_unknown_reason_a_denial() {
    let world = World::new(Choices { unknown_reasons: UnknownReasons::Deny, ..Choices::default() }).await;
    world.confirm();
    assert_eq!(wrap_for(&world, "listed", "12").await.status, 403);
    assert_eq!(wrap_for(&world, "k1", "12").await.status, 200);
}

#[tokio::test]
async fn the_table_of_ages_decides_what_is_final() {
    let world = World::new(Choices::default()).await;
    assert_eq!(wrap(&world, "k1").await.status, 503, "nothing is loaded yet");
    let mut text = String::new();
    // views age by the monotonic clock alone; the wall clock is set back each time, so that the token stays valid
    for seconds in [0, 5, 6, 3000] {
        world.confirm();
        world.clock.advance(Duration::from_secs(seconds));
        world.clock.set_wall(replication::clock::Timestamp(1_800_000_000_000));
        let mut line = format!("{seconds} s:");
        for key in ["k1", "nobody", "off"] {
            line = format!("{line} {key} {}", wrap(&world, key).await.status);
        }
        let unknown = world.post(&format!("/v0/keys/{}:wrap", "0".repeat(32)), "{}").await.status;
        let other = world.post("/v0/other:wrap", "{}").await.status;
        let mut stranger = world.request(&Method::POST, "/v0/other:wrap", "{}");
        stranger.headers_mut().clear();
        let stranger = world.send(stranger).await.status;
        text = format!("{text}{line} unknown {unknown} other {other} stranger {stranger}\n");
    }
    world.clock.advance(Duration::from_secs(86_401 - 3000));
    world.clock.set_wall(replication::clock::Timestamp(1_800_000_000_000));
    text = format!("{text}beyond the bound: k1 {}\n", wrap(&world, "k1").await.status);
    assert_eq!(
        text,
        "\
0 s: k1 200 nobody 403 off 400 unknown 404 other 404 stranger 401
5 s: k1 200 nobody 403 off 400 unknown 404 other 404 stranger 401
6 s: k1 200 nobody 503 off 503 unknown 503 other 503 stranger 503
3000 s: k1 200 nobody 503 off 503 unknown 503 other 503 stranger 503
beyond the bound: k1 503
"
    );
}

#[tokio::test]
async fn a_key_that_opens_wrong_takes_the_machine_out() {
    let world = World::fresh().await;
    assert_eq!(wrap(&world, "torn").await.status, 503);
    assert!(!world.service.journey.lookup.is_unfit(), "a seal that does not open gives no wrong plaintext");
    assert_eq!(wrap(&world, "broken").await.status, 503);
    assert!(world.service.journey.lookup.is_unfit());
}

#[tokio::test]
async fn a_long_full_disk_keeps_nobody_from_their_keys_and_what_it_cost_is_in_the_file() {
    let world = World::fresh().await;
    world.disk.is_full.store(true, Ordering::SeqCst);
    let line = vec![b'\n'; 64 * 1024];
    while world.audit_log.standing().lost == 0 {
        world.audit_log.append(&line);
    }
    while world.audit_log.standing().lost == 1 {
        world.audit_log.append(b"\n");
    }
    assert_eq!(wrap(&world, "k1").await.status, 200);
    assert_eq!(wrap(&world, "nobody").await.status, 403);
    assert_eq!(world.audit_log.standing().lost, 4, "what is answered without a record is counted");
    world.disk.is_full.store(false, Ordering::SeqCst);
    assert_eq!(wrap(&world, "k1").await.status, 200);
    let text = String::from_utf8(world.disk.bytes.lock().clone()).expect("records are texts");
    let (_, after) = text.split_once("{\"lost_records\":4}\n").expect("the gap is told where it is");
    assert_eq!(after.lines().count(), 1);
}
