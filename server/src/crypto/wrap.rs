//! Wrap and unwrap with one key version. Checks in this order: shape, version, commitment, tag; nothing is decrypted under a key
//! that the blob does not commit to, and no second key is ever tried.
//!
//! The cipher authenticates `use | header | caller's associated data`. Use and header have fixed lengths and the rest is the
//! caller's, so no two inputs give the same bytes; the nonce is an input of the cipher's own.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use replication::ids::KeyVersionId;

use super::aead::{self, NONCE_LENGTH};
use super::blob::{self, Blob, BlobError, COMMITMENT_LENGTH, HEADER_LENGTH, Header};
use super::entropy::{Draw, Entropy, EntropyError};
use super::material::Material;
use super::stack;

/// Separates commitments from anything else that may ever be derived from key material.
const COMMITMENT_SALT: &[u8] = b"ekm key commitment 1";

/// Why nothing was wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrapError {
    /// There are no random bytes for a nonce.
    #[error("there are no random bytes for a nonce")]
    Entropy(#[from] EntropyError),
    /// Beyond the 2^36 bytes of RFC 8452.
    #[error("too long for the cipher")]
    TooLong,
}

/// Why a blob did not unwrap. For logs and tests: towards a caller all of these are one, a blob that does not authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnwrapError {
    /// No blob of a known format.
    #[error("the blob cannot be read")]
    Malformed(#[from] BlobError),
    /// A blob of another key version.
    #[error("the blob names key version {named}")]
    OtherVersion {
        /// The version that it names.
        named: KeyVersionId,
    },
    /// The right version's name over another key's commitment.
    #[error("the blob commits to another key")]
    OtherKey,
    /// Ciphertext, tag, nonce or associated data were changed.
    #[error("the blob does not authenticate")]
    Tag,
}

/// What a blob was made for. Authenticated, so that no caller's associated data turns one into the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Use {
    Traffic = 1,
    Canary = 2,
}

/// Key material of one version, ready to wrap: with the header that all its blobs share.
pub struct UsableMaterial {
    material: Material,
    version: KeyVersionId,
    header: Header,
}

impl UsableMaterial {
    /// Computes the commitment, once for all wraps and unwraps.
    pub fn new(material: Material, version: KeyVersionId) -> Self {
        let header = blob::header(version, &commitment(&material, version));
        Self { material, version, header }
    }

    /// The version whose material this is.
    pub fn version(&self) -> KeyVersionId {
        self.version
    }

    /// The material, to be sealed.
    pub fn material(&self) -> &Material {
        &self.material
    }
}

impl fmt::Debug for UsableMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UsableMaterial({})", self.version)
    }
}

/// HKDF-SHA256 of the material, bound to its version and to nothing that changes from blob to blob: a blob names its version
/// anyway, and a value that is fixed is computed once.
///
/// The material is the message of HKDF's first HMAC, not its key, because the `hmac` crate leaves its padded key on the stack.
fn commitment(material: &Material, version: KeyVersionId) -> [u8; COMMITMENT_LENGTH] {
    let mut commitment = [0; COMMITMENT_LENGTH];
    stack::leaving_nothing(|| {
        Hkdf::<Sha256>::new(Some(COMMITMENT_SALT), material.expose())
            .expand(version.as_bytes(), &mut commitment)
            .expect("one block is within the limit of HKDF");
    });
    commitment
}

