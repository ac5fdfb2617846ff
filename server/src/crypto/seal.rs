//! Sealing: key material under a tenant key, a tenant key under a root key. What is sealed may lie on disks, in logs and backups.
//!
//! `format 1 | algorithm 1 = AES-256-GCM-SIV | nonce 12 | the bytes encrypted | tag 16`: 62 bytes for a key of 32. The cipher
//! authenticates what the seal is for: a domain and the whole [`Binding`] or [`ImportBinding`], each field behind its length, so
//! a seal that is moved to another tenant, key or version does not open, and none of one domain opens in another. There is no
//! commitment: whoever could make one seal open under two keys holds both. The rows are kept for ever: every released format
//! stays readable.

use std::sync::Arc;

use replication::ids::{ImportKeyId, KeyName, KeyVersionId, LineageId, TenantId};
use replication::machine::rows::{Algorithm, Envelope, Sealed};
use zeroize::Zeroizing;

use super::aead::{self, NONCE_LENGTH, TAG_LENGTH};
use super::arena::{Arena, ArenaExhausted, SLOT_LENGTH};
use super::entropy::{Draw, Entropy, EntropyError};
use super::material::{Material, TenantKey};
use super::root::RootKey;

const FORMAT: u8 = 1;
const ALGORITHM: u8 = Algorithm::Aes256GcmSiv as u8;
const HEADER: [u8; 2] = [FORMAT, ALGORITHM];
/// What a seal adds to what is in it, in bytes.
const OVERHEAD: usize = HEADER.len() + NONCE_LENGTH + TAG_LENGTH;

const DOMAIN_MATERIAL: &[u8] = b"ekm seal of key material 1";
const DOMAIN_TENANT_KEY: &[u8] = b"ekm seal of a tenant key 1";
const DOMAIN_IMPORT_KEY: &[u8] = b"ekm seal of an import key 1";

/// What sealed key material belongs to. All of it is authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The body of keys, kept by restore and recovery.
    pub lineage: LineageId,
    /// The owner.
    pub tenant: &'a TenantId,
    /// The key's name.
    pub key: &'a KeyName,
    /// The key version.
    pub version: KeyVersionId,
    /// How the version wraps.
    pub algorithm: Algorithm,
}

/// What the sealed private half of an import key belongs to. All of it is authenticated, the public half too: a row in which
/// somebody has exchanged that half does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportBinding<'a> {
    /// The body of keys, kept by restore and recovery.
    pub lineage: LineageId,
    /// The owner.
    pub tenant: &'a TenantId,
    /// The import key.
    pub id: ImportKeyId,
    /// Its public half: `SubjectPublicKeyInfo` (RFC 5280), DER.
    pub public_key: &'a [u8],
}

/// Why a seal did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// None of the envelopes is of this root key.
    #[error("no envelope is of this root key")]
    NoEnvelope,
    /// Not as long as a seal is.
    #[error("{length} bytes are no seal")]
    Length {
        /// How many there are.
        length: usize,
    },
    /// Not a format or algorithm this release reads.
    #[error("a seal of unknown format {format} and algorithm {algorithm}")]
    Format {
        /// The first byte.
        format: u8,
        /// The second byte.
        algorithm: u8,
    },
    /// Sealed under another key, for something else, or changed.
    #[error("the seal does not authenticate")]
    Refused,
    /// There is no room for the key within.
    #[error("there is no room for another key")]
    Exhausted(#[from] ArenaExhausted),
}

impl TenantKey {
    /// Seals key material of this tenant.
    ///
    /// # Errors
    /// If there is no randomness for a nonce.
    pub fn seal(
        &self,
        material: &Material,
        binding: &Binding<'_>,
        entropy: &dyn Entropy,
    ) -> Result<Sealed, EntropyError> {
        seal(&self.0, material.expose(), &binding.authenticated(), entropy)
    }

    /// Opens key material that was sealed for `binding`.
    ///
    /// # Errors
    /// If it was not, or the arena is full.
    pub fn open(&self, sealed: &Sealed, binding: &Binding<'_>, arena: &Arc<Arena>) -> Result<Material, OpenError> {
        open(&self.0, sealed, &binding.authenticated(), arena)
    }

    /// Seals the private half of an import key of this tenant.
    pub(super) fn seal_import_key(
        &self,
        private_key: &[u8],
        binding: &ImportBinding<'_>,
        entropy: &dyn Entropy,
    ) -> Result<Sealed, EntropyError> {
        seal(&self.0, private_key, &binding.authenticated(), entropy)
    }

    /// Opens the private half of an import key, which is longer than a slot of the arena: into memory that is wiped when it is
    /// dropped, and not locked.
    pub(super) fn open_import_key(
        &self,
        sealed: &Sealed,
        binding: &ImportBinding<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let seal = Seal::read(sealed)?;
        let mut text = Zeroizing::new(seal.text.to_vec());
        seal.open_in_place(&self.0, &binding.authenticated(), &mut text)?;
        Ok(text)
    }
}

