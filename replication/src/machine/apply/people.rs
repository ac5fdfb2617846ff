//! People: whose signatures count. A name and a key are used once, for ever, so that an old request can never be about
//! somebody else.

use std::collections::BTreeSet;

use crate::ids::{LogIndex, SignerId, TenantId};
use crate::machine::command::{Command, EnrolSigner, RevokeSigner};
use crate::machine::outcome::{Effect, Refusal};
use crate::machine::roles::PersonRole;
use crate::machine::rows::{Role, Signer};
use crate::machine::signing;
use crate::machine::state::{Draft, State};

/// Fewest security officers that must stay: what concerns one takes two.
pub const OFFICERS_MIN: usize = 2;

/// Most tenants in one person's reach.
pub const REACH_MAX: usize = 64;
/// Largest request that enrols, in bytes: with the reach and the request that revokes, a person's row stays under 16 KiB, so that
/// nobody can be enrolled who cannot be revoked.
pub(super) const ENROL_BYTES_MAX: usize = 7 * 1024;
/// Largest request that revokes, in bytes.
const REVOKE_BYTES_MAX: usize = 4 * 1024;

pub(super) fn enrol(draft: &mut Draft, enrol: &EnrolSigner, command: &Command) -> Result<Effect, Refusal> {
    if enrol.role == Role::Replica {
        return Err(Refusal::NotWhatWasAsked);
    }
    let row = Signer {
        public_key: enrol.public_key,
        role: enrol.role.clone(),
        revoked_at: None,
        enrolled_by: command.request.clone(),
        revoked_by: None,
    };
    is_new(draft, &enrol.signer, &row)?;
    proof_fits(command, ENROL_BYTES_MAX)?;
    draft.put(enrol.signer.clone(), row);
    Ok(Effect::SignerEnrolled)
}

/// Whether name and key were never used, the key is somebody's own, and the role is one that a signer can have.
pub(super) fn is_new(draft: &Draft, signer: &SignerId, row: &Signer) -> Result<(), Refusal> {
    let known = |what: &SignerId| Err(Refusal::PersonKnown { what: what.to_string() });
    if draft.state().row::<Signer>(signer).is_some() {
        return known(signer);
    }
    if let Some((owner, _)) = draft.state().signers().iter().find(|(_, other)| other.public_key == row.public_key) {
        return known(owner);
    }
    if signing::is_anybodys(&row.public_key) {
        return Err(Refusal::AnybodysKey { signer: signer.clone() });
    }
    match &row.role {
        Role::Replica => Ok(()),
        Role::Person { roles, .. } if roles.is_empty() => Err(Refusal::NoRole { signer: signer.clone() }),
        Role::Person { tenants, .. } => tenants.as_ref().map_or(Ok(()), |reach| check_reach(signer, reach)),
    }
}

pub(super) fn revoke(
    draft: &mut Draft,
    revoke: &RevokeSigner,
    command: &Command,
    index: LogIndex,
) -> Result<Effect, Refusal> {
    let row = person(draft.state(), &revoke.signer)?.clone();
    if is_officer(&row.role) {
        let left = officers(draft.state()).saturating_sub(1);
        if left < OFFICERS_MIN {
            return Err(Refusal::TooFewOfficers { left });
        }
    }
    proof_fits(command, REVOKE_BYTES_MAX)?;
    let gone = Signer { revoked_at: Some(index), revoked_by: command.request.clone(), ..row };
    draft.put(revoke.signer.clone(), gone);
    Ok(Effect::SignerRevoked)
}

fn check_reach(signer: &SignerId, reach: &BTreeSet<TenantId>) -> Result<(), Refusal> {
    match reach.len() {
        0 => Err(Refusal::NoReach { signer: signer.clone() }),
        1..=REACH_MAX => Ok(()),
        count => Err(Refusal::TooMany {
            owner: signer.to_string(),
            what: "tenants in reach".to_owned(),
            count,
            remedy: format!("name at most {REACH_MAX}, or none to reach all of them"),
        }),
    }
}

/// The request is kept with the person.
pub(super) fn proof_fits(command: &Command, bytes_max: usize) -> Result<(), Refusal> {
    match command.request.as_ref().map_or(0, |request| request.bytes.len()) {
        bytes if bytes > bytes_max => {
            Err(Refusal::TooLarge { what: "a request about a person or a replica".to_owned(), bytes, bytes_max })
        }
        _ => Ok(()),
    }
}

/// A person whose signatures count.
pub(super) fn person<'a>(state: &'a State, signer: &SignerId) -> Result<&'a Signer, Refusal> {
    match state.row::<Signer>(signer).map(AsRef::as_ref) {
        Some(row @ Signer { role: Role::Person { .. }, revoked_at: None, .. }) => Ok(row),
        Some(_) | None => Err(Refusal::UnknownPerson { signer: signer.clone() }),
    }
}

/// Whether a role is that of a security officer, so that what concerns them takes two.
pub(super) fn is_officer(role: &Role) -> bool {
    match role {
        Role::Person { roles, .. } => holds_office(roles),
        Role::Replica => false,
    }
}

pub(super) fn holds_office(roles: &BTreeSet<PersonRole>) -> bool {
    roles.contains(&PersonRole::SecurityOfficer)
}

fn officers(state: &State) -> usize {
    state.signers().values().filter(|row| row.revoked_at.is_none() && is_officer(&row.role)).count()
}
