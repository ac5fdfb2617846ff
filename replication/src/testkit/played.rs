//! A state from entries that are all meant to be done. Never goes on after one that was refused.

use crate::ids::LogIndex;
use crate::machine::outcome::Outcome;
use crate::machine::state::State;

/// The state after these entries, applied to an empty group in their order.
///
/// # Panics
/// If one of them does not decode, or is not done.
#[must_use]
pub fn played(entries: &[Vec<u8>]) -> State {
    let mut state = State::empty();
    for (index, entry) in (1..).zip(entries) {
        let transition = state.apply(LogIndex(index), entry).expect("the author's entries decode");
        assert!(matches!(transition.outcome, Outcome::Done(_)), "entry {index}: {:?}", transition.outcome);
        state = transition.state;
    }
    state
}
