//! Passing deny entries on: every key store offers what it holds to each of the others, again and again, and gives what they lack.
//!
//! Nobody leads, and nobody waits for one that is slow. A replica that was away hears of an entry within [`OFFER_EVERY`] of its return,
//! from whoever has it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::book::{BookError, BroughtBy, DenyBook};
use crate::ids::{DenyId, ReplicaId};
use crate::machine::outcome::Refusal;
use crate::machine::signed::SignedRequest;
use crate::machine::state::State;
use crate::raft::carrying::AskError;
use crate::raft::group::Group;

/// How often everything is offered again.
const OFFER_EVERY: Duration = Duration::from_secs(5);
/// How long a start waits for the others' entries.
const ASK_WAIT_MAX: Duration = Duration::from_secs(3);
/// The pause before a replica that is away is asked again.
const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// Entries in one offer.
const OFFERED_MAX: usize = 1024;
/// How often in a row an entry is refused before it is told: a replica that has just joined does not know the officers yet.
const TOLD_AFTER: u32 = 6;

/// What one key store says to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Said {
    /// These are held.
    Offer(Vec<DenyId>),
    /// One of them, with what proves it.
    Give(SignedRequest),
    /// Which are held there?
    Ask,
    /// Give this one.
    Want(DenyId),
}

/// What it hears back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Heard {
    /// These are not known.
    Wants(Vec<DenyId>),
    /// It is held there now.
    Taken,
    /// It is not, and why.
    Refused(Refusal),
    /// It is not, since the disk there does not take it.
    NotStored,
    /// These are held.
    Holds(Vec<DenyId>),
    /// This is one of them, with what proves it.
    Given(SignedRequest),
    /// It is not held any more.
    Gone,
}

/// Passes entries on to the other members of group 0 and forgets those that are done, until the future is dropped.
pub async fn keep(book: Arc<DenyBook>, system: Arc<Group>) {
    let (mut passing, mut known) = (JoinSet::new(), BTreeSet::new());
    loop {
        let state = system.watch().borrow().state.clone();
        book.forget(&state).await;
        for other in system.others() {
            if known.insert(other) {
                passing.spawn(pass_on(Arc::clone(&book), Arc::clone(&system), other));
            }
        }
        tokio::select! {
            Some(ended) = passing.join_next() => match ended {
                Ok(other) => drop(known.remove(&other)),
                Err(error) => {
                    tracing::error!(%error, "what passes deny entries on to a key store panicked; all are begun again");
                    passing.shutdown().await;
                    known.clear();
                }
            },
            () = tokio::time::sleep(OFFER_EVERY) => {}
        }
    }
}

/// Asks all other members for what they hold, before anybody is fed: whoever was away must not serve somebody who was shut out
/// meanwhile. Ends when all have answered and what they gave is taken, or after three seconds.
pub async fn catch_up(book: &Arc<DenyBook>, system: &Group) {
    let asking = system.others().into_iter().map(|other| ask(book, system, other));
    if timeout(ASK_WAIT_MAX, join_all(asking)).await.is_err() {
        tracing::warn!(
            "not all key stores have said whom officers shut out, or it cannot be verified here yet: whoever was shut out while this one was away \
             may be served by its frontends for a moment"
        );
    }
}

/// Takes from one replica what it holds and this one does not. One that is away is asked again, and what cannot be verified yet is
/// looked at again: group 0 may just be learning of the tenant, or of an officer.
async fn ask(book: &Arc<DenyBook>, system: &Group, from: ReplicaId) {
    loop {
        let state = system.watch().borrow().state.clone();
        match take_from(book, system, &state, from).await {
            Ok(true) => return,
            Ok(false) | Err(_) => tokio::time::sleep(AGAIN_AFTER).await,
        }
    }
}

/// Whether all that the replica holds is held here.
async fn take_from(book: &Arc<DenyBook>, system: &Group, state: &State, from: ReplicaId) -> Result<bool, AskError> {
    let Heard::Holds(held) = say(system, from, &Said::Ask).await? else { return Err(AskError::Undecodable) };
    if state.meta().is_none() {
        return Ok(held.is_empty());
    }
    let mut is_all = true;
    for id in book.wanted(state, held) {
        let Heard::Given(proof) = say(system, from, &Said::Want(id)).await? else { continue };
        match book.take(state, proof, BroughtBy::KeyStore).await {
            Ok(_) | Err(BookError::Refused(Refusal::DenyLifted { .. })) => {}
            Err(error) => {
                tracing::debug!(replica = %from, entry = %id, %error, "a deny entry of another key store is not kept yet");
                is_all = false;
            }
        }
    }
    Ok(is_all)
}

/// Passes entries on to one replica for as long as it is a member.
async fn pass_on(book: Arc<DenyBook>, system: Arc<Group>, to: ReplicaId) -> ReplicaId {
    let (mut entries, mut refused) = (book.watch(), BTreeMap::new());
    while system.others().contains(&to) {
        entries.mark_unchanged();
        let state = system.watch().borrow().state.clone();
        let certain = book.certain(&state);
        for offered in certain.chunks(OFFERED_MAX) {
            match offer(&book, &system, to, offered.to_vec()).await {
                Ok(told) => tell(&mut refused, to, told),
                // it is away, and offered all again
                Err(_) => break,
            }
        }
        tokio::select! {
            // the book lives as long as this runs
            _ = entries.changed() => {}
            () = tokio::time::sleep(OFFER_EVERY) => {}
        }
    }
    to
}

