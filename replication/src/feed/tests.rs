//! A key store's outlets and a frontend over real sockets and certificates, in one process and with a clock that is moved by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;
use crate::clock::Timestamp;
use crate::deny_entries::Entries;
use crate::deny_entries::list::Certainty;
use crate::directory::{Directory, Resolution};
use crate::freshness::Finality;
use crate::ids::{DenyId, FrontendName, GroupId, KeyVersionId, LineageId, LogIndex, ReplicaId, ShardId, TenantId};
use crate::machine::command::{Action, AddShard, LiftDeny};
use crate::machine::deny::{self, DenyEntry, Proven};
use crate::machine::policy::{Principal, Subject};
use crate::machine::request::AdminOperation;
use crate::peers::identity::{FrontendIdentity, PeerName};
use crate::peers::listening::Listening;
use crate::peers::tests::pki::Authority;
use crate::peers::tls::{Credentials, FeedTls, FrontendTls};
use crate::testkit::{Author, ManualClock, played};

/// That of [`Author`].
const LINEAGE: LineageId = LineageId::from_bytes([7; 16]);
const SHARD: GroupId = ShardId::FIRST.group();
const AMPLE: Duration = Duration::from_mins(1);

fn name(text: &str) -> FrontendName {
    text.parse().expect("a legal name")
}

fn tenant() -> TenantId {
    "acme".parse().expect("a legal name")
}

fn version(number: u8) -> KeyVersionId {
    KeyVersionId::from_bytes([number; 16])
}

/// The logs of a cluster: group 0, and a shard with a tenant and some keys.
struct Logs {
    author: Author,
    shard: Vec<Vec<u8>>,
}

impl Logs {
    fn new() -> Self {
        let author = Author::default();
        let shard = vec![author.genesis(SHARD), author.create_tenant(&tenant())];
        Self { author, shard }
    }

    fn add_key(&mut self, number: u8) {
        let key = format!("k{number}").parse().expect("a legal name");
        self.shard.push(self.author.create_key(&tenant(), &key, None, version(number)));
    }
}

/// A key store without Raft: what it has is put there by the test.
struct Store {
    outlets: Mutex<BTreeMap<GroupId, Arc<Outlet>>>,
    deny_entries: watch::Sender<Arc<Entries>>,
    clock: Arc<ManualClock>,
}

impl Outlets for Store {
    fn outlet(&self, group: GroupId) -> Option<Arc<Outlet>> {
        self.outlets.lock().get(&group).cloned()
    }

    fn deny_entries(&self) -> watch::Receiver<Arc<Entries>> {
        self.deny_entries.subscribe()
    }
}

impl Sealer for Store {
    fn seal(&self, shard: ShardId, tenant: &TenantId, to: &ProcessKey) -> Option<Vec<u8>> {
        Some(format!("{shard} {tenant} {} {:?}", to.frontend.name, to.public_key[0]).into_bytes())
    }
}

impl Store {
    fn new(clock: &Arc<ManualClock>) -> Arc<Self> {
        Arc::new(Self { outlets: Mutex::default(), deny_entries: watch::Sender::default(), clock: Arc::clone(clock) })
    }

    fn of(&self, group: GroupId) -> Arc<Outlet> {
        let made = || Arc::new(Outlet::serving(Arc::clone(&self.clock) as Arc<dyn Clock>));
        Arc::clone(self.outlets.lock().entry(group).or_insert_with(made))
    }

    /// Has the log applied, and confirmed now.
    fn holds(&self, group: GroupId, log: &[Vec<u8>]) {
        self.applies(group, log);
        self.confirms(group);
    }

    fn applies(&self, group: GroupId, log: &[Vec<u8>]) {
        let outlet = self.of(group);
        let view = outlet.take(LogIndex(log.len() as u64), &played(log));
        outlet.publish(&view);
    }

