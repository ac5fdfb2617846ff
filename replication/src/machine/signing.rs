//! Who signs what: the exact bytes under each signature, and Ed25519 (RFC 8032) over them.
//!
//! Signatures are over received bytes, never over a re-encoding. Each kind of message opens with its own words, so
//! that a signature of one kind can never pass for another.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};

use crate::ids::{GroupId, LineageId, PublicKey, SignerId};

use super::command::SignedCommand;
use super::rows::Plan;
use super::signed::SignedRequest;

/// The bytes an operator signs: the request as sent.
pub fn request_message(request: &[u8]) -> Vec<u8> {
    [b"ekm request 1\0".as_slice(), request].concat()
}

/// The bytes a replica signs: the command, bound to the group it is meant for.
pub fn command_message(lineage: LineageId, group: GroupId, command: &[u8]) -> Vec<u8> {
    [b"ekm command 1\0".as_slice(), lineage.as_bytes(), &group.0.to_be_bytes(), command].concat()
}

/// The digest by which a plan is acknowledged and advanced: SHA-256 of its encoding.
pub fn plan_digest(plan: &Plan) -> [u8; 32] {
    let encoded = postcard::to_stdvec(plan).expect("a plan holds nothing that postcard refuses");
    Sha256::new().chain_update(b"ekm plan 1\0").chain_update(encoded).finalize().into()
}

/// Whether `signature` is the owner of `public_key`'s over `message`.
pub fn verifies(public_key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public_key.as_bytes()).verify(message, signature).is_ok()
}

/// The encodings of the curve's points of small order, the sign bit aside; the last two are no reduced numbers, and decoded all
/// the same.
const SMALL_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/// Whether anybody can sign for this key: RFC 8032 has a signature pass under a point of small order that nobody made with a
/// private key.
pub fn is_anybodys(public_key: &PublicKey) -> bool {
    let mut bytes = *public_key.as_bytes();
    bytes[31] &= 0x7f; // the sign bit
    let shown = PublicKey::from_bytes(bytes).to_string();
    SMALL_ORDER.contains(&shown.as_str())
}

/// A private Ed25519 key that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// Not PKCS#8 of an Ed25519 key.
    #[error("this is not a PKCS#8 Ed25519 private key")]
    NotEd25519(#[source] aws_lc_rs::error::KeyRejected),
}

/// A signer's name with its private key.
pub struct SigningKey {
    signer: SignerId,
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// From PKCS#8 (version 1 or 2), DER.
    ///
    /// # Errors
    /// When the bytes are no such key.
    pub fn from_pkcs8(signer: SignerId, der: &[u8]) -> Result<Self, SigningKeyError> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(SigningKeyError::NotEd25519)?;
        Ok(Self { signer, pair })
    }

    /// The signer's name.
    pub const fn signer(&self) -> &SignerId {
        &self.signer
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        let bytes = self.pair.public_key().as_ref().try_into();
        PublicKey::from_bytes(bytes.expect("an Ed25519 public key has 32 bytes"))
    }

    /// Signs a request.
    pub fn sign_request(&self, bytes: Vec<u8>) -> SignedRequest {
        let signature = self.pair.sign(&request_message(&bytes)).as_ref().to_vec();
        SignedRequest { bytes, signer: self.signer.clone(), signature }
    }

    /// Signs an encoded command for one group.
    pub fn sign_command(&self, lineage: LineageId, group: GroupId, command: Vec<u8>) -> SignedCommand {
        let signature = self.pair.sign(&command_message(lineage, group, &command)).as_ref().to_vec();
        SignedCommand { command, signer: self.signer.clone(), signature }
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.signer)
    }
}

/// Makes a new Ed25519 private key, PKCS#8 DER.
///
/// # Errors
/// When the system has no randomness to give.
pub fn generate_pkcs8() -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
    Ed25519KeyPair::generate_pkcs8v1(&aws_lc_rs::rand::SystemRandom::new()).map(|document| document.as_ref().to_vec())
}
