//! Founding: genesis entries, the reserved tenant and its canary key, and plans that a crash left half-way.
//!
//! Every step looks first whether it is done, so that each start runs all of them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use replication::ids::{
    Generation, GroupId, IdempotencyId, KeyName, KeyVersionId, LineageId, PublicKey, ShardId, SignerId, TenantId,
};
use replication::machine::apply::RESERVED_TENANT;
use replication::machine::command::{Action, AddShard, Genesis, ReservePath};
use replication::machine::outcome::{Effect, Refusal};
use replication::machine::policy::{Operation, Policy, Principal, Rule};
use replication::machine::roles::PersonRole;
use replication::machine::rows::{Key, Meta, Purpose, Role, Shard, Signer, Staleness, Tenant, Trust};
use replication::raft::group::Group;
use replication::raft::host::HostError;
use tokio::sync::watch;

use crate::crypto::EntropyError;

use super::complete::{CompleteError, NewKey};
use super::execute::ExecuteError;
use super::propose::{Done, ProposalError};
use super::sound::UnsoundError;
use super::{KeyStore, Parts};

/// What a new cluster is founded with. Looked at on the first start only.
#[derive(Debug, Clone)]
pub struct Founding {
    /// Stamps everything as made by `ekm dev`.
    pub dev: bool,
    /// The people whose signatures count from the first entry on.
    pub people: Vec<Person>,
    /// Which tokens prove a caller.
    pub trust: Trust,
}

/// A person whom genesis names, with all tenants in reach.
#[derive(Debug, Clone)]
pub struct Person {
    /// Their name.
    pub signer: SignerId,
    /// What their signatures are verified by.
    pub public_key: PublicKey,
    /// What they are there for.
    pub roles: BTreeSet<PersonRole>,
}

