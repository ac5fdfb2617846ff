//! Two shards in one `ekm dev`: added while calls are answered, killed while one is added, and damaged one at a time.

use std::path::Path;
use std::time::Duration;

use super::google::{Google, Protocol};
use super::harness::{Dev, Process, ekm_dev, ekmctl, ekmctl_json, soon, temporary};

const PLAINTEXT: &str = "c2VjcmV0";
const NOBODYS: &str = "v0/keys/0123456789abcdef0123456789abcdef";
/// When a server is killed after it was asked to add a shard: an input, on which nothing depends.
const KILLS_AFTER_MILLIS: [u64; 4] = [0, 15, 60, 200];

/// A tenant in the second shard with a key that the demo caller may use; gives the key's path.
async fn key_in_the_second(folder: &Path) -> String {
    let made = ekmctl_json(folder, &["tenant", "create", "far", "--shard", "2"]).await;
    assert_eq!(made["shard"], 2, "{made}");
    let made = ekmctl_json(folder, &["key", "create", "key-1", "--tenant", "far"]).await;
    let grant = ["grant", "demo", "--tenant", "far", "--key", "key-1", "--caller", server::dev::CALLER];
    ekmctl_json(folder, &grant).await;
    made["path"].as_str().expect("a key has a path").to_owned()
}

async fn shards(folder: &Path) -> Vec<(u64, bool, u64)> {
    let listed = ekmctl_json(folder, &["shard", "list"]).await;
    let one = |shard: &serde_json::Value| {
        let number = |name: &str| shard[name].as_u64().expect("a number");
        (number("shard"), shard["serves"].as_bool().expect("yes or no"), number("tenants"))
    };
    listed.as_array().expect("a list").iter().map(one).collect()
}

/// Waits until nobody's key is refused for good: then every view is fresh.
async fn every_view_is_fresh(google: &Google) {
    let fresh = async {
        while google.wrap(NOBODYS, "").await.expect("an answer").status != 404 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon("fresh views of all shards", fresh).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_shard_answers_503_and_the_other_serves_and_changes() {
    let folder = temporary();
    let dev = Dev::start(folder.path()).await;
    let added = ekmctl_json(folder.path(), &["shard", "add", "2"]).await;
    assert_eq!(added["shard"], 2, "{added}");
    let far = key_in_the_second(folder.path()).await;
    let near = dev.file.key_path.clone();
    assert_eq!(shards(folder.path()).await, [(1, true, 1), (2, true, 1)]);
    let shown = ekmctl(folder.path(), &["tenant", "show", "far"]).await.out;
    assert!(shown.contains("far  shard=2 "), "{shown}");
    let google = Google::new(&dev, Protocol::Http2);
    let mut blobs = Vec::new();
    for path in [&near, &far] {
        let wrapped = google.settled_wrap(path, PLAINTEXT).await.expect("an answer");
        assert_eq!(wrapped.status, 200, "{wrapped:?}");
        blobs.push(wrapped.text("wrappedBlob").to_owned());
    }
    every_view_is_fresh(&google).await;
    dev.stop().await;

    let log = folder.path().join("groups/2/log.redb");
    let whole = std::fs::read(&log).expect("it is there");
    std::fs::write(&log, b"").expect("the log can be emptied");
    let dev = Dev::start(folder.path()).await;
    let google = Google::new(&dev, Protocol::Http2);
    let unwrapped = google.settled_unwrap(&near, &blobs[0]).await.expect("an answer");
    assert_eq!((unwrapped.status, unwrapped.text("plaintext")), (200, PLAINTEXT), "{unwrapped:?}");
    for path in [far.as_str(), NOBODYS] {
        let answer = google.wrap(path, PLAINTEXT).await.expect("an answer");
        assert_eq!(answer.status, 503, "never 404 beside a shard that is missing: {path}: {answer:?}");
    }
    assert_eq!(shards(folder.path()).await, [(1, true, 1), (2, false, 1)]);
    let made = ekmctl_json(folder.path(), &["tenant", "create", "late"]).await;
    assert_eq!(made["shard"], 1, "new tenants go where changes are taken: {made}");
    let refused = ekmctl(folder.path(), &["key", "create", "key-2", "--tenant", "far"]).await;
    assert!(refused.code != Some(0) && refused.err.contains("shard 2 does not serve"), "{}", refused.err);
    let doctor = ekmctl(folder.path(), &["doctor"]).await;
    assert!(doctor.code != Some(0) && doctor.out.contains("BROKEN  shard 2 does not serve"), "{}", doctor.out);
    let metrics = dev.metrics().await;
    for line in ["ekm_shard_serves{shard=\"1\"} 1", "ekm_shard_serves{shard=\"2\"} 0", "ekm_probe_passing 1"] {
        assert!(metrics.lines().any(|shown| shown == line), "{line}: {metrics}");
    }
    dev.process.terminate();
    let ended = dev.process.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("does not serve") && !ended.err.contains("panicked"), "{}", ended.err);

    std::fs::write(&log, whole).expect("the log can be put back");
    let dev = Dev::start(folder.path()).await;
    let google = Google::new(&dev, Protocol::Http2);
    for (path, blob) in [&near, &far].into_iter().zip(&blobs) {
        let unwrapped = google.settled_unwrap(path, blob).await.expect("an answer");
        assert_eq!((unwrapped.status, unwrapped.text("plaintext")), (200, PLAINTEXT), "{unwrapped:?}");
    }
    every_view_is_fresh(&google).await;
    dev.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_while_a_shard_is_added_finishes_it_at_its_next_start() {
    let folder = temporary();
    for (round, millis) in KILLS_AFTER_MILLIS.into_iter().enumerate() {
        let number = (round + 2).to_string();
        let mut dev = Dev::start(folder.path()).await;
        let id = format!("{:032x}", round + 1);
        let add = ["shard", "add", &number, "--idempotency-id", &id];
        let asking = ekmctl(folder.path(), &add);
        let killing = async {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            dev.process.kill();
        };
        tokio::join!(asking, killing);
        dev.process.ended().await;

        let dev = Dev::start(folder.path()).await;
        ekmctl_json(folder.path(), &add).await;
        let named = shards(folder.path()).await;
        assert!(named.iter().all(|(_, serves, _)| *serves), "round {round}: {named:?}");
        assert_eq!(named.last().map(|(shard, ..)| shard.to_string()), Some(number.clone()), "{named:?}");
        let tenant = format!("of-{number}");
        let made = ekmctl_json(folder.path(), &["tenant", "create", &tenant, "--shard", &number]).await;
        assert_eq!(made["shard"].to_string(), number, "{made}");
        every_view_is_fresh(&Google::new(&dev, Protocol::Http2)).await;
        dev.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_an_older_copy_of_group_0_is_refused() {
    let folder = temporary();
    Dev::start(folder.path()).await.stop().await;
    let (newer, older) = (folder.path().join("newer"), folder.path().join("groups/0"));
    let copied = std::process::Command::new("cp").arg("-a").arg(&older).arg(&newer).status();
    assert!(copied.is_ok_and(|status| status.success()), "a folder can be copied");
    let dev = Dev::start(folder.path()).await;
    ekmctl_json(folder.path(), &["shard", "add", "2"]).await;
    dev.stop().await;
    std::fs::remove_dir_all(&older).expect("it is there");
    std::fs::rename(&newer, &older).expect("one file system");
    let ended = Process::start(ekm_dev(folder.path()).args(["--port", "0"])).ended().await;
    assert!(ended.code != Some(0) && ended.err.contains("knows of no shard 2"), "{:?}: {}", ended.code, ended.err);
}
