//! The report for programs: one object, whose fields CONFORMANCE.md lists. Fields are added, never renamed; `format` grows when
//! that is not enough.

use serde::Serialize;

use super::super::case::{Group, Mark, Severity};
use super::super::run::{Outcome, Verdict};
use super::{Latency, Report};

/// Of this layout.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Whole<'a> {
    format: u32,
    url: &'a str,
    key_path: &'a str,
    conforms: bool,
    summary: Summary,
    latency: Latency,
    cases: Vec<One<'a>>,
}

#[derive(Serialize)]
struct Summary {
    cases: usize,
    passed: usize,
    failed_required: usize,
    failed_recommended: usize,
    skipped: usize,
    calls: u64,
}

#[derive(Serialize)]
struct One<'a> {
    name: &'a str,
    group: Group,
    severity: Severity,
    mark: Mark,
    /// `passed`, `failed` or `skipped`.
    outcome: &'static str,
    /// Sum of the latencies of its answers.
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finding: Option<Found<'a>>,
}

#[derive(Serialize)]
struct Found<'a> {
    call: usize,
    calls: usize,
    sends: &'a str,
    expected: &'a str,
    got: &'a str,
    excerpt: &'a str,
    why: &'a str,
    remedy: &'a str,
}

impl Report {
    /// The whole report, with a line break at its end.
    pub fn json(&self) -> String {
        let summary = Summary {
            cases: self.verdicts.len(),
            passed: self.passed(),
            failed_required: self.failed(Severity::Required),
            failed_recommended: self.failed(Severity::Recommended),
            skipped: self.skipped(),
            calls: self.calls,
        };
        let whole = Whole {
            format: FORMAT,
            url: &self.url,
            key_path: &self.key_path,
            conforms: summary.failed_required == 0,
            summary,
            latency: self.latency,
            cases: self.verdicts.iter().map(one).collect(),
        };
        let mut text = serde_json::to_string_pretty(&whole).expect("a report holds only what JSON can write");
        text.push('\n');
        text
    }
}

fn one(verdict: &Verdict) -> One<'_> {
    let case = verdict.case;
    let (outcome, skipped, finding) = match &verdict.outcome {
        Outcome::Passed => ("passed", None, None),
        Outcome::Skipped(why) => ("skipped", Some(*why), None),
        Outcome::Failed { step, steps, finding } => {
            let found = Found {
                call: *step,
                calls: *steps,
                sends: case.sends,
                expected: &finding.expected,
                got: &finding.got,
                excerpt: &finding.excerpt,
                why: case.why,
                remedy: case.remedy,
            };
            ("failed", None, Some(found))
        }
    };
    One {
        name: case.name,
        group: case.group,
        severity: case.severity,
        mark: case.mark,
        outcome,
        seconds: verdict.took.as_secs_f64(),
        skipped,
        finding,
    }
}
