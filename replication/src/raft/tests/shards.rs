//! Several shards on one replica: what befalls one of them leaves the others, and group 0, as they are.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::ids::{GroupId, ReplicaId, ShardId};
use crate::machine::command::{Action, AddShard};
use crate::raft::error::HostError;
use crate::raft::group::{Failure, Group, OpenError, ProposeError, SnapshotLimits, Timers};
use crate::raft::host::{Host, HostSettings, group_folder};
use crate::raft::network::NoPeers;
use crate::store::blocking::Blocking;
use crate::store::room::{FreeSpace, Space};
use crate::testkit::Author;

use super::bench::{AMPLE, SHARD, done};

const RESERVE: u64 = 1 << 20;

fn second() -> ShardId {
    ShardId(std::num::NonZeroU16::MIN.saturating_add(1))
}

fn settings(folder: &Path) -> HostSettings {
    HostSettings {
        replica: ReplicaId(1),
        folder: folder.to_owned(),
        timers: Timers::default(),
        blocking: Blocking::Threads,
        limits: SnapshotLimits::default(),
        disk_reserve_bytes: 0,
        peers: Arc::new(NoPeers),
        address: None,
    }
}

/// A cluster with a second shard, whose groups have their first entries; the entries are the author's.
async fn two_shards(host: &Host, author: &Author) {
    host.initialise_single(AMPLE).await.expect("the only voter is elected");
    done(host.system(), author.genesis(GroupId::SYSTEM)).await;
    done(&first(host), author.genesis(SHARD)).await;
    done(
        host.system(),
        author.does(GroupId::SYSTEM, Action::AddShard(AddShard { shard: second(), founder: ReplicaId(1) })),
    )
    .await;
    let group = host.open_shard(second(), AMPLE).await.expect("a new shard opens");
    done(&group, author.genesis(second().group())).await;
}

fn first(host: &Host) -> Arc<Group> {
    host.shard(ShardId::FIRST).expect("every host has it")
}

/// An entry for the second shard.
fn made(author: &Author, name: &str) -> Vec<u8> {
    author.create_tenant_in(second(), &name.parse().expect("a legal name"))
}

/// Watches a host as its process does.
fn watched(host: &Arc<Host>) -> tokio::task::JoinHandle<(GroupId, Failure)> {
    let host = Arc::clone(host);
    tokio::spawn(async move { host.failed().await })
}

async fn until(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(AMPLE, waiting).await.expect("it comes to hold");
}

