//! Property tests: whatever is changed in a token, none of the changed ones is believed.

use proptest::prelude::*;

use super::cache::VERIFIED_TOKENS_MAX;
use super::testing::{
    AUDIENCE, EMAIL, ISSUER, ManualClock, NOW, bearer, good_token, header_json, signing_key, trust, verifier,
};
use super::verify::{ClockHealth, Verifier};

fn refused(verifier: &Verifier, token: &str) -> bool {
    match http::HeaderValue::from_bytes(format!("Bearer {token}").as_bytes()) {
        Ok(value) => {
            let headers = http::HeaderMap::from_iter([(http::header::AUTHORIZATION, value)]);
            verifier.verify_headers(&headers, &trust(), ClockHealth::Agrees).is_err_and(super::AuthnError::is_final)
        }
        Err(_) => true, // no HTTP header can carry it
    }
}

#[test]
fn every_single_character_of_a_token_counts() {
    let verifier = verifier(ManualClock::new());
    let good = good_token();
    assert!(!refused(&verifier, &good), "control");
    for at in 0..good.len() {
        for replacement in ["A", "Q", "_", ".", "="] {
            let mut changed = good.clone();
            changed.replace_range(at..=at, replacement);
            assert!(changed == good || refused(&verifier, &changed), "character {at} as {replacement}");
        }
        let mut shorter = good.clone();
        shorter.remove(at);
        assert!(refused(&verifier, &shorter), "without character {at}");
    }
    assert!(verifier.verified_tokens().misses() < VERIFIED_TOKENS_MAX);
}

fn foreign(good: &'static str) -> impl Strategy<Value = String> {
    let flipped = (0..good.len(), 33_u8..127).prop_map(move |(at, byte)| {
        let mut bytes = good.as_bytes().to_vec();
        bytes[at] = byte;
        String::from_utf8(bytes).expect("printable ASCII")
    });
    let cut = (0..good.len()).prop_map(move |at| good[..at].to_owned());
    let longer = "[ -~]{1,8}".prop_map(move |tail| format!("{good}{tail}"));
    prop_oneof![flipped, cut, longer, "[ -~]{0,40}"].prop_filter("is one of the trusted ones", |text| {
        let trust = trust();
        !trust.issuers.contains(text) && !trust.audiences.contains(text)
    })
}

fn outside_the_times() -> impl Strategy<Value = (u64, u64)> {
    prop_oneof![
        (0..=NOW - 60).prop_map(|exp| (exp.saturating_sub(3600), exp)),
        (NOW + 61..u64::MAX - 3600).prop_map(|iat| (iat, iat + 3600)),
        (0..=NOW, 3661..u64::MAX / 2).prop_map(|(iat, life)| (iat, iat + life)),
        (any::<u64>(), any::<u64>()).prop_map(|(a, b)| (a.max(b), a.min(b))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_correctly_signed_token_for_another_audience_or_issuer_is_refused(
        issuer in foreign(ISSUER), audience in foreign(AUDIENCE), which in 0..3_u8,
    ) {
        let (iss, aud) = match which { 0 => (issuer.as_str(), AUDIENCE), 1 => (ISSUER, audience.as_str()), _ => (issuer.as_str(), audience.as_str()) };
        let claims = serde_json::json!({
            "iss": iss, "aud": aud, "iat": NOW, "exp": NOW + 3600, "email": EMAIL, "email_verified": true,
        });
        let verifier = verifier(ManualClock::new());
        prop_assert!(refused(&verifier, &signing_key().sign_json(&header_json(), &claims.to_string())));
    }

    #[test]
    fn a_correctly_signed_token_outside_its_times_is_refused((iat, exp) in outside_the_times()) {
        let claims = serde_json::json!({
            "iss": ISSUER, "aud": AUDIENCE, "iat": iat, "exp": exp, "email": EMAIL, "email_verified": true,
        });
        let verifier = verifier(ManualClock::new());
        prop_assert!(refused(&verifier, &signing_key().sign_json(&header_json(), &claims.to_string())));
    }

    #[test]
    fn bytes_of_any_kind_are_refused_and_break_nothing(parts in proptest::collection::vec("[ -~]{0,60}", 0..5)) {
        use base64::Engine as _;
        let verifier = verifier(ManualClock::new());
        prop_assert!(refused(&verifier, &parts.join(".")));
        let encoded: Vec<String> =
            parts.iter().map(|part| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(part)).collect();
        prop_assert!(refused(&verifier, &encoded.join(".")));
        prop_assert!(refused(&verifier, &signing_key().sign_json(&header_json(), &parts.concat())));
    }
}

#[test]
fn the_good_token_itself_is_believed() {
    let verifier = verifier(ManualClock::new());
    assert!(verifier.verify_headers(&bearer(&good_token()), &trust(), ClockHealth::Agrees).is_ok());
}
