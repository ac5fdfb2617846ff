//! Changes that only add: they act as soon as they are applied.

use crate::clock::Timestamp;
use crate::ids::Revision;
use crate::machine::command::{CreateCryptoSpace, CreateTenant, StepVersion};
use crate::machine::lifecycle::Event;
use crate::machine::outcome::{Effect, Refusal};
use crate::machine::rows::{CryptoSpace, Tenant};
use crate::machine::state::Draft;

use super::destruction::call_off;
use super::versions::{stepped, version_of};
use super::{bump, tenant_of};

/// Most envelopes of one tenant key: one for each root that may open it.
const ENVELOPES_MAX: usize = 8;
/// Largest sealed material or canary blob, in bytes.
const SEALED_BYTES_MAX: usize = 1024;

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
        quota: None,
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
    draft.put(key, CryptoSpace { id: create.id, policy: None, quota: None, created_at: at });
    Ok(Effect::CryptoSpaceMade { id: create.id, revision: bump(draft, &create.tenant)? })
}

pub(super) fn step_version(draft: &mut Draft, step: &StepVersion) -> Result<Effect, Refusal> {
    match step.event {
        Event::Activate | Event::Enable | Event::Restore => {}
        Event::Disable | Event::ScheduleDestroy | Event::Destroy | Event::DestroyByCloud => {
            return Err(Refusal::NeedsPlan);
        }
    }
    let mut row = version_of(draft, &step.tenant, step.version)?;
    row.state = stepped(step.version, row.state, step.event)?;
    call_off(draft, step.version, &mut row);
    let state = row.state;
    draft.put(step.version, row);
    Ok(Effect::VersionStepped { state, revision: bump(draft, &step.tenant)? })
}

pub(super) fn exists(what: &str, name: &impl ToString) -> Refusal {
    Refusal::Exists { what: what.to_owned(), name: name.to_string() }
}

pub(super) fn fits(what: &str, bytes: &[u8]) -> Result<(), Refusal> {
    if bytes.len() <= SEALED_BYTES_MAX {
        Ok(())
    } else {
        Err(Refusal::TooLarge { what: what.to_owned(), bytes: bytes.len(), bytes_max: SEALED_BYTES_MAX })
    }
}
