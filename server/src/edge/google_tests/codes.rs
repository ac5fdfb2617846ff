//! Every code and every row of the table of errors, each with a request that yields it over HTTP.
//!
//! The table is `error/table.txt`. An error without a row is found by `tidy`; a row without a request, and a request that
//! names no row, are found here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request};
use replication::clock::Timestamp;
use replication::ids::ShardId;
use replication::machine::policy::Subject;

use super::super::super::service::DataSettings;
use super::world::{Answer, Choices, Lacks, World};
use super::{WRAP, wrap, wrap_for};
use crate::crypto::{Draw, Entropy, EntropyError, Material, SystemEntropy};
use crate::error::Code;

/// When a world begins; a token of it lives for an hour.
const BEGIN: Timestamp = Timestamp(1_800_000_000_000);

/// An answer, and the row that it should be.
type Row = (&'static str, Answer);

/// The system's randomness, but at a nonce something happens.
struct NoNonce(fn() -> EntropyError);

impl Entropy for NoNonce {
    fn fill(&self, draw: Draw, bytes: &mut [u8]) -> Result<(), EntropyError> {
        if draw == Draw::Nonce { Err((self.0)()) } else { SystemEntropy.fill(draw, bytes) }
    }
}

async fn chosen(choices: Choices) -> World {
    let world = World::new(choices).await;
    world.confirm();
    world
}

/// A request that bears no token.
async fn stranger(world: &World, path: &str) -> Answer {
    let mut request = world.request(&Method::POST, path, WRAP);
    request.headers_mut().clear();
    world.send(request).await
}

/// Lets views grow old; the wall clock is set back, so that the token stays valid.
fn age(world: &World, seconds: u64) {
    world.clock.advance(Duration::from_secs(seconds));
    world.clock.set_wall(BEGIN);
}

/// What a fresh view answers.
async fn by_a_fresh_view(world: &World) -> Vec<Row> {
    let path = format!("{}:wrap", world.path("k1"));
    let broken = Body::from_stream(futures::stream::once(async { Err::<Bytes, _>(std::io::Error::other("reset")) }));
    let not_base64 = r#"{"plaintext":"!"}"#;
    let mut rows = vec![
        ("Unauthenticated", stranger(world, &path).await),
        ("PermissionDenied NotGranted", wrap(world, "nobody").await),
        ("PermissionDenied Denied", wrap(world, "barred").await),
        ("PermissionDenied Reason", wrap_for(world, "listed", "3").await),
        ("PermissionDenied ShutOut", shut_out(world).await),
        ("UnknownKey", world.post("/v0/keys/none:wrap", "{}").await),
        ("Unusable Disabled", wrap(world, "off").await),
        ("Unusable DestroyScheduled", wrap(world, "leaving").await),
        ("Unusable Destroyed", wrap(world, "gone").await),
        ("KeyTrouble Pending", wrap(world, "new").await),
        ("KeyTrouble DoesNotOpen", wrap(world, "torn").await),
        ("KeyTrouble CanaryFailed", wrap(world, "broken").await),
        ("ReasonUnjudged", wrap_for(world, "listed", "12").await),
        ("MalformedPath", world.post("/v0/x/../keys/k:wrap", "{}").await),
        ("MalformedBody Empty", world.post(&path, "").await),
        ("MalformedBody Base64", world.post(&path, not_base64).await),
        ("BodyTooLarge", world.post(&path, vec![b' '; 256 * 1024 + 1]).await),
        ("BodyBroken", world.post(&path, broken).await),
        ("BlobRefused", world.post(&format!("{}:unwrap", world.path("k1")), r#"{"wrappedBlob":"AAAA"}"#).await),
        ("NotOffered Known", world.post("/v0/keys/none:asymmetricSign", "{}").await),
        ("NotOffered UnknownVerb", world.post("/v0/keys/none:shred", "{}").await),
        ("NotOffered WrongMethod", world.send(world.request(&Method::GET, &path, "")).await),
    ];
    for (row, key, burst) in
        [("QuotaUsedUp Key", "paced", 2), ("QuotaUsedUp CryptoSpace", "hot", 3), ("QuotaUsedUp Tenant", "theirs", 4)]
    {
        for _ in 0..burst {
            assert_eq!(wrap(world, key).await.status, 200, "{row}");
        }
        rows.push((row, wrap(world, key).await));
    }
    let in_query = Request::post(format!("{path}?access_token={}", world.token)).body(WRAP.into());
    rows.push(("Unauthenticated", world.send(in_query.expect("a request")).await));
    let place = world.admission.try_admit();
    rows.push(("Overloaded", wrap(world, "k1").await));
    drop(place);
    let clock = Arc::clone(&world.clock);
    let late = Body::from_stream(futures::stream::once(async move {
        clock.advance(Duration::from_millis(90));
        Ok::<_, std::io::Error>(Bytes::from_static(WRAP.as_bytes()))
    }));
    rows.push(("DeadlinePassed", world.send(world.request(&Method::POST, &path, late)).await));
    rows
}

/// A key that nobody may use, and that serves in no other row.
async fn shut_out(world: &World) -> Answer {
    world.deny(1, "acme", Subject::Key("idle".parse().expect("a key")), Duration::from_hours(1));
    wrap(world, "idle").await
}

/// What a view answers that is not fresh any more.
async fn by_an_old_view(world: &World) -> Vec<Row> {
    age(world, 6);
    let mut rows = vec![
        ("Doubtful Caller", stranger(world, "/v0/keys/none:wrap").await),
        ("Doubtful Denial", wrap(world, "nobody").await),
        ("Doubtful Path", world.post("/v0/keys/none:wrap", "{}").await),
        ("Doubtful State", wrap(world, "off").await),
    ];
    age(world, 86_401);
    rows.push(("Doubtful BeyondBound", wrap(world, "k1").await));
    rows
}

/// What a machine answers to which something has not arrived.
async fn by_a_machine_that_lacks_something() -> Vec<Row> {
    let mut rows = vec![("NotLoaded", wrap(&World::new(Choices::default()).await, "k1").await)];
    let keyless = chosen(Choices { lacks: Lacks::TenantKeys, ..Choices::default() }).await;
    rows.push(("KeyTrouble TenantKeyMissing", wrap(&keyless, "k1").await));
    let trustless = chosen(Choices { lacks: Lacks::KeySet, ..Choices::default() }).await;
    rows.push(("AuthnUnavailable", wrap(&trustless, "k1").await));
    let second = ShardId(2.try_into().expect("not zero"));
    let torn = chosen(Choices { shards: vec![ShardId::FIRST, second], ..Choices::default() }).await;
    rows.push(("Ambiguous", wrap(&torn, "k1").await));

    let full = World::fresh().await;
    let held: Vec<_> = std::iter::from_fn(|| Material::generate(&full.arena, &SystemEntropy).ok()).collect();
    rows.push(("KeyTrouble NoRoom", wrap(&full, "k1").await));
    drop(held);
    rows
}

/// What a machine answers on which something goes wrong in the middle.
async fn by_a_machine_in_trouble() -> Vec<Row> {
    let settings = DataSettings { body_time_max: Duration::ZERO, ..DataSettings::default() };
    let hasty = chosen(Choices { settings, ..Choices::default() }).await;
    let never = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let path = format!("{}:wrap", hasty.path("k1"));
    let mut rows = vec![("BodyTooSlow", hasty.send(hasty.request(&Method::POST, &path, never)).await)];
    let dry = NoNonce(|| EntropyError { source: getrandom::Error::UNSUPPORTED });
    let dry = chosen(Choices { entropy: Arc::new(dry), ..Choices::default() }).await;
    rows.push(("KeyTrouble NoEntropy", wrap(&dry, "k1").await));
    let buggy = NoNonce(|| panic!("a planted bug"));
    let buggy = chosen(Choices { entropy: Arc::new(buggy), ..Choices::default() }).await;
    rows.push(("Internal", wrap(&buggy, "k1").await));
    let after = buggy.post(&format!("{}:unwrap", buggy.path("k1")), "{}").await;
    rows.push(("BlobRefused", after));
    rows
}

/// A row of the table: its name, its status, its `google.rpc` code, and its message without what differs.
type Told = (String, u16, u64, String);

fn table() -> Vec<Told> {
    let mut lines = include_str!("../../error/table.txt").lines();
    let mut rows = Vec::new();
    while let (Some(head), Some(message)) = (lines.next(), lines.next()) {
        let (name, rest) = head.split_once(": ").expect("a row begins with its name");
        let words: Vec<&str> = rest.split(' ').collect();
        let number = |at: usize| words[at].parse::<u64>().expect("a number");
        let status = u16::try_from(number(0)).expect("an HTTP status");
        rows.push((name.to_owned(), status, number(2), shape(message)));
    }
    rows
}

/// A message without names and numbers. What a token or a path fails by is a text of its own, pinned elsewhere.
fn shape(message: &str) -> String {
    let unquoted = message.trim().split('\'').step_by(2).collect::<Vec<_>>().join("'");
    let words =
        unquoted.split(' ').filter(|word| !word.contains('@') && !word.contains(|one: char| one.is_ascii_digit()));
    let text = words.collect::<Vec<_>>().join(" ");
    let open = ["not authenticated: ", "just now: "].iter().find_map(|part| Some(text.find(part)? + part.len()));
    text[..open.unwrap_or(text.len())].to_owned()
}

#[tokio::test]
async fn every_row_of_the_table_of_errors_has_a_request_that_yields_it() {
    let world = World::fresh().await;
    let mut rows = by_a_fresh_view(&world).await;
    rows.extend(by_an_old_view(&world).await);
    rows.extend(by_a_machine_that_lacks_something().await);
    rows.extend(by_a_machine_in_trouble().await);
    let table = table();
    for (name, answer) in &rows {
        let row = table.iter().find(|(known, ..)| known == name).unwrap_or_else(|| panic!("{name} is no row"));
        let rpc = answer.json["code"].as_u64().expect("an error has a code");
        let found = (name.to_string(), answer.status, rpc, shape(answer.message()));
        assert_eq!(&found, row, "{:?}", answer.json);
        let retry = answer.json["details"].as_array().is_some_and(|all| all.iter().any(|d| d["retryDelay"] == "1s"));
        assert_eq!(retry, [429, 503].contains(&answer.status), "{name}: {:?}", answer.json);
        let header = answer.headers.get("retry-after").map(http::HeaderValue::as_bytes);
        assert_eq!(header, retry.then_some(b"1".as_slice()), "{name}");
        let bearer = answer.headers.get("www-authenticate").is_some_and(|scheme| scheme == "Bearer");
        assert_eq!(bearer, answer.status == 401, "{name}");
    }
    let yielded: BTreeSet<&str> = rows.iter().map(|(name, _)| *name).collect();
    let never: Vec<_> = table.iter().filter(|(name, ..)| !yielded.contains(name.as_str())).collect();
    assert!(never.is_empty(), "no request yields {never:?}");
}

#[tokio::test]
async fn every_code_is_an_answer() {
    let world = World::fresh().await;
    let mut met: BTreeSet<(u16, u64)> = table().iter().map(|(_, status, rpc, _)| (*status, *rpc)).collect();
    for good in [wrap(&world, "k1").await, world.send(world.request(&Method::GET, "/v0/info", "")).await] {
        assert_eq!(good.status, Code::Ok.http());
        met.insert((good.status, u64::from(Code::Ok.rpc())));
    }
    assert_eq!(wrap_for(&world, "listed", "5").await.status, 200, "a listed reason");
    let codes: BTreeSet<(u16, u64)> = Code::ALL.iter().map(|code| (code.http(), u64::from(code.rpc()))).collect();
    assert_eq!(met, codes, "every code stands in the table, but for success");
}
