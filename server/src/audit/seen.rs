//! The records of late, by the id of their request: what somebody is shown who holds an id from a message or a log.
//!
//! In memory and bounded. A finished line is copied behind the one before it, under a lock that another request wants one time
//! in [`STRIPES`] and that somebody who looks a record up holds for some microseconds. It never waits for a disk, and never
//! refuses a record.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::wire::RequestId;

/// Most records that are kept.
pub const RECORDS_MAX: usize = 65_536;
/// Bytes for them: records of the usual size fit all, and a flood of long ones does not take more.
pub const BYTES_MAX: usize = 64 * 1024 * 1024;
/// Parts with a lock each. Ids are random, so they fill evenly.
const STRIPES: usize = 64;

/// The last `RECORDS_MAX` records.
pub struct Seen {
    stripes: Box<[Mutex<Stripe>]>,
}

/// Lines one behind the other, the newest over the oldest: memory is written in order, which costs least.
struct Stripe {
    lines: Box<[u8]>,
    records: VecDeque<Place>,
    records_max: usize,
    /// Where the next line begins, counted without end; its place is the remainder by the length of `lines`.
    next: usize,
}

struct Place {
    request: RequestId,
    begin: usize,
    length: usize,
}

impl Default for Seen {
    fn default() -> Self {
        Self::bounded(RECORDS_MAX, BYTES_MAX)
    }
}

impl Seen {
    fn bounded(records_max: usize, bytes_max: usize) -> Self {
        let stripe = |_| Mutex::new(Stripe::bounded(records_max / STRIPES, bytes_max / STRIPES));
        Self { stripes: (0..STRIPES).map(stripe).collect() }
    }

    /// Keeps a record; the oldest make room for it.
    pub(super) fn keep(&self, request: RequestId, line: &[u8]) {
        self.stripe(&request).lock().keep(request, line);
    }

    /// The record of a request as it stands in the audit file, if it is still here.
    pub fn find(&self, request: &RequestId) -> Option<Vec<u8>> {
        let stripe = self.stripe(request).lock();
        let place = stripe.records.iter().rev().find(|place| place.request == *request)?;
        let begin = place.begin % stripe.lines.len();
        Some(stripe.lines[begin..begin + place.length].to_vec())
    }

    fn stripe(&self, request: &RequestId) -> &Mutex<Stripe> {
        &self.stripes[usize::from(request.first_byte()) % STRIPES]
    }
}

impl Stripe {
    fn bounded(records_max: usize, bytes_max: usize) -> Self {
        let lines = vec![0; bytes_max].into_boxed_slice();
        Self { lines, records: VecDeque::new(), records_max, next: 0 }
    }

    fn keep(&mut self, request: RequestId, line: &[u8]) {
        let (room, length) = (self.lines.len(), line.len());
        if length > room {
            return; // no line is as long as a stripe
        }
        let at = self.next % room;
        // a line lies in one piece: what is left at the end stays empty
        let begin = if at + length > room { self.next + (room - at) } else { self.next };
        let is_gone = |place: &Place| place.begin + room < begin + length;
        while self.records.len() >= self.records_max || self.records.front().is_some_and(is_gone) {
            self.records.pop_front();
        }
        let at = begin % room;
        self.lines[at..at + length].copy_from_slice(line);
        self.records.push_back(Place { request, begin, length });
        self.next = begin + length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> RequestId {
        let mut bytes = [0; 16];
        // the stripe is chosen by the first byte
        bytes[0] = u8::try_from(number % 256).expect("a remainder");
        bytes[12..].copy_from_slice(&number.to_be_bytes());
        RequestId::new(bytes)
    }

    fn line(number: u32) -> Vec<u8> {
        number.to_be_bytes().repeat(1 + usize::try_from(number % 7).expect("a remainder"))
    }

    #[test]
    fn the_last_records_are_found_and_older_ones_are_gone() {
        let seen = Seen::bounded(2 * STRIPES, 4096 * STRIPES);
        let total = 1024;
        for number in 0..total {
            seen.keep(id(number), &line(number));
        }
        for number in 0..total {
            // 256 first bytes fall on 64 stripes: the last two of each stripe are the last 128 of all
            let kept = (number >= total - 128).then(|| line(number));
            assert_eq!(seen.find(&id(number)), kept, "{number}");
        }
        assert_eq!(seen.find(&RequestId::new([0xff; 16])), None);
    }

    #[test]
    fn a_record_that_was_written_over_is_gone_and_every_other_is_whole() {
        for bytes in [28, 29, 64, 100, 1000] {
            let mut stripe = Stripe::bounded(1024, bytes);
            for number in 0..2000 {
                stripe.keep(id(number), &line(number));
                let held: usize = stripe.records.iter().map(|place| place.length).sum();
                assert!(held <= bytes, "{held} of {bytes}");
                let newest = stripe.records.back().map(|place| place.request);
                assert_eq!(newest, Some(id(number)));
                for (back, place) in stripe.records.iter().rev().enumerate() {
                    let number = number - u32::try_from(back).expect("few records");
                    let at = place.begin % bytes;
                    assert_eq!(stripe.lines[at..at + place.length], line(number), "{number} of {bytes} bytes");
                }
            }
            let held = stripe.records.len();
            stripe.keep(id(0), &vec![0; bytes + 1]);
            assert_eq!(stripe.records.len(), held, "one that fits nowhere is not kept");
        }
    }
}
