//! People: whose signatures count. A name and a key are used once, for ever, so that an old request can never be about
//! somebody else.

use std::collections::BTreeSet;

use crate::ids::{LogIndex, SignerId};
use crate::machine::command::{Command, EnrolSigner, RevokeSigner};
use crate::machine::outcome::{Effect, Refusal};
use crate::machine::roles::PersonRole;
use crate::machine::rows::{Role, Signer};
use crate::machine::state::{Draft, State};

/// Fewest security officers that must stay: what concerns one takes two.
pub const OFFICERS_MIN: usize = 2;

pub(super) fn enrol(draft: &mut Draft, enrol: &EnrolSigner, command: &Command) -> Result<Effect, Refusal> {
    let known = |what: &SignerId| Err(Refusal::PersonKnown { what: what.to_string() });
    if draft.state().row::<Signer>(&enrol.signer).is_some() {
        return known(&enrol.signer);
    }
    if let Some((owner, _)) = draft.state().signers().iter().find(|(_, row)| row.public_key == enrol.public_key) {
        return known(owner);
    }
    match &enrol.role {
        Role::Person { roles, .. } if !roles.is_empty() => {}
        Role::Person { .. } => return Err(Refusal::NoRole { signer: enrol.signer.clone() }),
        Role::Replica => return Err(Refusal::NotWhatWasAsked),
    }
    let row = Signer {
        public_key: enrol.public_key,
        role: enrol.role.clone(),
        revoked_at: None,
        enrolled_by: command.request.clone(),
        revoked_by: None,
    };
    draft.put(enrol.signer.clone(), row);
    Ok(Effect::SignerEnrolled)
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
    let gone = Signer { revoked_at: Some(index), revoked_by: command.request.clone(), ..row };
    draft.put(revoke.signer.clone(), gone);
    Ok(Effect::SignerRevoked)
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
