//! Roles and reach, through the real router: who is told what, on every route.

use axum::body::Body;
use http::{Method, Request, StatusCode};
use replication::machine::policy::{Justifications, Operation, Policy, Rule};
use replication::machine::request::{AdminOperation, Level};
use replication::machine::roles::PersonRole;
use replication::machine::rows::{Purpose, Staleness};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::admin::world_tests::{Member, World};
use crate::edge::admitted::Arrival;
use crate::error::{Doubt, ServiceError};
use crate::operations::{Outcome, Trail};
use crate::wire::RequestId;

const CALLER: &str = "service-1@x.example";

/// A path of the table about the world's own tenant and key.
fn of_one(endpoint: &Endpoint, world: &World) -> String {
    let version = world.version.to_string();
    let parts = endpoint.path.split('/').map(|part| match part {
        "{tenant}" => "one",
        "{name}" if endpoint.path.contains("/keys/") => "k",
        "{name}" => "s",
        "{version}" => version.as_str(),
        "{caller}" => CALLER,
        "{person}" => "operator-1",
        "{import_key}" | "{request}" => "abababababababababababababababab",
        other => other,
    });
    parts.collect::<Vec<_>>().join("/")
}

fn question(world: &World, more: &Value) -> Value {
    let mut question =
        json!({ "key_path": replication::ids::key_path(world.version), "caller": CALLER, "operation": "wrap" });
    let fields = question.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    question
}

async fn explained(world: &World, who: &Member, question: &Value) -> (StatusCode, Value) {
    let request = Request::post(EXPLAIN_PATH).extension(who.certificate.clone()).body(Body::from(question.to_string()));
    world.answer_to(request.expect("a legal request")).await
}

/// What somebody is answered on every GET about the world's own tenant, by the route's name.
async fn answers(world: &World, who: &Member) -> Vec<(&'static str, u16)> {
    let mut answers = Vec::new();
    for endpoint in endpoints().into_iter().filter(|endpoint| !endpoint.is_post()) {
        let (status, body) = world.got_by(who, &of_one(&endpoint, world)).await;
        if status == StatusCode::FORBIDDEN {
            let says = body["error"]["message"].as_str().expect("a text");
            assert!(
                says.contains("that takes one of the roles") && says.contains("security officer can enrol"),
                "{says}"
            );
        }
        answers.push((endpoint.id, status.as_u16()));
    }
    answers
}

