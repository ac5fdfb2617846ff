//! A file system that fills up under a working `ekm dev`: changes are refused and say why, wraps and unwraps go on, also over a
//! kill and a start while it is full, and once there is room again changes are taken without anybody's help.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use serde_json::Value;
use server::admin::client::ClientError;
use server::admin::wire::FailureCode;

use super::cases::{DATA, Prepared, said, stop_after_trouble, work};
use super::disk::{Disk, folder};
use super::google::Protocol;
use super::harness::{Dev, Process, ekm_dev, ekmctl, soon};
use super::ledger::Ledger;
use super::scene::{Scene, ensure_tenants};
use super::tracer::traced;
use super::worker::new_id;
use replication::machine::request::AdminOperation;
use replication::machine::rows::Staleness;

const DISK_BYTES: u64 = 256 << 20;
/// What changes leave free of that: an eighth.
const RESERVE_BYTES: u64 = DISK_BYTES / 8;
const PLAINTEXT: &str = "ZnVsbCBkaXNr";
/// Wraps and unwraps in each state of the disk.
const CALLS: usize = 20;

/// A file that takes room.
struct Ballast {
    path: PathBuf,
}

/// What a server that runs as root can still write, the part that ext4 keeps for root included.
fn free_bytes(folder: &Path) -> u64 {
    let found = statvfs(folder).expect("a mounted file system can be measured");
    found.f_bfree * found.f_frsize
}

impl Ballast {
    /// Takes all but so many bytes of the disk; as much as can be had if that is nothing.
    fn leaving(disk: &Disk, name: &str, bytes: u64) -> Self {
        let path = disk.root().join(name);
        let file = File::create_new(&path).expect("the disk takes one more name");
        let mut piece = 1 << 24;
        let mut taken = 0;
        while piece >= 4096 {
            let more = free_bytes(disk.root()).saturating_sub(bytes).min(piece);
            if more >= 4096 && fallocate(&file, FallocateFlags::empty(), taken, more).is_ok() {
                taken += more;
            } else {
                piece /= 2;
            }
        }
        file.sync_all().expect("the ballast can be made durable");
        Self { path }
    }

    fn remove(self) {
        std::fs::remove_file(&self.path).expect("the ballast is there");
    }
}

/// Wraps and unwraps, each of which must be answered at once.
async fn serves(scene: &Scene, path: &str, blob: &str) {
    for _ in 0..CALLS {
        let wrapped = scene.google.wrap(path, PLAINTEXT).await.expect("the server answers");
        assert_eq!(wrapped.status, 200, "{wrapped:?}");
        let unwrapped = scene.google.unwrap(path, blob).await.expect("the server answers");
        assert_eq!((unwrapped.status, unwrapped.text("plaintext")), (200, PLAINTEXT), "{unwrapped:?}");
    }
}

/// Asks for a change under a new id; `None` if it was carried out.
async fn refusal(scene: &Scene, tenant: &str) -> Option<(FailureCode, String)> {
    let operation = AdminOperation::CreateTenant {
        tenant: tenant.parse().expect("a legal tenant name"),
        staleness: Staleness::default(),
        shard: None,
    };
    let asked = async {
        let lineage = scene.admin.status().await?.lineage;
        scene.admin.execute(lineage, new_id(), operation).await
    };
    match soon("an answer to a change", asked).await {
        Ok(_) => None,
        Err(ClientError::Refused(failure)) => Some((failure.code, failure.message)),
        Err(error) => panic!("the admin API did not answer: {error}"),
    }
}

