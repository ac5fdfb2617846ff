//! From a replica that belongs to no cluster to one that does: it is founded here, or the registry comes to name this replica.
//!
//! Founds only what somebody asked for, and goes on with a founding that a crash cut off.

use std::sync::Arc;
use std::time::Duration;

use replication::ids::{LogIndex, ShardId};
use replication::machine::rows::Trust;
use replication::raft::host::Host;
use tokio::sync::{mpsc, watch};

use crate::admin::cluster::{InitError, Initiation};
use crate::admin::wire::{Founded, InitRequest};
use crate::keystore::{
    ELECTION_DEADLINE, FoundError, Founding, KeyStore, Made, Membership, Own, Parts, Person, Root, is_there,
};

use super::error::ReplicaError;

/// How often it is looked whether the root key has come, or a founding can go on.
const AGAIN: Duration = Duration::from_secs(1);

/// Makes the parts of a key store around a root key.
pub(super) type WithRoot<'a> = &'a dyn Fn(Root) -> Parts;

/// A data replica on its way into its cluster.
pub(super) struct Entering<'a> {
    pub(super) host: &'a Arc<Host>,
    pub(super) own: &'a Own,
    pub(super) root_key: &'a std::path::Path,
    pub(super) arena: &'a Arc<crate::crypto::Arena>,
    pub(super) entropy: &'a dyn crate::crypto::Entropy,
    pub(super) with_root: WithRoot<'a>,
    /// Why it does not serve yet.
    pub(super) waits_for: &'a watch::Sender<String>,
}

impl Entering<'_> {
    /// Ends when the replica belongs to the cluster and has the root key.
    pub(super) async fn enter(&self, mut initiations: mpsc::Receiver<Initiation>) -> Result<KeyStore, ReplicaError> {
        let mut system = self.host.system().watch();
        let at_start = Membership::of(self.host, self.own)?;
        let mut founded = None;
        loop {
            system.borrow_and_update();
            match Membership::of(self.host, self.own)? {
                Membership::Joined => break,
                Membership::HalfFounded if founded.is_none() => {
                    let parts = (self.with_root)(Root::load(self.root_key, self.arena)?);
                    match parts.found_registry(self.own).await {
                        Ok(()) => founded = Some(parts),
                        Err(error) => {
                            tracing::warn!(
                                error = &error as &dyn std::error::Error,
                                "the founding of the cluster does not go on yet; tried again"
                            );
                            tokio::time::sleep(AGAIN).await;
                        }
                    }
                    continue;
                }
                Membership::HalfFounded | Membership::Nothing | Membership::NotYet => {}
            }
            tokio::select! {
                changed = system.changed() => if changed.is_err() {
                    // group 0 has ended, which ends the process
                    std::future::pending::<()>().await;
                },
                Some(initiation) = initiations.recv() => {
                    let outcome = self.found(&initiation.with).await;
                    let answer = outcome.map(|(parts, answer)| {
                        founded = Some(parts);
                        answer
                    });
                    // whoever asked may have gone
                    let _ = initiation.answer.send(answer);
                }
            }
        }
        let parts = match founded {
            Some(parts) => parts,
            None => (self.with_root)(self.root(at_start).await?),
        };
        Ok(KeyStore::of_member(parts, self.own.lineage)?)
    }

    /// The root key. Of a replica that has just joined it is waited for; one that served before has lost it if it is not there.
    async fn root(&self, at_start: Membership) -> Result<Root, ReplicaError> {
        // it has no key store yet, which does what a leader does unasked
        let _aside = self.host.stand_aside();
        while at_start != Membership::Joined && !is_there(self.root_key)? {
            let wanted = format!(
                "this replica has joined and has no root key: copy that of another key store to {}, readable to the server alone (mode 0400)",
                self.root_key.display()
            );
            if *self.waits_for.borrow() != wanted {
                tracing::warn!("{wanted}");
                self.waits_for.send_replace(wanted);
            }
            tokio::time::sleep(AGAIN).await;
        }
        Ok(Root::load(self.root_key, self.arena)?)
    }

    /// Whether nothing says that a cluster was here, or that this replica is on its way into one.
    fn is_to_be_founded_here(&self) -> Result<(), InitError> {
        if Membership::of(self.host, self.own)? != Membership::Nothing {
            return Err(InitError::Founded);
        }
        if let Some(shard) = self.host.shards().into_iter().find(|shard| is_lived_in(self.host, *shard)) {
            return Err(InitError::GroupZeroLost(shard));
        }
        let group_0 = self.host.system().status();
        // this replica alone: a founding that was cut off
        let mut members = group_0.voters.iter().chain(&group_0.learners);
        if members.any(|member| *member != self.own.row.replica) {
            return Err(InitError::BegunElsewhere);
        }
        Ok(())
    }

    async fn found(&self, with: &InitRequest) -> Result<(Parts, Founded), InitError> {
        self.is_to_be_founded_here()?;
        if is_there(self.root_key)? {
            // one that cannot be used is told before anything is begun
            Root::load(self.root_key, self.arena)?;
        }
        // before a key is made: whoever joins another cluster meanwhile must find none of its own
        let begun = self.host.begin_cluster(ELECTION_DEADLINE).await;
        begun.map_err(|error| FoundError::Begin(Arc::new(error)))?;
        self.is_to_be_founded_here()?;
        let (root, made) = Root::found(self.root_key, self.arena, self.entropy)?;
        let parts = (self.with_root)(root);
        parts.found_cluster(self.own, &founding(with)).await?;
        let file = self.root_key.display().to_string();
        let next = vec![
            format!(
                "keep a copy of {file} where no replica can lose it: every key of the cluster opens under it alone"
            ),
            format!("copy {file} to the other data replicas, over a channel that you trust"),
            "start the other replicas, and have a security officer join each with `ekmctl cluster join REPLICA.json`"
                .to_owned(),
        ];
        tracing::info!(lineage = %self.own.lineage, "the cluster is founded");
        let founded = Founded {
            lineage: self.own.lineage,
            replica: self.own.row.replica,
            root_key_file: file,
            root_key_made: made == Made::Now,
            next,
        };
        Ok((parts, founded))
    }
}

/// Whether anything was ever in a shard of this replica, as far as can be told; one that cannot be opened may hold anything.
fn is_lived_in(host: &Host, shard: ShardId) -> bool {
    let Some(group) = host.shard(shard) else { return true };
    let (status, applied) = (group.status(), group.watch().borrow().clone());
    let is_empty = status.voters.is_empty()
        && status.learners.is_empty()
        && status.last == LogIndex(0)
        && applied.state.meta().is_none()
        && applied.halted.is_none();
    // every start makes the folder of the first shard, and no other
    shard != ShardId::FIRST || !is_empty
}

fn founding(with: &InitRequest) -> Founding {
    let person = |one: &crate::admin::wire::FirstPerson| Person {
        signer: one.name.clone(),
        public_key: one.public_key,
        roles: one.roles.clone(),
    };
    Founding {
        dev: false,
        people: with.people.iter().map(person).collect(),
        trust: Trust { issuers: with.issuers.clone(), audiences: with.audiences.clone() },
    }
}

/// A witness on its way into its cluster.
pub(super) async fn witness_enters(host: &Arc<Host>, own: &Own) -> Result<(), ReplicaError> {
    let mut system = host.system().watch();
    loop {
        system.borrow_and_update();
        if Membership::of(host, own)? == Membership::Joined {
            return Ok(());
        }
        if system.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
