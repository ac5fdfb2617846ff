//! Replicas in one process, over real sockets and real certificates, and links between them that a test cuts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, join_all, select_all};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use super::pki::Authority;
use crate::clock::Timestamp;
use crate::deny_entries::DenyBook;
use crate::ids::{Generation, GroupId, KeyVersionId, LogIndex, ReplicaId, ShardId, TenantId};
use crate::machine::outcome::Outcome;
use crate::machine::state::State;
use crate::peers::connections::Connections;
use crate::peers::listener::{Groups, Listening, listen};
use crate::raft::group::{Group, GroupSettings, ProposeError, SnapshotLimits, Timers};
use crate::raft::network::{AskError, Destination, NoSuchPeer, Peers, Question, Shipment};
use crate::raft::status::Status;
use crate::store::blocking::Blocking;
use crate::store::room::Room;
use crate::testkit::{Author, ManualClock};

pub(super) const SHARD: GroupId = ShardId::FIRST.group();
pub(super) const GENERATION: Generation = Generation(4);
/// Long enough for any machine; no test waits for it to pass.
pub(super) const AMPLE: Duration = Duration::from_mins(2);
/// No snapshots.
pub(super) const NEVER: SnapshotLimits =
    SnapshotLimits { entries: u64::MAX, bytes: u64::MAX, interval: Duration::from_hours(9) };
/// Long enough that a busy machine holds no election by itself.
pub(super) const TIMERS: Timers = Timers {
    heartbeat: Duration::from_millis(150),
    election_min: Duration::from_millis(1200),
    election_max: Duration::from_millis(2400),
};

/// Pairs of replicas between which nothing goes, in either direction.
#[derive(Debug, Default)]
struct Cuts {
    pairs: Mutex<BTreeSet<(ReplicaId, ReplicaId)>>,
    /// Snapshots are not sent, and kept here instead.
    held: watch::Sender<Held>,
}

/// What becomes of snapshots on their way.
#[derive(Debug, Clone, Default)]
enum Held {
    #[default]
    No,
    Yes(Option<(Destination, Shipment)>),
}

impl Cuts {
    fn has(&self, one: ReplicaId, other: ReplicaId) -> bool {
        self.pairs.lock().contains(&(one.min(other), one.max(other)))
    }
}

/// Carries over real connections what is not cut.
#[derive(Debug)]
struct Cuttable {
    own: ReplicaId,
    cuts: Arc<Cuts>,
    connections: Connections,
}

impl Peers for Cuttable {
    fn ask(&self, to: Destination, question: Question) -> BoxFuture<'static, Result<Vec<u8>, AskError>> {
        if self.cuts.has(self.own, to.replica) {
            return async { Err(AskError::Unreachable(Arc::new(NoSuchPeer))) }.boxed();
        }
        let (own, cuts, other) = (self.own, Arc::clone(&self.cuts), to.replica);
        let asked = self.connections.ask(to, question);
        async move {
            let answer = asked.await;
            // what was under way when the link was cut may have been done, and nobody hears of it
            if cuts.has(own, other) { Err(AskError::Lost(Arc::new(NoSuchPeer))) } else { answer }
        }
        .boxed()
    }

    fn ship(&self, to: Destination, shipment: Shipment) -> BoxFuture<'static, Result<Vec<u8>, AskError>> {
        if self.cuts.has(self.own, to.replica) {
            return async { Err(AskError::Unreachable(Arc::new(NoSuchPeer))) }.boxed();
        }
        let held = self.cuts.held.send_if_modified(|held| match held {
            Held::No => false,
            Held::Yes(shipped) => {
                *shipped = Some((to.clone(), shipment.clone()));
                true
            }
        });
        if held {
            return async { Err(AskError::Unreachable(Arc::new(NoSuchPeer))) }.boxed();
        }
        self.connections.ship(to, shipment)
    }
}

/// One replica of the shard.
pub(super) struct Node {
    pub(super) replica: ReplicaId,
    pub(super) address: SocketAddr,
    folder: TempDir,
    running: Option<(Arc<Group>, Listening)>,
}

/// The replicas of one shard.
pub(super) struct Replicas {
    pub(super) authority: Authority,
    pub(super) author: Author,
    pub(super) limits: SnapshotLimits,
    pub(super) nodes: Vec<Node>,
    cuts: Arc<Cuts>,
}

