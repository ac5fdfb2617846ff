//! When each missing `kid` was first missed, so that "unknown" becomes final only on an answer asked for later.
//!
//! Strangers choose what is written here, so it is bounded, and forgetting is always the safe side: a `kid` that was
//! forgotten, or missed in another set of keys, is missed anew and answered 503 once more. Never touched for a known `kid`.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use replication::clock::Moment;

use super::keyset::{KeySet, Provenance};
use super::token::Kid;

/// Most missing `kid`s remembered; the one first missed is forgotten first.
pub const SIGHTINGS_MAX: usize = 1024;

/// What a missing `kid` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The issuer does not publish it.
    ForGood,
    /// The set at hand may be older than the key.
    Perhaps,
}

/// The missing `kid`s of late.
#[derive(Debug, Default)]
pub struct Sightings(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    first_missed: HashMap<Kid, Sighting>,
    order: VecDeque<Kid>,
}

#[derive(Debug, Clone, Copy)]
struct Sighting {
    at: Moment,
    epoch: u64,
}

impl Sightings {
    /// Judges a `kid` that `keys` does not hold, and remembers it if the judgement is open.
    ///
    /// A sighting counts only under the keys it was made under: caches in front of an issuer may show a new key, then
    /// the older set, and then again the new one. So absence is final when two answers with the same keys lack the
    /// `kid`, the second asked for after it was missed.
    pub fn judge(&self, kid: &Kid, keys: &KeySet, now: Moment) -> Missing {
        if keys.provenance() == Provenance::File {
            return Missing::ForGood; // there is nothing newer to wait for
        }
        let mut memory = self.0.lock();
        let sighting = memory.first_missed(kid, keys.epoch(), now);
        if keys.is_current(now) && keys.was_fetched_after(sighting.at) { Missing::ForGood } else { Missing::Perhaps }
    }

    /// How many are remembered.
    pub fn count(&self) -> usize {
        self.0.lock().first_missed.len()
    }
}

impl Memory {
    fn first_missed(&mut self, kid: &Kid, epoch: u64, now: Moment) -> Sighting {
        let fresh = Sighting { at: now, epoch };
        if let Some(known) = self.first_missed.get_mut(kid) {
            if known.epoch != epoch {
                *known = fresh;
            }
            return *known;
        }
        if self.order.len() == SIGHTINGS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.first_missed.remove(&oldest);
        }
        self.order.push_back(kid.clone());
        self.first_missed.insert(kid.clone(), fresh);
        fresh
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::authn::keyset::Keys;
    use crate::authn::testing;

    fn at(seconds: u64) -> Moment {
        Moment::since_origin(Duration::from_secs(seconds))
    }

    fn set(epoch: u64, fetched_at: u64, provenance: Provenance) -> KeySet {
        let keys = Keys::parse(testing::jwks().as_bytes()).expect("the test issuer's set parses");
        KeySet::new(keys, epoch, at(fetched_at), provenance)
    }

    fn kid(text: &str) -> Kid {
        Kid::parse(text).expect("the test names legal ids")
    }

    #[test]
    fn a_missing_kid_is_final_only_once_a_later_answer_with_the_same_keys_lacks_it() {
        let fetched = Provenance::Fetched { lifetime: Duration::from_secs(100) };
        let seen = Sightings::default();
        assert_eq!(seen.judge(&kid("k"), &set(1, 10, fetched), at(20)), Missing::Perhaps);
        assert_eq!(
            seen.judge(&kid("k"), &set(1, 20, fetched), at(21)),
            Missing::Perhaps,
            "asked for at that moment, not after"
        );
        assert_eq!(seen.judge(&kid("k"), &set(2, 30, fetched), at(31)), Missing::Perhaps, "other keys: missed anew");
        assert_eq!(seen.judge(&kid("k"), &set(2, 32, fetched), at(33)), Missing::ForGood);
        assert_eq!(
            seen.judge(&kid("k"), &set(2, 32, fetched), at(132)),
            Missing::Perhaps,
            "the set has outlived itself"
        );
        assert_eq!(seen.judge(&kid("k"), &set(2, 32, Provenance::Restored), at(33)), Missing::Perhaps);
        assert_eq!(seen.judge(&kid("new"), &set(1, 0, Provenance::File), at(9)), Missing::ForGood);
    }

    #[test]
    fn strangers_cannot_grow_the_memory_and_what_is_forgotten_is_missed_anew() {
        let fetched = Provenance::Fetched { lifetime: Duration::from_secs(1000) };
        let seen = Sightings::default();
        assert_eq!(seen.judge(&kid("victim"), &set(1, 10, fetched), at(20)), Missing::Perhaps);
        for n in 0..3 * SIGHTINGS_MAX {
            seen.judge(&kid(&format!("flood-{n}")), &set(1, 10, fetched), at(21));
            assert!(seen.count() <= SIGHTINGS_MAX);
        }
        assert_eq!(seen.judge(&kid("victim"), &set(1, 30, fetched), at(40)), Missing::Perhaps);
        assert_eq!(seen.judge(&kid("victim"), &set(1, 41, fetched), at(42)), Missing::ForGood);
    }
}
