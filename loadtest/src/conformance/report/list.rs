//! The table of cases itself: as text, as JSON, and as the part of CONFORMANCE.md that is made from it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::Output;
use super::super::case::{Case, Group};

/// The cases, printed so.
pub fn list(cases: &[&Case], output: Output) -> String {
    match output {
        Output::Text | Output::Junit => text(cases),
        Output::Json => {
            let rows: Vec<Value> = cases.iter().map(|case| row(case)).collect();
            format!("{:#}\n", Value::Array(rows))
        }
        Output::Markdown => markdown(cases),
    }
}

fn row(case: &Case) -> Value {
    json!({
        "name": case.name, "group": case.group, "severity": case.severity, "mark": case.mark, "sends": case.sends,
        "right": case.right, "why": case.why, "remedy": case.remedy,
    })
}

fn text(cases: &[&Case]) -> String {
    let mut text = String::new();
    for group in Group::ALL {
        let rows: Vec<_> = cases.iter().filter(|case| case.group == group).collect();
        if !rows.is_empty() {
            let _ = writeln!(text, "{} ({})", group.title(), group.name());
        }
        for case in rows {
            let _ = writeln!(text, "  {:<28}{:<13}{}", case.name, case.severity.name(), case.sends);
        }
    }
    text
}

fn markdown(cases: &[&Case]) -> String {
    let mut text = String::new();
    for group in Group::ALL {
        let rows: Vec<_> = cases.iter().filter(|case| case.group == group).collect();
        if rows.is_empty() {
            continue;
        }
        let _ = write!(
            text,
            "### {}\n\nGroup `{}`.\n\n| Case | | Sent | Right | Why |\n|---|---|---|---|---|\n",
            group.title(),
            group.name()
        );
        for case in rows {
            let _ = writeln!(
                text,
                "| `{}` | {}; {} | {} | {} | {} |",
                case.name,
                case.severity.name(),
                case.mark.name(),
                cell(case.sends),
                cell(case.right),
                cell(case.why),
            );
        }
        text.push('\n');
    }
    text
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
