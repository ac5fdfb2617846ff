//! What is acknowledged is there after a restart, however the group ended and whatever became of the mirror.

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use super::bench::{AMPLE, SHARD, done, key, opened, opened_with, set_up, settings, version};
use crate::ids::{GroupId, LogIndex, ReplicaId};
use crate::machine::digest::Digest;
use crate::machine::rows::KeyVersion;
use crate::raft::group::{Group, OpenError, SnapshotLimits};
use crate::raft::host::{Host, HostError, HostSettings, group_folder};
use crate::raft::network::NoPeers;
use crate::store::blocking::Blocking;
use crate::store::log::{LogError, LogStore};
use crate::store::record;
use crate::store::state::StateMirror;
use crate::testkit::Author;

/// A group with a few keys, shut down; what it was before.
async fn written(folder: &Path) -> (LogIndex, Digest) {
    let author = Author::default();
    let group = opened(folder).await;
    set_up(&group, &author).await;
    for number in 0..40 {
        done(&group, key(&author, number)).await;
    }
    let applied = group.watch().borrow().clone();
    group.shutdown().await;
    (applied.index, applied.state.digest())
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

fn log_of(folder: &Path) -> LogStore {
    let settings = settings(folder);
    LogStore::open_file(&folder.join("log.redb"), settings.owner(), settings.blocking).expect("the log is not in use")
}

#[tokio::test]
async fn a_restart_keeps_log_vote_committed_index_and_state() {
    let folder = temporary();
    let (index, digest) = written(folder.path()).await;

    let log = log_of(folder.path());
    let vote = log.vote().expect("the log reads").expect("somebody was elected");
    let (last, _) = log.last().expect("the log reads").expect("the log is not empty");
    assert_eq!(LogIndex(last), index);
    assert_eq!(log.durable().borrow().committed, Some(index));
    log.close();

    // As found, before any election: without a quorum the state is exactly that of the committed index.
    let group = Group::<openraft_rt_tokio::TokioRuntime>::open(settings(folder.path())).await.expect("all is whole");
    assert!(!group.mirror_was_rebuilt());
    assert!(group.watch().borrow().index >= index);
    assert_eq!(group.digest(), digest);
    group.initialise_single(AMPLE).await.expect("the only voter is elected");
    assert_eq!(group.digest(), digest);
    group.shutdown().await;
    let log = log_of(folder.path());
    assert!(log.vote().expect("the log reads").expect("a vote is never lost")[0] >= vote[0], "the term went back");
}

type Damage = Box<dyn Fn(&Path)>;

#[tokio::test]
async fn whatever_happens_to_the_mirror_the_state_is_that_of_the_log() {
    let whole = temporary();
    let (index, digest) = written(whole.path()).await;
    let length = std::fs::metadata(whole.path().join("state/db")).expect("sled keeps its rows in db").len();
    let file = usize::try_from(length).expect("a small file");

    let mut damages: Vec<(String, Damage)> = vec![
        ("deleted".into(), Box::new(|state| std::fs::remove_dir_all(state).expect("the folder is there"))),
        ("db deleted".into(), Box::new(|state| std::fs::remove_file(state.join("db")).expect("the file is there"))),
        ("rubbish".into(), Box::new(|state| std::fs::write(state.join("db"), b"rubbish").expect("the file is there"))),
        (
            "a folder of rubbish".into(),
            Box::new(|state| {
                std::fs::remove_file(state.join("db")).expect("the file is there");
                std::fs::create_dir(state.join("db")).expect("its name is free");
            }),
        ),
    ];
    for part in 1..6 {
        damages.push((
            format!("cut to {part}/6"),
            Box::new(move |state| {
                let file = std::fs::OpenOptions::new().write(true).open(state.join("db")).expect("the file is there");
                file.set_len(length * part / 6).expect("a file can be cut");
            }),
        ));
    }
    for step in 0..12 {
        let at = file * step / 12 + 17;
        damages.push((
            format!("flipped at {at}"),
            Box::new(move |state| {
                let mut bytes = std::fs::read(state.join("db")).expect("the file is there");
                bytes[at] ^= 0x10;
                std::fs::write(state.join("db"), bytes).expect("the file is there");
            }),
        ));
    }
    for (name, damage) in damages {
        let copy = temporary();
        copy_folder(whole.path(), copy.path()).expect("a folder can be copied");
        damage(&copy.path().join("state"));
        let group = opened(copy.path()).await;
        let applied = group.wait_applied(index).await.expect("the group applies");
        assert_eq!(applied.state.digest(), digest, "{name}");
        group.shutdown().await;
    }
}

#[tokio::test]
async fn a_mirror_lost_after_a_purge_is_rebuilt_from_snapshot_and_log() {
    let folder = temporary();
    let author = Author::default();
    let group = opened(folder.path()).await;
    set_up(&group, &author).await;
    for number in 0..10 {
        done(&group, key(&author, number)).await;
    }
    let snapshot_at = group.watch().borrow().index;
    group.raft.trigger().snapshot().await.expect("the group runs");
    let wait = group.raft.wait(Some(AMPLE));
    let built = wait.metrics(|seen| seen.snapshot.map(|id| id.index) >= Some(snapshot_at.0), "");
    built.await.expect("the snapshot is built");
    done(&group, key(&author, 10)).await;
    group.raft.trigger().purge_log(snapshot_at.0).await.expect("the group runs");
    let purged = wait.metrics(|seen| seen.purged.map(|id| id.index) >= Some(snapshot_at.0), "");
    purged.await.expect("the log is purged");
    let digest = group.digest();
    group.shutdown().await;
    drop(group);
    std::fs::remove_dir_all(folder.path().join("state")).expect("the folder is there");

    let group = opened(folder.path()).await;
    let applied = group.wait_applied(LogIndex(snapshot_at.0 + 1)).await.expect("the group applies");
    assert_eq!(applied.state.digest(), digest);
    group.shutdown().await;
}

#[tokio::test]
async fn a_log_behind_the_applied_state_refuses_to_start_until_the_loss_is_accepted() {
    let folder = temporary();
    let (index, digest) = written(folder.path()).await;
    let log = folder.path().join("log.redb");
    let older = std::fs::read(&log).expect("the log is a file");
    let group = opened(folder.path()).await;
    let author = Author::default();
    (0..1000).for_each(|_| _ = author.draw());
    done(&group, key(&author, 1000)).await;
    let applied = group.watch().borrow().index;
    let newer_digest = group.digest();
    group.shutdown().await;
    drop(group);
    let newer = std::fs::read(&log).expect("the log is a file");
    std::fs::write(&log, older).expect("the log is not in use");
    let refused = <Group>::open(settings(folder.path())).await.map(drop).expect_err("changes are missing");
    let OpenError::LogBehind { group, applied: found, log: ends } = &refused else { panic!("{refused:?}") };
    assert_eq!((*group, *found), (SHARD, applied));
    assert!(*ends < applied, "{refused}");
    assert!(refused.to_string().contains("Put back the newer log"), "{refused}");

    let older = std::fs::read(&log).expect("the log is a file");
    std::fs::write(&log, newer).expect("the log is not in use");
    let group = opened(folder.path()).await;
    assert_eq!(group.wait_applied(applied).await.expect("the group applies").state.digest(), newer_digest);
    group.shutdown().await;
    drop(group);

    std::fs::write(&log, older).expect("the log is not in use");
    std::fs::rename(folder.path().join("state"), folder.path().join("state.kept")).expect("the folder is there");
    let group = opened(folder.path()).await;
    let applied = group.wait_applied(index).await.expect("the group applies");
    assert_eq!(applied.state.digest(), digest);
    assert!(applied.state.row::<KeyVersion>(&version(1000)).is_none());
    group.shutdown().await;
}

#[tokio::test]
async fn a_mirror_whose_position_cannot_be_read_is_not_believed() {
    let folder = temporary();
    let (index, digest) = written(folder.path()).await;
    let mirror = StateMirror::open(&folder.path().join("state"), Blocking::Inline).expect("the mirror is whole").mirror;
    mirror.record(Vec::new(), vec![0xff; 12], digest).await.expect("the mirror is open");
    mirror.close();
    let group = opened(folder.path()).await;
    assert_eq!(group.wait_applied(index).await.expect("the group applies").state.digest(), digest);
    group.shutdown().await;
}

#[tokio::test]
async fn a_flipped_bit_in_a_log_entry_refuses_to_start_and_names_the_entry() {
    let folder = temporary();
    let log = log_of(folder.path());
    let entries = (1..=9).map(|index| (index, format!("the body of entry number {index}").into_bytes())).collect();
    log.append(entries, Box::new(|result| result.expect("the disk works"))).await.expect("the log is open");
    log.flush().await.expect("the disk works");
    log.close();

    let file = folder.path().join("log.redb");
    let mut bytes = std::fs::read(&file).expect("the log is a file");
    let wanted = b"entry number 7";
    let places: Vec<_> = (0..bytes.len() - wanted.len()).filter(|at| bytes[*at..].starts_with(wanted)).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at] ^= 1;
    }
    std::fs::write(&file, bytes).expect("the log is not in use");

    let refused = Group::<openraft_rt_tokio::TokioRuntime>::open(settings(folder.path())).await.map(|_| ());
    let Err(OpenError::Log { source: LogError::Damaged { group, index, source }, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((group, index, source), (SHARD, LogIndex(7), record::Damage::Checksum));
}

#[test]
fn a_group_dropped_without_a_shutdown_loses_nothing_acknowledged() {
    let folder = temporary();
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let digest = {
        let runtime = runtime().expect("a runtime can be had");
        let group = runtime.block_on(async {
            let (author, group) = (Author::default(), opened(folder.path()).await);
            set_up(&group, &author).await;
            for number in 0..20 {
                done(&group, key(&author, number)).await;
            }
            group
        });
        drop(runtime);
        group.digest()
    };
    runtime().expect("a runtime can be had").block_on(async {
        let group = opened(folder.path()).await;
        assert_eq!(group.digest(), digest);
        group.shutdown().await;
    });
}

const CHILD_FOLDER: &str = "EKM_TEST_KILLED_GROUP_FOLDER";
const CHILD_FIRST: &str = "EKM_TEST_KILLED_GROUP_FIRST";

/// Starts itself as a child that makes keys and says so, and kills it, several times over one folder.
#[tokio::test]
async fn a_killed_process_loses_nothing_acknowledged_and_its_mirror_is_believed() {
    if let Some((folder, first)) = orders() {
        return make_keys_for_ever(&folder, first).await;
    }
    let folder = temporary();
    let mut first = 0;
    for round in 0..4 {
        let mut child = Command::new(std::env::current_exe().expect("a test knows its binary"))
            .args(["--exact", "--nocapture"])
            .arg("raft::tests::restarts::a_killed_process_loses_nothing_acknowledged_and_its_mirror_is_believed")
            .env(CHILD_FOLDER, folder.path())
            .env(CHILD_FIRST, first.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a test can be started again");
        let mut lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        let acknowledged = |line: io::Result<String>| line.ok()?.rsplit_once("made ")?.1.parse::<u32>().ok();
        let enough = first + 17 + round;
        let seen = lines.by_ref().filter_map(acknowledged).find(|number| *number >= enough);
        assert_eq!(seen, Some(enough), "the child ended by itself");
        child.kill().expect("the child runs");
        let last = lines.filter_map(acknowledged).last().unwrap_or(enough);
        child.wait().expect("the child is ours");

        let group = opened(folder.path()).await;
        assert!(!group.mirror_was_rebuilt(), "a kill alone must not cost the mirror");
        let applied = group.watch().borrow().clone();
        for number in 0..=last {
            assert!(applied.state.row::<KeyVersion>(&version(number)).is_some(), "key {number} of {last} is lost");
        }
        group.shutdown().await;
        // The child may have made one more than it could say.
        first = last + 2;
        let author = Author::default();
        (0..1000 * (round + 1)).for_each(|_| _ = author.draw());
        let group = opened(folder.path()).await;
        for number in last + 1..first {
            let proposed = group.propose(key(&author, number), AMPLE).await;
            proposed.expect("made, or refused because it exists");
        }
        group.shutdown().await;
    }
}

/// What the parent wants of a child: the folder, and the first key to make.
#[expect(clippy::disallowed_methods, reason = "a test that starts itself again has no other way to tell the child")]
fn orders() -> Option<(PathBuf, u32)> {
    let folder = std::env::var_os(CHILD_FOLDER)?;
    Some((folder.into(), std::env::var(CHILD_FIRST).ok()?.parse().ok()?))
}

async fn make_keys_for_ever(folder: &Path, first: u32) {
    let author = Author::default();
    // Ids of its own: a repeated id would be answered from memory.
    (0..u64::from(first) * 10 + 100_000).for_each(|_| _ = author.draw());
    // Kills then fall between the steps of snapshots and purges too.
    let group = opened_with(folder, SnapshotLimits { entries: 5, ..SnapshotLimits::default() }).await;
    if first == 0 {
        set_up(&group, &author).await;
    }
    for number in first.. {
        done(&group, key(&author, number)).await;
        writeln!(io::stdout(), "made {number}").expect("the parent listens");
    }
}

#[tokio::test]
async fn a_folder_in_use_or_of_another_owner_is_refused_clearly() {
    let folder = temporary();
    let group = opened(folder.path()).await;
    let second = Group::<openraft_rt_tokio::TokioRuntime>::open(settings(folder.path())).await.map(|_| ());
    assert!(matches!(second, Err(OpenError::Log { source: LogError::InUse, .. })), "{second:?}");
    group.shutdown().await;

    let mut other = settings(folder.path());
    other.group = GroupId(9);
    let other = Group::<openraft_rt_tokio::TokioRuntime>::open(other).await.map(|_| ());
    assert!(matches!(other, Err(OpenError::Log { source: LogError::OtherOwner { .. }, .. })), "{other:?}");
}

#[tokio::test]
async fn a_host_opens_its_groups_once_and_closes_them_in_order() {
    let folder = temporary();
    let settings = HostSettings {
        replica: ReplicaId(1),
        folder: folder.path().to_owned(),
        timers: crate::raft::group::Timers::default(),
        blocking: Blocking::Threads,
        limits: SnapshotLimits::default(),
        disk_reserve_bytes: 0,
        peers: Arc::new(NoPeers),
        address: None,
    };
    let author = Author::default();
    let host: Host = Host::open(settings.clone()).await.expect("an empty folder opens");
    host.initialise_single(AMPLE).await.expect("the only voter is elected");
    done(host.system(), author.genesis(GroupId::SYSTEM)).await;
    let second = Host::<openraft_rt_tokio::TokioRuntime>::open(settings.clone()).await.map(|_| ());
    assert!(matches!(second, Err(HostError::Open { group: GroupId::SYSTEM, .. })), "{second:?}");
    let digest = host.system().digest();
    host.shutdown().await;
    drop(host);

    let host: Host = Host::open(settings).await.expect("all was closed");
    host.initialise_single(AMPLE).await.expect("a second time changes nothing");
    assert_eq!(host.system().digest(), digest);
    assert!(group_folder(folder.path(), GroupId(1)).is_dir());
    host.shutdown().await;
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
