//! People: enrolled and revoked in group 0 first, then in every shard, each time under the signed request that asked for it.
//!
//! A group believes the officers that it knows itself: nothing is taken on another group's word.

use std::sync::Arc;

use replication::ids::{GroupId, IdempotencyId, LogIndex, SignerId};
use replication::machine::apply::authority;
use replication::machine::command::{Action, EnrolSigner, RevokeSigner};
use replication::machine::outcome::{Outcome, Refusal};
use replication::machine::request::{AdminOperation, Request, SignedRequest};
use replication::machine::rows::{Role, Signer};
use replication::raft::group::Group;

use super::KeyStore;
use super::execute::{ExecuteError, SHARD, begun};
use super::propose::{Done, ProposalError};

impl KeyStore {
    /// Carries out what officers asked for, or consented to.
    pub(super) async fn change_people(&self, asked: &SignedRequest, request: &Request) -> Result<Done, ExecuteError> {
        let action = action(&authority::effective(request)?).ok_or(ExecuteError::Unexpected)?;
        let id = request.idempotency_id;
        // tried first where it is done last: what the shard would refuse must not stand in group 0 alone
        let rest = self.completed(SHARD, id, asked, action.clone());
        let tried = self.shard_state().apply(LogIndex(u64::MAX), &rest).map_err(|_| ExecuteError::Unexpected)?;
        if let Outcome::Refused(refusal) = tried.outcome {
            return Err(refusal.into());
        }
        let entry = self.completed(GroupId::SYSTEM, id, asked, action.clone());
        let first = match self.parts.propose(&self.parts.system, entry).await {
            Ok(done) => done.repeated,
            // group 0 has it from a request that never reached the shard; it refuses it under another id, or because an officer
            // who consented to their own end signs here no more
            Err(ProposalError::Refused(_)) if self.lags_behind(&action) => true,
            Err(error) => return Err(error.into()),
        };
        let done = self.order_rest(self.completed(SHARD, id, asked, action)).await.map_err(begun)?;
        Ok(Done { repeated: first && done.repeated, ..done })
    }

    /// Refuses somebody whom group 0 has revoked and the shard not yet.
    pub(super) fn still_signs(&self, signer: &SignerId) -> Result<(), Refusal> {
        let revoked = state_of(&self.parts.system).row::<Signer>(signer).is_some_and(|row| row.revoked_at.is_some());
        if revoked { Err(Refusal::RevokedSigner { signer: signer.clone() }) } else { Ok(()) }
    }

    /// Whether group 0 has a change of people that the shard still lacks.
    fn lags_behind(&self, action: &Action) -> bool {
        self.missing_in_shard().iter().any(|(missing, _)| missing == action)
    }

    /// What group 0 knows of people and the shard does not, with the requests that prove it.
    fn missing_in_shard(&self) -> Vec<(Action, SignedRequest)> {
        let (system, shard) = (state_of(&self.parts.system), self.shard_state());
        let mut missing = Vec::new();
        for (id, row) in system.signers() {
            let there = shard.row::<Signer>(id);
            if let (None, Some(proof), Role::Person { .. }) = (there, &row.enrolled_by, &row.role) {
                let enrol = EnrolSigner { signer: id.clone(), public_key: row.public_key, role: row.role.clone() };
                missing.push((Action::EnrolSigner(enrol), proof.clone()));
            }
            if let Some(proof) = &row.revoked_by
                && there.is_none_or(|there| there.revoked_at.is_none())
            {
                missing.push((Action::RevokeSigner(RevokeSigner { signer: id.clone() }), proof.clone()));
            }
        }
        missing
    }

    /// Has the shard follow group 0 where a crash between the two kept it from it. What it refuses stays as it is, and is told.
    pub(super) async fn catch_up_people(&self) -> Result<(), ExecuteError> {
        if self.halted().is_some() {
            return Ok(());
        }
        let mut missing = self.missing_in_shard();
        // what one change needs another may bring: as long as one of them is taken, the others are tried again
        loop {
            let mut refused = Vec::new();
            let before = missing.len();
            for (action, proof) in missing {
                let id: IdempotencyId = authority::parse_request(&proof.bytes)?.idempotency_id;
                match self.order_rest(self.completed(SHARD, id, &proof, action.clone())).await {
                    Ok(_) => {}
                    Err(ExecuteError::Refused(refusal)) => refused.push((action, proof, refusal)),
                    Err(error @ ExecuteError::Propose(_)) => {
                        tracing::error!(%error, "the shard does not know yet who may sign; tried again at the next start");
                        return Ok(());
                    }
                    Err(error) => return Err(error),
                }
            }
            if refused.len() == before {
                for (_, proof, refusal) in refused {
                    tracing::error!(
                        signer = %proof.signer, %refusal,
                        "the shard does not follow group 0 in who may sign; ask for it again under another id"
                    );
                }
                return Ok(());
            }
            missing = refused.into_iter().map(|(action, proof, _)| (action, proof)).collect();
        }
    }
}

fn state_of(group: &Arc<Group>) -> replication::machine::state::State {
    group.watch().borrow().state.clone()
}

/// What an operation does to the people of a group; `None` if it is about something else.
fn action(operation: &AdminOperation) -> Option<Action> {
    match operation {
        AdminOperation::Enrol { signer, public_key, roles, tenants } => {
            let role = Role::Person { roles: roles.clone(), tenants: tenants.clone() };
            Some(Action::EnrolSigner(EnrolSigner { signer: signer.clone(), public_key: *public_key, role }))
        }
        AdminOperation::Revoke { signer } => Some(Action::RevokeSigner(RevokeSigner { signer: signer.clone() })),
        _ => None,
    }
}
