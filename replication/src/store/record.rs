//! The frame around every record of the log database, the mark of the mirror and the head of a snapshot:
//! `format | crc32 of format and body, little endian | body`.
//!
//! Never hands out a body whose checksum was not compared.

/// The record format that this release writes.
pub const FORMAT: u8 = 1;
/// Bytes before the body.
const HEAD_LENGTH: usize = 5;

/// Why a record cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Shorter than its own head.
    #[error("the record is cut short")]
    Short,
    /// Written by a newer release, or not a record at all.
    #[error("the record has format {0}, this release reads format 1")]
    Format(u8),
    /// The bytes are not those that were written.
    #[error("the record's checksum does not fit its bytes")]
    Checksum,
    /// The frame is whole, but what is in it is not what stands at this place.
    #[error("the record's content does not belong where it was found")]
    Content,
}

/// Frames a body.
pub fn seal(body: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEAD_LENGTH + body.len());
    record.push(FORMAT);
    record.extend_from_slice(&checksum(FORMAT, body).to_le_bytes());
    record.extend_from_slice(body);
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
        assert_eq!(seal(b"ekm"), [&[1][..], &crc32fast::hash(b"\x01ekm").to_le_bytes(), b"ekm"].concat());
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
