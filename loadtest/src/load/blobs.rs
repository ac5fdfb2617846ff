//! What this run has wrapped and can unwrap: a bounded pool, the newest of each key. Plaintexts are not kept: the number that they
//! were made from is.

use std::collections::VecDeque;
use std::rc::Rc;

use super::weighted::Size;

/// Blobs kept of one key.
const BLOBS_PER_KEY_MAX: usize = 256;
/// Bytes of blobs kept of all keys.
const BLOB_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A plaintext and its associated data, both made from a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plain {
    pub seed: u64,
    pub size: Size,
    pub associated_size: Size,
}

impl Plain {
    /// The plaintext.
    pub fn plaintext(self) -> Vec<u8> {
        bytes(self.seed, self.size)
    }

    /// Its associated data.
    pub fn associated_data(self) -> Vec<u8> {
        bytes(!self.seed, self.associated_size)
    }

    /// Associated data under which its blob must not open.
    pub fn other_data(self) -> Vec<u8> {
        let mut other = self.associated_data();
        match other.first_mut() {
            Some(byte) => *byte ^= 1,
            None => other.push(0),
        }
        other
    }
}

fn bytes(seed: u64, size: Size) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(size.0).expect("64 KiB are an index")];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

/// A blob and what it must open to.
#[derive(Debug, PartialEq, Eq)]
pub struct Known {
    pub blob: Vec<u8>,
    pub plain: Plain,
}

/// The pool.
pub struct Blobs {
    keys: Vec<VecDeque<Rc<Known>>>,
    bytes: usize,
}

impl Blobs {
    /// A pool of nothing, for so many keys.
    pub fn new(keys: usize) -> Self {
        Self { keys: vec![VecDeque::new(); keys], bytes: 0 }
    }

    /// Keeps a blob; the oldest make room for it.
    pub fn keep(&mut self, key: usize, known: Known) {
        self.bytes += known.blob.len();
        self.keys[key].push_back(Rc::new(known));
        while self.keys[key].len() > BLOBS_PER_KEY_MAX || self.bytes > BLOB_BYTES_MAX {
            // of the bytes too, a key gives up its own: another may have but a few
            let Some(oldest) = self.keys[key].pop_front() else { return };
            self.bytes -= oldest.blob.len();
        }
    }

    /// One of a key's blobs; `None` if it has none.
    pub fn pick(&self, key: usize, choice: u64) -> Option<Rc<Known>> {
        let pool = &self.keys[key];
        let place = choice.checked_rem(pool.len() as u64)?;
        pool.get(usize::try_from(place).expect("a remainder by a length is an index")).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(seed: u64, blob_bytes: usize) -> Known {
        let plain = Plain { seed, size: Size(8), associated_size: Size(0) };
        Known { blob: vec![0; blob_bytes], plain }
    }

    #[test]
    fn the_newest_are_kept_within_both_bounds() {
        let mut blobs = Blobs::new(2);
        assert!(blobs.pick(0, 0).is_none());
        for seed in 0..300 {
            blobs.keep(0, known(seed, 10));
        }
        assert_eq!((blobs.keys[0].len(), blobs.bytes), (BLOBS_PER_KEY_MAX, BLOBS_PER_KEY_MAX * 10));
        assert_eq!(blobs.pick(0, 0).map(|known| known.plain.seed), Some(44));
        assert_eq!(blobs.pick(0, 255).map(|known| known.plain.seed), Some(299));
        let half = BLOB_BYTES_MAX / 2;
        for seed in 0..4 {
            blobs.keep(1, known(seed, half));
        }
        assert!(blobs.bytes <= BLOB_BYTES_MAX, "{}", blobs.bytes);
        assert_eq!(blobs.pick(1, 0).map(|known| known.plain.seed), Some(3));
        assert_eq!(blobs.keys[0].len(), BLOBS_PER_KEY_MAX);
    }

    #[test]
    fn a_plaintext_is_made_again_from_its_number_and_other_data_always_differs() {
        let plain = Plain { seed: 1, size: Size(64), associated_size: Size(3) };
        assert_eq!(plain.plaintext(), plain.plaintext());
        assert_ne!(plain.plaintext(), Plain { seed: 2, ..plain }.plaintext());
        for associated_size in [Size(0), Size(3)] {
            let plain = Plain { associated_size, ..plain };
            assert_ne!(plain.other_data(), plain.associated_data());
        }
    }
}