/// Wraps `plaintext`; the blob opens only with the same key and the same `associated_data`.
///
/// # Errors
/// If there is no randomness or the input is absurdly long.
pub fn wrap(
    key: &UsableMaterial,
    plaintext: &[u8],
    associated_data: &[u8],
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, WrapError> {
    wrap_for(Use::Traffic, key, plaintext, associated_data, entropy)
}

/// Unwraps `blob`.
///
/// # Errors
/// If it was not wrapped with this key and this `associated_data`, or was changed since.
pub fn unwrap(key: &UsableMaterial, blob: &[u8], associated_data: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnwrapError> {
    unwrap_for(Use::Traffic, key, blob, associated_data)
}

pub(super) fn wrap_for(
    purpose: Use,
    key: &UsableMaterial,
    plaintext: &[u8],
    associated_data: &[u8],
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, WrapError> {
    let mut nonce = [0; NONCE_LENGTH];
    entropy.fill(Draw::Nonce, &mut nonce)?;
    let authenticated = authenticated(purpose, &key.header, associated_data);
    let (mut blob, text_at) = blob::begin(&key.header, &nonce, plaintext);
    let tag = aead::encrypt_in_place(key.material.expose(), &nonce, &authenticated, &mut blob[text_at..])
        .map_err(|aead::Refused| WrapError::TooLong)?;
    blob.extend_from_slice(&tag);
    Ok(blob)
}

pub(super) fn unwrap_for(
    purpose: Use,
    key: &UsableMaterial,
    blob: &[u8],
    associated_data: &[u8],
) -> Result<Zeroizing<Vec<u8>>, UnwrapError> {
    let blob = Blob::parse(blob)?;
    if blob.version() != key.version {
        return Err(UnwrapError::OtherVersion { named: blob.version() });
    }
    // format, algorithm and version are equal by now: what can differ is the commitment
    if !bool::from(blob.header.ct_eq(&key.header)) {
        return Err(UnwrapError::OtherKey);
    }
    let authenticated = authenticated(purpose, blob.header, associated_data);
    let mut text = Zeroizing::new(blob.ciphertext.to_vec());
    aead::decrypt_in_place(key.material.expose(), blob.nonce, &authenticated, &mut text, blob.tag)
        .map_err(|aead::Refused| UnwrapError::Tag)?;
    Ok(text)
}

fn authenticated(purpose: Use, header: &Header, associated_data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + HEADER_LENGTH + associated_data.len());
    bytes.push(purpose as u8);
    bytes.extend_from_slice(header);
    bytes.extend_from_slice(associated_data);
    bytes
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::arena::Arena;
    use super::super::arena::tests::arena;
    use super::super::entropy::SystemEntropy;
    use super::*;

    const ID: KeyVersionId = KeyVersionId::from_bytes([0x11; 16]);
    const OTHER_ID: KeyVersionId = KeyVersionId::from_bytes([0x12; 16]);

    fn fresh(arena: &Arc<Arena>, version: KeyVersionId) -> UsableMaterial {
        UsableMaterial::new(Material::generate(arena, &SystemEntropy).expect("a key"), version)
    }

    /// The same 32 bytes in a second slot.
    fn same_bytes(arena: &Arc<Arena>, key: &UsableMaterial, version: KeyVersionId) -> UsableMaterial {
        let mut slot = arena.take().expect("a slot");
        slot.bytes_mut().copy_from_slice(key.material.expose());
        UsableMaterial::new(Material::from_slot(slot), version)
    }

    #[test]
    fn a_blob_opens_with_its_key_version_and_associated_data_alone() {
        let arena = arena(4);
        let key = fresh(&arena, ID);
        let blob = wrap(&key, b"text", b"aad", &SystemEntropy).expect("wraps");
        assert_eq!(blob.len(), 4 + blob::BLOB_OVERHEAD);
        assert_eq!(blob::version_hint(&blob), Some(ID));
        assert_eq!(unwrap(&key, &blob, b"aad").expect("opens").as_slice(), b"text");

        for wrong in [&b""[..], b"aa", b"aad\0", b"Aad"] {
            assert_eq!(unwrap(&key, &blob, wrong), Err(UnwrapError::Tag), "{wrong:?}");
        }
        let stranger = fresh(&arena, ID);
        assert_eq!(unwrap(&stranger, &blob, b"aad"), Err(UnwrapError::OtherKey));
        let renamed = same_bytes(&arena, &key, OTHER_ID);
        assert_eq!(unwrap(&renamed, &blob, b"aad"), Err(UnwrapError::OtherVersion { named: ID }));
        assert_eq!(unwrap_for(Use::Canary, &key, &blob, b"aad"), Err(UnwrapError::Tag));
        let twin = same_bytes(&arena, &key, ID);
        assert!(unwrap(&twin, &blob, b"aad").is_ok(), "the commitment is the material's, not the slot's");
        assert_eq!(format!("{key:?}"), format!("UsableMaterial({ID})"));
    }

    #[test]
    fn a_blob_is_refused_for_its_commitment_before_anything_is_decrypted() {
        let arena = arena(1);
        let mut key = fresh(&arena, ID);
        let honest = key.header;
        let mut commitment = [0; COMMITMENT_LENGTH];
        commitment.copy_from_slice(&honest[HEADER_LENGTH - COMMITMENT_LENGTH..]);
        commitment[31] ^= 1;
        // closed under the key itself, header and all: the tag is right, and the commitment alone is not
        key.header = blob::header(ID, &commitment);
        let forged = wrap(&key, b"text", b"", &SystemEntropy).expect("wraps");
        assert!(unwrap(&key, &forged, b"").is_ok(), "the forged blob is sound but for its commitment");
        key.header = honest;
        assert_eq!(unwrap(&key, &forged, b""), Err(UnwrapError::OtherKey));
    }

    #[test]
    fn no_truncated_extended_or_flipped_blob_opens() {
        let arena = arena(1);
        let key = fresh(&arena, ID);
        for text in [&b""[..], b"x", b"a text of more than one block"] {
            let blob = wrap(&key, text, b"aad", &SystemEntropy).expect("wraps");
            for length in 0..blob.len() {
                assert!(unwrap(&key, &blob[..length], b"aad").is_err(), "{length} bytes of {}", blob.len());
            }
            for bit in 0..blob.len() * 8 {
                let mut flipped = blob.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(unwrap(&key, &flipped, b"aad").is_err(), "bit {bit}");
            }
            assert!(unwrap(&key, &[&blob[..], &[0]].concat(), b"aad").is_err());
        }
    }

    #[test]
    fn two_wraps_of_one_text_differ_after_the_header() {
        let arena = arena(1);
        let key = fresh(&arena, ID);
        let [one, two] = [(); 2].map(|()| wrap(&key, b"text", b"", &SystemEntropy).expect("wraps"));
        assert_eq!(one[..HEADER_LENGTH], two[..HEADER_LENGTH]);
        assert_ne!(one[HEADER_LENGTH..], two[HEADER_LENGTH..]);
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in vec(any::<u8>(), 0..2000), associated_data in vec(any::<u8>(), 0..2000)) {
            let arena = arena(1);
            let key = fresh(&arena, ID);
            let blob = wrap(&key, &text, &associated_data, &SystemEntropy).expect("wraps");
            let opened = unwrap(&key, &blob, &associated_data).expect("opens");
            prop_assert_eq!(opened.as_slice(), text.as_slice());
        }

        #[test]
        fn no_bytes_that_were_not_wrapped_here_open(mut bytes in vec(any::<u8>(), 0..200), ours: bool) {
            let arena = arena(1);
            let key = fresh(&arena, ID);
            if ours && let Some(front) = bytes.first_chunk_mut::<HEADER_LENGTH>() {
                *front = key.header;
            }
            prop_assert!(unwrap(&key, &bytes, b"").is_err());
        }
    }
}
