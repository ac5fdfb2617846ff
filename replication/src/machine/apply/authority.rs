//! Who signed, whether they may, and whether the completed command does what was asked and nothing else.

use std::collections::BTreeSet;

use crate::ids::{CryptoSpaceName, GroupId, KeyName, Revision, ShardId, SignerId, TenantId};
use crate::machine::command::{Action, Command, CreateKey, SignedCommand};
use crate::machine::lifecycle::Event;
use crate::machine::outcome::Refusal;
use crate::machine::request::{
    AdminOperation, Consent, REQUEST_BYTES_MAX, REQUEST_FORMAT, Request, SignedRequest, WrappedMaterial,
};
use crate::machine::roles::{Permission, PersonRole, may};
use crate::machine::rows::{Change, Meta, Origin, Purpose, Role, Signer};
use crate::machine::signing;
use crate::machine::state::State;

use super::{RESERVED_TENANT, people};

pub(super) fn check(state: &State, meta: &Meta, signed: &SignedCommand, command: &Command) -> Result<(), Refusal> {
    let replica = signer(state, &signed.signer, Office::Now)?;
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

/// Checks that an enrolled person signed these bytes for this cluster, and that their roles allow it.
///
/// # Errors
/// The refusal that `apply` would come to, so that a replica can refuse before it makes key material.
pub fn verify_request(state: &State, meta: &Meta, signed: &SignedRequest) -> Result<Request, Refusal> {
    verify_of(state, meta, signed, Office::Now)
}

/// When those who signed must have been enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Office {
    /// As far as this state goes.
    Now,
    /// At any time: what was taken by their word stays when they are revoked.
    Once,
}

/// The same of those who were enrolled then.
///
/// # Errors
/// As [`verify_request`].
pub fn verify_of(state: &State, meta: &Meta, signed: &SignedRequest, office: Office) -> Result<Request, Refusal> {
    let (request, roles, tenants) = signed_by_person(state, meta, signed, office)?;
    let by = &signed.signer;
    match request.operation.tenant() {
        Some(tenant) => {
            if tenant.as_str() == RESERVED_TENANT {
                return Err(Refusal::ReservedTenant { tenant: tenant.clone() });
            }
            let reaches = tenants.as_ref().is_none_or(|tenants| tenants.contains(tenant));
            if !reaches || !may(roles, Permission::ChangeTenants) {
                return Err(Refusal::NotAllowed { signer: by.clone(), tenant: tenant.clone() });
            }
        }
        None if request.operation.is_about_cluster() => {
            let may_change = tenants.is_none() && may(roles, Permission::ChangeCluster);
            may_change.then_some(()).ok_or_else(|| Refusal::NotForCluster { signer: by.clone() })?;
        }
        None if matches!(request.operation, AdminOperation::AddReplica { .. }) => {
            let may_add = tenants.is_none() && may(roles, Permission::ManagePeople);
            may_add.then_some(()).ok_or_else(|| Refusal::NotForReplicas { signer: by.clone() })?;
        }
        None if !may(roles, Permission::ManagePeople) => return Err(Refusal::NotOfficer { signer: by.clone() }),
        None => {}
    }
    match &request.operation {
        AdminOperation::Approve(consent) => approved(state, meta, (by, tenants), consent, office)?,
        operation => match concerns(state, operation) {
            Some(Concern::Officer(signer)) => return Err(Refusal::NeedsSecondOfficer { signer: signer.clone() }),
            Some(Concern::Tenant(tenant)) => {
                return may_shut_out((by, tenants), tenant).and(Err(Refusal::NeedsTwoOfficers));
            }
            None => {}
        },
    }
    Ok(request)
}

type Tenants = Option<BTreeSet<TenantId>>;

/// A request whose signature is that of an enrolled person, with their roles and reach.
fn signed_by_person<'a>(
    state: &'a State,
    meta: &Meta,
    signed: &SignedRequest,
    office: Office,
) -> Result<(Request, &'a BTreeSet<PersonRole>, &'a Tenants), Refusal> {
    let person = signer(state, &signed.signer, office)?;
    if !signing::verifies(&person.public_key, &signing::request_message(&signed.bytes), &signed.signature) {
        return Err(Refusal::BadSignature { signer: signed.signer.clone() });
    }
    let request = parse_request(&signed.bytes)?;
    if request.lineage != meta.lineage {
        return Err(Refusal::WrongLineage);
    }
    match &person.role {
        Role::Person { roles, tenants } => Ok((request, roles, tenants)),
        Role::Replica => Err(Refusal::NotAPerson { signer: signed.signer.clone() }),
    }
}

