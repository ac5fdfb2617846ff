//! The key store on real groups in a folder: what a start refuses, and what it goes on with.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use replication::directory::Directory;
use replication::ids::{IdempotencyId, KeyVersionId, ReplicaId, Revision, TenantId, parse_key_path};
use replication::machine::command::{Action, ReservePath};
use replication::machine::lifecycle::VersionState;
use replication::machine::policy::{Operation, Principal, Rule};
use replication::machine::request::{AdminOperation, Level, REQUEST_FORMAT, Request, SignedRequest};
use replication::machine::roles::PersonRole;
use replication::machine::rows::{Change, KeyVersion, Plan, Purpose, Staleness, Tenant, Trust};
use replication::machine::signing::{self, SigningKey, generate_pkcs8};
use replication::raft::group::{SnapshotLimits, Timers};
use replication::raft::host::{Host, HostSettings};
use replication::raft::network::NoPeers;
use replication::store::blocking::Blocking;
use tempfile::TempDir;

use super::*;
use crate::admin::wire::Answer;
use crate::clock::SystemClock;
use crate::crypto::root::RootKey;
use crate::crypto::{Binding, LockPolicy, SystemEntropy, UsableMaterial, check_canary};

#[path = "deny_entries_tests.rs"]
mod deny_entries;
#[path = "halted_tests.rs"]
mod halted;
#[path = "import_tests.rs"]
mod import;
#[path = "language_tests.rs"]
mod language;
#[path = "member_tests.rs"]
mod member;
#[path = "room_tests.rs"]
mod room;
#[path = "shards_tests.rs"]
mod shards;

/// The first shard's group.
const SHARD: GroupId = ShardId::FIRST.group();

/// Ample for a group of one voter.
const AMPLE: Duration = Duration::from_secs(30);

/// The pieces of one replica's data: groups and root key in a folder, and the keys of replica and operator.
struct Site {
    folder: TempDir,
    root: PathBuf,
    replica: Vec<u8>,
    operator: Vec<u8>,
    officers: [Vec<u8>; 2],
    clock: Arc<dyn Clock>,
}

/// A key store at work, its feeds included.
struct Running {
    host: Arc<Host>,
    store: Arc<KeyStore>,
    operator: SigningKey,
    officer: SigningKey,
    feeds: Vec<tokio::task::JoinHandle<()>>,
}

fn key(name: &str, der: &[u8]) -> SigningKey {
    SigningKey::from_pkcs8(name.parse().expect("a legal name"), der).expect("it was made as such")
}

fn arena() -> Arc<Arena> {
    Arena::new(NonZeroU32::new(64).expect("64 is positive"), LockPolicy::Warn).expect("a small arena can be had")
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let root = folder.path().join("root.key");
        RootKey::create(&root, 1, &arena(), &SystemEntropy).expect("a root key can be made");
        let made = || generate_pkcs8().expect("the system has randomness");
        Self {
            folder,
            root,
            replica: made(),
            operator: made(),
            officers: [made(), made()],
            clock: Arc::new(SystemClock),
        }
    }

    fn officers(&self) -> [SigningKey; 2] {
        [key("officer-1", &self.officers[0]), key("officer-2", &self.officers[1])]
    }

    fn host_settings(&self) -> HostSettings {
        let (replica, timers, blocking) = (ReplicaId(1), Timers::default(), Blocking::Threads);
        HostSettings {
            replica,
            folder: self.folder.path().to_owned(),
            timers,
            blocking,
            limits: SnapshotLimits::default(),
            disk_reserve_bytes: 0,
            peers: Arc::new(NoPeers),
            address: None,
        }
    }

    async fn groups(&self) -> Arc<Host> {
        let host = Host::open(self.host_settings()).await.expect("the groups can be opened");
        host.initialise_single(AMPLE).await.expect("the only voter is elected");
        Arc::new(host)
    }

    async fn start(&self) -> Result<Running, FoundError> {
        let host = self.groups().await;
        self.running(host).await
    }

    /// A key store at work over these groups.
    async fn running(&self, host: Arc<Host>) -> Result<Running, FoundError> {
        match self.found(&host).await {
            Ok(store) => {
                let operator = key("operator-1", &self.operator);
                let store = Arc::new(store);
                let feeds = vec![tokio::spawn(Arc::clone(&store).feed_all())];
                let [officer, _] = self.officers();
                Ok(Running { host, store, operator, officer, feeds })
            }
            Err(error) => {
                host.shutdown().await;
                Err(error)
            }
        }
    }

    fn parts(&self, host: &Arc<Host>) -> Parts {
        let arena = arena();
        Parts {
            host: Arc::clone(host),
            signer: Arc::new(key("replica-1", &self.replica)),
            root: Root(RootKey::load(&self.root, &arena).expect("the root key loads")),
            arena,
            entropy: Arc::new(SystemEntropy),
            clock: Arc::clone(&self.clock),
            directory: Arc::new(Directory::new([ShardId::FIRST])),
            tenant_keys: Arc::default(),
            fed_to: FedTo::Own("test-1".parse().expect("a legal name")),
            deny_entries: open_deny_entries(host, self.folder.path(), Arc::clone(&self.clock))
                .expect("the folder can be read"),
        }
    }

    /// The key store of this site over its groups.
    async fn found(&self, host: &Arc<Host>) -> Result<KeyStore, FoundError> {
        let (parts, operator) = (self.parts(host), key("operator-1", &self.operator));
        let (signer, public_key) = (operator.signer().clone(), operator.public_key());
        let mut people = vec![Person { signer, public_key, roles: [PersonRole::Operator].into() }];
        people.extend(self.officers().map(|officer| {
            let (signer, public_key) = (officer.signer().clone(), officer.public_key());
            Person { signer, public_key, roles: [PersonRole::SecurityOfficer].into() }
        }));
        let founding = Founding { dev: true, people, trust: Trust { issuers: vec![], audiences: vec![] } };
        KeyStore::start(parts, &founding).await
    }
}

