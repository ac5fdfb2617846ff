//! What a run found: answers by operation and by second, latencies from the intended start, the generator's own lateness, wrong
//! answers word for word up to a bound. It adds up; it judges nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::schedule::Operation;

/// Times are kept up to a minute, in microseconds.
const TIME_MAX_MICROS: u64 = 60_000_000;
/// Digits kept of a whole run's times, and of one point's.
const DIGITS: u8 = 3;
const DIGITS_OF_A_POINT: u8 = 2;
/// Points of the series over time: a run of up to ten minutes has one a second, a longer one has longer points.
const POINTS_MAX: u64 = 600;
/// So many faults are kept word for word; all are counted.
const FAULTS_KEPT: usize = 20;

/// Times in microseconds.
pub type Times = Histogram<u64>;

/// What a call brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// An HTTP status.
    Status(u16),
    /// No answer: the connection failed or broke, or nothing came in time.
    NoAnswer,
    /// Never sent: the generator had no room for it.
    Unsent,
}

impl std::fmt::Display for Code {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => status.fmt(out),
            Self::NoAnswer => out.write_str("no answer"),
            Self::Unsent => out.write_str("unsent"),
        }
    }
}

/// What a call's answer was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// What it should be.
    Right,
    /// Told to try again, or not answered.
    Error,
    /// What no server may answer here.
    Wrong,
}

/// When a call was meant to start, when it did, and when it was over; since the start of the run.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    pub intended: Duration,
    /// When the generator came to it.
    pub noticed: Duration,
    pub sent: Duration,
    pub ended: Duration,
}

/// One operation's answers.
pub struct PerOperation {
    pub right: u64,
    pub errors: u64,
    pub wrong: u64,
    pub codes: BTreeMap<Code, u64>,
    /// From the intended start to the end.
    pub latency: Times,
    /// From the sending to the end.
    pub service: Times,
}

/// The calls that were meant to start within one step of time.
pub struct Point {
    pub asked: u64,
    pub codes: BTreeMap<Code, u64>,
    pub latency: Histogram<u32>,
}

/// A wrong answer.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Fault {
    /// Of the intended start.
    pub at_seconds: f64,
    pub operation: &'static str,
    /// The habit that the call was written in.
    pub habit: &'static str,
    pub words: String,
}

/// Everything counted.
pub struct Tally {
    pub operations: Vec<PerOperation>,
    pub points: Vec<Point>,
    /// How long a point is.
    pub step: Duration,
    /// From the intended start to the sending.
    pub lateness: Times,
    /// The part of it that was a wait for a free connection.
    pub waits: Times,
    pub asked: u64,
    pub unsent: u64,
    /// Right answers within the time that counts as good.
    pub good: u64,
    pub reopened: u64,
    /// When the last answer was there.
    pub ended: Duration,
    pub faults: Vec<Fault>,
    /// Why the first call without an answer had none.
    pub unanswered: Option<String>,
    within: Duration,
}

impl Tally {
    /// A tally of nothing, for a run of this length; an answer is good within `within`.
    pub fn new(duration: Duration, within: Duration) -> Self {
        let step = Duration::from_secs(duration.as_secs().div_ceil(POINTS_MAX).max(1));
        let points = duration.as_nanos().div_ceil(step.as_nanos());
        let points = usize::try_from(points).expect("a bounded number of points");
        let times =
            || Times::new_with_max(TIME_MAX_MICROS, DIGITS).expect("the bounds are constants that the histogram takes");
        let operation = || PerOperation {
            right: 0,
            errors: 0,
            wrong: 0,
            codes: BTreeMap::new(),
            latency: times(),
            service: times(),
        };
        let point = || Point {
            asked: 0,
            codes: BTreeMap::new(),
            latency: Histogram::new_with_max(TIME_MAX_MICROS, DIGITS_OF_A_POINT)
                .expect("the bounds are constants that the histogram takes"),
        };
        Self {
            operations: Operation::ALL.iter().map(|_| operation()).collect(),
            points: (0..points).map(|_| point()).collect(),
            step,
            lateness: times(),
            waits: times(),
            asked: 0,
            unsent: 0,
            good: 0,
            reopened: 0,
            ended: Duration::ZERO,
            faults: Vec::new(),
            unanswered: None,
            within,
        }
    }

    /// Counts a call that is due.
    pub fn asked(&mut self, intended: Duration) {
        self.asked += 1;
        self.point(intended).asked += 1;
    }

    /// Counts a call that was due and could not be sent.
    pub fn unsent(&mut self, operation: Operation, intended: Duration) {
        self.unsent += 1;
        *self.point(intended).codes.entry(Code::Unsent).or_default() += 1;
        *self.operations[place(operation)].codes.entry(Code::Unsent).or_default() += 1;
    }

