//! People and joining replicas: enrolled and revoked in group 0 first, then in every shard, each time under the signed request that asked for it.
//!
//! A group believes the officers that it knows itself: nothing is taken on another group's word. A shard that does not serve keeps no
//! change of people from the others: it follows when it is brought up again, before anybody's request reaches it.

use std::sync::Arc;

use futures::future::join_all;
use replication::ids::{GroupId, IdempotencyId, LogIndex, SignerId};
use replication::machine::apply::authority;
use replication::machine::command::{Action, AddReplica, EnrolSigner, RevokeSigner};
use replication::machine::outcome::{Outcome, Refusal};
use replication::machine::request::{AdminOperation, Request, SignedRequest};
use replication::machine::rows::{Replica, ReplicaKind, Role, Signer};
use replication::machine::state::State;
use replication::raft::group::ProposeError;

use super::KeyStore;
use super::answer::Answer;
use super::execute::ExecuteError;
use super::propose::ProposalError;
use super::shards::Shard;

impl KeyStore {
    /// The request, if whoever signed it may ask for it. Group 0 judges; where it does not let somebody sign any more, a shard that
    /// still lacks the change that took it from them may finish that one.
    pub(super) fn verified(&self, asked: &SignedRequest) -> Result<Request, Refusal> {
        let system = self.system_state();
        let verdict = authority::verify_request(&system, system.meta().ok_or(Refusal::NoGenesis)?, asked);
        let refusal = match verdict {
            Ok(request) => return Ok(request),
            Err(refusal) => refusal,
        };
        let finished = self.serving().into_iter().find_map(|shard| {
            let state = shard.state();
            let request = authority::verify_request(&state, state.meta()?, asked).ok()?;
            let action = action(&authority::effective(&request).ok()?)?;
            self.missing_in(&shard).iter().any(|(missing, _)| *missing == action).then_some(request)
        });
        finished.ok_or(refusal)
    }

    /// Adds a replica that signs nothing: group 0 alone has something to keep of it.
    pub(super) async fn add_witness(&self, asked: &SignedRequest, request: &Request) -> Result<Answer, ExecuteError> {
        let action = action(&request.operation).ok_or(ExecuteError::Unexpected)?;
        let entry = self.completed(GroupId::SYSTEM, request.idempotency_id, asked, action);
        let done = self.parts.propose(self.parts.host.system(), entry).await?;
        let made = Answer { repeated: done.repeated, index: done.index, ..Answer::default() };
        Ok(self.in_use(made, &[(GroupId::SYSTEM, done.index)]).await)
    }

    /// Carries out what officers asked for, or consented to.
    pub(super) async fn change_people(&self, asked: &SignedRequest, request: &Request) -> Result<Answer, ExecuteError> {
        let action = action(&authority::effective(request)?).ok_or(ExecuteError::Unexpected)?;
        let id = request.idempotency_id;
        // tried first where it is done last: what a shard would refuse must not stand in group 0 alone
        let shards = self.shards_that_follow(id, asked, &action).await?;
        let entry = self.completed(GroupId::SYSTEM, id, asked, action.clone());
        let first = match self.parts.propose(self.parts.host.system(), entry).await {
            Ok(done) => done.repeated,
            // group 0 has it from a request that never reached the shard; it refuses it under another id, or because an officer
            // who consented to their own end signs here no more
            Err(ProposalError::Refused(_)) if shards.iter().any(|shard| self.lags_behind(shard, &action)) => true,
            Err(error) => return Err(error.into()),
        };
        let action = &action;
        let orders = shards.iter().map(|shard| async move {
            let entry = self.completed(shard.group_id(), id, asked, action.clone());
            (Arc::clone(shard), self.order_rest(shard, entry).await)
        });
        let (mut done, mut failed) = (Vec::new(), None);
        for (shard, outcome) in join_all(orders).await {
            match outcome {
                Ok(one) => done.push((shard, one)),
                Err(error) => {
                    tracing::error!(shard = %shard.id(), %error, "this shard does not know yet of a change of people that group 0 has; it follows later");
                    failed = failed.or(Some(error));
                }
            }
        }
        let Some((_, newest)) = done.first() else { return Err(failed.unwrap_or(ExecuteError::Unexpected)) };
        let (index, repeated) = (newest.index, first && done.iter().all(|(_, one)| one.repeated));
        let entries: Vec<_> = done.iter().map(|(shard, one)| (shard.group_id(), one.index)).collect();
        let is_done = |id| done.iter().any(|(shard, _)| shard.id() == id);
        let others = self.each_shard().into_iter().map(|(id, _)| id);
        let not_yet_in = others.filter(|id| !is_done(*id)).collect();
        Ok(self.in_use(Answer { repeated, index, not_yet_in, ..Answer::default() }, &entries).await)
    }