    fn confirms(&self, group: GroupId) {
        let asked = self.clock.now();
        let confirmation = Confirmation { asked, age: Duration::ZERO, index: LogIndex(0), finality: Finality::Whole };
        self.of(group).confirm(confirmation);
    }
}

/// The authorities of a cluster.
struct Pki {
    peers: Authority,
    frontends: Authority,
}

impl Pki {
    fn new() -> Self {
        Self { peers: Authority::new("peers"), frontends: Authority::new("frontends") }
    }

    async fn listen(&self, replica: u64, store: &Arc<Store>) -> (Listening, KeyStoreAt) {
        let own = PeerName { lineage: LINEAGE, replica: ReplicaId(replica) };
        let (leaf, key) = self.peers.issue(&[own.to_string()]);
        let credentials = Credentials { chain: vec![leaf], key, authorities: vec![self.frontends.certificate()] };
        let tls = FeedTls::new(own, credentials).expect("the certificate names the replica");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let listening = listen(listener, tls, Arc::clone(store), Arc::clone(store));
        let listening = listening.expect("the socket has an address");
        let address = listening.address().to_string();
        (listening, KeyStoreAt { replica: ReplicaId(replica), address })
    }

    fn frontend(&self, frontend: &str) -> FrontendTls {
        let own = FrontendIdentity { lineage: LINEAGE, name: name(frontend) };
        let (leaf, key) = self.frontends.issue(&[own.to_string()]);
        let credentials = Credentials { chain: vec![leaf], key, authorities: vec![self.peers.certificate()] };
        FrontendTls::new(own, credentials).expect("the certificate names the frontend")
    }
}

/// What a frontend has heard.
struct Heard {
    directory: Directory,
    clock: Arc<ManualClock>,
    keys: Mutex<Vec<String>>,
    /// The group of which every view makes the reader panic, and how often it did.
    panics: Mutex<(Option<GroupId>, u32)>,
    /// How many deny entries were known when the first row of group 0 was.
    denied_at_first_row: Mutex<Option<usize>>,
    agreement: Mutex<Option<Agreement>>,
    told: watch::Sender<()>,
}

struct Ear(Arc<Heard>);

impl Reader for Ear {
    fn take_keys(&self, _: ShardId, sealed: Vec<(TenantId, Vec<u8>)>) {
        let texts = sealed.into_iter().map(|(_, sealed)| String::from_utf8(sealed).expect("text, as it was sent"));
        self.0.keys.lock().extend(texts);
    }

    fn take_deny_entries(&self, entries: Vec<DenyEntry>) {
        assert_eq!(self.0.directory.deny(&entries, self.0.clock.wall()), 0, "all of them are of a key store");
        self.0.told.send_replace(());
    }

    fn publish(&self, group: GroupId, view: &View) {
        let panics = {
            let mut planted = self.0.panics.lock();
            planted.1 += u32::from(planted.0 == Some(group));
            planted.0
        };
        if panics == Some(group) {
            self.0.told.send_replace(());
            panic!("a planted bug");
        }
        // a frontend that knows a row of group 0 knows who is shut out
        if group == GroupId::SYSTEM {
            let known = self.0.directory.deny_entry_count(self.0.clock.wall());
            self.0.denied_at_first_row.lock().get_or_insert(known);
        }
        self.0.directory.publish(group, view);
        self.0.told.send_replace(());
    }

    fn judge_clock(&self, agreement: Agreement) {
        *self.0.agreement.lock() = Some(agreement);
        self.0.told.send_replace(());
    }
}

struct Frontend {
    heard: Arc<Heard>,
    clock: Arc<ManualClock>,
    running: JoinHandle<()>,
}

