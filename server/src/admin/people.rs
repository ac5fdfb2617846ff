//! Who is enrolled, as group 0 knows it. For those whose role lets them look at people; replicas are not among them.

use std::ops::Bound;

use replication::ids::SignerId;
use replication::machine::outcome::Refusal;
use replication::machine::rows::{Role, Signer};
use replication::machine::state::State;

use super::failure::not_done;
use super::pages::{PageAsked, cut};
use super::wire::{FailureBody, Page, PersonBody};

pub(super) fn people(state: &State, asked: &PageAsked) -> Result<Page<PersonBody>, FailureBody> {
    let list = "operators";
    let from = asked.after::<SignerId>(list)?.map_or(Bound::Unbounded, Bound::Excluded);
    let people = state.signers().range((from, Bound::Unbounded));
    Ok(cut(list, asked.size(), people.filter_map(|(name, row)| Some((name, body(name, row)?)))))
}

pub(super) fn person(state: &State, name: &SignerId) -> Result<PersonBody, FailureBody> {
    let found = state.row::<Signer>(name).and_then(|row| body(name, row));
    found.ok_or_else(|| not_done(&Refusal::UnknownPerson { signer: name.clone() }.into()))
}

fn body(name: &SignerId, row: &Signer) -> Option<PersonBody> {
    let Role::Person { roles, tenants } = &row.role else { return None };
    Some(PersonBody {
        name: name.clone(),
        public_key: row.public_key,
        roles: roles.clone(),
        tenants: tenants.clone(),
        is_revoked: row.revoked_at.is_some(),
    })
}
