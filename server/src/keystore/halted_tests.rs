//! A group that holds an entry of a newer release: the key store starts, changes nothing, and refuses nothing for good.

use std::sync::Arc;
use std::time::Duration;

use replication::directory::{Directory, Resolution};
use replication::freshness::Serving;
use replication::ids::{GroupId, KeyVersionId, LogIndex, ReplicaId};
use replication::machine::request::AdminOperation;
use replication::machine::rows::Staleness;
use replication::raft::group::{Group, ProposeError, SnapshotLimits, Timers};
use replication::raft::host::{Host, HostSettings};
use replication::raft::network::NoPeers;
use replication::store::blocking::Blocking;

use super::super::{ExecuteError, FoundError, UnsoundError};
use super::{AMPLE, Running, SHARD, Site, create_key, create_tenant};

/// Puts an entry into a group's log that no release up to this one can decode; gives where it stands.
async fn plant(group: &Group) -> LogIndex {
    match group.danger_propose_unread(b"of a newer release".to_vec(), AMPLE).await {
        Err(ProposeError::Halted { since }) => since,
        other => panic!("what cannot be decoded halts a group: {other:?}"),
    }
}

async fn refused(running: &Running, since: LogIndex) {
    let groups = running.store.groups();
    let entries = || groups.iter().map(|(_, group)| group.written().entries).collect::<Vec<_>>();
    let before = entries();
    let late = running.asked(77, create_tenant("late"));
    let error = running.store.execute(late).await.expect_err("a halted group changes nothing");
    assert!(matches!(error, ExecuteError::Propose(ProposeError::Halted { since: told }) if told == since), "{error:?}");
    assert!(error.to_string().contains("start the release that wrote it"), "{error}");
    assert_eq!(entries(), before, "a refused change waits in no log");
}

/// What the frontend makes of a key: whether final refusals may rest on its view, and whom it serves.
fn served(directory: &Directory, version: KeyVersionId, running: &Running) -> (bool, Serving) {
    match directory.resolve(version, running.store.now()) {
        Resolution::Found(target) => (target.age.fresh().is_some(), target.age.serving(target.tenant.staleness)),
        other => panic!("the key was made before the halt: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_store_starts_on_a_halted_group_and_refuses_nothing_for_good() {
    for halted in [GroupId::SYSTEM, SHARD] {
        let site = Site::new();
        let running = site.start().await.expect("a new key store is founded");
        let (balanced, _) = running.key_and_plan().await;
        let tenant = "open".parse().expect("a legal name");
        let create = AdminOperation::CreateTenant { tenant, staleness: Staleness::Available, shard: None };
        running.done(running.asked(3, create)).await;
        let made = running.done(running.asked(4, create_key("open", "key-1"))).await;
        let available = made.path.as_deref().and_then(replication::ids::parse_key_path).expect("a key has a path");
        let group = running.store.groups().into_iter().find(|(id, _)| *id == halted).expect("it is there").1;
        let since = plant(&group).await;
        assert_eq!(running.store.halted(), Some((halted, since)));
        refused(&running, since).await;
        let directory = running.store.directory();
        assert_eq!(served(directory, balanced, &running).1, Serving::Serve, "the view before the halt serves on");
        running.stop().await;

        let running = site.start().await.expect("a halted group is no reason not to start");
        assert_eq!(running.store.halted(), Some((halted, since)));
        refused(&running, since).await;
        let directory = running.store.directory();
        for (id, group) in running.store.groups() {
            let index = group.watch().borrow().index;
            tokio::time::timeout(AMPLE, directory.holds(id, index)).await.expect("its view is published");
        }
        let age = |group| directory.age(group, running.store.now()).expect("a view was published");
        let other = if halted == SHARD { GroupId::SYSTEM } else { SHARD };
        let confirmed = async {
            while age(other).known().is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(AMPLE, confirmed).await.expect("the other group goes on");
        assert_eq!((age(halted).known(), age(halted).fresh()), (None, None), "nobody knows how old it is");
        if halted == SHARD {
            assert_eq!(served(directory, balanced, &running), (false, Serving::Refuse));
            assert_eq!(served(directory, available, &running), (false, Serving::ServeWithAlarm));
            let stranger = directory.resolve(KeyVersionId::from_bytes([9; 16]), running.store.now());
            assert!(matches!(stranger, Resolution::Unknown { age } if age.fresh().is_none()), "{stranger:?}");
        }
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_halted_before_anything_is_not_taken_for_an_empty_one() {
    for halted in [GroupId::SYSTEM, SHARD] {
        let site = Site::new();
        let (replica, folder) = (ReplicaId(1), site.folder.path().to_owned());
        let settings = HostSettings {
            replica,
            folder,
            timers: Timers::default(),
            blocking: Blocking::Threads,
            limits: SnapshotLimits::default(),
            disk_reserve_bytes: 0,
            peers: Arc::new(NoPeers),
            address: None,
        };
        let host = Host::open(settings).await.expect("the groups can be opened");
        host.initialise_single(AMPLE).await.expect("the only voter is elected");
        let at = plant(&host.group(halted).expect("every host has both")).await;
        host.shutdown().await;
        drop(host);
        let refused = site.start().await.err();
        assert!(
            matches!(refused, Some(FoundError::Unsound(UnsoundError::Halted { group, since })) if group == halted && since == at),
            "{refused:?}"
        );
    }
}
