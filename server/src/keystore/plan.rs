//! Plans: adopted, advanced through their one stage, and gone on with where a crash or a full disk left one half-way.
//!
//! What was adopted is carried out before anything else is made of the same thing.

use std::collections::BTreeSet;

use replication::ids::IdempotencyId;
use replication::machine::command::{Action, AddGrant, AdoptPlan, AdvanceStage, Evidence};
use replication::machine::outcome::{Effect, Refusal};
use replication::machine::request::SignedRequest;
use replication::machine::rows::{AdoptedPlan, Change, Plan, Stage};
use replication::machine::signing;
use replication::raft::group::ProposeError;

use super::KeyStore;
use super::execute::{ExecuteError, begun};
use super::propose::Done;
use super::shards::Shard;

impl KeyStore {
    /// Adds a grant. Where a plan for the same policy is under way, that one goes first.
    pub(super) async fn grant(
        &self,
        shard: &Shard,
        id: IdempotencyId,
        asked: &SignedRequest,
        add: AddGrant,
    ) -> Result<Done, ExecuteError> {
        let state = shard.state();
        let (tenant, rule) = (add.tenant.clone(), add.rule.name.clone());
        let same_policy = Change::RemoveRule { level: add.level.clone(), rule };
        for (digest, row) in state.plans() {
            if row.plan.tenant == tenant && row.plan.change.meets(&same_policy) {
                match self.advance(shard, *digest).await {
                    Ok(_) | Err(ExecuteError::Refused(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        self.order(shard, id, asked, Action::AddGrant(add)).await
    }

    /// Goes on with every plan that was adopted and has not settled: what a crash between the two entries left. One that
    /// is refused, or finds no room on the disk, stays adopted and keeps nothing else from starting.
    pub(super) async fn settle_plans(&self, shard: &Shard) -> Result<(), ExecuteError> {
        let adopted = shard.state().plans().keys().copied().collect();
        self.settle(shard, &adopted).await.map(drop)
    }

    /// The same for some plans; gives those that are refused.
    pub(super) async fn settle(
        &self,
        shard: &Shard,
        plans: &BTreeSet<[u8; 32]>,
    ) -> Result<BTreeSet<[u8; 32]>, ExecuteError> {
        let mut refused = BTreeSet::new();
        if shard.halted().is_some() {
            return Ok(refused); // they are settled under the release that decodes what stopped this one
        }
        let state = shard.state();
        for (digest, row) in state.plans().iter().filter(|(digest, _)| plans.contains(*digest)) {
            match self.advance(shard, *digest).await {
                Ok(_) => {}
                Err(ExecuteError::Refused(refusal)) => {
                    tracing::error!(plan = ?row.plan, %refusal, "an adopted plan cannot be settled and stays as it is");
                    refused.insert(*digest);
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
        Ok(refused)
    }

    /// Adopts a plan and advances it through its one stage. Where an earlier plan for the same change got no further than
    /// its adoption, that one is advanced; the same one also where there is no room to ask for it again.
    pub(super) async fn plan(
        &self,
        shard: &Shard,
        id: IdempotencyId,
        asked: &SignedRequest,
        plan: Plan,
    ) -> Result<Done, ExecuteError> {
        let (digest, tenant, change) = (signing::plan_digest(&plan), plan.tenant.clone(), plan.change.clone());
        let begins_window = matches!(change, Change::ScheduleDestroy { .. });
        if begins_window && !shard.state().destructions().is_empty() {
            // a window that begins cuts the count off: what has passed for the others is counted before. Whoever keeps the
            // time tells of a trouble
            let _ = self.count_time(shard).await;
        }
        match self.adopt(shard, id, asked, plan).await {
            Ok(adopted) => {
                let done = self.advance(shard, digest).await.map_err(begun)?;
                if begins_window {
                    // and the count begins anew at once: windows that begin one after the other would else leave no time between
                    // them that counts, and put off everybody's destructions for good
                    let _ = self.count_time(shard).await;
                }
                Ok(Done { repeated: adopted.repeated, ..done })
            }
            Err(ExecuteError::Propose(ProposeError::NoRoom(_))) if shard.state().plans().contains_key(&digest) => {
                Ok(Done { repeated: true, ..self.advance(shard, digest).await.map_err(begun)? })
            }
            Err(ExecuteError::Refused(unsettled @ Refusal::PlanUnsettled { .. })) => {
                let state = shard.state();
                let meets = |row: &AdoptedPlan| row.plan.tenant == tenant && row.plan.change.meets(&change);
                let earlier = state.plans().iter().find(|(_, row)| meets(row));
                let (earlier, row) = earlier.ok_or_else(|| unsettled.clone())?;
                // what was adopted is carried out; where that is not what is asked now, the operator must look again
                match self.advance(shard, *earlier).await.map_err(begun) {
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
        shard: &Shard,
        id: IdempotencyId,
        asked: &SignedRequest,
        plan: Plan,
    ) -> Result<Done, ExecuteError> {
        let digest = signing::plan_digest(&plan);
        self.order(shard, id, asked, Action::AdoptPlan(AdoptPlan { plan, digest })).await
    }

    async fn advance(&self, shard: &Shard, digest: [u8; 32]) -> Result<Done, ExecuteError> {
        // one id for one step of one plan, whoever takes it
        let id = IdempotencyId::from_bytes(*digest.first_chunk().expect("a digest is longer than an id"));
        match self.advance_under(shard, id, digest).await {
            // operators choose their ids, and a plan's digest can be foretold: such a request must not stop the plan
            Err(ExecuteError::Refused(Refusal::IdempotencyReused)) => {
                self.advance_under(shard, IdempotencyId::from_bytes(self.parts.draw_id()?), digest).await
            }
            other => other,
        }
    }

    async fn advance_under(&self, shard: &Shard, id: IdempotencyId, digest: [u8; 32]) -> Result<Done, ExecuteError> {
        let advance = AdvanceStage { digest, expected: Stage::Adopted, evidence: Evidence::SingleStage };
        let command = self.parts.command(id, None, Action::AdvanceStage(advance));
        let entry = self.parts.entry(self.lineage, shard.group_id(), &command);
        let done = self.parts.finish(&shard.group, entry).await?;
        match done.effect {
            // something additive came in between, and the plan is gone
            Effect::PlanDropped { why, .. } => Err((*why).into()),
            _ => Ok(done),
        }
    }
}
