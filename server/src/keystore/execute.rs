//! Carrying out an operator's request: check, try on the state at hand, complete, have it ordered, wait until it is in use.
//!
//! Trying first means that a request which must be refused reserves no path and leaves nothing behind. Every step may be
//! repeated: a request repeated under its id goes on where the first one stopped.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::join_all;
use replication::deny_entries::BookError;
use replication::ids::{
    AliasId, CryptoSpaceId, GroupId, IdempotencyId, KeyVersionId, LogIndex, TenantId, alias_path, crypto_space_path,
    key_path,
};
use replication::machine::apply::authority;
use replication::machine::command::{
    Action, AddGrant, AddVersion, CreateAlias, CreateCryptoSpace, ReservePath, StepVersion,
};
use replication::machine::lifecycle::{Event, VersionState};
use replication::machine::outcome::{Effect, Outcome, Refusal};
use replication::machine::request::{AdminOperation, Request, SignedRequest};
use replication::machine::rows::{Change, Plan, ReplicaKind, Tenant};
use replication::raft::group::ProposeError;
use replication::raft::spread::Spread;

use crate::crypto::EntropyError;
use crate::crypto::import::{ImportError, ImportKeyError, TransportError};

use super::answer::Answer;
use super::complete::{CompleteError, NewKey};
use super::propose::{Done, ProposalError};
use super::reach;
use super::shards::{Shard, ShardDown};
use super::{FedTo, KeyStore};

/// Why a request was not carried out, or is not known to have been.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// It was refused and changed nothing.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It was not ordered, or its outcome is not known.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// It could not be completed; nothing was changed.
    #[error(transparent)]
    Complete(#[from] CompleteError),
    /// The shard that it is about does not serve.
    #[error(transparent)]
    Down(#[from] ShardDown),
    /// No quorum answers.
    #[error(
        "group {0} does not confirm what it has decided, and nothing was changed: no quorum of its voters answers, or its disk here does not; ask again \
         once more replicas run and reach each other, which `ekmctl cluster status` shows"
    )]
    NoQuorum(GroupId),
    /// The wrapped material that came with it is not what it should be; nothing was changed.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A deny entry could not be made durable.
    #[error("{0}; look at the disk here, and send the same request to another key store")]
    NotStored(BookError),
    /// The log answered with something this request cannot come to.
    #[error("the log answered a request with the effect of another")]
    Unexpected,
}

impl From<ProposalError> for ExecuteError {
    fn from(error: ProposalError) -> Self {
        match error {
            ProposalError::Refused(refusal) => Self::Refused(refusal),
            ProposalError::Propose(error) => Self::Propose(error),
        }
    }
}

impl From<EntropyError> for ExecuteError {
    fn from(error: EntropyError) -> Self {
        Self::Complete(error.into())
    }
}

impl From<ImportKeyError> for ExecuteError {
    fn from(error: ImportKeyError) -> Self {
        Self::Complete(error.into())
    }
}

impl From<ImportError> for ExecuteError {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Transport(error) => Self::Transport(error),
            ImportError::Key { .. } | ImportError::NoRsaKey { .. } | ImportError::Exhausted(_) => {
                Self::Complete(CompleteError::Import(error))
            }
        }
    }
}

/// What a step comes to for its operator, once an earlier one of the same request is in a log: that no room was found for
/// this one does not mean that nothing was changed.
pub(super) fn begun(error: ExecuteError) -> ExecuteError {
    match error {
        ExecuteError::Propose(ProposeError::NoRoom(_)) => ProposeError::Unknown.into(),
        other => other,
    }
}

