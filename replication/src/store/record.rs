//! The frame around every record of the log database, the mark of the mirror and the head of a snapshot:
//! `format | crc32 of format and body, little endian | body`.
//!
//! Never hands out a body whose checksum was not compared.

/// The record format that this release writes.
pub const FORMAT: u8 = 2;
/// Bytes before the body.
const HEAD_LENGTH: usize = 5;

/// Why a record cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Shorter than its own head.
    #[error("the record is cut short")]
    Short,
    /// Written by a newer release, or not a record at all.
    #[error("the record has format {0}, this release reads format {FORMAT}")]
    Format(u8),
    /// The bytes are not those that were written.
    #[error("the record's checksum does not fit its bytes")]
    Checksum,
    /// The frame is whole, but what is in it is not what stands at this place.
    #[error("the record's content does not belong where it was found")]
    Content,
    /// The record is whole, and the records before it are not those that it was written after.
    #[error("the record does not follow from the one before it")]
    Chain,
    /// There is no record where one was written.
    #[error("the record is missing")]
    Missing,
}

/// Frames a body.
pub fn seal(body: &[u8]) -> Vec<u8> {
    seal_parts(&[body])
}

/// Frames a body that lies in parts.
pub(super) fn seal_parts(parts: &[&[u8]]) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEAD_LENGTH + parts.iter().map(|part| part.len()).sum::<usize>());
    record.extend_from_slice(&[FORMAT, 0, 0, 0, 0]);
    for part in parts {
        record.extend_from_slice(part);
    }
    let sum = checksum(FORMAT, &record[HEAD_LENGTH..]);
    record[1..HEAD_LENGTH].copy_from_slice(&sum.to_le_bytes());
    record
}

/// The body of a record.
///
/// # Errors
/// [`Damage`], if the record is not byte for byte what [`seal`] made.
pub fn open(record: &[u8]) -> Result<&[u8], Damage> {
    let (head, body) = record.split_at_checked(HEAD_LENGTH).ok_or(Damage::Short)?;
    let &[format, ref stated @ ..] = head else { return Err(Damage::Short) };
    if format != FORMAT {
        return Err(Damage::Format(format));
    }
    if checksum(format, body).to_le_bytes() == *stated { Ok(body) } else { Err(Damage::Checksum) }
}

fn checksum(format: u8, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[format]);
    hasher.update(body);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_what_the_format_says() {
        assert_eq!(seal(b"ekm"), [&[2][..], &crc32fast::hash(b"\x02ekm").to_le_bytes(), b"ekm"].concat());
        assert_eq!(open(&seal(b"ekm")), Ok(&b"ekm"[..]));
        assert_eq!(open(&seal(b"")), Ok(&b""[..]));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let record = seal(b"the body of a record");
        for bit in 0..record.len() * 8 {
            let mut damaged = record.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&damaged).is_err(), "bit {bit}");
        }
        for length in 0..record.len() {
            assert!(open(&record[..length]).is_err(), "length {length}");
        }
    }
}
