//! The result of a run as a value: what was asked, what was offered, what came. Printed as text for people and as JSON for
//! programs; the page for a browser is made from the same value.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use super::schedule::{Operation, Plan};
use super::tally::{Code, Fault, Tally, Times};
use super::verdict::{Demands, Finding, findings};

/// Times of some calls, in seconds.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(clippy::struct_field_names, reason = "the unit stands last in the JSON form")]
pub struct Percentiles {
    pub p50_seconds: f64,
    pub p90_seconds: f64,
    pub p99_seconds: f64,
    pub p999_seconds: f64,
    pub max_seconds: f64,
}

/// One operation.
#[derive(Debug, Serialize)]
pub struct OperationPage {
    pub operation: &'static str,
    pub right: u64,
    /// Told to try again, or not answered.
    pub errors: u64,
    pub wrong: u64,
    pub codes: BTreeMap<String, u64>,
    /// From the intended start.
    pub latency: Percentiles,
    /// From the sending.
    pub service: Percentiles,
}

/// One step of time.
#[derive(Debug, Serialize)]
pub struct PointPage {
    /// Its beginning.
    pub at_seconds: f64,
    /// Calls a second that were due.
    pub asked_rate: f64,
    /// Calls a second of those that were sent.
    pub sent_rate: f64,
    /// Calls a second of each code.
    pub codes: BTreeMap<String, f64>,
    pub latency: Percentiles,
}

/// The whole result.
#[derive(Debug, Serialize)]
pub struct Page {
    /// `passed`, `failed` or `void`.
    pub verdict: &'static str,
    /// Why it did not pass, in words.
    pub findings: Vec<String>,
    pub seed: u64,
    pub asked_rate: f64,
    pub duration_seconds: f64,
    pub connections: u16,
    pub keys: usize,
    pub calls_asked: u64,
    pub calls_sent: u64,
    pub calls_unsent: u64,
    /// Calls sent, over the duration, or over the time until the last answer if that was longer.
    pub sent_rate: f64,
    /// Right answers within `good_within_seconds`, over the duration.
    pub good_rate: f64,
    pub good_share: f64,
    pub good_within_seconds: f64,
    /// Of all operations, from the intended start.
    pub latency: Percentiles,
    pub operations: Vec<OperationPage>,
    /// From the intended start to the sending: the generator's own.
    pub lateness: Percentiles,
    /// The part of it that was a wait for a free connection.
    pub connection_wait: Percentiles,
    pub connections_reopened: u64,
    pub token_renewals_failed: u64,
    pub generator_cpu_us_per_call: f64,
    pub point_seconds: f64,
    pub points: Vec<PointPage>,
    /// Why the first call without an answer had none.
    pub unanswered_first: Option<String>,
    pub wrong_total: u64,
    /// The first of them.
    pub wrong: Vec<Fault>,
}

/// What a page needs beside the tally.
pub struct Circumstances {
    pub connections: u16,
    pub within: Duration,
    pub token_renewals_failed: u64,
    pub generator_cpu: Duration,
}

impl Percentiles {
    fn of<C: hdrhistogram::Counter>(times: &hdrhistogram::Histogram<C>) -> Self {
        let at = |quantile| seconds(times.value_at_quantile(quantile));
        Self {
            p50_seconds: at(0.5),
            p90_seconds: at(0.9),
            p99_seconds: at(0.99),
            p999_seconds: at(0.999),
            max_seconds: seconds(times.max()),
        }
    }

    fn words(&self) -> String {
        let [p50, p90, p99, p999, max] =
            [self.p50_seconds, self.p90_seconds, self.p99_seconds, self.p999_seconds, self.max_seconds]
                .map(|seconds| seconds * 1000.0);
        format!("p50 {p50:.2}  p90 {p90:.2}  p99 {p99:.2}  p99.9 {p999:.2}  max {max:.2} ms")
    }
}

impl Page {
    /// Puts the result together and judges it.
    #[expect(clippy::cast_precision_loss, reason = "no run has 2^53 calls")]
    pub fn new(plan: &Plan, tally: Tally, demands: Demands, around: &Circumstances) -> Self {
        let found = findings(&tally, plan.asked(), demands);
        let all = tally.operations.iter().fold(None, |sum: Option<Times>, one| {
            let mut sum = sum.unwrap_or_else(|| Times::new_from(&one.latency));
            sum.add(&one.latency).expect("all histograms of a tally have the same bounds");
            Some(sum)
        });
        let span = plan.duration.as_secs_f64();
        let sent_span = span.max(tally.ended.as_secs_f64());
        let per = |count: u64, span: f64| if span > 0.0 { count as f64 / span } else { 0.0 };
        Self {
            verdict: verdict(&found),
            findings: found.iter().map(ToString::to_string).collect(),
            seed: plan.seed,
            asked_rate: plan.rate,
            duration_seconds: span,
            connections: around.connections,
            keys: plan.keys,
            calls_asked: tally.asked,
            calls_sent: tally.sent(),
            calls_unsent: tally.unsent,
            sent_rate: per(tally.sent(), sent_span),
            good_rate: per(tally.good, span),
            good_share: per(tally.good, tally.asked as f64),
            good_within_seconds: around.within.as_secs_f64(),
            latency: Percentiles::of(&all.expect("there are operations")),
            operations: operations(&tally),
            lateness: Percentiles::of(&tally.lateness),
            connection_wait: Percentiles::of(&tally.waits),
            connections_reopened: tally.reopened,
            token_renewals_failed: around.token_renewals_failed,
            generator_cpu_us_per_call: around.generator_cpu.as_secs_f64() * 1e6 / (tally.sent().max(1) as f64),
            point_seconds: tally.step.as_secs_f64(),
            points: points(&tally, plan.duration),
            unanswered_first: tally.unanswered.clone(),
            wrong_total: tally.sum(|one| one.wrong),
            wrong: tally.faults,
        }
    }

