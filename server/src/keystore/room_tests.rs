//! A disk that runs short of room between the two steps of a request: it is carried out to its end, from the reserve.

use std::sync::atomic::{AtomicU64, Ordering};

use replication::ids::LogIndex;
use replication::raft::group::ProposeError;
use replication::store::room::{FreeSpace, Space};

use super::*;

const RESERVE_BYTES: u64 = 1 << 30;

/// The room under one group, as a test says.
#[derive(Debug)]
struct Told(AtomicU64);

impl FreeSpace for Told {
    fn measure(&self) -> std::io::Result<Space> {
        Ok(Space { free_bytes: self.0.load(Ordering::SeqCst), total_bytes: u64::MAX })
    }
}

/// A key store whose groups have disks of their own.
struct Short {
    running: Running,
    disks: [Arc<Told>; 2],
}

impl Short {
    async fn start(site: &Site) -> Self {
        let disks = [(); 2].map(|()| Arc::new(Told(AtomicU64::new(2 * RESERVE_BYTES))));
        let settings = HostSettings {
            replica: ReplicaId(1),
            folder: site.folder.path().to_owned(),
            timers: Timers::default(),
            blocking: Blocking::Threads,
            limits: SnapshotLimits::default(),
            disk_reserve_bytes: RESERVE_BYTES,
            peers: Arc::new(NoPeers),
            address: None,
        };
        let [system, shards] = disks.clone();
        let under = move |group| -> Arc<dyn FreeSpace> {
            if group == GroupId::SYSTEM { Arc::clone(&system) as _ } else { Arc::clone(&shards) as _ }
        };
        let host = Host::open_within(settings, under).await.expect("the groups can be opened");
        host.initialise_single(AMPLE).await.expect("the only voter is elected");
        Self { running: site.running(Arc::new(host)).await.expect("a new site is founded"), disks }
    }

    /// Sets what is free for group 0 and for the shards, and waits until they know.
    async fn has_free(&self, bytes: [u64; 2]) {
        for (disk, free) in self.disks.iter().zip(bytes) {
            disk.0.store(free, Ordering::SeqCst);
        }
        let known = async {
            let knows = |(id, group): (GroupId, Arc<Group>)| {
                group.room().free_bytes() == Some(bytes[usize::from(id != GroupId::SYSTEM)])
            };
            while !self.running.store.groups().into_iter().all(knows) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(AMPLE, known).await.expect("every group measures again");
    }

    fn asked(&self, id: u8, operation: AdminOperation) -> SignedRequest {
        self.running.asked(id, operation)
    }

    async fn done(&self, id: u8, operation: AdminOperation) -> Answer {
        self.running.done(self.asked(id, operation)).await
    }

    /// Of group 0 and the first shard.
    fn indexes(&self) -> [LogIndex; 2] {
        let index = |id| self.running.host.group(id).expect("it is open").watch().borrow().index;
        [index(GroupId::SYSTEM), index(SHARD)]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_first_step_began_is_finished_although_the_disk_ran_short_of_room_behind_it() {
    let site = Site::new();
    let short = Short::start(&site).await;
    let acme = || "acme".parse().expect("a legal name");
    short.done(1, create_tenant("acme")).await;
    let space = AdminOperation::CreateCryptoSpace { tenant: acme(), name: "space-1".parse().expect("a legal name") };
    let changes = [create_tenant("other"), space, create_key("acme", "key-1")];
    let placed = short.asked(2, changes[0].clone());
    let (id, other) = (IdempotencyId::from_bytes([2; 16]), "other".parse().expect("a legal name"));
    short
        .running
        .store
        .place(id, &placed, &other, ShardId::FIRST)
        .await
        .expect("it gets its shard while there is room");
    // the first step goes to group 0, the second to the shard
    short.has_free([2 * RESERVE_BYTES, RESERVE_BYTES - 1]).await;
    let late = short.running.store.execute(short.asked(8, create_tenant("late"))).await;
    assert!(matches!(late, Err(ExecuteError::Propose(ProposeError::NoRoom(_)))), "nobody is placed there: {late:?}");
    for (id, change) in (2..).zip(changes) {
        let [before, _] = short.indexes();
        let answer = short.running.store.execute(short.asked(id, change.clone())).await;
        assert!(short.indexes()[0] > before, "{change:?} has no first step");
        assert!(answer.as_ref().is_ok_and(|answer| !answer.repeated), "{change:?}: {answer:?}");
    }
    short.has_free([RESERVE_BYTES - 1; 2]).await;
    let before = short.indexes();
    let refused = short.running.store.execute(short.asked(9, create_key("acme", "key-2"))).await;
    assert!(matches!(refused, Err(ExecuteError::Propose(ProposeError::NoRoom(_)))), "{refused:?}");
    assert_eq!(short.indexes(), before, "nothing new is begun");
    short.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_stands_adopted_settles_when_it_is_asked_for_again_short_of_room() {
    let site = Site::new();
    let short = Short::start(&site).await;
    let tenant: TenantId = "acme".parse().expect("a legal name");
    short.done(1, create_tenant("acme")).await;
    let made = short.done(2, create_key("acme", "key-1")).await;
    let version = made.path.as_deref().and_then(parse_key_path).expect("a key has a path");
    let parent = short.running.store.shard_state().row::<Tenant>(&tenant).expect("it was made").revision;
    let plan = Plan { tenant, parent, change: Change::DisableVersion { version } };
    let asked = short.asked(3, disable(&plan));
    short
        .running
        .store
        .adopt(&first(&short.running), IdempotencyId::from_bytes([3; 16]), &asked, plan)
        .await
        .expect("the plan is adopted");
    short.has_free([RESERVE_BYTES - 1; 2]).await;
    let answer = short.running.store.execute(asked).await.expect("it goes on where it stopped");
    assert_eq!((answer.repeated, answer.state), (true, Some(VersionState::Disabled)));
    short.running.stop().await;
}
