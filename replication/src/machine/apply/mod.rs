//! Applies one entry. Total and deterministic: a refusal is an outcome, the same on every replica.
//!
//! Reads top-down: who signed, what was asked, whether it was done before, then the change itself. Must never read a
//! clock, draw a random number or fail for any other reason than bytes that this release cannot decode.

mod additive;
pub mod authority;
mod cluster;
mod destruction;
mod genesis;
mod grants;
mod levels;
mod lifts;
mod people;
mod plans;
mod replicas;
mod versions;

pub use super::cluster_time::TICK_MAX;
pub use destruction::{DEV_WINDOW_MIN, WINDOW_MAX, WINDOW_MIN};
pub use lifts::LIFTS_MAX;
pub use people::{OFFICERS_MIN, REACH_MAX};
pub use replicas::REPLICAS_MAX;
pub use versions::{ALIASES_MAX, IMPORT_KEYS_MAX, VERSIONS_MAX};

use sha2::{Digest as _, Sha256};

use crate::codec::{self, Undecodable};
use crate::ids::{GroupId, LogIndex, Revision, TenantId};

use super::command::{Action, Command, SignedCommand};
use super::outcome::{Effect, Outcome, Refusal};
use super::rows::{Meta, Remembered, Tenant};
use super::state::{Draft, ROW_BYTES_MAX, State, Transition};

/// How many answers a group keeps for repeated requests.
pub const REMEMBERED_MAX: usize = 65_536;

/// The tenant of the product itself: it owns the canary keys of health probes.
pub const RESERVED_TENANT: &str = "system";

impl State {
    /// The state after the entry at `index`, what the entry came to, and the rows it changed.
    ///
    /// # Errors
    /// When this release cannot decode the entry. Nothing is changed then, and the caller must not go on past it.
    pub fn apply(&self, index: LogIndex, entry: &[u8]) -> Result<Transition, Undecodable> {
        let signed = codec::decode_entry(entry)?;
        let command = codec::decode_command(&signed.command)?;
        let mut draft = Draft::of(self);
        Ok(match perform(&mut draft, index, &signed, &command) {
            Ok(outcome @ Outcome::Done(_)) => draft.finish(outcome),
            Ok(outcome @ (Outcome::Repeated(_) | Outcome::Refused(_))) => unchanged(self, outcome),
            Err(refusal) => unchanged(self, Outcome::Refused(refusal)),
        })
    }
}

fn unchanged(state: &State, outcome: Outcome) -> Transition {
    Draft::of(state).finish(outcome)
}

fn perform(draft: &mut Draft, index: LogIndex, signed: &SignedCommand, command: &Command) -> Result<Outcome, Refusal> {
    if let Action::Genesis(genesis) = &command.action {
        let effect = genesis::perform(draft, signed, genesis)?;
        return rows_fit(draft).map(|()| Outcome::Done(effect));
    }
    let meta = draft.state().meta().cloned().ok_or(Refusal::NoGenesis)?;
    authority::check(draft.state(), &meta, signed, command)?;
    if let Action::Tick(tick) = &command.action {
        // its own starting point keeps it from counting twice: no answer needs remembering
        return shard_only(&meta).and_then(|()| destruction::tick(draft, tick)).map(Outcome::Done);
    }
    let request = request_digest(command);
    if let Some(before) = draft.state().row::<Remembered>(&command.idempotency_id) {
        return if before.request == request {
            Ok(Outcome::Repeated(before.effect.clone()))
        } else {
            Err(Refusal::IdempotencyReused)
        };
    }
    let effect = change(draft, &meta, command, index)?;
    draft.remember(command.idempotency_id, Remembered { request, effect: effect.clone(), index }, REMEMBERED_MAX);
    rows_fit(draft).map(|()| Outcome::Done(effect))
}

fn rows_fit(draft: &Draft) -> Result<(), Refusal> {
    match draft.largest_row() {
        bytes if bytes > ROW_BYTES_MAX => {
            Err(Refusal::TooLarge { what: "a row of this change".into(), bytes, bytes_max: ROW_BYTES_MAX })
        }
        _ => Ok(()),
    }
}

