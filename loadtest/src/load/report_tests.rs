//! The two printed forms of a result.

use super::super::schedule::tests::plan;
use super::super::tally::Worth;
use super::super::tally::tests::{tally, timing};
use super::*;

const DEMANDS: Demands = Demands { lateness_max: Duration::from_millis(10), errors_max: 0.001, good_min: None };

/// A run of ten seconds with a hundred calls, and this at the last one.
pub fn page(worth: Worth, fault: Option<&str>) -> Page {
    let mut tally = tally();
    for number in 0..100 {
        let intended = number * 100;
        tally.asked(Duration::from_millis(intended));
        let (code, worth) = if number == 99 { (Code::Status(503), worth) } else { (Code::Status(200), Worth::Right) };
        tally.ended(Operation::Unwrap, timing(intended, intended, intended, intended + 2), code, worth);
    }
    if let Some(fault) = fault {
        tally.fault(Fault { at_seconds: 9.9, operation: "unwrap", habit: "plain", words: fault.to_owned() });
    }
    if worth == Worth::Error {
        tally.unanswered = Some("<b>broke</b>".to_owned());
    }
    let around = Circumstances {
        connections: 4,
        within: Duration::from_millis(90),
        token_renewals_failed: 0,
        generator_cpu: Duration::from_millis(2),
    };
    Page::new(&Plan { rate: 10.0, ..plan() }, tally, DEMANDS, &around)
}

fn text(page: &Page) -> String {
    let mut out = Vec::new();
    page.print_text(&mut out).expect("memory takes every write");
    String::from_utf8(out).expect("the report is text")
}

#[test]
fn a_passed_run_reads_like_this() {
    let expected = "\
asked     10.0 calls/s for 10.0 s: 100 calls over 4 connections and 4 keys, seed 7
sent      100 calls, 10.0/s; 0 never sent
good      100.000 % right within 90 ms, 10.0/s
latency   p50 2.00  p90 2.00  p99 2.00  p99.9 2.00  max 2.00 ms   from the intended start
unwrap    p50 2.00  p90 2.00  p99 2.00  p99.9 2.00  max 2.00 ms
          100 right, 0 errors, 0 wrong; 200 x 99, 503 x 1
lateness  p50 0.00  p90 0.00  p99 0.00  p99.9 0.00  max 0.00 ms   the generator's own
generator 20.0 us CPU a call, 0 connections reopened, 0 token renewals failed
passed
";
    assert_eq!(text(&page(Worth::Right, None)), expected);
}

#[test]
fn a_wrong_answer_and_too_many_errors_fail_it_and_are_said() {
    let wrong = page(Worth::Wrong, Some("a fault"));
    assert!(!wrong.is_passed());
    let text_of = text(&wrong);
    assert!(text_of.contains("at 9.900 s, unwrap written as plain: a fault\n"), "{text_of}");
    assert!(text_of.ends_with("WRONG: 1 answers were wrong\nfailed\n"), "{text_of}");
    let errors = page(Worth::Error, None);
    assert_eq!((errors.verdict, errors.findings.len()), ("failed", 1));
    let text_of = text(&errors);
    assert!(text_of.contains("  the first call without an answer: <b>broke</b>\n"), "{text_of}");
}

#[test]
fn the_json_form_is_one_line_with_a_series_over_time() {
    let mut out = Vec::new();
    page(Worth::Right, None).print_json(&mut out).expect("memory takes every write");
    let text = String::from_utf8(out).expect("the report is text");
    assert_eq!(text.lines().count(), 1);
    let page: serde_json::Value = serde_json::from_str(&text).expect("the report is JSON");
    assert_eq!((page["verdict"].as_str(), page["calls_sent"].as_u64()), (Some("passed"), Some(100)));
    assert_eq!(page["points"].as_array().map(Vec::len), Some(10));
    assert_eq!(
        (page["points"][3]["at_seconds"].as_f64(), page["points"][3]["codes"]["200"].as_f64()),
        (Some(3.0), Some(10.0))
    );
    assert_eq!(page["operations"][1]["codes"]["503"], 1);
    for key in ["latency", "lateness", "connection_wait"] {
        assert!(page[key]["p999_seconds"].is_number(), "{key}");
    }
}

#[test]
fn a_void_run_is_void_unless_an_answer_was_wrong() {
    let void = Finding::Nothing;
    let wrong = Finding::Wrong { wrong: 1 };
    assert_eq!(verdict(&[]), "passed");
    assert_eq!(verdict(std::slice::from_ref(&void)), "void");
    assert_eq!(verdict(&[void, wrong]), "failed");
}