/// Counts how often in a row entries are refused, and says once which are not taken.
fn tell(refused: &mut BTreeMap<DenyId, u32>, replica: ReplicaId, heard: Vec<(DenyId, Heard)>) {
    for (entry, heard) in heard {
        let why = match heard {
            Heard::Taken | Heard::Wants(_) | Heard::Holds(_) | Heard::Given(_) | Heard::Gone => {
                refused.remove(&entry);
                continue;
            }
            // it is about to hear of the lift itself
            Heard::Refused(Refusal::DenyLifted { .. }) => continue,
            Heard::Refused(refusal) => refusal.to_string(),
            Heard::NotStored => "its disk does not store it".to_owned(),
        };
        let times = refused.entry(entry).or_insert(0);
        *times = times.saturating_add(1);
        if *times == TOLD_AFTER {
            tracing::error!(%replica, %entry, why, "a key store does not take a deny entry: frontends that it feeds may serve whom it shuts out");
        }
    }
}

/// Offers a replica these entries, and gives it what it lacks; says what became of each.
async fn offer(
    book: &DenyBook,
    system: &Group,
    to: ReplicaId,
    offered: Vec<DenyId>,
) -> Result<Vec<(DenyId, Heard)>, AskError> {
    let Heard::Wants(wanted) = say(system, to, &Said::Offer(offered)).await? else {
        return Err(AskError::Undecodable);
    };
    let entries = book.entries();
    let mut told = Vec::new();
    for proven in wanted.into_iter().filter_map(|id| entries.get(&id)) {
        told.push((proven.entry.id, say(system, to, &Said::Give(proven.proof.clone())).await?));
    }
    Ok(told)
}

async fn say(system: &Group, to: ReplicaId, said: &Said) -> Result<Heard, AskError> {
    let body = postcard::to_stdvec(said).expect("what is said holds nothing that postcard refuses");
    let heard = system.tell(to, body).await.inspect_err(|error| {
        tracing::debug!(replica = %to, error = error as &dyn std::error::Error, "deny entries cannot be passed on to a key store");
    })?;
    postcard::from_bytes(&heard).map_err(|_| AskError::Undecodable)
}

/// Answers other key stores, and tells once that this one's disk fails.
pub struct Answering {
    book: Arc<DenyBook>,
    is_told: AtomicBool,
}

impl Answering {
    /// By this book.
    pub const fn new(book: Arc<DenyBook>) -> Self {
        Self { book, is_told: AtomicBool::new(false) }
    }

    /// The answer, by what group 0's state says here; `None` if the words are not understood.
    pub(crate) async fn answer(&self, system: &State, body: &[u8]) -> Option<Vec<u8>> {
        let heard = match postcard::from_bytes(body).ok()? {
            Said::Offer(offered) => Heard::Wants(self.book.wanted(system, offered)),
            Said::Give(proof) => self.take(system, proof).await,
            Said::Ask => Heard::Holds(self.book.certain(system)),
            Said::Want(id) => self.book.find(&id).map_or(Heard::Gone, |proven| Heard::Given(proven.proof.clone())),
        };
        postcard::to_stdvec(&heard).ok()
    }

    async fn take(&self, system: &State, proof: SignedRequest) -> Heard {
        match self.book.take(system, proof, BroughtBy::KeyStore).await {
            Ok(_) => {
                self.is_told.store(false, Ordering::Relaxed);
                Heard::Taken
            }
            Err(BookError::Refused(refusal)) => Heard::Refused(refusal),
            Err(error) => {
                if !self.is_told.swap(true, Ordering::Relaxed) {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "a deny entry of another key store is not kept"
                    );
                }
                Heard::NotStored
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_key_stores_say_to_each_other_is_laid_out_as_it_always_was() {
        let id = DenyId::from_bytes([0xab; 16]);
        let proof =
            SignedRequest { bytes: vec![1, 2], signer: "ann".parse().expect("a legal name"), signature: vec![3] };
        let given = [2, 1, 2, 3, b'a', b'n', b'n', 1, 3];
        let said = [
            (Said::Offer(vec![id]), [&[0, 1][..], &[0xab; 16]].concat()),
            (Said::Give(proof.clone()), [&[1][..], &given].concat()),
            (Said::Ask, vec![2]),
            (Said::Want(id), [&[3][..], &[0xab; 16]].concat()),
        ];
        for (said, bytes) in said {
            assert_eq!(postcard::to_stdvec(&said).ok().as_ref(), Some(&bytes));
            assert_eq!(postcard::from_bytes(&bytes), Ok(said));
        }
        let heard = [
            (Heard::Wants(vec![id]), [&[0, 1][..], &[0xab; 16]].concat()),
            (Heard::Taken, vec![1]),
            (Heard::Refused(Refusal::NoGenesis), vec![2, 0]),
            (Heard::NotStored, vec![3]),
            (Heard::Holds(vec![id]), [&[4, 1][..], &[0xab; 16]].concat()),
            (Heard::Given(proof), [&[5][..], &given].concat()),
            (Heard::Gone, vec![6]),
        ];
        for (heard, bytes) in heard {
            assert_eq!(postcard::to_stdvec(&heard).ok().as_ref(), Some(&bytes));
            assert_eq!(postcard::from_bytes(&bytes), Ok(heard));
        }
    }

    #[test]
    fn a_refusal_counts_only_while_it_goes_on() {
        let (entry, replica) = (DenyId::from_bytes([1; 16]), ReplicaId(2));
        let mut refused = BTreeMap::new();
        let no = || vec![(entry, Heard::Refused(Refusal::NoGenesis))];
        (1..TOLD_AFTER).for_each(|_| tell(&mut refused, replica, no()));
        assert_eq!(refused.get(&entry), Some(&(TOLD_AFTER - 1)));
        tell(&mut refused, replica, vec![(entry, Heard::Taken)]);
        assert!(refused.is_empty());
    }
}