    /// The shards that take a change of people now.
    ///
    /// # Errors
    /// What a shard says against it that knows as much as group 0 does; or why no shard takes it.
    async fn shards_that_follow(
        &self,
        id: IdempotencyId,
        asked: &SignedRequest,
        action: &Action,
    ) -> Result<Vec<Arc<Shard>>, ExecuteError> {
        let (mut following, mut why_not) = (Vec::new(), None);
        // at once, so that one that stands still costs the others its time only once
        let trying = self.each_shard().into_iter().map(|(_, shard)| async {
            match shard {
                Ok(shard) => Ok((self.follows(&shard, id, asked, action).await, shard)),
                Err(down) => Err(down),
            }
        });
        for shard in join_all(trying).await {
            let error = match shard {
                Ok((followed, shard)) => match followed {
                    Ok(()) => {
                        following.push(shard);
                        continue;
                    }
                    Err(error) => error,
                },
                Err(down) => down.into(),
            };
            match error {
                ExecuteError::Refused(refusal) => return Err(refusal.into()),
                other => why_not = why_not.or(Some(other)),
            }
        }
        match why_not {
            Some(error) if following.is_empty() => Err(error),
            _ => Ok(following),
        }
    }

    /// Tries a change of people on a shard, which first gets what it lacks if it says no.
    async fn follows(
        &self,
        shard: &Shard,
        id: IdempotencyId,
        asked: &SignedRequest,
        action: &Action,
    ) -> Result<(), ExecuteError> {
        if let Some(since) = shard.halted() {
            return Err(ProposeError::Halted { since }.into());
        }
        self.be_current(&shard.group).await?;
        let entry = self.completed(shard.group_id(), id, asked, action.clone());
        match tried(shard, &entry)? {
            None => Ok(()),
            Some(refusal) if self.missing_in(shard).is_empty() => Err(refusal.into()),
            Some(_) => {
                self.catch_up_people(shard).await?;
                match tried(shard, &entry)? {
                    None => Ok(()),
                    Some(refusal) if self.missing_in(shard).is_empty() => Err(refusal.into()),
                    // what it still lacks was told
                    Some(_) => Err(ProposeError::Unknown.into()),
                }
            }
        }
    }

    /// Whether group 0 has a change of people that a shard still lacks.
    fn lags_behind(&self, shard: &Shard, action: &Action) -> bool {
        self.missing_in(shard).iter().any(|(missing, _)| missing == action)
    }

    /// What group 0 knows of people and a shard does not, with the requests that prove it: whoever was enrolled before whoever was
    /// revoked, and these in the order in which they were. So everybody's word still counts where it is needed.
    fn missing_in(&self, shard: &Shard) -> Vec<(Action, SignedRequest)> {
        let (system, shard) = (self.system_state(), shard.state());
        let (mut enrolled, mut revoked) = (Vec::new(), Vec::new());
        for (id, row) in system.signers() {
            let there = shard.row::<Signer>(id);
            if let (None, Some(proof)) = (there, &row.enrolled_by) {
                enrolled.extend(enrolment(&system, id, row).map(|action| (action, proof.clone())));
            }
            if let (Some(at), Some(proof)) = (row.revoked_at, &row.revoked_by)
                && there.is_none_or(|there| there.revoked_at.is_none())
            {
                revoked.push((at, Action::RevokeSigner(RevokeSigner { signer: id.clone() }), proof.clone()));
            }
        }
        revoked.sort_by_key(|(at, ..)| *at);
        enrolled.extend(revoked.into_iter().map(|(_, action, proof)| (action, proof)));
        enrolled
    }

