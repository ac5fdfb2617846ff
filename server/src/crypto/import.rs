//! Import: key material that arrives wrapped for transport, to an RSA key that was made here for that purpose.
//!
//! RSA-3072, RSAES-OAEP (RFC 8017, section 7.1) with SHA-256, MGF1 by SHA-256 and an empty label: what `openssl pkeyutl` and the
//! `CKM_RSA_PKCS_OAEP` of an HSM make. The private half lives sealed under its tenant's key, and is open only while one import
//! is carried out; what comes out of the wrapping goes into the arena. All ways in which a wrapping does not open are one error.
//!
//! It must never hand out a private half, nor key bytes other than as [`Material`]. What is not ours to place: aws-lc works on
//! the private half in memory of its own, which is neither locked nor left out of dumps. It overwrites each piece when it frees
//! it (`OPENSSL_free` does), and the stack that it used is overwritten here.

mod check_value;
mod clear;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use replication::ids::{CheckValue, ImportKeyId, LineageId, TenantId};
use replication::machine::rows::Sealed;
use zeroize::Zeroizing;

use super::arena::{Arena, ArenaExhausted, SLOT_LENGTH};
use super::entropy::{Entropy, EntropyError};
use super::material::{Material, TenantKey};
use super::seal::{ImportBinding, OpenError};
use super::stack;

use check_value::check_value;
pub use clear::{ClearMaterial, ReadError, standard_input};

const KEY_SIZE: KeySize = KeySize::Rsa3072;
const KEY_BITS: usize = 3072;
/// Length of wrapped material: that of the RSA modulus, in bytes.
pub const WRAPPED_LENGTH: usize = KEY_BITS / 8;
/// Characters of base64 in a line of PEM (RFC 7468).
const PEM_LINE: usize = 64;

/// A new import key, fit to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewImportKey {
    /// `SubjectPublicKeyInfo` (RFC 5280), DER: what key material is wrapped to.
    pub public_key: Vec<u8>,
    /// The private half: PKCS #8, sealed under the tenant key.
    pub sealed: Sealed,
}

/// Why no import key was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImportKeyError {
    /// The library made none.
    #[error("no RSA key could be made")]
    Rsa(#[from] Unspecified),
    /// There are no random bytes for a nonce.
    #[error("there are no random bytes to seal an import key")]
    Entropy(#[from] EntropyError),
}

/// What is wrong with wrapped material. The text is for whoever sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Cut short, extended, or wrapped to a key of another size.
    #[error(
        "the wrapped material has {length} bytes; import key {import_key} needs {WRAPPED_LENGTH}: send the whole output of one RSA-3072 encryption"
    )]
    Length {
        /// The key it was sent for.
        import_key: ImportKeyId,
        /// How many bytes came.
        length: usize,
    },
    /// It does not open, for whatever reason: to tell more would help nobody but who tries wrappings out.
    #[error(
        "the wrapped material does not open under import key {import_key}: it was wrapped for another key, changed on the way, \
         or wrapped with other parameters than RSA-OAEP, SHA-256, MGF1-SHA-256, no label"
    )]
    Closed {
        /// The key it was sent for.
        import_key: ImportKeyId,
    },
    /// It opens to something that is no AES-256 key.
    #[error("what was wrapped has {length} bytes; AES-256 key material has exactly 32, raw, not as text")]
    NoKey {
        /// How many bytes were in it.
        length: usize,
    },
    /// 32 times the same byte: a mistake, not a key.
    #[error("all bytes of the wrapped material are the same: that is no random key; look at what was wrapped")]
    Degenerate,
    /// Another key than the one that the sender meant. The value found is shown, since whoever sent the material may have it
    /// imported, and shown, without saying what is expected.
    #[error(
        "the check value given is {given}, and that of the material is {found}: another key was wrapped than the one meant"
    )]
    OtherKey {
        /// What was expected.
        given: CheckValue,
        /// The material's own.
        found: CheckValue,
    },
}

/// Why nothing was imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The sender's mistake.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The import key itself does not open: its row is not what this lineage made for this tenant.
    #[error("import key {import_key} does not open on this replica")]
    Key {
        /// Which.
        import_key: ImportKeyId,
        /// Why not.
        source: OpenError,
    },
    /// What was sealed for the import key is no RSA-3072 private key.
    #[error("import key {import_key} holds no RSA-3072 key")]
    NoRsaKey {
        /// Which.
        import_key: ImportKeyId,
    },
    /// There is no room for the material.
    #[error("there is no room for another key")]
    Exhausted(#[from] ArenaExhausted),
}

