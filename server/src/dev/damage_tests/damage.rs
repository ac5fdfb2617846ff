//! What is done to one file of a data directory, drawn from a seed so that every case can be repeated.
//!
//! Never touches a disk.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

use super::site::{Kept, Site};

/// Chance from a seed (`SplitMix64`). For choices of tests alone.
pub(super) struct Rng(u64);

impl Rng {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("a remainder is smaller than its divisor")
    }
}

/// One damage to one file.
#[derive(Clone)]
pub(super) struct Damage {
    pub(super) file: String,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Flip { offset: usize, bit: u8 },
    Cut { length: usize },
    Gone,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Flip { offset, bit } => write!(f, "{}: bit {bit} of byte {offset} flipped", self.file),
            Kind::Cut { length } => write!(f, "{}: cut to {length} bytes", self.file),
            Kind::Gone => write!(f, "{}: gone", self.file),
        }
    }
}

impl Damage {
    pub(super) fn flip(file: &str, offset: usize, bit: u8) -> Self {
        Self { file: file.to_owned(), kind: Kind::Flip { offset, bit } }
    }

    pub(super) fn cut(file: &str, length: usize) -> Self {
        Self { file: file.to_owned(), kind: Kind::Cut { length } }
    }

    pub(super) fn gone(file: &str) -> Self {
        Self { file: file.to_owned(), kind: Kind::Gone }
    }

    /// One flip in a file of its own choice. Groups hold most that can be lost and get most.
    pub(super) fn drawn(site: &Site, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        Self::drawn_in(weighted(&site.files, &mut rng), &mut rng)
    }

    /// One flip in this file. Half of the flips go where a file is not empty, since a database is mostly room.
    pub(super) fn drawn_in(file: &Kept, rng: &mut Rng) -> Self {
        let written: Vec<usize> =
            (0..file.bytes.len()).filter(|at| file.bytes[at & !63..].iter().take(64).any(|byte| *byte != 0)).collect();
        let offset = match rng.below(2) {
            0 if !written.is_empty() => written[rng.below(written.len())],
            _ => rng.below(file.bytes.len()),
        };
        Self::flip(&file.name, offset, u8::try_from(rng.below(8)).expect("below eight"))
    }

    /// One shortened file.
    pub(super) fn drawn_cut(site: &Site, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let file = weighted(&site.files, &mut rng);
        Self::cut(&file.name, rng.below(file.bytes.len()))
    }

    /// The file after it, if there is one.
    pub(super) fn done_to(&self, site: &Site) -> Option<Kept> {
        let mut file = site.file(&self.file).clone();
        match self.kind {
            Kind::Flip { offset, bit } => file.bytes[offset] ^= 1 << bit,
            Kind::Cut { length } => file.bytes.truncate(length),
            Kind::Gone => return None,
        }
        Some(file)
    }
}

fn weight(name: &str) -> usize {
    match Path::new(name).extension().and_then(OsStr::to_str) {
        Some("redb") => 8,
        Some("snapshot") => 3,
        _ => 1,
    }
}

fn weighted<'a>(files: &'a [Kept], rng: &mut Rng) -> &'a Kept {
    let mut place = rng.below(files.iter().map(|file| weight(&file.name)).sum());
    for file in files {
        match place.checked_sub(weight(&file.name)) {
            Some(rest) => place = rest,
            None => return file,
        }
    }
    unreachable!("the place is below the sum of all weights")
}