    /// Counts a call that was sent and is over.
    pub fn ended(&mut self, operation: Operation, timing: Timing, code: Code, worth: Worth) {
        let latency = timing.ended.saturating_sub(timing.intended);
        let one = &mut self.operations[place(operation)];
        match worth {
            Worth::Right => one.right += 1,
            Worth::Error => one.errors += 1,
            Worth::Wrong => one.wrong += 1,
        }
        *one.codes.entry(code).or_default() += 1;
        one.latency.saturating_record(micros(latency));
        one.service.saturating_record(micros(timing.ended.saturating_sub(timing.sent)));
        self.lateness.saturating_record(micros(timing.sent.saturating_sub(timing.intended)));
        self.waits.saturating_record(micros(timing.sent.saturating_sub(timing.noticed)));
        self.good += u64::from(worth == Worth::Right && latency <= self.within);
        self.ended = self.ended.max(timing.ended);
        let point = self.point(timing.intended);
        *point.codes.entry(code).or_default() += 1;
        point.latency.saturating_record(micros(latency));
    }

    /// Keeps the words of a wrong answer, if there is room.
    pub fn fault(&mut self, fault: Fault) {
        if self.faults.len() < FAULTS_KEPT {
            self.faults.push(fault);
        }
    }

    /// Calls that were sent.
    pub fn sent(&self) -> u64 {
        self.lateness.len()
    }

    /// The sum of one count over all operations.
    pub fn sum(&self, count: impl Fn(&PerOperation) -> u64) -> u64 {
        self.operations.iter().map(count).sum()
    }

    fn point(&mut self, intended: Duration) -> &mut Point {
        let place = usize::try_from(intended.as_nanos() / self.step.as_nanos()).unwrap_or(usize::MAX);
        let last = self.points.len() - 1;
        &mut self.points[place.min(last)]
    }
}

fn place(operation: Operation) -> usize {
    Operation::ALL.iter().position(|one| *one == operation).expect("all operations are in the list of all")
}

/// Microseconds, with what is beyond the histogram counted as its end.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(TIME_MAX_MICROS)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn timing(intended: u64, noticed: u64, sent: u64, ended: u64) -> Timing {
        let [intended, noticed, sent, ended] = [intended, noticed, sent, ended].map(Duration::from_millis);
        Timing { intended, noticed, sent, ended }
    }

    pub fn tally() -> Tally {
        Tally::new(Duration::from_secs(10), Duration::from_millis(90))
    }

    #[test]
    fn a_latency_counts_from_the_intended_start_however_late_the_call_was_sent() {
        let mut tally = tally();
        tally.asked(Duration::from_secs(1));
        // the server answered in 5 ms, and the caller waited 905
        tally.ended(Operation::Unwrap, timing(1000, 1001, 1900, 1905), Code::Status(200), Worth::Right);
        let unwrap = &tally.operations[place(Operation::Unwrap)];
        assert!(unwrap.latency.equivalent(unwrap.latency.max(), 905_000), "{}", unwrap.latency.max());
        assert!(unwrap.service.equivalent(unwrap.service.max(), 5_000), "{}", unwrap.service.max());
        assert!(tally.lateness.equivalent(tally.lateness.max(), 900_000), "{}", tally.lateness.max());
        assert!(tally.waits.equivalent(tally.waits.max(), 899_000), "{}", tally.waits.max());
        assert_eq!(tally.good, 0);
        assert!(tally.points[1].latency.max() > 890_000);
    }

    #[test]
    fn answers_are_counted_by_operation_code_and_second() {
        let mut tally = tally();
        for at in [500, 1500, 1600] {
            tally.asked(Duration::from_millis(at));
        }
        tally.ended(Operation::Wrap, timing(500, 500, 500, 510), Code::Status(200), Worth::Right);
        tally.ended(Operation::Wrap, timing(1500, 1500, 1500, 1501), Code::Status(503), Worth::Error);
        tally.unsent(Operation::Unwrap, Duration::from_millis(1600));
        assert_eq!((tally.asked, tally.sent(), tally.unsent, tally.good), (3, 2, 1, 1));
        assert_eq!((tally.points[0].asked, tally.points[1].asked), (1, 2));
        assert_eq!(tally.points[1].codes, [(Code::Status(503), 1), (Code::Unsent, 1)].into());
        assert_eq!((tally.sum(|one| one.right), tally.sum(|one| one.errors)), (1, 1));
        assert_eq!(tally.ended, Duration::from_millis(1501));
    }

    #[test]
    fn a_long_run_has_longer_points_and_a_late_end_stays_in_the_last() {
        let mut long = Tally::new(Duration::from_hours(1), Duration::from_millis(90));
        assert_eq!((long.points.len(), long.step), (600, Duration::from_secs(6)));
        long.asked(Duration::from_hours(2));
        assert_eq!(long.points[599].asked, 1);
        assert_eq!(Tally::new(Duration::from_millis(1), Duration::ZERO).points.len(), 1);
    }

    #[test]
    fn faults_are_kept_up_to_a_bound_and_times_beyond_a_minute_count_as_one() {
        let mut tally = tally();
        for _ in 0..FAULTS_KEPT + 5 {
            tally.fault(Fault { at_seconds: 0.0, operation: "wrap", habit: "plain", words: "x".to_owned() });
        }
        assert_eq!(tally.faults.len(), FAULTS_KEPT);
        tally.ended(Operation::Wrap, timing(0, 0, 0, 3_600_000), Code::NoAnswer, Worth::Error);
        assert_eq!(tally.operations[0].latency.len(), 1);
    }
}