/// Waits until a metric has a value.
async fn metric(dev: &Dev, line: &str) {
    soon(line, async {
        while !dev.metrics().await.lines().any(|shown| shown == line) {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// What the log says of the disk, in its order: how many errors, and whether the last word is that there is room.
fn told(log: &str) -> (usize, usize) {
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_default());
    let (mut shortages, mut ends) = (0, 0);
    for event in events {
        let text = event.to_string();
        shortages += usize::from(event["level"] == "ERROR" && text.contains("changes are refused"));
        ends += usize::from(event["level"] == "INFO" && text.contains("room on the disk again, and changes are taken"));
    }
    (shortages, ends)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_changes_and_nothing_else_and_recovers_by_itself() {
    let folder = folder();
    let disk = Disk::new(folder.path(), "full", DISK_BYTES);
    let data = disk.root().join(DATA);
    let mut ledger = Ledger::default();
    let scene = Scene::open(&data, Protocol::Http2).await;
    ensure_tenants(&scene.admin, &mut ledger).await;
    work(&scene, &mut ledger, "before").await;
    let path = scene.dev.file.key_path.clone();
    let blob = scene.google.settled_wrap(&path, PLAINTEXT).await.expect("the server answers");
    let blob = blob.text("wrappedBlob").to_owned();

    // nearly full: refused before anything is written
    let ballast = Ballast::leaving(&disk, "ballast", RESERVE_BYTES / 2);
    // each group measures the room under it, at moments of its own
    for group in ["0", "1"] {
        metric(&scene.dev, &format!("ekm_disk_short{{group=\"{group}\"}} 1")).await;
    }
    let (code, message) = refusal(&scene, "refused").await.expect("the disk is nearly full");
    assert_eq!(code, FailureCode::NoRoom, "{message}");
    assert!(message.contains("wraps and unwraps go on") && message.contains("Make room"), "{message}");
    let by_hand = ekmctl(&data, &["tenant", "create", "refused"]).await;
    assert_eq!(by_hand.code, Some(i32::from(server::exit::TRY_LATER)), "{}", by_hand.err);
    assert!(by_hand.err.contains("Make room"), "{}", by_hand.err);
    serves(&scene, &path, &blob).await;
    said(&format!("nearly full, {} KiB free: {message}", free_bytes(disk.root()) >> 10));

    // really full: nothing can be written at all
    let rest = Ballast::leaving(&disk, "rest", 0);
    said(&format!("full, {} KiB free", free_bytes(disk.root()) >> 10));
    serves(&scene, &path, &blob).await;
    let refused = scene.dev.metrics().await;
    assert!(!refused.contains("ekm_audit_errors_total{step=\"write\"} 0"), "the disk takes records: it is not full");
    assert!(refusal(&scene, "refused").await.is_some());

    // killed, and started where nothing can be written
    let Scene { mut dev, .. } = scene;
    dev.process.kill();
    let killed = dev.process.ended().await;
    // each group tells of it
    assert_eq!(told(&killed.err), (2, 0), "{}", killed.err);
    // on the ports that its settings keep: what it says of itself cannot be written, and is true all the same
    let scene = Scene::of(Dev::start_with(&data, &[]).await, Protocol::Http2);
    serves(&scene, &path, &blob).await;
    let (code, message) = refusal(&scene, "refused").await.expect("the disk is full");
    assert_eq!(code, FailureCode::NoRoom, "{message}");

    // room again, and nobody restarts anything
    rest.remove();
    ballast.remove();
    for group in ["0", "1"] {
        metric(&scene.dev, &format!("ekm_disk_short{{group=\"{group}\"}} 0")).await;
    }
    assert_eq!(refusal(&scene, "taken").await, None);
    serves(&scene, &path, &blob).await;
    scene.check(&mut ledger).await;
    work(&scene, &mut ledger, "after").await;
    scene.check(&mut ledger).await;
    for line in ["ekm_audit_unwritten_bytes 0", "ekm_audit_lost_records_total 0"] {
        metric(&scene.dev, line).await;
    }
    scene.dev.process.terminate();
    let ended = scene.dev.process.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(told(&ended.err), (2, 2), "{}", ended.err);
    audit_is_whole(&data);
}

/// Which of a thread's writes to the log of the only shard finds no room: the first ones are of opening it.
const REFUSED_WRITES: [usize; 4] = [4, 9, 14, 25];

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_the_log_that_finds_no_room_is_made_again_and_loses_nothing() {
    let before = Prepared::new().await;
    for when in REFUSED_WRITES {
        let run = folder();
        let data = run.path().join(DATA);
        let mut ledger = before.copy(&data);
        let options = [
            "--trace=pwrite64".to_owned(),
            format!("--inject=pwrite64:error=ENOSPC:when={when}"),
            format!("--trace-path={}", data.join("groups/1/log.redb").display()),
        ];
        let mut command = traced(ekm_dev(&data).args(["--port", "0"]), Path::new("/dev/null"), &options);
        let scene = Scene::of(Dev::of(Process::start(&mut command), &data).await, Protocol::Http2);
        work(&scene, &mut ledger, "short").await;
        scene.check(&mut ledger).await;
        scene.dev.process.terminate();
        let ended = scene.dev.process.ended().await;
        assert_eq!(ended.code, Some(0), "write {when}: {}", ended.err);
        let waits = ended.err.matches("changes wait for that much room").count();
        let goes_on = ended.err.matches("what waited is written").count();
        assert!(
            waits > 0 && goes_on == waits,
            "write {when} was refused {waits} times, and made again {goes_on} times"
        );
        let scene = Scene::open(&data, Protocol::Http1).await;
        scene.check(&mut ledger).await;
        let blobs = 0..ledger.blobs.len();
        ledger.unwrap_all(&scene.google, blobs).await;
        stop_after_trouble(scene.dev).await;
    }
}

/// Every line of the audit is a record, although the disk was full in the middle of it.
fn audit_is_whole(data: &Path) {
    let text = std::fs::read_to_string(data.join("audit/audit.jsonl")).expect("the audit is there");
    assert!(text.ends_with('\n'));
    let broken: Vec<_> = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_err()).collect();
    // the kill may have caught one line that the full disk had taken a part of
    assert!(broken.len() <= 1, "{broken:?}");
}