/// The first shard.
fn first(running: &Running) -> Arc<Shard> {
    running.store.shard(ShardId::FIRST).expect("it serves")
}

impl Running {
    async fn stop(self) {
        for feed in self.feeds {
            feed.abort();
        }
        self.host.shutdown().await;
    }

    fn asked(&self, id: u8, operation: AdminOperation) -> SignedRequest {
        self.asked_under(IdempotencyId::from_bytes([id; 16]), operation)
    }

    fn asked_under(&self, idempotency_id: IdempotencyId, operation: AdminOperation) -> SignedRequest {
        signed(&self.store, &self.operator, idempotency_id, operation)
    }

    async fn done(&self, asked: SignedRequest) -> Answer {
        self.store.execute(asked).await.expect("the request is carried out")
    }

    /// A tenant with one key; the key's version and the plan that disables it.
    async fn key_and_plan(&self) -> (KeyVersionId, Plan) {
        let tenant: TenantId = "acme".parse().expect("a legal name");
        self.done(self.asked(1, create_tenant("acme"))).await;
        let made = self.done(self.asked(2, create_key("acme", "key-1"))).await;
        let version = made.path.as_deref().and_then(parse_key_path).expect("a key has a path");
        let parent = self.store.shard_state().row::<Tenant>(&tenant).map_or(Revision(0), |row| row.revision);
        (version, Plan { tenant, parent, change: Change::DisableVersion { version } })
    }

    fn state_of(&self, version: KeyVersionId) -> Option<VersionState> {
        self.store.shard_state().row::<KeyVersion>(&version).map(|row| row.state)
    }
}

fn signed(
    store: &KeyStore,
    operator: &SigningKey,
    idempotency_id: IdempotencyId,
    operation: AdminOperation,
) -> SignedRequest {
    let request = Request { format: REQUEST_FORMAT, lineage: store.lineage(), idempotency_id, operation };
    operator.sign_request(serde_json::to_vec(&request).expect("a request is JSON"))
}

fn create_tenant(name: &str) -> AdminOperation {
    AdminOperation::CreateTenant {
        tenant: name.parse().expect("a legal name"),
        staleness: Staleness::default(),
        shard: None,
    }
}

fn create_key(tenant: &str, name: &str) -> AdminOperation {
    AdminOperation::CreateKey {
        tenant: tenant.parse().expect("a legal name"),
        name: name.parse().expect("a legal name"),
        crypto_space: None,
        purpose: Purpose::EncryptDecrypt,
    }
}

fn disable(plan: &Plan) -> AdminOperation {
    let Change::DisableVersion { version } = plan.change else { panic!("the test disables versions alone") };
    AdminOperation::DisableVersion { tenant: plan.tenant.clone(), version, parent: plan.parent }
}

fn take_groups(from: &Path, to: &Path, group: &str) {
    std::fs::remove_dir_all(to.join("groups").join(group)).expect("the group was there");
    std::fs::rename(from.join("groups").join(group), to.join("groups").join(group)).expect("one file system");
}

