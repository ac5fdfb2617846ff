//! The health probe's own tokens: signed by a key made at start, kept in memory, known to this process alone.
//!
//! Such a token proves [`Principal::Probe`](replication::machine::policy::Principal::Probe) and nothing else, and nothing
//! else proves it: the key stands in no key set, and a caller's e-mail always has an `@`. The key never leaves the
//! process.

use std::time::Duration;

use jsonwebtoken::DecodingKey;
use replication::clock::Timestamp;

use super::mint::{IssuerKey, IssuerKeyError, MintedClaims};
use super::token::Kid;

/// The audience of the probe's tokens: no address, so no server of another kind would take them.
pub const PROBE_AUDIENCE: &str = "urn:ekm:probe";
/// How long a token of the probe lives.
pub const PROBE_TOKEN_LIFETIME: Duration = Duration::from_mins(5);

const PROBE_EMAIL: &str = "probe@ekm.invalid";

/// Makes the probe's tokens.
#[derive(Debug)]
pub struct ProbeIssuer {
    key: IssuerKey,
    issuer: String,
}

/// Knows this process's probe: its issuer name, key id and public key.
#[derive(Debug, Clone)]
pub struct ProbeVerifier {
    pub(super) kid: Kid,
    pub(super) issuer: String,
    pub(super) key: DecodingKey,
}

impl ProbeIssuer {
    /// A new key, and names made from it that no other process has.
    ///
    /// # Errors
    ///
    /// [`IssuerKeyError::Generation`].
    pub fn generate() -> Result<Self, IssuerKeyError> {
        let key = IssuerKey::generate()?;
        let issuer = format!("urn:ekm:probe:{}", key.kid());
        Ok(Self { key, issuer })
    }

    /// A token that is good for [`PROBE_TOKEN_LIFETIME`] from `now` on.
    pub fn mint(&self, now: Timestamp) -> String {
        self.key.sign(&MintedClaims {
            iss: &self.issuer,
            aud: PROBE_AUDIENCE,
            email: PROBE_EMAIL,
            email_verified: true,
            iat: now.seconds(),
            exp: now.seconds().saturating_add(PROBE_TOKEN_LIFETIME.as_secs()),
        })
    }

    /// What [`super::Verifier`] needs to know this probe by.
    pub fn verifier(&self) -> ProbeVerifier {
        ProbeVerifier { kid: self.key.kid().clone(), issuer: self.issuer.clone(), key: self.key.decoding_key() }
    }

    #[cfg(test)]
    pub(super) fn signing_key(&self) -> &IssuerKey {
        &self.key
    }
}