impl Drop for Frontend {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Frontend {
    fn start(tls: &FrontendTls, places: &[KeyStoreAt], clock: &Arc<ManualClock>) -> Self {
        let directory = Directory::new([ShardId::FIRST]);
        let heard = Arc::new(Heard {
            directory,
            clock: Arc::clone(clock),
            keys: Mutex::default(),
            panics: Mutex::default(),
            denied_at_first_row: Mutex::default(),
            agreement: Mutex::default(),
            told: watch::Sender::default(),
        });
        let ear = Ear(Arc::clone(&heard));
        let following = Following::new(tls, places, ([9; 16], [42; 32]), Arc::clone(clock) as Arc<dyn Clock>, ear);
        let running = tokio::spawn(Arc::new(following).run());
        Self { heard, clock: Arc::clone(clock), running }
    }

    /// Waits until what it has heard is as wanted.
    async fn until(&self, wanted: impl Fn(&Directory) -> bool) {
        let mut told = self.heard.told.subscribe();
        let heard = async {
            while !wanted(&self.heard.directory) {
                told.changed().await.expect("the frontend lives");
            }
        };
        tokio::time::timeout(AMPLE, heard).await.expect("it is heard in time");
    }

    async fn until_it_has(&self, number: u8) {
        let now = || self.clock.now();
        self.until(|heard| matches!(heard.resolve(version(number), now()), Resolution::Found(_))).await;
    }

    fn age(&self, group: GroupId) -> Option<Duration> {
        self.heard.directory.age(group, self.clock.now())?.known()
    }

    fn knows_that_there_is_no(&self, number: u8) -> bool {
        match self.heard.directory.resolve(version(number), self.clock.now()) {
            Resolution::Unknown { age } => age.fresh().is_some(),
            Resolution::Found(_) | Resolution::Ambiguous | Resolution::NotLoaded => false,
        }
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp(1_700_000_000_000)))
}

/// A store whose group 0 is there and confirmed.
fn founded(clock: &Arc<ManualClock>, logs: &Logs) -> Arc<Store> {
    let store = Store::new(clock);
    store.holds(GroupId::SYSTEM, &[logs.author.genesis(GroupId::SYSTEM)]);
    store
}

#[tokio::test]
async fn a_frontend_loads_what_is_there_and_follows_what_changes() {
    let (pki, clock, mut logs) = (Pki::new(), clock(), Logs::new());
    let store = founded(&clock, &logs);
    logs.add_key(1);
    store.holds(SHARD, &logs.shard);
    let (_listening, place) = pki.listen(1, &store).await;
    let frontend = Frontend::start(&pki.frontend("a1"), &[place], &clock);
    frontend.until_it_has(1).await;
    assert_eq!(*frontend.heard.keys.lock(), ["1 acme a1 42"]);
    frontend.until(|heard| heard.oldest_age(clock.now()).is_some_and(|age| age.fresh().is_some())).await;
    assert!(frontend.knows_that_there_is_no(2));
    logs.add_key(2);
    store.holds(SHARD, &logs.shard);
    frontend.until_it_has(2).await;
    // rows that no frontend needs are not there
    let view = frontend.heard.directory.view(SHARD).expect("it is loaded");
    assert_eq!((view.state.remembered().len(), view.state.signers().len()), (0, 0));
    assert_eq!(view.index, LogIndex(logs.shard.len() as u64));
}

#[tokio::test]
async fn a_frontends_view_is_as_old_as_that_of_the_key_store_and_the_question_together() {
    let (pki, clock, mut logs) = (Pki::new(), clock(), Logs::new());
    let store = founded(&clock, &logs);
    logs.add_key(1);
    store.holds(SHARD, &logs.shard);
    clock.advance(Duration::from_secs(3));
    let (_listening, place) = pki.listen(1, &store).await;
    let frontend = Frontend::start(&pki.frontend("a1"), &[place], &clock);
    frontend.until(|heard| heard.age(SHARD, clock.now()).is_some_and(|age| age.known().is_some())).await;
    let age = frontend.age(SHARD).expect("it was confirmed");
    assert!((Duration::from_secs(3)..Duration::from_millis(3100)).contains(&age), "{age:?}");
    clock.advance(Duration::from_secs(3));
    assert!(!frontend.knows_that_there_is_no(2));
    store.confirms(SHARD);
    frontend.until(|heard| heard.age(SHARD, clock.now()).is_some_and(|age| age.fresh().is_some())).await;
    // group 0 is as old as it was
    assert!(!frontend.knows_that_there_is_no(2));
}