/// That group 0 and the first shard confirm and take entries.
async fn the_others_go_on(host: &Host, author: &Author, name: &str) {
    let tenant = name.parse().expect("a legal name");
    done(host.system(), author.place_tenant(&tenant)).await;
    done(&first(host), author.create_tenant(&tenant)).await;
    for group in [Arc::clone(host.system()), first(host)] {
        let read = group.read_index().await.expect("a group of one confirms");
        group.wait_applied(read).await.expect("and applies");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_opens_the_shards_that_group_0_names() {
    let (author, folder) = (Author::default(), tempfile::tempdir().expect("a temporary folder can be made"));
    let host: Host = Host::open(settings(folder.path())).await.expect("an empty folder opens");
    assert_eq!(host.shards(), [ShardId::FIRST]);
    two_shards(&host, &author).await;
    let digest = host.shard(second()).expect("it was opened").digest();
    host.shutdown().await;
    drop(host);
    let host: Host = Host::open(settings(folder.path())).await.expect("all was closed");
    host.initialise_single(AMPLE).await.expect("all are led again");
    assert_eq!(host.shards(), [ShardId::FIRST, second()]);
    assert_eq!(host.shard(second()).expect("group 0 names it").digest(), digest);
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_whose_task_panics_is_left_alone_and_group_0_ends_the_process() {
    let (author, folder) = (Author::default(), tempfile::tempdir().expect("a temporary folder can be made"));
    let host: Arc<Host> = Arc::new(Host::open(settings(folder.path())).await.expect("an empty folder opens"));
    two_shards(&host, &author).await;
    let watching = watched(&host);
    let broken = host.shard(second()).expect("it was opened");
    let before = broken.digest();
    broken.danger_panic().await;
    until(|| host.trouble(second()).is_some()).await;
    let trouble = host.trouble(second()).expect("it was told");
    assert!(matches!(*trouble, HostError::Failed { .. }), "{trouble:?}");
    the_others_go_on(&host, &author, "acme").await;
    let late = broken.propose(made(&author, "late"), AMPLE).await;
    assert!(matches!(late, Err(ProposeError::Stopped | ProposeError::Unknown)), "{late:?}");
    assert_eq!(broken.digest(), before, "what it had applied can be looked at");
    assert!(!watching.is_finished(), "one shard's panic ends no process");
    host.system().danger_panic().await;
    let ended = tokio::time::timeout(AMPLE, watching).await.expect("without group 0 nothing goes on");
    let (group, failure) = ended.expect("the watch does not panic");
    assert!(group == GroupId::SYSTEM && matches!(failure, Failure::Panicked), "{group}: {failure:?}");
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_whose_applier_panics_is_told_before_its_next_entry_and_is_no_failure_of_the_disk() {
    let (author, folder) = (Author::default(), tempfile::tempdir().expect("a temporary folder can be made"));
    let host: Arc<Host> = Arc::new(Host::open(settings(folder.path())).await.expect("an empty folder opens"));
    two_shards(&host, &author).await;
    let watching = watched(&host);
    let broken = host.shard(second()).expect("it was opened");
    broken.danger_panic_applying().await;
    until(|| host.trouble(second()).is_some()).await;
    let trouble = host.trouble(second()).expect("it was told");
    assert!(matches!(*trouble, HostError::Failed { source: Failure::Panicked, .. }), "{trouble:?}");
    let late = broken.propose(made(&author, "late"), AMPLE).await;
    assert!(matches!(late, Err(ProposeError::Stopped)), "{late:?}");
    the_others_go_on(&host, &author, "acme").await;
    assert!(!watching.is_finished(), "one shard's panic ends no process");
    host.system().danger_panic_applying().await;
    let ended = tokio::time::timeout(AMPLE, watching).await.expect("without group 0 nothing goes on");
    let (group, failure) = ended.expect("the watch does not panic");
    assert!(group == GroupId::SYSTEM && matches!(failure, Failure::Panicked), "{group}: {failure:?}");
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_stands_still_holds_no_other_up() {
    let (author, folder) = (Author::default(), tempfile::tempdir().expect("a temporary folder can be made"));
    let host: Host = Host::open(settings(folder.path())).await.expect("an empty folder opens");
    two_shards(&host, &author).await;
    let held = host.shard(second()).expect("it was opened");
    let hold = held.danger_hold();
    let entry = made(&author, "slow");
    assert_eq!(held.propose(entry, Duration::from_millis(50)).await, Err(ProposeError::Unknown));
    the_others_go_on(&host, &author, "acme").await;
    drop(hold);
    done(&held, made(&author, "later")).await;
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_whose_log_fails_ends_the_process() {
    let (author, folder) = (Author::default(), tempfile::tempdir().expect("a temporary folder can be made"));
    let host: Arc<Host> = Arc::new(Host::open(settings(folder.path())).await.expect("an empty folder opens"));
    two_shards(&host, &author).await;
    let watching = watched(&host);
    let broken = host.shard(second()).expect("it was opened");
    std::fs::remove_file(group_folder(folder.path(), second().group()).join("log.redb")).expect("it is there");
    let lost = broken.propose(made(&author, "lost"), AMPLE).await;
    assert!(lost.is_err(), "what is written to a file without a name is lost: {lost:?}");
    let ended = tokio::time::timeout(AMPLE, watching).await.expect("the host says that the process should end");
    let (group, failure) = ended.expect("the watch does not panic");
    assert!(group == second().group() && matches!(failure, Failure::Storage(_)), "{group}: {failure:?}");
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_is_damaged_at_the_start_is_left_out_and_group_0_is_not() {
    let (author, folder) = (Author::default(), tempfile::tempdir().expect("a temporary folder can be made"));
    let host: Host = Host::open(settings(folder.path())).await.expect("an empty folder opens");
    two_shards(&host, &author).await;
    host.shutdown().await;
    drop(host);
    let log = |group| group_folder(folder.path(), group).join("log.redb");
    std::fs::write(log(second().group()), b"").expect("the log can be emptied");
    let host: Host = Host::open(settings(folder.path())).await.expect("one shard stops no start");
    host.initialise_single(AMPLE).await.expect("the others are led");
    let trouble = host.trouble(second()).expect("it was told");
    let is_gone = matches!(&*trouble, HostError::Open { source: OpenError::LogGone { .. }, .. });
    assert!(is_gone && host.shard(second()).is_none(), "{trouble:?}");
    the_others_go_on(&host, &author, "acme").await;
    host.shutdown().await;
    drop(host);
    std::fs::write(log(GroupId::SYSTEM), b"").expect("the log can be emptied");
    let refused = Host::<openraft_rt_tokio::TokioRuntime>::open(settings(folder.path())).await.map(|_| ());
    assert!(matches!(refused, Err(HostError::Open { group: GroupId::SYSTEM, .. })), "{refused:?}");
}

/// Bytes that are free under one group.
#[derive(Debug)]
struct Told(AtomicU64);

impl FreeSpace for Told {
    fn measure(&self) -> std::io::Result<Space> {
        match self.0.load(Ordering::SeqCst) {
            0 => panic!("planted: the measurement panics"),
            free_bytes => Ok(Space { free_bytes, total_bytes: u64::MAX }),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_group_has_the_room_of_its_own_disk() {
    let (author, folder) = (Author::default(), tempfile::tempdir().expect("a temporary folder can be made"));
    let [ample, small] = [(); 2].map(|()| Arc::new(Told(AtomicU64::new(2 * RESERVE))));
    let under = Arc::clone(&small);
    let spaces = move |group: GroupId| -> Arc<dyn FreeSpace> {
        Arc::clone(if group == second().group() { &under } else { &ample }) as _
    };
    let settings = HostSettings { disk_reserve_bytes: RESERVE, ..settings(folder.path()) };
    let host: Arc<Host> = Arc::new(Host::open_within(settings, spaces).await.expect("an empty folder opens"));
    two_shards(&host, &author).await;
    let full = host.shard(second()).expect("it was opened");
    small.0.store(RESERVE - 1, Ordering::SeqCst);
    until(|| full.shortage().is_some()).await;
    let refused = full.propose(made(&author, "late"), AMPLE).await;
    assert!(matches!(refused, Err(ProposeError::NoRoom(_))), "{refused:?}");
    the_others_go_on(&host, &author, "acme").await;
    small.0.store(2 * RESERVE, Ordering::SeqCst);
    until(|| full.shortage().is_none()).await;
    done(&full, made(&author, "in-time")).await;
    let watching = watched(&host);
    small.0.store(0, Ordering::SeqCst);
    until(|| host.trouble(second()).is_some()).await;
    the_others_go_on(&host, &author, "globex").await;
    assert!(!watching.is_finished(), "nobody measures one shard's disk, and the others go on");
    watching.abort();
    host.shutdown().await;
}
