//! Requests through the real router to a key store on disk; only the handshake is left out.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use futures::FutureExt as _;
use http::header::ALLOW;
use http::{Method, Request};
use replication::ids::{IdempotencyId, Revision};
use replication::machine::lifecycle::VersionState;
use replication::machine::request::AdminOperation;
use replication::machine::roles::PersonRole;
use replication::machine::rows::{Change, Plan, Purpose, Staleness};
use replication::machine::signing;
use rustls::pki_types::CertificateDer;
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::admin::client::new_idempotency_id;
use crate::admin::wire::{SIGNATURE_HEADER, SIGNER_HEADER};
use crate::admin::world_tests::{RESERVE_BYTES, World};
use crate::edge::peer::PeerCertificate;
use crate::edge::testing::Authority;
use crate::keystore::ExecuteError;

fn id() -> IdempotencyId {
    new_idempotency_id().expect("randomness")
}

/// A path of the table with something legal in each of its braces.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{tenant}" => "one".to_owned(),
        "{name}" => "k".to_owned(),
        "{version}" | "{import_key}" | "{request}" => "ab".repeat(16),
        "{person}" => "operator-1".to_owned(),
        "{caller}" => "a@x.example".to_owned(),
        other => other.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

fn method(endpoint: &Endpoint) -> Method {
    if endpoint.is_post() { Method::POST } else { Method::GET }
}

fn request(method: Method, path: &str, certificate: Option<&PeerCertificate>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path).body(Body::empty()).expect("a legal request");
    if let Some(certificate) = certificate {
        request.extensions_mut().insert(certificate.clone());
    }
    request
}