/// Why a key store does not come up.
#[derive(Debug, thiserror::Error)]
pub enum FoundError {
    /// A piece of the data is missing, foreign, or not to be read.
    #[error(transparent)]
    Unsound(#[from] UnsoundError),
    /// A shard's group cannot be had.
    #[error(transparent)]
    Shard(Arc<HostError>),
    /// Group 0 cannot be begun.
    #[error(transparent)]
    Begin(Arc<HostError>),
    /// The data is of another kind of cluster.
    #[error("the data directory was not made by ekm dev; ekm dev does not touch it")]
    NotDev,
    /// The data is of a dev cluster.
    #[error("the data directory was made by ekm dev, which is for trying out only")]
    IsDev,
    /// There is no randomness.
    #[error("there is no randomness for the first ids")]
    Entropy(#[from] EntropyError),
    /// A first entry was not accepted.
    #[error("a first entry was not accepted")]
    Proposal(#[from] ProposalError),
    /// Key material for the canary could not be made.
    #[error("the canary key cannot be made")]
    Complete(#[from] CompleteError),
    /// A plan that was left half-way could not be settled, or the shard did not take in who may sign.
    #[error("what was decided before cannot be carried out in the shard yet")]
    Settle(#[from] ExecuteError),
    /// A first entry came to something else than it is for.
    #[error("a first entry came to something unexpected")]
    Unexpected,
}

impl FoundError {
    /// Whether the root key is not the one that belongs to the data.
    pub(super) const fn is_of_the_root(&self) -> bool {
        matches!(self, Self::Unsound(error) if error.is_of_the_root())
    }

    /// Whether trying again, in the same process, may come to something else.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Shard(error) | Self::Begin(error) => error.may_pass(),
            Self::Proposal(ProposalError::Propose(_)) | Self::Settle(_) | Self::Entropy(_) => true,
            Self::Proposal(ProposalError::Refused(_))
            | Self::Unsound(_)
            | Self::NotDev
            | Self::IsDev
            | Self::Complete(_)
            | Self::Unexpected => false,
        }
    }
}

impl KeyStore {
    /// Brings the key store up: founds what is not there yet, and goes on with what a crash interrupted. A shard that cannot be
    /// brought up is told and left out, as long as another one serves.
    ///
    /// # Errors
    /// See [`FoundError`]. Whatever was founded stays, and the next start goes on from there.
    pub async fn start(parts: Parts, founding: &Founding) -> Result<Self, FoundError> {
        let judged = parts.verify().await?;
        let lineage = match parts.system_state().meta() {
            Some(meta) => meta.lineage,
            None => LineageId::from_bytes(parts.draw_id()?),
        };
        parts.found_system(lineage, founding).await?;
        let store = Self::over(parts, lineage);
        store.raise_all(judged).await?;
        Ok(store)
    }

    pub(super) fn over(parts: Parts, lineage: LineageId) -> Self {
        let shards = watch::Sender::default();
        let (raising, making) = (tokio::sync::Mutex::default(), tokio::sync::Mutex::default());
        // whoever was shut out before the start is so before the first view is read
        parts.shut_out_here();
        Self { parts, lineage, shards, outlets: Mutex::default(), raising, making }
    }
}

pub(super) fn reserved_tenant() -> TenantId {
    RESERVED_TENANT.parse().expect("the reserved tenant has a legal name")
}

pub(super) fn canary_name() -> KeyName {
    "canary".parse().expect("the canary key has a legal name")
}

impl Person {
    /// As genesis names them.
    pub(super) fn signer(&self) -> (SignerId, Signer) {
        let role = Role::Person { roles: self.roles.clone(), tenants: None };
        (self.signer.clone(), signer(self.public_key, role))
    }
}

impl Parts {
    /// Group 0, and in it the first shard.
    async fn found_system(&self, lineage: LineageId, founding: &Founding) -> Result<(), FoundError> {
        let system = self.host.system();
        match self.system_state().meta() {
            Some(meta) if meta.dev && !founding.dev => return Err(FoundError::IsDev),
            Some(meta) if !meta.dev && founding.dev => return Err(FoundError::NotDev),
            Some(_) => {}
            None => {
                let replica = signer(self.signer.public_key(), Role::Replica);
                let genesis = Genesis {
                    meta: Meta { lineage, generation: Generation::FIRST, group: GroupId::SYSTEM, dev: founding.dev },
                    signers: std::iter::once((self.signer.signer().clone(), replica))
                        .chain(founding.people.iter().map(Person::signer))
                        .collect(),
                    trust: Some(founding.trust.clone()),
                };
                self.automatic(lineage, system, Action::Genesis(genesis)).await?;
            }
        }
        let is_halted = system.watch().borrow().halted.is_some();
        if is_halted || self.system_state().row::<Shard>(&ShardId::FIRST).is_some() {
            return Ok(());
        }
        match self
            .automatic(
                lineage,
                system,
                Action::AddShard(AddShard { shard: ShardId::FIRST, founder: self.host.replica() }),
            )
            .await
        {
            // there is a first shard without that row, too
            Err(FoundError::Proposal(ProposalError::Propose(error))) => {
                tracing::info!(%error, "the row of the first shard is written at a later start");
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// A shard's first entry: it names those whom group 0's first entry named. Everybody else comes by the requests that enrolled them.
    pub(super) async fn found_shard(&self, lineage: LineageId, group: &Group) -> Result<(), FoundError> {
        if group.watch().borrow().state.meta().is_some() {
            return Ok(());
        }
        let system = self.system_state();
        let meta = system.meta().ok_or(FoundError::Unexpected)?;
        // and the founder itself, whose signature the entry has
        let founder = self.signer.signer();
        let first = system.signers().iter().filter(|(name, row)| row.enrolled_by.is_none() || *name == founder);
        let genesis = Genesis {
            meta: Meta { group: group.id(), ..meta.as_ref().clone() },
            signers: first.map(|(name, row)| (name.clone(), signer(row.public_key, row.role.clone()))).collect(),
            trust: None,
        };
        self.automatic(lineage, group, Action::Genesis(genesis)).await.map(drop)
    }

    /// A shard's own copy of the reserved tenant, with the canary key that health probes of the shard use.
    pub(super) async fn found_canary(
        &self,
        lineage: LineageId,
        shard: ShardId,
        group: &Group,
    ) -> Result<KeyVersionId, FoundError> {
        let tenant = reserved_tenant();
        let state = || group.watch().borrow().state.clone();
        if state().row::<Tenant>(&tenant).is_none() {
            let create = self.complete_tenant(lineage, &tenant, Staleness::Available, Some(probe_policy()))?;
            self.automatic(lineage, group, Action::CreateTenant(create)).await?;
        }
        self.open_tenant_keys(shard.group(), &state());
        self.tenant_keys.find(shard, &tenant).ok_or(UnsoundError::RootKey)?;
        let name = canary_name();
        if let Some(key) = state().row::<Key>(&(tenant.clone(), name.clone())) {
            return key.versions.get(&key.primary).copied().ok_or(FoundError::Unexpected);
        }
        let id = self.draw_id()?;
        let reserve = ReservePath { id, tenant: tenant.clone(), shard };
        self.automatic(lineage, self.host.system(), Action::ReservePath(reserve)).await?;
        let new = NewKey { tenant: &tenant, name: &name, crypto_space: None, purpose: Purpose::EncryptDecrypt };
        let create = self.complete_key(lineage, shard, new, KeyVersionId::from_bytes(id))?;
        match self.automatic(lineage, group, Action::CreateKey(create)).await?.effect {
            Effect::KeyMade { version, .. } => Ok(version),
            _ => Err(FoundError::Unexpected),
        }
    }

    /// Has an automatic command ordered under an id of its own.
    pub(super) async fn automatic(&self, lineage: LineageId, to: &Group, action: Action) -> Result<Done, FoundError> {
        let id = IdempotencyId::from_bytes(self.draw_id()?);
        let entry = self.entry(lineage, to.id(), &self.command(id, None, action));
        match self.propose(to, entry).await {
            Err(ProposalError::Refused(Refusal::GenesisRepeated)) => Err(FoundError::Unexpected),
            other => Ok(other?),
        }
    }
}

pub(super) fn signer(public_key: PublicKey, role: Role) -> Signer {
    Signer { public_key, role, revoked_at: None, enrolled_by: None, revoked_by: None }
}

/// The probe, and nobody else, may use what belongs to the reserved tenant.
fn probe_policy() -> Policy {
    let rule = Rule {
        name: "probe".parse().expect("the probe's rule has a legal name"),
        callers: [Principal::Probe].into(),
        resources: Vec::new(),
        operations: Operation::ALL.into(),
        justifications: None,
    };
    Policy { denies: Vec::new(), grants: vec![rule] }
}
