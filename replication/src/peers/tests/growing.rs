//! A cluster of whole hosts that begins with one replica: others join by the registry, and shards come to all of them.

use std::sync::Arc;

use futures::future::join_all;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::cluster::{AMPLE, GENERATION, NEVER, TIMERS};
use super::pki::Authority;
use crate::ids::{GroupId, PeerAddress, ReplicaId, ShardId};
use crate::machine::command::{Action, AddReplica, AddShard};
use crate::machine::rows::{ReplicaKind, Standing};
use crate::peers::connections::Connections;
use crate::peers::listener::{Groups, Listening};
use crate::raft::group::{Group, ProposeError};
use crate::raft::host::{Host, HostSettings};
use crate::raft::status::Status;
use crate::store::blocking::Blocking;
use crate::testkit::{Author, signing_key};

struct Machine {
    address: PeerAddress,
    host: Arc<Host>,
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
        let listening = Listening::start(listener, tls, GENERATION, groups).expect("the socket listens");
        let (opening, keeping) = (Arc::clone(&host), Arc::clone(&host));
        let tasks = vec![
            tokio::spawn(async move { opening.open_named(AMPLE).await }),
            tokio::spawn(async move { keeping.reconcile().await }),
        ];
        Self { address, host, listening, tasks, _folder: folder }
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
