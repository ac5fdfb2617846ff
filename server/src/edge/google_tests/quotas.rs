//! Quotas as callers and operators see them: who uses one up, what the answer and the record say, and who does not notice.

use std::time::Duration;

use http::Method;

use super::world::World;
use super::{WRAP, wrap, wrap_for};

/// How many of ten wraps are served, and how the last one ends.
async fn ten(world: &World, key: &str) -> (usize, u16) {
    let (mut served, mut last) = (0, 0);
    for _ in 0..10 {
        last = wrap(world, key).await.status;
        served += usize::from(last == 200);
    }
    (served, last)
}

fn counted(world: &World, metric: &str) -> bool {
    world.service.metrics.render().lines().any(|line| line == metric)
}

#[tokio::test]
async fn a_hot_key_uses_up_its_crypto_space_and_a_neighbour_is_served() {
    let world = World::fresh().await;
    assert_eq!(ten(&world, "hot").await, (3, 429));
    assert_eq!(ten(&world, "warm").await, (0, 429), "it shares the crypto space's");
    assert_eq!(ten(&world, "k1").await, (10, 200), "outside of the crypto space there is no quota");
    assert_eq!(ten(&world, "theirs").await, (4, 429), "the neighbour has a quota of its own");
    assert!(counted(&world, "ekm_quota_refusals_total{level=\"crypto_space\"} 17"));
    assert!(counted(&world, "ekm_quota_refusals_total{level=\"tenant\"} 6"));
    assert!(counted(&world, "ekm_quota_refusals_total{level=\"key\"} 0"));
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(ten(&world, "hot").await, (1, 429), "as RetryInfo says, and at the quota's pace");
}

#[tokio::test]
async fn the_answer_and_the_record_say_which_quota_it_was() {
    let world = World::fresh().await;
    ten(&world, "paced").await;
    let answer = wrap(&world, "paced").await;
    assert_eq!((answer.status, &answer.json["code"]), (429, &8.into()));
    let path = world.path("paced");
    assert!(answer.message().contains(&format!("'{}'", &path[1..])), "{}", answer.message());
    let kinds: Vec<_> =
        answer.json["details"].as_array().expect("details").iter().map(|one| one["@type"].clone()).collect();
    let ends = ["RequestInfo", "RetryInfo", "QuotaFailure", "ErrorInfo"];
    assert_eq!(kinds, ends.map(|end| serde_json::Value::from(format!("type.googleapis.com/google.rpc.{end}"))));
    assert_eq!(answer.json["details"][2]["violations"][0]["subject"], path[1..]);
    let told = &answer.json["details"][3];
    assert_eq!((&told["domain"], &told["metadata"]["level"]), (&"ekm".into(), &"key".into()));

    let audit = world.audit();
    let line = audit.last().expect("a record");
    let told = [&line["decision"], &line["code"], &line["quota"], &line["rule"]];
    assert_eq!(told, ["refused", "RESOURCE_EXHAUSTED", "key", "r1"]);
    assert_eq!(audit[0]["quota"], serde_json::Value::Null);
}

#[tokio::test]
async fn whoever_is_refused_for_another_reason_uses_nothing_up() {
    let world = World::fresh().await;
    let path = format!("{}:wrap", world.path("paced"));
    for _ in 0..20 {
        let mut stranger = world.request(&Method::POST, &path, WRAP);
        stranger.headers_mut().clear();
        assert_eq!(world.send(stranger).await.status, 401);
        assert_eq!(world.send(world.probing(&path, WRAP)).await.status, 403, "it has no grant");
        assert_eq!(world.post(&path, "{").await.status, 400);
    }
    assert_eq!(ten(&world, "paced").await, (2, 429));
    assert_eq!(world.send(world.probing(&path, WRAP)).await.status, 403, "and learns nothing of the quota");
}

#[tokio::test]
async fn a_key_that_is_off_says_so_and_takes_nothing_from_its_crypto_space() {
    let world = World::fresh().await;
    for _ in 0..20 {
        assert_eq!(wrap(&world, "idle").await.status, 400);
    }
    assert_eq!(ten(&world, "hot").await, (3, 429));
    let answer = wrap(&world, "idle").await;
    assert_eq!(answer.status, 400, "a caller that is told to come back would never learn it: {}", answer.message());
}

#[tokio::test]
async fn a_stale_view_still_holds_its_quotas() {
    let world = World::fresh().await;
    world.clock.advance(Duration::from_mins(1));
    assert_eq!(ten(&world, "paced").await, (2, 429));
}

#[tokio::test]
async fn unwraps_and_health_checks_are_counted_as_wraps_are() {
    let world = World::fresh().await;
    let blob = wrap(&world, "paced").await.json["wrappedBlob"].as_str().expect("a blob").to_owned();
    let check = format!(
        r#"{{"wrappedBlob":"{blob}","additionalAuthenticatedData":"YWFk","additionalContext":{{"isKeyHealthCheck":true}}}}"#
    );
    let unwrap = format!("{}:unwrap", world.path("paced"));
    assert_eq!(world.post(&unwrap, check.clone()).await.status, 200);
    assert_eq!(world.post(&unwrap, check).await.status, 429);
    assert_eq!(wrap_for(&world, "paced", "5").await.status, 429);
}
