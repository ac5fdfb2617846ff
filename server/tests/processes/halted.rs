//! `ekm dev` on data with an entry of a newer release: it starts, says so, changes nothing, and refuses nobody for good.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use replication::ids::{LogIndex, ReplicaId, ShardId};
use replication::raft::group::{ProposeError, SnapshotLimits, Timers};
use replication::raft::host::{Host, HostSettings};
use replication::raft::network::NoPeers;
use replication::store::blocking::Blocking;

use super::google::{Google, Protocol};
use super::harness::{Dev, ekmctl, ekmctl_json, temporary};

/// Ample for a group of one voter.
const AMPLE: Duration = Duration::from_mins(1);

/// Puts an entry into the shard's log that this release cannot decode.
async fn plant(folder: &Path) -> LogIndex {
    let folder = folder.to_owned();
    let settings = HostSettings {
        replica: ReplicaId(1),
        folder,
        timers: Timers::default(),
        blocking: Blocking::Threads,
        limits: SnapshotLimits::default(),
        disk_reserve_bytes: 0,
        peers: Arc::new(NoPeers),
        address: None,
    };
    let host: Host = Host::open(settings).await.expect("the groups of an ended server can be opened");
    host.initialise_single(AMPLE).await.expect("the only voter is elected");
    let shard = host.shard(ShardId::FIRST).expect("every host has it");
    let planted = shard.danger_propose_unread(b"of a newer release".to_vec(), AMPLE).await;
    host.shutdown().await;
    match planted {
        Err(ProposeError::Halted { since }) => since,
        other => panic!("what cannot be decoded halts a group: {other:?}"),
    }
}

/// A tenant of the class `available` with a key that the demo caller may use; gives the key's path.
async fn available_key(folder: &Path) -> String {
    ekmctl_json(folder, &["tenant", "create", "open", "--staleness", "available"]).await;
    let made = ekmctl_json(folder, &["key", "create", "key-1", "--tenant", "open"]).await;
    let grant = ["grant", "demo", "--tenant", "open", "--key", "key-1", "--caller", server::dev::CALLER];
    ekmctl_json(folder, &grant).await;
    made["path"].as_str().expect("a key has a path").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halted_group_starts_says_so_and_the_data_plane_goes_on() {
    let folder = temporary();
    let dev = Dev::start(folder.path()).await;
    let open = available_key(folder.path()).await;
    dev.stop().await;
    let since = plant(folder.path()).await;

    let ready = folder.path().join("ready");
    let ready_file = ready.to_str().expect("a temporary folder has a legal name");
    let dev = Dev::start_with(folder.path(), &["--ready-file", ready_file]).await;
    let printed = dev.process.printed().join("\n");
    let said = format!("NOT READY: group 1 has halted at entry {since}, which this release cannot decode.");
    assert!(printed.contains(&said) && printed.contains("start the release that wrote the\nentry"), "{printed}");
    assert!(!ready.exists(), "nobody is told that it is ready");

    let status = ekmctl_json(folder.path(), &["status"]).await;
    assert_eq!(status["groups"][1]["halted"], since.0, "{status}");
    assert_eq!((&status["groups"][0]["halted"], &status["ready"]), (&serde_json::Value::Null, &false.into()));
    let text = ekmctl(folder.path(), &["status"]).await.out;
    assert!(
        text.contains(&format!("HALTED at entry {since}, which this release cannot decode; start the release")),
        "{text}"
    );
    let refused = ekmctl(folder.path(), &["tenant", "create", "late"]).await;
    assert_ne!(refused.code, Some(0), "{}", refused.out);
    assert!(refused.err.contains(&format!("halted at entry {since}")), "{}", refused.err);

    let google = Google::new(&dev, Protocol::Http2);
    assert_eq!(google.settled_wrap(&open, "").await.expect("an answer").status, 200, "no age stops this tenant");
    for path in [dev.file.key_path.as_str(), "v0/keys/0123456789abcdef0123456789abcdef", "v0/keys/none"] {
        let answer = google.wrap(path, "").await.expect("an answer");
        assert_eq!(answer.status, 503, "nothing is refused for good: {path}: {answer:?}");
    }
    let url = format!("{}/readyz", dev.file.health_url);
    let ready = reqwest::get(url).await.expect("it answers");
    assert_eq!(ready.status(), 503);
    assert!(ready.text().await.expect("text").contains("a group has halted"));
    assert!(dev.metrics().await.contains("ekm_raft_halted{group=\"1\"} 1"));
    dev.process.terminate();
    let ended = dev.process.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(!ended.err.contains("panicked"), "{}", ended.err);
}
