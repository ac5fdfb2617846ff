//! Changes that only add: they act as soon as they are applied.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::ids::{KeyVersionId, Revision};
use crate::machine::command::{CreateCryptoSpace, CreateKey, CreateTenant, PlaceTenant, ReservePath, StepVersion};
use crate::machine::lifecycle::{self, Event, VersionState};
use crate::machine::outcome::{Effect, Refusal};
use crate::machine::rows::{CryptoSpace, Key, KeyVersion, Placement, Reservation, Tenant};
use crate::machine::state::Draft;

use super::{bump, tenant_of};

/// Most envelopes of one tenant key: one for each root that may open it.
const ENVELOPES_MAX: usize = 8;
/// Largest sealed material or canary blob, in bytes.
const SEALED_BYTES_MAX: usize = 1024;

pub(super) fn place_tenant(draft: &mut Draft, place: &PlaceTenant) -> Result<Effect, Refusal> {
    if draft.state().row::<Placement>(&place.tenant).is_some() {
        return Err(exists("tenant", &place.tenant));
    }
    draft.put(place.tenant.clone(), Placement { shard: place.shard });
    Ok(Effect::TenantPlaced { shard: place.shard })
}

pub(super) fn reserve_path(draft: &mut Draft, reserve: &ReservePath) -> Result<Effect, Refusal> {
    if draft.state().row::<Reservation>(&reserve.id).is_some() {
        return Err(Refusal::PathTaken);
    }
    draft.put(reserve.id, Reservation { tenant: reserve.tenant.clone(), shard: reserve.shard });
    Ok(Effect::PathReserved { id: reserve.id })
}

pub(super) fn create_tenant(draft: &mut Draft, create: &CreateTenant, at: Timestamp) -> Result<Effect, Refusal> {
    if draft.state().row::<Tenant>(&create.tenant).is_some() {
        return Err(exists("tenant", &create.tenant));
    }
    if create.envelopes.is_empty() || create.envelopes.len() > ENVELOPES_MAX {
        return Err(Refusal::NotWhatWasAsked);
    }
    for envelope in &create.envelopes {
        fits("a sealed tenant key", &envelope.sealed.0)?;
    }
    let revision = Revision(1);
    let row = Tenant {
        revision,
        staleness: create.staleness,
        policy: create.policy.clone(),
        envelopes: create.envelopes.clone(),
        created_at: at,
    };
    draft.put(create.tenant.clone(), row);
    Ok(Effect::TenantMade { revision })
}

pub(super) fn create_crypto_space(
    draft: &mut Draft,
    create: &CreateCryptoSpace,
    at: Timestamp,
) -> Result<Effect, Refusal> {
    tenant_of(draft, &create.tenant)?;
    let key = (create.tenant.clone(), create.name.clone());
    if draft.state().row::<CryptoSpace>(&key).is_some() {
        return Err(exists("crypto space", &create.name));
    }
    draft.put(key, CryptoSpace { id: create.id, policy: None, created_at: at });
    Ok(Effect::CryptoSpaceMade { id: create.id, revision: bump(draft, &create.tenant)? })
}

pub(super) fn create_key(draft: &mut Draft, create: &CreateKey, at: Timestamp) -> Result<Effect, Refusal> {
    tenant_of(draft, &create.tenant)?;
    if let Some(space) = &create.crypto_space
        && draft.state().row::<CryptoSpace>(&(create.tenant.clone(), space.clone())).is_none()
    {
        return Err(Refusal::UnknownCryptoSpace { tenant: create.tenant.clone(), name: space.to_string() });
    }
    let key = (create.tenant.clone(), create.name.clone());
    if draft.state().row::<Key>(&key).is_some() {
        return Err(exists("key", &create.name));
    }
    let new = &create.version;
    if draft.state().row::<KeyVersion>(&new.id).is_some() {
        return Err(Refusal::PathTaken);
    }
    fits("sealed key material", &new.sealed.0)?;
    fits("a canary blob", &new.canary)?;
    let number = 1;
    // The replica that completed the command opened the canary before it proposed: that is the whole of activation
    // while there are no cohorts to activate on first.
    let state =
        lifecycle::next(VersionState::Pending, Event::Activate).expect("the table lets a pending version activate");
    let version = KeyVersion {
        tenant: create.tenant.clone(),
        key: create.name.clone(),
        number,
        state,
        algorithm: new.algorithm,
        origin: new.origin,
        sealed: new.sealed.clone(),
        canary: new.canary.clone(),
        created_at: at,
    };
    draft.put(new.id, version);
    let row = Key {
        crypto_space: create.crypto_space.clone(),
        purpose: create.purpose,
        policy: None,
        versions: BTreeMap::from([(number, new.id)]),
        primary: number,
        created_at: at,
    };
    draft.put(key, row);
    Ok(Effect::KeyMade { version: new.id, revision: bump(draft, &create.tenant)? })
}

pub(super) fn step_version(draft: &mut Draft, step: &StepVersion) -> Result<Effect, Refusal> {
    match step.event {
        Event::Activate | Event::Enable | Event::Restore => {}
        Event::Disable | Event::ScheduleDestroy | Event::Destroy | Event::DestroyByCloud => {
            return Err(Refusal::NeedsPlan);
        }
    }
    let mut row = version_of(draft, step)?;
    row.state = stepped(step.version, row.state, step.event)?;
    let state = row.state;
    draft.put(step.version, row);
    Ok(Effect::VersionStepped { state, revision: bump(draft, &step.tenant)? })
}

/// The state after a legal step, or the refusal that names the state it was in.
pub(super) fn stepped(version: KeyVersionId, state: VersionState, event: Event) -> Result<VersionState, Refusal> {
    lifecycle::next(state, event).ok_or(Refusal::IllegalStep { version, state, event })
}

fn version_of(draft: &Draft, step: &StepVersion) -> Result<KeyVersion, Refusal> {
    match draft.state().row::<KeyVersion>(&step.version) {
        Some(row) if row.tenant == step.tenant => Ok(row.as_ref().clone()),
        Some(_) | None => Err(Refusal::UnknownVersion { tenant: step.tenant.clone(), version: step.version }),
    }
}

fn exists(what: &str, name: &impl ToString) -> Refusal {
    Refusal::Exists { what: what.to_owned(), name: name.to_string() }
}

fn fits(what: &str, bytes: &[u8]) -> Result<(), Refusal> {
    if bytes.len() <= SEALED_BYTES_MAX {
        Ok(())
    } else {
        Err(Refusal::TooLarge { what: what.to_owned(), bytes: bytes.len(), bytes_max: SEALED_BYTES_MAX })
    }
}