#[tokio::test]
async fn what_nobody_ever_confirmed_is_loaded_and_has_no_age() {
    let (pki, clock, mut logs) = (Pki::new(), clock(), Logs::new());
    let store = Store::new(&clock);
    logs.add_key(1);
    store.applies(GroupId::SYSTEM, &[logs.author.genesis(GroupId::SYSTEM)]);
    store.applies(SHARD, &logs.shard);
    let (_listening, place) = pki.listen(1, &store).await;
    let frontend = Frontend::start(&pki.frontend("a1"), &[place], &clock);
    frontend.until_it_has(1).await;
    assert_eq!(frontend.age(SHARD), None);
    // by a stamp of before a restart it is old, and never fresh
    store.of(SHARD).restore(Duration::from_mins(10));
    frontend.until(|heard| heard.age(SHARD, clock.now()).is_some_and(|age| age.known().is_some())).await;
    assert!(frontend.age(SHARD) >= Some(Duration::from_mins(10)));
}

#[tokio::test]
async fn a_frontend_goes_over_to_another_key_store_and_keeps_what_it_has() {
    let (pki, clock, mut logs) = (Pki::new(), clock(), Logs::new());
    let (one, two) = (founded(&clock, &logs), founded(&clock, &logs));
    logs.add_key(1);
    one.holds(SHARD, &logs.shard);
    two.holds(SHARD, &logs.shard[..2]);
    let (listening, first) = pki.listen(1, &one).await;
    let (_listening, second) = pki.listen(2, &two).await;
    let frontend = Frontend::start(&pki.frontend("a1"), &[first, second], &clock);
    frontend.until_it_has(1).await;
    listening.shutdown().await;
    // the other one is behind, so nothing of it is taken until it has caught up
    logs.add_key(2);
    two.holds(SHARD, &logs.shard);
    frontend.until_it_has(2).await;
    frontend.until_it_has(1).await;
}

