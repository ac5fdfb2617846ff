//! A cluster of whole hosts that begins with one replica: others join by the registry, and shards come to all of them.

use std::sync::Arc;

use futures::future::join_all;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::cluster::{AMPLE, GENERATION, NEVER, TIMERS};
use super::pki::Authority;
use crate::clock::Timestamp;
use crate::deny_entries::{self, BroughtBy, DenyBook};
use crate::feed::{self, Outlet};
use crate::ids::{DenyId, GroupId, PeerAddress, ReplicaId, ShardId, TenantId};
use crate::machine::command::{Action, AddReplica, AddShard, LiftDeny};
use crate::machine::policy::Subject;
use crate::machine::request::AdminOperation;
use crate::machine::rows::{ReplicaKind, Standing};
use crate::machine::state::State;
use crate::peers::connections::Connections;
use crate::peers::listener::{Groups, Listening, listen};
use crate::raft::group::{Group, ProposeError};
use crate::raft::host::{Host, HostSettings};
use crate::raft::status::Status;
use crate::store::blocking::Blocking;
use crate::testkit::{Author, ManualClock, signing_key};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

struct Machine {
    address: PeerAddress,
    host: Arc<Host>,
    deny_entries: Arc<DenyBook>,
    listening: Listening,
    tasks: Vec<JoinHandle<()>>,
    _folder: TempDir,
}

impl Machine {
    async fn start(authority: &Authority, number: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address: PeerAddress = listener.local_addr().expect("it listens").to_string().parse().expect("it is one");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let tls = authority.tls(ReplicaId(number));
        let settings = HostSettings {
            replica: ReplicaId(number),
            folder: folder.path().to_owned(),
            timers: TIMERS,
            blocking: Blocking::Threads,
            limits: NEVER,
            disk_reserve_bytes: 0,
            peers: Arc::new(Connections::new(tls.clone(), GENERATION)),
            address: Some(address.clone()),
        };
        let host: Arc<Host> = Arc::new(Host::open(settings).await.expect("an empty folder opens"));
        let looked_up = Arc::clone(&host);
        let groups: Groups = Arc::new(move |group| looked_up.group(group));
        let clock = Arc::new(ManualClock::at(NOW));
        let deny_entries =
            DenyBook::open(folder.path().join("deny-entries"), clock, &State::empty()).expect("there is none");
        let deny_entries = Arc::new(deny_entries);
        let listening =
            listen(listener, tls, GENERATION, groups, Arc::clone(&deny_entries)).expect("the socket listens");
        let (opening, keeping) = (Arc::clone(&host), Arc::clone(&host));
        let tasks = vec![
            tokio::spawn(async move { opening.open_named(AMPLE).await }),
            tokio::spawn(async move { keeping.reconcile().await }),
            tokio::spawn(deny_entries::keep(Arc::clone(&deny_entries), Arc::clone(host.system()))),
        ];
        Self { address, host, deny_entries, listening, tasks, _folder: folder }
    }

    async fn wait(&self, group: GroupId, wanted: impl Fn(&Status) -> bool) {
        let open = async {
            loop {
                if let Some(group) = self.host.group(group) {
                    return group;
                }
                tokio::task::yield_now().await;
            }
        };
        let group = timeout(AMPLE, open).await.expect("group 0 names it");
        let waited = timeout(AMPLE, group.wait_status(wanted)).await;
        waited.unwrap_or_else(|_| panic!("group {} stands at {:?}", group.id(), group.status())).expect("it runs");
    }

    async fn end(self) {
        for task in &self.tasks {
            task.abort();
        }
        self.listening.shutdown().await;
        self.host.shutdown().await;
    }
}