impl KeyStore {
    /// Carries out a signed request, and answers once the frontend uses it or its time is up. It is carried out to its
    /// end even if nobody waits for the answer any more: whoever hangs up must not leave a plan half-way.
    ///
    /// # Errors
    /// See [`ExecuteError`]; after [`ProposeError::Unknown`] the same request may be sent again under the same id.
    pub async fn execute(self: &Arc<Self>, asked: SignedRequest) -> Result<Answer, ExecuteError> {
        let store = Arc::clone(self);
        // bounded by the deadlines of what it waits for
        match tokio::spawn(async move { store.carry_out(asked).await }).await {
            Ok(answered) => answered,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(ProposeError::Unknown.into()),
            },
        }
    }

    async fn carry_out(&self, asked: SignedRequest) -> Result<Answer, ExecuteError> {
        // before whatever waits for a quorum; what cannot be read is told once its signature is judged
        let unjudged = authority::parse_request(&asked.bytes).and_then(|request| authority::effective(&request));
        if let Ok(AdminOperation::Deny { .. }) = unjudged {
            return self.deny(asked).await;
        }
        // before the first step of several: half a change would wait for the release that ends the halt
        if let Some(since) = self.parts.host.system().watch().borrow().halted {
            return Err(ProposeError::Halted { since }.into());
        }
        // another replica may have changed something a moment ago
        self.be_current(self.system()).await?;
        // group 0 is the first to know who may sign, and who may not any more
        let request = self.verified(&asked)?;
        let Some(tenant) = request.operation.tenant() else {
            return match &request.operation {
                AdminOperation::AddReplica { .. } if self.parts.host.is_alone() => Err(Refusal::OneReplica.into()),
                AdminOperation::AddShard { shard } => self.add_shard(&asked, &request, *shard).await,
                AdminOperation::AddReplica { kind: ReplicaKind::Witness, .. } => {
                    self.add_witness(&asked, &request).await
                }
                AdminOperation::Approve(_) if matches!(unjudged, Ok(AdminOperation::LiftDeny { .. })) => {
                    self.lift_deny(&asked, &request).await
                }
                AdminOperation::Enrol { .. }
                | AdminOperation::Revoke { .. }
                | AdminOperation::Approve(_)
                | AdminOperation::AddReplica { kind: ReplicaKind::Data { .. }, .. } => {
                    self.change_people(&asked, &request).await
                }
                _ => Err(ExecuteError::Unexpected),
            };
        };
        let shard = match &request.operation {
            AdminOperation::CreateTenant { shard, .. } => self.choose(tenant, *shard).await?,
            _ => self.shard_of(tenant)?,
        };
        if let Some(since) = shard.halted() {
            return Err(ProposeError::Halted { since }.into());
        }
        self.be_current(&shard.group).await?;
        self.catch_up_signer(&shard, &asked.signer).await?;
        let state = shard.state();
        authority::verify_request(&state, state.meta().ok_or(Refusal::NoGenesis)?, &asked)?;
        let (shard, done) = self.perform(shard, &asked, &request).await?;
        let made = made_by(&done.effect, &request.operation).ok_or(ExecuteError::Unexpected)?;
        let not_for = match &request.operation {
            AdminOperation::Grant { tenant, level, .. } => reach::beyond(&shard.state(), tenant, level),
            _ => vec![],
        };
        let is_new = matches!(request.operation, AdminOperation::CreateTenant { .. });
        let made =
            Answer { not_for, repeated: done.repeated, index: done.index, shard: is_new.then(|| shard.id()), ..made };
        Ok(self.in_use(made, &[(shard.group_id(), done.index)]).await)
    }

    async fn perform(
        &self,
        shard: Arc<Shard>,
        asked: &SignedRequest,
        request: &Request,
    ) -> Result<(Arc<Shard>, Done), ExecuteError> {
        let id = request.idempotency_id;
        if let AdminOperation::CreateTenant { tenant, staleness, .. } = &request.operation {
            let create = self.parts.complete_tenant(self.lineage, tenant, *staleness, None)?;
            let shard = self.place(id, asked, tenant, shard.id()).await?;
            let entry = self.completed(shard.group_id(), id, asked, Action::CreateTenant(create));
            let done = self.order_rest(&shard, entry).await?;
            return Ok((shard, done));
        }
        let done = self.change(&shard, asked, request).await?;
        Ok((shard, done))
    }

    /// What is asked about a tenant that is there.
    async fn change(&self, shard: &Shard, asked: &SignedRequest, request: &Request) -> Result<Done, ExecuteError> {
        let id = request.idempotency_id;
        if let Some((change, parent)) = authority::planned(&request.operation) {
            let tenant = request.operation.tenant().ok_or(ExecuteError::Unexpected)?.clone();
            return self.plan(shard, id, asked, Plan { tenant, parent, change }).await;
        }
        match &request.operation {
            AdminOperation::Grant { tenant, level, rule } => {
                let add = AddGrant { tenant: tenant.clone(), level: level.clone(), rule: rule.clone() };
                self.grant(shard, id, asked, add).await
            }
            AdminOperation::EnableVersion { tenant, version } => {
                self.step(shard, id, asked, (tenant, *version), Event::Enable).await
            }
            AdminOperation::RestoreVersion { tenant, version } => {
                self.step(shard, id, asked, (tenant, *version), Event::Restore).await
            }
            AdminOperation::CreateImportKey { tenant } => self.make_import_key(shard, id, asked, tenant).await,
            operation @ (AdminOperation::ImportKey { .. } | AdminOperation::ImportVersion { .. }) => {
                self.import(shard, id, asked, operation).await
            }
            AdminOperation::CreateCryptoSpace { .. }
            | AdminOperation::CreateKey { .. }
            | AdminOperation::AddVersion { .. }
            | AdminOperation::CreateAlias { .. } => self.make(shard, id, asked, &request.operation).await,
            // planned above, or about no tenant that is there
            AdminOperation::DisableVersion { .. }
            | AdminOperation::ScheduleDestroy { .. }
            | AdminOperation::RemoveAlias { .. }
            | AdminOperation::SetPolicy { .. }
            | AdminOperation::RemoveRule { .. }
            | AdminOperation::SetQuota { .. }
            | AdminOperation::CreateTenant { .. }
            | AdminOperation::Enrol { .. }
            | AdminOperation::Revoke { .. }
            | AdminOperation::Approve(_)
            | AdminOperation::AddShard { .. }
            | AdminOperation::AddReplica { .. }
            | AdminOperation::Deny { .. }
            | AdminOperation::LiftDeny { .. } => Err(ExecuteError::Unexpected),
        }
    }

    /// What gets a path of its own.
    async fn make(
        &self,
        shard: &Shard,
        id: IdempotencyId,
        asked: &SignedRequest,
        operation: &AdminOperation,
    ) -> Result<Done, ExecuteError> {
        let tenant = operation.tenant().ok_or(ExecuteError::Unexpected)?;
        let complete = |drawn: [u8; 16]| match operation {
            AdminOperation::CreateCryptoSpace { tenant, name } => {
                let id = CryptoSpaceId::from_bytes(drawn);
                Ok(Action::CreateCryptoSpace(CreateCryptoSpace { tenant: tenant.clone(), name: name.clone(), id }))
            }
            AdminOperation::CreateKey { tenant, name, crypto_space, purpose } => {
                let new = NewKey { tenant, name, crypto_space: crypto_space.as_ref(), purpose: *purpose };
                let create = self.parts.complete_key(self.lineage, shard.id(), new, KeyVersionId::from_bytes(drawn))?;
                Ok(Action::CreateKey(create))
            }
            AdminOperation::AddVersion { tenant, key } => {
                let version = self.parts.complete_version(
                    (self.lineage, shard.id()),
                    tenant,
                    key,
                    KeyVersionId::from_bytes(drawn),
                )?;
                Ok(Action::AddVersion(AddVersion { tenant: tenant.clone(), key: key.clone(), version }))
            }
            AdminOperation::CreateAlias { tenant, version } => {
                let id = AliasId::from_bytes(drawn);
                Ok(Action::CreateAlias(CreateAlias { tenant: tenant.clone(), id, version: *version }))
            }
            _ => Err(ExecuteError::Unexpected),
        };
        self.order_with_path(shard, id, asked, tenant, complete).await
    }

    async fn step(
        &self,
        shard: &Shard,
        id: IdempotencyId,
        asked: &SignedRequest,
        (tenant, version): (&TenantId, KeyVersionId),
        event: Event,
    ) -> Result<Done, ExecuteError> {
        self.order(shard, id, asked, Action::StepVersion(StepVersion { tenant: tenant.clone(), version, event })).await
    }

    /// Has a completed command ordered in the shard.
    pub(super) async fn order(
        &self,
        shard: &Shard,
        id: IdempotencyId,
        asked: &SignedRequest,
        action: Action,
    ) -> Result<Done, ExecuteError> {
        let entry = self.completed(shard.group_id(), id, asked, action);
        Ok(self.parts.propose(&shard.group, entry).await?)
    }

    /// Has the step ordered that finishes what an earlier one began. Even short of room it is, from what the disk keeps in
    /// reserve for that.
    pub(super) async fn order_rest(&self, shard: &Shard, entry: Vec<u8>) -> Result<Done, ExecuteError> {
        self.parts.finish(&shard.group, entry).await.map_err(|error| begun(error.into()))
    }

    /// Tries a command on the state at hand, reserves the path it needs, and has it ordered under the path it got.
    pub(super) async fn order_with_path(
        &self,
        shard: &Shard,
        id: IdempotencyId,
        asked: &SignedRequest,
        tenant: &TenantId,
        complete: impl Fn([u8; 16]) -> Result<Action, ExecuteError>,
    ) -> Result<Done, ExecuteError> {
        let state = shard.state();
        if state.row::<Tenant>(tenant).is_none() {
            return Err(Refusal::UnknownTenant { tenant: tenant.clone() }.into());
        }
        let drawn = self.parts.draw_id()?;
        let entry = self.completed(shard.group_id(), id, asked, complete(drawn)?);
        let tried = state.apply(LogIndex(u64::MAX), &entry).map_err(|_| ExecuteError::Unexpected)?;
        match tried.outcome {
            Outcome::Refused(refusal) => return Err(refusal.into()),
            Outcome::Repeated(_) => return Ok(self.parts.propose(&shard.group, entry).await?),
            Outcome::Done(_) => {}
        }
        let reserve = ReservePath { id: drawn, tenant: tenant.clone(), shard: shard.id() };
        let reservation = self.completed(GroupId::SYSTEM, id, asked, Action::ReservePath(reserve));
        let effect = self.parts.propose(self.parts.host.system(), reservation).await?.effect;
        let Effect::PathReserved { id: reserved } = effect else { return Err(ExecuteError::Unexpected) };
        let entry =
            if reserved == drawn { entry } else { self.completed(shard.group_id(), id, asked, complete(reserved)?) };
        self.order_rest(shard, entry).await
    }

    /// Waits until nobody can refuse for good what these entries allow, a term at most, and says which frontends use it.
    pub(super) async fn in_use(&self, made: Answer, entries: &[(GroupId, LogIndex)]) -> Answer {
        let groups = entries.iter().filter_map(|(group, index)| Some((self.parts.host.group(*group)?, *index)));
        let spreads = join_all(groups.map(|(group, index)| async move { group.spread(index).await })).await;
        let all = |names: fn(&Spread) -> &Vec<String>| spreads.iter().flat_map(names).cloned().collect();
        let (mut usable_on, mut not_yet_on): (BTreeSet<String>, BTreeSet<String>) =
            (all(|spread| &spread.using), all(|spread| &spread.behind));
        if let FedTo::Own(name) = &self.parts.fed_to
            && !usable_on.contains(name.as_str())
        {
            not_yet_on.insert(name.to_string());
        }
        // who uses one of two entries does not use the change
        usable_on.retain(|name| !not_yet_on.contains(name));
        Answer { usable_on: usable_on.into_iter().collect(), not_yet_on: not_yet_on.into_iter().collect(), ..made }
    }
}

