//! Several shards: where tenants go, what befalls one shard alone, and what a start makes of half a shard.

use replication::clock::Timestamp;
use replication::directory::Resolution;
use replication::machine::command::AddShard;
use replication::machine::outcome::Refusal;
use replication::machine::rows::Signer;
use replication::raft::group::ProposeError;
use replication::raft::host::group_folder;
use replication::store::room::{FreeSpace, Space};
use replication::testkit::ManualClock;

use super::super::execute::ExecuteError;
use super::super::sound::UnsoundError;
use super::*;

const NOBODYS: KeyVersionId = KeyVersionId::from_bytes([9; 16]);

fn second() -> ShardId {
    ShardId(std::num::NonZeroU16::MIN.saturating_add(1))
}

fn add_shard() -> AdminOperation {
    AdminOperation::AddShard { shard: second() }
}

fn tenant_in(name: &str, shard: Option<ShardId>) -> AdminOperation {
    let tenant = name.parse().expect("a legal name");
    AdminOperation::CreateTenant { tenant, staleness: Staleness::default(), shard }
}

fn enrol(name: &str) -> AdminOperation {
    let person = key(name, &generate_pkcs8().expect("the system has randomness"));
    let (signer, public_key) = (person.signer().clone(), person.public_key());
    AdminOperation::Enrol { signer, public_key, roles: [PersonRole::Viewer].into(), tenants: None }
}

impl Running {
    /// A key of a tenant that is in a shard; the path's id.
    async fn key_in(&self, ids: u8, tenant: &str, shard: ShardId) -> KeyVersionId {
        let made = self.done(self.asked(ids, tenant_in(tenant, Some(shard)))).await;
        assert_eq!(made.shard, Some(shard));
        let made = self.done(self.asked(ids + 1, create_key(tenant, "k"))).await;
        made.path.as_deref().and_then(parse_key_path).expect("a key has a path")
    }

    /// Two shards with a tenant `one` and `two` each; their keys.
    async fn two_shards(&self) -> [KeyVersionId; 2] {
        let added = self.done(self.asked(0xf0, add_shard())).await;
        assert_eq!((added.shard, added.not_yet_on.len()), (Some(second()), 0));
        [self.key_in(0xf1, "one", ShardId::FIRST).await, self.key_in(0xf4, "two", second()).await]
    }

    fn resolved(&self, id: KeyVersionId) -> Resolution {
        self.store.directory().resolve(id, self.store.now())
    }

    /// Whether a version's key opens, as a frontend would have it open.
    fn opens(&self, id: KeyVersionId) -> bool {
        let Resolution::Found(target) = self.resolved(id) else { return false };
        let keys = &self.store.parts.tenant_keys;
        let (tenant, row) = (target.tenant_id().clone(), &target.version);
        let binding =
            Binding { lineage: target.lineage, tenant: &tenant, key: &row.key, version: id, algorithm: row.algorithm };
        let opened = keys.find(target.shard, &tenant).and_then(|key| key.open(&row.sealed, &binding, &arena()).ok());
        opened.is_some_and(|material| check_canary(&UsableMaterial::new(material, id), &row.canary).is_ok())
    }

    fn is_final(&self) -> bool {
        matches!(self.resolved(NOBODYS), Resolution::Unknown { age } if age.fresh().is_some())
    }

