//! Passing deny entries on: every key store offers what it holds to all the others, again and again, and gives what they lack.
//!
//! Nobody leads. A replica that was away hears of an entry within [`OFFER_EVERY`] of its return, from whoever has it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::book::{BookError, DenyBook, Held};
use crate::ids::{DenyId, ReplicaId};
use crate::machine::signed::SignedRequest;
use crate::machine::state::State;
use crate::raft::carrying::AskError;
use crate::raft::group::Group;

/// How often everything is offered again.
const OFFER_EVERY: Duration = Duration::from_secs(5);

/// What one key store says to another.
#[derive(Debug, Serialize, Deserialize)]
enum Said {
    /// These are held.
    Offer(Vec<DenyId>),
    /// One of them, with what proves it.
    Give(SignedRequest),
}

/// What it hears back.
#[derive(Debug, Serialize, Deserialize)]
enum Heard {
    /// These are not known.
    Wants(Vec<DenyId>),
    /// It is held there now.
    Taken,
    /// It is not, and why.
    Refused(String),
}

/// Passes entries on to the other members of group 0 and forgets those that have ended, until the future is dropped.
pub async fn keep(book: Arc<DenyBook>, system: Arc<Group>) {
    let mut held = book.watch();
    let mut refused = BTreeSet::new();
    loop {
        let state = system.watch().borrow().state.clone();
        let pruned = Arc::clone(&book);
        if spawn_blocking(move || pruned.prune(&state)).await.is_err() {
            tracing::error!("deny entries that have ended could not be looked for");
        }
        let known = Arc::clone(&held.borrow_and_update());
        if !known.is_empty() {
            let others = system.others();
            let told = join_all(others.into_iter().map(|other| offer(&system, other, &known))).await;
            tell_new(&mut refused, told.into_iter().flatten().collect());
        }
        tokio::select! {
            // the book lives as long as this runs
            _ = held.changed() => {}
            () = tokio::time::sleep(OFFER_EVERY) => {}
        }
    }
}

/// What a replica refused, and why.
type Refused = (ReplicaId, DenyId, String);

/// Says once what is refused, for as long as it is.
fn tell_new(known: &mut BTreeSet<Refused>, refused: BTreeSet<Refused>) {
    for (replica, entry, why) in refused.difference(known) {
        tracing::error!(%replica, %entry, why, "a key store does not take a deny entry, so those whom it feeds may serve whom it shuts out");
    }
    *known = refused;
}

/// Offers a replica everything, and gives it what it lacks. One that is away is offered it again later.
async fn offer(system: &Group, to: ReplicaId, held: &Held) -> Vec<Refused> {
    let mut refused = Vec::new();
    let Ok(Heard::Wants(wanted)) = say(system, to, &Said::Offer(held.keys().copied().collect())).await else {
        return refused;
    };
    for proven in wanted.into_iter().filter_map(|id| held.get(&id)) {
        match say(system, to, &Said::Give(proven.proof.clone())).await {
            Ok(Heard::Refused(why)) => refused.push((to, proven.entry.id, why)),
            Ok(Heard::Taken | Heard::Wants(_)) => {}
            Err(_) => return refused,
        }
    }
    refused
}

async fn say(system: &Group, to: ReplicaId, said: &Said) -> Result<Heard, AskError> {
    let body = postcard::to_stdvec(said).expect("what is said holds nothing that postcard refuses");
    let heard = system.tell(to, body).await.inspect_err(|error| {
        tracing::debug!(replica = %to, error = error as &dyn std::error::Error, "deny entries cannot be passed on to a key store");
    })?;
    postcard::from_bytes(&heard).map_err(|_| AskError::Undecodable)
}

impl DenyBook {
    /// Answers another key store, by what group 0's state says here; `None` if its words are not understood.
    pub(crate) async fn answer(self: Arc<Self>, system: State, body: &[u8]) -> Option<Vec<u8>> {
        let heard = match postcard::from_bytes(body).ok()? {
            Said::Offer(offered) => Heard::Wants(self.wanted(&system, offered)),
            Said::Give(proof) => match spawn_blocking(move || self.take(&system, proof)).await {
                Ok(Ok(_)) => Heard::Taken,
                Ok(Err(error @ BookError::Store { .. })) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "a deny entry of another key store is not kept"
                    );
                    Heard::Refused(error.to_string())
                }
                Ok(Err(error @ BookError::Refused(_))) => Heard::Refused(error.to_string()),
                Err(_) => Heard::Refused("it could not be looked at".to_owned()),
            },
        };
        postcard::to_stdvec(&heard).ok()
    }
}
