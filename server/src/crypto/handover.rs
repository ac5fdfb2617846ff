//! Handing a tenant key from a key store to one process of a frontend: HPKE (RFC 9180) to a key that lives as long as the process.
//!
//! X25519, HKDF-SHA256 and ChaCha20-Poly1305. What is handed over opens in that process, for that tenant of that shard, and nowhere
//! else; the process's secret never leaves its memory.

use std::sync::Arc;

use hpke::aead::{AeadTag, ChaCha20Poly1305};
use hpke::inout::InOutBuf;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use replication::ids::{FrontendName, LineageId, ShardId, TenantId};

use super::arena::{Arena, ArenaExhausted, SLOT_LENGTH};
use super::entropy::Entropy;
use super::material::{GenerateError, Material, TenantKey};

type X25519 = X25519HkdfSha256;
type PrivateKey = <X25519 as Kem>::PrivateKey;
type PublicKey = <X25519 as Kem>::PublicKey;
type Encapsulated = <X25519 as Kem>::EncappedKey;

/// Bytes of an X25519 key, in either form.
const KEY_LENGTH: usize = 32;
const TAG_LENGTH: usize = 16;
/// Bytes of a sealed tenant key: encapsulated key, ciphertext, tag.
const SEALED_LENGTH: usize = KEY_LENGTH + SLOT_LENGTH + TAG_LENGTH;

/// Whom a tenant key is handed to, and which one it is.
#[derive(Debug, Clone, Copy)]
pub struct Handover<'a> {
    /// The lineage of the cluster's keys.
    pub lineage: LineageId,
    /// The frontend.
    pub frontend: &'a FrontendName,
    /// Which start of it.
    pub process: &'a [u8; 16],
    /// The tenant's shard.
    pub shard: ShardId,
    /// The tenant.
    pub tenant: &'a TenantId,
}

/// Why a tenant key was not handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandoverError {
    /// What was offered as the process's key is none.
    #[error("the process's public key is none of X25519")]
    PublicKey,
    /// Not so many bytes as a sealed tenant key has.
    #[error("a sealed tenant key has {SEALED_LENGTH} bytes, and this has {found}")]
    Length {
        /// How many it has.
        found: usize,
    },
    /// It does not open here: it is sealed to another process, or for another tenant, or was changed on its way.
    #[error("the tenant key is not sealed to this process")]
    Refused,
    /// There is no room for it.
    #[error("there is no room for another key")]
    Exhausted(#[from] ArenaExhausted),
}

impl Handover<'_> {
    /// To whom.
    fn info(&self) -> Vec<u8> {
        let Self { lineage, frontend, process, .. } = self;
        [b"ekm tenant key 1\0", lineage.as_bytes().as_slice(), process.as_slice(), frontend.as_str().as_bytes()]
            .concat()
    }

    /// Which one.
    fn associated(&self) -> Vec<u8> {
        [&self.shard.group().0.to_be_bytes()[..], self.tenant.as_str().as_bytes()].concat()
    }
}

impl TenantKey {
    /// The key, sealed to the process whose public key this is.
    ///
    /// # Errors
    /// [`HandoverError::PublicKey`].
    pub fn seal_to(&self, public_key: &[u8; KEY_LENGTH], handover: &Handover<'_>) -> Result<Vec<u8>, HandoverError> {
        let public_key = PublicKey::from_bytes(public_key).map_err(|_| HandoverError::PublicKey)?;
        let mut sealed = vec![0; SEALED_LENGTH];
        let (encapsulated, rest) = sealed.split_at_mut(KEY_LENGTH);
        let (text, tag) = rest.split_at_mut(SLOT_LENGTH);
        let buffer = InOutBuf::new(self.0.expose(), text).expect("a slot and its place are of one length");
        let made = hpke::single_shot_seal_inout_detached::<ChaCha20Poly1305, HkdfSha256, X25519>(
            &OpModeS::Base,
            &public_key,
            &handover.info(),
            buffer,
            &handover.associated(),
        );
        // a public key of small order makes no secret
        let (key, made) = made.map_err(|_| HandoverError::PublicKey)?;
        encapsulated.copy_from_slice(&key.to_bytes());
        tag.copy_from_slice(&made.to_bytes());
        Ok(sealed)
    }
}