impl Replicas {
    /// Replicas that know nothing yet.
    pub(super) async fn empty(count: u64, limits: SnapshotLimits) -> Self {
        let mut replicas = Self {
            authority: Authority::new("peers"),
            author: Author::default(),
            limits,
            nodes: Vec::new(),
            cuts: Arc::default(),
        };
        for number in 1..=count {
            replicas.add(ReplicaId(number)).await;
        }
        replicas
    }

    /// Replicas that are the shard's voters, with a tenant in it.
    pub(super) async fn voters(count: u64, limits: SnapshotLimits) -> Self {
        let replicas = Self::empty(count, limits).await;
        let voters = replicas.nodes.iter().map(|node| (node.replica, node.address.to_string())).collect();
        replicas.group(1).initialise(&voters, AMPLE).await.expect("all voters are there");
        for entry in [replicas.author.genesis(SHARD), replicas.author.create_tenant(&tenant())] {
            replicas.done(entry).await;
        }
        replicas
    }

    /// One more replica, empty.
    pub(super) async fn add(&mut self, replica: ReplicaId) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        self.nodes.push(Node { replica, address, folder, running: None });
        self.start_on(replica.0, listener).await;
    }

    async fn start_on(&mut self, number: u64, listener: TcpListener) {
        let replica = ReplicaId(number);
        let tls = self.authority.tls(replica);
        let peers = Cuttable {
            own: replica,
            cuts: Arc::clone(&self.cuts),
            connections: Connections::new(tls.clone(), GENERATION),
        };
        let settings = GroupSettings {
            group: SHARD,
            replica,
            folder: self.node(number).folder.path().join("group"),
            timers: TIMERS,
            blocking: Blocking::Threads,
            limits: self.limits,
            room: watch::channel(Room::unmeasured(0)).1,
            peers: Arc::new(peers),
        };
        let group = Arc::new(Group::open(settings).await.expect("the folder is whole and not in use"));
        let only = Arc::clone(&group);
        let groups: Groups = Arc::new(move |id| (id == SHARD).then(|| Arc::clone(&only)));
        let deny_entries = DenyBook::open(
            self.node(number).folder.path().join("deny-entries"),
            Arc::new(ManualClock::at(Timestamp(0))),
            &State::empty(),
        );
        let deny_entries = Arc::new(deny_entries.expect("there is none"));
        let listening = listen(listener, tls, GENERATION, groups, deny_entries).expect("the socket listens");
        let node = self.nodes.iter_mut().find(|node| node.replica == replica).expect("the replica was added");
        node.running = Some((group, listening));
    }

    /// Starts a replica that was stopped, where it was.
    pub(super) async fn start(&mut self, number: u64) {
        let listener = TcpListener::bind(self.node(number).address).await.expect("its port is still free");
        self.start_on(number, listener).await;
    }

    /// Cuts a replica's connections off, then ends it.
    pub(super) async fn stop(&mut self, number: u64) {
        let node = self.nodes.iter_mut().find(|node| node.replica.0 == number).expect("the replica was added");
        let (group, listening) = node.running.take().expect("it runs");
        drop(listening);
        group.shutdown().await;
    }

    /// Takes a stopped replica's disk away.
    pub(super) fn wipe(&mut self, number: u64) {
        let node = self.nodes.iter_mut().find(|node| node.replica.0 == number).expect("the replica was added");
        assert!(node.running.is_none(), "it still runs");
        node.folder = tempfile::tempdir().expect("a temporary folder can be made");
    }

    /// Where a replica's group lives.
    pub(super) fn folder(&self, number: u64) -> std::path::PathBuf {
        self.node(number).folder.path().join("group")
    }

    pub(super) fn cut(&self, one: u64, other: u64) {
        self.cuts.pairs.lock().insert((ReplicaId(one.min(other)), ReplicaId(one.max(other))));
    }

    pub(super) fn mend(&self) {
        self.cuts.pairs.lock().clear();
    }

    /// From now on no snapshot is sent.
    pub(super) fn hold_snapshots(&self) {
        self.cuts.held.send_replace(Held::Yes(None));
    }

    /// A snapshot that was to be sent since they are held.
    pub(super) async fn held_snapshot(&self) -> (Destination, Shipment) {
        let mut held = self.cuts.held.subscribe();
        let shipped = timeout(AMPLE, held.wait_for(|held| matches!(held, Held::Yes(Some(_))))).await;
        match &*shipped.expect("one is sent").expect("the sender lives") {
            Held::Yes(Some(shipped)) => shipped.clone(),
            Held::Yes(None) | Held::No => unreachable!("it was waited for"),
        }
    }

    /// Snapshots are sent again.
    pub(super) fn release_snapshots(&self) {
        self.cuts.held.send_replace(Held::No);
    }

    /// Connections in a replica's name, beside its own.
    pub(super) fn in_the_name_of(&self, number: u64) -> Connections {
        Connections::new(self.authority.tls(ReplicaId(number)), GENERATION)
    }

    /// The way from one running replica's store to another's.
    pub(super) fn way(&self, from: u64, to: u64) -> Destination {
        Destination {
            group: SHARD,
            from: self.group(from).incarnation(),
            replica: ReplicaId(to),
            address: self.node(to).address.to_string(),
            incarnation: Some(self.group(to).incarnation()),
        }
    }

    pub(super) fn node(&self, number: u64) -> &Node {
        self.nodes.iter().find(|node| node.replica.0 == number).expect("the replica was added")
    }

    pub(super) fn group(&self, number: u64) -> Arc<Group> {
        Arc::clone(&self.node(number).running.as_ref().expect("it runs").0)
    }

    pub(super) fn running(&self) -> impl Iterator<Item = (ReplicaId, Arc<Group>)> {
        self.nodes.iter().filter_map(|node| Some((node.replica, Arc::clone(&node.running.as_ref()?.0))))
    }

    /// Who says of itself that it leads, once somebody does.
    pub(super) async fn leader(&self) -> u64 {
        let each = self.running().map(|(replica, group)| {
            async move {
                group.wait_status(|status| status.leader == Some(replica)).await.expect("the group runs");
                replica.0
            }
            .boxed()
        });
        timeout(AMPLE, select_all(each)).await.expect("somebody is elected").0
    }

    /// Waits until a replica's status is as it is wanted.
    pub(super) async fn wait(&self, number: u64, wanted: impl Fn(&Status) -> bool) -> Status {
        let group = self.group(number);
        let waited = timeout(AMPLE, group.wait_status(wanted)).await;
        waited.unwrap_or_else(|_| panic!("replica {number} stands at {:?}", group.status())).expect("the group runs")
    }

    /// Has an entry done by whoever leads, however often it must be asked.
    pub(super) async fn done(&self, entry: Vec<u8>) -> LogIndex {
        let asking = async {
            loop {
                let group = self.group(self.leader().await);
                match group.propose(entry.clone(), AMPLE).await {
                    Ok(proposed) => {
                        let outcome = &proposed.outcome;
                        assert!(matches!(outcome, Outcome::Done(_) | Outcome::Repeated(_)), "{outcome:?}");
                        return proposed.index;
                    }
                    Err(ProposeError::NotLeader { .. } | ProposeError::Unknown) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        timeout(AMPLE, asking).await.expect("a quorum is there")
    }

    /// Makes keys of these numbers, many at once.
    pub(super) async fn keys(&self, numbers: std::ops::Range<u32>) -> LogIndex {
        let done = join_all(numbers.map(|number| self.done(self.key(number)))).await;
        done.into_iter().max().unwrap_or_default()
    }

    pub(super) fn key(&self, number: u32) -> Vec<u8> {
        let name = format!("k{number}").parse().expect("a legal name");
        self.author.create_key(&tenant(), &name, None, version(number))
    }

    /// Waits until every running replica has applied an entry, and compares their states.
    pub(super) async fn agree(&self, index: LogIndex) {
        let mut digests = BTreeMap::new();
        let end = self.running().map(|(_, group)| group.status().last).max().unwrap_or(index).max(index);
        for (replica, group) in self.running() {
            let applied = timeout(AMPLE, group.wait_applied(end)).await;
            let applied = applied.unwrap_or_else(|_| panic!("replica {replica} stands at {:?}", group.status()));
            digests.insert(applied.expect("the group runs").state.digest().to_string(), replica);
        }
        assert_eq!(digests.len(), 1, "{digests:?}");
    }

    pub(super) async fn shutdown(mut self) {
        for node in &mut self.nodes {
            if let Some((group, listening)) = node.running.take() {
                listening.shutdown().await;
                group.shutdown().await;
            }
        }
    }
}

pub(super) fn tenant() -> TenantId {
    "acme".parse().expect("a legal name")
}

pub(super) fn version(number: u32) -> KeyVersionId {
    let mut bytes = [0xee; 16];
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    KeyVersionId::from_bytes(bytes)
}
