//! The wrapped blob, byte by byte. Customers keep these for ever: every released format stays readable.
//!
//! | offset | length | what |
//! |---|---|---|
//! | 0 | 1 | format, 1 |
//! | 1 | 1 | algorithm, 1 = AES-256-GCM-SIV |
//! | 2 | 16 | key-version id: a hint, authenticated |
//! | 18 | 32 | commitment to the key material |
//! | 50 | 12 | nonce, random |
//! | 62 | any | ciphertext, as long as the plaintext |
//! | end − 16 | 16 | tag |
//!
//! The parser is total, allocates nothing and decides nothing: a blob that parses is not yet one of ours.

use replication::ids::KeyVersionId;
use replication::machine::rows::Algorithm;

use super::aead::{NONCE_LENGTH, TAG_LENGTH};

const FORMAT: u8 = 1;
const ALGORITHM: u8 = Algorithm::Aes256GcmSiv as u8;
const VERSION_LENGTH: usize = 16;

/// Length of the commitment, in bytes. Two keys that share a commitment are a collision of the hash, so its strength is half
/// its length: 32 bytes give the 128 bits that 16 would halve.
pub(super) const COMMITMENT_LENGTH: usize = 32;
/// What stands before the nonce, all of it authenticated.
pub(super) const HEADER_LENGTH: usize = 2 + VERSION_LENGTH + COMMITMENT_LENGTH;
const FRONT_LENGTH: usize = HEADER_LENGTH + NONCE_LENGTH;

/// How much longer a blob is than its plaintext, in bytes.
pub const BLOB_OVERHEAD: usize = FRONT_LENGTH + TAG_LENGTH;

/// The first bytes of a blob, the same for every blob of one key version.
pub(super) type Header = [u8; HEADER_LENGTH];

/// Why bytes are no blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// Too short to hold an empty plaintext.
    #[error("{length} bytes are too few for a wrapped blob")]
    Short {
        /// How many there are.
        length: usize,
    },
    /// Not a format this release reads.
    #[error("a wrapped blob of unknown format {format}")]
    Format {
        /// The first byte.
        format: u8,
    },
    /// Not an algorithm this release knows.
    #[error("a wrapped blob of unknown algorithm {algorithm}")]
    Algorithm {
        /// The second byte.
        algorithm: u8,
    },
}

/// A blob's parts, borrowed from its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob<'a> {
    /// The authenticated front: format, algorithm, version, commitment.
    pub(super) header: &'a Header,
    pub(super) nonce: &'a [u8; NONCE_LENGTH],
    pub(super) ciphertext: &'a [u8],
    pub(super) tag: &'a [u8; TAG_LENGTH],
    version: KeyVersionId,
}

impl<'a> Blob<'a> {
    /// Splits `bytes` into their parts.
    ///
    /// # Errors
    /// If they are no blob of a known format.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BlobError> {
        let short = BlobError::Short { length: bytes.len() };
        let (&format, _) = bytes.split_first().ok_or(short)?;
        if format != FORMAT {
            return Err(BlobError::Format { format });
        }
        let (header, rest) = bytes.split_first_chunk::<HEADER_LENGTH>().ok_or(short)?;
        let (nonce, rest) = rest.split_first_chunk().ok_or(short)?;
        let (ciphertext, tag) = rest.split_last_chunk().ok_or(short)?;
        let [_, algorithm, rest @ ..] = header;
        if *algorithm != ALGORITHM {
            return Err(BlobError::Algorithm { algorithm: *algorithm });
        }
        let version = KeyVersionId::from_bytes(*rest.first_chunk::<VERSION_LENGTH>().ok_or(short)?);
        Ok(Self { header, nonce, ciphertext, tag, version })
    }

    /// The key version that it says it was wrapped with. Nothing vouches for that before it is unwrapped.
    pub fn version(&self) -> KeyVersionId {
        self.version
    }
}

