//! Deny entries: taken from two officers with or without a quorum, in force here at once, and lifted by an entry of group 0.

use std::io;
use std::path::Path;
use std::sync::Arc;

use replication::clock::Clock;
use replication::deny_entries::list::standing;
use replication::deny_entries::{BookError, BroughtBy, DenyBook};
use replication::freshness::deny::Force;
use replication::ids::{DenyId, GroupId, TenantId};
use replication::machine::apply::authority;
use replication::machine::command::{Action, LiftDeny};
use replication::machine::deny::DenyEntry;
use replication::machine::policy::{Policy, Principal, Subject};
use replication::machine::request::{AdminOperation, Request, SignedRequest};
use replication::machine::rows::{Key, Tenant};
use replication::machine::state::State;
use replication::raft::host::Host;

use super::answer::Answer;
use super::execute::ExecuteError;
use super::{KeyStore, Parts};

/// In a replica's data folder: whom officers shut out.
pub const DENY_ENTRIES_FOLDER: &str = "deny-entries";

/// Whom officers shut out, as it lies in a replica's data folder, as far as its group 0 proves it.
///
/// # Errors
/// When the entries are there and cannot be read.
pub fn open_deny_entries(host: &Host, data_dir: &Path, clock: Arc<dyn Clock>) -> io::Result<Arc<DenyBook>> {
    let system = host.system().watch().borrow().state.clone();
    DenyBook::open(data_dir.join(DENY_ENTRIES_FOLDER), clock, &system).map(Arc::new)
}

impl Parts {
    /// Has the directory know every entry that the book holds.
    pub(super) fn shut_out_here(&self) {
        let held = self.deny_entries.entries();
        let entries: Vec<DenyEntry> = held.values().map(|proven| proven.entry.clone()).collect();
        self.directory.deny(&entries, self.clock.wall());
    }
}

impl KeyStore {
    /// Has the directory know the entries that come from other key stores, until the future is dropped.
    pub async fn take_in_deny_entries(self: Arc<Self>) {
        let mut held = self.parts.deny_entries.watch();
        loop {
            self.parts.shut_out_here();
            if held.changed().await.is_err() {
                return;
            }
        }
    }

    /// Shuts somebody out by the word of two officers, as far as this replica knows them. Asks nobody.
    pub(super) async fn deny(&self, asked: SignedRequest) -> Result<Answer, ExecuteError> {
        let system = self.system_state();
        let taken = match self.parts.deny_entries.take(&system, asked, BroughtBy::Officers).await {
            Ok(taken) => taken,
            Err(BookError::Refused(refusal)) => return Err(refusal.into()),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a deny entry of two officers is not kept");
                return Err(ExecuteError::NotStored(error));
            }
        };
        self.parts.shut_out_here();
        let (entry, note) = (taken.proven.entry.id, self.in_vain(&taken.proven.entry));
        Ok(Answer { repeated: taken.is_known, deny_entry: Some(entry), note, ..Answer::default() })
    }

    /// Why an entry perhaps shuts out nobody, as far as this replica knows the tenant.
    fn in_vain(&self, entry: &DenyEntry) -> Option<String> {
        let state = self.shard_of(&entry.tenant).ok()?.state();
        let (tenant, subject) = (&entry.tenant, &entry.subject);
        let is_known = match subject {
            Subject::Key(name) => state.row::<Key>(&(tenant.clone(), name.clone())).is_some(),
            Subject::Caller(caller) => is_named(&state, tenant, &Principal::ServiceAccount(caller.clone())),
        };
        (!is_known).then(|| {
            let seen = match subject {
                Subject::Key(_) => "has no such key",
                Subject::Caller(_) => "has no rule that names it",
            };
            format!("tenant {tenant} {seen}, so {subject} may not be whom you meant: compare the spelling")
        })
    }

    /// Other entries that still shut the same out.
    fn still_shut_out(&self, lifted: DenyId) -> Option<String> {
        let (entries, system, now) = (self.parts.deny_entries.entries(), self.system_state(), self.parts.clock.wall());
        let lifted = &entries.get(&lifted)?.entry;
        let is_another = |other: &&DenyEntry| {
            other.id != lifted.id
                && other.tenant == lifted.tenant
                && other.subject == lifted.subject
                && standing(other, Some(&system), now) != Force::Over
        };
        let others: Vec<String> =
            entries.values().map(|proven| &proven.entry).filter(is_another).map(|other| other.id.to_string()).collect();
        (!others.is_empty()).then(|| format!("{} is shut out still, by: {}", lifted.subject, others.join(", ")))
    }

    /// Lets somebody in again. Whether anybody knows the entry does not matter: some frontend may.
    pub(super) async fn lift_deny(&self, asked: &SignedRequest, request: &Request) -> Result<Answer, ExecuteError> {
        let AdminOperation::LiftDeny { tenant, entry } = authority::effective(request)? else {
            return Err(ExecuteError::Unexpected);
        };
        let action = Action::LiftDeny(LiftDeny { tenant, entry });
        let order = self.completed(GroupId::SYSTEM, request.idempotency_id, asked, action);
        let done = self.parts.propose(self.parts.host.system(), order).await?;
        let (repeated, index, note) = (done.repeated, done.index, self.still_shut_out(entry));
        let made = Answer { repeated, index, deny_entry: Some(entry), note, ..Answer::default() };
        Ok(self.in_use(made, &[(GroupId::SYSTEM, done.index)]).await)
    }
}

/// Whether a rule at any level of a tenant names a caller.
fn is_named(state: &State, tenant: &TenantId, caller: &Principal) -> bool {
    let names = |policy: Option<&Policy>| {
        policy
            .is_some_and(|policy| policy.grants.iter().chain(&policy.denies).any(|rule| rule.callers.contains(caller)))
    };
    names(state.row::<Tenant>(tenant).and_then(|row| row.policy.as_ref()))
        || state.crypto_spaces_of(tenant).any(|(_, row)| names(row.policy.as_ref()))
        || state.keys_of(tenant).any(|(_, row)| names(row.policy.as_ref()))
}
