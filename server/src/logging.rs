//! Logs: one JSON line an event, on standard error. ERROR means that a human must look.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Starts logging what `filter` lets through.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(filter: &str) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    // Told on the same stream, a failure to write would panic: a terminal that is gone must not keep a shutdown from its end.
    let events = tracing_subscriber::fmt().json().log_internal_errors(false);
    events.with_env_filter(filter).with_writer(std::io::stderr).init();
    Ok(())
}
