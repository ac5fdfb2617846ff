//! Bearer tokens from strangers: every input is judged, nothing but what the issuer signed proves a caller, and no refusal rests
//! on trouble of ours, since the key set is whole and the clock stands still.

use std::sync::{Arc, LazyLock};

use crate::tokens::{EMAIL, GOOD, JWKS, WALL, trust};
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};
use replication::testkit::ManualClock;
use server::authn::danger_fixed_keys::fixed_key_set;
use server::authn::token::ParsedToken;
use server::authn::{ClockHealth, Verifier};

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let keys = fixed_key_set(JWKS.as_bytes()).expect("the committed key set is sound");
    let verifier = Verifier::new(keys, Arc::new(ManualClock::at(WALL)));
    let value = HeaderValue::from_str(&format!("Bearer {}", GOOD.trim_end())).expect("a token is printable");
    let good = HeaderMap::from_iter([(AUTHORIZATION, value)]);
    assert!(verifier.verify_headers(&good, &trust(), ClockHealth::Agrees).is_ok(), "the good token is not good");
    verifier
});

fn signed_part(token: &str) -> &str {
    token.rsplit_once('.').map_or(token, |(signed, _)| signed)
}

/// See the top of this file.
pub fn run(input: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(input) else { return };
    let text = std::str::from_utf8(input).unwrap_or_default();
    let token = text.split_once(' ').map_or(text, |(_, token)| token.trim_start_matches(' '));
    if let Ok(parsed) = ParsedToken::parse(token) {
        assert_eq!(parsed.signed(), signed_part(token).as_bytes(), "what was signed is taken as received");
        assert!(token.ends_with(parsed.signature()));
        // claims are only read once a signature holds, but reading them must be total anyway
        if let Ok(claims) = parsed.claims() {
            assert_eq!(parsed.claims(), Ok(claims), "reading is deterministic");
        }
    }
    proves_only_what_was_signed(value, token);
    // the same input as the signature of a token that is right in everything else
    let forged = format!("{}.{token}", signed_part(GOOD));
    if let Ok(value) = HeaderValue::from_str(&format!("Bearer {forged}")) {
        proves_only_what_was_signed(value, &forged);
    }
}

fn proves_only_what_was_signed(value: HeaderValue, token: &str) {
    let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
    match VERIFIER.verify_headers(&headers, &trust(), ClockHealth::Agrees) {
        Ok(caller) => {
            assert_eq!(token, GOOD.trim_end(), "nobody signed this token");
            assert_eq!(caller.principal().to_string(), EMAIL);
            // a token that was remembered is still no token when the clock is in doubt
            assert!(VERIFIER.verify_headers(&headers, &trust(), ClockHealth::InDoubt).is_err());
        }
        Err(refusal) => assert!(refusal.is_final(), "{refusal} blames us"),
    }
}