/// The code and the message of a failure, whose status fits its code.
fn failed((status, body): (http::StatusCode, Value)) -> (FailureCode, String) {
    let failure: super::super::wire::Failure = serde_json::from_value(body).expect("a failure has its body");
    assert_eq!(status.as_u16(), failure.error.code.http());
    (failure.error.code, failure.error.message)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_enrolled_learns_nothing_on_any_route_but_what_to_do() {
    let world = World::new().await;
    let stranger = Authority::new("operators").issue("operator-1", &["operator.example"]);
    let stranger = PeerCertificate::danger_unverified(stranger.chain[0].clone());
    let garbage = PeerCertificate::danger_unverified(CertificateDer::from(vec![0x30, 0x00]));
    for endpoint in endpoints() {
        for certificate in [None, Some(&stranger), Some(&garbage)] {
            for path in [filled(&endpoint.path), endpoint.path.replace(['{', '}'], "%00")] {
                let (code, message) = failed(world.answer_to(request(method(&endpoint), &path, certificate)).await);
                assert_eq!(code, FailureCode::Denied, "{path}");
                assert!(message.contains("nobody who is enrolled; use that of somebody who is"), "{message}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_on_any_route_is_400_in_json_and_says_what_to_do() {
    let world = World::new().await;
    let auditor = world.enrolled("auditor", &[PersonRole::Auditor], None).await;
    let mut tried = BTreeSet::new();
    for endpoint in endpoints() {
        let mut bad = Vec::new();
        for (open, _) in endpoint.path.match_indices('{') {
            let close = open + endpoint.path[open..].find('}').expect("braces close");
            for worse in ["%ff", "%00", "UPPER", "-", "a%2fb", &"a".repeat(300)] {
                let path = format!("{}{worse}{}", &endpoint.path[..open], &endpoint.path[close + 1..]);
                bad.push((filled(&path), ["names nothing", "is 32 lower-case"]));
            }
        }
        if matches!(endpoint.takes, Takes::Page) {
            let path = filled(&endpoint.path);
            for (query, says) in [
                ("page_size=0", "a number from 1 to 1000"),
                ("page_size=ten", "a number from 1 to 1000"),
                ("page_size=", "a number from 1 to 1000"),
                ("page_token=", "leave it out to begin at the start"),
                ("page_token=AAAA", "leave it out to begin at the start"),
                ("page_token=%ff", "leave it out to begin at the start"),
                ("page_size=1&page_size=2", "each once at most: duplicate field"),
                ("pagesize=1", "page_size and page_token"),
            ] {
                bad.push((format!("{path}?{query}"), [says; 2]));
            }
        }
        if endpoint.is_post() {
            bad.push((endpoint.path.clone(), ["must name the operator who signed", "cannot be read"]));
        }
        for (path, says) in bad {
            let (code, message) =
                failed(world.answer_to(request(method(&endpoint), &path, Some(&auditor.certificate))).await);
            assert_eq!(code, FailureCode::Invalid, "{path}: {message}");
            assert!(says.iter().any(|says| message.contains(says)), "{path}: {message}");
            tried.insert(endpoint.id);
        }
    }
    let untried: Vec<_> = endpoints().into_iter().map(|one| one.id).filter(|id| !tried.contains(id)).collect();
    assert_eq!(untried, ["cluster_status", "status", "openapi"], "they take nothing that could be bad");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_404_on_every_route_that_names_something() {
    let world = World::new().await;
    let auditor = world.enrolled("auditor", &[PersonRole::Auditor], None).await;
    let mut found = BTreeMap::new();
    for endpoint in endpoints().into_iter().filter(|endpoint| !endpoint.is_post()) {
        let path = filled(&endpoint.path.replace("/keys/{name}", "/keys/none"));
        let absent = path.replace("/one", "/none").replace("/operators/operator-1", "/operators/replica-1");
        let (status, body) = world.got_by(&auditor, &absent).await;
        if status == http::StatusCode::NOT_FOUND {
            let (_, message) = failed((status, body));
            found.insert(endpoint.id, message);
        } else {
            assert_eq!(status, http::StatusCode::OK, "{absent}: {body}");
        }
        assert_eq!(found.contains_key(endpoint.id), endpoint.fails.contains(&FailureCode::NotFound), "{absent}");
    }
    let tenant = "there is no tenant none; create it with: ekmctl tenant create none";
    assert_eq!(found["list_keys"], tenant);
    assert_eq!(found["get_tenant"], tenant);
    assert!(found["get_version"].contains("list keys and their versions with: ekmctl key list"), "{found:?}");
    assert_eq!(found["get_person"], "nobody of the name replica-1 is enrolled; list them with: ekmctl operator list");
    assert!(found["get_request_seen"].contains("look in the audit files"), "{found:?}");
    let of_one = failed(world.got("/admin/v1/tenants/one/keys/none").await);
    let says = "tenant one has no key none; list them with: ekmctl key list --tenant one";
    assert_eq!(of_one, (FailureCode::NotFound, says.to_owned()));
    let path = failed(world.got("/admin/v2/status").await);
    assert!(path.0 == FailureCode::NotFound && path.1.contains("/admin/v1/openapi.json"), "{path:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_method_is_405_and_the_answer_says_which_there_are() {
    let world = World::new().await;
    for endpoint in endpoints() {
        let allowed = if endpoint.is_post() { "POST" } else { "GET,HEAD" };
        let others = [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::TRACE];
        for other in others.into_iter().filter(|other| *other != method(&endpoint)) {
            let asked = request(other, &filled(&endpoint.path), Some(&world.operator.certificate));
            let (status, headers, body) = world.response_to(asked).await;
            assert_eq!(headers.get(ALLOW).and_then(|allow| allow.to_str().ok()), Some(allowed));
            let (code, message) = failed((status, body));
            assert!(code == FailureCode::Method && message.contains("the header allow"), "{message}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_long_or_never_ends_is_refused_and_changes_nothing() {
    let mut world = World::new().await;
    let index = || world.store.groups().into_iter().map(|(_, group)| group.watch().borrow().index).collect::<Vec<_>>();
    let before = index();
    let posts: Vec<_> = endpoints().into_iter().filter(Endpoint::is_post).map(|endpoint| endpoint.path).collect();
    for path in &posts {
        let body = Body::from(vec![b' '; replication::machine::request::REQUEST_BYTES_MAX + 1]);
        let asked =
            Request::post(path).extension(world.operator.certificate.clone()).body(body).expect("a legal request");
        let (code, message) = failed(world.answer_to(asked).await);
        assert!(code == FailureCode::TooLarge && message.contains("16384 bytes"), "{message}");
    }
    assert_eq!(index(), before);
    world.admin.body_time_max = Duration::from_millis(1);
    for path in &posts {
        let body = Body::from_stream(futures::stream::pending::<Result<&[u8], std::io::Error>>());
        let asked =
            Request::post(path).extension(world.operator.certificate.clone()).body(body).expect("a legal request");
        let (code, message) = failed(world.answer_to(asked).await);
        assert!(code == FailureCode::TooSlow && message.contains("within 0.001 s"), "{message}");
        let broken = futures::stream::iter([Err::<&[u8], _>(std::io::Error::other("reset"))]);
        let asked = Request::post(path).extension(world.operator.certificate.clone());
        let asked = asked.body(Body::from_stream(broken)).expect("a legal request");
        let (code, message) = failed(world.answer_to(asked).await);
        assert!(code == FailureCode::Invalid && message.contains("did not arrive whole"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_signed_by_whom_the_certificate_names_or_is_refused() {
    let world = World::new().await;
    let create = || AdminOperation::CreateTenant {
        tenant: "two".parse().expect("a tenant"),
        staleness: Staleness::default(),
        shard: None,
    };
    let rows = [
        (SIGNER_HEADER, None, FailureCode::Invalid, "must name the operator who signed"),
        (SIGNER_HEADER, Some("Nobody!"), FailureCode::Invalid, "must name the operator who signed"),
        (SIGNER_HEADER, Some("replica-1"), FailureCode::Denied, "sign with its own key"),
        (SIGNATURE_HEADER, None, FailureCode::Invalid, "Ed25519 signature in base64"),
        (SIGNATURE_HEADER, Some("!"), FailureCode::Invalid, "Ed25519 signature in base64"),
        (SIGNATURE_HEADER, Some("AAAA"), FailureCode::Denied, "does not fit the bytes"),
    ];
    for (header, value, code, says) in rows {
        let mut asked = world.request(id(), create());
        asked.headers_mut().remove(header);
        if let Some(value) = value {
            asked.headers_mut().insert(header, value.parse().expect("a header"));
        }
        let (told, message) = failed(world.answer_to(asked).await);
        assert!(told == code && message.contains(says), "{header} {value:?}: {message}");
    }
    let mut changed = world.request(id(), create());
    *changed.body_mut() = Body::from("{}");
    let (code, message) = failed(world.answer_to(changed).await);
    assert!(code == FailureCode::Denied && message.contains("does not fit the bytes"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_was_used_for_another_request_is_a_conflict_and_one_for_the_same_is_answered_again() {
    let world = World::new().await;
    let create = |name: &str| AdminOperation::CreateCryptoSpace {
        tenant: world.tenant.clone(),
        name: name.parse().expect("a name"),
    };
    let taken = id();
    let first = world.answered(taken, create("s")).await;
    let (code, message) = failed(world.said(taken, create("other")).await);
    assert!(code == FailureCode::Conflict && message.contains("take a new one"), "{message}");
    let again = world.answered(taken, create("s")).await;
    assert_eq!((again.repeated, again.path), (true, first.path));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_on_an_older_revision_is_told_the_one_to_plan_on() {
    let world = World::new().await;
    let current = world.revision();
    let older = Revision(current.0 - 1);
    let (status, body) = world.said(id(), world.disable(older)).await;
    assert_eq!(body["error"]["current_revision"], current.0);
    let (code, message) = failed((status, body));
    assert!(code == FailureCode::Conflict && message.contains("plan again"), "{message}");
    assert_eq!(world.ask(world.disable(current)).await.state, Some(VersionState::Disabled));
    let (_, body) = world.said(id(), world.disable(world.revision())).await;
    assert_eq!(
        (&body["error"]["code"], &body["error"]["current_revision"]),
        (&"conflict".into(), &Value::Null),
        "{body}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_walked_page_by_page() {
    let world = World::new().await;
    for name in ["a", "b", "c"] {
        let (tenant, name) = (world.tenant.clone(), name.parse().expect("a name"));
        world.ask(AdminOperation::CreateCryptoSpace { tenant, name }).await;
    }
    let list = "/admin/v1/tenants/one/cryptospaces";
    let (_, page) = world.got(&format!("{list}?page_size=2")).await;
    let token = page["next_page_token"].as_str().expect("one is left");
    assert_eq!((&page["items"][0]["name"], &page["items"][1]["name"]), (&"a".into(), &"b".into()));
    let (_, rest) = world.got(&format!("{list}?page_size=2&page_token={token}")).await;
    assert_eq!((rest["items"].as_array().map(Vec::len), rest.get("next_page_token")), (Some(1), None));
    let (code, message) = failed(world.got(&format!("/admin/v1/tenants/one/keys?page_token={token}")).await);
    assert!(code == FailureCode::Invalid && message.contains("none that this list gave out"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_store_that_stopped_says_to_try_again_and_still_shows_what_it_knows() {
    let world = World::new().await;
    world.stop().await;
    let (code, message) = failed(world.said(id(), world.disable(world.revision())).await);
    assert_eq!(code, FailureCode::Unavailable, "{message}");
    assert_eq!(world.got("/admin/v1/tenants/one/keys/k").await.0, http::StatusCode::OK);
}

#[test]
fn failures_that_no_request_to_one_sound_replica_meets_have_their_codes() {
    // an outcome is unknown when a quorum is lost between two messages; the last is a fault of the program
    let told = |error| {
        let failure = super::super::failure::not_done(&error);
        (failure.code, failure.message)
    };
    let (code, message) = told(ExecuteError::Propose(replication::raft::group::ProposeError::Unknown));
    assert!(code == FailureCode::Unknown && message.contains("same id"), "{message}");
    assert_eq!(told(ExecuteError::Unexpected).0, FailureCode::Internal);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_carried_out_to_its_end_when_its_client_leaves() {
    let world = World::new().await;
    let request = world.request(new_idempotency_id().expect("randomness"), world.disable(world.revision()));
    let mut asked = Box::pin(world.router().oneshot(request));
    assert!(asked.as_mut().now_or_never().is_none(), "ordering takes a while");
    drop(asked);
    world.disabled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn short_of_room_every_change_is_answered_507_and_leaves_nothing_behind() {
    let world = World::new().await;
    let indexes =
        || world.store.groups().into_iter().map(|(_, group)| group.watch().borrow().index).collect::<Vec<_>>();
    let (tenant, parent) = (world.tenant.clone(), world.revision());
    let changes = [
        AdminOperation::CreateTenant {
            tenant: "two".parse().expect("a tenant"),
            staleness: Staleness::default(),
            shard: None,
        },
        AdminOperation::CreateCryptoSpace { tenant: tenant.clone(), name: "s".parse().expect("a name") },
        AdminOperation::CreateKey {
            tenant,
            name: "l".parse().expect("a name"),
            crypto_space: None,
            purpose: Purpose::EncryptDecrypt,
        },
        world.disable(parent),
    ];
    let changes = changes.map(|change| (id(), change));
    world.has_free(RESERVE_BYTES - 1).await;
    let before = indexes();
    for (id, change) in &changes {
        let (status, body) = world.said(*id, change.clone()).await;
        assert_eq!((status.as_u16(), &body["error"]["code"]), (507, &"no_room".into()), "{body}");
        let message = body["error"]["message"].as_str().expect("a text");
        assert!(message.contains("1023 MiB are free") && message.contains("Make room"), "{message}");
    }
    assert_eq!(indexes(), before, "something is in a log");
    world.has_free(2 * RESERVE_BYTES).await;
    // the revision has not moved, so the plan is the one that was refused
    let mut repeated = changes.into_iter().rev();
    let (id, disable) = repeated.next().expect("there are four");
    assert_eq!(world.answered(id, disable).await.state, Some(VersionState::Disabled));
    for (id, change) in repeated {
        assert!(!world.answered(id, change).await.repeated, "the refused one was carried out");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_id_that_an_operator_chose_stands_in_the_way_of_a_plan() {
    let world = World::new().await;
    let parent = world.revision().next();
    let change = Change::DisableVersion { version: world.version };
    let digest = signing::plan_digest(&Plan { tenant: world.tenant.clone(), parent, change });
    let taken = IdempotencyId::from_bytes(*digest.first_chunk().expect("a digest is longer than an id"));
    let name = "s".parse().expect("a crypto space name");
    world.answered(taken, AdminOperation::CreateCryptoSpace { tenant: world.tenant.clone(), name }).await;
    let answer = world.ask(world.disable(parent)).await;
    assert_eq!(answer.state, Some(VersionState::Disabled));
    assert!(world.store.shard_state().plans().is_empty(), "nothing is left to settle at the next start");
}
