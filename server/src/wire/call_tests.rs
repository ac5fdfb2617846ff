//! Tables of bodies and what each reads as. Kept apart so that the reader stays a short file.

use super::*;

fn wrap(body: &str) -> Result<CryptoCall<'_>, WireError> {
    CryptoCall::parse(body.as_bytes(), PayloadField::Plaintext)
}

fn wrap_of(payload: &[u8]) -> CryptoCall<'static> {
    CryptoCall { payload: payload.to_vec(), ..CryptoCall::default() }
}

#[test]
fn absent_null_and_default_are_one_and_the_same() {
    for body in [
        "{}",
        r#"{"plaintext":null}"#,
        r#"{"plaintext":""}"#,
        r#" {"plaintext":"","additionalAuthenticatedData":null,"additionalContext":null} "#,
        r#"{"additionalContext":{}}"#,
        r#"{"additionalContext":{"relativeResourceName":null,"accessReasonContext":null,"isKeyHealthCheck":null}}"#,
        r#"{"additionalContext":{"isKeyHealthCheck":false}}"#,
    ] {
        assert_eq!(wrap(body), Ok(wrap_of(b"")), "{body}");
    }
}

#[test]
fn a_whole_call_reads_as_stated() -> Result<(), WireError> {
    let body = r#"{
        "keyPath": "v0/keys/ignored", "keyUriPrefix": "https://ignored",
        "wrappedBlob": "AQI", "additionalAuthenticatedData": "-_8=",
        "additionalContext": {
            "relativeResourceName": "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
            "fullResourceName": "//cloudkms.googleapis.com/projects/p",
            "accessReasonContext": {"reason": "CUSTOMER_INITIATED_ACCESS", "later": [1, {"a": 2.5}]},
            "isKeyHealthCheck": true,
            "later": {}},
        "later": [null, true, -1, 1e3, "x"] }"#;
    let call = CryptoCall::parse(body.as_bytes(), PayloadField::WrappedBlob)?;
    assert_eq!(call.payload, [1, 2]);
    assert_eq!(call.associated_data, [0xfb, 0xff]);
    assert_eq!(call.reason, AccessReason::from_number(5));
    assert!(call.is_health_check);
    assert!(matches!(call.resource_name, Some(Cow::Borrowed(name)) if name.ends_with("cryptoKeyVersions/1")));
    Ok(())
}

#[test]
fn names_of_the_proto_and_escapes_are_understood() {
    let body = r#"{"plaint\u0065xt":"\u0041A\u003d=","additional_authenticated_data":"+\/8=",
        "additional_context":{"relative_resource_name":"a\nb","access_reason_context":{},"is_key_health_check":true}}"#;
    assert_eq!(
        wrap(body),
        Ok(CryptoCall {
            payload: vec![0],
            associated_data: vec![0xfb, 0xff],
            resource_name: Some("a\nb".into()),
            reason: AccessReason::Unspecified,
            is_health_check: true,
        })
    );
}