async fn with_crypto_space(world: &World) {
    let (tenant, name) = (world.tenant.clone(), "s".parse().expect("a name"));
    world.ask(AdminOperation::CreateCryptoSpace { tenant, name }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_sees_what_is_pinned_and_a_reach_narrows_it() {
    let world = World::new().await;
    with_crypto_space(&world).await;
    let two = AdminOperation::CreateTenant {
        tenant: "two".parse().expect("a tenant"),
        staleness: Staleness::default(),
        shard: None,
    };
    world.ask(two).await;
    let mut table = String::new();
    for (name, role, tenants) in [
        ("viewer", PersonRole::Viewer, None),
        ("viewer-of-one", PersonRole::Viewer, Some(["one"].as_slice())),
        ("viewer-of-two", PersonRole::Viewer, Some(["two"].as_slice())),
        ("viewer-of-system", PersonRole::Viewer, Some(["system"].as_slice())),
        ("operator", PersonRole::Operator, None),
        ("approver", PersonRole::Approver, None),
        ("auditor", PersonRole::Auditor, None),
    ] {
        let member = world.enrolled(name, &[role], tenants).await;
        table.push_str(&line(name, &answers(&world, &member).await));
    }
    table.push_str(&line("officer", &answers(&world, &world.officers[0]).await));
    assert_eq!(table, PINNED);
}

fn line(who: &str, answers: &[(&str, u16)]) -> String {
    let answers: Vec<String> = answers.iter().map(|(_, status)| status.to_string()).collect();
    format!("{who}: {}\n", answers.join(" "))
}

/// In the order of the table: the cluster's status, status, shards, tenants and one, crypto spaces and one, keys and one, import keys and one that is not
/// there, version, caller, a request that nobody saw, deny entries, people and one, the
/// document.
const PINNED: &str = "\
viewer: 200 200 200 200 200 200 200 200 200 200 404 200 200 404 200 403 403 200
viewer-of-one: 200 200 200 200 200 200 200 200 200 200 404 200 200 404 200 403 403 200
viewer-of-two: 200 200 200 200 404 404 404 404 404 404 404 404 200 404 404 403 403 200
viewer-of-system: 200 200 200 200 404 404 404 404 404 404 404 404 200 404 404 403 403 200
operator: 200 200 200 200 200 200 200 200 200 200 404 200 200 404 200 403 403 200
approver: 200 200 200 200 200 200 200 200 200 200 404 200 200 404 200 403 403 200
auditor: 200 200 200 200 200 200 200 200 200 200 404 200 200 404 200 200 200 200
officer: 200 200 403 403 403 403 403 403 403 403 403 403 403 403 200 200 200 200
";

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_somebody_without_the_role_or_the_reach_is_403_and_changes_nothing() {
    let world = World::new().await;
    let members = [
        world.enrolled("viewer", &[PersonRole::Viewer], None).await,
        world.enrolled("auditor", &[PersonRole::Auditor, PersonRole::Approver], None).await,
        world.enrolled("elsewhere", &[PersonRole::Operator], Some(&["two"])).await,
    ];
    let before = world.revision();
    for member in members.iter().chain(&world.officers) {
        let (status, body) = world.told(member, world.disable(before)).await;
        let says = body["error"]["message"].as_str().expect("a text");
        assert_eq!((status.as_u16(), &body["error"]["code"]), (403, &"denied".into()), "{body}");
        assert!(says.contains("takes the role operator with this tenant in reach"), "{says}");
    }
    let (signer, public_key) = Member::new("other").client.enrolment();
    let roles = [PersonRole::Viewer].into();
    let enrol = AdminOperation::Enrol { signer, public_key, roles, tenants: None };
    let (status, body) = world.told(&world.operator, enrol).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{body}");
    assert_eq!(world.revision(), before);
    let revoke = AdminOperation::Revoke { signer: "viewer".parse().expect("a name") };
    assert_eq!(world.told(&world.officers[0], revoke).await.0, StatusCode::OK);
    assert_eq!(world.got_by(&members[0], STATUS_PATH).await.0, StatusCode::FORBIDDEN, "a revoked person is nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_out_of_reach_is_told_of_in_the_words_for_what_is_not_there() {
    let world = World::new().await;
    world.ask(grant(Level::Tenant, rule("r", None))).await;
    let elsewhere = world.enrolled("elsewhere", &[PersonRole::Viewer], Some(&["two"])).await;
    for (hidden, absent) in [("/tenants/one", "/tenants/nil"), ("/tenants/one/keys/k", "/tenants/nil/keys/k")] {
        let (_, hidden) = world.got_by(&elsewhere, &format!("/admin/v1{hidden}")).await;
        let (_, absent) = world.got_by(&elsewhere, &format!("/admin/v1{absent}")).await;
        let told = hidden["error"]["message"].as_str().expect("a text").replace("one", "nil");
        assert_eq!(absent["error"]["message"], told);
    }
    let (_, status) = world.got_by(&elsewhere, STATUS_PATH).await;
    assert_eq!((&status["tenants"], &status["key_versions"]["enabled"]), (&0.into(), &0.into()));
    let (_, callers) = world.got_by(&elsewhere, &format!("{CALLERS_PATH}/{CALLER}")).await;
    assert_eq!(callers, json!({ "items": [] }));
    let (_, callers) = world.got(&format!("{CALLERS_PATH}/{CALLER}")).await;
    assert_eq!(
        (&callers["items"][0]["tenant"], &callers["items"][0]["grants"][0]["name"]),
        (&"one".into(), &"r".into())
    );

    world.in_use().await;
    let (_, here) = explained(&world, &world.operator, &question(&world, &json!({}))).await;
    assert_eq!(here["decision"], "allowed", "{here}");
    let (_, hidden) = explained(&world, &elsewhere, &question(&world, &json!({}))).await;
    let nowhere = json!({ "key_path": format!("v0/keys/{}", "0".repeat(32)) });
    let (_, absent) = explained(&world, &elsewhere, &question(&world, &nowhere)).await;
    let as_absent = hidden.to_string().replace(&world.version.to_string(), &"0".repeat(32));
    assert_eq!((absent.to_string(), &absent["status"]), (as_absent, &404.into()));
}

fn rule(name: &str, codes: Option<&[u32]>) -> Rule {
    Rule {
        name: name.parse().expect("a rule name"),
        callers: [CALLER.parse().expect("a caller")].into(),
        resources: Vec::new(),
        operations: [Operation::Wrap].into(),
        justifications: codes
            .map(|codes| Justifications { codes: codes.iter().copied().collect(), allow_missing: false }),
    }
}

fn grant(level: Level, rule: Rule) -> AdminOperation {
    AdminOperation::Grant { tenant: "one".parse().expect("a tenant"), level, rule }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_names_the_level_the_rule_and_the_words_that_the_caller_would_hear() {
    let world = World::new().await;
    let key = Level::Key("k".parse().expect("a name"));
    let ask = async |more: Value| {
        world.in_use().await;
        let (status, body) = explained(&world, &world.operator, &question(&world, &more)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    };
    let said = |body: &Value| (body["status"].as_u64(), body["rule"].as_str().map(ToOwned::to_owned));

    let nobody = ask(json!({})).await;
    assert_eq!(said(&nobody), (Some(403), None));
    assert!(nobody["message"].as_str().expect("a text").contains("No grant allows service-1@x.example"), "{nobody}");
    assert!(nobody["levels"].as_array().expect("levels").iter().all(|level| level["decides"] == false), "{nobody}");

    world.ask(grant(key.clone(), rule("by-key", Some(&[5])))).await;
    world.ask(grant(Level::Tenant, rule("by-tenant", None))).await;
    let by_reason = ask(json!({ "justification": 5 })).await;
    assert_eq!((said(&by_reason), &by_reason["decision"]), ((Some(200), Some("by-key".to_owned())), &"allowed".into()));
    let by_name = ask(json!({ "justification": "CUSTOMER_INITIATED_ACCESS" })).await;
    assert_eq!((&by_name["levels"], said(&by_name)), (&by_reason["levels"], said(&by_reason)));
    let other = ask(json!({ "justification": 3 })).await;
    assert_eq!((said(&other), &other["decision"]), ((Some(403), Some("by-key".to_owned())), &"refused".into()));
    assert!(other["message"].as_str().expect("a text").contains("THIRD_PARTY_DATA_REQUEST"), "{other}");
    assert_eq!(other["levels"][0]["rules"], json!([{ "rule": "by-key", "effect": "grant", "reason": "no" }]));
    assert_eq!((&other["levels"][0]["decides"], &other["levels"][1]["decides"]), (&true.into(), &false.into()));
    assert_eq!(other["levels"][1]["rules"], json!([{ "rule": "by-tenant", "effect": "grant", "reason": "yes" }]));
    let unknown = ask(json!({ "justification": 99 })).await;
    assert_eq!((said(&unknown), &unknown["decision"]), ((Some(503), Some("by-key".to_owned())), &"unavailable".into()));
    assert_eq!(unknown["levels"][0]["rules"][0]["reason"], "unknown");
    let unwrap = ask(json!({ "operation": "unwrap", "justification": 5 })).await;
    assert_eq!((said(&unwrap), &unwrap["levels"][0]["rules"]), ((Some(403), None), &json!([])));

    let policy = Some(Policy { denies: vec![rule("never", None)], grants: vec![rule("by-tenant", None)] });
    let (tenant, parent) = (world.tenant.clone(), world.revision());
    world.ask(AdminOperation::SetPolicy { tenant, level: Level::Tenant, policy, parent }).await;
    let denied = ask(json!({ "justification": 5 })).await;
    assert_eq!(said(&denied), (Some(403), Some("never".to_owned())), "a deny counts at every level");
    assert_eq!(denied["levels"][1]["rules"][0], json!({ "rule": "never", "effect": "deny", "reason": "yes" }));

    let (tenant, parent) = (world.tenant.clone(), world.revision());
    world.ask(AdminOperation::SetPolicy { tenant, level: Level::Tenant, policy: None, parent }).await;
    let alias = world.ask(AdminOperation::CreateAlias { tenant: world.tenant.clone(), version: world.version }).await;
    let alias = alias.path.expect("an alias has a path");
    let by_alias = ask(json!({ "justification": 5, "key_path": alias })).await;
    assert_eq!((said(&by_alias).0, &by_alias["key_path"]), (Some(200), &alias.clone().into()));
    assert_eq!(by_alias["version"]["path"], replication::ids::key_path(world.version));
    world.ask(world.disable(world.revision())).await;
    let disabled = ask(json!({ "justification": 5 })).await;
    assert_eq!((said(&disabled).0, &disabled["code"]), (Some(400), &"FAILED_PRECONDITION".into()));
    assert_eq!((&disabled["version"]["state"], &disabled["rule"]), (&"disabled".into(), &"by-key".into()));

    let (_, found) = world.got(&format!("/admin/v1/versions/{}", alias.trim_start_matches("v0/keys/"))).await;
    assert_eq!((&found["by_alias"], &found["version"]["aliases"]), (&alias.clone().into(), &json!([alias])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_cannot_be_read_is_told_what_one_looks_like() {
    let world = World::new().await;
    for (more, says) in [
        (json!({ "key_path": "v0/keys/short" }), "v0/keys/ and 32 hexadecimal digits"),
        (json!({ "key_path": "https://ekm.example/v0/keys/00" }), "without host and verb"),
        (json!({ "caller": "nobody" }), "a caller is the e-mail address"),
        (json!({ "operation": "sign" }), "unknown variant `sign`"),
        (json!({ "reason": 5 }), "unknown field `reason`"),
        (json!({ "justification": [] }), "cannot be read"),
    ] {
        let (status, body) = explained(&world, &world.operator, &question(&world, &more)).await;
        let message = body["error"]["message"].as_str().expect("a text");
        assert!(status == StatusCode::BAD_REQUEST && message.contains(says), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_late_is_shown_to_those_who_reach_its_tenant() {
    let world = World::new().await;
    let here = world.enrolled("here", &[PersonRole::Viewer], Some(&["one"])).await;
    let elsewhere = world.enrolled("elsewhere", &[PersonRole::Viewer], Some(&["two"])).await;
    let record = |byte: u8, tenant: Option<&str>| {
        let request = RequestId::new([byte; 16]);
        let arrival = Arrival { request, at: world.store.now() };
        let mut trail = Trail::new(arrival, "wrap", "v0/keys/k");
        trail.tenant = tenant.map(|name| name.parse().expect("a tenant"));
        trail.caller = Some(CALLER.parse().expect("a caller"));
        let _ = world
            .admin
            .plane
            .service()
            .expect("it answers callers")
            .audit
            .record(Outcome::refused(trail, ServiceError::Doubtful(Doubt::Path)));
        format!("{SEEN_PATH}/{request}")
    };
    let (of_one, of_none, of_system) = (record(1, Some("one")), record(2, None), record(3, Some("system")));
    for (who, path, status) in [
        (&world.operator, &of_one, 200),
        (&here, &of_one, 200),
        (&elsewhere, &of_one, 404),
        (&world.operator, &of_none, 200),
        (&here, &of_none, 404),
        (&world.operator, &of_system, 404),
    ] {
        assert_eq!(world.got_by(who, path).await.0.as_u16(), status, "{path}");
    }
    let (_, shown) = world.got(&of_one).await;
    let id = RequestId::parse(&"01".repeat(16)).expect("an id");
    let line = world.admin.plane.service().expect("it answers callers").audit.seen().find(&id).expect("it is there");
    assert_eq!(
        shown,
        serde_json::from_slice::<Value>(&line).expect("a record is JSON"),
        "nothing of the record is left out"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_made_through_the_api_has_its_purpose_and_its_one_version() {
    let world = World::new().await;
    let (_, key) = world.got("/admin/v1/tenants/one/keys/k").await;
    assert_eq!(key["purpose"], serde_json::to_value(Purpose::EncryptDecrypt).expect("JSON"));
    assert_eq!(key["versions"][0]["path"], replication::ids::key_path(world.version));
    let (method, path) = (Method::HEAD, "/admin/v1/tenants/one/keys/k");
    let head = Request::builder().method(method).uri(path).extension(world.operator.certificate.clone());
    let head = world.router().oneshot(head.body(Body::empty()).expect("a legal request")).await;
    assert_eq!(head.expect("the router always answers").status(), StatusCode::OK);
}
