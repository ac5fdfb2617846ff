//! The bytes of one file twice: as every reader sees them, and as they are on the plate.
//!
//! Never lets a write reach the plate before a sync or a crash.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::testkit::Dice;

/// What a plate writes whole or not at all, in bytes.
pub(super) const SECTOR: usize = 512;
/// Bytes that are copied together.
const PAGE: u64 = 4096;

/// Bytes of which most were never written: a copy costs as many steps as there are pages written to.
#[derive(Debug, Clone, Default)]
pub(super) struct Bytes {
    length: u64,
    pages: BTreeMap<u64, Arc<[u8]>>,
}

impl Bytes {
    pub(super) fn len(&self) -> u64 {
        self.length
    }

    pub(super) fn read(&self, offset: u64, out: &mut [u8]) {
        for (at, piece) in pieces(offset, out.len()) {
            match self.pages.get(&(at / PAGE)) {
                Some(page) => out[piece.clone()].copy_from_slice(&page[within(at)..][..piece.len()]),
                None => out[piece].fill(0),
            }
        }
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        self.length = self.length.max(offset + data.len() as u64);
        for (at, piece) in pieces(offset, data.len()) {
            let page = self.pages.entry(at / PAGE).or_insert_with(|| vec![0; within(PAGE - 1) + 1].into());
            Arc::make_mut(page)[within(at)..][..piece.len()].copy_from_slice(&data[piece]);
        }
    }

    pub(super) fn set_len(&mut self, length: u64) {
        if length < self.length {
            self.pages.retain(|page, _| page * PAGE < length);
            // What lies beyond the end reads as zeros if the file grows again.
            if let Some(page) = self.pages.get_mut(&(length / PAGE)) {
                Arc::make_mut(page)[within(length)..].fill(0);
            }
        }
        self.length = length;
    }
}

fn within(at: u64) -> usize {
    usize::try_from(at % PAGE).expect("a page is small")
}

/// The stretch at an offset, cut where pages end: where each piece begins in the file, and what it is of the stretch.
fn pieces(offset: u64, length: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let room = usize::try_from(PAGE - at % PAGE).expect("a page is small");
        let piece = done..length.min(done + room);
        done = piece.end;
        (!piece.is_empty()).then_some((at, piece))
    })
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: u64, data: Arc<[u8]> },
    Length(u64),
}

/// How much of what was not synced a crash lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Survival {
    Nothing,
    Everything,
    /// In order up to some place, the last write torn.
    Prefix,
    /// Any of the changes, whole.
    Changes,
    /// Any of the sectors.
    Sectors,
}

impl Survival {
    pub(super) fn roll(dice: &mut Dice) -> Self {
        let all = [Self::Nothing, Self::Everything, Self::Prefix, Self::Changes, Self::Sectors];
        all[usize::try_from(dice.below(all.len() as u64)).unwrap_or(0)]
    }
}

/// One file.
#[derive(Debug, Clone, Default)]
pub(super) struct Body {
    pub(super) seen: Bytes,
    durable: Bytes,
    /// Changes since the last sync, oldest first.
    pending: Vec<Change>,
}

impl Body {
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        self.seen.write(offset, data);
        self.pending.push(Change::Write { offset, data: data.into() });
    }

    pub(super) fn set_len(&mut self, length: u64) {
        self.seen.set_len(length);
        self.pending.push(Change::Length(length));
    }

    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            apply(&mut self.durable, &change);
        }
    }

    /// A sync that failed: some of the changes are on the plate, and no later sync tries the others again, though every
    /// reader goes on to see them.
    pub(super) fn sync_failed(&mut self, dice: &mut Dice) {
        self.durable = self.after_crash(Survival::roll(dice), dice);
        self.pending.clear();
    }

    /// What a crash leaves.
    pub(super) fn crashed(&self, survival: Survival, dice: &mut Dice) -> Self {
        let durable = self.after_crash(survival, dice);
        Self { seen: durable.clone(), durable, pending: Vec::new() }
    }

    fn after_crash(&self, survival: Survival, dice: &mut Dice) -> Bytes {
        let mut left = self.durable.clone();
        let prefix = dice.below(self.pending.len() as u64 + 1);
        for (place, change) in self.pending.iter().enumerate() {
            let place = place as u64;
            match survival {
                Survival::Nothing => break,
                Survival::Everything => apply(&mut left, change),
                Survival::Prefix if place < prefix => apply(&mut left, change),
                Survival::Prefix => {
                    let sectors = dice.below(16);
                    tear(&mut left, change, |sector| sector < sectors);
                    break;
                }
                Survival::Changes if dice.one_in(2) => apply(&mut left, change),
                Survival::Changes => {}
                Survival::Sectors => tear(&mut left, change, |_| dice.one_in(2)),
            }
        }
        left
    }
}

fn apply(bytes: &mut Bytes, change: &Change) {
    match change {
        Change::Write { offset, data } => bytes.write(*offset, data),
        Change::Length(length) => bytes.set_len(*length),
    }
}

/// The sectors of a change that `keep` says; a length counts as one.
fn tear(bytes: &mut Bytes, change: &Change, mut keep: impl FnMut(u64) -> bool) {
    match change {
        Change::Length(length) if keep(0) => bytes.set_len(*length),
        Change::Length(_) => {}
        Change::Write { offset, data } => {
            let first = SECTOR - usize::try_from(offset % SECTOR as u64).expect("a sector is small");
            let (mut at, mut rest, mut sector) = (*offset, &data[..], 0);
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(rest.len().min(if sector == 0 { first } else { SECTOR }));
                if keep(sector) {
                    bytes.write(at, piece);
                }
                (at, rest, sector) = (at + piece.len() as u64, after, sector + 1);
            }
        }
    }
}