    /// Whether group 0 knows somebody whom a shard does not.
    pub(super) fn lacks_people(&self, shard: &Shard) -> bool {
        !self.missing_in(shard).is_empty()
    }

    /// Has a shard follow group 0, if it does not know somebody whom group 0 knows.
    pub(super) async fn catch_up_signer(&self, shard: &Shard, signer: &SignerId) -> Result<(), ExecuteError> {
        let is_known = shard.state().row::<Signer>(signer).is_some();
        if is_known || self.system_state().row::<Signer>(signer).is_none() {
            return Ok(());
        }
        self.catch_up_people(shard).await
    }

    /// Has a shard follow group 0 where a crash between the two, or a trouble of the shard, kept it from it. What it refuses stays as
    /// it is, and is told.
    pub(super) async fn catch_up_people(&self, shard: &Shard) -> Result<(), ExecuteError> {
        if shard.halted().is_some() {
            return Ok(());
        }
        let mut missing = self.missing_in(shard);
        // what one change needs another may bring: as long as one of them is taken, the others are tried again
        loop {
            let mut refused = Vec::new();
            let before = missing.len();
            for (action, proof) in missing {
                let id: IdempotencyId = authority::parse_request(&proof.bytes)?.idempotency_id;
                let entry = self.completed(shard.group_id(), id, &proof, action.clone());
                match self.order_rest(shard, entry).await {
                    Ok(_) => {}
                    Err(ExecuteError::Refused(refusal)) => refused.push((action, proof, refusal)),
                    Err(error @ ExecuteError::Propose(_)) => {
                        tracing::warn!(shard = %shard.id(), %error, "the shard does not know yet who may sign; tried again");
                        return Ok(());
                    }
                    Err(error) => return Err(error),
                }
            }
            if refused.len() == before {
                for (_, proof, refusal) in refused {
                    tracing::error!(
                        shard = %shard.id(), signer = %proof.signer, %refusal,
                        "the shard does not follow group 0 in who may sign; ask for it again under another id"
                    );
                }
                return Ok(());
            }
            missing = refused.into_iter().map(|(action, proof, _)| (action, proof)).collect();
        }
    }
}

/// What made somebody's signatures count, once more.
fn enrolment(system: &State, id: &SignerId, row: &Signer) -> Option<Action> {
    match &row.role {
        Role::Person { .. } => {
            let (signer, public_key, role) = (id.clone(), row.public_key, row.role.clone());
            Some(Action::EnrolSigner(EnrolSigner { signer, public_key, role }))
        }
        Role::Replica => system.replicas().iter().find_map(|(replica, row)| {
            let Replica { address, site, kind, standing, .. } = row.as_ref().clone();
            let is_theirs = matches!(&kind, ReplicaKind::Data { signer, .. } if signer == id);
            is_theirs.then_some(Action::AddReplica(AddReplica { replica: *replica, address, site, kind, standing }))
        }),
    }
}

/// What a shard would say against an entry.
fn tried(shard: &Shard, entry: &[u8]) -> Result<Option<Refusal>, ExecuteError> {
    match shard.state().apply(LogIndex(u64::MAX), entry).map_err(|_| ExecuteError::Unexpected)?.outcome {
        Outcome::Refused(refusal) => Ok(Some(refusal)),
        Outcome::Done(_) | Outcome::Repeated(_) => Ok(None),
    }
}

/// What an operation does to those who sign in a group; `None` if it is about something else.
fn action(operation: &AdminOperation) -> Option<Action> {
    match operation {
        AdminOperation::Enrol { signer, public_key, roles, tenants } => {
            let role = Role::Person { roles: roles.clone(), tenants: tenants.clone() };
            Some(Action::EnrolSigner(EnrolSigner { signer: signer.clone(), public_key: *public_key, role }))
        }
        AdminOperation::Revoke { signer } => Some(Action::RevokeSigner(RevokeSigner { signer: signer.clone() })),
        AdminOperation::AddReplica { replica, address, site, kind, standing } => {
            let (address, site, kind) = (address.clone(), site.clone(), kind.clone());
            Some(Action::AddReplica(AddReplica { replica: *replica, address, site, kind, standing: *standing }))
        }
        _ => None,
    }
}
