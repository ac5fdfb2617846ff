//! Who signed, whether they may, and whether the completed command does what was asked and nothing else.

use crate::ids::{SignerId, TenantId};
use crate::machine::command::{Action, Command, SignedCommand};
use crate::machine::lifecycle::Event;
use crate::machine::outcome::Refusal;
use crate::machine::request::{AdminOperation, REQUEST_BYTES_MAX, REQUEST_FORMAT, Request, SignedRequest};
use crate::machine::rows::{Change, Meta, Role, Signer};
use crate::machine::signing;
use crate::machine::state::State;

use super::RESERVED_TENANT;

pub(super) fn check(state: &State, meta: &Meta, signed: &SignedCommand, command: &Command) -> Result<(), Refusal> {
    let replica = signer(state, &signed.signer)?;
    let message = signing::command_message(meta.lineage, meta.group, &signed.command);
    if replica.role != Role::Replica || !signing::verifies(&replica.public_key, &message, &signed.signature) {
        return Err(Refusal::BadSignature { signer: signed.signer.clone() });
    }
    match &command.request {
        Some(request) => operator_asked(state, meta, request, command),
        None => automatic(&command.action),
    }
}

/// Reads a request's bytes: size, JSON, format.
///
/// # Errors
/// [`Refusal::TooLarge`] and [`Refusal::MalformedRequest`], with what to change.
pub fn parse_request(bytes: &[u8]) -> Result<Request, Refusal> {
    if bytes.len() > REQUEST_BYTES_MAX {
        let (what, bytes_max) = ("the request".into(), REQUEST_BYTES_MAX);
        return Err(Refusal::TooLarge { what, bytes: bytes.len(), bytes_max });
    }
    let request: Request =
        serde_json::from_slice(bytes).map_err(|error| Refusal::MalformedRequest { reason: error.to_string() })?;
    if request.format == REQUEST_FORMAT {
        Ok(request)
    } else {
        Err(Refusal::MalformedRequest { reason: format!("format {} is not {REQUEST_FORMAT}", request.format) })
    }
}

/// Checks that an enrolled operator signed these bytes for this cluster and may change that tenant.
///
/// # Errors
/// The refusal that `apply` would come to, so that a replica can refuse before it makes key material.
pub fn verify_request(state: &State, meta: &Meta, signed: &SignedRequest) -> Result<Request, Refusal> {
    let operator = signer(state, &signed.signer)?;
    if !signing::verifies(&operator.public_key, &signing::request_message(&signed.bytes), &signed.signature) {
        return Err(Refusal::BadSignature { signer: signed.signer.clone() });
    }
    let request = parse_request(&signed.bytes)?;
    if request.lineage != meta.lineage {
        return Err(Refusal::WrongLineage);
    }
    let tenant = request.operation.tenant();
    if tenant.as_str() == RESERVED_TENANT {
        return Err(Refusal::ReservedTenant { tenant: tenant.clone() });
    }
    match &operator.role {
        Role::Operator { tenants: None } => Ok(request),
        Role::Operator { tenants: Some(tenants) } if tenants.contains(tenant) => Ok(request),
        Role::Operator { .. } | Role::Replica => {
            Err(Refusal::NotAllowed { signer: signed.signer.clone(), tenant: tenant.clone() })
        }
    }
}

fn operator_asked(state: &State, meta: &Meta, signed: &SignedRequest, command: &Command) -> Result<(), Refusal> {
    let request = verify_request(state, meta, signed)?;
    if request.idempotency_id == command.idempotency_id && completes(&request.operation, &command.action) {
        Ok(())
    } else {
        Err(Refusal::NotWhatWasAsked)
    }
}

fn signer<'a>(state: &'a State, id: &SignerId) -> Result<&'a Signer, Refusal> {
    match state.row::<Signer>(id) {
        None => Err(Refusal::UnknownSigner { signer: id.clone() }),
        Some(signer) if signer.revoked_at.is_some() => Err(Refusal::RevokedSigner { signer: id.clone() }),
        Some(signer) => Ok(signer),
    }
}

/// Whether the action is what the operation asks for, with nothing but ids, times and sealed material added.
fn completes(asked: &AdminOperation, action: &Action) -> bool {
    match (asked, action) {
        (AdminOperation::CreateTenant { tenant, .. }, Action::PlaceTenant(place)) => place.tenant == *tenant,
        (AdminOperation::CreateTenant { tenant, staleness }, Action::CreateTenant(create)) => {
            create.tenant == *tenant && create.staleness == *staleness && create.policy.is_none()
        }
        (
            AdminOperation::CreateCryptoSpace { tenant, .. } | AdminOperation::CreateKey { tenant, .. },
            Action::ReservePath(reserve),
        ) => reserve.tenant == *tenant,
        (AdminOperation::CreateCryptoSpace { tenant, name }, Action::CreateCryptoSpace(create)) => {
            create.tenant == *tenant && create.name == *name
        }
        (AdminOperation::CreateKey { tenant, name, crypto_space, purpose }, Action::CreateKey(create)) => {
            create.tenant == *tenant
                && create.name == *name
                && create.crypto_space == *crypto_space
                && create.purpose == *purpose
        }
        (AdminOperation::Grant { tenant, level, rule }, Action::AddGrant(add)) => {
            add.tenant == *tenant && add.level == *level && add.rule == *rule
        }
        (AdminOperation::EnableVersion { tenant, version }, Action::StepVersion(step)) => {
            step.tenant == *tenant && step.version == *version && step.event == Event::Enable
        }
        (AdminOperation::DisableVersion { tenant, version, parent }, Action::AdoptPlan(adopt)) => {
            adopt.plan.tenant == *tenant
                && adopt.plan.parent == *parent
                && adopt.plan.change == Change::DisableVersion { version: *version }
        }
        _ => false,
    }
}

/// What a replica may do without an operator: go on with an adopted plan, and look after the reserved tenant.
fn automatic(action: &Action) -> Result<(), Refusal> {
    let for_reserved = |tenant: &TenantId| {
        if tenant.as_str() == RESERVED_TENANT { Ok(()) } else { Err(Refusal::RequestMissing) }
    };
    match action {
        Action::AdvanceStage(_) => Ok(()),
        Action::CreateTenant(create) => for_reserved(&create.tenant),
        Action::CreateKey(create) => for_reserved(&create.tenant),
        Action::ReservePath(reserve) => for_reserved(&reserve.tenant),
        Action::Genesis(_)
        | Action::PlaceTenant(_)
        | Action::CreateCryptoSpace(_)
        | Action::AddGrant(_)
        | Action::StepVersion(_)
        | Action::AdoptPlan(_) => Err(Refusal::RequestMissing),
    }
}
