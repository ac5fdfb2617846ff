//! Makes RS256 tokens: for `ekm dev`, whose issuer stands in for Google's, and for the health probe.
//!
//! No production process trusts what is made here: the dev issuer's name cannot resolve, and the probe's key never
//! leaves its process. The request path must never call this.

use std::time::Duration;

use aws_lc_rs::digest;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use replication::clock::Timestamp;
use replication::ids::Email;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use zeroize::Zeroizing;

use super::token::Kid;

/// The issuer of `ekm dev`'s tokens: `.invalid` never resolves (RFC 2606), so no one else can be it.
pub const DEV_ISSUER: &str = "https://ekm-dev.invalid";

/// Why a signing key could not be made or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssuerKeyError {
    /// No PEM section with a private key.
    #[error("the file holds no private key in PEM form")]
    NotPem,
    /// A private key, but no RSA key of a supported length.
    #[error("the private key is not an RSA key of 2048 to 4096 bits")]
    NotRsa,
    /// The cryptographic library refused to make a key.
    #[error("no RSA key could be generated")]
    Generation,
}

/// An RSA key that signs tokens, with the id its public half is published under.
pub struct IssuerKey {
    pair: RsaKeyPair,
    kid: Kid,
}

impl std::fmt::Debug for IssuerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IssuerKey({})", self.kid)
    }
}

impl IssuerKey {
    /// A new RSA-2048 key.
    ///
    /// # Errors
    ///
    /// [`IssuerKeyError::Generation`].
    pub fn generate() -> Result<Self, IssuerKeyError> {
        RsaKeyPair::generate(KeySize::Rsa2048).map(Self::named).map_err(|_| IssuerKeyError::Generation)
    }

    /// Reads a PEM private key, PKCS#8 or PKCS#1.
    ///
    /// # Errors
    ///
    /// Not PEM, or not a usable RSA key.
    pub fn load(pem: &[u8]) -> Result<Self, IssuerKeyError> {
        let pair = match PrivateKeyDer::from_pem_slice(pem).map_err(|_| IssuerKeyError::NotPem)? {
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err(IssuerKeyError::NotRsa),
        };
        pair.map(Self::named).map_err(|_| IssuerKeyError::NotRsa)
    }

    /// The key as PKCS#8 in PEM form, which [`Self::load`] reads.
    ///
    /// # Errors
    ///
    /// [`IssuerKeyError::Generation`], if the library cannot encode the key.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, IssuerKeyError> {
        let der = self.pair.as_der().map_err(|_| IssuerKeyError::Generation)?;
        let body = Zeroizing::new(STANDARD.encode(der.as_ref()));
        let mut pem = Zeroizing::new(String::with_capacity(body.len() + body.len() / 64 + 64));
        pem.push_str("-----BEGIN PRIVATE KEY-----\n");
        let mut rest = body.as_str();
        while !rest.is_empty() {
            let (line, tail) = rest.split_at(rest.len().min(64));
            pem.push_str(line);
            pem.push('\n');
            rest = tail;
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        Ok(pem)
    }

    /// The id of the public key: half of its SHA-256, in base64url.
    pub const fn kid(&self) -> &Kid {
        &self.kid
    }

    /// The public half as a verifier takes it.
    pub fn decoding_key(&self) -> DecodingKey {
        let public = self.components();
        DecodingKey::from_rsa_raw_components(&public.n, &public.e)
    }