/// What an effect tells of itself; `None` if it is none that an operation ends in.
fn made_by(effect: &Effect, operation: &AdminOperation) -> Option<Answer> {
    let mut answer = Answer::default();
    match effect {
        Effect::TenantMade { revision } | Effect::Granted { revision } => answer.revision = Some(*revision),
        Effect::CryptoSpaceMade { id, revision } => {
            (answer.revision, answer.path) = (Some(*revision), Some(crypto_space_path(*id)));
        }
        Effect::KeyMade { version, revision } | Effect::VersionAdded { version, revision } => {
            (answer.revision, answer.path) = (Some(*revision), Some(key_path(*version)));
            answer.state = Some(VersionState::Enabled);
        }
        Effect::AliasMade { alias, revision } => {
            (answer.revision, answer.path) = (Some(*revision), Some(alias_path(*alias)));
        }
        Effect::ImportKeyMade { id, revision } => (answer.revision, answer.import_key) = (Some(*revision), Some(*id)),
        Effect::VersionStepped { state, revision } => {
            (answer.revision, answer.state) = (Some(*revision), Some(*state));
        }
        Effect::PlanSettled { revision } => {
            answer.revision = Some(*revision);
            match authority::planned(operation)?.0 {
                Change::DisableVersion { .. } => answer.state = Some(VersionState::Disabled),
                Change::ScheduleDestroy { window_seconds, .. } => {
                    answer.state = Some(VersionState::DestroyScheduled);
                    answer.destroy_after_seconds = Some(window_seconds);
                }
                Change::RemoveAlias { .. }
                | Change::SetPolicy { .. }
                | Change::RemoveRule { .. }
                | Change::SetQuota { .. } => {}
            }
        }
        Effect::GroupMade
        | Effect::SignerEnrolled
        | Effect::SignerRevoked
        | Effect::ShardAdded { .. }
        | Effect::ReplicaAdded { .. }
        | Effect::DenyLifted
        | Effect::TenantPlaced { .. }
        | Effect::PathReserved { .. }
        | Effect::PlanAdopted { .. }
        | Effect::PlanDropped { .. }
        | Effect::Ticked { .. }
        | Effect::VersionDestroyed { .. } => return None,
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use replication::store::room::Shortage;

    use super::*;

    #[test]
    fn a_second_step_without_room_is_never_told_as_no_change() {
        let shortage = Shortage { free_bytes: 0, wanted_bytes: 1 };
        for (step, told) in [
            (ProposeError::NoRoom(shortage), ProposeError::Unknown),
            (ProposeError::Unknown, ProposeError::Unknown),
            (ProposeError::Busy, ProposeError::Busy),
            (ProposeError::Stopped, ProposeError::Stopped),
        ] {
            let heard = begun(step.into());
            assert!(matches!(&heard, ExecuteError::Propose(heard) if *heard == told), "{heard:?}");
        }
    }
}