/// What somebody does to a site that ran, with another that ran at hand; the first words of the refusal.
type Damage = (fn(&mut Site, &Site), &'static str);

#[tokio::test]
async fn pieces_that_do_not_belong_together_are_refused_by_name() {
    let damages: [Damage; 6] = [
        (|ours, other| ours.root.clone_from(&other.root), "the root key does not open the tenant keys"),
        (|ours, other| ours.replica.clone_from(&other.replica), "the signing key of replica-1 is not the one"),
        (|ours, other| take_groups(other.folder.path(), ours.folder.path(), "1"), "group 0 and group 1 are of two"),
        (|ours, other| take_groups(other.folder.path(), ours.folder.path(), "0"), "group 0 and group 1 are of two"),
        (|ours, _| std::fs::remove_dir_all(ours.folder.path().join("groups/1")).expect("there"), "group 1 is empty"),
        (|ours, _| std::fs::remove_dir_all(ours.folder.path().join("groups/0")).expect("there"), "group 0 is empty"),
    ];
    for (damage, words) in damages {
        let (mut ours, other) = (Site::new(), Site::new());
        for site in [&ours, &other] {
            let running = site.start().await.expect("a new site is founded");
            running.stop().await;
            site.start().await.expect("a whole site starts again").stop().await;
        }
        damage(&mut ours, &other);
        let refused = ours.start().await.err().map(|error| error.to_string());
        assert!(refused.as_deref().is_some_and(|text| text.starts_with(words)), "{words}: {refused:?}");
    }
}

#[tokio::test]
async fn keys_are_needed_once_the_groups_were_founded() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    let needed = Needed::by(&running.host).await.expect("the groups belong together");
    assert!(needed.root_key && needed.replica_key());
    running.stop().await;
    let empty = Site::new();
    let host = empty.groups().await;
    let needed = Needed::by(&host).await.expect("empty groups belong together");
    assert!(!needed.root_key && !needed.replica_key());
    host.shutdown().await;
}

#[tokio::test]
async fn a_plan_that_a_crash_left_adopted_settles_at_the_next_start() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    let (version, plan) = running.key_and_plan().await;
    let asked = running.asked(3, disable(&plan));
    running
        .store
        .adopt(&first(&running), IdempotencyId::from_bytes([3; 16]), &asked, plan)
        .await
        .expect("the plan is adopted");
    assert_eq!(running.state_of(version), Some(VersionState::Enabled));
    running.stop().await;

    let running = site.start().await.expect("an adopted plan stops no start");
    assert_eq!(running.state_of(version), Some(VersionState::Disabled));
    assert!(running.done(asked).await.repeated, "the operator's second try finds it done");
    running.stop().await;
}

#[tokio::test]
async fn a_plan_left_adopted_is_settled_by_whoever_asks_for_it_next() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    let (version, plan) = running.key_and_plan().await;
    let asked = running.asked(3, disable(&plan));
    running
        .store
        .adopt(&first(&running), IdempotencyId::from_bytes([3; 16]), &asked, plan.clone())
        .await
        .expect("the plan is adopted");
    let again = running.asked(4, disable(&Plan { parent: plan.parent.next(), ..plan }));
    assert!(running.done(again).await.repeated, "it had been asked before");
    assert_eq!(running.state_of(version), Some(VersionState::Disabled));
    running.stop().await;
}

#[tokio::test]
async fn a_request_is_carried_out_even_if_its_operator_hangs_up() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    let (version, plan) = running.key_and_plan().await;
    {
        let mut call = std::pin::pin!(running.store.execute(running.asked(3, disable(&plan))));
        tokio::select! {
            biased;
            answered = &mut call => panic!("nothing is ordered within one step: {answered:?}"),
            () = std::future::ready(()) => {}
        }
    }
    let disabled =
        |state: &State| state.row::<KeyVersion>(&version).is_some_and(|row| row.state == VersionState::Disabled);
    let mut applied = running.host.shard(ShardId::FIRST).expect("every host has it").watch();
    let reached = tokio::time::timeout(AMPLE, applied.wait_for(|applied| disabled(&applied.state))).await;
    assert!(reached.is_ok(), "the plan settles though nobody waits");
    running.stop().await;
}

