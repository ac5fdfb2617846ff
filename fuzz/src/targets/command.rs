//! Commands of any content, signed as a replica and an operator would: whatever they do, every invariant holds, the changed rows
//! mirror the state, nothing is done twice, and nothing is done once a bit of the signature is flipped.

use std::collections::BTreeMap;

use crate::parts::{byte, parts};
use crate::world::WORLD;
use replication::codec;
use replication::ids::LogIndex;
use replication::machine::invariants;
use replication::machine::outcome::Outcome;
use replication::machine::state::State;

/// Most commands of one input.
const COMMANDS_MAX: usize = 6;

/// See the top of this file.
pub fn run(input: &[u8]) {
    let (choice, rest) = byte(input);
    let (flags, rest) = byte(rest);
    let place = WORLD.place(choice);
    let (mut state, mut index) = (place.state.clone(), place.index);
    let mut mirror: BTreeMap<Vec<u8>, Vec<u8>> = state.rows().collect();
    for (at, bytes) in parts(rest, COMMANDS_MAX).into_iter().enumerate() {
        let Ok(mut command) = codec::decode_command(bytes) else { continue };
        assert_eq!(codec::encode_command(&command), bytes, "a command has one spelling");
        // a cleared bit asks for exactly what the command does, a set one leaves the request as it came
        if flags >> at & 1 == 0 {
            command.request = WORLD.asks_for(&state, &command);
        }
        let entry = WORLD.author.entry(place.group, &command);
        index += 1;
        unsigned_does_nothing(&state, LogIndex(index), &entry, choice);
        let after = state.apply(LogIndex(index), &entry).expect("what was encoded decodes");
        let done = matches!(after.outcome, Outcome::Done(_));
        assert_eq!(done, after.state.digest() != state.digest(), "a state changes exactly when done");
        assert_eq!(done, !after.rows.is_empty(), "rows change exactly when done");
        invariants::check(&after.state).expect("every invariant holds after every entry");
        for row in after.rows {
            match row.value {
                Some(value) => mirror.insert(row.key, value),
                None => mirror.remove(&row.key),
            };
        }
        state = after.state;
        assert!(mirror.iter().map(|(key, value)| (key.clone(), value.clone())).eq(state.rows()), "the mirror is torn");
        let twice = state.apply(LogIndex(index + 1), &entry).expect("what was encoded decodes");
        assert!(!done || !matches!(twice.outcome, Outcome::Done(_)), "done twice: {:?}", twice.outcome);
    }
    let again = State::from_rows(state.rows()).expect("the rows of a state decode");
    assert!(again == state, "a state is its rows");
}

fn unsigned_does_nothing(state: &State, index: LogIndex, entry: &[u8], choice: u8) {
    let mut signed = codec::decode_entry(entry).expect("what was encoded decodes");
    let bits = signed.signature.len() * 8;
    let at = usize::from(choice) % bits;
    signed.signature[at / 8] ^= 1 << (at % 8);
    let outcome = state.apply(index, &codec::encode_entry(&signed)).expect("what was encoded decodes").outcome;
    assert!(matches!(outcome, Outcome::Refused(_)), "done or repeated without a signature: {outcome:?}");
}
