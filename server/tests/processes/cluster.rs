//! A cluster of three `ekm keystore` processes, two with keys and a witness: founded, joined, used, killed and started again; and every way
//! to begin one wrongly.

use serde_json::Value;

use super::harness::{Process, ekm_dev, finish};
use super::site::{LINEAGE, Role, Site};

/// Whether every group of a status has these voters and a leader.
fn is_led_by(status: &Value, groups: usize, voters: usize) -> bool {
    let all = status["groups"].as_array().expect("a list");
    let is_whole = |group: &Value| {
        group["voters"].as_array().is_some_and(|list| list.len() == voters)
            && group["learners"].as_array().is_some_and(Vec::is_empty)
            && group["leader"].is_u64()
    };
    all.len() == groups && all.iter().all(is_whole)
}

fn ok(ended: &super::harness::Ended) {
    assert_eq!(ended.code, Some(0), "{}", ended.err);
}

/// Three replicas that are members of every group, the third a witness.
async fn three(site: &Site) -> [Process; 3] {
    let first = site.start(1, Role::Data).await;
    let before = site.done(1, "ann", &["cluster", "status"]).await;
    assert_eq!((&before["joined"], &before["lineage"]), (&Value::Bool(false), &Value::Null), "{before}");
    let early = site.ctl(1, "ann", &["tenant", "list"]).await;
    assert!(early.code == Some(75) && early.err.contains("cluster init"), "{}", early.err);
    let founded = site.init(1).await;
    ok(&founded);
    assert!(founded.out.contains(LINEAGE) && founded.out.contains("root-1.key (made)"), "{}", founded.out);
    let second = site.start(2, Role::Data).await;
    let third = site.start(3, Role::Witness).await;
    site.copy_root_key(1, 2);
    // the third one at the second, which has just joined itself
    for (at, number) in [(1, 2), (2, 3)] {
        ok(&site.join(at, number).await);
    }
    site.status(1, "three voters everywhere", |status| is_led_by(status, 2, 3)).await;
    [first, second, third]
}

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_are_founded_joined_and_go_on_without_one() {
    let site = Site::new(3);
    let [mut first, second, mut third] = three(&site).await;
    site.ready(1).await;
    site.ready(2).await;
    let joined = site.done(1, "ann", &["cluster", "status"]).await;
    assert_eq!(joined["replicas"].as_array().map(Vec::len), Some(3), "{joined}");
    // what is made at one replica is there at another at once
    site.done_soon(2, "ann", &["tenant", "create", "acme"]).await;
    let made = site.done_soon(1, "ann", &["key", "create", "k1", "--tenant", "acme"]).await;
    site.done_soon(2, "ann", &["key", "rotate", "k1", "--tenant", "acme"]).await;
    assert_eq!(site.done_soon(2, "ann", &["shard", "add", "2"]).await["shard"], 2);
    site.status(1, "the new shard everywhere", |status| is_led_by(status, 3, 3)).await;
    site.done_soon(1, "ann", &["tenant", "create", "far", "--shard", "2"]).await;
    let path = made["path"].as_str().expect("a key has a path");
    let grant = ["grant", "g", "--tenant", "acme", "--key", "k1", "--caller", "a@b.iam.gserviceaccount.com"];
    site.done_soon(2, "ann", &grant).await;
    let explained = site.done_soon(1, "ann", &["explain", path, "--caller", "a@b.iam.gserviceaccount.com"]).await;
    assert_eq!(explained["decision"], "allowed", "{explained}");

    first.kill();
    drop(first);
    site.done_soon(2, "ann", &["key", "create", "k2", "--tenant", "acme"]).await;
    site.done_soon(2, "ann", &["key", "create", "k1", "--tenant", "far"]).await;

    // without a quorum nothing is changed, and what is there is shown
    third.kill();
    drop(third);
    let refused = site.ctl(2, "ann", &["key", "create", "k3", "--tenant", "acme"]).await;
    assert!(refused.code == Some(75) && refused.err.contains("nothing was changed"), "{}", refused.err);
    second.terminate();
    ok(&second.ended().await);
    let second = site.start(2, Role::Data).await;
    site.status(2, "a start without a quorum", |status| status["joined"] == true).await;
    let keys = site.done_soon(2, "ann", &["key", "list", "--tenant", "acme"]).await;
    assert_eq!(keys.as_array().map(Vec::len), Some(2), "{keys}");

    let first = site.start(1, Role::Data).await;
    site.done_soon(1, "ann", &["key", "create", "k3", "--tenant", "acme"]).await;
    site.ready(1).await;
    for process in [first, second] {
        process.terminate();
        ok(&process.ended().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_founded_once_and_a_number_is_used_once() {
    let site = Site::new(2);
    let first = site.start(1, Role::Data).await;
    let few = ["--person", "ann:operator:ann.pem", "--person", "bea:security_officer:bea.pem"];
    let trust = ["--issuer", "https://accounts.google.com", "--audience", "https://ekm.example"];
    let alone = site.ctl(1, "ann", &[&["cluster", "init"], few.as_slice(), trust.as_slice()].concat()).await;
    assert!(alone.code == Some(1) && alone.err.contains("at least 2 security officers"), "{}", alone.err);
    ok(&site.init(1).await);
    let again = site.init(1).await;
    assert!(again.code == Some(1) && again.err.contains("founded"), "{}", again.err);

    let second = site.start(2, Role::Data).await;
    let by_operator = site.ctl(1, "ann", &["cluster", "join", "data-2/replica.json"]).await;
    assert!(by_operator.code == Some(1) && by_operator.err.contains("security_officer"), "{}", by_operator.err);
    let not_one = site.ctl(1, "bea", &["cluster", "join", "keystore-2.toml"]).await;
    assert!(not_one.code == Some(64) && not_one.err.contains("replica.json"), "{}", not_one.err);
    let own = site.join(1, 1).await;
    assert!(own.code == Some(1) && own.err.contains("never used again"), "{}", own.err);
    ok(&site.join(1, 2).await);
    let twice = site.join(1, 2).await;
    assert!(twice.code == Some(1) && twice.err.contains("never used again"), "{}", twice.err);
    site.status(2, "a second replica", |status| status["joined"] == true).await;
    drop((first, second));

    // a replica that served before, and whose root key is gone or another one's
    std::fs::remove_file(site.path().join("root-1.key")).expect("it was made");
    let gone = site.refused(1, Role::Data).await;
    assert!(gone.code == Some(69) && gone.err.contains("put it back from a copy"), "{}", gone.err);
    let changed = site.refused(1, Role::Witness).await;
    assert!(changed.code == Some(69) && changed.err.contains("role"), "{}", changed.err);
    let other = Site::new(1);
    let process = other.start(1, Role::Data).await;
    ok(&other.init(1).await);
    drop(process);
    std::fs::copy(other.path().join("root-1.key"), site.path().join("root-1.key")).expect("it was made");
    let foreign = site.refused(1, Role::Data).await;
    assert!(foreign.code == Some(69) && foreign.err.contains("root key does not open"), "{}", foreign.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_belong_to_the_cluster_is_refused_at_the_start() {
    let site = Site::new(2);
    for (name, said) in [
        (format!("ekm://{LINEAGE}/frontend/a"), "of another kind"),
        (format!("ekm://{LINEAGE}/replica/2"), "replica 2"),
        ("ekm://ffffffffffffffffffffffffffffffff/replica/1".to_owned(), "another cluster"),
    ] {
        site.certify(1, &name);
        let refused = site.refused(1, Role::Data).await;
        assert!(refused.code == Some(69) && refused.err.contains(said), "{name}: {}", refused.err);
        assert!(!site.data_dir(1).exists(), "nothing is left behind");
    }
    site.certify(1, &format!("ekm://{LINEAGE}/replica/1"));
    let process = site.start(1, Role::Data).await;
    ok(&site.init(1).await);
    drop(process);

    let file = site.settings(1, Role::Data);
    let text = std::fs::read_to_string(&file).expect("it was written");
    let lineage = "ffffffffffffffffffffffffffffffff";
    std::fs::write(&file, text.replace(LINEAGE, lineage)).expect("the folder is writable");
    site.certify(1, &format!("ekm://{lineage}/replica/1"));
    let refused = finish(super::harness::ekm().arg("keystore").arg(&file)).await;
    assert!(refused.code == Some(69) && refused.err.contains(LINEAGE), "{}", refused.err);

    site.certify(1, &format!("ekm://{LINEAGE}/replica/1"));
    std::fs::remove_file(site.data_dir(1).join("replica-key.der")).expect("it was made");
    let refused = site.refused(1, Role::Data).await;
    assert!(refused.code == Some(69) && refused.err.contains("replica-key.der"), "{}", refused.err);

    std::fs::rename(site.data_dir(1), site.data_dir(2)).expect("nobody uses it");
    let refused = site.refused(2, Role::Witness).await;
    assert!(refused.code == Some(69) && refused.err.contains("replica 1"), "{}", refused.err);
    std::fs::remove_dir_all(site.data_dir(2)).expect("nobody uses it");

    let mut dev = Process::start(ekm_dev(&site.data_dir(2)).args(["--port", "0"]));
    dev.line("More tokens:").await.expect("it serves");
    drop(dev);
    let refused = site.refused(2, Role::Data).await;
    assert!(refused.code == Some(69) && refused.err.contains("ekm dev"), "{}", refused.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_founded_and_grows_alarms_nobody() {
    let site = Site::new(3);
    let processes = three(&site).await;
    site.ready(1).await;
    site.ready(2).await;
    site.ready(3).await;
    site.done_soon(2, "ann", &["tenant", "create", "acme"]).await;
    site.done_soon(2, "ann", &["shard", "add", "2"]).await;
    site.status(1, "the new shard everywhere", |status| is_led_by(status, 3, 3)).await;
    for process in &processes {
        process.terminate();
    }
    for process in processes {
        let ended = process.ended().await;
        ok(&ended);
        // openraft tells of every heartbeat that a busy machine is late with
        let told =
            super::harness::alarms(&ended.err).into_iter().filter(|line| !line.contains("\"target\":\"openraft"));
        assert_eq!(told.collect::<Vec<_>>(), Vec::<&str>::new());
    }
}