/// The key version that `blob` says it was wrapped with, if it is a blob at all. For the audit and for errors; never to choose
/// a key by.
pub fn version_hint(blob: &[u8]) -> Option<KeyVersionId> {
    Blob::parse(blob).ok().map(|blob| blob.version())
}

/// The header of every blob of one key version.
pub(super) fn header(version: KeyVersionId, commitment: &[u8; COMMITMENT_LENGTH]) -> Header {
    let mut header = [0; HEADER_LENGTH];
    header[0] = FORMAT;
    header[1] = ALGORITHM;
    header[2..2 + VERSION_LENGTH].copy_from_slice(version.as_bytes());
    header[2 + VERSION_LENGTH..].copy_from_slice(commitment);
    header
}

/// A blob whose ciphertext is still the plaintext and whose tag is still missing, with room for it; and where the text begins.
pub(super) fn begin(header: &Header, nonce: &[u8; NONCE_LENGTH], plaintext: &[u8]) -> (Vec<u8>, usize) {
    let mut blob = Vec::with_capacity(BLOB_OVERHEAD + plaintext.len());
    blob.extend_from_slice(header);
    blob.extend_from_slice(nonce);
    blob.extend_from_slice(plaintext);
    (blob, FRONT_LENGTH)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn blob_of(header: &Header, nonce: &[u8; 12], text: &[u8], tag: &[u8; 16]) -> Vec<u8> {
        let (mut blob, _) = begin(header, nonce, text);
        blob.extend_from_slice(tag);
        blob
    }

    #[test]
    fn what_is_no_blob_is_told_apart() {
        let whole = blob_of(&header(KeyVersionId::from_bytes([7; 16]), &[1; 32]), &[2; 12], b"", &[3; 16]);
        let with = |at: usize, byte: u8| {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            bytes
        };
        let table = [
            (vec![], BlobError::Short { length: 0 }),
            (vec![1], BlobError::Short { length: 1 }),
            (whole[..BLOB_OVERHEAD - 1].to_vec(), BlobError::Short { length: BLOB_OVERHEAD - 1 }),
            (with(0, 0), BlobError::Format { format: 0 }),
            (with(0, 2), BlobError::Format { format: 2 }),
            (vec![9], BlobError::Format { format: 9 }),
            (with(1, 0), BlobError::Algorithm { algorithm: 0 }),
            (with(1, 2), BlobError::Algorithm { algorithm: 2 }),
        ];
        for (bytes, error) in table {
            assert_eq!(Blob::parse(&bytes), Err(error));
            assert_eq!(version_hint(&bytes), None);
        }
        assert_eq!(version_hint(&whole), Some(KeyVersionId::from_bytes([7; 16])));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_parsed_into_parts_that_make_them_up(mut bytes in vec(any::<u8>(), 0..200), ours: bool) {
            if ours && let [format, algorithm, ..] = bytes.as_mut_slice() {
                (*format, *algorithm) = (FORMAT, ALGORITHM);
            }
            if let Ok(blob) = Blob::parse(&bytes) {
                prop_assert_eq!(blob.ciphertext.len() + BLOB_OVERHEAD, bytes.len());
                prop_assert_eq!(blob_of(blob.header, blob.nonce, blob.ciphertext, blob.tag), bytes);
            } else {
                let well_begun = bytes.len() >= BLOB_OVERHEAD && bytes[..2] == [FORMAT, ALGORITHM];
                prop_assert!(!well_begun, "refused: {:?}", bytes);
            }
        }

        #[test]
        fn parts_come_back(version: [u8; 16], commitment: [u8; 32], nonce: [u8; 12], text in vec(any::<u8>(), 0..100), tag: [u8; 16]) {
            let version = KeyVersionId::from_bytes(version);
            let header = header(version, &commitment);
            let bytes = blob_of(&header, &nonce, &text, &tag);
            let expected = Blob { header: &header, nonce: &nonce, ciphertext: &text, tag: &tag, version };
            prop_assert_eq!(Blob::parse(&bytes), Ok(expected));
        }
    }
}