/// Whether a second officer may approve what a first one asks for.
fn approved(
    state: &State,
    meta: &Meta,
    (by, reach): Officer<'_>,
    consent: &Consent,
    office: Office,
) -> Result<(), Refusal> {
    if consent.signer == *by {
        return Err(Refusal::SameOfficer { signer: by.clone() });
    }
    let (request, roles, first_reach) = signed_by_person(state, meta, &consent.request(), office)?;
    if !may(roles, Permission::ManagePeople) {
        return Err(Refusal::NotOfficer { signer: consent.signer.clone() });
    }
    match concerns(state, &request.operation) {
        Some(Concern::Officer(_)) => Ok(()),
        Some(Concern::Tenant(tenant)) => {
            may_shut_out((&consent.signer, first_reach), tenant).and_then(|()| may_shut_out((by, reach), tenant))
        }
        None => Err(Refusal::NothingToApprove),
    }
}

/// An officer, with the tenants in reach.
type Officer<'a> = (&'a SignerId, &'a Tenants);

fn may_shut_out((officer, reach): Officer<'_>, tenant: &TenantId) -> Result<(), Refusal> {
    if tenant.as_str() == RESERVED_TENANT {
        return Err(Refusal::ReservedTenant { tenant: tenant.clone() });
    }
    let is_in_reach = reach.as_ref().is_none_or(|tenants| tenants.contains(tenant));
    is_in_reach.then_some(()).ok_or_else(|| Refusal::NotForTenant { signer: officer.clone(), tenant: tenant.clone() })
}

/// Why an operation takes two officers.
enum Concern<'a> {
    /// It makes or unmakes one.
    Officer(&'a SignerId),
    /// It shuts somebody out of a tenant, or lets them in again.
    Tenant(&'a TenantId),
}

/// What takes two officers about an operation, if anything. An officer who is revoked already counts as one still: repeating what was
/// done must come to what it came to.
fn concerns<'a>(state: &State, operation: &'a AdminOperation) -> Option<Concern<'a>> {
    match operation {
        AdminOperation::Enrol { signer, roles, .. } => people::holds_office(roles).then_some(Concern::Officer(signer)),
        AdminOperation::Revoke { signer } => {
            let is_officer = state.row::<Signer>(signer).is_some_and(|row| people::is_officer(&row.role));
            is_officer.then_some(Concern::Officer(signer))
        }
        AdminOperation::Deny { tenant, .. } | AdminOperation::LiftDeny { tenant, .. } => Some(Concern::Tenant(tenant)),
        // the person is named in the request that this one carries
        AdminOperation::Approve(_)
        | AdminOperation::AddShard { .. }
        | AdminOperation::AddReplica { .. }
        | AdminOperation::CreateTenant { .. }
        | AdminOperation::CreateCryptoSpace { .. }
        | AdminOperation::CreateKey { .. }
        | AdminOperation::AddVersion { .. }
        | AdminOperation::ImportKey { .. }
        | AdminOperation::ImportVersion { .. }
        | AdminOperation::CreateImportKey { .. }
        | AdminOperation::CreateAlias { .. }
        | AdminOperation::Grant { .. }
        | AdminOperation::EnableVersion { .. }
        | AdminOperation::RestoreVersion { .. }
        | AdminOperation::DisableVersion { .. }
        | AdminOperation::ScheduleDestroy { .. }
        | AdminOperation::RemoveAlias { .. }
        | AdminOperation::SetPolicy { .. }
        | AdminOperation::RemoveRule { .. }
        | AdminOperation::SetQuota { .. } => None,
    }
}

/// What a request comes to be about: its own operation, or the one that it approves.
///
/// # Errors
/// When what it approves cannot be read.
pub fn effective(request: &Request) -> Result<AdminOperation, Refusal> {
    match &request.operation {
        AdminOperation::Approve(consent) => parse_request(&consent.request.0).map(|first| first.operation),
        operation => Ok(operation.clone()),
    }
}

fn operator_asked(state: &State, meta: &Meta, signed: &SignedRequest, command: &Command) -> Result<(), Refusal> {
    let request = verify_request(state, meta, signed)?;
    let asked = effective(&request)?;
    let fits = request.idempotency_id == command.idempotency_id
        && completes(&asked, &command.action)
        && is_in_its_shard(&asked, &command.action, meta.group);
    if fits { Ok(()) } else { Err(Refusal::NotWhatWasAsked) }
}

