//! What whoever runs these tests may choose, and what a test tells them.

use std::any::Any;

use super::harness::{Dev, alarms, asked};

/// A number that was asked for.
pub(crate) fn number(variable: &str) -> Option<u64> {
    asked(variable).map(|text| text.parse().expect("a number"))
}

/// Tells the person who runs the tests how far a test has come.
#[allow(clippy::print_stderr, reason = "a run of minutes says what it has done")]
pub(crate) fn said(line: &str) {
    eprintln!("  {line}");
}

/// Ends a server that was started after a crash. It may have warned of the mirror alone, which is thrown away on any doubt.
pub(crate) async fn stop_after_trouble(dev: Dev) {
    dev.process.terminate();
    let ended = dev.process.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let is_mirror = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        event["level"] == "WARN" && (line.contains("sled") || line.contains("mirror"))
    };
    let others: Vec<_> = alarms(&ended.err).into_iter().filter(|line| !is_mirror(line)).collect();
    assert_eq!(others, Vec::<&str>::new());
}

/// The words of a panic.
pub(crate) fn told_by(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(told) => *told,
        Err(panic) => panic.downcast_ref::<&str>().copied().unwrap_or("a panic without words").to_owned(),
    }
}
