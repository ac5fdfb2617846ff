//! The check value of key material: by it two sides see that they mean the same key, without either showing it.
//!
//! `CKA_CHECK_VALUE` of PKCS #11 (version 3.1, section 4.10.2) for an AES key: the first three bytes of a block of zeros,
//! encrypted in ECB mode. What it tells of the key is which of 2^24 classes the key is in, and no more.

use aes::Aes256Enc;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use replication::ids::CheckValue;

use super::super::material::Material;
use super::super::stack;

/// The check value of `material`.
pub(super) fn check_value(material: &Material) -> CheckValue {
    let mut block = [0; 16];
    stack::leaving_nothing(|| Aes256Enc::new(material.expose().into()).encrypt_block((&mut block).into()));
    let [first, second, third, ..] = block;
    CheckValue::from_bytes([first, second, third])
}
