//! What belongs to the cluster, in group 0: its shards, which of them each tenant lives in, and who owns each path.
//!
//! A tenant is placed once, for ever; nothing here moves one.

use crate::clock::Timestamp;
use crate::ids::{SHARDS_MAX, ShardId, TenantId};
use crate::machine::command::{AddShard, PlaceTenant, ReservePath};
use crate::machine::outcome::{Effect, Refusal};
use crate::machine::rows::{Placement, Replica, ReplicaKind, Reservation, Shard};
use crate::machine::state::Draft;

use super::additive::exists;

pub(super) fn add_shard(draft: &mut Draft, add: &AddShard, at: Timestamp) -> Result<Effect, Refusal> {
    if draft.state().row::<Shard>(&add.shard).is_some() {
        return Err(exists("shard", &add.shard));
    }
    if add.shard.0.get() > SHARDS_MAX {
        return Err(Refusal::TooMany {
            owner: "the cluster".to_owned(),
            what: "shards, counted by their numbers".to_owned(),
            count: usize::from(SHARDS_MAX),
            remedy: format!("take a number from 1 to {SHARDS_MAX}"),
        });
    }
    // in `ekm dev` there are no replicas to choose from
    let is_data = |row: &Replica| matches!(row.kind, ReplicaKind::Data { .. });
    if !draft.state().replicas().is_empty()
        && !draft.state().row::<Replica>(&add.founder).is_some_and(|row| is_data(row))
    {
        return Err(Refusal::NotWhatWasAsked);
    }
    draft.put(add.shard, Shard { founder: add.founder, added_at: at });
    Ok(Effect::ShardAdded { shard: add.shard })
}

pub(super) fn place_tenant(draft: &mut Draft, place: &PlaceTenant) -> Result<Effect, Refusal> {
    if draft.state().row::<Placement>(&place.tenant).is_some() {
        return Err(exists("tenant", &place.tenant));
    }
    known(draft, place.shard)?;
    draft.put(place.tenant.clone(), Placement { shard: place.shard });
    Ok(Effect::TenantPlaced { shard: place.shard })
}

pub(super) fn reserve_path(draft: &mut Draft, reserve: &ReservePath) -> Result<Effect, Refusal> {
    if draft.state().row::<Reservation>(&reserve.id).is_some() {
        return Err(Refusal::PathTaken);
    }
    known(draft, reserve.shard)?;
    lives_there(draft, &reserve.tenant, reserve.shard)?;
    draft.put(reserve.id, Reservation { tenant: reserve.tenant.clone(), shard: reserve.shard });
    Ok(Effect::PathReserved { id: reserve.id })
}

fn known(draft: &Draft, shard: ShardId) -> Result<(), Refusal> {
    if draft.state().has_shard(shard) { Ok(()) } else { Err(Refusal::UnknownShard { shard }) }
}

/// The reserved tenant lives in every shard and is placed in none.
fn lives_there(draft: &Draft, tenant: &TenantId, shard: ShardId) -> Result<(), Refusal> {
    match draft.state().row::<Placement>(tenant) {
        Some(placed) if placed.shard != shard => {
            Err(Refusal::OtherShard { tenant: tenant.clone(), shard: placed.shard })
        }
        Some(_) | None => Ok(()),
    }
}
