//! Places for connections: so many in all, and so many for each that asks. Whoever comes is let in, and the oldest makes room.
//!
//! Never waits, and never holds more than its bounds: what had to make room is told so and counts no longer.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Places, each held for somebody of a kind `K`. Clones share them.
#[derive(Debug)]
pub(crate) struct Places<K> {
    all_max: usize,
    each_max: usize,
    held: Arc<Mutex<Held<K>>>,
}

#[derive(Debug)]
struct Held<K> {
    next: u64,
    /// In the order in which they came.
    places: BTreeMap<u64, (K, CancellationToken)>,
}

/// A place, held until this is dropped or has to make room.
#[derive(Debug)]
pub(crate) struct Place<K> {
    number: u64,
    cut: CancellationToken,
    held: Arc<Mutex<Held<K>>>,
}

impl<K: Ord + Clone> Places<K> {
    pub(crate) fn new(all_max: usize, each_max: usize) -> Self {
        let held = Held { next: 0, places: BTreeMap::new() };
        Self { all_max, each_max, held: Arc::new(Mutex::new(held)) }
    }

    /// A place for the newest. `cut` is cancelled when it has to make room.
    pub(crate) fn enter(&self, who: K, cut: CancellationToken) -> Place<K> {
        let mut held = self.held.lock();
        if let Some(oldest) = held.oldest_in_excess(&who, self.all_max, self.each_max)
            && let Some((_, cut)) = held.places.remove(&oldest)
        {
            cut.cancel();
        }
        let number = held.next;
        held.next += 1;
        held.places.insert(number, (who, cut.clone()));
        Place { number, cut, held: Arc::clone(&self.held) }
    }
}

impl<K: Ord + Clone> Held<K> {
    /// Which has to make room for one more: the oldest of whoever asks, or, where all are held, of whoever holds most.
    fn oldest_in_excess(&self, who: &K, all_max: usize, each_max: usize) -> Option<u64> {
        let mut counts: BTreeMap<&K, usize> = BTreeMap::new();
        for (holder, _) in self.places.values() {
            *counts.entry(holder).or_default() += 1;
        }
        let most = if counts.get(who).is_some_and(|own| *own >= each_max) {
            who
        } else if self.places.len() >= all_max {
            counts.into_iter().max_by_key(|(_, count)| *count)?.0
        } else {
            return None;
        };
        self.places.iter().find(|(_, (holder, _))| holder == most).map(|(number, _)| *number)
    }
}

impl<K> Place<K> {
    /// Cancelled when it has to make room.
    pub(crate) fn cut(&self) -> &CancellationToken {
        &self.cut
    }
}

impl<K> Drop for Place<K> {
    fn drop(&mut self) {
        self.held.lock().places.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(places: &Places<char>, who: char) -> Place<char> {
        places.enter(who, CancellationToken::new())
    }

    fn are_cut(places: &[Place<char>]) -> Vec<bool> {
        places.iter().map(|place| place.cut().is_cancelled()).collect()
    }

    #[test]
    fn the_oldest_of_one_that_has_its_share_makes_room_and_nobody_elses_does() {
        let places = Places::new(10, 2);
        let held: Vec<_> = "abaab".chars().map(|who| enter(&places, who)).collect();
        assert_eq!(are_cut(&held), [true, false, false, false, false]);
        let more = enter(&places, 'a');
        assert_eq!(are_cut(&held), [true, false, true, false, false]);
        assert!(!more.cut().is_cancelled());
    }

    #[test]
    fn where_all_are_held_the_oldest_of_whoever_holds_most_makes_room() {
        let places = Places::new(4, 4);
        let held: Vec<_> = "abbbc".chars().map(|who| enter(&places, who)).collect();
        assert_eq!(are_cut(&held), [false, true, false, false, false]);
        assert_eq!(places.held.lock().places.len(), 4);
    }

    #[test]
    fn a_place_that_is_let_go_of_is_free() {
        let places = Places::new(2, 1);
        drop(enter(&places, 'a'));
        let held: Vec<_> = "ab".chars().map(|who| enter(&places, who)).collect();
        assert_eq!(are_cut(&held), [false, false]);
        drop(held);
        assert!(places.held.lock().places.is_empty());
    }
}
