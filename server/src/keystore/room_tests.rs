//! A disk that runs short of room between the two steps of a request: it is carried out to its end, from the reserve.

use replication::ids::LogIndex;
use replication::raft::group::{GroupSettings, ProposeError};
use replication::raft::host::group_folder;
use replication::raft::network::NoPeers;
use replication::store::room::{Room, Space};
use tokio::sync::watch;

use super::*;

const RESERVE_BYTES: u64 = 1 << 30;

/// A key store whose groups are told of room one by one.
struct Short {
    store: Arc<KeyStore>,
    operator: SigningKey,
    rooms: [watch::Sender<Room>; 2],
    feeds: Vec<tokio::task::JoinHandle<()>>,
}

impl Short {
    async fn start(site: &Site) -> Self {
        let mut groups = Vec::new();
        let rooms = [(); 2].map(|()| watch::channel(Room::unmeasured(RESERVE_BYTES)).0);
        for (group, room) in [GroupId::SYSTEM, SHARD].into_iter().zip(&rooms) {
            let settings = GroupSettings {
                group,
                replica: ReplicaId(1),
                folder: group_folder(site.folder.path(), group),
                timers: Timers::default(),
                blocking: Blocking::Threads,
                limits: SnapshotLimits::default(),
                room: room.subscribe(),
                peers: Arc::new(NoPeers),
            };
            let opened = Group::open(settings).await.expect("the group can be opened");
            opened.initialise_single(AMPLE).await.expect("the only voter is elected");
            groups.push(Arc::new(opened));
        }
        let store = Arc::new(site.found(&groups[0], &groups[1]).await.expect("a new site is founded"));
        let feed = |(id, group): (GroupId, &Arc<Group>)| {
            let (store, group) = (Arc::clone(&store), Arc::clone(group));
            tokio::spawn(async move { store.feed(id, &group).await })
        };
        let feeds = store.groups().map(feed).into();
        Self { operator: key("operator-1", &site.operator), store, rooms, feeds }
    }

    /// Sets what is free for group 0 and for the shard.
    fn has_free(&self, bytes: [u64; 2]) {
        for (room, free_bytes) in self.rooms.iter().zip(bytes) {
            room.send_modify(|room| *room = room.measured(Space { free_bytes, total_bytes: u64::MAX }));
        }
    }

    fn asked(&self, id: u8, operation: AdminOperation) -> SignedRequest {
        signed(&self.store, &self.operator, IdempotencyId::from_bytes([id; 16]), operation)
    }

    async fn done(&self, id: u8, operation: AdminOperation) -> Answer {
        self.store.execute(self.asked(id, operation)).await.expect("the request is carried out")
    }

    fn indexes(&self) -> [LogIndex; 2] {
        self.store.groups().map(|(_, group)| group.watch().borrow().index)
    }

    async fn stop(self) {
        for feed in self.feeds {
            feed.abort();
        }
        for (_, group) in self.store.groups().into_iter().rev() {
            group.shutdown().await;
        }
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
    // the first step goes to group 0, the second to the shard
    short.has_free([2 * RESERVE_BYTES, RESERVE_BYTES - 1]);
    for (id, change) in (2..).zip(changes) {
        let [before, _] = short.indexes();
        let answer = short.store.execute(short.asked(id, change.clone())).await;
        assert!(short.indexes()[0] > before, "{change:?} has no first step");
        assert!(answer.as_ref().is_ok_and(|answer| !answer.repeated), "{change:?}: {answer:?}");
    }
    short.has_free([RESERVE_BYTES - 1; 2]);
    let before = short.indexes();
    let refused = short.store.execute(short.asked(9, create_key("acme", "key-2"))).await;
    assert!(matches!(refused, Err(ExecuteError::Propose(ProposeError::NoRoom(_)))), "{refused:?}");
    assert_eq!(short.indexes(), before, "nothing new is begun");
    short.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_stands_adopted_settles_when_it_is_asked_for_again_short_of_room() {
    let site = Site::new();
    let short = Short::start(&site).await;
    let tenant: TenantId = "acme".parse().expect("a legal name");
    short.done(1, create_tenant("acme")).await;
    let made = short.done(2, create_key("acme", "key-1")).await;
    let version = made.path.as_deref().and_then(parse_key_path).expect("a key has a path");
    let parent = short.store.shard_state().row::<Tenant>(&tenant).expect("it was made").revision;
    let plan = Plan { tenant, parent, change: Change::DisableVersion { version } };
    let asked = short.asked(3, disable(&plan));
    short.store.adopt(IdempotencyId::from_bytes([3; 16]), &asked, plan).await.expect("the plan is adopted");
    short.has_free([RESERVE_BYTES - 1; 2]);
    let answer = short.store.execute(asked).await.expect("it goes on where it stopped");
    assert_eq!((answer.repeated, answer.state), (true, Some(VersionState::Disabled)));
    short.stop().await;
}