impl RootKey {
    /// Seals a tenant key.
    ///
    /// # Errors
    /// If there is no randomness for a nonce.
    pub fn seal(
        &self,
        key: &TenantKey,
        lineage: LineageId,
        tenant: &TenantId,
        entropy: &dyn Entropy,
    ) -> Result<Envelope, EntropyError> {
        let sealed = seal(&self.material, key.0.expose(), &self.authenticated(lineage, tenant), entropy)?;
        Ok(Envelope { provider: self.provider.to_owned(), root_version: self.root_version, sealed })
    }

    /// Opens the tenant key from the envelope that names this root key; the others are not tried.
    ///
    /// # Errors
    /// If there is no such envelope, it was sealed for another tenant or lineage, or the arena is full.
    pub fn open(
        &self,
        envelopes: &[Envelope],
        lineage: LineageId,
        tenant: &TenantId,
        arena: &Arc<Arena>,
    ) -> Result<TenantKey, OpenError> {
        let envelope = envelopes
            .iter()
            .find(|envelope| envelope.provider == self.provider && envelope.root_version == self.root_version)
            .ok_or(OpenError::NoEnvelope)?;
        open(&self.material, &envelope.sealed, &self.authenticated(lineage, tenant), arena).map(TenantKey)
    }

    fn authenticated(&self, lineage: LineageId, tenant: &TenantId) -> Vec<u8> {
        let version = self.root_version.to_be_bytes();
        let fields: [&[u8]; 5] =
            [&HEADER, lineage.as_bytes(), tenant.as_str().as_bytes(), self.provider.as_bytes(), &version];
        authenticated(DOMAIN_TENANT_KEY, &fields)
    }
}

impl Binding<'_> {
    fn authenticated(&self) -> Vec<u8> {
        let fields: [&[u8]; 6] = [
            &HEADER,
            self.lineage.as_bytes(),
            self.tenant.as_str().as_bytes(),
            self.key.as_str().as_bytes(),
            self.version.as_bytes(),
            &[self.algorithm as u8],
        ];
        authenticated(DOMAIN_MATERIAL, &fields)
    }
}

impl ImportBinding<'_> {
    fn authenticated(&self) -> Vec<u8> {
        let fields: [&[u8]; 5] =
            [&HEADER, self.lineage.as_bytes(), self.tenant.as_str().as_bytes(), self.id.as_bytes(), self.public_key];
        authenticated(DOMAIN_IMPORT_KEY, &fields)
    }
}

/// Domain and fields, each behind its length in four bytes, most significant first.
fn authenticated(domain: &[u8], fields: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(192);
    for field in [domain].iter().chain(fields) {
        let length = u32::try_from(field.len()).expect("names and ids are short");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

fn seal(under: &Material, text: &[u8], authenticated: &[u8], entropy: &dyn Entropy) -> Result<Sealed, EntropyError> {
    let mut nonce = [0; NONCE_LENGTH];
    entropy.fill(Draw::Nonce, &mut nonce)?;
    // the plaintext stands in this buffer until it is encrypted there: it has its full length from the start, so that growing
    // leaves no copy behind
    let mut sealed = Vec::with_capacity(text.len() + OVERHEAD);
    sealed.extend_from_slice(&HEADER);
    sealed.extend_from_slice(&nonce);
    let text_at = sealed.len();
    sealed.extend_from_slice(text);
    let tag = aead::encrypt_in_place(under.expose(), &nonce, authenticated, &mut sealed[text_at..])
        .expect("keys are within the limit of the cipher");
    sealed.extend_from_slice(&tag);
    Ok(Sealed(sealed))
}

fn open(under: &Material, sealed: &Sealed, authenticated: &[u8], arena: &Arc<Arena>) -> Result<Material, OpenError> {
    let seal = Seal::read(sealed)?;
    let text: &[u8; SLOT_LENGTH] = seal.text.try_into().map_err(|_| OpenError::Length { length: sealed.0.len() })?;
    // decrypted where it stays: the bytes are never anywhere but in the arena
    let mut slot = arena.take()?;
    slot.bytes_mut().copy_from_slice(text);
    seal.open_in_place(under, authenticated, slot.bytes_mut())?;
    Ok(Material::from_slot(slot))
}

/// A seal taken apart. Nothing of it is authenticated yet.
struct Seal<'a> {
    nonce: &'a [u8; NONCE_LENGTH],
    text: &'a [u8],
    tag: &'a [u8; TAG_LENGTH],
}

impl<'a> Seal<'a> {
    fn read(sealed: &'a Sealed) -> Result<Self, OpenError> {
        let bytes = &sealed.0[..];
        let no_seal = OpenError::Length { length: bytes.len() };
        let (header, rest) = bytes.split_first_chunk().ok_or(no_seal)?;
        if *header != HEADER {
            let [format, algorithm] = *header;
            return Err(OpenError::Format { format, algorithm });
        }
        let (nonce, rest) = rest.split_first_chunk().ok_or(no_seal)?;
        let (text, tag) = rest.split_last_chunk().ok_or(no_seal)?;
        Ok(Self { nonce, text, tag })
    }

    /// Decrypts `text`, a copy of the seal's own, where it stands.
    fn open_in_place(&self, under: &Material, authenticated: &[u8], text: &mut [u8]) -> Result<(), OpenError> {
        aead::decrypt_in_place(under.expose(), self.nonce, authenticated, text, self.tag)
            .map_err(|aead::Refused| OpenError::Refused)
    }
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
