//! Carrying out an operator's request: check, try on the state at hand, complete, have it ordered, wait until it is in use.
//!
//! Trying first means that a request which must be refused reserves no path and leaves nothing behind. Every step may be
//! repeated: a request repeated under its id goes on where the first one stopped.

use std::sync::Arc;

use replication::ids::{
    AliasId, CryptoSpaceId, GroupId, IdempotencyId, KeyVersionId, LogIndex, ShardId, TenantId, alias_path,
    crypto_space_path, key_path,
};
use replication::machine::apply::authority;
use replication::machine::command::{
    Action, AddGrant, AddVersion, AdoptPlan, AdvanceStage, CreateAlias, CreateCryptoSpace, Evidence, PlaceTenant,
    ReservePath, StepVersion,
};
use replication::machine::lifecycle::{Event, VersionState};
use replication::machine::outcome::{Effect, Outcome, Refusal};
use replication::machine::request::{AdminOperation, Request, SignedRequest};
use replication::machine::rows::{AdoptedPlan, Change, Plan, Stage, Tenant};
use replication::machine::signing;
use replication::raft::group::ProposeError;

use crate::crypto::EntropyError;
use crate::crypto::import::{ImportError, ImportKeyError, TransportError};

use super::answer::Answer;
use super::complete::{CompleteError, NewKey};
use super::propose::{Done, ProposalError};
use super::reach;
use super::{ACTIVATION_DEADLINE, KeyStore};

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
    /// The wrapped material that came with it is not what it should be; nothing was changed.
    #[error(transparent)]
    Transport(#[from] TransportError),
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

pub(super) const SHARD: GroupId = ShardId::FIRST.group();

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
        // before the first step of several: half a change would wait for the release that ends the halt
        if let Some((_, since)) = self.halted() {
            return Err(ProposeError::Halted { since }.into());
        }
        let state = self.shard_state();
        let meta = state.meta().ok_or(Refusal::NoGenesis)?;
        let request = authority::verify_request(&state, meta, &asked)?;
        if request.operation.tenant().is_some() {
            self.still_signs(&asked.signer)?;
        }
        let done = self.perform(&asked, &request).await?;
        self.answer(done, &request.operation).await
    }

    async fn perform(&self, asked: &SignedRequest, request: &Request) -> Result<Done, ExecuteError> {
        let id = request.idempotency_id;
        if let Some((change, parent)) = authority::planned(&request.operation) {
            let tenant = request.operation.tenant().ok_or(ExecuteError::Unexpected)?.clone();
            return self.plan(id, asked, Plan { tenant, parent, change }).await;
        }
        match &request.operation {
            AdminOperation::CreateTenant { tenant, staleness } => {
                let create = self.parts.complete_tenant(self.lineage, tenant, *staleness, None)?;
                self.place(id, asked, tenant).await?;
                self.order_rest(self.completed(SHARD, id, asked, Action::CreateTenant(create))).await
            }
            AdminOperation::Grant { tenant, level, rule } => {
                let add = AddGrant { tenant: tenant.clone(), level: level.clone(), rule: rule.clone() };
                self.grant(id, asked, add).await
            }
            AdminOperation::EnableVersion { tenant, version } => {
                self.step(id, asked, (tenant, *version), Event::Enable).await
            }
            AdminOperation::RestoreVersion { tenant, version } => {
                self.step(id, asked, (tenant, *version), Event::Restore).await
            }
            AdminOperation::Enrol { .. } | AdminOperation::Revoke { .. } | AdminOperation::Approve(_) => {
                self.change_people(asked, request).await
            }
            AdminOperation::CreateImportKey { tenant } => self.make_import_key(id, asked, tenant).await,
            operation @ (AdminOperation::ImportKey { .. } | AdminOperation::ImportVersion { .. }) => {
                self.import(id, asked, operation).await
            }
            AdminOperation::CreateCryptoSpace { .. }
            | AdminOperation::CreateKey { .. }
            | AdminOperation::AddVersion { .. }
            | AdminOperation::CreateAlias { .. } => self.make(id, asked, &request.operation).await,
            // planned above
            AdminOperation::DisableVersion { .. }
            | AdminOperation::ScheduleDestroy { .. }
            | AdminOperation::RemoveAlias { .. }
            | AdminOperation::SetPolicy { .. }
            | AdminOperation::RemoveRule { .. }
            | AdminOperation::SetQuota { .. } => Err(ExecuteError::Unexpected),
        }
    }

    /// What gets a path of its own.
    async fn make(
        &self,
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
                let create = self.parts.complete_key(self.lineage, new, KeyVersionId::from_bytes(drawn))?;
                Ok(Action::CreateKey(create))
            }
            AdminOperation::AddVersion { tenant, key } => {
                let version =
                    self.parts.complete_version(self.lineage, tenant, key, KeyVersionId::from_bytes(drawn))?;
                Ok(Action::AddVersion(AddVersion { tenant: tenant.clone(), key: key.clone(), version }))
            }
            AdminOperation::CreateAlias { tenant, version } => {
                let id = AliasId::from_bytes(drawn);
                Ok(Action::CreateAlias(CreateAlias { tenant: tenant.clone(), id, version: *version }))
            }
            _ => Err(ExecuteError::Unexpected),
        };
        self.order_with_path(id, asked, tenant, complete).await
    }

    /// Adds a grant. Where a plan for the same policy is under way, that one goes first.
    async fn grant(&self, id: IdempotencyId, asked: &SignedRequest, add: AddGrant) -> Result<Done, ExecuteError> {
        let state = self.shard_state();
        let (tenant, rule) = (add.tenant.clone(), add.rule.name.clone());
        let same_policy = Change::RemoveRule { level: add.level.clone(), rule };
        for (digest, row) in state.plans() {
            if row.plan.tenant == tenant && row.plan.change.meets(&same_policy) {
                match self.advance(*digest).await {
                    Ok(_) | Err(ExecuteError::Refused(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        self.order(id, asked, Action::AddGrant(add)).await
    }

    async fn step(
        &self,
        id: IdempotencyId,
        asked: &SignedRequest,
        (tenant, version): (&TenantId, KeyVersionId),
        event: Event,
    ) -> Result<Done, ExecuteError> {
        self.order(id, asked, Action::StepVersion(StepVersion { tenant: tenant.clone(), version, event })).await
    }

    /// Goes on with every plan that was adopted and has not settled: what a crash between the two entries left. One that
    /// is refused, or finds no room on the disk, stays adopted and keeps nothing else from starting.
    pub(super) async fn settle_plans(&self) -> Result<(), ExecuteError> {
        if self.halted().is_some() {
            return Ok(()); // they are settled under the release that decodes what stopped this one
        }
        let adopted: Vec<_> = self.shard_state().plans().iter().map(|(digest, row)| (*digest, row.clone())).collect();
        for (digest, row) in adopted {
            match self.advance(digest).await {
                Ok(_) => {}
                Err(ExecuteError::Refused(refusal)) => {
                    tracing::error!(plan = ?row.plan, %refusal, "an adopted plan cannot be settled and stays as it is");
                }
                Err(ExecuteError::Propose(error @ (ProposeError::NoRoom(_) | ProposeError::Unknown))) => {
                    tracing::error!(
                        plan = ?row.plan, %error,
                        "an adopted plan is not settled yet: ask for it again, or start again, once there is room on the disk"
                    );
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Has a completed command ordered in the shard.
    pub(super) async fn order(
        &self,
        id: IdempotencyId,
        asked: &SignedRequest,
        action: Action,
    ) -> Result<Done, ExecuteError> {
        let entry = self.completed(SHARD, id, asked, action);
        Ok(self.parts.propose(&self.parts.shard, entry).await?)
    }

    /// Has the step ordered that finishes what an earlier one began. Even short of room it is, from what the disk keeps in
    /// reserve for that.
    pub(super) async fn order_rest(&self, entry: Vec<u8>) -> Result<Done, ExecuteError> {
        self.parts.finish(&self.parts.shard, entry).await.map_err(|error| begun(error.into()))
    }

    /// Gives a tenant its shard. Where an earlier request got no further than this, the shard decides.
    pub(super) async fn place(
        &self,
        id: IdempotencyId,
        asked: &SignedRequest,
        tenant: &TenantId,
    ) -> Result<(), ExecuteError> {
        let place = Action::PlaceTenant(PlaceTenant { tenant: tenant.clone(), shard: ShardId::FIRST });
        let entry = self.completed(GroupId::SYSTEM, id, asked, place);
        match self.parts.propose(&self.parts.system, entry).await {
            Ok(_) => Ok(()),
            Err(ProposalError::Refused(Refusal::Exists { .. })) if !self.has(tenant) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn has(&self, tenant: &TenantId) -> bool {
        self.shard_state().row::<Tenant>(tenant).is_some()
    }

    /// Tries a command on the state at hand, reserves the path it needs, and has it ordered under the path it got.
    pub(super) async fn order_with_path(
        &self,
        id: IdempotencyId,
        asked: &SignedRequest,
        tenant: &TenantId,
        complete: impl Fn([u8; 16]) -> Result<Action, ExecuteError>,
    ) -> Result<Done, ExecuteError> {
        if !self.has(tenant) {
            return Err(Refusal::UnknownTenant { tenant: tenant.clone() }.into());
        }
        let drawn = self.parts.draw_id()?;
        let entry = self.completed(SHARD, id, asked, complete(drawn)?);
        let tried = self.shard_state().apply(LogIndex(u64::MAX), &entry).map_err(|_| ExecuteError::Unexpected)?;
        match tried.outcome {
            Outcome::Refused(refusal) => return Err(refusal.into()),
            Outcome::Repeated(_) => return Ok(self.parts.propose(&self.parts.shard, entry).await?),
            Outcome::Done(_) => {}
        }
        let reserve = ReservePath { id: drawn, tenant: tenant.clone(), shard: ShardId::FIRST };
        let reservation = self.completed(GroupId::SYSTEM, id, asked, Action::ReservePath(reserve));
        let effect = self.parts.propose(&self.parts.system, reservation).await?.effect;
        let Effect::PathReserved { id: reserved } = effect else { return Err(ExecuteError::Unexpected) };
        let entry = if reserved == drawn { entry } else { self.completed(SHARD, id, asked, complete(reserved)?) };
        self.order_rest(entry).await
    }

    /// Adopts a plan and advances it through its one stage. Where an earlier plan for the same change got no further than
    /// its adoption, that one is advanced; the same one also where there is no room to ask for it again.
    async fn plan(&self, id: IdempotencyId, asked: &SignedRequest, plan: Plan) -> Result<Done, ExecuteError> {
        let (digest, tenant, change) = (signing::plan_digest(&plan), plan.tenant.clone(), plan.change.clone());
        let begins_window = matches!(change, Change::ScheduleDestroy { .. });
        if begins_window && !self.shard_state().destructions().is_empty() {
            // a window that begins cuts the count off: what has passed for the others is counted before. Whoever keeps the
            // time tells of a trouble
            let _ = self.count_time().await;
        }
        match self.adopt(id, asked, plan).await {
            Ok(adopted) => {
                let done = self.advance(digest).await.map_err(begun)?;
                if begins_window {
                    // and the count begins anew at once: windows that begin one after the other would else leave no time between
                    // them that counts, and put off everybody's destructions for good
                    let _ = self.count_time().await;
                }
                Ok(Done { repeated: adopted.repeated, ..done })
            }
            Err(ExecuteError::Propose(ProposeError::NoRoom(_))) if self.shard_state().plans().contains_key(&digest) => {
                Ok(Done { repeated: true, ..self.advance(digest).await.map_err(begun)? })
            }
            Err(ExecuteError::Refused(unsettled @ Refusal::PlanUnsettled { .. })) => {
                let state = self.shard_state();
                let meets = |row: &AdoptedPlan| row.plan.tenant == tenant && row.plan.change.meets(&change);
                let earlier = state.plans().iter().find(|(_, row)| meets(row));
                let (earlier, row) = earlier.ok_or_else(|| unsettled.clone())?;
                // what was adopted is carried out; where that is not what is asked now, the operator must look again
                match self.advance(*earlier).await.map_err(begun) {
                    settled if row.plan.change == change => Ok(Done { repeated: true, ..settled? }),
                    Ok(_) | Err(ExecuteError::Refused(_)) => Err(unsettled.into()),
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    pub(super) async fn adopt(
        &self,
        id: IdempotencyId,
        asked: &SignedRequest,
        plan: Plan,
    ) -> Result<Done, ExecuteError> {
        let digest = signing::plan_digest(&plan);
        self.order(id, asked, Action::AdoptPlan(AdoptPlan { plan, digest })).await
    }

    async fn advance(&self, digest: [u8; 32]) -> Result<Done, ExecuteError> {
        // one id for one step of one plan, whoever takes it
        let id = IdempotencyId::from_bytes(*digest.first_chunk().expect("a digest is longer than an id"));
        match self.advance_under(id, digest).await {
            // operators choose their ids, and a plan's digest can be foretold: such a request must not stop the plan
            Err(ExecuteError::Refused(Refusal::IdempotencyReused)) => {
                self.advance_under(IdempotencyId::from_bytes(self.parts.draw_id()?), digest).await
            }
            other => other,
        }
    }

    async fn advance_under(&self, id: IdempotencyId, digest: [u8; 32]) -> Result<Done, ExecuteError> {
        let advance = AdvanceStage { digest, expected: Stage::Adopted, evidence: Evidence::SingleStage };
        let command = self.parts.command(id, None, Action::AdvanceStage(advance));
        let entry = self.parts.entry(self.lineage, SHARD, &command);
        let done = self.parts.finish(&self.parts.shard, entry).await?;
        match done.effect {
            // something additive came in between, and the plan is gone
            Effect::PlanDropped { why, .. } => Err((*why).into()),
            _ => Ok(done),
        }
    }

    async fn answer(&self, done: Done, operation: &AdminOperation) -> Result<Answer, ExecuteError> {
        let made = made_by(&done.effect, operation).ok_or(ExecuteError::Unexpected)?;
        let frontend = self.parts.frontend.clone();
        // tenant keys are handed over before the view that needs them
        let in_use = self.parts.directory.holds(SHARD, done.index);
        let (usable_on, not_yet_on) = match tokio::time::timeout(ACTIVATION_DEADLINE, in_use).await {
            Ok(()) => (vec![frontend], vec![]),
            Err(_) => (vec![], vec![frontend]),
        };
        let not_for = match operation {
            AdminOperation::Grant { tenant, level, .. } => reach::beyond(&self.shard_state(), tenant, level),
            _ => vec![],
        };
        Ok(Answer { repeated: done.repeated, index: done.index, not_for, usable_on, not_yet_on, ..made })
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
        Effect::SignerEnrolled | Effect::SignerRevoked => {}
        Effect::GroupMade
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
