//! The table of habits, row by row.

use super::*;

fn body(name: &str, payload: &[u8], associated_data: &[u8]) -> Value {
    let habit = <&'static Habit>::read(name).expect("the row is in the table");
    let content = Content { field: "plaintext", payload, associated_data, choice: 5 };
    serde_json::from_slice(&habit.body(&content)).expect("a body is JSON")
}

#[test]
fn every_row_has_a_name_of_its_own_that_the_help_lists() {
    let listed: Vec<&str> = <&'static Habit as Choice>::ALLOWED.split(", ").collect();
    let named: Vec<&str> = HABITS.iter().map(|habit| habit.name).collect();
    assert_eq!(listed, named);
}

#[test]
fn bytes_are_written_in_each_of_the_four_ways() {
    // 0xfb 0xff tells the alphabets apart, and two bytes need padding
    for (name, expected) in [("plain", "+/8="), ("unpadded", "+/8"), ("url-safe", "-_8="), ("url-safe-unpadded", "-_8")]
    {
        assert_eq!(body(name, &[0xfb, 0xff], b"")["plaintext"], expected, "{name}");
    }
}

#[test]
fn an_empty_value_is_omitted_or_null_or_written() {
    assert!(body("plain", b"", b"").get("additionalAuthenticatedData").is_none());
    assert!(body("plain", b"", b"").get("plaintext").is_none());
    assert_eq!(body("null-context", b"", b"").get("plaintext"), Some(&Value::Null));
    assert_eq!(body("null-context", b"x", b"").get("additionalContext"), Some(&Value::Null));
    assert_eq!(body("empty-reason", b"", b"")["additionalAuthenticatedData"], "");
    assert_eq!(body("null-context", b"x", b"y")["additionalAuthenticatedData"], "eQ==");
}

#[test]
fn the_justification_comes_in_every_form() {
    let reason = |name: &str| body(name, b"x", b"")["additionalContext"].get("accessReasonContext").cloned();
    for (name, expected) in [
        ("no-justification", None),
        ("null-justification", Some(Value::Null)),
        ("empty-reason", Some(json!({}))),
        ("unspecified-reason", Some(json!({"reason": "REASON_UNSPECIFIED"}))),
        ("plain", Some(json!({"reason": "GOOGLE_RESPONSE_TO_PRODUCTION_ALERT"}))),
        ("reason-number", Some(json!({"reason": 10}))),
        ("unknown-reason", Some(json!({"reason": "REASON_OF_NEXT_YEAR"}))),
        ("unknown-reason-number", Some(json!({"reason": 4711}))),
    ] {
        assert_eq!(reason(name), expected, "{name}");
    }
    assert!(body("no-context", b"x", b"").get("additionalContext").is_none());
}

#[test]
fn the_health_check_comes_in_every_form() {
    let check = |name: &str| body(name, b"x", b"")["additionalContext"].get("isKeyHealthCheck").cloned();
    assert_eq!(check("plain"), None);
    assert_eq!(check("health-check"), Some(json!(true)));
    assert_eq!(check("no-health-check"), Some(json!(false)));
    assert_eq!(check("null-health-check"), Some(Value::Null));
}

#[test]
fn unknown_fields_and_a_key_path_stand_beside_the_known_ones() {
    let unknown = body("unknown-fields", b"x", b"");
    assert!(unknown["fieldOfNextYear"].is_object() && unknown["additionalContext"]["andANumber"].is_number());
    assert_eq!(body("key-path-in-body", b"x", b"")["keyPath"], "v0/keys/of-somebody-else");
    let name = body("plain", b"x", b"")["additionalContext"]["relativeResourceName"].clone();
    assert_eq!(name, "projects/demo/locations/europe-west1/keyRings/ring/cryptoKeys/key-5/cryptoKeyVersions/1");
}