#[test]
fn the_other_operations_payload_is_an_unknown_field() {
    assert_eq!(wrap(r#"{"wrappedBlob":{"not":"read"},"plaintext":"AA=="}"#), Ok(wrap_of(&[0])));
}

#[test]
fn a_reason_never_fails_the_read() -> Result<(), WireError> {
    let rows = [
        ("", AccessReason::Missing),
        (r#""accessReasonContext":null"#, AccessReason::Missing),
        (r#""accessReasonContext":{}"#, AccessReason::Unspecified),
        (r#""accessReasonContext":{"reason":null}"#, AccessReason::Unspecified),
        (r#""accessReasonContext":{"reason":0}"#, AccessReason::Unspecified),
        (r#""accessReasonContext":{"reason":"REASON_UNSPECIFIED"}"#, AccessReason::Unspecified),
        (r#""accessReasonContext":{"reason":3}"#, AccessReason::from_number(3)),
        (r#""accessReasonContext":{"reason":"THIRD_PARTY_DATA_REQUEST"}"#, AccessReason::from_number(3)),
        (r#""accessReasonContext":{"reason":12}"#, AccessReason::from_number(12)),
        (r#""accessReasonContext":{"reason":-7}"#, AccessReason::from_number(-7)),
        (r#""accessReasonContext":{"reason":18446744073709551615}"#, AccessReason::from_number(i64::MAX)),
        (r#""accessReasonContext":{"reason":"NEXT"}"#, AccessReason::from_text("NEXT")),
    ];
    for (context, reason) in rows {
        assert_eq!(wrap(&format!("{{\"additionalContext\":{{{context}}}}}"))?.reason, reason, "{context}");
    }
    Ok(())
}

#[test]
fn every_fault_names_its_field_and_quotes_nothing() {
    let deep = format!(r#"{{"later":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
    let rows = [
        ("", "the body is empty; send a JSON object"),
        (" \n", "the body is empty; send a JSON object"),
        ("{", "the body is not a JSON object that can be read (line 1, column 1)"),
        ("[]", "the body is not a JSON object that can be read (line 1, column 0)"),
        ("null", "the body is not a JSON object that can be read (line 1, column 4)"),
        ("{} {}", "the body is not a JSON object that can be read (line 1, column 4)"),
        (r#"{"plaintext":"AA=="#, "the body is not a JSON object that can be read (line 1, column 18)"),
        (&deep, "the body is not a JSON object that can be read (line 1, column 136)"),
        (r#"{"plaintext":"geheim!"}"#, "the field plaintext is not base64"),
        (r#"{"plaintext":"\u0021"}"#, "the field plaintext is not base64"),
        (r#"{"plaintext":17}"#, "the field plaintext is not bytes in base64"),
        (r#"{"plaintext":[1]}"#, "the field plaintext is not bytes in base64"),
        (r#"{"additionalAuthenticatedData":"?"}"#, "the field additionalAuthenticatedData is not base64"),
        (r#"{"additionalContext":"geheim"}"#, "the field additionalContext is not an object"),
        (r#"{"additionalContext":[]}"#, "the field additionalContext is not an object"),
        (
            r#"{"additionalContext":{"relativeResourceName":5}}"#,
            "the field additionalContext.relativeResourceName is not a text",
        ),
        (
            r#"{"additionalContext":{"isKeyHealthCheck":"geheim"}}"#,
            "the field additionalContext.isKeyHealthCheck is not true or false",
        ),
        (
            r#"{"additionalContext":{"accessReasonContext":5}}"#,
            "the field additionalContext.accessReasonContext is not an object",
        ),
        (
            r#"{"additionalContext":{"accessReasonContext":{"reason":{}}}}"#,
            "the field additionalContext.accessReasonContext.reason is not the name or the number of a reason",
        ),
        (
            r#"{"additionalContext":{"accessReasonContext":{"reason":1,"reason":2}}}"#,
            "the field additionalContext.accessReasonContext.reason stands there twice",
        ),
        (r#"{"plaintext":"","plaintext":""}"#, "the field plaintext stands there twice"),
        (r#"{"additional_context":{},"additionalContext":{}}"#, "the field additionalContext stands there twice"),
    ];
    for (body, message) in rows {
        let shown = &body[..body.len().min(80)];
        assert_eq!(wrap(body).map_err(|error| error.to_string()), Err(message.to_owned()), "{shown}");
    }
}

#[test]
fn bytes_that_are_no_utf8_are_refused_as_bad_json() {
    let body = b"{\"plaintext\":\"\xff\xfe\"}";
    assert!(matches!(CryptoCall::parse(body, PayloadField::Plaintext), Err(WireError::Json { .. })));
}

proptest::proptest! {
    #[test]
    fn any_bytes_survive_the_answer_and_the_reader(bytes: Vec<u8>) {
        let answer = wrap_answer(&bytes);
        let call = CryptoCall::parse(&answer, PayloadField::WrappedBlob).expect("our own answer is well formed");
        proptest::prop_assert_eq!(call.payload, bytes.clone());
        let answer = unwrap_answer(&bytes);
        let call = CryptoCall::parse(&answer, PayloadField::Plaintext).expect("our own answer is well formed");
        proptest::prop_assert_eq!(call.payload, bytes);
    }

    #[test]
    fn no_body_makes_the_reader_panic(body: Vec<u8>) {
        drop(CryptoCall::parse(&body, PayloadField::Plaintext));
    }
}
