//! Entries of a log as bytes: decoding is total, what decodes is byte for byte what encodes to it, applying is total and
//! deterministic, and nothing is done that replica and operator did not sign.

use crate::parts::byte;
use crate::world::WORLD;
use replication::codec;
use replication::ids::LogIndex;
use replication::machine::invariants;
use replication::machine::outcome::Outcome;

/// See the top of this file.
pub fn run(input: &[u8]) {
    let (choice, entry) = byte(input);
    let place = WORLD.place(choice);
    if let Ok(signed) = codec::decode_entry(entry) {
        assert_eq!(codec::encode_entry(&signed), entry, "an entry has one spelling");
        if let Ok(command) = codec::decode_command(&signed.command) {
            assert_eq!(codec::encode_command(&command), signed.command, "a command has one spelling");
        }
    }
    let index = LogIndex(place.index + 1);
    let Ok(after) = place.state.apply(index, entry) else { return };
    let again = place.state.apply(index, entry).expect("an entry that decoded decodes again");
    assert_eq!((&after.state, &after.outcome), (&again.state, &again.outcome), "applying is deterministic");
    if matches!(after.outcome, Outcome::Done(_)) {
        assert!(WORLD.entries.iter().any(|known| known == entry), "nobody signed what was done: {:?}", after.outcome);
    } else {
        assert!(after.rows.is_empty() && after.state == place.state, "an entry that did nothing changed something");
    }
    invariants::check(&after.state).expect("every invariant holds after every entry");
}
