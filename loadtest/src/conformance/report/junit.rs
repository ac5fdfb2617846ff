//! The report for build servers: `JUnit`'s XML, a suite for each group. A failed recommended case is written as skipped, with what
//! was found, since build servers know no middle; its name says so.

use std::fmt::Write as _;
use std::time::Duration;

use super::super::case::{Group, Severity};
use super::super::run::{Outcome, Verdict};
use super::{Report, seconds};

impl Report {
    /// The whole report.
    pub fn junit(&self) -> String {
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let all: Vec<&Verdict> = self.verdicts.iter().collect();
        let _ = writeln!(xml, "<testsuites name=\"loadtest conformance\"{}>", counts(&all));
        for group in Group::ALL {
            let verdicts: Vec<_> = self.verdicts.iter().filter(|verdict| verdict.case.group == group).collect();
            if verdicts.is_empty() {
                continue;
            }
            let _ = writeln!(xml, "  <testsuite name=\"{}\"{}>", group.name(), counts(&verdicts));
            let _ =
                writeln!(xml, "    <properties><property name=\"url\" value=\"{}\"/></properties>", escaped(&self.url));
            for verdict in verdicts {
                one(&mut xml, verdict);
            }
            xml.push_str("  </testsuite>\n");
        }
        xml.push_str("</testsuites>\n");
        xml
    }
}

fn counts(verdicts: &[&Verdict]) -> String {
    let failures = verdicts.iter().filter(|verdict| is_failure(verdict)).count();
    let passed = verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Passed).count();
    let skipped = verdicts.len() - failures - passed;
    let time: Duration = verdicts.iter().map(|verdict| verdict.took).sum();
    format!(
        " tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" time=\"{}\"",
        verdicts.len(),
        seconds(time)
    )
}

fn is_failure(verdict: &Verdict) -> bool {
    matches!(verdict.outcome, Outcome::Failed { .. }) && verdict.case.severity == Severity::Required
}

fn one(xml: &mut String, verdict: &Verdict) {
    let case = verdict.case;
    let head = format!(
        "    <testcase classname=\"conformance.{}\" name=\"{}\" time=\"{}\"",
        case.group.name(),
        case.name,
        seconds(verdict.took)
    );
    let _ = match &verdict.outcome {
        Outcome::Passed => writeln!(xml, "{head}/>"),
        Outcome::Skipped(why) => writeln!(xml, "{head}><skipped message=\"{}\"/></testcase>", escaped(why)),
        Outcome::Failed { step, steps, finding } => {
            let message = format!("expected {}, got {}", finding.expected, finding.got);
            let (tag, kind) = match case.severity {
                Severity::Required => ("failure", "required"),
                Severity::Recommended => ("skipped", "recommended, failed"),
            };
            let words = format!(
                "sent: {}\nexpected: {} (call {step} of {steps})\ngot: {}\nanswer: {}\nwhy: {}\ndo: {}",
                case.sends, finding.expected, finding.got, finding.excerpt, case.why, case.remedy
            );
            let message = escaped(&format!("{kind}: {message}"));
            writeln!(xml, "{head}><{tag} message=\"{message}\">{}</{tag}></testcase>", escaped(&words))
        }
    };
}

/// Text as it may stand in XML, in an attribute too. What XML cannot hold at all becomes U+FFFD.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' | '\t' => safe.push(one),
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            control if control.is_control() => safe.push('\u{fffd}'),
            plain => safe.push(plain),
        }
    }
    safe
}