/// Has an entry done, through any replica.
async fn done(group: &Group, entry: Vec<u8>) {
    let asking = async {
        loop {
            match group.propose(entry.clone(), AMPLE).await {
                Ok(_) => return,
                Err(ProposeError::NotLeader { .. } | ProposeError::Unknown) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(AMPLE, asking).await.expect("a quorum is there");
}

fn joins(number: u64, machine: &Machine, kind: ReplicaKind) -> AddReplica {
    let site = "a".parse().expect("it is a site");
    AddReplica { replica: ReplicaId(number), address: machine.address.clone(), site, kind, standing: Standing::Voter }
}

fn data(name: &str, seed: u8) -> ReplicaKind {
    let key = signing_key(name, seed);
    ReplicaKind::Data { signer: key.signer().clone(), public_key: key.public_key() }
}

/// Genesis, and the row of the first replica.
async fn founded(machine: &Machine, author: &Author) {
    machine.host.begin_cluster(AMPLE).await.expect("it leads itself");
    let system = machine.host.system();
    done(system, author.genesis(GroupId::SYSTEM)).await;
    let first = Action::AddReplica(joins(1, machine, data("replica-1", 1)));
    done(system, author.automatic(GroupId::SYSTEM, first)).await;
    let shard = AddShard { shard: ShardId::FIRST, founder: ReplicaId(1) };
    done(system, author.automatic(GroupId::SYSTEM, Action::AddShard(shard))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_founds_two_join_and_every_shard_comes_to_all_of_them() {
    let (authority, author) = (Authority::new("peers"), Author::default());
    let machines = join_all((1..=3).map(|number| Machine::start(&authority, number))).await;
    let [first, second, third] = machines.as_slice() else { unreachable!("three were started") };
    founded(first, &author).await;
    let system = first.host.system();
    for (number, machine, kind) in [(2, second, data("replica-2", 12)), (3, third, ReplicaKind::Witness)] {
        let add = Action::AddReplica(joins(number, machine, kind));
        done(system, author.does(GroupId::SYSTEM, add)).await;
    }
    let second_shard = ShardId::of(GroupId(2)).expect("it is a shard");
    let add = |founder| Action::AddShard(AddShard { shard: second_shard, founder: ReplicaId(founder) });
    // founded by one that joined
    done(second.host.system(), author.does(GroupId::SYSTEM, add(2))).await;
    for group in [GroupId::SYSTEM, ShardId::FIRST.group(), second_shard.group()] {
        for machine in &machines {
            machine.wait(group, |status| status.voters.len() == 3 && status.learners.is_empty()).await;
            // a witness leads for a moment at most
            machine.wait(group, |status| status.leader.is_some_and(|leader| leader != ReplicaId(3))).await;
        }
    }
    let group = third.host.shard(second_shard).expect("the witness stores it too");
    done(&group, author.genesis(second_shard.group())).await;
    let incarnations =
        machines.iter().map(|machine| machine.host.shard(second_shard).map(|group| group.status().members));
    let incarnations: Vec<_> = incarnations.collect();
    assert!(incarnations.iter().all(|members| *members == incarnations[0]), "it is one group");
    for machine in machines {
        machine.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_joined_begins_nothing_by_itself() {
    let (authority, author) = (Authority::new("peers"), Author::default());
    let [first, second] = [Machine::start(&authority, 1).await, Machine::start(&authority, 2).await];
    for group in [GroupId::SYSTEM, ShardId::FIRST.group()] {
        let status = second.host.group(group).expect("every host has it").status();
        assert!(status.voters.is_empty() && status.leader.is_none(), "{status:?}");
    }
    founded(&first, &author).await;
    let add = Action::AddReplica(joins(2, &second, data("replica-2", 12)));
    done(first.host.system(), author.does(GroupId::SYSTEM, add)).await;
    for group in [GroupId::SYSTEM, ShardId::FIRST.group()] {
        second.wait(group, |status| status.voters.len() == 2 && status.leader == Some(ReplicaId(1))).await;
    }
    first.end().await;
    second.end().await;
}

impl Machine {
    async fn holds(&self, wanted: &[DenyId]) {
        let mut held = self.deny_entries.watch();
        let holds = held.wait_for(|held| held.keys().copied().eq(wanted.iter().copied()));
        timeout(AMPLE, holds).await.expect("it is heard of in time").expect("the book lives");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deny_entries_reach_every_replica_without_a_quorum_and_whoever_comes_later() {
    let (authority, author) = (Authority::new("peers"), Author::default());
    let mut machines = join_all((1..=4).map(|number| Machine::start(&authority, number))).await;
    let acme: TenantId = "acme".parse().expect("a legal name");
    let expires_at = Timestamp(NOW.0 + 3_600_000);
    let deny = |key: &str| {
        let subject = Subject::Key(key.parse().expect("a legal name"));
        author.approved(AdminOperation::Deny { tenant: acme.clone(), subject, expires_at }).1
    };
    let take = async |machine: &Machine, proof| {
        let system = machine.host.system().watch().borrow().state.clone();
        let taken = machine.deny_entries.take(&system, proof, BroughtBy::Officers).await;
        taken.expect("two officers signed it").proven.entry.id
    };
    founded(&machines[0], &author).await;
    done(machines[0].host.system(), author.place_tenant(&acme)).await;
    let early = take(&machines[0], deny("k1")).await;
    for (number, machine) in (2..).zip(&machines[1..]) {
        let kind = if number == 4 { ReplicaKind::Witness } else { data(&format!("replica-{number}"), 10 + number) };
        let add = Action::AddReplica(joins(u64::from(number), machine, kind));
        done(machines[0].host.system(), author.does(GroupId::SYSTEM, add)).await;
    }
    for machine in &machines {
        machine.wait(GroupId::SYSTEM, |status| status.voters.len() == 4).await;
        machine.holds(&[early]).await;
    }

    for machine in machines.drain(2..) {
        machine.end().await;
    }
    let late = take(&machines[1], deny("k2")).await;
    let mut both = [early, late];
    both.sort_unstable();
    machines[0].holds(&both).await;
    let [first, second] = machines.try_into().ok().expect("two are left");
    let lift = Action::LiftDeny(LiftDeny { tenant: acme.clone(), entry: early });
    let lift = author.does(GroupId::SYSTEM, lift);
    let lifted = first.host.system().propose(lift, std::time::Duration::from_millis(200)).await;
    assert!(lifted.is_err(), "two of four are no quorum: {lifted:?}");
    first.end().await;
    second.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whom_no_officer_announced_makes_nobody_fresh_and_one_who_is_announced_later_does() {
    let (authority, author) = (Authority::new("peers"), Author::default());
    let [first, second] = [Machine::start(&authority, 1).await, Machine::start(&authority, 2).await];
    let system = first.host.system();
    assert!(first.host.unannounced(system).is_empty(), "before there is a registry");
    founded(&first, &author).await;
    assert!(first.host.unannounced(system).is_empty());
    first.wait(ShardId::FIRST.group(), |status| status.leader == Some(ReplicaId(1))).await;
    let shard = first.host.shard(ShardId::FIRST).expect("it began it");
    // whoever leads can write a membership, and nobody signs it
    shard.add_learner(ReplicaId(2), second.address.as_str(), AMPLE).await.expect("the second one answers");
    assert_eq!(first.host.unannounced(&shard), [ReplicaId(2)].into());
    assert!(first.host.unannounced(system).is_empty(), "the other group is as it was announced");

    let outlet = Outlet::serving(Arc::new(ManualClock::at(NOW)));
    let index = shard.watch().borrow().index;
    let looks = std::sync::atomic::AtomicUsize::new(0);
    let unannounced = || {
        looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        first.host.unannounced(&shard)
    };
    let feeding = feed::run(&shard, &outlet, None, unannounced, |_| {});
    let watching = async {
        while looks.load(std::sync::atomic::Ordering::Relaxed) < 3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(outlet.known_age(), None, "three read indexes confirmed nothing");
        let add = Action::AddReplica(joins(2, &second, data("replica-2", 12)));
        done(system, author.does(GroupId::SYSTEM, add)).await;
        while outlet.known_age().is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = feeding => panic!("the group lives"),
        fresh = timeout(AMPLE, watching) => fresh.expect("the registry has caught up"),
    }
    assert!(first.host.unannounced(&shard).is_empty() && shard.watch().borrow().index >= index);

    for machine in [first, second] {
        machine.end().await;
    }
}