impl TenantKey {
    /// Makes an RSA key and seals its private half. Takes a good part of a second of CPU time. The key is of the library's own
    /// randomness; `entropy` is asked for the nonce of the seal.
    ///
    /// # Errors
    /// If the library makes none, or there is no randomness.
    pub fn make_import_key(
        &self,
        lineage: LineageId,
        tenant: &TenantId,
        id: ImportKeyId,
        entropy: &dyn Entropy,
    ) -> Result<NewImportKey, ImportKeyError> {
        stack::leaving_nothing(|| {
            let private = PrivateDecryptingKey::generate(KEY_SIZE)?;
            let public_key = AsDer::as_der(&private.public_key())?.as_ref().to_vec();
            // wiped when it is dropped
            let private = AsDer::as_der(&private)?;
            let binding = ImportBinding { lineage, tenant, id, public_key: &public_key };
            let sealed = self.seal_import_key(private.as_ref(), &binding, entropy)?;
            Ok(NewImportKey { public_key, sealed })
        })
    }

    /// Opens material that was wrapped to an import key of this tenant. `expected` is the check value that the sender says it
    /// has, if any; the one it has is returned.
    ///
    /// # Errors
    /// If the import key or the wrapping does not open, what is in it is no key or another one, or the arena is full.
    pub fn open_wrapped(
        &self,
        binding: &ImportBinding<'_>,
        sealed: &Sealed,
        wrapped: &[u8],
        expected: Option<CheckValue>,
        arena: &Arc<Arena>,
    ) -> Result<(Material, CheckValue), ImportError> {
        let import_key = binding.id;
        if wrapped.len() != WRAPPED_LENGTH {
            return Err(TransportError::Length { import_key, length: wrapped.len() }.into());
        }
        let private =
            self.open_import_key(sealed, binding).map_err(|source| ImportError::Key { import_key, source })?;
        let material = stack::leaving_nothing(|| decrypt(import_key, &private, wrapped, arena))?;
        drop(private);
        if material.is_degenerate() {
            return Err(TransportError::Degenerate.into());
        }
        let found = check_value(&material);
        match expected {
            Some(given) if given != found => Err(TransportError::OtherKey { given, found }.into()),
            Some(_) | None => Ok((material, found)),
        }
    }
}

fn decrypt(
    import_key: ImportKeyId,
    private: &[u8],
    wrapped: &[u8],
    arena: &Arc<Arena>,
) -> Result<Material, ImportError> {
    let no_key = || ImportError::NoRsaKey { import_key };
    let private = PrivateDecryptingKey::from_pkcs8(private).map_err(|_| no_key())?;
    if private.key_size_bits() != KEY_BITS {
        return Err(no_key());
    }
    let private = OaepPrivateDecryptingKey::new(private).map_err(|_| no_key())?;
    // the library writes here before it knows how much there is: as long as its output can be, and wiped
    let mut opened = Zeroizing::new(vec![0; WRAPPED_LENGTH]);
    let opened = private
        .decrypt(&OAEP_SHA256_MGF1SHA256, wrapped, &mut opened, None)
        .map_err(|_| TransportError::Closed { import_key })?;
    let key: &[u8; SLOT_LENGTH] = (&*opened).try_into().map_err(|_| TransportError::NoKey { length: opened.len() })?;
    Ok(Material::copied(key, arena)?)
}

/// Material wrapped for transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// [`WRAPPED_LENGTH`] bytes that the private half alone opens.
    pub bytes: Vec<u8>,
    /// The material's check value, by which its owner knows it.
    pub check_value: CheckValue,
}

/// Why material was not wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrapForTransportError {
    /// Not the public half of an import key.
    #[error("this is no public RSA-3072 key: take the public key that the import key is shown with")]
    NoPublicKey,
    /// The library did not encrypt.
    #[error("the material could not be wrapped")]
    Rsa(#[from] Unspecified),
}

/// Wraps material to an import key, given by its public half (`SubjectPublicKeyInfo`, DER). For whoever has the material.
///
/// # Errors
/// If the public key is none, or the library fails.
pub fn wrap_for_transport(public_key: &[u8], material: &ClearMaterial) -> Result<Wrapped, WrapForTransportError> {
    let key = PublicEncryptingKey::from_der(public_key).map_err(|_| WrapForTransportError::NoPublicKey)?;
    // the library reads a key with anything behind it, and with lengths that DER forbids
    let canonical: PublicKeyX509Der<'_> = key.as_der()?;
    if key.key_size_bits() != KEY_BITS || canonical.as_ref() != public_key {
        return Err(WrapForTransportError::NoPublicKey);
    }
    let key = OaepPublicEncryptingKey::new(key)?;
    let mut bytes = vec![0; WRAPPED_LENGTH];
    let encrypt = || {
        let written = key.encrypt(&OAEP_SHA256_MGF1SHA256, material.expose(), &mut bytes, None);
        written.map(|written| written.len())
    };
    let length = stack::leaving_nothing(encrypt)?;
    debug_assert_eq!(length, WRAPPED_LENGTH, "a wrapping is as long as the modulus");
    Ok(Wrapped { bytes, check_value: material.check_value() })
}

/// A public key as text (RFC 7468), as `openssl` and HSM tools read it.
pub fn public_key_pem(public_key: &[u8]) -> String {
    let text = STANDARD.encode(public_key);
    let lines: Vec<&str> =
        (0..text.len()).step_by(PEM_LINE).map(|at| &text[at..text.len().min(at + PEM_LINE)]).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}
