//! Whom officers shut out, as this replica holds it. For those who look at tenants or at people, as far as their reach goes.

use replication::denials::{DenyBook, Proven};
use replication::ids::{DenyId, TenantId};
use replication::machine::apply::authority;
use replication::machine::outcome::Refusal;
use replication::machine::request::AdminOperation;
use replication::machine::rows::{Lift, Placement};
use replication::machine::state::State;

use super::failure::not_done;
use super::pages::{PageAsked, cut};
use super::person::Person;
use super::wire::{DenialBody, FailureBody, Page};

/// The entries of a tenant that hold.
pub(super) fn denials(
    (book, system): (&DenyBook, &State),
    tenant: &TenantId,
    asked: &PageAsked,
    person: &Person,
) -> Result<Page<DenialBody>, FailureBody> {
    let list = "denials";
    if system.row::<Placement>(tenant).is_none() || !person.has_in_reach(tenant) {
        return Err(not_done(&Refusal::UnknownTenant { tenant: tenant.clone() }.into()));
    }
    let after = asked.after::<DenyId>(list)?;
    let held = book.held();
    let of_tenant = held.iter().filter(|(id, proven)| {
        let is_lifted = system.row::<Lift>(id).is_some();
        proven.entry.tenant == *tenant && !is_lifted && after.is_none_or(|after| **id > after)
    });
    Ok(cut(list, asked.size(), of_tenant.filter_map(|(id, proven)| Some((*id, body(proven)?)))))
}

fn body(proven: &Proven) -> Option<DenialBody> {
    // it was read when the entry was taken
    let AdminOperation::Approve(consent) = authority::parse_request(&proven.proof.bytes).ok()?.operation else {
        return None;
    };
    let entry = proven.entry.clone();
    Some(DenialBody {
        entry: entry.id,
        tenant: entry.tenant,
        subject: entry.subject,
        expires_at: entry.expires_at,
        asked_by: consent.signer,
        approved_by: proven.proof.signer.clone(),
    })
}
