//! What a run found: answers counted, latencies as percentiles, failures as a bounded list. It adds up and prints; it decides
//! nothing about an answer.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::judge::Fault;
use crate::client::{Answer, Verb};

/// So many failures are kept word for word; all are counted.
const FAILURES_KEPT: usize = 20;
/// Latencies are kept in microseconds up to a minute, to three digits.
const LATENCY_MAX_MICROS: u64 = 60_000_000;
const DIGITS: u8 = 3;

/// The findings of one worker, or of all of them together.
pub struct Report {
    cases: u64,
    refusals: u64,
    retries: u64,
    failures: u64,
    kept: Vec<Failure>,
    wrap: Histogram<u64>,
    unwrap: Histogram<u64>,
}

/// One wrong answer.
#[derive(Debug, Clone, Serialize)]
struct Failure {
    case: u64,
    fault: String,
}

/// Times of the answers to one verb, in seconds, measured here at the client.
#[derive(Debug, Serialize)]
struct Latency {
    answers: u64,
    p50_seconds: f64,
    p90_seconds: f64,
    p99_seconds: f64,
    max_seconds: f64,
}

/// The JSON form of a report.
#[derive(Debug, Serialize)]
struct Page<'a> {
    cases: u64,
    refusals_as_expected: u64,
    retries: u64,
    elapsed_seconds: f64,
    wrap: Latency,
    unwrap: Latency,
    failures_total: u64,
    failures: &'a [Failure],
}

impl Report {
    /// A report of nothing yet.
    pub fn empty() -> Self {
        let histogram = || {
            Histogram::new_with_max(LATENCY_MAX_MICROS, DIGITS)
                .expect("the bounds are constants that the histogram takes")
        };
        Self {
            cases: 0,
            refusals: 0,
            retries: 0,
            failures: 0,
            kept: Vec::new(),
            wrap: histogram(),
            unwrap: histogram(),
        }
    }

    /// Counts an answer and its latency, right or wrong.
    pub fn answered(&mut self, verb: Verb, answer: &Answer) {
        let micros = u64::try_from(answer.latency.as_micros()).unwrap_or(LATENCY_MAX_MICROS);
        match verb {
            Verb::Wrap => self.wrap.saturating_record(micros),
            Verb::Unwrap => self.unwrap.saturating_record(micros),
        }
    }

    /// Counts a refusal that was the right answer.
    pub fn refused_as_expected(&mut self) {
        self.refusals += 1;
    }

    /// Counts a call that was answered with "try again".
    pub fn retried(&mut self) {
        self.retries += 1;
    }

    /// Counts a case that was gone through, right or wrong.
    pub fn case_done(&mut self) {
        self.cases += 1;
    }

    /// Counts a wrong answer, and keeps its words if there is room.
    pub fn failed(&mut self, case: u64, fault: &Fault) {
        self.failures += 1;
        if self.kept.len() < FAILURES_KEPT {
            self.kept.push(Failure { case, fault: fault.to_string() });
        }
    }

    /// Adds what another worker found.
    pub fn absorb(&mut self, other: Self) {
        self.cases += other.cases;
        self.refusals += other.refusals;
        self.retries += other.retries;
        self.failures += other.failures;
        self.kept.extend(other.kept);
        self.kept.truncate(FAILURES_KEPT);
        self.wrap.add(other.wrap).expect("both histograms have the same bounds");
        self.unwrap.add(other.unwrap).expect("both histograms have the same bounds");
    }

    /// Whether every answer was right.
    pub const fn is_clean(&self) -> bool {
        self.failures == 0
    }

