//! Certificates that an earlier start issued: whether each is whole, of its key, and signed by its authority.
//!
//! Reads and judges; never makes or writes one.

use std::path::Path;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rcgen::KeyPair;
use replication::clock::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::pki::PkiError;
use crate::process::files;

/// The algorithm that authorities sign with, as it stands beside a signature (RFC 5758, section 3.2).
const ECDSA_WITH_SHA256: [u8; 12] = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

/// A certificate that an earlier start issued.
pub(super) struct Issued<'a> {
    pub(super) file: &'a Path,
    der: Vec<u8>,
    /// The key that it certifies.
    key: Vec<u8>,
    /// Seconds since 1970.
    not_after: i64,
}

impl<'a> Issued<'a> {
    /// The certificate in a file, if it is there.
    pub(super) fn read(file: &'a Path) -> Result<Option<Self>, PkiError> {
        let Some(text) = files::read(file)? else { return Ok(None) };
        let altered = || PkiError::Altered(file.to_owned());
        let der = CertificateDer::from_pem_slice(&text).map_err(|_| altered())?.to_vec();
        let parsed = whole(&der).ok_or_else(altered)?;
        let key = parsed.public_key().subject_public_key.data.to_vec();
        let not_after = parsed.validity().not_after.timestamp();
        Ok(Some(Self { file, der, key, not_after }))
    }

    /// Whether the key beside it is its own. Another in its place would have a certificate issued to it.
    pub(super) fn is_of(&self, file: &Path, pair: &KeyPair) -> Result<(), PkiError> {
        if self.key == pair.public_key_raw() {
            return Ok(());
        }
        Err(PkiError::NotItsKey { certificate: self.file.to_owned(), key: file.to_owned() })
    }

    /// Whether its authority signed every bit of it. Clients would find out, and only then.
    pub(super) fn is_signed_by(&self, authority: &KeyPair) -> Result<(), PkiError> {
        let authority = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, authority.public_key_raw());
        let verified = whole(&self.der).is_some_and(|parsed| {
            let (signed, signature) = (parsed.tbs_certificate.as_ref(), &parsed.signature_value.data);
            // what is not signed has one spelling
            let spelt = der(0x30, &[signed, &ECDSA_WITH_SHA256, &der(0x03, &[&[0], signature])]);
            spelt == self.der && authority.verify(signed, signature).is_ok()
        });
        if verified { Ok(()) } else { Err(PkiError::Altered(self.file.to_owned())) }
    }

    pub(super) fn seconds_left(&self, now: Timestamp) -> i64 {
        self.not_after.saturating_sub(i64::try_from(now.seconds()).unwrap_or(i64::MAX))
    }
}

/// A value of DER: its tag, its length, its parts.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let [high, low] = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
    let header = match body.len() {
        0..0x80 => vec![tag, low],
        0x80..0x100 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [header, body].concat()
}

/// A certificate with nothing behind it.
fn whole(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, parsed)| parsed)
}
