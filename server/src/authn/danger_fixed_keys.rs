//! A key set that nobody fetches, and tokens of any claims, for tests and fuzz targets outside this module. Must never be in
//! a released binary: it is compiled for tests and under the feature `testkit` only.

use replication::clock::Moment;

use super::keyset::{KeySetError, Provenance};
use super::mint::IssuerKey;
use super::source::{KeySetReader, key_set_channel};

/// The reading end of a key set that was published once, as if from a file, and never changes.
///
/// # Errors
/// If it is no key set.
pub fn fixed_key_set(jwks: &[u8]) -> Result<KeySetReader, KeySetError> {
    let (reader, mut publisher) = key_set_channel();
    publisher.publish(jwks, Moment::default(), Provenance::File)?;
    Ok(reader)
}

/// A token whose header is right and whose claims are any text.
pub fn sign_claims(key: &IssuerKey, claims: &str) -> String {
    key.sign_json(&format!(r#"{{"alg":"RS256","kid":"{}","typ":"JWT"}}"#, key.kid()), claims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::testing::{ManualClock, bearer, claims_json, good_token, jwks, signing_key, trust};
    use crate::authn::{AuthnError, ClockHealth, Verifier};

    #[test]
    fn a_fixed_key_set_verifies_what_its_key_signed() {
        let verifier = Verifier::new(fixed_key_set(jwks().as_bytes()).expect("a key set"), ManualClock::new());
        let judged = |token: &str| verifier.verify_headers(&bearer(token), &trust(), ClockHealth::Agrees);
        assert_eq!(judged(&sign_claims(signing_key(), &claims_json())), judged(&good_token()));
        assert_eq!(judged(&sign_claims(signing_key(), "{}")), Err(AuthnError::ClaimsMalformed));
        assert!(judged(&good_token()).is_ok());
        assert!(fixed_key_set(b"{}").is_err());
    }
}