    /// Prints the report for people.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn print_text(&self, elapsed: Duration, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "cases     {} in {:.2} s", self.cases, elapsed.as_secs_f64())?;
        writeln!(out, "wrap      {}", latency(&self.wrap))?;
        writeln!(out, "unwrap    {}", latency(&self.unwrap))?;
        writeln!(out, "refused   {} as they must be", self.refusals)?;
        writeln!(out, "retried   {} that were told to try again", self.retries)?;
        writeln!(out, "failures  {}", self.failures)?;
        for failure in &self.kept {
            writeln!(out, "  case {}: {}", failure.case, failure.fault)?;
        }
        let unsaid = self.failures - self.kept.len() as u64;
        if unsaid > 0 {
            writeln!(out, "  and {unsaid} more")?;
        }
        Ok(())
    }

    /// Prints the report as one JSON object on one line.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn print_json(&self, elapsed: Duration, out: &mut impl Write) -> io::Result<()> {
        let page = Page {
            cases: self.cases,
            refusals_as_expected: self.refusals,
            retries: self.retries,
            elapsed_seconds: elapsed.as_secs_f64(),
            wrap: latency(&self.wrap),
            unwrap: latency(&self.unwrap),
            failures_total: self.failures,
            failures: &self.kept,
        };
        serde_json::to_writer(&mut *out, &page)?;
        writeln!(out)
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p90, p99, max] =
            [self.p50_seconds, self.p90_seconds, self.p99_seconds, self.max_seconds].map(|seconds| seconds * 1000.0);
        write!(
            formatter,
            "{} answers, p50 {p50:.2} ms, p90 {p90:.2} ms, p99 {p99:.2} ms, max {max:.2} ms",
            self.answers
        )
    }
}

fn latency(histogram: &Histogram<u64>) -> Latency {
    let seconds = |micros: u64| Duration::from_micros(micros).as_secs_f64();
    Latency {
        answers: histogram.len(),
        p50_seconds: seconds(histogram.value_at_quantile(0.5)),
        p90_seconds: seconds(histogram.value_at_quantile(0.9)),
        p99_seconds: seconds(histogram.value_at_quantile(0.99)),
        max_seconds: seconds(histogram.max()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(failures: u64) -> Report {
        let mut report = Report::empty();
        for millis in 1..=100 {
            let latency = Duration::from_millis(millis);
            report.answered(Verb::Wrap, &Answer { status: 200, body: Vec::new(), latency });
            report.case_done();
        }
        report.refused_as_expected();
        (0..failures).for_each(|case| report.failed(case, &Fault::NoBlob));
        report
    }

    fn text(report: &Report) -> String {
        let mut out = Vec::new();
        report.print_text(Duration::from_secs(2), &mut out).expect("memory takes every write");
        String::from_utf8(out).expect("the report is text")
    }

    #[test]
    fn a_clean_report_reads_like_this() {
        let expected = "\
cases     100 in 2.00 s
wrap      100 answers, p50 50.01 ms, p90 90.05 ms, p99 99.01 ms, max 100.03 ms
unwrap    0 answers, p50 0.00 ms, p90 0.00 ms, p99 0.00 ms, max 0.00 ms
refused   1 as they must be
retried   0 that were told to try again
failures  0
";
        assert_eq!(text(&filled(0)), expected);
        assert!(filled(0).is_clean());
    }

    #[test]
    fn failures_are_all_counted_and_only_some_are_kept() {
        let mut report = filled(15);
        report.absorb(filled(15));
        assert!(!report.is_clean());
        let text = text(&report);
        assert!(text.contains("failures  30\n"), "{text}");
        assert_eq!(text.matches("the answer has no wrapped blob").count(), FAILURES_KEPT);
        assert!(text.ends_with("  and 10 more\n"), "{text}");
        assert!(text.starts_with("cases     200 in"), "{text}");
    }

    #[test]
    fn a_latency_beyond_the_histogram_counts_as_its_end() {
        let mut report = Report::empty();
        let latency = Duration::from_hours(1);
        report.answered(Verb::Unwrap, &Answer { status: 200, body: Vec::new(), latency });
        assert!(text(&report).contains("unwrap    1 answers"), "{}", text(&report));
    }

    #[test]
    fn the_json_form_is_one_line_with_counts_and_seconds() {
        let mut out = Vec::new();
        filled(1).print_json(Duration::from_secs(2), &mut out).expect("memory takes every write");
        let text = String::from_utf8(out).expect("the report is text");
        assert_eq!(text.lines().count(), 1);
        let page: serde_json::Value = serde_json::from_str(&text).expect("the report is JSON");
        assert_eq!(page["failures_total"], 1);
        assert_eq!(page["failures"][0]["fault"], "the answer has no wrapped blob");
        assert_eq!(page["wrap"]["answers"], 100);
        assert_eq!(page["elapsed_seconds"], 2.0);
    }
}