#[tokio::test]
async fn a_frontend_prefers_a_key_store_that_is_in_touch() {
    let (pki, clock, mut logs) = (Pki::new(), clock(), Logs::new());
    let (one, two) = (founded(&clock, &logs), founded(&clock, &logs));
    logs.add_key(1);
    one.holds(SHARD, &logs.shard);
    two.holds(SHARD, &logs.shard);
    let (_one, first) = pki.listen(1, &one).await;
    let (_two, second) = pki.listen(2, &two).await;
    let frontend = Frontend::start(&pki.frontend("a1"), &[first, second], &clock);
    frontend.until_it_has(1).await;
    // the first is cut off from its leader
    logs.add_key(2);
    let found = async {
        loop {
            clock.advance(Duration::from_secs(1));
            two.holds(SHARD, &logs.shard);
            two.confirms(GroupId::SYSTEM);
            if matches!(frontend.heard.directory.resolve(version(2), clock.now()), Resolution::Found(_)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(AMPLE, found).await.expect("it goes over to the second");
}

#[tokio::test]
async fn a_key_store_reports_how_far_its_frontends_are_and_nobody_before_a_term() {
    let (pki, clock, mut logs) = (Pki::new(), clock(), Logs::new());
    let store = founded(&clock, &logs);
    logs.add_key(1);
    store.holds(SHARD, &logs.shard);
    let outlet = store.of(SHARD);
    let (_listening, place) = pki.listen(1, &store).await;
    let frontend = Frontend::start(&pki.frontend("a1"), &[place], &clock);
    frontend.until_it_has(1).await;
    let end = LogIndex(logs.shard.len() as u64);
    let mut progress = outlet.progress();
    let reported = async {
        while outlet.report().frontends.get("a1") != Some(&end) {
            progress.changed().await.expect("the outlet lives");
        }
    };
    tokio::time::timeout(AMPLE, reported).await.expect("the frontend reports in time");
    // those of before this start may be fresh still
    assert_eq!(outlet.report().active, LogIndex(0));
    clock.advance(Duration::from_secs(6));
    assert_eq!(outlet.report().active, end);
    logs.add_key(2);
    store.applies(SHARD, &logs.shard);
    frontend.until_it_has(2).await;
}

#[tokio::test]
async fn nobody_but_a_frontend_of_the_cluster_is_let_in_and_no_other_replica_is_believed() {
    let (pki, clock, mut logs) = (Pki::new(), clock(), Logs::new());
    let store = founded(&clock, &logs);
    logs.add_key(1);
    store.holds(SHARD, &logs.shard);
    let (_listening, place) = pki.listen(1, &store).await;
    let foreign = Pki::new();
    let own = |lineage| FrontendIdentity { lineage, name: name("a1") };
    let tls = |authority: &Authority, identity: FrontendIdentity, believed: &Authority| {
        let (leaf, key) = authority.issue(&[identity.to_string()]);
        let credentials = Credentials { chain: vec![leaf], key, authorities: vec![believed.certificate()] };
        FrontendTls::new(identity, credentials).expect("the certificate names the frontend")
    };
    let wrong = [
        (tls(&foreign.frontends, own(LINEAGE), &pki.peers), place.clone()),
        (tls(&pki.peers, own(LINEAGE), &pki.peers), place.clone()),
        (tls(&pki.frontends, own(LineageId::from_bytes([8; 16])), &pki.peers), place.clone()),
        (tls(&pki.frontends, own(LINEAGE), &foreign.peers), place.clone()),
        (pki.frontend("a1"), KeyStoreAt { replica: ReplicaId(2), ..place.clone() }),
    ];
    let wrong = wrong.map(|(tls, place)| Frontend::start(&tls, &[place], &clock));
    let right = Frontend::start(&pki.frontend("a2"), &[place], &clock);
    right.until_it_has(1).await;
    // by then each of the others has tried as often
    right.until(|heard| heard.oldest_age(clock.now()).is_some_and(|age| age.fresh().is_some())).await;
    for frontend in wrong {
        assert!(matches!(frontend.heard.directory.resolve(version(1), clock.now()), Resolution::NotLoaded));
    }
    assert_eq!(store.of(SHARD).report().frontends.keys().collect::<Vec<_>>(), ["a2"]);
}

#[tokio::test]
async fn a_clock_that_most_key_stores_contradict_is_in_doubt_until_it_is_put_right() {
    let (pki, clock, logs) = (Pki::new(), clock(), Logs::new());
    let ahead = Arc::new(ManualClock::at(Timestamp(1_700_000_000_000 + 7_200_000)));
    let (one, two, three) = (founded(&clock, &logs), founded(&ahead, &logs), founded(&ahead, &logs));
    let (_one, first) = pki.listen(1, &one).await;
    let (_two, second) = pki.listen(2, &two).await;
    let (_three, third) = pki.listen(3, &three).await;
    let frontend = Frontend::start(&pki.frontend("a1"), &[first.clone(), second.clone(), third], &clock);
    let agreement = || *frontend.heard.agreement.lock();
    frontend.until(|_| agreement().is_some()).await;
    assert_eq!(agreement(), Some(Agreement::Differs));
    clock.set_wall(ahead.wall());
    frontend.until(|_| agreement() == Some(Agreement::Agrees)).await;
    // half of them is enough
    let other = Frontend::start(&pki.frontend("a2"), &[second], &clock);
    other.until(|_| other.heard.agreement.lock().is_some()).await;
    assert_eq!(*other.heard.agreement.lock(), Some(Agreement::Agrees));
}

#[test]
fn processes_of_one_name_are_bounded_and_take_no_place_of_others() {
    let clock = clock();
    let outlet = Outlet::serving(Arc::clone(&clock) as Arc<dyn Clock>);
    let ask =
        |frontend, process| outlet.answer(Holder { frontend: name(frontend), process: [process; 16] }, LogIndex(0));
    for process in 0..8 {
        ask("a1", process).expect("there is room");
    }
    assert_eq!(ask("a1", 8), Err(crate::freshness::TooManyHolders));
    ask("a1", 3).expect("it has its place");
    ask("a2", 8).expect("another name has places of its own");
    clock.advance(Duration::from_secs(6));
    ask("a1", 8).expect("the others have run out");
}

#[test]
fn a_frontend_takes_no_other_certificate_for_its_own() {
    let pki = Pki::new();
    let own = FrontendIdentity { lineage: LINEAGE, name: name("a1") };
    let peer = PeerName { lineage: LINEAGE, replica: ReplicaId(1) }.to_string();
    let other = FrontendIdentity { lineage: LINEAGE, name: name("a2") }.to_string();
    for name in [peer, other, format!("{own}/"), format!("ekm://{LINEAGE}/probe")] {
        let (leaf, key) = pki.frontends.issue(std::slice::from_ref(&name));
        let credentials = Credentials { chain: vec![leaf], key, authorities: vec![pki.peers.certificate()] };
        assert!(FrontendTls::new(own.clone(), credentials).is_err(), "{name}");
    }
}

impl Logs {
    /// An entry that shuts a caller out, as the two officers signed it.
    fn deny(&self, caller: &str, expires_at: Timestamp) -> Arc<Proven> {
        let system = played(&[self.author.genesis(GroupId::SYSTEM), self.author.place_tenant(&tenant())]);
        let subject = Subject::Caller(caller.parse().expect("a legal name"));
        let (_, proof) = self.author.approved(AdminOperation::Deny { tenant: tenant(), subject, expires_at });
        Arc::new(deny::verify_again(&system, proof, expires_at).expect("two officers signed it"))
    }
}

impl Store {
    fn shuts_out(&self, proven: Arc<Proven>) -> DenyEntry {
        let entry = proven.entry.clone();
        self.deny_entries.send_modify(|held| {
            let mut more = Entries::clone(held);
            more.insert(proven.entry.id, proven);
            *held = Arc::new(more);
        });
        entry
    }
}

/// Which entry shuts a caller out of the first key, whether it certainly holds, and whether the view of it is fresh.
fn shut_out(heard: &Directory, caller: &str, clock: &ManualClock) -> Option<(DenyId, Certainty, bool)> {
    let Resolution::Found(target) = heard.resolve(version(1), clock.now()) else { panic!("the key is known") };
    let caller: Principal = caller.parse().expect("a legal name");
    let found = heard.shut_out(&target, &caller, clock.now(), clock.wall()).found()?;
    Some((found.entry, found.certainty, found.age.fresh().is_some()))
}

#[tokio::test]
async fn whoever_is_shut_out_is_so_before_the_first_row_without_a_quorum_and_until_that_is_lifted() {
    let (pki, clock, mut logs) = (Pki::new(), clock(), Logs::new());
    let (first, hour) = ("ann@example.com", 3_600_000);
    let expires_at = Timestamp(clock.wall().0 + hour);
    let mut system = vec![logs.author.genesis(GroupId::SYSTEM), logs.author.place_tenant(&tenant())];
    let store = Store::new(&clock);
    // nobody ever confirms anything: there is no quorum
    store.applies(GroupId::SYSTEM, &system);
    logs.add_key(1);
    store.applies(SHARD, &logs.shard);
    let entry = store.shuts_out(logs.deny(first, expires_at));
    let (_listening, place) = pki.listen(1, &store).await;
    let frontend = Frontend::start(&pki.frontend("a1"), &[place], &clock);
    frontend.until_it_has(1).await;
    assert_eq!(*frontend.heard.denied_at_first_row.lock(), Some(1));
    let heard = &frontend.heard.directory;
    assert_eq!(shut_out(heard, first, &clock), Some((entry.id, Certainty::Certain, false)), "known, and not for good");
    assert_eq!(shut_out(heard, "bob@example.com", &clock), None);

    // one more, to a frontend that follows
    let second = store.shuts_out(logs.deny("bob@example.com", expires_at));
    frontend.until(|heard| heard.deny_entry_count(clock.wall()) == 2).await;
    assert_eq!(shut_out(heard, "bob@example.com", &clock), Some((second.id, Certainty::Certain, false)));

    // a quorum is there again
    store.confirms(GroupId::SYSTEM);
    store.confirms(SHARD);
    let is_fresh = |heard: &Directory| heard.oldest_age(clock.now()).is_some_and(|age| age.fresh().is_some());
    frontend.until(is_fresh).await;
    assert_eq!(shut_out(heard, first, &clock), Some((entry.id, Certainty::Certain, true)));

    // a lift is enough, whoever still holds the entry
    let lift = LiftDeny { tenant: tenant(), entry: entry.id };
    system.push(logs.author.does(GroupId::SYSTEM, Action::LiftDeny(lift)));
    store.holds(GroupId::SYSTEM, &system);
    frontend.until(|heard| shut_out(heard, first, &clock).is_none()).await;
    assert!(shut_out(heard, "bob@example.com", &clock).is_some());

    // and so is its own end, about which clocks need not agree
    clock.advance(Duration::from_millis(hour));
    assert!(matches!(shut_out(heard, "bob@example.com", &clock), Some((_, Certainty::Perhaps, _))));
    clock.advance(Duration::from_millis(30_001));
    assert_eq!(shut_out(heard, "bob@example.com", &clock), None);
}

#[tokio::test]
async fn a_shard_that_is_stuck_or_makes_its_reader_panic_leaves_the_others_fed() {
    let (pki, clock, mut logs) = (Pki::new(), clock(), Logs::new());
    let [second, third] = [2, 3].map(|number| ShardId::of(GroupId(number)).expect("it is a shard"));
    let store = Store::new(&clock);
    let add = |shard| Action::AddShard(AddShard { shard, founder: ReplicaId(1) });
    let system: Vec<_> = std::iter::once(logs.author.genesis(GroupId::SYSTEM))
        .chain([second, third].map(|shard| logs.author.does(GroupId::SYSTEM, add(shard))))
        .collect();
    store.holds(GroupId::SYSTEM, &system);
    store.holds(SHARD, &logs.shard);
    store.holds(second.group(), &[logs.author.genesis(second.group())]);
    // the key store never says anything of the third
    let (_listening, place) = pki.listen(1, &store).await;
    let frontend = Frontend::start(&pki.frontend("a1"), &[place], &clock);
    frontend.heard.panics.lock().0 = Some(second.group());
    let times = || frontend.heard.panics.lock().1;
    frontend.until(|_| times() >= 2).await;
    for number in 1..=3 {
        logs.add_key(number);
        store.holds(SHARD, &logs.shard);
        frontend.until_it_has(number).await;
    }
    let is_fresh = |heard: &Directory, group| heard.age(group, clock.now()).is_some_and(|age| age.fresh().is_some());
    frontend.until(|heard| is_fresh(heard, SHARD)).await;
    let heard = &frontend.heard.directory;
    assert!([second, third].iter().all(|shard| heard.view(shard.group()).is_none()));
    assert!(!frontend.knows_that_there_is_no(9), "one of them may have it");
    let before = times();
    frontend.until(|_| times() > before).await;

    frontend.heard.panics.lock().0 = None;
    store.holds(third.group(), &[logs.author.genesis(third.group())]);
    frontend.until(|heard| [second, third].iter().all(|shard| is_fresh(heard, shard.group()))).await;
    frontend.until(|_| frontend.knows_that_there_is_no(9)).await;
}
