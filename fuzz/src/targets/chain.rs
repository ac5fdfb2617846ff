//! Logs as records: what was sealed opens to what was sealed, whatever opens is byte for byte what sealing makes of its entries,
//! and a log with a record cut out, swapped, doubled, changed by a bit or taken from another group does not open past it.

use replication::ids::{GroupId, LogIndex};
use replication::store::testkit::{open_log, seal_log};

use crate::parts::{byte, parts};

/// Most entries of one input.
const ENTRIES_MAX: usize = 16;
const GROUP: GroupId = GroupId(1);
const OTHER: GroupId = GroupId(2);

/// See the top of this file.
pub fn run(input: &[u8]) {
    let (first, rest) = byte(input);
    let (choice, rest) = byte(rest);
    let given = parts(rest, ENTRIES_MAX);
    let first = LogIndex(u64::from(first));
    if let Ok(entries) = open_log(GROUP, first, &given) {
        let entries: Vec<&[u8]> = entries.iter().map(Vec::as_slice).collect();
        assert_eq!(seal_log(GROUP, first, &entries), given, "a log has one spelling");
    }
    let records = seal_log(GROUP, first, &given);
    assert_eq!(open_log(GROUP, first, &records).expect("what was sealed opens"), given);
    if records.is_empty() {
        return;
    }
    assert!(open_log(OTHER, first, &records).is_err(), "a log opened as another group's");
    assert!(open_log(GROUP, LogIndex(first.0 + 1), &records).is_err(), "a log opened at another place");
    changed_records_are_found(first, &records, usize::from(choice));
}

fn changed_records_are_found(first: LogIndex, records: &[Vec<u8>], choice: usize) {
    let at = choice % records.len();
    let opens = |records: &[Vec<u8>]| open_log(GROUP, first, records).is_ok();

    let mut flipped = records.to_vec();
    let bit = choice * 37 % (flipped[at].len() * 8);
    flipped[at][bit / 8] ^= 1 << (bit % 8);
    assert!(!opens(&flipped), "bit {bit} of record {at} was flipped");
    let mut short = records.to_vec();
    short[at].truncate(bit / 8);
    assert!(!opens(&short), "record {at} was cut short");
    let mut doubled = records.to_vec();
    doubled.insert(at, records[at].clone());
    assert!(!opens(&doubled), "record {at} stands twice");
    if at + 1 < records.len() {
        let mut missing = records.to_vec();
        missing.remove(at);
        assert!(!opens(&missing), "record {at} is missing");
        let mut swapped = records.to_vec();
        swapped.swap(at, at + 1);
        assert!(!opens(&swapped), "record {at} and the next are swapped");
    }
}