fn signer<'a>(state: &'a State, id: &SignerId, office: Office) -> Result<&'a Signer, Refusal> {
    match state.row::<Signer>(id) {
        None => Err(Refusal::UnknownSigner { signer: id.clone() }),
        Some(signer) if office == Office::Now && signer.revoked_at.is_some() => {
            Err(Refusal::RevokedSigner { signer: id.clone() })
        }
        Some(signer) => Ok(signer),
    }
}

/// Whether the action is what the operation asks for, with nothing but ids, times and sealed material added.
fn completes(asked: &AdminOperation, action: &Action) -> bool {
    match action {
        Action::ReservePath(reserve) => takes_path(asked) && asked.tenant() == Some(&reserve.tenant),
        Action::AdoptPlan(adopt) => {
            planned(asked).is_some_and(|(change, parent)| change == adopt.plan.change && parent == adopt.plan.parent)
                && asked.tenant() == Some(&adopt.plan.tenant)
        }
        action => adds(asked, action),
    }
}

/// The operations that need a path of their own.
const fn takes_path(asked: &AdminOperation) -> bool {
    matches!(
        asked,
        AdminOperation::CreateCryptoSpace { .. }
            | AdminOperation::CreateKey { .. }
            | AdminOperation::AddVersion { .. }
            | AdminOperation::ImportKey { .. }
            | AdminOperation::ImportVersion { .. }
            | AdminOperation::CreateAlias { .. }
    )
}

/// The change that an operation plans, and the revision it was decided on.
pub fn planned(asked: &AdminOperation) -> Option<(Change, Revision)> {
    match asked.clone() {
        AdminOperation::DisableVersion { version, parent, .. } => Some((Change::DisableVersion { version }, parent)),
        AdminOperation::ScheduleDestroy { version, window_seconds, parent, .. } => {
            Some((Change::ScheduleDestroy { version, window_seconds }, parent))
        }
        AdminOperation::RemoveAlias { alias, parent, .. } => Some((Change::RemoveAlias { alias }, parent)),
        AdminOperation::SetPolicy { level, policy, parent, .. } => Some((Change::SetPolicy { level, policy }, parent)),
        AdminOperation::RemoveRule { level, rule, parent, .. } => Some((Change::RemoveRule { level, rule }, parent)),
        AdminOperation::SetQuota { level, quota, parent, .. } => Some((Change::SetQuota { level, quota }, parent)),
        AdminOperation::CreateTenant { .. }
        | AdminOperation::CreateCryptoSpace { .. }
        | AdminOperation::CreateKey { .. }
        | AdminOperation::AddVersion { .. }
        | AdminOperation::ImportKey { .. }
        | AdminOperation::ImportVersion { .. }
        | AdminOperation::CreateImportKey { .. }
        | AdminOperation::CreateAlias { .. }
        | AdminOperation::Grant { .. }
        | AdminOperation::EnableVersion { .. }
        | AdminOperation::RestoreVersion { .. }
        | AdminOperation::Enrol { .. }
        | AdminOperation::Revoke { .. }
        | AdminOperation::Approve(_)
        | AdminOperation::AddShard { .. }
        | AdminOperation::AddReplica { .. }
        | AdminOperation::Deny { .. }
        | AdminOperation::LiftDeny { .. } => None,
    }
}

