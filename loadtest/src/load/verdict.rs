//! What a run is worth: whether the generator offered what it was asked for, and whether the answers kept what was demanded. Pure.
//! A point that was not offered is void; it never passes.

use std::fmt;
use std::time::Duration;

use super::tally::Tally;

/// The quantile of the lateness that is held against its bound.
const LATENESS_QUANTILE: f64 = 0.99;
/// With random arrivals the number of calls varies around the asked one; so many standard deviations are still chance.
const DEVIATIONS_MAX: f64 = 6.0;

/// What is demanded.
#[derive(Debug, Clone, Copy)]
pub struct Demands {
    /// The 99th percentile of the generator's own lateness.
    pub lateness_max: Duration,
    /// The share of calls that may be told to try again or go unanswered.
    pub errors_max: f64,
    /// The share of calls that must be answered rightly within the time that counts as good; none if absent.
    pub good_min: Option<f64>,
}

/// Something that keeps a run from passing.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// Calls were due and not sent.
    Unsent { unsent: u64, asked: u64 },
    /// Calls were sent late, mostly because the generator came late to them.
    Late { p99: Duration, allowed: Duration },
    /// Calls were sent late, mostly because all connections were busy.
    NoConnection { p99: Duration, allowed: Duration },
    /// Fewer or more calls were due than the rate asks for.
    Rate { asked: u64, expected: f64 },
    /// No call at all.
    Nothing,
    /// Wrong answers.
    Wrong { wrong: u64 },
    /// Too many errors.
    Errors { share: f64, allowed: f64 },
    /// Too few good answers.
    Good { share: f64, demanded: f64 },
}

