//! Plays the issuer of Google's tokens: signs whatever header and claims it is given, right or wrong, with an RSA key.
//! Never reads a clock, and knows nothing of what a verifier should say to its tokens.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use thiserror::Error;

/// Why there is no key to sign with.
#[derive(Debug, Error)]
pub enum IssuerError {
    /// The file cannot be read.
    #[error("cannot read the issuer's key {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// The file holds no private key.
    #[error("{} holds no private key in PEM form", path.display())]
    NotPem {
        path: PathBuf,
        #[source]
        cause: rustls_pki_types::pem::Error,
    },
    /// The key is of another kind, or of a length that is not supported.
    #[error("the private key in {} is no RSA key of 2048 to 8192 bits", path.display())]
    NotRsa { path: PathBuf },
}

/// An RSA key and the id that its public half is published under.
pub struct Issuer {
    pair: RsaKeyPair,
    key_id: String,
}

impl Issuer {
    /// Reads a PEM file with an RSA key, PKCS#8 or PKCS#1. `key_id` is the `kid` of its public half in the key set that the
    /// server under test trusts; if absent, half the SHA-256 of the public key, as `ekm dev` names it.
    ///
    /// # Errors
    /// If there is no such key in the file.
    pub fn load(path: &Path, key_id: Option<String>) -> Result<Self, IssuerError> {
        let pem = fs::read(path).map_err(|cause| IssuerError::Unreadable { path: path.to_owned(), cause })?;
        let der = PrivateKeyDer::from_pem_slice(&pem)
            .map_err(|cause| IssuerError::NotPem { path: path.to_owned(), cause })?;
        let pair = match der {
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok(),
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()).ok(),
            _ => None,
        };
        let pair = pair.ok_or_else(|| IssuerError::NotRsa { path: path.to_owned() })?;
        let key_id = key_id.unwrap_or_else(|| thumbprint(&pair));
        Ok(Self { pair, key_id })
    }

    /// An issuer that nobody trusts, with a key of its own.
    ///
    /// # Panics
    /// If the machine has no source of random bytes.
    pub fn unknown(key_id: &str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("the machine has a source of random bytes");
        Self { pair, key_id: key_id.to_owned() }
    }

    /// A new key to sign with, as [`Issuer::load`] reads it.
    ///
    /// # Panics
    /// If the machine has no source of random bytes.
    pub fn new_key() -> String {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("the machine has a source of random bytes");
        let der: Pkcs8V1Der<'_> = pair.as_der().expect("a key that was just made has an encoding");
        format!("{}\n", pem("PRIVATE KEY", der.as_ref()))
    }

    /// The `kid` that a right header names.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The header of a right token.
    pub fn header(&self) -> Value {
        json!({"alg": "RS256", "kid": self.key_id, "typ": "JWT"})
    }

    /// A token of this header and these claims, signed by RS256 whatever the header says.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// The same of texts that need not be JSON.
    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let mut token = format!("{}.{}", encode(header), encode(claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
            .expect("a loaded RSA key signs any message");
        token.push('.');
        token.push_str(&BASE64_URL_SAFE_NO_PAD.encode(signature));
        token
    }

    /// The key set (JWKS) that a verifier has to trust.
    pub fn key_set(&self) -> Value {
        let public = self.public_key();
        let [n, e] = [&public.n, &public.e].map(|number| BASE64_URL_SAFE_NO_PAD.encode(number));
        json!({"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": self.key_id, "n": n, "e": e}]})
    }

    /// The public half in the encodings that a confused verifier might take for a secret: SPKI as DER and as PEM with and
    /// without the last line break, PKCS#1, and the modulus.
    pub fn public_encodings(&self) -> [Vec<u8>; 5] {
        let public = self.pair.public_key();
        let spki: PublicKeyX509Der<'_> = public.as_der().expect("a loaded key has a public half");
        let pem = pem("PUBLIC KEY", spki.as_ref());
        let with_break = format!("{pem}\n").into_bytes();
        [spki.as_ref().to_vec(), pem.into_bytes(), with_break, public.as_ref().to_vec(), self.public_key().n]
    }

    /// The public half, as modulus and exponent.
    pub fn public_key(&self) -> RsaPublicKeyComponents<Vec<u8>> {
        self.pair.public_key().into()
    }
}

/// Without the last line break.
fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<String> = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----", lines.join("\n"))
}

/// Half of the SHA-256 of the public key, as `ekm dev` names it.
fn thumbprint(pair: &RsaKeyPair) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, pair.public_key().as_ref());
    BASE64_URL_SAFE_NO_PAD.encode(&digest.as_ref()[..16])
}