#[tokio::test]
async fn an_id_that_foretells_a_plans_digest_does_not_stop_the_plan() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    let (version, plan) = running.key_and_plan().await;
    running.done(running.asked(4, create_tenant("other"))).await;
    let digest = signing::plan_digest(&plan);
    let foretold = IdempotencyId::from_bytes(*digest.first_chunk().expect("a digest is longer than an id"));
    let rule = Rule {
        name: "rule-1".parse().expect("a legal name"),
        callers: [Principal::ServiceAccount("a@example.com".parse().expect("an address"))].into(),
        resources: Vec::new(),
        operations: Operation::ALL.into(),
        justifications: None,
    };
    let grant = AdminOperation::Grant { tenant: "other".parse().expect("a legal name"), level: Level::Tenant, rule };
    running.done(running.asked_under(foretold, grant)).await;

    running.done(running.asked(5, disable(&plan))).await;
    assert_eq!(running.state_of(version), Some(VersionState::Disabled));
    running.stop().await;
    site.start().await.expect("nothing is left behind").stop().await;
}

#[tokio::test]
async fn one_request_sent_many_times_at_once_makes_one_key() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    running.done(running.asked(1, create_tenant("acme"))).await;
    let asked = running.asked(2, create_key("acme", "key-1"));
    let answers = futures::future::join_all((0..8).map(|_| running.done(asked.clone()))).await;
    assert_eq!(answers.iter().filter(|answer| !answer.repeated).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| answer.path == answers[0].path), "{answers:?}");
    let rivals = (10..18).map(|id| running.store.execute(running.asked(id, create_key("acme", "key-2"))));
    let won = futures::future::join_all(rivals).await.into_iter().flatten().count();
    let versions = running.store.shard_state().key_versions().len();
    assert_eq!((won, versions), (1, 3), "two keys of acme, and the canary");
    running.stop().await;
}

#[tokio::test]
async fn a_request_cut_off_between_two_groups_goes_on_where_it_stopped() {
    let site = Site::new();
    let running = site.start().await.expect("a new site is founded");
    let tenant: TenantId = "acme".parse().expect("a legal name");
    let asked = running.asked(1, create_tenant("acme"));
    let place = |id| running.store.place(IdempotencyId::from_bytes([id; 16]), &asked, &tenant, ShardId::FIRST);
    place(1).await.expect("the tenant gets its shard");
    let other = running.asked(9, create_tenant("acme"));
    assert!(!running.done(other).await.repeated, "another request for a tenant that was only placed makes it");
    assert!(running.store.execute(asked).await.is_err(), "the first one comes too late");

    let asked = running.asked(2, create_key("acme", "key-1"));
    let id = running.store.parts.draw_id().expect("the system has randomness");
    let reserve = Action::ReservePath(ReservePath { id, tenant, shard: ShardId::FIRST });
    let entry = running.store.completed(GroupId::SYSTEM, IdempotencyId::from_bytes([2; 16]), &asked, reserve);
    running.store.parts.propose(running.host.system(), entry).await.expect("the path is reserved");
    running.stop().await;
    let running = site.start().await.expect("a reserved path stops no start");
    let made = running.done(asked).await;
    assert_eq!(made.path.as_deref().and_then(parse_key_path), Some(KeyVersionId::from_bytes(id)), "no path is wasted");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_frontend_was_handed_opens_keys_when_the_root_key_is_gone() {
    let site = Site::new();
    let running = site.start().await.expect("a new key store is founded");
    let (version, _) = running.key_and_plan().await;
    let (tenant_keys, arena) = (Arc::clone(&running.store.parts.tenant_keys), arena());
    let row = running.store.shard_state().row::<KeyVersion>(&version).cloned().expect("it was made");
    let (lineage, tenant) = (running.store.lineage(), row.tenant.clone());
    let Running { host, store, feeds, .. } = running;
    for feed in feeds {
        feed.abort();
        assert!(feed.await.is_err_and(|ended| ended.is_cancelled()), "a feed has no end of its own");
    }
    let alone = async {
        // what the feeds ran for each shard ends with them, a moment later
        while Arc::strong_count(&store) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(AMPLE, alone).await.expect("the feeds let go of the key store");
    let store = Arc::into_inner(store).expect("nobody but the key store holds it, and with it the root key");
    drop(store);
    let key = tenant_keys.find(ShardId::FIRST, &tenant).expect("the feed handed it over");
    let binding = Binding { lineage, tenant: &tenant, key: &row.key, version, algorithm: row.algorithm };
    let material = key.open(&row.sealed, &binding, &arena).expect("a tenant key opens its versions");
    check_canary(&UsableMaterial::new(material, version), &row.canary).expect("it is the material that was made");
    host.shutdown().await;
}