/// The secret of one process of a frontend.
#[derive(Debug)]
pub struct ProcessSecret(Material);

impl ProcessSecret {
    /// A new one.
    ///
    /// # Errors
    /// As [`Material::generate`].
    pub fn generate(arena: &Arc<Arena>, entropy: &dyn Entropy) -> Result<Self, GenerateError> {
        Material::generate(arena, entropy).map(Self)
    }

    fn private_key(&self) -> PrivateKey {
        PrivateKey::from_bytes(self.0.expose()).expect("any 32 bytes are a private key of X25519")
    }

    /// What tenant keys are sealed to.
    pub fn public_key(&self) -> [u8; KEY_LENGTH] {
        X25519::sk_to_pk(&self.private_key()).to_bytes().into()
    }

    /// Opens a tenant key.
    ///
    /// # Errors
    /// [`HandoverError`].
    pub fn open(&self, sealed: &[u8], handover: &Handover<'_>, arena: &Arc<Arena>) -> Result<TenantKey, HandoverError> {
        if sealed.len() != SEALED_LENGTH {
            return Err(HandoverError::Length { found: sealed.len() });
        }
        let (encapsulated, rest) = sealed.split_at(KEY_LENGTH);
        let (text, tag) = rest.split_at(SLOT_LENGTH);
        let encapsulated = Encapsulated::from_bytes(encapsulated).map_err(|_| HandoverError::Refused)?;
        let tag = AeadTag::<ChaCha20Poly1305>::from_bytes(tag).map_err(|_| HandoverError::Refused)?;
        let mut slot = arena.take()?;
        let buffer = InOutBuf::new(text, slot.bytes_mut()).expect("a slot and its place are of one length");
        hpke::single_shot_open_inout_detached::<ChaCha20Poly1305, HkdfSha256, X25519>(
            &OpModeR::Base,
            &self.private_key(),
            &encapsulated,
            &handover.info(),
            buffer,
            &handover.associated(),
            &tag,
        )
        .map_err(|_| HandoverError::Refused)?;
        Ok(TenantKey(Material::from_slot(slot)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::arena::tests::arena;
    use super::super::entropy::SystemEntropy;
    use super::*;

    #[test]
    fn a_tenant_key_opens_in_its_process_for_its_tenant_and_nowhere_else() {
        let arena = arena(8);
        let secret = || ProcessSecret::generate(&arena, &SystemEntropy).expect("a key");
        let (mine, other) = (secret(), secret());
        let key = TenantKey::generate(&arena, &SystemEntropy).expect("a key");
        let (frontend, tenant): (FrontendName, TenantId) =
            ("a1".parse().expect("a legal name"), "acme".parse().expect("a legal name"));
        let (other_frontend, other_tenant) =
            ("a2".parse().expect("a legal name"), "bob".parse().expect("a legal name"));
        let lineage = LineageId::from_bytes([1; 16]);
        let handover =
            Handover { lineage, frontend: &frontend, process: &[2; 16], shard: ShardId::FIRST, tenant: &tenant };
        let sealed = key.seal_to(&mine.public_key(), &handover).expect("a key of X25519");
        let opened = mine.open(&sealed, &handover, &arena).expect("it is sealed to this process");
        assert_eq!(opened.0.expose(), key.0.expose());
        let second = ShardId(std::num::NonZeroU16::new(2).expect("2 is not zero"));
        let wrong = [
            Handover { lineage: LineageId::from_bytes([3; 16]), ..handover },
            Handover { frontend: &other_frontend, ..handover },
            Handover { process: &[4; 16], ..handover },
            Handover { shard: second, ..handover },
            Handover { tenant: &other_tenant, ..handover },
        ];
        for wrong in wrong {
            assert!(matches!(mine.open(&sealed, &wrong, &arena), Err(HandoverError::Refused)), "{wrong:?}");
        }
        assert!(matches!(other.open(&sealed, &handover, &arena), Err(HandoverError::Refused)));
        for place in 0..SEALED_LENGTH {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(mine.open(&changed, &handover, &arena).is_err(), "byte {place}");
        }
        assert!(matches!(mine.open(&sealed[1..], &handover, &arena), Err(HandoverError::Length { found: 79 })));
        assert!(matches!(key.seal_to(&[0; 32], &handover), Err(HandoverError::PublicKey)));
    }
}
