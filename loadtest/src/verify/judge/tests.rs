//! The judge against recorded answers: each right one passes, each wrong one is named. Sends nothing.

use std::collections::HashSet;
use std::time::Duration;

use super::*;

const REFUSED: &str = r#"{"code": 3, "message": "the blob does not open", "details":
    [{"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "r-1"}]}"#;
const REFUSED_IN_ENVELOPE: &str = r#"{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "m", "details":
    [{"@type": "type.googleapis.com/google.rpc.ErrorInfo"},
     {"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "r-1"}]}}"#;

fn answer(status: u16, body: &str) -> Answer {
    Answer { status, body: body.as_bytes().to_vec(), latency: Duration::ZERO }
}

/// A case whose bytes are all `byte`.
fn case(number: u64, byte: u8) -> Case {
    Case::plan(number, &mut |bytes: &mut [u8]| bytes.fill(byte))
}

#[test]
fn sixty_cases_meet_every_size_with_every_probe() {
    let seen: HashSet<_> = (0..60)
        .map(|number| {
            let case = case(number, 7);
            (case.plaintext.len(), case.associated_data.len(), case.probe as u8)
        })
        .collect();
    assert_eq!(seen.len(), PLAINTEXT_SIZES.len() * ASSOCIATED_DATA_SIZES.len() * PROBES.len());
}

#[test]
fn absent_associated_data_is_not_sent() {
    let body = serde_json::to_string(&case(1, 7).wrap()).expect("the body is plain strings");
    assert_eq!(body, r#"{"plaintext":"Bw=="}"#);
}

#[test]
fn a_damaged_call_differs_in_one_bit() {
    let blob = [0x55; 40];
    for byte in 0..=255 {
        let damaged = decoded("blob", &case(0, byte).unwrap_damaged(&blob).wrapped_blob).expect("it was just encoded");
        let changed: u32 = damaged.iter().zip(blob).map(|(one, other)| (one ^ other).count_ones()).sum();
        assert_eq!((damaged.len(), changed), (blob.len(), 1));
    }
}

#[test]
fn a_call_from_elsewhere_has_other_associated_data() {
    for number in 0..15 {
        let case = case(number, 7);
        let (right, other) = (case.unwrap_of(b"blob"), case.unwrap_elsewhere(b"blob"));
        assert_eq!(right.wrapped_blob, other.wrapped_blob);
        assert_ne!(right.additional_authenticated_data, other.additional_authenticated_data);
    }
}

#[test]
fn right_answers_pass() {
    assert_eq!(wrapped_blob(&answer(200, r#"{"wrappedBlob": "AQI="}"#)).expect("a right answer"), [1, 2]);
    case(0, 7).opened(&answer(200, "{}")).expect("an empty plaintext may be absent");
    case(0, 7).opened(&answer(200, r#"{"plaintext": ""}"#)).expect("an empty plaintext may be empty");
    case(1, 7).opened(&answer(200, r#"{"plaintext": "Bw=="}"#)).expect("a right answer");
    refused(&answer(400, REFUSED), Refusal::DoesNotOpen).expect("a right refusal");
    refused(&answer(400, REFUSED_IN_ENVELOPE), Refusal::DoesNotOpen).expect("a right refusal in the other shape");
    let nobody = REFUSED.replace(r#""code": 3"#, r#""code": 16"#);
    refused(&answer(401, &nobody), Refusal::NoToken).expect("a right refusal");
    differs(b"one", b"two").expect("two blobs that differ");
}

#[test]
fn every_wrong_answer_is_named() {
    let opened = |status, body: &str| case(1, 7).opened(&answer(status, body)).expect_err("a wrong answer").to_string();
    let wrapped = |status, body: &str| wrapped_blob(&answer(status, body)).expect_err("a wrong answer").to_string();
    let refused = |status, body: &str| {
        refused(&answer(status, body), Refusal::DoesNotOpen).expect_err("a wrong refusal").to_string()
    };
    let table = [
        (wrapped(503, "busy\n"), "status 503 where 200 is right: busy "),
        (wrapped(200, "{}"), "the answer has no wrapped blob"),
        (wrapped(200, r#"{"wrappedBlob": "A"}"#), "wrappedBlob is not standard base64"),
        (wrapped(200, r#"{"wrappedBlob": "AQI"}"#), "wrappedBlob is not standard base64"),
        (opened(200, r#"{"plaintext": "CA=="}"#), "unwrapped 1 bytes that are not the 1 bytes wrapped"),
        (opened(200, "{}"), "unwrapped 0 bytes that are not the 1 bytes wrapped"),
        (opened(403, "{}"), "status 403 where 200 is right: {}"),
        (refused(200, "{}"), "status 200 where 400 is right: (2 bytes)"),
        (refused(400, &REFUSED.replace(": 3,", ": 9,")), "the error body says 9 where INVALID_ARGUMENT is right"),
        (refused(400, &REFUSED.replace("r-1", "")), "the error body has no google.rpc.RequestInfo with a request id"),
        (
            refused(400, &REFUSED.replace("RequestInfo", "Help")),
            "the error body has no google.rpc.RequestInfo with a request id",
        ),
        (refused(400, r#"{"code": 3}"#), "the error body has no google.rpc.RequestInfo with a request id"),
        (
            refused(400, &REFUSED_IN_ENVELOPE.replace("INVALID_ARGUMENT", "FAILED_PRECONDITION")),
            "the error body says FAILED_PRECONDITION where INVALID_ARGUMENT is right",
        ),
    ];
    for (got, expected) in table {
        assert_eq!(got, expected);
    }
    let body = wrapped(200, "<html>");
    assert!(body.starts_with("the body is not the JSON that belongs there") && !body.contains("html"), "{body}");
    assert!(matches!(differs(b"one", b"one"), Err(Fault::RepeatedBlob)));
}

#[test]
fn an_excerpt_is_short_and_holds_no_control_characters() {
    let long = answer(500, &"\u{1b}[2J".repeat(1000));
    let shown = excerpt(&long);
    assert_eq!(shown.len(), EXCERPT_MAX);
    assert!(!shown.chars().any(char::is_control));
}
