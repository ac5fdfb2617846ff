//! What was found, put into words: for people, for programs, for build servers. Decides nothing, and shows neither a token nor a
//! plaintext.

mod json;
mod junit;
mod list;
mod text;

use std::time::Duration;

use serde::Serialize;

use super::case::Severity;
use super::run::{Outcome, Seen, Verdict};

pub use self::list::list;

/// What Cloud KMS waits for an answer, the network included.
const ANSWER_TIME: Duration = Duration::from_millis(150);

/// A run, ready to be printed.
pub struct Report {
    url: String,
    key_path: String,
    verdicts: Vec<Verdict>,
    calls: u64,
    latency: Latency,
}

/// How long answers took, from the first byte sent; the first one of a connection includes its making. In milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// Answers that served a call.
    pub answers: usize,
    pub median_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    /// How many took longer than the 150 ms that Cloud KMS waits.
    pub above_150_ms: usize,
}

impl Latency {
    /// Of these times.
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |hundredths: usize| {
            let rank = (times.len() * hundredths).div_ceil(100).saturating_sub(1);
            times.get(rank).map_or(0.0, |time| (time.as_secs_f64() * 10_000.0).round() / 10.0)
        };
        Self {
            answers: times.len(),
            median_ms: at(50),
            p99_ms: at(99),
            max_ms: at(100),
            above_150_ms: times.iter().filter(|time| **time > ANSWER_TIME).count(),
        }
    }
}

impl Report {
    /// Of a run against this target.
    pub fn new(url: &str, key_path: &str, verdicts: Vec<Verdict>, seen: Seen) -> Self {
        let latency = Latency::of(seen.latencies);
        Self { url: url.to_owned(), key_path: key_path.to_owned(), verdicts, calls: seen.calls, latency }
    }

    /// How many cases of this severity failed.
    pub fn failed(&self, severity: Severity) -> usize {
        let of = self.verdicts.iter().filter(|verdict| verdict.case.severity == severity);
        of.filter(|verdict| matches!(verdict.outcome, Outcome::Failed { .. })).count()
    }

    fn count(&self, wanted: fn(&Outcome) -> bool) -> usize {
        self.verdicts.iter().filter(|verdict| wanted(&verdict.outcome)).count()
    }

    fn passed(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Passed))
    }

    fn skipped(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Skipped(_)))
    }
}

/// Seconds with six decimals, as reports print them.
fn seconds(time: Duration) -> String {
    format!("{:.6}", time.as_secs_f64())
}
