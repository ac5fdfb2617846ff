//! What the reports say, and that nothing a target sends can break them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::case::{Case, Severity};
use super::super::cases;
use super::super::expect::{Expect, Refusal};
use super::super::judge::{Answer, Finding, Past, judge};
use super::super::preflight;
use super::super::report::{Latency, Report};
use super::super::run::{Outcome, Seen, Verdict};
use super::world::Signers;

/// What a hostile target could put into an error body.
const HOSTILE: &str = "]]></failure><x a='\"&\u{1b}[31m\u{7}\u{0}\u{202e}\r\n\t\u{fffe}é✗";

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status,
        content_type: "text/html".to_owned(),
        allow: String::new(),
        retry_after: None,
        body: body.as_bytes().to_vec(),
        latency: Duration::from_millis(3),
    }
}

fn case(name: &str) -> &'static Case {
    cases::all().find(|case| case.name == name).expect("the case is in the table")
}

fn verdict(name: &str, outcome: Outcome) -> Verdict {
    Verdict { case: case(name), outcome, took: Duration::from_millis(3) }
}

fn hostile() -> Finding {
    let refused = Expect::Refused(Refusal::INVALID);
    judge(&refused, &answer(500, HOSTILE), &Past::default()).expect_err("500 is wrong")
}

fn report() -> Report {
    let failed = |step| Outcome::Failed { step, steps: 4, finding: hostile() };
    let verdicts = vec![
        verdict("round-trip", Outcome::Passed),
        verdict("wrap-is-randomised", failed(2)),
        verdict("damaged-blob", failed(3)),
        verdict("disabled-key", Outcome::Skipped("give --disabled-key-path & <more>")),
    ];
    let latencies = (1..=200).map(Duration::from_millis).collect();
    let mut seen = Seen::default();
    (seen.calls, seen.latencies) = (9, latencies);
    Report::new("https://ekm.example/?a&b=\"<", "v0/keys/k", verdicts, seen)
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("it is an object").keys().map(String::as_str).collect()
}

#[test]
fn junit_is_xml_whatever_the_target_says() {
    let xml = report().junit();
    let document = roxmltree::Document::parse(&xml).unwrap_or_else(|error| panic!("{error}:\n{xml}"));
    let all: Vec<_> = document.descendants().filter(roxmltree::Node::is_element).collect();
    let named = |name: &str| all.iter().filter(|node| node.has_tag_name(name)).count();
    assert_eq!((named("testsuite"), named("testcase"), named("failure"), named("skipped")), (2, 4, 1, 2));
    let root = document.root_element();
    let counts = ["tests", "failures", "errors", "skipped"].map(|name| root.attribute(name).unwrap_or_default());
    assert_eq!(counts, ["4", "1", "0", "2"]);
    let failure = all.iter().find(|node| node.has_tag_name("failure")).expect("one case failed");
    let words = failure.text().unwrap_or_default();
    assert!(words.contains("]]></failure><x a='\"&") && words.contains("got: HTTP 500"), "{words}");
    assert_eq!(all.iter().find_map(|node| node.attribute("value")), Some("https://ekm.example/?a&b=\"<"));
}

#[test]
fn json_has_the_fields_that_the_page_lists() {
    let page = include_str!("../../../CONFORMANCE.md");
    let whole: Value = serde_json::from_str(&report().json()).expect("it is JSON");
    let failed = &whole["cases"][2];
    let pinned = [
        (&whole, "cases conforms format key_path latency summary url"),
        (&whole["summary"], "calls cases failed_recommended failed_required passed skipped"),
        (&whole["latency"], "above_150_ms answers max_ms median_ms p99_ms"),
        (failed, "finding group mark name outcome seconds severity"),
        (&failed["finding"], "call calls excerpt expected got remedy sends why"),
    ];
    for (value, names) in pinned {
        assert_eq!(keys(value), names.split(' ').collect());
        for name in keys(value) {
            assert!(page.contains(&format!("`{name}`")), "the page does not list {name}");
        }
    }
    assert_eq!(whole["cases"][3]["skipped"], json!("give --disabled-key-path & <more>"));
    assert_eq!(whole["conforms"], json!(false));
    assert_eq!(whole["latency"]["p99_ms"], json!(198.0));
    assert_eq!(whole["latency"]["above_150_ms"], json!(50));
}

