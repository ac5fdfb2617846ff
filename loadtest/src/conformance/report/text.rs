//! The report for people: groups, a line for each case, and under a failed one what was expected, what came, why it matters and
//! what to do.

use std::fmt::Write as _;

use super::super::case::{Group, Severity};
use super::super::run::{Outcome, Verdict};
use super::Report;

/// How wide explanations are set, in characters.
const WIDTH: usize = 100;
const INDENT: &str = "                ";

impl Report {
    /// The whole report.
    pub fn text(&self) -> String {
        let mut text = format!("Conformance of {}, key {}\n", self.url, self.key_path);
        for group in Group::ALL {
            let verdicts: Vec<_> = self.verdicts.iter().filter(|verdict| verdict.case.group == group).collect();
            if !verdicts.is_empty() {
                let _ = writeln!(text, "\n{}", group.title());
            }
            for verdict in verdicts {
                one(&mut text, verdict);
            }
        }
        self.summary(&mut text);
        text
    }

    fn summary(&self, text: &mut String) {
        let (required, recommended) = (self.failed(Severity::Required), self.failed(Severity::Recommended));
        let latency = &self.latency;
        let _ = write!(
            text,
            "\n{} passed, {required} required and {recommended} recommended failed, {} skipped; {} calls.\n",
            self.passed(),
            self.skipped(),
            self.calls,
        );
        if latency.answers > 0 {
            let _ = write!(
                text,
                "Served calls took {} ms in the median, {} ms at the 99th percentile, {} ms at most; {} of {} took longer\n\
                 than the 150 ms that Cloud KMS waits (measured from here, and no verdict).\n",
                latency.median_ms, latency.p99_ms, latency.max_ms, latency.above_150_ms, latency.answers,
            );
        }
        text.push_str(match (required, recommended) {
            (0, 0) => "Every case that was tried passed.\n",
            (0, _) => "Every required case that was tried passed.\n",
            _ => "The target does not conform: see the required cases that failed.\n",
        });
    }
}

fn one(text: &mut String, verdict: &Verdict) {
    let case = verdict.case;
    let _ = match &verdict.outcome {
        Outcome::Passed => writeln!(text, "  ✓ {}", case.name),
        Outcome::Skipped(why) => writeln!(text, "  - {}  (not tried: {why})", case.name),
        Outcome::Failed { step, steps, finding } => {
            let _ = writeln!(text, "  ✗ {}  ({}, {})", case.name, case.severity.name(), case.mark.name());
            let expected = format!("{} (call {step} of {steps})", finding.expected);
            let parts = [
                ("sent", case.sends),
                ("expected", &expected),
                ("got", &finding.got),
                ("answer", &finding.excerpt),
                ("why", case.why),
                ("do", case.remedy),
            ];
            for (label, words) in parts {
                let _ = writeln!(text, "      {label:<8}  {}", wrapped(words));
            }
            Ok(())
        }
    };
}

/// Words in lines of bounded width; a word that is longer stands whole.
fn wrapped(words: &str) -> String {
    let (mut lines, mut width) = (String::new(), 0);
    for word in words.split_whitespace() {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > WIDTH {
            lines.push('\n');
            lines.push_str(INDENT);
            width = 0;
        } else if width > 0 {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(word);
        width += length;
    }
    lines
}
