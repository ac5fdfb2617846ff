//! Deny entries: taken from two officers with or without a quorum, in force here at once, and lifted by an entry of group 0.

use std::sync::Arc;

use replication::denials::{self, BookError, Proven};
use replication::ids::GroupId;
use replication::machine::apply::authority;
use replication::machine::command::{Action, LiftDeny};
use replication::machine::deny::DenyEntry;
use replication::machine::outcome::Refusal;
use replication::machine::request::{AdminOperation, Request, SignedRequest};
use replication::machine::rows::Lift;

use super::answer::Answer;
use super::execute::ExecuteError;
use super::{KeyStore, Parts};

impl Parts {
    /// Has the directory know every entry that the book holds.
    pub(super) fn shut_out_here(&self) {
        let held = self.denials.held();
        let entries: Vec<DenyEntry> = held.values().map(|proven| proven.entry.clone()).collect();
        self.directory.deny(&entries, self.clock.wall());
    }
}

impl KeyStore {
    /// Passes entries on to the other key stores and has the directory know those that come from them, until the future is dropped.
    pub async fn pass_denials_on(self: Arc<Self>) {
        let here = async {
            let mut held = self.parts.denials.watch();
            loop {
                self.parts.shut_out_here();
                if held.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::join!(here, denials::keep(Arc::clone(&self.parts.denials), Arc::clone(self.system())));
    }

    /// Shuts somebody out by the word of two officers, as far as this replica knows them. Asks nobody.
    pub(super) async fn deny(&self, asked: SignedRequest) -> Result<Answer, ExecuteError> {
        let (book, system) = (Arc::clone(&self.parts.denials), self.system_state());
        let taking = tokio::task::spawn_blocking(move || book.take(&system, asked));
        let taken = match taking.await.map_err(|_| ExecuteError::Unexpected)? {
            Ok(taken) => taken,
            Err(BookError::Refused(refusal)) => return Err(refusal.into()),
            Err(error @ BookError::Store { .. }) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a deny entry is not kept");
                return Err(ExecuteError::NotStored(error));
            }
        };
        self.parts.shut_out_here();
        Ok(Answer { repeated: taken.is_known, deny_entry: Some(taken.entry.id), ..Answer::default() })
    }

    /// Lets somebody in again.
    pub(super) async fn lift_deny(&self, asked: &SignedRequest, request: &Request) -> Result<Answer, ExecuteError> {
        let AdminOperation::LiftDeny { tenant, entry, expires_at } = authority::effective(request)? else {
            return Err(ExecuteError::Unexpected);
        };
        let held = self.parts.denials.held();
        let is_this = |proven: &Proven| proven.entry.tenant == tenant && proven.entry.expires_at == expires_at;
        let is_lifted = self.system_state().row::<Lift>(&entry).is_some();
        if !is_lifted && !held.get(&entry).is_some_and(is_this) {
            return Err(Refusal::UnknownDeny { tenant, entry }.into());
        }
        let action = Action::LiftDeny(LiftDeny { tenant, entry, expires_at });
        let order = self.completed(GroupId::SYSTEM, request.idempotency_id, asked, action);
        let done = self.parts.propose(self.parts.host.system(), order).await?;
        let made = Answer { repeated: done.repeated, index: done.index, deny_entry: Some(entry), ..Answer::default() };
        Ok(self.in_use(made, &[(GroupId::SYSTEM, done.index)]).await)
    }
}