fn adds(asked: &AdminOperation, action: &Action) -> bool {
    match (asked, action) {
        (AdminOperation::CreateTenant { tenant, shard, .. }, Action::PlaceTenant(place)) => {
            place.tenant == *tenant && shard.is_none_or(|chosen| chosen == place.shard)
        }
        (AdminOperation::CreateTenant { tenant, staleness, .. }, Action::CreateTenant(create)) => {
            create.tenant == *tenant && create.staleness == *staleness && create.policy.is_none()
        }
        (AdminOperation::CreateCryptoSpace { tenant, name }, Action::CreateCryptoSpace(create)) => {
            create.tenant == *tenant && create.name == *name
        }
        (AdminOperation::CreateKey { tenant, name, crypto_space, purpose }, Action::CreateKey(create)) => {
            create.version.origin == Origin::Generated && is_key(create, (tenant, name, crypto_space, *purpose))
        }
        (AdminOperation::ImportKey { tenant, name, crypto_space, purpose, material }, Action::CreateKey(create)) => {
            is_imported(create.version.origin, material) && is_key(create, (tenant, name, crypto_space, *purpose))
        }
        (AdminOperation::AddVersion { tenant, key }, Action::AddVersion(add)) => {
            add.version.origin == Origin::Generated && add.tenant == *tenant && add.key == *key
        }
        (AdminOperation::ImportVersion { tenant, key, material }, Action::AddVersion(add)) => {
            is_imported(add.version.origin, material) && add.tenant == *tenant && add.key == *key
        }
        (AdminOperation::CreateImportKey { tenant }, Action::CreateImportKey(create)) => create.tenant == *tenant,
        (AdminOperation::CreateAlias { tenant, version }, Action::CreateAlias(create)) => {
            create.tenant == *tenant && create.version == *version
        }
        (AdminOperation::Grant { tenant, level, rule }, Action::AddGrant(add)) => {
            add.tenant == *tenant && add.level == *level && add.rule == *rule
        }
        (AdminOperation::EnableVersion { tenant, version }, Action::StepVersion(step)) => {
            step.tenant == *tenant && step.version == *version && step.event == Event::Enable
        }
        (AdminOperation::RestoreVersion { tenant, version }, Action::StepVersion(step)) => {
            step.tenant == *tenant && step.version == *version && step.event == Event::Restore
        }
        (AdminOperation::Enrol { signer, public_key, roles, tenants }, Action::EnrolSigner(enrol)) => {
            let role = Role::Person { roles: roles.clone(), tenants: tenants.clone() };
            enrol.signer == *signer && enrol.public_key == *public_key && enrol.role == role
        }
        (AdminOperation::Revoke { signer }, Action::RevokeSigner(revoke)) => revoke.signer == *signer,
        (AdminOperation::AddShard { shard }, Action::AddShard(add)) => add.shard == *shard,
        (AdminOperation::AddReplica { replica, address, site, kind, standing }, Action::AddReplica(add)) => {
            add.replica == *replica
                && add.address == *address
                && add.site == *site
                && add.kind == *kind
                && add.standing == *standing
        }
        (AdminOperation::LiftDeny { tenant, entry }, Action::LiftDeny(lift)) => {
            lift.tenant == *tenant && lift.entry == *entry
        }
        _ => false,
    }
}

/// Whether a tenant is made in the shard that was chosen for it, if one was.
fn is_in_its_shard(asked: &AdminOperation, action: &Action, group: GroupId) -> bool {
    match (asked, action) {
        (AdminOperation::CreateTenant { shard: Some(chosen), .. }, Action::CreateTenant(_)) => chosen.group() == group,
        _ => true,
    }
}

type AskedKey<'a> = (&'a TenantId, &'a KeyName, &'a Option<CryptoSpaceName>, Purpose);

fn is_key(create: &CreateKey, (tenant, name, crypto_space, purpose): AskedKey<'_>) -> bool {
    create.tenant == *tenant
        && create.name == *name
        && create.crypto_space == *crypto_space
        && create.purpose == purpose
}

/// Whether material says that it came in as was asked.
fn is_imported(origin: Origin, material: &WrappedMaterial) -> bool {
    match origin {
        Origin::Imported { import_key, check_value } => {
            import_key == material.import_key && material.check_value.is_none_or(|stated| stated == check_value)
        }
        Origin::Generated => false,
    }
}

/// What a replica may do without an operator: go on with an adopted plan, look after the reserved tenant, count the time, and
/// destroy what was scheduled to be.
fn automatic(action: &Action) -> Result<(), Refusal> {
    let for_reserved = |tenant: &TenantId| {
        if tenant.as_str() == RESERVED_TENANT { Ok(()) } else { Err(Refusal::RequestMissing) }
    };
    match action {
        // a replica is added so only where there is none, see `replicas`
        Action::AdvanceStage(_) | Action::Tick(_) | Action::DestroyVersion(_) | Action::AddReplica(_) => Ok(()),
        Action::CreateTenant(create) => for_reserved(&create.tenant),
        Action::CreateKey(create) => for_reserved(&create.tenant),
        Action::ReservePath(reserve) => for_reserved(&reserve.tenant),
        // every cluster is founded with it
        Action::AddShard(add) if add.shard == ShardId::FIRST => Ok(()),
        Action::Genesis(_)
        | Action::PlaceTenant(_)
        | Action::CreateCryptoSpace(_)
        | Action::AddGrant(_)
        | Action::StepVersion(_)
        | Action::AdoptPlan(_)
        | Action::AddVersion(_)
        | Action::CreateAlias(_)
        | Action::CreateImportKey(_)
        | Action::EnrolSigner(_)
        | Action::RevokeSigner(_)
        | Action::AddShard(_)
        | Action::LiftDeny(_) => Err(Refusal::RequestMissing),
    }
}
