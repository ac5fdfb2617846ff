//! Where a tenant goes: into the shard that was chosen, or else into the emptiest one that takes changes.
//!
//! Group 0 has the last word: a tenant that it placed once stays there.

use std::sync::Arc;

use replication::ids::{GroupId, IdempotencyId, ShardId, TenantId};
use replication::machine::command::{Action, PlaceTenant};
use replication::machine::outcome::{Effect, Refusal};
use replication::machine::request::SignedRequest;
use replication::machine::rows::Tenant;
use replication::raft::group::ProposeError;

use super::KeyStore;
use super::execute::ExecuteError;
use super::propose::ProposalError;
use super::shards::{Shard, taking};

impl KeyStore {
    /// The shard that a tenant is to be made in. Where an earlier request placed it, that one.
    pub(super) async fn choose(&self, tenant: &TenantId, chosen: Option<ShardId>) -> Result<Arc<Shard>, ExecuteError> {
        match (self.placed(tenant), chosen) {
            (Some(shard), Some(other)) if shard != other => {
                Err(Refusal::OtherShard { tenant: tenant.clone(), shard }.into())
            }
            (Some(shard), _) => Ok(self.shard(shard)?),
            (None, Some(shard)) if !self.system_state().has_shard(shard) => Err(Refusal::UnknownShard { shard }.into()),
            // before anything is begun: what is placed is placed for good
            (None, Some(shard)) => taking(self.shard(shard)?),
            (None, None) => self.emptiest().await,
        }
    }

    /// Gives a tenant its shard, and gives the one it has. Where an earlier request got no further than this, the shard decides.
    pub(super) async fn place(
        &self,
        id: IdempotencyId,
        asked: &SignedRequest,
        tenant: &TenantId,
        shard: ShardId,
    ) -> Result<Arc<Shard>, ExecuteError> {
        let place = Action::PlaceTenant(PlaceTenant { tenant: tenant.clone(), shard });
        let entry = self.completed(GroupId::SYSTEM, id, asked, place);
        match self.parts.propose(self.parts.host.system(), entry).await {
            Ok(done) => match done.effect {
                // placed it is, whatever has come over the shard meanwhile
                Effect::TenantPlaced { shard } => self.shard(shard).map_err(|_| ProposeError::Unknown.into()),
                _ => Err(ExecuteError::Unexpected),
            },
            Err(ProposalError::Refused(exists @ Refusal::Exists { .. })) => {
                let shard = self.shard_of(tenant)?;
                if shard.state().row::<Tenant>(tenant).is_some() { Err(exists.into()) } else { Ok(shard) }
            }
            Err(error) => Err(error.into()),
        }
    }
}