/// What makes two commands of one idempotency id the same: the operator's bytes, or else the automatic action.
fn request_digest(command: &Command) -> [u8; 32] {
    if let Some(request) = &command.request {
        Sha256::digest(&request.bytes).into()
    } else {
        let timeless = Command { at: crate::clock::Timestamp(0), ..command.clone() };
        Sha256::digest(codec::encode_command(&timeless)).into()
    }
}

fn change(draft: &mut Draft, meta: &Meta, command: &Command, index: LogIndex) -> Result<Effect, Refusal> {
    match &command.action {
        Action::Genesis(_) => Err(Refusal::GenesisRepeated),
        Action::PlaceTenant(place) => system_only(meta).and_then(|()| cluster::place_tenant(draft, place)),
        Action::ReservePath(reserve) => system_only(meta).and_then(|()| cluster::reserve_path(draft, reserve)),
        Action::CreateTenant(create) => {
            shard_only(meta).and_then(|()| additive::create_tenant(draft, create, command.at))
        }
        Action::CreateCryptoSpace(create) => {
            shard_only(meta).and_then(|()| additive::create_crypto_space(draft, create, command.at))
        }
        Action::CreateKey(create) => shard_only(meta).and_then(|()| versions::create_key(draft, create, command.at)),
        Action::AddGrant(add) => shard_only(meta).and_then(|()| grants::add(draft, add)),
        Action::StepVersion(step) => shard_only(meta).and_then(|()| additive::step_version(draft, step)),
        Action::AdoptPlan(adopt) => shard_only(meta).and_then(|()| plans::adopt(draft, meta, adopt)),
        Action::AdvanceStage(advance) => shard_only(meta).and_then(|()| plans::advance(draft, meta, advance)),
        Action::AddVersion(add) => shard_only(meta).and_then(|()| versions::add_version(draft, add, command.at)),
        Action::CreateAlias(create) => {
            shard_only(meta).and_then(|()| versions::create_alias(draft, create, command.at))
        }
        Action::CreateImportKey(create) => {
            shard_only(meta).and_then(|()| versions::create_import_key(draft, create, command.at))
        }
        // people sign in every group
        Action::EnrolSigner(enrol) => people::enrol(draft, enrol, command),
        Action::RevokeSigner(revoke) => people::revoke(draft, revoke, command, index),
        Action::Tick(tick) => shard_only(meta).and_then(|()| destruction::tick(draft, tick)),
        Action::DestroyVersion(destroy) => shard_only(meta).and_then(|()| destruction::destroy(draft, destroy)),
        Action::AddShard(add) => system_only(meta).and_then(|()| cluster::add_shard(draft, add, command.at)),
        Action::AddReplica(add) => replicas::add(draft, meta, add, command),
        Action::LiftDeny(lift) => system_only(meta).and_then(|()| lifts::lift(draft, lift, command.at)),
    }
}

fn system_only(meta: &Meta) -> Result<(), Refusal> {
    if meta.group == GroupId::SYSTEM { Ok(()) } else { Err(Refusal::WrongGroup) }
}

fn shard_only(meta: &Meta) -> Result<(), Refusal> {
    if meta.group == GroupId::SYSTEM { Err(Refusal::WrongGroup) } else { Ok(()) }
}

/// The tenant, or the refusal that says how to make it.
fn tenant_of(draft: &Draft, tenant: &TenantId) -> Result<Tenant, Refusal> {
    draft
        .state()
        .row::<Tenant>(tenant)
        .map(|row| row.as_ref().clone())
        .ok_or_else(|| Refusal::UnknownTenant { tenant: tenant.clone() })
}

/// Counts one more change of the tenant, on top of whatever else this entry wrote to it.
fn bump(draft: &mut Draft, tenant: &TenantId) -> Result<Revision, Refusal> {
    let mut row = tenant_of(draft, tenant)?;
    row.revision = row.revision.next();
    let revision = row.revision;
    draft.put(tenant.clone(), row);
    Ok(revision)
}
