//! Claims that the issuer did sign, of any text: a caller is proven only by claims that a second reader finds right in everything.

use std::sync::{Arc, LazyLock};

use crate::tokens::{AUDIENCE, ISSUER, NOW, WALL, trust};
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};
use replication::testkit::ManualClock;
use serde_json::Value;
use server::authn::danger_fixed_keys::{fixed_key_set, sign_claims};
use server::authn::mint::IssuerKey;
use server::authn::verify::{LEEWAY_SECONDS, TOKEN_LIFETIME_MAX};
use server::authn::{ClockHealth, Verifier};

static ISSUER_KEY: LazyLock<IssuerKey> = LazyLock::new(|| IssuerKey::generate().expect("an RSA key is made"));

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let keys = fixed_key_set(ISSUER_KEY.jwks().as_bytes()).expect("a minted key set is sound");
    Verifier::new(keys, Arc::new(ManualClock::at(WALL)))
});

/// See the top of this file.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let token = sign_claims(&ISSUER_KEY, text);
    let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("base64url is printable");
    let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
    let first = VERIFIER.verify_headers(&headers, &trust(), ClockHealth::Agrees);
    assert_eq!(first, VERIFIER.verify_headers(&headers, &trust(), ClockHealth::Agrees), "remembering changes nothing");
    let caller = match first {
        Ok(caller) => caller,
        Err(refusal) => {
            assert!(refusal.is_final(), "{refusal} blames us");
            return;
        }
    };
    let claims: Value = serde_json::from_str(text).expect("believed claims are JSON");
    let time = |name: &str| claims[name].as_u64().expect("a believed time is a whole number");
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims["aud"], AUDIENCE);
    assert_eq!(claims["email_verified"], true);
    assert_eq!(claims["email"].as_str(), Some(caller.principal().to_string().as_str()));
    assert!(caller.principal().to_string().contains('@'), "a token from outside is never the probe's");
    assert!(time("exp") + LEEWAY_SECONDS > NOW, "expired");
    assert!(time("iat") <= NOW + LEEWAY_SECONDS, "issued later");
    assert!(time("iat") < time("exp") && time("exp") - time("iat") <= TOKEN_LIFETIME_MAX + LEEWAY_SECONDS);
    if !claims["nbf"].is_null() {
        assert!(time("nbf") <= NOW + LEEWAY_SECONDS && time("nbf") < time("exp"), "not valid yet");
    }
}
