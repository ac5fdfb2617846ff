//! Founding: genesis entries, the reserved tenant and its canary key, and plans that a crash left half-way.
//!
//! Every step looks first whether it is done, so that each start runs all of them.

use std::collections::BTreeSet;

use replication::ids::{
    Generation, GroupId, IdempotencyId, KeyName, KeyVersionId, LineageId, PublicKey, ShardId, SignerId, TenantId,
};
use replication::machine::apply::RESERVED_TENANT;
use replication::machine::command::{Action, Genesis, ReservePath};
use replication::machine::outcome::{Effect, Refusal};
use replication::machine::policy::{Operation, Policy, Principal, Rule};
use replication::machine::roles::PersonRole;
use replication::machine::rows::{Key, Meta, Purpose, Role, Signer, Staleness, Tenant, Trust};
use replication::raft::group::Group;

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
    /// A plan that a crash left half-way could not be settled.
    #[error("an adopted plan cannot be settled")]
    Settle(#[from] ExecuteError),
    /// A first entry came to something else than it is for.
    #[error("a first entry came to something unexpected")]
    Unexpected,
}

const SHARD: GroupId = ShardId::FIRST.group();

impl KeyStore {
    /// Brings the key store up: founds what is not there yet, and goes on with what a crash interrupted.
    ///
    /// # Errors
    /// See [`FoundError`]. Whatever was founded stays, and the next start goes on from there.
    pub async fn start(parts: Parts, founding: &Founding) -> Result<Self, FoundError> {
        parts.verify().await?;
        let lineage = match state_of(&parts.system).meta() {
            Some(meta) => meta.lineage,
            None => LineageId::from_bytes(parts.draw_id()?),
        };
        parts.found_group(lineage, GroupId::SYSTEM, founding).await?;
        parts.found_group(lineage, SHARD, founding).await?;
        let canary = parts.found_canary(lineage).await?;
        parts.open_tenant_keys(&state_of(&parts.shard));
        let store = Self {
            parts,
            lineage,
            canary,
            counting: std::sync::Mutex::default(),
            making: tokio::sync::Mutex::default(),
        };
        store.settle_plans().await?;
        store.catch_up_people().await?;
        Ok(store)
    }
}

fn state_of(group: &Group) -> replication::machine::state::State {
    group.watch().borrow().state.clone()
}

fn reserved_tenant() -> TenantId {
    RESERVED_TENANT.parse().expect("the reserved tenant has a legal name")
}

impl Parts {
    async fn found_group(&self, lineage: LineageId, id: GroupId, founding: &Founding) -> Result<(), FoundError> {
        let group = if id == GroupId::SYSTEM { &self.system } else { &self.shard };
        match state_of(group).meta() {
            Some(meta) if meta.dev && !founding.dev => return Err(FoundError::IsDev),
            Some(meta) if !meta.dev && founding.dev => return Err(FoundError::NotDev),
            Some(_) => return Ok(()),
            None => {}
        }
        let signer =
            |public_key, role| Signer { public_key, role, revoked_at: None, enrolled_by: None, revoked_by: None };
        let replica = signer(self.signer.public_key(), Role::Replica);
        let person = |one: &Person| {
            let role = Role::Person { roles: one.roles.clone(), tenants: None };
            (one.signer.clone(), signer(one.public_key, role))
        };
        let genesis = Genesis {
            meta: Meta { lineage, generation: Generation::FIRST, group: id, dev: founding.dev },
            signers: std::iter::once((self.signer.signer().clone(), replica))
                .chain(founding.people.iter().map(person))
                .collect(),
            trust: (id == GroupId::SYSTEM).then(|| founding.trust.clone()),
        };
        self.automatic(lineage, id, Action::Genesis(genesis)).await?;
        Ok(())
    }

    /// The reserved tenant with the canary key that health probes use.
    async fn found_canary(&self, lineage: LineageId) -> Result<KeyVersionId, FoundError> {
        let tenant = reserved_tenant();
        if state_of(&self.shard).row::<Tenant>(&tenant).is_none() {
            let create = self.complete_tenant(lineage, &tenant, Staleness::Available, Some(probe_policy()))?;
            self.automatic(lineage, SHARD, Action::CreateTenant(create)).await?;
        }
        self.open_tenant_keys(&state_of(&self.shard));
        self.tenant_keys.find(&tenant).ok_or(UnsoundError::RootKey)?;
        let name: KeyName = "canary".parse().expect("the canary key has a legal name");
        if let Some(key) = state_of(&self.shard).row::<Key>(&(tenant.clone(), name.clone())) {
            return key.versions.get(&key.primary).copied().ok_or(FoundError::Unexpected);
        }
        let id = self.draw_id()?;
        let reserve = ReservePath { id, tenant: tenant.clone(), shard: ShardId::FIRST };
        self.automatic(lineage, GroupId::SYSTEM, Action::ReservePath(reserve)).await?;
        let new = NewKey { tenant: &tenant, name: &name, crypto_space: None, purpose: Purpose::EncryptDecrypt };
        let create = self.complete_key(lineage, new, KeyVersionId::from_bytes(id))?;
        match self.automatic(lineage, SHARD, Action::CreateKey(create)).await?.effect {
            Effect::KeyMade { version, .. } => Ok(version),
            _ => Err(FoundError::Unexpected),
        }
    }

    /// Has an automatic command ordered under an id of its own.
    async fn automatic(&self, lineage: LineageId, group: GroupId, action: Action) -> Result<Done, FoundError> {
        let id = IdempotencyId::from_bytes(self.draw_id()?);
        let entry = self.entry(lineage, group, &self.command(id, None, action));
        let to = if group == GroupId::SYSTEM { &self.system } else { &self.shard };
        match self.propose(to, entry).await {
            Err(ProposalError::Refused(Refusal::GenesisRepeated)) => Err(FoundError::Unexpected),
            other => Ok(other?),
        }
    }
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