    /// Whether nothing was found.
    pub fn is_passed(&self) -> bool {
        self.findings.is_empty()
    }

    /// Prints it for people.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn print_text(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "asked     {:.1} calls/s for {:.1} s: {} calls over {} connections and {} keys, seed {}",
            self.asked_rate, self.duration_seconds, self.calls_asked, self.connections, self.keys, self.seed
        )?;
        writeln!(
            out,
            "sent      {} calls, {:.1}/s; {} never sent",
            self.calls_sent, self.sent_rate, self.calls_unsent
        )?;
        writeln!(
            out,
            "good      {:.3} % right within {:.0} ms, {:.1}/s",
            self.good_share * 100.0,
            self.good_within_seconds * 1000.0,
            self.good_rate
        )?;
        writeln!(out, "latency   {}   from the intended start", self.latency.words())?;
        for one in self.operations.iter().filter(|one| !one.codes.is_empty()) {
            writeln!(out, "{:<9} {}", one.operation, one.latency.words())?;
            let codes: Vec<String> = one.codes.iter().map(|(code, count)| format!("{code} x {count}")).collect();
            let OperationPage { right, errors, wrong, .. } = one;
            writeln!(out, "          {right} right, {errors} errors, {wrong} wrong; {}", codes.join(", "))?;
        }
        writeln!(out, "lateness  {}   the generator's own", self.lateness.words())?;
        writeln!(
            out,
            "generator {:.1} us CPU a call, {} connections reopened, {} token renewals failed",
            self.generator_cpu_us_per_call, self.connections_reopened, self.token_renewals_failed
        )?;
        if let Some(cause) = &self.unanswered_first {
            writeln!(out, "  the first call without an answer: {cause}")?;
        }
        for Fault { at_seconds, operation, habit, words } in &self.wrong {
            writeln!(out, "  at {at_seconds:.3} s, {operation} written as {habit}: {words}")?;
        }
        let unsaid = self.wrong_total - self.wrong.len() as u64;
        if unsaid > 0 {
            writeln!(out, "  and {unsaid} more")?;
        }
        for finding in &self.findings {
            writeln!(out, "{finding}")?;
        }
        writeln!(out, "{}", self.verdict)
    }

    /// Prints it as one object on one line.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn print_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }
}

fn verdict(findings: &[Finding]) -> &'static str {
    match findings {
        [] => "passed",
        // a wrong answer is wrong at any rate
        _ if findings.iter().any(|one| matches!(one, Finding::Wrong { .. })) => "failed",
        _ if findings.iter().any(Finding::is_void) => "void",
        _ => "failed",
    }
}

fn operations(tally: &Tally) -> Vec<OperationPage> {
    let page = |(operation, one): (&Operation, &super::tally::PerOperation)| OperationPage {
        operation: operation.name(),
        right: one.right,
        errors: one.errors,
        wrong: one.wrong,
        codes: one.codes.iter().map(|(code, count)| (code.to_string(), *count)).collect(),
        latency: Percentiles::of(&one.latency),
        service: Percentiles::of(&one.service),
    };
    Operation::ALL.iter().zip(&tally.operations).map(page).collect()
}

#[expect(clippy::cast_precision_loss, reason = "no run has 2^53 calls")]
fn points(tally: &Tally, duration: Duration) -> Vec<PointPage> {
    let step = tally.step.as_secs_f64();
    let page = |(place, point): (usize, &super::tally::Point)| {
        let at = place as f64 * step;
        // the last one may be shorter
        let length = step.min(duration.as_secs_f64() - at);
        let rate = |count: u64| if length > 0.0 { count as f64 / length } else { 0.0 };
        let sent = point.codes.iter().filter(|(code, _)| **code != Code::Unsent).map(|(_, count)| count).sum();
        PointPage {
            at_seconds: at,
            asked_rate: rate(point.asked),
            sent_rate: rate(sent),
            codes: point.codes.iter().map(|(code, count)| (code.to_string(), rate(*count))).collect(),
            latency: Percentiles::of(&point.latency),
        }
    };
    tally.points.iter().enumerate().map(page).collect()
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

#[cfg(test)]
#[path = "report_tests.rs"]
pub mod tests;