impl Finding {
    /// Whether it says that the point was not offered, so that nothing else about it counts.
    pub const fn is_void(&self) -> bool {
        match self {
            Self::Unsent { .. } | Self::Late { .. } | Self::NoConnection { .. } | Self::Rate { .. } | Self::Nothing => {
                true
            }
            Self::Wrong { .. } | Self::Errors { .. } | Self::Good { .. } => false,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |time: &Duration| time.as_secs_f64() * 1000.0;
        match self {
            Self::Unsent { unsent, asked } => {
                write!(
                    out,
                    "VOID: {unsent} of {asked} calls were never sent; ask for a lower rate, or give more --connections"
                )
            }
            Self::Late { p99, allowed } => write!(
                out,
                "VOID: the generator sent late by {:.1} ms at the 99th percentile, {:.1} are allowed; ask for a lower rate, or give it a machine of its own",
                millis(p99),
                millis(allowed)
            ),
            Self::NoConnection { p99, allowed } => write!(
                out,
                "VOID: calls waited {:.1} ms for a free connection at the 99th percentile, {:.1} are allowed; give more --connections, or the server is too slow for this rate",
                millis(p99),
                millis(allowed)
            ),
            Self::Rate { asked, expected } => {
                write!(out, "VOID: {asked} calls were due where the rate asks for {expected:.0}; the run was cut short")
            }
            Self::Nothing => write!(out, "VOID: not one call was due; ask for a higher rate or a longer time"),
            Self::Wrong { wrong } => write!(out, "WRONG: {wrong} answers were wrong"),
            Self::Errors { share, allowed } => write!(
                out,
                "NOT KEPT: {:.3} % of the calls were told to try again or not answered, {:.3} % are allowed",
                share * 100.0,
                allowed * 100.0
            ),
            Self::Good { share, demanded } => write!(
                out,
                "NOT KEPT: {:.3} % of the calls were answered rightly in time, {:.3} % are demanded",
                share * 100.0,
                demanded * 100.0
            ),
        }
    }
}

/// Everything that keeps this run from passing; `expected` is the rate times the duration.
#[expect(clippy::cast_precision_loss, reason = "no run has 2^53 calls")]
pub fn findings(tally: &Tally, expected: f64, demands: Demands) -> Vec<Finding> {
    if tally.asked == 0 {
        return vec![Finding::Nothing];
    }
    let mut findings = Vec::new();
    let asked = tally.asked as f64;
    if (asked - expected).abs() > DEVIATIONS_MAX * expected.sqrt() + 1.0 {
        findings.push(Finding::Rate { asked: tally.asked, expected });
    }
    if tally.unsent > 0 {
        findings.push(Finding::Unsent { unsent: tally.unsent, asked: tally.asked });
    }
    let late = |times: &super::tally::Times| Duration::from_micros(times.value_at_quantile(LATENESS_QUANTILE));
    let (p99, allowed) = (late(&tally.lateness), demands.lateness_max);
    if p99 > allowed {
        let waited = late(&tally.waits) > p99 / 2;
        findings.push(if waited { Finding::NoConnection { p99, allowed } } else { Finding::Late { p99, allowed } });
    }
    let wrong = tally.sum(|one| one.wrong);
    if wrong > 0 {
        findings.push(Finding::Wrong { wrong });
    }
    let share = tally.sum(|one| one.errors) as f64 / asked;
    if share > demands.errors_max {
        findings.push(Finding::Errors { share, allowed: demands.errors_max });
    }
    let share = tally.good as f64 / asked;
    if let Some(demanded) = demands.good_min
        && share < demanded
    {
        findings.push(Finding::Good { share, demanded });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::schedule::Operation;
    use super::super::tally::tests::{tally, timing};
    use super::super::tally::{Code, Worth};
    use super::*;

    const DEMANDS: Demands = Demands { lateness_max: Duration::from_millis(10), errors_max: 0.1, good_min: Some(0.9) };

    /// A hundred calls, each late by so many milliseconds in waiting to be noticed and for a connection.
    fn run(notice: u64, connection: u64, worth: impl Fn(u64) -> Worth) -> Tally {
        let mut tally = tally();
        for number in 0..100 {
            let intended = number * 10;
            tally.asked(Duration::from_millis(intended));
            let sent = intended + notice + connection;
            let timing = timing(intended, intended + notice, sent, sent + 1);
            tally.ended(Operation::Unwrap, timing, Code::Status(200), worth(number));
        }
        tally
    }

    #[test]
    fn a_run_that_was_offered_and_answered_rightly_passes() {
        assert_eq!(findings(&run(1, 1, |_| Worth::Right), 100.0, DEMANDS), []);
    }

    #[test]
    fn a_point_that_was_not_offered_is_void_however_right_the_answers() {
        let late = findings(&run(50, 0, |_| Worth::Right), 100.0, DEMANDS);
        assert!(matches!(late[..], [Finding::Late { .. }]) && late[0].is_void(), "{late:?}");
        let busy = findings(&run(1, 50, |_| Worth::Right), 100.0, DEMANDS);
        assert!(matches!(busy[..], [Finding::NoConnection { .. }]) && busy[0].is_void(), "{busy:?}");
        let mut dropped = run(0, 0, |_| Worth::Right);
        dropped.asked(Duration::from_secs(1));
        dropped.unsent(Operation::Wrap, Duration::from_secs(1));
        assert_eq!(findings(&dropped, 101.0, DEMANDS), [Finding::Unsent { unsent: 1, asked: 101 }]);
        let short = findings(&run(0, 0, |_| Worth::Right), 200.0, DEMANDS);
        assert!(matches!(short[..], [Finding::Rate { asked: 100, .. }]) && short[0].is_void(), "{short:?}");
        assert_eq!(findings(&tally(), 0.5, DEMANDS), [Finding::Nothing]);
    }

    #[test]
    fn wrong_answers_and_broken_demands_are_each_a_finding() {
        let wrong =
            findings(&run(0, 0, |number| if number == 7 { Worth::Wrong } else { Worth::Right }), 100.0, DEMANDS);
        assert_eq!(wrong, [Finding::Wrong { wrong: 1 }]);
        let errors = |count| run(0, 0, move |number| if number < count { Worth::Error } else { Worth::Right });
        assert_eq!(findings(&errors(10), 100.0, DEMANDS), []);
        let many = findings(&errors(11), 100.0, DEMANDS);
        assert!(matches!(many[..], [Finding::Errors { .. }, Finding::Good { .. }]), "{many:?}");
        let slow = findings(&run(0, 0, |_| Worth::Right), 100.0, Demands { good_min: Some(1.1), ..DEMANDS });
        assert!(matches!(slow[..], [Finding::Good { .. }]) && !slow[0].is_void(), "{slow:?}");
    }

    #[test]
    fn each_finding_says_what_to_do_or_what_was_allowed() {
        let ms = Duration::from_millis(20);
        for (finding, word) in [
            (Finding::Unsent { unsent: 1, asked: 2 }, "--connections"),
            (Finding::Late { p99: ms, allowed: ms }, "20.0 ms"),
            (Finding::NoConnection { p99: ms, allowed: ms }, "--connections"),
            (Finding::Nothing, "longer"),
            (Finding::Errors { share: 0.5, allowed: 0.001 }, "0.100 %"),
        ] {
            assert!(finding.to_string().contains(word), "{finding}");
        }
    }
}
