//! Whom officers shut out, as this replica holds it. For those who look at tenants or at people, as far as their reach goes.

use replication::clock::Timestamp;
use replication::deny_entries::DenyBook;
use replication::deny_entries::list::standing;
use replication::freshness::deny::Force;
use replication::ids::{DenyId, TenantId};
use replication::machine::deny::Proven;
use replication::machine::outcome::Refusal;
use replication::machine::rows::Placement;
use replication::machine::state::State;

use super::failure::not_done;
use super::pages::{PageAsked, cut};
use super::person::Person;
use super::wire::{DenyEntryBody, FailureBody, Page};

/// The entries of a tenant that hold, perhaps or for certain.
pub(super) fn deny_entries(
    (book, system, now): (&DenyBook, &State, Timestamp),
    tenant: &TenantId,
    asked: &PageAsked,
    person: &Person,
) -> Result<Page<DenyEntryBody>, FailureBody> {
    let list = "deny-entries";
    if system.row::<Placement>(tenant).is_none() || !person.has_in_reach(tenant) {
        return Err(not_done(&Refusal::UnknownTenant { tenant: tenant.clone() }.into()));
    }
    let after = asked.after::<DenyId>(list)?;
    let held = book.entries();
    let of_tenant = held.iter().filter(|(id, proven)| {
        proven.entry.tenant == *tenant
            && standing(&proven.entry, Some(system), now) != Force::Over
            && after.is_none_or(|after| **id > after)
    });
    Ok(cut(list, asked.size(), of_tenant.map(|(id, proven)| (*id, body(proven)))))
}

fn body(proven: &Proven) -> DenyEntryBody {
    let entry = proven.entry.clone();
    DenyEntryBody {
        entry: entry.id,
        tenant: entry.tenant,
        subject: entry.subject,
        expires_at: entry.expires_at,
        asked_by: proven.asked_by.clone(),
        approved_by: proven.proof.signer.clone(),
    }
}