    /// The public half as a JWK set of one key.
    pub fn jwks(&self) -> String {
        format!(r#"{{"keys":[{}]}}"#, self.jwk())
    }

    /// The public half as one JWK.
    pub fn jwk(&self) -> String {
        let public = self.components();
        let (n, e) = (URL_SAFE_NO_PAD.encode(public.n), URL_SAFE_NO_PAD.encode(public.e));
        format!(r#"{{"kty":"RSA","use":"sig","alg":"RS256","kid":"{}","n":"{n}","e":"{e}"}}"#, self.kid)
    }

    /// Signs a token of this key's own header and the given claims.
    pub fn sign(&self, claims: &MintedClaims<'_>) -> String {
        self.sign_json(&format!(r#"{{"alg":"RS256","kid":"{}","typ":"JWT"}}"#, self.kid), &claims.to_json())
    }

    /// Signs a header and claims of any text, for tests of what a verifier refuses.
    pub(super) fn sign_json(&self, header: &str, claims: &str) -> String {
        let mut token = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
            .expect("a loaded RSA key signs any message");
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(&signature));
        token
    }

    fn named(pair: RsaKeyPair) -> Self {
        let thumbprint = digest::digest(&digest::SHA256, pair.public_key().as_ref());
        let kid = Kid::parse(&URL_SAFE_NO_PAD.encode(&thumbprint.as_ref()[..16]));
        Self { kid: kid.expect("22 characters of base64url are a legal key id"), pair }
    }

    fn components(&self) -> RsaPublicKeyComponents<Vec<u8>> {
        self.pair.public_key().into()
    }
}

/// The claims of a token made here, as Google's have them. Times are seconds since 1970.
#[derive(Debug, Clone, Serialize)]
pub struct MintedClaims<'a> {
    /// Issuer.
    pub iss: &'a str,
    /// Audience.
    pub aud: &'a str,
    /// The caller.
    pub email: &'a str,
    /// Always true in Google's tokens for service accounts.
    pub email_verified: bool,
    /// Issued at.
    pub iat: u64,
    /// Expires at.
    pub exp: u64,
}

impl MintedClaims<'_> {
    fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers always serialise")
    }
}

/// What a token of the dev issuer should say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// The caller it proves.
    pub email: Email,
    /// For which server.
    pub audience: String,
    /// From when.
    pub issued_at: Timestamp,
    /// For how long; a verifier refuses more than an hour.
    pub ttl: Duration,
}

/// The token issuer of `ekm dev`.
#[derive(Debug)]
pub struct TokenIssuer {
    key: IssuerKey,
}

impl TokenIssuer {
    /// An issuer with a new key.
    ///
    /// # Errors
    ///
    /// [`IssuerKeyError::Generation`].
    pub fn generate() -> Result<Self, IssuerKeyError> {
        IssuerKey::generate().map(|key| Self { key })
    }

    /// An issuer with the key that an earlier run kept.
    ///
    /// # Errors
    ///
    /// Not PEM, or not a usable RSA key.
    pub fn load(pem: &[u8]) -> Result<Self, IssuerKeyError> {
        IssuerKey::load(pem).map(|key| Self { key })
    }

    /// The key to keep, as PKCS#8 in PEM form.
    ///
    /// # Errors
    ///
    /// [`IssuerKeyError::Generation`], if the library cannot encode the key.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, IssuerKeyError> {
        self.key.to_pem()
    }

    /// The key set to publish.
    pub fn jwks(&self) -> String {
        self.key.jwks()
    }

    /// A token of [`DEV_ISSUER`].
    pub fn mint(&self, request: &TokenRequest) -> String {
        let issued_at = request.issued_at.seconds();
        self.key.sign(&MintedClaims {
            iss: DEV_ISSUER,
            aud: &request.audience,
            email: request.email.as_str(),
            email_verified: true,
            iat: issued_at,
            exp: issued_at.saturating_add(request.ttl.as_secs()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::testing;

    #[test]
    fn a_key_read_back_from_its_pem_is_the_same_key() {
        let first = testing::signing_key();
        let pem = first.to_pem().expect("a generated key encodes");
        let again = IssuerKey::load(pem.as_bytes()).expect("its own PEM loads");
        assert_eq!((again.kid(), again.jwks()), (first.kid(), first.jwks()));
        assert!(pem.lines().all(|line| line.len() <= 64));
        assert!(!format!("{first:?}").contains(&pem.as_str()[40..60]), "no key bytes in Debug");
    }

    #[test]
    fn what_is_no_rsa_key_is_refused_by_name() {
        let ecdsa = rcgen::KeyPair::generate().expect("rcgen makes an ECDSA key").serialize_pem();
        for (pem, expected) in [
            ("", IssuerKeyError::NotPem),
            ("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", IssuerKeyError::NotPem),
            (ecdsa.as_str(), IssuerKeyError::NotRsa),
            ("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", IssuerKeyError::NotRsa),
        ] {
            assert_eq!(TokenIssuer::load(pem.as_bytes()).map(|i| i.jwks()), Err(expected), "{pem}");
        }
    }
}