    /// Waits until what nobody has is refused for good.
    async fn becomes_final(&self) {
        let waiting = async {
            while !self.is_final() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(AMPLE, waiting).await.expect("every view is confirmed");
    }

    /// That the first shard takes changes and people come, whatever befell the second.
    async fn the_first_goes_on(&self, ids: u8, name: &str) -> Answer {
        let made = self.done(self.asked(ids, tenant_in(name, None))).await;
        assert_eq!(made.shard, Some(ShardId::FIRST), "new tenants go where changes are taken");
        let made = self.done(self.asked(ids + 1, create_key(name, "k"))).await;
        let id = made.path.as_deref().and_then(parse_key_path).expect("a key has a path");
        assert!(self.opens(id), "a new key can be used");
        self.done(self.by_officer(ids + 2, enrol(name))).await
    }

    fn by_officer(&self, id: u8, operation: AdminOperation) -> SignedRequest {
        signed(&self.store, &self.officer, IdempotencyId::from_bytes([id; 16]), operation)
    }

    fn group(&self, shard: ShardId) -> Arc<Group> {
        self.host.shard(shard).expect("it was opened")
    }

    fn knows_in(&self, shard: ShardId, name: &str) -> bool {
        let signer = name.parse().expect("a legal name");
        self.store.shard(shard).is_ok_and(|shard| shard.state().row::<Signer>(&signer).is_some())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_go_where_they_are_sent_or_to_the_emptiest_shard() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    let unknown = running.store.execute(running.asked(1, tenant_in("acme", Some(second())))).await;
    assert!(matches!(unknown, Err(ExecuteError::Refused(Refusal::UnknownShard { .. }))), "{unknown:?}");
    assert_eq!(running.store.placed(&"acme".parse().expect("a legal name")), None, "nothing is begun");
    let [one, two] = running.two_shards().await;
    running.becomes_final().await;
    assert!(running.opens(one) && running.opens(two), "both canaries and both tenant keys are their own");
    let made = running.done(running.asked(2, tenant_in("three", Some(ShardId::FIRST)))).await;
    assert_eq!(made.shard, Some(ShardId::FIRST));
    for (id, name, shard) in [(3, "four", second()), (4, "five", ShardId::FIRST), (5, "six", second())] {
        let made = running.done(running.asked(id, tenant_in(name, None))).await;
        assert_eq!(made.shard, Some(shard), "{name} goes to the shard with fewer tenants, or the first");
    }
    let moved = running.store.execute(running.asked(6, tenant_in("two", Some(ShardId::FIRST)))).await;
    assert!(matches!(moved, Err(ExecuteError::Refused(Refusal::OtherShard { .. }))), "{moved:?}");
    let again = running.done(running.asked(0xf4, tenant_in("two", Some(second())))).await;
    assert!(again.repeated && again.shard == Some(second()), "{again:?}");
    let again = running.done(running.asked(0xf0, add_shard())).await;
    assert!(again.repeated, "a shard is added once");
    running.stop().await;
    let running = site.start().await.expect("both shards start again");
    running.becomes_final().await;
    assert!(running.opens(one) && running.opens(two));
    assert_ne!(
        running.store.shard(second()).map(|shard| shard.canary()).ok(),
        running.store.shard(ShardId::FIRST).map(|shard| shard.canary()).ok(),
        "each shard has a canary of its own"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_came_before_a_shard_are_known_in_it() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    running.done(running.by_officer(1, enrol("ann"))).await;
    running.done(running.by_officer(2, enrol("bea"))).await;
    let revoke = AdminOperation::Revoke { signer: "ann".parse().expect("a legal name") };
    running.done(running.by_officer(3, revoke)).await;
    running.two_shards().await;
    for name in ["ann", "bea", "operator-1", "officer-2"] {
        assert!(running.knows_in(second(), name), "{name}");
    }
    let state = running.store.shard(second()).expect("it serves").state();
    let ann = state.row::<Signer>(&"ann".parse().expect("a legal name")).cloned().expect("she was enrolled");
    assert!(ann.revoked_at.is_some(), "and revoked");
    let answer = running.done(running.by_officer(4, enrol("cid"))).await;
    assert!(answer.not_yet_in.is_empty() && running.knows_in(second(), "cid"), "{answer:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_panics_leaves_the_other_serving_and_refuses_nothing_for_good() {
    let clock = Arc::new(ManualClock::at(Timestamp(1_800_000_000_000)));
    let site = Site { clock: clock.clone(), ..Site::new() };
    let running = site.start().await.expect("a new site is founded");
    let [one, two] = running.two_shards().await;
    running.becomes_final().await;
    let host = Arc::clone(&running.host);
    let watching = tokio::spawn(async move { host.failed().await });
    running.group(second()).danger_panic().await;
    let told = async {
        while running.store.shard(second()).is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(AMPLE, told).await.expect("the shard is known to be down");
    let answer = running.the_first_goes_on(1, "late").await;
    assert_eq!(answer.not_yet_in, [second()], "the officer is told where it is not known yet");
    let down = running.store.execute(running.asked(7, create_key("two", "other"))).await;
    assert!(matches!(&down, Err(ExecuteError::Down(down)) if down.shard == second()), "{down:?}");
    assert!(running.opens(one) && running.opens(two), "what the frontends have they serve");
    let before = running.store.now();
    clock.advance(Duration::from_secs(6));
    // the first shard and group 0 are confirmed again, the second cannot be
    let fresh = async {
        let confirmed = |group| running.store.directory().view(group).and_then(|view| view.confirmed);
        while confirmed(SHARD).is_none_or(|at| at <= before) || confirmed(GroupId::SYSTEM) <= Some(before) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(AMPLE, fresh).await.expect("the others are confirmed");
    assert!(matches!(running.resolved(NOBODYS), Resolution::Unknown { age } if age.fresh().is_none()));
    assert!(matches!(running.resolved(one), Resolution::Found(target) if target.age.fresh().is_some()));
    assert!(!watching.is_finished(), "the process goes on");
    watching.abort();
    running.stop().await;
    let running = site.start().await.expect("a panic leaves nothing behind");
    assert!(running.knows_in(second(), "late"), "the shard follows in who may sign");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_halts_leaves_the_other_taking_changes() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    running.two_shards().await;
    let entry = b"of a newer release".to_vec();
    let halted = running.group(second()).danger_propose_unread(entry, AMPLE).await;
    let Err(ProposeError::Halted { since }) = halted else { panic!("it halts: {halted:?}") };
    let answer = running.the_first_goes_on(1, "late").await;
    assert_eq!(answer.not_yet_in, [second()], "it follows under the release that decodes the entry");
    let refused = running.store.execute(running.asked(7, create_key("two", "other"))).await;
    let told = |since| ExecuteError::Propose(ProposeError::Halted { since }).to_string();
    assert_eq!(refused.map_err(|error| error.to_string()), Err(told(since)));
    assert_eq!(running.store.halted(), None, "the replica takes changes");
    running.stop().await;
    let running = site.start().await.expect("a halted shard stops no start");
    running.the_first_goes_on(8, "later").await;
    assert_eq!(running.store.shard(second()).map(|shard| shard.halted()).ok(), Some(Some(since)));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_stands_still_holds_nobody_else_up() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    let [_, two] = running.two_shards().await;
    let hold = running.group(second()).danger_hold();
    running.done(running.asked(1, tenant_in("late", Some(ShardId::FIRST)))).await;
    running.done(running.asked(2, create_key("late", "k"))).await;
    let answer = running.done(running.by_officer(3, enrol("late"))).await;
    assert_eq!(answer.not_yet_in, [second()], "people come although one shard does not answer");
    let stuck = running.store.execute(running.asked(4, create_key("two", "other"))).await;
    assert!(matches!(stuck, Err(ExecuteError::NoQuorum(group)) if group == second().group()), "{stuck:?}");
    assert!(running.opens(two));
    let made = running.done(running.asked(6, tenant_in("later", None))).await;
    assert_eq!(made.shard, Some(ShardId::FIRST), "the emptier one does not answer, and who goes there stays there");
    drop(hold);
    assert!(!running.done(running.asked(5, create_key("two", "another"))).await.repeated, "and then it goes on");
    running.stop().await;
}

/// Bytes that are free under the second shard's group.
#[derive(Debug)]
struct Under(std::sync::atomic::AtomicU64);

impl FreeSpace for Under {
    fn measure(&self) -> std::io::Result<Space> {
        Ok(Space { free_bytes: self.0.load(std::sync::atomic::Ordering::SeqCst), total_bytes: u64::MAX })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_whose_disk_is_full_takes_no_tenant_and_the_other_does() {
    const RESERVE: u64 = 1 << 20;
    let site = Site::new();
    let disks = [(); 2].map(|()| Arc::new(Under((2 * RESERVE).into())));
    let [ample, small] = disks.clone();
    let under = move |group| -> Arc<dyn FreeSpace> {
        if group == second().group() { Arc::clone(&small) as _ } else { Arc::clone(&ample) as _ }
    };
    let settings = HostSettings { disk_reserve_bytes: RESERVE, ..site.host_settings() };
    let host = Host::open_within(settings, under).await.expect("the groups can be opened");
    host.initialise_single(AMPLE).await.expect("the only voter is elected");
    let running = site.running(Arc::new(host)).await.expect("a new site is founded");
    running.two_shards().await;
    disks[1].0.store(RESERVE - 1, std::sync::atomic::Ordering::SeqCst);
    let short = async {
        while running.group(second()).shortage().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(AMPLE, short).await.expect("the shard measures its disk");
    // it has as few tenants as the first, and one fewer after this
    running.the_first_goes_on(1, "late").await;
    let refused = running.store.execute(running.asked(5, tenant_in("no-room", Some(second())))).await;
    assert!(matches!(refused, Err(ExecuteError::Propose(ProposeError::NoRoom(_)))), "{refused:?}");
    assert_eq!(running.store.placed(&"no-room".parse().expect("a legal name")), None, "nothing is begun");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_is_damaged_at_the_start_is_unavailable_and_the_other_serves() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    let [one, two] = running.two_shards().await;
    running.stop().await;
    let log = group_folder(site.folder.path(), second().group()).join("log.redb");
    let whole = std::fs::read(&log).expect("it is there");
    for (round, damage) in (1..).zip([Some(Vec::new()), Some(b"not a log".to_vec()), None]) {
        match &damage {
            Some(bytes) => std::fs::write(&log, bytes).expect("the log can be damaged"),
            None => std::fs::remove_file(&log).expect("the log can be removed"),
        }
        let running = site.start().await.expect("one damaged shard stops no start");
        let answer = running.the_first_goes_on(10 * round, &format!("late-{round}")).await;
        assert_eq!(answer.not_yet_in, [second()]);
        assert!(running.opens(one));
        for path in [two, NOBODYS] {
            let resolved = running.resolved(path);
            assert!(matches!(resolved, Resolution::NotLoaded), "never 404 beside a missing shard: {resolved:?}");
        }
        let down = running.store.execute(running.asked(10 * round + 9, create_key("two", "other"))).await;
        let Err(ExecuteError::Down(down)) = down else { panic!("it cannot be changed: {down:?}") };
        assert!(down.to_string().contains("doctor") && down.why().contains("group 2"), "{down}");
        running.stop().await;
    }
    std::fs::write(&log, whole).expect("the log can be put back");
    let running = site.start().await.expect("all is whole again");
    running.becomes_final().await;
    assert!(running.opens(one) && running.opens(two) && running.knows_in(second(), "late-3"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_answer_wrongly_refuses_the_start_whichever_shard_is_whole() {
    let mut site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    running.stop().await;
    let older = tempfile::tempdir().expect("a temporary folder can be made");
    copy_folder(&group_folder(site.folder.path(), GroupId::SYSTEM), &older.path().join("0"));
    let running = site.start().await.expect("it starts again");
    running.two_shards().await;
    running.stop().await;
    let at = |group| group_folder(site.folder.path(), group);
    let aside = older.path().join("aside");
    // an older copy of group 0 does not know the second shard
    std::fs::rename(at(GroupId::SYSTEM), &aside).expect("one file system");
    copy_folder(&older.path().join("0"), &at(GroupId::SYSTEM));
    let refused = site.start().await.err();
    assert!(
        matches!(refused, Some(FoundError::Unsound(UnsoundError::ShardUnknown(shard))) if shard == second()),
        "{refused:?}"
    );
    std::fs::remove_dir_all(at(GroupId::SYSTEM)).expect("the copy goes");
    std::fs::rename(&aside, at(GroupId::SYSTEM)).expect("one file system");
    // neither shard is whole
    let logs = [SHARD, second().group()].map(|group| at(group).join("log.redb"));
    let whole = logs.clone().map(|log| std::fs::read(log).expect("it is there"));
    for log in &logs {
        std::fs::write(log, b"").expect("the log can be emptied");
    }
    let refused = site.start().await.err();
    assert!(matches!(refused, Some(FoundError::Shard(_))), "{refused:?}");
    // one is, and another's root key opens nothing of it
    std::fs::write(&logs[1], &whole[1]).expect("the log can be put back");
    site.start().await.expect("the second shard is whole").stop().await;
    let other = Site::new();
    site.root.clone_from(&other.root);
    let refused = site.start().await.err();
    assert!(matches!(refused, Some(FoundError::Unsound(UnsoundError::RootKey))), "{refused:?}");
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder can be made");
    for entry in std::fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("it can be listed");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("it can be copied");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_whose_adding_was_cut_off_anywhere_is_finished_by_the_next_start() {
    for steps in 1..=3 {
        let site = Site::new();
        let running = site.start().await.expect("a new site is founded");
        let asked = running.asked(1, add_shard());
        let add = Action::AddShard(AddShard { shard: second(), founder: ReplicaId(1) });
        let id = IdempotencyId::from_bytes([1; 16]);
        let entry = running.store.completed(GroupId::SYSTEM, id, &asked, add);
        running.store.parts.propose(running.host.system(), entry).await.expect("group 0 names the shard");
        let lineage = running.store.lineage();
        if steps > 1 {
            let group = running.host.open_shard(second(), AMPLE).await.expect("the group opens");
            if steps > 2 {
                running.store.parts.found_shard(lineage, &group).await.expect("the shard gets its first entry");
            }
        }
        running.stop().await;
        let running = site.start().await.expect("the next start goes on");
        assert!(running.store.shard(second()).is_ok(), "after {steps} steps");
        running.becomes_final().await;
        assert!(running.done(asked).await.repeated, "the operator's second try finds it done");
        running.key_in(2, "acme", second()).await;
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_panics_is_begun_again_and_the_others_never_notice() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    running.two_shards().await;
    let up = running.store.shard(second()).expect("it serves");
    up.planted_feed_panic.store(true, std::sync::atomic::Ordering::SeqCst);
    let Running { store, mut feeds, host, operator, officer } = running;
    // begun anew, with the panic planted: the first shard's is fed meanwhile
    feeds.drain(..).for_each(|feed| feed.abort());
    let feeds = vec![tokio::spawn(Arc::clone(&store).feed_all())];
    let running = Running { host, store, operator, officer, feeds };
    let panicked = async {
        while up.panics() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(AMPLE, panicked).await.expect("the planted panic comes");
    let made = running.done(running.asked(1, tenant_in("late", Some(ShardId::FIRST)))).await;
    assert!(made.not_yet_on.is_empty(), "the first shard's feed goes on: {made:?}");
    let made = running.done(running.asked(2, tenant_in("later", Some(second())))).await;
    assert!(made.not_yet_on.is_empty(), "and so does the second's, begun again: {made:?}");
    assert!(!running.feeds[0].is_finished());
    running.stop().await;
}