#[test]
fn text_says_what_was_expected_and_what_to_do() {
    let report = report();
    let text = report.text();
    for line in [
        "  ✓ round-trip\n",
        "  ✗ wrap-is-randomised  (recommended, inferred)\n",
        "  ✗ damaged-blob  (required, inferred)\n",
        "      expected  HTTP 400, INVALID_ARGUMENT (call 3 of 4)\n",
        "      got       HTTP 500\n",
        "      do        use authenticated encryption over the whole blob",
        "  - disabled-key  (not tried: give --disabled-key-path & <more>)\n",
        "1 passed, 1 required and 1 recommended failed, 1 skipped; 9 calls.\n",
        "The target does not conform",
    ] {
        assert!(text.contains(line), "{line:?} is not in:\n{text}");
    }
    assert!(!text.contains(|one: char| one.is_control() && one != '\n'), "{text:?}");
    assert!(!text.contains('\u{202e}'), "text that runs backwards is escaped");
    assert_eq!((report.failed(Severity::Required), report.failed(Severity::Recommended)), (1, 1));
}

#[test]
fn what_comes_with_a_success_is_not_shown() {
    let refused = Expect::Refused(Refusal::UNAUTHENTICATED);
    let finding =
        judge(&refused, &answer(200, r#"{"plaintext": "c2VjcmV0"}"#), &Past::default()).expect_err("it served");
    assert_eq!(finding.excerpt, "(25 bytes)");
    assert_eq!(finding.expected, "HTTP 401, UNAUTHENTICATED");
}

#[test]
fn a_token_that_comes_back_is_not_shown() {
    let signers = Signers::new();
    let token = signers.issuer.sign(&signers.issuer.header(), &json!({"email": "a@b.example"}));
    let body = format!("{{\"code\": 7, \"message\": \"no: {token}; eyJust no\"}}");
    let refused = Expect::Refused(Refusal::UNAUTHENTICATED);
    let finding = judge(&refused, &answer(403, &body), &Past::default()).expect_err("403 is wrong");
    assert_eq!(finding.excerpt, r#"{"code": 7, "message": "no: (a token); eyJust no"}"#);
}

#[test]
fn latencies_of_nothing_are_nought() {
    let none = Latency { answers: 0, median_ms: 0.0, p99_ms: 0.0, max_ms: 0.0, above_150_ms: 0 };
    assert_eq!(Latency::of(Vec::new()), none);
}

#[test]
fn the_first_call_tells_an_ekm_from_something_else() {
    let signers = Signers::new();
    let rows = [
        (200, r#"{"wrappedBlob": "AAAA"}"#, "goes on"),
        (400, r#"{"code": 3, "message": "an odd EKM"}"#, "goes on"),
        (500, r#"{"error": {"code": 500, "status": "INTERNAL", "message": "an odd EKM"}}"#, "goes on"),
        (401, r#"{"code": 16, "message": "m"}"#, "usage: the EKM refuses a right token with 401: m. Have it trust"),
        (
            403,
            r#"{"code": 7, "message": "m"}"#,
            "usage: the EKM refuses service-1@gcp-sa-ekms.iam.gserviceaccount.com with 403",
        ),
        (
            404,
            r#"{"error": {"code": 404, "status": "NOT_FOUND", "message": "m"}}"#,
            "usage: the EKM knows no key at v0/keys/first",
        ),
        (400, r#"{"code": 9, "message": "disabled"}"#, "usage: the key at v0/keys/first does not serve: disabled"),
        (503, r#"{"code": 14, "message": "later"}"#, "target: the EKM answers HTTP 503 to every try: later"),
        (
            200,
            "<html>\u{1b}Welcome",
            "target: not an EKM: :wrap is answered with HTTP 200 and a body of type text/html",
        ),
        (404, "not found", "target: not an EKM"),
        (404, r#"{"detail": "Not Found"}"#, "target: not an EKM"),
        (200, "{}", "target: not an EKM"),
        (302, "", "target: not an EKM"),
        (401, "Unauthorized", "target: not an EKM"),
    ];
    for (status, body, right) in rows {
        let said = match preflight::judged(&answer(status, body), &signers.parties()) {
            Ok(()) => "goes on".to_owned(),
            Err(error) => format!("{}: {error}", if error.is_usage() { "usage" } else { "target" }),
        };
        assert!(said.starts_with(right), "{status} {body}: {said}");
        assert!(!said.contains('\u{1b}'));
    }
}
