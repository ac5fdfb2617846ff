//! The digest of a state: the sum modulo 2^256 of the SHA-256 of every row.
//!
//! A sum can be kept up to date row by row and does not depend on their order. It finds differences between
//! replicas and damage on disk; it does not defend against somebody who can choose rows.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// The digest of a state. Equal states have equal digests, on every replica.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Digest([u8; 32]);

impl Digest {
    /// From its bytes, as somebody told them.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest's 32 bytes, most significant first.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Counts a row in.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.carry(row_hash(key, value), 0);
    }

    /// Counts a row out that was counted in before.
    pub(super) fn subtract(&mut self, key: &[u8], value: &[u8]) {
        // two's complement: not(x) + 1
        self.carry(row_hash(key, value).map(|byte| !byte), 1);
    }

    fn carry(&mut self, addend: [u8; 32], carry_in: u16) {
        let mut carry = carry_in;
        for (byte, other) in self.0.iter_mut().zip(addend).rev() {
            let sum = u16::from(*byte) + u16::from(other) + carry;
            *byte = (sum & 0xff) as u8;
            carry = sum >> 8;
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn row_hash(key: &[u8], value: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    // the length keeps a byte that moves from key to value from going unseen
    hash.update((key.len() as u64).to_be_bytes());
    hash.update(key);
    hash.update(value);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_in_can_be_counted_out_in_any_order() {
        let rows: Vec<(Vec<u8>, Vec<u8>)> = (0..200_u8).map(|i| (vec![i, i], vec![i; usize::from(i)])).collect();
        let mut digest = Digest::default();
        for (key, value) in &rows {
            digest.add(key, value);
        }
        for (key, value) in rows.iter().skip(1).step_by(2).chain(rows.iter().step_by(2)) {
            digest.subtract(key, value);
        }
        assert_eq!(digest, Digest::default());
    }

    #[test]
    fn a_byte_that_moves_from_key_to_value_is_seen() {
        let (mut left, mut right) = (Digest::default(), Digest::default());
        left.add(b"ab", b"c");
        right.add(b"a", b"bc");
        assert_ne!(left, right);
    }
}
